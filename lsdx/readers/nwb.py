"""NWB files: the session that one holds, its intervals, and its sorted units as ALF files."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, UUID, uuid5

import numpy as np
import pandas as pd

from lsdx.errors import SourceError, located, missing_package
from lsdx.readers.ephys import METRICS
from lsdx.readers.files import broken
from lsdx.readers.records import SessionRecord

if TYPE_CHECKING:
    from pynwb import NWBFile
    from pynwb.core import DynamicTable

WHOLE = "all"  # phase of what has none, and epoch of a file without any
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_IDS = ("unit_id", "uuid", "cluster_uuid")
_NAMES = ("epoch", "label", "tags", "stimulus_name")  # of an interval, the first that is there
_NO_EVENTS = ("administration", "invalid_times")
_OWN = ("start", "stop", "phase", "kind")  # of every event, whatever columns a table has


@dataclass(frozen=True)
class NwbSession:
    """What one file says of a session, without its spikes.

    ``record`` has no number yet; ``probes`` maps the name of each probe to its insertion id,
    ``sorters`` to its sorter (blank: unknown). ``epochs`` are phase, epoch, start and stop (s).
    ``labelled`` says whether units have a label of bombcell, ``condition`` what was given (blank:
    unknown), ``notes`` what was left out.
    """

    path: Path
    record: SessionRecord
    probes: Mapping[str, str]
    sorters: Mapping[str, str]
    epochs: tuple[tuple[str, str, float, float], ...]
    events: tuple[Mapping[str, str | float], ...]
    condition: str
    labelled: bool
    simulated: bool
    notes: tuple[str, ...]


@dataclass(frozen=True)
class NwbUnits:
    """The units of one probe, as ALF has them.

    ``times`` (n,) s, sorted, and ``clusters`` (n,) of spikes; ``channels`` and ``uuids`` (text,
    None without any) and ``metrics`` of clusters, ``labels`` bombcell's (None without any);
    ``depths`` (um), ``mlapdv`` (m, 3, um from bregma) and ``locations`` of channels, of which the
    last is that of units without a known one.
    """

    times: np.ndarray
    clusters: np.ndarray
    channels: np.ndarray
    uuids: np.ndarray | None
    metrics: pd.DataFrame
    labels: np.ndarray | None
    depths: np.ndarray
    mlapdv: np.ndarray
    locations: np.ndarray


def read_session(path: Path) -> NwbSession | None:
    """Read what a file says of its session; None if it has no units.

    Raises
    ------
    SourceError
        For a file that pynwb cannot read, that names no subject, or whose probes cannot be told
        apart.
    MissingPackage
        Without pynwb.
    """
    with _opened(path) as nwb:
        if nwb.units is None or not len(nwb.units):
            return None
        record = _record(nwb, path)
        notes: list[str] = []
        groups = _groups(nwb, path)
        probes = _probes(nwb, groups, record.eid, path)
        epochs, used = _epochs(nwb, notes)
        if not epochs:
            last = _last_spike(nwb, path)
            epochs = [(WHOLE, WHOLE, 0.0, last)] if last > 0 else []
            notes.append("no epochs: one from 0 to the last spike")
        if not _is_own(nwb) and "x" in (nwb.electrodes.colnames if nwb.electrodes else ()):
            notes.append("coordinates of electrodes left out: their origin is not recorded")
        columns = nwb.units.colnames
        return NwbSession(
            path,
            record,
            probes,
            _sorters(nwb, groups),
            tuple(epochs),
            tuple(_events(nwb, epochs, used, notes)),
            _condition(nwb),
            "bombcell" in columns,
            nwb.session_description.startswith("SIMULATED"),
            tuple(notes),
        )


def read_units(path: Path) -> dict[str, NwbUnits]:
    """Read the sorted units of a file, by probe.

    Raises
    ------
    SourceError
        For a file that pynwb cannot read, and spike times that do not fit the units.
    """
    with _opened(path) as nwb:
        groups = _groups(nwb, path)
        ends = _ends(nwb, path)
        sizes = np.diff(ends, prepend=0)
        times = np.asarray(nwb.units["spike_times"].target.data[:], dtype=np.float64)
        of_spike = np.repeat(np.arange(ends.size), sizes)
        sites = _sites(nwb, path)
        return {
            probe: _units(nwb, np.flatnonzero(groups == probe), times, of_spike, sites)
            for probe in dict.fromkeys(groups)
        }


@contextmanager
def _opened(path: Path) -> Iterator[NWBFile]:
    """Open a file; what is wrong with it is said in one way."""
    try:
        import pynwb
    except ImportError as error:
        raise missing_package("source nwb", "pynwb", "nwb") from error
    try:
        with warnings.catch_warnings():  # of namespaces that are cached in the file and here
            warnings.simplefilter("ignore")
            with pynwb.NWBHDF5IO(path, "r") as io:
                yield io.read()
    except SourceError:
        raise
    except Exception as error:  # of many kinds: of HDF5, of hdmf, of pynwb
        told = str(error).strip().splitlines() or [type(error).__name__]
        raise SourceError(
            located(str(path), "an NWB file", told[0], "Look at it with pynwb.validate.")
        ) from error


def _is_own(nwb: NWBFile) -> bool:
    return str(nwb.source_script or "").startswith("lsdx ")


def _record(nwb: NWBFile, path: Path) -> SessionRecord:
    subject = str(nwb.subject.subject_id or "").strip() if nwb.subject else ""
    if not subject:
        do = "Give it one: without, nobody knows which sessions are of one animal."
        raise SourceError(located(str(path), "a subject with a subject_id", "none", do))
    named = (str(nwb.session_id or ""), str(nwb.identifier or ""))
    ids = [m[0] for m in map(_UUID.search, named) if m]
    eid = str(UUID(ids[0])) if ids else str(uuid5(NAMESPACE_URL, "\n".join((subject, *named))))
    start = pd.Timestamp(nwb.session_start_time.replace(tzinfo=None))
    return SessionRecord(
        eid=eid,
        lab=str(nwb.lab or ""),
        subject=subject,
        date=start.normalize(),
        number=0,
        start_time=start,
        task_protocol=str(nwb.protocol or ""),
    )


def _values(table: DynamicTable, name: str) -> np.ndarray | None:
    """Return a column of numbers or text; None if it is neither, or several values a row."""
    if name not in table.colnames:
        return None
    column = table[name]
    if not hasattr(column, "data") or type(column).__name__ != "VectorData":
        return None
    data = np.asarray(column.data[:])
    if data.ndim != 1:
        return None
    if data.dtype.kind in "OSU":
        texts = [v.decode() if isinstance(v, bytes) else v for v in data.tolist()]
        return np.array(texts, dtype=object) if all(isinstance(v, str) for v in texts) else None
    return data if data.dtype.kind in "fiub" else None


def _first_of(index: Any, n: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the first target of each row of a ragged column, and how many there are."""
    ends = np.asarray(index.data[:], dtype=np.int64)
    size = np.diff(ends, prepend=0)
    if ends.size != n or (size < 0).any() or (ends.size and ends[-1] > len(index.target.data)):
        raise broken(where, f"{n} rows within its target", f"{ends.size} rows of another")
    first = np.asarray(index.target.data[:], dtype=np.int64)
    return np.append(first, -1)[np.minimum(ends - size, first.size)], size


