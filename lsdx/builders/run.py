"""Build: every session's parts in parallel, the flat stores, one publication."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from lsdx.assemble.cohort import Cohort
from lsdx.assemble.plan import LabTables
from lsdx.assemble.stores import STORED
from lsdx.builders.lock import building
from lsdx.builders.placing import make_root
from lsdx.builders.publish import check_same_world, current_catalog, publish
from lsdx.builders.recipe import choose, inputs_of, load_recipes
from lsdx.builders.report import Line, Report
from lsdx.builders.session import plan_session
from lsdx.builders.workers import check_workers, current_client, run_tasks
from lsdx.config import Settings
from lsdx.errors import ConfigError, RecipeError, SourceError, located
from lsdx.readers.lab import (
    odd_administrations,
    read_administrations,
    read_epochs_table,
    read_events_table,
    read_exclusions,
    read_trajectories,
)
from lsdx.readers.records import DatasetRecord, SessionRecord
from lsdx.remote import Root
from lsdx.schema import SCHEMAS
from lsdx.sources import Source, open_source
from lsdx.store.access import read_store
from lsdx.store.catalog import Catalog
from lsdx.store.place import Place

if TYPE_CHECKING:
    from distributed import Client


def build(
    settings: Settings,
    names: Iterable[str] = (),
    *,
    sessions: Iterable[str] = (),
    recipes: Path | None = None,
    client: Client | None = None,
    prune: bool = False,
    offline: bool = False,
    refresh: bool = False,
    progress: bool = True,
) -> Report:
    """Build stores from a source, publish them, and report.

    Parameters
    ----------
    settings : Settings
    names : iterable of str
        Recipes to build; all by default.
    sessions : iterable of str
        Session ids (eids); every session of the source by default.
    recipes : Path, optional
        Folder of recipes; the checkout's or the package's own by default.
    client : distributed.Client, optional
        Where to run; else the current one, else local threads. Its workers read the recordings
        and write the stores: both lie where all of them see it, or in an object store.
    prune : bool
        Whether stored sessions that are no longer in the source are taken out of the catalog;
        tags keep them, and their bytes lie there until ``lsdx gc``.
    offline, refresh : bool
        With an Alyx database: do without it; read its records again though they are kept.
    progress : bool
        Whether to show a bar (never where the output is no terminal).

    Returns
    -------
    Report
        One line a session and kind. A failure stops no other session. A session of which
        something failed keeps what was published of it before; a new one is published without
        what failed.

    Raises
    ------
    ConfigError, SourceError, RecipeError
        If nothing can be built at all.

    Examples
    --------
    >>> build(Settings(source="cache"), progress=False)
    Traceback (most recent call last):
        ...
    lsdx.errors.ConfigError: cache_dir: expected the root of a ONE cache, or NWB files, found ...
    """
    all_recipes = load_recipes(recipes)
    root = settings.stores
    source, settings = open_source(settings, offline=offline, refresh=refresh, progress=progress)
    chosen_sessions = _choose_sessions(source, sessions)
    lab, cohort, notes = _lab(settings, source)
    make_root(root)
    client = client or current_client()
    if client is None:
        inputs = inputs_of(choose(all_recipes, names, current_catalog(root).recipes))
        source.download(_needed(source, chosen_sessions, lab.revision, inputs), progress=progress)
    else:  # each worker fetches what it builds
        check_workers(client, source, root)
    with building(root):
        before = current_catalog(root)
        check_same_world(before, source.simulated, settings)
        chosen = choose(all_recipes, names, before.recipes)
        arguments = [(source, s, chosen, lab, root.absolute()) for s in chosen_sessions]
        results = list(run_tasks(arguments, client, progress))
        catalog, lines = publish(
            settings,
            results,
            chosen,
            cohort,
            simulated=source.simulated,
            names=all_recipes,
            gone=_gone(before, source) if prune else (),
            progress=progress,
        )
    notes += [
        f"store {n} has no recipe any more and is no longer published; tags keep it"
        for n in sorted(set(before.recipes) - set(all_recipes))
    ]
    for name, entry in catalog.flat.items():
        if say := STORED[catalog.recipes[name]["store"]].notes:
            notes += say(read_store(Place(root), entry))
    notes += _unknown_ids(root, catalog, cohort)
    labels = {s.eid: s.label for s in source.sessions()}
    if "sessions" in catalog.flat:
        stored = read_store(Place(root), catalog.flat["sessions"])
        labels |= dict(zip(stored["session"].values, stored["session_label"].values, strict=True))
    notes += [
        f"session {r.eid} ({labels[r.eid]}) keeps what was published of it before, "
        "for something failed"
        for r in results
        if r.failed and r.eid in before.parts.get("sessions", {})
    ]
    notes += [
        f"session {eid} ({labels.get(eid, 'no name')}) is stored but no longer in the source: "
        "lsdx build --prune takes it out"
        for eid in _gone(catalog, source)
    ]
    left_out = [
        Line(eid, "records", "failed", 0.0, 0, reason) for eid, reason in source.problems.items()
    ]
    report = Report(
        lines=(*left_out, *(line for r in results for line in r.lines), *lines),
        names=labels,
        notes=(*source.notes, *notes),
        simulated=source.simulated,
        stores=str(root),
        catalog=catalog.digest,
    )
    report.save(root)
    return report


def _gone(catalog: Catalog, source: Source) -> list[str]:
    """List stored sessions that the source has no more; those it cannot read now are not gone."""
    known = {s.eid for s in source.sessions()} | set(source.problems)
    return sorted(set(catalog.parts.get("sessions", {})) - known)


def to_download(
    settings: Settings,
    names: Iterable[str] = (),
    *,
    sessions: Iterable[str] = (),
    recipes: Path | None = None,
    offline: bool = False,
    refresh: bool = False,
    progress: bool = False,
) -> list[tuple[str, int]]:
    """List what a build would download: session and dataset, bytes (-1: not recorded)."""
    published = current_catalog(settings.stores).recipes
    inputs = inputs_of(choose(load_recipes(recipes), names, published))
    source, settings = open_source(settings, offline=offline, refresh=refresh, progress=progress)
    return [
        (f"{session.label}  {d.where}", -1 if d.size is None else d.size)
        for session in _choose_sessions(source, sessions)
        for d in source.missing(_needed(source, [session], settings.sources.revision, inputs))
    ]


def _needed(
    source: Source, sessions: Sequence[SessionRecord], revision: str, inputs: Collection[str]
) -> Iterator[tuple[str, tuple[DatasetRecord, ...]]]:
    """Return the datasets that a build of these sessions reads; planned only if asked for."""
    for session in sessions:
        with suppress(SourceError):  # told when the session is built
            yield session.eid, plan_session(source, session, revision, inputs).files


def _unknown_ids(root: Root, catalog: Catalog, cohort: Cohort) -> list[str]:
    """Say which ids of the lab's tables name nothing."""
    eids = {s.eid for s in cohort.sessions}
    known = set(eids)
    for name, entry in catalog.flat.items():
        schema = SCHEMAS[catalog.recipes[name]["store"]]
        if any(v.name == "exclusion" for v in schema.variables):
            known |= set(read_store(Place(root), entry)[schema.concat].values)
    notes = [f"exclusions: {i} names nothing" for i in sorted(set(cohort.exclusions) - known)]
    strange = len(set(cohort.trajectories) - eids)
    if strange:
        rows = len(cohort.trajectories)
        notes.append(f"trajectories: {strange} of {rows} rows name no session of the source")
    return notes


