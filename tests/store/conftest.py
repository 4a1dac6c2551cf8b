"""An object store on loopback: an S3 server, and a proxy before it that misbehaves."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest
import requests

from lsdx import remote
from lsdx.demo import write_cohort

# what stands before a request: its method and path -> what to answer instead, None to let it pass
Rule = Callable[[str, str], tuple[int, str] | None]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Return the address of an S3 server on loopback, with the bucket ``lab``."""
    from moto import backends
    from moto.server import ThreadedMotoServer

    modules = list(backends.list_of_moto_modules())  # it lists a folder at each request
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    address = f"http://{host}:{port}"
    told = {
        "AWS_ACCESS_KEY_ID": "a-key-id",
        "AWS_SECRET_ACCESS_KEY": "a-secret",
        "AWS_ENDPOINT": address,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backends, "list_of_moto_modules", lambda: modules)
        for name, value in told.items():
            patch.setenv(name, value)
        requests.put(f"{address}/lab", timeout=10).raise_for_status()
        yield address
    running.stop()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a small cohort of two sessions."""
    made: Path = write_cohort(tmp_path_factory.mktemp("two") / "cohort", n_sessions=2, n_units=8)
    return made


class Proxy:
    """Forward requests to a server, unless ``rule`` has another answer; remember them."""

    def __init__(self, address: str) -> None:
        self.rule: Rule = lambda method, path: None
        self.asked: list[tuple[str, str]] = []
        self.closing = Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                proxy.asked.append((self.command, self.path))
                instead = proxy.rule(self.command, self.path)
                if instead is None:
                    done = requests.request(
                        self.command,
                        address + self.path,
                        data=body,
                        headers=dict(self.headers),
                        timeout=30,
                    )
                    status, data, headers = done.status_code, done.content, dict(done.headers)
                else:
                    status, text = instead
                    data = f"<Error><Code>{text}</Code><Message>{text}</Message></Error>".encode()
                    headers = {"Content-Type": "application/xml", "Content-Length": str(len(data))}
                self.send_response_only(status)
                for name, value in headers.items():
                    if name.lower() not in ("connection", "transfer-encoding"):
                        self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    with suppress(BrokenPipeError):  # who asked has given up
                        self.wfile.write(data)

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = answer

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        Thread(target=self.http.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.http.server_address[1]}"


@pytest.fixture
def proxy(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Put a proxy before the server, for addresses that are opened from now on."""
    made = Proxy(server)
    monkeypatch.setenv("AWS_ENDPOINT", made.address)
    monkeypatch.setattr(remote, "_RETRY", {"max_retries": 0})
    remote._connected.cache_clear()
    yield made
    made.closing.set()
    made.http.shutdown()
    made.http.server_close()
    remote._connected.cache_clear()
    os.environ["AWS_ENDPOINT"] = server
