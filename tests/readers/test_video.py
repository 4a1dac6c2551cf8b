"""Camera and wheel files: each is read as what it is, or refused by name; none is ever guessed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from lsdx.errors import SourceError
from lsdx.readers.video import (
    ENSEMBLE,
    POSITION,
    TIMESTAMPS,
    TRACKERS,
    read_frame_counter,
    read_frame_times,
    read_motion_energy,
    read_pose,
    read_wheel,
)

WHERE = "session 0b7c1f6e-0000-3000-8000-000000000001, alf/_ibl_leftCamera.dlc.pqt"
LEFT = "_ibl_leftCamera.dlc.pqt"
# values that float32 holds exactly
TABLE = {
    "paw_l_x": [1.5, 2.5, 3.5],
    "paw_l_y": [10.0, 20.0, 30.0],
    "paw_l_likelihood": [0.25, 0.5, 1.0],
    "nose_tip_x": [100.0, 200.0, 300.0],
    "nose_tip_y": [-1.0, 0.0, 1.0],
    "nose_tip_likelihood": [0.0, 0.125, 0.75],
}


def table(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(TABLE | columns)


def pqt(folder: Path, columns: pd.DataFrame, name: str = LEFT) -> Path:
    columns.to_parquet(folder / name)
    return folder / name


def csv(folder: Path, columns: pd.DataFrame, name: str = "_ibl_leftCamera.dlc.csv") -> Path:
    """Write a table in the trackers' form: three header rows, frame numbers first."""
    form = re.compile(r"(\w+?)_((?:x|y|likelihood)(?:_ens_median|_ens_var|_posterior_var)?)")
    parts = [m.groups() for c in columns if (m := form.fullmatch(c))]
    index = pd.MultiIndex.from_tuples(
        [("network", *p) for p in parts], names=["scorer", "bodyparts", "coords"]
    )
    columns.set_axis(index, axis=1).to_csv(folder / name)
    return folder / name


def refused(read: Callable[..., object], *args: object, **more: object) -> str:
    """The message of the error that ``read`` raises, which must name the session and file."""
    with pytest.raises(SourceError) as caught:
        read(*args, **more)
    message = str(caught.value)
    assert WHERE in message
    return message


def read(path: Path, **more: Any) -> Any:
    return read_pose(path, WHERE, tracker="dlc", **more)


# ---- pose -----------------------------------------------------------------------------------


def test_lightning_pose_comes_first() -> None:
    assert list(TRACKERS.values()) == ["lightning_pose", "dlc"]


@pytest.mark.parametrize("write", [pqt, csv])
def test_pose_is_read_as_written(
    tmp_path: Path, write: Callable[[Path, pd.DataFrame], Path]
) -> None:
    pose = read(write(tmp_path, table()))
    assert (pose.tracker, pose.keypoints, pose.ensemble) == ("dlc", ("paw_l", "nose_tip"), {})
    assert pose.notes == ()
    np.testing.assert_array_equal(
        pose.position,
        [[[1.5, 100.0], [10.0, -1.0]], [[2.5, 200.0], [20.0, 0.0]], [[3.5, 300.0], [30.0, 1.0]]],
    )
    np.testing.assert_array_equal(pose.confidence, [[0.25, 0.0], [0.5, 0.125], [1.0, 0.75]])
    assert (pose.position.dtype, pose.confidence.dtype) == (np.float32, np.float32)


@pytest.mark.parametrize("write", [pqt, csv])
def test_one_frame_is_read(tmp_path: Path, write: Callable[[Path, pd.DataFrame], Path]) -> None:
    pose = read(write(tmp_path, table().iloc[:1]))
    assert pose.position.tolist() == [[[1.5, 100.0], [10.0, -1.0]]]


@pytest.mark.parametrize("write", [pqt, csv])
def test_no_frame_is_refused(tmp_path: Path, write: Callable[[Path, pd.DataFrame], Path]) -> None:
    refused(read, write(tmp_path, table().iloc[:0]))


@pytest.mark.parametrize("write", [pqt, csv])
def test_blank_cells_are_nan(tmp_path: Path, write: Callable[[Path, pd.DataFrame], Path]) -> None:
    columns = table(paw_l_x=[1.5, np.nan, 3.5], paw_l_likelihood=[np.nan, 0.5, 1.0])
    pose = read(write(tmp_path, columns))
    assert np.argwhere(np.isnan(pose.position)).tolist() == [[1, 0, 0]]
    assert np.argwhere(np.isnan(pose.confidence)).tolist() == [[0, 0]]


