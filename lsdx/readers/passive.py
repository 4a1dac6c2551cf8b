"""The passive protocol's files: rig settings, intervals, gabors, stimuli."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lsdx.readers.files import broken, numbers, read_csv, read_json

RIG_FIELDS = ("SESSION_DATETIME", "SESSION_START_TIME")


@dataclass(frozen=True)
class TaskSettings:
    """What the rig says of one run: its protocol, and its start times by field, as stated."""

    protocol: str
    start_times: dict[str, pd.Timestamp]


@dataclass(frozen=True)
class Gabors:
    """Gabor patches, one a row: times in s, position in degrees, contrast 0-1, phase in rad.

    NaN where the extractor left a cell blank.
    """

    start: np.ndarray
    stop: np.ndarray
    position: np.ndarray
    contrast: np.ndarray
    phase: np.ndarray


def read_task_settings(path: Path, where: str) -> TaskSettings:
    """Read a run's ``_iblrig_taskSettings.raw.json``."""
    raw = read_json(path, where)
    protocol = raw.get("PYBPOD_PROTOCOL")
    if not isinstance(protocol, str):
        raise broken(where, "PYBPOD_PROTOCOL", repr(protocol))
    starts = {}
    for name in RIG_FIELDS:
        if raw.get(name):
            try:
                stamp = pd.Timestamp(str(raw[name]))
            except ValueError:
                raise broken(f"{where}, {name}", "a date and time", repr(raw[name])) from None
            starts[name] = stamp
    return TaskSettings(protocol, starts)


def read_intervals(path: Path, where: str) -> dict[str, tuple[float, float]]:
    """Read ``_ibl_passivePeriods.intervalsTable.csv``: (start, stop) in s by column.

    Raises
    ------
    SourceError
        For an empty table, a missing column, missing rows, or times that are no numbers.
    """
    columns = ("passiveProtocol", "spontaneousActivity", "RFM", "taskReplay")
    table = read_csv(path, where, columns, index_col=0)
    table.index = table.index.astype(str).str.strip()
    if sorted(table.index) != ["start", "stop"]:
        raise broken(where, "rows start and stop", ", ".join(table.index) or "no rows")
    table = table.loc[["start", "stop"]]
    spans = {c: numbers(table, c, where) for c in columns}
    for column, times in spans.items():
        if np.isinf(times).any():
            raise broken(f"{where}, column {column}", "finite times", "infinity")
    return {c: (float(start), float(stop)) for c, (start, stop) in spans.items()}


def read_gabors(path: Path, where: str) -> Gabors:
    """Read ``_ibl_passiveGabor.table.csv``."""
    columns = ("start", "stop", "position", "contrast", "phase")
    table = read_csv(path, where, columns)
    gabors = Gabors(*(numbers(table, c, where) for c in columns))
    for name in ("start", "stop"):
        values = getattr(gabors, name)
        values = values[~np.isnan(values)]
        if np.isinf(values).any() or (np.diff(values) < 0).any():
            raise broken(f"{where}, column {name}", "finite times in order", "others")
    return gabors


def read_stims(path: Path, where: str) -> dict[str, np.ndarray]:
    """Read ``_ibl_passiveStims.table.csv``: (n, 2) on and off times in s by stimulus."""
    kinds = ("valve", "tone", "noise")
    table = read_csv(path, where, [f"{k}{e}" for k in kinds for e in ("On", "Off")])
    stims = {}
    for kind in kinds:
        times = np.column_stack([numbers(table, f"{kind}{e}", where) for e in ("On", "Off")])
        stims[kind] = times[~np.isnan(times).all(axis=1)]
    return stims
