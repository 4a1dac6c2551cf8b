"""Random draws that belong to a unit: the same whatever else is drawn, in whatever order.

Each unit and draw has a key (64 bits), from which all its random numbers come (the SplitMix64
generator of Steele, Lea and Flood 2014). Chunks, workers and neighbours cannot change them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lsdx.kernels.compile import jit
from lsdx.kernels.trains import Trains

THINNINGS = 20  # to equal rates, of which means are taken
_STEP = np.uint64(0x9E3779B97F4A7C15)


def stream_keys(units: np.ndarray, *path: int) -> np.ndarray:
    """Return each unit a key of its own for a purpose.

    Parameters
    ----------
    units : ndarray of uint64 (n_units,)
        What identifies each unit.
    *path : int
        The purpose, from 0 to 2**64 - 1: a seed, the number of a draw, and so on.

    Returns
    -------
    ndarray of uint64 (n_units,)

    Examples
    --------
    >>> a, b = stream_keys(np.array([7, 8], dtype=np.uint64), 0, 1)
    >>> bool(a == stream_keys(np.array([7], dtype=np.uint64), 0, 1)[0]), bool(a == b)
    (True, False)
    """
    keys = np.asarray(units, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for step in path:
            keys = _mix(keys ^ _mix(np.uint64(step % 2**64) + _STEP))
    return keys


def thinning_keys(units: np.ndarray, seed: int, streams: Sequence[int]) -> np.ndarray:
    """Return keys of thinning, from unit, seed and what identifies each cell.

    Parameters
    ----------
    units : ndarray of uint64 (n_units,)
    seed : int
    streams : sequence of int (n_cells,)

    Returns
    -------
    ndarray of uint64 (n_units, n_cells)

    Examples
    --------
    >>> thinning_keys(np.array([7, 8], dtype=np.uint64), 0, [1, 2, 3]).shape
    (2, 3)
    """
    return np.stack([stream_keys(units, seed, stream) for stream in streams], axis=1)


def thin(counts: np.ndarray, keep: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Keep each spike with a unit's probability, independently: binomial thinning.

    Parameters
    ----------
    counts : ndarray (n_units, n_bins)
        Whole numbers, not negative.
    keep : ndarray of float (n_units,)
        Probability that a spike stays; 1 or more keeps them all.
    keys : ndarray of uint64 (n_units,)
        As `stream_keys` gives them.

    Returns
    -------
    ndarray of float32 (n_units, n_bins)

    Raises
    ------
    ValueError
        If ``keep`` or ``keys`` are not one a unit.

    Notes
    -----
    A thinned Poisson process is one of ``keep`` times the rate.

    Examples
    --------
    >>> ones = np.ones((2, 10_000))
    >>> thinned = thin(ones, np.array([0.25, 1.0]), np.array([1, 2], dtype=np.uint64))
    >>> bool(abs(thinned[0].mean() - 0.25) < 0.02), float(thinned[1].mean())
    (True, 1.0)
    """
    if not counts.shape[:1] == np.shape(keep) == np.shape(keys):
        raise ValueError(
            f"expected keep and keys of {counts.shape[0]} units, found {np.shape(keep)}, "
            f"{np.shape(keys)}"
        )
    out = np.empty(counts.shape, dtype=np.float32)
    threshold = np.clip(np.asarray(keep, dtype=np.float64), 0, 1) * 2.0**53
    _thin(np.ascontiguousarray(counts), threshold, np.asarray(keys, dtype=np.uint64), out)
    return out


def kept_spikes(
    trains: Trains,
    intervals: tuple[np.ndarray, np.ndarray],
    keep: np.ndarray,
    keys: np.ndarray,
) -> np.ndarray:
    """Return which spikes stay where those of each interval are thinned to a share.

    Parameters
    ----------
    trains : Trains
    intervals : tuple of ndarray (n_units, n_intervals)
        First and last bound of half-open intervals that do not overlap.
    keep : ndarray of float (n_units, n_intervals)
        Probability that a spike stays; 1 or more keeps them all.
    keys : ndarray of uint64 (n_units, n_intervals)
        As `stream_keys` gives them.

    Returns
    -------
    ndarray of bool (n_spikes,)
        False outside of all intervals.

    Examples
    --------
    >>> ticks, one = np.arange(10_000), np.ones((1, 1), dtype=np.int64)
    >>> train = Trains(ticks, np.array([0]), np.array([10_000]))
    >>> kept = kept_spikes(train, (0 * one, 8000 * one), 0.5 * one, one.astype(np.uint64))
    >>> bool(abs(kept[:8000].mean() - 0.5) < 0.02), int(kept[8000:].sum())
    (True, 0)
    """
    out = np.zeros(trains.ticks.size, dtype=np.bool_)
    threshold = np.clip(keep, 0, 1) * 2.0**53
    _keep(trains, *intervals, threshold, np.asarray(keys, np.uint64), out)
    return out


