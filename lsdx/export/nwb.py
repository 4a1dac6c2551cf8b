"""One NWB file a session: units, electrodes, epochs, events, behaviour, pose."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.clock import TICKS_PER_SECOND
from lsdx.errors import SelectionError, located, missing_package
from lsdx.export.series import behavior_series, observed_epochs, one_session
from lsdx.schema.spec import columns_along, text

if TYPE_CHECKING:
    from pynwb import NWBFile

_TICK = 1 / TICKS_PER_SECOND  # s: how long what has no length is
_AXES = (("x", "y", -1e6), ("y", "z", -1e6), ("z", "x", 1e6))
_PLACE = ("insertion", "depth", "x", "y", "z", "region")
_LEFT_OUT = ("row_size", "row_start", "administration", "last_spike")
_SUBJECT = ("species", "sex", "age", "strain", "genotype", "date_of_birth", "description")
_FILE = (
    "experimenter",
    "institution",
    "experiment_description",
    "keywords",
    "related_publications",
)


def to_nwb(
    spikes: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    sessions: xr.Dataset,
    units: xr.Dataset | None = None,
    events: xr.Dataset | None = None,
    behavior: xr.Dataset | None = None,
    pose: Mapping[str, xr.Dataset] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write one session as an NWB file.

    Parameters
    ----------
    spikes : Dataset
        Of `lsdx.open_spikes`, of one session.
    path : path
        The file, if it ends in ``.nwb``; else a folder, in which it has the name that DANDI gives
        it: ``sub-<subject>/sub-<subject>_ses-<session>_ecephys.nwb``. Written beside and renamed.
    sessions : Dataset
        Of `lsdx.open_sessions`: start, lab, dose.
    units : Dataset, optional
        Of `lsdx.open_units` or `lsdx.open_quality`: its numbers of each unit are columns too.
    events, behavior : Dataset, optional
        Of `lsdx.open_events`, `lsdx.open_behavior`.
    pose : mapping, optional
        Of `lsdx.open_pose` by name of the camera, as ndx-pose has it; cameras without times are
        left out.
    metadata : mapping, optional
        What the stores do not know: of the animal ``species``, ``sex``, ``age`` (ISO 8601, such as
        ``"P12W"``), ``strain``, ``genotype``, ``date_of_birth``, ``description``; of the file
        ``experimenter``, ``institution``, ``experiment_description``, ``keywords``,
        ``related_publications``. By default a mouse of unknown sex and any age (``"P0D/"``).

    Returns
    -------
    Path
        The file. Times are in s on the spike clock, from the recorded start of the session, whose
        time zone is not recorded and taken as UTC. Electrodes are the places of the units' largest
        amplitude: ``x``, ``y``, ``z`` in um from bregma towards back, down and right, as NWB has
        them, ``rel_y`` in um from the probe's tip; NaN where not known. Text is ``""`` where
        unknown. Epochs are intervals with ``phase`` and ``epoch``; the injection is an interval of
        one tick (10 us). Columns without any value are left out.

    Raises
    ------
    SelectionError
        For several sessions, one that ``sessions`` does not have, or other metadata.
    MissingPackage
        Without pynwb (and for poses ndx-pose): ``pip install 'lsdx[nwb]'``.

    Examples
    --------
    >>> import lsdx, tempfile
    >>> eid = lsdx.open_units().session.values[0]
    >>> spikes = lsdx.open_spikes(session=eid)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = spikes.lsd.to_nwb(folder, sessions=lsdx.open_sessions())
    >>> file.suffix, file.parent.name
    ('.nwb', 'sub-LSDX-A')
    """
    try:
        import pynwb
    except ImportError as error:
        raise missing_package("to_nwb", "pynwb", "nwb") from error
    eid = one_session(spikes, "to_nwb")
    known = dict(metadata or {})
    odd = sorted(set(known) - {*_SUBJECT, *_FILE})
    if odd:
        expected = "one of " + ", ".join((*_SUBJECT, *_FILE))
        raise SelectionError(located("to_nwb, metadata", expected, repr(odd[0])))
    if eid not in sessions["session"].values:
        do = "Pass lsdx.open_sessions() of the same stores."
        raise SelectionError(located("to_nwb, sessions", f"session {eid}", "none", do))
    about = sessions.sel(session=eid)
    file = _file(pynwb, eid, about, known)
    table = columns_along(spikes, "unit").drop(columns=list(_LEFT_OUT), errors="ignore")
    if units is not None:
        more = columns_along(units.sel(unit=spikes["unit"].values), "unit")
        table = table.join(more[[c for c in more if c not in table]])
    table = table.dropna(axis="columns", how="all")
    _add_units(pynwb, file, spikes, table)
    _add_epochs(file, spikes)
    _add_injection(pynwb, file, spikes, about)
    if events is not None:
        own = events.isel(event=events["session"].values == eid)
        _add_events(pynwb, file, columns_along(own, "event"))
    if behavior is not None and eid in behavior["session"].values:
        _add_behavior(pynwb, file, behavior, eid)
    for camera, points in (pose or {}).items():
        _add_pose(file, camera, points)
    target = _place(Path(path), str(about["subject"].values), eid, behavior is not None)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".unfinished-{target.name}")
    try:
        with pynwb.NWBHDF5IO(unfinished, "w") as io:
            io.write(file)
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)
    return target


