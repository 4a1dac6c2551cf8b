"""Time two ways of one job in turn, check that they agree, and give their ratio."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """One job: seconds of lsdx and of the other way, medians; their ratio in pairs."""

    job: str
    other: str
    seconds: float
    other_seconds: float
    ratio: float

    def row(self) -> str:
        """Write a row of a Markdown table."""
        return (
            f"| {self.job} | {self.seconds:.3g} s | {self.other}: {self.other_seconds:.3g} s "
            f"| {self.ratio:.3g} x |"
        )


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Run once; give seconds and the result."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def compare(
    job: str,
    ours: Callable[[], Any],
    other: str,
    theirs: Callable[[], Any],
    *,
    agree: Callable[[Any, Any], bool],
    runs: int = 3,
) -> Result:
    """Run both in turn; raise if their results do not agree."""
    ours()  # compiled and warm
    mine, others = [], []
    for _ in range(runs):
        seconds, a = timed(ours)
        mine.append(seconds)
        seconds, b = timed(theirs)
        others.append(seconds)
        if not agree(a, b):
            raise RuntimeError(f"{job}: the two ways do not agree")
    ratio = statistics.median(o / m for o, m in zip(others, mine, strict=True))
    return Result(job, other, statistics.median(mine), statistics.median(others), ratio)
