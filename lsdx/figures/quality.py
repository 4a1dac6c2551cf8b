"""Pictures of what different tests say of the same units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from lsdx.errors import SelectionError, located

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# from worst to best, told apart without red and green
_RANKS = ("#b2182b", "#ef8a62", "#d1e5f0", "#2166ac")
_COLOURS = {
    **dict(zip(("NOISE", "MUA", "NON-SOMA", "GOOD"), _RANKS, strict=True)),
    **dict(zip(("FAIL", "CRITICAL", "WARNING", "PASS"), _RANKS, strict=True)),
    **dict(zip(("mua", "good"), _RANKS[1::2], strict=True)),
}
_NAMES = {"bombcell": "bombcell", "ibl": "IBL", "ks2_label": "Kilosort"}


def plot_labels(data: xr.Dataset) -> Figure:
    """Draw, for each value of one label, what the other labels say of these units.

    Parameters
    ----------
    data : Dataset
        Of `lsdx.analysis.quality.compare_labels`, without ``by`` or with one cell selected.

    Returns
    -------
    Figure
        A row a label, two columns: the other labels, as stacked bars of numbers of units; each
        title has Cohen's kappa and how many units lack one of both.

    Raises
    ------
    SelectionError
        For other data, or several cells.

    Examples
    --------
    >>> import lsdx
    >>> found = lsdx.analysis.quality.compare_labels(lsdx.open_units())
    >>> len(plot_labels(found).axes)
    6
    """
    import matplotlib.pyplot as plt

    if "n" not in data or set(data["n"].dims) != {"pair", "first", "second"}:
        found = ", ".join(map(str, data["n"].dims)) if "n" in data else "no n"
        do = "Start from compare_labels(units), or select one cell: found.sel(session=...)."
        raise SelectionError(located("plot_labels", "dims pair, first, second", found, do))
    figure: Figure
    panels: Any
    figure, panels = plt.subplots(3, 2, figsize=(8, 7), layout="constrained")
    names = list(_NAMES)
    for row, own in enumerate(names):
        for column, other in enumerate(n for n in names if n != own):
            pair, turned = f"{own}, {other}", False
            if pair not in data["pair"].values:
                pair, turned = f"{other}, {own}", True
            cell = data.sel(pair=pair)
            counts = cell["n"].transpose("second", "first") if turned else cell["n"]
            words = [str(w) for w in data["first"].values]
            table = counts.values
            rows, columns = table.sum(axis=1) > 0, table.sum(axis=0) > 0
            ax, at = panels[row, column], np.flatnonzero(rows)
            base = np.zeros(at.size)
            for k in np.flatnonzero(columns):
                colour = _COLOURS.get(words[k], "0.6")
                ax.bar(range(at.size), table[at, k], bottom=base, color=colour, label=words[k])
                base += table[at, k]
            ax.set_xticks(range(at.size), [words[i] for i in at], size=7, rotation=20)
            place = {"loc": "upper left", "bbox_to_anchor": (1, 1)}
            ax.legend(fontsize=7, frameon=False, borderaxespad=0, **place)
            kappa = float(cell["kappa"])
            told = f"kappa {kappa:.2f}" if np.isfinite(kappa) else "no kappa"
            left_out = int(cell["n_left_out"])
            ax.set_title(f"{_NAMES[other]}: {told}, {left_out:,} units without", size=8)
            ax.set_xlabel(_NAMES[own], size=8)
            ax.set_ylabel("Units", size=8)
    if "simulated" in data.coords or data.attrs.get("simulated"):
        figure.suptitle("simulated", size=7, x=0.99, ha="right")
    return figure
