"""Epoch times by the rules of the recordings: every expected time is worked out by hand.

The first passive run begins at 100 s of the spike clock, the second at 3000 s; all times are
sums of binary fractions, so that equality is exact unless a test is about decimals.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from lsdx.assemble.epochs import assemble_epochs, observed, uncertainty
from lsdx.assemble.insertions import assemble_insertions
from lsdx.assemble.layout import GABORS, INTERVALS, STIMS, Sorting
from lsdx.assemble.recording import Probe, Recording, Run
from lsdx.clock import to_ticks
from lsdx.config import Pharmacology
from lsdx.readers.ephys import METRICS, Clusters, Spikes
from lsdx.readers.lab import Administration
from lsdx.readers.passive import Gabors, TaskSettings
from lsdx.readers.records import InsertionRecord, SessionRecord
from lsdx.schema import SCHEMAS
from lsdx.schema.spec import validate

EID = "7b26ce84-07f9-43d1-957f-bc72aeb730a3"
DAY = pd.Timestamp("2023-07-05")
RIG = pd.Timestamp("2023-07-05 14:00:00")
DATETIME, START_TIME = "SESSION_DATETIME", "SESSION_START_TIME"
PASSIVE = "_iblrig_tasks_passiveChoiceWorld6.6.0"
FILLER = "_iblrig_tasks_spontaneous8.19.2"
TRAINING = "_iblrig_tasks_ephysChoiceWorld6.6.0"
EPOCHS = ("spontaneous", "rfm", "replay")
END_OF_RECORDING = 9999.0


# Inputs


def settings(after=0.0, *, protocol=PASSIVE, fields=(DATETIME, START_TIME)):
    """Rig settings of a run that starts ``after`` seconds past 14:00."""
    return TaskSettings(protocol, dict.fromkeys(fields, RIG + pd.Timedelta(seconds=after)))


def intervals(
    begin, *, spontaneous=(0.0, 300.0), rfm=(310.0, 611.0), replay=620.0, stop=END_OF_RECORDING
):
    """An intervals table, in seconds after ``begin``; the last two stops run to the end."""
    return {
        "passiveProtocol": (begin, stop),
        "spontaneousActivity": (begin + spontaneous[0], begin + spontaneous[1]),
        "RFM": (begin + rfm[0], begin + rfm[1]),
        "taskReplay": (begin + replay, stop),
    }


def gabors(start, stop):
    start, stop = np.array(start, dtype=float), np.array(stop, dtype=float)
    return Gabors(start, stop, *np.full((3, start.size), 1.0))


def run(number, begin=None, *, rig=0.0, protocol=PASSIVE, fields=(DATETIME, START_TIME), **more):
    """One run; with ``begin``, it has tables whose replay lasts from 621.5 to 919.25 s in it."""
    made = Run(number, settings(rig, protocol=protocol, fields=fields))
    if begin is not None:
        blinks = [begin + s for s in (621.5, 700.0, 919.0)]
        made = replace(
            made, intervals=intervals(begin), gabors=gabors(blinks, [b + 0.25 for b in blinks])
        )
    return replace(made, **more)


def filler(number, rig, **more):
    return run(number, rig=rig, protocol=FILLER, **more)


def probe(name="probe00", *, last=5000.0, times=None):
    """One unit that fires every 5 s until ``last``."""
    times = np.append(np.arange(0.0, last, 5.0), last) if times is None else np.asarray(times)
    number = int(name.removeprefix("probe"))
    pid = f"00000000-0000-4000-8000-00000000000{number}"
    nothing = np.array([""], dtype=object)
    return Probe(
        InsertionRecord(pid, EID, name),
        Sorting(name, f"alf/{name}/pykilosort", "pykilosort", "", "", ()),
        Spikes(to_ticks(times).astype(np.uint32), np.zeros(times.size, dtype=np.uint16)),
        Clusters(
            np.zeros(1, dtype=np.int64),
            np.zeros(1),
            nothing,
            {m: np.full(1, np.nan) for m in METRICS},
            nothing,
            nothing,
        ),
        None,
    )


def record(*runs, probes=(), **more):
    session = SessionRecord(EID, "cortexlab", "ZFM-06048", DAY, 1)
    return Recording(
        session=more.pop("session", session),
        insertions=tuple(p.insertion for p in probes),
        probes=tuple(probes),
        runs=runs,
        **more,
    )


def given_at(time):
    return Administration("ZFM-06048", DAY, 1, time, 25.0, 75.0, 125.0)


def both(**more):
    """Two passive runs with tables, 2900 s apart on both clocks."""
    return record(run(1, 100.0), run(2, 3000.0, rig=2900.0), **more)


# What is asked of the output


def assemble(recording):
    return validate(assemble_epochs(recording), SCHEMAS["epochs"], cohort=False)


def span(epochs, phase, epoch):
    place = epochs.isel(session=0).sel(phase=phase, epoch=epoch)
    return place["start"].item(), place["stop"].item(), place["provenance"].item()


def flags(epochs, phase, epoch):
    return epochs["flags"].isel(session=0).sel(phase=phase, epoch=epoch).item()


def all_flags(epochs):
    return {
        (str(p), str(e)): f
        for p in epochs["phase"].values
        for e in epochs["epoch"].values
        if (f := flags(epochs, p, e))
    }


def injection(epochs):
    names = ("administration", "administration_provenance", "administration_flags")
    return tuple(epochs[n].item() for n in names)


def assert_missing(epochs, phase, names=EPOCHS, flag=""):
    for epoch in names:
        start, stop, provenance = span(epochs, phase, epoch)
        assert np.isnan(start)
        assert np.isnan(stop)
        assert provenance == "missing"
        assert flags(epochs, phase, epoch) == flag


# 1. Which run is which


def test_pre_and_post_are_first_and_second_passive_run_whatever_their_number():
    epochs = assemble(record(run(3, 100.0), run(7, 3000.0)))
    assert span(epochs, "pre", "spontaneous") == (100.0, 400.0, "alf")
    assert span(epochs, "pre", "rfm") == (410.0, 711.0, "alf")
    assert span(epochs, "pre", "replay") == (721.5, 1019.25, "gabor")
    assert span(epochs, "post", "spontaneous") == (3000.0, 3300.0, "alf")
    assert span(epochs, "post", "rfm") == (3310.0, 3611.0, "alf")
    assert span(epochs, "post", "replay") == (3621.5, 3919.25, "gabor")
    assert epochs["session_flags"].item() == ""
    assert all_flags(epochs) == {}


def test_filler_run_is_no_phase_even_with_tables():
    epochs = assemble(record(run(0, 100.0), filler(1, 1200.0, begin=1300.0), run(2, 3000.0)))
    assert span(epochs, "post", "spontaneous") == (3000.0, 3300.0, "alf")
    assert epochs["session_flags"].item() == ""


def test_other_protocols_are_ignored():
    epochs = assemble(
        record(
            run(0, 50.0, protocol=TRAINING),
            run(1, 100.0),
            run(2, 2000.0, protocol=TRAINING),
            run(3, 3000.0),
        )
    )
    assert span(epochs, "pre", "spontaneous")[0] == 100.0
    assert span(epochs, "post", "spontaneous")[0] == 3000.0


def test_protocol_with_passive_and_spontaneous_in_its_name_is_a_passive_run():
    name = "samuel_passiveChoiceWorld_spontaneous"
    epochs = assemble(record(run(0, 100.0), run(1, 3000.0, rig=2900.0, protocol=name)))
    assert span(epochs, "post", "spontaneous")[0] == 3000.0
    assert injection(epochs)[1] == "missing"  # it is no filler


def test_alyx_task_protocol_is_not_trusted():
    said = SessionRecord(EID, "cortexlab", "M", DAY, 1, task_protocol=PASSIVE)
    epochs = assemble(both(session=said))
    assert span(epochs, "post", "spontaneous")[0] == 3000.0


def test_one_passive_run_is_pre():
    epochs = assemble(record(run(4, 100.0)))
    assert span(epochs, "pre", "spontaneous") == (100.0, 400.0, "alf")
    assert_missing(epochs, "post")
    assert np.isnan(epochs["rig_residual"].values).all()


def test_no_runs_is_all_missing():
    epochs = assemble(record())
    assert_missing(epochs, "pre")
    assert_missing(epochs, "post")


def test_third_passive_run_is_ignored_and_flagged():
    epochs = assemble(record(run(0, 100.0), run(1, 3000.0), run(2, 4500.0)))
    assert epochs["session_flags"].item() == "extra_passive_run"
    assert span(epochs, "post", "replay") == (3621.5, 3919.25, "gabor")
    assert np.nanmax(epochs["stop"].values) == 3919.25


# 2. spontaneous and rfm


def one(**table):
    return assemble(record(run(0, intervals=intervals(100.0, **table))))


@pytest.mark.parametrize(
    ("length", "stop", "provenance", "flag"),
    [
        (299.0, 399.0, "alf", ""),
        (301.0, 401.0, "alf", ""),
        (301.01, 400.0, "alf_cut", "cut"),
        (600.0, 400.0, "alf_cut", "cut"),
    ],
)
def test_spontaneous_longer_than_301_s_is_cut_to_300(length, stop, provenance, flag):
    epochs = one(spontaneous=(0.0, length), rfm=(700.0, 1001.0), replay=1010.0)
    assert span(epochs, "pre", "spontaneous") == (100.0, stop, provenance)
    assert flags(epochs, "pre", "spontaneous") == flag


@pytest.mark.parametrize("start", ["211.2", "212.7", "100.1"])
def test_spontaneous_of_301_s_in_decimals_is_not_cut(start):
    # 512.2 - 211.2 is 301.00000000000006 in floats; in ticks it is 301 s
    stop = f"{int(start[:3]) + 301}.{start[4:]}"
    table = intervals(0.0, rfm=(600.0, 901.0), replay=910.0)
    table["spontaneousActivity"] = (float(start), float(stop))
    epochs = assemble(record(run(0, intervals=table)))
    assert span(epochs, "pre", "spontaneous") == (float(start), float(stop), "alf")


def test_long_rfm_is_not_cut():
    epochs = one(rfm=(310.0, 930.0), replay=940.0)
    assert span(epochs, "pre", "rfm") == (410.0, 1030.0, "alf")


def test_blank_cells_of_the_intervals_table_make_only_that_epoch_missing():
    epochs = one(rfm=(np.nan, np.nan))
    assert span(epochs, "pre", "spontaneous")[2] == "alf"
    assert_missing(epochs, "pre", ["rfm"])
    assert span(epochs, "pre", "replay") == (720.0, 1020.0, "replay_start+300")


# 3. replay


def replay(**more):
    epochs = assemble(record(run(0, intervals=intervals(100.0), **more)))
    return (*span(epochs, "pre", "replay"), flags(epochs, "pre", "replay"))


def test_replay_is_first_gabor_start_to_last_gabor_stop_ignoring_blanks():
    blinks = gabors([722.5, np.nan, 800.0, np.nan], [722.75, 790.0, 1015.5, np.nan])
    assert replay(gabors=blinks) == (722.5, 1015.5, "gabor", "")


def test_replay_with_a_blank_first_gabor_starts_at_task_replay():
    blinks = gabors([np.nan, 725.0, 1015.0], [np.nan, 725.25, 1015.25])
    assert replay(gabors=blinks) == (720.0, 1015.25, "gabor", "first_gabor_blank")


def test_replay_without_gabor_table_lasts_300_s():
    assert replay() == (720.0, 1020.0, "replay_start+300", "")


@pytest.mark.parametrize("n", [0, 3])
def test_replay_with_only_blank_gabors_lasts_300_s(n):
    blank = np.full(n, np.nan)
    assert replay(gabors=gabors(blank, blank)) == (720.0, 1020.0, "replay_start+300", "")


@pytest.mark.parametrize("table", [None, gabors([721.0, 1015.0], [721.25, 1015.25])])
def test_stops_of_task_replay_and_passive_protocol_are_never_used(table):
    for stop in (1.0, 740.0, 1e6, np.nan):
        epochs = assemble(record(run(0, intervals=intervals(100.0, stop=stop), gabors=table)))
        assert span(epochs, "pre", "replay")[1] == (1020.0 if table is None else 1015.25)
        assert all_flags(epochs) == {}


# 4. Rig clock


def test_run_without_table_is_shifted_by_the_rig_clocks():
    epochs = assemble(record(run(0, 100.0, rig=10.0), run(1, rig=2950.5)))
    assert span(epochs, "post", "spontaneous") == (3040.5, 3340.5, "rig_clock")
    assert span(epochs, "post", "rfm") == (3350.5, 3651.5, "rig_clock")
    assert span(epochs, "post", "replay") == (3662.0, 3959.75, "rig_clock")
    assert span(epochs, "pre", "replay") == (721.5, 1019.25, "gabor")


def test_pre_without_table_is_shifted_back_from_post():
    epochs = assemble(record(run(0, rig=10.0), run(1, 3000.0, rig=2860.0)))
    assert span(epochs, "pre", "spontaneous") == (150.0, 450.0, "rig_clock")
    assert span(epochs, "pre", "rfm") == (460.0, 761.0, "rig_clock")
    assert span(epochs, "pre", "replay") == (771.5, 1069.25, "rig_clock")
    assert span(epochs, "post", "spontaneous") == (3000.0, 3300.0, "alf")


def test_cut_spontaneous_and_assumed_replay_are_shifted_as_they_are():
    reference = run(0, intervals=intervals(100.0, spontaneous=(0.0, 600.0), rfm=(610.0, 911.0),
                                           replay=920.0))  # fmt: skip
    epochs = assemble(record(reference, run(1, rig=3000.0)))
    assert span(epochs, "post", "spontaneous") == (3100.0, 3400.0, "rig_clock")
    assert span(epochs, "post", "replay") == (4020.0, 4320.0, "rig_clock")


def test_a_blank_reference_epoch_is_missing_when_shifted():
    reference = run(0, intervals=intervals(100.0, rfm=(np.nan, np.nan)))
    epochs = assemble(record(reference, run(1, rig=3000.0)))
    assert_missing(epochs, "post", ["rfm"])
    assert span(epochs, "post", "spontaneous") == (3100.0, 3400.0, "rig_clock")


def test_shift_uses_session_datetime_of_both():
    first = TaskSettings(PASSIVE, {DATETIME: RIG, START_TIME: RIG - pd.Timedelta(hours=5)})
    second = TaskSettings(
        PASSIVE, {DATETIME: RIG + pd.Timedelta(seconds=2900), START_TIME: RIG}
    )  # fmt: skip
    epochs = assemble(record(run(0, 100.0, settings=first), Run(1, second)))
    assert span(epochs, "post", "spontaneous") == (3000.0, 3300.0, "rig_clock")


@pytest.mark.parametrize("bare", [0, 1])
def test_shift_uses_the_field_that_both_have(bare):
    # the one with both fields has a SESSION_DATETIME that is an hour off
    stamps = [
        {START_TIME: RIG},
        {START_TIME: RIG + pd.Timedelta(seconds=2800)},
    ]
    stamps[1 - bare][DATETIME] = RIG + pd.Timedelta(hours=1)
    first, second = (TaskSettings(PASSIVE, s) for s in stamps)
    epochs = assemble(record(run(0, 100.0, settings=first), Run(1, second)))
    assert span(epochs, "post", "spontaneous") == (2900.0, 3200.0, "rig_clock")


@pytest.mark.parametrize(
    ("first", "second"), [([DATETIME], [START_TIME]), ([DATETIME], []), ([], [])]
)
def test_without_a_common_rig_field_the_run_is_missing_and_flagged(first, second):
    epochs = assemble(record(run(0, 100.0, fields=first), run(1, fields=second)))
    assert_missing(epochs, "post", flag="no_rig_time")
    assert span(epochs, "pre", "spontaneous") == (100.0, 400.0, "alf")


def test_summer_time_of_alyx_changes_nothing():
    """Rig stamps are local, Alyx's start an hour off them: it plays no part."""
    runs = (run(0, 100.0), filler(1, 1200.0), run(2, rig=2900.0))
    summer, winter = (
        assemble(record(*runs, session=SessionRecord(EID, "lab", "M", DAY, 1, start_time=start)))
        for start in (RIG - pd.Timedelta(hours=1), RIG)
    )
    xr.testing.assert_identical(summer, winter)
    assert span(summer, "post", "spontaneous") == (3000.0, 3300.0, "rig_clock")
    assert injection(summer) == (1300.0, "filler_start", "")


