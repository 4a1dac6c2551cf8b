"""Commands that make stores: build, demo, tag, gc. (`quality run`: tests/spike_sorting.)"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import lsdx
from lsdx.cli import main


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a cohort of two sessions, and the stores of their epochs."""
    folder = tmp_path_factory.mktemp("made")
    assert main(["demo", "--sessions", "2", "--units", "8", str(folder / "cohort"), "-q"]) == 0
    assert main(["build", "epochs", *options(folder), "-q"]) == 0
    return folder


def options(folder: Path) -> list[str]:
    cohort = ["--source", "cache", "--cache-dir", str(folder / "cohort")]
    return [*cohort, "--stores", str(folder / "stores")]


def test_the_demo_is_built_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--sessions", "2", "--units", "8", "stores/demo"]) == 0
    assert main(["build"]) == 0
    out = capsys.readouterr().out
    assert "SIMULATED" in out
    assert (tmp_path / "stores" / "catalog.json").is_file()
    import lsdx

    assert lsdx.open_units().attrs["simulated"] == 1
    # the cohort's own tables give the conditions
    assert set(lsdx.open_sessions().condition.values) == {"lsd"}
    for command in (["verify"], ["info"], ["tag", "first"], ["gc"], ["verify", "--tag", "first"]):
        assert main(command) == 0
    out = capsys.readouterr().out
    assert "none damaged" in out
    assert "tags: none" in out
    assert "0 removed" in out


def test_names_after_sessions_are_names(
    demo_cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lsdx.sources.cache import CacheSource

    eid = CacheSource(demo_cohort).sessions()[0].eid
    options = ["--source", "cache", "--cache-dir", str(demo_cohort), "--stores", str(tmp_path)]
    assert main(["build", *options, "--sessions", eid, "epochs"]) == 0
    out = capsys.readouterr().out
    assert "epochs: built" in out
    assert "counts: built" not in out


def test_the_report_is_json_too(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "epochs", *options(made), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["simulated"] is True
    assert report["failed"] is False
    assert report["stores"] == str(made / "stores")
    lines = [line for line in report["lines"] if line["session"] != "all"]
    assert {line["kind"] for line in lines} == {"epochs", "insertions", "sessions"}
    assert {line["status"] for line in lines} == {"reused"}
    assert {line["session_label"] for line in lines} == {
        "LSDX-A 2023-01-19/001",
        "LSDX-A 2023-06-14/002",
    }


def test_a_name_after_json_is_a_name(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["build", *options(made), "--json", "epochs"]) == 0
    lines = json.loads(capsys.readouterr().out)["lines"]
    assert {line["kind"] for line in lines} == {"epochs", "insertions", "sessions"}
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_to_download(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", *options(made), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["build", *options(made), "--dry-run"]) == 0
    assert capsys.readouterr().out == "0 files to download, 0.0 MB\n"


def test_a_quiet_build_tells_what_failed(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort = tmp_path / "cohort"
    shutil.copytree(made / "cohort", cohort)
    stores = ["--source", "cache", "--cache-dir", str(cohort), "--stores", str(tmp_path / "s")]
    assert main(["build", "units", *stores, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    path = min(cohort.glob("**/LSDX-A/**/probe00/**/spikes.times.npy"))  # of the first day
    path.write_bytes(path.read_bytes()[:-8])
    shutil.rmtree(tmp_path / "s")
    assert main(["build", "units", *stores, "--quiet"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("failed: LSDX-A 2023-01-19/001 ")
    assert "spikes.times.npy" in said.err


def test_tags_are_listed_and_removed(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lsdx.store.place import Place

    stores = ["--stores", str(made / "stores")]
    digest = Place(made / "stores").catalog().digest[:16]
    assert main(["tag", *stores]) == 0
    assert capsys.readouterr().out.startswith("no tags")
    for name in ("b", "a"):
        assert main(["tag", name, *stores]) == 0
    assert main(["tag", "a", *stores]) == 1
    assert "expected a new tag" in capsys.readouterr().err
    assert main(["tag", *stores, "-q"]) == 0
    assert capsys.readouterr().out == f"a: catalog {digest}\nb: catalog {digest}\n"
    assert main(["tag", "--remove", "a", *stores]) == 0
    assert capsys.readouterr().out == "a: removed; its stores stay until lsdx gc\n"
    assert main(["tag", "--remove", "a", *stores]) == 1
    assert "expected a tag, one of: b, found 'a'." in capsys.readouterr().err
    assert main(["tag", "--remove", "b", *stores]) == 0
    assert main(["tag", "--remove", "b", *stores]) == 1
    assert "one of: none" in capsys.readouterr().err
    assert main(["verify", *stores]) == 0


def test_the_stores_of_a_removed_tag_stay_until_gc(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    from lsdx.store.place import Place

    stores = tmp_path / "stores"
    shutil.copytree(made / "stores", stores)
    place = ["--stores", str(stores)]
    assert main(["tag", "all", *place]) == 0
    eid = sorted(Place(stores).catalog().parts["epochs"])[0]
    catalog = Place(stores).catalog()
    flat = stores / Path(catalog.flat["epochs"].path).parent
    # another catalog, which names one session less
    one = [*options(made)[:-1], str(tmp_path / "one"), "--sessions", eid]
    assert main(["build", "epochs", *one, "-q"]) == 0
    shutil.copytree(tmp_path / "one" / "flat", stores / "flat", dirs_exist_ok=True)
    shutil.copy(tmp_path / "one" / "catalog.json", stores)
    assert main(["gc", *place, "-q"]) == 0
    assert flat.is_dir()  # the tag names it
    assert main(["tag", "--remove", "all", *place]) == 0
    assert flat.is_dir()
    capsys.readouterr()
    assert main(["gc", "--dry-run", "-q", *place]) == 0
    assert f"flat/{flat.name}" in capsys.readouterr().out.splitlines()
    assert main(["gc", *place]) == 0
    assert not flat.exists()


def test_sessions_that_left_the_source_are_named(
    made: Path, demo_cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stores = ["--stores", str(tmp_path / "stores"), "--source", "cache", "--cache-dir"]
    assert main(["build", "epochs", *stores, str(demo_cohort), "-q"]) == 0
    assert main(["build", "epochs", *stores, str(made / "cohort")]) == 0
    told = [x for x in capsys.readouterr().out.splitlines() if "no longer in the source" in x]
    assert len(told) == 5
    assert all(" (LSDX-" in line for line in told)


def test_analyse_computes_once_and_says_what_it_cannot(
    tmp_path: Path, demo_stores: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stores = tmp_path / "stores"
    shutil.copytree(demo_stores, stores, ignore=shutil.ignore_patterns("results"))
    assert main(["analyse", "behavior", "--stores", str(stores)]) == 0
    assert "computed  behavior" in capsys.readouterr().out
    assert main(["analyse", "--json", "behavior", "--stores", str(stores)]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["status"], row["reason"]) == ("behavior", "found", "")
    assert main(["analyse", "behaviour", "--stores", str(stores)]) == 1
    assert "different ones of alignment, behavior" in capsys.readouterr().err
    # what was computed from another catalog is not what is asked for
    with (stores / "results/behavior.zarr/zarr.json").open("r+") as stream:
        text = stream.read().replace('"result": "', '"result": "0')
        stream.seek(0)
        stream.write(text)
    assert main(["analyse", "behavior", "--stores", str(stores), "--quiet"]) == 0
    told = capsys.readouterr()
    assert told.out + told.err == ""
    assert lsdx.open_result("behavior", stores=stores).behavior.size > 0
