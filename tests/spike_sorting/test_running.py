"""Running bombcell: which probes, where the results go, and what a broken run leaves.

A small module stands for bombcell; `tests/bombcell` runs the real one.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal

import lsdx
from lsdx.cli import main
from lsdx.config import Quality, Settings
from lsdx.errors import ArgumentError, MissingPackage, SelectionError
from lsdx.sources import open_source
from lsdx.spike_sorting import running
from lsdx.spike_sorting.running import ARCHIVE, MEASURES, NEEDED, PCS, RUN, run_bombcell
from tests.sources.alyx_server import PASSWORD, USER, serving

FAKE = """
import os
import numpy as np
import pandas as pd

def get_default_parameters(kilosort_path, kilosort_version):
    print("a word")
    return {"removeDuplicateSpikes": False, "minAmplitude": 40, "version": kilosort_version}

def run_bombcell(ks_dir, save_path, param, save_figures):
    clusters = np.load(ks_dir + "/spike_clusters.npy").ravel()
    if param["minAmplitude"] == 666:
        raise ValueError("no such luck")
    if param["minAmplitude"] == 667:
        os._exit(9)
    ids = np.unique(clusters)
    table = pd.DataFrame({"phy_clusterID": ids, "bc_unitType": "GOOD", "maxChannels": 1.0})
    os.makedirs(save_path + "/for_GUI")
    with open(save_path + "/for_GUI/gui_data.pkl", "wb") as file:
        file.write(b"pickle")
    table.to_parquet(save_path + "/templates._bc_qMetrics.parquet")
    frame = pd.DataFrame([{k: str(v) for k, v in param.items()}])
    frame.to_parquet(save_path + "/_bc_parameters._bc_qMetrics.parquet")
    if param["removeDuplicateSpikes"]:
        np.save(save_path + "/spikes._bc_duplicateSpikes.npy", np.zeros(clusters.size))
    labels = table[["phy_clusterID", "bc_unitType"]].rename(columns={"phy_clusterID": "cluster_id"})
    labels.to_csv(ks_dir + "/cluster_bc_unitType.tsv", sep="\\t", index=False)
"""


@pytest.fixture(autouse=True)
def _bombcell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put a module in the place of bombcell."""
    package = tmp_path / "packages"
    (package / "bombcell").mkdir(parents=True)
    (package / "bombcell" / "__init__.py").write_text(FAKE)
    about = package / "bombcell-7.8.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: bombcell\nVersion: 7.8\n")
    monkeypatch.syspath_prepend(package)
    yield
    sys.modules.pop("bombcell", None)


@pytest.fixture
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in this process, which has imported everything already."""
    monkeypatch.setattr(running, "_on_processes", lambda tasks: map(running._run, tasks))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Write one session, without the records of archives that the demo does not write."""
    path = lsdx.demo.write_cohort(tmp_path / "cohort", n_sessions=1, n_units=8)
    (path / "alyx_records.json").unlink()
    table = pq.read_table(path / "datasets.pqt")
    archives = pc.match_substring(table["rel_path"], "kilosort_raw")
    pq.write_table(table.filter(pc.invert(archives)), path / "datasets.pqt")
    return path


def _output(cache: Path, probe: str, *, archive: bool, pcs: bool = True, n: int = 30) -> Path:
    """Write what a sorter would have left of the one session's probe."""
    source, _ = open_source(Settings(source="cache", cache_dir=cache))
    (session,) = source.sessions()
    (sorter,) = [
        d.collection.split("/")[2]
        for d in source.datasets(session.eid)
        if d.name == "spikes.times.npy" and f"/{probe}/" in d.collection
    ][:1]
    folder = source.folder(session.eid) / "spike_sorters" / sorter / probe
    folder.mkdir(parents=True, exist_ok=True)
    names = (*NEEDED, *(PCS if pcs else ()))
    for name in names:
        np.save(folder / name, np.arange(n)[:, None] % 5)
    np.save(folder / "ops.npy", np.array([{}]), allow_pickle=True)
    if archive:
        with tarfile.open(folder / ARCHIVE, "w") as tar:
            for name in (*names, "ops.npy"):
                tar.add(folder / name, f"./output/{name}")
        for name in (*names, "ops.npy"):
            (folder / name).unlink()
    return folder


def _settings(cache: Path, **parameters: object) -> Settings:
    return Settings(source="cache", cache_dir=cache, quality=Quality(parameters=parameters))


def _statuses(cache: Path, **options: object) -> dict[str, str]:
    parameters = options.pop("parameters", {})
    outcomes = run_bombcell(_settings(cache, **parameters), progress=False, **options)  # type: ignore[arg-type]
    return {o.probe: o.status for o in outcomes}


