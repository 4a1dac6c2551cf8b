"""How irregular spike trains are: inter-spike intervals, and counts in windows."""

from __future__ import annotations

import numpy as np

from lsdx.kernels.compile import jit
from lsdx.kernels.trains import Trains


def cv(times: np.ndarray) -> float:
    """Return the coefficient of variation of the inter-spike intervals of a train.

    Parameters
    ----------
    times : ndarray (n_spikes,)
        Sorted; seconds or integer ticks, for the value does not depend on the clock's unit.

    Returns
    -------
    float
        From 0; 1 for a Poisson process of constant rate. NaN for fewer than three spikes, or
        if all are at one time.

    Raises
    ------
    ValueError
        If ``times`` is not one train.

    Notes
    -----
    ``sd / mean``, the sd with the number of intervals as its divisor (ddof 0). Drift of the
    rate raises it: see `cv2` and `lv`.

    Examples
    --------
    >>> cv(np.array([0, 1, 4]))
    0.5
    """
    return _of_one_train(times, 0)


def cv2(times: np.ndarray) -> float:
    """Return CV2 of a train: how much neighbouring inter-spike intervals differ.

    Parameters
    ----------
    times : ndarray (n_spikes,)
        Sorted; seconds or integer ticks, for the value does not depend on the clock's unit.

    Returns
    -------
    float
        From 0 to 2; 1 for a Poisson process, also where its rate changes slowly. NaN for fewer
        than three spikes, or if all are at one time.

    Raises
    ------
    ValueError
        If ``times`` is not one train.

    Notes
    -----
    The mean of ``2 |I[i+1] - I[i]| / (I[i+1] + I[i])`` over pairs of neighbouring intervals
    (Holt et al. 1996, J Neurophysiol 75:1806). Pairs of two empty intervals, three spikes at
    one time, are skipped.

    Examples
    --------
    >>> cv2(np.array([0, 1, 4]))
    1.0
    """
    return _of_one_train(times, 1)


def lv(times: np.ndarray) -> float:
    """Return the local variation of a train's inter-spike intervals.

    Parameters
    ----------
    times : ndarray (n_spikes,)
        Sorted; seconds or integer ticks, for the value does not depend on the clock's unit.

    Returns
    -------
    float
        From 0 to 3; 1 for a Poisson process, also where its rate changes slowly,
        ``3 / (2 k + 1)`` for intervals of a gamma distribution of shape k. NaN for fewer than
        three spikes, or if all are at one time.

    Raises
    ------
    ValueError
        If ``times`` is not one train.

    Notes
    -----
    ``3 / (n - 1) * sum(((I[i] - I[i+1]) / (I[i] + I[i+1])) ** 2)`` for n intervals (Shinomoto
    et al. 2003, Neural Comput 15:2823). Pairs of two empty intervals, three spikes at one
    time, are skipped, and not counted in n - 1.

    Examples
    --------
    >>> lv(np.array([0, 1, 4]))
    0.75
    """
    return _of_one_train(times, 2)


def lvr(times: np.ndarray, *, refractoriness: float = 0.005) -> float:
    """Return the local variation revised for refractoriness.

    Parameters
    ----------
    times : ndarray (n_spikes,)
        Sorted, in seconds, or in the unit that ``refractoriness`` has.
    refractoriness : float
        The constant R; by default that of Shinomoto et al., 5 ms.

    Returns
    -------
    float
        From 0; `lv` if R is 0; about 1 for a Poisson process with a dead time of R, as long as
        intervals are much longer. NaN for fewer than three spikes, or if all are at one time.

    Raises
    ------
    ValueError
        If ``times`` is not one train.

    Notes
    -----
    ``3 / (n - 1) * sum((1 - 4 I[i] I[i+1] / S**2) * (1 + 4 R / S))`` with ``S = I[i] + I[i+1]``,
    for n intervals (Shinomoto et al. 2009, PLoS Comput Biol 5:e1000433). The factor takes a dead
    time of R out to first order in R over the interval: pairs of intervals much shorter than R,
    such as of spikes found twice, count many times. Pairs of two empty intervals are skipped,
    as in `lv`.

    Of Poisson processes with a dead time (20,000 s), LvR of R = 5 ms, and LV:

    =========  ==========  ===========  ===========
    dead time  3 Hz        10 Hz        30 Hz
    =========  ==========  ===========  ===========
    0          1.06, 1.00  1.20, 1.00   1.60, 1.00
    2 ms       1.03, .98   1.08, .93    1.16, .82
    3 ms       1.02, .97   1.04, .90    1.04, .75
    5 ms       .99, .95    .97, .85     .86, .64
    =========  ==========  ===========  ===========

    Examples
    --------
    >>> lvr(np.array([0, 1, 4]), refractoriness=0), lvr(np.array([0, 1, 4]), refractoriness=1)
    (0.75, 1.5)
    """
    return _of_one_train(times, 3, refractoriness)


