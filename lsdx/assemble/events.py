"""Stimuli of the replay, one a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from lsdx.assemble.labelled import blank, dataset
from lsdx.assemble.recording import Recording, Run
from lsdx.schema import SCHEMAS

_GABOR = {"position": "position", "contrast": "contrast", "gabor_phase": "phase"}


def assemble_events(recording: Recording) -> xr.Dataset | None:
    """List a session's gabors and stimuli by phase, then kind, then time.

    Only runs with tables of their own have any: a rig clock is not good enough for the
    response to a stimulus.

    Parameters
    ----------
    recording : Recording

    Returns
    -------
    Dataset or None
        None where no run has a table of stimuli.
    """
    tables = []
    for phase, run in zip(recording.phases, recording.passive_runs, strict=False):
        tables += [table | {"phase": phase} for table in _run_events(run)]
    rows = [_whole(t, recording.session.eid) for t in tables if t["start"].size]
    if not rows:
        return None
    names = [v.name for v in SCHEMAS["events"].variables]
    return dataset(SCHEMAS["events"], {n: np.concatenate([r[n] for r in rows]) for n in names})


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


def _whole(table: Mapping[str, Any], eid: str) -> dict[str, np.ndarray]:
    n = np.size(table["start"])
    columns = {}
    for variable in SCHEMAS["events"].variables:
        value = eid if variable.name == "session" else table.get(variable.name)
        column = blank(variable.dtype, (n,))
        if value is not None:
            column[:] = value
        columns[variable.name] = column
    return columns
