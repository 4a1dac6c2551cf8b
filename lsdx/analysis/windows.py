"""Windows of time in a recording: epochs, intervals, and where time is counted from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from lsdx.clock import TICKS_PER_SECOND, to_bin_ticks, to_ticks
from lsdx.errors import ArgumentError, SelectionError, located

WINDOWS = ("100 ms", "1 s", "10 s")  # of measures of counts, by default
_LATEST = 42_949.0  # s; the last that a tick in uint32 can tell


def observed_ticks(
    ds: xr.Dataset,
    where: str,
    phase: str | Sequence[str] | None = None,
    epoch: str | Sequence[str] | None = None,
    intervals: xr.Dataset | np.ndarray | Sequence[Sequence[float]] | None = None,
) -> tuple[xr.DataArray, np.ndarray, np.ndarray]:
    """Return epochs or intervals by unit: starts with their labels, first ticks, last ticks.

    Where they were not observed the last tick is the first. Arguments and errors are those of
    `bin_spikes`.
    """
    start, stop = _windows(ds, where, phase, epoch, intervals)
    known = ~(np.isnan(start.values) | np.isnan(stop.values))
    begin = to_ticks(np.clip(np.where(known, start.values, 0), -1, _LATEST))
    end = to_ticks(np.clip(np.where(known, stop.values, 0), -1, _LATEST))
    bad = (end < begin) | (begin < 0) | (end >= to_ticks(_LATEST))
    if bad.any():
        at = np.unravel_index(int(np.argmax(bad)), bad.shape)
        raise SelectionError(
            located(
                f"{where}, intervals",
                "0 <= start <= stop, in s of the recording",
                f"{start.values[at]} to {stop.values[at]}",
                "Correct the intervals.",
            )
        )
    # what lies past the end of a probe's recording was not observed
    last = to_ticks(np.nan_to_num(ds["last_spike"].values, nan=-2.0)) + TICKS_PER_SECOND
    past = end > last.reshape(-1, *[1] * (end.ndim - 1))
    return start, begin, np.where(past, begin, end)


def labels_of_windows(ds: xr.Dataset, start: xr.DataArray) -> dict[Any, Any]:
    """Return the labels of units, and those of the windows, which may be fewer or reordered."""
    coords = {c: v for c, v in ds.coords.items() if set(v.dims) <= {"unit"}}
    return coords | {c: v for c, v in start.coords.items() if "unit" not in v.dims}


def _windows(
    ds: xr.Dataset, where: str, phase: Any, epoch: Any, intervals: Any
) -> tuple[xr.DataArray, xr.DataArray]:
    """Start and stop in s, with ``unit`` first."""
    if intervals is None:
        chosen = ds[["start", "stop"]]
        for name, wanted in (("phase", phase), ("epoch", epoch)):
            if wanted is not None:
                chosen = _labelled(chosen, f"{where}, {name}", name, wanted)
        windows = chosen
    elif phase is not None or epoch is not None:
        raise SelectionError(
            located(where, "epochs or intervals", "both", "Leave phase and epoch out.")
        )
    elif isinstance(intervals, xr.Dataset):
        missing = {"start", "stop"} - set(intervals.variables)
        if missing or "time" in intervals.dims:
            raise SelectionError(
                located(
                    f"{where}, intervals",
                    "start and stop, without a dimension 'time'",
                    f"{', '.join(map(str, intervals.variables))}",
                    "Give start and stop alone, over unit, session, phase, epoch or interval.",
                )
            )
        windows = intervals[["start", "stop"]]
        if "session" in windows.dims:
            windows = windows.reindex(session=_distinct(ds["session"])).sel(session=ds["session"])
        elif "session" in windows.coords and "unit" not in windows["session"].dims:
            # each unit has only its own session's, as with events
            windows = windows.where(windows["session"] == ds["session"].drop_vars("session"))
        if "unit" in windows.dims and "unit" in windows.coords:
            windows = windows.reindex(unit=ds["unit"].values)
    else:
        try:
            times = np.asarray(intervals, dtype=np.float64)
        except (TypeError, ValueError):
            times = np.empty(0)
        if times.ndim != 2 or times.shape[1] != 2:
            raise ArgumentError(located(f"{where}, intervals", "shape (n, 2)", str(times.shape)))
        windows = xr.Dataset(
            {"start": ("interval", times[:, 0]), "stop": ("interval", times[:, 1])},
            coords={"interval": np.arange(len(times))},
        )
    if "unit" not in windows.dims:
        windows = windows.expand_dims(unit=ds["unit"])
    start, stop = windows["start"], windows["stop"]
    if start.dims != stop.dims:  # broadcasting copies every label of every unit
        start, stop = xr.broadcast(start, stop)
    return start.transpose("unit", ...), stop.transpose("unit", ...)


def zero_of(ds: xr.Dataset, relative_to: str, where: str) -> np.ndarray:
    """Return where times are counted from, in s of the recording, by unit; NaN if not known.

    Raises
    ------
    SelectionError
        If it is not ``"administration"``, ``"recording"`` or an epoch such as
        ``"post/spontaneous"``.
    """
    if relative_to == "recording":
        return np.zeros(ds.sizes["unit"])
    if relative_to == "administration":
        return np.asarray(ds["administration"].values, dtype=np.float64)
    phase, _, epoch = relative_to.partition("/")
    phases, epochs = (np.atleast_1d(ds[n].values) for n in ("phase", "epoch"))
    known = [f"{p}/{e}" for p in phases for e in epochs]
    if relative_to not in known:
        raise SelectionError(
            located(
                f"{where}, relative_to",
                "administration, recording or one of " + ", ".join(known),
                repr(relative_to),
            )
        )
    return np.asarray(ds["start"].sel(phase=phase, epoch=epoch).values)


def _distinct(session: xr.DataArray) -> np.ndarray:
    return np.unique(session.values.astype(str)).astype(object)


def _labelled(windows: xr.Dataset, where: str, name: str, wanted: Any) -> xr.Dataset:
    if name not in windows.dims:
        raise SelectionError(
            located(where, f"the dimension {name!r}", "none", f"Leave {name} out.")
        )
    several = np.ndim(wanted) and not isinstance(wanted, str)
    if several and (not len(wanted) or len(set(wanted)) < len(wanted)):
        raise ArgumentError(located(where, "one label, or several that differ", repr(wanted)))
    try:
        return windows.sel({name: wanted})
    except KeyError:
        have = ", ".join(map(str, windows[name].values))
        found = repr(wanted)
        raise SelectionError(located(where, f"one of {have}", found)) from None


def window_lengths(window: Any) -> list[Any]:
    """Return one length or several as a list.

    Examples
    --------
    >>> window_lengths("1 s")
    ['1 s']
    """
    return [window] if isinstance(window, str) or np.ndim(window) == 0 else list(window)


def window_sizes(ds: xr.Dataset, where: str, window: Any) -> list[int]:
    """Return the lengths of windows in bins of ``ds``.

    Raises
    ------
    SelectionError
        If one is no whole number of bins.
    """
    if "window" in ds["counts"].dims:
        raise SelectionError(
            located(
                where,
                "counts whose dimensions leave the name window to the result's",
                "those of windows that slide",
                'Rename it before: ds.rename(window="centre").',
            )
        )
    lengths = window_lengths(window)
    width = to_bin_ticks(float(ds.attrs["bin_width"]))
    ticks = [to_bin_ticks(w) for w in lengths]
    wrong = [w for w, t in zip(lengths, ticks, strict=True) if t % width]
    if wrong or not lengths:
        raise SelectionError(
            located(
                f"{where}, window",
                f"whole numbers of bins of {width / TICKS_PER_SECOND:g} s",
                repr(window),
                "Choose such windows, or bin spikes in narrower bins.",
            )
        )
    return [t // width for t in ticks]


def window_coord(ds: xr.Dataset, sizes: Sequence[int]) -> tuple[str, np.ndarray, dict[str, str]]:
    """Return the coordinate ``window`` (s) of windows of so many bins of ``ds``."""
    return "window", np.array(sizes) * float(ds.attrs["bin_width"]), {"units": "s"}
