"""Two alignments of one probe: how far its units move, and how many change their region."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from lsdx.analysis.histology import compare_places
from lsdx.errors import SelectionError


def _units(**changes: object) -> xr.Dataset:
    labels: dict[str, object] = {
        "insertion": ["q", "p", "p", "p"],
        "probe": ["probe01", "probe00", "probe00", "probe00"],
        "region": ["CA1", "CA1", "DG-mo", ""],
        "group": ["Hippocampus"] * 3 + ["none"],
        "x": [0.001, 0.001, 0.002, np.nan],
        "y": [0.0] * 4,
        "z": [-0.001, -0.002, -0.003, np.nan],
    }
    return xr.Dataset(
        coords={"unit": list("abcd"), **{n: ("unit", v) for n, v in (labels | changes).items()}}
    )


def test_distances_and_shares_by_probe() -> None:
    second = _units(
        region=["CA1", "CA3", "DG-mo", "CA1"],
        x=[0.001, 0.001 + 30e-6, 0.002, 0.001],
        z=[-0.001, -0.002 + 40e-6, -0.003 + 10e-6, -0.001],
    ).isel(unit=[3, 1, 0, 2])
    found = compare_places(_units(), second)
    assert found.insertion.values.tolist() == ["q", "p"]
    np.testing.assert_allclose(found.distance, [0, 30], atol=1e-9)
    np.testing.assert_allclose(found.largest_distance, [0, 50], atol=1e-9)
    assert found.share_changed.values.tolist() == [0, 0.5]
    assert found.n_units.values.tolist() == [1, 2]
    assert found.n_alone.values.tolist() == [0, 1]
    assert found.probe.values.tolist() == ["probe01", "probe00"]
    coarse = compare_places(_units(), second, region="group")
    assert coarse.share_changed.values.tolist() == [0, 0]


def test_without_common_units_or_places() -> None:
    with pytest.raises(SelectionError, match="expected units that both have, found none"):
        compare_places(_units(), _units().assign_coords(unit=list("wxyz")))
    with pytest.raises(SelectionError, match=r"compare_places, second: .* found no z"):
        compare_places(_units(), _units().drop_vars("z"))
    blank = _units(x=[np.nan] * 4)
    assert np.isnan(compare_places(blank, blank).distance).all()
