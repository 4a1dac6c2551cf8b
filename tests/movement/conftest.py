"""Recordings for what needs movement: `nox -s movement`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import lsdx

Write = Callable[..., Path]


@pytest.fixture(scope="session")
def pose(demo_stores: Path) -> xr.Dataset:
    """Open the pose of a camera of the demo cohort."""
    eid = lsdx.open_sessions(demo_stores).session.values[0]
    return lsdx.open_pose(demo_stores, session=eid, camera="left").compute()


@pytest.fixture
def dlc(tmp_path: Path) -> Write:
    """Write DeepLabCut's csv: three header rows, then (n, k, 3) x, y and likelihood in each row."""

    def written(
        name: str,
        values: np.ndarray,
        keypoints: tuple[str, ...] = ("nose", "body_centre", "tail_base"),
        scorer: str = "DLC_resnet50",
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        columns = [(k, c) for k in keypoints for c in ("x", "y", "likelihood")]
        lines = [
            ",".join(["scorer", *[scorer] * len(columns)]),
            ",".join(["bodyparts", *(k for k, _ in columns)]),
            ",".join(["coords", *(c for _, c in columns)]),
        ]
        for i, row in enumerate(values.reshape(len(values), -1).tolist()):
            lines.append(",".join([str(i), *map(repr, row)]))
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return written


@pytest.fixture
def field(dlc: Write) -> Path:
    """Write a folder of four recordings; return its table.

    2 min at 30 frames/s in an arena of 40 x 40 cm. The nose goes 10 cm/s, and after the injection
    at 60 s 10 cm/s at dose 0 and 4 cm/s at dose 75; up and down along x = 11 cm. Every 50th
    frame is of low likelihood and 9 cm off; for 6 s, from 70 s on, nothing is seen.
    """
    seconds = np.arange(3600) / 30
    head = "file,subject,dose,route,date,frame_rate,injection_time,px_per_cm,"
    lines = [head + "arena_x,arena_y,arena_width,arena_height"]
    for i, (dose, route) in enumerate([(0, "ip"), (0, "catheter"), (75, "ip"), (75, "catheter")]):
        scale = (12.0, 9.0)[i % 2]
        after = 10 if dose == 0 else 4
        way = np.where(seconds < 60, 10 * seconds, 600 + after * (seconds - 60))
        y = np.abs((way + 20) % 80 - 40)  # there and back
        nose = np.stack([np.full(3600, 11.0), y], axis=1)
        points = np.stack([nose, nose - [4, 0], nose - [8, 0]], axis=1)
        likelihood = np.full((3600, 3, 1), 0.99)
        points[::50] += 9
        likelihood[::50] = 0.1
        likelihood[2100:2280] = 0.05
        values = np.concatenate([points * scale + [100, 50], likelihood], axis=2)
        path = dlc(f"field/{i}_DLC.csv", values)
        lines.append(
            f"{path.name},M{i},{dose},{route},2026-01-0{i + 1},30,60,{scale},"
            f"100,50,{40 * scale},{40 * scale}"
        )
    table = path.parent / "recordings.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table