def interval_measures(
    trains: Trains,
    start: np.ndarray,
    stop: np.ndarray,
    *,
    refractoriness: float = 0.0,
) -> np.ndarray:
    """Return `cv`, `cv2`, `lv` and `lvr` of units in their intervals of time, in one pass.

    Parameters
    ----------
    trains : Trains
        In seconds or integer ticks, for the values do not depend on the clock's unit.
    start, stop : ndarray (n_units, n_intervals)
        Bounds of each half-open interval, on the clock of ``trains``; ``stop <= start`` or NaN
        where it is not observed.
    refractoriness : float
        Of `lvr`, in the unit of ``trains``.

    Returns
    -------
    ndarray of float64 (4, n_units, n_intervals)
        CV, CV2, LV and LvR, of the spikes at ``start <= t < stop``. NaN for fewer than three of
        them, if all are at one time, and where the interval is not observed.

    Raises
    ------
    ValueError
        If the shapes do not agree, or a unit's spikes are not within ``times``.

    Examples
    --------
    >>> times = np.array([0, 1, 4, 9, 2, 3, 4], dtype=np.uint32)
    >>> trains = Trains(times, np.array([0, 4]), np.array([4, 3]))
    >>> start, stop = np.array([[0], [0]]), np.array([[9], [9]])
    >>> interval_measures(trains, start, stop)[..., 0].tolist()
    [[0.5, 0.0], [1.0, 0.0], [0.75, 0.0], [0.75, 0.0]]
    """
    times, row_start, row_size = trains
    shape = (row_start.size, start.shape[-1])
    if row_size.shape != shape[:1] or start.shape != shape or stop.shape != shape:
        raise ValueError(
            "expected row_start and row_size (n_units,), start and stop (n_units, n_intervals), "
            f"found {row_start.shape}, {row_size.shape}, {start.shape}, {stop.shape}"
        )
    least = min(row_start.min(initial=0), row_size.min(initial=0))
    if least < 0 or (row_start + row_size).max(initial=0) > len(times):
        raise ValueError(f"expected the spikes of each unit within the {len(times)} times")
    out = np.empty((4, *start.shape))
    _interval_measures(trains, start, stop, float(refractoriness), out)
    return out


def fano_factor(counts: np.ndarray, *, axis: int = -1) -> np.ndarray:
    """Return the Fano factor of counts in windows: their variance over their mean.

    Parameters
    ----------
    counts : ndarray of bool, int, float32 or float64 (..., n_windows)
        Windows that hold NaN are not observed, and skipped; integers are all observed.
    axis : int
        Of the windows.

    Returns
    -------
    ndarray of float64 (...)
        From 0; 1 for a Poisson process, on average also over few windows. NaN for fewer than
        two windows, or mean 0.

    Notes
    -----
    The variance with ``n_windows - 1`` (ddof 1). Drift of the rate raises it: see
    `allan_factor`.

    Examples
    --------
    >>> fano_factor(np.array([[1, 3, 2], [0, 0, 0]])).tolist()
    [0.5, nan]
    """
    rows, out = _trains(counts, axis)
    _fano(rows, out.reshape(-1))
    return out


def allan_factor(counts: np.ndarray, *, axis: int = -1) -> np.ndarray:
    """Return the Allan factor of counts: the variance from window to window over the mean.

    Parameters
    ----------
    counts : ndarray of bool, int, float32 or float64 (..., n_windows)
        In order of time. Windows that hold NaN are not observed, and skipped with the
        differences to their neighbours; integers are all observed.
    axis : int
        Of the windows.

    Returns
    -------
    ndarray of float64 (...)
        From 0; 1 for a Poisson process, and little more where its rate drifts over many
        windows. NaN without two successive windows, or for mean 0.

    Notes
    -----
    ``mean((N[i+1] - N[i]) ** 2) / (2 mean(N))`` (Allan 1966, Proc IEEE 54:221; Lowen & Teich
    1996, J Acoust Soc Am 99:3585).

    Examples
    --------
    >>> allan_factor(np.array([[1, 3, 2], [0, 0, 0]])).tolist()
    [0.625, nan]
    """
    rows, out = _trains(counts, axis)
    _allan(rows, out.reshape(-1))
    return out


