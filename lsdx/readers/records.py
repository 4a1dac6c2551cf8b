"""Records of sessions, insertions and datasets, in one form for caches and Alyx."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import pandas as pd
from one.alf.path import remove_uuid_string
from one.alf.spec import is_uuid_string

from lsdx.errors import SourceError, located
from lsdx.readers.files import broken, read_json

SNAPSHOT = "alyx_records.json"


@dataclass(frozen=True)
class DatasetRecord:
    """One dataset of a session, as its record states it.

    Parameters
    ----------
    path : str
        Relative to the session's folder, POSIX, with the revision folder if any.
    size : int or None
        Bytes.
    md5 : str or None
        Hexadecimal digest.
    default_revision : bool
        Whether this revision is the one to use.
    present : bool
        Whether the dataset exists at all (Alyx: a ``data_url``; offline: on disk).
    readable : bool
        Whether it can be read: the cache has the file, or the source can fetch it.
    version : str
        Version of the software that wrote it, ``""`` if not recorded.
    url : str
        Where it can be had, ``""`` if not recorded.

    Examples
    --------
    >>> d = DatasetRecord("alf/probe00/pykilosort/#2024-05-06#/spikes.times.npy")
    >>> d.collection, d.revision, d.name
    ('alf/probe00/pykilosort', '2024-05-06', 'spikes.times.npy')
    """

    path: str
    size: int | None = None
    md5: str | None = None
    default_revision: bool = True
    present: bool = True
    readable: bool = True
    version: str = ""
    url: str = ""

    @cached_property
    def name(self) -> str:
        """File name, without the dataset's UUID that a data server puts into it."""
        return without_uuid(PurePosixPath(self.path).name)

    @cached_property
    def revision(self) -> str:
        """Revision, ``""`` for none."""
        last = PurePosixPath(self.path).parent.name
        return last.strip("#") if re.fullmatch(r"#.+#", last) else ""

    @cached_property
    def collection(self) -> str:
        """Folder within the session, without the revision."""
        parent = PurePosixPath(self.path).parent
        parent = parent.parent if self.revision else parent
        return "" if parent == PurePosixPath(".") else str(parent)


@dataclass(frozen=True)
class SessionRecord:
    """One session: who, when, and what it is said to be.

    ``start_time`` is NaT where only the date is known; ``extended_qc`` is Alyx's field.
    """

    eid: str
    lab: str
    subject: str
    date: pd.Timestamp
    number: int
    start_time: pd.Timestamp | Any = pd.NaT
    task_protocol: str = ""
    projects: str = ""
    qc: str = "unknown"
    extended_qc: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """A short name: subject, day and number on it.

        Examples
        --------
        >>> SessionRecord("eid", "lab", "M1", pd.Timestamp("2023-01-19"), 1).label
        'M1 2023-01-19/001'
        """
        return f"{self.subject} {self.date:%Y-%m-%d}/{self.number:03d}"

    @property
    def order(self) -> tuple[pd.Timestamp, int, str]:
        """Key that sorts sessions by start, then number, then eid."""
        start = self.date if pd.isna(self.start_time) else self.start_time
        return (start, self.number, self.eid)


@dataclass(frozen=True)
class InsertionRecord:
    """One probe insertion; ``json`` is Alyx's free-form field, parsed."""

    pid: str
    eid: str
    probe: str
    model: str = ""
    serial: str = ""
    json: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """The session and insertion records of a cohort, as Alyx gave them on one day."""

    created: str
    simulated: bool
    sessions: Mapping[str, SessionRecord]
    datasets: Mapping[str, tuple[DatasetRecord, ...]]
    insertions: Mapping[str, tuple[InsertionRecord, ...]]
    stacks: Mapping[str, bool | None] = field(default_factory=dict)


def uuid_of(value: object, where: str) -> str:
    """Normalise an id (``UUID``, ``str``) to the canonical string."""
    try:
        return str(UUID(str(value)))
    except ValueError:
        raise broken(where, "a UUID", repr(value), "Correct the record.") from None


