"""Dimensionality of populations: equal numbers of units, equal rates, every session at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.population import (
    Field,
    Population,
    binned,
    cell_keys,
    map_groups,
    n_observed_bins,
    population,
    result_attrs,
    result_coords,
    seed_of,
    unit_keys,
)
from lsdx.errors import SelectionError, located

# measure -> units, what it is; in the order of the columns that the functions below fill
MEASURES = {
    "pc1": ("1", "Share of variance of the first principal component"),
    "n_components": ("1", "Components that hold the share of variance `level`"),
    "participation_ratio": ("1", "Participation ratio"),
    "ngsc": ("1", "Normalized global spatial complexity"),
    "power_law_slope": ("1", "Slope of log(variance) on log(rank)"),
    "mean_squared_correlation": ("1", "Mean squared correlation of pairs of units, unbiased"),
    "participation_ratio_unbiased": ("1", "Participation ratio, unbiased"),
}
# on request, for they cost many spectra each
COSTLY = {
    "parallel_analysis": ("1", "Components above those of units shifted in time"),
    "shared_variance": ("1", "Share of variance that two halves of the units have in common"),
}
_ZSCORED = ("mean_squared_correlation", "participation_ratio_unbiased", "shared_variance")
EXTRAS = ("spectrum", "draws", *COSTLY)
_STRIP = 100.0  # um, the strips of depth whose units go to alternate halves
_GAP = 20.0  # s, between the halves of the time
_N_SHIFTS = 19
_CHOICE, _THIN, _SHIFT = 0, 1, 2  # purposes of random numbers
_Correlations = tuple[np.ndarray, np.ndarray, float]  # r, which units vary, chance


@dataclass(frozen=True)
class _Options:
    """What is computed of each matrix, and how."""

    names: tuple[str, ...]
    scale: Any
    level: float
    ranks: tuple[int, int]
    match_rates: bool
    draws: int
    min_units: int
    seed: int
    n_ranks: int
    gap: int
    include: frozenset[str]


def dimensionality(
    ds: xr.Dataset,
    *,
    by: str | Sequence[str] = "session",
    scale: Any = "zscore",
    match_units: str | int | None = "min",
    match_rates: bool = True,
    min_units: int = 20,
    min_spikes: float = 30,
    draws: int = 20,
    include: Collection[str] = (),
    level: float = 0.8,
    ranks: tuple[int, int] = (11, 500),
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Measure how many dimensions the activity of each population has.

    All measures grow with the number of units and change with firing rates, though the
    population's structure stays what it is. By default both are made equal: each draw takes as
    many units of each group as the smallest group has, the same ones in all that is compared
    (phases, epochs, windows), and thins each to its lowest rate there.

    Parameters
    ----------
    ds : Dataset
        With ``counts`` (of spikes, not rates) over (unit, ..., time): of `lsdx.open_units`,
        ``spikes.lsd.bin`` or ``spikes.lsd.sliding``.
    by : str or sequence of str
        Labels on ``unit`` that make the groups, of units recorded together: ``"session"``,
        ``["session", "region"]``, ``"insertion"``.
    scale : {"zscore", "center"}, callable or transformer
        What is done to each matrix (n_bins, n_units) first. A callable gives another of the
        same shape; a scikit-learn transformer is cloned and fitted to each. What either gives
        is centred.
    match_units : {"min"}, int or None
        Units of each draw: as many as the smallest group of at least ``min_units`` has, a
        number, or all.
    match_rates : bool
        Whether each draw thins each unit binomially to its lowest rate among what is compared.
    min_units : int
        Groups of fewer used units are NaN.
    min_spikes : float
        A unit with fewer spikes in any that is compared is silent, and left out of all.
    draws : int
        Draws of units and spikes.
    include : collection of str
        On request: ``"spectrum"``; ``"draws"`` (every draw's value); ``"parallel_analysis"``
        and ``"shared_variance"``, which cost many spectra each.
    level : float
        Share of the variance of ``n_components``.
    ranks : (int, int)
        Ranks of the fit of ``power_law_slope``, weighted by 1 / rank; the last is capped at the
        last there is.
    rng : Generator or int, optional
        Of the draws; ``rng=int(result.attrs["seed"])`` gives them again.

    Returns
    -------
    Dataset
        Over the groups, then phase, epoch or window: one variable a measure, float64. Where
        none is defined ``note`` says why; ``power_law_slope`` alone is NaN for fewer than three
        ranks, ``participation_ratio_unbiased`` where the 95 % interval of
        ``mean_squared_correlation`` holds 0. ``<measure>_draw_sd`` is the spread over draws
        (how much the choice matters; not an error bar), ``<measure>_unmatched`` what all units
        at their own rates give. ``n_units`` used, ``n_units_matched`` in each draw, ``n_bins``.
        Lazy where the counts are: one task a session; the same numbers whatever the chunks.
        Compute it as a whole: each variable alone computes all of them.

    Raises
    ------
    SelectionError
        For labels that do not exist, groups across sessions, or an argument out of range.

    Notes
    -----
    `lsdx.kernels.dimensionality` has the formulas. All that is compared in a group is cut to
    the same number of bins, the smallest, counted from each start. Units must have been
    observed in all that is compared; what some of a group's units were not observed in is NaN.
    ``mean_squared_correlation`` is free of the bias of few and of dependent bins: what units
    have after independent circular shifts is taken out. The session's course confounds drug
    and time: compare with saline.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units(demo_stores)
    >>> d = u.lsd.dimensionality(by="session", min_units=10, draws=2, rng=0).compute()
    >>> d.ngsc.dims
    ('session', 'phase', 'epoch')
    >>> bool(d.ngsc.max() <= 1)
    True
    """
    options = _options(scale, match_rates, draws, min_units, include, level, ranks, rng)
    if not (match_units is None or match_units == "min" or _is_count(match_units, 2)):
        raise _wrong("match_units", "'min', None or a number of at least 2", match_units)
    if not min_spikes > 0:
        raise _wrong("min_spikes", "a number above 0", min_spikes)
    ds = binned(ds, "dimensionality")
    pop = population(ds, by, min_spikes, "dimensionality")
    n_matched = _matched_size(pop, match_units, min_units)
    keys = unit_keys(ds)
    half = _depth_halves(ds) if "shared_variance" in options.include else np.zeros(keys.size, bool)
    shape = (pop.n_cells,)
    largest = max((r.size for r in pop.groups.rows), default=0)
    n_ranks = max(0, min(largest, pop.counts.sizes["time"] - 1))
    options = replace(options, n_ranks=n_ranks, gap=round(_GAP / ds.attrs["bin_width"]))
    matched = match_units is not None or match_rates
    fields = {
        "value": Field((len(options.names), *shape)),
        "n_bins": Field(shape, fill=0.0),
        "note": Field(shape, object, "no units"),
        "n_units": Field((), fill=0.0),
    }
    if matched:
        fields |= dict.fromkeys(("draw_sd", "unmatched"), fields["value"])
        fields["n_units_matched"] = Field((), fill=0.0)
    if matched and "draws" in options.include:
        fields["draws"] = Field((len(options.names), *shape, options.draws))
    if "spectrum" in options.include:
        kinds = ["spectrum", *(["spectrum_unmatched"] if matched else [])]
        if "parallel_analysis" in options.include:
            kinds += ["spectrum_shifted_low", "spectrum_shifted_high"]
        fields |= {kind: Field((*shape, options.n_ranks)) for kind in kinds}
    ids = cell_keys(pop)
    arguments = [(keys[r], half[r], ids, n_matched, matched, options) for r in pop.groups.rows]
    arrays = map_groups(pop, _measure_group, arguments, fields)
    return _labelled(pop, arrays, options, ds).assign_attrs(
        by=", ".join(pop.groups.dims),
        scale=scale if isinstance(scale, str) else repr(scale),
        match_units=str(match_units),
        match_rates=int(match_rates),
        min_units=min_units,
        min_spikes=min_spikes,
        draws=options.draws if matched else 0,
        seed=str(options.seed),
    )


