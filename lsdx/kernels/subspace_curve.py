"""How alike the subspaces of the first n components of two cells are, for each n.

``counts``, ``units``, ``cells``, ``keys`` and ``ids`` are those of `lsdx.kernels.subspaces`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lsdx.kernels.subspaces import N_PARTS, Options, bases, draws_of, observed_part


def similarity_curve(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the mean squared cosine of the principal angles of the first n axes, for each n.

    Parameters
    ----------
    a, b : ndarray (..., n_units, k)
        Orthonormal columns, such as loadings.

    Returns
    -------
    ndarray of float64 (..., k)
        From 0 to 1; ``n / n_units`` on average for random subspaces. NaN from the first column on
        that holds NaN.

    Notes
    -----
    ``sum((a[:, :n].T @ b[:, :n])**2) / n``: the squared singular values are the squared cosines.

    Examples
    --------
    >>> similarity_curve(np.eye(3), np.eye(3)[:, [0, 2, 1]]).round(3).tolist()
    [1.0, 0.5, 1.0]
    """
    squares = np.matmul(np.swapaxes(a, -2, -1), b) ** 2
    total = squares.cumsum(axis=-1).cumsum(axis=-2)
    return np.asarray(np.einsum("...ii->...i", total) / np.arange(1, a.shape[-1] + 1))


def compare_curves(
    counts: np.ndarray,
    units: np.ndarray,
    cells: np.ndarray,
    keys: np.ndarray,
    ids: Sequence[int],
    pairs: np.ndarray,
    options: Options,
) -> dict[str, Any]:
    """Compare the subspaces of the two cells of each pair, for 1 to ``n_components`` of them.

    Of the longer cell as many bins are used as the other has, from its start.

    Parameters
    ----------
    counts, units, cells, keys, ids
        See `lsdx.kernels.subspaces`.
    pairs : ndarray of int (n_pairs, 2)
        Cells.
    options : Options

    Returns
    -------
    dict
        ``similarity``, ``similarity_between``, ``similarity_chance`` (n_pairs, n_components);
        ``similarity_within`` (n_pairs, 2, n_components); ``note`` (n_pairs,); ``n_units``.
    """
    n, most, n_pairs = int(units.sum()), options.n_components, len(pairs)
    out: dict[str, Any] = {
        name: np.full((n_pairs, most), np.nan)
        for name in ("similarity", "similarity_between", "similarity_chance")
    } | {
        "similarity_within": np.full((n_pairs, 2, most), np.nan),
        "note": np.full(n_pairs, "", dtype=object),
        "n_units": n,
    }
    first, second = np.triu_indices(N_PARTS, 1)
    for i, pair in enumerate(pairs):
        both = [
            x for x in (observed_part(counts[units, c]) for c in pair if cells[c]) if x is not None
        ]
        length = min((len(x) for x in both), default=0)
        part, k = length // N_PARTS, min(most, n - 1)
        if len(both) < 2:
            out["note"][i] = "not observed for all units in both"
        elif n < options.min_units:
            out["note"][i] = f"{n} units, fewer than min_units={options.min_units}"
        elif part < k + 1:
            out["note"][i] = f"fewer than {N_PARTS * (k + 1)} bins"
        if out["note"][i]:
            continue
        rows = np.stack([x[:length].T for x in both], axis=1)
        drawn = []
        for thinned in draws_of(rows, keys[units], [ids[c] for c in pair], options):
            whole = bases(thinned, options)[..., :k]
            cut = thinned[..., : part * N_PARTS].reshape(n, 2 * N_PARTS, part)
            parts = bases(cut, options)[..., :k].reshape(2, N_PARTS, n, k)
            between = similarity_curve(parts[0][:, None], parts[1])
            within = similarity_curve(parts[:, first], parts[:, second])
            drawn.append(
                {
                    "similarity": similarity_curve(*whole),
                    "similarity_between": between.mean(axis=(0, 1)),
                    "similarity_within": within.mean(axis=1),
                }
            )
        for name in drawn[0]:
            out[name][i, ..., :k] = np.mean([d[name] for d in drawn], axis=0)
        out["similarity_chance"][i, :k] = np.arange(1, k + 1) / n
    return out
