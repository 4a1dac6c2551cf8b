"""What sections are made with: texts, tables and figures that are added one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsdx.errors import LsdxError
from lsdx.figures import style
from lsdx.overview.cohort import Cohort
from lsdx.overview.page import Picture, Section, Table, picture, table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Part = str | Table | Picture


def drawn_for_print(draw: Callable[[], Axes | Figure], height: float | None = None) -> Figure:
    """Return a figure in the sizes of print."""
    found: Any = draw()
    figure: Figure = getattr(found, "figure", None) or found
    width = style.size("page", 1)[0]
    figure.set_figwidth(width)
    if height is not None:
        figure.set_figheight(style.size(1, height)[1])
    return figure


class Parts:
    """Collects the parts of a section; what cannot be shown is said instead."""

    def __init__(self, name: str, title: str, folder: Path) -> None:
        self.section, self.folder = Section(name, title), folder

    def say(self, text: str) -> None:
        """Add a paragraph."""
        self.section.parts.append(text)

    def add(self, part: Part) -> None:
        """Add what is made already."""
        self.section.parts.append(part)

    def table(self, frame: pd.DataFrame, name: str, caption: str, *, folded: bool = False) -> None:
        """Add a table."""
        self.section.parts.append(table(frame, name, caption, folded=folded))

    def show(self, make: Callable[[], Part | Sequence[Part]]) -> None:
        """Add what is made, or the reason why it cannot be."""
        try:
            with style.printed():
                made = make()
        except LsdxError as error:
            self.say(f"Not shown: {error}")
            return
        self.section.parts += [made] if isinstance(made, Part) else list(made)

    def draw(
        self,
        name: str,
        draw: Callable[[], Axes | Figure],
        caption: str,
        alt: str,
        *,
        height: float | None = None,
        interactive: Callable[[], str] | None = None,
    ) -> None:
        """Add a picture."""

        def make() -> Picture:
            twin = interactive() if interactive else ""
            return picture(drawn_for_print(draw, height), self.folder, name, caption, alt, twin)

        self.show(make)


def missing(cohort: Cohort, what: str, store: str) -> str:
    """Say why a store is not shown."""
    return f"{what}: not shown. {cohort.reasons.get(store, f'There are no {store}.')}"
