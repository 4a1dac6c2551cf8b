"""Memory: bounded by one session's spikes, whatever the length of the cohort."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsdx.demo import write_cohort
from tests.builders.outside import run_module

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="this system does not tell a process's peak"
)


def measure(tmp_path: Path, n_sessions: int, n_units: int) -> dict[str, int]:
    """Build a cohort in a process of its own; give the growth of its peak and the arrays."""
    write_cohort(tmp_path / "small", n_sessions=2, n_units=8)
    write_cohort(tmp_path / "large", n_sessions=n_sessions, n_units=n_units)
    folders = [tmp_path / name for name in ("small", "large", "stores")]
    # one arena: with several, what is freed but kept depends on how busy the machine is
    one = ("env", "MALLOC_ARENA_MAX=1")
    found: dict[str, int] = run_module("memory", *folders, under=one)
    return found


@pytest.mark.parametrize("n_units", [1000, pytest.param(4500, marks=pytest.mark.slow)])
def test_a_session_takes_three_times_its_spike_arrays_at_most(tmp_path: Path, n_units: int) -> None:
    found = measure(tmp_path, n_sessions=1, n_units=n_units)
    assert found["arrays"] > 6500 * n_units * 12
    assert found["growth"] <= 3 * found["arrays"]


@pytest.mark.slow
def test_a_cohort_takes_no_more_than_a_session(tmp_path: Path) -> None:
    found = measure(tmp_path, n_sessions=9, n_units=4500)
    assert found["growth"] <= 3 * found["arrays"]
