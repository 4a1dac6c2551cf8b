"""Put what was written in its place: in a folder by renaming, at an address by uploading.

In both, a store gets its final name whole, and `replace_catalog` is the one step that makes it
current. A folder's builders exclude each other by locks (`lsdx.builders.lock`); at an address
there are none: the catalog is replaced only if it is still the one that was read.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from lsdx.builders.lock import mending
from lsdx.builders.manifest import MANIFEST, find_store, manifest_text
from lsdx.errors import RecipeError, StoreNotFound, located
from lsdx.remote import AT_ONCE, RemoteObject, RemotePath, Root, Version
from lsdx.store.catalog import CATALOG, Catalog, Entry

TEMPORARY = "tmp"
PAST = "past"


def make_root(root: Root) -> None:
    """Make sure that stores can be written there.

    Raises
    ------
    RecipeError, StoreNotFound
        If nothing can be written, naming the folder or the address.
    """
    probe = root / TEMPORARY / f"{uuid4().hex}.probe"
    if isinstance(probe, RemotePath):
        probe.write_bytes(b"")
        probe.unlink()
        return
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise RecipeError(
            located(str(root), "a folder to write to", str(error), "Name another: --stores DIR.")
        ) from error


@contextmanager
def scratch(root: Root) -> Iterator[tuple[Path, str]]:
    """Give a stores folder of this machine, and a path in it to write one store to.

    It is the folder itself, or one of the system's temporary folders where stores lie at an
    address. What is left there is removed.
    """
    path = f"{TEMPORARY}/{uuid4().hex}.store"
    if isinstance(root, RemotePath):
        with tempfile.TemporaryDirectory(prefix="lsdx-") as made:
            (Path(made) / path).mkdir(parents=True)
            yield Path(made), path
        return
    (root / path).mkdir(parents=True)
    try:
        yield root, path
    finally:
        shutil.rmtree(root / path, ignore_errors=True)


def place_store(root: Root, target: Path, entry: Entry) -> tuple[Entry, bool]:
    """Give a verified store its name; where another builder was first, take what is there."""
    (target / MANIFEST).write_text(manifest_text(entry), encoding="utf-8")
    final = (root / entry.path).parent
    if isinstance(final, RemotePath):
        there = find_store(root, entry.path)
        if there is not None:
            return there, False
        # two builders that write the same store at the same time write the same objects
        final.write_folder(target, MANIFEST)
        return entry, True
    if isinstance(root, RemotePath):
        raise TypeError(f"{root}: no folder")
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(target, final)
    except OSError:
        if not final.exists():
            raise
        with mending(root):
            there = find_store(root, entry.path)
            if there is not None:
                return there, False
            # damaged: it goes only now that what replaces it is verified
            os.rename(final, root / TEMPORARY / f"{uuid4().hex}.damaged")
            os.rename(target, final)
    return entry, True


def replace_file(root: Root, name: str, text: str) -> None:
    """Write a file of the stores in one step: whole before it has its name."""
    final = root / name
    if isinstance(final, RemotePath):
        final.write_bytes(text.encode())
        return
    beside = Path(root / TEMPORARY / f"{uuid4().hex}.file")
    for parent in (beside.parent, final.parent):
        parent.mkdir(parents=True, exist_ok=True)
    with beside.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(beside, final)


def catalog_version(root: Root) -> Version:
    """Return which catalog is current, for `replace_catalog`; read the catalog after it."""
    path = root / CATALOG
    return path.version() if isinstance(path, RemotePath) else {}


def replace_catalog(root: Root, catalog: Catalog, before: Catalog | None, version: Version) -> None:
    """Make a catalog current: the one step that publishes.

    Parameters
    ----------
    root : Path or RemotePath
        A folder is under the lock `lsdx.builders.lock.publishing`.
    catalog : Catalog
    before : Catalog, optional
        The one that it replaces. At an address it is kept below ``past`` until ``lsdx gc``, for
        those who have it open.
    version : mapping
        What `catalog_version` said before that one was read.

    Raises
    ------
    PublishedMeanwhile
        If another has been published since.
    StoreNotFound
        If ``lsdx gc`` removed a store that is new in this catalog while it was published: it was
        left from a build long ago. The next build makes it again.
    """
    path = root / CATALOG
    if not isinstance(path, RemotePath):
        replace_file(root, CATALOG, catalog.to_json())
        return
    known = set() if before is None else {e.path for e in before.entries()}
    new = [_manifest(root, e) for e in catalog.entries() if e.path not in known]
    _each(_renew, new)
    if before is not None and before.recipes and before.digest != catalog.digest:
        keep_past(root, before)
    path.write_bytes(catalog.to_json().encode(), instead_of=version)
    _each(_require, new)


def keep_past(root: Root, catalog: Catalog) -> None:
    """Keep at an address a catalog that is replaced, so that ``gc`` spares its stores a while."""
    if isinstance(root, RemotePath):
        replace_file(root, f"{PAST}/{catalog.digest}.json", catalog.to_json())


def _manifest(root: Root, entry: Entry) -> RemotePath:
    path = (root / entry.path).parent / MANIFEST
    if not isinstance(path, RemotePath):
        raise TypeError(f"{root}: no address")
    return path


def _renew(manifest: RemotePath) -> None:
    """Make a manifest young, so that ``gc`` leaves its store alone, unless it has begun."""
    found = _require(manifest)
    manifest.write_bytes(manifest.read_bytes(), instead_of=found.version)


def _require(manifest: RemotePath) -> RemoteObject:
    found = manifest.look()
    if found is None:
        removed = "none: lsdx gc has removed what was left there from an earlier build"
        raise StoreNotFound(located(str(manifest), "a finished store", removed, "Build again."))
    return found


def _each(check: Callable[[RemotePath], object], paths: Iterable[RemotePath]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(check, paths))
