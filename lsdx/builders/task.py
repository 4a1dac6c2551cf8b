"""One task a session: its parts, found or built; what fails becomes a line of the report."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import xarray as xr

from lsdx.assemble.plan import LabTables, SessionPlan
from lsdx.builders.manifest import find_store
from lsdx.builders.recipe import Recipe, inputs_of, lineage, made_by
from lsdx.builders.report import Line
from lsdx.builders.session import (
    Reading,
    plan_session,
    read_recording,
    session_inputs,
)
from lsdx.builders.write import unit_digest, write_store
from lsdx.errors import LsdxError
from lsdx.readers.records import SessionRecord
from lsdx.remote import Root
from lsdx.schema import SCHEMAS
from lsdx.sources import Source
from lsdx.store.access import read_store
from lsdx.store.catalog import Entry, digest_of
from lsdx.store.place import Place
from lsdx.store.tables import SUFFIX

_UNREAD = "what it is made from could not be read"


@dataclass(frozen=True)
class SessionResult:
    """What one session's task made.

    ``parts`` maps recipes to entries, None where the session has nothing of the kind; it is
    None as a whole where a recipe failed, so that a session's parts are of one build.
    """

    eid: str
    lines: tuple[Line, ...]
    parts: Mapping[str, Entry | None] | None

    @property
    def failed(self) -> bool:
        """Whether anything of the session failed."""
        return any(line.status == "failed" for line in self.lines)


def build_session(
    source: Source,
    session: SessionRecord,
    recipes: Sequence[Recipe],
    lab: LabTables,
    root: Root,
    *,
    fetch: bool = False,
) -> SessionResult:
    """Find or build the parts of one session; ``fetch`` its files first, where nobody has.

    Any error of a recipe is caught here, and nowhere else, so that one session cannot stop
    the others; it is told in the report with its traceback.
    """
    try:
        return _build_session(source, session, recipes, lab, root, fetch)
    finally:
        source.release(session.eid)


def _build_session(
    source: Source,
    session: SessionRecord,
    recipes: Sequence[Recipe],
    lab: LabTables,
    root: Root,
    fetch: bool,
) -> SessionResult:
    started = time.perf_counter()
    try:
        plan = plan_session(source, session, lab.revision, inputs_of(recipes), folder=lab.bombcell)
        if fetch:
            source.download([(session.eid, plan.files)])
        parts = _find_all(root, source, plan, recipes, lab)
        lines = [Line(session.eid, "read", "skipped", 0.0, 0, reason) for reason in plan.lacking]
        if parts is not None and not plan.problems:
            lines += [_line(session.eid, r, "reused", parts[r.name], 0.0) for r in recipes]
            return SessionResult(session.eid, tuple(lines), parts)
        reading = read_recording(source, plan, lab)
        inputs = session_inputs(source, reading.plan, lab, reading.unreadable)
    except Exception as error:  # noqa: BLE001  the boundary of a task
        return SessionResult(session.eid, (_failure(session.eid, "read", error, started),), None)
    lines += [
        Line(session.eid, "read", "failed", time.perf_counter() - started, 0, problem)
        for problem in reading.problems
    ]
    lines += [
        Line(session.eid, "read", "skipped", 0.0, 0, why) for why in reading.left_out.values()
    ]
    known = plan.without(set(), set(reading.left_out))
    made: dict[str, xr.Dataset] = {}
    built: dict[str, Entry | None] = {}
    for place, recipe in enumerate(recipes):
        if not any("quality" in r.inputs for r in recipes[place:]):  # of no more use, and large
            reading = replace(reading, recording=reading.recording.without_of_spikes())
        started = time.perf_counter()
        try:
            status, entry = _build_part(root, source, recipe, recipes, reading, inputs, made)
            built[recipe.name] = entry
            seconds = time.perf_counter() - started
            line = _line(session.eid, recipe, status, entry, seconds)
            unread = recipe.has(known, lab) and not recipe.has(reading.plan, lab)
            lines.append(replace(line, status="failed", reason=_UNREAD) if unread else line)
        except Exception as error:  # noqa: BLE001  the boundary of a task
            lines.append(_failure(session.eid, recipe.name, error, started))
    whole = len(built) == len(recipes)
    return SessionResult(session.eid, tuple(lines), built if whole else None)


def part_path(
    recipe: Recipe, recipes: Sequence[Recipe], eid: str, inputs: Mapping[str, Any]
) -> str:
    """Name a session's part by all that decides its bytes: inputs, and the choices made."""
    groups = {i for r in lineage(recipe, recipes) for i in r.inputs}
    # users open the parts of what is not joined; the rest is the builder's own
    suffix = ".zarr" if recipe.stored.join is None else SUFFIX
    decides: dict[str, Any] = {} if suffix == ".zarr" else {"form": suffix}
    decides |= {"made_by": made_by(recipe, recipes), "inputs": {i: inputs[i] for i in groups}}
    digest = digest_of(decides)
    return f"parts/{recipe.name}/{eid}-{digest[:20]}/{recipe.store}{suffix}"


