"""Run the benchmarks: ``python -m benchmarks [--quick] [--folder DIR]``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks.behavior import onto_bins
from benchmarks.cameras import cameras
from benchmarks.cohort import building, cohorts, many_sessions, one_session, opening, reading
from benchmarks.comparisons import resampling
from benchmarks.dimensionality import spectra, whole_cohort
from benchmarks.far_away import far_away
from benchmarks.importing import importing
from benchmarks.overview import page
from benchmarks.prediction import predicting
from benchmarks.records import tabling
from benchmarks.single_units import from_stores, surrogates
from benchmarks.spikes import counting, grouping, writing
from benchmarks.timing import HEAD, Result


def results(quick: bool, folder: Path) -> Iterator[Result]:
    """Run one benchmark after another."""
    yield importing(quick)
    yield tabling(folder, quick)
    yield grouping(quick)
    yield counting(quick)
    yield writing(quick)
    yield from onto_bins(quick)
    yield from spectra(quick)
    yield from surrogates(quick)
    yield from resampling(quick)
    yield from predicting(quick)
    yield from cameras(folder, quick)
    large, small = cohorts(folder, quick)
    yield from building(large)
    yield one_session(large)
    yield from opening(large)
    yield from reading(large)
    yield from from_stores(large, quick)
    yield from whole_cohort(large, quick)
    yield page(large)
    yield from many_sessions(small)
    yield from far_away(large, small)


def main() -> int:
    """Run every benchmark and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, for a smoke test")
    parser.add_argument("--folder", type=Path, help="keep the cohorts here (20 GB)")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = arguments.folder
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if arguments.quick:
            sys.stdout.write("QUICK: small sizes; the ratios mean nothing\n")
        sys.stdout.write(HEAD)
        for result in results(arguments.quick, folder):
            sys.stdout.write(result.row() + "\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
