"""Permutation tests of blocks, and what is done about many of them."""

from __future__ import annotations

import itertools
import math

import numpy as np

_SLACK = 1e-9  # relative: sums in another order are the same statistic


def assignments(
    n_a: int, n_b: int, *, n_permutations: int = 999, rng: np.random.Generator | int | None = None
) -> tuple[np.ndarray, bool]:
    """Give ways to deal blocks to two conditions, the true one first.

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


def block_test(values: np.ndarray, second: np.ndarray, *, exact: bool) -> dict[str, np.ndarray]:
    """Test whether a measure differs between two conditions, by permuting blocks.

    Parameters
    ----------
    values : ndarray of float64 (n_units, n_blocks)
        The measure in each block; NaN where it is not defined.
    second : ndarray of bool (n_ways, n_blocks)
    exact : bool
        As `assignments` gives them.

    Returns
    -------
    dict
        ``statistic``, Welch's t of the second minus the first condition; ``p``, two-sided;
        ``null_mean`` and ``null_sd`` of the statistic over the other ways, infinite ones left
        out; each float64 (n_units,). NaN where a condition has fewer than two blocks.

    Notes
    -----
    Under the null hypothesis blocks can change places. ``p`` is the share of ways with
    ``|t*| >= |t|``: of all of them if they are exact, else ``(1 + #) / (B + 1)`` (Phipson &
    Smyth 2010). Blocks without difference have t = 0 and p = 1.

    Examples
    --------
    >>> ways, exact = assignments(5, 5)
    >>> steps = np.array([[1, 2, 1, 2, 1, 8, 9, 8, 9, 8.0], [3.0] * 10])
    >>> block_test(steps, ways, exact=exact)["p"].round(4).tolist()
    [0.0079, 1.0]
    """
    t = _welch(values, second)
    observed = t[:, :1]
    # a way that leaves a condition without two blocks is no evidence against the null
    reached = (np.abs(t) >= np.abs(observed) * (1 - _SLACK)) | np.isnan(t)
    count = reached.sum(axis=1)
    p = count / t.shape[1] if exact else (1 + reached[:, 1:].sum(axis=1)) / t.shape[1]
    defined = ~np.isnan(observed[:, 0])
    null = np.where(np.isfinite(t[:, 1:]), t[:, 1:], np.nan)
    n = np.maximum(np.isfinite(null).sum(axis=1), 1)
    mean = np.nansum(null, axis=1) / n
    sd = np.sqrt(np.nansum((null - mean[:, None]) ** 2, axis=1) / n)
    found = {"statistic": observed[:, 0], "p": p, "null_mean": mean, "null_sd": sd}
    return {name: np.where(defined, v, np.nan) for name, v in found.items()}


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Give q-values: the false discovery rate at which each of a family of tests is rejected.

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


def _welch(values: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Give Welch's t of each unit (rows) in each way (columns)."""
    valid = ~np.isnan(values)
    n_valid = np.maximum(valid.sum(axis=1, keepdims=True), 1)
    centre = np.where(valid, values, 0.0).sum(axis=1, keepdims=True) / n_valid
    x = np.where(valid, values - centre, 0.0)
    scale = np.abs(x).max(axis=1, keepdims=True, initial=0.0)
    x = x / np.where(scale > _SLACK * np.abs(centre), scale, np.inf)  # rounding is no difference
    way = second.T.astype(np.float64)
    n_b, sum_b, square_b = valid @ way, x @ way, (x * x) @ way
    n_a = valid.sum(axis=1, keepdims=True) - n_b
    sum_a = x.sum(axis=1, keepdims=True) - sum_b
    square_a = (x * x).sum(axis=1, keepdims=True) - square_b
    enough = (n_a >= 2) & (n_b >= 2)
    n_a, n_b = np.where(enough, n_a, np.nan), np.where(enough, n_b, np.nan)
    mean_a, mean_b = sum_a / n_a, sum_b / n_b
    variance = (square_a / n_a - mean_a**2) / (n_a - 1) + (square_b / n_b - mean_b**2) / (n_b - 1)
    difference = mean_b - mean_a
    same = np.abs(difference) < _SLACK
    flat = variance < _SLACK**2 * 1e6
    t = difference / np.sqrt(np.where(flat, 1.0, variance))
    t = np.where(flat & enough, np.copysign(np.inf, difference), t)
    return np.where(same & enough, 0.0, t)
