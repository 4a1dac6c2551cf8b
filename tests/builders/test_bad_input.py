"""Bad input, end to end: an error or a report line that names it, and never a wrong store.

One cohort is damaged in many sessions, one thing each, and built once. What is stored is
compared with spikes counted here, from the files as they were, by the epochs that the demo
cohort knows to be true.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xarray as xr

from lsdx import cli
from lsdx.builders import build
from lsdx.builders.report import Report
from lsdx.config import Settings
from lsdx.demo import write_cohort
from lsdx.errors import LsdxError, RecipeError, SourceError, StoreNotFound
from lsdx.store.openers import (
    open_counts,
    open_epochs,
    open_events,
    open_insertions,
    open_sessions,
    open_spikes,
    open_units,
)
from lsdx.store.place import Place

pytestmark = pytest.mark.usefixtures("without_behavior")

PHASES, EPOCHS = ("pre", "post"), ("spontaneous", "rfm", "replay")
EVERYWHERE = tuple((p, e) for p in PHASES for e in EPOCHS)
TICKS, WIDTH = 100_000, 10_000
TIMES, CLUSTERS = "spikes.times.npy", "spikes.clusters.npy"
AMPS, SPIKE_DEPTHS = "spikes.amps.npy", "spikes.depths.npy"
CHANNELS, DEPTHS = "clusters.channels.npy", "clusters.depths.npy"
UUIDS, METRICS = "clusters.uuids.csv", "clusters.metrics.pqt"
IDS = "channels.brainLocationIds_ccf_2017.npy"
SETTINGS = "_iblrig_taskSettings.raw.json"
INTERVALS = "_ibl_passivePeriods.intervalsTable.csv"
GABORS, STIMS = "_ibl_passiveGabor.table.csv", "_ibl_passiveStims.table.csv"

Edit = Callable[[bytes], bytes]
Places = tuple[tuple[str, str], ...]


# ---- a cohort to damage ---------------------------------------------------------------------


class Cache:
    """A copy of a demo cohort whose files and records can be changed, and put back."""

    def __init__(self, pristine: Path, root: Path) -> None:
        self.pristine, self.root = pristine, root
        shutil.copytree(pristine, root, copy_function=os.link)
        self.tables = {n: pd.read_parquet(root / f"{n}.pqt") for n in ("sessions", "datasets")}
        self.tables["insertions"] = pd.read_parquet(root / "insertions.pqt")
        self.snapshot = json.loads((root / "alyx_records.json").read_text())
        truth = json.loads((root / "truth.json").read_text())["sessions"]
        self.sessions = [Session(self, each) for each in truth]

    def put(self, path: str, content: bytes | None) -> Path:
        """Return a file other content (None: remove it); the original is a link, and stays."""
        place = self.root / path
        place.unlink(missing_ok=True)
        if content is not None:
            place.write_bytes(content)
        return place

    def save(self, *, origin: str | None = None) -> Cache:
        """Write the tables and the snapshot as they were changed."""
        for name, table in self.tables.items():
            old = pq.read_schema(self.pristine / f"{name}.pqt").metadata
            stated = json.loads(old[b"one_metadata"])
            stated = json.dumps(stated | ({"origin": origin} if origin else {}))
            arrow = pa.Table.from_pandas(table.sort_index())
            metadata = {**arrow.schema.metadata, b"one_metadata": stated.encode()}
            (self.root / f"{name}.pqt").unlink()
            pq.write_table(arrow.replace_schema_metadata(metadata), self.root / f"{name}.pqt")
        self.put("alyx_records.json", json.dumps(self.snapshot).encode())
        return self

    def settings(self, stores: Path, **changed: Any) -> Settings:
        return Settings(source="cache", cache_dir=self.root, stores=stores, **changed)

    def build(self, stores: Path, *, sessions: Any = (), **changed: Any) -> Report:
        return build(self.settings(stores, **changed), sessions=sessions, progress=False)


@dataclass(frozen=True)
class Session:
    """One session of a cohort: what is true of it, and what its files can be turned into."""

    cache: Cache
    truth: dict[str, Any]

    @property
    def eid(self) -> str:
        return str(self.truth["eid"])

    @property
    def folder(self) -> str:
        return str(self.truth["path"])

    def sorting(self, probe: str) -> str:
        (found,) = (i for i in self.truth["insertions"] if i["name"] == probe)
        revision = f"/#{found['revision']}#" if found["revision"] else ""
        return f"alf/{probe}/{found['sorter']}{revision}"

    def pid(self, probe: str) -> str:
        (found,) = (i["pid"] for i in self.truth["insertions"] if i["name"] == probe)
        return str(found)

    def run_file(self, phase: str, name: str) -> str:
        post = 2 if "filler_run" in self.truth["oddities"] else 1
        folder = "raw_task_data" if name == SETTINGS else "alf/task"
        return f"{folder}_{0 if phase == 'pre' else post:02d}/{name}"

    def read(self, path: str) -> bytes:
        """Return a file as it was."""
        return (self.cache.pristine / self.folder / path).read_bytes()

    def load(self, probe: str, name: str) -> np.ndarray:
        return np.asarray(np.load(self.cache.pristine / self.folder / self.sorting(probe) / name))

    def records(self, *paths: str, **changed: Any) -> None:
        """Change the records of files (none: of all that are on disk), in table and snapshot."""
        table = self.cache.tables["datasets"]
        mine = (table.index.get_level_values(0) == self.eid) & table["exists"]
        if paths:
            mine &= table["rel_path"].isin(paths)
            assert mine.sum() == len(paths)
        for column, value in changed.items():
            table.loc[mine, column] = value
        ids = set(table.index.get_level_values(1)[mine])
        names = {"file_size": "file_size", "hash": "hash", "default_revision": "default_revision"}
        for each in self.cache.snapshot["sessions"]:
            for record in each["data_dataset_session_related"]:
                if record["id"] in ids:
                    for column, value in changed.items():
                        if column in names:
                            record[column] = str(value) if isinstance(value, bool) else value

    def edit(self, path: str, change: Edit | None, *, recorded: bool = True) -> None:
        """Change a file; ``recorded``: its record then states the new size and md5."""
        new = None if change is None else change(self.read(path))
        self.cache.put(f"{self.folder}/{path}", new)
        if recorded and new is not None:
            self.records(path, file_size=len(new), hash=hashlib.md5(new).hexdigest())

    def remove(self, path: str) -> None:
        """Take a file away, and say so in its record."""
        self.edit(path, None)
        self.records(path, exists=False)

    def spike_counts(self) -> dict[tuple[str, int], np.ndarray]:
        """Count each cluster's spikes in each epoch, from the files as they were."""
        counts = {}
        for insertion in self.truth["insertions"]:
            if not insertion["n_spikes"]:
                continue
            times, clusters = (self.load(insertion["name"], n) for n in (TIMES, CLUSTERS))
            ticks = np.rint(times * TICKS).astype(np.int64)
            for cluster in range(insertion["n_clusters"]):
                mine = ticks[clusters == cluster]
                spans = [[self.truth["epochs"][p][e] for e in EPOCHS] for p in PHASES]
                counts[insertion["pid"], cluster] = np.array(
                    [[_count(mine, span, times[-1]) for span in row] for row in spans]
                )
        return counts


