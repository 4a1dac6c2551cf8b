"""NWB files as a source: our own come back the same, and those of others are read with care."""

from __future__ import annotations

import datetime as dt
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pynwb
import pytest
import xarray as xr

import lsdx
from lsdx.builders import build
from lsdx.cli import main
from lsdx.config import Protocol, Settings
from lsdx.errors import SourceError
from lsdx.readers.nwb import read_session
from lsdx.sources import open_source

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

Edit = Callable[[Any], None]


def written(path: Path, edit: Edit = lambda file: None, *, subject: str = "M1") -> Path:
    """Write a file as another lab might: two units of 100 spikes, no electrodes, no epochs."""
    file = pynwb.NWBFile(
        session_description="a recording",
        identifier=path.stem,
        session_start_time=dt.datetime(2024, 5, 6, 10, tzinfo=dt.UTC),
        subject=pynwb.file.Subject(subject_id=subject, species="Mus musculus", age="P90D", sex="M"),
    )
    edit(file)
    if file.units is None:
        for i in range(2):
            file.add_unit(spike_times=np.arange(100) + (i + 1) / 4)
    path.parent.mkdir(parents=True, exist_ok=True)
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(file)
    return path


def built(folder: Path, tmp_path: Path, *names: str, **settings: Any) -> tuple[Path, str]:
    stores = tmp_path / "stores"
    told = Settings(source="nwb", cache_dir=folder, stores=stores, **settings)
    report = build(told, names or ("units", "counts"), progress=False)
    assert not report.failed
    return stores, str(report)


