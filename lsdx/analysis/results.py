"""What a result keeps of the Dataset that it is made from: labels and attributes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

# what every result over sessions carries, where one value holds for the group
_CARRIED = (
    "session",
    "session_label",
    "subject",
    "condition",
    "cohort_year",
    "session_n",
    "insertion",
    "probe",
)
_KEPT_ATTRS = (
    "title",
    "simulated",
    "catalog",
    "conditions",
    "bin_width",
    "duplicates",
    "selection",
    "relative_to",
    "width",
)


def result_attrs(ds: xr.Dataset | xr.DataArray) -> dict[str, Any]:
    """Return the attributes that a result keeps: where the counts came from, and which they are."""
    return {k: ds.attrs[k] for k in _KEPT_ATTRS if k in ds.attrs}


def carried_labels(table: pd.DataFrame, code: np.ndarray) -> dict[str, np.ndarray]:
    """Return the labels of recordings that all units of each group share, by group.

    Examples
    --------
    >>> table = pd.DataFrame({"session": ["a", "a", "b"], "probe": ["x", "y", "x"]})
    >>> carried_labels(table, np.array([0, 0, 1]))["session"].tolist()
    ['a', 'b']
    """
    inside = code >= 0
    found = {}
    history = [str(c) for c in table if str(c).startswith("days_since_")]
    for label in (*_CARRIED, *history):
        if label in table and inside.any():
            by_group = table[label][inside].groupby(code[inside])
            if (by_group.nunique(dropna=False) == 1).all():
                found[label] = np.asarray(by_group.first())
    return found
