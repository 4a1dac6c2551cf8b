"""Choose units, sessions, events or insertions by their labels, and show units as a table."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import xarray as xr

from lsdx import regions
from lsdx.analysis.inputs import with_text
from lsdx.arguments import one_of
from lsdx.errors import SelectionError, located, missing_package
from lsdx.schema import SCHEMAS
from lsdx.schema.spec import columns_along, is_text, text
from lsdx.schema.units import QUALITY

ATTRIBUTE = "selection"
LABELLED = ("unit", "session", "event", "insertion")
_FEW_VALUES = 10  # of a label whose numbers are codes, such as IBL's label or a contrast
_OF_QUALITY = {v.name for v in SCHEMAS["quality"].variables if v.dims == ("unit",)}
_Labelled = TypeVar("_Labelled", xr.Dataset, xr.DataArray)


def select(
    ds: _Labelled,
    *,
    dim: str | None = None,
    region: str | Sequence[str] | None = None,
    quality: str | Sequence[str] | None = None,
    query: str | None = None,
    exclusions: bool = True,
    **labels: Any,
) -> _Labelled:
    """Keep the units, sessions, events or insertions whose labels match all that is asked.

    Parameters
    ----------
    ds : Dataset or DataArray
        What `lsdx.open_units`, `lsdx.open_events`, ... or a measure gives.
    dim : str, optional
        Along which dimension; by default the one of ``unit``, ``session``, ``event`` and
        ``insertion`` that ``ds`` has.
    region : str or sequence of str, optional
        Allen acronyms, each with all that lies below it in the ontology. ``"~VISp"`` alone
        keeps units without a region too.
    quality : str or sequence of str, optional
        Named filters, all of which must hold: ``"ks2_good"`` (``ks2_label == "good"``),
        ``"ibl_pass"`` (``label == 1``), ``"bombcell_good"`` (``bombcell == "GOOD"``), and of
        `lsdx.open_quality` ``"stable"`` (``stable == 1``).
    query : str, optional
        An expression over the table of labels, as `pandas.DataFrame.query` takes it.
    exclusions : bool
        Whether what the lab excludes (label ``exclusion``, where there is one) is left out.
    **labels
        Any label or number: a value, a list of values (any of them), or for numbers and dates a
        range ``(low, high)`` with both ends in and None for open. In ``region`` and text
        labels, ``"~value"`` means not that one. ``session`` takes the id or the label, such as
        ``"LSDX-A 2023-01-19/001"``.

    Returns
    -------
    Dataset or DataArray
        Fewer units, in the same order, still lazy. The attribute ``selection`` says what was
        applied and how many were left after each step. NaN matches no range.

    Raises
    ------
    SelectionError
        For a label, a region or a value that does not exist, unless it may have gone with an
        earlier selection; for an exact value of a number that nothing has, such as
        ``firing_rate=0.5``: a range is ``(0.5, None)``. Never an empty result for a misspelt
        name.

    Notes
    -----
    No quality filter is applied unless asked for.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units()
    >>> g = u.lsd.select(region=["Isocortex", "~VISp"], condition="lsd", firing_rate=(0.5, None))
    >>> sorted(set(g.condition.values.tolist()))
    ['lsd']
    >>> e = lsdx.open_events().lsd.select(kind="gabor", contrast=(0.1, None))
    >>> set(e.kind.values.tolist())
    {'gabor'}
    """
    one_of(exclusions, "select, exclusions", (True, False))
    along = _dimension(ds, dim)
    table = _labels_along(ds, along)
    for name in ds.dims:
        if name in labels and name != along:
            wanted = labels[str(name)]
            raise SelectionError(
                located(
                    f"select, {name}",
                    f"a label along {along}",
                    "a dimension",
                    f"Use ds.sel({name}={wanted!r}), or dim={name!r}.",
                )
            )
    total = ds.sizes[along]
    mask = np.ones(total, dtype=bool)
    steps: list[str] = [f"{total} {along}s"]

    def keep(chosen: np.ndarray, name: str) -> None:
        nonlocal mask
        mask &= chosen
        steps.append(f"{name}: {int(mask.sum())}")

    if exclusions and "exclusion" in table.variables:
        excluded = _column(table, "exclusion") != ""
        if excluded.any():
            keep(~excluded, "not excluded")
    if region is not None:
        keep(_in_regions(table, region), f"region={_show(region)}")
    for name, wanted in labels.items():
        keep(_matches(table, name, wanted), f"{name}={_show(wanted)}")
    for name in _listed(quality):
        keep(_of_quality(table, name, mask), f"quality={name}")
    if query is not None:
        keep(_queried(table, along, query), f"query={query}")
    out = ds.isel({along: np.flatnonzero(mask)})
    before = ds.attrs.get(ATTRIBUTE)
    return out.assign_attrs({ATTRIBUTE: "; ".join([before, *steps[1:]] if before else steps)})


def quantify(ds: xr.Dataset) -> xr.Dataset:
    """Return the dataset with units of measure attached, from each variable's ``units``.

    Parameters
    ----------
    ds : Dataset
        Whatever was opened or measured.

    Returns
    -------
    Dataset
        Of pint quantities, lazy where it was: ``.pint.to("ms")`` converts them,
        ``.pint.dequantify()`` takes the units off again.

    Examples
    --------
    >>> import lsdx
    >>> str(quantify(lsdx.open_epochs()).start.pint.units)
    'second'
    """
    try:
        import pint_xarray  # noqa: F401  registers ds.pint
    except ImportError as error:
        raise missing_package("quantify", "pint-xarray", "units") from error

    quantified: xr.Dataset = ds.pint.quantify()
    return quantified


def unit_table(ds: xr.Dataset) -> pd.DataFrame:
    """Return one row a unit: every label and quality number.

    Parameters
    ----------
    ds : Dataset
        With the dimension ``unit``.

    Returns
    -------
    DataFrame
        Indexed by unit id.

    Examples
    --------
    >>> import lsdx
    >>> lsdx.open_units().lsd.unit_table().index.name
    'unit'
    """
    if "unit" not in ds.dims or "unit" not in ds.coords:
        raise SelectionError(
            located(
                "unit_table",
                "the dimension 'unit' with its labels",
                "dims " + ", ".join(map(str, ds.dims)),
                "Start from lsdx.open_units() or lsdx.open_spikes().",
            )
        )
    table = columns_along(ds, "unit")
    return table.assign(simulated=True) if ds.attrs.get("simulated") else table


def _dimension(ds: xr.Dataset | xr.DataArray, dim: str | None) -> str:
    """Return the dimension along which labels are looked for."""
    have = [d for d in LABELLED if d in ds.dims]
    if dim is None and len(have) == 1:
        return have[0]
    if dim is not None and dim in ds.dims:
        return dim
    if dim is None and not have:
        do = "Start from lsdx.open_units(), open_events(), ..., or name one: dim=..."
    else:
        do = "Name one: dim=..."
    raise SelectionError(
        located(
            "select, dim",
            "one dimension of " + ", ".join(LABELLED) if dim is None else "a dimension of ds",
            ("dims " if dim is None else f"{dim!r} with dims ") + ", ".join(map(str, ds.dims)),
            do,
        )
    )


def _labels_along(ds: xr.Dataset | xr.DataArray, dim: str) -> xr.Dataset:
    """Return what can be selected by: variables along ``dim`` alone, and the attributes."""
    table = ds if isinstance(ds, xr.Dataset) else ds.coords.to_dataset()
    others = [n for n, v in table.variables.items() if v.dims != (dim,)]
    return with_text(table.drop_vars(others), "select").assign_attrs(ds.attrs)


def _column(table: xr.Dataset, name: str, where: str = "select") -> np.ndarray:
    known = sorted(map(str, table.variables))
    if name not in known:
        if name in _OF_QUALITY and "unit" in table.dims:
            raise SelectionError(
                located(
                    where,
                    "a label along unit",
                    f"{name!r}, which is in the store of quality",
                    "Select there: q = lsdx.open_quality().lsd.select(...); then take the same "
                    "units: lsdx.open_spikes(units=q), or u.sel(unit=q.unit).",
                )
            )
        options = ("quality", "query", "dim")
        close = difflib.get_close_matches(name, [*known, *options], n=3)
        if name in ("region", "quality"):
            close = []
        raise SelectionError(
            located(
                where,
                "a label along " + ", ".join(map(str, table.dims)),
                repr(name),
                f"Did you mean {_either(close)}?" if close else f"There are {', '.join(known)}.",
            )
        )
    variable = table[name].variable
    return text(variable.values) if is_text(variable) else variable.values


def _in_regions(table: xr.Dataset, region: str | Sequence[str]) -> np.ndarray:
    acronyms = _column(table, "region", "select, region")
    chosen = _texts("region", region)
    wanted, unwanted = _split(chosen)
    inside = [regions.descendants(a) for a in wanted]
    outside = set[str]().union(*(regions.descendants(a) for a in unwanted))
    here = set(acronyms)
    for name, below in zip(wanted, inside, strict=True):
        if here and not here & below and ATTRIBUTE not in table.attrs:
            raise SelectionError(
                located(
                    "select, region",
                    "a region that something here lies in",
                    f"{name!r}, which the atlas knows, with none recorded here",
                    f"Here are {_some(here - {''})}, and what is above them.",
                )
            )
    every = set[str]().union(*inside) if wanted or not chosen else here
    return np.isin(acronyms.astype(str), sorted(every - outside))


def _of_quality(table: xr.Dataset, name: str, among: np.ndarray) -> np.ndarray:
    if name not in QUALITY:
        raise SelectionError(located("select, quality", "one of " + ", ".join(QUALITY), repr(name)))
    label, value = QUALITY[name]
    column = _column(table, label, f"select, quality={name}")
    unknown = column == "" if column.dtype == object else np.isnan(column.astype(float))
    if among.any() and unknown[among].all():
        raise SelectionError(
            located(
                f"select, quality={name}",
                f"the label {label!r} of some units",
                f"it blank for all {int(among.sum())} that the rest of the selection leaves",
                "Leave this filter out, or give these recordings that quality control and "
                "build again.",
            )
        )
    return np.asarray(column == value)


def _matches(table: xr.Dataset, name: str, wanted: Any) -> np.ndarray:
    column = _column(table, name)
    if isinstance(wanted, slice):
        if wanted.step is not None:
            raise _wrong(name, "a range without a step", wanted)
        wanted = (wanted.start, wanted.stop)
    if column.dtype != object:
        return _number_matches(column, name, wanted, ATTRIBUTE in table.attrs)
    chosen = _texts(name, wanted)
    if name == "session" and "session_label" in table.variables:  # a session has two names
        ids = dict(zip(table["session_label"].values, table["session"].values, strict=True))
        chosen = [
            c[: c.startswith("~")] + ids.get(c.removeprefix("~"), c.removeprefix("~"))
            for c in chosen
        ]
    yes, no = _split(chosen)
    known = set(column) | set(_vocabulary(table, name))
    for value in [*yes, *no]:
        # in what has been selected from, a value may be gone that was there
        if value not in known and ATTRIBUTE not in table.attrs:
            raise _unknown_value(table, name, value, known)
    some = bool(yes) or not chosen
    found = np.isin(column.astype(str), yes) if some else np.ones(column.size, dtype=bool)
    return found & ~np.isin(column.astype(str), no)


def _unknown_value(
    table: xr.Dataset, name: str, value: str, known: Iterable[str]
) -> SelectionError:
    """Say which values are near, or which other label has this one."""
    folded = {str(v).casefold(): str(v) for v in known if v}
    close = difflib.get_close_matches(value.casefold(), folded, n=3)
    texts = {str(n): v.values for n, v in table.variables.items() if v.dtype == object}
    others = [n for n, v in texts.items() if (v == value).any()]
    if others:
        do = f"It is a value of {others[0]}: select({others[0]}={value!r})."
    elif close:
        do = f"Did you mean {_either([folded[c] for c in close])}?"
    else:
        do = f"Take one of {_some(folded.values())}."
    return SelectionError(located(f"select, {name}", "a value that is there", repr(value), do))


def _vocabulary(table: xr.Dataset, name: str) -> Sequence[str]:
    """Values that a label may have though nothing here has them."""
    if name != "condition":
        return ()
    return ["unknown", *str(table.attrs.get("conditions", "")).split(", ")]


def _number_matches(
    column: np.ndarray, name: str, wanted: Any, selected_before: bool
) -> np.ndarray:
    dates = column.dtype.kind == "M"
    missing = pd.isna(column)
    if column.size and missing.all():
        raise _wrong(name, "a number known of some", "NaN for all of them")
    convert: Any = np.datetime64 if dates else float
    try:
        if isinstance(wanted, tuple):
            low, high = wanted
            inside = ~missing
            inside &= True if low is None else column >= convert(low)
            inside &= True if high is None else column <= convert(high)
            if low is not None and high is not None and not convert(low) <= convert(high):
                raise _wrong(name, "a range (low, high)", wanted)
            return np.asarray(inside)
        found = np.zeros(column.size, dtype=bool)
        for value in _listed(wanted):
            exact = convert(value)
            equal = column == exact if dates else np.isclose(column, exact, rtol=1e-6, atol=0)
            codes = np.unique(column[~missing]).size <= _FEW_VALUES
            if column.size and not equal.any() and not (selected_before and codes):
                raise _no_such_number(name, wanted)
            found |= equal
    except (TypeError, ValueError) as error:
        if isinstance(error, SelectionError):
            raise
        kind = "date" if dates else "number"
        expected = f"a {kind}, a list of {kind}s, or a range (low, high)"
        raise _wrong(name, expected, wanted) from error
    return found


def _no_such_number(name: str, wanted: Any) -> SelectionError:
    values = sorted(_listed(wanted))
    low, high = values[0], values[-1] if len(values) > 1 else None
    return SelectionError(
        located(
            f"select, {name}",
            "exact values that are there",
            f"{wanted!r}",
            f"For a range write {name}=({low}, {high}).",
        )
    )


def _queried(table: xr.Dataset, dim: str, query: str) -> np.ndarray:
    columns = columns_along(table, dim)
    try:
        chosen = columns.eval(query, engine="python")
    except (ValueError, SyntaxError, TypeError, KeyError, AttributeError, NameError) as error:
        found = f"{query!r}: {error}"
        raise _wrong("query", "an expression over the table of labels", found) from error
    if not isinstance(chosen, pd.Series) or chosen.dtype != bool:
        raise _wrong("query", f"true or false for each {dim}", query)
    return np.asarray(chosen)


def _either(names: Sequence[str]) -> str:
    return " or ".join(map(repr, names))


def _some(names: Iterable[str]) -> str:
    ordered = sorted(map(str, names))
    return ", ".join(ordered[:20]) + (f" and {len(ordered) - 20} more" if len(ordered) > 20 else "")


def _split(values: Iterable[str]) -> tuple[list[str], list[str]]:
    values = list(values)
    return [v for v in values if v[:1] != "~"], [v[1:] for v in values if v[:1] == "~"]


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, str) or np.ndim(value) == 0:
        return [value]
    return list(value)


def _texts(name: str, value: Any) -> list[str]:
    listed = _listed(value)
    if not all(isinstance(v, str) for v in listed):
        raise _wrong(name, "text", value)
    return listed


def _show(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _wrong(name: str, expected: str, found: Any) -> SelectionError:
    return SelectionError(located(f"select, {name}", expected, repr(found)))
