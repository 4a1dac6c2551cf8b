"""What the amplitudes of spikes tell: how many were missed, and medians of parts of a train."""

from __future__ import annotations

import itertools

import numpy as np

LEAST_SPIKES = 500  # of fewer, the density at the threshold is not known
EDGE = 0.01  # the quantile at which the histogram starts: single small spikes do not set it
BINS_PER_SPREAD = 20  # between the quartiles
N_BINS = 200
EDGE_BINS = 5  # a line through them gives the density at the threshold
SMOOTHING = 2.0  # standard deviation in bins
BLOCK = 1 << 19  # spikes at once


def segment_quantiles(
    values: np.ndarray, first: np.ndarray, size: np.ndarray, quantiles: tuple[float, ...]
) -> np.ndarray:
    """Return quantiles of stretches of one array, by one sort of all.

    Parameters
    ----------
    values : ndarray of float32 (n,)
        NaN is left out.
    first, size : ndarray of int64 (n_segments,)
        Where each stretch starts and how long it is.
    quantiles : tuple of float
        From 0 to 1.

    Returns
    -------
    ndarray of float64 (n_quantiles, n_segments)
        Linear between neighbours, as `numpy.quantile` is; NaN where nothing is known.

    Examples
    --------
    >>> values = np.array([3, 1, 2, 9, 5], dtype=np.float32)
    >>> segment_quantiles(values, np.array([0, 3, 5]), np.array([3, 2, 0]), (0.5,)).tolist()
    [[2.0, 7.0, nan]]
    """
    out = np.full((len(quantiles), size.size), np.nan)
    blocks = np.flatnonzero(np.diff(np.cumsum(size) // BLOCK)) + 1
    for low, high in itertools.pairwise((0, *blocks, size.size)):
        out[:, low:high] = _block_quantiles(values, first[low:high], size[low:high], quantiles)
    return out


def _block_quantiles(
    values: np.ndarray, first: np.ndarray, size: np.ndarray, quantiles: tuple[float, ...]
) -> np.ndarray:
    segment = np.repeat(np.arange(size.size), size)
    chosen = values[np.arange(segment.size) + (first - (np.cumsum(size) - size))[segment]]
    known = ~np.isnan(chosen)
    segment, chosen = segment[known], chosen[known]
    counts = np.bincount(segment, minlength=size.size)
    # bits of floats, turned so that their order as integers is that of the numbers
    bits = (chosen + np.float32(0)).view(np.uint32)
    keys = segment.astype(np.uint64) << np.uint64(32)
    keys |= np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    keys.sort()
    start, some = np.cumsum(counts) - counts, counts > 0
    out = np.full((len(quantiles), size.size), np.nan)
    for row, quantile in zip(out, quantiles, strict=True):
        at = start[some] + quantile * (counts[some] - 1)
        low, high = (_decode(keys[f(at).astype(np.int64)]) for f in (np.floor, np.ceil))
        row[some] = low + (high - low) * (at - np.floor(at))
    return out


def _decode(keys: np.ndarray) -> np.ndarray:
    turned = (keys & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    bits = np.where(turned >> 31, turned & np.uint32(0x7FFFFFFF), ~turned)
    return bits.view(np.float32).astype(np.float64)


def amplitude_cutoff(values: np.ndarray, row_size: np.ndarray) -> np.ndarray:
    """Estimate the share of each unit's spikes that were too small to be detected.

    Parameters
    ----------
    values : ndarray of float32 (n,)
        Amplitudes of the spikes of one unit after another; NaN is left out.
    row_size : ndarray of int64 (n_units,)
        Spikes of each unit.

    Returns
    -------
    ndarray of float64 (n_units,)
        From 0 to 0.5; NaN for fewer than 500 spikes, or amplitudes that are all alike.

    Notes
    -----
    Amplitudes are taken to be symmetric about their peak: as many spikes lie below the threshold
    as above the large amplitude at which the histogram is as low as at the threshold (Hill et al.
    2011). With u that share of the spikes that were seen, u / (1 + u) of all were missed. If the
    histogram falls from the threshold on, half of the spikes or more are missed: it gives 0.5.
    The histogram starts at the 1 % quantile, in bins of a twentieth of the distance between the
    quartiles, and the density at its start is that of a line through the first five bins; the
    spikes below it were seen, and are taken off u.

    References
    ----------
    Hill DN, Mehta SB, Kleinfeld D (2011). Quality metrics to accompany spike sorting of
    extracellular signals. J Neurosci 31, 8699.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> amplitudes = rng.normal(100, 20, 50_000).astype(np.float32)
    >>> seen = amplitudes[amplitudes > 80]  # 15.9 % are smaller
    >>> f"{amplitude_cutoff(seen, np.array([seen.size]))[0]:.2f}"
    '0.16'
    """
    row_start = np.cumsum(row_size) - row_size
    edge, low, high = segment_quantiles(values, row_start, row_size, (EDGE, 0.25, 0.75))
    width = np.where(high > low, (high - low) / BINS_PER_SPREAD, np.nan)
    inside, n, n_above = _histograms(values, row_size, edge, width)
    with np.errstate(invalid="ignore"):
        share, above = inside / n[:, None], n_above / n
    below = 1 - share.sum(axis=1) - above
    at_edge = share[:, :EDGE_BINS] @ _intercept(EDGE_BINS)
    smooth = _smoothed(share)
    peak = smooth.argmax(axis=1)
    beyond = np.arange(N_BINS) >= peak[:, None]
    # counted, not looked for: the first bin below and the last one above err to one side
    seen_to = peak + (beyond & (smooth >= at_edge[:, None])).sum(axis=1)
    upper = np.where(np.arange(N_BINS) >= seen_to[:, None], share, 0).sum(axis=1) + above
    missed = np.clip(upper - below, 0, None)
    return np.where((n < LEAST_SPIKES) | np.isnan(width), np.nan, missed / (1 + missed))


def _histograms(
    values: np.ndarray, row_size: np.ndarray, edge: np.ndarray, width: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count each unit's values in bins from its edge, all of them, and those above the bins."""
    n_rows = row_size.size
    inside = np.zeros((n_rows, N_BINS))
    n, n_above = np.zeros(n_rows), np.zeros(n_rows)
    stop = np.cumsum(row_size)
    for first in range(0, values.size, BLOCK):
        rows = np.searchsorted(stop, np.arange(first, min(first + BLOCK, values.size)), "right")
        block = values[first : first + BLOCK]
        rows, block = rows[~np.isnan(block)], block[~np.isnan(block)]
        n += np.bincount(rows, minlength=n_rows)
        bins = np.floor((block - edge[rows]) / width[rows])
        n_above += np.bincount(rows[bins >= N_BINS], minlength=n_rows)
        hit = (bins >= 0) & (bins < N_BINS)
        flat = rows[hit] * N_BINS + bins[hit].astype(np.int64)
        inside += np.bincount(flat, minlength=inside.size).reshape(inside.shape)
    return inside, n, n_above


def _intercept(n: int) -> np.ndarray:
    """Weights that give a least-squares line through n bins its value at their left end."""
    x = np.arange(n) + 0.5
    centred = x - x.mean()
    return np.asarray(1 / n - x.mean() * centred / (centred**2).sum())


def _smoothed(share: np.ndarray) -> np.ndarray:
    """Smooth each row with a Gaussian, mirrored at both ends."""
    reach = int(3 * SMOOTHING)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / SMOOTHING) ** 2)
    weights /= weights.sum()
    padded = np.pad(share, ((0, 0), (reach, reach)), mode="symmetric")
    out = np.zeros_like(share)
    for i, weight in enumerate(weights):
        out += weight * padded[:, i : i + N_BINS]
    return out
