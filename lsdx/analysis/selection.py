"""Choose units by their labels, and show them as a table."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx import regions
from lsdx.errors import SelectionError, located
from lsdx.schema.spec import columns_along, text
from lsdx.schema.units import QUALITY

ATTRIBUTE = "selection"


def select(
    ds: xr.Dataset,
    *,
    region: str | Sequence[str] | None = None,
    quality: str | Sequence[str] | None = None,
    query: str | None = None,
    exclusions: bool = True,
    **labels: Any,
) -> xr.Dataset:
    """Keep the units whose labels match all that is asked.

    Parameters
    ----------
    ds : Dataset
        With the dimension ``unit``: what `lsdx.open_units` or `lsdx.open_spikes` gives.
    region : str or sequence of str, optional
        Allen acronyms, each with all that lies below it in the ontology. ``"~VISp"`` alone
        keeps units without a region too.
    quality : str or sequence of str, optional
        Named filters, all of which must hold: ``"ks2_good"`` (``ks2_label == "good"``),
        ``"ibl_pass"`` (``label == 1``), ``"bombcell_good"`` (``bombcell == "GOOD"``).
    query : str, optional
        An expression over the unit table, as `pandas.DataFrame.query` takes it.
    exclusions : bool
        Whether units that the lab excludes (label ``exclusion``) are left out.
    **labels
        Any label or quality number: a value, a list of values (any of them), or for numbers a
        range ``(low, high)`` with both ends in and None for open. In ``region`` and text
        labels, ``"~value"`` means not that one.

    Returns
    -------
    Dataset
        Fewer units, in the same order, still lazy. The attribute ``selection`` says what was
        applied and how many units were left after each step. NaN matches no range.

    Raises
    ------
    SelectionError
        For a label, a region or a value that does not exist; never an empty result for a
        misspelt name.

    Notes
    -----
    No quality filter is applied unless asked for.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units(demo_stores)
    >>> g = u.lsd.select(region=["Isocortex", "~VISp"], condition="lsd", firing_rate=(0.5, None))
    >>> sorted(set(g.condition.values.tolist()))
    ['lsd']
    """
    _require_units(ds)
    total = ds.sizes["unit"]
    mask = np.ones(total, dtype=bool)
    steps = [f"{total} units"]

    def keep(chosen: np.ndarray, name: str) -> None:
        nonlocal mask
        mask &= chosen
        steps.append(f"{name}: {int(mask.sum())}")

    if exclusions and "exclusion" in ds.variables:
        excluded = ds["exclusion"].values != ""
        if excluded.any():
            keep(~excluded, "not excluded")
    if region is not None:
        keep(_in_regions(ds, region), f"region={_show(region)}")
    for name in _listed(quality):
        keep(_of_quality(ds, name), f"quality={name}")
    for name, wanted in labels.items():
        keep(_matches(ds, name, wanted), f"{name}={_show(wanted)}")
    if query is not None:
        keep(_queried(ds, query), f"query={query}")
    out = ds.isel(unit=np.flatnonzero(mask))
    before = ds.attrs.get(ATTRIBUTE)
    return out.assign_attrs({ATTRIBUTE: "; ".join([before, *steps[1:]] if before else steps)})


def quantify(ds: xr.Dataset) -> xr.Dataset:
    """Give the dataset with units of measure attached, from each variable's ``units``.

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
    >>> str(quantify(lsdx.open_epochs(demo_stores)).start.pint.units)
    'second'
    """
    import pint_xarray  # noqa: F401  registers ds.pint

    quantified: xr.Dataset = ds.pint.quantify()
    return quantified


def unit_table(ds: xr.Dataset) -> pd.DataFrame:
    """Give one row a unit: every label and quality number.

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
    >>> lsdx.open_units(demo_stores).lsd.unit_table().index.name
    'unit'
    """
    _require_units(ds)
    table = columns_along(ds, "unit")
    return table.assign(simulated=True) if ds.attrs.get("simulated") else table


def _require_units(ds: xr.Dataset) -> None:
    if "unit" not in ds.dims or "unit" not in ds.coords:
        raise SelectionError(
            located(
                "select",
                "the dimension 'unit' with its labels",
                "dims " + ", ".join(map(str, ds.dims)),
                "Start from lsdx.open_units() or lsdx.open_spikes().",
            )
        )


def _labels_of(ds: xr.Dataset) -> list[str]:
    return sorted(str(n) for n, v in ds.variables.items() if v.dims == ("unit",))


def _column(ds: xr.Dataset, name: str) -> np.ndarray:
    known = _labels_of(ds)
    if name not in known:
        close = difflib.get_close_matches(name, [*known, "region", "quality", "query"], n=1)
        raise SelectionError(
            located(
                "select",
                "one of the labels " + ", ".join(known),
                repr(name),
                f"Did you mean {close[0]!r}?" if close else "Correct the name.",
            )
        )
    values = np.asarray(ds[name].values)
    return text(values) if values.dtype.kind in "UT" else values


def _in_regions(ds: xr.Dataset, region: str | Sequence[str]) -> np.ndarray:
    acronyms = _column(ds, "region")
    chosen = _texts("region", region)
    wanted, unwanted = _split(chosen)
    inside = set[str]().union(*(regions.descendants(a) for a in wanted))
    outside = set[str]().union(*(regions.descendants(a) for a in unwanted))
    every = inside if wanted or not chosen else set(acronyms)
    return np.isin(acronyms.astype(str), sorted(every - outside))


def _of_quality(ds: xr.Dataset, name: str) -> np.ndarray:
    if name not in QUALITY:
        raise SelectionError(
            located("select, quality", "one of " + ", ".join(QUALITY), repr(name), "Correct it.")
        )
    label, value = QUALITY[name]
    column = _column(ds, label)
    unknown = column == "" if column.dtype == object else np.isnan(column.astype(float))
    if column.size and unknown.all():
        raise SelectionError(
            located(
                f"select, quality={name}",
                f"the label {label!r} of some units",
                "it blank for all of them",
                "These recordings have not been through that quality control.",
            )
        )
    return np.asarray(column == value)


def _matches(ds: xr.Dataset, name: str, wanted: Any) -> np.ndarray:
    column = _column(ds, name)
    if isinstance(wanted, slice):
        if wanted.step is not None:
            raise _wrong(name, "a range without a step", wanted)
        wanted = (wanted.start, wanted.stop)
    if column.dtype != object:
        return _number_matches(column, name, wanted)
    chosen = _texts(name, wanted)
    yes, no = _split(chosen)
    known = set(column) | set(_vocabulary(ds, name))
    for value in [*yes, *no]:
        # in what has been selected from, a value may be gone that was there
        if value not in known and ATTRIBUTE not in ds.attrs:
            have = ", ".join(sorted(map(repr, set(column)))[:20])
            raise _wrong(name, f"one of {have}", value)
    some = bool(yes) or not chosen
    found = np.isin(column.astype(str), yes) if some else np.ones(column.size, dtype=bool)
    return found & ~np.isin(column.astype(str), no)


def _vocabulary(ds: xr.Dataset, name: str) -> Sequence[str]:
    """Values that a label may have though no unit here has them."""
    if name != "condition":
        return ()
    return ["unknown", *str(ds.attrs.get("conditions", "")).split(", ")]


def _number_matches(column: np.ndarray, name: str, wanted: Any) -> np.ndarray:
    if column.size and column.dtype.kind == "f" and np.isnan(column).all():
        raise _wrong(name, "a number known of some units", "NaN for all of them")
    try:
        if isinstance(wanted, tuple):
            low, high = wanted
            low = -np.inf if low is None else float(low)
            high = np.inf if high is None else float(high)
            if not low <= high:
                raise _wrong(name, "a range (low, high)", wanted)
            return np.asarray((column >= low) & (column <= high))
        return np.isin(column, np.asarray(_listed(wanted), dtype=np.float64))
    except (TypeError, ValueError) as error:
        if isinstance(error, SelectionError):
            raise
        raise _wrong(name, "a number, a list of numbers, or a range (low, high)", wanted) from error


def _queried(ds: xr.Dataset, query: str) -> np.ndarray:
    table = unit_table(ds)
    try:
        chosen = table.eval(query, engine="python")
    except (ValueError, SyntaxError, TypeError, KeyError, AttributeError, NameError) as error:
        raise _wrong("query", "an expression over the unit table", f"{query!r}: {error}") from error
    if not isinstance(chosen, pd.Series) or chosen.dtype != bool:
        raise _wrong("query", "true or false for each unit", query)
    return np.asarray(chosen)


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
    return SelectionError(located(f"select, {name}", expected, repr(found), "Correct it."))
