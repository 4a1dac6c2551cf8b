"""What the cameras saw and the wheel did: pose, frame times, motion energy, frame counter."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from lsdx.readers.files import broken, read_npy
from lsdx.schema.sessions import CAMERAS

# ALF attribute of a pose table -> name of its tracker; in order of preference
TRACKERS = {"lightningPose": "lightning_pose", "dlc": "dlc"}
ENSEMBLE = ("ens_median", "ens_var", "posterior_var")
LARGEST_COORDINATE = 1e5  # px: no camera has such an image
LIKELIHOOD_TOLERANCE = 1e-6  # what single precision and ensembles round
LAST_TIME = 42_949.0  # s: the end of the spike clock
# first words of keypoints that only some cameras can see, and those cameras
SEEN_BY = {"pupil": ("left", "right"), "tongue": ("left", "right"), "tail": ("body",)}
POSITION, TIMESTAMPS = "_ibl_wheel.position.npy", "_ibl_wheel.timestamps.npy"
COUNTER = 2  # column of Timestamp, embeddedTimeStamp, embeddedFrameCounter, embeddedGPIOPinState
_ENSEMBLE_COLUMN = re.compile(rf"(.+)_([xy])_({'|'.join(ENSEMBLE)})")
_COLUMN = re.compile(r"(.+)_(x|y|likelihood)")


@dataclass(frozen=True)
class Pose:
    """Where a tracker saw the keypoints of one camera, one row a frame.

    ``position`` (n, 2, k) float32 px: x to the right, y downwards; NaN where the table is blank.
    ``confidence`` (n, k) float32 in [0, 1]: the tracker's likelihood, NaN where the table has
    none. ``ensemble`` maps names of ``ENSEMBLE`` to (n, 2, k) float32, px or px squared, NaN for
    keypoints without; it is empty unless it was asked for. ``keypoints`` stand in the table's
    order; ``notes`` say what was not read.
    """

    tracker: str
    keypoints: tuple[str, ...]
    position: np.ndarray
    confidence: np.ndarray
    ensemble: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wheel:
    """Turns of the wheel: ``times`` (n,) float64 s, rising; ``position`` (n,) float64 rad.

    ``notes`` say how many samples were left out.
    """

    times: np.ndarray
    position: np.ndarray
    notes: tuple[str, ...] = ()


def read_pose(path: Path, where: str, *, tracker: str, ensemble: bool = False) -> Pose:
    """Read and check the pose table of one camera.

    A keypoint is whatever stands before ``_x``, ``_y`` and ``_likelihood`` at the end of a
    column's name. No keypoint need be there, but one that is there has x and y. Columns are read
    one by one, so that memory stays near that of the result.

    Parameters
    ----------
    path : Path
        A parquet table (``.pqt``), or a ``.csv`` with three header rows: scorer, bodyparts,
        coords. A name with ``<camera>Camera`` says which keypoints cannot be in it.
    where : str
        Session, collection and file, for errors.
    tracker : str
        Name of the tracker; it is handed on.
    ensemble : bool
        Whether to read what Lightning Pose says of its ensemble of networks.

    Returns
    -------
    Pose

    Raises
    ------
    SourceError
        For a file that cannot be read or is cut; no frame or no keypoint; a keypoint without x
        or y; two columns of one name; columns that are no numbers; a coordinate of 100,000 px or
        more; a likelihood outside [0, 1] by more than 1e-6; a negative variance; no coordinate
        at all; pupil or tongue from the body camera, the tail from a side camera; csv rows whose
        frame numbers do not rise by one.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> table = pd.DataFrame({"paw_l_x": [1.5], "paw_l_y": [2.0], "paw_l_likelihood": [0.9]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "_ibl_leftCamera.dlc.pqt"
    ...     table.to_parquet(path)
    ...     pose = read_pose(path, "session, alf/_ibl_leftCamera.dlc.pqt", tracker="dlc")
    >>> pose.keypoints, pose.position[0, :, 0].tolist()
    (('paw_l',), [1.5, 2.0])
    """
    is_csv = path.suffix == ".csv"
    names, cut = _csv_names(path, where) if is_csv else (_pqt_names(path, where), ())
    places, others = _places(names, where)
    keypoints = tuple(dict.fromkeys(k for k, _, _ in places.values()))
    _check_keypoints(keypoints, set(places.values()), path, where)
    if ensemble:
        places |= _ensemble_places(names, keypoints)
    wanted = tuple(places)
    read = _csv_columns(path, where, names, wanted) if is_csv else _pqt_columns(path, where, wanted)
    confidence = np.empty(0, dtype=np.float32)
    coordinates: dict[str, np.ndarray] = {}  # of each statistic; blank: the position
    for name, values in read:
        if not values.size:
            raise broken(where, "at least one frame", "none")
        if not coordinates:
            shape = (values.size, 2, len(keypoints))
            coordinates = {p[2]: np.full(shape, np.nan, np.float32) for p in places.values()}
            confidence = np.full(shape[::2], np.nan, np.float32)
        keypoint, kind, statistic = places[name]
        _check_values(values, name, where, statistic or kind)
        j = keypoints.index(keypoint)
        if kind == "likelihood":
            confidence[:, j] = np.clip(values, 0, 1)
        else:
            coordinates[statistic][:, "xy".index(kind), j] = values
    position = coordinates.pop("")
    seen = np.isfinite(position).any(axis=(0, 1))
    if not seen.any():
        raise broken(where, "coordinates", "NaN alone")
    unseen = [keypoints[k] for k in np.flatnonzero(~seen)]
    notes = [f"columns not read: {', '.join(others)}"] if others else []
    notes += [f"keypoints without any coordinate: {', '.join(unseen)}"] if unseen else []
    return Pose(tracker, keypoints, position, confidence, coordinates, (*cut, *notes))


def read_frame_times(path: Path, where: str) -> np.ndarray:
    """Read the times of a camera's frames, in the file's order.

    Times that go back or repeat are kept: ``assemble.cameras.frame_clock`` counts them.

    Parameters
    ----------
    path : Path
    where : str
        Session, collection and file, for errors.

    Returns
    -------
    ndarray of float64 (n,)
        Seconds on the spike clock; all finite.

    Raises
    ------
    SourceError
        For a file that cannot be read, is empty, or holds NaN, infinity, numbers of half
        precision, integers, or times from 42,949 s on: those are of another clock.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "_ibl_leftCamera.times.npy"
    ...     np.save(path, np.array([0.25, 0.5]))
    ...     read_frame_times(path, "session, alf/_ibl_leftCamera.times.npy")
    array([0.25, 0.5 ])
    """
    times = _floats(path, where, "f")
    late = np.flatnonzero(np.abs(times) >= LAST_TIME)
    if late.size:
        found = f"{times[late[0]]} s at frame {late[0]}"
        raise broken(where, f"times on the spike clock, below {LAST_TIME:.0f} s", found)
    return times


def read_motion_energy(path: Path, where: str) -> np.ndarray:
    """Read the motion energy of a camera's region of interest, one value a frame.

    Parameters
    ----------
    path : Path
    where : str
        Session, collection and file, for errors.

    Returns
    -------
    ndarray of float32 (n,)
        Mean absolute difference to the frame before, grey levels; NaN where the file has it.

    Raises
    ------
    SourceError
        For a file that cannot be read, is empty, or holds negative or infinite values, or NaN
        alone.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "leftCamera.ROIMotionEnergy.npy"
    ...     np.save(path, np.array([np.nan, 1.5]))
    ...     read_motion_energy(path, "session, alf/leftCamera.ROIMotionEnergy.npy")
    array([nan, 1.5], dtype=float32)
    """
    values = read_npy(path, where, kind="fiu", shape=(None,))
    if np.isnan(values).all():
        raise broken(where, "motion energy", "NaN alone" if values.size else "no values")
    largest = np.finfo(np.float32).max
    bad = np.flatnonzero((values < 0) | (values > largest))
    if bad.size:
        raise broken(where, "finite values >= 0", f"{values[bad[0]]} at frame {bad[0]}")
    return values.astype(np.float32, copy=False)


def read_frame_counter(path: Path, where: str) -> np.ndarray:
    """Read the counter that a camera writes into each of its frames.

    The file is a table of float64 numbers, four a frame: time stamp, the camera's own time
    stamp, its frame counter, state of its pins. Only the counter is returned: where it rises by
    more than one, frames were dropped.

    Parameters
    ----------
    path : Path
        ``_iblrig_<camera>Camera.frameData.bin``.
    where : str
        Session, collection and file, for errors.

    Returns
    -------
    ndarray of int64 (n,)

    Raises
    ------
    SourceError
        For a file that cannot be read, is empty or cut, or whose counter is negative or not
        whole.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "_iblrig_leftCamera.frameData.bin"
    ...     np.array([[0, 0, 7, 0], [0, 0, 9, 0]], dtype="<f8").tofile(path)
    ...     read_frame_counter(path, "session, raw_video_data/_iblrig_leftCamera.frameData.bin")
    array([7, 9])
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise broken(where, "a table of frame data", error) from error
    if not raw or len(raw) % 32:
        raise broken(where, "rows of four float64 numbers", f"{len(raw)} bytes")
    counter = np.frombuffer(raw, dtype="<f8").reshape(-1, 4)[:, COUNTER]
    bad = np.flatnonzero(~((counter >= 0) & (counter < 2**53) & (counter == np.floor(counter))))
    if bad.size:
        raise broken(where, "whole frame counts >= 0", f"{counter[bad[0]]} at frame {bad[0]}")
    return counter.astype(np.int64)


def read_wheel(files: Mapping[str, Path], where: str) -> Wheel:
    """Read and check the wheel's position and its time stamps.

    Parameters
    ----------
    files : mapping of str to Path
        ``_ibl_wheel.position.npy`` and ``_ibl_wheel.timestamps.npy`` to local paths.
    where : str
        Session and collection, for errors.

    Returns
    -------
    Wheel
        Of samples at one time the last is kept.

    Raises
    ------
    SourceError
        For files that cannot be read, are empty, of different length, or hold NaN or infinity;
        for times out of order, of half precision or past the spike clock.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = {n: Path(folder) / n for n in (POSITION, TIMESTAMPS)}
    ...     np.save(files[POSITION], np.array([0.0, 0.1, 0.2]))
    ...     np.save(files[TIMESTAMPS], np.array([1.0, 1.0, 2.0]))
    ...     wheel = read_wheel(files, "session, alf")
    >>> wheel.times.tolist(), wheel.position.tolist(), wheel.notes
    ([1.0, 2.0], [0.1, 0.2], ('wheel: samples left out, at the time of the next one: 1',))
    """
    times = read_frame_times(files[TIMESTAMPS], f"{where}/{TIMESTAMPS}")
    position = _floats(files[POSITION], f"{where}/{POSITION}", "fiu")
    if times.size != position.size:
        sizes = f"{position.size} and {times.size}"
        raise broken(where, f"{POSITION} and {TIMESTAMPS} of one length", sizes)
    step = np.diff(times)
    if (step < 0).any():
        bad = int(np.argmax(step < 0)) + 1
        raise broken(f"{where}/{TIMESTAMPS}", "sorted times", f"{times[bad]} s at sample {bad}")
    last = np.append(step > 0, True)
    left_out = int((~last).sum())
    if not left_out:
        return Wheel(times, position)
    note = f"wheel: samples left out, at the time of the next one: {left_out}"
    return Wheel(times[last], position[last], (note,))


def _floats(path: Path, where: str, kind: str) -> np.ndarray:
    """Read a vector of finite numbers as float64; half precision is refused."""
    values = read_npy(path, where, kind=kind, shape=(None,))
    if values.dtype == np.float16:
        raise broken(where, "numbers of float64 or float32", "dtype float16")
    if not values.size:
        raise broken(where, "at least one value", "none")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise broken(where, "finite numbers", f"{values[bad[0]]} at sample {bad[0]}")
    return values.astype(np.float64, copy=False)


def _places(
    names: Sequence[str], where: str
) -> tuple[dict[str, tuple[str, str, str]], tuple[str, ...]]:
    """Return column -> (keypoint, x | y | likelihood, ""), and the columns of unknown kind."""
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise broken(where, "each column once", f"{twice[0]} twice")
    ours = [n for n in names if not _ENSEMBLE_COLUMN.fullmatch(n)]
    found = {n: m for n in ours if (m := _COLUMN.fullmatch(n))}
    if not found:
        listed = ", ".join(names) or "no columns"
        raise broken(where, "columns <keypoint>_x, <keypoint>_y, <keypoint>_likelihood", listed)
    others = tuple(n for n in ours if n not in found and not n.startswith("__index_level_"))
    return {n: (m[1], m[2], "") for n, m in found.items()}, others


def _ensemble_places(
    names: Sequence[str], keypoints: Sequence[str]
) -> dict[str, tuple[str, str, str]]:
    """Return column -> (keypoint, x | y, statistic) of the ensemble's columns."""
    found = {n: m for n in names if (m := _ENSEMBLE_COLUMN.fullmatch(n))}
    return {n: (m[1], m[2], m[3]) for n, m in found.items() if m[1] in keypoints}


def _check_keypoints(
    keypoints: Sequence[str], have: set[tuple[str, str, str]], path: Path, where: str
) -> None:
    """Refuse a keypoint without x or y, and one that this camera cannot see."""
    missing = [f"{k}_{axis}" for k in keypoints for axis in "xy" if (k, axis, "") not in have]
    if missing:
        raise broken(where, "x and y of every keypoint", f"no {', '.join(missing)}")
    match = re.search(r"([^_\W]+)Camera\b", path.name)
    camera = match[1] if match else ""
    if camera not in CAMERAS:
        return
    foreign = [k for k in keypoints if camera not in SEEN_BY.get(k.partition("_")[0], CAMERAS)]
    if foreign:
        found = f"{', '.join(foreign)}, which it cannot see"
        raise broken(where, f"keypoints of the {camera} camera", found)


def _check_values(values: np.ndarray, name: str, where: str, kind: str) -> None:
    """Refuse values that cannot be; ``kind`` is x, y, likelihood or one of ``ENSEMBLE``."""
    if kind == "likelihood":
        bad = (values < -LIKELIHOOD_TOLERANCE) | (values > 1 + LIKELIHOOD_TOLERANCE)
        expected = "likelihoods in [0, 1]"
    elif kind in ("ens_var", "posterior_var"):
        bad = (values < 0) | np.isinf(values)
        expected = "finite variances >= 0"
    else:
        bad = (values >= LARGEST_COORDINATE) | (values <= -LARGEST_COORDINATE)
        expected = f"coordinates below {LARGEST_COORDINATE:.0f} px"
    if bad.any():
        frame = int(np.argmax(bad))
        raise broken(f"{where}, column {name}", expected, f"{values[frame]} at frame {frame}")


def _pqt_names(path: Path, where: str) -> list[str]:
    try:
        return [str(n) for n in pa.parquet.read_schema(path).names]
    except (ValueError, OSError, pa.ArrowException) as error:
        raise broken(where, "a parquet table", str(error) or type(error).__name__) from error


def _pqt_columns(path: Path, where: str, wanted: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield columns of a parquet table one by one, blanks as NaN."""
    try:
        with pa.parquet.ParquetFile(path) as table:
            for name in wanted:
                kind = table.schema_arrow.field(name).type
                number = pa.types.is_float32(kind) or pa.types.is_float64(kind)
                if not (number or pa.types.is_integer(kind)):
                    raise broken(f"{where}, column {name}", "numbers", f"type {kind}")
                column = table.read(columns=[name], use_threads=False).column(name)
                yield name, column.to_numpy()
    except (ValueError, OSError, pa.ArrowException) as error:
        raise broken(where, "a parquet table", str(error) or type(error).__name__) from error


def _csv_names(path: Path, where: str) -> tuple[list[str], tuple[str, ...]]:
    """Read the three header rows; note a table whose last row has no end."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = [[cell.strip() for cell in row] for row in islice(csv.reader(stream), 3)]
        with path.open("rb") as raw:
            raw.seek(-1, 2)
            ends = raw.read(1) in b"\r\n"
    except (ValueError, OSError, csv.Error) as error:
        raise broken(where, "a CSV table", str(error) or type(error).__name__) from error
    heads = [row[0] if row else "" for row in rows]
    if heads != ["scorer", "bodyparts", "coords"] or len({len(row) for row in rows}) > 1:
        found = ", ".join(h or "blank" for h in heads)
        found += " of " + ", ".join(str(len(row)) for row in rows) + " columns"
        raise broken(where, "three header rows scorer, bodyparts, coords of one length", found)
    names = [f"{part}_{axis}" for part, axis in zip(rows[1][1:], rows[2][1:], strict=True)]
    return names, () if ends else ("no end of line at the file's end: the last row may be cut",)


def _csv_columns(
    path: Path, where: str, names: Sequence[str], wanted: Sequence[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield columns of a csv table, blanks as NaN; the table is parsed to float32 at once."""
    types = {"": pa.int64()} | dict.fromkeys(wanted, pa.float32())
    try:
        table = pa.csv.read_csv(
            path,
            read_options=pa.csv.ReadOptions(
                skip_rows=3, column_names=["", *names], use_threads=False
            ),
            convert_options=pa.csv.ConvertOptions(column_types=types, include_columns=list(types)),
        )
    except (ValueError, OSError, pa.ArrowException) as error:
        raise broken(where, "a CSV table of numbers", str(error)) from error
    frames = table.column("").to_numpy()
    jumps = np.flatnonzero(np.diff(frames) != 1)
    if jumps.size:
        found = f"{frames[jumps[0] + 1]} after {frames[jumps[0]]}"
        raise broken(where, "frame numbers that rise by one", found)
    for name in wanted:
        yield name, table.column(name).to_numpy()