def test_residual_is_predicted_minus_true_start():
    # the rig says 2902 s, the spike clock 2900: predicted 3002, true 3000
    epochs = assemble(record(run(0, 100.0, rig=5.0), run(1, 3000.0, rig=2907.0)))
    assert epochs["rig_residual"].values.tolist() == [[2.0, 2.0, 2.0]]


def test_residual_is_taken_for_each_epoch():
    second = run(1, rig=2900.0, intervals=intervals(3000.0, rfm=(314.0, 615.0)),
                 gabors=gabors([3621.0], [3621.25]))  # fmt: skip
    # rfm truly begins at 3314, predicted 3310; replay truly at 3621, predicted 3621.5
    epochs = assemble(record(run(0, 100.0), second))
    assert epochs["rig_residual"].values.tolist() == [[0.0, -4.0, 0.5]]


def test_residual_needs_both_tables():
    for runs in ([run(0, 100.0), run(1)], [run(0), run(1, 3000.0)], [run(0), run(1)]):
        assert np.isnan(assemble(record(*runs))["rig_residual"].values).all()


def test_residual_needs_a_common_rig_field():
    epochs = assemble(record(run(0, 100.0, fields=[DATETIME]), run(1, 3000.0, fields=[START_TIME])))
    assert np.isnan(epochs["rig_residual"].values).all()
    assert span(epochs, "post", "spontaneous") == (3000.0, 3300.0, "alf")


