"""Stores in an object store: a loopback S3 holds what a folder holds, and refuses what it must."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import xarray as xr

import lsdx
from lsdx import remote
from lsdx.builders import build, copying
from lsdx.builders.copying import copy_stores
from lsdx.builders.upkeep import keep_tag, verify
from lsdx.cli import main
from lsdx.config import Settings, load_settings
from lsdx.errors import (
    ConfigError,
    MissingPackage,
    RecipeError,
    StoreCorrupt,
    StoreNotFound,
)
from lsdx.remote import RemotePath, remote_path
from lsdx.store.catalog import Entry
from lsdx.store.place import Place
from tests.builders.same import WITHOUT_CAMERAS

pytestmark = pytest.mark.filterwarnings("ignore")  # of the server

OPENERS = (
    lsdx.open_sessions,
    lsdx.open_insertions,
    lsdx.open_epochs,
    lsdx.open_units,
    lsdx.open_spikes,
)


@pytest.fixture(scope="module")
def stores(cache: Path) -> Path:
    """Build small stores of two sessions, without cameras."""
    folder = cache.parent
    settings = Settings(source="cache", cache_dir=cache, stores=folder / "stores")
    assert not build(settings, WITHOUT_CAMERAS, progress=False).failed
    return folder / "stores"


@pytest.fixture(scope="module")
def cohort(server: str, stores: Path) -> str:
    """Copy the stores to the server."""
    done = copy_stores(stores, "s3://lab/cohort")
    assert done.found == 0
    assert done.copied == len(Place(stores).catalog().entries())
    return "s3://lab/cohort"


@pytest.mark.parametrize("opener", OPENERS, ids=lambda f: f.__name__)
def test_what_is_opened_is_what_the_folder_holds(opener: object, cohort: str, stores: Path) -> None:
    there, here = opener(cohort), opener(stores)  # type: ignore[operator]
    xr.testing.assert_identical(there, here)
    assert {n for n, v in there.variables.items() if hasattr(v.data, "dask")} == {
        n for n, v in here.variables.items() if hasattr(v.data, "dask")
    }


def test_a_worker_opens_it_with_its_own_environment(cohort: str, tmp_path: Path) -> None:
    rate = lsdx.open_units(cohort).sel(phase="pre", epoch="rfm").counts.mean()
    file = tmp_path / "task.pickle"
    file.write_bytes(pickle.dumps(rate))
    assert b"a-key-id" not in file.read_bytes()
    assert b"a-secret" not in file.read_bytes()
    code = f"import pickle; print(float(pickle.load(open({str(file)!r}, 'rb')).compute()))"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert float(run.stdout) == pytest.approx(float(rate.compute()))


def test_it_is_not_copied_twice_and_comes_back_whole(
    cohort: str, stores: Path, tmp_path: Path
) -> None:
    again = copy_stores(stores, cohort)
    assert (again.copied, again.bytes) == (0, 0)
    assert copy_stores(cohort, tmp_path / "back").copied == again.found
    assert not [c for c in verify(tmp_path / "back") if c.problem]
    digest = Place(stores).catalog().digest
    assert Place(tmp_path / "back").catalog().digest == digest
    assert copy_stores(cohort, tmp_path / "back").copied == 0


def test_a_tag_is_copied_as_one(cohort: str, stores: Path, tmp_path: Path, server: str) -> None:
    copy_stores(cohort, tmp_path / "mine")
    keep_tag(tmp_path / "mine", "paper")
    copy_stores(tmp_path / "mine", "s3://lab/paper", tag="paper")
    assert Place(remote_path("s3://lab/paper")).tags() == ["paper"]
    opened = lsdx.open_sessions("s3://lab/paper", tag="paper")
    xr.testing.assert_identical(opened, lsdx.open_sessions(stores))
    lsdx.open_sessions("s3://lab/paper")  # where nothing was, it is the current one too


def test_a_copy_that_was_stopped_publishes_nothing_and_goes_on(
    stores: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, done = copying.place_store, []

    def stopping(root: RemotePath, local: Path, entry: Entry) -> tuple[Entry, bool]:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(local)
        return place(root, local, entry)

    monkeypatch.setattr(copying, "place_store", stopping)
    with pytest.raises(KeyboardInterrupt):
        copy_stores(stores, "s3://lab/stopped")
    with pytest.raises(StoreNotFound, match="a catalog, found none"):
        lsdx.open_units("s3://lab/stopped")
    monkeypatch.undo()
    assert copy_stores(stores, "s3://lab/stopped").found == 3
    assert lsdx.open_units("s3://lab/stopped").sizes["unit"] > 0


def test_another_byte_is_refused_by_name(stores: Path, server: str, tmp_path: Path) -> None:
    address = "s3://lab/damaged"
    copy_stores(stores, address)
    files = [o.path for o in (remote_path(address) / "flat").objects()]
    region = [f for f in files if "/units.zarr/region/" in str(f)]
    assert {f.name for f in region} == {"zarr.json", "0"}
    for victim in region:
        whole = victim.read_bytes()
        data = bytearray(whole)
        data[len(data) // 2] ^= 1
        victim.write_bytes(bytes(data))
        if victim.name == "0":  # the rest is read from the catalog
            with pytest.raises(StoreCorrupt, match=r"units\.zarr, region.*copy it there again"):
                lsdx.open_units(address)
        with pytest.raises(StoreCorrupt, match=f"{address}/flat/units"):
            copy_stores(address, tmp_path / "back")
        assert not (tmp_path / "back" / "catalog.json").exists()
        victim.write_bytes(whole)
    lsdx.open_units(address)


def test_what_has_other_sessions_is_not_replaced(
    cohort: str, server: str, tmp_path: Path, stores: Path
) -> None:
    one = lsdx.open_sessions(cohort).session.values[:1].tolist()
    made = stores.parent / "cohort"
    settings = Settings(source="cache", cache_dir=made, stores=tmp_path / "one")
    build(settings, sessions=one, names=["sessions"], progress=False)
    with pytest.raises(RecipeError, match="sessions that the source has too, found 1 others"):
        copy_stores(tmp_path / "one", cohort)
    copy_stores(tmp_path / "one", "s3://lab/one")
    assert lsdx.open_sessions("s3://lab/one").session.values.tolist() == one


def test_a_stale_writer_is_refused(server: str) -> None:
    path = remote_path("s3://lab/stale") / "catalog.json"
    path.write_bytes(b"first", instead_of={})
    seen = path.version()
    path.write_bytes(b"second", instead_of=seen)
    for stale in (seen, {}):
        with pytest.raises(StoreNotFound, match="Somebody else published meanwhile"):
            path.write_bytes(b"third", instead_of=stale)
    assert path.read_bytes() == b"second"


def test_settings_take_an_address(
    cohort: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lsdx.toml").write_text(f'stores = "{cohort}"')
    assert str(load_settings().stores) == cohort
    assert lsdx.open_sessions().sizes["session"] == 2
    assert main(["info"]) == 0
    assert f"{cohort}: catalog" in capsys.readouterr().out
    assert main(["doctor"]) == 0
    assert cohort in capsys.readouterr().out
    (tmp_path / "lsdx.toml").unlink()
    monkeypatch.setenv("LSDX_STORES", f"{cohort}/")
    assert str(load_settings().stores) == cohort
    assert main(["copy", cohort, str(tmp_path / "back")]) == 0
    assert "were there" in capsys.readouterr().out


def test_options_stand_in_the_settings_where_the_environment_says_nothing(
    cohort: str, server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An address in a call, in the settings, and a task on another machine are all read so."""
    monkeypatch.chdir(tmp_path)
    expected = lsdx.open_units(cohort).counts.sum().compute()
    for name in ("AWS_ENDPOINT", "AWS_ALLOW_HTTP", "AWS_REGION"):
        monkeypatch.delenv(name)
    text = (
        f'[storage]\naws_endpoint = "{server}"\naws_allow_http = true\nazure_use_emulator = true\n'
    )
    (tmp_path / "lsdx.toml").write_text(text)
    total = lsdx.open_units(cohort).counts.sum()
    xr.testing.assert_identical(total.compute(), expected)
    path = load_settings(stores=cohort).stores
    assert isinstance(path, RemotePath)
    assert path.is_dir()
    (tmp_path / "lsdx.toml").unlink()
    (tmp_path / "total.pickle").write_bytes(pickle.dumps(total))
    code = "import pickle; print(int(pickle.load(open('total.pickle', 'rb')).compute()))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert int(run.stdout) == int(expected)
    (tmp_path / "lsdx.toml").write_text('[storage]\naws_nonsense = "1"\n')
    with pytest.raises(ConfigError, match=r"aws_nonsense.*\[storage\] of the settings"):
        lsdx.open_units(cohort)


