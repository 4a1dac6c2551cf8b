"""An Alyx database as a source: its records by REST, kept as a dated snapshot; files on demand.

Nothing is asked of the network where the snapshot and the files are there. User, password or token
come from the environment or from ONE's own parameters; they go to the servers they are for, and are
kept nowhere.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import portalocker
import requests

from lsdx.config import CREDENTIALS, Settings
from lsdx.errors import ConfigError, SourceError, located
from lsdx.readers.files import read_json
from lsdx.readers.records import (
    SNAPSHOT,
    DatasetRecord,
    Snapshot,
    parse_snapshot,
)
from lsdx.sources.download import (
    BACKOFF,
    MAX_IN_A_ROW,
    N_THREADS,
    TIMEOUT,
    Download,
    Unreachable,
    download_all,
    session,
)
from lsdx.sources.local import LocalFiles, session_folder

FORMAT = 1
LOCK = "lsdx-downloads.lock"
LOGIN_TIMEOUT = (10, 50)  # s: a login takes a minute at most
PATIENCE = 600  # s that one request waits, in all, where the database asks to wait
PAGE = 250  # records of a list at once
_AGAIN = "then ask again with --refresh; kept records are as they were."
_BAD_TOKEN = (
    "It has expired or is wrong: set LSDX_ALYX_TOKEN anew, or LSDX_ALYX_USER and "
    f"LSDX_ALYX_PASSWORD, {_AGAIN}"
)
_BAD_LOGIN = f"Correct LSDX_ALYX_USER and LSDX_ALYX_PASSWORD, {_AGAIN}"
_REFUSED = {
    400: "Correct project and task_protocol: the database can make nothing of them.",
    403: "Your user may not see this: ask the database's keepers.",
    404: "Correct base_url, or ask the database's keepers: it does not have this.",
}


class AlyxSource(LocalFiles):
    """Sessions of an Alyx database, whose files come to a ONE cache when they are needed.

    Parameters
    ----------
    root : Path
        Root of the ONE cache.
    settings : Settings
        ``base_url``, ``project`` and ``task_protocol``.
    offline : bool
        Whether to do without the network: what is not on disk is not there.
    refresh : bool
        Whether to read the records again though there is a snapshot of them.
    progress : bool
        Whether to show a bar.

    Raises
    ------
    ConfigError
        If there are no credentials, or the snapshot is of other settings.
    SourceError
        If the database cannot be reached or refuses, or has no such session.
    """

    def __init__(
        self,
        root: Path,
        settings: Settings,
        *,
        offline: bool = False,
        refresh: bool = False,
        progress: bool = False,
    ) -> None:
        settings = replace(settings, base_url=(settings.base_url or "").rstrip("/") or None)
        self.base_url = settings.base_url
        self.offline = offline
        self.failed: dict[Path, str] = {}
        path = root / SNAPSHOT
        wanted = {"project": settings.project, "task_protocol": settings.task_protocol}
        if refresh or not path.is_file():
            if offline:
                raise SourceError(
                    located(str(path), "a snapshot of records", "none", "Run without --offline.")
                )
            alyx = connect(settings)
            earlier = _earlier(path, wanted | {"source": alyx.url})
            write_snapshot(path, take_snapshot(alyx, wanted, earlier, progress=progress))
        snapshot, notes, problems = _read(path, wanted | {"source": settings.base_url})
        super().__init__(
            root,
            snapshot.sessions,
            snapshot.insertions,
            snapshot.datasets,
            simulated=snapshot.simulated,
            notes=notes,
            stacks=snapshot.stacks,
            problems=problems,
        )
        self._datasets = {
            eid: tuple(replace(d, on_disk=self._obtainable(eid, d)) for d in datasets)
            for eid, datasets in snapshot.datasets.items()
        }

    @property
    def file_advice(self) -> str:
        """What to do about a file that is not on this machine."""
        if self.offline:
            return "Run without --offline."
        return "The database has no online copy of it: ask whoever uploads, then pass --refresh."

    @property
    def insertion_advice(self) -> str:
        """What to do about a probe without an insertion record."""
        return "Register the insertion in Alyx, then pass --refresh."

    def _obtainable(self, eid: str, dataset: DatasetRecord) -> bool:
        return (dataset.present and not self.offline) or self.path(eid, dataset).is_file()

    def missing(self, wanted: Iterable[tuple[str, Sequence[DatasetRecord]]]) -> list[Download]:
        """List what of these datasets is not on disk, or not whole."""
        return [
            Download(f"session {eid}, {d.path}", d.url, self.path(eid, d), d.size, d.md5)
            for eid, datasets in wanted
            for d in datasets
            if d.url and not _whole(self.path(eid, d), d.size)
        ]

    def download(
        self, wanted: Iterable[tuple[str, Sequence[DatasetRecord]]], *, progress: bool = False
    ) -> None:
        """Fetch what is not on disk; what cannot be had is told where it is read."""
        if self.offline:
            return
        wanted = list(wanted)
        if not self.missing(wanted):
            return
        # another build that fills the same cache goes first; what it fetched is then there
        with portalocker.Lock(self.root / LOCK, "a", flags=portalocker.LockFlags.EXCLUSIVE):
            missing = self.missing(wanted)
            self.failed, not_asked = download_all(
                missing, auth=_data_login(self.base_url), progress=progress
            )
        if not_asked:
            note = (
                f"the download stopped after {MAX_IN_A_ROW} files in a row that could not be "
                f"had: {not_asked} files were not asked for; what is there is built"
            )
            self.notes = (*self.notes, note)

    def _absent(self, where: str, path: Path) -> SourceError:
        if path in self.failed:
            return SourceError(self.failed[path])
        return super()._absent(where, path)


class _NoLogin(SourceError):
    """The database refuses the login: what follows would be refused too."""


class Alyx:
    """Asks an Alyx database by REST, patient with servers that falter.

    It logs in when it has no token, and once more when its token is refused on the way.

    Parameters
    ----------
    url : str
        Address of the database.
    user, password, token : str or None
        The token, or what one can be had for.
    """

    def __init__(
        self, url: str, user: str | None, password: str | None, token: str | None = None
    ) -> None:
        self.url = url
        self._user, self._password = user, password
        self._token = token
        self._renewed = False
        self._lock = threading.Lock()

    def get(self, path: str, **query: str | int) -> Any:
        """Give the JSON of one address.

        Raises
        ------
        SourceError
            If the database refuses; `Unreachable` if it gives no answer or has failed.
        """
        address = f"{self.url}/{path}"
        refused, attempt, deadline = "", 0, time.monotonic() + PATIENCE
        while True:
            token = self._login(refused)
            with _explained(address), session() as http:
                headers = {"Accept": "application/json", "Authorization": f"Token {token}"}
                reply = http.get(address, params=query, headers=headers, timeout=TIMEOUT)
            if reply.status_code == 401 or (
                reply.status_code == 403 and "Invalid token" in reply.text
            ):
                refused = token
                continue
            wait = _wait(reply, attempt)
            if wait is not None and time.monotonic() + wait < deadline:
                attempt += 1
                time.sleep(wait)
                continue
            with _explained(address):
                reply.raise_for_status()
                return reply.json()

    def get_all(self, path: str, **query: str) -> list[Mapping[str, Any]]:
        """Give all records of a list, page by page.

        Raises
        ------
        SourceError
            As for `get`, and if pages are missing or something else than records comes.
        """
        records: list[Mapping[str, Any]] = []
        total: int | None = None
        while total is None or len(records) < total:
            page = self.get(path, **query, limit=PAGE, offset=len(records))
            with _explained(f"{self.url}/{path}"):
                if not isinstance(page, Mapping):  # a list without pages
                    page = {"count": len(page), "results": page}
                count, results = int(page["count"]), [dict(r) for r in page["results"]]
            records += results
            if total not in (None, count) or (count and not results):
                raise SourceError(
                    located(
                        f"{self.url}/{path}",
                        f"a list of {count} records",
                        f"{len(records)}: it changed while it was read, or a page was empty",
                        "Try again with --refresh.",
                    )
                )
            total = count
        return records

    def _login(self, refused: str) -> str:
        """Give the token; a new one where this one was refused, though only once."""
        with self._lock:
            if self._token and self._token != refused:
                return self._token
            if refused and (self._renewed or not (self._user and self._password)):
                raise _NoLogin(
                    located(self.url, "a token that it takes", "one that it refuses", _BAD_TOKEN)
                )
            self._renewed = bool(refused)
            form = {"username": self._user, "password": self._password}
            address = f"{self.url}/auth-token"
            try:
                with _explained(self.url, {400: _BAD_LOGIN}):
                    reply = requests.post(address, data=form, timeout=LOGIN_TIMEOUT)
                    reply.raise_for_status()
                    self._token = str(reply.json()["token"])
            except SourceError as error:
                raise _NoLogin(str(error)) from None
            return self._token


def _wait(reply: requests.Response, attempt: int) -> float | None:
    """Tell how long to wait before asking again, s; None where that is not asked for."""
    after = reply.headers.get("Retry-After") or ""
    if reply.status_code != 429 and not (reply.status_code == 503 and after):
        return None
    return float(after) if re.fullmatch(r"\d+(\.\d*)?", after) else BACKOFF * 2.0**attempt


def connect(settings: Settings, environ: Mapping[str, str] = os.environ) -> Alyx:
    """Give what asks the Alyx database, with what it can log in with.

    Raises
    ------
    ConfigError
        If there is no address, or nothing to log in with.
    """
    user, password, token = (environ.get(name) or None for name in CREDENTIALS)
    known = _parameters(settings.base_url)
    url = str(settings.base_url or getattr(known, "ALYX_URL", None) or "").rstrip("/")
    if not url:
        raise ConfigError(
            located("base_url", "the address of an Alyx database", "none", "Pass --base-url URL.")
        )
    login = user or getattr(known, "ALYX_LOGIN", None) or None
    kept = (getattr(known, "TOKEN", None) or {}).get(login) or {}
    if not (token or password):
        token = kept.get("token")
    password = password or getattr(known, "ALYX_PWD", None) or None
    if not (token or (login and password)):
        raise ConfigError(
            located(
                url,
                "a user and password, or a token",
                "none",
                f"Set {CREDENTIALS[0]} and {CREDENTIALS[1]}, or {CREDENTIALS[2]}, or run "
                "ONE.setup() once.",
            )
        )
    return Alyx(url, login, password, token)


@contextmanager
def _explained(where: str, advice: Mapping[int, str] = _REFUSED) -> Iterator[None]:
    """Turn what the connection raises into an error that says what to do."""
    try:
        yield
    except requests.HTTPError as error:
        code = error.response.status_code
        do = advice.get(code, "Try again later, with --refresh.")
        kind = Unreachable if code >= 500 else SourceError
        raise kind(located(where, "an answer", f"HTTP {code}", do)) from None
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(
            located(
                where,
                "an answer of Alyx",
                f"another one ({type(error).__name__})",
                "Check base_url, and that nothing on the way asks you to log in first.",
            )
        ) from error
    except requests.RequestException as error:
        raise Unreachable(
            located(
                where,
                "a connection",
                type(error).__name__,
                "Check the network and base_url; with --offline what has been kept is used.",
            )
        ) from None


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
    """List the sessions of a project; Alyx itself takes a part of its name for the whole."""
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
    """Read the records of sessions and their insertions; why not, of those that cannot be."""
    from tqdm import tqdm

    def read(eid: str) -> tuple[Mapping[str, Any], list[Mapping[str, Any]], SourceError | None]:
        where = f"{alyx.url}, session {eid}"
        try:
            record = alyx.get(f"sessions/{eid}")
            probes = alyx.get_all("insertions", session=eid)
            parsed = parse_snapshot({"sessions": [record], "insertions": probes}, where)
            for one in parsed.sessions.values():
                session_folder(one, where)
        except _NoLogin:
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
    """List each subject's image stacks on the data servers; None where they do not tell."""
    own = _data_servers(alyx)
    logins = _data_login(alyx.url)
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
        told = [names(server, folder) for server in own or [_data_server(alyx.url)]]
        found = next((tifs for tifs in told if tifs), None)
        # that the server of ONE's parameters, maybe another database's, lacks it says nothing
        return [] if found is None and own and None not in told else found

    with ThreadPoolExecutor(N_THREADS) as pool:
        return dict(zip(subjects, pool.map(listed, subjects), strict=True))


