"""Reduced-rank regression of time series: several targets through few dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lsdx.kernels.folds import Folds
from lsdx.kernels.regression import (
    PENALTIES,
    FittedAxes,
    Learned,
    Sets,
    explained,
    in_sd,
    inverse_sd,
    learn,
    principal_axes,
    sets_of,
)


@dataclass(frozen=True)
class RankFit:
    """What reduced-rank regression gives in blocked folds, of q targets.

    ``r2`` (q,) of each target, at the rank that training bins choose; ``curve`` (q + 1,) and
    ``error`` the mean over blocks of R2 of all targets together, and its standard error, at each
    rank from 0; ``rank``;
    ``null`` (n_shifts, q); ``chosen`` (n_folds,) numbers of the penalties.
    """

    r2: np.ndarray
    curve: np.ndarray
    error: np.ndarray
    rank: int
    null: np.ndarray
    chosen: np.ndarray


def reduced_rank(
    x: np.ndarray,
    y: np.ndarray,
    folds: Folds,
    *,
    penalties: Sequence[float] | np.ndarray = PENALTIES,
    rank: int | None = None,
    shifts: np.ndarray | None = None,
) -> RankFit:
    """Predict several targets through few dimensions: ridge, then the SVD of what it fits.

    Parameters
    ----------
    x, y, folds, penalties, shifts
        As of `ridge`. Targets are z-scored by training bins, and share one penalty.
    rank : int, optional
        Dimensions of ``r2``. None: chosen for each block from the others alone, by the rule of
        one standard error.

    Returns
    -------
    RankFit
        ``rank`` is the smallest whose R2 is within one standard error (over blocks) of the best;
        0 where the training means predict as well.

    Notes
    -----
    Izenman 1975, J. Multivar. Anal. 5:248; the rule of Hastie, Tibshirani and Friedman 2009,
    section 7.10; as used for regions by Semedo et al. 2019, Neuron 102:249.

    Examples
    --------
    >>> from lsdx.kernels.folds import blocked_folds
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(600, 8))
    >>> y = x @ rng.normal(size=(8, 1)) @ rng.normal(size=(1, 6)) + rng.normal(size=(600, 6))
    >>> reduced_rank(x, y, blocked_folds(np.ones(600, dtype=bool), 5)).rank
    1
    """
    penalties = np.asarray(penalties, dtype=np.float64)
    y = in_sd(y)[0]
    sets = sets_of(folds)
    pairs = {k: principal_axes(x, rows) for k, rows in sets.pairs.items()}
    outer = [principal_axes(x, rows) for rows in sets.trains]
    own = _reduced(x, y, sets, (pairs, outer), penalties, rank)
    shifts = np.zeros(0, dtype=np.int64) if shifts is None else np.asarray(shifts)
    null = [
        _reduced(x, np.roll(y, s, axis=0), sets, (pairs, outer), penalties, rank)[0]
        for s in shifts.tolist()
    ]
    r2, curves, chosen = own
    best, error = _within_one_error(curves)
    told = np.array(null).reshape(shifts.size, y.shape[1])
    return RankFit(r2, curves.mean(axis=0), error, best if rank is None else rank, told, chosen)


def _within_one_error(curves: np.ndarray) -> tuple[int, np.ndarray]:
    """Return the smallest rank within one standard error of the best (n_folds, n_ranks)."""
    mean = curves.mean(axis=0)
    error = curves.std(axis=0, ddof=1) / np.sqrt(len(curves))
    best = int(mean.argmax())
    return int(np.argmax(mean >= mean[best] - error[best])), error


def _reduced(
    x: np.ndarray,
    y: np.ndarray,
    sets: Sets,
    axes: tuple[dict[tuple[int, int], FittedAxes], list[FittedAxes]],
    penalties: np.ndarray,
    rank: int | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n, q = len(sets.tests), y.shape[1]
    inner = np.full((n, n, penalties.size, q + 1), np.nan)
    for (a, b), of_pair in axes[0].items():
        learned = learn(of_pair, y)
        scale = inverse_sd(y[of_pair.rows])
        for f, j in ((a, b), (b, a)):
            rows = sets.inner[f, j]
            tested = (y[rows] - learned.mean) * scale
            scores = of_pair.scores(x[rows])
            for k, p in enumerate(penalties):
                inner[f, j, k] = _by_rank(learned, scores, tested, scale, p)[0]
    curves, sse, sst = np.zeros((n, q + 1)), np.zeros(q), np.zeros(q)
    chosen = np.zeros(n, dtype=np.int64)
    for f, of_rest in enumerate(axes[1]):
        others = np.delete(inner[f], f, axis=0)
        chosen[f] = k = int(others[:, :, -1].mean(axis=0).argmax())
        learned = learn(of_rest, y)
        scale, rows = inverse_sd(y[of_rest.rows]), sets.tests[f]
        tested = (y[rows] - learned.mean) * scale
        kept = _within_one_error(others[:, k])[0] if rank is None else rank
        curves[f], predicted = _by_rank(
            learned, of_rest.scores(x[rows]), tested, scale, penalties[k], kept
        )
        # in the targets' own units, so that full rank is ridge
        sse += np.sum((tested - predicted) ** 2, axis=0) * y[of_rest.rows].var(axis=0)
        sst += np.sum(tested**2, axis=0) * y[of_rest.rows].var(axis=0)
    return explained(sse, sst), curves, chosen


def _by_rank(
    learned: Learned,
    scores: np.ndarray,
    tested: np.ndarray,
    scale: np.ndarray,
    penalty: float,
    kept: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return R2 of all targets at each rank, and what is predicted at one of them."""
    weights = learned.weights(penalty) * scale
    fitted = weights.T @ (learned.axes.values[:, None] * weights)  # second moments
    turn = np.linalg.eigh(fitted)[1][:, ::-1]
    predicted, wanted = scores @ (weights @ turn), tested @ turn
    gained = np.cumsum(np.sum(predicted * (2 * wanted - predicted), axis=0))
    total = max(float(np.sum(tested**2)), 1e-300)
    found = predicted[:, :kept] @ turn[:, :kept].T
    return np.concatenate([[0.0], gained]) / total, found
