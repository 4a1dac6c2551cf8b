"""Contrasts over mice: estimates with their permutations, intervals, effect sizes.

``x`` is (n, n_cells): one value a session or mouse, NaN for none; a cell is a region, an epoch, a
measure. What is NaN is left out cell by cell, in every arrangement alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lsdx.kernels.cohort import mean_interval

_TIE = 1e-9  # relative: sums in another order round otherwise


@dataclass(frozen=True)
class Contrast:
    """An estimate of each cell, and what it rests on.

    ``estimate``, ``low``, ``high`` (n_cells,); ``per_mouse`` (n_mice, n_cells), NaN for mice that
    tell nothing; ``null`` (n_arrangements, n_cells), the observed estimate first.
    """

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    per_mouse: np.ndarray
    null: np.ndarray


def stratified(
    x: np.ndarray,
    stratum: np.ndarray,
    mouse: np.ndarray,
    arrangements: np.ndarray,
    *,
    level: float = 0.95,
) -> Contrast:
    """Return first condition minus second within strata, mean over the mice.

    Parameters
    ----------
    x : ndarray of float64 (n_sessions, n_cells)
    stratum, mouse : ndarray of int (n_sessions,)
        Each stratum is of one mouse; mice are 0, 1, ...
    arrangements : ndarray of bool (n_arrangements, n_sessions)
        Which sessions are of the first condition, as observed in the first row.
    level : float
        Of the interval.

    Returns
    -------
    Contrast

    Notes
    -----
    d of a stratum is the difference of its two means; d of a mouse the mean over its strata that
    hold both conditions; the estimate the mean over the mice. Strata of one condition tell nothing:
    what differs between mice or years is no part of the estimate. The interval is Student's over
    the mice (`lsdx.kernels.cohort.mean_interval`).

    Examples
    --------
    >>> x = np.array([[3.0], [1.0], [5.0], [2.0]])
    >>> mouse = np.array([0, 0, 1, 1])
    >>> first = np.array([[True, False, True, False], [False, True, True, False]])
    >>> stratified(x, mouse, mouse, first).null.ravel().tolist()
    [2.5, 0.5]
    """
    known = np.isfinite(x)
    filled = np.where(known, x, 0.0)
    n_mice = int(mouse.max(initial=-1)) + 1
    shape = (n_mice, len(arrangements), x.shape[1])
    total, number = np.zeros(shape), np.zeros(shape)
    for s in np.unique(stratum):
        rows = np.flatnonzero(stratum == s)
        chosen = arrangements[:, rows]
        if chosen[0].all() or not chosen[0].any():
            continue
        of_first = chosen.astype(np.float64)
        sums, counts = of_first @ filled[rows], of_first @ known[rows]
        others = filled[rows].sum(axis=0) - sums, known[rows].sum(axis=0) - counts
        with np.errstate(invalid="ignore", divide="ignore"):
            d = sums / counts - others[0] / others[1]
        told = np.isfinite(d)
        total[mouse[rows[0]]] += np.where(told, d, 0)
        number[mouse[rows[0]]] += told
    with np.errstate(invalid="ignore", divide="ignore"):
        d = total / number
    null = _mean(d)
    low, high = mean_interval(d[:, 0].T, level=level)
    return Contrast(null[0], low, high, d[:, 0], null)


def pooled(
    x: np.ndarray, mouse: np.ndarray, arrangements: np.ndarray, *, level: float = 0.95
) -> Contrast:
    """Return first condition minus second of mouse means, whatever else differs between mice.

    Parameters
    ----------
    x : ndarray of float64 (n_groups, n_cells)
        Mean of each mouse in each condition.
    mouse : ndarray of int (n_groups,)
    arrangements : ndarray of bool (n_arrangements, n_groups)
        Which are of the first condition, as observed in the first row.
    level : float
        Of Welch's interval.

    Returns
    -------
    Contrast
        ``per_mouse`` is the difference of mice with both conditions.

    Examples
    --------
    >>> x = np.array([[3.0], [4.0], [1.0], [2.0]])
    >>> first = np.array([[True, True, False, False]])
    >>> pooled(x, np.arange(4), first).estimate.tolist()
    [2.0]
    """
    import scipy.special

    known = np.isfinite(x)
    filled = np.where(known, x, 0.0)
    of_first = arrangements.astype(np.float64)
    n1, s1 = of_first @ known, of_first @ filled
    n2, s2 = known.sum(axis=0) - n1, filled.sum(axis=0) - s1
    with np.errstate(invalid="ignore", divide="ignore"):
        null = s1 / n1 - s2 / n2
        first = arrangements[0]
        parts = []
        for rows, n in ((first, n1[0]), (~first, n2[0])):
            mean = filled[rows].sum(axis=0) / n
            squares = np.where(known[rows], (filled[rows] - mean) ** 2, 0).sum(axis=0)
            parts.append(squares / (n - 1) / n)
        error = sum(parts)
        df = error**2 / (parts[0] ** 2 / (n1[0] - 1) + parts[1] ** 2 / (n2[0] - 1))
        half = scipy.special.stdtrit(df, (1 + level) / 2) * np.sqrt(error)
    per_mouse = np.full((int(mouse.max(initial=-1)) + 1, x.shape[1]), np.nan)
    for m in np.unique(mouse[first]):
        other = (mouse == m) & ~first
        if other.any():
            per_mouse[m] = x[(mouse == m) & first][0] - x[other][0]
    return Contrast(null[0], null[0] - half, null[0] + half, per_mouse, null)


def paired(x: np.ndarray, signs: np.ndarray, *, level: float = 0.95) -> Contrast:
    """Return the mean over mice, whose signs are flipped.

    Parameters
    ----------
    x : ndarray of float64 (n_mice, n_cells)
        Difference of each mouse.
    signs : ndarray of int (n_arrangements, n_mice)
        Ones in the first row.
    level : float
        Of Student's interval.

    Returns
    -------
    Contrast

    Examples
    --------
    >>> paired(np.array([[1.0], [3.0]]), np.array([[1, 1], [1, -1]])).null.ravel().tolist()
    [2.0, -1.0]
    """
    known = np.isfinite(x)
    with np.errstate(invalid="ignore", divide="ignore"):
        null = (signs.astype(np.float64) @ np.where(known, x, 0.0)) / known.sum(axis=0)
    low, high = mean_interval(x.T, level=level)
    return Contrast(null[0], low, high, x, null)


def slope(
    x: np.ndarray,
    covariate: np.ndarray,
    mouse: np.ndarray,
    orders: np.ndarray,
    *,
    level: float = 0.95,
) -> Contrast:
    """Return the slope over a covariate within mice; the covariate is permuted within them.

    Parameters
    ----------
    x : ndarray of float64 (n_sessions, n_cells)
    covariate : ndarray of float64 (n_sessions,)
        Such as dose; finite.
    mouse : ndarray of int (n_sessions,)
    orders : ndarray of int (n_arrangements, n_sessions)
        Whose covariate each session has; its own in the first row.
    level : float
        Of the interval: Student's over the mice's own slopes.

    Returns
    -------
    Contrast
        ``estimate`` is the pooled slope within mice, ``per_mouse`` each mouse's own; the interval
        is about their mean, weighted alike, and NaN with fewer than two.

    Examples
    --------
    >>> x = np.array([[1.0], [2.0], [7.0], [9.0]])
    >>> found = slope(x, np.array([0.0, 1, 0, 1]), np.array([0, 0, 1, 1]), np.arange(4)[None])
    >>> found.estimate.tolist(), found.per_mouse.ravel().tolist()
    ([1.5], [1.0, 2.0])
    """
    known = np.isfinite(x)
    filled = np.where(known, x, 0.0)
    moved = np.asarray(covariate, dtype=np.float64)[orders]
    n_mice = int(mouse.max(initial=-1)) + 1
    above, below = (np.zeros((n_mice, len(orders), x.shape[1])) for _ in range(2))
    for m in range(n_mice):
        rows = np.flatnonzero(mouse == m)
        z, here, y = moved[:, rows], known[rows].astype(np.float64), filled[rows]
        n = here.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            sum_z, sum_y = z @ here, y.sum(axis=0)
            above[m] = np.where(n > 0, z @ y - sum_z * sum_y / n, 0)
            below[m] = np.where(n > 0, z**2 @ here - sum_z**2 / n, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        null = above.sum(axis=0) / below.sum(axis=0)
        own = np.where(below[:, 0] > _TIE, above[:, 0] / below[:, 0], np.nan)
    null = np.where(below.sum(axis=0) > _TIE, null, np.nan)
    low, high = mean_interval(own.T, level=level)
    return Contrast(null[0], low, high, own, null)


def permutation_p(null: np.ndarray) -> np.ndarray:
    """Return the two-sided p of the first row among all rows, by cell.

    Parameters
    ----------
    null : ndarray of float64 (n_arrangements, n_cells)
        Statistics, the observed ones first. An arrangement without a value counts as one that
        reaches it.

    Returns
    -------
    ndarray of float64 (n_cells,)
        The share of rows that reach the observed size, itself included: of all arrangements the
        exact p, of n drawn ones ``(1 + number) / (1 + n)``. NaN where nothing was observed, or
        nothing can fall otherwise.

    Examples
    --------
    >>> permutation_p(np.array([[3.0], [-3.0], [1.0], [-1.0]])).tolist()
    [0.5]
    """
    size = np.abs(null)
    reached = ~(size < size[0] * (1 - _TIE))
    p = reached.mean(axis=0)
    return np.where(np.isfinite(null[0]) & (len(null) > 1), p, np.nan)


def family_p(null: np.ndarray) -> np.ndarray:
    """Return p corrected for a family of cells, by the largest statistic of each arrangement.

    Parameters
    ----------
    null : ndarray of float64 (n_arrangements, n_cells)
        Each cell's are divided by their own root mean square.

    Returns
    -------
    ndarray of float64 (n_cells,)
        At least each cell's own p; NaN where that is.

    Notes
    -----
    The step-free max statistic of Westfall & Young (1993): it holds the error rate of the family
    whatever the correlation of the cells.

    Examples
    --------
    >>> null = np.array([[3.0, 1.0], [-3.0, -1.0], [1.0, 3.0], [-1.0, -3.0]])
    >>> family_p(null).tolist()
    [1.0, 1.0]
    """
    own = permutation_p(null)
    tested = np.isfinite(own)
    if not tested.any():
        return own
    values = null[:, tested]
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = np.abs(values) / np.sqrt(np.nanmean(values**2, axis=0))
    scaled = np.where(np.isfinite(scaled), scaled, 0.0)
    largest = scaled.max(axis=1)
    p = (largest[:, None] >= scaled[0] * (1 - _TIE)).mean(axis=0)
    corrected = np.full(own.shape, np.nan)
    corrected[tested] = np.maximum(p, own[tested])
    return corrected


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
        ``1 - 3 / (4 df - 1)``; the interval by the noncentral t. NaN for fewer than two mice, or
        where all are alike.

    Examples
    --------
    >>> [round(float(v[0]), 2) for v in effect_size(np.array([[1.0], [2.0], [3.0]]))]
    [1.14, -0.08, 2.35]
    """
    n = np.isfinite(per_mouse).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = _mean(per_mouse)
        squares = np.where(np.isfinite(per_mouse), (per_mouse - mean) ** 2, 0).sum(axis=0)
        sd = np.sqrt(squares / (n - 1))
        d = np.where(sd > _TIE * np.abs(mean), mean / sd, np.nan)
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
    parts = []
    for rows in (first, ~first):
        values = x[rows]
        n = np.isfinite(values).sum(axis=0)
        mean = _mean(values)
        squares = np.where(np.isfinite(values), (values - mean) ** 2, 0).sum(axis=0)
        parts.append((n, mean, squares))
    (n1, m1, q1), (n2, m2, q2) = parts
    df = n1 + n2 - 2.0
    with np.errstate(invalid="ignore", divide="ignore"):
        sd = np.sqrt((q1 + q2) / df)
        d = np.where(sd > 0, (m1 - m2) / sd, np.nan)
        scale = np.sqrt(n1 * n2 / (n1 + n2))
    return _with_noncentral(d, df, scale, level)


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


