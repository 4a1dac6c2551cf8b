"""Time ways of one job in turn: first see that they agree, then give ratios of one run."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
HEAD = "| job | lsdx | copy limit | peak memory | other ways, and how many times longer |\n"
HEAD += "|---|---|---|---|---|\n"


@dataclass(frozen=True)
class Result:
    """One job: seconds of lsdx, its multiple of the copy limit, its peak, the other ways."""

    job: str
    seconds: float
    limit: float
    peak: float
    others: Mapping[str, str]

    def row(self) -> str:
        """Write a row of a Markdown table."""
        limit = f"{self.limit:.3g} x" if self.limit == self.limit else ""
        peak = f"{self.peak:.3g} GB" if self.peak == self.peak else ""
        others = "; ".join(f"{name}: {told}" for name, told in self.others.items())
        return f"| {self.job} | {_show(self.seconds)} | {limit} | {peak} | {others} |"


def _show(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Run once; give seconds and the result."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def bandwidth() -> float:
    """Bytes a second of a copy: what is read and what is written."""
    source = np.ones(32_000_000)
    target = np.empty_like(source)
    seconds = min(timed(lambda: np.copyto(target, source))[0] for _ in range(5))
    return 2 * source.nbytes / seconds


def reset_peak() -> None:
    """Forget the highest resident set so far, where the system can."""
    if _RESET.exists():
        _RESET.write_text("5")


def peak() -> float:
    """Return the highest resident set since then, in GB; NaN where the system does not tell."""
    found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text()) if _STATUS.exists() else None
    return int(found[1]) * 1024 / 1e9 if found else float("nan")


def compare(
    job: str,
    ours: Callable[[], Any],
    others: Mapping[str, Callable[[], Any]],
    *,
    same: Callable[[Any, Any], bool],
    moved: int = 0,
    runs: int = 3,
    slow: float = 3.0,
) -> Result:
    """Run all ways in turn; raise if one does not agree with lsdx.

    Parameters
    ----------
    job : str
    ours : callable
    others : mapping
        Ways by name; one whose package is not installed is told so.
    same : callable
        Whether two results agree.
    moved : int
        Bytes of input and output, for the copy limit; 0 for none.
    runs : int
        How often; the median counts. A way slower than ``slow`` seconds runs once.
    """
    expected = ours()  # compiled and warm
    reset_peak()
    again = ours()
    highest = peak()
    if not same(expected, again):
        raise RuntimeError(f"{job}: lsdx does not agree with itself")
    del again
    told: dict[str, str] = {}
    mine: list[float] = [timed(ours)[0] for _ in range(runs)]
    for name, way in others.items():
        try:
            first, result = timed(way)
        except ImportError as error:
            told[name] = f"not installed ({error.name})"
            continue
        if not same(expected, result):
            raise RuntimeError(f"{job}: {name} does not agree with lsdx")
        del result
        pairs = [(first, timed(ours)[0])]
        if first < slow:  # its first run may have compiled
            pairs = [(timed(way)[0], timed(ours)[0]) for _ in range(runs)]
        mine += [m for _, m in pairs]
        ratio = statistics.median(other / m for other, m in pairs)
        told[name] = f"{_show(statistics.median(o for o, _ in pairs))} ({ratio:.3g} x)"
    seconds = statistics.median(mine)
    limit = seconds * bandwidth() / moved if moved else float("nan")
    return Result(job, seconds, limit, highest, told)


def measure(job: str, ours: Callable[[], Any], *, runs: int = 3, note: str = "") -> Result:
    """Time a job that has no other way; ``note`` tells what it was."""
    reset_peak()
    seconds = statistics.median(timed(ours)[0] for _ in range(runs))
    return Result(job, seconds, float("nan"), peak(), {"note": note} if note else {})
