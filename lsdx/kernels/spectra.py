"""Spectra: the shares of variance of the principal components of a population's activity.

Activity ``x`` is (n_bins, n_units), with any axes before them; `lsdx.kernels.covariance` says what
``scale`` and ``n_slow`` do. A *spectrum* holds the shares of variance, descending, with sum 1. NaN
at its end stands for ranks that do not exist; a spectrum of NaN alone, for data that have none.
"""

from __future__ import annotations

import numpy as np

from lsdx.kernels.covariance import scaled, second_moments


def eigenvalues(x: np.ndarray, *, scale: str = "zscore", n_slow: int = 0) -> np.ndarray:
    """Return the eigenvalues of the covariance of the units' activity.

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
    matrix, varying, finite = second_moments(x, scale, n_slow)
    n_bins, n_units = x.shape[-2:]
    most = n_bins - 1 - n_slow
    return descending_eigenvalues(
        matrix, min(n_units, most), np.where(finite, np.minimum(varying, most), 0)
    )


def explained_variance(x: np.ndarray, *, scale: str = "zscore", n_slow: int = 0) -> np.ndarray:
    """Return the spectrum: the share of variance of each principal component.

    Parameters
    ----------
    x, scale, n_slow
        As for `eigenvalues`.

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
    return as_shares(eigenvalues(x, scale=scale, n_slow=n_slow))


def spectrum_of_correlations(r: np.ndarray, varies: np.ndarray, n_bins: int) -> np.ndarray:
    """Return the spectrum of z-scored activity from its correlations.

    Parameters
    ----------
    r : ndarray (..., n_units, n_units)
    varies : ndarray of bool (..., n_units)
        As `lsdx.kernels.correlations.correlations` returns them.
    n_bins : int
        Less the slow cosines that were taken out.

    Returns
    -------
    ndarray of float64 (..., min(n_units, n_bins - 1))
        That of `explained_variance`.

    Examples
    --------
    >>> spectrum_of_correlations(np.eye(4), np.ones(4, dtype=bool), 100).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    finite = np.isfinite(r).all(axis=(-2, -1))
    rank = np.where(finite, np.minimum(varies.sum(axis=-1), n_bins - 1), 0)
    matrix = np.where(finite[..., None, None], r, 0.0)
    return as_shares(descending_eigenvalues(matrix, min(r.shape[-1], n_bins - 1), rank))


def principal_components(
    x: np.ndarray, *, n_components: int, scale: str = "zscore"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first principal components: shares of variance, and loadings.

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
    matrix, varying, finite = second_moments(x, scale)
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
    >>> from lsdx.kernels.correlations import correlations
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


def descending_eigenvalues(matrix: np.ndarray, m: int, rank: np.ndarray) -> np.ndarray:
    """Return the first ``m`` eigenvalues of symmetric matrices; NaN from ``rank`` on."""
    values = np.maximum(np.linalg.eigvalsh(matrix)[..., ::-1][..., :m], 0.0)
    return np.where(np.arange(m) < rank[..., None], values, np.nan)


def as_shares(spectrum: np.ndarray) -> np.ndarray:
    """Return a spectrum of sum 1.

    Examples
    --------
    >>> as_shares(np.array([3.0, 1.0, np.nan])).tolist()
    [0.75, 0.25, nan]
    """
    spectrum = np.asarray(spectrum, dtype=np.float64)
    total = np.nansum(spectrum, axis=-1, keepdims=True)
    return spectrum / np.where(total > 0, total, np.nan)


def n_ranks(spectrum: np.ndarray) -> np.ndarray:
    """Count the ranks that exist, as float64.

    Examples
    --------
    >>> float(n_ranks(np.array([0.75, 0.25, np.nan])))
    2.0
    """
    return np.asarray(np.isfinite(spectrum).sum(axis=-1), dtype=np.float64)
