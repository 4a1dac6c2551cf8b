"""The block permutation test: enumerated ways, levels, power; false discovery rates."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from lsdx.kernels.modulation import modulation_index
from lsdx.kernels.permutation import (
    assignments,
    benjamini_hochberg,
    block_test,
    false_discovery_rates,
    least_p,
    repeated_ways,
    sequential_test,
    standardized,
)


def test_all_ways_of_five_and_five_are_enumerated() -> None:
    ways, exact = assignments(5, 5)
    assert exact
    assert len({tuple(w) for w in ways}) == 252
    assert (ways.sum(axis=1) == 5).all()
    np.testing.assert_array_equal(ways[0], np.arange(10) >= 5)


def test_many_ways_are_drawn_and_seeded() -> None:
    ways, exact = assignments(10, 10, n_permutations=199, rng=1)
    assert not exact
    assert ways.shape == (200, 20)
    np.testing.assert_array_equal(ways[0], np.arange(20) >= 10)
    np.testing.assert_array_equal(ways, assignments(10, 10, n_permutations=199, rng=1)[0])


def test_the_statistic_is_welchs_and_p_the_share_of_ways() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20, 8)) + 5
    ways, _ = assignments(4, 4)
    found = block_test(values, ways)
    for row, t, p in zip(values, found["statistic"], found["p"], strict=True):
        np.testing.assert_allclose(t, stats.ttest_ind(row[4:], row[:4], equal_var=False).statistic)
        others = []
        for second in itertools.combinations(range(8), 4):
            first = [i for i in range(8) if i not in second]
            both = row[list(second)], row[first]
            others.append(stats.ttest_ind(*both, equal_var=False).statistic)
        assert p == np.mean(np.abs(others) >= abs(t) * (1 - 1e-9))


def test_independent_blocks_are_rejected_at_the_level() -> None:
    """Poisson counts of 60 s at 5 Hz: no drift, no step."""
    values = np.random.default_rng(1).poisson(300.0, (4000, 10)).astype(float)
    for ways, exact in (assignments(5, 5), assignments(5, 5, n_permutations=99, rng=0)):
        p = block_test(values, ways)["p"]
        assert abs(np.mean(p < 0.05) - 0.05) < 0.025
        assert p.min() >= (2 / 252 if exact else 1 / 100)
        assert p.max() <= 1


@pytest.mark.parametrize(("step", "share"), [(2.0, 0.95), (1.3, 0.9)])
def test_steps_of_the_rate_are_found(step: float, share: float) -> None:
    rng = np.random.default_rng(2)
    values = np.hstack([rng.poisson(300, (500, 5)), rng.poisson(300 * step, (500, 5))])
    ways, _ = assignments(5, 5)
    found = block_test(values.astype(float), ways)
    assert np.mean(found["p"] < 0.05) >= share
    assert (found["statistic"][found["p"] < 0.05] > 0).all()


def test_blocks_without_difference_and_blocks_that_are_not_defined() -> None:
    ways, _ = assignments(5, 5)
    values = np.full((4, 10), 7.3)
    values[1, :4] = np.nan  # one block left before
    values[2] = np.r_[np.full(5, 1.0), np.full(5, 2.0)]  # a step, and nothing else
    values[3, 0] = np.nan
    before = values.copy()
    found = block_test(values, ways)
    np.testing.assert_array_equal(found["p"][[0, 3]], 1)
    assert np.isnan([found[n][1] for n in ("statistic", "p", "null_mean", "null_sd")]).all()
    assert found["statistic"][2] == np.inf
    assert found["p"][2] == 2 / 252
    np.testing.assert_array_equal(values, before)


def test_scale_does_not_matter() -> None:
    values = np.random.default_rng(3).normal(size=(50, 10)) + 100
    ways, _ = assignments(5, 5)
    expected = block_test(values, ways)
    for factor in (1e-6, 1e6):
        found = block_test(values * factor, ways)
        np.testing.assert_allclose(found["statistic"], expected["statistic"], rtol=1e-6)
        np.testing.assert_array_equal(found["p"], expected["p"])


def test_benjamini_and_hochbergs_own_example() -> None:
    """The 15 p-values of their section 3: four are rejected at 5 %."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    p += [0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    assert (benjamini_hochberg(np.array(p)) <= 0.05).sum() == 4
    q = benjamini_hochberg(np.array([np.nan, *p]))
    assert np.isnan(q[0])
    np.testing.assert_array_equal(q[1:], benjamini_hochberg(np.array(p)))


def test_modulation_index() -> None:
    a, b = np.array([10.0, 30.0, 4.0, 0.0, np.nan]), np.array([30.0, 10.0, 4.0, 0.0, 1.0])
    np.testing.assert_array_equal(modulation_index(a, b), [0.5, -0.5, 0.0, np.nan, np.nan])


