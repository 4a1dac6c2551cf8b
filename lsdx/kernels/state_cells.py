"""States of the cells of one group: scores, models, numbers that mean the same in all phases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lsdx.kernels.covariance import scaled
from lsdx.kernels.spectra import principal_components
from lsdx.kernels.states import (
    BINS_PER_STATE,
    LONG,
    Model,
    choose_number,
    entropy,
    entropy_rate,
    fit_states,
    held_out,
    log_likelihood,
    match_states,
    most_likely_states,
    run_lengths,
    runs_of,
)

_NUMBER, _FIT = 0, 1  # purposes of random numbers
_LEAST_SHARE = 1e-10  # of the variance, of a component that is one


@dataclass(frozen=True)
class Options:
    """What states are of, and how many; `lsdx.analysis.states` says what each means."""

    n_states: int | None
    max_states: int
    n_components: int
    starts: int
    n_folds: int
    gap: int  # bins
    features: bool  # else units
    seed: int

    @property
    def most(self) -> int:
        """Return the largest number of states that a model can have."""
        return self.n_states or self.max_states


def states_of_cells(
    counts: np.ndarray,
    units: np.ndarray,
    cells: np.ndarray,
    key: int,
    ids: Sequence[int],
    sets: np.ndarray,
    bin_width: float,
    hmm: Any,
    options: Options,
) -> dict[str, Any]:
    """Fit states to each cell of one group, and number them alike in the cells of a set.

    Parameters
    ----------
    counts : ndarray (n_units, n_cells, n_bins)
        Or behaviour; NaN where not observed.
    units, cells : ndarray of bool (n_units,), (n_cells,)
        Which are used.
    key : int
        Of the group's random numbers.
    ids : sequence of int (n_cells,)
        Of the cells' random numbers.
    sets : ndarray of int (n_sets, n_phases)
        Cells whose states are to be the same.
    bin_width : float
        In s.
    hmm
        `hmmlearn.hmm.GaussianHMM`.
    options : Options

    Returns
    -------
    dict
        Over (n_cells, ...), k the most states, d the components or features. ``state``
        (n_bins), from 1, -1 where not observed. ``occupancy``, ``dwell_time`` and
        ``match_distance`` (k,); ``transition`` (k, k); ``mean`` (k, d); ``held_out`` (k,).
        ``entropy_rate``, ``occupancy_entropy``, ``switch_rate``, ``n_states``,
        ``log_likelihood``, ``converged``, ``note``. And ``n_units`` alone.
    """
    n_cells, n_bins = counts.shape[1:]
    k, d = options.most, len(counts) if options.features else options.n_components
    scalar = ("entropy_rate", "occupancy_entropy", "switch_rate", "n_states", "log_likelihood")
    by_state = ("occupancy", "dwell_time", "match_distance", "held_out")
    out: dict[str, Any] = {name: np.full(n_cells, np.nan) for name in scalar}
    out |= {name: np.full((n_cells, k), np.nan) for name in by_state}
    out |= {
        "state": np.full((n_cells, n_bins), -1, dtype=np.int16),
        "transition": np.full((n_cells, k, k), np.nan),
        "mean": np.full((n_cells, k, d), np.nan),
        "converged": np.zeros(n_cells, dtype=bool),
        "note": np.full(n_cells, "", dtype=object),
        "n_units": int(units.sum()),
    }
    if options.features:
        out["n_units"] = int(np.isfinite(counts).any(axis=(1, 2)).sum())
    for these in sets:
        _fill_set(out, counts, units, cells, key, ids, these, bin_width, hmm, options)
    return out


def _fill_set(
    out: dict[str, Any],
    counts: np.ndarray,
    units: np.ndarray,
    cells: np.ndarray,
    key: int,
    ids: Sequence[int],
    these: np.ndarray,
    bin_width: float,
    hmm: Any,
    options: Options,
) -> None:
    """Fit the cells of one set, and write what comes out."""
    rows = np.flatnonzero(units)
    if options.features:
        there = np.isfinite(counts[:, these]).any(axis=2)
        rows = np.flatnonzero(there[:, there.any(axis=0)].all(axis=1) & there.any(axis=1))
    x = counts[rows][:, these]
    seen = np.isfinite(x).all(axis=0) & cells[these][:, None] & bool(len(rows))
    kind = "features" if options.features else "units"
    told = ""
    if options.features and seen.any() and len(rows) < len(counts):
        told = f"{len(counts) - len(rows)} features not observed, left out"
    for c, own in zip(these, seen, strict=True):
        out["note"][c] = told if own.any() else f"no bin observed for all {kind}"
    if len(rows) < 2 and not options.features:
        out["note"][these[cells[these]]] = f"{len(rows)} units, fewer than 2"
        return
    if not seen.any():
        return
    score, place = _scores(np.concatenate([x[:, p, own].T for p, own in enumerate(seen)]), options)
    if not score.shape[1]:
        out["note"][these] = f"none of the {kind} varies"
        return
    if options.features:
        place = rows[place]
    parts = np.split(score, np.cumsum(seen.sum(axis=1))[:-1])
    first: tuple[Model, np.ndarray] | None = None
    for c, own, z in zip(these, seen, parts, strict=True):
        if not own.any():
            continue
        bins = np.flatnonzero(own)
        path = (options.seed, key, ids[c] % 2**64)
        k, why = _number(out, c, z, own, hmm, path, options)
        if why:
            out["note"][c] = "; ".join(filter(None, (told, why)))
            continue
        lengths = run_lengths(bins)
        model = fit_states(hmm, z, lengths, k, options.starts, (*path, _FIT))
        path_of = most_likely_states(hmm, model, z, lengths)
        share = np.bincount(path_of, minlength=k) / len(path_of)
        if first is None:
            order = np.argsort(-share, kind="stable")
            model = Model(
                model.mean[order],
                model.variance[order],
                model.transition[np.ix_(order, order)],
                converged=model.converged,
            )
            path_of, share = np.argsort(order)[path_of], share[order]
            first = model, share
            number, distance = np.arange(k), np.full(k, np.nan)
        else:
            number, distance = match_states(*first, model, share)
        out["match_distance"][c, number] = distance
        out["mean"][c][np.ix_(number, place)] = model.mean
        out["transition"][c][np.ix_(number, number)] = model.transition
        out["occupancy"][c, number] = share
        out["occupancy_entropy"][c] = entropy(share)
        out["entropy_rate"][c] = entropy_rate(model.transition)
        out["log_likelihood"][c] = log_likelihood(hmm, model, z, lengths) / len(z)
        out["state"][c, bins] = number[path_of] + 1
        out["n_states"][c], out["converged"][c] = k, model.converged
        if not model.converged:
            told_too = f"not converged in {LONG} steps"
            out["note"][c] = "; ".join(filter(None, (told, told_too)))
        of, length = runs_of(path_of, bins)
        for i in np.unique(of):
            out["dwell_time"][c, number[i]] = length[of == i].mean() * bin_width
        pairs = len(bins) - len(lengths)
        if pairs:
            out["switch_rate"][c] = (len(of) - len(lengths)) / (pairs * bin_width)


def _scores(x: np.ndarray, options: Options) -> tuple[np.ndarray, np.ndarray]:
    """Return z-scored features or components (n_bins, d), and which each of them is."""
    if len(x) < 2:
        return np.empty((len(x), 0)), np.empty(0, dtype=int)
    z = scaled(np.asarray(x, dtype=np.float64))
    varies = np.flatnonzero(z.any(axis=0))
    if options.features or not varies.size:
        return z[:, varies], varies
    most = min(options.n_components, varies.size, len(x) - 1)
    share, loadings = principal_components(x[:, varies], n_components=most, scale="zscore")
    score = z[:, varies] @ loadings[:, share > _LEAST_SHARE]
    return score / score.std(axis=0, ddof=1), np.arange(score.shape[1])


def _number(
    out: dict[str, Any],
    c: int,
    z: np.ndarray,
    observed: np.ndarray,
    hmm: Any,
    path: Sequence[int],
    options: Options,
) -> tuple[int, str]:
    """Return the number of states of a cell, or why there is none."""
    n = len(z)
    if options.n_states:
        few = n < BINS_PER_STATE * options.n_states
        why = f"{n} bins, fewer than {BINS_PER_STATE} a state"
        return options.n_states, why if few else ""
    whole = np.zeros((len(observed), z.shape[1]))
    whole[observed] = z
    found = held_out(
        hmm, whole, observed, options.max_states, options.n_folds, options.gap, (*path, _NUMBER)
    )
    if not len(found):
        return 0, f"{n} bins, too few for {options.n_folds} folds and their gaps"
    out["held_out"][c] = found.mean(axis=1)
    return choose_number(found), ""
