"""Several builders, threads and workers on one folder: the same bytes, nothing lost."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import pytest

import lsdx
from lsdx.builders import build
from lsdx.builders.upkeep import collect_garbage, verify
from lsdx.config import Settings
from lsdx.demo import write_cohort
from lsdx.errors import RecipeError
from tests.builders.forked import Builder, builders
from tests.builders.same import WITHOUT_CAMERAS, hashes


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("two") / "cohort", n_sessions=3, n_units=8)


@pytest.fixture(scope="module")
def expected(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What one build on one thread gives."""
    stores = tmp_path_factory.mktemp("alone") / "stores"
    settings = Settings(source="cache", cache_dir=cohort, stores=stores)
    with dask.config.set(num_workers=1):
        assert not build(settings, WITHOUT_CAMERAS, progress=False).failed
    return hashes(stores)


@pytest.fixture(scope="module")
def eids(cohort: Path) -> list[str]:
    from lsdx.sources.cache import CacheSource

    return [s.eid for s in CacheSource(cohort).sessions()]


@pytest.fixture(scope="module")
def pair(cohort: Path) -> Iterator[list[Builder]]:
    """Two processes that build; each build is a child of its own."""
    with builders(cohort, number=2) as made:
        yield made


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A cluster of two worker processes, which replaces those that die."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", processes=True
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.mark.parametrize("n_threads", [pytest.param(2, marks=pytest.mark.slow), 5])
def test_threads_do_not_matter(
    cohort: Path, expected: dict[str, str], tmp_path: Path, n_threads: int
) -> None:
    settings = Settings(source="cache", cache_dir=cohort, stores=tmp_path)
    with dask.config.set(num_workers=n_threads):
        build(settings, WITHOUT_CAMERAS, progress=False)
    assert hashes(tmp_path) == expected


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param((), (), marks=pytest.mark.slow),
        pytest.param((0, 1), (2,), marks=pytest.mark.slow),
        pytest.param((1,), (1,), marks=pytest.mark.slow),
        ((0, 1), (1, 2)),
    ],
    ids=["all and all", "different sessions", "the same session", "overlapping"],
)
def test_two_processes_at_once(
    cohort: Path,
    expected: dict[str, str],
    eids: list[str],
    pair: list[Builder],
    tmp_path: Path,
    first: tuple[int, ...],
    second: tuple[int, ...],
) -> None:
    stores = tmp_path / "stores"
    for builder, wanted in zip(pair, (first, second), strict=True):
        builder.start(stores, [eids[i] for i in wanted])
    ends = [builder.wait() for builder in pair]
    assert "failed" not in ends
    if set(first) & set(second) or not first:
        assert "found" in ends  # who came second says so
    assert not [c for c in verify(stores) if c.problem]
    if len({*first, *second}) in (0, 3):
        assert hashes(stores) == expected
    else:
        assert set(lsdx.open_sessions(stores).session.values) == {eids[i] for i in first}
    assert not list((stores / "tmp").iterdir())


def test_gc_is_refused_while_another_process_builds(
    expected: dict[str, str], pair: list[Builder], tmp_path: Path
) -> None:
    stores = tmp_path / "stores"
    builder, _ = pair
    builder.start(stores)
    builder.wait()
    shutil.rmtree(stores / "parts")
    builder.start(stores)
    while not list(stores.glob("parts/*/*")):
        time.sleep(0.005)
    with pytest.raises(RecipeError, match="a build is running"):
        collect_garbage(stores)
    assert builder.wait() == "found"
    assert hashes(stores) == expected


def test_a_local_cluster_gives_the_same_bytes(
    client: Any, cohort: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    settings = Settings(source="cache", cache_dir=cohort, stores=tmp_path / "stores")
    assert not build(settings, WITHOUT_CAMERAS, client=client, progress=False).failed
    assert hashes(settings.stores) == expected


def test_a_worker_killed_in_mid_task_costs_nothing(
    client: Any, cohort: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    stores = tmp_path / "stores"
    killed = threading.Event()

    def kill(pid: int) -> None:
        while not list(stores.glob("tmp/*.store")):
            time.sleep(0.002)
        os.kill(pid, signal.SIGKILL)
        killed.set()

    client.wait_for_workers(2)
    pids = list(client.run(os.getpid).values())
    killer = threading.Thread(target=kill, args=(pids[0],))
    killer.start()
    settings = Settings(source="cache", cache_dir=cohort, stores=stores)
    report = build(settings, WITHOUT_CAMERAS, client=client, progress=False)
    killer.join()
    assert killed.is_set()
    assert not report.failed
    assert hashes(stores) == expected
    collect_garbage(stores)
    assert not list((stores / "tmp").iterdir())
