"""What a store declaration says, and the one validator of all stores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.errors import SchemaError

COUNT_DTYPES = ("uint8", "uint16", "uint32")


@dataclass(frozen=True)
class Variable:
    """One variable of a store.

    Parameters
    ----------
    name : str
    dims : tuple of str
        In order.
    dtype : str
        ``"str"`` (object array of str, ``""`` unknown), ``"float64"`` and
        ``"float32"`` (NaN unknown), ``"int64"``, ``"bool"``, ``"datetime64[us]"`` (NaT
        unknown), ``"ticks"`` (uint32 of 10 us) or ``"counts"`` (the smallest of uint8/16/32
        whose maximum exceeds every count; that maximum is the fill value and reads as NaN).
    doc : str
        One line for the data dictionary.
    units : str
        As CF writes them; ``""`` for text and truth values.
    coord : bool
        Whether it is a coordinate.
    values : tuple of str
        The only values allowed, if there are such.
    unique : bool
        Whether it is the key of its dimension: distinct and not empty.
    cohort : bool
        Whether it depends on other sessions or on the lab's tables, and so is joined when
        sessions are put together, never stored with one session.
    optional : bool
        Whether a store may be without it.
    whole : bool
        Whether it is one chunk whatever the store's chunks: it is small, or always read whole.
    """

    name: str
    dims: tuple[str, ...]
    dtype: str
    doc: str
    units: str = ""
    coord: bool = False
    values: tuple[str, ...] = ()
    unique: bool = False
    cohort: bool = False
    whole: bool = False
    optional: bool = False


@dataclass(frozen=True)
class Schema:
    """One store: its variables, and how they are cut into chunks.

    Parameters
    ----------
    name : str
        The noun.
    version : int
        Raised whenever a name, a dtype or a meaning changes; chunk lengths may change without,
        since a store states its own.
    doc : str
        What one row is.
    concat : str
        The dimension along which sessions are put together.
    chunks : mapping of str to int
        Chunk length by dimension; a dimension that is not named is one chunk.
    variables : tuple of Variable
    """

    name: str
    version: int
    doc: str
    concat: str
    variables: tuple[Variable, ...]
    chunks: Mapping[str, int] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Variable:
        for variable in self.variables:
            if variable.name == name:
                return variable
        raise KeyError(name)

    def declared(self, *, cohort: bool) -> tuple[Variable, ...]:
        """List the variables of a flat store (``cohort=True``) or of one session's part."""
        return tuple(v for v in self.variables if cohort or not v.cohort)


def label(name: str, dim: str, doc: str, **options: object) -> Variable:
    """Declare a text coordinate along one dimension."""
    return Variable(name, (dim,), "str", doc, coord=True, **options)  # type: ignore[arg-type]


def labels(dim: str, docs: Mapping[str, str]) -> tuple[Variable, ...]:
    """Declare several labels, of which only the meaning is to be said."""
    return tuple(label(name, dim, doc) for name, doc in docs.items())


def number(name: str, dim: str, units: str, doc: str, **options: object) -> Variable:
    """Declare a float64 variable along one dimension."""
    return Variable(name, (dim,), "float64", doc, units=units, **options)  # type: ignore[arg-type]


def integer(name: str, dim: str, doc: str, **options: object) -> Variable:
    """Declare an int64 variable along one dimension: a count, a rank, a year."""
    return Variable(name, (dim,), "int64", doc, units="1", **options)  # type: ignore[arg-type]


def truth(name: str, dim: str, doc: str, **options: object) -> Variable:
    """Declare a bool variable along one dimension."""
    return Variable(name, (dim,), "bool", doc, **options)  # type: ignore[arg-type]


def session_labels(dim: str, *, unique: bool = False) -> tuple[Variable, ...]:
    """Declare which session each row is of."""
    return (
        label("session", dim, "Session id (eid).", unique=unique),
        label("session_label", dim, "Subject, day and number of the session."),
    )


def session_rank(dim: str, *, before: str) -> tuple[Variable, ...]:
    """Declare where the session of each row stands among those of its subject, and its year."""
    rank = "Rank of the session among all of its subject, from 1."
    days = f"Days since the subject's last drug day before {before}; NaN if none."
    return (
        integer("session_n", dim, rank, coord=True, cohort=True),
        integer("cohort_year", dim, "Year.", coord=True, cohort=True),
        number("days_since_lsd", dim, "d", days, coord=True, cohort=True),
    )


def validate(
    ds: xr.Dataset, schema: Schema, *, cohort: bool, values: bool = True, decoded: bool = False
) -> xr.Dataset:
    """Check a Dataset against its declaration; give it back.

    Parameters
    ----------
    ds : Dataset
    schema : Schema
    cohort : bool
        Whether it is a flat store of several sessions, or one session's part.
    values : bool
        Whether values are looked at too (never those of dask arrays).
    decoded : bool
        Whether counts may be floats with NaN, as they read.

    Raises
    ------
    SchemaError
        Naming every problem found, not only the first.
    """
    declared = {v.name: v for v in schema.declared(cohort=cohort)}
    problems = [
        f"{n}: missing" for n, v in declared.items() if n not in ds.variables and not v.optional
    ]
    problems += [f"{n}: not declared" for n in ds.variables if n not in declared]
    for name, variable in declared.items():
        if name in ds.variables:
            problems += _structure(ds, variable, decoded)
            if values:
                problems += _values(ds, variable)
    if problems:
        raise SchemaError(
            f"store {schema.name} (version {schema.version}): {len(problems)} problem"
            f"{'s' if len(problems) > 1 else ''}: " + "; ".join(map(str, problems))
        )
    return ds


