"""Records of Alyx: the table of sessions made of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import xarray as xr

from benchmarks.timing import Result, measure
from lsdx.assemble.cohort import Cohort
from lsdx.assemble.plan import LabTables
from lsdx.assemble.sessions import assemble_sessions
from lsdx.builders.session import plan_session, read_recording
from lsdx.config import Settings
from lsdx.demo import write_cohort
from lsdx.readers.lab import read_administrations
from lsdx.readers.records import SNAPSHOT
from lsdx.sources.alyx import AlyxSource

N_SESSIONS, N_DATASETS = 45, 150


def tabling(folder: Path, quick: bool) -> Result:
    """Make the table of sessions of full records: parsed, planned, each run's settings read."""
    n_sessions = 3 if quick else N_SESSIONS
    root = write_cohort(folder / f"records-{n_sessions}", n_sessions=n_sessions, n_units=4)
    path = root / SNAPSHOT
    snapshot = json.loads(path.read_text())
    for session in snapshot["sessions"]:
        records = session["data_dataset_session_related"]
        for i in range(len(records), N_DATASETS):
            records.append(records[0] | {"name": f"_lsdx_bench.{i}.npy", "data_url": None})
    path.write_text(json.dumps(snapshot))
    settings = Settings(source="alyx", project=snapshot.get("project", "psychedelics"))
    lab = LabTables(settings.protocol.phases, settings.protocol.epochs)
    administrations = read_administrations(root / "administrations.csv")

    def table() -> xr.Dataset:
        source = AlyxSource(root, settings, offline=True)
        sessions = source.sessions()
        rows = []
        for session in sessions:
            plan = plan_session(source, session)
            # the table needs the settings of each run, not its tables, and no spikes
            plan = plan.without({p.insertion.probe for p in plan.probes})
            plan = replace(plan, runs=tuple(replace(run, extracted={}) for run in plan.runs))
            rows.append(assemble_sessions(read_recording(source, plan, lab).recording))
        joined = xr.concat(rows, "session", join="outer", fill_value="")
        labels = Cohort(sessions, administrations=administrations).labels(joined.session.values)
        return joined.assign({name: ("session", column) for name, column in labels.items()})

    assert table().sizes["session"] == n_sessions
    return measure(
        f"table of {n_sessions} sessions from records of {N_DATASETS} datasets each", table
    )
