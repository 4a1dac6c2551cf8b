"""What an animal did, from points in frames: speed, pupil, bouts of movement, distance, place."""

from __future__ import annotations

import math

import numpy as np

from lsdx.errors import ArgumentError, located
from lsdx.kernels.frames import TICKS_PER_SECOND, frame_rate, increasing

LONGEST_STEP = 1.5  # frame intervals from a frame to the next one; more is a gap


def velocity(position: np.ndarray, times: np.ndarray, *, longest_gap: float = 3.5) -> np.ndarray:
    """Return the velocity of points, from their own times.

    Parameters
    ----------
    position : ndarray of float (n, 2, ...)
        px (or another length); NaN where a point is missing.
    times : ndarray of float64 (n,)
        s; uneven, with gaps.
    longest_gap : float
        Longest time from a sample to its neighbours, in frame intervals.

    Returns
    -------
    ndarray of float64 (n, 2, ...)
        px/s. NaN where either coordinate is missing, where the time is not later than all times
        before it, where a neighbour is further than ``longest_gap``, and for a point that was seen
        once.

    Raises
    ------
    ArgumentError
        For shapes that do not fit, or ``longest_gap`` that is not above 0.

    Notes
    -----
    The derivative is `numpy.gradient` on the samples that a point has: central differences that are
    exact for second-order courses at uneven times, one-sided at the first and last sample. A
    neighbour is the next sample that the point has. The frame interval is the median of all times.

    Examples
    --------
    >>> times = np.array([0.0, 0.1, 0.2, 0.35, 0.45, 5.0, 5.1])
    >>> position = np.stack([3 * times, 4 * times], axis=1)
    >>> velocity(position, times)[:, 1].round(6).tolist()
    [4.0, 4.0, 4.0, 4.0, nan, nan, 4.0]
    """
    position, times = _points("velocity", position, times, "(n, 2, ...)")
    if not longest_gap > 0:
        raise ArgumentError(located("velocity, longest_gap", "a number above 0", repr(longest_gap)))
    points = position.reshape(times.size, 2, math.prod(position.shape[2:]))
    seen = np.isfinite(points).all(axis=1) & increasing(times)[:, None]
    out = np.full(points.shape, np.nan)
    longest = longest_gap / frame_rate(times)
    for k in range(points.shape[2]):
        rows = np.flatnonzero(seen[:, k])
        if rows.size < 2:
            continue
        far = np.diff(times[rows]) > longest
        course = np.gradient(points[rows, :, k].astype(np.float64), times[rows], axis=0)
        course[np.r_[far, False] | np.r_[False, far]] = np.nan
        out[rows, :, k] = course
    return out.reshape(position.shape)


def speed(position: np.ndarray, times: np.ndarray, *, longest_gap: float = 3.5) -> np.ndarray:
    """Return the speed of points: the length of their `velocity`.

    Parameters
    ----------
    position : ndarray of float (n, 2, ...)
    times : ndarray of float64 (n,)
    longest_gap : float
        As for `velocity`.

    Returns
    -------
    ndarray of float64 (n, ...)
        px/s, from 0; NaN where the velocity is.

    Raises
    ------
    ArgumentError
        As `velocity`.

    Examples
    --------
    >>> times = np.array([0.0, 0.1, 0.25, 0.3])
    >>> speed(np.stack([3 * times, 4 * times], axis=1), times).round(6).tolist()
    [5.0, 5.0, 5.0, 5.0]
    """
    moved = velocity(position, times, longest_gap=longest_gap)
    return np.asarray(np.hypot(moved[:, 0], moved[:, 1]))


