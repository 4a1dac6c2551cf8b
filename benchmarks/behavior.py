"""Behaviour of one session: the samples of a camera onto the bins of the counts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks.timing import Result, compare
from lsdx.kernels.frames import bin_means

WIDTH = 0.1
RATE = 150


def samples(quick: bool) -> tuple[np.ndarray, np.ndarray, int]:
    """Make a pose table: 33 columns of 4,500 s at 150 Hz (quick: 60 s), and its number of bins.

    The courses are slow, so that interpolation at the centres of bins comes near their means. Times
    are half a tick off the ticks, so that no float edge can misplace a frame; one is 0, because
    pandas counts bins from the first. A value in fifty is missing.
    """
    rng = np.random.default_rng(0)
    seconds = 60 if quick else 4500
    n = seconds * RATE
    ticks = np.rint(np.arange(n) * 1e5 / RATE + rng.uniform(0, 100, n))
    times = ticks / 1e5 + 2e-6
    times[0] = 0
    values = np.empty((n, 33), dtype=np.float32)
    for k, period in enumerate(rng.uniform(10, 30, 33)):
        values[:, k] = 500 + 100 * np.sin(2 * np.pi * times / period)
    return values, times, round(seconds / WIDTH)


def onto_bins(quick: bool) -> Iterator[Result]:
    """Average a pose table in bins: against interpolation, then with missing values."""
    values, times, n_bins = samples(quick)
    yield _against_interpolation(values, times, n_bins)
    values[np.random.default_rng(1).random(values.shape) < 0.02] = np.nan
    yield _against_pandas(values, times, n_bins)


def _binned(values: np.ndarray, times: np.ndarray, n_bins: int) -> tuple[np.ndarray, np.ndarray]:
    mean, number = bin_means(values, times, np.zeros(1), WIDTH, np.array([n_bins]))
    return mean[0], number[0]


def _told(values: np.ndarray, n_bins: int) -> str:
    return f"{values.shape[1]} columns at {RATE} Hz onto {n_bins} bins"


def _moved(values: np.ndarray, times: np.ndarray, n_bins: int) -> int:
    return values.nbytes + times.nbytes + 2 * 4 * n_bins * values.shape[1]


def _against_interpolation(values: np.ndarray, times: np.ndarray, n_bins: int) -> Result:
    """Interpolation reads two frames of fifteen and averages none: near on slow courses."""
    columns = np.ascontiguousarray(values.T, dtype=np.float64)
    centres = (np.arange(n_bins) + 0.5) * WIDTH

    def interpolated(rows: np.ndarray) -> np.ndarray:
        return np.stack([np.interp(centres, times, row) for row in rows], axis=1)

    def near(found: Any, other: Any) -> bool:
        mean = other[0] if isinstance(other, tuple) else other
        return bool(np.allclose(found[0], mean, rtol=0, atol=1.0))  # px of 500

    return compare(
        f"{_told(values, n_bins)}: means and numbers",
        partial(_binned, values, times, n_bins),
        {
            "np.interp a column (no mean)": lambda: interpolated(values.T),
            "the same, columns as float64 at hand": lambda: interpolated(columns),
        },
        same=near,
        moved=_moved(values, times, n_bins),
    )


def _against_pandas(values: np.ndarray, times: np.ndarray, n_bins: int) -> Result:
    """Let pandas do all of the work, a part of it, and in the words that its manual uses."""

    def resampled() -> Any:
        import pandas as pd

        index = pd.to_timedelta(np.rint(times * 1e5).astype(np.int64) * 10_000, unit="ns")
        return pd.DataFrame(values, index=index, copy=False).resample(f"{WIDTH * 1000:.0f}ms")

    def mean_and_count() -> Any:
        bins = resampled()
        return bins.mean().to_numpy(), bins.count().to_numpy()

    def aggregated() -> Any:
        both = resampled().agg(["mean", "count"]).to_numpy()
        return both[:, ::2], both[:, 1::2]

    def equal(found: Any, other: Any) -> bool:
        means = np.allclose(found[0], other[0], rtol=1e-5, atol=0, equal_nan=True)
        return bool(means and (other[1] is None or np.array_equal(found[1], other[1])))

    return compare(
        f"{_told(values, n_bins)}, 2 % missing",
        partial(_binned, values, times, n_bins),
        {
            "pandas resample, mean and count": mean_and_count,
            "pandas resample, agg of both": aggregated,
            "pandas resample, mean alone": lambda: (resampled().mean().to_numpy(), None),
        },
        same=equal,
        moved=_moved(values, times, n_bins),
    )
