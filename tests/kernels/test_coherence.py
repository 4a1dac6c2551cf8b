"""Coherence: closed forms, SciPy's, what is left by chance, and the level of its test."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import signal, stats

from lsdx.kernels.coherence import (
    Options,
    coherence,
    effective_segments,
    less_bias,
    n_segments,
    population_coherence,
    shift_offsets,
    shift_p,
)

HOW: dict[str, Any] = {"nperseg": 100}


def slow(rng: np.random.Generator, *shape: int, tau: float = 20.0) -> np.ndarray:
    """Autoregressive series with a time constant in bins, from their stationary state on."""
    keep = np.exp(-1 / tau)
    noise = rng.normal(size=(*shape[:-1], shape[-1] + round(10 * tau)))
    return np.asarray(signal.lfilter([1], [1, -keep], noise)[..., round(10 * tau) :])


def test_it_is_that_of_scipy() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 1000)).cumsum(axis=1)
    for nperseg in (50, 51):
        expected = signal.coherence(x, y, fs=10, nperseg=nperseg)[1]
        np.testing.assert_allclose(coherence(x, y, nperseg=nperseg), expected)
        step = nperseg - nperseg // 2
        assert n_segments(1000, nperseg) == (1000 - nperseg) // step + 1


def test_a_source_shared_at_equal_power_with_noise_gives_a_quarter() -> None:
    rng = np.random.default_rng(1)
    source, *noise = rng.normal(size=(3, 200_000))
    raw = coherence(source + noise[0], source + noise[1], **HOW)[1:]
    value = less_bias(raw, effective_segments(n_segments(200_000, 100), 100))
    assert value.mean() == pytest.approx(0.25, abs=0.005)
    np.testing.assert_allclose(value, 0.25, atol=0.05)
    assert np.median(np.abs(value - 0.25)) < 0.02


def test_of_itself_it_is_1_and_scale_does_not_matter() -> None:
    x, y = slow(np.random.default_rng(2), 2, 3000)
    np.testing.assert_allclose(coherence(x, x, **HOW), 1)
    np.testing.assert_allclose(coherence(10 * x, 0.1 * y, **HOW), coherence(x, y, **HOW))
    assert less_bias(np.ones(2), 30.0).tolist() == [1, 1]
    assert np.isnan(coherence(x, np.zeros(3000), **HOW)).all()


@pytest.mark.parametrize("tau", [1e-3, 20.0, 300.0])
@pytest.mark.parametrize("n_bins", [600, 3000])
def test_independent_series_have_none_less_the_bias(tau: float, n_bins: int) -> None:
    x, y = slow(np.random.default_rng(3), 2, 1000, n_bins, tau=tau)
    raw = coherence(x, y, **HOW)[:, 1:]
    n = n_segments(n_bins, 100)
    value = less_bias(raw, effective_segments(n, 100)).mean(axis=1)
    assert abs(value.mean()) < max(3 * value.std() / np.sqrt(1000), 0.02 / n)
    assert raw.mean() == pytest.approx(1 / effective_segments(n, 100), rel=0.05)


def test_half_overlapping_hann_windows_correlate_by_a_36th() -> None:
    n = 1000
    assert n / effective_segments(n, 200) - 1 == pytest.approx(2 * (1 - 1 / n) / 36, rel=0.01)


def test_p_is_uniform_for_independent_series() -> None:
    rng = np.random.default_rng(4)
    p, corrected = [], []
    for i in range(200):
        x, y = slow(rng, 2, 1500)
        offsets = shift_offsets(np.arange(39, dtype=np.uint64) + 1000 * i, 1500, 300)
        moved = np.stack([np.roll(y, s) for s in offsets])
        found = shift_p(coherence(x, y, **HOW)[1:], coherence(x, moved, **HOW)[:, 1:])
        p.append(found[0][2])
        corrected.append(found[1].min())
    for values in (np.array(p), np.array(corrected)):
        spread = values - rng.uniform(0, 1 / 40, 200)  # p are multiples of 1 / 40
        assert stats.kstest(spread, "uniform").pvalue > 0.01
    assert np.mean(np.array(corrected) <= 0.05) < 0.1


def test_shifts_keep_their_distance() -> None:
    offsets = shift_offsets(np.arange(5000, dtype=np.uint64), 100, 30)
    assert set(offsets.tolist()) == set(range(30, 71))


def test_populations_share_their_source() -> None:
    rng = np.random.default_rng(5)
    t = np.arange(3000) / 10
    # at 0.5 Hz, with a phase that wanders: a pure wave would meet itself after any shift
    wave = 1 + 0.8 * np.sin(2 * np.pi * 0.5 * t + np.cumsum(rng.normal(size=3000)) * 0.15)
    counts = rng.poisson(np.stack([2 * wave] * 20 + [np.full(3000, 2.0)] * 10))
    counts = np.stack([counts, rng.poisson(1.0, counts.shape)], axis=1).astype(np.float32)
    counts[:, 1, 350:] = np.nan
    side = np.repeat([0, 1, -1], 10)
    yes, keys = np.ones(30, dtype=bool), np.arange(30, dtype=np.uint64)
    options = Options(100, 0.1, 300, 39, True, 2, 5, 0)
    cells = np.ones(2, dtype=bool)
    out = population_coherence(counts, yes, cells, keys, [0, 1], 7, side, options)
    assert abs(out["coherence"][0].argmax() - 4) <= 1  # 0.5 Hz, the fifth beyond 0
    assert out["coherence"][0, 4] > 0.8
    assert out["p_corrected"][0, 4] == 1 / 40
    assert out["note"].tolist() == ["", "too short to shift: no p"]
    assert np.isfinite(out["coherence"][1]).all()
    assert np.isnan(out["p"][1]).all()
    assert (out["n_units_source"], out["n_units_target"]) == (10, 10)
    none = population_coherence(counts, yes, cells, keys, [0, 1], 7, side * 0, options)
    assert none["note"][0] == "0 units of the target, fewer than min_units=5"
    short = np.where(np.arange(3000) < 200, counts, np.nan)
    few = population_coherence(short, yes, cells, keys, [0, 1], 7, side, options)
    assert few["note"].tolist() == ["3 segments, fewer than 4"] * 2


def test_p_is_never_less_than_different_shifts_can_tell() -> None:
    from lsdx.kernels.coherence import Options, population_coherence

    counts = np.random.default_rng(0).poisson(5, (4, 1, 70)).astype(float)
    counts[2:] = counts[:2]  # coherence 1: no shift reaches it
    options = Options(8, 1.0, 30, 199, False, 1, 1, 0)
    every, keys = np.ones(4, dtype=bool), np.arange(4, dtype=np.uint64)
    side = np.array([0, 0, 1, 1])
    found = population_coherence(counts, every, np.ones(1, dtype=bool), keys, [0], 0, side, options)
    np.testing.assert_allclose(found["p"], 1 / 12)