def _place(path: Path, subject: str, eid: str, behavior: bool) -> Path:
    """Return the path of the file, by DANDI's rules if a folder is given."""
    if path.suffix == ".nwb":
        return path
    name = re.sub(r"[^A-Za-z0-9.-]", "-", subject)
    what = "behavior+ecephys" if behavior else "ecephys"
    return path / f"sub-{name}" / f"sub-{name}_ses-{eid}_{what}.nwb"


def _file(pynwb: Any, eid: str, about: xr.Dataset, known: Mapping[str, Any]) -> NWBFile:
    from importlib.metadata import version

    simulated = bool(about.attrs.get("simulated"))
    subject = str(about["subject"].values)
    start = about["start_time"].item() if about["start_time"].notnull() else None
    moment = pd.Timestamp(str(about["date"].values) if start is None else start).to_pydatetime()
    condition = str(about["condition"].values)
    words = f"Neuropixels recording before and after {condition}: {about['session_label'].values}"
    if simulated:
        words = f"SIMULATED, not a recording. {words}"
    told = [f"{condition} given"]
    for name, units in (("dose", "ug/kg"), ("stock_volume", "uL"), ("saline_volume", "uL")):
        value = float(about[name].values) if name in about else np.nan
        told += [f"{name} {value:g} {units}"] if np.isfinite(value) else []
    weight = float(about["weight"].values) if "weight" in about else np.nan
    animal = {"species": "Mus musculus", "sex": "U", "age": "P0D/"}
    animal |= {"weight": f"{weight / 1000:g} kg"} if np.isfinite(weight) else {}
    animal |= {k: v for k, v in known.items() if k in _SUBJECT}
    return pynwb.NWBFile(
        session_description=words,
        identifier=f"{eid} {about.attrs.get('catalog', '')}".strip(),
        session_start_time=moment.replace(tzinfo=dt.UTC),
        session_id=eid,
        lab=str(about["lab"].values) or None,
        protocol=str(about["task_protocol"].values) or None,
        pharmacology=", ".join(told),
        source_script=f"lsdx {version('lsdx')}",
        source_script_file_name="lsdx",
        subject=pynwb.file.Subject(subject_id=subject, **animal),
        **{k: v for k, v in known.items() if k in _FILE},
    )


def _add_units(pynwb: Any, file: NWBFile, spikes: xr.Dataset, table: pd.DataFrame) -> None:
    """Add electrodes, and the units with their spike times as one array."""
    blank = {"insertion": "", "region": ""}
    columns_of = {n: table.get(n, pd.Series(blank.get(n, np.nan), table.index)) for n in _PLACE}
    place = pd.DataFrame(columns_of)
    code, _ = pd.factorize(pd.Series(map(repr, place.itertuples(index=False))))
    rows = place.groupby(code).first()
    groups = {}
    for pid, of in table.groupby("insertion", sort=False):
        probe = str(of["probe"].iloc[0]) if "probe" in of else str(pid)
        device = file.create_device(name=probe, description=f"Neuropixels probe, insertion {pid}")
        groups[pid] = file.create_electrode_group(
            name=probe, description=f"insertion {pid}", location="see electrodes", device=device
        )
    for _, row in rows.iterrows():
        group = groups[row["insertion"]]
        file.add_electrode(
            # NWB: x posterior, y inferior, z right
            **{axis: scale * float(row[of]) for axis, of, scale in _AXES},
            location=str(row["region"]) or "unknown",
            group=group,
            group_name=group.name,
            rel_y=float(row["depth"]),
        )
    order, size = spikes["row_start"].values, spikes["row_size"].values
    times = spikes["spike_time"].values
    if not (order[1:] == order[:-1] + size[:-1]).all() or int(size.sum()) != times.size:
        rows_of = [times[a : a + n] for a, n in zip(order, size, strict=True)]
        times = np.concatenate([*rows_of, np.zeros(0)])
    core, misc = pynwb.core, pynwb.misc
    data = core.VectorData(name="spike_times", description="Spike times (s)", data=times)
    columns = [data, core.VectorIndex(name="spike_times_index", data=np.cumsum(size), target=data)]
    words = "Where the unit is largest"
    sites = core.DynamicTableRegion(
        name="electrodes", description=words, data=code.astype(np.int64), table=file.electrodes
    )
    ends = np.arange(1, code.size + 1)
    columns += [sites, core.VectorIndex(name="electrodes_index", data=ends, target=sites)]
    named = table.rename(columns={"electrodes": "electrodes_label", "id": "id_label"})
    for name in named:
        values = named[name].to_numpy()
        values = text(values) if values.dtype.kind in "OUT" else values
        values = values.astype(str) if values.dtype.kind == "O" else values
        words = str(spikes[name].attrs.get("long_name", name)) if name in spikes else str(name)
        columns.append(core.VectorData(name=str(name), description=words, data=values))
    columns.append(
        core.VectorData(
            name="unit_id", description="Unit id", data=spikes["unit"].values.astype(str)
        )
    )
    file.units = misc.Units(
        name="units",
        description="Sorted units, all of them: select by their quality.",
        columns=columns,
        colnames=[c.name for c in columns if not c.name.endswith("_index")],
        id=np.arange(code.size),
        electrode_table=file.electrodes,
        resolution=_TICK,
    )


