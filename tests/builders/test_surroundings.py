"""Hostile surroundings: a full disk, a folder that is not ours, odd names."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import lsdx
from lsdx.builders import build
from lsdx.builders.upkeep import collect_garbage
from lsdx.config import Settings
from lsdx.demo import write_cohort
from tests.builders.outside import run_module


def may_mount() -> bool:
    """Whether this machine lets a process mount in a namespace of its own."""
    if shutil.which("unshare") is None:
        return False
    return (
        subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode == 0
    )


@pytest.mark.skipif(not may_mount(), reason="this machine allows no mount namespaces")
def test_a_full_and_a_read_only_disk_lose_nothing(tmp_path: Path) -> None:
    cache = write_cohort(tmp_path / "cohort", n_sessions=2, n_units=8)
    disk = tmp_path / "disk"
    disk.mkdir()
    result = run_module("mounted", cache, disk, under=("unshare", "-rm"))
    assert any("No space left on device" in reason for reason in result["told"])
    assert result["kept"]
    assert result["sound"]
    assert result["same"]
    assert not result["failed"]
    assert result["equal"]
    # all of it read-only: it opens, a build is refused by name, the cache is never written to
    assert result["read"]
    assert "a folder to write to" in result["refused"]
    assert str(disk) in result["refused"]
    assert result["from_read_only"]


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


def test_what_lies_behind_a_link_is_read_and_never_removed(
    tmp_path: Path, demo_stores: Path
) -> None:
    stores, elsewhere = tmp_path / "stores", tmp_path / "other disk"
    shutil.copytree(demo_stores, stores)
    shutil.move(stores / "parts", elsewhere)
    (stores / "parts").symlink_to(elsewhere)
    (tmp_path / "link").symlink_to(stores)
    orphan = elsewhere / "units" / f"mine-{'0' * 20}"
    orphan.mkdir()
    dangling = stores / "flat" / f"units-{'0' * 20}"
    dangling.symlink_to(tmp_path / "nowhere")
    target = tmp_path / "a folder of mine"
    target.mkdir()
    (stores / "flat" / f"units-{'1' * 20}").symlink_to(target)
    spikes = lsdx.open_spikes(tmp_path / "link")
    assert spikes.spike_time.size == lsdx.open_spikes(demo_stores).spike_time.size
    removed = collect_garbage(tmp_path / "link")
    # the links lie in the folder and are named like stores; what they lead to does not
    assert removed == [f"flat/units-{'0' * 20}", f"flat/units-{'1' * 20}"]
    assert orphan.is_dir()
    assert target.is_dir()
    assert bool((lsdx.open_spikes(stores).spike_time >= 0).all())
