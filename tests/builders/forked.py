"""Builds in processes of their own, which can be killed: ``python -m tests.builders.forked``.

For each line that the process reads, the folder of stores and the sessions as JSON, a child is
forked that builds; its pid is printed, then how it ended. What takes time to import or to compile
is there by then.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dask.array  # noqa: F401
import distributed  # noqa: F401
import iblatlas.regions  # noqa: F401
import pyarrow.dataset
import pyarrow.parquet  # noqa: F401
import zarr  # noqa: F401

import lsdx.analysis.binning
import lsdx.kernels.binning  # noqa: F401
from lsdx.builders import build
from lsdx.builders.recipe import load_recipes
from lsdx.config import Settings
from tests.builders.outside import ENVIRONMENT, ROOT
from tests.builders.same import WITHOUT_CAMERAS


class Builder:
    """A process that forks builds of one cohort."""

    def __init__(self, cache: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.builders.forked", str(cache)],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ready(self) -> None:
        """Wait until all is imported."""
        assert self._read() == "ready"

    def start(self, stores: Path, sessions: Sequence[str] = ()) -> int:
        """Start a build of these sessions, all by default; give its pid."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([str(stores), *sessions]) + "\n")
        self.process.stdin.flush()
        return int(self._read())

    def wait(self) -> str:
        """Tell how the build ended: ``killed``, or statuses and what failed."""
        return self._read()

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()


@contextmanager
def builders(cache: Path, number: int = 1) -> Iterator[list[Builder]]:
    """Have so many processes that build."""
    made = [Builder(cache) for _ in range(number)]
    try:
        for builder in made:
            builder.ready()
        yield made
    finally:
        for builder in made:
            builder.close()


def main() -> None:
    """Fork a build for each line of standard input."""
    cache = Path(sys.argv[1])
    load_recipes()  # and with it the units of measure
    print("ready", flush=True)  # noqa: T201
    for line in sys.stdin:
        stores, *sessions = json.loads(line)
        settings = Settings(source="cache", cache_dir=cache, stores=Path(stores))
        child = os.fork()
        if child == 0:
            status = 1
            try:
                report = build(settings, WITHOUT_CAMERAS, sessions=sessions, progress=False)
                found = any(x.status in ("found", "reused") for x in report.lines)
                status = 1 if report.failed else 2 if found else 0
            finally:
                sys.stdout.flush()
                os._exit(status)
        print(child, flush=True)  # noqa: T201
        _, ended = os.waitpid(child, 0)
        names = {0: "built", 1: "failed", 2: "found"}
        how = "killed" if os.WIFSIGNALED(ended) else names[os.WEXITSTATUS(ended)]
        print(how, flush=True)  # noqa: T201


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main()
