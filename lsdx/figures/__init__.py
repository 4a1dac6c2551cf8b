"""Pictures: each function takes labelled data and Axes, draws on them, and returns them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsdx.lazy import lazily

if TYPE_CHECKING:
    from lsdx.figures import (
        alignment,
        behavior,
        cohort,
        coupling,
        dimensionality,
        histology,
        modulation,
        overview,
        prediction,
        proportions,
        quality,
        raster,
        reconcile,
        responses,
        similarity,
        states,
        style,
    )

__all__ = [
    "alignment",
    "behavior",
    "cohort",
    "coupling",
    "dimensionality",
    "histology",
    "modulation",
    "overview",
    "prediction",
    "proportions",
    "quality",
    "raster",
    "reconcile",
    "responses",
    "similarity",
    "states",
    "style",
]

__getattr__, __dir__ = lazily(__name__, __all__)
