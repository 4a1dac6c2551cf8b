"""What one group of units says of behaviour, in each phase and epoch, and across two phases.

Counts are (n_units, n_cells, n_bins), behaviour (n_features, n_cells, n_bins).
`lsdx.analysis.prediction` says what the arguments mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lsdx.errors import ArgumentError, located
from lsdx.kernels.folds import Folds, blocked_folds
from lsdx.kernels.reduced_rank import reduced_rank
from lsdx.kernels.regression import (
    FittedAxes,
    RidgeFit,
    fit_weights,
    predict_other,
    principal_axes,
    ridge,
)
from lsdx.kernels.resampling import stream_keys

LEAST_SHIFT = 30.0  # s
_CHOICE = 0
ALPHA = 0.05  # of a first dimension
LEAST_SHIFTS = 19  # which can tell so much
_SHORT = "no p: too short to be shifted"
FEW_SHIFTS = "rank not tested: fewer than 19 shifts"
SCALARS = ("r2", "p", "r2_z", "r2_null")


@dataclass(frozen=True)
class Options:
    """What is predicted of each group, and how; times are in bins."""

    method: str  # "ridge", "reduced_rank" or "estimator"
    encode: bool
    rank: int | None
    penalties: tuple[float, ...]
    n_folds: int
    gap: int
    lags: tuple[int, ...]
    n_shifts: int
    least_shift: int
    min_units: int
    seed: int
    n_features: int
    pairs: tuple[tuple[int, int], ...] = ()  # cells that are compared across phases
    make: Callable[[], Any] | None = None  # a new estimator of scikit-learn's form


def predict_group(
    counts: np.ndarray,
    units: np.ndarray,
    cells: np.ndarray,
    keys: np.ndarray,
    stream: int,
    ids: list[int],
    common: Any,
    behavior: np.ndarray | None,
    options: Options,
) -> dict[str, Any]:
    """Return what `lsdx.analysis.prediction.predict` tells of one group.

    ``stream`` and ``ids`` (n_cells,) are numbers of the group and of its cells, for shifts;
    ``common`` says how many units are drawn. ``behavior`` is None for a session without any.
    """
    n_units, n_cells, _ = counts.shape
    out = _empty(n_units, n_cells, options)
    chosen = chosen_units(units, keys, common.n_units, options)
    out["n_units"] = float(chosen.size)
    if behavior is None or chosen.size < options.min_units:
        out["note"][:] = "too few units" if behavior is not None else "no behavior of this session"
        return out
    for cell in range(n_cells):
        x = counts[chosen, cell].T.astype(np.float64)
        seen = np.isfinite(x).all(axis=1)
        if not cells[cell] or not seen.any():
            out["note"][..., cell] = "not observed"
            continue
        # anew for each feature: what else is asked for changes nothing
        seeds = (options.seed, stream, ids[cell] % 2**64)
        known = np.isfinite(behavior[:, cell]).any(axis=1)
        y = behavior[:, cell].T.astype(np.float64)
        if options.encode:
            out["note"][~units, cell] = "not observed"
            _encode(out, x, y[:, known], seen, np.flatnonzero(known), chosen, cell, seeds, options)
            continue
        out["note"][~known, cell] = "behavior not observed"
        for features in _alike(y, known, together=options.method == "reduced_rank"):
            _decode(out, x, y[:, features], seen, features, chosen, cell, seeds, options)
    for pair, (first, second) in enumerate(options.pairs):
        if cells[[first, second]].all():
            both = [counts[chosen, c].T.astype(np.float64) for c in (first, second)]
            told = [behavior[:, c].T.astype(np.float64) for c in (first, second)]
            own = (ids[c] % 2**64 for c in (first, second))
            _across(out, both, told, pair, (options.seed, stream, *own), options)
    return out


def chosen_units(units: np.ndarray, keys: np.ndarray, n_units: int, options: Any) -> np.ndarray:
    """Return the units that are used, in order: all, or ``n_units`` drawn by their keys."""
    every = np.flatnonzero(units)
    if n_units < 0 or (n_units > 0 and every.size < n_units):
        return every[:0]
    if not n_units:
        return every
    drawn = np.argsort(stream_keys(keys[every], options.seed, _CHOICE), kind="stable")
    return np.sort(every[drawn[:n_units]])


def circular_shifts(rng: np.random.Generator, n_bins: int, least: int, n: int) -> np.ndarray:
    """Draw ``n`` different shifts from ``least`` to ``n_bins - least``, or all if there are fewer.

    The same shift twice says nothing new: counted twice it would make p too small.

    Examples
    --------
    >>> sorted(circular_shifts(np.random.default_rng(0), 10, 3, 5).tolist())
    [3, 4, 5, 6, 7]
    >>> circular_shifts(np.random.default_rng(0), 10, 3, 99).size
    5
    >>> circular_shifts(np.random.default_rng(0), 10, 6, 5).size
    0
    """
    known = np.arange(least, n_bins - least + 1)
    return rng.choice(known, size=min(n, known.size), replace=False)


def _rng(seeds: tuple[int, ...]) -> np.random.Generator:
    return np.random.default_rng(list(seeds))


def given(options: Options) -> tuple[str, ...]:
    """Return the names of what a group gives."""
    names: tuple[str, ...] = SCALARS
    if options.pairs:
        names = ("r2", "p", "r2_centered", "angle", "angle_within")
    names += ("weights", "n_bins", "note", "n_units")
    if options.method == "reduced_rank":
        return (*names, "best_rank", "rank_curve", "rank_curve_error")
    return names if options.encode or options.make else (*names, "readout_variance")


def _empty(n_units: int, n_cells: int, options: Options) -> dict[str, Any]:
    """Return what a group gives if nothing can be said of it."""
    lags, pairs, n_features = len(options.lags), len(options.pairs), options.n_features
    tested = (n_units if options.encode else n_features, lags, n_cells)
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(SCALARS, tested)
    if pairs:
        shapes |= dict.fromkeys(("r2", "p", "r2_centered"), (n_features, pairs, 2, 2))
        shapes |= dict.fromkeys(("angle", "angle_within"), (n_features, pairs))
    shapes |= dict.fromkeys(("rank_curve", "rank_curve_error"), (n_features + 1, lags, n_cells))
    shapes |= {"weights": (n_units, n_features, lags, n_cells), "best_rank": (lags, n_cells)}
    shapes |= {"readout_variance": (n_features, lags, n_cells), "n_bins": (n_features, n_cells)}
    shapes |= {"n_units": (), "note": (n_units if options.encode else n_features, n_cells)}
    out: dict[str, Any] = {n: np.full(shapes[n], np.nan) for n in given(options) if n != "note"}
    return out | {"note": np.full(shapes["note"], "", dtype=object)}


def _alike(y: np.ndarray, known: np.ndarray, *, together: bool) -> list[np.ndarray]:
    """Group features that were observed in the same bins; all, if they are fitted together."""
    features = np.flatnonzero(known)
    if together or not features.size:
        return [features] if features.size else []
    masks = np.isfinite(y[:, features])
    _, code = np.unique(masks, axis=1, return_inverse=True)
    code = np.ravel(code)
    return [features[code == i] for i in range(code.max() + 1)]


def _moved(y: np.ndarray, lag: int) -> np.ndarray:
    """Return what comes ``lag`` bins later, NaN beyond the end."""
    out = np.full(y.shape, np.nan)
    n = len(y)
    low, high = max(-lag, 0), min(n - lag, n)
    if high > low:
        out[low:high] = y[low + lag : high + lag]
    return out


def _decode(
    out: dict[str, Any],
    x: np.ndarray,
    y: np.ndarray,
    seen: np.ndarray,
    features: np.ndarray,
    chosen: np.ndarray,
    cell: int,
    seeds: tuple[int, ...],
    options: Options,
) -> None:
    """Predict some features of one cell from units, at each lag."""
    moved = [_moved(y, lag) for lag in options.lags]
    used = seen & np.all([np.isfinite(m).all(axis=1) for m in moved], axis=0)
    folds = blocked_folds(used, options.n_folds, gap=options.gap)
    out["n_bins"][features, cell] = used.sum()
    if not folds.enough:
        out["note"][features, cell] = "too few bins for folds and gap"
        return
    own = x[used]
    n_shifts = 0 if options.pairs else options.n_shifts
    shifts = circular_shifts(_rng(seeds), len(own), options.least_shift, n_shifts)
    if n_shifts and not shifts.size:
        out["note"][features, cell] = _SHORT
    for i, target in enumerate(moved):
        wanted = target[used]
        varies = wanted.std(axis=0) > 0
        out["note"][features[~varies], cell] = "behavior is constant"
        mine, wanted = features[varies], wanted[:, varies]
        if not mine.size:
            continue
        if options.method == "estimator":
            fit = with_estimator(own, wanted, folds, shifts, options.make)
            _keep(out, mine, i, cell, fit.r2, fit.null)
            out["note"][mine[~np.isfinite(fit.r2)], cell] = "the estimator predicts no number"
            continue
        if options.method == "reduced_rank":
            found = reduced_rank(
                own, wanted, folds, penalties=options.penalties, rank=options.rank, shifts=shifts
            )
            out["rank_curve"][: found.curve.size, i, cell] = found.curve
            out["rank_curve_error"][: found.curve.size, i, cell] = found.error
            best = found.rank
            if options.rank is None:
                best, told = tested_rank(best, found.r2.mean(), found.null.mean(axis=1))
                note = out["note"][mine, cell]
                out["note"][mine, cell] = np.where(note == "", told, note)
            out["best_rank"][i, cell] = best
            _keep(out, mine, i, cell, found.r2, found.null)
            penalty = np.full(mine.size, _middle(found.chosen, options.penalties))
        else:
            fit = ridge(own, wanted, folds, penalties=options.penalties, shifts=shifts)
            if not options.pairs:
                _keep(out, mine, i, cell, fit.r2, fit.null)
            penalty = _middle(fit.chosen, options.penalties)
        axes = principal_axes(own, np.arange(len(own)))
        weights = fit_weights(axes, wanted, penalty)
        if options.method == "reduced_rank":
            weights = _of_rank(axes, weights, int(out["best_rank"][i, cell]))
        else:
            out["readout_variance"][mine, i, cell] = _shares(axes, weights)
        out["weights"][chosen[:, None], mine, i, cell] = weights


def _keep(
    out: dict[str, Any], rows: np.ndarray, i: int, cell: int, r2: np.ndarray, null: np.ndarray
) -> None:
    out["r2"][rows, i, cell] = r2
    if len(null):
        out["p"][rows, i, cell] = p_of_shifts(r2, null)
        out["r2_null"][rows, i, cell] = null.mean(axis=0)
        if len(null) > 1:
            sd = null.std(axis=0, ddof=1)
            z = (r2 - null.mean(axis=0)) / np.where(sd > 0, sd, np.nan)
            out["r2_z"][rows, i, cell] = z


def p_of_shifts(value: Any, null: np.ndarray) -> Any:
    """Return the share of shifts (n_shifts, ...) that reach a value, itself among them.

    A shift without a value counts as one that does.

    Examples
    --------
    >>> p_of_shifts(2.0, np.array([1.0, 2.0, 3.0])).item()
    0.75
    """
    p = (1 + np.sum(~(null < value), axis=0)) / (len(null) + 1)
    return np.where(np.isfinite(value), p, np.nan)


def _middle(chosen: np.ndarray, penalties: tuple[float, ...]) -> np.ndarray:
    """Return the middle one of the penalties of all folds."""
    rows = np.sort(chosen, axis=0)[chosen.shape[0] // 2]
    return np.asarray(np.asarray(penalties)[rows])


def _of_rank(axes: FittedAxes, weights: np.ndarray, rank: int) -> np.ndarray:
    """Return weights (n_units, q) of the first dimensions of what they fit."""
    fitted = axes.z @ weights
    turn = np.linalg.eigh(fitted.T @ fitted)[1][:, ::-1][:, :rank]
    return np.asarray(weights @ turn @ turn.T)


def _shares(axes: FittedAxes, weights: np.ndarray) -> np.ndarray:
    """Return the share of the z-scored units' variance along each readout (q,)."""
    along = np.sum((axes.z @ weights) ** 2, axis=0)
    norm = np.sum(weights**2, axis=0) * np.sum(axes.z**2)
    return np.where(norm > 0, along / np.where(norm > 0, norm, 1), np.nan)


