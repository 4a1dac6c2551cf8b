"""Measures and selections: labelled Datasets in, labelled Datasets out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsdx.lazy import lazily

if TYPE_CHECKING:
    from lsdx.analysis import (
        alignment,
        attrition,
        behavior,
        binning,
        cohort,
        complexity,
        counts,
        courses,
        describing,
        dimensionality,
        events,
        histology,
        intervals,
        mixed,
        modulation,
        pose,
        power,
        proportions,
        quality,
        resampled,
        selection,
        single_units,
        subspaces,
    )

__all__ = [
    "alignment",
    "attrition",
    "behavior",
    "binning",
    "cohort",
    "complexity",
    "counts",
    "courses",
    "describing",
    "dimensionality",
    "events",
    "histology",
    "intervals",
    "mixed",
    "modulation",
    "pose",
    "power",
    "proportions",
    "quality",
    "resampled",
    "selection",
    "single_units",
    "subspaces",
]

__getattr__, __dir__ = lazily(__name__, __all__)
