"""The kernels against NumPy's stable sort and loops over integer ticks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsdx.clock import bin_centres, n_bins, to_bin_ticks, to_ticks
from lsdx.errors import ConfigError
from lsdx.kernels.binning import count_clusters, count_spikes, group, quantize, reorder
from lsdx.kernels.trains import Trains

# the first example compiles
settings.register_profile("kernels", deadline=None)
SETTINGS = settings.get_profile("kernels")


def ragged(trains):
    """Trains of ticks as one array, with where each begins and how long it is."""
    size = np.array([len(t) for t in trains], dtype=np.int64)
    ticks = np.array([t for train in trains for t in sorted(train)], dtype=np.uint32)
    return Trains(ticks, np.cumsum(size) - size, size)


def brute(trains, start, bins, width, length):
    """Count by comparing every spike with every bin."""
    out = np.zeros((len(trains), start.shape[1], length), dtype=np.int64)
    for u, train in enumerate(trains):
        for k in range(start.shape[1]):
            for b in range(int(bins[u, k])):
                low = int(start[u, k]) + b * width
                out[u, k, b] = sum(low <= t < low + width for t in train)
    return out


trains = st.lists(st.lists(st.integers(0, 1200), max_size=25), min_size=1, max_size=4)


# Ticks and bins


def test_a_time_is_the_nearest_tick():
    seconds = [0.0, 14.999994, 14.999996, 15.0, 15.000004, 15.000006, 42948.99999]
    ticks = [0, 1499999, 1500000, 1500000, 1500000, 1500001, 4294899999]
    assert to_ticks(seconds).tolist() == ticks


@given(st.integers(0, 4_294_899_999))
def test_every_tick_survives_seconds(tick):
    assert to_ticks(tick / 100_000) == tick
    assert to_ticks(tick / 1e5 + 4e-6) == tick


@pytest.mark.parametrize(
    ("width", "ticks"),
    [("100 ms", 10_000), ("10 us", 1), ("0.1 s", 10_000), (0.1, 10_000), ("5 min", 30_000_000),
     ("30 us", 3), (1, 100_000), (0.00007, 7)],
)  # fmt: skip
def test_bin_width_is_a_number_of_ticks(width, ticks):
    assert to_bin_ticks(width) == ticks


@pytest.mark.parametrize(
    "width", ["15 us", "1 us", "0 s", "-100 ms", 0, -0.1, 0.000015, "33.3333 us", "nan s",
              float("inf"), "100 mV", "soon", ""],
)  # fmt: skip
def test_bin_width_that_is_no_whole_number_of_ticks_is_refused(width):
    with pytest.raises(ConfigError, match="bin_width"):
        to_bin_ticks(width)


@pytest.mark.parametrize(
    ("length", "bins"),
    [
        (0, 0),
        (9_998, 0),
        (9_999, 1),
        (10_000, 1),
        (10_001, 1),
        (29_989_999, 2999),
        (29_999_998, 2999),
        (29_999_999, 3000),
        (30_000_000, 3000),
        (30_000_001, 3000),
        (30_009_998, 3000),
        (30_009_999, 3001),
    ],
)
def test_bins_are_rounded_within_a_tick_of_whole_else_floored(length, bins):
    assert n_bins(length, 10_000) == bins


@pytest.mark.parametrize("width", [10_000, 100_000, 1_000_000])
@pytest.mark.parametrize("start", [0.0, 0.1, 14.999996, 123.456789, 4001.33])
def test_300_s_give_whole_bins_for_every_start(width, start):
    length = to_ticks(start + 300.0) - to_ticks(start)
    assert n_bins(length, width) == 30_000_000 // width


@given(st.integers(0, 10**7), st.integers(3, 10**5))
def test_bins_never_pass_the_stop_by_more_than_a_tick(length, width):
    bins = int(n_bins(length, width))
    whole, rest = divmod(length, width)
    assert bins == (whole + 1 if rest == width - 1 else whole)
    assert bins * width <= length + 1
    assert length - bins * width < width - 1 or bins * width == length


@pytest.mark.parametrize("length", [0, 1, 5, 1000])
def test_bins_of_one_tick_are_as_many_as_ticks(length):
    # every length is whole in bins of one tick
    assert n_bins(length, 1) == length


def test_bin_centres_lie_half_a_bin_in():
    assert bin_centres(4, 25_000).tolist() == [0.125, 0.375, 0.625, 0.875]
    assert bin_centres(0, 25_000).shape == (0,)


# quantize, group, reorder


@settings(SETTINGS, max_examples=60)
@given(st.lists(st.floats(0, 42_949), max_size=50))
def test_quantizing_rounds_half_to_even_as_python_does(seconds):
    out = quantize(np.array(seconds, dtype=np.float64), 1e5)
    assert out.dtype == np.uint32
    assert out.tolist() == [round(s * 1e5) for s in seconds]


@settings(SETTINGS, max_examples=60)
@given(st.data())
def test_grouping_is_a_stable_sort_by_row(data):
    n_clusters = data.draw(st.integers(1, 6))
    clusters = np.array(
        data.draw(st.lists(st.integers(0, n_clusters - 1), max_size=60)), dtype=np.uint16
    )
    dtype = data.draw(st.sampled_from([np.uint32, np.bool_]))
    values = np.array(
        data.draw(
            st.lists(st.integers(0, 2**32 - 1), min_size=clusters.size, max_size=clusters.size)
        )
    ).astype(dtype)
    rows = np.array(data.draw(st.permutations(range(n_clusters))), dtype=np.int64)

    size = np.array([(rows[clusters] == r).sum() for r in range(n_clusters)], dtype=np.int64)
    stop = np.cumsum(size)
    following = stop - size
    out = np.zeros(clusters.size, dtype=dtype)
    group(values, clusters, rows, following, out)

    order = np.argsort(rows[clusters], kind="stable")
    assert out.tolist() == values[order].tolist()
    assert following.tolist() == stop.tolist()


def test_grouping_leaves_the_rows_of_other_probes_alone():
    # two probes share four rows: this one has rows 3 and 1, the other 0 and 2
    out = np.full(7, 99, dtype=np.uint32)
    following = np.array([0, 2, 4, 5])
    ticks = np.array([1, 50_000, 1_500_000, 1_500_000], dtype=np.uint32)
    group(ticks, np.array([0, 1, 0, 1]), np.array([3, 1]), following, out)
    assert out.tolist() == [99, 99, 50_000, 1_500_000, 99, 1, 1_500_000]
    assert following.tolist() == [0, 4, 4, 7]


@settings(SETTINGS, max_examples=60)
@given(st.data())
def test_reordering_keeps_the_order_within_each_cluster(data):
    theirs = np.array(data.draw(st.lists(st.integers(0, 4), max_size=40)), dtype=np.uint16)
    ours = np.array(data.draw(st.permutations(theirs.tolist())), dtype=np.uint16)
    values = np.array(
        data.draw(st.lists(st.booleans(), min_size=theirs.size, max_size=theirs.size)), dtype=bool
    )
    out = reorder(values, theirs, ours, np.bincount(ours, minlength=5))
    for cluster in range(5):
        assert out[ours == cluster].tolist() == values[theirs == cluster].tolist()


# count_spikes


@settings(SETTINGS, max_examples=80)
@given(trains, st.data())
def test_counts_equal_a_loop_over_ticks(train, data):
    width = data.draw(st.sampled_from([1, 3, 7, 50, 100]))
    shape = (len(train), data.draw(st.integers(1, 3)))
    size = shape[0] * shape[1]
    draw = lambda top: np.array(  # noqa: E731
        data.draw(st.lists(st.integers(0, top), min_size=size, max_size=size)), dtype=np.int64
    ).reshape(shape)
    start, bins = draw(900), draw(12)
    length = int(bins.max()) + data.draw(st.integers(0, 2))
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16, np.uint32, np.float32]))
    out = count_spikes(ragged(train), start, bins, width, length, dtype=dtype)
    assert out.shape == (*shape, length)
    assert out.dtype == dtype
    assert out.tolist() == brute(train, start, bins, width, length).tolist()


@settings(SETTINGS, max_examples=60)
@given(trains, st.integers(0, 400), st.integers(3, 60), st.lists(st.integers(0, 6), max_size=5))
def test_adjoining_windows_of_whole_bins_partition_the_spikes(train, begin, width, windows):
    def totals(starts, bins):
        n = len(train)
        start, bins = (np.tile(np.array(x, dtype=np.int64), (n, 1)) for x in (starts, bins))
        return count_spikes(ragged(train), start, bins, width, int(bins.max(initial=0))).sum((1, 2))

    edges = begin + width * np.cumsum([0, *windows])
    whole = totals([begin], [sum(windows)])
    assert totals(edges[:-1], windows).tolist() == whole.tolist()
    assert whole.tolist() == [sum(begin <= t < edges[-1] for t in row) for row in train]


def test_bins_are_half_open():
    trains = [[9, 10, 14, 15, 19, 20]]
    out = count_spikes(ragged(trains), np.array([[10]]), np.array([[2]]), 5, 2)
    assert out.tolist() == [[[2, 2]]]


def test_unobserved_intervals_and_silent_units_count_zero():
    trains = [[1, 2, 3], [], [1]]
    start, bins = np.zeros((3, 2), dtype=np.int64), np.array([[0, 1], [1, 1], [1, 0]])
    out = count_spikes(ragged(trains), start, bins, 4, 1)
    assert out[..., 0].tolist() == [[0, 3], [0, 0], [1, 0]]


def test_a_unit_never_counts_its_neighbours_spikes():
    # both sides of the unit in the array have spikes in the interval
    trains = [[5, 6], [100], [5, 6, 7]]
    start, bins = np.zeros((3, 1), dtype=np.int64), np.full((3, 1), 2)
    out = count_spikes(ragged(trains), start, bins, 5, 2)
    assert out[:, 0].tolist() == [[0, 2], [0, 0], [0, 3]]


def test_times_near_the_end_of_the_clock():
    last = 4_294_899_999
    out = count_spikes(ragged([[last - 1, last]]), np.array([[last - 1]]), np.array([[2]]), 1, 2)
    assert out.tolist() == [[[1, 1]]]


@settings(SETTINGS, max_examples=60)
@given(trains, st.data())
def test_only_kept_spikes_are_counted(train, data):
    n = sum(map(len, train))
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=bool)
    ticks, row_start, row_size = ragged(train)
    left, at = [], 0
    for row in train:
        left.append([t for t, k in zip(sorted(row), keep[at : at + len(row)], strict=True) if k])
        at += len(row)
    start, bins = np.full((len(train), 1), 100), np.full((len(train), 1), 20)
    out = count_spikes(Trains(ticks, row_start, row_size), start, bins, 37, 20, keep)
    assert out.tolist() == brute(left, start, bins, 37, 20).tolist()


def test_a_count_that_reaches_the_maximum_is_refused():
    def count(n, dtype):
        return count_spikes(ragged([[3] * n]), np.array([[0]]), np.array([[1]]), 5, 1, dtype=dtype)

    assert count(254, np.uint8).tolist() == [[[254]]]
    with pytest.raises(OverflowError, match="below 255"):
        count(255, np.uint8)
    assert count(255, np.uint16).tolist() == [[[255]]]
    assert count(65_535, np.float32).tolist() == [[[65_535]]]


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.int64])
def test_clusters_are_counted_as_numpy_counts_them(dtype):
    clusters = np.random.default_rng(0).integers(0, 50, 10_000).astype(dtype)
    assert count_clusters(clusters, 60).tolist() == np.bincount(clusters, minlength=60).tolist()
    assert count_clusters(clusters[:0], 2).tolist() == [0, 0]
    for outside in (60, 51, 50):
        clusters[5_000] = outside
        with pytest.raises(IndexError, match="out of range"):
            count_clusters(clusters, 50)


def test_a_negative_cluster_is_refused():
    with pytest.raises(IndexError, match="out of range"):
        count_clusters(np.array([1, -1]), 50)


def test_inputs_are_not_changed():
    ticks, row_start, row_size = ragged([[1, 5], [3]])
    start, bins, keep = (
        np.zeros((2, 1), dtype=np.int64),
        np.ones((2, 1), dtype=np.int64),
        np.ones(3, dtype=bool),
    )
    given_arrays = (ticks, row_start, row_size, start, bins)
    before = [a.copy() for a in (*given_arrays, keep)]
    count_spikes(Trains(*given_arrays[:3]), start, bins, 10, 1, keep)
    for old, new in zip(before, (*given_arrays, keep), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_row_that_outgrows_its_place_is_refused():
    out, next_row = np.zeros(1, dtype=np.uint32), np.zeros(1, dtype=np.int64)
    zeros = np.zeros(2, dtype=np.int64)
    with pytest.raises(IndexError, match="passes the end"):
        group(np.array([1, 2]), zeros, zeros[:1], next_row, out)
