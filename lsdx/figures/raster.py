"""Pictures of spikes by depth, with regions and epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from lsdx import regions
from lsdx.errors import SelectionError, located
from lsdx.figures import style
from lsdx.figures.axes import as_dataset, on_axes, region_segments

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh

_MOST_SPIKES = 500_000  # as dots; more of them are a black picture
_N_COLUMNS = 500  # of time in a density
_SITE = 20.0  # um between the sites of a probe
_NAME_SIZE = 6  # points


def plot_raster(
    data: xr.Dataset, *, start: float = 0.0, stop: float | None = None, ax: Axes | None = None
) -> Axes:
    """Draw spikes by depth, a panel an insertion, with regions and epochs.

    Parameters
    ----------
    data : Dataset
        Of `lsdx.open_spikes`.
    start, stop : float
        From when to when, s; the whole recording by default.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        Spikes over depth as dots; more than 500,000 as a density, spikes per s in 20 um, with a
        colour bar. Units without a depth are left out, and the title says how many; if no unit
        has a depth, units are drawn in their order. A strip beside it shows the regions in the
        colours of the Allen atlas, grey where it has none. Epochs are shaded; a line marks the
        injection. Several insertions are panels, ``child_axes``, from top to bottom in the order
        of the data, with one time axis.

    Raises
    ------
    SelectionError
        If there are no spikes or no units, or ``stop`` is not after ``start``.

    Examples
    --------
    >>> import lsdx
    >>> s = lsdx.open_spikes()
    >>> one = s.isel(unit=s.insertion == s.insertion[0])
    >>> plot_raster(one, start=100, stop=160).get_ylabel()
    'Depth (um)'
    >>> len(plot_raster(s.isel(unit=s.session == s.session[0]), start=100, stop=160).child_axes)
    2
    """
    needed = {"spike_time", "row_start", "row_size", "insertion"}
    data = as_dataset(data, "plot_raster", needed, "Start from lsdx.open_spikes().")
    insertion = data["insertion"].values
    if not insertion.size:
        raise SelectionError(located("plot_raster", "units", "none", "Select at least one."))
    first, size = data["row_start"].values, data["row_size"].values
    low, high = int(first.min()), int((first + size).max())
    times = data["spike_time"][low:high].values
    end = float(times.max(initial=0.0)) if stop is None else stop
    if not start < end:
        found = f"{start:g} s and {'the last spike at ' if stop is None else ''}{end:g} s"
        raise SelectionError(located("plot_raster", "start before stop", found))
    rows = [np.flatnonzero(insertion == name) for name in dict.fromkeys(insertion.tolist())]
    parts = [data.isel(unit=i) for i in rows]
    places = [_places(one) for one in parts]
    trains = [
        _spikes(times, first[i] - low, np.where(np.isfinite(y), size[i], 0), start, end)
        for i, (y, _) in zip(rows, places, strict=True)
    ]
    ax = on_axes(ax, data, height=max(4.8, 2.0 * len(rows)))
    panels = [ax] if len(rows) == 1 else _stacked(ax, len(rows))
    fits = int(ax.get_window_extent().height * 72 / ax.figure.dpi / (1.3 * _NAME_SIZE * len(rows)))
    dense = sum(time.size for time, _ in trains) > _MOST_SPIKES
    images: list[QuadMesh] = []
    shaded: dict[str, Artist] = {}
    for panel, one, (y, by_depth), (time, unit) in zip(panels, parts, places, trains, strict=True):
        half = _SITE / 2 if by_depth else 0.5
        panel.set(xlim=(start, end), ylim=(np.nanmin(y) - half, np.nanmax(y) + half))
        panel.set_ylabel("Depth (um)" if by_depth else "Unit")
        n_left_out = int(np.isnan(y).sum())
        title = f"{_name_of(one)}, {n_left_out} units without depth left out"
        panel.set_title(title if n_left_out else _name_of(one), loc="left", fontsize="small")
        if dense:
            images.append(_draw_density(panel, time, y, unit, half))
        else:
            panel.plot(time, y[unit], ",", color="k", rasterized=True)
        shaded |= _shade_epochs(panel, one, start, end)
        if by_depth and "region" in one.coords:
            _strip_of_regions(panel, y, one["region"].values.astype(str), fits)
    panels[-1].set_xlabel("Time (s)")
    if shaded:
        panels[0].legend(
            handles=list(shaded.values()), fontsize="x-small", loc="upper right", framealpha=1
        )
    if dense:
        cells = np.concatenate([np.asarray(image.get_array()).ravel() for image in images])
        for image in images:
            image.set_clim(0, np.quantile(cells[cells > 0], 0.99))
        words = "Spikes per s"
        if all(by_depth for _, by_depth in places):
            words += f" in {_SITE:g} um"
        # a layout engine makes room for the names of regions, otherwise they need some
        pad = 0.02 if ax.figure.get_layout_engine() else 0.15
        ax.figure.colorbar(images[0], ax=ax, label=words, extend="max", pad=pad)
    return ax


def _places(one: xr.Dataset) -> tuple[np.ndarray, bool]:
    """Return the depth of each unit, or its number if no unit has one; and whether it is depth."""
    if "depth" in one.variables and np.isfinite(one["depth"].values).any():
        return one["depth"].values, True
    return np.arange(one.sizes["unit"], dtype=float), False


def _spikes(
    times: np.ndarray, first: np.ndarray, size: np.ndarray, start: float, end: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the spikes from start to end, and the row of each."""
    unit = np.repeat(np.arange(size.size), size)
    at = times[np.arange(unit.size) + np.repeat(first - (np.cumsum(size) - size), size)]
    shown = (start <= at) & (at <= end)
    return at[shown], unit[shown]


