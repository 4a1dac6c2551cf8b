"""Pictures of how units change from one phase to the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from lsdx.figures.axes import as_dataset, axis_label, is_scalar, on_axes, require_dims

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_UP, _DOWN, _NEITHER = "tab:red", "tab:blue", "0.7"


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
        If ``index``, ``p`` or ``statistic`` is missing, or they have another dimension than
        ``unit``: epochs or metrics are left.

    Examples
    --------
    >>> import lsdx
    >>> m = lsdx.open_spikes().lsd.modulation(epoch="rfm", rng=0, null=True)
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
        Units with a value of 0 in a phase are left out, and their number is in the legend.

    Raises
    ------
    SelectionError
        If epochs or metrics are left.

    Examples
    --------
    >>> import lsdx
    >>> m = lsdx.open_spikes().lsd.modulation(epoch="rfm", rng=0)
    >>> plot_rates(m.sel(metric="mean_rate")).get_xscale()
    'log'
    """
    _, kinds, alpha = _tested(data, "plot_rates", "value")
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
    metric = str(data["metric"].item()) if is_scalar(data, "metric") else "value"
    units = " (Hz)" if metric == "mean_rate" else ""
    phases = [str(p) for p in data["phase"].values]
    ax.set(xscale="log", yscale="log", aspect="equal")
    ax.set(xlabel=f"{metric}, {phases[0]}{units}", ylabel=f"{metric}, {phases[1]}{units}")
    title = f"{n_left_out} with 0 in a phase left out" if n_left_out else None
    ax.legend(fontsize="x-small", title=title, title_fontsize="x-small")
    return ax


def _tested(data: xr.Dataset, where: str, *needed: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the index and the kind (0: up, 1: down, 2: neither) of each unit, and alpha."""
    data = as_dataset(
        data, where, {"index", "p", "statistic", *needed}, "Start from spikes.lsd.modulation(...)."
    )
    require_dims(data["index"], where, {"unit"}, 0)
    alpha = float(data.attrs.get("alpha", 0.05))
    found = {n: np.asarray(data[n].values, dtype=float) for n in ("index", "p", "statistic")}
    kinds = np.where(found["p"] < alpha, np.where(found["statistic"] > 0, 0, 1), 2)
    kinds[np.isnan(found["p"])] = 3  # not tested, not drawn
    return found["index"], kinds, alpha
