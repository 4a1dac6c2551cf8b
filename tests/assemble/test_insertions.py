"""Insertion records: the histology ladder, the side, numbers that are text, lists or nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from lsdx.assemble.epochs import assemble_epochs
from lsdx.assemble.insertions import as_number, assemble_insertions, histology_stage
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
            "extended_qc": {"apRms_p10_raw": "1.76e-04", "alignment_qc": 0.9, "tracing_qc": "PASS"},
        }
    )
    assert row.qc.item() == "NOT_SET"
    assert row.tracing_qc.item() == "PASS"
    assert row.histology_qc.item() == ""
    assert row.recorded_units.item() == 412.0
    assert row.drift_rms.item() == 12.5
    assert row.ap_rms_p10_raw.item() == 1.76e-4
    assert row.alignment_qc.item() == 0.9
    assert np.isnan([row.firing_rate_max.item(), row.amplitude_max.item()]).all()
    assert row.hemisphere.item() == "left"
    assert assemble({"xyz_picks": [[800, 0, 0]]}).hemisphere.item() == "right"
    assert assemble({}).hemisphere.item() == ""


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