def _count(ticks: np.ndarray, span: dict[str, Any], last: float) -> float:
    """Count in whole bins; NaN for an epoch that the recording does not reach."""
    if span["stop"] > last + 1:
        return np.nan
    start, stop = (int(np.rint(span[k] * TICKS)) for k in ("start", "stop"))
    stop = start + (stop - start + 1) // WIDTH * WIDTH
    return float(np.diff(np.searchsorted(ticks, [start, stop]))[0])


# ---- edits of a file's bytes ----------------------------------------------------------------


def _npy(change: Callable[[np.ndarray], np.ndarray]) -> Edit:
    def edit(old: bytes) -> bytes:
        array = change(np.load(io.BytesIO(old)))
        new = io.BytesIO()
        np.save(new, array)
        return new.getvalue()

    return edit


def _set(place: int, value: float) -> Edit:
    def change(array: np.ndarray) -> np.ndarray:
        array[place] = value
        return array

    return _npy(change)


def _pqt(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Edit:
    def edit(old: bytes) -> bytes:
        return bytes(change(pd.read_parquet(pa.BufferReader(old))).to_parquet())

    return edit


def _lines(change: Callable[[list[str]], list[str]]) -> Edit:
    return lambda old: "".join(change(old.decode().splitlines(keepends=True))).encode()


def _cell(row: str, column: str, value: object) -> Edit:
    """Set one cell of a table of intervals."""

    def edit(old: bytes) -> bytes:
        table = pd.read_csv(pa.BufferReader(old), index_col=0)
        table.loc[row, column] = value
        return table.to_csv(lineterminator="\n").encode()

    return edit


def _empty(old: bytes) -> bytes:
    return b""


class Bomb:
    """Touches a file when unpickled."""

    trace: Path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.trace,)


def _bomb(old: bytes) -> bytes:
    new = io.BytesIO()
    np.save(new, np.array([Bomb()] * 3, dtype=object), allow_pickle=True)
    return new.getvalue()


# ---- what is done to a session, and what is to come of it -----------------------------------


@dataclass(frozen=True)
class Damage:
    """One thing wrong with a session.

    ``words`` must all stand in one line of failure, beside the session's id (none: nothing
    fails); ``lost`` are the probes not stored; ``unseen`` the epochs without counts;
    ``missing`` those of them without times, ``moved`` those with other times than the true
    ones; ``flags`` what the store says of an epoch.
    """

    apply: Callable[[Session], None]
    words: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    unseen: Places = ()
    missing: Places = ()
    moved: Places = ()
    flags: Mapping[tuple[str, str], str] = field(default_factory=dict)


OfProbe = Callable[[str], Damage]


def of_probe(file: str, change: Edit | None, *words: str, recorded: bool = True) -> OfProbe:
    """Damage a file of a probe's sorting: that probe is lost, the other one is whole."""

    def damage(probe: str) -> Damage:
        def apply(session: Session) -> None:
            session.edit(f"{session.sorting(probe)}/{file}", change, recorded=recorded)

        return Damage(apply, (f"alf/{probe}/", file, *words), lost=(probe,))

    return damage


def of_run(phase: str, file: str, change: Edit | None, missing: Places) -> Damage:
    """Damage a file of a run: the epochs that it alone tells have no times."""

    def apply(session: Session) -> None:
        session.edit(session.run_file(phase, file), change)

    return Damage(apply, (file,), unseen=missing, missing=missing)


def _drop_insertion(probe: str) -> Damage:
    def apply(session: Session) -> None:
        cache, pid = session.cache, session.pid(probe)
        table = cache.tables["insertions"]
        cache.tables["insertions"] = table[table.index.get_level_values("id") != pid]
        rows = cache.snapshot["insertions"]
        cache.snapshot["insertions"] = [r for r in rows if r["id"] != pid]

    return Damage(apply, (probe, "insertion"), lost=(probe,))


def _depths_not_downloaded(probe: str) -> Damage:
    def apply(session: Session) -> None:
        session.remove(f"{session.sorting(probe)}/{DEPTHS}")

    return Damage(apply, (f"alf/{probe}/", DEPTHS), lost=(probe,))


