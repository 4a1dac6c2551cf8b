"""Quality from spike times alone: brute force, planted doubles, merged units of known shares."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lsdx.kernels.quality import (
    CONTAMINATIONS,
    contamination,
    count_lags,
    isi_violations,
    presence_ratio,
    rate_drift,
    shared_spikes,
    sliding_refractory_period,
)
from lsdx.kernels.trains import Trains

SECOND = 100_000  # ticks


def together(*trains: np.ndarray) -> Trains:
    size = np.array([t.size for t in trains])
    ticks = np.concatenate(trains).astype(np.uint32)
    return Trains(ticks, np.cumsum(size) - size, size)


def refractory(rng: np.random.Generator, rate: float, seconds: float, dead: float) -> np.ndarray:
    """Draw a Poisson train with a dead time after each spike, of the given rate, in ticks."""
    n = int(rate * seconds * 1.5) + 100
    times = np.cumsum(dead + rng.exponential(1 / rate - dead, n))
    return np.rint(times[times < seconds] * SECOND)


def test_lags_are_those_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    trains = [np.sort(rng.integers(0, 5000, n)) for n in (80, 0, 200)]
    found = count_lags(together(*trains), 25, 12)
    for row, train in zip(found, trains, strict=True):
        lags = np.abs(np.subtract.outer(train, train))[np.triu_indices(train.size, 1)]
        np.testing.assert_array_equal(row, np.histogram(lags, np.arange(13) * 25 - 0.5)[0])


@pytest.mark.parametrize("share", [0.05, 0.1])
def test_two_merged_units_are_told_apart_by_pairs(share: float) -> None:
    """Llobet: within 10 % of the share; Hill's ratio is F (1 - F), whatever the rate."""
    rng, seconds, dead = np.random.default_rng(1), 20_000, 0.003
    trains = [
        np.sort(
            np.r_[
                refractory(rng, rate * (1 - share), seconds, dead),
                refractory(rng, rate * share, seconds, dead),
            ]
        )
        for rate in (10.0, 20.0)
    ]
    merged = together(*trains)
    lags = count_lags(merged, 25, 10)  # .25 ms, to 2.5 ms
    n = merged.row_size.astype(float)
    duration = np.full(2, float(seconds))
    found = contamination(lags.sum(axis=1), n, duration, 0.0025)
    np.testing.assert_allclose(found, share, rtol=0.1)
    np.testing.assert_allclose(found, 1 - np.sqrt(1 - 2 * share * (1 - share)), rtol=0.05)
    hill = isi_violations(lags.sum(axis=1), n, duration, 0.0025)
    np.testing.assert_allclose(hill, share * (1 - share), rtol=0.05)


def test_many_foreign_neurons_are_what_the_estimate_is_of() -> None:
    rng, seconds = np.random.default_rng(2), 20_000
    for share in (0.2, 0.4):
        own = refractory(rng, 10 * (1 - share), seconds, 0.003)
        foreign = np.rint(np.sort(rng.uniform(0, seconds, int(10 * share * seconds))) * SECOND)
        train = together(np.sort(np.r_[own, foreign]))
        pairs = count_lags(train, 25, 10).sum(axis=1)
        n = train.row_size.astype(float)
        found = contamination(pairs, n, np.array([float(seconds)]), 0.0025)
        assert found[0] == pytest.approx(share, rel=0.05)
        hill = isi_violations(pairs, n, np.array([float(seconds)]), 0.0025)
        assert hill[0] < 0.9 * share  # too low, as published


def test_limits_and_what_cannot_be_told() -> None:
    nothing = np.array([0.0])
    for function in (contamination, isi_violations):
        assert np.isnan(function(nothing, nothing, np.array([10.0]), 0.002)).all()
        assert np.isnan(function(nothing, np.array([5.0]), nothing, 0.002)).all()
        assert function(nothing, np.array([5.0]), np.array([10.0]), 0.002) == 0
    assert contamination(np.array([1e6]), np.array([10.0]), np.array([10.0]), 0.002) == 1


