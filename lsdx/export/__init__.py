"""What goes out of lsdx: tables for people who work with pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsdx.export import listing, tables

__all__ = ["listing", "tables"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        import importlib

        return importlib.import_module(f"lsdx.export.{name}")
    raise AttributeError(f"module 'lsdx.export' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