def _options(
    scale: Any,
    match_rates: bool,
    draws: int,
    min_units: int,
    include: Collection[str],
    level: float,
    ranks: tuple[int, int],
    rng: Any,
) -> _Options:
    chosen = frozenset([include] if isinstance(include, str) else include)
    if unknown := chosen - set(EXTRAS):
        raise _wrong("include", "some of " + ", ".join(EXTRAS), ", ".join(sorted(unknown)))
    if not (callable(scale) or hasattr(scale, "fit_transform") or scale in ("zscore", "center")):
        raise _wrong("scale", "'zscore', 'center', a callable or a transformer", scale)
    for name, value, least in (("draws", draws, 1), ("min_units", min_units, 2)):
        if not _is_count(value, least):
            raise _wrong(name, f"a whole number of at least {least}", value)
    if not 0 < level <= 1:
        raise _wrong("level", "a share above 0 and up to 1", level)
    if not 1 <= ranks[0] < ranks[1]:
        raise _wrong("ranks", "1 <= first < last", ranks)
    names = (*MEASURES, *(n for n in COSTLY if n in chosen))
    if scale != "zscore":
        names = tuple(n for n in names if n not in _ZSCORED)
        if "shared_variance" in chosen:
            raise _wrong("include", "shared_variance with scale='zscore' alone", scale)
    return _Options(
        names=names,
        scale=scale,
        level=level,
        ranks=(int(ranks[0]), int(ranks[1])),
        match_rates=bool(match_rates),
        draws=draws,
        min_units=min_units,
        seed=seed_of(rng),
        n_ranks=0,
        gap=0,
        include=chosen,
    )


