"""The spike clock: integer ticks of 10 us, and durations with units at the boundaries.

Times become ticks once, by ``rint(t * 1e5)``, spikes and epoch edges alike; from there on
membership and bins are comparisons of integers.
"""

from __future__ import annotations

import math
import re

import numpy as np

from lsdx.errors import ConfigError, located

TICKS_PER_SECOND = 100_000


def to_seconds(value: str | float, name: str = "duration") -> float:
    """Parse a duration; a plain number is seconds.

    Raises
    ------
    ConfigError
        For text that is no duration, or a value that is not finite.

    Examples
    --------
    >>> to_seconds("100 ms"), to_seconds("5 min"), to_seconds(2)
    (0.1, 300.0, 2.0)
    """
    wrong = ConfigError(located(name, "a duration such as '100 ms'", repr(value)))
    if isinstance(value, str):
        import pint

        # pint would read a decimal comma as none at all
        if not re.fullmatch(r"\s*[+-]?[0-9.]+([eE][+-]?[0-9]+)?\s*[a-zA-Z\u00b5\u03bc]+\s*", value):
            raise wrong
        try:
            seconds = float(pint.Quantity(value).to("s").magnitude)
        except (pint.PintError, ValueError, TypeError, AssertionError) as error:
            raise wrong from error
    elif isinstance(value, int | float | np.number):
        seconds = float(value)
    else:
        raise wrong
    if not math.isfinite(seconds):
        raise ConfigError(located(name, "a finite duration", repr(value)))
    return seconds


def to_bin_ticks(value: str | float, name: str = "bin_width") -> int:
    """Parse a bin width to ticks of 10 us, of which it must be a whole number.

    Examples
    --------
    >>> to_bin_ticks("100 ms")
    10000
    >>> to_bin_ticks("3 us")
    Traceback (most recent call last):
        ...
    lsdx.errors.ConfigError: bin_width: expected a whole number of 10 us, ...
    """
    ticks = to_seconds(value, name) * TICKS_PER_SECOND
    whole = round(ticks)
    if whole < 1 or abs(ticks - whole) > 1e-6:
        raise ConfigError(located(name, "a whole number of 10 us", repr(value)))
    return whole


def to_bins(value: str | float, bin_width: float, name: str, *, least: int | None = None) -> int:
    """Parse a time as a whole number of bins of ``bin_width`` s, at least ``least`` if given.

    Examples
    --------
    >>> to_bins("-1 s", 0.1, "window")
    -10
    >>> to_bins("0.25 s", 0.1, "window")
    Traceback (most recent call last):
        ...
    lsdx.errors.ConfigError: window: expected a whole number of bins of 0.1 s, ...
    """
    bins = to_seconds(value, name) / bin_width
    whole = round(bins)
    if abs(bins - whole) > 1e-6 or (least is not None and whole < least):
        expected = f"a whole number of bins of {bin_width:g} s"
        expected += "" if least is None else f", at least {least}"
        do = "Choose such a time, or bins of another width."
        raise ConfigError(located(name, expected, repr(value), do))
    return whole


def to_ticks(seconds: np.ndarray | float) -> np.ndarray:
    """Convert seconds to ticks of 10 us.

    Parameters
    ----------
    seconds : array_like of float
        Finite times.

    Returns
    -------
    ndarray of int64

    Examples
    --------
    >>> to_ticks([14.999996, 15.0]).tolist()
    [1500000, 1500000]
    """
    return np.rint(np.asarray(seconds, dtype=np.float64) * TICKS_PER_SECOND).astype(np.int64)


def n_bins(length: np.ndarray | int, width: int) -> np.ndarray:
    """Count the whole bins of ``width`` in ``length``, both in ticks.

    A length within one tick of a whole number of bins is that number; else the rest
    is left out, so that bins never pass the stop by more than one tick.

    Examples
    --------
    >>> n_bins(np.array([29_999_999, 30_000_001, 30_005_000]), 10_000).tolist()
    [3000, 3000, 3000]
    """
    length = np.asarray(length, dtype=np.int64)
    return np.asarray((length + (width > 1)) // width)


def bin_centres(length: int, width: int) -> np.ndarray:
    """Return the centres of the bins, in s from the epoch's start.

    Examples
    --------
    >>> bin_centres(3, 10_000).tolist()
    [0.05, 0.15, 0.25]
    """
    return (2 * np.arange(length) + 1) * width / (2 * TICKS_PER_SECOND)
