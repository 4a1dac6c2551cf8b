"""From labelled values to one value a session: reduced from units, contrasted, by cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.inputs import with_text
from lsdx.analysis.results import result_attrs
from lsdx.arguments import one_of
from lsdx.errors import ArgumentError, SelectionError, located

REDUCTIONS = ("mean", "median", "share")
_NEEDED = ("subject", "condition", "cohort_year")
_OWN = ("mouse", "condition", "arrangement")  # dimensions of results


@dataclass(frozen=True)
class SessionValues:
    """One value a session and cell.

    ``values`` (n_sessions, n_cells) float64, NaN for none; ``n_units`` alike, None where the
    values were not of units; ``table`` the labels of sessions; ``dims``, ``shape`` and
    ``coords`` those of the cells; ``attrs`` what the values say of themselves, ``source`` where
    they come from.
    """

    values: np.ndarray
    n_units: np.ndarray | None
    table: pd.DataFrame
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    coords: dict[str, Any]
    attrs: dict[str, Any]
    source: dict[str, Any]
    name: str

    def label(self, name: str) -> np.ndarray:
        """Return a label of the sessions."""
        return self.table[name].to_numpy()

    def with_values(self) -> SessionValues:
        """Leave out the sessions without any value; keep all if none has one."""
        known = np.isfinite(self.values).any(axis=1)
        return self.take(known) if known.any() else self

    def take(self, rows: np.ndarray) -> SessionValues:
        """Return some of the sessions."""
        n_units = None if self.n_units is None else self.n_units[rows]
        return SessionValues(
            self.values[rows],
            n_units,
            self.table.iloc[np.flatnonzero(rows) if rows.dtype == bool else rows],
            self.dims,
            self.shape,
            self.coords,
            self.attrs,
            self.source,
            self.name,
        )


def session_values(
    x: xr.DataArray | xr.Dataset,
    where: str,
    *,
    between: tuple[str, str] | None,
    by: str | Sequence[str] | None,
    reduce: str | None,
) -> SessionValues:
    """Reduce values to sessions, and take the contrast of two phases.

    Parameters
    ----------
    x : DataArray or Dataset
        Over ``session``, or over ``unit`` with the label ``session``; of a Dataset the variables
        of numbers that have it are measures (with phases, if these are contrasted).
    where : str
        The function that is called, for errors.
    between : tuple of two str or None
        The phases: second minus first. None: the values as they are.
    by : str or sequence of str, optional
        Labels of units, such as ``"group"``: a cell each.
    reduce : {"mean", "median", "share"}
        Of the units of a session; a share is the mean of truth values.

    Returns
    -------
    SessionValues
        In the order of the sessions' ids.

    Raises
    ------
    SelectionError
        For missing dimensions or labels.
    ArgumentError
        For arguments that do not fit.
    """
    if reduce is None:
        why = "mean, median or share: units of one mouse are alike, and no sample of mice"
        raise ArgumentError(located(f"{where}, reduce", why, "None"))
    one_of(reduce, f"{where}, reduce", REDUCTIONS)
    array = finite_numbers(one_array(x, where, between), where)
    if reduce == "share" and not np.isin(array.values[~pd.isna(array.values)], (0, 1)).all():
        do = "Say which: (m.p < 0.05).where(m.p.notnull())."
        raise SelectionError(located(f"{where}, reduce", "truth values for a share", "others", do))
    if between is not None:
        array = _contrast(array, where, between)
    table, array, n_units = (
        _of_units(array, where, by, reduce)
        if "unit" in array.dims
        else (_labels(array, where, "session"), array, None)
    )
    if by is not None and n_units is None:
        raise ArgumentError(located(f"{where}, by", "None: there are no units", repr(by)))
    array = array.transpose("session", ...)
    dims = tuple(str(d) for d in array.dims if d != "session")
    coords = {
        str(n): c.variable
        for n, c in array.coords.items()
        if set(c.dims) <= set(dims) and (c.dims or n in ("simulated", "phase", "epoch"))
    }
    n = array.sizes["session"]
    values = array.values.reshape(n, int(np.prod(array.shape[1:])))
    counts = None if n_units is None else n_units.transpose("session", ...).values
    found = SessionValues(
        values,
        None if counts is None else np.broadcast_to(counts, array.shape).reshape(n, -1),
        table,
        dims,
        tuple(array.sizes[d] for d in dims),
        coords,
        dict(array.attrs),
        result_attrs(x),
        "value" if array.name is None else str(array.name),
    )
    # so that what is drawn is the same in whatever order sessions come
    return found.take(np.argsort(table.index.astype(str).to_numpy(), kind="stable"))


def one_array(x: Any, where: str, between: Any) -> xr.DataArray:
    """Return the values over sessions or units; the measures of a Dataset along ``measure``."""
    if isinstance(x, xr.Dataset):
        names = [
            n
            for n, v in x.data_vars.items()
            if v.dtype.kind in "fiub"
            and {"session", "unit"} & set(v.dims)
            and (between is None or "phase" in v.dims)  # else its contrast is 0, and no measure
        ]
        if not names:
            do = "Start from a measure: ds.lsd.rates(), d.ngsc, ..."
            raise SelectionError(located(where, "numbers over session or unit", "none", do))
        x = x[names].to_array("measure").assign_attrs(x.attrs)
    if not isinstance(x, xr.DataArray) or not {"session", "unit"} & set(x.dims):
        found = ", ".join(map(str, getattr(x, "dims", ()))) or type(x).__name__
        do = "Start from a measure over session or unit; one number a group is no sample of mice."
        raise SelectionError(located(where, "a dimension session or unit", found, do))
    if {"session", "unit"} <= set(x.dims):
        raise SelectionError(located(where, "one of session and unit", "both"))
    if "unit" in x.dims:
        told: xr.DataArray = with_text(x.to_dataset(name="value"), where)["value"]
        return told.rename(x.name).assign_attrs(x.attrs)
    array: xr.DataArray = x
    return array


def finite_numbers(array: xr.DataArray, where: str, own: tuple[str, ...] = _OWN) -> xr.DataArray:
    """Return finite values or NaN as float64: differences of integers would wrap around.

    ``own`` are dimensions of the result, which the values may not have.
    """
    if array.dtype.kind not in "fiub":
        raise SelectionError(located(where, "numbers", f"dtype {array.dtype}"))
    empty = [str(d) for d in array.dims if not array.sizes[d]]
    if empty:
        raise SelectionError(located(where, f"some {empty[0]}", "none"))
    taken = [str(d) for d in array.dims if d in own]
    if taken:
        do = f"Rename it: x.rename({{{taken[0]!r}: ...}})."
        raise SelectionError(
            located(where, "other dimensions than " + ", ".join(own), taken[0], do)
        )
    found: xr.DataArray = array.astype(np.float64).compute()
    if np.isinf(found.values).any():
        raise SelectionError(located(where, "finite values, or NaN", "infinity"))
    return found


def _contrast(array: xr.DataArray, where: str, between: Any) -> xr.DataArray:
    pair = isinstance(between, Sequence) and not isinstance(between, str) and len(between) == 2
    if not pair or between[0] == between[1]:
        expected = "two phases, or None"
        raise ArgumentError(located(f"{where}, between", expected, repr(between)))
    phases = array["phase"].values.tolist() if "phase" in array.dims else []
    if not all(p in phases for p in between):
        found = ", ".join(map(str, phases)) or "no dimension phase"
        do = "Say between=None for values that are contrasts already."
        if phases:
            do = f"Say which, earlier first: between=({phases[0]!r}, {phases[-1]!r})."
        expected = f"phases {' and '.join(map(str, between))}"
        raise SelectionError(located(f"{where}, between", expected, found, do))
    first, second = (array.sel(phase=p, drop=True) for p in between)
    contrast: xr.DataArray = second - first
    return contrast.rename(array.name).assign_attrs(array.attrs)


def _labels(array: xr.DataArray, where: str, dim: str) -> pd.DataFrame:
    names = [n for n, c in array.coords.items() if c.dims == (dim,) and n != dim]
    missing = [n for n in _NEEDED if n not in names]
    if missing:
        have = ", ".join(map(str, names)) or "no labels"
        of = "x.session" if dim == "session" else "x.session.variable"
        label = missing[0]
        told = f"({dim!r}, sessions.{label}.sel(session={of}).data)"
        do = f"Assign it: x.assign_coords({label}={told})."
        raise SelectionError(located(where, "labels " + ", ".join(missing), have, do))
    columns = {str(n): array[n].values for n in names}
    index = array[dim].values if dim in array.coords else np.arange(array.sizes[dim])
    table = pd.DataFrame(columns, index=pd.Index(index, name=dim))
    refuse_unnamed(table, where, ("subject", "session") if dim == "unit" else ("subject",))
    return table


def refuse_unnamed(table: pd.DataFrame, where: str, labels: Sequence[str]) -> None:
    """Refuse rows that stand twice, or whose mouse or session is not known.

    What has no name would count as one mouse, or as many.
    """
    dim = str(table.index.name)
    if table.index.has_duplicates:
        twice = table.index[table.index.duplicated()][0]
        raise SelectionError(located(where, f"each {dim} once", f"{twice} twice"))
    for label in labels:
        unknown = table[label].isna() | (table[label].astype(str) == "") if label in table else None
        if unknown is not None and unknown.any():
            found = f"{int(unknown.sum())} of {len(table)} without"
            named = f"[s == s and s not in (None, '') for s in x.{label}.values]"
            do = f"Leave them out: x.isel({dim}={named})."
            raise SelectionError(located(where, f"a {label} of each {dim}", found, do))


def _of_units(
    array: xr.DataArray, where: str, by: Any, reduce: str
) -> tuple[pd.DataFrame, xr.DataArray, xr.DataArray]:
    """Reduce units to sessions, by labels; return the sessions' labels, values, numbers."""
    table = _labels(array, where, "unit")
    names = [by] if isinstance(by, str) else list(by or ())
    unknown = [n for n in ("session", *names) if n not in table]
    if unknown:
        have = ", ".join(table.columns)
        raise SelectionError(located(f"{where}, by", "labels of units: " + have, unknown[0]))
    alone = [n for n in names if n in ("session", *_NEEDED)]
    if alone:
        do = "Values are compared by session, mouse and condition anyway."
        expected = "labels that differ within a session"
        raise ArgumentError(located(f"{where}, by", expected, repr(alone[0]), do))
    for label in names:
        if table[label].isna().any():
            told = f"{int(table[label].isna().sum())} units without"
            do = f"Leave them out: x.isel(unit=x.{label}.notnull().values)."
            raise SelectionError(located(f"{where}, by", f"a {label} of each unit", told, do))
    session, sessions = pd.factorize(table["session"])
    keys = [pd.factorize(table[n], sort=True) for n in names]
    shape = (len(sessions), *(len(k[1]) for k in keys))
    code = np.ravel_multi_index((session, *(k[0] for k in keys)), shape)
    rest = [str(d) for d in array.dims if d != "unit"]
    flat = np.asarray(array.transpose("unit", *rest).values, dtype=np.float64)
    flat = flat.reshape(len(table), -1)
    grouped = pd.DataFrame(flat).groupby(code)
    found = (grouped.median() if reduce == "median" else grouped.mean()).reindex(
        range(int(np.prod(shape)))
    )
    n = grouped.count().reindex(range(int(np.prod(shape))), fill_value=0)
    sizes = (*shape, *(array.sizes[d] for d in rest))
    dims = ("session", *names, *rest)
    first = table.groupby("session", sort=False).first().loc[sessions]
    alike = table.groupby("session", sort=False).nunique(dropna=False).eq(1).all()
    kept = [c for c in first.columns if alike[c]]
    several = [n for n in _NEEDED if n not in kept]
    if several:
        expected = f"one {several[0]} of each session"
        raise SelectionError(located(where, expected, "several of one session"))
    coords: dict[str, Any] = {"session": np.asarray(sessions, dtype=object)}
    coords |= {c: ("session", first[c].to_numpy()) for c in kept}
    coords |= {n_: np.asarray(k[1], dtype=object) for n_, k in zip(names, keys, strict=True)}
    coords |= {
        str(n_): c.variable
        for n_, c in array.coords.items()
        if "unit" not in c.dims and set(c.dims) <= set(rest)
    }
    values = xr.DataArray(found.to_numpy().reshape(sizes), coords, dims, array.name, array.attrs)
    numbers = xr.DataArray(n.to_numpy().reshape(sizes), dims=dims)
    return first[kept], values, numbers