def _two_defaults(session: Session) -> None:
    older = session.sorting("probe01").partition("/#")[0]
    session.records(f"{older}/{TIMES}", default_revision=True)


def _mask_of_other_spikes(session: Session) -> None:
    folder = "spike_sorters/iblsorter/probe00"
    for path in ("spike_clusters.npy", "bombcell/spikes._bc_duplicateSpikes.npy"):
        session.edit(f"{folder}/{path}", _npy(lambda a: a[:-1]), recorded=False)


def _uuid_of_the_other_probe(session: Session) -> None:
    uuid = session.read(f"{session.sorting('probe00')}/{UUIDS}").decode().splitlines()[1]
    change = _lines(lambda rows: [rows[0], f"{uuid}\n", *rows[2:]])
    session.edit(f"{session.sorting('probe01')}/{UUIDS}", change)


def _late_gabor(session: Session) -> None:
    end = session.truth["recording_end"] + 100

    def change(rows: list[str]) -> list[str]:
        start, _, *rest = rows[-1].split(",")
        return [*rows[:-1], ",".join([start, str(end), *rest])]

    session.edit(session.run_file("post", GABORS), _lines(change))


def _post_rfm(row: str, after: tuple[str, str], seconds: float) -> Callable[[Session], None]:
    """Put one edge of an epoch so many seconds after an edge of another."""

    def apply(session: Session) -> None:
        epoch, edge = after
        value = session.truth["epochs"]["post"][epoch][edge] + seconds
        session.edit(session.run_file("post", INTERVALS), _cell(row, "RFM", value))

    return apply


def _shorter_metrics(session: Session) -> None:
    session.edit(f"{session.sorting('probe01')}/{METRICS}", _pqt(lambda t: t.iloc[1:]))


def _unknown_region(session: Session) -> None:
    channel = int(session.load("probe01", CHANNELS)[0])
    session.edit(f"{session.sorting('probe01')}/{IDS}", _set(channel, 99_999_999))


def _settings_not_downloaded(session: Session) -> None:
    session.remove(session.run_file("pre", SETTINGS))


PRE, POST = (tuple((p, e) for e in EPOCHS) for p in PHASES)
POST_RFM, POST_REPLAY = (("post", "rfm"),), (("post", "replay"),)
OF_PROBE: dict[str, OfProbe] = {
    "truncated npy": of_probe(TIMES, lambda old: old[:-100]),
    "zero-byte npy": of_probe(CLUSTERS, _empty),
    "wrong md5": of_probe(
        TIMES, lambda old: old[:-1] + bytes([old[-1] ^ 1]), "md5", recorded=False
    ),
    "wrong size": of_probe(CHANNELS, lambda old: old + b"\n", "bytes", recorded=False),
    "spikes of different length": of_probe(CLUSTERS, _npy(lambda a: a[:-1]), TIMES),
    "NaN times": of_probe(TIMES, _set(5, np.nan)),
    "negative times": of_probe(TIMES, _set(0, -1.5), "-1.5"),
    "unsorted times": of_probe(TIMES, _npy(lambda a: np.r_[a[5:], a[:5]])),
    "cluster beyond the table": of_probe(CLUSTERS, _set(3, 900), "900"),
    "channel beyond the probe": of_probe(CHANNELS, _set(0, 384), "384"),
    "pickled object array": of_probe(TIMES, _bomb),
    "metrics of a cluster that does not exist": of_probe(
        METRICS, _pqt(lambda t: pd.concat([t, t.iloc[:1].assign(cluster_id=900)])), "900"
    ),
    "zero-byte pqt": of_probe(METRICS, _empty),
    "zero-byte csv": of_probe(UUIDS, _empty),
    "uuids too short": of_probe(UUIDS, _lines(lambda rows: rows[:-1])),
    "a uuid twice in a probe": of_probe(UUIDS, _lines(lambda rows: [*rows[:-1], rows[1]])),
    "listed but not on disk": of_probe(CLUSTERS, None),
    "a needed file not downloaded": _depths_not_downloaded,
    "insertion record missing": _drop_insertion,
}
OF_SESSION = {
    "empty intervals": of_run("post", INTERVALS, _lines(lambda rows: rows[:1]), POST),
    "zero-byte intervals": of_run("pre", INTERVALS, _empty, PRE),
    "intervals that another run needs": of_run(
        "pre", INTERVALS, _lines(lambda rows: rows[:2]), EVERYWHERE
    ),
    "text in a gabor table": of_run(
        "pre",
        GABORS,
        _lines(lambda rows: [*rows[:3], rows[3].replace(",", ",soon", 1), *rows[4:]]),
        (("pre", "replay"),),
    ),
    "gabors listed but not on disk": of_run("post", GABORS, None, POST_REPLAY),
    "a zero-byte table of stimuli": of_run("post", STIMS, _empty, ()),
    "truncated settings": of_run("post", SETTINGS, lambda old: old[:40], EVERYWHERE),
    "settings listed but not on disk": of_run("pre", SETTINGS, None, EVERYWHERE),
    # epochs that cannot be: kept, with a flag, and not observed
    "an epoch past the last spike": Damage(
        _late_gabor,
        unseen=POST_REPLAY,
        moved=POST_REPLAY,
        flags={("post", "replay"): "past_end:probe00 past_end:probe01"},
    ),
    "overlapping epochs": Damage(
        _post_rfm("start", ("spontaneous", "stop"), -10),
        unseen=EVERYWHERE,
        moved=POST_RFM,
        flags={("post", "rfm"): "overlap"},
    ),
    "an epoch that stops before it starts": Damage(
        _post_rfm("stop", ("rfm", "start"), -1),
        unseen=POST_RFM,
        moved=POST_RFM,
        flags={("post", "rfm"): "bounds"},
    ),
    "an epoch that is blank": Damage(
        _post_rfm("start", ("rfm", "start"), np.nan), unseen=POST_RFM, missing=POST_RFM
    ),
    # and what concerns a session's sorting as a whole
    "two default revisions": Damage(_two_defaults),  # the newest is read, and said
    "a duplicate mask of other spikes": Damage(
        _mask_of_other_spikes, ("probe00", "spikes._bc_duplicateSpikes.npy"), lost=("probe00",)
    ),
    "a uuid twice across probes": Damage(
        _uuid_of_the_other_probe, (UUIDS, "twice"), lost=("probe00", "probe01")
    ),
    "metrics of another length": Damage(_shorter_metrics),
    "an unknown region id": Damage(_unknown_region),
    "no md5 in the records": Damage(lambda session: session.records(hash=None)),
}
# Which session gets what. Whatever is wrong in one place of a session, the rest of it is right.
HOSTS: dict[int, tuple[str, ...]] = {
    1: ("intervals that another run needs",),
    2: ("a duplicate mask of other spikes",),
    3: ("two default revisions",),
    # index 7 and on are ordinary sessions: the first two of these are of probe00 and probe01
    7: ("zero-byte npy", "wrong size", "gabors listed but not on disk"),
    8: ("spikes of different length", "negative times", "a zero-byte table of stimuli"),
    9: ("unsorted times", "zero-byte pqt", "an epoch that is blank"),
    10: ("uuids too short", "cluster beyond the table", "zero-byte intervals"),
    11: ("a uuid twice in a probe", "zero-byte csv"),
    12: ("a needed file not downloaded", "channel beyond the probe"),
    13: ("", "truncated npy", "text in a gabor table"),
    14: ("wrong md5", "", "settings listed but not on disk"),
    15: ("", "NaN times", "an epoch that stops before it starts"),
    16: ("pickled object array", ""),
    17: ("", "metrics of a cluster that does not exist"),
    18: ("listed but not on disk", "", "truncated settings"),
    19: ("", "insertion record missing", "empty intervals"),
    20: ("metrics of another length", "overlapping epochs"),
    21: ("an unknown region id", "an epoch past the last spike"),
    22: ("no md5 in the records",),
    23: ("a uuid twice across probes",),
}
ONE_RUN_UNKNOWN = 24
WHOLE = (0, 4, 5, 6)
MENDED = (7, 14, 19, 23)
DAMAGES: dict[str, tuple[int, Damage]] = {
    name: (host, OF_SESSION[name] if name in OF_SESSION else OF_PROBE[name](f"probe{i:02d}"))
    for host, names in HOSTS.items()
    for i, name in enumerate(names)
    if name
}


