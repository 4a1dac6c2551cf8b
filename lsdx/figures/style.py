"""Colours, sizes and fonts that are the same in every picture.

The table ``[figures]`` of ``lsdx.toml`` changes them for good, `use` for one notebook:

>>> from lsdx.figures import style
>>> style.condition_colours(["lsd", "saline"])
{'lsd': '#D55E00', 'saline': '#0072B2'}
>>> style.use(conditions={"psilocybin": "#009E73"})
>>> style.condition_colours(["psilocybin"])
{'psilocybin': '#009E73'}
>>> style.use()
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lsdx.config import Figures, load_settings, read_figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# vermillion, blue and grey that readers with any colour vision tell apart (Okabe and Ito 2008)
CONDITIONS: dict[str, str] = {"lsd": "#D55E00", "saline": "#0072B2", "unknown": "#999999"}
# for conditions without a colour of their own, in this order
OTHERS: tuple[str, ...] = ("#CC79A7", "#009E73", "#E69F00", "#56B4E9", "#F0E442", "#000000")

# of outcomes; not red and green, which are one colour to some readers
VERDICTS: dict[str, str] = {"pass": "#7FB8DE", "fail": "#D55E00", "untestable": "#EFEFEF"}
# of the epochs of the protocol in their order, as light areas
_EPOCHS: tuple[str, ...] = ("#BBBBBB", "#88CCEE", "#DDCC77", "#CC99BB", "#AADDBB")

_used: Figures | None = None


def use(figures: Figures | None = None, **changes: Any) -> None:
    """Draw with other colours, sizes and fonts from now on.

    Parameters
    ----------
    figures : Figures, optional
        What to begin with; by default what the settings say.
    **changes
        Fields of `lsdx.config.Figures`: ``conditions``, ``epochs``, ``column``, ``page``,
        ``font_size``, ``atlas``. Colours not named stay. Without any: as the settings say again.

    Raises
    ------
    ConfigError
        For a field that does not exist, or a value of the wrong kind.

    Examples
    --------
    >>> use(font_size=9)
    >>> settings().font_size
    9
    >>> use()
    """
    global _used
    begin = figures or load_settings().figures
    found = read_figures(changes, "style.use")
    kept = {n: {**getattr(begin, n), **getattr(found, n)} for n in ("conditions", "epochs")}
    values = {n: getattr(found, n) for n in changes} | kept
    _used = replace(begin, **values) if figures or changes else None


def settings() -> Figures:
    """Return what figures are drawn with: what was given to `use`, else the settings.

    Examples
    --------
    >>> settings().page
    17.5
    """
    return _used or load_settings().figures


def size(width: float | str, height: float) -> tuple[float, float]:
    """Return a size in inches, as Matplotlib wants it, of one in cm.

    Parameters
    ----------
    width : float or {"column", "page"}
        In cm, or the width of one or two columns.
    height : float
        In cm.

    Examples
    --------
    >>> size("column", 6)[1]
    2.3622047244094486
    """
    if isinstance(width, str):
        width = {"column": settings().column, "page": settings().page}[width]
    return width / 2.54, height / 2.54


def smallest() -> float:
    """Return the size of the smallest text in print, in pt.

    Examples
    --------
    >>> smallest()
    6.5
    """
    return max(settings().font_size - 0.5, 1.0)


def printed() -> Any:
    """Return a context in which figures have fonts for print: small, and text that stays text.

    Examples
    --------
    >>> import matplotlib
    >>> with printed():
    ...     matplotlib.rcParams["font.size"], matplotlib.rcParams["svg.fonttype"]
    (7.0, 'none')
    """
    import matplotlib as mpl

    text, small = settings().font_size, smallest()
    return mpl.rc_context(
        {
            "font.size": text,
            "axes.titlesize": text + 0.5,
            "axes.labelsize": text,
            "xtick.labelsize": small,
            "ytick.labelsize": small,
            "legend.fontsize": small,
            "figure.titlesize": text + 1,
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
        That of the settings, else lsdx's own. Conditions of neither get the colours of `OTHERS`
        in the order of their names, and from the first again where there are more. Name a
        condition in the settings to keep its colour whatever else is drawn.

    Examples
    --------
    >>> condition_colours(["saline", "mdma", "lsd"])
    {'saline': '#0072B2', 'mdma': '#CC79A7', 'lsd': '#D55E00'}
    """
    known = {**CONDITIONS, **settings().conditions}
    drawn = list(dict.fromkeys(map(str, names)))
    unnamed = sorted(n for n in drawn if n not in known)
    taken = {c.lower() for c in known.values()}
    free = [c for c in OTHERS if c.lower() not in taken] or list(OTHERS)
    own = {n: free[i % len(free)] for i, n in enumerate(unnamed)}
    return {n: known.get(n) or own[n] for n in drawn}


def epoch_colours(names: Iterable[str]) -> dict[str, str]:
    """Return the colour of each epoch: that of the settings, else a light one by its place.

    Examples
    --------
    >>> epoch_colours(["spontaneous", "rfm"])
    {'spontaneous': '#BBBBBB', 'rfm': '#88CCEE'}
    """
    drawn = list(dict.fromkeys(map(str, names)))
    known = settings().epochs
    return {n: known.get(n) or _EPOCHS[i % len(_EPOCHS)] for i, n in enumerate(drawn)}


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
