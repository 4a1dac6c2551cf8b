"""Spikes around events: histograms, and how far a response stands out of its baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lsdx.kernels.compile import jit
from lsdx.kernels.trains import Trains


@dataclass(frozen=True)
class Bins:
    """Which bins, counted from the event: those shown, the baseline's, the response's.

    Parameters
    ----------
    width : int
        Ticks.
    second : int
        Ticks a second.
    window, baseline, response : ndarray of int
        Each a range of successive bins.
    """

    width: int
    second: int
    window: np.ndarray
    baseline: np.ndarray
    response: np.ndarray


@dataclass(frozen=True)
class Events:
    """Events of one session, in order of time.

    Parameters
    ----------
    start, cell, phase : ndarray of int64 (n_events,)
        Ticks; to which cell each belongs, such as the side of a stimulus; a number of its phase.
    """

    start: np.ndarray
    cell: np.ndarray
    phase: np.ndarray

    def until(self, last: int) -> Events:
        """Return the events from tick 0 to ``last``: those that the recording holds."""
        seen = (self.start >= 0) & (self.start <= last)
        return Events(self.start[seen], self.cell[seen], self.phase[seen])


@dataclass(frozen=True)
class Design:
    """Which events and bins responses are made of, the same for all units.

    Parameters
    ----------
    events : mapping of int to Events
        By number of session.
    bins : Bins
    n_cells, n_shifts, seed : int
    """

    events: Mapping[int, Events]
    bins: Bins
    n_cells: int
    n_shifts: int
    seed: int

    def seen(self, session: int, last: int) -> Events:
        """Return the events of a session until tick ``last``; none of a session without."""
        none = np.empty(0, dtype=np.int64)
        return self.events.get(session, Events(none, none, none)).until(last)

    def count(self, session: int, last: int) -> np.ndarray:
        """Count the events (n_cells,) of a session until tick ``last``."""
        return np.bincount(self.seen(session, last).cell, minlength=self.n_cells)

    def count_movable(self, session: int, last: int) -> np.ndarray:
        """Count the events (n_cells,) that can be moved, since their phase lasts a while."""
        events = self.seen(session, last)
        longer = np.zeros(events.start.size, dtype=bool)
        for phase in np.unique(events.phase):
            mine = events.phase == phase
            longer[mine] = np.ptp(events.start[mine]) > 0
        return np.bincount(events.cell[longer], minlength=self.n_cells)


def responses(
    trains: Trains, row: np.ndarray, session: np.ndarray, last: np.ndarray, design: Design
) -> np.ndarray:
    """Return histograms, responses and their p around the events of one session.

    Parameters
    ----------
    trains : Trains
        Of units of one session, in ticks.
    row : ndarray of int (n_units,)
        Units of the same number are pooled; those below 0 are left out.
    session : ndarray of int (n_units,)
        The number of their session.
    last : ndarray of int (n_units,)
        Ticks until which events count.
    design : Design

    Returns
    -------
    ndarray of float64 (n_units, n_cells, 2 * n_bins + 4)
        Hz and z of the bins shown, largest ``|z|``, change of the rate, p and corrected p; where
        units are pooled, at the first of them. NaN elsewhere.
    """
    n = len(design.bins.window)
    out = np.full((len(row), design.n_cells, 2 * n + 4), np.nan)
    for end in np.unique(last):  # insertions end at their own times
        events = design.seen(int(session[0]), int(end))
        chosen = np.flatnonzero((row >= 0) & (last == end))
        if chosen.size and events.start.size:
            first, mine = np.unique(row[chosen], return_index=True, return_inverse=True)[1:]
            found = _responses(trains.of_units(chosen), mine, events, design, int(session[0]))
            out[chosen[first]] = found
    return out


def peri_event_counts(
    trains: Trains,
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
    trains : Trains
        In ticks, uint32.
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
    >>> train = Trains(np.array([95, 103, 205], dtype=np.uint32), np.array([0]), np.array([3]))
    >>> event, cell = np.array([100, 200]), np.array([0, 0])
    >>> peri_event_counts(train, event, cell, first=-10, width=10, shape=(1, 1, 2)).tolist()
    [[[1, 2]]]
    """
    out = np.zeros(shape, dtype=np.int64)
    rows = np.arange(trains.row_start.size) if row is None else row
    _peri_event(trains, event, cell, first, width, rows, out)
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


