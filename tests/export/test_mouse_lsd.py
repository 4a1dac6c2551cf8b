"""The files of mouse-lsd: a reader that asks for what its loaders ask for reads them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import lsdx
from lsdx.cli import main
from lsdx.errors import MissingPackage
from lsdx.export.mouse_lsd import histology_pqt, sessions_pqt, write_spikes_h5

TIMES = [
    *(
        f"{phase}_{epoch}_{edge}"
        for phase in ("pre", "post")
        for epoch in ("spontaneous", "rfm", "replay")
        for edge in ("start", "stop")
    ),
    "LSD_admin",
]
SESSIONS = {
    *("eid", "url", "subject", "start_time", "task_protocol", "n_probes", "n_tasks", "session_n"),
    *("control_recording", *TIMES),
    *(f"{p}_{n}" for p in ("pre", "post") for n in ("intervalsTable", "passiveStims")),
    *("pre_passiveGabor", "post_passiveGabor"),
    *(
        f"{probe}_{name}"
        for probe in ("probe00", "probe01")
        for name in (
            *("ap.cbin", "sync.npy", "sorter", "spikes.times", "spikes.clusters"),
            *("clusters.uuids", "spectralDensityLF.npy", "bombcell_GOOD", "histology"),
        )
    ),
    *(f"{c}Camera.{n}" for c in ("left", "right", "body") for n in ("raw", "lightningPose")),
    *(
        f"_video{c}_{n}"
        for c in ("Left", "Right", "Body")
        for n in ("dropped_frames", "timestamps", "pin_state")
    ),
}


class Loader:
    """Reads the folder as the loaders of mouse-lsd do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def sessions(self) -> pd.DataFrame:
        table = pd.read_parquet(self.folder / "sessions.pqt").dropna(subset=TIMES)
        kept = [*TIMES, "subject", "eid", "start_time", "session_n", "control_recording"]
        return table[kept].copy()

    def units(self, eids: list[str], unit_filter: str) -> pd.DataFrame:
        table = pd.read_parquet(self.folder / "units.pqt").query("eid in @eids")
        return table.query(unit_filter) if unit_filter else table

    def spikes(self, uuids: pd.Series[Any], *, without_duplicates: bool = True) -> pd.Series[Any]:
        with h5py.File(self.folder / "spikes.h5") as file:
            trains = {}
            for uuid in uuids:
                times = file[uuid]["times"][:]
                if without_duplicates and "duplicates" in file[uuid]:
                    times = times[~file[uuid]["duplicates"][:]]
                trains[uuid] = times
        return pd.Series(trains, name="spike_times")

    def session_spikes(self, unit_filter: str = "") -> pd.DataFrame:
        sessions = self.sessions()
        units = self.units(sessions["eid"].tolist(), unit_filter).set_index("uuid")
        trains = units.join(self.spikes(units.index.to_series())).reset_index()
        return pd.merge(trains, sessions, on=["subject", "eid"], how="left")


