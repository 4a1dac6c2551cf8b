"""NWB files as a source: their sorted units, written as ALF files once they are asked for."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from lsdx import regions
from lsdx.config import Protocol, Settings
from lsdx.errors import SourceError, located
from lsdx.readers.bombcell import KS_LABELS
from lsdx.readers.ephys import NO_PLACE
from lsdx.readers.nwb import NwbSession, NwbUnits, numbered, read_session, read_units
from lsdx.readers.records import DatasetRecord, InsertionRecord
from lsdx.sources.local import LocalFiles

FORM = 1  # of the files that are written here: a higher one writes them anew
_STAMP = "nwb.json"
_FILES = (
    "spikes.times.npy",
    "spikes.clusters.npy",
    "clusters.channels.npy",
    "clusters.depths.npy",
    "clusters.uuids.csv",
    "clusters.metrics.pqt",
    "channels.mlapdv.npy",
    "channels.brainLocationIds_ccf_2017.npy",
)


class NwbSource(LocalFiles):
    """Sessions of NWB files: units, electrodes and intervals.

    Parameters
    ----------
    files : Path
        One file, or a folder in which every ``.nwb`` file is looked for, such as of a dandiset.
    root : Path
        Folder for the ALF files and tables that are made of them.
    settings : Settings
        Names of phases, epochs and conditions that it sets are kept.
    progress : bool
        Whether to show a bar.

    Raises
    ------
    SourceError
        Without any file of units, for two files of one session, and for simulated sessions among
        recorded ones.
    """

    def __init__(
        self, files: Path, root: Path, settings: Settings, *, progress: bool = False
    ) -> None:
        self.files = files
        sessions, notes, problems = _read_all(files, progress)
        simulated = {s.simulated for s in sessions}
        if len(simulated) > 1:
            do = "Keep them in folders apart."
            raise SourceError(located(str(files), "recordings", "simulated ones among them", do))
        self._sessions_of = {s.record.eid: s for s in sessions}
        self.settings = self._filled(settings, root, notes)
        super().__init__(
            root,
            {eid: s.record for eid, s in self._sessions_of.items()},
            {eid: _insertions(s) for eid, s in self._sessions_of.items()},
            {eid: tuple(_datasets(s)) for eid, s in self._sessions_of.items()},
            simulated=simulated == {True},
            notes=tuple(notes),
            problems=problems,
            folders={eid: eid for eid in self._sessions_of},
        )

    def _filled(self, settings: Settings, root: Path, notes: list[str]) -> Settings:
        """Write the tables of epochs and events; return settings that name them."""
        sessions, protocol = list(self._sessions_of.values()), settings.protocol
        columns = ["phase", "epoch", "start", "stop"]
        tables = {s.record.eid: pd.DataFrame(s.epochs, columns=columns) for s in sessions}
        epochs = pd.concat(tables, names=["eid"]).reset_index("eid")
        if settings.epochs is None:
            for name, field in (("phase", "phases"), ("epoch", "epochs")):
                known = getattr(Protocol(), field)
                if getattr(protocol, field) == known and len(epochs):
                    names = tuple(_in_order(epochs[name].tolist(), known))
                    protocol = replace(protocol, **{field: names})
        rows = [{"eid": s.record.eid, **e} for s in sessions for e in s.events]
        events = pd.DataFrame(rows, columns=None if rows else ["eid", "phase"])
        known_phase = events["phase"].isin(protocol.phases)
        named = epochs["phase"].isin(protocol.phases) & epochs["epoch"].isin(protocol.epochs)
        filled: dict[str, Any] = {"protocol": protocol}
        root.mkdir(parents=True, exist_ok=True)
        for key, table, kept in (("epochs", epochs, named), ("events", events, known_phase)):
            if getattr(settings, key) is None:
                if not kept.all():
                    notes.append(f"{(~kept).sum()} {key} that the settings do not name left out")
                if kept.any():
                    filled[key] = root / f"{key}.csv"
                    _write_csv(table[kept], filled[key])
        if not settings.conditions:
            filled["conditions"] = _conditions(sessions, protocol.conditions, notes)
        return replace(settings, **filled)

    @property
    def file_advice(self) -> str:
        """What to do about a file that is not on this machine."""
        return "Look whether the NWB file is still there."

    @property
    def insertion_advice(self) -> str:
        """What to do about a probe without an insertion record."""
        return "Give the units of the NWB file electrodes, whose group is the probe."

    def unreachable(self) -> str:
        """Say why this process cannot read the NWB files; blank if it can."""
        if all(s.path.is_file() for s in self._sessions_of.values()):
            return super().unreachable()
        do = "Keep them, and the folder of the stores, where all workers see them."
        return located(str(self.files), "the NWB files", "none of that name", do)

    def of_session(self, eid: str) -> Self:
        """Return the same source with the records of one session alone."""
        cut = super().of_session(eid)
        cut._sessions_of = {eid: self._sessions_of[eid]}
        return cut

    def fetch(self, eid: str, dataset: DatasetRecord) -> Path:
        """Return the local path of a dataset, written from the NWB file if it must be.

        Raises
        ------
        SourceError
            If the NWB file cannot be read.
        """
        self._write(eid)
        return super().fetch(eid, dataset)

    def extra_file(self, eid: str, path: str) -> Path | None:
        """Return a file of the session's folder that no record lists, None if absent."""
        if self._sessions_of[eid].labelled and path.endswith(KS_LABELS):
            self._write(eid)
        return super().extra_file(eid, path)

    def _write(self, eid: str) -> None:
        """Write the files of a session, unless they are those of its NWB file as it is now."""
        session, folder = self._sessions_of[eid], self.folder(eid)
        try:
            stat = session.path.stat()
        except OSError as error:
            found = f"none at {session.path}"
            raise SourceError(
                located(f"session {eid}", "an NWB file", found, self.file_advice)
            ) from error
        stamp = {"size": stat.st_size, "mtime": stat.st_mtime_ns, "form": FORM}
        if _stamp(folder) == stamp:
            return
        scratch = folder.with_name(f"{folder.name}.{os.getpid()}.unfinished")
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            for probe, units in read_units(session.path).items():
                sorter = session.sorters[probe]
                _write_alf(units, scratch / _collection(probe, sorter))
                if units.labels is not None:
                    place = scratch / "spike_sorters" / (sorter or "unknown") / probe
                    place.mkdir(parents=True)
                    ids = {"cluster_id": units.metrics["cluster_id"], "bc_unitType": units.labels}
                    pd.DataFrame(ids).to_csv(place / KS_LABELS, sep="\t", index=False)
            (scratch / _STAMP).write_text(json.dumps(stamp), encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            scratch.rename(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _read_all(files: Path, progress: bool) -> tuple[list[NwbSession], list[str], dict[str, str]]:
    """Read what all files say of their sessions: sessions, notes, what cannot be read and why."""
    from tqdm import tqdm

    paths = [files] if files.is_file() else sorted(files.rglob("*.nwb"))
    sessions: dict[str, NwbSession] = {}
    notes, problems = [], {}
    for path in tqdm(paths, desc="NWB", unit="file", disable=None if progress else True):
        name = path.name if path == files else path.relative_to(files).as_posix()
        try:
            session = read_session(path)
        except SourceError as error:
            problems[name] = str(error)
            continue
        if session is None:
            notes.append(f"{name}: no units, left out")
            continue
        eid = session.record.eid
        if eid in sessions:
            found = f"{sessions[eid].path.name} and {path.name}"
            do = "Keep one of them in the folder."
            raise SourceError(located(f"{files}, session {eid}", "one file of units", found, do))
        sessions[eid] = session
        notes += [f"{name}: {note}" for note in session.notes]
    if not sessions:
        found = next(iter(problems.values()), f"{len(paths)} NWB files without units")
        raise SourceError(
            located(str(files), "NWB files with units", found, "Pass --cache-dir FOLDER.")
        )
    return numbered(list(sessions.values())), notes, problems


def _in_order(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return each name once: those known in their own order, then others as they come."""
    found = list(dict.fromkeys(names))
    return [n for n in known if n in found] + [n for n in found if n not in known]


def _conditions(
    sessions: Sequence[NwbSession], names: Sequence[str], notes: list[str]
) -> dict[str, tuple[str, ...]]:
    """Return the sessions of each condition that the files tell."""
    told = {s.condition for s in sessions} - {""}
    if other := sorted(told - set(names)):
        notes.append(
            f"conditions {', '.join(other)} are none of {', '.join(names)}: "
            "name them in [protocol] conditions, the drug first"
        )
    return {
        name: tuple(s.record.eid for s in sessions if s.condition == name)
        for name in names
        if name in told
    }


def _insertions(session: NwbSession) -> tuple[InsertionRecord, ...]:
    eid = session.record.eid
    rows = sorted(session.probes.items())
    return tuple(InsertionRecord(pid=pid, eid=eid, probe=probe) for probe, pid in rows)


def _datasets(session: NwbSession) -> list[DatasetRecord]:
    return sorted(
        (
            DatasetRecord(f"{_collection(probe, session.sorters[probe])}/{name}")
            for probe in session.probes
            for name in _FILES
        ),
        key=lambda d: d.path,
    )


def _collection(probe: str, sorter: str) -> str:
    return f"alf/{probe}/{sorter}" if sorter else f"alf/{probe}"


def _stamp(folder: Path) -> Mapping[str, Any] | None:
    try:
        found: Mapping[str, Any] = json.loads((folder / _STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    table.to_csv(scratch, index=False)
    os.replace(scratch, path)


def _write_alf(units: NwbUnits, folder: Path) -> None:
    folder.mkdir(parents=True)
    known = np.isin(units.locations.astype(str), regions.acronyms())
    ids = np.full(known.size, NO_PLACE)
    ids[known] = regions.to_ids(units.locations[known])
    arrays = {
        "spikes.times": units.times,
        "spikes.clusters": units.clusters,
        "clusters.channels": units.channels,
        "clusters.depths": units.depths[units.channels],
        "channels.mlapdv": units.mlapdv,
        "channels.brainLocationIds_ccf_2017": ids,
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    n = units.channels.size
    uuids = np.full(n, "", dtype=object) if units.uuids is None else units.uuids
    pd.DataFrame({"uuids": uuids}).to_csv(folder / "clusters.uuids.csv", index=False)
    units.metrics.to_parquet(folder / "clusters.metrics.pqt")
