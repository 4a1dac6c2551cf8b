"""What linear models with groups need beside a fit: degrees of freedom, and separation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_SHARE = 0.01  # of a column's squares between groups, that is not chance of the layout


def between_within_df(
    exog: np.ndarray, codes: Sequence[np.ndarray], outer: np.ndarray | None = None
) -> np.ndarray:
    """Return the degrees of freedom of each column, by the level of groups that tells of it.

    Parameters
    ----------
    exog : ndarray of float (n_rows, n_columns)
        Of full rank, finite.
    codes : sequence of ndarray of int (n_rows,)
        Numbers of groups from 0 without a gap, outermost first. Each lies inside those before.
    outer : ndarray of float (n_rows, n_effects), optional
        What differs between the outermost groups: a column of ones (the default) for their mean,
        and one for each random slope.

    Returns
    -------
    ndarray of float64 (n_columns,)
        Whole numbers; below 1 where nothing is left for an error.

    Notes
    -----
    A column belongs to the outermost level that tells more than 1 % of the squares of what is
    left of it after the other columns. A column that differs both between and inside groups is
    so given to the groups, which has fewer degrees of freedom. With n groups of a level, m around
    them and k columns of that level (their rank), df = n - m - k; at the outermost n - k, among
    the rows n_rows - m - k. Random slopes count as groups for the levels inside. Where all
    columns are balanced these are the numbers of the analysis of variance.

    Examples
    --------
    >>> mouse = np.repeat(np.arange(6), 4)
    >>> drug, phase = mouse // 3, np.tile([0, 0, 1, 1], 6)
    >>> exog = np.column_stack([np.ones(24), drug, phase, drug * phase])
    >>> between_within_df(exog, [mouse]).tolist()
    [4.0, 4.0, 16.0, 16.0]
    """
    z = np.ones((len(exog), 1)) if outer is None else np.asarray(outer, dtype=np.float64)
    alone = np.linalg.pinv(exog).T  # of each column, what the others do not tell
    rest = alone / np.linalg.norm(alone, axis=0)
    fixed = np.array(exog, dtype=np.float64)
    effects, around = [], 0
    for group in range(int(codes[0].max()) + 1):
        rows = np.flatnonzero(codes[0] == group)
        back = np.linalg.pinv(z[rows])
        effects.append(back @ fixed[rows])
        rest[rows] -= z[rows] @ (back @ rest[rows])
        fixed[rows] -= z[rows] @ (back @ fixed[rows])
        around += int(np.linalg.matrix_rank(z[rows]))
    df = np.zeros(exog.shape[1])
    here = (rest**2).sum(axis=0) < 1 - _SHARE
    free = ~here
    if here.any():
        ranks = [np.linalg.matrix_rank(m[:, here]) for m in np.stack(effects, axis=1)]
        df[here] = len(effects) - max(ranks)
    for code in codes[1:]:
        size = np.bincount(code)[:, None]
        means = [_sums(v, code) / size for v in (rest, fixed)]
        here = free & ((size * means[0] ** 2).sum(axis=0) > _SHARE)
        if here.any():
            df[here] = len(size) - around - np.linalg.matrix_rank(means[1][:, here])
        rest, fixed = (v - m[code] for v, m in zip((rest, fixed), means, strict=True))
        free &= ~here
        around = max(len(size), around)
    if free.any():
        df[free] = len(fixed) - around - np.linalg.matrix_rank(fixed[:, free])
    return df


def _sums(values: np.ndarray, code: np.ndarray) -> np.ndarray:
    out = np.zeros((int(code.max()) + 1, values.shape[1]))
    np.add.at(out, code, values)
    return out


def separated(exog: np.ndarray, y: np.ndarray) -> bool:
    """Tell whether a logistic model fits ever better without end, so that it has no estimate.

    Parameters
    ----------
    exog : ndarray of float (n_rows, n_columns)
        Of full rank, finite.
    y : ndarray of float (n_rows,)
        From 0 to 1.

    Returns
    -------
    bool
        Complete or quasi-complete separation.

    Notes
    -----
    By linear programming (Konis 2007, thesis, Oxford): whether some direction of effects never
    lowers a row that is 1, never raises one that is 0, moves none between, and moves some row.

    Examples
    --------
    >>> exog = np.column_stack([np.ones(4), [0, 0, 1, 1]])
    >>> separated(exog, np.array([0, 1, 1, 1])), separated(exog, np.array([0, 1, 1, 0]))
    (True, False)
    """
    from scipy.optimize import linprog

    sign = np.where(y >= 1, 1.0, -1.0)[:, None]
    middle = (y > 0) & (y < 1)
    ends, counts = np.unique((sign * exog)[~middle], axis=0, return_counts=True)
    if not len(ends):
        return False
    still = exog[middle] if middle.any() else None
    best = linprog(
        -(counts @ ends),
        A_ub=-ends,
        b_ub=np.zeros(len(ends)),
        A_eq=still,
        b_eq=None if still is None else np.zeros(len(still)),
        bounds=(-1, 1),
    )
    return bool(best.status == 0 and -best.fun > 1e-6)