def _ends(nwb: NWBFile, path: Path) -> np.ndarray:
    """Return where the spikes of each unit end."""
    n, where = len(nwb.units), f"{path}, units, spike_times"
    if "spike_times" not in nwb.units.colnames:
        raise broken(where, "spike times", "no column of that name", "Give the units their spikes.")
    column = nwb.units["spike_times"]
    if type(column).__name__ != "VectorIndex":
        raise broken(where, "an index of the spikes of each unit", "none")
    ends = np.asarray(column.data[:], dtype=np.int64)
    held = len(column.target.data)
    if ends.size != n or (np.diff(ends, prepend=0) < 0).any() or (n and ends[-1] != held):
        found = f"{ends.size} ends, the last at {ends[-1] if ends.size else 0} of {held}"
        raise broken(where, f"{n} rising ends of spikes", found, "Write the file again.")
    return ends


def _last_spike(nwb: NWBFile, path: Path) -> float:
    ends = _ends(nwb, path)
    return float(np.max(nwb.units["spike_times"].target.data[:], initial=0)) if ends.size else 0.0


def _sites(nwb: NWBFile, path: Path) -> np.ndarray:
    """Return the row of the electrode of each unit, -1 where it has none or many."""
    n = len(nwb.units)
    if "electrodes" not in nwb.units.colnames or nwb.electrodes is None:
        return np.full(n, -1)
    first, size = _first_of(nwb.units["electrodes"], n, f"{path}, units, electrodes")
    return np.where(size == 1, first, -1)