def timed(provenance, residuals):
    blank = np.full(np.shape(provenance), "", dtype=object)
    return xr.Dataset(
        {
            "flags": (("session", "phase", "epoch"), blank),
            "provenance": (
                ("session", "phase", "epoch"),
                np.array(provenance, dtype=object),
            ),
            "rig_residual": (("session", "epoch"), np.array(residuals, dtype=float)),
        }
    )


PROVENANCES = [
    [["alf", "alf", "gabor"], ["alf", "alf", "gabor"]],
    [["alf_cut", "alf", "gabor"], ["rig_clock", "rig_clock", "rig_clock"]],
    [["alf", "table", "replay_start+300"], ["missing", "table", "rig_clock"]],
]


BLANK = [np.nan] * 3


def test_uncertainty_of_shifted_times_is_the_95th_percentile_of_abs_residuals():
    # |r| = .5 1 2 4 8; 0.95 of the way from the first to the fifth is 3.8 steps: 4 + .8 * 4
    alike = [["alf", "alf", "gabor"]] * 2
    epochs = timed([alike, *PROVENANCES], [[0.5, -4.0, np.nan], BLANK, BLANK, [-1.0, 8.0, 2.0]])
    out = uncertainty(epochs)
    assert out.shape == (4, 2, 3)
    assert out[:2].tolist() == [[[0.0] * 3] * 2] * 2
    assert out[2, 0].tolist() == [0.0] * 3
    assert out[2, 1] == pytest.approx([7.2] * 3)
    assert out[3, 0, 0] == 0.0
    assert np.isnan(out[3, 0, 1:]).all()
    assert np.isnan(out[3, 1, :2]).all()
    assert out[3, 1, 2] == pytest.approx(7.2)


