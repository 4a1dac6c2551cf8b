"""Cameras that are broken, changed or absent: the build says so, and the rest goes on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from iblutil.io import parquet
from one.alf.cache import make_parquet_db

import lsdx
from lsdx.builders import build
from lsdx.builders import session as of_session
from lsdx.builders.report import Line, Report
from lsdx.config import Pose, Settings
from lsdx.errors import StoreNotFound

FOLDER = "lab/Subjects/M1/2024-03-01/001/alf"
EPOCHS = (
    ("pre", "spontaneous", 1, 21),
    ("post", "spontaneous", 25, 45),
)
POSES = ("pose_left", "pose_right")
RATE = 20


@dataclass
class Lab:
    """A cache of one session: two side cameras, a wheel, motion energy and a few spikes."""

    root: Path
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        times = np.arange(0, 50, 1 / RATE)
        rng = np.random.default_rng(0)
        for camera in ("left", "right"):
            self.pose(camera, times.size)
            self.put(f"_ibl_{camera}Camera.times.npy", times)
            self.put(f"{camera}Camera.ROIMotionEnergy.npy", rng.random(times.size))
        self.put("_ibl_wheel.timestamps.npy", times)
        self.put("_ibl_wheel.position.npy", times / 2)
        for name, values in {
            "spikes.times": np.arange(0.05, 49, 0.1),
            "spikes.clusters": np.arange(490) % 2,
            "clusters.channels": np.array([0, 1]),
            "clusters.depths": np.array([20.0, 40.0]),
        }.items():
            self.put(f"probe00/pykilosort/{name}.npy", values)
        make_parquet_db(self.root)
        self.eid = str(pd.read_parquet(self.root / "sessions.pqt").index[0])
        rows = {"id": ["00000000-0000-4000-8000-000000000001"], "eid": [self.eid]}
        probes = pd.DataFrame({**rows, "name": ["probe00"]})
        probes.set_index("id").to_parquet(self.root / "insertions.pqt")
        given = pd.DataFrame(EPOCHS, columns=["phase", "epoch", "start", "stop"])
        self.epochs = self.root.parent / "epochs.csv"
        given.assign(eid=self.eid).to_csv(self.epochs, index=False)

    def path(self, name: str) -> Path:
        return self.root / FOLDER / name

    def put(self, name: str, values: np.ndarray) -> None:
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, values)

    def pose(self, camera: str, n: int, x: float = 3.0) -> None:
        table = {"paw_r_x": np.arange(n) * x, "paw_r_y": np.arange(n) * 4.0}
        path = self.path(f"_ibl_{camera}Camera.lightningPose.pqt")
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame({**table, "paw_r_likelihood": np.ones(n)}).to_parquet(path)

    def tell_sizes(self) -> None:
        """Let the records say how large the files are now: a changed file is a recorded one."""
        table, meta = parquet.load(self.root / "datasets.pqt")
        folder = self.root / FOLDER
        table["file_size"] = [(folder.parent / p).stat().st_size for p in table["rel_path"]]
        parquet.save(self.root / "datasets.pqt", table, meta)

    def build(self, *names: str, **how: Any) -> Report:
        self.tell_sizes()
        self.stores = self.root.parent / "stores"
        settings = Settings(
            source="cache",
            cache_dir=self.root,
            stores=self.stores,
            epochs=self.epochs,
            **{**self.settings, **how},
        )
        return build(settings, names=list(names), progress=False)

    def status(self, report: Report) -> dict[str, str]:
        return {line.kind: line.status for line in report.lines if line.session == self.eid}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "one")


def failures(report: Report) -> list[Line]:
    return [line for line in report.lines if line.status == "failed"]


def everything(lab: Lab, **how: Any) -> Report:
    return lab.build("sessions", "epochs", *POSES, "behavior", **how)


def test_what_is_whole_is_built(lab: Lab) -> None:
    report = everything(lab)
    assert not report.failed
    b = lsdx.open_behavior(lab.stores)
    # 20 frames/s of (3, 4) px are 100 px/s; the wheel turns by 0.5 rad/s
    for feature in ("left/paw_near_speed", "right/paw_near_speed"):
        np.testing.assert_allclose(b.behavior.sel(feature=feature, epoch="spontaneous"), 100)
    wheel = b.behavior.sel(feature="wheel/speed", epoch="spontaneous")
    np.testing.assert_allclose(wheel, 0.5, rtol=1e-5)
    assert np.isnan(b.behavior.sel(epoch="rfm")).all()


def test_each_broken_file_is_named_and_the_rest_goes_on(lab: Lab) -> None:
    pose = lab.path("_ibl_leftCamera.lightningPose.pqt")
    energy = lab.path("rightCamera.ROIMotionEnergy.npy")
    whole = pose.read_bytes()
    pose.write_bytes(whole[:300])
    seen = energy.read_bytes()
    energy.write_bytes(seen[:2000])
    lab.put("_ibl_wheel.position.npy", np.zeros(7))
    report = everything(lab)
    read = [line for line in failures(report) if line.kind == "read"]
    for name in (pose.name, energy.name, "wheel"):
        (told,) = [line for line in read if name in line.reason]
        assert lab.eid in told.reason
    assert len(read) == 3
    status = lab.status(report)
    assert status["pose_left"] == "failed"
    assert status["pose_right"] == status["behavior"] == "built"
    assert lsdx.open_behavior(lab.stores).feature.values.tolist() == ["right/paw_near_speed"]
    right = lsdx.open_pose(lab.stores, session=lab.eid, camera="right")
    assert right.sizes["time"] == 1000
    with pytest.raises(StoreNotFound, match="pose of the left camera"):
        lsdx.open_pose(lab.stores, session=lab.eid, camera="left")
    # mended: built at the next build
    pose.write_bytes(whole)
    energy.write_bytes(seen)
    lab.put("_ibl_wheel.position.npy", np.zeros(1000))
    report = everything(lab)
    assert not report.failed
    assert lab.status(report)["pose_left"] == "built"
    assert lsdx.open_behavior(lab.stores).sizes["feature"] == 5


@pytest.mark.parametrize("name", ["rightCamera.ROIMotionEnergy.npy", "_ibl_wheel.position.npy"])
def test_what_was_built_without_a_file_is_not_the_whole(lab: Lab, name: str) -> None:
    """The records state the md5 of the whole file, as Alyx does, while its copy is broken."""
    path = lab.path(name)
    whole = path.read_bytes()
    table, meta = parquet.load(lab.root / "datasets.pqt")
    paths = [lab.path("").parent / p for p in table["rel_path"]]
    table["hash"] = [hashlib.md5(p.read_bytes()).hexdigest() for p in paths]
    parquet.save(lab.root / "datasets.pqt", table, meta)
    path.write_bytes(b"?" * len(whole))
    assert lab.build("sessions", "epochs", "behavior").failed
    assert lsdx.open_behavior(lab.stores).sizes["feature"] == 4
    path.write_bytes(whole)
    report = lab.build("sessions", "epochs", "behavior")
    assert lab.status(report)["behavior"] == "built"
    assert lsdx.open_behavior(lab.stores).sizes["feature"] == 5


def test_times_that_cannot_be_read_leave_out_their_camera(lab: Lab) -> None:
    path = lab.path("_ibl_leftCamera.times.npy")
    path.write_bytes(path.read_bytes()[:300])
    lab.put("rightCamera.ROIMotionEnergy.npy", np.ones(1005))  # 5 more than there are times
    report = lab.build("sessions", "epochs", "pose_left", "behavior")
    (times,) = [line.reason for line in failures(report) if line.kind == "read"]
    assert path.name in times
    # whole files that do not fit are told, and fail nothing
    told = " ".join(line.reason for line in report.lines if line.kind == "behavior")
    assert "ROIMotionEnergy: expected a time for each of 1005 frames" in told
    assert lab.status(report)["pose_left"] == "failed"
    b = lsdx.open_behavior(lab.stores)
    assert b.feature.values.tolist() == ["right/paw_near_speed", "wheel/speed"]


def test_too_few_times_leave_a_camera_out_and_fail_nothing(lab: Lab) -> None:
    lab.put("_ibl_leftCamera.times.npy", np.arange(995) / RATE)
    report = everything(lab)
    assert not report.failed
    (told,) = [line for line in report.lines if "995 times" in line.reason]
    assert (told.kind, told.status) == ("read", "skipped")
    assert lab.status(report)["pose_left"] == "skipped"
    assert lsdx.open_behavior(lab.stores).camera.values.tolist() == ["right"]


def test_units_alone_neither_list_nor_read_what_cameras_gave(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> object:
        raise AssertionError("a camera or the wheel was looked at")

    for name in ("find_cameras", "find_wheel", "read_camera"):
        monkeypatch.setattr(of_session, name, never)
    for path in lab.path("").glob("_ibl_*"):
        path.write_bytes(b"nothing")
    report = lab.build("units")
    assert not report.failed
    assert lab.status(report)["units"] == "built"


def test_a_changed_pose_rebuilds_only_what_is_made_of_it(lab: Lab) -> None:
    names = ("sessions", "epochs", "units", *POSES, "behavior")
    lab.build(*names)
    again = lab.status(lab.build(*names))
    assert {again[n] for n in ("epochs", "units", *POSES, "behavior")} == {"reused"}
    lab.pose("left", 1000, x=0.0)
    changed = lab.status(lab.build(*names))
    assert changed["behavior"] == changed["pose_left"] == "built"
    assert changed["units"] == changed["epochs"] == "reused"
    b = lsdx.open_behavior(lab.stores)
    left = b.behavior.sel(feature="left/paw_near_speed", epoch="spontaneous")
    np.testing.assert_allclose(left, 80)


def test_the_settings_say_which_times_are_meant(lab: Lab) -> None:
    lab.put("_ibl_leftCamera.times.npy", np.arange(1200) / RATE)
    assert not everything(lab).failed
    pose = lsdx.open_pose(lab.stores, session=lab.eid, camera="left")
    assert (pose.attrs["clock"], pose.attrs["time_unit"]) == ("untestable", "frames")
    np.testing.assert_array_equal(pose.time, np.arange(1000))
    report = everything(lab, pose=Pose(surplus="last"))
    status = lab.status(report)
    assert status["pose_left"] == status["behavior"] == "built"
    pose = lsdx.open_pose(lab.stores, session=lab.eid, camera="left")
    assert (pose.attrs["clock"], pose.attrs["time_unit"]) == ("trimmed", "seconds")
    np.testing.assert_array_equal(pose.time, (200 + np.arange(1000)) / RATE)


def test_a_threshold_of_the_settings_counts(lab: Lab) -> None:
    n = 1000
    sure = np.where(np.arange(n) < 500, 0.4, 1.0)
    table = {"paw_r_x": np.arange(n) * 3.0, "paw_r_y": np.arange(n) * 4.0}
    path = lab.path("_ibl_leftCamera.lightningPose.pqt")
    pd.DataFrame({**table, "paw_r_likelihood": sure}).to_parquet(path)
    everything(lab, pose=Pose(likelihood={"dlc": 0.9, "lightning_pose": 0.5}))
    b = lsdx.open_behavior(lab.stores).behavior.sel(feature="left/paw_near_speed")
    pre = b.sel(phase="pre", epoch="spontaneous").values[0]
    assert np.isnan(pre).all()  # up to 25 s
    np.testing.assert_allclose(b.sel(phase="post", epoch="spontaneous")[0], 100)
    pose = lsdx.open_pose(lab.stores, session=lab.eid, camera="left")
    assert np.isfinite(pose.position).all()  # unlikely points are kept
    assert pose.attrs["likelihood"] == 0.5
