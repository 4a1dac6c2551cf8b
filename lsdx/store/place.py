"""Where stores lie: a folder, or an address."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import xarray as xr

from lsdx.clock import to_bin_ticks
from lsdx.config import Settings, load_settings, stores_path
from lsdx.errors import (
    REBUILD,
    ConfigError,
    SelectionError,
    StoreCorrupt,
    StoreNotFound,
    located,
)
from lsdx.remote import RemotePath, Root, is_url
from lsdx.store.catalog import CATALOG, RESTORE, Catalog, Entry, parse_catalog

if TYPE_CHECKING:
    from lsdx.store.guard import GuardedStore

_CHECKOUT = (".git", "pyproject.toml")  # what the top of one holds
_BUILD_OR_SAY = "Build them: lsdx build; or say where they are: stores=..., or LSDX_STORES."


@dataclass(frozen=True)
class Place:
    """A folder of stores, or an address: its catalog, its tags, and each store that these name."""

    path: Root

    def __str__(self) -> str:
        return str(self.path)

    def catalog(self, tag: str | None = None) -> Catalog:
        """Read the catalog, or the one kept under a tag.

        Raises
        ------
        StoreNotFound
            If nothing has been built there, or there is no such tag.
        StoreCorrupt
            If the catalog is not what was published.
        """
        path = self.path / CATALOG if tag is None else self.tag(tag)
        try:
            text = path.read_text(encoding="utf-8")
        except StoreNotFound:  # of an address: it says more
            raise
        except (FileNotFoundError, NotADirectoryError):
            do = _BUILD_OR_SAY if tag is None else "List tags with: lsdx info"
            raise StoreNotFound(located(str(path.absolute()), "a catalog", "none", do)) from None
        except UnicodeDecodeError as error:
            raise StoreCorrupt(
                located(str(path), "a whole catalog", f"a damaged one ({error})", RESTORE)
            ) from error
        return parse_catalog(text, str(path))

    def tag(self, tag: str) -> Root:
        """Return the path of a tagged catalog."""
        tag = str(tag)
        if not tag or not all(c.isalnum() or c in "-_." for c in tag) or tag.startswith("."):
            raise SelectionError(
                located(
                    "tag", "letters, digits, '-', '_' and '.'", repr(tag), "Choose another name."
                )
            )
        return self.path / "tags" / f"{tag}.json"

    def tags(self) -> list[str]:
        """List the tags."""
        folder = self.path / "tags"
        if isinstance(folder, RemotePath):
            names = folder.names()
        else:
            names = [p.name for p in folder.glob("*.json")]
        return sorted(n.removesuffix(".json") for n in names if n.endswith(".json"))

    def within(self, entry: Entry) -> Root:
        """Return the path of a store of the catalog; none lies outside the folder."""
        pure = PurePosixPath(entry.path)
        if pure.is_absolute() or ".." in pure.parts:
            raise StoreCorrupt(
                located(f"{self}/{CATALOG}", "paths in this folder", entry.path, REBUILD)
            )
        return self.path / str(pure)

    def open(self, entry: Entry) -> GuardedStore:
        """Open one Zarr store of the catalog read-only; what is read is checked."""
        from lsdx.store.guard import GuardedStore, gone

        path = self.within(entry)
        if isinstance(path, Path) and not path.is_dir():  # at an address the first chunk says it
            raise gone(path)
        return GuardedStore.open(path, entry.metadata)


def find_place(stores: str | os.PathLike[str] | None = None) -> Place:
    """Return where stores lie: in the folder given, else in the settings'.

    Raises
    ------
    ConfigError
        For what is no path: units, or a bin width, that were meant for another argument.
    """
    value: object = _default_folder() if stores is None else stores
    width = _is_width(value)
    if isinstance(value, os.PathLike) or (
        isinstance(value, str) and (is_url(value) or not width or Path(value).is_dir())
    ):
        path = stores_path(value)
        if isinstance(value, str) and isinstance(path, RemotePath):
            path = load_settings(stores=value).stores  # and its options
        return Place(path.absolute())
    found, do = type(value).__name__, "Pass the folder's path."
    if width:
        found, do = repr(value), f"Pass a bin width by its name: bin_width={value!r}."
    elif isinstance(value, xr.Dataset | xr.DataArray):
        do = "Pass units by their name: lsdx.open_spikes(units=...)."
    raise ConfigError(located("stores", "a folder", found, do))


def _default_folder() -> Root:
    """Return the settings' folder of stores, else that of the checkout.

    A notebook runs in its own folder: where no setting names stores and the working directory
    has none, it is about those of the folder above that is a checkout, or that this folder's
    ``lsdx.toml`` names.
    """
    folder, here = load_settings().stores, Path.cwd()
    if folder != Settings().stores or (folder / CATALOG).is_file():
        return folder
    above = (here, *here.parents)
    top = next((p for p in above if any((p / name).exists() for name in _CHECKOUT)), here)
    file = top / "lsdx.toml"
    other = load_settings(file=file).stores if file.is_file() else top / folder
    if (other / CATALOG).is_file():
        return other
    looked = " and ".join(dict.fromkeys((str(here / folder), str(other))))
    raise StoreNotFound(located(looked, "stores", "none", _BUILD_OR_SAY))


def _is_width(value: object) -> bool:
    if not isinstance(value, str | float | int):
        return False
    try:
        to_bin_ticks(value)
    except ConfigError:
        return False
    return True
