"""Subspaces of components: their angles, and how they turn between cells and in time.

A cell is what is compared: an epoch of a phase, a window. ``counts`` are an ndarray
(n_units, n_cells, n_bins), NaN where nothing was observed; ``units`` and ``cells``, ndarrays of
bool (n_units,) and (n_cells,), say which are used; ``keys``, ndarray of uint64 (n_units,), and
``ids``, a sequence of int (n_cells,), are those of the random numbers of each unit and cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lsdx.kernels.covariance import scaled
from lsdx.kernels.matching import n_observed_bins, require_whole
from lsdx.kernels.resampling import equal_rate_share, stream_keys, thin
from lsdx.kernels.spectra import principal_components

N_PARTS = 4  # of the time of a label
_THIN = 1  # purpose of random numbers


def principal_angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the angles between two subspaces, ascending, in rad.

    Parameters
    ----------
    a, b : ndarray (n_units, k)
        Columns that span them, such as loadings of the first k components.

    Returns
    -------
    ndarray of float64 (k,)
        From 0 to pi / 2; NaN where ``a`` or ``b`` holds NaN.

    Notes
    -----
    Bjorck & Golub 1973, as `scipy.linalg.subspace_angles` computes it.

    Examples
    --------
    >>> principal_angles(np.eye(3)[:, :2], np.eye(3)[:, 1:]).round(4).tolist()
    [0.0, 1.5708]
    """
    import scipy.linalg

    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return np.full(min(a.shape[1], b.shape[1]), np.nan)
    return np.asarray(scipy.linalg.subspace_angles(a, b)[::-1])


def subspace_similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean squared cosine of the principal angles of two subspaces.

    Parameters
    ----------
    a, b : ndarray (n_units, k)
        Columns that span them.

    Returns
    -------
    float
        From 0 to 1; ``k / n_units`` on average for random subspaces. NaN where ``a`` or ``b``
        holds NaN.

    Examples
    --------
    >>> round(subspace_similarity(np.eye(3)[:, :2], np.eye(3)[:, 1:]), 12)
    0.5
    """
    return float(np.mean(np.cos(principal_angles(a, b)) ** 2))


def pc1_angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the angle between two axes, such as first loadings, in rad.

    Parameters
    ----------
    a, b : ndarray (..., n_units)

    Returns
    -------
    ndarray of float64 (...)
        ``arccos(abs(cos))``, from 0 to pi / 2: the sign of a component is arbitrary. NaN for
        an axis of length 0.

    Examples
    --------
    >>> float(pc1_angle(np.array([1.0, 0.0]), np.array([-2.0, 0.0])))
    0.0
    """
    length = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    cosine = np.sum(a * b, axis=-1) / np.where(length > 0, length, np.nan)
    return np.asarray(np.arccos(np.minimum(np.abs(cosine), 1.0)))


@dataclass(frozen=True)
class Options:
    """What subspaces are compared, and how; `lsdx.analysis.subspaces` says what each means."""

    n_components: int
    scale: str
    min_units: int
    match_rates: bool
    draws: int
    seed: int


def components_of_cells(
    counts: np.ndarray, units: np.ndarray, cells: np.ndarray, n_components: int, scale: str
) -> dict[str, Any]:
    """Find the principal components of each cell of one group.

    Parameters
    ----------
    counts, units, cells
        See the module.
    n_components : int
    scale : {"zscore", "center"}

    Returns
    -------
    dict
        ``loadings`` (n_units, n_cells, n_components), ``scores`` (n_cells, n_bins,
        n_components), ``explained_variance`` (n_cells, n_components); NaN where not used.
    """
    n_units, n_cells, n_bins = counts.shape
    out = {
        "loadings": np.full((n_units, n_cells, n_components), np.nan),
        "scores": np.full((n_cells, n_bins, n_components), np.nan),
        "explained_variance": np.full((n_cells, n_components), np.nan),
    }
    for c in np.flatnonzero(cells):
        x = observed_part(counts[units, c])
        if x is None or not x.shape[1]:
            continue
        share, loadings = principal_components(x, n_components=n_components, scale=scale)
        out["explained_variance"][c] = share
        out["loadings"][units, c] = loadings
        out["scores"][c, : x.shape[0]] = scaled(x, scale=scale) @ loadings
    return out