def without_uuid(name: str) -> str:
    """Return a file name without the dataset's UUID, which data servers put before its extension.

    Examples
    --------
    >>> without_uuid("spikes.times.0b7c1f6e-0000-4000-8000-000000000001.npy")
    'spikes.times.npy'
    >>> without_uuid("spikes.times.npy")
    'spikes.times.npy'
    """
    return str(remove_uuid_string(PurePosixPath(name)))


def check_dataset_path(path: str, where: str) -> str:
    """Refuse a dataset path that would leave its session's folder."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path or "\0" in path:
        raise SourceError(
            located(where, "a path inside the session's folder", repr(path), "Correct the record.")
        )
    return str(pure)


def read_snapshot(path: Path) -> Snapshot:
    """Read the dated snapshot of Alyx records that lies in a cache.

    Parameters
    ----------
    path : Path
        JSON: ``{"created", "sessions": [...], "insertions": [...]}``, each record in the
        form of Alyx's ``sessions/read`` and ``insertions/list``.

    Returns
    -------
    Snapshot

    Raises
    ------
    SourceError
        For a record without id, subject, lab, start time or number, and for a duplicate.
    """
    return parse_snapshot(read_json(path, str(path)), str(path))


def parse_snapshot(raw: Mapping[str, Any], where: str) -> Snapshot:
    """Turn records in Alyx's JSON form into a snapshot; ``where`` names them in errors."""
    sessions: dict[str, SessionRecord] = {}
    datasets: dict[str, tuple[DatasetRecord, ...]] = {}
    for record in _records(raw, "sessions", where):
        session = _session(record, where)
        if session.eid in sessions:
            raise broken(where, "each session once", f"{session.eid} twice")
        sessions[session.eid] = session
        datasets[session.eid] = _datasets(
            _records(record, "data_dataset_session_related", where, none=()),
            f"{where}, session {session.eid}",
        )
    insertions: dict[str, list[InsertionRecord]] = {}
    seen: dict[str, str] = {}
    for record in _records(raw, "insertions", where):
        insertion = insertion_record(record, where)
        if insertion.pid in seen:
            both = f"{insertion.pid} of sessions {seen[insertion.pid]} and {insertion.eid}"
            raise broken(where, "each insertion once", both)
        seen[insertion.pid] = insertion.eid
        insertions.setdefault(insertion.eid, []).append(insertion)
    return Snapshot(
        created=str(raw.get("created", "")),
        simulated=raw.get("simulated") is True,
        sessions=sessions,
        datasets=datasets,
        insertions={eid: unique_probes(rows, where) for eid, rows in insertions.items()},
        stacks={
            str(subject): None if names is None else stacks_published(names)
            for subject, names in (raw.get("stacks") or {}).items()
        },
    )


def stacks_published(names: Iterable[str]) -> bool:
    """Return whether the files of a subject's folder of stacks hold both channels.

    Examples
    --------
    >>> stacks_published(["m1_RD.tif", "m1_GR.tif"]), stacks_published(["m1_RD.tif"])
    (True, False)
    """
    listed = [str(n) for n in names]
    return all(any(n.endswith(f"_{c}.tif") for n in listed) for c in ("RD", "GR"))


def insertion_record(record: Mapping[str, Any], where: str) -> InsertionRecord:
    """Turn an insertion in Alyx's JSON form into a record."""
    _require(record, ("id", "session", "name"), where)
    json = record.get("json")
    return InsertionRecord(
        pid=uuid_of(record["id"], where),
        eid=uuid_of(record["session"], where),
        probe=str(record["name"]),
        model=str(record.get("model") or ""),
        serial=str(record.get("serial") or ""),
        json=json if isinstance(json, Mapping) else {},
    )


