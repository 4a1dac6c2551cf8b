"""Copy stores between folders and addresses: verified, resumable, only what is missing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from lsdx.builders.lock import building, publishing
from lsdx.builders.manifest import MANIFEST, check_bytes, file_names, find_store
from lsdx.builders.placing import (
    catalog_version,
    make_root,
    place_store,
    replace_catalog,
    replace_file,
    scratch,
)
from lsdx.builders.publish import current_catalog
from lsdx.errors import RecipeError, StoreCorrupt, located
from lsdx.remote import AT_ONCE, RemotePath
from lsdx.store.catalog import Catalog, Entry
from lsdx.store.place import Place, find_place


@dataclass(frozen=True)
class Copied:
    """What a copy did: stores copied and found there, and the bytes of those copied."""

    copied: int
    found: int
    bytes: int


def copy_stores(
    source: str | Path | RemotePath,
    target: str | Path | RemotePath,
    *,
    tag: str | None = None,
    progress: bool = False,
) -> Copied:
    """Copy what a catalog names, and then the catalog.

    Parameters
    ----------
    source, target : path
        Folders, or addresses such as ``"s3://bucket/prefix"``.
    tag : str, optional
        A tagged catalog, which keeps its tag there, and is the current one too where there is
        none. By default the current catalog.
    progress : bool
        Whether to show a bar (never where the output is no terminal).

    Returns
    -------
    Copied
        A store that is there already, whole, is not copied again: run it again after a failure.

    Raises
    ------
    StoreNotFound, StoreCorrupt
        If the source is not there, or damaged: every byte is checked on the way. Nothing is
        published then.
    RecipeError
        If the target is current with sessions that the source has not: nothing published is lost.
    """
    from tqdm import tqdm

    here, there = find_place(source), find_place(target)
    catalog = here.catalog(tag)
    _check_replaces(there, catalog, tag)
    entries = catalog.entries()
    n_copied = n_bytes = 0
    off = None if progress else True
    size = sum(e.bytes for e in entries)
    make_root(there.path)
    with (
        building(there.path),
        tqdm(total=size, desc="copy", unit="B", unit_scale=True, disable=off) as bar,
    ):
        for entry in entries:
            if not _is_there(there, entry):
                _copy_store(here, there, entry)
                n_copied, n_bytes = n_copied + 1, n_bytes + entry.bytes
            bar.update(entry.bytes)
        _publish(there, catalog, tag)
    return Copied(n_copied, len(entries) - n_copied, n_bytes)


def _check_replaces(place: Place, catalog: Catalog, tag: str | None) -> None:
    """Refuse to take the place of what has sessions that are not in the copy, or of a tag."""
    if tag is not None:
        there = place.catalog(tag).digest if place.tag(tag).is_file() else catalog.digest
        if there != catalog.digest:
            do = "Name another target, or remove that tag: lsdx tag --remove."
            raise RecipeError(located(f"{place}, tag {tag}", "the same catalog", "another", do))
        return
    now = current_catalog(place.path)
    lost = sorted(set(now.parts.get("sessions", {})) - set(catalog.parts.get("sessions", {})))
    if lost:
        found = f"{len(lost)} others, such as {lost[0]}"
        do = "Name another target, or copy under a tag."
        raise RecipeError(located(str(place), "sessions that the source has too", found, do))


def _is_there(place: Place, entry: Entry) -> bool:
    """Return whether a store was published whole: its manifest comes last."""
    if isinstance(place.path, RemotePath):
        return (place.within(entry).parent / MANIFEST).is_file()
    return find_store(place.path, entry.path) is not None


def _copy_store(source: Place, target: Place, entry: Entry) -> None:
    """Copy the folder of one store, whose bytes are checked where they lie on this machine."""
    with scratch(target.path) as (folder, temporary):
        beside = f"{temporary}/{PurePosixPath(entry.path).name}"
        here, there = folder / beside, source.within(entry)

        def get(name: str) -> None:
            (here / name).parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # said by what follows
                (here / name).write_bytes((there / name).read_bytes())

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(get, file_names(source.path, entry)))
        problems = check_bytes(folder, replace(entry, path=beside))
        if problems:
            raise StoreCorrupt(problems[0].replace(str(here), str(there)))
        place_store(target.path, folder / temporary, entry)


def _publish(place: Place, catalog: Catalog, tag: str | None) -> None:
    """Write the catalog: the one step that makes the copy current."""
    root = place.path
    with publishing(root):
        seen = catalog_version(root)
        now = current_catalog(root)
        _check_replaces(place, catalog, tag)
        if tag is not None:
            replace_file(root, f"tags/{tag}.json", catalog.to_json())
        if tag is None or not now.recipes:
            replace_catalog(root, catalog, now, seen)
