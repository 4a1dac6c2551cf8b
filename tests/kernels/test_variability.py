"""Variability against processes whose values are known, NumPy loops and elephant."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsdx.kernels.trains import Trains
from lsdx.kernels.variability import (
    allan_factor,
    cv,
    cv2,
    fano_factor,
    interval_measures,
    lv,
    lvr,
    window_counts,
)

# the first example compiles
settings.register_profile("kernels", deadline=None)
SETTINGS = settings.get_profile("kernels")


def ragged(trains, dtype=np.float64):
    """Trains as one array, with where each begins and how long it is."""
    size = np.array([len(train) for train in trains], dtype=np.int64)
    times = np.array([t for train in trains for t in train], dtype=dtype)
    return Trains(times, np.cumsum(size) - size, size)


def brute(trains, start, stop):
    """The measures from their definitions (LvR of R = 1), one train and interval at a time."""
    out = np.full((4, *start.shape), np.nan)
    for u, train in enumerate(trains):
        for k in range(start.shape[1]):
            inside = [float(t) for t in train if start[u, k] <= t < stop[u, k]]
            intervals = np.diff(inside)
            if intervals.size < 2 or intervals.mean() == 0:
                continue
            pairs = [(a, b) for a, b in pairwise(intervals) if a + b > 0]
            out[0, u, k] = np.std(intervals) / np.mean(intervals)
            out[1, u, k] = np.mean([2 * abs(b - a) / (b + a) for a, b in pairs])
            out[2, u, k] = 3 * np.mean([((a - b) / (a + b)) ** 2 for a, b in pairs])
            terms = [(1 - 4 * a * b / (a + b) ** 2) * (1 + 4 / (a + b)) for a, b in pairs]
            out[3, u, k] = 3 * np.mean(terms)
    return out


# one train


def test_values_worked_out_by_hand():
    # intervals 1, 3, 2: mean 2, variance 2/3; ratios of neighbours 1/2 and 1/5
    train = np.array([5.0, 6.0, 9.0, 11.0])
    assert cv(train) == pytest.approx((2 / 3) ** 0.5 / 2)
    assert cv2(train) == pytest.approx(0.7)
    assert lv(train) == pytest.approx(3 / 2 * (0.25 + 0.04))


@pytest.mark.parametrize(("k", "of_cv2"), [(1, 1.0), (2, 0.75), (4, 0.546875)])
def test_gamma_intervals_have_their_known_values(k, of_cv2):
    times = np.cumsum(np.random.default_rng(k).gamma(k, 1 / k, 1_000_000))
    assert cv(times) == pytest.approx(k**-0.5, abs=0.01)
    assert cv2(times) == pytest.approx(of_cv2, abs=0.005)
    assert lv(times) == pytest.approx(3 / (2 * k + 1), abs=0.005)


def test_a_rate_that_drifts_raises_cv_but_not_the_local_measures():
    # a Poisson process of rate 1 on a time that runs ever faster
    rng = np.random.default_rng(0)
    times = np.sqrt(np.cumsum(rng.exponential(size=200_000)))
    assert cv(times) > 1.1
    assert cv2(times) == pytest.approx(1, abs=0.01)
    assert lv(times) == pytest.approx(1, abs=0.01)


def test_lvr_takes_a_dead_time_of_its_constant_out():
    rng = np.random.default_rng(9)
    for rate in (3, 10, 30):
        times = np.cumsum(0.005 + rng.exponential(1 / rate - 0.005, 300_000))
        assert lvr(times) == pytest.approx(1, abs=0.05 if rate < 30 else 0.16)
        assert lvr(times, refractoriness=0) == lv(times)
        ticks = np.rint(times * 1e5).astype(np.int64)
        assert lvr(ticks, refractoriness=500) == pytest.approx(lvr(times), rel=1e-3)
    assert lv(times) < 0.65  # what is left of 1 at 30 Hz without it


@pytest.mark.parametrize("measure", [cv, cv2, lv, lvr])
def test_a_clock_is_regular(measure):
    value = measure(np.arange(100, dtype=np.uint32) * 7)
    assert type(value) is float
    assert value == 0
    assert measure(np.arange(100) * 0.1) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("measure", [cv, cv2, lv, lvr])
@pytest.mark.parametrize("train", [[], [1.0], [1.0, 2.0], [3.0, 3.0, 3.0], [3, 3, 3, 3]])
def test_too_few_spikes_and_spikes_at_one_time_give_nan(measure, train):
    assert np.isnan(measure(np.array(train)))


def test_pairs_of_empty_intervals_are_skipped():
    # intervals 0, 0, 2, 2: the first pair has no ratio, the others 1 and 0
    train = np.array([4, 4, 4, 6, 8])
    assert cv2(train) == 1.0
    assert lv(train) == 1.5
    assert cv(train) == 1.0


def test_several_trains_at_once_are_refused():
    with pytest.raises(ValueError, match=r"expected times \(n_spikes,\), found \(2, 3\)"):
        cv(np.zeros((2, 3)))


def test_elephant_agrees():
    statistics = pytest.importorskip("elephant.statistics")
    quantities = pytest.importorskip("quantities")
    rng = np.random.default_rng(5)
    for n in (3, 4, 50, 1000):
        times = np.cumsum(rng.gamma(1.5, 0.1, n))
        intervals = np.diff(times)
        assert cv(times) == pytest.approx(statistics.cv(intervals))
        assert cv2(times) == pytest.approx(statistics.cv2(intervals))
        assert lv(times) == pytest.approx(statistics.lv(intervals))
        revised = statistics.lvr(intervals * quantities.s, R=5 * quantities.ms)
        assert lvr(times) == pytest.approx(revised)


# ragged trains in intervals


@pytest.mark.parametrize("dtype", [np.uint32, np.int64, np.float64])
def test_interval_measures_equal_a_loop(dtype):
    rng = np.random.default_rng(7)
    sizes = [0, 1, 2, 3, 4, 0, 30, 200, 1]
    trains = [np.sort(rng.integers(0, 300, n)).astype(dtype) for n in sizes]
    start = rng.integers(0, 250, (len(sizes), 8))
    stop = start + rng.integers(-20, 200, start.shape)
    start[:, 0], stop[:, 0] = 0, 300
    stop[:, 1] = start[:, 1]
    for u, train in enumerate(trains):  # spikes exactly on the bounds
        if train.size:
            start[u, 2], stop[u, 2] = train[0], train[-1]
            start[u, 3], stop[u, 3] = train[0], train[-1] + 1
    if dtype == np.float64:
        start, stop = start.astype(dtype), stop.astype(dtype)
    out = interval_measures(ragged(trains, dtype), start, stop, refractoriness=1)
    expected = brute(trains, start, stop)
    assert out.dtype == np.float64
    assert 0.2 < np.isfinite(expected).mean() < 0.8
    np.testing.assert_allclose(out, expected, rtol=1e-11, atol=1e-12)


@settings(SETTINGS, max_examples=40)
@given(
    st.lists(st.lists(st.integers(0, 60), max_size=20), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(-5, 65), st.integers(-5, 65)), min_size=1, max_size=4),
)
def test_any_trains_equal_a_loop(trains, bounds):
    trains = [sorted(train) for train in trains]
    start, stop = (np.array([edge] * len(trains)) for edge in zip(*bounds, strict=True))
    out = interval_measures(ragged(trains, np.int64), start, stop, refractoriness=1)
    np.testing.assert_allclose(out, brute(trains, start, stop), rtol=1e-11, atol=1e-12)


@settings(SETTINGS, max_examples=40)
@given(st.lists(st.integers(0, 1000), min_size=3, max_size=30), st.integers(1, 1000))
def test_the_clock_does_not_matter(train, scale):
    train = np.sort(np.array(train))
    for measure in (cv, cv2, lv, lambda t: lvr(t, refractoriness=0)):
        expected = pytest.approx(measure(train), rel=1e-9, nan_ok=True)
        assert measure(train * scale + 2**60) == expected  # ticks that floats do not hold
        assert measure(train.astype(np.uint32)) == expected
        assert measure(train / 1024) == expected
        assert measure(train.max() - train[::-1]) == expected


def test_intervals_are_half_open():
    times, row_start, row_size = ragged([[10, 11, 13, 17]], np.uint32)
    starts = np.array([[10, 11, 10, 10, 10]])
    stops = np.array([[18, 18, 17, 13, 14]])
    out = interval_measures(Trains(times, row_start, row_size), starts, stops)
    one = [cv2(times), cv2(times[1:]), cv2(times[:3]), np.nan, cv2(times[:3])]
    np.testing.assert_array_equal(out[1, 0], one)


def test_intervals_that_are_not_observed_give_nan():
    times, row_start, row_size = ragged([[1.0, 2.0, 4.0]])
    start = np.array([[0.0, 5.0, 5.0, np.nan, 0.0]])
    stop = np.array([[9.0, 5.0, 0.0, np.nan, np.nan]])
    out = interval_measures(Trains(times, row_start, row_size), start, stop)
    assert np.isfinite(out).tolist() == [[[True, False, False, False, False]]] * 4


def test_units_have_nothing_to_do_with_their_neighbours():
    rng = np.random.default_rng(3)
    trains = [np.sort(rng.random(n)) for n in (40, 0, 7, 100, 2)]
    start = rng.random((5, 3)) / 2
    stop = start + 0.5
    times, row_start, row_size = ragged(trains)
    whole = interval_measures(Trains(times, row_start, row_size), start, stop)
    order = [3, 0, 4, 2, 1]
    moved = interval_measures(
        Trains(times, row_start[order], row_size[order]), start[order], stop[order]
    )
    np.testing.assert_array_equal(moved, whole[:, order])
    regrouped = ragged([trains[u] for u in order])
    np.testing.assert_array_equal(
        interval_measures(regrouped, start[order], stop[order]), whole[:, order]
    )


def test_no_units_or_no_intervals_give_nothing():
    empty = np.zeros(0, dtype=np.int64)
    nothing = interval_measures(
        Trains(np.zeros(0), empty, empty), np.zeros((0, 2)), np.zeros((0, 2))
    )
    assert nothing.shape == (4, 0, 2)
    one = np.zeros(1, dtype=np.int64)
    assert interval_measures(
        Trains(np.zeros(0), one, one), np.zeros((1, 0)), np.zeros((1, 0))
    ).shape == (4, 1, 0)  # fmt: skip


def test_arrays_that_do_not_belong_together_are_refused():
    times, row_start, row_size = ragged([[1.0, 2.0, 3.0], [4.0]])
    bounds = np.zeros((2, 1))
    with pytest.raises(ValueError, match=r"expected row_start and row_size \(n_units,\)"):
        interval_measures(Trains(times, row_start, row_size[:1]), bounds, bounds)
    with pytest.raises(ValueError, match=r"start and stop \(n_units, n_intervals\)"):
        interval_measures(Trains(times, row_start, row_size), bounds[:1], bounds[:1])
    with pytest.raises(ValueError, match=r"start and stop \(n_units, n_intervals\)"):
        interval_measures(Trains(times, row_start, row_size), bounds, np.zeros((2, 2)))
    for outside in (row_start + 1, row_start - 1):
        with pytest.raises(ValueError, match="within the 4 times"):
            interval_measures(Trains(times, outside, row_size), bounds, bounds)


# counts


def test_counts_worked_out_by_hand():
    # mean 2; squares of deviations 1, 1, 0, 4, 4; of differences 4, 1, 4, 16
    counts = np.array([1, 3, 2, 0, 4])
    assert fano_factor(counts) == pytest.approx(10 / 4 / 2)
    assert allan_factor(counts) == pytest.approx(25 / 4 / 4)


@pytest.mark.parametrize(("n", "mean"), [(30, 0.5), (30, 5.0), (1000, 5.0)])
def test_poisson_counts_have_fano_and_allan_1_over_few_windows_too(n, mean):
    counts = np.random.default_rng(n).poisson(mean, (10_000, n))
    assert np.nanmean(fano_factor(counts)) == pytest.approx(1, abs=0.01)
    assert np.nanmean(allan_factor(counts)) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("k", [0.5, 2.0])
def test_poisson_counts_of_gamma_rates_are_overdispersed(k):
    rng = np.random.default_rng(1)
    counts = rng.poisson(rng.gamma(k, 3 / k, 1_000_000))
    # no window knows of the one before
    assert fano_factor(counts) == pytest.approx(1 + 3 / k, rel=0.01)
    assert allan_factor(counts) == pytest.approx(1 + 3 / k, rel=0.01)


def test_an_erlang_process_in_equilibrium_has_its_known_fano_factor():
    rate = 10.0
    times = np.cumsum(np.random.default_rng(2).gamma(2, 1 / (2 * rate), 2_000_000))
    edges = np.arange(5.0, times[-1], 0.05)
    counts = np.diff(np.searchsorted(times, edges))
    for n in (1, 2, 10, 40):
        lt = rate * n * 0.05
        expected = 0.5 + (1 - np.exp(-4 * lt)) / (8 * lt)
        assert fano_factor(window_counts(counts, n)) == pytest.approx(expected, abs=0.01)


def test_a_drifting_rate_raises_fano_but_hardly_allan():
    # 7 to 13 Hz over 300 s
    edges = np.linspace(0, 300, 3001)
    expected = np.diff(7 * edges + edges**2 / 100)
    counts = np.random.default_rng(4).poisson(expected, (2000, 3000)).astype(np.uint8)
    means = window_counts(expected, 100)
    long = window_counts(counts, 100)
    fano, allan = fano_factor(long).mean(), allan_factor(long).mean()
    assert fano == pytest.approx(1 + means.var(ddof=1) / means.mean(), abs=0.05)
    assert fano == pytest.approx(4.1, abs=0.05)
    assert allan == pytest.approx(1 + np.mean(np.diff(means) ** 2) / 200, abs=0.02)
    assert allan == pytest.approx(1.03, abs=0.02)
    assert fano_factor(counts).mean() == pytest.approx(1.03, abs=0.005)


def test_elephant_agrees_on_fano_but_for_the_divisor():
    statistics = pytest.importorskip("elephant.statistics")
    rng = np.random.default_rng(6)
    counts = rng.poisson(4, 25)
    theirs = statistics.fanofactor([np.sort(rng.random(n)) for n in counts])
    # elephant divides by the number of windows, which is too small on average
    assert fano_factor(counts) * 24 / 25 == pytest.approx(theirs)


@pytest.mark.parametrize(
    ("dtype", "axis"), [("u1", 0), ("u1", 1), ("u1", 2), ("?", -1), ("i8", -1), ("f4", -1)]
)
def test_counts_of_every_dtype_along_every_axis_equal_numpy(dtype, axis):
    counts = np.random.default_rng(8).poisson(3, (4, 5, 60)).clip(0, 1 if dtype == "?" else 9)
    fano, allan = (f(counts.astype(dtype), axis=axis) for f in (fano_factor, allan_factor))
    assert fano.dtype == allan.dtype == np.float64
    mean = counts.mean(axis)
    np.testing.assert_allclose(fano, counts.var(axis, ddof=1) / mean, atol=1e-15)
    squares = np.diff(counts, axis=axis) ** 2
    np.testing.assert_allclose(allan, squares.mean(axis) / 2 / mean, atol=1e-15)


def test_large_counts_lose_no_digits():
    counts = 1e9 + np.array([0.0, 1.0, 2.0, 3.0])
    assert fano_factor(counts) == pytest.approx(counts.var(ddof=1) / counts.mean(), rel=1e-12)
    assert allan_factor(counts) == pytest.approx(0.5 / counts.mean(), rel=1e-12)


@settings(SETTINGS, max_examples=40)
@given(st.lists(st.integers(0, 255), min_size=2, max_size=20), st.integers(0, 5))
def test_windows_not_observed_at_the_end_are_skipped(counts, n_missing):
    counts = np.array(counts, dtype=np.float32)
    padded = np.concatenate([counts, np.full(n_missing, np.nan, dtype=np.float32)])
    for measure in (fano_factor, allan_factor):
        np.testing.assert_array_equal(measure(padded), measure(counts))


def test_differences_to_a_window_not_observed_are_skipped():
    counts = np.array([1.0, 3.0, np.nan, 0.0, 4.0])
    assert fano_factor(counts) == pytest.approx(10 / 3 / 2)
    assert allan_factor(counts) == pytest.approx((4 + 16) / 2 / 4)
    assert np.isnan(allan_factor(np.array([1.0, np.nan, 3.0])))


@pytest.mark.parametrize("measure", [fano_factor, allan_factor])
@pytest.mark.parametrize("counts", [[], [3], [3.0, np.nan], [np.nan] * 4, [0, 0, 0], [0.0] * 3])
def test_too_few_windows_and_silence_give_nan(measure, counts):
    value = measure(np.array(counts))
    assert value.shape == ()
    assert np.isnan(value)


@pytest.mark.parametrize("measure", [fano_factor, allan_factor])
def test_no_units_have_no_factors(measure):
    assert measure(np.zeros((0, 3, 5))).shape == (0, 3)
    assert measure(np.zeros((2, 0, 5)), axis=0).shape == (0, 5)
    assert np.isnan(measure(np.zeros((2, 3, 0)))).all()


# windows


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
@pytest.mark.parametrize("n", [1, 3, 7, 20, 21])
def test_windows_are_sums_of_whole_groups_of_bins(dtype, n):
    counts = np.random.default_rng(9).integers(0, 256, (2, 3, 20)).astype(dtype)
    out = window_counts(counts, n)
    expected = [
        [[int(row[i * n : (i + 1) * n].sum()) for i in range(20 // n)] for row in rows]
        for rows in counts.astype(int)
    ]
    assert out.shape == (2, 3, 20 // n)
    assert out.tolist() == expected


def test_windows_with_bins_not_observed_are_nan():
    counts = np.array([1.0, 2.0, 3.0, np.nan, 5.0, 6.0, np.nan])
    np.testing.assert_array_equal(window_counts(counts, 2), [3, np.nan, 11])


@pytest.mark.parametrize("n", [0, -2])
def test_windows_hold_a_bin(n):
    with pytest.raises(ValueError, match="at least 1 bin a window"):
        window_counts(np.zeros(4), n)


# all


def test_inputs_are_only_read():
    times, row_start, row_size = ragged([[1.0, 2.0, 4.0], [3.0, 3.0]])
    start, stop = np.zeros((2, 1)), np.full((2, 1), 5.0)
    counts = np.array([[1.0, 2.0, 4.0, np.nan]])
    arrays = (times, row_start, row_size, start, stop, counts)
    for array in arrays:
        array.flags.writeable = False  # writing would raise
    before = [array.copy() for array in arrays]
    interval_measures(Trains(times, row_start, row_size), start, stop)
    fano_factor(counts), allan_factor(counts), window_counts(counts, 2)
    for old, new in zip(before, arrays, strict=True):
        np.testing.assert_array_equal(old, new)
