"""One file a table: a small Dataset as an Arrow file.

Each column is one variable, flat, in one row; the schema's metadata say dimensions, shape and
attributes. Nobody opens such a part of a store but the builder, who reads it whole: one file
takes a twentieth of the time of the same variables as Zarr arrays.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import numpy as np
import xarray as xr

SUFFIX = ".arrow"
_ABOUT = b"lsdx"


def table_bytes(ds: xr.Dataset) -> bytes:
    """Return a Dataset as the bytes of an Arrow file, the same bytes each time.

    Parameters
    ----------
    ds : Dataset
        Of numbers, booleans, times in us and text; attributes are JSON values.

    Examples
    --------
    >>> ds = xr.Dataset({"x": ("unit", [1.0, float("nan")])}, {"unit": ["a", "b"]})
    >>> table_bytes(ds) == table_bytes(ds.copy(deep=True))
    True
    """
    import pyarrow as pa

    about: dict[str, Any] = {"attrs": dict(ds.attrs), "variables": {}}
    columns, fields = [], []
    for name, variable in sorted(ds.variables.items(), key=lambda item: str(item[0])):
        values = np.asarray(variable.data)
        about["variables"][str(name)] = {
            "dims": [str(d) for d in variable.dims],
            "shape": list(values.shape),
            "dtype": "text" if values.dtype.kind in "OUT" else values.dtype.str,
            "coord": name in ds.coords,
            "attrs": dict(variable.attrs),
        }
        if values.dtype.kind in "OUT":
            flat = pa.array(values.ravel().tolist(), pa.large_string())
        else:
            flat = values.ravel()
            flat = pa.array(flat.view("i8") if values.dtype.kind == "M" else flat)
        column = pa.LargeListArray.from_arrays(pa.array([0, len(flat)], pa.int64()), flat)
        columns.append(column)
        fields.append(pa.field(str(name), column.type))
    text = json.dumps(about, sort_keys=True).encode()
    schema = pa.schema(fields, metadata={_ABOUT: text})
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(sink, schema, options=options) as writer:
        writer.write_batch(pa.record_batch(columns, schema=schema))
    return bytes(sink.getvalue())


def table_variables(
    data: bytes, names: Collection[str] | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what a file says of its variables, and the values of some of them.

    Parameters
    ----------
    data : bytes
        As `table_bytes` returns them.
    names : collection of str, optional
        Which values to read; all by default.

    Returns
    -------
    about : dict
        ``attrs`` of the Dataset, ``variables`` by name with dims, shape, dtype, coord, attrs.
    values : dict of ndarray
        Text as object arrays.
    """
    import pyarrow as pa

    schema = pa.ipc.open_file(pa.BufferReader(data)).schema
    about = json.loads(schema.metadata[_ABOUT])
    wanted = [i for i, n in enumerate(schema.names) if names is None or n in names]
    values: dict[str, np.ndarray] = {}
    if not wanted:
        return about, values
    options = pa.ipc.IpcReadOptions(included_fields=wanted)
    batch = pa.ipc.open_file(pa.BufferReader(data), options=options).get_batch(0)
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        told = about["variables"][name]
        flat = column.values.to_numpy(zero_copy_only=False)
        if told["dtype"] != "text":
            dtype = np.dtype(told["dtype"])
            flat = flat.view(dtype) if dtype.kind == "M" else flat.astype(dtype, copy=False)
        values[name] = flat.reshape(told["shape"])
    return about, values
