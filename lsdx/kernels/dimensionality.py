"""How many dimensions a population's activity has: what is read off a spectrum.

`lsdx.kernels.spectra` says what a spectrum is. Dimensionality by other ways: components above
those of unrelated units (`lsdx.kernels.surrogates.parallel_analysis`), and the participation ratio
from correlations (`lsdx.kernels.correlations.participation_ratio_unbiased`).
"""

from __future__ import annotations

import numpy as np

from lsdx.kernels.spectra import as_shares, n_ranks


def pc1(spectrum: np.ndarray) -> np.ndarray:
    """Return the share of variance of the first principal component.

    Parameters
    ----------
    spectrum : ndarray (..., m)
        Shares of variance or eigenvalues, descending; NaN at the end is skipped.

    Returns
    -------
    ndarray of float64 (...)
        In (0, 1]; NaN for an empty spectrum.

    Examples
    --------
    >>> float(pc1(np.array([3.0, 1.0])))
    0.75
    """
    return as_shares(spectrum)[..., 0]


def n_components(spectrum: np.ndarray, *, level: float = 0.8) -> np.ndarray:
    """Count the components that together hold a share of the variance.

    Parameters
    ----------
    spectrum : ndarray (..., m)
        Shares of variance or eigenvalues, descending; NaN at the end is skipped.
    level : float
        Share of the variance, above 0 and up to 1.

    Returns
    -------
    ndarray of float64 (...)
        The smallest k with ``p[0] + ... + p[k-1] >= level`` (1e-12 of slack): a count from 1,
        not an index. NaN for an empty spectrum.

    Raises
    ------
    ValueError
        If ``level`` is out of range.

    Examples
    --------
    >>> float(n_components(np.full(10, 0.1))), float(n_components(np.array([0.9, 0.1])))
    (8.0, 1.0)
    """
    if not 0 < level <= 1:
        raise ValueError(f"expected level above 0 and up to 1, found {level}")
    total = np.cumsum(np.nan_to_num(as_shares(spectrum)), axis=-1)
    reached = total >= level - 1e-12
    count = np.where(reached.any(axis=-1), reached.argmax(axis=-1) + 1.0, n_ranks(spectrum))
    return _where_any(spectrum, count)


def participation_ratio(spectrum: np.ndarray) -> np.ndarray:
    """Return the participation ratio, (sum lambda)^2 / sum lambda^2.

    Parameters
    ----------
    spectrum : ndarray (..., m)
        Eigenvalues lambda or shares of variance, in any order; NaN at the end is skipped.

    Returns
    -------
    ndarray of float64 (...)
        From 1 to m; NaN for an empty spectrum. It grows with the number of units and of
        bins: see `lsdx.kernels.correlations.participation_ratio_unbiased`.

    Examples
    --------
    >>> float(participation_ratio(np.ones(7)))
    7.0
    """
    square = np.nansum(as_shares(spectrum) ** 2, axis=-1)
    return 1 / np.where(square > 0, square, np.nan)


def ngsc(spectrum: np.ndarray) -> np.ndarray:
    """Return the normalized global spatial complexity: the spectrum's entropy over that of noise.

    Parameters
    ----------
    spectrum : ndarray (..., m)
        Shares of variance or eigenvalues; NaN at the end is skipped.

    Returns
    -------
    ndarray of float64 (...)
        ``-sum(p ln p) / ln m``: 1 for a flat spectrum, 0 for a single component. NaN for an
        empty spectrum and for m = 1.

    Notes
    -----
    Siegel et al. 2024, Nature 632:131. Both logarithms have one base.

    Examples
    --------
    >>> float(ngsc(np.full(8, 0.125))), float(ngsc(np.array([1.0, 0.0])))
    (1.0, 0.0)
    """
    p = np.nan_to_num(as_shares(spectrum))
    entropy = -np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=-1)
    size = n_ranks(spectrum)
    value = entropy / np.log(np.where(size > 1, size, 2.0)) + 0.0
    return _where_any(spectrum, np.where(size > 1, value, np.nan))


def power_law_slope(
    spectrum: np.ndarray,
    *,
    ranks: tuple[int, int] = (11, 500),
    weights: str | None = "inverse_rank",
) -> np.ndarray:
    """Fit the slope of log(variance) on log(rank).

    Parameters
    ----------
    spectrum : ndarray (..., m)
        Shares of variance or eigenvalues, descending; NaN at the end is skipped.
    ranks : (int, int)
        First and last rank of the fit, from 1; the last is capped at the last that exists.
    weights : {"inverse_rank", None}
        Weights 1 / rank, which give each stretch of the logarithmic axis its due, or none.

    Returns
    -------
    ndarray of float64 (...)
        ``-a`` for ``lambda = rank ** -a``. NaN where fewer than three ranks are left, those
        without variance not counted.

    Raises
    ------
    ValueError
        If the ranks are not 1 <= first < last, or for other weights.

    Examples
    --------
    >>> float(power_law_slope(np.arange(1.0, 101) ** -1.5).round(9))
    -1.5
    """
    first, last = ranks
    if not 1 <= first < last:
        raise ValueError(f"expected ranks 1 <= first < last, found {ranks}")
    if weights not in ("inverse_rank", None):
        raise ValueError(f"expected weights 'inverse_rank' or None, found {weights!r}")
    p = as_shares(spectrum)[..., first - 1 : last]
    rank = np.arange(first, first + p.shape[-1], dtype=np.float64)
    # what is left of a component without variance is rounding
    noise = n_ranks(spectrum) * np.finfo(np.float64).eps * pc1(spectrum)
    used = p > noise[..., None]
    w = np.where(used, 1.0 if weights is None else 1 / rank, 0.0)
    x, y = np.log(rank), np.log(np.where(used, p, 1.0))
    total = np.where(used.sum(axis=-1) >= 3, w.sum(axis=-1), np.nan)[..., None]
    dx = x - (w * x).sum(axis=-1, keepdims=True) / total
    dy = y - (w * y).sum(axis=-1, keepdims=True) / total
    square = (w * dx * dx).sum(axis=-1)
    return np.asarray((w * dx * dy).sum(axis=-1) / np.where(square > 0, square, np.nan))


def _where_any(spectrum: np.ndarray, value: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(as_shares(spectrum)).any(axis=-1), value, np.nan)