def _data_servers(alyx: Alyx) -> list[str]:
    """List where the database's own repositories are online, without lab and ``Subjects``."""
    try:
        repositories = alyx.get_all("data-repository")
    except _NoLogin:
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


def _parameters(base_url: str | None) -> Any:
    """Give what ONE keeps of this database: addresses, logins, the folder of its files."""
    import one.params

    return one.params.get(client=base_url, silent=True)


def default_root(settings: Settings) -> Path:
    """Give where ONE keeps the files of this database."""
    return Path(_parameters(settings.base_url).CACHE_DIR)


def _differs(raw: Mapping[str, Any], wanted: Mapping[str, str | None]) -> list[str]:
    """List what a snapshot is of, where that is not what is wanted."""
    return [k for k, v in wanted.items() if v is not None and raw.get(k, v) != v]


def _earlier(path: Path, wanted: Mapping[str, str | None]) -> Mapping[str, Any]:
    """Give the snapshot that is there, if it is whole and of the same sessions."""
    try:
        raw = read_json(path, str(path))
        parse_snapshot(raw, str(path))
    except SourceError:
        return {}
    return {} if _differs(raw, wanted) else raw


def _read(
    path: Path, wanted: Mapping[str, str | None]
) -> tuple[Snapshot, tuple[str, ...], dict[str, str]]:
    """Read the snapshot, what the report should say of it, and the sessions that it lacks."""
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


def _whole(path: Path, size: int | None) -> bool:
    return path.is_file() and (size is None or path.stat().st_size == size)


def _data_server(base_url: str | None) -> str:
    return str(getattr(_parameters(base_url), "HTTP_DATA_SERVER", "") or "").rstrip("/")


def _data_login(base_url: str | None) -> dict[str, tuple[str, str]]:
    """Give the login of the data server, from ONE's parameters, for its addresses alone."""
    known = _parameters(base_url)
    server = _data_server(base_url)
    user = getattr(known, "HTTP_DATA_SERVER_LOGIN", None)
    password = getattr(known, "HTTP_DATA_SERVER_PWD", None)
    return {f"{server}/": (user, password)} if server and user and password else {}
