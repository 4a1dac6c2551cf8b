"""A curve is what each number of components gives by itself."""

from __future__ import annotations

import numpy as np

from lsdx.kernels.subspace_curve import similarity_curve
from lsdx.kernels.subspaces import subspace_similarity


def test_each_point_is_that_of_the_first_components_alone() -> None:
    a, b = (np.linalg.qr(x)[0] for x in np.random.default_rng(0).normal(size=(2, 30, 8)))
    expected = [subspace_similarity(a[:, :n], b[:, :n]) for n in range(1, 9)]
    np.testing.assert_allclose(similarity_curve(a, b), expected)
    np.testing.assert_allclose(similarity_curve(a, a), 1)
    several = similarity_curve(np.stack([a, b])[:, None], np.stack([b, a, b]))
    np.testing.assert_allclose(several[0, 0], expected)
    assert several.shape == (2, 3, 8)


def test_random_subspaces_are_at_chance() -> None:
    rng = np.random.default_rng(1)
    axes = np.linalg.qr(rng.normal(size=(6000, 25, 6)))[0]
    found = similarity_curve(axes[::2], axes[1::2]).mean(axis=0)
    np.testing.assert_allclose(found, np.arange(1, 7) / 25, rtol=0.06)


def test_components_that_do_not_exist_are_nan_from_there_on() -> None:
    a = np.eye(5)[:, :3]
    b = a.copy()
    b[:, 2] = np.nan
    np.testing.assert_array_equal(similarity_curve(a, b), [1, 1, np.nan])
