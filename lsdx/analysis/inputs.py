"""What a Dataset must hold: counts that belong to their bins, spike trains, text labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.arguments import one_of
from lsdx.clock import TICKS_PER_SECOND, to_seconds, to_ticks
from lsdx.errors import SelectionError, located
from lsdx.schema.spec import is_text, text

_FEW = 10  # spikes, that are too few to tell what was left out


def with_text(ds: xr.Dataset, where: str) -> xr.Dataset:
    """Return a dataset whose labels are text in object arrays, ``""`` where unknown.

    Plain xarray and zarr bring labels back as StringDType, bytes or text of fixed length.

    Raises
    ------
    SelectionError
        If units or events have a MultiIndex: its labels are not text.
    """
    stacked = {n: i for n, i in ds.indexes.items() if isinstance(i, pd.MultiIndex)}
    for dim in ("unit", "event"):
        if dim in stacked:
            raise SelectionError(
                located(
                    where,
                    f"one label each along {dim!r}",
                    "a MultiIndex of " + ", ".join(map(str, stacked[dim].names)),
                    f"Undo it: ds.reset_index({dim!r}).",
                )
            )
    coords = {n: c.variable for n, c in ds.coords.items() if n not in stacked}
    labels = {n: v for n, v in coords.items() if is_text(v)}
    made = {n: xr.Variable(v.dims, text(v.values), v.attrs) for n, v in labels.items()}
    return ds.assign_coords(made) if made else ds


def labels_on_unit(ds: xr.Dataset) -> list[str]:
    """List the labels of units, without their ids.

    Examples
    --------
    >>> labels_on_unit(xr.Dataset(coords={"unit": ["a"], "session": ("unit", ["s"])}))
    ['session']
    """
    return [str(n) for n, v in ds.coords.items() if v.dims == ("unit",) and n != "unit"]


def chosen_labels(ds: xr.Dataset, names: Any, where: str) -> list[str]:
    """Return one or several different labels of units as a list.

    Raises
    ------
    SelectionError
        If one does not exist, or there are none.

    Examples
    --------
    >>> chosen_labels(xr.Dataset(coords={"session": ("unit", ["s"])}), "session", "test")
    ['session']
    """
    chosen = [names] if isinstance(names, str) else list(names or ())
    labels = labels_on_unit(ds)
    if not chosen or set(chosen) - set(labels) or len(set(chosen)) < len(chosen):
        expected = "distinct labels on unit, of " + ", ".join(sorted(labels))
        raise SelectionError(located(where, expected, repr(names)))
    return chosen


def require_spikes(ds: xr.Dataset, where: str, duplicates: str = "keep") -> xr.Dataset:
    """Return a dataset of whole spike trains, with text labels.

    Refused is one without them, or with duplicates to drop without any mask.

    Raises
    ------
    SelectionError
    """
    missing = [n for n in ("spike_time", "row_start", "row_size") if n not in ds.variables]
    if not missing and "unit" not in ds.dims:
        raise SelectionError(
            located(where, "the dimension 'unit'", "one unit alone", "Use isel(unit=[i]).")
        )
    if missing:
        raise SelectionError(
            located(
                where,
                "spike times",
                "no " + ", ".join(missing),
                "Open them for these units: lsdx.open_spikes(units=ds).",
            )
        )
    ds = with_text(ds, where)
    whole = ds.attrs.get("n_spikes", ds.sizes["spike"])
    if whole != ds.sizes["spike"]:
        raise SelectionError(
            located(
                where,
                f"all {whole} spikes that were opened",
                f"{ds.sizes['spike']}",
                "Select along unit, not along spike.",
            )
        )
    _check_duplicates(ds, where, duplicates)
    return ds


def _check_duplicates(ds: xr.Dataset, where: str, duplicates: str) -> None:
    one_of(duplicates, f"{where}, duplicates", ("keep", "drop"))
    bare = ds["insertion"].values[~ds["has_duplicate_mask"].values]
    # where some have one, the label has_duplicate_mask tells in the result which
    if duplicates == "drop" and bare.size and bare.size == ds.sizes["unit"]:
        raise SelectionError(
            located(
                f"{where}, duplicates='drop'",
                "bombcell's duplicate mask of some insertion",
                f"none, such as for {bare[0]}",
                "Run bombcell, or keep duplicates.",
            )
        )


def binned(ds: xr.Dataset, where: str, dims: tuple[str, ...] = ("unit", "time")) -> xr.Dataset:
    """Return a dataset whose counts, bin width, ``n_spikes`` and ``duration`` belong together.

    The one check of all measures of counts; `lsdx.analysis.counts.rates` says what it does.
    Sums are compared where counts are computed: in the task, if they are lazy.

    Parameters
    ----------
    ds : Dataset
    where : str
        Who asks, for errors.
    dims : tuple of str
        Dimensions that counts must have.

    Returns
    -------
    Dataset
        With text labels, ``time`` one chunk, and the attribute ``bin_width`` (s).

    Raises
    ------
    SelectionError
        Without counts over ``dims``; if ``time`` is not evenly spaced or no width is known; if
        ``bin_width`` says otherwise, and ``n_spikes`` and ``duration`` are not there to tell
        bins that were added up from bins that were left out. When counts are computed: if their
        sums are not ``n_spikes``.
    """
    if "counts" not in ds.variables or not set(dims) <= set(ds["counts"].dims):
        raise SelectionError(
            located(
                where,
                "counts over " + " and ".join(dims),
                "dims " + ", ".join(map(str, ds.dims)),
                "Start from lsdx.open_units(), or ds.lsd.bin(...) of spikes.",
            )
        )
    ds = with_text(ds, where)
    counts = ds["counts"].variable
    cells = set(counts.dims) - {"time"}
    width, stops, stated = _bins_of(ds, where)
    n_spikes, duration = (ds.get(n) for n in ("n_spikes", "duration"))
    if n_spikes is not None and set(n_spikes.dims) != cells:
        n_spikes = None
    if duration is not None and not set(duration.dims) <= cells:
        duration = None
    if stated != width and (n_spikes is None or duration is None):
        found = width / TICKS_PER_SECOND
        raise SelectionError(
            located(
                where,
                f"bins of {stated / TICKS_PER_SECOND:g} s along time, as bin_width says",
                f"one every {found:g} s, and no n_spikes and duration to tell why",
                f"If bins were added up, say so: ds.assign_attrs(bin_width={found:g}). If some "
                "were left out, keep them.",
            )
        )
    if counts.chunks is not None:
        counts = counts.chunk({"time": -1})
    if n_spikes is not None or duration is not None:
        nothing = xr.Variable((), np.nan)
        counts = xr.apply_ufunc(
            _checked,
            counts,
            nothing if n_spikes is None else n_spikes.variable,
            nothing if duration is None else duration.variable,
            input_core_dims=[["time"], [], []],
            output_core_dims=[["time"]],
            kwargs={
                "where": where,
                "width": width,
                "stops": stops,
                "restated": stated != width,
                "known": (n_spikes is not None, duration is not None),
            },
            keep_attrs=True,
            dask="parallelized",
            output_dtypes=[_with_nan(counts.dtype)],
        ).transpose(*counts.dims)
    ds = ds.assign(counts=counts).assign_attrs(bin_width=width / TICKS_PER_SECOND)
    if n_spikes is None or duration is None or stated != width or _were_cut(duration, width, stops):
        seen = ds["counts"].notnull().sum("time")
        ds["duration"] = (seen.where(seen > 0) * ds.attrs["bin_width"]).assign_attrs(units="s")
        sums = ds["counts"].sum("time", min_count=1, dtype=np.float64)
        ds["n_spikes"] = sums.assign_attrs(units="1")
    return ds


def _bins_of(ds: xr.Dataset, where: str) -> tuple[int, np.ndarray, int]:
    """Return the width of bins in ticks, where each stops, and the width that bin_width states."""
    stated = ds.attrs.get("bin_width")
    length = ds["counts"].sizes["time"]
    time = ds["time"].values if "time" in ds.coords else None
    if time is None or length < 2:
        if stated is None:
            raise SelectionError(
                located(
                    where,
                    "the attribute bin_width (s), or a time coordinate of two bins or more",
                    "neither",
                    "Set it: ds.assign_attrs(bin_width=...).",
                )
            )
        width = _ticks_of(stated)
        stops = (np.arange(length) + 1) * width
        if time is not None and length and abs(to_ticks(time[0]) * 2 - width) > 2:
            raise SelectionError(
                located(
                    where,
                    "two bins or more, whose distance tells how wide they are",
                    f"one at {time[0]:g} s",
                    "Keep more; or, if bin_width is right, drop the other: ds.drop_vars('time').",
                )
            )
        return width, stops, width
    ticks = time * float(TICKS_PER_SECOND) if time.dtype.kind in "fiu" else np.full(2, np.nan)
    steps = np.diff(ticks)
    mean = steps.mean()
    if not np.isfinite(mean) or mean < 0.5 or np.abs(steps - mean).max() > 1:
        low, high = (f"{v / TICKS_PER_SECOND:g}" for v in (steps.min(), steps.max()))
        raise SelectionError(
            located(
                f"{where}, time",
                "evenly spaced centres of bins, in s and ascending",
                f"steps of {low} to {high} s",
                "Keep a stretch of bins whole: ds.isel(time=slice(first, last)).",
            )
        )
    width = round(mean)
    own = _ticks_of(stated) if stated is not None else width
    return width, np.rint(ticks + width / 2).astype(np.int64), own


def _ticks_of(bin_width: str | float) -> int:
    """Return a stated bin width in the nearest whole ticks: 1/30 s is a width of counts too."""
    return int(to_ticks(to_seconds(bin_width, "bin_width")))


def _were_cut(duration: xr.DataArray, width: int, stops: np.ndarray) -> bool:
    """Return whether bins do not reach from 0 to the end of the longest duration."""
    longest = np.nan_to_num(duration.values * float(TICKS_PER_SECOND)).max(initial=0)
    return bool(not stops.size or stops[0] - width > 1 or stops[-1] < longest - 1)


def _with_nan(dtype: np.dtype) -> np.dtype:
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


def _checked(
    counts: np.ndarray,
    n_spikes: np.ndarray,
    duration: np.ndarray,
    *,
    where: str,
    width: int,
    stops: np.ndarray,
    restated: bool,
    known: tuple[bool, bool],
) -> np.ndarray:
    """Compare counts (..., time) with their old sums; NaN past what was observed."""
    counts = np.asarray(counts, dtype=_with_nan(counts.dtype))
    seconds = duration if known[1] else np.zeros(())
    length = np.nan_to_num(np.asarray(seconds) * float(TICKS_PER_SECOND))
    if known[0] and stops.size:
        found = np.sum(counts, axis=-1, where=np.isfinite(counts), dtype=np.float64)
        expected = np.nan_to_num(n_spikes)
        missing = expected - found
        equal = np.isclose(found, expected, rtol=1e-6, atol=1e-6)
        from_zero = stops[0] - width <= 1
        whole = from_zero & (stops[-1] >= length - 1)
        wrong = whole & ~equal
        if restated:
            # adding up may leave out less than a new bin at an epoch's end: few of its spikes
            trimmed = from_zero & (stops[-1] + width > length)
            few = (missing >= 0) & ((missing <= _FEW) | (missing <= expected / 2))
            wrong |= ~whole & ~(trimmed & (equal | few))
        if wrong.any():
            raise SelectionError(_not_the_sums(where, width, restated))
    if known[1]:
        unseen = stops > length[..., None] + 1
        if (unseen & np.isfinite(counts)).any():  # adding up makes 0 of what was not observed
            counts = np.where(unseen, np.array(np.nan, dtype=counts.dtype), counts)
    return counts


def _not_the_sums(where: str, width: int, restated: bool) -> str:
    seconds = width / TICKS_PER_SECOND
    return located(
        f"{where}, counts",
        "those that n_spikes is the sum of",
        f"others, every {seconds:g} s (left out, averaged?)" if restated else "others (changed?)",
        "Do not step over bins. If counts are as you want them, drop the old sums"
        + (" and say how wide bins are" if restated else "")
        + ": ds.drop_vars(['n_spikes', 'duration'])"
        + (".assign_attrs(bin_width=...)." if restated else "."),
    )
