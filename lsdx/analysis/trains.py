"""Spike trains: a function of each session's trains, lazily."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import DTypeLike

from lsdx.clock import TICKS_PER_SECOND
from lsdx.errors import SelectionError, located
from lsdx.kernels.trains import Trains
from lsdx.schema.spikes import session_runs


@dataclass(frozen=True)
class Promised:
    """What a function of trains returns for each unit: shape and dtype."""

    shape: tuple[int, ...]
    dtype: DTypeLike = np.float64


def map_trains(
    ds: xr.Dataset,
    function: Callable[..., np.ndarray],
    per_unit: Sequence[np.ndarray],
    arguments: Sequence[Any],
    promised: Promised,
    duplicates: str = "keep",
) -> Any:
    """Call a function of the spikes of each run of consecutive units of one session.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_spikes` gives, or a selection of its units.
    function : callable
        Of (trains, *per_unit, *arguments), with `lsdx.kernels.trains.Trains` in ticks (uint32),
        without the duplicates that are dropped; returns (n_units, *shape).
    per_unit : sequence of ndarray (n_units, ...)
    arguments : sequence
        The same for all.
    promised : Promised
    duplicates : {"keep", "drop"}

    Returns
    -------
    array (n_units, *shape)
        A dask array of one block a run where the spikes are lazy.
    """
    import dask.array as da
    from dask.delayed import delayed

    row_start, row_size = ds["row_start"].values, ds["row_size"].values
    spikes, duplicate = ds["spike_time"].data, ds["duplicate"].data
    lazy = isinstance(spikes, da.Array)
    call: Any = delayed(_call, pure=True) if lazy else _call
    # a task of its own: measures that are computed together share it
    in_ticks: Any = delayed(_ticks, pure=True) if lazy else _ticks
    pieces = _Pieces(spikes), _Pieces(duplicate)
    blocks = []
    for rows in session_runs(ds["session"].values):
        low = int(row_start[rows].min())
        high = int((row_start[rows] + row_size[rows]).max())
        mask = pieces[1].covering(low, high) if duplicates == "drop" else None
        at = row_start[rows] - low, row_size[rows]
        ticks = in_ticks(*pieces[0].covering(low, high), *at)
        block = call(function, ticks, mask, *at, *(a[rows] for a in per_unit), *arguments)
        if lazy:
            shape = (rows.stop - rows.start, *promised.shape)
            block = da.from_delayed(block, shape, np.dtype(promised.dtype))
        blocks.append(block)
    if not blocks:
        return np.empty((0, *promised.shape), dtype=promised.dtype)
    return da.concatenate(blocks) if lazy else np.concatenate(blocks)


def _call(
    function: Callable[..., np.ndarray],
    ticks: np.ndarray,
    duplicate: tuple[Sequence[np.ndarray], int, int] | None,
    row_start: np.ndarray,
    row_size: np.ndarray,
    *arguments: Any,
) -> np.ndarray:
    trains = Trains(ticks, row_start, row_size)
    if duplicate is not None:
        trains = trains.kept(~np.concatenate(_cut(*duplicate)))
    return function(trains, *arguments)


def _cut(chunks: Sequence[np.ndarray], low: int, high: int) -> list[np.ndarray]:
    """Return [low, high) of consecutive chunks, counted from the first one's start."""
    stops = np.cumsum([c.size for c in chunks])
    return [
        c[max(low - stop + c.size, 0) : max(high - stop + c.size, 0)]
        for c, stop in zip(chunks, stops.tolist(), strict=True)
    ]


def _ticks(
    chunks: Sequence[np.ndarray],
    low: int,
    high: int,
    row_start: np.ndarray,
    row_size: np.ndarray,
) -> np.ndarray:
    """Return times in ticks, after a look at them."""
    # chunk by chunk: seconds take twice the memory of ticks
    ticks = np.concatenate([_to_ticks(seconds) for seconds in _cut(chunks, low, high)])
    _check_rows(ticks, row_start, row_size)
    return ticks


def _to_ticks(seconds: np.ndarray) -> np.ndarray:
    times: np.ndarray = np.multiply(seconds, TICKS_PER_SECOND)  # as clock.to_ticks, in place
    np.rint(times, out=times)
    if times.size and not 0 <= times.min() <= times.max() < 2**32:
        raise SelectionError(
            located(
                "spike_time",
                "spike times in s of the recording, as they were opened",
                f"times from {seconds.min()} to {seconds.max()}",
                "Shift the intervals, not the spikes.",
            )
        )
    return times.astype(np.uint32)


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
                "spike_time",
                "each unit's spikes in order of time",
                "others",
                "Do not sort or reverse along spike.",
            )
        )


class _Pieces:
    """Pieces of a long array: the whole chunks that cover what is asked for.

    They are cut inside the task: slicing a dask array costs time in proportion to its chunks.
    """

    def __init__(self, array: Any) -> None:
        lazy = hasattr(array, "chunks")
        self.stops = np.cumsum(array.chunks[0] if lazy else [array.size])
        self.chunks = list(array.to_delayed()) if lazy else [array]

    def covering(self, low: int, high: int) -> tuple[list[Any], int, int]:
        """Return chunks that hold [low, high), and where that is in them."""
        first, last = np.searchsorted(self.stops, [low, max(high - 1, low)], side="right").tolist()
        first = min(first, len(self.chunks) - 1)  # no spike, after the last one
        base = int(self.stops[first - 1]) if first else 0
        return self.chunks[first : last + 1], low - base, high - base
