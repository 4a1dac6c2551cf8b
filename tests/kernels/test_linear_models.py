"""Degrees of freedom of balanced designs are those of the analysis of variance."""

from __future__ import annotations

import numpy as np
import pytest

from lsdx.kernels.linear_models import between_within_df, separated


def test_two_levels_of_groups_as_in_a_split_plot() -> None:
    # 6 mice of 3 sessions of 4 rows: drug between mice, dose between sessions, phase inside them
    mouse, session = np.repeat(np.arange(6), 12), np.repeat(np.arange(18), 4)
    drug, dose, phase = mouse // 3, session % 3, np.tile([0, 0, 1, 1], 18)
    exog = np.column_stack(
        [np.ones(72), drug, dose == 1, dose == 2, phase, drug * phase, (dose == 1) * phase]
    ).astype(float)
    # 6 - 2; 18 - 6 - 2; 72 - 18 - 3
    expected = [4, 4, 10, 10, 51, 51, 51]
    assert between_within_df(exog, [mouse, session]).tolist() == expected


def test_a_random_slope_is_told_by_the_mice() -> None:
    mouse, day = np.repeat(np.arange(18), 10), np.tile(np.arange(10.0), 18)
    exog = np.column_stack([np.ones(180), day])
    assert between_within_df(exog, [mouse]).tolist() == [17, 161]
    assert between_within_df(exog, [mouse], exog).tolist() == [17, 17]


def test_a_column_both_between_and_inside_mice_is_given_to_the_mice() -> None:
    mouse = np.repeat(np.arange(8), 3)
    drug = (mouse > 4).astype(float)
    drug[-1] = 0
    exog = np.column_stack([np.ones(24), drug])
    assert between_within_df(exog, [mouse]).tolist() == [6, 6]


def test_one_lost_row_does_not_move_a_column_out_of_its_level() -> None:
    mouse, phase = np.repeat(np.arange(10), 20), np.tile([0.0, 1.0], 100)
    exog = np.column_stack([np.ones(200), phase])
    assert between_within_df(exog[1:], [mouse[1:]])[1] == 199 - 10 - 1


def test_nothing_is_left_with_one_group_or_one_row_each() -> None:
    exog = np.column_stack([np.ones(4), [0.0, 0, 1, 1]])
    assert between_within_df(exog, [np.zeros(4, int)]).tolist() == [0, 2]
    assert between_within_df(exog, [np.arange(4)]).tolist() == [2, 2]


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([0, 0, 0, 1, 1, 1], True),  # complete
        ([0, 0, 1, 1, 1, 1], True),  # one side only
        ([0, 1, 1, 0, 1, 1], False),
        ([0, 0, 0.5, 1, 1, 1], True),
        ([0.2, 0.4, 0.5, 0.1, 0.3, 0.9], False),
        ([0, 0, 0, 0, 0, 0], True),
    ],
)
def test_separation_of_two_cells(y: list[float], expected: bool) -> None:
    exog = np.column_stack([np.ones(6), [0, 0, 0, 1, 1, 1]])
    assert separated(exog, np.array(y, float)) is expected


def test_separation_along_a_line() -> None:
    exog = np.column_stack([np.ones(5), np.arange(5.0)])
    assert separated(exog, np.array([0, 0, 1, 1, 1]))
    assert not separated(exog, np.array([0, 1, 0, 1, 1]))
