"""Series for pynapple: the same times and values, or an error."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pynapple
import pytest
import xarray as xr

import lsdx
from lsdx.errors import MissingPackage, SelectionError
from lsdx.export.series import to_tsd


def test_a_series_is_a_tsd(demo_stores: Path) -> None:
    eid = lsdx.open_sessions(demo_stores).session.values[0]
    pose = lsdx.open_pose(demo_stores, session=eid, camera="left")
    diameter = pose.lsd.pupil_diameter().compute()
    found = to_tsd(diameter)
    assert isinstance(found, pynapple.Tsd)
    np.testing.assert_allclose(found.t, pose.time.values, atol=1e-9)
    np.testing.assert_array_equal(found.d, diameter.values)


def test_keypoints_are_columns(demo_stores: Path) -> None:
    eid = lsdx.open_sessions(demo_stores).session.values[0]
    pose = lsdx.open_pose(demo_stores, session=eid, camera="left")
    speed = pose.lsd.speed(keypoints=["paw_r", "nose_tip"])
    found = to_tsd(speed)
    assert list(found.columns) == ["paw_r", "nose_tip"]
    np.testing.assert_array_equal(found["nose_tip"].d, speed.sel(keypoints="nose_tip").values[:, 0])


def test_what_has_no_times_is_refused(demo_stores: Path) -> None:
    data = xr.DataArray(np.zeros((2, 3, 4)), dims=("a", "b", "time"))
    with pytest.raises(SelectionError, match="to_tsd: expected dims time and at most one more"):
        to_tsd(data)
    with pytest.raises(SelectionError, match="to_tsd: expected time in s"):
        to_tsd(data[0, 0].assign_coords(time=("time", np.arange(4), {"units": "1"})))
    with pytest.raises(SelectionError, match="to_tsd: expected a DataArray, found Dataset"):
        to_tsd(data.to_dataset(name="x"))  # type: ignore[arg-type]


def test_without_pynapple_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynapple", None)
    with pytest.raises(MissingPackage, match=r"pip install 'lsdx\[pynapple\]'"):
        to_tsd(xr.DataArray([0.0], dims="time"))
