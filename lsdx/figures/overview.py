"""Pictures of what a cohort holds: grids, timelines, units by region, pairs, quality."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from lsdx import regions
from lsdx.errors import SelectionError, SourceError, located
from lsdx.figures import style
from lsdx.figures.axes import as_dataset, new_axes, on_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

# colour and mark of each state of a dataset: the mark tells where the colour cannot
STATES = {
    "extraction complete": ("#0072B2", ""),
    "extraction error": ("#E69F00", "!"),
    "raw data missing": ("#E8E8E8", "·"),
}
_MOST_PAIRS = 25  # regions that a matrix can name


def plot_trajectories(data: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Show how many sessions each mouse has along each trajectory.

    Parameters
    ----------
    data : Dataset
        Of `lsdx.analysis.overview.trajectory_grid`.
    ax : Axes, optional

    Returns
    -------
    Axes
        A row a trajectory, a column a mouse, a number in each condition's colour.

    Examples
    --------
    >>> import lsdx
    >>> from lsdx.analysis.overview import trajectory_grid
    >>> ax = plot_trajectories(trajectory_grid(lsdx.open_sessions()))
    >>> len(ax.get_xticks()) == len(set(lsdx.open_sessions().subject.values))
    True
    """
    do = "Pass trajectory_grid(lsdx.open_sessions())."
    data = as_dataset(data, "plot_trajectories", {"n_sessions", "trajectory", "subject"}, do)
    counts = data["n_sessions"].transpose("trajectory", "subject", "condition").values
    ax = on_axes(ax, data, height=1.4 + 0.3 * counts.shape[0])
    colours = style.condition_colours(data["condition"].values)
    names = [c for i, c in enumerate(colours) if counts[..., i].any()]
    shown = [list(colours).index(c) for c in names]
    for row, column in np.argwhere(counts.sum(axis=-1)):
        cell = [(k, int(counts[row, column, i])) for k, i in enumerate(shown)]
        own = [(k, n) for k, n in cell if n]
        step = 0.9 / len(own)
        for place, (k, n) in enumerate(own):
            left = column - 0.45 + place * step
            box = ax.barh(row, step, left=left, height=0.9, color=colours[names[k]])
            ax.bar_label(box, labels=[str(n)], label_type="center", color="white", weight="bold")
    _ticks(ax, data["subject"].values, data["trajectory"].values)
    ax.set_xlim(-0.5, counts.shape[1] - 0.5)
    ax.set_ylim(counts.shape[0] - 0.5, -0.5)
    for edge in np.arange(counts.shape[1] - 1) + 0.5:
        ax.axvline(edge, color="0.85", lw=0.6, zorder=0)
    for edge in np.arange(counts.shape[0] - 1) + 0.5:
        ax.axhline(edge, color="0.85", lw=0.6, zorder=0)
    if counts.shape[1] > 8:
        ax.tick_params(axis="x", rotation=90)
    ax.set_xlabel("Mouse")
    ax.set_title(f"Sessions by mouse and trajectory, n = {int(counts.sum())}", loc="left")
    _named(ax, {c: colours[c] for c in names})
    return ax


