"""Checks of arguments: what passes, and what the error says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lsdx.arguments import number_between, one_of, some_of, whole_number
from lsdx.errors import ArgumentError


def test_what_is_right_passes() -> None:
    assert whole_number(np.int64(2), "f, n", least=1) == 2
    assert number_between(np.float32(0.5), "f, x", 0, 1) == 0.5
    assert number_between(0, "f, x", 0, np.inf, ends="low") == 0
    assert one_of(None, "f, x", (None, "a")) is None
    assert some_of(["b", "a"], "f, x", "abc") == ("b", "a")


@pytest.mark.parametrize("value", [True, 1.0, 0, "1", None, np.nan])
def test_what_is_no_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(ArgumentError, match="f, n: expected a whole number of at least 1, found"):
        whole_number(value, "f, n", least=1)


@pytest.mark.parametrize("value", [True, 0, 1.5, "0.5", None, np.nan, np.inf])
def test_what_is_out_of_range_is_refused(value: Any) -> None:
    with pytest.raises(ArgumentError, match="f, x: expected a number above 0 and up to 1, found"):
        number_between(value, "f, x", 0, 1, ends="high")


@pytest.mark.parametrize("value", ["c", ["a"], None, True, 0])
def test_what_is_none_of_the_choices_is_refused(value: Any) -> None:
    with pytest.raises(ArgumentError, match="f, x: expected one of 'a', 'b', 1, found"):
        one_of(value, "f, x", ("a", "b", 1))


@pytest.mark.parametrize("value", [[], ["a", "a"], "c", ["a", "c"], 3, None])
def test_what_is_not_among_the_choices_is_refused(value: Any) -> None:
    with pytest.raises(ArgumentError, match="f, x: expected different ones of a, b, found"):
        some_of(value, "f, x", ("a", "b"))
