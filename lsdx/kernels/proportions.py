"""Shares of modulated units in cells, such as regions, with what they rest on."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from lsdx.kernels.cohort import share_interval


def shares_of_cells(
    tests: tuple[np.ndarray, np.ndarray],
    cells: Sequence[np.ndarray],
    session: np.ndarray,
    mouse: np.ndarray,
    *,
    alpha: float,
    level: float,
) -> dict[str, np.ndarray]:
    """Return the shares of units that go up, go down, change and do not, by cell.

    Parameters
    ----------
    tests : tuple of ndarray (n_units, ...)
        p, NaN where a unit was not tested, and a statistic whose sign is that of the change.
    cells : sequence of ndarray of int
        Units of each cell; no unit is in two.
    session, mouse : ndarray of int (n_units,)
        Numbers from 0.
    alpha : float
        Units with a lower p are modulated.
    level : float
        Of the intervals over mice (`lsdx.kernels.cohort.share_interval`).

    Returns
    -------
    dict
        ``share``, ``share_low`` and ``share_high`` (n_cells, ..., 4); ``n_units``, ``n_sessions``
        and ``n_mice`` (n_cells, ...) that were tested.

    Examples
    --------
    >>> tests = np.array([[0.01], [0.5]]), np.array([[2.0], [1.0]])
    >>> one = np.zeros(2, dtype=int)
    >>> found = shares_of_cells(tests, [np.arange(2)], one, one, alpha=0.05, level=0.95)
    >>> found["share"].tolist(), found["n_units"].tolist()
    ([[[0.5, 0.0, 0.5, 0.5]]], [[2]])
    """
    p, statistic = tests
    tested = ~np.isnan(p)
    modulated = p < alpha
    up = modulated & (statistic > 0)
    kinds = np.stack([up, modulated & ~up, modulated, tested & ~modulated], axis=-1)
    cell = np.zeros(len(p), dtype=np.int64)
    for c, rows in enumerate(cells):
        cell[rows] = c
    n = _sums(tested, cell, mouse, len(cells))
    hits = _sums(kinds, cell, mouse, len(cells))
    total = n.sum(axis=-1)
    low, high = share_interval(hits, n[..., None, :], level=level)
    return {
        "share": hits.sum(axis=-1) / np.where(total, total, np.nan)[..., None],
        "share_low": low,
        "share_high": high,
        "n_units": total,
        "n_sessions": (_sums(tested, cell, session, len(cells)) > 0).sum(axis=-1),
        "n_mice": (n > 0).sum(axis=-1),
    }


def max_statistic(
    p: np.ndarray,
    null: np.ndarray,
    cells: Sequence[np.ndarray],
    session: np.ndarray,
    *,
    alpha: float,
    draws: int,
    seed: int,
) -> np.ndarray:
    """Return p of each cell's share of modulated units, of the largest of all cells.

    Parameters
    ----------
    p : ndarray (n_units,)
        NaN where a unit was not tested.
    null : ndarray (n_units, n_ways)
        The statistic of each way to deal blocks, the same ways for all units of a session; NaN
        behind the last.
    cells : sequence of ndarray of int
        Units of each cell.
    session : ndarray of int (n_units,)
        Numbers from 0.
    alpha : float
    draws : int
        Of a way for each session.
    seed : int

    Returns
    -------
    ndarray of float64 (n_cells,)
        NaN for cells whose share is the same in all draws.

    Examples
    --------
    >>> null = np.random.default_rng(0).normal(size=(20, 99))
    >>> p = np.r_[np.full(10, 0.001), np.full(10, 0.5)]
    >>> cells, session = [np.arange(10), np.arange(10, 20)], np.arange(20) % 4
    >>> max_statistic(p, null, cells, session, alpha=0.05, draws=99, seed=0).round(2).tolist()
    [0.01, 1.0]
    """
    import scipy.stats

    # those of other sessions may be fewer: NaN behind the last; one between is no evidence
    last = null.shape[1] - (~np.isnan(null[:, ::-1])).argmax(axis=1)
    last[np.isnan(p)] = 0
    n_sessions = int(session.max(initial=-1)) + 1
    most = np.zeros(max(n_sessions, 1), dtype=np.int64)
    np.maximum.at(most, session, last)
    n_ways = np.where(np.isnan(p), 0, most[session])
    hit = np.zeros(null.shape, dtype=bool)  # would the unit be modulated if this were the truth?
    for n in np.unique(n_ways[n_ways > 0]):
        rows = np.flatnonzero(n_ways == n)
        t = np.abs(null[rows, :n]).round(9)  # mirror images are equal but for rounding
        t[np.isnan(t)] = np.inf
        hit[rows, :n] = scipy.stats.rankdata(-t, method="max", axis=1) / n < alpha
        hit[rows, :n] &= ~np.isnan(null[rows, :n])
    rng = np.random.default_rng([seed, zlib.crc32(b"max_statistic")])
    at_random = rng.random((draws, n_sessions))
    z, largest = np.full(len(cells), np.nan), np.zeros(draws)
    for c, rows in enumerate(cells):
        mine = rows[n_ways[rows] > 0]
        if not mine.size:
            continue
        way = (at_random[:, session[mine]] * n_ways[mine]).astype(np.int64)
        share = hit[mine, way].mean(axis=1)
        spread = share.std()
        if spread > 0:
            z[c] = ((p[mine] < alpha).mean() - share.mean()) / spread
            largest = np.maximum(largest, (share - share.mean()) / spread)
    reached = (largest >= z[:, None]).sum(axis=1)
    return np.where(np.isnan(z), np.nan, (1 + reached) / (draws + 1))


def _sums(of: np.ndarray, cell: np.ndarray, label: np.ndarray, n_cells: int) -> np.ndarray:
    """Add up units (unit, ...) by cell and by label: (cell, ..., label)."""
    out = np.zeros((n_cells, int(label.max(initial=-1)) + 1, *of.shape[1:]), dtype=np.int64)
    np.add.at(out, (cell, label), of)
    return np.moveaxis(out, 1, -1)