def compare_pairs(
    counts: np.ndarray,
    units: np.ndarray,
    cells: np.ndarray,
    keys: np.ndarray,
    ids: Sequence[int],
    pairs: np.ndarray,
    bin_width: float,
    options: Options,
) -> dict[str, Any]:
    """Compare the subspaces of the two cells of each pair, as wholes and by quarters of their time.

    Of the longer cell as many bins are used as the other has, from its start.

    Parameters
    ----------
    counts, units, cells, keys, ids
        See the module.
    pairs : ndarray of int (n_pairs, 2)
        Cells.
    bin_width : float
        In s.
    options : Options

    Returns
    -------
    dict
        ``similarity``, ``similarity_chance``, ``similarity_between``, ``pc1_angle`` (degree),
        ``quarter`` (s), ``note`` (n_pairs,); ``similarity_within`` (n_pairs, 2, 3), of each
        cell, by quarters apart; ``principal_angle`` (n_pairs, n_components), degree; ``n_units``.
    """
    n, k, n_pairs = int(units.sum()), options.n_components, len(pairs)
    scalar = ("similarity", "similarity_chance", "similarity_between", "pc1_angle", "quarter")
    out: dict[str, Any] = {name: np.full(n_pairs, np.nan) for name in scalar} | {
        "similarity_within": np.full((n_pairs, 2, N_PARTS - 1), np.nan),
        "principal_angle": np.full((n_pairs, k), np.nan),
        "note": np.full(n_pairs, "", dtype=object),
        "n_units": n,
    }
    least = max(k + 1, 2)
    for i, pair in enumerate(pairs):
        seen = [observed_part(counts[units, c]) if cells[c] else None for c in pair]
        both = [x for x in seen if x is not None]
        if len(both) < 2:
            out["note"][i] = "not observed for all units in both"
            continue
        length = min(len(x) for x in both)  # equal amounts of data
        out["note"][i] = _too_few(n, options)
        if not out["note"][i] and length < N_PARTS * least:
            out["note"][i] = f"fewer than {N_PARTS * least} bins"
        if out["note"][i]:
            continue
        part = length // N_PARTS
        rows = np.stack([x[:length].T for x in both], axis=1)
        side, place = np.repeat([0, 1], N_PARTS), np.tile(np.arange(N_PARTS), 2)
        drawn = []
        for thinned in draws_of(rows, keys[units], [ids[c] for c in pair], options):
            whole = bases(thinned, options)
            parts = [
                thinned[:, c, p * part : (p + 1) * part] for c, p in zip(side, place, strict=True)
            ]
            similar = _similarities(bases(np.stack(parts, axis=1), options))
            angles = principal_angles(*whole)
            drawn.append(
                {
                    "similarity": np.mean(np.cos(angles) ** 2),
                    "similarity_within": _by_lag(similar, side, place, np.arange(1, N_PARTS))[0],
                    "similarity_between": similar[:N_PARTS, N_PARTS:].mean(),
                    "principal_angle": np.degrees(angles),
                    "pc1_angle": np.degrees(pc1_angle(whole[0][:, 0], whole[1][:, 0])),
                }
            )
        for name in drawn[0]:
            out[name][i] = np.mean([d[name] for d in drawn], axis=0)
        out["similarity_chance"][i] = k / n
        out["quarter"][i] = part * bin_width
    return out


