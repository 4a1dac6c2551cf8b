"""What is shipped: the wheel holds the recipes and the type marker, and works outside the tree."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _run(
    *command: str | Path, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    run = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    shown = " ".join(map(str, command))
    assert run.returncode == 0, f"{shown} gave {run.returncode}\n{run.stdout}\n{run.stderr}"
    return run


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist, and the wheel from that sdist, with the tools already installed."""
    out = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel, without its dependencies, into a folder of its own."""
    folder = tmp_path_factory.mktemp("site")
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    _run(sys.executable, *install, folder, wheel, cwd=folder)
    return folder


@pytest.fixture
def outside(site: Path, tmp_path: Path) -> dict[str, str]:
    """Return an environment in which `lsdx` is the installed wheel and HOME is empty."""
    settings = {k: v for k, v in os.environ.items() if not k.startswith("LSDX_")}
    home = tmp_path / "home"
    home.mkdir()
    return {**settings, "PYTHONPATH": str(site), "HOME": str(home)}


def test_the_wheel_holds_every_module_and_recipe(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    modules = {f"lsdx/{p.relative_to(ROOT / 'lsdx')}" for p in ROOT.glob("lsdx/**/*.py")}
    recipes = {f"lsdx/_recipes/{path.name}" for path in ROOT.glob("recipes/*.py")}
    assert recipes
    assert modules | recipes | {"lsdx/py.typed"} <= names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"lsdx"}


def test_the_installed_wheel_runs_outside_the_tree(
    site: Path, outside: dict[str, str], tmp_path: Path
) -> None:
    def run(*command: str | Path) -> str:
        return _run(sys.executable, *command, cwd=tmp_path, env=outside).stdout

    lsdx = site / "bin" / "lsdx"
    run(lsdx, "demo", "--sessions", "1", "--units", "8", "cohort")
    run(lsdx, "build", "--source", "cache", "--cache-dir", "cohort", "--stores", "built")
    opened = "import lsdx; print(lsdx.open_units('built').sizes['unit'], lsdx.__file__)"
    n_units, where = run("-c", opened).strip().split(maxsplit=1)
    assert int(n_units) > 0
    assert Path(where).is_relative_to(site)


def test_the_citation_names_the_version_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {project['version']}\n" in citation


def test_no_dependency_has_an_upper_bound() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = pyproject["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    groups += pyproject["dependency-groups"].values()
    requirements = [entry for group in groups for entry in group if isinstance(entry, str)]
    pinned = [entry for entry in requirements if "<" in entry or "==" in entry or "~=" in entry]
    assert not pinned


def test_every_folder_of_tests_is_collected(request: pytest.FixtureRequest) -> None:
    """Pytest's own list of folders to leave out has `build`."""
    patterns = request.config.getini("norecursedirs")
    folders = {p.parent for top in ("lsdx", "tests") for p in (ROOT / top).rglob("*.py")}
    left_out = [f for f in folders if any(fnmatch(f.name, pattern) for pattern in patterns)]
    assert not left_out
