"""Three cameras of many sessions at full rate: built, opened, a feature of all of them read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

import lsdx
from benchmarks.timing import Result, measure

RATES = {"left": 60, "right": 150, "body": 30}
SIDE = (
    *(f"pupil_{k}_r" for k in ("top", "right", "bottom", "left")),
    *("nose_tip", "tongue_end_l", "tongue_end_r", "paw_l", "paw_r", "tube_top", "tube_bottom"),
)
RECIPES = ("sessions", "epochs", "pose_left", "pose_right", "pose_body", "behavior")
# a process of its own, so that the peak is of the build alone
_BUILD = """
import sys
from benchmarks.timing import peak, timed
from lsdx.builders import build
from lsdx.config import Settings
cache, epochs, stores, *names = sys.argv[1:]
settings = Settings(source="cache", cache_dir=cache, epochs=epochs, stores=stores)
seconds, report = timed(lambda: build(settings, names, progress=False))
print(seconds, peak(), int(report.failed))
"""


def cameras(folder: Path, quick: bool) -> Iterator[Result]:
    """Build the cameras of 40 sessions of 75 min (quick: 2 of one minute), open and read them."""
    n_sessions, seconds = (2, 60) if quick else (40, 4500)
    cache, epochs = folder / "cameras", folder / "cameras-epochs.csv"
    if not cache.exists():
        _write(cache, epochs, n_sessions, seconds)
    stores = folder / "stores-cameras"
    shutil.rmtree(stores, ignore_errors=True)
    arguments = [sys.executable, "-c", _BUILD, *map(str, (cache, epochs, stores)), *RECIPES]
    told = subprocess.run(arguments, capture_output=True, text=True, check=True, cwd=os.getcwd())
    spent, highest, failed = map(float, told.stdout.split())
    if failed:
        raise RuntimeError(f"{cache}: a session failed")
    size = sum(p.stat().st_size for p in stores.rglob("*") if p.is_file()) / 1e9
    raw = sum(p.stat().st_size for p in cache.rglob("*") if p.is_file()) / 1e9
    note = {"note": f"{size:.3g} GB of {raw:.3g} GB of files"}
    job = f"build {n_sessions} sessions of three cameras, {seconds / 60:g} min"
    yield Result(job, spent, float("nan"), highest, note)
    yield measure(f"open_behavior, {n_sessions} sessions", lambda: lsdx.open_behavior(stores))
    eid = lsdx.open_behavior(stores).session.values[0]
    yield measure("open_pose", lambda: lsdx.open_pose(stores, session=eid, camera="right"))
    place = {"feature": "left/pupil_diameter", "phase": "post", "epoch": "replay"}
    yield measure(
        f"read a feature and epoch of {n_sessions} sessions",
        lambda: lsdx.open_behavior(stores).behavior.sel(place).compute(),
    )
    pose = lsdx.open_pose(stores, session=eid, camera="right")
    yield measure("speed of 11 keypoints, right camera", lambda: pose.lsd.speed().compute())


def _write(cache: Path, epochs: Path, n_sessions: int, seconds: int) -> None:
    """Write one session; the others are links to its files."""
    from one.alf.cache import make_parquet_db

    rng = np.random.default_rng(0)
    first = cache / "lab/Subjects/M00/2024-03-01/001/alf"
    first.mkdir(parents=True)
    for camera, rate in RATES.items():
        n = rate * seconds
        times = 1 + (np.arange(n) + rng.uniform(0, 0.2, n)) / rate
        np.save(first / f"_ibl_{camera}Camera.times.npy", times)
        np.save(first / f"{camera}Camera.ROIMotionEnergy.npy", rng.gamma(2, size=n))
        table = {}
        for k in SIDE if camera != "body" else ("tail_start",):
            for axis in "xy":
                slow = np.cumsum(rng.normal(0, 1, n // 10 + 2))
                table[f"{k}_{axis}"] = (
                    300
                    + np.interp(np.arange(n) / 10, np.arange(slow.size), slow)
                    + rng.normal(0, 0.3, n)
                )
            table[f"{k}_likelihood"] = 1 - rng.beta(0.2, 5, n)
        pd.DataFrame(table).to_parquet(first / f"_ibl_{camera}Camera.dlc.pqt")
    np.save(first / "_ibl_wheel.timestamps.npy", np.arange(0, seconds, 0.01))
    np.save(first / "_ibl_wheel.position.npy", np.cumsum(rng.normal(0, 0.01, seconds * 100)))
    for i in range(1, n_sessions):
        other = cache / f"lab/Subjects/M{i:02d}/2024-03-01/001/alf"
        other.mkdir(parents=True)
        for path in first.iterdir():
            os.link(path, other / path.name)
    make_parquet_db(cache)
    eids = pd.read_parquet(cache / "sessions.pqt").index
    names = ("spontaneous", "rfm", "replay")
    length = seconds / 15
    rows = [
        (eid, phase, name, start + k * length, start + (k + 1) * length)
        for eid in eids
        for phase, start in (("pre", 2.0), ("post", seconds * 0.75))
        for k, name in enumerate(names)
    ]
    table = pd.DataFrame(rows, columns=["eid", "phase", "epoch", "start", "stop"])
    table.to_csv(epochs, index=False)
