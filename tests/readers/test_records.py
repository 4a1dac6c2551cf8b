"""Records of sessions, insertions and datasets: whole, distinct, and inside their folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lsdx.errors import SourceError
from lsdx.readers.records import (
    DatasetRecord,
    InsertionRecord,
    check_dataset_path,
    insertion_record,
    read_snapshot,
    timestamp,
    unique_probes,
    uuid_of,
    without_uuid,
)

EID = "0b7c1f6e-0000-3000-8000-000000000001"
OTHER = "0b7c1f6e-0000-3000-8000-000000000002"
PID = "0b7c1f6e-0000-3000-8000-000000000003"


def dataset(**changed: Any) -> dict[str, Any]:
    return {
        "name": "spikes.times.npy",
        "collection": "alf/probe00/ks2",
        "data_url": "https://x/spikes.times.npy",
        "file_size": 128,
        "hash": "0" * 32,
        "version": "1.2.3",
        "revision": "",
        "default_revision": "True",
        **changed,
    }


def session(**changed: Any) -> dict[str, Any]:
    return {
        "id": EID,
        "lab": "lab",
        "subject": "ZFM-1",
        "start_time": "2023-06-14T10:02:03.250000",
        "number": 2,
        "projects": ["psychedelics"],
        "task_protocol": "passive",
        "qc": "PASS",
        "data_dataset_session_related": [dataset()],
        **changed,
    }


def insertion(**changed: Any) -> dict[str, Any]:
    return {"id": PID, "session": EID, "name": "probe00", "model": "3B2", "serial": "19", **changed}


def write(path: Path, **changed: Any) -> Path:
    raw = {"created": "2026-01-01", "sessions": [session()], "insertions": [insertion()]}
    path.write_text(json.dumps(raw | changed))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "alyx_records.json"


def refused(path: Path, **changed: Any) -> str:
    """The message of the error that the changed snapshot raises, which must name the file."""
    with pytest.raises(SourceError) as caught:
        read_snapshot(write(path, **changed))
    message = str(caught.value)
    assert message.startswith(str(path))
    return message


# ---- one dataset ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "collection", "revision", "name"),
    [
        ("alf/probe00/ks2/spikes.times.npy", "alf/probe00/ks2", "", "spikes.times.npy"),
        ("alf/#2024-05-06#/a.b.npy", "alf", "2024-05-06", "a.b.npy"),
        ("#2024-05-06#/a.b.npy", "", "2024-05-06", "a.b.npy"),
        ("a.b.npy", "", "", "a.b.npy"),
        ("alf/#x#/probe00/a.b.npy", "alf/#x#/probe00", "", "a.b.npy"),
        ("alf/##/a.b.npy", "alf/##", "", "a.b.npy"),
    ],
)
def test_a_path_tells_collection_revision_and_name(
    path: str, collection: str, revision: str, name: str
) -> None:
    record = DatasetRecord(path)
    assert (record.collection, record.revision, record.name) == (collection, revision, name)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "..",
        "../other/a.npy",
        "alf/../../a.npy",
        "alf/..",
        "alf\\..\\a.npy",
        "alf/a\0.npy",
        "//host/a.npy",
    ],
)
def test_a_path_that_leaves_the_session_is_refused(path: str) -> None:
    with pytest.raises(SourceError) as caught:
        check_dataset_path(path, f"session {EID}")
    assert str(caught.value).startswith(f"session {EID}")
    assert repr(path) in str(caught.value)


@pytest.mark.parametrize(
    ("path", "clean"),
    [("alf/a.npy", "alf/a.npy"), ("./alf//a.npy", "alf/a.npy"), ("alf/..a.npy", "alf/..a.npy")],
)
def test_a_path_inside_the_session_is_kept(path: str, clean: str) -> None:
    assert check_dataset_path(path, "here") == clean


@pytest.mark.parametrize("value", [EID, EID.upper(), EID.replace("-", ""), f"{{{EID}}}"])
def test_an_id_has_one_form(value: str) -> None:
    assert uuid_of(value, "here") == EID


@pytest.mark.parametrize("value", ["", "nan", "ZFM-1", None, 17, EID[:-1]])
def test_what_is_no_id_is_refused(value: object) -> None:
    with pytest.raises(SourceError, match="here"):
        uuid_of(value, "here")


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        (f"spikes.times.{EID}.npy", "spikes.times.npy"),
        (f"_spikeglx_x_g0_t0.imec0.ap.{PID}.cbin", "_spikeglx_x_g0_t0.imec0.ap.cbin"),
        ("spikes.times.npy", "spikes.times.npy"),
        (f"alf/#2024-05-06#/spikes.times.{EID}.npy", "alf/#2024-05-06#/spikes.times.npy"),
        (f"spikes.{EID}.times.npy", f"spikes.{EID}.times.npy"),
        ("spikes.times.17.npy", "spikes.times.17.npy"),
        ("README", "README"),
    ],
)
def test_a_name_is_freed_of_its_uuid(name: str, bare: str) -> None:
    assert without_uuid(name) == bare


def test_a_time_with_a_zone_keeps_its_local_day() -> None:
    assert timestamp("2023-06-14T00:30:00+01:00", "here") == pd.Timestamp("2023-06-14 00:30:00")
    assert timestamp("2023-06-14T11:02:03", "here") == pd.Timestamp("2023-06-14 11:02:03")


@pytest.mark.parametrize("value", ["", "never", None, float("nan"), "2023-02-30"])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(SourceError, match="here"):
        timestamp(value, "here")


# ---- the snapshot ---------------------------------------------------------------------------


def test_a_snapshot_is_read_as_written(file: Path) -> None:
    snapshot = read_snapshot(write(file))
    assert snapshot.created == "2026-01-01"
    (record,) = snapshot.sessions.values()
    assert (record.eid, record.lab, record.subject, record.number) == (EID, "lab", "ZFM-1", 2)
    assert record.start_time == pd.Timestamp("2023-06-14 10:02:03.25")
    assert record.date == pd.Timestamp("2023-06-14")
    assert (record.projects, record.task_protocol, record.qc) == ("psychedelics", "passive", "PASS")
    assert snapshot.datasets == {
        EID: (
            DatasetRecord(
                "alf/probe00/ks2/spikes.times.npy",
                size=128,
                md5="0" * 32,
                default_revision=True,
                present=True,
                readable=False,
                version="1.2.3",
                url="https://x/spikes.times.npy",
            ),
        )
    }
    assert snapshot.insertions == {EID: (InsertionRecord(PID, EID, "probe00", "3B2", "19"),)}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"data_url": None}, {"present": False}),
        ({"file_size": None}, {"size": None}),
        ({"hash": None}, {"md5": None}),
        ({"hash": ""}, {"md5": None}),
        ({"default_revision": "False"}, {"default_revision": False}),
        ({"revision": "2024-05-06"}, {"revision": "2024-05-06"}),
        ({"collection": None}, {"path": "spikes.times.npy"}),
        ({"version": None}, {"version": ""}),
    ],
)
def test_a_dataset_is_what_its_record_says(
    file: Path, changed: dict[str, Any], expected: dict[str, Any]
) -> None:
    record = session(data_dataset_session_related=[dataset(**changed)])
    (found,) = read_snapshot(write(file, sessions=[record])).datasets[EID]
    assert {name: getattr(found, name) for name in expected} == expected


UNNAMED = "5f9d1d0e-0000-4000-8000-00000000000b"  # a revision, as a session's record gives it
ONLINE = "https://x/public/lab/Subjects/ZFM-1/2023-06-14/002"


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        # the revision's name stands in the address alone
        (
            {"data_url": f"{ONLINE}/alf/probe00/ks2/#2024-05-06#/spikes.times.{OTHER}.npy"},
            "alf/probe00/ks2/#2024-05-06#/spikes.times.npy",
        ),
        (
            {"data_url": f"{ONLINE}/alf/probe00/ks2/%232024-05-06%23/spikes.times.npy?token=a#b"},
            "alf/probe00/ks2/#2024-05-06#/spikes.times.npy",
        ),
        (
            {"data_url": f"{ONLINE}/alf/probe00/ks2/spikes.times.{OTHER}.npy", "revision": None},
            "alf/probe00/ks2/spikes.times.npy",
        ),
        ({"data_url": f"{ONLINE}/a.b.npy", "collection": None, "revision": None}, "a.b.npy"),
        # no address that tells it: a name is taken, a UUID is none
        ({"data_url": None}, "alf/probe00/ks2/spikes.times.npy"),
        (
            {"data_url": None, "revision": "2024-05-06"},
            "alf/probe00/ks2/#2024-05-06#/spikes.times.npy",
        ),
        ({"data_url": "https://x/somewhere.npy"}, "alf/probe00/ks2/spikes.times.npy"),
    ],
)
def test_a_dataset_lies_where_its_address_says(
    file: Path, changed: dict[str, Any], path: str
) -> None:
    record = session(data_dataset_session_related=[dataset(**{"revision": UNNAMED, **changed})])
    (found,) = read_snapshot(write(file, sessions=[record])).datasets[EID]
    assert found.path == path


def test_a_revision_without_an_address_does_not_pass_for_the_file_without_one(file: Path) -> None:
    base = dataset(data_url=f"{ONLINE}/alf/probe00/ks2/spikes.times.{OTHER}.npy", revision=None)
    nowhere = dataset(data_url=None, revision=UNNAMED, file_size=7)
    record = session(data_dataset_session_related=[nowhere, base])
    (found,) = read_snapshot(write(file, sessions=[record])).datasets[EID]
    assert (found.path, found.size) == ("alf/probe00/ks2/spikes.times.npy", 128)


def test_an_address_that_leaves_the_session_is_refused(file: Path) -> None:
    record = dataset(data_url=f"{ONLINE}/alf/%2E%2E/%2E%2E/secret.npy")
    assert "secret" in refused(file, sessions=[session(data_dataset_session_related=[record])])


def test_a_session_may_have_no_datasets(file: Path) -> None:
    record = session(data_dataset_session_related=None, projects=None, qc=None)
    snapshot = read_snapshot(write(file, sessions=[record], insertions=[]))
    assert snapshot.datasets == {EID: ()}
    assert snapshot.sessions[EID].qc == "unknown"
    assert snapshot.insertions == {}


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"sessions": ', "\x00"])
def test_a_snapshot_that_is_no_json_object_is_refused(file: Path, content: str) -> None:
    file.write_text(content)
    with pytest.raises(SourceError, match=r"alyx_records\.json"):
        read_snapshot(file)


@pytest.mark.parametrize("key", ["sessions", "insertions"])
@pytest.mark.parametrize("value", [None, {}, "all", [1], [None], [[]]])
def test_lists_that_are_none_are_refused(file: Path, key: str, value: object) -> None:
    assert key in refused(file, **{key: value})


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize("key", ["id", "lab", "subject", "start_time", "number"])
def test_a_session_without_a_field_is_refused(file: Path, key: str, value: object) -> None:
    assert key in refused(file, sessions=[session(**{key: value})])


@pytest.mark.parametrize("key", ["id", "session", "name"])
def test_an_insertion_without_a_field_is_refused(file: Path, key: str) -> None:
    assert key in refused(file, insertions=[insertion(**{key: None})])


def test_number_zero_is_a_number(file: Path) -> None:
    assert read_snapshot(write(file, sessions=[session(number=0)])).sessions[EID].number == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "17"},
        {"start_time": "yesterday"},
        {"number": "two"},
        {"data_dataset_session_related": [dataset(name=None)]},
        {"data_dataset_session_related": [dataset(collection="../../elsewhere")]},
        {"data_dataset_session_related": [dataset(name="/etc/passwd", collection="")]},
        {"data_dataset_session_related": [dataset(file_size="big")]},
        {"data_dataset_session_related": ["spikes.times.npy"]},
    ],
    ids=[
        "id",
        "start time",
        "number",
        "dataset without name",
        "dataset elsewhere",
        "dataset at the root",
        "dataset of no size",
        "dataset that is no record",
    ],
)
def test_a_bad_session_is_refused(file: Path, changed: dict[str, Any]) -> None:
    refused(file, sessions=[session(**changed)])


@pytest.mark.parametrize("collection", ["../../elsewhere", "/etc", "a/../b"])
def test_a_dataset_elsewhere_names_session_and_path(file: Path, collection: str) -> None:
    record = session(data_dataset_session_related=[dataset(collection=collection)])
    message = refused(file, sessions=[record])
    assert EID in message
    assert collection in message


def test_a_session_twice_is_refused(file: Path) -> None:
    message = refused(file, sessions=[session(), session(id=EID.upper())])
    assert EID in message
    assert "twice" in message


# ---- insertions -----------------------------------------------------------------------------


def test_two_insertions_of_one_name_are_refused(file: Path) -> None:
    message = refused(file, insertions=[insertion(), insertion(id=OTHER)])
    assert EID in message
    assert "probe00" in message


def test_two_insertions_of_one_id_are_refused(file: Path) -> None:
    message = refused(file, insertions=[insertion(), insertion(name="probe01")])
    assert EID in message
    assert PID in message


def test_one_name_in_two_sessions_is_fine(file: Path) -> None:
    rows = [insertion(), insertion(id=OTHER, session=OTHER)]
    assert set(read_snapshot(write(file, insertions=rows)).insertions) == {EID, OTHER}


def test_one_id_in_two_sessions_is_refused(file: Path) -> None:
    rows = [insertion(), insertion(session=OTHER)]
    assert PID in refused(file, insertions=rows)


def test_insertions_stand_in_order_of_their_probe() -> None:
    rows = [
        insertion_record(insertion(id=i, name=n), "here") for i, n in ((EID, "b"), (OTHER, "a"))
    ]
    assert [r.probe for r in unique_probes(rows, "here")] == ["a", "b"]


@pytest.mark.parametrize("json_field", [None, [], "text"])
def test_a_json_field_that_is_no_object_is_empty(json_field: object) -> None:
    assert insertion_record(insertion(json=json_field), "here").json == {}
