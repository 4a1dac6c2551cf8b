"""Tidy tables for models: values and labels as columns, and the columns of a formula."""

from __future__ import annotations

import ast
from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.errors import ArgumentError, SelectionError, located

_CODING = {"C", "Q", "I", "Treatment", "Sum", "center", "standardize"}  # words of formulas


def tidy(x: xr.DataArray | pd.DataFrame) -> pd.DataFrame:
    """Return values and their labels as columns, one row each.

    Examples
    --------
    >>> x = xr.DataArray([1.0, 2.0], {"subject": ("session", ["a", "b"])}, ["session"], "ngsc")
    >>> tidy(x).columns.tolist()
    ['session', 'subject', 'value', 'ngsc']
    """
    if isinstance(x, pd.DataFrame):
        return x.reset_index(drop=True)
    if str(x.name) in x.coords or "value" in x.coords:
        taken = "value" if "value" in x.coords else str(x.name)
        do = 'Rename the array: x.rename("rate").'
        raise SelectionError(located("tidy", "a name that no label has", repr(taken), do))
    table = x.rename("value").to_dataframe().reset_index()
    return table if x.name is None else table.assign(**{str(x.name): table["value"]})


def formula_columns(formula: str, table: pd.DataFrame) -> list[str]:
    """Return the columns that a formula names, in the order of the alphabet.

    Raises
    ------
    ArgumentError
        If it cannot be read.
    SelectionError
        If a name is no column, such as that of a function.

    Examples
    --------
    >>> formula_columns("y ~ C(a):b", pd.DataFrame(columns=["a", "b", "c", "y"]))
    ['a', 'b', 'y']
    """
    where = "mixed_model, formula"
    example = "such as 'value ~ condition * phase'"
    try:
        if formula.count("~") != 1:
            raise SyntaxError
        tree = ast.parse(formula.replace("~", "+").replace(":", "*").strip(), mode="eval")
    except SyntaxError as error:
        raise ArgumentError(located(where, example, repr(formula))) from error
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} - _CODING
    for call in calls:
        if getattr(call.func, "id", None) == "Q":
            names |= {str(a.value) for a in call.args if isinstance(a, ast.Constant)}
    lacking = sorted(names - set(map(str, table)))
    if lacking or not names:
        found = ", ".join(lacking) or "no column"
        expected = "columns of " + ", ".join(map(str, table))
        do = "Transform values before: formulas know no functions."
        raise SelectionError(located(where, expected, found, do))
    return sorted(names)


def known_rows(table: pd.DataFrame, used: Sequence[str], where: str) -> pd.DataFrame:
    """Return some columns, of the rows that have all of them; yes and no become 1 and 0.

    Raises
    ------
    SelectionError
        If there is no such column, or no such row.

    Examples
    --------
    >>> known_rows(pd.DataFrame({"a": [1, np.nan], "b": [True, False]}), ["a", "b"], "test")
         a  b
    0  1.0  1
    """
    lacking = [n for n in used if n not in table]
    if lacking:
        expected = "columns of " + ", ".join(map(str, table))
        raise SelectionError(located(where, expected, ", ".join(map(repr, lacking))))
    data = table[list(used)]
    unknown = data.isna() | (data == "") | data.isin([np.inf, -np.inf])
    kept = data[~unknown.any(axis=1)].reset_index(drop=True)
    yes = [n for n in kept if pd.api.types.infer_dtype(kept[n]) == "boolean"]
    kept = kept.astype(dict.fromkeys(yes, np.int64))
    if not len(kept):
        raise SelectionError(located(where, "rows with " + ", ".join(used), "none"))
    return kept
