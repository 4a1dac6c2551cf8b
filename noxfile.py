"""The sessions of lsdx: `nox -l` lists them, `nox` runs the quick ones, `nox -s NAME` runs one.

What follows `--` is handed to the command of the session: `nox -s tests -- -k schema -x`.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.10.14"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
PROJECT = "-e.[plot,notebooks,distributed,units]"
# A file's tests stay together: they share what is costly to make.
TWO_AT_A_TIME = ("--numprocesses=2", "--dist=loadfile")


def group(name: str) -> list[str]:
    """Give the requirements of one dependency group of pyproject.toml."""
    return list(nox.project.dependency_groups(PYPROJECT, name))


def run_pytest(session: nox.Session, *args: str) -> None:
    """Run pytest with an empty HOME, outside the tree: ONE and matplotlib keep files there.

    Modules are compiled once, not in each process that the tests start.
    """
    with tempfile.TemporaryDirectory() as home:
        env = {"HOME": home, "MPLBACKEND": "agg", "PYTHONDONTWRITEBYTECODE": ""}
        session.run("python", "-m", "pytest", *args, env=env)


def run_tests(session: nox.Session) -> None:
    """Install lsdx with everything its tests need, then run tests and doctests, two at a time."""
    session.install(PROJECT, *group("test"))
    run_pytest(session, *TWO_AT_A_TIME, "--durations=10", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the code with ruff: rules and format."""
    session.install(*group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of lsdx with mypy, strictly."""
    session.install(PROJECT, *group("types"))
    session.run("mypy", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run tests and doctests on the interpreter that runs nox."""
    run_tests(session)


# Two sessions may not share a name, so those of the other interpreters carry theirs in full.
@nox.session(name="tests-3.12", python="3.12")
def tests_312(session: nox.Session) -> None:
    """Run tests and doctests on Python 3.12."""
    run_tests(session)


@nox.session(name="tests-3.13", python="3.13")
def tests_313(session: nox.Session) -> None:
    """Run tests and doctests on Python 3.13."""
    run_tests(session)


@nox.session(name="tests-minimum", python="3.11")
def tests_minimum(session: nox.Session) -> None:
    """Run tests and doctests with the oldest Python and dependencies we promise to work with."""
    project = PYPROJECT["project"]
    alone = ("bombcell", "movement")  # in sessions of their own
    extras = [v for k, v in project["optional-dependencies"].items() if k not in alone]
    bounds = [project["dependencies"], *extras]
    oldest = [
        re.sub(r"\[.*?\]|\s", "", requirement).replace(">=", "==")
        for requirements in bounds
        for requirement in requirements
        if ">=" in requirement
    ]
    # uv, whatever nox itself installs with: pip's search for versions that fit does not end
    session.install(*group("uv"))
    python = f"--python={session.bin}/python"
    session.run_install("uv", "pip", "install", python, PROJECT, *group("test"), *oldest)
    run_pytest(session, *TWO_AT_A_TIME, *session.posargs)


@nox.session(python=["3.11", "3.13"])
def same_bytes(session: nox.Session) -> None:
    """Build the demo on the oldest and the newest Python; compare, and read each other's."""
    built = Path(session.cache_dir) / "same_bytes"
    if session.python == "3.11":
        shutil.rmtree(built, ignore_errors=True)
    session.install("-e.")
    own = built / str(session.python)
    cohort = built / "cohort"
    if not cohort.exists():
        session.run("lsdx", "demo", str(cohort))
    session.run("lsdx", "build", "--source=cache", f"--cache-dir={cohort}", f"--stores={own}")
    for other in sorted(built.glob("3.*")):
        session.run("lsdx", "verify", "--stores", str(other))
        if (other / "catalog.json").read_bytes() != (own / "catalog.json").read_bytes():
            session.error(f"{own} and {other} differ")


@nox.session(name="tests-slow")
def tests_slow(session: nox.Session) -> None:
    """Run the longer seeded tests, which the other sessions leave out."""
    session.install(PROJECT, *group("test"))
    run_pytest(session, "-m", "slow", *session.posargs)


@nox.session
def movement(session: nox.Session) -> None:
    """Run what needs movement: reading of open fields, and its functions on poses (1.3 GB)."""
    session.install("-e.[movement,video]", *group("pytest"))
    paths = ("tests/movement", "tests/test_open_field.py", "lsdx/open_field")
    run_pytest(session, *(session.posargs or paths))


@nox.session
def bombcell(session: nox.Session) -> None:
    """Run bombcell itself on a sorter's output (0.5 GB)."""
    session.install("-e.[bombcell]", *group("pytest"))
    run_pytest(session, *(session.posargs or ("tests/bombcell",)))


@nox.session
def spikeinterface(session: nox.Session) -> None:
    """Compare measures of isolation with SpikeInterface's, which wants Zarr below 3 (0.6 GB)."""
    others = ("numba", "pandas", "pint-xarray", "scipy")  # what lsdx loads for these measures
    session.install("spikeinterface >= 0.105", *others, *group("pytest"))
    session.install("--no-deps", "-e.")
    run_pytest(session, *(session.posargs or ("tests/spikeinterface",)), "--noconftest")


@nox.session
def coverage(session: nox.Session) -> None:
    """Run the tests; they must reach 95 % of lines and branches."""
    session.install(PROJECT, *group("test"))
    report = ("--cov", "--cov-fail-under=95", "--cov-report=term", "--cov-report=html")
    run_pytest(session, *TWO_AT_A_TIME, *report, *session.posargs)


@nox.session
def notebooks(session: nox.Session) -> None:
    """Execute every notebook on the demo stores."""
    session.install(PROJECT, *group("test"))
    run_pytest(session, "tests/test_notebooks.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site into docs/_build/html on a demo cohort of its own; warnings are errors."""
    session.install(PROJECT, *group("docs"))
    # an empty HOME, as in run_pytest
    with tempfile.TemporaryDirectory() as home:
        session.run(
            *("python", "-m", "sphinx", "-W", "--keep-going", "-b", "html"),
            *("docs", "docs/_build/html", *session.posargs),
            env={"HOME": home, "PYDEVD_DISABLE_FILE_VALIDATION": "1"},
        )


@nox.session
def demo(session: nox.Session) -> None:
    """Write the simulated cohort: `nox -s demo -- DIR`."""
    session.install("-e.")
    session.run("lsdx", "demo", *session.posargs)


@nox.session
def build_stores(session: nox.Session) -> None:
    """Build the stores that recipes/ describes, or those named after `--`."""
    session.install("-e.")
    session.run("lsdx", "build", *session.posargs)


@nox.session
def verify_stores(session: nox.Session) -> None:
    """Decode every chunk of the published stores and compare the digests."""
    session.install("-e.")
    session.run("lsdx", "verify", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks at full size (half an hour, 20 GB); `-- --quick` for a smoke test."""
    session.install(PROJECT, *group("bench"))
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def dist(session: nox.Session) -> None:
    """Build the sdist and the wheel into dist/."""
    session.install(*group("test"))
    session.run("python", "-m", "build", *session.posargs)
