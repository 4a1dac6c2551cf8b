"""Bootstrap of nested data: mice are drawn, then sessions of each, then units of each."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from lsdx.kernels.compile import jit

STATISTICS = ("mean", "median")


def hierarchical_bootstrap(
    values: np.ndarray,
    codes: Sequence[np.ndarray],
    n_draws: int,
    statistic: str = "mean",
    *,
    rng: np.random.Generator | int | None = None,
) -> np.ndarray:
    """Draw a statistic again and again: groups with replacement, level by level, then values.

    Parameters
    ----------
    values : ndarray of float64 (n_units, ...)
        NaN is left out, cell by cell.
    codes : sequence of ndarray (n_units,)
        Group of each unit, outermost level first, such as mouse and session; whole numbers. A code
        belongs to its group of the level above: session 0 of two mice is two sessions. The units
        themselves are the last level, and need none.
    n_draws : int
    statistic : {"mean", "median"}
        Of all values of a draw.
    rng : Generator or int, optional
        Cells that have the same units share their draws, so that differences of cells are paired.

    Returns
    -------
    ndarray of float64 (n_draws, ...)
        NaN for cells without values.

    Raises
    ------
    ValueError
        For another statistic, no level, codes of another length, or infinite values.

    Notes
    -----
    Saravanan, Berman & Sober (2020, Neurons, Behavior, Data analysis, and Theory 3(5)). Of m mice
    m are drawn with replacement; of each drawn mouse as many sessions as it has, of each drawn
    session as many units as it has. A mouse that is drawn twice has its sessions drawn twice. As
    published, each value of a draw counts alike, so a mouse counts by its units.

    Examples
    --------
    >>> values, mouse = np.array([1.0, 1.0, 3.0]), np.array([0, 0, 1])
    >>> draws = hierarchical_bootstrap(values, [mouse], 1000, rng=0)
    >>> sorted(set(draws.round(2).tolist()))  # mice 0 and 0, 0 and 1, 1 and 1
    [1.0, 1.67, 3.0]
    """
    x = np.asarray(values, dtype=np.float64)
    levels = [np.asarray(c) for c in codes]
    if statistic not in STATISTICS:
        raise ValueError(f"expected mean or median, found {statistic!r}")
    if not levels or any(c.shape != x.shape[:1] for c in levels):
        found = ", ".join(str(c.shape) for c in levels) or "none"
        raise ValueError(f"expected codes of shape {x.shape[:1]} for each level, found {found}")
    if np.isinf(x).any():
        raise ValueError("expected finite values, or NaN, found infinity")
    flat = x.reshape(len(x), int(np.prod(x.shape[1:])))
    seed = np.random.default_rng(rng).integers(2**63)
    out = np.full((n_draws, flat.shape[1]), np.nan)
    masks, which = np.unique(np.isfinite(flat), axis=1, return_inverse=True)
    for m in range(masks.shape[1]):
        if not masks[:, m].any():
            continue
        cells = np.flatnonzero(which == m)
        first, size, rows = _tree([c[masks[:, m]] for c in levels])
        kept = np.ascontiguousarray(flat[masks[:, m]][rows][:, cells].T)
        order = np.argsort(kept, axis=1) if statistic == "median" else np.empty((0, 0), np.int64)
        drawn = np.empty((n_draws, cells.size))
        _draw(kept, order, first, size, len(levels), np.random.default_rng(seed), drawn)
        out[:, cells] = drawn
    return out.reshape(n_draws, *x.shape[1:])


def expanded_levels(n_groups: int, level: float) -> tuple[float, float]:
    """Return which quantiles of the draws bound the interval: wider where groups are few.

    Parameters
    ----------
    n_groups : int
        Of the outermost level: mice.
    level : float

    Returns
    -------
    low, high : float
        NaN for fewer than two groups.

    Notes
    -----
    Hesterberg's expanded percentile (2015, Am Stat 69:371): draws spread less than they should, by
    ``sqrt((n - 1) / n)``, and have no tails of Student's t. So the quantile of ``alpha / 2`` is
    replaced by that of ``Phi(-sqrt(n / (n - 1)) t(1 - alpha / 2, n - 1))``.

    Examples
    --------
    >>> [round(q, 4) for q in expanded_levels(10, 0.95)]
    [0.0086, 0.9914]
    """
    import scipy.special

    if n_groups < 2:
        return np.nan, np.nan
    t = scipy.special.stdtrit(n_groups - 1, (1 + level) / 2)
    low = float(scipy.special.ndtr(-np.sqrt(n_groups / (n_groups - 1)) * t))
    return low, 1 - low


def _tree(codes: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the first child and the number of children of each group, and the order of rows.

    Group 0 is all; then come the groups of each level. Children of the innermost are rows.
    """
    rows = np.lexsort(codes[::-1])
    changed = np.zeros(rows.size, dtype=bool)
    changed[0] = True
    starts = [np.zeros(1, dtype=np.int64)]
    for code in codes:
        changed[1:] |= np.diff(code[rows]) != 0
        starts.append(np.flatnonzero(changed))
    starts.append(np.arange(rows.size))
    first, size = [], []
    base = 1
    for depth, (own, below) in enumerate(itertools.pairwise(starts)):
        place = np.searchsorted(below, own)
        innermost = depth == len(codes)
        first.append(place + (0 if innermost else base))
        size.append(np.diff(np.append(place, below.size)))
        base += below.size
    return np.concatenate(first), np.concatenate(size), rows


@jit
def _draw(values, order, first, size, depth, rng, out):  # type: ignore[no-untyped-def]
    n_cells, n_rows = values.shape
    group = np.zeros(depth + 1, dtype=np.int64)
    left = np.zeros(depth + 1, dtype=np.int64)
    times = np.empty(n_rows, dtype=np.int64)
    for d in range(out.shape[0]):
        times[:] = 0
        n, level = 0, 0
        left[0] = size[0]
        while level >= 0:
            g = group[level]
            if left[level] == 0:
                level -= 1
            elif level == depth:
                for _ in range(size[g]):
                    times[first[g] + np.int64(rng.random() * size[g])] += 1
                n += size[g]
                left[level] = 0
            else:
                left[level] -= 1
                child = first[g] + np.int64(rng.random() * size[g])
                level += 1
                group[level] = child
                left[level] = size[child]
        for c in range(n_cells):
            if order.size == 0:
                total = 0.0
                for i in range(n_rows):
                    total += times[i] * values[c, i]
                out[d, c] = total / n
                continue
            seen, i = times[order[c, 0]], 0
            while seen <= (n - 1) // 2:
                i += 1
                seen += times[order[c, i]]
            lower = values[c, order[c, i]]
            while seen <= n // 2:
                i += 1
                seen += times[order[c, i]]
            out[d, c] = (lower + values[c, order[c, i]]) / 2
