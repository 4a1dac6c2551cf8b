"""Every notebook runs on the demo stores, is committed without outputs, and finds its stores."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import lsdx
from lsdx.errors import StoreNotFound
from lsdx.store.place import Place

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs(
    path: Path,
    demo_stores: Path,
    demo_cohort: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("LSDX_STORES", str(demo_stores))
    monkeypatch.setenv("LSDX_CACHE_DIR", str(demo_cohort))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    notebook = nbformat.read(path, as_version=4)
    assert not any(c.get("outputs") or c.get("execution_count") for c in notebook.cells)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    figures = [
        o for c in notebook.cells for o in c.get("outputs", []) if "image/png" in o.get("data", {})
    ]
    assert len(figures) >= 3


@pytest.fixture
def notebooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in the notebooks' folder of a checkout, without settings."""
    monkeypatch.delenv("LSDX_STORES", raising=False)
    (tmp_path / "checkout" / ".git").mkdir(parents=True)
    folder = tmp_path / "checkout" / "notebooks"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_the_stores_of_the_checkout_are_found(notebooks: Path, demo_stores: Path) -> None:
    (notebooks.parent / "stores").symlink_to(demo_stores)
    assert lsdx.open_sessions().sizes["session"] == 7
    # what its settings name comes first
    (notebooks.parent / "lsdx.toml").write_text('stores = "elsewhere"')
    with pytest.raises(StoreNotFound, match="checkout/elsewhere"):
        lsdx.open_sessions()
    (notebooks.parent / "elsewhere").symlink_to(demo_stores)
    assert lsdx.open_sessions().sizes["session"] == 7


def test_stores_of_no_checkout_or_above_it_are_not_taken(
    notebooks: Path, demo_stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (notebooks.parents[1] / "stores").symlink_to(demo_stores)
    with pytest.raises(StoreNotFound):
        lsdx.open_sessions()
    (notebooks.parent / ".git").rmdir()
    with pytest.raises(StoreNotFound):
        lsdx.open_sessions()


def test_stores_that_are_nowhere_are_asked_for(
    notebooks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreNotFound) as caught:
        lsdx.open_units()
    top = notebooks.parent
    assert str(caught.value) == (
        f"{notebooks}/stores and {top}/stores: expected stores, found none. Build them: "
        "lsdx build; or say where they are: stores=..., or LSDX_STORES."
    )
    with pytest.raises(StoreNotFound, match=f"{notebooks}/mine/catalog.json: .* LSDX_STORES"):
        lsdx.open_units("mine")
    monkeypatch.setenv("LSDX_STORES", "named")
    with pytest.raises(StoreNotFound, match=f"{notebooks}/named/catalog.json: "):
        lsdx.open_units()


def test_what_no_session_has_is_not_to_be_built_again(demo_stores: Path, tmp_path: Path) -> None:
    catalog = Place(demo_stores).catalog()
    flat = {noun: entry for noun, entry in catalog.flat.items() if noun != "events"}
    path = tmp_path / "catalog.json"
    path.write_text(replace(catalog, flat=flat).to_json())
    with pytest.raises(StoreNotFound, match="no session has events") as caught:
        lsdx.open_events(tmp_path)
    assert "lsdx build" not in str(caught.value)
    assert f"lsdx sessions, or {tmp_path / 'report.json'}" in str(caught.value)
    recipes = {name: recipe for name, recipe in catalog.recipes.items() if name != "events"}
    path.write_text(replace(catalog, flat=flat, recipes=recipes).to_json())
    with pytest.raises(StoreNotFound, match="Build it: lsdx build events"):
        lsdx.open_events(tmp_path)


def test_a_truth_that_is_not_there_is_asked_for(
    demo_stores: Path, demo_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = (p for p in NOTEBOOKS if p.stem.startswith("30_"))
    first = next(c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code")
    monkeypatch.setenv("LSDX_STORES", str(demo_stores))
    monkeypatch.setenv("LSDX_CACHE_DIR", str(tmp_path))
    with pytest.raises(LookupError, match=f"{tmp_path} has no truth.json. Set LSDX_CACHE_DIR"):
        exec(first, {})
    truth = (demo_cohort / "truth.json").read_text()
    (tmp_path / "truth.json").write_text(truth)
    exec(first, {})
    (tmp_path / "truth.json").write_text(re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}", "other", truth))
    with pytest.raises(LookupError, match="another simulated cohort"):
        exec(first, {})
