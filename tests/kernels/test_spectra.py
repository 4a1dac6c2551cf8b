"""Spectra against closed forms, singular values and scikit-learn.

Nothing here was written from the kernels' code: the expected values come from definitions.
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from lsdx.kernels.correlations import (
    chance_squared_correlation,
    correlations,
    mean_squared_correlation,
    participation_ratio_unbiased,
)
from lsdx.kernels.covariance import scaled
from lsdx.kernels.cross_validation import shared_variance
from lsdx.kernels.dimensionality import (
    n_components,
    ngsc,
    participation_ratio,
    pc1,
    power_law_slope,
)
from lsdx.kernels.spectra import (
    eigenvalues,
    explained_variance,
    principal_components,
    spectrum_of_correlations,
)
from lsdx.kernels.surrogates import parallel_analysis
from tests.kernels.activity import (
    PROPERTY,
    SCALES,
    poisson_counts,
    rotation,
    seeds,
    spiked,
    standard,
)


def brute_eigenvalues(x: np.ndarray, scale: str) -> np.ndarray:
    """Squared singular values over n_bins - 1, with NaN for ranks that silent units miss."""
    x = np.asarray(x)
    n_bins, n_units = x.shape
    out = np.full(min(n_units, n_bins - 1), np.nan)
    z = standard(x, scale)
    if z.shape[1]:
        value = np.linalg.svd(z, compute_uv=False) ** 2 / (n_bins - 1)
        m = min(z.shape[1], n_bins - 1)
        out[:m] = value[:m]
    return out


@cache
def sklearn_shares(n_bins: int, n_units: int, scale: str) -> np.ndarray:
    x = standard(poisson_counts(n_bins, n_units), scale)
    share = PCA(svd_solver="full").fit(x).explained_variance_ratio_
    return share[: min(n_units, n_bins - 1)]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3000, 400), (300, 1000)])
def test_counts_of_every_dtype_have_the_spectrum_of_sklearn(shape, dtype, scale):
    share = explained_variance(poisson_counts(*shape).astype(dtype), scale=scale)
    assert share.dtype == np.float64
    np.testing.assert_allclose(share, sklearn_shares(*shape, scale), rtol=0, atol=1e-12)


def test_a_thousand_units_have_the_spectrum_of_sklearn():
    share = explained_variance(poisson_counts(3000, 1000).astype(np.float32))
    np.testing.assert_allclose(share, sklearn_shares(3000, 1000, "zscore"), rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64])
@pytest.mark.parametrize("rate", [0.05, 5, 40, 60, 70, 74, 76, 90, 300, 5000])
def test_exact_whatever_the_size_of_the_counts(rate, dtype, scale):
    """Sums of products pass 2**24, where single precision ends, near a rate of 74."""
    x = np.random.default_rng(5).poisson(rate, (3000, 40)).astype(dtype)
    expected = brute_eigenvalues(x, scale)
    np.testing.assert_allclose(
        explained_variance(x, scale=scale), expected / expected.sum(), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.bool_])
@pytest.mark.parametrize("shape", [(500, 30), (20, 60)])
def test_small_integers_do_not_overflow(shape, dtype, scale):
    rng = np.random.default_rng(6)
    low, high = (0, 1) if dtype is np.bool_ else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    x = rng.integers(low, high, shape, endpoint=True).astype(dtype)
    np.testing.assert_allclose(
        eigenvalues(x, scale=scale), brute_eigenvalues(x, scale), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("shape", [(400, 50), (50, 120)])
def test_fractions_in_single_precision_are_taken_in_double(shape, scale):
    x = np.random.default_rng(7).normal(3, 1, shape).astype(np.float32)
    expected = brute_eigenvalues(x, scale)
    np.testing.assert_allclose(
        explained_variance(x, scale=scale), expected / expected.sum(), rtol=0, atol=1e-12
    )


def test_one_unit_of_fractions_among_whole_numbers_counts_in_full():
    x = np.random.default_rng(8).poisson(1.0, (200, 12)).astype(np.float64)
    x[:, 4] += 0.25 * np.arange(200)
    x[17, 9] += 2.0**-20
    for scale in SCALES:
        np.testing.assert_allclose(
            eigenvalues(x, scale=scale), brute_eigenvalues(x, scale), rtol=1e-11
        )


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64])
@pytest.mark.parametrize("offset", [1_000_000, -1_000_000, 8_000_000])
@pytest.mark.parametrize("shape", [(3000, 100), (100, 300)])
def test_a_large_offset_changes_nothing(shape, offset, dtype, scale):
    # exact in single precision too, which has every whole number below 2**24
    x = poisson_counts(3000, 400)[: shape[0], : shape[1]]
    np.testing.assert_allclose(
        explained_variance((x + offset).astype(dtype), scale=scale),
        explained_variance(x, scale=scale),
        rtol=0,
        atol=1e-9,
        equal_nan=True,
    )


@PROPERTY
@given(
    seeds,
    st.integers(2, 9),
    st.integers(1, 9),
    st.sampled_from(SCALES),
    st.sampled_from([np.uint8, np.int64, np.float32, np.float64]),
)
def test_small_tables_have_the_eigenvalues_of_their_covariance(seed, n_bins, n_units, scale, dtype):
    """Few values, so that units are often silent, alike or opposite."""
    x = np.random.default_rng(seed).integers(0, 3, (n_bins, n_units)).astype(dtype)
    expected = brute_eigenvalues(x, scale)
    value = eigenvalues(x, scale=scale)
    assert value.shape == (min(n_units, n_bins - 1),)
    np.testing.assert_allclose(value, expected, rtol=0, atol=1e-10)
    real = value[~np.isnan(value)]
    assert (real >= 0).all()
    assert (np.diff(real) <= 0).all()
    varies = np.ptp(x.astype(float), axis=0) > 0
    if varies.any():
        total = varies.sum() if scale == "zscore" else x.astype(float).var(axis=0, ddof=1).sum()
        assert real.sum() == pytest.approx(total, abs=1e-10)
        share = explained_variance(x, scale=scale)
        np.testing.assert_allclose(share, value / real.sum(), rtol=0, atol=1e-12)
        assert np.nansum(share) == pytest.approx(1, abs=1e-12)
    else:
        assert np.isnan(explained_variance(x, scale=scale)).all()


@PROPERTY
@given(seeds, st.sampled_from([(40, 8), (8, 20)]), st.sampled_from(SCALES))
def test_the_order_of_units_and_of_bins_does_not_matter(seed, shape, scale):
    rng = np.random.default_rng(seed)
    x = rng.gamma(1.0, size=shape)
    share = explained_variance(x, scale=scale)
    for other in (x[:, rng.permutation(shape[1])], x[rng.permutation(shape[0])]):
        np.testing.assert_allclose(explained_variance(other, scale=scale), share, atol=1e-10)


@PROPERTY
@given(seeds, st.sampled_from([(40, 8), (8, 20)]))
def test_z_scores_do_not_depend_on_each_units_scale_and_offset(seed, shape):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    factor = 10 ** rng.uniform(-6, 6, shape[1]) * rng.choice([-1, 1], shape[1])
    np.testing.assert_allclose(
        explained_variance(x * factor + factor), explained_variance(x), atol=1e-10
    )


@PROPERTY
@given(seeds, st.sampled_from([(40, 8), (8, 20)]), st.floats(-6, 6))
def test_centred_spectra_do_not_depend_on_rotation_and_scale(seed, shape, exponent):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape) * rng.uniform(0.5, 3, shape[1])
    share = explained_variance(x, scale="center")
    turned = 10**exponent * x @ rotation(rng, shape[1])
    np.testing.assert_allclose(explained_variance(turned, scale="center"), share, atol=1e-10)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("shape", [(60, 9), (9, 30)])
@pytest.mark.parametrize("kind", ["counts", "fractions"])
def test_a_batch_equals_a_loop(kind, shape, scale):
    rng = np.random.default_rng(9)
    x = rng.poisson(2.0, (2, 3, *shape)).astype(np.float64)
    if kind == "fractions":
        x += rng.normal(size=x.shape)
    x[0, 1, :, 3] = 1  # a silent unit
    x[1, 2, 4, 2] = np.nan
    functions = {
        "eigenvalues": lambda a: eigenvalues(a, scale=scale),
        "explained_variance": lambda a: explained_variance(a, scale=scale),
        "scaled": lambda a: scaled(a, scale=scale),
        "value": lambda a: mean_squared_correlation(a)[0],
        "error": lambda a: mean_squared_correlation(a)[1],
        "unbiased": participation_ratio_unbiased,
        "r": lambda a: correlations(a)[0],
        "varies": lambda a: correlations(a)[1],
        "participation_ratio": lambda a: participation_ratio(explained_variance(a, scale=scale)),
        "ngsc": lambda a: ngsc(explained_variance(a, scale=scale)),
        "pc1": lambda a: pc1(explained_variance(a, scale=scale)),
        "n80": lambda a: n_components(explained_variance(a, scale=scale)),
        "slope": lambda a: power_law_slope(explained_variance(a, scale=scale), ranks=(1, 6)),
    }
    for name, function in functions.items():
        whole = np.asarray(function(x))
        assert whole.shape[:2] == (2, 3), name
        for i, j in itertools.product(range(2), range(3)):
            np.testing.assert_allclose(
                # the error in time is of single precision
                whole[i, j],
                function(x[i, j]),
                rtol=1e-5 if name == "error" else 1e-12,
                atol=1e-12,
                err_msg=name,
            )


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    ("shape", "silent", "ranks"),
    [((50, 6), 2, 4), ((8, 10), 5, 5), ((5, 10), 3, 4), ((5, 10), 6, 4), ((5, 10), 7, 3)],
)
def test_silent_units_leave_nan_at_the_end(shape, silent, ranks, scale):
    x = np.random.default_rng(10).normal(size=shape)
    x[:, 1 : 1 + silent] = np.arange(silent)  # constant, though not all at 0
    value = eigenvalues(x, scale=scale)
    assert np.isnan(value).tolist() == [False] * ranks + [True] * (len(value) - ranks)
    np.testing.assert_allclose(value, brute_eigenvalues(x, scale), atol=1e-12)
    without = np.delete(x, range(1, 1 + silent), axis=1)
    share = explained_variance(x, scale=scale)[:ranks]
    np.testing.assert_allclose(share, explained_variance(without, scale=scale), atol=1e-12)
    for measure in (pc1, n_components, participation_ratio, ngsc):
        np.testing.assert_allclose(
            measure(explained_variance(x, scale=scale)),
            measure(explained_variance(without, scale=scale)),
            rtol=1e-12,
        )


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("constant", [0.1, 1e6 + 0.1, -1 / 3, 7.7e-9])
def test_a_constant_that_no_float_is_the_mean_of_is_silent_still(constant, scale):
    x = np.random.default_rng(11).normal(size=(3001, 4))
    x[:, 2] = constant
    np.testing.assert_allclose(
        eigenvalues(x, scale=scale)[:3], brute_eigenvalues(x, scale)[:3], atol=1e-10
    )
    assert np.isnan(eigenvalues(x, scale=scale)[3])
    assert (scaled(x, scale=scale)[:, 2] == 0).all()
    assert correlations(x)[1].tolist() == [True, True, False, True]


@pytest.mark.parametrize("scale", SCALES)
def test_only_silent_units_have_no_spectrum(scale):
    x = np.full((20, 5), 3)
    assert np.isnan(eigenvalues(x, scale=scale)).tolist() == [True] * 5
    share = explained_variance(x, scale=scale)
    assert np.isnan(share).tolist() == [True] * 5
    for measure in (pc1, n_components, participation_ratio, ngsc, power_law_slope):
        assert np.isnan(measure(share))
    assert parallel_analysis(x, scale=scale, rng=0) == -1
    assert np.isnan(participation_ratio_unbiased(x))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(30, 5), (5, 30)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_bin_that_is_not_finite_leaves_no_spectrum(dtype, shape, bad, scale):
    x = np.random.default_rng(12).poisson(2.0, (2, *shape)).astype(dtype)
    x[1, 3, 2] = bad
    for function in (eigenvalues, explained_variance):
        out = function(x, scale=scale)
        assert np.isnan(out[1]).all()
        assert not np.isnan(out[0]).all()
    if np.isnan(bad):
        assert np.isnan(mean_squared_correlation(x)[0]).tolist() == [False, True]
        assert np.isnan(participation_ratio_unbiased(x)[1])
        assert np.isnan(correlations(x)[0][1]).any()
        z = scaled(x[1], scale=scale)
        assert np.isnan(z[:, 2]).all()
        assert np.isfinite(np.delete(z, 2, axis=1)).all()
        assert parallel_analysis(x[1], scale=scale, rng=0) == -1


def test_one_unit_has_one_component():
    x = np.array([[1], [2], [4]])
    np.testing.assert_allclose(eigenvalues(x), [1.0], rtol=1e-14)
    np.testing.assert_allclose(eigenvalues(x, scale="center"), [7 / 3], rtol=1e-14)
    share = explained_variance(x)
    assert share.tolist() == [1.0]
    assert pc1(share) == n_components(share) == participation_ratio(share) == 1
    assert np.isnan(ngsc(share))
    assert np.isnan(power_law_slope(share, ranks=(1, 5)))
    assert np.isnan(mean_squared_correlation(x)).all()


@pytest.mark.parametrize("scale", SCALES)
def test_two_bins_have_one_component(scale):
    x = np.array([[0, 5, 1, 2], [1, 3, 1, 7]])
    variance = np.array([0.5, 2.0, 12.5])
    expected = 3 if scale == "zscore" else variance.sum()
    np.testing.assert_allclose(eigenvalues(x, scale=scale), [expected], rtol=1e-13)
    np.testing.assert_allclose(explained_variance(x, scale=scale), [1.0], rtol=1e-13)
    assert np.isnan(mean_squared_correlation(x)).all()


@pytest.mark.parametrize("function", [eigenvalues, explained_variance])
def test_too_little_data_and_unknown_scales_are_refused(function):
    for shape in ((1, 3), (0, 3), (5, 0), (2, 1, 3), (2, 5, 0)):
        with pytest.raises(ValueError, match=r"\S"):
            function(np.zeros(shape))
    for scale in ("none", "Zscore", "", None):
        with pytest.raises(ValueError, match=r"\S"):
            function(np.eye(4), scale=scale)


def test_memory_layout_does_not_matter_and_inputs_are_left_alone():
    rng = np.random.default_rng(13)
    for x in (rng.poisson(2.0, (80, 12)), rng.normal(size=(80, 12)), rng.normal(size=(12, 80))):
        before = x.copy()
        x.setflags(write=False)
        share = explained_variance(x)
        for other in (np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], x[::-1, ::-1]):
            np.testing.assert_allclose(explained_variance(other), share, atol=1e-12)
        scaled(x)
        principal_components(x, n_components=2)
        parallel_analysis(x, n_surrogates=2, rng=0)
        mean_squared_correlation(x)
        chance_squared_correlation(x)
        shared_variance(x, np.arange(x.shape[1]) % 2 == 1, n_shifts=1)
        np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("shape", [(200, 15), (15, 60)])
@pytest.mark.parametrize("kind", ["counts", "fractions"])
def test_principal_components_are_those_of_sklearn_up_to_sign(kind, shape, scale):
    rng = np.random.default_rng(14)
    gains = rng.normal(size=(4, shape[1])) * [[4], [3], [2], [1]]
    x = rng.normal(size=(shape[0], 4)) @ gains + rng.normal(size=shape)
    if kind == "counts":
        x = np.round(3 * x).astype(np.int64)
    share, loadings = principal_components(x, n_components=4, scale=scale)
    assert share.shape == (4,)
    assert loadings.shape == (shape[1], 4)
    model = PCA(n_components=4, svd_solver="full").fit(standard(x, scale))
    np.testing.assert_allclose(share, model.explained_variance_ratio_, rtol=0, atol=1e-12)
    np.testing.assert_allclose(share, explained_variance(x, scale=scale)[:4], atol=1e-12)
    np.testing.assert_allclose(abs((loadings * model.components_.T).sum(axis=0)), 1, atol=1e-10)
    np.testing.assert_allclose(loadings.T @ loadings, np.eye(4), atol=1e-12)
    largest = loadings[abs(loadings).argmax(axis=0), range(4)]
    assert (largest > 0).all()
    scores = scaled(x, scale=scale) @ loadings
    np.testing.assert_allclose(
        np.cov(scores.T), np.diag(eigenvalues(x, scale=scale)[:4]), atol=1e-9
    )


@pytest.mark.parametrize("shape", [(40, 8), (6, 20)])
def test_loadings_of_silent_units_are_0_and_ranks_that_do_not_exist_are_nan(shape):
    x = np.random.default_rng(15).normal(size=shape)
    x[:, [0, 5]] = 2
    m = min(shape[1], shape[0] - 1)
    share, loadings = principal_components(x, n_components=3)
    np.testing.assert_allclose(loadings[[0, 5]], 0, atol=1e-12)
    np.testing.assert_allclose(loadings.T @ loadings, np.eye(3), atol=1e-12)
    share, loadings = principal_components(x, n_components=m + 3)
    assert share.shape == (m + 3,)
    assert loadings.shape == (shape[1], m + 3)
    assert np.isnan(share[m:]).all()
    assert np.isnan(loadings[:, m:]).all()
    np.testing.assert_allclose(share[:m], explained_variance(x), atol=1e-12)


@pytest.mark.parametrize("shape", [(40, 8), (6, 20)])
@pytest.mark.parametrize("kind", ["counts", "fractions"])
def test_loadings_are_orthonormal_where_units_repeat_each_other(kind, shape):
    """Two components hold all the variance; the others have directions all the same."""
    rng = np.random.default_rng(16)
    x = rng.normal(size=(shape[0], 2)) if kind == "fractions" else rng.poisson(3, (shape[0], 2))
    x = np.tile(x, shape[1] // 2)
    share, loadings = principal_components(x, n_components=4)
    np.testing.assert_allclose(share[2:], 0, atol=1e-12)
    assert share[:2].sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(loadings.T @ loadings, np.eye(4), atol=1e-9)


def test_principal_components_refuse_what_has_none():
    x = np.eye(5)
    for bad in ({"n_components": 0}, {"n_components": -1}, {"n_components": 2, "scale": "no"}):
        with pytest.raises(ValueError, match=r"\S"):
            principal_components(x, **bad)
    for shape in ((1, 4), (4, 0)):
        with pytest.raises(ValueError, match=r"\S"):
            principal_components(np.zeros(shape), n_components=1)


@pytest.mark.parametrize("shape", [(60, 9), (6, 15)])
def test_correlations_have_the_spectrum_of_the_activity(shape):
    x = np.random.default_rng(17).poisson(2.0, (3, *shape)).astype(float)
    x[1, :, 4] = 0
    r, varies = correlations(x)
    np.testing.assert_allclose(
        spectrum_of_correlations(r, varies, shape[0]), explained_variance(x), atol=1e-12
    )


def test_spikes_stand_where_random_matrix_theory_puts_them():
    """At ``l (1 + g / (l - 1))``, with g = 0.1: 10.11 and 5.125."""
    draws = [eigenvalues(spiked(np.random.default_rng(s)), scale="center")[:2] for s in range(20)]
    np.testing.assert_allclose(np.mean(draws, axis=0), [10.11, 5.13], rtol=0.03)
