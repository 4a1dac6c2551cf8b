"""Probe insertions of one session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from lsdx.assemble.epochs import observed
from lsdx.assemble.labelled import dataset
from lsdx.assemble.recording import Recording
from lsdx.clock import TICKS_PER_SECOND
from lsdx.readers.records import InsertionRecord
from lsdx.schema import SCHEMAS


def assemble_insertions(recording: Recording, *, epochs: xr.Dataset) -> xr.Dataset | None:
    """Describe each probe insertion of a session, with or without spikes.

    Parameters
    ----------
    recording : Recording
    epochs : Dataset
        The session's.

    Returns
    -------
    Dataset or None
        None where the session has no insertion record.
    """
    if not recording.insertions:
        return None
    probes = {p.insertion.pid: p for p in recording.probes}
    rows = []
    for insertion in recording.insertions:
        probe = probes.get(insertion.pid)
        ticks = probe.spikes.ticks if probe else np.empty(0, dtype=np.uint32)
        none = -1 if insertion.probe in recording.unread else 0
        rows.append(
            {
                "insertion": insertion.pid,
                "session": recording.session.eid,
                "subject": recording.session.subject,
                "probe": insertion.probe,
                "model": insertion.model,
                "serial": insertion.serial,
                "sorter": probe.sorting.sorter if probe else "",
                "sorter_revision": probe.sorting.revision if probe else "",
                "sorter_version": probe.sorting.version if probe else "",
                "histology_stage": histology_stage(insertion),
                "n_units": probe.clusters.channels.size if probe else none,
                "n_spikes": ticks.size if probe else none,
                "first_spike": ticks[0] / TICKS_PER_SECOND if ticks.size else np.nan,
                "last_spike": ticks[-1] / TICKS_PER_SECOND if ticks.size else np.nan,
                "has_duplicate_mask": bool(probe and probe.duplicates is not None),
                "observed": observed(epochs, insertion.probe) & (probe is not None),
            }
        )
    columns: dict[str, Any] = {name: [r[name] for r in rows] for name in rows[0]}
    labels = {name: epochs[name].values for name in ("phase", "epoch")}
    return dataset(SCHEMAS["insertions"], columns | labels)


def histology_stage(insertion: InsertionRecord) -> str:
    """Give the highest histology stage that the record itself states.

    Examples
    --------
    >>> record = {"xyz_picks": [[0, 0, 0]], "extended_qc": {"alignment_count": 2}}
    >>> histology_stage(InsertionRecord("pid", "eid", "probe00", json=record))
    'aligned'
    """
    qc = insertion.json.get("extended_qc")
    qc = qc if isinstance(qc, Mapping) else {}
    if qc.get("alignment_resolved") is True:
        return "resolved"
    if (qc.get("alignment_count") or 0) > 0:
        return "aligned"
    return "traced" if insertion.json.get("xyz_picks") else ""
