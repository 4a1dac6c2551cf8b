"""What units say of behaviour, and behaviour of units, in blocks of time that were held out."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from lsdx.analysis.alongside import behavior_beside
from lsdx.analysis.grouping import Field, Population, map_groups, population, result_coords
from lsdx.analysis.inputs import binned
from lsdx.analysis.results import result_attrs
from lsdx.analysis.seeds import cell_keys, seed_of, unit_keys
from lsdx.arguments import number_between, one_of, whole_number
from lsdx.clock import to_bins, to_seconds
from lsdx.errors import ArgumentError, SelectionError, located
from lsdx.kernels.matching import Common
from lsdx.kernels.prediction import LEAST_SHIFT, SCALARS, Options, given, predict_group
from lsdx.kernels.regression import PENALTIES

_WORDS = {
    "r2": "Held-out R2",
    "p": "p of R2, by circular shifts",
    "r2_z": "R2, in standard deviations of shifts",
    "r2_null": "Mean R2 of circular shifts",
    "weights": "Weight, in sd of what is predicted for one sd of the predictor",
    "readout_variance": "Share of the units' variance along the readout",
    "best_rank": "Dimensions that predict",
    "rank_curve": "Held-out R2 of all features by rank",
    "rank_curve_error": "Its standard error over blocks",
    "r2_centered": "R2 with the mean error taken out",
    "angle": "Angle between readouts of halves of two phases",
    "angle_within": "Angle between readouts of the halves of one phase",
    "n_bins": "Bins used",
    "n_units": "Units used",
    "note": "Why a value is NaN",
}


def predict(
    ds: xr.Dataset,
    behavior: xr.Dataset | xr.DataArray,
    *,
    feature: str | Sequence[str] | None = None,
    direction: str = "decode",
    method: Any = "ridge",
    rank: int | None = None,
    lags: str | float | Sequence[str | float] = "0 s",
    n_folds: int = 5,
    gap: str | float = "5 s",
    penalty: float | Sequence[float] | None = None,
    between: tuple[str, str] | None = None,
    by: str | Sequence[str] = "session",
    match_units: str | int | None = "min",
    n_shifts: int = 199,
    min_units: int = 5,
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Predict behaviour from units, or units from behaviour, in blocks of time held out.

    Bins that follow one another are alike: what is tested lies in contiguous blocks, with a gap
    to what is learned, and the test shifts behaviour in time, which keeps what each series does
    by itself. More units predict more: by default all groups have as many.

    Parameters
    ----------
    ds : Dataset
        With ``counts`` over (unit, ..., time): of `lsdx.open_units` or ``spikes.lsd.bin``.
    behavior : Dataset or DataArray
        In the same bins: what `lsdx.open_behavior` gives.
    feature : str or sequence of str, optional
        Which features; all by default.
    direction : {"decode", "encode"}
        Features from units, or each unit from all features that were observed.
    method : {"ridge", "reduced_rank"} or estimator
        ``"reduced_rank"`` predicts all features through few dimensions. An estimator of
        scikit-learn is cloned, and fitted to one feature at a time.
    rank : int, optional
        Dimensions of ``"reduced_rank"``; chosen from training bins by default.
    lags : str, float or sequence
        How much later the behaviour is than the counts; below 0 it is earlier. Of several, each
        has its own fit, of the same bins.
    n_folds : int
    gap : str or float
        Time between what is tested and what is learned. For slow behaviour take three times its
        autocorrelation time.
    penalty : float or sequence of float, optional
        Of ridge, in multiples of the number of bins for predictors with sd 1; of several the
        best is chosen from training bins alone. By default ten from 0.001 to 1000.
    between : tuple of two str, optional
        Two phases: trained in each, tested in both.
    by : str or sequence of str
        Labels on ``unit`` that make the groups, of units recorded together.
    match_units : {"min"}, int or None
        Units of each group: as many as the smallest has that has ``min_units``, a number, or all.
        They are drawn once. Encoding takes each unit by itself, and all of them.
    n_shifts : int
        Circular shifts, by at least 30 s, or all that an epoch has where it is too short for as
        many; 0 for no test.
    min_units : int
        Groups of fewer units are NaN.
    rng : Generator or int, optional
        Of the choice of units and shifts; ``rng=int(result.attrs["seed"])`` gives them again.

    Returns
    -------
    Dataset
        ``r2`` (groups..., feature, phase, epoch), 1 - SSE / SST over all blocks with SST about
        the mean of the training bins: below 0 where the mean predicts better. With it ``p``,
        ``r2_z`` and ``r2_null`` of circular shifts, ``weights`` (unit, feature, phase, epoch)
        fitted to all bins, ``n_bins``, ``n_units``, ``readout_variance``, and ``note``, which
        says why a value is NaN. Several ``lags``: a dimension ``lag`` (s).

        ``"reduced_rank"``: ``best_rank`` (groups..., phase, epoch), the smallest whose R2 is within
        one standard error of the best, and 0 where R2 is not above that of shifts (p > .05; with
        fewer than 19 shifts ``note`` says that it was not tested);
        ``rank_curve`` and ``rank_curve_error`` (..., rank), means over blocks of R2 of all features
        together (the coordinate is ``["rank"]``: ``.rank`` is a method of xarray). ``"encode"``:
        ``r2``, its test and ``note`` over (unit, phase, epoch).

        ``between``: ``r2``, ``p``, ``r2_centered`` (groups..., feature, epoch, train, test), each
        model learned from as many blocks; ``r2_centered`` leaves out a shift of the mean between
        phases. ``angle`` and ``angle_within`` in degree, of halves of the time: readouts turned
        if the first is above the second.

        Lazy where the counts are.

    Raises
    ------
    ArgumentError
        For an argument out of range, or that does not fit the others.
    SelectionError
        An ArgumentError, for behaviour of other sessions, labels or bins, labels that do not
        exist, and groups across sessions.

    Notes
    -----
    Ridge regression of Hoerl and Kennard 1970; reduced rank as in Semedo et al. 2019, Neuron
    102:249; shifts as in Harris 2021, bioRxiv 2020.11.29.402719. The penalty is that which
    predicts each of the other blocks best from the rest, for shifted behaviour too. ``p`` is of
    one feature: correct for several.

    Of independent series in 300 s, 4, 6, 7 and 10 % of ``p`` are up to .05 for time constants of
    0, 5, 20 and 60 s. A trend that behaviour and units share is no chance to shifts: ``p`` is
    small.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units().lsd.select(session_label="LSDX-A 2023-01-19/001")
    >>> b = lsdx.open_behavior()
    >>> u, b = u.sel(epoch=["rfm"]), b.sel(epoch=["rfm"])
    >>> found = u.lsd.predict(b, feature="left/pupil_diameter", n_shifts=19, rng=0).compute()
    >>> found.r2.dims, found.weights.dims
    (('session', 'feature', 'phase', 'epoch'), ('unit', 'feature', 'phase', 'epoch'))
    """
    ds = binned(ds, "predict")
    pop = population(ds, by, -np.inf, "predict")
    if taken := sorted({"feature", "lag", "rank", "train", "test"} & set(pop.groups.dims)):
        found, do = repr(taken[0]), "Give the label another name."
        raise SelectionError(located("predict, by", "names that results do not use", found, do))
    beside = behavior_beside(ds, behavior, pop.cells, "predict", feature)
    width = float(ds.attrs["bin_width"])
    kind, make = _method(method, direction, rank, between)
    options = Options(
        method=kind,
        encode=direction == "encode",
        rank=rank,
        penalties=penalties_of(penalty, "predict"),
        n_folds=whole_number(n_folds, "predict, n_folds", least=3),
        gap=gap_bins(gap, width, "predict"),
        lags=_lags(lags, width, between),
        n_shifts=whole_number(n_shifts, "predict, n_shifts", least=0),
        least_shift=int(np.ceil(LEAST_SHIFT / width)),
        min_units=whole_number(min_units, "predict, min_units", least=1),
        seed=seed_of(rng),
        n_features=beside.sizes["feature"],
        pairs=_pairs(pop, between),
        make=make,
    )
    blocks, names = _blocks(pop, beside), _features(beside)
    matched = None if options.encode else match_units
    keys, ids, common = unit_keys(ds), cell_keys(pop), _common_units(pop, matched, min_units)
    arguments = [
        (keys[r], group_stream(pop, i), ids, common, block, options)
        for i, (r, block) in enumerate(zip(pop.groups.rows, blocks, strict=True))
    ]
    out = _labelled(pop, predict_group, arguments, options, names, between)
    mine = {n: c.variable for n, c in ds.coords.items() if c.dims == ("unit",)}
    labels = {n: v for n, v in mine.items() if n not in out.coords}
    # a label that has become a dimension can no longer be one on unit
    labels |= {f"unit_{d}": ds[d].variable for d in pop.groups.dims}
    return out.assign_coords(labels).assign_attrs(
        result_attrs(ds),
        by=", ".join(pop.groups.dims),
        method=method if isinstance(method, str) else repr(method),
        direction=direction,
        n_folds=n_folds,
        gap=to_seconds(gap, "predict, gap"),
        match_units=str(matched),
        n_shifts=n_shifts,
        seed=str(options.seed),
    )


