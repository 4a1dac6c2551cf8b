"""Import lsdx."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.timing import Result, compare


def importing(quick: bool) -> Result:
    """Import lsdx, against xarray alone, which its accessor needs."""

    def run(module: str) -> int:
        return subprocess.run([sys.executable, "-c", f"import {module}"], check=True).returncode

    return compare(
        "import lsdx",
        lambda: run("lsdx"),
        {"import xarray": lambda: run("xarray")},
        same=lambda a, b: a == b,
        runs=3 if quick else 9,
    )
