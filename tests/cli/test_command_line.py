"""How the command is read and answers: help, mistyped words, errors, exit codes, output.

Each claim of docs/howto/command_line.md has its test here, or beside its command.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from lsdx import cli
from lsdx.cli import _parser, main, output

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "howto" / "command_line.md").read_text(encoding="utf-8")
COMMANDS = {
    "Make": ["build", "demo", "quality", "analyse", "tag", "gc"],
    "Look": ["info", "overview", "sessions", "histology", "dictionary"],
    "Check": ["verify", "check", "reconcile", "doctor"],
    "Share": ["export", "copy"],
    "Shell": ["completion"],
}
NAMES = [name for names in COMMANDS.values() for name in names]
WITH_JSON = [
    "build",
    "quality",
    "analyse",
    "info",
    "sessions",
    "histology",
    "verify",
    "check",
    "reconcile",
]
WITH_JSON += ["doctor", "export"]
WITH_CSV = ["sessions", "histology", "check", "reconcile"]


def used(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return what is said to a command that is written wrongly."""
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Let `lsdx dictionary` raise something."""

    def to_raise(error: BaseException) -> None:
        def raises() -> str:
            raise error

        monkeypatch.setattr("lsdx.schema.dictionary.data_dictionary", raises)

    return to_raise


# ---- help -----------------------------------------------------------------------------------


def test_commands_stand_under_what_people_do() -> None:
    text = _parser().format_help()
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if head := re.fullmatch(r"(\w+):", line):
            names = found.setdefault(head[1], [])
        elif name := re.match(r"  ([a-z]+) ", line):
            names.append(name[1])
    assert found == {**COMMANDS, "Options": []}


@pytest.mark.parametrize("name", NAMES)
def test_the_help_ends_with_two_examples_that_can_be_read(name: str) -> None:
    text = _parser().commands()[name].format_help()
    examples = text.rpartition("examples:\n")[2].rstrip().splitlines()
    assert len(examples) == 2
    for example in examples:
        first, *words = shlex.split(example.partition(" > ")[0])
        assert first == "lsdx"
        assert _parser().parse_args(words).command == name


@pytest.mark.parametrize("name", NAMES)
def test_the_help_shows_each_default(name: str) -> None:
    for action in _parser().commands()[name]._actions:
        if action.option_strings and action.default not in (None, False, "", [], "==SUPPRESS=="):
            text = _parser().commands()[name].format_help()
            shown = text.partition(f"{action.option_strings[-1]} ")[2]
            assert f"(default: {action.default})" in " ".join(shown.split()), action


def test_defaults_that_come_from_the_settings_are_shown() -> None:
    text = " ".join(_parser().commands()["build"].format_help().split())
    for default in ("demo", "psychedelics", "passiveChoiceWorld", "stores", "lsdx.toml"):
        assert f"(default: {default})" in text


def test_the_help_waits_for_nothing() -> None:
    before = os.times()
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "lsdx", "verify", "--help"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    after = os.times()  # of the child, whatever else the machine does
    seconds = after.children_user - before.children_user
    assert seconds + after.children_system - before.children_system < 1.5
    assert run.stdout.startswith("usage: lsdx verify")
    run = subprocess.run(
        [sys.executable, "-m", "lsdx", "--help"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPROFILEIMPORTTIME": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
    assert "lsdx.cli" in loaded
    assert not loaded & {"xarray", "numpy", "pandas", "rich", "shtab", "tqdm", "lsdx.accessor"}


def test_elsewhere_the_accessor_is_there_at_once() -> None:
    code = "import lsdx, xarray; xarray.Dataset().lsd; xarray.DataArray().lsd"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    # and the command itself has it
    code = "import sys; sys.orig_argv = ['python', '-m', 'lsdx']; from lsdx.cli import main\n"
    code += "assert 'lsdx.accessor' not in sys.modules; main(['dictionary'])\n"
    code += "assert 'lsdx.accessor' in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


# ---- mistyped -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "found", "meant"),
    [
        (["bulid"], "bulid", "build"),
        (["verfy", "--stores", "x"], "verfy", "verify"),
        (["build", "--souce", "cache"], "--souce", "--source"),
        (["build", "--souce=cache"], "--souce", "--source"),
        (["verify", "--store", "x"], "--store", "--stores"),  # none is shortened
        (["reconcile", "--erlier", "x"], "--erlier", "--earlier"),
        (["info", "--jsn"], "--jsn", "--json"),
        (["--quite", "info"], "--quite", "--quiet"),
        (["export", "tabels", "x"], "tabels", "tables"),
        (["export", "tables", "x", "--layout", "mouse_lsd"], "mouse_lsd", "mouse-lsd"),
        (["completion", "bsh"], "bsh", "bash"),
    ],
)
def test_what_is_mistyped_is_answered_with_the_nearest(
    argv: list[str], found: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = used(argv, capsys).splitlines()
    assert first.startswith("lsdx: ")
    assert f"found '{found}'" in first
    assert second == f"Did you mean {meant}?"


@pytest.mark.parametrize(
    ("argv", "first", "second"),
    [
        (["qqq"], "lsdx: expected one of build, ", "lsdx --help tells what there is."),
        (
            ["info", "--zzzz"],
            "lsdx: info: expected one of its options, found '--zzzz'.",
            "lsdx info",
        ),
        (["info", "word"], "lsdx: info: expected no further word, found 'word'.", "lsdx info"),
        (
            ["info", "--stores"],
            "lsdx: info: argument --stores: expected one argument.",
            "lsdx info",
        ),
        (["demo"], "lsdx: demo: the following arguments are required: directory.", "lsdx demo"),
        ([], "lsdx: the following arguments are required: COMMAND.", "lsdx --help"),
        (["check", "--json", "--csv", "-"], "lsdx: expected JSON or CSV on standard", "lsdx"),
        (["export", "tables", "--json", "x"], "lsdx: export: the following arguments", "lsdx"),
        (["verify", "--json", "$NO_SUCH/x"], "lsdx: verify: argument --json: path", "lsdx"),
    ],
)
def test_wrong_usage_is_two_lines(
    argv: list[str], first: str, second: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = used(argv, capsys).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(first)
    assert lines[1].startswith(second)


# ---- errors and exit codes ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["build", "--source", "cache"], "--cache-dir"),
        (["build", "--source", "aws"], "demo, cache"),
        (["build", "--source", "cache", "--cache-dir", "nowhere"], "sessions.pqt"),
        (["build", "--config", "nowhere.toml"], "nowhere.toml"),
        (["verify", "--stores", "nowhere"], "lsdx build"),
        (["gc", "--stores", "nowhere"], "lsdx build"),
        (["info", "--stores", "nowhere"], "lsdx build"),
        (["tag", "--stores", "nowhere"], "lsdx build"),
        (["tag", "../x", "--stores", "nowhere"], "letters"),
        (["tag", "x", "--remove", "y", "--stores", "nowhere"], "both"),
    ],
)
def test_errors_are_two_lines_at_most(
    argv: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("lsdx: ")
    assert message in said.err
    assert said.err.count("\n") <= 2
    assert ": expected " in said.err.splitlines()[0]
    assert "Traceback" not in said.err
    assert list(tmp_path.iterdir()) == []


def test_the_advice_is_a_line_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", "--config", str(tmp_path / "no.toml")]) == 1
    path = tmp_path / "no.toml"
    assert capsys.readouterr().err == (
        f"lsdx: {path}: expected a TOML file, found nothing there.\nName an existing file.\n"
    )


def test_errors_of_the_disk_are_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: Callable[[BaseException], None]
) -> None:
    broken(PermissionError(13, "Permission denied", "a/b"))
    assert main(["dictionary"]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first == "lsdx: a/b: expected a file or folder to use, found permission denied."
    assert second.startswith("Check that")
    broken(OSError("no file at all"))
    assert main(["dictionary"]) == 1
    assert capsys.readouterr().err == "lsdx: no file at all\n"


def test_a_mistake_of_ours_is_said_to_be_one(
    capsys: pytest.CaptureFixture[str], broken: Callable[[BaseException], None]
) -> None:
    broken(ZeroDivisionError("one\nover none"))
    assert main(["dictionary"]) == 70
    assert capsys.readouterr().err == (
        "lsdx: internal error: ZeroDivisionError: one over none\n"
        "Run again with --debug and report it.\n"
    )


@pytest.mark.parametrize("argv", [["--debug", "dictionary"], ["dictionary", "--debug"]])
def test_debug_shows_where(
    argv: list[str],
    capsys: pytest.CaptureFixture[str],
    broken: Callable[[BaseException], None],
) -> None:
    broken(ZeroDivisionError("x"))
    assert main(argv) == 70
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert "test_command_line.py" in err
    assert err.endswith("Run again with --debug and report it.\n")


@pytest.mark.parametrize(
    ("function", "argv", "stays"),
    [
        ("lsdx.builders.build", ["build", "--stores", "a b"], "What was published stays as it was"),
        ("lsdx.builders.upkeep.verify", ["verify"], "The stores stay as they were."),
        ("lsdx.demo.write_cohort", ["demo", "folder"], "No cohort was written."),
    ],
)
def test_ctrl_c_says_what_stays_and_what_to_run(
    function: str,
    argv: list[str],
    stays: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(function, stop)
    assert main(argv) == 130
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"lsdx: stopped. {stays}")
    assert second == f"Run the same command again: {shlex.join(['lsdx', *argv])}"


def test_the_exit_codes_are_those_of_the_docs() -> None:
    codes = [int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)]
    assert codes == [cli.DONE, cli.FAILED, cli.WRONG_USAGE, cli.INTERNAL, cli.STOPPED]
    assert codes == [0, 1, 2, 70, 130]
    others = [p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts]
    tables = [p.name for p in others if "## Exit codes" in p.read_text(encoding="utf-8")]
    assert tables == ["command_line.md"]


# ---- what is printed ------------------------------------------------------------------------


def test_the_docs_name_the_commands_with_json_and_csv() -> None:
    commands = _parser().commands()
    for option, names in (("--json", WITH_JSON), ("--csv", WITH_CSV)):
        assert {n for n, c in commands.items() if option in c._option_string_actions} == set(names)
        (told,) = re.findall(rf"`{option}` is\s+there\s+for\s+(.*?)\.", PAGE, re.DOTALL)
        assert set(re.findall(r"`(\w+)`", told)) == set(names)


@pytest.mark.parametrize(
    "argv",
    [["info"], ["sessions"], ["histology"], ["verify"], ["doctor"], ["export", "tables", "x"]],
    ids=lambda argv: argv[0],
)
def test_with_json_nothing_else_goes_to_standard_output(
    argv: list[str],
    small_stores: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    argv = [*argv, "--stores", str(small_stores)]
    assert main([*argv, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert isinstance(printed, dict) == (argv[0] in ("info", "doctor"))
    # to a file: the same, and the text beside it
    assert main([*argv, "--json", "out.json"]) == 0
    out = capsys.readouterr().out
    assert out
    assert not out.startswith(("[", "{"))
    written = json.loads((tmp_path / "out.json").read_text())
    if argv[0] != "doctor":  # free disk changes
        assert written == printed


@pytest.mark.parametrize("name", ["sessions", "histology"])
def test_csv_goes_to_standard_output_alone(
    name: str, demo_stores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [name, "--stores", str(demo_stores), "--csv"]
    assert main([*argv, "-"]) == 0
    out = capsys.readouterr().out
    assert "SIMULATED" not in out
    assert main([*argv, str(tmp_path / "x.csv")]) == 0
    assert (tmp_path / "x.csv").read_text() == out
    assert out.splitlines()[0].startswith(("session,", "subject,"))


@pytest.mark.parametrize("where", ["before", "after"])
def test_quiet_prints_what_was_asked_for_alone(
    where: str, demo_stores: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*argv: str) -> str:
        words = ["-q", *argv] if where == "before" else [*argv, "-q"]
        assert main([*words, "--stores", str(demo_stores)]) == 0
        found = capsys.readouterr()
        assert found.err == ""
        return found.out

    assert said("verify") == ""
    assert said("gc") == ""
    assert "sessions" in said("info")


def test_verbose_tells_duration_stores_and_settings(
    demo_stores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "my.toml"
    path.write_text('project = "p"\n')
    argv = ["info", "--stores", str(demo_stores), "--config", str(path)]
    assert main(argv) == 0
    quiet = capsys.readouterr()
    assert quiet.err == ""
    assert main([*argv, "-v"]) == 0
    said = capsys.readouterr()
    assert said.out == quiet.out
    assert f"project: from {path}\n" in said.err
    assert "stores: from the command line\n" in said.err
    assert f"stores: {demo_stores}\n" in said.err
    assert re.search(r"^info: \d+\.\d s$", said.err, re.MULTILINE)


@pytest.mark.parametrize("verbose", [False, True])
def test_warnings_of_libraries_are_shown_on_request(
    verbose: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def warns() -> str:
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        return "text"

    monkeypatch.setattr("lsdx.schema.dictionary.data_dictionary", warns)
    monkeypatch.setattr("sys.argv", ["lsdx", "dictionary", *["-v"] * verbose])
    monkeypatch.setattr("sys.warnoptions", [])
    # warnings are errors in the tests, so one that is shown is an internal error here
    assert main() == (70 if verbose else 0)
    assert ("DeprecationWarning: old" in capsys.readouterr().err) == verbose


def test_a_bar_is_drawn_on_a_terminal_alone(
    small_stores: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["verify", "--stores", str(small_stores)]
    assert main(argv) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert main(argv) == 0
    said = capsys.readouterr()
    assert re.search(r"verify: 100%.*B/s", said.err)
    assert "%" not in said.out
    assert main([*argv, "-q"]) == 0
    assert capsys.readouterr().err == ""


ROWS = [{"name": "units", "status": "built", "n": 3}, {"name": "x", "status": "failed", "n": 12}]


@pytest.mark.parametrize(("terminal", "no_color"), [(True, False), (True, True), (False, False)])
def test_tables_are_coloured_on_a_terminal_unless_told_otherwise(
    terminal: bool,
    no_color: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    arguments = argparse.Namespace(json=None, quiet=False)
    output.show(arguments, "plain text", ROWS, before="first", after="last")
    out = capsys.readouterr().out
    assert ("\x1b[32mbuilt" in out) == ("\x1b[31mfailed" in out) == (terminal and not no_color)
    bare = re.sub(r"\x1b\[[\d;]*m", "", out)
    if terminal:
        assert "plain text" not in out
        lines = [line.strip() for line in bare.splitlines() if line.strip()]
        assert (lines[0], lines[-1]) == ("first", "last")
        assert lines[1].split() == ["name", "status", "n"]
        assert lines[3].split() == ["units", "built", "3"]
    else:
        assert out == "plain text\n"


def test_a_table_too_wide_for_the_terminal_is_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "20")
    arguments = argparse.Namespace(json=None, quiet=False)
    output.show(arguments, "units failed [b] " + "x" * 50, ROWS)
    out = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert out == "units failed [b] " + "x" * 50 + "\n"


def test_rich_is_imported_for_a_terminal_alone(small_stores: Path) -> None:
    code = "import sys; from lsdx.cli import main; main(['info', '--stores', sys.argv[1]]); "
    code += "main(['verify', '--stores', sys.argv[1]]); assert 'rich' not in sys.modules"
    command = [sys.executable, "-c", code, str(small_stores)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


# ---- completion -----------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_a_completion_script_knows_commands_and_options(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in NAMES)
    assert "version" in script
    if shell != "tcsh":
        assert "--stores" in script


def test_bash_completes_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "lsdx"
    script.write_text(capsys.readouterr().out)

    def completed(*words: str) -> list[str]:
        line = f"source {script}; COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}; "
        line += "_shtab_lsdx; echo ${COMPREPLY[@]}"
        run = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return run.stdout.split()

    assert completed("lsdx", "ver") == ["verify"]
    assert completed("lsdx", "verify", "--st") == ["--stores"]
    assert completed("lsdx", "completion", "z") == ["zsh"]
