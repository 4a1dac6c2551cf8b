"""The site: Sphinx on Markdown pages, executed on a demo cohort that is made for each build."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import site_pages  # noqa: E402  it lies beside this file

project = "lsdx"
author = "the lsdx developers"
copyright = f"2026, {author}"  # noqa: A001  Sphinx's name
version = release = version_of("lsdx")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_nb",
    "sphinx_design",
]
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]
default_role = "autolink"  # `name` in a docstring is a link where there is something to link to
nitpicky = False

# docstrings
autodoc_typehints = "none"  # numpydoc writes them from the docstring
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# pages with code
nb_execution_mode = "force"
nb_execution_timeout = 170
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True
nb_number_source_lines = False
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# formulas are MathML, written by docutils: no script, no font, no network
html_math_renderer = "mathml"

html_theme = "pydata_sphinx_theme"
html_title = "lsdx"
html_static_path = ["_static"]
html_css_files = ["lsdx.css"]
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {"index": [], "tour": [], "cookbook": []}
html_theme_options = {
    "logo": {"text": "lsdx"},
    "navbar_end": ["theme-switcher"],
    "navbar_align": "left",
    "header_links_before_dropdown": 8,
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "use_edit_page_button": False,
}


def setup(app):
    """Make the pages that are written from the code, and the cohort that the others run on."""
    app.add_html_math_renderer(
        "mathml", (site_pages.inline_math, None), (site_pages.display_math, None)
    )
    app.add_directive("notes", site_pages.Notes)
    app.add_directive("accessor-method", site_pages.AccessorMethod)
    site_pages.write_api(HERE / "api")
    site_pages.write_dictionary(HERE / "dictionary.md")
    site_pages.write_gallery(HERE / "gallery", HERE.parent / "notebooks")
    folder = tempfile.TemporaryDirectory(prefix="lsdx-docs-")
    app.connect("builder-inited", lambda _: _make_cohort(Path(folder.name)))
    app.connect("builder-inited", lambda _: site_pages.write_figures(HERE / "gallery"))
    app.connect("build-finished", lambda *_: folder.cleanup())
    app.connect("build-finished", site_pages.check_pages)


def _make_cohort(folder):
    """Simulate a cohort and build its stores: what the pages run on."""
    cohort, stores = folder / "cohort", folder / "stores"
    lsdx = [sys.executable, "-m", "lsdx"]
    build = [*lsdx, "build", "--source", "cache", "--cache-dir", cohort, "--stores", stores]
    subprocess.run([*lsdx, "demo", cohort, "--units", "100"], check=True)
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    os.environ.update(LSDX_STORES=str(stores), LSDX_CACHE_DIR=str(cohort))
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # whatever it was