def unique_probes(rows: list[InsertionRecord], where: str) -> tuple[InsertionRecord, ...]:
    """Sort a session's insertions by probe; two of one name or one id are an error."""
    for attribute in ("probe", "pid"):
        seen = [getattr(r, attribute) for r in rows]
        twice = {s for s in seen if seen.count(s) > 1}
        if twice:
            raise broken(
                f"{where}, session {rows[0].eid}",
                f"insertions of distinct {attribute}",
                f"{min(twice)} twice",
                "Correct the insertion records.",
            )
    return tuple(sorted(rows, key=lambda r: r.probe))


def timestamp(value: object, where: str) -> pd.Timestamp:
    """Parse a record's date and time; one with a zone keeps its local day and hour."""
    stamp = pd.to_datetime(str(value), errors="coerce")
    if pd.isna(stamp):
        raise broken(where, "a date and time", repr(value), "Correct the record.")
    return stamp.tz_localize(None)


def _session(record: Mapping[str, Any], where: str) -> SessionRecord:
    _require(record, ("id", "lab", "subject", "start_time", "number"), where)
    start = timestamp(record["start_time"], f"{where}, session {record['id']}")
    checks = record.get("extended_qc")
    return SessionRecord(
        eid=uuid_of(record["id"], where),
        lab=str(record["lab"]),
        subject=str(record["subject"]),
        date=start.normalize(),
        number=_whole(record["number"], f"{where}, session {record['id']}, number"),
        start_time=start,
        task_protocol=str(record.get("task_protocol") or ""),
        projects=", ".join(record.get("projects") or ()),
        qc=str(record.get("qc") or "unknown"),
        extended_qc=checks if isinstance(checks, Mapping) else {},
    )


def _datasets(records: Iterable[Mapping[str, Any]], where: str) -> tuple[DatasetRecord, ...]:
    made = [_dataset(record, where) for record in records]
    online = {d.path for d in made if d.present}
    # a revision that is nowhere online has no known name: it must not pass for another's file
    return tuple(d for d in made if d.present or d.path not in online)


def _dataset_path(record: Mapping[str, Any], where: str) -> str:
    """Return a dataset's path in its session: Alyx names a revision only in the address."""
    revision = str(record.get("revision") or "")
    if revision and is_uuid_string(revision):
        revision = ""
    parts = [record.get("collection") or "", f"#{revision}#" if revision else "", record["name"]]
    path = check_dataset_path("/".join(p for p in parts if p), where)
    address = unquote(str(record.get("data_url") or "").partition("?")[0])
    online = re.search(r"/\d{4}-\d{2}-\d{2}/\d{1,3}/(.+)", address)
    return check_dataset_path(without_uuid(online[1]), where) if online else path


def _dataset(record: Mapping[str, Any], where: str) -> DatasetRecord:
    _require(record, ("name",), where)
    path = _dataset_path(record, where)
    size = record.get("file_size")
    return DatasetRecord(
        path=path,
        size=None if size is None else _whole(size, f"{where}, {path}, file_size"),
        md5=record.get("hash") or None,
        default_revision=str(record.get("default_revision")) == "True",
        present=record.get("data_url") is not None,
        readable=False,
        version=str(record.get("version") or ""),
        url=str(record.get("data_url") or ""),
    )


def _whole(value: Any, where: str) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise broken(where, "a whole number", repr(value), "Correct the record.") from None


def _records(
    raw: Mapping[str, Any], key: str, where: str, *, none: Sequence[Any] | None = None
) -> Sequence[Mapping[str, Any]]:
    rows = none if raw.get(key) is None else raw[key]
    if not isinstance(rows, list | tuple) or not all(isinstance(r, Mapping) for r in rows):
        raise broken(where, f"a list of records under {key!r}", type(rows).__name__)
    return rows


def _require(record: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    missing = [k for k in keys if record.get(k) in (None, "")]
    if missing:
        raise broken(
            f"{where}, record {record.get('id', '?')}",
            "fields " + ", ".join(keys),
            "no " + ", ".join(missing),
            "Renew the records.",
        )
