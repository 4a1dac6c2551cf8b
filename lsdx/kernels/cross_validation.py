"""Variance that comes back: in the other half of the units, or in another repeat."""

from __future__ import annotations

import numpy as np

from lsdx.kernels.covariance import scaled
from lsdx.kernels.resampling import shift_circularly, stream_keys


def shared_variance(
    x: np.ndarray,
    half: np.ndarray,
    *,
    gap: int = 0,
    n_slow: int = 0,
    n_shifts: int = 5,
    keys: np.ndarray | None = None,
) -> float:
    """Return the share of variance that two halves of the units have in common.

    Shared variance component analysis: directions of greatest covariance between two halves of
    the units are found in one half of the time, and their covariance is measured in the other.

    Parameters
    ----------
    x : ndarray (n_bins, n_units)
        Activity, z-scored here; units without variance are left out.
    half : ndarray of bool (n_units,)
        Which units are in the second half; neighbours, which share spikes, should be apart.
    gap : int
        Bins left out between the two halves of the time, half of it at either end too, so
        that slow fluctuations do not reach across, nor in what is shifted circularly.
    n_slow : int
        Slow cosines that are taken out of each unit first.
    n_shifts : int
        Independent circular shifts of the units, whose mean is subtracted.
    keys : ndarray of uint64 (n_units,), optional
        Of the shifts.

    Returns
    -------
    float
        Covariance over variance, both summed over all components: 0 on average for
        independent units, 1 where each unit has its like in the other half. NaN where ``x``
        holds NaN, a half has fewer than two units, or a half of the time fewer than two bins.

    Raises
    ------
    ValueError
        For a negative gap, or a ``half`` of another length.

    Notes
    -----
    Stringer et al. 2019, Science 364:255. Time is cut into two contiguous halves; each serves
    once to find and once to measure.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> twins = np.repeat(rng.normal(size=(400, 5)), 2, axis=1)
    >>> round(shared_variance(twins, np.arange(10) % 2 == 1), 2) > 0.9
    True
    """
    n_bins, n_units = x.shape
    half = np.asarray(half, dtype=bool)
    if gap < 0 or half.shape != (n_units,):
        raise ValueError(f"expected a gap from 0 and half ({n_units},), found {gap}, {half.shape}")
    length, edge = n_bins // 2 - gap, gap // 2
    z = scaled(x, n_slow=n_slow).T
    varies = z.any(axis=1)
    first, second = varies & ~half, varies & half
    if length < 2 or min(first.sum(), second.sum()) < 2 or not np.isfinite(z).all():
        return float("nan")
    if keys is None:
        keys = np.arange(n_units, dtype=np.uint64)

    def share(rows: np.ndarray) -> float:
        early = rows[:, edge : edge + length]
        late = rows[:, n_bins - edge - length : n_bins - edge]
        covariance = variance = 0.0
        for found, measured in ((early, late), (late, early)):
            found = found - found.mean(axis=1, keepdims=True)
            measured = measured - measured.mean(axis=1, keepdims=True)
            u, _, vt = np.linalg.svd(found[first] @ found[second].T, full_matrices=False)
            a, b = u.T @ measured[first], vt @ measured[second]
            covariance += float(np.sum(a * b))
            variance += float(np.sum(a * a) + np.sum(b * b)) / 2
        return covariance / variance if variance > 0 else float("nan")

    chance = [share(shift_circularly(z, stream_keys(keys, i))) for i in range(n_shifts)]
    return share(z) - (float(np.mean(chance)) if chance else 0.0)


def cross_validated_spectrum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the variances that come back in a second repeat of the same stimuli (cvPCA).

    Parameters
    ----------
    a, b : ndarray (n_stimuli, n_units)
        Responses to the same stimuli (or moments of one stimulus) in two repeats.

    Returns
    -------
    ndarray of float64 (m,)
        ``m = min(n_units, n_stimuli - 1)``: covariance between the repeats along the principal
        components of one of them, the mean of both ways; in the order of the components, and
        below 0 by chance. NaN where ``a`` or ``b`` holds NaN.

    Raises
    ------
    ValueError
        If the shapes differ, or there are fewer than two stimuli.

    Notes
    -----
    Stringer et al. 2019, Nature 571:361: noise that is independent between the repeats cancels.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.normal(size=(500, 2)) * [3, 1]
    >>> noisy = [signal + rng.normal(size=(500, 2)) for _ in range(2)]
    >>> cross_validated_spectrum(*noisy).round().tolist()
    [9.0, 1.0]
    """
    if a.shape != b.shape or a.ndim != 2 or a.shape[0] < 2:
        raise ValueError(
            "expected two repeats (n_stimuli, n_units) of at least 2 stimuli, found "
            f"{a.shape}, {b.shape}"
        )
    m = min(a.shape[1], a.shape[0] - 1)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return np.full(m, np.nan)
    first, second = scaled(a, scale="center"), scaled(b, scale="center")
    found = np.zeros(m)
    for one, other in ((first, second), (second, first)):
        vectors = np.linalg.svd(one, full_matrices=False)[2][:m]
        found += np.sum((one @ vectors.T) * (other @ vectors.T), axis=0)
    return np.asarray(found / (2 * (a.shape[0] - 1)))