@pytest.fixture(scope="module")
def folder(demo_stores: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mouse-lsd") / "out"
    options = ["--layout", "mouse-lsd", "--stores", str(demo_stores)]
    assert main(["export", "tables", str(path), *options]) == 0
    return path


def test_its_loaders_read_the_spikes_of_good_units(folder: Path, demo_stores: Path) -> None:
    found = Loader(folder).session_spikes("label == 1")
    epochs = lsdx.open_epochs(demo_stores)
    known = epochs[["start", "stop"]].notnull().all(["phase", "epoch"]).to_dataframe().all(axis=1)
    timed = known & epochs.administration.notnull().to_series()
    units = lsdx.open_units(demo_stores)
    timed &= timed.index.isin(units.session.values)
    good = units.lsd.select(quality="ibl_pass", session=list(timed.index[timed]))
    assert set(found["uuid"]) == set(good.unit.values)
    assert len(found) == good.sizes["unit"] > 0
    spikes = lsdx.open_spikes(demo_stores, units=good).compute()
    stop = (spikes.row_start + spikes.row_size).values
    trains = found.set_index("uuid")["spike_times"]
    for unit, first, last in zip(good.unit.values, spikes.row_start.values, stop, strict=True):
        own = spikes.isel(spike=slice(first, last))
        np.testing.assert_array_equal(trains[unit], own.spike_time.values[~own.duplicate.values])


def test_units_tell_their_channel_and_region(folder: Path, demo_stores: Path) -> None:
    table = pd.read_parquet(folder / "units.pqt").set_index("uuid")
    quality = lsdx.open_quality(demo_stores)
    for name in ("channel", "axial_um", "lateral_um"):
        np.testing.assert_array_equal(table[name].loc[quality.unit.values], quality[name])
    assert table["channel"].notna().all()
    # channel k of the demo's probes lies 20 um higher for every two
    np.testing.assert_array_equal(table["axial_um"], 20 * (table["channel"] // 2 + 1))
    assert set(table.loc[table["region"] == "CA1", "atlas_id"]) == {382.0}
    assert "slidingRP_viol_forced" in table


def test_sessions_have_its_61_columns(folder: Path, demo_stores: Path) -> None:
    table = pd.read_parquet(folder / "sessions.pqt")
    assert len(SESSIONS) == 61
    assert set(table) == SESSIONS
    status = lsdx.open_sessions(demo_stores).status.to_pandas().loc[table["eid"]]
    for column, dataset in {
        "probe00_spikes.times": "ephys/probe00/spikes",
        "post_passiveGabor": "task/post/passiveGabor.table",
        "leftCamera.lightningPose": "video/left/pose",
        "probe01_spectralDensityLF.npy": "ephys/probe01/lf_power",
    }.items():
        there = status[dataset].to_numpy() == "extraction complete"
        assert table[column].tolist() == ["present" if t else "missing" for t in there]
    epochs = lsdx.open_epochs(demo_stores).sel(session=table["eid"].to_numpy())
    rfm = epochs.stop.sel(phase="post", epoch="rfm")
    np.testing.assert_array_equal(table["post_rfm_stop"], rfm)
    np.testing.assert_array_equal(table["LSD_admin"], epochs.administration)
    conditions = lsdx.open_sessions(demo_stores).condition.sel(session=table["eid"].to_numpy())
    assert table["control_recording"].tolist() == (conditions.values == "saline").tolist()
    assert table["start_time"].map(pd.Timestamp.fromisoformat).notna().all()
    assert table[["subject", "start_time"]].apply(tuple, axis=1).is_monotonic_increasing
    assert table.attrs["simulated"] is True


def test_the_share_of_good_units_is_that_of_the_labelled(folder: Path, demo_stores: Path) -> None:
    units = lsdx.open_units(demo_stores).coords.to_dataset().reset_coords()
    labels = units[["session", "probe", "bombcell"]].to_dataframe()
    labels = labels[labels["bombcell"] != ""]
    (key,) = set(zip(labels["session"], labels["probe"], strict=True))
    share = (labels["bombcell"] == "GOOD").sum() / len(labels)
    table = pd.read_parquet(folder / "sessions.pqt").set_index("eid")
    assert table.loc[key[0], f"{key[1]}_bombcell_GOOD"] == share
    assert table[["probe00_bombcell_GOOD", "probe01_bombcell_GOOD"]].notna().sum().sum() == 1


def test_bombcell_has_its_measures_of_the_units_it_saw(folder: Path, demo_stores: Path) -> None:
    table = pd.read_parquet(folder / "bombcell.pqt")
    quality = lsdx.open_quality(demo_stores)
    seen = quality.isel(unit=quality.nSpikes.notnull().values)
    assert table["uuid"].tolist() == seen.unit.values.tolist()
    assert table.shape[1] == 32
    np.testing.assert_array_equal(table["presenceRatio"], seen.presenceRatio)
    assert set(table["bc_unitType"]) <= {"GOOD", "MUA", "NOISE", "NON-SOMA", ""}


def test_tasks_are_counted_in_the_protocol(demo_stores: Path) -> None:
    sessions = lsdx.open_sessions(demo_stores)
    protocol = sessions.task_protocol.values.copy()
    protocol[0] = "_iblrig_tasks_passiveChoiceWorld8.1/_iblrig_tasks_spontaneous8.1"
    changed = sessions.assign_coords(task_protocol=("session", protocol))
    others = lsdx.open_epochs(demo_stores), lsdx.open_insertions(demo_stores)
    table = sessions_pqt(changed, *others, lsdx.open_units(demo_stores)).set_index("eid")
    assert table.loc[sessions.session.values[0], "n_tasks"] == 1


def test_the_four_steps_of_histology(demo_stores: Path) -> None:
    insertions, sessions = lsdx.open_insertions(demo_stores), lsdx.open_sessions(demo_stores)
    table = histology_pqt(insertions, sessions).set_index("pid")
    steps = table.loc[insertions.insertion.values, list(table.columns[-4:])].to_numpy()
    done = {"no-tracing": 1, "traced": 2, "aligned": 3, "resolved": 4}
    stages = insertions.histology_stage.values
    assert steps.sum(axis=1).tolist() == [done.get(s, 0) for s in stages]
    eid = insertions.session.values[0]
    rest = insertions.isel(insertion=insertions.session.values != eid)
    alone = histology_pqt(rest, sessions)
    (row,) = alone[alone["eid"] == eid].itertuples()
    assert (row.pid, row.probe, row.picks) == (None, None, False)


def test_an_interrupted_file_leaves_the_old_one(
    demo_stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "spikes.h5"
    path.write_bytes(b"old")
    spikes = lsdx.open_spikes(demo_stores)

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(xr.Dataset, "compute", stop)
    with pytest.raises(KeyboardInterrupt):
        write_spikes_h5(spikes, path)
    assert [p.name for p in tmp_path.iterdir()] == ["spikes.h5"]
    assert path.read_bytes() == b"old"


def test_without_h5py_the_command_is_named(
    demo_stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingPackage, match=r"pip install 'lsdx\[hdf5\]'"):
        write_spikes_h5(lsdx.open_spikes(demo_stores), tmp_path / "spikes.h5")
