"""Pictures of responses to events, by depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from lsdx.errors import SelectionError, located
from lsdx.figures.axes import as_dataset, axis_label, on_axes, require_dims

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_psth(data: xr.Dataset, *, most: float | None = None, ax: Axes | None = None) -> Axes:
    """Draw the responses of one insertion by depth.

    Parameters
    ----------
    data : Dataset
        Of ``spikes.lsd.psth(pool="20 um")`` or of units, selected to one insertion and one label
        of ``by``.
    most : float, optional
        End of the colour scale, in z. Panels that are compared need the same; by default the 99th
        percentile of what is drawn.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        ``psth_z`` over time and depth, as an image with its colour bar; the selected labels are
        its title.

    Raises
    ------
    SelectionError
        If there are several insertions, or labels beside depth and time.

    Examples
    --------
    >>> import lsdx
    >>> e, s = lsdx.open_events(), lsdx.open_spikes()
    >>> one = s.isel(unit=s.insertion == s.insertion[0])
    >>> gabors = e.isel(event=e.kind == "gabor")
    >>> r = one.lsd.psth(events=gabors, pool="20 um", n_shifts=0)
    >>> plot_psth(r.sel(side="left")).get_ylabel()
    'Depth (um)'
    """
    data = as_dataset(data, "plot_psth", {"psth_z"}, "Start from spikes.lsd.psth(...).")
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
    if most is None:
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
    selected = {n: c.item() for n, c in data.coords.items() if not c.ndim and n != "simulated"}
    told = [f"{n} {v:g}" if isinstance(v, float) else f"{n} {v}" for n, v in selected.items()]
    ax.set_title(", ".join(told), fontsize="medium")
    return ax
