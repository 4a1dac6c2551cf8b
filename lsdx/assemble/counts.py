"""Spike counts of one session in equal bins of each epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from lsdx.assemble.epochs import spikes_between
from lsdx.assemble.labelled import dataset
from lsdx.assemble.recording import Recording
from lsdx.assemble.stored import Joining, Part, Stored, has_spikes
from lsdx.clock import TICKS_PER_SECOND, bin_centres, n_bins, to_bin_ticks, to_ticks
from lsdx.errors import REBUILD, RecipeError, located
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
        ``duration`` with NaN there. None where the session has no units. The attribute
        ``notes`` lists what the build report says.

    Raises
    ------
    RecipeError
        For an unknown ``duplicates``.
    """
    width = to_bin_ticks(bin_width)
    if units is None or spikes is None or insertions is None:
        return None
    keep = _kept(recording, spikes, duplicates)
    start, bins = binned_epochs(units, epochs, insertions, width)
    length = int(bins.max(initial=0))
    row_size = spikes["row_size"].values
    trains = Trains(spikes["spike_time"].values, np.cumsum(row_size) - row_size, row_size)
    counts = _smallest(trains, start, bins, width, length, keep)
    n_spikes = np.where(bins > 0, counts.sum(axis=-1, dtype=np.uint64), np.nan)
    highest = int(counts.max(initial=0))
    for k in range(bins.shape[1]):  # by interval: the mask of all would be as large as counts
        counts[:, k][np.arange(length) >= bins[:, k, None]] = np.iinfo(counts.dtype).max
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
        notes=_notes(recording, epochs, insertions, width, duplicates),
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
    return ~spikes["duplicate"].values


def _notes(
    recording: Recording,
    epochs: xr.Dataset,
    insertions: xr.Dataset,
    width: int,
    duplicates: str,
) -> list[str]:
    """List probes without a mask of duplicates, and spikes past the last whole bin of an epoch."""
    notes = []
    bare = [p.insertion.probe for p in recording.probes if p.duplicates is None]
    if duplicates == "drop" and bare:
        notes.append(f"{', '.join(bare)}: duplicates kept, for there is no mask of bombcell's")
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
        notes.append(f"{left} spikes past the last whole bin of their epochs")
    return notes


def binned_epochs(
    units: xr.Dataset, epochs: xr.Dataset, insertions: xr.Dataset, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return first tick and number of bins (0: not observed) of each unit's epochs, flattened."""
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


def join_counts(parts: Sequence[Part], _joining: Joining) -> xr.Dataset:
    """Put counts one below another, lazily: equal bins, one dtype, chunks as on disk."""
    import dask.array as da

    schema = SCHEMAS["counts"]
    highest = max(p.attrs["highest"] for p in parts)
    dtype = next(n for n in COUNT_DTYPES if highest < np.iinfo(n).max)
    length = max(p.sizes["time"] for p in parts)
    width = parts[0].attrs["bin_width_ticks"]
    whole = dict.fromkeys(schema["counts"].dims, -1)
    lazy = [p.read(lazy={"counts": whole}, decode=False) for p in parts]
    blocks = [_padded(ds["counts"].data, length, dtype) for ds in lazy]
    counts = da.concatenate(blocks).rechunk({0: schema.chunks["unit"], 1: 1, 2: 1, 3: -1})
    small = {
        n: np.concatenate([ds[n].values for ds in lazy]) for n in ("unit", "n_spikes", "duration")
    }
    return dataset(
        schema,
        {
            **small,
            "phase": lazy[0]["phase"].values,
            "epoch": lazy[0]["epoch"].values,
            "time": bin_centres(length, width),
            "counts": counts,
        },
    )


def _padded(block: Any, length: int, dtype: str) -> Any:
    """Widen a block of raw counts in dtype and bins; what is new is not observed."""
    import dask.array as da

    old, new = np.iinfo(block.dtype).max, np.iinfo(dtype).max
    if block.dtype != dtype:
        block = da.where(block == old, new, block).astype(dtype)
    short = length - block.shape[-1]
    if not short:
        return block
    rest = da.full((*block.shape[:-1], short), new, dtype=dtype)
    return da.concatenate([block, rest], axis=-1)


def _check(ds: xr.Dataset) -> str:
    """Sum the bins: they must give the spikes that the store says it holds."""
    counts = ds["counts"]
    fill = np.iinfo(counts.dtype).max
    sums = counts.where(counts != fill, 0).sum("time", dtype=np.int64).values
    stated = ds["n_spikes"].values
    if np.array_equal(sums, np.nan_to_num(stated).astype(np.int64)):
        return ""
    return located("counts", "bins that sum to n_spikes", "others", REBUILD)


def _variants(parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    width = to_bin_ticks(parameters.get("bin_width", "100 ms"))
    return width, parameters.get("duplicates", "keep")


STORED = Stored(
    "counts",
    join_counts,
    available=has_spikes,
    beside="units",
    kept=("bin_width", "bin_width_ticks", "duplicates"),
    check=_check,
    variants=_variants,
)
