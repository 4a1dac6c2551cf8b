"""Stores at an address that is far away: a server that waits before each answer.

``python -m benchmarks.far_away FOLDER SECONDS`` serves a folder on loopback, until it is stopped.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dask

import lsdx
from benchmarks.cohort import EPOCH, PHASE, Cohort
from benchmarks.timing import Result, measure

DELAY = 0.03  # s a request: another city


class Handler(SimpleHTTPRequestHandler):
    """Wait, then send the file; ``/asked`` tells requests and bytes since it was asked last."""

    protocol_version = "HTTP/1.1"
    delay = DELAY
    asked: list[int] = []  # noqa: RUF012  of the whole server

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer, as late as a far server would."""
        if self.path == "/asked":
            text = f"{len(self.asked)} {sum(self.asked)}".encode()
            self.asked.clear()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
            return
        path = self.translate_path(self.path)
        self.asked.append(os.path.getsize(path) if os.path.isfile(path) else 0)
        time.sleep(self.delay)
        super().do_GET()


class Server(ThreadingHTTPServer):
    """Take many at once."""

    request_queue_size = 256


@contextmanager
def serving(folder: Path, delay: float = DELAY) -> Iterator[str]:
    """Serve a folder from another process; give its address."""
    command = [sys.executable, "-m", "benchmarks.far_away", str(folder), str(delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        if server.stdout is None:
            raise RuntimeError("the server has no output")
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.kill()


def asked(address: str) -> str:
    """Tell what was asked of the server since the last time."""
    with urllib.request.urlopen(f"{address}/asked") as answer:
        n, size = answer.read().split()
    return f"{int(n)} requests, {int(size) / 1e6:.3g} MB"


def far_away(large: Cohort, small: Cohort) -> Iterator[Result]:
    """Open cohorts and read a region in an epoch of one, with 30 ms a request."""
    os.environ["AWS_ALLOW_HTTP"] = "true"
    for cohort in (large, small):
        with serving(cohort.stores) as address:
            lsdx.open_units(address)  # the connections
            asked(address)
            lsdx.open_units(address)
            yield measure(
                f"open {cohort.n_sessions} sessions, labels loaded, 30 ms a request",
                lambda address=address: lsdx.open_units(address),
                note=asked(address),
            )
            if cohort is small:
                continue
            chosen = lsdx.open_units(address).lsd.select(region=cohort.region)
            chosen = chosen.sel(phase=PHASE, epoch=EPOCH)
            asked(address)
            chosen.counts.mean().compute()
            note = asked(address)
            for threads in (2, 16):
                with dask.config.set(num_workers=threads):
                    yield measure(
                        f"{cohort.region} x one epoch x mean, 30 ms a request, {threads} threads",
                        lambda chosen=chosen: chosen.counts.mean().compute(),
                        note=note,
                    )


def main() -> None:
    """Serve."""
    folder, delay = sys.argv[1:]
    Handler.delay = float(delay)

    def handler(*arguments: Any) -> Handler:
        return Handler(*arguments, directory=folder)

    server = Server(("127.0.0.1", 0), handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
