"""Pictures of dimensionality: spectra, pre against post, courses, angles."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from lsdx.errors import SelectionError, located
from lsdx.figures.axes import (
    as_dataset,
    axis_label,
    on_axes,
    require_array,
    require_dims,
    row_names,
    series,
)
from lsdx.figures.style import condition_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# of lines (Okabe and Ito 2008), and of stimuli: shades, so that none repeats a line's colour
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#A6761D")
_STIMULI = ("0.85", "0.35", "0.6", "0.2", "0.75")


def plot_scree(data: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw spectra on logarithmic axes, with what unrelated units give and the fitted ranks.

    Parameters
    ----------
    data : Dataset
        Of ``ds.lsd.dimensionality(include="spectrum")``, selected to ``rank`` and at most one
        more dimension. The spectrum of unrelated units is drawn where ``spectrum_surrogate`` is
        there, the fitted ranks where ``power_law_slope`` is.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        Shares of variance against ranks; a colour a label of the further dimension, dashed what
        unrelated units give, grey the ranks that were fitted.

    Raises
    ------
    SelectionError
        If there is no spectrum (``include="spectrum"`` gives it), or more than one further
        dimension.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units().sel(phase="pre", epoch="rfm")
    >>> d = u.lsd.dimensionality(include="spectrum", min_units=10, draws=1, rng=0)
    >>> len(plot_scree(d.isel(session=0)).lines)
    2
    """
    do = 'Ask for it: dimensionality(include=["spectrum"]).'
    data = as_dataset(data, "plot_scree", {"spectrum"}, do)
    spectrum = data["spectrum"]
    require_dims(spectrum, "plot_scree", {"rank"}, 1)
    ax = on_axes(ax, data)
    rank = data["rank"].values
    null = series(data["spectrum_surrogate"], "rank") if "spectrum_surrogate" in data else None
    for i, (name, values) in enumerate(series(spectrum, "rank")):
        colour = _COLOURS[i % len(_COLOURS)]
        ax.plot(rank, values, color=colour, label=name or None)
        if null is not None:
            words = "unrelated units" if i == 0 else None
            ax.plot(rank, null[i][1], "--", color=colour, lw=1, label=words)
    fitted = re.match(r"(\d+) to (\d+)", str(_attribute(data, "power_law_slope", "ranks")))
    if fitted:
        n_ranks = max(np.isfinite(v).sum() for _, v in series(spectrum, "rank"))
        first, last = int(fitted[1]), min(int(fitted[2]), int(n_ranks))
        if first < last:
            ax.axvspan(first, last, color="0.93", zorder=0, label=f"fitted, ranks {first}-{last}")
    ax.set(xscale="log", yscale="log", xlabel="Rank", ylabel=axis_label(spectrum))
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize="small")
    return ax


def plot_pre_post(data: xr.DataArray, *, ax: Axes | None = None) -> Axes:
    """Draw a measure of one phase against that of the other, with the line of no change.

    Parameters
    ----------
    data : DataArray
        With ``phase`` (two labels) and at most two more dimensions, such as session and
        region; coloured by the coordinate ``condition`` where there is one.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        A point where both phases have a value; others are left out. Both axes are alike.

    Raises
    ------
    SelectionError
        If there are not two phases, or more than two further dimensions.

    Examples
    --------
    >>> pr = xr.DataArray([[1.0, 2.0]], dims=("session", "phase"), coords={"phase": ["a", "b"]})
    >>> plot_pre_post(pr.rename("ngsc")).get_ylabel()
    'ngsc, b'
    """
    require_array(data, "plot_pre_post")
    require_dims(data, "plot_pre_post", {"phase"}, 2)
    if data.sizes["phase"] != 2:
        raise SelectionError(
            located("plot_pre_post", "two phases", str(data.sizes["phase"]), "Select two of them.")
        )
    ax = on_axes(ax, data)
    pre, post = (data.isel(phase=i) for i in (0, 1))
    condition = np.full(pre.size, "", dtype=object)
    if "condition" in data.coords:
        condition = data["condition"].broadcast_like(pre).values.ravel()
    x, y = pre.values.ravel(), post.values.ravel()
    known = np.isfinite(x) & np.isfinite(y)
    colours = condition_colours(condition) if "condition" in data.coords else {"": "C0"}
    for name, colour in colours.items():
        mine = known & (condition == name)
        label = f"{name} ({mine.sum()})" if name else None
        ax.scatter(x[mine], y[mine], s=18, color=colour, label=label)
    if known.any():
        both = np.concatenate([x[known], y[known]])
        margin = 0.06 * (float(np.ptp(both)) or 1.0)
        ends = both.min() - margin, both.max() + margin
        ax.plot(ends, ends, color="0.5", lw=1, zorder=0)
        ax.set(xlim=ends, ylim=ends)
    ax.set_aspect("equal")
    ax.locator_params(nbins=5)
    what, _, advice = axis_label(data).partition("\n")
    first, second = map(str, data["phase"].values)
    ax.set(xlabel=f"{what}, {first}", ylabel=f"{what}, {second}")
    ax.set_title(", ".join(filter(None, (f"n = {known.sum()}", advice))), loc="left", size="small")
    if "condition" in data.coords:
        ax.legend(fontsize="small")
    return ax


