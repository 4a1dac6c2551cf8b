"""Samples on their own times, against loops over bins and against shifts placed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from lsdx.clock import to_ticks
from lsdx.errors import ArgumentError
from lsdx.kernels.frames import bin_means, frame_rate, increasing, lag
from tests.kernels.activity import ar1

SETTINGS = settings(max_examples=60, deadline=None)


def uneven(rng, n, rate, *, dropped=()):
    """Times of a camera: jitter of a tenth of an interval, and blocks of frames that are gone."""
    times = np.arange(n) / rate + rng.uniform(0, 0.1 / rate, n)
    keep = np.ones(n, dtype=bool)
    for first, last in dropped:
        keep[first:last] = False
    return times[keep]


def brute(values, times, starts, width, n_bins):
    """Average by comparing every sample with every bin, on ticks."""
    shape = (len(starts), max(n_bins, default=0), values.shape[1])
    mean, number = np.full(shape, np.nan), np.zeros(shape, dtype=int)
    ticks, step = to_ticks(times), int(to_ticks(width))
    for w, (start, n) in enumerate(zip(to_ticks(starts), n_bins, strict=True)):
        for b in range(n):
            low = start + b * step
            inside = values[(ticks >= low) & (ticks < low + step)].astype(np.float64)
            for k in range(values.shape[1]):
                there = inside[~np.isnan(inside[:, k]), k]
                number[w, b, k] = there.size
                if there.size:
                    mean[w, b, k] = there.sum() / there.size
    return mean, number


# Times


def test_only_later_samples_are_increasing():
    times = np.array([np.nan, 1.0, 2.0, 2.0, 1.5, 1.9, np.inf, 3.0, -np.inf, 2.5, 3.1])
    found = increasing(times)
    assert np.flatnonzero(found).tolist() == [1, 2, 7, 10]
    assert increasing(np.empty(0)).shape == (0,)


@pytest.mark.parametrize("rate", [29.97, 60.0, 150.0])
def test_the_rate_is_that_of_most_intervals(rate):
    times = np.arange(1001) / rate
    late = times + np.where(np.arange(1001) > 0, 0.0332, 0)  # the second frame comes late
    assert frame_rate(late) == pytest.approx(rate, rel=1e-9)
    dropped = np.delete(times, slice(300, 500))
    assert frame_rate(dropped) == pytest.approx(rate, rel=1e-9)
    repeated = np.repeat(times, 3)  # two of three intervals are 0
    assert frame_rate(repeated) == pytest.approx(rate, rel=1e-9)


@pytest.mark.parametrize("times", [[], [1.0], [1.0, 1.0], [2.0, 1.0], [np.nan, np.nan, 1.0]])
def test_there_is_no_rate_without_an_interval(times):
    assert np.isnan(frame_rate(np.array(times)))


# Means in bins


@SETTINGS
@given(st.integers(0, 2**32 - 1), st.integers(0, 120), st.sampled_from([np.float32, np.float64]))
def test_means_are_those_of_a_loop(seed, n, dtype):
    """Unsorted and repeated times, NaN, windows that overlap, end early or lie outside."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 100, (n, 3)).astype(dtype)
    values[rng.random(values.shape) < 0.2] = np.nan
    times = rng.choice(np.r_[rng.uniform(-1, 6, 200), np.arange(60) / 10], n)
    starts, n_bins = np.array([0.0, 1.234567, -3.0, 2.0, 100.0]), np.array([20, 7, 40, 0, 3])
    mean, number = bin_means(values, times, starts, 0.1, n_bins)
    expected, counted = brute(values, times, starts, 0.1, n_bins)
    assert (mean.dtype, number.dtype) == (np.float32, np.int32)
    np.testing.assert_array_equal(number, counted)
    np.testing.assert_allclose(mean, expected, rtol=1e-6)
    np.testing.assert_array_equal(np.isnan(mean), counted == 0)
    order = rng.permutation(n)
    shuffled, again = bin_means(values[order], times[order], starts, 0.1, n_bins)
    np.testing.assert_array_equal(number, again)
    np.testing.assert_allclose(shuffled, expected, rtol=1e-6)


def test_the_edges_are_ticks():
    """0.3 is below 3 x 0.1 as a float; a sample half a tick before an edge is on it."""
    times = np.array([0.3, 0.3 - 4e-6, 0.3 - 6e-6, 0.6 - 6e-6, 0.6])
    values = np.array([[1.0], [2.0], [4.0], [8.0], [16.0]], dtype=np.float32)
    mean, number = bin_means(values, times, np.array([0.0]), 0.3, np.array([2]))
    assert number[0, :, 0].tolist() == [1, 3]
    assert mean[0, :, 0].tolist() == pytest.approx([4.0, 11 / 3])


