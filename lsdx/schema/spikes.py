"""The store of spikes: a contiguous ragged array (CF conventions, section 9.3.3)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import xarray as xr

from lsdx.schema.spec import Schema, Variable, label

SPIKES = Schema(
    name="spikes",
    version=1,
    doc="Spike times of one session, sorted by unit, then time; one store a session.",
    concat="spike",
    chunks={"spike": 2_097_152},
    variables=(
        label("unit", "unit", "Unit id, in the order of the store of units.", unique=True),
        Variable("row_size", ("unit",), "int64", "Spikes of the unit.", units="1"),
        Variable("spike_time", ("spike",), "ticks", "Time of the spike.", units="s"),
        Variable(
            "duplicate", ("spike",), "bool", "Whether bombcell calls it a duplicate.", whole=True
        ),
    ),
)


def session_runs(session: np.ndarray) -> list[slice]:
    """Cut units into runs of consecutive units of one session, each read as one block.

    Examples
    --------
    >>> session_runs(np.array(["a", "a", "b", "a"]))
    [slice(0, 2, None), slice(2, 3, None), slice(3, 4, None)]
    """
    if not session.size:
        return []
    first = [0, *(np.flatnonzero(session[1:] != session[:-1]) + 1).tolist(), session.size]
    return [slice(a, b) for a, b in itertools.pairwise(first)]


def unit_trains(spikes: xr.Dataset) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the id of each unit, its spike times (s) and which of them are duplicates.

    The spikes of one run of units of a session are in memory at a time. The dataset is as
    `lsdx.open_spikes` gives it, or a selection of its units.
    """
    for run in session_runs(spikes["session"].values.astype(str)):
        units = spikes.isel(unit=run)
        start, size = units["row_start"].values, units["row_size"].values
        first = int(start.min())
        span = slice(first, int((start + size).max()))
        block = units[["spike_time", "duplicate"]].isel(spike=span).compute()
        times, duplicate = block["spike_time"].values, block["duplicate"].values
        for unit, a, n in zip(units["unit"].values, start - first, size, strict=True):
            yield str(unit), times[a : a + n], duplicate[a : a + n]
