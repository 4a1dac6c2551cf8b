"""Cross-validation of time series: contiguous folds, a gap between what is learned and tested."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEAST_TEST, LEAST_TRAIN = 2, 10  # bins of a fold


@dataclass(frozen=True)
class Folds:
    """Contiguous blocks of time, each tested once.

    ``block`` (n_bins,) is the number of each bin's block, -1 where it was not observed; ``gap``
    is in bins.

    Examples
    --------
    >>> folds = blocked_folds(np.ones(60, dtype=bool), 3, gap=5)
    >>> folds.test(1)[[0, -1]].tolist(), folds.train(1).size
    ([20, 39], 30)
    """

    block: np.ndarray
    n: int
    gap: int

    def test(self, i: int) -> np.ndarray:
        """Return the bins of block ``i``."""
        return np.flatnonzero(self.block == i)

    def train(self, *left_out: int) -> np.ndarray:
        """Return the bins of all other blocks that are more than the gap from those left out."""
        near = np.isin(self.block, left_out)
        for i in left_out:
            inside = np.flatnonzero(self.block == i)
            if inside.size:
                near[max(inside[0] - self.gap, 0) : inside[-1] + self.gap + 1] = True
        return np.flatnonzero(~near & (self.block >= 0))

    @property
    def enough(self) -> bool:
        """Whether each block can be tested, and the rest learned from, two blocks left out too."""
        tested = all(self.test(i).size >= LEAST_TEST for i in range(self.n))
        pairs = ((i, j) for i in range(self.n) for j in range(i, self.n))
        return tested and all(self.train(i, j).size >= LEAST_TRAIN for i, j in pairs)


def blocked_folds(observed: np.ndarray, n_folds: int = 5, *, gap: int = 0) -> Folds:
    """Cut time into contiguous blocks of as many observed bins each, with gaps between them.

    Neighbouring bins of a slow series are nearly the same: folds of bins taken at random would
    test what was learned. A block and the bins within ``gap`` of it are left out of what is
    learned when it is tested.

    Parameters
    ----------
    observed : ndarray of bool (n_bins,)
        Bins that count; the others are in no fold, though their time counts in the gap.
    n_folds : int
        At least 2.
    gap : int
        Bins on each side of a block, from 0.

    Returns
    -------
    Folds
        ``enough`` says whether there are bins enough: at least 2 in each block, and 10 to learn
        from whichever two blocks are left out.

    Raises
    ------
    ValueError
        For fewer than two folds, or a negative gap.

    Notes
    -----
    Bergmeir, Hyndman and Koo 2018, Comput. Stat. Data Anal. 120:70, and Roberts et al. 2017,
    Ecography 40:913 on why blocks.

    Examples
    --------
    >>> blocked_folds(np.array([True, False, True, True, True]), 2).block.tolist()
    [0, -1, 0, 1, 1]
    """
    observed = np.asarray(observed, dtype=bool)
    if n_folds < 2 or gap < 0:
        raise ValueError(f"expected at least 2 folds and a gap from 0, found {n_folds}, {gap}")
    block = np.full(observed.size, -1)
    rows = np.flatnonzero(observed)
    block[rows] = np.arange(rows.size) * n_folds // max(rows.size, 1)
    return Folds(block, n_folds, gap)
