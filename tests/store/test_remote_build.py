"""Builds, upkeep and results in an object store: the promises of a folder hold there.

Stores in memory take the same way as those on a server, and a fraction of the time.
"""

from __future__ import annotations

import contextlib
import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import lsdx
from lsdx import remote
from lsdx.analysis.dimensionality import dimensionality
from lsdx.builders import build, placing, publish
from lsdx.builders.copying import copy_stores
from lsdx.builders.report import Report
from lsdx.builders.upkeep import collect_garbage, keep_tag, remove_tag, tags, verify
from lsdx.cli import main
from lsdx.config import Settings
from lsdx.errors import ArgumentError, LsdxError, RecipeError, StoreCorrupt, StoreNotFound
from lsdx.remote import RemotePath, remote_path
from lsdx.results import analyse, open_result
from lsdx.store.access import read_store
from lsdx.store.place import Place
from tests.builders.same import WITHOUT_CAMERAS
from tests.store.conftest import Proxy

pytestmark = pytest.mark.filterwarnings("ignore")  # of the server


def built(
    cache: Path, stores: Path | RemotePath, sessions: list[str] | None = None, **more: Any
) -> Report:
    """Build without cameras."""
    settings = Settings(source="cache", cache_dir=cache, stores=stores)
    names = more.pop("names", WITHOUT_CAMERAS)
    return build(settings, names, sessions=sessions or (), progress=False, **more)


@pytest.fixture(scope="module")
def local(cache: Path) -> Path:
    """Build in a folder: what is expected at every address."""
    assert not built(cache, cache.parent / "stores").failed
    return cache.parent / "stores"


@pytest.fixture(scope="module")
def eids(local: Path) -> list[str]:
    found: list[str] = lsdx.open_sessions(local).session.values.tolist()
    return found


@pytest.fixture(scope="module")
def there(cache: Path, server: str) -> RemotePath:
    """Build at an address."""
    assert not built(cache, remote_path("s3://lab/built")).failed
    return remote_path("s3://lab/built")


def same(found: Path | RemotePath, expected: Path) -> None:
    """Check that stores are those expected, whole, by the digest of their catalog."""
    assert Place(found).catalog().digest == Place(expected).catalog().digest
    assert not [c for c in verify(found) if c.problem]


def test_a_build_at_an_address_is_that_of_a_folder(
    there: RemotePath, local: Path, cache: Path
) -> None:
    same(there, local)
    assert {line.status for line in built(cache, there).lines} == {"reused"}
    report = Place(there).path / "report.json"
    assert '"failed"' not in report.read_text().split('"trace"')[0]
    # of what is written while it runs nothing is left
    assert not (there / "tmp").objects()


def test_memory_is_an_address_of_this_process(local: Path, cache: Path) -> None:
    stores = remote_path("memory://cohort")
    built(cache, stores)
    same(stores, local)
    xr.testing.assert_identical(lsdx.open_units("memory://cohort"), lsdx.open_units(local))


def test_a_file_address_is_the_folder(local: Path) -> None:
    found = lsdx.open_units(local.as_uri())
    xr.testing.assert_identical(found, lsdx.open_units(local))


