"""Stimuli of the replay, one a row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.assemble.labelled import blank, dataset
from lsdx.assemble.layout import GABORS, STIMS
from lsdx.assemble.plan import LabTables, SessionPlan
from lsdx.assemble.recording import Recording, Run
from lsdx.assemble.stored import Stored, table
from lsdx.readers.records import SessionRecord
from lsdx.schema import SCHEMAS

_GABOR = {"position": "position", "contrast": "contrast", "gabor_phase": "phase"}


def assemble_events(recording: Recording) -> xr.Dataset | None:
    """List a session's gabors and stimuli by phase, then kind, then time.

    Only runs with tables of their own have any: a rig clock is not good enough for the
    response to a stimulus. The lab's own events follow, in the order of their table.

    Parameters
    ----------
    recording : Recording
        Its passive runs, and the events of the lab's table.

    Returns
    -------
    Dataset or None
        None where no run has a table of stimuli, and the lab's table no event of the session.
    """
    tables = []
    for phase, run in zip(recording.phases, recording.passive_runs, strict=False):
        tables += [table | {"phase": phase} for table in _run_events(run)]
    tables = [t | {"provenance": "alf"} for t in tables]
    if recording.events:
        tables.append(_own_events(recording.events))
    rows = [_whole(t, recording.session) for t in tables if t["start"].size]
    if not rows:
        return None
    names = [v.name for v in SCHEMAS["events"].variables]
    return dataset(SCHEMAS["events"], {n: np.concatenate([r[n] for r in rows]) for n in names})


def _own_events(rows: Sequence[Mapping[str, str | float]]) -> dict[str, Any]:
    """Sort the columns of the lab's table into those that the store has, and others."""
    table = pd.DataFrame(rows)
    declared = {v.name: v.dtype for v in SCHEMAS["events"].variables}
    own = [c for c in table.columns if c in declared and c not in ("provenance", "other")]
    own = [c for c in own if (table[c].dtype == np.float64) == (declared[c] == "float64")]
    rest = table[[c for c in table.columns if c not in own]]
    other = [
        json.dumps({k: v for k, v in row.items() if v == v and v != ""}, sort_keys=True)
        for row in rest.to_dict("records")
    ]
    columns = {c: table[c].to_numpy() for c in own}
    return columns | {"provenance": "table", "other": ["" if o == "{}" else o for o in other]}


def _run_events(run: Run) -> list[dict[str, Any]]:
    tables: list[dict[str, Any]] = []
    if run.gabors is not None:
        gabors = run.gabors
        side = np.select([gabors.position > 0, gabors.position < 0], ["left", "right"], "")
        tables.append(
            {"kind": "gabor", "start": gabors.start, "stop": gabors.stop, "side": side}
            | {name: getattr(gabors, column) for name, column in _GABOR.items()}
        )
    for kind, times in (run.stims or {}).items():
        tables.append({"kind": kind, "start": times[:, 0], "stop": times[:, 1]})
    return tables


def _whole(table: Mapping[str, Any], session: SessionRecord) -> dict[str, np.ndarray]:
    n = np.size(table["start"])
    of_all = {"session": session.eid, "session_label": session.label}
    columns = {}
    for variable in SCHEMAS["events"].variables:
        value = of_all.get(variable.name, table.get(variable.name))
        column = blank(variable.dtype, (n,))
        if value is not None:
            column[:] = value
        columns[variable.name] = column
    return columns


def _has_tables(plan: SessionPlan, lab: LabTables, _parameters: Mapping[str, Any]) -> bool:
    tables = any({GABORS, STIMS} & set(r.extracted) for r in plan.runs)
    return tables or plan.session.eid in lab.events


STORED = Stored(
    "events",
    table("events"),
    available=_has_tables,
    lacking="no stimulus tables on disk",
)
