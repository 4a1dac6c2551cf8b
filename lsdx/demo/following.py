"""Units that follow what the animal does: their spikes are drawn anew, those of the rest stay."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from lsdx.demo.behavior import Behavior
from lsdx.demo.spikes import BIN, SAMPLE_RATE, SHARED_SD, Drive, Sorting, Units, after_refractory

SHARE = 0.1  # of the units follow a latent
LEAST_RATE = 0.5  # Hz
WEIGHTS = {"arousal": (0.4, 0.6), "movement": (0.6, 1.0)}  # range of their sizes


def follow(
    rng: np.random.Generator,
    sorting: Sorting,
    drive: Drive,
    behavior: Behavior,
    end: float,
    *,
    first: int,
) -> Sorting:
    """Let some units of a sorting follow a latent: by turns, beginning with the first-th.

    A unit that follows is never modulated, drifting or visual, nor the fastest, whose last spike
    ends the recording. The rate is multiplied by exp(weight * latent).
    """
    units = _choose(rng, sorting.units, first)
    chosen = np.flatnonzero(units.weight)
    last = round(sorting.times[-1] * SAMPLE_RATE)
    centres = drive.edges[:-1] + BIN / 2
    latents = {
        "arousal": behavior.arousal_at(centres),
        "movement": behavior.movement_at(centres),
    }
    scale = units.rate * math.exp(-(SHARED_SD**2) / 2) * BIN
    drawn: list[NDArray[np.int64]] = []
    for unit in chosen:
        own = np.exp(units.weight[unit] * latents[units.follows[unit]])
        rate = np.exp(units.loadings[unit] @ drive.factors) * own * scale[unit]
        mean = np.concatenate([[0.0], np.cumsum(rate, dtype=np.float64)])
        arrivals = np.sort(rng.random(rng.poisson(mean[-1]))) * mean[-1]
        samples = (np.interp(arrivals, mean, drive.edges) * SAMPLE_RATE).astype(np.int64)
        drawn.append(after_refractory(samples[samples <= last]))
    return _replace(rng, sorting, units, chosen, drawn, end) if drawn else sorting


def _choose(rng: np.random.Generator, units: Units, first: int) -> Units:
    """Choose which units follow which latent, and how strongly."""
    n = units.rate.size
    plain = (units.gain == 1) & (units.drift == 1) & (units.response == 0)
    plain &= units.rate >= LEAST_RATE
    plain[np.argmax(units.rate)] = False
    chosen = rng.permutation(np.flatnonzero(plain))[: max(1, round(SHARE * n))]
    follows, weight = units.follows.copy(), units.weight.copy()
    turn = (np.arange(chosen.size) + first) % 2
    for rank, (latent, sizes) in enumerate(WEIGHTS.items()):
        mine = chosen[turn == rank]
        follows[mine] = latent
        weight[mine] = rng.uniform(*sizes, mine.size)
        weight[mine[1::2]] *= -1
    return dataclasses.replace(units, follows=follows, weight=weight)


def _replace(
    rng: np.random.Generator,
    sorting: Sorting,
    units: Units,
    chosen: NDArray[np.int64],
    drawn: list[NDArray[np.int64]],
    end: float,
) -> Sorting:
    """Put the spikes that were drawn in the place of the chosen units' own."""
    counts = np.array([samples.size for samples in drawn])
    unit, samples = np.repeat(chosen, counts), np.concatenate(drawn)
    order = np.argsort(samples, kind="stable")
    unit, times = unit[order], samples[order] / SAMPLE_RATE
    noise = rng.standard_normal((2, unit.size), np.float32)
    depths = sorting.cluster_depths[units.ids].astype(np.float32)
    amplitudes = units.amplitude.astype(np.float32)[unit] * (1 + noise[0] / 10)
    kept = ~np.isin(sorting.clusters, units.ids[chosen])
    places = np.searchsorted(sorting.times[kept], times, side="right")
    metrics = sorting.metrics.copy()
    metrics.loc[chosen, "spike_count"] = counts
    metrics.loc[chosen, "firing_rate"] = counts / end
    return dataclasses.replace(
        sorting,
        units=units,
        times=np.insert(sorting.times[kept], places, times),
        clusters=np.insert(sorting.clusters[kept], places, units.ids[unit]),
        amplitudes=np.insert(sorting.amplitudes[kept], places, amplitudes),
        depths=np.insert(sorting.depths[kept], places, depths[unit] + 10 * noise[1]),
        metrics=metrics,
    )
