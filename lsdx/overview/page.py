"""What a page is made of, and how it becomes HTML."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lsdx.overview.cohort import Cohort

DPI = 150
_ON_SCREEN = 130  # px an inch of print: text of 7 points has the size of the page's small print
FIGURES = "figures"


@dataclass(frozen=True)
class Cell:
    """One cell of a table: what it shows, and the number behind it as text (None: no number)."""

    text: str
    value: str | None = None


@dataclass(frozen=True)
class Table:
    """A table of the page: ``name`` is its id, ``rows`` begin with the name of the row.

    ``folded`` ones are shown when asked for.
    """

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    folded: bool = False


@dataclass(frozen=True)
class Picture:
    """A figure of the page: what it shows in words, its image and that one's width (px).

    ``interactive`` is its twin that answers the mouse, as HTML; blank: none.
    """

    name: str
    caption: str
    alt: str
    data: str
    width: int
    interactive: str = ""


@dataclass
class Section:
    """A part of the page, in order: texts, tables and pictures."""

    name: str
    title: str
    parts: list[str | Table | Picture] = field(default_factory=list)


def table(frame: pd.DataFrame, name: str, caption: str, *, folded: bool = False) -> Table:
    """Return a DataFrame as a table of the page; its index names the rows.

    Examples
    --------
    >>> frame = pd.DataFrame({"units": [1200]}, index=pd.Index(["lsd"], name="condition"))
    >>> table(frame, "totals", "Totals").rows[0]
    (Cell(text='lsd', value=None), Cell(text='1,200', value='1200'))
    """
    flat = frame.reset_index()
    rows = tuple(tuple(map(_cell, row)) for row in flat.itertuples(index=False, name=None))
    return Table(name, caption, tuple(str(c) for c in flat.columns), rows, folded)


def _cell(value: Any) -> Cell:
    """Write a value as text, a number with the digits that matter."""
    if isinstance(value, bool | np.bool_):
        return Cell("yes" if value else "no")
    if isinstance(value, int | np.integer):
        return Cell(f"{value:,}", str(int(value)))
    if isinstance(value, float | np.floating):
        number = float(value)
        if not np.isfinite(number):
            return Cell("n/a", "nan")
        return Cell(f"{number:,.4g}" if abs(number) < 1e5 else f"{number:,.0f}", repr(number))
    return Cell("" if value is None or value is pd.NaT else str(value))


def picture(
    figure: Figure, folder: Path, name: str, caption: str, alt: str, interactive: str = ""
) -> Picture:
    """Save a figure as SVG and PNG, close it, and return it for the page."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    place = folder / FIGURES
    place.mkdir(parents=True, exist_ok=True)
    # laid out and measured once, not for each file
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    whole = figure.get_tightbbox().padded(0.1)
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(place / f"{name}.svg", bbox_inches=whole, metadata={"Date": None})
    figure.savefig(place / f"{name}.png", bbox_inches=whole, dpi=DPI)
    plt.close(figure)
    svg = (place / f"{name}.svg").read_bytes()
    # an image of thousands of dots is smaller as pixels
    png = (place / f"{name}.png").read_bytes()
    kind, content = ("png", png) if len(svg) > 3 * len(png) else ("svg+xml", svg)
    data = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return Picture(name, caption, alt, data, round(_ON_SCREEN * whole.width), interactive)


def render(sections: Sequence[Section], cohort: Cohort, folder: Path) -> Path:
    """Write the page, beside its place first."""
    import jinja2

    here = Path(__file__).parent
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((here / "page.html").read_text(encoding="utf-8"))
    interactive = any(isinstance(p, Picture) and p.interactive for s in sections for p in s.parts)
    script = ""
    if interactive:
        from lsdx.overview.interactive import library

        script = library()
    html = template.render(
        sections=sections,
        style=(here / "page.css").read_text(encoding="utf-8"),
        library=script,
        simulated=cohort.simulated,
        catalog=cohort.catalog.digest[:16],
        version=version("lsdx"),
        kind=lambda part: type(part).__name__.lower(),
        figures=FIGURES,
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    scratch = folder / f".index.{os.getpid()}.html"
    scratch.write_text(html, encoding="utf-8")
    os.replace(scratch, path)
    return path
