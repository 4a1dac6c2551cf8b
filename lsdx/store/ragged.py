"""Spikes of many sessions as one ragged array, read lazily from the store of each session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from lsdx.clock import TICKS_PER_SECOND
from lsdx.schema.spikes import session_runs
from lsdx.store.catalog import Entry
from lsdx.store.place import Place

# of a session's spikes: its store, first spike of each row there, number of each row's spikes
Rows = tuple[Entry, np.ndarray, np.ndarray]


def row_starts(table: xr.Dataset) -> np.ndarray:
    """Return the first spike of each unit (n_units,) within its own session's store."""
    size = table["spike_count"].values
    start = np.cumsum(size) - size
    for run in session_runs(table["session"].values):
        start[run] -= start[run.start]
    return np.asarray(start)


def lazy_rows(
    place: Place,
    parts: Mapping[str, Entry],
    sessions: np.ndarray,
    row_start: np.ndarray,
    row_size: np.ndarray,
) -> dict[str, Any]:
    """Return ``spike_time`` (s) and ``duplicate`` of rows, one after another, as dask arrays.

    Parameters
    ----------
    place : Place
    parts : mapping
        The spikes' store of each session.
    sessions : ndarray of str (n_rows,)
    row_start, row_size : ndarray of int64 (n_rows,)
        Which spikes of its session each row has.
    """
    import dask.array as da

    chunks = uniform_chunks(parts, sessions, row_start, row_size)
    return {
        name: da.concatenate(
            [_lazy_chunk(place, name, chunk) for chunk in chunks]
            or [da.zeros(0, dtype=dtype, chunks=1)]
        )
        for name, dtype in (("spike_time", np.float64), ("duplicate", np.bool_))
    }


def uniform_chunks(
    parts: Mapping[str, Entry], sessions: np.ndarray, row_start: np.ndarray, row_size: np.ndarray
) -> list[list[Rows]]:
    """Cut rows, one after another, into chunks of one length, since Zarr takes no others.

    It is the length of the largest session: there are no more chunks than sessions.
    """
    stop = np.cumsum(row_size)
    first = stop - row_size
    _, code = np.unique(sessions.astype(str), return_inverse=True)
    length = int(np.bincount(code, row_size).max()) if code.size else 0
    chunks = []
    for low in range(0, int(row_size.sum()), length or 1):
        high = low + length
        inside = slice(int(np.searchsorted(stop, low, "right")), int(np.searchsorted(first, high)))
        left_out = np.maximum(low - first[inside], 0)
        begin = row_start[inside] + left_out
        size = np.minimum(stop[inside], high) - first[inside] - left_out
        chunks.append(
            [
                (parts[sessions[inside][run.start]], begin[run], size[run])
                for run in session_runs(sessions[inside])
            ]
        )
    return chunks


def _lazy_chunk(place: Place, name: str, rows: list[Rows]) -> Any:
    import dask.array as da
    from dask.base import tokenize
    from dask.delayed import delayed

    dtype = np.float64 if name == "spike_time" else np.bool_
    token = tokenize(str(place), name, [(entry.path, *at) for entry, *at in rows])
    block = delayed(_read_rows, pure=True)(place, name, rows, dask_key_name=f"read-{name}-{token}")
    n_spikes = sum(int(size.sum()) for _, _, size in rows)
    return da.from_delayed(block, shape=(n_spikes,), dtype=dtype)


def _read_rows(place: Place, name: str, rows: list[Rows]) -> np.ndarray:
    """Read rows of sessions' spikes, in the order given."""
    import zarr

    pieces = []
    for entry, *at in rows:
        array = zarr.open_array(place.open(entry), path=name, mode="r", zarr_format=3)
        pieces.append(gather_rows(array, *at))
    values = np.concatenate(pieces) if len(pieces) > 1 else pieces[0]
    if name != "spike_time":
        return np.asarray(values, dtype=bool)
    return np.asarray(values * (1 / TICKS_PER_SECOND))


def gather_rows(array: Any, row_start: np.ndarray, row_size: np.ndarray) -> np.ndarray:
    """Read rows of a ragged array one after another, each chunk once.

    Parameters
    ----------
    array : zarr array or ndarray (n,)
    row_start, row_size : ndarray of int64 (n_rows,)
        In any order.

    Returns
    -------
    ndarray (row_size.sum(),)

    Examples
    --------
    >>> gather_rows(np.arange(10), np.array([7, 0]), np.array([2, 3])).tolist()
    [7, 8, 0, 1, 2]
    """
    filled = np.flatnonzero(row_size)
    if not filled.size:
        return np.asarray(array[:0])
    row_start, row_size = row_start[filled], row_size[filled]
    row_stop = row_start + row_size
    if (row_start[1:] == row_stop[:-1]).all():
        return np.asarray(array[int(row_start[0]) : int(row_stop[-1])])
    order = np.argsort(row_start, kind="stable")
    gap = getattr(array, "chunks", (1,))[0]
    begins = row_start[order]
    ends = np.maximum.accumulate(row_stop[order])
    first = np.flatnonzero(np.r_[True, begins[1:] > ends[:-1] + gap])
    spans = list(zip(begins[first], ends[np.r_[first[1:] - 1, -1]], strict=True))
    values = np.concatenate([array[int(a) : int(b)] for a, b in spans])
    lengths = np.array([b - a for a, b in spans])
    span = np.searchsorted(begins[first], row_start, side="right") - 1
    shifted = row_start - begins[first][span] + (np.cumsum(lengths) - lengths)[span]
    stops = np.cumsum(row_size)
    return np.asarray(
        values[np.repeat(shifted - (stops - row_size), row_size) + np.arange(stops[-1])]
    )
