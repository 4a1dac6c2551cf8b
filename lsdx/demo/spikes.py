"""The spikes of a session: what drives the units, the units, their spikes and metrics."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lsdx.demo.anatomy import CHANNELS, VISUAL, track
from lsdx.demo.plan import Plan
from lsdx.demo.timeline import GABORS, Timeline

Floats = NDArray[np.float64]

CONTRA = -35.0  # deg: probe00 is in the right hemisphere
SAMPLE_RATE = 30_000  # Hz
REFRACTORY = 45  # samples: 1.5 ms
BIN = 0.05  # s, step of the latents and of the rates
BLOCK = 64  # units whose rates are held at once
DIMENSIONS = 6  # latent dimensions; LSD doubles them
# measures of bombcell that are not worked out by default, or take the raw data
NEEDS_MORE = (
    "maxDriftEstimate",
    "cumDriftEstimate",
    "rawAmplitude",
    "signalToNoiseRatio",
    "isolationDistance",
    "Lratio",
    "silhouetteScore",
)
SHARED_SD = 0.5  # standard deviation of the log rate that the latents give
RAMP = 900.0  # s from the injection to the full effect, reached before the post run


@dataclass(frozen=True)
class Drive:
    """What drives all units of a session: latents, then the drug's effect, then the drift."""

    factors: NDArray[np.float32]  # (2 * DIMENSIONS + 2, bin)
    edges: Floats
    onsets: Floats  # of the gabors of both runs
    strength: Floats  # contrast, times 0.3 on the ipsilateral side


@dataclass(frozen=True)
class Units:
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
    follows: NDArray[np.str_]  # the latent of behaviour that drives the unit; "": none
    weight: Floats  # of that latent in the log rate


@dataclass(frozen=True)
class Sorting:
    """What a spike sorter gives of one probe; the arrays of spikes are in order of time."""

    units: Units
    times: Floats  # s
    clusters: NDArray[np.int32]
    amplitudes: NDArray[Any]  # V, in single precision
    depths: NDArray[Any]  # um, in single precision
    cluster_depths: NDArray[Any]  # um, of every cluster
    metrics: pd.DataFrame


def draw_drive(rng: np.random.Generator, plan: Plan, line: Timeline) -> Drive:
    """Draw what drives all units of a session."""
    edges = np.arange(math.ceil(line.end / BIN) + 1, dtype=np.float64) * BIN
    centres = edges[:-1] + BIN / 2
    effect = np.clip((centres - line.injection) / RAMP, 0, 1) * (plan.condition == "lsd")
    latents = _latents(rng, centres.size)
    latents[:DIMENSIONS] *= np.sqrt(1 - effect / 2)
    latents[DIMENSIONS:] *= np.sqrt(effect / 2)
    factors = np.vstack([latents, effect, centres / line.end - 0.5]).astype(np.float32)
    gabors = pd.concat([run.tables[GABORS] for run in line.runs])
    onsets, position, contrast = gabors[["start", "position", "contrast"]].to_numpy(float).T
    return Drive(factors, edges, onsets, contrast * np.where(position == CONTRA, 1.0, 0.3))


def _latents(rng: np.random.Generator, n_bins: int) -> Floats:
    """Draw Ornstein-Uhlenbeck processes of unit variance, (latent, bin)."""
    n = 2 * DIMENSIONS
    keep = np.exp(-BIN / rng.permutation(np.geomspace(1, 4, n)))
    values = rng.standard_normal((n_bins, n))
    values[1:] *= np.sqrt(1 - keep**2)
    for before, now in itertools.pairwise(values):
        now += keep * before
    return values.T.copy()


def _draw_units(rng: np.random.Generator, probe: str, n: int, *, lsd: bool) -> Units:
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
    able = rng.permutation(np.flatnonzero(np.isin(track(probe)[0][channels[ids]], VISUAL)))
    visual = able[: math.ceil(0.7 * able.size)]
    response[visual] = rng.uniform(1, 2.5, visual.size)
    rows = np.column_stack([loadings.reshape(n, -1), np.log(gain), np.log(drift)])
    return Units(
        ids=ids.astype(np.int32),
        channels=channels,
        rate=np.clip(rng.lognormal(0.03, 1.0, n), 0.05, 30),
        loadings=rows.astype(np.float32),
        gain=gain,
        drift=drift,
        response=response,
        latency=rng.uniform(0.07, 0.11, n),
        amplitude=rng.lognormal(np.log(7e-5), 0.4, n),
        follows=np.full(n, "", "U8"),
        weight=np.zeros(n),
    )