def test_batches_and_settling_do_not_change_what_is_not_settled() -> None:
    rng = np.random.default_rng(5)
    observed = np.array([0.0, 1.0, 2.5, 9.0, np.nan])
    null = rng.standard_normal((5, 300))

    def draw(units: np.ndarray, first: int, stop: int) -> np.ndarray:
        return null[units, first:stop]

    full = sequential_test(observed, draw, 300, batch=7)
    expected = (1 + (np.abs(null) >= np.abs(observed)[:, None]).sum(axis=1)) / 301
    np.testing.assert_allclose(full["p"][:4], expected[:4])
    assert np.isnan(full["p"][4])
    for batch in (1, 16, 300):
        again = sequential_test(observed, draw, 300, settle=10, batch=batch)
        reached = np.abs(null) >= np.abs(observed)[:, None]
        for u in range(2):
            at = 1 + int(np.flatnonzero(reached[u].cumsum() == 10)[0])
            assert again["n_draws"][u] == at
            assert again["p"][u] == 10 / at
        np.testing.assert_allclose(again["p"][3], full["p"][3])


def test_settled_p_holds_its_level() -> None:
    """Besag & Clifford: P(p <= alpha) is at most alpha."""
    rng = np.random.default_rng(6)
    observed, null = rng.standard_normal(4000), rng.standard_normal((4000, 199))
    p = sequential_test(observed, lambda u, a, b: null[u, a:b], 199, settle=10)["p"]
    for alpha in (0.05, 0.2, 0.5):
        assert np.mean(p <= alpha) <= alpha + 0.02


@pytest.mark.parametrize(
    ("n_a", "n_b", "n_permutations", "missing"),
    [
        (4, 4, 999, ()),  # 70 ways
        (5, 5, 999, ()),  # 252
        (3, 5, 999, ()),  # no way is the mirror image of the true one
        (5, 5, 999, (2,)),
        (5, 5, 999, (0, 1, 7)),  # ways that differ in what is missing alone
        (5, 5, 150, ()),  # random ways: some may be the true one again, or its mirror image
        (6, 6, 150, (0, 8)),
    ],
)
def test_the_least_p_is_the_least_of_many_data(
    n_a: int, n_b: int, n_permutations: int, missing: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(7)
    step = rng.exponential(3.0, (4000, 1)) * (np.arange(n_a + n_b) >= n_a)
    values = rng.standard_normal((4000, n_a + n_b)) + step
    values[:, list(missing)] = np.nan
    for seed in range(3):
        ways, _ = assignments(n_a, n_b, n_permutations=n_permutations, rng=seed)
        found = block_test(values, ways)
        certain = repeated_ways(ways, ~np.isnan(values)) | np.isnan(found["null"])
        np.testing.assert_allclose(least_p(certain), found["p"].min())


@pytest.mark.parametrize("settle", [None, 1, 2, 3, 20])
@pytest.mark.parametrize("n_undefined", [0, 2])
def test_the_least_p_of_settled_units(settle: int | None, n_undefined: int) -> None:
    """A statistic recomputed in each way, in random order; some ways give no value."""
    rng = np.random.default_rng(8)
    ways, _ = assignments(4, 4)
    ways[1:] = ways[1:][rng.permutation(69)]
    values = (
        rng.standard_normal((3000, 8)) + 4 * (np.arange(8) > 3) * (np.arange(3000) % 2)[:, None]
    )
    t = np.stack([values[:, w].sum(axis=1) - values[:, ~w].sum(axis=1) for w in ways], axis=1)
    undefined = rng.permutation(69)[:n_undefined]
    t[:, 1 + undefined] = np.nan
    found = sequential_test(t[:, 0], lambda u, a, b: t[u, 1 + a : 1 + b], 69, settle=settle)
    certain = repeated_ways(ways, np.ones((1, 8), dtype=bool))
    certain[:, undefined] = True
    np.testing.assert_allclose(found["p"].min(), least_p(certain, settle=settle))


# ---- false discovery rates --------------------------------------------------------------------


def families(
    kind: str, share: float, n_units: int, seed: int, *, step: float = 1.5
) -> tuple[np.ndarray, np.ndarray]:
    """Counts of two times five blocks of 60 s; some units go up or down by half in the second."""
    rng = np.random.default_rng(seed)
    rate = np.exp(np.log(0.05 if kind == "rare" else 3.0) + rng.standard_normal(n_units))
    mean = np.tile(60 * rate[:, None], 10)
    gain = rng.standard_normal((n_units, 10))
    if kind == "shared":  # ten sessions, a gain of .3 in each that all units have alike
        mean *= np.exp(0.3 * gain[np.arange(n_units) % 10])
    elif kind == "loadings":  # or to their own degree, either up or down
        loads = rng.standard_normal((n_units, 1))
        mean *= np.exp(0.3 * loads * gain[np.arange(n_units) % 10])
    elif kind == "one gain":  # one session
        mean *= np.exp(0.3 * gain[0])
    elif kind == "own gains":
        mean *= np.exp(0.3 * gain)
    elif kind == "mixed":  # of half of the units
        mean[::2] *= np.exp(0.5 * gain[::2])
    elif kind.startswith("drift"):  # of so many seconds, in steps of 5 s
        keep = np.exp(-5 / float(kind.split()[1]))
        drift = rng.standard_normal((n_units, 120))
        for i in range(1, 120):
            drift[:, i] = keep * drift[:, i - 1] + np.sqrt(1 - keep**2) * drift[:, i]
        mean *= np.exp(0.5 * drift).reshape(n_units, 10, 12).mean(axis=2)
    true = np.arange(n_units) < round(share * n_units)
    mean[true, 5:] *= np.where(rng.random((true.sum(), 1)) < 0.5, step, 1 / step)
    if kind == "bursts":  # of five spikes on average
        events = rng.poisson(mean / 5)
        counts = events + rng.negative_binomial(np.maximum(events, 1), 0.2) * (events > 0)
    else:
        counts = rng.poisson(mean)
    values = counts.astype(float)
    if kind == "missing":
        values[rng.random(values.shape) < 0.15] = np.nan
    values[~(values > 0).any(axis=1)] = np.nan  # silent: no test
    return values, true


def q_of(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Benjamini and Hochberg's q, and that of the distances."""
    ways, _ = assignments(5, 5)
    found = block_test(values, ways)
    df = np.isfinite(values).sum(axis=1) - 2
    far = standardized(found["statistic"], found["null"][:, ~ways[1:, 0]], df=df)
    return benjamini_hochberg(found["p"]), false_discovery_rates(far)


def discoveries(kind: str, share: float, n_units: int, n_sets: int) -> list[float]:
    """False discovery rate and power at .05: of Benjamini and Hochberg, and of the distances."""
    out = []
    for seed in range(n_sets):
        values, true = families(kind, share, n_units, seed)
        for q in q_of(values):
            called = q < 0.05
            wrong = (called & ~true).sum() / max(called.sum(), 1)
            out.append((wrong, (called & true).sum() / max(true.sum(), 1)))
    return np.array(out).reshape(n_sets, 4).mean(axis=0).tolist()


def test_distances_tell_apart_what_p_cannot() -> None:
    """With two times five blocks p is .008 at least: of 300 units a sixth must be found."""
    of_p, power_of_p, false, power = discoveries("poisson", 0.1, 300, 20)
    assert (of_p, power_of_p) == (0, 0)
    assert false < 0.08
    assert power > 0.8


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        "poisson",
        "bursts",
        "rare",
        "shared",
        "loadings",
        "one gain",
        "own gains",
        "mixed",
        "missing",
    ],
)
def test_false_discoveries_are_as_many_as_said(kind: str) -> None:
    """The table of `modulation`: 5 %, and two standard errors of 400 families."""
    for share in (0, 0.05, 0.15):
        assert discoveries(kind, share, 1000, 400)[2] < 0.05 + 0.022


