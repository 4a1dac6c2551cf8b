"""Upkeep of stores: verify every byte, collect what nothing names, keep tags."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import PurePosixPath

from lsdx.assemble.stores import STORED
from lsdx.builders.lock import building, collecting, publishing
from lsdx.builders.manifest import MANIFEST, check_bytes, read_manifest
from lsdx.builders.placing import PAST, TEMPORARY, keep_past, replace_file
from lsdx.errors import REBUILD, ArgumentError, LsdxError, RecipeError, StoreNotFound, located
from lsdx.remote import AT_ONCE, RemoteObject, RemotePath, Root
from lsdx.schema import SCHEMAS, validate
from lsdx.store.access import read_store
from lsdx.store.catalog import Catalog, Entry, parse_catalog
from lsdx.store.place import Place

_OURS = re.compile(r".+-[0-9a-f]{20}")
_TEMPORARY = re.compile(r"[0-9a-f]{32}\.\w+")
# at an address: the folder of a store, or a file that a build left
_STORE = re.compile(
    r"(parts/[^/]+|flat)/[^/]+-[0-9a-f]{20}(?=/)"
    rf"|{TEMPORARY}/[0-9a-f]{{32}}\.\w+\Z|{PAST}/[0-9a-f]{{64}}\.json\Z"
)
GRACE = 7.0  # days


@dataclass(frozen=True)
class Check:
    """One store verified: ``problem`` is blank where it is sound."""

    store: str
    bytes: int
    problem: str


def verify(root: Root, tag: str | None = None, *, progress: bool = False) -> list[Check]:
    """Check every byte that a catalog names, decode every chunk, validate every value.

    Parameters
    ----------
    root : Path or RemotePath
        The stores folder, or an address.
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

    catalog = Place(root).catalog(tag)
    checks = []
    size = sum(entry.bytes for entry in catalog.entries())
    off = None if progress else True
    with tqdm(total=size, desc="verify", unit="B", unit_scale=True, disable=off) as bar:
        for noun, entry, cohort in _named(catalog):
            problems = check_bytes(root, entry) or _check_values(root, noun, entry, cohort)
            problems += _check_manifest(root, entry)
            checks.append(Check(entry.path, entry.bytes, "; ".join(problems)))
            bar.update(entry.bytes)
    return checks


def collect_garbage(root: Root, *, dry_run: bool = False, grace: float = GRACE) -> list[str]:
    """Remove stores that no catalog and no tag names, and what killed builds left behind.

    Nothing that lsdx did not write is touched.

    Parameters
    ----------
    root : Path or RemotePath
    dry_run : bool
        Whether only to list.
    grace : float
        Days, at an address, where no lock tells whether a build runs or somebody reads: what is
        younger stays, and so does what a catalog named that was replaced less than that ago.
        Longer than the longest build. A folder has locks instead.

    Returns
    -------
    list of str
        What was removed.

    Raises
    ------
    RecipeError
        While a build runs in the folder.
    ArgumentError
        For a grace that is no number of days.

    Notes
    -----
    One race is left at an address: a build that finds a store which was left there unnamed for
    longer than the grace, and publishes it while it is removed here. What was published before
    names other stores and stays whole; the build sees that its store is gone, says so, and makes it
    again when it is run again.
    """
    if not 0 <= grace < inf:
        raise ArgumentError(located("gc, grace", "a number of days", repr(grace)))
    Place(root).catalog()  # a folder without a catalog is not ours to tidy
    if isinstance(root, RemotePath):
        return _collect_objects(root, dry_run, timedelta(days=grace))
    with collecting(root):
        named = {(root / path).parent for path in _still_named(root)}
        doomed = [
            path
            for path in [*root.glob("parts/*/*"), *root.glob("flat/*")]
            if _OURS.fullmatch(path.name) and path not in named
        ]
        doomed += [p for p in root.glob(f"{TEMPORARY}/*") if _TEMPORARY.fullmatch(p.name)]
        # what a symbolic link leads to lies elsewhere, and may be another's
        real = root.resolve()
        doomed = [p for p in doomed if p.parent.resolve().is_relative_to(real)]
        for path in [] if dry_run else doomed:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    return [p.relative_to(root).as_posix() for p in sorted(doomed)]


