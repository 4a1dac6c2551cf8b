"""A ONE cache as a source: what its tables say is checked, and so is every file handed out."""

from __future__ import annotations

import hashlib
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lsdx.config import Settings
from lsdx.errors import ConfigError, SourceError
from lsdx.readers.records import DatasetRecord
from lsdx.sources import open_source
from lsdx.sources.cache import CacheSource

EID = "0b7c1f6e-0000-3000-8000-000000000001"
OTHER = "0b7c1f6e-0000-3000-8000-000000000002"
PID = "0b7c1f6e-0000-3000-8000-000000000003"
FOLDER = "lab/Subjects/ZFM-1/2023-06-14/002"
PATH = "alf/probe00/ks2/spikes.times.npy"
CONTENT = b"these are no spikes"
MD5 = hashlib.md5(CONTENT).hexdigest()

Row = dict[str, Any]
SESSION: Row = {
    "id": EID,
    "lab": "lab",
    "subject": "ZFM-1",
    "date": pd.Timestamp("2023-06-14").date(),
    "number": 2,
    "task_protocol": "passive",
    "projects": "psychedelics",
}
DATASET: Row = {
    "eid": EID,
    "id": "0b7c1f6e-0000-3000-8000-00000000000a",
    "rel_path": PATH,
    "file_size": len(CONTENT),
    "hash": MD5,
    "exists": True,
    "qc": "NOT_SET",
    "default_revision": True,
}
INSERTION: Row = {
    "eid": EID,
    "id": PID,
    "name": "probe00",
    "model": "3B2",
    "serial": "19",
    "json": '{"xyz_picks": [[1, 2, 3]]}',
}
COLUMNS = {"sessions": SESSION, "datasets": DATASET, "insertions": INSERTION}
INDEX = {"sessions": ["id"], "datasets": ["eid", "id"], "insertions": ["eid", "id"]}


