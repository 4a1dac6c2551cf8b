"""Probe insertions of one session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from lsdx.assemble.epochs import observed
from lsdx.assemble.labelled import dataset
from lsdx.assemble.plan import LabTables, SessionPlan
from lsdx.assemble.recording import Recording
from lsdx.assemble.stored import Joining, Stored, table
from lsdx.clock import TICKS_PER_SECOND
from lsdx.readers.records import InsertionRecord
from lsdx.schema import SCHEMAS
from lsdx.schema.insertions import RECORD_CHECKS, RECORD_NUMBERS, RECORD_OUTCOMES

# a smaller share of the picks on the other side is the tilt of the track or of the fit
BOTH_SIDES = 0.3


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
                "session_label": recording.session.label,
                "subject": recording.session.subject,
                "probe": insertion.probe,
                "model": insertion.model,
                "serial": insertion.serial,
                "sorter": probe.sorting.sorter if probe else "",
                "sorter_revision": probe.sorting.revision if probe else "",
                "file_revisions": probe.sorting.other_revisions if probe else "",
                "sorter_version": probe.sorting.version if probe else "",
                **_stated(insertion, recording.stacks),
                "n_units": probe.clusters.channels.size if probe else none,
                "n_spikes": ticks.size if probe else none,
                "n_spikes_before_start": probe.spikes.n_before_start if probe else none,
                "n_spikes_reordered": probe.spikes.n_reordered if probe else none,
                "first_spike": ticks[0] / TICKS_PER_SECOND if ticks.size else np.nan,
                "last_spike": ticks[-1] / TICKS_PER_SECOND if ticks.size else np.nan,
                "has_duplicate_mask": bool(probe and probe.duplicates is not None),
                "observed": observed(epochs, insertion.probe) & (probe is not None),
            }
        )
    columns: dict[str, Any] = {name: [r[name] for r in rows] for name in rows[0]}
    labels = {name: epochs[name].values for name in ("phase", "epoch")}
    ds = dataset(SCHEMAS["insertions"], columns | labels)
    return ds.assign_attrs(n_units=int(ds["n_units"].clip(min=0).sum()))


def histology_stage(insertion: InsertionRecord, stacks: bool | None = None) -> str:
    """Return the highest histology stage reached.

    Parameters
    ----------
    insertion : InsertionRecord
    stacks : bool, optional
        Whether the subject's image stacks are published; None if that is not known.

    Examples
    --------
    >>> record = {"xyz_picks": [[0, 0, 0]], "extended_qc": {"alignment_count": 2}}
    >>> histology_stage(InsertionRecord("pid", "eid", "probe00", json=record))
    'aligned'
    >>> histology_stage(InsertionRecord("pid", "eid", "probe00"), stacks=True)
    'no-tracing'
    """
    checks = _checks(insertion)
    if checks.get("alignment_resolved") is True:
        return "resolved"
    if as_number(checks.get("alignment_count")) > 0:
        return "aligned"
    if _picks(insertion).size:
        return "traced"
    return {True: "no-tracing", False: "no-stacks", None: "unknown"}[stacks]


def as_number(value: object) -> float:
    """Read a number of a record, which may be text; NaN if it is no number.

    Examples
    --------
    >>> as_number("1.76e-04"), as_number(2), as_number(None), as_number(True)
    (0.000176, 2.0, nan, nan)
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return np.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return np.nan


def read_outcome(value: object) -> tuple[str, float]:
    """Read one outcome of a record: text, or a list of it and a number.

    Examples
    --------
    >>> read_outcome(["NOT SET", 12]), read_outcome("PASS"), read_outcome(None)
    (('NOT_SET', 12.0), ('PASS', nan), ('', nan))
    """
    outcome, *rest = value if isinstance(value, list | tuple) and value else [value]
    text = "_".join(outcome.split()) if isinstance(outcome, str) else ""
    return text, as_number(rest[0]) if rest else np.nan


def _stated(insertion: InsertionRecord, stacks: bool | None) -> dict[str, Any]:
    """Return what the insertion's record says of its quality and place."""
    checks = _checks(insertion)
    exists = checks.get("tracing_exists")
    stated = {name: insertion.json.get(key) for key, (name, *_) in RECORD_NUMBERS.items()}
    stated |= {name: checks.get(key) for key, (name, *_) in RECORD_CHECKS.items()}
    return {
        "histology_stage": histology_stage(insertion, stacks),
        "hemisphere": _side(_picks(insertion)[:, 0]),
        "qc": read_outcome(insertion.json.get("qc"))[0],
        **{name: read_outcome(checks.get(name))[0] for name in RECORD_OUTCOMES},
        "tracing_exists": str(exists).lower() if isinstance(exists, bool) else "unknown",
        **{name: as_number(value) for name, value in stated.items()},
    }


def _checks(insertion: InsertionRecord) -> Mapping[str, Any]:
    found = insertion.json.get("extended_qc")
    return found if isinstance(found, Mapping) else {}


def _side(ml: np.ndarray) -> str:
    """Name the side of a track by the picks' places right of bregma; blank: no picks."""
    if not ml.size:
        return ""
    mean = ml.mean()
    if mean == 0 or min((ml < 0).mean(), (ml > 0).mean()) > BOTH_SIDES:
        return "both"
    return "left" if mean < 0 else "right"


def _picks(insertion: InsertionRecord) -> np.ndarray:
    """Return the picks of the track, (n, 3) in um from bregma, ML (right of it) first."""
    try:
        picks = np.asarray(insertion.json.get("xyz_picks") or (), dtype=np.float64)
    except (TypeError, ValueError):
        return np.empty((0, 3))
    if picks.ndim != 2 or picks.shape[1] != 3:
        return np.empty((0, 3))
    return np.asarray(picks[np.isfinite(picks).all(axis=1)])


def _columns(ds: xr.Dataset, joining: Joining) -> dict[str, list[str]]:
    return {"exclusion": joining.exclusions(ds, ("insertion", "session"))}


def _recorded(plan: SessionPlan, _lab: LabTables, _parameters: Mapping[str, Any]) -> bool:
    return bool(plan.insertions)


def _of_cohort(joining: Joining) -> dict[str, Any]:
    return {"exclusions": dict(joining.cohort.exclusions)}


STORED = Stored(
    "insertions",
    table("insertions", columns=_columns),
    of_cohort=_of_cohort,
    available=_recorded,
    lacking="no insertion records",
    always=True,
)
