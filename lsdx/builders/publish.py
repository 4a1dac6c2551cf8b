"""Publish: what sessions gave joins the catalog as it is now; one replace makes it current."""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace

from lsdx.assemble.cohort import Cohort
from lsdx.assemble.stores import STORED
from lsdx.builders.compile import compile_store, stored_sessions
from lsdx.builders.lock import publishing
from lsdx.builders.placing import catalog_version, replace_catalog
from lsdx.builders.recipe import Recipe, made_by
from lsdx.builders.report import Line
from lsdx.builders.task import SessionResult
from lsdx.config import Settings
from lsdx.errors import LsdxError, RecipeError, StoreCorrupt, StoreNotFound, located
from lsdx.remote import PublishedMeanwhile, RemotePath, Root
from lsdx.store.catalog import CATALOG, Catalog, Entry
from lsdx.store.place import Place

_TRIES = 20  # of a publication, where others publish at the same address


def current_catalog(root: Root) -> Catalog:
    """Return what is published; an empty catalog where nothing is."""
    try:
        return Place(root).catalog()
    except StoreNotFound:
        # at an address: there may be one, but nobody answers, or it may not be read
        if isinstance(root, RemotePath) and (root / CATALOG).is_file():
            raise
        return Catalog()
    except StoreCorrupt as error:
        raise RecipeError(
            located(
                str(root / CATALOG),
                "a whole catalog",
                "a damaged one",
                "Restore the file, or remove it and build: finished parts are used again.",
            )
        ) from error


def check_same_world(catalog: Catalog, simulated: bool, settings: Settings) -> None:
    """Refuse to mix recordings and simulation, or protocols, in one folder."""
    if not catalog.parts:
        return
    kind = {True: "the simulated demo cohort", False: "recordings"}
    other = "Name another folder: --stores DIR."
    if catalog.simulated != simulated:
        raise RecipeError(
            located(
                str(settings.stores),
                f"stores of {kind[simulated]}",
                f"stores of {kind[catalog.simulated]}",
                other,
            )
        )
    protocol = _protocol_names(settings)
    if dict(catalog.protocol) != protocol:
        raise RecipeError(
            located(
                str(settings.stores), f"the protocol {dict(catalog.protocol)}", f"{protocol}", other
            )
        )


def _protocol_names(settings: Settings) -> dict[str, list[str]]:
    """Return the protocol's names as the catalog holds them."""
    return {k: list(v) for k, v in asdict(settings.protocol).items()}


def publish(
    settings: Settings,
    results: Sequence[SessionResult],
    recipes: Sequence[Recipe],
    cohort: Cohort,
    *,
    simulated: bool,
    names: Collection[str],
    gone: Collection[str],
    progress: bool,
) -> tuple[Catalog, list[Line]]:
    """Merge into the catalog as it is now, compile what changed, replace the catalog.

    In a folder one builder publishes at a time. At an address, who comes second does it again
    with what the first has published.

    Parameters
    ----------
    settings : Settings
    results : sequence of SessionResult
    recipes : sequence of Recipe
        Those that were built.
    cohort : Cohort
    simulated : bool
        Whether the sessions are.
    names : collection of str
        All recipes there are; what was published by another is no longer.
    gone : collection of str
        Sessions to take out.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    catalog : Catalog
    lines : list of Line
        One a flat store.

    Raises
    ------
    RecipeError
        If a flat store cannot be made; nothing is published then.
    PublishedMeanwhile
        If others published each time that it was tried.
    """
    root = settings.stores
    for left in reversed(range(_TRIES)):
        with publishing(root):
            version = catalog_version(root)
            now = current_catalog(root)
            check_same_world(now, simulated, settings)
            catalog, lines = _merged_catalog(
                settings,
                now,
                results,
                recipes,
                cohort,
                simulated=simulated,
                names=names,
                gone=gone,
                progress=progress,
            )
            try:
                replace_catalog(root, catalog, now, version)
            except PublishedMeanwhile:
                if not left:
                    raise
                time.sleep(random.random())
            else:
                break
    return catalog, lines


def _merged_catalog(
    settings: Settings,
    now: Catalog,
    results: Sequence[SessionResult],
    recipes: Sequence[Recipe],
    cohort: Cohort,
    *,
    simulated: bool,
    names: Collection[str],
    gone: Collection[str],
    progress: bool,
) -> tuple[Catalog, list[Line]]:
    from tqdm import tqdm

    root = settings.stores
    old = {n: d for n, d in now.recipes.items() if n in names}
    described = old | {r.name: r.describe() | {"made_by": made_by(r, recipes)} for r in recipes}
    parts = {n: p for n, p in _merge(now.parts, results, recipes).items() if n in described}
    listed = {s.eid for s in cohort.sessions}
    parts = {n: {eid: e for eid, e in p.items() if eid not in gone} for n, p in parts.items()}
    stored = stored_sessions(root, parts.get("sessions", {}))
    order = [s.eid for s in stored]
    whole = replace(
        cohort, sessions=(*cohort.sessions, *(s for s in stored if s.eid not in listed))
    )
    n_units = {eid: e.attrs["n_units"] for eid, e in parts.get("insertions", {}).items()}
    flat: dict[str, Entry] = {}
    lines = []
    kinds = [n for n in described if STORED[described[n]["store"]].join is not None]
    for name in tqdm(kinds, desc="stores", unit="store", disable=None if progress else True):
        started = time.perf_counter()
        if beside := STORED[described[name]["store"]].beside:
            lacking = sorted(set(parts.get(beside, {})) - set(parts.get(name, {})))
            if lacking:
                reason = f"{len(lacking)} sessions lack it, such as {lacking[0]}: build them all"
                lines.append(Line("all", name, "failed", 0.0, 0, reason))
                continue
        try:
            made = compile_store(
                root, described[name], name, parts.get(name, {}), order, whole, n_units
            )
        except (LsdxError, OSError) as error:
            raise RecipeError(
                f"{root}, store {name}: {error} Nothing was published; what was before stays."
            ) from error
        if made is not None:
            status, flat[name] = made
            seconds = time.perf_counter() - started
            lines.append(Line("all", name, status, seconds, flat[name].bytes))
    catalog = Catalog(
        simulated=simulated,
        recipes=described,
        parts=parts,
        flat=flat,
        protocol=_protocol_names(settings),
    )
    return catalog, lines


def _merge(
    parts: Mapping[str, Mapping[str, Entry]],
    results: Sequence[SessionResult],
    recipes: Sequence[Recipe],
) -> dict[str, dict[str, Entry]]:
    """Let each session take the place of what it was; one that failed replaces nothing."""
    merged = {name: dict(by_session) for name, by_session in parts.items()}
    for result in results:
        known = result.eid in parts.get("sessions", {})
        if result.parts is None or (result.failed and known):
            continue
        for recipe in recipes:
            by_session = merged.setdefault(recipe.name, {})
            by_session.pop(result.eid, None)
            entry = result.parts[recipe.name]
            if entry is not None:
                by_session[result.eid] = entry
    return merged
