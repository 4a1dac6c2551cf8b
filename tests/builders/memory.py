"""Build in a process of its own and tell its memory: ``python memory.py SMALL LARGE STORES``.

The small cohort is built first, so that what is imported and compiled is not counted. Prints
the growth of the peak and the bytes of the spike arrays of the largest session, as JSON.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import dask

from lsdx.builders import build
from lsdx.config import Settings
from lsdx.store.place import Place
from tests.builders.same import WITHOUT_CAMERAS

BYTES_PER_SPIKE = 8 + 4  # float64 times, int32 clusters


def peak() -> int:
    """Return the highest resident set so far; ``ru_maxrss`` would be the parent's before exec."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def main() -> None:
    """Build both cohorts on one thread."""
    small, large, stores = (Path(a) for a in sys.argv[1:4])
    peaks = []
    with dask.config.set(num_workers=1):
        for cache in (small, large):
            folder = stores / cache.name
            settings = Settings(source="cache", cache_dir=cache, stores=folder)
            report = build(settings, WITHOUT_CAMERAS, progress=False)
            assert not report.failed
            peaks.append(peak())
    spikes = max(e.sizes["spike"] for e in Place(folder).catalog().parts["spikes"].values())
    print(json.dumps({"growth": peaks[1] - peaks[0], "arrays": spikes * BYTES_PER_SPIKE}))  # noqa: T201


if __name__ == "__main__":
    main()
