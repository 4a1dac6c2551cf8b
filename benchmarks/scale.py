"""How large a cohort may grow: catalogs of many sessions, made of the metadata of a few.

``python -m benchmarks.scale STORES``: nothing but the catalog is written. Prints a table.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np

from benchmarks.timing import timed
from lsdx.store.catalog import Catalog, Entry, parse_catalog
from lsdx.store.place import Place


def grown(catalog: Catalog, n_sessions: int) -> Catalog:
    """Return a catalog with so many sessions, each as one of those that there are."""
    rng = np.random.default_rng(0)
    known = list(catalog.parts["sessions"])
    ids = [str(UUID(bytes=rng.bytes(16))) for _ in range(n_sessions)]
    parts: dict[str, dict[str, Entry]] = {}
    for name, by_session in catalog.parts.items():
        parts[name] = {}
        for i, eid in enumerate(ids):
            like = known[i % len(known)]
            if like in by_session:
                entry = by_session[like]
                parts[name][eid] = replace(entry, path=entry.path.replace(like, eid))
    return replace(catalog, parts=parts)


def main() -> None:
    """Measure catalogs of 40, 500 and 5,000 sessions."""
    catalog = Place(Path(sys.argv[1])).catalog()
    print("| sessions | catalog | compressed | write | read |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for n in (40, 500, 5000):
            path = Path(folder) / "catalog.json"
            whole = grown(catalog, n)
            writing, text = timed(whole.to_json)
            path.write_text(text)
            reading, found = timed(lambda: parse_catalog(path.read_text(), "catalog.json"))  # noqa: B023
            if found.digest != whole.digest:
                raise RuntimeError("what was read is another catalog")
            packed = len(gzip.compress(text.encode()))
            print(
                f"| {n} | {len(text) / 1e6:.3g} MB | {packed / 1e6:.3g} MB | {writing:.2f} s "
                f"| {reading:.3f} s |"
            )


if __name__ == "__main__":
    main()
