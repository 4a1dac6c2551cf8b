"""The stores that a page is made from, each opened once, as far as they are built."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import xarray as xr

from lsdx.errors import SelectionError, StoreNotFound
from lsdx.remote import RemotePath
from lsdx.results import open_result
from lsdx.store.behavior import open_behavior
from lsdx.store.catalog import Catalog
from lsdx.store.openers import (
    open_epochs,
    open_insertions,
    open_quality,
    open_sessions,
    open_units,
)
from lsdx.store.place import Place


class Cohort:
    """Stores of one folder; what is not built, or of no session, is None."""

    def __init__(self, stores: Path | RemotePath, tag: str | None = None) -> None:
        self.stores, self.tag = stores, tag
        self.catalog: Catalog = Place(stores).catalog(tag)
        self.reasons: dict[str, str] = {}
        self._results: dict[str, xr.Dataset | None] = {}

    def _open(self, opener: Callable[..., xr.Dataset]) -> xr.Dataset | None:
        """Open a store; keep the reason if it cannot be, without where the stores lie."""
        try:
            return opener(self.stores, tag=self.tag)
        except (StoreNotFound, SelectionError) as error:
            name = opener.__name__.removeprefix("open_")
            told = str(error).replace(f"{self.stores}/", "").replace(str(self.stores), "stores")
            self.reasons[name] = told
            return None

    @property
    def simulated(self) -> bool:
        """Whether the recordings are simulated."""
        return self.catalog.simulated

    @cached_property
    def sessions(self) -> xr.Dataset | None:
        """Sessions, in memory."""
        return self._open(open_sessions)

    @cached_property
    def insertions(self) -> xr.Dataset | None:
        """Probe insertions, in memory."""
        return self._open(open_insertions)

    @cached_property
    def epochs(self) -> xr.Dataset | None:
        """Epochs, in memory."""
        return self._open(open_epochs)

    @cached_property
    def units(self) -> xr.Dataset | None:
        """Units, whose counts are not read."""
        return self._open(open_units)

    @cached_property
    def quality(self) -> xr.Dataset | None:
        """Quality of the units."""
        return self._open(open_quality)

    @cached_property
    def behavior(self) -> xr.Dataset | None:
        """Behaviour, which is not read."""
        return self._open(open_behavior)

    def result(self, name: str) -> xr.Dataset | None:
        """Return a result that was computed from these stores, read once."""
        if name not in self._results:
            try:
                found = open_result(name, stores=self.stores, tag=self.tag)
            except StoreNotFound:
                found = None
            self._results[name] = found
        return self._results[name]