@pytest.mark.slow
def test_drift_over_blocks_breaks_what_is_said() -> None:
    """As for p: blocks cannot change places. Stated in the docstring of `modulation`."""
    assert 0.05 < discoveries("drift 20", 0, 1000, 400)[2] < 0.25
    assert discoveries("drift 60", 0, 1000, 400)[2] > 0.4


def brute_rates(far: np.ndarray) -> np.ndarray:
    """By definition, one unit after another."""
    own, out = far[:, 0], []
    for limit in own:
        expected = sum(np.nanmean(np.where(np.isnan(f), np.nan, f >= limit)) for f in far)
        out.append(min(expected / (own >= limit).sum(), 1))
    return np.array([min(q for q, o in zip(out, own, strict=True) if o <= mine) for mine in own])


def test_rates_are_those_of_their_definition() -> None:
    rng = np.random.default_rng(12)
    far = np.abs(rng.standard_normal((60, 21)))
    far[:8, 0] += 3
    far[10:30, 15:] = np.nan  # fewer ways
    far[5, 3] = np.nan
    np.testing.assert_allclose(false_discovery_rates(far), brute_rates(far))
    order = rng.permutation(60)
    np.testing.assert_array_equal(
        false_discovery_rates(far[order]), false_discovery_rates(far)[order]
    )
    for dtype in (np.float32, np.float64):  # of one unit, q is p
        one = false_discovery_rates(far[:1].astype(dtype))[0]
        assert one == pytest.approx((far[0] >= far[0, 0]).mean())
    far[7, 0] = np.nan
    q = false_discovery_rates(far)
    assert np.isnan(q[7])
    np.testing.assert_allclose(np.delete(q, 7), brute_rates(np.delete(far, 7, axis=0)))
    assert np.isnan(false_discovery_rates(np.full((3, 4), np.nan))).all()


def test_distances_are_normal_deviates_of_t() -> None:
    t = np.linspace(0.1, 8, 40)
    for df in (2, 4, 8, 18):
        far = standardized(t, -t[:, None], df=np.full(40, df))
        np.testing.assert_allclose(far[:, 0], stats.norm.isf(stats.t.sf(t, df)), rtol=0.03)
        np.testing.assert_array_equal(far[:, 1], far[:, 0])
    values = np.random.default_rng(13).standard_normal((5, 8))
    scaled = standardized(values[:, 0], values[:, 1:])
    np.testing.assert_allclose((scaled**2).mean(axis=1), 1)
    np.testing.assert_array_equal(
        standardized(np.array([np.inf]), np.ones((1, 2)), df=np.array([8]))[0, 0], np.inf
    )
