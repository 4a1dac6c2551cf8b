"""Ridge and reduced-rank regression of time series, cross-validated in contiguous folds.

Everything a penalty, a rank, a shift of the targets can change is worked out in the principal
axes of each training set, which are found once.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lsdx.kernels.folds import Folds

PENALTIES = np.logspace(-3, 3, 10)  # times the number of bins
_BATCH = 8_000_000  # numbers of shifted targets held at once


@dataclass(frozen=True)
class Axes:
    """Principal axes of a training set (n_bins, n_units), z-scored by its own mean and sd.

    ``vectors`` (n_units, m) and ``values`` (m,), descending, of the correlation matrix of ``z``
    (n_bins, n_units), the z-scored bins ``rows``.
    """

    rows: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    vectors: np.ndarray
    values: np.ndarray
    z: np.ndarray

    def scores(self, x: np.ndarray) -> np.ndarray:
        """Return other bins (k, n_units) in these axes, (k, m)."""
        return np.asarray(((x - self.mean) * self.scale) @ self.vectors)


def principal_axes(x: np.ndarray, rows: np.ndarray) -> Axes:
    """Return the axes of some of the bins (n_bins, n_units); constant units have no weight.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(50, 3))
    >>> principal_axes(x, np.arange(40)).values.sum().round(6).item()
    3.0
    """
    own = x[rows]
    mean, sd = own.mean(axis=0), own.std(axis=0)
    varies = sd > 1e-9 * np.maximum(np.abs(mean), 1e-300)
    scale = np.where(varies, 1 / np.where(varies, sd, 1), 0.0)
    z = (own - mean) * scale
    n_bins, n_units = z.shape
    if n_units <= n_bins:
        values, vectors = np.linalg.eigh(z.T @ z / n_bins)
        kept = values > 1e-10 * max(float(values[-1]), 1e-300)
        values, vectors = values[kept][::-1], vectors[:, kept][:, ::-1]
    else:
        values, left = np.linalg.eigh(z @ z.T / n_bins)
        kept = values > 1e-10 * max(float(values[-1]), 1e-300)
        values, left = values[kept][::-1], left[:, kept][:, ::-1]
        vectors = z.T @ left / np.sqrt(values * n_bins)
    return Axes(rows, mean, scale, vectors, values, z)


@dataclass(frozen=True)
class RidgeFit:
    """What ridge regression gives in blocked folds, of q targets.

    ``r2`` (q,) held out, ``null`` (n_shifts, q) of shifted targets, ``chosen`` (n_folds, q)
    numbers of the penalties, ``predicted`` (n_bins, q) of held-out bins.
    """

    r2: np.ndarray
    null: np.ndarray
    chosen: np.ndarray
    predicted: np.ndarray


def ridge(
    x: np.ndarray,
    y: np.ndarray,
    folds: Folds,
    *,
    penalties: Sequence[float] | np.ndarray = PENALTIES,
    shifts: np.ndarray | None = None,
) -> RidgeFit:
    """Predict targets by ridge regression, each penalty chosen from training bins alone.

    Parameters
    ----------
    x : ndarray (n_bins, n_units)
        Predictors, of the bins that ``folds`` observed, in their order; finite.
    y : ndarray (n_bins, q)
        Targets of the same bins; finite.
    folds : Folds
        Blocks; for the penalty, each of the other blocks, as far as it lies beyond the gap, is
        predicted in turn from what is left.
    penalties : array_like (n_penalties,)
        In multiples of the number of training bins, for predictors with sd 1.
    shifts : ndarray of int (n_shifts,), optional
        By how many bins the targets are shifted circularly for the null.

    Returns
    -------
    RidgeFit
        ``r2 = 1 - SSE / SST``, both summed over all blocks, SST about the training means: it can
        be below 0. NaN for targets that are constant.

    Notes
    -----
    Hoerl and Kennard 1970, Technometrics 12:55. For white predictors and true R2 rho, least
    squares gives 1 - (1 - rho) (1 + n / (N - n - 1)) on average for n units and N training bins.

    Examples
    --------
    >>> from lsdx.kernels.folds import blocked_folds
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(500, 4))
    >>> y = x @ [[1.0], [0], [0], [0]] + rng.normal(size=(500, 1))
    >>> ridge(x, y, blocked_folds(np.ones(500, dtype=bool), 5, gap=5)).r2.round(1).tolist()
    [0.5]
    """
    penalties = np.asarray(penalties, dtype=np.float64)
    shifts = np.zeros(0, dtype=np.int64) if shifts is None else np.asarray(shifts)
    n_bins, q = y.shape
    y, origin, spread = _in_sd(y)
    sets = _sets(folds)
    step = max(_BATCH // (n_bins * q), 1)
    batches = [shifts[i : i + step] for i in range(0, shifts.size, step)]
    # the null in single precision: its errors are of the order of 1e-5
    tables = [np.zeros((folds.n, penalties.size, q))]
    tables += [np.zeros((folds.n, penalties.size, q * b.size), dtype=np.float32) for b in batches]
    twice = np.concatenate([y, y]).astype(np.float32) if shifts.size else np.empty((0, q))

    @functools.lru_cache(maxsize=1)
    def targets(i: int) -> np.ndarray:
        return np.concatenate([twice[n_bins - s : 2 * n_bins - s] for s in batches[i - 1]], axis=1)

    if penalties.size > 1:
        for (a, b), rows in sets.pairs.items():
            axes = principal_axes(x, rows)
            both = ((j, sets.inner[j, k]) for j, k in ((a, b), (b, a)))
            tested = [(j, axes.scores(x[inner]), inner) for j, inner in both]
            for i, table in enumerate(tables):
                own = targets(i) if i else y
                learned = _Learned(axes, own)
                for outer, scores, inner in tested:
                    test = _Test(learned, scores, own, inner)
                    table[outer] += test.errors_at(penalties)
    sse = [np.zeros(t.shape[2]) for t in tables]
    sst = [np.zeros(t.shape[2]) for t in tables]
    chosen = np.zeros((folds.n, q), dtype=np.int64)
    predicted = np.full((n_bins, q), np.nan)
    for f in range(folds.n):
        axes = principal_axes(x, sets.trains[f])
        scores = axes.scores(x[sets.tests[f]])
        for i, table in enumerate(tables):
            best = table[f].argmin(axis=0)
            own = targets(i) if i else y
            test = _Test(_Learned(axes, own), scores, own, sets.tests[f])
            for k in np.unique(best):
                mine = best == k
                sse[i][mine] += test.errors(penalties[k], mine)
            sst[i] += test.about_mean
            if i == 0:
                chosen[f] = best
                predicted[sets.tests[f]] = test.predicted(penalties[best])
    r2 = [_r2(a, b) for a, b in zip(sse, sst, strict=True)]
    null = np.concatenate(r2[1:]).reshape(shifts.size, q) if batches else np.empty((0, q))
    return RidgeFit(r2[0], null, chosen, predicted * spread + origin)


def _in_sd(y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return targets about their mean in their sd, and both: R2 has neither scale nor origin."""
    origin, spread = y.mean(axis=0), y.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    return (y - origin) / spread, origin, spread


