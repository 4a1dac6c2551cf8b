"""What a finished store is: its manifest, and whether its bytes are still those it states."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lsdx.errors import StoreCorrupt, StoreNotFound, located
from lsdx.remote import RemotePath, Root
from lsdx.store.access import read_bytes
from lsdx.store.catalog import Entry, digest_of
from lsdx.store.place import Place
from lsdx.store.tables import SUFFIX

MANIFEST = "manifest.json"
_AT_ONCE = 16  # files of a store that are checked


def manifest_text(entry: Entry) -> str:
    """Write what lies beside a store: its entry, and the digest of that."""
    content = asdict(entry)
    return json.dumps(content | {"digest": digest_of(content)}, indent=1, sort_keys=True)


def read_manifest(root: Root, path: str) -> Entry | None:
    """Read the manifest beside a store; None if it is missing or damaged."""
    try:
        raw = json.loads(((root / path).parent / MANIFEST).read_text(encoding="utf-8"))
        stated = raw.pop("digest")
        entry = Entry(**raw)
    except StoreNotFound:  # of an address: nobody answers, or it may not be read
        raise
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return entry if digest_of(asdict(entry)) == stated and entry.path == path else None


def find_store(root: Root, path: str) -> Entry | None:
    """Return the entry of a store that was finished under this name, if its bytes still hold.

    A store gets its name together with its manifest, which says what its bytes must be. One that
    no longer holds is left where it is until it can be replaced.
    """
    entry = read_manifest(root, path)
    return None if entry is None or check_bytes(root, entry) else entry


def describe(folder: Path, path: str, sizes: Mapping[Any, int], attrs: Mapping[str, Any]) -> Entry:
    """Make the entry of a store from its bytes."""
    root = folder / path
    if root.is_file():
        metadata = {"": hashlib.sha256(root.read_bytes()).hexdigest()}
    else:
        files = sorted(root.rglob("zarr.json"))
        metadata = {_array_name(root, p): p.read_text(encoding="utf-8") for p in files}
    return Entry(
        path=path,
        bytes=_size(root),
        metadata=metadata,
        sizes={str(k): int(v) for k, v in sizes.items()},
        attrs=dict(attrs),
    )


def check_bytes(root: Root, entry: Entry) -> list[str]:
    """Check every byte of a store against its checksums, decoding nothing.

    Returns
    -------
    list of str
        One message a damaged, missing or foreign file; empty if all is well.
    """
    try:
        if entry.path.endswith(SUFFIX):
            read_bytes(Place(root), entry)
            return []
        store = Place(root).open(entry)
    except (StoreCorrupt, StoreNotFound) as error:
        return [str(error)]
    problems = _read_all(store, _metadata_keys(entry))
    if problems:
        return problems
    problems = _read_all(store, _chunk_keys(store, entry))
    if not problems:
        where = root / entry.path
        found = _size(where)
        if found != entry.bytes:
            do = "Remove what is foreign."
            problems.append(located(str(where), f"{entry.bytes} bytes", f"{found}", do))
    return problems


def file_names(root: Root, entry: Entry) -> list[str]:
    """Return the names of a store's files below its path, by what the catalog says of its arrays.

    Nothing is listed: a web server could not. A store of one file has ``.`` alone.
    """
    if entry.path.endswith(SUFFIX):
        return ["."]
    return _metadata_keys(entry) + _chunk_keys(Place(root).open(entry), entry)


def _metadata_keys(entry: Entry) -> list[str]:
    return [f"{name}/zarr.json" if name else "zarr.json" for name in entry.metadata]


def _chunk_keys(store: Any, entry: Entry) -> list[str]:
    import zarr

    keys = []
    for name in filter(None, entry.metadata):
        array = zarr.open_array(store, path=name, mode="r", zarr_format=3)
        grid = [-(-n // c) for n, c in zip(array.shape, array.chunks, strict=True)]
        keys += [f"{name}/c/{'/'.join(map(str, place))}" for place in np.ndindex(*grid)]
    return keys


def _read_all(store: Any, keys: list[str]) -> list[str]:
    """Read keys as they lie there, several at a time, and say which are damaged."""
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    prototype = default_buffer_prototype()

    async def read_each() -> list[str | None]:
        free = asyncio.Semaphore(_AT_ONCE)

        async def read(key: str) -> str | None:
            try:
                async with free:
                    await store.stored(key, prototype)
            except (StoreCorrupt, StoreNotFound) as error:
                return str(error)
            return None

        return await asyncio.gather(*(read(key) for key in keys))

    return [message for message in sync(read_each()) if message]


def _array_name(root: Path, path: Path) -> str:
    name = path.parent.relative_to(root).as_posix()
    return "" if name == "." else name


def _size(path: Root) -> int:
    """Return the bytes of a store, without its manifest, which lies beside it."""
    if isinstance(path, RemotePath):
        return sum(o.size for o in path.objects())
    files = [path] if path.is_file() else path.rglob("*")
    return sum(p.stat().st_size for p in files if p.is_file())
