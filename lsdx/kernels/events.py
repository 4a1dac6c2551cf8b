"""Spikes around events: histograms, and how far a response stands out of its baseline."""

from __future__ import annotations

import numpy as np

from lsdx.kernels.compile import jit


def peri_event_counts(
    ticks: np.ndarray,
    row_start: np.ndarray,
    row_size: np.ndarray,
    event: np.ndarray,
    cell: np.ndarray,
    *,
    first: int,
    width: int,
    shape: tuple[int, int, int],
    row: np.ndarray | None = None,
) -> np.ndarray:
    """Count spikes in half-open bins around events, added up over the events of each cell.

    Parameters
    ----------
    ticks : ndarray of uint32 (n_spikes,)
        Each unit's spikes, sorted in time.
    row_start, row_size : ndarray of int64 (n_units,)
        Where each unit's spikes are.
    event : ndarray of int64 (n_events,)
        Ticks of the events, in order.
    cell : ndarray of int64 (n_events,)
        To which cell each belongs, such as the side of a stimulus.
    first : int
        Ticks from an event to the first bin.
    width : int
        Ticks a bin.
    shape : tuple of int
        (n_rows, n_cells, n_bins).
    row : ndarray of int64 (n_units,), optional
        To which row each unit is added; its own by default.

    Returns
    -------
    ndarray of int64 (n_rows, n_cells, n_bins)

    Examples
    --------
    >>> train = np.array([95, 103, 205], dtype=np.uint32), np.array([0]), np.array([3])
    >>> event, cell = np.array([100, 200]), np.array([0, 0])
    >>> peri_event_counts(*train, event, cell, first=-10, width=10, shape=(1, 1, 2)).tolist()
    [[[1, 2]]]
    """
    out = np.zeros(shape, dtype=np.int64)
    rows = np.arange(row_start.size) if row is None else row
    _peri_event(ticks, row_start, row_size, event, cell, first, width, rows, out)
    return out


def baseline_z(counts: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Standardise histograms by their baseline bins.

    Parameters
    ----------
    counts : ndarray (..., n_bins)
    baseline : ndarray of bool (n_bins,)

    Returns
    -------
    ndarray of float64 (..., n_bins)
        ``(count - mean) / sd`` of the baseline bins (ddof 0). The sd is at least that of one
        count in all of them, so that a silent baseline gives a number; NaN where nothing was
        counted in any bin.

    Examples
    --------
    >>> z = baseline_z(np.array([[1, 3, 6.0], [0, 0, 0]]), np.array([True, True, False]))
    >>> z.tolist()
    [[-1.0, 1.0, 4.0], [nan, nan, nan]]
    """
    before = counts[..., baseline]
    n = before.shape[-1]
    least = np.sqrt((n - 1) / n**2) if n > 1 else 1.0
    sd = np.maximum(before.std(axis=-1, keepdims=True), least)
    z = (counts - before.mean(axis=-1, keepdims=True)) / sd
    return np.where(counts.any(axis=-1, keepdims=True), z, np.nan)


def response_statistics(counts: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return what tells a response: the largest ``|z|``, and the change of the rate.

    Parameters
    ----------
    counts : ndarray (..., n_bins)
    before, after : ndarray of bool (n_bins,)
        Bins of the baseline, and where the response is looked for.

    Returns
    -------
    ndarray of float64 (..., 2)
        The largest ``|z|`` (`baseline_z`) of ``after``; the mean count a bin of ``after`` minus
        that of ``before``. NaN where nothing was counted.

    Examples
    --------
    >>> before = np.array([True, True, False])
    >>> response_statistics(np.array([[1, 3, 6.0]]), before, ~before).tolist()
    [[4.0, 4.0]]
    """
    largest = np.abs(baseline_z(counts, before)[..., after]).max(axis=-1)
    change = counts[..., after].mean(axis=-1) - counts[..., before].mean(axis=-1)
    return np.stack([largest, np.where(np.isnan(largest), np.nan, change)], axis=-1)


def combined_p(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return one p of several statistics, and one corrected for several cells.

    Parameters
    ----------
    draws : ndarray (1 + n_draws, n_rows, n_cells, 2)
        The statistics of `response_statistics`, those observed first, then those by chance.

    Returns
    -------
    p, p_corrected : ndarray of float64 (n_rows, n_cells)
        NaN where what was observed is. Draws that are NaN count as reaching it.

    Notes
    -----
    The second statistic is two-sided about its mean over all draws. Each value's own p is the
    share of values, its own among them, that reach it; the lesser of the two (the larger decides
    ties) is ranked in the same way, so that looking twice is in the null distribution, and for
    ``p_corrected`` the least of all cells (Westfall and Young 1993).

    Examples
    --------
    >>> draws = np.zeros((100, 1, 2, 2)) + np.arange(100)[::-1, None, None, None]
    >>> [v.tolist() for v in combined_p(draws)]
    [[[0.01, 0.01]], [[0.01, 0.01]]]
    """
    p = np.full(draws.shape[1:3], np.nan)
    corrected = p.copy()
    for low in range(0, len(p), 64):  # ranks take several times the memory of what is ranked
        rows = slice(low, low + 64)
        values = draws[:, rows].astype(np.float64)
        none = np.isnan(values[0, ..., 0])
        seen = np.isfinite(values[..., 1])
        middle = np.where(seen, values[..., 1], 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        values[..., 1] = np.abs(values[..., 1] - middle)
        of_each = np.sort(_share_reaching(np.nan_to_num(values, nan=np.inf)), axis=-1)
        # shares are multiples of 1 / n_draws: the larger one decides among equal lesser ones
        of_cell = _share_reaching(-(of_each[..., 0] + of_each[..., 1] / (2 * len(draws))))
        of_cell[:, none] = np.inf
        least = of_cell.min(axis=-1, keepdims=True)
        reached = (least <= of_cell[:1]).mean(axis=0)
        p[rows] = np.where(none, np.nan, of_cell[0])
        corrected[rows] = np.where(none, np.nan, reached)
    return p, corrected


def _share_reaching(values: np.ndarray) -> np.ndarray:
    """Return the share of values along the first axis that are at least as large as each."""
    import scipy.stats

    rank = scipy.stats.rankdata(-values, method="max", axis=0)
    return np.asarray(rank / len(values), dtype=np.float64)


@jit
def _peri_event(ticks, row_start, row_size, event, cell, first, width, rows, out):  # type: ignore[no-untyped-def]
    length = width * out.shape[2]
    for u in range(row_start.size):
        train = ticks[row_start[u] : row_start[u] + row_size[u]]
        low = 0
        for e in range(event.size):
            begin = event[e] + first
            if e == 0:
                low = np.searchsorted(train, max(begin, 0))
            while low < train.size and np.int64(train[low]) < begin:
                low += 1
            i = low
            while i < train.size:
                after = np.int64(train[i]) - begin
                if after >= length:
                    break
                out[rows[u], cell[e], after // width] += 1
                i += 1
