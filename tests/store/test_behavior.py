"""What open_pose and open_behavior give of the demo: labels, laziness, one axis of time."""

from __future__ import annotations

from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr

import lsdx
from lsdx.errors import SelectionError, StoreNotFound


@pytest.fixture(scope="module")
def behavior(demo_stores: Path) -> xr.Dataset:
    return lsdx.open_behavior(demo_stores)


def test_bins_are_those_of_the_counts(behavior: xr.Dataset, demo_stores: Path) -> None:
    units = lsdx.open_units(demo_stores)
    np.testing.assert_array_equal(behavior.time, units.time)
    for name in ("phase", "epoch"):
        assert behavior[name].values.tolist() == units[name].values.tolist()
    assert behavior.attrs["bin_width"] == units.attrs["bin_width"] == 0.1
    eid = str(units.session.values[0])
    rates = units.counts.isel(unit=0).astype(float)
    feature = behavior.behavior.sel(session=eid, feature="left/nose_speed")
    found = xr.corr(rates, feature, dim="time").compute()
    assert set(found.dims) == {"phase", "epoch"}
    x, y = (v.sel(phase="pre", epoch="rfm").values.astype(float) for v in (rates, feature))
    both = np.isfinite(x) & np.isfinite(y)
    expected = np.corrcoef(x[both], y[both])[0, 1]
    assert float(found.sel(phase="pre", epoch="rfm")) == pytest.approx(expected, abs=1e-6)


def test_nothing_is_read_until_asked(demo_stores: Path) -> None:
    asked: list[object] = []
    with dask.callbacks.Callback(pretask=lambda key, *_: asked.append(key)):
        b = lsdx.open_behavior(demo_stores)
        eid = str(b.session.values[0])
        pose = lsdx.open_pose(demo_stores, session=eid, camera="left")
        pose.lsd.speed()
        b.behavior.sel(session=eid).mean("time")
        assert not asked
        b.behavior.isel(session=0, feature=0).values  # noqa: B018
        assert asked


def test_pose_binned_again_is_what_was_built(behavior: xr.Dataset, demo_stores: Path) -> None:
    eid = str(behavior.session.values[0])
    pose = lsdx.open_pose(demo_stores, session=eid, camera="left")
    again = pose.lsd.bin_behavior()
    assert again.sizes["feature"] > 0
    for name in ("behavior", "share"):
        stored = behavior[name].sel(session=eid, feature=again.feature.values)
        np.testing.assert_allclose(
            again[name].values, stored.values[..., : again.sizes["time"]], rtol=2e-3, atol=2e-2
        )


def test_a_session_is_named_by_its_id_or_its_label(behavior: xr.Dataset, demo_stores: Path) -> None:
    eid, label = (str(behavior[n].values[0]) for n in ("session", "session_label"))
    one, other = (lsdx.open_pose(demo_stores, session=s, camera="left") for s in (eid, label))
    xr.testing.assert_identical(one, other)
    assert one.session.item() == eid
    assert one.attrs["ds_type"] == "poses"
    assert one.position.dims == ("time", "space", "keypoints", "individuals")


def test_errors_say_what_there_is(behavior: xr.Dataset, demo_stores: Path, tmp_path: Path) -> None:
    eid = str(behavior.session.values[0])
    with pytest.raises(SelectionError, match="label"):
        lsdx.open_pose(demo_stores, session="nobody", camera="left")
    with pytest.raises(StoreNotFound, match="top camera"):
        lsdx.open_pose(demo_stores, session=eid, camera="top")
    with pytest.raises(StoreNotFound, match=r"built: 0\.1 s"):
        lsdx.open_behavior(demo_stores, bin_width="20 ms")
    with pytest.raises(StoreNotFound):
        lsdx.open_behavior(tmp_path)
    blank = np.argwhere(behavior.tracker.values.astype(str) == "")
    assert len(blank)
    s, c = blank[0]
    with pytest.raises(StoreNotFound, match="none"):
        lsdx.open_pose(
            demo_stores,
            session=str(behavior.session.values[s]),
            camera=str(behavior.camera.values[c]),
        )
