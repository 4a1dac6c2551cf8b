"""Alyx as a source: the real ONE client against a stand-in server on loopback."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import one.params
import pytest

import lsdx
from lsdx.build import build
from lsdx.build.run import to_download
from lsdx.cli import main
from lsdx.config import Settings
from lsdx.demo import write_cohort
from lsdx.errors import ConfigError, SourceError
from lsdx.sources.alyx import _data_login
from tests.build.same import hashes
from tests.sources.alyx_server import PASSWORD, TOKEN, USER, AlyxServer, serving


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sessions, whose list has two pages."""
    return write_cohort(tmp_path_factory.mktemp("alyx") / "cohort", n_sessions=2, n_units=8)


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
    known = one.params.get(client=server.url, silent=True)
    one.params.save(known.set("HTTP_DATA_SERVER", f"{server.url}/data"), server.url)
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
    assert not [r for r in server.requests if "/alf/" in r]
    assert len([r for r in server.requests if "/sessions/" in r]) == 2
    # nothing of the login lies in what was kept
    for secret in (PASSWORD, TOKEN):
        for path in [*settings.stores.rglob("*.json"), *(settings.cache_dir or Path()).glob("*")]:
            assert path.is_dir() or secret.encode() not in path.read_bytes()


def test_a_dry_run_lists_and_fetches_nothing(
    settings: Settings, server: AlyxServer, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--source=alyx", f"--base-url={server.url}", f"--cache-dir={settings.cache_dir}"]
    assert main(["build", *options, f"--stores={settings.stores}", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "spikes.times.npy" in out
    assert "files to download" in out
    assert "raw_ephys_data" not in out  # nothing that no recipe reads
    assert not [r for r in server.requests if "/alf/" in r]
    assert not settings.stores.exists()


def test_an_offline_dry_run_asks_nothing(settings: Settings, server: AlyxServer) -> None:
    with pytest.raises(SourceError, match="Run without --offline"):
        to_download(settings, offline=True)
    assert server.requests == []


def test_a_part_without_an_md5_is_not_gone_on_with(
    settings: Settings, server: AlyxServer, cohort: Path
) -> None:
    """It might be of another version, and nothing would tell."""
    source = next(cohort.rglob("alf/probe00/*/spikes.times.npy"))
    there = (settings.cache_dir or Path()) / source.relative_to(cohort)
    there.parent.mkdir(parents=True)
    there.with_name(there.name + ".part").write_bytes(b"an older version")
    for session in server.sessions:
        for record in session["data_dataset_session_related"]:
            record["hash"] = None
    build(settings, ["spikes"], progress=False)
    assert there.read_bytes() == source.read_bytes()


def test_without_a_login_the_ways_to_give_one_are_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LSDX_ALYX_PASSWORD")
    with pytest.raises(ConfigError, match=r"LSDX_ALYX_PASSWORD, or LSDX_ALYX_TOKEN"):
        build(settings, progress=False)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("LSDX_ALYX_PASSWORD", "guess", "HTTP 400. Correct LSDX_ALYX_USER"),
        ("LSDX_ALYX_TOKEN", "f00d", "HTTP 403. The token has expired"),
    ],
)
def test_a_wrong_login_is_told_and_not_shown(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SourceError, match=words) as caught:
        build(settings, progress=False)
    assert value not in str(caught.value)


def test_a_token_does_as_well(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, expected: Path
) -> None:
    monkeypatch.delenv("LSDX_ALYX_USER")
    monkeypatch.delenv("LSDX_ALYX_PASSWORD")
    monkeypatch.setenv("LSDX_ALYX_TOKEN", TOKEN)
    assert not build(settings, progress=False).failed
    assert hashes(settings.stores) == hashes(expected)


def test_no_network_is_told(settings: Settings) -> None:
    nowhere = replace(settings, base_url="http://127.0.0.1:9")
    with pytest.raises(SourceError, match=r"127.0.0.1:9: expected a connection.*--offline"):
        build(nowhere, progress=False)


def test_an_unknown_project_is_told(settings: Settings) -> None:
    with pytest.raises(SourceError, match=r"sessions of project 'psychics'.*found none"):
        build(replace(settings, project="psychics"), progress=False)


def test_offline_without_records_or_files_is_told(settings: Settings) -> None:
    with pytest.raises(SourceError, match=r"a snapshot of records, found none. Run without"):
        build(settings, offline=True, progress=False)
    build(settings, ["sessions"], progress=False)
    shutil.rmtree(next((settings.cache_dir or Path()).glob("*/Subjects/*/*/*/alf")))
    report = build(settings, offline=True, progress=False)
    assert {x.status for x in report.lines if x.kind == "sessions"} <= {"built", "reused"}


def test_a_snapshot_of_another_project_is_not_taken_for_this_one(settings: Settings) -> None:
    build(settings, ["sessions"], progress=False)
    with pytest.raises(ConfigError, match="--refresh"):
        build(replace(settings, task_protocol="biased"), progress=False)


# ---- a server that falters ------------------------------------------------------------------

SPIKES = r"/data/.*alf/probe00/.*spikes\.times"


@pytest.mark.parametrize(
    ("pattern", "how"),
    [
        ("/sessions/", 500),
        ("/sessions/", "slow"),
        ("/sessions/", 503),
        ("offset=1", 502),
        ("/insertions", 500),
        (SPIKES, 500),
        (SPIKES, "half"),
        (SPIKES, "slow"),
        (SPIKES, "wrong"),
    ],
)
def test_what_falters_once_is_tried_again(
    settings: Settings, server: AlyxServer, expected: Path, pattern: str, how: str | int
) -> None:
    server.stall = 1.0
    server.fail(pattern, how)
    report = build(settings, progress=False)
    assert not report.failed, report.to_text()
    assert server.failures[0].times == 0
    assert hashes(settings.stores) == hashes(expected)
    assert not list((settings.cache_dir or Path()).rglob("*.part"))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (404, "HTTP 404. the data server does not have it"),
        (403, "HTTP 403. the data server refuses you"),
        (500, "HTTP 500"),
        ("wrong", "downloaded twice"),
        ("half", "Run the command again"),
    ],
)
def test_a_file_that_cannot_be_had_is_named_and_the_rest_goes_on(
    settings: Settings, server: AlyxServer, how: str | int, words: str
) -> None:
    server.fail(f"LSDX-A/2023-01-19{SPIKES.removeprefix('/data/')}", how, times=99)
    report = build(settings, progress=False)
    (told,) = [x for x in report.lines if x.status == "failed" and "HTTP" not in x.kind]
    assert words in told.reason
    assert "alf/probe00" in told.reason
    assert lsdx.open_sessions(settings.stores).sizes["session"] == 2

    server.mended()
    assert not build(settings, progress=False).failed
    fetched = [r for r in server.requests if "/data/" in r]
    assert len(fetched) == 1  # what had come was kept


