"""Dimensionality of populations: equal numbers of units, equal rates, every session at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.grouping import Field, Population, map_groups, population, result_coords
from lsdx.analysis.inputs import binned
from lsdx.analysis.results import result_attrs
from lsdx.analysis.seeds import cell_keys, seed_of, unit_keys
from lsdx.arguments import number_between, one_of, some_of, whole_number
from lsdx.clock import to_seconds
from lsdx.errors import ArgumentError, SelectionError, located

if TYPE_CHECKING:
    from lsdx.kernels.group_dimensionality import Options

# measure -> units, what it is; in the order of the columns that the functions below fill. First
# those that spiking noise does not move
_UNBIASED = {
    "participation_ratio_unbiased": ("1", "Participation ratio, unbiased"),
    "mean_squared_correlation": ("1", "Mean squared correlation of pairs of units, unbiased"),
}
# these cost many spectra each: of the first draw alone, unless `include` names them
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
        single pass (``match_units=None, match_rates=False``) measures them only if named here.
        ``"shared_variance"`` needs ``depth``, ``region`` and ``insertion`` of units.
    level : float
        Share of the variance of ``n_components``.
    ranks : (int, int)
        Ranks of the fit of ``power_law_slope``, weighted by 1 / rank; the last is capped at the
        last there is.
    rng : Generator or int, optional
        Of the draws; ``rng=int(result.attrs["seed"])`` repeats them.

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
    ArgumentError
        For an argument out of range; when computed, for counts to be thinned that are not whole.
    SelectionError
        An ArgumentError, for labels that do not exist, and groups across sessions.

    Notes
    -----
    `lsdx.kernels.dimensionality` and `lsdx.kernels.correlations` have the formulas. All that is
    compared in a group is cut to the same number of bins, the smallest, counted from each start.
    Units must have been observed in all that is compared; what some of a group's units were not
    observed in is NaN.
    ``mean_squared_correlation`` is free of the bias of few and of dependent bins
    (`lsdx.kernels.correlations.chance_squared_correlation`);
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
    >>> u = lsdx.open_units()
    >>> d = u.lsd.dimensionality(by="session", min_units=10, draws=2, rng=0).compute()
    >>> d.ngsc.dims
    ('session', 'phase', 'epoch')
    >>> bool(d.ngsc.max() <= 1)
    True
    """
    from lsdx.kernels.group_dimensionality import Options, measure_group

    more = (include,) if isinstance(include, str) else tuple(dict.fromkeys(include))
    chosen = frozenset(some_of(more, "dimensionality, include", EXTRAS) if more else ())
    if isinstance(match_units, str):
        one_of(match_units, "dimensionality, match_units", ("min", None))
    elif match_units is not None:
        whole_number(match_units, "dimensionality, match_units", least=2)
    one_of(match_rates, "dimensionality, match_rates", (True, False, "all"))
    whole_number(draws, "dimensionality, draws", least=1)
    whole_number(min_units, "dimensionality, min_units", least=2)
    number_between(min_spikes, "dimensionality, min_spikes", 0, np.inf, ends="high")
    number_between(level, "dimensionality, level", 0, 1, ends="high")
    if not 1 <= ranks[0] < ranks[1]:
        raise _wrong("ranks", "1 <= first < last", ranks)
    seed, period = seed_of(rng), _cutoff(detrend)
    kept = _check_scale(scale, chosen)
    taken_out = _check_regress(regress)
    ds = binned(ds, "dimensionality")
    pop = population(ds, by, min_spikes, "dimensionality")
    matched = match_units is not None or match_rates is not False
    alike = match_units is not None and match_rates == "all"
    placed = {"depth", "region", "insertion"} <= set(ds.coords)
    costly = [n for n in COSTLY if n in chosen or (matched and (placed or n != "shared_variance"))]
    largest = max((r.size for r in pop.groups.rows), default=0)
    options = Options(
        names=tuple(n for n in (*_UNBIASED, *costly, *_OF_SPECTRUM) if n in kept),
        scale=scale if isinstance(scale, str) else partial(_transformed, scale=scale),
        level=level,
        ranks=(int(ranks[0]), int(ranks[1])),
        matched=matched,
        match_rates=match_rates is not False,
        detrend=period,
        regress=regress is not None,
        levels=len(pop.groups.rows) > 1 and not alike,
        draws=draws,
        min_units=min_units,
        seed=seed,
        n_ranks=max(0, min(largest, pop.counts.sizes["time"] - 1)),
        bin_width=float(ds.attrs["bin_width"]),
        include=chosen,
    )
    common = _common(pop, ds, match_units, match_rates, min_units)
    keys = unit_keys(ds)
    split = "shared_variance" in options.names
    half = _depth_halves(ds) if split else np.zeros(keys.size, bool)
    shape = (pop.n_cells,)
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
        (keys[r], half[r], ids, common, covariate, options)
        for r, covariate in zip(pop.groups.rows, covariates, strict=True)
    ]
    arrays = map_groups(pop, measure_group, arguments, fields)
    return _labelled(pop, arrays, options, ds).assign_attrs(
        by=", ".join(pop.groups.dims),
        scale=scale if isinstance(scale, str) else repr(scale),
        match_units=str(match_units),
        match_rates=match_rates if isinstance(match_rates, str) else int(match_rates),
        detrend="none" if detrend is None else str(detrend),
        regress=taken_out,
        compare="levels" if alike else "changes",
        min_units=min_units,
        min_spikes=min_spikes,
        draws=options.draws if matched else 0,
        seed=str(options.seed),
    )