def test_every_damage_has_its_session() -> None:
    assert set(DAMAGES) == {*OF_PROBE, *OF_SESSION}
    assert set(HOSTS) | {ONE_RUN_UNKNOWN, *WHOLE} == set(range(25))


@dataclass
class World:
    """The damaged cohort, built."""

    cache: Cache
    report: Report
    stores: Path
    counts: xr.Dataset
    epochs: xr.Dataset
    insertions: xr.Dataset
    bomb: Path

    def session(self, name: str) -> Session:
        return self.cache.sessions[DAMAGES[name][0]]

    def of(self, session: Session) -> list[Damage]:
        """List all that is wrong with a session."""
        return [d for host, d in DAMAGES.values() if host == session.truth["index"]]

    def reasons(self, session: Session, status: str = "") -> list[str]:
        lines = [x for x in self.report.lines if x.session == session.eid]
        return [x.reason for x in lines if status in ("", x.status)]

    def units(self, session: Session, probe: str) -> xr.Dataset:
        units = open_units(self.stores)
        return units.isel(unit=units["insertion"].values == session.pid(probe))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("bad")
    cache = Cache(write_cohort(folder / "pristine", n_sessions=25, n_units=8), folder / "cache")
    Bomb.trace = folder / "bomb"
    for host, damage in DAMAGES.values():
        damage.apply(cache.sessions[host])
    _settings_not_downloaded(cache.sessions[ONE_RUN_UNKNOWN])
    stores = folder / "stores"
    report = cache.save().build(stores)
    return World(
        cache,
        report,
        stores,
        open_counts(stores).compute(),
        open_epochs(stores),
        open_insertions(stores),
        Bomb.trace,
    )


# ---- one test for each ----------------------------------------------------------------------


@pytest.mark.parametrize("name", DAMAGES)
def test_the_report_names_it(world: World, name: str) -> None:
    session, damage = world.session(name), DAMAGES[name][1]
    words = [session.eid, *damage.words]
    told = [r for r in world.reasons(session, "failed") if all(word in r for word in words)]
    assert not damage.words or len(told) == 1, world.reasons(session)
    for flags in damage.flags.values():
        assert flags in "; ".join(world.reasons(session))


@pytest.mark.parametrize("host", [*HOSTS, *WHOLE])
def test_nothing_else_fails(world: World, host: int) -> None:
    session = world.cache.sessions[host]
    damages = world.of(session)
    expected = sum(bool(damage.words) for damage in damages)
    probes = {insertion["name"] for insertion in session.truth["insertions"]}
    unread = {damage.lost[0] for damage in damages if len(damage.lost) == 1}
    if probes and probes <= unread:
        expected += 4  # its units, spikes, quality and counts could not be made
    assert len(world.reasons(session, "failed")) == expected


