"""Hostile surroundings: a full disk, a folder that is not ours, odd names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lsdx
from lsdx.build import build
from lsdx.build.upkeep import collect_garbage
from lsdx.config import Settings
from lsdx.demo import write_cohort

ROOT = Path(__file__).parents[2]


def may_mount() -> bool:
    """Whether this machine lets a process mount in a namespace of its own."""
    if shutil.which("unshare") is None:
        return False
    return (
        subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode == 0
    )


@pytest.mark.skipif(not may_mount(), reason="this machine allows no mount namespaces")
def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    cache = write_cohort(tmp_path / "cohort", n_sessions=3, n_units=8)
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["unshare", "-rm", sys.executable, "-m", "tests.build.small_disk", str(cache), str(disk)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert any("No space left on device" in reason for reason in result["told"])
    assert result["kept"]
    assert result["sound"]
    assert result["same"]
    assert not result["failed"]
    assert result["equal"]


def test_odd_paths_and_foreign_files(tmp_path: Path) -> None:
    cache = write_cohort(tmp_path / "mes données" / "cohorte été", n_sessions=1, n_units=8)
    stores = tmp_path / "Größe 研究" / "stores"
    stores.mkdir(parents=True)
    foreign = [stores / "thesis.tex", stores / "parts" / "mine", stores / "tmp" / "notes.txt"]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_text("not yours")
    report = build(Settings(source="cache", cache_dir=cache, stores=stores), progress=False)
    assert not report.failed
    assert lsdx.open_units(stores).counts.compute().size > 0
    collect_garbage(stores)
    assert all(p.read_text() == "not yours" for p in foreign)


def test_a_clock_that_goes_back_changes_nothing(tmp_path: Path, demo_stores: Path) -> None:
    """No time of day is in any store: files as old as the epoch are as good."""
    stores = tmp_path / "stores"
    shutil.copytree(demo_stores, stores)
    for path in stores.rglob("*"):
        os.utime(path, (0, 0))
    assert lsdx.open_units(stores).n_spikes.equals(lsdx.open_units(demo_stores).n_spikes)
