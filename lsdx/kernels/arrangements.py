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


def orders_within(
    values: np.ndarray, stratum: np.ndarray, n: int, rng: np.random.Generator
) -> Arrangements:
    """Arrange a covariate within strata.

    Parameters
    ----------
    values : ndarray of float64 (m,)
        Covariate of each session. Orders that give each session the same are one.
    stratum : ndarray of int (m,)
    n : int
        As in `conditions_within`.
    rng : Generator

    Returns
    -------
    Arrangements
        ``values`` of int: whose covariate each session has.

    Examples
    --------
    >>> dose = np.array([1.0, 2.0, 2.0, 7.0])
    >>> found = orders_within(dose, np.array([0, 0, 0, 1]), 99, np.random.default_rng(0))
    >>> dose[found.values].tolist()
    [[1.0, 2.0, 2.0, 7.0], [2.0, 1.0, 2.0, 7.0], [2.0, 2.0, 1.0, 7.0]]
    """
    rows = [np.flatnonzero(stratum == s) for s in np.unique(stratum)]
    rows = [r for r in rows if np.ptp(values[r]) > 0]
    alike = [np.unique(values[r], return_counts=True)[1] for r in rows]
    count = math.prod(
        math.factorial(r.size) // math.prod(math.factorial(k) for k in a.tolist())
        for r, a in zip(rows, alike, strict=True)
    )
    start = np.arange(stratum.size)

    def each() -> Iterable[np.ndarray]:
        for chosen in itertools.product(*(_distinct(values, tuple(r)) for r in rows)):
            made = start.copy()
            for r, order in zip(rows, chosen, strict=True):
                made[r] = order
            yield made

    def draw() -> np.ndarray:
        made = np.repeat(start[None], n, axis=0)
        for r in rows:
            made[:, r] = rng.permuted(made[:, r], axis=1)
        return made

    mirrored = all(_is_symmetric(values[r]) for r in rows)
    return _listed(start, count, n, each, draw, 2 if mirrored else 1)


def _distinct(values: np.ndarray, rows: tuple[int, ...]) -> Iterable[tuple[int, ...]]:
    """Give the orders of rows that differ in their values, the given one first."""
    if not rows:
        yield ()
    seen = set()
    for i, r in enumerate(rows):
        if values[r] not in seen:
            seen.add(values[r])
            for rest in _distinct(values, rows[:i] + rows[i + 1 :]):
                yield (r, *rest)


def _is_symmetric(values: np.ndarray) -> bool:
    """Return whether values lie alike about their middle: then each slope has its mirror."""
    sums = np.sort(values) + np.sort(values)[::-1]
    return bool(np.ptp(sums) <= 1e-9 * np.ptp(values))


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
        least = max(1 / (n + 1), ties / count)
        return Arrangements(np.concatenate([observed[None], draw()]), count, False, least)
    rows = np.array(list(each()))
    same = (rows == observed).all(axis=1)
    rows = np.concatenate([rows[same][:1], rows[~same]])
    return Arrangements(rows, count, True, ties / count)
