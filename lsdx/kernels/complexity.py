"""How hard binary activity is to compress: the phrases of Lempel and Ziv."""

from __future__ import annotations

import functools

import numpy as np

from lsdx.kernels.compile import jit
from lsdx.kernels.resampling import scatter_ones, stream_keys, thin

_MIN_BITS = 200


def lz76(bits: np.ndarray) -> int:
    """Count the phrases of the Lempel-Ziv parsing of 1976.

    Parameters
    ----------
    bits : ndarray of bool or int (n,)
        Whatever is not 0 counts as 1.

    Returns
    -------
    int
        From 1 to n; 0 for an empty sequence, 2 for a constant one of two or more.

    Raises
    ------
    ValueError
        If ``bits`` is not one sequence.

    Notes
    -----
    Each phrase is the shortest that does not occur earlier, the earlier one being allowed to
    overlap all but its last bit; the last counts even if it does (Lempel & Ziv 1976, IEEE
    Trans Inf Theory 22:75; counted as by Kaspar & Schuster 1987, Phys Rev A 36:842). The time
    is linear in n.

    Examples
    --------
    >>> lz76(np.array([0, 0, 0, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 1]))
    6
    """
    bits = np.asarray(bits)
    if bits.ndim != 1:
        raise ValueError(f"expected bits (n,), found {bits.shape}")
    return int(_phrases(bits[None])[0])


def lempel_ziv(bits: np.ndarray) -> np.ndarray:
    """Return the Lempel-Ziv complexity of sequences, normalised by their length.

    Parameters
    ----------
    bits : ndarray of bool or int (..., n)
        Such as counts above a threshold; whatever is not 0 counts as 1.

    Returns
    -------
    ndarray of float64 (...)
        Near 0 for regular sequences; for fair independent bits it falls to 1 as n grows. NaN
        for fewer than 200 bits.

    Notes
    -----
    ``c * log2(n) / n`` for the c phrases of `lz76`. For n to infinity it is the entropy rate in
    bits (Lempel & Ziv 1976), so that it depends on how many bits are 1, and on the firing rate
    with it: compare with shuffled bits.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> lempel_ziv(np.stack([rng.random(10_000) < 0.5, np.arange(10_000) % 2 == 1])).round(2)
    array([1.03, 0.  ])
    """
    bits = np.asarray(bits)
    n = bits.shape[-1]
    if n < _MIN_BITS:
        return np.full(bits.shape[:-1], np.nan)
    return np.asarray(_phrases(bits) * (np.log2(n) / n))


@functools.lru_cache(maxsize=1 << 16)
def shuffled_lempel_ziv(n: int, ones: int, n_shuffles: int, seed: int) -> float:
    """Return the mean complexity of shuffled sequences of so many bits and ones.

    Parameters
    ----------
    n, ones : int
        Bits, and how many of them are 1.
    n_shuffles : int
        Sequences of which the mean is taken.
    seed : int
        With it, the same numbers give the same mean.

    Returns
    -------
    float
        The mean of `lempel_ziv`; NaN for fewer than 200 bits.

    Examples
    --------
    >>> shuffled_lempel_ziv(1000, 0, 1, 0) < shuffled_lempel_ziv(1000, 500, 10, 0)
    True
    """
    return float(lempel_ziv(scatter_ones(n, ones, n_shuffles, seed)).mean())


