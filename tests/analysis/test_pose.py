"""Measures of pose against hand-made animals, and the demo's pupils against the truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import lsdx
from lsdx.errors import ArgumentError, SelectionError

PUPIL = ("pupil_top_r", "pupil_right_r", "pupil_bottom_r", "pupil_left_r")
SQUARE = {
    k: np.array(s) for k, s in zip(PUPIL, [(0, -0.5), (0.5, 0), (0, 0.5), (-0.5, 0)], strict=True)
}
TIMES = np.arange(0, 60, 0.05)


def pose(points, times=TIMES, confidence=None, **attrs) -> xr.Dataset:
    names = list(points)
    position = np.stack([points[k] for k in names], axis=2)[..., None].astype(np.float32)
    sure = np.ones((times.size, len(names)), np.float32)
    for k, c in (confidence or {}).items():
        sure[:, names.index(k)] = c
    return xr.Dataset(
        {
            "position": (("time", "space", "keypoints", "individuals"), position),
            "confidence": (("time", "keypoints", "individuals"), sure[..., None]),
        },
        {
            "time": times,
            "space": ["x", "y"],
            "keypoints": names,
            "individuals": ["M1"],
            "phase": ["pre", "post"],
            "epoch": ["a"],
            "start": (("phase", "epoch"), [[0.0], [40.0]]),
            "stop": (("phase", "epoch"), [[20.0], [60.0]]),
            "administration": 30.0,
            "session": "e",
        },
        {"camera": "left", "likelihood": 0.9, "time_unit": "seconds"} | attrs,
    )


def pupil(width, times=TIMES, confidence=None) -> xr.Dataset:
    return pose({k: np.outer(width, s) for k, s in SQUARE.items()}, times, confidence)


def test_speed_is_from_the_times_of_the_frames() -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.08, 400))
    seen = pose({"a": np.outer(times, (3, 4)), "b": np.outer(times, (5, 12))}, times)
    found = seen.lsd.speed()
    assert found.dims == ("time", "keypoints", "individuals")
    np.testing.assert_allclose(found.sel(keypoints="a"), 5, rtol=1e-3)
    np.testing.assert_allclose(found.sel(keypoints="b"), 13, rtol=1e-3)
    np.testing.assert_array_equal(
        seen.chunk(time=50).lsd.speed(keypoints="b"), found.sel(keypoints=["b"])
    )


def test_unlikely_points_have_no_speed_unless_asked_for() -> None:
    sure = np.where(TIMES < 10, 0.5, 1)
    seen = pose({"a": np.outer(TIMES, (3, 4))}, confidence={"a": sure})
    assert np.isnan(seen.lsd.speed().values[TIMES < 10]).all()
    for least in (0, 0.5):
        assert np.isfinite(seen.lsd.speed(likelihood=least)).all()
    # no likelihood at all is no low one
    seen["confidence"] = seen.confidence * np.nan
    assert np.isfinite(seen.lsd.speed()).all()


def test_the_pupils_diameter_is_a_squares_diagonal() -> None:
    sure = {PUPIL[0]: np.where(TIMES < 10, 0.1, 1), PUPIL[1]: np.where(TIMES < 5, 0.1, 1)}
    seen = pupil(np.full(TIMES.size, 40.0), confidence=sure)
    found = seen.lsd.pupil_diameter()
    # with one point missing the rest tell it; with two nothing does
    np.testing.assert_allclose(found[TIMES >= 5], 40, rtol=1e-6)
    assert np.isnan(found[TIMES < 5]).all()
    np.testing.assert_array_equal(seen.chunk(time=100).lsd.pupil_diameter(), found)
    three = seen.sel(keypoints=list(PUPIL[1:]))
    np.testing.assert_allclose(three.lsd.pupil_diameter()[TIMES >= 5], 40, rtol=1e-6)


def test_blinks_are_runs_of_50_ms_to_1_s() -> None:
    times = np.arange(0, 20, 0.02)
    shut = np.zeros(times.size, bool)
    for first, n in ((0, 10), (100, 2), (200, 3), (300, 50), (400, 51), (990, 10)):
        shut[first : first + n] = True  # cut at either end; too short; two that count; too long
    seen = pupil(np.full(times.size, 40.0), times, {k: np.where(shut, 0.1, 1) for k in PUPIL[:2]})
    found = seen.lsd.blinks()
    np.testing.assert_allclose(found.start, [4, 6])
    np.testing.assert_allclose(found.stop, [4.06, 7])
    np.testing.assert_allclose(found.duration, [0.06, 1])
    assert set(found.kind.values) == {"blink"}
    assert seen.lsd.blinks(likelihood=0.05).sizes["event"] == 0


def test_the_pupils_course_is_in_percent_of_the_first_phase() -> None:
    width = np.where(TIMES < 20, 40.0, np.where(TIMES < 30, 20.0, 60.0))
    found = pupil(width).lsd.pupil_course(bin_width="5 s", window=("-30 s", "30 s"))
    assert found.attrs["baseline"] == pytest.approx(40, rel=1e-6)
    np.testing.assert_allclose(found.time, np.arange(-27.5, 30, 5))
    middle = np.r_[0:3, 5, 7:12]  # without the bins beside a step
    expected = np.array([100.0] * 4 + [50] * 2 + [150] * 6)
    np.testing.assert_allclose(found.pupil[middle], expected[middle], rtol=0.02)
    np.testing.assert_allclose(found.pupil_px, found.pupil * 0.4, rtol=1e-5)
    late = pupil(width).lsd.pupil_course(
        bin_width="5 s", window=("0 s", "100 s"), relative_to="recording"
    )
    assert np.isnan(late.pupil[12:]).all()
    np.testing.assert_array_equal(late.share[12:], 0)


def test_an_outlier_does_not_move_the_course() -> None:
    rng = np.random.default_rng(0)
    width = 40 + rng.normal(0, 0.1, TIMES.size)
    wild = width.copy()
    wild[200:1200:97] = 400
    options: dict[str, Any] = {"bin_width": "5 s", "window": ("-30 s", "30 s")}
    np.testing.assert_allclose(
        pupil(wild).lsd.pupil_course(**options).pupil,
        pupil(width).lsd.pupil_course(**options).pupil,
        rtol=0.005,
    )


def test_the_demos_pupil_dilates_after_lsd_alone(demo_cohort: Path, demo_stores: Path) -> None:
    truth = json.loads((demo_cohort / "truth.json").read_text())["sessions"]
    for session in (truth[0], truth[5]):
        told = session["behavior"]
        seen = lsdx.open_pose(demo_stores, session=session["eid"], camera="left")
        course = seen.lsd.pupil_course(bin_width="5 min", window=("-20 min", "40 min"))
        latent = told["arousal"]["values"]
        at = np.arange(len(latent)) * told["arousal"]["step"] - seen.administration.item()
        arousal = np.exp(told["pupil"]["arousal_weight"] * np.array(latent))
        before = (course.time.values < 0) & np.isfinite(course.pupil)
        after = (course.time.values > told["pupil"]["ramp"] + 150) & np.isfinite(course.pupil)
        assert before.sum() >= 2
        assert after.sum() >= 2

        def widened(bins, course=course, at=at, arousal=arousal):
            known = [
                arousal[(at >= t - 150) & (at < t + 150)].mean() for t in course.time.values[bins]
            ]
            return (course.pupil_px.values[bins] / known).mean()

        dilation = {"lsd": 0.3, "saline": 0.0}[session["condition"]]
        assert widened(after) / widened(before) == pytest.approx(1 + dilation, abs=0.02)
        assert widened(before) == pytest.approx(told["cameras"]["left"]["pupil_diameter"], rel=0.02)


@pytest.mark.parametrize("camera", ["left", "right", "body"])
def test_binning_a_pose_is_what_is_stored(demo_stores: Path, camera: str) -> None:
    stored = lsdx.open_behavior(demo_stores).isel(session=1)
    seen = lsdx.open_pose(demo_stores, session=stored.session.item(), camera=camera)
    found = seen.lsd.bin_behavior()
    assert found.sizes["feature"] > 0
    for feature in found.feature.values:
        mine, other = found.sel(feature=feature), stored.sel(feature=feature)
        n = mine.sizes["time"]
        assert np.isnan(other.behavior[..., n:]).all()
        np.testing.assert_array_equal(mine.share, other.share[..., :n])
        # px rounded to 1/64 in the store of pose
        np.testing.assert_allclose(mine.behavior, other.behavior[..., :n], rtol=1e-3, atol=0.5)
        for name in ("feature_units", "measure", "frame_width"):
            np.testing.assert_array_equal(mine[name], other[name])


def test_what_cannot_be_measured_is_refused() -> None:
    seen = pose({"a": np.outer(TIMES, (1, 1))})
    by_frame = pupil(np.full(TIMES.size, 4.0)).assign_attrs(time_unit="frames", clock="no times")
    assert by_frame.lsd.pupil_diameter().sizes["time"] == TIMES.size
    for measure in ("speed", "blinks", "pupil_course", "bin_behavior"):
        with pytest.raises(SelectionError, match="no times"):
            getattr(by_frame.lsd, measure)()
        with pytest.raises(SelectionError, match="open_pose"):
            getattr(seen.drop_vars("confidence").lsd, measure)()
    for measure in ("pupil_diameter", "blinks", "pupil_course"):
        with pytest.raises(SelectionError, match="pupil_top_r"):
            getattr(seen.lsd, measure)()
    with pytest.raises(SelectionError, match="keypoints that give"):
        seen.lsd.bin_behavior()
    with pytest.raises(ArgumentError):
        seen.lsd.speed(keypoints="b")
    for least in (-0.1, 1.1):
        with pytest.raises(ArgumentError):
            seen.lsd.speed(likelihood=least)
    eye = pupil(np.full(TIMES.size, 4.0))
    with pytest.raises(SelectionError, match="confidence above 0"):
        eye.lsd.blinks(likelihood=0)
    with pytest.raises(SelectionError, match="relative_to"):
        eye.assign_coords(administration=np.nan).lsd.pupil_course()
    with pytest.raises(SelectionError, match="relative_to"):
        eye.lsd.pupil_course(relative_to="lunch")
    with pytest.raises(SelectionError, match="from low to high"):
        eye.lsd.pupil_course(window=("5 min", "-5 min"))
    for wrong in ({"percentile": 101}, {"sd": 0}, {"bin_width": "0 s"}):
        with pytest.raises(ArgumentError):
            eye.lsd.pupil_course(**wrong)
