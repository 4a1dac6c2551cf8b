"""What moves which measure: simulated populations, one property changed at a time.

``python -m benchmarks.what_moves_what`` prints the table of ``docs/what_moves_what.md``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from scipy.signal import lfilter

from lsdx.analysis.courses import autocorrelation_timescale
from lsdx.analysis.dimensionality import dimensionality
from lsdx.kernels import variability
from lsdx.kernels.complexity import equal_rate_bits, lempel_ziv_ratio

STEP, SECONDS, UNITS, LATENTS = 0.01, 300.0, 60, 6
_REFRACTORY = "the same, rate x 3"  # against refractory units of the first rate
POPULATION = {
    "participation_ratio_unbiased": "unbiased participation ratio",
    "mean_squared_correlation": "mean squared correlation",
    "parallel_analysis": "parallel analysis",
    "shared_variance": "shared variance",
    "pc1": "pc1",
    "n_components": "n_components",
    "participation_ratio": "participation ratio",
    "ngsc": "NGSC",
    "power_law_slope": "power law slope",
}
SINGLE = {
    "cv": "CV",
    "cv2": "CV2",
    "lv": "LV",
    "lvr": "LvR",
    "fano_factor": "Fano factor, 1 s",
    "allan_factor": "Allan factor, 1 s",
    "lempel_ziv": "Lempel-Ziv ratio",
    "timescale": "time scale",
}


def fluctuations(rng: np.random.Generator, tau: float, n: int, n_steps: int) -> np.ndarray:
    """Return Ornstein-Uhlenbeck processes of variance 1, (n, n_steps)."""
    keep = np.exp(-STEP / tau)
    noise = rng.normal(size=(n, n_steps)) * np.sqrt(1 - keep**2)
    first = keep * rng.normal(size=(n, 1))
    return np.asarray(lfilter([1], [1, -keep], noise, axis=1, zi=first)[0])


def trains(
    rng: np.random.Generator,
    *,
    rate: float = 5.0,
    n_units: int = UNITS,
    seconds: float = SECONDS,
    gain: float = 0.0,
    drift: float = 0.0,
    dead: float = 0.0,
    bursts: float = 0.0,
    later: float = 1.0,
) -> list[np.ndarray]:
    """Return sorted spike times (s) of units that six latents of tau 1 s drive.

    ``gain`` is the sd of a common log gain (tau 5 s), ``drift`` of a log rate of each unit's own
    (tau 60 s), ``dead`` a dead time (s) at the same rate, ``bursts`` the chance that a spike is
    followed by another within 3 to 6 ms, at the same rate; ``later`` multiplies the rates of the
    second half.
    """
    n_steps = round(seconds / STEP)
    weights = rng.normal(size=(n_units, LATENTS))
    weights *= 0.5 / np.linalg.norm(weights, axis=1, keepdims=True)
    log_rate = weights @ fluctuations(rng, 1, LATENTS, n_steps) - 0.125
    log_rate += gain * fluctuations(rng, 5, 1, n_steps) - gain**2 / 2
    log_rate += drift * fluctuations(rng, 60, n_units, n_steps) - drift**2 / 2
    rates = rate * rng.lognormal(-0.125, 0.5, (n_units, 1)) * np.exp(log_rate)
    rates[:, n_steps // 2 :] *= later
    rates *= (1 - bursts) / (1 - np.minimum(rates * dead, 0.9))
    found = []
    for counts in rng.poisson(rates * STEP):
        times = np.repeat(np.arange(n_steps) * STEP, counts) + STEP * rng.random(counts.sum())
        if bursts:
            more = times[rng.random(times.size) < bursts / (1 - bursts)]
            times = np.concatenate([times, more + rng.uniform(0.003, 0.006, more.size)])
        times = np.sort(times)
        found.append(_after_dead_time(times, dead) if dead else times)
    return found


def _after_dead_time(times: np.ndarray, dead: float) -> np.ndarray:
    kept, last = [], -np.inf
    for t in times:
        if t - last >= dead:
            kept.append(t)
            last = t
    return np.array(kept)


def thinned(rng: np.random.Generator, spikes: list[np.ndarray], share: float) -> list[np.ndarray]:
    """Keep each spike with one probability."""
    return [t[rng.random(t.size) < share] for t in spikes]


def counted(spikes: list[np.ndarray], width: float, seconds: float) -> np.ndarray:
    """Count spikes in bins, (n_units, n_bins)."""
    edges = np.arange(round(seconds / width) + 1) * width
    return np.stack([np.histogram(t, edges)[0] for t in spikes])


def measured(
    spikes: list[np.ndarray],
    seconds: float,
    seed: int,
    phases: Sequence[list[np.ndarray]] = (),
) -> dict[str, float]:
    """Measure a population, and its units: their medians.

    With ``phases`` the population is what `dimensionality` makes of the last at equal rates.
    """
    parts = [counted(t, 0.1, seconds).astype(np.float32) for t in phases or [spikes]]
    counts = counted(spikes, 0.1, seconds).astype(np.float32)
    n = len(spikes)
    ds = xr.Dataset(
        {"counts": (("unit", "phase", "time"), np.stack(parts, axis=1))},
        {
            "unit": np.array([str(i) for i in range(n)], dtype=object),
            "session": ("unit", np.full(n, "a", dtype=object)),
            "insertion": ("unit", np.full(n, "a", dtype=object)),
            "region": ("unit", np.full(n, "a", dtype=object)),
            "depth": ("unit", np.arange(n) * 20.0),
        },
        {"bin_width": 0.1},
    )
    out = dimensionality(ds, match_rates=True, draws=1, rng=seed).isel(session=0, phase=-1)
    values = {name: float(out[name]) for name in POPULATION}
    for name in ("cv", "cv2", "lv", "lvr"):
        values[name] = float(np.nanmedian([getattr(variability, name)(t) for t in spikes]))
    windows = counted(spikes, 1.0, seconds).astype(float)
    for name in ("fano_factor", "allan_factor"):
        values[name] = float(np.nanmedian(getattr(variability, name)(windows)))
    keys = np.arange(n, dtype=np.uint64)[:, None]
    bits, n_bits = equal_rate_bits(counts[:, None], keys)
    ratio = lempel_ziv_ratio(bits[:, 0], n_bits[:, 0], n_shuffles=20, seed=seed)[1]
    values["lempel_ziv"] = float(np.nanmedian(ratio))
    ds = ds.isel(phase=0).assign(counts=(("unit", "time"), counts))
    values["timescale"] = float(np.nanmedian(autocorrelation_timescale(ds).timescale))
    return values


def variants() -> dict[str, Callable[[np.random.Generator], tuple[Any, ...]]]:
    """Name the changes, each a way to make what `measured` takes."""

    def made(seconds: float = SECONDS, **what: Any) -> Any:
        return lambda rng: (trains(rng, seconds=seconds, **what), seconds)

    def back(rng: np.random.Generator) -> Any:
        both = trains(rng, seconds=2 * SECONDS, later=3.0)
        before = [t[t < SECONDS] for t in both]
        after = [t[t >= SECONDS] - SECONDS for t in both]
        return thinned(rng, after, 1 / 3), SECONDS, (before, after)

    def fewer(rng: np.random.Generator) -> tuple[list[np.ndarray], float]:
        return trains(rng, n_units=2 * UNITS)[:UNITS], SECONDS

    return {
        "rate x 3": made(rate=15.0),
        "rate x 3, thinned back": back,
        "units x 2": made(n_units=2 * UNITS),
        "units x 2, as many drawn": fewer,
        "150 s": made(150.0),
        "common gain, sd .3": made(gain=0.3),
        "private drift, sd .3": made(drift=0.3),
        "dead time 5 ms": made(dead=0.005),
        _REFRACTORY: made(dead=0.005, rate=15.0),
        "bursts, 30 %": made(bursts=0.3),
    }


def _cell(base: np.ndarray, other: np.ndarray) -> str:
    """Say how a measure changes: in percent, or not by more than two standard errors."""
    base, other = base[np.isfinite(base)], other[np.isfinite(other)]
    if base.size < 2 or other.size < 2:
        return "none"
    difference = other.mean() - base.mean()
    error = np.hypot(base.std(ddof=1) / base.size**0.5, other.std(ddof=1) / other.size**0.5)
    change = 100 * difference / abs(base.mean())
    if abs(difference) <= 2 * error:
        return "="
    return f"{change:+.0f} %" if abs(change) >= 1 else f"{change:+.1f} %"


def table(n_repeats: int, seed: int) -> str:
    """Return the table as Markdown."""
    names = POPULATION | SINGLE
    rng = np.random.default_rng(seed)

    def repeated(make: Any) -> dict[str, np.ndarray]:
        values = []
        for seed in range(n_repeats):
            spikes, seconds, *phases = make(rng)
            values.append(measured(spikes, seconds, seed, *phases))
        return {n: np.array([v[n] for v in values]) for n in names}

    base = repeated(lambda r: (trains(r), SECONDS))
    others = {name: repeated(make) for name, make in variants().items()}
    lines = [
        "| measure | at first | " + " | ".join(others) + " |",
        "|---" * (len(others) + 2) + "|",
    ]
    for name, words in names.items():
        first_of = {_REFRACTORY: others["dead time 5 ms"]}
        cells = [_cell(first_of.get(o, base)[name], others[o][name]) for o in others]
        first = f"{np.nanmean(base[name]):.3g}"
        lines.append(f"| {words} | {first} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(table(options.repeats, options.seed))


if __name__ == "__main__":
    main()
