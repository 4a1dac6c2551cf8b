"""The benchmarks stay alive: each runs at its small size and checks its own agreement."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from benchmarks import behavior, comparisons, dimensionality, prediction, spikes
from benchmarks.timing import Result


@pytest.mark.filterwarnings("ignore")  # of the packages that it is compared with
@pytest.mark.parametrize("job", [spikes.grouping, spikes.counting, spikes.writing])
def test_a_benchmark_of_spikes_runs(job: Callable[[bool], Result]) -> None:
    found = job(True)
    assert isinstance(found, Result)
    assert found.seconds > 0


def test_benchmarks_of_spectra_run() -> None:
    found: Iterable[Result] = dimensionality.spectra(True)
    assert sum(r.seconds > 0 for r in found) == 4


def test_benchmarks_of_behavior_run() -> None:
    found: Iterable[Result] = behavior.onto_bins(True)
    assert sum(r.seconds > 0 for r in found) == 2


def test_benchmarks_of_comparisons_run() -> None:
    found: Iterable[Result] = comparisons.resampling(True)
    assert sum(r.seconds > 0 for r in found) == 2


def test_benchmarks_of_prediction_run() -> None:
    found: Iterable[Result] = prediction.predicting(True)
    assert all(r.seconds > 0 for r in found)


@pytest.mark.slow
def test_all_benchmarks_run() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("QUICK")
    assert done.stdout.count("\n| ") >= 25
    assert "not agree" not in done.stderr
