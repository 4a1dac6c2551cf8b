"""Features in bins against loops over integer ticks; recordings are built by hand."""

from __future__ import annotations

from itertools import product

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from lsdx.assemble.behavior import STORED, assemble_behavior, join_behavior, ordered
from lsdx.assemble.cameras import CameraFiles, frame_clock
from lsdx.assemble.pose import assemble_pose
from lsdx.assemble.recording import Camera, Recording
from lsdx.config import Pose as Rules
from lsdx.errors import ConfigError
from lsdx.readers.records import DatasetRecord, SessionRecord
from lsdx.readers.video import Pose, Wheel
from lsdx.schema import SCHEMAS
from lsdx.schema.spec import validate

EID = "7b26ce84-07f9-43d1-957f-bc72aeb730a3"
SESSION = SessionRecord(EID, "lab", "M1", pd.Timestamp("2023-07-05"), 1)
PHASES, EPOCHS = ["pre", "post"], ["spontaneous", "rfm"]
# (start, stop) in s by phase and epoch; the second epoch of the second phase is not known
SPANS = [[(1.0, 4.05), (5.0, 7.0)], [(10.00001, 12.5), (np.nan, np.nan)]]
PUPIL = ("pupil_top_r", "pupil_right_r", "pupil_bottom_r", "pupil_left_r")
SQUARE = np.array([[0, -0.5], [0.5, 0], [0, 0.5], [-0.5, 0]])


def epochs(spans=SPANS, eid=EID):
    times = np.array(spans, dtype=float)
    dims = ("session", "phase", "epoch")
    return xr.Dataset(
        {"start": (dims, times[None, ..., 0]), "stop": (dims, times[None, ..., 1])},
        {"session": [eid], "phase": PHASES, "epoch": EPOCHS},
    )


def camera(
    name="left",
    times=None,
    points=None,
    confidence=None,
    tracker="lightning_pose",
    energy=None,
    surplus="",
    n_frames=None,
):
    """A camera whose keypoints are (n, 2) each; no confidence: the tracker states none."""
    pose = clock = energy_clock = None
    if points:
        (n,) = {len(p) for p in points.values()}
        told = np.full((n, len(points)), np.nan)
        for i, k in enumerate(points):
            if confidence and k in confidence:
                told[:, i] = confidence[k]
        position = np.stack(list(points.values()), axis=2).astype(np.float32)
        pose = Pose(tracker, tuple(points), position, told.astype(np.float32), {}, ())
        clock = frame_clock(n, times, "here", surplus=surplus)
    if energy is not None:
        energy = np.asarray(energy, dtype=np.float32)
        energy_clock = frame_clock(energy.size, times, "here", surplus=surplus)
    record = None if pose is None else DatasetRecord(f"alf/{name}.pqt", version="v3")
    files = CameraFiles(name, record, tracker if pose else "")
    return Camera(files, pose, clock, energy, energy_clock)


def behavior(*cameras, wheel=None, spans=SPANS, eid=EID, rules=None, **how):
    session = SessionRecord(eid, "lab", "M1", pd.Timestamp("2023-07-05"), 1)
    recording = Recording(session, cameras=cameras, wheel=wheel, pose=rules or Rules())
    ds = assemble_behavior(recording, epochs=epochs(spans, eid), **how)
    if ds is not None:
        validate(ds, SCHEMAS["behavior"], cohort=False)
    return ds


def loop(values, times, spans, width):
    """Mean and number of the samples of each bin, tick by tick."""
    ticks = [round(t * 1e5) for t in times]
    # a length that lacks one tick of a bin has it
    most = 0
    cells = {}
    for p, e in product(range(2), range(2)):
        if np.isnan(spans[p][e][0]):
            continue
        first, last = (round(t * 1e5) for t in spans[p][e])
        n = (last - first + 1) // width
        most = max(most, n)
        for i in range(n):
            low = first + i * width
            cells[p, e, i] = [
                v
                for t, v in zip(ticks, values, strict=True)
                if low <= t < low + width and not np.isnan(v)
            ]
    mean, number = np.full((2, 2, most), np.nan), np.full((2, 2, most), np.nan)
    for at, found in cells.items():
        number[at] = len(found)
        if found:
            mean[at] = sum(float(np.float32(v)) for v in found) / len(found)
    return mean, number


def uneven(rng, n=1300, rate=100.0):
    times = np.cumsum(rng.uniform(0.6, 1.4, n)) / rate
    return np.round(times[np.r_[0:400, 460:n]], 5)


