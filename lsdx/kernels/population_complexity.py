"""How complex the course of a whole population is, beside that of units without relation.

``counts`` are an ndarray (n_units, n_cells, n_bins), NaN where nothing was observed; ``units`` and
``cells``, ndarrays of bool (n_units,) and (n_cells,), say which are used; ``keys``, ndarray of
uint64 (n_units,), and ``ids``, a sequence of int (n_cells,), are those of the random numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lsdx.kernels.complexity import lempel_ziv
from lsdx.kernels.covariance import scaled
from lsdx.kernels.matching import n_observed_bins, require_whole
from lsdx.kernels.resampling import equal_rate_share, shift_circularly, stream_keys, thin
from lsdx.kernels.spectra import principal_components
from lsdx.kernels.variability import window_counts

LEAST_WINDOWS = 200
_THIN, _SHIFT = 1, 2  # purposes of random numbers


def population_bits(x: np.ndarray, *, signal: str = "mean") -> np.ndarray:
    """Make one sequence of bits of a population: its course, above its median or not.

    Parameters
    ----------
    x : ndarray (n_units, n_windows)
        Counts.
    signal : {"mean", "pc1"}
        The mean of the units' z-scored counts, or their first principal component.

    Returns
    -------
    ndarray of bool (n_windows,)

    Examples
    --------
    >>> population_bits(np.array([[0, 1, 2, 3], [0, 5, 5, 9]])).astype(int).tolist()
    [0, 0, 1, 1]
    """
    z = scaled(x.T)
    if signal == "mean":
        return _above_median(z.mean(axis=1))
    return _above_median(z @ np.nan_to_num(principal_components(x.T, n_components=1)[1][:, 0]))


def _above_median(course: np.ndarray) -> np.ndarray:
    course = course.round(10)  # equal sums of different order stay equal
    return np.asarray(course > np.median(course))


def _all_bits(x: np.ndarray, signal: str, shifts: Iterable[np.ndarray]) -> np.ndarray:
    """Return the bits of a population, and of those shifted by each of the keys."""
    if signal == "mean":  # z-scores are those before the shift
        z = np.ascontiguousarray(scaled(x.T).T)
        rows = [z.mean(axis=0), *(shift_circularly(z, k).mean(axis=0) for k in shifts)]
        return np.stack([_above_median(row) for row in rows])
    every = [x, *(shift_circularly(x, k) for k in shifts)]
    return np.stack([population_bits(y, signal=signal) for y in every])


def measure_complexity(
    counts: np.ndarray,
    units: np.ndarray,
    cells: np.ndarray,
    keys: np.ndarray,
    ids: Sequence[int],
    n_bins: int,
    signal: str,
    n_surrogates: int,
    min_units: int,
    draws: int,
    seed: int,
) -> dict[str, Any]:
    """Measure the complexity of each cell of one group, and that of units shifted at random.

    Parameters
    ----------
    counts, units, cells, keys, ids
        See the module.
    n_bins : int
        Bins that are added up to a window.
    signal : {"mean", "pc1"}
    n_surrogates : int
        Populations of circularly shifted units, of each draw.
    min_units : int
    draws : int
        Thinnings to equal rates, of which means are taken; 0 for none.
    seed : int

    Returns
    -------
    dict
        ``complexity``, ``complexity_surrogate``, ``complexity_ratio``, ``note`` (n_cells,);
        ``n_units``.
    """
    n_cells, n = counts.shape[1], int(units.sum())
    names = ("complexity", "complexity_surrogate", "complexity_ratio")
    out: dict[str, Any] = {name: np.full(n_cells, np.nan) for name in names} | {
        "note": np.full(n_cells, "", dtype=object),
        "n_units": n,
    }
    seen: dict[int, np.ndarray] = {}
    for c in range(n_cells):
        length = n_observed_bins(counts[units, c]) if cells[c] and n else -1
        if length < 1:
            out["note"][c] = "not observed for all units"
        elif n < max(min_units, 2):
            out["note"][c] = f"{n} units, fewer than min_units={min_units}"
        elif length // n_bins < LEAST_WINDOWS:
            out["note"][c] = f"fewer than {LEAST_WINDOWS} windows"
        else:
            seen[c] = counts[units, c, :length]
    if not seen:
        return out
    rates = np.stack([x.mean(axis=1, dtype=np.float64) for x in seen.values()], axis=1)
    share = equal_rate_share(rates) if draws else np.ones(rates.shape)
    mine = keys[units]
    for place, (c, x) in enumerate(seen.items()):
        keep = share[:, place]
        if draws and (share < 1).any():
            require_whole(x, "population_complexity")
            every = [thin(x, keep, stream_keys(mine, seed, _THIN, d, ids[c])) for d in range(draws)]
        else:
            every = [x]
        own, chance = [], []
        for d, thinned in enumerate(every):
            windows = np.ascontiguousarray(window_counts(thinned, n_bins))
            if (windows.min(axis=1) == windows.max(axis=1)).all():
                out["note"][c] = "units without variance"
                break
            shifts = [stream_keys(mine, seed, _SHIFT, d, s, ids[c]) for s in range(n_surrogates)]
            values = lempel_ziv(_all_bits(windows, signal, shifts))
            own.append(values[0])
            chance.append(values[1:].mean())
        if not out["note"][c]:
            out["complexity"][c], out["complexity_surrogate"][c] = np.mean(own), np.mean(chance)
            out["complexity_ratio"][c] = np.mean(own) / np.mean(chance)
    return out
