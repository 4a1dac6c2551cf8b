"""A Dask cluster that shares nothing with this process but an object store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import lsdx
from lsdx.builders import build, workers
from lsdx.builders.upkeep import verify
from lsdx.cli import main
from lsdx.config import Settings
from lsdx.errors import ConfigError, SourceError
from lsdx.remote import remote_path
from lsdx.sources.cache import CacheSource
from lsdx.sources.remote_cache import RemoteCache
from lsdx.store.place import Place
from tests.builders.same import WITHOUT_CAMERAS

pytestmark = pytest.mark.filterwarnings("ignore")  # of the server

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def recordings(cache: Path, server: str) -> str:
    """Put the cohort's ONE cache into the object store."""
    there = remote_path("s3://lab/cache")
    for file in sorted(p for p in cache.rglob("*") if p.is_file()):
        (there / file.relative_to(cache).as_posix()).write_bytes(file.read_bytes())
    return str(there)


@pytest.fixture(scope="module")
def expected(cache: Path) -> Path:
    """Build in a folder, on threads."""
    settings = Settings(source="cache", cache_dir=cache, stores=cache.parent / "expected")
    assert not build(settings, WITHOUT_CAMERAS, progress=False).failed
    return cache.parent / "expected"


class Cluster:
    """A scheduler, and two workers elsewhere: another working directory, an empty home."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        from distributed import LocalCluster

        self.folder = folder
        made = LocalCluster(
            n_workers=0, dashboard_address="127.0.0.1:0", host="127.0.0.1", protocol="tcp"
        )
        self.address: str = stack.enter_context(made).scheduler_address
        self.processes = [stack.enter_context(self.worker(i)) for i in range(2)]
        stack.callback(lambda: [p.kill() for p in self.processes])

    def worker(self, number: int) -> subprocess.Popen[bytes]:
        home = self.folder / f"home-{number}"
        home.mkdir()
        command = ["-m", "distributed.cli.dask_worker", "--no-nanny", "--no-dashboard"]
        command += ["--nthreads", "1", "--local-directory", str(home), self.address]
        kept = {k: v for k, v in os.environ.items() if k.startswith(("AWS_", "PATH", "LD_", "COV"))}
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=home,
            env=kept | {"HOME": str(home), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@pytest.fixture(scope="module")
def cluster(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    from distributed import Client

    with ExitStack() as stack:
        made = Cluster(stack, tmp_path_factory.mktemp("cluster"))
        with Client(made.address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        yield made


@pytest.fixture
def client(cluster: Cluster) -> Iterator[Any]:
    with workers.connected(cluster.address) as found:
        yield found


def test_a_lazy_dataset_is_computed_where_nothing_is_on_disk(
    cluster: Cluster, recordings: str, expected: Path, client: Any
) -> None:
    stores = remote_path("s3://lab/lazy")
    settings = Settings(source="cache", cache_dir=remote_path(recordings), stores=stores)
    assert not build(settings, WITHOUT_CAMERAS, client=client, progress=False).failed
    assert Place(stores).catalog().digest == Place(expected).catalog().digest
    units = lsdx.open_units(stores)
    there = client.compute(units.counts.mean(("unit", "time"))).result()
    here = lsdx.open_units(expected).counts.mean(("unit", "time")).compute()
    xr.testing.assert_allclose(there.drop_vars("simulated"), here.drop_vars("simulated"))
    # what workers fetched of the recordings is gone with the sessions that were built
    assert client.run(left_over) == dict.fromkeys(client.run(left_over), 0)


def left_over() -> int:
    """Count the files of sessions that a process holds of caches at addresses."""
    from pathlib import Path

    from lsdx.sources.remote_cache import _FOLDERS

    return sum(p.is_file() for f in _FOLDERS.values() for p in Path(f.name).rglob("*/*"))


def test_an_own_recipe_runs_on_workers(recordings: str, tmp_path: Path, client: Any) -> None:
    """Its function is sent along: the workers have not seen its file."""
    for file in (ROOT / "recipes").glob("*.py"):
        (tmp_path / file.name).write_text(file.read_text())
    own = (tmp_path / "sessions.py").read_text()
    (tmp_path / "sessions.py").write_text(
        own.replace("recipe = ", "from dataclasses import replace\n\nfirst = ")
        + "\n\ndef mine(recording, **chosen):\n    return first.assemble(recording, **chosen)\n"
        + "\n\nrecipe = replace(first, assemble=mine)\n"
    )
    stores = remote_path("s3://lab/own")
    settings = Settings(source="cache", cache_dir=remote_path(recordings), stores=stores)
    report = build(settings, ["sessions"], recipes=tmp_path, client=client, progress=False)
    assert not report.failed
    assert Place(stores).catalog().recipes["sessions"]["assemble"].endswith("mine")


def test_workers_are_asked_before_a_build(
    cache: Path, server: str, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = CacheSource(cache)
    probe = tmp_path / "stores" / "tmp" / "x.probe"
    ours = lsdx.__version__
    assert "expected the stores folder, found another or none" in workers._problem(
        source, probe, ours
    )
    assert "expected version 0.0.0, as here" in workers._problem(source, probe, "0.0.0")
    remote_probe = remote_path("s3://nobucket/x/tmp/x.probe")
    assert "expected a bucket" in workers._problem(source, remote_probe, ours)
    source.root = tmp_path / "elsewhere"
    good = remote_path("s3://lab/x/tmp/x.probe")
    told = workers._problem(source, good, ours)
    assert "expected the folder of the recordings, found none" in told
    assert "--cache-dir s3://" in told
    stores = remote_path("s3://lab/unseen")
    monkeypatch.setattr(workers, "version", lambda _: "0.0.0")
    settings = Settings(source="cache", cache_dir=cache, stores=stores)
    with pytest.raises(ConfigError, match=r"worker tcp://.*expected version 0\.0\.0"):
        build(settings, WITHOUT_CAMERAS, client=client, progress=False)
    assert not (stores / "parts").objects()


def test_the_command_says_that_no_scheduler_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cache: Path
) -> None:
    monkeypatch.setattr(workers, "_TIMEOUT", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        command = ["build", "--scheduler", address, "--source", "cache", "--cache-dir", str(cache)]
        assert main(command) == 1
        assert "expected a Dask scheduler" in capsys.readouterr().err


def test_a_scheduler_that_dies_ends_the_build(
    recordings: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It waits for workers, and says so; then nobody answers any more."""
    alone = ["-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    file = tmp_path / "scheduler.json"
    scheduler = subprocess.Popen(
        [sys.executable, *alone, "--no-dashboard", "--scheduler-file", str(file)],
        stderr=subprocess.DEVNULL,
    )
    try:
        while not file.is_file() or not file.read_text():
            time.sleep(0.05)
        address = json.loads(file.read_text())["address"]
        threading.Timer(3, scheduler.kill).start()
        command = ["build", "--scheduler", address, "--source", "cache", "--cache-dir", recordings]
        assert main([*command, "--stores", str(tmp_path / "stores"), "sessions"]) == 1
    finally:
        scheduler.kill()
        scheduler.wait()
    told = capsys.readouterr().err
    assert "no workers yet; the build waits for them" in told
    assert "expected an answer until all is built, found none any more" in told


def test_a_cache_at_an_address(recordings: str, cache: Path, tmp_path: Path) -> None:
    near, far = CacheSource(cache), RemoteCache(remote_path(recordings))
    assert far.sessions() == near.sessions()
    (eid, *_) = [s.eid for s in far.sessions()]
    dataset = next(d for d in far.datasets(eid) if d.path.endswith("spikes.times.npy"))
    there = remote_path(recordings) / far._folders[eid] / dataset.path
    whole = there.read_bytes()
    try:
        there.write_bytes(whole[:-8])
        with pytest.raises(SourceError, match=r"expected \d+ bytes"):
            far.fetch(eid, dataset)
        far.release(eid)
        there.unlink()
        with pytest.raises(SourceError, match=r"spikes\.times\.npy.*expected a file"):
            far.fetch(eid, dataset)
    finally:
        there.write_bytes(whole)
    np.testing.assert_array_equal(
        np.load(far.fetch(eid, dataset)), np.load(near.fetch(eid, dataset))
    )
    assert far.extra_file(eid, "nothing.csv") is None
    with pytest.raises(SourceError, match="a ONE cache with"):
        RemoteCache(remote_path("s3://lab/no-cache"))
    with pytest.raises(ConfigError, match="with source 'nwb'"):
        build(Settings(source="nwb", cache_dir=remote_path(recordings), stores=tmp_path / "s"))
    assert main(["quality", "run", "--source", "cache", "--cache-dir", recordings]) == 1


def test_a_worker_killed_on_the_way_costs_nothing(
    cluster: Cluster, recordings: str, expected: Path, tmp_path: Path
) -> None:
    stores = "s3://lab/clustered"
    killed = threading.Event()

    def kill() -> None:
        while len((remote_path(stores) / "parts").objects()) < 5:
            time.sleep(0.02)
        cluster.processes[0].send_signal(signal.SIGKILL)
        killed.set()

    killer = threading.Thread(target=kill)
    killer.start()
    command = [
        "--debug",
        "build",
        "--scheduler",
        cluster.address,
        "--source",
        "cache",
        "--stores",
        stores,
    ]
    assert main([*command, "--cache-dir", recordings, "-q", *WITHOUT_CAMERAS]) == 0
    killer.join()
    assert killed.is_set()
    assert Place(remote_path(stores)).catalog().digest == Place(expected).catalog().digest
    assert not [c for c in verify(remote_path(stores)) if c.problem]
    code = f"import lsdx; print(int(lsdx.open_units({stores!r}).counts.sum()))"
    kept = {k: v for k, v in os.environ.items() if k.startswith(("AWS_", "PATH", "LD_"))}
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=kept | {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(run.stdout) == int(lsdx.open_units(expected).counts.sum())
