"""Checks of arguments: each returns the value it was given, or raises `ArgumentError`.

``where`` names the function and the argument, as in ``"modulation, alpha"``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from lsdx.errors import ArgumentError, located


def whole_number(value: Any, where: str, *, least: int) -> int:
    """Check a whole number; True and 3.0 are none.

    Examples
    --------
    >>> whole_number(3, "psth, n_shifts", least=0)
    3
    """
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or value < least:
        raise ArgumentError(located(where, f"a whole number of at least {least}", repr(value)))
    return int(value)


def number_between(value: Any, where: str, low: float, high: float, *, ends: str = "") -> float:
    """Check a number above ``low`` and below ``high``; ``ends`` names those that count too.

    Examples
    --------
    >>> number_between(1, "dimensionality, level", 0, 1, ends="high")
    1.0
    """
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    at_low, at_high = "low" in ends, "high" in ends
    if is_number and (
        low < value < high or (at_low and value == low) or (at_high and value == high)
    ):
        return float(value)
    first = f"{'from' if at_low else 'above'} {low:g}" if low > -np.inf else ""
    last = f"{'up to' if at_high else 'below'} {high:g}" if high < np.inf else ""
    expected = " ".join(["a number", " and ".join(w for w in (first, last) if w)])
    raise ArgumentError(located(where, expected, repr(value)))


def one_of(value: Any, where: str, choices: Iterable[Any]) -> Any:
    """Check a value that is one of some.

    Examples
    --------
    >>> one_of("keep", "psth, duplicates", ("keep", "drop"))
    'keep'
    """
    known = list(choices)
    if not isinstance(value, Collection) or isinstance(value, str | tuple):
        for choice in known:
            if value is choice or (type(value) is type(choice) and value == choice):
                return value
    words = ", ".join(map(repr, known))
    raise ArgumentError(located(where, f"one of {words}", repr(value)))


def some_of(value: Any, where: str, choices: Iterable[str]) -> tuple[str, ...]:
    """Check one text or several that differ, all of which are among the choices.

    Examples
    --------
    >>> some_of("cv", "modulation, metric", ("cv", "lv"))
    ('cv',)
    """
    known = list(choices)
    is_list = isinstance(value, Collection) and not isinstance(value, str | bytes)
    chosen = (value,) if isinstance(value, str) else tuple(value) if is_list else ()
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(known):
        words = ", ".join(map(str, known))
        raise ArgumentError(located(where, f"different ones of {words}", repr(value)))
    return chosen
