"""NWB files: valid, without critical findings, and read by others with the same spikes."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pynapple
import pynwb
import pytest
import xarray as xr

import lsdx
from lsdx.cli import main
from lsdx.errors import MissingPackage, SelectionError
from lsdx.export.nwb import to_nwb

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture(scope="module")
def file(demo_stores: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nwb")
    (folder / "lsdx.toml").write_text('[nwb]\nage = "P100D"\nsex = "F"\ninstitution = "A lab"\n')
    eid = lsdx.open_sessions(demo_stores).session.values[1]
    options = ["--stores", str(demo_stores), "--config", str(folder / "lsdx.toml")]
    assert main(["export", "nwb", str(folder / "out"), "--sessions", eid, *options]) == 0
    (path,) = (folder / "out").glob("*/*.nwb")
    assert path.name.startswith(f"{path.parent.name}_ses-{eid}_")
    return path


@pytest.fixture(scope="module")
def spikes(file: Path, demo_stores: Path) -> xr.Dataset:
    eid = file.stem.partition("_ses-")[2].partition("_")[0]
    return lsdx.open_spikes(demo_stores, session=eid).compute()


def test_it_is_valid_and_nothing_is_critical(file: Path) -> None:
    with warnings.catch_warnings():  # of what it imports
        warnings.simplefilter("ignore")
        from nwbinspector import Importance, inspect_nwbfile

    assert not pynwb.validate(path=str(file))
    found = list(inspect_nwbfile(nwbfile_path=str(file)))
    grave = (Importance.CRITICAL, Importance.ERROR, Importance.PYNWB_VALIDATION)
    assert not [m for m in found if m.importance in grave]
    told = {m.check_function_name for m in found if m.importance.name == "BEST_PRACTICE_VIOLATION"}
    assert not told


def test_pynapple_reads_the_same_spikes_and_epochs(file: Path, spikes: xr.Dataset) -> None:
    found = pynapple.load_file(str(file))
    units = found["units"]
    start, size = spikes.row_start.values, spikes.row_size.values
    for row, (a, n) in enumerate(zip(start, size, strict=True)):
        np.testing.assert_allclose(units[row].t, spikes.spike_time.values[a : a + n], atol=1e-9)
    assert units.metadata["unit_id"].tolist() == spikes.unit.values.tolist()
    assert len(found["epochs"]) == int(spikes.start.notnull().any("unit").sum())


def test_what_the_stores_know_is_there(file: Path, spikes: xr.Dataset, demo_stores: Path) -> None:
    with pynwb.NWBHDF5IO(file, "r") as io:
        nwb = io.read()
        assert nwb.session_description.startswith("SIMULATED, not a recording")
        assert (nwb.subject.subject_id, nwb.subject.age, nwb.subject.sex) == (
            *(spikes.subject.values[0], "P100D"),
            "F",
        )
        assert nwb.institution == "A lab"
        assert (
            nwb.session_start_time.replace(tzinfo=None)
            == lsdx.open_sessions(demo_stores)
            .start_time.sel(session=spikes.session.values[0])
            .values.astype("datetime64[us]")
            .item()
        )
        table = nwb.units.to_dataframe(exclude={"spike_times", "electrodes"})
        assert table["region"].tolist() == spikes.region.values.tolist()
        quality = lsdx.open_quality(demo_stores).sel(unit=spikes.unit.values)
        np.testing.assert_array_equal(table["presenceRatio"], quality.presenceRatio)
        sites = nwb.units["electrodes"].data
        x = np.array(nwb.electrodes["x"].data)[sites.data[:]] if hasattr(sites, "data") else None
        if x is not None:
            np.testing.assert_allclose(x, spikes.x.values * 1e6)
        epochs = nwb.epochs.to_dataframe()
        cell = epochs[(epochs["phase"] == "post") & (epochs["epoch"] == "rfm")]
        assert float(cell["stop_time"].iloc[0]) == float(
            spikes.stop.sel(phase="post", epoch="rfm").max()
        )
        given = nwb.intervals["administration"].to_dataframe()
        assert given["start_time"].tolist() == [spikes.administration.values[0]]
        events = lsdx.open_events(demo_stores)
        n = int((events.session == spikes.session.values[0]).sum())
        assert len(nwb.intervals["events"]) == n
        behavior = nwb.processing["behavior"]
        camera = lsdx.open_pose(
            demo_stores, session=spikes.session.values[0], camera="left"
        ).compute()
        nose = behavior["PoseEstimation_left"]["nose_tip"]
        wanted = camera.position.sel(keypoints="nose_tip").squeeze("individuals")
        np.testing.assert_array_equal(nose.data[:], wanted.transpose("time", "space"))
        assert "left_pupil_diameter" in behavior.data_interfaces


def test_units_in_another_order_keep_their_spikes(
    spikes: xr.Dataset, demo_stores: Path, tmp_path: Path
) -> None:
    turned = spikes.isel(unit=slice(None, None, -1))
    path = to_nwb(turned, tmp_path / "one.nwb", sessions=lsdx.open_sessions(demo_stores))
    assert path == tmp_path / "one.nwb"
    with pynwb.NWBHDF5IO(path, "r") as io:
        units = io.read().units
        a, n = int(turned.row_start[0]), int(turned.row_size[0])
        np.testing.assert_array_equal(units["spike_times"][0], spikes.spike_time.values[a : a + n])
        assert units["unit_id"][0] == turned.unit.values[0]


def test_units_whose_place_nobody_knows(
    spikes: xr.Dataset, demo_stores: Path, tmp_path: Path
) -> None:
    blank = {n: ("unit", np.full(spikes.sizes["unit"], np.nan)) for n in "xyz"}
    blank["region"] = ("unit", np.full(spikes.sizes["unit"], "", dtype=object))
    path = to_nwb(
        spikes.assign_coords(blank), tmp_path / "one.nwb", sessions=lsdx.open_sessions(demo_stores)
    )
    with pynwb.NWBHDF5IO(path, "r") as io:
        electrodes = io.read().electrodes
        assert np.isnan(electrodes["x"].data[:]).all()
        assert set(electrodes["location"].data[:]) == {"unknown"}


def test_what_cannot_be_written_is_refused(
    spikes: xr.Dataset, demo_stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = lsdx.open_sessions(demo_stores)
    with pytest.raises(SelectionError, match="to_nwb, metadata: expected one of species"):
        to_nwb(spikes, tmp_path, sessions=sessions, metadata={"gender": "F"})
    with pytest.raises(SelectionError, match="to_nwb, sessions: expected session"):
        to_nwb(spikes, tmp_path, sessions=sessions.isel(session=[0]))
    with pytest.raises(SelectionError, match="spikes of one session"):
        to_nwb(lsdx.open_spikes(demo_stores), tmp_path, sessions=sessions)
    assert not list(tmp_path.iterdir())
    monkeypatch.setitem(sys.modules, "pynwb", None)
    with pytest.raises(MissingPackage, match=r"pip install 'lsdx\[nwb\]'"):
        to_nwb(spikes, tmp_path, sessions=sessions)
