"""Speed, pupil, blinks, course and bins of a pose whose answers are known."""

from __future__ import annotations

from collections.abc import Mapping

import dask
import numpy as np
import pytest
import xarray as xr

from lsdx.analysis.pose import PUPIL, bin_behavior, blinks, pupil_course, pupil_diameter, speed
from lsdx.errors import ArgumentError, SelectionError

SQUARE = np.array([[0, -0.5], [0.5, 0], [0, 0.5], [-0.5, 0]])
RATE = 20.0


def pose(points: Mapping[str, np.ndarray], times: np.ndarray, sure: float = 1.0) -> xr.Dataset:
    """Build a pose in the form of open_pose, lazy: epochs of 10 to 40 s and 60 to 90 s."""
    n = times.size
    position = np.stack(list(points.values()), axis=2)[..., None].astype(np.float32)
    confidence = np.full((n, len(points), 1), sure, np.float32)
    ds = xr.Dataset(
        {
            "position": (("time", "space", "keypoints", "individuals"), position),
            "confidence": (("time", "keypoints", "individuals"), confidence),
        },
        {
            "time": ("time", times, {"units": "s"}),
            "space": ["x", "y"],
            "keypoints": list(points),
            "individuals": ["M1"],
            "phase": ["pre", "post"],
            "epoch": ["spontaneous"],
            "start": (("phase", "epoch"), [[10.0], [60.0]]),
            "stop": (("phase", "epoch"), [[40.0], [90.0]]),
            "administration": 50.0,
            "session": "a",
            "session_label": "A",
        },
        {"camera": "left", "likelihood": 0.9, "time_unit": "seconds", "clock": "times"},
    )
    return ds.chunk(time=700)


def eye(width: np.ndarray) -> dict[str, np.ndarray]:
    return {k: np.outer(width, s) + 100 for k, s in zip(PUPIL, SQUARE, strict=True)}


def test_speed_of_constant_velocity_on_uneven_times_is_lazy() -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(0.03, 0.07, 2000))
    ds = pose({"ear": np.outer(times, (3, 4)), "paw_r": np.outer(times, (5, 12))}, times)
    asked: list[object] = []
    with dask.callbacks.Callback(pretask=lambda key, *_: asked.append(key)):
        found = speed(ds)
        assert not asked
        values = found.values
        assert asked
    assert found.dims == ("time", "keypoints", "individuals")
    np.testing.assert_allclose(values[:, 0, 0], 5, rtol=2e-3)
    np.testing.assert_allclose(values[:, 1, 0], 13, rtol=2e-3)
    np.testing.assert_array_equal(speed(ds, keypoints="paw_r").values[:, 0], values[:, 1])


def test_unlikely_points_are_left_out_of_speed_unless_asked() -> None:
    times = np.arange(200) / RATE
    ds = pose({"ear": np.outer(times, (3, 4))}, times).compute()
    ds.confidence[50:80] = 0.5
    ds.confidence[100:] = np.nan  # the tracker states none
    missing = np.isnan(speed(ds).values[:, 0, 0])
    assert missing[50:80].all()
    assert not missing[100:].any()
    assert not np.isnan(speed(ds, likelihood=0).values).any()


def test_the_pupil_of_a_circle_with_one_point_lost() -> None:
    times = np.arange(300) / RATE
    width = np.linspace(20, 60, 300)
    ds = pose(eye(width), times).compute()
    np.testing.assert_allclose(pupil_diameter(ds), width, rtol=1e-5)
    ds.confidence[100:200, 2] = 0.1
    np.testing.assert_allclose(pupil_diameter(ds), width, rtol=1e-5)
    ds.confidence[150:200, 1] = 0.1
    np.testing.assert_array_equal(np.isnan(pupil_diameter(ds)), (times >= 7.5) & (times < 10))
    three = ds.isel(keypoints=[3, 0, 1])
    np.testing.assert_allclose(pupil_diameter(three, likelihood=0), width, rtol=1e-5)