def compare_windows(
    counts: np.ndarray,
    units: np.ndarray,
    cells: np.ndarray,
    keys: np.ndarray,
    ids: Sequence[int],
    side: np.ndarray,
    centre: np.ndarray,
    lags: np.ndarray,
    options: Options,
) -> dict[str, Any]:
    """Compare the subspaces of windows with one another, by their distance in time.

    Parameters
    ----------
    counts, units, cells, keys, ids
        See the module.
    side : ndarray of int (n_cells,)
        -1 before, 1 after; windows of side 0 are left out.
    centre : ndarray (n_cells,)
    lags : ndarray (n_lags,)
        Distances of centres, in the unit of ``centre``.
    options : Options

    Returns
    -------
    dict
        ``similarity_within`` (2, n_lags), of windows that are both before or both after;
        ``similarity_between`` (n_lags,), of one before and one after; ``similarity_chance``,
        ``note`` and ``n_units``.
    """
    n = int(units.sum())
    out: dict[str, Any] = {
        "similarity_within": np.full((2, lags.size), np.nan),
        "similarity_between": np.full(lags.size, np.nan),
        "similarity_chance": np.nan,
        "note": _too_few(n, options) if cells.any() else "not observed",
        "n_units": n,
    }
    seen = {c: observed_part(counts[units, c]) for c in np.flatnonzero(cells & (side != 0))}
    good = [int(c) for c, x in seen.items() if x is not None and len(x) == counts.shape[2]]
    least = max(options.n_components + 1, 2)
    if not out["note"]:
        if len(good) < 2:
            out["note"] = "fewer than two windows observed, those across 0 aside"
        elif counts.shape[2] < least:
            out["note"] = f"fewer than {least} bins"
    if out["note"]:
        return out
    side = (side[good] > 0).astype(int)
    if side.min() == side.max():
        out["note"] = f"no window {'before' if side.min() else 'after'} 0"
    rows = np.ascontiguousarray(counts[units][:, good])
    drawn = [
        _by_lag(_similarities(bases(thinned, options)), side, centre[good], lags)
        for thinned in draws_of(rows, keys[units], [ids[c] for c in good], options)
    ]
    out["similarity_within"] = np.mean([d[0] for d in drawn], axis=0)
    out["similarity_between"] = np.mean([d[1] for d in drawn], axis=0)
    out["similarity_chance"] = options.n_components / n
    return out


def _too_few(n: int, options: Options) -> str:
    if n < options.min_units:
        return f"{n} units, fewer than min_units={options.min_units}"
    least = options.n_components + 1
    return f"{n} units, fewer than n_components + 1 = {least}" if n < least else ""


def draws_of(
    rows: np.ndarray, keys: np.ndarray, ids: Sequence[int], options: Options
) -> Iterator[np.ndarray]:
    """Yield counts (n_units, n_cells, n_bins), thinned anew in each draw to equal rates."""
    keep = equal_rate_share(rows.sum(axis=-1, dtype=np.float64))
    if not options.match_rates or not (keep < 1).any():
        yield rows
        return
    require_whole(rows, "subspaces")
    for d in range(options.draws):
        cells = [
            thin(rows[:, c], keep[:, c], stream_keys(keys, options.seed, _THIN, d, i))
            for c, i in enumerate(ids)
        ]
        yield np.stack(cells, axis=1)


def bases(rows: np.ndarray, options: Options) -> np.ndarray:
    """Return the loadings of each cell of (n_units, n_cells, n_bins): (n_cells, n_units, k)."""
    how: dict[str, Any] = {"n_components": options.n_components, "scale": options.scale}
    return np.stack([principal_components(x.T, **how)[1] for x in np.moveaxis(rows, 1, 0)])


def _similarities(bases: np.ndarray) -> np.ndarray:
    """Return the mean squared cosine of the angles of all pairs of (m, n_units, k): (m, m)."""
    m, n_units, k = bases.shape
    flat = np.moveaxis(bases, 1, 0).reshape(n_units, m * k)
    squares = (flat.T @ flat) ** 2
    return np.asarray(squares.reshape(m, k, m, k).sum(axis=(1, 3)) / k)


def _by_lag(
    similar: np.ndarray, side: np.ndarray, place: np.ndarray, lags: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Average over pairs of one side (2, n_lags), and of both (n_lags,), by their distance."""
    apart = np.abs(place[:, None] - place).round(6)
    kind = np.where(side[:, None] == side, side, 2)
    out = np.full((3, lags.size), np.nan)
    for k in range(3):
        for i, lag in enumerate(lags):
            these = similar[(kind == k) & (apart == lag)]
            if these.size:
                out[k, i] = these.mean()
    return out[:2], out[2]


def observed_part(counts: np.ndarray) -> np.ndarray | None:
    """Return the bins observed from the start, (n_bins, n_units); None if there are gaps."""
    length = n_observed_bins(counts)
    return counts[:, :length].T if length >= 2 else None
