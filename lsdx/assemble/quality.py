"""Quality of the units of one session: bombcell's measures, and how steady each unit stayed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from lsdx.assemble.counts import binned_epochs
from lsdx.assemble.labelled import dataset
from lsdx.assemble.recording import Probe, Recording
from lsdx.assemble.spikes import unit_rows
from lsdx.assemble.stored import Stored, has_spikes, table
from lsdx.clock import to_bin_ticks, to_ticks
from lsdx.kernels.amplitudes import amplitude_cutoff, segment_quantiles
from lsdx.kernels.binning import count_in_intervals, count_spikes, group
from lsdx.kernels.trains import Trains
from lsdx.readers.ephys import AMPLITUDES, DEPTHS
from lsdx.schema import SCHEMAS
from lsdx.schema.quality import BOMBCELL_MEASURES

PRESENCE_BIN = "10 s"


def assemble_quality(
    recording: Recording,
    *,
    units: xr.Dataset | None,
    spikes: xr.Dataset | None,
    epochs: xr.Dataset,
    insertions: xr.Dataset | None,
    least_presence: float = 0.9,
    most_octaves: float = 0.5,
    most_um: float = 20.0,
) -> xr.Dataset | None:
    """Collect what tells whether a unit is one neuron, and the same one before and after.

    Parameters
    ----------
    recording : Recording
    units, spikes, epochs, insertions : Dataset or None
        The session's.
    least_presence : float
        A unit is stable if its ``presence`` is at least this in every phase, ...
    most_octaves : float
        ... its median amplitudes, where they are known, differ by a factor of at most 2 to this
        power, ...
    most_um : float
        ... and its median depths, where they are known, by at most this, in um.

    Returns
    -------
    Dataset or None
        Medians are of the spikes from the start of the first to the stop of the last observed
        epoch of a phase; NaN where there are none, or their amplitudes or depths are not known.
        ``presence`` is NaN in a phase without an observed epoch of 10 s. ``stable`` is 0 if
        anything known is against it, else NaN if the presence in a phase is not known. None
        where the session has no units. The attribute ``notes`` lists what the build report says.
    """
    if units is None or spikes is None or insertions is None:
        return None
    row_size = spikes["row_size"].values
    trains = Trains(spikes["spike_time"].values, np.cumsum(row_size) - row_size, row_size)
    columns = _of_bombcell(recording, units) | _sites(recording, units)
    parts = _parts(trains, *_spans(units, epochs, insertions))
    amplitudes = _by_unit(recording, units, row_size, "amplitudes")
    columns["amplitude_cutoff"] = amplitude_cutoff(amplitudes, row_size)
    columns["amplitude"] = _medians(amplitudes, *parts)
    del amplitudes
    columns["spike_depth"] = _medians(_by_unit(recording, units, row_size, "depths"), *parts)
    columns["presence"] = _presence(trains, units, epochs, insertions)
    with np.errstate(divide="ignore", invalid="ignore"):
        octaves = _range(np.log2(columns["amplitude"]))
    columns["stable"] = _stable(
        columns["presence"] < least_presence,
        np.isnan(columns["presence"]),
        (octaves > most_octaves) | (_range(columns["spike_depth"]) > most_um),
    )
    labels = {"unit": units["unit"].values, "phase": epochs["phase"].values}
    ds = dataset(SCHEMAS["quality"], columns | labels)
    return ds.assign_attrs(notes=list(_notes(recording)))


def _of_bombcell(recording: Recording, units: xr.Dataset) -> dict[str, np.ndarray]:
    """Bring bombcell's measures into the order of the units."""
    n = units.sizes["unit"]
    columns = {name: np.full(n, np.nan) for name in BOMBCELL_MEASURES}
    told = ("version", "parameters")
    columns |= {f"bombcell_{name}": np.full(n, "", dtype=object) for name in told}
    for probe in recording.probes:
        found = probe.bombcell
        if found is None:
            continue
        row_of = unit_rows(units, probe)
        for name, values in found.measures.items():
            columns[name][row_of] = values
        for name in told:
            columns[f"bombcell_{name}"][row_of[found.seen]] = getattr(found, name)
    return columns