@pytest.mark.parametrize("host", [*HOSTS, *WHOLE])
def test_counts_are_right_or_not_there(world: World, host: int) -> None:
    """What is stored is what is counted here from the files as they were, but for what is lost."""
    session = world.cache.sessions[host]
    lost = {session.pid(p) for damage in world.of(session) for p in damage.lost}
    expected = {k: v for k, v in session.spike_counts().items() if k[0] not in lost}
    for phase, epoch in {place for damage in world.of(session) for place in damage.unseen}:
        for counts in expected.values():
            counts[PHASES.index(phase), EPOCHS.index(epoch)] = np.nan
    mine = world.counts.isel(unit=world.counts["session"].values == session.eid)
    pairs = zip(mine["insertion"].values, mine["cluster_id"].values.tolist(), strict=True)
    found = dict(zip(pairs, mine["n_spikes"].values, strict=True))
    assert set(found) == set(expected)
    for key, counts in expected.items():
        np.testing.assert_array_equal(found[key], counts)
        observed = world.insertions["observed"].sel(insertion=key[0]).values
        np.testing.assert_array_equal(observed, np.isfinite(counts))
    sums = mine["counts"].astype("float64").sum("time", min_count=1)
    np.testing.assert_array_equal(sums.values, mine["n_spikes"].values)


@pytest.mark.parametrize("host", [h for h in (*HOSTS, *WHOLE) if h != 23])
def test_epochs_are_right_or_say_why_not(world: World, host: int) -> None:
    session = world.cache.sessions[host]
    row = world.epochs.sel(session=session.eid)
    missing = {place for damage in world.of(session) for place in damage.missing}
    moved = {place for damage in world.of(session) for place in damage.moved}
    flags = {k: v for damage in world.of(session) for k, v in damage.flags.items()}
    early = "ends_early" in session.truth["oddities"]
    flags |= {("post", "replay"): "past_end:probe01"} if early else {}
    flags |= {("post", "spontaneous"): "cut"} if host == 5 else {}
    for phase, epoch in EVERYWHERE:
        cell = row.sel(phase=phase, epoch=epoch)
        true = session.truth["epochs"][phase][epoch]
        times = [cell["start"].item(), cell["stop"].item()]
        if (phase, epoch) in missing:
            assert np.isnan(times).all()
            assert cell["provenance"].item() == "missing"
            continue
        assert cell["flags"].item() == flags.get((phase, epoch), "")
        if (phase, epoch) not in moved:
            assert times == pytest.approx([true["start"], true["stop"]], abs=1e-5)


@pytest.mark.parametrize("name", [n for n, (_, damage) in DAMAGES.items() if damage.lost])
def test_a_lost_probe_has_nothing(world: World, name: str) -> None:
    session, damage = world.session(name), DAMAGES[name][1]
    pids = {session.pid(probe) for probe in damage.lost}
    for pid in pids & set(world.insertions["insertion"].values):
        row = world.insertions.sel(insertion=pid)
        # not known, which is not none
        assert (row["n_units"].item(), row["n_spikes"].item()) == (-1, -1)
        assert row["sorter"].item() == ""
        assert not row["observed"].any()
    for ds in (open_units(world.stores), open_spikes(world.stores)):
        assert not pids & set(ds["insertion"].values)


def test_only_an_unrecorded_probe_has_no_row(world: World) -> None:
    recorded = {
        session.pid(i["name"])
        for session in world.cache.sessions
        for i in session.truth["insertions"]
        if session.truth["index"] != 23
    }
    unrecorded = world.session("insertion record missing").pid("probe01")
    assert set(world.insertions["insertion"].values) == recorded - {unrecorded}


def test_a_session_whose_units_clash_is_not_stored_at_all(world: World) -> None:
    eid = world.session("a uuid twice across probes").eid
    for ds in (world.epochs, world.insertions, open_sessions(world.stores)):
        assert eid not in ds["session"].values
    assert all(eid not in by_session for by_session in Place(world.stores).catalog().parts.values())


def test_the_pickle_was_never_run(world: World) -> None:
    assert not world.bomb.exists()
    pickle.loads(pickle.dumps(Bomb()))
    assert world.bomb.exists()
    world.bomb.unlink()


def test_stimuli_that_cannot_be_read_are_not_stored(world: World) -> None:
    session = world.session("a zero-byte table of stimuli")
    events = open_events(world.stores)
    mine = events.isel(event=events["session"].values == session.eid)
    kinds = set(zip(mine["phase"].values, mine["kind"].values, strict=True))
    assert kinds == {("pre", k) for k in ("gabor", "valve", "tone", "noise")} | {("post", "gabor")}


def test_metrics_of_another_length_are_joined_on_the_cluster(world: World) -> None:
    session = world.session("metrics of another length")
    table = pd.read_parquet(
        pa.BufferReader(session.read(f"{session.sorting('probe01')}/{METRICS}"))
    )
    dropped, *kept = table["cluster_id"].tolist()
    units = world.units(session, "probe01")
    found = dict(zip(units["cluster_id"].values.tolist(), units["amp_max"].values, strict=True))
    assert np.isnan(found[dropped])
    expected = table.set_index("cluster_id")["amp_max"]
    assert {c: found[c] for c in kept} == {c: expected[c] for c in kept}


def test_an_unknown_region_is_blank(world: World) -> None:
    session = world.session("an unknown region id")
    channels = session.load("probe01", CHANNELS)
    units = world.units(session, "probe01")
    blank = channels[units["cluster_id"].values] == channels[0]
    assert 0 < blank.sum() < blank.size
    for name in ("region", "beryl", "cosmos", "swanson", "group", "histology"):
        np.testing.assert_array_equal(units[name].values == "", blank)


