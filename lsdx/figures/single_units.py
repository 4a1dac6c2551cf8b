"""Pictures of single units: rasters, responses, modulation, shares by region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from lsdx.errors import SelectionError, located
from lsdx.figures.axes import axis_label, on_axes, require_dims

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_SPIKES = 500_000
_EPOCHS = ("tab:blue", "tab:orange", "tab:green", "tab:red")
_UP, _DOWN, _NEITHER = "tab:red", "tab:blue", "0.7"


def plot_raster(
    data: xr.Dataset, *, start: float = 0.0, stop: float | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the spikes of one insertion by depth, with its regions and epochs.

    Parameters
    ----------
    data : Dataset
        Of `lsdx.open_spikes`, selected to one insertion.
    start, stop : float
        From when to when, s; the whole recording by default.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        Spikes over depth; a strip of regions at the left, epochs shaded, the injection a line.

    Raises
    ------
    SelectionError
        If the units are of several insertions, there are no spikes, or more than half a million.

    Examples
    --------
    >>> import lsdx
    >>> s = lsdx.open_spikes(demo_stores)
    >>> one = s.isel(unit=s.insertion == s.insertion[0])
    >>> plot_raster(one, start=100, stop=160).get_ylabel()
    'Depth (um)'
    """
    missing = {"spike_time", "row_start", "row_size", "insertion"} - set(data.variables)
    n_insertions = 0 if missing else len(set(data["insertion"].values.tolist()))
    if n_insertions != 1:
        raise SelectionError(
            located(
                "plot_raster",
                "spikes of one insertion",
                "no " + ", ".join(sorted(missing)) if missing else f"units of {n_insertions}",
                "Select it: s.isel(unit=s.insertion == ...).",
            )
        )
    first, size = data["row_start"].values, data["row_size"].values
    low, high = int(first.min()), int((first + size).max())
    times = data["spike_time"][low:high].values
    end = float(times.max(initial=0.0)) if stop is None else stop
    depth = data["depth"].values if "depth" in data.variables else np.full(size.size, np.nan)
    located_at = np.isfinite(depth)
    y = depth if located_at.any() else np.arange(size.size, dtype=float)
    unit = np.repeat(np.arange(size.size), size)
    within = np.arange(unit.size) - np.repeat(np.cumsum(size) - size, size)
    at = times[first[unit] - low + within]
    shown = (start <= at) & (at <= end) & np.isfinite(y[unit])
    if shown.sum() > _MOST_SPIKES:
        raise SelectionError(
            located(
                "plot_raster",
                f"at most {_MOST_SPIKES} spikes",
                str(int(shown.sum())),
                "Narrow start and stop.",
            )
        )
    ax = on_axes(ax, data)
    ax.plot(at[shown], y[unit[shown]], ",", color="k", rasterized=True)
    ax.set(xlim=(start, end), xlabel="Time (s)")
    ax.set_ylabel("Depth (um)" if located_at.any() else "Unit")
    _shade_epochs(ax, data, start, end)
    if located_at.any() and "region" in data.coords:
        _strip_of_regions(ax, depth, data["region"].values)
    return ax


def _shade_epochs(ax: Axes, data: xr.Dataset, start: float, end: float) -> None:
    if not {"start", "stop"} <= set(data.variables) or "epoch" not in data.dims:
        return
    spans = data[["start", "stop"]].transpose("unit", "phase", "epoch", ...)
    for e, epoch in enumerate(spans["epoch"].values):
        for f in range(spans.sizes["phase"]):
            times = [spans[n].values[:, f, e] for n in ("start", "stop")]
            low, high = (np.nanmin(t) if np.isfinite(t).any() else np.nan for t in times)
            if low < end and high > start:
                label = str(epoch) if f == 0 or low > start else None
                seen = label in ax.get_legend_handles_labels()[1]
                colour = _EPOCHS[e % len(_EPOCHS)]
                words = None if seen else label
                ax.axvspan(
                    max(low, start), min(high, end), color=colour, alpha=0.15, lw=0, label=words
                )
    injected = data["administration"].values if "administration" in data.variables else np.empty(0)
    known = injected[np.isfinite(injected)]
    if known.size and start < known[0] < end:
        ax.axvline(known[0], color="tab:red", lw=1.5, label="injection")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize="x-small", loc="upper right")


