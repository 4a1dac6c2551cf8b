"""Measure how far and where an animal went in an open field."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.arguments import number_between, one_of
from lsdx.clock import TICKS_PER_SECOND, to_bin_ticks, to_seconds, to_ticks
from lsdx.errors import ArgumentError, SourceError, located
from lsdx.kernels import frames
from lsdx.kernels.behavior import occupancy, path_length
from lsdx.open_field.reading import ARENA, UNITS, open_recordings

LIKELIHOOD = {"DeepLabCut": 0.9}  # confidences of the other trackers have no such meaning


def measures(
    recordings: xr.DataTree | str | Path,
    *,
    bin_width: str | float = "2 min",
    relative_to: str = "injection",
    baseline: tuple[str | float, str | float] | None = None,
    keypoint: str = "nose",
    body: tuple[str, str, str] = ("nose", "body", "tail"),
    rearing: float = 0.7,
    centre: float = 0.5,
    likelihood: float | None = None,
    min_share: float = 0.5,
    grid_cm: float = 2.0,
) -> xr.Dataset:
    """Measure distance, speed, place and rearing of each recording, in bins of time.

    Parameters
    ----------
    recordings : DataTree, str or Path
        What `open_recordings` gives, or the table that it takes.
    bin_width : str or float
        Width of the bins; a plain number is seconds. A bin begins at time 0.
    relative_to : {"injection", "start"}
        What time 0 is: ``injection_time``, or the first frame.
    baseline : tuple of str or float, optional
        Start and stop of the baseline, such as ``("-10 min", "0 min")``, on the time that
        ``relative_to`` says. It must end before the injection. Bins that lie in it are averaged.
    keypoint : str
        The point that is followed: its name, or a part of it that no other name has.
    body : tuple of str
        Three points from head to tail, named likewise, for rearing.
    rearing : float
        A frame counts as rearing if the body looks shorter than this share of its median length.
    centre : float
        The centre is the middle of the arena: this share of its width and of its height.
    likelihood : float, optional
        Points of a lower confidence are missing. Without it, .9 for DeepLabCut, and none for
        others, whose confidence means something else. Points without confidence are kept.
    min_share : float
        Bins in which less was observed are NaN.
    grid_cm : float
        Side of a field of the occupancy map.

    Returns
    -------
    Dataset
        Over (recording, time), float64: ``distance`` (cm), ``speed`` (cm/s), ``centre_time`` (s),
        ``centre_share`` and ``rearing`` (shares of the frames in which the points were seen, from 0
        to 1), and ``share``, of the frames that are due in a bin those whose step was observed. All
        but ``share`` are NaN where it is below ``min_share``, or no frame is; ``rearing`` also
        where a file has not all three points. With ``baseline``: ``distance_change`` and
        ``speed_change``, minus the mean of the baseline's bins. ``occupancy`` (recording, y, x)
        in s, of the whole recording, from the left and top edge of the arena; NaN beyond it.
        ``time`` holds the centres of the bins. The labels of the table stand on ``recording``;
        ``arena`` says whether its edges were "given" or "estimated", ``likelihood`` which
        threshold was taken, NaN for none.

    Raises
    ------
    ArgumentError, ConfigError
        For an argument that is no such value, a point that is in no file or not named clearly, or a
        baseline that does not end before the injection, or has no bin.
    SourceError
        For recordings without seconds, scale or injection time, or with several animals.

    Notes
    -----
    ``distance`` is the sum of the steps between frames that follow each other, where the point was
    seen in both. A gap adds nothing, so distance is too small where ``share`` is low.
    ``speed`` is the distance over the time of the same steps: compare it where shares differ.
    A step belongs to the bin of its later frame.

    Without its four columns, the arena is estimated: from the 0.5th to the 99.5th percentile of the
    positions, in x and y. An animal that never goes along a wall makes that too small.

    Rearing is a guess from a camera above: the length from the first over the second to the third
    point shrinks as the animal stands up. The bend in the middle point keeps turns from looking
    like it.

    Examples
    --------
    >>> seconds = np.arange(0, 240, 0.1)
    >>> x, y = 20 * seconds / 240 * 10, np.full(seconds.size, 50.0)  # 200 px in 4 min
    >>> position = np.stack([x, y], axis=1)[:, :, None, None]
    >>> one = xr.Dataset(
    ...     {"position": (("time", "space", "keypoints", "individuals"), position)},
    ...     {"time": seconds, "keypoints": ["nose"], "px_per_cm": 10.0, "dose": 75.0},
    ...     {"time_unit": "seconds", "source_software": "SLEAP"},
    ... )
    >>> tree = xr.DataTree.from_dict({"one": one})
    >>> measures(tree, relative_to="start").speed.round(4).values.tolist()
    [[0.0833, 0.0833]]
    """
    tree = recordings if isinstance(recordings, xr.DataTree) else open_recordings(recordings)
    relative_to = one_of(relative_to, "measures, relative_to", ("injection", "start"))
    width = to_bin_ticks(bin_width, "measures, bin_width") / TICKS_PER_SECOND
    rearing = number_between(rearing, "measures, rearing", 0, 1)
    centre = number_between(centre, "measures, centre", 0, 1, ends="high")
    min_share = number_between(min_share, "measures, min_share", 0, 1, ends="low high")
    grid_cm = number_between(grid_cm, "measures, grid_cm", 0, np.inf)
    if likelihood is not None:
        likelihood = number_between(likelihood, "measures, likelihood", -np.inf, np.inf)
    sets = {name: node.to_dataset() for name, node in tree.children.items()}
    if not sets:
        raise SourceError(located("measures, recordings", "recordings", "none"))
    zeros = _zeros(sets, relative_to)
    tracks = [
        _track(ds, zeros[name], f"measures, {name}", keypoint, body, rearing, centre, likelihood)
        for name, ds in sets.items()
    ]

    ends = np.array([(t.times.min(), t.times.max()) for t in tracks])
    bins = to_ticks(ends) // round(width * TICKS_PER_SECOND)
    first, last = bins[:, 0].min(), bins[:, 1].max()
    start, n_bins = np.array([first * width]), np.array([last - first + 1])
    binned = [frames.bin_means(t.values, t.times, start, width, n_bins) for t in tracks]
    mean = np.stack([m[0] for m, _ in binned]).astype(np.float64)
    number = np.stack([n[0] for _, n in binned]).astype(np.float64)
    rate = np.array([t.rate for t in tracks])[:, None]
    share = np.minimum(number[..., 0] / (width * rate), 1)
    found = {
        "distance": mean[..., 0] * number[..., 0],
        "speed": mean[..., 0] / mean[..., 1],
        "centre_time": mean[..., 2] * number[..., 2] / rate,
        "centre_share": mean[..., 2],
        "rearing": mean[..., 3],
    }
    enough = (share >= min_share) & (number[..., 0] > 0)
    found = {k: np.where(enough, v, np.nan) for k, v in found.items()}
    time = (np.arange(first, last + 1) + 0.5) * width
    if baseline is not None:
        inside = _baseline(baseline, sets, zeros, time, width)
        for name in ("distance", "speed"):
            found[f"{name}_change"] = found[name] - _mean(found[name][:, inside])
    units = {"distance": "cm", "speed": "cm/s", "centre_time": "s"}
    data = {
        name: (("recording", "time"), values, {"units": units.get(name.split("_change")[0], "1")})
        for name, values in (found | {"share": share}).items()
    }
    zero = "the injection" if relative_to == "injection" else "the first frame"
    maps, x, y = _maps(tracks, grid_cm)
    return xr.Dataset(
        data | {"occupancy": (("recording", "y", "x"), maps, {"units": "s"})},
        coords=_labels(sets, tracks)
        | {
            "time": ("time", time, {"units": "s", "long_name": f"centre of the bin from {zero}"}),
            "x": ("x", x, {"units": "cm", "long_name": "from the left edge of the arena"}),
            "y": ("y", y, {"units": "cm", "long_name": "from the top edge of the arena"}),
        },
        attrs={
            "title": "open field",
            "bin_width": width,
            "relative_to": relative_to,
            "keypoint": keypoint,
            "body": list(body),
            "rearing": rearing,
            "centre": centre,
            "min_share": min_share,
            **({} if baseline is None else {"baseline": [str(b) for b in baseline]}),
        },
    )


@dataclass(frozen=True)
class _Track:
    """One recording: times from zero in s, what is averaged, place in the arena in cm."""

    times: np.ndarray
    values: np.ndarray  # (n, 4): step (cm), its time (s), in the centre, rearing
    place: np.ndarray  # (n, 2)
    size: np.ndarray  # of the arena, width and height
    rate: float
    arena: str
    software: str
    likelihood: float


def _track(
    ds: xr.Dataset,
    zero: float,
    where: str,
    keypoint: str,
    body: tuple[str, str, str],
    rearing: float,
    centre: float,
    likelihood: float | None,
) -> _Track:
    times = ds["time"].values - zero
    rate = frames.frame_rate(times)
    if not np.isfinite(rate):
        raise SourceError(located(where, "at least two frames", f"{times.size}"))
    software = str(ds.attrs.get("source_software", ""))
    least = LIKELIHOOD.get(software, np.nan) if likelihood is None else likelihood
    names = [str(n) for n in ds["keypoints"].values]
    points = ds["position"].transpose("time", "keypoints", "space", "individuals").values[..., 0]
    points = points.astype(np.float64) / float(ds["px_per_cm"])
    if "confidence" in ds:
        confidence = ds["confidence"].transpose("time", "keypoints", "individuals").values[..., 0]
        points[confidence < least] = np.nan
    followed = _point(names, keypoint, where)
    if followed is None:
        do = "Name another: keypoint=..."
        raise ArgumentError(located(f"{where}, keypoint", keypoint, ", ".join(names), do))
    place = points[:, followed]
    seen = np.isfinite(place).all(axis=1)
    if not seen.any():
        raise SourceError(located(where, f"likely positions of {names[followed]}", "none"))
    if all(name in ds.coords for name in ARENA) and not np.isnan([ds[n] for n in ARENA]).any():
        corner, size = np.array([ds[n].item() for n in ARENA]).reshape(2, 2) / float(
            ds["px_per_cm"]
        )
        arena = "given"
    else:
        corner, end = np.percentile(place[seen], (0.5, 99.5), axis=0)
        size, arena = end - corner, "estimated"
    place = place - corner
    step = path_length(place, times)
    wait = np.where(np.isnan(step), np.nan, np.diff(times, prepend=np.nan))
    middle = (np.abs(place - size / 2) <= centre * size / 2).all(axis=1)
    chosen = [_point(names, part, where) for part in body]
    upright = np.full(times.size, np.nan)
    if None not in chosen:
        parts = points[:, np.array(chosen, dtype=int)]
        length = np.linalg.norm(np.diff(parts, axis=1), axis=2).sum(axis=1)
        known = np.isfinite(length)
        if known.any():
            upright = np.where(known, length < rearing * np.median(length[known]), np.nan)
    values = np.stack([step, wait, np.where(seen, middle, np.nan), upright], axis=1)
    return _Track(times, values, place, size, rate, arena, software, least)


def _point(names: list[str], part: str, where: str) -> int | None:
    """Find the point of that name, or the only one whose name holds it."""
    if part in names:
        return names.index(part)
    found = [i for i, name in enumerate(names) if part.lower() in name.lower()]
    if len(found) > 1:
        several = ", ".join(names[i] for i in found)
        raise ArgumentError(located(where, f"one point named {part}", several, "Write it in full."))
    return found[0] if found else None


def _zeros(sets: dict[str, xr.Dataset], relative_to: str) -> dict[str, float]:
    """Check that recordings can be measured, and return their time 0 in s of their frames."""
    problems = []
    for name, ds in sets.items():
        scale = float(ds["px_per_cm"]) if "px_per_cm" in ds.coords else np.nan
        if not 0 < scale < np.inf:
            problems.append(f"{name} has no px_per_cm")
        if ds.attrs.get("time_unit") != "seconds":
            problems.append(f"{name} has frame numbers, not times")
        if ds.sizes["individuals"] != 1:
            problems.append(f"{name} has {ds.sizes['individuals']} animals")
        if relative_to == "injection" and not np.isfinite(_injection(ds)):
            problems.append(f'{name} has no injection_time (relative_to="start" needs none)')
    if problems:
        expected = "one animal, a scale, times in s and an injection time"
        raise SourceError(located("measures, recordings", expected, "; ".join(problems)))
    if relative_to == "injection":
        return {name: _injection(ds) for name, ds in sets.items()}
    return {name: float(ds["time"].min()) for name, ds in sets.items()}


def _injection(ds: xr.Dataset) -> float:
    return float(ds["injection_time"]) if "injection_time" in ds.coords else np.nan


def _baseline(
    baseline: tuple[str | float, str | float],
    sets: dict[str, xr.Dataset],
    zeros: dict[str, float],
    time: np.ndarray,
    width: float,
) -> np.ndarray:
    """Find the bins of the baseline, which must end before the injection."""
    where = "measures, baseline"
    try:
        start, stop = (to_seconds(b, where) for b in baseline)
    except (TypeError, ValueError) as error:
        if isinstance(error, ArgumentError):
            raise
        raise ArgumentError(located(where, "start and stop", repr(baseline))) from None
    late = [n for n, ds in sets.items() if stop > _injection(ds) - zeros[n] + 1e-9]
    if late:
        found = f"{stop:g} s, after the injection of {', '.join(late)}"
        raise ArgumentError(located(where, "a stop before the injection", found))
    inside = (time - width / 2 >= start - 1e-9) & (time + width / 2 <= stop + 1e-9)
    if not inside.any():
        found = f"none between {start:g} and {stop:g} s"
        raise ArgumentError(located(where, f"bins of {width:g} s", found))
    return np.asarray(inside)


def _maps(tracks: list[_Track], grid: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the time in each field of a grid that all arenas share, and its centres in cm."""
    n_x, n_y = np.maximum(np.ceil(np.max([t.size for t in tracks], axis=0) / grid), 1).astype(int)
    x, y = np.arange(n_x + 1) * grid, np.arange(n_y + 1) * grid
    maps = []
    for t in tracks:
        inside = np.clip(t.place, 0, np.nextafter(np.maximum(t.size, 1e-9), 0))
        seconds = occupancy(inside, t.times, x, y)
        seconds[:, x[:-1] >= t.size[0]] = np.nan
        seconds[y[:-1] >= t.size[1]] = np.nan
        maps.append(seconds)
    return np.stack(maps), x[:-1] + grid / 2, y[:-1] + grid / 2


def _labels(sets: dict[str, xr.Dataset], tracks: list[_Track]) -> dict[str, Any]:
    """Return the labels of recordings, and what was found of each."""
    rows = [{str(k): c.item() for k, c in ds.coords.items() if not c.ndim} for ds in sets.values()]
    table = pd.DataFrame(rows, index=list(sets))
    table = table.assign(
        recording=table.index,
        frame_rate=[t.rate for t in tracks],
        software=[t.software for t in tracks],
        likelihood=[t.likelihood for t in tracks],
        arena=[t.arena for t in tracks],
    )
    return {
        str(name): (
            "recording",
            column.to_numpy() if column.dtype.kind in "bif" else column.astype(str).to_numpy("U"),
            {"units": UNITS[str(name)]} if name in UNITS else {},
        )
        for name, column in table.items()
    }


def _mean(values: np.ndarray) -> np.ndarray:
    """Average each row over what is not NaN; NaN where nothing is left."""
    known = np.isfinite(values)
    n = known.sum(axis=1, keepdims=True)
    total = np.where(known, values, 0).sum(axis=1, keepdims=True)
    return np.asarray(np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0))
