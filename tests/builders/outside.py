"""Run a module of these tests in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


def run_module(name: str, *arguments: Path, under: tuple[str, ...] = ()) -> Any:
    """Run it, under another command if need be; give the JSON that it prints."""
    done = subprocess.run(
        [*under, sys.executable, "-m", f"tests.builders.{name}", *map(str, arguments)],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
