"""Counts of one session's units around each event, by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.inputs import binned, require_spikes, with_text
from lsdx.analysis.matrices import one_session
from lsdx.analysis.results import result_attrs
from lsdx.analysis.trains import Promised, map_trains
from lsdx.clock import TICKS_PER_SECOND, to_bin_ticks, to_bins, to_ticks
from lsdx.errors import ArgumentError, SelectionError, located
from lsdx.kernels.events import peri_event_counts
from lsdx.kernels.trains import Trains

_BIN_WIDTH = "10 ms"  # of spike trains


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
        ``counts`` over (unit, event, time), float32, with the labels of both, or the units' where
        both have one; events in order of time. ``time``: of spike trains, centre of the bin in s
        from the event; of counts, from the bin in which the event lies, so that it is right to
        half a bin. NaN where nothing was observed, and of counts outside of the event's own
        epoch. Events that lie in no epoch of counts are left out, and counted in the attribute
        ``n_left_out``. Lazy where the counts or spikes are.

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
    eid = one_session(ds, "trials")
    mine = _events_of(events, eid)
    if of_spikes:
        width = to_bin_ticks(_BIN_WIDTH if bin_width is None else bin_width, "trials, bin_width")
    else:
        width = to_bin_ticks(ds.attrs["bin_width"])
        if bin_width is not None and to_bin_ticks(bin_width, "trials, bin_width") != width:
            own = f"{width / TICKS_PER_SECOND:g} s, that of the counts"
            do = "Leave it out, or start from lsdx.open_spikes()."
            raise ArgumentError(located("trials, bin_width", own, repr(bin_width), do))
    if np.shape(window) != (2,):
        raise ArgumentError(located("trials, window", "a start and a later stop", repr(window)))
    low, high = (to_bins(t, width / TICKS_PER_SECOND, "trials, window") for t in window)
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
        time, words = lags * float(width), "Time from the bin of the event"
    about = {"units": "1", "long_name": "Spikes in the bin; NaN where not observed."}
    about |= {} if of_spikes else ds["counts"].attrs
    labels = {n: v.variable for n, v in ds.coords.items() if v.dims in ((), ("unit",))}
    own_labels = {n: v for n, v in mine.variables.items() if v.dims == ("event",)}
    coords = own_labels | {n: v for n, v in labels.items() if v.dims or n not in own_labels}
    coords["time"] = ("time", time / TICKS_PER_SECOND, {"units": "s", "long_name": words})
    out = xr.Dataset({"counts": (("unit", "event", "time"), data, about)}, coords)
    more = {"smoothing": ds.attrs["smoothing"]} if "smoothing" in ds.attrs else {}
    return out.assign_attrs(
        result_attrs(ds) | more,
        bin_width=width / TICKS_PER_SECOND,
        n_left_out=n_events - mine.sizes["event"],
    )


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
    try:
        start = events["start"].astype(np.float64)
    except (TypeError, ValueError) as error:
        raise SelectionError(located("trials, events, start", "times in s", "none")) from error
    events = events.assign(start=start)  # text would be put in the order of its letters
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
    chosen = events.isel(event=mine & np.isfinite(start.values))
    ordered: xr.Dataset = chosen.isel(event=np.argsort(chosen["start"].values, kind="stable"))
    return ordered


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
    begin, end = _epoch_times(ds, epochs, eid)
    since = start[:, None] - np.where(np.isfinite(begin), begin, np.inf)
    since = np.where(since >= -1e-9, since, np.inf)
    cell = np.argmin(since, axis=1)  # the latest that has begun
    width, time = float(ds.attrs["bin_width"]), ds["time"].values if "time" in ds.coords else None
    edge = 0.0 if time is None else time[0] - width / 2
    since = since[np.arange(start.size), cell]
    # a time on the edge of a bin belongs to the bin that it begins
    place = np.floor((np.where(np.isfinite(since), since, -np.inf) - edge) / width + 1e-6)
    inside = (place >= 0) & (place < ds["counts"].sizes["time"]) & (start < end[cell])
    return cell[inside], place[inside].astype(np.int64), inside


def _epoch_times(
    ds: xr.Dataset, epochs: xr.Dataset | None, eid: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return start and stop of each cell of the counts, in order of its dims; no stop is never."""
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
    one = {"session": eid}  # what was selected before is of these counts
    one |= {d: str(ds[d].item()) for d in ("phase", "epoch") if d in ds.coords and not ds[d].ndim}
    given = {d: held[d] for d in one if d in held.coords and not held[d].ndim}
    if any(str(label.item()) != one[d] for d, label in given.items()):
        raise wrong
    found = []
    try:
        for name in ("start", "stop"):
            times = held[name] if name in held.variables else xr.full_like(held["start"], np.inf)
            if "session" in times.dims:
                times = times.sel(session=eid)
            elif "unit" in times.dims:
                times = times.isel(unit=held["session"].values == eid).max("unit")
            for dim in ("phase", "epoch"):
                if dim in times.dims:
                    times = times.sel({dim: ds[dim].values})
            found.append(np.asarray(times.transpose(*cells).values, dtype=np.float64).reshape(-1))
    except (KeyError, ValueError) as error:
        raise wrong from error
    return found[0], found[1]


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
