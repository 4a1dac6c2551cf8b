"""Small grey pictures of figures, and those that were looked at.

``KEEP_THUMBNAILS=1 nox -s tests -- lsdx/figures`` writes them anew: look at each picture first,
in the site's gallery.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

KEPT = Path(__file__).with_name("thumbnails.json")
SIZE = 12  # cells in each direction
MOST, MEAN = 40, 6  # levels of grey, of 256, by which a cell and all cells may differ


def thumbnail(figure: Any) -> np.ndarray:
    """Return a figure as (SIZE, SIZE) uint8: the mean grey of each cell."""
    figure.canvas.draw()
    grey = np.asarray(figure.canvas.buffer_rgba())[..., :3].mean(axis=-1)
    rows, columns = (np.linspace(0, n, SIZE + 1).astype(int) for n in grey.shape)
    sums = np.add.reduceat(np.add.reduceat(grey, rows[:-1], axis=0), columns[:-1], axis=1)
    return np.rint(sums / np.outer(np.diff(rows), np.diff(columns))).astype(np.uint8)


def compare_picture(name: str, figure: Any) -> None:
    """Compare a figure with the one of that name that was kept, or keep it if asked."""
    kept = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    found = thumbnail(figure)
    if os.environ.get("KEEP_THUMBNAILS"):
        kept[name] = found.tobytes().hex()
        KEPT.write_text(json.dumps(dict(sorted(kept.items())), indent=0) + "\n")
        return
    assert name in kept, f"{name}: no picture is kept; see tests/figures/thumbnails.py"
    expected = np.frombuffer(bytes.fromhex(kept[name]), np.uint8).reshape(SIZE, SIZE)
    apart = np.abs(found.astype(int) - expected)
    told = f"cells differ by {apart.max()} at most, {apart.mean():.1f} on average"
    do = "Look at it; see tests/figures/thumbnails.py"
    assert apart.max() <= MOST, f"{name}: drawn otherwise than before ({told}). {do}"
    assert apart.mean() <= MEAN, f"{name}: drawn otherwise than before ({told}). {do}"
