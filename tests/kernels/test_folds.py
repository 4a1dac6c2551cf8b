"""Folds of time: contiguous, apart, and of observed bins alone."""

from __future__ import annotations

import numpy as np
import pytest

from lsdx.kernels.folds import blocked_folds


@pytest.mark.parametrize("gap", [0, 3, 7])
def test_what_is_learned_lies_beyond_the_gap(gap: int) -> None:
    observed = np.random.default_rng(0).random(200) > 0.2
    folds = blocked_folds(observed, 5, gap=gap)
    tested = [folds.test(i) for i in range(5)]
    assert np.array_equal(np.concatenate(tested), np.flatnonzero(observed))
    assert np.ptp([t.size for t in tested]) <= 1
    for i, test in enumerate(tested):
        train = folds.train(i)
        assert observed[train].all()
        assert np.abs(train[:, None] - test).min() > gap
        # and nothing else is left out
        inside = (train[:, None] > test[0]) & (train[:, None] < test[-1])
        assert not inside.any()
        near = (np.arange(200) >= test[0] - gap) & (np.arange(200) <= test[-1] + gap)
        assert np.array_equal(train, np.flatnonzero(observed & ~near))


def test_two_blocks_can_be_left_out() -> None:
    folds = blocked_folds(np.ones(100, dtype=bool), 5, gap=4)
    both = set(folds.train(1).tolist()) & set(folds.train(3).tolist())
    assert set(folds.train(1, 3).tolist()) == both


def test_too_few_bins_are_told() -> None:
    assert blocked_folds(np.ones(100, dtype=bool), 5, gap=5).enough
    assert not blocked_folds(np.ones(100, dtype=bool), 5, gap=30).enough
    assert not blocked_folds(np.zeros(100, dtype=bool), 5).enough
    assert not blocked_folds(np.ones(7, dtype=bool), 5).enough


def test_impossible_folds_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 folds"):
        blocked_folds(np.ones(10, dtype=bool), 1)
