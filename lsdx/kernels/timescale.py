"""How long a unit's activity stays what it was: the decay of its autocorrelation."""

from __future__ import annotations

import numpy as np

_TAUS = 400  # of the grid on which the decay is looked for
_LEAST_LAGS = 5


def autocorrelation(counts: np.ndarray, n_lags: int) -> np.ndarray:
    """Give the autocorrelation of rows at lags 1 to ``n_lags``.

    Parameters
    ----------
    counts : ndarray (n_rows, n_bins)
    n_lags : int
        Below ``n_bins``.

    Returns
    -------
    ndarray of float64 (n_rows, n_lags)
        Each sum of products over the number of pairs that it is of; NaN for constant rows.

    Raises
    ------
    ValueError
        If there are not more bins than lags.

    Examples
    --------
    >>> autocorrelation(np.array([[1.0, -1.0] * 50]), 2).round(6).tolist()
    [[-1.0, 1.0]]
    """
    n_bins = counts.shape[-1]
    if not 0 < n_lags < n_bins:
        raise ValueError(f"expected from 1 to {n_bins - 1} lags, found {n_lags}")
    x = np.asarray(counts, dtype=np.float64)
    x = x - x.mean(axis=-1, keepdims=True)
    power = np.abs(np.fft.rfft(x, n=2 * n_bins, axis=-1)) ** 2
    sums = np.fft.irfft(power, axis=-1)[..., : n_lags + 1]
    mean = sums / (n_bins - np.arange(n_lags + 1))
    variance = mean[..., :1]
    level = np.abs(counts).max(axis=-1, keepdims=True, initial=0) ** 2 * 1e-12
    return np.asarray(mean[..., 1:] / np.where(variance > level, variance, np.nan))


def decay_time(correlation: np.ndarray, lags: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit an exponential decay with an offset to autocorrelations.

    Parameters
    ----------
    correlation : ndarray (n_rows, n_lags)
    lags : ndarray of float (n_lags,)
        Rising, evenly spaced, above 0.

    Returns
    -------
    tau : ndarray of float64 (n_rows,)
        In units of ``lags``; NaN for fewer than 5 lags, if the correlation does not decay, or
        if tau lies outside half the first and the last lag: it cannot be told then.
    r_squared : ndarray of float64 (n_rows,)
        Share of the variance over lags that the fit has; NaN where tau is.

    Notes
    -----
    ``A (exp(-lag / tau) + B)`` by least squares (Murray et al. 2014, Nat Neurosci 17:1661): for
    each tau of a logarithmic grid the best line is known, the best tau is refined by a parabola.

    Examples
    --------
    >>> lags = np.arange(1, 41) * 0.05
    >>> tau, r2 = decay_time(0.3 * np.exp(-lags / 0.4)[None] + 0.02, lags)
    >>> tau.round(3).tolist(), r2.round(3).tolist()
    ([0.4], [1.0])
    """
    y = np.asarray(correlation, dtype=np.float64)
    none = np.full(len(y), np.nan)
    if len(lags) < _LEAST_LAGS:
        return none, none.copy()
    grid = np.geomspace(lags[0] / 2, lags[-1], _TAUS)
    centred = y - y.mean(axis=1, keepdims=True)
    shape = np.exp(-lags / grid[:, None])
    shape -= shape.mean(axis=1, keepdims=True)
    shape /= np.sqrt((shape**2).sum(axis=1, keepdims=True))
    # summed row by row: a product of matrices rounds by how many rows there are
    slope = np.stack([(centred * s).sum(axis=1) for s in shape], axis=1)
    known = np.isfinite(slope).all(axis=1)
    fit = np.where(known[:, None] & (slope > 0), slope**2, 0.0)
    best = fit.argmax(axis=1)
    inside = known & (best > 0) & (best < _TAUS - 1)
    at = np.clip(best, 1, _TAUS - 2)
    rows = np.arange(len(y))
    low, top, high = (fit[rows, at + k] for k in (-1, 0, 1))
    bend = low - 2 * top + high
    shift = np.where(bend < 0, (low - high) / np.where(bend < 0, 2 * bend, 1.0), 0.0)
    step = np.log(grid[1] / grid[0])
    tau = grid[at] * np.exp(np.clip(shift, -0.5, 0.5) * step)
    total = (centred**2).sum(axis=1)
    r_squared = top / np.where(total > 0, total, np.nan)
    return np.where(inside, tau, np.nan), np.where(inside, r_squared, np.nan)
