"""Simulate one session and write its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lsdx.demo.anatomy import track
from lsdx.demo.behavior import Behavior, behavior_truth, draw_behavior, wheel
from lsdx.demo.cameras import camera_names, draw_camera
from lsdx.demo.files import (
    Dataset,
    raw_ephys,
    raw_video,
    write_bombcell,
    write_camera,
    write_sorting,
    write_task,
    write_wheel,
)
from lsdx.demo.following import follow
from lsdx.demo.plan import Plan
from lsdx.demo.records import (
    Record,
    cluster_uuids,
    insertion_id,
    insertion_record,
    session_info,
    session_record,
)
from lsdx.demo.spikes import (
    CONTRA,
    DIMENSIONS,
    Drive,
    Sorting,
    draw_bombcell,
    draw_drive,
    draw_sorting,
)
from lsdx.demo.timeline import Timeline, draw_timeline, expected_times

REVISION = "2025-01-01"


@dataclass(frozen=True)
class Session:
    """One session as it was written: its plan, times, records and truth."""

    plan: Plan
    line: Timeline
    info: Record
    datasets: tuple[Dataset, ...]
    insertions: tuple[Record, ...]
    truth: Record

    @property
    def eid(self) -> str:
        """Id of the session."""
        return str(self.info["id"])

    @property
    def record(self) -> Record:
        """The session's record, as Alyx has it."""
        records = [each.record for each in self.datasets]
        return session_record(self.plan, self.info, self.insertions, records)


