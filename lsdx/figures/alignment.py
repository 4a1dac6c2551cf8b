"""The picture of the alignment check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from lsdx.figures import style
from lsdx.figures.axes import as_dataset, on_axes, require_dims, row_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_VERDICTS = tuple(style.VERDICTS)
_COLOURS = tuple(style.VERDICTS.values())


def plot_alignment(data: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw sessions against phases and checks, coloured by verdict, with the evidence.

    Parameters
    ----------
    data : Dataset
        What `lsdx.check_alignment` gives.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        A row a session; a column a phase and check, with the number that the verdict rests on
        where there is one.

    Raises
    ------
    SelectionError
        If there are no verdicts over session, phase and check.

    Examples
    --------
    >>> import lsdx
    >>> plot_alignment(lsdx.check_alignment(n_shifts=99)).get_legend() is not None
    True
    """
    do = "Start from lsdx.check_alignment()."
    data = as_dataset(data, "plot_alignment", {"verdict", "evidence"}, do)
    require_dims(data["verdict"], "plot_alignment", {"session", "phase", "check"}, 0)
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    ax = on_axes(ax, data, height=max(3.5, 1.6 + 0.22 * data.sizes["session"]))
    rows = data.transpose("session", "phase", "check", ...)
    n, n_phases, n_checks = rows["verdict"].shape
    flat = rows["verdict"].values.reshape(n, n_phases * n_checks)
    code = np.array([[_VERDICTS.index(str(v)) for v in row] for row in flat]).reshape(flat.shape)
    ax.pcolormesh(code, cmap=ListedColormap(_COLOURS), vmin=-0.5, vmax=2.5, ec="w", lw=1.5)
    evidence = rows["evidence"].values.reshape(flat.shape)
    for i, j in zip(*np.nonzero(np.isfinite(evidence)), strict=True):
        value = evidence[i, j]
        told = f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}"
        told = "<.001" if 0 < value < 0.001 else told
        ax.text(j + 0.5, i + 0.5, told, ha="center", va="center", size=7)
    columns = [f"{f} {c}" for f in rows["phase"].values for c in rows["check"].values]
    ax.set_xticks(np.arange(len(columns)) + 0.5, columns, size=8, rotation=45, ha="right")
    ax.set_yticks(np.arange(n) + 0.5, row_names(rows["verdict"], "session"), size=8)
    ax.invert_yaxis()
    ax.tick_params(length=0)
    handles = [Patch(color=c, label=v) for v, c in zip(_VERDICTS, _COLOURS, strict=True)]
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1), fontsize="small")
    return ax
