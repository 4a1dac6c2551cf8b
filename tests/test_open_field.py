"""Measures of an open field on tracks whose course is known; nothing here needs movement."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from lsdx.errors import ArgumentError, ConfigError, MissingPackage, SourceError
from lsdx.open_field import measures, open_recordings, read

BODY = ("nose", "body_centre", "tail_base")


def recording(
    times: np.ndarray,
    *points: np.ndarray,
    confidence: np.ndarray | None = None,
    software: str = "SLEAP",
    keypoints: tuple[str, ...] = BODY,
    **labels: Any,
) -> xr.Dataset:
    """Make one recording as movement has it, of points (n, 2) in px."""
    position = np.stack(points, axis=2)[..., None]
    n, _, k, _ = position.shape
    if confidence is None:
        confidence = np.full((n, k), np.nan)
    return xr.Dataset(
        {
            "position": (("time", "space", "keypoints", "individuals"), position),
            "confidence": (("time", "keypoints", "individuals"), confidence[..., None]),
        },
        coords={
            "time": times,
            "space": ["x", "y"],
            "keypoints": list(keypoints[:k]),
            "individuals": ["id_0"],
            "px_per_cm": 10.0,
            "injection_time": 60.0,
            "subject": "M1",
            "dose": 75,
            "route": "ip",
            "date": "2026-01-05",
            **labels,
        },
        attrs={"source_software": software, "time_unit": "seconds", "ds_type": "poses"},
    )


def tree(*recordings: xr.Dataset) -> xr.DataTree:
    return xr.DataTree.from_dict({f"r{i}": ds for i, ds in enumerate(recordings)})


def arena(x: float, y: float, width: float, height: float) -> dict[str, float]:
    return {"arena_x": x, "arena_y": y, "arena_width": width, "arena_height": height}


def straight(times: np.ndarray, x: float = 30.0, y: float = 40.0) -> np.ndarray:
    """Go (x, y) px a second, from (5, 5)."""
    return np.stack([5 + x * times, 5 + y * times], axis=1)


def wander(rng: np.random.Generator, n: int) -> np.ndarray:
    """Walk at random between 0 and 400 px."""
    return np.abs((np.cumsum(rng.normal(0, 5, (n, 2)), axis=0) + 200) % 800 - 400)


# distance and speed


def test_a_constant_speed_comes_back_on_uneven_times() -> None:
    rng = np.random.default_rng(0)
    times = 60 + np.sort(rng.uniform(0, 0.004, 1200) + np.arange(1200) / 30)
    found = measures(tree(recording(times, straight(times))), bin_width="10 s")
    np.testing.assert_allclose(found.time, [5, 15, 25, 35])
    np.testing.assert_allclose(found.speed[0], 5.0, rtol=1e-6)  # 50 px/s, 10 px a cm
    np.testing.assert_allclose(found.distance.sum(), 5 * (times[-1] - times[0]), rtol=1e-6)
    np.testing.assert_allclose(found.share[0], [299 / 300, 1, 1, 1], atol=0.005)


def test_a_gap_is_missing_and_not_zero() -> None:
    times = np.arange(3000) / 30
    nose = straight(times)
    nose[600:1500] = np.nan  # from 20 to 50 s
    found = measures(
        tree(recording(times, nose)), bin_width="10 s", relative_to="start", min_share=0
    )
    hidden = slice(2, 5)
    assert np.isnan(found.distance[0, hidden]).all()
    assert np.isnan(found.speed[0, hidden]).all()
    assert np.isnan(found.centre_time[0, hidden]).all()
    np.testing.assert_array_equal(found.share[0, hidden], 0)
    seen = found.isel(time=[1, 6, 7, 8, 9])
    np.testing.assert_allclose(seen.distance[0], 50, rtol=1e-6)
    np.testing.assert_allclose(seen.share, 1)
    # the way behind the gap is not counted, and the step out of it neither
    np.testing.assert_allclose(found.distance[0, 5], 50 * 299 / 300, rtol=1e-6)
    np.testing.assert_allclose(found.share[0, 5], 299 / 300)
    np.testing.assert_allclose(found.speed[0, 5], 5, rtol=1e-6)


def test_dropped_frames_are_a_gap() -> None:
    times = np.delete(np.arange(900) / 30, slice(300, 600))  # 10 to 20 s
    found = measures(
        tree(recording(times, straight(times))),
        bin_width="10 s",
        relative_to="start",
        min_share=0.99,
    )
    np.testing.assert_allclose(found.distance[0], [50 * 299 / 300, np.nan, 50 * 299 / 300])
    np.testing.assert_allclose(found.share[0], [299 / 300, 0, 299 / 300])


def test_bins_with_less_than_the_share_are_missing() -> None:
    times = np.arange(600) / 30
    nose = straight(times)
    nose[300:480] = np.nan  # the second bin keeps 119 of 300 steps
    one = tree(recording(times, nose))
    for least, missing in [(0.5, True), (0.39, False)]:
        found = measures(one, bin_width="10 s", relative_to="start", min_share=least)
        assert np.isnan(found.speed.values[0]).tolist() == [False, missing]
        np.testing.assert_allclose(found.share[0, 1], 119 / 300)


def test_measures_equal_a_slow_loop() -> None:
    rng = np.random.default_rng(5)
    tracks = []
    for shift in (0.0, 7.3):
        times = shift + np.cumsum(rng.choice([0.033, 0.034, 0.2], 4000, p=[0.49, 0.5, 0.01]))
        nose = wander(rng, 4000)
        nose[rng.random(4000) < 0.1] = np.nan
        tracks.append(recording(times, nose, injection_time=60.5 + shift, **arena(0, 0, 400, 300)))
    width = 20.0
    found = measures(tree(*tracks), bin_width=width, min_share=0, centre=0.6)
    assert found.time[0] == -70  # the first bin holds the first frame, the last one the last
    interval = 0.034
    for r, ds in enumerate(tracks):
        times = ds.time.values - float(ds.injection_time)
        place = ds.position.values[:, :, 0, 0] / 10
        for b, middle in enumerate(found.time.values):
            distance = seconds = 0.0
            steps = centre = seen = 0
            for i in range(4000):
                if not middle - width / 2 <= times[i] < middle + width / 2:
                    continue
                if np.isfinite(place[i]).all():
                    seen += 1
                    centre += abs(place[i, 0] - 20) <= 12 and abs(place[i, 1] - 15) <= 9
                if i and times[i] - times[i - 1] < 1.5 * interval:
                    step = np.hypot(*(place[i] - place[i - 1]))
                    if np.isfinite(step):
                        distance += step
                        seconds += times[i] - times[i - 1]
                        steps += 1
            one = found.isel(recording=r, time=b)
            rate = 1 / np.median(np.diff(times))
            np.testing.assert_allclose(one.share, min(steps / (width * rate), 1))
            if steps:
                np.testing.assert_allclose(one.distance, distance, rtol=1e-5)
                np.testing.assert_allclose(one.speed, distance / seconds, rtol=1e-5)
                np.testing.assert_allclose(one.centre_share, centre / seen, rtol=1e-6)
                np.testing.assert_allclose(one.centre_time, centre / rate, rtol=1e-6)
            else:
                assert np.isnan(one.distance)


# time 0 and the baseline


def test_the_baseline_is_taken_off() -> None:
    """3 cm/s before the injection, 1 cm/s after it; the other recording the reverse."""
    times = np.arange(3600) / 30
    both = []
    for before, after in [(30, 10), (10, 30)]:
        x = np.where(times < 60, before * times, before * 60 + after * (times - 60))
        both.append(recording(times, np.stack([x, x * 0], axis=1)))
    found = measures(tree(*both), bin_width="10 s", baseline=("-40 s", "0 s"))
    np.testing.assert_allclose(found.time, np.arange(-55, 60, 10))
    np.testing.assert_allclose(found.speed_change[0, 1:6], 0, atol=1e-6)
    np.testing.assert_allclose(found.speed_change[0, 7:], -2, rtol=1e-5)
    np.testing.assert_allclose(found.speed_change[1, 7:], 2, rtol=1e-5)
    np.testing.assert_allclose(found.distance_change[0, 7:], -20, rtol=1e-5)
    assert found.attrs["baseline"] == ["-40 s", "0 s"]
    assert "speed_change" not in measures(tree(*both))


def test_a_baseline_after_an_injection_is_refused() -> None:
    times = np.arange(3600) / 30
    early = recording(times, straight(times), injection_time=30.0)
    late = recording(times, straight(times), injection_time=90.0)
    expected = "a stop before the injection, found 60 s, after the injection of r0"
    with pytest.raises(ArgumentError, match=expected):
        measures(tree(early, late), bin_width=10, relative_to="start", baseline=(0, 60))
    with pytest.raises(ArgumentError, match="found 10 s, after the injection of r0, r1"):
        measures(tree(early, late), bin_width=10, baseline=(-20, 10))
    found = measures(tree(early, late), bin_width=10, relative_to="start", baseline=(0, 30))
    np.testing.assert_allclose(found.speed_change, 0, atol=1e-5)
    with pytest.raises(ArgumentError, match="baseline: expected bins of 120 s, found none"):
        measures(tree(late), baseline=(-90, 0))
    for wrong in ("5 min", (1, 2, 3), 5):
        with pytest.raises(ArgumentError, match="baseline"):
            measures(tree(late), baseline=wrong)  # type: ignore[arg-type]


def test_a_baseline_that_was_not_seen_gives_nan() -> None:
    times = np.arange(3600) / 30
    nose = straight(times)
    nose[:1800] = np.nan
    found = measures(tree(recording(times, nose)), bin_width=10, baseline=(-60, 0))
    assert np.isfinite(found.speed[0, 6:]).all()
    assert np.isnan(found.speed_change).all()


# likelihood


@pytest.mark.parametrize(
    ("software", "given", "missing"),
    [
        ("DeepLabCut", None, True),
        ("DeepLabCut", 0.3, False),
        ("LightningPose", None, False),
        ("LightningPose", 0.9, True),
        ("SLEAP", None, False),
    ],
)
def test_a_threshold_belongs_to_a_tracker(
    software: str, given: float | None, missing: bool
) -> None:
    times = np.arange(600) / 30
    confidence = np.full((600, 1), 0.95)
    confidence[300:] = 0.5
    confidence[:10] = np.nan  # without confidence a point is kept
    one = recording(times, straight(times), confidence=confidence, software=software)
    found = measures(tree(one), bin_width=10, relative_to="start", likelihood=given)
    assert np.isnan(found.speed.values[0]).tolist() == [False, missing]
    assert found.share[0, 0] == pytest.approx(299 / 300)
    assert found.software.item() == software
    default = 0.9 if software == "DeepLabCut" else np.nan
    np.testing.assert_equal(found.likelihood.item(), default if given is None else given)


# place


def test_occupancy_is_the_time_in_each_field() -> None:
    times = np.arange(900) / 30
    x = np.where(times < 10, 105.0, np.where(times < 15, 145.0, 185.0))
    nose = np.stack([x, np.full(900, 55.0)], axis=1)
    nose[600:660] = np.nan  # 2 s
    small = recording(times, nose, **arena(100, 50, 90, 30))
    large = recording(times, nose, **arena(80, 50, 120, 60))
    found = measures(tree(small, large), relative_to="start", grid_cm=3.0)
    assert found.occupancy.dims == ("recording", "y", "x")
    np.testing.assert_allclose(found.x, [1.5, 4.5, 7.5, 10.5])
    np.testing.assert_allclose(found.y, [1.5, 4.5])
    nan = np.nan
    np.testing.assert_allclose(
        found.occupancy[0], [[10, 5, 13, nan], [nan, nan, nan, nan]], atol=1e-9
    )
    np.testing.assert_allclose(found.occupancy[1], [[10, 0, 5, 13], [0, 0, 0, 0]], atol=1e-9)
    assert found.arena.values.tolist() == ["given", "given"]


def test_the_centre_is_a_share_of_the_width_and_of_the_height() -> None:
    times = np.arange(1200) / 30
    second = times.astype(int) // 10
    x = np.choose(second, [100 + 26, 100 + 24, 100 + 50, 100 + 75])
    y = np.choose(second, [200 + 100, 200 + 100, 200 + 40, 200 + 150])
    one = recording(times, np.stack([x, y], axis=1).astype(float), **arena(100, 200, 100, 200))
    found = measures(tree(one), bin_width=10, relative_to="start")
    np.testing.assert_allclose(found.centre_share[0], [1, 0, 0, 1])
    np.testing.assert_allclose(found.centre_time[0], [10, 0, 0, 10])
    found = measures(tree(one), bin_width=10, relative_to="start", centre=0.61)
    np.testing.assert_allclose(found.centre_share[0], [1, 1, 1, 1])


def test_an_arena_is_estimated_where_none_is_given() -> None:
    rng = np.random.default_rng(1)
    times = np.arange(30_000) / 30
    nose = rng.uniform([50, 80], [450, 380], (30_000, 2))
    blank = recording(times, nose, **arena(np.nan, np.nan, np.nan, np.nan))
    given = recording(times, nose, **arena(50, 80, 400, 300))
    found = measures(tree(recording(times, nose), blank, given), bin_width=1000, grid_cm=1)
    assert found.arena.values.tolist() == ["estimated", "estimated", "given"]
    assert (found.sizes["x"], found.sizes["y"]) == (40, 30)
    np.testing.assert_allclose(found.occupancy.sum(("x", "y")), 1000, rtol=1e-9)
    share = found.centre_share.mean("time")
    np.testing.assert_allclose(share, 0.25, atol=0.02)


def test_a_nose_over_the_wall_is_in_the_outermost_field() -> None:
    times = np.arange(300) / 30
    nose = np.full((300, 2), [-20.0, 130.0])
    found = measures(
        tree(recording(times, nose, **arena(0, 0, 100, 100))), relative_to="start", grid_cm=5
    )
    np.testing.assert_allclose(found.occupancy[0], [[0, 0], [10, 0]])


# rearing


def test_a_short_body_is_rearing_and_a_bent_one_is_not() -> None:
    times = np.arange(1500) / 30
    second = times.astype(int) // 10
    centre = np.stack([200 + 20 * np.cos(times), 200 + 20 * np.sin(times)], axis=1)
    angle = np.where(second == 2, np.pi / 2, np.pi)  # bent in the third bin
    length = np.where((second == 1) | ((second == 3) & (times < 35)), 24.0, 40.0)
    nose = centre + np.stack([length, 0 * length], axis=1)
    tail = centre + length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    found = measures(tree(recording(times, nose, centre, tail)), bin_width=10, relative_to="start")
    np.testing.assert_allclose(found.rearing[0], [0, 1, 0, 0.5, 0])
    found = measures(
        tree(recording(times, nose, centre, tail)), bin_width=10, relative_to="start", rearing=0.59
    )
    np.testing.assert_allclose(found.rearing[0], 0)


def test_without_three_points_there_is_no_rearing() -> None:
    times = np.arange(600) / 30
    two = recording(times, straight(times), straight(times) - 40)
    found = measures(tree(two), bin_width=10, relative_to="start")
    assert np.isnan(found.rearing).all()
    assert np.isfinite(found.speed).all()


# points, labels


def test_a_point_is_named_by_a_part_of_its_name() -> None:
    times = np.arange(600) / 30
    points = (straight(times), straight(times, 60, 80), straight(times, 90, 120))
    one = recording(times, *points)
    for keypoint, speed in [("nose", 5), ("Body", 10), ("tail_base", 15)]:
        found = measures(tree(one), bin_width=10, relative_to="start", keypoint=keypoint)
        np.testing.assert_allclose(found.speed, speed, rtol=1e-6)
    with pytest.raises(ArgumentError, match=r"one point named b, found body_centre, tail_base"):
        measures(tree(one), relative_to="start", keypoint="b")
    with pytest.raises(ArgumentError, match="expected ear, found nose, body_centre, tail_base"):
        measures(tree(one), relative_to="start", keypoint="ear")


def test_labels_of_the_table_group_the_recordings() -> None:
    times = np.arange(600) / 30
    tracks = [
        recording(times, straight(times, 30 * k, 40 * k), dose=dose, route=route, cage=f"c{k}")
        for k, (dose, route) in enumerate([(0, "ip"), (75, "ip"), (75, "ip"), (75, "oral")], 1)
    ]
    found = measures(tree(*tracks), bin_width=10, relative_to="start")
    assert found.recording.values.tolist() == ["r0", "r1", "r2", "r3"]
    assert found.dose.dtype.kind == "i"
    assert found.cage.values.tolist() == ["c1", "c2", "c3", "c4"]
    assert found.px_per_cm.attrs["units"] == "px/cm"
    by = found.speed.mean("time").groupby(["dose", "route"]).mean()
    assert by.sel(dose=75, route="ip").item() == pytest.approx(12.5)
    assert by.sel(dose=75, route="oral").item() == pytest.approx(20)
    assert found.distance.attrs["units"] == "cm"
    assert found.speed.attrs["units"] == "cm/s"


# errors


def test_all_problems_of_recordings_are_told_at_once() -> None:
    times = np.arange(60) / 30
    good = recording(times, straight(times))
    frames = good.assign_attrs(time_unit="frames")
    blank = good.drop_vars("px_per_cm").assign_coords(injection_time=np.nan)
    two = xr.concat([good, good.assign_coords(individuals=["b"])], "individuals")
    with pytest.raises(SourceError) as caught:
        measures(tree(good, frames, blank, two))
    message = str(caught.value)
    assert "r1 has frame numbers, not times; r2 has no px_per_cm; r2 has no inj" in message
    assert "r3 has 2 animals" in message
    assert "r0" not in message
    with pytest.raises(SourceError, match="expected recordings, found none"):
        measures(xr.DataTree())
    with pytest.raises(SourceError, match="at least two frames, found 1"):
        measures(tree(good.isel(time=[0])))
    with pytest.raises(SourceError, match="likely positions of nose, found none"):
        measures(tree(good.assign(position=good.position * np.nan)))


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"bin_width": "two"}, ConfigError),
        ({"bin_width": 0}, ConfigError),
        ({"relative_to": "end"}, ArgumentError),
        ({"rearing": 0}, ArgumentError),
        ({"centre": 1.1}, ArgumentError),
        ({"min_share": -0.1}, ArgumentError),
        ({"grid_cm": 0}, ArgumentError),
        ({"likelihood": "high"}, ArgumentError),
    ],
)
def test_wrong_arguments_are_named(wrong: dict[str, Any], error: type[Exception]) -> None:
    times = np.arange(60) / 30
    with pytest.raises(error, match=f"measures, {next(iter(wrong))}"):
        measures(tree(recording(times, straight(times))), **wrong)


def test_without_movement_the_command_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "movement.io", None)
    with pytest.raises(MissingPackage, match=r"pip install 'lsdx\[movement\]'"):
        read(tmp_path / "a.csv")
    table = tmp_path / "all.csv"
    table.write_text(
        "file,subject,dose,route,date,frame_rate,px_per_cm\na.csv,M,0,ip,2026-01-05,30,10\n"
    )
    with pytest.raises(MissingPackage):
        open_recordings(table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a csv table"),
        ("file,subject\n", "columns dose, route, date, px_per_cm, found none in file, subject"),
        ("{head}\n", "expected rows, found none"),
        ("{head}\na.csv,M,0,ip,d,30,wide\n", "px_per_cm is text"),
        ("{head}\na.csv,M,0,ip,d,30,-1\nb.csv,M,0,ip,d,,1\n",
         "b.csv has frame_rate nan; a.csv has px_per_cm -1"),
        ("{head}\na.csv,M,0,ip,d,30,1\nx/a.h5,M,0,ip,d,30,1\n", "a stands there twice"),
        ("{head},arena_width\na.csv,M,0,ip,d,30,1,0\n", "a.csv has arena_width 0"),
    ],
)  # fmt: skip
def test_problems_of_the_table_are_named(text: str, message: str, tmp_path: Path) -> None:
    table = tmp_path / "all.csv"
    table.write_text(text.format(head="file,subject,dose,route,date,frame_rate,px_per_cm"))
    with pytest.raises(SourceError, match=message) as caught:
        open_recordings(table)
    assert str(table) in str(caught.value)


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.csv: expected a csv table"):
        open_recordings(tmp_path / "none.csv")
