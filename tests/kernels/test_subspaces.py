"""Angles between subspaces against a brute force search and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import subspace_angles

from lsdx.kernels.subspaces import pc1_angle, principal_angles, subspace_similarity
from tests.kernels.activity import PROPERTY, rotation, seeds


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
