"""Make what the sorting of a probe lacks: quality measures, from the sorter's own output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsdx.lazy import lazily

if TYPE_CHECKING:
    from lsdx.spike_sorting import running, unpacking
    from lsdx.spike_sorting.running import Outcome, run_bombcell

__all__ = ["Outcome", "run_bombcell", "running", "unpacking"]

_HOMES = {"Outcome": "running", "run_bombcell": "running"}

__getattr__, __dir__ = lazily(__name__, __all__, _HOMES)
