"""What is read off a spectrum, against closed forms and brute force loops.

Nothing here was written from the kernels' code: the expected values come from definitions.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsdx.kernels.dimensionality import (
    n_components,
    ngsc,
    participation_ratio,
    pc1,
    power_law_slope,
)
from lsdx.kernels.resampling import thin
from lsdx.kernels.spectra import eigenvalues, explained_variance
from tests.kernels.activity import PROPERTY, keys_of, seeds


@pytest.mark.parametrize("m", [2, 3, 8, 10, 100, 1999])
@pytest.mark.parametrize("height", ["share", 1.0, 7.5e-9, 3e12])
def test_a_flat_spectrum_has_as_many_dimensions_as_ranks(m, height):
    flat = np.full(m, 1 / m if height == "share" else height)
    assert ngsc(flat) == pytest.approx(1, abs=1e-12)
    assert participation_ratio(flat) == pytest.approx(m, rel=1e-12)
    assert pc1(flat) == pytest.approx(1 / m, rel=1e-12)


def test_components_are_counted_from_one():
    assert n_components(np.full(10, 0.1)) == 8
    assert n_components(np.ones(10)) == 8
    assert n_components(np.array([0.9, 0.1])) == 1
    assert n_components(np.array([0.8, 0.2])) == 1
    assert n_components(np.array([0.79, 0.21])) == 2
    assert n_components(np.full(10, 0.1), level=0.81) == 9
    assert n_components(np.full(10, 0.1), level=1.0) == 10
    for m in range(1, 60):  # sums of shares are rounded, which the slack forgives
        for k in range(1, m + 1):
            assert n_components(np.full(m, 1 / m), level=k / m) == k


def test_a_single_component_has_one_dimension():
    one_hot = np.eye(1, 12)[0]
    assert ngsc(one_hot) == 0
    assert participation_ratio(one_hot) == 1
    assert pc1(one_hot) == 1
    assert n_components(one_hot) == 1
    assert n_components(one_hot, level=1.0) == 1


@PROPERTY
@given(seeds, st.integers(2, 30), st.integers(0, 5), st.floats(-8, 8), st.floats(0.01, 1.0))
def test_measures_equal_loops_for_shares_and_eigenvalues_and_skip_nan(seed, m, pad, size, level):
    rng = np.random.default_rng(seed)
    p = np.sort(rng.gamma(0.5, size=m))[::-1]
    p /= p.sum()
    spectrum = np.append(p * 10**size, np.full(pad, np.nan))
    entropy = -sum(q * np.log(q) for q in p if q > 0)
    assert ngsc(spectrum) == pytest.approx(entropy / np.log(m), rel=1e-10)
    assert participation_ratio(spectrum) == pytest.approx(1 / sum(q * q for q in p), rel=1e-10)
    assert pc1(spectrum) == pytest.approx(p[0], rel=1e-12)
    expected = next(k for k in range(1, m + 1) if sum(p[:k]) >= level - 1e-12)
    assert n_components(spectrum, level=level) == expected
    assert 1 <= participation_ratio(spectrum) <= m * (1 + 1e-12)
    assert 0 <= ngsc(spectrum) <= 1 + 1e-12


def test_no_spectrum_has_no_measures():
    spectrum = np.full((2, 5), np.nan)
    spectrum[1] = 0.2
    for measure in (pc1, n_components, participation_ratio, ngsc):
        assert np.isnan(measure(spectrum)).tolist() == [True, False]
    assert np.isnan(power_law_slope(spectrum, ranks=(1, 5))[0])
    assert power_law_slope(spectrum, ranks=(1, 5))[1] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("level", [0, -0.1, 1.0001, 80, np.nan])
def test_a_level_out_of_range_is_refused(level):
    with pytest.raises(ValueError, match=r"\S"):
        n_components(np.full(10, 0.1), level=level)


@pytest.mark.parametrize("weights", ["inverse_rank", None])
@pytest.mark.parametrize("exponent", [0.25, 0.5, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("m", [13, 100, 500, 999])
def test_a_power_law_has_its_exponent_for_slope(m, exponent, weights):
    spectrum = np.arange(1.0, m + 1) ** -exponent
    for s in (spectrum, spectrum / spectrum.sum(), np.append(spectrum, [np.nan] * 7)):
        assert power_law_slope(s, weights=weights) == pytest.approx(-exponent, abs=1e-9)
        assert power_law_slope(s, ranks=(2, 9), weights=weights) == pytest.approx(
            -exponent, abs=1e-9
        )


@PROPERTY
@given(seeds, st.integers(1, 12), st.integers(3, 60), st.sampled_from(["inverse_rank", None]))
def test_the_slope_is_that_of_weighted_least_squares(seed, first, length, weights):
    rng = np.random.default_rng(seed)
    spectrum = np.sort(rng.gamma(0.7, size=50))[::-1]
    last = first + length
    rank = np.arange(first, min(last, 50) + 1)
    w = 1 / rank if weights else np.ones(rank.size)
    x, y = np.log(rank), np.log(spectrum[rank - 1])
    x0, y0 = (w * x).sum() / w.sum(), (w * y).sum() / w.sum()
    expected = (w * (x - x0) * (y - y0)).sum() / (w * (x - x0) ** 2).sum()
    slope = power_law_slope(spectrum, ranks=(first, last), weights=weights)
    assert slope == pytest.approx(expected, rel=1e-9)


def test_default_ranks_are_11_to_500():
    spectrum = np.arange(1.0, 1001) ** -1.2
    spectrum[:10] = 100
    spectrum[500:] = 1e-30
    assert power_law_slope(spectrum) == pytest.approx(-1.2, abs=1e-9)
    spectrum[10] *= 2
    assert power_law_slope(spectrum) != pytest.approx(-1.2, abs=1e-3)


def test_fewer_than_three_ranks_have_no_slope():
    spectrum = np.arange(1.0, 14) ** -1.0
    assert power_law_slope(spectrum) == pytest.approx(-1, abs=1e-9)
    assert np.isnan(power_law_slope(spectrum[:12]))
    assert np.isnan(power_law_slope(spectrum[:5]))
    assert np.isnan(power_law_slope(spectrum, ranks=(1, 2)))
    zeros = np.append(spectrum[:4], np.zeros(9))
    assert power_law_slope(zeros, ranks=(2, 13)) == pytest.approx(-1, abs=1e-9)
    assert np.isnan(power_law_slope(zeros, ranks=(3, 13)))


@pytest.mark.parametrize(
    "bad", [{"ranks": (0, 5)}, {"ranks": (5, 5)}, {"ranks": (6, 5)}, {"weights": "rank"}]
)
def test_ranks_and_weights_that_make_no_sense_are_refused(bad):
    with pytest.raises(ValueError, match=r"\S"):
        power_law_slope(np.arange(1.0, 20) ** -1.0, **bad)


@pytest.mark.parametrize(("n_bins", "n"), [(1000, 200), (3000, 400), (3000, 100)])
def test_white_noise_has_the_measures_of_marchenko_and_pastur(n_bins, n):
    value = eigenvalues(np.random.default_rng(n).normal(size=(n_bins, n)))
    g = n / (n_bins - 1)
    assert participation_ratio(value) == pytest.approx(n / (1 + (n - 1) / (n_bins - 1)), rel=0.005)
    assert ngsc(value) == pytest.approx(1 - g / (2 * np.log(n)), abs=0.001)
    assert value[0] / value.mean() == pytest.approx((1 + np.sqrt(g)) ** 2, rel=0.04)


def test_equal_latents_have_equal_dimension_once_rates_are_matched():
    """Softplus of ten latents, with rates of 1 to 2 apart; chance is the other half of each."""
    rng = np.random.default_rng(26)
    n, n_bins = 200, 3000
    drive = rng.normal(size=(n_bins, 10)) @ rng.normal(size=(10, n)) / np.sqrt(10)
    rate = 0.5 * np.log1p(np.exp(1.5 * drive))
    low, high = (rng.poisson(gain * rate).T for gain in (1, 2))
    matched = thin(high, np.full(n, 0.5), keys_of(n, 6))
    assert matched.mean() == pytest.approx(low.mean(), rel=0.02)
    spectra = [explained_variance(x.T) for x in (low, matched, high)]
    ratio, ratio_matched, ratio_high = map(participation_ratio, spectra)
    entropy, entropy_matched, entropy_high = map(ngsc, spectra)
    assert ratio_matched == pytest.approx(ratio, rel=0.05)
    assert entropy_matched == pytest.approx(entropy, abs=0.005)
    assert ratio_high < 0.8 * ratio
    assert entropy_high < entropy - 0.015
