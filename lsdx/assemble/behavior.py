"""Behaviour of one session in equal bins of each epoch: features of its cameras and its wheel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from lsdx.assemble.cameras import FrameClock
from lsdx.assemble.labelled import dataset
from lsdx.assemble.plan import LabTables, SessionPlan
from lsdx.assemble.pose import clock_notes
from lsdx.assemble.recording import Camera, Recording
from lsdx.assemble.stored import Joining, Part, Stored
from lsdx.clock import TICKS_PER_SECOND, bin_centres, n_bins, to_bin_ticks, to_ticks
from lsdx.kernels.behavior import wheel_path
from lsdx.kernels.features import (
    USED,
    baseline,
    binned_features,
    keypoint_features,
    tongue_is_likely,
    with_percent,
    within,
)
from lsdx.kernels.frames import increasing, lag
from lsdx.readers.video import Wheel
from lsdx.schema import SCHEMAS
from lsdx.schema.behavior import CAMERA_FEATURES, FRAME_WIDTHS, WHEEL

_BINS = ("behavior", "share")
_MOVING = ("paw_near_speed", "paw_far_speed", "nose_speed", "tail_speed")


@dataclass(frozen=True)
class _Bins:
    """Equal bins of each epoch: first s and number, flattened over (phase, epoch)."""

    start: np.ndarray
    stop: np.ndarray
    number: np.ndarray
    width: int
    first_phase: np.ndarray

    @property
    def length(self) -> int:
        return int(self.number.max(initial=0))

    @property
    def inside(self) -> np.ndarray:
        return np.asarray(np.arange(self.length) < self.number[:, None])


def assemble_behavior(
    recording: Recording, *, epochs: xr.Dataset | None, bin_width: str | float = "100 ms"
) -> xr.Dataset | None:
    """Bin the features of each camera and of the wheel in each epoch.

    Parameters
    ----------
    recording : Recording
    epochs : Dataset or None
        The session's.
    bin_width : str or float
        Such as ``"100 ms"``; a whole number of ticks of 10 us.

    Returns
    -------
    Dataset or None
        As `lsdx.schema.behavior` declares it. None where the session has neither camera nor wheel.
    """
    if epochs is None or not (recording.cameras or recording.wheel):
        return None
    bins = _bins_of(epochs, to_bin_ticks(bin_width))
    values: dict[str, np.ndarray] = {}
    share: dict[str, np.ndarray] = {}
    told: list[dict[str, Any]] = []
    notes: list[str] = []
    for camera in recording.cameras:
        series = _series(recording, camera)
        of_camera = _binned(camera, series, bins)
        values |= {f"{camera.files.camera}/{n}": v for n, (v, _) in of_camera.items()}
        share |= {f"{camera.files.camera}/{n}": s for n, (_, s) in of_camera.items()}
        told.append(_about(recording, camera, series))
        clock = camera.clock or camera.energy_clock
        notes += camera.notes
        if clock is not None:
            notes += [f"{camera.files.camera}: {n}" for n in clock_notes(clock)]
    if recording.wheel is not None:
        values[WHEEL], share[WHEEL] = _wheel(recording.wheel, bins)
    shape = (1, len(values), epochs.sizes["phase"], epochs.sizes["epoch"], bins.length)
    names = ordered(values)
    columns: dict[str, Any] = {
        "session": [recording.session.eid],
        "feature": names,
        "phase": epochs["phase"].values,
        "epoch": epochs["epoch"].values,
        "camera": [c.files.camera for c in recording.cameras],
        "time": bin_centres(bins.length, bins.width),
        "behavior": np.array([values[n] for n in names], dtype=np.float32).reshape(shape),
        "share": np.array([share[n] for n in names], dtype=np.float32).reshape(shape),
    }
    columns |= {n: [[row[n] for row in told]] for n in _told_names()}
    return dataset(SCHEMAS["behavior"], columns).assign_attrs(
        bin_width=bins.width / TICKS_PER_SECOND, bin_width_ticks=bins.width, notes=notes
    )


def _bins_of(epochs: xr.Dataset, width: int) -> _Bins:
    start, stop = (epochs[n].isel(session=0).values.ravel() for n in ("start", "stop"))
    known = ~(np.isnan(start) | np.isnan(stop))
    begin, end = (to_ticks(np.where(known, t, 0)) for t in (start, stop))
    number = np.where(known, n_bins(end - begin, width), 0).clip(min=0)
    first = np.repeat(np.arange(epochs.sizes["phase"]) == 0, epochs.sizes["epoch"])
    return _Bins(begin / TICKS_PER_SECOND, end / TICKS_PER_SECOND, number, width, first & known)


def _series(recording: Recording, camera: Camera) -> dict[str, np.ndarray]:
    """Return the features of a camera's keypoints at full rate, NaN where points are unlikely."""
    pose, clock = camera.pose, camera.clock
    if pose is None or clock is None:
        return {}
    least = recording.pose.likelihood.get(pose.tracker, 0.0)
    times = np.arange(clock.n_frames, dtype=np.float64) if clock.times is None else clock.times
    # a tracker that states no confidence leaves none out
    unlikely = pose.confidence < least
    points = {
        k: np.where(unlikely[:, i, None], np.nan, pose.position[:, :, i])
        for i, k in enumerate(pose.keypoints)
        if k in USED
    }
    confidence = {k: pose.confidence[:, i] for i, k in enumerate(pose.keypoints)}
    found = keypoint_features(points, times, tongue_is_likely(confidence, least))
    if clock.times is None:  # known by frame alone: nothing of it has a time
        return {n: np.full(clock.n_frames, np.nan) for n in found}
    return found


