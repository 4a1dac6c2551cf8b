"""What the cameras of a session give: pose, frame times, motion energy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lsdx.demo.behavior import Behavior
from lsdx.demo.plan import Plan
from lsdx.demo.records import Record

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

# Where each keypoint rests, and the radius on which it goes round in a bout of vigor 1, in px of
# the left camera. The video of the right camera is flipped: there too, paw_r is the nearer paw.
SIDE = {
    "pupil_top_r": (440, 330, 0),
    "pupil_right_r": (440, 330, 0),
    "pupil_bottom_r": (440, 330, 0),
    "pupil_left_r": (440, 330, 0),
    "nose_tip": (250, 520, 4),
    "tongue_end_l": (300, 600, 4),
    "tongue_end_r": (310, 612, 4),
    "paw_l": (380, 760, 14),
    "paw_r": (420, 800, 20),
    "tube_top": (230, 600, 0),
    "tube_bottom": (240, 640, 0),
}
PUPIL_PX = 40.0  # diameter at rest, in px of the left camera
PUPIL_SIDES = {"top": (0, -0.5), "right": (0.5, 0), "bottom": (0, 0.5), "left": (-0.5, 0)}
NOISE = 0.3  # px of the left camera, of each likely coordinate
DOUBT = 0.5  # px^2 of the left camera, mean variance of an ensemble
GRAIN = 64  # coordinates are whole parts of 1/64 px, which keeps the files small
TONGUE_OUT = 0.3  # share of the frames of a bout
BLINK_EVERY, BLINK = 30.0, 0.3  # s
SURPLUS_FRAMES, SHORT_FRAMES = 3, 5
SURPLUS_TIME, DROPPED_TIME = 540, 30  # s


@dataclass(frozen=True)
class Lens:
    """What one camera is: its rate, its pixels, and what its tracker follows."""

    rate: int  # frames/s: a fraction of a real one's, but each 100 ms of a side camera has a frame
    scale: float  # px of this camera over px of the left one
    late: int  # frame intervals between the first frame and the second
    keypoints: dict[str, tuple[int, int, int]]
    ensemble: bool  # whether Lightning Pose's file keeps the columns of its ensemble


@dataclass(frozen=True)
class Tracker:
    """How a tracker fails: how often, by how much, and how sure it is of itself."""

    name: str
    share: float  # of the points that are bad
    error: float  # px of the left camera
    doubt: float  # mean of 1 - likelihood of good points
    sure: tuple[float, float]  # likelihood of bad points


LENSES = {
    "left": Lens(12, 1.0, 3, SIDE, ensemble=True),
    "right": Lens(15, 0.5, 4, SIDE, ensemble=False),
    "body": Lens(6, 0.5, 2, {"tail_start": (640, 500, 12)}, ensemble=True),
}
TRACKERS = {
    "lightningPose": Tracker("lightning_pose", 0.005, 3.0, 0.003, (0.3, 0.8)),
    "dlc": Tracker("dlc", 0.01, 20.0, 0.015, (0.02, 0.6)),
}
# Which camera an oddity is about; one that is not named here is about all cameras of its session.
ODD_CAMERA = {
    "surplus_times": "right",
    "surplus_minutes": "right",
    "short_times": "right",
    "no_times": "right",
    "no_camera": "right",
    "dropped_frames": "left",
    "two_trackers": "body",
}


@dataclass(frozen=True)
class Camera:
    """What one camera gives."""

    name: str
    poses: dict[str, pd.DataFrame]  # by tracker
    times: Floats | None
    motion_energy: Singles
    frame_data: Floats | None  # (frame, 4): two clocks, the counter of frames, the pins
    truth: Record


def camera_names(plan: Plan) -> tuple[str, ...]:
    """Return the cameras of a session's rig."""
    return ("left", "right", "body")[: 3 if plan.day.year < 2025 else 2]


def draw_camera(
    rng: np.random.Generator, plan: Plan, name: str, behavior: Behavior
) -> Camera | None:
    """Draw what one camera gives, None if nothing of it is there."""
    odd = {each for each in plan.oddities if ODD_CAMERA.get(each, name) == name}
    if "no_camera" in odd:
        return None
    lens = LENSES[name]
    due = _due(rng, lens, behavior)
    frames, given, state, surplus = _clock(due, lens.rate, odd)
    at = due[frames]
    moves = behavior.movement_at(at)
    x, y = _positions(lens, behavior, at)
    trackers = ["dlc"] if odd & {"dlc_only", "no_likelihood"} else ["lightningPose"]
    if "two_trackers" in odd:
        trackers.append("dlc")
    poses = {each: _track(rng, lens, each, x, y, moves > 0, at) for each in trackers}
    if "no_likelihood" in odd:
        poses = {each: table.filter(regex="_[xy]$") for each, table in poses.items()}
    energy = 2 + 3 * moves + rng.normal(0, 0.2, at.size)
    steps = np.diff(frames)
    drops = np.flatnonzero(steps > 1)
    counted = None
    if "dropped_frames" in odd:
        counted = np.column_stack([at, at % 128, frames, np.full(at.size, 32)])
    truth = {
        "tracker": TRACKERS[trackers[0]].name,
        "likelihood": "no_likelihood" not in odd,
        "frame_rate": lens.rate,
        "first_frame": float(at[0]),
        "n_frames": at.size,
        "n_times": None if given is None else given.size,
        "state": state,
        "surplus": surplus,
        "n_dropped": -1 if counted is None else int((steps - 1).sum()),
        "gaps": [at[drop : drop + 2].tolist() for drop in drops],
        "pupil_diameter": None if name == "body" else PUPIL_PX * lens.scale,
        "speed": {
            key: round(2 * math.pi * radius * lens.scale, 4)
            for key, (_, _, radius) in lens.keypoints.items()
        },
    }
    return Camera(name, poses, given, energy.astype(np.float32), counted, truth)


