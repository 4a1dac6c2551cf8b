"""Measures and selections: labelled Datasets in, labelled Datasets out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsdx.analysis import (
        alignment,
        binning,
        complexity,
        counts,
        courses,
        dimensionality,
        events,
        intervals,
        modulation,
        proportions,
        selection,
        single_units,
        subspaces,
    )

__all__ = [
    "alignment",
    "binning",
    "complexity",
    "counts",
    "courses",
    "dimensionality",
    "events",
    "intervals",
    "modulation",
    "proportions",
    "selection",
    "single_units",
    "subspaces",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        import importlib

        return importlib.import_module(f"lsdx.analysis.{name}")
    raise AttributeError(f"module 'lsdx.analysis' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
