"""An Alyx database as a source: its records by REST, kept as a dated snapshot; files on demand.

Nothing is asked of the network where the snapshot and the files are there. User, password or token
come from the environment or from ONE's own parameters; they go to the servers they are for. lsdx
keeps none of them; ONE keeps its token among its parameters, in the user's home.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from one.webclient import AlyxClient

from lsdx.config import CREDENTIALS, Settings
from lsdx.errors import ConfigError, SourceError, located
from lsdx.readers.files import read_json
from lsdx.readers.records import (
    SNAPSHOT,
    DatasetRecord,
    Snapshot,
    parse_snapshot,
)
from lsdx.sources.download import N_THREADS, TIMEOUT, Download, download_all, session
from lsdx.sources.local import LocalFiles, session_folder

FORMAT = 1
LOCK = "lsdx-downloads.lock"
_REFUSED = {
    400: "Correct LSDX_ALYX_USER and LSDX_ALYX_PASSWORD.",
    401: "The token has expired or is wrong: set LSDX_ALYX_TOKEN anew.",
    403: "The token has expired, or your user may not see this: ask the database's keepers.",
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
            write_snapshot(path, take_snapshot(connect(root, settings), wanted, progress=progress))
        snapshot, problems = _read(path, wanted | {"source": settings.base_url})
        super().__init__(
            root,
            snapshot.sessions,
            snapshot.insertions,
            snapshot.datasets,
            simulated=snapshot.simulated,
            notes=(f"records of {snapshot.created}",),
            stacks=snapshot.stacks,
            problems=problems,
        )
        self._datasets = {
            eid: tuple(replace(d, on_disk=self._obtainable(eid, d)) for d in datasets)
            for eid, datasets in snapshot.datasets.items()
        }

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
            self.failed = download_all(missing, auth=_data_login(self.base_url), progress=progress)

    def _absent(self, where: str, path: Path) -> SourceError:
        if path in self.failed:
            return SourceError(self.failed[path])
        do = "Run without --offline." if self.offline else "Download it with ONE."
        return SourceError(located(where, "a file", f"none at {path}", do))


class _Client(AlyxClient):  # type: ignore[misc]
    """ONE's client, with time-outs, and patience with servers that falter."""

    # ONE unwraps this method to call itself again
    @functools.wraps(AlyxClient._generic_request)
    def _generic_request(self, reqfunction: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        @functools.wraps(reqfunction)
        def patiently(url: str, **options: Any) -> requests.Response:
            with session() as http:
                return http.request(reqfunction.__name__, url, timeout=TIMEOUT, **options)

        return super()._generic_request(patiently, *args, **kwargs)


def connect(root: Path, settings: Settings, environ: Mapping[str, str] = os.environ) -> AlyxClient:
    """Connect to the Alyx database.

    Raises
    ------
    ConfigError
        If there is no address, or nothing to log in with.
    SourceError
        If it cannot be reached, or refuses.
    """
    user, password, token = (environ.get(name) or None for name in CREDENTIALS)
    known = _parameters(settings.base_url)
    url = settings.base_url or getattr(known, "ALYX_URL", None)
    if not url:
        raise ConfigError(
            located("base_url", "the address of an Alyx database", "none", "Pass --base-url URL.")
        )
    login = user or getattr(known, "ALYX_LOGIN", None)
    kept = getattr(known, "TOKEN", None) or {}
    if not (token or (login and (password or login in kept or getattr(known, "ALYX_PWD", None)))):
        raise ConfigError(
            located(
                url,
                "a user and password, or a token",
                "none",
                f"Set {CREDENTIALS[0]} and {CREDENTIALS[1]}, or {CREDENTIALS[2]}, or run "
                "ONE.setup() once.",
            )
        )
    with _explained(url):
        return _Client(
            base_url=url,
            username=login,
            password=password,
            token=token,
            cache_dir=root,
            silent=True,
            cache_rest=None,
        )


@contextmanager
def _explained(where: str) -> Iterator[None]:
    """Turn what the connection raises into an error that says what to do."""
    try:
        yield
    except requests.HTTPError as error:
        code = error.response.status_code if error.response is not None else error.errno
        do = _REFUSED.get(int(code or 0), "Try again later, with --refresh.")
        raise SourceError(located(where, "an answer", f"HTTP {code}", do)) from None
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise SourceError(
            located(
                where,
                "an answer of Alyx",
                f"another one ({type(error).__name__})",
                "Check base_url, and that nothing on the way asks you to log in first.",
            )
        ) from error
    except (requests.RequestException, ConnectionError) as error:
        raise SourceError(
            located(
                where,
                "a connection",
                type(error).__name__,
                "Check the network and base_url; with --offline what has been kept is used.",
            )
        ) from None


def take_snapshot(
    client: AlyxClient, wanted: Mapping[str, str], *, progress: bool = False
) -> dict[str, Any]:
    """Read the records of the wanted sessions: each in full, with its insertions.

    Parameters
    ----------
    client : AlyxClient
    wanted : mapping
        ``project`` and ``task_protocol``.
    progress : bool

    Returns
    -------
    dict
        The snapshot as it is written. A session whose records cannot be read, or make no
        sense, stands under ``problems`` instead.

    Raises
    ------
    SourceError
        If the database refuses or falls silent, or has no such session.
    """
    from tqdm import tqdm

    with _explained(client.base_url):
        listed = list(client.rest("sessions", "list", no_cache=True, **wanted))
    if not listed or any(record is None for record in listed):
        found = "none" if not listed else "pages that were missing"
        raise SourceError(
            located(
                client.base_url,
                f"sessions of project {wanted['project']!r} with {wanted['task_protocol']!r}",
                found,
                "Correct project and task_protocol, or try again.",
            )
        )

    def read(eid: str) -> tuple[str, Mapping[str, Any], list[Mapping[str, Any]], str]:
        where = f"{client.base_url}, session {eid}"
        try:
            with _explained(where):
                record = client.rest("sessions", "read", id=eid, no_cache=True)
                probes = list(client.rest("insertions", "list", session=eid, no_cache=True))
            parsed = parse_snapshot({"sessions": [record], "insertions": probes}, where)
            for one in parsed.sessions.values():
                session_folder(one, where)
        except SourceError as error:
            return eid, {}, [], str(error)
        return eid, record, probes, ""

    sessions, insertions, problems = [], [], []
    seen: dict[str, str] = {}
    eids = dict.fromkeys(str(record.get("id")) for record in listed)
    bar = tqdm(total=len(eids), desc="records", disable=None if progress else True)
    with bar, ThreadPoolExecutor(N_THREADS) as pool:
        for eid, record, probes, problem in pool.map(read, eids):
            bar.update()
            twice = [pid for pid in (str(p.get("id")) for p in probes) if pid in seen]
            if twice:
                problem = f"session {eid}: insertion {twice[0]} is of session {seen[twice[0]]} too"
            if problem:
                problems.append({"session": eid, "problem": problem})
                continue
            seen |= {str(p["id"]): eid for p in probes}
            sessions.append(record)
            insertions += probes
    subjects = {str(s["subject"]): str(s["lab"]) for s in sessions}
    return {
        "format": FORMAT,
        "created": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}",
        "source": client.base_url,
        "simulated": any(_simulated(s.get("json")) for s in sessions),
        **wanted,
        "sessions": sessions,
        "insertions": insertions,
        "stacks": _list_stacks(client.base_url, subjects),
        "problems": problems,
    }


