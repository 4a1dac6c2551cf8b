"""Axes to draw on, and what every picture says of its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from lsdx.errors import SelectionError, located

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def on_axes(ax: Axes | None, data: xr.Dataset | xr.DataArray) -> Axes:
    """Give the Axes, new ones if there are none; what is simulated is marked so."""
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots(layout="constrained")[1]
    if "simulated" in data.coords:
        ax.text(1, 1.01, "simulated", transform=ax.transAxes, ha="right", va="bottom", size=7)
    return ax


def require_dims(data: Any, where: str, needed: set[str], most: int) -> None:
    """Refuse data without the dimensions that a picture needs, or with too many others."""
    dims = set(map(str, data.dims))
    if not needed <= dims or len(dims - needed) > most:
        raise SelectionError(
            located(
                where,
                f"dims {', '.join(sorted(needed))} and at most {most} more",
                ", ".join(map(str, data.dims)) or "none",
                "Select one label of the others: data.sel(...), or reduce them.",
            )
        )


def axis_label(data: xr.DataArray) -> str:
    """Give a label of what an array holds, with its units."""
    name = str(data.attrs.get("long_name", "" if data.name is None else data.name))
    units = data.attrs.get("units", "1")
    return name if units == "1" else f"{name} ({units})"


def series(data: xr.DataArray, along: str) -> list[tuple[str, np.ndarray]]:
    """Give the lines of an array: one for each label of its other dimension, if it has one."""
    other = [d for d in data.dims if d != along]
    if not other:
        return [("", data.values)]
    rows = data.transpose(other[0], along)
    names = row_names(rows, str(other[0]))
    return list(zip(names, rows.values, strict=True))


def row_names(data: xr.DataArray, dim: str) -> list[str]:
    """Name the rows along a dimension, sessions by subject, condition and number."""
    if dim != "session" or "subject" not in data.coords:
        return [str(v) for v in data[dim].values]
    parts = [data[n].values for n in ("subject", "session_n", "condition") if n in data.coords]
    return [" ".join(map(str, p)) for p in zip(*parts, strict=True)]