def test_a_download_goes_on_where_it_was_killed(
    settings: Settings, server: AlyxServer, cohort: Path, expected: Path
) -> None:
    source = next(cohort.rglob("alf/probe00/*/spikes.times.npy"))
    there = (settings.cache_dir or Path()) / source.relative_to(cohort)
    there.parent.mkdir(parents=True)
    part = there.with_name(there.name + ".part")
    part.write_bytes(source.read_bytes()[:1000])
    sent = server.sent
    build(settings, progress=False)
    assert server.sent - sent == sum(
        p.stat().st_size
        for p in (settings.cache_dir or Path()).rglob("*")
        if p.is_file() and (p.relative_to(settings.cache_dir or Path()).parts[1:2] == ("Subjects",))
        and "spike_sorters" not in p.parts
    ) - 1000  # fmt: skip
    assert hashes(settings.stores) == hashes(expected)


@pytest.mark.parametrize("how", [404, 500])
def test_a_list_whose_second_page_is_missing_is_no_list(
    settings: Settings, server: AlyxServer, how: int
) -> None:
    server.fail("offset=1", how, times=99)
    with pytest.raises(SourceError, match=f"HTTP {how}"):
        build(settings, progress=False)
    assert not (settings.cache_dir or Path()).joinpath("alyx_records.json").exists()


# ---- records that are odd -------------------------------------------------------------------


def test_records_that_make_no_sense_cost_their_session_alone(
    settings: Settings, server: AlyxServer, tmp_path: Path
) -> None:
    more = write_cohort(tmp_path / "more", n_sessions=4, n_units=8)
    records = json.loads((more / "alyx_records.json").read_text())
    server.root, server.sessions, server.stacks = more, records["sessions"], records["stacks"]
    server.insertions = records["insertions"]
    bad, probes, odd, empty = (s["id"] for s in server.sessions)
    server.sessions[0]["data_dataset_session_related"][0]["collection"] = "../../elsewhere"
    twin = copy.deepcopy(next(i for i in server.insertions if i["session"] == probes))
    server.insertions.append(twin | {"id": str(uuid4())})
    server.sessions[2]["extended_qc"] = None
    for insertion in server.insertions:
        if insertion["session"] == odd:
            insertion["json"] = None
    for dataset in server.sessions[2]["data_dataset_session_related"]:
        if dataset["collection"].startswith("raw_ephys_data"):
            dataset["data_url"] = None
    server.sessions[3]["data_dataset_session_related"] = []
    report = build(settings, progress=False)
    failed = {x.session: x.reason for x in report.lines if x.status == "failed"}
    assert set(failed) == {bad, probes}
    assert "../../elsewhere" in failed[bad]
    assert "insertions of distinct probe" in failed[probes]
    sessions = lsdx.open_sessions(settings.stores)
    assert set(sessions.session.values) == {odd, empty}
    status = sessions.status.sel(session=odd)
    assert status.sel(dataset="ephys/probe00/raw_ap").item() == "raw data missing"
    assert (sessions.status.sel(session=empty) == "raw data missing").all()