@pytest.fixture(scope="module")
def again(demo_stores: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores of what was exported from stores."""
    folder = tmp_path_factory.mktemp("again")
    eids = lsdx.open_sessions(demo_stores).session.values[[0, 1]].tolist()
    options = ["--stores", str(demo_stores), "--sessions", *eids]
    assert main(["export", "nwb", str(folder / "files"), *options]) == 0
    options = ["--source", "nwb", "--cache-dir", str(folder / "files")]
    assert main(["build", *options, "--stores", str(folder / "stores")]) == 0
    return folder


def test_what_was_exported_comes_back(again: Path, demo_stores: Path) -> None:
    found = lsdx.open_units(again / "stores")
    wanted = lsdx.open_units(demo_stores).sel(unit=found.unit.values)
    eids = sorted(set(found.session.values))
    assert found.sizes["unit"] == int(
        np.isin(lsdx.open_units(demo_stores).session.values, eids).sum()
    )
    for name in (*wanted.coords, *wanted.data_vars):
        if name != "has_duplicate_mask":
            values, expected = found[name].values, wanted[name].values
            if values.dtype.kind == "f":
                np.testing.assert_allclose(values, expected, rtol=1e-9)
            else:
                np.testing.assert_array_equal(values, expected)
    events, told = (lsdx.open_events(s) for s in (again / "stores", demo_stores))
    told = told.isel(event=np.isin(told.session.values, eids))
    names = ["session", "kind", "start", "stop", "phase", "side", "contrast"]
    tables = (e[names].to_dataframe()[names].sort_values(names) for e in (events, told))
    pd.testing.assert_frame_equal(*(t.reset_index(drop=True) for t in tables))


def test_nothing_is_written_or_built_anew(again: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = list((again / "stores" / "nwb").rglob("*.npy"))
    before = {p: p.stat().st_mtime_ns for p in files}
    options = ["--source", "nwb", "--cache-dir", str(again / "files")]
    assert main(["build", *options, "--stores", str(again / "stores")]) == 0
    assert {p: p.stat().st_mtime_ns for p in files} == before
    assert " built" not in capsys.readouterr().out


def test_a_source_goes_to_a_worker(again: Path) -> None:
    told = Settings(source="nwb", cache_dir=again / "files", stores=again / "stores")
    source, _ = open_source(told)
    copy = pickle.loads(pickle.dumps(source))
    eid = source.sessions()[0].eid
    path = copy.fetch(eid, copy.datasets(eid)[0])
    assert path.is_file()
    assert source.simulated


def test_a_file_without_electrodes_or_epochs(tmp_path: Path) -> None:
    written(tmp_path / "in" / "one.nwb")
    stores, report = built(tmp_path / "in", tmp_path)
    units = lsdx.open_units(stores)
    assert (units.phase.values.tolist(), units.epoch.values.tolist()) == (["all"], ["all"])
    assert units.spike_count.values.tolist() == [100, 100]
    assert units.probe.values.tolist() == ["probe00"] * 2
    assert units.region.values.tolist() == ["", ""]
    assert np.isnan(units.depth).all()
    assert units.subject.values.tolist() == ["M1", "M1"]
    # the last spike is at 99.5 s, which the epoch ends before
    assert int(units.n_spikes.sum()) == 199
    assert "one from 0 to the last spike" in report


def test_tags_name_epochs_and_ragged_columns_are_left_out(tmp_path: Path) -> None:
    def edit(file: Any) -> None:
        for start, tag in ((0.0, "sleep"), (30.0, "wake"), (60.0, "sleep"), (80.0, "late")):
            file.add_epoch(start_time=start, stop_time=start + 20, tags=[tag])
        file.add_epoch(start_time=5.0, stop_time=4.0, tags=["wrong"])
        file.add_trial_column("choice", "left or right")
        file.add_trial_column("licks", "times", index=True)
        for start in (1.0, 35.0, 55.0):
            file.add_trial(start_time=start, stop_time=start + 1, choice="left", licks=[1.0, 2.0])

    written(tmp_path / "in" / "one.nwb", edit)
    stores, report = built(tmp_path / "in", tmp_path, "units", "counts", "events", "epochs")
    epochs = lsdx.open_epochs(stores)
    assert sorted(epochs.epoch.values) == ["late", "sleep_1", "sleep_2", "wake"]
    assert float(epochs.start.sel(epoch="sleep_2").squeeze()) == 60
    events = lsdx.open_events(stores)
    assert events.start.values.tolist() == [1.0, 35.0]
    assert events.choice.values.tolist() == ["left", "left"]
    assert set(events.kind.values) == {"trials"}
    for told in ("licks left out", "1 epochs without", "1 of 3 rows in no epoch"):
        assert told in report


def test_electrodes_tell_probe_region_and_depth(tmp_path: Path) -> None:
    def edit(file: Any) -> None:
        device = file.create_device(name="np")
        groups = [
            file.create_electrode_group(name=n, description=n, location="", device=device)
            for n in ("left probe", "right")
        ]
        for group, place in zip((0, 0, 1), ("CA1", "Hippocampus, somewhere", "VISp5"), strict=True):
            file.add_electrode(
                x=1.0,
                y=2.0,
                z=3.0,
                rel_y=20.0 * (group + 1),
                location=place,
                group=groups[group],
            )
        file.add_unit_column("label", "text, not the IBL's")
        for i, sites in enumerate(([0], [1], [2], [0, 1])):
            file.add_unit(spike_times=np.arange(50) + i / 8, electrodes=sites, label="good")

    written(tmp_path / "in" / "one.nwb", edit)
    stores, report = built(tmp_path / "in", tmp_path)
    units = lsdx.open_units(stores)
    table = {
        (p, int(c)): (r, d)
        for p, c, r, d in zip(
            units.probe.values,
            units.cluster_id.values,
            units.region.values,
            units.depth.values,
            strict=True,
        )
    }
    assert table["left-probe", 0] == ("CA1", 20.0)
    assert table["left-probe", 1] == ("", 20.0)
    assert table["right", 0] == ("VISp5", 40.0)
    region, depth = table["left-probe", 2]  # on several electrodes
    assert (region, np.isnan(depth)) == ("", True)
    assert np.isnan(units.x).all()
    assert np.isnan(units.label).all()
    assert "their origin is not recorded" in report


def test_the_labs_own_epochs_win(tmp_path: Path) -> None:
    path = written(tmp_path / "in" / "one.nwb")
    session = read_session(path)
    assert session is not None
    table = tmp_path / "epochs.csv"
    table.write_text(f"eid,phase,epoch,start,stop\n{session.record.eid},pre,rest,0,50\n")
    protocol = Protocol(phases=("pre", "post"), epochs=("rest",), conditions=("drug", "control"))
    told = {"epochs": table, "protocol": protocol, "conditions": {"drug": (session.record.eid,)}}
    stores, _ = built(tmp_path / "in", tmp_path, **told)
    units = lsdx.open_units(stores)
    assert units.epoch.values.tolist() == ["rest"]
    assert set(units.condition.values) == {"drug"}
    assert units.n_spikes.sel(phase="pre").values.ravel().tolist() == [50, 50]


def test_sessions_of_a_day_are_numbered_and_others_left_out(tmp_path: Path) -> None:
    written(tmp_path / "in" / "sub-M1" / "a.nwb")
    written(tmp_path / "in" / "sub-M1" / "b.nwb")
    (tmp_path / "in" / "broken.nwb").write_bytes(b"\x89HDF\r\n\x1a\n" + b"0" * 100)
    told = Settings(source="nwb", cache_dir=tmp_path / "in", stores=tmp_path / "stores")
    report = build(told, ("units",), progress=False)
    assert report.failed
    assert "broken.nwb" in str(report)
    labels = lsdx.open_sessions(tmp_path / "stores").session_label.values.tolist()
    assert sorted(labels) == ["M1 2024-05-06/001", "M1 2024-05-06/002"]


def no_spikes(file: Any) -> None:
    file.add_unit_column("quality", "a word")
    file.add_unit(quality="good")


@pytest.mark.parametrize(
    ("edit", "subject", "expected"),
    [
        (lambda file: None, "", "a subject with a subject_id"),
        (no_spikes, "M1", "spike times"),
    ],
)
def test_what_cannot_be_read_says_so(
    tmp_path: Path, edit: Edit, subject: str, expected: str
) -> None:
    written(tmp_path / "in" / "one.nwb", edit, subject=subject)
    told = Settings(source="nwb", cache_dir=tmp_path / "in", stores=tmp_path / "stores")
    with pytest.raises(SourceError, match=expected):
        open_source(told)


def test_two_files_of_one_session_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "in" / "one.nwb")
    (tmp_path / "in" / "two.nwb").write_bytes(path.read_bytes())
    told = Settings(source="nwb", cache_dir=tmp_path / "in", stores=tmp_path / "stores")
    with pytest.raises(SourceError, match=r"one file of units, found one\.nwb and two\.nwb"):
        open_source(told)


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    told = Settings(source="nwb", cache_dir=tmp_path, stores=tmp_path / "stores")
    with pytest.raises(SourceError, match="0 NWB files without units"):
        open_source(told)


def test_spikes_are_those_of_pynapple(again: Path) -> None:
    import pynapple

    path = next((again / "files").glob("*/*.nwb"))
    units = pynapple.load_file(str(path))["units"]
    session = read_session(path)
    assert session is not None
    spikes: xr.Dataset = lsdx.open_spikes(again / "stores", session=session.record.eid).compute()
    row = {u: i for i, u in enumerate(spikes.unit.values)}
    for key in list(units.keys())[:20]:
        at = row[units.metadata.loc[key, "unit_id"]]
        a, n = int(spikes.row_start[at]), int(spikes.row_size[at])
        np.testing.assert_allclose(spikes.spike_time.values[a : a + n], units[key].t, atol=1e-9)
