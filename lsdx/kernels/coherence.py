"""Magnitude-squared coherence of two populations, and what is left of it by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lsdx.kernels.covariance import scaled
from lsdx.kernels.matching import NOT_WHOLE, is_whole, n_observed_bins
from lsdx.kernels.prediction import p_of_shifts
from lsdx.kernels.resampling import equal_rate_share, stream_keys, thin

LEAST_SEGMENTS = 4
_MOST_AT_ONCE = 1_000_000  # bins
_THIN, _SHIFT = 1, 2  # purposes of random numbers


def coherence(x: np.ndarray, y: np.ndarray, *, nperseg: int) -> np.ndarray:
    """Return the magnitude-squared coherence of pairs of series, by Welch's method.

    Parameters
    ----------
    x, y : ndarray (..., n_bins)
        They broadcast.
    nperseg : int
        Bins of a segment; segments overlap by half.

    Returns
    -------
    ndarray of float64 (..., nperseg // 2 + 1)
        ``|Sxy|^2 / (Sxx Syy)`` at frequencies of 0, 1 / nperseg and so on, in 1 / bin: from 0
        to 1, whatever the scale of the series; NaN where one has no power.

    Notes
    -----
    Hann windows, the mean of each segment taken out (Welch 1967, IEEE Trans Audio Electroacoust
    15:70), as `scipy.signal.coherence` has it.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=1000)
    >>> coherence(x, 10 * x, nperseg=50)[1:4].round(12).tolist()
    [1.0, 1.0, 1.0]
    """
    return coherence_of(segment_spectra(x, nperseg), segment_spectra(y, nperseg))


def segment_spectra(x: np.ndarray, nperseg: int) -> np.ndarray:
    """Return the Fourier transforms of Hann-windowed segments that overlap by half.

    Parameters
    ----------
    x : ndarray (..., n_bins)
    nperseg : int

    Returns
    -------
    ndarray of complex128 (..., n_segments, nperseg // 2 + 1)
        Of each segment less its mean.

    Raises
    ------
    ValueError
        For fewer bins than one segment has.

    Examples
    --------
    >>> segment_spectra(np.zeros((2, 300)), 100).shape
    (2, 5, 51)
    """
    import scipy.fft
    from scipy import signal

    parts = np.lib.stride_tricks.sliding_window_view(x, nperseg, axis=-1)
    parts = parts[..., :: nperseg - nperseg // 2, :]
    parts = parts - parts.mean(axis=-1, keepdims=True)
    parts *= signal.get_window("hann", nperseg)
    return np.asarray(scipy.fft.rfft(parts, axis=-1))


def coherence_of(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the coherence of series whose segments have these spectra.

    Parameters
    ----------
    a, b : ndarray of complex (..., n_segments, n_frequencies)
        As `segment_spectra` gives them; they broadcast.

    Returns
    -------
    ndarray of float64 (..., n_frequencies)

    Examples
    --------
    >>> coherence_of(np.array([[1], [1j]]), np.array([[2], [2]])).round(12).tolist()
    [0.5]
    """
    cross = np.einsum("...kf,...kf->...f", a.conj(), b)
    power = [np.einsum("...kf,...kf->...f", v.conj(), v).real for v in (a, b)]
    product = power[0] * power[1]
    return np.asarray(np.abs(cross) ** 2 / np.where(product > 0, product, np.nan))


def n_segments(n_bins: int, nperseg: int) -> int:
    """Count the segments that overlap by half.

    Examples
    --------
    >>> n_segments(300, 100)
    5
    """
    step = nperseg - nperseg // 2
    return max((n_bins - nperseg // 2) // step, 0)


def effective_segments(n: int, nperseg: int) -> float:
    """Return how many independent segments are worth ``n`` that overlap by half.

    Parameters
    ----------
    n : int
    nperseg : int

    Returns
    -------
    float
        ``n / (1 + 2 (1 - 1 / n) r)``; of Hann windows r is about 1 / 36.

    Notes
    -----
    ``r = (sum_t w_t w_(t + nperseg / 2))^2 / (sum_t w_t^2)^2`` of the window ``w`` is the
    correlation of the power of neighbouring segments (Welch 1967, IEEE Trans Audio Electroacoust
    15:70).

    Examples
    --------
    >>> round(effective_segments(59, 100), 1)
    55.9
    """
    from scipy import signal

    window = signal.get_window("hann", nperseg)
    step = nperseg - nperseg // 2
    r = (window[:-step] @ window[step:]) ** 2 / (window @ window) ** 2
    return float(n / (1 + 2 * (1 - 1 / n) * r))


def less_bias(raw: np.ndarray, n: float) -> np.ndarray:
    """Take out of a coherence what independent series have by chance.

    Parameters
    ----------
    raw : ndarray
    n : float
        Independent segments.

    Returns
    -------
    ndarray
        ``(raw - 1 / n) / (1 - 1 / n)``: 0 on average for independent series, 1 for the same
        series, below 0 by chance. Between them it is too small by about ``c (1 - c) / n``.

    Notes
    -----
    Of independent Gaussian series the mean is 1 / n (Carter, Knapp & Nuttall 1973, IEEE Trans
    Audio Electroacoust 21:337).

    Examples
    --------
    >>> less_bias(np.array([0.1, 1.0]), 10).tolist()
    [0.0, 1.0]
    """
    return np.asarray((raw - 1 / n) / (1 - 1 / n))


def shift_p(observed: np.ndarray, shifted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rank a spectrum among those of shifts.

    Parameters
    ----------
    observed : ndarray (n_frequencies,)
    shifted : ndarray (n_shifts, n_frequencies)

    Returns
    -------
    p, p_corrected : ndarray of float64 (n_frequencies,)
        Among the same frequency, and among the largest of all frequencies of each shift;
        ``(1 + n at least as large) / (1 + n_shifts)``.

    Examples
    --------
    >>> [p.tolist() for p in shift_p(np.array([2.0, 0.0]), np.array([[1.0, 3.0]]))]
    [[0.5, 1.0], [1.0, 1.0]]
    """
    largest = shifted.max(axis=1, keepdims=True)
    return p_of_shifts(observed, shifted), p_of_shifts(observed, largest)


def shift_offsets(keys: np.ndarray, n_bins: int, least: int) -> np.ndarray:
    """Return random circular shifts of at least so many bins either way.

    Parameters
    ----------
    keys : ndarray of uint64 (n_shifts,)
    n_bins, least : int
        There must be more than twice ``least`` bins.

    Returns
    -------
    ndarray of int (n_shifts,)
        From ``least`` to ``n_bins - least``.

    Examples
    --------
    >>> offsets = shift_offsets(np.arange(50, dtype=np.uint64), 100, 30)
    >>> bool(offsets.min() >= 30), bool(offsets.max() <= 70)
    (True, True)
    """
    span = np.uint64(n_bins - 2 * least + 1)
    return least + (stream_keys(keys, 0) % span).astype(np.int64)


@dataclass(frozen=True)
class Options:
    """How coherence is measured; `lsdx.analysis.coherence` says what each means."""

    nperseg: int
    bin_width: float
    least_shift: int  # bins
    n_shifts: int
    match_rates: bool
    draws: int
    min_units: int
    seed: int


def population_coherence(
    counts: np.ndarray,
    units: np.ndarray,
    cells: np.ndarray,
    keys: np.ndarray,
    ids: Sequence[int],
    session: int,
    side: np.ndarray,
    options: Options,
) -> dict[str, Any]:
    """Measure the coherence of the population rates of two groups of units in each cell.

    Parameters
    ----------
    counts : ndarray (n_units, n_cells, n_bins)
        NaN after what was observed.
    units, cells : ndarray of bool
        Which are used.
    keys : ndarray of uint64 (n_units,)
    ids : sequence of int (n_cells,)
        Of the random numbers of each unit and cell.
    session : int
        Of the shifts, which are of populations.
    side : ndarray of int (n_units,)
        0 for units of the source, 1 for those of the target, -1 for others.
    options : Options

    Returns
    -------
    dict
        ``coherence``, ``coherence_raw``, ``chance``, ``p``, ``p_corrected``
        (n_cells, nperseg // 2); ``n_segments``, ``n_independent``, ``note`` (n_cells,);
        ``n_units_source``, ``n_units_target``.
    """
    n_cells = counts.shape[1]
    shape = (n_cells, options.nperseg // 2)
    names = ("coherence", "coherence_raw", "chance", "p", "p_corrected")
    out: dict[str, Any] = {name: np.full(shape, np.nan) for name in names}
    out |= {n: np.full(n_cells, np.nan) for n in ("n_segments", "n_independent")}
    out["note"] = np.full(n_cells, "not observed for all units", dtype=object)
    sizes = [int((units & (side == k)).sum()) for k in (0, 1)]
    out["n_units_source"], out["n_units_target"] = sizes
    if min(sizes) < options.min_units:
        which = "source" if sizes[0] < options.min_units else "target"
        words = f"{min(sizes)} units of the {which}, fewer than min_units={options.min_units}"
        out["note"][:] = words
        return out
    units = units & (side >= 0)
    side, keys, rows = side[units], keys[units], counts[units]
    length = np.array([n_observed_bins(rows[:, c]) for c in range(n_cells)])
    good = [int(c) for c in np.flatnonzero(cells & (length > 0))]
    for c in list(good):
        n = n_segments(int(length[c]), options.nperseg)
        out["note"][c] = ""
        if n < LEAST_SEGMENTS:
            out["note"][c] = f"{n} segments, fewer than {LEAST_SEGMENTS}"
            good.remove(c)
    if not good:
        return out
    rates = [rows[:, c, : length[c]].mean(axis=1, dtype=np.float64) for c in good]
    spikes = not options.match_rates or all(is_whole(rows[:, c, : length[c]]) for c in good)
    matched = options.match_rates and spikes
    keep = equal_rate_share(np.stack(rates, axis=1)) if matched else np.ones((len(rows), len(good)))
    for k, c in enumerate(good):
        x = rows[:, c, : length[c]]
        thinned = bool((keep < 1).any())
        if not spikes:
            out["note"][c] = NOT_WHOLE
        series = []
        for d in range(options.draws if thinned else 1):
            y = x
            if thinned:
                y = thin(x, keep[:, k], stream_keys(keys, options.seed, _THIN, d, ids[c]))
            z = scaled(y.T).T
            series.append([z[side == s].mean(axis=0) for s in (0, 1)])
        n = n_segments(x.shape[1], options.nperseg)
        worth = effective_segments(n, options.nperseg)
        out["n_segments"][c], out["n_independent"][c] = n, worth
        source, target = np.moveaxis(np.array(series), 1, 0)
        still = segment_spectra(source, options.nperseg)
        raw = coherence_of(still, segment_spectra(target, options.nperseg)).mean(axis=0)[1:]
        out["coherence_raw"][c], out["coherence"][c] = raw, less_bias(raw, worth)
        if np.isnan(raw).any():
            out["note"][c] = "a population does not vary"
        elif options.n_shifts and x.shape[1] <= 2 * options.least_shift:
            out["note"][c] = "too short to shift: no p"
        elif options.n_shifts:
            shifts = np.arange(options.n_shifts, dtype=np.uint64)
            streams = stream_keys(shifts, options.seed, _SHIFT, session, ids[c])
            offsets = shift_offsets(streams, x.shape[1], options.least_shift)
            every = np.arange(options.least_shift, x.shape[1] - options.least_shift + 1)
            if every.size <= options.n_shifts:  # a shift counted often would make p too small
                offsets = every
            null = [
                _shifted(*pair, offsets, options.nperseg)
                for pair in zip(still, target, strict=True)
            ]
            moved = np.mean(null, axis=0)[:, 1:]
            out["p"][c], out["p_corrected"][c] = shift_p(raw, moved)
            out["chance"][c] = moved.mean(axis=0)
    return out


def _shifted(still: np.ndarray, x: np.ndarray, offsets: np.ndarray, nperseg: int) -> np.ndarray:
    """Return the coherence with a series (n_bins,) shifted circularly by each offset."""
    step = max(_MOST_AT_ONCE // (2 * x.size), 1)
    found = []
    for first in range(0, offsets.size, step):
        places = np.arange(x.size) - offsets[first : first + step, None]
        found.append(coherence_of(still, segment_spectra(x[places % x.size], nperseg)))
    return np.concatenate(found)
