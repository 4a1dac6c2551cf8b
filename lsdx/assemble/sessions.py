"""One session's row: its record, and which of its datasets exist."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import chain

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.assemble.insertions import histology_stage, read_outcome
from lsdx.assemble.labelled import dataset
from lsdx.assemble.layout import find_probes
from lsdx.assemble.recording import Recording
from lsdx.assemble.status import dataset_status
from lsdx.assemble.stored import Joining, Stored, as_text, table
from lsdx.schema import SCHEMAS
from lsdx.schema.sessions import CAMERAS, OUTCOMES, VIDEO_CHECKS


def assemble_sessions(recording: Recording) -> xr.Dataset:
    """Describe one session: its record, and which of its datasets exist.

    Parameters
    ----------
    recording : Recording

    Returns
    -------
    Dataset
    """
    session = recording.session
    probes = find_probes(recording.datasets, [i.probe for i in recording.insertions])
    status = dataset_status(
        recording.datasets,
        [r.number for r in recording.passive_runs],
        recording.phases,
        {p.insertion.probe: bool((p.clusters.bombcell != "").any()) for p in recording.probes},
        probes,
    )
    checks = session.extended_qc
    names = [[f"_video{camera.title()}_{check}" for check in VIDEO_CHECKS] for camera in CAMERAS]
    video = [[read_outcome(checks.get(name)) for name in row] for row in names]
    return dataset(
        SCHEMAS["sessions"],
        {
            "session": [session.eid],
            "session_label": [session.label],
            "dataset": list(status),
            "subject": [session.subject],
            "lab": [session.lab],
            "date": [f"{session.date:%Y-%m-%d}"],
            "start_time": [
                np.datetime64(None if pd.isna(session.start_time) else session.start_time, "us")
            ],
            "number": [session.number],
            "task_protocol": [session.task_protocol],
            "projects": [session.projects],
            "qc": [session.qc],
            "extended_qc": [_other_outcomes(checks, {*chain(*names)})],
            "histology": [
                ", ".join(
                    f"{i.probe}={histology_stage(i, recording.stacks)}"
                    for i in recording.insertions
                )
            ],
            "n_probes": [len(recording.insertions) or len(probes)],
            "n_tasks": [len(recording.runs)],
            "status": [list(status.values())],
            "camera": CAMERAS,
            "check": VIDEO_CHECKS,
            "video_qc": [[[c[0] for c in row] for row in video]],
            "video_qc_value": [[[c[1] for c in row] for row in video]],
        },
    )


def _other_outcomes(checks: Mapping[str, object], shown: Collection[str]) -> str:
    found = {str(name): read_outcome(value)[0] for name, value in checks.items()}
    return ", ".join(
        f"{name}={outcome}"
        for name, outcome in sorted(found.items())
        if name not in shown and outcome.upper() in OUTCOMES
    )


def _same_datasets(tables: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """Return sessions of different probes the same names of datasets, each group together.

    Nothing was recorded with a probe that a session does not have.
    """
    names = list(dict.fromkeys(n for t in tables for n in t["dataset"].values))
    groups = list(dict.fromkeys(n.split("/")[0] for n in names))
    names.sort(key=lambda n: groups.index(n.split("/")[0]))
    return [t.reindex(dataset=names, fill_value="raw data missing") for t in tables]


def _columns(_ds: xr.Dataset, joining: Joining) -> dict[str, object]:
    n_units = [joining.n_units.get(eid, 0) for eid in joining.sessions]
    return dict(joining.labels) | {"n_units": n_units}


def _of_cohort(joining: Joining) -> dict[str, object]:
    return as_text(joining, joining.labels) | {"n_units": dict(joining.n_units)}


STORED = Stored(
    "sessions",
    table("sessions", alike=_same_datasets, columns=_columns),
    of_cohort=_of_cohort,
    always=True,
)