def pupil_diameter(
    top: np.ndarray, right: np.ndarray, bottom: np.ndarray, left: np.ndarray
) -> np.ndarray:
    """Return the diameter of a pupil from four points on its edge.

    Parameters
    ----------
    top, right, bottom, left : ndarray of float (n, 2)
        px; NaN where a point is missing.

    Returns
    -------
    ndarray of float64 (n,)
        px; NaN for fewer than three points.

    Raises
    ------
    ArgumentError
        For points that are not (n, 2) each.

    Notes
    -----
    The median of six estimates, as in the IBL's brainbox: the two distances of opposite points, and
    the four distances of adjacent points times the square root of 2. Estimates of a missing point
    are left out. A circle gives its diameter; an ellipse whose axes end at the points gives their
    root mean square. Both hold with any one point missing.

    Examples
    --------
    >>> points = np.array([[0.0, 5.0], [5.0, 0.0], [0.0, -5.0], [np.nan, np.nan]])
    >>> pupil_diameter(*points[:, None]).round(6).tolist()
    [10.0]
    """
    four = [np.asarray(p, dtype=np.float64) for p in (top, right, bottom, left)]
    shapes = [p.shape for p in four]
    if len(set(shapes)) > 1 or len(shapes[0]) != 2 or shapes[0][1] != 2:
        raise ArgumentError(located("pupil_diameter", "four points (n, 2)", str(shapes)))
    around = np.stack(four)
    there = np.asarray(np.isfinite(around).all(axis=2))
    opposite = around[2:] - around[:2]
    adjacent = (np.roll(around, -1, axis=0) - around) * np.sqrt(2)
    steps = np.concatenate([opposite, adjacent])
    known = np.concatenate([there[2:] & there[:2], np.roll(there, -1, axis=0) & there])
    lengths = np.sort(np.where(known, np.hypot(steps[..., 0], steps[..., 1]), np.inf), axis=0)
    number = known.sum(axis=0)
    middle = np.stack([np.maximum(number - 1, 0) // 2, np.minimum(number // 2, 5)])
    median = np.take_along_axis(lengths, middle, axis=0).mean(axis=0)
    return np.where(there.sum(axis=0) >= 3, median, np.nan)


def smooth(
    values: np.ndarray,
    times: np.ndarray,
    *,
    window: float,
    order: int = 3,
    longest_gap: float = 1.0,
) -> np.ndarray:
    """Smooth a series on uneven times by local polynomials (Savitzky-Golay).

    Parameters
    ----------
    values : ndarray of float (n,)
        NaN where there is none.
    times : ndarray of float64 (n,)
        s.
    window : float
        Width of the fit, s. It holds ``2 floor(window rate / 2) + 1`` frames.
    order : int
        Of the polynomials.
    longest_gap : float
        Longest time without values that is bridged by a line, s.

    Returns
    -------
    ndarray of float64 (n,)
        At all samples with an increasing time, so that short gaps are filled. NaN in longer gaps,
        before the first and after the last value. A run between long gaps is smoothed by itself; in
        a short one the window is the widest that fits, below ``order + 2`` frames the result NaN.

    Raises
    ------
    ArgumentError
        For shapes that do not fit, or a window of no more than ``order`` frames.

    Notes
    -----
    Each run is interpolated on an even grid at the frame rate, filtered by
    `scipy.signal.savgol_filter` (Savitzky & Golay 1964, Anal Chem 36:1627), and interpolated back.

    Examples
    --------
    >>> times = np.arange(100) / 50
    >>> values = 1 + times**2
    >>> values[20:30] = np.nan
    >>> bool(np.abs(smooth(values, times, window=0.1) - (1 + times**2)).max() < 0.02)
    True
    """
    from scipy.signal import savgol_filter

    values, times = _series("smooth", values, times)
    rate, later = frame_rate(times), increasing(times)
    rows = np.flatnonzero(later & np.isfinite(values))
    out = np.full(times.size, np.nan)
    if rows.size < 2:
        return out
    if not (order >= 0 and window * rate >= order + 1):
        found = f"window {window} s at {rate:.4g} frames a second, order {order}"
        raise ArgumentError(located("smooth", "a window of more frames than order", found))
    width = 2 * int(window * rate / 2 + 1e-6) + 1
    breaks = np.flatnonzero(np.diff(times[rows]) > longest_gap)
    begins, ends = np.r_[0, breaks + 1], np.r_[breaks, rows.size - 1]
    for run in (rows[a : b + 1] for a, b in zip(begins, ends, strict=True)):
        first, last = times[run[0]], times[run[-1]]
        n = round((last - first) * rate) + 1
        if n < order + 2:
            continue
        grid = np.linspace(first, last, n)
        fits = min(width, n - (n % 2 == 0))
        course = savgol_filter(np.interp(grid, times[run], values[run]), fits, order)
        inside = later & (times >= first) & (times <= last)
        out[inside] = np.interp(times[inside], grid, course)
    return out


def outliers(values: np.ndarray, smooth: np.ndarray, *, sd: float = 5.0) -> np.ndarray:
    """Find values that lie far from their smoothed course.

    Parameters
    ----------
    values, smooth : ndarray of float (n,)
        A series, and its smoothed course.
    sd : float
        How many robust standard deviations of the residuals are far.

    Returns
    -------
    ndarray of bool (n,)
        False where either is NaN.

    Raises
    ------
    ArgumentError
        For shapes that differ, or ``sd`` that is not above 0.

    Notes
    -----
    The robust standard deviation is 1.4826 times the median distance of the residuals from their
    median: that of a normal distribution, whatever a few outliers are. Differences below a
    billionth of the largest value are rounding and never far.

    Examples
    --------
    >>> values = np.r_[np.tile([-1.0, 1.0], 50), 30.0, np.nan]
    >>> np.flatnonzero(outliers(values, np.zeros(102))).tolist()
    [100]
    """
    values, smooth = (np.asarray(v, dtype=np.float64) for v in (values, smooth))
    if values.ndim != 1 or values.shape != smooth.shape or not sd > 0:
        found = f"{values.shape}, {smooth.shape}, {sd}"
        raise ArgumentError(located("outliers", "values, smooth (n,) and sd above 0", found))
    residual = values - smooth
    known = np.isfinite(residual)
    if not known.any():
        return known
    distance = np.abs(residual - np.median(residual[known]))
    least = 1e-9 * np.abs(values[known]).max()
    far = distance > max(sd * 1.4826 * np.median(distance[known]), least)
    return np.asarray(known & far)


def bouts(
    values: np.ndarray,
    times: np.ndarray,
    *,
    high: float,
    low: float,
    shortest: float,
    gap: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Find bouts: stretches that begin at a high value and last while values stay above a low one.

    Parameters
    ----------
    values : ndarray of float (n,)
        Such as a speed; NaN where there is none.
    times : ndarray of float64 (n,)
        s; samples that are not later than all before them are left out.
    high, low : float
        A bout begins at a value from ``high`` up, and lasts above ``low``, which is no higher.
    shortest : float
        Shortest bout, s; from 0.
    gap : float
        Bouts that are closer than this are one, s; from 0.

    Returns
    -------
    intervals : ndarray of float64 (m, 2)
        Onset and offset of each bout, s. The onset is the time of the first sample in it, the
        offset that of the first sample after it. Where a bout is cut, it is the time of its last
        sample.
    cut : ndarray of bool (m, 2)
        Whether onset and offset were not seen, because the record, or a stretch without values,
        begins or ends there.

    Raises
    ------
    ArgumentError
        For shapes that do not fit, ``low`` above ``high``, negative ``shortest`` or ``gap``.

    Notes
    -----
    First bouts that are closer than ``gap`` are joined, then those shorter than ``shortest`` are
    dropped; cut ones are judged by what was seen of them. A stretch without values (NaN or no
    frames) that is longer than ``gap``, and than 1.5 frame intervals, ends a bout, and none goes
    across it. In a shorter one the state stays what it was. Lengths are compared in ticks of 10 us.

    Examples
    --------
    >>> values = np.array([0, 3, 2, 2, 0, 0, 0, 0, 2, 3, 3])
    >>> found, cut = bouts(values, np.arange(11) / 10, high=3, low=1, shortest=0.1, gap=0.2)
    >>> found.tolist(), cut.tolist()
    ([[0.1, 0.4], [0.9, 1.0]], [[False, False], [False, True]])
    """
    values, times = _series("bouts", values, times)
    if not (low <= high and shortest >= 0 and gap >= 0):
        expected = "low up to high, shortest and gap from 0"
        raise ArgumentError(located("bouts", expected, f"{low}, {high}, {shortest}, {gap}"))
    rows = np.flatnonzero(increasing(times) & np.isfinite(values))
    if not rows.size:
        return np.empty((0, 2)), np.empty((0, 2), dtype=bool)
    v, t = values[rows], times[rows]
    longest = max(gap, LONGEST_STEP / frame_rate(times)) if t.size > 1 else gap
    begins = np.r_[True, _ticks(np.diff(t)) > _ticks(longest)]  # after a stretch without values
    # what decides of each sample: itself, or the last one that was high, low, or after a stretch
    decides = (v >= high) | (v <= low) | begins
    by = np.maximum.accumulate(np.where(decides, np.arange(v.size), 0))
    inside = (v[by] >= high) & (v[by] > low)
    onset = np.flatnonzero(inside & (begins | ~np.r_[False, inside[:-1]]))
    last = np.flatnonzero(inside & (np.r_[begins[1:], True] | ~np.r_[inside[1:], False]))
    cut = np.stack([begins[onset], np.r_[begins[1:], True][last]], axis=1)
    offset = np.where(cut[:, 1], last, np.minimum(last + 1, v.size - 1))
    intervals = np.stack([t[onset], t[offset]], axis=1)
    apart = _ticks(intervals[1:, 0] - intervals[:-1, 1]) >= _ticks(gap)
    first, final = np.r_[True, apart][: len(cut)], np.r_[apart, True][: len(cut)]
    joined = np.stack([intervals[first, 0], intervals[final, 1]], axis=1)
    cuts = np.stack([cut[first, 0], cut[final, 1]], axis=1)
    long = _ticks(joined[:, 1] - joined[:, 0]) >= _ticks(shortest)
    return joined[long], cuts[long]


def path_length(position: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the length of each step: from a point's place in the frame before to its place now.

    Parameters
    ----------
    position : ndarray of float (n, 2)
        px (or another length); NaN where the point is missing or not likely.
    times : ndarray of float64 (n,)
        s.

    Returns
    -------
    ndarray of float64 (n,)
        px; their sum without NaN is the distance travelled. NaN at the first frame, where the point
        is missing in this frame or the one before, and where the frame before is more than 1.5
        frame intervals away or not earlier: a gap adds nothing, and is not zero.

    Raises
    ------
    ArgumentError
        For shapes that do not fit.

    Examples
    --------
    >>> position = np.array([[0.0, 0.0], [3.0, 4.0], [np.nan, 1.0], [3.0, 5.0], [3.0, 6.0]])
    >>> path_length(position, np.arange(5) / 30).tolist()
    [nan, 5.0, nan, nan, 1.0]
    """
    position, times = _points("path_length", position, times)
    out = np.full(times.size, np.nan)
    later = increasing(times)
    later &= np.isfinite(position).all(axis=1)
    follows = later[1:] & later[:-1] & (np.diff(times) <= LONGEST_STEP / frame_rate(times))
    steps = position[1:][follows].astype(np.float64) - position[:-1][follows]
    out[1:][follows] = np.hypot(*steps.T)
    return out


def wheel_path(times: np.ndarray, position: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return how far a wheel was turned, either way, between edges.

    Parameters
    ----------
    times : ndarray of float64 (n,)
        s; uneven, as a wheel is sampled when it moves.
    position : ndarray of float64 (n,)
        rad. Samples that are NaN, or not later than all before them, are left out.
    edges : ndarray of float64 (m,)
        s.

    Returns
    -------
    ndarray of float64 (m - 1,)
        rad, from 0 where edges ascend; NaN where an edge lies outside of the record.

    Raises
    ------
    ArgumentError
        For shapes that do not fit.

    Notes
    -----
    The summed sizes of steps, interpolated at the edges: a step across one is shared by time.

    Examples
    --------
    >>> times, position = np.array([0.0, 1.0, 3.0]), np.array([0.0, 2.0, 1.0])
    >>> wheel_path(times, position, np.array([0.0, 1.0, 2.0, 3.0, 4.0])).tolist()
    [2.0, 0.5, 0.5, nan]
    """
    position, times = _series("wheel_path", position, times)
    edges = np.asarray(edges, dtype=np.float64)
    if edges.ndim != 1:
        raise ArgumentError(located("wheel_path", "edges (m,)", str(edges.shape)))
    known = increasing(times) & np.isfinite(position)
    if not known.any():
        return np.full(max(edges.size - 1, 0), np.nan)
    path = np.cumsum(np.abs(np.diff(position[known], prepend=position[known][0])))
    return np.diff(np.interp(edges, times[known], path, left=np.nan, right=np.nan))


def occupancy(
    position: np.ndarray, times: np.ndarray, edges_x: np.ndarray, edges_y: np.ndarray
) -> np.ndarray:
    """Return how long a point was in each field of a grid.

    Parameters
    ----------
    position : ndarray of float (n, 2)
        x and y; NaN where the point is missing or not likely.
    times : ndarray of float64 (n,)
        s.
    edges_x, edges_y : ndarray of float (nx + 1,), (ny + 1,)
        Edges of the fields, ascending, in the unit of ``position``.

    Returns
    -------
    ndarray of float64 (ny, nx)
        s; 0 where the point never was. The sum is the time in which it was seen inside.

    Raises
    ------
    ArgumentError
        For shapes that do not fit, or edges that do not ascend.

    Notes
    -----
    A frame lasts until the next one; the last, and one before a gap of more than 1.5 frame
    intervals, lasts one interval. Fields are half-open but for the last (`numpy.histogram2d`).

    Examples
    --------
    >>> position = np.array([[0.5, 0.5], [1.5, 0.5], [1.5, 0.5], [np.nan, np.nan]])
    >>> occupancy(position, np.arange(4) / 10, np.arange(3), np.arange(2)).round(6).tolist()
    [[0.1, 0.2]]
    """
    position, times = _points("occupancy", position, times)
    edges = [np.asarray(e, dtype=np.float64) for e in (edges_y, edges_x)]
    if any(e.ndim != 1 or e.size < 2 or not (np.diff(e) > 0).all() for e in edges):
        raise ArgumentError(located("occupancy", "ascending edges", f"{edges[1]}, {edges[0]}"))
    frames = np.flatnonzero(increasing(times))
    interval = 1 / frame_rate(times)
    lasts = np.diff(times[frames], append=np.inf)
    lasts[~(lasts <= LONGEST_STEP * interval)] = interval
    seen = np.isfinite(position[frames]).all(axis=1) & np.isfinite(lasts)
    x, y = position[frames[seen]].T
    return np.asarray(np.histogram2d(y, x, bins=edges, weights=lasts[seen])[0])


def _ticks(seconds: np.ndarray | float) -> np.ndarray:
    return np.asarray(np.rint(np.asarray(seconds) * TICKS_PER_SECOND))


def _series(where: str, values: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, times = np.asarray(values, dtype=np.float64), np.asarray(times, dtype=np.float64)
    if values.ndim != 1 or values.shape != times.shape:
        found = f"{values.shape}, {times.shape}"
        raise ArgumentError(located(where, "values (n,) and times (n,)", found))
    return values, times


def _points(
    where: str, position: np.ndarray, times: np.ndarray, shape: str = "(n, 2)"
) -> tuple[np.ndarray, np.ndarray]:
    position, times = np.asarray(position), np.asarray(times, dtype=np.float64)
    many = position.ndim != 2 and shape == "(n, 2)"
    if times.ndim != 1 or position.shape[:2] != (times.size, 2) or many:
        found = f"{position.shape}, {times.shape}"
        raise ArgumentError(located(where, f"position {shape} and times (n,)", found))
    return position, times
