"""Which files of a session's cameras to read, and when each frame was taken."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lsdx.assemble.layout import pick_revision
from lsdx.errors import ConfigError, SourceError, located
from lsdx.readers.records import DatasetRecord
from lsdx.readers.video import POSITION, TIMESTAMPS, TRACKERS

LONGEST_SURPLUS = 1.0  # s of frames that may lie before the first one tracked
LONGEST_INTERVAL = 1.5  # medians; a longer one lacks a frame
SURPLUS = ("", "last", "first")
# where a camera's files lie, and how they are called
_CAMERA = re.compile(
    rf"alf/_ibl_([^/_][^/]*)Camera\.(?:(?:{'|'.join(TRACKERS)})\.(?:pqt|csv)|times\.npy)"
    r"|alf/(?:_ibl_)?([^/_][^/]*)Camera\.ROIMotionEnergy\.npy"
    r"|raw_video_data/_iblrig_([^/_][^/]*)Camera\.frameData\.bin"
)


class TooFewTimes(SourceError):
    """A camera has fewer times than frames: the files are whole, and cannot be mended."""


@dataclass(frozen=True)
class CameraFiles:
    """The files of one camera that are read; None for each that is not there.

    ``tracker`` made the pose; it is ``""`` where there is none. ``notes`` say what was chosen
    where the records leave a choice, and what they list and cannot be read.
    """

    camera: str
    pose: DatasetRecord | None = None
    tracker: str = ""
    times: DatasetRecord | None = None
    motion_energy: DatasetRecord | None = None
    frame_data: DatasetRecord | None = None
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[DatasetRecord, ...]:
        """The files that are there: pose, times, motion energy, frame data."""
        listed = (self.pose, self.times, self.motion_energy, self.frame_data)
        return tuple(d for d in listed if d is not None)


@dataclass(frozen=True)
class FrameClock:
    """When each frame was taken, as far as that is known.

    Parameters
    ----------
    state : str
        ``"times"``: as many times as frames. ``"trimmed"``: there were more, some are left
        out. ``"no times"``: there are none. ``"untestable"``: there are so many more that
        nobody knows which are meant.
    times : ndarray of float64 (n_frames,) or None
        Seconds on the spike clock, in the file's order; None for the last two states.
    n_frames, n_times : int
        Frames, and times in the file.
    n_trimmed : int
        Times that are left out.
    n_repeated : int
        Times that are not later than the one before; -1 without times.
    n_gaps : int
        Intervals longer than 1.5 medians, the first one too; -1 without times.
    frame_rate : float
        One over the median interval, in Hz; NaN for fewer than two times, or if it is not
        positive.
    first_interval : float
        Between the first two times, in s; NaN for fewer than two.
    n_dropped : int
        Frames that the camera counted and the file lacks; -1 without a counter.

    Notes
    -----
    The counts, the rate and the interval are of ``times``, and of all times in the file where
    it is untestable which are meant.
    """

    state: str
    times: np.ndarray | None
    n_frames: int
    n_times: int = 0
    n_trimmed: int = 0
    n_repeated: int = -1
    n_gaps: int = -1
    frame_rate: float = np.nan
    first_interval: float = np.nan
    n_dropped: int = -1


def find_cameras(datasets: Sequence[DatasetRecord]) -> tuple[CameraFiles, ...]:
    """List the cameras of a session that have files, by name.

    A pose of Lightning Pose comes before one of DLC, and parquet before csv. Each file is of
    one revision: the pose's own default or newest, and of the other files the default or
    newest that is not later than the pose's. Without pose, the first of times, motion energy
    and frame data takes its place.

    Parameters
    ----------
    datasets : sequence of DatasetRecord
        All of the session's. Those that cannot be read are not chosen; notes name them.

    Returns
    -------
    tuple of CameraFiles
        A camera of which nothing can be read is not listed.

    Examples
    --------
    >>> names = ("alf/_ibl_leftCamera.dlc.pqt", "alf/_ibl_leftCamera.times.npy")
    >>> camera, = find_cameras([DatasetRecord(name) for name in names])
    >>> camera.camera, camera.tracker, camera.motion_energy
    ('left', 'dlc', None)
    """
    by_place: dict[str, list[DatasetRecord]] = {}
    cameras = set()
    for dataset in datasets:
        place = f"{dataset.collection}/{dataset.name}"
        if match := _CAMERA.fullmatch(place):
            cameras.add(next(g for g in match.groups() if g))
            by_place.setdefault(place, []).append(dataset)
    found = (_files_of(camera, by_place) for camera in sorted(cameras))
    return tuple(camera for camera in found if camera.files)


def find_wheel(datasets: Sequence[DatasetRecord]) -> tuple[DatasetRecord, ...]:
    """Return the wheel's position and time stamps; empty if not both can be read.

    The revision is the position's; the time stamps are not later.

    Examples
    --------
    >>> names = ("alf/_ibl_wheel.timestamps.npy", "alf/_ibl_wheel.position.npy")
    >>> [d.name for d in find_wheel([DatasetRecord(name) for name in names])]
    ['_ibl_wheel.position.npy', '_ibl_wheel.timestamps.npy']
    """
    both = [
        [d for d in datasets if d.readable and (d.collection, d.name) == ("alf", name)]
        for name in (POSITION, TIMESTAMPS)
    ]
    position, _ = pick_revision(both[0])
    times, _ = pick_revision(both[1], None if position is None else position.revision)
    return () if position is None or times is None else (position, times)


def frame_clock(
    n_frames: int,
    times: np.ndarray | None,
    where: str,
    *,
    surplus: str = "",
    counter: np.ndarray | None = None,
) -> FrameClock:
    """Give each frame of a camera its time, or say why that cannot be done.

    As many times as frames are taken as they are. Where there are up to 1 s of frames more (in
    whole frames, at the rate of the times), the last ones are taken: a camera runs before its
    video is written. Where there are still more, none are taken, unless ``surplus`` says which.
    It serves any series with one value a frame: pose, motion energy.

    Parameters
    ----------
    n_frames : int
        Rows of the series.
    times : ndarray of float64 (n_times,) or None
        In s, in the file's order; None: there is no file.
    where : str
        Session, collection and file of the times, for errors.
    surplus : {"", "last", "first"}
        Which times to take where there are more than 1 s of frames too many.
    counter : ndarray of int64, optional
        The camera's own count of frames, one a frame of the video.

    Returns
    -------
    FrameClock

    Raises
    ------
    TooFewTimes
        For fewer times than frames.
    ConfigError
        For another ``surplus``.

    Examples
    --------
    >>> clock = frame_clock(3, np.array([0.0, 0.5, 1.0, 1.5]), "session, times")
    >>> clock.state, clock.times.tolist(), clock.frame_rate
    ('trimmed', [0.5, 1.0, 1.5], 2.0)
    """
    if surplus not in SURPLUS:
        named = " or ".join(repr(s) for s in SURPLUS)
        raise ConfigError(located("surplus", named, repr(surplus)))
    n_dropped = -1
    if counter is not None:
        step = np.diff(counter)
        n_dropped = int((step[step > 1] - 1).sum())
    if times is None:
        return FrameClock("no times", None, n_frames, n_dropped=n_dropped)
    more = times.size - n_frames
    if more < 0:
        raise TooFewTimes(
            located(
                where,
                f"a time for each of {n_frames} frames",
                f"{times.size} times",
                "Extract the camera's times again.",
            )
        )
    state, kept = "times", times
    if more:
        state = "trimmed"
        if more <= np.rint(LONGEST_SURPLUS * _rate(times)) or surplus == "last":
            kept = times[more:]
        elif surplus == "first":
            kept = times[:n_frames]
        else:
            state = "untestable"
    interval = np.diff(kept)
    return FrameClock(
        state=state,
        times=None if state == "untestable" else kept,
        n_frames=n_frames,
        n_times=times.size,
        n_trimmed=more if state == "trimmed" else 0,
        n_repeated=int((interval <= 0).sum()),
        n_gaps=int((interval > LONGEST_INTERVAL * np.median(interval)).sum())
        if interval.size
        else 0,
        frame_rate=_rate(kept),
        first_interval=float(interval[0]) if interval.size else np.nan,
        n_dropped=n_dropped,
    )


def _rate(times: np.ndarray) -> float:
    """Return one over the median interval in Hz, NaN where there is none or it is not positive."""
    interval = np.median(np.diff(times)) if times.size > 1 else 0.0
    return float(1 / interval) if interval > 0 else np.nan


def _files_of(camera: str, by_place: dict[str, list[DatasetRecord]]) -> CameraFiles:
    """Choose the files of one camera, lead first: the others are not later than it."""
    stem = f"alf/_ibl_{camera}Camera"
    kinds = {
        "pose": [f"{stem}.{a}.{end}" for a in TRACKERS for end in ("pqt", "csv")],
        "times": [f"{stem}.times.npy"],
        "motion_energy": [f"alf/{p}{camera}Camera.ROIMotionEnergy.npy" for p in ("", "_ibl_")],
        "frame_data": [f"raw_video_data/_iblrig_{camera}Camera.frameData.bin"],
    }
    chosen: dict[str, DatasetRecord] = {}
    notes: list[str] = []
    until: str | None = None
    for kind, places in kinds.items():
        for place in places:
            listed = by_place.get(place, [])
            readable = [d for d in listed if d.readable]
            picked, note = pick_revision(readable, until)
            if note:
                notes.append(note)
            name = place.rpartition("/")[2]
            if picked is None:
                if readable:
                    notes.append(
                        f"{name}: not read, all revisions are later than {until or 'none'}"
                    )
                elif any(d.present for d in listed):
                    notes.append(f"{name} is recorded but not on disk")
                continue
            if not picked.default_revision and any(
                d.default_revision and d.present and not d.readable for d in listed
            ):
                notes.append(f"{name}: an older revision read; the default one is not on disk")
            chosen[kind] = picked
            until = picked.revision if until is None else until
            break
    pose = chosen.get("pose")
    attribute = pose.name.split(".")[1] if pose else ""
    return CameraFiles(
        camera=camera,
        tracker=TRACKERS.get(attribute, ""),
        notes=tuple(f"{camera}: {n}" for n in notes),
        **chosen,
    )
