"""Permutation tests of blocks, and what is done about many of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np

from lsdx.kernels.compile import jit

_SLACK = 1e-9  # relative: sums in another order are the same statistic
_ROUNDED = 1e-6  # relative: so are distances as float32


def assignments(
    n_a: int, n_b: int, *, n_permutations: int = 999, rng: np.random.Generator | int | None = None
) -> tuple[np.ndarray, bool]:
    """Return ways to deal blocks to two conditions, the true one first.

    Parameters
    ----------
    n_a, n_b : int
        Blocks of each condition, those of the first coming first.
    n_permutations : int
        If there are no more ways than these and the true one, all are given, else so many
        random ones beside it.
    rng : Generator or int, optional

    Returns
    -------
    second : ndarray of bool (n_ways, n_a + n_b)
        Which blocks go to the second condition.
    exact : bool
        Whether these are all the ways there are.

    Examples
    --------
    >>> ways, exact = assignments(5, 5)
    >>> len(ways), exact, ways[0].astype(int).tolist()
    (252, True, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    """
    n = n_a + n_b
    true = np.arange(n) >= n_a
    if math.comb(n, n_b) <= n_permutations + 1:
        chosen = np.array(list(itertools.combinations(range(n), n_b)), dtype=np.int64)
        ways = np.zeros((len(chosen), n), dtype=bool)
        np.put_along_axis(ways, chosen.reshape(len(chosen), n_b), True, axis=1)
        return np.concatenate([ways[-1:], ways[:-1]]), True  # the last is the true one
    generator = np.random.default_rng(rng)
    random = generator.permuted(np.tile(true, (n_permutations, 1)), axis=1)
    return np.concatenate([true[None], random]), False


def block_test(values: np.ndarray, second: np.ndarray) -> dict[str, np.ndarray]:
    """Test whether a measure differs between two conditions, by permuting blocks.

    Parameters
    ----------
    values : ndarray of float64 (n_units, n_blocks)
        The measure in each block; NaN where it is not defined.
    second : ndarray of bool (n_ways, n_blocks)
        As `assignments` gives them: the true one first.

    Returns
    -------
    dict
        ``statistic``, Welch's t of the second minus the first condition; ``p``, two-sided;
        ``null_mean`` and ``null_sd`` of the statistic over the other ways, infinite ones left
        out; each float64 (n_units,); and ``null``, the statistic of the other ways, (n_units,
        n_ways - 1). NaN where a condition has fewer than two blocks.

    Notes
    -----
    Under the null hypothesis blocks can change places. ``p`` is the share of ways with
    ``|t*| >= |t|``, the true one among them: of all, or ``(1 + #) / (B + 1)`` of B random ones
    (Phipson & Smyth 2010). Blocks without difference have t = 0 and p = 1.

    Examples
    --------
    >>> ways, exact = assignments(5, 5)
    >>> steps = np.array([[1, 2, 1, 2, 1, 8, 9, 8, 9, 8.0], [3.0] * 10])
    >>> block_test(steps, ways)["p"].round(4).tolist()
    [0.0079, 1.0]
    """
    t = _welch(values, second)
    observed = t[:, 0]
    count = _reached(t[:, 1:], observed).sum(axis=1)
    # of all ways the true one is one, of random ones it is one more
    found = {"statistic": observed, "p": (1 + count) / t.shape[1], **_moments(t[:, 1:])}
    defined = ~np.isnan(observed)
    out = {name: np.where(defined, v, np.nan) for name, v in found.items()}
    return out | {"null": t[:, 1:]}


def sequential_test(
    observed: np.ndarray,
    draw: Callable[[np.ndarray, int, int], np.ndarray],
    n_draws: int,
    *,
    settle: int | None = None,
    batch: int = 16,
) -> dict[str, np.ndarray]:
    """Test statistics against draws of their null distributions, in batches.

    Parameters
    ----------
    observed : ndarray of float64 (n_units,)
    draw : callable
        Of (units, first, stop): gives draws ``first`` to ``stop`` of the statistic of these
        units, (n_chosen, stop - first). The same draw is the same whoever asks for it.
    n_draws : int
    settle : int, optional
        A unit needs no more draws once so many reach its statistic. All are made by default.
    batch : int
        Draws at once.

    Returns
    -------
    dict
        ``p``, two-sided, ``null_mean``, ``null_sd`` over the draws that were made, ``n_draws``,
        each float64 (n_units,); ``null`` (n_units, n_draws), NaN where none was made. NaN where
        ``observed`` is.

    Notes
    -----
    ``p = (1 + #{|T*| >= |T|}) / (B + 1)`` (Phipson & Smyth 2010), or ``h / l`` where the h-th
    reached it in the l-th draw and no more were made (Besag & Clifford 1991, Biometrika
    78:301). Draws without a value are no evidence against the null, and count as reached.

    Examples
    --------
    >>> null = np.arange(1.0, 101.0)[None]
    >>> test = lambda t, **k: sequential_test(np.array([t]), lambda u, a, b: null[:, a:b], 100, **k)
    >>> test(96.0)["p"].round(3).tolist(), test(2.0, settle=10)["p"].round(3).tolist()
    ([0.059], [0.909])
    """
    n_units = observed.size
    null = np.full((n_units, n_draws), np.nan)
    count, made = np.zeros(n_units, dtype=np.int64), np.zeros(n_units, dtype=np.int64)
    open_units = np.flatnonzero(~np.isnan(observed))
    p = np.full(n_units, np.nan)
    for first in range(0, n_draws, batch):
        if not open_units.size:
            break
        stop = min(first + batch, n_draws)
        t = draw(open_units, first, stop)
        null[open_units, first:stop] = t
        running = count[open_units, None] + _reached(t, observed[open_units]).cumsum(axis=1)
        count[open_units], made[open_units] = running[:, -1], stop
        if settle is not None:
            done = running[:, -1] >= settle
            settled = open_units[done]
            made[settled] = first + 1 + (running[done] >= settle).argmax(axis=1)
            p[settled] = settle / made[settled]
            open_units = open_units[~done]
    p[open_units] = (1 + count[open_units]) / (n_draws + 1)
    null[np.arange(n_draws) >= made[:, None]] = np.nan
    tested = {"p": p, **_moments(null), "n_draws": np.where(np.isnan(p), np.nan, made)}
    return {n: np.where(np.isnan(p), np.nan, v) for n, v in tested.items()} | {"null": null}


def repeated_ways(second: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return which ways deal a unit's blocks as the true one does, or as its mirror image.

    Parameters
    ----------
    second : ndarray of bool (n_ways, n_blocks)
        As `assignments` gives them: the true one first.
    valid : ndarray of bool (n_units, n_blocks)
        Blocks with a value: it does not matter where the others are dealt.

    Returns
    -------
    ndarray of bool (n_units, n_ways - 1)
        Ways whose statistic is the true one's, or minus it, whatever the values.

    Examples
    --------
    >>> ways, _ = assignments(3, 3)
    >>> valid = np.array([[True] * 6, [False, True, True, True, True, False]])
    >>> repeated_ways(ways, valid).sum(axis=1).tolist()
    [1, 3]
    """
    moved = valid.astype(np.float64) @ (second[1:] != second[0]).T.astype(np.float64)
    out: np.ndarray = (moved == 0) | (moved == valid.sum(axis=1, keepdims=True))
    return out


def least_p(certain: np.ndarray, *, settle: int | None = None) -> np.ndarray:
    """Return the least p that can come out where some draws reach any statistic.

    Parameters
    ----------
    certain : ndarray of bool (n_units, n_draws)
        Draws that reach it whatever the data: as `repeated_ways` says, and those without a value.
    settle : int, optional
        As for `sequential_test`.

    Returns
    -------
    ndarray of float64 (n_units,)
        ``(1 + #) / (n_draws + 1)``; or, where so many are certain that all units settle, settle
        over the draw in which they do at the latest.

    Examples
    --------
    >>> ways, _ = assignments(5, 5)
    >>> certain = repeated_ways(ways, np.ones((1, 10), dtype=bool))
    >>> (252 * least_p(certain)).tolist(), (252 * least_p(certain[:, ::-1], settle=1)).round(2)
    ([2.0], array([1.]))
    """
    running = certain.cumsum(axis=1)
    n_draws = certain.shape[1]
    least = (1 + certain.sum(axis=1)) / (n_draws + 1)
    if settle is None or not n_draws:
        return np.asarray(least)
    settled = running[:, -1] >= settle
    latest = 1 + (running >= settle).argmax(axis=1)
    return np.asarray(np.where(settled, settle / latest, least))


def standardized(
    statistic: np.ndarray, others: np.ndarray, *, df: np.ndarray | None = None
) -> np.ndarray:
    """Put a statistic and those of other ways on a scale that is alike for all units.

    Parameters
    ----------
    statistic : ndarray of float64 (n_units,)
    others : ndarray of float64 (n_units, n_others)
        Of other ways, one of each and its mirror image.
    df : ndarray (n_units,), optional
        Degrees of freedom, if these are t: then the normal deviate of each (Wallace 1959, Ann
        Math Stat 30:1121); else in units of the root mean square over all ways.

    Returns
    -------
    ndarray of float64 (n_units, 1 + n_others)
        Distances from 0, the true way's first; NaN for ways without a value, and where the true
        one has none.

    Examples
    --------
    >>> standardized(np.array([3.0]), np.array([[4.0, np.nan]])).round(2).tolist()
    [[0.85, 1.13, nan]]
    >>> standardized(np.array([2.306]), np.zeros((1, 1)), df=np.array([8])).round(2).tolist()
    [[1.96, 0.0]]
    """
    every = np.abs(np.concatenate([statistic[:, None], others], axis=1))
    if df is None:
        n = np.maximum(np.isfinite(every).sum(axis=1, keepdims=True), 1)
        scale = np.sqrt(np.nansum(every**2, axis=1, keepdims=True) / n)
        far = every / np.where(scale > 0, scale, 1.0)
    else:
        k = np.maximum(df, 1)[:, None]
        far = np.sqrt(k * np.log1p(every**2 / k)) * (8 * k + 1) / (8 * k + 3)
    return np.where(np.isnan(statistic)[:, None], np.nan, far)


def false_discovery_rates(far: np.ndarray) -> np.ndarray:
    """Return q-values of a family of units from what all of them do in other ways.

    Parameters
    ----------
    far : ndarray (n_units, 1 + n_others)
        As `standardized` gives it; NaN is no way of a unit.

    Returns
    -------
    ndarray of float64 (n_units,)
        NaN for units without a test.

    Notes
    -----
    The number of units expected to reach a distance (the share of each unit's ways that do, the
    true one among them, summed over units) over the number that do reach it; at most 1, and the
    least of it up to a unit's own distance (Tusher et al. 2001, PNAS 98:5116; Storey &
    Tibshirani 2003, PNAS 100:9440, with a null share of 1). Of one unit q is p. No unit's
    statistic need be distributed as another's. Where p can take few values this can tell units
    apart that all have the least one, as no procedure of p can.

    Examples
    --------
    >>> ways, _ = assignments(5, 5)
    >>> steps = np.arange(10) % 3 + np.array([9, 9, 0, 0, 0])[:, None] * ways[0]
    >>> found = block_test(steps.astype(float), ways)
    >>> far = standardized(found["statistic"], found["null"], df=np.full(5, 8))
    >>> (found["p"] * 252)[:2].tolist(), (false_discovery_rates(far) < 0.02).tolist()
    ([2.0, 2.0], [True, True, False, False, False])
    """
    q = np.full(len(far), np.nan)
    tested = ~np.isnan(far[:, 0])
    if not tested.any():
        return q
    far = far[tested]
    own = far[:, 0].astype(np.float64)
    limit = own * (1 - _ROUNDED)
    n_ways = (~np.isnan(far)).sum(axis=1)
    expected = np.zeros(own.size)
    for n in np.unique(n_ways):
        rows = n_ways == n
        others = far[rows, 1:]
        ways = np.sort(np.concatenate([own[rows], others[~np.isnan(others)]]))
        expected += (ways.size - np.searchsorted(ways, limit)) / n
    order = np.argsort(own)
    reached = own.size - np.searchsorted(own[order], limit[order])
    # who is further out is called wherever this one is
    least = np.minimum.accumulate(np.minimum(expected[order] / reached, 1))
    found = np.empty(own.size)
    found[order] = least
    q[tested] = found
    return q


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Return q-values: the false discovery rate at which each of a family of tests is rejected.

    Parameters
    ----------
    p : ndarray (n,)
        NaN is no test.

    Returns
    -------
    ndarray of float64 (n,)

    Notes
    -----
    Benjamini & Hochberg 1995, J R Stat Soc B 57:289, as `scipy.stats` computes it.

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.01, 0.04, np.nan])).tolist()
    [0.02, 0.04, nan]
    """
    import scipy.stats

    q = np.full(p.shape, np.nan)
    tested = ~np.isnan(p)
    if tested.any():
        q[tested] = scipy.stats.false_discovery_control(p[tested])
    return q


def _reached(null: np.ndarray, observed: np.ndarray) -> np.ndarray:
    # a way without a value, of blocks too few to tell, is no evidence against the null
    out: np.ndarray = (np.abs(null) >= np.abs(observed[:, None]) * (1 - _SLACK)) | np.isnan(null)
    return out


def _moments(null: np.ndarray) -> dict[str, np.ndarray]:
    finite = np.where(np.isfinite(null), null, np.nan)
    n = np.maximum(np.isfinite(finite).sum(axis=1), 1)
    mean = np.nansum(finite, axis=1) / n
    return {
        "null_mean": mean,
        "null_sd": np.sqrt(np.nansum((finite - mean[:, None]) ** 2, axis=1) / n),
    }


def _welch(values: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Welch's t of each unit (rows) in each way (columns)."""
    valid = ~np.isnan(values)
    n_valid = np.maximum(valid.sum(axis=1, keepdims=True), 1)
    centre = np.where(valid, values, 0.0).sum(axis=1, keepdims=True) / n_valid
    x = np.where(valid, values - centre, 0.0)
    scale = np.abs(x).max(axis=1, keepdims=True, initial=0.0)
    x = x / np.where(scale > _SLACK * np.abs(centre), scale, np.inf)  # rounding is no difference
    t = np.empty((len(values), len(second)))
    _t_of_ways(np.where(valid, x, np.nan), second, t)
    return t


@jit
def _t_of_ways(x, second, t):  # type: ignore[no-untyped-def]
    # no product of matrices: its rounding depends on how many units there are
    n, total, square = np.empty(2, dtype=np.int64), np.empty(2), np.empty(2)
    for u in range(x.shape[0]):
        for w in range(second.shape[0]):
            n[:], total[:], square[:] = 0, 0.0, 0.0
            for i in range(x.shape[1]):
                value = x[u, i]
                if not np.isnan(value):
                    side = np.int64(second[w, i])
                    n[side] += 1
                    total[side] += value
                    square[side] += value * value
            if n[0] < 2 or n[1] < 2:
                t[u, w] = np.nan
                continue
            mean = total / n
            spread = (square / n - mean**2) / (n - 1)
            variance, difference = spread[0] + spread[1], mean[1] - mean[0]
            if abs(difference) < _SLACK:
                t[u, w] = 0.0
            elif variance < _SLACK**2 * 1e6:
                t[u, w] = np.inf if difference > 0 else -np.inf
            else:
                t[u, w] = difference / np.sqrt(variance)
