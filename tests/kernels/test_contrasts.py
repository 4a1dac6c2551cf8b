"""Contrasts over mice: brute force, other libraries, published numbers, degenerate designs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from lsdx.kernels.arrangements import conditions_within, orders_within, signs
from lsdx.kernels.contrasts import (
    Contrast,
    family_p,
    leave_one_out,
    paired,
    permutation_p,
    pooled,
    slope,
    stratified,
)
from lsdx.kernels.effects import effect_size, hedges_g, two_one_sided
from lsdx.kernels.permutation import benjamini_hochberg

MOUSE = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3])
YEAR = np.array([0, 0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0])
STRATUM = 2 * MOUSE + YEAR
FIRST = np.array([1, 0, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1], dtype=bool)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def by_hand(
    x: np.ndarray, stratum: np.ndarray, mouse: np.ndarray, first: np.ndarray, ever: np.ndarray
) -> tuple[float, dict[int, float]]:
    """The estimate of one cell as it is defined, in loops; ``ever``: the true conditions."""
    per_mouse = {}
    for m in sorted(set(mouse.tolist())):
        d = []
        for s in sorted(set(stratum[mouse == m].tolist())):
            here = (stratum == s) & np.isfinite(x)
            a, b = x[here & first], x[here & ~first]
            if len(set(ever[stratum == s].tolist())) == 2 and a.size and b.size:
                d.append(a.mean() - b.mean())
        if d:
            per_mouse[m] = float(np.mean(d))
    return (float(np.mean(list(per_mouse.values()))) if per_mouse else np.nan), per_mouse


def ways_of(first: np.ndarray, stratum: np.ndarray) -> list[np.ndarray]:
    found = []
    for way in itertools.product((False, True), repeat=first.size):
        w = np.array(way)
        if all(w[stratum == s].sum() == first[stratum == s].sum() for s in set(stratum.tolist())):
            found.append(w)
    return found


@pytest.mark.parametrize("share_nan", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(4))
def test_stratified_equals_the_definition_in_every_arrangement(seed: int, share_nan: float) -> None:
    x = rng(seed).normal(size=(13, 5))
    x[rng(seed + 100).random(x.shape) < share_nan] = np.nan
    found = conditions_within(FIRST, STRATUM, 9999, rng())
    assert found.count == 6 * 2 * 2 * 2  # 4 over 2, 2 over 1, 2 over 1; mouse 2 has one condition
    c = stratified(x, STRATUM, MOUSE, found.values, level=0.9)
    p = permutation_p(c.null)
    for cell in range(5):
        y = x[:, cell]
        estimate, own = by_hand(y, STRATUM, MOUSE, FIRST, FIRST)
        np.testing.assert_allclose(c.estimate[cell], estimate)
        expected = [own.get(m, np.nan) for m in range(4)]
        np.testing.assert_allclose(c.per_mouse[:, cell], expected)
        # of the arrangements of what is known, by themselves
        there = np.isfinite(y)
        for k in set(STRATUM.tolist()):
            here = there & (k == STRATUM)
            if len(set(FIRST[here].tolist())) < 2:  # it tells nothing, whatever is arranged
                there &= ~here
        ways = ways_of(FIRST[there], STRATUM[there])
        null = np.array(
            [by_hand(y[there], STRATUM[there], MOUSE[there], w, FIRST[there])[0] for w in ways]
        )
        ours = c.null[np.isfinite(c.null[:, cell]), cell]
        times, rest = divmod(ours.size, len(null))
        if np.isfinite(estimate):
            assert rest == 0
            expected_null = np.sort(np.repeat(null, times))
            np.testing.assert_allclose(np.sort(ours), expected_null, atol=1e-12)
        if np.isfinite(estimate) and ours.size > 1:
            reached = np.abs(null) >= abs(estimate) - 1e-9
            assert p[cell] == pytest.approx(reached.mean())
            assert p[cell] >= found.p_least
        else:
            assert np.isnan(p[cell])
        d = np.array(list(own.values()))
        if d.size > 1:
            interval = stats.ttest_1samp(d, 0).confidence_interval(0.9)
            np.testing.assert_allclose([c.low[cell], c.high[cell]], interval)


def test_one_stratum_is_scipys_permutation_test() -> None:
    x, first = rng().normal(size=9), np.arange(9) < 4
    zero = np.zeros(9, dtype=int)
    ways = conditions_within(first, zero, 9999, rng())
    theirs = stats.permutation_test(
        (x[first], x[~first]),
        lambda a, b, axis: np.abs(a.mean(axis) - b.mean(axis)),
        vectorized=True,
        n_resamples=np.inf,
        alternative="greater",
    )
    for c in (
        stratified(x[:, None], zero, zero, ways.values),
        pooled(x[:, None], np.arange(9), ways.values),
    ):
        assert permutation_p(c.null)[0] == pytest.approx(theirs.pvalue)


def test_paired_is_scipys_permutation_test_and_t_test() -> None:
    before, after = rng().normal(size=(2, 8))
    ways = signs(8, 9999, rng())
    c = paired((after - before)[:, None], ways.values)
    theirs = stats.permutation_test(
        (after - before,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert permutation_p(c.null)[0] == pytest.approx(theirs.pvalue)
    t = stats.ttest_rel(after, before).confidence_interval()
    np.testing.assert_allclose([c.low[0], c.high[0]], t)


def test_paired_leaves_missing_mice_out() -> None:
    x = np.array([1.0, np.nan, 2.0, 4.0])
    c = paired(x[:, None], signs(4, 99, rng()).values)
    known = paired(x[np.isfinite(x)][:, None], signs(3, 99, rng()).values)
    assert permutation_p(c.null)[0] == permutation_p(known.null)[0] == 2 / 8
    assert c.estimate[0] == known.estimate[0] == 7 / 3


def test_pooled_is_welchs_interval() -> None:
    x = np.r_[rng().normal(size=5), np.nan, rng(1).normal(2, 3, size=7)]
    first = np.arange(13) < 6
    c = pooled(x[:, None], np.arange(13), first[None], level=0.9)
    t = stats.ttest_ind(x[:5], x[6:], equal_var=False)
    np.testing.assert_allclose([c.low[0], c.high[0]], t.confidence_interval(0.9))
    np.testing.assert_allclose(c.estimate[0], x[:5].mean() - x[6:].mean())
    assert np.isnan(c.per_mouse).all()


def test_pooled_tells_the_difference_of_mice_with_both_conditions() -> None:
    first = np.array([True, True, False, False])
    c = pooled(np.array([[5.0], [1.0], [2.0], [9.0]]), np.array([0, 1, 0, 2]), first[None])
    np.testing.assert_array_equal(c.per_mouse.ravel(), [3, np.nan, np.nan])


@pytest.mark.parametrize("share_nan", [0.0, 0.25])
def test_slope_is_least_squares_with_a_constant_a_mouse(share_nan: float) -> None:
    mouse, dose = np.repeat([0, 1, 2], [3, 4, 2]), rng(7).random(9)
    x = rng(8).normal(size=(9, 4)) + 5 * dose[:, None]
    x[rng(9).random(x.shape) < share_nan] = np.nan
    ways = orders_within(dose, mouse, 9999, rng())
    assert ways.count == 6 * 24 * 2
    c = slope(x, dose, mouse, ways.values)
    for cell in range(4):
        y = x[:, cell]
        known = np.isfinite(y)
        dummies = (mouse[:, None] == np.unique(mouse[known])).astype(float)
        for row in (0, 1, 17, 200):
            z = dose[ways.values[row]]
            fit = np.linalg.lstsq(np.c_[z, dummies][known], y[known], rcond=None)[0]
            if np.isfinite(c.null[row, cell]):
                assert c.null[row, cell] == pytest.approx(fit[0])

        def doses_of(row: int, m: int, known: np.ndarray = known) -> list[float]:
            return sorted(dose[ways.values[row]][known & (mouse == m)].tolist())

        told = [m for m in range(3) if (known & (mouse == m)).sum() > 1]
        kept = [
            all(doses_of(row, m) == doses_of(0, m) for m in told) for row in range(len(ways.values))
        ]
        np.testing.assert_array_equal(np.isfinite(c.null[:, cell]), kept)
        for m in range(3):
            here = known & (mouse == m)
            own = np.polyfit(dose[here], y[here], 1)[0] if here.sum() > 1 else np.nan
            np.testing.assert_allclose(c.per_mouse[m, cell], own)


def test_the_interval_of_a_slope_holds_the_slope_and_is_students_for_equal_weights() -> None:
    mouse, dose = np.repeat(np.arange(5), 3), np.tile([0.0, 1, 3], 5)
    x = rng().normal(size=(15, 1))
    c = slope(x, dose, mouse, np.arange(15)[None])
    own = c.per_mouse[:, 0]
    np.testing.assert_allclose(c.estimate[0], own.mean())
    t = stats.ttest_1samp(own, 0).confidence_interval()
    np.testing.assert_allclose([c.low[0], c.high[0]], t)
    dose = dose * (1 + mouse) ** 2  # one mouse has most of the spread
    c = slope(x, dose, mouse, np.arange(15)[None])
    assert c.low[0] < c.estimate[0] < c.high[0]
    assert c.weight is not None
    without = []
    for m in range(5):
        kept = mouse != m
        own_codes = np.unique(mouse[kept], return_inverse=True)[1]
        without.append(slope(x[kept], dose[kept], own_codes, np.arange(12)[None]).estimate[0])
    ends = leave_one_out(c.per_mouse, c.weight)
    np.testing.assert_allclose([e[0] for e in ends], [min(without), max(without)])
    se = np.sqrt(4 / 5 * np.sum((np.array(without) - c.estimate[0]) ** 2))
    half = stats.t.ppf(0.975, 4) * se
    np.testing.assert_allclose([c.low[0], c.high[0]], [c.estimate[0] - half, c.estimate[0] + half])


def test_slope_follows_the_unit_of_the_covariate() -> None:
    mouse, dose = np.repeat([0, 1, 2], 3), rng(3).random(9)
    x, orders = rng().normal(size=(9, 2)), np.arange(9)[None]
    c = slope(x, dose, mouse, orders)
    for scale, shift in ((1e-9, 0), (1e9, 0), (1, 1e4)):
        moved = slope(x, dose * scale + shift, mouse, orders)
        np.testing.assert_allclose(moved.estimate * scale, c.estimate, rtol=1e-6)
        np.testing.assert_allclose(moved.low * scale, c.low, rtol=1e-6)


def test_slope_of_one_dose_is_nan_whatever_its_size() -> None:
    for dose in (0.1, 1e9, 1e-9):
        x, mouse = rng().normal(size=(6, 2)), np.repeat([0, 1], 3)
        c = slope(x, np.full(6, dose), mouse, np.arange(6)[None])
        assert np.isnan(c.estimate).all()
        assert np.isnan(c.per_mouse).all()
        assert np.isnan(c.low).all()


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([1e-6, 0.1, 1, 1e6]),
    st.sampled_from([0, 0.1, 1e4]),
)
def test_order_shift_and_scale_change_nothing_but_the_unit(
    seed: int, scale: float, shift: float
) -> None:
    x = rng(seed).normal(size=(13, 3)).round(1)  # ties among arrangements
    x[rng(seed).random(x.shape) < 0.1] = np.nan
    ways = conditions_within(FIRST, STRATUM, 9999, rng()).values
    order = rng(seed).permutation(13)
    a = stratified(x, STRATUM, MOUSE, ways)
    b = stratified((x[order] + shift) * scale, STRATUM[order], MOUSE[order], ways[:, order])
    np.testing.assert_allclose(b.estimate, a.estimate * scale, rtol=1e-6, atol=1e-9 * scale)
    np.testing.assert_array_equal(permutation_p(a.null), permutation_p(b.null))
    np.testing.assert_allclose(family_p(a.null), family_p(b.null))


def test_what_lies_in_strata_of_one_condition_changes_nothing() -> None:
    """Fourteen sessions of a new year and of new mice, all of one condition."""
    x = rng().normal(size=(13, 4))
    ways = conditions_within(FIRST, STRATUM, 9999, rng())
    more = np.r_[x, 1e3 + rng(1).normal(size=(14, 4))]
    mouse = np.r_[MOUSE, 4 + np.arange(14) % 5]
    stratum = np.r_[STRATUM, 20 + np.arange(14) % 5]
    first = np.r_[FIRST, np.zeros(14, dtype=bool)]
    wider = conditions_within(first, stratum, 9999, rng())
    assert wider.count == ways.count
    a = stratified(x, STRATUM, MOUSE, ways.values)
    b = stratified(more, stratum, mouse, wider.values)
    np.testing.assert_array_equal(a.null, b.null)
    np.testing.assert_array_equal(a.low, b.low)
    assert np.isnan(b.per_mouse[4:]).all()


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1e9 + 0.1, -7e-12])
def test_constant_values_differ_by_nothing(value: float) -> None:
    x = np.full((13, 2), value)
    x[3, 1] = np.nan
    ways = conditions_within(FIRST, STRATUM, 9999, rng()).values
    null = stratified(x, STRATUM, MOUSE, ways).null
    assert set(null[np.isfinite(null)]) == {0}
    assert (permutation_p(null) == 1).all()
    assert (family_p(null) == 1).all()
    null = pooled(x, MOUSE, ways).null
    assert set(null[np.isfinite(null)]) == {0}
    assert np.isnan(hedges_g(x, FIRST)).all()
    dose = rng().random(13)
    orders = orders_within(dose, MOUSE, 99, rng()).values
    assert (permutation_p(slope(x, dose, MOUSE, orders).null) == 1).all()


def test_constant_differences_have_no_effect_size_and_no_equivalence() -> None:
    d = np.full((7, 1), 0.1)
    assert np.isnan(effect_size(d)).all()
    assert np.isnan(two_one_sided(d, 1.0)).all()


def test_ties_count_as_reached() -> None:
    x = np.array([3.0, 1, 1, 3, 0.1 + 0.2, 0.3])[:, None]
    mouse = np.repeat([0, 1, 2], 2)
    first = np.array([1, 0, 1, 0, 1, 0], dtype=bool)
    ways = conditions_within(first, mouse, 99, rng()).values
    # d = 2, -2, 0 (but for rounding): |sum| is 4 in four of the eight ways, 0 in four
    assert permutation_p(stratified(x, mouse, mouse, ways).null)[0] == 1
    x[2:4] = x[2:4][::-1].copy()
    assert permutation_p(stratified(x, mouse, mouse, ways).null)[0] == 0.5


def test_a_stratum_that_nan_empties_in_some_arrangements() -> None:
    """Three sessions, one known of the second condition: a way without a value is none."""
    x = np.array([[5.0], [1.0], [np.nan]])
    zero = np.zeros(3, dtype=int)
    ways = conditions_within(np.array([True, False, False]), zero, 99, rng()).values
    c = stratified(x, zero, zero, ways)
    np.testing.assert_array_equal(np.sort(c.null.ravel()), [-4, 4, np.nan])
    assert permutation_p(c.null)[0] == 1


@pytest.mark.parametrize("name", ["all nan", "one mouse", "one condition", "one session a mouse"])
def test_degenerate_designs(name: str) -> None:
    mouse = {"one mouse": np.zeros(6, int), "one session a mouse": np.arange(6)}.get(
        name, np.repeat([0, 1], 3)
    )
    first = np.ones(6, bool) if name == "one condition" else np.arange(6) % 3 == 0
    x = np.full((6, 2), np.nan) if name == "all nan" else rng().normal(size=(6, 2))
    ways = conditions_within(first, mouse, 99, rng())
    c = stratified(x, mouse, mouse, ways.values)
    p = permutation_p(c.null)
    assert np.isnan(c.low).all()
    assert np.isnan(effect_size(c.per_mouse)).all()
    assert np.isnan(leave_one_out(c.per_mouse)).all()
    if name == "one mouse":
        assert np.isfinite(c.estimate).all()
        assert (p >= ways.p_least).all()
        assert ways.count == 15
    else:
        assert np.isnan(c.estimate).all()
        assert np.isnan(p).all()
        assert np.isnan(family_p(c.null)).all()


def test_pooled_of_one_mouse_a_side_has_no_interval() -> None:
    c = pooled(np.array([[1.0], [2.0]]), np.arange(2), np.array([[True, False], [False, True]]))
    assert (c.estimate[0], permutation_p(c.null)[0]) == (-1, 1)
    assert np.isnan([c.low[0], c.high[0]]).all()
    only = pooled(np.ones((3, 1)), np.arange(3), np.ones((1, 3), dtype=bool))
    assert np.isnan([only.estimate[0], only.low[0]]).all()


def test_no_p_is_below_the_least_of_its_design() -> None:
    ways = conditions_within(FIRST, STRATUM, 9999, rng())
    x = rng().normal(size=(13, 500)) + 50 * FIRST[:, None]
    p = permutation_p(stratified(x, STRATUM, MOUSE, ways.values).null)
    assert p.min() >= ways.p_least
    drawn = conditions_within(FIRST, STRATUM, 19, rng())
    p = permutation_p(stratified(x, STRATUM, MOUSE, drawn.values).null)
    assert p.min() >= drawn.p_least == 0.05


def test_values_missing_by_condition_keep_the_level() -> None:
    """Sessions of the first condition often have none: their numbers stay as they are."""
    mouse, first = np.repeat([0, 1], 6), np.tile(np.arange(6) < 3, 2)
    x = rng().normal(size=(12, 4000))
    x[(rng(1).random(x.shape) < 0.5) & first[:, None]] = np.nan
    ways = conditions_within(first, mouse, 9999, rng()).values
    p = permutation_p(stratified(x, mouse, mouse, ways).null)
    assert 0.01 < np.nanmean(p <= 0.05) <= 0.06
    p = permutation_p(pooled(x, np.arange(12), ways).null)
    assert 0.01 < np.nanmean(p <= 0.05) <= 0.06


# families


def test_family_p_is_the_largest_statistic_by_hand() -> None:
    null = rng().normal(size=(40, 6)) * np.array([1, 10, 0.1, 1, 1, 1e6])
    null[0] *= 2
    scaled = np.abs(null) / np.sqrt((null**2).mean(axis=0))
    expected = [(scaled.max(axis=1) >= s).mean() for s in scaled[0]]
    np.testing.assert_allclose(family_p(null), expected)
    assert (family_p(null) >= permutation_p(null)).all()
    # exactly: 1 - 38 / 40 is above .05
    np.testing.assert_array_equal(family_p(null[:, :1]), permutation_p(null[:, :1]))
    np.testing.assert_allclose(
        family_p(np.repeat(null[:, :1], 5, axis=1)), permutation_p(null[:, [0] * 5])
    )


def test_family_p_holds_with_cells_without_values() -> None:
    null = rng().normal(size=(40, 3))
    null[0] *= 3
    empty = np.c_[null, np.full(40, np.nan)]
    np.testing.assert_allclose(family_p(empty)[:3], family_p(null))
    assert np.isnan(family_p(empty)[3])
    # a cell without an observed value counts in the arrangements that give it one
    half = np.c_[null, np.r_[np.nan, np.full(39, 1.0)]]
    scaled = np.abs(half) / np.sqrt(np.nanmean(half**2, axis=0))
    expected = [(np.nanmax(scaled, axis=1) >= s).mean() for s in scaled[0, :3]]
    np.testing.assert_allclose(family_p(half)[:3], expected)


def test_benjamini_and_hochberg_reject_4_of_15() -> None:
    """Their example of 1995: the thrombolysis trial, 15 comparisons, 3 by Bonferroni."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344]
    p += [0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    q = benjamini_hochberg(np.array(p))
    assert (q <= 0.05).sum() == 4
    assert q[3] == pytest.approx(0.0095 * 15 / 4)


# effect sizes


def noncentral_cdf(t: float, df: float, nc: float) -> float:
    """P(T <= t) by integrating over the chi, no function of the noncentral t."""

    def part(s: float) -> float:
        return float(stats.norm.cdf(t * s - nc) * stats.chi.pdf(s * np.sqrt(df), df) * np.sqrt(df))

    return float(
        integrate.quad(part, 0, 1, limit=200)[0] + integrate.quad(part, 1, 20, limit=400)[0]
    )


@pytest.mark.parametrize("shift", [-6, -1, 0, 0.3, 2, 10])
@pytest.mark.parametrize("n", [3, 4, 15])
def test_effect_size_and_its_noncentral_interval(n: int, shift: float) -> None:
    d = rng(n).normal(size=n)
    d = (d - d.mean()) / d.std(ddof=1) + shift
    effect, low, high = (float(v[0]) for v in effect_size(d[:, None], level=0.9))
    correction = 1 - 3 / (4 * (n - 1) - 1)
    assert effect == pytest.approx(shift * correction, abs=1e-12)
    t = shift * np.sqrt(n)
    for end, tail in ((low, 0.95), (high, 0.05)):
        nc = end / correction * np.sqrt(n)
        assert noncentral_cdf(t, n - 1, nc) == pytest.approx(tail, abs=1e-5)
        assert stats.nct.cdf(t, n - 1, nc) == pytest.approx(tail, abs=1e-5)


def test_two_mice_have_no_effect_size() -> None:
    assert np.isnan(effect_size(np.array([[1.0], [2.0]]))).all()


def test_hedges_g_and_its_noncentral_interval() -> None:
    a, b = rng().normal(1, 1, 6), rng(1).normal(0, 2, 9)
    x, first = np.r_[a, np.nan, b][:, None], np.arange(16) < 7
    effect, low, high = (float(v[0]) for v in hedges_g(x, first))
    t = stats.ttest_ind(a, b).statistic
    scale, correction = np.sqrt(6 * 9 / 15), 1 - 3 / (4 * 13 - 1)
    assert effect == pytest.approx(t / scale * correction)
    for end, tail in ((low, 0.975), (high, 0.025)):
        assert noncentral_cdf(t, 13, end / correction * scale) == pytest.approx(tail, abs=1e-6)
    mirrored = [float(v[0]) for v in hedges_g(x, ~first)]
    np.testing.assert_allclose(mirrored, [-effect, -high, -low])


@pytest.mark.parametrize("margin", [0.2, 1.0, 5.0])
def test_two_one_sided_tests_by_hand(margin: float) -> None:
    d = np.r_[rng().normal(0.1, 0.5, 9), np.nan]
    known = d[:-1]
    above = stats.ttest_1samp(known, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(known, margin, alternative="less").pvalue
    p = two_one_sided(d[:, None], margin)[0]
    assert p == pytest.approx(max(above, below))
    # equivalent at 5 % where the 90 % interval lies within the margin
    low, high = stats.ttest_1samp(known, 0).confidence_interval(0.9)
    assert (p < 0.05) == (-margin < low and high < margin)
    assert np.isnan(two_one_sided(d[:1, None], margin)[0])


def test_leave_one_out_by_hand() -> None:
    x = np.r_[rng().normal(size=5), np.nan]
    means = [np.nanmean(np.delete(x, k)) for k in range(5)]
    low, high = leave_one_out(x[:, None])
    np.testing.assert_allclose([low[0], high[0]], [min(means), max(means)])
    assert np.isnan(leave_one_out(x[4:, None])).all()


def test_many_cells_are_as_one() -> None:
    x = rng().normal(size=(13, 7))
    x[rng(1).random(x.shape) < 0.1] = np.nan
    ways = conditions_within(FIRST, STRATUM, 9999, rng()).values
    dose = rng(2).random(13)
    orders = orders_within(dose, MOUSE, 50, rng()).values
    flips = signs(13, 50, rng()).values

    def each(y: np.ndarray) -> list[Contrast]:
        return [
            stratified(y, STRATUM, MOUSE, ways),
            pooled(y, MOUSE, ways),
            paired(y, flips),
            slope(y, dose, MOUSE, orders),
        ]

    for cell in range(7):
        for many, one in zip(each(x), each(x[:, [cell]]), strict=True):
            np.testing.assert_allclose(many.null[:, [cell]], one.null, atol=1e-12)
            np.testing.assert_allclose(many.high[[cell]], one.high)
