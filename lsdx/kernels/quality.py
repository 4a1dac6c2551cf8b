"""How well a unit is isolated, from its spike times alone: refractoriness, presence, doubles."""

from __future__ import annotations

import numpy as np

from lsdx.kernels.compile import jit
from lsdx.kernels.trains import Trains

CONFIDENCE, TESTED = 0.9, 0.1  # of the sliding refractory period test: IBL's rule
CONTAMINATIONS = np.arange(1, 71) / 200  # .5 to 35 %


def count_lags(trains: Trains, width: int, n: int) -> np.ndarray:
    """Count the pairs of spikes of each unit by the time between them.

    Parameters
    ----------
    trains : Trains
        In ticks.
    width, n : int
        Ticks of a bin, and number of bins: lags below ``width * n`` are counted.

    Returns
    -------
    ndarray of int64 (n_units, n)
        All pairs, not neighbours alone; bin k holds lags of ``[k, k + 1) * width``.

    Examples
    --------
    >>> trains = Trains(np.array([0, 3, 4, 20], np.uint32), np.array([0]), np.array([4]))
    >>> count_lags(trains, 2, 3).tolist()
    [[1, 1, 1]]
    """
    out = np.zeros((trains.row_size.size, n), dtype=np.int64)
    _count_lags(trains.ticks, trains.row_start, trains.row_size, width, out)
    return out


def count_intervals(trains: Trains, low: int, high: int) -> np.ndarray:
    """Count the intervals of neighbouring spikes in ``[low, high)`` ticks, (n_units,) int64.

    Examples
    --------
    >>> trains = Trains(np.array([0, 3, 4, 20], np.uint32), np.array([0]), np.array([4]))
    >>> count_intervals(trains, 0, 4).tolist()
    [2]
    """
    out = np.zeros(trains.row_size.size, dtype=np.int64)
    _count_intervals(trains.ticks, trains.row_start, trains.row_size, low, high, out)
    return out


