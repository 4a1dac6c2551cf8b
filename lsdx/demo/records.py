"""What Alyx knows of a session: its record, its datasets, its insertions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from lsdx.demo.anatomy import picks
from lsdx.demo.plan import Plan, identifier
from lsdx.demo.timeline import Timeline

Record = dict[str, Any]

HISTOLOGY = ("resolved", "resolved", "aligned", "resolved", "traced", "resolved", "no-tracing")


def session_info(plan: Plan, line: Timeline) -> Record:
    """Return what each record of a session repeats.

    As in Alyx, the task protocol lists no run that has no tables.
    """
    utc = line.runs[0].rig_start - timedelta(hours=int("summer_time" in plan))
    runs = ["passiveChoiceWorld"] * (1 if "rig_clock_run" in plan else 2)
    if line.filler is not None:
        runs.insert(1, "spontaneous")
    return {
        "id": identifier(plan.path),
        "subject": plan.subject,
        "lab": plan.lab,
        "start_time": utc.isoformat(timespec="microseconds"),
        "number": plan.number,
        "task_protocol": "/".join(f"_iblrig_tasks_{run}8.12.7" for run in runs),
    }


def session_record(
    plan: Plan, info: Record, insertions: Sequence[Record], datasets: Sequence[Record]
) -> Record:
    """Return the full record of a session."""
    inner = ("id", "name", "model", "serial", "json")
    checks = {
        "_videoLeft_dropped_frames": ["PASS", 3 + plan.index],
        "_videoLeft_timestamps": "PASS",
        "_videoLeft_pin_state": ["WARNING", 2, 0],
        "_videoRight_dropped_frames": "NOT_SET",
        "_videoRight_timestamps": "FAIL",
    }
    return {
        **info,
        "projects": ["psychedelics"],
        "qc": ("PASS", "WARNING", "NOT_SET")[plan.index % 3],
        "json": {"simulated": True},
        "extended_qc": checks,
        "url": f"https://alyx.demo.invalid/sessions/{info['id']}",
        "probe_insertion": [{key: each[key] for key in inner} for each in insertions],
        "data_dataset_session_related": list(datasets),
    }


def dataset_record(plan: Plan, collection: str, name: str, **known: Any) -> Record:
    """Return the record of a dataset; ``known`` fields replace those of every dataset."""
    revision = known.get("revision", "")
    folder = f"{collection}/#{revision}#" if revision else collection
    key = identifier(f"{plan.path}/{folder}/{name}")
    stem, suffix = name.rsplit(".", 1)
    server = f"https://data.demo.invalid/{plan.path}"
    return {
        "id": key,
        "name": name,
        "collection": collection,
        "data_url": f"{server}/{folder}/{stem}.{key}.{suffix}",
        "file_size": None,
        "hash": "",
        "version": "8.12.7",
        "revision": revision,
        "default_revision": "True",
        "qc": "NOT_SET",
        "url": f"https://alyx.demo.invalid/datasets/{key}",
        **known,
    }


def remote_record(plan: Plan, collection: str, name: str, size: int) -> Record:
    """Return the record of a file that only the data server has."""
    digest = hashlib.md5(f"{plan.path}/{collection}/{name}".encode()).hexdigest()
    return dataset_record(plan, collection, name, file_size=size, hash=digest)


def relative_path(record: Record) -> str:
    """Return a dataset's path within its session."""
    revision = f"#{record['revision']}#/" if record["revision"] else ""
    return f"{record['collection']}/{revision}{record['name']}"


def insertion_record(
    plan: Plan, info: Record, probe: str, n_units: int, datasets: Sequence[Record]
) -> Record:
    """Return the record of an insertion; each stage of histology occurs in the cohort."""
    stage = HISTOLOGY[plan.index % 7]
    if probe == "probe01" and plan.index % 7 == 1:
        stage = "aligned"
    checks: Record = {"tracing_exists": stage != "no-tracing"}
    checks["alignment_count"] = {"aligned": 1, "resolved": 2}.get(stage, 0)
    checks["alignment_resolved"] = stage == "resolved"
    if stage in ("aligned", "resolved"):
        checks["alignment_stored"] = f"{plan.day + timedelta(days=60)}T10:00:00_user"
    details: Record = {"qc": "NOT_SET", "n_units": n_units, "extended_qc": checks}
    if stage != "no-tracing":
        details["xyz_picks"] = picks(probe)
    return {
        "id": insertion_id(plan, probe),
        "session": info["id"],
        "model": "3B2",
        "session_info": info,
        "name": probe,
        "json": details,
        "serial": str(19_000_000_000 + plan.index * 100 + int(probe[-2:])),
        "auto_datetime": f"{plan.day}T23:00:00",
        "chronic_recording": None,
        "datasets": [each["id"] for each in datasets if probe in each["collection"]],
    }


def insertion_id(plan: Plan, probe: str) -> str:
    """Return the id of an insertion."""
    return identifier(f"{plan.path}/{probe}")


def cluster_uuids(
    plan: Plan, probe: str, sorter: str, revision: str, n_clusters: int
) -> list[str] | None:
    """Return the ids of a sorting's clusters, None where they were never given any."""
    if "missing_uuids" in plan and probe == "probe00":
        return None
    stem = f"{plan.path}/alf/{probe}/{sorter}/{revision}"
    return [identifier(f"{stem}/{i}") for i in range(n_clusters)]


def image_stacks(subject: str) -> list[str] | None:
    """Return the files of a subject's image stacks: of one mouse none, of another not known."""
    if subject == "LSDX-C":
        return []
    return None if subject == "LSDX-D" else [f"{subject}_{channel}.tif" for channel in ("GR", "RD")]
