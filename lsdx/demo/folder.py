"""Write a simulated folder whole or not at all, and never over anything else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from lsdx.demo.records import Record
from lsdx.errors import ConfigError, located


def write_once(directory: str | Path, generator: Record, write: Callable[[Path], None]) -> Path:
    """Let ``write`` fill a folder, unless it holds what this generator wrote.

    ``write`` leaves a ``truth.json`` that holds the generator, by which the folder is known
    again. Return the absolute path.
    """
    target = Path(directory).resolve()
    if _is_written(target, generator):
        return target
    scratch = target.with_name(f".{target.name}.{os.getpid()}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        write(scratch)
        if target.exists():
            target.rmdir()
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _is_written(target: Path, generator: Record) -> bool:
    """Return whether the directory holds this very demo; refuse one that holds anything else."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    held = _held_generator(target / "truth.json")
    if held == generator:
        return True
    found = "other files" if target.is_dir() else "a file"
    if held is not None:
        found = f"what was simulated with {held}"
    expected = f"an empty folder or what is simulated with {generator}"
    advice = "Name another folder, or remove this one if nothing in it is needed."
    raise ConfigError(located(str(target), expected, found, advice))


def _held_generator(path: Path) -> Record | None:
    try:
        truth = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    generator = truth.get("generator") if isinstance(truth, dict) else None
    return generator if isinstance(generator, dict) else None
