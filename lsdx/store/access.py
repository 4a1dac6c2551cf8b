"""Read stores: a Zarr store that refuses damaged bytes, and one store as a Dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np
import xarray as xr
from zarr.storage import LocalStore, WrapperStore

from lsdx.errors import REBUILD, LsdxError, StoreCorrupt, StoreNotFound, located
from lsdx.schema import SCHEMAS
from lsdx.schema.spec import text
from lsdx.store.catalog import Entry
from lsdx.store.place import Place
from lsdx.store.tables import SUFFIX, table_variables

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

CATEGORIES = "categories"


def gone(path: Path) -> StoreNotFound:
    """Say that a whole store is no longer where the catalog has it."""
    return StoreNotFound(
        located(
            str(path),
            "a store",
            "nothing there: it has been moved or removed",
            "Open the stores where they are now; if it is missing there too: lsdx build",
        )
    )


class GuardedStore(WrapperStore[LocalStore]):
    """A local store, read-only, that checks all it reads.

    Each ``zarr.json`` must have the SHA-256 that the catalog states; each chunk must be
    there and end in its CRC32C. (The codec checks the CRC too, but cannot name the file; a
    missing chunk would read as the fill value.) Where the whole store is gone, that is said.
    """

    metadata: Mapping[str, str]
    path: Path

    @classmethod
    def open(cls, path: Path, metadata: Mapping[str, str]) -> GuardedStore:  # type: ignore[override]
        """Guard the store at ``path``; ``metadata`` maps array names to SHA-256."""
        store = cls(LocalStore(path, read_only=True))
        store.metadata = metadata
        store.path = path
        return store

    def __reduce__(self) -> tuple[Any, ...]:
        return GuardedStore.open, (self.path, self.metadata)

    def with_read_only(self, read_only: bool = False) -> GuardedStore:
        """Return this store again; it is never writable."""
        if not read_only:
            raise ValueError(f"{self.path}: published stores are never written to")
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
        return await self._store.get(key, prototype, byte_range)

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
        if not self.path.is_dir():
            return gone(self.path)
        return StoreCorrupt(located(f"{self.path}, {where}", expected, found, REBUILD))


def read_store(
    place: Place,
    entry: Entry,
    *,
    lazy: Mapping[str, Mapping[Any, Any]] | None = None,
    decode: bool = True,
    without: Sequence[str] = (),
) -> xr.Dataset:
    """Open one store: loaded, labels as object arrays, in the order of its declaration.

    Parameters
    ----------
    place : Place
    entry : Entry
    lazy : mapping, optional
        Variables to leave as dask arrays, with their chunks by dimension.
    decode : bool
        Whether fill values and scale factors are applied; those of a table are not.
    without : sequence of str
        Variables to leave out.
    """
    read = _read_table if entry.path.endswith(SUFFIX) else _read_zarr
    ds = read(place, entry, lazy or {}, decode, without)
    declared = [v.name for v in SCHEMAS[entry.attrs["lsdx_store"]].variables]
    names = sorted(ds.variables, key=lambda n: declared.index(n) if n in declared else -1)
    arrays = {n: ds.variables[n] for n in names}
    coords = {n: v for n, v in arrays.items() if n in ds.coords}
    data = {n: v for n, v in arrays.items() if n not in ds.coords}
    return xr.Dataset(data, coords, ds.attrs).drop_encoding()


def _read_zarr(
    place: Place,
    entry: Entry,
    lazy: Mapping[str, Mapping[Any, Any]],
    decode: bool,
    without: Sequence[str],
) -> xr.Dataset:
    ds: xr.Dataset = xr.open_zarr(
        place.open(entry),
        chunks=None,
        consolidated=False,
        zarr_format=3,
        mask_and_scale=decode,
        decode_times=xr.coders.CFDatetimeCoder(time_unit="us"),
        decode_timedelta=False,
        create_default_indexes=False,
        drop_variables=list(without),
    )
    arrays = {
        n: v.chunk(lazy[str(n)]) if n in lazy else _loaded(v) for n, v in ds.variables.items()
    }
    coords = {n: v for n, v in arrays.items() if n in ds.coords}
    data = {n: v for n, v in arrays.items() if n not in ds.coords}
    return xr.Dataset(data, coords, ds.attrs)


def read_bytes(place: Place, entry: Entry) -> bytes:
    """Read a store of one file, and check that it holds the bytes that were built.

    Raises
    ------
    StoreNotFound, StoreCorrupt
        If it is gone, or is another.
    """
    path = place.within(entry)
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        if not path.parent.is_dir():
            raise gone(path) from None
        raise StoreCorrupt(located(str(path), "a file", "none", REBUILD)) from None
    if hashlib.sha256(data).hexdigest() != entry.metadata[""]:
        found = f"others (SHA-256 differs, {len(data)} bytes of {entry.bytes})"
        raise StoreCorrupt(located(str(path), "the bytes written", found, REBUILD))
    return data


def _read_table(
    place: Place,
    entry: Entry,
    lazy: Mapping[str, Mapping[Any, Any]],
    _decode: bool,
    without: Sequence[str],
) -> xr.Dataset:
    data = read_bytes(place, entry)
    about = table_variables(data, ())[0]
    told = {n: v for n, v in about["variables"].items() if n not in without}
    values: dict[str, Any] = dict(table_variables(data, set(told) - set(lazy))[1])
    for name in set(lazy) & set(told):
        values[name] = _promised(place, entry, name, told[name])
    arrays = {
        n: xr.Variable(told[n]["dims"], v, told[n]["attrs"], fastpath=True)
        for n, v in values.items()
    }
    arrays = {n: v.chunk(lazy[n]) if n in lazy else v for n, v in arrays.items()}
    coords = {n: v for n, v in arrays.items() if told[n]["coord"]}
    return xr.Dataset(
        {n: v for n, v in arrays.items() if n not in coords},
        xr.Coordinates(coords, indexes={}),
        about["attrs"],
    )


def _promised(place: Place, entry: Entry, name: str, told: Mapping[str, Any]) -> Any:
    """Return one variable of a table as a dask array of one block."""
    import dask.array as da
    from dask.delayed import delayed

    block = delayed(_one_variable, pure=True)(place, entry.path, entry.metadata[""], name)
    return da.from_delayed(block, tuple(told["shape"]), np.dtype(told["dtype"]))


def _one_variable(place: Place, path: str, digest: str, name: str) -> np.ndarray:
    data = read_bytes(place, Entry(path, 0, {"": digest}, {}, {}))
    return table_variables(data, (name,))[1][name]


def _loaded(variable: xr.Variable) -> xr.Variable:
    """Load a variable; text becomes an object array, that of categories too."""
    values, attrs = variable.values, dict(variable.attrs)
    if CATEGORIES in attrs:
        values = np.array(attrs.pop(CATEGORIES), dtype=object)[values]
    elif values.dtype.kind == "T":
        values = text(values)
    # fastpath: xarray would look for times in every object array
    return xr.Variable(variable.dims, values, attrs, fastpath=True)
