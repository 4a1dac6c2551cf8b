"""Pictures: each function takes labelled data and Axes, draws on them, and gives them back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsdx.figures import alignment, dimensionality, single_units

__all__ = ["alignment", "dimensionality", "single_units"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        import importlib

        return importlib.import_module(f"lsdx.figures.{name}")
    raise AttributeError(f"module 'lsdx.figures' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