def test_a_bin_without_frames_is_missing_and_never_zero():
    rng = np.random.default_rng(0)
    times = uneven(rng, 600, 60.0, dropped=[(120, 300)])
    values = np.ones((times.size, 2), dtype=np.float32)
    values[times >= 8, 1] = np.nan
    mean, number = bin_means(values, times, np.array([0.0, np.nan]), 0.5, np.array([22, 2]))
    gap, after, blank = slice(4, 10), slice(20, 22), slice(16, 20)
    for empty in (mean[0, gap], mean[0, after], mean[0, blank, 1], mean[1]):
        assert np.isnan(empty).all()
    assert (number[0, gap] == 0).all()
    assert (number[1] == 0).all()
    full = np.r_[0:4, 10:20]
    assert (mean[0, full, 0] == 1).all()
    assert (number[0, full, 0] == 30).all()


def test_means_are_summed_in_double_precision():
    """A million samples of 1000.1 px in one bin; single precision would stray by more than 1 px."""
    n = 1_000_000
    values = np.full((n, 1), 1000.1, dtype=np.float32)
    mean, number = bin_means(values, np.arange(n) / 1000, np.array([0.0]), 1000.0, np.array([1]))
    assert number[0, 0, 0] == n
    assert mean[0, 0, 0] == values[0, 0]


def test_samples_without_a_time_are_in_no_bin_and_the_order_in_memory_is_free():
    times = np.array([0.05, np.nan, np.inf, 0.15, -np.inf])
    values = np.arange(10, dtype=np.float32).reshape(5, 2)
    for given_values in (values, np.asfortranarray(values), values.astype(np.int64)):
        mean, number = bin_means(given_values, times, np.array([0.0]), 0.1, np.array([2]))
        assert mean[0].tolist() == [[0.0, 1.0], [6.0, 7.0]]
        assert (number == 1).all()


def test_no_windows_or_no_samples_give_no_bins_or_empty_ones():
    values, times = np.zeros((0, 2), dtype=np.float32), np.zeros(0)
    mean, number = bin_means(values, times, np.array([0.0]), 0.1, np.array([3]))
    assert np.isnan(mean).all()
    assert number.tolist() == [[[0, 0]] * 3]
    none = np.zeros(0)
    assert bin_means(values, times, none, 0.1, none.astype(int))[0].shape == (0, 0, 2)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"values": np.zeros(3)}, "values"),
        ({"times": np.zeros(4)}, "times"),
        ({"starts": np.zeros(2)}, "starts"),
        ({"n_bins": np.array([-1])}, "n_bins"),
        ({"width": 0.0}, "10 us"),
        ({"width": 0.000015}, "10 us"),
        ({"width": np.nan}, "10 us"),
    ],
)
def test_bin_means_refuses_what_does_not_fit(change, told):
    given_values = {"values": np.zeros((3, 1), dtype=np.float32), "times": np.zeros(3),
                    "starts": np.zeros(1), "width": 0.1, "n_bins": np.array([2])}  # fmt: skip
    with pytest.raises(ArgumentError, match=told):
        bin_means(**(given_values | change))


# Lag


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("frames", [-45, -3, 0, 1, 20])
def test_the_lag_of_a_shifted_series_is_found(frames, sign):
    """One course, seen by y so many frames later (or earlier); gaps, NaN and noise on it."""
    rng = np.random.default_rng(1)
    rate, n = 60.0, 20_000
    times = uneven(rng, n, rate, dropped=[(5000, 5400)])
    knots = np.arange(-200, n + 400) / rate
    course = ar1(rng, knots.size, [10.0])[:, 0]
    x = np.interp(times, knots, course)
    y = sign * np.interp(times - frames / rate, knots, course) + rng.normal(0, 0.3, times.size)
    x[rng.random(x.size) < 0.05] = np.nan
    found, r, p = lag(x, y, times, rng=0)
    assert abs(found - frames / rate) < 0.6 / rate
    assert 0.8 < sign * r < 1
    assert p == 1 / 11  # 333 s have place for ten shifts


def test_r_is_the_correlation_of_the_overlap():
    """On even times the answer is NumPy's, but for what the joined ends add."""
    rng = np.random.default_rng(2)
    x = ar1(rng, 30_000, [5.0])[:, 0]
    y = np.r_[rng.normal(size=7), x[:-7]] + rng.normal(size=x.size)
    found, r, _ = lag(x, y, np.arange(x.size) / 50, rng=0)
    assert found == pytest.approx(7 / 50, rel=1e-9)
    assert r == pytest.approx(np.corrcoef(x[:-7], y[7:])[0, 1], abs=1e-3)


