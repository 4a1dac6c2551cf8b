"""What tests of builds share: which stores they build, and how they compare them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lsdx.store.place import Place

# stores of cameras take half of a build's time
WITHOUT_CAMERAS = ("sessions", "insertions", "epochs", "events", "units", "counts", "spikes")


def hashes(folder: Path) -> dict[str, str]:
    """Hash every file that the catalog names, and the catalog."""
    catalog = Place(folder).catalog()
    paths = [folder / "catalog.json"]
    for entry in catalog.entries():
        paths += [p for p in (folder / entry.path).rglob("*") if p.is_file()]
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths
    }
