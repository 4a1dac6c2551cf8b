"""The passive protocol's files: read as written, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lsdx.assemble.recording import rig_seconds
from lsdx.errors import SourceError
from lsdx.readers.passive import (
    TaskSettings,
    read_gabors,
    read_intervals,
    read_stims,
    read_task_settings,
)

WHERE = "session 0b7c1f6e-0000-3000-8000-000000000001, alf/task_00/some.file"
SETTINGS = {
    "PYBPOD_PROTOCOL": "_iblrig_tasks_passiveChoiceWorld",
    "SESSION_DATETIME": "2023-06-14T11:02:03.250000",
}
INTERVALS = """\
,passiveProtocol,spontaneousActivity,RFM,taskReplay
start,60.5,60.5,361.25,663.0
stop,4000.0,360.5,662.0,4000.0
"""
GABORS = """\
start,stop,position,contrast,phase
10.5,10.75,35.0,0.25,1.5
12.0,12.5,-35.0,1.0,0.0
"""
STIMS = """\
valveOn,valveOff,toneOn,toneOff,noiseOn,noiseOff
1.0,1.5,2.0,2.5,3.0,3.5
4.0,4.5,5.0,5.5,,
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.file"


def refused(read: Callable[[Path, str], object], path: Path, content: str | bytes) -> str:
    """The message of the error that reading ``content`` raises, which must name the file."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(SourceError) as caught:
        read(path, WHERE)
    message = str(caught.value)
    assert message.startswith(WHERE)
    return message


# ---- the rig's settings ---------------------------------------------------------------------


def settings(path: Path, **changed: Any) -> Path:
    raw = {k: v for k, v in {**SETTINGS, **changed}.items() if v is not None}
    path.write_text(json.dumps(raw))
    return path


def test_settings_are_read_as_written(file: Path) -> None:
    found = read_task_settings(settings(file), WHERE)
    assert found.protocol == "_iblrig_tasks_passiveChoiceWorld"
    assert found.start_times == {"SESSION_DATETIME": pd.Timestamp("2023-06-14 11:02:03.25")}


def test_each_start_time_keeps_its_field(file: Path) -> None:
    found = read_task_settings(settings(file, SESSION_START_TIME="2023-06-14T11:02:09"), WHERE)
    assert found.start_times == {
        "SESSION_DATETIME": pd.Timestamp("2023-06-14 11:02:03.25"),
        "SESSION_START_TIME": pd.Timestamp("2023-06-14 11:02:09"),
    }


def test_a_rig_time_keeps_its_zone(file: Path) -> None:
    found = read_task_settings(settings(file, SESSION_DATETIME="2023-06-14T11:02:03+01:00"), WHERE)
    assert found.start_times == {"SESSION_DATETIME": pd.Timestamp("2023-06-14 10:02:03Z")}


def test_rig_times_with_a_zone_are_compared_as_instants() -> None:
    def at(time: str) -> TaskSettings:
        return TaskSettings("passive", {"SESSION_DATETIME": pd.Timestamp(time)})

    first = at("2023-06-14T11:00:00+01:00")
    assert rig_seconds(first, at("2023-06-14T10:50:00+00:00")) == 3000.0
    assert rig_seconds(first, at("2023-06-14T11:50:00")) == 3000.0  # no zone: both local
    assert rig_seconds(at("2023-06-14T11:00:00"), at("2023-06-14T11:50:00")) == 3000.0


@pytest.mark.parametrize("blank", [None, ""])
def test_a_run_without_start_time_is_read(file: Path, blank: str | None) -> None:
    assert read_task_settings(settings(file, SESSION_DATETIME=blank), WHERE).start_times == {}


@pytest.mark.parametrize(
    "content",
    ["", "{", json.dumps(SETTINGS)[:-9], "[]", "null", '"passive"', b"\xff\xfe\x00", "<html>"],
)
def test_settings_that_are_no_json_object_are_refused(file: Path, content: str | bytes) -> None:
    assert "JSON" in refused(read_task_settings, file, content)


@pytest.mark.parametrize("protocol", [None, 7, ["passive"], False])
def test_settings_without_a_protocol_are_refused(file: Path, protocol: object) -> None:
    content = json.dumps({**SETTINGS, "PYBPOD_PROTOCOL": protocol})
    assert "PYBPOD_PROTOCOL" in refused(read_task_settings, file, content)
    del (raw := dict(SETTINGS))["PYBPOD_PROTOCOL"]
    assert "PYBPOD_PROTOCOL" in refused(read_task_settings, file, json.dumps(raw))


@pytest.mark.parametrize("time", ["yesterday", "2023-13-45", "2023-06-14T25:00:00", ["2023"]])
def test_a_start_time_that_is_none_is_refused(file: Path, time: object) -> None:
    content = json.dumps({**SETTINGS, "SESSION_DATETIME": time})
    assert "SESSION_DATETIME" in refused(read_task_settings, file, content)


def test_a_missing_file_is_refused(file: Path) -> None:
    for read in (read_task_settings, read_intervals, read_gabors, read_stims):
        with pytest.raises(SourceError, match=r"some\.file"):
            read(file, WHERE)


# ---- intervals ------------------------------------------------------------------------------


def test_intervals_are_read_as_written(file: Path) -> None:
    file.write_text(INTERVALS)
    assert read_intervals(file, WHERE) == {
        "passiveProtocol": (60.5, 4000.0),
        "spontaneousActivity": (60.5, 360.5),
        "RFM": (361.25, 662.0),
        "taskReplay": (663.0, 4000.0),
    }


def test_rows_and_columns_are_found_by_name(file: Path) -> None:
    file.write_text("x,taskReplay, RFM ,more,spontaneousActivity,passiveProtocol\n")
    with file.open("a") as stream:
        stream.write(" stop,8,6,0,4,2\nstart ,7,5,0,3,1\n")
    assert read_intervals(file, WHERE) == {
        "passiveProtocol": (1.0, 2.0),
        "spontaneousActivity": (3.0, 4.0),
        "RFM": (5.0, 6.0),
        "taskReplay": (7.0, 8.0),
    }


def test_a_blank_interval_is_nan(file: Path) -> None:
    file.write_text(INTERVALS.replace("361.25", "").replace("662.0", ""))
    found = read_intervals(file, WHERE)
    assert np.isnan(found["RFM"]).all()
    assert found["spontaneousActivity"] == (60.5, 360.5)


HEADER, START, STOP = INTERVALS.splitlines(keepends=True)
BAD_INTERVALS: dict[str, str | bytes] = {
    "zero bytes": "",
    "blank line": "\n",
    "header alone": HEADER,
    "no stop": HEADER + START,
    "no start": HEADER + STOP,
    "two starts": HEADER + START + START,
    "a third row": HEADER + START + STOP + STOP,
    "rows by number": INTERVALS.replace("start", "0").replace("stop", "1"),
    "no RFM": INTERVALS.replace("RFM", "rfm"),
    "text for a time": INTERVALS.replace("361.25", "soon"),
    "an infinite start": INTERVALS.replace("361.25", "-inf"),
    "an infinite stop": INTERVALS.replace("360.5", "inf"),
    "no text": b"\xff\xfe\x00\x81",
    "an error page": "<html>",
}


@pytest.mark.parametrize("content", BAD_INTERVALS.values(), ids=BAD_INTERVALS)
def test_bad_intervals_are_refused(file: Path, content: str | bytes) -> None:
    refused(read_intervals, file, content)


# ---- gabors ---------------------------------------------------------------------------------


def test_gabors_are_read_as_written(file: Path) -> None:
    file.write_text(GABORS)
    gabors = read_gabors(file, WHERE)
    assert gabors.start.tolist() == [10.5, 12.0]
    assert gabors.stop.tolist() == [10.75, 12.5]
    assert gabors.position.tolist() == [35.0, -35.0]
    assert gabors.contrast.tolist() == [0.25, 1.0]
    assert gabors.phase.tolist() == [1.5, 0.0]


def test_a_blank_first_gabor_is_nan(file: Path) -> None:
    file.write_text(GABORS.replace("10.5,10.75,35.0,0.25,1.5", ",,,,"))
    gabors = read_gabors(file, WHERE)
    np.testing.assert_array_equal(gabors.start, [np.nan, 12.0])
    np.testing.assert_array_equal(gabors.position, [np.nan, -35.0])


def test_a_table_without_gabors_is_empty(file: Path) -> None:
    file.write_text(GABORS.splitlines()[0] + "\n")
    assert read_gabors(file, WHERE).start.size == 0


BAD_GABORS: dict[str, str | bytes] = {
    "zero bytes": "",
    "no contrast": GABORS.replace("contrast", "size"),
    "text for a start": GABORS.replace("12.0", "noon"),
    "text for a contrast": GABORS.replace("0.25", "low"),
    "starts out of order": GABORS.replace("12.0", "9.0"),
    "stops out of order": GABORS.replace("12.5", "10.6"),
    "an infinite stop": GABORS.replace("12.5", "inf"),
    "an infinite first start": GABORS.replace("10.5,", "-inf,"),
    "too many cells": GABORS + "1,2,3,4,5,6,7\n",
    "no text": b"\xff\xfe\x00\x81",
}


@pytest.mark.parametrize("content", BAD_GABORS.values(), ids=BAD_GABORS)
def test_bad_gabors_are_refused(file: Path, content: str | bytes) -> None:
    refused(read_gabors, file, content)


@pytest.mark.parametrize("column", ["start", "stop", "position", "contrast", "phase"])
def test_text_in_any_column_of_numbers_names_the_column(file: Path, column: str) -> None:
    table = pd.read_csv(StringIO(GABORS)).astype(object)
    table.loc[1, column] = "n.a.?"
    assert f"column {column}" in refused(read_gabors, file, table.to_csv(index=False))


# ---- valve, tone and noise ------------------------------------------------------------------


def test_stimuli_are_read_without_their_padding(file: Path) -> None:
    file.write_text(STIMS)
    stims = read_stims(file, WHERE)
    assert {k: v.tolist() for k, v in stims.items()} == {
        "valve": [[1.0, 1.5], [4.0, 4.5]],
        "tone": [[2.0, 2.5], [5.0, 5.5]],
        "noise": [[3.0, 3.5]],
    }


def test_a_stimulus_that_was_never_given_has_no_times(file: Path) -> None:
    file.write_text(STIMS.replace("3.0,3.5", ","))
    assert read_stims(file, WHERE)["noise"].shape == (0, 2)


BAD_STIMS: dict[str, str | bytes] = {
    "zero bytes": "",
    "no noise": STIMS.replace("noiseOff", "noiseEnd"),
    "text for a time": STIMS.replace("2.5", "late"),
    "no text": b"\xff\xfe\x00\x81",
}


@pytest.mark.parametrize("content", BAD_STIMS.values(), ids=BAD_STIMS)
def test_bad_stimuli_are_refused(file: Path, content: str | bytes) -> None:
    refused(read_stims, file, content)
