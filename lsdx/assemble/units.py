"""Units of one session: identity, place in the brain, quality; in the order of the stores."""

from __future__ import annotations

from uuid import UUID, uuid5

import numpy as np
import xarray as xr

from lsdx import regions
from lsdx.assemble.labelled import dataset
from lsdx.assemble.recording import Probe, Recording
from lsdx.assemble.stored import Joining, Stored, as_text, has_spikes, table
from lsdx.kernels.binning import count_clusters
from lsdx.readers.ephys import METRICS, NO_PLACE
from lsdx.readers.files import broken
from lsdx.schema import SCHEMAS
from lsdx.schema.spec import text

ATLASES: tuple[regions.RegionMap, ...] = ("beryl", "cosmos", "swanson", "group")


_COHORT_LABELS = ("condition", "session_n", "cohort_year", "days_since_lsd")


def assemble_units(recording: Recording) -> xr.Dataset | None:
    """Label the units of a session; None where it has none.

    Parameters
    ----------
    recording : Recording

    Returns
    -------
    Dataset or None
        One row a cluster, those without spikes included, sorted by region (in the order of
        the ontology), depth, insertion, cluster. The attribute ``notes`` lists what the build
        report says.

    Raises
    ------
    SourceError
        For a unit id that stands twice.
    """
    tables = [_probe_units(recording, p) for p in recording.probes]
    tables = [t for t in tables if t["unit"].size]
    if not tables:
        return None
    columns = {name: np.concatenate([t[name] for t in tables]) for name in tables[0]}
    rank = {acronym: i for i, acronym in enumerate(regions.acronyms())}
    place = np.array([rank.get(a, len(rank)) for a in columns["region"]])
    order = np.lexsort(
        (columns["cluster_id"], columns["insertion"].astype(str), columns["depth"], place)
    )
    columns = {name: values[order] for name, values in columns.items()}
    ids, counts = np.unique(columns["unit"].astype(str), return_counts=True)
    if (counts > 1).any():
        raise broken(
            f"session {recording.session.eid}, clusters.uuids.csv of {len(tables)} probes",
            "distinct cluster UUIDs",
            f"{ids[counts > 1][0]} twice",
        )
    return dataset(SCHEMAS["units"], columns).assign_attrs(notes=_notes(recording))


def _notes(recording: Recording) -> list[str]:
    notes = []
    for probe in recording.probes:
        notes += [*probe.sorting.notes]
        notes += [f"{probe.insertion.probe}: {note}" for note in probe.spikes.notes]
    for probe in recording.probes:
        ids = () if probe.channels is None else regions.unknown_ids(probe.channels.atlas_id)
        unknown = [i for i in ids if i != NO_PLACE]
        if unknown:
            notes.append(
                f"{probe.sorting.collection}/channels.brainLocationIds_ccf_2017.npy: "
                f"{len(unknown)} ids that the ontology does not have "
                f"({', '.join(map(str, unknown[:3]))}); their units have no region"
            )
    return notes


def _probe_units(recording: Recording, probe: Probe) -> dict[str, np.ndarray]:
    clusters, insertion, sorting = probe.clusters, probe.insertion, probe.sorting
    n = clusters.channels.size
    ids = np.arange(n)
    columns = {
        "unit": _unit_ids(probe),
        "cluster_id": ids.astype(np.int64),
        "depth": clusters.depths,
        "ks2_label": clusters.ks2_label,
        "bombcell": clusters.bombcell,
        "spike_count": count_clusters(probe.spikes.clusters, n),
        **{name: clusters.metrics[name] for name in METRICS},
        "has_duplicate_mask": np.full(n, probe.duplicates is not None),
        **_places(probe),
    }
    constant = {
        "session": recording.session.eid,
        "session_label": recording.session.label,
        "insertion": insertion.pid,
        "subject": recording.session.subject,
        "probe": insertion.probe,
        "sorter": sorting.sorter,
    }
    return columns | {name: np.full(n, value, dtype=object) for name, value in constant.items()}


def _unit_ids(probe: Probe) -> np.ndarray:
    pid, sorting = UUID(probe.insertion.pid), probe.sorting
    return text(
        [
            given or str(uuid5(pid, f"{sorting.sorter}/{sorting.revision}/{cluster}"))
            for cluster, given in enumerate(probe.clusters.uuids)
        ]
    )


def _places(probe: Probe) -> dict[str, np.ndarray]:
    channels, index = probe.channels, probe.clusters.channels
    n = index.size
    if channels is None:
        blank = np.full(n, "", dtype=object)
        xyz = np.full((n, 3), np.nan)
        return {
            "region": blank,
            **dict.fromkeys(ATLASES, blank),
            "histology": blank,
            **dict(zip("xyz", xyz.T, strict=True)),
        }
    region = regions.from_ids(channels.atlas_id)[index]
    xyz = channels.mlapdv[index] / 1e6
    return {
        "region": region,
        **{atlas: regions.remap(region, atlas) for atlas in ATLASES},
        "histology": np.where(region == "", "", "alf").astype(object),
        **dict(zip("xyz", xyz.T, strict=True)),
    }


def _columns(ds: xr.Dataset, joining: Joining) -> dict[str, object]:
    where = {eid: i for i, eid in enumerate(joining.sessions)}
    row = [where[eid] for eid in ds["session"].values]
    of_session: dict[str, object] = {n: [joining.labels[n][i] for i in row] for n in _COHORT_LABELS}
    return of_session | {"exclusion": joining.exclusions(ds, ("unit", "insertion", "session"))}


def _of_cohort(joining: Joining) -> dict[str, object]:
    exclusions = {"exclusions": dict(joining.cohort.exclusions)}
    return as_text(joining, _COHORT_LABELS) | exclusions


STORED = Stored(
    "units", table("units", columns=_columns), of_cohort=_of_cohort, available=has_spikes
)