def test_commands_take_an_address(
    there: RemotePath, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--stores", "memory://commands"]
    assert main(["build", *where, "--source", "cache", "--cache-dir", str(cache), "units"]) == 0
    assert main(["tag", "mine", *where]) == 0
    assert main(["tag", *where]) == 0
    assert main(["verify", *where]) == 0
    assert "none damaged" in capsys.readouterr().out
    assert main(["gc", "--grace", "0", *where]) == 0
    assert "0 removed" in capsys.readouterr().out
    assert main(["gc", "--grace", "-1", *where]) == 1
    assert "a number of days" in capsys.readouterr().err
    assert main(["check", "--stores", str(there)]) == 0


def test_results_are_kept_at_the_address(there: RemotePath) -> None:
    names = ["dimensionality"]
    assert [r.status for r in analyse(names, stores=there)] == ["computed"]
    assert [r.status for r in analyse(names, stores=there)] == ["found"]
    found = open_result("dimensionality", stores=there)
    expected = dimensionality(lsdx.open_units(there)).compute()
    np.testing.assert_array_equal(found.ngsc, expected.ngsc)


def test_who_comes_second_publishes_both(
    cache: Path, server: str, local: Path, eids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = remote_path("memory://second")
    commit, n = placing.replace_catalog, []

    def late(*arguments: Any) -> None:
        n.append(1)
        if len(n) == 1:  # while the first is about to publish, another does
            built(cache, stores, eids[1:])
        commit(*arguments)

    monkeypatch.setattr(publish, "replace_catalog", late)
    built(cache, stores, eids[:1])
    assert len(n) == 3  # of the first, of the other, of the first again
    same(stores, local)


class Stopped(BaseException):
    """What stops a build as a kill would: nothing of lsdx catches it."""


def stopped_after(monkeypatch: pytest.MonkeyPatch, n: int) -> list[str]:
    """Let the process be dead from the n-th write on."""
    write, written = RemotePath.write_bytes, []

    def dying(self: RemotePath, data: bytes, **more: Any) -> None:
        if len(written) >= n:
            raise Stopped
        written.append(str(self))
        write(self, data, **more)

    monkeypatch.setattr(RemotePath, "write_bytes", dying)
    return written


def kill_many(
    cache: Path, local: Path, eids: list[str], patch: pytest.MonkeyPatch, times: int
) -> None:
    """Stop builds after a random number of writes, from nothing and onto what is there."""
    rng = np.random.default_rng(11)
    one = lsdx.open_units(local).counts.values
    labels = lsdx.open_units(local).session.values
    stores = remote_path("memory://count")
    written = stopped_after(patch, 10**6)
    built(cache, stores)
    patch.undo()
    for i in range(times):
        stores = remote_path(f"memory://killed-{i}")
        published: set[str] = set()
        if i % 2:
            built(cache, stores, eids[:1])
            published = {eids[0]}
        stopped_after(patch, int(rng.integers(1, len(written))))
        with contextlib.suppress(Stopped):
            built(cache, stores)
        patch.undo()
        try:
            units = lsdx.open_units(stores)
        except StoreNotFound:
            assert not published
        else:
            assert published <= set(units.session.values)
            expected = one[np.isin(labels, units.session.values)]
            np.testing.assert_array_equal(units.counts.values, expected)
            assert not [c for c in verify(stores) if c.problem]
        built(cache, stores)
        same(stores, local)
        remote._connected.cache_clear()


def test_a_build_that_is_stopped_leaves_what_was_published(
    cache: Path, local: Path, eids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_many(cache, local, eids, monkeypatch, times=2)


@pytest.mark.slow
def test_a_build_that_is_stopped_50_times(
    cache: Path, local: Path, eids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_many(cache, local, eids, monkeypatch, times=50)


def flip_many(stores: RemotePath, expected: Path, times: int) -> None:
    """Flip a bit of an object, read what it belongs to, and put it back."""
    rng = np.random.default_rng(12)
    entries = Place(stores).catalog().entries()
    whole: dict[str, xr.Dataset] = {}
    refused = right = 0
    for _ in range(times):
        entry = entries[int(rng.integers(len(entries)))]
        if entry.path not in whole:
            whole[entry.path] = read_store(Place(expected), entry)
        path = stores / entry.path
        files = [o.path for o in path.objects()] or [path]
        file = files[int(rng.integers(len(files)))]
        raw = file.read_bytes()
        changed = bytearray(raw)
        place = int(rng.integers(len(raw) * 8))
        changed[place // 8] ^= 1 << (place % 8)
        file.write_bytes(bytes(changed))
        try:
            found = read_store(Place(stores), entry)
        except StoreCorrupt as error:
            refused += entry.path.split("/")[-2] in str(error)
        else:
            assert file.name == "zarr.json"  # read from the catalog, not from there
            xr.testing.assert_identical(found, whole[entry.path])
            right += 1
        file.write_bytes(raw)
    assert refused + right == times
    assert refused > right


def test_flipped_bits_are_refused_by_name(there: RemotePath, local: Path) -> None:
    flip_many(there, local, times=40)


@pytest.mark.slow
def test_500_flipped_bits_are_refused_by_name(there: RemotePath, local: Path) -> None:
    flip_many(there, local, times=500)


def test_what_is_damaged_is_found_and_built_again(cache: Path, local: Path, server: str) -> None:
    stores = remote_path("memory://mended")
    copy_stores(local, stores)
    entry = Place(stores).catalog().flat["units"]
    cut = stores / entry.path / "region" / "c" / "0"
    cut.write_bytes(cut.read_bytes()[:-3])
    with pytest.raises(StoreCorrupt, match=r"region, chunk 0.*lsdx build"):
        lsdx.open_units(stores)
    (problem,) = [c for c in verify(stores) if c.problem]
    assert problem.store == entry.path
    built(cache, stores)
    same(stores, local)


def test_gc_spares_what_is_young_named_tagged_or_was_current_a_while_ago(
    cache: Path, server: str, eids: list[str]
) -> None:
    stores = remote_path("memory://gc")
    built(cache, stores)
    keep_tag(stores, "kept")
    assert tags(stores) == ["kept"]
    with pytest.raises(RecipeError, match="a new tag"):
        keep_tag(stores, "kept")
    held = lsdx.open_units(stores)
    first = Place(stores).catalog()
    fewer = [line for line in built(cache, stores, names=["units"]).lines if line.kind == "units"]
    assert fewer
    old = {o.path.key for o in stores.objects()}
    assert collect_garbage(stores, grace=0) == []  # the tag names all
    remove_tag(stores, "kept")
    with pytest.raises(StoreNotFound, match="a tag, one of: none"):
        remove_tag(stores, "kept")
    # another catalog: of one session, as if the other had been pruned
    parts = {n: {e: v for e, v in p.items() if e == eids[0]} for n, p in first.parts.items()}
    other = placing.Catalog(first.simulated, first.recipes, parts, {}, first.protocol)
    placing.replace_catalog(stores, other, first, placing.catalog_version(stores))
    assert collect_garbage(stores) == []  # nothing is a week old
    assert float(held.counts.sum()) > 0  # what was opened stays readable
    listed = collect_garbage(stores, grace=0, dry_run=True)
    assert {n.split("/")[0] for n in listed} == {"flat", "parts", "past"}
    assert all(eids[1] in n for n in listed if n.startswith("parts"))
    assert {o.path.key for o in stores.objects()} - old  # past catalogs
    assert collect_garbage(stores, grace=0) == listed
    assert not [c for c in verify(stores) if c.problem]
    with pytest.raises(LsdxError):
        held.counts.sum().compute()
    with pytest.raises(ArgumentError, match="a number of days"):
        collect_garbage(stores, grace=float("nan"))


def test_a_build_tells_that_gc_took_what_it_found(
    cache: Path, server: str, eids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one race that no lock excludes: told, and mended by the next build."""
    stores = remote_path("memory://race")
    built(cache, stores, eids[:1])
    before = Place(stores).catalog().digest
    monkeypatch.setattr(publish, "replace_catalog", lambda *_: None)
    built(cache, stores)  # finished parts that nothing names
    monkeypatch.undo()
    renew = placing._renew

    def slow(path: RemotePath) -> None:
        renew(path)
        if eids[1] in str(path) and "/spikes/" in str(path):
            collect_garbage(stores, grace=0)

    monkeypatch.setattr(placing, "_renew", slow)
    with pytest.raises(StoreNotFound, match=r"lsdx gc has removed.*Build again"):
        built(cache, stores)
    monkeypatch.undo()
    past = [o.path.name for o in (stores / "past").objects()]
    assert Place(stores).catalog().digest == before or f"{before}.json" in past
    built(cache, stores)
    assert not [c for c in verify(stores) if c.problem]


def refuse(
    answers: list[tuple[int, str, str]], cache: Path, local: Path, eids: list[str], proxy: Proxy
) -> None:
    """Refuse what is written from the fourth object on: nothing is lost, a rerun finishes."""
    stores = remote_path(f"s3://lab/refused-{answers[0][0]}")
    few = {"names": ["epochs"]}
    built(cache, stores, eids[:1], **few)
    before = Place(stores).catalog().digest
    for status, code, told in answers:
        puts: list[str] = []

        def late(
            method: str, path: str, puts: list[str] = puts, answer: tuple[int, str] = (status, code)
        ) -> tuple[int, str] | None:
            if method == "PUT":
                puts.append(path)
            return answer if method == "PUT" and len(puts) > 3 else None

        proxy.rule = late
        try:
            reasons = "; ".join(line.reason for line in built(cache, stores, **few).lines)
        except LsdxError as error:
            reasons = str(error)
        assert told in reasons
        proxy.rule = lambda *_: None
        assert Place(stores).catalog().digest == before
    built(cache, stores, **few)
    xr.testing.assert_equal(lsdx.open_epochs(stores), lsdx.open_epochs(local))


def test_a_server_that_refuses_in_mid_build(
    cache: Path, local: Path, eids: list[str], proxy: Proxy
) -> None:
    answers = [(403, "AccessDenied", "permission to write"), (400, "ExpiredToken", "ExpiredToken")]
    refuse(answers, cache, local, eids, proxy)


@pytest.mark.slow
def test_a_server_that_is_overloaded_in_mid_build(
    cache: Path, local: Path, eids: list[str], proxy: Proxy
) -> None:
    refuse([(503, "SlowDown", "an answer")], cache, local, eids, proxy)


@pytest.mark.parametrize(
    ("method", "kind", "told"),
    [("GET", "list-type", "permission to list"), ("GET", "catalog", "permission to read")],
)
def test_what_may_not_be_done_is_named(
    method: str, kind: str, told: str, there: RemotePath, proxy: Proxy
) -> None:
    proxy.rule = lambda m, path: (403, "AccessDenied") if m == method and kind in path else None
    do = Place(there).tags if kind == "list-type" else Place(there).catalog
    with pytest.raises(StoreNotFound, match=told):
        do()


def test_a_server_that_falls_silent(
    there: RemotePath, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_CLIENT", {"timeout": "1s", "connect_timeout": "1s"})
    proxy.rule = lambda *_: proxy.closing.wait(20) and None  # type: ignore[func-returns-value]
    began = time.monotonic()
    with pytest.raises(StoreNotFound, match="expected an answer"):
        lsdx.open_units(there)
    assert time.monotonic() - began < 10


def test_few_requests_open_a_cohort(there: RemotePath, proxy: Proxy) -> None:
    lsdx.open_units(there)
    labels = len(Place(there).catalog().flat["units"].metadata) - 1
    small = len(Place(there).catalog().flat["counts"].metadata) - 1
    assert len(proxy.asked) - 2 <= 1 + labels + small  # two of them are the catalogs read here
    assert not [p for _, p in proxy.asked if p.endswith("zarr.json") or "list-type" in p]
    units = lsdx.open_units(there)
    proxy.asked.clear()
    units.isel(unit=slice(0, 4)).sel(phase="pre", epoch="rfm").counts.compute()
    assert len(proxy.asked) == 1  # one chunk


def test_nothing_of_the_login_is_in_what_is_written(there: RemotePath) -> None:
    for found in there.objects():
        data = found.path.read_bytes()
        assert b"a-key-id" not in data
        assert b"a-secret" not in data
    assert b"a-secret" not in pickle.dumps(lsdx.open_units(there))
