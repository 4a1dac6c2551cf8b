"""Write one store: to a temporary name, verified, then renamed. Published bytes never change.

What users open is a Zarr store; a part that only the builder reads is one Arrow file.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.builders.lock import mending
from lsdx.clock import TICKS_PER_SECOND
from lsdx.errors import StoreCorrupt, StoreNotFound, located
from lsdx.schema import Schema, validate
from lsdx.schema.spec import Variable
from lsdx.store.access import CATEGORIES, read_bytes, read_store
from lsdx.store.catalog import Entry, digest_of
from lsdx.store.place import Place
from lsdx.store.tables import SUFFIX, table_bytes

TEMPORARY = "tmp"
MANIFEST = "manifest.json"


def unit_digest(ds: xr.Dataset) -> str:
    """Digest the ids along ``unit``, so that stores of the same units know each other."""
    return hashlib.sha256("\n".join(ds["unit"].values).encode()).hexdigest()


def find_store(folder: Path, path: str) -> Entry | None:
    """Return the entry of a store that was finished under this name, if its bytes still hold.

    A store gets its name in one rename, together with its manifest, which says what its bytes
    must be. One that no longer holds is left where it is until it can be replaced.
    """
    entry = read_manifest(folder, path)
    return None if entry is None or check_bytes(folder, entry) else entry


def read_manifest(folder: Path, path: str) -> Entry | None:
    """Read the manifest beside a store; None if it is missing or damaged."""
    try:
        raw = json.loads(((folder / path).parent / MANIFEST).read_text(encoding="utf-8"))
        stated = raw.pop("digest")
        entry = Entry(**raw)
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return entry if digest_of(asdict(entry)) == stated and entry.path == path else None


def write_store(
    folder: Path,
    path: str,
    ds: xr.Dataset,
    schema: Schema,
    *,
    cohort: bool,
    attrs: Mapping[str, Any],
) -> tuple[Entry, bool]:
    """Write a Dataset as its path says, read it back, compare, and give it its final name.

    Parameters
    ----------
    folder : Path
        The stores folder.
    path : str
        Final name in it, ``.../<name>-<digest>/<noun>.zarr`` or ``.arrow``.
    ds : Dataset
        In memory or dask-backed; counts and ticks as integers.
    schema : Schema
    cohort : bool
        Whether it is a flat store.
    attrs : mapping
        Attributes of the store, which the catalog repeats.

    Returns
    -------
    entry : Entry
    first : bool
        False where another builder had published the same store meanwhile.

    Raises
    ------
    SchemaError
        If the Dataset is not what the schema declares.
    StoreCorrupt
        If what was written does not read back.
    OSError
        If the disk refuses (full, read-only).
    """
    validate(ds, schema, cohort=cohort)
    attrs = {"lsdx_store": schema.name, "schema": schema.version, **attrs}
    ds = ds.drop_encoding()
    ds.attrs = dict(attrs)
    temporary = Path(TEMPORARY) / f"{uuid4().hex}.store"
    name = Path(path).name
    target = folder / temporary
    target.mkdir(parents=True)
    try:
        if path.endswith(SUFFIX):
            (target / name).write_bytes(table_bytes(ds))
        else:
            _write_zarr(target / name, ds, schema, cohort=cohort)
        entry = describe(folder, (temporary / name).as_posix(), dict(ds.sizes), attrs)
        _compare(folder, entry, ds, schema)
        return publish_store(folder, target, replace(entry, path=path))
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _write_zarr(target: Path, ds: xr.Dataset, schema: Schema, *, cohort: bool) -> None:
    declared = [v for v in schema.declared(cohort=cohort) if v.name in ds.variables]
    stored = ds.assign({v.name: _as_stored(ds[v.name].variable, v) for v in declared})
    stored.to_zarr(
        target,
        mode="w-",
        consolidated=False,
        zarr_format=3,
        write_empty_chunks=True,
        encoding={v.name: _encoding(stored[v.name].variable, v, schema) for v in declared},
    )


def describe(folder: Path, path: str, sizes: Mapping[Any, int], attrs: Mapping[str, Any]) -> Entry:
    """Make the entry of a store from its bytes."""
    root = folder / path
    files = [root] if root.is_file() else sorted(root.rglob("zarr.json"))
    metadata = {_array_name(root, p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    return Entry(
        path=path,
        bytes=_size(root),
        metadata=metadata,
        sizes={str(k): int(v) for k, v in sizes.items()},
        attrs=dict(attrs),
    )


def check_bytes(folder: Path, entry: Entry) -> list[str]:
    """Check every byte of a store against its checksums, decoding nothing.

    Returns
    -------
    list of str
        One message a damaged, missing or foreign file; empty if all is well.
    """
    import zarr

    problems: list[str] = []
    try:
        if entry.path.endswith(SUFFIX):
            read_bytes(Place(folder), entry)
            return []
        store = Place(folder).open(entry)
    except (StoreCorrupt, StoreNotFound) as error:
        return [str(error)]
    root = folder / entry.path
    names = [n for n in entry.metadata if n]
    prototype = zarr.core.buffer.default_buffer_prototype()
    keys = [f"{n}/zarr.json" if n else "zarr.json" for n in entry.metadata]
    problems += _read_all(store, keys, prototype)
    if problems:
        return problems
    for name in names:
        array = zarr.open_array(store, path=name, mode="r", zarr_format=3)
        grid = [-(-n // c) for n, c in zip(array.shape, array.chunks, strict=True)]
        chunks = ("/".join(map(str, place)) for place in np.ndindex(*grid))
        problems += _read_all(store, [f"{name}/c/{c}" for c in chunks], prototype)
    if not problems and _size(root) != entry.bytes:
        problems.append(
            located(str(root), f"{entry.bytes} bytes", f"{_size(root)}", "Remove what is foreign.")
        )
    return problems


def _read_all(store: Any, keys: list[str], prototype: Any) -> list[str]:
    from zarr.core.sync import sync

    async def read(key: str) -> str | None:
        try:
            await store.get(key, prototype)
        except (StoreCorrupt, StoreNotFound) as error:
            return str(error)
        return None

    async def read_each() -> list[str | None]:
        return [await read(key) for key in keys]

    return [message for message in sync(read_each()) if message]


def replace_file(folder: Path, name: str, text: str) -> None:
    """Write a file of a stores folder in one step: on disk before it has its name."""
    beside = folder / TEMPORARY / f"{uuid4().hex}.file"
    for parent in (beside.parent, (folder / name).parent):
        parent.mkdir(parents=True, exist_ok=True)
    with beside.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(beside, folder / name)


def publish_store(folder: Path, target: Path, entry: Entry) -> tuple[Entry, bool]:
    """Return a verified store its name; where another builder was first, take what is there."""
    content = asdict(entry)
    (target / MANIFEST).write_text(
        json.dumps(content | {"digest": digest_of(content)}, indent=1, sort_keys=True),
        encoding="utf-8",
    )
    final = (folder / entry.path).parent
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(target, final)
    except OSError:
        if not final.exists():
            raise
        with mending(folder):
            there = find_store(folder, entry.path)
            if there is not None:
                return there, False
            # damaged: it goes only now that what replaces it is verified
            os.rename(final, folder / TEMPORARY / f"{uuid4().hex}.damaged")
            os.rename(target, final)
    return entry, True


def _compare(folder: Path, entry: Entry, expected: xr.Dataset, schema: Schema) -> None:
    """Read a store back: what is of several chunks a chunk at a time, never whole."""
    import dask.array as da

    whole = {v.name for v in schema.variables if v.whole}
    lazy = {
        str(n): dict(zip(v.dims, _chunk_shape(v, schema.chunks), strict=True))
        for n, v in expected.variables.items()
        if v.size and v.dtype.kind in "buf" and n not in whole
        if _chunk_shape(v, schema.chunks) != v.shape
    }
    written = read_store(Place(folder), entry, lazy=lazy, decode=False)
    for name, variable in expected.variables.items():
        if name in lazy:
            data, scheduler = variable.data, None
            if variable.chunks is None:
                data = da.from_array(data, chunks=written[name].data.chunks, name=False)
                scheduler = "sync"
            equal = written[name].data == data
            if variable.dtype.kind == "f":
                equal = equal | (da.isnan(written[name].data) & da.isnan(data))
            same = bool(equal.all().compute(scheduler=scheduler))
        else:
            same = np.array_equal(
                written[name].values, variable.values, equal_nan=variable.dtype.kind in "fM"
            )
        if not same:
            raise StoreCorrupt(
                located(
                    f"{entry.path}, {name}",
                    "to read back what was written",
                    "other values",
                    "Check the disk, then build again.",
                )
            )


def _as_stored(variable: xr.Variable, declared: Variable) -> xr.Variable:
    """Return the form on disk: ticks say how they decode (CF scale_factor), labels are coded."""
    if declared.dtype == "ticks":
        attrs = variable.attrs | {"scale_factor": 1 / TICKS_PER_SECOND}
        return xr.Variable(variable.dims, variable.data, attrs)
    if declared.dtype == "str" and not declared.unique:
        codes, categories = pd.factorize(variable.values.ravel(), sort=True)
        codes = codes.astype(np.min_scalar_type(max(len(categories) - 1, 0)))
        attrs = variable.attrs | {CATEGORIES: categories.tolist()}
        return xr.Variable(variable.dims, codes.reshape(variable.shape), attrs)
    return variable


def _encoding(array: xr.Variable, declared: Variable, schema: Schema) -> dict[str, Any]:
    from zarr.codecs import BloscCodec, Crc32cCodec

    compressor = BloscCodec(
        cname="zstd",
        clevel=3,
        shuffle="bitshuffle" if declared.dtype == "counts" else "shuffle",
        typesize=_itemsize(array.dtype),
        blocksize=0,
    )
    encoding: dict[str, Any] = {
        "compressors": (compressor, Crc32cCodec()),
        "chunks": _chunk_shape(array, {} if declared.whole else schema.chunks),
    }
    if declared.dtype == "counts":
        encoding["_FillValue"] = np.iinfo(array.dtype).max
    elif declared.dtype in ("float32", "float64"):
        encoding["_FillValue"] = None
    elif declared.dtype == "datetime64[us]":
        encoding |= {
            "units": "microseconds since 1970-01-01",
            "calendar": "proleptic_gregorian",
            "dtype": "int64",
            "_FillValue": np.iinfo(np.int64).min,
        }
    return encoding


def _chunk_shape(array: xr.Variable, chunks: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(max(1, min(n, chunks.get(str(d), n))) for d, n in array.sizes.items())


def _itemsize(dtype: np.dtype) -> int:
    return 1 if dtype.kind in "OT" else dtype.itemsize


def _array_name(root: Path, path: Path) -> str:
    name = "." if path == root else path.parent.relative_to(root).as_posix()
    return "" if name == "." else name


def _size(root: Path) -> int:
    files = [root] if root.is_file() else root.rglob("*")
    return sum(p.stat().st_size for p in files if p.is_file())
