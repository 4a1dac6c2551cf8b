"""Histograms around events against a brute-force loop; z by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lsdx.kernels.binning import count_in_intervals
from lsdx.kernels.events import baseline_z, peri_event_counts

TRAINS = st.lists(st.lists(st.integers(0, 400), max_size=20), min_size=1, max_size=4)
EVENTS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 2)), max_size=8)


def ragged(trains: list[list[int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    size = np.array([len(t) for t in trains])
    ticks = np.array([x for t in trains for x in sorted(t)], dtype=np.uint32)
    return ticks, np.cumsum(size) - size, size


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
        *ragged(trains), event, cell, first=first, width=width, shape=shape, row=row
    )
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=200, deadline=None)
@given(TRAINS, st.integers(-5, 450), st.integers(-5, 450))
def test_counts_between_ticks_are_those_of_a_loop(
    trains: list[list[int]], start: int, stop: int
) -> None:
    n = len(trains)
    found = count_in_intervals(*ragged(trains), np.full((n, 1), start), np.full((n, 1), stop))
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
