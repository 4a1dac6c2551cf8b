"""Colours that are the same in every picture.

`CONDITIONS` names the colour of each condition. Change it once, before drawing:

>>> from lsdx.figures import style
>>> style.condition_colours(["lsd", "saline"])
{'lsd': '#D55E00', 'saline': '#0072B2'}
>>> style.CONDITIONS["psilocybin"] = "#009E73"
>>> style.condition_colours(["psilocybin"])
{'psilocybin': '#009E73'}
>>> del style.CONDITIONS["psilocybin"]
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# vermillion, blue and grey that readers with any colour vision tell apart (Okabe and Ito 2008)
CONDITIONS: dict[str, str] = {"lsd": "#D55E00", "saline": "#0072B2", "unknown": "#999999"}
# for conditions without a colour of their own, in this order
OTHERS: tuple[str, ...] = ("#CC79A7", "#009E73", "#E69F00", "#56B4E9", "#F0E442", "#000000")


# of outcomes; not red and green, which are one colour to some readers
VERDICTS: dict[str, str] = {"pass": "#7FB8DE", "fail": "#D55E00", "untestable": "#EFEFEF"}
# of the epochs of the protocol, as light areas; others get them in this order
EPOCHS: tuple[str, ...] = ("#BBBBBB", "#88CCEE", "#DDCC77", "#CC99BB", "#AADDBB")
#: Width of a figure in one and in two columns of a page, in cm.
COLUMN, PAGE = 8.5, 17.5
SMALLEST = 6.5  # pt: readable in print


def size(width: float, height: float) -> tuple[float, float]:
    """Return a size in inches, as Matplotlib wants it, of one in cm.

    Examples
    --------
    >>> size(COLUMN, 6)[1]
    2.3622047244094486
    """
    return width / 2.54, height / 2.54


def printed() -> Any:
    """Return a context in which figures have fonts for print: 7 pt, and text that stays text.

    Examples
    --------
    >>> import matplotlib
    >>> with printed():
    ...     matplotlib.rcParams["font.size"], matplotlib.rcParams["svg.fonttype"]
    (7.0, 'none')
    """
    import matplotlib as mpl

    return mpl.rc_context(
        {
            "font.size": 7,
            "axes.titlesize": 7.5,
            "axes.labelsize": 7,
            "xtick.labelsize": SMALLEST,
            "ytick.labelsize": SMALLEST,
            "legend.fontsize": SMALLEST,
            "figure.titlesize": 8,
            "axes.linewidth": 0.6,
            "xtick.major.width": 0.6,
            "ytick.major.width": 0.6,
            "lines.linewidth": 1.0,
            "font.family": "sans-serif",
            "svg.fonttype": "none",
        }
    )


def condition_colours(names: Iterable[str]) -> dict[str, str]:
    """Return the colour of each condition.

    Parameters
    ----------
    names : iterable of str
        Conditions, in the order in which they are drawn.

    Returns
    -------
    dict of str
        That of `CONDITIONS` where it names one. The others get those of `OTHERS` in the order
        of their names, and from the first again where there are more. Name a condition in
        `CONDITIONS` to keep its colour whatever else is drawn.

    Examples
    --------
    >>> condition_colours(["saline", "mdma", "lsd"])
    {'saline': '#0072B2', 'mdma': '#CC79A7', 'lsd': '#D55E00'}
    """
    drawn = list(dict.fromkeys(map(str, names)))
    unnamed = sorted(n for n in drawn if n not in CONDITIONS)
    taken = {c.lower() for c in CONDITIONS.values()}
    free = [c for c in OTHERS if c.lower() not in taken] or list(OTHERS)
    own = {n: free[i % len(free)] for i, n in enumerate(unnamed)}
    return {n: CONDITIONS.get(n) or own[n] for n in drawn}


def condition_dots(frame: Any, x: str, y: str) -> Axes:
    """Return Axes with a dot a row, in the colour of its condition, and how many there are of each.

    Parameters
    ----------
    frame : DataFrame
        With ``condition`` and the columns ``x`` and ``y``.
    x, y : str

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"condition": ["lsd"], "x": [1], "y": [2]})
    >>> condition_dots(frame, "x", "y").get_legend().get_texts()[0].get_text()
    'lsd, n = 1'
    """
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(layout="constrained")
    for condition, colour in condition_colours(frame["condition"]).items():
        own = frame[frame["condition"] == condition]
        label = f"{condition}, n = {len(own)}"
        ax.scatter(own[x], own[y], s=22, color=colour, ec="white", lw=0.4, label=label)
    ax.legend(frameon=False)
    return ax
