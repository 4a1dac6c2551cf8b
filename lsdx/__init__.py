"""Labelled, lazy stores of the IBL psychedelics recordings.

Open what was built, as xarray Datasets: `open_sessions`, `open_insertions`, `open_epochs`,
`open_events`, `open_units` (with spike counts), `open_counts`, `open_quality`, `open_spikes`,
`open_behavior` and `open_pose`. Each has its measures and selections under ``.lsd``:
``lsdx.open_units().lsd`` lists them. ``lsdx build`` in a shell builds the stores.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from lsdx.lazy import lazily

# Registers ds.lsd, for which xarray is imported. The command does so itself, when it has read its
# options: its help need not wait for xarray.
_command = [os.path.join(os.path.dirname(sys.executable), "lsdx")]
if sys.orig_argv[1:2] != _command and sys.orig_argv[1:3] != ["-m", "lsdx"]:
    import lsdx.accessor  # noqa: F401

if TYPE_CHECKING:
    from lsdx import (
        analysis,
        builders,
        check,
        config,
        errors,
        export,
        figures,
        open_field,
        overview,
        reconcile,
        regions,
        results,
        schema,
        spike_sorting,
        store,
        video,
    )
    from lsdx.builders import Recipe
    from lsdx.check import check_alignment, check_cameras
    from lsdx.config import Settings, load_settings
    from lsdx.export.series import from_pynapple
    from lsdx.overview import report
    from lsdx.results import analyse, open_result
    from lsdx.store.behavior import open_behavior, open_pose
    from lsdx.store.openers import (
        open_counts,
        open_epochs,
        open_events,
        open_insertions,
        open_quality,
        open_sessions,
        open_spikes,
        open_units,
    )

__all__ = [
    "Recipe",
    "Settings",
    "analyse",
    "analysis",
    "builders",
    "check",
    "check_alignment",
    "check_cameras",
    "config",
    "errors",
    "export",
    "figures",
    "from_pynapple",
    "load_settings",
    "open_behavior",
    "open_counts",
    "open_epochs",
    "open_events",
    "open_field",
    "open_insertions",
    "open_pose",
    "open_quality",
    "open_result",
    "open_sessions",
    "open_spikes",
    "open_units",
    "overview",
    "reconcile",
    "regions",
    "report",
    "results",
    "schema",
    "spike_sorting",
    "store",
    "video",
]

# where those are that are no modules of lsdx; none is imported before it is used
_HOMES = {
    "Recipe": "builders",
    "Settings": "config",
    "analyse": "results",
    "check_alignment": "check",
    "check_cameras": "check",
    "from_pynapple": "export.series",
    "load_settings": "config",
    "open_behavior": "store.behavior",
    "open_counts": "store.openers",
    "open_epochs": "store.openers",
    "open_events": "store.openers",
    "open_insertions": "store.openers",
    "open_pose": "store.behavior",
    "open_quality": "store.openers",
    "open_result": "results",
    "open_sessions": "store.openers",
    "open_spikes": "store.openers",
    "open_units": "store.openers",
    "report": "overview",
}

_find = lazily(__name__, __all__, _HOMES)[0]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("lsdx")
    return _find(name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
