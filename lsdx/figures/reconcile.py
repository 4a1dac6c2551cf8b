"""A picture of how a lab's earlier files and the stores agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lsdx.figures.axes import new_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_COLOURS = {
    "same": "#999999",
    "explained": "#56B4E9",
    "differs": "#D55E00",
    "old only": "#E69F00",
    "new only": "#009E73",
}


def plot_reconciliation(found: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw, for each thing compared, which share came out how.

    Parameters
    ----------
    found : DataFrame
        Of ``lsdx.reconcile.reconcile``.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        A row a name, with the number of comparisons at the right.

    Examples
    --------
    >>> import pandas as pd
    >>> row = {"kind": "units", "name": "spikes", "verdict": "same"}
    >>> plot_reconciliation(pd.DataFrame([row])).get_xlabel()
    'Share of comparisons'
    """
    names = list(dict.fromkeys(zip(found["kind"], found["name"], strict=True)))
    ax = new_axes(ax, height=1 + 0.22 * len(names))
    table = found.groupby(["kind", "name"])["verdict"].value_counts().unstack(fill_value=0)
    table = table.reindex(names)
    y, left, total = np.arange(len(names)), np.zeros(len(names)), table.sum(axis=1).to_numpy()
    for verdict, colour in _COLOURS.items():
        if verdict in table:
            width = table[verdict].to_numpy() / total
            ax.barh(y, width, left=left, color=colour, label=verdict, height=0.8)
            left = left + width
    for row, n in enumerate(total):
        ax.text(1.01, row, f"{n:,}", va="center", size=7)
    ax.set_yticks(y, [f"{name}" for _, name in names], size=7)
    ax.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5), xlabel="Share of comparisons")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=5, frameon=False, fontsize="small")
    return ax
