"""Open what the animal did: full-rate pose, and behaviour on the bins of the counts."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import xarray as xr

from lsdx.clock import TICKS_PER_SECOND, to_bin_ticks
from lsdx.errors import SelectionError, StoreNotFound, located
from lsdx.schema import SCHEMAS
from lsdx.schema.behavior import describe
from lsdx.schema.pose import ENSEMBLE, MIRRORED
from lsdx.schema.spec import text
from lsdx.store.access import read_store
from lsdx.store.catalog import Catalog
from lsdx.store.flat import check_version, light, marked, validated
from lsdx.store.openers import DEFAULT_BIN_WIDTH
from lsdx.store.place import Place, find_place

_LABELS = (
    "session_label",
    "subject",
    "condition",
    "session_n",
    "cohort_year",
    "days_since_lsd",
    "exclusion",
)
_TOLD = (
    "camera",
    "tracker",
    "tracker_version",
    "pose_revision",
    "source_file",
    "clock",
    "likelihood",
)
# as movement calls them
_SOFTWARE = {"dlc": "DeepLabCut", "lightning_pose": "LightningPose"}


def open_pose(
    stores: str | os.PathLike[str] | None = None,
    *,
    session: str,
    camera: str,
    tag: str | None = None,
) -> xr.Dataset:
    """Open the keypoints of one camera of one session at full rate, lazily, in movement's form.

    Parameters
    ----------
    stores : path, optional
        The stores folder; the settings' by default.
    session : str
        Session id (eid) or label, such as ``"LSDX-A 2023-01-19/001"``.
    camera : str
        ``"left"``, ``"right"`` or ``"body"``.
    tag : str, optional
        A catalog kept by ``lsdx tag``; the current one by default.

    Returns
    -------
    Dataset
        Dims (time, space, keypoints, individuals), the names and the attributes of the package
        movement, whose functions take it. ``position``: float32 px, ``confidence``: float32, dask
        arrays. Nothing is left out: a bad point has plausible coordinates and a low confidence;
        NaN where the tracker gave none. ``time``: s on the spike clock, or the number of the frame
        where the frames have no times (``time_unit`` says which). ``start`` and ``stop`` (phase,
        epoch) and ``administration`` in s, NaN where not known.

    Raises
    ------
    StoreNotFound
        If the camera's pose has not been built, or the session has none.
    StoreCorrupt
        If a store is damaged.
    SelectionError
        For a session that is not stored.

    Notes
    -----
    The right camera's video is mirrored before tracking: on either side camera ``paw_r`` is the
    paw nearer to that camera (int-brain-lab/iblvideo, README). Pixels do not compare between
    cameras: left frames are 1280 px wide, right ones 640.

    Examples
    --------
    >>> import lsdx
    >>> eid = lsdx.open_sessions().session.values[0]
    >>> lsdx.open_pose(session=eid, camera="left").position.dims
    ('time', 'space', 'keypoints', 'individuals')
    """
    place = find_place(stores)
    catalog = place.catalog(tag)
    eid, labels = _session(light(place, catalog, "sessions"), session)
    recipes = {
        r["parameters"].get("camera"): n for n, r in catalog.recipes.items() if r["store"] == "pose"
    }
    where = f"{place}, pose of the {camera} camera"
    if camera not in recipes:
        found = ", ".join(map(str, recipes)) or "none"
        raise StoreNotFound(
            located(where, "a built store", f"cameras {found}", "Build it: lsdx build pose_left")
        )
    entry = catalog.parts.get(recipes[camera], {}).get(eid)
    if entry is None:
        raise StoreNotFound(
            located(
                where,
                f"one of session {session}",
                "none",
                "See lsdx.open_sessions().status, or the report: lsdx sessions.",
            )
        )
    check_version("pose", entry)
    chunk = {"time": SCHEMAS["pose"].chunks["time"]}
    ds = read_store(place, entry, lazy=dict.fromkeys(("position", "confidence", *ENSEMBLE), chunk))
    timed = entry.attrs["clock"] in ("times", "trimmed")
    about = {"units": "s", "long_name": "Time of the frame on the spike clock."}
    if not timed:
        about = {"units": "1", "long_name": "Number of the frame: its time is not known."}
    times = ds["frame_time"].values if timed else np.arange(ds.sizes["time"], dtype=np.float64)
    epochs = light(place, catalog, "epochs").sel(session=eid)
    names = ("phase", "epoch", "start", "stop", "administration")
    of_session: dict[str, Any] = {n: epochs[n].variable for n in names} | labels
    ds = ds.drop_vars("frame_time").assign_coords({"time": ("time", times, about)} | of_session)
    rate = entry.attrs["frame_rate"]
    about_pose = {n: entry.attrs[n] for n in _TOLD} | {
        "ds_type": "poses",
        "time_unit": "seconds" if timed else "frames",
        "fps": np.nan if rate is None else rate,
        "source_software": _SOFTWARE.get(entry.attrs["tracker"], entry.attrs["tracker"]),
        "mirrored": MIRRORED,
    }
    ds.attrs = {}
    return marked(ds, catalog).assign_attrs(about_pose)


def open_behavior(
    stores: str | os.PathLike[str] | None = None,
    *,
    bin_width: str | float | None = None,
    tag: str | None = None,
) -> xr.Dataset:
    """Open the behaviour of every session on the bins of the counts, lazily.

    Parameters
    ----------
    stores : path, optional
        The stores folder; the settings' by default.
    bin_width : str or float, optional
        Such as ``"20 ms"``; one that has been built. Without it 100 ms, or the only one.
    tag : str, optional
        A catalog kept by ``lsdx tag``; the current one by default.

    Returns
    -------
    Dataset
        ``behavior`` (session, feature, phase, epoch, time): float32 dask array, the mean of the
        likely samples in each bin; NaN where there are none. ``share``: of the frames due, those
        that were observed and likely; NaN outside the epoch and where the frames have no times.
        ``time`` is that of `open_units`. Along ``feature``: ``feature_camera``, ``measure``,
        ``feature_units`` and ``frame_width`` (px). Over (session, camera): tracker, clock, frame
        rate, and the lag of motion energy or wheel. ``start``, ``stop``, ``administration`` in s.

    Raises
    ------
    StoreNotFound
        If no such bins have been built; those that have are named.
    StoreCorrupt
        If a store is damaged.

    Examples
    --------
    >>> import lsdx
    >>> b = lsdx.open_behavior()
    >>> b.behavior.sel(feature="left/pupil_diameter", phase="post").dims
    ('session', 'epoch', 'time')
    """
    place = find_place(stores)
    catalog = place.catalog(tag)
    entry, width = _of_width(place, catalog, bin_width)
    check_version("behavior", entry)
    schema = SCHEMAS["behavior"]
    chunks = {**schema.chunks, "feature": -1, "time": -1}
    ds = read_store(place, entry, lazy={"behavior": chunks, "share": chunks})
    ds = validated(ds, "behavior", entry)
    told = [describe(str(f)) for f in ds["feature"].values]
    names = ("feature_camera", "measure", "feature_units")
    about: dict[str, Any] = {
        n: ("feature", text([t[i] for t in told])) for i, n in enumerate(names)
    }
    about["frame_width"] = ("feature", [t[3] for t in told], {"units": "px"})
    sessions = light(place, catalog, "sessions").sel(session=ds["session"])
    epochs = light(place, catalog, "epochs").sel(session=ds["session"])
    about |= {n: sessions[n].variable for n in _LABELS}
    about |= {n: epochs[n].variable for n in ("start", "stop", "administration")}
    ds = ds.assign_coords(about)
    return marked(ds, catalog).assign_attrs(bin_width=width / TICKS_PER_SECOND)


def _session(sessions: xr.Dataset, wanted: str) -> tuple[str, dict[str, Any]]:
    """Return the id of a session that is named by its id or its label, and its labels."""
    for name in ("session", "session_label"):
        rows = np.flatnonzero(sessions[name].values == wanted)
        if rows.size == 1:
            row = sessions.isel(session=int(rows[0]))
            return str(row["session"].item()), {n: row[n].variable for n in ("session", *_LABELS)}
    raise SelectionError(
        located(
            "open_pose, session",
            "the id or the label of a stored session",
            repr(wanted),
            "See lsdx.open_sessions().session_label.",
        )
    )


def _of_width(place: Place, catalog: Catalog, bin_width: str | float | None) -> tuple[Any, int]:
    built = {
        catalog.flat[n].attrs["bin_width_ticks"]: catalog.flat[n]
        for n, r in catalog.recipes.items()
        if r["store"] == "behavior" and n in catalog.flat
    }
    wanted = to_bin_ticks(DEFAULT_BIN_WIDTH if bin_width is None else bin_width)
    if bin_width is None and wanted not in built and len(built) == 1:
        (wanted,) = built
    if wanted not in built:
        have = ", ".join(f"{t / TICKS_PER_SECOND:g} s" for t in sorted(built)) or "none"
        raise StoreNotFound(
            located(
                f"{place}, behavior",
                f"bins of {wanted / TICKS_PER_SECOND:g} s",
                f"built: {have}",
                "Build it: lsdx build behavior; for another width from a copy of "
                "recipes/behavior.py, or bin one camera: lsdx.open_pose(...).lsd.bin_behavior(...)",
            )
        )
    return built[wanted], wanted