def _find_all(
    root: Root,
    source: Source,
    plan: SessionPlan,
    recipes: Sequence[Recipe],
    lab: LabTables,
) -> dict[str, Entry | None] | None:
    """Find every part of a session; None unless all are there."""
    inputs = session_inputs(source, plan, lab)
    parts: dict[str, Entry | None] = {}
    for recipe in recipes:
        if not recipe.has(plan, lab):
            parts[recipe.name] = None
            continue
        parts[recipe.name] = find_store(root, part_path(recipe, recipes, plan.session.eid, inputs))
        if parts[recipe.name] is None:
            return None
    return parts


def _build_part(
    root: Root,
    source: Source,
    recipe: Recipe,
    recipes: Sequence[Recipe],
    reading: Reading,
    inputs: Mapping[str, Any],
    made: dict[str, xr.Dataset],
) -> tuple[str, Entry | None]:
    eid = reading.recording.session.eid
    path = part_path(recipe, recipes, eid, inputs)
    entry = find_store(root, path)
    is_needed = any(recipe.store in r.needs for r in recipes)
    schema = SCHEMAS[recipe.store]
    if entry is not None:
        if is_needed:
            raw = any(v.dtype == "ticks" for v in schema.variables)
            made[recipe.store] = read_store(Place(root), entry, decode=not raw)
        return "reused", entry
    needed = {name: made.get(name) for name in recipe.needs}
    ds = recipe.assemble(reading.recording, **needed, **recipe.parameters)
    if ds is None:
        return "skipped", None
    if is_needed:
        made[recipe.store] = ds
    attrs = {
        "recipe": recipe.name,
        "made_by": made_by(recipe, recipes),
        "simulated": int(source.simulated),
        "notes": [],
        **ds.attrs,
    }
    if "unit" in ds.dims:
        attrs["unit_digest"] = unit_digest(ds)
    entry, first = write_store(root, path, ds, schema, cohort=False, attrs=attrs)
    return "built" if first else "found", entry


def _line(eid: str, recipe: Recipe, status: str, entry: Entry | None, seconds: float) -> Line:
    if entry is None:
        return Line(eid, recipe.name, "skipped", seconds, 0, recipe.stored.lacking)
    return Line(eid, recipe.name, status, seconds, entry.bytes, "; ".join(entry.attrs["notes"]))


def _failure(eid: str, kind: str, error: Exception, started: float) -> Line:
    reason = str(error) or type(error).__name__
    if not isinstance(error, LsdxError | OSError):
        reason = f"{type(error).__name__}: {reason}"
        trace = "".join(traceback.format_exception(error))
    else:
        trace = ""
    return Line(eid, kind, "failed", time.perf_counter() - started, 0, reason, trace)
