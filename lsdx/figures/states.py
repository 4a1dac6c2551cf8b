"""Pictures of hidden states: when they are, how often, and what follows what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from lsdx.figures.axes import as_dataset, require_dims
from lsdx.figures.style import smallest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito 2008, and two more that differ in lightness; from the first again beyond ten
_COLOURS = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
    "#000000",
    "#8C8C8C",
    "#7A5230",
)


def plot_states(data: xr.Dataset) -> Figure:
    """Draw the states of one session and epoch: a row a phase, one colour a state.

    Parameters
    ----------
    data : Dataset
        Of ``ds.lsd.states()``, of one session and epoch: over ``phase`` at most.

    Returns
    -------
    Figure
        For each phase the states over time, white where not observed; how much of the time each
        takes; the probability of the next state (column) after each (row). Written where it is
        .005 or more.

    Raises
    ------
    SelectionError
        For what is no result of ``states``, or of several sessions or epochs.

    Examples
    --------
    >>> dims = ("phase", "number", "to")
    >>> transition = [[[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0.4, 0.6]]]
    >>> sequence = [[1] * 20 + [2] * 10 + [1] * 10, [1, 2, 1, 1, 2] * 8]
    >>> data = xr.Dataset(
    ...     {
    ...         "state": (("phase", "time"), sequence),
    ...         "occupancy": (("phase", "number"), [[0.75, 0.25], [0.6, 0.4]]),
    ...         "transition": (dims, transition),
    ...     },
    ...     {"phase": ["pre", "post"], "number": [1, 2], "time": np.arange(40) + 0.5},
    ... )
    >>> len(plot_states(data).axes)
    6
    """
    import matplotlib.pyplot as plt

    do = "Start from ds.lsd.states()."
    data = as_dataset(data, "plot_states", {"state", "occupancy", "transition"}, do)
    data = data[["state", "occupancy", "transition"]]
    if "phase" not in data.dims:
        data = data.expand_dims(phase=[data["phase"].item() if "phase" in data.coords else ""])
    require_dims(data["occupancy"], "plot_states", {"phase", "number"}, 0)
    data = data.compute()
    last = int(np.flatnonzero(data["occupancy"].notnull().any("phase").values).max(initial=0))
    data = data.isel(number=slice(last + 1), to=slice(last + 1))
    k, n = last + 1, data.sizes["phase"]
    figure, panels = plt.subplots(
        n,
        3,
        figsize=(8, 0.8 + 1.1 * n),
        width_ratios=(5, 1.2, 1.2),
        layout="constrained",
        squeeze=False,
    )
    for row, phase in zip(panels, data["phase"].values, strict=True):
        one = data.sel(phase=phase)
        _raster(row[0], one["state"], k)
        row[0].set_ylabel(str(phase), rotation=0, ha="right", va="center")
        share = one["occupancy"].values
        colours = [_COLOURS[i % len(_COLOURS)] for i in range(k)]
        row[1].barh(np.arange(k), np.nan_to_num(share), color=colours)
        row[1].set(xlim=(0, 1), ylim=(k - 0.5, -0.5))
        row[1].set_yticks(np.arange(k), [str(s) for s in data["number"].values])
        row[1].spines[["top", "right"]].set_visible(False)
        _matrix(row[2], one["transition"], k)
        for ax in row:
            ax.tick_params(labelsize=smallest() + 0.5)
    for ax, words in zip(panels[0], ("State", "Share of bins", "Next state"), strict=True):
        ax.set_title(words, size="medium")
    panels[-1, 0].set_xlabel("Time (s)")
    if "simulated" in data.coords:
        figure.text(0.995, 0.005, "simulated", ha="right", va="bottom", size=smallest())
    return figure


def _raster(ax: Axes, sequence: xr.DataArray, k: int) -> None:
    from matplotlib.colors import BoundaryNorm, ListedColormap

    time = sequence["time"].values if "time" in sequence.coords else np.arange(sequence.size) + 0.5
    half = (time[1] - time[0]) / 2 if len(time) > 1 else 0.5
    shown: Any = np.ma.masked_less(sequence.values[None], 1)
    colours = ListedColormap([_COLOURS[i % len(_COLOURS)] for i in range(k)])
    ax.imshow(
        shown,
        aspect="auto",
        interpolation="nearest",
        cmap=colours,
        norm=BoundaryNorm(np.arange(k + 1) + 0.5, k),
        extent=(time[0] - half, time[-1] + half, 0, 1),
    )
    ax.set_yticks([])


def _matrix(ax: Axes, transition: xr.DataArray, k: int) -> None:
    values = transition.transpose("number", "to").values
    ax.imshow(values, cmap="Greys", vmin=0, vmax=1, aspect="auto")
    names = [str(s) for s in transition["number"].values]
    ax.set_xticks(np.arange(k), names)
    ax.set_yticks(np.arange(k), names)
    if k > 5:
        return
    for (i, j), v in np.ndenumerate(values):
        if v >= 0.005:
            colour = "white" if v > 0.5 else "black"
            word = f"{v:.2f}".lstrip("0")
            ax.text(j, i, word, ha="center", va="center", size=smallest(), color=colour)
