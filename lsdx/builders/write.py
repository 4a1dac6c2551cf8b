"""Write one store: to a temporary name, verified, then renamed. Published bytes never change.

What users open is a Zarr store; a part that only the builder reads is one Arrow file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.builders.manifest import describe
from lsdx.builders.placing import place_store, scratch
from lsdx.clock import TICKS_PER_SECOND
from lsdx.errors import StoreCorrupt, located
from lsdx.remote import Root
from lsdx.schema import Schema, validate
from lsdx.schema.spec import Variable
from lsdx.store.access import CATEGORIES, read_store
from lsdx.store.catalog import Entry
from lsdx.store.place import Place
from lsdx.store.tables import SUFFIX, table_bytes


def unit_digest(ds: xr.Dataset) -> str:
    """Digest the ids along ``unit``, so that stores of the same units know each other."""
    return hashlib.sha256("\n".join(ds["unit"].values).encode()).hexdigest()


def write_store(
    root: Root,
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
    root : Path or RemotePath
        The stores folder, or an address.
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
    StoreNotFound
        If an address takes no objects.
    """
    validate(ds, schema, cohort=cohort)
    attrs = {"lsdx_store": schema.name, "schema": schema.version, **attrs}
    ds = ds.drop_encoding()
    ds.attrs = dict(attrs)
    name = PurePosixPath(path).name
    with scratch(root) as (here, temporary):
        target = here / temporary
        if path.endswith(SUFFIX):
            (target / name).write_bytes(table_bytes(ds))
        else:
            _write_zarr(target / name, ds, schema, cohort=cohort)
        entry = describe(here, f"{temporary}/{name}", dict(ds.sizes), attrs)
        _compare(here, entry, ds, schema)
        return place_store(root, target, replace(entry, path=path))


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
    for path in target.rglob("zarr.json"):  # the catalog repeats them: without white space
        told = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(told, separators=(",", ":")), encoding="utf-8")


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
