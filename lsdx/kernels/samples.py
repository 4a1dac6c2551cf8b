"""What is correlated of each cell: counts of windows that follow one another, or of trials."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lsdx.kernels.covariance import scaled
from lsdx.kernels.matching import n_observed_bins
from lsdx.kernels.resampling import shift_circularly, stream_keys

LEAST_WINDOWS, LEAST_TRIALS, LEAST_STIMULI = 10, 10, 3


@dataclass(frozen=True)
class Options:
    """What is correlated, and how; `lsdx.analysis.coupling` says what each means."""

    kind: str
    window: int  # bins
    bin_width: float
    match_rates: bool
    draws: int
    n_shifts: int
    min_units: int
    seed: int
    within: bool = True
    across: bool = True
    cutoff: float | None = None  # in s; 0 for half of what was observed

    def n_slow(self, n_windows: int) -> int:
        """Return how many cosines have periods longer than the cutoff."""
        if self.cutoff is None or not n_windows:
            return 0
        seconds = n_windows * self.window * self.bin_width
        return max(math.ceil(2 * seconds / (self.cutoff or seconds / 2) - 1e-9) - 1, 0)


@dataclass(frozen=True)
class Trials:
    """Events of one session: cell, first bin and stimulus of each, in order of time."""

    cell: np.ndarray
    bin: np.ndarray
    stimulus: np.ndarray


def windows_of(counts: np.ndarray, length: int) -> np.ndarray:
    """Add up bins (n_units, n_bins) to windows of so many bins; what is left at the end goes.

    Examples
    --------
    >>> windows_of(np.array([[1, 2, 3, 4, 5]]), 2).tolist()
    [[3.0, 7.0]]
    """
    n = counts.shape[1] // length
    cut = counts[:, : n * length].reshape(len(counts), n, length)
    return np.asarray(cut.sum(axis=2, dtype=np.float64))


def trial_counts(counts: np.ndarray, first: np.ndarray, length: int) -> np.ndarray:
    """Add up so many bins of (n_units, n_bins) from the first bin of each trial on.

    Examples
    --------
    >>> trial_counts(np.array([[1, 2, 3, 4]]), np.array([0, 2]), 2).tolist()
    [[3.0, 7.0]]
    """
    total = np.zeros((len(counts), counts.shape[1] + 1))
    np.cumsum(counts, axis=1, dtype=np.float64, out=total[:, 1:])
    return np.asarray(total[:, first + length] - total[:, first])


def less_stimulus_means(x: np.ndarray, stimulus: np.ndarray) -> np.ndarray:
    """Take the mean over the repeats of each stimulus out of (n_units, n_trials).

    Examples
    --------
    >>> less_stimulus_means(np.array([[1.0, 3.0, 7.0]]), np.array([0, 0, 1])).tolist()
    [[-1.0, 1.0, 0.0]]
    """
    same = (stimulus == np.unique(stimulus)[:, None]).astype(np.float64)
    mean = (x @ same.T) / same.sum(axis=1)
    return np.asarray(x - mean @ same)


def halves_of_stimuli(x: np.ndarray, stimulus: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the means over odd and over even repeats of each stimulus: (n_units, n_stimuli).

    Examples
    --------
    >>> halves_of_stimuli(np.array([[1.0, 3.0, 5.0]]), np.zeros(3, dtype=int))
    (array([[3.]]), array([[3.]]))
    """
    same = stimulus == np.unique(stimulus)[:, None]
    odd = np.cumsum(same, axis=1) % 2 == 1
    means = []
    for mine in (same & odd, same & ~odd):
        weight = mine / mine.sum(axis=1, keepdims=True)
        means.append(x @ weight.T)
    return means[0], means[1]


