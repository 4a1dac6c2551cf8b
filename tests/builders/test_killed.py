"""Builds killed with ``kill -9`` at random moments: nothing published is lost or wrong."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import lsdx
from lsdx.builders import build
from lsdx.builders.upkeep import collect_garbage, verify
from lsdx.config import Settings
from lsdx.demo import write_cohort
from lsdx.errors import StoreNotFound
from tests.builders.forked import Builder, builders
from tests.builders.same import WITHOUT_CAMERAS, hashes


def run(
    builder: Builder, stores: Path, sessions: tuple[str, ...] = (), kill_after: float | None = None
) -> str:
    """Let one build run, killed after so many seconds; tell how it ended."""
    child = builder.start(stores, sessions)
    if kill_after is not None:
        time.sleep(kill_after)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    return builder.wait()


def check(stores: Path, expected: dict[str, np.ndarray]) -> int:
    """Check that all that is published is whole and right; give the number of sessions."""
    try:
        units = lsdx.open_units(stores)
    except StoreNotFound:
        return 0
    counts = units.counts.values
    sessions = units.session.values
    for eid in set(sessions):
        np.testing.assert_array_equal(counts[sessions == eid], expected[eid])
    return len(set(sessions))


def kill_many(tmp_path: Path, times: int, seed: int) -> None:
    cache = write_cohort(tmp_path / "cohort", n_sessions=2, n_units=8)
    whole = Settings(source="cache", cache_dir=cache, stores=tmp_path / "whole")
    build(whole, WITHOUT_CAMERAS, progress=False)
    units = lsdx.open_units(whole.stores)
    values, labels = units.counts.values, units.session.values
    expected = {eid: values[labels == eid] for eid in set(labels)}
    eids = lsdx.open_sessions(whole.stores).session.values.tolist()
    rng = np.random.default_rng(seed)
    stores = tmp_path / "stores"
    ends = []
    with builders(cache) as (builder,):
        start = time.perf_counter()
        assert run(builder, stores) == "built"
        lasts = time.perf_counter() - start
        for i in range(times):
            if i % 5 == 0:  # from nothing, and onto what is there
                shutil.rmtree(stores, ignore_errors=True)  # killed before it made the folder
            if i % 5 == 3:  # a rebuild: a part is gone
                parts = sorted(stores.glob("parts/*/*"))
                if parts:
                    shutil.rmtree(parts[int(rng.integers(len(parts)))])
                    (stores / "catalog.json").unlink(missing_ok=True)
            before = check(stores, expected)
            only = (eids[int(rng.integers(2))],) if rng.random() < 0.3 else ()
            after = float(rng.random() ** 2 * lasts)
            if i == times - 1 and "killed" not in ends:  # all were too late: the first took long
                after = 0.0
            ends.append(run(builder, stores, only, kill_after=after))
            assert check(stores, expected) >= before
        assert "killed" in ends
        assert run(builder, stores) in ("built", "found")
    assert hashes(stores) == hashes(whole.stores)
    collect_garbage(stores)
    assert not list((stores / "tmp").iterdir())
    assert hashes(stores) == hashes(whole.stores)
    assert not [c for c in verify(stores) if c.problem]


def test_a_killed_build_loses_nothing(tmp_path: Path) -> None:
    kill_many(tmp_path, times=5, seed=1)


@pytest.mark.slow
def test_hundreds_of_killed_builds_lose_nothing(tmp_path: Path) -> None:
    kill_many(tmp_path, times=300, seed=2)
