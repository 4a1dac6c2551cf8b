"""Single units: surrogates against a loop of Python, and the cohort from its stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import xarray as xr

import lsdx
from benchmarks.cohort import Cohort
from benchmarks.timing import Result, compare, measure
from lsdx.kernels.binning import count_in_intervals, count_spikes
from lsdx.kernels.complexity import lempel_ziv
from lsdx.kernels.resampling import shuffle_intervals, stream_keys
from lsdx.kernels.trains import Trains
from lsdx.kernels.variability import cv, fano_factor, window_counts

SECOND = 100_000  # ticks
WINDOWS = (1, 10, 100)  # of 0.1 s
MOST = 14_886  # units of the lab's own run


def surrogates(quick: bool) -> Iterator[Result]:
    """Return rate, Fano factor and complexity in three windows, of units and their shuffles."""
    rng = np.random.default_rng(0)
    n_units, n_shuffles = (3, 4) if quick else (20, 100)
    length = 300 * SECOND
    trains = [np.unique(rng.integers(0, length, n)) for n in rng.integers(300, 3000, n_units)]
    size = np.array([t.size for t in trains])
    ticks, first = np.concatenate(trains), np.cumsum(size) - size

    def ours() -> np.ndarray:
        keys = stream_keys(np.arange(n_units, dtype=np.uint64), 0)
        shuffled = shuffle_intervals(Trains(ticks, first, size), keys, 0, n_shuffles)
        every = np.concatenate([ticks[None], shuffled]).astype(np.uint32)
        starts = (np.arange(n_shuffles + 1)[:, None] * ticks.size + first).ravel()
        sizes = np.tile(size, n_shuffles + 1)
        rows = Trains(every.ravel(), starts, sizes)
        zero = np.zeros((starts.size, 1), dtype=np.int64)
        rate = count_in_intervals(rows, zero, zero + length)[:, 0] / 300
        bins = np.full_like(zero, 3000)
        counts = count_spikes(rows, zero, bins, SECOND // 10, 3000, dtype=np.float32)[:, 0]
        found = [rate]
        for n in WINDOWS:
            windows = window_counts(counts, n)
            found.append(fano_factor(windows))
            found.append(lempel_ziv(windows > windows.mean(axis=1, keepdims=True)))
        return _summary(np.stack(found).reshape(len(found), n_shuffles + 1, n_units))

    def loop(complexity: Callable[[np.ndarray], float]) -> np.ndarray:
        out = np.full((1 + 2 * len(WINDOWS), n_shuffles + 1, n_units), np.nan)
        generator = np.random.default_rng(1)
        for u, train in enumerate(trains):
            for s in range(n_shuffles + 1):
                times = train
                if s:
                    times = np.cumsum(generator.permutation(np.diff(train, prepend=0)))
                out[0, s, u] = times.size / 300
                for i, n in enumerate(WINDOWS):
                    edges = np.arange(0, length + 1, n * SECOND // 10)
                    counts = np.histogram(times, edges)[0]
                    out[1 + 2 * i, s, u] = counts.var(ddof=1) / counts.mean()
                    bits = (counts > counts.mean()).astype(np.int64)
                    if bits.size >= 200:
                        out[2 + 2 * i, s, u] = complexity(bits)
        return _summary(out)

    def same(a: np.ndarray, b: np.ndarray) -> bool:
        exact = np.allclose(a[:, 0], b[:, 0], equal_nan=True)
        return exact and (quick or np.allclose(a[:, 1], b[:, 1], rtol=0.2, equal_nan=True))

    yield compare(
        f"rate, Fano factor, complexity in 3 windows: {n_units} units, {n_shuffles} shuffles each",
        ours,
        {
            "loop over units, np.histogram, antropy": lambda: loop(_antropys),
            "loop over units, np.histogram, strings": lambda: loop(_of_strings),
        },
        same=same,
        slow=60,
    )

    def elephants() -> np.ndarray:
        import elephant.statistics

        return np.array([elephant.statistics.cv(np.diff(t)) for t in trains])

    yield compare(
        f"CV of {n_units} trains, one by one",
        lambda: np.array([cv(t) for t in trains]),
        {"elephant": elephants},
        same=lambda a, b: bool(np.allclose(a, b)),
    )


def _antropys(bits: np.ndarray) -> float:
    import antropy

    return float(antropy.lziv_complexity(bits, normalize=True))


def _of_strings(bits: np.ndarray) -> float:
    text = "".join("1" if b else "0" for b in bits)
    n_phrases, start, n = 0, 0, len(text)
    while start < n:
        length = 1
        while start + length <= n and text[start : start + length] in text[: start + length - 1]:
            length += 1
        n_phrases, start = n_phrases + 1, start + length
    return float(n_phrases * np.log2(n) / n)


def _summary(values: np.ndarray) -> np.ndarray:
    """Return the true value and the mean of the shuffles of each measure and unit."""
    return np.stack([values[:, 0], values[:, 1:].mean(axis=1)], axis=1)


def from_stores(cohort: Cohort, quick: bool) -> Iterator[Result]:
    """Measure all units of the cohort, and test the lab's number of them."""
    spikes = lsdx.open_spikes(cohort.stores)
    metrics = ["mean_rate", "cv", "cv2", "lv", "fano_factor"]
    for share in (1, 2):  # half of the sessions, then all: is the cost linear?
        some = spikes.isel(unit=slice(0, spikes.sizes["unit"] * share // 2))

        def all_metrics(some: xr.Dataset = some) -> Any:
            return _computed(some.lsd.unit_metrics(metrics=metrics))

        n = int(some.row_size.sum())
        yield measure(
            f"rates, CV, CV2, LV, Fano of {some.sizes['unit']} units ({n / 1e6:.0f} M spikes)",
            all_metrics,
            runs=1,
        )
    n = spikes.sizes["unit"]
    for name, measures in {"all but shared spikes": None, "shared spikes": "shared_spikes"}.items():

        def isolation(measures: str | None = measures) -> Any:
            return _computed(spikes.lsd.quality_metrics(metrics=measures))

        yield measure(f"quality of {n} units: {name}", isolation, runs=1)
    chosen = spikes.isel(unit=slice(0, 40 if quick else MOST))
    tests: dict[str, dict[str, Any]] = {
        "rate, CV, Fano in 3 epochs, 252 ways": {"metric": ["mean_rate", "cv", "fano_factor"]},
        "the same with Lempel-Ziv": {"metric": ["mean_rate", "cv", "fano_factor", "lempel_ziv"]},
        "rate in 1 epoch, 999 shuffles of intervals, settled at 20": {
            "method": "isi_shuffle",
            "settle": 20,
            "epoch": "rfm",
        },
    }
    for name, options in tests.items():

        def test(options: dict[str, Any] = options) -> Any:
            return _computed(chosen.lsd.modulation(rng=0, **options))

        n = chosen.sizes["unit"]
        yield measure(f"modulation of {n} units: {name}", test, runs=1)


def _computed(lazy: xr.Dataset) -> xr.Dataset:
    return lazy.compute(scheduler="threads", num_workers=2)
