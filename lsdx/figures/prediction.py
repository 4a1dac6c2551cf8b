"""Pictures of what units predict: through how many dimensions, and from which depths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from lsdx.errors import SelectionError, located
from lsdx.figures.axes import as_dataset, axis_label, on_axes, region_segments, require_dims
from lsdx.figures.style import condition_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLES = ("-", "--", ":", "-.")


def plot_rank_curve(data: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw held-out R2 by the number of dimensions that predict.

    Parameters
    ----------
    data : Dataset
        Of ``predict(method="reduced_rank")`` or ``communication(...)``, selected to one epoch.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        A thin line a session, in the colour of its condition, a thick one for their mean; phases
        by the kind of line. The dots mark the mean of ``best_rank``. Grey: the mean of the
        ceiling, from the target's other half, if there is one.

    Raises
    ------
    SelectionError
        For more dimensions than session, phase and rank.

    Examples
    --------
    >>> curve = [[0.0, 0.2, 0.3, 0.3], [0.0, 0.1, 0.25, 0.24]]
    >>> data = xr.Dataset(
    ...     {"rank_curve": (("session", "rank"), curve), "best_rank": ("session", [2, 2])},
    ...     {"rank": range(4), "condition": ("session", ["lsd", "saline"])},
    ... )
    >>> plot_rank_curve(data).get_xlabel()
    'Rank'
    """
    from matplotlib.ticker import MaxNLocator

    do = "Start from predict(method='reduced_rank') or communication(...)."
    data = as_dataset(data, "plot_rank_curve", {"rank_curve", "best_rank"}, do)
    require_dims(data["rank_curve"], "plot_rank_curve", {"rank"}, 2)
    more = set(map(str, data["rank_curve"].dims)) - {"session", "phase", "rank"}
    if more:
        found = ", ".join(sorted(more))
        raise SelectionError(
            located("plot_rank_curve", "session, phase and rank", found, "Select one of it.")
        )
    for dim in ("session", "phase"):
        data = data if dim in data["rank_curve"].dims else data.expand_dims(dim)
    data = data.transpose("session", "phase", "rank", ...)
    ax = on_axes(ax, data)
    rank = data["rank"].values
    conditions = np.full(data.sizes["session"], "")
    if "condition" in data.coords:
        conditions = np.broadcast_to(data["condition"].values.astype(str), conditions.shape)
    colours = condition_colours(sorted(set(conditions) - {""})) or {"": "0.2"}
    phases = [str(p) for p in data["phase"].values] if "phase" in data.coords else [""]
    if "ceiling_curve" in data:
        ceiling = data["ceiling_curve"].mean(["session", "phase"]).values
        ax.plot(rank, ceiling, color="0.6", lw=2, label="ceiling")
    for condition, colour in colours.items():
        mine = np.flatnonzero(conditions == condition)
        for f, phase in enumerate(phases):
            curves = data["rank_curve"].values[mine, f]
            known = np.isfinite(curves[:, :1]).ravel()
            if not known.any():
                continue
            style = _STYLES[f % len(_STYLES)]
            ax.plot(rank, curves[known].T, color=colour, lw=0.5, alpha=0.4, ls=style)
            mean = curves[known].mean(axis=0)
            told = ", ".join(w for w in (condition, phase) if w)
            ax.plot(rank, mean, color=colour, lw=1.8, ls=style, label=f"{told} (n = {known.sum()})")
            best = float(np.nanmean(data["best_rank"].values[mine, f]))
            ax.plot(best, np.interp(best, rank, mean), "o", color=colour, ms=5)
    ax.axhline(0, color="0.8", lw=0.6, zorder=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="Rank", ylabel=axis_label(data["rank_curve"]))
    ax.legend(frameon=False, fontsize="small", loc="lower left", bbox_to_anchor=(0, 1.03), ncol=2)
    return ax


def plot_weights(data: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw the weights of one insertion's units by depth.

    Parameters
    ----------
    data : Dataset
        Of ``predict(...)``, selected to one insertion, feature and epoch; one phase, or two side
        by side.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        A dot a unit and phase; behind them, the regions in the colours of the Allen atlas.

    Raises
    ------
    SelectionError
        If there are several insertions, or features or epochs.

    Examples
    --------
    >>> data = xr.Dataset(
    ...     {"weights": ("unit", [0.1, -0.2, 0.0])},
    ...     {
    ...         "depth": ("unit", [20.0, 60, 100]),
    ...         "region": ("unit", ["CA1", "CA1", "VISp5"]),
    ...         "insertion": ("unit", ["a"] * 3),
    ...     },
    ... )
    >>> plot_weights(data).get_ylabel()
    'Distance from the tip (um)'
    """
    from lsdx import regions

    do = "Start from predict(...), with the labels of the units."
    data = as_dataset(data, "plot_weights", {"weights", "depth", "insertion"}, do)
    weights = data["weights"]
    more = set(map(str, weights.dims)) - {"unit", "phase"}
    insertions = set(data["insertion"].values.tolist())
    if more or len(insertions) != 1:
        found = ", ".join(sorted(more)) or f"{len(insertions)} insertions"
        do = "Select: p.sel(feature=..., epoch=...).isel(unit=p.insertion.values == ...)."
        raise SelectionError(located("plot_weights", "one insertion's units by phase", found, do))
    ax = on_axes(ax, data)
    one = data.isel(unit=np.flatnonzero(np.isfinite(data["depth"].values))).sortby("depth")
    depth = one["depth"].values
    if "region" in one.coords:
        for name, low, high in region_segments(depth, one["region"].values.astype(object), 20.0):
            colour = regions.colours([name])[0] or "0.9"
            ax.axhspan(low, high, color=colour, alpha=0.3, lw=0)
            if high - low > 0.04 * np.ptp(depth):
                across, middle = ax.get_yaxis_transform(), (low + high) / 2
                ax.text(0.99, middle, name, size=6.5, ha="right", va="center", transform=across)
    rows = one["weights"] if "phase" in one["weights"].dims else one["weights"].expand_dims("phase")
    phases = rows["phase"].values if "phase" in rows.coords else [""]
    for phase, values, fill in zip(
        phases, rows.transpose("phase", "unit").values, "kw", strict=False
    ):
        n = int(np.isfinite(values).sum())
        label = f"{phase}, n = {n}".removeprefix(", ")
        ax.scatter(values, depth, s=14, color=fill, ec="k", lw=0.6, label=label, zorder=3)
    ax.axvline(0, color="0.4", lw=0.6, zorder=1)
    of = f"\n{data['feature'].item()}" if "feature" in data.coords else ""
    ax.set(xlabel=f"Weight (sd per sd){of}", ylabel="Distance from the tip (um)")
    ax.legend(fontsize="small", loc="lower left", handletextpad=0.1)
    return ax
