"""A local ONE cache as a source: its tables, its files, its snapshot of records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lsdx.errors import SourceError, located
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

DEMO_ORIGIN = "lsdx demo"
NO_SNAPSHOT = f"no snapshot of Alyx records ({SNAPSHOT}): presence is file existence, QC is unknown"


class CacheSource:
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
        self.root = Path(root)
        tables = _load_tables(self.root)
        origin = json.dumps(tables["_meta"].get("raw", {}), default=str)
        self.simulated = DEMO_ORIGIN in origin
        self._sessions, self._folders = _session_records(tables["sessions"], self.root)
        self._datasets = _dataset_records(tables["datasets"], self.root)
        self._insertions = _insertion_records(tables.get("insertions"), self.root)
        snapshot = self.root / SNAPSHOT
        if snapshot.is_file():
            self._join(snapshot)
        else:
            self.notes: tuple[str, ...] = (NO_SNAPSHOT,)

    def _join(self, path: Path) -> None:
        snapshot = read_snapshot(path)
        self.notes = (f"records of {snapshot.created or 'an unknown day'}",)
        for eid, record in snapshot.sessions.items():
            if eid in self._sessions:
                self._sessions[eid] = record
        for eid, rows in snapshot.insertions.items():
            self._insertions[eid] = rows
        for eid, datasets in snapshot.datasets.items():
            if eid in self._sessions:
                stated = {d.path: d for d in datasets}
                local = {d.path: d for d in self._datasets.get(eid, ())}
                self._datasets[eid] = tuple(
                    _joined(local[p], stated[p]) if p in local and p in stated else d
                    for p, d in sorted((stated | local).items())
                )

    def sessions(self) -> tuple[SessionRecord, ...]:
        """List every session, in order of start, then eid."""
        return tuple(sorted(self._sessions.values(), key=lambda s: s.order))

    def insertions(self, eid: str) -> tuple[InsertionRecord, ...]:
        """List the probe insertions of a session, in order of probe name."""
        return self._insertions.get(eid, ())

    def datasets(self, eid: str) -> tuple[DatasetRecord, ...]:
        """List the datasets of a session, in order of path."""
        return self._datasets.get(eid, ())

    def fetch(self, eid: str, dataset: DatasetRecord) -> Path:
        """Give the local path of a dataset whose size and md5 have been checked.

        Raises
        ------
        SourceError
            If the file is not there, or is not the one its record describes.
        """
        path = self.root / self._folders[eid] / dataset.path
        where = f"session {eid}, {dataset.path}"
        if not path.is_file():
            raise SourceError(located(where, "a file", f"none at {path}", "Download it with ONE."))
        size = path.stat().st_size
        again = "Delete the file and download it again."
        if dataset.size is not None and size != dataset.size:
            raise SourceError(located(where, f"{dataset.size} bytes", f"{size}", again))
        if dataset.md5 is not None:
            with path.open("rb") as stream:
                md5 = hashlib.file_digest(stream, "md5").hexdigest()
            if md5 != dataset.md5.replace("-", "").lower():
                raise SourceError(located(where, f"md5 {dataset.md5}", md5, again))
        return path

    def extra_file(self, eid: str, path: str) -> Path | None:
        """Give a file of the session's folder that no record lists, None if absent."""
        found = self.root / self._folders[eid] / check_dataset_path(path, f"session {eid}")
        return found if found.is_file() else None


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
        tables = load_tables(root)
    except (ValueError, OSError, KeyError) as error:
        raise SourceError(
            located(
                str(root),
                "readable tables sessions.pqt, datasets.pqt and insertions.pqt",
                str(error),
                "Write them again.",
            )
        ) from error
    read = tables["_meta"].get("raw", {})
    for name in ("sessions", "datasets", "insertions"):
        if "date_created" not in read.get(name, {}) and (root / f"{name}.pqt").is_file():
            raise SourceError(
                located(
                    f"{root}/{name}.pqt",
                    "a ONE cache table with its date_created",
                    "a table that ONE passes over",
                    "Write it with one.alf.cache.make_parquet_db.",
                )
            )
    return tables  # type: ignore[no-any-return]


def _session_records(
    table: pd.DataFrame, root: Path
) -> tuple[dict[str, SessionRecord], dict[str, str]]:
    where = f"{root}/sessions.pqt"
    records, folders = {}, {}
    for row in table.reset_index().to_dict("records"):
        eid = uuid_of(row["id"], where)
        if eid in records:
            raise SourceError(located(where, "each session once", f"{eid} twice", "Correct it."))
        date = timestamp(row["date"], f"{where}, session {eid}").normalize()
        parts = [str(row["lab"]), str(row["subject"])]
        folder = f"{parts[0]}/Subjects/{parts[1]}/{date:%Y-%m-%d}/{int(row['number']):03d}"
        folders[eid] = check_dataset_path(folder, f"{where}, session {eid}")
        records[eid] = SessionRecord(
            eid=eid,
            lab=parts[0],
            subject=parts[1],
            date=date,
            number=int(row["number"]),
            task_protocol=_text(row.get("task_protocol")),
            projects=_text(row.get("projects")),
        )
    return records, folders


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
                default_revision=bool(row["default_revision"]),
                present=bool(row["exists"]),
                on_disk=bool(row["exists"]),
            )
        )
    return {eid: tuple(sorted(rows, key=lambda d: d.path)) for eid, rows in records.items()}


def _insertion_records(
    table: pd.DataFrame | None, root: Path
) -> dict[str, tuple[InsertionRecord, ...]]:
    if table is None:
        return {}
    where = f"{root}/insertions.pqt"
    records: dict[str, list[InsertionRecord]] = {}
    for row in table.reset_index().to_dict("records"):
        raw = row.get("json")
        try:
            parsed = json.loads(raw) if isinstance(raw, str) and raw else raw or {}
        except ValueError as error:
            raise SourceError(located(where, "JSON in json", str(error), "Correct it.")) from error
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


def _text(value: Any) -> str:
    return "" if value is None or value is pd.NA or value != value else str(value)


def _joined(local: DatasetRecord, stated: DatasetRecord) -> DatasetRecord:
    """Let what Alyx states of a dataset complete what the cache knows of its file."""
    return DatasetRecord(
        path=stated.path,
        size=local.size if stated.size is None else stated.size,
        md5=local.md5 if stated.md5 is None else stated.md5,
        default_revision=stated.default_revision,
        present=stated.present or local.on_disk,
        on_disk=local.on_disk,
        version=stated.version,
    )