def equal_rate_bits(
    counts: np.ndarray, keys: np.ndarray, *, mean: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Make bits of counts, with one threshold a unit, after thinning to equal rates.

    Parameters
    ----------
    counts : ndarray (n_units, n_cells, n_bins)
        NaN past a cell's last bin; a cell is what is compared, such as an epoch.
    keys : ndarray of uint64 (n_units, n_cells)
        Of the thinning, as `lsdx.kernels.resampling.stream_keys` gives them.
    mean : float, optional
        Spikes a bin to thin to; by default each unit's lowest among its cells. Cells with fewer
        are taken as they are.

    Returns
    -------
    bits : ndarray of bool (n_units, n_cells, n_bins)
        Bins with more spikes than the thinned unit's mean over all its cells.
    n_bins : ndarray of int64 (n_units, n_cells)
        Observed bins, which come first; 0 where some are missing between others.

    Examples
    --------
    >>> counts = np.array([[[0, 2, 0, 2], [4, 4, 0, np.nan]]])
    >>> bits, n = equal_rate_bits(counts, np.ones((1, 2), dtype=np.uint64), mean=9.0)
    >>> bits[0].astype(int).tolist(), n.tolist()
    ([[0, 1, 0, 1], [1, 1, 0, 0]], [[4, 3]])
    """
    seen = np.isfinite(counts)
    n_bins = seen.sum(axis=-1)
    keep = _kept_share(counts, mean)
    thinned = np.empty(counts.shape, dtype=np.float32)
    for c in range(counts.shape[1]):
        cell = np.where(seen[:, c], counts[:, c], 0.0)
        thinned[:, c] = thin(cell, keep[:, c], keys[:, c])
    total = thinned.sum(axis=(1, 2), dtype=np.float64)
    threshold = total / np.maximum(n_bins.sum(axis=1), 1)
    whole = (seen[..., 1:] <= seen[..., :-1]).all(axis=-1)
    return thinned > threshold[:, None, None], np.where(whole, n_bins, 0)


def thinned_lempel_ziv(
    counts: np.ndarray,
    keys: np.ndarray,
    *,
    n_thinnings: int,
    n_shuffles: int,
    seed: int,
    mean: float | None = None,
) -> np.ndarray:
    """Return complexity and ratio of counts at equal rates, as means over thinnings.

    Parameters
    ----------
    counts : ndarray (n_units, n_cells, n_bins)
    keys : ndarray of uint64 (n_units, n_cells)
        Of which each thinning's follow; as for `equal_rate_bits`, with ``mean``.
    n_thinnings : int
        Units of which nothing is thinned need one.
    n_shuffles, seed : int
        As for `lempel_ziv_ratio`.
    mean : float, optional

    Returns
    -------
    ndarray of float64 (4, n_units, n_cells)
        Complexity, its ratio to shuffled bits, and the sd of both that other thinnings would
        bring: that of single ones, over the root of their number. NaN where no thinning has a
        value.

    Examples
    --------
    >>> counts = np.random.default_rng(0).poisson([[[0.2], [0.8]]], (1, 2, 3000)).astype(float)
    >>> keys = np.array([[1, 2]], dtype=np.uint64)
    >>> out = thinned_lempel_ziv(counts, keys, n_thinnings=20, n_shuffles=20, seed=0)
    >>> bool((abs(out[1] - 1) < 0.05).all()), bool((out[3] < 0.01).all())
    (True, True)
    """
    found = np.full((n_thinnings, 2, *keys.shape), np.nan)
    rows = np.arange(len(counts))
    for k in range(n_thinnings):
        bits, n_bits = equal_rate_bits(counts[rows], stream_keys(keys[rows], k), mean=mean)
        flat = bits.reshape(n_bits.size, bits.shape[-1]), n_bits.reshape(-1)
        both = lempel_ziv_ratio(*flat, n_shuffles=n_shuffles, seed=seed)
        found[k][:, rows] = np.stack(both).reshape(2, *n_bits.shape)
        if not k:
            rows = np.flatnonzero((_kept_share(counts, mean) < 1).any(axis=1))
    n = np.isfinite(found).sum(axis=0)
    average = np.nansum(found, axis=0) / np.where(n, n, np.nan)
    square = np.nansum((found - average) ** 2, axis=0) / np.maximum(n - 1, 1)
    return np.concatenate([average, np.sqrt(square / np.where(n, n, np.nan))])


def _kept_share(counts: np.ndarray, mean: float | None) -> np.ndarray:
    """Return the share of spikes that thinning keeps, (n_units, n_cells)."""
    n_bins = np.isfinite(counts).sum(axis=-1)
    average = np.nansum(counts, axis=-1, dtype=np.float64) / np.where(n_bins, n_bins, 1)
    lowest = np.where(n_bins > 0, average, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    wanted = lowest if mean is None else np.full_like(lowest, mean)
    return np.where(average > 0, wanted / np.where(average > 0, average, 1.0), 1.0)


def lempel_ziv_ratio(
    bits: np.ndarray, n_bits: np.ndarray, *, n_shuffles: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the complexity of sequences of their own lengths, and its ratio to shuffled ones.

    Parameters
    ----------
    bits : ndarray of bool (n_sequences, n)
    n_bits : ndarray of int (n_sequences,)
        How many bits of each count, from the first.
    n_shuffles : int
        Of which the mean is taken.
    seed : int

    Returns
    -------
    value : ndarray of float64 (n_sequences,)
        As `lempel_ziv` gives it; NaN for fewer than 200 bits, and where all bits are the same.
    ratio : ndarray of float64 (n_sequences,)
        1 where the order of the bits does not matter.

    Notes
    -----
    What shuffling gives depends on the numbers of bits and of ones alone: it is made once for
    each pair of numbers, and does not depend on the others.

    Examples
    --------
    >>> bits = np.arange(400)[None] % 2 == 0
    >>> value, ratio = lempel_ziv_ratio(bits, np.array([400]), n_shuffles=10, seed=0)
    >>> bool(ratio[0] < 0.1)
    True
    """
    value, ratio = np.full((2, len(bits)), np.nan)
    for n in np.unique(n_bits[n_bits >= _MIN_BITS]):
        rows = np.flatnonzero(n_bits == n)
        ones = bits[rows, :n].sum(axis=1)
        some = (ones > 0) & (ones < n)
        rows, ones = rows[some], ones[some]
        value[rows] = lempel_ziv(bits[rows, :n])
        distinct, which = np.unique(ones, return_inverse=True)
        chance = [shuffled_lempel_ziv(int(n), int(k), n_shuffles, seed) for k in distinct]
        ratio[rows] = value[rows] / np.array(chance)[which]
    return value, ratio


def _phrases(bits: np.ndarray) -> np.ndarray:
    out = np.empty(bits.shape[:-1], dtype=np.int64)
    rows = np.ascontiguousarray(bits, dtype=np.bool_).reshape(out.size, bits.shape[-1])
    _parse(rows, out.reshape(-1))
    return out


@jit
def _parse(rows, out):  # type: ignore[no-untyped-def]
    # a suffix automaton (Blumer et al. 1985) of what has been read: a path from state 0 for
    # each of its substrings; no child is 0, since no bit leads back to the empty string
    n_states = 2 * rows.shape[1] + 1
    child = np.empty((n_states, 2), dtype=np.int32)
    suffix = np.empty(n_states, dtype=np.int32)
    length = np.empty(n_states, dtype=np.int32)
    for r in range(out.size):
        child[0] = 0
        suffix[0], length[0] = -1, 0
        last, size = 0, 1
        n_phrases, at = 0, 0  # at: where the phrase that is being read has come to
        for one in rows[r]:
            bit = 1 if one else 0
            at = child[at, bit]
            if not at:
                n_phrases += 1

            new, back = size, last
            size += 1
            child[new] = 0
            suffix[new], length[new] = 0, length[last] + 1
            last = new
            while back >= 0 and not child[back, bit]:
                child[back, bit] = new
                back = suffix[back]
            if back < 0:
                continue
            target = child[back, bit]
            if length[target] == length[back] + 1:
                suffix[new] = target
                continue
            # the shorter strings of the target now end here too, the longer do not; a phrase
            # at the target may stay, since the twin's children are the same at the next bit
            twin = size
            size += 1
            child[twin] = child[target]
            suffix[twin], length[twin] = suffix[target], length[back] + 1
            suffix[target] = suffix[new] = twin
            while back >= 0 and child[back, bit] == target:
                child[back, bit] = twin
                back = suffix[back]
        out[r] = n_phrases + (at > 0)
