"""Labelled, lazy stores of the IBL psychedelics recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lsdx.accessor  # noqa: F401  registers ds.lsd

if TYPE_CHECKING:
    from lsdx import (
        analysis,
        builders,
        check,
        config,
        errors,
        export,
        figures,
        regions,
        schema,
        store,
    )
    from lsdx.builders import Recipe
    from lsdx.check import check_alignment
    from lsdx.config import Settings, load_settings
    from lsdx.store.openers import (
        open_counts,
        open_epochs,
        open_events,
        open_insertions,
        open_sessions,
        open_spikes,
        open_units,
    )

_HOMES = {
    "Recipe": "lsdx.builders",
    "Settings": "lsdx.config",
    "check_alignment": "lsdx.check",
    "load_settings": "lsdx.config",
    "open_counts": "lsdx.store.openers",
    "open_epochs": "lsdx.store.openers",
    "open_events": "lsdx.store.openers",
    "open_insertions": "lsdx.store.openers",
    "open_sessions": "lsdx.store.openers",
    "open_spikes": "lsdx.store.openers",
    "open_units": "lsdx.store.openers",
}

_MODULES = (
    "analysis",
    "builders",
    "check",
    "config",
    "errors",
    "export",
    "figures",
    "regions",
    "schema",
    "store",
)

__all__ = [
    "Recipe",
    "Settings",
    "analysis",
    "builders",
    "check",
    "check_alignment",
    "config",
    "errors",
    "export",
    "figures",
    "load_settings",
    "open_counts",
    "open_epochs",
    "open_events",
    "open_insertions",
    "open_sessions",
    "open_spikes",
    "open_units",
    "regions",
    "schema",
    "store",
]


def __getattr__(name: str) -> Any:
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"lsdx.{name}")
    if name == "__version__":
        from importlib.metadata import version

        return version("lsdx")
    raise AttributeError(f"module 'lsdx' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
