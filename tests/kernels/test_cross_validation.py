"""Variance that comes back, against latents of known variance and brute force loops."""

from __future__ import annotations

import numpy as np
import pytest

from lsdx.kernels.cross_validation import cross_validated_spectrum, shared_variance
from lsdx.kernels.dimensionality import power_law_slope
from lsdx.kernels.spectra import eigenvalues, explained_variance
from tests.kernels.activity import ar1, keys_of, rotation


def test_independent_white_units_share_nothing():
    half = np.arange(200) % 2 == 1
    for seed in range(3):
        x = np.random.default_rng(seed).normal(size=(3000, 200))
        for gap in (0, 200):
            assert abs(shared_variance(x, half, gap=gap, keys=keys_of(200, seed))) < 0.01


def test_independent_slow_units_share_nothing():
    """Autocorrelation of 20 s in bins of 100 ms, and a gap of 20 s.

    The mean of many draws: one has a standard deviation of about 0.04, their mean of 0.003.
    """
    half = np.arange(60) % 2 == 1
    draws = []
    for seed in range(160):
        x = ar1(np.random.default_rng(seed), 3000, np.full(60, 200.0))
        draws.append(shared_variance(x, half, gap=200, keys=keys_of(60, seed)))
    assert abs(np.mean(draws)) < 0.01


def test_twins_share_all_variance():
    rng = np.random.default_rng(29)
    half = np.arange(80) % 2 == 1
    for signal, gap in ((rng.normal(size=(3000, 40)), 0), (ar1(rng, 3000, np.full(40, 5.0)), 50)):
        twins = np.repeat(signal, 2, axis=1)
        assert shared_variance(twins, half, gap=gap) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("signal", [0.2, 0.5, 0.8])
def test_units_of_one_latent_share_its_part_of_the_variance(signal):
    rng = np.random.default_rng(30)
    x = np.sqrt(signal) * rng.normal(size=(3000, 1))
    x = x + np.sqrt(1 - signal) * rng.normal(size=(3000, 100))
    value = shared_variance(x, np.arange(100) % 2 == 1, keys=keys_of(100))
    assert value == pytest.approx(signal, abs=0.03)


def test_shared_variance_ignores_scale_silence_order_and_which_half_is_first():
    rng = np.random.default_rng(31)
    x = rng.normal(size=(600, 2)) @ rng.normal(size=(2, 21)) + rng.normal(size=(600, 21))
    half, keys = np.arange(21) % 2 == 1, keys_of(21)
    value = shared_variance(x, half, gap=20, keys=keys)
    assert value == shared_variance(x, half, gap=20, keys=keys)

    def same(*args: np.ndarray) -> None:
        y, h, k = args
        assert shared_variance(y, h, gap=20, keys=k) == pytest.approx(value, abs=1e-9)

    same(x * rng.uniform(0.01, 100, 21) - 5, half, keys)
    same(x, ~half, keys)
    order = rng.permutation(21)
    same(x[:, order], half[order], keys[order])
    same(
        np.insert(x, [3, 8], 1.0, axis=1),
        np.insert(half, [3, 8], True),
        np.insert(keys, [3, 8], np.uint64(77)),
    )


def test_halves_too_small_or_with_nan_share_no_number():
    x = np.random.default_rng(32).normal(size=(40, 6))
    half = np.arange(6) % 2 == 1
    assert np.isfinite(shared_variance(x, half))
    assert np.isnan(shared_variance(x, np.arange(6) < 1))
    assert np.isnan(shared_variance(x, np.ones(6, dtype=bool)))
    assert np.isnan(shared_variance(x, half, gap=38))
    assert np.isnan(shared_variance(x, half, gap=40))
    assert np.isnan(shared_variance(x, half, gap=1000))
    assert np.isnan(shared_variance(x[:3], half))
    silent = x.copy()
    silent[:, [1, 3]] = 0
    assert np.isnan(shared_variance(silent, half))
    x[3, 2] = np.nan
    assert np.isnan(shared_variance(x, half))


@pytest.mark.parametrize("shape", [(60, 9), (9, 20)])
def test_cross_validated_spectrum_equals_loops(shape):
    rng = np.random.default_rng(33)
    signal = rng.normal(size=shape) * np.linspace(3, 1, shape[1])
    a, b = (signal + 0.5 * rng.normal(size=shape) + 10 for _ in range(2))
    m = min(shape[1], shape[0] - 1)
    expected = np.zeros(m)
    for one in (a, b):
        _, _, axes = np.linalg.svd(one - one.mean(axis=0), full_matrices=False)
        for k in range(m):
            expected[k] += np.cov(a @ axes[k], b @ axes[k])[0, 1] / 2
    np.testing.assert_allclose(cross_validated_spectrum(a, b), expected, atol=1e-10)
    np.testing.assert_allclose(cross_validated_spectrum(b, a), expected, atol=1e-10)
    np.testing.assert_allclose(
        cross_validated_spectrum(a, a), eigenvalues(a, scale="center"), atol=1e-10
    )


def test_cross_validation_finds_the_power_law_under_noise():
    """Signal of variances ``1 / rank``, n in sum; noise of variance 1 a unit, n in sum too."""
    n, n_stimuli = 300, 2000
    for seed in range(3):
        rng = np.random.default_rng(seed)
        variance = 1 / np.arange(1, n + 1)
        variance *= n / variance.sum()
        signal = (rng.normal(size=(n_stimuli, n)) * np.sqrt(variance)) @ rotation(rng, n).T
        a, b = (signal + rng.normal(size=signal.shape) for _ in range(2))
        slope = power_law_slope(cross_validated_spectrum(a, b), ranks=(5, 80))
        assert slope == pytest.approx(-1, abs=0.1)
        plain = power_law_slope(explained_variance(a, scale="center"), ranks=(5, 80))
        assert abs(plain) < 0.8


def test_noise_does_not_come_back():
    rng = np.random.default_rng(34)
    out = cross_validated_spectrum(rng.normal(size=(2000, 50)), rng.normal(size=(2000, 50)))
    assert abs(out.mean()) < 4 / np.sqrt(2000 * 50)
    assert (out < 0).any()


def test_repeats_that_do_not_match_are_refused_and_nan_is_kept():
    a = np.random.default_rng(35).normal(size=(10, 4))
    for b in (a[:, :3], a[:9]):
        with pytest.raises(ValueError, match=r"\S"):
            cross_validated_spectrum(a, b)
    with pytest.raises(ValueError, match=r"\S"):
        cross_validated_spectrum(a[:1], a[:1])
    b = a.copy()
    b[2, 1] = np.nan
    for pair in ((a, b), (b, a)):
        out = cross_validated_spectrum(*pair)
        assert out.shape == (4,)
        assert np.isnan(out).all()
