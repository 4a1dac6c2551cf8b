"""Eight simulated recordings of an open field, as DeepLabCut writes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lsdx.arguments import whole_number
from lsdx.demo.folder import write_once
from lsdx.demo.formats import write_csv, write_json
from lsdx.demo.records import Record

Floats = NDArray[np.float64]

VERSION = 1  # of the generator: raised whenever the same seed gives other bytes
KEYPOINTS = ("nose", "body_centre", "tail_base")
RATE = 30  # frames/s
DURATION = 120  # s
INJECTION = 60.0  # s
ARENA = 40.0  # cm, side of the square
MARGIN = 5.0  # cm from the wall, that the body's centre keeps
HALF_BODY = 4.0  # cm from the centre of the body to the nose
CORNER = (120.0, 60.0)  # px, left and top edge of the arena
# Speed after the injection over the speed before, by dose in ug/kg.
SLOWER = {0: 1.0, 75: 0.8, 150: 0.6, 300: 0.4}
ROUTES = ("ip", "catheter")
TURNING = (1.0, 0.5)  # rad/s and s: standard deviation and time constant of the turning rate
REARED = 0.45  # length of the body in the image while it stands, over its length
N_REARINGS, REARING = 6, 1.0  # number, and s each
RISE = 6  # frames in which it stands up
LOW_SHARE, LOW_ERROR = 0.02, 3.0  # share of the points that are bad; cm
GAP = 3.0  # s without the animal
NOISE = 0.05  # px


@dataclass(frozen=True)
class Recording:
    """One recording: its row of the table, where the animal truly was, what the tracker says."""

    row: Record
    table: pd.DataFrame
    truth: Record


def write_open_field(folder: str | Path, seed: int = 0) -> Path:
    """Simulate eight recordings of an open field and write them as DeepLabCut's csv files.

    Parameters
    ----------
    folder : str or Path
        New, empty, or holding these very recordings, which are then kept as they are.
    seed : int, default 0
        Not negative. The same seed gives the same bytes.

    Returns
    -------
    Path
        Absolute path of the folder. It holds eight csv files, ``recordings.csv`` with one row
        each, and ``truth.json``.

    Raises
    ------
    ArgumentError
        If the seed is out of range.
    ConfigError
        If the folder holds anything else.

    Notes
    -----
    Four doses times two routes, 2 min at 30 frames/s each, of nose, body centre and tail base. The
    body's centre walks at a constant speed, with a turning rate that is an Ornstein-Uhlenbeck
    process, and is reflected 5 cm before the walls of a square of 40 cm. From the injection at
    60 s on, its speed is multiplied by 1, 0.8, 0.6 or 0.4, by dose. Six times the body is short in
    the image for 1 s, as if it reared. Points of low likelihood lie elsewhere; for 3 s no point is
    seen. ``truth.json`` holds, of each recording, the true path of each keypoint before and after
    the injection (cm), with and without what the gap hides, the time in the centre (the middle
    half of the arena's width and height), the spans of rearing and of the gap, and the share of
    points of low likelihood.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     root = write_open_field(Path(folder) / "open_field")
    ...     table = pd.read_csv(root / "recordings.csv")
    ...     len(list(root.glob("*DLC.csv"))), sorted(set(table.dose))
    (8, [0, 75, 150, 300])
    """
    generator = {
        "name": "lsdx demo, open field",
        "version": VERSION,
        "seed": whole_number(seed, "write_open_field, seed", least=0),
    }
    return write_once(folder, generator, partial(_write, generator=generator))


def _write(root: Path, generator: Record) -> None:
    streams = np.random.SeedSequence(generator["seed"]).spawn(len(SLOWER) * len(ROUTES))
    recordings = [_draw(np.random.default_rng(s), index) for index, s in enumerate(streams)]
    for each in recordings:
        _write_dlc(root / each.row["file"], each.table)
    write_csv(root / "recordings.csv", pd.DataFrame([each.row for each in recordings]))
    known = {"generator": generator, "arena_cm": ARENA, "keypoints": list(KEYPOINTS)}
    write_json(root / "truth.json", known | {"recordings": [each.truth for each in recordings]})


def _write_dlc(path: Path, table: pd.DataFrame) -> None:
    """Write a table under DeepLabCut's three header rows."""
    heads = {
        "scorer": ["lsdx_demo"] * table.shape[1],
        "bodyparts": [key for key in KEYPOINTS for _ in range(3)],
        "coords": ["x", "y", "likelihood"] * len(KEYPOINTS),
    }
    text = "".join(",".join([name, *row]) + "\n" for name, row in heads.items())
    text += table.to_csv(header=False, lineterminator="\n")
    path.write_text(text, encoding="utf-8", newline="\n")


def _draw(rng: np.random.Generator, index: int) -> Recording:
    """Draw one recording."""
    dose, route = list(SLOWER)[index // len(ROUTES)], ROUTES[index % len(ROUTES)]
    before = round(rng.uniform(7, 9), 2)
    speeds = (before, round(before * SLOWER[dose], 4))
    subject, day = f"OF-{index + 1:02d}", date(2026, 3, 2) + timedelta(days=index)
    scale = (10.0, 8.0)[index % 2]
    times = np.arange(DURATION * RATE) / RATE
    rears = _starts(rng, N_REARINGS, REARING)
    (gap,) = _starts(rng, 1, GAP)
    places = _places(rng, np.where(times < INJECTION, *speeds), _within(times, rears, REARING))
    hidden = _within(times, np.array([gap]), GAP)
    table, low = _tracked(rng, places * scale + CORNER, hidden, scale)
    row = {
        "file": f"{day:%Y%m%d}_{subject}_DLC.csv",
        "subject": subject,
        "dose": dose,
        "route": route,
        "date": day.isoformat(),
        "frame_rate": RATE,
        "injection_time": INJECTION,
        "px_per_cm": scale,
        "arena_x": CORNER[0],
        "arena_y": CORNER[1],
        "arena_width": ARENA * scale,
        "arena_height": ARENA * scale,
    }
    steps = np.sqrt(np.square(np.diff(places, axis=1)).sum(axis=2))
    late = times[1:] >= INJECTION
    seen = ~(hidden[1:] | hidden[:-1])
    middle = (np.abs(places - ARENA / 2) <= ARENA / 4).all(axis=2)
    truth = {
        "file": row["file"],
        "speed": {"before": speeds[0], "after": speeds[1]},
        "distance": _by_keypoint(steps, ~late, late),
        "distance_seen": _by_keypoint(steps, ~late & seen, late & seen),
        "centre_time": _by_keypoint(
            np.where(middle, 1 / RATE, 0.0), times < INJECTION, times >= INJECTION
        ),
        "rearing": [[float(start), float(start + REARING)] for start in rears],
        "gap": [float(gap), float(gap + GAP)],
        "low_share": dict(zip(KEYPOINTS, low.mean(axis=1).tolist(), strict=True)),
    }
    return Recording(row, table, truth)


def _by_keypoint(
    values: Floats, before: NDArray[np.bool_], after: NDArray[np.bool_]
) -> dict[str, dict[str, float]]:
    """Return sums over the frames before and after the injection, by keypoint."""
    return {
        key: {"before": float(row[before].sum()), "after": float(row[after].sum())}
        for key, row in zip(KEYPOINTS, values, strict=True)
    }


def _starts(rng: np.random.Generator, n: int, lasts: float) -> Floats:
    """Draw when n spans begin: whole seconds, one in each n-th of the recording."""
    room = DURATION / n
    starts = np.arange(n) * room + rng.integers(1, int(room - lasts), n)
    return starts.astype(np.float64)


def _within(times: Floats, starts: Floats, lasts: float) -> NDArray[np.bool_]:
    """Return which times lie in a span."""
    since = times[:, None] - starts
    return np.asarray(((since >= 0) & (since < lasts)).any(axis=1))


def _places(rng: np.random.Generator, speed: Floats, reared: NDArray[np.bool_]) -> Floats:
    """Draw a walk: where the keypoints are, (keypoint, frame, 2) cm from the arena's corner."""
    sd, time = TURNING
    keep = np.exp(-1 / (RATE * time))
    kernel = keep ** np.arange(10 * RATE * time) * np.sqrt(1 - keep**2)
    turning = np.convolve(rng.normal(0, sd, speed.size + kernel.size - 1), kernel, mode="valid")
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(turning) / RATE
    steps = np.column_stack([np.cos(heading), np.sin(heading)]) * speed[:, None] / RATE
    room = ARENA - 2 * MARGIN
    walk = rng.uniform(0, room, 2) + np.cumsum(steps, axis=0)
    centre = MARGIN + room - np.abs(walk % (2 * room) - room)  # reflected at the walls
    moved = np.diff(centre, axis=0, prepend=centre[:1] - steps[:1])
    width = np.ones(RATE // 2)
    axis = np.column_stack([np.convolve(column, width, mode="same") for column in moved.T])
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    rising = np.convolve(reared, np.ones(RISE) / RISE, mode="same")
    axis *= HALF_BODY * (1 - (1 - REARED) * rising)[:, None]
    return np.stack([centre + axis, centre, centre - axis])


def _tracked(
    rng: np.random.Generator, places: Floats, hidden: NDArray[np.bool_], scale: float
) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """Draw the tracker's table (px), and which points are of low likelihood."""
    shape = places.shape[:2]
    low = rng.random(shape) < LOW_SHARE
    noise = rng.normal(0, NOISE, places.shape)
    noise[low] = rng.normal(0, LOW_ERROR * scale, (np.count_nonzero(low), 2))
    found = places + noise
    found[:, hidden] = places[:, hidden.argmax()][:, None] + noise[:, hidden]  # it lost the animal
    low |= hidden
    likelihood = np.where(low, rng.uniform(0.02, 0.6, shape), rng.uniform(0.95, 1, shape))
    values = np.concatenate([found, likelihood[:, :, None]], axis=2)
    return pd.DataFrame(np.round(values.transpose(1, 0, 2).reshape(shape[1], -1), 3)), low
