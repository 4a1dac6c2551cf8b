"""Decoding of labels from counts of trials: folds, permutations, learning curves, phases.

A trial is a row; ``code`` says which class each is of, from 0. Several codes of the same trials,
such as permutations, are rows of ``codes`` (n_codes, n_trials), and share one factorisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lsdx.kernels.discriminants import balanced_accuracy, predict, weights
from lsdx.kernels.events import peri_event_counts
from lsdx.kernels.folds import blocked_folds
from lsdx.kernels.resampling import stream_keys
from lsdx.kernels.trains import Trains


@dataclass(frozen=True)
class Options:
    """How labels are decoded; `lsdx.analysis.decoding.decode` says what each means."""

    n_classes: int
    n_folds: int
    n_blocks: int
    n_permutations: int
    sizes: tuple[int, ...]
    draws: int
    min_units: int
    min_trials: int
    seed: int


def event_counts(
    trains: Trains,
    session: np.ndarray,
    last: np.ndarray,
    start: dict[int, np.ndarray],
    window: tuple[int, int],
    n_events: int,
) -> np.ndarray:
    """Count the spikes of the units of one session in a window after each event.

    Parameters
    ----------
    trains : Trains
        In ticks, uint32.
    session : ndarray of int (n_units,)
        The number of their session.
    last : ndarray of int64 (n_units,)
        Ticks until which each was recorded.
    start : dict of int to ndarray of int64
        Ticks of the events of each session, in order.
    window : tuple of int
        Ticks from the event, half-open.
    n_events : int
        Of the session that has most.

    Returns
    -------
    ndarray of float32 (n_units, n_events)
        NaN after the last event of the session, and where the window was not recorded.

    Examples
    --------
    >>> train = Trains(np.array([9, 10, 14, 15], dtype=np.uint32), np.array([0]), np.array([4]))
    >>> one, last = np.zeros(1, dtype=int), np.array([20])
    >>> event_counts(train, one, last, {0: np.array([10, 18])}, (0, 5), 3).tolist()
    [[2.0, nan, nan]]
    """
    out = np.full((session.size, n_events), np.nan, dtype=np.float32)
    mine = start.get(int(session[0]), np.empty(0, dtype=np.int64))
    if mine.size:
        low, high = window
        shape = (session.size, mine.size, 1)
        cell = np.arange(mine.size)
        counts = peri_event_counts(trains, mine, cell, first=low, width=high - low, shape=shape)
        seen = (mine + low >= 0) & (mine + high <= last[:, None])
        out[:, : mine.size] = np.where(seen, counts[..., 0], np.nan)
    return out


def permuted_within(code: np.ndarray, block: np.ndarray, n: int, seed: list[int]) -> np.ndarray:
    """Return codes whose classes are permuted among the trials of each block.

    Parameters
    ----------
    code, block : ndarray of int (n_trials,)
        Blocks are numbered in order.
    n : int
        Permutations.
    seed : list of int

    Returns
    -------
    ndarray of int (n, n_trials)

    Examples
    --------
    >>> permuted_within(np.array([0, 1, 2, 2]), np.array([0, 0, 1, 1]), 1, [0])[0, 2:].tolist()
    [2, 2]
    """
    place = np.random.default_rng(seed).random((n, code.size)) + block
    return np.asarray(code[np.argsort(place, axis=1)])


def cross_validated(x: np.ndarray, codes: np.ndarray, n_folds: int, n_classes: int) -> np.ndarray:
    """Return the balanced accuracy of trials that are left out in contiguous blocks of time.

    Parameters
    ----------
    x : ndarray (n_trials, n_units)
        In order of time.
    codes : ndarray of int (n_codes, n_trials)
    n_folds, n_classes : int

    Returns
    -------
    ndarray of float64 (n_codes,)

    Examples
    --------
    >>> x = np.tile([[0.0], [3.0]], (20, 1)) + np.random.default_rng(0).normal(size=(40, 1)) / 9
    >>> cross_validated(x, np.tile([0, 1], 20)[None], 5, 2).tolist()
    [1.0]
    """
    predicted = np.empty(codes.shape, dtype=np.int64)
    folds = blocked_folds(np.ones(len(x), dtype=bool), n_folds)
    for i in range(n_folds):
        train, test = folds.train(i), folds.test(i)
        predicted[:, test] = predict(x[train], codes[:, train], x[test], n_classes)
    return balanced_accuracy(codes, predicted, n_classes)


def accuracy_and_null(
    x: np.ndarray, code: np.ndarray, options: Options, seed: list[int]
) -> tuple[float, np.ndarray]:
    """Return the accuracy of one phase, and those of labels permuted within blocks of trials.

    Parameters
    ----------
    x : ndarray (n_trials, n_units)
    code : ndarray of int (n_trials,)
    options : Options
    seed : list of int

    Returns
    -------
    accuracy : float
    null : ndarray of float64 (n_permutations,)
    """
    block = blocked_folds(np.ones(code.size, dtype=bool), options.n_blocks).block
    drawn = permuted_within(code, block, options.n_permutations, seed)
    found = cross_validated(x, np.vstack([code, drawn]), options.n_folds, options.n_classes)
    return float(found[0]), found[1:]


def between_phases(
    parts: list[tuple[np.ndarray, np.ndarray]], n_folds: int, n_classes: int
) -> np.ndarray:
    """Return the accuracy of each phase's trials by what is learned in each phase.

    Of each phase as many trials count as the shortest one has, from its start: in each fold a
    block of the one phase is left out of what is learned, and the same block of the other is
    tested.

    Parameters
    ----------
    parts : list of tuple
        Counts (n_trials, n_units) and codes (n_trials,) of each phase.
    n_folds, n_classes : int

    Returns
    -------
    ndarray of float64 (n_phases, n_phases)
        By phase learned, and phase tested; NaN where a class is then missing.
    """
    out = np.full((len(parts), len(parts)), np.nan)
    n = min((len(code) for _, code in parts), default=0)
    folds = blocked_folds(np.ones(n, dtype=bool), n_folds)
    short = [(x[:n], code[:n]) for x, code in parts]
    usable = [learnable(code, n_folds, n_classes) for _, code in short]
    for i in np.flatnonzero(usable):
        predicted = np.zeros((len(parts), n), dtype=np.int64)
        for f in range(n_folds):
            train, test = folds.train(f), folds.test(f)
            others = np.concatenate([x[test] for x, _ in short])
            found = predict(short[i][0][train], short[i][1][None, train], others, n_classes)
            predicted[:, test] = found.reshape(len(parts), test.size)
        for j in np.flatnonzero(usable):
            out[i, j] = balanced_accuracy(short[j][1][None], predicted[j, None], n_classes)[0]
    return out


def learnable(code: np.ndarray, n_folds: int, n_classes: int) -> bool:
    """Return whether each class is among what is learned, whichever fold is left out.

    Examples
    --------
    >>> learnable(np.array([0, 1, 0, 1]), 2, 2), learnable(np.array([0, 0, 1, 1]), 2, 2)
    (True, False)
    """
    fold = blocked_folds(np.ones(code.size, dtype=bool), n_folds).block
    return all(len(set(fold[code == c].tolist())) > 1 for c in range(n_classes))


def decode_group(
    counts: np.ndarray,
    units: np.ndarray,
    cells: np.ndarray,
    keys: np.ndarray,
    session: int,
    code: np.ndarray,
    phase: np.ndarray,
    phases: tuple[int, ...],
    options: Options,
) -> dict[str, Any]:
    """Decode the labels of one session's trials from the counts of one group of units.

    Parameters
    ----------
    counts : ndarray (n_units, 1, n_most)
        Of each trial, NaN where it was not recorded.
    units, cells : ndarray of bool
        As `lsdx.analysis.grouping.map_groups` gives them.
    keys : ndarray of uint64 (n_units,)
        Of the random numbers of units.
    session : int
        Of those of the session.
    code, phase : ndarray of int (n_trials,)
        Class and phase of each trial, in order of time.
    phases : tuple of int
        What ``phase`` is counted by.
    options : Options

    Returns
    -------
    dict
        ``accuracy``, ``p``, ``null_mean``, ``accuracy_z``, ``n_trials``, ``note`` (n_phases,);
        ``curve`` (n_phases, n_sizes), ``cross_accuracy`` (n_phases, n_phases), ``weights``
        (n_units, n_phases), ``n_units``.
    """
    k, n_phases = options.n_classes, len(phases)
    out: dict[str, Any] = {
        n: np.full(n_phases, np.nan) for n in ("accuracy", "p", "null_mean", "accuracy_z")
    } | {
        "n_trials": np.zeros(n_phases),
        "note": np.full(n_phases, "", dtype=object),
        "curve": np.full((n_phases, len(options.sizes)), np.nan),
        "cross_accuracy": np.full((n_phases, n_phases), np.nan),
        "weights": np.full((len(counts), n_phases), np.nan),
    }
    x = counts[:, 0, : code.size].T
    recorded = units & np.isfinite(x).any(axis=0)
    seen = np.isfinite(x[:, recorded]).all(axis=1) & recorded.any() & cells.all()
    varied = np.zeros(recorded.size, dtype=bool)
    if seen.any():
        varied[recorded] = np.ptp(x[seen][:, recorded], axis=0) > 0
    out["n_units"] = int(varied.sum())
    chosen = np.flatnonzero(varied)
    parts: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for i, of_phase in enumerate(phases):
        rows = np.flatnonzero(seen & (phase == of_phase))
        out["n_trials"][i] = rows.size
        out["note"][i] = _too_few(code[rows], chosen.size, options)
        if not out["note"][i]:
            parts[i] = x[np.ix_(rows, chosen)].astype(np.float64), code[rows]
    for i, (mine, labels) in parts.items():
        seed = [options.seed, session, phases[i]]
        accuracy, null = accuracy_and_null(mine, labels, options, seed)
        out["accuracy"][i] = accuracy
        if null.size:
            out["p"][i] = (1 + (null >= accuracy - 1e-12).sum()) / (null.size + 1)
            out["null_mean"][i] = null.mean()
        if null.size > 1 and null.std() > 0:
            out["accuracy_z"][i] = (accuracy - null.mean()) / null.std(ddof=1)
        out["curve"][i] = _curve(mine, labels, keys[chosen], options)
        if k == 2:
            out["weights"][chosen, i] = weights(mine, labels)
    index = list(parts)
    found = between_phases(list(parts.values()), options.n_folds, k)
    out["cross_accuracy"][np.ix_(index, index)] = found
    return out


def _curve(x: np.ndarray, code: np.ndarray, keys: np.ndarray, options: Options) -> np.ndarray:
    """Return the mean accuracy of so many units over draws; the smaller are among the larger."""
    out = np.full((options.draws, len(options.sizes)), np.nan)
    for d in range(options.draws):
        order = np.argsort(stream_keys(keys, options.seed, d), kind="stable")
        for s, size in enumerate(options.sizes):
            if size <= order.size:
                mine = x[:, order[:size]]
                out[d, s] = cross_validated(mine, code[None], options.n_folds, options.n_classes)[0]
    return np.asarray(out.mean(axis=0))


def _too_few(code: np.ndarray, n_units: int, options: Options) -> str:
    """Say why a phase cannot be decoded."""
    number = np.bincount(code, minlength=options.n_classes)
    if not code.size:
        return "no events"
    if n_units < options.min_units:
        return f"{n_units} units, fewer than min_units={options.min_units}"
    if (number > 0).sum() < 2:
        return "one label alone"
    if number.min() < options.min_trials:
        return f"{number.min()} trials of a label, fewer than min_trials={options.min_trials}"
    if code.size < 2 * options.n_blocks:
        return f"{code.size} trials, fewer than two a block"
    if not learnable(code, options.n_folds, options.n_classes):
        return "a label in one fold alone"
    return ""
