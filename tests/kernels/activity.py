"""Activity whose answer is known, for the tests of spectra and of what is read off them."""

from __future__ import annotations

from functools import cache

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from lsdx.kernels.resampling import stream_keys

PROPERTY = settings(max_examples=25, deadline=None)
SCALES = ("zscore", "center")
seeds = st.integers(0, 2**32 - 1)


def keys_of(n: int, *path: int) -> np.ndarray:
    """Keys of units numbered from 0."""
    return stream_keys(np.arange(n, dtype=np.uint64), *path)


def ar1(rng: np.random.Generator, n_bins: int, tau: np.ndarray) -> np.ndarray:
    """Independent units of variance 1 whose autocorrelation is ``exp(-lag / tau)``."""
    phi = np.exp(-1 / np.asarray(tau, dtype=float))
    noise = rng.normal(size=(n_bins, phi.size))
    noise[1:] *= np.sqrt(1 - phi**2)  # the first bin is stationary already
    return np.stack([lfilter([1], [1, -p], noise[:, i]) for i, p in enumerate(phi)], axis=1)


def rotation(rng: np.random.Generator, n: int) -> np.ndarray:
    q, r = np.linalg.qr(rng.normal(size=(n, n)))
    return q * np.sign(np.diag(r))


def standard(x: np.ndarray, scale: str) -> np.ndarray:
    """Units that vary, in double precision and two passes, centred or z-scored."""
    x = np.asarray(x, dtype=np.float64)
    x = x[:, np.ptp(x, axis=0) > 0]
    x = x - x.mean(axis=0)
    x = x - x.mean(axis=0)
    return x / x.std(axis=0, ddof=1) if scale == "zscore" else x


@cache
def poisson_counts(n_bins: int, n_units: int) -> np.ndarray:
    """Counts of correlated units of unequal rates, below 256."""
    rng = np.random.default_rng(n_units)
    shared = rng.normal(size=(n_bins, 6)) @ rng.normal(size=(6, n_units)) * 0.3
    counts = rng.poisson(rng.uniform(0.2, 3.0, n_units) * np.exp(shared)).clip(0, 255)
    assert (np.ptp(counts, axis=0) > 0).all()
    return counts.astype(np.int64)


def spiked(rng: np.random.Generator, n_bins: int = 1000, n: int = 100) -> np.ndarray:
    """Noise with variances 10 and 5 in two directions and 1 in all others, no axis special."""
    sd = np.sqrt(np.append([10.0, 5.0], np.ones(n - 2)))
    return (rng.normal(size=(n_bins, n)) * sd) @ rotation(rng, n).T


def population(seed: int, n: int) -> np.ndarray:
    """Ten equal latents, seen from all directions, in noise of 1.5 times their deviation.

    Mean squared correlation ``1 / (10 (1 + 2.25)^2)``, thus participation ratio 105.6.
    """
    rng = np.random.default_rng(seed)
    gains = rng.normal(size=(10, n))
    gains /= np.sqrt((gains**2).sum(axis=0))
    return rng.normal(size=(3000, 10)) @ gains + 1.5 * rng.normal(size=(3000, n))
