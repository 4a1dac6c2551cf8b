"""Which files of the cameras are read, and when each frame was taken."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from lsdx.assemble.cameras import CameraFiles, find_cameras, find_wheel, frame_clock
from lsdx.errors import ConfigError, SourceError
from lsdx.readers.records import DatasetRecord
from lsdx.readers.video import read_frame_times

OLD, NEW = "2023-01-01", "2024-05-06"
POSE, DLC = "alf/_ibl_leftCamera.lightningPose.pqt", "alf/_ibl_leftCamera.dlc.pqt"
TIMES, ENERGY = "alf/_ibl_leftCamera.times.npy", "alf/leftCamera.ROIMotionEnergy.npy"
FRAMES = "raw_video_data/_iblrig_leftCamera.frameData.bin"
WHEEL = ["alf/_ibl_wheel.position.npy", "alf/_ibl_wheel.timestamps.npy"]


def record(path, revision="", **more):
    if revision:
        folder, name = path.rsplit("/", 1)
        path = f"{folder}/#{revision}#/{name}"
    return DatasetRecord(path, **more)


def records(*paths):
    return [record(p) for p in paths]


def only(datasets):
    """The one camera, whatever the order of the records."""
    (camera,) = find_cameras(datasets)
    assert find_cameras(datasets[::-1]) == (camera,)
    return camera


# Cameras


def test_all_files_of_a_camera_are_found():
    assert only(records(POSE, TIMES, ENERGY, FRAMES)) == CameraFiles(
        "left", record(POSE), "lightning_pose", record(TIMES), record(ENERGY), record(FRAMES)
    )


@pytest.mark.parametrize("missing", range(4))
def test_files_that_are_not_there_are_none(missing):
    paths = [POSE, TIMES, ENERGY, FRAMES]
    del paths[missing]
    camera = only(records(*paths))
    assert [d.path for d in camera.files] == paths
    assert camera.notes == ()


@pytest.mark.parametrize("path", [POSE, TIMES, ENERGY, FRAMES])
def test_a_camera_of_one_file_is_one(path):
    camera = only(records(path))
    assert [d.path for d in camera.files] == [path]
    assert camera.tracker == ("lightning_pose" if path == POSE else "")


def test_cameras_are_listed_by_name():
    names = ("right", "belly2", "left", "body")
    found = find_cameras(records(*(f"alf/_ibl_{n}Camera.times.npy" for n in names)))
    assert [c.camera for c in found] == ["belly2", "body", "left", "right"]


@pytest.mark.parametrize(
    "path",
    [
        "alf/_ibl_leftCamera.features.pqt",
        "alf/_ibl_leftCamera.lightningPose.npy",
        "alf/_ibl_leftCamera.dlc.pqt.bak",
        "alf/old/_ibl_leftCamera.dlc.pqt",
        "alf/leftCamera.dlc.pqt",
        "alf/_ibl_Camera.times.npy",
        "alf/_lab_leftCamera.ROIMotionEnergy.npy",
        "alf/leftROIMotionEnergy.position.npy",
        "alf/_iblrig_leftCamera.frameData.bin",
        "raw_video_data/_ibl_leftCamera.times.npy",
        "raw_video_data/_iblrig_leftCamera.raw.mp4",
        "_ibl_leftCamera.times.npy",
    ],
)
def test_other_files_are_no_cameras(path):
    assert find_cameras(records(path)) == ()


def test_a_session_without_cameras_has_none():
    assert find_cameras([]) == ()


def test_what_cannot_be_read_is_not_there():
    assert find_cameras([record(POSE, readable=False), record(TIMES, readable=False)]) == ()


@pytest.mark.parametrize(
    ("endings", "first", "tracker"),
    [
        (["dlc.pqt", "lightningPose.pqt"], "lightningPose.pqt", "lightning_pose"),
        (["dlc.pqt", "lightningPose.csv"], "lightningPose.csv", "lightning_pose"),
        (["dlc.csv", "dlc.pqt"], "dlc.pqt", "dlc"),
        (["lightningPose.csv", "lightningPose.pqt"], "lightningPose.pqt", "lightning_pose"),
        (["dlc.csv"], "dlc.csv", "dlc"),
    ],
)
def test_trackers_and_forms_have_an_order(endings, first, tracker):
    camera = only(records(*(f"alf/_ibl_leftCamera.{e}" for e in endings)))
    assert (camera.pose.name, camera.tracker) == (f"_ibl_leftCamera.{first}", tracker)


def test_each_camera_has_its_own_tracker():
    right = "alf/_ibl_rightCamera.dlc.pqt"
    assert [c.tracker for c in find_cameras(records(POSE, right))] == ["lightning_pose", "dlc"]


def test_motion_energy_is_found_with_or_without_namespace():
    named = "alf/_ibl_leftCamera.ROIMotionEnergy.npy"
    assert only(records(named)).motion_energy == record(named)
    assert only(records(named, ENERGY)).motion_energy == record(ENERGY)


def test_a_better_tracker_that_is_not_on_disk_is_noted():
    camera = only([record(POSE, readable=False), record(DLC)])
    assert camera.tracker == "dlc"
    assert camera.notes == ("left: _ibl_leftCamera.lightningPose.pqt is recorded but not on disk",)
    gone = record(POSE, readable=False, present=False)
    assert only([gone, record(DLC)]).notes == ()


def test_times_that_are_not_on_disk_are_noted():
    camera = only([record(POSE), record(TIMES, readable=False)])
    assert camera.times is None
    assert camera.notes == ("left: _ibl_leftCamera.times.npy is recorded but not on disk",)


def test_the_uuid_in_a_name_is_no_part_of_it():
    path = "alf/_ibl_leftCamera.dlc.0b7c1f6e-0000-4000-8000-000000000001.pqt"
    assert only(records(path)).pose.path == path


# Revisions


def test_the_pose_has_its_default_revision():
    default = [record(POSE, OLD), record(POSE, NEW, default_revision=False)]
    assert only(default).pose.revision == OLD
    undecided = [record(POSE, r, default_revision=False) for r in ("", OLD, NEW)]
    camera = only(undecided)
    assert camera.pose.revision == NEW
    (note,) = camera.notes
    assert note.startswith("left: _ibl_leftCamera.lightningPose.pqt: no default among")
    assert note.endswith(f"none, {OLD}, {NEW}; read: {NEW}")


def test_other_files_are_not_later_than_the_pose():
    others = [record(p, r, default_revision=r == NEW) for p in (TIMES, ENERGY) for r in ("", NEW)]
    old = only([record(POSE, OLD), *others])
    assert [d.revision for d in old.files] == [OLD, "", ""]
    new = only([record(POSE, NEW), *others])
    assert [d.revision for d in new.files] == [NEW, NEW, NEW]


def test_a_file_of_later_revisions_only_is_left_out_and_noted():
    camera = only([record(POSE, OLD), record(TIMES, NEW)])
    assert camera.times is None
    assert camera.notes == (
        f"left: _ibl_leftCamera.times.npy: not read, all revisions are later than {OLD}",
    )


def test_without_pose_the_times_lead():
    camera = only([record(TIMES, OLD), record(ENERGY, NEW), record(ENERGY, default_revision=False)])
    assert [d.revision for d in camera.files] == [OLD, ""]


def test_an_older_revision_than_the_default_is_noted():
    camera = only([record(POSE, NEW, readable=False), record(POSE, OLD, default_revision=False)])
    assert camera.pose.revision == OLD
    assert any("the default one is not on disk" in n for n in camera.notes)


def test_version_and_revision_are_the_poses():
    camera = only([record(POSE, NEW, version="ibl_3.2"), record(TIMES, version="other")])
    assert (camera.pose.version, camera.pose.revision) == ("ibl_3.2", NEW)


# Wheel


def test_the_wheel_is_two_files():
    assert find_wheel(records(*WHEEL[::-1], TIMES)) == tuple(records(*WHEEL))


@pytest.mark.parametrize("path", WHEEL)
def test_half_a_wheel_is_none(path):
    assert find_wheel(records(path)) == ()
    absent = [record(p, readable=p != path) for p in WHEEL]
    assert find_wheel(absent) == ()


def test_a_wheel_elsewhere_is_none():
    assert find_wheel(records(*(p.replace("alf/", "raw/") for p in WHEEL))) == ()


def test_time_stamps_are_not_later_than_the_wheels_position():
    old = [record(WHEEL[0], OLD), record(WHEEL[1]), record(WHEEL[1], NEW)]
    assert [d.revision for d in find_wheel(old)] == [OLD, ""]
    assert find_wheel([record(WHEEL[0], OLD), record(WHEEL[1], NEW)]) == ()


# Frame clock


def at(n, rate=50.0):
    """Times of n frames, exact multiples of 1/rate but for rounding."""
    return np.arange(n) / rate


def test_as_many_times_as_frames_are_taken_as_they_are():
    times = at(200)
    clock = frame_clock(200, times, "session")
    assert clock.state == "times"
    np.testing.assert_array_equal(clock.times, times)
    assert (clock.n_frames, clock.n_times, clock.n_trimmed) == (200, 200, 0)
    assert (clock.n_repeated, clock.n_gaps, clock.n_dropped) == (0, 0, -1)
    assert clock.frame_rate == pytest.approx(50)
    assert clock.first_interval == 0.02


@pytest.mark.parametrize("more", [1, 3, 49, 50])
def test_up_to_a_second_more_is_trimmed_to_the_last(more):
    times = at(200 + more)
    clock = frame_clock(200, times, "session")
    assert (clock.state, clock.n_trimmed, clock.n_times) == ("trimmed", more, 200 + more)
    np.testing.assert_array_equal(clock.times, times[-200:])
    # a choice by hand is for what is untestable
    again = frame_clock(200, times, "session", surplus="first")
    np.testing.assert_array_equal(again.times, times[-200:])


@pytest.mark.parametrize("rate", [29.97, 60.1256, 150.767])
def test_a_second_is_a_whole_number_of_frames(rate):
    n = round(rate)
    assert frame_clock(500, at(500 + n, rate), "session").state == "trimmed"
    assert frame_clock(500, at(501 + n, rate), "session").state == "untestable"


@pytest.mark.parametrize("more", [51, 29_260])
def test_more_than_a_second_more_is_untestable(more):
    clock = frame_clock(200, at(200 + more), "session")
    assert clock.state == "untestable"
    assert clock.times is None
    assert (clock.n_frames, clock.n_times, clock.n_trimmed) == (200, 200 + more, 0)
    assert clock.frame_rate == pytest.approx(50)


@pytest.mark.parametrize(("surplus", "first"), [("last", 300), ("first", 0)])
def test_a_choice_by_hand_decides(surplus, first):
    times = at(500)
    clock = frame_clock(200, times, "session", surplus=surplus)
    assert (clock.state, clock.n_trimmed) == ("trimmed", 300)
    np.testing.assert_array_equal(clock.times, times[first : first + 200])


@pytest.mark.parametrize("surplus", ["Last", "middle", "none"])
def test_another_choice_is_an_error(surplus):
    with pytest.raises(ConfigError, match="surplus"):
        frame_clock(2, at(2), "session", surplus=surplus)


@pytest.mark.parametrize("n_times", [0, 1, 199])
def test_fewer_times_are_an_error(n_times):
    with pytest.raises(SourceError, match=rf"session, times: .*200 frames.* {n_times} times"):
        frame_clock(200, at(n_times), "session, times", surplus="last")


def test_no_times_are_said():
    clock = frame_clock(200, None, "session")
    assert (clock.state, clock.times) == ("no times", None)
    assert (clock.n_frames, clock.n_times, clock.n_trimmed) == (200, 0, 0)
    assert (clock.n_repeated, clock.n_gaps, clock.n_dropped) == (-1, -1, -1)
    assert np.isnan([clock.frame_rate, clock.first_interval]).all()


def test_one_frame_has_a_time_and_no_rate():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clock = frame_clock(1, np.array([2.5]), "session")
    assert (clock.state, clock.times.tolist()) == ("times", [2.5])
    assert (clock.n_repeated, clock.n_gaps) == (0, 0)
    assert np.isnan([clock.frame_rate, clock.first_interval]).all()


def test_times_of_one_value_have_no_rate():
    clock = frame_clock(3, np.ones(3), "session")
    assert (clock.state, clock.n_repeated) == ("times", 2)
    assert np.isnan(clock.frame_rate)
    assert frame_clock(3, np.ones(4), "session").state == "untestable"


def test_times_that_go_back_repeat_or_jump_are_kept_and_counted():
    # median .02; longer than .03 are the first, the one after the step back, a gap and the last
    steps = [0.05, 0.02, 0.02, 0, -0.01, 0.05, 0.02, 0.02, 0.5, 0.02, 0.029, 0.031]
    times = 10 + np.cumsum([0.0, *steps])
    clock = frame_clock(13, times, "session")
    np.testing.assert_array_equal(clock.times, times)
    assert (clock.state, clock.n_repeated, clock.n_gaps) == ("times", 2, 4)
    assert clock.first_interval == pytest.approx(0.05)
    assert clock.frame_rate == pytest.approx(50)


def test_a_dropped_block_is_one_gap():
    times = np.delete(at(1000), slice(400, 700))
    clock = frame_clock(700, times, "session")
    assert (clock.n_gaps, clock.n_repeated) == (1, 0)
    assert clock.frame_rate == pytest.approx(50)


def test_what_is_counted_is_what_is_kept():
    times = np.concatenate([[0.0, 5.0, 5.0], 10 + at(200)])
    clock = frame_clock(200, times, "session")
    assert (clock.n_gaps, clock.n_repeated) == (0, 0)
    assert clock.first_interval == pytest.approx(0.02)


def test_the_rate_is_of_what_is_kept():
    times = np.concatenate([at(400, 100.0), 10 + at(200, 50.0)])
    clock = frame_clock(200, times, "session", surplus="last")
    assert clock.frame_rate == pytest.approx(50)
    assert frame_clock(200, times, "session").frame_rate == pytest.approx(100)


@pytest.mark.parametrize(
    ("counter", "dropped"),
    [([5, 6, 7, 8], 0), ([5, 6, 9, 10], 2), ([5, 8, 9, 12], 4), ([8, 9, 0, 2], 1), ([3], 0)],
)
@pytest.mark.parametrize("times", [None, at(4), at(400)])
def test_the_counter_tells_of_dropped_frames(counter, dropped, times):
    assert frame_clock(4, times, "session", counter=np.array(counter)).n_dropped == dropped


@pytest.mark.parametrize(
    ("camera", "n_frames", "rate", "first"),
    [("left", 1000, 60, 0.0499), ("right", 2500, 150, 0.0266)],
)
def test_real_times_are_kept_to_the_microsecond(sample, camera, n_frames, rate, first):
    alf = sample / "cortexlab/Subjects/KS094/2022-06-17/001/alf"
    times = read_frame_times(alf / f"_ibl_{camera}Camera.times.npy", "KS094")
    clock = frame_clock(n_frames, times, "KS094")
    assert clock.state == "times"
    np.testing.assert_array_equal(clock.times, np.load(alf / f"_ibl_{camera}Camera.times.npy"))
    # the late second frame is the one gap
    assert (clock.n_repeated, clock.n_gaps) == (0, 1)
    assert clock.frame_rate == pytest.approx(rate, rel=0.01)
    assert clock.first_interval == pytest.approx(first, abs=5e-5)
