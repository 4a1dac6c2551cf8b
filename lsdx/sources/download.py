"""Fetch files over HTTP: several at once, resumed after a break, and checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from lsdx.errors import SourceError, located
from lsdx.readers.files import md5_of

TIMEOUT = (10, 60)  # s, to connect and between bytes
RETRIES = 4
BACKOFF = 0.5  # s, doubled from one attempt to the next
N_THREADS = 4
MAX_IN_A_ROW = 5  # failures of a server, after which it is asked no more
_BLOCK = 1 << 20
_WHY = {
    401: "the data server wants another user or password: set them with ONE.setup()",
    403: "the data server refuses you this file: ask for access to the project",
    404: "the data server does not have it: ask whoever uploads, or renew the records (--refresh)",
}


class Unreachable(SourceError):
    """A server gives no answer, breaks off, or says that it has failed (5xx)."""


@dataclass(frozen=True)
class Download:
    """One file to fetch: its address, its place on disk, and its size and md5."""

    where: str
    url: str
    path: Path
    size: int | None
    md5: str | None


def session() -> requests.Session:
    """Open an HTTP session that tries again, with growing pauses, after 5xx and time-outs."""
    retry = Retry(
        total=RETRIES,
        read=1,  # a server that falls silent costs a time-out each time
        backoff_factor=BACKOFF,
        status_forcelist=(500, 502, 503, 504),
        allowed_methods=("GET", "HEAD"),
        raise_on_status=False,
        respect_retry_after_header=False,  # it knows no bound; Alyx waits within one
    )
    made = requests.Session()
    for scheme in ("http://", "https://"):
        made.mount(scheme, HTTPAdapter(max_retries=retry))
    return made


def download_all(
    downloads: Iterable[Download], *, auth: Mapping[str, tuple[str, str]], progress: bool
) -> tuple[dict[Path, str], int]:
    """Fetch files in parallel, and return why each of the others could not be fetched.

    It stops after ``MAX_IN_A_ROW`` files in a row for which the server gave no answer or said
    that it has failed. That it does not have a file (404), or has another version of it, is an
    answer.

    Parameters
    ----------
    downloads : iterable of Download
    auth : mapping
        Address -> user and password, which are sent only to addresses that begin so.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    failed : dict
        Path -> the reason, for each file that could not be fetched.
    not_asked : int
        How many of them were not tried.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    from tqdm import tqdm

    wanted = list(downloads)
    bar = tqdm(
        total=sum(d.size or 0 for d in wanted),
        desc="download",
        unit="B",
        unit_scale=True,
        disable=None if progress else True,
    )
    in_a_row = 0
    with bar, session() as http, ThreadPoolExecutor(N_THREADS) as pool:
        futures = {pool.submit(download, d, http, auth, bar.update): d for d in wanted}
        try:
            for future in as_completed(futures):
                error = future.exception()
                if error is not None and not isinstance(error, SourceError):
                    raise error
                in_a_row = in_a_row + 1 if isinstance(error, Unreachable) else 0
                if in_a_row == MAX_IN_A_ROW:
                    break
        finally:
            pool.shutdown(cancel_futures=True)
    skipped = {d.path: _not_asked(d) for future, d in futures.items() if future.cancelled()}
    refused = {
        d.path: str(future.exception())
        for future, d in futures.items()
        if d.path not in skipped and future.exception() is not None
    }
    return refused | skipped, len(skipped)


def _not_asked(wanted: Download) -> str:
    return located(
        wanted.where,
        "a data server that answers",
        f"none: the download stopped after {MAX_IN_A_ROW} files in a row that could not be had",
        "Run the command again when the server answers: it goes on from there.",
    )


def download(
    wanted: Download,
    http: requests.Session,
    auth: Mapping[str, tuple[str, str]],
    arrived: Callable[[int], Any],
) -> None:
    """Fetch one file; a partial one is continued, a wrong one is fetched once more.

    Raises
    ------
    SourceError
        If the server refuses, or sends other bytes than were recorded; `Unreachable` if it gives
        no answer, keeps breaking off, or has failed.
    """
    wanted.path.parent.mkdir(parents=True, exist_ok=True)
    part = wanted.path.with_name(wanted.path.name + ".part")
    login = next((v for start, v in auth.items() if wanted.url.startswith(start)), None)
    problem = ""
    for _ in range(2):
        _fetch(wanted, part, http, login, arrived)
        problem = _wrong(wanted, part)
        if not problem:
            part.replace(wanted.path)
            return
        part.unlink()
    raise SourceError(
        located(
            f"{wanted.where}, downloaded twice",
            f"the file of its record ({wanted.size} bytes, md5 {wanted.md5})",
            problem,
            "Tell whoever keeps the data server; the file or its record is wrong.",
        )
    )


def _fetch(
    wanted: Download,
    part: Path,
    http: requests.Session,
    login: tuple[str, str] | None,
    arrived: Callable[[int], Any],
) -> None:
    """Bring ``part`` to its full length, going on from what is there."""
    broken = ""
    if wanted.md5 is None:  # nothing would tell a mixture of two versions
        part.unlink(missing_ok=True)
    for _ in range(RETRIES):
        have = part.stat().st_size if part.exists() else 0
        if part.exists() and wanted.size is not None and have >= wanted.size:
            return
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        try:
            reply = http.get(
                _encoded(wanted.url), headers=headers, auth=login, stream=True, timeout=TIMEOUT
            )
        except (requests.RequestException, HTTPError, ValueError) as error:
            raise _silent(wanted, error) from None
        try:
            with reply:
                if reply.status_code == 416:  # there is no more, or it is another file
                    part.unlink(missing_ok=True)
                    continue
                if reply.status_code not in (200, 206):
                    raise _refused(wanted, reply)
                with part.open("ab" if reply.status_code == 206 else "wb") as stream:
                    for block in reply.iter_content(_BLOCK):
                        stream.write(block)
                        arrived(len(block))
            return
        except (requests.RequestException, HTTPError) as error:
            broken = type(error).__name__
    raise Unreachable(
        located(
            wanted.where,
            "the whole file",
            f"a connection that broke off {RETRIES} times ({broken})",
            "Run the command again: it goes on from there.",
        )
    )


def _encoded(url: str) -> str:
    """Encode what an address may not hold, such as the ``#`` around a revision."""
    parts = urlsplit(url, allow_fragments=False)
    return urlunsplit(parts._replace(path=quote(parts.path, safe="/%")))


def _silent(wanted: Download, error: Exception) -> SourceError:
    # the kind of error alone: an address may hold what opens it
    if isinstance(error, ValueError):  # an address that is none, asked of no server
        message = located(
            wanted.where, "an address", type(error).__name__, "Correct the record's data_url."
        )
        return SourceError(message)
    return Unreachable(
        located(
            wanted.where,
            "an answer of the data server",
            type(error).__name__,
            "Check the network, then run the command again: it goes on from there.",
        )
    )


def _refused(wanted: Download, reply: requests.Response) -> SourceError:
    why = _WHY.get(reply.status_code, "try again later")
    kind = Unreachable if reply.status_code >= 500 else SourceError
    return kind(
        located(wanted.where, "a file at its data_url", f"HTTP {reply.status_code}", f"{why}.")
    )


def _wrong(wanted: Download, path: Path) -> str:
    """Return how a file differs from its record; blank if it does not."""
    size = path.stat().st_size
    if wanted.size is not None and size != wanted.size:
        return f"{size} bytes"
    if wanted.md5:
        md5 = md5_of(path)
        if md5 != wanted.md5.replace("-", "").lower():
            return f"md5 {md5}"
    return ""
