"""Clusters in time: against a slow loop, by hand, and how often chance makes one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lsdx.kernels.arrangements import conditions_within
from lsdx.kernels.clusters import alike_in_time, find_clusters, standardised
from lsdx.kernels.contrasts import permutation_p, stratified


def slowly(course: np.ndarray, threshold: float) -> list[tuple[int, int, float]]:
    side = [0 if not abs(v) > threshold else (1 if v > 0 else -1) for v in course]
    found, at = [], 0
    for s, run in itertools.groupby(side):
        n = len(list(run))
        if s:
            found.append((at, at + n, float(sum(course[at : at + n]))))
        at += n
    return sorted(found, key=lambda c: -abs(c[2]))


def test_clusters_are_those_of_the_slow_loop() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(40, 3, 50)) * 2
    z[:, 1, 20:25] = np.nan
    found = find_clusters(z, 1.5)
    masses = np.array(
        [[max((abs(m) for *_, m in slowly(c, 1.5)), default=0) for c in row] for row in z]
    )
    np.testing.assert_allclose(found.largest, masses)
    for cell in range(3):
        mine = found.cell == cell
        start, stop, mass = zip(*slowly(z[0, cell], 1.5), strict=True)
        assert found.start[mine].tolist() == list(start)
        assert found.stop[mine].tolist() == list(stop)
        np.testing.assert_allclose(found.mass[mine], mass)
        for m, p, corrected in zip(mass, found.p[mine], found.p_corrected[mine], strict=True):
            np.testing.assert_allclose(p, np.mean(masses[:, cell] > abs(m) - 1e-9))
            np.testing.assert_allclose(corrected, np.mean(masses.max(axis=1) > abs(m) - 1e-9))
    assert (found.p_corrected >= found.p).all()
    assert found.p.min() >= 1 / 40


def test_opposite_signs_and_gaps_are_clusters_of_their_own() -> None:
    course = np.array([3.0, 3, -3, -4, np.nan, -5, 0, 2, 2.5])
    found = find_clusters(course[None, None], 2.0)
    assert found.start.tolist() == [2, 0, 5, 8]
    assert found.stop.tolist() == [4, 2, 6, 9]
    assert found.mass.tolist() == [-7, 6, -5, 2.5]
    assert np.isnan(found.p).all()  # one arrangement tells nothing
    assert np.isnan(found.p_corrected).all()


def test_nothing_beyond_the_threshold_is_no_cluster() -> None:
    for z in (np.zeros((5, 2, 4)), np.full((5, 2, 4), np.nan), np.zeros((5, 0, 4))):
        found = find_clusters(z, 1.0)
        assert found.p.size == found.start.size == 0
        assert not np.nansum(found.largest)
    for threshold in (0, -1, np.nan):
        with pytest.raises(ValueError, match="threshold"):
            find_clusters(np.zeros((2, 1, 3)), threshold)


def test_what_does_not_differ_or_is_missing_has_no_statistic() -> None:
    null = np.array([[1.0, 1e-17, np.nan, 2], [-1, -1e-17, 1, np.nan], [2, 0, 1, 1]])
    z = standardised(null, np.array([1, 0.1, 1, 1]))
    assert np.isfinite(z).any(axis=0).tolist() == [True, False, True, True]
    assert z[:, 3].tolist() == pytest.approx(
        [2 / np.sqrt(2.5), np.nan, 1 / np.sqrt(2.5)], nan_ok=True
    )
    np.testing.assert_allclose((z[:, 0] ** 2).mean(), 1)


def layout() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mouse, first condition and year of 34 LSD sessions of 15 mice, 9 saline of 4."""
    lsd = np.array([2, 1, 2, 0, *[3] * 5, *[2] * 7])
    saline = np.array([3, 3, 1, 2, *[0] * 12])
    mouse = np.r_[np.repeat(np.arange(16), lsd), np.repeat(np.arange(16), saline)]
    first = np.arange(mouse.size) < lsd.sum()
    return mouse, first, np.where(mouse < 4, 2025, 2023)


@pytest.mark.parametrize("n_cohorts", [400, pytest.param(2000, marks=pytest.mark.slow)])
def test_false_positives_on_the_layout_of_the_recordings(n_cohorts: int) -> None:
    """Six of 120 arrangements are 5 %: at most that, whatever differs between mice and years."""
    mouse, first, year = layout()
    assert (first.sum(), len(set(mouse[first])), (~first).sum(), len(set(mouse[~first]))) == (
        (34, 15, 9, 4)
    )
    rng = np.random.default_rng(0)
    ways = conditions_within(first, mouse, 9999, rng)
    assert (ways.count, ways.exact) == (120, True)
    cluster, any_time = 0, 0
    for _ in range(n_cohorts):
        own = courses(rng, 16, 0.3)[mouse] + courses(rng, mouse.size, 0.7)
        x = own + (year == 2025)[:, None]
        null = stratified(x, mouse, mouse, ways.values).null
        found = find_clusters(standardised(null, np.abs(x).max(axis=0))[:, None], 2.0)
        cluster += found.p.min(initial=1) <= 0.05
        any_time += permutation_p(null).min() <= 0.05
        assert found.p.min(initial=1) >= ways.p_least
    error = 3 * np.sqrt(0.05 * 0.95 / n_cohorts)
    assert 0.05 - error - 0.01 <= cluster / n_cohorts <= 0.05 + error
    assert any_time / n_cohorts > 0.2  # each time by itself


def courses(rng: np.random.Generator, n: int, variance: float) -> np.ndarray:
    """Return autoregressive courses of 60 times, correlated .9 from each to the next."""
    out = rng.normal(size=(n, 60))
    for t in range(1, 60):
        out[:, t] = 0.9 * out[:, t - 1] + np.sqrt(1 - 0.81) * out[:, t]
    return out * np.sqrt(variance)


def test_an_effect_in_time_is_found() -> None:
    mouse, first, _ = layout()
    rng = np.random.default_rng(0)
    ways = conditions_within(first, mouse, 9999, rng)
    x = courses(rng, mouse.size, 1.0)
    x[first, 30:45] += 6
    null = stratified(x, mouse, mouse, ways.values).null
    found = find_clusters(standardised(null, np.abs(x).max(axis=0))[:, None], 2.0)
    assert found.p[0] == pytest.approx(1 / 120)
    assert found.mass[0] > 0
    assert abs(found.start[0] - 30) <= 1
    assert abs(found.stop[0] - 45) <= 1


@pytest.mark.parametrize("n_cohorts", [300, pytest.param(4000, marks=pytest.mark.slow)])
def test_false_positives_where_sessions_lack_times(n_cohorts: int) -> None:
    mouse, first, _ = layout()
    rng = np.random.default_rng(5)
    ways = conditions_within(first, mouse, 9999, rng)
    lacking, informative = 0, np.flatnonzero(mouse < 3)
    for _ in range(n_cohorts):
        x = courses(rng, 16, 0.3)[mouse] + courses(rng, mouse.size, 0.7)
        for session in rng.choice(informative, 2, replace=False):
            start = rng.integers(50)
            x[session, start : start + 10] = np.nan
        null = stratified(x, mouse, mouse, ways.values).null
        z = standardised(null, np.nanmax(np.abs(x), axis=0))[:, None]
        lacking += find_clusters(alike_in_time(z), 2.0).p.min(initial=1) <= 0.05
    error = 3 * np.sqrt(0.05 * 0.95 / n_cohorts)
    assert 0 < lacking / n_cohorts <= 0.05 + error
