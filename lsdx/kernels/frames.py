"""Samples of a camera or a wheel on their own times: rate, means in bins, lag of two series."""

from __future__ import annotations

import numpy as np

from lsdx.errors import ArgumentError, located
from lsdx.kernels.compile import jit

TICKS_PER_SECOND = 100_000
NEAREST_SHIFT = 30.0  # s between two circular shifts of a null, and from the true place
_NO_TIME = np.iinfo(np.int64).max


def increasing(times: np.ndarray) -> np.ndarray:
    """Find the samples that come later than all samples before them.

    Parameters
    ----------
    times : ndarray of float (n,)
        s, in the order of the file.

    Returns
    -------
    ndarray of bool (n,)
        False where a time goes back, repeats an earlier one, or is not finite.

    Examples
    --------
    >>> increasing(np.array([0.0, 0.1, 0.1, 0.05, np.nan, 0.2])).tolist()
    [True, True, False, False, False, True]
    """
    known = np.where(np.isfinite(times), times, -np.inf)
    before = np.maximum.accumulate(np.r_[-np.inf, known])[:-1]
    return np.asarray(known > before)


def frame_rate(times: np.ndarray) -> float:
    """Return the frame rate: one over the median interval.

    Parameters
    ----------
    times : ndarray of float (n,)
        s. Only samples that `increasing` finds count, so that repeated times do not.

    Returns
    -------
    float
        Frames a second; NaN for fewer than two samples that count.

    Notes
    -----
    Gaps and a late first frame do not change a median.

    Examples
    --------
    >>> round(frame_rate(np.array([0.0, 0.05, 0.07, 0.09, 0.11, 5.0, 5.02])), 6)
    50.0
    """
    times = np.asarray(times, dtype=np.float64)
    steps = np.diff(times[increasing(times)])
    return float(1 / np.median(steps)) if steps.size else np.nan


