"""When everything happens in a session: epochs, stimuli, the injection."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lsdx.demo.plan import Plan

Span = tuple[float, float]
INTERVALS = "_ibl_passivePeriods.intervalsTable.csv"
GABORS = "_ibl_passiveGabor.table.csv"


@dataclass(frozen=True)
class Run:
    """One passive run on the spike clock, in s."""

    phase: str
    slot: int  # number of the task
    rig_start: datetime  # on the rig's clock
    epochs: dict[str, Span]  # exact
    tables: dict[str, pd.DataFrame]  # as written, by the name of their file
    rfm: NDArray[np.float64]  # times of the receptive-field frames


@dataclass(frozen=True)
class Timeline:
    """Both passive runs, the filler run, the injection and the end, in s."""

    runs: tuple[Run, Run]
    filler: datetime | None  # rig start of the filler run
    injection: float
    end: float


def draw_timeline(rng: np.random.Generator, plan: Plan) -> Timeline:
    """Draw when everything happens; times are whole 0.1 ms, which every CSV reader keeps."""
    start = round(rng.uniform(60, 120), 4)
    injection = start + int(rng.integers(1100, 1201))  # the lab's table holds whole seconds
    post_start = round(injection + 1800 + rng.uniform(-60, 60), 4)
    end = round(post_start + 902 + rng.uniform(30, 60) + 300 * ("long_spontaneous" in plan), 4)
    noon = datetime(plan.day.year, plan.day.month, plan.day.day, 12)
    origin = noon + timedelta(seconds=rng.uniform(-5400, 10800))

    def rig_start(seconds: float) -> datetime:
        """Stamp a run: its spontaneous epoch comes 55 s and 0.3 to 1 s of jitter later."""
        return origin + timedelta(seconds=seconds - 55 - rng.uniform(0.3, 1.0))

    pre = _draw_run(rng, "pre", 0, rig_start(start), start, 300.0, end)
    filler = rig_start(injection + rng.uniform(15, 45)) if "filler_run" in plan else None
    slot, length = 1 if filler is None else 2, 600.0 if "long_spontaneous" in plan else 300.0
    post = _draw_run(rng, "post", slot, rig_start(post_start), post_start, length, end)
    return Timeline((pre, post), filler, injection, end)


def _draw_run(
    rng: np.random.Generator,
    phase: str,
    slot: int,
    rig_start: datetime,
    start: float,
    length: float,
    end: float,
) -> Run:
    rfm_start = start + length + rng.uniform(0.8, 1.2)
    rfm = np.round(rfm_start + np.arange(18_060) / 60 + rng.normal(0, 2e-4, 18_060), 4)
    replay = round(rfm[-1] + rng.uniform(0.8, 1.2), 4)
    onsets = np.round(replay + 0.3 + 1.66 * np.arange(180) + rng.uniform(0, 1, 180), 4)
    gabors = {
        "start": onsets,
        "stop": np.round(onsets + 0.3, 4),
        "position": rng.permutation(np.repeat([35.0, -35.0], 90)),
        "contrast": rng.permutation(np.repeat([0.0625, 0.125, 0.25, 0.5, 1.0], 36)),
        "phase": np.round(rng.uniform(0, 2 * math.pi, 180), 6),
    }
    stims: dict[str, NDArray[np.float64]] = {}
    for name, count, lasts in (("valve", 40, 0.08), ("tone", 40, 0.1), ("noise", 36, 0.5)):
        column = np.full(40, np.nan)
        column[:count] = np.sort(rng.uniform(replay, replay + 298, count))
        stims[f"{name}On"] = np.round(column, 4)
        stims[f"{name}Off"] = np.round(column + lasts, 4)
    intervals = {  # as in reality, the first and the last stop run to the end of the recording
        "passiveProtocol": (start, end),
        "spontaneousActivity": (start, round(start + length, 4)),
        "RFM": (rfm[0], rfm[-1]),
        "taskReplay": (replay, end),
    }
    epochs = {
        "spontaneous": (start, round(start + 300.0, 4)),
        "rfm": (float(rfm[0]), float(rfm[-1])),
        "replay": (float(onsets[0]), float(gabors["stop"][-1])),
    }
    tables = {
        INTERVALS: pd.DataFrame(intervals, ["start", "stop"]),
        GABORS: pd.DataFrame(gabors),
        "_ibl_passiveStims.table.csv": pd.DataFrame(stims),
    }
    return Run(phase, slot, rig_start, epochs, tables, rfm)


def expected_times(plan: Plan, line: Timeline) -> tuple[dict[str, Any], dict[str, Any]]:
    """Apply the reading rules to a timeline: the epochs and the injection a reader should get."""
    first, second = line.runs
    pre, post = ({name: _span(*at) for name, at in run.epochs.items()} for run in line.runs)
    pre["replay"]["provenance"] = post["replay"]["provenance"] = "gabor"
    if "no_gabor_table" in plan:
        intervals = first.tables[INTERVALS]
        start = intervals["taskReplay"].tolist()[0]
        pre["replay"] = _span(start, start + 300, "replay_start+300")
    if "long_spontaneous" in plan:
        post["spontaneous"]["provenance"] = "alf_cut"
    if "rig_clock_run" in plan:
        shift = (second.rig_start - first.rig_start).total_seconds()
        for name, span in pre.items():
            post[name] = _span(span["start"] + shift, span["stop"] + shift, "rig_clock")
    injection: dict[str, Any] = {"time": None, "provenance": "missing", "exact": line.injection}
    if line.filler is not None:
        shift = (line.filler - first.rig_start).total_seconds()
        injection |= {"time": pre["spontaneous"]["start"] + shift, "provenance": "filler_start"}
    elif plan.condition == "lsd":
        injection |= {"time": line.injection, "provenance": "table"}
    return {"pre": pre, "post": post}, injection


def _span(start: float, stop: float, provenance: str = "alf") -> dict[str, Any]:
    return {"start": start, "stop": stop, "provenance": provenance}