def test_without_likelihood_confidence_is_nan(tmp_path: Path) -> None:
    pose = read(pqt(tmp_path, table().drop(columns="paw_l_likelihood")))
    assert np.isnan(pose.confidence[:, 0]).all()
    assert pose.confidence[:, 1].tolist() == [0.0, 0.125, 0.75]
    assert pose.position[:, 0, 0].tolist() == TABLE["paw_l_x"]


@pytest.mark.parametrize("kind", ["float32", "float64", "int16", "uint8", "int64", "Int32"])
def test_numbers_of_every_kind_are_read(tmp_path: Path, kind: str) -> None:
    pose = read(pqt(tmp_path, table(paw_l_x=pd.array([1, 2, 3], dtype=kind))))
    assert pose.position[:, 0, 0].tolist() == [1, 2, 3]


def test_a_table_in_several_row_groups_is_one(tmp_path: Path) -> None:
    pa.parquet.write_table(pa.table(TABLE), tmp_path / LEFT, row_group_size=1)
    assert read(tmp_path / LEFT).position[:, 0, 0].tolist() == TABLE["paw_l_x"]


def test_a_dotted_name_is_a_name(tmp_path: Path) -> None:
    columns = pd.DataFrame({"paw.l_x": [1.0], "paw.l_y": [2.0], "paw_x": [3.0], "paw_y": [4.0]})
    pose = read(pqt(tmp_path, columns))
    assert pose.keypoints == ("paw.l", "paw")
    assert pose.position.tolist() == [[[1.0, 3.0], [2.0, 4.0]]]


@pytest.mark.parametrize("write", [pqt, csv])
def test_suffixes_are_matched_exactly(
    tmp_path: Path, write: Callable[[Path, pd.DataFrame], Path]
) -> None:
    columns = table(
        paw_l_x_ens_median=[4.0, 5.0, 6.0],
        paw_l_y_ens_median=[7.0, 8.0, 9.0],
        paw_l_x_ens_var=[0.5, 0.5, 0.25],
        nose_tip_y_posterior_var=[2.0, 2.0, 4.0],
    )
    path = write(tmp_path, columns)
    plain = read(path)
    assert (plain.keypoints, plain.ensemble, plain.notes) == (("paw_l", "nose_tip"), {}, ())
    pose = read(path, ensemble=True)
    np.testing.assert_array_equal(pose.position, plain.position)
    assert set(pose.ensemble) == set(ENSEMBLE)
    assert pose.ensemble["ens_median"][:, :, 0].tolist() == [[4.0, 7.0], [5.0, 8.0], [6.0, 9.0]]
    assert pose.ensemble["ens_var"][:, 0, 0].tolist() == [0.5, 0.5, 0.25]
    assert pose.ensemble["posterior_var"][:, 1, 1].tolist() == [2.0, 2.0, 4.0]
    given = sum(int(np.isfinite(v).sum()) for v in pose.ensemble.values())
    assert given == 4 * 3
    assert all(v.dtype == np.float32 and v.shape == (3, 2, 2) for v in pose.ensemble.values())


def test_the_ensemble_of_a_table_without_is_empty(tmp_path: Path) -> None:
    assert read(pqt(tmp_path, table()), ensemble=True).ensemble == {}


def test_an_ensemble_without_its_keypoint_is_no_keypoint(tmp_path: Path) -> None:
    pose = read(pqt(tmp_path, table(paw_r_x_ens_var=0.5)), ensemble=True)
    assert (pose.keypoints, pose.ensemble) == (("paw_l", "nose_tip"), {})


@pytest.mark.parametrize("bad", [-0.5, np.inf])
def test_a_variance_that_cannot_be_is_refused(tmp_path: Path, bad: float) -> None:
    path = pqt(tmp_path, table(paw_l_x_ens_var=[0.5, 0.5, bad]))
    assert "paw_l_x_ens_var" in refused(read, path, ensemble=True)
    assert read(path).ensemble == {}


def test_columns_of_unknown_kind_are_named(tmp_path: Path) -> None:
    pose = read(pqt(tmp_path, table(paw_l_zscore=[1.0, 2.0, 3.0], video="text")))
    assert pose.keypoints == ("paw_l", "nose_tip")
    assert pose.notes == ("columns not read: paw_l_zscore, video",)


def test_an_index_is_no_column(tmp_path: Path) -> None:
    pa.parquet.write_table(pa.table(TABLE | {"__index_level_0__": [5, 6, 7]}), tmp_path / LEFT)
    assert read(tmp_path / LEFT).notes == ()


