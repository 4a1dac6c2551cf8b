"""Commands that write files for others. (What is in the files: tests/export.)"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import lsdx
from lsdx.cli import main


def test_the_files_of_tables_are_listed(
    demo_stores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["export", "tables", str(tmp_path / "t"), "--stores", str(demo_stores)]
    assert main([*argv, "--json"]) == 0
    files = json.loads(capsys.readouterr().out)
    assert [Path(f["file"]).name for f in files] == [
        "sessions.pqt",
        "insertions.pqt",
        "units.pqt",
        "histology_status.pqt",
    ]
    for file in files:
        assert pd.read_parquet(file["file"]).shape == (file["rows"], file["columns"])
    assert files[0]["rows"] == 7
    assert main([*argv, "-q"]) == 0
    assert capsys.readouterr() == ("", "")


def test_nwb_files_are_listed_with_the_name_of_their_session(
    demo_stores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pynwb")
    sessions = lsdx.open_sessions(demo_stores)
    eid, label = sessions.session.values[0], sessions.session_label.values[0]
    argv = ["export", "nwb", str(tmp_path), "--stores", str(demo_stores), "--sessions"]
    assert main([*argv, eid]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith(f" MB  {label}  {eid}")
    without = set(sessions.session.values) - set(lsdx.open_units(demo_stores).session.values)
    eid = without.pop()  # the demo has one session without spikes
    assert main([*argv, eid]) == 1
    label = sessions.session_label.sel(session=eid).item()
    assert f"found '{eid}' ({label}), which has none." in capsys.readouterr().err
