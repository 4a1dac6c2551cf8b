"""What the README says: its Python runs, its commands and numbers hold."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import lsdx
from lsdx.cli import _parser

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_python_runs(demo_stores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSDX_STORES", str(demo_stores))
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    rate = names["rate"]
    assert rate.dims == ("unit",)  # type: ignore[attr-defined]
    assert "region" in names["fine"].n_spikes.to_dataframe()  # type: ignore[attr-defined]


def test_the_options_exist() -> None:
    options = set(re.findall(r"`?(--[a-z][a-z-]+)", README))
    usage = "".join(
        p.format_help() for p in _parser()._subparsers._group_actions[0].choices.values()
    )  # type: ignore[union-attr,attr-defined]
    assert options - {"--"} <= set(re.findall(r"--[a-z][a-z-]+", usage))


def test_the_openers_table_is_whole() -> None:
    named = set(re.findall(r"`(open_\w+)\(", README))
    assert {n for n in lsdx.__all__ if n.startswith("open_") and n != "open_field"} <= named


def test_the_picture_shows_the_store(demo_stores: Path) -> None:
    ds = lsdx.open_units(demo_stores)
    (picture,) = blocks("text")
    for name in re.findall(r"^ +\*? *(\w+) +\(", picture, flags=re.MULTILINE):
        assert name in ds.variables
    assert "SIMULATED" in picture


def test_not_observed_is_nan_and_session_meets_by_label(demo_stores: Path) -> None:
    ds = lsdx.open_units(demo_stores)
    epochs = lsdx.open_epochs(demo_stores)
    rest = ds["duration"] - (epochs.stop - epochs.start).sel(session=ds.session)
    assert rest.dims == ("unit", "phase", "epoch")
    # binned time is the epoch's, less than a bin short
    seen = rest.values[np.isfinite(ds.duration.values)]
    assert ((seen <= 1e-5) & (seen > -0.1)).all()
