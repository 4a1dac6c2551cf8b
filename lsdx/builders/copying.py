"""Copy stores between folders and addresses: verified, resumable, only what is missing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from lsdx.builders.lock import building, publishing
from lsdx.builders.write import (
    MANIFEST,
    TEMPORARY,
    check_bytes,
    find_store,
    publish_store,
    replace_file,
)
from lsdx.errors import RecipeError, StoreCorrupt, StoreNotFound, located
from lsdx.remote import RemotePath
from lsdx.store.catalog import CATALOG, Catalog, Entry
from lsdx.store.place import Place, find_place

_AT_ONCE = 16  # objects of one store


@dataclass(frozen=True)
class Copied:
    """What a copy did: stores copied and found there, and the bytes of those copied."""

    copied: int
    found: int
    bytes: int


def copy_stores(
    source: str | Path | RemotePath,
    target: str | Path | RemotePath,
    *,
    tag: str | None = None,
    progress: bool = False,
) -> Copied:
    """Copy what a catalog names, and then the catalog.

    Parameters
    ----------
    source, target : path
        Folders, or addresses such as ``"s3://bucket/prefix"``.
    tag : str, optional
        A tagged catalog, which keeps its tag there, and is the current one too where there is
        none. By default the current catalog.
    progress : bool
        Whether to show a bar (never where the output is no terminal).

    Returns
    -------
    Copied
        A store that is there already, whole, is not copied again: run it again after a failure.

    Raises
    ------
    StoreNotFound, StoreCorrupt
        If the source is not there, or damaged: every byte is checked on the way. Nothing is
        published then.
    RecipeError
        If the target is current with sessions that the source has not: nothing published is lost.
    """
    from tqdm import tqdm

    here, there = find_place(source), find_place(target)
    catalog = here.catalog(tag)
    _check_replaces(there, catalog, tag)
    entries = catalog.entries()
    n_copied = n_bytes = 0
    off = None if progress else True
    size = sum(e.bytes for e in entries)
    with (
        _open_for_writing(there),
        tqdm(total=size, desc="copy", unit="B", unit_scale=True, disable=off) as bar,
    ):
        for entry in entries:
            if not _is_there(there, entry):
                _copy_store(here, there, entry)
                n_copied, n_bytes = n_copied + 1, n_bytes + entry.bytes
            bar.update(entry.bytes)
        _publish(there, catalog, tag)
    return Copied(n_copied, len(entries) - n_copied, n_bytes)


@contextmanager
def _open_for_writing(place: Place) -> Iterator[None]:
    if isinstance(place.path, RemotePath):
        yield
        return
    place.path.mkdir(parents=True, exist_ok=True)
    with building(place.path):
        yield


def _current(place: Place) -> Catalog | None:
    try:
        return place.catalog()
    except StoreNotFound:
        if isinstance(place.path, RemotePath) and (place.path / CATALOG).is_file():
            raise
        return None


def _check_replaces(place: Place, catalog: Catalog, tag: str | None) -> None:
    """Refuse to take the place of what has sessions that are not in the copy."""
    now = None if tag is not None else _current(place)
    if now is None:
        return
    lost = sorted(set(now.parts.get("sessions", {})) - set(catalog.parts.get("sessions", {})))
    if lost:
        found = f"{len(lost)} others, such as {lost[0]}"
        do = "Name another target, or copy under a tag."
        raise RecipeError(located(str(place), "sessions that the source has too", found, do))


def _is_there(place: Place, entry: Entry) -> bool:
    """Return whether a store was published whole: its manifest comes last."""
    if isinstance(place.path, RemotePath):
        return (place.within(entry).parent / MANIFEST).is_file()
    return find_store(place.path, entry.path) is not None


def _copy_store(source: Place, target: Place, entry: Entry) -> None:
    """Copy the folder of one store, whose bytes are checked where they lie on this machine."""
    with tempfile.TemporaryDirectory() as scratch:
        root = source.path
        if isinstance(root, RemotePath):
            root = Path(scratch)
            _download(source, entry, root)
        problems = check_bytes(root, entry)
        if problems:
            raise StoreCorrupt(problems[0].replace(str(root), str(source)))
        local = (root / entry.path).parent
        if isinstance(target.path, RemotePath):
            _upload(local, target.within(entry).parent)
            return
        beside = target.path / TEMPORARY / f"{uuid4().hex}.store"
        try:
            shutil.copytree(local, beside)
            publish_store(target.path, beside, entry)
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def _download(source: Place, entry: Entry, root: Path) -> None:
    below = source.within(entry).parent
    if not isinstance(below, RemotePath):
        raise TypeError(f"{below}: no address")

    def get(path: RemotePath) -> None:
        file = root / (root / entry.path).parent / Path(path.relative_to(below))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(path.read_bytes())

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(get, below.files()))


def _upload(local: Path, target: Path | RemotePath) -> None:
    files = [p for p in sorted(local.rglob("*")) if p.is_file()]
    last = local / MANIFEST

    def put(file: Path) -> None:
        to = target / file.relative_to(local).as_posix()
        to.write_bytes(file.read_bytes())

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(put, [f for f in files if f != last]))
    put(last)


def _publish(place: Place, catalog: Catalog, tag: str | None) -> None:
    """Write the catalog: the one step that makes the copy current."""
    names = [CATALOG] if tag is None else [f"tags/{tag}.json"]
    if tag is not None and _current(place) is None:
        names.append(CATALOG)
    text = catalog.to_json()
    if not isinstance(place.path, RemotePath):
        with publishing(place.path):
            _check_replaces(place, catalog, tag)
            for name in names:
                replace_file(place.path, name, text)
        return
    for name in names:
        path = place.path / name
        seen = path.tag()
        _check_replaces(place, catalog, tag)
        path.write_bytes(text.encode(), instead_of=seen)
