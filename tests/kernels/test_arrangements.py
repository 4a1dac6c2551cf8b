"""Arrangements: all of them against itertools, drawn ones against their frequencies, least p."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsdx.kernels.arrangements import Arrangements, conditions_within, orders_within, signs
from lsdx.kernels.contrasts import paired, permutation_p, slope, stratified


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def rows_of(found: Arrangements) -> set[tuple[float, ...]]:
    return {tuple(r.tolist()) for r in found.values}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2)), min_size=1, max_size=8))
def test_conditions_are_those_that_keep_the_numbers_of_each_stratum(
    design: list[tuple[bool, int]],
) -> None:
    first, stratum = (np.array(v) for v in zip(*design, strict=True))
    found = conditions_within(first, stratum, 9999, rng())
    kept = {
        way
        for way in itertools.product((False, True), repeat=first.size)
        if all(np.array(way)[stratum == s].sum() == first[stratum == s].sum() for s in set(stratum))
    }
    assert rows_of(found) == kept
    assert found.count == len(kept) == len(found.values)
    assert found.exact
    assert (found.values[0] == first).all()
    assert np.isnan(found.p_least) == (len(kept) == 1)


def test_drawn_conditions_are_uniform_and_keep_the_numbers() -> None:
    first = np.array([1, 0, 0, 0, 1, 1, 1, 1, 0], dtype=bool)
    stratum = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2])
    found = conditions_within(first, stratum, 11, rng())
    assert (found.count, found.exact, len(found.values)) == (12, False, 12)
    assert found.p_least == 1 / 12
    stratum = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3])
    first = np.r_[first, np.array([1, 1, 1, 0, 0, 0], dtype=bool)]
    found = conditions_within(first, stratum, 100, rng())  # 4 x 3 x 20
    assert found.count == 240
    many = np.concatenate(
        [conditions_within(first, stratum, 239, rng(k)).values[1:] for k in range(100)]
    )
    assert (many[:, stratum == 1]).all()
    number = Counter(tuple(r) for r in many.tolist())
    assert len(number) == 240
    # 23,900 draws of 240 ways: chi-square of 239 degrees of freedom, mean 239, sd 21.9
    expected = len(many) / 240
    assert sum((k - expected) ** 2 / expected for k in number.values()) < 239 + 4 * 21.9


def test_the_same_seed_gives_the_same_arrangements() -> None:
    first, stratum = np.arange(20) % 2 == 0, np.arange(20) // 10
    a, b = (conditions_within(first, stratum, 50, rng(3)).values for _ in range(2))
    assert (a == b).all()
    assert (a != conditions_within(first, stratum, 50, rng(4)).values).any()


def test_all_are_listed_up_to_the_number_that_is_asked_for() -> None:
    first, stratum = np.arange(6) < 3, np.zeros(6, dtype=int)
    assert conditions_within(first, stratum, 20, rng()).exact
    assert not conditions_within(first, stratum, 19, rng()).exact
    assert signs(4, 16, rng()).exact
    assert not signs(4, 15, rng()).exact


@pytest.mark.parametrize("m", [0, 1, 2, 5])
def test_signs_are_all_of_them(m: int) -> None:
    found = signs(m, 9999, rng())
    assert rows_of(found) == set(itertools.product((1, -1), repeat=m))
    assert (found.values[0] == 1).all()
    if m:
        assert found.p_least == 2 / 2**m
    else:
        assert np.isnan(found.p_least)


@pytest.mark.parametrize(
    ("values", "stratum"),
    [
        ([1, 2, 3, 4], [0, 0, 0, 0]),
        ([1, 1, 2, 2], [0, 0, 0, 0]),
        ([1, 2, 2, 5, 5, 7], [0, 0, 0, 1, 1, 1]),
        ([1, 2, 9, 9, 4], [0, 0, 1, 1, 2]),
        ([3, 1, 3, 1, 3], [0, 1, 0, 1, 0]),
    ],
)
def test_orders_are_those_that_differ(values: list[float], stratum: list[int]) -> None:
    v, s = np.array(values, dtype=float), np.array(stratum)
    found = orders_within(v, s, 9999, rng())
    parts = [itertools.permutations(np.flatnonzero(s == k)) for k in sorted(set(stratum))]
    places = [np.flatnonzero(s == k) for k in sorted(set(stratum))]
    every = set()
    for chosen in itertools.product(*parts):
        made = v.copy()
        for at, order in zip(places, chosen, strict=True):
            made[at] = v[list(order)]
        every.add(tuple(made.tolist()))
    assert {tuple(r.tolist()) for r in v[found.values]} == every
    assert found.count == len(every) == len(found.values)
    assert (found.values[0] == np.arange(v.size)).all()
    assert (np.sort(found.values, axis=1) == np.arange(v.size)).all()


def test_many_sessions_of_few_doses_are_listed_and_many_doses_drawn() -> None:
    v = np.repeat([0.1, 0.2], 6)
    found = orders_within(v, np.zeros(12, dtype=int), 924, rng())
    assert (found.count, found.exact) == (924, True)  # 12 over 6, not 12!
    found = orders_within(np.arange(12.0), np.repeat([0, 1], 6), 500, rng())
    assert (found.count, found.exact, len(found.values)) == (720**2, False, 501)
    assert (found.values[:, :6] < 6).all()


def least_of_generic_data(null: np.ndarray) -> float:
    """The p of the arrangement whose statistic is largest: the best that could be observed."""
    order = np.abs(null[:, 0]).argmax()
    moved = np.r_[null[order : order + 1], np.delete(null, order, axis=0)]
    return float(permutation_p(moved)[0])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_first", [(1, 2), (2, 2), (1, 1), (3, 1), (2, 3)])
def test_p_least_is_the_p_of_the_most_extreme_conditions(
    seed: int, n_first: tuple[int, int]
) -> None:
    first = np.r_[np.arange(4) < n_first[0], np.arange(4) < n_first[1], True, False]
    mouse = np.r_[np.zeros(4, int), np.ones(4, int), 2, 2]
    found = conditions_within(first, mouse, 9999, rng())
    null = stratified(rng(seed).normal(size=(10, 1)), mouse, mouse, found.values).null
    assert found.p_least == pytest.approx(least_of_generic_data(null))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "dose",
    [
        [0, 1, 5, 0, 1, 2],  # the first mouse has no mirror
        [0, 1, 2, 0, 1, 2],
        [0, 0, 1, 0, 1, 1],
        [0, 1, 1, 3, 3, 3],
    ],
)
def test_p_least_is_the_p_of_the_most_extreme_order(seed: int, dose: list[float]) -> None:
    z, mouse = np.array(dose, dtype=float), np.repeat([0, 1], 3)
    found = orders_within(z, mouse, 9999, rng())
    null = slope(rng(seed).normal(size=(6, 1)), z, mouse, found.values).null
    assert found.p_least == pytest.approx(least_of_generic_data(null))


def test_p_least_is_the_p_of_the_most_extreme_signs() -> None:
    found = signs(5, 9999, rng())
    null = paired(rng(1).normal(size=(5, 1)), found.values).null
    assert found.p_least == least_of_generic_data(null) == 2 / 32


@pytest.mark.parametrize(
    ("first", "stratum"),
    [([True], [0]), ([True, True, False], [0, 0, 1]), ([False, False], [0, 0]), ([], [])],
)
def test_nothing_that_can_fall_otherwise_has_no_least_p(
    first: list[bool], stratum: list[int]
) -> None:
    found = conditions_within(np.array(first, bool), np.array(stratum, int), 99, rng())
    assert (found.count, found.exact, len(found.values)) == (1, True, 1)
    assert np.isnan(found.p_least)


def test_mice_of_one_dose_or_one_session_are_not_free() -> None:
    found = orders_within(np.array([0.1, 0.1, 0.1, 3.0]), np.array([0, 0, 0, 1]), 99, rng())
    assert found.count == 1
    assert np.isnan(found.p_least)
