"""A stand-in for Alyx and its data server, on loopback: serves a cohort's records and files.

It can be told to fail: ``server.fail(pattern, how, times)`` makes the next requests whose path
matches answer with a status, break off, stall, or send other bytes.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import NAMESPACE_URL, uuid3

USER, PASSWORD, TOKEN = "someone", "let me in", "0123456789abcdef"
PAGE = 1  # records a page, so that small cohorts have several
LISTED = ("id", "subject", "lab", "start_time", "number", "task_protocol", "projects", "url")
_UUID = re.compile(r"\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(?=\.)")


@dataclass
class Failure:
    """What happens to the next ``times`` requests that match."""

    pattern: str
    how: str | int
    times: int


@dataclass
class AlyxServer:
    """The records it serves, the requests it has seen, the failures to come."""

    root: Path
    sessions: list[dict[str, Any]]
    insertions: list[dict[str, Any]]
    stacks: dict[str, list[str] | None]
    url: str = ""
    requests: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    stall: float = 5.0
    sent: int = 0  # bytes of files
    token: str = TOKEN  # the one that it takes
    online: bool = True  # whether its repositories have addresses

    def fail(self, pattern: str, how: str | int, times: int = 1) -> None:
        """Fail so: a status, ``"half"``, ``"slow"``, ``"wrong"`` or ``"revoke"`` (the token)."""
        self.failures.append(Failure(pattern, how, times))

    def mended(self) -> None:
        """Forget failures and requests."""
        self.failures.clear()
        self.requests.clear()

    def failing(self, path: str) -> str | int | None:
        for failure in self.failures:
            if failure.times and re.search(failure.pattern, path):
                failure.times -= 1
                return failure.how
        return None

    def answer(self, path: str, query: dict[str, list[str]]) -> Any:
        """Return the JSON of one of Alyx's addresses; None if there is none."""
        parts = path.strip("/").split("/")
        if parts[0] == "sessions" and len(parts) == 2:
            found = next((s for s in self.sessions if s["id"] == parts[1]), None)
            return found and _detail(found)
        if parts == ["sessions"]:
            project = query.get("project", [""])[0].casefold()
            protocol = query.get("task_protocol", [""])[0].casefold()
            found = [
                {k: s.get(k) for k in LISTED}
                for s in self.sessions
                if any(project in name.casefold() for name in s["projects"])
                and protocol in s["task_protocol"].casefold()
            ]
            return self._page(path, query, found)
        if parts == ["insertions"]:
            eid = query.get("session", [""])[0]
            return self._page(path, query, [i for i in self.insertions if i["session"] == eid])
        if parts == ["data-repository"]:
            labs = sorted({s["lab"] for s in self.sessions}) if self.online else []
            places = [None, *(f"{self.url}/data/{lab}/Subjects/" for lab in labs)]
            return self._page(path, query, [{"name": str(p), "data_url": p} for p in places])
        return None

    def _page(self, path: str, query: dict[str, list[str]], found: list[Any]) -> dict[str, Any]:
        offset = int(query.get("offset", ["0"])[0])
        limit = min(int(query.get("limit", [str(PAGE)])[0]), PAGE)
        return {"count": len(found), "results": found[offset : offset + limit]}

    def listing(self, path: str) -> list[str] | None:
        """Return the names in a folder of image stacks; None for a server that does not tell."""
        return self.stacks.get(path.split("/")[4], [])

    def file(self, path: str) -> Path | None:
        """Return the file behind an address of the data server."""
        found = self.root / _UUID.sub("", unquote(path).removeprefix("/data/"))
        return found if found.is_file() else None


def _detail(session: dict[str, Any]) -> dict[str, Any]:
    """Return a session's record as Alyx does: the name of a revision is in the address alone."""
    datasets = [
        d | {"revision": str(uuid3(NAMESPACE_URL, d["revision"])) if d.get("revision") else None}
        for d in session["data_dataset_session_related"]
    ]
    return session | {"data_dataset_session_related": datasets}


def _handler(server: AlyxServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            form = parse_qs(self.rfile.read(length).decode())
            server.requests.append(f"POST {self.path}")
            if server.failing(self.path) == "slow":
                time.sleep(server.stall)
                self.close_connection = True
            elif self.path == "/auth-token" and form == {
                "username": [USER],
                "password": [PASSWORD],
            }:
                self._json(200, {"token": server.token})
            else:
                self._json(400, {"non_field_errors": ["Unable to log in."]})

        def do_GET(self) -> None:
            server.requests.append(f"GET {self.path}")
            url = urlsplit(self.path)
            how = server.failing(self.path)
            if how == "revoke":
                server.token = f"{server.token}0"
            if isinstance(how, int):
                self._json(how, {"detail": f"told to answer {how}"})
            elif how == "slow":
                time.sleep(server.stall)
                self.close_connection = True
            elif url.path.startswith("/data/histology/"):
                names = server.listing(url.path)
                links = "".join(f'<a href="{name}">{name}</a>' for name in names or ())
                status = 500 if names is None else 200 if names else 404
                self._send(status, f"<html>{links}</html>".encode(), "text/html")
            elif url.path.startswith("/data/"):
                self._file(server.file(url.path), how)
            elif self.headers.get("Authorization") != f"Token {server.token}":
                self._json(403, {"detail": "Invalid token."})
            else:
                found = server.answer(url.path, parse_qs(url.query))
                text = json.dumps(found).replace("https://data.demo.invalid", f"{server.url}/data")
                self._send(404 if found is None else 200, text.encode(), "application/json")

        def _file(self, path: Path | None, how: str | None) -> None:
            if path is None:
                self._json(404, {"detail": "Not found."})
                return
            body = path.read_bytes()
            if how == "wrong":
                body = bytes([body[0] ^ 1]) + body[1:]
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
            first = int(asked[1]) if asked else 0
            if asked and first >= len(body):
                self._send(416, b"", "text/plain")
                return
            self._send(206 if asked else 200, body[first:], "application/octet-stream", how)

        def _json(self, status: int, content: Any) -> None:
            self._send(status, json.dumps(content).encode(), "application/json")

        def _send(self, status: int, body: bytes, kind: str, how: str | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if how == "half":
                body = body[: len(body) // 2]
                self.close_connection = True
            self.wfile.write(body)
            server.sent += len(body) if kind == "application/octet-stream" else 0

    return Handler


@contextmanager
def serving(cohort: Path) -> Iterator[AlyxServer]:
    """Serve a cohort's records and files."""
    records = json.loads((cohort / "alyx_records.json").read_text())
    state = AlyxServer(cohort, records["sessions"], records["insertions"], records["stacks"])
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    http.daemon_threads = True
    state.url = f"http://127.0.0.1:{http.server_address[1]}"
    # it looks this often whether it is to end: each test waits for that
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
