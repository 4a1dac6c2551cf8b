"""A simulated cohort, written as a local ONE cache, whose ground truth is known.

The cohort imitates what the reading rules have to cope with: two sorters on one probe, a run
without tables, a filler run, a missing probe, and so on. Each oddity has a name in
``truth.json``. Nothing in it comes from a real recording.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid3

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tqdm import tqdm

from lsdx.errors import ConfigError, located

__all__ = ["VERSION", "write_cohort"]

VERSION = 2
"""Version of the generator: raised whenever the same arguments give other bytes."""

Record = dict[str, Any]
Floats = NDArray[np.float64]
Span = tuple[float, float]

# Subject, date, condition, LSD days of the mouse so far, oddities. The oddities steer the writing.
FIRST_SESSIONS = """
LSDX-A 2023-01-19 lsd    1 sorter_differs_by_probe
LSDX-A 2023-06-14 lsd    2 rig_clock_run
LSDX-B 2023-02-22 lsd    1 two_sorters_on_one_probe imec00 no_gabor_table bombcell
LSDX-B 2025-01-20 saline 1 missing_uuids revisions
LSDX-C 2025-02-05 lsd    1 filler_run ends_early
LSDX-D 2025-02-12 saline 0 filler_run missing_probe long_spontaneous
LSDX-C 2025-02-19 lsd    2 no_spikes
""".strip().splitlines()
# The further sessions, seven at a time: mouse, date in the first week, and so on.
FURTHER_SESSIONS = """
0 2025-03-03 lsd    1 filler_run
0 2025-03-07 saline 1 filler_run
1 2023-08-22 lsd    1
2 2023-08-21 lsd    1
2 2023-08-25 lsd    2
2 2025-03-05 lsd    3 filler_run
3 2025-03-06 saline 0 filler_run
""".strip().splitlines()
HISTOLOGY = ("resolved", "resolved", "aligned", "resolved", "traced", "resolved", "no-tracing")
# Region, Allen id and per cent of the channels, from the tip upwards.
TRACKS = {
    "probe00": "LGd-co 496345668 5, LGd-sh 496345664 5, LP 218 20, DG-mo 10703 11, CA1 382 16, "
    "cing 940 6, VISp6a 33 8, VISp5 778 13, VISp4 721 6, VISp2/3 821 8, VISp1 593 2",
    "probe01": "CP 672 20, PL6a 84 7, PL5 363 12, PL2/3 304 8, ACAd6a 919 8, ACAd5 1015 14, "
    "ACAd2/3 211 8, MOs5 767 12, MOs2/3 962 8, MOs1 656 3",
}
TIPS = {"probe00": (2100.0, -2500.0, -3900.0), "probe01": (-500.0, 1900.0, -3700.0)}  # um
SLOPE = np.array([0.12, -0.08, 0.98])  # of the probes, from the tip upwards
VISUAL = ("VISp2/3", "VISp4", "VISp5", "VISp6a", "LP", "LGd-sh", "LGd-co")
CONTRA = -35.0  # deg: probe00 is in the right hemisphere
CHANNELS = 384
SAMPLE_RATE = 30_000  # Hz
REFRACTORY = 45  # samples: 1.5 ms
BIN = 0.05  # s, step of the latents and of the rates
BLOCK = 64  # units whose rates are held at once
DIMENSIONS = 6  # latent dimensions; LSD doubles them
SHARED_SD = 0.5  # standard deviation of the log rate that the latents give
RAMP = 900.0  # s from the injection to the full effect, reached before the post run
REVISION = "2025-01-01"
SORTER_VERSIONS = {"iblsorter": "iblsorter_1.9.1", "pykilosort": "pykilosort_ibl_1.4.1"}
TABLE_METADATA = {"date_created": "2026-01-01 00:00", "origin": "lsdx demo"}
QC = pd.CategoricalDtype(["NOT_SET", "PASS", "WARNING", "FAIL", "CRITICAL"], ordered=True)


def write_cohort(
    directory: str | Path,
    *,
    n_sessions: int = 7,
    n_units: int = 200,
    seed: int = 0,
    progress: bool = False,
) -> Path:
    """Simulate a cohort and write it as ALF files in a local ONE cache.

    Parameters
    ----------
    directory : str or Path
        Root of the cache: new, empty, or holding this very cohort, which is then kept as it is.
    n_sessions : int, default 7
        Sessions to write. Session k is the same whatever their number.
    n_units : int, default 200
        Units that spike, per session, half on each probe; at least 4. Silent clusters come
        on top.
    seed : int, default 0
        Seed of the cohort, not negative. The same arguments give the same bytes.
    progress : bool, default False
        Show a progress bar, on a terminal only.

    Returns
    -------
    Path
        Absolute path of the cache. Beside ONE's tables it holds ``alyx_records.json``,
        ``administrations.csv``, ``trajectories.csv``, ``lsdx.toml`` and ``truth.json``.

    Raises
    ------
    ConfigError
        If an argument is out of range, or the directory holds anything else.

    Notes
    -----
    Unit i fires as a Poisson process with a refractory period of 1.5 ms and the rate
    ``base_i * exp(loadings_i . z(t) + log(gain_i) d(t) + log(drift_i) (t / T - 1 / 2))``,
    where z are Ornstein-Uhlenbeck processes with time constants of 1 to 4 s, and d rises from
    0 at the injection to 1 after 900 s in LSD sessions and stays 0 in saline sessions. The
    loadings are spread over 6 dimensions at d = 0 and over 12 at d = 1, with the same variance
    of the log rate. Gabors add spikes to visual units 50 to 150 ms after their onset.
    Bombcell's duplicate flags mark spikes at random.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     root = write_cohort(Path(folder) / "demo", n_sessions=1, n_units=4)
    ...     sorted(path.name for path in root.glob("*.pqt"))
    ['datasets.pqt', 'insertions.pqt', 'sessions.pqt']
    """
    given: Record = {"n_sessions": n_sessions, "n_units": n_units, "seed": seed}
    for (name, value), least in zip(given.items(), (1, 4, 0), strict=True):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            where, expected = f"write_cohort({name}=...)", f"a whole number of at least {least}"
            raise ConfigError(located(where, expected, repr(value), "Give another value."))
    generator = {"name": "lsdx demo", "version": VERSION, **given}
    target = Path(directory).resolve()
    if _is_written(target, generator):
        return target
    scratch = target.with_name(f".{target.name}.{os.getpid()}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        _write(scratch, generator, progress=progress)
        if target.exists():
            target.rmdir()
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _is_written(target: Path, generator: Record) -> bool:
    """Tell whether the directory holds this cohort; refuse one that holds anything else."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    held = _held_generator(target / "truth.json")
    if held == generator:
        return True
    found = "other files" if target.is_dir() else "a file"
    if held is not None:
        found = f"the demo cohort of {held}"
    expected = f"an empty folder or the demo cohort of {generator}"
    advice = "Name another folder, or remove this one if nothing in it is needed."
    raise ConfigError(located(str(target), expected, found, advice))


