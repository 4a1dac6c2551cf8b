"""Where the probes lie: each bar ends where its regions do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import lsdx
from lsdx.cli import main
from lsdx.errors import SelectionError
from lsdx.figures.histology import plot_probes


def _units(**changes: object) -> xr.Dataset:
    labels: dict[str, object] = {
        "insertion": ["p", "p", "p", "q"],
        "region": ["CA1", "DG-mo", "CA1", ""],
        "depth": [900.0, 100.0, 700.0, 50.0],
        "x": [0.002, 0.002, 0.002, np.nan],
        "session_label": ["m 1"] * 4,
        "probe": ["probe00"] * 3 + ["probe01"],
        "condition": ["lsd"] * 4,
    }
    coords = {n: ("unit", v) for n, v in (labels | changes).items()}
    return xr.Dataset(coords={"unit": list("abcd"), **coords})


def test_a_region_reaches_half_way_to_the_next() -> None:
    ax = plot_probes(_units())
    bars = [(p.get_x() + 0.4, p.get_y(), p.get_height()) for p in ax.patches]
    assert bars == [(0, 100, 300), (0, 400, 500), (1, 50, 0)]
    assert lsdx.regions.colours(["DG-mo"])[0].lower() == _hex(ax.patches[0])
    assert {t.get_text().strip() for t in ax.texts} == {"CA1", "DG-mo", "R", "?", "lsd"}
    names = [t.get_text() for t in ax.get_xticklabels()]
    assert names == ["m 1 probe00", "m 1 probe01"]


def _hex(patch: object) -> str:
    from matplotlib.colors import to_hex

    return to_hex(patch.get_facecolor())  # type: ignore[attr-defined]


def test_without_depths_or_units() -> None:
    assert not plot_probes(_units(depth=[np.nan] * 4)).patches
    with pytest.raises(SelectionError, match="found no units"):
        plot_probes(_units().isel(unit=[]))
    with pytest.raises(SelectionError, match="found none of depth"):
        plot_probes(_units().drop_vars("depth"))


def test_the_command_draws_it(demo_stores: Path, tmp_path: Path) -> None:
    path = tmp_path / "probes.png"
    assert main(["histology", "--stores", str(demo_stores), "--figure", str(path)]) == 0
    assert path.stat().st_size > 5000
