"""The measures of single units: the name of each, what it is made of, and its kernel."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

from lsdx.kernels.binning import count_in_intervals
from lsdx.kernels.complexity import lempel_ziv_ratio
from lsdx.kernels.trains import Trains
from lsdx.kernels.variability import allan_factor, fano_factor, interval_measures

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Metric:
    """One measure of single units.

    Parameters
    ----------
    name, long_name : str
    needs : {"rate", "intervals", "windows", "bits"}
        What the measure is made of, and with it the arguments of its kernel.
    kernel : callable
        Of ``"rate"`` and ``"intervals"``: ``kernel(trains, start, stop, second)``, with bounds
        (n_units, n_intervals) in ticks of which ``second`` make a second; returns values of
        their shape. Of ``"windows"``: ``kernel(counts)``, returns a value for each row. Of
        ``"bits"``: ``kernel(bits, n_bits, n_shuffles=, seed=)``, returns values, and their
        ratios to shuffled bits.
    output : int, optional
        Which of the kernel's results it is, where the kernel returns several.
    units : str
    """

    name: str
    long_name: str
    needs: Literal["rate", "intervals", "windows", "bits"]
    kernel: Callable[..., Any]
    output: int | None = None
    units: str = "1"

    @property
    def attrs(self) -> dict[str, str]:
        """Units and long name, as a labelled array has them."""
        return {"units": self.units, "long_name": self.long_name}

    @property
    def of_spikes(self) -> bool:
        """Whether it is made of the spikes themselves, not of counts."""
        return self.needs in ("rate", "intervals")


def _rates(trains: Trains, start: np.ndarray, stop: np.ndarray, second: int) -> np.ndarray:
    seconds = np.where(stop > start, stop - start, np.nan) / second
    return np.asarray(count_in_intervals(trains, start, stop) / seconds)


def _of_intervals(trains: Trains, start: np.ndarray, stop: np.ndarray, second: int) -> np.ndarray:
    return interval_measures(trains, start, stop, refractoriness=0.005 * second)


_TABLE = (
    Metric("mean_rate", "Firing rate", "rate", _rates, units="Hz"),
    Metric(
        "cv",
        "Coefficient of variation of the inter-spike intervals",
        "intervals",
        _of_intervals,
        output=0,
    ),
    Metric("cv2", "CV2 of neighbouring inter-spike intervals", "intervals", _of_intervals, 1),
    Metric("lv", "Local variation of the inter-spike intervals", "intervals", _of_intervals, 2),
    Metric(
        "lvr",
        "Local variation of the inter-spike intervals, revised for refractoriness of 5 ms",
        "intervals",
        _of_intervals,
        output=3,
    ),
    Metric("fano_factor", "Fano factor of counts in windows", "windows", fano_factor),
    Metric("allan_factor", "Allan factor of counts in windows", "windows", allan_factor),
    Metric(
        "lempel_ziv",
        "Lempel-Ziv complexity of windows with more spikes than the unit's mean",
        "bits",
        lempel_ziv_ratio,
    ),
)
METRICS = {metric.name: metric for metric in _TABLE}


def measures_of_spikes(
    names: Iterable[str], trains: Trains, start: np.ndarray, stop: np.ndarray, second: int
) -> dict[str, np.ndarray]:
    """Return measures of the spikes themselves; a kernel that several share runs once.

    Parameters
    ----------
    names : iterable of str
        Of `METRICS` that need the rate or the intervals.
    trains : Trains
    start, stop : ndarray of int64 (n_units, n_intervals)
        Ticks; ``stop <= start`` where not observed.
    second : int
        Ticks a second.

    Returns
    -------
    dict of ndarray of float64 (n_units, n_intervals)

    Examples
    --------
    >>> train = Trains(np.array([0, 1, 4], dtype=np.uint32), np.array([0]), np.array([3]))
    >>> found = measures_of_spikes(["mean_rate", "cv"], train, *np.array([[[0]], [[6]]]), 1)
    >>> {name: float(value[0, 0]) for name, value in found.items()}
    {'mean_rate': 0.5, 'cv': 0.5}
    """
    made: dict[Callable[..., Any], np.ndarray] = {}
    found = {}
    for metric in (METRICS[name] for name in names):
        if metric.kernel not in made:
            made[metric.kernel] = metric.kernel(trains, start, stop, second)
        values = made[metric.kernel]
        found[metric.name] = values if metric.output is None else values[metric.output]
    return found


def lists_metrics(function: Function) -> Function:
    """Put the names of all measures into a docstring, where it says ``{metrics}``.

    Examples
    --------
    >>> def f():
    ...     "Of {metrics}."
    >>> print(lists_metrics(f).__doc__[:24])
    Of ``mean_rate``, ``cv``
    """
    doc = function.__doc__ or ""
    *names, last = (f"``{name}``" for name in METRICS)
    for line in doc.splitlines():
        before, found, after = line.partition("{metrics}")
        if found:
            text = before.strip() + f" {', '.join(names)} and {last}" + after
            indent = " " * (len(before) - len(before.lstrip()))
            wrapped = textwrap.fill(text, 92, initial_indent=indent, subsequent_indent=indent)
            doc = doc.replace(line, wrapped)
    function.__doc__ = doc
    return function