# ---- bins -------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1_000, 3_700, 10_000, 50_000])
def test_bins_equal_a_loop_over_ticks(width: int) -> None:
    rng = np.random.default_rng(width)
    times = uneven(rng)
    energy = rng.normal(5, 1, times.size).astype(np.float32)
    energy[rng.random(times.size) < 0.2] = np.nan
    seen = camera(times=times, energy=energy)
    ds = behavior(seen, bin_width=width / 1e5)
    mean, number = loop(energy, times, SPANS, width)
    assert ds.attrs["bin_width_ticks"] == width
    assert ds.feature.values.tolist() == ["left/motion_energy"]
    np.testing.assert_allclose(ds.behavior.values[0, 0], mean, rtol=1e-5)
    rate = 1 / np.median(np.diff(times))
    due = width / 1e5 * rate
    np.testing.assert_allclose(ds.share.values[0, 0], np.minimum(number / due, 1), rtol=1e-5)
    assert ds.behavior.dtype == ds.share.dtype == np.float32
    np.testing.assert_allclose(ds.time, (np.arange(mean.shape[-1]) + 0.5) * width / 1e5)


def test_a_bin_without_frames_is_unknown_and_its_share_zero() -> None:
    times = np.r_[np.arange(1.0, 2.0, 0.02), np.arange(3.0, 8.0, 0.02)]
    ds = behavior(camera(times=times, energy=np.zeros(times.size)), bin_width=0.5)
    first = ds.behavior.values[0, 0, 0, 0]
    np.testing.assert_array_equal(first, [0, 0, np.nan, np.nan, 0, 0])
    np.testing.assert_allclose(ds.share.values[0, 0, 0, 0], [1, 1, 0, 0, 1, 1])
    # the other epoch of that phase has four bins; the last of the second phase none
    np.testing.assert_array_equal(np.isnan(ds.share.values[0, 0, 0, 1]), [0, 0, 0, 0, 1, 1])
    np.testing.assert_array_equal(ds.share.values[0, 0, 1, 0], [0] * 5 + [np.nan])
    assert np.isnan(ds.behavior.values[0, 0, 1]).all()
    assert np.isnan(ds.share.values[0, 0, 1, 1]).all()


def test_the_edges_of_bins_are_ticks() -> None:
    """A frame on an edge belongs to the bin that it begins, whatever floats say."""
    times = np.array([1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7])
    ds = behavior(camera(times=times, energy=np.arange(8)), bin_width=0.1)
    np.testing.assert_array_equal(ds.behavior.values[0, 0, 0, 0, :9], [*range(8), np.nan])


@pytest.mark.parametrize("wrong", ["0 ms", "-1 s", "a while", 1e-7])
def test_a_width_must_be_ticks(wrong: object) -> None:
    with pytest.raises(ConfigError):
        behavior(camera(times=np.arange(5.0), energy=np.zeros(5)), bin_width=wrong)


def test_without_camera_wheel_or_epochs_there_is_none() -> None:
    assert behavior() is None
    seen = camera(times=np.arange(5.0), energy=np.zeros(5))
    assert assemble_behavior(Recording(SESSION, cameras=(seen,)), epochs=None) is None


# ---- what has no times ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "state"), [(None, "no times"), (np.arange(900) / 50, "untestable")]
)
def test_a_camera_without_times_is_unknown(times: np.ndarray | None, state: str) -> None:
    n = 600
    points = {k: np.outer(np.ones(n), s) for k, s in zip(PUPIL, 40 * SQUARE, strict=True)}
    ds = behavior(camera(times=times, points=points, energy=np.ones(n)))
    assert ds.clock.item() == state
    assert ds.feature.values.tolist() == [
        "left/pupil_diameter",
        "left/pupil_diameter_percent",
        "left/motion_energy",
    ]
    assert np.isnan(ds.behavior.values).all()
    assert np.isnan(ds.share.values).all()
    assert np.isnan(ds.lag.item())
    assert ds.n_frames.item() == n
    assert any(n.startswith("left: ") for n in ds.attrs["notes"])


@pytest.mark.parametrize(("surplus", "shift"), [("first", 0), ("last", 300)])
def test_surplus_says_which_times_are_meant(surplus: str, shift: int) -> None:
    times = np.arange(900) / 50
    ds = behavior(camera(times=times, energy=np.arange(600), surplus=surplus), bin_width=0.02)
    mean, _ = loop(np.arange(600.0), times[shift : shift + 600], SPANS, 2000)
    assert ds.clock.item() == "trimmed"
    assert ds.n_trimmed.item() == 300
    np.testing.assert_array_equal(ds.behavior.values[0, 0], mean)


