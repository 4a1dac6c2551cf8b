"""The lab's own tables: every row is read as it stands, or refused with its row's number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lsdx.errors import SourceError
from lsdx.readers.lab import (
    Administration,
    odd_administrations,
    read_administrations,
    read_epochs_table,
    read_exclusions,
    read_trajectories,
)

EID = "0b7c1f6e-0000-3000-8000-000000000001"
OTHER = "0b7c1f6e-0000-3000-8000-000000000002"
PHASES, EPOCHS = ("pre", "post"), ("spontaneous", "rfm", "replay")


def epochs_table(path: Path) -> Any:
    return read_epochs_table(path, PHASES, EPOCHS)


def refused(read: Callable[[Path], object], path: Path, content: str | bytes) -> str:
    """The message of the error that reading ``content`` raises, which must name the file."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(SourceError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    return message


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


@pytest.mark.parametrize(
    "read", [epochs_table, read_administrations, read_trajectories, read_exclusions]
)
@pytest.mark.parametrize("content", [b"", b"\n", b"a,b\n1,2\n", b"\xff\xfe\x00\x81"])
def test_what_is_no_such_table_is_refused(
    file: Path, read: Callable[[Path], object], content: bytes
) -> None:
    refused(read, file, content)
    file.unlink()
    with pytest.raises(SourceError, match=r"table\.csv"):
        read(file)


# ---- epochs ---------------------------------------------------------------------------------

EPOCHS_HEADER = "eid,phase,epoch,start,stop\n"


def test_epochs_are_read_by_session_phase_and_epoch(file: Path) -> None:
    file.write_text(
        "stop, eid ,phase,comment,epoch,start\n"
        f"30.5,{EID.upper()},pre,first,rfm,10.25\n"
        f"70,{EID},post,,replay,0\n"
        f"5,{OTHER.replace('-', '')},pre,,rfm,4\n"
    )
    assert epochs_table(file) == {
        EID: {("pre", "rfm"): (10.25, 30.5), ("post", "replay"): (0.0, 70.0)},
        OTHER: {("pre", "rfm"): (4.0, 5.0)},
    }


BAD_EPOCHS = {
    "unknown phase": f"{EID},during,rfm,1,2",
    "unknown epoch": f"{EID},pre,RFM,1,2",
    "no phase": f"{EID},,rfm,1,2",
    "negative start": f"{EID},pre,rfm,-1,2",
    "stop before start": f"{EID},pre,rfm,2,1",
    "no length": f"{EID},pre,rfm,2,2",
    "no start": f"{EID},pre,rfm,,2",
    "no stop": f"{EID},pre,rfm,1,",
    "endless": f"{EID},pre,rfm,1,inf",
    "no session": ",pre,rfm,1,2",
    "not a session": "ZFM-06048,pre,rfm,1,2",
    "twice": f"{EID},pre,replay,1,2",
    "twice, otherwise written": f"{EID.upper()},pre,replay,3,4",
}


@pytest.mark.parametrize("row", BAD_EPOCHS.values(), ids=BAD_EPOCHS)
def test_a_bad_row_of_epochs_is_refused_by_its_number(file: Path, row: str) -> None:
    content = f"{EPOCHS_HEADER}{EID},pre,replay,3,4\n{row}\n"
    assert "row 2" in refused(epochs_table, file, content)


@pytest.mark.parametrize("name", ["unknown phase", "unknown epoch"])
def test_an_unknown_name_lists_the_right_ones(file: Path, name: str) -> None:
    message = refused(epochs_table, file, f"{EPOCHS_HEADER}{BAD_EPOCHS[name]}\n")
    assert "pre, post" in message
    assert "spontaneous, rfm, replay" in message


def test_text_for_a_time_is_refused(file: Path) -> None:
    content = f"{EPOCHS_HEADER}{EID},pre,rfm,1,1:30\n"
    assert "column stop" in refused(epochs_table, file, content)


