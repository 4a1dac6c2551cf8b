"""What is given to whom and when: conditions, history, dose, and the lab's odd rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lsdx.assemble.cohort import Cohort
from lsdx.assemble.layout import Sorting
from lsdx.assemble.recording import Probe, Recording, Run
from lsdx.assemble.sessions import assemble_sessions
from lsdx.config import Pharmacology
from lsdx.readers.ephys import Clusters, Spikes
from lsdx.readers.lab import Administration, odd_administrations
from lsdx.readers.passive import TaskSettings
from lsdx.readers.records import DatasetRecord, InsertionRecord, SessionRecord
from lsdx.schema import SCHEMAS
from lsdx.schema.spec import validate


def session(eid, day, subject="M1", *, number=1, start=None):
    date = pd.Timestamp(day)
    start = pd.NaT if start is None else date + pd.Timedelta(start)
    return SessionRecord(eid, "lab", subject, date, number, start_time=start)


def given(day, subject="M1", *, weight=25.0, stock=75.0, saline=125.0, rec_day=1, time=1200.0):
    return Administration(subject, pd.Timestamp(day), rec_day, time, weight, stock, saline)


def table(*rows):
    return {(r.subject, r.date): r for r in rows}


def labels(cohort, *eids):
    """Labels as one mapping a session."""
    eids = eids or tuple(s.eid for s in cohort.sessions)
    columns = cohort.labels(eids)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


# Conditions


A = session("a", "2025-03-04")


@pytest.mark.parametrize(
    ("rows", "lists", "condition"),
    [
        ((given("2025-03-04"),), {}, ("lsd", "administrations")),
        ((given("2025-03-04"),), {"lsd": ("a",)}, ("lsd", "administrations")),
        ((), {"lsd": ("a",)}, ("lsd", "settings")),
        ((), {"saline": ("a",)}, ("saline", "settings")),
        ((), {"saline": ("b",)}, ("unknown", "")),
        ((), {}, ("unknown", "")),
        # a row of another day, of another mouse
        ((given("2025-03-03"), given("2025-03-04", "M2")), {}, ("unknown", "")),
        ((given("2025-03-03"),), {"saline": ("a",)}, ("saline", "settings")),
    ],
)
def test_condition_and_where_it_comes_from(rows, lists, condition):
    cohort = Cohort((A,), conditions=lists, administrations=table(*rows))
    assert cohort.condition(A) == condition
    (row,) = labels(cohort)
    assert (row["condition"], row["condition_source"]) == condition


def test_table_and_list_that_disagree_are_unknown_and_noted():
    cohort = Cohort((A,), conditions={"saline": ("a",)}, administrations=table(given("2025-03-04")))
    condition, source = cohort.condition(A)
    assert condition == "unknown"
    assert source.startswith("conflict")
    assert [n for n in cohort.notes() if n.startswith("session a: condition unknown")]


def test_conditions_may_have_other_names():
    cohort = Cohort(
        (A, session("b", "2025-03-05"), session("c", "2025-03-06")),
        condition_names=("psilocybin", "vehicle", "sham"),
        conditions={"sham": ("b",)},
        administrations=table(given("2025-03-04")),
    )
    assert [r["condition"] for r in labels(cohort)] == ["psilocybin", "sham", "unknown"]


# Order of sessions


def test_session_n_is_the_rank_of_start_within_the_subject():
    cohort = Cohort(
        (
            session("late", "2023-07-20", start="9h"),
            session("other", "2023-07-01", "M2", start="9h"),
            session("first", "2023-07-05", start="9h"),
            session("evening", "2023-07-06", start="18h"),
            session("morning", "2023-07-06", number=2, start="9h"),
        )
    )
    found = {s.eid: r["session_n"] for s, r in zip(cohort.sessions, labels(cohort), strict=True)}
    assert found == {"first": 1, "morning": 2, "evening": 3, "late": 4, "other": 1}


def test_session_n_is_a_dense_rank():
    cohort = Cohort(
        tuple(
            session(eid, day, start="9h")
            for eid, day in [("a", "2023-07-05"), ("b", "2023-07-05"), ("c", "2023-07-09")]
        )
    )
    assert [r["session_n"] for r in labels(cohort)] == [1, 1, 2]


def test_sessions_of_one_day_without_start_are_ranked_by_number():
    cohort = Cohort((session("b", "2023-07-05", number=2), session("a", "2023-07-05", number=1)))
    assert [r["session_n"] for r in labels(cohort)] == [2, 1]


def test_session_n_counts_sessions_that_are_not_stored():
    cohort = Cohort(tuple(session(e, f"2023-07-0{i}") for i, e in enumerate("abc", 1)))
    assert [r["session_n"] for r in labels(cohort, "c")] == [3]


# Days since LSD


def days(cohort, *eids):
    return [(r["days_since_lsd"], r["days_since_first_lsd"]) for r in labels(cohort, *eids)]


def test_days_since_lsd_come_from_table_and_lists():
    cohort = Cohort(
        (
            session("listed", "2023-07-10"),
            session("control", "2023-07-14"),
            session("later", "2023-08-01"),
        ),
        conditions={"lsd": ("listed",), "saline": ("control",)},
        administrations=table(given("2023-07-05")),  # no session of that day at all
    )
    np.testing.assert_array_equal(days(cohort), [(5, 5), (4, 9), (22, 27)])
    # what is stored makes no difference
    np.testing.assert_array_equal(days(cohort, "control"), [(4, 9)])


def test_the_day_itself_and_what_follows_are_not_before():
    cohort = Cohort(
        (session("a", "2023-07-05", start="9h"), session("b", "2023-07-06", start="1h")),
        administrations=table(given("2023-07-05"), given("2023-07-06"), given("2023-07-09")),
    )
    np.testing.assert_array_equal(days(cohort), [(np.nan, np.nan), (1, 1)])


def test_days_since_lsd_are_of_the_same_mouse_and_nothing_else():
    cohort = Cohort(
        (session("a", "2023-07-10"), session("b", "2023-07-09"), session("c", "2023-07-08", "M2")),
        conditions={"saline": ("b",), "lsd": ("c",)},
        administrations=table(given("2023-07-01", "M2")),
    )
    np.testing.assert_array_equal(days(cohort), [(np.nan, np.nan), (np.nan, np.nan), (7, 7)])


def test_days_cross_months_and_leap_years():
    cohort = Cohort((session("a", "2024-03-01", start="23h"),), administrations=table(
        given("2024-02-28"), given("2023-03-01")))  # fmt: skip
    np.testing.assert_array_equal(days(cohort), [(2, 366)])


# Dose, trajectories, exclusions


def test_dose_is_stock_per_body_mass():
    row = given("2025-03-04", weight=25.0, stock=75.0, saline=125.0, rec_day=4)
    (found,) = labels(Cohort((A,), administrations=table(row)))
    assert found["stock_per_weight"] == 3.0
    assert (found["weight"], found["stock_volume"], found["saline_volume"]) == (25.0, 75.0, 125.0)
    assert found["rec_day"] == 4
    assert found["cohort_year"] == 2025


def test_without_a_row_dose_is_unknown():
    (found,) = labels(Cohort((A,), conditions={"lsd": ("a",)}))
    for name in ("stock_per_weight", "dose", "weight", "stock_volume", "saline_volume"):
        assert np.isnan(found[name])
    assert found["rec_day"] == -1


@pytest.mark.parametrize("weight", [np.nan, 0.0])
def test_without_a_weight_dose_is_unknown(weight):
    (found,) = labels(Cohort((A,), administrations=table(given("2025-03-04", weight=weight))))
    assert np.isnan(found["stock_per_weight"])


def trajectory(day="2025-03-04"):
    return {
        "date": day,
        "trajectory_01": "T2.1L",
        "error_t01": "false",
        "trajectory_02": "T5.0R",
        "error_t02": "true",
    }


def test_trajectories_are_labels_with_their_error_flags():
    cohort = Cohort((A, session("b", "2025-03-05")), trajectories={"a": trajectory()})
    found, other = labels(cohort)
    names = ("trajectory_01", "error_t01", "trajectory_02", "error_t02")
    assert [found[n] for n in names] == ["T2.1L", "false", "T5.0R", "true"]
    assert [other[n] for n in names] == ["", "unknown", "", "unknown"]
    assert cohort.notes() == []


def test_a_trajectory_of_another_date_is_flagged():
    notes = Cohort((A,), trajectories={"a": trajectory("2025-03-05")}).notes()
    assert len(notes) == 1
    assert "a is dated 2025-03-05" in notes[0]


def test_an_administration_without_a_session_is_noted():
    rows = table(given("2025-03-04"), given("2025-03-04", "M2"), given("2025-03-11"))
    notes = Cohort((A,), administrations=rows).notes()
    assert notes == [
        "administrations: M1 2025-03-11 has no session",
        "administrations: M2 2025-03-04 has no session",
    ]


def test_exclusions_are_labels():
    cohort = Cohort((A, session("b", "2025-03-05")), exclusions={"a": "probe moved"})
    assert [r["exclusion"] for r in labels(cohort)] == ["probe moved", ""]


def test_labels_are_those_the_store_declares():
    declared = {v.name for v in SCHEMAS["sessions"].variables if v.cohort} - {"n_units"}
    assert set(Cohort((A,)).labels(["a"])) == declared
    assert Cohort((A,)).labels([]) == {}


# Odd rows of the table of administrations


@pytest.mark.parametrize(
    ("stock", "saline", "odd"),
    [
        (75.0, 125.0, False),
        (75.0, 125.1, False),
        (75.0, 125.5, False),
        (75.0, 125.75, True),
        (75.0, 124.5, False),
        (75.0, 124.25, True),
    ],
)
def test_totals_other_than_200_ul_are_odd(stock, saline, odd):
    notes = odd_administrations([given("2023-07-05", stock=stock, saline=saline)])
    assert len(notes) == odd
    assert all("M1 2023-07-05" in n and "200" in n for n in notes)


def test_the_row_of_2023_07_05_is_odd():
    # 29.6 g: 88.8 uL of stock; 11.2 stands where 111.2 would make 200
    row = given("2023-07-05", weight=29.6, stock=88.8, saline=11.2)
    assert odd_administrations([row]) == ["M1 2023-07-05: stock + saline is 100 uL, not 200"]
    mended = given("2023-07-05", weight=29.6, stock=88.8, saline=111.2)
    assert odd_administrations([mended]) == []


def test_stock_other_than_3_ul_per_g_is_odd():
    notes = odd_administrations([given("2023-07-05", weight=25.0, stock=100.0, saline=100.0)])
    assert len(notes) == 1
    assert "4.00 uL/g" in notes[0]


def test_another_labs_rules_are_checked_in_its_words():
    rules = Pharmacology(
        drug="dmt", control="vehicle", stock_per_gram=4.0, total_volume=100.0, weight_step=0.5
    )
    good = given("2023-07-01", weight=20.0, stock=80.0, saline=20.0)
    odd = given("2023-07-02", weight=25.0, stock=75.0, saline=125.0)
    assert odd_administrations([good, odd], rules) == [
        "M1 2023-07-02: stock + vehicle is 200 uL, not 100",
        "M1 2023-07-02: stock is 3.00 uL/g, not 4",
    ]
    cohort = Cohort(
        (session("a", "2023-07-01"), session("b", "2023-07-02")),
        condition_names=("dmt", "vehicle"),
        administrations=table(good, odd),
        rules=rules,
    )
    first, second = labels(cohort)
    assert (first["condition"], first["flags"]) == ("dmt", "")
    assert (second["condition"], second["flags"]) == ("dmt", "volume, stock")


def weighed(*weights):
    return [
        given(f"2023-07-{day:02d}", weight=w, stock=3 * w, saline=200 - 3 * w)
        for day, w in enumerate(weights, 1)
    ]


def test_weight_jumps_over_15_percent_are_odd():
    notes = odd_administrations(weighed(29.0, 22.0, 28.9))  # -24 %, +31 %
    assert len(notes) == 2
    assert "M1 2023-07-02" in notes[0]
    assert "M1 2023-07-03" in notes[1]


def test_weight_steps_up_to_15_percent_are_not_odd():
    assert odd_administrations(weighed(20.0, 22.9, 20.0, 17.1)) == []  # 14.5, -12.7, -14.5 %
    assert len(odd_administrations(weighed(20.0, 23.1))) == 1  # 15.5 %
    assert len(odd_administrations(weighed(20.0, 16.9))) == 1  # -15.5 %


def test_weights_are_compared_by_day_within_a_mouse():
    rows = weighed(20.0, 22.0, 24.0)
    assert odd_administrations([rows[2], rows[0], rows[1]]) == []
    other = given("2023-07-02", "M2", weight=40.0, stock=120.0, saline=80.0)
    assert odd_administrations([*rows, other]) == []


def test_a_blank_weight_does_not_hide_a_jump():
    blank = given("2023-07-02", weight=np.nan)
    first, _, last = weighed(29.0, 25.0, 22.0)
    assert len(odd_administrations([first, blank, last])) == 1


def test_a_weight_of_zero_does_not_stop_the_report():
    zero = given("2023-07-01", weight=0.0)
    notes = odd_administrations([zero, given("2023-07-02")])
    assert isinstance(notes, list)


# The row of one session


def test_a_session_s_row_is_its_record():
    passive = TaskSettings("_iblrig_tasks_passiveChoiceWorld6.6.0", {})
    filler = TaskSettings("_iblrig_tasks_spontaneous8.19.2", {})
    record = SessionRecord(
        "a", "cortexlab", "ZFM-06048", pd.Timestamp("2023-07-05"), 2,
        start_time=pd.Timestamp("2023-07-05 13:00:01.5"), task_protocol="passive/passive",
        projects="psychedelics", qc="PASS",
    )  # fmt: skip
    recording = Recording(
        record,
        insertions=tuple(InsertionRecord(f"p{i}", "a", f"probe0{i}") for i in range(2)),
        datasets=(DatasetRecord("alf/task_02/_ibl_passiveStims.table.csv"),),
        runs=(Run(0, passive), Run(1, filler), Run(2, passive)),
    )
    out = assemble_sessions(recording)
    validate(out, SCHEMAS["sessions"], cohort=False)
    row = out.isel(session=0)
    expected = {
        "session": "a", "subject": "ZFM-06048", "lab": "cortexlab", "date": "2023-07-05",
        "number": 2, "task_protocol": "passive/passive", "projects": "psychedelics", "qc": "PASS",
        "n_probes": 2, "n_tasks": 3,
    }  # fmt: skip
    assert {name: row[name].item() for name in expected} == expected
    assert row["start_time"].values == np.datetime64("2023-07-05T13:00:01.500")
    # the passive runs are 0 and 2
    status = dict(zip(out["dataset"].values, row["status"].values, strict=True))
    assert status["task/pre/passiveStims.table"] == "extraction error"
    assert status["task/post/passiveStims.table"] == "extraction complete"


def test_a_session_without_start_time_or_insertions():
    datasets = tuple(
        DatasetRecord(f"alf/probe0{i}/ks2/spikes.times.npy", readable=False) for i in range(2)
    )
    out = assemble_sessions(Recording(session("a", "2023-07-05"), datasets=datasets))
    validate(out, SCHEMAS["sessions"], cohort=False)
    assert np.isnat(out["start_time"].values).all()
    assert out["n_probes"].item() == 2
    assert out["n_tasks"].item() == 0
    assert out["status"].sel(dataset="task/pre/raw").item() == "raw data missing"


# ---- video, dose, flags ---------------------------------------------------------------------


def test_video_checks_stand_under_their_camera():
    session = SessionRecord(
        "eid",
        "lab",
        "M1",
        pd.Timestamp("2023-07-05"),
        1,
        extended_qc={"_videoLeft_dropped_frames": ["PASS", 3], "_videoBody_pin_state": "FAIL"},
    )
    row = assemble_sessions(Recording(session=session)).isel(session=0)
    assert row.video_qc.sel(camera="left", check="dropped_frames").item() == "PASS"
    assert row.video_qc_value.sel(camera="left", check="dropped_frames").item() == 3.0
    assert row.video_qc.sel(camera="body", check="pin_state").item() == "FAIL"
    assert (row.video_qc.sel(camera="right") == "").all()


def test_what_else_the_record_tests_is_told_with_its_outcome():
    checks = {
        "experimenter": "PASS",
        "_videoLeft_brightness": ["WARNING", 2, 0],
        "_videoLeft_dropped_frames": ["PASS", 3],
        "task": "NOT SET",
        "behavior": 1,
        "_task_stimOn_delays": 0.98,
        "alignment_stored": "2021-02-04T18:26:12_user",
        "empty": [],
    }
    session = SessionRecord("eid", "lab", "M1", pd.Timestamp("2023-07-05"), 1, extended_qc=checks)
    row = assemble_sessions(Recording(session=session)).isel(session=0)
    stated = "_videoLeft_brightness=WARNING, experimenter=PASS, task=NOT_SET"
    assert row.extended_qc.item() == stated


def test_a_session_tells_the_histology_stage_of_each_probe():
    session = SessionRecord("eid", "lab", "M1", pd.Timestamp("2023-07-05"), 1)
    insertions = (
        InsertionRecord("a", "eid", "probe00", json={"xyz_picks": [[1, 2, 3]]}),
        InsertionRecord("b", "eid", "probe01a"),
    )
    recording = Recording(session=session, insertions=insertions, stacks=True)
    row = assemble_sessions(recording).isel(session=0)
    assert row.histology.item() == "probe00=traced, probe01a=no-tracing"
    assert assemble_sessions(Recording(session=session)).histology.item() == ""


@pytest.mark.parametrize(
    ("labels", "state"),
    [(["", "GOOD"], "extraction complete"), (["", ""], "extraction error")],
)
def test_bombcell_is_complete_where_a_label_was_read(labels, state):
    none = np.full(2, np.nan)
    clusters = Clusters(
        channels=np.zeros(2, dtype=np.int64),
        depths=none,
        uuids=np.full(2, "", dtype=object),
        metrics={},
        ks2_label=np.full(2, "", dtype=object),
        bombcell=np.array(labels, dtype=object),
    )
    probe = Probe(
        InsertionRecord("pid", "eid", "probe00"),
        Sorting("probe00", "alf/probe00/ks2", "ks2", "", "", ()),
        Spikes(np.zeros(3, dtype=np.uint32), np.zeros(3, dtype=np.uint16)),
        clusters,
        None,
        duplicates=np.zeros(3, dtype=bool),
    )
    raw = DatasetRecord("raw_ephys_data/probe00/_spikeglx_ephysData_g0_t0.imec0.ap.cbin")
    session = SessionRecord("eid", "lab", "M1", pd.Timestamp("2023-07-05"), 1)
    recording = Recording(session=session, datasets=(raw,), probes=(probe,))
    status = assemble_sessions(recording).isel(session=0).status
    assert status.sel(dataset="ephys/probe00/bombcell").item() == state


def test_the_dose_needs_the_concentration_of_the_stock():
    session = SessionRecord("a", "lab", "M1", pd.Timestamp("2023-07-05"), 1)
    row = given("2023-07-05", weight=25.0, stock=75.0, saline=125.0)
    table = {(row.subject, row.date): row}
    known = Cohort((session,), administrations=table, stock_concentration=0.1)
    # 75 uL of 0.1 ug/uL are 7.5 ug; in 25 g that is 300 ug/kg
    assert known.labels(["a"])["dose"] == [pytest.approx(300.0)]
    assert np.isnan(Cohort((session,), administrations=table).labels(["a"])["dose"]).all()


def test_flags_name_the_rules_that_are_broken():
    session = SessionRecord("a", "lab", "M1", pd.Timestamp("2023-07-05"), 1)
    row = given("2023-07-05", weight=29.6, stock=88.8, saline=11.2)
    odd = Cohort(
        (session,),
        administrations={(row.subject, row.date): row},
        trajectories={"a": {"date": "2023-07-06"}},
        conditions={"saline": ("a",)},
    )
    assert odd.labels(["a"])["flags"] == ["volume, trajectory_date, condition"]
    assert Cohort((session,)).labels(["a"])["flags"] == [""]
