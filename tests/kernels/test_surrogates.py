"""Surrogates and parallel analysis on activity with a known number of components."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import eigvalsh_tridiagonal

from lsdx.kernels.spectra import explained_variance
from lsdx.kernels.surrogates import parallel_analysis, surrogate_spectra
from tests.kernels.activity import SCALES, ar1, keys_of, spiked


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("seed", range(4))
def test_parallel_analysis_keeps_two_spikes(seed, scale):
    x = spiked(np.random.default_rng(seed))
    assert parallel_analysis(x, scale=scale, rng=seed) == 2
    assert parallel_analysis(x, null="marchenko_pastur") == 2


def test_parallel_analysis_keeps_nothing_of_independent_slow_units():
    """Autocorrelation of 5 to 20 s in bins of 100 ms; a test at 5 % may err once in five."""
    kept, naive = [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x = ar1(rng, 3000, rng.uniform(50, 200, 60))
        kept.append(parallel_analysis(x, rng=seed))
        naive.append(parallel_analysis(x, null="marchenko_pastur"))
    assert kept.count(0) >= 4
    assert min(naive) >= 5


def test_parallel_analysis_repeats_with_its_seed_and_refuses_other_nulls():
    x = np.random.default_rng(18).normal(size=(100, 20))
    assert parallel_analysis(x, rng=3) == parallel_analysis(x, rng=np.random.default_rng(3))
    with pytest.raises(ValueError, match=r"\S"):
        parallel_analysis(x, null="permutation")
    with pytest.raises(ValueError, match=r"\S"):
        parallel_analysis(x, null="marchenko_pastur", scale="center")


@pytest.mark.parametrize("scale", SCALES)
def test_surrogate_spectra_keep_units_and_lose_what_they_share(scale):
    rng = np.random.default_rng(19)
    x = ar1(rng, 1000, [10.0]) + 0.5 * rng.normal(size=(1000, 30))
    keys = keys_of(30, 4)
    null = surrogate_spectra(x, scale=scale, n_surrogates=6, keys=keys)
    assert null.shape == (6, 30)
    np.testing.assert_allclose(null.sum(axis=1), 1, atol=1e-12)
    assert len({row[0] for row in null.tolist()}) == 6
    assert (null[:, 0] < 0.5 * explained_variance(x, scale=scale)[0]).all()
    again = surrogate_spectra(x, scale=scale, n_surrogates=6, keys=keys)
    np.testing.assert_array_equal(null, again)
    order = rng.permutation(30)
    other = surrogate_spectra(x[:, order], scale=scale, n_surrogates=6, keys=keys[order])
    np.testing.assert_allclose(other, null, atol=1e-10)


@pytest.mark.slow
def test_chance_seldom_lies_far_beyond_five_surrogates() -> None:
    """Largest eigenvalues of noise, by the bidiagonal form of Dumitriu & Edelman (2002)."""
    rng = np.random.default_rng(0)
    largest = np.empty((10_000, 6))
    for place in np.ndindex(largest.shape):
        c = np.sqrt(rng.chisquare(3000 - np.arange(60)))
        d = np.sqrt(rng.chisquare(59 - np.arange(59)))
        square = c**2 + np.r_[0, d**2]
        largest[place] = eigvalsh_tridiagonal(
            square, c[:-1] * d, select="i", select_range=(59, 59)
        )[0]
    first, sixth = largest[:, :5], largest[:, 5]
    far = first.max(axis=1) + 2 * (first.max(axis=1) - first.min(axis=1))
    assert 0.002 < np.mean(sixth > far) < 0.006
