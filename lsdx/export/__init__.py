"""What goes out of lsdx: tables for people who work with pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsdx.lazy import lazily

if TYPE_CHECKING:
    from lsdx.export import listing, tables

__all__ = ["listing", "tables"]

__getattr__, __dir__ = lazily(__name__, __all__)