def _strip_of_regions(ax: Axes, depth: np.ndarray, region: np.ndarray) -> None:
    """Draw runs of units of one region as coloured bars beside the axis, with their names."""
    known = np.flatnonzero(np.isfinite(depth) & (region.astype(str) != ""))
    order = known[np.argsort(depth[known], kind="stable")]
    names = region[order].astype(str)
    if not names.size:
        return
    middle = (depth[order][1:] + depth[order][:-1]) / 2
    cuts = np.flatnonzero(names[1:] != names[:-1])
    edges = np.r_[depth[order[0]], middle[cuts], depth[order[-1]]]
    across = ax.get_yaxis_transform()
    for i, name in enumerate(names[np.r_[cuts, names.size - 1]]):
        low, high = edges[i : i + 2]
        ax.fill_between(
            [1.01, 1.03], low, high, transform=across, clip_on=False, color=f"C{i % 10}", lw=0
        )
        ax.text(1.04, (low + high) / 2, name, transform=across, va="center", size=6)


def plot_psth(data: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw the responses of one insertion by depth.

    Parameters
    ----------
    data : Dataset
        Of ``spikes.lsd.psth(pool="20 um")`` or of units, selected to one insertion and one label
        of ``by``.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        ``psth_z`` over time and depth, as an image with its colour bar.

    Raises
    ------
    SelectionError
        If there are several insertions, or labels beside depth and time.

    Examples
    --------
    >>> import lsdx
    >>> e, s = lsdx.open_events(demo_stores), lsdx.open_spikes(demo_stores)
    >>> one = s.isel(unit=s.insertion == s.insertion[0])
    >>> gabors = e.isel(event=e.kind == "gabor")
    >>> r = one.lsd.psth(events=gabors, pool="20 um", n_shifts=0)
    >>> plot_psth(r.sel(side="left")).get_ylabel()
    'Depth (um)'
    """
    if "psth_z" not in data:
        raise SelectionError(
            located("plot_psth", "psth_z", "none", "Start from spikes.lsd.psth(...).")
        )
    rows = "site" if "site" in data.dims else "unit"
    require_dims(data["psth_z"], "plot_psth", {rows, "time"}, 0)
    insertions = set(data["insertion"].values.tolist()) if "insertion" in data.coords else {""}
    if len(insertions) != 1 or "depth" not in data.coords:
        raise SelectionError(
            located(
                "plot_psth",
                "depths of one insertion",
                f"{len(insertions)} insertions" if "depth" in data.coords else "no depths",
                "Select one: r.isel(site=r.insertion == ...).",
            )
        )
    ax = on_axes(ax, data)
    one = data.isel({rows: np.flatnonzero(np.isfinite(data["depth"].values))}).sortby("depth")
    z, depth = one["psth_z"].transpose(rows, "time").values, one["depth"].values
    step = float(np.diff(np.unique(depth)).min(initial=np.inf)) if rows == "site" else np.inf
    if np.isfinite(step):  # depths without units stay white
        place = np.rint((depth - depth[0]) / step).astype(int)
        grid = np.full((place[-1] + 1, z.shape[1]), np.nan)
        grid[place] = z
        edges = depth[0] + (np.arange(len(grid) + 1) - 0.5) * step
        ax.set_ylabel("Depth (um)")
    else:
        grid, edges = z, np.arange(len(z) + 1)
        ax.set_ylabel("Unit, by depth")
    time = one["time"].values
    half = (time[1] - time[0]) / 2 if time.size > 1 else 0.5
    most = float(np.nanquantile(np.abs(grid), 0.99)) if np.isfinite(grid).any() else 1.0
    image = ax.pcolormesh(
        np.append(time - half, time[-1] + half),
        edges,
        grid,
        cmap="RdBu_r",
        vmin=-most,
        vmax=most,
        rasterized=True,
    )
    ax.figure.colorbar(image, ax=ax, label=axis_label(one["psth_z"]), extend="both")
    ax.axvline(0, color="k", lw=0.8)
    ax.set_xlabel("Time from the event (s)")
    named = [f"{d} {data[d].item()}" for d in ("side", "contrast", "phase") if _is_scalar(data, d)]
    ax.set_title(", ".join(named), fontsize="medium")
    return ax


def _is_scalar(data: xr.Dataset, name: str) -> bool:
    return name in data.coords and data[name].ndim == 0


def plot_modulation(data: xr.Dataset, *, bins: int = 41, ax: Axes | None = None) -> Axes:
    """Draw the distribution of the modulation index, with that by chance.

    Parameters
    ----------
    data : Dataset
        Of ``spikes.lsd.modulation(null=True)``, selected to one epoch and metric. Without the
        null, its outline is left out.
    bins : int
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        Units that go up, down or stay, stacked; the null's outline scaled to as many units; the
        share of modulated units of each condition in the legend.

    Raises
    ------
    SelectionError
        If epochs or metrics are left.

    Examples
    --------
    >>> import lsdx
    >>> m = lsdx.open_spikes(demo_stores).lsd.modulation(epoch="rfm", rng=0, null=True)
    >>> plot_modulation(m.sel(metric="mean_rate")).get_ylabel()
    'Units'
    """
    index, kinds, alpha = _tested(data, "plot_modulation")
    ax = on_axes(ax, data)
    edges = np.linspace(-1, 1, bins + 1).tolist()
    parts = [index[kinds == k] for k in range(3)]
    names = [f"p < {alpha:g}, up", f"p < {alpha:g}, down", "neither"]
    ax.hist(parts, edges, stacked=True, color=[_UP, _DOWN, _NEITHER], label=names)
    if "null_index" in data:
        null = data["null_index"].values.ravel()
        null = null[np.isfinite(null)]
        if null.size:
            weights = np.full(null.size, np.isfinite(index).sum() / null.size)
            words = "by chance"
            ax.hist(null, edges, weights=weights, histtype="step", color="k", lw=1.2, label=words)
    title = None
    if "share_modulated" in data:
        told = zip(
            data["arm"].values,
            data["share_modulated"].values,
            data["n_tested"].values,
            strict=True,
        )
        title = "\n".join(f"{a}: {s:.0%} of {n:.0f} modulated" for a, s, n in told if n)
    ax.legend(title=title, fontsize="x-small", title_fontsize="x-small")
    ax.set(xlabel=axis_label(data["index"]), ylabel="Units", xlim=(-1, 1))
    return ax


def plot_rates(data: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw the value of each unit in the second phase against that in the first, on log axes.

    Parameters
    ----------
    data : Dataset
        Of ``spikes.lsd.modulation(...)``, selected to one epoch and metric.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        Units with a value of 0 in a phase are left out, and their number is told.

    Raises
    ------
    SelectionError
        If epochs or metrics are left.

    Examples
    --------
    >>> import lsdx
    >>> m = lsdx.open_spikes(demo_stores).lsd.modulation(epoch="rfm", rng=0)
    >>> plot_rates(m.sel(metric="mean_rate")).get_xscale()
    'log'
    """
    _, kinds, alpha = _tested(data, "plot_rates")
    values = data["value"].transpose("unit", "phase").values
    positive = (values > 0).all(axis=1)
    n_left_out = int((np.isfinite(values).all(axis=1) & ~positive).sum())
    ax = on_axes(ax, data)
    words = {2: "neither", 0: f"p < {alpha:g}, up", 1: f"p < {alpha:g}, down"}
    for kind, name in words.items():
        x, y = values[positive & (kinds == kind)].T
        colour = (_UP, _DOWN, _NEITHER)[kind]
        ax.plot(x, y, ".", ms=3, color=colour, label=f"{name} ({len(x)})", rasterized=True)
    low, high = (values[positive].min(), values[positive].max()) if positive.any() else (0.1, 10.0)
    ax.plot([low, high], [low, high], "k-", lw=0.8)
    metric = str(data["metric"].item()) if _is_scalar(data, "metric") else "value"
    units = " (Hz)" if metric == "mean_rate" else ""
    phases = [str(p) for p in data["phase"].values]
    ax.set(xscale="log", yscale="log", aspect="equal")
    ax.set(xlabel=f"{metric}, {phases[0]}{units}", ylabel=f"{metric}, {phases[1]}{units}")
    title = f"{n_left_out} with 0 in a phase left out" if n_left_out else None
    ax.legend(fontsize="x-small", title=title, title_fontsize="x-small")
    return ax


def _tested(data: xr.Dataset, where: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Give index and kind (up, down, neither) of each unit."""
    if not {"index", "p", "statistic"} <= set(data.data_vars):
        raise SelectionError(
            located(where, "index and p", "none", "Start from spikes.lsd.modulation(...).")
        )
    require_dims(data["index"], where, {"unit"}, 0)
    alpha = float(data.attrs.get("alpha", 0.05))
    found = {n: np.asarray(data[n].values, dtype=float) for n in ("index", "p", "statistic")}
    kinds = np.where(found["p"] < alpha, np.where(found["statistic"] > 0, 0, 1), 2)
    kinds[np.isnan(found["p"])] = 3  # not tested, not drawn
    return found["index"], kinds, alpha


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
    >>> m = lsdx.open_spikes(demo_stores).lsd.modulation(epoch="rfm", rng=0).sel(metric="mean_rate")
    >>> shares = m.lsd.proportions(by=["group", "condition"], rng=0).sel(direction="up")
    >>> plot_forest(shares).get_xlabel()
    'Share of tested units, up'
    """
    if "share" not in data:
        raise SelectionError(
            located("plot_forest", "shares", "none", "Start from ds.lsd.proportions(...).")
        )
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
    names = ("share", "share_low", "share_high", "n_mice", "n_sessions", "n_units")
    values: dict[str, Any] = {n: data[n].transpose(*dims).values for n in names}
    if len(dims) == 1:
        values = {n: v[:, None] for n, v in values.items()}
    rows = [str(v) or "(none)" for v in data[dims[0]].values]
    groups = [str(v) for v in data[dims[1]].values] if len(dims) == 2 else [""]
    offset = (np.arange(len(groups)) - (len(groups) - 1) / 2) * 0.7 / len(groups)
    for g, name in enumerate(groups):
        y = np.arange(len(rows)) + offset[g]
        share, low, high = (values[n][:, g] for n in ("share", "share_low", "share_high"))
        known = np.isfinite(low)
        ax.hlines(y[known], low[known], high[known], color=f"C{g}", lw=2)
        ax.plot(share, y, "o", ms=4, color=f"C{g}", label=name or None)
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
                    color=f"C{g}",
                )
    ax.text(1.01, 1.01, "mice / sessions / units", transform=ax.transAxes, size=7)
    ax.set_yticks(np.arange(len(rows)), rows)
    ax.set(ylim=(len(rows) - 0.5, -0.5), xlim=(0, None))
    ax.grid(axis="x", color="0.9")
    direction = f", {data['direction'].item()}" if _is_scalar(data, "direction") else ""
    ax.set_xlabel(axis_label(data["share"]) + direction)
    if len(groups) > 1:
        ax.legend(fontsize="small")
    return ax
