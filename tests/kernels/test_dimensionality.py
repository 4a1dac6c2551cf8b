"""Dimensionality against closed forms, brute force loops, scikit-learn and known estimators.

Nothing here was written from the kernels' code: the expected values come from definitions.
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.linalg import eigvalsh_tridiagonal, subspace_angles
from scipy.signal import lfilter
from sklearn.decomposition import PCA

from lsdx.kernels.dimensionality import (
    chance_squared_correlation,
    correlations,
    cross_validated_spectrum,
    eigenvalues,
    explained_variance,
    mean_square_of,
    mean_squared_correlation,
    n_components,
    ngsc,
    parallel_analysis,
    participation_ratio,
    participation_ratio_unbiased,
    pc1,
    pc1_angle,
    power_law_slope,
    principal_angles,
    principal_components,
    scaled,
    shared_variance,
    spectrum_of_correlations,
    subspace_similarity,
    surrogate_spectra,
    time_error,
)
from lsdx.kernels.resampling import shift_circularly, stream_keys, thin

PROPERTY = settings(max_examples=25, deadline=None)
SCALES = ("zscore", "center")
seeds = st.integers(0, 2**32 - 1)


# Data, and what is expected of them


def keys_of(n: int, *path: int) -> np.ndarray:
    """Keys of units numbered from 0."""
    return stream_keys(np.arange(n, dtype=np.uint64), *path)


def ar1(rng: np.random.Generator, n_bins: int, tau: np.ndarray) -> np.ndarray:
    """Independent units of variance 1 whose autocorrelation is ``exp(-lag / tau)``."""
    phi = np.exp(-1 / np.asarray(tau, dtype=float))
    noise = rng.normal(size=(n_bins, phi.size))
    noise[1:] *= np.sqrt(1 - phi**2)  # the first bin is stationary already
    return np.stack([lfilter([1], [1, -p], noise[:, i]) for i, p in enumerate(phi)], axis=1)


def rotation(rng: np.random.Generator, n: int) -> np.ndarray:
    q, r = np.linalg.qr(rng.normal(size=(n, n)))
    return q * np.sign(np.diag(r))


def standard(x: np.ndarray, scale: str) -> np.ndarray:
    """Units that vary, in double precision and two passes, centred or z-scored."""
    x = np.asarray(x, dtype=np.float64)
    x = x[:, np.ptp(x, axis=0) > 0]
    x = x - x.mean(axis=0)
    x = x - x.mean(axis=0)
    return x / x.std(axis=0, ddof=1) if scale == "zscore" else x


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
def poisson_counts(n_bins: int, n_units: int) -> np.ndarray:
    """Counts of correlated units of unequal rates, below 256."""
    rng = np.random.default_rng(n_units)
    shared = rng.normal(size=(n_bins, 6)) @ rng.normal(size=(6, n_units)) * 0.3
    counts = rng.poisson(rng.uniform(0.2, 3.0, n_units) * np.exp(shared)).clip(0, 255)
    assert (np.ptp(counts, axis=0) > 0).all()
    return counts.astype(np.int64)


@cache
def sklearn_shares(n_bins: int, n_units: int, scale: str) -> np.ndarray:
    x = standard(poisson_counts(n_bins, n_units), scale)
    share = PCA(svd_solver="full").fit(x).explained_variance_ratio_
    return share[: min(n_units, n_bins - 1)]


# Eigenvalues and shares of variance


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


# Scaled activity, principal components, correlations


@PROPERTY
@given(seeds, st.sampled_from(SCALES))
def test_scaling_brings_mean_to_0_and_variance_to_1(seed, scale):
    x = np.random.default_rng(seed).integers(0, 4, (7, 5))
    expected = x - x.mean(axis=0)
    sd = x.std(axis=0, ddof=1)
    if scale == "zscore":
        expected = expected / np.where(sd > 0, sd, 1)
    np.testing.assert_allclose(scaled(x, scale=scale), expected, atol=1e-13)


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


@PROPERTY
@given(seeds, st.integers(3, 12), st.sampled_from([np.uint8, np.float64]))
def test_correlations_are_those_of_numpy(seed, n_bins, dtype):
    x = np.random.default_rng(seed).integers(0, 3, (n_bins, 5)).astype(dtype)
    r, varies = correlations(x)
    assert varies.tolist() == (np.ptp(x.astype(float), axis=0) > 0).tolist()
    z = scaled(x)
    off = ~np.eye(5, dtype=bool)
    np.testing.assert_allclose(r[off], (z.T @ z / (n_bins - 1))[off], atol=1e-12)
    np.testing.assert_allclose(np.diag(r)[varies], 1, atol=1e-12)
    assert (r[~varies] == 0).all()
    if varies.sum() > 1:
        expected = np.corrcoef(x[:, varies].astype(float).T)
        np.testing.assert_allclose(r[np.ix_(varies, varies)], expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(60, 9), (6, 15)])
def test_correlations_have_the_spectrum_of_the_activity(shape):
    x = np.random.default_rng(17).poisson(2.0, (3, *shape)).astype(float)
    x[1, :, 4] = 0
    r, varies = correlations(x)
    np.testing.assert_allclose(
        spectrum_of_correlations(r, varies, shape[0]), explained_variance(x), atol=1e-12
    )


# Measures of a spectrum


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


# White noise and spikes


@pytest.mark.parametrize(("n_bins", "n"), [(1000, 200), (3000, 400), (3000, 100)])
def test_white_noise_has_the_measures_of_marchenko_and_pastur(n_bins, n):
    value = eigenvalues(np.random.default_rng(n).normal(size=(n_bins, n)))
    g = n / (n_bins - 1)
    assert participation_ratio(value) == pytest.approx(n / (1 + (n - 1) / (n_bins - 1)), rel=0.005)
    assert ngsc(value) == pytest.approx(1 - g / (2 * np.log(n)), abs=0.001)
    assert value[0] / value.mean() == pytest.approx((1 + np.sqrt(g)) ** 2, rel=0.04)


def spiked(rng: np.random.Generator, n_bins: int = 1000, n: int = 100) -> np.ndarray:
    """Noise with variances 10 and 5 in two directions and 1 in all others, no axis special."""
    sd = np.sqrt(np.append([10.0, 5.0], np.ones(n - 2)))
    return (rng.normal(size=(n_bins, n)) * sd) @ rotation(rng, n).T


def test_spikes_stand_where_random_matrix_theory_puts_them():
    """At ``l (1 + g / (l - 1))``, with g = 0.1: 10.11 and 5.125."""
    draws = [eigenvalues(spiked(np.random.default_rng(s)), scale="center")[:2] for s in range(20)]
    np.testing.assert_allclose(np.mean(draws, axis=0), [10.11, 5.13], rtol=0.03)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("seed", range(4))
def test_parallel_analysis_keeps_two_spikes(seed, scale):
    x = spiked(np.random.default_rng(seed))
    assert parallel_analysis(x, scale=scale, rng=seed) == 2
    assert parallel_analysis(x, null="marchenko_pastur") == 2


def test_parallel_analysis_keeps_nothing_of_independent_slow_units():
    """Autocorrelation of 5 to 20 s in bins of 100 ms; a test at 5 % may err once in five."""
    kept, naive = [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x = ar1(rng, 3000, rng.uniform(50, 200, 60))
        kept.append(parallel_analysis(x, rng=seed))
        naive.append(parallel_analysis(x, null="marchenko_pastur"))
    assert kept.count(0) >= 4
    assert min(naive) >= 5


def test_parallel_analysis_repeats_with_its_seed_and_refuses_other_nulls():
    x = np.random.default_rng(18).normal(size=(100, 20))
    assert parallel_analysis(x, rng=3) == parallel_analysis(x, rng=np.random.default_rng(3))
    with pytest.raises(ValueError, match=r"\S"):
        parallel_analysis(x, null="permutation")
    with pytest.raises(ValueError, match=r"\S"):
        parallel_analysis(x, null="marchenko_pastur", scale="center")


@pytest.mark.parametrize("scale", SCALES)
def test_surrogate_spectra_keep_units_and_lose_what_they_share(scale):
    rng = np.random.default_rng(19)
    x = ar1(rng, 1000, [10.0]) + 0.5 * rng.normal(size=(1000, 30))
    keys = keys_of(30, 4)
    null = surrogate_spectra(x, scale=scale, n_surrogates=6, keys=keys)
    assert null.shape == (6, 30)
    np.testing.assert_allclose(null.sum(axis=1), 1, atol=1e-12)
    assert len({row[0] for row in null.tolist()}) == 6
    assert (null[:, 0] < 0.5 * explained_variance(x, scale=scale)[0]).all()
    again = surrogate_spectra(x, scale=scale, n_surrogates=6, keys=keys)
    np.testing.assert_array_equal(null, again)
    order = rng.permutation(30)
    other = surrogate_spectra(x[:, order], scale=scale, n_surrogates=6, keys=keys[order])
    np.testing.assert_allclose(other, null, atol=1e-10)


# Participation ratio without bias


def test_mean_squared_correlation_equals_loops_and_a_brute_jackknife():
    rng = np.random.default_rng(20)
    x = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 11)) + rng.normal(size=(40, 11))

    def mean(units: list[int], n_bins: int | None) -> float:
        terms = []
        for i, j in itertools.combinations(units, 2):
            square = np.corrcoef(x[:, i], x[:, j])[0, 1] ** 2
            terms.append(square - ((1 - square) ** 2 / (n_bins - 1) if n_bins else 0))
        return sum(terms) / len(terms)

    units = list(range(11))
    for n_bins in (40, None):
        full = mean(units, n_bins)
        out = [mean([u for u in units if u != left], n_bins) for left in units]
        error = np.sqrt(10 / 11 * sum((v - full) ** 2 for v in out))
        result = mean_square_of(*correlations(x), bias=1 / (n_bins - 1) if n_bins else 0.0)
        np.testing.assert_allclose(result, (full, error), rtol=0, atol=1e-12)
        if n_bins:
            for y in (x, np.insert(x, [2, 7], 0.0, axis=1)):
                value, both = mean_squared_correlation(y)
                of_time = time_error(y, *correlations(y))
                np.testing.assert_allclose(value, full, rtol=0, atol=1e-12)
                np.testing.assert_allclose(both, np.hypot(error, of_time), rtol=1e-9)


def test_fewer_than_three_units_or_bins_have_no_mean_squared_correlation():
    x = np.random.default_rng(21).normal(size=(30, 4))
    assert not np.isnan(mean_squared_correlation(x[:, :3])).any()
    assert not np.isnan(mean_squared_correlation(x[:3])).any()
    assert np.isnan(mean_squared_correlation(x[:, :2])).all()
    assert np.isnan(mean_squared_correlation(x[:2])).all()
    x[:, 1:3] = 0
    assert np.isnan(mean_squared_correlation(x)).all()


def test_independent_units_have_no_unbiased_participation_ratio():
    values, errors, ratios = [], [], []
    for seed in range(40):
        x = np.random.default_rng(seed).normal(size=(400, 30))
        value, error = mean_squared_correlation(x)
        values.append(value)
        errors.append(error)
        ratios.append(participation_ratio_unbiased(x))
        if value - 1.96 * error <= 0:
            assert np.isnan(ratios[-1])
        else:
            assert ratios[-1] == pytest.approx(1 / value, rel=1e-12)
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(40)
    assert np.isnan(ratios).sum() >= 32


def population(seed: int, n: int) -> np.ndarray:
    """Ten equal latents, seen from all directions, in noise of 1.5 times their deviation.

    Mean squared correlation ``1 / (10 (1 + 2.25)^2)``, thus participation ratio 105.6.
    """
    rng = np.random.default_rng(seed)
    gains = rng.normal(size=(10, n))
    gains /= np.sqrt((gains**2).sum(axis=0))
    return rng.normal(size=(3000, 10)) @ gains + 1.5 * rng.normal(size=(3000, n))


def test_unbiased_participation_ratio_does_not_depend_on_how_many_units_there_are():
    x = population(0, 800)
    few, many = (participation_ratio_unbiased(x[:, :n]) for n in (100, 800))
    assert few == pytest.approx(many, rel=0.1)
    assert many == pytest.approx(105.6, rel=0.05)
    few, many = (participation_ratio(explained_variance(x[:, :n])) for n in (100, 800))
    assert many > 1.5 * few


def test_unbiased_participation_ratio_agrees_with_the_package_dimensionality():
    package = pytest.importorskip("dimensionality")
    for seed in (1, 2):
        x = population(seed, 100)
        expected = package.participation_ratio(standard(x, "zscore"))
        assert participation_ratio_unbiased(x) == pytest.approx(expected, rel=0.02)


# Thinning and shifts


def test_thinning_has_the_distribution_of_the_binomial():
    n, p, draws = 12, 0.3, 40_000
    thinned = thin(np.full((3, draws), n), np.array([p, 0.5, 0.9]), keys_of(3, 7))
    assert thinned.dtype == np.float32
    for row, q in zip(thinned.astype(np.float64), (p, 0.5, 0.9), strict=True):
        assert row.mean() == pytest.approx(n * q, abs=4 * np.sqrt(n * q * (1 - q) / draws))
        assert row.var(ddof=1) == pytest.approx(n * q * (1 - q), rel=4 * np.sqrt(2 / draws))
        seen = np.bincount(row.astype(int), minlength=n + 1)
        expected = draws * stats.binom.pmf(np.arange(n + 1), n, q)
        rare = expected < 5
        keep = np.append(np.flatnonzero(~rare), n + 1)
        seen = np.append(seen, seen[rare].sum())[keep]
        expected = np.append(expected, expected[rare].sum())[keep]
        assert (expected[-1] > 0) == rare.any()
        seen, expected = seen[expected > 0], expected[expected > 0]
        assert stats.chisquare(seen, expected * draws / expected.sum()).pvalue > 1e-4


def test_thinning_keeps_variance_plus_covariance_of_any_counts():
    """Mean p E, variance p^2 V + p (1 - p) E; what stays and what goes of Poisson is unrelated."""
    rng = np.random.default_rng(22)
    counts = np.stack([rng.negative_binomial(2, 0.3, 60_000), rng.poisson(2.0, 60_000)])
    p = 0.4
    kept = thin(counts, np.full(2, p), keys_of(2, 1)).astype(np.float64)
    assert (kept <= counts).all()
    assert (kept >= 0).all()
    assert (kept == np.round(kept)).all()
    mean, variance = counts.mean(axis=1), counts.var(axis=1)
    np.testing.assert_allclose(kept.mean(axis=1), p * mean, rtol=0.015)
    np.testing.assert_allclose(kept.var(axis=1), p**2 * variance + p * (1 - p) * mean, rtol=0.03)
    gone = counts[1] - kept[1]
    assert abs(np.corrcoef(kept[1], gone)[0, 1]) < 4 / np.sqrt(60_000)


def test_thinned_poisson_is_poisson_and_without_memory():
    n_bins = 60_000
    counts = np.random.default_rng(23).poisson(3.0, (4, n_bins))
    kept = thin(counts, np.array([0.5, 0.5, 0.2, 0.9]), keys_of(4, 2)).astype(np.float64)
    np.testing.assert_allclose(kept.mean(axis=1), [1.5, 1.5, 0.6, 2.7], rtol=0.02)
    fano = kept.var(axis=1, ddof=1) / kept.mean(axis=1)
    np.testing.assert_allclose(fano, 1, atol=4 * np.sqrt(2 / n_bins))
    bound = 4.5 / np.sqrt(n_bins)
    r = np.corrcoef(kept)
    assert (abs(r[~np.eye(4, dtype=bool)]) < bound).all()
    z = (kept - kept.mean(axis=1, keepdims=True)) / kept.std(axis=1, keepdims=True)
    for lag in range(1, 6):
        assert (abs((z[:, lag:] * z[:, :-lag]).mean(axis=1)) < bound).all()


@PROPERTY
@given(seeds, st.integers(1, 8))
def test_a_units_thinning_is_its_own_whatever_the_others(seed, n):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.uniform(0, 5), (n, 30))
    keep, keys = rng.uniform(0, 1, n), stream_keys(rng.integers(0, 2**63, n).astype(np.uint64), 5)
    whole = thin(counts, keep, keys)
    order = rng.permutation(n)
    np.testing.assert_array_equal(thin(counts[order], keep[order], keys[order]), whole[order])
    for u in range(n):
        alone = thin(counts[u : u + 1], keep[u : u + 1], keys[u : u + 1])
        np.testing.assert_array_equal(alone[0], whole[u])


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64])
def test_keeping_all_copies_and_keeping_none_clears(dtype):
    counts = np.random.default_rng(24).poisson(5.0, (3, 200)).astype(dtype)
    before = counts.copy()
    out = thin(counts, np.array([1.0, 0.0, 1.5]), keys_of(3, 3))
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out[[0, 2]], counts[[0, 2]])
    assert not out[1].any()
    assert not np.shares_memory(out, counts)
    np.testing.assert_array_equal(counts, before)


def test_keys_differ_by_unit_and_purpose_and_belong_to_the_unit():
    units = np.arange(2000, dtype=np.uint64)
    paths = [(), (0,), (1,), (0, 0), (0, 1), (1, 0), (2**64 - 1,)]
    keys = [stream_keys(units, *path) for path in paths]
    assert all(k.dtype == np.uint64 and k.shape == (2000,) for k in keys)
    assert np.unique(np.concatenate(keys)).size == 2000 * len(paths)
    order = np.random.default_rng(25).permutation(2000)
    np.testing.assert_array_equal(stream_keys(units[order], 0, 1), keys[4][order])
    bits = (keys[4][:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert (abs(bits.mean(axis=0) - 0.5) < 5 * 0.5 / np.sqrt(2000)).all()


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


@PROPERTY
@given(seeds, st.integers(1, 6), st.integers(1, 20))
def test_shifts_roll_each_row_by_its_own_key(seed, n, n_bins):
    rng = np.random.default_rng(seed)
    x = rng.permutation(n * n_bins).reshape(n, n_bins)
    keys = stream_keys(rng.integers(0, 2**63, n).astype(np.uint64), 8)
    shifted = shift_circularly(x, keys)
    for u in range(n):
        at = int(np.flatnonzero(shifted[u] == x[u, 0])[0])
        np.testing.assert_array_equal(shifted[u], np.roll(x[u], at))
        np.testing.assert_array_equal(
            shift_circularly(x[u : u + 1], keys[u : u + 1])[0], shifted[u]
        )


def test_shifts_are_uniform():
    n, n_bins = 20_000, 10
    x = np.broadcast_to(np.arange(n_bins), (n, n_bins)).copy()
    first = shift_circularly(x, keys_of(n, 9))[:, 0]
    # whether a row may also stay in place is left open
    seen = np.bincount(first, minlength=n_bins)
    moved = seen[1:] if seen[0] == 0 else seen
    assert stats.chisquare(moved).pvalue > 1e-4


# What chance gives


@pytest.mark.parametrize("tau", [2.0, 20.0])
def test_chance_is_that_of_autoregressions(tau):
    """Bartlett: (1 + 2 sum rho(k)^2) / T for independent units of one autocorrelation."""
    phi, n_bins = np.exp(-1 / tau), 3000
    x = ar1(np.random.default_rng(27), n_bins, np.full(300, tau))
    expected = (1 + phi**2) / (1 - phi**2) / n_bins
    found = chance_squared_correlation(x)
    assert found == pytest.approx(expected, rel=0.05)


# Variance shared by halves of the units


def test_independent_white_units_share_nothing():
    half = np.arange(200) % 2 == 1
    for seed in range(3):
        x = np.random.default_rng(seed).normal(size=(3000, 200))
        for gap in (0, 200):
            assert abs(shared_variance(x, half, gap=gap, keys=keys_of(200, seed))) < 0.01


def test_independent_slow_units_share_nothing():
    """Autocorrelation of 20 s in bins of 100 ms, and a gap of 20 s.

    The mean of many draws: one has a standard deviation of about 0.04, their mean of 0.003.
    """
    half = np.arange(60) % 2 == 1
    draws = []
    for seed in range(160):
        x = ar1(np.random.default_rng(seed), 3000, np.full(60, 200.0))
        draws.append(shared_variance(x, half, gap=200, keys=keys_of(60, seed)))
    assert abs(np.mean(draws)) < 0.01


def test_twins_share_all_variance():
    rng = np.random.default_rng(29)
    half = np.arange(80) % 2 == 1
    for signal, gap in ((rng.normal(size=(3000, 40)), 0), (ar1(rng, 3000, np.full(40, 5.0)), 50)):
        twins = np.repeat(signal, 2, axis=1)
        assert shared_variance(twins, half, gap=gap) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("signal", [0.2, 0.5, 0.8])
def test_units_of_one_latent_share_its_part_of_the_variance(signal):
    rng = np.random.default_rng(30)
    x = np.sqrt(signal) * rng.normal(size=(3000, 1))
    x = x + np.sqrt(1 - signal) * rng.normal(size=(3000, 100))
    value = shared_variance(x, np.arange(100) % 2 == 1, keys=keys_of(100))
    assert value == pytest.approx(signal, abs=0.03)


def test_shared_variance_ignores_scale_silence_order_and_which_half_is_first():
    rng = np.random.default_rng(31)
    x = rng.normal(size=(600, 2)) @ rng.normal(size=(2, 21)) + rng.normal(size=(600, 21))
    half, keys = np.arange(21) % 2 == 1, keys_of(21)
    value = shared_variance(x, half, gap=20, keys=keys)
    assert value == shared_variance(x, half, gap=20, keys=keys)

    def same(*args: np.ndarray) -> None:
        y, h, k = args
        assert shared_variance(y, h, gap=20, keys=k) == pytest.approx(value, abs=1e-9)

    same(x * rng.uniform(0.01, 100, 21) - 5, half, keys)
    same(x, ~half, keys)
    order = rng.permutation(21)
    same(x[:, order], half[order], keys[order])
    same(
        np.insert(x, [3, 8], 1.0, axis=1),
        np.insert(half, [3, 8], True),
        np.insert(keys, [3, 8], np.uint64(77)),
    )


def test_halves_too_small_or_with_nan_share_no_number():
    x = np.random.default_rng(32).normal(size=(40, 6))
    half = np.arange(6) % 2 == 1
    assert np.isfinite(shared_variance(x, half))
    assert np.isnan(shared_variance(x, np.arange(6) < 1))
    assert np.isnan(shared_variance(x, np.ones(6, dtype=bool)))
    assert np.isnan(shared_variance(x, half, gap=38))
    assert np.isnan(shared_variance(x, half, gap=40))
    assert np.isnan(shared_variance(x, half, gap=1000))
    assert np.isnan(shared_variance(x[:3], half))
    silent = x.copy()
    silent[:, [1, 3]] = 0
    assert np.isnan(shared_variance(silent, half))
    x[3, 2] = np.nan
    assert np.isnan(shared_variance(x, half))


# Spectra that come back in a second repeat


@pytest.mark.parametrize("shape", [(60, 9), (9, 20)])
def test_cross_validated_spectrum_equals_loops(shape):
    rng = np.random.default_rng(33)
    signal = rng.normal(size=shape) * np.linspace(3, 1, shape[1])
    a, b = (signal + 0.5 * rng.normal(size=shape) + 10 for _ in range(2))
    m = min(shape[1], shape[0] - 1)
    expected = np.zeros(m)
    for one in (a, b):
        _, _, axes = np.linalg.svd(one - one.mean(axis=0), full_matrices=False)
        for k in range(m):
            expected[k] += np.cov(a @ axes[k], b @ axes[k])[0, 1] / 2
    np.testing.assert_allclose(cross_validated_spectrum(a, b), expected, atol=1e-10)
    np.testing.assert_allclose(cross_validated_spectrum(b, a), expected, atol=1e-10)
    np.testing.assert_allclose(
        cross_validated_spectrum(a, a), eigenvalues(a, scale="center"), atol=1e-10
    )


def test_cross_validation_finds_the_power_law_under_noise():
    """Signal of variances ``1 / rank``, n in sum; noise of variance 1 a unit, n in sum too."""
    n, n_stimuli = 300, 2000
    for seed in range(3):
        rng = np.random.default_rng(seed)
        variance = 1 / np.arange(1, n + 1)
        variance *= n / variance.sum()
        signal = (rng.normal(size=(n_stimuli, n)) * np.sqrt(variance)) @ rotation(rng, n).T
        a, b = (signal + rng.normal(size=signal.shape) for _ in range(2))
        slope = power_law_slope(cross_validated_spectrum(a, b), ranks=(5, 80))
        assert slope == pytest.approx(-1, abs=0.1)
        plain = power_law_slope(explained_variance(a, scale="center"), ranks=(5, 80))
        assert abs(plain) < 0.8


def test_noise_does_not_come_back():
    rng = np.random.default_rng(34)
    out = cross_validated_spectrum(rng.normal(size=(2000, 50)), rng.normal(size=(2000, 50)))
    assert abs(out.mean()) < 4 / np.sqrt(2000 * 50)
    assert (out < 0).any()


def test_repeats_that_do_not_match_are_refused_and_nan_is_kept():
    a = np.random.default_rng(35).normal(size=(10, 4))
    for b in (a[:, :3], a[:9]):
        with pytest.raises(ValueError, match=r"\S"):
            cross_validated_spectrum(a, b)
    with pytest.raises(ValueError, match=r"\S"):
        cross_validated_spectrum(a[:1], a[:1])
    b = a.copy()
    b[2, 1] = np.nan
    for pair in ((a, b), (b, a)):
        out = cross_validated_spectrum(*pair)
        assert out.shape == (4,)
        assert np.isnan(out).all()


# Angles


@PROPERTY
@given(seeds, st.integers(1, 5), st.integers(10, 15))
def test_principal_angles_equal_a_brute_force(seed, k, n):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, n, k)) * rng.uniform(0.1, 10, (2, 1, k))
    (qa, _), (qb, _) = np.linalg.qr(a), np.linalg.qr(b)
    cosine = np.linalg.svd(qa.T @ qb, compute_uv=False).clip(0, 1)
    angles = principal_angles(a, b)
    assert angles.shape == (k,)
    assert (np.diff(angles) >= 0).all()
    np.testing.assert_allclose(np.cos(angles), cosine, atol=1e-12)
    np.testing.assert_allclose(angles, np.sort(subspace_angles(a, b)), atol=1e-9)
    assert subspace_similarity(a, b) == pytest.approx((cosine**2).mean(), abs=1e-12)
    mix = rng.normal(size=(k, k)) + 3 * np.eye(k)
    np.testing.assert_allclose(principal_angles(b, a), angles, atol=1e-9)
    turned = principal_angles(rotation(rng, n) @ a, a)
    assert ((turned >= 0) & (turned <= np.pi / 2 + 1e-12)).all()
    if np.linalg.cond(mix) < 100:
        np.testing.assert_allclose(principal_angles(a @ mix, b), angles, atol=1e-9)
        np.testing.assert_allclose(principal_angles(a @ mix, a), 0, atol=1e-7)


def test_small_angles_are_told_from_none():
    for angle in (1e-3, 1e-6, 1e-10):
        a, b = np.eye(5)[:, :2], np.eye(5)[:, :2]
        b[:, 1] = [0, np.cos(angle), np.sin(angle), 0, 0]
        np.testing.assert_allclose(principal_angles(a, b), [0, angle], rtol=1e-6, atol=1e-14)


@pytest.mark.parametrize(("n", "k"), [(50, 1), (50, 5), (40, 20), (12, 12)])
def test_random_subspaces_have_a_similarity_of_k_in_n(n, k):
    rng = np.random.default_rng(36)
    draws = [subspace_similarity(*rng.normal(size=(2, n, k))) for _ in range(400)]
    error = np.std(draws, ddof=1) / np.sqrt(400)
    assert np.mean(draws) == pytest.approx(k / n, abs=4 * error + 1e-9)


def test_subspaces_with_nan_have_no_angles():
    a, b = np.eye(4)[:, :2], np.eye(4)[:, 1:3]
    bad = a.copy()
    bad[0, 0] = np.nan
    for pair in ((bad, b), (b, bad)):
        assert np.isnan(principal_angles(*pair)).tolist() == [True, True]
        assert np.isnan(subspace_similarity(*pair))


@PROPERTY
@given(seeds, st.integers(2, 20))
def test_the_angle_of_axes_ignores_sign_and_length(seed, n):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 3, n))
    expected = [
        np.arccos(min(1, abs(p @ q) / np.sqrt((p @ p) * (q @ q))))
        for p, q in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(pc1_angle(a, b), expected, atol=1e-7)
    np.testing.assert_allclose(pc1_angle(-2 * a, 1e3 * b), expected, atol=1e-7)
    np.testing.assert_allclose(pc1_angle(a, -a), 0, atol=1e-7)
    assert pc1_angle(a[0], b[0]) == pytest.approx(expected[0], abs=1e-7)
    assert pc1_angle(np.eye(n)[0], np.eye(n)[1]) == pytest.approx(np.pi / 2, abs=1e-12)


@pytest.mark.slow
def test_weak_correlations_that_are_given_came_out_large_by_chance() -> None:
    """The figures of the docstring of participation_ratio_unbiased: 1 % of the variance shared."""
    for n_latents, (share, median, truth) in {
        1: (0.65, 9300, 10_300),
        5: (0.013, 0, 50_200),
    }.items():
        rng = np.random.default_rng([0, n_latents])
        given, true = [], []
        for _ in range(150):
            weights = rng.normal(size=(n_latents, 60)) * np.sqrt(0.01 / 0.99 / n_latents)
            x = rng.normal(size=(3000, n_latents)) @ weights + rng.normal(size=(3000, 60))
            covariance = weights.T @ weights + np.eye(60)
            sd = np.sqrt(np.diag(covariance))
            true.append((((covariance / sd / sd[:, None]) ** 2).sum() - 60) / (60 * 59))
            given.append(float(participation_ratio_unbiased(x)))
        assert 1 / np.mean(true) == pytest.approx(truth, rel=0.02)
        assert np.isfinite(given).mean() == pytest.approx(share, abs=0.03)
        if n_latents == 1:
            assert np.nanmedian(given) == pytest.approx(median, rel=0.05)


@pytest.mark.slow
def test_chance_seldom_lies_far_beyond_five_surrogates() -> None:
    """Largest eigenvalues of noise, by the bidiagonal form of Dumitriu & Edelman (2002)."""
    rng = np.random.default_rng(0)
    largest = np.empty((10_000, 6))
    for place in np.ndindex(largest.shape):
        c = np.sqrt(rng.chisquare(3000 - np.arange(60)))
        d = np.sqrt(rng.chisquare(59 - np.arange(59)))
        square = c**2 + np.r_[0, d**2]
        largest[place] = eigvalsh_tridiagonal(
            square, c[:-1] * d, select="i", select_range=(59, 59)
        )[0]
    first, sixth = largest[:, :5], largest[:, 5]
    far = first.max(axis=1) + 2 * (first.max(axis=1) - first.min(axis=1))
    assert 0.002 < np.mean(sixth > far) < 0.006
