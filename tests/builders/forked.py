"""Builds in processes of their own, which can be killed: ``python -m tests.builders.forked``.

For each line that the process reads, a child is forked that builds; its pid is printed, then
how it ended. What takes time to import has been imported by then.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import distributed  # noqa: F401
import zarr  # noqa: F401

import lsdx.analysis.binning
import lsdx.kernels.binning  # noqa: F401
from lsdx.builders import build
from lsdx.config import Settings
from tests.builders.outside import ENVIRONMENT, ROOT


class Builder:
    """A process that forks builds of one cohort into one folder."""

    def __init__(self, cache: Path, stores: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.builders.forked", str(cache), str(stores)],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._read() == "ready"

    def _read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def start(self, sessions: str = "") -> int:
        """Start a build of these sessions, all by default; give its pid."""
        assert self.process.stdin is not None
        self.process.stdin.write(sessions + "\n")
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
def builders(cache: Path, stores: Path, number: int = 1) -> Iterator[list[Builder]]:
    """Have so many processes that build."""
    made = [Builder(cache, stores) for _ in range(number)]
    try:
        yield made
    finally:
        for builder in made:
            builder.close()


def main() -> None:
    """Fork a build for each line of standard input."""
    cache, stores = (Path(a) for a in sys.argv[1:3])
    settings = Settings(source="cache", cache_dir=cache, stores=stores)
    print("ready", flush=True)  # noqa: T201
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                report = build(settings, sessions=line.split(), progress=False)
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