def _stacked(ax: Axes, n: int) -> list[Axes]:
    """Divide Axes into panels over one time axis."""
    ax.axis("off")
    panels: list[Axes] = []
    for i in range(n):
        box = (0, 1 - (i + 0.85) / n, 1, 0.85 / n)
        panels.append(ax.inset_axes(box, sharex=panels[0] if panels else None))
        panels[i].tick_params(labelbottom=i == n - 1)
    return panels


def _name_of(one: xr.Dataset) -> str:
    names = [n for n in ("session_label", "condition", "probe") if n in one.coords]
    return " ".join(str(one[n].values[0]) for n in names or ("insertion",))


def _draw_density(
    ax: Axes, time: np.ndarray, y: np.ndarray, unit: np.ndarray, half: float
) -> QuadMesh:
    """Draw the rate of rows of ``2 * half`` over time, as far as the axes reach."""
    (start, end), (below, _) = ax.get_xlim(), ax.get_ylim()
    width = (end - start) / _N_COLUMNS
    row = np.floor((np.nan_to_num(y, nan=below) - below) / (2 * half)).astype(np.int64)
    column = np.minimum((time - start) / width, _N_COLUMNS - 1).astype(np.int64)
    n = int(row.max()) + 1
    counts = np.bincount(row[unit] * _N_COLUMNS + column, minlength=n * _N_COLUMNS)
    return ax.pcolormesh(
        np.linspace(start, end, _N_COLUMNS + 1),
        below + np.arange(n + 1) * 2 * half,
        counts.reshape(n, _N_COLUMNS) / width,
        cmap="Greys",
        rasterized=True,
    )


def _shade_epochs(ax: Axes, data: xr.Dataset, start: float, end: float) -> dict[str, Artist]:
    """Shade the epochs of one insertion, draw its injection, and return what the legend names."""
    drawn: dict[str, Artist] = {}
    if not {"start", "stop"} <= set(data.variables) or "epoch" not in data.dims:
        return drawn
    spans = data[["start", "stop"]].transpose("unit", "phase", "epoch", ...)
    colours = style.epoch_colours(spans["epoch"].values)
    for e, epoch in enumerate(spans["epoch"].values):
        for f in range(spans.sizes["phase"]):
            times = [spans[n].values[:, f, e] for n in ("start", "stop")]
            low, high = (np.nanmin(t) if np.isfinite(t).any() else np.nan for t in times)
            if low < end and high > start:
                edges = max(low, start), min(high, end)
                span = ax.axvspan(*edges, color=colours[str(epoch)], alpha=0.35, lw=0)
                if drawn.setdefault(str(epoch), span) is span:
                    span.set_label(str(epoch))
    injected = data["administration"].values if "administration" in data.variables else np.empty(0)
    known = injected[np.isfinite(injected)]
    if known.size and start < known[0] < end:
        line = ax.axvline(known[0], color="k", lw=1.5, label="injection")
        drawn["injection"] = line
    return drawn


def _strip_of_regions(ax: Axes, depth: np.ndarray, region: np.ndarray, fits: int) -> None:
    """Draw regions as coloured bars beside the axis; name each once, the largest that fit."""
    order = np.flatnonzero(np.isfinite(depth) & (region != ""))
    order = order[np.argsort(depth[order], kind="stable")]
    if not order.size:
        return
    segments = region_segments(depth[order], region[order], _SITE / 2)
    names = [name for name, _, _ in segments]
    colours = dict(zip(names, regions.colours(names), strict=True))
    across = ax.get_yaxis_transform()
    longest: dict[str, tuple[float, float]] = {}
    extent: dict[str, float] = {}
    for name, low, high in segments:
        ax.fill_between(
            [1.01, 1.03],
            low,
            high,
            transform=across,
            clip_on=False,
            facecolor=colours[name] or "0.8",
            edgecolor="0.5",
            lw=0.3,
        )
        longest[name] = max(longest.get(name, (0.0, 0.0)), (high - low, (low + high) / 2))
        extent[name] = extent.get(name, 0.0) + high - low
    told = sorted(extent, key=extent.__getitem__, reverse=True)[: max(fits, 1)]
    told.sort(key=lambda name: longest[name][1])
    middle = np.array([longest[name][1] for name in told])
    below, above = ax.get_ylim()
    for name, y, at in zip(told, middle, _spread(middle, below, above, fits), strict=True):
        ax.annotate(
            name,
            (1.03, y),
            (1.06, at),
            xycoords=across,
            textcoords=across,
            va="center",
            size=_NAME_SIZE,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "lw": 0.4, "color": "0.5", "shrinkA": 0, "shrinkB": 0},
        )
    if len(told) < len(extent):
        words = f"+ {len(extent) - len(told)}"
        ax.text(1.06, -0.02, words, transform=ax.transAxes, va="top", size=_NAME_SIZE)


def _spread(wanted: np.ndarray, low: float, high: float, fits: int) -> np.ndarray:
    """Move sorted places as little as possible so that ``fits`` of them fill low to high."""
    from scipy.optimize import isotonic_regression

    gap = (high - low) / max(fits, 1)
    steps = gap * np.arange(wanted.size)
    free = isotonic_regression(wanted - steps).x
    return np.asarray(steps + np.clip(free, low + gap / 2, high - gap / 2 - steps[-1]))