def _held_generator(path: Path) -> Record | None:
    try:
        truth = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    generator = truth.get("generator") if isinstance(truth, dict) else None
    return generator if isinstance(generator, dict) else None


def _write(root: Path, generator: Record, *, progress: bool) -> None:
    sessions = []
    indices = range(generator["n_sessions"])
    for index in tqdm(indices, "demo cohort", disable=None if progress else True):
        session = _Session(root, _plan(index), generator["seed"])
        session.write(generator["n_units"])
        sessions.append(session)
    _write_tables(root, sessions)
    _write_lab_tables(root, sessions)
    records = {
        "format": 1,
        "created": "2026-01-01T00:00:00",
        "source": "lsdx demo",
        "simulated": True,
        "sessions": [session.detail() for session in sessions],
        "insertions": [record for session in sessions for record in session.insertions],
        "stacks": {session.plan.subject: _stacks(session.plan.subject) for session in sessions},
    }
    _write_json(root / "alyx_records.json", records, indent=1)
    truth = {"generator": generator, "sessions": [session.truth for session in sessions]}
    _write_json(root / "truth.json", truth)


# ---- the plan of a session ------------------------------------------------------------------


@dataclass(frozen=True)
class _Plan:
    """What a session is, before anything is drawn."""

    index: int
    subject: str
    day: date
    condition: str
    rec_day: int
    oddities: tuple[str, ...]

    def __contains__(self, oddity: str) -> bool:
        return oddity in self.oddities

    @property
    def lab(self) -> str:
        return "demolab_north" if self.subject in ("LSDX-A", "LSDX-B") else "demolab_south"

    @property
    def number(self) -> int:
        return 2 if self.index % 7 == 1 else 1

    @property
    def path(self) -> str:
        return f"{self.lab}/Subjects/{self.subject}/{self.day}/{self.number:03d}"

    @property
    def weight(self) -> float:
        """Weight in g, within a few per cent between the days of one mouse."""
        grams = 21.4 + sum(map(ord, self.subject)) * 13 % 80 / 10 + self.index % 5 * 0.2
        return round(grams, 1)

    @property
    def probes(self) -> tuple[str, ...]:
        return ("probe00",) if "missing_probe" in self else ("probe00", "probe01")

    def sorter(self, probe: str) -> str:
        differs = "sorter_differs_by_probe" in self and probe == "probe01"
        return "pykilosort" if differs else "iblsorter"


def _plan(index: int) -> _Plan:
    """Plan one session: the first seven by hand, the rest in a pattern of four mice."""
    week, slot = divmod(index - len(FIRST_SESSIONS), len(FURTHER_SESSIONS))
    row = FIRST_SESSIONS[index] if week < 0 else FURTHER_SESSIONS[slot]
    mouse, day_text, condition, rec_day, *oddities = row.split()
    day = date.fromisoformat(day_text)
    if week >= 0:
        mouse, day = f"LSDX-{5 + 4 * week + int(mouse):02d}", day + timedelta(weeks=week)
    if _last_sunday(day.year, 3) <= day < _last_sunday(day.year, 10):
        oddities.append("summer_time")  # the rig's clock is an hour ahead of UTC
    if "no_spikes" not in oddities:
        oddities.append("silent_cluster")
    return _Plan(index, mouse, day, condition, int(rec_day), tuple(oddities))


def _last_sunday(year: int, month: int) -> date:
    end = date(year, month, 31)
    return end - timedelta(days=(end.weekday() + 1) % 7)


def _identifier(name: str) -> str:
    """Make a fixed id of a path; version 3, since ONE refuses version 5."""
    return str(uuid3(NAMESPACE_URL, f"lsdx-demo/{name}"))


# ---- the timeline of a session --------------------------------------------------------------


@dataclass(frozen=True)
class _Run:
    """One passive run on the spike clock, in s."""

    phase: str
    slot: int
    rig_start: datetime
    epochs: dict[str, Span]  # exact
    tables: dict[str, pd.DataFrame]  # as written, by the name of their file
    rfm: Floats


@dataclass(frozen=True)
class _Timeline:
    runs: tuple[_Run, _Run]
    filler: datetime | None  # rig start of the filler run
    injection: float
    end: float


