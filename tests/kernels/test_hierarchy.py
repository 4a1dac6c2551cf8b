"""The hierarchical bootstrap against what it must be: counted, in closed form, drawn slowly."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from lsdx.kernels.hierarchy import expanded_levels, hierarchical_bootstrap


def slowly(
    values: np.ndarray, mouse: np.ndarray, session: np.ndarray, n: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw as Saravanan et al. (2020) describe it, one group after another."""
    nested = {m: [values[session == s] for s in set(session[mouse == m])] for m in set(mouse)}
    found = []
    for _ in range(n):
        drawn: list[float] = []
        for m in rng.choice(list(nested), len(nested)):
            for s in rng.integers(len(nested[m]), size=len(nested[m])):
                drawn.extend(rng.choice(nested[m][s], nested[m][s].size))
        found.append(np.mean(drawn))
    return np.array(found)


def uneven() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    session = np.repeat(np.arange(9), rng.integers(3, 12, 9))
    mouse = np.array([0, 0, 0, 0, 1, 1, 2, 3, 3])[session]
    values = rng.normal(size=mouse.size) + rng.normal(size=4)[mouse] + rng.normal(size=9)[session]
    return values, mouse, session


def test_every_draw_of_a_small_design_comes_as_often_as_it_should() -> None:
    """Mouse 0 has a session of 1 and 2; mouse 1 one of 10, and one of 20."""
    sessions = {0: [[1, 2]], 1: [[10], [20]]}
    of_mouse = {}
    for m, own in sessions.items():  # each list of values that drawing the mouse can give
        ways = [
            list(itertools.chain(*parts))
            for chosen in itertools.product(own, repeat=len(own))
            for parts in itertools.product(*(itertools.product(s, repeat=len(s)) for s in chosen))
        ]
        of_mouse[m] = [(w, 1 / len(ways)) for w in ways]
    truth: Counter[float] = Counter()
    for a, b in itertools.product((0, 1), repeat=2):
        for (x, p), (y, q) in itertools.product(of_mouse[a], of_mouse[b]):
            truth[round(sum(x + y) / len(x + y), 6)] += p * q / 4
    values, n = np.array([1.0, 2, 10, 20]), 100_000
    codes = [np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1])]
    draws = hierarchical_bootstrap(values, codes, n, rng=0)
    found = Counter(draws.round(6).tolist())
    assert set(found) == set(truth)
    seen, expected = np.array([(found[k], truth[k] * n) for k in truth]).T
    assert stats.chisquare(seen, expected).pvalue > 0.001


def test_the_variance_of_a_balanced_design_is_the_sum_of_its_levels() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 1, 1)) + rng.normal(size=(5, 3, 1)) + rng.normal(size=(5, 3, 8))
    expected = (
        x.mean(axis=(1, 2)).var() / 5
        + x.mean(axis=2).var(axis=1).mean() / 15
        + x.var(axis=2).mean() / 120
    )
    mouse, session = (np.indices(x.shape)[i].ravel() for i in (0, 1))
    draws = hierarchical_bootstrap(x.ravel(), [mouse, session], 100_000, rng=0)
    np.testing.assert_allclose(draws.mean(), x.mean(), atol=4 * np.sqrt(expected / 1e5))
    np.testing.assert_allclose(draws.var(), expected, rtol=0.03)


def test_it_draws_as_the_slow_loop_does() -> None:
    values, mouse, session = uneven()
    slow = slowly(values, mouse, session, 4000, np.random.default_rng(0))
    fast = hierarchical_bootstrap(values, [mouse, session], 40_000, rng=0)
    assert stats.ks_2samp(slow, fast).pvalue > 0.01
    np.testing.assert_allclose(fast.std(), slow.std(), rtol=0.05)
    # a loop that takes units as independent is another: the check can fail
    plain = np.random.default_rng(0).choice(values, (4000, values.size)).mean(axis=1)
    assert stats.ks_2samp(slow, plain).pvalue < 1e-6


def test_the_median_is_that_of_the_units_drawn() -> None:
    values, mouse, session = uneven()
    n = values.size
    # cells share their draws: the means of indicators are how often each unit is drawn
    ones = np.column_stack([values, np.eye(n)])
    drawn = hierarchical_bootstrap(ones, [mouse, session], 50, rng=3)
    medians = hierarchical_bootstrap(values, [mouse, session], 50, "median", rng=3)
    smallest = drawn[:, 1:].copy()
    smallest[smallest == 0] = np.inf
    for mean, median, shares, least in zip(
        drawn[:, 0], medians, drawn[:, 1:], smallest.min(axis=1), strict=True
    ):
        for total in np.arange(1, 200):  # the fewest that makes all counts whole numbers
            counts = shares * total
            if least * total > 0.99 and np.allclose(counts, counts.round(), atol=1e-6):
                break
        all_units = np.repeat(values, counts.round().astype(int))
        np.testing.assert_allclose(all_units.mean(), mean)
        # a whole multiple of these counts has the same median
        np.testing.assert_allclose(np.median(np.tile(all_units, 2)), median)


