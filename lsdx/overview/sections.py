"""The sections of the page, in their order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lsdx.overview.cohort import Cohort
from lsdx.overview.measured import alignment, comparability, provenance, results
from lsdx.overview.page import Section
from lsdx.overview.recorded import glance, layout, quality, regions

#: The sections of the page in their order; the name is what the progress bar shows.
SECTIONS: dict[str, Callable[[Cohort, Path], Section]] = {
    "glance": glance,
    "sessions": layout,
    "regions": regions,
    "quality": quality,
    "alignment": alignment,
    "comparability": comparability,
    "results": results,
    "provenance": provenance,
}