def _timeline(rng: np.random.Generator, plan: _Plan) -> _Timeline:
    """Draw when everything happens; times are whole 0.1 ms, which every CSV reader keeps."""
    start = round(rng.uniform(60, 120), 4)
    injection = start + int(rng.integers(1100, 1201))  # the lab's table holds whole seconds
    post_start = round(injection + 1800 + rng.uniform(-60, 60), 4)
    end = round(post_start + 902 + rng.uniform(30, 60) + 300 * ("long_spontaneous" in plan), 4)
    noon = datetime(plan.day.year, plan.day.month, plan.day.day, 12)
    origin = noon + timedelta(seconds=rng.uniform(-5400, 10800))

    def rig_start(seconds: float) -> datetime:
        """Stamp a run: its spontaneous epoch comes 55 s and 0.3 to 1 s of jitter later."""
        return origin + timedelta(seconds=seconds - 55 - rng.uniform(0.3, 1.0))

    pre = _draw_run(rng, "pre", 0, rig_start(start), start, 300.0, end)
    filler = rig_start(injection + rng.uniform(15, 45)) if "filler_run" in plan else None
    slot, length = 1 if filler is None else 2, 600.0 if "long_spontaneous" in plan else 300.0
    post = _draw_run(rng, "post", slot, rig_start(post_start), post_start, length, end)
    return _Timeline((pre, post), filler, injection, end)


def _draw_run(
    rng: np.random.Generator,
    phase: str,
    slot: int,
    rig_start: datetime,
    start: float,
    length: float,
    end: float,
) -> _Run:
    rfm_start = start + length + rng.uniform(0.8, 1.2)
    rfm = np.round(rfm_start + np.arange(18_060) / 60 + rng.normal(0, 2e-4, 18_060), 4)
    replay = round(rfm[-1] + rng.uniform(0.8, 1.2), 4)
    onsets = np.round(replay + 0.3 + 1.66 * np.arange(180) + rng.uniform(0, 1, 180), 4)
    gabors = {
        "start": onsets,
        "stop": np.round(onsets + 0.3, 4),
        "position": rng.permutation(np.repeat([35.0, -35.0], 90)),
        "contrast": rng.permutation(np.repeat([0.0625, 0.125, 0.25, 0.5, 1.0], 36)),
        "phase": np.round(rng.uniform(0, 2 * math.pi, 180), 6),
    }
    stims: dict[str, Floats] = {}
    for name, count, lasts in (("valve", 40, 0.08), ("tone", 40, 0.1), ("noise", 36, 0.5)):
        column = np.full(40, np.nan)
        column[:count] = np.sort(rng.uniform(replay, replay + 298, count))
        stims[f"{name}On"] = np.round(column, 4)
        stims[f"{name}Off"] = np.round(column + lasts, 4)
    intervals = {  # as in reality, the first and the last stop run to the end of the recording
        "passiveProtocol": (start, end),
        "spontaneousActivity": (start, round(start + length, 4)),
        "RFM": (rfm[0], rfm[-1]),
        "taskReplay": (replay, end),
    }
    epochs = {
        "spontaneous": (start, round(start + 300.0, 4)),
        "rfm": (float(rfm[0]), float(rfm[-1])),
        "replay": (float(onsets[0]), float(gabors["stop"][-1])),
    }
    tables = {
        "_ibl_passivePeriods.intervalsTable.csv": pd.DataFrame(intervals, ["start", "stop"]),
        "_ibl_passiveGabor.table.csv": pd.DataFrame(gabors),
        "_ibl_passiveStims.table.csv": pd.DataFrame(stims),
    }
    return _Run(phase, slot, rig_start, epochs, tables, rfm)


def _expected_times(plan: _Plan, line: _Timeline) -> tuple[Record, Record]:
    """Apply the reading rules to a timeline: the epochs and the injection a reader should get."""
    first, second = line.runs
    pre, post = ({name: _span(*at) for name, at in run.epochs.items()} for run in line.runs)
    pre["replay"]["provenance"] = post["replay"]["provenance"] = "gabor"
    if "no_gabor_table" in plan:
        intervals = first.tables["_ibl_passivePeriods.intervalsTable.csv"]
        start = intervals["taskReplay"].tolist()[0]
        pre["replay"] = _span(start, start + 300, "replay_start+300")
    if "long_spontaneous" in plan:
        post["spontaneous"]["provenance"] = "alf_cut"
    if "rig_clock_run" in plan:
        shift = (second.rig_start - first.rig_start).total_seconds()
        for name, span in pre.items():
            post[name] = _span(span["start"] + shift, span["stop"] + shift, "rig_clock")
    injection: Record = {"time": None, "provenance": "missing", "exact": line.injection}
    if line.filler is not None:
        shift = (line.filler - first.rig_start).total_seconds()
        injection |= {"time": pre["spontaneous"]["start"] + shift, "provenance": "filler_start"}
    elif plan.condition == "lsd":
        injection |= {"time": line.injection, "provenance": "table"}
    return {"pre": pre, "post": post}, injection


def _span(start: float, stop: float, provenance: str = "alf") -> Record:
    return {"start": start, "stop": stop, "provenance": provenance}


# ---- the spikes of a session ----------------------------------------------------------------


@dataclass(frozen=True)
class _Drive:
    """What drives all units of a session: latents, then the drug's effect, then the drift."""

    factors: NDArray[np.float32]  # (2 * DIMENSIONS + 2, bin)
    edges: Floats
    onsets: Floats  # of the gabors of both runs
    strength: Floats  # contrast, times 0.3 on the ipsilateral side


