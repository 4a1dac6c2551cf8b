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
from lsdx.builders import build
from lsdx.builders.run import to_download
from lsdx.cli import main
from lsdx.config import Settings
from lsdx.demo import write_cohort
from lsdx.errors import ConfigError, SourceError
from lsdx.sources import open_source
from lsdx.sources.connection import LOGIN_TIMEOUT, data_login
from lsdx.sources.download import N_THREADS
from tests.builders.same import hashes
from tests.sources.alyx_server import PASSWORD, TOKEN, USER, AlyxServer, serving

pytestmark = pytest.mark.usefixtures("without_behavior")


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


@pytest.fixture(scope="module")
def expected_units(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a build of units and what they need gives from the cohort's own cache."""
    stores = tmp_path_factory.mktemp("expected") / "stores"
    build(Settings(source="cache", cache_dir=cohort, stores=stores), ["units"], progress=False)
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
    monkeypatch.setattr("lsdx.sources.connection.TIMEOUT", (5, 0.5))
    monkeypatch.setattr("lsdx.sources.snapshot.TIMEOUT", (5, 0.5))
    cache = stocked(tmp_path / "cache", cohort)
    return Settings(source="alyx", base_url=server.url, cache_dir=cache, stores=tmp_path / "stores")


def stocked(cache: Path, cohort: Path) -> Path:
    """Lay what no server has into an empty cache."""
    cache.mkdir()
    for path in cohort.iterdir():
        if path.suffix in (".toml", ".csv"):
            shutil.copy(path, cache)
    for folder in cohort.glob("*/Subjects/*/*/*/spike_sorters"):
        shutil.copytree(folder, cache / folder.relative_to(cohort))
    return cache


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
    kept = [*settings.stores.rglob("*.json"), *(settings.cache_dir or Path()).glob("*")]
    kept += list(Path.home().rglob("*"))
    for secret in (PASSWORD, TOKEN):
        assert not [p for p in kept if p.is_file() and secret.encode() in p.read_bytes()]


def test_a_dry_run_lists_and_fetches_nothing(
    settings: Settings, server: AlyxServer, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--source=alyx", f"--base-url={server.url}", f"--cache-dir={settings.cache_dir}"]
    assert main(["build", *options, f"--stores={settings.stores}", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "spikes.times.npy" in out
    assert "files to download" in out
    assert " MB  LSDX-" in out  # no session stands by its id alone
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
        ("LSDX_ALYX_TOKEN", "f00d", "a token that it takes.*set LSDX_ALYX_TOKEN anew.*--refresh"),
    ],
)
def test_a_wrong_login_is_told_and_not_shown(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    if variable == "LSDX_ALYX_TOKEN":  # with a password, a new token would be asked for
        monkeypatch.delenv("LSDX_ALYX_PASSWORD")
    with pytest.raises(SourceError, match=words) as caught:
        build(settings, progress=False)
    assert value not in str(caught.value)


def test_a_token_does_without_a_user(
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
    settings: Settings, server: AlyxServer, expected_units: Path, pattern: str, how: str | int
) -> None:
    server.stall = 1.0
    server.fail(pattern, how)
    report = build(settings, ["units"], progress=False)
    assert not report.failed, report.to_text()
    assert server.failures[0].times == 0
    assert hashes(settings.stores) == hashes(expected_units)
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
    report = build(settings, ["units"], progress=False)
    (told,) = [x for x in report.lines if x.status == "failed" and "HTTP" not in x.kind]
    assert words in told.reason
    assert "alf/probe00" in told.reason
    assert lsdx.open_sessions(settings.stores).sizes["session"] == 2

    server.mended()
    assert not build(settings, ["units"], progress=False).failed
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


# ---- a database that breaks off -------------------------------------------------------------


def snapshot_of(settings: Settings) -> Path:
    return (settings.cache_dir or Path()) / "alyx_records.json"


def multiply(server: AlyxServer, n: int) -> list[str]:
    """Have the server list so many sessions, without probes; give their ids."""
    first = server.sessions[0]
    server.insertions = []
    server.sessions = [first | {"id": str(uuid4()), "number": 1 + i} for i in range(n)]
    return [s["id"] for s in server.sessions]


def test_a_refresh_that_breaks_off_changes_nothing(settings: Settings, server: AlyxServer) -> None:
    eids = multiply(server, 13)
    assert len(open_source(settings)[0].sessions()) == 13
    before = snapshot_of(settings).read_bytes()
    for eid in eids[3:]:
        server.fail(f"/sessions/{eid}", 500, times=99)
    with pytest.raises(SourceError, match=r"HTTP 500.* 5 sessions in a row.*--refresh"):
        open_source(settings, refresh=True)
    assert snapshot_of(settings).read_bytes() == before
    assert not list((settings.cache_dir or Path()).glob("*.part"))


def test_a_session_that_fails_keeps_its_record_and_date(
    settings: Settings, server: AlyxServer
) -> None:
    eids = multiply(server, 7)
    open_source(settings)
    old = json.loads(snapshot_of(settings).read_text()) | {"created": "2024-01-02T03:04:05"}
    snapshot_of(settings).write_text(json.dumps(old))
    # four in a row are no end; one that is no longer listed is gone; the others are renewed
    failing, gone = eids[1:5], eids[6]
    server.sessions = [s | {"qc": "FAIL"} for s in server.sessions if s["id"] != gone]
    for eid in failing:
        server.fail(f"/sessions/{eid}", 500, times=99)
    for _ in range(2):  # the date is that of the reading, not of the snapshot before
        source, _settings = open_source(settings, refresh=True)
        assert {s.eid: s.qc for s in source.sessions()} == {
            eid: old["sessions"][0]["qc"] if eid in failing else "FAIL" for eid in eids[:6]
        }
        assert source.problems == {}
        kept = [note for note in source.notes[1:] if "one day" not in note]
        assert len(kept) == 4
        assert all("of 2024-01-02T03:04:05" in note for note in kept)


def test_stacks_that_were_listed_stay_so_when_the_server_falls_silent(
    settings: Settings, server: AlyxServer
) -> None:
    (subject,) = {s["subject"] for s in server.sessions}
    server.stacks = {subject: ["m_RD.tif", "m_GR.tif"]}
    assert open_source(settings)[0].stacks(subject) is True
    server.stacks = {subject: None}
    assert open_source(settings, refresh=True)[0].stacks(subject) is True


def test_a_first_reading_without_any_record_is_not_kept(
    settings: Settings, server: AlyxServer
) -> None:
    server.fail("/sessions/", 404, times=99)
    with pytest.raises(SourceError, match=r"records of 2 sessions, found none.*HTTP 404"):
        open_source(settings)
    assert not snapshot_of(settings).exists()


def test_a_token_revoked_on_the_way_is_renewed_once(settings: Settings, server: AlyxServer) -> None:
    multiply(server, 6)
    server.fail("/sessions/", "revoke")
    source, _ = open_source(settings)
    assert (len(source.sessions()), source.problems) == (6, {})
    assert server.requests.count("POST /auth-token") == 2
    before = snapshot_of(settings).read_bytes()
    server.fail("/sessions/", "revoke", times=99)  # whoever revokes them all is not fought
    with pytest.raises(SourceError, match=r"a token that it takes.*--refresh"):
        open_source(settings, refresh=True)
    assert snapshot_of(settings).read_bytes() == before


def test_a_token_revoked_without_a_password_stops(
    settings: Settings, server: AlyxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    multiply(server, 6)
    monkeypatch.delenv("LSDX_ALYX_PASSWORD")
    monkeypatch.setenv("LSDX_ALYX_TOKEN", TOKEN)
    server.fail("/sessions/", "revoke")
    with pytest.raises(SourceError, match=r"set LSDX_ALYX_TOKEN anew, or .*--refresh"):
        open_source(settings)
    assert not snapshot_of(settings).exists()  # so that the next run asks again


def test_a_database_that_asks_to_wait_is_waited_for(settings: Settings, server: AlyxServer) -> None:
    server.fail("/sessions/", 429)
    source, _ = open_source(settings)
    assert (len(source.sessions()), source.problems) == (2, {})


def test_a_login_that_is_never_answered_ends(
    settings: Settings, server: AlyxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sum(LOGIN_TIMEOUT) <= 60
    monkeypatch.setattr("lsdx.sources.connection.LOGIN_TIMEOUT", (5, 0.5))
    server.stall = 3.0
    server.fail("/auth-token", "slow", times=99)
    with pytest.raises(SourceError, match=r"expected a connection, found ReadTimeout.*--offline"):
        open_source(settings)
    assert server.requests == ["POST /auth-token"]


def test_a_project_is_its_whole_name(settings: Settings, server: AlyxServer) -> None:
    eids = multiply(server, 4)
    names = [["psy & co"], ["psy & co_pilot"], ["other", "psy & co"], ["Psy & co"]]
    for session, projects in zip(server.sessions, names, strict=True):
        session["projects"] = projects
    source, _ = open_source(replace(settings, project="psy & co"))
    assert [s.eid for s in source.sessions()] == [eids[0], eids[2]]
    with pytest.raises(SourceError, match=r"project 'psy' .*found those of .*psy & co_pilot only"):
        open_source(replace(settings, project="psy"), refresh=True)


# ---- a data server that dies ----------------------------------------------------------------


@pytest.mark.parametrize("how", [500, "half", "nobody"])
def test_a_download_stops_when_the_data_server_is_dead(
    settings: Settings, server: AlyxServer, how: str | int
) -> None:
    if how == "nobody":
        for session in server.sessions:
            for record in session["data_dataset_session_related"]:
                record["data_url"] = record["data_url"].replace(
                    "https://data.demo.invalid", "http://127.0.0.1:9"
                )
    n_files = len(to_download(settings))
    server.fail("/data/.*/(alf|raw_task)", how, times=9999)
    report = build(settings, progress=False)
    (note,) = [n for n in report.notes if "download stopped after 5 files in a row" in n]
    # those that were asked for meanwhile, by other threads, are few
    assert f"{n_files} files" not in note
    assert int(note.split(": ")[1].split()[0]) >= n_files - 5 - 2 * N_THREADS
    assert any("the download stopped" in x.reason for x in report.lines if x.status == "failed")
    assert lsdx.open_sessions(settings.stores).sizes["session"] == 2
    assert len([r for r in server.requests if "/alf/" in r]) < n_files * 5


def test_files_that_the_data_server_lacks_do_not_stop_the_others(
    settings: Settings, server: AlyxServer
) -> None:
    """They would stop every rerun at the same place."""
    n_files = len(to_download(settings))
    server.fail("/data/.*/(alf|raw_task)", 404, times=9)
    report = build(settings, progress=False)
    assert not [n for n in report.notes if "download stopped" in n]
    assert len(to_download(settings)) == 9 < n_files


# ---- revisions ------------------------------------------------------------------------------


def test_a_revision_bears_its_name_from_alyx_too(
    settings: Settings, server: AlyxServer, tmp_path: Path
) -> None:
    """Alyx gives it as a UUID; its name stands in the address alone."""
    more = write_cohort(tmp_path / "more", n_sessions=4, n_units=8)
    records = json.loads((more / "alyx_records.json").read_text())
    server.root, server.sessions, server.stacks = more, records["sessions"], records["stacks"]
    server.insertions = records["insertions"]
    (eid,) = {
        s["id"]
        for s in server.sessions
        if any(d["revision"] for d in s["data_dataset_session_related"])
    }
    settings = replace(settings, cache_dir=stocked(tmp_path / "revised", more))
    assert not build(settings, sessions=[eid], progress=False).failed
    local = Settings(source="cache", cache_dir=more, stores=tmp_path / "local")
    build(local, sessions=[eid], progress=False)
    assert hashes(settings.stores) == hashes(local.stores)
    insertions = lsdx.open_insertions(settings.stores)
    assert list(insertions.sorter_revision.values) == ["", "2025-01-01"]
    assert {p.name for p in (settings.cache_dir or Path()).rglob("#*#")} == {"#2025-01-01#"}


def test_advice_fits_the_source(settings: Settings, server: AlyxServer, cohort: Path) -> None:
    session = server.sessions[0]
    (times,) = [
        d
        for d in session["data_dataset_session_related"]
        if d["name"] == "spikes.times.npy" and d["collection"].startswith("alf/probe00")
    ]
    times["data_url"] = None
    online, _ = open_source(settings)
    (dataset,) = [
        d
        for d in online.datasets(session["id"])
        if (d.collection, d.name) == (times["collection"], times["name"])
    ]
    assert (dataset.present, dataset.readable) == (False, False)  # known, and not to be had
    with pytest.raises(SourceError, match=r"no online copy of it: ask whoever uploads"):
        online.fetch(session["id"], dataset)
    assert "Register the insertion in Alyx" in online.insertion_advice
    offline, _ = open_source(settings, offline=True)
    with pytest.raises(SourceError, match=r"none at .*\. Run without --offline"):
        offline.fetch(session["id"], dataset)
    cache, _ = open_source(Settings(source="cache", cache_dir=cohort))
    assert cache.file_advice == "Download it with ONE."
    assert "insertions.pqt" in cache.insertion_advice


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
    # one that cannot be read now is not gone, and keeps what was read of it
    server.fail(f"/sessions/{eid}", 404, times=99)
    report = build(settings, refresh=True, prune=True, progress=False)
    assert not report.failed
    (kept,) = [note for note in report.notes if f"session {eid} keeps its records of 2" in note]
    assert "HTTP 404" in kept
    assert lsdx.open_sessions(settings.stores).sizes["session"] == 2


def test_a_login_goes_to_its_server_alone(settings: Settings, server: AlyxServer) -> None:
    known = one.params.get(client=server.url, silent=True)
    known = known.set("HTTP_DATA_SERVER", f"{server.url}/data")
    known = known.set("HTTP_DATA_SERVER_LOGIN", "me").set("HTTP_DATA_SERVER_PWD", "secret")
    one.params.save(known, server.url)
    ((start, login),) = data_login(server.url).items()
    assert login == ("me", "secret")
    assert f"{server.url}/data/a".startswith(start)
    # an address that only begins alike is another's
    assert not f"{server.url}/data.elsewhere.org/a".startswith(start)
    assert data_login("http://127.0.0.1:9") == {}


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


def test_a_silent_server_of_stacks_is_not_waited_for_again(
    settings: Settings, server: AlyxServer
) -> None:
    multiply(server, 12)
    for i, session in enumerate(server.sessions):
        session["subject"] = f"mouse{i}"
    server.stall = 1.0
    server.fail("/histology/", "slow", times=99)
    source, _ = open_source(settings)
    assert {source.stacks(f"mouse{i}") for i in range(12)} == {None}
    # those that were asked for at once, twice each
    assert len([r for r in server.requests if "/histology/" in r]) <= 2 * N_THREADS


@pytest.mark.parametrize(
    ("names", "stage"),
    [
        ([], "unknown"),
        (["m_RD.tif", "m_GR.tif"], "no-tracing"),
    ],
)
def test_another_server_that_lacks_stacks_says_nothing(
    settings: Settings, server: AlyxServer, names: list[str], stage: str
) -> None:
    """Where the database names no server of its own, ONE's is asked, which may be another's."""
    known = one.params.get(client=server.url, silent=True)
    one.params.save(known.set("HTTP_DATA_SERVER", f"{server.url}/data"), server.url)
    server.online = False
    server.stacks = {s["subject"]: names for s in server.sessions}
    for insertion in server.insertions:
        insertion["json"] = None
    build(settings, ["insertions"], progress=False)
    assert set(lsdx.open_insertions(settings.stores).histology_stage.values) == {stage}


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
