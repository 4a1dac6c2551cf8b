"""Everyday forms of counts: smoothed, by trial, and as a matrix for scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.inputs import binned, require_spikes, with_text
from lsdx.analysis.results import result_attrs
from lsdx.analysis.trains import Promised, map_trains
from lsdx.arguments import number_between, some_of
from lsdx.clock import TICKS_PER_SECOND, to_bin_ticks, to_seconds, to_ticks
from lsdx.errors import ArgumentError, SelectionError, located
from lsdx.kernels.events import peri_event_counts
from lsdx.kernels.trains import Trains

_BIN_WIDTH = "10 ms"  # of trials of spike trains
_TO_ONE = "Select one: ds.lsd.select(session_label=...)."


def smooth(ds: xr.Dataset, sigma: str | float, *, truncate: float = 4.0) -> xr.Dataset:
    """Smooth counts along time by a Gaussian.

    Parameters
    ----------
    ds : Dataset
        With ``counts`` over (..., time): of `lsdx.open_units` or ``spikes.lsd.bin``.
    sigma : str or float
        Standard deviation of the Gaussian; a plain number is seconds.
    truncate : float
        Where it ends, in standard deviations.

    Returns
    -------
    Dataset
        ``ds`` with ``counts`` smoothed, float32, spikes a bin as before; without ``n_spikes``
        and ``duration``, whose sums these counts are not. The attribute ``smoothing`` (s). Lazy
        where the counts are.

    Raises
    ------
    SelectionError
        If ``ds`` holds no counts of evenly spaced bins.
    ArgumentError
        If ``sigma`` or ``truncate`` is not above 0.

    Notes
    -----
    The weights of the bins that were observed add up to 1: at the edges, and beside bins that are
    NaN, which stay NaN. Away from them it is `scipy.ndimage.gaussian_filter1d`, and keeps sums.
    Epochs are not joined. Smoothed counts are no whole numbers: measures that thin spikes refuse
    them.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units().isel(unit=slice(5))
    >>> u.lsd.smooth("200 ms").counts.dims == u.counts.dims
    True
    """
    seconds = to_seconds(sigma, "smooth, sigma")
    number_between(seconds, "smooth, sigma", 0, np.inf)
    truncate = number_between(truncate, "smooth, truncate", 0, np.inf)
    ds = binned(ds, "smooth", ("time",))
    counts = ds["counts"]
    smoothed = xr.apply_ufunc(
        _smoothed,
        counts.variable,
        kwargs={"sigma": seconds / ds.attrs["bin_width"], "truncate": truncate},
        input_core_dims=[["time"]],
        output_core_dims=[["time"]],
        dask="parallelized",
        output_dtypes=[np.float32],
    ).transpose(*counts.dims)
    words = counts.attrs.get("long_name", "Spikes in the bin; NaN where not observed.")
    about = counts.attrs | {"long_name": f"Smoothed by a Gaussian of {seconds:g} s. {words}"}
    kept = ds.drop_vars(["n_spikes", "duration"], errors="ignore")
    return (
        kept.assign(counts=smoothed.copy(deep=False))
        .assign(counts=lambda d: d["counts"].assign_attrs(about))
        .assign_attrs(smoothing=seconds)
    )


def _smoothed(counts: np.ndarray, *, sigma: float, truncate: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter1d

    seen = np.isfinite(counts)
    how: dict[str, Any] = {"axis": -1, "mode": "constant", "truncate": truncate}
    total = gaussian_filter1d(np.where(seen, counts, 0).astype(np.float64), sigma, **how)
    weight = gaussian_filter1d(seen.astype(np.float64), sigma, **how)
    out = np.full(counts.shape, np.nan, dtype=np.float32)
    return np.divide(total, weight, out=out, where=seen, casting="same_kind")


def trials(
    ds: xr.Dataset,
    *,
    events: xr.Dataset | pd.DataFrame,
    window: tuple[str | float, str | float] = ("-0.5 s", "1 s"),
    bin_width: str | float | None = None,
    epochs: xr.Dataset | None = None,
    duplicates: str = "keep",
) -> xr.Dataset:
    """Return the counts of one session's units around each event.

    Parameters
    ----------
    ds : Dataset
        Units of one session, of `lsdx.open_spikes`; or counts of `lsdx.open_units`, smoothed or
        not.
    events : Dataset or DataFrame
        What `lsdx.open_events` gives, or a selection of it: ``session`` and ``start`` (s).
    window : tuple of two str or float
        From where to where around an event; whole numbers of bins.
    bin_width : str or float, optional
        Of spike trains, 10 ms by default. Counts have their own.
    epochs : Dataset, optional
        When the epochs start, for counts: what `lsdx.open_epochs` gives.
    duplicates : {"keep", "drop"}
        Whether spikes that bombcell calls duplicates are counted; of spike trains.

    Returns
    -------
    Dataset
        ``counts`` over (unit, event, time), float32, with the labels of both; events in order
        of time. ``time``: of spike trains, centre of the bin in s from the event; of counts,
        from the bin in which the event lies, so that it is right to half a bin. NaN where
        nothing was observed, and of counts outside of the event's own epoch. Events that lie in
        no epoch of ``ds`` are left out, and counted in the attribute ``n_left_out``. Lazy where
        the counts or spikes are.

    Raises
    ------
    SelectionError
        For units of several sessions, events that are of none of them or lack ``session`` or
        ``start``, and counts without ``epochs``.
    ArgumentError
        For a window that is no whole number of bins, or a width that is not that of the counts.

    Examples
    --------
    >>> import lsdx
    >>> s = lsdx.open_spikes()
    >>> one = s.lsd.select(session=str(s.session[0].item()))
    >>> gabors = lsdx.open_events().lsd.select(kind="gabor", phase="pre")
    >>> t = one.lsd.trials(events=gabors, bin_width="50 ms")
    >>> t.counts.dims, t.counts.sel(event=t.side == "left").mean("event").dims
    (('unit', 'event', 'time'), ('unit', 'time'))
    """
    of_spikes = "spike_time" in ds.variables
    ds = require_spikes(ds, "trials", duplicates) if of_spikes else binned(ds, "trials")
    eid = _one_session(ds, "trials")
    mine = _events_of(events, eid)
    if of_spikes:
        width = to_bin_ticks(_BIN_WIDTH if bin_width is None else bin_width, "trials, bin_width")
    else:
        width = to_bin_ticks(ds.attrs["bin_width"])
        if bin_width is not None and to_bin_ticks(bin_width, "trials, bin_width") != width:
            own = f"{width / TICKS_PER_SECOND:g} s, that of the counts"
            do = "Leave it out, or start from lsdx.open_spikes()."
            raise ArgumentError(located("trials, bin_width", own, repr(bin_width), do))
    low, high = (_whole_bins(t, width) for t in window)
    if low >= high:
        raise ArgumentError(located("trials, window", "a start and a later stop", repr(window)))
    lags, n_events = np.arange(low, high), mine.sizes["event"]
    if of_spikes:
        data = _of_spikes(ds, mine["start"].values, width, lags, duplicates)
        time, words = (lags + 0.5) * width, "Time from the event"
    else:
        cell, place, inside = _places(ds, mine["start"].values, epochs, eid)
        mine = mine.isel(event=inside)
        data = _of_counts(ds["counts"], cell, place, lags)
        time, words = lags * width, "Time from the bin of the event"
    about = {"units": "1", "long_name": "Spikes in the bin; NaN where not observed."}
    about |= {} if of_spikes else ds["counts"].attrs
    labels = {n: v.variable for n, v in ds.coords.items() if v.dims in ((), ("unit",))}
    own_labels = {n: v for n, v in mine.variables.items() if v.dims == ("event",)}
    coords = labels | {n: v for n, v in own_labels.items() if n not in ("session", "session_label")}
    coords["time"] = ("time", time / TICKS_PER_SECOND, {"units": "s", "long_name": words})
    out = xr.Dataset({"counts": (("unit", "event", "time"), data, about)}, coords)
    more = {"smoothing": ds.attrs["smoothing"]} if "smoothing" in ds.attrs else {}
    return out.assign_attrs(
        result_attrs(ds) | more,
        bin_width=width / TICKS_PER_SECOND,
        n_left_out=n_events - mine.sizes["event"],
    )


def _one_session(ds: xr.Dataset, where: str) -> str:
    """Return the session of all units."""
    known = np.unique(ds["session"].values.astype(str)) if "session" in ds.coords else []
    if len(known) != 1 or "unit" not in ds.dims:
        found = f"{len(known)} sessions"
        raise SelectionError(located(where, "units of one session", found, _TO_ONE))
    return str(known[0])


def _events_of(events: Any, eid: str) -> xr.Dataset:
    """Return the events of a session in order of time, those without a start left out."""
    if isinstance(events, pd.DataFrame):
        table = events if events.index.name is None else events.reset_index()
        events = xr.Dataset({str(n): ("event", table[n].to_numpy()) for n in table.columns})
    missing = [n for n in ("session", "start") if n not in getattr(events, "variables", ())]
    if missing or events["start"].dims != ("event",):
        found = f"no {', '.join(missing)}" if missing else f"start over {events['start'].dims}"
        raise SelectionError(
            located(
                "trials, events",
                "session and start over event",
                found,
                "Start from lsdx.open_events().",
            )
        )
    events = with_text(events, "trials, events")
    mine = np.broadcast_to(events["session"].values == eid, events["start"].shape)
    if not mine.any():
        raise SelectionError(
            located(
                "trials, events",
                f"events of session {eid!r}",
                f"{np.atleast_1d(events['session'].values)[:1].tolist()}, and none of it",
                "Select units and events of the same session, written alike.",
            )
        )
    chosen = events.isel(event=mine & np.isfinite(events["start"].values.astype(np.float64)))
    return chosen.isel(event=np.argsort(chosen["start"].values, kind="stable"))


def _whole_bins(value: str | float, width: int) -> int:
    bins = to_seconds(value, "trials, window") * TICKS_PER_SECOND / width
    if abs(bins - round(bins)) > 1e-6:
        expected = f"a whole number of {width / TICKS_PER_SECOND:g} s"
        raise ArgumentError(located("trials, window", expected, repr(value)))
    return round(bins)


def _of_spikes(
    ds: xr.Dataset, start: np.ndarray, width: int, lags: np.ndarray, duplicates: str
) -> Any:
    last = to_ticks(np.nan_to_num(ds["last_spike"].values, nan=-2.0)) + TICKS_PER_SECOND
    shape = (start.size, lags.size)
    promised = Promised(shape, np.float32)
    return map_trains(ds, _around, (last,), (to_ticks(start), width, lags), promised, duplicates)


def _around(
    trains: Trains, last: np.ndarray, start: np.ndarray, width: int, lags: np.ndarray
) -> np.ndarray:
    """Return counts (n_units, n_events, n_bins) of each event by itself."""
    shape = (last.size, start.size, lags.size)
    first, cell = int(lags[0]) * width, np.arange(start.size)
    counts = peri_event_counts(trains, start, cell, first=first, width=width, shape=shape)
    begin = start[:, None] + lags * width
    seen = (begin >= 0) & (begin + width <= last[:, None, None])
    return np.where(seen, counts, np.nan).astype(np.float32)


def _places(
    ds: xr.Dataset, start: np.ndarray, epochs: xr.Dataset | None, eid: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the cell and bin of each event that lies in an epoch, and which do."""
    begin = _epoch_starts(ds, epochs, eid)
    since = start[:, None] - np.where(np.isfinite(begin), begin, np.inf)
    since = np.where(since >= -1e-9, since, np.inf)
    cell = np.argmin(since, axis=1)  # the latest that has begun
    width, time = float(ds.attrs["bin_width"]), ds["time"].values if "time" in ds.coords else None
    edge = 0.0 if time is None else time[0] - width / 2
    since = since[np.arange(start.size), cell]
    # a time on the edge of a bin belongs to the bin that it begins
    place = np.floor((np.where(np.isfinite(since), since, -np.inf) - edge) / width + 1e-6)
    inside = (place >= 0) & (place < ds["counts"].sizes["time"])
    return cell[inside], place[inside].astype(np.int64), inside


