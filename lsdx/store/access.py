"""Read one store of the catalog as a Dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import xarray as xr

from lsdx.errors import REBUILD, StoreCorrupt, located
from lsdx.remote import RemotePath
from lsdx.schema import SCHEMAS
from lsdx.schema.spec import text
from lsdx.store.catalog import Entry
from lsdx.store.guard import gone
from lsdx.store.place import Place
from lsdx.store.tables import SUFFIX, table_variables

CATEGORIES = "categories"
_AT_ONCE = 32  # requests for labels


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
    chunks = lazy or {}
    if entry.path.endswith(SUFFIX):
        arrays, coords, attrs = _read_table(place, entry, chunks, without)
    else:
        arrays, coords, attrs = _read_zarr(place, entry, chunks, decode, without)
    declared = [v.name for v in SCHEMAS[entry.attrs["lsdx_store"]].variables]
    names = sorted(arrays, key=lambda n: declared.index(n) if n in declared else -1)
    return xr.Dataset(
        {n: arrays[n] for n in names if n not in coords},
        {n: arrays[n] for n in names if n in coords},
        attrs,
    ).drop_encoding()


# variables in any order, which of them are coordinates, attributes
_Read = tuple[dict[Any, xr.Variable], set[Any], dict[Any, Any]]


def _read_zarr(
    place: Place,
    entry: Entry,
    lazy: Mapping[str, Mapping[Any, Any]],
    decode: bool,
    without: Sequence[str],
) -> _Read:
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
    remote = isinstance(place.path, RemotePath)
    loaded = _each_loaded({n: v for n, v in ds.variables.items() if n not in lazy}, remote)
    arrays = {n: v.chunk(lazy[str(n)]) if n in lazy else loaded[n] for n, v in ds.variables.items()}
    return arrays, set(ds.coords), ds.attrs


def _each_loaded(variables: Mapping[Any, xr.Variable], remote: bool) -> dict[Any, xr.Variable]:
    """Load variables; those that lie elsewhere at the same time, for each takes a round trip."""
    if not remote:
        return {n: _loaded(v) for n, v in variables.items()}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(variables, pool.map(_loaded, variables.values()), strict=True))


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
    without: Sequence[str],
) -> _Read:
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
    return arrays, {n for n in arrays if told[n]["coord"]}, about["attrs"]


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
