"""Bins, numbers of units and rates that groups have in common, against sets made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lsdx.errors import ArgumentError
from lsdx.kernels.matching import Common, in_common, kept_shares, n_observed_bins, require_whole


def test_bins_are_counted_from_the_start_and_gaps_are_told() -> None:
    counts = np.array([[1.0, 0.0, np.nan], [2.0, 1.0, np.nan]])
    assert n_observed_bins(counts) == 2
    assert n_observed_bins(counts[:, :2].astype(int)) == 2
    assert n_observed_bins(counts[:, ::-1]) == -1
    counts[0, 1] = np.nan
    assert n_observed_bins(counts) == -1


def test_groups_have_the_smallest_number_of_units_and_bins_and_the_lowest_rates_in_common() -> None:
    n_spikes = np.array([[10.0, 20.0], [30.0, 40.0], [60.0, 9.0], [80.0, 80.0], [1.0, 1.0]])
    bins = np.array([[10.0, 10.0]] * 2 + [[20.0, 10.0]] * 2 + [[1.0, 1.0]])
    rows = [np.array([0, 1]), np.array([2, 3]), np.array([4])]
    used = [(np.ones(r.size, dtype=bool), np.ones(2, dtype=bool)) for r in rows]
    both = in_common(used, rows, n_spikes, bins, None, 2)
    assert (both.n_units, both.n_bins) == (2, 10)  # the third is too small to count
    assert both.quantiles is not None
    # lowest rates of units: 1 and 3; .9 and 4
    assert (both.quantiles[0], both.quantiles[-1]) == (0.9, 3.0)
    assert (np.diff(both.quantiles) >= 0).all()
    # one cell less: the lowest rates are those of the first
    used = [(units, np.array([True, False])) for units, _ in used]
    first = in_common(used, rows, n_spikes, bins, 0, 2)
    assert first.quantiles is not None
    assert (first.quantiles[0], first.quantiles[-1]) == (1.0, 3.0)
    assert in_common(used, rows, n_spikes, bins, None, 3) == Common(-1)


def test_thinning_brings_units_to_their_lowest_rate_and_on_to_the_common_one() -> None:
    rows = np.zeros((2, 2, 10))
    rows[0] = [[1.0] * 10, [4.0] * 10]
    rows[1] = [[8.0] * 10, [2.0] * 10]
    keys = np.arange(2, dtype=np.uint64)
    assert kept_shares(rows, keys, Common(0)).tolist() == [[1.0, 0.25], [0.25, 1.0]]
    flat = Common(0, 10, np.full(101, 1.0))
    assert kept_shares(rows, keys, flat).tolist() == [[1.0, 0.25], [0.125, 0.5]]


@pytest.mark.parametrize("wrong", [0.5, -1.0])
def test_numbers_that_cannot_be_thinned_are_refused(wrong: float) -> None:
    require_whole(np.array([0.0, 3.0]), "test")
    with pytest.raises(ArgumentError, match="test, match_rates=True: expected counts"):
        require_whole(np.array([1.0, wrong]), "test")