def test_epochs_are_checked_against_the_protocols_own_names(file: Path) -> None:
    file.write_text(f"{EPOCHS_HEADER}{EID},recovery,open field,1,2\n")
    found = read_epochs_table(file, ("before", "recovery"), ("open field",))
    assert found == {EID: {("recovery", "open field"): (1.0, 2.0)}}


# ---- administrations ------------------------------------------------------------------------

DOSE_HEADER = (
    "rec_day,date,animal_ID,weight,stock_uL,saline_uL,administration_method ,"
    "administration_time,alyx_registration\n"
)
DOSE = "2,14.06.2023,ZFM-1,25.5,76.5,123.5,Catheter ,0:19:20,Completed"


def test_administrations_are_read_as_they_stand(file: Path) -> None:
    file.write_text(f"{DOSE_HEADER}{DOSE}\n,01.02.2025, ZFM-2 ,,,,,,\n")
    days = pd.Timestamp("2023-06-14"), pd.Timestamp("2025-02-01")
    rows = read_administrations(file)
    assert list(rows) == [("ZFM-1", days[0]), ("ZFM-2", days[1])]
    assert rows["ZFM-1", days[0]] == Administration(
        "ZFM-1", days[0], 2, 19 * 60 + 20.0, 25.5, 76.5, 123.5
    )
    blank = rows["ZFM-2", days[1]]
    assert blank.rec_day == -1
    assert np.isnan([blank.time, blank.weight, blank.stock, blank.saline]).all()


def test_a_time_may_pass_an_hour(file: Path) -> None:
    file.write_text(DOSE_HEADER + DOSE.replace("0:19:20", "1:02:03") + "\n")
    assert [row.time for row in read_administrations(file).values()] == [3723.0]


@pytest.mark.parametrize(
    "date", ["2023-06-14", "06/14/2023", "31.02.2023", "14.06.23", "14.6", "", "today"]
)
def test_a_bad_date_is_refused(file: Path, date: str) -> None:
    message = refused(
        read_administrations, file, f"{DOSE_HEADER}{DOSE.replace('14.06.2023', date)}\n"
    )
    assert "row 1" in message
    assert "dd.mm.yyyy" in message


@pytest.mark.parametrize(
    "time", ["19:20", "1160", "0:19:60", "0:60:00", "-0:19:20", "0:19:20.5", "0:1x:20", "0:²0:00"]
)
def test_a_bad_time_is_refused(file: Path, time: str) -> None:
    message = refused(read_administrations, file, f"{DOSE_HEADER}{DOSE.replace('0:19:20', time)}\n")
    assert "row 1" in message
    assert "h:mm:ss" in message


@pytest.mark.parametrize(("cell", "column"), [("25.5", "weight"), ("76.5", "stock_uL")])
def test_text_for_a_number_is_refused_by_column(file: Path, cell: str, column: str) -> None:
    content = f"{DOSE_HEADER}{DOSE.replace(cell, 'heavy')}\n"
    assert f"column {column}" in refused(read_administrations, file, content)


def test_two_rows_of_a_subject_and_day_are_refused(file: Path) -> None:
    content = f"{DOSE_HEADER}{DOSE}\n{DOSE.replace('ZFM-1', ' ZFM-1')}\n"
    message = refused(read_administrations, file, content)
    assert "row 2" in message
    assert "ZFM-1" in message


def test_a_row_without_a_subject_is_refused(file: Path) -> None:
    content = f"{DOSE_HEADER}{DOSE}\n{DOSE.replace('ZFM-1', '')}\n"
    assert "row 2" in refused(read_administrations, file, content)


@pytest.mark.parametrize("day", ["1.5", "inf"])
def test_a_day_that_is_no_whole_number_is_refused(file: Path, day: str) -> None:
    content = f"{DOSE_HEADER}{DOSE}\n{DOSE.replace('2,14', f'{day},15')}\n"
    assert "rec_day" in refused(read_administrations, file, content)


def dose(weight: float, stock: float, saline: float, day: int = 1, name: str = "M") -> Any:
    date = pd.Timestamp(2023, 1, day)
    return Administration(name, date, day, 1200.0, weight, stock, saline)