def _is_count(value: Any, least: int) -> bool:
    """Tell whether it is a whole number of at least ``least``."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return bool(whole and value >= least)


def _wrong(name: str, expected: str, found: Any) -> SelectionError:
    return SelectionError(located(f"dimensionality, {name}", expected, repr(found), "Correct it."))


def _depth_halves(ds: xr.Dataset) -> np.ndarray:
    """Put units of alternate strips of depth, within each probe and region, into two halves."""
    missing = [n for n in ("depth", "region", "insertion") if n not in ds.coords]
    if missing:
        raise SelectionError(
            located(
                "dimensionality, include='shared_variance'",
                "the labels depth, region and insertion on unit",
                "no " + ", ".join(missing),
                "Keep them.",
            )
        )
    place = pd.DataFrame({n: ds[n].values for n in ("insertion", "region", "depth")})
    lowest = place.groupby(["insertion", "region"])["depth"].transform("min")
    strip = np.floor((place["depth"] - lowest) / _STRIP)
    return np.asarray(strip.fillna(0).to_numpy() % 2 == 1)


def _matched_size(pop: Population, match_units: str | int | None, min_units: int) -> Any:
    """Give the number of units of each draw, 0 for all; -1 where no group has enough."""
    if match_units is None:
        return 0
    if match_units != "min":
        return int(match_units)
    if any(hasattr(u, "dask") for u in pop.used):
        from dask.delayed import delayed

        return delayed(_smallest, pure=True)(list(pop.used), min_units)
    return int(_smallest(pop.used, min_units))


def _smallest(used: Sequence[tuple[np.ndarray, ...]], min_units: int) -> int:
    sizes = [int(units.sum()) for units, cells in used if cells.any()]
    return min((n for n in sizes if n >= min_units), default=-1)


# ---- one group ------------------------------------------------------------------------------


def _measure_group(
    counts: np.ndarray,
    units: np.ndarray,
    cells: np.ndarray,
    keys: np.ndarray,
    half: np.ndarray,
    ids: Sequence[int],
    n_matched: int,
    matched: bool,
    options: _Options,
) -> dict[str, Any]:
    """Measure one group: counts (n_units, n_cells, n_bins); NaN and a note where it cannot be."""
    n_cells = counts.shape[1]
    out: dict[str, Any] = {
        "value": np.full((len(options.names), n_cells), np.nan),
        "n_bins": np.zeros(n_cells),
        "note": np.full(n_cells, "", dtype=object),
        "n_units": int(units.sum()),
        "n_units_matched": 0,
    }
    out |= {n: np.full_like(out["value"], np.nan) for n in ("draw_sd", "unmatched")}
    out["draws"] = np.full((len(options.names), n_cells, options.draws), np.nan)
    for kind in ("", "_unmatched", "_shifted_low", "_shifted_high"):
        out[f"spectrum{kind}"] = np.full((n_cells, options.n_ranks), np.nan)
    why = _why_not(units, cells, n_matched, options)
    lengths = np.array(
        [n_observed_bins(counts[units, c]) if cells[c] else 0 for c in range(n_cells)]
    )
    for c in range(n_cells):
        if not cells[c]:
            seen = np.isfinite(counts[:, c]).any(axis=1).sum()
            out["note"][c] = (
                f"observed for {seen} of {units.size} units" if seen else "not observed"
            )
        elif lengths[c] < 0:
            out["note"][c] = "NaN bins among those observed"
        elif lengths[c] < 2:
            out["note"][c] = "fewer than 2 bins"
        else:
            out["note"][c] = why
    good = np.flatnonzero(cells & (lengths >= 2)).tolist()
    too_few = int(units.sum()) < max(options.min_units, 1)
    if too_few or not good:
        return out
    n_bins = int(lengths[good].min())
    out["n_bins"][good] = n_bins
    for c in [c for c in good if lengths[c] > 1.1 * n_bins]:
        out["note"][c] = f"cut from {lengths[c]} to {n_bins} bins, as the shortest has"
    rows = np.ascontiguousarray(counts[units][:, good, :n_bins])
    keys, half = keys[units], half[units]
    name = "unmatched" if matched else "value"
    for k, c in enumerate(good):
        values, _, spectra = _measure(rows[:, k], keys, half, ids[c], 0, options)
        out[name][:, c] = values
        if matched:
            spectra = {n: s for n, s in spectra.items() if n == "spectrum"}
        _keep_spectra(out, spectra, c, "_unmatched" if matched else "")
    if matched and not why:
        out["n_units_matched"] = n_matched or int(units.sum())
        _draw(out, rows, keys, half, good, [ids[c] for c in good], options)
    return out


def _why_not(units: np.ndarray, cells: np.ndarray, n_matched: int, options: _Options) -> str:
    n = int(units.sum())
    if not n:
        return "no unit fires enough in all that is compared" if cells.any() else "not observed"
    if n < options.min_units:
        return f"{n} units, fewer than min_units={options.min_units}"
    if n < n_matched:
        return f"{n} units, fewer than match_units={n_matched}: unmatched alone"
    return ""


def _draw(
    out: dict[str, Any],
    rows: np.ndarray,
    keys: np.ndarray,
    half: np.ndarray,
    good: Sequence[int],
    ids: Sequence[int],
    options: _Options,
) -> None:
    """Fill in the means and spreads over draws of units and of spikes."""
    from lsdx.kernels.dimensionality import reciprocal_beyond_zero
    from lsdx.kernels.resampling import stream_keys, thin

    n = out["n_units_matched"]
    totals = rows.sum(axis=-1, dtype=np.float64)
    keep = totals.min(axis=1, keepdims=True) / totals
    thinned = options.match_rates and bool((keep < 1).any())
    if thinned and ((rows < 0) | (rows != np.rint(rows))).any():
        raise SelectionError(
            located(
                "dimensionality, match_rates=True",
                "counts of spikes, which can be thinned",
                "numbers that are negative or not whole",
                "Pass counts, or match_rates=False.",
            )
        )
    alike = not thinned and n == keys.size
    n_draws = 1 if alike else options.draws
    known: list[_Correlations | None] = [None] * len(good)
    if not thinned and options.scale == "zscore":
        known = [_correlate(rows[:, k].T, keys, i, 0, options) for k, i in enumerate(ids)]
    values = np.full((n_draws, len(options.names), len(good)), np.nan)
    errors = np.full((n_draws, len(good)), np.nan)
    spectra: list[list[dict[str, np.ndarray]]] = []
    for d in range(n_draws):
        chosen = np.sort(np.argsort(stream_keys(keys, options.seed, _CHOICE, d))[:n])
        mine = keys[chosen]
        spectra.append([])
        for k, i in enumerate(ids):
            x = rows[chosen, k]
            if thinned:
                x = thin(x, keep[chosen, k], stream_keys(mine, options.seed, _THIN, d, i))
            values[d, :, k], errors[d, k], found = _measure(
                x, mine, half[chosen], i, d, options, _part_of(known[k], chosen)
            )
            spectra[d].append(found)
    out["value"][:, good] = values.mean(axis=0)
    # no choice and no thinning: all draws are this one; else one draw has no spread
    alone = np.where(np.isfinite(values[0]), 0.0 if alike else np.nan, np.nan)
    out["draw_sd"][:, good] = values.std(axis=0, ddof=1) if n_draws > 1 else alone
    out["draws"][:, good, :n_draws] = np.moveaxis(values, 0, -1)
    if alike:
        out["draws"][:, good] = out["draws"][:, good, :1]
    if "participation_ratio_unbiased" in options.names:
        # of the mean over draws: a draw whose interval holds 0 is no reason to leave it out
        msc, ratio = (options.names.index(f) for f in _ZSCORED[:2])
        mean = out["value"][msc, good]
        out["value"][ratio, good] = reciprocal_beyond_zero(mean, errors.mean(axis=0))
    for k, c in enumerate(good):
        both = [{name: s[k][name] for name in s[k]} for s in spectra]
        mean_of = {name: np.mean([s[name] for s in both], axis=0) for name in both[0]}
        _keep_spectra(out, mean_of, c, "")


def _keep_spectra(
    out: dict[str, Any], spectra: dict[str, np.ndarray], cell: int, kind: str
) -> None:
    for name, values in spectra.items():
        key = f"spectrum{kind}" if name == "spectrum" else name
        out[key][cell, : values.size] = values


def _shift_keys(keys: np.ndarray, cell: int, draw: int, options: _Options) -> np.ndarray:
    from lsdx.kernels.resampling import stream_keys

    return stream_keys(keys, options.seed, _SHIFT, draw, cell)


def _correlate(
    x: np.ndarray, keys: np.ndarray, cell: int, draw: int, options: _Options
) -> _Correlations:
    """Correlate units (n_bins, n_units): which vary, and what chance alone gives."""
    from lsdx.kernels.dimensionality import chance_squared_correlation, correlations

    chance = chance_squared_correlation(x, _shift_keys(keys, cell, draw, options))
    return (*correlations(x), chance)


def _part_of(known: _Correlations | None, chosen: np.ndarray) -> _Correlations | None:
    if known is None:
        return None
    r, varies, chance = known
    return r[np.ix_(chosen, chosen)], varies[chosen], chance


def _measure(
    counts: np.ndarray,
    keys: np.ndarray,
    half: np.ndarray,
    cell: int,
    draw: int,
    options: _Options,
    known: _Correlations | None = None,
) -> tuple[list[float], float, dict[str, np.ndarray]]:
    """Measure one matrix (n_units, n_bins), unless its correlations are known.

    Gives the values by measure, the error of the mean squared correlation, and spectra.
    """
    from lsdx.kernels import dimensionality as kernel

    x = _scaled(counts.T, options.scale)
    scale = "zscore" if options.scale == "zscore" else "center"
    value: dict[str, float] = {}
    error = np.nan
    if scale == "zscore":
        n_bins = x.shape[0]
        r, varies, chance = known or _correlate(x, keys, cell, draw, options)
        if x.shape[1] <= n_bins:
            spectrum = kernel.spectrum_of_correlations(r, varies, n_bins)
        else:
            spectrum = kernel.explained_variance(x)
        msc, spread = kernel.mean_square_of(r, varies, bias=chance)
        error = float(spread)
        value["mean_squared_correlation"] = float(msc)
        unbiased = kernel.reciprocal_beyond_zero(msc, spread)
        value["participation_ratio_unbiased"] = float(unbiased)
    else:
        spectrum = kernel.explained_variance(x, scale=scale)
    shifts = _shift_keys(keys, cell, draw, options)
    value["pc1"] = float(kernel.pc1(spectrum))
    value["n_components"] = float(kernel.n_components(spectrum, level=options.level))
    value["participation_ratio"] = float(kernel.participation_ratio(spectrum))
    value["ngsc"] = float(kernel.ngsc(spectrum))
    value["power_law_slope"] = float(kernel.power_law_slope(spectrum, ranks=options.ranks))
    spectra = {"spectrum": spectrum} if "spectrum" in options.include else {}
    if "parallel_analysis" in options.include:
        null = kernel.shifted_spectra(x, scale=scale, n_shifts=_N_SHIFTS, keys=shifts)
        count = kernel.n_above(spectrum, null.max(axis=0))
        value["parallel_analysis"] = float(count) if count >= 0 else np.nan
        if spectra:
            spectra["spectrum_shifted_low"] = null.min(axis=0)
            spectra["spectrum_shifted_high"] = null.max(axis=0)
    if "shared_variance" in options.include:
        value["shared_variance"] = kernel.shared_variance(x, half, gap=options.gap, keys=shifts)
    return [value[n] for n in options.names], error, spectra


def _scaled(x: np.ndarray, scale: Any) -> np.ndarray:
    """Apply what the caller wants done to a matrix, unless the kernels do it."""
    if isinstance(scale, str):
        return x
    if hasattr(scale, "fit_transform"):
        from sklearn.base import clone

        done = clone(scale).fit_transform(x.astype(np.float64))
    else:
        call: Callable[[np.ndarray], Any] = scale
        done = call(x.astype(np.float64))
    done = np.asarray(done, dtype=np.float64)
    if done.shape != x.shape or not np.isfinite(done).all():
        raise SelectionError(
            located(
                "dimensionality, scale",
                f"finite values of shape {x.shape} from {scale!r}",
                f"shape {done.shape}" if done.shape != x.shape else "NaN or infinity",
                "Correct it.",
            )
        )
    return done


# ---- labels ---------------------------------------------------------------------------------


def _labelled(
    pop: Population, arrays: dict[str, Any], options: _Options, ds: xr.Dataset
) -> xr.Dataset:
    dims, cells, lengths = pop.groups.dims, pop.cells, pop.cell_shape
    n_groups = len(dims)

    def spread_cells(array: Any, *more: str) -> tuple[tuple[str, ...], Any]:
        """Give the cells their own dimensions, after the groups'."""
        shape = (*pop.groups.shape, *lengths, *array.shape[n_groups + 1 :])
        return (*dims, *cells, *more), array.reshape(shape)

    data: dict[str, Any] = {}
    about = MEASURES | COSTLY
    for suffix, key, told in (
        ("", "value", ""),
        ("_draw_sd", "draw_sd", ": spread over draws; not an error bar"),
        ("_unmatched", "unmatched", ": all units at their own rates"),
        ("_draws", "draws", ": each draw"),
    ):
        for i, name in enumerate(options.names):
            if key not in arrays:
                continue
            array = arrays[key][(slice(None),) * n_groups + (i,)]
            units, words = about[name]
            attributes: dict[str, Any] = {"units": units, "long_name": words + told}
            if name == "power_law_slope":
                attributes["ranks"] = f"{options.ranks[0]} to {options.ranks[1]}, or to the last"
                attributes["weights"] = "1 / rank"
            if name == "n_components":
                attributes["level"] = options.level
            more = ("draw",) if key == "draws" else ()
            data[name + suffix] = (*spread_cells(array, *more), attributes)
    for name in [n for n in arrays if n.startswith("spectrum")]:
        words = "Share of variance" + name.removeprefix("spectrum").replace("_", " ")
        data[name] = (
            *spread_cells(arrays[name], "rank"),
            {"units": "1", "long_name": words},
        )
    data["n_bins"] = (
        *spread_cells(arrays["n_bins"]),
        {"units": "1", "long_name": "Bins used"},
    )
    data["note"] = (*spread_cells(arrays["note"]), {"long_name": "Why a value is NaN, or unlike"})
    for name, words in (
        ("n_units", "Units used"),
        ("n_units_matched", "Units of each draw"),
    ):
        if name in arrays:
            data[name] = (dims, arrays[name], {"units": "1", "long_name": words})
    coords = result_coords(pop)
    if "spectrum" in options.include:
        coords["rank"] = ("rank", np.arange(1, options.n_ranks + 1))
    if "share" in ds.variables and {"unit", "stimulus"} <= set(ds["share"].dims):
        # units of a group are of one session, whose course is the same for all of them
        share = ds["share"].transpose("unit", *cells, "stimulus")
        values = np.full((int(np.prod(pop.groups.shape)), *share.shape[1:]), np.nan)
        for place, rows in zip(pop.groups.place, pop.groups.rows, strict=True):
            values[place] = share.values[rows[0]]
        shape = (*pop.groups.shape, *share.shape[1:])
        data["share"] = ((*dims, *share.dims[1:]), values.reshape(shape), share.attrs)
        coords["stimulus"] = ds["stimulus"].variable
    return xr.Dataset(data, coords).assign_attrs(result_attrs(ds))
