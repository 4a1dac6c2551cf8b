"""Surrogates: units of the same course without relation, and components that stand above them."""

from __future__ import annotations

import numpy as np

from lsdx.kernels.covariance import check_activity, cosine_coefficients
from lsdx.kernels.resampling import flip_signs, stream_keys
from lsdx.kernels.spectra import as_shares, descending_eigenvalues, explained_variance, n_ranks

_FIRST_SURROGATES, _FAR = 5, 2.0


def surrogate_spectra(
    x: np.ndarray,
    *,
    scale: str = "zscore",
    n_slow: int = 0,
    n_surrogates: int = 1,
    keys: np.ndarray,
) -> np.ndarray:
    """Return spectra that units of the same course would have without relation to each other.

    Parameters
    ----------
    x, scale, n_slow
        As for `parallel_analysis`.
    n_surrogates : int
    keys : ndarray of uint64 (n_units,)
        One a unit; see `lsdx.kernels.resampling.stream_keys`.

    Returns
    -------
    ndarray of float64 (n_surrogates, m)
        Of units whose cosine coefficients have random signs
        (`lsdx.kernels.correlations.chance_squared_correlation`). NaN
        where there is no spectrum.

    Examples
    --------
    >>> x = np.repeat(np.random.default_rng(0).normal(size=(100, 1)), 3, axis=1)
    >>> null = surrogate_spectra(x, n_surrogates=2, keys=np.arange(3, dtype=np.uint64))
    >>> float(explained_variance(x)[0].round(6)), bool((null[:, 0] < 0.7).all())
    (1.0, True)
    """
    check_activity(x, scale, n_slow)
    rows = np.ascontiguousarray(cosine_coefficients(x, scale, n_slow).T)
    m = min(rows.shape)
    if not np.isfinite(rows).all():
        return np.full((n_surrogates, m), np.nan)
    rank = np.asarray(min(int(rows.any(axis=1).sum()), rows.shape[1]))
    out = np.empty((n_surrogates, m))
    for i in range(n_surrogates):
        flipped = flip_signs(rows, stream_keys(keys, i))
        gram = flipped @ flipped.T if m == len(rows) else flipped.T @ flipped
        out[i] = as_shares(descending_eigenvalues(gram.astype(np.float64), m, rank))
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
        ratio = n_ranks(spectrum) / (x.shape[0] - 1 - n_slow)
        return n_above(spectrum, (1 + np.sqrt(ratio)) ** 2 / np.maximum(n_ranks(spectrum), 1))
    if null != "surrogate":
        raise ValueError(
            "expected null 'surrogate', or 'marchenko_pastur' with scale 'zscore', found "
            f"{null!r} with {scale!r}"
        )
    check_activity(x, scale, n_slow)
    if keys is None:
        seed = np.random.default_rng(rng).integers(2**63)
        keys = stream_keys(np.arange(x.shape[1], dtype=np.uint64), int(seed))
    rows = cosine_coefficients(x, scale, n_slow).T
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
    """Return the largest eigenvalue's share of all, across some removed directions."""
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
