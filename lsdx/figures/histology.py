"""Pictures of where the probes lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx import regions
from lsdx.errors import SelectionError, located
from lsdx.figures.axes import on_axes, region_segments

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NEEDED = ("insertion", "region", "depth", "x", "session_label", "probe", "condition")


def plot_probes(units: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw each probe as a bar of the regions that its units are in, from tip to surface.

    Parameters
    ----------
    units : Dataset
        Of `lsdx.open_units`, or a selection.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        A column a probe, by condition and session; height is the distance from the tip (um). A
        region reaches half way to the units of the next one, and has the colour of the Allen
        atlas; grey: not known. The letter above is the side of the brain, ``?`` where not known.

    Raises
    ------
    SelectionError
        Without units, or their labels.

    Examples
    --------
    >>> import lsdx
    >>> plot_probes(lsdx.open_units()).get_ylabel()
    'Distance from the tip (um)'
    """
    missing = [n for n in _NEEDED if n not in units.coords]
    if missing or not units.sizes.get("unit", 0):
        found = f"none of {', '.join(missing)}" if missing else "no units"
        do = "Pass lsdx.open_units()."
        raise SelectionError(located("plot_probes", "units with their labels", found, do))
    table = pd.DataFrame({n: units[n].values for n in _NEEDED})
    probes = table.groupby(["condition", "session_label", "probe", "insertion"], sort=True)
    ax = on_axes(ax, units)
    top = float(np.nanmax(table["depth"])) if table["depth"].notna().any() else 1.0
    labels, conditions = [], []
    for column, ((condition, label, probe, _), rows) in enumerate(probes):
        labels.append(f"{label} {probe}")
        conditions.append(str(condition))
        known = rows.dropna(subset=["depth"]).sort_values("depth", kind="stable")
        for region, low, high in region_segments(
            known["depth"].to_numpy(), known["region"].to_numpy(dtype=object)
        ):
            colour = regions.colours([region])[0] or "0.85"
            ax.bar(column, high - low, bottom=low, width=0.8, color=colour, lw=0)
            if high - low > 0.03 * top:
                ax.text(column, (low + high) / 2, region, ha="center", va="center", size=6)
        x = rows["x"].dropna()
        side = ("L" if x.median() < 0 else "R") if len(x) else "?"
        ax.text(column, 1.01 * top, side, ha="center", va="bottom", size=7)
    ax.set_xticks(range(len(labels)), labels, rotation=90, size=6)
    across = ax.get_xaxis_transform()
    for condition in dict.fromkeys(conditions):
        first = conditions.index(condition) - 0.5
        ax.text(first, 1.01, f" {condition}", transform=across, size=8, weight="bold")
        ax.axvline(first, color="0.7", lw=0.8)
    limits: dict[str, Any] = {"xlim": (-0.5, len(labels) - 0.5), "ylim": (0, 1.06 * top)}
    ax.set(ylabel="Distance from the tip (um)", **limits)
    return ax