def _factors(rng: np.random.Generator, n: int) -> Floats:
    """Draw factors of 1.5 to 3, every other one inverted."""
    factors: Floats = rng.uniform(1.5, 3, n)
    factors[1::2] **= -1
    return factors


def _spikes(
    rng: np.random.Generator, units: Units, drive: Drive, end: float
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
        packed.append(after_refractory(samples) << 20 | unit)
    keys = np.concatenate(packed)
    packed.clear()
    keys.sort()
    return keys >> 20, keys & 0xFFFFF


def after_refractory(samples: NDArray[np.int64]) -> NDArray[np.int64]:
    """Drop each spike that comes too soon after the one before."""
    return samples[np.diff(samples, prepend=-REFRACTORY) >= REFRACTORY]


def _spike_times(rng: np.random.Generator, units: Units, drive: Drive) -> Iterator[Floats]:
    """Yield each unit's times: a Poisson process of unit rate, through the inverse of its mean."""
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


def draw_sorting(
    rng: np.random.Generator, probe: str, n: int, drive: Drive, end: float, *, lsd: bool
) -> Sorting:
    """Draw one sorting of a probe: its units, their spikes and their metrics."""
    units = _draw_units(rng, probe, n, lsd=lsd)
    samples, of_unit = _spikes(rng, units, drive, end)
    times = samples / SAMPLE_RATE
    del samples
    noise = rng.standard_normal(of_unit.size, dtype=np.float32)
    amplitudes = units.amplitude.astype(np.float32)[of_unit] * (1 + noise / 10)
    depths = 20.0 * (units.channels // 2 + 1)
    noise = rng.standard_normal(of_unit.size, dtype=np.float32)
    of_spikes = depths[units.ids].astype(np.float32)[of_unit] + 10 * noise
    counts = np.bincount(of_unit, minlength=n)
    metrics = _metrics(rng, units, counts, end)
    return Sorting(units, times, units.ids[of_unit], amplitudes, of_spikes, depths, metrics)


def draw_bombcell(rng: np.random.Generator, sorting: Sorting) -> tuple[Floats, pd.DataFrame]:
    """Draw bombcell's output: a flag of each spike (1: a duplicate), a row for each unit.

    It is without raw data, as the lab runs it: what only that gives is NaN.
    """
    duplicate = (rng.random(sorting.clusters.size) < 0.01).astype(float)
    ids = sorting.units.ids
    kinds = rng.choice(["GOOD", "MUA", "NOISE", "NON-SOMA"], ids.size, p=[0.4, 0.4, 0.1, 0.1])
    n, times = ids.size, sorting.times
    kept = np.bincount(sorting.clusters[duplicate == 0], minlength=int(ids.max()) + 1)[ids]
    missing, ratio = rng.gamma(2, 5, n), rng.beta(2, 4, n)
    columns = {
        "nSpikes": kept.astype(float),
        "nPeaks": rng.integers(1, 3, n).astype(float),
        "nTroughs": np.where(kinds == "NOISE", 2.0, 1.0),
        "waveformDuration_peakTrough": rng.integers(6, 26, n) / SAMPLE_RATE * 1e6,
        "spatialDecaySlope": rng.uniform(0.01, 0.06, n),
        "waveformBaselineFlatness": rng.beta(1, 9, n),
        "scndPeakToTroughRatio": ratio,
        "mainPeakToTroughRatio": ratio,
        "peak1ToPeak2Ratio": rng.beta(2, 4, n),
        "troughToPeak2Ratio": rng.gamma(4, 3, n),
        "mainPeak_before_width": rng.uniform(1, 5, n),
        "mainTrough_width": rng.uniform(5, 10, n),
        "percentageSpikesMissing_gaussian": missing,
        "percentageSpikesMissing_symmetric": missing * 0.8,
        "RPV_window_index": np.zeros(n),
        "fractionRPVs_estimatedTauR": np.where(kinds == "MUA", 0.3, 0.02) * rng.uniform(0.5, 2, n),
        "estimatedTauR": np.full(n, 0.001),
        "RPV_status": np.where(kinds == "MUA", -1.0, 1.0),
        "presenceRatio": rng.uniform(0.7, 1, n),
        **dict.fromkeys(NEEDS_MORE, np.full(n, np.nan)),
        "useTheseTimesStart": np.full(n, times[0]),
        "useTheseTimesStop": np.full(n, times[-1]),
        "maxChannels": sorting.units.channels[ids],
        "bc_unitType": kinds,
    }
    return duplicate, pd.DataFrame({"phy_clusterID": ids.astype(np.int64), **columns})


def _metrics(
    rng: np.random.Generator, units: Units, counts: NDArray[np.int64], end: float
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