def _add_epochs(file: NWBFile, spikes: xr.Dataset) -> None:
    table = observed_epochs(spikes)
    if not len(table):
        return
    file.add_epoch_column(name="phase", description="Passive run, relative to the injection")
    file.add_epoch_column(name="epoch", description="Epoch of the run")
    columns = (table[n].tolist() for n in ("start", "stop", "phase", "epoch"))
    for start, stop, phase, epoch in zip(*columns, strict=True):
        file.add_epoch(start_time=start, stop_time=stop, phase=str(phase), epoch=str(epoch))


def _add_injection(pynwb: Any, file: NWBFile, spikes: xr.Dataset, about: xr.Dataset) -> None:
    times = spikes["administration"].values
    known = times[np.isfinite(times)]
    if known.size:
        words = "When what was given; with the provenance filler_start an upper bound"
        made = pynwb.epoch.TimeIntervals(name="administration", description=words)
        made.add_column(name="condition", description="What was given")
        at = float(known[0])
        what = str(about["condition"].values)
        made.add_interval(start_time=at, stop_time=at + _TICK, condition=what)
        file.add_time_intervals(made)


def _add_events(pynwb: Any, file: NWBFile, table: pd.DataFrame) -> None:
    table = table[np.isfinite(table["start"])].sort_values("start", kind="stable")
    if not len(table):
        return
    names = [c for c in table if c not in ("start", "stop", "session", "session_label")]
    made = pynwb.epoch.TimeIntervals(name="events", description="Stimuli, and the lab's events")
    for name in names:
        made.add_column(name=str(name), description=f"{name} of the event")
    words = {n: table[n].dtype.kind in "OUT" for n in names}
    for row in table.to_dict("records"):
        stop = row["stop"] if row["stop"] > row["start"] else row["start"] + _TICK
        values = {str(n): str(row[n]) if words[n] else row[n] for n in names}
        made.add_interval(start_time=float(row["start"]), stop_time=float(stop), **values)
    file.add_time_intervals(made)


def _module(file: NWBFile) -> Any:
    if "behavior" in file.processing:
        return file.processing["behavior"]
    return file.create_processing_module(name="behavior", description="Behaviour and pose")


def _add_behavior(pynwb: Any, file: NWBFile, behavior: xr.Dataset, eid: str) -> None:
    times, values, features = behavior_series(behavior, eid)
    for i, feature in enumerate(features):
        known = np.isfinite(values[:, i])
        if known.any():
            series = pynwb.TimeSeries(
                name=feature.replace("/", "_"),
                description=f"{feature}, on bins of {behavior.attrs.get('bin_width', '')} s",
                data=values[known, i],
                unit="see name",
                timestamps=times[known],
            )
            _module(file).add(series)


def _add_pose(file: NWBFile, camera: str, pose: xr.Dataset) -> None:
    try:
        import ndx_pose
    except ImportError as error:
        raise missing_package("to_nwb, pose", "ndx-pose", "nwb") from error
    if pose["time"].attrs.get("units") != "s":
        return
    points = pose.squeeze("individuals", drop=True).compute()
    names = [str(k) for k in points["keypoints"].values]
    skeleton = ndx_pose.Skeleton(name=f"{camera}_keypoints", nodes=names)
    times = points["time"].values
    series = [
        ndx_pose.PoseEstimationSeries(
            name=name,
            description=f"{name} of the {camera} camera",
            data=points["position"].sel(keypoints=name).transpose("time", "space").values,
            unit="pixels",
            reference_frame="(0, 0) is the top left corner of the image",
            timestamps=times,
            confidence=points["confidence"].sel(keypoints=name).values,
            confidence_definition="likelihood, as the tracker gives it",
        )
        for name in names
    ]
    module = _module(file)
    if "Skeletons" not in module.data_interfaces:
        module.add(ndx_pose.Skeletons(skeletons=[skeleton]))
    else:
        module["Skeletons"].add_skeletons(skeleton)
    module.add(
        ndx_pose.PoseEstimation(
            name=f"PoseEstimation_{camera}",
            pose_estimation_series=series,
            description=f"Points that a tracker found in the video of the {camera} camera",
            skeleton=skeleton,
        )
    )