def _epoch_starts(ds: xr.Dataset, epochs: xr.Dataset | None, eid: str) -> np.ndarray:
    """Return when each cell of the counts starts, in s of the session, in order of its dims."""
    cells = [str(d) for d in ds["counts"].dims if d not in ("unit", "time")]
    held = ds if epochs is None else epochs
    wrong = SelectionError(
        located(
            "trials, epochs",
            f"start (s) of each phase and epoch of the counts, of session {eid!r}",
            ", ".join(map(str, getattr(held, "variables", ()))) or type(held).__name__,
            "Give epochs=lsdx.open_epochs(), or start from lsdx.open_spikes().",
        )
    )
    if "start" not in getattr(held, "variables", ()) or set(cells) - {"phase", "epoch"}:
        raise wrong
    start = held["start"]
    try:
        if "session" in start.dims:
            start = start.sel(session=eid)
        elif "unit" in start.dims:
            start = start.isel(unit=held["session"].values == eid).max("unit")
        for dim in ("phase", "epoch"):
            if dim in start.dims:
                start = start.sel({dim: ds[dim]})
        return np.asarray(start.transpose(*cells).values, dtype=np.float64).reshape(-1)
    except (KeyError, ValueError) as error:
        raise wrong from error


def _of_counts(counts: xr.DataArray, cell: np.ndarray, place: np.ndarray, lags: np.ndarray) -> Any:
    counts = counts.transpose("unit", ..., "time")
    core = [str(d) for d in counts.dims[1:]]
    at = place[:, None] + lags
    inside = (at >= 0) & (at < counts.sizes["time"])
    if hasattr(counts.data, "dask"):
        counts = counts.chunk(dict.fromkeys(core, -1))

    def cut(values: np.ndarray) -> np.ndarray:
        flat = values.reshape(len(values), -1, values.shape[-1])
        found = flat[:, cell[:, None], np.where(inside, at, 0)]
        return np.where(inside, found, np.nan).astype(np.float32)

    return xr.apply_ufunc(
        cut,
        counts.variable,
        input_core_dims=[core],
        output_core_dims=[["event", "lag"]],
        dask="parallelized",
        output_dtypes=[np.float32],
        dask_gufunc_kwargs={"output_sizes": {"event": cell.size, "lag": lags.size}},
    ).data


