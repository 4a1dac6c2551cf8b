"""The behaviour of the demo: files as real ones, latents that the truth tells, named oddities."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lsdx.demo import write_cohort, write_open_field
from lsdx.errors import ArgumentError, ConfigError

SIDE = [
    *(f"pupil_{side}_r" for side in ("top", "right", "bottom", "left")),
    *("nose_tip", "tongue_end_l", "tongue_end_r", "paw_l", "paw_r", "tube_top", "tube_bottom"),
]
ENSEMBLE = [
    f"{axis}_{name}" for name in ("ens_median", "ens_var", "posterior_var") for axis in "xy"
]


@pytest.fixture(scope="module")
def truth(demo_cohort: Path) -> list[dict[str, Any]]:
    return json.loads((demo_cohort / "truth.json").read_text())["sessions"]


def having(truth: list[dict[str, Any]], oddity: str) -> dict[str, Any]:
    return next(session for session in truth if oddity in session["oddities"])


def cameras(truth: list[dict[str, Any]]) -> list[tuple[dict[str, Any], str, dict[str, Any]]]:
    return [
        (session, name, camera)
        for session in truth
        for name, camera in session["behavior"]["cameras"].items()
    ]


class Files:
    """The files of one camera of one session."""

    def __init__(self, root: Path, session: dict[str, Any], name: str) -> None:
        self.folder, self.name = root / session["path"] / "alf", name
        self.tracker = {"lightning_pose": "lightningPose", "dlc": "dlc"}[
            session["behavior"]["cameras"][name]["tracker"]
        ]

    @property
    def pose(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / f"_ibl_{self.name}Camera.{self.tracker}.pqt")

    @property
    def times(self) -> np.ndarray:
        return np.load(self.folder / f"_ibl_{self.name}Camera.times.npy")

    @property
    def energy(self) -> np.ndarray:
        return np.load(self.folder / f"{self.name}Camera.ROIMotionEnergy.npy")


def movement(session: dict[str, Any], times: np.ndarray) -> np.ndarray:
    """Return the movement that the truth tells, bout by bout."""
    bouts = session["behavior"]["movement"]
    values = np.zeros(times.size)
    for onset, offset, vigor in zip(*bouts.values(), strict=True):
        values[(times >= onset) & (times < offset)] = vigor
    return values


def arousal(session: dict[str, Any], times: np.ndarray) -> np.ndarray:
    known = session["behavior"]["arousal"]
    return np.interp(times, np.arange(len(known["values"])) * known["step"], known["values"])


def diameter(pose: pd.DataFrame) -> np.ndarray:
    """Return the mean of the two distances of opposite points; NaN where one is unlikely."""
    upright = pose["pupil_bottom_r_y"] - pose["pupil_top_r_y"]
    across = pose["pupil_right_r_x"] - pose["pupil_left_r_x"]
    likely = pose[[f"{key}_likelihood" for key in SIDE[:4]]].min(axis=1) > 0.9
    return ((upright + across) / 2).where(likely).to_numpy()


# ---- files -----------------------------------------------------------------------------------


def test_files_are_named_as_real_ones(demo_cohort: Path, truth: list[dict[str, Any]]) -> None:
    for session in truth:
        folder = demo_cohort / session["path"] / "alf"
        found = {path.name for path in folder.iterdir() if path.is_file()}
        expected = {"_ibl_wheel.position.npy", "_ibl_wheel.timestamps.npy"}
        for name, camera in session["behavior"]["cameras"].items():
            tracker = {"lightning_pose": "lightningPose", "dlc": "dlc"}[camera["tracker"]]
            expected |= {f"_ibl_{name}Camera.{tracker}.pqt", f"{name}Camera.ROIMotionEnergy.npy"}
            if camera["n_times"] is not None:
                expected.add(f"_ibl_{name}Camera.times.npy")
        if "two_trackers" in session["oddities"]:
            expected.add("_ibl_bodyCamera.dlc.pqt")
        assert found == expected
        rig = (
            {"left", "right", "body"}
            if session["path"].split("/")[3] < "2025"
            else {
                "left",
                "right",
            }
        )
        missing = {"right"} if "no_camera" in session["oddities"] else set()
        assert set(session["behavior"]["cameras"]) == rig - missing


def test_columns_are_those_of_the_trackers(demo_cohort: Path, truth: list[dict[str, Any]]) -> None:
    for session, name, camera in cameras(truth):
        pose = Files(demo_cohort, session, name).pose
        suffixes = ["x", "y", "likelihood"] if camera["likelihood"] else ["x", "y"]
        if camera["tracker"] == "lightning_pose" and name != "right":
            suffixes += ENSEMBLE
        keypoints = ["tail_start"] if name == "body" else SIDE
        assert list(pose) == [f"{key}_{suffix}" for key in keypoints for suffix in suffixes]
        assert (pose.dtypes == np.float64).all()
        assert np.isfinite(pose).all(axis=None)
        assert list(camera["speed"]) == keypoints
        if camera["likelihood"]:
            likelihood = pose.filter(regex="_likelihood$")
            assert likelihood.min(axis=None) >= 0
            assert likelihood.max(axis=None) <= 1
            assert (likelihood < 0.9).any(axis=None), "no point is bad"


def test_frames_and_times(demo_cohort: Path, truth: list[dict[str, Any]]) -> None:
    rates = {"left": (12, 3), "right": (15, 4), "body": (6, 2)}
    for session, name, camera in cameras(truth):
        files = Files(demo_cohort, session, name)
        assert len(files.pose) == files.energy.size == camera["n_frames"]
        assert files.energy.dtype == np.float32
        if camera["n_times"] is None:
            continue
        times, (rate, late) = files.times, rates[name]
        assert times.dtype == np.float64
        assert times.size == camera["n_times"]
        steps = np.diff(times)
        assert np.median(steps) == pytest.approx(1 / rate, rel=1e-3)
        assert steps[0] == pytest.approx(late / rate, abs=1e-3), "the second frame is late"
        assert steps.min() > 0.5 / rate
        assert 0 < times[0] < 5
        assert session["recording_end"] - 3 < times[-1] + 5 / rate
        assert times[-1] < session["recording_end"]


@pytest.mark.parametrize(
    ("oddity", "name", "state", "surplus", "more"),
    [
        ("surplus_times", "right", "trimmed", "last", 3),
        ("surplus_minutes", "right", "untestable", "first", 9 * 60 * 15),
        ("short_times", "right", "error", "", -5),
        ("dropped_frames", "left", "times", "", 0),
    ],
)
def test_odd_clocks(
    demo_cohort: Path,
    truth: list[dict[str, Any]],
    oddity: str,
    name: str,
    state: str,
    surplus: str,
    more: int,
) -> None:
    session = having(truth, oddity)
    camera = session["behavior"]["cameras"][name]
    assert (camera["state"], camera["surplus"]) == (state, surplus)
    files = Files(demo_cohort, session, name)
    times, n = files.times, len(files.pose)
    assert times.size - n == more
    odd = [each["index"] for each in truth if oddity in each["oddities"]]
    assert len(odd) == 1
    if state == "error":
        return
    meant = times[-n:] if surplus == "last" else times[:n]
    assert meant[0] == camera["first_frame"]
    # the energy tells which times are meant: no others fit the movement as well
    moves = movement(session, meant)
    assert np.corrcoef(files.energy, moves)[0, 1] > 0.95
    if surplus:
        others = times[:n] if surplus == "last" else times[-n:]
        assert np.corrcoef(files.energy, movement(session, others))[0, 1] < 0.95


def test_dropped_frames(demo_cohort: Path, truth: list[dict[str, Any]]) -> None:
    session = having(truth, "dropped_frames")
    camera = session["behavior"]["cameras"]["left"]
    times = Files(demo_cohort, session, "left").times
    (gap,) = camera["gaps"]
    widest = np.diff(times).argmax()
    assert times[widest : widest + 2].tolist() == gap
    assert gap[1] - gap[0] == pytest.approx(30 + 1 / 12, abs=1e-3)
    path = demo_cohort / session["path"] / "raw_video_data/_iblrig_leftCamera.frameData.bin"
    counter = np.fromfile(path).reshape(-1, 4)[:, 2]
    assert counter.size == times.size
    assert camera["n_dropped"] == 360 == (np.diff(counter) - 1).sum()
    assert counter[widest + 1] - counter[widest] == 361


def test_no_times_no_likelihood_and_one_tracker(
    demo_cohort: Path, truth: list[dict[str, Any]]
) -> None:
    session = having(truth, "no_times")
    found = session["behavior"]["cameras"]
    assert {name: each["state"] for name, each in found.items()} == {
        "left": "times",
        "right": "no times",
    }
    assert "no_likelihood" in session["oddities"]
    assert not any(each["likelihood"] for each in found.values())
    session = having(truth, "dlc_only")
    trackers = {each["tracker"] for each in session["behavior"]["cameras"].values()}
    assert trackers == {"dlc"}


# ---- what the animal does ------------------------------------------------------------------------


def test_latents_are_what_they_are_said_to_be(truth: list[dict[str, Any]]) -> None:
    values = [np.array(each["behavior"]["arousal"]["values"]) for each in truth]
    assert np.mean([each.std() for each in values]) == pytest.approx(1, abs=0.1)
    lagged = [np.corrcoef(each[10:], each[:-10])[0, 1] for each in values]
    assert np.mean(lagged) == pytest.approx(np.exp(-1), abs=0.1), "10 s is the time constant"
    for session in truth:
        bouts = session["behavior"]["movement"]
        onset, offset = np.array(bouts["onset"]), np.array(bouts["offset"])
        assert (onset[1:] - offset[:-1] >= 2 - 1e-9).all()
        assert np.allclose(offset - onset, np.round(offset - onset), atol=1e-9)
        assert offset[-1] < session["recording_end"]
        assert 0.1 < (offset - onset).sum() / session["recording_end"] < 0.3


def test_the_pupil_follows_arousal_and_dilates_after_lsd_only(
    demo_cohort: Path, truth: list[dict[str, Any]]
) -> None:
    for session, name, camera in cameras(truth):
        if name == "body" or camera["state"] != "times" or not camera["likelihood"]:
            continue
        files = Files(demo_cohort, session, name)
        times = files.times
        known = session["behavior"]["pupil"]
        assert known["dilation"] == (0.3 if session["condition"] == "lsd" else 0)
        assert camera["pupil_diameter"] == {"left": 40, "right": 20}[name]
        relative = diameter(files.pose) / camera["pupil_diameter"]
        rest = relative / np.exp(known["arousal_weight"] * arousal(session, times))
        before = times < session["injection"]["exact"]
        after = times > session["injection"]["exact"] + known["ramp"]
        assert np.nanmedian(rest[before]) == pytest.approx(1, abs=0.01)
        assert np.nanmedian(rest[after]) == pytest.approx(1 + known["dilation"], abs=0.01)
        assert np.nanstd(rest[before]) < 0.02
        assert np.isnan(rest).mean() < 0.1


def test_paws_nose_and_tail_move_in_bouts_at_the_known_speed(
    demo_cohort: Path, truth: list[dict[str, Any]]
) -> None:
    session = truth[0]
    for name, key in (("left", "paw_r"), ("left", "nose_tip"), ("right", "paw_l")):
        files, camera = Files(demo_cohort, session, name), session["behavior"]["cameras"][name]
        times = files.times
        place = files.pose[[f"{key}_x", f"{key}_y"]].to_numpy()
        good = files.pose[f"{key}_likelihood"] > 0.9
        place = place[good]
        times = times[good]
        velocity = np.gradient(place, times, axis=0)
        speed = np.hypot(*velocity.T)
        moves = movement(session, times)
        # frames a second apart from both ends of a bout, and of even spacing
        inside = (moves > 0) & (np.roll(moves, 3) == moves) & (np.roll(moves, -3) == moves)
        at_rest = (moves == 0) & (np.roll(moves, 3) == 0) & (np.roll(moves, -3) == 0)
        angle = 2 * np.pi / camera["frame_rate"]
        chord = np.sin(angle) / angle  # of a central difference on a circle once round a second
        ratio = np.median(speed[inside] / (moves[inside] * camera["speed"][key] * chord))
        assert ratio == pytest.approx(1, abs=0.05)
        assert np.median(speed[at_rest]) < 5
    paws = session["behavior"]["cameras"]["left"]["speed"]
    assert paws["paw_r"] == pytest.approx(40 * np.pi, abs=1e-3), "20 px once round a second"


def test_wheel(demo_cohort: Path, truth: list[dict[str, Any]]) -> None:
    for session in truth:
        folder, known = demo_cohort / session["path"] / "alf", session["behavior"]
        times = np.load(folder / "_ibl_wheel.timestamps.npy")
        position = np.load(folder / "_ibl_wheel.position.npy")
        assert times.shape == position.shape
        assert (np.diff(times) > 0).all()
        path = np.abs(np.diff(position)).sum()
        assert path == pytest.approx(known["wheel"]["path"])
        bouts = {key: np.array(value) for key, value in known["movement"].items()}
        ideal = known["wheel"]["speed"] * bouts["vigor"] * (bouts["offset"] - bouts["onset"])
        assert ideal.sum() - path < 2 * np.pi / 256 * ideal.size
        assert path <= ideal.sum() + 1e-9
        assert (movement(session, times[1:-1] - 1e-3) > 0).all(), "it turns in bouts only"


# ---- units that follow ---------------------------------------------------------------------------


def test_few_plain_units_follow(truth: list[dict[str, Any]]) -> None:
    tables = [pd.DataFrame(each["units"]) for each in truth if each["units"]]
    units = pd.concat(tables)
    follows = units["follows"] != ""
    assert set(units["follows"]) == {"", "arousal", "movement"}
    assert ((units["weight"] != 0) == follows).all()
    assert 0.05 < follows.mean() < 0.12
    assert not units.loc[follows, ["modulated", "drifting", "visual"]].any(axis=None)
    assert units.loc[follows, "weight"].abs().between(0.4, 1.0).all()
    session = having(truth, "bombcell")
    own = pd.DataFrame(session["units"])
    assert (own["follows"][own["pid"] == session["insertions"][0]["pid"]] == "").all()


def test_units_follow_with_their_weight(tmp_path: Path) -> None:
    root = write_cohort(tmp_path / "cohort", n_sessions=1, n_units=120)
    (session,) = json.loads((root / "truth.json").read_text())["sessions"]
    units = pd.DataFrame(session["units"])
    edges = np.arange(0, session["recording_end"], 1.0)
    # latents in bins of 1 s, from a finer grid
    fine = np.arange(0.01, edges[-1], 0.02)
    latents = {
        "arousal": arousal(session, fine).reshape(-1, 50).mean(axis=1),
        "movement": movement(session, fine).reshape(-1, 50).mean(axis=1),
    }
    slopes: dict[str, list[float]] = {key: [] for key in ("arousal", "movement", "neither")}
    for insertion in session["insertions"]:
        folder = root / session["path"] / "alf" / insertion["name"] / insertion["sorter"]
        times = np.load(folder / "spikes.times.npy")
        clusters = np.load(folder / "spikes.clusters.npy")
        metrics = pd.read_parquet(folder / "clusters.metrics.pqt").set_index("cluster_id")
        mine = units[(units["pid"] == insertion["pid"]) & (units["rate"] > 0.5)]
        for unit in mine.itertuples():
            spikes = times[clusters == unit.cluster_id]
            assert metrics.loc[unit.cluster_id, "spike_count"] == spikes.size
            assert np.diff(spikes).min() >= 0.0015 - 1e-9
            counts = np.histogram(spikes, edges)[0]
            slope = {key: log_slope(counts, latent) for key, latent in latents.items()}
            if unit.follows:
                slopes[unit.follows].append(slope[unit.follows] - unit.weight)
                other = "movement" if unit.follows == "arousal" else "arousal"
                slopes["neither"].append(slope[other])
            elif not unit.modulated and not unit.drifting:
                slopes["neither"] += slope.values()
    assert len(slopes["arousal"]) == len(slopes["movement"]) == 6
    for key in ("arousal", "movement"):
        assert np.abs(slopes[key]).max() < 0.25
        assert abs(np.mean(slopes[key])) < 0.1
    assert abs(np.mean(slopes["neither"])) < 0.05
    assert np.std(slopes["neither"]) < 0.15


def log_slope(counts: np.ndarray, latent: np.ndarray) -> float:
    """Return the weight of a latent in the log rate, by Poisson regression (Newton's steps)."""
    design = np.column_stack([np.ones(latent.size), latent])
    weights = np.array([np.log(counts.mean()), 0.0])
    for _ in range(20):
        rate = np.exp(design @ weights)
        weights += np.linalg.solve(design.T * rate @ design, design.T @ (counts - rate))
    return float(weights[1])


# ---- the open field ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_open_field(tmp_path_factory.mktemp("field") / "open_field")


def read_dlc(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, header=[0, 1, 2], index_col=0)
    assert table.columns.names == ["scorer", "bodyparts", "coords"]
    return table.droplevel("scorer", axis=1)


def test_eight_recordings(field: Path, tmp_path: Path) -> None:
    table = pd.read_csv(field / "recordings.csv")
    known = json.loads((field / "truth.json").read_text())
    assert list(table)[:8] == [
        *("file", "subject", "dose", "route", "date", "frame_rate", "injection_time", "px_per_cm")
    ]
    assert len(table) == len(known["recordings"]) == 8
    assert table.groupby(["dose", "route"]).size().tolist() == [1] * 8
    again = write_open_field(tmp_path / "again")
    assert {p.name: p.read_bytes() for p in again.iterdir()} == {
        p.name: p.read_bytes() for p in field.iterdir()
    }
    other = write_open_field(tmp_path / "other", seed=1)
    assert (other / table["file"][0]).read_bytes() != (field / table["file"][0]).read_bytes()


def test_the_path_in_the_open_field_is_the_true_one(field: Path) -> None:
    known = json.loads((field / "truth.json").read_text())
    table = pd.read_csv(field / "recordings.csv")
    for row, true in zip(table.itertuples(), known["recordings"], strict=True):
        pose = read_dlc(field / row.file)
        assert pose.shape == (3600, 9)
        assert true["file"] == row.file
        times = np.arange(3600) / row.frame_rate
        before = times < row.injection_time
        assert true["speed"]["after"] / true["speed"]["before"] == pytest.approx(
            {0: 1, 75: 0.8, 150: 0.6, 300: 0.4}[row.dose], abs=1e-3
        )
        for key in known["keypoints"]:
            likely = (pose[key, "likelihood"] >= 0.9).to_numpy()
            assert 1 - likely.mean() == pytest.approx(true["low_share"][key])
            gap = (times >= true["gap"][0]) & (times < true["gap"][1])
            assert not likely[gap].any()
            assert 0.9 < likely[~gap].mean() < 1
            place = pose[key][["x", "y"]].to_numpy() - [row.arena_x, row.arena_y]
            place /= row.px_per_cm
            inside = place[likely]
            assert inside.min() > 0
            assert inside.max() < row.arena_width / row.px_per_cm == 40
            # across single bad frames a line, across the gap nothing
            step = np.hypot(*np.diff(inside, axis=0).T)
            frames = np.flatnonzero(likely)
            step[np.diff(frames) > 60] = 0
            late = frames[1:] >= np.flatnonzero(~before)[0]
            for phase, which in (("before", ~late), ("after", late)):
                assert step[which].sum() == pytest.approx(
                    true["distance_seen"][key][phase], rel=0.02
                )
                assert true["distance_seen"][key][phase] <= true["distance"][key][phase]
            if key == "body_centre":
                for phase, speed in true["speed"].items():
                    assert true["distance"][key][phase] == pytest.approx(60 * speed, rel=0.01)
            middle = ((inside > 10) & (inside < 30)).all(axis=1)
            share = {"before": middle[before[likely]], "after": middle[~before[likely]]}
            for phase, values in share.items():
                expected = true["centre_time"][key][phase] / 60
                assert values.mean() == pytest.approx(expected, abs=0.04)


def test_the_body_is_short_while_it_rears(field: Path) -> None:
    known = json.loads((field / "truth.json").read_text())
    for true in known["recordings"]:
        pose = read_dlc(field / true["file"])
        ends = [pose[key][["x", "y"]].to_numpy() for key in ("nose", "tail_base")]
        likely = [(pose[key, "likelihood"] >= 0.9).to_numpy() for key in ("nose", "tail_base")]
        length = np.hypot(*(ends[0] - ends[1]).T)
        length = np.where(likely[0] & likely[1], length / np.median(length), np.nan)
        times = np.arange(3600) / 30
        assert len(true["rearing"]) == 6
        short = np.zeros(3600, bool)
        for start, stop in true["rearing"]:
            short |= (times >= start) & (times < stop)
            middle = (times >= start + 0.2) & (times < stop - 0.2)
            assert not (length[middle] > 0.6).any()
        near = np.convolve(short, np.ones(13), mode="same") > 0
        assert not (length[~near] < 0.9).any()


def test_a_foreign_folder_or_seed_is_refused(field: Path, tmp_path: Path) -> None:
    assert write_open_field(field) == field
    with pytest.raises(ConfigError, match=r"seed': 1.*seed': 0.*Name another folder"):
        write_open_field(field, seed=1)
    with pytest.raises(ConfigError, match="lsdx demo, open field"):
        write_cohort(field)
    with pytest.raises(ArgumentError, match=r"seed: .*whole number of at least 0"):
        write_open_field(tmp_path / "new", seed=-1)
    assert not (tmp_path / "new").exists()
