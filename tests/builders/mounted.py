"""Build on a disk too small, then read-only: ``unshare -rm python mounted.py CACHE FOLDER``.

The disk is a tmpfs in a mount namespace of this process alone. Prints JSON lines for the test.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

import lsdx
from lsdx.builders import build
from lsdx.builders.upkeep import verify
from lsdx.config import Settings
from lsdx.errors import RecipeError
from tests.builders.same import WITHOUT_CAMERAS, hashes


def main() -> None:
    """Fill the disk, see what stands, enlarge it, build the rest, make all read-only."""
    cache, folder = (Path(a) for a in sys.argv[1:3])

    def mount(size: str, *options: str) -> None:
        command = ["mount", *options, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        subprocess.run(command, check=True)

    mount("400m")
    settings = Settings(source="cache", cache_dir=cache, stores=folder)
    first, *_ = build(settings, WITHOUT_CAMERAS, progress=False).names
    whole = hashes(folder)
    subprocess.run(["umount", str(folder)], check=True)

    mount("400m")
    build(settings, WITHOUT_CAMERAS, sessions=[first], progress=False)
    before, counts = hashes(folder), lsdx.open_units(folder).counts.values
    used = int(subprocess.check_output(["du", "-sk", str(folder)], text=True).split()[0])
    subprocess.run(["mount", "-o", f"remount,size={used + 200}k", str(folder)], check=True)
    try:
        report = build(settings, WITHOUT_CAMERAS, progress=False)
        told = [line.reason for line in report.lines if line.status == "failed"]
    except (RecipeError, OSError) as error:
        told = [str(error)]
    after = lsdx.open_units(folder).counts.values[: len(counts), ..., : counts.shape[-1]]
    same = np.array_equal(after, counts, equal_nan=True)
    sound = not [c for c in verify(folder) if c.problem]
    kept = set(before) <= {p.relative_to(folder).as_posix() for p in folder.rglob("*")}

    subprocess.run(["mount", "-o", "remount,size=400m", str(folder)], check=True)
    failed = build(settings, WITHOUT_CAMERAS, progress=False).failed
    equal = hashes(folder) == whole

    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    subprocess.run(["mount", "--bind", str(cache), str(cache)], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", str(cache)], check=True)
    read = bool(np.array_equal(lsdx.open_units(folder).counts[:5], after[:5], equal_nan=True))
    try:
        build(settings, WITHOUT_CAMERAS, progress=False)
        refused = ""
    except RecipeError as error:
        refused = str(error)
    elsewhere = replace(settings, stores=folder.with_name("elsewhere"))
    build(elsewhere, WITHOUT_CAMERAS, progress=False)

    result = {
        "told": told,
        "kept": kept,
        "sound": sound,
        "same": same,
        "failed": failed,
        "equal": equal,
        "read": read,
        "refused": refused,
        "from_read_only": hashes(elsewhere.stores) == whole,
    }
    print(json.dumps(result))  # noqa: T201


if __name__ == "__main__":
    main()
