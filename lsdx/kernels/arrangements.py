"""The ways in which conditions, signs or orders could have fallen, for permutation tests."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Arrangements:
    """Some or all ways in which a design could have fallen; the one that was observed is first.

    ``values`` (n, m) holds one of them a row; ``count`` is how many there are in all; ``exact``
    is whether all are here; ``p_least`` the least two-sided p that they can give: NaN where
    nothing can fall otherwise.
    """

    values: np.ndarray
    count: int
    exact: bool
    p_least: float


def conditions_within(
    first: np.ndarray, stratum: np.ndarray, n: int, rng: np.random.Generator
) -> Arrangements:
    """Arrange conditions within strata: each keeps as many sessions of the first condition.

    Parameters
    ----------
    first : ndarray of bool (m,)
        Whether a session is of the first condition.
    stratum : ndarray of int (m,)
        Stratum of each session, such as mouse x year.
    n : int
        All are listed if there are no more than this; else so many are drawn.
    rng : Generator

    Returns
    -------
    Arrangements
        ``values`` of bool.

    Examples
    --------
    >>> first, mouse = np.array([True, False, False, True]), np.array([0, 0, 0, 1])
    >>> found = conditions_within(first, mouse, 99, np.random.default_rng(0))
    >>> found.values[:, :3].astype(int).tolist(), found.count
    ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], 3)
    """
    rows = [np.flatnonzero(stratum == s) for s in np.unique(stratum)]
    rows = [r for r in rows if 0 < first[r].sum() < r.size]
    count = math.prod(math.comb(r.size, int(first[r].sum())) for r in rows)
    mirrored = all(2 * first[r].sum() == r.size for r in rows)

    def each() -> Iterable[np.ndarray]:
        ways = [itertools.combinations(r, int(first[r].sum())) for r in rows]
        for chosen in itertools.product(*ways):
            made = first.copy()
            for r in rows:
                made[r] = False
            made[list(itertools.chain(*chosen))] = True
            yield made

    def draw() -> np.ndarray:
        made = np.repeat(first[None], n, axis=0)
        for r in rows:
            made[:, r] = rng.permuted(made[:, r], axis=1)
        return made

    return _listed(first, count, n, each, draw, 2 if mirrored else 1)


def signs(m: int, n: int, rng: np.random.Generator) -> Arrangements:
    """Arrange the signs of m independent differences.

    Examples
    --------
    >>> signs(2, 99, np.random.default_rng(0)).values.tolist()
    [[1, 1], [1, -1], [-1, 1], [-1, -1]]
    """
    ones = np.ones(m, dtype=np.int8)

    def each() -> Iterable[np.ndarray]:
        for chosen in itertools.product((1, -1), repeat=m):
            yield np.array(chosen, dtype=np.int8)

    def draw() -> np.ndarray:
        return rng.choice(np.array([1, -1], dtype=np.int8), size=(n, m))

    return _listed(ones, 2**m if m else 1, n, each, draw, 2)


def orders_within(stratum: np.ndarray, n: int, rng: np.random.Generator) -> Arrangements:
    """Arrange the places of sessions within strata: ``values`` index the sessions.

    Examples
    --------
    >>> orders_within(np.array([0, 0, 1]), 99, np.random.default_rng(0)).values.tolist()
    [[0, 1, 2], [1, 0, 2]]
    """
    rows = [np.flatnonzero(stratum == s) for s in np.unique(stratum)]
    rows = [r for r in rows if r.size > 1]
    count = math.prod(math.factorial(r.size) for r in rows)
    start = np.arange(stratum.size)

    def each() -> Iterable[np.ndarray]:
        for chosen in itertools.product(*(itertools.permutations(r) for r in rows)):
            made = start.copy()
            for r, order in zip(rows, chosen, strict=True):
                made[r] = order
            yield made

    def draw() -> np.ndarray:
        made = np.repeat(start[None], n, axis=0)
        for r in rows:
            made[:, r] = rng.permuted(made[:, r], axis=1)
        return made

    return _listed(start, count, n, each, draw, 2 if rows else 1)


def _listed(
    observed: np.ndarray,
    count: int,
    n: int,
    each: Callable[[], Iterable[np.ndarray]],
    draw: Callable[[], np.ndarray],
    ties: int,
) -> Arrangements:
    """List all arrangements, or draw some; ``ties`` reach the largest size of a statistic alike."""
    if count <= 1:
        return Arrangements(observed[None], 1, True, math.nan)
    if count > n:
        return Arrangements(np.concatenate([observed[None], draw()]), count, False, 1 / (n + 1))
    rows = np.array(list(each()))
    same = (rows == observed).all(axis=1)
    rows = np.concatenate([rows[same][:1], rows[~same]])
    return Arrangements(rows, count, True, ties / count)
