"""Histograms around events against a brute-force loop; z by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lsdx.kernels.binning import count_in_intervals
from lsdx.kernels.events import baseline_z, combined_p, peri_event_counts, response_statistics
from lsdx.kernels.trains import Trains

TRAINS = st.lists(st.lists(st.integers(0, 400), max_size=20), min_size=1, max_size=4)
EVENTS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 2)), max_size=8)


def ragged(trains: list[list[int]]) -> Trains:
    size = np.array([len(t) for t in trains])
    ticks = np.array([x for t in trains for x in sorted(t)], dtype=np.uint32)
    return Trains(ticks, np.cumsum(size) - size, size)


@settings(max_examples=200, deadline=None)
@given(TRAINS, EVENTS, st.integers(-60, 40), st.integers(1, 15), st.integers(1, 6))
def test_counts_are_those_of_a_loop(
    trains: list[list[int]], events: list[tuple[int, int]], first: int, width: int, n: int
) -> None:
    events = sorted(events)
    event = np.array([e for e, _ in events], dtype=np.int64)
    cell = np.array([c for _, c in events], dtype=np.int64)
    row = np.arange(len(trains)) % 2
    expected = np.zeros((2, 3, n), dtype=int)
    for u, train in enumerate(trains):
        for e, c in events:
            for t in train:
                i = (t - e - first) // width
                if 0 <= i < n:
                    expected[row[u], c, i] += 1
    shape = (2, 3, n)
    found = peri_event_counts(
        ragged(trains), event, cell, first=first, width=width, shape=shape, row=row
    )
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=200, deadline=None)
@given(TRAINS, st.integers(-5, 450), st.integers(-5, 450))
def test_counts_between_ticks_are_those_of_a_loop(
    trains: list[list[int]], start: int, stop: int
) -> None:
    n = len(trains)
    found = count_in_intervals(ragged(trains), np.full((n, 1), start), np.full((n, 1), stop))
    assert found[:, 0].tolist() == [sum(start <= t < stop for t in train) for train in trains]


def test_z_is_of_the_baselines_bins() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(3.0, (5, 40))
    base = np.arange(40) < 25
    z = baseline_z(counts, base)
    expected = (counts - counts[:, base].mean(1)[:, None]) / counts[:, base].std(1)[:, None]
    np.testing.assert_allclose(z, expected)
    silent = np.zeros((1, 40), dtype=int)
    silent[0, 30] = 2
    one = np.zeros(25)
    one[3] = 1  # as if one spike had been in the baseline
    np.testing.assert_allclose(baseline_z(silent, base)[0, 30], 2 / one.std())
    assert np.isnan(baseline_z(np.zeros((1, 40)), base)).all()


def test_statistics_are_the_largest_z_and_the_change() -> None:
    rng = np.random.default_rng(1)
    counts = rng.poisson(2.0, (4, 30))
    before = np.arange(30) < 20
    found = response_statistics(counts, before, ~before)
    np.testing.assert_allclose(found[:, 0], np.abs(baseline_z(counts, before)[:, 20:]).max(1))
    np.testing.assert_allclose(found[:, 1], counts[:, 20:].mean(1) - counts[:, :20].mean(1))
    assert np.isnan(response_statistics(np.zeros((1, 30)), before, ~before)).all()


def test_combined_p_is_that_of_a_loop() -> None:
    rng = np.random.default_rng(2)
    draws = rng.integers(0, 12, (40, 3, 2, 2)).astype(float)  # with ties
    draws[5, 1, 0] = np.nan
    draws[0, 2, 1] = np.nan
    p, corrected = combined_p(draws)
    two = draws.copy()
    two[..., 1] = np.abs(two[..., 1] - np.nanmean(two[..., 1], axis=0))
    for r in range(3):
        of_cell = np.full((40, 2), np.inf)
        for c in range(2):
            if np.isnan(draws[0, r, c, 0]):
                continue
            mine = np.where(np.isnan(two[:, r, c]), np.inf, two[:, r, c])
            own = [sorted(float((mine[:, k] >= m[k]).mean()) for k in (0, 1)) for m in mine]
            of_cell[:, c] = [sum(other <= one for other in own) / 40 for one in own]
            np.testing.assert_allclose(p[r, c], of_cell[0, c])
        for c in range(2):
            if np.isfinite(of_cell[0, c]):
                expected = (of_cell.min(axis=1) <= of_cell[0, c]).mean()
                np.testing.assert_allclose(corrected[r, c], expected)
    assert np.isnan(p[2, 1])
    assert np.isnan(corrected[2, 1])


def test_combined_p_is_uniform_where_draws_are_alike() -> None:
    draws = np.random.default_rng(3).standard_normal((400, 2000, 3, 2))
    p, corrected = combined_p(draws)
    assert abs((p <= 0.05).mean() - 0.05) < 0.008
    assert abs((corrected.min(axis=1) <= 0.05).mean() - 0.05) < 0.015
