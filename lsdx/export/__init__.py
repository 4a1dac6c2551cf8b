"""What goes out of lsdx: tables for pandas, files for others, lists for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsdx.lazy import lazily

if TYPE_CHECKING:
    from lsdx.export import frames, listing, mouse_lsd, nwb, series, tables

__all__ = ["frames", "listing", "mouse_lsd", "nwb", "series", "tables"]

__getattr__, __dir__ = lazily(__name__, __all__)
