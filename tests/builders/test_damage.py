"""Damage anywhere in a store: each read refuses by name or gives the right values."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from lsdx.builders.upkeep import verify
from lsdx.errors import StoreCorrupt
from lsdx.store.access import read_store
from lsdx.store.catalog import Entry
from lsdx.store.place import Place


@pytest.fixture
def stores(demo_stores: Path, tmp_path: Path) -> Path:
    shutil.copytree(demo_stores, tmp_path / "stores")
    return tmp_path / "stores"


def files_of(store: Path) -> list[Path]:
    """List the files of a store, which may be one."""
    return [store] if store.is_file() else sorted(p for p in store.rglob("*") if p.is_file())


def flip(raw: bytes, rng: np.random.Generator) -> bytes:
    """Flip one bit."""
    place = int(rng.integers(len(raw) * 8))
    changed = bytearray(raw)
    changed[place // 8] ^= 1 << (place % 8)
    return bytes(changed)


def spoil(raw: bytes, rng: np.random.Generator, how: str) -> bytes | None:
    """Damage the bytes of a file; None deletes it."""
    if how == "flip":
        return flip(raw, rng)
    if how == "cut":
        return raw[: int(rng.integers(len(raw)))]
    return b"" if how == "empty" else None


def outcome(stores: Path, entry: Entry, expected: xr.Dataset) -> str:
    """Read a store whole: what it refuses, or that its values are right."""
    try:
        found = read_store(Place(stores), entry)
    except StoreCorrupt as error:
        return "refused" if entry.path.split("/")[-2] in str(error) else f"unnamed: {error}"
    xr.testing.assert_identical(found, expected)
    return "right"


def damage(stores: Path, times: int, seed: int) -> Counter[str]:
    """Damage one file at a time, read its store, restore it."""
    rng = np.random.default_rng(seed)
    catalog = Place(stores).catalog()
    entries = catalog.entries()
    by_store: dict[str, tuple[Entry, list[Path], xr.Dataset]] = {}
    outcomes: Counter[str] = Counter()
    hows = ("flip", "flip", "flip", "cut", "empty", "delete")
    for i in range(times):
        entry = entries[int(rng.integers(len(entries)))]
        if entry.path not in by_store:
            files = files_of(stores / entry.path)
            by_store[entry.path] = entry, files, read_store(Place(stores), entry)
        _, files, expected = by_store[entry.path]
        file = files[int(rng.integers(len(files)))]
        raw = file.read_bytes()
        how = hows[i % len(hows)]
        changed = spoil(raw, rng, how)
        if changed is None:
            file.unlink()
        else:
            file.write_bytes(changed)
        kind = {"zarr.json": "metadata"}.get(file.name, "table" if len(files) == 1 else "chunk")
        outcomes[f"{outcome(stores, entry, expected)} {kind}"] += 1
        file.write_bytes(raw)
    return outcomes


def test_damage_is_refused_by_name_or_harmless(stores: Path) -> None:
    outcomes = damage(stores, times=180, seed=3)
    # every byte is under a checksum; metadata are read from the catalog
    assert set(outcomes) == {"refused chunk", "right metadata", "refused table"}
    assert sum(outcomes.values()) == 180


@pytest.mark.slow
def test_thousands_of_damages_are_refused_by_name(stores: Path) -> None:
    outcomes = damage(stores, times=4000, seed=4)
    assert set(outcomes) == {"refused chunk", "right metadata", "refused table"}


def test_a_catalog_with_any_bit_flipped_is_refused(stores: Path) -> None:
    path = stores / "catalog.json"
    raw = path.read_bytes()
    expected = Place(stores).catalog()
    rng = np.random.default_rng(5)
    for _ in range(60):
        path.write_bytes(flip(raw, rng))
        try:
            found, refused = Place(stores).catalog(), ""
        except StoreCorrupt as error:
            found, refused = expected, str(error)
        assert found == expected  # a flip of white space, say
        assert not refused or "catalog.json" in refused


def test_verify_finds_every_damage(stores: Path) -> None:
    rng = np.random.default_rng(6)
    entries = Place(stores).catalog().entries()
    chosen = [entries[i] for i in rng.permutation(len(entries))[:8]]
    for i, entry in enumerate(chosen):
        files = files_of(stores / entry.path)
        file = files[int(rng.integers(len(files)))]
        changed = spoil(file.read_bytes(), rng, ("flip", "cut", "empty", "delete")[i % 4])
        if changed is None:
            file.unlink()
        else:
            file.write_bytes(changed)
    bad = {c.store for c in verify(stores) if c.problem}
    assert bad == {e.path for e in chosen}
