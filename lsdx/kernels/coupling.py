"""How much units fluctuate together: means of pairs' correlations, each unit with all others.

``counts`` are an ndarray (n_units, n_cells, n_bins), NaN after what was observed; ``units`` and
``cells``, ndarrays of bool, say which are used; ``keys``, ndarray of uint64 (n_units,), and
``ids``, a sequence of int (n_cells,), are those of the random numbers of each unit and cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lsdx.kernels.covariance import scaled
from lsdx.kernels.matching import NOT_WHOLE, is_whole
from lsdx.kernels.resampling import equal_rate_share, shift_circularly, stream_keys, thin
from lsdx.kernels.samples import Options, Sample, Trials, samples_of_cells, windows_of

_THIN, _SHIFT = 1, 2  # purposes of random numbers


@dataclass(frozen=True)
class Place:
    """Where the units of a session are: a number of the insertion (-1: unknown), depth in um."""

    insertion: np.ndarray
    depth: np.ndarray
    apart: float

    def near(self, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the pairs of ``units`` that are closer than ``apart`` on one insertion.

        Examples
        --------
        >>> place = Place(np.array([0, 0, 1]), np.array([0.0, 20.0, 20.0]), 50.0)
        >>> [i.tolist() for i in place.near(np.ones(3, dtype=bool))]
        [[0], [1]]
        """
        one, depth = self.insertion[units], self.depth[units]
        close = np.abs(depth[:, None] - depth) < self.apart
        close &= (one[:, None] == one) & (one >= 0)
        i, j = np.nonzero(np.triu(close, 1))
        return i, j