def isi_violations(
    n_violations: np.ndarray,
    n_spikes: np.ndarray,
    duration: np.ndarray,
    refractory: float,
    censored: float = 0.0,
) -> np.ndarray:
    """Return the rate of refractory violations over the unit's rate.

    Parameters
    ----------
    n_violations : ndarray (n_units,)
        Intervals of neighbouring spikes from ``censored`` to below ``refractory``.
    n_spikes, duration : ndarray (n_units,)
        Spikes, and s of recording.
    refractory, censored : float
        s; intervals below ``censored`` cannot be seen.

    Returns
    -------
    ndarray of float64 (n_units,)
        From 0. NaN without spikes or time.

    Notes
    -----
    ``n_v T / (2 N**2 (t_r - t_c))``: Hill, Mehta & Kleinfeld (2011, J Neurosci 31:8699) solved to
    first order, as SpikeInterface and the Allen Institute have it. Of a share F of foreign spikes
    of one other neuron it is F (1 - F): too low, the more foreign spikes there are.

    Examples
    --------
    >>> isi_violations(np.array([9.0]), np.array([1000.0]), np.array([100.0]), 0.0015).tolist()
    [0.3]
    """
    n, seconds = np.asarray(n_spikes, np.float64), np.asarray(duration, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = n_violations * seconds / (2 * n**2 * (refractory - censored))
    return np.where((n > 0) & (seconds > 0), found, np.nan)


def contamination(
    n_pairs: np.ndarray,
    n_spikes: np.ndarray,
    duration: np.ndarray,
    refractory: float,
    censored: float = 0.0,
) -> np.ndarray:
    """Estimate which share of a unit's spikes is of other neurons.

    Parameters
    ----------
    n_pairs : ndarray (n_units,)
        Pairs of spikes, not neighbours alone, from ``censored`` to below ``refractory`` apart.
    n_spikes, duration : ndarray (n_units,)
        Spikes, and s of recording.
    refractory, censored : float
        s.

    Returns
    -------
    ndarray of float64 (n_units,)
        From 0 to 1; 1 where there are more pairs than foreign spikes alone would give. NaN without
        spikes or time.

    Notes
    -----
    ``1 - sqrt(1 - n_v (T - 2 N t_c) / (N**2 (t_r - t_c)))``: Llobet, Wyngaard & Barbour (2022,
    bioRxiv 2022.02.08.479192), for foreign spikes of many neurons, which are not refractory among
    themselves. Of one other neuron a share F of .1 comes out as .094, of .2 as .18.

    Examples
    --------
    >>> contamination(np.array([19.0]), np.array([1e3]), np.array([10.0]), 0.001).round(3).tolist()
    [0.1]
    """
    n, seconds = np.asarray(n_spikes, np.float64), np.asarray(duration, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = n_pairs * (seconds - 2 * n * censored) / (n**2 * (refractory - censored))
        found = 1 - np.sqrt(np.clip(1 - share, 0, None))
    return np.where((n > 0) & (seconds > 0), found, np.nan)


def sliding_refractory_period(
    pairs: np.ndarray, n_spikes: np.ndarray, duration: np.ndarray, width: float, shortest: float
) -> tuple[np.ndarray, np.ndarray]:
    """Test, for any refractory period, whether foreign spikes are few.

    Parameters
    ----------
    pairs : ndarray (n_units, n)
        Pairs of spikes by their lag, of `count_lags`; the refractory periods that are tested end
        with the bins.
    n_spikes, duration : ndarray (n_units,)
        Spikes, and s of recording.
    width, shortest : float
        s of a bin; periods up to ``shortest`` are not tested.

    Returns
    -------
    confidence : ndarray of float64 (n_units,)
        Highest confidence, from 0 to 1, that less than 10 % of the spikes are foreign. IBL's units
        pass above .9.
    least : ndarray of float64 (n_units,)
        Least contamination, of .5 to 35 % in steps of .5, for which it is above .9; NaN if none.

    Notes
    -----
    The test of the International Brain Laboratory (Roth, Noel & Steinmetz, slidingRefractory; IBL
    2022, spike sorting white paper): with a share c of foreign spikes of a unit of rate r, the
    pairs closer than t are Poisson with mean ``2 c r N t``; the confidence is the probability of
    more pairs than there are. Both are NaN without spikes or time. SpikeInterface 0.105 expects
    fewer pairs, ``c r N t (2 - c)``, and finds up to .05 more contamination.

    Examples
    --------
    >>> none = np.zeros((1, 20))
    >>> one, least = sliding_refractory_period(
    ...     none, np.array([900.0]), np.array([900.0]), 0.00025, 0.0005
    ... )
    >>> one.round(3).tolist(), least.tolist()
    ([0.593], [0.26])
    """
    import scipy.special

    n, seconds = (
        np.asarray(n_spikes, np.float64)[:, None],
        np.asarray(duration, np.float64)[:, None],
    )
    ends = width * np.arange(1, pairs.shape[1] + 1)
    tested = ends > shortest * (1 + 1e-9)
    seen = np.cumsum(pairs, axis=1)[:, tested]
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = 2 * n**2 / seconds * ends[tested]  # of c = 1
    known = ((n > 0) & (seconds > 0))[:, 0]
    best = np.full((known.size, CONTAMINATIONS.size), np.nan)
    for i, c in enumerate(CONTAMINATIONS):
        sure = scipy.special.gammainc(seen[known] + 1, c * expected[known])  # P(more than seen)
        best[known, i] = sure.max(axis=1)
    at = int(np.argmin(np.abs(CONTAMINATIONS - TESTED)))
    passed = best > CONFIDENCE
    least = np.where(passed.any(axis=1), CONTAMINATIONS[passed.argmax(axis=1)], np.nan)
    return best[:, at], least


def presence_ratio(trains: Trains, duration: np.ndarray, width: int) -> np.ndarray:
    """Return the share of bins of a recording in which a unit spikes.

    Parameters
    ----------
    trains : Trains
        In ticks.
    duration : ndarray of int64 (n_units,)
        Ticks of recording, from 0.
    width : int
        Ticks of a bin; what is left after the last whole one is not used.

    Returns
    -------
    ndarray of float64 (n_units,)
        From 0 to 1; NaN for a recording shorter than a bin.

    Examples
    --------
    >>> trains = Trains(np.array([1, 2, 31], np.uint32), np.array([0]), np.array([3]))
    >>> presence_ratio(trains, np.array([45]), 10).tolist()
    [0.5]
    """
    n_bins = np.asarray(duration) // width
    filled = np.zeros(trains.row_size.size, dtype=np.int64)
    _count_filled(trains.ticks, trains.row_start, trains.row_size, width, n_bins, filled)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(n_bins > 0, filled / n_bins, np.nan)


def rate_drift(trains: Trains, duration: np.ndarray) -> np.ndarray:
    """Return the change of the rate from the first to the last third of a recording.

    Parameters
    ----------
    trains : Trains
        In ticks.
    duration : ndarray of int64 (n_units,)
        Ticks of recording, from 0.

    Returns
    -------
    ndarray of float64 (n_units,)
        ``(last - first) / (last + first)``, from -1 to 1; NaN without a spike in both.

    Examples
    --------
    >>> trains = Trains(np.array([1, 2, 3, 95], np.uint32), np.array([0]), np.array([4]))
    >>> rate_drift(trains, np.array([90])).tolist(), rate_drift(trains, np.array([99])).tolist()
    ([-1.0], [-0.5])
    """
    third = np.asarray(duration) // 3
    ends = np.stack([third, np.asarray(duration) - third, np.asarray(duration)])
    before = np.zeros((3, third.size), dtype=np.int64)
    for k in range(3):
        _count_before(trains.ticks, trains.row_start, trains.row_size, ends[k], before[k])
    first, last = before[0], before[2] - before[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(first + last > 0, (last - first) / (last + first), np.nan)


def shared_spikes(
    trains: Trains, depth: np.ndarray, probe: np.ndarray, window: int, reach: float
) -> np.ndarray:
    """Return the largest share of a unit's spikes that one neighbour has too.

    Parameters
    ----------
    trains : Trains
        In ticks, of one recording.
    depth : ndarray of float64 (n_units,)
        um along the probe; units without a depth have no neighbours.
    probe : ndarray of int64 (n_units,)
        Units of different probes are no neighbours.
    window : int
        Ticks: spikes no further apart are the same one.
    reach : float
        um: units no further apart are neighbours.

    Returns
    -------
    ndarray of float64 (n_units,)
        From 0 to 1. By chance it is twice the window times the neighbour's rate. NaN without
        spikes.

    Notes
    -----
    The spikes of all units are put in order once; each is compared with those that follow within
    the window. A spike counts once for each neighbour.

    Examples
    --------
    >>> ticks = np.array([10, 50, 90, 11, 52, 300], np.uint32)
    >>> trains = Trains(ticks, np.array([0, 3]), np.array([3, 3]))
    >>> shared_spikes(trains, np.array([0.0, 20.0]), np.array([0, 0]), 2, 100).round(2).tolist()
    [0.67, 0.67]
    """
    size = trains.row_size
    n_units = size.size
    unit = np.repeat(np.arange(n_units, dtype=np.int32), size)
    rows = np.repeat(trains.row_start - (np.cumsum(size) - size), size) + np.arange(unit.size)
    ticks = trains.ticks[rows]
    order = np.argsort(ticks, kind="stable")
    shared = np.zeros((n_units, n_units), dtype=np.int32)
    _count_shared(ticks[order], unit[order], depth, probe, window, reach, shared)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(size > 0, shared.max(axis=1, initial=0) / size, np.nan)


@jit
def _count_lags(ticks, row_start, row_size, width, out):  # type: ignore[no-untyped-def]
    longest = width * out.shape[1]
    for u in range(row_size.size):
        stop = row_start[u] + row_size[u]
        for i in range(row_start[u], stop):
            here = np.int64(ticks[i])
            for j in range(i + 1, stop):
                lag = np.int64(ticks[j]) - here
                if lag >= longest:
                    break
                out[u, lag // width] += 1


@jit
def _count_intervals(ticks, row_start, row_size, low, high, out):  # type: ignore[no-untyped-def]
    for u in range(row_size.size):
        for i in range(row_start[u] + 1, row_start[u] + row_size[u]):
            interval = np.int64(ticks[i]) - np.int64(ticks[i - 1])
            if low <= interval < high:
                out[u] += 1


@jit
def _count_filled(ticks, row_start, row_size, width, n_bins, out):  # type: ignore[no-untyped-def]
    for u in range(row_size.size):
        before = -1
        for i in range(row_start[u], row_start[u] + row_size[u]):
            place = np.int64(ticks[i]) // width
            if place >= n_bins[u]:
                break
            if place != before:
                out[u] += 1
                before = place


@jit
def _count_before(ticks, row_start, row_size, end, out):  # type: ignore[no-untyped-def]
    for u in range(row_size.size):
        low, high = row_start[u], row_start[u] + row_size[u]
        while low < high:
            middle = (low + high) // 2
            if np.int64(ticks[middle]) < end[u]:
                low = middle + 1
            else:
                high = middle
        out[u] = low - row_start[u]


@jit
def _count_shared(ticks, unit, depth, probe, window, reach, out):  # type: ignore[no-untyped-def]
    for i in range(ticks.size):
        a = unit[i]
        for j in range(i + 1, ticks.size):
            if np.int64(ticks[j]) - np.int64(ticks[i]) > window:
                break
            b = unit[j]
            if a != b and probe[a] == probe[b] and abs(depth[a] - depth[b]) <= reach:
                # each counts at the first spike of the other that it is near
                if not _is_near(ticks, unit, i, i - 1, b, window) and not _has(unit, i + 1, j, b):
                    out[a, b] += 1
                if not _is_near(ticks, unit, j, i - 1, a, window):
                    out[b, a] += 1


@jit
def _has(unit, low, high, wanted):  # type: ignore[no-untyped-def]
    for k in range(low, high):  # noqa: SIM110  compiled
        if unit[k] == wanted:
            return True
    return False


@jit
def _is_near(ticks, unit, spike, last, wanted, window):  # type: ignore[no-untyped-def]
    """Tell whether a spike is near a spike of a unit that is not after ``last``."""
    for k in range(last, -1, -1):
        if np.int64(ticks[spike]) - np.int64(ticks[k]) > window:
            return False
        if unit[k] == wanted:
            return True
    return False
