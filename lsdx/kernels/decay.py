"""How fast the spectrum of a population falls: its decay constant, in components."""

from __future__ import annotations

import numpy as np

from lsdx.kernels.spectra import as_shares, n_ranks

_RATES = np.geomspace(1e-7, 50.0, 400)  # 1 / tau, among which the least squares are looked for
_STEPS = 60  # halvings of the interval between them


def decay_constant(spectrum: np.ndarray) -> np.ndarray:
    """Return the decay constant of a spectrum, by least squares.

    Parameters
    ----------
    spectrum : ndarray (..., m)
        Shares of variance or eigenvalues, descending; NaN at the end is skipped.

    Returns
    -------
    ndarray of float64 (...)
        tau, in components. 0 where the first component holds all, inf for a flat spectrum. NaN
        for fewer than 3 components.

    Notes
    -----
    The tau that minimises ``sum over n of (p[n] / p[0] - exp(-n / tau))**2``, n from 0: found
    among 400 values, then by halving the interval where the derivative changes its sign.

    Examples
    --------
    >>> float(decay_constant(np.exp(-np.arange(50) / 7)).round(9))
    7.0
    """
    p = np.atleast_2d(as_shares(spectrum))
    shape = np.shape(spectrum)[:-1]
    rows = p.reshape(-1, p.shape[-1])
    tau = np.full(len(rows), np.nan)
    enough = (n_ranks(rows) >= 3) & (rows[:, 0] > 0)
    if not enough.any():
        return tau.reshape(shape)
    y = rows[enough] / rows[enough, :1]
    known = np.isfinite(y)
    y = np.where(known, y, 0.0)
    n = np.arange(y.shape[1], dtype=np.float64)

    def squares(rate: float) -> np.ndarray:
        return np.asarray(((y - np.exp(-n * rate)) ** 2 * known).sum(axis=1))

    best = np.argmin([squares(rate) for rate in _RATES], axis=0)
    low, high = _RATES[np.maximum(best - 1, 0)], _RATES[np.minimum(best + 1, _RATES.size - 1)]
    for _ in range(_STEPS):
        middle = (low + high) / 2
        curve = np.exp(-n * middle[:, None])
        # d squares / d rate: below 0 where the curve is still above the spectrum
        slope = (2 * n * curve * (y - curve) * known).sum(axis=1)
        low, high = np.where(slope < 0, middle, low), np.where(slope < 0, high, middle)
    found = 2 / (low + high)
    found[best == 0] = np.inf
    found[best == _RATES.size - 1] = 0.0
    tau[enough] = found
    return tau.reshape(shape)
