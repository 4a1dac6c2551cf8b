"""Upkeep of a stores folder: verify every byte, collect what nothing names, keep tags."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lsdx.assemble.stores import STORED
from lsdx.builders.lock import building, collecting, publishing
from lsdx.builders.write import MANIFEST, TEMPORARY, check_bytes, read_manifest, replace_file
from lsdx.errors import REBUILD, LsdxError, RecipeError, StoreNotFound, located
from lsdx.schema import SCHEMAS, validate
from lsdx.store.access import read_store
from lsdx.store.catalog import Catalog, Entry
from lsdx.store.place import Place

_OURS = re.compile(r".+-[0-9a-f]{20}")
_TEMPORARY = re.compile(r"[0-9a-f]{32}\.\w+")


@dataclass(frozen=True)
class Check:
    """One store verified: ``problem`` is blank where it is sound."""

    store: str
    bytes: int
    problem: str


def verify(folder: Path, tag: str | None = None, *, progress: bool = False) -> list[Check]:
    """Check every byte that a catalog names, decode every chunk, validate every value.

    Parameters
    ----------
    folder : Path
        The stores folder.
    tag : str, optional
        A tagged catalog; the current one by default.
    progress : bool
        Whether to show a bar (never where the output is no terminal).

    Returns
    -------
    list of Check
        One for each store, parts included.

    Raises
    ------
    StoreNotFound, StoreCorrupt
        If there is no catalog, or it is damaged itself.
    """
    from tqdm import tqdm

    catalog = Place(folder).catalog(tag)
    checks = []
    size = sum(entry.bytes for entry in catalog.entries())
    off = None if progress else True
    with tqdm(total=size, desc="verify", unit="B", unit_scale=True, disable=off) as bar:
        for noun, entry, cohort in _named(catalog):
            problems = check_bytes(folder, entry) or _check_values(folder, noun, entry, cohort)
            problems += _check_manifest(folder, entry)
            checks.append(Check(entry.path, entry.bytes, "; ".join(problems)))
            bar.update(entry.bytes)
    return checks


def collect_garbage(folder: Path, *, dry_run: bool = False) -> list[str]:
    """Remove stores that no catalog and no tag names, and what killed builds left behind.

    Nothing that lsdx did not write is touched.

    Parameters
    ----------
    folder : Path
    dry_run : bool
        Whether only to list.

    Returns
    -------
    list of str
        What was removed.

    Raises
    ------
    RecipeError
        While a build runs.
    """
    Place(folder).catalog()  # a folder without a catalog is not ours to tidy
    with collecting(folder):
        catalogs = [Place(folder).catalog()]
        catalogs += [Place(folder).catalog(tag) for tag in tags(folder)]
        named = {(folder / e.path).parent for c in catalogs for e in c.entries()}
        doomed = [
            path
            for path in [*folder.glob("parts/*/*"), *folder.glob("flat/*")]
            if _OURS.fullmatch(path.name) and path not in named
        ]
        doomed += [p for p in folder.glob(f"{TEMPORARY}/*") if _TEMPORARY.fullmatch(p.name)]
        # what a symbolic link leads to lies elsewhere, and may be another's
        root = folder.resolve()
        doomed = [p for p in doomed if p.parent.resolve().is_relative_to(root)]
        for path in [] if dry_run else doomed:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    return [p.relative_to(folder).as_posix() for p in sorted(doomed)]


def tags(folder: Path) -> list[str]:
    """List the tags of a stores folder."""
    return Place(folder).tags()


def keep_tag(folder: Path, tag: str) -> Catalog:
    """Keep the current catalog under a name, which ``gc`` respects and openers take.

    Raises
    ------
    RecipeError
        If the tag exists.
    """
    path = folder / "tags" / Place(folder).tag(tag).name
    Place(folder).catalog()
    with building(folder), publishing(folder):
        if path.exists():
            raise RecipeError(
                located(str(path), "a new tag", "one of that name", "Choose another.")
            )
        catalog = Place(folder).catalog()
        replace_file(folder, path.relative_to(folder).as_posix(), catalog.to_json())
    return catalog


def remove_tag(folder: Path, tag: str) -> None:
    """Forget a tag; the stores that it alone names stay until ``gc``.

    Raises
    ------
    StoreNotFound
        If there is no such tag; the error lists those that there are.
    """
    path = folder / "tags" / Place(folder).tag(tag).name
    Place(folder).catalog()
    with building(folder), publishing(folder):
        if not path.is_file():
            there = ", ".join(tags(folder)) or "none"
            do = "lsdx tag lists them."
            raise StoreNotFound(located(str(path), f"a tag, one of: {there}", repr(tag), do))
        path.unlink()


def _named(catalog: Catalog) -> Iterator[tuple[str, Entry, bool]]:
    for name, entry in catalog.flat.items():
        yield catalog.recipes[name]["store"], entry, True
    for name, by_session in catalog.parts.items():
        for entry in by_session.values():
            yield catalog.recipes[name]["store"], entry, False


def _check_manifest(folder: Path, entry: Entry) -> list[str]:
    if read_manifest(folder, entry.path) == entry:
        return []
    where = f"{(folder / entry.path).parent}/{MANIFEST}"
    return [located(where, "the manifest of what is published", "none or another", REBUILD)]


def _check_values(folder: Path, noun: str, entry: Entry, cohort: bool) -> list[str]:
    schema = SCHEMAS[noun]
    if entry.attrs.get("schema") != schema.version:
        return [
            located(
                entry.path,
                f"version {schema.version}",
                f"version {entry.attrs.get('schema')}",
                REBUILD,
            )
        ]
    lazy = {v.name: schema.chunks for v in schema.variables if v.dtype == "counts"}
    try:
        ds = read_store(Place(folder), entry, lazy=lazy, decode=False)
        validate(ds, schema, cohort=cohort)
        check = STORED[noun].check
        problem = check(ds) if check else ""
        return [f"{entry.path}, {problem}"] if problem else []
    except (LsdxError, OSError, ValueError) as error:
        return [str(error)]
