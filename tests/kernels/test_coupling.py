"""Means of pairs' correlations, and of units with the rest: closed forms and loops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.signal import lfilter

from lsdx.kernels.coupling import Place, block_sums, pair_correlations, population_couplings
from lsdx.kernels.resampling import shift_circularly
from lsdx.kernels.samples import Options, Trials, halves_of_stimuli, less_stimulus_means

OPTIONS = Options("total", 1, 1.0, True, 5, 0, 2, 0)
NOWHERE = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)


def place(n: int, apart: float = 50.0) -> Place:
    """Say nothing of where units are."""
    return Place(np.full(n, -1), np.zeros(n), apart)


def pairs(counts: np.ndarray, options: Options, trials: Trials | None = None) -> dict[str, Any]:
    """Correlate all pairs of (n_units, n_cells, n_bins)."""
    n, n_cells = counts.shape[:2]
    yes, keys = np.ones(n, dtype=bool), np.arange(n, dtype=np.uint64)
    out = pair_correlations(
        counts.astype(np.float32),
        yes,
        np.ones(n_cells, dtype=bool),
        keys,
        list(range(n_cells)),
        np.zeros(n, dtype=np.int64),
        1,
        place(n),
        trials,
        options,
    )
    return {name: v[0, 0] for name, v in out.items()}


def shared(rng: np.random.Generator, mean: np.ndarray, variance: float, n: int) -> np.ndarray:
    """Poisson counts (n units, bins) of mean (bins,), times one gain of mean 1 for all units."""
    gain = rng.gamma(1 / variance, variance, mean.size)
    return rng.poisson(mean * gain, (n, mean.size))


def test_sums_over_blocks_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    a, b, code = rng.normal(size=(9, 6)), rng.normal(size=(9, 6)), rng.integers(0, 3, 9)
    where = Place(rng.integers(0, 2, 9), rng.uniform(0, 200, 9), 50.0)
    near = where.near(np.ones(9, dtype=bool))
    expected = np.zeros((3, 3))
    left_out = 0
    for i in range(9):
        for j in range(9):
            close = abs(where.depth[i] - where.depth[j]) < 50
            if i == j or (close and where.insertion[i] == where.insertion[j]):
                left_out += i < j
                continue
            expected[code[i], code[j]] += (a[i] @ b[j] + a[j] @ b[i]) / 2
    assert near[0].size == left_out > 0
    np.testing.assert_allclose(block_sums(a, b, code, 3, near), expected)


@pytest.mark.parametrize("kind", ["total", "noise"])
def test_thinning_to_the_lowest_rate_gives_the_correlation_of_that_rate(kind: str) -> None:
    """With gains of variance v: r = m v / (1 + m v), .2 at 5 Hz and .6 at 30 Hz for v = .05."""
    rng = np.random.default_rng(1)
    n_bins, stimulus = 6000, np.tile([0, 1], 3000)
    mean = np.ones(n_bins) if kind == "total" else np.where(stimulus, 1.3, 0.7)
    counts = np.stack([shared(rng, rate * mean, 0.05, 20) for rate in (30, 5)], axis=1)
    trials = Trials(np.repeat([0, 1], n_bins), np.tile(np.arange(n_bins), 2), np.tile(stimulus, 2))
    options = replace(OPTIONS, kind=kind)
    matched = pairs(counts, options, trials)
    own = pairs(counts, replace(options, match_rates=False), trials)
    square = np.mean(mean**2) * 0.05
    expected = np.array([rate * square / (1 + rate * square) for rate in (30, 5)])
    np.testing.assert_allclose(own["correlation"], expected, atol=0.012)
    np.testing.assert_allclose(matched["correlation"], expected[1], atol=0.012)
    np.testing.assert_allclose(matched["rate"], 5, rtol=0.02)
    assert (matched["n_pairs"] == 190).all()


def test_a_correlation_of_a_high_rate_falls_with_the_rate() -> None:
    """r = .2 at 30 Hz: Fano factor 1.25, so that r q F / (1 + q (F - 1)) = .04 at 5 Hz."""
    rng = np.random.default_rng(2)
    high = shared(rng, np.full(6000, 30.0), 0.25 / 30, 20)
    low = rng.binomial(high, 1 / 6)
    counts = np.stack([high, low], axis=1)
    own = pairs(counts, replace(OPTIONS, match_rates=False))["correlation"]
    np.testing.assert_allclose(own, [0.2, 0.04], atol=0.01)
    matched = pairs(counts, OPTIONS)["correlation"]
    assert abs(matched[0] - matched[1]) < 0.005


@pytest.mark.parametrize("course", ["none", "slow", "walk"])
def test_independent_units_have_none_slow_ones_neither(course: str) -> None:
    rng = np.random.default_rng(3)
    found = []
    for _ in range(60):
        x = np.zeros((20, 300))
        if course == "slow":
            x = lfilter([1], [1, -np.exp(-1 / 20)], rng.normal(size=(20, 500)))[:, 200:] * 0.15
        if course == "walk":
            x = np.cumsum(rng.normal(size=(20, 300)), axis=1) / 20
        counts = rng.poisson(3 * np.exp(x))[:, None]
        one = pairs(counts, replace(OPTIONS, match_rates=False, n_shifts=20, cutoff=0.0))
        found.append((one["correlation"][0], one["chance"][0], one["chance_sd"][0]))
    values, chance, spread = np.array(found).T
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(60)
    assert abs(chance.mean()) < 3 * chance.std() / np.sqrt(60)
    # the spread over shifts is that over sets of units
    assert spread.mean() == pytest.approx(values.std(), rel=0.3)


def test_drift_that_units_share_is_taken_out() -> None:
    rng = np.random.default_rng(4)
    rate = np.linspace(2, 8, 300)
    counts = rng.poisson(rate, (40, 1, 300))
    kept, gone = (pairs(counts, replace(OPTIONS, cutoff=c))["correlation"][0] for c in (None, 0.0))
    assert kept > 0.3
    assert abs(gone) < 0.01


def test_the_mean_of_all_circular_shifts_is_none() -> None:
    x = np.random.default_rng(5).normal(size=50).cumsum()
    x -= x.mean()
    assert abs(np.mean([x @ np.roll(x, s) for s in range(50)])) < 1e-9


def test_stimuli_are_in_the_signal_and_not_in_the_noise() -> None:
    rng = np.random.default_rng(6)
    stimulus = np.tile(np.arange(8), 250)
    tuning = rng.normal(size=8)
    tuning = (tuning - tuning.mean()) / tuning.std()
    same = np.stack([6 + 2 * tuning[stimulus]] * 10)
    noise = rng.normal(size=(10, stimulus.size))
    common = rng.normal(size=stimulus.size)
    trials = Trials(np.zeros(2000, dtype=int), np.arange(2000), stimulus)
    options = replace(OPTIONS, match_rates=False, n_shifts=50)
    one = {
        kind: pairs((same + noise)[:, None], replace(options, kind=kind), trials)["correlation"][0]
        for kind in ("signal", "noise", "total")
    }
    assert one["signal"] == pytest.approx(1, abs=0.15)  # less chance: of 8 stimuli
    assert abs(one["noise"]) < 0.005
    assert one["total"] == pytest.approx(4 / 5, abs=0.02)
    flat = (6 + common + noise)[:, None]
    assert pairs(flat, replace(options, kind="noise"), trials)["correlation"][0] == pytest.approx(
        0.5, abs=0.03
    )


def test_what_is_shared_in_trials_does_not_enter_the_signal() -> None:
    rng = np.random.default_rng(7)
    stimulus = np.tile(np.arange(5), 8)
    trials = Trials(np.zeros(40, dtype=int), np.arange(40), stimulus)
    options = replace(OPTIONS, kind="signal", match_rates=False)
    found = []
    for _ in range(150):
        x = rng.normal(size=40) + rng.normal(size=(12, 40))
        found.append(pairs(x[:, None], options, trials)["correlation"][0])
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(150)


def test_means_of_stimuli() -> None:
    x, stimulus = np.array([[1.0, 2, 3, 4, 8]]), np.array([0, 1, 0, 1, 0])
    np.testing.assert_allclose(less_stimulus_means(x, stimulus), [[-3, -1, -1, 1, 4]])
    odd, even = halves_of_stimuli(x, stimulus)
    assert (odd.tolist(), even.tolist()) == ([[4.5, 2.0]], [[3.0, 4.0]])


def test_too_little_is_not_a_number() -> None:
    counts = np.random.default_rng(8).poisson(3.0, (4, 2, 30)).astype(np.float32)
    counts[:, 1, 9:] = np.nan
    out = pairs(counts, OPTIONS)
    assert np.isfinite(out["correlation"]).tolist() == [True, False]
    assert out["note"].tolist() == ["", "fewer than 10 windows more than slow cosines"]
    two = pairs(counts, replace(OPTIONS, kind="signal"), trials_at([0, 1, 2] * 3 + [7], [0, 1] * 5))
    assert two["note"].tolist() == ["2 repeated stimuli, fewer than 3", "no events"]
    few = pairs(counts, replace(OPTIONS, kind="noise"), trials_at([0, 1, 2], [0, 0, 0]))
    assert few["note"][0].startswith("fewer than 10 trials")
    none = pairs(counts, replace(OPTIONS, min_units=5))
    assert none["note"][0] == "fewer units than min_units=5"
    assert np.isnan(none["correlation"]).all()
    still = pairs(np.ones((3, 1, 30)), OPTIONS)
    assert still["note"].tolist() == ["no pair that varies and is apart"]


def trials_at(bins: list[int], stimuli: list[int]) -> Trials:
    return Trials(np.zeros(len(bins), dtype=int), np.array(bins), np.array(stimuli))


def population(counts: np.ndarray, where: Place, options: Options) -> dict[str, Any]:
    n, n_cells = counts.shape[:2]
    keys = np.arange(n, dtype=np.uint64)
    yes = np.ones(n, dtype=bool), np.ones(n_cells, dtype=bool)
    return population_couplings(
        counts.astype(np.float32), *yes, keys, list(range(n_cells)), where, options
    )


def test_each_unit_with_the_rest_as_a_loop_has_it() -> None:
    rng = np.random.default_rng(9)
    counts = rng.poisson(rng.gamma(3, 1, 100) * rng.uniform(0.3, 3, (12, 1)))
    depth = rng.uniform(0, 300, 12)
    for apart in (0.0, 50.0):
        where = Place(np.zeros(12, dtype=int), depth, apart)
        out = population(counts[:, None], where, replace(OPTIONS, match_rates=False))
        for i in range(12):
            others = [j for j in range(12) if j != i and not abs(depth[i] - depth[j]) < apart]
            expected = np.corrcoef(counts[i], counts[others].sum(axis=0))[0, 1]
            assert out["coupling"][i, 0] == pytest.approx(expected, abs=1e-6)
    np.testing.assert_allclose(out["rate"][:, 0], counts.mean(axis=1), rtol=1e-6)


def test_independent_units_are_not_coupled() -> None:
    rng = np.random.default_rng(10)
    options = replace(OPTIONS, match_rates=False, n_shifts=20)
    out = population(rng.poisson(4.0, (200, 1, 400)), place(200), options)
    assert abs(out["coupling"].mean()) < 3 * out["coupling"].std() / np.sqrt(200)
    assert out["chance_sd"].mean() == pytest.approx(1 / np.sqrt(400), rel=0.1)
    coupled = population(shared(rng, np.full(400, 4.0), 0.1, 50)[:, None], place(50), options)
    # r of one with the sum of 49 others: 49 c / sqrt(v (49 v + 49 48 c)), c = 1.6, v = 5.6
    expected = 49 * 1.6 / np.sqrt(5.6 * (49 * 5.6 + 49 * 48 * 1.6))
    assert coupled["coupling"].mean() == pytest.approx(expected, abs=0.05)


def test_shifts_belong_to_units() -> None:
    x = np.random.default_rng(11).normal(size=(3, 20))
    keys = np.arange(3, dtype=np.uint64)
    np.testing.assert_array_equal(shift_circularly(x, keys)[1:], shift_circularly(x[1:], keys[1:]))
