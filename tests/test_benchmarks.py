"""The benchmarks stay alive: each runs at its small size and checks its own agreement."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_benchmarks_run() -> None:
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