def test_uncertainty_of_one_residual_is_its_size():
    out = uncertainty(timed(PROVENANCES, [[np.nan, -0.25, np.nan], BLANK, BLANK]))
    assert out[1, 1].tolist() == [0.25] * 3


def test_uncertainty_of_shifted_times_is_unknown_without_residuals():
    out = uncertainty(timed(PROVENANCES, [BLANK] * 3))
    assert out[1, 0].tolist() == [0.0] * 3
    assert np.isnan(out[1, 1]).all()


# 5. No times


def test_no_intervals_table_anywhere_is_missing():
    epochs = assemble(record(run(0), run(1, rig=2900.0)))
    assert_missing(epochs, "pre")
    assert_missing(epochs, "post")
    assert "pre: no epoch times" in "; ".join(assemble_notes(record(run(0))))


def assemble_notes(recording):
    return assemble(recording).attrs["notes"]


def test_table_of_the_filler_run_is_no_reference():
    epochs = assemble(record(run(0), filler(1, 1200.0, begin=1300.0), run(2, rig=2900.0)))
    assert_missing(epochs, "pre")
    assert_missing(epochs, "post")


@pytest.mark.parametrize("bad", [0, 1])
def test_unreadable_intervals_are_missing_and_not_shifted(bad):
    runs = [run(0, 100.0), run(1, 3000.0, rig=2900.0)]
    runs[bad] = replace(runs[bad], intervals=None, unreadable=(INTERVALS,))
    epochs = assemble(record(*runs))
    phases = ("pre", "post")
    assert_missing(epochs, phases[bad], flag="unreadable")
    assert span(epochs, phases[1 - bad], "spontaneous")[2] == "alf"


def test_unreadable_other_tables_do_not_touch_the_intervals():
    epochs = assemble(record(run(0, 100.0, unreadable=(STIMS,)), run(1, rig=2900.0)))
    assert span(epochs, "pre", "replay") == (721.5, 1019.25, "gabor")
    spoilt = run(0, intervals=intervals(100.0), unreadable=(GABORS,))
    epochs = assemble(record(spoilt))
    assert span(epochs, "pre", "rfm") == (410.0, 711.0, "alf")
    assert_missing(epochs, "pre", ["replay"], flag="unreadable")


# 6. Injection


def test_injection_is_the_start_of_the_filler_run():
    epochs = assemble(
        record(run(0, 100.0, rig=20.0), filler(1, 1270.5), run(2, 3000.0, rig=2920.0))
    )
    assert injection(epochs) == (1350.5, "filler_start", "")


def test_injection_from_the_filler_counts_back_from_post_where_only_post_has_tables():
    epochs = assemble(record(run(0, rig=0.0), filler(1, 1200.0), run(2, 3000.0, rig=2900.0)))
    assert injection(epochs) == (1300.0, "filler_start", "")