# ---- features -------------------------------------------------------------------------------


def steady(times, velocity):
    return np.outer(times, velocity)


def test_features_follow_the_keypoints_that_there_are() -> None:
    times = np.arange(0, 14, 0.02)
    speeds = {"nose_tip": (3, 4), "paw_r": (6, 8), "paw_l": (5, 12), "tail_start": (8, 15)}
    known = {"nose_tip": "nose_speed", "paw_r": "paw_near_speed", "paw_l": "paw_far_speed"}
    known["tail_start"] = "tail_speed"
    for name in ("left", "right", "body", "top"):
        for keypoint, velocity in speeds.items():
            ds = behavior(camera(name, times, {keypoint: steady(times, velocity)}))
            assert ds.feature.values.tolist() == [f"{name}/{known[keypoint]}"]
            inside = ds.share.values > 0
            assert inside.any()
            expected = np.hypot(*velocity)
            np.testing.assert_allclose(ds.behavior.values[inside], expected, rtol=1e-4)
    none = behavior(camera("left", times, {"ear": steady(times, (1, 1))}))
    assert none.sizes["feature"] == 0
    assert none.camera.values.tolist() == ["left"]
    two = {k: np.zeros((times.size, 2)) for k in PUPIL[:2]}
    assert behavior(camera("left", times, two)).sizes["feature"] == 0


def test_unlikely_points_do_not_count_and_no_likelihood_leaves_none_out() -> None:
    times = np.arange(0, 14, 0.02)
    points = {"nose_tip": steady(times, (3, 4))}
    unlikely = times >= 2.5
    points["nose_tip"][unlikely] += 1000 * np.arange(unlikely.sum())[:, None]
    sure = {"nose_tip": np.where(unlikely, 0.5, 0.95)}
    ds = behavior(camera("left", times, points, sure, tracker="dlc"), bin_width=0.1)
    first = ds.behavior.values[0, 0, 0, 0]
    np.testing.assert_allclose(first[:14], 5, rtol=1e-4)
    assert np.isnan(first[15:]).all()
    np.testing.assert_array_equal(ds.share.values[0, 0, 0, 0, 15:], 0)
    assert ds.likelihood.item() == 0.9
    # Lightning Pose has no threshold unless one is set, and a missing confidence is no low one
    for how in ({"tracker": "lightning_pose"}, {"confidence": None}):
        given = {"confidence": sure, "tracker": "dlc", **how}
        ds = behavior(camera("left", times, points, **given), bin_width=0.1)
        assert (ds.behavior.values[0, 0, 0, 0, 16:] > 1000).all()
    rules = Rules(likelihood={"lightning_pose": 0.96})
    ds = behavior(camera("left", times, points, sure), rules=rules)
    assert np.isnan(ds.behavior.values).all()


def test_the_tongue_is_the_share_of_frames_that_see_it() -> None:
    times = np.arange(0, 14, 0.02)
    points = {k: np.zeros((times.size, 2)) for k in ("tongue_end_l", "tongue_end_r")}
    each = np.arange(times.size) % 5
    sure = {"tongue_end_l": np.where(each == 0, 0.99, 0.1)}
    sure["tongue_end_r"] = np.where(each <= 1, 0.99, 0.1)
    ds = behavior(camera("left", times, points, sure, tracker="dlc"))
    assert ds.feature.values.tolist() == ["left/tongue"]
    np.testing.assert_allclose(ds.behavior.values[0, 0, 0, 0, :30], 0.4, rtol=1e-6)
    for tracker, told in (("lightning_pose", sure), ("dlc", None)):
        assert behavior(camera("left", times, points, told, tracker=tracker)).sizes["feature"] == 0


def test_the_pupils_baseline_is_of_the_first_phases_epochs_alone() -> None:
    times = np.arange(0, 14, 0.02)
    inside = ((times >= 1) & (times < 4.05)) | ((times >= 5) & (times < 7))
    rng = np.random.default_rng(0)
    width = np.where(inside, rng.uniform(30, 50, times.size), 1.0)  # 1 px: a bait for percentiles
    width[times > 9] = 80.0
    points = {k: np.outer(width, s) for k, s in zip(PUPIL, SQUARE, strict=True)}
    ds = behavior(camera("left", times, points))
    base = np.percentile(width[inside], 2)
    diameter, percent = ds.behavior.values[0]
    np.testing.assert_allclose(percent, 100 * diameter / base, rtol=1e-4)
    np.testing.assert_allclose(percent[1, 0][:24], 100 * 80 / base, rtol=1e-4)
    np.testing.assert_array_equal(ds.share.values[0, 0], ds.share.values[0, 1])