def _check_scale(scale: Any, include: Collection[str]) -> Collection[str]:
    """Check what is done to each matrix; return the measures that it leaves."""
    if not (callable(scale) or hasattr(scale, "fit_transform") or scale in ("zscore", "center")):
        raise _wrong("scale", "'zscore', 'center', a callable or a transformer", scale)
    every = {*MEASURES, *COSTLY}
    if isinstance(scale, str) and scale == "zscore":
        return every
    if "shared_variance" in include:
        raise _wrong("include", "shared_variance with scale='zscore' alone", scale)
    return every - set(_ZSCORED)


def _check_regress(regress: Any) -> str:
    """Check what is taken out of each unit first; return the attribute that names it."""
    if isinstance(regress, xr.DataArray) and regress.dtype.kind in "fiub":
        return "a covariate"
    if regress is None or (isinstance(regress, str) and regress == "global"):
        return regress or "none"
    raise _wrong("regress", "'global', a DataArray over time, or None", regress)


def _cutoff(detrend: Any) -> float | None:
    if detrend is None or detrend == "half":
        return None if detrend is None else 0.5
    period = to_seconds(detrend, "dimensionality, detrend")
    if not period >= 1:
        raise _wrong("detrend", "'half', a period of at least 1 s, or None", detrend)
    return period


def _covariates(pop: Population, regress: Any) -> list[Any]:
    """Return the covariate of each group, (n_cells, n_bins); None without."""
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


def _wrong(name: str, expected: str, found: Any) -> ArgumentError:
    return ArgumentError(located(f"dimensionality, {name}", expected, repr(found)))


def _transformed(x: np.ndarray, *, scale: Any) -> np.ndarray:
    """Return a matrix (n_bins, n_units) after the callable or the transformer of the caller."""
    if hasattr(scale, "fit_transform"):
        from sklearn.base import clone

        done = clone(scale).fit_transform(x.astype(np.float64))
    else:
        done = scale(x.astype(np.float64))
    done = np.asarray(done, dtype=np.float64)
    if done.shape != x.shape or not np.isfinite(done).all():
        expected = f"finite values of shape {x.shape} from {scale!r}"
        found = f"shape {done.shape}" if done.shape != x.shape else "NaN or infinity"
        raise ArgumentError(located("dimensionality, scale", expected, found))
    return done


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


def _common(
    pop: Population, ds: xr.Dataset, match_units: Any, match_rates: Any, min_units: int
) -> Any:
    """Return what the groups have in common, or the promise of it."""
    from lsdx.kernels.matching import Common

    n_units = None if isinstance(match_units, str) else int(match_units or 0)
    if n_units is not None and match_rates != "all":
        return Common(n_units)
    flat: list[Any] = [None, None]
    if match_rates == "all":
        bins = (ds["duration"] / ds.attrs["bin_width"]).broadcast_like(ds["n_spikes"])
        for i, values in enumerate((ds["n_spikes"], bins)):
            ordered = values.transpose("unit", *pop.cells).data
            flat[i] = ordered.reshape((pop.counts.sizes["unit"], -1))
    return pop.in_common(n_units, min_units, *flat)


# ---- labels ---------------------------------------------------------------------------------


def _labelled(
    pop: Population, arrays: dict[str, Any], options: Options, ds: xr.Dataset
) -> xr.Dataset:
    dims, cells, lengths = pop.groups.dims, pop.cells, pop.cell_shape
    n_groups = len(dims)

    def spread_cells(array: Any, *more: str) -> tuple[tuple[str, ...], Any]:
        """Spread the cells over their own dimensions, after the groups'."""
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
