"""A Zarr store that refuses damaged bytes: checksums of metadata and of every chunk."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store
from zarr.storage import LocalStore, WrapperStore

from lsdx.errors import REBUILD, LsdxError, StoreCorrupt, StoreNotFound, located
from lsdx.remote import RemotePath, Root

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype


def gone(path: Root) -> StoreNotFound:
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

    The catalog holds the text of each ``zarr.json``, and so what arrays there are: nothing is
    asked for them. (A catalog of format 1 holds their SHA-256, which what is read must have.)
    Each chunk must be there and end in its CRC32C. (The codec checks the CRC too, but cannot name
    the file; a missing chunk would read as the fill value.) Where the whole store is gone, that is
    said.
    """

    metadata: Mapping[str, str]
    place: Root
    prefix: str

    @classmethod
    def open(cls, path: Root, metadata: Mapping[str, str]) -> GuardedStore:  # type: ignore[override]
        """Guard the store at ``path``; ``metadata`` is that of its entry in the catalog."""
        if isinstance(path, RemotePath):
            store, prefix = cls(path.zarr_store()), f"{path.key}/"
        else:
            store, prefix = cls(LocalStore(path, read_only=True)), ""
        store.metadata, store.place, store.prefix = metadata, path, prefix
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
        told = self._told(key)
        if told is not None and told.startswith("{"):
            buffer: Buffer | None = prototype.buffer.from_bytes(told.encode())
        else:
            buffer = await self.stored(key, prototype)
        if byte_range is None or buffer is None:
            return buffer
        if isinstance(byte_range, RangeByteRequest):
            return buffer[byte_range.start : byte_range.end]
        if isinstance(byte_range, OffsetByteRequest):
            return buffer[byte_range.offset :]
        return buffer[-byte_range.suffix :]

    async def stored(self, key: str, prototype: BufferPrototype) -> Buffer | None:
        """Read one key as it lies there, and check it.

        Raises
        ------
        StoreCorrupt, StoreNotFound
            If it is not what was built, or the whole store is gone.
        """
        buffer = await self._store.get(self.prefix + key, prototype)
        told = self._told(key)
        if told is not None:
            self._check_metadata(key.rpartition("/")[0], told, buffer)
        elif "/c/" in f"/{key}":
            self._check_chunk(key, buffer)
        return buffer

    async def exists(self, key: str) -> bool:
        """Return whether there is such a key."""
        return self._told(key) is not None or await self._store.exists(self.prefix + key)

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """List the arrays, which the catalog names."""
        above = f"{prefix.rstrip('/')}/" if prefix else ""
        keys = [f"{n}/zarr.json" if n else "zarr.json" for n in self.metadata]
        below = [k.removeprefix(above).partition("/")[0] for k in keys if k.startswith(above)]
        for name in dict.fromkeys(below):
            yield name

    def _told(self, key: str) -> str | None:
        """Return what the catalog says of a ``zarr.json``."""
        name, _, last = key.rpartition("/")
        return self.metadata.get(name) if last == "zarr.json" else None

    def _check_metadata(self, name: str, told: str, buffer: Buffer | None) -> None:
        data = None if buffer is None else buffer.to_bytes()
        found = None if data is None else hashlib.sha256(data).hexdigest()
        if data is None or told not in (found, data.decode(errors="replace")):
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
            do = f"{REBUILD}; or remove {self.place.parent}, and copy it there again: lsdx copy"
        return StoreCorrupt(located(f"{self.place}, {where}", expected, found, do))