def test_a_pupil_without_a_first_phase_has_no_percent() -> None:
    times = np.arange(0, 14, 0.02)
    points = {k: np.outer(np.full(times.size, 40.0), s) for k, s in zip(PUPIL, SQUARE, strict=True)}
    unknown = [[(np.nan, np.nan)] * 2, SPANS[1]]
    ds = behavior(camera("left", times, points), spans=unknown)
    diameter, percent = ds.behavior.values[0]
    assert np.isfinite(diameter).any()
    assert np.isnan(percent).all()


# ---- wheel ----------------------------------------------------------------------------------


def test_the_wheels_speed_is_its_path_over_the_bin() -> None:
    # there and back within half a second: no net turn, a path of 2 rad
    times = np.array([0.0, 1.0, 1.25, 1.5, 6.0])
    position = np.array([0.0, 0.0, 1.0, 0.0, 0.0])
    ds = behavior(wheel=Wheel(times, position, ()), bin_width=0.5)
    assert ds.feature.values.tolist() == ["wheel/speed"]
    assert ds.sizes["camera"] == 0
    np.testing.assert_allclose(ds.behavior.values[0, 0, 0, 0], [4, 0, 0, 0, 0, 0], atol=1e-6)
    # the record ends at 6 s: two of the four bins of 5 to 7 s
    second = ds.behavior.values[0, 0, 0, 1]
    np.testing.assert_array_equal(np.isnan(second), [0, 0, 1, 1, 1, 1])
    np.testing.assert_array_equal(ds.share.values[0, 0, 0, 1], [1, 1, 0, 0, np.nan, np.nan])


# ---- lag ------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [0, 3, -4])
def test_the_lag_is_the_motion_energys_behind_the_paws(frames: int) -> None:
    rng = np.random.default_rng(4)
    times = np.arange(36_000) / 10
    busy = np.convolve(rng.random(times.size) < 0.02, np.ones(5), "same")
    paw = np.cumsum(busy)[:, None] * [1.0, 0.0]
    energy = np.roll(np.gradient(paw[:, 0]), frames)
    ds = behavior(camera("left", times, {"paw_r": paw}, energy=energy))
    assert ds.lag_of.item() == "motion_energy"
    assert ds.lag.item() == pytest.approx(frames / 10, abs=1e-3)
    assert ds.lag_p.item() <= 0.01


# ---- joining --------------------------------------------------------------------------------


class Made:
    """One session's part, as `join_behavior` sees it; ``computed`` counts its blocks."""

    def __init__(self, ds: xr.Dataset) -> None:
        self.ds, self.attrs, self.sizes, self.computed = ds, ds.attrs, dict(ds.sizes), 0

    def read(self, *, lazy=None):
        def count(block):
            self.computed += 1
            return block

        out = self.ds.copy()
        for name in lazy or {}:
            values = da.from_array(self.ds[name].values, chunks=-1)
            counted = values.map_blocks(count, meta=np.empty((0,) * 5, np.float32))
            out[name] = (self.ds[name].dims, counted)
        return out


OTHER = "7b26ce84-07f9-43d1-957f-bc72aeb730a4"


def test_sessions_of_other_cameras_features_and_lengths_are_joined_lazily() -> None:
    times = np.arange(0, 14, 0.02)
    nose = {"nose_tip": steady(times, (3, 4))}
    wheel = Wheel(times, times, ())
    first = behavior(camera("body", times, energy=np.ones(times.size)), wheel=wheel)
    longer = [[(1.0, 9.0), (9.0, 10.0)], SPANS[1]]
    second = behavior(
        camera("left", times, nose), camera("top", times, nose), spans=longer, eid=OTHER
    )
    parts = [Made(first), Made(second)]
    ds = join_behavior(parts, None)
    assert [p.computed for p in parts] == [0, 0]
    assert ds.feature.values.tolist() == [
        "left/nose_speed",
        "body/motion_energy",
        "top/nose_speed",
        "wheel/speed",
    ]
    assert ds.camera.values.tolist() == ["left", "body", "top"]
    assert ds.sizes["time"] == second.sizes["time"] == 80
    validate(ds.compute(), SCHEMAS["behavior"], cohort=True)
    for source, eid in ((first, EID), (second, OTHER)):
        mine = ds.sel(session=eid).compute()
        for name in ("behavior", "share"):
            for feature in ds.feature.values:
                expected = np.full((2, 2, 80), np.nan, np.float32)
                if feature in source.feature:
                    values = source[name].sel(feature=feature).values[0]
                    expected[..., : values.shape[-1]] = values
                np.testing.assert_array_equal(mine[name].sel(feature=feature), expected)
    clock = ds.clock.values.tolist()
    assert clock == [["", "times", ""], ["times", "", "times"]]
    np.testing.assert_array_equal(np.isnan(ds.frame_rate), [[1, 0, 1], [0, 1, 0]])