def test_a_filler_run_before_the_first_passive_run_is_not_after_the_injection():
    epochs = assemble(record(filler(0, -600.0), run(1, 100.0), run(2, 3000.0, rig=2900.0)))
    assert injection(epochs)[1] == "missing"


def test_a_filler_run_alone_times_nothing():
    epochs = assemble(record(filler(0, 1200.0)))
    assert injection(epochs)[1] == "missing"
    assert_missing(epochs, "pre")


def test_filler_wins_over_the_table():
    epochs = assemble(
        record(
            run(0, 100.0), filler(1, 1200.0), run(2, 3000.0, rig=2900.0),
            administration=given_at(1111.0),
        )
    )  # fmt: skip
    assert injection(epochs) == (1300.0, "filler_start", "")


def test_filler_is_not_held_against_1800_s():
    # 3000 - 2900 = 100 s before post: between the runs, so nothing to flag
    epochs = assemble(record(run(0, 100.0), filler(1, 2800.0), run(2, 3000.0, rig=2900.0)))
    assert injection(epochs) == (2900.0, "filler_start", "")


def test_filler_without_a_common_rig_field_falls_back_to_the_table():
    runs = (run(0, 100.0, fields=[DATETIME]), filler(1, 1200.0, fields=[START_TIME]),
            run(2, 3000.0, rig=2900.0, fields=[DATETIME]))  # fmt: skip
    epochs = assemble(record(*runs, administration=given_at(1100.0)))
    assert injection(epochs) == (1200.0, "table", "")


def test_injection_from_the_table_counts_from_pre_spontaneous():
    assert injection(assemble(both(administration=given_at(1100.0)))) == (1200.0, "table", "")


def test_injection_from_the_table_counts_from_a_shifted_pre():
    epochs = assemble(
        record(run(0, rig=10.0), run(1, 3000.0, rig=2860.0), administration=given_at(1100.0))
    )
    assert injection(epochs) == (1250.0, "table", "")


@pytest.mark.parametrize(
    ("time", "flag"),
    [
        (979.75, "interval_not_1800_s"),  # 1,920.25 s before post
        (980.0, ""),  # 1,920
        (1220.0, ""),  # 1,680
        (1220.25, "interval_not_1800_s"),  # 1,679.75
    ],
)
def test_injection_from_the_table_is_flagged_beyond_120_s_from_1800(time, flag):
    epochs = assemble(both(administration=given_at(time)))
    assert injection(epochs) == (100.0 + time, "table", flag)


@pytest.mark.parametrize(
    ("time", "flag"),
    [
        (1969.75, "interval_not_900_s"),  # 930.25 s before post
        (1970.0, ""),
        (2030.0, ""),
        (2030.25, "interval_not_900_s"),
        (1100.0, "interval_not_900_s"),
    ],
)
def test_the_interval_to_post_is_the_labs(time, flag):
    rules = Pharmacology(post_interval=900.0, post_tolerance=30.0)
    epochs = assemble(both(administration=given_at(time), rules=rules))
    assert injection(epochs) == (100.0 + time, "table", flag)


def test_120_s_in_decimals_is_not_flagged():
    # post begins 2900 s after pre, the injection 980 s: 1,920 s apart whatever the floats say
    table = intervals(0.0)
    for start in (0.3, 0.8, 100.1, 200.7):
        first = table | {"spontaneousActivity": (start, start + 300)}
        second = intervals(3000.0) | {"spontaneousActivity": (round(start + 2900, 1), start + 3200)}
        runs = (run(0, intervals=first), run(1, intervals=second))
        assert injection(assemble(record(*runs, administration=given_at(980.0))))[2] == ""


@pytest.mark.parametrize(
    ("rig", "flag"),
    [
        (919.0, "not_between_runs"),  # 1,019 s; pre's replay stops at 1,019.25
        (919.25, ""),
        (2900.0, ""),
        (2900.25, "not_between_runs"),
    ],
)
def test_injection_outside_of_pre_stop_and_post_start_is_flagged(rig, flag):
    epochs = assemble(record(run(0, 100.0), filler(1, rig), run(2, 3000.0, rig=2900.0)))
    assert injection(epochs) == (100.0 + rig, "filler_start", flag)


def test_injection_from_the_table_before_the_end_of_pre_has_both_flags():
    time, provenance, names = injection(assemble(both(administration=given_at(60.0))))
    assert (time, provenance) == (160.0, "table")
    assert set(names.split()) == {"interval_not_1800_s", "not_between_runs"}


@pytest.mark.parametrize("administration", [None, given_at(np.nan)])
def test_no_injection_time_is_missing_and_keeps_the_session(administration):
    recording = both(administration=administration)
    epochs = assemble(recording)
    time, provenance, names = injection(epochs)
    assert np.isnan(time)
    assert (provenance, names) == ("missing", "")
    assert span(epochs, "post", "replay") == (3621.5, 3919.25, "gabor")
    assert "no injection time" in epochs.attrs["notes"]


def test_injection_from_the_table_is_missing_where_pre_is():
    epochs = assemble(record(run(0), run(1), administration=given_at(1100.0)))
    assert injection(epochs)[1] == "missing"


def test_injection_with_one_passive_run_has_no_post_to_hold_it_against():
    epochs = assemble(record(run(0, 100.0), administration=given_at(1100.0)))
    assert injection(epochs) == (1200.0, "table", "")


# 7. The table of epochs


