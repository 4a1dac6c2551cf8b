"""How many dimensions a population's activity has: spectra, and what is read off them.

Activity ``x`` is (n_bins, n_units), with any axes before them. A *spectrum* holds the shares of
variance of the principal components, descending, with sum 1; NaN at its end stands for ranks
that do not exist, and nothing but NaN for data that have none.

Recordings drift, and independent units that drift look correlated. ``n_slow`` cosines, of periods
twice the time divided by 1, 2 and so on, are taken out of each unit beside its mean (a discrete
cosine set, as for the high-pass filter of fMRI: Friston et al. 1995, NeuroImage 2:45), and as many
degrees of freedom with them.
"""

from __future__ import annotations

import numpy as np

from lsdx.kernels.resampling import flip_signs, shift_circularly, stream_keys

_EXACT_FLOAT32 = 2.0**24
_NORMAL_95 = 1.959963984540054
_FIRST_SURROGATES, _FAR = 5, 2.0
_TIME_BLOCKS = 20  # of the error that is due to the time recorded


def eigenvalues(x: np.ndarray, *, scale: str = "zscore", n_slow: int = 0) -> np.ndarray:
    """Give the eigenvalues of the covariance of the units' activity.

    Parameters
    ----------
    x : ndarray (..., n_bins, n_units)
        Activity, such as spike counts.
    scale : {"zscore", "center"}
        Whether each unit is brought to mean 0 and variance 1, or to mean 0 alone.
    n_slow : int
        Slow cosines that are taken out of each unit first.

    Returns
    -------
    ndarray of float64 (..., m)
        Descending, not negative, ``m = min(n_units, n_bins - 1 - n_slow)``. Units without
        variance are left out: NaN at the end for the ranks that they would have had. All NaN
        where ``x`` holds NaN or infinity.

    Raises
    ------
    ValueError
        For fewer than two bins more than ``n_slow``, no unit, or another ``scale``.

    Notes
    -----
    Covariance with ``n_bins - 1 - n_slow``. Whole numbers small enough are multiplied in single
    precision, which is then exact, and corrected for mean and variance in double precision.

    Examples
    --------
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    >>> eigenvalues(x, scale="center").round(3).tolist()
    [2.667, 0.667]
    """
    matrix, varying, finite = _second_moments(x, scale, n_slow)
    n_bins, n_units = x.shape[-2:]
    most = n_bins - 1 - n_slow
    return _descending(matrix, min(n_units, most), np.where(finite, np.minimum(varying, most), 0))