def _method(
    method: Any, direction: str, rank: int | None, between: Any
) -> tuple[str, Callable[[], Any] | None]:
    """Return what is fitted, and what makes a new estimator."""
    one_of(direction, "predict, direction", ("decode", "encode"))
    kind, make = method, None
    needed = ("fit", "predict", "get_params")
    made = not isinstance(method, str | type)
    if made and all(hasattr(method, n) for n in needed):
        from sklearn.base import clone

        kind, make = "estimator", partial(clone, method)
    elif not isinstance(method, str) or method not in ("ridge", "reduced_rank"):
        expected = "'ridge', 'reduced_rank' or an estimator of scikit-learn, such as Ridge()"
        raise ArgumentError(located("predict, method", expected, repr(method)))
    if rank is not None:
        whole_number(rank, "predict, rank", least=0)
        if kind != "reduced_rank":
            found = f"rank={rank}, method={method!r}"
            raise ArgumentError(located("predict, rank", "method='reduced_rank'", found))
    if kind != "ridge" and (direction == "encode" or between is not None):
        which = "direction='encode'" if direction == "encode" else "between"
        raise ArgumentError(located(f"predict, {which}", "method='ridge'", repr(method)))
    if direction == "encode" and between is not None:
        raise ArgumentError(located("predict, between", "direction='decode'", "'encode'"))
    return kind, make