def shift_circularly(x: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Shift each row by a random number of places of its own, the end following on the start.

    Parameters
    ----------
    x : ndarray (n_units, n_bins)
        Counts, or other values of bins that follow one another.
    keys : ndarray of uint64 (n_units,)

    Returns
    -------
    ndarray (n_units, n_bins)
        Each row keeps its autocorrelation and loses its relation to the others.

    Examples
    --------
    >>> shifted = shift_circularly(np.arange(6).reshape(2, 3), np.array([1, 5], dtype=np.uint64))
    >>> sorted(shifted[0].tolist()), sorted(shifted[1].tolist())
    ([0, 1, 2], [3, 4, 5])
    """
    n_bins = x.shape[1]
    with np.errstate(over="ignore"):
        offset = (_mix(np.asarray(keys, dtype=np.uint64) + _STEP) % np.uint64(n_bins)).astype(int)
    out = np.empty(x.shape, dtype=x.dtype)
    _shift(np.ascontiguousarray(x), offset, out)
    return out


def equal_rate_share(totals: np.ndarray, wanted: np.ndarray | None = None) -> np.ndarray:
    """Return the share of each unit's spikes that thinning keeps, to equal numbers in all cells.

    Parameters
    ----------
    totals : ndarray (n_units, n_cells)
        Spikes; a unit may have fallen silent where an epoch is cut.
    wanted : ndarray (n_units,), optional
        Spikes to thin to; by default each unit's lowest.

    Returns
    -------
    ndarray of float64 (n_units, n_cells)

    Examples
    --------
    >>> equal_rate_share(np.array([[2, 4], [0, 3]])).tolist()
    [[1.0, 0.5], [0.0, 0.0]]
    """
    lowest = totals.min(axis=1) if wanted is None else wanted
    return np.asarray(lowest[:, None] / np.where(totals > 0, totals, 1))


def flip_signs(x: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Return each entry a random sign.

    Parameters
    ----------
    x : ndarray (n_units, n)
    keys : ndarray of uint64 (n_units,)

    Returns
    -------
    ndarray (n_units, n)

    Examples
    --------
    >>> flipped = flip_signs(np.ones((2, 1000)), np.array([1, 2], dtype=np.uint64))
    >>> bool((np.abs(flipped) == 1).all()), bool(abs(flipped.mean()) < 0.1)
    (True, True)
    """
    out = np.empty(x.shape, dtype=x.dtype)
    _flip(np.ascontiguousarray(x), np.asarray(keys, dtype=np.uint64), out)
    return out


def scatter_ones(n: int, ones: int, n_draws: int, seed: int) -> np.ndarray:
    """Return random sequences of so many bits and ones, each way to place them being as likely.

    Parameters
    ----------
    n, ones : int
        Bits, and how many of them are 1.
    n_draws : int
    seed : int

    Returns
    -------
    ndarray of bool (n_draws, n)

    Examples
    --------
    >>> scatter_ones(100, 30, 5, 0).sum(axis=1).tolist()
    [30, 30, 30, 30, 30]
    """
    keys = stream_keys(np.arange(n_draws, dtype=np.uint64), seed, n, ones)
    out = np.empty((n_draws, n), dtype=np.bool_)
    _scatter(ones, keys, out)
    return out


def shuffle_intervals(
    trains: Trains,
    keys: np.ndarray,
    first: int,
    stop: int,
) -> np.ndarray:
    """Make trains of each unit's inter-spike intervals in random order.

    Parameters
    ----------
    trains : Trains
        In ticks from 0; the time to the first spike is an interval too. Rows do not overlap and
        follow one another.
    keys : ndarray of uint64 (n_units,)
    first, stop : int
        Which shuffles, of those that the keys give.

    Returns
    -------
    ndarray of int64 (stop - first, n_spikes)
        Spikes where those of ``trains`` are, of the same intervals: what depends on their order,
        such as drift of the rate, is gone.

    Examples
    --------
    >>> train = Trains(np.array([1, 3, 7]), np.array([0]), np.array([3]))
    >>> shuffled = shuffle_intervals(train, np.ones(1, dtype=np.uint64), 0, 2)
    >>> np.sort(np.diff(shuffled, prepend=0)).tolist()
    [[1, 2, 4], [1, 2, 4]]
    """
    out = np.empty((stop - first, trains.ticks.size), dtype=np.int64)
    draws = [stream_keys(keys, i) for i in range(first, stop)]
    streams = np.array(draws, dtype=np.uint64).reshape(stop - first, keys.size)
    _shuffle(np.asarray(trains.ticks, dtype=np.int64), *trains[1:], streams, out)
    return out


def _mix(key: Any) -> Any:
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))


