"""The snapshot of an Alyx database: its records, read at one time and kept as one file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import requests

from lsdx.errors import ConfigError, SourceError, located
from lsdx.readers.files import read_json
from lsdx.readers.records import Snapshot, parse_snapshot
from lsdx.sources.connection import Alyx, NoLogin, data_login, data_server
from lsdx.sources.download import MAX_IN_A_ROW, N_THREADS, TIMEOUT, Unreachable, session
from lsdx.sources.local import session_folder

FORMAT = 1


def take_snapshot(
    alyx: Alyx,
    wanted: Mapping[str, str],
    earlier: Mapping[str, Any] | None = None,
    *,
    progress: bool = False,
) -> dict[str, Any]:
    """Read the records of the wanted sessions: each in full, with its insertions.

    Parameters
    ----------
    alyx : Alyx
    wanted : mapping
        ``project``, the name of one of the session's, and ``task_protocol``, a part of its own.
    earlier : mapping, optional
        The snapshot that this one is to replace.
    progress : bool

    Returns
    -------
    dict
        The snapshot as it is written. A session whose records cannot be read, or make no
        sense, has those of the earlier snapshot and stands under ``kept``, with their date; where
        there are none, it stands under ``problems`` instead.

    Raises
    ------
    SourceError
        If the database refuses or falls silent, or has no such session.
    """
    earlier = earlier or {}
    eids = _wanted_sessions(alyx, wanted)
    sessions, insertions, failed = _read_sessions(alyx, eids, progress)
    if not sessions:
        raise SourceError(
            located(
                alyx.url,
                f"records of {len(eids)} sessions",
                "none that could be read",
                f"The first: {next(iter(failed.values()))}",
            )
        )
    seen = {str(p["id"]) for p in insertions}
    had = {str(s["id"]): s for s in earlier.get("sessions") or ()}
    since = {k["session"]: k["of"] for k in earlier.get("kept") or ()}
    kept, problems = [], []
    for eid, problem in failed.items():
        probes = [p for p in earlier.get("insertions") or () if str(p["session"]) == eid]
        if eid not in had or seen & {str(p["id"]) for p in probes}:
            problems.append({"session": eid, "problem": problem})
            continue
        sessions.append(had[eid])
        insertions += probes
        day = since.get(eid, str(earlier.get("created")))
        kept.append({"session": eid, "of": day, "problem": problem})
    subjects = {str(s["subject"]): str(s["lab"]) for s in sessions}
    stacks = _list_stacks(alyx, subjects)
    before = earlier.get("stacks") or {}
    return {
        "format": FORMAT,
        "created": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}",
        "source": alyx.url,
        "simulated": any(_simulated(s.get("json")) for s in sessions),
        **wanted,
        "sessions": sessions,
        "insertions": insertions,
        "stacks": {s: before.get(s) if now is None else now for s, now in stacks.items()},
        "kept": kept,
        "problems": problems,
    }


def _wanted_sessions(alyx: Alyx, wanted: Mapping[str, str]) -> list[str]:
    """List the sessions of a project; Alyx also lists projects whose names contain this one."""
    listed = alyx.get_all("sessions", **wanted)
    projects = sorted({str(name) for record in listed for name in record.get("projects") or ()})
    eids = dict.fromkeys(
        str(record.get("id"))
        for record in listed
        if wanted["project"] in (record.get("projects") or ())
        and wanted["task_protocol"].casefold() in str(record.get("task_protocol")).casefold()
    )
    if not eids:
        found = f"those of {', '.join(projects)} only" if projects else "none"
        raise SourceError(
            located(
                alyx.url,
                f"sessions of project {wanted['project']!r} with {wanted['task_protocol']!r}",
                found,
                "Correct project and task_protocol.",
            )
        )
    return list(eids)


def _read_sessions(
    alyx: Alyx, eids: Sequence[str], progress: bool
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]], dict[str, str]]:
    """Read the records of sessions and their insertions; of the others, why they cannot be read."""
    from tqdm import tqdm

    def read(eid: str) -> tuple[Mapping[str, Any], list[Mapping[str, Any]], SourceError | None]:
        where = f"{alyx.url}, session {eid}"
        try:
            record = alyx.get(f"sessions/{eid}")
            probes = alyx.get_all("insertions", session=eid)
            parsed = parse_snapshot({"sessions": [record], "insertions": probes}, where)
            for one in parsed.sessions.values():
                session_folder(one, where)
        except NoLogin:
            raise
        except SourceError as error:
            return {}, [], error
        return record, probes, None

    sessions, insertions, failed = [], [], {}
    seen: dict[str, str] = {}
    in_a_row = 0
    bar = tqdm(total=len(eids), desc="records", disable=None if progress else True)
    with bar, ThreadPoolExecutor(N_THREADS) as pool:
        try:
            for eid, (record, probes, error) in zip(eids, pool.map(read, eids), strict=True):
                bar.update()
                in_a_row = in_a_row + 1 if isinstance(error, Unreachable) else 0
                if in_a_row == MAX_IN_A_ROW:
                    raise Unreachable(
                        f"{error} Stopped, for {in_a_row} sessions in a row could not be read; "
                        "ask again with --refresh; kept records are as they were."
                    )
                twice = [pid for pid in (str(p.get("id")) for p in probes) if pid in seen]
                if error is not None:
                    failed[eid] = str(error)
                elif twice:
                    other = seen[twice[0]]
                    failed[eid] = f"session {eid}: insertion {twice[0]} is of session {other} too"
                else:
                    seen |= {str(p["id"]): eid for p in probes}
                    sessions.append(record)
                    insertions += probes
        finally:
            pool.shutdown(cancel_futures=True)
    return sessions, insertions, failed


def _simulated(json: object) -> bool:
    return isinstance(json, Mapping) and json.get("simulated") is True


def _list_stacks(alyx: Alyx, subjects: Mapping[str, str]) -> dict[str, list[str] | None]:
    """List each subject's image stacks on the data servers; None where that is not known."""
    own = _data_servers(alyx)
    logins = data_login(alyx.url)
    silent: set[str] = set()  # a server that gave no answer is not waited for again

    def names(server: str, folder: str) -> list[str] | None:
        if server in silent:
            return None
        address = f"{server}/{folder}"
        login = next((v for start, v in logins.items() if address.startswith(start)), None)
        try:
            with session() as http:
                reply = http.get(address, auth=login, timeout=TIMEOUT)
        except (requests.RequestException, ValueError):
            silent.add(server)
            return None
        if reply.status_code == 404:
            return []
        return sorted(set(re.findall(r'href="([^"/]+\.tif)"', reply.text))) if reply.ok else None

    def listed(subject: str) -> list[str] | None:
        place = "/".join(quote(name, safe="") for name in (subjects[subject], subject))
        folder = f"histology/{place}/downsampledStacks_25/sample2ARA/"
        told = [names(server, folder) for server in own or [data_server(alyx.url)]]
        found = next((tifs for tifs in told if tifs), None)
        # that the server of ONE's parameters, maybe another database's, lacks it says nothing
        return [] if found is None and own and None not in told else found

    with ThreadPoolExecutor(N_THREADS) as pool:
        return dict(zip(subjects, pool.map(listed, subjects), strict=True))


