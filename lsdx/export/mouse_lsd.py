"""The six files of mouse-lsd, written from the stores: its own loaders read them unchanged."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx import regions
from lsdx.errors import missing_package
from lsdx.export.tables import insertion_table, session_table, unit_table
from lsdx.schema.quality import BOMBCELL_MEASURES
from lsdx.schema.spikes import unit_trains
from lsdx.schema.units import QUALITY_NUMBERS

PRESENT, MISSING = "present", "missing"
_EPOCHS = ("spontaneous", "rfm", "replay")
# column there -> column of session_table whose state it tells
_TASK = {
    "intervalsTable": "passivePeriods_intervalsTable",
    "passiveStims": "passiveStims_table",
    "passiveGabor": "passiveGabor_table",
}
_PROBE = {
    "ap.cbin": "raw_ap",
    "sync.npy": "sync",
    "spikes.times": "spikes",
    "spikes.clusters": "spikes",
    "clusters.uuids": "uuids",
    "spectralDensityLF.npy": "lf_power",
}
_CAMERA = {"raw": "raw", "lightningPose": "pose"}
_TRACED = ("traced", "aligned", "resolved")
_UNIT_COLUMNS = (
    *("uuid", "depth", "cluster_id"),
    *(v.name for v in QUALITY_NUMBERS),
    *("spike_count", "ks2_label", "x", "y", "z", "region", "atlas_id"),
    *("channel", "axial_um", "lateral_um"),
    *("subject", "session_n", "eid", "probe", "pid", "histology"),
)


def sessions_pqt(
    sessions: xr.Dataset, epochs: xr.Dataset, insertions: xr.Dataset, units: xr.Dataset
) -> pd.DataFrame:
    """Return ``sessions.pqt`` of mouse-lsd: 61 columns, one row a session.

    Parameters
    ----------
    sessions, epochs, insertions, units : Dataset
        Of the openers.

    Returns
    -------
    DataFrame
        In order of subject and start. Datasets are ``"present"`` or ``"missing"``; text is
        ``""`` where unknown (``url`` always is), times (s) are NaN. ``LSD_admin`` is the injection
        on the spike clock. ``probe00_bombcell_GOOD`` is the share of GOOD among the units that
        have a label of bombcell, NaN without any.

    Examples
    --------
    >>> import lsdx
    >>> table = sessions_pqt(
    ...     lsdx.open_sessions(), lsdx.open_epochs(), lsdx.open_insertions(), lsdx.open_units()
    ... )
    >>> table.shape[1], sorted(set(table["probe00_spikes.times"]))
    (61, ['missing', 'present'])
    """
    own = session_table(sessions, epochs, insertions)
    protocol = own["task_protocol"]
    saline = dict(enumerate(sessions.attrs["conditions"].split(", "))).get(1, "")
    table = pd.DataFrame(
        {
            "eid": own.index,
            "url": "",
            "subject": own["subject"],
            "start_time": _iso(own["start_time"]),
            "task_protocol": protocol,
            "n_probes": own["n_probes"],
            "n_tasks": [sum("passive" in t.lower() for t in p.split("_")) for p in protocol],
            "session_n": own["session_n"],
            "control_recording": own["condition"] == saline,
            "LSD_admin": own["administration"],
        },
        index=own.index,
    )
    for phase in ("pre", "post"):
        for there, here in _TASK.items():
            table[f"{phase}_{there}"] = _two_states(own, f"{phase}_{here}")
    good = _share_good(units)
    stage = dict(zip(_probes(insertions), insertions["histology_stage"].values, strict=True))
    for probe in ("probe00", "probe01"):
        for there, here in _PROBE.items():
            table[f"{probe}_{there}"] = _two_states(own, f"{probe}_{here}")
        versions = own.get(f"{probe}_sorter_version", pd.Series("", own.index))
        table[f"{probe}_sorter"] = versions.fillna("")
        table[f"{probe}_bombcell_GOOD"] = [good.get((eid, probe), np.nan) for eid in own.index]
        table[f"{probe}_histology"] = [stage.get((e, probe), "no-insertion") for e in own.index]
    for camera in ("left", "right", "body"):
        for there, here in _CAMERA.items():
            table[f"{camera}Camera.{there}"] = _two_states(own, f"{camera}Camera_{here}")
        for check in ("dropped_frames", "timestamps", "pin_state"):
            table[f"_video{camera.title()}_{check}"] = own[f"{camera}Camera_{check}"]
    for phase in ("pre", "post"):
        for epoch in _EPOCHS:
            for edge in ("start", "stop"):
                name = f"{phase}_{epoch}_{edge}"
                table[name] = own.get(name, np.nan)
    return _in_order(table)


def insertions_pqt(insertions: xr.Dataset, sessions: xr.Dataset) -> pd.DataFrame:
    """Return ``insertions.pqt`` of mouse-lsd, one row a probe, without its columns of raw JSON.

    Parameters
    ----------
    insertions, sessions : Dataset
        Of the openers.

    Returns
    -------
    DataFrame
        ``tracing_qc`` and ``alignment_qc`` are ``"NOT SET"`` as there; ``alignment_qc`` of a
        resolved alignment is ``""`` and ``histology_qc`` NaN, since the stores do not have them.

    Examples
    --------
    >>> import lsdx
    >>> insertions_pqt(lsdx.open_insertions(), lsdx.open_sessions()).columns[:3].tolist()
    ['pid', 'eid', 'probe']
    """
    own = insertion_table(insertions)
    of_session = {n: sessions[n].to_series() for n in ("start_time", "session_n")}
    resolved = own["histology_stage"] == "resolved"
    table = pd.DataFrame(
        {
            "pid": own.index,
            "eid": own["session"],
            "probe": own["probe"],
            "model": own["model"],
            "serial": own["serial"],
            "subject": own["subject"],
            "start_time": _iso(own["session"].map(of_session["start_time"])),
            "session_n": own["session"].map(of_session["session_n"]),
            "ephys_qc": own["qc"],
            "n_units": own["recorded_units"],
            "n_units_qc_pass": own["recorded_units_qc_pass"],
            "firing_rate_median": own["firing_rate_median"],
            "firing_rate_max": own["firing_rate_max"],
            "tracing_qc": own["tracing"].replace("", "NOT SET"),
            "alignment_qc": np.where(resolved, "", "NOT SET"),
            "histology_qc": np.nan,
        }
    )
    return _in_order(table)


def units_pqt(units: xr.Dataset, quality: xr.Dataset | None = None) -> pd.DataFrame:
    """Return ``units.pqt`` of mouse-lsd, one row a unit.

    Parameters
    ----------
    units : Dataset
        Of `lsdx.open_units`.
    quality : Dataset, optional
        Of `lsdx.open_quality`: without it ``channel``, ``axial_um`` and ``lateral_um`` are NaN.

    Returns
    -------
    DataFrame
        ``atlas_id`` (float64) is the Allen id of the region, NaN where that is not known.

    Examples
    --------
    >>> import lsdx
    >>> units_pqt(lsdx.open_units()).columns[:3].tolist()
    ['uuid', 'depth', 'cluster_id']
    """
    named = {"unit": "uuid", "session": "eid", "insertion": "pid"}
    table = unit_table(units).reset_index().rename(columns=named)
    known = table["region"] != ""
    table["atlas_id"] = np.nan
    table.loc[known, "atlas_id"] = regions.to_ids(table["region"][known]).astype(np.float64)
    sites = ["channel", "axial_um", "lateral_um"]
    table[sites] = np.nan
    if quality is not None:
        own = quality.sel(unit=units["unit"].values)
        table[sites] = np.column_stack([own[name].values for name in sites])
    return table[list(_UNIT_COLUMNS)]


def bombcell_pqt(quality: xr.Dataset) -> pd.DataFrame:
    """Return ``bombcell.pqt`` of mouse-lsd, one row a unit that bombcell has seen.

    Parameters
    ----------
    quality : Dataset
        Of `lsdx.open_quality`.

    Returns
    -------
    DataFrame
        ``phy_clusterID``, bombcell's 29 measures, ``bc_unitType`` and ``uuid``.

    Examples
    --------
    >>> import lsdx
    >>> bombcell_pqt(lsdx.open_quality()).columns[[0, 1, -2, -1]].tolist()
    ['phy_clusterID', 'nSpikes', 'bc_unitType', 'uuid']
    """
    measures = {name: quality[name].values for name in BOMBCELL_MEASURES}
    table = pd.DataFrame(
        {
            "phy_clusterID": quality["cluster_id"].values,
            **measures,
            "bc_unitType": quality["bombcell"].values,
            "uuid": quality["unit"].values,
        }
    )
    return table[table["nSpikes"].notna()].reset_index(drop=True)


def histology_pqt(insertions: xr.Dataset, sessions: xr.Dataset) -> pd.DataFrame:
    """Return ``histology_status.pqt`` of mouse-lsd: four steps, done or not, of each probe.

    Parameters
    ----------
    insertions, sessions : Dataset
        Of the openers.

    Returns
    -------
    DataFrame
        A session without insertions is one row, whose ``pid`` and ``probe`` are None. Of a probe
        that is traced, the image stacks are taken to be there.

    Examples
    --------
    >>> import lsdx
    >>> table = histology_pqt(lsdx.open_insertions(), lsdx.open_sessions())
    >>> bool((table.alignment_resolved <= table.picks).all())
    True
    """
    own = insertion_table(insertions)
    stage = own["histology_stage"]
    start = pd.Series(_iso(sessions["start_time"].to_series()), sessions["session"].values)
    table = pd.DataFrame(
        {
            "subject": own["subject"],
            "eid": own["session"],
            "start_time": own["session"].map(start),
            "pid": own.index,
            "probe": own["probe"],
            "image_stacks": stage.isin(["no-tracing", *_TRACED]),
            "picks": stage.isin(_TRACED),
            "alignment_uploaded": stage.isin(_TRACED[1:]),
            "alignment_resolved": stage.isin(_TRACED[2:]),
        }
    ).astype({"pid": object, "probe": object})
    bare = ~np.isin(sessions["session"].values, insertions["session"].values)
    rows = {
        "subject": sessions["subject"].values[bare],
        "eid": sessions["session"].values[bare],
        "start_time": start.to_numpy()[bare],
    }
    none = pd.DataFrame(rows).assign(pid=None, probe=None)
    none = none.assign(**dict.fromkeys(table.columns[5:], False)).astype({"pid": object})
    return _in_order(pd.concat([table, none[table.columns]]) if bare.any() else table)


def write_spikes_h5(spikes: xr.Dataset, path: Path, *, progress: bool = False) -> int:
    """Write ``spikes.h5`` of mouse-lsd, one session in memory at a time.

    Parameters
    ----------
    spikes : Dataset
        Of `lsdx.open_spikes`.
    path : Path
        Written beside and then renamed, so that what stood there is whole until then.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    int
        Number of units. Each is a group of its id: ``times`` (n,) float64 s and, where there is a
        mask of bombcell, ``duplicates`` (n,) bool.

    Raises
    ------
    MissingPackage
        Without h5py: ``pip install 'lsdx[hdf5]'``.

    Examples
    --------
    >>> import lsdx, tempfile
    >>> spikes = lsdx.open_spikes()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     n = write_spikes_h5(spikes, Path(folder) / "spikes.h5")
    >>> n == spikes.sizes["unit"]
    True
    """
    from tqdm import tqdm

    try:
        import h5py
    except ImportError as error:
        raise missing_package("write_spikes_h5", "h5py", "hdf5") from error
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with h5py.File(unfinished, "w", libver="latest") as file:
            file.attrs["simulated"] = bool(spikes.attrs["simulated"])
            bar = tqdm(desc="spikes", unit="unit", disable=None if progress else True)
            with bar:
                bar.reset(total=spikes.sizes["unit"])
                masked = spikes["has_duplicate_mask"].values
                for (unit, times, duplicates), mask in zip(
                    unit_trains(spikes), masked, strict=True
                ):
                    group = file.create_group(unit)
                    group.create_dataset("times", data=times)
                    if mask:
                        group.create_dataset("duplicates", data=duplicates)
                    bar.update()
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return int(spikes.sizes["unit"])


def write_mouse_lsd(
    directory: Path,
    *,
    sessions: xr.Dataset,
    insertions: xr.Dataset,
    epochs: xr.Dataset,
    units: xr.Dataset,
    spikes: xr.Dataset,
    quality: xr.Dataset | None = None,
    progress: bool = False,
) -> dict[str, int]:
    """Write the files of mouse-lsd into a folder, which is made if it is not there.

    Parameters
    ----------
    directory : Path
    sessions, insertions, epochs, units, spikes : Dataset
        Of the openers.
    quality : Dataset, optional
        Of `lsdx.open_quality`: without it there is no ``bombcell.pqt``.
    progress : bool
        Whether to show a progress bar for the spikes.

    Returns
    -------
    dict of int
        Rows of each file written. Of a simulated cohort, the attribute ``simulated`` of each file
        is true.

    Raises
    ------
    MissingPackage
        Without h5py: ``pip install 'lsdx[hdf5]'``.
    """
    tables = {
        "sessions": sessions_pqt(sessions, epochs, insertions, units),
        "insertions": insertions_pqt(insertions, sessions),
        "units": units_pqt(units, quality),
        "histology_status": histology_pqt(insertions, sessions),
    }
    if quality is not None:
        tables["bombcell"] = bombcell_pqt(quality)
    directory.mkdir(parents=True, exist_ok=True)
    rows = {}
    for name, table in tables.items():
        table.attrs["simulated"] = bool(sessions.attrs["simulated"])
        table.to_parquet(directory / f"{name}.pqt", index=False)
        rows[f"{name}.pqt"] = len(table)
    rows["spikes.h5"] = write_spikes_h5(spikes, directory / "spikes.h5", progress=progress)
    return rows


def _iso(times: pd.Series[Any]) -> list[str]:
    """Return times as ISO text, as Alyx writes them; blank where unknown."""
    return ["" if pd.isna(t) else pd.Timestamp(t).isoformat() for t in times]


def _two_states(own: pd.DataFrame, column: str) -> Any:
    if column not in own:
        return MISSING
    return np.where(own[column] == "extraction complete", PRESENT, MISSING)


def _probes(ds: xr.Dataset) -> list[tuple[str, str]]:
    return list(zip(ds["session"].values, ds["probe"].values, strict=True))


def _share_good(units: xr.Dataset) -> dict[tuple[str, str], float]:
    """Return the share of GOOD among the units of each probe that bombcell labels."""
    table = pd.DataFrame({"probe": _probes(units), "label": units["bombcell"].values})
    labelled = table[table["label"] != ""]
    shares = (labelled["label"] == "GOOD").groupby(labelled["probe"]).mean()
    return dict(zip(shares.index, shares.to_numpy(dtype=float), strict=True))


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(["subject", "start_time"], kind="stable").reset_index(drop=True)
