"""Files of trackers, read through movement, and an open field from files to numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from lsdx.errors import ArgumentError, SourceError
from lsdx.open_field import measures, open_recordings, read

Write = Callable[..., Path]
PAGE = Path(__file__).parents[2] / "docs" / "howto" / "open_field.md"


@pytest.fixture
def values() -> np.ndarray:
    """Draw x, y in px and likelihood, (n, k, 3)."""
    rng = np.random.default_rng(2)
    return np.round(np.concatenate(
        [rng.uniform(0, 500, (40, 3, 2)), rng.uniform(0, 1, (40, 3, 1))], axis=2
    ), 3)  # fmt: skip


def same_points(ds: xr.Dataset, values: np.ndarray) -> None:
    position = ds.position.transpose("time", "keypoints", "space", "individuals")
    np.testing.assert_allclose(position[..., 0], values[..., :2], rtol=1e-6)
    np.testing.assert_allclose(ds.confidence[..., 0], values[..., 2], rtol=1e-6)


# reading


@pytest.mark.parametrize(
    ("scorer", "software"),
    [
        ("DLC_resnet50", "DeepLabCut"),
        ("heatmap_tracker", "LightningPose"),
        ("ensemble-kalman_tracker", "LightningPose"),
    ],
)
def test_a_csv_is_read(dlc: Write, values: np.ndarray, scorer: str, software: str) -> None:
    ds = read(dlc("a.csv", values, scorer=scorer), frame_rate=25)
    same_points(ds, values)
    assert ds.attrs["source_software"] == software
    assert ds.attrs["time_unit"] == "seconds"
    np.testing.assert_allclose(ds.time, np.arange(40) / 25)
    assert ds.keypoints.values.tolist() == ["nose", "body_centre", "tail_base"]


def test_the_h5_of_deeplabcut_is_read(tmp_path: Path, values: np.ndarray) -> None:
    columns = pd.MultiIndex.from_product(
        [["DLC"], ["nose", "body", "tail"], ["x", "y", "likelihood"]],
        names=["scorer", "bodyparts", "coords"],
    )
    path = tmp_path / "a.h5"
    pd.DataFrame(values.reshape(40, -1), columns=columns).to_hdf(path, key="df_with_missing")
    ds = read(path, frame_rate=30)
    same_points(ds, values)
    assert ds.attrs["source_software"] == "DeepLabCut"


@pytest.mark.parametrize("name", ["a.analysis.h5", "a.h5"])
def test_the_analysis_file_of_sleap_is_read(tmp_path: Path, values: np.ndarray, name: str) -> None:
    path = tmp_path / name
    with h5py.File(path, "w") as file:
        file["tracks"] = values[..., :2].T[None]
        file["point_scores"] = values[..., 2].T[None]
        file["node_names"] = [b"nose", b"body", b"tail"]
        file["track_names"] = [b"track_0"]
    ds = read(path, frame_rate=30)
    same_points(ds, values)
    assert ds.attrs["source_software"] == "SLEAP"


def test_the_labels_file_of_sleap_is_read(tmp_path: Path, values: np.ndarray) -> None:
    sio = pytest.importorskip("sleap_io")
    skeleton = sio.Skeleton(["nose", "body", "tail"])
    video = sio.Video(filename="a.mp4", open_backend=False)
    frames = [
        sio.LabeledFrame(
            video=video,
            frame_idx=i,
            instances=[
                sio.PredictedInstance.from_numpy(
                    row[:, :2], point_scores=row[:, 2], score=1.0, skeleton=skeleton
                )
            ],
        )
        for i, row in enumerate(values)
    ]
    path = tmp_path / "a.slp"
    sio.save_slp(sio.Labels(frames), str(path), embed=False)
    ds = read(path, frame_rate=30)
    same_points(ds, values)


def test_times_of_the_frames_are_taken(dlc: Write, values: np.ndarray) -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(0.03, 0.04, 40))
    ds = read(dlc("a.csv", values), times=times)
    np.testing.assert_array_equal(ds.time, times)
    assert ds.attrs["time_unit"] == "seconds"
    assert ds.attrs["fps"] == pytest.approx(1 / np.median(np.diff(times)))
    assert read(dlc("a.csv", values)).attrs["time_unit"] == "frames"
    with pytest.raises(SourceError, match="expected 39 frames, as many as times, found 40"):
        read(dlc("a.csv", values), times=times[1:])
    with pytest.raises(ArgumentError, match="read, times: expected finite times"):
        read(dlc("a.csv", values), times=np.full(40, np.nan))
    with pytest.raises(ArgumentError, match="read, frame_rate"):
        read(dlc("a.csv", values), frame_rate=0)
    with pytest.raises(ArgumentError, match="read, software: expected one of 'DeepLabCut'"):
        read(dlc("a.csv", values), software="dlc")


def test_damaged_files_are_named(dlc: Write, values: np.ndarray, tmp_path: Path) -> None:
    def refused(name: str, message: str) -> None:
        with pytest.raises(SourceError, match=message) as caught:
            read(tmp_path / name, frame_rate=30)
        assert str(tmp_path / name) in str(caught.value)

    refused("none.csv", "expected a file of tracked points, found none")
    text = dlc("a.csv", values).read_text()
    (tmp_path / "head.csv").write_text(text[text.index("bodyparts") :])
    refused("head.csv", "expected a file of DeepLabCut")
    (tmp_path / "words.csv").write_text(text.replace("0.5", "half"))
    refused("words.csv", "found text|expected a file of DeepLabCut")
    (tmp_path / "half.csv").write_text(text[: text.index("\n9,") + 20])
    half = read(tmp_path / "half.csv", frame_rate=30)
    assert half.sizes["time"] == 10  # no file says how many frames there are: times do
    for name in ("a.h5", "a.analysis.h5", "a.slp"):
        (tmp_path / name).write_text("no HDF5")
        refused(name, "expected")
    (tmp_path / "a.txt").write_text(text)
    refused("a.txt", r"expected .analysis.h5, .slp, .h5 or .csv, found .txt")
    wrong = values.copy()
    wrong[3, 0, 0] = 1e7
    dlc("far.csv", wrong)
    refused("far.csv", "found 1e.07 px")
    wrong = values.copy()
    wrong[3, 0, 2] = -0.5
    dlc("low.csv", wrong)
    refused("low.csv", "found a confidence of -0.5")
    dlc("nan.csv", values * np.nan)
    refused("nan.csv", "found no position at all")


# a folder


def test_a_folder_is_read_with_its_labels(field: Path) -> None:
    tree = open_recordings(field)
    assert list(tree.children) == [f"{i}_DLC" for i in range(4)]
    ds = tree["2_DLC"].to_dataset()
    assert ds.dose.item() == 75
    assert ds.route.item() == "ip"
    assert ds.date.item() == "2026-01-03"
    assert ds.injection_time.item() == 60
    assert ds.sizes["time"] == 3600


def test_the_folder_may_be_elsewhere_and_hold_times(field: Path, tmp_path: Path) -> None:
    table = pd.read_csv(field)
    np.save(field.parent / "t.npy", np.arange(3600) / 30 + 5)
    table = table.drop(columns="frame_rate").assign(times="t.npy", recording=list("abcd"))
    table.to_csv(tmp_path / "other.csv", index=False)
    tree = open_recordings(tmp_path / "other.csv", field.parent)
    assert list(tree.children) == list("abcd")
    assert tree["a"].time.values[0] == 5
    (field.parent / "t.npy").write_text("no array")
    with pytest.raises(SourceError, match=r"other\.csv, recording a: expected times in"):
        open_recordings(tmp_path / "other.csv", field.parent)
    (field.parent / "2_DLC.csv").unlink()
    with pytest.raises(SourceError, match=r"2_DLC\.csv: expected a file of tracked points"):
        open_recordings(field)


def test_known_answers_from_files_to_numbers(field: Path) -> None:
    found = measures(field, bin_width="10 s", baseline=("-1 min", "0 s"))
    np.testing.assert_allclose(found.time, np.arange(-55, 60, 10))
    # at the walls it turns between two frames: hence less than a step short
    expected = np.where(found.time < 0, 10, np.where(found.dose == 0, 10, 4).reshape(4, 1))
    seen = found.share >= 0.5
    hidden = np.zeros_like(seen)
    hidden[:, 7] = True  # from 70 to 76 s: 4 s are left, less than half
    np.testing.assert_array_equal(~seen, hidden)
    speed = found.speed.values
    assert np.isnan(speed[hidden]).all()
    np.testing.assert_allclose(speed[~hidden], expected[~hidden], rtol=0.02)
    # two steps of 50 are lost to a frame of low likelihood
    np.testing.assert_allclose(found.share.values[~hidden], 0.96, atol=0.01)
    change = found.speed_change.sel(time=slice(0, None)).mean("time")
    np.testing.assert_allclose(change, [0, 0, -6, -6], atol=0.15)
    # y between 10 and 30 cm is the middle half; it comes by every 2 s
    np.testing.assert_allclose(found.centre_share[:2, :6], 0.5, atol=0.02)
    np.testing.assert_allclose(found.rearing.values[~hidden], 0)
    column = found.occupancy.sum("y")
    np.testing.assert_allclose(column.sel(x=11), column.sum("x"))
    np.testing.assert_allclose(column.sum("x"), 120 * (1 - 1 / 50) - 6 * 49 / 50, atol=0.1)


def test_the_page_of_the_open_field_runs(field: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```\{code-block\} python\n(?::[^\n]*\n)*(.*?)```", PAGE.read_text(), re.S)
    assert blocks
    monkeypatch.chdir(field.parents[1])
    field.parent.rename(field.parents[1] / "open_field")
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert isinstance(names["by_dose"], xr.Dataset)
    assert set(names["by_dose"].speed.dims) == {"dose", "route", "time"}