def test_a_keypoint_never_seen_is_kept_and_named(tmp_path: Path) -> None:
    pose = read(pqt(tmp_path, table(paw_l_x=np.nan, paw_l_y=np.nan)))
    assert pose.keypoints == ("paw_l", "nose_tip")
    assert pose.notes == ("keypoints without any coordinate: paw_l",)


@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize("write", [pqt, csv])
def test_a_keypoint_needs_both_coordinates(
    tmp_path: Path, write: Callable[[Path, pd.DataFrame], Path], axis: str
) -> None:
    path = write(tmp_path, table().drop(columns=f"nose_tip_{axis}"))
    assert f"no nose_tip_{axis}" in refused(read, path)


def test_a_likelihood_alone_is_no_keypoint(tmp_path: Path) -> None:
    path = pqt(tmp_path, table().drop(columns=["paw_l_x", "paw_l_y"]))
    assert "no paw_l_x, paw_l_y" in refused(read, path)


def test_a_table_without_keypoints_is_refused(tmp_path: Path) -> None:
    path = pqt(tmp_path, pd.DataFrame({"cluster_id": [0], "paw_l_x_ens_median": [1.0], "_x": [1]}))
    assert "cluster_id" in refused(read, path)


def test_a_table_of_text_is_refused(tmp_path: Path) -> None:
    assert "paw_l_x" in refused(read, pqt(tmp_path, table().astype(str)))


@pytest.mark.parametrize("column", ["paw_l_y", "nose_tip_likelihood"])
@pytest.mark.parametrize(
    "values",
    [["1", "2", "3"], [True, False, True], [None, None, None]],
    ids=["numeric text", "truth", "nothing"],
)
def test_a_column_that_is_no_numbers_is_refused(tmp_path: Path, column: str, values: Any) -> None:
    message = refused(read, pqt(tmp_path, table(**{column: values})))
    assert f"column {column}: expected numbers" in message


def test_half_precision_is_refused(tmp_path: Path) -> None:
    columns = {**TABLE, "paw_l_x": np.array(TABLE["paw_l_x"], dtype=np.float16)}
    pa.parquet.write_table(pa.table(columns), tmp_path / LEFT)
    assert "paw_l_x" in refused(read, tmp_path / LEFT)


def test_duplicate_columns_are_refused(tmp_path: Path) -> None:
    arrays = [pa.array(v) for v in TABLE.values()]
    doubled = pa.Table.from_arrays([*arrays, arrays[0]], names=[*TABLE, "paw_l_x"])
    pa.parquet.write_table(doubled, tmp_path / LEFT)
    assert "paw_l_x twice" in refused(read, tmp_path / LEFT)
    path = csv(tmp_path, table())
    path.write_text(path.read_text().replace("nose_tip", "paw_l"))
    assert "paw_l_likelihood twice" in refused(read, path)


@pytest.mark.parametrize("write", [pqt, csv])
def test_all_nan_is_refused(tmp_path: Path, write: Callable[[Path, pd.DataFrame], Path]) -> None:
    nothing = dict.fromkeys([c for c in TABLE if c[-1] in "xy"], np.nan)
    assert "NaN alone" in refused(read, write(tmp_path, table(**nothing)))


@pytest.mark.parametrize("write", [pqt, csv])
@pytest.mark.parametrize("bad", [1e5, -1e5, 1e7, np.inf, -np.inf])
def test_coordinates_beyond_any_image_are_refused(
    tmp_path: Path, write: Callable[[Path, pd.DataFrame], Path], bad: float
) -> None:
    message = refused(read, write(tmp_path, table(nose_tip_y=[0.0, bad, 1.0])))
    assert "nose_tip_y" in message
    assert "at frame 1" in message


@pytest.mark.parametrize("bad", [np.iinfo(np.int64).min, np.iinfo(np.int64).max])
def test_the_largest_integers_are_no_coordinates(tmp_path: Path, bad: int) -> None:
    assert "paw_l_x" in refused(read, pqt(tmp_path, table(paw_l_x=[1, 2, bad])))


def test_large_images_are_read(tmp_path: Path) -> None:
    pose = read(pqt(tmp_path, table(nose_tip_y=[99_999.0, -99_999.0, 0.0])))
    assert pose.position[:, 1, 1].tolist() == [99_999.0, -99_999.0, 0.0]