def test_blinks_have_their_lengths() -> None:
    times = np.arange(400) / RATE
    ds = pose(eye(np.full(400, 40.0)), times).compute()
    for first, last in ((0, 5), (50, 54), (100, 130), (200, 202), (390, 400)):
        ds.confidence[first:last] = 0.1
    found = blinks(ds)
    # too long, and cut by the record's ends: none
    np.testing.assert_allclose(found.start, [2.5, 10.0])
    np.testing.assert_allclose(found.duration, [0.2, 0.1])
    assert found.session.values.tolist() == ["a", "a"]
    with pytest.raises(SelectionError, match="above 0"):
        blinks(ds.assign_attrs(likelihood=0.0))


def test_the_course_counts_from_the_injection_in_percent_of_the_first_phase() -> None:
    times = np.arange(0, 100, 1 / RATE)
    width = np.where(times < 50, 40.0, 52.0)
    width[times < 9] = 10.0  # before the first epoch: no baseline
    ds = pose(eye(width), times)
    found = pupil_course(ds, bin_width="5 s", window=("-40 s", "60 s"))
    assert found.attrs["baseline"] == pytest.approx(40, rel=1e-5)
    np.testing.assert_allclose(found.time, np.arange(-37.5, 60, 5))
    np.testing.assert_allclose(found.pupil[:7], 100, rtol=1e-4)
    np.testing.assert_allclose(found.pupil[9:18], 130, rtol=1e-4)
    assert np.isnan(found.pupil[18:]).all()
    np.testing.assert_array_equal(found.share[18:], 0)
    unknown = ds.assign_coords(administration=np.nan)
    with pytest.raises(SelectionError, match="recording"):
        pupil_course(unknown)
    again = pupil_course(
        unknown, bin_width="5 s", window=("10 s", "110 s"), relative_to="recording"
    )
    np.testing.assert_array_equal(again.pupil, found.pupil)


def test_bins_of_any_width_and_the_percentile_of_the_first_phase() -> None:
    times = np.arange(0, 100, 1 / RATE)
    rng = np.random.default_rng(2)
    width = rng.uniform(30, 50, times.size)
    width[(times < 10) | (times >= 40)] = 60.0
    width[times < 9] = 1.0
    ds = bin_behavior(pose(eye(width) | {"paw_r": np.outer(times, (3, 4))}, times), bin_width="2 s")
    assert ds.feature.values.tolist() == [
        "left/pupil_diameter",
        "left/pupil_diameter_percent",
        "left/paw_near_speed",
    ]
    inside = (times >= 10) & (times < 40)
    binned = width[inside].reshape(15, 40).mean(axis=1)
    diameter, percent, paw = ds.behavior.values[:, 0, 0]
    np.testing.assert_allclose(diameter, binned, rtol=1e-5)
    base = np.percentile(width[inside], 2)
    np.testing.assert_allclose(percent, 100 * binned / base, rtol=1e-5)
    np.testing.assert_allclose(paw, 5, rtol=1e-3)
    np.testing.assert_allclose(ds.share, 1, rtol=1e-6)
    assert ds.feature_units.values.tolist() == ["px", "%", "px/s"]


def test_errors_name_what_is_wrong() -> None:
    times = np.arange(100) / RATE
    ds = pose({"ear": np.outer(times, (3, 4))}, times)
    with pytest.raises(ArgumentError, match="ear"):
        speed(ds, keypoints="nose_tip")
    with pytest.raises(SelectionError, match="three of"):
        pupil_diameter(ds)
    with pytest.raises(SelectionError, match="give a feature"):
        bin_behavior(ds)
    with pytest.raises(ArgumentError, match="likelihood"):
        speed(ds, likelihood=1.5)
    with pytest.raises(SelectionError, match="low to high"):
        pupil_course(pose(eye(np.ones(100)), times), window=("1 s", "0 s"))
    frames = ds.assign_attrs(time_unit="frames", clock="untestable")
    for measure in (speed, blinks, pupil_course, bin_behavior):
        with pytest.raises(SelectionError, match="position"):
            measure(xr.Dataset())
        with pytest.raises(SelectionError, match="untestable"):
            measure(frames)