def test_an_archive_is_run_by_processes_and_left_as_it_was(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (_output(cache, p, archive=True) for p in ("probe00", "probe01"))
    before = (first / ARCHIVE).read_bytes()
    options = ["--source", "cache", "--cache-dir", str(cache)]
    assert main(["quality", "run", *options]) == 0
    said = capsys.readouterr()
    assert "2 built, 0 found, 0 skipped, 0 failed" in said.out
    assert "a word" not in said.out + said.err
    assert (first / ARCHIVE).read_bytes() == before
    for folder in (first, second):
        assert {p.name for p in folder.iterdir()} == {
            *(ARCHIVE, "bombcell", "spike_clusters.npy", ".bombcell.lock")
        }
        assert {p.name for p in (folder / "bombcell").iterdir()} == {
            *(MEASURES, RUN, "_bc_parameters._bc_qMetrics.parquet"),
            *("spikes._bc_duplicateSpikes.npy", "cluster_bc_unitType.tsv"),
        }
        run = json.loads((folder / "bombcell" / RUN).read_text())
        assert run["bombcell"] == "7.8"
        assert run["parameters"] == {"removeDuplicateSpikes": True}
        assert run["duplicates_removed"] is True
    assert main(["quality", "run", *options]) == 0
    assert "0 built, 2 found" in capsys.readouterr().out
    assert main(["quality", "run", *options, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {r["status"] for r in rows} == {"found"}
    assert all(r["label"].startswith("LSDX-") for r in rows)
    assert main(["quality", "run", *options, "-q"]) == 0
    assert capsys.readouterr().out == ""


def test_a_broken_run_is_finished_by_the_next(cache: Path) -> None:
    first = _output(cache, "probe00", archive=True)
    left = first / ".bombcell.unfinished" / "sorted"
    left.mkdir(parents=True)
    (left / "templates.npy").write_bytes(b"half of it")
    broken = run_bombcell(_settings(cache, minAmplitude=667), progress=False)
    assert {o.probe: o.status for o in broken} == {"probe00": "failed", "probe01": "skipped"}
    assert "its process ended" in broken[0].reason
    assert not (first / "bombcell").exists()
    assert _statuses(cache) == {"probe00": "built", "probe01": "skipped"}
    assert not (first / ".bombcell.unfinished").exists()


@pytest.mark.usefixtures("_here")
def test_a_failure_stops_no_other_probe(cache: Path) -> None:
    first = _output(cache, "probe00", archive=True)
    _output(cache, "probe01", archive=True)
    (first / ARCHIVE).write_bytes(b"no archive")
    outcomes = run_bombcell(_settings(cache), progress=False)
    assert [o.status for o in outcomes] == ["failed", "built"]
    assert "expected a tar archive" in outcomes[0].reason
    failed = run_bombcell(_settings(cache, minAmplitude=666), name="other", progress=False)
    assert failed[1].reason == "bombcell: ValueError: no such luck"


@pytest.mark.usefixtures("_here")
def test_runs_with_other_parameters_are_both_kept(cache: Path) -> None:
    folder = _output(cache, "probe00", archive=False)
    assert _statuses(cache)["probe00"] == "built"
    before = pd.read_parquet(folder / "bombcell" / MEASURES)
    changed = {"minAmplitude": 50}
    refused = run_bombcell(_settings(cache, **changed), progress=False)
    assert refused[0].status == "failed"
    assert "Keep both: lsdx quality run --name ANOTHER" in refused[0].reason
    assert _statuses(cache, parameters=changed, name="strict")["probe00"] == "built"
    assert_frame_equal(pd.read_parquet(folder / "bombcell" / MEASURES), before)
    assert json.loads((folder / "strict" / RUN).read_text())["parameters"]["minAmplitude"] == 50
    (folder / "bombcell" / RUN).unlink()  # as if the lab had run it
    (told,) = [o for o in run_bombcell(_settings(cache), progress=False) if o.probe == "probe00"]
    assert (told.status, told.reason) == ("found", "not made by lsdx; left as it is")


@pytest.mark.usefixtures("_here")
def test_without_pcs_duplicates_are_kept(cache: Path) -> None:
    folder = _output(cache, "probe00", archive=False, pcs=False)
    assert _statuses(cache)["probe00"] == "built"
    assert json.loads((folder / "bombcell" / RUN).read_text())["duplicates_removed"] is False
    assert not (folder / "bombcell" / "spikes._bc_duplicateSpikes.npy").exists()
    assert (folder / "ops.npy").exists()


@pytest.mark.usefixtures("_here")
def test_results_of_another_sorting_are_refused(cache: Path) -> None:
    folder = _output(cache, "probe00", archive=True)
    np.save(folder / "spike_clusters.npy", np.arange(7))
    outcome = run_bombcell(_settings(cache), progress=False)[0]
    assert "found those of another sorting" in outcome.reason
    assert not (folder / "bombcell").exists()


@pytest.mark.usefixtures("_here")
def test_an_archive_that_is_not_the_recorded_one_is_refused(tmp_path: Path) -> None:
    cache = lsdx.demo.write_cohort(tmp_path / "cohort", n_sessions=1, n_units=8)
    assert _statuses(cache) == {"probe00": "skipped", "probe01": "skipped"}
    folder = _output(cache, "probe00", archive=True)
    outcome = run_bombcell(_settings(cache), progress=False)[0]
    assert outcome.status == "failed"
    assert "Delete the file and download it again" in outcome.reason
    assert (folder / ARCHIVE).exists()


@pytest.mark.usefixtures("_here")
def test_wrong_names_are_refused(cache: Path) -> None:
    _output(cache, "probe00", archive=True)
    with pytest.raises(SelectionError, match="quality run, sessions"):
        run_bombcell(_settings(cache), sessions=["x"], progress=False)
    with pytest.raises(SelectionError, match="expected probes: probe00, probe01, found 'probe7'"):
        run_bombcell(_settings(cache), probes=["probe7"], progress=False)
    with pytest.raises(ArgumentError, match="the name of a folder"):
        run_bombcell(_settings(cache), name="../x", progress=False)
    outcome = run_bombcell(_settings(cache, minAmplitud=3), probes=["probe00"], progress=False)[0]
    assert r"[quality.parameters]: expected parameters of bombcell" in outcome.reason


def test_without_bombcell_the_command_is_named(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingPackage, match=r"pip install 'lsdx\[bombcell\]'"):
        run_bombcell(_settings(cache), progress=False)


def test_settings_name_folder_and_parameters(tmp_path: Path) -> None:
    file = tmp_path / "lsdx.toml"
    file.write_text('[quality]\nfolder = "strict"\n[quality.parameters]\nminAmplitude = 50\n')
    settings = lsdx.load_settings(file=file, environ={})
    assert settings.quality == Quality("strict", {"minAmplitude": 50})
    for text, message in {
        'folder = "../x"': "the name of a folder",
        "parameters = 3": "a table of bombcell's parameters",
        "folders = 3": "did you mean 'folder'",
    }.items():
        file.write_text(f"[quality]\n{text}\n")
        with pytest.raises(lsdx.errors.ConfigError, match=f"(?i){message}"):
            lsdx.load_settings(file=file, environ={})


def test_kilosort_4_is_told_and_others_are_not() -> None:
    assert running._version("kilosort4") == 4
    assert [running._version(s) for s in ("pykilosort", "iblsorter", "ks2", "kilosort2.5")] == [
        ""
    ] * 4


@pytest.mark.usefixtures("_here")
def test_an_archive_is_fetched_from_alyx_checked_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = lsdx.demo.write_cohort(tmp_path / "cohort", n_sessions=1, n_units=8)
    output = _output(cohort, "probe00", archive=True)
    content = (output / ARCHIVE).read_bytes()
    records = json.loads((cohort / "alyx_records.json").read_text())
    (session,) = records["sessions"]
    place = output.relative_to(next(cohort.glob("*/Subjects/*/*/*"))).as_posix()
    (record,) = [
        d
        for d in session["data_dataset_session_related"]
        if d["name"] == ARCHIVE and d["collection"] == place
    ]
    record |= {"file_size": len(content), "hash": hashlib.md5(content).hexdigest()}
    (cohort / "alyx_records.json").write_text(json.dumps(records))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LSDX_ALYX_USER", USER)
    monkeypatch.setenv("LSDX_ALYX_PASSWORD", PASSWORD)
    monkeypatch.setattr("lsdx.sources.download.BACKOFF", 0.01)
    with serving(cohort) as server:
        settings = Settings(source="alyx", base_url=server.url, cache_dir=tmp_path / "cache")
        server.fail("kilosort_raw", "wrong", times=99)
        (outcome, *_) = run_bombcell(settings, probes=["probe00"], progress=False)
        assert outcome.status == "failed"
        assert f"md5 {record['hash']}" in outcome.reason
        folder = tmp_path / "cache" / output.relative_to(cohort)
        assert not (folder / "bombcell").exists()
        server.mended()
        server.fail("kilosort_raw", "half")  # the rest is asked for
        (outcome, *_) = run_bombcell(settings, probes=["probe00"], progress=False)
        assert (outcome.status, outcome.reason) == ("built", "")
        asked = [r for r in server.requests if "kilosort_raw" in r]
        assert len(asked) == 2
        assert not (folder / ARCHIVE).exists()
        table = pd.read_parquet(folder / "bombcell" / "templates._bc_qMetrics.parquet")
        assert len(table) == 5
        server.mended()
        (outcome, *_) = run_bombcell(settings, probes=["probe00"], progress=False)
        assert outcome.status == "found"
        assert not [r for r in server.requests if "kilosort_raw" in r]
