"""Spikes, epochs, events and series for pynapple, and spikes back from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.errors import SelectionError, located, missing_package
from lsdx.schema.spec import columns_along, is_text, text
from lsdx.schema.spikes import unit_trains

if TYPE_CHECKING:
    from pynapple import IntervalSet, Tsd, TsdFrame, TsGroup

_EPOCH = ("phase", "epoch")


def to_pynapple(
    spikes: xr.Dataset, *, events: xr.Dataset | None = None, behavior: xr.Dataset | None = None
) -> dict[str, Any]:
    """Return one session as pynapple has it: units, epochs, events, behaviour.

    Parameters
    ----------
    spikes : Dataset
        Of `lsdx.open_spikes`, of one session. It is computed.
    events, behavior : Dataset, optional
        Of `lsdx.open_events`, `lsdx.open_behavior`: those of the session are taken.

    Returns
    -------
    dict
        ``units``: a TsGroup, keys 0, 1, ... in the order of the units, with their labels and ids
        (``unit``) as metadata; times in s on the session's clock. ``epochs``: an IntervalSet of
        those that were observed, with ``phase`` and ``epoch``; where two touch, the first ends
        1 us earlier. With ``events``, ``events``: a dict
        of Ts by kind, the starts. With ``behavior``, ``behavior``: a TsdFrame, a column a feature,
        on the session's clock; NaN where not observed.

    Raises
    ------
    SelectionError
        For no session, or several.
    MissingPackage
        Without pynapple: ``pip install 'lsdx[pynapple]'``.

    Examples
    --------
    >>> import lsdx
    >>> eid = lsdx.open_units().session.values[0]
    >>> found = lsdx.open_spikes(session=eid).lsd.to_pynapple()
    >>> sorted(found), len(found["epochs"])
    (['epochs', 'units'], 6)
    """
    pynapple = _pynapple("to_pynapple")
    eid = one_session(spikes, "to_pynapple")
    trains = [times for _, times, _ in unit_trains(spikes)]
    labels = columns_along(spikes, "unit").drop(columns=["row_size", "row_start"])
    labels = labels.reset_index().rename(columns={"unit": "unit_id"})
    last = float(np.nanmax([t[-1] if t.size else 0.0 for t in trains], initial=0.0))
    last = max(last, float(np.nanmax(spikes["last_spike"].values, initial=0.0)))
    support = pynapple.IntervalSet(0, last + 1e-5)
    group = pynapple.TsGroup(
        {i: pynapple.Ts(t, time_support=support) for i, t in enumerate(trains)},
        time_support=support,
        metadata=labels.rename(columns={"unit_id": "unit", "rate": "rate_label"}),
    )
    found: dict[str, Any] = {"units": group, "epochs": _intervals(pynapple, spikes)}
    if events is not None:
        own = events.isel(event=events["session"].values == eid)
        kinds = own["kind"].values
        starts = {k: np.sort(own["start"].values[kinds == k]) for k in sorted(set(kinds))}
        found["events"] = {k: pynapple.Ts(t[np.isfinite(t)]) for k, t in starts.items()}
    if behavior is not None:
        found["behavior"] = _behavior(pynapple, behavior, eid)
    return found


def from_pynapple(
    units: TsGroup, *, epochs: IntervalSet | None = None, session: str = "session"
) -> xr.Dataset:
    """Return the spikes of a TsGroup in the form of `lsdx.open_spikes`.

    Parameters
    ----------
    units : TsGroup
        Times in s from the start of the recording, 0 or later. Its metadata become labels; its
        keys are the units' ids where there is no metadata ``unit``.
    epochs : IntervalSet, optional
        With the metadata ``phase`` and ``epoch``; without these each interval is an epoch
        ``"0"``, ``"1"``, ... of the phase ``"all"``. One epoch of all times without it.
    session : str
        Id of the session, where no metadata tells it.

    Returns
    -------
    Dataset
        On it ``bin``, ``cv``, ``psth`` and the other measures of spikes work. Times are rounded to
        ticks of 10 us there, as everywhere.

    Raises
    ------
    SelectionError
        For times below 0, units with the same id, or an epoch that stands twice.

    Examples
    --------
    >>> import numpy as np, pynapple
    >>> units = pynapple.TsGroup({7: pynapple.Ts(np.array([0.5, 1.0, 2.25]))})
    >>> spikes = from_pynapple(units)
    >>> spikes.lsd.bin("1 s").counts.values.ravel().tolist()
    [1.0, 1.0]
    """
    keys = list(units.keys())
    trains = [np.asarray(units[k].t, dtype=np.float64) for k in keys]
    size = np.array([t.size for t in trains], dtype=np.int64)
    times = np.concatenate([*trains, np.zeros(0)])
    if times.size and times.min() < 0:
        expected, found = "times from the start of the recording", f"{times.min():g} s"
        raise SelectionError(located("from_pynapple", expected, found, "Shift all of them."))
    table = pd.DataFrame(units.metadata).drop(columns=["rate"], errors="ignore")
    ids = text(table.pop("unit").to_numpy() if "unit" in table else [str(k) for k in keys])
    if len(set(ids)) < len(ids):
        raise SelectionError(located("from_pynapple", "units with ids of their own", "duplicates"))
    last = float(times.max(initial=0.0))
    phases, names, start, stop = _epochs_of(epochs, last)
    n = len(keys)
    coords: dict[str, Any] = {"unit": ids, "phase": text(phases), "epoch": text(names)}
    coords |= {k: ("unit", text([session] * n)) for k in ("session", "session_label", "insertion")}
    coords["has_duplicate_mask"] = ("unit", np.zeros(n, dtype=bool))
    columns = {str(c): xr.Variable("unit", table[c].to_numpy()) for c in table}
    labels = {c: v for c, v in columns.items() if c not in ("administration", "last_spike")}
    coords |= {c: ("unit", text(v.values)) if is_text(v) else v for c, v in labels.items()}
    of_unit = {k: np.full(n, np.nan) for k in ("administration",)}
    of_unit["last_spike"] = np.full(n, last)
    of_unit |= {k: np.asarray(v.values, np.float64) for k, v in columns.items() if k in of_unit}
    each = ("unit", *_EPOCH)
    shape = (n, *start.shape)
    return xr.Dataset(
        {
            "spike_time": ("spike", times, {"units": "s"}),
            "duplicate": ("spike", np.zeros(times.size, dtype=bool)),
            "row_size": ("unit", size, {"units": "1", "sample_dimension": "spike"}),
            "row_start": ("unit", np.cumsum(size) - size, {"units": "1"}),
            "start": (each, np.broadcast_to(start, shape), {"units": "s"}),
            "stop": (each, np.broadcast_to(stop, shape), {"units": "s"}),
            **{k: ("unit", v, {"units": "s"}) for k, v in of_unit.items()},
        },
        coords,
        {"featureType": "timeSeries", "n_spikes": int(times.size)},
    )


def one_session(spikes: xr.Dataset, where: str) -> str:
    """Return the id of the one session that units are of.

    Raises
    ------
    SelectionError
        For no session, or several.
    """
    of = spikes["session"].values if "session" in spikes.coords else np.zeros(0)
    eids = list(dict.fromkeys(map(str, of)))
    if len(eids) != 1:
        do = "Open one: lsdx.open_spikes(session=...)."
        raise SelectionError(located(where, "spikes of one session", f"{len(eids)} sessions", do))
    return eids[0]


def observed_epochs(spikes: xr.Dataset) -> pd.DataFrame:
    """Return start and stop (s), phase and epoch of what any unit observed, in order of start."""
    start, stop = (spikes[n].max("unit") for n in ("start", "stop"))
    rows = [
        {"start": float(start.sel(at)), "stop": float(stop.sel(at)), **at}
        for phase in spikes["phase"].values
        for epoch in spikes["epoch"].values
        for at in [{"phase": phase, "epoch": epoch}]
        if np.isfinite(start.sel(at))
    ]
    table = pd.DataFrame(rows, columns=["start", "stop", *_EPOCH])
    return table.sort_values("start", kind="stable").reset_index(drop=True)


def _intervals(pynapple: Any, spikes: xr.Dataset) -> IntervalSet:
    table = observed_epochs(spikes)
    labels = {n: table[n].to_numpy(dtype=object) for n in _EPOCH}
    start, stop = table["start"].to_numpy(), table["stop"].to_numpy()
    # pynapple drops the metadata of intervals that touch
    stop = stop.copy()
    stop[:-1] = np.minimum(stop[:-1], start[1:] - 1e-6)
    return pynapple.IntervalSet(start, stop, metadata=labels if len(table) else None)


def _epochs_of(
    epochs: IntervalSet | None, last: float
) -> tuple[list[str], list[str], np.ndarray, np.ndarray]:
    """Return phases, epochs, and start and stop of each, NaN where there is none."""
    if epochs is None:
        return ["all"], ["all"], np.zeros((1, 1)), np.full((1, 1), last)
    table = pd.DataFrame(epochs.metadata)
    named = set(_EPOCH) <= set(table.columns)
    phase = table["phase"].astype(str).tolist() if named else ["all"] * len(epochs)
    epoch = table["epoch"].astype(str).tolist() if named else [str(i) for i in range(len(epochs))]
    phases, names = list(dict.fromkeys(phase)), list(dict.fromkeys(epoch))
    if len(set(zip(phase, epoch, strict=True))) < len(epochs):
        raise SelectionError(located("from_pynapple, epochs", "each epoch once", "duplicates"))
    start, stop = np.full((2, len(phases), len(names)), np.nan)
    for p, e, a, b in zip(phase, epoch, epochs.start, epochs.end, strict=True):
        start[phases.index(p), names.index(e)] = a
        stop[phases.index(p), names.index(e)] = b
    return phases, names, start, stop


def behavior_series(behavior: xr.Dataset, eid: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return times (s, on the session's clock), values (time, feature) and features of a session.

    Bins of all epochs in order of time, without those after an epoch's end.
    """
    own = behavior.sel(session=eid)
    times, values = [], []
    for phase in own["phase"].values:
        for epoch in own["epoch"].values:
            cell = own.sel(phase=phase, epoch=epoch)
            start, stop = float(cell["start"]), float(cell["stop"])
            if np.isfinite(start):
                at = start + cell["time"].values
                inside = at < stop
                times.append(at[inside])
                values.append(cell["behavior"].transpose("time", "feature").values[inside])
    features = [str(f) for f in own["feature"].values]
    if not times:
        return np.zeros(0), np.zeros((0, len(features))), features
    order = np.argsort(np.concatenate(times), kind="stable")
    return np.concatenate(times)[order], np.concatenate(values)[order], features


