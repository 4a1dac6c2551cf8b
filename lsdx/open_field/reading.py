"""Read tracked points of an open field: files of SLEAP, DeepLabCut and Lightning Pose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.arguments import number_between, one_of
from lsdx.errors import ArgumentError, SourceError, located, missing_package
from lsdx.kernels import frames

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

SOFTWARE = ("DeepLabCut", "LightningPose", "SLEAP")
ARENA = ("arena_x", "arena_y", "arena_width", "arena_height")
UNITS = {"injection_time": "s", "px_per_cm": "px/cm", **dict.fromkeys(ARENA, "px")}

_LABELS = ("subject", "dose", "route", "date")
_READING = ("file", "software", "frame_rate", "times")
_POSITIVE = ("frame_rate", "px_per_cm", "arena_width", "arena_height")
_NUMBERS = (*_POSITIVE, "injection_time", "arena_x", "arena_y")


def read(
    path: str | Path,
    *,
    software: str | None = None,
    frame_rate: float | None = None,
    times: ArrayLike | None = None,
) -> xr.Dataset:
    r"""Read the tracked points of one recording.

    Parameters
    ----------
    path : str or Path
        A file of SLEAP (``.analysis.h5``, ``.slp``), DeepLabCut (``.h5``, ``.csv``) or Lightning
        Pose (``.csv``).
    software : {"DeepLabCut", "LightningPose", "SLEAP"}, optional
        Who wrote it. Without it, the file tells: a csv is Lightning Pose's if its scorer is
        ``heatmap_...`` or ``ensemble-kalman_...``, else DeepLabCut's.
    frame_rate : float, optional
        Frames a second. Frame i is then at ``i / frame_rate``.
    times : array_like of float (n_frames,), optional
        Times of the frames in s, used instead of ``frame_rate``.

    Returns
    -------
    Dataset
        As movement has it: ``position`` (time, space, keypoints, individuals) in px and
        ``confidence`` (time, keypoints, individuals), NaN where the file has none. ``time`` is in
        s, or a frame number if neither ``frame_rate`` nor ``times`` is given.

    Raises
    ------
    MissingPackage
        If movement is not installed.
    SourceError
        If the file is missing, is not what its name says, holds text for numbers or no position at
        all, a confidence below 0, or another number of frames than ``times``.
    ArgumentError
        For another software, or times or a rate that are no such numbers.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "one.csv"
    >>> head = "scorer,net,net,net\nbodyparts,nose,nose,nose\ncoords,x,y,likelihood\n"
    >>> _ = path.write_text(head + "0,10,20,.99\n1,13,24,.98\n")
    >>> read(path, frame_rate=30).position.isel(keypoints=0, individuals=0).values.tolist()
    [[10.0, 20.0], [13.0, 24.0]]
    """
    path = Path(path)
    where = f"read, {path}"
    if software is not None:
        software = one_of(software, "read, software", SOFTWARE)
    if frame_rate is not None:
        frame_rate = number_between(frame_rate, "read, frame_rate", 0, np.inf)
    try:
        from movement.io import load_dataset
    except ImportError as error:
        raise missing_package("read", "movement", "movement") from error
    if not path.is_file():
        raise SourceError(located(where, "a file of tracked points", "none"))
    software = software or _written_by(path, where)
    try:
        ds: xr.Dataset = load_dataset(path, source_software=software, fps=frame_rate)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        found = " ".join(str(error).split()) or type(error).__name__
        raise SourceError(located(where, f"a file of {software}", found)) from error
    _check(ds, where)
    if times is None:
        return ds
    seconds = np.asarray(times, dtype=np.float64)
    if seconds.ndim != 1 or not np.isfinite(seconds).all():
        raise ArgumentError(located("read, times", "finite times (n_frames,)", repr(times)))
    if seconds.size != ds.sizes["time"]:
        expected = f"{seconds.size} frames, as many as times"
        raise SourceError(located(where, expected, f"{ds.sizes['time']}"))
    return ds.assign_coords(time=seconds).assign_attrs(
        time_unit="seconds", fps=frames.frame_rate(seconds)
    )


def open_recordings(table: str | Path, folder: str | Path | None = None) -> xr.DataTree:
    r"""Read all recordings of a table, with their labels.

    Parameters
    ----------
    table : str or Path
        A csv with one row a recording and the columns ``file``, ``subject``, ``dose``, ``route``,
        ``date`` and ``px_per_cm``; also ``frame_rate`` (1/s) or ``times`` (a .npy file of frame
        times in s). Optional: ``injection_time`` (s, on the times of the frames), ``software`` (see
        `read`), ``arena_x, arena_y, arena_width, arena_height`` (px; the left and top edge, and the
        size), ``recording`` (a name, without it that of the file). Any other column is a label.
    folder : str or Path, optional
        Where the files are. Without it, beside the table.

    Returns
    -------
    DataTree
        One Dataset of `read` a recording, under its name, with the columns as scalar coordinates.

    Raises
    ------
    MissingPackage
        If movement is not installed.
    SourceError
        If the table or a file is missing or damaged, or a column or a value is not there. All
        problems of the table are told at once.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> head = "scorer,net,net,net\nbodyparts,nose,nose,nose\ncoords,x,y,likelihood\n"
    >>> _ = (folder / "one.csv").write_text(head + "0,10,20,.99\n1,13,24,.98\n")
    >>> columns = "file,subject,dose,route,date,frame_rate,px_per_cm\n"
    >>> _ = (folder / "all.csv").write_text(columns + "one.csv,M1,75,ip,2026-01-05,30,12\n")
    >>> open_recordings(folder / "all.csv")["one"].dose.item()
    75
    """
    table = Path(table)
    folder = table.parent if folder is None else Path(folder)
    rows = _read_table(table)
    tree = xr.DataTree()
    for name, values in rows.to_dict("index").items():
        row: dict[str, Any] = {str(column): value for column, value in values.items()}
        where = f"{table}, recording {name}"
        times = None
        if row.get("times"):
            path = folder / str(row["times"])
            try:
                times = np.load(path, allow_pickle=False)
            except (OSError, ValueError) as error:
                raise SourceError(located(where, f"times in {path}", str(error))) from error
        ds = read(
            folder / str(row["file"]),
            software=row.get("software") or None,
            frame_rate=None if times is not None else row["frame_rate"],
            times=times,
        )
        labels = {k: v for k, v in row.items() if k not in _READING}
        ds = ds.assign_coords(recording=name, **labels)
        for label, units in UNITS.items():
            if label in labels:
                ds[label].attrs["units"] = units
        tree[str(name)] = xr.DataTree(ds)
    return tree


def _written_by(path: Path, where: str) -> str:
    """Tell which software wrote a file, from its name and its head."""
    if path.name.endswith((".slp", ".analysis.h5")):
        return "SLEAP"
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", errors="replace") as file:
            scorer = file.readline()
        lightning = "heatmap_" in scorer or "ensemble-kalman" in scorer
        return "LightningPose" if lightning else "DeepLabCut"
    if path.suffix == ".h5":
        import h5py

        try:
            with h5py.File(path, "r") as file:
                return "SLEAP" if "tracks" in file else "DeepLabCut"
        except OSError as error:
            raise SourceError(located(where, "an HDF5 file", str(error))) from error
    expected = ".analysis.h5, .slp, .h5 or .csv"
    raise SourceError(located(where, expected, path.suffix or path.name))


def _check(ds: xr.Dataset, where: str) -> None:
    """Refuse what no tracker writes."""
    position, confidence = ds["position"].values, ds["confidence"].values
    found = ""
    if position.dtype.kind not in "fiu" or confidence.dtype.kind not in "fiu":
        found = "text"
    elif np.isinf(position).any() or (np.abs(position) >= 1e5).any():
        found = f"{np.nanmax(np.abs(position)):g} px"
    elif not np.isfinite(position).any():
        found = "no position at all"
    elif (confidence < 0).any():
        found = f"a confidence of {np.nanmin(confidence):g}"
    if found:
        raise SourceError(located(where, "positions in px and confidences from 0", found))


def _read_table(path: Path) -> pd.DataFrame:
    """Read the table of recordings, by name; all its problems are told at once."""
    needed = ("file", *_LABELS, "px_per_cm")
    try:
        rows = pd.read_csv(path, dtype={"date": str, "times": str, "software": str})
    except (OSError, ValueError) as error:
        raise SourceError(located(str(path), "a csv table", str(error))) from error
    missing = [c for c in needed if c not in rows]
    if missing:
        found = f"none in {', '.join(map(str, rows.columns))}"
        raise SourceError(located(str(path), f"columns {', '.join(missing)}", found))
    if rows.empty:
        raise SourceError(located(str(path), "rows", "none"))
    problems = [f"{c} is text" for c in _NUMBERS if c in rows and rows[c].dtype.kind not in "if"]
    for column in rows.select_dtypes(exclude="number"):
        rows[column] = rows[column].fillna("").astype(str)
    if not problems:
        timed = rows["times"] != "" if "times" in rows else pd.Series(False, rows.index)
        for column in _POSITIVE:
            given = rows.get(column, pd.Series(np.nan, rows.index, dtype=float))
            optional = timed if column == "frame_rate" else pd.Series(column in ARENA, rows.index)
            wrong = ~((given > 0) & (given < np.inf)) & ~(given.isna() & optional)
            problems += [f"{rows['file'][i]} has {column} {given[i]:g}" for i in rows.index[wrong]]
    names = rows["recording"] if "recording" in rows else rows["file"].map(_stem)
    problems += [f"{name} stands there twice" for name in names[names.duplicated()].unique()]
    if problems:
        expected = "distinct recordings, with frame_rate or times, and a scale above 0"
        raise SourceError(located(str(path), expected, "; ".join(problems)))
    return rows.drop(columns="recording", errors="ignore").set_index(names.rename("recording"))


def _stem(file: str) -> str:
    return Path(str(file)).name.split(".")[0]