def _folder(name: str) -> str:
    """Return a probe's name as a folder can have it."""
    return re.sub(r"[^\w.-]", "-", name)


def _groups(nwb: NWBFile, path: Path) -> np.ndarray:
    """Return the name of each unit's probe."""
    units = nwb.units
    n = len(units)
    names = np.full(n, "probe00", dtype=object)
    if "electrode_group" in units.colnames:
        names = np.array([g.name for g in units["electrode_group"].data[:]], dtype=object)
    elif "electrodes" in units.colnames and nwb.electrodes is not None:
        first, size = _first_of(units["electrodes"], n, f"{path}, units, electrodes")
        of_site = np.array([str(v) for v in nwb.electrodes["group_name"].data[:]], dtype=object)
        known = size > 0
        names[known] = of_site[first[known]]
        if not known.all() and len(set(names[known])) == 1:
            names[~known] = names[known][0]
    clean = np.array([_folder(name) for name in names], dtype=object)
    if len(set(clean)) < len(set(names)):
        told = ", ".join(sorted(set(names)))
        raise broken(f"{path}, electrode groups", "names that differ in letters", told)
    return clean


def _probes(nwb: NWBFile, groups: np.ndarray, eid: str, path: Path) -> dict[str, str]:
    """Return the insertion id of each probe: the one that its group tells, or one made of it."""
    told = {_folder(n): g.description for n, g in nwb.electrode_groups.items()}
    found = {
        probe: _UUID.search(str(told.get(probe, ""))) for probe in dict.fromkeys(map(str, groups))
    }
    pids = {
        probe: str(UUID(m[0])) if m else str(uuid5(UUID(eid), probe)) for probe, m in found.items()
    }
    if len(set(pids.values())) < len(pids):
        raise broken(f"{path}, electrode groups", "an insertion id of each", "one twice")
    return pids


def _sorters(nwb: NWBFile, groups: np.ndarray) -> dict[str, str]:
    names = _values(nwb.units, "sorter")
    out = {}
    for probe in dict.fromkeys(map(str, groups)):
        of = set() if names is None else set(map(str, names[groups == probe]))
        (name,) = of if len(of) == 1 else ("",)
        out[probe] = name if re.fullmatch(r"\w[\w.-]*", name) else ""
    return out


def _tables(nwb: NWBFile) -> dict[str, DynamicTable]:
    """Return every table of intervals, by name."""
    named = {"epochs": nwb.epochs, "trials": nwb.trials, **dict(nwb.intervals or {})}
    return {str(name): table for name, table in named.items() if table is not None}