def bin_means(
    values: np.ndarray,
    times: np.ndarray,
    starts: np.ndarray,
    width: float,
    n_bins: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Average samples in the half-open bins of windows.

    Parameters
    ----------
    values : ndarray of float32 or float64 (n, k)
        One row a sample. Another order in memory than row by row is copied first. NaN does not
        count.
    times : ndarray of float64 (n,)
        s; any order (rows that are not in order of time are copied too). A sample without a finite
        time is in no bin.
    starts : ndarray of float64 (w,)
        First edge of each window, s. Windows may overlap. NaN: a window without bins.
    width : float
        Width of a bin, s: a whole number of 10 us.
    n_bins : ndarray of int (w,)
        Bins of each window.

    Returns
    -------
    mean : ndarray of float32 (w, max_bins, k)
        NaN where a bin has no value, and past a window's last bin.
    number : ndarray of int32 (w, max_bins, k)
        Values in each bin; 0 where there are none.

    Raises
    ------
    ArgumentError
        For shapes that do not fit, negative ``n_bins``, or a width that is no whole number of
        10 us.

    Notes
    -----
    Bin i of a window holds the samples with ``start + i width <= time < start + (i + 1) width``.
    Times, starts and width are rounded to ticks of 10 us first, by ``rint(t * 1e5)``: membership
    compares integers. Sums are in double precision.

    Examples
    --------
    >>> values = np.array([[1.0], [3.0], [np.nan], [5.0]], dtype=np.float32)
    >>> times = np.array([0.0, 0.09, 0.1, 0.2])
    >>> mean, number = bin_means(values, times, np.array([0.0]), 0.1, np.array([4]))
    >>> mean[0, :, 0].tolist(), number[0, :, 0].tolist()
    ([2.0, nan, 5.0, nan], [2, 0, 1, 0])
    """
    values, times = np.asarray(values), np.asarray(times, dtype=np.float64)
    starts, n_bins = np.asarray(starts, dtype=np.float64), np.asarray(n_bins, dtype=np.int64)
    if values.ndim != 2 or times.shape != values.shape[:1]:
        raise ArgumentError(
            located("bin_means", "values (n, k) and times (n,)", f"{values.shape}, {times.shape}")
        )
    if starts.ndim != 1 or starts.shape != n_bins.shape or (n_bins < 0).any():
        found = f"{starts.shape}, {n_bins.shape}, the least {n_bins.min(initial=0)}"
        raise ArgumentError(located("bin_means", "starts (w,) and n_bins (w,) from 0", found))
    ticks = width * TICKS_PER_SECOND
    if not (0.5 < ticks < 2**53 and abs(ticks - round(ticks)) < 1e-6):
        raise ArgumentError(located("bin_means, width", "a whole number of 10 us", f"{width} s"))
    if values.dtype != np.float32:
        values = values.astype(np.float64, copy=False)
    rows = np.ascontiguousarray(values)
    when = np.empty(times.size, dtype=np.int64)
    if not _to_ticks(times, when):
        order = np.argsort(when, kind="stable")
        when, rows = when[order], rows[order]
    has_start = np.isfinite(starts)
    begin = np.rint(np.where(has_start, starts, 0) * TICKS_PER_SECOND).astype(np.int64)
    counted = np.where(has_start, n_bins, 0)
    shape = (starts.size, int(n_bins.max(initial=0)), rows.shape[1])
    mean, number = np.full(shape, np.nan, dtype=np.float32), np.zeros(shape, dtype=np.int32)
    _average(rows, when, begin, round(ticks), counted, mean, number)
    return mean, number


def lag(
    x: np.ndarray,
    y: np.ndarray,
    times: np.ndarray,
    *,
    longest: float = 1.0,
    n_null: int = 199,
    rng: np.random.Generator | int | None = None,
) -> tuple[float, float, float]:
    """Find by how much one series is behind another, and whether they are related at all.

    Parameters
    ----------
    x, y : ndarray of float (n,)
        Samples at the same times. NaN is filled by linear interpolation.
    times : ndarray of float64 (n,)
        s; samples that `increasing` does not find are left out.
    longest : float
        Longest lag, either way, s.
    n_null : int
        Circular shifts for the null, at most. There are fewer in a short record.
    rng : Generator or int, optional
        Places the shifts.

    Returns
    -------
    lag : float
        s of ``y`` behind ``x``: positive where ``y`` does later what ``x`` does. A whole number
        of frames.
    r : float
        Correlation at that lag, -1 to 1: the one of largest size within ``longest``.
    p : float
        From 1 / (1 + shifts) to 1; NaN where the record has no place for a shift (below 60 s).

    All three are NaN for a series that is constant or has fewer than two values.

    Raises
    ------
    ArgumentError
        For shapes that do not fit, ``longest`` that is not above 0, or negative ``n_null``.

    Notes
    -----
    Both series are interpolated on one even grid at the frame rate, from the first to the last
    time that both have. One Fourier transform gives the circular correlation at all shifts. The
    null is the same maximum over ``longest`` around shifts that are at least 30 s (and twice
    ``longest``) from the true place and from one another. This distance limits their number: 4,500
    s have place for 149, and p is never below 1/150. The steps from shift to shift are random and
    exchangeable. So for stationary series without a relation the true place is one of many alike,
    and p is valid whatever their autocorrelation, if it fades within 30 s. A drift that both series
    have counts as a relation, as in any test by shifts (Harris 2020, bioRxiv 2020.11.29.402719).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x, times = rng.normal(size=9000), np.arange(9000) / 30
    >>> found, r, p = lag(x, np.roll(x, 6), times, rng=0)
    >>> round(found, 6), round(r, 6), p
    (0.2, 1.0, 0.1)
    """
    x, y, times = (np.asarray(v, dtype=np.float64) for v in (x, y, times))
    if times.ndim != 1 or not x.shape == y.shape == times.shape:
        found = f"{x.shape}, {y.shape}, {times.shape}"
        raise ArgumentError(located("lag", "x, y and times (n,)", found))
    if not (longest > 0 and n_null >= 0):
        found = f"{longest}, {n_null}"
        raise ArgumentError(located("lag", "longest above 0 and n_null from 0", found))
    rate, counts = frame_rate(times), increasing(times)
    both = [(v, counts & np.isfinite(v)) for v in (x, y)]
    if min(keep.sum() for _, keep in both) < 2:
        return np.nan, np.nan, np.nan
    first = max(times[keep][0] for _, keep in both)
    last = min(times[keep][-1] for _, keep in both)
    n = int(np.floor((last - first) * rate + 1e-6)) + 1
    if n < 3:
        return np.nan, np.nan, np.nan
    grid = first + np.arange(n) / rate
    a, b = (np.interp(grid, times[keep], v[keep]) for v, keep in both)
    if min(np.ptp(a), np.ptp(b)) == 0:
        return np.nan, np.nan, np.nan
    correlation = _circular_correlation(a, b)
    reach = min(round(longest * rate), (n - 1) // 2)
    lags = np.arange(-reach, reach + 1)
    lags = lags[np.argsort(np.abs(lags), kind="stable")]  # of equals the nearest
    best = int(lags[np.abs(correlation[lags]).argmax()])
    shifts = _spaced_shifts(n, max(NEAREST_SHIFT, 2 * longest) * rate, n_null, rng)
    null = np.abs(correlation[(shifts[:, None] + lags) % n]).max(axis=1)
    r = float(correlation[best])
    beyond = int((null >= abs(r) - 1e-12).sum())
    p = (1 + beyond) / (1 + shifts.size) if shifts.size else np.nan
    return best / rate, r, p


def _circular_correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlate ``a`` with ``b`` moved back by each number of samples, the ends joined."""
    from scipy.fft import irfft, rfft

    a, b = ((v - v.mean()) / v.std() for v in (a, b))
    return np.asarray(irfft(rfft(a).conj() * rfft(b), n=a.size) / a.size)


def _spaced_shifts(
    n: int, apart: float, most: int, rng: np.random.Generator | int | None
) -> np.ndarray:
    """Place shifts on a circle of ``n`` samples, ``apart`` from 0 and from one another.

    The steps between them are exchangeable: each place sees the others as 0 does.
    """
    step = int(np.ceil(apart - 1e-6))  # of a rate that is a rounded median
    places = min(most + 1, n // step)
    if places < 2:
        return np.empty(0, dtype=np.int64)
    spare = np.random.default_rng(rng).multinomial(n - places * step, np.full(places, 1 / places))
    return np.cumsum(step + spare)[:-1]


@jit
def _to_ticks(times, out):  # type: ignore[no-untyped-def]
    """Round to ticks; tell whether they are in order."""
    ordered = True
    for i in range(times.size):
        known = np.isfinite(times[i])
        out[i] = np.int64(np.rint(times[i] * TICKS_PER_SECOND)) if known else _NO_TIME
        if i and out[i] < out[i - 1]:
            ordered = False
    return ordered


@jit
def _average(values, ticks, begins, width, n_bins, mean, number):  # type: ignore[no-untyped-def]
    total, seen = np.empty(values.shape[1]), np.empty(values.shape[1])
    for w in range(begins.size):
        end = begins[w] + n_bins[w] * width
        i = np.searchsorted(ticks, begins[w])
        while i < ticks.size and ticks[i] < end:
            b = (ticks[i] - begins[w]) // width
            after = i + 1
            while after < ticks.size and ticks[after] < begins[w] + (b + 1) * width:
                after += 1
            total[:], seen[:] = 0.0, 0.0
            while i < after:
                # sums are fetched and put back once in four rows; the compiler unrolls these
                if i + 4 <= after:
                    for j in range(total.size):
                        part, known = 0.0, 0.0
                        for row in range(4):
                            value = np.float64(values[i + row, j])
                            part += value if value == value else 0.0  # NaN is not itself
                            known += 1.0 if value == value else 0.0
                        total[j] += part
                        seen[j] += known
                    i += 4
                else:
                    for j in range(total.size):
                        value = np.float64(values[i, j])
                        total[j] += value if value == value else 0.0
                        seen[j] += 1.0 if value == value else 0.0
                    i += 1
            to_mean, to_number = mean[w, b], number[w, b]
            for j in range(total.size):
                # without a branch, so that it is done for many columns at once
                to_mean[j] = total[j] / max(seen[j], 1.0) if seen[j] > 0 else np.nan
                to_number[j] = np.int32(seen[j])