def test_rows_of_the_epochs_table_replace_only_what_they_name():
    rows = {("pre", "rfm"): (405.0, 700.0), ("post", "spontaneous"): (2990.0, 3290.0)}
    epochs = assemble(both(overrides=rows))
    assert span(epochs, "pre", "rfm") == (405.0, 700.0, "table")
    assert span(epochs, "post", "spontaneous") == (2990.0, 3290.0, "table")
    assert span(epochs, "pre", "spontaneous") == (100.0, 400.0, "alf")
    assert span(epochs, "pre", "replay") == (721.5, 1019.25, "gabor")
    assert span(epochs, "post", "rfm") == (3310.0, 3611.0, "alf")
    assert span(epochs, "post", "replay") == (3621.5, 3919.25, "gabor")


def test_a_row_of_the_table_does_not_move_shifted_times():
    rows = {("pre", "spontaneous"): (101.0, 401.0)}
    epochs = assemble(record(run(0, 100.0), run(1, rig=2900.0), overrides=rows))
    assert span(epochs, "pre", "spontaneous") == (101.0, 401.0, "table")
    assert span(epochs, "post", "spontaneous") == (3000.0, 3300.0, "rig_clock")


def test_rows_of_the_table_stand_without_any_run():
    epochs = assemble(record(overrides={("post", "rfm"): (3310.0, 3611.0)}))
    assert span(epochs, "post", "rfm") == (3310.0, 3611.0, "table")
    assert_missing(epochs, "pre")
    assert_missing(epochs, "post", ["spontaneous", "replay"])


def test_a_row_of_the_table_replaces_a_cut_epoch_and_its_flag():
    long = run(0, intervals=intervals(100.0, spontaneous=(0.0, 305.0)))
    epochs = assemble(record(long, overrides={("pre", "spontaneous"): (100.0, 402.0)}))
    assert span(epochs, "pre", "spontaneous") == (100.0, 402.0, "table")
    assert flags(epochs, "pre", "spontaneous") == ""


# 8. Checks


def seen(epochs, name="probe00"):
    out = observed(epochs, name)
    assert out.dtype == bool
    return out.tolist()


ALL = [[True] * 3, [True] * 3]
NONE = [[False] * 3, [False] * 3]


def test_a_good_session_is_observed_throughout():
    epochs = assemble(both(probes=[probe()]))
    assert all_flags(epochs) == {}
    assert seen(epochs) == ALL


def test_missing_epochs_are_not_observed():
    epochs = assemble(record(run(0, 100.0), probes=[probe()]))
    assert seen(epochs) == [[True] * 3, [False] * 3]


@pytest.mark.parametrize("times", [(400.0, 100.0), (100.0, 100.0), (-0.5, 299.5)])
def test_bounds_fail_for_that_epoch_alone(times):
    first = run(0, 100.0)
    first = replace(first, intervals=first.intervals | {"spontaneousActivity": times})
    epochs = assemble(record(first, run(1, 3000.0), probes=[probe()]))
    assert all_flags(epochs) == {("pre", "spontaneous"): "bounds"}
    assert span(epochs, "pre", "spontaneous")[:2] == times
    assert seen(epochs) == [[False, True, True], [True] * 3]


def test_an_epoch_may_start_at_zero():
    epochs = assemble(record(run(0, 0.0), run(1, 3000.0), probes=[probe()]))
    assert all_flags(epochs) == {}


def test_epochs_out_of_order_unobserve_the_session():
    first = run(0, 100.0, intervals=intervals(100.0, rfm=(-90.0, -5.0)))
    epochs = assemble(record(first, run(1, 3000.0), probes=[probe()]))
    assert all_flags(epochs) == {("pre", "rfm"): "order"}
    assert span(epochs, "pre", "rfm") == (10.0, 95.0, "alf")
    assert seen(epochs) == NONE


def test_phases_out_of_order_unobserve_the_session():
    epochs = assemble(record(run(0, 3000.0), run(1, 100.0), probes=[probe()]))
    assert set(all_flags(epochs).values()) == {"order"}
    assert {phase for phase, _ in all_flags(epochs)} == {"post"}
    assert seen(epochs) == NONE


def test_overlapping_epochs_unobserve_the_session():
    first = run(0, 100.0, intervals=intervals(100.0, rfm=(299.0, 611.0)))
    epochs = assemble(record(first, run(1, 3000.0), probes=[probe(), probe("probe01")]))
    assert all_flags(epochs) == {("pre", "rfm"): "overlap"}
    assert seen(epochs) == NONE
    assert seen(epochs, "probe01") == NONE


def with_rfm(start, stop, **more):
    table = intervals(100.0, rfm=(start - 100.0, stop - 100.0))
    return record(run(0, 100.0, intervals=table), run(1, 3000.0), **more)


def test_an_epoch_within_another_unobserves_the_session():
    epochs = assemble(with_rfm(150.0, 300.0, probes=[probe()]))
    assert all_flags(epochs) == {("pre", "rfm"): "overlap"}
    assert seen(epochs) == NONE


def test_epochs_are_held_against_all_before_them():
    first = run(0, 100.0, intervals=intervals(100.0, rfm=(-90.0, -5.0)))
    first = replace(first, gabors=gabors([399.0], [700.0]))
    assert all_flags(assemble(record(first, run(1, 3000.0)))) == {
        ("pre", "rfm"): "order",
        ("pre", "replay"): "overlap",
    }


def test_an_overlap_of_one_tick_is_an_overlap():
    assert all_flags(assemble(with_rfm(399.99999, 700.0))) == {("pre", "rfm"): "overlap"}


@pytest.mark.parametrize("start", [400.0, 399.999996, 400.000004])
def test_adjoining_epochs_do_not_overlap(start):
    epochs = assemble(with_rfm(start, 700.0, probes=[probe()]))
    assert all_flags(epochs) == {}
    assert seen(epochs) == ALL