def fit_weights(axes: Axes, y: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """Return ridge weights (n_units, q): sd of a target for one sd of a unit, in the axes' bins.

    ``penalty`` (q,); 0 for targets that are constant.
    """
    weights = axes.vectors @ _Learned(axes, y).weights(penalty)
    return np.asarray(weights * _scale(y[axes.rows]))


def predict_other(
    trained: tuple[np.ndarray, np.ndarray, Folds],
    tested: tuple[np.ndarray, Folds],
    penalty: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Predict one target of other bins by the models of each fold.

    Parameters
    ----------
    trained : tuple of x (n_bins, n_units), y (n_bins, 1), Folds
    tested : tuple of x (k, n_units), Folds
        Block ``i`` is predicted from what is trained without block ``i``: as much as within.
    penalty : ndarray (n_folds,)

    Returns
    -------
    predicted, mean : ndarray (k,)
        What is predicted, and the mean of the training bins.
    """
    (x, y, folds), (other, blocks) = trained, tested
    sets, tests = _sets(folds), _sets(blocks).tests
    predicted, mean = np.empty(len(other)), np.empty(len(other))
    for i, rows in enumerate(tests):
        axes = principal_axes(x, sets.trains[i])
        learned = _Learned(axes, y)
        mean[rows] = learned.mean[0]
        predicted[rows] = (
            mean[rows] + (axes.scores(other[rows]) @ learned.weights(penalty[i]))[:, 0]
        )
    return predicted, mean


def _r2(sse: np.ndarray, sst: np.ndarray) -> np.ndarray:
    varies = sst > 1e-12
    return np.where(varies, 1 - sse / np.where(varies, sst, 1), np.nan)


@dataclass(frozen=True)
class _Sets:
    tests: list[np.ndarray]
    trains: list[np.ndarray]
    pairs: dict[tuple[int, int], np.ndarray]
    inner: dict[tuple[int, int], np.ndarray]  # of the second block, beyond the gap of the first


def _sets(folds: Folds) -> _Sets:
    """Return rows of the observed bins: of each block, of the rest, of what two blocks leave."""
    place = np.cumsum(folds.block >= 0) - 1
    every = range(folds.n)
    return _Sets(
        [place[folds.test(i)] for i in every],
        [place[folds.train(i)] for i in every],
        {(i, j): place[folds.train(i, j)] for i in every for j in every if i < j},
        {
            (i, j): place[np.intersect1d(folds.test(j), folds.train(i))]
            for i in every
            for j in every
            if i != j
        },
    )


class _Learned:
    """What training bins say of the targets: their products with the axes, (m, q)."""

    def __init__(self, axes: Axes, y: np.ndarray) -> None:
        kind, own = y.dtype, y[axes.rows]
        self.axes = axes
        self.mean = own.mean(axis=0, dtype=np.float64).astype(kind)
        # z has mean 0: the targets' means change nothing
        products = axes.vectors.T.astype(kind) @ (axes.z.T.astype(kind) @ own)
        self.products = products / kind.type(axes.rows.size)

    def weights(self, penalty: float | np.ndarray, mine: Any = slice(None)) -> np.ndarray:
        """Return weights of the axes (m, q) at one penalty, or one for each target."""
        shrink = 1 / (self.axes.values[:, None] + np.atleast_1d(penalty))
        return np.asarray(self.products[:, mine] * shrink.astype(self.products.dtype))


class _Test:
    """One block tested: errors of all targets at a penalty."""

    def __init__(
        self, learned: _Learned, scores: np.ndarray, y: np.ndarray, rows: np.ndarray
    ) -> None:
        self.learned, self.scores = learned, scores.astype(y.dtype)
        self.tested = y[rows] - learned.mean
        self.about_mean = np.einsum("tq,tq->q", self.tested, self.tested)
        # fewer axes than bins: their products tell all
        self.small = scores.shape[1] < scores.shape[0]
        if self.small:
            self.inner = self.scores.T @ self.scores
            self.twice_cross = 2 * (self.scores.T @ self.tested)

    def errors(self, penalty: float, mine: Any = slice(None)) -> np.ndarray:
        """Return the sums of squared errors (q,)."""
        c = self.learned.weights(penalty, mine)
        if not self.small:
            left = self.tested[:, mine] - self.scores @ c
            return np.asarray(np.einsum("tq,tq->q", left, left))
        part = self.inner @ c - self.twice_cross[:, mine]
        return np.asarray(self.about_mean[mine] + np.einsum("mq,mq->q", c, part))

    def errors_at(self, penalties: np.ndarray) -> np.ndarray:
        """Return the errors at each penalty, (n_penalties, q).

        How weights depend on the penalty, 1 / (value + penalty), is smooth: few functions of the
        values give all penalties, and only these need products with the tested bins.
        """
        kind = self.scores.dtype
        shrink = 1 / (self.learned.axes.values[:, None] + penalties)
        u, size, vt = np.linalg.svd(shrink, full_matrices=False)
        kept = size > (1e-13 if kind == np.float64 else 1e-7) * size[0]
        mix = (size[kept, None] * vt[kept]).astype(kind)
        parts = [self.learned.products * f[:, None] for f in u[:, kept].T.astype(kind)]
        if self.small:
            seen = [self.inner @ part for part in parts]
            twice = [np.einsum("mq,mq->q", part, self.twice_cross) for part in parts]
        else:
            parts = seen = [self.scores @ part for part in parts]
            twice = [2 * np.einsum("tq,tq->q", part, self.tested) for part in parts]
        errors = self.about_mean - mix.T @ np.array(twice)
        for k, part in enumerate(parts):
            for i in range(k + 1):
                both = np.einsum("mq,mq->q", part, seen[i])
                errors += np.outer(mix[k] * mix[i] * (1 if i == k else 2), both)
        return np.asarray(errors)

    def predicted(self, penalty: np.ndarray) -> np.ndarray:
        """Return what is predicted of the block (k, q)."""
        return np.asarray(self.scores @ self.learned.weights(penalty) + self.learned.mean)


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
    y = _in_sd(y)[0]
    sets = _sets(folds)
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
    sets: _Sets,
    axes: tuple[dict[tuple[int, int], Axes], list[Axes]],
    penalties: np.ndarray,
    rank: int | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n, q = len(sets.tests), y.shape[1]
    inner = np.full((n, n, penalties.size, q + 1), np.nan)
    for (a, b), of_pair in axes[0].items():
        learned = _Learned(of_pair, y)
        scale = _scale(y[of_pair.rows])
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
        learned = _Learned(of_rest, y)
        scale, rows = _scale(y[of_rest.rows]), sets.tests[f]
        tested = (y[rows] - learned.mean) * scale
        kept = _within_one_error(others[:, k])[0] if rank is None else rank
        curves[f], predicted = _by_rank(
            learned, of_rest.scores(x[rows]), tested, scale, penalties[k], kept
        )
        # in the targets' own units, so that full rank is ridge
        sse += np.sum((tested - predicted) ** 2, axis=0) * y[of_rest.rows].var(axis=0)
        sst += np.sum(tested**2, axis=0) * y[of_rest.rows].var(axis=0)
    return _r2(sse, sst), curves, chosen


def _scale(y: np.ndarray) -> np.ndarray:
    sd = y.std(axis=0)
    return np.where(sd > 0, 1 / np.where(sd > 0, sd, 1), 0.0)


def _by_rank(
    learned: _Learned,
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