def _binned(
    camera: Camera, series: Mapping[str, np.ndarray], bins: _Bins
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the mean in each bin, and the share of the frames due, by measure."""
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    if series and camera.clock is not None:
        base = _baseline(series.get("pupil_diameter"), camera.clock, bins)
        found |= with_percent(_means(series, camera.clock, bins), base)
    if camera.motion_energy is not None and camera.energy_clock is not None:
        energy = {"motion_energy": camera.motion_energy}
        found |= _means(energy, camera.energy_clock, bins)
    return found


def _means(
    series: Mapping[str, np.ndarray], clock: FrameClock, bins: _Bins
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    if clock.times is None:
        unknown = np.full((bins.number.size, bins.length), np.nan)
        return dict.fromkeys(series, (unknown, unknown))
    width = bins.width / TICKS_PER_SECOND
    return binned_features(series, clock.times, bins.start, bins.number, width)


def _baseline(diameter: np.ndarray | None, clock: FrameClock, bins: _Bins) -> float:
    """Return what is 100 % of the pupil's diameter, in px; NaN where it is not known."""
    if diameter is None or clock.times is None:
        return np.nan
    start, stop = bins.start[bins.first_phase], bins.stop[bins.first_phase]
    return baseline(diameter[within(clock.times, start, stop)])


def _wheel(wheel: Wheel, bins: _Bins) -> tuple[np.ndarray, np.ndarray]:
    """Return the wheel's speed in each bin, and 1 where it was recorded."""
    width = bins.width / TICKS_PER_SECOND
    speed = np.full((bins.number.size, bins.length), np.nan)
    for i, (start, number) in enumerate(zip(bins.start, bins.number, strict=True)):
        edges = start + np.arange(number + 1) * width
        speed[i, :number] = wheel_path(wheel.times, wheel.position, edges) / width
    return speed, np.where(bins.inside, np.isfinite(speed), np.nan)


def _about(
    recording: Recording, camera: Camera, series: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Return what is known of one camera: its tracker, the times of its frames, their lag."""
    clock, record = camera.clock or camera.energy_clock, camera.files.pose
    tracker = camera.pose.tracker if camera.pose else ""
    late, p, of = _lag(recording, camera, series)
    numbers = {
        name: float(getattr(clock, name)) if clock and getattr(clock, name) >= 0 else np.nan
        for name in (
            "n_frames",
            "n_times",
            "n_trimmed",
            "n_repeated",
            "n_gaps",
            "frame_rate",
            "first_interval",
        )
    }
    return {
        "tracker": tracker,
        "tracker_version": record.version if record and tracker else "",
        "pose_revision": record.revision if record and tracker else "",
        "clock": clock.state if clock else "",
        **numbers,
        "n_dropped": camera.n_dropped if camera.n_dropped >= 0 else np.nan,
        "likelihood": recording.pose.likelihood.get(tracker, 0.0) if tracker else np.nan,
        "lag": late,
        "lag_p": p,
        "lag_of": of,
    }


def _lag(
    recording: Recording, camera: Camera, series: Mapping[str, np.ndarray]
) -> tuple[float, float, str]:
    """Return how far motion energy, else the wheel, is behind what moves, its p, and of what."""
    clock, energy = camera.clock, camera.energy_clock
    moving = [series[n] for n in _MOVING if n in series]
    if clock is None or clock.times is None or not moving:
        return np.nan, np.nan, ""
    times = clock.times
    if energy is not None and energy.times is not None and camera.motion_energy is not None:
        rising = increasing(energy.times)
        other = np.interp(times, energy.times[rising], camera.motion_energy[rising])
        of = "motion_energy"
    elif recording.wheel is not None:
        path = wheel_path(recording.wheel.times, recording.wheel.position, times)
        other = np.append(path, np.nan)
        of = "wheel"
    else:
        return np.nan, np.nan, ""
    known = np.isfinite(moving)
    total = np.where(known, moving, 0).sum(axis=0)
    mean = np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)
    late, _, p = lag(mean, other, times, rng=np.random.default_rng(0))
    return late, p, of


def ordered(names: Mapping[str, Any] | Sequence[str]) -> list[str]:
    """Return features in their order: left, right and body camera, others, the wheel."""

    def rank(name: str) -> tuple[Any, ...]:
        camera, _, measure = name.partition("/")
        known = measure in CAMERA_FEATURES
        return name == WHEEL, _camera_rank(camera), CAMERA_FEATURES.index(measure) if known else 0

    return sorted(names, key=rank)


def _camera_rank(camera: str) -> tuple[int, str]:
    return list(FRAME_WIDTHS).index(camera) if camera in FRAME_WIDTHS else 9, camera


def _told_names() -> list[str]:
    variables = SCHEMAS["behavior"].variables
    return [v.name for v in variables if v.dims == ("session", "camera")]


def join_behavior(parts: Sequence[Part], _joining: Joining) -> xr.Dataset:
    """Put sessions one below another, lazily: all features and cameras, equal bins."""
    import dask.array as da

    schema = SCHEMAS["behavior"]
    length = max(p.sizes["time"] for p in parts)
    whole = dict.fromkeys(schema["behavior"].dims, -1)
    lazy = [p.read(lazy=dict.fromkeys(_BINS, whole)) for p in parts]
    features = ordered({n: 0 for ds in lazy for n in ds["feature"].values})
    cameras = sorted({c for ds in lazy for c in ds["camera"].values}, key=_camera_rank)
    joined = {
        n: da.concatenate(
            [_spread(ds[n].data, ds["feature"].values, features, length) for ds in lazy]
        ).rechunk({0: schema.chunks["session"], 2: 1, 3: 1})
        for n in _BINS
    }
    tables = [ds[_told_names()].reindex(camera=cameras, fill_value=_blank()) for ds in lazy]
    told = xr.concat(tables, "session", join="exact")
    return dataset(
        schema,
        {
            "session": told["session"].values,
            "feature": features,
            "phase": lazy[0]["phase"].values,
            "epoch": lazy[0]["epoch"].values,
            "camera": cameras,
            "time": bin_centres(length, parts[0].attrs["bin_width_ticks"]),
            **joined,
            **{n: told[n].values for n in _told_names()},
        },
    )


def _blank() -> dict[str, Any]:
    variables = SCHEMAS["behavior"].variables
    return {v.name: "" if v.dtype == "str" else np.nan for v in variables}


def _spread(block: Any, have: np.ndarray, wanted: Sequence[str], length: int) -> Any:
    """Give one session's block all features and bins; what is new was not observed."""
    import dask.array as da

    row = {name: i for i, name in enumerate(have)}

    def spread(values: np.ndarray) -> np.ndarray:
        out = np.full((1, len(wanted), *values.shape[2:4], length), np.nan, dtype=np.float32)
        for k, name in enumerate(wanted):
            if name in row:
                out[:, k, ..., : values.shape[-1]] = values[:, row[name]]
        return out

    shape = (1, len(wanted), *block.shape[2:4], length)
    return da.map_blocks(spread, block, chunks=tuple((n,) for n in shape), dtype=np.float32)


def _seen(plan: SessionPlan, _lab: LabTables, _parameters: Mapping[str, Any]) -> bool:
    return bool(plan.cameras or plan.wheel)


def _variants(parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    return (to_bin_ticks(parameters.get("bin_width", "100 ms")),)


STORED = Stored(
    "behavior",
    join_behavior,
    available=_seen,
    lacking="no pose, motion energy or wheel on disk",
    kept=("bin_width", "bin_width_ticks"),
    variants=_variants,
)
