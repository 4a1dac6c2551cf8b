"""Axes to draw on, and what every picture says of its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from lsdx.errors import SelectionError, located

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def new_axes(ax: Axes | None, *, height: float | None = None) -> Axes:
    """Return the Axes, new ones if None (``height`` in inches)."""
    if ax is None:
        import matplotlib.pyplot as plt

        figure, ax = plt.subplots(layout="constrained")
        if height is not None:
            figure.set_figheight(height)
    return ax


def on_axes(
    ax: Axes | None, data: xr.Dataset | xr.DataArray, *, height: float | None = None
) -> Axes:
    """Return the Axes, new ones if None (``height`` in inches), and mark what is simulated."""
    ax = new_axes(ax, height=height)
    if "simulated" in data.coords:
        ax.text(1, 1.01, "simulated", transform=ax.transAxes, ha="right", va="bottom", size=7)
    return ax


def as_dataset(data: Any, where: str, needed: set[str], do: str) -> xr.Dataset:
    """Return the Dataset of a picture; one variable of it will do if the picture needs no other."""
    if isinstance(data, xr.DataArray):
        name = "value" if data.name is None else data.name
        data = data.coords.to_dataset() if name in data.coords else data.to_dataset(name=name)
    if not isinstance(data, xr.Dataset) or not needed <= set(data.variables):
        missing = sorted(needed - set(data.variables)) if isinstance(data, xr.Dataset) else []
        raise SelectionError(
            located(
                where,
                f"a Dataset with {', '.join(sorted(needed))}",
                f"one without {', '.join(missing)}" if missing else type(data).__name__,
                do,
            )
        )
    return data


def require_array(data: Any, where: str) -> None:
    """Check that it is a DataArray: a Dataset does not say which of its variables to draw."""
    if not isinstance(data, xr.DataArray):
        have = ", ".join(map(str, data.data_vars)) if isinstance(data, xr.Dataset) else ""
        raise SelectionError(
            located(
                where,
                "a DataArray",
                f"a Dataset of {have}" if have else type(data).__name__,
                'Take one variable: data["name"].',
            )
        )


def require_dims(data: Any, where: str, needed: set[str], most: int) -> None:
    """Check that data have the dimensions that a picture needs, and few others."""
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


def is_scalar(data: xr.Dataset, name: str) -> bool:
    """Return whether a coordinate has one value for the whole of the data."""
    return name in data.coords and data[name].ndim == 0


def axis_label(data: xr.DataArray) -> str:
    """Return a label of what an array holds, with its units."""
    name = str(data.attrs.get("long_name", "" if data.name is None else data.name))
    units = data.attrs.get("units", "1")
    label = name if units == "1" else f"{name} ({units})"
    # groups differ in more than what is measured
    return f"{label}\ncompare changes, not levels" if data.attrs.get("compare") else label


def series(data: xr.DataArray, along: str) -> list[tuple[str, np.ndarray]]:
    """Return the lines of an array: one for each label of its other dimension, if it has one."""
    other = [d for d in data.dims if d != along]
    if not other:
        return [("", data.values)]
    rows = data.transpose(other[0], along)
    names = row_names(rows, str(other[0]))
    return list(zip(names, rows.values, strict=True))


def row_names(data: xr.DataArray, dim: str) -> list[str]:
    """Return the names of the rows along a dimension: of sessions, label and condition."""
    named = [n for n in ("session_label", "condition") if n in data.coords]
    if dim != "session" or "session_label" not in named:
        return [str(v) for v in data[dim].values]
    parts = [data[n].values for n in named]
    return [" ".join(map(str, p)) for p in zip(*parts, strict=True)]


def region_segments(
    depth: np.ndarray, region: np.ndarray, margin: float = 0.0
) -> list[tuple[str, float, float]]:
    """Return the regions along a probe, and where each begins and ends.

    ``depth`` is sorted; a region reaches half way to the next one, and ``margin`` beyond the last.

    Examples
    --------
    >>> region_segments(np.array([0.0, 20.0, 60.0]), np.array(["CA1", "CA1", "DG"]))
    [('CA1', 0.0, 40.0), ('DG', 40.0, 60.0)]
    """
    if not depth.size:
        return []
    cuts = np.flatnonzero(region[1:] != region[:-1])
    middle = (depth[cuts] + depth[cuts + 1]) / 2
    edges = [depth[0] - margin, *middle, depth[-1] + margin]
    names = region[np.r_[0, cuts + 1]]
    return [(str(n), float(a), float(b)) for n, a, b in zip(names, edges, edges[1:], strict=False)]