def test_a_session_that_cannot_be_read_is_left_out_and_named(
    settings: Settings, server: AlyxServer
) -> None:
    eid = server.sessions[1]["id"]
    server.fail(f"/sessions/{eid}", 500, times=99)
    report = build(settings, progress=False)
    (line,) = [x for x in report.lines if x.status == "failed"]
    assert (line.session, line.kind) == (eid, "records")
    assert "HTTP 500" in line.reason
    assert lsdx.open_sessions(settings.stores).sizes["session"] == 1
    server.mended()
    assert not build(settings, refresh=True, progress=False).failed
    # one that cannot be read now is not gone
    server.fail(f"/sessions/{eid}", 404, times=99)
    report = build(settings, refresh=True, prune=True, progress=False)
    assert report.failed
    assert not any("--prune" in note for note in report.notes)
    assert lsdx.open_sessions(settings.stores).sizes["session"] == 2


def test_a_login_goes_to_its_server_alone(settings: Settings, server: AlyxServer) -> None:
    known = one.params.get(client=server.url, silent=True)
    known = known.set("HTTP_DATA_SERVER_LOGIN", "me").set("HTTP_DATA_SERVER_PWD", "secret")
    one.params.save(known, server.url)
    ((start, login),) = _data_login(server.url).items()
    assert login == ("me", "secret")
    assert f"{server.url}/data/a".startswith(start)
    # an address that only begins alike is another's
    assert not f"{server.url}/data.elsewhere.org/a".startswith(start)
    assert _data_login("http://127.0.0.1:9") == {}


def test_odd_addresses_sizes_and_json_cost_nothing_else(
    settings: Settings, server: AlyxServer
) -> None:
    first, second = server.sessions
    first["json"] = "text"
    spikes = [
        d
        for d in first["data_dataset_session_related"]
        if d["name"] == "spikes.times.npy" and d["collection"].startswith("alf/probe00")
    ]
    spikes[0] |= {"file_size": 0, "hash": None}
    other = [
        d
        for d in second["data_dataset_session_related"]
        if d["name"] == "spikes.times.npy" and d["collection"].startswith("alf/probe00")
    ]
    other[0]["data_url"] = "http://[no/address"
    slashed = replace(settings, base_url=f"{server.url}/")
    report = build(slashed, progress=False)
    failed = {x.session for x in report.lines if x.status == "failed"}
    assert failed == {first["id"], second["id"]}
    assert all("alf/probe00" in x.reason for x in report.lines if x.status == "failed")
    assert lsdx.open_sessions(settings.stores).sizes["session"] == 2
    assert lsdx.open_units(settings.stores).sizes["unit"] > 0
    build(settings, progress=False)  # with or without the slash it is one database


def test_an_answer_that_is_not_alyx_is_told(settings: Settings, server: AlyxServer) -> None:
    with pytest.raises(SourceError, match="expected an answer"):
        build(replace(settings, base_url=f"{server.url}/data"), progress=False)


def test_a_damaged_snapshot_is_named(settings: Settings) -> None:
    build(settings, ["sessions"], progress=False)
    path = (settings.cache_dir or Path()) / "alyx_records.json"
    path.write_text(path.read_text()[:1000])
    with pytest.raises(SourceError, match=r"alyx_records.json"):
        build(settings, progress=False)
    assert not build(settings, refresh=True, progress=False).failed
    with pytest.raises(ConfigError, match=r"records of source http://127.0.0.1:9"):
        build(replace(settings, base_url="http://127.0.0.1:9"), progress=False)


def test_one_insertion_of_two_sessions_costs_the_second(
    settings: Settings, server: AlyxServer
) -> None:
    first, second = (s["id"] for s in server.sessions)
    mine = next(i for i in server.insertions if i["session"] == first)
    other = next(i for i in server.insertions if i["session"] == second)
    other["id"] = mine["id"]
    report = build(settings, progress=False)
    (line,) = [x for x in report.lines if x.kind == "records"]
    assert line.session == second
    assert mine["id"] in line.reason


@pytest.mark.parametrize(
    ("names", "stage"),
    [
        (None, "unknown"),  # the server falls silent
        ([], "no-stacks"),
        (["m_RD.tif", "m_RD2.tif"], "no-stacks"),
        (["m_RD.tif", "m_GR.tif", "readme.txt"], "no-tracing"),
    ],
)
def test_image_stacks_are_there_or_not_or_not_known(
    settings: Settings, server: AlyxServer, names: list[str] | None, stage: str
) -> None:
    (subject,) = {s["subject"] for s in server.sessions}
    server.stacks = {subject: names}
    for insertion in server.insertions:
        insertion["json"] = None
    build(settings, ["insertions"], progress=False)
    insertions = lsdx.open_insertions(settings.stores)
    assert set(insertions.histology_stage.values) == {stage}
    asked = {r for r in server.requests if "/histology/" in r}
    assert len(asked) == 1  # a folder a subject, not a session
