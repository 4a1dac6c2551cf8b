"""Several builders, threads and workers on one folder: the same bytes, nothing lost."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import dask
import pytest

import lsdx
from lsdx.builders import build
from lsdx.builders.upkeep import collect_garbage, verify
from lsdx.config import Settings
from lsdx.demo import write_cohort
from lsdx.errors import RecipeError
from tests.builders.forked import builders
from tests.builders.same import hashes


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("two") / "cohort", n_sessions=3, n_units=8)


@pytest.fixture(scope="module")
def expected(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What one build on one thread gives."""
    stores = tmp_path_factory.mktemp("alone") / "stores"
    settings = Settings(source="cache", cache_dir=cohort, stores=stores)
    with dask.config.set(num_workers=1):
        assert not build(settings, progress=False).failed
    return hashes(stores)


@pytest.fixture(scope="module")
def eids(cohort: Path) -> list[str]:
    from lsdx.sources.cache import CacheSource

    return [s.eid for s in CacheSource(cohort).sessions()]


@pytest.mark.parametrize("n_threads", [2, 5])
def test_threads_do_not_matter(
    cohort: Path, expected: dict[str, str], tmp_path: Path, n_threads: int
) -> None:
    settings = Settings(source="cache", cache_dir=cohort, stores=tmp_path)
    with dask.config.set(num_workers=n_threads):
        build(settings, progress=False)
    assert hashes(tmp_path) == expected


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((), ()),
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
    tmp_path: Path,
    first: tuple[int, ...],
    second: tuple[int, ...],
) -> None:
    stores = tmp_path / "stores"
    with builders(cohort, stores, number=2) as pair:
        for builder, wanted in zip(pair, (first, second), strict=True):
            builder.start(" ".join(eids[i] for i in wanted))
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
    cohort: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    stores = tmp_path / "stores"
    with builders(cohort, stores) as (builder,):
        builder.start()
        builder.wait()
        shutil.rmtree(stores / "parts")
        builder.start()
        while not list(stores.glob("parts/*/*")):
            time.sleep(0.005)
        with pytest.raises(RecipeError, match="a build is running"):
            collect_garbage(stores)
        assert builder.wait() == "found"
    assert hashes(stores) == expected


def test_a_worker_killed_in_mid_task_costs_nothing(
    cohort: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    from distributed import Client, LocalCluster

    stores = tmp_path / "stores"
    killed = threading.Event()

    def kill(pid: int) -> None:
        while not list(stores.glob("tmp/*.store")):
            time.sleep(0.002)
        os.kill(pid, signal.SIGKILL)
        killed.set()

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True
        ) as cluster,
        Client(cluster) as client,
    ):
        pids = list(client.run(os.getpid).values())
        killer = threading.Thread(target=kill, args=(pids[0],))
        killer.start()
        report = build(
            Settings(source="cache", cache_dir=cohort, stores=stores),
            client=client,
            progress=False,
        )
        killer.join()
    assert killed.is_set()
    assert not report.failed
    assert hashes(stores) == expected
    collect_garbage(stores)
    assert not list((stores / "tmp").iterdir())
