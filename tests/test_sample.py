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


# ---- cameras --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def subjects(report: Report) -> dict[str, str]:
    sessions = lsdx.open_sessions(report.stores)
    return dict(zip(sessions.subject.values, sessions.session.values, strict=True))


@pytest.mark.parametrize(
    ("camera", "n_frames", "rate", "first"),
    [("left", 1_000, 60, 0.0499), ("right", 2_500, 150, None)],
)
def test_pose_of_a_side_camera(
    report: Report,
    sample: Path,
    subjects: dict[str, str],
    camera: str,
    n_frames: int,
    rate: int,
    first: float | None,
) -> None:
    pose = lsdx.open_pose(report.stores, session=subjects["KS094"], camera=camera)
    assert pose.sizes["time"] == n_frames
    assert pose.sizes["keypoints"] == 2
    assert pose.attrs["fps"] == pytest.approx(rate, rel=0.01)
    (path,) = sample.glob(f"cortexlab/Subjects/KS094/*/*/alf/_ibl_{camera}Camera.times.npy")
    np.testing.assert_allclose(pose.time, np.load(path), rtol=0, atol=1e-6)
    if first:
        assert float(pose.time[1] - pose.time[0]) == pytest.approx(first, abs=5e-5)
    table = pd.read_parquet(path.with_name(f"_ibl_{camera}Camera.lightningPose.pqt"))
    for k in pose.keypoints.values:
        found = pose.position.sel(keypoints=k).isel(individuals=0).values
        assert np.nanmax(np.abs(found - table[[f"{k}_x", f"{k}_y"]].to_numpy())) <= 1 / 128


def test_pupil_of_a_camera_without_times(
    report: Report, sample: Path, subjects: dict[str, str]
) -> None:
    pose = lsdx.open_pose(report.stores, session=subjects["ibl_witten_25"], camera="left")
    assert pose.sizes["time"] == 2_000
    assert pose.attrs["time_unit"] == "frames"
    (path,) = sample.glob("wittenlab/Subjects/ibl_witten_25/*/*/alf/*lightningPose.pqt")
    table = pd.read_parquet(path)
    top, right, bottom, left = (
        table[[f"pupil_{side}_r_{axis}" for axis in "xy"]].to_numpy()
        for side in ("top", "right", "bottom", "left")
    )

    def apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.sqrt(((a - b) ** 2).sum(axis=1))

    beside = [apart(a, b) for a in (top, bottom) for b in (left, right)]
    six = [apart(top, bottom), apart(left, right), *(d * np.sqrt(2) for d in beside)]
    expected = np.median(six, axis=0)
    found = pose.lsd.pupil_diameter().values
    np.testing.assert_allclose(found, expected, atol=0.03)
    assert np.median(found) == pytest.approx(np.median(expected), abs=0.02)


def test_the_sessions_table_says_that_pose_is_there(
    report: Report, subjects: dict[str, str]
) -> None:
    status = lsdx.open_sessions(report.stores).status
    of = status.sel(session=subjects["KS094"])
    for camera in ("left", "right"):
        assert of.sel(dataset=f"video/{camera}/pose").item() == "extraction complete"
    assert of.sel(dataset="video/body/pose").item() != "extraction complete"
    witten = status.sel(session=subjects["ibl_witten_25"])
    assert witten.sel(dataset="video/left/pose").item() == "extraction complete"