def _lab(settings: Settings, source: Source) -> tuple[LabTables, Cohort, list[str]]:
    protocol = settings.protocol
    drug, *others = protocol.conditions
    rules = replace(settings.administration, drug=drug, control=others[0] if others else "control")
    administrations = (
        read_administrations(settings.administrations) if settings.administrations else {}
    )
    lab = LabTables(
        phases=protocol.phases,
        epochs=protocol.epochs,
        overrides=read_epochs_table(settings.epochs, protocol.phases, protocol.epochs)
        if settings.epochs
        else {},
        events=read_events_table(settings.events, protocol.phases) if settings.events else {},
        administrations=administrations,
        revision=settings.sources.revision,
        bombcell=settings.quality.folder,
        rules=rules,
        pose=settings.pose,
    )
    cohort = Cohort(
        sessions=source.sessions(),
        condition_names=protocol.conditions,
        conditions=settings.conditions,
        administrations=administrations,
        trajectories=read_trajectories(settings.trajectories) if settings.trajectories else {},
        exclusions=read_exclusions(settings.exclusions) if settings.exclusions else {},
        stock_concentration=_concentration(settings.stock_concentration),
        rules=rules,
    )
    known = {s.eid for s in cohort.sessions}
    listed = {eid for eids in settings.conditions.values() for eid in eids}
    notes = [f"administrations: {n}" for n in odd_administrations(administrations.values(), rules)]
    notes += cohort.notes()
    for name, ids in (
        ("epochs table", set(lab.overrides)),
        ("events table", set(lab.events)),
        ("conditions", listed),
    ):
        notes += [f"{name}: session {eid} is not in the source" for eid in sorted(ids - known)]
    return lab, cohort, notes


def _concentration(text: str | None) -> float:
    """Parse the stock's concentration to ug/uL; NaN where none is set."""
    if text is None:
        return float("nan")
    import pint

    value = float("nan")
    # what pint raises for text that is no quantity is of many kinds
    with suppress(Exception):
        value = float(pint.Quantity(text).to("ug/uL").magnitude)
    if not 0 < value < float("inf"):
        raise ConfigError(
            located(
                "stock_concentration",
                "a concentration such as '0.1 mg/mL'",
                repr(text),
            )
        )
    return value


def _choose_sessions(source: Source, wanted: Iterable[str]) -> tuple[SessionRecord, ...]:
    listed = source.sessions()
    by_eid = {s.eid: s for s in listed}
    ids = []
    for eid in wanted:
        try:
            ids.append(str(UUID(eid)))
        except ValueError:
            ids.append(eid)
        if ids[-1] not in by_eid:
            raise RecipeError(
                located(
                    "sessions",
                    f"eids of the source's {len(listed)} sessions",
                    repr(eid),
                    "Correct the id.",
                )
            )
    return tuple(by_eid[e] for e in dict.fromkeys(ids)) if ids else listed
