"""Labelled, lazy stores of the IBL psychedelics recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lsdx.accessor  # noqa: F401  registers ds.lsd

if TYPE_CHECKING:
    from lsdx import (
        analysis,
        build,
        check,
        config,
        errors,
        export,
        figures,
        regions,
        schema,
        stores,
    )
    from lsdx.build import Recipe
    from lsdx.check import check_alignment
    from lsdx.config import Settings, load_settings
    from lsdx.stores import (
        open_counts,
        open_epochs,
        open_events,
        open_insertions,
        open_sessions,
        open_spikes,
        open_units,
    )

_HOMES = {
    "Recipe": "lsdx.build",
    "Settings": "lsdx.config",
    "check_alignment": "lsdx.check",
    "load_settings": "lsdx.config",
    "open_counts": "lsdx.stores",
    "open_epochs": "lsdx.stores",
    "open_events": "lsdx.stores",
    "open_insertions": "lsdx.stores",
    "open_sessions": "lsdx.stores",
    "open_spikes": "lsdx.stores",
    "open_units": "lsdx.stores",
}

_MODULES = (
    "analysis",
    "build",
    "check",
    "config",
    "errors",
    "export",
    "figures",
    "regions",
    "schema",
    "stores",
)

__all__ = [
    "Recipe",
    "Settings",
    "analysis",
    "build",
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
    "stores",
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
