"""Behaviour beside counts: of the same sessions, phases and epochs, in the same bins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from lsdx.arguments import some_of
from lsdx.errors import ArgumentError, SelectionError, located

_OPEN = "Start from lsdx.open_behavior(), or pose.lsd.bin_behavior(...)."


def behavior_beside(
    ds: xr.Dataset,
    behavior: Any,
    cells: Sequence[str],
    where: str,
    feature: str | Sequence[str] | None = None,
) -> xr.DataArray:
    """Return behaviour (session, feature, cells..., time) in the bins of counts.

    Parameters
    ----------
    ds : Dataset
        With ``counts``, as `lsdx.analysis.inputs.binned` returns it.
    behavior : Dataset or DataArray
        What `lsdx.open_behavior` gives, or its ``behavior``; lazy or not.
    cells : sequence of str
        Dimensions of the counts beside unit and time: of these the behaviour has the same labels.
    where : str
        Who asks, for errors.
    feature : str or sequence of str, optional
        Which features; all by default.

    Returns
    -------
    DataArray
        In the bins of the counts, NaN in those that it has not; ``session`` holds those of the
        counts that the behaviour has.

    Raises
    ------
    SelectionError
        For what is no behaviour, other sessions, labels or bins, and features that do not exist.
    """
    array = _array(behavior, where)
    counts = ds["counts"]
    for name in ("phase", "epoch"):
        chosen = name in counts.coords and not counts[name].ndim
        if chosen and name in array.dims:
            array = _pick(array, name, [counts[name].item()], where).isel({name: 0})
        elif chosen and name in array.coords and not array[name].ndim:
            mine, other = str(counts[name].item()), str(array[name].item())
            if mine != other:
                do = f"Select the same {name} of both."
                raise SelectionError(
                    located(where, f"behavior of {name} {mine!r}", repr(other), do)
                )
    for name in cells:
        if name not in array.dims:
            do = f"Keep it in both: sel({name}=[...]). {_OPEN}"
            raise SelectionError(located(where, f"behavior over {name}", _dims(array), do))
        if (name in counts.coords) != (name in array.coords):
            which = ("behavior", "counts") if name in counts.coords else ("counts", "behavior")
            expected = f"labels of {name} on the {which[0]}, as on the {which[1]}"
            raise SelectionError(located(where, expected, "none", f"Keep {name} on both."))
        if name in counts.coords:
            array = _pick(array, name, counts[name].values.tolist(), where)
        elif array.sizes[name] != counts.sizes[name]:
            expected, found = (f"{v.sizes[name]} along {name}" for v in (counts, array))
            do = f"Label {name} of the counts, or select the same of both."
            raise SelectionError(located(where, expected, found, do))
    more = set(array.dims) - {"session", "feature", *cells, "time"}
    if more or "time" not in array.dims:
        expected = f"behavior over session, feature, {', '.join((*cells, 'time'))}"
        do = "Select the same phase and epoch of both."
        raise SelectionError(located(where, expected, _dims(array), do))
    if "feature" not in array.dims:
        array = array.drop_vars("feature", errors="ignore").expand_dims(feature=[_name(array)])
    if feature is not None:
        known = array["feature"].values.tolist() if "feature" in array.coords else []
        try:
            names = some_of(feature, f"{where}, feature", known)
        except ArgumentError as error:
            raise SelectionError(str(error)) from error
        array = array.sel(feature=list(names))
    if not array.sizes["feature"]:
        raise SelectionError(located(where, "at least one feature", "none", _OPEN))
    array = _in_bins(ds, behavior, _of_sessions(ds, array, where), where)
    return array.transpose("session", "feature", *cells, "time")


def _array(behavior: Any, where: str) -> xr.DataArray:
    if isinstance(behavior, xr.DataArray):
        return behavior
    if isinstance(behavior, xr.Dataset) and "behavior" in behavior.data_vars:
        return behavior["behavior"]
    found = ", ".join(map(str, getattr(behavior, "dims", ()))) or type(behavior).__name__
    raise SelectionError(located(where, "behavior", found, _OPEN))


def _name(array: xr.DataArray) -> str:
    """Return the name of a feature that was selected."""
    return str(array["feature"].item() if "feature" in array.coords else array.name)


def _dims(array: xr.DataArray) -> str:
    return "dims " + (", ".join(map(str, array.dims)) or "none")


def _pick(array: xr.DataArray, name: str, labels: list[Any], where: str) -> xr.DataArray:
    """Select labels of a dimension."""
    known = array[name].values.tolist() if name in array.coords else []
    unknown = [v for v in labels if v not in known]
    if unknown:
        expected = f"{name} of the behavior, of " + (", ".join(map(str, known)) or "none")
        raise SelectionError(located(where, expected, repr(unknown[0])))
    if len(set(known)) < len(known):
        do = f"Drop them: drop_duplicates({name!r})."
        raise SelectionError(located(where, f"each {name} of the behavior once", "some twice", do))
    return array if labels == known else array.sel({name: labels})


def _of_sessions(ds: xr.Dataset, array: xr.DataArray, where: str) -> xr.DataArray:
    mine = list(dict.fromkeys(map(str, ds["session"].values)))
    if "session" not in array.dims:
        own = str(array["session"].item()) if "session" in array.coords else None
        if own is None and len(mine) > 1:
            do = "Keep session as a dimension: sel(session=[...])."
            raise SelectionError(located(where, "behavior over session", _dims(array), do))
        array = array.drop_vars("session", errors="ignore")
        array = array.expand_dims(session=[mine[0] if own is None else own])
    known = list(map(str, array["session"].values)) if "session" in array.coords else []
    if len(set(known)) < len(known):
        do = "Drop them: drop_duplicates('session')."
        raise SelectionError(located(where, "each session of the behavior once", "some twice", do))
    both = [s for s in mine if s in known]
    if not both:
        expected = "behavior of these sessions, such as " + (
            ", ".join(map(repr, mine[:1])) or "none"
        )
        found = ", ".join(sorted(map(repr, known))[:1]) or "none"
        do = "Select units and behavior of the same sessions."
        raise SelectionError(located(where, expected, found, do))
    array = array.isel(session=[known.index(s) for s in both])
    return array.assign_coords(session=np.array(both, dtype=object))


def _in_bins(ds: xr.Dataset, behavior: Any, array: xr.DataArray, where: str) -> xr.DataArray:
    """Return behaviour in the bins of the counts."""
    width, n = float(ds.attrs["bin_width"]), ds["counts"].sizes["time"]
    stated = float(behavior.attrs.get("bin_width", array.attrs.get("bin_width", width)))
    labelled = "time" in array.coords and "time" in ds.coords
    if labelled and array.sizes["time"] > 1:  # bins that were added up keep what was stated
        stated = float(np.diff(array["time"].values).mean())
    found = f"bins of {stated:g} s"
    if abs(stated - width) <= 1e-4 * width:
        if not labelled and array.sizes["time"] != n:
            expected, found = (f"{k} bins" for k in (n, array.sizes["time"]))
            do = "Keep time on both, so that it is known which bins are the same."
            raise SelectionError(located(f"{where}, behavior", expected, found, do))
        if not labelled:
            return array.drop_vars("time", errors="ignore")
        # centres that were averaged differ in their last digits
        near = array.indexes["time"].get_indexer(
            ds["time"].values, method="nearest", tolerance=width / 100
        )
        if (near >= 0).any():
            moved = array.isel(time=np.maximum(near, 0)).drop_vars("time")
            return moved if (near >= 0).all() else moved.where(xr.DataArray(near >= 0, dims="time"))
        found += f" from {array['time'].values[:1].tolist()} s"
    do = "Bin both alike, as with coarsen(time=10, boundary='trim'): sum counts, mean behavior."
    raise SelectionError(located(where, f"bins of {width:g} s, the counts' own", found, do))