class DesignMatrix(NamedTuple):
    """What scikit-learn takes: a row a bin of time.

    ``X`` has a column a unit, ``y`` a column a feature of behaviour, or is None; their rows, and
    those of ``groups``, are labelled by phase, epoch and time. ``groups`` numbers contiguous
    blocks of time. ``n_left_out`` counts the bins that were not observed.
    """

    X: pd.DataFrame
    y: pd.DataFrame | None
    groups: pd.Series
    n_left_out: int


def design_matrix(
    ds: xr.Dataset,
    behavior: xr.Dataset | None = None,
    *,
    features: str | Sequence[str] | None = None,
    block: str | float = "30 s",
) -> DesignMatrix:
    """Return counts and behaviour of one session as tables for scikit-learn.

    Parameters
    ----------
    ds : Dataset
        With ``counts`` over (unit, ..., time) of one session, smoothed or not. Select phases
        and epochs before.
    behavior : Dataset, optional
        What `lsdx.open_behavior` gives, of the same bins.
    features : str or sequence of str, optional
        Which; by default all that were observed at some time.
    block : str or float
        Length of the blocks of ``groups``; a plain number is seconds.

    Returns
    -------
    DesignMatrix
        ``X`` (bins, units), ``y`` (bins, features) or None, ``groups`` (bins,) and
        ``n_left_out``. Bins are those in which all units and features were observed, of units
        that were observed at some time. Computed at once.

    Raises
    ------
    SelectionError
        For units of several sessions, behaviour of other sessions, phases, epochs or bins,
        features that do not exist, and where no bin is left.
    ArgumentError
        If ``block`` is not above 0.

    Notes
    -----
    Neighbouring bins are alike: cross-validate by ``groups``, never by bins at random. Blocks
    that are long against what is slow in the data leak least.

    Examples
    --------
    >>> import lsdx
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import GroupKFold, cross_val_score
    >>> u = lsdx.open_units().sel(phase="pre")
    >>> one = u.lsd.select(session=str(u.session[0].item())).isel(unit=slice(30))
    >>> d = one.lsd.design_matrix(lsdx.open_behavior(), features="left/paw_near_speed")
    >>> cross_val_score(Ridge(), d.X, d.y, groups=d.groups, cv=GroupKFold(5)).shape
    (5,)
    """
    seconds = number_between(
        to_seconds(block, "design_matrix, block"), "design_matrix, block", 0, np.inf
    )
    ds = binned(ds, "design_matrix")
    eid = _one_session(ds, "design_matrix")
    counts = ds["counts"].transpose(..., "time", "unit")
    dims = [str(d) for d in counts.dims[:-1]]
    labels = [ds[d].values if d in ds.coords else np.arange(ds.sizes[d]) for d in dims]
    if "time" not in ds.coords:
        labels[-1] = (labels[-1] + 0.5) * ds.attrs["bin_width"]
    index = pd.MultiIndex.from_product(labels, names=dims)
    units = ds["unit"].values if "unit" in ds.coords else np.arange(ds.sizes["unit"]).astype(str)
    x = pd.DataFrame(counts.values.reshape(len(index), -1), index, pd.Index(units, name="unit"))
    x = x.loc[:, x.notna().any().to_numpy()]
    y = None if behavior is None else _features(ds, behavior, features, eid, dims, index)
    seen = x.notna().all(axis=1).to_numpy() & bool(x.shape[1])
    if y is not None:
        seen &= y.notna().all(axis=1).to_numpy()
    if not seen.any():
        raise SelectionError(
            located(
                "design_matrix",
                "a bin in which all units and features were observed",
                "none",
                "Choose other features or units, or other epochs.",
            )
        )
    time = index.get_level_values("time").to_numpy(dtype=np.float64)
    of_cell = np.arange(len(index)) // counts.sizes["time"]
    in_cell = np.floor((time - time.min()) / seconds + 1e-9).astype(np.int64)
    number = pd.factorize((of_cell * (in_cell.max() + 1) + in_cell)[seen])[0]
    groups = pd.Series(number, x.index[seen], name="block")
    kept = None if y is None else y[seen]
    return DesignMatrix(x[seen], kept, groups, int((~seen).sum()))