def _due(rng: np.random.Generator, lens: Lens, behavior: Behavior) -> Floats:
    """Draw the time of each frame that the camera took."""
    start = behavior.start + rng.uniform(0, 0.01)
    n = int((behavior.stop - start) * lens.rate) - lens.late
    due = start + (np.arange(n) + lens.late - 1) / lens.rate + rng.normal(0, 5e-5, n)
    due[0] = start
    return np.round(due, 6)


def _clock(
    due: Floats, rate: int, odd: set[str]
) -> tuple[NDArray[np.int64], Floats | None, str, str]:
    """Return which frames have a pose, the times given, the state, and which times are meant."""
    frames = np.arange(due.size)
    if "surplus_times" in odd:
        return frames[SURPLUS_FRAMES:], due, "trimmed", "last"
    if "surplus_minutes" in odd:
        return frames[: -SURPLUS_TIME * rate], due, "untestable", "first"
    if "short_times" in odd:
        return frames, due[:-SHORT_FRAMES], "error", ""
    if "no_times" in odd:
        return frames, None, "no times", ""
    if "dropped_frames" in odd:
        lost = due.size // 8
        frames = np.delete(frames, slice(lost, lost + DROPPED_TIME * rate))
    return frames, due[frames], "times", ""


def _positions(lens: Lens, behavior: Behavior, times: Floats) -> tuple[Singles, Singles]:
    """Return where each keypoint truly is, (keypoint, frame) px."""
    moves = behavior.movement_at(times)
    angle = 2 * np.pi * behavior.turns_at(times)
    rest = np.array(list(lens.keypoints.values()), np.float32) * lens.scale
    x = rest[:, :1] + rest[:, 2:] * (moves * np.sin(angle)).astype(np.float32)
    y = rest[:, 1:2] + rest[:, 2:] * (moves * (1 - np.cos(angle))).astype(np.float32)
    width = (PUPIL_PX * lens.scale * behavior.pupil_at(times)).astype(np.float32)
    for row, key in enumerate(lens.keypoints):
        if key.startswith("pupil"):
            right, down = PUPIL_SIDES[key.split("_")[1]]
            x[row] += np.float32(right) * width
            y[row] += np.float32(down) * width
    return x, y


def _track(
    rng: np.random.Generator,
    lens: Lens,
    tracker: str,
    x: Singles,
    y: Singles,
    moving: NDArray[np.bool_],
    times: Floats,
) -> pd.DataFrame:
    """Draw a tracker's table; a bad point has a plausible place and a low likelihood."""
    kind, shape = TRACKERS[tracker], x.shape
    bad = rng.random(shape, np.float32) < kind.share
    keys = list(lens.keypoints)
    blinks = rng.uniform(times[0], times[-1], int((times[-1] - times[0]) / BLINK_EVERY))
    blinks.sort()
    since = times - np.concatenate([[-np.inf], blinks])[np.searchsorted(blinks, times)]
    hidden = ~(moving & (rng.random(times.size, np.float32) < TONGUE_OUT))
    for row, key in enumerate(keys):
        if key.startswith("pupil"):
            bad[row] |= since < BLINK
        if key.startswith("tongue"):
            bad[row] |= hidden
    places = []
    for place in (x, y):
        noise = rng.standard_normal(shape, np.float32) * np.float32(NOISE * lens.scale)
        noise[bad] = rng.standard_normal(np.count_nonzero(bad), np.float32)
        noise[bad] *= np.float32(kind.error * lens.scale)
        places.append(_grains(place + noise))
    likelihood = 1 - np.float32(kind.doubt) * rng.standard_exponential(shape, np.float32)
    low, high = kind.sure
    likelihood[bad] = rng.uniform(low, high, np.count_nonzero(bad))
    columns = {"x": places[0], "y": places[1], "likelihood": np.round(likelihood, 3)}
    if tracker == "lightningPose" and lens.ensemble:
        columns |= _ensemble(rng, places, lens.scale)
    values = np.stack(list(columns.values()), axis=1, dtype=np.float64)
    names = [f"{key}_{column}" for key in keys for column in columns]
    return pd.DataFrame(values.reshape(-1, times.size).T, columns=names, copy=False)


def _ensemble(rng: np.random.Generator, places: list[Singles], scale: float) -> dict[str, Singles]:
    """Draw the columns of Lightning Pose's ensemble: median, variance, posterior variance."""
    columns: dict[str, Singles] = {}
    for axis, place in zip("xy", places, strict=True):
        spread = rng.standard_exponential(place.shape, np.float32) * np.float32(DOUBT * scale**2)
        noise = rng.standard_normal(place.shape, np.float32) * np.float32(NOISE * scale)
        columns[f"{axis}_ens_median"] = _grains(place + noise)
        columns[f"{axis}_ens_var"] = _grains(spread)
        columns[f"{axis}_posterior_var"] = columns[f"{axis}_ens_var"] / np.float32(4)
    names = ("ens_median", "ens_var", "posterior_var")
    return {key: columns[key] for key in (f"{axis}_{name}" for name in names for axis in "xy")}


def _grains(values: Singles) -> Singles:
    rounded: Singles = np.round(values * np.float32(GRAIN)).astype(np.float32)
    return rounded / np.float32(GRAIN)