def write_session(root: Path, plan: Plan, *, seed: int, n_units: int) -> Session:
    """Simulate one session, write its files and return its records and its truth."""
    streams = np.random.SeedSequence((seed, plan.index)).spawn(12)
    first, second, *others = map(np.random.default_rng, streams)
    others, behaving, cameras = others[:4], others[4:7], others[7:]
    line = draw_timeline(first, plan)
    info = session_info(plan, line)
    datasets = [*write_task(root, plan, line), *raw_video(plan, line.end)]
    drive = None if "no_spikes" in plan else draw_drive(second, plan, line)
    behavior = draw_behavior(behaving[0], plan, line)
    insertions, probes, units = [], [], []
    for probe, n in zip(plan.probes, (n_units - n_units // 2, n_units // 2), strict=False):
        end = _end(plan, line, probe)
        datasets += raw_ephys(plan, probe, end)
        found: Record = {"n_units": 0, "n_spikes": 0}
        if drive is not None:
            which = int(probe[-2:])
            rngs = [*others[2 * which :][:2], behaving[1 + which]]
            written, found, table = _write_sortings(
                root, plan, probe, rngs, n, drive, behavior, end
            )
            datasets += written
            units.append(table)
        records = [each.record for each in datasets]
        insertions.append(insertion_record(plan, info, probe, found["n_units"], records))
        probes.append({"pid": insertion_id(plan, probe), "name": probe, **found})
    watched, of_cameras = _write_behavior(root, plan, cameras, behavior)
    datasets += watched
    epochs, injection = expected_times(plan, line)
    truth = {
        "index": plan.index,
        "eid": info["id"],
        "path": plan.path,
        "subject": plan.subject,
        "condition": plan.condition,
        "oddities": list(plan.oddities),
        "recording_end": line.end,
        "latent_dimension": {
            "pre": DIMENSIONS,
            "post": DIMENSIONS * (2 if plan.condition == "lsd" else 1),
        },
        "epochs": epochs,
        "epochs_exact": {run.phase: run.epochs for run in line.runs},
        "injection": injection,
        "contra_position": CONTRA,
        "insertions": probes,
        "units": pd.concat(units).to_dict(orient="list") if units else {},
        "behavior": {**behavior_truth(behavior), "cameras": of_cameras},
    }
    return Session(plan, line, info, tuple(datasets), tuple(insertions), truth)


def _write_behavior(
    root: Path, plan: Plan, rngs: list[np.random.Generator], behavior: Behavior
) -> tuple[list[Dataset], Record]:
    """Write the wheel and the cameras; return the records of their files, and the truth."""
    datasets, truth = write_wheel(root, plan, *wheel(behavior)), {}
    for rng, name in zip(rngs, camera_names(plan), strict=False):
        camera = draw_camera(rng, plan, name, behavior)
        if camera is not None:
            datasets += write_camera(root, plan, camera)
            truth[name] = camera.truth
    return datasets, truth


def _write_sortings(
    root: Path,
    plan: Plan,
    probe: str,
    rngs: list[np.random.Generator],
    n: int,
    drive: Drive,
    behavior: Behavior,
    end: float,
) -> tuple[list[Dataset], Record, pd.DataFrame]:
    """Write all sortings of a probe.

    Return the records of their files; and of the sorting that the reading rules choose, a
    summary and the truth of its units.
    """
    chosen, spare, following = rngs
    sorter, revision, lsd = plan.sorter(probe), "", plan.condition == "lsd"
    datasets = []
    if probe == "probe01" and "two_sorters_on_one_probe" in plan:
        other = draw_sorting(spare, probe, n * 3 // 4, drive, end, lsd=lsd)
        uuids = cluster_uuids(plan, probe, "pykilosort", "", other.cluster_depths.size)
        datasets += write_sorting(root, plan, probe, "pykilosort", other, uuids)
    if probe == "probe01" and "revisions" in plan:
        revision = REVISION
        older = draw_sorting(spare, probe, n * 3 // 4, drive, end, lsd=lsd)
        uuids = cluster_uuids(plan, probe, sorter, "", older.cluster_depths.size)
        superseded = {"default_revision": "False"}
        datasets += write_sorting(root, plan, probe, sorter, older, uuids, **superseded)
    sorting = draw_sorting(chosen, probe, n, drive, end, lsd=lsd)
    bombcell = "bombcell" in plan and probe == "probe00"
    if not bombcell:  # bombcell's flags belong to the spikes as they were first drawn
        first = int(probe[-2:])
        sorting = follow(following, sorting, drive, behavior, end, first=first)
    uuids = cluster_uuids(plan, probe, sorter, revision, sorting.cluster_depths.size)
    datasets += write_sorting(root, plan, probe, sorter, sorting, uuids, revision=revision)
    if bombcell:
        folder = root / plan.path / "spike_sorters" / sorter / probe
        write_bombcell(folder, sorting.clusters, *draw_bombcell(chosen, sorting))
    summary = {"sorter": sorter, "revision": revision, "end": end, **_summary(sorting)}
    return datasets, summary, _unit_truth(plan, probe, sorting, uuids)


def _summary(sorting: Sorting) -> Record:
    n_clusters, ids = sorting.cluster_depths.size, sorting.units.ids
    return {
        "n_clusters": n_clusters,
        "n_units": ids.size,
        "n_spikes": sorting.clusters.size,
        "silent_clusters": np.setdiff1d(np.arange(n_clusters), ids).tolist(),
    }


def _unit_truth(plan: Plan, probe: str, sorting: Sorting, uuids: list[str] | None) -> pd.DataFrame:
    """Return what is true of each unit."""
    units = sorting.units
    known = np.full(sorting.cluster_depths.size, None) if uuids is None else np.array(uuids, object)
    truth = {
        "uuid": known[units.ids],
        "pid": insertion_id(plan, probe),
        "sorter": plan.sorter(probe),
        "cluster_id": units.ids,
        "region": track(probe)[0][units.channels[units.ids]],
        "modulated": units.gain != 1,
        "gain": units.gain,
        "drifting": units.drift != 1,
        "drift": units.drift,
        "visual": units.response > 0,
        "rate": units.rate,
        "follows": units.follows,
        "weight": units.weight,
    }
    return pd.DataFrame(truth).astype({"uuid": object})


def _end(plan: Plan, line: Timeline, probe: str) -> float:
    """Return the end of a probe's recording, in s."""
    if "ends_early" in plan and probe == "probe01":
        return round(sum(line.runs[1].epochs["replay"]) / 2, 4)
    return line.end