def plot_status(data: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Show which datasets each session has: extracted, not extracted, never recorded.

    Parameters
    ----------
    data : Dataset
        Of `lsdx.open_sessions`.
    ax : Axes, optional

    Returns
    -------
    Axes
        A row a session, a column a dataset. ``!``: the raw data are there; a dot: they are not.

    Examples
    --------
    >>> import lsdx
    >>> ax = plot_status(lsdx.open_sessions())
    >>> len(ax.get_yticks()) == lsdx.open_sessions().sizes["session"]
    True
    """
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.patches import Patch

    do = "Pass lsdx.open_sessions()."
    data = as_dataset(data, "plot_status", {"status", "session_label", "condition"}, do)
    status = data["status"].transpose("session", "dataset").values
    code = np.select([status == s for s in STATES], range(len(STATES)), len(STATES) - 1)
    ax = new_axes(ax, height=2.5 + 0.17 * len(code))
    colours = ListedColormap([c for c, _ in STATES.values()])
    ax.pcolormesh(
        code, cmap=colours, norm=BoundaryNorm(np.arange(4) - 0.5, 3), edgecolors="white", lw=0.4
    )
    for i, (_, mark) in enumerate(STATES.values()):
        for row, column in np.argwhere(code == i) if mark else ():
            ax.text(column + 0.5, row + 0.5, mark, ha="center", va="center", size=style.smallest())
    rows = zip(data["session_label"].values, data["condition"].values, strict=True)
    _ticks(ax, data["dataset"].values, [f"{label}  {c}" for label, c in rows], centre=0.5)
    ax.tick_params(length=0)
    ax.invert_yaxis()
    ax.set_title(f"Datasets of {len(code)} sessions", loc="left")
    handles = [
        Patch(color=c, label=f"{name}{f' ({m})' * bool(m)}") for name, (c, m) in STATES.items()
    ]
    ax.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0, 0),
        ncol=3,
        frameon=False,
        handlelength=1,
    )
    if "simulated" in data.coords:
        ax.text(1, -0.01, "simulated", transform=ax.transAxes, ha="right", va="top")
    ax.xaxis.tick_top()
    ax.tick_params(axis="x", rotation=90)
    return ax


def plot_timelines(data: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Show when the epochs of each session were, from the injection on.

    Parameters
    ----------
    data : Dataset
        Of `lsdx.analysis.overview.timelines`.
    ax : Axes, optional

    Returns
    -------
    Axes
        A row a session: epochs as bars from start to stop, in min, and the injection at 0. Where
        its time is not known, an open circle at the end of the first phase.

    Examples
    --------
    >>> import lsdx
    >>> from lsdx.analysis.overview import timelines
    >>> ax = plot_timelines(timelines(lsdx.open_epochs(), lsdx.open_sessions()))
    >>> ax.get_xlabel()
    'Time from the injection (min)'
    """
    do = "Pass timelines(lsdx.open_epochs(), lsdx.open_sessions())."
    data = as_dataset(data, "plot_timelines", {"start", "stop", "origin"}, do)
    n = data.sizes["session"]
    ax = on_axes(ax, data, height=1.5 + 0.16 * n)
    names = [str(e) for e in data["epoch"].values]
    fills = style.epoch_colours(names)
    for epoch, colour in fills.items():
        for phase in data["phase"].values:
            one = data.sel(epoch=epoch, phase=phase)
            start, stop = one["start"].values, one["stop"].values
            known = np.flatnonzero(np.isfinite(start) & np.isfinite(stop))
            width = (stop - start)[known]
            ax.barh(known, width, left=start[known], height=0.7, color=colour, ec="k", lw=0.3)
    conditions = data["condition"].values
    colours = style.condition_colours(conditions)
    origin = data["origin"].values
    for row in range(n):
        if origin[row]:
            told = origin[row] == "injection"
            colour = colours[str(conditions[row])]
            ax.plot(0, row, "o", ms=4, mfc=colour if told else "white", mec=colour, zorder=3)
    rows = zip(data["session_label"].values, conditions, strict=True)
    ax.set_yticks(range(n), [f"{label}  {c}" for label, c in rows])
    ax.set_ylim(n - 0.4, -2.8)
    ax.set_xlabel("Time from the injection (min)")
    ax.set_title(
        f"Epochs of {n} sessions; open circle: injection not known, end of pre", loc="left"
    )
    for phase in data["phase"].values:  # names above the first row that has the epoch
        for epoch in names:
            one = data.sel(epoch=epoch, phase=phase)
            middle = ((one["start"] + one["stop"]) / 2).values
            known = np.flatnonzero(np.isfinite(middle))
            if known.size:
                ax.text(middle[known[0]], -0.6, epoch, rotation=30, ha="left", va="bottom")
    return ax


def plot_units(data: xr.Dataset, *, ax: Axes | None = None, most: int = 30) -> Axes:
    """Show how many units each region has in each condition: all of them, and the good ones.

    Parameters
    ----------
    data : Dataset
        Of `lsdx.analysis.overview.units_by_region`; of one or two filters.
    ax : Axes, optional
    most : int
        How many regions are shown, those with most units.

    Returns
    -------
    Axes
        Bars by condition: light for the first filter, dark for the last.

    Examples
    --------
    >>> import lsdx
    >>> from lsdx.analysis.overview import units_by_region
    >>> ax = plot_units(units_by_region(lsdx.open_units(), quality="ks2_good"))
    >>> ax.get_xlabel()
    'Units (light: all, dark: ks2_good)'
    """
    do = "Pass units_by_region(lsdx.open_units(), quality=...)."
    data = as_dataset(data, "plot_units", {"n_units", "n_sessions", "n_mice", "filter"}, do)
    (by,) = (str(d) for d in data["n_units"].dims if d not in ("filter", "condition"))
    filters = [str(f) for f in data["filter"].values]
    if len(filters) > 2:
        found = f"{len(filters)} filters"
        do = 'Select: data.sel(filter=["all", "ks2_good"]).'
        raise SelectionError(located("plot_units", "one or two filters", found, do))
    names = [str(v) or "place not known" for v in data[by].values[:most]]
    shown = data.isel({by: slice(0, most)})
    totals = data["n_units"].isel(filter=0).sum(by)
    conditions = [str(c) for c in data["condition"].values if int(totals.sel(condition=c))]
    colours = style.condition_colours(conditions)
    ax = on_axes(ax, data, height=1.4 + 0.11 * len(names) * (1 + len(conditions)))
    step = 0.8 / max(len(conditions), 1)
    for i, condition in enumerate(conditions):
        y = np.arange(len(names)) + (i + 0.5) * step - 0.4
        for j, name in enumerate(filters):
            values = shown["n_units"].sel(condition=condition, filter=name).values
            dark = j == len(filters) - 1
            label = _told_n(data, condition, by) if dark else None
            bars = ax.barh(
                y,
                values,
                height=step,
                color=colours[condition],
                alpha=1 if dark else 0.35,
                label=label,
            )
            if j == 0:
                ax.bar_label(
                    bars,
                    labels=[f"{v:,}" if v else "" for v in values],
                    padding=2,
                    size=style.smallest(),
                )
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    told = (
        f" (light: {filters[0]}, dark: {filters[-1]})" if len(filters) > 1 else f" ({filters[0]})"
    )
    ax.set_xlabel(f"Units{told}")
    ax.margins(x=0.12)
    if conditions:
        ax.legend(loc="lower right", frameon=False)
    rest = data.sizes[by] - len(names)
    ax.set_title(
        f"Units by {by}" + (f", {rest} regions with fewer not shown" if rest > 0 else ""),
        loc="left",
    )
    return ax


def plot_places(units: xr.Dataset, *, most: int = 20_000) -> Figure:
    """Show where the units lie, from above and from the side.

    Parameters
    ----------
    units : Dataset
        Of `lsdx.open_units`.
    most : int
        How many units are drawn, evenly taken, if there are more.

    Returns
    -------
    Figure
        Dots in the colours of the regions (Allen's own), with bregma at 0, in mm: a view from
        above and one from the side for each condition.

    Examples
    --------
    >>> import lsdx
    >>> len(plot_places(lsdx.open_units()).axes)
    4
    """
    import matplotlib.pyplot as plt

    needed = {"x", "y", "z", "region", "condition"}
    data = as_dataset(units, "plot_places", needed, "Pass lsdx.open_units().")
    xyz = np.column_stack([data[n].values for n in "xyz"]) * 1e3
    region = data["region"].values.astype(str)
    conditions = data["condition"].values.astype(str)
    placed = np.isfinite(xyz).all(axis=1) & (region != "")
    shown = list(dict.fromkeys(conditions[placed])) or ["no unit has a place"]
    figure, axes = plt.subplots(
        2,
        len(shown),
        squeeze=False,
        layout="constrained",
        sharey="row",
        sharex="row",
        figsize=style.size("page", 13),
    )
    for column, condition in enumerate(shown):
        rows = np.flatnonzero(placed & (conditions == condition))
        rows = rows[:: -(-len(rows) // most) or 1] if len(rows) else rows
        colours: list[str] = regions.colours(region[rows]).tolist() if len(rows) else []
        for row, (i, j) in enumerate(((0, 1), (1, 2))):
            ax = axes[row, column]
            ax.scatter(xyz[rows, i], xyz[rows, j], s=3, c=colours, lw=0.15, ec="0.3")
            ax.axhline(0, color="0.8", lw=0.5, zorder=0)
            ax.axvline(0, color="0.8", lw=0.5, zorder=0)
            ax.set_aspect("equal")
            ax.set_xlabel(("Right of bregma (mm)", "Anterior of bregma (mm)")[row])
        n = int((placed & (conditions == condition)).sum())
        axes[0, column].set_title(f"{condition}, n = {n:,} units with a place", loc="left")
    axes[0, 0].set_ylabel("Anterior of bregma (mm)")
    axes[1, 0].set_ylabel("Above bregma (mm)")
    _mark(figure, data)
    return figure


def plot_slices(units: xr.Dataset, *, width: float = 1.0, most: int = 6) -> Figure:
    """Show where the units lie on coronal slices of the Allen atlas.

    Parameters
    ----------
    units : Dataset
        Of `lsdx.open_units`.
    width : float
        Thickness of a slice, in mm.
    most : int
        How many slices are drawn: those of most units, from front to back.

    Returns
    -------
    Figure
        A slice at the middle of each ``width`` mm, in Allen's colours, with the units in it, by
        condition, in mm from bregma.

    Raises
    ------
    SourceError
        Where the atlas' volume is not on disk: see `lsdx.regions.atlas_volume`; the setting
        ``[figures] atlas`` names its folder.
    MissingPackage, SelectionError
        As `lsdx.regions.coronal_slices` does; without any unit that has a place.

    Examples
    --------
    >>> import lsdx
    >>> from lsdx.figures import style
    >>> style.use(atlas="volumes")
    >>> plot_slices(lsdx.open_units())
    Traceback (most recent call last):
        ...
    lsdx.errors.SourceError: volumes: expected annotation_25_lut_v01.npz, found none. ...
    >>> style.use()
    """
    import matplotlib.pyplot as plt

    needed = {"x", "y", "z", "condition"}
    data = as_dataset(units, "plot_slices", needed, "Pass lsdx.open_units().")
    xyz = np.column_stack([data[n].values for n in "xyz"]) * 1e3
    placed = np.isfinite(xyz).all(axis=1)
    level = np.floor(xyz[placed, 1] / width)
    levels, n = np.unique(level, return_counts=True)
    levels = np.sort(levels[np.argsort(-n, kind="stable")[:most]])[::-1]
    middle = (levels + 0.5) * width
    if not levels.size:
        do = "Take such as have x, y and z."
        raise SelectionError(located("plot_slices", "units with a place", "none", do))
    file = regions.atlas_volume(style.settings().atlas)
    if file is None:
        where = str(style.settings().atlas or "the cache of ONE")
        do = "Use iblatlas.atlas.AllenAtlas() once, or set [figures] atlas."
        raise SourceError(located(where, "annotation_25_lut_v01.npz", "none", do))
    images, extent = regions.coronal_slices(middle * 1e-3, file)
    columns = min(levels.size, 3)
    rows = -(-levels.size // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        squeeze=False,
        sharex=True,
        sharey=True,
        layout="constrained",
        figsize=style.size("page", 1 + 4.6 * rows),
    )
    condition = data["condition"].values.astype(str)[placed]
    colours = style.condition_colours(sorted(set(condition)))
    for ax, at, image, own in zip(axes.flat, middle, images, levels, strict=False):
        ax.imshow(image, extent=extent * 1e3, alpha=0.45)
        mine = np.flatnonzero(level == own)
        mine = np.random.default_rng(0).permutation(mine)  # no condition lies on top of another
        x, _, z = xyz[placed][mine].T
        ax.scatter(x, z, s=4, c=[colours[c] for c in condition[mine]], lw=0.2, ec="white")
        ax.set_title(f"{at:+.1f} mm, n = {mine.size:,} units", loc="left")
    for ax in axes.flat[levels.size :]:
        ax.set_axis_off()
    axes[-1, 0].set(xlabel="Right of bregma (mm)", ylabel="Above bregma (mm)")
    figure.legend(handles=_patches(colours), loc="outside lower left", ncol=4, frameon=False)
    _mark(figure, data)
    return figure


def plot_pairs(data: xr.Dataset) -> Figure:
    """Show how many pairs of units each two regions have, recorded together.

    Parameters
    ----------
    data : Dataset
        Of `lsdx.analysis.overview.region_pairs`.

    Returns
    -------
    Figure
        A matrix for each condition with sessions, on one logarithmic scale; cells without pairs
        are blank. Pairs within a region lie on the diagonal, which is framed.

    Examples
    --------
    >>> import lsdx
    >>> from lsdx.analysis.overview import region_pairs
    >>> figure = plot_pairs(region_pairs(lsdx.open_units()))
    >>> figure.axes[0].get_title(loc="left")
    'lsd, n = 4 sessions'
    """
    import matplotlib.pyplot as plt
    from matplotlib.colors import LogNorm
    from matplotlib.patches import Rectangle

    do = "Pass region_pairs(lsdx.open_units())."
    data = as_dataset(data, "plot_pairs", {"n_pairs", "n_sessions"}, do)
    data = data.isel(source=slice(0, _MOST_PAIRS), target=slice(0, _MOST_PAIRS))
    shown = [c for c in data["condition"].values if int(data["n_sessions"].sel(condition=c))]
    names = [str(v) for v in data["source"].values]
    figure, axes = plt.subplots(
        1,
        max(len(shown), 1),
        squeeze=False,
        layout="constrained",
        figsize=style.size("page", 4 + 0.32 * len(names)),
    )
    values = data["n_pairs"].values
    top = np.nanmax(values, initial=1.0) if values.size else 1.0
    norm = LogNorm(1, max(top, 10))
    image: Any = None
    for ax, condition in zip(axes[0], shown, strict=False):
        one = data["n_pairs"].sel(condition=condition).values
        image = ax.pcolormesh(np.where(one > 0, one, np.nan), cmap="cividis", norm=norm)
        for i in range(len(names)):
            ax.add_patch(Rectangle((i, i), 1, 1, fill=False, ec="k", lw=0.5))
        _ticks(ax, names, names, centre=0.5)
        ax.tick_params(axis="x", rotation=90)
        ax.invert_yaxis()
        ax.set_aspect("equal")
        n = int(data["n_sessions"].sel(condition=condition))
        ax.set_title(f"{condition}, n = {n} sessions", loc="left")
    if image is not None:
        figure.colorbar(image, ax=list(axes[0]), label="Pairs of units a session", shrink=0.7)
    _mark(figure, data)
    return figure


def plot_distributions(data: xr.Dataset, names: Sequence[str], *, by: str = "condition") -> Figure:
    """Show the distribution of numbers of units, in each condition.

    Parameters
    ----------
    data : Dataset
        Of `lsdx.open_quality` or `lsdx.open_units`.
    names : sequence of str
        Numbers of units, a panel each.
    by : str
        A label of units; a line for each of its values.

    Returns
    -------
    Figure
        Shares of units up to each value. A number that no unit has is left out.

    Examples
    --------
    >>> import lsdx
    >>> figure = plot_distributions(lsdx.open_units(), ["firing_rate", "contamination"])
    >>> len(figure.axes)
    2
    """
    import matplotlib.pyplot as plt

    data = as_dataset(data, "plot_distributions", {by, *names}, "Pass lsdx.open_quality().")
    known = [n for n in names if np.isfinite(data[n].values.astype(np.float64)).any()]
    columns = min(max(len(known), 1), 4)
    rows = -(-max(len(known), 1) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        squeeze=False,
        layout="constrained",
        sharey=True,
        figsize=style.size("page", 1.2 + 4.3 * rows),
    )
    labels = data[by].values.astype(str)
    groups = list(dict.fromkeys(labels))
    colours = style.condition_colours(groups)
    for ax, name in zip(axes.ravel(), known, strict=False):
        values = data[name].values.astype(np.float64)
        for group in groups:
            own = values[(labels == group) & np.isfinite(values)]
            if own.size:
                ax.ecdf(own, color=colours[group], label=f"{group}, n = {own.size:,}")
        units = data[name].attrs.get("units", "1")
        ax.set_xlabel(name + (f" ({units})" if units != "1" else ""))
        low, high = np.nanquantile(values, [0.0, 0.99])
        if high > low:
            ax.set_xlim(low - 0.03 * (high - low), high)
        ax.legend(loc="best", handlelength=1, framealpha=0.85, edgecolor="none")
    for ax in axes.ravel()[len(known) :]:
        ax.set_axis_off()
    for row in axes:
        row[0].set_ylabel("Share of units")
    _mark(figure, data)
    return figure


def _mark(figure: Figure, data: xr.Dataset) -> None:
    """Mark a figure of several panels whose data are simulated."""
    if "simulated" in data.coords:
        figure.text(0.995, 0.005, "simulated", ha="right", va="bottom", size=style.smallest())


def _ticks(ax: Axes, columns: Iterable[Any], rows: Iterable[Any], centre: float = 0.0) -> None:
    across, down = list(map(str, columns)), list(map(str, rows))
    ax.set_xticks(np.arange(len(across)) + centre, across)
    ax.set_yticks(np.arange(len(down)) + centre, down)


def _patches(colours: dict[str, str]) -> list[Patch]:
    from matplotlib.patches import Patch

    return [Patch(color=colour, label=name) for name, colour in colours.items()]


def _named(ax: Axes, colours: dict[str, str]) -> None:
    handles = _patches(colours)
    ax.legend(
        handles=handles,
        loc="lower right",
        bbox_to_anchor=(1, 1.04),
        ncol=len(handles),
        frameon=False,
        borderaxespad=0.2,
        handlelength=1,
    )


def _told_n(data: xr.Dataset, condition: str, by: str) -> str:
    """Return how many units a condition has, by the last filter."""
    n = int(data["n_units"].sel(condition=condition).isel(filter=-1).sum(by))
    every = int(data["n_units"].sel(condition=condition).isel(filter=0).sum(by))
    return (
        f"{condition}: {n:,} of {every:,} units"
        if data.sizes["filter"] > 1
        else f"{condition}: {n:,} units"
    )