_mixed = jit(_mix)


@jit
def _thin(counts, threshold, keys, out):  # type: ignore[no-untyped-def]
    for u in range(counts.shape[0]):
        state = keys[u]
        for t in range(counts.shape[1]):
            n = counts[u, t]
            if threshold[u] >= 2.0**53:
                out[u, t] = n
                continue
            kept = 0
            for _ in range(int(n)):
                state += _STEP
                kept += (_mixed(state) >> np.uint64(11)) < threshold[u]
            out[u, t] = kept


@jit
def _keep(trains, start, stop, threshold, keys, out):  # type: ignore[no-untyped-def]
    ticks, row_start, row_size = trains
    for u in range(row_start.size):
        row = ticks[row_start[u] : row_start[u] + row_size[u]]
        for k in range(start.shape[1]):
            if not start[u, k] < stop[u, k]:
                continue
            state = keys[u, k]
            first, end = np.searchsorted(row, start[u, k]), np.searchsorted(row, stop[u, k])
            for i in range(first, end):
                state += _STEP
                one = (_mixed(state) >> np.uint64(11)) < threshold[u, k]
                out[row_start[u] + i] = one or threshold[u, k] >= 2.0**53


@jit
def _shift(x, offset, out):  # type: ignore[no-untyped-def]
    for u in range(x.shape[0]):
        first = x.shape[1] - offset[u]
        out[u, :first] = x[u, offset[u] :]
        out[u, first:] = x[u, : offset[u]]


@jit
def _flip(x, keys, out):  # type: ignore[no-untyped-def]
    for u in range(x.shape[0]):
        state, bits = keys[u], np.uint64(0)
        for i in range(x.shape[1]):
            if i % 64 == 0:
                state += _STEP
                bits = _mixed(state)
            out[u, i] = x[u, i] if bits & np.uint64(1) else -x[u, i]
            bits >>= np.uint64(1)


@jit
def _shuffle(ticks, row_start, row_size, streams, out):  # type: ignore[no-untyped-def]
    for s in range(out.shape[0]):
        for u in range(row_start.size):
            low, n = row_start[u], row_size[u]
            row = out[s, low : low + n]
            before = 0
            for i in range(n):
                row[i] = ticks[low + i] - before
                before = ticks[low + i]
            state = streams[s, u]
            for i in range(n - 1, 0, -1):
                state += _STEP
                # the upper 32 bits times i + 1, over 2**32: even to 2**-32
                j = np.int64(((_mixed(state) >> np.uint64(32)) * np.uint64(i + 1)) >> np.uint64(32))
                row[i], row[j] = row[j], row[i]
            for i in range(1, n):
                row[i] += row[i - 1]


@jit
def _scatter(ones, keys, out):  # type: ignore[no-untyped-def]
    n = out.shape[1]
    for s in range(out.shape[0]):
        state, left = keys[s], ones
        for i in range(n):
            state += _STEP
            one = (_mixed(state) >> np.uint64(11)) * 2.0**-53 * (n - i) < left
            out[s, i] = one
            left -= one