def spectrum_of_correlations(r: np.ndarray, varies: np.ndarray, n_bins: int) -> np.ndarray:
    """Give the spectrum of z-scored activity from its correlations.

    Parameters
    ----------
    r : ndarray (..., n_units, n_units)
    varies : ndarray of bool (..., n_units)
        As `correlations` gives them.
    n_bins : int
        Less the slow cosines that were taken out.

    Returns
    -------
    ndarray of float64 (..., min(n_units, n_bins - 1))
        What `explained_variance` gives.

    Examples
    --------
    >>> spectrum_of_correlations(np.eye(4), np.ones(4, dtype=bool), 100).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    finite = np.isfinite(r).all(axis=(-2, -1))
    rank = np.where(finite, np.minimum(varies.sum(axis=-1), n_bins - 1), 0)
    matrix = np.where(finite[..., None, None], r, 0.0)
    return _shares(_descending(matrix, min(r.shape[-1], n_bins - 1), rank))


def _descending(matrix: np.ndarray, m: int, rank: np.ndarray) -> np.ndarray:
    values = np.maximum(np.linalg.eigvalsh(matrix)[..., ::-1][..., :m], 0.0)
    return np.where(np.arange(m) < rank[..., None], values, np.nan)


def explained_variance(x: np.ndarray, *, scale: str = "zscore", n_slow: int = 0) -> np.ndarray:
    """Give the spectrum: the share of variance of each principal component.

    Parameters
    ----------
    x : ndarray (..., n_bins, n_units)
        Activity, such as spike counts.
    scale : {"zscore", "center"}
        Whether each unit is brought to mean 0 and variance 1, or to mean 0 alone.
    n_slow : int
        Slow cosines that are taken out of each unit first.

    Returns
    -------
    ndarray of float64 (..., m)
        Descending, with sum 1, ``m = min(n_units, n_bins - 1 - n_slow)``. Units without
        variance are left out: NaN at the end. All NaN where ``x`` holds NaN, or no unit varies.

    Raises
    ------
    ValueError
        For fewer than two bins, no unit, or another ``scale``.

    Examples
    --------
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    >>> explained_variance(x, scale="center").round(3).tolist()
    [0.8, 0.2]
    """
    return _shares(eigenvalues(x, scale=scale, n_slow=n_slow))


def principal_components(
    x: np.ndarray, *, n_components: int, scale: str = "zscore"
) -> tuple[np.ndarray, np.ndarray]:
    """Give the first principal components: shares of variance, and loadings.

    Parameters
    ----------
    x : ndarray (n_bins, n_units)
        Activity, such as spike counts.
    n_components : int
    scale : {"zscore", "center"}

    Returns
    -------
    share : ndarray (n_components,)
        Of the whole variance; NaN beyond ``min(n_units, n_bins - 1)``, as the loadings there.
    loadings : ndarray (n_units, n_components)
        Orthonormal columns; the largest entry of each is positive. 0 for units without
        variance.

    Raises
    ------
    ValueError
        For fewer than two bins, no unit, no component, or another ``scale``.

    Examples
    --------
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    >>> share, loadings = principal_components(x, n_components=1, scale="center")
    >>> share.round(3).tolist(), loadings[:, 0].tolist()
    ([0.8], [0.0, 1.0])
    """
    import scipy.linalg

    if x.ndim != 2 or n_components < 1:
        raise ValueError(
            f"expected x (n_bins, n_units) and at least 1 component, found {x.shape}, "
            f"{n_components}"
        )
    n_bins, n_units = x.shape
    matrix, varying, finite = _second_moments(x, scale)
    share = np.full(n_components, np.nan)
    loadings = np.full((n_units, n_components), np.nan)
    k = int(min(n_components, varying, n_bins - 1))
    if not finite or k < 1:
        return share, loadings
    size = matrix.shape[0]
    some = [size - k, size - 1] if 2 * k < size else None
    values, vectors = scipy.linalg.eigh(
        matrix, subset_by_index=some, driver="evr" if some else "evd", check_finite=False
    )
    values, vectors = values[::-1][:k], vectors[:, ::-1][:, :k]
    if size != n_units:  # vectors of the bins: bring them to the units
        # those without variance are any directions across the others
        vectors = np.linalg.qr(scaled(x, scale=scale).T @ vectors)[0]
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0)
    share[:k] = np.maximum(values, 0) / np.trace(matrix)
    loadings[:, :k] = vectors * np.where(largest < 0, -1.0, 1.0)
    return share, loadings


def scaled(x: np.ndarray, *, scale: str = "zscore", n_slow: int = 0) -> np.ndarray:
    """Bring each unit to mean 0, and to variance 1 if asked.

    Parameters
    ----------
    x : ndarray (..., n_bins, n_units)
    scale : {"zscore", "center"}
    n_slow : int
        Slow cosines that are taken out of each unit first.

    Returns
    -------
    ndarray of float64 (..., n_bins, n_units)
        0 for units without variance; NaN for units with NaN. Times loadings it gives scores.

    Examples
    --------
    >>> scaled(np.array([[1, 5], [2, 5], [3, 5]])).tolist()
    [[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]
    """
    _check(x, scale, n_slow)
    return _scaled(x, scale, n_slow)[0]


def without_common(x: np.ndarray, covariate: np.ndarray | None = None) -> np.ndarray:
    """Take out of each unit what it has in common with all others, or with a covariate.

    Parameters
    ----------
    x : ndarray (n_bins, n_units)
    covariate : ndarray (n_bins,), optional
        By default the first principal component of the other units: a unit's own spikes are not
        in it.

    Returns
    -------
    ndarray of float64 (n_bins, n_units)
        NaN where ``covariate`` holds NaN.

    Raises
    ------
    ValueError
        For fewer than four bins.

    Notes
    -----
    Cross-validated: weights and slopes of each half of the time come from the other half.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> common = rng.normal(size=(1000, 1))
    >>> x = common + rng.normal(size=(1000, 30))
    >>> before, after = (abs(correlations(y)[0][0, 1]) for y in (x, without_common(x)))
    >>> bool(before > 0.4), bool(after < 0.15)
    (True, True)
    """
    n_bins = x.shape[0]
    if n_bins < 4:
        raise ValueError(f"expected at least 4 bins, found {n_bins}")
    halves = slice(0, n_bins // 2), slice(n_bins // 2, n_bins)
    out = np.empty(x.shape)
    for mine, other in (halves, halves[::-1]):
        mean = x[other].mean(axis=0, dtype=np.float64)
        here, there = x[mine] - mean, x[other] - mean
        if covariate is None:
            weights = principal_components(x[other], n_components=1)[1]
            sd = there.std(axis=0)
            weights = np.nan_to_num(weights[:, 0]) / np.where(sd > 0, sd, 1.0)
            # of all but the unit itself
            signals = [(a @ weights)[:, None] - a * weights for a in (here, there)]
        else:
            course = np.asarray(covariate, dtype=np.float64)[:, None]
            level = course[other].mean()
            signals = [course[mine] - level, course[other] - level]
        power = (signals[1] ** 2).sum(axis=0)
        slope = (signals[1] * there).sum(axis=0) / np.where(power == 0, 1.0, power)
        out[mine] = here - slope * signals[0]
    return out


def pc1(spectrum: np.ndarray) -> np.ndarray:
    """Give the share of variance of the first principal component.

    Parameters
    ----------
    spectrum : ndarray (..., m)
        Shares of variance or eigenvalues, descending; NaN at the end is skipped.

    Returns
    -------
    ndarray of float64 (...)
        In (0, 1]; NaN for an empty spectrum.

    Examples
    --------
    >>> float(pc1(np.array([3.0, 1.0])))
    0.75
    """
    return _shares(spectrum)[..., 0]


def n_components(spectrum: np.ndarray, *, level: float = 0.8) -> np.ndarray:
    """Count the components that together hold a share of the variance.

    Parameters
    ----------
    spectrum : ndarray (..., m)
        Shares of variance or eigenvalues, descending; NaN at the end is skipped.
    level : float
        Share of the variance, above 0 and up to 1.

    Returns
    -------
    ndarray of float64 (...)
        The smallest k with ``p[0] + ... + p[k-1] >= level`` (1e-12 of slack): a count from 1,
        not an index. NaN for an empty spectrum.

    Raises
    ------
    ValueError
        If ``level`` is out of range.

    Examples
    --------
    >>> float(n_components(np.full(10, 0.1))), float(n_components(np.array([0.9, 0.1])))
    (8.0, 1.0)
    """
    if not 0 < level <= 1:
        raise ValueError(f"expected level above 0 and up to 1, found {level}")
    total = np.cumsum(np.nan_to_num(_shares(spectrum)), axis=-1)
    reached = total >= level - 1e-12
    count = np.where(reached.any(axis=-1), reached.argmax(axis=-1) + 1.0, _size(spectrum))
    return _where_any(spectrum, count)


def participation_ratio(spectrum: np.ndarray) -> np.ndarray:
    """Give the participation ratio, (sum lambda)^2 / sum lambda^2.

    Parameters
    ----------
    spectrum : ndarray (..., m)
        Shares of variance or eigenvalues; NaN at the end is skipped.

    Returns
    -------
    ndarray of float64 (...)
        From 1 to m; NaN for an empty spectrum. It grows with the number of units and of
        bins: see `participation_ratio_unbiased`.

    Examples
    --------
    >>> float(participation_ratio(np.ones(7)))
    7.0
    """
    square = np.nansum(_shares(spectrum) ** 2, axis=-1)
    return 1 / np.where(square > 0, square, np.nan)


def ngsc(spectrum: np.ndarray) -> np.ndarray:
    """Give the normalized global spatial complexity: the spectrum's entropy over that of noise.

    Parameters
    ----------
    spectrum : ndarray (..., m)
        Shares of variance or eigenvalues; NaN at the end is skipped.

    Returns
    -------
    ndarray of float64 (...)
        ``-sum(p ln p) / ln m``: 1 for a flat spectrum, 0 for a single component. NaN for an
        empty spectrum and for m = 1.

    Notes
    -----
    Siegel et al. 2024, Nature 632:131. Both logarithms have one base.

    Examples
    --------
    >>> float(ngsc(np.full(8, 0.125))), float(ngsc(np.array([1.0, 0.0])))
    (1.0, 0.0)
    """
    p = np.nan_to_num(_shares(spectrum))
    entropy = -np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=-1)
    size = _size(spectrum)
    value = entropy / np.log(np.where(size > 1, size, 2.0)) + 0.0
    return _where_any(spectrum, np.where(size > 1, value, np.nan))


def power_law_slope(
    spectrum: np.ndarray,
    *,
    ranks: tuple[int, int] = (11, 500),
    weights: str | None = "inverse_rank",
) -> np.ndarray:
    """Fit the slope of log(variance) on log(rank).

    Parameters
    ----------
    spectrum : ndarray (..., m)
        Shares of variance or eigenvalues, descending; NaN at the end is skipped.
    ranks : (int, int)
        First and last rank of the fit, from 1; the last is capped at the last that exists.
    weights : {"inverse_rank", None}
        Weights 1 / rank, which give each stretch of the logarithmic axis its due, or none.

    Returns
    -------
    ndarray of float64 (...)
        ``-a`` for ``lambda = rank ** -a``. NaN where fewer than three ranks are left, those
        without variance not counted.

    Raises
    ------
    ValueError
        If the ranks are not 1 <= first < last, or for other weights.

    Examples
    --------
    >>> float(power_law_slope(np.arange(1.0, 101) ** -1.5).round(9))
    -1.5
    """
    first, last = ranks
    if not 1 <= first < last:
        raise ValueError(f"expected ranks 1 <= first < last, found {ranks}")
    if weights not in ("inverse_rank", None):
        raise ValueError(f"expected weights 'inverse_rank' or None, found {weights!r}")
    p = _shares(spectrum)[..., first - 1 : last]
    rank = np.arange(first, first + p.shape[-1], dtype=np.float64)
    # what is left of a component without variance is rounding
    noise = _size(spectrum) * np.finfo(np.float64).eps * pc1(spectrum)
    used = p > noise[..., None]
    w = np.where(used, 1.0 if weights is None else 1 / rank, 0.0)
    x, y = np.log(rank), np.log(np.where(used, p, 1.0))
    total = np.where(used.sum(axis=-1) >= 3, w.sum(axis=-1), np.nan)[..., None]
    dx = x - (w * x).sum(axis=-1, keepdims=True) / total
    dy = y - (w * y).sum(axis=-1, keepdims=True) / total
    square = (w * dx * dx).sum(axis=-1)
    return np.asarray((w * dx * dy).sum(axis=-1) / np.where(square > 0, square, np.nan))


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
    """Give the mean over pairs of squared correlations, and its jackknife error over units.

    Parameters
    ----------
    r : ndarray (..., n_units, n_units)
    varies : ndarray of bool (..., n_units)
        As `correlations` gives them.
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
    """Give the standard error of the mean squared correlation that is due to the time recorded.

    All pairs share the bins, so that the jackknife over units cannot see it.

    Parameters
    ----------
    x : ndarray (..., n_bins, n_units)
    r, varies : ndarray
        As ``correlations(x, n_slow=n_slow)`` gives them.
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
    z, mean = _centred(x)
    slow = slow_cosines(n_bins, n_slow).astype(np.float32)
    z -= np.matmul(slow.T, np.matmul(slow, z))
    z *= _gains(z, mean, n_bins - 1 - n_slow)[..., None, :]
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
    """Give the mean squared correlation that units without relation have by their course alone.

    Parameters
    ----------
    x : ndarray (..., n_bins, n_units)
    n_slow : int
        Slow cosines that are taken out of each unit first.

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
    share = np.square(_cosine_coefficients(x, "zscore", n_slow))
    total = share.sum(axis=-1, dtype=np.float64)
    n = share.any(axis=-2).sum(axis=-1).astype(np.float64)
    itself = np.einsum("...tu,...tu->...u", share, share).sum(axis=-1, dtype=np.float64)
    pairs = np.square(total).sum(axis=-1) - itself
    n = np.where(n > 1, n, np.nan)
    return np.asarray(pairs / (n * (n - 1)))


def _cosine_coefficients(x: np.ndarray, scale: str, n_slow: int) -> np.ndarray:
    """Give activity (..., n_bins, n_units) as cosine coefficients, without mean and slow ones.

    In single precision; of square sum 1 a unit if z-scored, and 0 without variance.
    """
    import scipy.fft

    centred, mean = _centred(x)
    found = scipy.fft.dct(centred, axis=-2, norm="ortho", overwrite_x=True)[..., n_slow + 1 :, :]
    gain = _gains(found, mean, 1)
    if scale != "zscore":
        gain = np.where(gain == 0, gain, 1)
    return np.asarray(found * gain[..., None, :])


def _centred(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give activity less its mean, in single precision, and the mean (..., n_units)."""
    dtype = np.float32 if _whole(x) else np.float64  # small whole numbers have no rounding
    with np.errstate(invalid="ignore"):  # of infinities
        mean = x.mean(axis=-2, keepdims=True, dtype=np.float64)
        centred = x.astype(dtype, copy=False) - mean.astype(dtype)
    return centred.astype(np.float32, copy=False), mean[..., 0, :]


def _gains(z: np.ndarray, mean: np.ndarray, square_sum: float) -> np.ndarray:
    """Give what brings each unit to a sum of squares; 0 without variance."""
    square = np.einsum("...tu,...tu->...u", z, z, dtype=np.float64)
    varies = _varying(square / z.shape[-2], mean, z.shape[-2]) | np.isnan(square)
    gain = np.sqrt(square_sum / np.where(varies, square, 1.0))
    return np.asarray(np.where(varies, gain, 0.0), dtype=np.float32)


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
    """Give 1 / value where the 95 % interval lies above 0, else NaN.

    Examples
    --------
    >>> reciprocal_beyond_zero(np.array([0.1, 0.1]), np.array([0.01, 0.1])).tolist()
    [10.0, nan]
    """
    beyond = value - _NORMAL_95 * error > 0
    return np.where(beyond, 1 / np.where(beyond, value, 1.0), np.nan)


def correlations(x: np.ndarray, *, n_slow: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Give the correlations of all pairs of units.

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
    _check(x, "zscore", n_slow)
    covariance, varies, finite = _covariance(x, n_slow)
    gain = _inverse_sd(covariance, varies)
    r = covariance * gain[..., :, None] * gain[..., None, :]
    return np.where(finite[..., None, None], r, np.nan), varies


def surrogate_spectra(
    x: np.ndarray,
    *,
    scale: str = "zscore",
    n_slow: int = 0,
    n_surrogates: int = 1,
    keys: np.ndarray,
) -> np.ndarray:
    """Give spectra that units of the same course would have without relation to each other.

    Parameters
    ----------
    x : ndarray (n_bins, n_units)
    scale : {"zscore", "center"}
    n_slow : int
        Slow cosines that are taken out of each unit first.
    n_surrogates : int
    keys : ndarray of uint64 (n_units,)
        One a unit; see `lsdx.kernels.resampling.stream_keys`.

    Returns
    -------
    ndarray of float64 (n_surrogates, m)
        Of units whose cosine coefficients have random signs (`chance_squared_correlation`). NaN
        where there is no spectrum.

    Examples
    --------
    >>> x = np.repeat(np.random.default_rng(0).normal(size=(100, 1)), 3, axis=1)
    >>> null = surrogate_spectra(x, n_surrogates=2, keys=np.arange(3, dtype=np.uint64))
    >>> float(explained_variance(x)[0].round(6)), bool((null[:, 0] < 0.7).all())
    (1.0, True)
    """
    _check(x, scale, n_slow)
    rows = np.ascontiguousarray(_cosine_coefficients(x, scale, n_slow).T)
    m = min(rows.shape)
    if not np.isfinite(rows).all():
        return np.full((n_surrogates, m), np.nan)
    rank = np.asarray(min(int(rows.any(axis=1).sum()), rows.shape[1]))
    out = np.empty((n_surrogates, m))
    for i in range(n_surrogates):
        flipped = flip_signs(rows, stream_keys(keys, i))
        gram = flipped @ flipped.T if m == len(rows) else flipped.T @ flipped
        out[i] = _shares(_descending(gram.astype(np.float64), m, rank))
    return out


def parallel_analysis(
    x: np.ndarray,
    *,
    scale: str = "zscore",
    n_slow: int = 0,
    null: str = "surrogate",
    n_surrogates: int = 29,
    keys: np.ndarray | None = None,
    rng: np.random.Generator | int | None = None,
) -> int:
    """Count the components with more variance than units without relation would have.

    Parameters
    ----------
    x : ndarray (n_bins, n_units)
    scale : {"zscore", "center"}
    n_slow : int
        Slow cosines that are taken out of each unit first.
    null : {"surrogate", "marchenko_pastur"}
        What to beat: the largest first component of ``n_surrogates`` surrogates
        (`surrogate_spectra`), or the edge of the spectrum of white noise, which holds for bins
        that are independent and for z-scored units only.
    n_surrogates : int
        29 make each step a test at 3.3 %.
    keys : ndarray of uint64 (n_units,), optional
        Of the surrogates, one a unit.
    rng : Generator or int, optional
        Of the keys, where there are none.

    Returns
    -------
    int
        -1 where there is no spectrum.

    Raises
    ------
    ValueError
        For another ``null``, or the edge without z-scores.

    Notes
    -----
    Horn 1965, Psychometrika 30:179, with surrogates that keep each unit's course. Components
    that beat them are taken out, and the same directions of units and of time out of their
    surrogates, and the rest is tested again as a share of the variance that is left, until none
    does: a strong component takes so much variance that weak ones beside it would be lost (Buja &
    Eyuboglu 1992, Multivar Behav Res 27:509; Vitale et al. 2017, Chemom Intell Lab Syst 165:42).
    What lies above the first five surrogates by more than twice their range is taken at once:
    chance reaches that far in 0.4 %. Marchenko & Pastur 1967.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(500, 30))
    >>> x[:, :10] += 2 * rng.normal(size=(500, 1))
    >>> parallel_analysis(x, rng=0)
    1
    """
    if null == "marchenko_pastur" and scale == "zscore":
        spectrum = explained_variance(x, scale=scale, n_slow=n_slow)
        ratio = _size(spectrum) / (x.shape[0] - 1 - n_slow)
        return n_above(spectrum, (1 + np.sqrt(ratio)) ** 2 / np.maximum(_size(spectrum), 1))
    if null != "surrogate":
        raise ValueError(
            "expected null 'surrogate', or 'marchenko_pastur' with scale 'zscore', found "
            f"{null!r} with {scale!r}"
        )
    _check(x, scale, n_slow)
    if keys is None:
        seed = np.random.default_rng(rng).integers(2**63)
        keys = stream_keys(np.arange(x.shape[1], dtype=np.uint64), int(seed))
    rows = _cosine_coefficients(x, scale, n_slow).T
    keep = rows.any(axis=1)
    rows, keys = np.ascontiguousarray(rows[keep]), keys[keep]
    if not rows.size or not np.isfinite(rows).all():
        return -1
    values, vectors = np.linalg.eigh((rows @ rows.T).astype(np.float64))
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1].astype(np.float32)
    most = min(len(rows), rows.shape[1]) - 1
    # what is left of units that repeat others is rounding
    most = min(most, int((values > len(values) * np.finfo(np.float32).eps * values[0]).sum()))
    found = 0
    while found < most:
        left = values[found:most] / values[found:].sum()
        # the rest has fewer units' directions, and fewer of time: so must its surrogates
        removed = vectors[:, :found]
        courses = removed.T @ rows
        rest = rows - removed @ courses
        courses /= np.linalg.norm(courses, axis=1, keepdims=True)
        shares: list[float] = []
        while len(shares) < n_surrogates and left[0] > max(shares, default=0.0):
            flipped = flip_signs(rest, stream_keys(keys, found, len(shares)))
            flipped -= (flipped @ courses.T) @ courses
            shares.append(_first_share(flipped @ flipped.T, removed))
            if len(shares) == _FIRST_SURROGATES:
                far = max(shares) + _FAR * (max(shares) - min(shares))
                if left[0] > far:
                    shares = [far]
                    break
        if not left[0] > max(shares, default=0.0):
            break
        found += int(np.cumprod(left > max(shares)).sum())
    return found


def _first_share(gram: np.ndarray, removed: np.ndarray) -> float:
    """Give the largest eigenvalue's share of all, across some removed directions."""
    if removed.shape[1]:
        part = removed @ (removed.T @ gram)
        gram = gram - part - part.T + (part @ removed) @ removed.T
    if len(gram) < 32:
        largest = np.linalg.eigvalsh(gram)[-1]
    else:
        from scipy.sparse.linalg import eigsh

        start = np.ones(len(gram), dtype=gram.dtype)  # not random: the same each time
        largest = eigsh(gram, 1, v0=start, tol=1e-4, return_eigenvectors=False)[0]
    return float(largest / np.trace(gram))


def n_above(spectrum: np.ndarray, bound: np.ndarray) -> int:
    """Count the leading entries above a bound; -1 for an empty spectrum.

    Examples
    --------
    >>> n_above(np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.35, 0.1]))
    1
    """
    if np.isnan(spectrum).all():
        return -1
    return int(np.cumprod(spectrum > bound).sum())


def shared_variance(
    x: np.ndarray,
    half: np.ndarray,
    *,
    gap: int = 0,
    n_slow: int = 0,
    n_shifts: int = 5,
    keys: np.ndarray | None = None,
) -> float:
    """Give the share of variance that two halves of the units have in common.

    Shared variance component analysis: directions of greatest covariance between two halves of
    the units are found in one half of the time, and their covariance is measured in the other.

    Parameters
    ----------
    x : ndarray (n_bins, n_units)
        Activity, z-scored here; units without variance are left out.
    half : ndarray of bool (n_units,)
        Which units are in the second half; neighbours, which share spikes, should be apart.
    gap : int
        Bins left out between the two halves of the time, half of it at either end too, so
        that slow fluctuations do not reach across, nor in what is shifted circularly.
    n_slow : int
        Slow cosines that are taken out of each unit first.
    n_shifts : int
        Independent circular shifts of the units, whose mean is subtracted.
    keys : ndarray of uint64 (n_units,), optional
        Of the shifts.

    Returns
    -------
    float
        Covariance over variance, both summed over all components: 0 on average for
        independent units, 1 where each unit has its like in the other half. NaN where ``x``
        holds NaN, a half has fewer than two units, or a half of the time fewer than two bins.

    Raises
    ------
    ValueError
        For a negative gap, or a ``half`` of another length.

    Notes
    -----
    Stringer et al. 2019, Science 364:255. Time is cut into two contiguous halves; each serves
    once to find and once to measure.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> twins = np.repeat(rng.normal(size=(400, 5)), 2, axis=1)
    >>> round(shared_variance(twins, np.arange(10) % 2 == 1), 2) > 0.9
    True
    """
    n_bins, n_units = x.shape
    half = np.asarray(half, dtype=bool)
    if gap < 0 or half.shape != (n_units,):
        raise ValueError(f"expected a gap from 0 and half ({n_units},), found {gap}, {half.shape}")
    length, edge = n_bins // 2 - gap, gap // 2
    z = scaled(x, n_slow=n_slow).T
    varies = z.any(axis=1)
    first, second = varies & ~half, varies & half
    if length < 2 or min(first.sum(), second.sum()) < 2 or not np.isfinite(z).all():
        return float("nan")
    if keys is None:
        keys = np.arange(n_units, dtype=np.uint64)

    def share(rows: np.ndarray) -> float:
        early = rows[:, edge : edge + length]
        late = rows[:, n_bins - edge - length : n_bins - edge]
        covariance = variance = 0.0
        for found, measured in ((early, late), (late, early)):
            found = found - found.mean(axis=1, keepdims=True)
            measured = measured - measured.mean(axis=1, keepdims=True)
            u, _, vt = np.linalg.svd(found[first] @ found[second].T, full_matrices=False)
            a, b = u.T @ measured[first], vt @ measured[second]
            covariance += float(np.sum(a * b))
            variance += float(np.sum(a * a) + np.sum(b * b)) / 2
        return covariance / variance if variance > 0 else float("nan")

    chance = [share(shift_circularly(z, stream_keys(keys, i))) for i in range(n_shifts)]
    return share(z) - (float(np.mean(chance)) if chance else 0.0)


def cross_validated_spectrum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Give the variances that come back in a second repeat of the same stimuli (cvPCA).

    Parameters
    ----------
    a, b : ndarray (n_stimuli, n_units)
        Responses to the same stimuli (or moments of one stimulus) in two repeats.

    Returns
    -------
    ndarray of float64 (m,)
        ``m = min(n_units, n_stimuli - 1)``: covariance between the repeats along the principal
        components of one of them, the mean of both ways; in the order of the components, and
        below 0 by chance. NaN where ``a`` or ``b`` holds NaN.

    Raises
    ------
    ValueError
        If the shapes differ, or there are fewer than two stimuli.

    Notes
    -----
    Stringer et al. 2019, Nature 571:361: noise that is independent between the repeats cancels.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.normal(size=(500, 2)) * [3, 1]
    >>> noisy = [signal + rng.normal(size=(500, 2)) for _ in range(2)]
    >>> cross_validated_spectrum(*noisy).round().tolist()
    [9.0, 1.0]
    """
    if a.shape != b.shape or a.ndim != 2 or a.shape[0] < 2:
        raise ValueError(
            "expected two repeats (n_stimuli, n_units) of at least 2 stimuli, found "
            f"{a.shape}, {b.shape}"
        )
    m = min(a.shape[1], a.shape[0] - 1)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return np.full(m, np.nan)
    first, second = scaled(a, scale="center"), scaled(b, scale="center")
    found = np.zeros(m)
    for one, other in ((first, second), (second, first)):
        vectors = np.linalg.svd(one, full_matrices=False)[2][:m]
        found += np.sum((one @ vectors.T) * (other @ vectors.T), axis=0)
    return np.asarray(found / (2 * (a.shape[0] - 1)))


def principal_angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Give the angles between two subspaces, ascending, in rad.

    Parameters
    ----------
    a, b : ndarray (n_units, k)
        Columns that span them, such as loadings of the first k components.

    Returns
    -------
    ndarray of float64 (k,)
        From 0 to pi / 2; NaN where ``a`` or ``b`` holds NaN.

    Notes
    -----
    Bjorck & Golub 1973, as `scipy.linalg.subspace_angles` computes it.

    Examples
    --------
    >>> principal_angles(np.eye(3)[:, :2], np.eye(3)[:, 1:]).round(4).tolist()
    [0.0, 1.5708]
    """
    import scipy.linalg

    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return np.full(min(a.shape[1], b.shape[1]), np.nan)
    return np.asarray(scipy.linalg.subspace_angles(a, b)[::-1])


def subspace_similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Give the mean squared cosine of the principal angles of two subspaces.

    Parameters
    ----------
    a, b : ndarray (n_units, k)
        Columns that span them.

    Returns
    -------
    float
        From 0 to 1; ``k / n_units`` on average for random subspaces. NaN where ``a`` or ``b``
        holds NaN.

    Examples
    --------
    >>> round(subspace_similarity(np.eye(3)[:, :2], np.eye(3)[:, 1:]), 12)
    0.5
    """
    return float(np.mean(np.cos(principal_angles(a, b)) ** 2))


def pc1_angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Give the angle between two axes, such as first loadings, in rad.

    Parameters
    ----------
    a, b : ndarray (..., n_units)

    Returns
    -------
    ndarray of float64 (...)
        ``arccos(abs(cos))``, from 0 to pi / 2: the sign of a component is arbitrary. NaN for
        an axis of length 0.

    Examples
    --------
    >>> float(pc1_angle(np.array([1.0, 0.0]), np.array([-2.0, 0.0])))
    0.0
    """
    length = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    cosine = np.sum(a * b, axis=-1) / np.where(length > 0, length, np.nan)
    return np.asarray(np.arccos(np.minimum(np.abs(cosine), 1.0)))


# ---- covariances ----------------------------------------------------------------------------


def _check(x: np.ndarray, scale: str, n_slow: int = 0) -> None:
    if scale not in ("zscore", "center"):
        raise ValueError(f"expected scale 'zscore' or 'center', found {scale!r}")
    if n_slow < 0:
        raise ValueError(f"expected n_slow from 0, found {n_slow}")
    if x.ndim < 2 or x.shape[-2] < 2 + n_slow or x.shape[-1] < 1:
        raise ValueError(
            f"expected activity (..., n_bins, n_units) of at least {2 + n_slow} bins, found "
            f"{x.shape}"
        )


def _second_moments(
    x: np.ndarray, scale: str, n_slow: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give the smaller of covariance of units and Gram matrix of bins.

    Returns it with the number of units that vary, and whether all of ``x`` is finite.
    """
    _check(x, scale, n_slow)
    n_bins, n_units = x.shape[-2:]
    if n_units > n_bins:
        z, varies, finite = _scaled(x, scale, n_slow)
        if not finite.all():
            z = np.where(finite[..., None, None], z, 0.0)
        gram = np.matmul(z, np.swapaxes(z, -2, -1))
        gram /= n_bins - 1 - n_slow
        return gram, varies.sum(axis=-1), finite
    covariance, varies, finite = _covariance(x, n_slow)
    gain = varies.astype(np.float64)
    if scale == "zscore":
        gain = _inverse_sd(covariance, varies)
    matrix = covariance * gain[..., :, None] * gain[..., None, :]
    return matrix, varies.sum(axis=-1), finite


def slow_cosines(n_bins: int, n_slow: int) -> np.ndarray:
    """Give orthonormal cosines (n_slow, n_bins) of periods 2 n_bins / 1, 2, ..., n_slow.

    Examples
    --------
    >>> rows = slow_cosines(8, 2)
    >>> (rows @ rows.T).round(12).tolist(), bool(abs(rows.sum(axis=1)).max() < 1e-12)
    ([[1.0, 0.0], [0.0, 1.0]], True)
    """
    place = (np.arange(n_bins) + 0.5) / n_bins
    waves = np.cos(np.pi * np.arange(1, n_slow + 1)[:, None] * place)
    return np.asarray(np.sqrt(2 / n_bins) * waves)


def _scaled(
    x: np.ndarray, scale: str, n_slow: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give scaled activity, which units vary, and whether all of it is finite."""
    n_bins = x.shape[-2]
    with np.errstate(invalid="ignore"):  # of infinities
        mean = x.mean(axis=-2, keepdims=True, dtype=np.float64)
        centred: np.ndarray = x - mean
        if n_slow:
            slow = slow_cosines(n_bins, n_slow)
            centred -= np.matmul(slow.T, np.matmul(slow, centred))
    square = np.einsum("...tu,...tu->...u", centred, centred)
    varies = _varying(square / n_bins, mean[..., 0, :], n_bins)
    gain = np.where(varies | np.isnan(square), 1.0, 0.0)
    if scale == "zscore":
        gain *= np.sqrt((n_bins - 1 - n_slow) / np.where(varies, square, n_bins - 1 - n_slow))
    centred *= gain[..., None, :]
    return centred, varies, np.isfinite(square).all(axis=-1)


def _covariance(x: np.ndarray, n_slow: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give the covariance of units (0 where ``x`` is not finite), which vary, and if it is."""
    n_bins = x.shape[-2]
    rows = np.swapaxes(x, -2, -1)
    with np.errstate(invalid="ignore"):  # of infinities
        total = rows.sum(axis=-1, dtype=np.float64)
    finite = np.isfinite(total).all(axis=-1)
    if not finite.all():
        rows = np.where(finite[..., None, None], rows, 0)
        total = np.where(finite[..., None], total, 0.0)
    slow = slow_cosines(n_bins, n_slow)
    products = _exact_products(rows, total) if _whole(rows) else None
    if products is None:
        rows = rows - total[..., None] / n_bins
        products = np.matmul(rows, np.swapaxes(rows, -2, -1))
    if n_slow:
        course = np.matmul(rows.astype(np.float64, copy=False), slow.T)
        products -= np.matmul(course, np.swapaxes(course, -2, -1))
    covariance = products / (n_bins - 1 - n_slow)
    varies = _varying(np.einsum("...ii->...i", covariance), total / n_bins, n_bins)
    return covariance, varies, finite


def _exact_products(rows: np.ndarray, total: np.ndarray) -> np.ndarray | None:
    """Multiply centred whole numbers in single precision; None where it would not be exact."""
    small = rows.astype(np.float32, copy=False)
    gram = np.matmul(small, np.swapaxes(small, -2, -1))
    # no sum of products exceeds the largest sum of squares
    if np.einsum("...ii->...i", gram).max(initial=0) >= _EXACT_FLOAT32:
        return None
    products: np.ndarray = gram.astype(np.float64)
    products -= total[..., :, None] * (total[..., None, :] / rows.shape[-1])
    return products


def _inverse_sd(covariance: np.ndarray, varies: np.ndarray) -> np.ndarray:
    variance = np.einsum("...ii->...i", covariance)
    return np.where(varies, 1 / np.sqrt(np.where(varies, variance, 1.0)), 0.0)


def _whole(x: np.ndarray) -> bool:
    """Tell whether all are whole numbers that single precision holds exactly."""
    if x.dtype.kind in "bui":
        return bool(x.size == 0 or (x.max() < 2**24 and x.min() > -(2**24)))
    return bool((x == np.rint(x)).all() and np.abs(x).max(initial=0) < _EXACT_FLOAT32)


def _varying(variance: np.ndarray, mean: np.ndarray, n_bins: int) -> np.ndarray:
    """Tell which units have variance that is more than rounding of their mean."""
    rounding = n_bins * np.finfo(np.float64).eps * mean
    with np.errstate(invalid="ignore"):
        return np.asarray(variance > rounding**2)


def _shares(spectrum: np.ndarray) -> np.ndarray:
    spectrum = np.asarray(spectrum, dtype=np.float64)
    total = np.nansum(spectrum, axis=-1, keepdims=True)
    return spectrum / np.where(total > 0, total, np.nan)


def _size(spectrum: np.ndarray) -> np.ndarray:
    """Count the ranks that exist."""
    return np.asarray(np.isfinite(spectrum).sum(axis=-1), dtype=np.float64)


def _where_any(spectrum: np.ndarray, value: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(_shares(spectrum)).any(axis=-1), value, np.nan)