@pytest.mark.parametrize("write", [pqt, csv])
@pytest.mark.parametrize("bad", [-0.01, 1.01, -1.0, 50.0, np.inf, 1 + 2e-6, -2e-6])
def test_likelihoods_outside_their_range_are_refused(
    tmp_path: Path, write: Callable[[Path, pd.DataFrame], Path], bad: float
) -> None:
    path = write(tmp_path, table(paw_l_likelihood=[0.5, 0.5, bad]))
    assert "paw_l_likelihood" in refused(read, path)


@pytest.mark.parametrize("write", [pqt, csv])
def test_likelihoods_that_rounding_put_outside_are_clipped(
    tmp_path: Path, write: Callable[[Path, pd.DataFrame], Path]
) -> None:
    pose = read(write(tmp_path, table(paw_l_likelihood=[-1e-7, 0.5, 1 + 5e-7])))
    assert pose.confidence[:, 0].tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize(
    ("camera", "keypoint"),
    [
        ("left", "tail_start"),
        ("right", "tail_start"),
        ("body", "pupil_top_r"),
        ("body", "tongue_end_l"),
    ],
)
def test_another_cameras_keypoints_are_refused(tmp_path: Path, camera: str, keypoint: str) -> None:
    columns = pd.DataFrame({f"{keypoint}_x": [1.0], f"{keypoint}_y": [2.0]})
    message = refused(read, pqt(tmp_path, columns, f"_ibl_{camera}Camera.lightningPose.pqt"))
    assert keypoint in message
    assert camera in message
    read(pqt(tmp_path, columns, "_ibl_bellyCamera.lightningPose.pqt"))


