"""Distances, correlations and times against loops, closed forms and other libraries."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy.signal import lfilter

from lsdx.kernels.similarity import (
    compare_patterns,
    compare_times,
    crossvalidated_distance,
    crossvalidated_products,
    reliability,
)

OPTIONS: dict[str, Any] = {
    "n_bins": 1,
    "n_folds": 6,
    "gap": 1,
    "min_units": 2,
    "min_spikes": -np.inf,
}


def compared(counts: np.ndarray, **options: Any) -> dict[str, Any]:
    used = np.ones(counts.shape[0], dtype=bool), np.ones(counts.shape[1], dtype=bool)
    return compare_patterns(counts, *used, **OPTIONS | options)


def test_distance_is_the_mean_of_products_of_different_folds() -> None:
    patterns = np.random.default_rng(0).normal(size=(3, 5, 7))
    for a in range(3):
        for b in range(3):
            d = patterns[a] - patterns[b]
            pairs = [d[f] @ d[g] / 7 for f in range(5) for g in range(5) if f != g]
            assert crossvalidated_distance(patterns)[a, b] == pytest.approx(np.mean(pairs))
    with pytest.raises(ValueError, match="at least 2 folds"):
        crossvalidated_products(patterns[:, :1])


def test_reliability_is_the_mean_of_all_split_halves() -> None:
    folds = np.random.default_rng(1).normal(size=(6, 12)) + np.linspace(-1, 1, 12)
    split = []
    for mine in combinations(range(6), 3):
        a = folds[list(mine)].sum(axis=0)
        b = folds.sum(axis=0) - a
        # of Flanagan and Rulon: 4 cov(a, b) / var(a + b)
        split.append(4 * np.cov(a, b)[0, 1] / np.var(a + b, ddof=1))
    assert reliability(folds[None])[0] == pytest.approx(np.mean(split))
    assert np.isnan(reliability(np.zeros((1, 4, 5))))[0]


def test_distance_is_0_for_equal_patterns_and_that_of_a_known_difference() -> None:
    rng = np.random.default_rng(2)
    equal, differ, within, plain = [], [], [], []
    for _ in range(200):
        rate = rng.lognormal(1, 1, 30)[:, None, None]
        counts = rng.normal(rate, np.sqrt(rate), (30, 3, 96))
        counts[0, 2] += 1.5 * np.sqrt(rate[0, 0])  # d = 1.5 sd in one of 30 units
        found = compared(counts)
        equal.append(found["distance"][0, 1])
        differ.append(found["distance"][0, 2])
        within.append(found["distance_within"][0])
        means = (counts.mean(axis=2) / np.sqrt(rate[:, :, 0])).T
        plain.append(np.mean((means[0] - means[1]) ** 2))
    for values, expected in ((equal, 0.0), (within, 0.0), (differ, 1.5**2 / 30)):
        error = np.std(values) / np.sqrt(200)
        assert abs(np.mean(values) - expected) < 3 * error + 0.003 * expected
    assert np.mean(plain) > 10 * np.std(plain) / np.sqrt(200)  # without folds: never 0
    assert 0.4 < np.mean(np.array(equal) < 0) < 0.65


def test_correlation_over_its_ceiling_is_that_of_the_true_patterns() -> None:
    rng = np.random.default_rng(3)
    raw, corrected, true = [], [], []
    for _ in range(40):
        a, b = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 200).T
        mean = np.stack([a, b], axis=1)[:, :, None]
        found = compared(mean + 8 * rng.normal(size=(200, 2, 72)))  # reliability about 1 / 2
        raw.append(found["correlation"][0, 1])
        corrected.append(raw[-1] / found["ceiling"][0, 1])
        true.append(np.corrcoef(a, b)[0, 1])
    assert np.mean(raw) < 0.4
    assert np.mean(corrected) == pytest.approx(np.mean(true), abs=0.04)


def test_drift_counts_as_a_difference_if_slower_than_a_block() -> None:
    rng = np.random.default_rng(8)
    found = {}
    for tau in (2, 30):
        a = np.exp(-1 / tau)
        drawn = []
        for _ in range(40):
            z = lfilter([np.sqrt(1 - a**2)], [1, -a], rng.normal(size=(60, 4500)))[:, 3000:]
            x = rng.poisson(rng.lognormal(1, 0.7, (60, 1)) * np.exp(0.4 * z)).astype(float)
            cells = np.stack([x[:, :300], x[:, 1200:]], axis=1)
            one = compared(cells, n_folds=10, min_spikes=30)
            drawn.append([one["distance"][0, 1], one["distance_within"].mean()])
        found[tau] = np.mean(drawn, axis=0)
    assert np.abs(found[2]).max() < 0.002  # as the table of `similarity` says
    np.testing.assert_allclose(found[30], [0.08, 0.12], atol=0.015)


def test_patterns_without_data_are_nan_with_a_note() -> None:
    rng = np.random.default_rng(4)
    counts = rng.poisson(3.0, (8, 3, 60)).astype(float)
    counts[2], counts[3] = 5.0, 0.0
    counts[3, 0, 0] = 1.0
    counts[:, 1, 11:] = np.nan  # fewer than 12 windows
    found = compared(counts, min_spikes=2)
    assert found["n_units"] == 6  # one is constant, one of a single spike
    assert found["note"].tolist() == ["", "fewer than 12 windows", ""]
    assert np.isnan(found["distance"][1]).all()
    assert np.isfinite(found["distance"][0, 2])
    kept = compared(np.delete(counts, [2, 3], axis=0))
    np.testing.assert_allclose(found["distance"], kept["distance"])
    few = compared(counts, min_units=7, min_spikes=2)
    assert few["note"][0] == "6 units, fewer than min_units=7"
    assert np.isnan(few["distance"]).all()


def times(counts: np.ndarray, **options: Any) -> dict[str, Any]:
    used = np.ones(counts.shape[0], dtype=bool), np.ones(counts.shape[1], dtype=bool)
    how = {
        "n_bins": 2,
        "n_components": None,
        "measure": "cosine",
        "min_units": 2,
        "min_spikes": -np.inf,
        "matrix": True,
    }
    return compare_times(counts, *used, **how | options)


def test_times_are_compared_as_other_libraries_do() -> None:
    from sklearn.decomposition import PCA
    from sklearn.metrics.pairwise import cosine_similarity

    counts = np.random.default_rng(5).poisson(2.0, (6, 2, 21)).astype(float)
    counts[:, 1, 15:] = np.nan
    x = np.concatenate([counts[:, 0, :20], counts[:, 1, :14]], axis=1).reshape(6, -1, 2).sum(-1).T
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    seen = np.r_[np.arange(10), np.arange(10, 17)]
    for options, expected in (
        ({}, cosine_similarity(z)),
        ({"measure": "correlation"}, np.corrcoef(z)),
        ({"n_components": 3}, cosine_similarity(PCA(3).fit_transform(z))),
    ):
        found = times(counts, **options)
        np.testing.assert_allclose(found["similarity"][np.ix_(seen, seen)], expected, atol=1e-6)
        assert np.isnan(found["similarity"][17:]).all()
        for c, mine in enumerate((slice(0, 10), slice(10, 17))):
            values = np.linalg.eigvalsh(expected[mine, mine])
            pr = values.sum() ** 2 / (values**2).sum()
            assert found["dimension"][c] == pytest.approx(pr)


def test_times_of_one_pattern_have_one_dimension() -> None:
    course = np.sin(np.arange(40.0))
    counts = np.outer([1.0, 2.0, -1.0], course)[:, None]
    assert times(counts, n_bins=1)["dimension"][0] == pytest.approx(1)
    flat = times(np.ones((3, 1, 40)))
    assert flat["note"][0] == "0 units, fewer than min_units=2"
    assert np.isnan(flat["dimension"]).all()