def window_counts(counts: np.ndarray, n: int) -> np.ndarray:
    """Add the counts of successive bins to those of windows of ``n`` bins.

    Parameters
    ----------
    counts : ndarray (..., n_bins)
        NaN where a bin is not observed.
    n : int
        Bins a window, from 1.

    Returns
    -------
    ndarray (..., n_bins // n)
        Of the dtype that `numpy.sum` gives; NaN for windows with NaN. Bins left over at the
        end are dropped.

    Raises
    ------
    ValueError
        If ``n`` is below 1.

    Examples
    --------
    >>> window_counts(np.array([1, 2, 3, 4, 5]), 2).tolist()
    [3, 7]
    """
    if n < 1:
        raise ValueError(f"expected at least 1 bin a window, found {n}")
    if n == 1 and counts.dtype.kind == "f":
        return counts
    n_windows = counts.shape[-1] // n
    whole = counts[..., : n_windows * n]
    return np.asarray(whole.reshape(*counts.shape[:-1], n_windows, n).sum(axis=-1))


def _of_one_train(times: np.ndarray, measure: int, refractoriness: float = 0.0) -> float:
    times = np.asarray(times)
    if times.ndim != 1:
        raise ValueError(f"expected times (n_spikes,), found {times.shape}")
    first, size = np.zeros(1, dtype=np.int64), np.array([times.size])
    always = np.full((1, 1), np.inf)
    found = interval_measures(
        Trains(times, first, size), -always, always, refractoriness=refractoriness
    )
    return float(found[measure, 0, 0])


def _trains(counts: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Bring the windows to the end and all else into one axis; with room for a result each."""
    moved = np.moveaxis(np.asarray(counts), axis, -1)
    out = np.empty(moved.shape[:-1])
    return moved.reshape(out.size, moved.shape[-1]), out


@jit
def _interval_measures(trains, start, stop, refractoriness, out):  # type: ignore[no-untyped-def]
    times, row_start, row_size = trains
    for u in range(row_start.size):
        row = times[row_start[u] : row_start[u] + row_size[u]]
        for k in range(start.shape[1]):
            out[:, u, k] = np.nan
            if not start[u, k] < stop[u, k]:
                continue
            first, end = np.searchsorted(row, start[u, k]), np.searchsorted(row, stop[u, k])
            # times are subtracted before they become floats, which hold no large ticks
            duration = np.float64(row[end - 1] - row[first]) if end - first >= 3 else 0.0
            if duration == 0:
                continue
            mean = duration / (end - first - 1)
            before = np.float64(row[first + 1] - row[first])
            square, local, local_square, n_pairs = (before - mean) ** 2, 0.0, 0.0, 0
            revised = 0.0
            for i in range(first + 2, end):
                interval = np.float64(row[i] - row[i - 1])
                square += (interval - mean) ** 2
                both = interval + before
                if both > 0:
                    difference = abs(interval - before) / both
                    local += difference
                    local_square += difference * difference
                    revised += difference * difference * (1 + 4 * refractoriness / both)
                    n_pairs += 1
                before = interval
            out[0, u, k] = np.sqrt(square / (end - first - 1)) / mean
            out[1, u, k] = 2 * local / n_pairs
            out[2, u, k] = 3 * local_square / n_pairs
            out[3, u, k] = 3 * revised / n_pairs


@jit
def _fano(rows, out):  # type: ignore[no-untyped-def]
    for r in range(out.size):
        n, total, square = 0, 0.0, 0.0
        for count in rows[r]:
            if not np.isnan(count):
                n += 1
                total += count
        out[r] = np.nan
        if n < 2 or total == 0:
            continue
        mean = total / n
        for count in rows[r]:
            if not np.isnan(count):
                square += (count - mean) ** 2
        out[r] = square / (n - 1) / mean


@jit
def _allan(rows, out):  # type: ignore[no-untyped-def]
    for r in range(out.size):
        n, n_pairs, total, square = 0, 0, 0.0, 0.0
        before = np.nan
        for count in rows[r]:
            now = np.float64(count)
            if not np.isnan(now):
                n += 1
                total += now
                if not np.isnan(before):
                    n_pairs += 1
                    square += (now - before) ** 2
            before = now
        out[r] = square / n_pairs / (2 * total / n) if n_pairs and total != 0 else np.nan
