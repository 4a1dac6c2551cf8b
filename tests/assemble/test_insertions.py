"""Insertion records: the histology ladder, the side, numbers that are text, lists or nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from lsdx.assemble.epochs import assemble_epochs
from lsdx.assemble.insertions import (
    as_number,
    assemble_insertions,
    histology_stage,
    read_outcome,
)
from lsdx.assemble.recording import Recording
from lsdx.readers.records import InsertionRecord, SessionRecord, stacks_published
from lsdx.schema import SCHEMAS
from lsdx.schema.spec import validate

PICKS = [[-1200, 300, -100], [-1300, 300, -4000]]


def record(json: Any) -> InsertionRecord:
    return InsertionRecord("pid", "eid", "probe00", json=json)


LADDER = [
    ({}, None, "unknown"),
    ({}, False, "no-stacks"),
    ({}, True, "no-tracing"),
    ({"xyz_picks": []}, True, "no-tracing"),
    ({"xyz_picks": None}, True, "no-tracing"),
    ({"xyz_picks": PICKS}, None, "traced"),
    ({"xyz_picks": PICKS, "extended_qc": {"alignment_count": 0}}, False, "traced"),
    ({"xyz_picks": PICKS, "extended_qc": {"alignment_count": 1}}, None, "aligned"),
    ({"extended_qc": {"alignment_count": "2"}}, None, "aligned"),
    ({"extended_qc": {"alignment_resolved": True}}, None, "resolved"),
    # only what is true is true
    ({"xyz_picks": PICKS, "extended_qc": {"alignment_resolved": "False"}}, None, "traced"),
    ({"xyz_picks": PICKS, "extended_qc": {"alignment_resolved": False}}, None, "traced"),
    ({"xyz_picks": PICKS, "extended_qc": None}, None, "traced"),
    ({"xyz_picks": PICKS, "extended_qc": ["PASS"]}, None, "traced"),
    ({"xyz_picks": [[None, None, None]]}, True, "no-tracing"),
    ({"xyz_picks": "none", "extended_qc": "none"}, True, "no-tracing"),
]


@pytest.mark.parametrize(("json", "stacks", "stage"), LADDER)
def test_each_rung_has_its_record(json: Any, stacks: bool | None, stage: str) -> None:
    assert histology_stage(record(json), stacks) == stage


def assemble(json: Any, stacks: bool | None = None) -> Any:
    session = SessionRecord("eid", "lab", "mouse", pd.Timestamp("2024-01-01"), 1)
    recording = Recording(session=session, insertions=(record(json),), stacks=stacks)
    ds = assemble_insertions(recording, epochs=assemble_epochs(recording))
    assert ds is not None
    return validate(ds, SCHEMAS["insertions"], cohort=False).isel(insertion=0)


def test_what_a_record_states_is_typed() -> None:
    row = assemble(
        {
            "qc": "NOT SET",
            "n_units": 412,
            "drift_rms_um": "12.5",
            "firing_rate_max": None,
            "amplitude_max_uV": ["PASS", 3],
            "xyz_picks": PICKS,
            "extended_qc": {"apRms_p10_raw": "1.76e-04", "alignment_qc": 0.9},
        }
    )
    assert row.qc.item() == "NOT_SET"
    assert row.recorded_units.item() == 412.0
    assert row.drift_rms.item() == 12.5
    assert row.ap_rms_p10_raw.item() == 1.76e-4
    assert row.alignment_qc.item() == 0.9
    assert np.isnan([row.firing_rate_max.item(), row.amplitude_max.item()]).all()


def test_what_a_record_says_of_tracing_and_alignment_is_kept() -> None:
    checks = {
        "tracing": "NOT SET",
        "tracing_exists": True,
        "experimenter": "PASS",
        "experimenter_raw_destripe": "check",
        "alignment_stored": "2021-02-04T18:26:12_user",
        "alignment_resolved_by": "qc",
        "apRms_p10": "1.99e-05",
        "apRms_p90": 8.43e-05,
    }
    row = assemble({"xyz_picks": PICKS, "extended_qc": checks})
    assert {name: row[name].item() for name in list(checks)[:6]} == {
        "tracing": "NOT_SET",
        "tracing_exists": "true",
        "experimenter": "PASS",
        "experimenter_raw_destripe": "check",
        "alignment_stored": "2021-02-04T18:26:12_user",
        "alignment_resolved_by": "qc",
    }
    assert (row.ap_rms_p10.item(), row.ap_rms_p90.item()) == (1.99e-5, 8.43e-5)
    bare = assemble({"extended_qc": {"tracing_exists": "True", "experimenter": None}})
    assert (bare.tracing_exists.item(), bare.experimenter.item()) == ("unknown", "")
    assert np.isnan([bare.ap_rms_p10.item(), bare.ap_rms_p90.item()]).all()
    assert assemble({"extended_qc": {"tracing_exists": False}}).tracing_exists.item() == "false"


@pytest.mark.parametrize(
    ("ml", "side"),
    [
        ([], ""),
        ([-1200, -1300], "left"),
        ([800], "right"),
        # 3 of 10 on the right are not more than 30 %
        ([-100] * 7 + [50] * 3, "left"),
        ([-100] * 13 + [50] * 7, "both"),
        # most picks on the left, the mean on the right
        ([-10] * 6 + [400] * 4, "both"),
        ([-10] * 8 + [400] * 2, "right"),
        ([0, 0], "both"),
        ([-100, 0, 0, 0], "left"),
    ],
)
def test_the_side_is_that_of_the_mean_unless_the_track_crosses(ml: list[int], side: str) -> None:
    picks = [[x, 0, 0] for x in ml]
    assert assemble({"xyz_picks": picks}).hemisphere.item() == side


@pytest.mark.parametrize(
    ("value", "outcome", "number"),
    [
        ("PASS", "PASS", np.nan),
        ("NOT SET", "NOT_SET", np.nan),
        (["FAIL", 12, 0.5], "FAIL", 12.0),
        (["PASS", "60.1"], "PASS", 60.1),
        (["WARNING", None], "WARNING", np.nan),
        ([], "", np.nan),
        (None, "", np.nan),
        (True, "", np.nan),
        ({"outcome": "PASS"}, "", np.nan),
    ],
)
def test_an_outcome_is_text_or_a_list(value: object, outcome: str, number: float) -> None:
    found = read_outcome(value)
    assert found[0] == outcome
    np.testing.assert_equal(found[1], number)


@pytest.mark.parametrize("value", [None, True, False, [], ["1"], {}, "", "high"])
def test_what_is_no_number_is_nan(value: object) -> None:
    assert np.isnan(as_number(value))


@pytest.mark.parametrize(
    ("names", "published"),
    [
        (["a_RD.tif", "a_GR.tif"], True),
        (["a_RD.tif", "b_RD.tif"], False),
        (["a_GR.tif"], False),
        (["a_RD.tif.txt", "a_GR.tif.txt"], False),
        ([], False),
    ],
)
def test_stacks_are_published_when_both_channels_are(names: list[str], published: bool) -> None:
    assert stacks_published(names) is published
