"""The overview of a cohort: one page that opens from disk, made from the stores."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from lsdx.config import user_path
from lsdx.errors import missing_package
from lsdx.overview.cohort import Cohort
from lsdx.overview.page import render
from lsdx.overview.sections import SECTIONS
from lsdx.store.place import find_place

__all__ = ["report"]


def report(
    out: str | os.PathLike[str],
    *,
    stores: str | os.PathLike[str] | None = None,
    tag: str | None = None,
    progress: bool = True,
) -> Path:
    """Write an overview of the cohort: a page, and its figures as SVG and PNG.

    Parameters
    ----------
    out : path
        Folder, which is made. ``index.html`` holds everything that it shows, opens from disk and
        asks no network; ``figures/`` holds each figure as a file.
    stores : path, optional
        Folder of the stores; that of the settings by default.
    tag : str, optional
        A tagged catalog.
    progress : bool
        Whether to show a bar (never where the output is no terminal).

    Returns
    -------
    Path
        The page. What was not built is not shown, and the page says so. Results are shown that
        `lsdx.analyse` has computed from these stores.

    Raises
    ------
    StoreNotFound, StoreCorrupt
        Without stores, or for damaged ones.
    MissingPackage
        Without Matplotlib, Jinja or Bokeh: ``pip install 'lsdx[report]'``.

    Examples
    --------
    >>> import lsdx, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = lsdx.report(folder)
    ...     text = page.read_text(encoding="utf-8")
    >>> "SIMULATED" in text
    True
    """
    from tqdm import tqdm

    for package in ("matplotlib", "jinja2", "bokeh"):
        try:
            import_module(package)
        except ImportError as error:
            raise missing_package("overview", package, "report") from error
    folder = user_path(out)
    cohort = Cohort(find_place(stores).path, tag)
    sections = []
    bar = tqdm(SECTIONS.items(), unit="section", disable=None if progress else True)
    for name, make in bar:
        bar.set_description(name)
        sections.append(make(cohort, folder))
    return render(sections, cohort, folder)