def _structure(ds: xr.Dataset, variable: Variable, decoded: bool) -> list[str]:
    name, array = variable.name, ds[variable.name]
    problems = []
    if array.dims != variable.dims:
        problems.append(f"{name}: expected dims {variable.dims}, found {array.dims}")
    if (name in ds.coords) != (variable.coord or name in ds.dims):
        kind = "a coordinate" if variable.coord else "a data variable"
        problems.append(f"{name}: expected {kind}")
    if not _has_dtype(array.dtype, variable.dtype, decoded):
        problems.append(f"{name}: expected {variable.dtype}, found dtype {array.dtype}")
    if array.attrs.get("units", "") != variable.units:
        found = array.attrs.get("units", "")
        problems.append(f"{name}: expected units {variable.units!r}, found {found!r}")
    if hasattr(array.data, "_units"):
        problems.append(f"{name}: expected a plain array, found a pint quantity; dequantify it")
    return problems


def _has_dtype(dtype: np.dtype, declared: str, decoded: bool) -> bool:
    if declared == "str":
        return dtype.kind == "O"
    if declared == "ticks":
        return dtype == np.uint32
    if declared == "counts":
        return dtype.kind == "f" if decoded else dtype.name in COUNT_DTYPES
    return dtype == np.dtype(declared)


def _values(ds: xr.Dataset, variable: Variable) -> list[str]:
    array = ds[variable.name]
    if array.chunks is not None or variable.dtype != "str" or array.dtype != object:
        return []
    flat = array.values.ravel()
    wrong = [v for v in flat if type(v) is not str]
    if wrong:
        return [f"{variable.name}: expected text, found {wrong[0]!r} ('' means unknown)"]
    problems = []
    if variable.unique and (len(set(flat)) != flat.size or "" in flat):
        twice = next((v for v, n in Counter(flat).items() if n > 1), "a blank one")
        problems.append(f"{variable.name}: expected distinct labels, found duplicates: {twice}")
    if variable.values:
        odd = sorted(set(flat) - set(variable.values))
        if odd:
            problems.append(f"{variable.name}: expected one of {variable.values}, found {odd}")
    return problems


def columns_along(ds: xr.Dataset, dim: str) -> pd.DataFrame:
    """Return one row a label of ``dim``: every variable that has it alone, coordinates first.

    Examples
    --------
    >>> ds = xr.Dataset({"rate": ("unit", [1.5])}, {"unit": ["a"], "region": ("unit", ["CA1"])})
    >>> list(columns_along(ds, "unit").columns)
    ['region', 'rate']
    """
    names = [n for n, v in ds.variables.items() if v.dims == (dim,) and n != dim]
    columns = {n: _plain(ds[n].variable) for n in [*(n for n in names if n in ds.coords), *names]}
    return pd.DataFrame(columns, index=pd.Index(_plain(ds[dim].variable), name=dim))


def _plain(variable: xr.Variable) -> np.ndarray:
    return text(variable.values) if is_text(variable) else variable.values


def text(values: object) -> np.ndarray:
    """Make an object array of str, the one form labels have in memory; ``""`` is unknown.

    Parameters
    ----------
    values : array_like
        Text of any dtype: str of fixed length, StringDType, bytes (UTF-8), objects. What is
        missing (None, NaN) becomes ``""``; other objects become what str makes of them.

    Returns
    -------
    ndarray of object

    Examples
    --------
    >>> text(["VISp", "CA1"]).dtype
    dtype('O')
    >>> text(np.array(["VISp", None, np.nan, b"CA1"], dtype=object)).tolist()
    ['VISp', '', '', 'CA1']
    """
    array = np.asarray(values)
    # StringDType cannot be cast to text of fixed length
    array = array.astype(object) if array.dtype.kind in "OTS" else array.astype(str).astype(object)
    if pd.api.types.infer_dtype(array.ravel(), skipna=False) in ("string", "empty"):
        return array
    flat = [_as_str(v) for v in array.ravel()]
    return np.array(flat, dtype=object).reshape(array.shape)


def _as_str(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode()
    return "" if value is None or value is pd.NA or value != value else str(value)


def is_text(variable: xr.Variable) -> bool:
    """Return whether a variable holds text in another form than `text` gives.

    Examples
    --------
    >>> is_text(xr.Variable("unit", ["a"])), is_text(xr.Variable("unit", text(["a"])))
    (True, False)
    """
    if variable.dtype.kind in "UST":
        return True
    if variable.dtype.kind != "O":
        return False
    kind = pd.api.types.infer_dtype(np.ravel(variable.values), skipna=False)
    return kind in ("bytes", "mixed", "mixed-integer")
