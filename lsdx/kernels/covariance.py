"""Activity brought to one scale, without slow fluctuations, and the covariance of its units.

Activity ``x`` is (n_bins, n_units), with any axes before them.

Recordings drift, and independent units that drift look correlated. ``n_slow`` cosines, of periods
twice the time divided by 1, 2 and so on, are taken out of each unit beside its mean (a discrete
cosine set, as for the high-pass filter of fMRI: Friston et al. 1995, NeuroImage 2:45), and as many
degrees of freedom with them.
"""

from __future__ import annotations

import numpy as np

_EXACT_FLOAT32 = 2.0**24


def check_activity(x: np.ndarray, scale: str, n_slow: int = 0) -> None:
    """Check that there are bins enough and units, and that the scale is known.

    Raises
    ------
    ValueError
        For fewer than two bins more than ``n_slow``, no unit, or another ``scale``.
    """
    if scale not in ("zscore", "center"):
        raise ValueError(f"expected scale 'zscore' or 'center', found {scale!r}")
    if n_slow < 0:
        raise ValueError(f"expected n_slow from 0, found {n_slow}")
    if x.ndim < 2 or x.shape[-2] < 2 + n_slow or x.shape[-1] < 1:
        raise ValueError(
            f"expected activity (..., n_bins, n_units) of at least {2 + n_slow} bins, found "
            f"{x.shape}"
        )


def slow_cosines(n_bins: int, n_slow: int) -> np.ndarray:
    """Return orthonormal cosines (n_slow, n_bins) of periods 2 n_bins / 1, 2, ..., n_slow.

    Examples
    --------
    >>> rows = slow_cosines(8, 2)
    >>> (rows @ rows.T).round(12).tolist(), bool(abs(rows.sum(axis=1)).max() < 1e-12)
    ([[1.0, 0.0], [0.0, 1.0]], True)
    """
    place = (np.arange(n_bins) + 0.5) / n_bins
    waves = np.cos(np.pi * np.arange(1, n_slow + 1)[:, None] * place)
    return np.asarray(np.sqrt(2 / n_bins) * waves)


def scaled(x: np.ndarray, *, scale: str = "zscore", n_slow: int = 0) -> np.ndarray:
    """Bring each unit to mean 0, and to variance 1 for ``"zscore"``.

    Parameters
    ----------
    x : ndarray (..., n_bins, n_units)
    scale : {"zscore", "center"}
    n_slow : int
        Slow cosines that are taken out of each unit first.

    Returns
    -------
    ndarray of float64 (..., n_bins, n_units)
        0 for units without variance; NaN for units with NaN. Scores are this times loadings.

    Examples
    --------
    >>> scaled(np.array([[1, 5], [2, 5], [3, 5]])).tolist()
    [[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]
    """
    check_activity(x, scale, n_slow)
    return _scaled(x, scale, n_slow)[0]


def second_moments(
    x: np.ndarray, scale: str, n_slow: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the covariance of units or the Gram matrix of bins, whichever is smaller.

    With the number of units that vary, and whether all of ``x`` is finite.
    """
    check_activity(x, scale, n_slow)
    n_bins, n_units = x.shape[-2:]
    if n_units > n_bins:
        z, varies, finite = _scaled(x, scale, n_slow)
        if not finite.all():
            z = np.where(finite[..., None, None], z, 0.0)
        gram = np.matmul(z, np.swapaxes(z, -2, -1))
        gram /= n_bins - 1 - n_slow
        return gram, varies.sum(axis=-1), finite
    covariance, varies, finite = unit_covariance(x, n_slow)
    gain = varies.astype(np.float64)
    if scale == "zscore":
        gain = inverse_sd(covariance, varies)
    matrix = covariance * gain[..., :, None] * gain[..., None, :]
    return matrix, varies.sum(axis=-1), finite


def unit_covariance(x: np.ndarray, n_slow: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the covariance of units, which units vary, and whether all of ``x`` is finite.

    The covariance is 0 where ``x`` is not finite.
    """
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


def inverse_sd(covariance: np.ndarray, varies: np.ndarray) -> np.ndarray:
    """Return 1 / standard deviation of each unit; 0 without variance."""
    variance = np.einsum("...ii->...i", covariance)
    return np.where(varies, 1 / np.sqrt(np.where(varies, variance, 1.0)), 0.0)


def cosine_coefficients(x: np.ndarray, scale: str, n_slow: int) -> np.ndarray:
    """Return activity (..., n_bins, n_units) as cosine coefficients, without mean and slow ones.

    In single precision; of square sum 1 a unit if z-scored, and 0 without variance.
    """
    import scipy.fft

    centred, mean = less_mean(x)
    found = scipy.fft.dct(centred, axis=-2, norm="ortho", overwrite_x=True)[..., n_slow + 1 :, :]
    gain = unit_gains(found, mean, 1)
    if scale != "zscore":
        gain = np.where(gain == 0, gain, 1)
    return np.asarray(found * gain[..., None, :])


def less_mean(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return activity less its mean, in single precision, and the mean (..., n_units)."""
    dtype = np.float32 if _whole(x) else np.float64  # small whole numbers have no rounding
    with np.errstate(invalid="ignore"):  # of infinities
        mean = x.mean(axis=-2, keepdims=True, dtype=np.float64)
        centred = x.astype(dtype, copy=False) - mean.astype(dtype)
    return centred.astype(np.float32, copy=False), mean[..., 0, :]


def unit_gains(z: np.ndarray, mean: np.ndarray, square_sum: float) -> np.ndarray:
    """Return the factor that gives each unit this sum of squares; 0 without variance."""
    square = np.einsum("...tu,...tu->...u", z, z, dtype=np.float64)
    varies = _varying(square / z.shape[-2], mean, z.shape[-2]) | np.isnan(square)
    gain = np.sqrt(square_sum / np.where(varies, square, 1.0))
    return np.asarray(np.where(varies, gain, 0.0), dtype=np.float32)


def _scaled(
    x: np.ndarray, scale: str, n_slow: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scaled activity, which units vary, and whether all of it is finite."""
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


def _whole(x: np.ndarray) -> bool:
    """Return whether all are whole numbers that single precision holds exactly."""
    if x.dtype.kind in "bui":
        return bool(x.size == 0 or (x.max() < 2**24 and x.min() > -(2**24)))
    return bool((x == np.rint(x)).all() and np.abs(x).max(initial=0) < _EXACT_FLOAT32)


def _varying(variance: np.ndarray, mean: np.ndarray, n_bins: int) -> np.ndarray:
    """Return which units have variance that is more than rounding of their mean."""
    rounding = n_bins * np.finfo(np.float64).eps * mean
    with np.errstate(invalid="ignore"):
        return np.asarray(variance > rounding**2)