@pytest.mark.parametrize(
    "rows",
    [
        {("pre", "rfm"): (150.0, 300.0)},  # within another
        {("pre", "rfm"): (10.0, 95.0), ("pre", "replay"): (399.0, 700.0)},
        {("pre", "rfm"): (399.99999, 700.0)},
        {("pre", e): (3500.0 + i, 3600.0 + i) for i, e in enumerate(EPOCHS)}
        | {("post", e): (500.0 + i, 600.0 + i) for i, e in enumerate(EPOCHS)},  # post comes first
    ],
)
def test_times_that_are_given_stand_in_any_order(rows):
    epochs = assemble(both(overrides=rows, probes=[probe()]))
    assert all_flags(epochs) == {}
    assert seen(epochs) == ALL
    for (phase, epoch), times in rows.items():
        assert span(epochs, phase, epoch) == (*times, "table")


def test_times_that_are_given_end_with_the_recording():
    epochs = assemble(both(overrides={("pre", "rfm"): (150.0, 300.0)}, probes=[probe(last=280.0)]))
    assert all_flags(epochs)["pre", "rfm"] == "past_end:probe00"


def test_a_probe_that_ends_1_s_before_the_stop_covers_the_epoch():
    epochs = assemble(both(probes=[probe(last=3918.25)]))
    assert all_flags(epochs) == {}
    assert seen(epochs) == ALL


def test_1_s_past_the_last_spike_in_decimals_covers_the_epoch():
    # 4095.006 + 1.0 < 4096.006 in floats
    assert 4095.006 + 1.0 < 4096.006
    rows = {("post", "replay"): (3700.0, 4096.006)}
    epochs = assemble(both(overrides=rows, probes=[probe(last=4095.006)]))
    assert all_flags(epochs) == {}


def test_a_probe_that_ends_before_the_stop_does_not_observe_that_epoch():
    probes = [probe("probe00"), probe("probe01", last=3919.25 - 1.1)]
    recording = both(probes=probes)
    epochs = assemble(recording)
    assert all_flags(epochs) == {("post", "replay"): "past_end:probe01"}
    assert span(epochs, "post", "replay") == (3621.5, 3919.25, "gabor")
    assert seen(epochs, "probe00") == ALL
    assert seen(epochs, "probe01") == [[True] * 3, [True, True, False]]
    rows = assemble_insertions(recording, epochs=epochs)
    assert rows["observed"].values.tolist() == [ALL, [[True] * 3, [True, True, False]]]


def test_times_an_hour_off_are_past_the_end():
    epochs = assemble(record(run(0, 100.0), run(1, rig=2900.0 + 3600.0), probes=[probe()]))
    assert span(epochs, "post", "spontaneous") == (6600.0, 6900.0, "rig_clock")
    for epoch in EPOCHS:
        assert "past_end:probe00" in flags(epochs, "post", epoch).split()
    assert seen(epochs) == [[True] * 3, [False] * 3]


def test_an_insertion_without_spikes_observes_nothing():
    bare = InsertionRecord("00000000-0000-4000-8000-000000000009", EID, "probe01")
    recording = both(probes=[probe()])
    recording = replace(recording, insertions=(*recording.insertions, bare))
    epochs = assemble(recording)
    rows = assemble_insertions(recording, epochs=epochs)
    assert rows["observed"].values.tolist() == [ALL, NONE]


def silent_between(start, stop, name="probe00", extra=()):
    times = np.arange(0.0, 5000.0, 5.0)
    times = np.sort(np.append(times[(times < start) | (times >= stop)], extra))
    return probe(name, times=times)


def test_an_epoch_without_spikes_is_not_observed():
    epochs = assemble(both(probes=[silent_between(410, 711), silent_between(300, 800, "probe01")]))
    silent = "silent:probe01"
    assert all_flags(epochs) == {
        ("pre", "spontaneous"): silent,
        ("pre", "rfm"): f"silent:probe00 {silent} no_spikes",
        ("pre", "replay"): silent,
    }
    assert seen(epochs) == [[True, False, True], [True] * 3]
    assert seen(epochs, "probe01") == [[False] * 3, [True] * 3]


def test_a_probe_that_is_silent_in_an_epoch_has_not_observed_it():
    epochs = assemble(both(probes=[probe(), silent_between(410, 711, "probe01")]))
    assert all_flags(epochs) == {("pre", "rfm"): "silent:probe01"}
    assert seen(epochs) == ALL
    assert seen(epochs, "probe01") == [[True, False, True], [True] * 3]


def test_one_stray_spike_does_not_make_a_stopped_probe_observe():
    # 10 Hz until 500 s; the one spike after it is at the end of the session
    times = np.append(np.arange(0.0, 500.0, 0.1), 4500.0)
    epochs = assemble(both(probes=[probe(), probe("probe01", times=times)]))
    silent = ("pre", "rfm"), ("pre", "replay"), *(("post", e) for e in EPOCHS)
    assert all_flags(epochs) == dict.fromkeys(silent, "silent:probe01")
    assert seen(epochs) == ALL
    assert seen(epochs, "probe01") == [[True, False, False], [False] * 3]


def test_a_probe_that_starts_late_has_not_observed_what_was_before():
    times = np.arange(405.0, 5000.0, 0.1)
    epochs = assemble(both(probes=[probe(times=times)]))
    assert seen(epochs) == [[False, True, True], [True] * 3]


