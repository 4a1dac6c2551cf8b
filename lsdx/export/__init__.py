"""What goes out of lsdx: tables for pandas, lists for a terminal, series for pynapple."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsdx.lazy import lazily

if TYPE_CHECKING:
    from lsdx.export import listing, series, tables

__all__ = ["listing", "series", "tables"]

__getattr__, __dir__ = lazily(__name__, __all__)
