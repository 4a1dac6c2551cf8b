"""Missed spikes against truncated distributions whose share is known; quantiles against numpy."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from lsdx.kernels import amplitudes
from lsdx.kernels.amplitudes import amplitude_cutoff, segment_quantiles


def truncated(missed: float, n: int, *, mean: float = 9e-5, sd: float = 2e-5) -> np.ndarray:
    """The n amplitudes at equal steps of probability of a Gaussian of which a share is missed."""
    seen = missed + (1 - missed) * (np.arange(n) + 0.5) / n
    normal = NormalDist(mean, sd)
    return np.array([normal.inv_cdf(p) for p in seen], dtype=np.float32)


@pytest.mark.parametrize("missed", [1e-6, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4])
def test_the_share_missed_of_a_truncated_gaussian(missed: float) -> None:
    values = truncated(missed, 20_000)
    (found,) = amplitude_cutoff(values, np.array([values.size]))
    assert found == pytest.approx(missed, abs=0.012)


def test_half_missed_is_the_most() -> None:
    values = truncated(0.8, 5000)
    (found,) = amplitude_cutoff(values, np.array([values.size]))
    assert 0.48 < found <= 0.5


def test_drawn_amplitudes_of_many_units_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amplitudes, "BLOCK", 10_007)  # units and blocks do not end together
    rng = np.random.default_rng(3)
    shares = np.repeat([0.0, 0.1, 0.3], 20)
    rows = []
    for share in shares:
        values = rng.normal(100, 20, 40_000)
        low = NormalDist(100, 20).inv_cdf(share) if share else 0
        rows.append(values[values > low][:10_000])
    found = amplitude_cutoff(np.concatenate(rows).astype(np.float32), np.full(60, 10_000))
    # the error of one unit is 0.03 at 0.3, of the mean of twenty 0.007
    assert found.reshape(3, 20).mean(axis=1) == pytest.approx([0, 0.1, 0.3], abs=0.02)
    one = amplitude_cutoff(rows[30].astype(np.float32), np.array([10_000]))
    assert found[30] == pytest.approx(one[0], rel=1e-12)


def test_it_does_not_depend_on_scale_or_order_or_what_is_not_known() -> None:
    values = truncated(0.1, 5000)
    alone = amplitude_cutoff(values, np.array([5000]))
    mixed = np.random.default_rng(0).permutation(np.append(values, np.full(1000, np.nan)))
    found = amplitude_cutoff(mixed.astype(np.float32) * 1024, np.array([6000]))
    assert found == pytest.approx(alone, rel=1e-12)


def test_single_small_spikes_do_not_hide_what_is_missed() -> None:
    values = truncated(0.2, 10_000)
    values[:5] = 1e-6
    (found,) = amplitude_cutoff(values, np.array([values.size]))
    assert found == pytest.approx(0.2, abs=0.012)


def test_too_few_or_equal_amplitudes_are_not_told() -> None:
    few, equal, none = truncated(0.1, 499), np.full(600, 5e-5), np.full(600, np.nan)
    enough = truncated(0.1, 500)
    values = np.concatenate([few, equal, none, enough]).astype(np.float32)
    found = amplitude_cutoff(values, np.array([499, 600, 600, 500, 0]))
    assert np.isnan(found).tolist() == [True, True, True, False, True]


@pytest.mark.parametrize("block", [1, 97, 1 << 22])
def test_quantiles_of_stretches_are_those_of_numpy(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amplitudes, "BLOCK", block)
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, 1000).astype(np.float32)  # of both signs
    values[rng.random(1000) < 0.2] = np.nan
    values[100:140] = np.nan
    values[200:210] = [0.0, -0.0] * 5
    first = np.array([0, 500, 100, 90, 999, 200, 3, 1000])  # overlapping, in no order
    size = np.array([60, 400, 40, 0, 1, 10, 800, 0])
    found = segment_quantiles(values, first, size, (0.5, 0.01, 0.75))
    for segment, (a, n) in enumerate(zip(first, size, strict=True)):
        part = values[a : a + n].astype(np.float64)
        part = part[~np.isnan(part)]
        expected = np.quantile(part, (0.5, 0.01, 0.75)) if part.size else np.full(3, np.nan)
        np.testing.assert_allclose(found[:, segment], expected, rtol=1e-12)
