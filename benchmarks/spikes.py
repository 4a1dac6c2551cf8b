"""Grouping and counting the spikes of one session."""

from __future__ import annotations

import numpy as np

from benchmarks.timing import Result, compare
from lsdx.kernels.binning import count_clusters, count_spikes, group

EPOCHS = np.array([100, 400, 701, 2800, 3100, 3401])


def session(quick: bool) -> tuple[np.ndarray, np.ndarray, int]:
    """Make a session: 2,000 units, 15 M spikes in 4,500 s (quick: a tenth of both)."""
    rng = np.random.default_rng(0)
    n_units, n_spikes = (200, 1_500_000) if quick else (2000, 15_000_000)
    times = np.sort(np.rint(rng.random(n_spikes) * 4500 * 30_000) / 30_000)
    weights = rng.lognormal(0, 1, n_units)
    clusters = rng.choice(n_units, n_spikes, p=weights / weights.sum()).astype(np.int32)
    return times, clusters, n_units


def grouped(
    times: np.ndarray, clusters: np.ndarray, n_units: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Group as lsdx does: ticks, row_start, row_size."""
    row_size = count_clusters(clusters, n_units)
    row_start = np.cumsum(row_size) - row_size
    out = np.empty(times.size, dtype=np.uint32)
    ticks = np.rint(times * 1e5).astype(np.uint32)
    group(ticks, clusters, np.arange(n_units), row_start.copy(), out)
    return out, row_start, row_size


def grouping(quick: bool) -> Result:
    """Group spikes by unit, against a mask for each unit."""
    times, clusters, n_units = session(quick)

    def masks() -> np.ndarray:
        rows = [times[clusters == unit] for unit in range(n_units)]
        return np.rint(np.concatenate(rows) * 1e5)

    return compare(
        "group one session's spikes by unit",
        lambda: grouped(times, clusters, n_units)[0],
        "mask loop",
        masks,
        agree=np.array_equal,
        runs=3,
    )


def counting(quick: bool) -> Result:
    """Count 100 ms bins of six epochs, against a histogram for each unit and epoch."""
    ticks, row_start, row_size = grouped(*session(quick))
    n_units = row_size.size
    start = np.tile(EPOCHS * 100_000, (n_units, 1))
    bins = np.full(start.shape, 3000)
    # edges half a tick early, so that float edges cannot misplace a tick
    edges = [(s * 100_000 - 0.5) + 10_000 * np.arange(3001) for s in EPOCHS]

    def histograms() -> np.ndarray:
        rows = [ticks[a : a + n] for a, n in zip(row_start, row_size, strict=True)]
        return np.array([[np.histogram(row, e)[0] for e in edges] for row in rows])

    return compare(
        "count six epochs in bins of 100 ms",
        lambda: count_spikes(ticks, row_start, row_size, start, bins, 10_000, 3000),
        "histogram loop",
        histograms,
        agree=np.array_equal,
    )
