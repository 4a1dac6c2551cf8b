"""Ridge regression of time series, cross-validated in contiguous folds.

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

    ``vectors`` (n_units, m) and ``values`` (m,), descending, of its correlation matrix.
    """

    mean: np.ndarray
    scale: np.ndarray
    vectors: np.ndarray
    values: np.ndarray

    def scores(self, x: np.ndarray) -> np.ndarray:
        """Return other bins (k, n_units) in these axes, (k, m)."""
        return np.asarray(((x - self.mean) * self.scale) @ self.vectors)


@dataclass(frozen=True)
class FittedAxes(Axes):
    """Axes with the bins ``rows`` that they are of, and these z-scored, ``z`` (n_bins, n_units)."""

    rows: np.ndarray
    z: np.ndarray


def principal_axes(x: np.ndarray, rows: np.ndarray) -> FittedAxes:
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
        values, vectors = _eigen(z.T @ z / n_bins)
    else:
        values, left = _eigen(z @ z.T / n_bins)
        vectors = z.T @ left / np.sqrt(values * n_bins)
    return FittedAxes(mean, scale, vectors, values, rows, z)


def _eigen(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues that are above 0, descending, and their vectors."""
    values, vectors = np.linalg.eigh(matrix)
    kept = values > 1e-10 * max(float(values[-1]), 1e-300)
    return values[kept][::-1], vectors[:, kept][:, ::-1]


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
    y, origin, spread = in_sd(y)
    sets = sets_of(folds)
    step = max(_BATCH // (n_bins * q), 1)
    batches = [shifts[i : i + step] for i in range(0, shifts.size, step)]
    # the null in single precision: its R2 are right to 1e-4
    tables = [np.zeros((folds.n, penalties.size, q))]
    tables += [np.zeros((folds.n, penalties.size, q * b.size), dtype=np.float32) for b in batches]
    twice = np.concatenate([y, y]).astype(np.float32) if shifts.size else np.empty((0, q))

    @functools.lru_cache(maxsize=1)
    def targets(i: int) -> np.ndarray:
        return np.concatenate([twice[n_bins - s : 2 * n_bins - s] for s in batches[i - 1]], axis=1)

    training = _Training(x, sets)
    x = training.x
    if penalties.size > 1:
        for a, b in sets.pairs:
            axes = training.axes(a, b)
            both = ((j, sets.inner[j, k]) for j, k in ((a, b), (b, a)))
            tested = [(j, axes.scores(x[inner]), inner) for j, inner in both]
            for i, table in enumerate(tables):
                own = targets(i) if i else y
                learned = training.learned(axes, own, i, a, b)
                for outer, scores, inner in tested:
                    test = _Test(learned, scores, own, inner)
                    table[outer] += test.errors_at(penalties)
    sse = [np.zeros(t.shape[2]) for t in tables]
    sst = [np.zeros(t.shape[2]) for t in tables]
    chosen = np.zeros((folds.n, q), dtype=np.int64)
    predicted = np.full((n_bins, q), np.nan)
    for f in range(folds.n):
        axes = training.axes(f)
        scores = axes.scores(x[sets.tests[f]])
        for i, table in enumerate(tables):
            best = table[f].argmin(axis=0)
            own = targets(i) if i else y
            test = _Test(training.learned(axes, own, i, f), scores, own, sets.tests[f])
            for k in np.unique(best):
                mine = best == k
                sse[i][mine] += test.errors(penalties[k], mine)
            sst[i] += test.about_mean
            if i == 0:
                chosen[f] = best
                predicted[sets.tests[f]] = test.predicted(penalties[best])
    r2 = [explained(a, b) for a, b in zip(sse, sst, strict=True)]
    null = np.concatenate(r2[1:]).reshape(shifts.size, q) if batches else np.empty((0, q))
    return RidgeFit(r2[0], null, chosen, predicted * spread + origin)


def in_sd(y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return targets about their mean in their sd, and both: R2 has neither scale nor origin."""
    origin, spread = y.mean(axis=0), y.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    return (y - origin) / spread, origin, spread


def fit_weights(axes: FittedAxes, y: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """Return ridge weights (n_units, q): sd of a target for one sd of a unit, in the axes' bins.

    ``penalty`` (q,); 0 for targets that are constant.
    """
    weights = axes.vectors @ learn(axes, y).weights(penalty)
    return np.asarray(weights * inverse_sd(y[axes.rows]))


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
    sets, tests = sets_of(folds), sets_of(blocks).tests
    predicted, mean = np.empty(len(other)), np.empty(len(other))
    for i, rows in enumerate(tests):
        axes = principal_axes(x, sets.trains[i])
        learned = learn(axes, y)
        mean[rows] = learned.mean[0]
        predicted[rows] = (
            mean[rows] + (axes.scores(other[rows]) @ learned.weights(penalty[i]))[:, 0]
        )
    return predicted, mean


def explained(sse: np.ndarray, sst: np.ndarray) -> np.ndarray:
    """Return 1 - SSE / SST, NaN where nothing varies."""
    varies = sst > 1e-12
    return np.where(varies, 1 - sse / np.where(varies, sst, 1), np.nan)


@dataclass(frozen=True)
class Sets:
    """Rows of the observed bins: of each block, of the rest, of what two blocks leave."""

    tests: list[np.ndarray]
    trains: list[np.ndarray]
    pairs: dict[tuple[int, int], np.ndarray]
    inner: dict[tuple[int, int], np.ndarray]  # of the second block, beyond the gap of the first


def sets_of(folds: Folds) -> Sets:
    """Return the sets of bins of folds."""
    place = np.cumsum(folds.block >= 0) - 1
    every = range(folds.n)
    return Sets(
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


@dataclass(frozen=True)
class Learned:
    """What training bins say of the targets: means (q,), products with the axes (m, q)."""

    axes: Axes
    mean: np.ndarray
    products: np.ndarray

    def weights(self, penalty: float | np.ndarray, mine: Any = slice(None)) -> np.ndarray:
        """Return weights of the axes (m, q) at one penalty, or one for each target."""
        shrink = 1 / (self.axes.values[:, None] + np.atleast_1d(penalty))
        return np.asarray(self.products[:, mine] * shrink.astype(self.products.dtype))


def learn(axes: FittedAxes, y: np.ndarray) -> Learned:
    """Return what the axes' bins say of targets (n_bins, q)."""
    kind, own = y.dtype, y[axes.rows]
    mean = own.mean(axis=0, dtype=np.float64).astype(kind)
    # z has mean 0: the targets' means change nothing
    products = axes.vectors.T.astype(kind) @ (axes.z.T.astype(kind) @ own)
    return Learned(axes, mean, products / kind.type(axes.rows.size))


def _products(x: np.ndarray, y: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return sums of targets, and of their products with the units, over some bins."""
    at: Any = rows
    if rows.size and rows[-1] - rows[0] + 1 == rows.size:  # they follow one another: no copy
        at = slice(int(rows[0]), int(rows[-1]) + 1)
    return y[at].sum(axis=0, dtype=np.float64).astype(y.dtype), x[at].T @ y[at]


class _Training:
    """The bins that are learned from when one or two blocks are left out, as sums over bins.

    Sums over what is learned are those over all bins less those over the bins near each block:
    each bin is multiplied once, not once for each training set. With fewer bins than units it is
    quicker to multiply them.
    """

    def __init__(self, x: np.ndarray, sets: Sets) -> None:
        self.x = x - x.mean(axis=0)
        self.sets = sets
        n_bins, n = len(x), len(sets.trains)
        every = np.arange(n_bins)
        near = [np.setdiff1d(every, rows) for rows in sets.trains]
        self.parts: dict[tuple[int, ...], np.ndarray] = {(): every}
        for i in range(n):
            self.parts[i,] = near[i]
            self.parts.update({(i, j): np.intersect1d(near[i], near[j]) for j in range(i)})
        fewest = min(rows.size for rows in sets.pairs.values())
        self.as_sums = x.shape[1] <= fewest
        self.own = (
            {k: _products(self.x, self.x, r) for k, r in self.parts.items()} if self.as_sums else {}
        )
        self.of_targets: dict[int, dict[tuple[int, ...], tuple[np.ndarray, np.ndarray]]] = {}

    def _left(self, sums: Any, out: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Return the sums over what is learned if blocks are left out."""
        total, products = (v.copy() for v in sums[()])
        for i in out:
            total -= sums[i,][0]
            products -= sums[i,][1]
        if len(out) == 2:
            total += sums[max(out), min(out)][0]
            products += sums[max(out), min(out)][1]
        return total, products

    def rows(self, *out: int) -> np.ndarray:
        """Return the bins that are learned from."""
        return self.sets.trains[out[0]] if len(out) == 1 else self.sets.pairs[out[0], out[1]]

    def axes(self, *out: int) -> Axes:
        """Return the principal axes."""
        if not self.as_sums:
            return principal_axes(self.x, self.rows(*out))
        n = self.rows(*out).size
        total, products = self._left(self.own, out)
        mean = total / n
        covariance = products / n - np.outer(mean, mean)
        variance, most = np.diagonal(covariance), np.diagonal(self.own[()][1]) / len(self.x)
        varies = variance > 1e-10 * most
        scale = np.where(varies, 1 / np.sqrt(np.where(varies, variance, 1)), 0.0)
        values, vectors = _eigen(covariance * scale * scale[:, None])
        return Axes(mean, scale, vectors, values)

    def learned(self, axes: Axes, y: np.ndarray, batch: int, *out: int) -> Learned:
        """Return what is learned of targets; ``batch`` is the number of these."""
        if isinstance(axes, FittedAxes):
            return learn(axes, y)
        if batch not in self.of_targets:
            x = self.x.astype(y.dtype, copy=False)
            self.of_targets[batch] = {k: _products(x, y, r) for k, r in self.parts.items()}
        n, kind = self.rows(*out).size, y.dtype
        total, products = self._left(self.of_targets[batch], out)
        products -= np.outer(axes.mean.astype(kind), total)
        weighted = (axes.vectors * axes.scale[:, None]).T.astype(kind) @ products
        return Learned(axes, total / kind.type(n), weighted / kind.type(n))


class _Test:
    """One block tested: errors of all targets at a penalty."""

    def __init__(
        self, learned: Learned, scores: np.ndarray, y: np.ndarray, rows: np.ndarray
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
        length = np.linalg.norm(shrink, axis=0)
        u, size, vt = np.linalg.svd(shrink / length, full_matrices=False)
        kept = size > (1e-13 if kind == np.float64 else 1e-4) * size[0]
        mix = (size[kept, None] * vt[kept] * length).astype(kind)
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


def inverse_sd(y: np.ndarray) -> np.ndarray:
    """Return one over the sd of each target, 0 where it is constant."""
    sd = y.std(axis=0)
    return np.where(sd > 0, 1 / np.where(sd > 0, sd, 1), 0.0)