@dataclass(frozen=True)
class _Units:
    """The clusters of one sorting. Arrays over units leave out the silent clusters."""

    ids: NDArray[np.int32]
    channels: NDArray[np.int64]  # of every cluster
    rate: Floats  # Hz
    loadings: NDArray[np.float32]
    gain: Floats
    drift: Floats  # rate at the end of the recording over the rate at its start
    response: Floats  # spikes per gabor at full contrast; 0: not visual
    latency: Floats  # s
    amplitude: Floats  # V


def _drive(rng: np.random.Generator, plan: _Plan, line: _Timeline) -> _Drive:
    edges = np.arange(math.ceil(line.end / BIN) + 1, dtype=np.float64) * BIN
    centres = edges[:-1] + BIN / 2
    effect = np.clip((centres - line.injection) / RAMP, 0, 1) * (plan.condition == "lsd")
    latents = _latents(rng, centres.size)
    latents[:DIMENSIONS] *= np.sqrt(1 - effect / 2)
    latents[DIMENSIONS:] *= np.sqrt(effect / 2)
    factors = np.vstack([latents, effect, centres / line.end - 0.5]).astype(np.float32)
    gabors = pd.concat([run.tables["_ibl_passiveGabor.table.csv"] for run in line.runs])
    onsets, position, contrast = gabors[["start", "position", "contrast"]].to_numpy(float).T
    return _Drive(factors, edges, onsets, contrast * np.where(position == CONTRA, 1.0, 0.3))


def _latents(rng: np.random.Generator, n_bins: int) -> Floats:
    """Draw Ornstein-Uhlenbeck processes of unit variance, (latent, bin)."""
    n = 2 * DIMENSIONS
    keep = np.exp(-BIN / rng.permutation(np.geomspace(1, 4, n)))
    values = rng.standard_normal((n_bins, n))
    values[1:] *= np.sqrt(1 - keep**2)
    for before, now in itertools.pairwise(values):
        now += keep * before
    return values.T.copy()


