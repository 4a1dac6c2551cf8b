"""Measures of behaviour on the counts' bins: bouts, quiescence, averages around events."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.results import result_attrs
from lsdx.clock import to_bins, to_seconds
from lsdx.errors import ArgumentError, SelectionError, located

_WINDOWS = ("session", "phase", "epoch")


def bouts(
    ds: xr.Dataset,
    *,
    feature: str,
    high: float = 3.0,
    low: float = 1.0,
    shortest: str | float = "200 ms",
    gap: str | float = "200 ms",
) -> xr.Dataset:
    """Return bouts of a feature: when it was above its rest in the first phase.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_behavior` or ``pose.lsd.bin_behavior`` gives, with its first phase.
    feature : str
        Such as ``"left/paw_near_speed"``.
    high, low : float
        A bout begins at ``high`` and lasts while above ``low``, both in robust standard
        deviations (1.4826 MAD) above the median of the session's first phase.
    shortest, gap : str or float
        Bouts less than ``gap`` apart are one; then those shorter than ``shortest`` are left out.

    Returns
    -------
    Dataset
        Over (event,), in order of session and time: ``start``, ``stop``, ``duration`` in s on the
        spike clock, ``cut`` where an epoch's edge or missing frames cut it; labels ``session``,
        ``phase``, ``epoch``, ``kind`` ``"bout"``. ``psth`` takes it. Computed at once.

    Raises
    ------
    SelectionError
        If ``ds`` holds no such behaviour, or was selected to a phase or an epoch.
    ArgumentError
        If ``low`` is not below ``high``.

    Notes
    -----
    Where the animal hardly moved in the first phase, so that the deviation is 0, every value above
    the median is a bout.

    Examples
    --------
    >>> import lsdx
    >>> b = lsdx.open_behavior().isel(session=[0])
    >>> b.lsd.bouts(feature="left/paw_near_speed").start.dims
    ('event',)
    """
    ds = _of_behavior(ds, "bouts", feature)
    if not low < high:
        found = f"low={low}, high={high}"
        raise ArgumentError(located("bouts, low", "a number below high", found))
    shortest_s, gap_s = to_seconds(shortest, "bouts, shortest"), to_seconds(gap, "bouts, gap")
    rows = list(_bouts(ds, feature, (high, low), (shortest_s, gap_s)))
    table = pd.concat(rows, ignore_index=True) if rows else _no_bouts()
    times = {n: ("event", table[n].to_numpy(float), {"units": "s"}) for n in ("start", "stop")}
    words = {n: ("event", table[n].to_numpy(object)) for n in (*_WINDOWS, "kind")}
    if "session_label" in ds.coords:
        # of one session that was selected it has no dimension
        names = np.atleast_1d(ds["session_label"].values)
        label = dict(zip(ds["session"].values, names, strict=True))
        words["session_label"] = ("event", np.array([label[s] for s in table["session"]], object))
    out = xr.Dataset(
        {
            **times,
            "duration": ("event", (table["stop"] - table["start"]).to_numpy(float), {"units": "s"}),
            "cut": ("event", table["cut"].to_numpy(bool)),
        },
        words,
    )
    about = {"feature": feature, "high": high, "low": low, "shortest": shortest_s, "gap": gap_s}
    return out.assign_attrs(result_attrs(ds) | about)


def quiescence(
    ds: xr.Dataset,
    *,
    feature: str,
    high: float = 3.0,
    low: float = 1.0,
    shortest: str | float = "200 ms",
    gap: str | float = "200 ms",
) -> xr.DataArray:
    """Return the share of the observed time of each epoch that lies outside bouts.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_behavior` or ``pose.lsd.bin_behavior`` gives, with its first phase.
    feature : str
        Such as ``"left/paw_near_speed"``.
    high, low : float
        Where a bout begins and ends, as in `bouts`.
    shortest, gap : str or float
        As in `bouts`.

    Returns
    -------
    DataArray
        Over (session, phase, epoch), float64 from 0 to 1; NaN where nothing was observed.
        Computed at once.

    Raises
    ------
    SelectionError, ArgumentError
        As `bouts` does.

    Examples
    --------
    >>> import lsdx
    >>> b = lsdx.open_behavior().isel(session=[0])
    >>> b.lsd.quiescence(feature="left/paw_near_speed").dims
    ('session', 'phase', 'epoch')
    """
    found = bouts(ds, feature=feature, high=high, low=low, shortest=shortest, gap=gap)
    ds = _of_behavior(ds, "quiescence", feature)
    values = ds["behavior"].sel(feature=feature).transpose(*_WINDOWS, "time")
    observed = values.notnull().sum("time") * float(ds.attrs["bin_width"])
    busy = xr.zeros_like(observed, dtype=np.float64).compute()
    index = [busy.indexes[n].get_indexer(found[n].values) for n in _WINDOWS]
    np.add.at(busy.values, tuple(index), found["duration"].values)
    out = (1 - busy / observed.where(observed > 0)).clip(0, 1).compute()
    about = {"units": "1", "long_name": f"Share of time outside bouts of {feature}"}
    return out.drop_vars("feature").rename("quiescence").assign_attrs(result_attrs(ds) | about)


def _bouts(
    ds: xr.Dataset, feature: str, levels: tuple[float, float], spans: tuple[float, float]
) -> Iterator[pd.DataFrame]:
    """Find the bouts of each epoch of each session: thresholds are of the first phase."""
    from lsdx.kernels import behavior

    width = float(ds.attrs["bin_width"])
    chosen = ds[["behavior", "start"]].sel(feature=feature)
    for eid in map(str, ds["session"].values):
        of_session = chosen.sel(session=eid)
        values = of_session["behavior"].transpose("phase", "epoch", "time").values
        rest = values[0][np.isfinite(values[0])]
        if not rest.size:
            continue
        middle = float(np.median(rest))
        spread = 1.4826 * float(np.median(np.abs(rest - middle)))
        high, low = (middle + k * spread for k in levels)
        for i, phase in enumerate(ds["phase"].values):
            for j, epoch in enumerate(ds["epoch"].values):
                start = float(of_session["start"].values[i, j])
                times = start + (np.arange(values.shape[-1]) + 0.5) * width
                if np.isnan(start) or not np.isfinite(values[i, j]).any():
                    continue
                edges, cut = behavior.bouts(
                    values[i, j].astype(np.float64),
                    times,
                    high=high,
                    low=low,
                    shortest=spans[0],
                    gap=spans[1],
                )
                labels = {"session": eid, "phase": phase, "epoch": epoch, "kind": "bout"}
                # of bins: onset and offset are the beginnings of two of them, unless cut
                first = edges[:, 0] - width / 2
                last = edges[:, 1] + np.where(cut[:, 1], width, -width) / 2
                table = {"start": first, "stop": last, "cut": cut.any(axis=1)}
                yield pd.DataFrame(table).assign(**labels)


def _no_bouts() -> pd.DataFrame:
    return pd.DataFrame({n: [] for n in ("start", "stop", "cut", *_WINDOWS, "kind")})


def triggered(
    ds: xr.Dataset,
    *,
    events: xr.Dataset | pd.DataFrame,
    window: tuple[str | float, str | float] = ("-1 s", "4 s"),
) -> xr.Dataset:
    """Return the mean of behaviour around events.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_behavior` or ``pose.lsd.bin_behavior`` gives.
    events : Dataset or DataFrame
        ``session`` and ``start`` in s: a selection of `lsdx.open_events`, or `bouts`.
    window : tuple of two str or float
        From where to where around an event; whole numbers of bins.

    Returns
    -------
    Dataset
        ``behavior`` over (session, feature, lag), float64, the mean over events; ``n``, events
        that were observed at that lag. ``lag``: centre of the bin in s from the bin of the event.
        NaN without any. Lazy where the behaviour is.

    Raises
    ------
    SelectionError
        If ``ds`` holds no behaviour, or events lack session or start.
    ArgumentError
        For a window that is no whole number of bins.

    Notes
    -----
    An event belongs to the bin in which it lies, so that lags are right to half a bin. Only bins
    of the event's own epoch count.

    Examples
    --------
    >>> import lsdx
    >>> gabors = lsdx.open_events().lsd.select(kind="gabor")
    >>> lsdx.open_behavior().lsd.triggered(events=gabors).behavior.dims
    ('session', 'feature', 'lag')
    """
    ds = _of_behavior(ds, "triggered")
    missing = [n for n in ("session", "start") if n not in events]
    if missing:
        do = "Start from lsdx.open_events(), or ds.lsd.bouts(...)."
        raise SelectionError(
            located("triggered, events", "session and start", "no " + ", ".join(missing), do)
        )
    low, high = (to_bins(w, float(ds.attrs["bin_width"]), "triggered, window") for w in window)
    if low >= high:
        raise ArgumentError(located("triggered, window", "from low to high", repr(window)))
    lags = np.arange(low, high)
    where = xr.DataArray(
        _places(ds, events), dims=("session", "event", "place"), coords={"session": ds["session"]}
    )
    total, n = xr.apply_ufunc(
        _around,
        ds["behavior"].chunk(phase=-1, epoch=-1, time=-1, feature=-1),
        where,
        kwargs={"lags": lags},
        input_core_dims=[["feature", "phase", "epoch", "time"], ["event", "place"]],
        output_core_dims=[["feature", "lag"], ["feature", "lag"]],
        dask="parallelized",
        output_dtypes=[np.float64, np.int64],
        dask_gufunc_kwargs={"output_sizes": {"lag": lags.size}},
    )
    seconds = float(ds.attrs["bin_width"])
    about = {"units": "s", "long_name": "Time from the event"}
    labels = {n_: c for n_, c in ds.coords.items() if set(c.dims) <= {"session", "feature"}}
    out = xr.Dataset({"behavior": total, "n": n.assign_attrs(units="1")}, labels)
    return out.assign_coords(lag=("lag", lags * seconds, about)).assign_attrs(result_attrs(ds))


def _places(ds: xr.Dataset, events: xr.Dataset | pd.DataFrame) -> np.ndarray:
    """Return phase, epoch and bin of each session's events, -1 where they lie in none."""
    session = np.asarray(events["session"]).astype(str)
    time = np.asarray(events["start"], dtype=np.float64)
    width = float(ds.attrs["bin_width"])
    rows = []
    for eid in map(str, ds["session"].values):
        mine = np.sort(time[session == eid])
        mine = mine[np.isfinite(mine)]
        start, stop = (
            ds[n].sel(session=eid).transpose("phase", "epoch").values for n in ("start", "stop")
        )
        inside = (mine[:, None, None] >= start) & (mine[:, None, None] < stop)
        event, phase, epoch = np.nonzero(inside)
        # a time on the edge of a bin belongs to the bin that it begins
        at = np.floor((mine[event] - start[phase, epoch]) / width + 1e-6)
        rows.append(np.stack([phase, epoch, at.astype(np.int64)], axis=1))
    longest = max([1, *(len(r) for r in rows)])  # dask takes no empty dimension
    filled = [np.pad(r, ((0, longest - len(r)), (0, 0)), constant_values=-1) for r in rows]
    return np.array(filled, dtype=np.int64).reshape(len(rows), longest, 3)


def _around(
    values: np.ndarray, where: np.ndarray, *, lags: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and number over the events of each session."""
    shape = (len(values), values.shape[1], lags.size)
    mean, n = np.full(shape, np.nan), np.zeros(shape, dtype=np.int64)
    for i, (one, places) in enumerate(zip(values, where, strict=True)):
        mean[i], n[i] = _around_one(one, places, lags)
    return mean, n


def _around_one(
    values: np.ndarray, where: np.ndarray, lags: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    where = where[where[:, 0] >= 0]
    at = where[:, 2, None] + lags
    inside = (at >= 0) & (at < values.shape[-1])
    at = np.where(inside, at, 0)
    found = values[:, where[:, 0, None], where[:, 1, None], at].astype(np.float64)
    found = np.where(inside, found, np.nan)
    n = np.isfinite(found).sum(axis=1)
    total = np.nansum(found, axis=1)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan), n


def in_frame_widths(ds: xr.Dataset) -> xr.Dataset:
    """Return behaviour with what is in pixels as shares of the frame's width.

    Pixels of two cameras do not compare: the left camera's frames are 1280 px wide, the right
    one's 640.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_behavior` or ``pose.lsd.bin_behavior`` gives.

    Returns
    -------
    Dataset
        The same, lazy where it was; ``feature_units`` say ``frame widths`` for px. NaN for a
        camera whose frames' width is not known.

    Raises
    ------
    SelectionError
        If ``ds`` holds no behaviour.

    Examples
    --------
    >>> import lsdx
    >>> b = lsdx.open_behavior().lsd.in_frame_widths()
    >>> b.feature_units.sel(feature="left/nose_speed").item()
    'frame widths/s'
    """
    ds = _of_behavior(ds, "in_frame_widths")
    units = np.atleast_1d(ds["feature_units"].values).astype(str)
    pixels = np.char.startswith(units, "px")
    by = np.where(pixels, np.atleast_1d(ds["frame_width"].values), 1.0)
    scale = xr.DataArray(by.astype(np.float32), dims="feature")
    told = np.array([u.replace("px", "frame widths") for u in units], dtype=object)
    out = ds.assign(behavior=ds["behavior"] / scale)
    return out.assign_coords(feature_units=("feature", told))


def _of_behavior(ds: xr.Dataset, where: str, feature: str | None = None) -> xr.Dataset:
    """Check that a Dataset is of behaviour, and give it the dimension ``session``."""
    variables = getattr(ds, "variables", {})
    do = "Start from lsdx.open_behavior(), or pose.lsd.bin_behavior(...)."
    wanted = {"feature", "phase", "epoch", "time"}
    found = ", ".join(map(str, getattr(ds, "dims", ()))) or type(ds).__name__
    if "behavior" not in variables:
        raise SelectionError(located(where, "the variable behavior", found, do))
    if lost := wanted - set(ds["behavior"].dims):
        which = ", ".join(sorted(lost))
        raise SelectionError(
            located(
                where,
                f"dims {', '.join(sorted(wanted))}",
                f"no {which}",
                f"Keep {which} as a list: sel({min(lost)}=[...]).",
            )
        )
    if "session" not in ds.dims:
        ds = ds.expand_dims("session") if "session" in ds.coords else ds.expand_dims(session=[""])
        for name in ("start", "stop"):
            if "session" not in ds[name].dims:
                ds = ds.assign_coords({name: ds[name].expand_dims(session=ds["session"].values)})
    known = [str(f) for f in ds["feature"].values]
    if feature is not None and feature not in known:
        raise SelectionError(
            located(f"{where}, feature", "one of " + ", ".join(known), repr(feature))
        )
    return ds
