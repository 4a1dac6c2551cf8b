"""What the site says: its Python runs, its commands and settings exist, its lists are whole."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import shlex
from itertools import takewhile
from pathlib import Path
from types import ModuleType

import pytest

import lsdx
from lsdx.cli import _parser
from lsdx.config import Settings, load_settings

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MADE = ("_build", "api", "gallery", "dictionary.md")  # written when the site is built
PAGES = sorted(p for p in DOCS.rglob("*.md") if p.relative_to(DOCS).parts[0] not in MADE)
# {code-cell} runs when the site is built, too; {code-block} with a caption is shown and not run
PYTHON = re.compile(r"```(?:python|\{code-cell\} python)\n((?::\w.*\n)*)(.*?)```", re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def name_of(page: Path) -> str:
    return str(page.relative_to(DOCS))


@pytest.fixture(scope="module")
def site_pages() -> ModuleType:
    """Load what the site takes from the code, where Sphinx's docutils is installed."""
    pytest.importorskip("docutils")
    spec = importlib.util.spec_from_file_location("site_pages", DOCS / "site_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", [p for p in PAGES if PYTHON.search(p.read_text())], ids=name_of)
def test_the_python_runs(
    page: Path, demo_stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    if "sklearn" in page.read_text():
        pytest.importorskip("sklearn")
    monkeypatch.setenv("LSDX_STORES", str(demo_stores))
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    names: dict[str, object] = {}
    for _, block in PYTHON.findall(page.read_text(encoding="utf-8")):
        exec(compile(block, name_of(page), "exec"), names)
        plt.close("all")


def test_what_does_not_run_says_why() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for head in re.findall(r"```\{code-block\} python\n(.*)\n", text):
            assert head.startswith(":caption: Not run here"), page


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "shell")], ids=name_of)
def test_the_commands_exist(page: Path, tmp_path: Path) -> None:
    sessions = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    for line in "".join(blocks(page, "shell")).replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        words = list(takewhile(lambda word: word not in (">", "|"), words))
        if words[:1] == ["lsdx"]:
            _parser().parse_args(words[1:])
        elif words[:2] == ["nox", "-s"]:
            name = words[2]
            assert f"def {name}(" in sessions or f'name="{name}"' in sessions, name
            if "--" in words:
                assert name == "build_stores"
                _parser().parse_args(["build", *words[words.index("--") + 1 :]])


def test_the_options_and_commands_in_sentences_exist() -> None:
    commands = _parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    usage = "".join(p.format_help() for p in commands.values())  # type: ignore[union-attr,attr-defined]
    known = set(re.findall(r"--[a-z][a-z-]+", usage))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert set(re.findall(r"`(--[a-z][a-z-]+)", text)) <= known, page
        assert set(re.findall(r"`lsdx ([a-z]+)", text)) <= set(commands), page  # type: ignore[arg-type]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "toml")], ids=name_of)
def test_the_settings_files_are_valid(page: Path, tmp_path: Path) -> None:
    for block in blocks(page, "toml"):
        (tmp_path / "lsdx.toml").write_text(block)
        settings = load_settings(file=tmp_path / "lsdx.toml", environ={})
        assert settings != Settings()
        assert ("source" in block) == (settings.source != Settings().source)
        assert ("[conditions]" in block) == bool(settings.conditions)


def test_the_links_of_the_readme_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / target).exists(), target


def test_the_extras_exist() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for page in PAGES:
        for extras in re.findall(r"(?:lsdx|\"\.)\[([a-z,]+)\]", page.read_text(encoding="utf-8")):
            for extra in extras.split(","):
                assert re.search(rf"^{extra} = \[", pyproject, re.MULTILINE), extra


def test_methods_and_attributes_in_sentences_exist() -> None:
    methods = {n for n in dir(lsdx.accessor.LsdAccessor) if not n.startswith("_")}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert set(re.findall(r"\.lsd\.(\w+)\(", text)) <= methods, page
        for name in re.findall(r"\blsdx\.(\w+)\(", text):
            assert hasattr(lsdx, name), f"{name} of {page}"


def test_the_api_lists_are_whole(site_pages: ModuleType) -> None:
    methods = [n for names in site_pages.METHODS.values() for n in names]
    assert sorted(methods) == sorted(site_pages.accessor_methods())
    modules = {n for n in lsdx.__all__ if isinstance(getattr(lsdx, n), ModuleType)}
    functions = [n for names in site_pages.OPENERS.values() for n in names]
    assert sorted(functions) == sorted(set(lsdx.__all__) - modules)
    for module in ("video", "open_field"):
        listed = {n for names in site_pages.MODULES.values() for n in names if module in n}
        found = inspect.getmembers(importlib.import_module(f"lsdx.{module}"), inspect.isfunction)
        public = [n for n, f in found if f.__module__.startswith(f"lsdx.{module}")]
        assert listed == {f"{module}.{n}" for n in public if not n.startswith("_")}


def test_notes_have_their_functions(site_pages: ModuleType) -> None:
    named = "\n".join(p.read_text(encoding="utf-8") for p in PAGES)
    for name, package in re.findall(r"\.\. notes:: (\w+)\n(?: +:of: ([\w.]+))?", named):
        assert "Notes\n" in site_pages.functions(package or "lsdx.analysis")[name].__doc__


def test_the_tour_lists_all_openers() -> None:
    named = set(re.findall(r"`(open_\w+)\(", (DOCS / "tour.md").read_text(encoding="utf-8")))
    openers = {n for n in lsdx.__all__ if n.startswith("open_") and n != "open_field"}
    assert openers == named


def test_every_notebook_is_linked() -> None:
    text = "\n".join(p.read_text(encoding="utf-8") for p in PAGES)
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        assert f"gallery/{notebook.name}" in text


def test_columns_of_the_tables_exist(demo_stores: Path) -> None:
    from lsdx.export import tables

    stores = (lsdx.open_sessions(demo_stores), lsdx.open_epochs(demo_stores))
    insertions, units = lsdx.open_insertions(demo_stores), lsdx.open_units(demo_stores)
    there = set(tables.session_table(*stores, insertions).columns)
    there |= set(tables.insertion_table(insertions).columns)
    there |= set(tables.unit_table(units).columns)
    page = (DOCS / "coming_from_mouse_lsd.md").read_text(encoding="utf-8")
    tables_ = page[page.index("## sessions.pqt") : page.index("## Other files")]
    for line in re.findall(r"^\| `.*", tables_, re.MULTILINE):
        now = line.split("|")[2]
        if "not yet" in now and "probeNN" not in now:
            continue
        for name in re.findall(r"`([\w]+)`", now):
            name = name.replace("probeNN", "probe00").replace("CCamera", "leftCamera")
            if name not in {"session", "insertion", "unit", "none", "...", "_value"}:
                assert name in there, name
