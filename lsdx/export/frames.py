"""Results as tidy tables: one row a cell, each label a column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import xarray as xr

from lsdx.errors import SelectionError, located, missing_package

if TYPE_CHECKING:
    import polars as pl


def to_pandas(result: xr.Dataset | xr.DataArray) -> pd.DataFrame:
    """Return a result with one row a cell; it is computed.

    Parameters
    ----------
    result : Dataset or DataArray
        Of any measure, such as ``ds.lsd.dimensionality()``. A DataArray without a name becomes
        ``value``.

    Returns
    -------
    DataFrame
        Each label and each variable is a column. Variables with fewer dimensions are repeated
        (``n_units`` of a session, in each of its phases). The result's attributes, with catalog
        and selection, are those of the table: ``table.attrs``.

    Raises
    ------
    SelectionError
        For another object, or a result without dimensions.

    Examples
    --------
    >>> labels = {"session": ["a", "b"], "subject": ("session", ["x", "y"])}
    >>> to_pandas(xr.DataArray([0.5, 1.0], labels, ["session"], "ngsc"))
      session subject  ngsc
    0       a       x   0.5
    1       b       y   1.0
    """
    given: object = result
    if not isinstance(given, xr.Dataset | xr.DataArray) or not given.dims:
        found = "no dimension" if hasattr(result, "dims") else type(result).__name__
        expected = "a Dataset or DataArray with dimensions"
        raise SelectionError(located("to_pandas", expected, found))
    if isinstance(result, xr.DataArray) and result.name is None:
        result = result.rename("value")
    table = result.to_dataframe().reset_index()
    table.attrs = dict(result.attrs)
    return table


def to_polars(result: xr.Dataset | xr.DataArray) -> pl.DataFrame:
    """Return a result as `to_pandas` does, for polars, which keeps no attributes.

    Raises
    ------
    MissingPackage
        Without polars: ``pip install 'lsdx[polars]'``.

    Examples
    --------
    >>> to_polars(xr.DataArray([0.5, 1.0], {"session": ["a", "b"]}, ["session"], "ngsc")).shape
    (2, 2)
    """
    try:
        import polars as pl
    except ImportError as error:
        raise missing_package("to_polars", "polars", "polars") from error
    return pl.from_pandas(to_pandas(result))
