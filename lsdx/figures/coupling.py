"""Pictures of coupling: correlations of groups of units, coherence by frequency."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from lsdx.errors import SelectionError, located
from lsdx.figures.axes import as_dataset, axis_label, on_axes, require_dims
from lsdx.figures.style import condition_colours, smallest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINES = ("-", "--", ":", "-.")  # of phases
_MOST_NUMBERS = 8  # groups, of which values are written


def plot_correlations(data: xr.Dataset | xr.DataArray, *, ax: Axes | None = None) -> Axes:
    """Draw the correlations of groups of units as a matrix.

    Parameters
    ----------
    data : Dataset or DataArray
        ``correlation`` of ``ds.lsd.correlations(within=..., across=...)``, of one session, phase
        and epoch, or a mean over them: over ``source`` and ``target`` alone.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        Blue below 0, red above, alike on both sides; up to 8 groups have their values written.
        Grey: none.

    Raises
    ------
    SelectionError
        If there is no correlation over ``source`` and ``target``, or a further dimension.

    Examples
    --------
    >>> r = xr.DataArray([[0.1, 0.02], [0.02, 0.2]], dims=("source", "target"))
    >>> r = r.assign_coords(source=["MOs", "CP"], target=["MOs", "CP"]).rename("correlation")
    >>> [t.get_text() for t in plot_correlations(r).texts]
    ['.100', '.020', '.020', '.200']
    """
    do = "Take it of correlations(within=..., across=...)."
    if isinstance(data, xr.DataArray):
        data = data.rename("correlation")
    data = as_dataset(data, "plot_correlations", {"correlation", "source", "target"}, do)
    require_dims(data["correlation"], "plot_correlations", {"source", "target"}, 0)
    values = data["correlation"].transpose("source", "target")
    ax = on_axes(ax, data)
    shown = np.ma.masked_invalid(values.values)
    reach = float(np.abs(shown).max()) if shown.count() else 1.0
    reach = reach or 1.0
    image = ax.imshow(shown, cmap="RdBu_r", vmin=-reach, vmax=reach, interpolation="none")
    ax.set_facecolor("0.85")
    names = [[str(v) for v in data[d].values] for d in ("source", "target")]
    ax.set_yticks(range(len(names[0])), names[0])
    ax.set_xticks(range(len(names[1])), names[1], rotation=90)
    ax.set(xlabel="Units of", ylabel="Units of")
    if max(shown.shape) <= _MOST_NUMBERS:
        for (i, j), value in np.ndenumerate(values.values):
            if np.isfinite(value):
                colour = "white" if abs(value) > 0.7 * reach else "black"
                words = f"{round(value, 3) + 0.0:.3f}".replace("0.", ".", 1)
                ax.text(j, i, words, color=colour, ha="center", va="center", size=smallest())
    ax.figure.colorbar(image, ax=ax, label=axis_label(data["correlation"]).replace(", ", ",\n"))
    return ax


def plot_coherence(data: xr.Dataset | xr.DataArray, *, ax: Axes | None = None) -> Axes:
    """Draw coherence against frequency: sessions, and their mean by condition and phase.

    Parameters
    ----------
    data : Dataset or DataArray
        ``coherence`` of ``ds.lsd.coherence(...)``, selected to one epoch: over ``frequency``
        and any of ``session`` and ``phase``.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        Frequency on a logarithmic axis. Pale lines are sessions, strong ones their mean where
        all of them have a value; colours are conditions, strokes phases; the legend says how
        many sessions there are. A line at 0, which is chance.

    Raises
    ------
    SelectionError
        If there is no coherence over ``frequency``, or another dimension.

    Examples
    --------
    >>> c = xr.DataArray([[0.2, 0.1], [0.3, 0.2]], dims=("session", "frequency"))
    >>> c = c.assign_coords(frequency=[1.0, 2.0], condition=("session", ["lsd", "lsd"]))
    >>> ax = plot_coherence(c.rename("coherence"))
    >>> [t.get_text() for t in ax.get_legend().get_texts()]
    ['lsd, n = 2']
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    if isinstance(data, xr.DataArray):
        data = data.rename("coherence")
    do = "Take it of ds.lsd.coherence(...)."
    data = as_dataset(data, "plot_coherence", {"coherence", "frequency"}, do)
    values = data["coherence"]
    require_dims(values, "plot_coherence", {"frequency"}, 2)
    other = set(map(str, values.dims)) - {"frequency", "session", "phase"}
    if other:
        name = ", ".join(sorted(other))
        do = f"Select one: data.isel({min(other)}=0)."
        raise SelectionError(located("plot_coherence", "session and phase alone", name, do))
    for dim in {"session", "phase"} - set(map(str, values.dims)):
        values = values.expand_dims(dim)
    ax = on_axes(ax, data)
    ax.axhline(0, color="0.6", lw=0.8, zorder=0)
    condition = np.full(values.sizes["session"], "", dtype=object)
    if "condition" in data.coords:
        condition[:] = data["condition"].values
    colours = condition_colours(condition) if "condition" in data.coords else {"": "#000000"}
    named = "phase" in values.coords
    phases = [str(v) for v in values["phase"].values] if named else [""]
    frequency = data["frequency"].values
    array = values.transpose("session", "phase", "frequency").values
    for name, colour in colours.items():
        for i, phase in enumerate(phases):
            lines = array[condition == name, i]
            lines = lines[np.isfinite(lines).all(axis=1)]
            if not len(lines):
                continue
            stroke = _LINES[i % len(_LINES)] if len(phases) > 1 else "-"
            if len(lines) > 1:
                ax.plot(frequency, lines.T, stroke, color=colour, lw=0.6, alpha=0.35)
            words = ", ".join(w for w in (name, phase, f"n = {len(lines)}") if w)
            ax.plot(frequency, lines.mean(axis=0), stroke, color=colour, lw=1.6, label=words)
    ends = f", {data.attrs['source']} and {data.attrs['target']}" if "source" in data.attrs else ""
    what = str(values.attrs.get("long_name", "Coherence")).replace(", ", ",\n")
    ax.set(xscale="log", xlabel="Frequency (Hz)", ylabel=what + ends.replace(", ", "\n"))
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False)
    return ax
