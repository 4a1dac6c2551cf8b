"""The connection to an Alyx database: its address, the login, requests by REST."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests
from requests.exceptions import (
    InvalidHeader,
    InvalidSchema,
    InvalidURL,
    JSONDecodeError,
    MissingSchema,
)

from lsdx.config import CREDENTIALS, Settings
from lsdx.errors import ConfigError, SourceError, located
from lsdx.sources.download import BACKOFF, TIMEOUT, Unreachable, session

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
    400: "Correct project and task_protocol: the database does not understand them.",
    403: "Your user may not see this: ask the database's keepers.",
    404: "Correct base_url, or ask the database's keepers: it does not have this.",
}


class NoLogin(SourceError):
    """The database refuses the login, so that every other question would fail too."""


class Alyx:
    """A connection to an Alyx database, which asks again where a server falters.

    It logs in when it has no token, and once more when its token is refused on the way.

    Parameters
    ----------
    url : str
        Address of the database.
    user, password, token : str or None
        The token, or the user and password to get one with.
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
        """Return the JSON of one address.

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
        """Return all records of a list, read page by page.

        Raises
        ------
        SourceError
            As for `get`; and if pages are missing, or something else than records comes.
        """
        records: list[Mapping[str, Any]] = []
        total: int | None = None
        while total is None or len(records) < total:
            answer = self.get(path, **query, limit=PAGE, offset=len(records))
            count, results = _page_of(answer, f"{self.url}/{path}")
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
        """Return the token; a new one if this one was refused, but only once."""
        with self._lock:
            if self._token and self._token != refused:
                return self._token
            if refused and (self._renewed or not (self._user and self._password)):
                raise NoLogin(
                    located(self.url, "a token that it takes", "one that it refuses", _BAD_TOKEN)
                )
            self._renewed = bool(refused)
            form = {"username": self._user, "password": self._password}
            address = f"{self.url}/auth-token"
            try:
                with _explained(self.url, {400: _BAD_LOGIN}):
                    reply = requests.post(address, data=form, timeout=LOGIN_TIMEOUT)
                    reply.raise_for_status()
                    answer = reply.json()
                if not isinstance(answer, Mapping) or not answer.get("token"):
                    raise _other_answer(self.url, "no token")
            except SourceError as error:
                raise NoLogin(str(error)) from None
            self._token = str(answer["token"])
            return self._token


def _wait(reply: requests.Response, attempt: int) -> float | None:
    """Return how long to wait before asking again, in s; None if the server does not say so."""
    after = reply.headers.get("Retry-After") or ""
    if reply.status_code != 429 and not (reply.status_code == 503 and after):
        return None
    return float(after) if re.fullmatch(r"\d+(\.\d*)?", after) else BACKOFF * 2.0**attempt


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
    except JSONDecodeError as error:
        raise _other_answer(where, "no JSON") from error
    except (InvalidURL, InvalidSchema, MissingSchema, InvalidHeader) as error:
        expected, found = "an address and a login that can be sent", type(error).__name__
        raise SourceError(
            located(where, expected, found, "Correct base_url or the token.")
        ) from None
    except requests.RequestException as error:
        raise Unreachable(
            located(
                where,
                "a connection",
                type(error).__name__,
                "Check the network and base_url; with --offline what has been kept is used.",
            )
        ) from None


def _other_answer(where: str, found: str) -> SourceError:
    advice = "Check base_url, and that nothing on the way asks you to log in first."
    return SourceError(located(where, "an answer of Alyx", found, advice))


def _page_of(answer: Any, where: str) -> tuple[int, list[Mapping[str, Any]]]:
    """Return how many records a list has in all, and those of this page."""
    if isinstance(answer, list):  # a list without pages
        answer = {"count": len(answer), "results": answer}
    page = answer if isinstance(answer, Mapping) else {}
    count, results = page.get("count"), page.get("results")
    if not (
        isinstance(count, int)
        and isinstance(results, list)
        and all(isinstance(record, Mapping) for record in results)
    ):
        raise _other_answer(where, "no list of records")
    return count, results


def connect(settings: Settings, environ: Mapping[str, str] = os.environ) -> Alyx:
    """Return the connection to the Alyx database, with the login that is known.

    Raises
    ------
    ConfigError
        If there is no address, or nothing to log in with.
    """
    user, password, token = (environ.get(name) or None for name in CREDENTIALS)
    known = parameters(settings.base_url)
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


def where_logins_are(
    base_url: str | None, environ: Mapping[str, str] = os.environ
) -> dict[str, bool]:
    """Tell whether a login is known in the environment, and among ONE's parameters.

    The login itself is not told, and nothing is asked or written.

    Examples
    --------
    >>> where_logins_are(None, {"LSDX_ALYX_USER": "me"})["environment"]
    False
    """
    import one.params

    user, password, token = (bool(environ.get(name)) for name in CREDENTIALS)
    kept = False
    for path in one.params.get_params_dir().glob(".*"):
        with suppress(OSError, ValueError, AttributeError):  # a file that is not ONE's
            known = json.loads(path.read_text(encoding="utf-8"))
            same = str(known.get("ALYX_URL", "")).rstrip("/") == (base_url or "").rstrip("/")
            if same or not base_url:
                kept |= bool(known.get("ALYX_PWD") or known.get("TOKEN"))
    return {"environment": token or (user and password), "ONE": kept}


def parameters(base_url: str | None) -> Any:
    """Return what ONE keeps of this database: addresses, logins, the folder of its files."""
    import one.params

    return one.params.get(client=base_url, silent=True)


def default_root(settings: Settings) -> Path:
    """Return the folder in which ONE keeps the files of this database."""
    return Path(parameters(settings.base_url).CACHE_DIR)


def data_server(base_url: str | None) -> str:
    """Return the address of the data server, from ONE's parameters; blank if it has none."""
    return str(getattr(parameters(base_url), "HTTP_DATA_SERVER", "") or "").rstrip("/")


def data_login(base_url: str | None) -> dict[str, tuple[str, str]]:
    """Return the login of the data server, from ONE's parameters, for its addresses alone."""
    known = parameters(base_url)
    server = data_server(base_url)
    user = getattr(known, "HTTP_DATA_SERVER_LOGIN", None)
    password = getattr(known, "HTTP_DATA_SERVER_PWD", None)
    return {f"{server}/": (user, password)} if server and user and password else {}