def _draw_units(rng: np.random.Generator, probe: str, n: int, *, lsd: bool) -> _Units:
    n_silent = max(1, n // 20)
    silent = rng.choice(n + n_silent - 1, n_silent, replace=False)  # the last one spikes
    ids = np.setdiff1d(np.arange(n + n_silent), silent)
    channels = rng.integers(0, CHANNELS, n + n_silent)
    channels[ids] = (np.arange(n) + rng.random(n)) * CHANNELS / n
    loadings = rng.standard_normal((n, 2, DIMENSIONS))
    loadings *= SHARED_SD / np.linalg.norm(loadings, axis=2, keepdims=True)
    # Modulated and drifting units are never the same ones.
    n_modulated, n_drifting = max(1, round(0.3 * n)), max(1, round(0.15 * n))
    modulated, drifting, _ = np.split(rng.permutation(n), [n_modulated, n_modulated + n_drifting])
    gain, drift, response = np.ones(n), np.ones(n), np.zeros(n)
    gain[modulated] = _factors(rng, n_modulated) if lsd else 1
    drift[drifting] = _factors(rng, n_drifting)
    able = rng.permutation(np.flatnonzero(np.isin(_track(probe)[0][channels[ids]], VISUAL)))
    visual = able[: math.ceil(0.7 * able.size)]
    response[visual] = rng.uniform(1, 2.5, visual.size)
    rows = np.column_stack([loadings.reshape(n, -1), np.log(gain), np.log(drift)])
    return _Units(
        ids=ids.astype(np.int32),
        channels=channels,
        rate=np.clip(rng.lognormal(0.03, 1.0, n), 0.05, 30),
        loadings=rows.astype(np.float32),
        gain=gain,
        drift=drift,
        response=response,
        latency=rng.uniform(0.07, 0.11, n),
        amplitude=rng.lognormal(np.log(7e-5), 0.4, n),
    )


def _factors(rng: np.random.Generator, n: int) -> Floats:
    """Draw factors of 1.5 to 3, every other one inverted."""
    factors: Floats = rng.uniform(1.5, 3, n)
    factors[1::2] **= -1
    return factors


def _track(probe: str) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Give the acronym and the Allen id of each channel's region."""
    acronyms, places, shares = zip(*map(str.split, TRACKS[probe].split(", ")), strict=True)
    tops = np.cumsum([int(share) for share in shares]) / 100 * CHANNELS
    entry = np.searchsorted(tops, np.arange(CHANNELS) + 0.5)
    return np.array(acronyms)[entry], np.array([int(place) for place in places])[entry]


def _spikes(
    rng: np.random.Generator, units: _Units, drive: _Drive, end: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw the spikes of one sorting: samples in order, and the unit of each."""
    last = int((end - rng.uniform(0.1, 0.5)) * SAMPLE_RATE)
    fastest = int(np.argmax(units.rate))
    packed = []
    for unit, times in enumerate(_spike_times(rng, units, drive)):
        samples = np.sort((times * SAMPLE_RATE).astype(np.int64))
        samples = samples[samples <= last]
        if unit == fastest:  # every recording has a spike within its last second
            samples = np.append(samples, last)
        samples = samples[np.diff(samples, prepend=-REFRACTORY) >= REFRACTORY]
        packed.append(samples << 20 | unit)
    keys = np.concatenate(packed)
    packed.clear()
    keys.sort()
    return keys >> 20, keys & 0xFFFFF


def _spike_times(rng: np.random.Generator, units: _Units, drive: _Drive) -> Iterator[Floats]:
    """Give each unit's times: a Poisson process of unit rate, through the inverse of its mean."""
    mean = np.zeros(drive.edges.size)
    scale = units.rate * math.exp(-(SHARED_SD**2) / 2) * BIN
    for first in range(0, units.rate.size, BLOCK):
        rates = units.loadings[first : first + BLOCK] @ drive.factors
        np.exp(rates, out=rates)
        for unit, rate in enumerate(rates, first):
            np.cumsum(rate, dtype=np.float64, out=mean[1:])
            mean[1:] *= scale[unit]
            arrivals = np.sort(rng.random(rng.poisson(mean[-1]))) * mean[-1]
            times = np.interp(arrivals, mean, drive.edges)
            evoked = np.repeat(drive.onsets, rng.poisson(units.response[unit] * drive.strength))
            delay = rng.normal(units.latency[unit], 0.015, evoked.size)
            yield np.concatenate([times, evoked + np.clip(delay, 0.05, 0.15)])


def _metrics(
    rng: np.random.Generator, units: _Units, counts: NDArray[np.int64], end: float
) -> pd.DataFrame:
    """Draw the table of unit metrics: one row for each cluster that spikes."""
    n = units.ids.size
    refractory, cutoff = rng.random(n) < 0.6, rng.exponential(4, n)
    passes = np.column_stack([refractory, cutoff < 5, units.amplitude > 5e-5])
    label = passes.sum(axis=1) / 3
    contamination = rng.beta(1, 6, n)
    good = rng.random(n) < np.where(label > 0.9, 0.4, 0.09)
    return pd.DataFrame(
        {
            "cluster_id": units.ids.astype(np.int64),
            "amp_max": units.amplitude * 2.1,
            "amp_min": units.amplitude * 0.4,
            "amp_median": units.amplitude,
            "amp_std_dB": rng.uniform(0.8, 3, n),
            "contamination": contamination,
            "contamination_alt": contamination * 1.1,
            "drift": rng.gamma(2, 20, n),
            "missed_spikes_est": rng.beta(1, 9, n),
            "noise_cutoff": cutoff,
            "presence_ratio": rng.uniform(0.8, 1, n),
            "presence_ratio_std": rng.gamma(3, 10, n),
            "slidingRP_viol": refractory.astype(float),
            "spike_count": counts,
            "slidingRP_viol_forced": refractory.astype(float),
            "max_confidence": np.where(refractory, 95.0, 60.0),
            "min_contamination": np.where(refractory, 5.0, np.nan),
            "n_spikes_below2": rng.integers(0, 20, n),
            "firing_rate": counts / end,
            "label": label,
            "bitwise_fail": (~passes).astype(np.int64) @ np.array([1, 2, 4]),
            "ks2_label": np.where(good, "good", "mua"),
        }
    )


# ---- the files of a session -----------------------------------------------------------------


def _write_npy(path: Path, array: NDArray[Any]) -> None:
    np.save(path, array)


def _write_json(path: Path, value: Any, *, indent: int | None = None) -> None:
    text = json.dumps(value, indent=indent, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def _write_csv(path: Path, table: pd.DataFrame, *, index: bool = False, sep: str = ",") -> None:
    table.to_csv(path, index=index, sep=sep, lineterminator="\n")


def _write_parquet(path: Path, table: pd.DataFrame, metadata: Record | None = None) -> None:
    arrow = pa.Table.from_pandas(table)
    extra = {b"one_metadata": json.dumps(metadata).encode()} if metadata else {}
    pq.write_table(arrow.replace_schema_metadata({**arrow.schema.metadata, **extra}), path)


class _Session:
    """Writes one session's files and keeps their records and their truth."""

    def __init__(self, root: Path, plan: _Plan, seed: int) -> None:
        self.plan = plan
        self.root = root
        self.eid = _identifier(plan.path)
        self.datasets: list[Record] = []
        self.on_disk: set[str] = set()
        self.insertions: list[Record] = []
        self.truth: Record = {}
        streams = np.random.SeedSequence((seed, plan.index)).spawn(6)
        first, self._drive_rng, *self._probe_rngs = map(np.random.default_rng, streams)
        self.line = _timeline(first, plan)
        utc = self.line.runs[0].rig_start - timedelta(hours=int("summer_time" in plan))
        runs = ["passiveChoiceWorld"] * (1 if "rig_clock_run" in plan else 2)
        if self.line.filler is not None:
            runs.insert(1, "spontaneous")
        self.info: Record = {  # as Alyx has it: one run is not listed where it has no tables
            "id": self.eid,
            "subject": plan.subject,
            "lab": plan.lab,
            "start_time": utc.isoformat(timespec="microseconds"),
            "number": plan.number,
            "task_protocol": "/".join(f"_iblrig_tasks_{run}8.12.7" for run in runs),
        }

    def write(self, n_units: int) -> None:
        plan, line = self.plan, self.line
        self._write_task()
        for camera in ("left", "right", "body")[: 3 if plan.day.year < 2025 else 2]:
            name = f"_iblrig_{camera}Camera.raw.mp4"
            self._remote("raw_video_data", name, int(line.end * 250_000))
        drive = None if "no_spikes" in plan else _drive(self._drive_rng, plan, line)
        probes, units = [], []
        for probe, n in zip(plan.probes, (n_units - n_units // 2, n_units // 2), strict=False):
            self._write_raw_ephys(probe)
            found: Record = {"n_units": 0, "n_spikes": 0}
            if drive is not None:
                found, table = self._write_probe(probe, n, drive)
                units.append(table)
            self._add_insertion(probe, found["n_units"])
            probes.append({"pid": self._pid(probe), "name": probe, **found})
        epochs, injection = _expected_times(plan, line)
        after = DIMENSIONS * (2 if plan.condition == "lsd" else 1)
        self.truth = {
            "index": plan.index,
            "eid": self.eid,
            "path": plan.path,
            "subject": plan.subject,
            "condition": plan.condition,
            "oddities": list(plan.oddities),
            "recording_end": line.end,
            "latent_dimension": {"pre": DIMENSIONS, "post": after},
            "epochs": epochs,
            "epochs_exact": {run.phase: run.epochs for run in line.runs},
            "injection": injection,
            "contra_position": CONTRA,
            "insertions": probes,
            "units": pd.concat(units).to_dict(orient="list") if units else {},
        }

    def _record(self, collection: str, name: str, **known: Any) -> Record:
        revision = known.get("revision", "")
        folder = f"{collection}/#{revision}#" if revision else collection
        key = _identifier(f"{self.plan.path}/{folder}/{name}")
        stem, suffix = name.rsplit(".", 1)
        server = f"https://data.demo.invalid/{self.plan.path}"
        record = {
            "id": key,
            "name": name,
            "collection": collection,
            "data_url": f"{server}/{folder}/{stem}.{key}.{suffix}",
            "file_size": None,
            "hash": "",
            "version": "8.12.7",
            "revision": revision,
            "default_revision": "True",
            "qc": "NOT_SET",
            "url": f"https://alyx.demo.invalid/datasets/{key}",
            **known,
        }
        self.datasets.append(record)
        return record

    def _file(
        self, collection: str, name: str, write: Callable[[Path], None], **known: Any
    ) -> None:
        record = self._record(collection, name, **known)
        path = self.root / self.plan.path / _relative(record)
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
        with path.open("rb") as stream:
            record["hash"] = hashlib.file_digest(stream, "md5").hexdigest()
        record["file_size"] = path.stat().st_size
        self.on_disk.add(record["id"])

    def _remote(self, collection: str, name: str, size: int) -> None:
        """Record a file that only the data server has."""
        digest = hashlib.md5(f"{self.plan.path}/{collection}/{name}".encode()).hexdigest()
        self._record(collection, name, file_size=size, hash=digest)

    def _write_task(self) -> None:
        plan, line = self.plan, self.line
        stamps = [(run.slot, "passiveChoiceWorld", run.rig_start) for run in line.runs]
        if line.filler is not None:
            stamps.append((1, "spontaneous", line.filler))
        key = "SESSION_START_TIME" if plan.day.year >= 2025 else "SESSION_DATETIME"
        for slot, protocol, stamp in sorted(stamps):
            settings = {
                "PYBPOD_PROTOCOL": f"_iblrig_tasks_{protocol}",
                key: stamp.isoformat(timespec="microseconds"),
                "SUBJECT_NAME": plan.subject,
                "SUBJECT_WEIGHT": plan.weight,
                "SESSION_NUMBER": plan.number,
                "IBLRIG_VERSION": "8.12.7",
                "RIG_NAME": f"{plan.lab}_rig",
            }
            collection = f"raw_task_data_{slot:02d}"
            write = partial(_write_json, value=settings, indent=1)
            self._file(collection, "_iblrig_taskSettings.raw.json", write)
            self._remote(collection, "_iblrig_stimPositionScreen.raw.csv", 41_000 + slot)
        for run in line.runs[: 1 if "rig_clock_run" in plan else 2]:
            collection = f"alf/task_{run.slot:02d}"
            for name, table in run.tables.items():
                if "Gabor" in name and run.phase == "pre" and "no_gabor_table" in plan:
                    self._record(collection, name, data_url=None)
                    continue
                write = partial(_write_csv, table=table, index="intervals" in name)
                self._file(collection, name, write)
            write = partial(_write_npy, array=run.rfm)
            self._file(collection, "_ibl_passiveRFM.times.npy", write)

    def _write_raw_ephys(self, probe: str) -> None:
        imec = f"imec{probe[-2:]}" if "imec00" in self.plan else f"imec{int(probe[-2:])}"
        for name, size in (
            (f".{imec}.ap.cbin", int(self._end(probe) * SAMPLE_RATE * 385 * 0.7)),
            (f".{imec}.ap.ch", 310_000),
            (f".{imec}.ap.meta", 18_900),
            (f".{imec}.sync.npy", 152_000),
        ):
            self._remote(f"raw_ephys_data/{probe}", f"_spikeglx_ephysData_g0_t0{name}", size)
        power = "_iblqc_ephysSpectralDensityLF.power.npy"
        self._remote(f"raw_ephys_data/{probe}", power, 3_154_048)

    def _end(self, probe: str) -> float:
        """End of a probe's recording, in s."""
        if "ends_early" in self.plan and probe == "probe01":
            return round(sum(self.line.runs[1].epochs["replay"]) / 2, 4)
        return self.line.end

    def _pid(self, probe: str) -> str:
        return _identifier(f"{self.plan.path}/{probe}")

    def _write_probe(self, probe: str, n: int, drive: _Drive) -> tuple[Record, pd.DataFrame]:
        """Write all sortings of a probe; tell of the one that the reading rules choose."""
        plan, number = self.plan, int(probe[-2:])
        chosen, spare = self._probe_rngs[2 * number : 2 * number + 2]
        sorter, revision = plan.sorter(probe), ""
        if number == 1 and "two_sorters_on_one_probe" in plan:
            self._write_sorting(spare, probe, "pykilosort", n * 3 // 4, drive)
        if number == 1 and "revisions" in plan:
            revision = REVISION
            older = {"default_revision": "False"}
            self._write_sorting(spare, probe, sorter, n * 3 // 4, drive, **older)
        return self._write_sorting(chosen, probe, sorter, n, drive, revision=revision)

    def _write_sorting(
        self,
        rng: np.random.Generator,
        probe: str,
        sorter: str,
        n: int,
        drive: _Drive,
        **known: str,
    ) -> tuple[Record, pd.DataFrame]:
        """Simulate and write one sorting; give its summary and the truth of its units."""
        plan, end = self.plan, self._end(probe)
        collection, revision = f"alf/{probe}/{sorter}", known.get("revision", "")
        known["version"] = SORTER_VERSIONS[sorter]
        units = _draw_units(rng, probe, n, lsd=plan.condition == "lsd")
        samples, of_unit = _spikes(rng, units, drive, end)
        counts = np.bincount(of_unit, minlength=n)
        clusters = units.ids[of_unit]
        depths = 20.0 * (units.channels // 2 + 1)

        def save(name: str, array: NDArray[Any]) -> None:
            self._file(collection, f"{name}.npy", partial(_write_npy, array=array), **known)

        save("spikes.times", samples / SAMPLE_RATE)
        del samples
        save("spikes.clusters", clusters)
        noise = rng.standard_normal(clusters.size, dtype=np.float32)
        save("spikes.amps", units.amplitude.astype(np.float32)[of_unit] * (1 + noise / 10))
        noise = rng.standard_normal(clusters.size, dtype=np.float32)
        save("spikes.depths", depths[units.ids].astype(np.float32)[of_unit] + 10 * noise)
        save("clusters.channels", units.channels)
        save("clusters.depths", depths)
        write = partial(_write_parquet, table=_metrics(rng, units, counts, end))
        self._file(collection, "clusters.metrics.pqt", write, **known)
        stem = f"{plan.path}/{collection}/{revision}"
        keys = pd.DataFrame({"uuids": [_identifier(f"{stem}/{i}") for i in range(depths.size)]})
        if "missing_uuids" in plan and probe == "probe00":
            keys["uuids"] = None
        else:
            self._file(collection, "clusters.uuids.csv", partial(_write_csv, table=keys), **known)
        if known.get("default_revision", "True") == "True":
            self._write_channels(probe, collection)
            folder = f"spike_sorters/{sorter}/{probe}"
            self._remote(folder, "_kilosort_raw.output.tar", clusters.size * 60 + 10_240)
        if "bombcell" in plan and probe == "probe00":
            self._write_bombcell(rng, probe, sorter, clusters, units.ids)
        found = {
            "sorter": sorter,
            "revision": revision,
            "end": end,
            "n_clusters": depths.size,
            "n_units": n,
            "n_spikes": clusters.size,
            "silent_clusters": np.setdiff1d(np.arange(depths.size), units.ids).tolist(),
        }
        truth = {
            "uuid": keys["uuids"].to_numpy(object)[units.ids],
            "pid": self._pid(probe),
            "sorter": sorter,
            "cluster_id": units.ids,
            "region": _track(probe)[0][units.channels[units.ids]],
            "modulated": units.gain != 1,
            "gain": units.gain,
            "drifting": units.drift != 1,
            "drift": units.drift,
            "visual": units.response > 0,
            "rate": units.rate,
        }
        return found, pd.DataFrame(truth).astype({"uuid": object})

    def _write_channels(self, probe: str, collection: str) -> None:
        rank = np.arange(CHANNELS)
        along = 20.0 * (rank // 2 + 1)
        across = np.array([43.0, 11.0, 59.0, 27.0])[rank % 4]
        for name, array in (
            ("rawInd", rank),
            ("localCoordinates", np.column_stack([across, along])),
            ("mlapdv", np.round(TIPS[probe] + along[:, None] * SLOPE, 3)),
            ("brainLocationIds_ccf_2017", _track(probe)[1]),
        ):
            self._file(collection, f"channels.{name}.npy", partial(_write_npy, array=array))

    def _write_bombcell(
        self,
        rng: np.random.Generator,
        probe: str,
        sorter: str,
        clusters: NDArray[np.int32],
        ids: NDArray[np.int32],
    ) -> None:
        """Write a Kilosort folder with bombcell's output: local files that ONE does not know."""
        folder = self.root / self.plan.path / "spike_sorters" / sorter / probe
        output = folder / "bombcell"
        output.mkdir(parents=True)
        np.save(folder / "spike_clusters.npy", clusters)
        duplicate = (rng.random(clusters.size) < 0.01).astype(float)
        np.save(output / "spikes._bc_duplicateSpikes.npy", duplicate)
        kinds = rng.choice(["GOOD", "MUA", "NOISE", "NON-SOMA"], ids.size, p=[0.4, 0.4, 0.1, 0.1])
        table = pd.DataFrame({"cluster_id": ids, "bc_unitType": kinds})
        _write_csv(folder / "cluster_bc_unitType.tsv", table, sep="\t")
        table = table.rename(columns={"cluster_id": "phy_clusterID"})
        _write_parquet(output / "templates._bc_qMetrics.parquet", table)

    def _add_insertion(self, probe: str, n_units: int) -> None:
        """Add an insertion's record in Alyx's form; each histology stage occurs in the cohort."""
        stage = HISTOLOGY[self.plan.index % 7]
        if probe == "probe01" and self.plan.index % 7 == 1:
            stage = "aligned"
        checks: Record = {"tracing_exists": stage != "no-tracing"}
        checks["alignment_count"] = {"aligned": 1, "resolved": 2}.get(stage, 0)
        checks["alignment_resolved"] = stage == "resolved"
        if stage in ("aligned", "resolved"):
            checks["alignment_stored"] = f"{self.plan.day + timedelta(days=60)}T10:00:00_user"
        details: Record = {"qc": "NOT_SET", "n_units": n_units, "extended_qc": checks}
        if stage != "no-tracing":
            picks = np.rint(TIPS[probe] + np.linspace(3800, 0, 12)[:, None] * SLOPE)
            details["xyz_picks"] = picks.astype(int).tolist()
        record = {
            "id": self._pid(probe),
            "session": self.eid,
            "model": "3B2",
            "session_info": self.info,
            "name": probe,
            "json": details,
            "serial": str(19_000_000_000 + self.plan.index * 100 + int(probe[-2:])),
            "auto_datetime": f"{self.plan.day}T23:00:00",
            "chronic_recording": None,
            "datasets": [each["id"] for each in self.datasets if probe in each["collection"]],
        }
        self.insertions.append(record)

    def detail(self) -> Record:
        """Give the session's record as Alyx would."""
        index = self.plan.index
        inner = ("id", "name", "model", "serial", "json")
        checks = {
            "_videoLeft_dropped_frames": ["PASS", 3 + index],
            "_videoLeft_timestamps": "PASS",
            "_videoLeft_pin_state": ["WARNING", 2, 0],
            "_videoRight_dropped_frames": "NOT_SET",
            "_videoRight_timestamps": "FAIL",
        }
        return {
            **self.info,
            "projects": ["psychedelics"],
            "qc": ("PASS", "WARNING", "NOT_SET")[index % 3],
            "json": {"simulated": True},
            "extended_qc": checks,
            "url": f"https://alyx.demo.invalid/sessions/{self.eid}",
            "probe_insertion": [{key: each[key] for key in inner} for each in self.insertions],
            "data_dataset_session_related": self.datasets,
        }


def _stacks(subject: str) -> list[str] | None:
    """Give the files of a subject's image stacks: of one mouse none, of another not known."""
    if subject == "LSDX-C":
        return []
    return None if subject == "LSDX-D" else [f"{subject}_{channel}.tif" for channel in ("GR", "RD")]


def _relative(record: Record) -> str:
    """Give a dataset's path within its session."""
    revision = f"#{record['revision']}#/" if record["revision"] else ""
    return f"{record['collection']}/{revision}{record['name']}"


# ---- the tables of the cohort ---------------------------------------------------------------


def _write_tables(root: Path, sessions: list[_Session]) -> None:
    """Write ONE's cache tables: sessions, datasets and insertions."""
    facts = [{**each.info, "date": each.plan.day, "projects": "psychedelics"} for each in sessions]
    columns = ["id", "lab", "subject", "date", "number", "task_protocol", "projects"]
    table = pd.DataFrame(facts)[columns].astype({"number": np.uint16}).set_index("id")
    _write_parquet(root / "sessions.pqt", table.sort_index(), TABLE_METADATA)

    files = [
        {
            **record,
            "eid": session.eid,
            "rel_path": _relative(record),
            "exists": record["id"] in session.on_disk,
            "default_revision": record["default_revision"] == "True",
        }
        for session in sessions
        for record in session.datasets
    ]
    columns = ["rel_path", "file_size", "hash", "exists", "qc", "default_revision"]
    table = pd.DataFrame(files).set_index(["eid", "id"])[columns].sort_index()
    table = table.astype({"file_size": "UInt64", "qc": QC})
    _write_parquet(root / "datasets.pqt", table, TABLE_METADATA)

    probes = [
        {**record, "eid": record["session"], "json": json.dumps(record["json"])}
        for session in sessions
        for record in session.insertions
    ]
    table = pd.DataFrame(probes).set_index(["eid", "id"])[["name", "model", "serial", "json"]]
    _write_parquet(root / "insertions.pqt", table.sort_index(), TABLE_METADATA)


def _write_lab_tables(root: Path, sessions: list[_Session]) -> None:
    """Write the lab's two tables and the settings that name them."""
    lsd = [_dose_row(each) for each in sessions if each.plan.condition == "lsd"]
    _write_csv(root / "administrations.csv", pd.DataFrame(lsd))
    _write_csv(root / "trajectories.csv", pd.DataFrame(map(_trajectory_row, sessions)))
    saline = [f'    "{each.eid}",\n' for each in sessions if each.plan.condition == "saline"]
    text = (
        "# Settings of the simulated cohort; paths are relative to this file.\n"
        'administrations = "administrations.csv"\n'
        'trajectories = "trajectories.csv"\n'
        f"\n[conditions]\nsaline = [\n{''.join(saline)}]\n"
    )
    (root / "lsdx.toml").write_text(text, encoding="utf-8", newline="\n")


def _dose_row(session: _Session) -> Record:
    plan, line = session.plan, session.line
    waited = round(line.injection - line.runs[0].epochs["spontaneous"][0])
    return {
        "rec_day": plan.rec_day,
        "date": f"{plan.day:%d.%m.%Y}",
        "animal_ID": plan.subject,
        "weight": f"{plan.weight:g}",
        "stock_uL": f"{3 * plan.weight:.4g}",
        "saline_uL": f"{200 - 3 * plan.weight:.4g}",
        "administration_method ": "Catheter ",
        "administration_time": str(timedelta(seconds=waited)),
        "alyx_registration": "Completed",
    }


def _trajectory_row(session: _Session) -> Record:
    plan = session.plan
    second, recent = "probe01" in plan.probes, plan.day.year >= 2025
    return {
        "date": f"{plan.day:%d.%m.%Y}",
        "subject": plan.subject,
        "eid": session.eid,
        "trajectory_01": f"T{plan.index % 3 + 1}.1L",
        "error_t01": "FALSE" if recent else "",
        "trajectory_02": f"T{plan.index % 3 + 1}.2R" if second else "",
        "error_t02": str(plan.index % 4 == 0).upper() if recent and second else "",
    }