def leave_one_out(per_mouse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the largest mean over mice when one of them is left out.

    Examples
    --------
    >>> [v.tolist() for v in leave_one_out(np.array([[1.0], [2.0], [6.0]]))]
    [[1.5], [4.0]]
    """
    known = np.isfinite(per_mouse)
    n = known.sum(axis=0)
    total = np.where(known, per_mouse, 0).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        rest = np.where(known & (n > 1), (total - per_mouse) / (n - 1), np.nan)
    low = np.where(np.isnan(rest), np.inf, rest).min(axis=0, initial=np.inf)
    high = np.where(np.isnan(rest), -np.inf, rest).max(axis=0, initial=-np.inf)
    return np.where(n > 1, low, np.nan), np.where(n > 1, high, np.nan)


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
        The larger of the two (Schuirmann 1987); NaN for fewer than two mice.

    Examples
    --------
    >>> float(two_one_sided(np.array([[0.1], [-0.1], [0.0]]), 1.0)[0]) < 0.01
    True
    """
    import scipy.special

    n = np.isfinite(per_mouse).sum(axis=0)
    mean = _mean(per_mouse)
    squares = np.where(np.isfinite(per_mouse), (per_mouse - mean) ** 2, 0).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(squares / (n - 1) / n)
        df = np.where(n > 1, n - 1.0, np.nan)
        above = scipy.special.stdtr(df, -(mean + margin) / error)
        below = scipy.special.stdtr(df, (mean - margin) / error)
    return np.asarray(np.maximum(above, below))


def _mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over the first axis of what is known; NaN for nothing."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, values, 0).sum(axis=0) / known.sum(axis=0))
