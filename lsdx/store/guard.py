"""A Zarr store that refuses damaged bytes: checksums of metadata and of every chunk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store
from zarr.storage import LocalStore, WrapperStore

from lsdx.errors import REBUILD, LsdxError, StoreCorrupt, StoreNotFound, located
from lsdx.remote import RemotePath

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype


def gone(path: Path | RemotePath) -> StoreNotFound:
    """Say that a whole store is no longer where the catalog has it."""
    return StoreNotFound(
        located(
            str(path),
            "a store",
            "nothing there: it has been moved or removed",
            "Open the stores where they are now; if it is missing there too: lsdx build",
        )
    )


class GuardedStore(WrapperStore[Store]):
    """A store in a folder or an object store, read-only, that checks all it reads.

    Each ``zarr.json`` must have the SHA-256 that the catalog states; each chunk must be
    there and end in its CRC32C. (The codec checks the CRC too, but cannot name the file; a
    missing chunk would read as the fill value.) Where the whole store is gone, that is said.
    """

    metadata: Mapping[str, str]
    place: Path | RemotePath

    @classmethod
    def open(cls, path: Path | RemotePath, metadata: Mapping[str, str]) -> GuardedStore:  # type: ignore[override]
        """Guard the store at ``path``; ``metadata`` maps array names to SHA-256."""
        inner: Store = (
            path.zarr_store() if isinstance(path, RemotePath) else LocalStore(path, read_only=True)
        )
        store = cls(inner)
        store.metadata = metadata
        store.place = path
        return store

    def __reduce__(self) -> tuple[Any, ...]:
        return GuardedStore.open, (self.place, self.metadata)

    def with_read_only(self, read_only: bool = False) -> GuardedStore:
        """Return this store again; it is never writable."""
        if not read_only:
            raise ValueError(f"{self.place}: published stores are never written to")
        return self

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Read one key, checked whole, then cut to ``byte_range``."""
        buffer = await self._store.get(key, prototype)
        name, _, last = key.rpartition("/")
        if last == "zarr.json":
            self._check_metadata(name, buffer)
        elif "/c/" in f"/{key}":
            self._check_chunk(key, buffer)
        if byte_range is None or buffer is None:
            return buffer
        if isinstance(byte_range, RangeByteRequest):
            return buffer[byte_range.start : byte_range.end]
        if isinstance(byte_range, OffsetByteRequest):
            return buffer[byte_range.offset :]
        return buffer[-byte_range.suffix :]

    def _check_metadata(self, name: str, buffer: Buffer | None) -> None:
        if name not in self.metadata:
            if buffer is not None:
                raise self._damaged(
                    name or "group", "nothing but what was built", "a foreign array"
                )
            return
        found = None if buffer is None else hashlib.sha256(buffer.to_bytes()).hexdigest()
        if found != self.metadata[name]:
            state = "none" if found is None else "another"
            raise self._damaged(f"{name or 'group'}, zarr.json", "the metadata built", state)

    def _check_chunk(self, key: str, buffer: Buffer | None) -> None:
        variable, _, chunk = f"/{key}".partition("/c/")
        where = f"{variable[1:]}, chunk {chunk}"
        if buffer is None:
            raise self._damaged(where, "a chunk", "none")
        data = buffer.as_numpy_array().view(np.uint8)
        stated = int.from_bytes(data[-4:].tobytes(), "little")
        if data.size < 4 or google_crc32c.value(data[:-4].tobytes()) != stated:
            raise self._damaged(where, "the bytes written", "others (CRC32C differs)")

    def _damaged(self, where: str, expected: str, found: str) -> LsdxError:
        if not self.place.is_dir():
            return gone(self.place)
        do = REBUILD
        if isinstance(self.place, RemotePath):
            do = f"Remove {self.place.parent}, and copy it there again: lsdx copy FOLDER ADDRESS"
        return StoreCorrupt(located(f"{self.place}, {where}", expected, found, do))
