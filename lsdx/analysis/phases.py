"""Which two phases, or windows of time, are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from lsdx.analysis.windows import zero_of
from lsdx.clock import to_seconds
from lsdx.errors import ArgumentError, SelectionError, located
from lsdx.schema.spec import text


def compared_phases(
    ds: xr.Dataset, between: Any, relative_to: str, epoch: Any
) -> tuple[xr.Dataset, tuple[Any, Any], bool]:
    """Return what `lsdx.analysis.modulation.modulation` compares, from its ``between``.

    Parameters
    ----------
    ds : Dataset
        With ``start`` and ``stop`` over (unit, phase, epoch).
    between, relative_to, epoch
        As there.

    Returns
    -------
    ds : Dataset
        Where windows are compared, they take the place of phases, and one epoch that of all.
    between : tuple of two
        Names of the phases or windows.
    are_windows : bool

    Raises
    ------
    SelectionError
        For phases that do not exist, and windows that overlap.
    ArgumentError
        If ``between`` is not two of them.
    """
    zero_of(ds, relative_to, "modulation")  # refuses what it does not know
    are_windows = _are_windows(between)
    if are_windows:
        ds = _with_windows(ds, between, relative_to, epoch)
    if between is None or are_windows:
        between = _two_phases(ds)
    known = list(map(str, ds["phase"].values)) if "phase" in ds.dims else []
    if not is_listed(between) or len(set(between)) != 2 or len(tuple(between)) != 2:
        raise ArgumentError(located("modulation, between", "two phases", repr(between)))
    if known and set(between) - set(known):
        expected = f"two of {', '.join(known)}"
        raise SelectionError(located("modulation, between", expected, repr(between)))
    first, second = between
    return ds, (first, second), are_windows


def is_listed(value: Any) -> bool:
    """Return whether a value is a list, a set or an array, not a text."""
    return isinstance(value, Sequence | set | np.ndarray) and not isinstance(value, str)


def _two_phases(ds: xr.Dataset) -> tuple[str, str]:
    """Return the phases of a dataset that has two."""
    phases = list(map(str, ds["phase"].values)) if "phase" in ds.dims else []
    if len(phases) != 2:
        raise SelectionError(
            located(
                "modulation",
                "two phases that are compared",
                f"{', '.join(phases)}" if phases else "no dimension phase",
                "Say which: between=(first, second)."
                if phases
                else "Do not select a phase before: say between= and epoch=.",
            )
        )
    return phases[0], phases[1]


def _are_windows(between: Any) -> bool:
    return is_listed(between) and len(between) == 2 and all(is_listed(w) for w in tuple(between))


def _with_windows(ds: xr.Dataset, between: Any, relative_to: str, epoch: Any) -> xr.Dataset:
    """Put two windows in the place of phases, and one epoch in that of all."""
    if epoch is not None or not {"phase", "epoch"} <= set(ds["start"].dims):
        raise SelectionError(
            located(
                "modulation, between",
                "windows, of all phases and epochs",
                "some epochs of them",
                "Leave epoch out, and do not select phase or epoch before.",
            )
        )
    phases, epochs = (list(map(str, ds[d].values)) for d in ("phase", "epoch"))
    names, edges = [], []
    for window in between:
        pair = tuple(window)
        if len(pair) == 2 and pair[0] in phases and pair[1] in epochs:
            names.append("/".join(pair))
            one = ds.sel(phase=pair[0], epoch=pair[1])
            edges.append((one["start"].values, one["stop"].values))
            continue
        if len(pair) != 2 or pair[0] in phases or pair[1] in epochs:
            raise _wrong_window(phases, epochs, window)
        low, high = (to_seconds(t, "modulation, between") for t in pair)
        if not low < high:
            raise _wrong_window(phases, epochs, window)
        if low < 0 and relative_to == "recording":
            raise ArgumentError(
                located(
                    "modulation, between",
                    "windows from the start of the recording",
                    repr(window),
                    "Say relative_to='administration', or an epoch such as 'post/spontaneous'.",
                )
            )
        names.append(f"{low:g} to {high:g} s")
        zero = zero_of(ds, relative_to, "modulation")
        known = np.where(zero + low >= 0, zero, np.nan)
        edges.append((known + low, known + high))
    (a, b), (c, d) = edges
    if names[0] == names[1] or (np.maximum(a, c) < np.minimum(b, d)).any():
        raise SelectionError(
            located(
                "modulation, between",
                "two windows that do not overlap",
                " and ".join(names),
                "Move or shorten one.",
            )
        )
    dims = ("unit", "phase", "epoch")
    start, stop = (np.stack(e, axis=1)[..., None] for e in zip(*edges, strict=True))
    bare = ds.drop_dims(["phase", "epoch"])
    coords = {"phase": ("phase", text(names)), "epoch": ("epoch", text(["window"]))}
    return bare.assign(start=(dims, start), stop=(dims, stop)).assign_coords(coords)


def _wrong_window(phases: Sequence[str], epochs: Sequence[str], window: Any) -> SelectionError:
    return SelectionError(
        located(
            "modulation, between",
            f"(start, stop) with start < stop, or a phase of {', '.join(phases)} with an epoch of "
            + ", ".join(epochs),
            repr(window),
            "Write two of these: between=(first, second).",
        )
    )
