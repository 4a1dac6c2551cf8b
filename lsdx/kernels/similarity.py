"""How alike population vectors are: of conditions, cross-validated, and of times.

A cell is a condition: an epoch of a phase, a window. ``counts`` are an ndarray
(n_units, n_cells, n_bins), NaN where nothing was observed; ``units`` and ``cells``, ndarrays of
bool (n_units,) and (n_cells,), say which are used.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lsdx.kernels.covariance import scaled
from lsdx.kernels.folds import blocked_folds
from lsdx.kernels.matching import n_observed_bins
from lsdx.kernels.spectra import principal_components
from lsdx.kernels.variability import window_counts


def crossvalidated_products(patterns: np.ndarray) -> np.ndarray:
    """Return the products of the patterns of conditions, of different folds alone.

    Parameters
    ----------
    patterns : ndarray (n_cells, n_folds, n_units)
        The mean of each fold.

    Returns
    -------
    ndarray of float64 (n_cells, n_cells)
        ``sum over f != g of a[f] . b[g] / (n_folds (n_folds - 1))``: that of the true patterns on
        average, since noise of different folds is independent.

    Raises
    ------
    ValueError
        For fewer than two folds.

    Examples
    --------
    >>> crossvalidated_products(np.array([[[1.0, 0.0], [1.0, 2.0]]])).tolist()
    [[1.0]]
    """
    n_folds = patterns.shape[1]
    if n_folds < 2:
        raise ValueError(f"expected at least 2 folds, found {n_folds}")
    total = patterns.sum(axis=1)
    same = np.einsum("afu,bfu->ab", patterns, patterns, optimize=True)
    return np.asarray((total @ total.T - same) / (n_folds * (n_folds - 1)))


def crossvalidated_distance(patterns: np.ndarray) -> np.ndarray:
    """Return the cross-validated squared distance of all pairs of conditions, by unit.

    Parameters
    ----------
    patterns : ndarray (n_cells, n_folds, n_units)
        The mean of each fold, over the noise of each unit.

    Returns
    -------
    ndarray of float64 (n_cells, n_cells)
        Symmetrical, 0 on the diagonal, NaN where a pattern holds NaN.

    Notes
    -----
    The mean over units, and over pairs of different folds f and g, of ``(a[f] - b[f]) (a[g] -
    b[g])`` (Walther et al. 2016, NeuroImage 137:188): 0 on average for equal patterns, and
    below 0 half of the time.

    Examples
    --------
    >>> a = np.zeros((2, 3, 4))
    >>> a[1, :, 0] = 2.0
    >>> crossvalidated_distance(a).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    products = crossvalidated_products(patterns)
    square = np.diag(products)
    distance = (square[:, None] + square - products - products.T) / patterns.shape[2]
    return np.asarray(distance)


def reliability(patterns: np.ndarray) -> np.ndarray:
    """Return how much of the spread of each pattern over units is no noise.

    Parameters
    ----------
    patterns : ndarray (n_cells, n_folds, n_units)

    Returns
    -------
    ndarray of float64 (n_cells,)
        Up to 1, and 0 on average without any pattern; NaN without spread.

    Notes
    -----
    Cronbach's alpha over the folds (1951, Psychometrika 16:297): the mean of the reliabilities,
    for the whole, of all ways to split the folds in halves.

    Examples
    --------
    >>> fold = np.array([1.0, 2.0, 4.0])
    >>> reliability(np.stack([fold, fold])[None]).round(12).tolist()
    [1.0]
    """
    n_folds = patterns.shape[1]
    single = patterns.var(axis=2).sum(axis=1)
    total = patterns.sum(axis=1).var(axis=1)
    some = total > 1e-12 * single
    share = single / np.where(some, total, np.nan)
    return np.asarray(n_folds / (n_folds - 1) * (1 - share))


