"""Pictures: each function takes labelled data and Axes, draws on them, and returns them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsdx.figures import (
        alignment,
        dimensionality,
        modulation,
        proportions,
        raster,
        responses,
    )

__all__ = ["alignment", "dimensionality", "modulation", "proportions", "raster", "responses"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        import importlib

        return importlib.import_module(f"lsdx.figures.{name}")
    raise AttributeError(f"module 'lsdx.figures' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
