"""Alyx as a source: the real ONE client against a stand-in server on loopback."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import lsdx
from lsdx.build import build
from lsdx.config import Settings
from lsdx.demo import write_cohort
from tests.build.same import hashes
from tests.sources.alyx_server import PASSWORD, TOKEN, USER, AlyxServer, serving


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four sessions, so that their list has two pages."""
    return write_cohort(tmp_path_factory.mktemp("alyx") / "cohort", n_sessions=4, n_units=8)


@pytest.fixture(scope="module")
def expected(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a build from the cohort's own cache gives."""
    stores = tmp_path_factory.mktemp("expected") / "stores"
    build(Settings(source="cache", cache_dir=cohort, stores=stores), progress=False)
    return stores


@pytest.fixture
def server(cohort: Path) -> Iterator[AlyxServer]:
    with serving(cohort) as state:
        yield state


@pytest.fixture
def settings(
    server: AlyxServer, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Settings of an empty cache, the lab's tables and what no record lists already in it."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LSDX_ALYX_USER", USER)
    monkeypatch.setenv("LSDX_ALYX_PASSWORD", PASSWORD)
    monkeypatch.setattr("lsdx.sources.download.BACKOFF", 0.01)
    monkeypatch.setattr("lsdx.sources.download.TIMEOUT", (5, 0.5))
    monkeypatch.setattr("lsdx.sources.alyx.TIMEOUT", (5, 0.5))
    cache = tmp_path / "cache"
    cache.mkdir()
    for path in cohort.iterdir():
        if path.suffix in (".toml", ".csv"):
            shutil.copy(path, cache)
    for folder in cohort.glob("*/Subjects/*/*/*/spike_sorters"):
        shutil.copytree(folder, cache / folder.relative_to(cohort))
    return Settings(source="alyx", base_url=server.url, cache_dir=cache, stores=tmp_path / "stores")


def test_a_build_over_http_gives_the_same_bytes(
    settings: Settings, server: AlyxServer, expected: Path
) -> None:
    report = build(settings, progress=False)
    assert not report.failed, report.to_text()
    assert hashes(settings.stores) == hashes(expected)
    assert lsdx.open_units(settings.stores).attrs["simulated"] == 1

    server.requests.clear()
    again = build(settings, progress=False)
    assert not again.failed
    assert server.requests == []  # neither records nor files are asked for again
    elsewhere = replace(settings, stores=settings.stores.with_name("elsewhere"))
    build(elsewhere, offline=True, progress=False)
    assert server.requests == []
    assert hashes(elsewhere.stores) == hashes(expected)
    build(settings, refresh=True, progress=False)
    assert not [r for r in server.requests if "/data/" in r]
    assert len([r for r in server.requests if "/sessions/" in r]) == 4
    # nothing of the login lies in what was kept
    for secret in (PASSWORD, TOKEN):
        for path in [*settings.stores.rglob("*.json"), *(settings.cache_dir or Path()).glob("*")]:
            assert path.is_dir() or secret.encode() not in path.read_bytes()