def test_an_unknown_region_is_told_with_its_file(world: World) -> None:
    session = world.session("an unknown region id")
    (reason,) = (r for r in world.reasons(session, "built") if "99999999" in r)
    assert f"{session.sorting('probe01')}/{IDS}" in reason


def test_no_run_is_mistaken_for_another(world: World) -> None:
    """The settings of the first run are not on disk: which run is the first nobody knows."""
    session = world.cache.sessions[ONE_RUN_UNKNOWN]
    row = world.epochs.sel(session=session.eid)
    for phase, epoch in EVERYWHERE:
        start = row["start"].sel(phase=phase, epoch=epoch).item()
        true = session.truth["epochs"][phase][epoch]["start"]
        assert np.isnan(start) or start == pytest.approx(true, abs=1e-5)


def test_settings_that_were_not_downloaded_are_told(world: World) -> None:
    session = world.cache.sessions[ONE_RUN_UNKNOWN]
    assert any(session.run_file("pre", SETTINGS) in r for r in world.reasons(session))


# ---- mended ---------------------------------------------------------------------------------


@dataclass
class Mended:
    """Stores built again once some sessions were mended; and those that never saw a damage."""

    report: Report
    stores: Path
    undisturbed: Path
    eids: list[str]


@pytest.fixture(scope="module")
def mended(world: World) -> Mended:
    folder, pristine = world.stores.parent, world.cache.pristine
    eids = [world.cache.sessions[i].eid for i in (*MENDED, WHOLE[0])]
    undisturbed = Settings(source="cache", cache_dir=pristine, stores=folder / "undisturbed")
    build(undisturbed, sessions=eids, progress=False)
    shutil.copytree(world.stores, folder / "again", copy_function=os.link)
    report = Cache(pristine, folder / "healed").build(folder / "again", sessions=eids)
    return Mended(report, folder / "again", folder / "undisturbed", eids)


def test_a_mended_session_is_built_whole(mended: Mended) -> None:
    assert not mended.report.failed
    assert {line.session for line in mended.report.lines} == {*mended.eids, "all"}
    found, expected = (
        Place(mended.stores).catalog().parts,
        Place(mended.undisturbed).catalog().parts,
    )
    assert set(found) == set(expected)
    for name, by_session in expected.items():
        assert {e: found[name][e] for e in mended.eids if e in found[name]} == by_session


def test_a_mended_session_counts_as_if_nothing_had_been(mended: Mended) -> None:
    expected = open_counts(mended.undisturbed).compute()
    counts = open_counts(mended.stores)
    counts = counts.isel(unit=np.isin(counts["session"].values.astype(str), mended.eids)).compute()
    assert expected.sizes["unit"] > 40
    width = expected.sizes["time"]
    assert counts["counts"].isel(time=slice(width, None)).isnull().all()
    xr.testing.assert_equal(counts.isel(time=slice(width)), expected)


def test_a_session_left_alone_is_as_in_a_build_without_damage(world: World, mended: Mended) -> None:
    eid = world.cache.sessions[WHOLE[0]].eid
    damaged, clean = Place(world.stores).catalog().parts, Place(mended.undisturbed).catalog().parts
    assert set(damaged) == set(clean)
    for name, by_session in clean.items():
        assert damaged[name][eid] == by_session[eid]


# ---- what stops a build, or must not --------------------------------------------------------


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    return write_cohort(folder / "pristine", n_sessions=2, n_units=4)