def test_a_code_belongs_to_the_group_above_it_and_order_does_not_matter() -> None:
    values, mouse, session = uneven()
    within = session - np.array([0, 4, 6, 7])[mouse]
    one = hierarchical_bootstrap(values, [mouse, session], 20, rng=0)
    np.testing.assert_array_equal(hierarchical_bootstrap(values, [mouse, within], 20, rng=0), one)
    back = hierarchical_bootstrap(values, [mouse - 7, session * 10 + 3], 20, rng=0)
    np.testing.assert_array_equal(back, one)


def test_values_that_are_missing_are_left_out_cell_by_cell() -> None:
    values, mouse, session = uneven()
    gone = (session == 2) | (np.arange(values.size) % 5 == 0)
    cells = np.stack([values, np.where(gone, np.nan, values), np.full(values.size, np.nan)], axis=1)
    found = hierarchical_bootstrap(cells[:, :, None], [mouse, session], 30, rng=5)
    assert found.shape == (30, 3, 1)
    alone = hierarchical_bootstrap(values[~gone], [mouse[~gone], session[~gone]], 30, rng=5)
    np.testing.assert_allclose(found[:, 1, 0], alone)
    np.testing.assert_allclose(
        found[:, 0, 0], hierarchical_bootstrap(values, [mouse, session], 30, rng=5)
    )
    assert np.isnan(found[:, 2]).all()


def test_degenerate_designs() -> None:
    zero = np.zeros(4, dtype=int)
    same = hierarchical_bootstrap(np.full(4, 0.1), [zero, np.arange(4)], 50, rng=0)
    np.testing.assert_allclose(same, 0.1)
    one = hierarchical_bootstrap(np.array([3.0]), [np.array([0])], 5, "median", rng=0)
    np.testing.assert_array_equal(one, 3.0)
    assert hierarchical_bootstrap(np.empty((0, 2)), [np.empty(0, int)], 5).shape == (5, 2)
    for bad, message in (
        ({"statistic": "mode"}, "mean or median"),
        ({"codes": []}, "none"),
        ({"codes": [np.arange(3)]}, "found"),
        ({"values": np.array([1, np.inf, 1, 1])}, "infinity"),
    ):
        call = {"values": np.ones(4), "codes": [zero], "n_draws": 3} | bad
        with pytest.raises(ValueError, match=message):
            hierarchical_bootstrap(**call)


def test_expanded_levels_give_students_interval_of_normal_draws() -> None:
    """Draws of n means have the variance (n - 1) / n of what Student's interval takes."""
    for n in (3, 8, 30):
        low, high = expanded_levels(n, 0.9)
        half = stats.norm.ppf(high) * np.sqrt((n - 1) / n)
        np.testing.assert_allclose(half, stats.t.ppf(0.95, n - 1))
        np.testing.assert_allclose(low, 1 - high)
    assert np.isnan(expanded_levels(1, 0.95)).all()


@pytest.mark.parametrize(
    ("n_mice", "n_cohorts"), [(6, 150), pytest.param(4, 1000, marks=pytest.mark.slow)]
)
def test_the_interval_holds_the_truth_where_the_plain_percentile_does_not(
    n_mice: int, n_cohorts: int
) -> None:
    rng = np.random.default_rng(1)
    held = np.zeros(2)
    for _ in range(n_cohorts):
        k = rng.integers(1, 5, n_mice)
        session = np.repeat(np.arange(k.sum()), 40)
        mouse = np.repeat(np.arange(n_mice), k)[session]
        values = rng.normal(0, 0.3**0.5, n_mice)[mouse] + rng.normal(0, 0.1**0.5, k.sum())[session]
        values += rng.normal(0, 0.6**0.5, mouse.size)
        draws = hierarchical_bootstrap(values, [mouse, session], 2000, rng=rng)
        for i, ends in enumerate([expanded_levels(n_mice, 0.95), (0.025, 0.975)]):
            low, high = np.quantile(draws, ends)
            held[i] += low <= 0 <= high
    assert held[0] / n_cohorts >= 0.92
    assert held[1] < held[0]


def test_it_gives_what_hierarch_gives() -> None:
    """Of 5 mice, 3 sessions each, 10 units each: hierarch 2.0.0, 20,000 draws of weights."""
    rng = np.random.default_rng(11)
    mouse, session = np.repeat(np.arange(5), 30), np.repeat(np.arange(15), 10)
    values = rng.normal(size=5)[mouse] + 0.5 * rng.normal(size=15)[session] + rng.normal(size=150)
    draws = hierarchical_bootstrap(values, [mouse, session], 20_000, rng=3)
    assert draws.mean() == pytest.approx(0.4535, abs=0.012)  # three standard errors of both
    assert draws.std() == pytest.approx(0.4143, abs=0.009)
    theirs = [-0.3037, 0.1553, 0.7301, 1.3011]
    np.testing.assert_allclose(np.quantile(draws, [0.025, 0.25, 0.75, 0.975]), theirs, atol=0.035)
