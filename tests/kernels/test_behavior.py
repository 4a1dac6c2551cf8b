"""What an animal did: courses whose speed, diameter, bouts and distance are known."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import savgol_filter

from lsdx.errors import ArgumentError
from lsdx.kernels.behavior import (
    bouts,
    occupancy,
    outliers,
    path_length,
    pupil_diameter,
    smooth,
    speed,
    velocity,
    wheel_path,
)

SETTINGS = settings(max_examples=60, deadline=None)


def uneven(seed, n=600, rate=60.0, dropped=()):
    """Times with jitter of a fifth of an interval, and blocks of frames that are gone."""
    rng = np.random.default_rng(seed)
    times = np.arange(n) / rate + rng.uniform(0, 0.2 / rate, n)
    return np.delete(times, np.r_[tuple(slice(*block) for block in dropped)] if dropped else [])


# Speed


def test_constant_velocity_gives_that_speed_on_uneven_gappy_samples():
    """Three points of their own velocities and their own missing samples, and a dropped block."""
    times = uneven(0, dropped=[(100, 160)])
    v = np.array([[30.0, 0.0, -7.0], [40.0, 0.0, 24.0]])
    position = 100 + times[:, None, None] * v
    rng = np.random.default_rng(1)
    gone = rng.random((times.size, 3)) < 0.15
    gone[:, 1] = False
    position[
        np.broadcast_to(gone[:, None], position.shape) & (rng.random(position.shape) < 0.7)
    ] = np.nan
    missing = np.isnan(position).any(axis=1)
    found, moved = speed(position, times), velocity(position, times)
    assert found.shape == (times.size, 3)
    assert found.dtype == np.float64
    there = np.isfinite(found)
    assert there.mean() > 0.7
    assert not (there & missing).any()
    for k, expected in enumerate([50.0, 0.0, 25.0]):
        np.testing.assert_allclose(found[there[:, k], k], expected, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(moved[there[:, k], :, k] - v[:, k], 0, atol=1e-8)
    interval = np.median(np.diff(times))
    for k in range(3):  # missing exactly where the sample or a neighbour within reach is
        rows = np.flatnonzero(~missing[:, k])
        far = np.diff(times[rows]) > 3.5 * interval
        expected = rows[~(np.r_[far, False] | np.r_[False, far])]
        assert np.flatnonzero(there[:, k]).tolist() == expected.tolist()
    assert np.isnan(found[[99, 100]]).all()  # either side of the dropped block


@pytest.mark.parametrize(("n_missing", "expected"), [(2, 5.0), (3, np.nan)])
def test_speed_goes_across_two_missing_frames_and_not_across_three(n_missing, expected):
    times = np.arange(20) / 50
    position = np.stack([3 * times, -4 * times], axis=1)
    position[8 : 8 + n_missing, 0] = np.nan
    found = speed(position, times)
    np.testing.assert_allclose(found[[7, 8 + n_missing]], expected, rtol=1e-9)
    assert np.isnan(found[8 : 8 + n_missing]).all()
    np.testing.assert_allclose(found[[0, 6, 19]], 5.0, rtol=1e-9)
    wider = speed(position, times, longest_gap=4.5)
    np.testing.assert_allclose(wider[[7, 8 + n_missing]], 5.0, rtol=1e-9)


def test_constant_acceleration_is_exact_inside():
    """x = t^2 has the velocity 2 t; central differences at uneven times have no error."""
    times = uneven(2)
    moved = velocity(np.stack([times**2, 3 - times**2 / 2], axis=1), times)
    np.testing.assert_allclose(moved[1:-1, 0], 2 * times[1:-1], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(moved[1:-1, 1], -times[1:-1], rtol=1e-9, atol=1e-9)


def test_times_that_go_back_or_repeat_have_no_speed():
    times = np.array([0.0, 0.1, 0.1, 0.2, 0.15, 0.3, np.nan, 0.4])
    position = np.stack([10 * times, 0 * times], axis=1)
    position[[2, 4]] = 77.0  # what such a frame shows does not matter
    found = speed(position, times)
    assert np.flatnonzero(np.isnan(found)).tolist() == [2, 4, 6]
    np.testing.assert_allclose(found[[0, 1, 3, 5, 7]], 10, rtol=1e-9)


def test_a_point_that_was_seen_once_has_no_speed():
    times = np.arange(5) / 10
    position = np.full((5, 2), np.nan)
    position[2] = 1
    assert np.isnan(speed(position, times)).all()
    assert np.isnan(speed(position[:1], times[:1])).all()
    assert speed(np.zeros((0, 2, 4)), np.zeros(0)).shape == (0, 4)
    with pytest.raises(ArgumentError, match="position"):
        speed(position.T, times)
    with pytest.raises(ArgumentError, match="times"):
        velocity(position, times[:4])
    with pytest.raises(ArgumentError, match="longest_gap"):
        velocity(position, times, longest_gap=0)


def test_single_precision_is_differentiated_in_double():
    times = 4000 + uneven(3)
    whole = np.round(np.linspace(100, 900, times.size) * 64) / 64
    position = np.stack([whole, whole], axis=1)
    np.testing.assert_array_equal(
        velocity(position.astype(np.float32), times), velocity(position, times)
    )


# Distance


def test_integrating_speed_gives_distance():
    """A straight line: 50 px/s for 10 s; both ways give what the ends of the record are apart."""
    times = uneven(4)
    position = np.stack([30 * times, 40 * times], axis=1)
    distance = 50 * (times[-1] - times[0])
    assert np.trapezoid(speed(position, times), times) == pytest.approx(distance, rel=1e-9)
    steps = path_length(position, times)
    assert np.isnan(steps[0])
    assert steps[1:].sum() == pytest.approx(distance, rel=1e-9)


def test_a_circle_gives_its_circumference():
    """Chords of a circle: their sum is 2 n r sin(pi / n), and the integral the circumference."""
    n, radius = 3600, 20.0
    times = np.arange(n + 1) / 60
    angle = 2 * np.pi * np.arange(n + 1) / n
    position = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    chords = 2 * n * radius * np.sin(np.pi / n)
    assert np.nansum(path_length(position, times)) == pytest.approx(chords, rel=1e-9)
    integral = np.trapezoid(speed(position, times), times)
    assert integral == pytest.approx(2 * np.pi * radius, rel=1e-5)


def test_a_gap_adds_no_distance_and_is_not_zero():
    times = np.delete(np.arange(60) / 30, slice(20, 31))
    position = np.stack([times * 30, 0 * times], axis=1)
    position[40] = np.nan
    steps = path_length(position, times)
    assert np.flatnonzero(np.isnan(steps)).tolist() == [0, 20, 40, 41]
    np.testing.assert_allclose(steps[~np.isnan(steps)], 1, rtol=1e-9)
    back = times.copy()
    back[10] = back[5]
    assert np.flatnonzero(np.isnan(path_length(position, back))).tolist() == [0, 10, 11, 20, 40, 41]
    position[45:47] = np.inf  # not a place either
    missing = np.flatnonzero(np.isnan(path_length(position, times)))
    assert missing.tolist() == [0, 20, 40, 41, 45, 46, 47]
    whole = np.array([[250, 3], [3, 3]], dtype=np.uint8)  # unsigned numbers would wrap
    assert path_length(whole, np.array([0.0, 0.1])).tolist()[1] == 247
    with pytest.raises(ArgumentError, match="path_length"):
        path_length(np.zeros((3, 2, 2)), np.zeros(3))


# Pupil


def four_points(width, height, angle=0.0, centre=(40.0, 30.0)):
    """Top, right, bottom and left of an ellipse, turned by an angle."""
    c, s = np.cos(angle), np.sin(angle)
    half = np.array([[0, -height], [width, 0], [0, height], [-width, 0]]) / 2
    return (half @ np.array([[c, s], [-s, c]]) + centre)[:, None, :]


@pytest.mark.parametrize("angle", [0.0, 0.4, 2.0])
@pytest.mark.parametrize("missing", [None, 0, 1, 2, 3])
def test_a_pupil_gives_its_diameter_with_any_one_point_missing(angle, missing):
    """A circle its diameter, an ellipse the root mean square of its axes."""
    for width, height in [(12.0, 12.0), (10.0, 14.0), (30.0, 3.0)]:
        points = four_points(width, height, angle)
        if missing is not None:
            points[missing, 0, missing % 2] = np.nan  # one coordinate is enough
        expected = np.sqrt((width**2 + height**2) / 2)
        np.testing.assert_allclose(pupil_diameter(*points), expected, rtol=1e-12)


@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 3), (2, 3)])
def test_two_points_are_no_pupil(pair):
    points = four_points(12.0, 12.0)
    points[list(pair)] = np.nan
    assert np.isnan(pupil_diameter(*points)).all()


@SETTINGS
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]))
def test_the_diameter_is_the_median_of_six_estimates(seed, dtype):
    """Any points, any missing: NumPy's nanmedian of distances taken one by one."""
    rng = np.random.default_rng(seed)
    top, right, bottom, left = rng.normal(50, 10, (4, 30, 2)).astype(dtype)
    for point in (top, right, bottom, left):
        point[rng.random(30) < 0.3] = np.nan

    def apart(a, b):
        return np.sqrt(((a.astype(np.float64) - b) ** 2).sum(axis=1))

    across = [apart(top, bottom), apart(left, right)]
    beside = [apart(a, b) for a in (top, bottom) for b in (left, right)]
    estimates = np.stack([*across, *(np.sqrt(2) * d for d in beside)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of frames without any
        expected = np.nanmedian(estimates, axis=0)
    few = sum(np.isnan(p).any(axis=1).astype(int) for p in (top, right, bottom, left)) > 1
    expected[few] = np.nan
    np.testing.assert_allclose(pupil_diameter(top, right, bottom, left), expected, rtol=1e-12)


def test_the_points_of_a_pupil_have_two_coordinates_each():
    one = np.zeros((3, 2))
    with pytest.raises(ArgumentError, match="four points"):
        pupil_diameter(one, one, one, np.zeros((4, 2)))
    with pytest.raises(ArgumentError, match="four points"):
        pupil_diameter(one.T, one.T, one.T, one.T)
    assert pupil_diameter(*np.zeros((4, 0, 2))).shape == (0,)


# Smoothing


def test_smoothing_even_samples_is_the_filter_of_scipy():
    values = np.random.default_rng(5).normal(size=500)
    times = 3 + np.arange(500) / 60
    found = smooth(values, times, window=1.0)
    np.testing.assert_allclose(found, savgol_filter(values, 61, 3), atol=1e-9)
    found = smooth(values, times, window=0.2, order=2)
    np.testing.assert_allclose(found, savgol_filter(values, 13, 2), atol=1e-9)


def test_a_line_stays_a_line_on_uneven_samples():
    """A polynomial of low order goes through the filter; a line through the interpolation too."""
    times = uneven(6, dropped=[(200, 230)])
    line = 5 - 2 * times
    values = line.copy()
    values[50:90] = np.nan  # 0.7 s
    values[[0, 1, -1]] = np.nan
    found = smooth(values, times, window=0.5)
    np.testing.assert_allclose(found[2:-1], line[2:-1], atol=1e-9)
    assert np.isnan(found[[0, 1, -1]]).all()  # no pupil is made up beyond the ends


def test_smoothing_takes_noise_away():
    """A cubic over 31 frames leaves (3 m^2 - 7) * 3 / (4 m (m^2 - 4)) of the variance, m = 31."""
    times = uneven(7, n=20_000)
    truth = np.sin(2 * np.pi * times / 10)
    noise = np.random.default_rng(7).normal(size=times.size)
    found = smooth(truth + noise, times, window=0.51)
    left = np.var((found - truth)[100:-100])
    assert left == pytest.approx(3 * (3 * 31**2 - 7) / (4 * 31 * (31**2 - 4)), rel=0.15)


def test_longer_gaps_stay_missing_and_what_is_beyond_does_not_reach_across():
    times = np.arange(900) / 60
    values = np.where(times < 5, 10.0, 50.0)
    values[300:420] = np.nan  # 2 s from 5 s on
    values[600:630] = np.nan  # half a second
    found = smooth(values, times, window=1.0)
    assert np.flatnonzero(np.isnan(found)).tolist() == list(range(300, 420))
    np.testing.assert_allclose(found[:300], 10, atol=1e-9)
    np.testing.assert_allclose(found[420:], 50, atol=1e-9)
    bridged = smooth(values, times, window=1.0, longest_gap=3.0)
    assert np.isfinite(bridged).all()
    assert found.shape == times.shape


def test_short_runs_get_a_shorter_window_and_the_shortest_none():
    times = np.arange(600) / 60
    line = 3 * times
    values = np.full(600, np.nan)
    for first, last in [(0, 20), (150, 154), (300, 305), (500, 501)]:
        values[first:last] = line[first:last]
    found = smooth(values, times, window=1.0)
    expected = np.r_[0:20, 300:305]
    assert np.flatnonzero(np.isfinite(found)).tolist() == expected.tolist()
    np.testing.assert_allclose(found[expected], line[expected], atol=1e-9)


def test_smooth_refuses_windows_that_smooth_nothing():
    times = np.arange(100) / 50
    with pytest.raises(ArgumentError, match="more frames than order"):
        smooth(times, times, window=0.06)
    with pytest.raises(ArgumentError, match="values"):
        smooth(times[1:], times, window=1.0)
    for values in (np.full(100, np.nan), np.r_[1.0, np.full(99, np.nan)]):
        assert np.isnan(smooth(values, times, window=1.0)).all()


def test_outliers_are_those_beyond_robust_deviations():
    """Normal residuals of sd 2 about 1: the limit is 5 of them, whatever the outliers are."""
    rng = np.random.default_rng(8)
    course = 100 * np.sin(np.arange(100_000) / 1000)
    residual = rng.normal(1, 2, 100_000).clip(-8.9, 10.9)  # none beyond 4.95 sd
    values = course + residual
    far = np.array([5, 10, 20_000, 99_999])
    values[far] = course[far] + [1 + 10.2, 1 - 10.2, 1e6, -1e9]
    values[[7, 8]] = np.nan
    assert np.flatnonzero(outliers(values, course)).tolist() == far.tolist()
    assert outliers(values, course, sd=3.0).sum() == pytest.approx(270, abs=80)


def test_rounding_is_no_outlier():
    values = np.full(100, 1 / 3)
    course = values + np.r_[np.zeros(90), np.full(10, 1e-16)]
    assert not outliers(values, course).any()
    values[3] = 0.4
    assert np.flatnonzero(outliers(values, course)).tolist() == [3]
    assert not outliers(np.full(3, np.nan), np.zeros(3)).any()
    with pytest.raises(ArgumentError, match="sd above 0"):
        outliers(values, course, sd=0.0)


# Bouts


def found_bouts(values, times, *, high=3.0, low=1.0, shortest=0.0, gap=0.0):
    intervals, cut = bouts(
        np.asarray(values, dtype=float), times, high=high, low=low, shortest=shortest, gap=gap
    )
    assert intervals.shape == cut.shape == (len(intervals), 2)
    assert (intervals.dtype, cut.dtype) == (np.float64, np.bool_)
    return intervals, cut


def brute_bouts(values, times, high, low, shortest, gap):
    """Walk through the samples, one after another."""
    interval = np.median(np.diff(times))
    found, now, before = [], None, None
    for t, v in zip(times, values, strict=True):
        if np.isnan(v):
            continue
        if before is None or round((t - before) * 1e5) > round(max(gap, 1.5 * interval) * 1e5):
            if now is not None:
                found.append([now[0], before, now[1], True])
            now, fresh = None, True
        else:
            fresh = False
        if now is None and v >= high and v > low:
            now = (t, fresh)
        elif now is not None and v <= low:
            found.append([now[0], t, now[1], False])
            now = None
        before = t
    if now is not None:
        found.append([now[0], before, now[1], True])
    joined = []
    for bout in found:
        if joined and round((bout[0] - joined[-1][1]) * 1e5) < round(gap * 1e5):
            joined[-1] = [joined[-1][0], bout[1], joined[-1][2], bout[3]]
        else:
            joined.append(bout)
    return [b for b in joined if round((b[1] - b[0]) * 1e5) >= round(shortest * 1e5)]


def test_a_bout_train_comes_back():
    """Onsets and offsets on frames; between bouts the value is anything up to the low threshold."""
    rng = np.random.default_rng(9)
    times = uneven(9, n=6000, dropped=[(2000, 2015)])
    edges = np.sort(rng.choice(np.arange(20, 5900, 40), 60, replace=False)).reshape(30, 2)
    values = rng.uniform(0, 1, times.size)
    for first, last in edges:
        values[first] = rng.uniform(3, 9)
        values[first + 1 : last] = rng.uniform(1.001, 9, last - first - 1)
    values[rng.choice(edges[:, 0] + 3, 10)] = np.nan
    intervals, cut = found_bouts(values, times, shortest=0.5, gap=0.3)
    np.testing.assert_array_equal(intervals, times[edges])
    assert not cut.any()


@SETTINGS
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.1, 0.25, 1.0]),
    st.sampled_from([0.0, 0.1, 0.2, 0.7]),
    st.integers(2, 80),
)
def test_bouts_are_those_of_a_walk(seed, gap, shortest, n):
    """Values at, above and below both thresholds; NaN; dropped frames."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.choice(200, n, replace=False)) / 10 if n < 60 else np.arange(n) / 10
    values = rng.choice([0.0, 1.0, 2.0, 3.0, 4.0, np.nan], n, p=[0.2, 0.1, 0.3, 0.1, 0.2, 0.1])
    intervals, cut = found_bouts(values, times, shortest=shortest, gap=gap)
    expected = brute_bouts(values, times, 3.0, 1.0, shortest, gap)
    assert intervals.tolist() == [b[:2] for b in expected]
    assert cut.tolist() == [b[2:] for b in expected]


def test_hysteresis_begins_high_and_lasts_to_low():
    values = [2, 2, 3, 2, 1.1, 1, 2, 2, 4, 0]
    intervals, cut = found_bouts(values, np.arange(10) / 10)
    np.testing.assert_allclose(intervals, [[0.2, 0.5], [0.8, 0.9]])
    assert not cut.any()
    one, _ = found_bouts(values, np.arange(10) / 10, high=2.0, low=2.0)
    np.testing.assert_allclose(one, [[0.2, 0.3], [0.8, 0.9]])


def test_bouts_are_joined_before_short_ones_are_dropped():
    values = [0, 5, 0, 5, 0, 5, 0, 0, 0, 0, 5, 0]
    times = np.arange(12) / 10
    joined, _ = found_bouts(values, times, shortest=0.3, gap=0.15)
    np.testing.assert_allclose(joined, [[0.1, 0.6]])
    apart, _ = found_bouts(values, times, gap=0.1)  # exactly as far as the gap: not closer
    np.testing.assert_allclose(apart[:, 0], [0.1, 0.3, 0.5, 1.0])
    just, _ = found_bouts(values, times, shortest=0.1, gap=0.1)  # exactly the shortest: kept
    assert len(just) == 4
    none, cut = found_bouts(values, times, shortest=0.2, gap=0.1)
    assert none.shape == cut.shape == (0, 2)


def test_bouts_that_the_record_or_a_long_blank_cuts_are_flagged():
    values = np.full(40, 5.0)
    values[10:12] = np.nan  # 0.3 s between samples: not longer than the gap
    values[20:25] = np.nan
    values[30] = 0
    times = np.arange(40) / 10
    intervals, cut = found_bouts(values, times, gap=0.35)
    np.testing.assert_allclose(intervals, [[0.0, 1.9], [2.5, 3.9]])
    assert cut.all()  # the 0.1 s at 3.0 are closer than the gap
    intervals, cut = found_bouts(values, times, gap=0.05)
    np.testing.assert_allclose(intervals, [[0, 0.9], [1.2, 1.9], [2.5, 3.0], [3.1, 3.9]])
    assert cut.tolist() == [[True, True], [True, True], [True, False], [False, True]]
    gone = np.delete(np.arange(40), slice(20, 25))  # dropped frames are as good as NaN
    np.testing.assert_array_equal(found_bouts(values[gone], times[gone], gap=0.35)[0],
                                  found_bouts(values, times, gap=0.35)[0])  # fmt: skip


def test_bouts_of_nothing_are_none_and_thresholds_are_checked():
    times = np.arange(5) / 10
    for values in (np.zeros(5), np.full(5, np.nan)):
        assert found_bouts(values, times)[0].shape == (0, 2)
    assert found_bouts([], np.zeros(0))[0].shape == (0, 2)
    alone, cut = found_bouts([5], np.zeros(1))
    assert (alone.tolist(), cut.tolist()) == ([[0.0, 0.0]], [[True, True]])
    with pytest.raises(ArgumentError, match="low up to high"):
        found_bouts(np.zeros(5), times, high=1.0, low=2.0)
    with pytest.raises(ArgumentError, match="gap from 0"):
        found_bouts(np.zeros(5), times, gap=-1.0)
    with pytest.raises(ArgumentError, match="values"):
        found_bouts(np.zeros(4), times)


# Wheel


def test_the_path_of_a_wheel_is_that_of_its_course():
    """Two rad there and one back: the path counts both ways, and steps are shared by time."""
    times = np.array([1.0, 2.0, 2.5, 6.5])
    position = np.array([5.0, 7.0, 6.0, 6.0])
    edges = np.array([0.0, 1.0, 1.25, 2.25, 2.5, 4.0, 6.5, 6.6])
    expected = [np.nan, 0.5, 2.0, 0.5, 0.0, 0.0, np.nan]
    np.testing.assert_allclose(wheel_path(times, position, edges), expected, atol=1e-12)


@SETTINGS
@given(st.integers(0, 2**32 - 1))
def test_bins_of_a_wheel_add_up(seed):
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.exponential(0.2, 60))
    position = np.cumsum(rng.normal(size=60))
    edges = np.r_[times[0], np.sort(rng.uniform(times[0], times[-1], 20)), times[-1]]
    found = wheel_path(times, position, edges)
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(np.abs(np.diff(position)).sum(), rel=1e-9)
    backward = np.insert(times, 30, times[10])  # a sample that goes back in time is left out
    again = wheel_path(backward, np.insert(position, 30, 1e6), edges)
    np.testing.assert_allclose(again, found, atol=1e-9)


def test_a_wheel_without_samples_has_no_path():
    edges = np.arange(4.0)
    nothing = np.full(3, np.nan)
    np.testing.assert_array_equal(wheel_path(np.zeros(0), np.zeros(0), edges), nothing)
    np.testing.assert_array_equal(wheel_path(np.ones(1), np.full(1, np.nan), edges), nothing)
    assert wheel_path(np.zeros(0), np.zeros(0), np.zeros(0)).shape == (0,)
    with pytest.raises(ArgumentError, match="edges"):
        wheel_path(np.zeros(2), np.zeros(2), np.zeros((2, 2)))


# Occupancy


def test_occupancy_is_the_time_in_each_field():
    """A loop over frames, each of which lasts until the next one."""
    times = uneven(10, n=400, rate=30.0, dropped=[(100, 150)])
    rng = np.random.default_rng(10)
    position = rng.uniform(-1, 11, (times.size, 2)) * [1.0, 0.5]
    position[rng.random(times.size) < 0.1] = np.nan
    edges_x, edges_y = np.array([0.0, 1.0, 4.0, 10.0]), np.array([0.0, 2.0, 5.0])
    interval = np.median(np.diff(times))
    expected = np.zeros((2, 3))
    for i, (x, y) in enumerate(position):
        wait = times[i + 1] - times[i] if i + 1 < times.size else np.inf
        lasts = wait if wait <= 1.5 * interval else interval
        for b in range(2):
            for a in range(3):
                inside = edges_x[a] <= x < edges_x[a + 1] and edges_y[b] <= y < edges_y[b + 1]
                expected[b, a] += lasts if inside else 0
    found = occupancy(position, times, edges_x, edges_y)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_all_of_an_even_record_is_somewhere():
    times = np.arange(3000) / 30
    angle = times
    position = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    edges = np.linspace(-1.5, 1.5, 4)
    found = occupancy(position, times, edges, edges)
    assert found.sum() == pytest.approx(100.0, rel=1e-9)
    assert found[1, 1] == 0  # the middle, where it never was
    back = times.copy()
    back[1000:1010] = 1.0
    assert occupancy(position, back, edges, edges).sum() == pytest.approx(100 - 10 / 30, rel=1e-6)
    assert occupancy(position[:1], times[:1], edges, edges).sum() == 0
    with pytest.raises(ArgumentError, match="ascending"):
        occupancy(position, times, edges[::-1], edges)