def _simulated(json: object) -> bool:
    return isinstance(json, Mapping) and json.get("simulated") is True


def _list_stacks(base_url: str, subjects: Mapping[str, str]) -> dict[str, list[str] | None]:
    """List each subject's image stacks on the data server; None where it does not tell."""
    server = _data_server(base_url)
    login = _data_login(base_url).get(f"{server}/")

    def listed(subject: str) -> list[str] | None:
        place = "/".join(quote(name, safe="") for name in (subjects[subject], subject))
        folder = f"histology/{place}/downsampledStacks_25/sample2ARA/"
        try:
            with session() as http:
                reply = http.get(f"{server}/{folder}", auth=login, timeout=TIMEOUT)
        except requests.RequestException:
            return None
        if reply.status_code == 404:
            return []
        if not reply.ok:
            return None
        return sorted(set(re.findall(r'href="([^"/]+\.tif)"', reply.text)))

    with ThreadPoolExecutor(N_THREADS) as pool:
        return dict(zip(subjects, pool.map(listed, subjects), strict=True))


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


def _read(path: Path, wanted: Mapping[str, str | None]) -> tuple[Snapshot, dict[str, str]]:
    raw = read_json(path, str(path))
    other = {k: raw[k] for k, v in wanted.items() if v is not None and raw.get(k, v) != v}
    if other:
        raise ConfigError(
            located(
                str(path),
                "records of " + ", ".join(f"{k} {wanted[k]}" for k in other),
                ", ".join(map(str, other.values())),
                "Pass --refresh to read those of your settings, or name another cache_dir.",
            )
        )
    return parse_snapshot(raw, str(path)), {
        p["session"]: p["problem"] for p in raw.get("problems") or ()
    }


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
