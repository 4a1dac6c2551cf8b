"""Pictures: each function takes labelled data and Axes, draws on them, and returns them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsdx.lazy import lazily

if TYPE_CHECKING:
    from lsdx.figures import (
        alignment,
        behavior,
        cohort,
        dimensionality,
        histology,
        modulation,
        overview,
        proportions,
        quality,
        raster,
        reconcile,
        responses,
        style,
    )

__all__ = [
    "alignment",
    "behavior",
    "cohort",
    "dimensionality",
    "histology",
    "modulation",
    "overview",
    "proportions",
    "quality",
    "raster",
    "reconcile",
    "responses",
    "style",
]

__getattr__, __dir__ = lazily(__name__, __all__)