def _sites(recording: Recording, units: xr.Dataset) -> dict[str, np.ndarray]:
    """Tell where on the probe the channel of each unit lies; NaN where its sites are not known."""
    out = np.full((3, units.sizes["unit"]), np.nan)
    for probe in recording.probes:
        if probe.sites is not None:
            channels = probe.clusters.channels
            lateral, axial = probe.sites[channels].T
            out[:, unit_rows(units, probe)] = channels, axial, lateral
    return dict(zip(("channel", "axial_um", "lateral_um"), out, strict=True))


def _by_unit(
    recording: Recording, units: xr.Dataset, row_size: np.ndarray, name: str
) -> np.ndarray:
    """Sort a number of each spike by unit, then time; NaN where it is not known."""
    out = np.full(int(row_size.sum()), np.nan, dtype=np.float32)
    row_start = np.cumsum(row_size) - row_size
    for probe in recording.probes:
        values = getattr(probe, name)
        if values is not None:
            group(values, probe.spikes.clusters, unit_rows(units, probe), row_start.copy(), out)
    return out


def _spans(
    units: xr.Dataset, epochs: xr.Dataset, insertions: xr.Dataset
) -> tuple[np.ndarray, np.ndarray]:
    """Ticks from which to which each unit's phases last; equal where none was observed."""
    shape = (units.sizes["unit"], epochs.sizes["phase"])
    start, stop = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for pid, observed in zip(
        insertions["insertion"].values, insertions["observed"].values, strict=True
    ):
        mine = units["insertion"].values == pid
        for phase, seen in enumerate(observed):
            if seen.any():
                start[mine, phase] = to_ticks(epochs["start"].values[0, phase, seen].min())
                stop[mine, phase] = to_ticks(epochs["stop"].values[0, phase, seen].max())
    return start, stop


def _parts(trains: Trains, start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First spike and number of spikes of each unit in each of its intervals."""
    before = count_in_intervals(trains, np.zeros_like(start), start)
    return trains.row_start[:, None] + before, count_in_intervals(trains, start, stop)


def _medians(values: np.ndarray, first: np.ndarray, size: np.ndarray) -> np.ndarray:
    return segment_quantiles(values, first.ravel(), size.ravel(), (0.5,)).reshape(first.shape)


def _presence(
    trains: Trains, units: xr.Dataset, epochs: xr.Dataset, insertions: xr.Dataset
) -> np.ndarray:
    """Share of the bins of each unit's observed epochs of a phase that have a spike."""
    width = to_bin_ticks(PRESENCE_BIN)
    start, bins = binned_epochs(units, epochs, insertions, width)
    counts = count_spikes(trains, start, bins, width, int(bins.max(initial=0)))
    shape = (-1, epochs.sizes["phase"], epochs.sizes["epoch"])
    filled = (counts > 0).sum(axis=-1).reshape(shape).sum(axis=-1)
    total = bins.reshape(shape).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return np.asarray(filled / total)


def _range(values: np.ndarray) -> np.ndarray:
    """Largest less smallest known value of each row; NaN where fewer than two are known."""
    known = np.isfinite(values)
    spread = np.where(known, values, -np.inf).max(axis=1) - np.where(known, values, np.inf).min(
        axis=1
    )
    return np.where(known.sum(axis=1) > 1, spread, np.nan)


def _stable(absent: np.ndarray, unknown: np.ndarray, moved: np.ndarray) -> np.ndarray:
    against = absent.any(axis=1) | moved
    return np.where(against, 0.0, np.where(unknown.any(axis=1), np.nan, 1.0))


def _notes(recording: Recording) -> Iterator[str]:
    for probe in recording.probes:
        yield from _probe_notes(probe)


def _probe_notes(probe: Probe) -> Iterator[str]:
    name = probe.insertion.probe
    if probe.absent:
        yield f"{name}: recorded but not on disk: {', '.join(probe.absent)}"
    missing = [
        file
        for file, values in ((AMPLITUDES, probe.amplitudes), (DEPTHS, probe.depths))
        if values is None and not any(path.endswith(file) for path in probe.absent)
    ]
    if missing:
        yield f"{name}: no {', '.join(missing)}"
    if probe.bombcell is not None and (unknown := probe.bombcell.unknown):
        some = ", ".join(unknown[:3])
        yield f"{name}: {len(unknown)} columns of bombcell's that lsdx does not know ({some})"


STORED = Stored("quality", table("quality"), available=has_spikes, beside="units")
