"""What the pictures of behaviour show is what the data say."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from lsdx.errors import SelectionError
from lsdx.figures.behavior import plot_bouts, plot_cameras, plot_occupancy, plot_pupil, plot_trace


def test_trace_in_minutes_or_frames_with_epochs_and_the_injection() -> None:
    time = np.arange(0, 600.0, 10)
    series = xr.DataArray(
        np.stack([time, 2 * time], axis=1),
        {"time": ("time", time, {"units": "s"}), "keypoints": ["ear", "paw_r"]},
        ("time", "keypoints"),
    )
    epochs = xr.Dataset(
        {},
        {
            "phase": ["pre", "post"],
            "epoch": ["rfm"],
            "start": (("phase", "epoch"), [[60.0], [np.nan]]),
            "stop": (("phase", "epoch"), [[120.0], [np.nan]]),
            "administration": 300.0,
        },
    )
    ax = plot_trace(series, epochs=epochs)
    first, second, injection = ax.lines
    np.testing.assert_allclose(first.get_xdata(), time / 60)
    np.testing.assert_array_equal(second.get_ydata(), 2 * time)
    assert injection.get_xdata()[0] == 5
    (shade,) = ax.patches
    assert (shade.get_x(), shade.get_width()) == (1, 1)
    frames = series.assign_coords(time=("time", time, {"units": "1"}))
    ax = plot_trace(frames, epochs=epochs)
    assert ax.get_xlabel() == "Frame"
    assert not ax.patches


def test_pupil_mean_of_a_condition_leaves_out_what_is_unknown() -> None:
    data = xr.DataArray(
        [[100.0, 110.0], [np.nan, 130.0], [90.0, np.nan]],
        {"time": [0.0, 60.0], "condition": ("session", ["lsd", "lsd", "saline"])},
        ("session", "time"),
    )
    ax = plot_pupil(data)
    named = {str(line.get_label()): line.get_ydata() for line in ax.lines}
    np.testing.assert_array_equal(named["lsd (2 sessions)"], [100, 120])
    np.testing.assert_array_equal(named["saline (1 sessions)"], [90, np.nan])
    with pytest.raises(SelectionError, match="condition"):
        plot_pupil(data.drop_vars("condition"))


def test_occupancy_is_drawn_y_down() -> None:
    values = np.arange(6.0).reshape(2, 3)
    ax = plot_occupancy(xr.DataArray(values.T, {"x": [1, 2, 3], "y": [5, 6]}, ("x", "y")))
    np.testing.assert_array_equal(np.asarray(ax.collections[0].get_array()).ravel(), range(6))
    assert ax.yaxis_inverted()


def test_bouts_are_bars_by_phase() -> None:
    data = xr.Dataset(
        {"start": ("event", [60.0, 300.0]), "stop": ("event", [120.0, 330.0])},
        {"session": ("event", ["a", "b"]), "phase": ("event", ["pre", "post"])},
    )
    ax = plot_bouts(data)
    boxes = [p.get_extents() for c in ax.collections for p in c.get_paths()]
    assert sorted((b.x0, b.x1) for b in boxes) == [(1, 2), (5, 5.5)]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b"]
    assert not plot_bouts(data.isel(event=[])).collections


def test_cameras_say_rate_state_and_what_is_odd() -> None:
    dims = ("session", "camera")
    names = ("n_dropped", "n_gaps", "n_trimmed", "n_repeated")
    counts = {n: (dims, np.array([[0.0, np.nan, 0]])) for n in names}
    counts["n_gaps"] = (dims, np.array([[2.0, np.nan, 0]]))
    data = xr.Dataset(
        {
            "frame_rate": (dims, [[60.0, np.nan, np.nan]]),
            "clock": (dims, np.array([["times", "", "untestable"]], object)),
            **counts,
        },
        {"session": ["a"], "camera": ["left", "right", "body"]},
    )
    ax = plot_cameras(data)
    assert [t.get_text().strip() for t in ax.texts] == ["60.0\n2 gaps", "untestable"]
    assert np.asarray(ax.images[0].get_array()).tolist() == [[1, 0, 3]]


@pytest.mark.parametrize("draw", [plot_trace, plot_pupil, plot_occupancy, plot_bouts, plot_cameras])
def test_other_data_are_refused(draw) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SelectionError):
        draw(xr.Dataset({"x": ("a", [1.0])}))