def tested_rank(rank: int, r2: float, null: np.ndarray) -> tuple[int, str]:
    """Return a rank, 0 if R2 is not above that of shifts, and what is to be said of it.

    Examples
    --------
    >>> tested_rank(2, 0.1, np.linspace(-0.1, 0.05, 99))
    (2, '')
    >>> tested_rank(2, 0.0, np.linspace(-0.1, 0.05, 99))
    (0, '')
    """
    if null.size < LEAST_SHIFTS:
        return rank, FEW_SHIFTS
    return (0 if p_of_shifts(r2, null) > ALPHA else rank), ""


def with_estimator(
    x: np.ndarray, y: np.ndarray, folds: Folds, shifts: np.ndarray, make: Any
) -> RidgeFit:
    """Return held-out R2 of estimators of scikit-learn's form, each fitted to one target."""
    place = np.cumsum(folds.block >= 0) - 1

    def held_out(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        predicted, about = np.empty_like(y), np.empty_like(y)
        for f in range(folds.n):
            train, test = place[folds.train(f)], place[folds.test(f)]
            mean, sd = x[train].mean(axis=0), x[train].std(axis=0)
            scale = np.where(sd > 0, 1 / np.where(sd > 0, sd, 1), 0.0)
            a, b = ((x[rows] - mean) * scale for rows in (train, test))
            about[test] = y[train].mean(axis=0)
            for k in range(y.shape[1]):
                told = np.asarray(make().fit(a, y[train, k]).predict(b))
                if told.size != test.size:
                    raise ArgumentError(
                        located(
                            "predict, method",
                            f"one prediction of each of {test.size} bins",
                            f"predictions of shape {told.shape}",
                        )
                    )
                predicted[test, k] = np.ravel(told)
        sse, sst = np.sum((y - predicted) ** 2, axis=0), np.sum((y - about) ** 2, axis=0)
        return np.where(sst > 0, 1 - sse / np.where(sst > 0, sst, 1), np.nan), predicted

    r2, predicted = held_out(y)
    null = [held_out(np.roll(y, s, axis=0))[0] for s in shifts.tolist()]
    chosen = np.zeros((folds.n, y.shape[1]), dtype=np.int64)
    return RidgeFit(r2, np.array(null).reshape(len(null), y.shape[1]), chosen, predicted)


def _encode(
    out: dict[str, Any],
    x: np.ndarray,
    y: np.ndarray,
    seen: np.ndarray,
    known: np.ndarray,
    chosen: np.ndarray,
    cell: int,
    seeds: tuple[int, ...],
    options: Options,
) -> None:
    """Predict the units of one cell from all features that were observed."""
    if not known.size:
        out["note"][chosen, cell] = "behavior not observed"
        return
    moved = [_moved(y, lag) for lag in options.lags]
    used = seen & np.all([np.isfinite(m).all(axis=1) for m in moved], axis=0)
    folds = blocked_folds(used, options.n_folds, gap=options.gap)
    out["n_bins"][known, cell] = used.sum()
    if not folds.enough:
        out["note"][chosen, cell] = "too few bins for folds and gap"
        return
    wanted = x[used]
    shifts = circular_shifts(_rng(seeds), len(wanted), options.least_shift, options.n_shifts)
    if options.n_shifts and not shifts.size:
        out["note"][chosen, cell] = _SHORT
    out["note"][chosen[wanted.std(axis=0) == 0], cell] = "unit is constant"
    for i, features in enumerate(moved):
        own = features[used]
        fit = ridge(own, wanted, folds, penalties=options.penalties, shifts=shifts)
        _keep(out, chosen, i, cell, fit.r2, fit.null)
        axes = principal_axes(own, np.arange(len(own)))
        weights = fit_weights(axes, wanted, _middle(fit.chosen, options.penalties))
        weights[:, wanted.std(axis=0) == 0] = np.nan
        out["weights"][chosen[:, None], known, i, cell] = weights.T


def _across(
    out: dict[str, Any],
    x: list[np.ndarray],
    y: list[np.ndarray],
    pair: int,
    seeds: tuple[int, ...],
    options: Options,
) -> None:
    """Train in each of two phases, test in both; compare the readouts."""
    lag = options.lags[0]
    y = [_moved(v, lag) for v in y]
    seen = [np.isfinite(v).all(axis=1) for v in x]
    known = np.all([np.isfinite(v).any(axis=0) for v in y], axis=0)
    for f in np.flatnonzero(known):
        used = [s & np.isfinite(v[:, f]) for s, v in zip(seen, y, strict=True)]
        folds = [blocked_folds(u, options.n_folds, gap=options.gap) for u in used]
        wanted = [v[u, f : f + 1] for v, u in zip(y, used, strict=True)]
        if not all(k.enough for k in folds) or not all(w.std() > 0 for w in wanted):
            continue
        own = [v[u] for v, u in zip(x, used, strict=True)]
        rng = _rng(seeds)
        shifts = [circular_shifts(rng, len(v), options.least_shift, options.n_shifts) for v in own]
        fits = [
            ridge(a, b, c, penalties=options.penalties, shifts=s)
            for a, b, c, s in zip(own, wanted, folds, shifts, strict=True)
        ]
        for a, b in ((0, 0), (0, 1), (1, 0), (1, 1)):
            penalty = np.asarray(options.penalties)[fits[a].chosen[:, 0]]
            predicted, mean = predict_other(
                (own[a], wanted[a], folds[a]), (own[b], folds[b]), penalty
            )
            if options.n_shifts and not shifts[b].size:
                out["note"][f, options.pairs[pair][b]] = _SHORT
            truth = wanted[b][:, 0]
            r2 = _explained(truth, predicted, mean)
            out["r2"][f, pair, a, b] = r2
            left = truth - predicted
            out["r2_centered"][f, pair, a, b] = 1 - left.var() / truth.var()
            if shifts[b].size:
                null = fits[a].null[:, 0]  # learned again, for the model has seen this behavior
                if a != b:
                    rolled = [np.roll(truth, s) for s in shifts[b]]
                    null = np.array([_explained(v, predicted, mean) for v in rolled])
                out["p"][f, pair, a, b] = p_of_shifts(r2, null)
        out["angle"][f, pair], out["angle_within"][f, pair] = _angles(own, wanted, fits, options)


def _explained(truth: np.ndarray, predicted: np.ndarray, mean: np.ndarray) -> float:
    return float(1 - np.sum((truth - predicted) ** 2) / np.sum((truth - mean) ** 2))


def _angles(
    x: list[np.ndarray], y: list[np.ndarray], fits: list[RidgeFit], options: Options
) -> tuple[float, float]:
    """Return the angles between readouts of halves: of two phases, and of one."""
    pooled = np.concatenate(x).std(axis=0)
    halves = []
    for own, wanted, fit in zip(x, y, fits, strict=True):
        penalty = _middle(fit.chosen, options.penalties)
        middle, gap = len(own) // 2, options.gap // 2
        for rows in (np.arange(middle - gap), np.arange(middle + options.gap - gap, len(own))):
            axes = principal_axes(own, rows)
            weights = fit_weights(axes, wanted, penalty)[:, 0] * axes.scale * pooled
            norm = np.linalg.norm(weights)
            halves.append(weights / norm if norm > 0 else np.full(weights.size, np.nan))
    cosine = np.clip(np.array(halves) @ np.array(halves).T, -1, 1)
    angle = np.degrees(np.arccos(cosine))
    return float(angle[:2, 2:].mean()), float((angle[0, 1] + angle[2, 3]) / 2)
