"""One task a session: its parts, found or built; what fails becomes a line of the report."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import xarray as xr

from lsdx.assemble.layout import GABORS, STIMS
from lsdx.builders.recipe import Recipe, lineage, made_by
from lsdx.builders.report import Line
from lsdx.builders.session import (
    LabTables,
    Reading,
    SessionPlan,
    plan_session,
    read_recording,
    session_inputs,
)
from lsdx.builders.write import find_store, unit_digest, write_store
from lsdx.errors import LsdxError
from lsdx.readers.records import SessionRecord
from lsdx.schema import SCHEMAS
from lsdx.sources import Source
from lsdx.store.access import read_store
from lsdx.store.catalog import Entry, digest_of
from lsdx.store.place import Place

_OF_SPIKES = ("units", "spikes", "counts")
_WHY_NONE = {"insertions": "no insertion records", "events": "no stimulus tables on disk"}
_UNREAD = "no probe could be read"


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
    folder: Path,
) -> SessionResult:
    """Find or build the parts of one session.

    Any error of a recipe is caught here, and nowhere else, so that one session cannot stop
    the others; it is told in the report with its traceback.
    """
    started = time.perf_counter()
    try:
        plan = plan_session(source, session, lab.revision)
        parts = _find_all(folder, source, plan, recipes, lab)
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
    made: dict[str, xr.Dataset] = {}
    built: dict[str, Entry | None] = {}
    for recipe in recipes:
        started = time.perf_counter()
        try:
            status, entry = _build_part(folder, source, recipe, recipes, reading, inputs, made)
            built[recipe.name] = entry
            seconds = time.perf_counter() - started
            line = _line(session.eid, recipe, status, entry, seconds)
            unread = recipe.store in _OF_SPIKES and plan.probes and not reading.plan.probes
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
    digest = digest_of(
        {"made_by": made_by(recipe, recipes), "inputs": {i: inputs[i] for i in sorted(groups)}}
    )
    return f"parts/{recipe.name}/{eid}-{digest[:20]}/{recipe.store}.zarr"


def _find_all(
    folder: Path,
    source: Source,
    plan: SessionPlan,
    recipes: Sequence[Recipe],
    lab: LabTables,
) -> dict[str, Entry | None] | None:
    """Find every part of a session; None unless all are there."""
    inputs = session_inputs(source, plan, lab)
    parts: dict[str, Entry | None] = {}
    for recipe in recipes:
        if _nothing(recipe, plan, lab):
            parts[recipe.name] = None
            continue
        parts[recipe.name] = find_store(
            folder, part_path(recipe, recipes, plan.session.eid, inputs)
        )
        if parts[recipe.name] is None:
            return None
    return parts


def _nothing(recipe: Recipe, plan: SessionPlan, lab: LabTables) -> bool:
    """Tell, without reading, that a session has nothing of a kind."""
    if recipe.store in _OF_SPIKES:
        return not plan.probes
    if recipe.store == "insertions":
        return not plan.insertions
    if recipe.store == "events":
        tables = any({GABORS, STIMS} & set(r.extracted) for r in plan.runs)
        return not tables and plan.session.eid not in lab.events
    return False


def _build_part(
    folder: Path,
    source: Source,
    recipe: Recipe,
    recipes: Sequence[Recipe],
    reading: Reading,
    inputs: Mapping[str, Any],
    made: dict[str, xr.Dataset],
) -> tuple[str, Entry | None]:
    eid = reading.recording.session.eid
    path = part_path(recipe, recipes, eid, inputs)
    entry = find_store(folder, path)
    if entry is not None:
        if recipe.store != "counts":  # nothing needs counts
            made[recipe.store] = read_store(Place(folder), entry, decode=recipe.store != "spikes")
        return "reused", entry
    needed = {name: made.get(name) for name in recipe.needs}
    ds = recipe.assemble(reading.recording, **needed, **recipe.parameters)
    if ds is None:
        return "skipped", None
    if recipe.store != "counts":
        made[recipe.store] = ds
    attrs = {
        "recipe": recipe.name,
        "made_by": made_by(recipe, recipes),
        "simulated": int(source.simulated),
        "notes": [],
        **ds.attrs,
    }
    if recipe.store == "insertions":
        attrs["n_units"] = int(ds["n_units"].clip(min=0).sum())
    if "unit" in ds.dims:
        attrs["unit_digest"] = unit_digest(ds)
    entry, first = write_store(folder, path, ds, SCHEMAS[recipe.store], cohort=False, attrs=attrs)
    return "built" if first else "found", entry


def _line(eid: str, recipe: Recipe, status: str, entry: Entry | None, seconds: float) -> Line:
    if entry is None:
        reason = _WHY_NONE.get(recipe.store, "no spikes on disk")
        return Line(eid, recipe.name, "skipped", seconds, 0, reason)
    return Line(eid, recipe.name, status, seconds, entry.bytes, "; ".join(entry.attrs["notes"]))


def _failure(eid: str, kind: str, error: Exception, started: float) -> Line:
    reason = str(error) or type(error).__name__
    if not isinstance(error, LsdxError | OSError):
        reason = f"{type(error).__name__}: {reason}"
        trace = "".join(traceback.format_exception(error))
    else:
        trace = ""
    return Line(eid, kind, "failed", time.perf_counter() - started, 0, reason, trace)
