"""Opening what the animal did: lazily, on the counts' bins, as the files and the truth have it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from iblutil.io import parquet

import lsdx
from lsdx.builders import build
from lsdx.config import Settings
from lsdx.errors import ArgumentError, SelectionError, StoreNotFound

ALF = {"lightning_pose": "lightningPose", "dlc": "dlc"}


@pytest.fixture(scope="module")
def truth(demo_cohort: Path) -> list[dict[str, Any]]:
    return json.loads((demo_cohort / "truth.json").read_text())["sessions"]


@pytest.fixture(scope="module")
def behavior(demo_stores: Path) -> xr.Dataset:
    return lsdx.open_behavior(demo_stores)


def test_nothing_is_computed_until_it_is_asked_for(demo_stores: Path) -> None:
    computed = []

    class Count(dask.callbacks.Callback):
        def _pretask(self, key, dsk, state):
            computed.append(key)

    with Count(), dask.config.set(scheduler="sync"):
        b = lsdx.open_behavior(demo_stores)
        pose = lsdx.open_pose(demo_stores, session=b.session.values[0], camera="left")
        wide = b.lsd.in_frame_widths()
        gabors = lsdx.open_events(demo_stores).lsd.select(kind="gabor")
        mean = b.lsd.triggered(events=gabors)
        lazy = [b.behavior, b.share, wide.behavior, mean.behavior, pose.position]
        lazy += [pose.confidence, pose.lsd.speed(), pose.lsd.pupil_diameter()]
        assert all(a.chunks for a in lazy)
        assert not computed
        b.behavior[0, 0, 0, 0, :3].values  # noqa: B018
        assert computed


@pytest.mark.parametrize("camera", ["left", "right", "body"])
def test_pose_is_the_files(
    demo_cohort: Path, demo_stores: Path, truth: list[dict[str, Any]], camera: str
) -> None:
    session = truth[1]
    told = session["behavior"]["cameras"][camera]
    pose = lsdx.open_pose(demo_stores, session=session["eid"], camera=camera)
    folder = demo_cohort / session["path"] / "alf"
    table = pd.read_parquet(folder / f"_ibl_{camera}Camera.{ALF[told['tracker']]}.pqt")
    assert pose.sizes["time"] == len(table) == told["n_frames"]
    for k in pose.keypoints.values:
        found = pose.position.sel(keypoints=k).isel(individuals=0).values
        given = table[[f"{k}_x", f"{k}_y"]].to_numpy()
        assert np.nanmax(np.abs(found - given)) <= 1 / 128
        np.testing.assert_array_equal(np.isnan(found), np.isnan(given))
        sure = pose.confidence.sel(keypoints=k).isel(individuals=0)
        np.testing.assert_array_equal(sure, table[f"{k}_likelihood"].astype(np.float32))
    times = np.load(folder / f"_ibl_{camera}Camera.times.npy")
    np.testing.assert_array_equal(pose.time, times[-len(table) :])
    assert pose.attrs["tracker"] == told["tracker"]
    assert pose.attrs["time_unit"] == "seconds"
    assert pose.attrs["fps"] == pytest.approx(told["frame_rate"], rel=1e-3)


def test_pose_has_movements_form_and_the_sessions_labels(demo_stores: Path) -> None:
    sessions = lsdx.open_sessions(demo_stores)
    label = sessions.session_label.values[2]
    pose = lsdx.open_pose(demo_stores, session=label, camera="left")
    assert pose.position.dims == ("time", "space", "keypoints", "individuals")
    assert pose.confidence.dims == ("time", "keypoints", "individuals")
    assert pose.session.item() == sessions.session.values[2]
    assert pose.individuals.values.tolist() == [sessions.subject.values[2]]
    assert pose.attrs["ds_type"] == "poses"
    epochs = lsdx.open_epochs(demo_stores).isel(session=2)
    for name in ("start", "stop", "administration"):
        np.testing.assert_array_equal(pose[name], epochs[name])
    assert pose.simulated.item()


def test_cameras_are_what_the_truth_says(behavior: xr.Dataset, truth: list[dict[str, Any]]) -> None:
    for session in truth:
        mine = behavior.sel(session=session["eid"])
        for camera in behavior.camera.values:
            told = session["behavior"]["cameras"].get(camera)
            seen = mine.sel(camera=camera)
            if (
                told is None
                or "short" in told["state"]
                or told["n_frames"] > (told["n_times"] or np.inf)
            ):
                assert seen.clock.item() == seen.tracker.item() == ""
                assert np.isnan(seen.n_frames.item())
                continue
            assert seen.clock.item() == told["state"]
            assert seen.tracker.item() == told["tracker"]
            assert seen.n_frames.item() == told["n_frames"]
            n_dropped = seen.n_dropped.item()
            assert np.isnan(n_dropped) if told["n_dropped"] < 0 else n_dropped == told["n_dropped"]


def test_what_has_no_times_is_by_frame_and_without_share(
    demo_stores: Path, behavior: xr.Dataset, truth: list[dict[str, Any]]
) -> None:
    for oddity, state in (("no_times", "no times"), ("surplus_minutes", "untestable")):
        eid = next(s["eid"] for s in truth if oddity in s["oddities"])
        pose = lsdx.open_pose(demo_stores, session=eid, camera="right")
        assert (pose.attrs["clock"], pose.attrs["time_unit"]) == (state, "frames")
        np.testing.assert_array_equal(pose.time, np.arange(pose.sizes["time"]))
        right = behavior.sel(session=eid).isel(
            feature=np.flatnonzero(behavior.feature_camera == "right")
        )
        assert right.sizes["feature"] > 0
        assert np.isnan(right.behavior.values).all()
        assert np.isnan(right.share.values).all()


def test_time_is_that_of_the_counts_and_labels_align(
    demo_stores: Path, behavior: xr.Dataset
) -> None:
    units = lsdx.open_units(demo_stores)
    np.testing.assert_array_equal(behavior.time, units.time)
    assert behavior.phase.equals(units.phase)
    assert behavior.epoch.equals(units.epoch)
    # by label alone: counts of one unit and the animal's movement in the same bins
    which = units.isel(unit=[0])
    eid = which.session.values[0]
    x = which.counts.isel(unit=0).astype(float).sel(phase="pre", epoch="spontaneous")
    y = behavior.behavior.sel(
        session=eid, feature="left/paw_near_speed", phase="pre", epoch="spontaneous"
    )
    x = x.where(x < 65535)
    found = xr.corr(x.drop_vars("session"), y.drop_vars("session"), dim="time")
    both = np.isfinite(x.values) & np.isfinite(y.values)
    assert both.sum() > 2000
    expected = np.corrcoef(x.values[both], y.values[both].astype(float))[0, 1]
    assert float(found) == pytest.approx(expected, abs=1e-6)


def test_features_say_what_they_are(behavior: xr.Dataset) -> None:
    by = behavior.set_index(feature="feature")
    assert by.frame_width.sel(feature="left/nose_speed") == 1280
    assert by.frame_width.sel(feature="right/nose_speed") == 640
    assert np.isnan(by.frame_width.sel(feature="wheel/speed"))
    assert by.feature_units.sel(feature="left/pupil_diameter_percent").item() == "%"
    assert by.measure.sel(feature="body/tail_speed").item() == "tail_speed"


def test_errors_say_what_there_is(demo_stores: Path, behavior: xr.Dataset, tmp_path: Path) -> None:
    eid = behavior.session.values[0]
    with pytest.raises(SelectionError, match="nobody"):
        lsdx.open_pose(demo_stores, session="nobody", camera="left")
    with pytest.raises(StoreNotFound, match=r"left.*right|right.*left"):
        lsdx.open_pose(demo_stores, session=eid, camera="top")
    last = behavior.session.values[-1]
    with pytest.raises(StoreNotFound, match="one of session"):
        lsdx.open_pose(demo_stores, session=last, camera="body")
    with pytest.raises(StoreNotFound, match=r"0\.02 s.*0\.1 s"):
        lsdx.open_behavior(demo_stores, bin_width="20 ms")
    for opened in (
        lambda: lsdx.open_behavior(tmp_path),
        lambda: lsdx.open_pose(tmp_path, session=eid, camera="left"),
    ):
        with pytest.raises(StoreNotFound):
            opened()
    with pytest.raises(ArgumentError):
        lsdx.open_behavior(demo_stores, bin_width="-1 s")


# ---- the check of cameras ---------------------------------------------------------------------


def test_the_demos_cameras_pass_or_are_untestable(demo_stores: Path, behavior: xr.Dataset) -> None:
    found = lsdx.check_cameras(demo_stores)
    clock = behavior.clock.values
    verdict = found.verdict.values
    assert (verdict[clock == ""] == "").all()
    timed = (clock == "times") | (clock == "trimmed")
    assert (verdict[timed] == "pass").all()
    untimed = (clock == "no times") | (clock == "untestable")
    assert (verdict[untimed] == "untestable").all()
    assert [n.removeprefix("clock: ") for n in found.note.values[untimed]] == list(clock[untimed])
    never = lsdx.check_cameras(demo_stores, alpha=1e-9)
    assert set(never.verdict.values.ravel()) == {"", "untestable"}
    for wrong in (-0.1, 1.5, np.nan):
        with pytest.raises(ArgumentError):
            lsdx.check_cameras(demo_stores, alpha=wrong)


def test_shifted_motion_energy_fails_by_its_frames(
    demo_cohort: Path, truth: list[dict[str, Any]], tmp_path: Path
) -> None:
    session, frames = truth[0], 3
    cohort = tmp_path / "cohort"
    shutil.copytree(demo_cohort, cohort, ignore=shutil.ignore_patterns("*.cbin", "probe*"))
    path = cohort / session["path"] / "alf" / "leftCamera.ROIMotionEnergy.npy"
    before = hashlib.md5(path.read_bytes()).hexdigest()
    np.save(path, np.roll(np.load(path), frames))
    records = cohort / "alyx_records.json"  # which state the md5 of each file
    after = hashlib.md5(path.read_bytes()).hexdigest()
    records.write_text(records.read_text().replace(before, after))
    table, meta = parquet.load(cohort / "datasets.pqt")
    table["hash"] = table["hash"].replace(before, after)
    parquet.save(cohort / "datasets.pqt", table, meta)
    settings = Settings(source="cache", cache_dir=cohort, stores=tmp_path / "stores")
    build(
        settings,
        names=["sessions", "epochs", "behavior"],
        sessions=[session["eid"]],
        progress=False,
    )
    found = lsdx.check_cameras(settings.stores).sel(session=session["eid"])
    assert found.verdict.sel(camera="left") == "fail"
    assert f"+{frames}.0 frames" in found.note.sel(camera="left").item()
    assert found.lag.sel(camera="left").item() == pytest.approx(frames / 12, rel=1e-3)
    assert found.verdict.sel(camera="right") == "pass"
