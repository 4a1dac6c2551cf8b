"""How one population predicts another, through how many dimensions, and what could be predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lsdx.kernels.folds import blocked_folds
from lsdx.kernels.prediction import circular_shifts, p_of_shifts, tested_rank
from lsdx.kernels.reduced_rank import RankFit, reduced_rank
from lsdx.kernels.regression import ridge
from lsdx.kernels.resampling import stream_keys

_CHOICE = 1
NAMES = ("r2", "r2_ceiling", "p", "best_rank", "best_rank_ceiling")


@dataclass(frozen=True)
class Options:
    """How populations are compared; times are in bins."""

    penalties: tuple[float, ...]
    n_folds: int
    gap: int
    n_shifts: int
    least_shift: int
    min_units: int
    n_ranks: int
    seed: int


def matched_size(
    used: Sequence[tuple[np.ndarray, np.ndarray]],
    sides: Sequence[tuple[np.ndarray, np.ndarray]],
    min_units: int,
) -> int:
    """Return how many units of each part the smallest session has that has enough.

    ``sides`` (source, target) are masks over the units of each group.

    Examples
    --------
    >>> used = [(np.ones(9, dtype=bool), np.ones(1, dtype=bool))]
    >>> matched_size(used, [(np.arange(9) < 3, np.arange(9) >= 3)], 2)
    3
    """
    sizes = [_size(u, a, b) for (u, cells), (a, b) in zip(used, sides, strict=True) if cells.any()]
    return min((n for n in sizes if n >= min_units), default=0)


def _size(units: np.ndarray, source: np.ndarray, target: np.ndarray) -> int:
    return int(min((units & source).sum(), (units & target).sum() // 2))


def communicate(
    counts: np.ndarray,
    units: np.ndarray,
    cells: np.ndarray,
    keys: np.ndarray,
    stream: int,
    ids: Sequence[int],
    sides: tuple[np.ndarray, np.ndarray],
    size: int | None,
    options: Options,
) -> dict[str, Any]:
    """Return what `lsdx.analysis.communication.communication` tells of one session.

    ``size`` is the number of units of each part; None: as many as there are.
    """
    n_cells = counts.shape[1]
    out: dict[str, Any] = {n: np.full(n_cells, np.nan) for n in NAMES}
    out |= {n: np.full((options.n_ranks, n_cells), np.nan) for n in ("rank_curve", "ceiling_curve")}
    out["note"] = np.full(n_cells, "", dtype=object)
    source, target = (units & side for side in sides)
    n = _size(units, *sides) if size is None else size
    out["n_units"] = float(n)
    if not source.any() or not target.any():
        out["n_units"], out["note"][:] = 0.0, "not recorded together"
        return out
    if n < options.min_units or _size(units, *sides) < n:
        out["n_units"], out["note"][:] = 0.0, "too few units"
        return out
    first = _drawn(source, keys, n, options.seed)
    both = _drawn(target, keys, 2 * n, options.seed)
    for cell in range(n_cells):
        parts = [counts[rows, cell].T.astype(np.float64) for rows in (first, both[::2], both[1::2])]
        seen = np.all([np.isfinite(x).all(axis=1) for x in parts], axis=0)
        if not cells[cell] or not seen.any():
            out["note"][cell] = "not observed"
            continue
        folds = blocked_folds(seen, options.n_folds, gap=options.gap)
        if not folds.enough:
            out["note"][cell] = "too few bins for folds and gap"
            continue
        x, wanted, other = (x[seen] for x in parts)
        wanted = wanted[:, wanted.std(axis=0) > 0]
        if not wanted.shape[1]:
            out["note"][cell] = "target is constant"
            continue
        fits = [reduced_rank(a, wanted, folds, penalties=options.penalties) for a in (x, other)]
        _keep(out, fits, cell)
        rng = np.random.default_rng([options.seed, stream, ids[cell] % 2**64])
        shifts = circular_shifts(rng, len(x), options.least_shift, options.n_shifts)
        if options.n_shifts and not shifts.size:
            out["note"][cell] = "no p: too short to be shifted"
        if shifts.size:
            full = ridge(x, wanted, folds, penalties=options.penalties, shifts=shifts)
            r2, null = np.nanmean(full.r2), np.nanmean(full.null, axis=1)
            out["p"][cell] = p_of_shifts(r2, null)
            out["best_rank"][cell], out["note"][cell] = tested_rank(fits[0].rank, r2, null)
    return out


def _drawn(side: np.ndarray, keys: np.ndarray, n: int, seed: int) -> np.ndarray:
    every = np.flatnonzero(side)
    order = np.argsort(stream_keys(keys[every], seed, _CHOICE), kind="stable")
    return every[order[:n]]


def _keep(out: dict[str, Any], fits: list[RankFit], cell: int) -> None:
    for fit, ending, curve in zip(fits, ("", "_ceiling"), ("rank", "ceiling"), strict=True):
        out[f"r2{ending}"][cell] = np.nanmean(fit.r2)
        out[f"best_rank{ending}"][cell] = fit.rank
        n = min(fit.curve.size, len(out[f"{curve}_curve"]))
        out[f"{curve}_curve"][:n, cell] = fit.curve[:n]
