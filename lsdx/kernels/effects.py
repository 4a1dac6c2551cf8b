"""Effect sizes over mice with their intervals, and tests of equivalence."""

from __future__ import annotations

import numpy as np

_ROUNDED = 1e-26  # relative, of squares: what is left of equal values


def effect_size(
    per_mouse: np.ndarray, *, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the standardised mean over mice, d_z, with its interval.

    Parameters
    ----------
    per_mouse : ndarray of float64 (n_mice, n_cells)
    level : float

    Returns
    -------
    effect, low, high : ndarray of float64 (n_cells,)
        Mean over standard deviation, times Hedges' small-sample correction
        ``1 - 3 / (4 df - 1)``; the interval by the noncentral t. NaN for fewer than three mice,
        of which the correction leaves nothing, or where all are alike.

    Examples
    --------
    >>> [round(float(v[0]), 2) for v in effect_size(np.array([[1.0], [2.0], [3.0]]))]
    [1.14, -0.08, 2.35]
    """
    n, mean, squares = moments(per_mouse)
    with np.errstate(invalid="ignore", divide="ignore"):
        sd = np.sqrt(squares / (n - 1))
        d = np.where(sd > 0, mean / sd, np.nan)
    return _with_noncentral(d, n - 1.0, np.sqrt(n), level)


def hedges_g(
    x: np.ndarray, first: np.ndarray, *, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the standardised difference of two groups of mice, Hedges' g, with its interval.

    Parameters
    ----------
    x : ndarray of float64 (n, n_cells)
        One value a mouse and condition.
    first : ndarray of bool (n,)
    level : float

    Returns
    -------
    effect, low, high : ndarray of float64 (n_cells,)
        By the pooled standard deviation; the interval by the noncentral t.

    Examples
    --------
    >>> x = np.array([[1.0], [2.0], [3.0], [4.0], [5.0], [6.0]])
    >>> round(float(hedges_g(x, np.arange(6) >= 3)[0][0]), 3)
    2.4
    """
    (n1, m1, q1), (n2, m2, q2) = moments(x[first]), moments(x[~first])
    df = n1 + n2 - 2.0
    with np.errstate(invalid="ignore", divide="ignore"):
        sd = np.sqrt((q1 + q2) / df)
        d = np.where(sd > 0, (m1 - m2) / sd, np.nan)
        scale = np.sqrt(n1 * n2 / (n1 + n2))
    return _with_noncentral(d, df, scale, level)


def two_one_sided(per_mouse: np.ndarray, margin: float) -> np.ndarray:
    """Return p of two one-sided t tests that the mean over mice lies within a margin of 0.

    Parameters
    ----------
    per_mouse : ndarray of float64 (n_mice, n_cells)
    margin : float
        Above 0, in the unit of the values.

    Returns
    -------
    ndarray of float64 (n_cells,)
        The larger of the two (Schuirmann 1987); NaN for fewer than two mice, or where all are
        alike: then nothing says how much mice vary.

    Examples
    --------
    >>> float(two_one_sided(np.array([[0.1], [-0.1], [0.0]]), 1.0)[0]) < 0.01
    True
    """
    import scipy.special

    n, mean, squares = moments(per_mouse)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(squares / (n - 1) / n)
        error = np.where(error > 0, error, np.nan)
        df = np.where(n > 1, n - 1.0, np.nan)
        above = scipy.special.stdtr(df, -(mean + margin) / error)
        below = scipy.special.stdtr(df, (mean - margin) / error)
    return np.asarray(np.maximum(above, below))


def _with_noncentral(
    d: np.ndarray, df: np.ndarray, scale: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import scipy.special

    with np.errstate(invalid="ignore", divide="ignore"):
        df = np.where(df >= 1, df, np.nan)
        # of one degree of freedom the formula gives 0
        hedges = np.where(df > 1, 1 - 3 / (4 * df - 1), np.nan)
        t = d * scale
        low, high = (scipy.special.nctdtrinc(df, (1 + s * level) / 2, t) / scale for s in (1, -1))
    return d * hedges, low * hedges, high * hedges


def moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return number, mean and sum of squares about it; squares that are only rounding are 0."""
    known = np.isfinite(values)
    n = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, values, 0).sum(axis=0) / n
    squares = np.where(known, (values - mean) ** 2, 0).sum(axis=0)
    size = np.where(known, values**2, 0).sum(axis=0)
    return n, mean, np.where(squares > _ROUNDED * size, squares, 0.0)
