"""How often tests and intervals over mice err, simulated on the layout of the recordings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from lsdx.analysis.mixed import mixed_model
from lsdx.analysis.power import power as design_power
from lsdx.kernels.arrangements import conditions_within, orders_within, signs
from lsdx.kernels.contrasts import (
    Contrast,
    family_p,
    paired,
    permutation_p,
    pooled,
    slope,
    stratified,
)
from lsdx.kernels.effects import two_one_sided
from lsdx.kernels.hierarchy import hierarchical_bootstrap

# mouse, year, sessions of LSD and of saline; three mice had both, of whose sessions 120 ways are
SHARED = [(0, 2025, 2, 3), (1, 2025, 1, 3), (2, 2025, 1, 2)]
OTHERS = [(3, 2025, 0, 1), (4, 2025, 3, 0), (5, 2025, 3, 0)]
EARLIER = [(6 + k, 2022 if k < 5 else 2023, 2 if k % 2 else 3, 0) for k in range(10)]
EARLIER[0] = (6, 2022, 2, 0)
NEWEST = [(16 + k, 2026, 0, 3 if k else 2) for k in range(5)]


@dataclass(frozen=True)
class Layout:
    mouse: np.ndarray
    year: np.ndarray
    first: np.ndarray  # LSD

    @property
    def stratum(self) -> np.ndarray:
        return np.unique(np.c_[self.mouse, self.year], axis=0, return_inverse=True)[1].ravel()

    def draws(
        self,
        n: int,
        icc: float,
        shift: float,
        effect: float = 0.0,
        seed: int = 0,
        newest: float = 0.0,
    ) -> np.ndarray:
        """Draw n data sets of sd 1: mice, sessions, a shift of 2025 and of 2026, an effect."""
        rng = np.random.default_rng(seed)
        mice = rng.normal(0, np.sqrt(icc), (21, n))[self.mouse]
        x = mice + rng.normal(0, np.sqrt(1 - icc), mice.shape)
        of_year = shift * (self.year == 2025) + newest * (self.year == 2026)
        return x + (of_year + effect * self.first)[:, None]


def layout(newest: bool = False) -> Layout:
    rows = SHARED + OTHERS + EARLIER + (NEWEST if newest else [])
    parts = [(m, y, c) for m, y, lsd, sal in rows for c in [True] * lsd + [False] * sal]
    mouse, year, first = (np.array(v) for v in zip(*parts, strict=True))
    return Layout(mouse, year, first)


def by_strata(own: Layout, x: np.ndarray) -> tuple[Contrast, np.ndarray]:
    ways = conditions_within(own.first, own.stratum, 9999, np.random.default_rng(0))
    found = stratified(x, own.stratum, own.mouse, ways.values)
    return found, permutation_p(found.null)


def by_sessions(own: Layout, x: np.ndarray) -> np.ndarray:
    """Permute conditions among all sessions, whoever they are of."""
    zero = np.zeros(own.mouse.size, dtype=int)
    ways = conditions_within(own.first, zero, 999, np.random.default_rng(0))
    return permutation_p(stratified(x, zero, zero, ways.values).null)


def by_pooled_mice(own: Layout, x: np.ndarray) -> tuple[Contrast, np.ndarray]:
    key, code = np.unique(np.c_[own.mouse, own.first], axis=0, return_inverse=True)
    member = np.arange(len(key))[:, None] == code.ravel()
    means = member.astype(float) @ x / member.sum(axis=1, keepdims=True)
    of_first = key[:, 1].astype(bool)
    ways = conditions_within(of_first, np.zeros(len(key), int), 999, np.random.default_rng(0))
    found = pooled(means, key[:, 0], ways.values)
    return found, permutation_p(found.null)


def welch(own: Layout, x: np.ndarray) -> np.ndarray:
    return np.asarray(stats.ttest_ind(x[own.first], x[~own.first], equal_var=False).pvalue)


def share(p: np.ndarray) -> float:
    return float((p <= 0.05).mean())


def test_the_layout_is_the_one_of_the_recordings() -> None:
    for newest, n_saline, n_mice in ((False, 9, 4), (True, 23, 9)):
        own = layout(newest)
        lsd, saline = own.mouse[own.first], own.mouse[~own.first]
        assert (lsd.size, len(set(lsd))) == (34, 15)
        assert (saline.size, len(set(saline))) == (n_saline, n_mice)
        assert len(set(lsd) & set(saline)) == 3
        assert set(own.year[own.first]) == {2022, 2023, 2025}
        ways = conditions_within(own.first, own.stratum, 9999, np.random.default_rng(0))
        assert (ways.count, ways.exact, ways.p_least) == (120, True, 1 / 120)


@pytest.mark.parametrize("shift", [0.0, 1.0])
@pytest.mark.parametrize("icc", [0.1, 0.3])
def test_level_of_the_stratified_comparison(icc: float, shift: float) -> None:
    """Of 120 arrangements 6 are .05: the level is .05, whatever differs between years and mice.

    Of 2,000 draws 4 to 6 % are two standard errors about it.
    """
    own = layout()
    x = own.draws(2000, icc, shift)
    found, p = by_strata(own, x)
    assert 0.04 <= share(p) <= 0.06
    assert p.min() >= 1 / 120
    np.testing.assert_array_equal(p, by_strata(own, own.draws(2000, icc, 0.0))[1])
    covered = (found.low <= 0) & (found.high >= 0)
    assert 0.93 <= covered.mean() <= 0.98


def test_others_err_once_the_years_differ() -> None:
    own = layout()
    x = own.draws(400, 0.3, 1.0)
    assert share(welch(own, x)) > 0.25
    assert share(by_sessions(own, x)) > 0.25
    assert share(by_pooled_mice(own, x)[1]) > 0.1


def test_a_year_of_one_condition_adds_nothing() -> None:
    old, new = layout(), layout(newest=True)
    x = new.draws(200, 0.3, 1.0, newest=2.0)
    a, p_a = by_strata(new, x)
    b, p_b = by_strata(old, x[: old.mouse.size])
    np.testing.assert_array_equal(p_a, p_b)
    np.testing.assert_array_equal(a.low, b.low)


def correlated_regions(n: int, icc: float, shift: float, seed: int = 0) -> np.ndarray:
    """Draw 12 regions, correlated by .5, of n data sets: (n_sessions, n, 12)."""
    own = layout()
    x = np.sqrt(0.5) * own.draws(12 * n, icc, shift, seed=seed)
    both = np.sqrt(0.5) * own.draws(n, icc, shift, seed=seed + 1)
    return x.reshape(len(x), n, 12) + both[:, :, None]


def family_wise(n: int, icc: float, seed: int = 0) -> tuple[float, float]:
    own = layout()
    x = correlated_regions(n, icc, 1.0, seed)
    found, p = by_strata(own, x.reshape(len(x), -1))
    null = found.null.reshape(-1, n, 12)
    corrected = np.array([family_p(null[:, k]) for k in range(n)])
    assert (corrected >= p.reshape(n, 12)).all()
    return share(corrected.min(axis=1)), share(p.reshape(n, 12).min(axis=1))


def test_the_family_of_regions_errs_in_5_percent() -> None:
    corrected, alone = family_wise(2000, 0.3)
    assert 0.04 <= corrected <= 0.06
    assert alone > 0.2


@pytest.mark.parametrize(("missing", "by_condition"), [(0.25, False), (0.3, True)])
def test_the_family_of_regions_that_not_all_sessions_have(
    missing: float, by_condition: bool
) -> None:
    own, n = layout(), 1500
    x = correlated_regions(n, 0.3, 1.0, seed=21)
    gone = np.random.default_rng(22).random(x.shape) < missing
    x[gone & (own.first[:, None, None] | (not by_condition))] = np.nan
    found, p = by_strata(own, x.reshape(len(x), -1))
    null = found.null.reshape(-1, n, 12)
    corrected = np.array([family_p(null[:, k]) for k in range(n)])
    assert share(np.nanmin(corrected, axis=1)) <= 0.065  # .05 and three standard errors
    assert share(p[np.isfinite(p)]) <= 0.05
    assert np.nanmin(p) >= 1 / 120


def test_power_grows_with_the_effect() -> None:
    own = layout()
    power = [share(by_strata(own, own.draws(500, 0.3, 1.0, e))[1]) for e in (0.5, 1, 2)]
    assert power[0] < power[1] < power[2]
    assert power[2] > 0.6


@pytest.mark.parametrize("n_mice", [3, 5, 15])
def test_level_and_interval_of_slopes(n_mice: int) -> None:
    mouse = np.repeat(np.arange(n_mice), 4)
    dose = np.tile([0.0, 1, 2, 3], n_mice)
    x = np.random.default_rng(n_mice).normal(size=(mouse.size, 2000))
    x += 10 * mouse[:, None]
    ways = orders_within(dose, mouse, 299, np.random.default_rng(0))
    found = slope(x, dose, mouse, ways.values)
    assert 0.035 <= share(permutation_p(found.null)) <= 0.065  # three standard errors
    assert 0.935 <= ((found.low <= 0) & (found.high >= 0)).mean() <= 0.965


def test_signs_of_few_mice_keep_the_level() -> None:
    for n in (5, 8, 15):
        ways = signs(n, 9999, np.random.default_rng(0))
        x = np.random.default_rng(n).normal(size=(n, 4000))
        found = share(permutation_p(paired(x, ways.values).null))
        exact = np.floor(0.05 / ways.p_least) * ways.p_least if ways.exact else 0.05
        assert found == pytest.approx(exact, abs=0.014)  # four standard errors


# the table in the docstring of `stratified`: this, pooled, Welch over mouse means, over sessions,
# sessions permuted
TABLE = {
    (False, 0.1, 0.0): (5, 5, 5, 6, 6),
    (False, 0.1, 1.0): (5, 21, 25, 41, 40),
    (False, 0.3, 0.0): (5, 3, 5, 9, 9),
    (False, 0.3, 1.0): (5, 17, 22, 43, 42),
    (True, 0.1, 0.0): (5, 4, 5, 7, 7),
    (True, 0.1, 1.0): (5, 45, 49, 69, 68),
    (True, 0.3, 0.0): (5, 4, 4, 10, 10),
    (True, 0.3, 1.0): (5, 38, 42, 68, 66),
}


@pytest.mark.slow
@pytest.mark.parametrize("row", list(TABLE))
def test_the_table_of_false_positives(row: tuple[bool, float, float]) -> None:
    newest, icc, shift = row
    own = layout(newest)
    x = own.draws(20_000, icc, shift, seed=11, newest=shift if newest else 0.0)
    found, p = by_strata(own, x)
    few = x[:, :4000]
    mice, p_mice = by_pooled_mice(own, few)
    left_out = (mice.low > 0) | (mice.high < 0)
    shares = [share(p), share(p_mice), left_out.mean(), share(welch(own, x))]
    # rounding of the table, and four standard errors of this and of the run it is from
    np.testing.assert_allclose(
        100 * np.array([*shares, share(by_sessions(own, few))]), TABLE[row], atol=0.5 + 4
    )
    assert 0.044 <= share(p) <= 0.056
    assert 0.94 <= ((found.low <= 0) & (found.high >= 0)).mean() <= 0.96


@pytest.mark.slow
@pytest.mark.parametrize(("newest", "stated"), [(False, (33, 12, 3)), (True, (47, 37, 5))])
def test_the_rows_of_bootstrap_and_mixed_models(newest: bool, stated: tuple[int, ...]) -> None:
    """Of the table, those of ICC .3 and a shift of 1: 400 and 200 data sets."""
    own = layout(newest)
    x = own.draws(400, 0.3, 1.0, seed=31, newest=1.0 if newest else 0.0)
    sides = [
        hierarchical_bootstrap(x[rows], [own.mouse[rows]], 499, rng=seed)
        for seed, rows in enumerate((own.first, ~own.first))
    ]
    low, high = np.percentile(sides[0] - sides[1], [2.5, 97.5], axis=0)
    labels = {"subject": own.mouse.astype(str), "year": own.year.astype(str)}
    table = pd.DataFrame(labels | {"condition": np.where(own.first, "lsd", "saline")})
    p = np.array(
        [
            [
                mixed_model(table.assign(value=column), f"value ~ condition{year}").p[1].item()
                for year in ("", " + year")
            ]
            for column in x.T[:200]
        ]
    )
    shares = 100 * np.array([((low > 0) | (high < 0)).mean(), *(p <= 0.05).mean(axis=0)])
    np.testing.assert_allclose(shares, stated, atol=10)  # three standard errors


@pytest.mark.parametrize(("icc", "power"), [(0.1, (12, 31, 82)), (0.3, (14, 39, 90))])
def test_the_power_by_simulation_of_a_design_is_the_one_stated(
    icc: float, power: tuple[int, ...]
) -> None:
    own = layout()
    labels = {
        "subject": own.mouse.astype(str).astype(object),
        "condition": np.where(own.first, "lsd", "saline").astype(object),
        "cohort_year": own.year,
    }
    coords = {n: ("session", v) for n, v in labels.items()}
    ids = [f"s{i:02d}" for i in range(own.mouse.size)]
    x = xr.DataArray(own.draws(1, icc, 0.0)[:, 0], {"session": ids, **coords}, ["session"])
    how: dict[str, Any] = {"between": None, "icc": icc, "n_draws": 1000, "rng": 3}
    found = design_power(x, effects=(0.0, 0.5, 1.0, 2.0), **how).power.values
    np.testing.assert_allclose(100 * found, (5, *power), atol=4.5)  # three standard errors


@pytest.mark.parametrize("n_mice", [3, 8])
def test_of_differences_as_large_as_the_margin_one_in_twenty_is_called_equivalent(
    n_mice: int,
) -> None:
    d = np.random.default_rng(n_mice).normal(1.0, 1.0, (n_mice, 4000))
    level = share(two_one_sided(d, 1.0))
    assert 0.03 <= level <= 0.06
    stated = {3: 0.13, 8: 0.63}[n_mice]
    assert share(two_one_sided(d - 1.0, 1.0)) == pytest.approx(stated, abs=0.025)


@pytest.mark.slow
@pytest.mark.parametrize(("icc", "power"), [(0.1, (12, 31, 82)), (0.3, (14, 39, 90))])
def test_the_power_that_is_stated(icc: float, power: tuple[int, ...]) -> None:
    own = layout()
    for effect, stated in zip((0.5, 1.0, 2.0), power, strict=True):
        found, p = by_strata(own, own.draws(20_000, icc, 1.0, effect, seed=12))
        assert 100 * share(p) == pytest.approx(stated, abs=2)
        covered = (found.low <= effect) & (found.high >= effect)
        assert 0.94 <= covered.mean() <= 0.96


@pytest.mark.slow
@pytest.mark.parametrize("icc", [0.1, 0.3])
def test_the_family_wise_rate_of_many_draws(icc: float) -> None:
    corrected, alone = family_wise(10_000, icc, seed=13)
    assert 0.041 <= corrected <= 0.059
    assert alone == pytest.approx(0.34, abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize(("spread", "share_of_p"), [(0.5, 0.07), (1.0, 0.12)])
def test_effects_that_differ_between_mice(spread: float, share_of_p: float) -> None:
    """The interval is about their mean, the test about none in any mouse."""
    own = layout()
    rng = np.random.default_rng(14)
    effect = rng.normal(0, spread, (21, 20_000))[own.mouse] * own.first[:, None]
    found, p = by_strata(own, own.draws(20_000, 0.3, 1.0, seed=15) + effect)
    assert 0.94 <= ((found.low <= 0) & (found.high >= 0)).mean() <= 0.96
    assert share(p) == pytest.approx(share_of_p, abs=0.015)
