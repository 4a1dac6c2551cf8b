"""Pictures of what is alike: conditions, times, subspaces, first components."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from lsdx.errors import SelectionError, located
from lsdx.figures.axes import as_dataset, axis_label, new_axes, on_axes, require_dims
from lsdx.figures.style import condition_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_NUMBERS = 8  # cells up to which each entry is written out


def plot_rdm(
    data: xr.Dataset | xr.DataArray, *, measure: str = "distance", ax: Axes | None = None
) -> Axes:
    """Draw how alike all pairs of conditions are, of one session or the mean of several.

    Parameters
    ----------
    data : Dataset or DataArray
        Of ``ds.lsd.similarity(...)``, over ``cell``, ``other`` and at most one more dimension.
    measure : str
        ``"distance"``, ``"correlation"`` or ``"ceiling"``.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        A matrix with the labels of the cells, the diagonal left empty, each number written out
        for few cells; colours from 0 for distances.

    Raises
    ------
    SelectionError
        If there is no such measure, or more than one further dimension.

    Examples
    --------
    >>> d = xr.DataArray([[0.0, 0.2], [0.2, 0.0]], dims=("cell", "other"), name="distance")
    >>> plot_rdm(d.assign_coords(cell=["pre", "post"])).get_title(loc="left")
    'n = 1'
    """
    if isinstance(data, xr.DataArray) and data.name is not None:
        measure = str(data.name)
    do = "Start from ds.lsd.similarity(...)."
    data = as_dataset(data, "plot_rdm", {measure}, do)
    array = data[measure]
    require_dims(array, "plot_rdm", {"cell", "other"}, 1)
    more = [d for d in array.dims if d not in ("cell", "other")]
    n = array.notnull().sum(more).transpose("cell", "other").values
    values = array.mean(more).transpose("cell", "other").values.astype(float)
    apart = ~np.eye(len(values), dtype=bool)
    values = np.where(apart, values, np.nan)
    ax = on_axes(ax, data)
    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
    if measure == "distance":
        low = 0.0
    image = ax.imshow(values, cmap="cividis", vmin=low, vmax=max(high, low + 1e-9))
    names = [str(v).replace("/", "\n") for v in array["cell"].values]
    ax.set_xticks(range(len(names)), names, fontsize="small")
    ax.set_yticks(range(len(names)), names, fontsize="small")
    if len(names) > 3:
        ax.tick_params(axis="x", rotation=90)
    if len(names) <= _MOST_NUMBERS:
        for (i, k), value in np.ndenumerate(values):
            if np.isfinite(value):
                dark = value < (low + high) / 2
                colour = "white" if dark else "black"
                ax.text(k, i, f"{value:.2f}", ha="center", va="center", color=colour, size=6)
    counted = n[apart] if apart.any() else n
    fewest, most = int(counted.min()), int(counted.max())
    told = f"n = {most}" if fewest == most else f"n = {fewest} to {most}"
    ax.set_title(told, loc="left", size="small")
    ax.figure.colorbar(image, ax=ax, label=axis_label(array))
    return ax


def plot_time_similarity(data: xr.Dataset | xr.DataArray, *, ax: Axes | None = None) -> Axes:
    """Draw how alike all pairs of times of a session are, with the borders of the epochs.

    Parameters
    ----------
    data : Dataset or DataArray
        ``similarity`` of ``ds.lsd.time_similarity(...)``.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        Windows that were observed, in the order of their epochs; colours up to the 99th
        percentile of what is beside the diagonal, red above 0 and blue below.

    Raises
    ------
    SelectionError
        If there is no matrix, or that of several sessions.

    Examples
    --------
    >>> s = xr.DataArray(np.eye(4), dims=("window", "other"), name="similarity")
    >>> s = s.assign_coords(window_phase=("window", ["pre", "pre", "post", "post"]))
    >>> [t.get_text() for t in plot_time_similarity(s).get_xticklabels()]
    ['pre', 'post']
    """
    do = "Start from ds.lsd.time_similarity(...)."
    data = as_dataset(data, "plot_time_similarity", {"similarity"}, do)
    array = data["similarity"]
    wide = [d for d in array.dims if d not in ("window", "other")]
    array = array.isel({d: 0 for d in wide if array.sizes[d] == 1})
    require_dims(array, "plot_time_similarity", {"window", "other"}, 0)
    whole = array.transpose("window", "other").values
    seen = np.flatnonzero(np.isfinite(whole).any(axis=1))
    values = whole[np.ix_(seen, seen)]
    ax = on_axes(ax, data)
    beside = np.abs(values[~np.eye(len(seen), dtype=bool)])
    limit = float(np.nanpercentile(beside, 99)) if np.isfinite(beside).any() else 1.0
    image = ax.imshow(
        values, cmap="RdBu_r", vmin=-(limit or 1), vmax=limit or 1, interpolation="none"
    )
    labels = [c for c in ("window_phase", "window_epoch") if c in array.coords]
    if labels and seen.size:
        parts = [array[c].values[seen].astype(str) for c in labels]
        names = np.array(["\n".join(row) for row in zip(*parts, strict=True)], dtype=object)
        cuts = np.flatnonzero(names[1:] != names[:-1]) + 1
        for cut in cuts:
            ax.axhline(cut - 0.5, color="black", lw=0.6)
            ax.axvline(cut - 0.5, color="black", lw=0.6)
        edges = np.r_[0, cuts, len(seen)]
        centres = (edges[1:] + edges[:-1] - 1) / 2
        own = names[edges[:-1]]
        turned = len(own) > 3
        ax.set_xticks(centres, own, fontsize="small", rotation=90 if turned else 0)
        ax.set_yticks(centres, own, fontsize="small")
        ax.tick_params(length=0)
    width = data.attrs.get("time_window")
    ax.set(xlabel="Time" if width is None else f"Windows of {width:g} s, by phase and epoch")
    ax.figure.colorbar(image, ax=ax, label=axis_label(array))
    return ax


def plot_subspace_curve(data: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw how alike subspaces are, against their number of components.

    Parameters
    ----------
    data : Dataset
        Of ``ds.lsd.subspace_curve(...)``, selected to ``component`` and at most one more
        dimension, such as sessions.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        Means by condition, of as much data each: solid between the two phases, with a thin line
        a session, dashed within them, dotted what random subspaces give.

    Raises
    ------
    SelectionError
        If there is no curve, or more than one further dimension.

    Examples
    --------
    >>> one = ("component", [0.6, 0.5])
    >>> c = xr.Dataset({"similarity_between": one}, {"component": [1, 2]})
    >>> c["similarity_within"] = ("phase", "component"), [[0.8, 0.7], [0.8, 0.7]]
    >>> c["similarity_chance"] = "component", [0.1, 0.2]
    >>> len(plot_subspace_curve(c).lines)
    3
    """
    from matplotlib.ticker import MaxNLocator

    needed = {"similarity_between", "similarity_within", "similarity_chance", "component"}
    do = "Start from ds.lsd.subspace_curve(...)."
    data = as_dataset(data, "plot_subspace_curve", needed, do)
    between, within = data["similarity_between"], data["similarity_within"]
    require_dims(between, "plot_subspace_curve", {"component"}, 1)
    side = [d for d in within.dims if d not in between.dims]
    curves = {"between": between, "within": within.mean(side, skipna=False)}
    curves["chance"] = data["similarity_chance"]
    rest = [d for d in between.dims if d != "component"]
    rows = {n: np.atleast_2d(v.transpose(*rest, "component").values) for n, v in curves.items()}
    n_rows = len(rows["between"])
    known = np.isfinite(rows["between"]).any(axis=1)
    condition = np.full(n_rows, "", dtype=object)
    if "condition" in between.coords and set(between["condition"].dims) <= set(rest):
        condition = np.resize(between["condition"].values, n_rows).astype(object)
    ax = on_axes(ax, data)
    x = data["component"].values
    names = list(dict.fromkeys(condition.tolist()))
    colours = {"": "black"} if names == [""] else condition_colours(names)
    for name, colour in colours.items():
        mine = known & (condition == name)
        if not mine.any():
            continue
        if mine.sum() > 1:
            ax.plot(x, rows["between"][mine].T, color=colour, lw=0.5, alpha=0.35)
        told = f"{name + ', ' if name else ''}n = {mine.sum()}"
        mean = {n: _mean(rows[n][mine]) for n in ("between", "within")}
        ax.plot(x, mean["between"], color=colour, lw=1.6, label=f"between, {told}")
        ax.plot(x, mean["within"], "--", color=colour, lw=1.2, label=f"within, {told}")
    if known.any():
        chance = _mean(rows["chance"][known])
        ax.plot(x, chance, ":", color="0.4", lw=1.2, label="random subspaces")
    ax.set(xlabel="Components", ylabel="Similarity of subspaces", ylim=(0, 1))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize="small", frameon=False)
    return ax


