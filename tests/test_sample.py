"""The real sample recordings: numbers that were known before lsdx read them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import lsdx
from lsdx.assemble.epochs import assemble_epochs
from lsdx.assemble.insertions import assemble_insertions
from lsdx.assemble.recording import Recording
from lsdx.builders import Report, build
from lsdx.builders.recipe import recipes_folder
from lsdx.config import Settings
from lsdx.errors import RecipeError
from lsdx.readers.records import SessionRecord, insertion_record
from lsdx.schema import SCHEMAS
from lsdx.schema.spec import validate

SPIKES = 290_360
REGIONS = {
    "STR": 132,
    "OLF": 100,
    "fa": 55,
    "MOs6a": 47,
    "ACAd6a": 17,
    "cing": 14,
    "LSr": 10,
    "PL6a": 10,
    "DP": 9,
    "TTd": 4,
    "MOs5": 3,
    "PL6b": 2,
}
WIDTHS = {"1 s": 100_000, "100 ms": 10_000, "10 ms": 1_000}


@pytest.fixture(scope="module")
def report(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Build the sample at three bin widths: copies of the recipe of counts."""
    recipes = tmp_path_factory.mktemp("recipes")
    for path in recipes_folder().glob("*.py"):
        shutil.copy(path, recipes)
    text = (recipes / "counts.py").read_text()
    for name, width in (("counts_10ms", "10 ms"), ("counts_1s", "1 s")):
        (recipes / f"{name}.py").write_text(text.replace('"100 ms"', f'"{width}"'))
    settings = Settings(
        source="cache",
        cache_dir=sample,
        epochs=sample / "epochs.csv",
        stores=tmp_path_factory.mktemp("sample") / "stores",
    )
    return build(settings, recipes=recipes, progress=False)


@pytest.fixture(scope="module")
def units(report: Report) -> xr.Dataset:
    return lsdx.open_units(report.stores)


def test_five_sessions_with_what_each_lacks(report: Report) -> None:
    assert not report.failed
    lines = {(line.session[:4], line.kind): line for line in report.lines}
    sessions = {s for s, _ in lines if s != "all"}
    assert sessions == {"5285", "6f6d", "3f85", "866f", "b6a6"}
    for session in sessions - {"6f6d"}:
        assert lines[session, "spikes"].status == "skipped"
        assert lines[session, "spikes"].reason == "no spikes on disk"
        assert "no epoch times" in lines[session, "epochs"].reason
    assert lines["6f6d", "spikes"].status == "built"
    assert lines["6f6d", "events"].reason == "no stimulus tables on disk"
    assert any("no snapshot" in n for n in report.notes)
    assert not report.simulated


def test_units_and_spikes(units: xr.Dataset, report: Report) -> None:
    assert units.sizes["unit"] == 403
    spikes = lsdx.open_spikes(report.stores)
    assert spikes.sizes["spike"] == SPIKES
    assert int(units.spike_count.sum()) == SPIKES
    names, counts = np.unique(units.region.values.astype(str), return_counts=True)
    assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == REGIONS
    assert (units.ks2_label.values == "good").sum() == 253
    assert set(units.condition.values) == {"unknown"}
    assert units.attrs["simulated"] == 0


def test_isocortex(units: xr.Dataset) -> None:
    cortex = units.lsd.select(region="Isocortex")
    assert cortex.sizes["unit"] == 79
    assert set(cortex.region.values) == {"MOs6a", "ACAd6a", "PL6a", "MOs5", "PL6b"}


