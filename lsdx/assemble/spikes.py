"""Spikes of one session as a contiguous ragged array of ticks."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lsdx.assemble.labelled import dataset
from lsdx.assemble.recording import Probe, Recording
from lsdx.assemble.stored import Stored, has_spikes
from lsdx.errors import REBUILD, located
from lsdx.kernels.binning import group
from lsdx.schema import SCHEMAS


def assemble_spikes(recording: Recording, *, units: xr.Dataset | None) -> xr.Dataset | None:
    """Sort a session's spikes by unit, then time, on the integer clock.

    Parameters
    ----------
    recording : Recording
    units : Dataset or None
        The session's, whose order the rows take.

    Returns
    -------
    Dataset or None
        None where the session has no units.
    """
    if units is None:
        return None
    row_size = units["spike_count"].values
    row_start = np.cumsum(row_size) - row_size
    spike_time = np.empty(int(row_size.sum()), dtype=np.uint32)
    duplicate = np.zeros(spike_time.size, dtype=bool)
    for probe in recording.probes:
        row_of = unit_rows(units, probe)
        clusters = probe.spikes.clusters
        group(probe.spikes.ticks, clusters, row_of, row_start.copy(), spike_time)
        if probe.duplicates is not None:
            group(probe.duplicates, clusters, row_of, row_start.copy(), duplicate)
    return dataset(
        SCHEMAS["spikes"],
        {
            "unit": units["unit"].values,
            "row_size": row_size,
            "spike_time": spike_time,
            "duplicate": duplicate,
        },
    )


def unit_rows(units: xr.Dataset, probe: Probe) -> np.ndarray:
    """Return the row of each cluster of a probe among the units of its session."""
    mine = np.flatnonzero(units["insertion"].values == probe.insertion.pid)
    row_of = np.zeros(probe.clusters.channels.size, dtype=np.int64)
    row_of[units["cluster_id"].values[mine]] = mine
    return row_of


def _check(ds: xr.Dataset) -> str:
    rows, spikes = int(ds["row_size"].sum()), ds.sizes["spike"]
    if rows == spikes:
        return ""
    return located("row_size", f"{rows} spikes in all rows", f"{spikes}", REBUILD)


# each session is opened by itself
STORED = Stored("spikes", None, available=has_spikes, check=_check)