@pytest.mark.parametrize(
    ("camera", "keypoint"),
    [("left", "pupil_top_r"), ("right", "tongue_end_l"), ("body", "tail_start"), ("body", "nose")],
)
def test_its_own_keypoints_are_read(tmp_path: Path, camera: str, keypoint: str) -> None:
    columns = pd.DataFrame({f"{keypoint}_x": [1.0], f"{keypoint}_y": [2.0]})
    path = pqt(tmp_path, columns, f"_ibl_{camera}Camera.dlc.0000-uuid.pqt")
    assert read(path).keypoints == (keypoint,)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_half_a_parquet_file_is_refused(tmp_path: Path, share: float) -> None:
    path = pqt(tmp_path, table())
    raw = path.read_bytes()
    path.write_bytes(raw[: int(share * len(raw))])
    refused(read, path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    refused(read, tmp_path / "x.pqt")
    refused(read, tmp_path / "x.csv")


def test_damaged_files_are_refused_or_read_as_tables(tmp_path: Path) -> None:
    """A flipped byte gives a named error or numbers, never another exception."""
    path = pqt(tmp_path, table())
    raw = path.read_bytes()
    rng = np.random.default_rng(0)
    n_refused = 0
    for place in rng.choice(len(raw), size=200, replace=False):
        damaged = bytearray(raw)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            read(path)
        except SourceError:
            n_refused += 1
    assert n_refused > 20


# ---- csv ------------------------------------------------------------------------------------


def test_a_csv_is_written_as_trackers_do(tmp_path: Path) -> None:
    lines = csv(tmp_path, table(paw_l_x_ens_var=0.5)).read_text().splitlines()
    assert lines[1].split(",")[:4] == ["bodyparts", "paw_l", "paw_l", "paw_l"]
    assert lines[2].split(",")[-2:] == ["likelihood", "x_ens_var"]


def test_frame_numbers_may_start_anywhere(tmp_path: Path) -> None:
    columns = table().set_axis([1000, 1001, 1002])
    assert read(csv(tmp_path, columns)).position[:, 0, 0].tolist() == TABLE["paw_l_x"]


@pytest.mark.parametrize("numbers", [[0, 1, 3], [0, 0, 1], [2, 1, 0], ["a", "b", "c"]])
def test_frame_numbers_that_do_not_rise_by_one_are_refused(tmp_path: Path, numbers: Any) -> None:
    refused(read, csv(tmp_path, table().set_axis(numbers)))


@pytest.mark.parametrize(
    "header",
    [
        ["scorer,n,n", "individuals,a,a", "bodyparts,p,p", "coords,x,y"],
        ["bodyparts,p,p", "coords,x,y"],
        ["scorer,n,n", "bodyparts,p,p", "coords,x"],
        ["p_x,p_y", "1.0,2.0", "1.0,2.0"],
        ["scorer,n,n"],
        [],
    ],
)
def test_other_headers_are_refused(tmp_path: Path, header: list[str]) -> None:
    path = tmp_path / "pose.csv"
    path.write_text("\n".join([*header, "0,1.0,2.0", ""]))
    refused(read, path)


@pytest.mark.parametrize("row", ["2,3.5", "2,3.5,30.0,1.0,300.0,1.0,0.75,9", "2,x,1,1,1,1,1"])
def test_rows_of_another_form_are_refused(tmp_path: Path, row: str) -> None:
    path = csv(tmp_path, table().iloc[:2])
    path.write_text(f"{path.read_text()}{row}\n")
    refused(read, path)


def test_half_a_csv_file_is_refused_or_noted(tmp_path: Path) -> None:
    path = csv(tmp_path, table())
    text = path.read_text()
    path.write_text(text[: text.rindex(",")])
    refused(read, path)
    path.write_text(text.removesuffix("5\n"))
    assert "may be cut" in read(path).notes[0]
    path.write_bytes(b"\xff\xfe\x00" + text.encode())
    refused(read, path)


def test_line_ends_and_marks_of_windows_are_read(tmp_path: Path) -> None:
    path = csv(tmp_path, table())
    plain = read(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    again = read(path)
    np.testing.assert_array_equal(again.position, plain.position)
    assert again.notes == ()


# ---- times, motion energy, counter -----------------------------------------------------------


def npy(folder: Path, array: Any) -> Path:
    np.save(folder / "array.npy", array)
    return folder / "array.npy"


@pytest.mark.parametrize("shape", [(-1,), (-1, 1), (1, -1)])
def test_frame_times_keep_their_order(tmp_path: Path, shape: tuple[int, ...]) -> None:
    times = np.array([-0.5, 0.25, 0.25, 0.125, 4000.123456])
    found = read_frame_times(npy(tmp_path, times.reshape(shape)), WHERE)
    np.testing.assert_array_equal(found, times)
    assert found.dtype == np.float64


def test_single_precision_is_read(tmp_path: Path) -> None:
    found = read_frame_times(npy(tmp_path, np.array([0.5, 0.75], dtype=np.float32)), WHERE)
    assert (found.dtype, found.tolist()) == (np.float64, [0.5, 0.75])


@pytest.mark.parametrize(
    "times",
    [
        np.array([0.0, np.nan]),
        np.array([0.0, np.inf]),
        np.array([-np.inf]),
        np.array([]),
        np.array([0, 1, 2]),
        np.array([0.0, 1.0], dtype=np.float16),
        np.array([0.0, 1.7e9]),
        np.array(["0", "1"]),
        np.zeros((2, 2)),
    ],
    ids=["nan", "inf", "-inf", "none", "integers", "half", "another clock", "text", "table"],
)
def test_bad_frame_times_are_refused(tmp_path: Path, times: np.ndarray) -> None:
    refused(read_frame_times, npy(tmp_path, times), WHERE)


def test_motion_energy_is_read(tmp_path: Path) -> None:
    found = read_motion_energy(npy(tmp_path, np.array([np.nan, 0.0, 2.5])), WHERE)
    np.testing.assert_array_equal(found, np.array([np.nan, 0.0, 2.5], dtype=np.float32))
    assert found.dtype == np.float32
    whole = read_motion_energy(npy(tmp_path, np.array([[1], [2]], dtype=np.uint8)), WHERE)
    assert (whole.dtype, whole.tolist()) == (np.float32, [1.0, 2.0])


@pytest.mark.parametrize("bad", [[1.0, -0.5], [1.0, np.inf], [np.nan, np.nan], [], [1e39]])
def test_bad_motion_energy_is_refused(tmp_path: Path, bad: list[float]) -> None:
    refused(read_motion_energy, npy(tmp_path, np.array(bad, dtype=np.float64)), WHERE)


def frame_data(folder: Path, counter: Any) -> Path:
    rows = np.column_stack([[11.0] * len(counter), [12.0] * len(counter), counter, [13.0] * 3])
    rows.astype("<f8").tofile(folder / "frames.bin")
    return folder / "frames.bin"


def test_the_frame_counter_is_the_third_column(tmp_path: Path) -> None:
    found = read_frame_counter(frame_data(tmp_path, [7, 8, 2**40]), WHERE)
    assert (found.dtype, found.tolist()) == (np.int64, [7, 8, 2**40])


@pytest.mark.parametrize("bad", [-1.0, 0.5, np.nan, np.inf, 2.0**53])
def test_a_counter_that_does_not_count_is_refused(tmp_path: Path, bad: float) -> None:
    assert "at frame 1" in refused(read_frame_counter, frame_data(tmp_path, [0, bad, 2]), WHERE)


@pytest.mark.parametrize("n_bytes", [0, 31, 33, 88])
def test_half_a_table_of_frame_data_is_refused(tmp_path: Path, n_bytes: int) -> None:
    path = frame_data(tmp_path, [0, 1, 2])
    path.write_bytes(path.read_bytes()[:n_bytes])
    refused(read_frame_counter, path, WHERE)
    refused(read_frame_counter, tmp_path / "none.bin", WHERE)


# ---- wheel ----------------------------------------------------------------------------------


def wheel(folder: Path, times: Any, position: Any) -> dict[str, Path]:
    np.save(folder / TIMESTAMPS, times)
    np.save(folder / POSITION, position)
    return {name: folder / name for name in (TIMESTAMPS, POSITION)}


def test_the_wheel_is_read_as_written(tmp_path: Path) -> None:
    found = read_wheel(wheel(tmp_path, np.array([0.5, 1.5]), np.array([0.25, -0.25])), WHERE)
    assert found.times.tolist() == [0.5, 1.5]
    assert found.position.tolist() == [0.25, -0.25]
    assert (found.position.dtype, found.notes) == (np.float64, ())


def test_of_equal_times_the_last_is_kept(tmp_path: Path) -> None:
    times = np.array([0.0, 1.0, 1.0, 1.0, 2.0, 2.0])
    found = read_wheel(wheel(tmp_path, times, np.arange(6.0)), WHERE)
    assert found.times.tolist() == [0.0, 1.0, 2.0]
    assert found.position.tolist() == [0.0, 3.0, 5.0]
    assert found.notes[0].endswith(": 3")


@pytest.mark.parametrize(
    ("times", "position"),
    [
        ([0.0, 1.0], [0.0]),
        ([0.0, np.nan], [0.0, 1.0]),
        ([0.0, 1.0], [0.0, np.inf]),
        ([1.0, 0.0], [0.0, 1.0]),
        ([], []),
    ],
    ids=["lengths", "nan time", "infinite position", "unsorted", "empty"],
)
def test_a_bad_wheel_is_refused(tmp_path: Path, times: list[float], position: list[float]) -> None:
    files = wheel(tmp_path, np.array(times, dtype=float), np.array(position, dtype=float))
    refused(read_wheel, files, WHERE)


# ---- real files -----------------------------------------------------------------------------

KS094 = "cortexlab/Subjects/KS094/2022-06-17/001/alf"
WITTEN = "wittenlab/Subjects/ibl_witten_25/2020-12-08/001/alf"


@pytest.mark.parametrize(
    ("camera", "n_frames", "rate", "first"),
    [("left", 1000, 60, 0.0499), ("right", 2500, 150, 0.0266)],
)
def test_real_paws_are_read(
    sample: Path, camera: str, n_frames: int, rate: float, first: float
) -> None:
    path = sample / KS094 / f"_ibl_{camera}Camera.lightningPose.pqt"
    pose = read_pose(path, WHERE, tracker="lightning_pose", ensemble=True)
    assert pose.keypoints == ("paw_l", "paw_r")
    assert pose.position.shape == (n_frames, 2, 2)
    assert (pose.ensemble, pose.notes) == ({}, ())
    whole = pd.read_parquet(path)
    for j, keypoint in enumerate(pose.keypoints):
        both = whole[[f"{keypoint}_x", f"{keypoint}_y"]].to_numpy(np.float32)
        np.testing.assert_array_equal(pose.position[:, :, j], both)
        likelihood = whole[f"{keypoint}_likelihood"].to_numpy(np.float32)
        np.testing.assert_array_equal(pose.confidence[:, j], likelihood)
    times = read_frame_times(sample / KS094 / f"_ibl_{camera}Camera.times.npy", WHERE)
    assert times.size == n_frames
    assert 1 / np.median(np.diff(times)) == pytest.approx(rate, rel=0.01)
    assert times[1] - times[0] == pytest.approx(first, abs=5e-5)


def test_a_real_pupil_is_read(sample: Path) -> None:
    path = sample / WITTEN / "_ibl_leftCamera.lightningPose.pqt"
    pose = read_pose(path, WHERE, tracker="lightning_pose")
    assert pose.keypoints == tuple(f"pupil_{s}_r" for s in ("top", "right", "bottom", "left"))
    assert pose.position.shape == (2000, 2, 4)
