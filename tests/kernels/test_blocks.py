"""Blocks of two phases: their number, and windows as the clock counts them."""

from __future__ import annotations

import numpy as np
import pytest

from lsdx import clock
from lsdx.kernels.blocks import Measure, Plan, equal_blocks
from lsdx.kernels.metrics import METRICS
from lsdx.kernels.modulation import FIELDS, compare_phases
from lsdx.kernels.trains import Trains


def plan(window: int, metrics: tuple[str, ...] = ("fano_factor",)) -> Plan:
    return Plan(
        metrics=metrics,
        streams=((1, 2),),
        method="block",
        block=1000,
        window=window,
        second=1000,
        n_permutations=99,
        settle=None,
        surrogates=2,
        match_rates=True,
        seed=0,
        n_null=0,
        n_far=0,
    )


@pytest.mark.parametrize("window", [1, 2, 7, 100])
def test_windows_are_counted_as_the_clock_does(window: int) -> None:
    begin = np.arange(40)[:, None] * np.array([[1, 3]])
    end = begin + np.arange(80).reshape(40, 2) * 9
    nothing = Trains(np.empty(0, dtype=np.uint32), *np.zeros((2, 40), dtype=np.int64))
    measure = Measure("fano_factor", nothing, np.zeros(40, dtype=np.uint64), (1, 2), plan(window))
    counts = measure._windows(begin, end)
    np.testing.assert_array_equal(
        np.isfinite(counts).sum(axis=-1), clock.n_bins(end - begin, window)
    )


def test_blocks_have_the_time_that_both_phases_have() -> None:
    begin, end = np.array([[[0], [5000]], [[0], [0]]]), np.array([[[3100], [9000]], [[10], [0]]])
    number, length = equal_blocks(begin, end, 1000)
    assert number.tolist() == [[3], [0]]
    assert length.tolist()[0] == [1033]


def test_every_measure_has_a_value_in_both_phases() -> None:
    rng = np.random.default_rng(0)
    ticks = np.sort(rng.integers(0, 20_000, 4000)).astype(np.uint32)
    trains = Trains(ticks, np.array([0]), np.array([4000]))
    begin, end = np.array([[[0], [10_000]]]), np.array([[[10_000], [20_000]]])
    names = tuple(METRICS)
    found = compare_phases(
        trains, begin, end, np.array([3], dtype=np.uint64), plan(10, metrics=names)
    )
    assert found.shape == (1, 1, len(names), len(FIELDS))
    assert np.isfinite(found[..., :3]).all()
    assert np.isfinite(found[0, 0, :-1]).all()  # a block has too few bits