def _behavior(pynapple: Any, behavior: xr.Dataset, eid: str) -> TsdFrame:
    if eid not in behavior["session"].values:
        do = "Pass lsdx.open_behavior() of the same stores."
        expected = f"behaviour of session {eid}"
        raise SelectionError(located("to_pynapple, behavior", expected, "none", do))
    times, values, features = behavior_series(behavior, eid)
    return pynapple.TsdFrame(times, values, columns=features)


def _pynapple(where: str) -> Any:
    try:
        import pynapple
    except ImportError as error:
        raise missing_package(where, "pynapple", "pynapple") from error
    return pynapple


def to_tsd(data: xr.DataArray) -> Tsd | TsdFrame:
    """Return a series of one session as pynapple has it.

    Parameters
    ----------
    data : DataArray
        Over time in s, and at most one other dimension: of ``pose.lsd.speed()``,
        ``pose.lsd.pupil_diameter()`` or a selection of `lsdx.open_behavior`. It is computed.

    Returns
    -------
    Tsd or TsdFrame
        Times in s as they are: of a pose on the spike clock, of behaviour from the epoch's start.
        The labels of the other dimension are the columns.

    Raises
    ------
    SelectionError
        For other dimensions, or frames that have no times.
    MissingPackage
        Without pynapple: ``pip install 'lsdx[pynapple]'``.

    Examples
    --------
    >>> import lsdx
    >>> eid = lsdx.open_sessions().session.values[0]
    >>> pose = lsdx.open_pose(session=eid, camera="left")
    >>> type(to_tsd(pose.lsd.pupil_diameter())).__name__
    'Tsd'
    """
    pynapple = _pynapple("to_tsd")
    given: object = data
    if not isinstance(given, xr.DataArray):
        found = type(given).__name__
        raise SelectionError(located("to_tsd", "a DataArray", found, 'Take one: data["name"].'))
    data = data.squeeze([d for d in data.dims if d != "time" and data.sizes[d] == 1])
    found = ", ".join(map(str, data.dims)) or "none"
    if "time" not in data.dims or data.ndim > 2:
        do = "Select one label of the others: data.sel(...)."
        raise SelectionError(located("to_tsd", "dims time and at most one more", found, do))
    if data["time"].attrs.get("units") != "s":
        found = data["time"].attrs.get("long_name", "another unit")
        raise SelectionError(located("to_tsd", "time in s", str(found)))
    times = data["time"].values
    if data.ndim == 1:
        return pynapple.Tsd(times, data.values)
    (other,) = (d for d in data.dims if d != "time")
    columns: Any = data[other].values if other in data.coords else np.arange(data.sizes[other])
    return pynapple.TsdFrame(times, data.transpose("time", other).values, columns=list(columns))
