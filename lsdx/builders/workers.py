"""Where the tasks of a build run: threads of this process, or the workers of a Dask cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lsdx.builders.placing import TEMPORARY
from lsdx.builders.report import Line
from lsdx.builders.task import SessionResult, build_session
from lsdx.errors import ConfigError, LsdxError, RecipeError, located
from lsdx.remote import RemotePath, Root
from lsdx.sources import Source

if TYPE_CHECKING:
    from distributed import Client

_TIMEOUT = 30  # s, for a scheduler to answer


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """Connect to a Dask scheduler.

    Raises
    ------
    ConfigError
        If nobody answers there.
    """
    from distributed import Client

    try:
        client = Client(address, timeout=_TIMEOUT, set_as_default=False)
    except (OSError, ValueError) as error:
        do = "Start one, such as `dask scheduler`, and give the address that it prints."
        where = f"scheduler {address}"
        raise ConfigError(located(where, "a Dask scheduler", str(error), do)) from error
    with client:
        yield client


def current_client() -> Client | None:
    """Return the Dask client of this process, None without one."""
    if "distributed" not in sys.modules:
        return None
    from distributed import get_client

    try:
        return get_client()
    except ValueError:
        return None


def check_workers(client: Client, source: Source, root: Root) -> None:
    """Check that each worker has this lsdx, reads the recordings, and writes to the stores.

    Workers that join later are not asked: what they cannot do is said of their sessions.

    Raises
    ------
    ConfigError
        Naming one that cannot.
    """
    probe = root.absolute() / TEMPORARY / f"{uuid4().hex}.probe"
    if not isinstance(probe, RemotePath):
        probe.touch()
    first = next((s.eid for s in source.sessions()), "")
    try:
        told = client.run(
            _problem, source.of_session(first), probe, version("lsdx"), on_error="return"
        )
    finally:
        if not isinstance(probe, RemotePath):
            probe.unlink()
    for worker, problem in told.items():
        if problem:
            said = problem if isinstance(problem, str) else repr(problem)
            raise ConfigError(f"worker {worker}: {said}")


def _problem(source: Source, probe: Root, ours: str) -> str:
    """Say what a worker lacks; blank if nothing. It runs there."""
    theirs = version("lsdx")
    if theirs != ours:
        return located("lsdx", f"version {ours}, as here", theirs, "Install the same.")
    try:
        if isinstance(probe, RemotePath):
            probe.write_bytes(b"")
            probe.unlink()
        elif not probe.is_file():
            do = "Name one that all see, or an address: --stores s3://..."
            return located(str(probe.parent.parent), "the stores folder", "another or none", do)
    except LsdxError as error:
        return str(error)
    return source.unreachable()


def run_tasks(
    arguments: Sequence[tuple[Any, ...]], client: Client | None, progress: bool
) -> Iterator[SessionResult]:
    """Run one task a session; results in the order of the sessions."""
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm

    bar = tqdm(
        total=len(arguments), desc="sessions", unit="session", disable=None if progress else True
    )
    with bar, threadpool_limits(1):
        if client is not None:
            yield from _on_client(arguments, client, bar)
        else:
            yield from _on_threads(arguments, bar)


def _on_client(
    arguments: Sequence[tuple[Any, ...]], client: Client, bar: Any
) -> Iterator[SessionResult]:
    from distributed import CancelledError, as_completed

    futures = [
        client.submit(
            build_session, source.of_session(session.eid), session, *more, fetch=True, pure=False
        )
        for source, session, *more in arguments
    ]
    results: dict[Any, SessionResult] = {}
    sessions = dict(zip((f.key for f in futures), (s for _, s, *_ in arguments), strict=True))
    try:
        for future in as_completed(futures, loop=client.loop):
            bar.update()
            error = future.exception()
            if error is None:  # fetched now: its worker may die later
                results[future.key] = future.result()
                continue
            eid = sessions[future.key].eid
            line = Line(eid, "read", "failed", 0.0, 0, f"worker: {error or type(error).__name__}")
            results[future.key] = SessionResult(eid, (line,), None)
    except CancelledError as error:
        do = "Build again when it is there: what the workers have finished is used."
        expected = "an answer until all is built"
        raise RecipeError(located("the Dask scheduler", expected, "none any more", do)) from error
    yield from (results[future.key] for future in futures)


def _on_threads(arguments: Sequence[tuple[Any, ...]], bar: Any) -> Iterator[SessionResult]:
    from dask.base import compute
    from dask.delayed import delayed

    def one(*args: Any) -> SessionResult:
        result = build_session(*args)
        bar.update()
        return result

    tasks = [delayed(one, pure=False, traverse=False)(*a) for a in arguments]
    yield from compute(*tasks, scheduler="threads")
