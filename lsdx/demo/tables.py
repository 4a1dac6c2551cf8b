"""The tables of the cohort: ONE's cache tables, and the lab's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from lsdx.demo.formats import write_csv, write_parquet
from lsdx.demo.records import Record, relative_path
from lsdx.demo.session import Session

TABLE_METADATA = {"date_created": "2026-01-01 00:00", "origin": "lsdx demo"}
QC = pd.CategoricalDtype(["NOT_SET", "PASS", "WARNING", "FAIL", "CRITICAL"], ordered=True)


def write_cache_tables(root: Path, sessions: Sequence[Session]) -> None:
    """Write ONE's cache tables: sessions, datasets and insertions."""
    facts = [{**each.info, "date": each.plan.day, "projects": "psychedelics"} for each in sessions]
    columns = ["id", "lab", "subject", "date", "number", "task_protocol", "projects"]
    table = pd.DataFrame(facts)[columns].astype({"number": np.uint16}).set_index("id")
    write_parquet(root / "sessions.pqt", table.sort_index(), TABLE_METADATA)

    files = [
        {
            **dataset.record,
            "eid": session.eid,
            "rel_path": relative_path(dataset.record),
            "exists": dataset.exists,
            "default_revision": dataset.record["default_revision"] == "True",
        }
        for session in sessions
        for dataset in session.datasets
    ]
    columns = ["rel_path", "file_size", "hash", "exists", "qc", "default_revision"]
    table = pd.DataFrame(files).set_index(["eid", "id"])[columns].sort_index()
    table = table.astype({"file_size": "UInt64", "qc": QC})
    write_parquet(root / "datasets.pqt", table, TABLE_METADATA)

    probes = [
        {**record, "eid": record["session"], "json": json.dumps(record["json"])}
        for session in sessions
        for record in session.insertions
    ]
    table = pd.DataFrame(probes).set_index(["eid", "id"])[["name", "model", "serial", "json"]]
    write_parquet(root / "insertions.pqt", table.sort_index(), TABLE_METADATA)


def write_lab_tables(root: Path, sessions: Sequence[Session]) -> None:
    """Write the lab's two tables and the settings that name them."""
    lsd = [_dose_row(each) for each in sessions if each.plan.condition == "lsd"]
    write_csv(root / "administrations.csv", pd.DataFrame(lsd))
    write_csv(root / "trajectories.csv", pd.DataFrame(map(_trajectory_row, sessions)))
    saline = [f'    "{each.eid}",\n' for each in sessions if each.plan.condition == "saline"]
    text = (
        "# Settings of the simulated cohort; paths are relative to this file.\n"
        'administrations = "administrations.csv"\n'
        'trajectories = "trajectories.csv"\n'
        f"\n[conditions]\nsaline = [\n{''.join(saline)}]\n"
    )
    (root / "lsdx.toml").write_text(text, encoding="utf-8", newline="\n")


def _dose_row(session: Session) -> Record:
    plan, line = session.plan, session.line
    waited = round(line.injection - line.runs[0].epochs["spontaneous"][0])
    return {
        "rec_day": plan.rec_day,
        "date": f"{plan.day:%d.%m.%Y}",
        "animal_ID": plan.subject,
        "weight": f"{plan.weight:g}",
        "stock_uL": f"{3 * plan.weight:.4g}",
        "saline_uL": f"{200 - 3 * plan.weight:.4g}",
        "administration_method ": "Catheter ",
        "administration_time": str(timedelta(seconds=waited)),
        "alyx_registration": "Completed",
    }


def _trajectory_row(session: Session) -> Record:
    plan = session.plan
    second, recent = "probe01" in plan.probes, plan.day.year >= 2025
    return {
        "date": f"{plan.day:%d.%m.%Y}",
        "subject": plan.subject,
        "eid": session.eid,
        "trajectory_01": f"T{plan.index % 3 + 1}.1L",
        "error_t01": "FALSE" if recent else "",
        "trajectory_02": f"T{plan.index % 3 + 1}.2R" if second else "",
        "error_t02": str(plan.index % 4 == 0).upper() if recent and second else "",
    }
