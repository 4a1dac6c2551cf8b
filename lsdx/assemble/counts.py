"""Spike counts of one session in equal bins of each epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from lsdx.assemble.epochs import spikes_between
from lsdx.assemble.labelled import dataset
from lsdx.assemble.recording import Recording
from lsdx.clock import TICKS_PER_SECOND, bin_centres, n_bins, to_bin_ticks, to_ticks
from lsdx.errors import RecipeError, located
from lsdx.kernels.binning import count_spikes
from lsdx.kernels.trains import Trains
from lsdx.schema import SCHEMAS
from lsdx.schema.spec import COUNT_DTYPES


def assemble_counts(
    recording: Recording,
    *,
    units: xr.Dataset | None,
    spikes: xr.Dataset | None,
    epochs: xr.Dataset,
    insertions: xr.Dataset | None,
    bin_width: str | float = "100 ms",
    duplicates: str = "keep",
) -> xr.Dataset | None:
    """Count the spikes of each unit in the bins of each epoch.

    Parameters
    ----------
    recording : Recording
    units, spikes, epochs, insertions : Dataset or None
        The session's.
    bin_width : str or float
        Such as ``"100 ms"``; a whole number of ticks of 10 us.
    duplicates : {"keep", "drop"}
        Whether spikes that bombcell calls duplicates are counted. A probe without a mask keeps
        all of its spikes, with a note.

    Returns
    -------
    Dataset or None
        ``counts`` with the maximum of its dtype where not observed; ``n_spikes`` and
        ``duration`` with NaN there. None where the session has no units.

    Raises
    ------
    RecipeError
        For an unknown ``duplicates``.
    """
    width = to_bin_ticks(bin_width)
    if units is None or spikes is None or insertions is None:
        return None
    keep = _kept(recording, spikes, duplicates)
    start, bins = _intervals(units, epochs, insertions, width)
    length = int(bins.max(initial=0))
    row_size = spikes["row_size"].values
    trains = Trains(spikes["spike_time"].values, np.cumsum(row_size) - row_size, row_size)
    counts = _smallest(trains, start, bins, width, length, keep)
    n_spikes = np.where(bins > 0, counts.sum(axis=-1, dtype=np.uint64), np.nan)
    highest = int(counts.max(initial=0))
    for k in range(bins.shape[1]):  # by interval: the mask of all would be as large as counts
        counts[:, k][np.arange(length) >= bins[:, k, None]] = np.iinfo(counts.dtype).max
    _note_remainder(recording, epochs, insertions, width)
    shape = (row_size.size, epochs.sizes["phase"], epochs.sizes["epoch"])
    out = dataset(
        SCHEMAS["counts"],
        {
            "unit": units["unit"].values,
            "phase": epochs["phase"].values,
            "epoch": epochs["epoch"].values,
            "time": bin_centres(length, width),
            "counts": counts.reshape(*shape, length),
            "n_spikes": n_spikes.reshape(shape),
            "duration": np.where(bins > 0, bins * (width / TICKS_PER_SECOND), np.nan).reshape(
                shape
            ),
        },
    )
    return out.assign_attrs(
        bin_width=width / TICKS_PER_SECOND,
        bin_width_ticks=width,
        duplicates=duplicates,
        highest=highest,
    )


def _smallest(*arguments: Any) -> np.ndarray:
    """Count into the smallest unsigned dtype whose maximum exceeds every count."""
    for dtype in COUNT_DTYPES:
        try:
            return count_spikes(*arguments, dtype=dtype)
        except OverflowError:
            pass
    raise RecipeError(
        located("counts", f"spikes a bin that fit {dtype}", "more", "Use shorter bins.")
    )


def _kept(recording: Recording, spikes: xr.Dataset, duplicates: str) -> np.ndarray | None:
    if duplicates == "keep":
        return None
    where = f"session {recording.session.eid}, counts"
    if duplicates != "drop":
        raise RecipeError(
            located(where, "duplicates 'keep' or 'drop'", repr(duplicates), "Correct the recipe.")
        )
    bare = [p.insertion.probe for p in recording.probes if p.duplicates is None]
    if bare:
        recording.notes.append(
            f"{', '.join(bare)}: duplicates kept, for there is no mask of bombcell's"
        )
    return ~spikes["duplicate"].values


def _note_remainder(
    recording: Recording, epochs: xr.Dataset, insertions: xr.Dataset, width: int
) -> None:
    """Report the spikes that lie in an epoch past its last whole bin."""
    first = epochs["start"].values.ravel()
    last = epochs["stop"].values.ravel()
    seen = dict(zip(insertions["insertion"].values, insertions["observed"].values, strict=True))
    left = 0
    for probe in recording.probes:
        for k in np.flatnonzero(seen[probe.insertion.pid].ravel()):
            begin, end = int(to_ticks(first[k])), int(to_ticks(last[k]))
            binned = begin + int(n_bins(end - begin, width)) * width
            left += spikes_between(probe.spikes.ticks, binned, max(binned, end))
    if left:
        recording.notes.append(f"{left} spikes past the last whole bin of their epochs")


def _intervals(
    units: xr.Dataset, epochs: xr.Dataset, insertions: xr.Dataset, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """First tick and number of bins (0: not observed) of each unit's epochs, flattened."""
    shape = (units.sizes["unit"], epochs.sizes["phase"] * epochs.sizes["epoch"])
    start, bins = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    first = epochs["start"].values.ravel()
    last = epochs["stop"].values.ravel()
    for pid, observed in zip(
        insertions["insertion"].values, insertions["observed"].values, strict=True
    ):
        seen = observed.ravel()
        mine = units["insertion"].values == pid
        begin = to_ticks(first[seen])
        start[np.ix_(mine, seen)] = begin
        bins[np.ix_(mine, seen)] = n_bins(to_ticks(last[seen]) - begin, width)
    return start, bins
