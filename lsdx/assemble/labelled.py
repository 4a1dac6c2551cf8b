"""Put columns under the names, dims, dtypes and units that a store declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from dask.base import is_dask_collection

from lsdx.schema.spec import Schema, Variable, text

_BLANK = {"str": "", "float64": np.nan, "int64": -1, "bool": False, "datetime64[us]": "NaT"}


def dataset(schema: Schema, columns: Mapping[str, Any], *, cohort: bool = False) -> xr.Dataset:
    """Build the Dataset of a store from plain arrays, by its declaration.

    Parameters
    ----------
    schema : Schema
    columns : mapping
        Arrays by name of variable; every declared one that is not optional.
    cohort : bool
        Whether the cohort's variables are among them.

    Returns
    -------
    Dataset
    """
    declared = [v for v in schema.declared(cohort=cohort) if v.name in columns or not v.optional]
    arrays = {v.name: variable(v, columns[v.name]) for v in declared}
    coords = {v.name: arrays[v.name] for v in declared if v.coord}
    data = {v.name: arrays[v.name] for v in declared if not v.coord}
    return xr.Dataset(data, coords)


def variable(declared: Variable, values: Any) -> xr.Variable:
    """Return one variable with its declared dtype and units."""
    if declared.dtype == "str":
        array = text(values)
    elif declared.dtype in ("ticks", "counts"):
        array = values  # of an integer dtype already; dask arrays stay lazy
    elif is_dask_collection(values):
        array = values.astype(declared.dtype, copy=False)
    else:
        array = np.asarray(values).astype(declared.dtype, copy=False)
    attrs = {"units": declared.units} if declared.units else {}
    return xr.Variable(declared.dims, array, {**attrs, "long_name": declared.doc})


def blank(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array of the value that stands for unknown."""
    return np.full(shape, _BLANK[dtype], dtype=object if dtype == "str" else dtype)