def _responses(
    trains: Trains, row: np.ndarray, events: Events, design: Design, session: int
) -> np.ndarray:
    """Return what `responses` does, of each row that the units make."""
    bins = design.bins
    n, n_rows = len(bins.window), int(row.max()) + 1
    out = np.full((n_rows, design.n_cells, 2 * n + 4), np.nan)
    every = np.arange(*_reach(bins.window, bins.baseline, bins.response))
    options: dict[str, Any] = {"width": bins.width, "row": row}

    def histogram(e: Events, chosen: np.ndarray) -> np.ndarray:
        shape = (n_rows, design.n_cells, len(chosen))
        options["first"] = int(chosen[0]) * bins.width
        return peri_event_counts(trains, e.start, e.cell, shape=shape, **options)

    counts = histogram(events, every)
    calm, answer = np.isin(every, bins.baseline), np.isin(every, bins.response)
    z, shown = baseline_z(counts, calm), np.isin(every, bins.window)
    number = np.bincount(events.cell, minlength=design.n_cells)
    seconds = np.where(number, number, np.nan) * (bins.width / bins.second)
    out[..., :n] = counts[..., shown] / seconds[:, None]
    out[..., n : 2 * n] = z[..., shown]
    # what lies between the two is counted, and left out
    tested = np.arange(*_reach(bins.baseline, bins.response))
    before, after = np.isin(tested, bins.baseline), np.isin(tested, bins.response)

    def statistics(e: Events) -> np.ndarray:
        return response_statistics(histogram(e, tested), before, after)

    observed = statistics(events)
    out[..., 2 * n] = observed[..., 0]
    change = counts[..., answer].mean(axis=-1) - counts[..., calm].mean(axis=-1)
    out[..., 2 * n + 1] = change / seconds
    if design.n_shifts:
        draws = np.empty((design.n_shifts + 1, *observed.shape), dtype=np.float32)
        draws[0] = observed
        for i, moved in enumerate(_moved(events, design, session), 1):
            draws[i] = statistics(moved)
        out[..., 2 * n + 2], out[..., 2 * n + 3] = combined_p(draws)
    return out


def _reach(*bins: np.ndarray) -> tuple[int, int]:
    return min(int(b[0]) for b in bins), max(int(b[-1]) for b in bins) + 1


def _moved(events: Events, design: Design, session: int) -> Iterator[Events]:
    """Move the events of each phase: stretched a little, and shifted circularly.

    Regular events that are only shifted meet themselves. Stretched by one to three of their
    intervals over all, up or down, they lose their places, and keep their rhythm so nearly that
    a unit of a rhythm of its own does not take them for others.
    """
    phases = [np.flatnonzero(events.phase == f) for f in np.unique(events.phase)]
    streams = [
        np.random.default_rng([design.seed, session, int(events.phase[w[0]])]) for w in phases
    ]
    for _ in range(design.n_shifts):
        start = events.start.copy()
        for which, rng in zip(phases, streams, strict=True):
            mine, n = events.start[which], len(which)
            # as long again as between two events, before the first comes back
            span = (mine[-1] - mine[0]) * n // max(n - 1, 1) + 1
            intervals = rng.uniform(1, 3) * rng.choice([-1, 1])
            stretched = (mine - mine[0]) * (1 + intervals / max(n, 12))
            place = np.rint(stretched + rng.random() * span).astype(np.int64)
            start[which] = mine[0] + place % span
        order = np.argsort(start, kind="stable")
        yield Events(start[order], events.cell[order], events.phase[order])


def _share_reaching(values: np.ndarray) -> np.ndarray:
    """Return the share of values along the first axis that are at least as large as each."""
    import scipy.stats

    rank = scipy.stats.rankdata(-values, method="max", axis=0)
    return np.asarray(rank / len(values), dtype=np.float64)


@jit
def _peri_event(trains, event, cell, first, width, rows, out):  # type: ignore[no-untyped-def]
    ticks, row_start, row_size = trains
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
