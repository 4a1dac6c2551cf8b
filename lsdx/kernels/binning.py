"""Spikes on the integer clock: grouping by unit, counts in bins."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from lsdx.kernels.compile import jit
from lsdx.kernels.trains import Trains


def quantize(seconds: np.ndarray, rate: float) -> np.ndarray:
    """Round times to the integer clock, in one pass.

    Parameters
    ----------
    seconds : ndarray of float64 (n,)
        Finite, from 0; the last ticks must fit.
    rate : float
        Ticks a second.

    Returns
    -------
    ndarray of uint32 (n,)
        ``rint(seconds * rate)``.

    Examples
    --------
    >>> quantize(np.array([0.0, 14.999996, 15.0]), 1e5).tolist()
    [0, 1500000, 1500000]
    """
    out = np.empty(seconds.size, dtype=np.uint32)
    _quantize(seconds, rate, out)
    return out


def group(
    values: np.ndarray,
    clusters: np.ndarray,
    row_of: np.ndarray,
    next_row: np.ndarray,
    out: np.ndarray,
) -> None:
    """Sort what belongs to the spikes of one probe by unit, keeping their order in time.

    A counting sort: each value goes straight to the next free place of its row.

    Parameters
    ----------
    values : ndarray (n,)
        Such as ticks, in order of time.
    clusters : ndarray of int (n,)
        Cluster of each spike.
    row_of : ndarray of int64 (n_clusters,)
        Row of each cluster in ``next_row``.
    next_row : ndarray of int64 (n_rows,)
        Where each row starts in ``out``; advanced in place to where it ends.
    out : ndarray (n_out,)
        Filled in place.

    Raises
    ------
    IndexError
        If a row would pass the end of ``out``.

    Examples
    --------
    >>> out = np.zeros(3, dtype=np.uint32)
    >>> group(np.array([5, 6, 7]), np.array([1, 0, 1]), np.array([0, 1]), np.array([0, 1]), out)
    >>> out.tolist()
    [6, 5, 7]
    """
    _group(values, clusters, row_of, next_row, out)


def reorder(
    values: np.ndarray, theirs: np.ndarray, ours: np.ndarray, row_size: np.ndarray
) -> np.ndarray:
    """Bring values to another order of the same spikes, known by their clusters alone.

    The k-th spike of a cluster there is its k-th here.

    Parameters
    ----------
    values : ndarray (n,)
    theirs, ours : ndarray of int (n,)
        Cluster of each spike, in the order of ``values`` and in that wanted.
    row_size : ndarray of int64 (n_clusters,)
        Spikes of each cluster, which must be the same in both.

    Returns
    -------
    ndarray (n,)

    Examples
    --------
    >>> theirs, ours = np.array([0, 0, 1]), np.array([1, 0, 0])
    >>> reorder(np.array([7, 8, 9]), theirs, ours, np.array([2, 1])).tolist()
    [9, 7, 8]
    """
    row_start = np.cumsum(row_size) - row_size
    rows = np.arange(row_size.size)
    grouped, out = np.empty_like(values), np.empty_like(values)
    _group(values, theirs, rows, row_start.copy(), grouped)
    _ungroup(grouped, ours, row_start, out)
    return out


def count_spikes(
    trains: Trains,
    start: np.ndarray,
    bins: np.ndarray,
    width: int,
    length: int,
    keep: np.ndarray | None = None,
    *,
    dtype: DTypeLike = np.uint32,
) -> np.ndarray:
    """Count the spikes of each unit in the half-open bins of each of its intervals.

    Parameters
    ----------
    trains : Trains
        In ticks, uint32.
    start : ndarray of int64 (n_units, n_intervals)
        First tick of each interval.
    bins : ndarray of int64 (n_units, n_intervals)
        Bins of each interval; 0 where it is not observed.
    width : int
        Ticks a bin.
    length : int
        Bins of the output, at least ``bins.max()``.
    keep : ndarray of bool (n_spikes,), optional
        Spikes to count; all by default.
    dtype : dtype
        Of the output.

    Returns
    -------
    ndarray of dtype (n_units, n_intervals, length)
        0 past an interval's last bin.

    Raises
    ------
    OverflowError
        If a count reaches what ``dtype`` cannot tell from more: the maximum of an integer
        (stores keep it for what was not observed), 2**24 of a float32.

    Examples
    --------
    >>> train = Trains(np.array([5, 10, 19, 20], dtype=np.uint32), np.array([0]), np.array([4]))
    >>> one = np.array([[10]])
    >>> count_spikes(train, one, one // 5, 5, 2)
    array([[[1, 1]]], dtype=uint32)
    """
    out = np.zeros((*start.shape, length), dtype=dtype)
    limit = np.iinfo(dtype).max if out.dtype.kind == "u" else 2 ** (np.finfo(dtype).nmant + 1)
    everything = np.ones(0, dtype=np.bool_) if keep is None else keep
    if not _count(trains, start, bins, width, everything, limit, out):
        raise OverflowError(f"expected counts below {limit} ({out.dtype}), found more in a bin")
    return out


def count_in_intervals(
    trains: Trains,
    start: np.ndarray,
    stop: np.ndarray,
) -> np.ndarray:
    """Count the spikes of each unit in each of its half-open intervals.

    Parameters
    ----------
    trains : Trains
        In ticks, uint32.
    start, stop : ndarray of int64 (n_units, n_intervals)
        Ticks.

    Returns
    -------
    ndarray of int64 (n_units, n_intervals)

    Examples
    --------
    >>> train = Trains(np.array([5, 10, 19, 20], dtype=np.uint32), np.array([0]), np.array([4]))
    >>> count_in_intervals(train, np.array([[5, 20]]), np.array([[19, 90]])).tolist()
    [[2, 1]]
    """
    out = np.empty(start.shape, dtype=np.int64)
    _count_between(trains, start, stop, out)
    return out


def count_clusters(clusters: np.ndarray, n_clusters: int) -> np.ndarray:
    """Count the spikes of each cluster, without the copy that `numpy.bincount` makes.

    Parameters
    ----------
    clusters : ndarray of int (n,)
        From 0 to ``n_clusters - 1``.
    n_clusters : int

    Returns
    -------
    ndarray of int64 (n_clusters,)

    Raises
    ------
    IndexError
        For a cluster out of range.

    Examples
    --------
    >>> count_clusters(np.array([2, 0, 2]), 4).tolist()
    [1, 0, 2, 0]
    """
    out = np.zeros(n_clusters, dtype=np.int64)
    _count_clusters(clusters, out)
    return out


@jit
def _quantize(seconds, rate, out):  # type: ignore[no-untyped-def]
    for i in range(seconds.size):
        out[i] = np.uint32(np.rint(seconds[i] * rate))


@jit
def _group(values, clusters, row_of, next_row, out):  # type: ignore[no-untyped-def]
    for i in range(values.size):
        row = row_of[clusters[i]]
        place = next_row[row]
        if place >= out.size:
            raise IndexError("a row passes the end of out")
        out[place] = values[i]
        next_row[row] = place + 1


@jit
def _ungroup(grouped, clusters, next_row, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        place = next_row[clusters[i]]
        out[i] = grouped[place]
        next_row[clusters[i]] = place + 1


@jit
def _count_clusters(clusters, out):  # type: ignore[no-untyped-def]
    for cluster in clusters:
        if not 0 <= cluster < out.size:
            raise IndexError("a cluster out of range")
        out[cluster] += 1


@jit
def _count(trains, start, bins, width, keep, limit, out):  # type: ignore[no-untyped-def]
    ticks, row_start, row_size = trains
    for u in range(row_start.size):
        first, last = row_start[u], row_start[u] + row_size[u]
        row = ticks[first:last]
        for k in range(start.shape[1]):
            begin = start[u, k]
            end = begin + bins[u, k] * width
            i = np.searchsorted(row, begin)
            while i < row.size and row[i] < end:
                if keep.size == 0 or keep[first + i]:
                    b = np.uint32(row[i] - begin) // np.uint32(width)
                    n = out[u, k, b] + 1
                    if n >= limit:
                        return False
                    out[u, k, b] = n
                i += 1
    return True


@jit
def _count_between(trains, start, stop, out):  # type: ignore[no-untyped-def]
    ticks, row_start, row_size = trains
    for u in range(row_start.size):
        row = ticks[row_start[u] : row_start[u] + row_size[u]]
        for k in range(start.shape[1]):
            first, end = np.searchsorted(row, start[u, k]), np.searchsorted(row, stop[u, k])
            out[u, k] = max(end - first, 0)