def test_the_sliding_test_is_poisson() -> None:
    rng = np.random.default_rng(3)
    pairs = rng.integers(0, 4, (5, 40))
    n, seconds = rng.integers(500, 9000, 5).astype(float), np.full(5, 900.0)
    confidence, least = sliding_refractory_period(pairs, n, seconds, 0.00025, 0.0005)
    for u in range(5):
        best = []
        for c in CONTAMINATIONS:
            ends = 0.00025 * np.arange(1, 41)
            expected = 2 * c * n[u] ** 2 / seconds[u] * ends
            sure = 1 - stats.poisson.cdf(np.cumsum(pairs[u]), expected)
            best.append(sure[2:].max())  # periods above .5 ms
        assert confidence[u] == pytest.approx(best[19], abs=1e-12)
        passed = CONTAMINATIONS[np.array(best) > 0.9]
        assert np.isnan(least[u]) if not passed.size else least[u] == passed[0]


def test_of_contaminated_units_few_pass_the_sliding_test() -> None:
    """At 15 % foreign spikes less than one in ten passes; clean ones pass if they spike enough."""
    rng, seconds = np.random.default_rng(4), 2000
    clean = [refractory(rng, 5, seconds, 0.004) for _ in range(60)]
    foul = [
        np.sort(np.r_[t, np.rint(np.sort(rng.uniform(0, seconds, t.size * 15 // 85)) * SECOND)])
        for t in clean
    ]
    passed = []
    for trains in (clean, foul):
        made = together(*trains)
        n = made.row_size.astype(float)
        lags = count_lags(made, 25, 40)
        confidence, _ = sliding_refractory_period(
            lags, n, np.full(60, float(seconds)), 0.00025, 0.0005
        )
        passed.append((confidence > 0.9).mean())
    assert passed[0] == 1
    assert passed[1] < 0.1


def test_presence_and_drift_by_brute_force() -> None:
    rng = np.random.default_rng(5)
    trains = [np.sort(rng.integers(0, 10_000, n)) for n in (3, 40, 0)]
    made = together(*trains)
    end = np.array([9_500, 9_500, 9_500])
    wanted = [np.unique(t[t < 9_000] // 1000).size / 9 for t in trains]
    np.testing.assert_allclose(presence_ratio(made, end, 1000), wanted)
    assert np.isnan(presence_ratio(made, np.array([999] * 3), 1000)).all()
    third = 9_500 // 3
    first = np.array([(t < third).sum() for t in trains])
    last = np.array([((t >= 9_500 - third) & (t < 9_500)).sum() for t in trains])
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(rate_drift(made, end), (last - first) / (last + first))


def test_shared_spikes_by_brute_force() -> None:
    rng = np.random.default_rng(6)
    trains = [np.sort(rng.integers(0, 3000, n)) for n in (60, 90, 40, 0, 70)]
    depth, probe = np.array([0.0, 50, 150, 50, 20]), np.array([0, 0, 0, 0, 1])
    depth[2] = np.nan
    for window, reach in ((3, 100.0), (12, 10.0)):
        found = shared_spikes(together(*trains), depth, probe, window, reach)
        for a, train in enumerate(trains):
            others = [
                np.abs(np.subtract.outer(train, trains[b])).min(axis=1, initial=9999) <= window
                for b in range(5)
                if b != a and probe[a] == probe[b] and abs(depth[a] - depth[b]) <= reach
            ]
            wanted = max((o.mean() for o in others), default=0.0) if train.size else np.nan
            np.testing.assert_allclose(found[a], wanted)


def test_planted_doubles_are_found() -> None:
    """Of 5 % doubles within .1 ms, 99 % are found, and of others .1 % at most."""
    rng, seconds = np.random.default_rng(7), 3000
    clean = refractory(rng, 10, seconds, 0.003)
    doubled = rng.choice(clean, int(0.05 * clean.size), replace=False)
    doubles = np.sort(np.r_[clean, doubled + rng.integers(0, 10, doubled.size)])
    found = count_lags(together(clean, doubles), 25, 1)[:, 0]
    assert found[0] == 0
    assert found[1] >= 0.99 * doubled.size
    assert found[1] <= doubled.size * 1.001
    other = refractory(rng, 10, seconds, 0.003)
    shared = shared_spikes(
        together(clean, np.sort(np.r_[other, doubled])), np.zeros(2), np.zeros(2, int), 25, 100.0
    )
    by_chance = 2 * 25 / SECOND * 10
    assert shared[0] == pytest.approx(0.05 + by_chance, abs=0.002)