@dataclass(frozen=True)
class Sample:
    """What is correlated in one cell: its windows, or the trials in it, by stimulus."""

    cell: int
    n_bins: int
    rate: np.ndarray  # spikes a bin, (n_units,)
    first: np.ndarray | None = None  # bin of each trial, stimulus by stimulus
    stimulus: np.ndarray | None = None
    length: int = 1
    halves: bool = False

    def rate_of(self, x: np.ndarray) -> np.ndarray:
        """Return the spikes a bin, in the trials where there are some."""
        if self.first is None:
            return np.asarray(x[:, : self.n_bins].mean(axis=1, dtype=np.float64))
        return np.asarray(trial_counts(x, self.first, self.length).mean(axis=1) / self.length)

    def normed(self, x: np.ndarray, options: Options) -> tuple[np.ndarray, np.ndarray]:
        """Return what is multiplied with what, (n_units, n_samples): of mean 0 and length 1."""
        if self.first is None or self.stimulus is None:
            y = windows_of(x[:, : self.n_bins], options.window)
            one = _unit_length(y, options.n_slow(y.shape[1]))
            return one, one
        y = trial_counts(x, self.first, self.length)
        if self.halves:
            a, b = halves_of_stimuli(y, self.stimulus)
            return _unit_length(a), _unit_length(b)
        one = _unit_length(less_stimulus_means(y, self.stimulus))
        return one, one

    def shifted(self, y: np.ndarray, keys: np.ndarray, path: tuple[int, ...]) -> np.ndarray:
        """Shift windows, stimuli, or the trials of each stimulus of each unit, by its own lag."""
        if self.stimulus is None or self.halves:
            return shift_circularly(y, stream_keys(keys, *path))
        edges = np.flatnonzero(np.diff(self.stimulus)) + 1
        parts = np.split(y, edges, axis=1)
        moved = [shift_circularly(p, stream_keys(keys, *path, i)) for i, p in enumerate(parts)]
        return np.concatenate(moved, axis=1)


def _unit_length(x: np.ndarray, n_slow: int = 0) -> np.ndarray:
    return np.asarray(scaled(x.T, n_slow=n_slow).T / np.sqrt(x.shape[1] - 1 - n_slow))


def samples_of_cells(
    rows: np.ndarray,
    cells: np.ndarray,
    trials: Trials | None,
    options: Options,
    note: np.ndarray,
) -> list[Sample]:
    """Return what there is to correlate in each cell.

    Parameters
    ----------
    rows : ndarray (n_units, n_cells, n_bins)
        Counts of units that are used.
    cells : ndarray of bool (n_cells,)
    trials : Trials, optional
        For ``"noise"`` and ``"signal"``.
    options : Options
    note : ndarray of object (..., n_cells)
        Is told where there is too little, and why.
    """
    found = []
    for c in np.flatnonzero(cells):
        length = n_observed_bins(rows[:, c]) if len(rows) else 0
        if length < 1:
            note[..., c] = "not observed for all units" if len(rows) else "no unit used"
            continue
        if options.kind == "total":
            n = length // options.window
            if n - options.n_slow(n) < LEAST_WINDOWS:
                note[..., c] = f"fewer than {LEAST_WINDOWS} windows more than slow cosines"
                continue
            rate = rows[:, c, :length].mean(axis=1, dtype=np.float64)
            found.append(Sample(int(c), length, rate))
            continue
        sample, why = _trials_of_cell(rows[:, c, :length], int(c), trials, options)
        note[..., c] = why
        if sample is not None:
            found.append(sample)
    return found


def _trials_of_cell(
    x: np.ndarray, cell: int, trials: Trials | None, options: Options
) -> tuple[Sample | None, str]:
    if trials is None:
        return None, "no events"
    mine = (trials.cell == cell) & (trials.bin >= 0)
    mine &= trials.bin + options.window <= x.shape[1]
    _, code, size = np.unique(trials.stimulus[mine], return_inverse=True, return_counts=True)
    repeated = size[code] >= 2 if code.size else np.zeros(0, dtype=bool)
    if not mine.any():
        return None, "no events"
    n_stimuli = int((size >= 2).sum())
    if repeated.sum() - n_stimuli * (options.kind == "noise") < LEAST_TRIALS:
        words = ", less one a stimulus" if options.kind == "noise" else ""
        return None, f"fewer than {LEAST_TRIALS} trials of repeated stimuli{words}"
    if options.kind == "signal" and n_stimuli < LEAST_STIMULI:
        return None, f"{n_stimuli} repeated stimuli, fewer than {LEAST_STIMULI}"
    order = np.argsort(code[repeated], kind="stable")
    first, stimulus = trials.bin[mine][repeated][order], code[repeated][order]
    rate = trial_counts(x, first, options.window).mean(axis=1) / options.window
    halves = options.kind == "signal"
    return Sample(cell, x.shape[1], rate, first, stimulus, options.window, halves), ""
