"""Dimensionality of populations: equal numbers of units, equal rates, every session at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.grouping import Field, Population, map_groups, population, result_coords
from lsdx.analysis.inputs import binned, n_observed_bins, require_whole
from lsdx.analysis.results import result_attrs
from lsdx.analysis.seeds import cell_keys, seed_of, unit_keys
from lsdx.clock import to_seconds
from lsdx.errors import SelectionError, located

# measure -> units, what it is; in the order of the columns that the functions below fill. First
# those that spiking noise does not move
_UNBIASED = {
    "participation_ratio_unbiased": ("1", "Participation ratio, unbiased"),
    "mean_squared_correlation": ("1", "Mean squared correlation of pairs of units, unbiased"),
}
# these cost many spectra each: of the first draw alone, unless asked for
COSTLY = {
    "parallel_analysis": ("1", "Components above those of unrelated units"),
    "shared_variance": ("1", "Share of variance that two halves of the units have in common"),
}
_OF_SPECTRUM = {
    "pc1": ("1", "Share of variance of the first principal component"),
    "n_components": ("1", "Components that hold the share of variance `level`"),
    "participation_ratio": ("1", "Participation ratio"),
    "ngsc": ("1", "Normalized global spatial complexity"),
    "power_law_slope": ("1", "Slope of log(variance) on log(rank)"),
}
MEASURES = _UNBIASED | _OF_SPECTRUM
_ZSCORED = (*_UNBIASED, "shared_variance")
EXTRAS = ("spectrum", "draws", *COSTLY)
_STRIP = 100.0  # um, the strips of depth whose units go to alternate halves
_GAP = 20.0  # s, between the halves of the time
_N_SHIFTS = 2  # whose mean is taken out of shared_variance
_LEAST_FREEDOM = 20  # independent bins, without which slow fluctuations are all there is
_LIKE_NOISE = 0.1  # relative, between a measure and that of unrelated units
_QUANTILES = 101  # of the common distribution of rates
_RATIO = "participation_ratio_unbiased"
_LEVELS = "compare changes, not levels"
_CHOICE, _THIN, _SHIFT = 0, 1, 2  # purposes of random numbers


@dataclass(frozen=True)
class _Options:
    """What is computed of each matrix, and how."""

    names: tuple[str, ...]
    scale: Any
    level: float
    ranks: tuple[int, int]
    match_rates: bool | str
    detrend: float | None  # s, or share of the epoch below 1; what is slower is taken out
    regress: str | None
    levels: bool  # whether more groups than one stand beside each other, unmatched
    draws: int
    min_units: int
    seed: int
    n_ranks: int
    bin_width: float
    include: frozenset[str]

    def n_slow(self, n_bins: int) -> int:
        """Give how many cosines have longer periods than the cut-off."""
        if self.detrend is None:
            return 0
        periods = 1 / self.detrend
        if self.detrend >= 1:
            periods *= n_bins * self.bin_width
        return max(int(np.ceil(2 * periods - 1e-9)) - 1, 0)


def dimensionality(
    ds: xr.Dataset,
    *,
    by: str | Sequence[str] = "session",
    scale: Any = "zscore",
    match_units: str | int | None = None,
    match_rates: bool | str = True,
    detrend: str | float | None = "half",
    regress: str | xr.DataArray | None = None,
    min_units: int = 20,
    min_spikes: float = 30,
    draws: int = 10,
    include: Collection[str] = (),
    level: float = 0.8,
    ranks: tuple[int, int] = (11, 500),
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Measure how many dimensions the activity of each population has.

    All measures change with the number of units, with firing rates and with drift, though the
    population's structure stays what it is. By default what is compared within a group (phases,
    epochs, windows) has the same units, each thinned to its lowest rate there, and the same
    number of bins: compare changes of groups, not their levels. For levels make the groups alike
    too: ``match_units="min", match_rates="all"``.

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
        is centred. Measures of correlations, and ``shared_variance``, are of ``"zscore"`` alone.
    match_units : {"min"}, int or None
        Units of each draw: all; a number; or as many as the smallest group of at least
        ``min_units`` has, which takes power from all others.
    match_rates : bool or {"all"}
        Whether each draw thins each unit binomially to its lowest rate among what is compared.
        ``"all"``: and on to a common distribution of rates, at each quantile of a group's units
        the lowest of all groups; all groups then have the same number of bins, the smallest.
    detrend : {"half"}, str, float or None
        Cosines of longer periods than this are taken out of each unit: half the epoch, or a time
        such as ``"60 s"`` (a plain number is seconds). None: drift stays.
    regress : {"global"}, DataArray or None
        What is taken out of each unit first: the first component of the other units, or a
        covariate over ``time`` and any of ``session`` and what is compared. Weights and slopes
        come from the other half of the time. What has NaN in the covariate is NaN.
    min_units : int
        Groups of fewer used units are NaN.
    min_spikes : float
        A unit with fewer spikes in any that is compared is silent, and left out of all.
    draws : int
        Draws of units and spikes.
    include : collection of str
        On request: ``"spectrum"``; ``"draws"`` (every draw's value); ``"parallel_analysis"``
        and ``"shared_variance"`` of every draw: by default they are of the first. The quick
        single pass (``match_units=None, match_rates=False``) does not work them out unless asked.
        ``"shared_variance"`` needs ``depth``, ``region`` and ``insertion`` of units.
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
        Over the groups, then phase, epoch or window: one variable a measure, float64.
        First what spiking noise does not move: ``participation_ratio_unbiased``,
        ``mean_squared_correlation``, ``parallel_analysis``, ``shared_variance``; then the measures
        of the spectrum, each with ``<measure>_surrogate``, what unrelated units of the same rates
        and courses give: where both are alike, spikes are all it shows. ``<measure>_draw_sd`` is
        the spread over draws (how much the choice matters; not an error bar),
        ``<measure>_unmatched`` what all units at their own rates give, ``<measure>_undetrended``
        the same with their drift. ``n_units`` used, ``n_units_matched`` in each draw, ``n_bins``.
        ``note`` gives the reason of every NaN, by measure, and what to mind: what matching left
        out, which measures are like those of unrelated units (within 10 %), and whether levels of
        groups can be compared (attribute ``compare``). The single pass has none of the variables
        of draws, surrogates and drift.
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
    ``mean_squared_correlation`` is free of the bias of few and of dependent bins
    (`lsdx.kernels.dimensionality.chance_squared_correlation`);
    ``participation_ratio_unbiased`` is NaN where its 95 % interval holds 0, and where slow
    fluctuations leave fewer than 20 independent bins; both are where fewer than 20 bins are left
    beside the mean and the cosines. The session's course confounds drug and time: compare with
    saline.

    What doubling six latents of a log rate of sd .5 does (units of 4 Hz in the middle, epochs of
    300 s, latents of tau 2 s, 150 sessions), by number of units: the share of sessions in which
    a measure goes the right way (down: ``pc1`` and ``shared_variance``), and in which it stands
    out of 95 % of unchanged sessions:

    ==============================  =======  =======  ========  ========  ========
    units                           6        10       20        40        80
    ==============================  =======  =======  ========  ========  ========
    ngsc                            89, 25   92, 35   99, 69    100, 91   100, 99
    pc1                             85, 35   91, 34   90, 42    99, 80    100, 83
    participation_ratio_unbiased    none     none     55, 47    100, 97   100, 100
    parallel_analysis               3, 0     8, 0     7, 0      27, 3     100, 100
    shared_variance                 none     82, 25   85, 41    99, 61    95, 67
    ==============================  =======  =======  ========  ========  ========

    Independent units that drift (tau 60 or 300 s, trends of half an sd, rates that go from x .7
    to x 1.4) have a ``participation_ratio_unbiased`` in no set of 40, and a component by
    ``parallel_analysis`` in 0 to 5 %.

    A common gain of sd .3 (tau 5 s, 200 units of 5 Hz, six latents) raises the mean squared
    correlation from .0028 to .0051; ``regress="global"`` brings it to .0036, the gain itself as
    a covariate to .0037. Where there is no gain, ``"global"`` takes out a latent: .0022.

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
    matched = match_units is not None or match_rates is not False
    options = _options(
        scale, match_rates, detrend, regress, draws, min_units, include, level, ranks, rng, matched
    )
    if not (match_units is None or match_units == "min" or _is_count(match_units, 2)):
        raise _wrong("match_units", "'min', None or a number of at least 2", match_units)
    if not min_spikes > 0:
        raise _wrong("min_spikes", "a number above 0", min_spikes)
    ds = binned(ds, "dimensionality")
    pop = population(ds, by, min_spikes, "dimensionality")
    common = _common(pop, ds, match_units, match_rates, min_units)
    keys = unit_keys(ds)
    placed = {"depth", "region", "insertion"} <= set(ds.coords)
    if not placed and "shared_variance" not in options.include:
        names = tuple(n for n in options.names if n != "shared_variance")
        options = replace(options, names=names)
    split = "shared_variance" in options.names
    half = _depth_halves(ds) if split else np.zeros(keys.size, bool)
    shape = (pop.n_cells,)
    largest = max((r.size for r in pop.groups.rows), default=0)
    n_ranks = max(0, min(largest, pop.counts.sizes["time"] - 1))
    alike = match_units is not None and isinstance(match_rates, str)
    options = replace(
        options,
        n_ranks=n_ranks,
        bin_width=float(ds.attrs["bin_width"]),
        levels=len(pop.groups.rows) > 1 and not alike,
    )
    fields = {
        "value": Field((len(options.names), *shape)),
        "n_bins": Field(shape, fill=0.0),
        "note": Field(shape, object, "no units"),
        "n_units": Field((), fill=0.0),
    }
    if matched:
        fields |= dict.fromkeys(("draw_sd", "unmatched", "surrogate"), fields["value"])
        fields["n_units_matched"] = Field((), fill=0.0)
        if options.detrend is not None:
            fields["undetrended"] = fields["value"]
    if matched and "draws" in options.include:
        fields["draws"] = Field((len(options.names), *shape, options.draws))
    if "spectrum" in options.include:
        kinds = ["spectrum", *(["spectrum_unmatched", "spectrum_surrogate"] if matched else [])]
        fields |= {kind: Field((*shape, options.n_ranks)) for kind in kinds}
    ids = cell_keys(pop)
    covariates = _covariates(pop, regress)
    arguments = [
        (keys[r], half[r], ids, common, covariate, matched, options)
        for r, covariate in zip(pop.groups.rows, covariates, strict=True)
    ]
    arrays = map_groups(pop, _measure_group, arguments, fields)
    return _labelled(pop, arrays, options, ds).assign_attrs(
        by=", ".join(pop.groups.dims),
        scale=scale if isinstance(scale, str) else repr(scale),
        match_units=str(match_units),
        match_rates=match_rates if isinstance(match_rates, str) else int(match_rates),
        detrend="none" if detrend is None else str(detrend),
        regress="none" if regress is None else options.regress,
        compare="levels" if alike else "changes",
        min_units=min_units,
        min_spikes=min_spikes,
        draws=options.draws if matched else 0,
        seed=str(options.seed),
    )


def _options(
    scale: Any,
    match_rates: Any,
    detrend: Any,
    regress: Any,
    draws: int,
    min_units: int,
    include: Collection[str],
    level: float,
    ranks: tuple[int, int],
    rng: Any,
    matched: bool,
) -> _Options:
    chosen = frozenset([include] if isinstance(include, str) else include)
    if unknown := chosen - set(EXTRAS):
        raise _wrong("include", "some of " + ", ".join(EXTRAS), ", ".join(sorted(unknown)))
    if not (callable(scale) or hasattr(scale, "fit_transform") or scale in ("zscore", "center")):
        raise _wrong("scale", "'zscore', 'center', a callable or a transformer", scale)
    if not (isinstance(match_rates, bool) or match_rates == "all"):
        raise _wrong("match_rates", "True, False or 'all'", match_rates)
    given = isinstance(regress, xr.DataArray) and regress.dtype.kind in "fiub"
    if not (regress is None or given or (isinstance(regress, str) and regress == "global")):
        raise _wrong("regress", "'global', a DataArray over time, or None", regress)
    for name, value, least in (("draws", draws, 1), ("min_units", min_units, 2)):
        if not _is_count(value, least):
            raise _wrong(name, f"a whole number of at least {least}", value)
    if not 0 < level <= 1:
        raise _wrong("level", "a share above 0 and up to 1", level)
    if not 1 <= ranks[0] < ranks[1]:
        raise _wrong("ranks", "1 <= first < last", ranks)
    costly = tuple(n for n in COSTLY if matched or n in chosen)
    names = (*_UNBIASED, *costly, *_OF_SPECTRUM)
    if scale != "zscore":
        names = tuple(n for n in names if n not in _ZSCORED)
        if "shared_variance" in chosen:
            raise _wrong("include", "shared_variance with scale='zscore' alone", scale)
    return _Options(
        names=names,
        scale=scale,
        level=level,
        ranks=(int(ranks[0]), int(ranks[1])),
        match_rates=match_rates,
        detrend=_cutoff(detrend),
        regress="a covariate" if isinstance(regress, xr.DataArray) else regress,
        levels=False,
        draws=draws,
        min_units=min_units,
        seed=seed_of(rng),
        n_ranks=0,
        bin_width=0.0,
        include=chosen,
    )


def _cutoff(detrend: Any) -> float | None:
    if detrend is None or detrend == "half":
        return None if detrend is None else 0.5
    period = to_seconds(detrend, "dimensionality, detrend")
    if not period >= 1:
        raise _wrong("detrend", "'half', a period of at least 1 s, or None", detrend)
    return period


def _covariates(pop: Population, regress: Any) -> list[Any]:
    """Give the covariate of each group, (n_cells, n_bins); None without."""
    if not isinstance(regress, xr.DataArray):
        return [None] * len(pop.groups.rows)
    template = pop.counts.isel(unit=0, drop=True)
    template = template.drop_vars([c for c in template.coords if c not in template.dims])
    extra = set(regress.dims) - {"session", *template.dims}
    if extra or "time" not in regress.dims:
        raise SelectionError(
            located(
                "dimensionality, regress",
                "a covariate over time, and any of session, " + ", ".join(pop.cells),
                "dims " + ", ".join(map(str, regress.dims)),
                "Select one of what is more.",
            )
        )
    bare = regress.drop_vars([c for c in regress.coords if c not in regress.dims])
    of_unit = pop.counts["session"].values
    found = []
    try:
        for rows in pop.groups.rows:
            mine = bare.sel(session=of_unit[rows[0]], drop=True) if "session" in bare.dims else bare
            mine = xr.align(mine, template, join="exact", exclude=("session",))[0]
            mine = mine.broadcast_like(template).transpose(*template.dims)
            found.append(mine.data.reshape((-1, template.sizes["time"])))
    except (KeyError, ValueError) as error:  # of xarray: labels that differ
        raise SelectionError(
            located(
                "dimensionality, regress",
                "the labels and times of the counts",
                " ".join(str(error).split())[:200],
                "Bin it as the counts are: the same time, sessions and epochs.",
            )
        ) from error
    return found


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


@dataclass(frozen=True)
class _Common:
    """What groups have in common: units of each draw (0 for all), bins, a distribution of rates."""

    n_units: int
    n_bins: int | None = None
    quantiles: np.ndarray | None = None  # spikes a bin, at the middles of so many equal shares


def _common(
    pop: Population, ds: xr.Dataset, match_units: Any, match_rates: Any, min_units: int
) -> Any:
    """Give what the groups have in common, or the promise of it."""
    size = match_units if isinstance(match_units, int | np.integer) else match_units == "min"
    if not isinstance(match_units, str) and match_rates != "all":
        return _Common(int(match_units or 0))
    lazy = any(hasattr(u, "dask") for u in pop.used)
    flat: list[Any] = [None, None]
    if match_rates == "all":
        bins = (ds["duration"] / ds.attrs["bin_width"]).broadcast_like(ds["n_spikes"])
        for i, values in enumerate((ds["n_spikes"], bins)):
            ordered = values.transpose("unit", *pop.cells).data
            flat[i] = ordered.reshape((pop.counts.sizes["unit"], -1))
        lazy |= any(hasattr(v, "dask") for v in flat)
    arguments = (list(pop.used), list(pop.groups.rows), *flat, size, min_units)
    if lazy:
        from dask.delayed import delayed

        return delayed(_in_common, pure=True)(*arguments)
    return _in_common(*arguments)


def _in_common(
    used: Sequence[tuple[np.ndarray, np.ndarray]],
    rows: Sequence[np.ndarray],
    n_spikes: np.ndarray | None,
    bins: np.ndarray | None,
    size: int,
    min_units: int,
) -> _Common:
    groups = [
        (mine, units, cells)
        for mine, (units, cells) in zip(rows, used, strict=True)
        if cells.any() and units.sum() >= min_units
    ]
    if size is True:
        size = min((int(units.sum()) for _, units, _ in groups), default=-1)
    if n_spikes is None or bins is None or not groups:
        return _Common(size)
    share = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    lowest, n_bins = np.full(_QUANTILES, np.inf), np.inf
    for mine, units, cells in groups:
        at = np.ix_(mine[units], cells)
        n_bins = min(n_bins, float(np.rint(bins[at]).min()))
        rates = np.sort((n_spikes[at] / bins[at]).min(axis=1))
        places = (np.arange(rates.size) + 0.5) / rates.size
        lowest = np.minimum(lowest, np.interp(share, places, rates))
    return _Common(size, int(n_bins), lowest)


# ---- one group ------------------------------------------------------------------------------


def _measure_group(
    counts: np.ndarray,
    units: np.ndarray,
    cells: np.ndarray,
    keys: np.ndarray,
    half: np.ndarray,
    ids: Sequence[int],
    common: _Common,
    covariate: np.ndarray | None,
    matched: bool,
    options: _Options,
) -> dict[str, Any]:
    """Measure one group: counts (n_units, n_cells, n_bins); NaN and a note where it cannot be."""
    n_cells, n = counts.shape[1], int(units.sum())
    out: dict[str, Any] = {
        "value": np.full((len(options.names), n_cells), np.nan),
        "n_bins": np.zeros(n_cells),
        "n_units": n,
        "n_units_matched": 0,
    }
    kinds = ("draw_sd", "unmatched", "undetrended", "surrogate")
    out |= {kind: np.full_like(out["value"], np.nan) for kind in kinds}
    out["draws"] = np.full((len(options.names), n_cells, options.draws), np.nan)
    for kind in ("", "_unmatched", "_surrogate"):
        out[f"spectrum{kind}"] = np.full((n_cells, options.n_ranks), np.nan)
    why = _why_not(units, cells, common.n_units, options)
    notes, lengths = _observed(counts, units, cells, why, options)
    if covariate is not None:
        for c in np.flatnonzero(lengths > 0).tolist():
            if not np.isfinite(covariate[c][: lengths[c]]).all():
                notes[c], lengths[c] = "the covariate of regress is NaN or infinite in some bin", 0
    out["note"] = notes
    good = np.flatnonzero(lengths > 0).tolist()
    if n < max(options.min_units, 1) or not good:
        return out
    n_bins = int(lengths[good].min())
    if common.n_bins is not None:
        n_bins = min(n_bins, common.n_bins)
    if n_bins < 2 + options.n_slow(n_bins):
        notes[good] = f"fewer than {2 + options.n_slow(n_bins)} bins"
        return out
    out["n_bins"][good] = n_bins
    rows = np.ascontiguousarray(counts[units][:, good, :n_bins])
    group = _Group(
        rows,
        keys[units],
        half[units],
        [ids[c] for c in good],
        None if covariate is None else np.asarray(covariate)[good, :n_bins],
        options,
    )
    first = [group.measure(k, rows[:, k], costly=not matched) for k in range(len(good))]
    for k, c in enumerate(good):
        found = first[k]
        out["unmatched" if matched else "value"][:, c] = found.values
        _keep_spectrum(out, "spectrum_unmatched" if matched else "spectrum", c, found.spectrum)
        if matched and options.detrend is not None:
            drifting = replace(group, options=replace(options, detrend=None))
            out["undetrended"][:, c] = drifting.measure(k, rows[:, k], costly=False).values
    reasons = [found.reasons for found in first]
    if matched and not why:
        out["n_units_matched"] = common.n_units or n
        reasons = _draw(out, group, good, common)
    for k, c in enumerate(good):
        told = [notes[c]] if notes[c] else []
        if lengths[c] > 1.1 * n_bins:
            told.append(f"cut from {lengths[c]} to {n_bins} bins, as the shortest has")
        if 0 < out["n_units_matched"] < n / 2:
            told.append(f"{out['n_units_matched']} of {n} units in each draw")
        told += reasons[k]
        notes[c] = "; ".join([*told, *([_LEVELS] if options.levels else [])])
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


def _observed(
    counts: np.ndarray, units: np.ndarray, cells: np.ndarray, why: str, options: _Options
) -> tuple[np.ndarray, np.ndarray]:
    """Give a note on each cell, and how many bins of it can be used: 0 for none."""
    notes, lengths = np.full(cells.size, why, dtype=object), np.zeros(cells.size, dtype=np.int64)
    for c in range(cells.size):
        if not cells[c]:
            seen = np.isfinite(counts[:, c]).any(axis=1).sum()
            notes[c] = f"observed for {seen} of {units.size} units" if seen else "not observed"
            continue
        length = n_observed_bins(counts[units, c])
        least = 2 + options.n_slow(max(length, 0))
        if length < 0:
            notes[c] = "NaN bins among those observed"
        elif length < least:
            notes[c] = f"fewer than {least} bins"
        else:
            lengths[c] = length
    return notes, lengths


@dataclass(frozen=True)
class _Measured:
    """What one matrix gives: values by measure, and what that of the correlation rests on."""

    values: list[float]
    of_units: float  # error of the mean squared correlation
    of_time: float
    chance: float
    reasons: list[str]
    spectrum: np.ndarray
    surrogate: Sequence[float] = ()
    surrogate_spectrum: np.ndarray | None = None


@dataclass(frozen=True)
class _Group:
    """Counts of a group (n_units, n_cells, n_bins) of used units, and what its draws need."""

    rows: np.ndarray
    keys: np.ndarray
    half: np.ndarray
    ids: Sequence[int]
    covariate: np.ndarray | None  # (n_cells, n_bins)
    options: _Options

    def prepared(self, k: int, counts: np.ndarray) -> np.ndarray:
        """Give the matrix (n_bins, n_units) of cell k that is measured, before detrending."""
        x = counts.T
        if self.options.regress is not None:
            from lsdx.kernels.dimensionality import without_common

            x = without_common(x, None if self.covariate is None else self.covariate[k])
        return _scaled(x, self.options.scale)

    def measure(
        self,
        k: int,
        counts: np.ndarray,
        chosen: Any = slice(None),
        draw: int = 0,
        *,
        costly: bool,
        surrogates: bool = False,
        known: tuple[np.ndarray, np.ndarray] | None = None,
        chance: float | None = None,
    ) -> _Measured:
        """Measure units of cell k, (n_units, n_bins); correlations, and chance, may be known."""
        from lsdx.kernels import dimensionality as kernel
        from lsdx.kernels.resampling import stream_keys

        options = self.options
        x = self.prepared(k, counts)
        n_slow = options.n_slow(x.shape[0])
        scale = "zscore" if options.scale == "zscore" else "center"
        value: dict[str, float] = {}
        reasons: list[str] = []
        of_units = of_time = np.nan
        if scale == "zscore":
            r, varies = known or kernel.correlations(x, n_slow=n_slow)
            freedom = x.shape[0] - n_slow
            if x.shape[1] < freedom:
                spectrum = kernel.spectrum_of_correlations(r, varies, freedom)
            else:
                spectrum = kernel.explained_variance(x, n_slow=n_slow)
            if chance is None:
                chance = float(kernel.chance_squared_correlation(x, n_slow=n_slow))
            msc = np.nan
            if freedom > _LEAST_FREEDOM:
                found, spread = kernel.mean_square_of(r, varies, bias=chance)
                msc, of_units = float(found), float(spread)
                if draw == 0:
                    of_time = float(kernel.time_error(x, r, varies, n_slow=n_slow))
            value["mean_squared_correlation"] = msc
            ratio, why = _ratio(msc, float(np.hypot(of_units, of_time)), chance)
            value[_RATIO] = ratio
            reasons += [why] if why else []
        else:
            spectrum = kernel.explained_variance(x, scale=scale, n_slow=n_slow)
        value |= _of_spectrum(spectrum, options)
        for name in _OF_SPECTRUM:
            if np.isnan(value[name]):
                first = f" from {options.ranks[0]} on" if name == "power_law_slope" else ""
                reasons.append(f"{name}: too few ranks{first}")
        keys = stream_keys(self.keys[chosen], options.seed, _SHIFT, draw, self.ids[k])
        if "parallel_analysis" in options.names:
            value["parallel_analysis"] = np.nan
            if costly and (draw == 0 or "parallel_analysis" in options.include):
                n = kernel.parallel_analysis(x, scale=scale, n_slow=n_slow, keys=keys)
                value["parallel_analysis"] = float(n) if n >= 0 else np.nan
                reasons += ["parallel_analysis: no unit varies"] if n < 0 else []
        if "shared_variance" in options.names:
            value["shared_variance"] = np.nan
            if costly and (draw == 0 or "shared_variance" in options.include):
                gap = round(_GAP / options.bin_width)
                half = self.half[chosen]
                value["shared_variance"] = kernel.shared_variance(
                    x, half, gap=gap, n_slow=n_slow, n_shifts=_N_SHIFTS, keys=keys
                )
                if np.isnan(value["shared_variance"]):
                    reasons.append("shared_variance: halves of units or of time too small")
        surrogate: list[float] = []
        null = None
        if surrogates and draw == 0:
            null = kernel.surrogate_spectra(x, scale=scale, n_slow=n_slow, keys=keys)[0]
            by_chance = _of_spectrum(null, options)
            surrogate = [by_chance.get(n, np.nan) for n in options.names]
        values = [value[n] for n in options.names]
        of_chance = np.nan if chance is None else chance
        return _Measured(values, of_units, of_time, of_chance, reasons, spectrum, surrogate, null)


def _ratio(msc: float, error: float, chance: float) -> tuple[float, str]:
    """Give the unbiased participation ratio, or why there is none."""
    from lsdx.kernels.dimensionality import reciprocal_beyond_zero

    if np.isnan(msc):
        few = f"{_LEAST_FREEDOM} bins less mean and cosines, or three units that vary"
        return np.nan, f"mean_squared_correlation, and its ratio: fewer than {few}"
    if not chance * _LEAST_FREEDOM < 1:
        left = "" if np.isnan(chance) else f", {1 / chance:.0f} independent bins"
        return np.nan, f"{_RATIO}: slow fluctuations, too few units or bins{left}"
    ratio = float(reciprocal_beyond_zero(np.asarray(msc), np.asarray(error)))
    return ratio, f"{_RATIO}: no correlation beyond chance" if np.isnan(ratio) else ""


def _of_spectrum(spectrum: np.ndarray, options: _Options) -> dict[str, float]:
    from lsdx.kernels import dimensionality as kernel

    return {
        "pc1": float(kernel.pc1(spectrum)),
        "n_components": float(kernel.n_components(spectrum, level=options.level)),
        "participation_ratio": float(kernel.participation_ratio(spectrum)),
        "ngsc": float(kernel.ngsc(spectrum)),
        "power_law_slope": float(kernel.power_law_slope(spectrum, ranks=options.ranks)),
    }


def _kept_shares(group: _Group, common: _Common) -> np.ndarray:
    """Give the share of spikes that thinning keeps, (n_units, n_cells)."""
    from lsdx.kernels.resampling import equal_rate_share

    totals = group.rows.sum(axis=-1, dtype=np.float64)
    wanted = totals.min(axis=1)
    if common.quantiles is not None:
        order = np.lexsort((group.keys, wanted))
        place = np.empty(wanted.size)
        place[order] = (np.arange(wanted.size) + 0.5) / wanted.size
        share = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
        target = np.interp(place, share, common.quantiles) * group.rows.shape[-1]
        wanted = np.minimum(wanted, target)
    return equal_rate_share(totals, wanted)


def _draw(
    out: dict[str, Any], group: _Group, good: Sequence[int], common: _Common
) -> list[list[str]]:
    """Fill in the means and spreads over draws of units and of spikes; give reasons of NaN."""
    from lsdx.kernels.dimensionality import correlations
    from lsdx.kernels.resampling import stream_keys, thin

    options, rows, keys = group.options, group.rows, group.keys
    n, names = out["n_units_matched"], options.names
    keep = _kept_shares(group, common)
    thinned = options.match_rates is not False and bool((keep < 1).any())
    if thinned:
        require_whole(rows, "dimensionality")
    alike = not thinned and n == keys.size
    n_draws = 1 if alike else options.draws
    known: list[Any] = [None] * len(good)
    if not thinned and options.scale == "zscore" and options.regress is None:
        n_slow = options.n_slow(rows.shape[-1])
        known = [correlations(rows[:, k].T, n_slow=n_slow) for k in range(len(good))]
    drawn: list[list[_Measured]] = []
    for d in range(n_draws):
        chosen = np.sort(np.argsort(stream_keys(keys, options.seed, _CHOICE, d))[:n])
        drawn.append([])
        for k, i in enumerate(group.ids):
            x, both = rows[chosen, k], known[k]
            if thinned:
                streams = stream_keys(keys[chosen], options.seed, _THIN, d, i)
                x = thin(x, keep[chosen, k], streams)
            if both is not None:
                both = both[0][np.ix_(chosen, chosen)], both[1][chosen]
            # of the same units, thinned otherwise, chance is the same
            chance = drawn[0][k].chance if d and n == keys.size else None
            found = group.measure(
                k, x, chosen, d, costly=True, surrogates=True, known=both, chance=chance
            )
            drawn[d].append(found)
    values = np.array([[m.values for m in of_draw] for of_draw in drawn])  # draw, cell, measure
    many = np.isfinite(values).sum(axis=0)
    mean = np.nansum(values, axis=0) / np.where(many, many, np.nan)
    # what is NaN in some draws is NaN, but for what is worked out in the first alone
    once = np.array([name in COSTLY and name not in options.include for name in names])
    mean = np.where(once | (many == n_draws), mean, np.nan)
    out["value"][:, good] = mean.T
    if n_draws > 1:
        out["draw_sd"][:, good] = values.std(axis=0, ddof=1).T
    else:  # no choice and no thinning: all draws are this one; else one draw has no spread
        out["draw_sd"][:, good] = np.where(np.isfinite(mean), 0.0 if alike else np.nan, np.nan).T
    out["draws"][:, good, :n_draws] = values.T
    if alike:
        out["draws"][:, good] = out["draws"][:, good, :1]
    reasons = []
    for k, c in enumerate(good):
        mine = [of_draw[k] for of_draw in drawn]
        told = list(dict.fromkeys(r for m in mine for r in m.reasons if _RATIO not in r))
        if _RATIO in names:
            # of the mean over draws: a draw whose interval holds 0 is no reason to leave it out
            error = np.hypot(np.mean([m.of_units for m in mine]), mine[0].of_time)
            msc = mean[k, names.index("mean_squared_correlation")]
            ratio, why = _ratio(float(msc), float(error), mine[0].chance)
            out["value"][names.index(_RATIO), c] = ratio
            told += [why] if why else []
        out["surrogate"][:, c] = mine[0].surrogate
        _keep_spectrum(out, "spectrum", c, np.mean([m.spectrum for m in mine], axis=0))
        _keep_spectrum(out, "spectrum_surrogate", c, mine[0].surrogate_spectrum)
        reasons.append([*told, *_like_noise(names, mean[k], mine[0].surrogate)])
    return reasons


def _like_noise(names: Sequence[str], values: np.ndarray, surrogate: Sequence[float]) -> list[str]:
    """Name the measures of the spectrum that unrelated units would have too."""
    pairs = zip(names, values, surrogate, strict=True)
    alike = [n for n, v, s in pairs if n in _OF_SPECTRUM and abs(v - s) <= _LIKE_NOISE * abs(s)]
    return [f"like unrelated units: {', '.join(alike)}"] if alike else []


def _keep_spectrum(out: dict[str, Any], name: str, cell: int, spectrum: np.ndarray | None) -> None:
    if spectrum is not None:
        out[name][cell, : spectrum.size] = spectrum


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
        ("_undetrended", "undetrended", ": all units at their own rates, with their drift"),
        ("_surrogate", "surrogate", ": of unrelated units of the same rates and courses"),
        ("_draws", "draws", ": each draw"),
    ):
        for i, name in enumerate(options.names):
            if key not in arrays or (name in COSTLY and key in ("unmatched", "undetrended")):
                continue
            if key == "surrogate" and name not in _OF_SPECTRUM:
                continue
            array = arrays[key][(slice(None),) * n_groups + (i,)]
            units, words = about[name]
            attributes: dict[str, Any] = {"units": units, "long_name": words + told}
            if options.levels:
                attributes["compare"] = "changes"
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
    data["note"] = (
        *spread_cells(arrays["note"]),
        {"long_name": "Why a value is NaN, and what to mind"},
    )
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
