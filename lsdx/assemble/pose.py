"""Full-rate pose of one camera of one session, in movement's form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from lsdx.assemble.cameras import FrameClock
from lsdx.assemble.labelled import dataset
from lsdx.assemble.plan import LabTables, SessionPlan
from lsdx.assemble.recording import Recording
from lsdx.assemble.stored import Stored
from lsdx.schema import SCHEMAS
from lsdx.schema.pose import RESOLUTION

_UNTIMED = {
    "no times": "no times of its frames: it opens by frame",
    "untestable": (
        "more than 1 s too many times: nobody knows which are meant, it opens by frame. "
        "[pose] surplus = 'last' or 'first' decides"
    ),
}


def assemble_pose(recording: Recording, *, camera: str) -> xr.Dataset | None:
    """Return the keypoints of one camera, a row a frame, with the frames' times.

    Parameters
    ----------
    recording : Recording
    camera : str
        Such as ``"left"``.

    Returns
    -------
    Dataset or None
        As `lsdx.schema.pose` declares it; positions rounded to 1/64 px, unlikely points kept.
        None where the session has no pose of that camera.
    """
    found = [c for c in recording.cameras if c.files.camera == camera and c.pose is not None]
    if not found or found[0].pose is None or found[0].clock is None:
        return None
    (seen,) = found
    pose, clock, record = found[0].pose, found[0].clock, seen.files.pose
    columns: dict[str, Any] = {
        "space": ["x", "y"],
        "keypoints": list(pose.keypoints),
        "individuals": [recording.session.subject],
        "frame_time": np.full(clock.n_frames, np.nan) if clock.times is None else clock.times,
        "position": _rounded(pose.position)[..., np.newaxis],
        "confidence": pose.confidence[..., np.newaxis],
        **{name: values[..., np.newaxis] for name, values in pose.ensemble.items()},
    }
    return dataset(SCHEMAS["pose"], columns).assign_attrs(
        camera=camera,
        tracker=pose.tracker,
        tracker_version=record.version if record else "",
        pose_revision=record.revision if record else "",
        source_file=record.path if record else "",
        clock=clock.state,
        frame_rate=clock.frame_rate if np.isfinite(clock.frame_rate) else None,
        likelihood=recording.pose.likelihood.get(pose.tracker, 0.0),
        notes=[*seen.files.notes, *pose.notes, *clock_notes(clock)],
    )


def _rounded(position: np.ndarray) -> np.ndarray:
    scaled = position / np.float32(RESOLUTION)  # of a power of two: exact
    np.rint(scaled, out=scaled)
    scaled *= np.float32(RESOLUTION)
    return scaled


def clock_notes(clock: FrameClock) -> list[str]:
    """Say what is odd about the times of a camera's frames."""
    notes = [_UNTIMED[clock.state]] if clock.state in _UNTIMED else []
    if clock.n_trimmed > 0:
        notes.append(f"{clock.n_trimmed} of {clock.n_times} times of frames left out")
    if clock.n_repeated > 0:
        notes.append(f"{clock.n_repeated} times of frames go back or repeat")
    return notes


def _has_pose(plan: SessionPlan, _lab: LabTables, parameters: Mapping[str, Any]) -> bool:
    wanted = parameters.get("camera")
    return any(c.camera == wanted and c.pose is not None for c in plan.cameras)


def _variants(parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    return (parameters.get("camera", ""),)


# each session is opened by itself
STORED = Stored(
    "pose", None, available=_has_pose, lacking="no pose of this camera on disk", variants=_variants
)
