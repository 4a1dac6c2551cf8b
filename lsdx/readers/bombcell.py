"""Bombcell's output of one probe: labels, measures, the mask of duplicate spikes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lsdx.kernels.binning import count_clusters, reorder
from lsdx.readers.files import (
    blank_nan,
    broken,
    ids_below,
    numbers,
    read_csv,
    read_json,
    read_npy,
    read_pqt,
)
from lsdx.schema.quality import BOMBCELL_MEASURES

if TYPE_CHECKING:
    from lsdx.readers.ephys import Spikes

# of a Kilosort folder: what Kilosort and bombcell write there, which no record lists. Files keep
# these names here whatever the folder of bombcell's results is called.
FOLDER = "bombcell"
KS_CLUSTERS = "spike_clusters.npy"
BC_DUPLICATES = "bombcell/spikes._bc_duplicateSpikes.npy"
BC_MEASURES = "bombcell/templates._bc_qMetrics.parquet"
BC_PARAMETERS = "bombcell/_bc_parameters._bc_qMetrics.parquet"
BC_RUN = "bombcell/_lsdx_run.json"
KS_LABELS = "cluster_bc_unitType.tsv"
# where bombcell has put its labels, with the column of cluster ids; the first is the newest
BC_LABELS = {
    BC_MEASURES: "phy_clusterID",
    KS_LABELS: "cluster_id",
    "bombcell/cluster_bc_unitType.tsv": "cluster_id",
}
LABEL_FILES = (KS_CLUSTERS, BC_DUPLICATES, *BC_LABELS)
MEASURE_FILES = (BC_PARAMETERS, BC_RUN)
# where a run found its files, which is no choice
_PLACES = ("ephysKilosortPath", "ephys_meta_file", "plotsSaveDir", "raw_data_file")
AGAIN = "Run bombcell again on this sorting."


@dataclass(frozen=True)
class Bombcell:
    """Bombcell's measures of one probe, one row a cluster.

    ``measures`` (n,) float64 by bombcell's own names, NaN where it did not see the cluster or
    did not work them out; ``seen`` (n,) bool. ``version`` and ``parameters`` (the first 16 digits
    of the SHA-256 of their sorted JSON) are blank where they are not known; ``unknown`` are
    columns that lsdx does not know.
    """

    measures: Mapping[str, np.ndarray]
    seen: np.ndarray
    version: str = ""
    parameters: str = ""
    unknown: tuple[str, ...] = ()


def places(names: tuple[str, ...], folder: str = FOLDER) -> dict[str, str]:
    """Return where files lie in the sorter's folder, by the names they have here.

    The labels beside the sorter's own files are of the folder called ``bombcell``, or of nobody
    knows which.

    Examples
    --------
    >>> places((BC_RUN,), "bombcell_strict")
    {'bombcell/_lsdx_run.json': 'bombcell_strict/_lsdx_run.json'}
    """
    return {
        name: f"{folder}/{name.removeprefix('bombcell/')}" if name.startswith("bombcell/") else name
        for name in names
        if folder == FOLDER or name != KS_LABELS
    }


def read_measures(files: Mapping[str, Path], spikes: Spikes, n: int, where: str) -> Bombcell | None:
    """Read bombcell's measures of the clusters of one probe.

    Parameters
    ----------
    files : mapping of str to Path
        Local paths, by the names of `LABEL_FILES` and `MEASURE_FILES`.
    spikes : Spikes
        Of the sorting that bombcell saw.
    n : int
        Number of clusters.
    where : str
        Session and collection, for errors.

    Returns
    -------
    Bombcell or None
        None without a table of measures. What an older bombcell does not have is NaN.

    Raises
    ------
    SourceError
        For a table that cannot be read, text in place of a number, cluster ids that are no
        clusters, missing or twice there, and more spikes of a cluster than the sorting has.
    """
    if BC_MEASURES not in files:
        return None
    name = _named(files, BC_MEASURES, where)
    key = BC_LABELS[BC_MEASURES]
    table = read_pqt(files[BC_MEASURES], name, (key,))
    rows = ids_below(table, key, n, name, AGAIN)
    measures = {measure: np.full(n, np.nan) for measure in BOMBCELL_MEASURES}
    for measure in BOMBCELL_MEASURES:
        if measure in table.columns:
            measures[measure][rows] = numbers(table, measure, name)
    counts = count_clusters(spikes.clusters, n) + spikes.n_before_start
    more = np.flatnonzero(measures["nSpikes"] > counts)
    if more.size:
        found = f"{measures['nSpikes'][more[0]]:.0f} of cluster {more[0]}, {counts[more[0]]} here"
        raise broken(name, "at most the spikes of spikes.clusters.npy", found, AGAIN)
    known = {key, "bc_unitType", *BOMBCELL_MEASURES}
    return Bombcell(
        measures,
        seen=np.isin(np.arange(n), rows),
        version=_version(files, where),
        parameters=_parameters(files, where),
        unknown=tuple(str(c) for c in table.columns if c not in known),
    )


def _version(files: Mapping[str, Path], where: str) -> str:
    if BC_RUN not in files:
        return ""
    found = read_json(files[BC_RUN], _named(files, BC_RUN, where)).get("bombcell", "")
    return found if isinstance(found, str) else ""


def _parameters(files: Mapping[str, Path], where: str) -> str:
    """Digest the choices of a run, so that equal choices have equal digests."""
    if BC_PARAMETERS not in files:
        return ""
    name = _named(files, BC_PARAMETERS, where)
    table = read_pqt(files[BC_PARAMETERS], name, ())
    if len(table) != 1:
        raise broken(name, "one row of parameters", f"{len(table)} rows", AGAIN)
    row = {str(k): _plain(v) for k, v in table.iloc[0].items() if k not in _PLACES}
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """Return a value of a table as JSON has it; what is missing is None."""
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or value != value:
        return None
    return value if isinstance(value, bool | int | float | str) else str(value)


def _named(files: Mapping[str, Path], file: str, where: str) -> str:
    """Name a file for an error, in the folder where it really lies."""
    if not file.startswith("bombcell/"):
        return f"{where}: {file}"
    return f"{where}: {files[file].parent.name}/{files[file].name}"


def read_labels(files: Mapping[str, Path], where: str, n: int) -> np.ndarray:
    """Read bombcell's label of each cluster, in upper case.

    The first table that has labels gives them; others must agree with it, for one of them is
    of an earlier run otherwise.

    Returns
    -------
    ndarray of object (n,)
        Blank where bombcell gives none.

    Raises
    ------
    SourceError
        For a table that cannot be read, cluster ids that are no clusters, missing or twice
        there, and tables that differ.
    """
    labels, source = np.full(n, "", dtype=object), ""
    for file, key in BC_LABELS.items():
        if file not in files:
            continue
        name = _named(files, file, where)
        if file.endswith(".parquet"):
            table = read_pqt(files[file], name, (key,))
            if "bc_unitType" not in table.columns:  # before 0.94, metrics alone
                continue
        else:
            table = read_csv(files[file], name, (key, "bc_unitType"), sep="\t")
        found = np.full(n, "", dtype=object)
        found[ids_below(table, key, n, name, AGAIN)] = (
            blank_nan(table["bc_unitType"]).str.strip().str.upper()
        )
        if not source and (found != "").any():
            labels, source = found, file
        differ = np.flatnonzero((labels != found) & (labels != "") & (found != ""))
        if differ.size:
            cluster = differ[0]
            raise broken(
                name,
                f"the labels of {source}",
                f"cluster {cluster}: {found[cluster]} against {labels[cluster]}",
                "Delete the table of the earlier run of bombcell.",
            )
    return labels


def read_duplicates(files: Mapping[str, Path], spikes: Spikes, where: str) -> np.ndarray | None:
    """Read bombcell's mask of duplicate spikes, brought into the order of ``spikes``.

    The mask is in the order of the Kilosort folder; its k-th spike of a cluster is the
    k-th spike of that cluster in ``spikes``.

    Returns
    -------
    ndarray of bool (n,) or None
        None where bombcell has not run.

    Raises
    ------
    SourceError
        For a mask of another length than the spikes of the Kilosort folder, and where a cluster
        has another number of spikes there.
    """
    if BC_DUPLICATES not in files or KS_CLUSTERS not in files:
        return None
    name = _named(files, BC_DUPLICATES, where)
    raw = read_npy(files[BC_DUPLICATES], name, kind="biuf", shape=(None,))
    if not np.isin(raw, (0, 1)).all():
        raise broken(name, "zeros and ones", raw[~np.isin(raw, (0, 1))][0])
    mask = raw != 0
    order = read_npy(files[KS_CLUSTERS], f"{where}: {KS_CLUSTERS}", kind="iu", shape=(None,))
    if order.size != mask.size:
        expected = f"a flag for each of the {order.size} spikes of {KS_CLUSTERS}"
        raise broken(name, expected, mask.size, AGAIN)
    clusters = spikes.clusters
    if spikes.place is not None:  # the mask knows those that were left out, in the files' order
        listed = read_npy(
            files["spikes.clusters.npy"], f"{where}/spikes.clusters.npy", kind="iu", shape=(None,)
        )
        clusters = listed.astype(clusters.dtype)
    n = int(clusters.max()) + 1 if clusters.size else 0
    same = mask.size == clusters.size and (not mask.size or (order.min() >= 0 and order.max() < n))
    order = order.astype(clusters.dtype) if same else order
    row_size = count_clusters(clusters, n)
    if not same or not np.array_equal(count_clusters(order, n), row_size):
        raise broken(
            name,
            "as many spikes of each cluster as spikes.clusters.npy",
            f"{mask.size} spikes in all against {clusters.size}, or other clusters",
            AGAIN,
        )
    mask = reorder(mask, order, clusters, row_size)
    return mask if spikes.place is None else mask[spikes.place]
