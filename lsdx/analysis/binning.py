"""Spike counts from spike times: any bin width, any intervals, lazily."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from lsdx.clock import TICKS_PER_SECOND, bin_centres, n_bins, to_bin_ticks, to_ticks
from lsdx.errors import SelectionError, located
from lsdx.schema.spikes import session_runs

_LATEST = 42_949.0  # s; the last that a tick in uint32 can tell


def bin_spikes(
    ds: xr.Dataset,
    bin_width: str | float,
    *,
    phase: str | Sequence[str] | None = None,
    epoch: str | Sequence[str] | None = None,
    intervals: xr.Dataset | np.ndarray | Sequence[Sequence[float]] | None = None,
    duplicates: str = "keep",
) -> xr.Dataset:
    """Count spikes in the bins of epochs, or of any intervals.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_spikes` gives, or a selection of its units.
    bin_width : str or float
        Such as ``"10 ms"`` (a plain number is seconds); a whole number of 10 us.
    phase, epoch : str or sequence of str, optional
        Which epochs; all by default.
    intervals : optional
        Instead of epochs: (n, 2) starts and stops in s on the session's spike clock, the same
        for all units; or a Dataset with ``start`` and ``stop`` in s, by session or unit and
        any dimension of its own. NaN is not observed.
    duplicates : {"keep", "drop"}
        Whether spikes that bombcell calls duplicates are counted.

    Returns
    -------
    Dataset
        ``counts`` (unit, ..., time) float32, NaN past an interval's last whole bin and where
        not observed; ``n_spikes`` float64 and ``duration`` (s) of the binned time. Lazy where
        the spikes are: one task a session. ``time`` is the bin's centre from the start.

    Raises
    ------
    SelectionError
        If ``ds`` holds no spikes, its spikes were cut, or a phase or epoch is unknown.
    ConfigError
        For a bin width that is no whole number of 10 us.

    Notes
    -----
    Times are compared as integer ticks of 10 us; bins are half-open, ``[start, stop)``. For
    the epochs and a width that has been built this equals `lsdx.open_counts`.

    Examples
    --------
    >>> import lsdx
    >>> s = lsdx.open_spikes(demo_stores)
    >>> s.lsd.bin("1 s", epoch="replay").counts.dims
    ('unit', 'phase', 'time')
    """
    _require_spikes(ds)
    _check_duplicates(ds, duplicates)
    width = to_bin_ticks(bin_width)
    start, stop = _windows(ds, phase, epoch, intervals)
    known = ~(np.isnan(start.values) | np.isnan(stop.values))
    begin = to_ticks(np.clip(np.where(known, start.values, 0), -1, _LATEST))
    end = to_ticks(np.clip(np.where(known, stop.values, 0), -1, _LATEST))
    bad = (end < begin) | (begin < 0) | (end >= to_ticks(_LATEST))
    if bad.any():
        where = np.unravel_index(int(np.argmax(bad)), bad.shape)
        raise SelectionError(
            located(
                "bin, intervals",
                "0 <= start <= stop, in s of the recording",
                f"{start.values[where]} to {stop.values[where]}",
                "Correct the intervals.",
            )
        )
    # what lies past the end of a probe's recording was not observed
    last = to_ticks(np.nan_to_num(ds["last_spike"].values, nan=-2.0)) + TICKS_PER_SECOND
    past = end > last.reshape(-1, *[1] * (end.ndim - 1))
    bins = np.where(past, 0, n_bins(end - begin, width))
    length = int(bins.max(initial=0))
    flat = (ds.sizes["unit"], int(np.prod(begin.shape[1:])))
    data = _count_by_session(
        ds, begin.reshape(flat), bins.reshape(flat), width, length, duplicates == "drop"
    ).reshape((*begin.shape, length))
    dims = (*start.dims, "time")
    duration = np.where(bins > 0, bins * (width / TICKS_PER_SECOND), np.nan)
    # the labels of the windows win: they may be fewer, or in another order
    coords = {c: v for c, v in ds.coords.items() if set(v.dims) <= {"unit"}}
    coords |= {c: v for c, v in start.coords.items() if "unit" not in v.dims}
    out = xr.Dataset(
        {
            "counts": (
                dims,
                data,
                {"units": "1", "long_name": "Spikes in [start, stop) of the bin"},
            ),
            "duration": (start.dims, duration, {"units": "s", "long_name": "Binned time"}),
        },
        coords={**coords, "time": ("time", bin_centres(length, width), {"units": "s"})},
    )
    out["n_spikes"] = (
        out["counts"]
        .sum("time", min_count=1, dtype=np.float64)
        .assign_attrs(units="1", long_name="Spikes in the binned time")
    )
    about = {k: v for k, v in ds.attrs.items() if k not in ("featureType", "n_spikes")}
    return out.assign_attrs(about, bin_width=width / TICKS_PER_SECOND, duplicates=duplicates)


def _check_rows(ticks: np.ndarray, row_start: np.ndarray, row_size: np.ndarray) -> None:
    """Refuse spikes that are not in order of time within each unit."""
    falls = np.flatnonzero(ticks[1:] < ticks[:-1]) + 1
    order = np.argsort(row_start, kind="stable")
    row = np.searchsorted(row_start[order], falls, side="right") - 1
    mine = order[np.maximum(row, 0)]
    first = row_start[mine]
    if ((row >= 0) & (falls > first) & (falls < first + row_size[mine])).any():
        raise SelectionError(
            located(
                "bin",
                "each unit's spikes in order of time",
                "others",
                "Do not sort or reverse along spike.",
            )
        )


def _require_spikes(ds: xr.Dataset) -> None:
    missing = [n for n in ("spike_time", "row_start", "row_size") if n not in ds.variables]
    if not missing and "unit" not in ds.dims:
        raise SelectionError(
            located("bin", "the dimension 'unit'", "one unit alone", "Use isel(unit=[i]).")
        )
    if missing:
        raise SelectionError(
            located(
                "bin",
                "spike times",
                "no " + ", ".join(missing),
                "Open them for these units: lsdx.open_spikes(units=ds).",
            )
        )
    whole = ds.attrs.get("n_spikes", ds.sizes["spike"])
    if whole != ds.sizes["spike"]:
        raise SelectionError(
            located(
                "bin",
                f"all {whole} spikes that were opened",
                f"{ds.sizes['spike']}",
                "Select along unit, not along spike.",
            )
        )


def _check_duplicates(ds: xr.Dataset, duplicates: str) -> None:
    if duplicates not in ("keep", "drop"):
        raise SelectionError(
            located("bin, duplicates", "'keep' or 'drop'", repr(duplicates), "Correct it.")
        )
    bare = ds["insertion"].values[~ds["has_duplicate_mask"].values]
    if duplicates == "drop" and bare.size:
        raise SelectionError(
            located(
                "bin, duplicates='drop'",
                "bombcell's duplicate mask of each insertion",
                f"none for {bare[0]}",
                "Run bombcell, or keep duplicates.",
            )
        )


def _windows(
    ds: xr.Dataset, phase: Any, epoch: Any, intervals: Any
) -> tuple[xr.DataArray, xr.DataArray]:
    """Start and stop in s, with ``unit`` first."""
    if intervals is None:
        chosen = ds[["start", "stop"]]
        for name, wanted in (("phase", phase), ("epoch", epoch)):
            if wanted is not None:
                chosen = _labelled(chosen, name, wanted)
        windows = chosen
    elif phase is not None or epoch is not None:
        raise SelectionError(
            located("bin", "epochs or intervals", "both", "Leave phase and epoch out.")
        )
    elif isinstance(intervals, xr.Dataset):
        missing = {"start", "stop"} - set(intervals.variables)
        if missing or "time" in intervals.dims:
            raise SelectionError(
                located(
                    "bin, intervals",
                    "start and stop, without a dimension 'time'",
                    f"{', '.join(map(str, intervals.variables))}",
                    "Correct them.",
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
            raise SelectionError(
                located("bin, intervals", "shape (n, 2)", str(times.shape), "Correct it.")
            )
        windows = xr.Dataset(
            {"start": ("interval", times[:, 0]), "stop": ("interval", times[:, 1])},
            coords={"interval": np.arange(len(times))},
        )
    if "unit" not in windows.dims:
        windows = windows.expand_dims(unit=ds["unit"])
    start, stop = xr.broadcast(windows["start"], windows["stop"])
    return start.transpose("unit", ...), stop.transpose("unit", ...)


def _distinct(session: xr.DataArray) -> np.ndarray:
    return np.unique(session.values.astype(str)).astype(object)


def _labelled(windows: xr.Dataset, name: str, wanted: Any) -> xr.Dataset:
    if name not in windows.dims:
        raise SelectionError(
            located(f"bin, {name}", f"the dimension {name!r}", "none", f"Leave {name} out.")
        )
    try:
        return windows.sel({name: wanted})
    except KeyError:
        have = ", ".join(map(str, windows[name].values))
        raise SelectionError(
            located(f"bin, {name}", f"one of {have}", repr(wanted), "Correct it.")
        ) from None


def _count_by_session(
    ds: xr.Dataset, begin: np.ndarray, bins: np.ndarray, width: int, length: int, drop: bool
) -> Any:
    """Count in one block for each run of consecutive units of one session."""
    import dask.array as da
    from dask.delayed import delayed

    row_start, row_size = ds["row_start"].values, ds["row_size"].values
    shape = (row_start.size, begin.shape[1], length)
    spikes, duplicate = ds["spike_time"].data, ds["duplicate"].data
    lazy = isinstance(spikes, da.Array)
    count = delayed(_count_block, pure=True) if lazy else _count_block
    pieces = _Pieces(spikes), _Pieces(duplicate)
    blocks = []
    for rows in session_runs(ds["session"].values):
        low = int(row_start[rows].min())
        high = int((row_start[rows] + row_size[rows]).max())
        seconds, base = pieces[0].covering(low, high)
        mask = pieces[1].covering(low, high)[0] if drop else None
        block = count(
            seconds,
            mask,
            row_start[rows] - base,
            row_size[rows],
            begin[rows],
            bins[rows],
            width,
            length,
        )
        if lazy:
            block = da.from_delayed(block, (rows.stop - rows.start, *shape[1:]), np.float32)
        blocks.append(block)
    if not blocks:
        return np.empty(shape, dtype=np.float32)
    return da.concatenate(blocks) if lazy else np.concatenate(blocks)


class _Pieces:
    """Pieces of a long array: a whole chunk where one covers what is asked for, else a slice.

    Slicing a dask array costs time in proportion to its chunks; shuffled units make as many
    chunks as there are units.
    """

    def __init__(self, array: Any) -> None:
        self.array = array
        self.stops = np.cumsum(array.chunks[0]) if hasattr(array, "chunks") else None
        self.chunks = array.to_delayed() if self.stops is not None else None

    def covering(self, low: int, high: int) -> tuple[Any, int]:
        """Give a piece that holds [low, high), and where it starts."""
        if self.stops is not None and self.chunks is not None and high > low:
            i = int(np.searchsorted(self.stops, low, side="right"))
            if high <= self.stops[i]:
                return self.chunks[i], int(self.stops[i - 1]) if i else 0
        return self.array[low:high], low


def _count_block(
    seconds: np.ndarray,
    duplicate: np.ndarray | None,
    row_start: np.ndarray,
    row_size: np.ndarray,
    begin: np.ndarray,
    bins: np.ndarray,
    width: int,
    length: int,
) -> np.ndarray:
    from lsdx.kernels.binning import count_spikes

    ticks = to_ticks(seconds)
    if ticks.size and not 0 <= int(ticks.min()) <= int(ticks.max()) < 2**32:
        raise SelectionError(
            located(
                "bin",
                "spike times in s of the recording, as they were opened",
                f"times from {seconds.min()} to {seconds.max()}",
                "Shift the intervals, not the spikes.",
            )
        )
    ticks = ticks.astype(np.uint32)
    _check_rows(ticks, row_start, row_size)
    keep = None if duplicate is None else ~duplicate
    counts = count_spikes(
        ticks, row_start, row_size, begin, bins, width, length, keep, dtype=np.float32
    )
    counts[np.arange(length) >= bins[..., None]] = np.nan
    return counts
