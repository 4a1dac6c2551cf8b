"""The page that shows a cohort."""

from __future__ import annotations

import lsdx
from benchmarks.cohort import Cohort
from benchmarks.timing import Result, measure


def page(cohort: Cohort) -> Result:
    """Write the overview of the whole cohort; it may have no more than 5 MB."""
    out = cohort.folder / "overview"

    def write() -> None:
        lsdx.report(out, stores=cohort.stores, progress=False)

    done = measure(f"overview of {cohort.n_sessions} sessions", write, runs=1)
    size = (out / "index.html").stat().st_size
    if size > 5e6:
        raise RuntimeError(f"the page has {size / 1e6:.1f} MB")
    return done