def plot_pc1_angle(data: xr.Dataset | xr.DataArray, *, ax: Axes | None = None) -> Axes:
    """Draw the angle between the first components of two phases, on a quarter of a circle.

    Parameters
    ----------
    data : Dataset or DataArray
        ``pc1_angle`` of ``ds.lsd.subspaces(...)`` in degree, selected to one dimension at most,
        such as sessions.
    ax : Axes, optional
        Of ``projection="polar"``; new ones by default.

    Returns
    -------
    Axes
        A dot a session, conditions on rings of their own; a line to the mean direction of each.
        The distance from the centre has no meaning.

    Raises
    ------
    SelectionError
        If there are no angles, more than one dimension, or for axes that are not polar.

    Examples
    --------
    >>> angle = xr.DataArray([10.0, 30.0, 70.0], dims="session", name="pc1_angle")
    >>> angle = angle.assign_coords(condition=("session", ["saline", "saline", "lsd"]))
    >>> [t.get_text() for t in plot_pc1_angle(angle).get_legend().get_texts()]
    ['saline, n = 2, mean 20°', 'lsd, n = 1, mean 70°']
    """
    do = "Start from ds.lsd.subspaces(...)."
    data = as_dataset(data, "plot_pc1_angle", {"pc1_angle"}, do)
    array = data["pc1_angle"]
    require_dims(array, "plot_pc1_angle", set(), 1)
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots(layout="constrained", subplot_kw={"projection": "polar"})[1]
    elif ax.name != "polar":
        raise SelectionError(
            located(
                "plot_pc1_angle, ax",
                "polar axes",
                ax.name,
                'Make them: plt.subplots(subplot_kw={"projection": "polar"}).',
            )
        )
    ax = on_axes(new_axes(ax), data)
    polar: Any = ax
    angles = np.radians(np.atleast_1d(array.values))
    condition = np.full(angles.size, "", dtype=object)
    if "condition" in array.coords:
        condition = np.resize(array["condition"].values, angles.size).astype(object)
    names = list(dict.fromkeys(condition.tolist()))
    colours = {"": "black"} if names == [""] else condition_colours(names)
    for i, (name, colour) in enumerate(colours.items()):
        mine = angles[(condition == name) & np.isfinite(angles)]
        if not mine.size:
            continue
        radius = 1 - 0.16 * i
        mean = float(np.arctan2(np.sin(mine).mean(), np.cos(mine).mean()))
        told = f"n = {mine.size}, mean {np.degrees(mean):.0f}°"
        label = f"{name}, {told}" if name else told
        ax.plot([mean, mean], [0, radius], color=colour, lw=1.6)
        # dots of equal angles beside one another
        spread = radius + 0.03 * np.linspace(-1, 1, mine.size) * (mine.size > 1)
        ax.scatter(mine, spread, s=20, color=colour, ec="white", lw=0.4, label=label, zorder=3)
    polar.set_thetamin(0)
    polar.set_thetamax(90)
    polar.set_thetagrids([0, 30, 60, 90])
    ax.set(ylim=(0, 1.1), yticks=[])
    ax.set_title("Angle between first components", loc="left", size="small")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize="small", frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.1))
    return ax


def _mean(rows: np.ndarray) -> np.ndarray:
    """Return the mean over rows, of those that have a value; NaN where none has."""
    n = np.isfinite(rows).sum(axis=0)
    return np.asarray(np.nansum(rows, axis=0) / np.where(n, n, np.nan))