@pytest.mark.parametrize(
    "address", ["s3://me:hidden@lab/x", "https://lab.blob.org/x?sig=hidden", "az://lab?sig=hidden"]
)
def test_a_login_in_an_address_is_refused_and_not_shown(address: str) -> None:
    with pytest.raises(ConfigError, match="found one with a login or a query") as told:
        lsdx.open_units(address)
    assert "hidden" not in str(told.value)


def test_what_opens_files_says_where_it_was_given_an_address(cohort: str) -> None:
    with pytest.raises(ConfigError, match="a folder of this machine"):
        Path(remote_path(cohort))


@pytest.mark.parametrize(
    ("address", "error", "told"),
    [
        ("s3://nobucket/x", StoreNotFound, "s3://nobucket/x: expected a bucket, found none"),
        ("s3://lab/nothing", StoreNotFound, "s3://lab/nothing/catalog.json: expected a catalog"),
        ("ftp://lab/x", ConfigError, "one of s3, gs, az"),
        ("az://lab/x", ConfigError, "an address and its options"),
    ],
)
def test_addresses_that_cannot_be_opened(
    address: str, error: type[Exception], told: str, server: str
) -> None:
    with pytest.raises(error, match=told):
        lsdx.open_units(address)


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch, cohort: str, server: str) -> None:
    monkeypatch.setattr(remote, "_RETRY", {"max_retries": 0})
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(StoreNotFound, match="expected an answer"):
        lsdx.open_units(cohort)
    monkeypatch.setenv("AWS_ENDPOINT", server)  # what was wrong is not kept
    assert lsdx.open_units(cohort).sizes["unit"] > 0


class Quiet(SimpleHTTPRequestHandler):
    """A web server of files: it lists nothing as WebDAV does."""

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def test_stores_are_opened_from_a_web_server(
    stores: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(remote, "_RETRY", {"max_retries": 0})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(stores))) as web:
        threading.Thread(target=web.serve_forever).start()
        try:
            address = f"http://127.0.0.1:{web.server_port}"
            there, here = lsdx.open_units(address), lsdx.open_units(stores)
            xr.testing.assert_identical(there.load(), here.load())
            assert copy_stores(address, tmp_path / "near").found == 0
            near, whole = Place(tmp_path / "near").catalog(), Place(stores).catalog()
            assert near.digest == whole.digest
            assert not [c for c in verify(tmp_path / "near") if c.problem]
            with pytest.raises(StoreNotFound, match="Most web servers list nothing"):
                verify(remote_path(address))
        finally:
            web.shutdown()


def test_the_package_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(MissingPackage, match=r"pip install 'lsdx\[cloud\]'"):
        lsdx.open_units("s3://never/opened")