@pytest.mark.parametrize("width", WIDTHS)
def test_every_bin_equals_a_count_in_ticks(report: Report, sample: Path, width: str) -> None:
    ds = lsdx.open_units(report.stores, bin_width=width)
    folder = next(sample.glob("mainenlab/Subjects/*/*/*/alf/probe00/kilosort4"))
    ticks = np.rint(np.load(folder / "spikes.times.npy") * 1e5).astype(np.int64)
    clusters = np.load(folder / "spikes.clusters.npy")
    inside = (ticks >= 0) & (ticks < 90 * 100_000)
    assert float(ds.counts.sum(dtype=np.float64)) == inside.sum() == SPIKES
    assert float(ds.n_spikes.sum()) == inside.sum()
    # the six epochs adjoin: 15 s each, in order of phase, then epoch
    per_epoch = 15 * 100_000 // WIDTHS[width]
    expected = np.zeros((403, 6, per_epoch), dtype=np.int64)
    epoch, within = np.divmod(ticks[inside], 15 * 100_000)
    np.add.at(expected, (clusters[inside], epoch, within // WIDTHS[width]), 1)
    found = ds.counts.values.reshape(403, 6, per_epoch)
    np.testing.assert_array_equal(found, expected[ds.cluster_id.values])
    spikes = lsdx.open_spikes(report.stores, units=ds)
    np.testing.assert_array_equal(spikes.lsd.bin(width).counts.values, ds.counts.values)


def test_recordings_never_mix_with_the_demo(
    sample: Path, demo_stores: Path, tmp_path: Path
) -> None:
    stores = tmp_path / "stores"
    shutil.copytree(demo_stores, stores)
    with pytest.raises(RecipeError, match="simulated demo cohort"):
        build(Settings(source="cache", cache_dir=sample, stores=stores), progress=False)


def test_the_labs_tables_parse_whole(sample: Path) -> None:
    from lsdx.readers.lab import odd_administrations, read_administrations, read_trajectories

    lab = sample.parent / "lab"
    rows = read_administrations(lab / "administrations.csv")
    assert len(rows) == 30
    odd = odd_administrations(rows.values())
    assert sum("not 200" in n for n in odd) == 1
    assert sum("g before" in n for n in odd) == 2
    trajectories = read_trajectories(lab / "trajectories.csv")
    assert len(trajectories) == 43
    both = [t for t in trajectories.values() if t["trajectory_01"] and t["trajectory_02"]]
    assert len(both) == 40
    table = pd.read_csv(lab / "trajectories.csv")
    assert table["subject"].nunique() == 16


def test_the_real_insertion_records_are_read_whole(sample: Path) -> None:
    path = sample.parent / "alyx" / "insertions.json"
    records = json.loads(path.read_text(encoding="utf-8"))
    assert len(records) == 123
    rows = []
    for record in records:
        insertion = insertion_record(record, str(path))
        session = SessionRecord(insertion.eid, "lab", "mouse", pd.Timestamp("2020-01-01"), 1)
        recording = Recording(session=session, insertions=(insertion,))
        ds = assemble_insertions(recording, epochs=assemble_epochs(recording))
        assert ds is not None
        validate(ds, SCHEMAS["insertions"], cohort=False)
        rows.append(ds)
    table = xr.concat(rows, "insertion")
    assert set(table.histology_stage.values) == {"resolved"}
    assert set(table.insertion.values) == {r["id"] for r in records}
    # 16 tracks cross the midline, 7 of them with more than 30 % of the picks on each side
    sides, counts = np.unique(table.hemisphere.values.astype(str), return_counts=True)
    assert dict(zip(sides.tolist(), counts.tolist(), strict=True)) == {
        "both": 7,
        "left": 96,
        "right": 20,
    }
    assert set(table.tracing_exists.values) == {"true"}
    # what the records hold, and no more or less of it
    held = {
        "drift_rms_um": "drift_rms",
        "n_units": "recorded_units",
        "whitening_matrix_conditioning": "whitening_matrix_conditioning",
    }
    for key, name in held.items():
        values = [r["json"].get(key, np.nan) for r in records]
        np.testing.assert_array_equal(table[name].values, np.array(values, dtype=float))
    for key in ("alignment_stored", "alignment_resolved_by", "experimenter"):
        values = [r["json"]["extended_qc"].get(key, "") for r in records]
        assert table[key].values.tolist() == values
    for key, name in (("apRms_p90_raw", "ap_rms_p90_raw"), ("alignment_qc", "alignment_qc")):
        values = [r["json"]["extended_qc"].get(key, "nan") for r in records]
        np.testing.assert_array_equal(table[name].values, np.array(values).astype(float))


@pytest.mark.parametrize(("camera", "frames", "rate"), [("left", 1000, 60), ("right", 2500, 150)])
def test_pose_has_the_files_times(
    report: Report, sample: Path, camera: str, frames: int, rate: float
) -> None:
    (folder,) = sample.glob("cortexlab/Subjects/KS094/*/001/alf")
    sessions = lsdx.open_sessions(report.stores)
    eid = str(sessions.session.values[sessions.subject.values == "KS094"][0])
    pose = lsdx.open_pose(report.stores, session=eid, camera=camera)
    assert (pose.sizes["time"], pose.sizes["keypoints"]) == (frames, 2)
    times = np.load(folder / f"_ibl_{camera}Camera.times.npy")[-frames:]
    np.testing.assert_allclose(pose.time, times, rtol=0, atol=1e-6)
    assert pose.attrs["fps"] == pytest.approx(rate, rel=0.01)
    if camera == "left":
        assert float(pose.time[1] - pose.time[0]) == pytest.approx(0.0499, abs=5e-5)


def test_the_pupil_of_frames_without_times(report: Report, sample: Path) -> None:
    (path,) = sample.glob("wittenlab/Subjects/ibl_witten_25/*/001/alf/*.lightningPose.pqt")
    sessions = lsdx.open_sessions(report.stores)
    eid = str(sessions.session.values[sessions.subject.values == "ibl_witten_25"][0])
    pose = lsdx.open_pose(report.stores, session=eid, camera="left")
    assert (pose.sizes["time"], pose.attrs["time_unit"]) == (2000, "frames")
    table = pd.read_parquet(path)
    top, right, bottom, left = (
        table[[f"pupil_{k}_r_x", f"pupil_{k}_r_y"]].to_numpy()
        for k in ("top", "right", "bottom", "left")
    )
    pairs = [(top, bottom), (left, right)]
    beside = [(top, right), (right, bottom), (bottom, left), (left, top)]
    each = [np.hypot(*(a - b).T) for a, b in pairs]
    each += [np.sqrt(2) * np.hypot(*(a - b).T) for a, b in beside]
    expected = np.median(np.median(each, axis=0))
    # positions are stored to 1/64 px
    assert float(np.median(pose.lsd.pupil_diameter())) == pytest.approx(expected, abs=0.02)