def _still_named(root: Root) -> set[str]:
    """Return the paths of all stores that the catalog or a tag names."""
    catalogs = [Place(root).catalog()]
    catalogs += [Place(root).catalog(tag) for tag in tags(root)]
    return {e.path for c in catalogs for e in c.entries()}


def _collect_objects(root: RemotePath, dry_run: bool, grace: timedelta) -> list[str]:
    until = datetime.now(UTC) - grace
    groups: dict[str, list[RemoteObject]] = {}
    for found in root.objects():
        store = _STORE.match(found.path.relative_to(root).as_posix())
        if store:
            groups.setdefault(store[0], []).append(found)
    old = {n: g for n, g in groups.items() if max(o.modified for o in g) < until}
    named = _still_named(root)
    for name in [n for n in groups if n.startswith(f"{PAST}/") and n not in old]:
        catalog = parse_catalog((root / name).read_text(), str(root / name))
        named |= {e.path for e in catalog.entries()}
    kept = {str(PurePosixPath(path).parent) for path in named}
    doomed = {n: g for n, g in old.items() if n not in kept}
    if not dry_run:
        for name, objects in doomed.items():
            manifest = (root / name / MANIFEST).look()
            if manifest is not None and manifest.modified >= until:
                continue  # a build has just found it
            (root / name / MANIFEST).unlink()
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(RemotePath.unlink, [o.path for o in objects]))
    return sorted(doomed)


def tags(root: Root) -> list[str]:
    """List the tags of stores."""
    return Place(root).tags()


def keep_tag(root: Root, tag: str) -> Catalog:
    """Keep the current catalog under a name, which ``gc`` respects and openers take.

    Raises
    ------
    RecipeError
        If the tag exists.
    """
    path = Place(root).tag(tag)
    Place(root).catalog()
    with building(root), publishing(root):
        if path.exists():
            raise RecipeError(
                located(str(path), "a new tag", "one of that name", "Choose another.")
            )
        catalog = Place(root).catalog()
        replace_file(root, f"tags/{path.name}", catalog.to_json())
    return catalog


def remove_tag(root: Root, tag: str) -> None:
    """Forget a tag; the stores that it alone names stay until ``gc``.

    Raises
    ------
    StoreNotFound
        If there is no such tag; the error lists those that there are.
    """
    path = Place(root).tag(tag)
    Place(root).catalog()
    with building(root), publishing(root):
        if not path.is_file():
            there = ", ".join(tags(root)) or "none"
            do = "lsdx tag lists them."
            raise StoreNotFound(located(str(path), f"a tag, one of: {there}", repr(tag), do))
        keep_past(root, Place(root).catalog(tag))
        path.unlink()


def _named(catalog: Catalog) -> Iterator[tuple[str, Entry, bool]]:
    for name, entry in catalog.flat.items():
        yield catalog.recipes[name]["store"], entry, True
    for name, by_session in catalog.parts.items():
        for entry in by_session.values():
            yield catalog.recipes[name]["store"], entry, False


def _check_manifest(root: Root, entry: Entry) -> list[str]:
    if read_manifest(root, entry.path) == entry:
        return []
    where = f"{(root / entry.path).parent}/{MANIFEST}"
    return [located(where, "the manifest of what is published", "none or another", REBUILD)]


def _check_values(root: Root, noun: str, entry: Entry, cohort: bool) -> list[str]:
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
        ds = read_store(Place(root), entry, lazy=lazy, decode=False)
        validate(ds, schema, cohort=cohort)
        check = STORED[noun].check
        problem = check(ds) if check else ""
        return [f"{entry.path}, {problem}"] if problem else []
    except (LsdxError, OSError, ValueError) as error:
        return [str(error)]
