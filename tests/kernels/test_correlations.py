"""Correlations and their squares against NumPy, brute force loops and known estimators.

Nothing here was written from the kernels' code: the expected values come from definitions.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsdx.kernels.correlations import (
    chance_squared_correlation,
    correlations,
    mean_square_of,
    mean_squared_correlation,
    participation_ratio_unbiased,
    time_error,
)
from lsdx.kernels.covariance import scaled
from lsdx.kernels.dimensionality import participation_ratio
from lsdx.kernels.spectra import explained_variance
from tests.kernels.activity import PROPERTY, ar1, population, seeds, standard


@PROPERTY
@given(seeds, st.integers(3, 12), st.sampled_from([np.uint8, np.float64]))
def test_correlations_are_those_of_numpy(seed, n_bins, dtype):
    x = np.random.default_rng(seed).integers(0, 3, (n_bins, 5)).astype(dtype)
    r, varies = correlations(x)
    assert varies.tolist() == (np.ptp(x.astype(float), axis=0) > 0).tolist()
    z = scaled(x)
    off = ~np.eye(5, dtype=bool)
    np.testing.assert_allclose(r[off], (z.T @ z / (n_bins - 1))[off], atol=1e-12)
    np.testing.assert_allclose(np.diag(r)[varies], 1, atol=1e-12)
    assert (r[~varies] == 0).all()
    if varies.sum() > 1:
        expected = np.corrcoef(x[:, varies].astype(float).T)
        np.testing.assert_allclose(r[np.ix_(varies, varies)], expected, atol=1e-12)


def test_mean_squared_correlation_equals_loops_and_a_brute_jackknife():
    rng = np.random.default_rng(20)
    x = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 11)) + rng.normal(size=(40, 11))

    def mean(units: list[int], n_bins: int | None) -> float:
        terms = []
        for i, j in itertools.combinations(units, 2):
            square = np.corrcoef(x[:, i], x[:, j])[0, 1] ** 2
            terms.append(square - ((1 - square) ** 2 / (n_bins - 1) if n_bins else 0))
        return sum(terms) / len(terms)

    units = list(range(11))
    for n_bins in (40, None):
        full = mean(units, n_bins)
        out = [mean([u for u in units if u != left], n_bins) for left in units]
        error = np.sqrt(10 / 11 * sum((v - full) ** 2 for v in out))
        result = mean_square_of(*correlations(x), bias=1 / (n_bins - 1) if n_bins else 0.0)
        np.testing.assert_allclose(result, (full, error), rtol=0, atol=1e-12)
        if n_bins:
            for y in (x, np.insert(x, [2, 7], 0.0, axis=1)):
                value, both = mean_squared_correlation(y)
                of_time = time_error(y, *correlations(y))
                np.testing.assert_allclose(value, full, rtol=0, atol=1e-12)
                np.testing.assert_allclose(both, np.hypot(error, of_time), rtol=1e-9)


def test_fewer_than_three_units_or_bins_have_no_mean_squared_correlation():
    x = np.random.default_rng(21).normal(size=(30, 4))
    assert not np.isnan(mean_squared_correlation(x[:, :3])).any()
    assert not np.isnan(mean_squared_correlation(x[:3])).any()
    assert np.isnan(mean_squared_correlation(x[:, :2])).all()
    assert np.isnan(mean_squared_correlation(x[:2])).all()
    x[:, 1:3] = 0
    assert np.isnan(mean_squared_correlation(x)).all()


def test_independent_units_have_no_unbiased_participation_ratio():
    values, errors, ratios = [], [], []
    for seed in range(40):
        x = np.random.default_rng(seed).normal(size=(400, 30))
        value, error = mean_squared_correlation(x)
        values.append(value)
        errors.append(error)
        ratios.append(participation_ratio_unbiased(x))
        if value - 1.96 * error <= 0:
            assert np.isnan(ratios[-1])
        else:
            assert ratios[-1] == pytest.approx(1 / value, rel=1e-12)
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(40)
    assert np.isnan(ratios).sum() >= 32


def test_unbiased_participation_ratio_does_not_depend_on_how_many_units_there_are():
    x = population(0, 800)
    few, many = (participation_ratio_unbiased(x[:, :n]) for n in (100, 800))
    assert few == pytest.approx(many, rel=0.1)
    assert many == pytest.approx(105.6, rel=0.05)
    few, many = (participation_ratio(explained_variance(x[:, :n])) for n in (100, 800))
    assert many > 1.5 * few


def test_unbiased_participation_ratio_agrees_with_the_package_dimensionality():
    package = pytest.importorskip("dimensionality")
    for seed in (1, 2):
        x = population(seed, 100)
        expected = package.participation_ratio(standard(x, "zscore"))
        assert participation_ratio_unbiased(x) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("tau", [2.0, 20.0])
def test_chance_is_that_of_autoregressions(tau):
    """Bartlett: (1 + 2 sum rho(k)^2) / T for independent units of one autocorrelation."""
    phi, n_bins = np.exp(-1 / tau), 3000
    x = ar1(np.random.default_rng(27), n_bins, np.full(300, tau))
    expected = (1 + phi**2) / (1 - phi**2) / n_bins
    found = chance_squared_correlation(x)
    assert found == pytest.approx(expected, rel=0.05)


@pytest.mark.slow
def test_weak_correlations_that_are_given_came_out_large_by_chance() -> None:
    """The figures of the docstring of participation_ratio_unbiased: 1 % of the variance shared."""
    for n_latents, (share, median, truth) in {
        1: (0.65, 9300, 10_300),
        5: (0.013, 0, 50_200),
    }.items():
        rng = np.random.default_rng([0, n_latents])
        given, true = [], []
        for _ in range(150):
            weights = rng.normal(size=(n_latents, 60)) * np.sqrt(0.01 / 0.99 / n_latents)
            x = rng.normal(size=(3000, n_latents)) @ weights + rng.normal(size=(3000, 60))
            covariance = weights.T @ weights + np.eye(60)
            sd = np.sqrt(np.diag(covariance))
            true.append((((covariance / sd / sd[:, None]) ** 2).sum() - 60) / (60 * 59))
            given.append(float(participation_ratio_unbiased(x)))
        assert 1 / np.mean(true) == pytest.approx(truth, rel=0.02)
        assert np.isfinite(given).mean() == pytest.approx(share, abs=0.03)
        if n_latents == 1:
            assert np.nanmedian(given) == pytest.approx(median, rel=0.05)
