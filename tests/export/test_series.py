"""Series for pynapple: the same times and values, or an error."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="module")
def spikes(demo_stores: Path) -> xr.Dataset:
    return lsdx.open_spikes(demo_stores, session=lsdx.open_sessions(demo_stores).session.values[1])


def test_a_session_goes_to_pynapple_and_back(spikes: xr.Dataset, demo_stores: Path) -> None:
    found = spikes.lsd.to_pynapple()
    units = found["units"]
    assert isinstance(units, pynapple.TsGroup)
    loaded = spikes.compute()
    for row, key in enumerate(units.keys()):
        own = slice(int(loaded.row_start[row]), int(loaded.row_start[row] + loaded.row_size[row]))
        np.testing.assert_allclose(units[key].t, loaded.spike_time.values[own], atol=1e-9)
    metadata = units.metadata
    assert metadata["unit"].tolist() == spikes.unit.values.tolist()
    assert metadata["region"].tolist() == spikes.region.values.tolist()
    epochs = found["epochs"]
    assert epochs.metadata["phase"].tolist() == ["pre"] * 3 + ["post"] * 3
    rfm = spikes.start.sel(phase="post", epoch="rfm").max()
    assert epochs.start[4] == pytest.approx(float(rfm))
    back = lsdx.from_pynapple(units, epochs=epochs)
    for name in ("row_size", "row_start", "administration"):
        np.testing.assert_array_equal(back[name].values, loaded[name].values)
    np.testing.assert_allclose(back.spike_time.values, loaded.spike_time.values, atol=1e-9)
    assert back.region.values.tolist() == spikes.region.values.tolist()
    assert back.session.values.tolist() == spikes.session.values.tolist()
    for measure in (lambda s: s.lsd.bin("1 s").counts, lambda s: s.lsd.cv()):  # of the same ticks
        np.testing.assert_array_equal(measure(back).values, measure(spikes).compute().values)


def test_events_and_behavior_are_those_of_the_session(
    spikes: xr.Dataset, demo_stores: Path
) -> None:
    events, behavior = lsdx.open_events(demo_stores), lsdx.open_behavior(demo_stores)
    found = spikes.lsd.to_pynapple(events=events, behavior=behavior)
    eid = spikes.session.values[0]
    own = events.isel(event=(events.session == eid).values & (events.kind == "gabor").values)
    np.testing.assert_allclose(found["events"]["gabor"].t, np.sort(own.start.values))
    series = found["behavior"]
    assert list(series.columns) == behavior.feature.values.tolist()
    cell = behavior.sel(session=eid, phase="post", epoch="rfm")
    at = np.searchsorted(series.t, float(cell.start) + cell.time.values[10] - 1e-6)
    np.testing.assert_array_equal(series.d[at], cell.behavior.isel(time=10).values)
    with pytest.raises(SelectionError, match="expected behaviour of session"):
        spikes.lsd.to_pynapple(behavior=behavior.isel(session=[0]))


def test_what_others_have_is_read_and_what_is_wrong_refused() -> None:
    all_of_it: dict[str, Any] = {"time_support": pynapple.IntervalSet(0, 3)}
    trains = {3: np.array([0.5, 1.5]), 9: np.array([1.0])}
    times = {k: pynapple.Ts(t, **all_of_it) for k, t in trains.items()}
    group = pynapple.TsGroup(times, **all_of_it, metadata={"area": np.array(["CA1", "DG"])})
    plain = pynapple.IntervalSet([0, 1.1], [1, 2.1])
    spikes = lsdx.from_pynapple(group, epochs=plain)
    assert spikes.unit.values.tolist() == ["3", "9"]
    assert spikes.area.values.tolist() == ["CA1", "DG"]
    assert spikes.lsd.bin("1 s").counts.values[:, 0, :, 0].tolist() == [[1, 1], [0, 0]]
    with pytest.raises(SelectionError, match="times from the start of the recording"):
        lsdx.from_pynapple(pynapple.TsGroup({0: pynapple.Ts(np.array([-1.0, 2.0]))}))
    twice = pynapple.TsGroup(times, **all_of_it, metadata={"unit": np.array(["a", "a"])})
    with pytest.raises(SelectionError, match="units with ids of their own"):
        lsdx.from_pynapple(twice)
    labels = {"phase": np.array(["pre", "pre"]), "epoch": np.array(["rfm", "rfm"])}
    with pytest.raises(SelectionError, match="each epoch once"):
        lsdx.from_pynapple(group, epochs=pynapple.IntervalSet([0, 1.1], [1, 2.1], metadata=labels))


def test_several_sessions_are_refused(demo_stores: Path) -> None:
    with pytest.raises(SelectionError, match="spikes of one session, found 6 sessions"):
        lsdx.open_spikes(demo_stores).lsd.to_pynapple()


def test_without_pynapple_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynapple", None)
    with pytest.raises(MissingPackage, match=r"pip install 'lsdx\[pynapple\]'"):
        to_tsd(xr.DataArray([0.0], dims="time"))