def test_rows_within_the_labs_rules_are_not_noted() -> None:
    rows = [
        dose(25, 75, 125),
        dose(25, 75, 125.1, 2),
        dose(28, 84, 116, 3),
        dose(40, 120, 80, 1, "N"),
    ]
    assert odd_administrations(rows) == []


def test_a_total_that_is_not_200_is_noted() -> None:
    # 2023-07-05 says 11.2 where 111.2 would fit
    (note,) = odd_administrations([dose(29.6, 88.8, 11.2)])
    assert note.startswith("M 2023-01-01")
    assert "100 uL" in note


def test_a_stock_that_does_not_fit_the_weight_is_noted() -> None:
    (note,) = odd_administrations([dose(25, 80, 120)])
    assert "3.20 uL/g" in note


def test_a_jump_of_weight_is_noted_in_order_of_the_days() -> None:
    rows = [dose(28.9, 86.7, 113.3, 3), dose(29, 87, 113, 1), dose(22, 66, 134, 2)]
    notes = odd_administrations(rows)
    assert [n.split(":")[0] for n in notes] == ["M 2023-01-02", "M 2023-01-03"]
    assert "29 g before, 22 g now" in notes[0]


def test_a_jump_of_weight_is_noted_across_a_blank_one() -> None:
    blank = dose(np.nan, np.nan, np.nan, 2)
    notes = odd_administrations([dose(29, 87, 113, 1), blank, dose(22, 66, 134, 3)])
    assert [n for n in notes if n.startswith("M 2023-01-03")] != []


# ---- trajectories ---------------------------------------------------------------------------

TRACK_HEADER = "date,subject,eid,trajectory_01,error_t01,trajectory_02,error_t02\n"
TRACK = f"14.06.2023,ZFM-1,{EID},T2.1L,FALSE,T3.2R,TRUE"


def test_trajectories_are_read_by_session(file: Path) -> None:
    file.write_text(f"{TRACK_HEADER}{TRACK}\n01.02.2025,ZFM-2,{OTHER.upper()},T1.1R,,,\n")
    assert read_trajectories(file) == {
        EID: {
            "date": "2023-06-14",
            "trajectory_01": "T2.1L",
            "error_t01": "false",
            "trajectory_02": "T3.2R",
            "error_t02": "true",
        },
        OTHER: {
            "date": "2025-02-01",
            "trajectory_01": "T1.1R",
            "error_t01": "unknown",
            "trajectory_02": "",
            "error_t02": "unknown",
        },
    }


@pytest.mark.parametrize(
    "row",
    [
        TRACK.replace(EID, EID.upper()),
        TRACK.replace(EID, "ZFM-1"),
        TRACK.replace(EID, ""),
        TRACK.replace(EID, OTHER).replace("14.06.2023", "2023-06-14"),
    ],
    ids=["twice", "no UUID", "no session", "bad date"],
)
def test_a_bad_row_of_trajectories_is_refused_by_its_number(file: Path, row: str) -> None:
    assert "row 2" in refused(read_trajectories, file, f"{TRACK_HEADER}{TRACK}\n{row}\n")


# ---- exclusions -----------------------------------------------------------------------------


def test_exclusions_are_read_by_id(file: Path) -> None:
    file.write_text(f"id,reason\n{EID.upper()}, seizure \n{OTHER},wrong mouse\n")
    assert dict(read_exclusions(file)) == {EID: "seizure", OTHER: "wrong mouse"}


@pytest.mark.parametrize(
    "row",
    [f"{OTHER},", f"{OTHER},  ", OTHER, "ZFM-1,seizure", ",seizure", f"{EID},another reason"],
    ids=["blank reason", "white reason", "no reason", "no UUID", "no id", "twice"],
)
def test_a_bad_row_of_exclusions_is_refused_by_its_number(file: Path, row: str) -> None:
    content = f"id,reason\n{EID},seizure\n{row}\n"
    assert "row 2" in refused(read_exclusions, file, content)


def test_a_table_without_reasons_is_refused(file: Path) -> None:
    assert "reason" in refused(read_exclusions, file, f"id\n{EID}\n")
