"""Correlations of pairs of units, and what their squares say about shared dimensions.

Activity ``x`` is (n_bins, n_units), with any axes before them; `lsdx.kernels.covariance` says what
``n_slow`` does.
"""

from __future__ import annotations

import numpy as np

from lsdx.kernels.covariance import (
    check_activity,
    cosine_coefficients,
    inverse_sd,
    less_mean,
    slow_cosines,
    unit_covariance,
    unit_gains,
)

_NORMAL_95 = 1.959963984540054
_TIME_BLOCKS = 20  # of the error that is due to the time recorded


def correlations(x: np.ndarray, *, n_slow: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the correlations of all pairs of units.

    Parameters
    ----------
    x : ndarray (..., n_bins, n_units)
    n_slow : int
        Slow cosines that are taken out of each unit first.

    Returns
    -------
    r : ndarray of float64 (..., n_units, n_units)
        0 for units without variance; NaN where ``x`` holds NaN.
    varies : ndarray of bool (..., n_units)

    Examples
    --------
    >>> correlations(np.array([[0, 1], [1, 0], [2, 0]]))[0].round(3).tolist()
    [[1.0, -0.866], [-0.866, 1.0]]
    """
    check_activity(x, "zscore", n_slow)
    covariance, varies, finite = unit_covariance(x, n_slow)
    gain = inverse_sd(covariance, varies)
    r = covariance * gain[..., :, None] * gain[..., None, :]
    return np.where(finite[..., None, None], r, np.nan), varies


def mean_squared_correlation(x: np.ndarray, *, n_slow: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Estimate the mean squared correlation of pairs of units, without the bias of few bins.

    Parameters
    ----------
    x : ndarray (..., n_bins, n_units)
        Activity; units without variance are left out.
    n_slow : int
        Slow cosines that are taken out of each unit first.

    Returns
    -------
    value : ndarray of float64 (...)
        Mean over pairs of ``r^2 - (1 - r^2)^2 / (n_bins - 1 - n_slow)``: 0 on average for
        independent units of independent bins, below 0 by chance.
    error : ndarray of float64 (...)
        Its standard error, of other units and of another stretch of time: the root of the sum of
        the squares of the jackknife over units and of `time_error`. Both are NaN for fewer than
        three units that vary or bins, and where ``x`` holds NaN.

    Notes
    -----
    Bins that depend on each other (slow fluctuations) leave more bias: the labelled measure takes
    out `chance_squared_correlation` in its place.

    Share of 150 simulations in which ``value`` +- 1.96 errors held the truth, of all units and
    all time (300 s of 0.1 s, latents of sd 1 over units with noise of sd 1, ``n_slow=3``), and
    what the jackknife over units alone would have held:

    ==========================  =========  ==========
    latents, units              both       units only
    ==========================  =========  ==========
    1 white, 40 or 150          93, 95 %   93, 95 %
    5 white, 40 or 150          95, 92 %   95, 92 %
    20 white, 40 or 150         97, 97 %   97, 96 %
    1 of tau 1 s, 40 or 150     91, 94 %   90, 91 %
    5 of tau 1 s, 40 or 150     94, 91 %   93, 86 %
    20 of tau 1 s, 40 or 150    97, 94 %   96, 78 %
    ==========================  =========  ==========

    What units share in fluctuations slower than the cosines allow is not counted: latents of
    tau 5 s in 300 s lose a fifth of the value (the interval about that truth holds in 61 to 83
    %).

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(1000, 40))
    >>> value, error = mean_squared_correlation(x)
    >>> bool(abs(value) < 4 * error), bool(error < 2e-4)
    (True, True)
    """
    r, varies = correlations(x, n_slow=n_slow)
    freedom = x.shape[-2] - 1 - n_slow
    value, of_units = mean_square_of(r, varies, bias=1 / freedom if freedom > 1 else np.nan)
    return value, np.hypot(of_units, time_error(x, r, varies, n_slow=n_slow))


def mean_square_of(
    r: np.ndarray, varies: np.ndarray, *, bias: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean over pairs of squared correlations, and its jackknife error over units.

    Parameters
    ----------
    r : ndarray (..., n_units, n_units)
    varies : ndarray of bool (..., n_units)
        As `correlations` returns them.
    bias : float
        What the square is on average where there is no correlation, as by so many bins.

    Returns
    -------
    value, error : ndarray of float64 (...)
        Of ``r^2 - bias (1 - r^2)^2``; NaN for fewer than three units that vary.

    Examples
    --------
    >>> value, error = mean_square_of(np.full((4, 4), 0.5), np.ones(4, dtype=bool))
    >>> float(value), float(error)
    (0.25, 0.0)
    """
    square = r * r
    if bias:
        square -= bias * (1 - square) ** 2
    # the sums are over all pairs; each unit with itself is taken out of them
    itself = np.einsum("...ii->...i", square)
    rows = np.einsum("...ij,...j->...i", square, varies.astype(np.float64)) - itself
    rows = np.where(varies, rows, 0.0)
    n = varies.sum(axis=-1).astype(np.float64)
    n = np.where(n >= 3, n, np.nan)
    total = rows.sum(axis=-1) / 2
    value = total / (n * (n - 1) / 2)
    without = (total[..., None] - rows) / ((n - 1) * (n - 2) / 2)[..., None]
    spread = np.where(varies, (without - value[..., None]) ** 2, 0.0).sum(axis=-1)
    return np.asarray(value), np.asarray(np.sqrt((n - 1) / n * spread))


def time_error(x: np.ndarray, r: np.ndarray, varies: np.ndarray, *, n_slow: int = 0) -> np.ndarray:
    """Return the standard error of the mean squared correlation that is due to the time recorded.

    All pairs share the bins, so that the jackknife over units cannot see it.

    Parameters
    ----------
    x : ndarray (..., n_bins, n_units)
    r, varies : ndarray
        As ``correlations(x, n_slow=n_slow)`` returns them.
    n_slow : int

    Returns
    -------
    ndarray of float64 (...)
        NaN for fewer than two units that vary, or three bins.

    Notes
    -----
    A bin's influence on ``r_ij`` is ``z_i z_j - r_ij (z_i^2 + z_j^2) / 2``; on the mean over
    pairs of ``r_ij^2`` it is ``2 r_ij`` times that, averaged. The error is that of its
    means in 20 blocks of time, so that bins may depend on each other.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(1000, 40))
    >>> bool(0 < time_error(x, *correlations(x)) < 1e-4)
    True
    """
    n_bins = x.shape[-2]
    n_blocks = min(_TIME_BLOCKS, n_bins)
    if n_blocks < 3:
        return np.full(x.shape[:-2], np.nan)
    z, mean = less_mean(x)
    slow = slow_cosines(n_bins, n_slow).astype(np.float32)
    z -= np.matmul(slow.T, np.matmul(slow, z))
    z *= unit_gains(z, mean, n_bins - 1 - n_slow)[..., None, :]
    other = np.where(np.eye(r.shape[-1], dtype=bool), 0, r).astype(np.float32)
    rows = np.swapaxes(z, -2, -1)
    terms = np.matmul(other, rows)
    terms -= np.square(other).sum(axis=-1)[..., None] * rows
    terms *= rows
    influence = terms.sum(axis=-2, dtype=np.float64)
    n = varies.sum(axis=-1).astype(np.float64)
    n = np.where(n > 1, n, np.nan)[..., None]
    influence *= 2 / (n * (n - 1))
    length = n_bins // n_blocks
    blocks = influence[..., : n_blocks * length].reshape((*x.shape[:-2], n_blocks, length))
    return np.asarray(blocks.mean(axis=-1).std(axis=-1, ddof=1) / np.sqrt(n_blocks))


def chance_squared_correlation(x: np.ndarray, *, n_slow: int = 0) -> np.ndarray:
    """Return the mean squared correlation that units without relation have by their course alone.

    Parameters
    ----------
    x, n_slow
        As for `correlations`.

    Returns
    -------
    ndarray of float64 (...)
        About ``1 / (n_bins - 1 - n_slow)`` for independent bins, more for slow ones: the bias of
        a squared correlation, and one over the number of independent bins. NaN for fewer than
        two units that vary, and where ``x`` holds NaN.

    Notes
    -----
    Independent signs of the cosine coefficients of each unit (discrete cosine transform, type
    II) keep its power at every frequency and undo what units share. The mean of ``r_ij^2`` over
    all such signs is ``sum_k p_ik p_jk``, with unit i's share ``p_ik`` of power at coefficient
    k. The transform is nearly the one that decorrelates an autoregression (Ahmed, Natarajan &
    Rao 1974, IEEE Trans Comput C-23:90), and has no jump where a trend ends, as circular shifts
    have.

    Share of 60 sets of 60 independent units (300 s of 0.1 s) whose mean squared correlation
    stood above 0 by 1.96 errors, with ``n_slow`` 0 and 3 (with circular shifts as the chance,
    such units gave a number in up to 92 %):

    ==================================================  ====  ====
    fluctuations of each unit                           0     3
    ==================================================  ====  ====
    none                                                2 %   2 %
    tau 20 s, as strong as the noise                    0 %   0 %
    tau 60 s, as strong as the noise                    0 %   0 %
    tau 300 s, as strong as the noise                   0 %   0 %
    rates of 20 Hz, log rate of sd .5 and tau 60 s      0 %   0 %
    rates that go from x .7 to x 1.4 and the like       0 %   0 %
    a trend of .5 sd                                    100 % 0 %
    ==================================================  ====  ====

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(500, 50))
    >>> bool(0.98 < 499 * chance_squared_correlation(x) < 1.02)
    True
    """
    share = np.square(cosine_coefficients(x, "zscore", n_slow))
    total = share.sum(axis=-1, dtype=np.float64)
    n = share.any(axis=-2).sum(axis=-1).astype(np.float64)
    itself = np.einsum("...tu,...tu->...u", share, share).sum(axis=-1, dtype=np.float64)
    pairs = np.square(total).sum(axis=-1) - itself
    n = np.where(n > 1, n, np.nan)
    return np.asarray(pairs / (n * (n - 1)))


def participation_ratio_unbiased(x: np.ndarray, *, n_slow: int = 0) -> np.ndarray:
    """Estimate the participation ratio of infinitely many units and bins of the same population.

    Parameters
    ----------
    x : ndarray (..., n_bins, n_units)
        Activity, taken as z-scored.
    n_slow : int
        Slow cosines that are taken out of each unit first.

    Returns
    -------
    ndarray of float64 (...)
        1 / `mean_squared_correlation`; NaN where that one's 95 % interval holds 0, for then
        there may be no dimension that units share.

    Notes
    -----
    Where the correlation is weak, the values that are given are those that came out large by
    chance, so that the ratio is too small: one latent with 1 % of the variance (60 units, 3,000
    bins, truth 10,300) gave a number in 65 % of 150 simulations, of 9,300 in the middle; five
    latents (truth 50,000) in 1 %, of 20,000.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(3000, 5)) @ rng.normal(size=(5, 60)) + rng.normal(size=(3000, 60))
    >>> bool(4 < participation_ratio_unbiased(x) < 12)
    True
    """
    return reciprocal_beyond_zero(*mean_squared_correlation(x, n_slow=n_slow))


def reciprocal_beyond_zero(value: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return 1 / value where the 95 % interval lies above 0, else NaN.

    Examples
    --------
    >>> reciprocal_beyond_zero(np.array([0.1, 0.1]), np.array([0.01, 0.1])).tolist()
    [10.0, nan]
    """
    beyond = value - _NORMAL_95 * error > 0
    return np.where(beyond, 1 / np.where(beyond, value, 1.0), np.nan)
