"""Read what cameras and the wheel of one session gave; what cannot be read is left out and told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lsdx.assemble.cameras import CameraFiles, TooFewTimes, frame_clock
from lsdx.assemble.recording import Camera
from lsdx.config import Pose as PoseRules
from lsdx.errors import SourceError
from lsdx.readers.records import DatasetRecord
from lsdx.readers.video import (
    Wheel,
    read_frame_counter,
    read_frame_times,
    read_motion_energy,
    read_pose,
    read_wheel,
)
from lsdx.sources import Source


def read_camera(
    source: Source, eid: str, files: CameraFiles, rules: PoseRules, problems: list[str]
) -> Camera:
    """Read one camera of a session.

    Motion energy or a frame counter that cannot be read is left out, with a line in ``problems``.

    Raises
    ------
    SourceError
        If the pose or the times of the frames cannot be read, or do not belong together.
    """

    def read(record: DatasetRecord, reader: Callable[..., Any], **options: Any) -> Any:
        return reader(source.fetch(eid, record), f"session {eid}, {record.path}", **options)

    def read_or_tell(record: DatasetRecord | None, reader: Callable[..., Any]) -> Any:
        try:
            return None if record is None else read(record, reader)
        except SourceError as error:
            problems.append(str(error))
            return None

    where = f"session {eid}, {files.camera}Camera"
    times = None if files.times is None else read(files.times, read_frame_times)
    pose = clock = None
    if files.pose is not None:
        pose = read(files.pose, read_pose, tracker=files.tracker, ensemble=rules.ensemble)
        n_frames = pose.position.shape[0]
        clock = frame_clock(n_frames, times, where, surplus=rules.surplus)
    energy, energy_clock = read_or_tell(files.motion_energy, read_motion_energy), None
    notes: tuple[str, ...] = ()
    if energy is not None:
        try:
            energy_clock = frame_clock(
                energy.size, times, f"{where}, ROIMotionEnergy", surplus=rules.surplus
            )
        except TooFewTimes as error:
            notes, energy = (str(error),), None
    counter = read_or_tell(files.frame_data, read_frame_counter)
    n_dropped = -1 if counter is None else int((np.diff(counter) - 1).clip(min=0).sum())
    return Camera(files, pose, clock, energy, energy_clock, n_dropped, notes)


def read_wheel_of(
    source: Source, eid: str, files: Sequence[DatasetRecord], problems: list[str]
) -> Wheel | None:
    """Read the wheel of a session; None where there is none, or it cannot be read."""
    if not files:
        return None
    try:
        paths: dict[str, Path] = {d.name: source.fetch(eid, d) for d in files}
        return read_wheel(paths, f"session {eid}, wheel")
    except SourceError as error:
        problems.append(str(error))
        return None
