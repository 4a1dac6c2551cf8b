"""Ridge and reduced rank: closed forms, scikit-learn, and what shuffled folds would say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.signal import lfilter
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import KFold, cross_val_predict

from lsdx.kernels.folds import Folds, blocked_folds
from lsdx.kernels.prediction import circular_shifts, p_of_shifts
from lsdx.kernels.reduced_rank import reduced_rank
from lsdx.kernels.regression import PENALTIES, predict_other, ridge


def folds_of(n_bins: int, gap: int = 5) -> Folds:
    return blocked_folds(np.ones(n_bins, dtype=bool), 5, gap=gap)


def slow(rng: np.random.Generator, n: int, n_bins: int, tau: float) -> np.ndarray:
    """Independent series (n_bins, n) with exponential autocorrelation of ``tau`` bins."""
    noise = rng.normal(size=(n, n_bins + 10 * round(tau)))
    return lfilter([1], [1, -np.exp(-1 / tau)], noise)[:, -n_bins:].T


def white(rng: np.random.Generator, n: int, n_bins: int, rho: float) -> tuple[np.ndarray, ...]:
    x = rng.normal(size=(n_bins, n))
    signal = x @ rng.normal(size=(n, 1)) / np.sqrt(n)
    return x, signal + rng.normal(size=(n_bins, 1)) * np.sqrt((1 - rho) / rho)


def test_r2_is_that_of_the_closed_form() -> None:
    # least squares: 1 - (1 - rho)(1 + n / (N - n - 1)); ridge at its best is a little above
    n, n_bins, rho = 50, 1500, 0.5
    folds = folds_of(n_bins)
    learned = np.mean([folds.train(i).size for i in range(5)])
    expected = 1 - (1 - rho) * (1 + n / (learned - n - 1))
    draws = [white(np.random.default_rng(s), n, n_bins, rho) for s in range(8)]
    least = np.mean([ridge(x, y, folds, penalties=[0.0]).r2[0] for x, y in draws])
    best = np.mean([ridge(x, y, folds).r2[0] for x, y in draws])
    assert least == pytest.approx(expected, abs=0.02)
    assert best == pytest.approx(expected, abs=0.03)
    assert best > least - 0.002


@pytest.mark.parametrize(("n", "n_bins"), [(8, 120), (150, 120)])
def test_nested_ridge_equals_a_loop_over_scikit_learn(n: int, n_bins: int) -> None:
    rng = np.random.default_rng(n)
    x = rng.poisson(2.0, size=(n_bins, n)).astype(float)
    x[:, 1] = 3.0  # constant
    y = x[:, :3] @ rng.normal(size=(3, 2)) + rng.normal(size=(n_bins, 2))
    folds, penalties = folds_of(n_bins, gap=2), [0.01, 0.3, 5.0]

    def errors(train: np.ndarray, test: np.ndarray, k: int, penalty: float) -> np.ndarray:
        mean, sd = x[train].mean(axis=0), x[train].std(axis=0)
        sd[sd == 0] = 1
        model = Ridge(alpha=penalty * train.size).fit((x[train] - mean) / sd, y[train, k])
        return (y[test, k] - model.predict((x[test] - mean) / sd)) ** 2

    found = ridge(x, y, folds, penalties=penalties)
    for k in range(2):
        sse = sst = 0.0
        for f in range(5):
            train, test = folds.train(f), folds.test(f)
            inner = [
                sum(
                    errors(
                        folds.train(f, j), np.intersect1d(folds.test(j), folds.train(f)), k, p
                    ).sum()
                    for j in range(5)
                    if j != f
                )
                for p in penalties
            ]
            best = int(np.argmin(inner))
            assert found.chosen[f, k] == best
            sse += errors(train, test, k, penalties[best]).sum()
            sst += np.sum((y[test, k] - y[train, k].mean()) ** 2)
        assert found.r2[k] == pytest.approx(1 - sse / sst, abs=1e-9)
        assert np.sum((y[:, k] - found.predicted[:, k]) ** 2) == pytest.approx(sse)


def test_shifts_are_the_same_fit_of_shifted_targets() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(200, 12)), rng.normal(size=(200, 3)).cumsum(axis=0)
    found = ridge(x, y, folds_of(200), shifts=np.array([30, 77]))
    for shift, null in zip((30, 77), found.null, strict=True):
        again = ridge(x, np.roll(y, shift, axis=0), folds_of(200))
        assert null == pytest.approx(again.r2, abs=1e-3)  # in single precision


def test_shuffled_folds_find_what_is_not_there() -> None:
    """Independent slow series: shuffled folds say R2 > .3, blocks do not."""
    shuffled, blocked = [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x, y = slow(rng, 40, 300, 20.0), slow(rng, 1, 300, 20.0)
        told = cross_val_predict(
            LinearRegression(), x, y[:, 0], cv=KFold(5, shuffle=True, random_state=0)
        )
        shuffled.append(1 - np.sum((y[:, 0] - told) ** 2) / np.sum((y - y.mean()) ** 2))
        blocked.append(ridge(x, y, folds_of(300)).r2[0])
    assert np.mean(shuffled) > 0.3
    assert np.mean(blocked) <= 0


def test_p_is_uniform_for_independent_slow_series() -> None:
    p, r2 = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x, y = slow(rng, 10, 300, 20.0), slow(rng, 1, 300, 20.0)
        shifts = circular_shifts(rng, 300, 30, 99)
        found = ridge(x, y, folds_of(300), penalties=PENALTIES[::3], shifts=shifts)
        p.append(float(p_of_shifts(found.r2[0], found.null[:, 0])))
        r2.append(found.r2[0])
    assert np.mean(r2) <= 0
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert 0.01 <= np.mean(np.array(p) <= 0.05) <= 0.09


def test_three_dimensions_are_found_in_95_of_100_draws() -> None:
    folds, ranks = folds_of(600), []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(600, 40))
        signal = x @ rng.normal(size=(40, 3)) @ rng.normal(size=(3, 30))
        y = signal / signal.std(axis=0) + rng.normal(size=(600, 30))  # SNR 1
        ranks.append(reduced_rank(x, y, folds, penalties=PENALTIES[:6:2]).rank)
    assert np.sum(np.array(ranks) == 3) >= 95


def test_full_rank_is_ridge() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 20))
    y = x @ rng.normal(size=(20, 6)) + rng.normal(size=(300, 6)) * 4
    full = reduced_rank(x, y, folds_of(300), penalties=[0.3], rank=6)
    assert full.r2 == pytest.approx(ridge(x, y, folds_of(300), penalties=[0.3]).r2, abs=1e-8)
    less = reduced_rank(x, y, folds_of(300), penalties=[0.3], rank=0)
    assert less.r2 == pytest.approx(np.zeros(6), abs=1e-12)
    assert less.curve == pytest.approx(full.curve)


def test_units_that_say_nothing_have_rank_0() -> None:
    ranks = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(300, 20)), rng.normal(size=(300, 10))
        ranks.append(reduced_rank(x, y, folds_of(300)).rank)
    assert np.mean(np.array(ranks) == 0) > 0.6  # by the rule alone; `communication` tests it too


def test_models_of_one_part_predict_another() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(5, 1))
    x = [rng.normal(size=(n, 5)) for n in (200, 150)]
    y = [v @ weights + rng.normal(size=(len(v), 1)) for v in x]
    folds = [folds_of(n) for n in (200, 150)]
    predicted, mean = predict_other((x[0], y[0], folds[0]), (x[1], folds[1]), np.full(5, 0.01))
    for f in range(5):
        train, test = folds[0].train(f), folds[1].test(f)
        own = (x[0][train] - x[0][train].mean(axis=0)) / x[0][train].std(axis=0)
        model = Ridge(alpha=0.01 * train.size).fit(own, y[0][train, 0])
        other = (x[1][test] - x[0][train].mean(axis=0)) / x[0][train].std(axis=0)
        assert predicted[test] == pytest.approx(model.predict(other))
        assert mean[test] == pytest.approx(np.full(test.size, y[0][train].mean()))


def test_a_constant_target_is_no_number() -> None:
    rng = np.random.default_rng(0)
    found = ridge(rng.normal(size=(100, 3)), np.ones((100, 1)), folds_of(100, gap=1))
    assert np.isnan(found.r2[0])
