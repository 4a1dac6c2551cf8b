"""Commands that tell what is there: info, histology, dictionary. (`sessions`: tests/export.)"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lsdx
from lsdx.cli import main
from lsdx.overview.sections import SECTIONS


def test_info_is_an_object(demo_stores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--stores", str(demo_stores), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["folder"] == str(demo_stores)
    assert found["simulated"] is True
    assert found["tags"] == []
    stores = {store["name"]: store for store in found["stores"]}
    assert stores["sessions"]["sessions"] == 7
    assert stores["sessions"]["sizes"]["session"] == 7
    assert stores["counts"]["parameters"]["bin_width"] == "100 ms"


def test_info_is_a_table_on_a_terminal(
    demo_stores: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["info", "--stores", str(demo_stores)]
    assert main(argv) == 0
    text = capsys.readouterr().out.splitlines()
    assert text[1] == "lsdx demo cohort: SIMULATED, not recordings"
    assert text[2].split()[:3] == ["behavior", "7", "sessions"]
    assert text[-1] == "tags: none"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "150")
    assert main(argv) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[:2] == text[:2]
    assert table[-1] == text[-1]
    assert any(set(line.strip()) == {"─"} for line in table)


def test_probes_stand_beside_the_name_of_their_session(
    demo_stores: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sessions = lsdx.open_sessions(demo_stores)
    names = dict(zip(sessions.session.values, sessions.session_label.values, strict=True))
    assert main(["histology", "--stores", str(demo_stores)]) == 0
    lines = [x for x in capsys.readouterr().out.splitlines() if x.startswith("  ")]
    assert lines
    for line in lines:
        subject, day, eid, _probe, _stage = line.split(maxsplit=4)
        assert f"{subject} {day}" == names[eid]


def test_the_dictionary_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    from lsdx.schema.dictionary import data_dictionary

    assert main(["dictionary"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("# Stores")
    assert out == data_dictionary()


def test_overview_writes_a_page(
    tmp_path: Path,
    demo_stores: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = {"provenance": SECTIONS["provenance"]}  # tests/overview has all of them
    monkeypatch.setattr("lsdx.overview.SECTIONS", one)
    assert main(["overview", str(tmp_path / "page"), "--stores", str(demo_stores)]) == 0
    assert f"{tmp_path / 'page' / 'index.html'}: " in capsys.readouterr().out
    assert (tmp_path / "page" / "index.html").is_file()
    assert main(["overview", str(tmp_path / "none"), "--stores", str(tmp_path)]) == 1
    assert not (tmp_path / "none").exists()
