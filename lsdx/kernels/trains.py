"""The spike trains of units, as kernels take them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Trains(NamedTuple):
    """Spike trains of units: all spikes in one array, and where each unit's are.

    Parameters
    ----------
    ticks : ndarray (n_spikes,)
        Each unit's spikes, sorted in time; uint32 ticks, or other numbers.
    row_start, row_size : ndarray of int64 (n_units,)
        First spike of each unit, and how many it has.

    Examples
    --------
    >>> trains = Trains(np.array([1, 5, 2, 7, 9]), np.array([0, 2]), np.array([2, 3]))
    >>> trains.of_units([1]).row_size.tolist()
    [3]
    >>> trains.kept(np.array([True, False, True, True, False])).row_size.tolist()
    [1, 2]
    """

    ticks: np.ndarray
    row_start: np.ndarray
    row_size: np.ndarray

    def of_units(self, rows: np.ndarray | list[int]) -> Trains:
        """Return the trains of some units; spikes are not copied."""
        return Trains(self.ticks, self.row_start[rows], self.row_size[rows])

    def kept(self, keep: np.ndarray) -> Trains:
        """Return the spikes where ``keep`` (n_spikes,) is true."""
        before = np.r_[0, np.cumsum(keep)]
        first = before[self.row_start]
        size = before[self.row_start + self.row_size] - first
        return Trains(self.ticks[keep], first, size)
