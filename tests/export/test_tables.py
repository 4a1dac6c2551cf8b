"""Flat tables: every field a column, nothing lost on the way, and what they list as missing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import lsdx
from lsdx.cli import main
from lsdx.export.listing import histology_list, session_grid
from lsdx.export.tables import NEXT_STEP, histology_table


@pytest.fixture(scope="module")
def tables(demo_stores: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("tables") / "out"
    assert main(["export", "tables", str(folder), "--stores", str(demo_stores)]) == 0
    return {p.stem: pd.read_parquet(p) for p in folder.glob("*.pqt")}


def test_four_tables_hold_every_row(tables: dict[str, pd.DataFrame], demo_stores: Path) -> None:
    assert set(tables) == {"sessions", "insertions", "units", "histology_status"}
    units = lsdx.open_units(demo_stores)
    assert tables["units"].index.tolist() == units.unit.values.tolist()
    assert len(tables["sessions"]) == lsdx.open_sessions(demo_stores).sizes["session"]
    assert all(t["simulated"].all() for t in tables.values())


def test_one_column_a_field(tables: dict[str, pd.DataFrame], demo_stores: Path) -> None:
    sessions, units = tables["sessions"], tables["units"]
    epochs = lsdx.open_epochs(demo_stores)
    for phase, epoch in (("pre", "spontaneous"), ("post", "replay")):
        np.testing.assert_array_equal(
            sessions[f"{phase}_{epoch}_start"],
            epochs.start.sel(phase=phase, epoch=epoch, session=sessions.index.values),
        )
    status = lsdx.open_sessions(demo_stores).status
    assert (
        sessions["probe00_spikes"].tolist()
        == status.sel(dataset="ephys/probe00/spikes").values.tolist()
    )
    assert set(sessions["leftCamera_dropped_frames"]) == {"PASS"}
    assert (sessions["leftCamera_dropped_frames_value"] >= 3).all()
    sorters = lsdx.open_insertions(demo_stores)
    first = sorters.isel(insertion=0)
    column = f"{first.probe.item()}_sorter"
    assert sessions.loc[first.session.item(), column] == first.sorter.item()
    counts = lsdx.open_units(demo_stores).n_spikes.sel(phase="post", epoch="rfm")
    np.testing.assert_array_equal(units["post_rfm_n_spikes"], counts.values)


def test_the_to_do_list_is_in_the_order_of_the_steps(
    tables: dict[str, pd.DataFrame], demo_stores: Path
) -> None:
    todo = tables["histology_status"]
    steps = todo["next_step"].drop_duplicates().tolist()
    assert steps == [s for s in NEXT_STEP.values() if s in steps]
    assert set(todo["stage"]) >= {"traced", "aligned", "resolved"}
    text = histology_list(todo)
    for step, rows in todo.groupby("next_step"):
        assert f"{step or 'done'}: {len(rows)}" in text
    # a probe that was recorded and has no insertion record
    insertions = lsdx.open_insertions(demo_stores)
    eid, probe = insertions.session.values[0], insertions.probe.values[0]
    rest = insertions.isel(insertion=slice(1, None))
    bare = histology_table(rest, lsdx.open_sessions(demo_stores))
    (row,) = bare[(bare.session == eid) & (bare.probe == probe)].itertuples()
    assert (row.stage, row.insertion) == ("no-insertion", "")


def test_the_grid_has_a_mark_a_state(demo_stores: Path) -> None:
    sessions = lsdx.open_sessions(demo_stores)
    text = session_grid(sessions)
    for state, mark in (("extraction error", "!"), ("raw data missing", ".")):
        rows = [line for line in text.splitlines() if " LSDX-" in line]
        drawn = sum(line.partition("LSDX-")[0].count(mark) for line in rows)
        assert drawn == int((sessions.status == state).sum())
    assert "ask whoever runs the extraction" in text
    coloured = session_grid(sessions, colour=True)
    assert re.sub(r"\x1b\[\d+m", "", coloured) == text
    n_marks = sessions.status.size + 3  # and the legend of the marks
    assert coloured.count("\x1b[0m") == n_marks
    assert "\x1b[31m!\x1b[0m extraction error" in coloured
    assert "\x1b" not in text


def test_the_columns_of_the_grid_are_numbered_and_named() -> None:
    names = [f"task/pre/{i}" for i in "abcd"] + [f"ephys/p/{i}" for i in "abcdef"] + ["alone"]
    states = ["extraction complete", "extraction error", "raw data missing"]
    sessions = xr.Dataset(
        {"status": (("session", "dataset"), [[states[i % 3] for i in range(11)]])},
        {"dataset": names, "session": ["e"]},
    ).assign(
        {n: ("session", [v]) for n, v in (("subject", "M"), ("date", "2024-01-02"), ("number", 1))}
        | {"condition": ("session", ["lsd"]), "flags": ("session", [""])}
    )
    *lines, error, missing = session_grid(sessions).splitlines()
    assert lines == [
        "            1 1",
        "  1234 567890 1",
        "  +!.+ !.+!.+ !  M  2024-01-02/001  e  lsd",
        "  task/pre: 1 a, 2 b, 3 c, 4 d",
        "  ephys/p: 5 a, 6 b, 7 c, 8 d, 9 e, 10 f",
        "  11 alone",
        "+ extraction complete",
    ]
    assert error.endswith(": task/pre/b 1, ephys/p/a 1, ephys/p/d 1, alone 1")
    assert missing.endswith(": task/pre/c 1, ephys/p/b 1, ephys/p/e 1")


@pytest.mark.parametrize("terminal", [False, True])
def test_the_grid_is_coloured_on_a_terminal_alone(
    terminal: bool,
    demo_stores: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    assert main(["sessions", "--stores", str(demo_stores)]) == 0
    assert ("\x1b[32m+" in capsys.readouterr().out) == terminal


def test_the_commands_print_and_write(
    demo_stores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stores = ["--stores", str(demo_stores)]
    csv, js, todo = tmp_path / "s.csv", tmp_path / "s.json", tmp_path / "h.csv"
    assert main(["sessions", *stores, "--csv", str(csv), "--json", str(js)]) == 0
    assert main(["histology", *stores, "--csv", str(todo)]) == 0
    out = capsys.readouterr().out
    assert "SIMULATED" in out
    assert "resolve the alignment" in out
    table = pd.read_csv(csv, index_col="session")
    assert table.loc[json.loads(js.read_text())[0]["session"], "subject"].startswith("LSDX")
    assert len(pd.read_csv(todo)) == lsdx.open_insertions(demo_stores).sizes["insertion"]