@pytest.mark.parametrize(("rate", "pause", "seen_it"), [(100, 9.9, True), (100, 10.1, False)])
def test_a_short_pause_of_a_probe_is_no_silence(rate, pause, seen_it):
    times = np.arange(0.0, 5000.0, 1 / rate)
    times = times[(times < 500) | (times >= 500 + pause)]
    epochs = assemble(both(probes=[probe(times=times)]))
    assert seen(epochs)[0] == [True, seen_it, True]


def test_a_sparse_probe_is_not_silent_between_its_spikes():
    times = np.sort(np.random.default_rng(0).uniform(0, 5000.0, 500))  # .1 Hz in all
    assert assemble(both(probes=[probe(times=times)])).flags.values.ravel().tolist()[:5] == [""] * 5


@pytest.mark.parametrize(
    ("spike", "flag"),
    [
        (410.0, ""),
        (409.999996, ""),  # tick 41,000,000: in
        (409.999994, "no_spikes"),  # tick 40,999,999: out
        (710.999994, ""),  # tick 71,099,999: in
        (710.999996, "no_spikes"),  # tick 71,100,000: out
        (711.0, "no_spikes"),
    ],
)
def test_whether_an_epoch_holds_a_spike_is_told_in_ticks(spike, flag):
    epochs = assemble(both(probes=[silent_between(409, 712, extra=[spike])]))
    assert flags(epochs, "pre", "rfm") == f"silent:probe00 {flag}".strip()


def test_a_session_without_probes_has_no_spike_flags():
    epochs = assemble(both())
    assert all_flags(epochs) == {}
    assert seen(epochs) == ALL


def test_failed_checks_are_named_in_the_notes_of_the_report():
    notes = assemble_notes(both(probes=[probe(last=3900.0)]))
    assert "post replay: past_end:probe00" in notes


# Other protocols


def test_three_phases_of_another_lab():
    names = {"phases": ("before", "after", "recovery")}
    epochs = assemble(
        record(run(0, 100.0), filler(1, 1100.0), run(2, 3000.0, rig=2900.0), run(5, rig=4400.0),
               **names)
    )  # fmt: skip
    assert epochs["phase"].values.tolist() == ["before", "after", "recovery"]
    assert epochs["session_flags"].item() == ""
    assert span(epochs, "before", "spontaneous") == (100.0, 400.0, "alf")
    assert span(epochs, "after", "spontaneous") == (3000.0, 3300.0, "alf")
    assert span(epochs, "recovery", "rfm") == (4810.0, 5111.0, "rig_clock")
    assert injection(epochs) == (1200.0, "filler_start", "")
    assert epochs["rig_residual"].values.tolist() == [[0.0, 0.0, 0.0]]


def test_an_epoch_that_no_table_knows_is_missing_unless_overridden():
    names = {"epochs": ("spontaneous", "sounds")}
    epochs = assemble(both(**names))
    assert_missing(epochs, "pre", ["sounds"])
    assert_missing(epochs, "post", ["sounds"])
    assert span(epochs, "post", "spontaneous") == (3000.0, 3300.0, "alf")
    epochs = assemble(both(**names, overrides={("post", "sounds"): (3400.0, 3500.0)}))
    assert_missing(epochs, "pre", ["sounds"])
    assert span(epochs, "post", "sounds") == (3400.0, 3500.0, "table")


def test_one_phase_has_no_interval_to_check():
    epochs = assemble(record(run(0, 100.0), phases=("only",), administration=given_at(10.0)))
    assert injection(epochs) == (110.0, "table", "")


def test_times_shifted_from_a_cut_run_say_so():
    # the reference's own rfm came 310 s late: whether the other run's did, nobody knows
    late = {
        "spontaneousActivity": (100.0, 700.0),
        "RFM": (710.0, 1011.0),
        "taskReplay": (1020.0, 9e3),
    }
    stamps = [{"SESSION_DATETIME": pd.Timestamp(f"2025-01-01 1{h}:00")} for h in (0, 1)]
    runs = (
        Run(0, TaskSettings("passive", stamps[0]), intervals=late),
        Run(1, TaskSettings("passive", stamps[1])),
    )
    epochs = assemble_epochs(recording_of(runs))
    post = epochs.sel(phase="post").isel(session=0)
    assert post.start.values.tolist() == [3700.0, 4310.0, 4620.0]
    assert post.flags.values.tolist() == ["", "cut_reference", "cut_reference"]
    known = epochs.assign(rig_residual=(("session", "epoch"), [[0.5, 0.5, 0.5]]))
    known["provenance"][0, 0, 0] = "alf"
    assert uncertainty(known).tolist()[0][1][0] == 0.5
    assert np.isnan(uncertainty(known)[0, 1, 1:]).all()


def test_a_run_without_a_common_clock_field_is_no_reference():
    table = {
        "spontaneousActivity": (100.0, 400.0),
        "RFM": (401.0, 702.0),
        "taskReplay": (703.0, 9e3),
    }
    later = {k: (a + 3000, b + 3000) for k, (a, b) in table.items()}
    start, date = "SESSION_START_TIME", "SESSION_DATETIME"
    runs = (
        Run(0, TaskSettings("passive", {start: pd.Timestamp("2025-01-01 10:00")}), intervals=table),
        Run(1, TaskSettings("spontaneous", {date: pd.Timestamp("2025-01-01 10:20")})),
        Run(2, TaskSettings("passive", {date: pd.Timestamp("2025-01-01 10:50")}), intervals=later),
    )
    epochs = assemble_epochs(recording_of(runs))
    # from the second run alone: 3100 s less the half hour between the rig's two starts
    assert epochs.administration.item() == 1300.0
    assert epochs.administration_provenance.item() == "filler_start"


def recording_of(runs):
    day = pd.Timestamp("2025-01-01")
    return Recording(session=SessionRecord("eid", "lab", "M1", day, 1), runs=runs)
