"""The command: what it prints and its exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsdx.cli import main


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


def test_damage_is_an_exit_code(
    demo_stores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    from lsdx.store.place import Place

    stores = tmp_path / "stores"
    shutil.copytree(demo_stores, stores)
    folder = stores / Place(stores).catalog().flat["epochs"].path / "start" / "c" / "0" / "0" / "0"
    folder.write_bytes(folder.read_bytes()[:-1])
    assert main(["verify", "--stores", str(stores)]) == 1
    out = capsys.readouterr().out
    assert "DAMAGED  flat/epochs-" in out
    assert "start, chunk 0/0/0" in out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["build", "--source", "cache"], "--cache-dir"),
        (["build", "--source", "aws"], "demo, cache"),
        (["build", "--source", "cache", "--cache-dir", "nowhere"], "sessions.pqt"),
        (["build", "--config", "nowhere.toml"], "nowhere.toml"),
        (["verify", "--stores", "nowhere"], "lsdx build"),
        (["gc", "--stores", "nowhere"], "lsdx build"),
        (["info", "--stores", "nowhere"], "lsdx build"),
        (["tag", "../x", "--stores", "nowhere"], "letters"),
    ],
)
def test_mistakes_are_one_line(
    argv: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 1
    err = capsys.readouterr().err
    assert err.startswith("lsdx: ")
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_dictionary_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dictionary"]) == 0
    assert capsys.readouterr().out.startswith("# Stores")