def _epochs(nwb: NWBFile, notes: list[str]) -> tuple[list[tuple[str, str, float, float]], set[str]]:
    """Return the epochs, and the tables that they are from.

    Those of any table with phase and epoch; else the rows of the table ``epochs``.
    """
    tables = _tables(nwb)
    used = {n for n, t in tables.items() if {"phase", "epoch"} <= set(t.colnames)}
    used = {"epochs"} if "epochs" in used else used
    used = used or {"epochs"} & set(tables)
    rows, odd = [], 0
    for name in sorted(used):
        table = tables[name]
        start, stop = (np.asarray(table[n].data[:], float) for n in ("start_time", "stop_time"))
        phases = _values(table, "phase")
        named = zip(_names(table), start, stop, strict=True)
        for i, (epoch, first, last) in enumerate(named):
            if not 0 <= first < last < np.inf:
                odd += 1
                continue
            phase = WHOLE if phases is None else str(phases[i])
            rows.append((phase.strip() or WHOLE, epoch, float(first), float(last)))
    if odd:
        notes.append(f"{odd} epochs without 0 <= start < stop left out")
    seen: dict[tuple[str, str], int] = {}
    for phase, epoch, *_ in rows:
        seen[phase, epoch] = seen.get((phase, epoch), 0) + 1
    nth: dict[tuple[str, str], int] = {}
    for i, (phase, epoch, first, last) in enumerate(rows):
        if seen[phase, epoch] > 1:
            nth[phase, epoch] = nth.get((phase, epoch), 0) + 1
            rows[i] = (phase, f"{epoch}_{nth[phase, epoch]}", first, last)
    return rows, used


def _names(table: DynamicTable) -> list[str]:
    """Name the rows of a table of intervals, by the first column that has names."""
    for column in _NAMES:
        if column == "tags" and column in table.colnames:
            rows = (table["tags"][i] for i in range(len(table)))
            return ["+".join(map(str, row)).strip() or WHOLE for row in rows]
        values = _values(table, column)
        if values is not None and values.dtype.kind == "O":
            return [str(v).strip() or WHOLE for v in values]
    return [f"epoch_{i + 1}" for i in range(len(table))] if len(table) > 1 else [WHOLE] * len(table)


def _events(
    nwb: NWBFile,
    epochs: Sequence[tuple[str, str, float, float]],
    used: set[str],
    notes: list[str],
) -> Iterator[dict[str, str | float]]:
    """Yield the intervals of all other tables, each in the phase of an epoch that holds it."""
    first = np.array([e[2] for e in epochs])
    last = np.array([e[3] for e in epochs])
    for name, table in sorted(_tables(nwb).items()):
        if name in used or name in _NO_EVENTS or not len(table):
            continue
        columns = {str(c): _values(table, c) for c in table.colnames}
        start, stop = columns.pop("start_time"), columns.pop("stop_time")
        if start is None or stop is None:
            notes.append(f"{name}: no times, left out")
            continue
        phases, kinds = columns.pop("phase", None), columns.pop("kind", None)
        odd = sorted(c for c, v in columns.items() if v is None)
        if odd:
            notes.append(f"{name}: {', '.join(odd)} left out, not one value a row")
        held = {c: v for c, v in columns.items() if v is not None and c not in _OWN}
        lost = 0
        for i in range(len(table)):
            a, b = float(start[i]), float(stop[i])
            inside = np.flatnonzero((first <= a) & (a < last))
            phase = str(phases[i]) if phases is not None else ""
            phase = phase or (epochs[int(inside[0])][0] if inside.size else "")
            if not phase or not 0 <= a < np.inf or b < a or np.isinf(b):
                lost += 1
                continue
            kind = str(kinds[i]).strip() if kinds is not None else ""
            row: dict[str, str | float] = {"phase": phase, "kind": kind or name}
            row |= {"start": a, "stop": b}
            row |= {c: v[i] if v.dtype.kind == "O" else float(v[i]) for c, v in held.items()}
            yield row
        if lost:
            notes.append(f"{name}: {lost} of {len(table)} rows in no epoch left out")


