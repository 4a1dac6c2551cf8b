"""What populations need to be comparable: the same bins, as many units, equal rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lsdx.errors import ArgumentError, located
from lsdx.kernels.resampling import equal_rate_share

_QUANTILES = 101  # of the common distribution of rates


@dataclass(frozen=True)
class Common:
    """What groups have in common: units of each draw (0 for all), bins, a distribution of rates."""

    n_units: int
    n_bins: int | None = None
    quantiles: np.ndarray | None = None  # spikes a bin, at the middles of so many equal shares


def in_common(
    used: Sequence[tuple[np.ndarray, np.ndarray]],
    rows: Sequence[np.ndarray],
    n_spikes: np.ndarray | None,
    bins: np.ndarray | None,
    n_units: int | None,
    min_units: int,
) -> Common:
    """Find what groups of units have in common.

    Parameters
    ----------
    used : sequence of (ndarray of bool (n_units,), ndarray of bool (n_cells,))
        Which units and which cells (epochs, windows) of each group count.
    rows : sequence of ndarray of int (n_units,)
        Where the units of each group stand in ``n_spikes`` and ``bins``.
    n_spikes, bins : ndarray (all units, n_cells), optional
        Spikes, and bins observed. None: no common distribution of rates, nor number of bins.
    n_units : int, optional
        Units of each draw, 0 for all. None: as many as the smallest group has.
    min_units : int
        Groups of fewer used units do not count.

    Returns
    -------
    Common
        ``n_units`` is -1 where no group counts. The quantiles are the lowest of all groups, of
        the rate that each unit has where it is lowest.

    Examples
    --------
    >>> used = [(np.ones(n, dtype=bool), np.ones(1, dtype=bool)) for n in (3, 2)]
    >>> in_common(used, [np.arange(3), np.arange(3, 5)], None, None, None, 2).n_units
    2
    """
    groups = [
        (mine, units, cells)
        for mine, (units, cells) in zip(rows, used, strict=True)
        if cells.any() and units.sum() >= min_units
    ]
    if n_units is None:
        n_units = min((int(units.sum()) for _, units, _ in groups), default=-1)
    if n_spikes is None or bins is None or not groups:
        return Common(n_units)
    share = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    lowest, n_bins = np.full(_QUANTILES, np.inf), np.inf
    for mine, units, cells in groups:
        at = np.ix_(mine[units], cells)
        n_bins = min(n_bins, float(np.rint(bins[at]).min()))
        rates = np.sort((n_spikes[at] / bins[at]).min(axis=1))
        places = (np.arange(rates.size) + 0.5) / rates.size
        lowest = np.minimum(lowest, np.interp(share, places, rates))
    return Common(n_units, int(n_bins), lowest)


def kept_shares(rows: np.ndarray, keys: np.ndarray, common: Common) -> np.ndarray:
    """Return the share of spikes that thinning keeps.

    Parameters
    ----------
    rows : ndarray (n_units, n_cells, n_bins)
        Counts.
    keys : ndarray of uint64 (n_units,)
        They decide the order of units of the same rate.
    common : Common

    Returns
    -------
    ndarray of float64 (n_units, n_cells)
        What brings each unit to its lowest rate, or on to the common distribution of rates.

    Examples
    --------
    >>> kept_shares(np.array([[[2, 2], [1, 0]]]), np.zeros(1, np.uint64), Common(0)).tolist()
    [[0.25, 1.0]]
    """
    totals = rows.sum(axis=-1, dtype=np.float64)
    wanted = totals.min(axis=1)
    if common.quantiles is not None:
        order = np.lexsort((keys, wanted))
        place = np.empty(wanted.size)
        place[order] = (np.arange(wanted.size) + 0.5) / wanted.size
        share = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
        target = np.interp(place, share, common.quantiles) * rows.shape[-1]
        wanted = np.minimum(wanted, target)
    return equal_rate_share(totals, wanted)


def n_observed_bins(counts: np.ndarray) -> int:
    """Count the bins observed from the start, (n_units, n_bins); -1 where some are missing.

    Examples
    --------
    >>> n_observed_bins(np.array([[1.0, 2.0, np.nan]])), n_observed_bins(np.array([[np.nan, 2.0]]))
    (2, -1)
    """
    if counts.dtype.kind != "f":
        return int(counts.shape[-1])
    finite = np.isfinite(counts)
    every = finite.all(axis=0)
    length = int(every.sum())
    return length if every[:length].all() and not finite[:, length:].any() else -1


NOT_WHOLE = "rates not matched: counts are not whole"


def is_whole(counts: np.ndarray) -> bool:
    """Return whether these are counts of spikes: whole, and none below 0; NaN does not count.

    Examples
    --------
    >>> is_whole(np.array([0.0, 2.0, np.nan])), is_whole(np.array([0.5]))
    (True, False)
    """
    return not ((counts < 0) | (np.isfinite(counts) & (counts != np.rint(counts)))).any()


def require_whole(counts: np.ndarray, where: str) -> None:
    """Refuse what cannot be thinned: numbers that are negative or not whole.

    Examples
    --------
    >>> require_whole(np.array([0.0, 2.0]), "test")
    """
    if not is_whole(counts):
        raise ArgumentError(
            located(
                f"{where}, match_rates=True",
                "counts of spikes, which can be thinned",
                "numbers that are negative or not whole",
                "Pass counts, or match_rates=False.",
            )
        )