def plot_sliding(
    data: xr.Dataset | xr.DataArray, *, measure: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the course of a measure over windows, the stimuli that they hold beneath.

    Parameters
    ----------
    data : Dataset or DataArray
        A measure of ``spikes.lsd.sliding(...)``, over ``window`` and at most one more
        dimension. Stimuli are drawn where there is ``share`` too, in a Dataset alone.
    measure : str, optional
        Its name; by default ``participation_ratio``, or the name of the DataArray.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        Time in min, as far as the windows reach; a line at 0 where they reach it. A session
        without any value has no line. Where lines of several sessions are drawn, the stimuli are
        their mean.

    Raises
    ------
    SelectionError
        If there is no such measure over ``window`` (the error lists those that there are), or
        more than one further dimension.

    Examples
    --------
    >>> import lsdx
    >>> w = lsdx.open_spikes().lsd.sliding(width="5 min", step="5 min")
    >>> d = w.lsd.dimensionality(min_units=10, draws=1, rng=0).isel(session=0)
    >>> plot_sliding(d, measure="ngsc").get_xlabel()
    'Centre of the window from administration (min)'
    """
    if measure is None:
        measure = "participation_ratio"
        if isinstance(data, xr.DataArray):
            measure = "value" if data.name is None else str(data.name)
    data = as_dataset(data, "plot_sliding", {"window"}, "Start from spikes.lsd.sliding(...).")
    if measure not in data:
        have = ", ".join(str(n) for n in data if "window" in data[n].dims) or "none over window"
        do = "Name one of them: measure=..."
        raise SelectionError(located("plot_sliding, measure", have, repr(measure), do))
    require_dims(data[measure], "plot_sliding", {"window"}, 1)
    from matplotlib.patches import Patch

    ax = on_axes(ax, data)
    minutes = data["window"].values / 60
    step = float(np.diff(minutes).min()) if minutes.size > 1 else 1.0
    stimuli = []
    drawn = [(n, v) for n, v in series(data[measure], "window") if np.isfinite(v).any()]
    for i, (name, values) in enumerate(drawn):
        colour = _COLOURS[i % len(_COLOURS)]
        ax.plot(minutes, values, ".-", color=colour, label=name or None)
    if "share" in data:
        share = data["share"]
        share = share.mean([d for d in share.dims if d not in ("window", "stimulus")])
        share = share.transpose("stimulus", "window")
        below = np.zeros(minutes.size)
        strip = ax.inset_axes((0, 0, 1, 0.08), sharex=ax)
        for name, values in zip(share["stimulus"].values, share.values, strict=True):
            index = share["stimulus"].values.tolist().index(name)
            colour = "white" if name == "none" else _STIMULI[index % len(_STIMULI)]
            values = np.nan_to_num(values)
            strip.bar(minutes, values, step, below, color=colour)
            if name != "none":
                stimuli.append(Patch(color=colour, label=str(name)))
            below += values
        strip.set_ylim(0, 1)
        strip.axis("off")
        shown = data[measure].values[np.isfinite(data[measure].values)]
        if shown.size:
            reach = max(float(np.ptp(shown)), 1e-12)
            ax.set_ylim(shown.min() - 0.2 * reach, shown.max() + 0.1 * reach)
    if minutes.min() - step / 2 <= 0 <= minutes.max() + step / 2:
        ax.axvline(0, color="0.5", lw=1, zorder=0)
    told = str(data["window"].attrs.get("long_name", "Centre of the window"))
    ax.set(xlabel=f"{told} (min)", ylabel=axis_label(data[measure]))
    handles = [*ax.get_legend_handles_labels()[0], *stimuli]
    if handles:  # beside the lines, which it would hide
        ax.legend(
            handles=handles,
            fontsize="x-small",
            loc="upper left",
            bbox_to_anchor=(1, 1),
            frameon=False,
        )
    return ax


def plot_principal_angles(data: xr.DataArray, *, ax: Axes | None = None) -> Axes:
    """Draw principal angles as a heat map, a row a group and a column a component.

    Parameters
    ----------
    data : DataArray
        ``principal_angle`` of ``ds.lsd.subspaces(...)``, over ``component`` and one more
        dimension.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        Colours from 0 to 90 degrees.

    Raises
    ------
    SelectionError
        If there is not one further dimension.

    Examples
    --------
    >>> angles = xr.DataArray([[10.0, 80.0]], dims=("session", "component"), name="angle")
    >>> angles = angles.assign_coords(session=["a"], component=[1, 2])
    >>> plot_principal_angles(angles).get_xlabel()
    'Component'
    """
    require_array(data, "plot_principal_angles")
    require_dims(data, "plot_principal_angles", {"component"}, 1)
    if len(data.dims) != 2:
        data = data.expand_dims("group")
    ax = on_axes(ax, data)
    (rows,) = (str(d) for d in data.dims if d != "component")
    values = data.transpose(rows, "component").values
    ends = (0.5, values.shape[1] + 0.5, values.shape[0] - 0.5, -0.5)
    image = ax.imshow(values, vmin=0, vmax=90, aspect="auto", extent=ends, interpolation="none")
    if rows in data.coords:
        ax.set_yticks(range(values.shape[0]), row_names(data, rows), fontsize="small")
    ax.set_xticks(np.arange(1, values.shape[1] + 1))
    ax.set(xlabel="Component", ylabel=rows)
    ax.figure.colorbar(image, ax=ax, label="Principal angle (degree)")
    return ax


def _attribute(data: xr.Dataset, name: str, attribute: str) -> object:
    return data[name].attrs.get(attribute, "") if name in data else ""
