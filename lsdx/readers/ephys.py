"""Spike sorting of one probe: spikes, clusters, channels, metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lsdx.clock import TICKS_PER_SECOND
from lsdx.kernels.binning import quantize
from lsdx.readers.bombcell import read_labels
from lsdx.readers.files import blank_nan, broken, ids_below, numbers, read_csv, read_npy, read_pqt
from lsdx.schema.units import QUALITY_NUMBERS

METRICS = tuple(v.name for v in QUALITY_NUMBERS)
LONGEST_DISORDER = 1e-3  # s: what a fit of clocks rounds
EARLIEST = -1.0  # s: a probe's clock may have started before the session's
MOST_BEFORE_START = 1e-3  # of all spikes
AMPLITUDES, DEPTHS = "spikes.amps.npy", "spikes.depths.npy"
SITES = "channels.localCoordinates.npy"
MOST_VOLTS = 0.1  # no neuron is so large: it is another unit
NO_PLACE = 2**31  # in place of an Allen id: nobody knows where the channel lies


@dataclass(frozen=True)
class Spikes:
    """Spikes of one probe, in order of time.

    ``ticks`` (n,) uint32 of 10 us; ``clusters`` (n,) uint16, or uint32 if it must be. So they
    take half the room of the files or less. ``place`` (n,) is where each stands in the files,
    None for all of them as they stand. ``n_before_start`` were left out, ``n_reordered`` stood
    after a later one; ``notes`` say so.
    """

    ticks: np.ndarray
    clusters: np.ndarray
    place: np.ndarray | None = None
    n_before_start: int = 0
    n_reordered: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Clusters:
    """One row a cluster; the row is the cluster's id.

    ``channels`` (n,) int64; ``depths`` (n,) float64 um; ``uuids`` (n,) object, ``""`` where
    the sorter gave none; ``metrics`` float64 by name, NaN where there is none;
    ``ks2_label`` and ``bombcell`` (n,) object, ``""`` unknown.
    """

    channels: np.ndarray
    depths: np.ndarray
    uuids: np.ndarray
    metrics: Mapping[str, np.ndarray]
    ks2_label: np.ndarray
    bombcell: np.ndarray


@dataclass(frozen=True)
class Channels:
    """Recording sites: ``mlapdv`` (n, 3) um from bregma, ``atlas_id`` (n,) int64 Allen ids."""

    mlapdv: np.ndarray
    atlas_id: np.ndarray


def read_spikes(files: Mapping[str, Path], where: str) -> Spikes:
    """Read and check ``spikes.times`` and ``spikes.clusters``.

    Parameters
    ----------
    files : mapping of str to Path
        File name to local path.
    where : str
        Session and collection, for errors.

    Returns
    -------
    Spikes
        Spikes in [-1 s, 0), at most 0.1 % of all, are left out; spikes up to 1 ms out of order
        are put in order, stably. How many of both stands in what is returned.

    Raises
    ------
    SourceError
        For files that cannot be read, of different length, with times of half precision, NaN,
        infinite, before -1 s, past 42,949 s, more than 1 ms out of order, more than 0.1 % of
        them before 0, or with negative cluster ids.
    """
    name = f"{where}/spikes.times.npy"
    times = read_npy(files["spikes.times.npy"], name, kind="f", shape=(None,))
    notes = _precision(times, name)
    times = times.astype(np.float64, copy=False)
    clusters = read_npy(
        files["spikes.clusters.npy"], f"{where}/spikes.clusters.npy", kind="iu", shape=(None,)
    )
    if times.size != clusters.size:
        raise broken(
            where,
            "spikes.times.npy and spikes.clusters.npy of one length",
            f"{times.size} and {clusters.size}",
        )
    place, reordered = _order(times, name)
    if place is not None:
        times, clusters = times[place], clusters[place]
        notes += (f"{reordered} spikes up to 1 ms out of order, put in order",)
    before = _before_start(times, name)
    if before:
        times, clusters = times[before:], clusters[before:]
        place = np.arange(before, before + times.size) if place is None else place[before:]
        notes += (f"{before} spikes before 0 s, left out",)
    if times.size and clusters.min() < 0:
        raise broken(f"{where}/spikes.clusters.npy", "ids >= 0", int(clusters.min()))
    highest = int(clusters.max(initial=0))
    if highest >= 2**32:
        raise broken(f"{where}/spikes.clusters.npy", "ids below 2**32", highest)
    narrow = np.uint16 if highest < 2**16 else np.uint32
    ticks = quantize(times, TICKS_PER_SECOND)
    return Spikes(ticks, clusters.astype(narrow), place, before, reordered, notes)


def _precision(times: np.ndarray, name: str) -> tuple[str, ...]:
    """Refuse times of half precision; note what single precision costs."""
    if times.dtype.itemsize < 4:
        raise broken(name, "times of float64 or float32", f"dtype {times.dtype}")
    if times.dtype.itemsize > 4 or not times.size:
        return ()
    error = float(np.spacing(np.nanmax(np.abs(times)))) / 2
    return (f"times of float32: up to {error * 1e6:.0f} us off",) if error > 1e-5 else ()


def _order(times: np.ndarray, name: str) -> tuple[np.ndarray | None, int]:
    """Return the stable order of times, None if they are in order, and how many are not."""
    # one comparison finds NaN, infinity and disorder alike
    ordered = times[1:] >= times[:-1]
    if not times.size or (ordered.all() and np.isfinite(times[[0, -1]]).all()):
        return None, 0
    finite = np.isfinite(times)
    lag = np.maximum.accumulate(times) - times if finite.all() else np.zeros(0)
    late = np.rint(lag * 1e6) > LONGEST_DISORDER * 1e6 if lag.size else ~finite
    if late.any():
        bad = int(np.argmax(late))
        raise broken(name, "finite, sorted times", f"{times[bad]} s at spike {bad}")
    return np.argsort(times, kind="stable"), int((lag > 0).sum())


def _before_start(times: np.ndarray, name: str) -> int:
    """Count the times before 0, if the clocks explain them."""
    before = int(np.searchsorted(times, 0.0))
    if times.size and (
        times[0] < EARLIEST or before > MOST_BEFORE_START * times.size or times[-1] >= 42_949
    ):
        found = f"{times[0]} to {times[-1]} s, {before} of {times.size} before 0"
        raise broken(name, "times in [0, 42949) s, at most 0.1 % of them in [-1, 0)", found)
    return before


def read_of_spikes(
    files: Mapping[str, Path], name: str, spikes: Spikes, where: str
) -> np.ndarray | None:
    """Read one number of each spike, in the order of ``spikes``.

    Parameters
    ----------
    files : mapping of str to Path
        File name to local path.
    name : str
        ``"spikes.amps.npy"`` (V) or ``"spikes.depths.npy"`` (um).
    spikes : Spikes
        Of the same sorting.
    where : str
        Session and collection, for errors.

    Returns
    -------
    ndarray of float32 (n,) or None
        NaN where the file has it; None without the file.

    Raises
    ------
    SourceError
        For a file that is not one number for each of ``spikes.times``, or has infinite ones;
        for amplitudes below 0, or that cannot be in V: more than half of them above 0.1.
    """
    if name not in files:
        return None
    n = spikes.ticks.size + spikes.n_before_start
    told = f"{where}/{name}"
    values = read_npy(files[name], told, kind="fiu", shape=(n,)).astype(np.float32)
    if np.isinf(values).any():
        raise broken(told, "finite numbers", "an infinite one")
    if name == AMPLITUDES and values.size:
        if np.nanmin(values, initial=0) < 0:
            raise broken(told, "amplitudes from 0 V", float(np.nanmin(values)))
        if np.count_nonzero(values > MOST_VOLTS) > values.size / 2:
            raise broken(told, "amplitudes in V", f"{float(np.nanmax(values))} at most")
    return values if spikes.place is None else values[spikes.place]


def read_clusters(files: Mapping[str, Path], where: str) -> Clusters:
    """Read the clusters of one probe: channels, depths, uuids, metrics, labels.

    Only ``clusters.channels.npy`` and ``clusters.depths.npy`` must be there.

    Raises
    ------
    SourceError
        For arrays of different length, negative channels, duplicate or malformed uuids,
        metrics whose ``cluster_id`` is no cluster or stands twice, or two tables of bombcell's
        labels that differ.
    """
    channels = read_npy(
        files["clusters.channels.npy"], f"{where}/clusters.channels.npy", kind="iu", shape=(None,)
    ).astype(np.int64)
    n = channels.size
    depths = read_npy(
        files["clusters.depths.npy"], f"{where}/clusters.depths.npy", kind="fiu", shape=(n,)
    ).astype(np.float64)
    if n and channels.min() < 0:
        raise broken(f"{where}/clusters.channels.npy", "channels >= 0", int(channels.min()))
    uuids = np.full(n, "", dtype=object)
    if "clusters.uuids.csv" in files:
        uuids = _read_uuids(files["clusters.uuids.csv"], f"{where}/clusters.uuids.csv", n)
    metrics, ks2_label = _no_metrics(n)
    if "clusters.metrics.pqt" in files:
        metrics, ks2_label = _read_metrics(
            files["clusters.metrics.pqt"], f"{where}/clusters.metrics.pqt", n
        )
    bombcell = read_labels(files, where, n)
    return Clusters(channels, depths, uuids, metrics, ks2_label, bombcell)


def read_channels(files: Mapping[str, Path], where: str) -> Channels | None:
    """Read where the channels lie in the brain; None if histology has not given it."""
    ids, places = "channels.brainLocationIds_ccf_2017.npy", "channels.mlapdv.npy"
    if ids not in files or places not in files:
        return None
    atlas_id = read_npy(files[ids], f"{where}/{ids}", kind="iuf", shape=(None,))
    mlapdv = read_npy(files[places], f"{where}/{places}", kind="fiu", shape=(atlas_id.size, 3))
    if not np.isfinite(atlas_id).all():
        raise broken(f"{where}/{ids}", "Allen ids", "NaN")
    return Channels(mlapdv.astype(np.float64), atlas_id.astype(np.int64))


def read_sites(path: Path, clusters: Clusters, where: str) -> np.ndarray:
    """Read where the channels lie on the probe, (m, 2) float64: um across it and along it.

    Raises
    ------
    SourceError
        For a file that is not two numbers a channel, of all channels that clusters name.
    """
    told = f"{where}/{SITES}"
    sites = read_npy(path, told, kind="fiu", shape=(None, 2)).astype(np.float64)
    highest = int(clusters.channels.max(initial=-1))
    if highest >= len(sites):
        raise broken(told, f"more than {highest} channels", len(sites))
    return sites


def check_sorting(
    spikes: Spikes, clusters: Clusters, channels: Channels | None, where: str
) -> None:
    """Check that spikes name clusters that exist, and clusters channels that exist.

    Raises
    ------
    SourceError
        Where they do not; an index out of range is never wrapped.
    """
    n = clusters.channels.size
    if spikes.clusters.size and int(spikes.clusters.max()) >= n:
        raise broken(
            f"{where}/spikes.clusters.npy",
            f"cluster ids below {n}, the number of clusters",
            int(spikes.clusters.max()),
        )
    if channels is not None and n and int(clusters.channels.max()) >= channels.atlas_id.size:
        raise broken(
            f"{where}/clusters.channels.npy",
            f"channels below {channels.atlas_id.size}, the number of channels",
            int(clusters.channels.max()),
        )


def _read_uuids(path: Path, where: str, n: int) -> np.ndarray:
    table = read_csv(path, where, ("uuids",), dtype=str, keep_default_na=False)
    uuids = table["uuids"].str.strip().str.lower().to_numpy(dtype=object)
    if uuids.size != n:
        raise broken(where, f"{n} rows, one a cluster", uuids.size)
    given = pd.Series(uuids[uuids != ""], dtype=object)
    form = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    bad = given[~given.str.fullmatch(form)]
    if len(bad):
        raise broken(where, "UUIDs", repr(bad.iloc[0]))
    if given.duplicated().any():
        raise broken(where, "distinct UUIDs", f"{given[given.duplicated()].iloc[0]} twice")
    return uuids


def _no_metrics(n: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    return {name: np.full(n, np.nan) for name in METRICS}, np.full(n, "", dtype=object)


def _read_metrics(path: Path, where: str, n: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    table = read_pqt(path, where, ())
    if "cluster_id" not in table.columns:
        table = table.reset_index()
    if "cluster_id" not in table.columns:
        raise broken(where, "a column cluster_id", ", ".join(map(str, table.columns)))
    rows = ids_below(table, "cluster_id", n, where)
    metrics, ks2_label = _no_metrics(n)
    for name in METRICS:
        if name in table.columns:
            metrics[name][rows] = numbers(table, name, where)
    if "ks2_label" in table.columns:
        ks2_label[rows] = blank_nan(table["ks2_label"])
    return metrics, ks2_label