def _condition(nwb: NWBFile) -> str:
    table = _tables(nwb).get("administration")
    values = None if table is None else _values(table, "condition")
    given = set() if values is None else {str(v) for v in values}
    if not given and _is_own(nwb):
        given = {(nwb.pharmacology or "").partition(" given")[0]} - {"unknown"}
    return given.pop() if len(given) == 1 else ""


def _units(
    nwb: NWBFile,
    rows: np.ndarray,
    times: np.ndarray,
    of_spike: np.ndarray,
    sites: np.ndarray,
) -> NwbUnits:
    """Take the units of one probe, in the order of their cluster ids where they have such."""
    ids = _values(nwb.units, "cluster_id")
    if ids is not None and np.array_equal(np.sort(ids[rows]), np.arange(rows.size)):
        rows = rows[np.argsort(ids[rows])]
    cluster_of = np.full(len(nwb.units), -1)
    cluster_of[rows] = np.arange(rows.size)
    own = cluster_of[of_spike] if of_spike.size else np.zeros(0, dtype=np.int64)
    mine = own >= 0
    order = np.argsort(times[mine], kind="stable")
    channels = sites[rows]
    electrodes, place = np.unique(channels[channels >= 0], return_inverse=True)
    channels = np.full(rows.size, electrodes.size)
    channels[sites[rows] >= 0] = place.ravel()
    metrics = {name: _values(nwb.units, name) for name in (*METRICS, "ks2_label")}
    held = {
        name: values[rows]
        for name, values in metrics.items()
        if values is not None and (values.dtype.kind == "O") == (name == "ks2_label")
    }
    labels = _values(nwb.units, "bombcell")
    return NwbUnits(
        times=times[mine][order],
        clusters=own[mine][order].astype(np.int64),
        channels=channels,
        uuids=_uuids(nwb, rows),
        metrics=pd.DataFrame({"cluster_id": np.arange(rows.size), **held}),
        labels=None if labels is None or labels.dtype.kind != "O" else labels[rows],
        **_places(nwb, electrodes),
    )


def _uuids(nwb: NWBFile, rows: np.ndarray) -> np.ndarray | None:
    for name in _IDS:
        values = _values(nwb.units, name)
        if values is not None and values.dtype.kind == "O":
            texts = [str(v).strip().lower() for v in values[rows]]
            if all(map(_UUID.fullmatch, texts)) and len(set(texts)) == len(texts):
                return np.array(texts, dtype=object)
    return None


def _places(nwb: NWBFile, electrodes: np.ndarray) -> dict[str, np.ndarray]:
    """Return depth, coordinates and location of electrodes, and of one that is not known."""
    n = electrodes.size
    out = {
        "depths": np.full(n + 1, np.nan),
        "mlapdv": np.full((n + 1, 3), np.nan),
        "locations": np.full(n + 1, "", dtype=object),
    }
    if not n:
        return out
    depth, location = (_values(nwb.electrodes, name) for name in ("rel_y", "location"))
    if depth is not None and depth.dtype.kind in "fiu":
        out["depths"][:n] = depth[electrodes]
    if location is not None and location.dtype.kind == "O":
        out["locations"][:n] = location[electrodes]
    x, y, z = (_values(nwb.electrodes, name) for name in "xyz")
    if _is_own(nwb) and x is not None and y is not None and z is not None:
        # NWB: x posterior, y inferior, z right
        mlapdv = np.column_stack([z, -x, -y]).astype(np.float64)
        out["mlapdv"][:n] = mlapdv[electrodes]
    return out


def numbered(sessions: Sequence[NwbSession]) -> list[NwbSession]:
    """Count the sessions of each subject and day, in order of start."""
    seen: dict[tuple[str, pd.Timestamp], int] = {}
    out = []
    for s in sorted(sessions, key=lambda s: (s.record.start_time, s.record.eid)):
        key = (s.record.subject, s.record.date)
        seen[key] = seen.get(key, 0) + 1
        out.append(replace(s, record=replace(s.record, number=seen[key])))
    return out
