"""Measures of isolation, against SpikeInterface's on the same spikes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats
from spikeinterface.core import NumpyRecording, NumpySorting, create_sorting_analyzer
from spikeinterface.metrics.quality import misc_metrics

from lsdx.kernels import quality
from lsdx.kernels.trains import Trains

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of an empty recording
RATE = 100_000  # Hz: one sample is one tick of lsdx
SECONDS = 400
# no multiple of it is a whole number of 0.25 ms up to 10 ms: no lag lies on the edge of a bin
GRID = 41
WIDTH, BINS = 25, 40  # ticks of 0.25 ms, up to 10 ms


@pytest.fixture(scope="module")
def trains() -> list[np.ndarray]:
    """Poisson neurons of 3 to 40 Hz, refractory or not, and mixtures of two; one that stops."""
    rng = np.random.default_rng(11)

    def neuron(rate: float, refractory: float) -> np.ndarray:
        times = np.cumsum(refractory + rng.exponential(1 / rate - refractory, 60 * SECONDS))
        return np.unique((times[times < SECONDS] * RATE).astype(np.int64) // GRID * GRID)

    alone = [neuron(rate, t) for rate in (3, 10, 40) for t in (0.0, 0.003)]
    mixed = [np.union1d(neuron(20, 0.003), neuron(20 * f, 0.003)) for f in (0.05, 0.2, 1.0)]
    stopped = neuron(10, 0.003)
    return [*alone, *mixed, stopped[stopped < 100 * RATE]]


@pytest.fixture(scope="module")
def theirs(trains: list[np.ndarray]) -> Any:
    sorting = NumpySorting.from_unit_dict(dict(enumerate(trains)), sampling_frequency=RATE)
    recording = NumpyRecording(np.zeros((SECONDS * RATE, 1), dtype=np.int8), RATE)
    recording.set_dummy_probe_from_locations(np.zeros((1, 2)))
    return create_sorting_analyzer(sorting, recording, sparse=False)


@pytest.fixture(scope="module")
def ours(trains: list[np.ndarray]) -> tuple[Trains, np.ndarray, np.ndarray]:
    sizes = np.array([t.size for t in trains])
    ticks = np.concatenate(trains).astype(np.uint32)
    return (
        Trains(ticks, np.cumsum(sizes) - sizes, sizes),
        sizes,
        np.full(sizes.size, float(SECONDS)),
    )


def values(found: dict[int, float]) -> np.ndarray:
    return np.array([found[i] for i in sorted(found)], dtype=np.float64)


def test_isi_violations(ours: Any, theirs: Any) -> None:
    trains, n, seconds = ours
    found = misc_metrics.compute_isi_violations(theirs, isi_threshold_ms=1.5, min_isi_ms=0)
    violations = quality.count_intervals(trains, 0, 150)
    np.testing.assert_allclose(
        quality.isi_violations(violations, n, seconds, 0.0015), values(found[0]), rtol=1e-9
    )


def test_contamination(ours: Any, theirs: Any) -> None:
    trains, n, seconds = ours
    found = misc_metrics.compute_refrac_period_violations(
        theirs, refractory_period_ms=1.5, censored_period_ms=0.0
    )
    pairs = quality.count_lags(trains, WIDTH, BINS)[:, :6].sum(axis=1)
    np.testing.assert_array_equal(pairs, values(found[1]))
    share = quality.contamination(pairs, n, seconds, 0.0015)
    np.testing.assert_allclose(share, values(found[0]), rtol=1e-6)


def published(
    seen: np.ndarray, rate: float, count: int, period: np.ndarray, share: np.ndarray
) -> np.ndarray:
    """Return the confidence of IBL's white paper: 2 c r N t pairs are expected."""
    return 1 - scipy.stats.poisson.cdf(seen, 2 * share * rate * count * period)


def test_sliding_refractory_period(ours: Any, theirs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trains, n, seconds = ours
    pairs = quality.count_lags(trains, WIDTH, BINS)
    _, least = quality.sliding_refractory_period(pairs, n, seconds, 0.00025, 0.0005)
    # theirs expects fewer pairs, those of Llobet (2022): it is sure of a little more contamination
    found = values(misc_metrics.compute_sliding_rp_violations(theirs))
    known = ~np.isnan(found)
    assert ((found - least)[known] >= 0).all()
    assert ((found - least)[known] <= 0.05).all()
    monkeypatch.setattr(misc_metrics, "_compute_violations", published)
    found = values(misc_metrics.compute_sliding_rp_violations(theirs))
    np.testing.assert_allclose(least, found, atol=1e-9)


def test_presence_ratio(ours: Any, theirs: Any) -> None:
    trains, n, _ = ours
    found = misc_metrics.compute_presence_ratios(theirs, bin_duration_s=20)
    ratio = quality.presence_ratio(trains, np.full(n.size, SECONDS * RATE), 20 * RATE)
    np.testing.assert_allclose(ratio, values(found), rtol=1e-12)
