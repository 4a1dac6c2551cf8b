"""Populations of known relation: none, one slow course, one period."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.signal import lfilter

from lsdx.kernels.complexity import lempel_ziv
from lsdx.kernels.population_complexity import measure_complexity, population_bits
from lsdx.kernels.resampling import shift_circularly, stream_keys


def measured(counts: np.ndarray, **options: Any) -> dict[str, Any]:
    n_units, n_cells, _ = counts.shape
    how: dict[str, Any] = {
        "n_bins": 1,
        "signal": "mean",
        "n_surrogates": 10,
        "min_units": 2,
        "draws": 0,
        "seed": 0,
    }
    return measure_complexity(
        counts,
        np.ones(n_units, dtype=bool),
        np.ones(n_cells, dtype=bool),
        np.arange(n_units, dtype=np.uint64) + 7,
        list(range(n_cells)),
        **how | options,
    )


def latent(rng: np.random.Generator, n: int, tau: float) -> np.ndarray:
    a = np.exp(-1 / tau)
    return lfilter([np.sqrt(1 - a**2)], [1, -a], rng.normal(size=n + 500))[500:]


@pytest.mark.parametrize("signal", ["mean", "pc1"])
def test_shifted_units_tell_what_is_shared(signal: str) -> None:
    rng = np.random.default_rng(0)
    shared = latent(rng, 2000, 30)
    own = np.stack([latent(rng, 2000, 30) for _ in range(40)])
    rate = 0.5 * np.exp(0.6 * np.stack([np.tile(shared, (40, 1)), own], axis=1))
    found = measured(rng.poisson(rate).astype(float), signal=signal)
    assert found["complexity_ratio"][0] < 0.9
    if signal == "mean":
        assert found["complexity_ratio"][1] == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(
        found["complexity_ratio"], found["complexity"] / found["complexity_surrogate"]
    )


def test_units_without_relation_have_a_ratio_of_1() -> None:
    rng = np.random.default_rng(1)
    ratios = [
        measured(rng.poisson(0.3, (30, 1, 1000)).astype(float))["complexity_ratio"][0]
        for _ in range(40)
    ]
    assert np.mean(ratios) == pytest.approx(1, abs=3 * np.std(ratios) / np.sqrt(40) + 0.002)


def test_half_of_the_bits_are_1_at_any_rate() -> None:
    rng = np.random.default_rng(2)
    for rate in (0.02, 0.3, 5.0):
        counts = rng.poisson(rate, (40, 3000)).astype(float)
        assert population_bits(counts).mean() == pytest.approx(0.5, abs=0.02)
    majority = (rng.poisson(0.3, (40, 3000)) > 0).mean(axis=0) > 0.5
    assert majority.mean() < 0.01  # why a majority of active units is no bit


def test_bits_are_of_the_mean_z_score_and_of_the_first_component() -> None:
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(3)
    counts = rng.poisson(np.exp(0.5 * latent(rng, 600, 10)), (12, 600)).astype(float)
    z = (counts - counts.mean(axis=1, keepdims=True)) / counts.std(axis=1, keepdims=True)
    mean = z.mean(axis=0)
    np.testing.assert_array_equal(population_bits(counts), mean > np.median(mean))
    score = PCA(1).fit_transform(z.T)[:, 0]
    bits, expected = population_bits(counts, signal="pc1"), score > np.median(score)
    assert max((bits == expected).mean(), (bits != expected).mean()) > 0.995
    own = measured(counts[:, None])["complexity"][0]
    assert own == pytest.approx(float(lempel_ziv(mean > np.median(mean))))


def test_too_few_windows_and_constant_units_are_nan_with_a_note() -> None:
    rng = np.random.default_rng(4)
    counts = rng.poisson(1.0, (5, 3, 400)).astype(float)
    counts[:, 1, 150:], counts[:, 2] = np.nan, 2.0
    found = measured(counts)
    assert found["note"].tolist() == ["", "fewer than 200 windows", "units without variance"]
    np.testing.assert_array_equal(np.isnan(found["complexity_ratio"]), [False, True, True])
    assert measured(counts, min_units=6)["note"][0] == "5 units, fewer than min_units=6"


def test_thinning_brings_units_to_equal_rates() -> None:
    rng = np.random.default_rng(5)
    own, matched = [], []
    for _ in range(8):
        drive = np.exp(0.7 * latent(rng, 2000, 20))
        counts = np.stack([rng.poisson(r * drive, (30, 2000)) for r in (0.1, 1.0)], axis=1)
        for into, draws in ((own, 0), (matched, 3)):
            ratio = measured(counts.astype(float), draws=draws, n_surrogates=5)["complexity_ratio"]
            into.append(ratio[1] - ratio[0])
    assert np.mean(own) < -0.1  # more spikes, more of the same course
    assert abs(np.mean(matched)) < 0.04


def test_surrogates_are_the_bits_of_shifted_counts() -> None:
    counts = np.random.default_rng(6).poisson(0.4, (20, 1, 500)).astype(float)
    keys = np.arange(20, dtype=np.uint64) + 7
    found = measured(counts, n_surrogates=4, seed=3)
    shifted = [shift_circularly(counts[:, 0], stream_keys(keys, 3, 2, 0, s, 0)) for s in range(4)]
    expected = np.mean([lempel_ziv(population_bits(x)) for x in shifted])
    assert found["complexity_surrogate"][0] == pytest.approx(expected)
