"""Families of tests: false discovery rates, and the share of units that are modulated."""

from __future__ import annotations

import numpy as np

from lsdx.kernels.permutation import benjamini_hochberg, false_discovery_rates


def family_q(
    p: np.ndarray, least: np.ndarray, far: np.ndarray | None, family: np.ndarray, alpha: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the false discovery rate at which each unit is called, within its family.

    Parameters
    ----------
    p, least : ndarray (n_units, ...)
        p of each test, and the least that it can give.
    far : ndarray (n_units, ..., n_ways), optional
        Distances from chance, of all ways to deal blocks
        (`lsdx.kernels.permutation.standardized`); without them q is that of Benjamini and
        Hochberg.
    family : ndarray of int (n_units,)
    alpha : float
        Tests whose ``least`` is not below it are none.

    Returns
    -------
    q, q_least : ndarray of float64 (n_units, ...)
        And what q is at best: if all units with ``p < alpha`` were as far from chance as can
        be. NaN for what is not tested.

    Examples
    --------
    >>> p = np.array([[0.01], [0.04], [0.9]])
    >>> q, q_least = family_q(p, np.full_like(p, 0.001), None, np.zeros(3, dtype=int), 0.05)
    >>> q[:, 0].round(3).tolist(), q_least[:, 0].round(4).tolist()
    ([0.03, 0.06, 0.9], [0.0015, 0.0015, 0.0015])
    """
    tested = least < alpha  # NaN is no test
    q, q_least = np.full((2, *p.shape), np.nan)
    for code in np.unique(family):
        rows = family == code
        for cell in np.ndindex(p.shape[1:]):
            mine = np.flatnonzero(rows & tested[(slice(None), *cell)])
            at = (mine, *cell)
            ours = None if far is None else far[at]
            q[at], q_least[at] = _q_of_family(p[at], least[at], ours, alpha)
    return q, q_least


def shares_of_arms(
    p: np.ndarray, least: np.ndarray, arm: np.ndarray, session: np.ndarray, alpha: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the share of tested units with ``p < alpha`` in each arm.

    Parameters
    ----------
    p, least : ndarray (n_units, ...)
        p of each test, and the least that it can give.
    arm : ndarray of int (n_units,)
        From 0.
    session : ndarray (n_units,)
    alpha : float

    Returns
    -------
    share, n_tested, n_sessions : ndarray of float64 (n_arms, ...)

    Examples
    --------
    >>> p = np.array([[0.01], [0.5], [0.5]])
    >>> sessions = np.array(["a", "a", "b"])
    >>> found = shares_of_arms(p, np.zeros_like(p), np.array([0, 0, 1]), sessions, 0.05)
    >>> [values[:, 0].tolist() for values in found]
    [[0.5, 0.0], [2.0, 1.0], [1.0, 1.0]]
    """
    tested = least < alpha
    n_arms = int(arm.max(initial=-1)) + 1
    share, n, n_sessions = np.full((3, n_arms, *p.shape[1:]), np.nan)
    for a in range(n_arms):
        rows = arm == a
        n[a] = tested[rows].sum(axis=0)
        share[a] = ((p < alpha) & tested)[rows].sum(axis=0) / np.where(n[a] > 0, n[a], np.nan)
        for cell in np.ndindex(p.shape[1:]):
            n_sessions[(a, *cell)] = len(set(session[rows][tested[(rows, *cell)]].tolist()))
    return share, n, n_sessions


def _q_of_family(
    p: np.ndarray, least: np.ndarray, far: np.ndarray | None, alpha: float
) -> tuple[np.ndarray, float]:
    """Return q of each unit, and what it is at best: of all with p < alpha, or else of one."""
    if not p.size:
        return p, np.nan
    found = p < alpha if (p < alpha).any() else np.arange(p.size) == least.argmin()
    if far is not None:  # no unit reaches them in any way but the true one and its like
        return false_discovery_rates(far), float(least[found].mean())
    best = benjamini_hochberg(np.where(found, least, 1.0))
    return benjamini_hochberg(p), float(best[found].min())