def compare_patterns(
    counts: np.ndarray,
    units: np.ndarray,
    cells: np.ndarray,
    n_bins: int,
    n_folds: int,
    gap: int,
    min_units: int,
    min_spikes: float,
) -> dict[str, Any]:
    """Compare the mean activity of all pairs of cells of one group.

    Parameters
    ----------
    counts, units, cells
        See the module.
    n_bins : int
        Bins that are added up to a window.
    n_folds : int
        Blocks of windows of each cell, from 4.
    gap : int
        Windows left out between blocks.
    min_units : int
    min_spikes : float
        Units with fewer in all cells together are left out.

    Returns
    -------
    dict
        ``distance``, ``correlation``, ``ceiling`` (n_cells, n_cells); ``distance_within``,
        ``reliability``, ``note`` (n_cells,); ``n_units``.
    """
    n_cells = counts.shape[1]
    square = ("distance", "correlation", "ceiling")
    out: dict[str, Any] = {n: np.full((n_cells, n_cells), np.nan) for n in square} | {
        "distance_within": np.full(n_cells, np.nan),
        "reliability": np.full(n_cells, np.nan),
        "note": np.full(n_cells, "", dtype=object),
        "n_units": 0,
    }
    least = n_folds * max(gap + 1, 2)
    seen: dict[int, np.ndarray] = {}
    for c in range(n_cells):
        length = n_observed_bins(counts[units, c]) if cells[c] and units.any() else -1
        if length < 1:
            out["note"][c] = "not observed for all units"
        elif length // n_bins < least:
            out["note"][c] = f"fewer than {least} windows"
        else:
            seen[c] = window_counts(counts[units, c, :length].astype(np.float64), n_bins)
    if not seen:
        return out
    variance = np.mean([x.var(axis=1, ddof=1) for x in seen.values()], axis=0)
    level = np.abs([x.mean(axis=1) for x in seen.values()]).max(axis=0)
    spikes = np.sum([x.sum(axis=1) for x in seen.values()], axis=0)
    used = (variance > (1e-9 * level) ** 2) & (spikes >= min_spikes)
    n = out["n_units"] = int(used.sum())
    here = np.array(list(seen))
    if n < max(min_units, 2):
        out["note"][here] = f"{n} units, fewer than min_units={min_units}"
        return out
    noise = np.sqrt(variance[used])
    patterns = np.stack(
        [_fold_means(x[used] / noise[:, None], n_folds, gap) for x in seen.values()]
    )
    every = np.ix_(here, here)
    out["distance"][every] = crossvalidated_distance(patterns)
    half = n_folds // 2
    for c, folds in zip(here, patterns, strict=True):
        halves = np.stack([folds[:half], folds[-half:]])
        out["distance_within"][c] = crossvalidated_distance(halves)[0, 1]
    mean = patterns.mean(axis=1)
    mean -= mean.mean(axis=1, keepdims=True)
    length = np.sqrt((mean**2).sum(axis=1))
    mean /= np.where(length > 0, length, np.nan)[:, None]
    out["correlation"][every] = np.clip(mean @ mean.T, -1, 1)
    out["reliability"][here] = alpha = reliability(patterns)
    root = np.sqrt(np.where(alpha > 0, alpha, np.nan))
    out["ceiling"][every] = root[:, None] * root
    return out


def compare_times(
    counts: np.ndarray,
    units: np.ndarray,
    cells: np.ndarray,
    n_bins: int,
    n_components: int | None,
    measure: str,
    min_units: int,
    min_spikes: float,
    matrix: bool,
) -> dict[str, Any]:
    """Compare the population vectors of all pairs of windows of one group, of all cells.

    Parameters
    ----------
    counts, units, cells
        See the module.
    n_bins : int
        Bins that are added up to a window.
    n_components : int, optional
        Principal components that are kept; by default all.
    measure : {"cosine", "correlation"}
    min_units : int
    min_spikes : float
        Units with fewer in all cells together are left out.
    matrix : bool
        Whether to return ``similarity``.

    Returns
    -------
    dict
        ``similarity`` (n_cells * n_windows, n_cells * n_windows), float32, NaN for windows not
        observed; ``dimension``, ``note`` (n_cells,); ``n_units``.
    """
    n_cells, n_windows = counts.shape[1], counts.shape[2] // n_bins
    out: dict[str, Any] = {
        "dimension": np.full(n_cells, np.nan),
        "note": np.full(n_cells, "", dtype=object),
        "n_units": 0,
    }
    if matrix:
        out["similarity"] = np.full((n_cells * n_windows,) * 2, np.nan, dtype=np.float32)
    parts = []
    for c in range(n_cells):
        length = n_observed_bins(counts[units, c]) if cells[c] and units.any() else -1
        if length < 2 * n_bins:
            words = "not observed for all units" if length < 1 else "fewer than 2 windows"
            out["note"][c] = words
            continue
        parts.append((c, window_counts(counts[units, c, :length].astype(np.float64), n_bins).T))
    if not parts:
        return out
    here = np.array([c for c, _ in parts])
    x = np.concatenate([p for _, p in parts])
    z = scaled(x)
    x = z[:, (x.sum(axis=0) >= min_spikes) & (z != 0).any(axis=0)]
    n = out["n_units"] = x.shape[1]
    if n < max(min_units, 2):
        out["note"][here] = f"{n} units, fewer than min_units={min_units}"
        return out
    if n_components is not None and n_components < min(x.shape[1], x.shape[0] - 1):
        loadings = principal_components(x, n_components=n_components)[1]
        loadings = loadings[:, np.isfinite(loadings).all(axis=0)]
        x = x @ loadings @ loadings.T
    if measure == "correlation":
        x = x - x.mean(axis=1, keepdims=True)
    length = np.linalg.norm(x, axis=1)
    x /= np.where(length > 1e-12 * length.max(initial=0), length, np.nan)[:, None]
    places, start = [], 0
    for c, part in parts:
        mine = x[start : start + len(part)]
        mine = mine[np.isfinite(mine).all(axis=1)]
        places.append(c * n_windows + np.arange(len(part)))
        start += len(part)
        # the matrix of windows and that of units have one spectrum: (sum)^2 / sum of squares
        small = mine @ mine.T if mine.shape[0] < mine.shape[1] else mine.T @ mine
        out["dimension"][c] = len(mine) ** 2 / max(float((small**2).sum()), 1e-300)
    if matrix:
        at = np.concatenate(places)
        out["similarity"][np.ix_(at, at)] = x @ x.T
    return out


def _fold_means(x: np.ndarray, n_folds: int, gap: int) -> np.ndarray:
    """Return the means of contiguous blocks of (n_units, n_windows), (n_folds, n_units)."""
    folds = blocked_folds(np.ones(x.shape[1], dtype=bool), n_folds)
    # windows between blocks are left out of the later one
    return np.stack([x[:, folds.test(i)[gap if i else 0 :]].mean(axis=1) for i in range(n_folds)])
