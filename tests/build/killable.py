"""Build in a process that can be killed: ``python killable.py CACHE STORES``.

For each line read, a child is forked that builds; its pid is printed, then how it ended. What
takes time to import has been imported by then.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import distributed  # noqa: F401
import zarr  # noqa: F401

import lsdx.analysis.binning
import lsdx.kernels.binning  # noqa: F401
from lsdx.build import build
from lsdx.config import Settings


def main() -> None:
    """Fork a build for each line of standard input."""
    cache, stores = (Path(a) for a in sys.argv[1:3])
    settings = Settings(source="cache", cache_dir=cache, stores=stores)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = int(build(settings, sessions=line.split(), progress=False).failed)
            finally:
                sys.stdout.flush()
                os._exit(status)
        print(child, flush=True)  # noqa: T201
        _, ended = os.waitpid(child, 0)
        print("killed" if os.WIFSIGNALED(ended) else os.WEXITSTATUS(ended), flush=True)  # noqa: T201


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main()