def penalties_of(penalty: Any, where: str) -> tuple[float, ...]:
    """Return the penalties that are tried."""
    if penalty is None:
        return tuple(PENALTIES.tolist())
    listed = list(penalty) if np.ndim(penalty) else [np.asarray(penalty).item()]
    if not listed:
        raise ArgumentError(located(f"{where}, penalty", "one number or several", "none"))
    return tuple(number_between(p, f"{where}, penalty", 0, np.inf, ends="low") for p in listed)


def gap_bins(gap: str | float, width: float, where: str) -> int:
    """Return the gap between what is learned and tested, in bins."""
    seconds = to_seconds(gap, f"{where}, gap")
    return int(np.ceil(number_between(seconds, f"{where}, gap", 0, np.inf, ends="low") / width))


def _lags(lags: Any, width: float, between: Any) -> tuple[int, ...]:
    """Return lags in bins."""
    listed: list[Any] = list(lags) if np.ndim(lags) else [lags]
    whole = [to_bins(lag, width, "predict, lags") for lag in listed]
    if not whole:
        raise ArgumentError(located("predict, lags", "at least one", repr(lags)))
    if len(set(whole)) < len(whole) or (between is not None and len(whole) > 1):
        expected = "different ones" if between is None else "one with between"
        raise ArgumentError(located("predict, lags", expected, repr(lags)))
    return tuple(whole)


def _pairs(pop: Population, between: Any) -> tuple[tuple[int, int], ...]:
    """Return the cells of the two phases, pair by pair."""
    if between is None:
        return ()
    known = pop.counts["phase"].values.tolist() if "phase" in pop.cells else []
    phases = list(between) if isinstance(between, list | tuple) else [between]
    if len(phases) != 2 or len(set(phases)) != 2 or not set(phases) <= set(known):
        expected = (
            f"two of the phases {', '.join(map(str, known)) or '(none: a phase was selected)'}"
        )
        raise SelectionError(located("predict, between", expected, repr(between)))
    both = pop.cells_along("phase")[[known.index(p) for p in phases]]
    return tuple((int(a), int(b)) for a, b in both.T)


def _common_units(pop: Population, match_units: Any, min_units: int) -> Any:
    """Return what the groups have in common, or the promise of it."""
    if isinstance(match_units, str):
        one_of(match_units, "predict, match_units", ("min", None))
    elif match_units is not None:
        whole_number(match_units, "predict, match_units", least=1)
    if not isinstance(match_units, str):
        return Common(int(match_units or 0))
    return pop.in_common(None, min_units)


