"""Decay constants of spectra that are known, and beside scipy's fit."""

from __future__ import annotations

import numpy as np
from scipy.optimize import curve_fit

from lsdx.kernels.decay import decay_constant


def test_exponential_spectra_give_their_constant() -> None:
    for tau in (0.3, 1.0, 7.5, 80.0, 3000.0):
        for scale in (1.0, 1e-3):
            p = scale * np.exp(-np.arange(60) / tau)
            np.testing.assert_allclose(decay_constant(p), tau, rtol=1e-9)


def test_others_give_the_least_squares_of_scipy() -> None:
    rng = np.random.default_rng(0)
    spectra = np.sort(rng.exponential(size=(4, 5, 30)) ** 2, axis=-1)[..., ::-1]
    found = decay_constant(spectra)
    assert found.shape == (4, 5)
    n = np.arange(30)
    for p, tau in zip(spectra.reshape(-1, 30), found.ravel(), strict=True):
        tight = {"xtol": 1e-14, "ftol": 1e-14, "gtol": 1e-14}
        fit = curve_fit(lambda x, t: np.exp(-x / t), n, p / p[0], p0=3.0, **tight)[0][0]
        np.testing.assert_allclose(tau, fit, rtol=1e-5)


def test_few_components_no_decay_and_nothing_but_the_first() -> None:
    p = np.exp(-np.arange(10) / 2.0)
    padded = np.r_[p[:6], [np.nan] * 4]
    np.testing.assert_allclose(decay_constant(np.stack([p, padded])), 2.0)
    rows = np.array([[0.7, 0.3, np.nan], [np.nan] * 3, [1.0, 0.0, 0.0], [0.2, 0.2, 0.2]])
    np.testing.assert_array_equal(decay_constant(rows), [np.nan, np.nan, 0.0, np.inf])
    assert np.isnan(decay_constant(np.array([0.6, 0.4])))
    assert decay_constant(p).shape == ()
