"""Scaled activity against its definition."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lsdx.kernels.covariance import scaled
from tests.kernels.activity import PROPERTY, SCALES, seeds


@PROPERTY
@given(seeds, st.sampled_from(SCALES))
def test_scaling_brings_mean_to_0_and_variance_to_1(seed, scale):
    x = np.random.default_rng(seed).integers(0, 4, (7, 5))
    expected = x - x.mean(axis=0)
    sd = x.std(axis=0, ddof=1)
    if scale == "zscore":
        expected = expected / np.where(sd > 0, sd, 1)
    np.testing.assert_allclose(scaled(x, scale=scale), expected, atol=1e-13)