def _blocks(pop: Population, beside: xr.DataArray) -> list[Any]:
    """Return the behaviour (n_features, n_cells, n_bins) of each group, or None."""
    if not pop.lazy and hasattr(beside.data, "dask"):
        beside = beside.compute()
    known = beside["session"].values.tolist()
    data = beside.data.reshape((*beside.shape[:2], pop.n_cells, beside.sizes["time"]))
    of_unit = pop.counts["session"].values
    mine = [str(of_unit[rows[0]]) for rows in pop.groups.rows]
    return [data[known.index(s)] if s in known else None for s in mine]


def group_stream(pop: Population, i: int) -> int:
    """Return a number of a group, which follows from its labels."""
    place = np.unravel_index(pop.groups.place[i], pop.groups.shape)
    own = zip(pop.groups.dims, place, strict=True)
    return zlib.crc32("/".join(str(pop.groups.coords[d][1][k]) for d, k in own).encode())


def _features(beside: xr.DataArray) -> np.ndarray:
    n = beside.sizes["feature"]
    return beside["feature"].values if "feature" in beside.coords else np.arange(n)


def _axes(options: Options) -> dict[str, tuple[str, ...]]:
    """Return the dimensions of each variable after those of groups or units."""
    of_feature = ("feature", "lag", "cells")
    tested = ("lag", "cells") if options.encode else of_feature
    axes: dict[str, tuple[str, ...]] = dict.fromkeys(("r2", "p", "r2_z", "r2_null"), tested)
    axes |= dict.fromkeys(("weights", "readout_variance"), of_feature)
    axes |= dict.fromkeys(("rank_curve", "rank_curve_error"), ("rank", "lag", "cells"))
    axes |= {"best_rank": ("lag", "cells"), "n_units": ()}
    axes["n_bins"] = ("feature", "cells")
    axes["note"] = ("cells",) if options.encode else axes["n_bins"]
    if options.pairs:
        axes |= dict.fromkeys(("r2", "p", "r2_centered"), ("feature", "pairs", "train", "test"))
        axes |= dict.fromkeys(("angle", "angle_within"), ("feature", "pairs"))
    return axes


def _labelled(
    pop: Population,
    function: Callable[..., dict[str, Any]],
    arguments: Sequence[tuple[Any, ...]],
    options: Options,
    names: np.ndarray,
    between: Any,
) -> xr.Dataset:
    """Call a function of each group, and name the dimensions of what it gives."""
    axes = {n: a for n, a in _axes(options).items() if n in given(options)}
    n = {"feature": len(names), "lag": len(options.lags), "cells": pop.n_cells}
    n |= {"rank": len(names) + 1, "pairs": len(options.pairs), "train": 2, "test": 2}
    of_units = ("weights", *((*SCALARS, "note") if options.encode else ()))
    fields = {
        name: Field(
            tuple(n[d] for d in own),
            object if name == "note" else np.float64,
            {"note": "no units", "n_units": 0.0}.get(name, np.nan),
            "unit" if name in of_units else "group",
        )
        for name, own in axes.items()
    }
    arrays = map_groups(pop, function, arguments, fields)
    rest = tuple(d for d in pop.cells if d != "phase")
    spread = {"cells": pop.cells, "pairs": rest, "lag": ("lag",) if n["lag"] > 1 else ()}
    length = n | {str(d): pop.counts.sizes[d] for d in pop.cells}
    data: dict[str, Any] = {}
    for name, array in arrays.items():
        lead = ("unit",) if name in of_units else pop.groups.dims
        more = tuple(d for own in axes[name] for d in spread.get(own, (own,)))
        shape = (*array.shape[: len(lead)], *(length[d] for d in more))
        about = {} if name == "note" else {"units": "degree" if "angle" in name else "1"}
        data[name] = ((*lead, *more), array.reshape(shape), about | {"long_name": _WORDS[name]})
    coords = result_coords(pop) | {"feature": ("feature", names)}
    width = float(pop.counts.attrs.get("bin_width", 0)) or 1.0
    if n["lag"] > 1:
        told = {"units": "s", "long_name": "How much later the behaviour is"}
        coords["lag"] = ("lag", np.array(options.lags) * width, told)
    if options.pairs:
        coords |= {d: (d, np.array(list(between), dtype=object)) for d in ("train", "test")}
    if options.method == "reduced_rank":
        coords["rank"] = ("rank", np.arange(len(names) + 1))
    return xr.Dataset(data, coords)
