"""Random draws: even, seeded, each unit's its own."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lsdx.kernels.resampling import (
    kept_spikes,
    scatter_ones,
    shift_circularly,
    shuffle_intervals,
    stream_keys,
    thin,
)
from lsdx.kernels.trains import Trains
from tests.kernels.activity import PROPERTY, keys_of, seeds


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


def test_thinning_has_the_distribution_of_the_binomial():
    n, p, draws = 12, 0.3, 40_000
    thinned = thin(np.full((3, draws), n), np.array([p, 0.5, 0.9]), keys_of(3, 7))
    assert thinned.dtype == np.float32
    for row, q in zip(thinned.astype(np.float64), (p, 0.5, 0.9), strict=True):
        assert row.mean() == pytest.approx(n * q, abs=4 * np.sqrt(n * q * (1 - q) / draws))
        assert row.var(ddof=1) == pytest.approx(n * q * (1 - q), rel=4 * np.sqrt(2 / draws))
        seen = np.bincount(row.astype(int), minlength=n + 1)
        expected = draws * stats.binom.pmf(np.arange(n + 1), n, q)
        rare = expected < 5
        keep = np.append(np.flatnonzero(~rare), n + 1)
        seen = np.append(seen, seen[rare].sum())[keep]
        expected = np.append(expected, expected[rare].sum())[keep]
        assert (expected[-1] > 0) == rare.any()
        seen, expected = seen[expected > 0], expected[expected > 0]
        assert stats.chisquare(seen, expected * draws / expected.sum()).pvalue > 1e-4


def test_thinning_keeps_variance_plus_covariance_of_any_counts():
    """Mean p E, variance p^2 V + p (1 - p) E; what stays and what goes of Poisson is unrelated."""
    rng = np.random.default_rng(22)
    counts = np.stack([rng.negative_binomial(2, 0.3, 60_000), rng.poisson(2.0, 60_000)])
    p = 0.4
    kept = thin(counts, np.full(2, p), keys_of(2, 1)).astype(np.float64)
    assert (kept <= counts).all()
    assert (kept >= 0).all()
    assert (kept == np.round(kept)).all()
    mean, variance = counts.mean(axis=1), counts.var(axis=1)
    np.testing.assert_allclose(kept.mean(axis=1), p * mean, rtol=0.015)
    np.testing.assert_allclose(kept.var(axis=1), p**2 * variance + p * (1 - p) * mean, rtol=0.03)
    gone = counts[1] - kept[1]
    assert abs(np.corrcoef(kept[1], gone)[0, 1]) < 4 / np.sqrt(60_000)


def test_thinned_poisson_is_poisson_and_without_memory():
    n_bins = 60_000
    counts = np.random.default_rng(23).poisson(3.0, (4, n_bins))
    kept = thin(counts, np.array([0.5, 0.5, 0.2, 0.9]), keys_of(4, 2)).astype(np.float64)
    np.testing.assert_allclose(kept.mean(axis=1), [1.5, 1.5, 0.6, 2.7], rtol=0.02)
    fano = kept.var(axis=1, ddof=1) / kept.mean(axis=1)
    np.testing.assert_allclose(fano, 1, atol=4 * np.sqrt(2 / n_bins))
    bound = 4.5 / np.sqrt(n_bins)
    r = np.corrcoef(kept)
    assert (abs(r[~np.eye(4, dtype=bool)]) < bound).all()
    z = (kept - kept.mean(axis=1, keepdims=True)) / kept.std(axis=1, keepdims=True)
    for lag in range(1, 6):
        assert (abs((z[:, lag:] * z[:, :-lag]).mean(axis=1)) < bound).all()


@PROPERTY
@given(seeds, st.integers(1, 8))
def test_a_units_thinning_is_its_own_whatever_the_others(seed, n):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.uniform(0, 5), (n, 30))
    keep, keys = rng.uniform(0, 1, n), stream_keys(rng.integers(0, 2**63, n).astype(np.uint64), 5)
    whole = thin(counts, keep, keys)
    order = rng.permutation(n)
    np.testing.assert_array_equal(thin(counts[order], keep[order], keys[order]), whole[order])
    for u in range(n):
        alone = thin(counts[u : u + 1], keep[u : u + 1], keys[u : u + 1])
        np.testing.assert_array_equal(alone[0], whole[u])


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64])
def test_keeping_all_copies_and_keeping_none_clears(dtype):
    counts = np.random.default_rng(24).poisson(5.0, (3, 200)).astype(dtype)
    before = counts.copy()
    out = thin(counts, np.array([1.0, 0.0, 1.5]), keys_of(3, 3))
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out[[0, 2]], counts[[0, 2]])
    assert not out[1].any()
    assert not np.shares_memory(out, counts)
    np.testing.assert_array_equal(counts, before)


def test_keys_differ_by_unit_and_purpose_and_belong_to_the_unit():
    units = np.arange(2000, dtype=np.uint64)
    paths = [(), (0,), (1,), (0, 0), (0, 1), (1, 0), (2**64 - 1,)]
    keys = [stream_keys(units, *path) for path in paths]
    assert all(k.dtype == np.uint64 and k.shape == (2000,) for k in keys)
    assert np.unique(np.concatenate(keys)).size == 2000 * len(paths)
    order = np.random.default_rng(25).permutation(2000)
    np.testing.assert_array_equal(stream_keys(units[order], 0, 1), keys[4][order])
    bits = (keys[4][:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert (abs(bits.mean(axis=0) - 0.5) < 5 * 0.5 / np.sqrt(2000)).all()


@PROPERTY
@given(seeds, st.integers(1, 6), st.integers(1, 20))
def test_shifts_roll_each_row_by_its_own_key(seed, n, n_bins):
    rng = np.random.default_rng(seed)
    x = rng.permutation(n * n_bins).reshape(n, n_bins)
    keys = stream_keys(rng.integers(0, 2**63, n).astype(np.uint64), 8)
    shifted = shift_circularly(x, keys)
    for u in range(n):
        at = int(np.flatnonzero(shifted[u] == x[u, 0])[0])
        np.testing.assert_array_equal(shifted[u], np.roll(x[u], at))
        np.testing.assert_array_equal(
            shift_circularly(x[u : u + 1], keys[u : u + 1])[0], shifted[u]
        )


def test_shifts_are_uniform():
    n, n_bins = 20_000, 10
    x = np.broadcast_to(np.arange(n_bins), (n, n_bins)).copy()
    first = shift_circularly(x, keys_of(n, 9))[:, 0]
    # whether a row may also stay in place is left open
    seen = np.bincount(first, minlength=n_bins)
    moved = seen[1:] if seen[0] == 0 else seen
    assert stats.chisquare(moved).pvalue > 1e-4