class Cache:
    """A ONE cache of one session and one file, to be damaged."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.file = root / FOLDER / PATH
        self.file.parent.mkdir(parents=True)
        self.file.write_bytes(CONTENT)
        self.write("sessions", SESSION)
        self.write("datasets", DATASET)
        self.write("insertions", INSERTION)

    def write(self, name: str, *rows: Row, origin: str | None = "rig") -> None:
        # ONE warns of pandas' deprecations where it has to sort
        rows = tuple(sorted(rows, key=lambda row: tuple(str(row[k]) for k in INDEX[name])))
        table = pd.DataFrame(list(rows), columns=list(COLUMNS[name]))
        if name == "datasets":
            table = table.astype({"file_size": "UInt64", "exists": bool, "default_revision": bool})
        if name == "sessions":
            table = table.astype({"number": "uint16"})
        arrow = pa.Table.from_pandas(table.set_index(INDEX[name]))
        metadata = {"date_created": "2026-01-01 00:00", "origin": origin}
        extra = {b"one_metadata": json.dumps(metadata).encode()} if origin else {}
        arrow = arrow.replace_schema_metadata({**arrow.schema.metadata, **extra})
        pq.write_table(arrow, self.root / f"{name}.pqt")

    def snapshot(self, *, datasets: list[Row] | None = None, **changed: Any) -> None:
        session = {
            "id": EID,
            "lab": "lab",
            "subject": "ZFM-1",
            "start_time": "2023-06-14T10:02:03",
            "number": 2,
            "qc": "PASS",
            "data_dataset_session_related": datasets or [],
        }
        insertion = {"id": PID, "session": EID, "name": "probe00", "json": {"n_units": 5}}
        raw = {"created": "2026-02-03", "sessions": [session], "insertions": [insertion]}
        (self.root / "alyx_records.json").write_text(json.dumps(raw | changed))

    def open(self) -> CacheSource:
        return CacheSource(self.root)

    def refused(self) -> str:
        with pytest.raises(SourceError) as caught:
            self.open()
        message = str(caught.value)
        assert str(self.root) in message
        return message

    def fetch_refused(self) -> str:
        """The message of the error that fetching the one file raises: it names eid and file."""
        source = self.open()
        (dataset,) = source.datasets(EID)
        with pytest.raises(SourceError) as caught:
            source.fetch(EID, dataset)
        message = str(caught.value)
        assert EID in message
        assert PATH in message
        return message


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def stated(**changed: Any) -> Row:
    """Return the file's record in Alyx's form."""
    return {
        "name": "spikes.times.npy",
        "collection": "alf/probe00/ks2",
        "data_url": "https://x",
        "file_size": len(CONTENT),
        "hash": MD5,
        "revision": "",
        "default_revision": "True",
        "version": "1.2",
        **changed,
    }


# ---- what the tables say --------------------------------------------------------------------


def test_records_are_those_of_the_tables(cache: Cache) -> None:
    source = cache.open()
    (session,) = source.sessions()
    assert (session.eid, session.lab, session.subject, session.number) == (EID, "lab", "ZFM-1", 2)
    assert session.date == pd.Timestamp("2023-06-14")
    assert pd.isna(session.start_time)
    assert session.qc == "unknown"
    assert source.datasets(EID) == (DatasetRecord(PATH, len(CONTENT), MD5),)
    (insertion,) = source.insertions(EID)
    assert (insertion.pid, insertion.probe, insertion.model) == (PID, "probe00", "3B2")
    assert insertion.json == {"xyz_picks": [[1, 2, 3]]}
    assert not source.simulated
    assert "alyx_records.json" in source.notes[0]


def test_an_unlisted_session_has_nothing(cache: Cache) -> None:
    source = cache.open()
    assert source.datasets(OTHER) == ()
    assert source.insertions(OTHER) == ()


def test_sessions_stand_in_order_of_their_day(cache: Cache) -> None:
    day = pd.Timestamp("2023-06-13").date()
    cache.write("sessions", SESSION, {**SESSION, "id": OTHER, "date": day})
    assert [s.eid for s in cache.open().sessions()] == [OTHER, EID]


def test_a_cache_without_sessions_is_empty(cache: Cache) -> None:
    for name in COLUMNS:
        cache.write(name)
    source = cache.open()
    assert source.sessions() == ()
    assert source.datasets(EID) == ()


def test_a_cache_without_insertions_is_read(cache: Cache) -> None:
    (cache.root / "insertions.pqt").unlink()
    assert cache.open().insertions(EID) == ()


def test_the_demo_cohort_says_that_it_is_simulated(cache: Cache) -> None:
    cache.write("datasets", DATASET, origin="lsdx demo")
    assert cache.open().simulated


def test_a_source_goes_to_a_worker(cache: Cache) -> None:
    source = pickle.loads(pickle.dumps(cache.open()))
    (dataset,) = source.datasets(EID)
    assert source.fetch(EID, dataset) == cache.file


# ---- tables that are missing or damaged -----------------------------------------------------


@pytest.mark.parametrize("name", ["sessions", "datasets"])
def test_a_missing_table_is_named(cache: Cache, name: str) -> None:
    (cache.root / f"{name}.pqt").unlink()
    assert f"{name}.pqt" in cache.refused()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere"):
        CacheSource(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["sessions", "datasets", "insertions"])
@pytest.mark.parametrize("keep", [0, 40, 300, -4])
def test_a_damaged_table_is_refused(cache: Cache, name: str, keep: int) -> None:
    path = cache.root / f"{name}.pqt"
    path.write_bytes(path.read_bytes()[:keep])
    cache.refused()


@pytest.mark.parametrize("name", ["sessions", "datasets"])
def test_a_table_that_one_passes_over_is_named(cache: Cache, name: str) -> None:
    cache.write(name, COLUMNS[name], origin=None)
    assert f"{name}.pqt" in cache.refused()


def test_an_insertions_table_that_one_passes_over_is_read(cache: Cache) -> None:
    """No function of ONE writes it: pandas alone does as well."""
    cache.write("insertions", INSERTION, origin=None)
    assert [i.probe for i in cache.open().insertions(EID)] == ["probe00"]


def test_a_session_twice_is_refused(cache: Cache) -> None:
    cache.write("sessions", SESSION, {**SESSION, "number": 3})
    message = cache.refused()
    assert "sessions.pqt" in message
    assert EID in message


BAD_ROWS = {
    "session without a UUID": ("sessions", {**SESSION, "id": "ZFM-1"}),
    "session without a date": ("sessions", {**SESSION, "date": None}),
    "session of another folder": ("sessions", {**SESSION, "subject": "../../../etc"}),
    "dataset of no session": ("datasets", {**DATASET, "eid": "ZFM-1"}),
    "insertion without a UUID": ("insertions", {**INSERTION, "id": "probe00"}),
    "insertion whose json is none": ("insertions", {**INSERTION, "json": '{"xyz_picks": '}),
}


@pytest.mark.parametrize(("name", "row"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_is_refused_by_its_table(cache: Cache, name: str, row: Row) -> None:
    cache.write(name, row)
    assert f"{name}.pqt" in cache.refused()


@pytest.mark.parametrize("json_field", [None, "", "[]", "null"])
def test_an_insertion_may_have_no_json(cache: Cache, json_field: str | None) -> None:
    cache.write("insertions", {**INSERTION, "json": json_field})
    assert cache.open().insertions(EID)[0].json == {}


def test_two_insertions_of_one_name_are_refused(cache: Cache) -> None:
    cache.write("insertions", INSERTION, {**INSERTION, "id": OTHER})
    message = cache.refused()
    assert EID in message
    assert "probe00" in message


@pytest.mark.parametrize("path", ["../secret.npy", "/etc/passwd", "alf/../../../x.npy", ""])
def test_a_dataset_outside_its_session_is_refused(cache: Cache, path: str) -> None:
    cache.write("datasets", {**DATASET, "rel_path": path})
    message = cache.refused()
    assert EID in message
    assert repr(path) in message


# ---- files ----------------------------------------------------------------------------------


def test_a_file_is_handed_out_once_checked(cache: Cache) -> None:
    source = cache.open()
    (dataset,) = source.datasets(EID)
    assert source.fetch(EID, dataset) == cache.file


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT + b"\n"])
def test_a_file_of_another_size_is_refused(cache: Cache, content: bytes) -> None:
    cache.file.write_bytes(content)
    message = cache.fetch_refused()
    assert f"{len(CONTENT)} bytes" in message
    assert f"found {len(content)}" in message


def test_a_file_of_another_md5_is_refused(cache: Cache) -> None:
    cache.file.write_bytes(CONTENT.replace(b"no", b"NO"))
    message = cache.fetch_refused()
    assert MD5 in message
    assert hashlib.md5(CONTENT.replace(b"no", b"NO")).hexdigest() in message


def test_the_md5_is_checked_without_a_size(cache: Cache) -> None:
    cache.write("datasets", {**DATASET, "file_size": None})
    cache.file.write_bytes(b"other")
    assert "md5" in cache.fetch_refused()


@pytest.mark.parametrize("blank", [None, "", np.nan])
def test_the_size_is_checked_without_an_md5(cache: Cache, blank: object) -> None:
    cache.write("datasets", {**DATASET, "hash": blank})
    source = cache.open()
    (dataset,) = source.datasets(EID)
    assert dataset.md5 is None
    assert source.fetch(EID, dataset) == cache.file
    cache.file.write_bytes(b"other")
    assert "bytes" in cache.fetch_refused()


@pytest.mark.parametrize("form", [MD5.upper(), f"{MD5[:8]}-{MD5[8:]}"])
def test_an_md5_may_be_written_otherwise(cache: Cache, form: str) -> None:
    cache.write("datasets", {**DATASET, "hash": form})
    source = cache.open()
    assert source.fetch(EID, source.datasets(EID)[0]) == cache.file


def test_a_file_that_is_said_to_exist_and_does_not_is_refused(cache: Cache) -> None:
    cache.file.unlink()
    assert str(cache.file) in cache.fetch_refused()
    cache.file.mkdir()
    cache.fetch_refused()


def test_a_file_that_no_record_lists_is_found_inside_the_session(cache: Cache) -> None:
    source = cache.open()
    assert source.extra_file(EID, PATH) == cache.file
    assert source.extra_file(EID, "alf/none.npy") is None
    with pytest.raises(SourceError, match=EID):
        source.extra_file(EID, "../../secret")


# ---- the snapshot of records ----------------------------------------------------------------


def test_the_snapshot_tells_more_of_a_session(cache: Cache) -> None:
    cache.snapshot(datasets=[stated()])
    source = cache.open()
    (session,) = source.sessions()
    assert session.start_time == pd.Timestamp("2023-06-14 10:02:03")
    assert session.qc == "PASS"
    assert source.datasets(EID) == (DatasetRecord(PATH, len(CONTENT), MD5, version="1.2"),)
    assert source.insertions(EID)[0].json == {"n_units": 5}
    assert "2026-02-03" in source.notes[0]


def test_what_only_the_snapshot_lists_is_not_on_disk(cache: Cache) -> None:
    cache.snapshot(datasets=[stated(), stated(name="spikes.amps.npy")])
    amps, times = cache.open().datasets(EID)
    assert (amps.name, amps.present, amps.readable) == ("spikes.amps.npy", True, False)
    assert (times.name, times.present, times.readable) == ("spikes.times.npy", True, True)


def test_what_is_on_disk_is_present_whatever_the_snapshot_says(cache: Cache) -> None:
    cache.snapshot(datasets=[stated(data_url=None)])
    (dataset,) = cache.open().datasets(EID)
    assert (dataset.present, dataset.readable) == (True, True)


def test_what_only_the_table_lists_is_kept(cache: Cache) -> None:
    cache.snapshot()
    assert cache.open().datasets(EID) == (DatasetRecord(PATH, len(CONTENT), MD5),)


@pytest.mark.parametrize("changed", [{"hash": "0" * 32}, {"file_size": 3}])
def test_a_file_must_be_the_one_that_the_snapshot_states(cache: Cache, changed: Row) -> None:
    cache.snapshot(datasets=[stated(**changed)])
    cache.fetch_refused()


def test_where_the_snapshot_says_nothing_the_table_holds(cache: Cache) -> None:
    cache.snapshot(datasets=[stated(hash=None, file_size=None)])
    (dataset,) = cache.open().datasets(EID)
    assert (dataset.md5, dataset.size) == (MD5, len(CONTENT))


def test_a_session_that_only_the_snapshot_has_is_none_of_the_caches(cache: Cache) -> None:
    cache.write("sessions", {**SESSION, "id": OTHER})
    cache.write("datasets")
    cache.snapshot(datasets=[stated()])
    source = cache.open()
    assert [s.eid for s in source.sessions()] == [OTHER]
    assert source.datasets(EID) == ()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"sessions": [], "insertions": null}'])
def test_a_damaged_snapshot_is_refused_not_passed_over(cache: Cache, content: str) -> None:
    (cache.root / "alyx_records.json").write_text(content)
    assert "alyx_records.json" in cache.refused()


def test_a_dataset_of_the_snapshot_outside_its_session_is_refused(cache: Cache) -> None:
    cache.snapshot(datasets=[stated(collection="../../..")])
    message = cache.refused()
    assert EID in message
    assert "../../../spikes.times.npy" in message


# ---- from settings to a source --------------------------------------------------------------


def test_a_cache_must_be_named() -> None:
    with pytest.raises(ConfigError, match="cache_dir"):
        open_source(Settings(source="cache"))


def test_recordings_are_not_taken_for_the_demo(cache: Cache) -> None:
    with pytest.raises(SourceError, match="source 'demo'"):
        open_source(Settings(source="demo", cache_dir=cache.root))


def test_a_caches_own_settings_are_laid_under(cache: Cache) -> None:
    (cache.root / "lsdx.toml").write_text('epochs = "e.csv"\nexclusions = "x.csv"\n')
    settings = Settings(source="cache", cache_dir=cache.root, exclusions=Path("mine.csv"))
    source, filled = open_source(settings)
    assert source.sessions()[0].eid == EID
    assert filled == replace(settings, epochs=cache.root / "e.csv")