def block_sums(
    a: np.ndarray, b: np.ndarray, code: np.ndarray, n: int, near: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Sum ``(a_i . b_j + a_j . b_i) / 2`` over the pairs of units of each pair of blocks.

    Parameters
    ----------
    a, b : ndarray (n_units, n_samples)
    code : ndarray of int (n_units,)
        Block of each unit, from 0.
    n : int
        Blocks.
    near : tuple of two ndarray of int
        Pairs ``i < j`` that are left out.

    Returns
    -------
    ndarray of float64 (n, n)
        Symmetric; a pair within a block counts twice, a unit with itself never.

    Examples
    --------
    >>> one, none = np.ones((3, 1)), np.zeros(0, dtype=int)
    >>> block_sums(one, one, np.array([0, 0, 1]), 2, (none, none)).tolist()
    [[2.0, 2.0], [2.0, 0.0]]
    """
    member = (code == np.arange(n)[:, None]).astype(np.float64)
    total = (member @ a) @ (member @ b).T
    total = (total + total.T) / 2
    total -= np.diag(member @ np.einsum("us,us->u", a, b))
    i, j = near
    if i.size:
        pairs = np.einsum("us,us->u", a[i], b[j]) + np.einsum("us,us->u", a[j], b[i])
        np.subtract.at(total, (code[i], code[j]), pairs / 2)
        np.subtract.at(total, (code[j], code[i]), pairs / 2)
    return np.asarray(total)


def pair_correlations(
    counts: np.ndarray,
    units: np.ndarray,
    cells: np.ndarray,
    keys: np.ndarray,
    ids: Sequence[int],
    code: np.ndarray,
    n: int,
    place: Place,
    trials: Trials | None,
    options: Options,
) -> dict[str, Any]:
    """Average the correlations of the pairs of units of each pair of blocks.

    Parameters
    ----------
    counts, units, cells, keys, ids
        See the module.
    code : ndarray of int (n_units,)
        Block of each unit, from 0; -1 for none.
    n : int
        Blocks.
    place : Place
    trials : Trials, optional
        For ``"noise"`` and ``"signal"``.
    options : Options

    Returns
    -------
    dict
        ``correlation`` (less ``chance``), ``chance``, ``chance_sd``, ``n_pairs``, ``rate`` (Hz),
        ``note``, each (n, n, n_cells).
    """
    shape = (n, n, counts.shape[1])
    names = ("correlation", "chance", "chance_sd", "n_pairs", "rate")
    out: dict[str, Any] = {name: np.full(shape, np.nan) for name in names}
    out["note"] = np.full(shape, "not observed for all units", dtype=object)
    units = units & (code >= 0)
    code, near = code[units], place.near(units)
    samples = samples_of_cells(counts[units], cells, trials, options, out["note"])
    if not samples:
        return out
    rates = np.stack([s.rate for s in samples], axis=1)
    asked = np.where(np.eye(n, dtype=bool), options.within, options.across)
    few = np.bincount(code, minlength=n) < options.min_units
    told = NOT_WHOLE if options.match_rates and not is_whole(counts[units]) else ""
    drawn = []
    for d, rows in _draws(counts[units], keys[units], ids, samples, rates, options):
        found = []
        for sample, x in zip(samples, rows, strict=True):
            a, b = sample.normed(x, options)
            varies = np.asarray(a.any(axis=1) & b.any(axis=1), dtype=np.float64)[:, None]
            size = block_sums(varies, varies, code, n, near)
            size[size < 0.5] = np.nan
            mean = block_sums(a, b, code, n, near) / size
            chance = np.zeros((max(options.n_shifts, 1), n, n))
            for s in range(options.n_shifts):
                path = (options.seed, _SHIFT, ids[sample.cell], d, s)
                c, e = (sample.shifted(y, keys[units], path) for y in (a, b))
                chance[s] = block_sums(c, e, code, n, near) / size
            rate = varies * sample.rate_of(x)[:, None] / options.bin_width
            of_pairs = block_sums(rate, varies, code, n, near) / size
            sd = chance.std(axis=0, ddof=1) if options.n_shifts > 1 else np.full((n, n), np.nan)
            found.append((mean - chance.mean(axis=0), chance.mean(axis=0), sd, size, of_pairs))
        drawn.append(found)
    n_times = np.where(np.eye(n, dtype=bool), 2.0, 1.0)  # that a pair counts in a sum
    for k, sample in enumerate(samples):
        values = [np.stack(v) for v in zip(*(found[k] for found in drawn), strict=True)]
        good = asked & ~few[:, None] & ~few
        for name, value in zip(names, values, strict=True):
            one = value.min(axis=0) / n_times if name == "n_pairs" else value.mean(axis=0)
            out[name][..., sample.cell] = np.where(good, one, np.nan)
        note = np.where(np.isnan(values[0].mean(axis=0)), "no pair that varies and is apart", told)
        note = np.where(few[:, None] | few, f"fewer units than min_units={options.min_units}", note)
        out["note"][..., sample.cell] = np.where(asked, note, "not asked for")
    return out


def population_couplings(
    counts: np.ndarray,
    units: np.ndarray,
    cells: np.ndarray,
    keys: np.ndarray,
    ids: Sequence[int],
    place: Place,
    options: Options,
) -> dict[str, Any]:
    """Correlate each unit with the summed rate of the others.

    Parameters
    ----------
    counts, units, cells, keys, ids
        See the module.
    place : Place
        Units that are near are not among a unit's others.
    options : Options

    Returns
    -------
    dict
        ``coupling`` (less ``chance``), ``chance``, ``chance_sd``, ``rate`` (Hz), ``note``, each
        (n_units, n_cells).
    """
    shape = counts.shape[:2]
    names = ("coupling", "chance", "chance_sd", "rate")
    out: dict[str, Any] = {name: np.full(shape, np.nan) for name in names}
    out["note"] = np.full(shape, "silent, or not observed in all that is compared", dtype=object)
    n, near = int(units.sum()), place.near(units)
    if n < options.min_units:
        out["note"][units] = f"{n} units, fewer than min_units={options.min_units}"
        return out
    notes = np.full((1, 1, shape[1]), "not observed for all units", dtype=object)
    samples = samples_of_cells(counts[units], cells, None, options, notes)
    out["note"][units] = notes[0]
    if not samples:
        return out
    rates = np.stack([s.rate for s in samples], axis=1)
    told = NOT_WHOLE if options.match_rates and not is_whole(counts[units]) else ""
    drawn = []
    for d, rows in _draws(counts[units], keys[units], ids, samples, rates, options):
        found = []
        for sample, x in zip(samples, rows, strict=True):
            y = windows_of(x[:, : sample.n_bins], options.window)
            y = scaled(y.T, scale="center", n_slow=options.n_slow(y.shape[1])).T
            rest = _rest_of(y, near)
            length = np.sqrt(np.square(y).sum(axis=1) * np.square(rest).sum(axis=1))
            gain = 1 / np.where(length > 1e-9, length, np.nan)
            value = gain * np.einsum("ut,ut->u", y, rest)
            chance = np.zeros((max(options.n_shifts, 1), n))
            for s in range(options.n_shifts):
                path = (options.seed, _SHIFT, ids[sample.cell], d, s)
                moved = shift_circularly(y, stream_keys(keys[units], *path))
                chance[s] = gain * np.einsum("ut,ut->u", moved, rest)
            sd = chance.std(axis=0, ddof=1) if options.n_shifts > 1 else np.full(n, np.nan)
            mean, rate = chance.mean(axis=0), sample.rate_of(x) / options.bin_width
            found.append((value - mean, mean + 0 * gain, sd + 0 * gain, rate))
        drawn.append(found)
    for k, sample in enumerate(samples):
        values = [np.mean(v, axis=0) for v in zip(*(found[k] for found in drawn), strict=True)]
        for name, value in zip(names, values, strict=True):
            out[name][units, sample.cell] = value
        note = np.where(np.isnan(values[0]), "it or the others do not vary", told)
        out["note"][units, sample.cell] = note
    return out


def _rest_of(y: np.ndarray, near: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return for each unit the sum of the others that are not near: the total less these."""
    rest = y.sum(axis=0) - y
    i, j = near
    np.subtract.at(rest, i, y[j])
    np.subtract.at(rest, j, y[i])
    return np.asarray(rest)


def _draws(
    rows: np.ndarray,
    keys: np.ndarray,
    ids: Sequence[int],
    samples: Sequence[Sample],
    rates: np.ndarray,
    options: Options,
) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Yield the counts (n_units, n_bins) of each sample, thinned anew in each draw to one rate."""
    observed = [rows[:, s.cell, : s.n_bins] for s in samples]
    spikes = options.match_rates and is_whole(rows)
    keep = equal_rate_share(rates) if spikes else np.ones_like(rates)
    if not (keep < 1).any():
        yield 0, observed
        return
    for d in range(options.draws):
        path = [(options.seed, _THIN, d, ids[s.cell]) for s in samples]
        yield (
            d,
            [thin(x, keep[:, k], stream_keys(keys, *path[k])) for k, x in enumerate(observed)],
        )
