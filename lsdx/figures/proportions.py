"""Pictures of shares of units, by label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from lsdx.errors import SelectionError, located
from lsdx.figures.axes import as_dataset, axis_label, is_scalar, on_axes
from lsdx.figures.style import condition_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_forest(data: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw shares by label, with their intervals and the numbers that they rest on.

    Parameters
    ----------
    data : Dataset
        Of ``ds.lsd.proportions(...)``, selected to one direction, epoch and metric: one or two
        labels are left, such as region and condition.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        A row a label, the second label by colour; at the right mice, sessions and units. A
        point without an interval rests on one mouse.

    Raises
    ------
    SelectionError
        If a direction is not selected, or more labels are left.

    Examples
    --------
    >>> import lsdx
    >>> m = lsdx.open_spikes().lsd.modulation(epoch="rfm", rng=0).sel(metric="mean_rate")
    >>> shares = m.lsd.proportions(by=["group", "condition"], rng=0).sel(direction="up")
    >>> plot_forest(shares).get_xlabel()
    'Share of tested units, up'
    """
    names = ("share", "share_low", "share_high", "n_mice", "n_sessions", "n_units")
    data = as_dataset(data, "plot_forest", set(names), "Start from ds.lsd.proportions(...).")
    dims = [str(d) for d in data["share"].dims]
    if not 1 <= len(dims) <= 2 or "direction" in dims:
        raise SelectionError(
            located(
                "plot_forest",
                "one or two labels, of one direction",
                ", ".join(dims) or "none",
                'Select: shares.sel(direction="up", epoch=..., metric=...).',
            )
        )
    ax = on_axes(ax, data)
    values: dict[str, Any] = {n: data[n].transpose(*dims).values for n in names}
    if len(dims) == 1:
        values = {n: v[:, None] for n, v in values.items()}
    rows = [str(v) or "(none)" for v in data[dims[0]].values]
    groups = [str(v) for v in data[dims[1]].values] if len(dims) == 2 else [""]
    colours = [f"C{g}" for g in range(len(groups))]
    if dims[-1] == "condition" and len(dims) == 2:
        colours = [condition_colours(groups)[g] for g in groups]
    offset = (np.arange(len(groups)) - (len(groups) - 1) / 2) * 0.7 / len(groups)
    for g, name in enumerate(groups):
        y = np.arange(len(rows)) + offset[g]
        share, low, high = (values[n][:, g] for n in ("share", "share_low", "share_high"))
        known = np.isfinite(low)
        ax.hlines(y[known], low[known], high[known], color=colours[g], lw=2)
        ax.plot(share, y, "o", ms=4, color=colours[g], label=name or None)
        for i in range(len(rows)):
            n = [int(values[k][i, g]) for k in ("n_mice", "n_sessions", "n_units")]
            if n[2]:
                told = " / ".join(map(str, n))
                ax.text(
                    1.01,
                    y[i],
                    told,
                    transform=ax.get_yaxis_transform(),
                    va="center",
                    size=7,
                    color=colours[g],
                )
    # it ends where the axes end, and is not cut in a figure without constrained layout
    ax.annotate(
        "mice / sessions / units",
        (1, 1),
        (0, 12),
        "axes fraction",
        "offset points",
        ha="right",
        va="bottom",
        size=7,
    )
    ax.set_yticks(np.arange(len(rows)), rows)
    ax.set(ylim=(len(rows) - 0.5, -0.5), xlim=(0, None))
    ax.grid(axis="x", color="0.9")
    direction = f", {data['direction'].item()}" if is_scalar(data, "direction") else ""
    ax.set_xlabel(axis_label(data["share"]) + direction)
    if len(groups) > 1:  # above: intervals of few mice reach everywhere
        place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "frameon": False}
        ax.legend(fontsize="small", ncols=len(groups), borderpad=0.2, **place)
    return ax
