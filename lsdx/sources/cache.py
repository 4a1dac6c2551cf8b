"""A local ONE cache as a source: its tables, its files, its snapshot of records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lsdx.errors import SourceError, located
from lsdx.readers.files import broken, read_pqt
from lsdx.readers.records import (
    SNAPSHOT,
    DatasetRecord,
    InsertionRecord,
    SessionRecord,
    check_dataset_path,
    read_snapshot,
    timestamp,
    unique_probes,
    uuid_of,
)
from lsdx.sources.local import LocalFiles, session_folder

DEMO_ORIGIN = "lsdx demo"
INSERTIONS = "insertions.pqt"
NO_INSERTIONS = (
    "no insertions.pqt, so that no probe can be read. Write it with pandas: indexed by id (the "
    "pid, a UUID), with the columns eid and name (the probe's folder below alf/)"
)
NO_SNAPSHOT = f"no snapshot of Alyx records ({SNAPSHOT}): presence is file existence, QC is unknown"


class CacheSource(LocalFiles):
    """Sessions, insertions and files of a ONE cache on this machine.

    Parameters
    ----------
    root : Path
        Folder that holds ``sessions.pqt``, ``datasets.pqt``, ``insertions.pqt`` (ONE's cache
        tables), ``<lab>/Subjects/...`` and, if it has been taken, the snapshot
        ``alyx_records.json``.

    Raises
    ------
    SourceError
        If the tables are missing or unreadable.
    """

    def __init__(self, root: Path) -> None:
        root = Path(root)
        tables = _load_tables(root)
        sessions = _session_records(tables["sessions"], root)
        datasets = _dataset_records(tables["datasets"], root)
        insertions = _insertion_records(root)
        notes: tuple[str, ...] = (NO_SNAPSHOT,)
        if not (root / INSERTIONS).is_file():
            notes += (NO_INSERTIONS,)
        stacks: Mapping[str, bool | None] = {}
        if (root / SNAPSHOT).is_file():
            snapshot = read_snapshot(root / SNAPSHOT)
            notes = (f"records of {snapshot.created or 'an unknown day'}",)
            known = {eid: d for eid, d in snapshot.datasets.items() if eid in sessions}
            sessions |= {eid: s for eid, s in snapshot.sessions.items() if eid in sessions}
            insertions |= snapshot.insertions
            stacks = snapshot.stacks
            datasets |= {eid: _merged(datasets.get(eid, ()), d) for eid, d in known.items()}
        origin = json.dumps(tables["_meta"].get("raw", {}), default=str)
        super().__init__(
            root,
            sessions,
            insertions,
            datasets,
            simulated=DEMO_ORIGIN in origin,
            notes=notes,
            stacks=stacks,
        )


def _merged(
    local: tuple[DatasetRecord, ...], stated: tuple[DatasetRecord, ...]
) -> tuple[DatasetRecord, ...]:
    """Join what the cache's tables and the snapshot say of one session's datasets."""
    here = {d.path: d for d in local}
    there = {d.path: d for d in stated}
    return tuple(
        _joined(here[p], there[p]) if p in here and p in there else d
        for p, d in sorted((there | here).items())
    )


def _load_tables(root: Path) -> Mapping[str, Any]:
    from one.alf.cache import load_tables

    missing = [n for n in ("sessions.pqt", "datasets.pqt") if not (root / n).is_file()]
    if missing:
        raise SourceError(
            located(
                str(root),
                "a ONE cache with sessions.pqt and datasets.pqt",
                "no " + " and no ".join(missing),
                "Name the cache's root, or write its tables with one.alf.cache.make_parquet_db.",
            )
        )
    try:
        tables = load_tables(root, "[ds]*s.pqt")
    except (ValueError, OSError, KeyError) as error:
        raise SourceError(
            located(
                str(root),
                "readable tables sessions.pqt and datasets.pqt",
                str(error),
                "Write them again with one.alf.cache.make_parquet_db.",
            )
        ) from error
    read = tables["_meta"].get("raw", {})
    for name in ("sessions", "datasets"):
        if "date_created" not in read.get(name, {}):
            raise SourceError(
                located(
                    f"{root}/{name}.pqt",
                    "a ONE cache table with its date_created",
                    "a table that ONE passes over",
                    "Write it with one.alf.cache.make_parquet_db.",
                )
            )
    return tables  # type: ignore[no-any-return]


def _session_records(table: pd.DataFrame, root: Path) -> dict[str, SessionRecord]:
    where = f"{root}/sessions.pqt"
    records = {}
    for row in table.reset_index().to_dict("records"):
        eid = uuid_of(row["id"], where)
        if eid in records:
            raise SourceError(located(where, "each session once", f"{eid} twice"))
        date = timestamp(row["date"], f"{where}, session {eid}").normalize()
        records[eid] = SessionRecord(
            eid=eid,
            lab=str(row["lab"]),
            subject=str(row["subject"]),
            date=date,
            number=_number(row["number"], f"{where}, session {eid}"),
            task_protocol=_text(row.get("task_protocol")),
            projects=_text(row.get("projects")),
        )
        session_folder(records[eid], where)  # refuses what would leave the cache
    return records


def _dataset_records(table: pd.DataFrame, root: Path) -> dict[str, tuple[DatasetRecord, ...]]:
    where = f"{root}/datasets.pqt"
    records: dict[str, list[DatasetRecord]] = {}
    for row in table.reset_index().to_dict("records"):
        eid = uuid_of(row["eid"], where)
        size, md5 = row["file_size"], row["hash"]
        records.setdefault(eid, []).append(
            DatasetRecord(
                path=check_dataset_path(str(row["rel_path"]), f"{where}, session {eid}"),
                size=None if pd.isna(size) else int(size),
                md5=str(md5) if isinstance(md5, str) and md5 else None,
                # ONE's own tables may lack the column: then nothing is flagged
                default_revision=_truth(row.get("default_revision")),
                present=bool(row["exists"]),
                readable=bool(row["exists"]),
            )
        )
    return {eid: tuple(sorted(rows, key=lambda d: d.path)) for eid, rows in records.items()}


def _insertion_records(root: Path) -> dict[str, tuple[InsertionRecord, ...]]:
    """Read the table of insertions; it is written by hand, since no function of ONE writes it."""
    if not (root / INSERTIONS).is_file():
        return {}
    where = f"{root}/{INSERTIONS}"
    table = read_pqt(root / INSERTIONS, where, ())
    if any(table.index.names):
        table = table.reset_index()
    missing = [c for c in ("id", "eid", "name") if c not in table.columns]
    if missing:
        found = ", ".join(map(str, table.columns)) or "no columns"
        raise broken(where, "id (the pid), eid and name", found, "Add " + ", ".join(missing) + ".")
    records: dict[str, list[InsertionRecord]] = {}
    for row in table.to_dict("records"):
        raw = row.get("json")
        try:
            parsed = json.loads(raw) if isinstance(raw, str) and raw else raw or {}
        except ValueError as error:
            raise SourceError(located(where, "JSON in json", str(error))) from error
        eid = uuid_of(row["eid"], where)
        records.setdefault(eid, []).append(
            InsertionRecord(
                pid=uuid_of(row["id"], where),
                eid=eid,
                probe=str(row["name"]),
                model=_text(row.get("model")),
                serial=_text(row.get("serial")),
                json=parsed if isinstance(parsed, Mapping) else {},
            )
        )
    return {eid: unique_probes(rows, where) for eid, rows in records.items()}


def _number(value: Any, where: str) -> int:
    number = pd.to_numeric(value, errors="coerce")
    if pd.isna(number) or number != int(number):
        raise SourceError(
            located(
                f"{where}, number",
                "the number of the session on its day",
                repr(value),
                "Give it in sessions.pqt: the session's folder has it, such as 1 for 001.",
            )
        )
    return int(number)


def _truth(value: Any) -> bool:
    return bool(pd.notna(value) and value)


def _text(value: Any) -> str:
    return "" if value is None or value is pd.NA or value != value else str(value)


def _joined(local: DatasetRecord, stated: DatasetRecord) -> DatasetRecord:
    """Return one record of what Alyx states of a dataset and the cache knows of its file."""
    return DatasetRecord(
        path=stated.path,
        size=local.size if stated.size is None else stated.size,
        md5=local.md5 if stated.md5 is None else stated.md5,
        default_revision=stated.default_revision,
        present=stated.present or local.readable,
        readable=local.readable,
        version=stated.version,
    )
