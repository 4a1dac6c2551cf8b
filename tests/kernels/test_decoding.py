"""Decoding: closed forms, scikit-learn, brute force, levels under drift."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest, norm
from sklearn.covariance import ledoit_wolf_shrinkage as sklearn_shrinkage
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import StandardScaler

from lsdx.kernels.decoding import (
    Options,
    accuracy_and_null,
    between_phases,
    cross_validated,
    event_counts,
    learnable,
    permuted_within,
)
from lsdx.kernels.discriminants import (
    balanced_accuracy,
    ledoit_wolf_shrinkage,
    predict,
    weights,
)
from lsdx.kernels.trains import Trains


def options(n_permutations: int = 99, n_classes: int = 2) -> Options:
    return Options(n_classes, 5, 10, n_permutations, (), 1, 1, 2, 0)


@pytest.mark.parametrize("shape", [(60, 20), (30, 80), (50, 1)])
def test_shrinkage_is_that_of_scikit_learn(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape) + rng.normal(size=(shape[0], 1))
    x -= x.mean(axis=0)
    assert ledoit_wolf_shrinkage(x) == pytest.approx(sklearn_shrinkage(x, assume_centered=True))


@pytest.mark.parametrize("n_units", [8, 90])
def test_balanced_classes_are_told_apart_as_by_ridge(n_units: int) -> None:
    rng = np.random.default_rng(n_units)
    code = np.tile([0, 1], 30)
    axis = rng.normal(size=n_units) / 2
    x = rng.poisson(3, (60, n_units)) + rng.normal(size=(60, 1)) + code[:, None] * axis
    other = rng.poisson(3, (400, n_units)) + axis / 2
    scale = StandardScaler().fit(x)
    z = scale.transform(x)
    s = sklearn_shrinkage(z, assume_centered=True)
    ridge = RidgeClassifier(alpha=60 * s / (1 - s)).fit(z, code)
    expected = ridge.predict(scale.transform(other))
    np.testing.assert_array_equal(predict(x, code[None], other, 2)[0], expected)
    assert 0.1 < expected.mean() < 0.9


@pytest.mark.parametrize(("n_units", "n_classes"), [(6, 2), (6, 4), (70, 3)])
def test_discriminants_are_those_of_the_covariance_within_classes(
    n_units: int, n_classes: int
) -> None:
    rng = np.random.default_rng(n_units)
    codes = rng.integers(0, n_classes, (3, 50))
    x = rng.normal(size=(50, n_units)) + rng.normal(size=(n_classes, n_units))[codes[0]]
    other = rng.normal(size=(200, n_units))
    z, t = ((a - x.mean(axis=0)) / x.std(axis=0) for a in (x, other))
    s = sklearn_shrinkage(z, assume_centered=True)
    found = predict(x, codes, other, n_classes)
    for code, mine in zip(codes, found, strict=True):
        means = np.array([z[code == c].mean(axis=0) for c in range(n_classes)])
        within = (z - means[code]).T @ (z - means[code]) / 50
        inverse = np.linalg.inv((1 - s) * within + s * np.eye(n_units))
        far = t[:, None] - means
        distance = np.einsum("tci,ij,tcj->tc", far, inverse, far)  # of Mahalanobis
        np.testing.assert_array_equal(mine, distance.argmin(axis=1))


def test_with_very_many_trials_they_are_fishers() -> None:
    rng = np.random.default_rng(1)
    code = rng.permutation(np.repeat([0, 1, 2], 20_000))
    x = rng.normal(size=(code.size, 4)) @ rng.normal(size=(4, 4)) + rng.normal(size=(3, 4))[code]
    other = rng.normal(size=(2000, 4))
    fisher = LinearDiscriminantAnalysis().fit(x, code).predict(other)
    assert np.mean(predict(x, code[None], other, 3)[0] == fisher) > 0.995


def test_weights_are_log_odds() -> None:
    rng = np.random.default_rng(2)
    code = np.tile([0, 1], 5000)
    x = rng.normal(size=(10_000, 3)) * [1.0, 2.0, 1.0] + code[:, None] * [1.0, 2.0, 0.0]
    # of independent Gaussians the log odds rise by d / sd in units of one sd within classes
    expected = np.array([1, 1, 0]) * x.std(axis=0) / [1.0, 2.0, 1.0]
    np.testing.assert_allclose(weights(x, code), expected, atol=0.06)


def test_accuracy_is_balanced() -> None:
    rng = np.random.default_rng(3)
    codes, predicted = rng.integers(0, 3, (2, 4, 80))
    expected = [balanced_accuracy_score(*pair) for pair in zip(codes, predicted, strict=True)]
    np.testing.assert_allclose(balanced_accuracy(codes, predicted, 3), expected)


@pytest.mark.parametrize("d_prime", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("share", [0.5, 0.2])
def test_two_gaussians_are_told_apart_as_well_as_can_be(d_prime: float, share: float) -> None:
    rng = np.random.default_rng(4)
    code = (rng.random(8000) < share).astype(int)
    axis = rng.normal(size=5)
    x = rng.normal(size=(8000, 5)) + code[:, None] * d_prime * axis / np.linalg.norm(axis)
    found = cross_validated(x, code[None], 5, 2)[0]
    assert found == pytest.approx(norm.cdf(d_prime / 2), abs=0.02)


def test_permutations_are_those_made_one_by_one() -> None:
    rng = np.random.default_rng(5)
    code = rng.integers(0, 2, 100)
    x = rng.poisson(2, (100, 12)).astype(float)
    x[50:] += 2
    accuracy, null = accuracy_and_null(x, code, options(9), [0, 1])
    block = np.arange(100) // 10
    drawn = permuted_within(code, block, 9, [0, 1])
    for labels, expected in zip([code, *drawn], [accuracy, *null], strict=True):
        predicted = np.empty(100, dtype=int)
        for fold in range(5):
            test = np.arange(100) // 20 == fold
            predicted[test] = predict(x[~test], labels[None, ~test], x[test], 2)[0]
        assert balanced_accuracy_score(labels, predicted) == pytest.approx(expected)
        for b in range(10):
            assert sorted(labels[block == b]) == sorted(code[block == b])
    assert len({tuple(d) for d in drawn}) == 9


def test_all_arrangements_of_a_block_are_as_likely() -> None:
    drawn = permuted_within(np.array([0, 1, 1, 2, 2, 2]), np.array([0, 0, 0, 1, 1, 1]), 6000, [3])
    place = drawn[:, :3].argmin(axis=1)
    np.testing.assert_allclose(np.bincount(place) / 6000, 1 / 3, atol=0.025)


def p_values(
    drift: float, uneven: bool, n: int = 200, n_blocks: int = 10, first: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return p and accuracy of sessions of counts that say nothing about the labels.

    Of 15 units of 4 spikes a trial, whose log rates rise or fall in a line through 240 trials;
    uneven labels are of class 1 in 15 % of the first trials, and in 85 % of the last.
    """
    p, found = np.empty(n), np.empty(n)
    time = np.linspace(-1, 1, 240)
    for i in range(n):
        rng = np.random.default_rng([60, int(drift * 10), uneven, first + i])
        slope = rng.normal(0, drift, 15)
        x = rng.poisson(4 * np.exp(time[:, None] * slope)).astype(float)
        code = (rng.random(240) < (0.5 + 0.35 * time if uneven else 0.5)).astype(int)
        drawn = permuted_within(code, np.arange(240) * n_blocks // 240, 99, [first + i])
        each = cross_validated(x, np.vstack([code, drawn]), 5, 2)
        p[i], found[i] = (each >= each[0] - 1e-12).mean(), each[0]
    return p, found


@pytest.mark.parametrize("drift", [0.0, 0.4])
def test_without_information_accuracy_is_chance_and_p_uniform(drift: float) -> None:
    p, found = p_values(drift, uneven=False)
    assert found.mean() == pytest.approx(0.5, abs=0.015)
    assert kstest(p, "uniform").pvalue > 0.01


def test_the_level_holds_where_rates_and_labels_both_drift() -> None:
    p, found = p_values(0.4, uneven=True)
    assert found.mean() > 0.53  # when it was is told from the rates
    assert kstest(p, "uniform").pvalue > 0.01
    assert np.mean(p <= 0.05) < 0.09


@pytest.mark.slow
@pytest.mark.parametrize(
    ("drift", "uneven", "n_blocks", "mean", "level"),
    [
        (0.0, False, 10, 0.5, 0.05),
        (0.4, False, 10, 0.5, 0.05),
        (0.4, True, 10, 0.64, 0.05),
        (0.4, True, 1, 0.64, 0.97),
    ],
)
def test_the_table_of_levels(
    drift: float, uneven: bool, n_blocks: int, mean: float, level: float
) -> None:
    p, found = p_values(drift, uneven, 2000, n_blocks, first=1000)
    assert found.mean() == pytest.approx(mean, abs=0.01)
    assert np.mean(p <= 0.05) == pytest.approx(level, abs=0.015)


def test_between_phases_as_much_is_learned_as_within() -> None:
    rng = np.random.default_rng(7)
    code = rng.integers(0, 2, 600)
    axis = np.r_[1.0, np.zeros(9)]
    x = rng.normal(size=(600, 10)) + code[:, None] * axis * 2
    turned = rng.normal(size=(900, 10))
    other = rng.integers(0, 2, 900)
    turned += other[:, None] * axis[::-1] * 2
    found = between_phases([(x, code), (turned, other)], 5, 2)
    best = norm.cdf(1)
    np.testing.assert_allclose(found, [[best, 0.5], [0.5, best]], atol=0.05)
    assert found[0, 0] == cross_validated(x, code[None], 5, 2)[0]
    assert found[1, 1] == cross_validated(turned[:600], other[None, :600], 5, 2)[0]
    same = between_phases([(x[:300], code[:300]), (x[300:], code[300:])], 5, 2)
    np.testing.assert_allclose(same, best, atol=0.06)


def test_spikes_are_counted_as_by_numpy() -> None:
    rng = np.random.default_rng(8)
    times = [np.sort(rng.integers(0, 10_000, n)).astype(np.uint32) for n in (500, 0, 40)]
    size = np.array([t.size for t in times])
    trains = Trains(np.concatenate(times), np.cumsum(size) - size, size)
    start = np.sort(rng.integers(-100, 10_000, 60))
    last = np.array([10_000, 10_000, 5000])
    found = event_counts(trains, np.zeros(3, int), last, {0: start}, (-50, 200), 61)
    for u, train in enumerate(times):
        for e, t in enumerate(start):
            seen = t - 50 >= 0 and t + 200 <= last[u]
            inside = ((train >= t - 50) & (train < t + 200)).sum()
            np.testing.assert_equal(found[u, e], inside if seen else np.nan)
    assert np.isnan(found[:, 60]).all()
    assert np.isnan(event_counts(trains, np.ones(3, int), last, {0: start}, (0, 5), 2)).all()


def test_constant_units_and_copies_do_no_harm() -> None:
    rng = np.random.default_rng(9)
    code = np.tile([0, 1], 40)
    x = rng.normal(size=(80, 5)) + code[:, None]
    more = np.column_stack([x, np.full(80, 3.0)])
    other = rng.normal(size=(50, 5))
    wider = np.column_stack([other, rng.normal(size=50)])
    expected = predict(x, code[None], other, 2)
    np.testing.assert_array_equal(predict(more, code[None], wider, 2), expected)
    twice = predict(np.tile(x, 2), code[None], np.tile(other, 2), 2)
    assert np.mean(twice == expected) > 0.9
    none = cross_validated(np.ones((80, 3)), code[None], 5, 2)
    assert none.tolist() == [0.5]
    assert not learnable(np.repeat([0, 1], [70, 10]), 5, 2)