def _features(
    ds: xr.Dataset,
    behavior: xr.Dataset,
    features: str | Sequence[str] | None,
    eid: str,
    dims: list[str],
    index: pd.MultiIndex,
) -> pd.DataFrame:
    """Return features of behaviour (bins, features) in the bins of the counts."""
    where = "design_matrix, behavior"
    if "behavior" not in getattr(behavior, "variables", ()) or "feature" not in behavior.dims:
        found = ", ".join(map(str, getattr(behavior, "variables", ()))) or type(behavior).__name__
        do = "Start from lsdx.open_behavior()."
        raise SelectionError(located(where, "behavior over feature and time", found, do))
    width = float(ds.attrs["bin_width"])
    own = float(behavior.attrs.get("bin_width", np.nan))
    centres = np.unique(index.get_level_values("time").to_numpy(dtype=np.float64))
    times = behavior["time"].values
    shift = (centres[0] - times[0]) / width if times.size else np.nan
    if not abs(own - width) <= 1e-9 or not abs(shift - round(shift)) < 1e-3:
        found = f"bins of {own:g} s from {times[:1].tolist()} s"
        raise SelectionError(
            located(
                where,
                f"the bins of the counts, {width:g} s wide",
                found,
                f"Open both with the same bin_width: lsdx.open_behavior(bin_width={width:g}), "
                "or lsdx.open_units with that of the behaviour.",
            )
        )
    values = behavior["behavior"]
    for dim, wanted in (("session", eid), *((d, ds[d].values) for d in dims if d != "time")):
        held = np.atleast_1d(behavior[dim].values) if dim in behavior.coords else np.empty(0)
        lost = sorted(set(np.atleast_1d(wanted).tolist()) - set(held.tolist()), key=str)
        if lost:
            found = ", ".join(map(str, held)) or "none"
            do = "Select the same in both."
            raise SelectionError(located(where, f"{dim} {lost[0]!r}", found, do))
        values = values.sel({dim: wanted}) if dim in values.dims else values.drop_vars(dim)
    for dim in {"phase", "epoch"} & set(map(str, values.dims)) - set(dims):
        # one label of it was selected in the counts
        if dim not in ds.coords or ds[dim].item() not in values[dim].values:
            found = ", ".join(map(str, values[dim].values))
            raise SelectionError(located(where, f"the {dim} of the counts", found, "Select it."))
        values = values.sel({dim: ds[dim].item()})
    names = [str(f) for f in values["feature"].values]
    chosen = names if features is None else list(some_of_features(features, names))
    values = values.sel(feature=chosen)
    missing = [d for d in dims if d not in values.dims]
    if missing:
        values = values.expand_dims({d: ds[d].values for d in missing})
    values = values.reindex(time=ds["time"].values, method="nearest", tolerance=width / 100)
    table = values.transpose(*dims, "feature").values.reshape(len(index), -1)
    out = pd.DataFrame(table, index, pd.Index(chosen, name="feature"))
    return out if features is not None else out.loc[:, out.notna().any().to_numpy()]


def some_of_features(features: str | Sequence[str], names: list[str]) -> tuple[str, ...]:
    """Return the chosen features, all of which exist."""
    try:
        return some_of(features, "design_matrix, features", names)
    except ArgumentError as error:
        raise SelectionError(str(error)) from error