@pytest.fixture(scope="module")
def built(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores of the small cohort, undisturbed: copy before use."""
    stores = tmp_path_factory.mktemp("built") / "stores"
    report = build(Settings(source="cache", cache_dir=pristine, stores=stores), progress=False)
    assert not report.failed
    return stores


@pytest.fixture
def cache(pristine: Path, tmp_path: Path) -> Cache:
    return Cache(pristine, tmp_path / "cache")


@pytest.fixture
def stores(tmp_path: Path) -> Path:
    return tmp_path / "stores"


def stopped(cache: Cache, stores: Path, **options: Any) -> str:
    """The message of the error that stops a build; nothing is published then."""
    with pytest.raises(LsdxError) as caught:
        cache.build(stores, **options)
    assert not (stores / "catalog.json").exists()
    return str(caught.value)


def failure(cache: Cache, stores: Path) -> str:
    """What is wrong, be it an error or lines of the report."""
    try:
        report = cache.build(stores)
    except LsdxError as error:
        assert not (stores / "catalog.json").exists()
        return str(error)
    return "\n".join(line.reason for line in report.lines if line.status == "failed")


def test_a_uuid_twice_across_sessions_is_told(cache: Cache, stores: Path) -> None:
    first, second = cache.sessions
    uuid = first.read(f"{first.sorting('probe00')}/{UUIDS}").decode().splitlines()[1]
    change = _lines(lambda rows: [rows[0], f"{uuid}\n", *rows[2:]])
    second.edit(f"{second.sorting('probe00')}/{UUIDS}", change)
    message = failure(cache.save(), stores)
    assert uuid in message
    assert first.eid in message or second.eid in message


def test_an_insertion_of_two_sessions_is_told(cache: Cache, stores: Path) -> None:
    first, second = cache.sessions
    mine, theirs = (s.truth["insertions"][0]["pid"] for s in (first, second))
    for record in cache.snapshot["insertions"]:
        if record["id"] == theirs:
            record["id"] = mine
    message = failure(cache.save(), stores)
    assert mine in message
    assert first.eid in message or second.eid in message


def test_two_insertions_of_one_name_are_told(cache: Cache, stores: Path) -> None:
    eid = cache.sessions[0].eid
    for record in cache.snapshot["insertions"]:
        if record["session"] == eid:
            record["name"] = "probe00"
    message = failure(cache.save(), stores)
    assert eid in message
    assert "probe00" in message


@pytest.mark.parametrize("where", ["table", "snapshot"])
@pytest.mark.parametrize("path", ["../../secret/spikes.times.npy", "/etc/spikes.times.npy"])
def test_a_dataset_outside_its_session_stops_the_build(
    cache: Cache, stores: Path, where: str, path: str
) -> None:
    session = cache.sessions[1]
    if where == "table":
        table = cache.tables["datasets"]
        row = np.flatnonzero(table.index.get_level_values(0) == session.eid)[0]
        table.iloc[row, table.columns.get_loc("rel_path")] = path
    else:
        (each,) = (s for s in cache.snapshot["sessions"] if s["id"] == session.eid)
        each["data_dataset_session_related"][0]["collection"] = path.rpartition("/")[0]
        each["data_dataset_session_related"][0]["name"] = path.rpartition("/")[2]
    message = stopped(cache.save(), stores)
    assert session.eid in message
    assert path in message
    assert not stores.exists()


@pytest.mark.parametrize("content", [None, b"", b"PAR1"])
@pytest.mark.parametrize("name", ["sessions.pqt", "datasets.pqt"])
def test_a_table_that_is_missing_or_damaged_stops_the_build(
    cache: Cache, stores: Path, name: str, content: bytes | None
) -> None:
    cache.put(name, content)
    message = stopped(cache, stores)
    assert str(cache.root) in message
    if content is None:
        assert name in message


def test_a_damaged_snapshot_stops_the_build(cache: Cache, stores: Path) -> None:
    cache.put("alyx_records.json", (cache.pristine / "alyx_records.json").read_bytes()[:-9])
    assert "alyx_records.json" in stopped(cache, stores)


def test_a_table_that_one_passes_over_never_empties_the_stores(
    cache: Cache, stores: Path, built: Path
) -> None:
    """Without ``date_created`` ONE reads the table as empty."""
    shutil.copytree(built, stores)
    before = (stores / "catalog.json").read_bytes()
    table = pa.Table.from_pandas(cache.tables["datasets"])
    (cache.root / "datasets.pqt").unlink()
    (cache.root / "alyx_records.json").unlink()
    pq.write_table(table, cache.root / "datasets.pqt")
    with pytest.raises(SourceError, match=r"datasets\.pqt"):
        cache.build(stores)
    assert (stores / "catalog.json").read_bytes() == before


def test_a_cohort_without_sessions_is_built_empty(cache: Cache, stores: Path) -> None:
    cache.tables = {n: t.iloc[:0] for n, t in cache.tables.items()}
    cache.snapshot |= {"sessions": [], "insertions": []}
    report = cache.save().build(stores)
    assert report.lines == ()
    assert not report.failed
    assert "nothing to do" in report.to_text()
    assert len(report.to_frame()) == 0
    with pytest.raises(StoreNotFound, match="units"):
        open_units(stores)


@pytest.mark.parametrize("wanted", ["0b7c1f6e-0000-3000-8000-000000000001", "LSDX-A"])
def test_an_unknown_session_stops_the_build(cache: Cache, stores: Path, wanted: str) -> None:
    message = stopped(cache, stores, sessions=[cache.sessions[0].eid, wanted])
    assert repr(wanted) in message
    assert not stores.exists()


@pytest.mark.parametrize("below", ["", "stores"])
def test_a_stores_folder_that_cannot_be_is_named(cache: Cache, stores: Path, below: str) -> None:
    stores.write_text("a file\n")
    with pytest.raises(RecipeError) as caught:
        cache.build(stores / below)
    assert str(stores / below) in str(caught.value)
    assert stores.read_text() == "a file\n"


def test_recordings_and_the_demo_never_share_a_folder(
    cache: Cache, stores: Path, built: Path, tmp_path: Path
) -> None:
    shutil.copytree(built, stores)
    before = (stores / "catalog.json").read_bytes()
    cache.save(origin="rig")
    with pytest.raises(RecipeError, match="simulated") as caught:
        cache.build(stores)
    assert str(stores) in str(caught.value)
    assert (stores / "catalog.json").read_bytes() == before
    # and the other way round
    other = tmp_path / "recordings"
    assert not cache.build(other, sessions=[cache.sessions[0].eid]).failed
    before = (other / "catalog.json").read_bytes()
    with pytest.raises(RecipeError, match="recordings"):
        cache.save().build(other)
    assert (other / "catalog.json").read_bytes() == before


def test_a_file_without_md5_that_changes_is_built_anew(
    cache: Cache, stores: Path, built: Path
) -> None:
    session = cache.sessions[0]
    session.records(hash=None, file_size=None)
    folder = session.sorting("probe00")
    for name in (TIMES, CLUSTERS, AMPS, SPIKE_DEPTHS):
        session.edit(f"{folder}/{name}", _npy(lambda a: a[:-7]), recorded=False)
    shutil.copytree(built, stores)
    assert not cache.save().build(stores).failed
    pid = session.truth["insertions"][0]["pid"]
    found = open_insertions(stores)["n_spikes"].sel(insertion=pid).item()
    assert found == session.truth["insertions"][0]["n_spikes"] - 7


# ---- the lab's tables -----------------------------------------------------------------------

EPOCHS_HEADER = "eid,phase,epoch,start,stop\n"
DOSE_HEADER = "rec_day,date,animal_ID,weight,stock_uL,saline_uL,administration_time\n"
DOSE = "1,19.01.2023,LSDX-A,25,75,125,0:19:20\n"
LAB = {
    "epochs of an unknown phase": ("epochs", EPOCHS_HEADER + "{eid},during,rfm,1,2\n"),
    "epochs of an unknown epoch": ("epochs", EPOCHS_HEADER + "{eid},pre,sleep,1,2\n"),
    "negative epochs": ("epochs", EPOCHS_HEADER + "{eid},pre,rfm,-1,2\n"),
    "duplicate epochs": ("epochs", EPOCHS_HEADER + "{eid},pre,rfm,1,2\n{eid},pre,rfm,1,2\n"),
    "epochs of no session": ("epochs", EPOCHS_HEADER + ",pre,rfm,1,2\n"),
    "a bad date": ("administrations", DOSE_HEADER + DOSE.replace("19.01.2023", "2023-01-19")),
    "a blank date": ("administrations", DOSE_HEADER + DOSE.replace("19.01.2023", "")),
    "a bad time": ("administrations", DOSE_HEADER + DOSE.replace("0:19:20", "19:20")),
    "duplicate administrations": ("administrations", DOSE_HEADER + DOSE + DOSE),
    "an exclusion without reason": ("exclusions", "id,reason\n{eid},\n"),
    "an empty table of trajectories": ("trajectories", ""),
}


@pytest.mark.parametrize(("key", "text"), LAB.values(), ids=LAB)
def test_a_bad_table_of_the_lab_stops_the_build(
    cache: Cache, stores: Path, tmp_path: Path, key: str, text: str
) -> None:
    table = tmp_path / "lab.csv"
    table.write_text(text.format(eid=cache.sessions[0].eid))
    message = stopped(cache, stores, **{key: table})
    assert message.startswith(str(table))
    assert not stores.exists()


@pytest.mark.parametrize("key", ["epochs", "administrations", "trajectories", "exclusions"])
def test_a_table_of_the_lab_that_is_not_there_stops_the_build(
    cache: Cache, stores: Path, tmp_path: Path, key: str
) -> None:
    assert "none.csv" in stopped(cache, stores, **{key: tmp_path / "none.csv"})


def test_a_wrong_key_in_the_cohorts_settings_stops_the_build(cache: Cache, stores: Path) -> None:
    cache.put("lsdx.toml", b'administration = "administrations.csv"\n')
    message = stopped(cache, stores)
    assert str(cache.root / "lsdx.toml") in message
    assert "administrations" in message


def test_rows_of_epochs_override_and_strangers_are_told(
    cache: Cache, stores: Path, built: Path, tmp_path: Path
) -> None:
    eid, stranger = cache.sessions[0].eid, "0b7c1f6e-0000-3000-8000-000000000001"
    table = tmp_path / "epochs.csv"
    table.write_text(f"{EPOCHS_HEADER}{eid},pre,rfm,470,480.5\n{stranger},pre,rfm,1,2\n")
    shutil.copytree(built, stores)
    report = cache.build(stores, epochs=table)
    assert not report.failed
    assert any(stranger in note for note in report.notes)
    row = open_epochs(stores).sel(session=eid, phase="pre", epoch="rfm")
    assert (row["start"].item(), row["stop"].item()) == (470.0, 480.5)
    assert row["provenance"].item() == "table"


# ---- the command ----------------------------------------------------------------------------


@pytest.fixture
def command(
    cache: Cache, stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith("LSDX_")]:
        monkeypatch.delenv(name)
    given = ["build", "--source", "cache", "--cache-dir", str(cache.root), "--stores", str(stores)]
    return lambda *more: cli.main([*given, *more])


def test_a_failure_gives_exit_code_1_and_a_line(
    cache: Cache,
    stores: Path,
    built: Path,
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    session = cache.sessions[0]
    path = f"{session.sorting('probe01')}/{TIMES}"
    session.edit(path, lambda old: old[:-8])
    cache.save()
    assert command() == 1
    out = capsys.readouterr().out
    assert session.eid in out
    assert path in out
    # as long as it is not mended, it fails
    assert command() == 1
    session.edit(path, lambda old: old)
    cache.save()
    assert command() == 0
    assert Place(stores).catalog().digest == Place(built).catalog().digest


def test_lacking_data_gives_exit_code_0_and_a_line(
    cache: Cache, stores: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    session = cache.sessions[0]
    for probe in ("probe00", "probe01"):
        session.remove(f"{session.sorting(probe)}/{TIMES}")
    cache.save()
    assert command("--sessions", session.eid) == 0
    assert "no spikes on disk" in capsys.readouterr().out
    assert open_sessions(stores)["n_units"].values.tolist() == [0]
    with pytest.raises(StoreNotFound):
        open_units(stores)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sessions", "0b7c1f6e-0000-3000-8000-000000000001"], ["sessions", "0b7c1f6e"]),
        (["--config", "none.toml"], ["none.toml"]),
        (["--administrations", "none.csv"], ["none.csv"]),
        (["--cache-dir", "nowhere"], ["nowhere", "sessions.pqt"]),
        (["unit"], ["found 'unit'.", "Did you mean units?"]),
    ],
)
def test_what_stops_a_build_gives_exit_code_1_and_two_lines_at_most(
    command: Callable[..., int],
    stores: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: list[str],
) -> None:
    assert command(*arguments) == 1
    message = capsys.readouterr().err
    assert message.startswith("lsdx: ")
    assert all(word in message for word in words)
    assert message.count("\n") <= 2
    assert not (stores / "catalog.json").exists()


def test_a_settings_file_with_a_wrong_key_gives_exit_code_1_and_the_right_ones(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lsdx.toml").write_text('store = "stores"\n')
    assert command() == 1
    message = capsys.readouterr().err
    assert "lsdx.toml" in message
    for key in ("source", "cache_dir", "stores", "epochs", "administrations", "exclusions"):
        assert key in message