def test_sessions_without_any_camera_join_those_with_one() -> None:
    times = np.arange(0, 14, 0.02)
    only_wheel = behavior(wheel=Wheel(times, times, ()))
    seen = behavior(camera(times=times, energy=np.ones(times.size)), eid=OTHER)
    ds = join_behavior([Made(only_wheel), Made(seen)], None).compute()
    assert ds.feature.values.tolist() == ["left/motion_energy", "wheel/speed"]
    assert ds.tracker.values.tolist() == [[""], [""]]
    assert np.isnan(ds.behavior.sel(session=EID, feature="left/motion_energy")).all()
    with dask.config.set(scheduler="sync"):
        np.testing.assert_allclose(
            ds.behavior.sel(session=EID, feature="wheel/speed")[0, 0, :30], 1, rtol=1e-4
        )


def test_the_order_of_features_and_the_variants_of_recipes() -> None:
    names = ["wheel/speed", "top/x", "body/tail_speed", "left/motion_energy", "left/nose_speed"]
    assert ordered(names) == [
        "left/nose_speed",
        "left/motion_energy",
        "body/tail_speed",
        "top/x",
        "wheel/speed",
    ]
    assert STORED.variants is not None
    assert STORED.variants({"bin_width": "100 ms"}) == STORED.variants({}) == (10_000,)
    assert STORED.variants({"bin_width": 0.02}) == (2_000,)


# ---- pose -----------------------------------------------------------------------------------


def test_pose_keeps_every_point_to_a_128th_of_a_pixel() -> None:
    rng = np.random.default_rng(1)
    times = np.arange(50) / 10
    points = {k: rng.uniform(-50, 1280, (50, 2)) for k in ("ear", "nose_tip")}
    points["ear"][3] = np.nan
    sure = {"ear": rng.random(50)}
    seen = camera("right", times, points, sure, tracker="dlc")
    ds = assemble_pose(Recording(SESSION, cameras=(seen,)), camera="right")
    assert ds is not None
    validate(ds, SCHEMAS["pose"], cohort=False)
    for i, k in enumerate(points):
        found = ds.position.values[:, :, i, 0]
        np.testing.assert_allclose(found, points[k].astype(np.float32), rtol=0, atol=1 / 128)
        assert (found * 64 % 1)[np.isfinite(found)].max() == 0
    np.testing.assert_array_equal(ds.confidence[:, 0, 0], sure["ear"].astype(np.float32))
    assert np.isnan(ds.confidence[:, 1]).all()
    np.testing.assert_array_equal(ds.frame_time, times)
    assert ds.individuals.values.tolist() == ["M1"]
    assert (ds.attrs["likelihood"], ds.attrs["tracker_version"]) == (0.9, "v3")
    assert assemble_pose(Recording(SESSION, cameras=(seen,)), camera="left") is None
    energy = camera("left", times, energy=np.ones(50))
    assert assemble_pose(Recording(SESSION, cameras=(energy,)), camera="left") is None


@pytest.mark.parametrize(
    ("times", "state"), [(None, "no times"), (np.arange(90) / 10, "untestable")]
)
def test_pose_without_times_is_kept_by_frame(times: np.ndarray | None, state: str) -> None:
    seen = camera("left", times, {"ear": np.ones((50, 2))})
    ds = assemble_pose(Recording(SESSION, cameras=(seen,)), camera="left")
    assert ds is not None
    validate(ds, SCHEMAS["pose"], cohort=False)
    assert ds.attrs["clock"] == state
    assert np.isnan(ds.frame_time).all()
    assert len(ds.attrs["notes"]) == 1
