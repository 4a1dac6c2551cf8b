"""Random draws: even, seeded, each unit's its own."""

from __future__ import annotations

import itertools

import numpy as np
from scipy import stats

from lsdx.kernels.resampling import kept_spikes, scatter_ones, shuffle_intervals, stream_keys, thin
from lsdx.kernels.trains import Trains


def test_every_way_to_place_ones_is_as_likely() -> None:
    drawn = scatter_ones(6, 3, 20_000, 0)
    assert (drawn.sum(axis=1) == 3).all()
    ways = dict.fromkeys(itertools.combinations(range(6), 3), 0)
    for row in drawn:
        ways[tuple(np.flatnonzero(row).tolist())] += 1
    assert stats.chisquare(list(ways.values())).pvalue > 1e-3
    np.testing.assert_array_equal(drawn, scatter_ones(6, 3, 20_000, 0))
    assert not scatter_ones(9, 0, 2, 0).any()
    assert scatter_ones(9, 9, 2, 0).all()


def test_every_order_of_intervals_is_as_likely() -> None:
    ticks = np.cumsum([1, 10, 100, 1000])
    row = np.array([0]), np.array([4])
    drawn = shuffle_intervals(Trains(ticks, *row), np.array([5], dtype=np.uint64), 0, 20_000)
    orders = dict.fromkeys(itertools.permutations([1, 10, 100, 1000]), 0)
    for train in drawn:
        orders[tuple(np.diff(train, prepend=0).tolist())] += 1
    assert stats.chisquare(list(orders.values())).pvalue > 1e-3


def test_shuffles_belong_to_their_unit_and_number() -> None:
    rng = np.random.default_rng(0)
    trains = [np.cumsum(rng.integers(1, 50, n)) for n in (30, 0, 12)]
    size = np.array([t.size for t in trains])
    ticks, first = np.concatenate(trains), np.cumsum(size) - size
    keys = np.array([7, 8, 9], dtype=np.uint64)
    whole = shuffle_intervals(Trains(ticks, first, size), keys, 0, 5)
    alone = shuffle_intervals(Trains(trains[2], np.array([0]), size[2:]), keys[2:], 3, 5)
    np.testing.assert_array_equal(alone, whole[3:, first[2] :])
    for row in whole:
        for a, n, train in zip(first, size, trains, strict=True):
            got = np.diff(row[a : a + n], prepend=0)
            np.testing.assert_array_equal(np.sort(got), np.sort(np.diff(train, prepend=0)))


def test_thinning_is_binomial() -> None:
    keys = stream_keys(np.arange(500, dtype=np.uint64), 1)
    kept = thin(np.full((500, 20), 10), np.full(500, 0.3), keys)
    observed = np.bincount(kept.astype(int).ravel(), minlength=11)
    expected = stats.binom.pmf(np.arange(11), 10, 0.3) * kept.size
    few = expected < 10
    observed = np.r_[observed[~few], observed[few].sum()]
    expected = np.r_[expected[~few], expected[few].sum()]
    assert stats.chisquare(observed, expected).pvalue > 1e-3


def test_spikes_of_intervals_are_thinned_each_by_itself() -> None:
    rng = np.random.default_rng(4)
    trains = [np.sort(rng.integers(0, 2000, n)) for n in (3000, 0, 2000)]
    size = np.array([t.size for t in trains])
    ticks, first = np.concatenate(trains).astype(np.uint32), np.cumsum(size) - size
    start, stop = np.tile([1200, 100, 900], (3, 1)), np.tile([1900, 900, 900], (3, 1))
    keep = np.tile([0.25, 1.0, 1.0], (3, 1))
    keys = stream_keys(np.arange(9, dtype=np.uint64), 1).reshape(3, 3)
    kept = kept_spikes(Trains(ticks, first, size), (start, stop), keep, keys)
    inside = [(ticks >= a) & (ticks < b) for a, b in ((1200, 1900), (100, 900))]
    np.testing.assert_array_equal(kept[inside[1]], True)
    assert not kept[~inside[0] & ~inside[1]].any()
    assert abs(kept[inside[0]].mean() - 0.25) < 3 * (0.1875 / inside[0].sum()) ** 0.5
    # what else there is, and its order, changes nothing
    alone = kept_spikes(
        Trains(ticks, first[2:], size[2:]),
        (start[2:, :1], stop[2:, :1]),
        keep[2:, :1],
        keys[2:, :1],
    )
    mine = np.arange(ticks.size) >= first[2]
    np.testing.assert_array_equal(alone[mine & inside[0]], kept[mine & inside[0]])
    assert not alone[~mine].any()
