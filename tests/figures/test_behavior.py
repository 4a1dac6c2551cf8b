"""Pictures of behaviour draw their data, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import lsdx
from lsdx.errors import SelectionError
from lsdx.figures.behavior import (
    plot_bouts,
    plot_cameras,
    plot_occupancy,
    plot_pupil,
    plot_trace,
)


@pytest.fixture(scope="module")
def behavior(demo_stores: Path) -> xr.Dataset:
    return lsdx.open_behavior(demo_stores)


def test_traces_are_thinned_values_in_minutes(demo_stores: Path, behavior: xr.Dataset) -> None:
    pose = lsdx.open_pose(demo_stores, session=behavior.session.values[0], camera="left")
    speed = pose.lsd.speed(keypoints=["paw_l", "paw_r"]).compute()
    ax = plot_trace(speed, epochs=pose)
    assert [line.get_label() for line in ax.lines[:2]] == ["paw_l", "paw_r"]
    for i, line in enumerate(ax.lines[:2]):
        x, y = line.get_data()
        step = pose.sizes["time"] // 20_000
        np.testing.assert_array_equal(x, pose.time.values[::step] / 60)
        np.testing.assert_array_equal(y, speed.values[::step, i, 0])
    assert len(ax.patches) == 6
    dashed = ax.lines[2].get_xdata()
    assert dashed[0] == pytest.approx(pose.administration.item() / 60)
    frames = speed.drop_attrs(deep=True).assign_coords(time=np.arange(speed.sizes["time"]))
    assert plot_trace(frames, epochs=pose).get_xlabel() == "Frame"
    with pytest.raises(SelectionError):
        plot_trace(pose.position)


def test_pupils_have_a_line_a_session_and_a_mean_a_condition() -> None:
    values = np.array([[100.0, 130, np.nan], [110, 150, 140], [100, 101, 102]])
    data = xr.DataArray(
        values,
        {"time": [-60.0, 0, 60], "condition": ("session", ["lsd", "lsd", "saline"])},
        ("session", "time"),
    )
    ax = plot_pupil(data)
    means = {line.get_label(): line.get_ydata() for line in ax.lines if line.get_linewidth() == 2}
    np.testing.assert_allclose(means["lsd (2 sessions)"], [105, 140, 140])
    np.testing.assert_allclose(means["saline (1 sessions)"], [100, 101, 102])
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [-1, 0, 1])
    with pytest.raises(SelectionError, match="condition"):
        plot_pupil(data.drop_vars("condition"))


def test_bouts_are_bars_of_their_times() -> None:
    labels = {"session": "e", "phase": ["pre", "post", "post"]}
    data = xr.Dataset(
        {"start": ("event", [60.0, 120, 240]), "stop": ("event", [120.0, 180, 360])},
        {"session": ("event", ["e"] * 3), "phase": ("event", labels["phase"])},
    )
    ax = plot_bouts(data)
    bars = [p.get_extents() for c in ax.collections for p in c.get_paths()]
    assert sorted((b.x0, b.x1) for b in bars) == [(1, 2), (2, 3), (4, 6)]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["e"]
    plot_bouts(data.isel(event=[]))  # none is a picture too
    with pytest.raises(SelectionError, match="bouts"):
        plot_bouts(data.drop_vars("phase"))


def test_cameras_are_a_table_of_rates_and_oddities(behavior: xr.Dataset) -> None:
    ax = plot_cameras(behavior)
    state = np.asarray(ax.images[0].get_array())
    clock = behavior.clock.transpose("session", "camera").values
    for value, shade in (("", 0), ("times", 1), ("trimmed", 2), ("untestable", 3), ("no times", 3)):
        assert (state[clock == value] == shade).all()
        assert (clock == value).any()
    words = "\n".join(t.get_text() for t in ax.texts)
    assert "3 times left out" in words
    assert "dropped" in words
    with pytest.raises(SelectionError, match="open_behavior"):
        plot_cameras(behavior.drop_vars("clock"))


def test_occupancy_lies_as_in_the_video() -> None:
    seen = xr.DataArray(np.arange(6.0).reshape(2, 3), {"y": [1, 2], "x": [1, 2, 3]}, ("y", "x"))
    ax = plot_occupancy(seen.T)
    np.testing.assert_array_equal(np.ravel(ax.collections[0].get_array()), np.arange(6.0))
    assert ax.yaxis_inverted()
    with pytest.raises(SelectionError):
        plot_occupancy(seen.isel(x=0))