def _data_servers(alyx: Alyx) -> list[str]:
    """List where the database's own repositories are online, without lab and ``Subjects``."""
    try:
        repositories = alyx.get_all("data-repository")
    except NoLogin:
        raise
    except SourceError:
        return []
    roots = (str(r.get("data_url") or "").rstrip("/") for r in repositories)
    bare = (re.sub(r"/[^/]+/Subjects$", "", root) for root in roots)
    return list(dict.fromkeys(root for root in bare if root))


def write_snapshot(path: Path, snapshot: Mapping[str, Any]) -> None:
    """Replace the snapshot in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{uuid4().hex}.part")
    try:
        beside.write_text(json.dumps(snapshot, indent=1), encoding="utf-8")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _differs(raw: Mapping[str, Any], wanted: Mapping[str, str | None]) -> list[str]:
    """List the fields in which a snapshot is not what is wanted."""
    return [k for k, v in wanted.items() if v is not None and raw.get(k, v) != v]


def earlier_snapshot(path: Path, wanted: Mapping[str, str | None]) -> Mapping[str, Any]:
    """Return the snapshot that is there, if it is whole and of the same sessions; else nothing."""
    try:
        raw = read_json(path, str(path))
        parse_snapshot(raw, str(path))
    except SourceError:
        return {}
    return {} if _differs(raw, wanted) else raw


def kept_snapshot(
    path: Path, wanted: Mapping[str, str | None]
) -> tuple[Snapshot, tuple[str, ...], dict[str, str]]:
    """Return the snapshot, notes for the build report, and why each of its sessions is left out."""
    raw = read_json(path, str(path))
    other = _differs(raw, wanted)
    if other:
        raise ConfigError(
            located(
                str(path),
                "records of " + ", ".join(f"{k} {wanted[k]}" for k in other),
                ", ".join(str(raw[k]) for k in other),
                "Pass --refresh to read those of your settings, or name another cache_dir.",
            )
        )
    snapshot = parse_snapshot(raw, str(path))
    kept = [
        f"session {k['session']} keeps its records of {k['of']}, for they could not be read "
        f"again: {k['problem']}"
        for k in raw.get("kept") or ()
    ]
    problems = {p["session"]: p["problem"] for p in raw.get("problems") or ()}
    return snapshot, (f"records of {snapshot.created}", *kept), problems