def test_a_lag_beyond_the_longest_is_not_found():
    rng = np.random.default_rng(3)
    x = rng.normal(size=30_000)
    y = np.roll(x, 60)
    times = np.arange(x.size) / 30
    assert lag(x, y, times, longest=2.0, rng=0)[0] == pytest.approx(2.0, rel=1e-6)
    found, r, _ = lag(x, y, times, longest=1.9, rng=0)
    assert abs(found) < 1.9 + 1e-6
    assert abs(r) < 0.05


@pytest.mark.parametrize(
    ("seconds", "least"), [(59.0, np.nan), (61.0, 1 / 2), (905.0, 1 / 30), (20_000.0, 1 / 200)]
)
def test_the_length_of_the_record_limits_p(seconds, least):
    rng = np.random.default_rng(4)
    x = rng.normal(size=int(seconds * 5))
    p = lag(x, x, np.arange(x.size) / 5, rng=0)[2]
    np.testing.assert_equal(p, least)
    assert np.isnan(lag(x, x, np.arange(x.size) / 5, n_null=0)[2])


def test_the_null_repeats_with_its_seed():
    rng = np.random.default_rng(5)
    x, y = ar1(rng, 40_000, [20.0, 20.0]).T
    times = np.arange(x.size) / 5
    assert lag(x, y, times, rng=3) == lag(x, y, times, rng=np.random.default_rng(3))
    assert len({lag(x, y, times, rng=seed)[2] for seed in range(20)}) > 1


def rejections(n_pairs, rate, seconds, taus, seed, *, longest=1.0):
    """Count p <= .05 of unrelated pairs, and of the usual test of a correlation."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(rate * seconds)) / rate
    by_shift = naive = 0
    for _ in range(n_pairs):
        x, y = ar1(rng, times.size, np.asarray(taus) * rate).T
        _, r, p = lag(x, y, times, longest=longest, n_null=99, rng=rng)
        by_shift += p <= 0.05
        naive += abs(r) * np.sqrt(times.size) > 1.96
    return by_shift, naive


@pytest.mark.parametrize(("taus", "longest"), [((2.0, 4.0), 1.0), ((0.3, 0.5), 5.0)])
def test_the_level_of_the_shifted_null(taus, longest):
    """500 unrelated pairs: 5 % rejected, where the usual test of a correlation fails.

    It fails because slow series have fewer free samples, or because the best of many lags is taken.
    """
    found, naive = rejections(500, 2.0, 3005.0, taus, 6, longest=longest)
    low, high = binom.interval(0.999, 500, 0.05)
    assert low <= found <= high
    assert naive > 3 * high


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "seconds", "taus", "longest", "level"),
    [
        (2.0, 3005.0, (0.3, 0.3), 1.0, 0.05),
        (2.0, 3005.0, (5.0, 5.0), 1.0, 0.05),
        (5.0, 3005.0, (2.0, 8.0), 1.0, 0.05),
        (2.0, 9000.0, (4.0, 4.0), 5.0, 0.05),  # steps between shifts are random
        (5.0, 610.0, (2.0, 2.0), 1.0, 0.05),  # 20 places: exactly one of them is 5 %
        (5.0, 450.0, (2.0, 2.0), 1.0, 0.0),  # 15 places: p is never that low
    ],
)
def test_the_level_of_the_shifted_null_at_length(rate, seconds, taus, longest, level):
    n_pairs = 4000
    found, _ = rejections(n_pairs, rate, seconds, taus, 7, longest=longest)
    low, high = binom.interval(0.999, n_pairs, level)
    assert low <= found <= high


@pytest.mark.parametrize(
    ("x", "y", "times"),
    [
        (np.ones(500), np.arange(500.0), np.arange(500.0)),
        (np.arange(500.0), np.full(500, np.nan), np.arange(500.0)),
        (np.arange(500.0), np.arange(500.0), np.zeros(500)),
        (np.ones(1), np.ones(1), np.zeros(1)),
        (
            np.r_[1.0, 2, 3, np.full(6, np.nan)],
            np.r_[np.full(6, np.nan), 1.0, 2, 3],
            np.arange(9.0),
        ),
    ],
)
def test_there_is_no_lag_without_two_courses(x, y, times):
    assert np.isnan(lag(x, y, times)).all()


@pytest.mark.parametrize(
    ("change", "told"),
    [({"x": np.zeros(4)}, "x, y and times"), ({"times": np.zeros((3, 1))}, "times"),
     ({"longest": 0.0}, "longest"), ({"n_null": -1}, "n_null")],
)  # fmt: skip
def test_lag_refuses_what_does_not_fit(change, told):
    with pytest.raises(ArgumentError, match=told):
        lag(**({"x": np.zeros(3), "y": np.zeros(3), "times": np.zeros(3)} | change))
