"""The demo cohort: right as files, as ONE tables, as a simulation with a known truth."""

from __future__ import annotations

import csv
import hashlib
import json
import tomllib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from iblatlas.regions import BrainRegions

from lsdx.demo import write_cohort
from lsdx.errors import ArgumentError, ConfigError

N_UNITS = 24
ODDITIES = {
    "two_sorters_on_one_probe",
    "missing_uuids",
    "rig_clock_run",
    "summer_time",
    "filler_run",
    "ends_early",
    "missing_probe",
    "long_spontaneous",
    "no_spikes",
    "no_gabor_table",
    "sorter_differs_by_probe",
    "imec00",
    "silent_cluster",
    "revisions",
    "bombcell",
    "dlc_only",
    "two_trackers",
    "no_camera",
    "no_likelihood",
    "no_times",
    "surplus_times",
    "surplus_minutes",
    "short_times",
    "dropped_frames",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("demo") / "cohort", n_units=N_UNITS)


@pytest.fixture(scope="module")
def truth(root: Path) -> list[dict[str, Any]]:
    return json.loads((root / "truth.json").read_text())["sessions"]


@pytest.fixture(scope="module")
def records(root: Path) -> dict[str, Any]:
    return json.loads((root / "alyx_records.json").read_text())


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.md5(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def having(truth: list[dict[str, Any]], oddity: str) -> dict[str, Any]:
    return next(session for session in truth if oddity in session["oddities"])


def sorting(root: Path, session: dict[str, Any], insertion: dict[str, Any]) -> Path:
    folder = root / session["path"] / "alf" / insertion["name"] / insertion["sorter"]
    return folder / f"#{insertion['revision']}#" if insertion["revision"] else folder


def sortings(root: Path, truth: list[dict[str, Any]]) -> list[tuple[Any, Any, Path]]:
    return [
        (session, insertion, sorting(root, session, insertion))
        for session in truth
        if "no_spikes" not in session["oddities"]
        for insertion in session["insertions"]
    ]


def settings_of(root: Path, session: dict[str, Any]) -> list[dict[str, Any]]:
    paths = sorted((root / session["path"]).glob("raw_task_data_*/*taskSettings.raw.json"))
    return [json.loads(path.read_text()) for path in paths]


def rig_start(settings: dict[str, Any]) -> datetime:
    key = "SESSION_DATETIME" if "SESSION_DATETIME" in settings else "SESSION_START_TIME"
    return datetime.fromisoformat(settings[key])


def task(root: Path, session: dict[str, Any], slot: int, name: str, **kw: Any) -> pd.DataFrame:
    return pd.read_csv(root / session["path"] / f"alf/task_{slot:02d}" / f"_ibl_{name}.csv", **kw)


def per_unit(folder: Path, units: dict[str, Any], insertion: dict[str, Any]) -> list[Any]:
    """Return (row of units, spike times) of one sorting."""
    times = np.load(folder / "spikes.times.npy")
    clusters = np.load(folder / "spikes.clusters.npy")
    rows = [row for row, pid in enumerate(units["pid"]) if pid == insertion["pid"]]
    return [(row, times[clusters == units["cluster_id"][row]]) for row in rows]


# ---- the folder as a whole -----------------------------------------------------------------


def test_same_arguments_give_the_same_bytes(root: Path, tmp_path: Path) -> None:
    again = write_cohort(tmp_path / "again", n_units=N_UNITS)
    assert digests(again) == digests(root)
    assert [path.name for path in tmp_path.iterdir()] == ["again"], "scratch folders remain"


def test_another_seed_gives_other_spikes(root: Path, tmp_path: Path) -> None:
    other = digests(write_cohort(tmp_path / "other", n_sessions=1, n_units=N_UNITS, seed=1))
    same = digests(root)
    times = [name for name in other if name.endswith("spikes.times.npy")]
    assert times
    assert all(other[name] != same[name] for name in times)


def test_a_session_does_not_depend_on_how_many_there_are(root: Path, tmp_path: Path) -> None:
    fewer = digests(write_cohort(tmp_path / "fewer", n_sessions=3, n_units=N_UNITS))
    files = {name: digest for name, digest in fewer.items() if "/" in name}
    assert len(files) > 60
    assert files.items() <= digests(root).items()


def test_a_cohort_that_is_there_is_kept(root: Path) -> None:
    before = (root / "truth.json").stat().st_mtime_ns
    assert write_cohort(root, n_sessions=7, n_units=N_UNITS, seed=0) == root
    assert (root / "truth.json").stat().st_mtime_ns == before


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    write_cohort(tmp_path, n_sessions=1, n_units=4)
    assert (tmp_path / "datasets.pqt").is_file()


def test_other_parameters_are_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"n_units': 4.*n_units': 24.*Name another folder"):
        write_cohort(root, n_units=4)


@pytest.mark.parametrize("name", ["notes.txt", "truth.json"])
def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("[1]")
    with pytest.raises(ConfigError, match="found other files"):
        write_cohort(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="found a file"):
        write_cohort(tmp_path / "file")


@pytest.mark.parametrize(
    "bad",
    [{"n_sessions": 0}, {"n_units": 3}, {"seed": -1}, {"n_units": 20.0}, {"n_sessions": True}],
)
def test_arguments_out_of_range_are_refused(tmp_path: Path, bad: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=f"{next(iter(bad))}: .*whole number of at least"):
        write_cohort(tmp_path / "new", **bad)
    assert not (tmp_path / "new").exists()


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError("no space")

    monkeypatch.setattr("lsdx.demo.write_lab_tables", fail)
    with pytest.raises(OSError, match="no space"):
        write_cohort(tmp_path / "new", n_sessions=1, n_units=4)
    assert not list(tmp_path.iterdir())


# ---- ONE and Alyx ----------------------------------------------------------------------------


def test_sizes_and_hashes_are_right(root: Path, truth: list[dict[str, Any]]) -> None:
    datasets = pd.read_parquet(root / "datasets.pqt").reset_index()
    paths = {session["eid"]: session["path"] for session in truth}
    on_disk = digests(root)
    for row in datasets.itertuples():
        name = f"{paths[row.eid]}/{row.rel_path}"
        assert row.exists == (name in on_disk), name
        if row.exists:
            assert row.hash == on_disk[name]
            assert row.file_size == (root / name).stat().st_size
    known = {f"{paths[row.eid]}/{row.rel_path}" for row in datasets.itertuples()}
    unknown = {name for name in on_disk if "/" in name} - known
    assert all("/spike_sorters/" in name for name in unknown), "only bombcell's are not ALF"
    assert not datasets["exists"][datasets["rel_path"].str.endswith("cbin")].any()


@pytest.mark.filterwarnings("ignore:The copy keyword is deprecated:DeprecationWarning:one")
def test_one_loads_the_cohort(
    root: Path, truth: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    from one.alf.cache import load_tables
    from one.api import One

    tables = load_tables(root)
    assert len(tables["sessions"]) == len(truth)
    assert tables["_meta"]["raw"]["insertions"]["origin"] == {"lsdx demo"}
    one = One(cache_dir=root, mode="local")
    found = one.search(projects="psychedelics", task_protocol="passiveChoiceWorld")
    assert {str(eid) for eid in found} == {session["eid"] for session in truth}
    for session in truth:
        assert UUID(session["eid"]).version == 3
        assert one.eid2path(session["eid"]) == root / session["path"]
    session = having(truth, "revisions")
    insertion = session["insertions"][1]
    spikes = one.load_object(
        session["eid"], "spikes", collection=f"alf/probe01/{insertion['sorter']}"
    )
    assert spikes["times"].size == insertion["n_spikes"], "the default revision is the newer one"


def test_alyx_records_agree_with_the_tables(root: Path, records: dict[str, Any]) -> None:
    from one.converters import ses2records

    assert records["simulated"]
    datasets = pd.read_parquet(root / "datasets.pqt")
    sessions = pd.read_parquet(root / "sessions.pqt")
    insertions = pd.read_parquet(root / "insertions.pqt")
    assert len(insertions) == len(records["insertions"])
    for detail in records["sessions"]:
        listed = detail["data_dataset_session_related"]
        present = [record for record in listed if record["data_url"] is not None]
        session, table = ses2records({**detail, "data_dataset_session_related": present})
        stored = sessions.loc[detail["id"]]
        assert session[stored.index].to_dict() == stored.to_dict()
        table.index = table.index.map(lambda key: tuple(map(str, key)))
        rows = datasets.loc[[(detail["id"], record["id"]) for record in present]].sort_index()
        columns = ["rel_path", "file_size", "hash", "default_revision"]
        pd.testing.assert_frame_equal(
            table.sort_index()[columns], rows[columns], check_dtype=False, check_index_type=False
        )
        names = {record["id"]: record for record in listed}
        for probe in detail["probe_insertion"]:
            full = next(each for each in records["insertions"] if each["id"] == probe["id"])
            assert full["session"] == full["session_info"]["id"] == detail["id"]
            assert json.loads(insertions.loc[(detail["id"], probe["id"]), "json"]) == full["json"]
            assert full["datasets"]
            assert all(probe["name"] in names[key]["collection"] for key in full["datasets"])


def test_histology_stages_all_occur(records: dict[str, Any]) -> None:
    found = set()
    for record in records["insertions"]:
        checks = record["json"]["extended_qc"]
        picks = bool(record["json"].get("xyz_picks"))
        found.add((picks, checks["alignment_count"] > 0, checks["alignment_resolved"]))
    assert found == {
        (False, False, False),
        (True, False, False),
        (True, True, False),
        (True, True, True),
    }


def test_lab_tables_and_settings(root: Path, truth: list[dict[str, Any]]) -> None:
    with (root / "administrations.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    doses = {(row["animal_ID"], row["date"]): row for row in rows}
    assert "administration_method " in rows[0]
    with (root / "trajectories.csv").open() as stream:
        assert [row["eid"] for row in csv.DictReader(stream)] == [each["eid"] for each in truth]
    settings = tomllib.loads((root / "lsdx.toml").read_text())
    assert (root / settings["administrations"]).is_file()
    assert (root / settings["trajectories"]).is_file()
    for session in truth:
        day = datetime.fromisoformat(session["path"].split("/")[3])
        row = doses.pop((session["subject"], f"{day:%d.%m.%Y}"), None)
        assert (row is None) == (session["condition"] == "saline")
        assert (session["eid"] in settings["conditions"]["saline"]) == (row is None)
        if row is not None:
            assert float(row["stock_uL"]) == pytest.approx(3 * float(row["weight"]))
            assert float(row["stock_uL"]) + float(row["saline_uL"]) == pytest.approx(200)
            hours, minutes, seconds = map(int, row["administration_time"].split(":"))
            waited = timedelta(hours=hours, minutes=minutes, seconds=seconds).total_seconds()
            start = session["epochs"]["pre"]["spontaneous"]["start"]
            assert start + waited == pytest.approx(session["injection"]["exact"])
    assert not doses


# ---- the oddities ------------------------------------------------------------------------------


def test_every_oddity_has_its_name(truth: list[dict[str, Any]]) -> None:
    assert {name for session in truth for name in session["oddities"]} == ODDITIES


def test_sorters(root: Path, truth: list[dict[str, Any]]) -> None:
    session = having(truth, "sorter_differs_by_probe")
    assert [each["sorter"] for each in session["insertions"]] == ["iblsorter", "pykilosort"]
    session = having(truth, "two_sorters_on_one_probe")
    folders = sorted((root / session["path"] / "alf/probe01").iterdir())
    assert [folder.name for folder in folders] == ["iblsorter", "pykilosort"]
    uuids = [set(pd.read_csv(folder / "clusters.uuids.csv")["uuids"]) for folder in folders]
    assert uuids[0].isdisjoint(uuids[1])
    assert session["insertions"][1]["sorter"] == "iblsorter"


def test_clocks_of_the_rig(
    root: Path, truth: list[dict[str, Any]], records: dict[str, Any]
) -> None:
    for session, detail in zip(truth, records["sessions"], strict=True):
        passive = [run for run in settings_of(root, session) if "passive" in run["PYBPOD_PROTOCOL"]]
        assert len(passive) == 2
        first, second = map(rig_start, passive)
        ahead = (first - datetime.fromisoformat(detail["start_time"])).total_seconds()
        assert ahead == (3600 if "summer_time" in session["oddities"] else 0)
        exact = session["epochs_exact"]
        moved = exact["post"]["spontaneous"][0] - exact["pre"]["spontaneous"][0]
        residual = moved - (second - first).total_seconds()
        assert 0 < abs(residual) < 0.7


def test_rig_clock_run(root: Path, truth: list[dict[str, Any]]) -> None:
    session = having(truth, "rig_clock_run")
    assert "summer_time" in session["oddities"]
    folder = root / session["path"]
    assert (folder / "raw_task_data_01").is_dir()
    assert not (folder / "alf/task_01").exists()
    first, second = map(rig_start, settings_of(root, session))
    shift = (second - first).total_seconds()
    for epoch, span in session["epochs"]["post"].items():
        assert span["provenance"] == "rig_clock"
        pre = session["epochs"]["pre"][epoch]
        assert span["start"] == pytest.approx(pre["start"] + shift)
        exact = session["epochs_exact"]["post"][epoch]
        assert np.allclose([span["start"], span["stop"]], exact, atol=2.5)
        assert span["start"] != exact[0]


def test_raw_names_and_missing_tables(
    root: Path, truth: list[dict[str, Any]], records: dict[str, Any]
) -> None:
    for session, detail in zip(truth, records["sessions"], strict=True):
        names = [each["name"] for each in detail["data_dataset_session_related"]]
        cut = [name.split(".")[1] for name in names if name.endswith(".ap.cbin")]
        digits = 2 if "imec00" in session["oddities"] else 1
        assert cut == [f"imec{probe:0{digits}d}" for probe in range(len(session["insertions"]))]
    session = having(truth, "no_gabor_table")
    folder = root / session["path"] / "alf"
    assert not (folder / "task_00/_ibl_passiveGabor.table.csv").exists()
    assert (folder / "task_01/_ibl_passiveGabor.table.csv").exists()
    replay = session["epochs"]["pre"]["replay"]
    assert replay["stop"] == replay["start"] + 300
    detail = next(each for each in records["sessions"] if each["id"] == session["eid"])
    missing = [r for r in detail["data_dataset_session_related"] if r["data_url"] is None]
    assert [(r["collection"], r["name"]) for r in missing] == [
        ("alf/task_00", "_ibl_passiveGabor.table.csv")
    ]


def test_missing_uuids_and_revisions(root: Path, truth: list[dict[str, Any]]) -> None:
    session = having(truth, "missing_uuids")
    assert session["condition"] == "saline"
    folder = root / session["path"] / "alf/probe00/iblsorter"
    assert (folder / "spikes.times.npy").exists()
    assert not (folder / "clusters.uuids.csv").exists()
    units = pd.DataFrame(session["units"])
    assert (units["uuid"].isna() == (units["pid"] == session["insertions"][0]["pid"])).all()
    assert "revisions" in session["oddities"]
    older = root / session["path"] / "alf/probe01/iblsorter"
    newer = older / "#2025-01-01#"
    assert {p.name for p in newer.iterdir()} == {
        p.name for p in older.iterdir() if p.name.startswith(("spikes", "clusters"))
    }
    assert np.load(older / "spikes.times.npy").size != np.load(newer / "spikes.times.npy").size
    datasets = pd.read_parquet(root / "datasets.pqt").loc[session["eid"]]
    here = datasets["rel_path"].str.match(r"alf/probe01/iblsorter/.*(spikes|clusters)\.")
    default = datasets.loc[here, "default_revision"]
    assert (default == datasets.loc[here, "rel_path"].str.contains("#")).all()


def test_filler_run(root: Path, truth: list[dict[str, Any]]) -> None:
    session = having(truth, "filler_run")
    runs = settings_of(root, session)
    assert ["passive" in run["PYBPOD_PROTOCOL"] for run in runs] == [True, False, True]
    assert "spontaneous" in runs[1]["PYBPOD_PROTOCOL"]
    folders = {path.name for path in (root / session["path"] / "alf").glob("task_*")}
    assert folders == {"task_00", "task_02"}
    injection = session["injection"]
    assert injection["provenance"] == "filler_start"
    shift = (rig_start(runs[1]) - rig_start(runs[0])).total_seconds()
    start = session["epochs"]["pre"]["spontaneous"]["start"]
    assert injection["time"] == pytest.approx(start + shift)
    assert injection["exact"] < injection["time"] < injection["exact"] + 60


def test_ends_early_missing_probe_and_no_spikes(root: Path, truth: list[dict[str, Any]]) -> None:
    session = having(truth, "ends_early")
    first, second = session["insertions"]
    start, stop = session["epochs_exact"]["post"]["replay"]
    assert start + 60 < second["end"] < stop - 60
    assert first["end"] == session["recording_end"] > stop
    session = having(truth, "missing_probe")
    assert [each["name"] for each in session["insertions"]] == ["probe00"]
    assert not (root / session["path"] / "alf/probe01").exists()
    session = having(truth, "no_spikes")
    assert not list((root / session["path"]).glob("alf/probe*"))
    assert session["units"] == {}
    assert (root / session["path"] / "alf/task_01").is_dir()


def test_long_spontaneous(root: Path, truth: list[dict[str, Any]]) -> None:
    session = having(truth, "long_spontaneous")
    table = task(root, session, 2, "passivePeriods.intervalsTable", index_col=0)
    start, stop = table["spontaneousActivity"]
    assert stop - start == pytest.approx(600)
    assert stop < table.loc["start", "RFM"] < stop + 2
    cut = session["epochs"]["post"]["spontaneous"]
    assert cut["provenance"] == "alf_cut"
    assert cut["stop"] == pytest.approx(start + 300)


def test_bombcell_follows_the_spikes(root: Path, truth: list[dict[str, Any]]) -> None:
    session = having(truth, "bombcell")
    insertion = session["insertions"][0]
    folder = root / session["path"] / "spike_sorters" / insertion["sorter"] / "probe00"
    clusters = np.load(sorting(root, session, insertion) / "spikes.clusters.npy")
    assert np.array_equal(np.load(folder / "spike_clusters.npy"), clusters)
    duplicate = np.load(folder / "bombcell/spikes._bc_duplicateSpikes.npy")
    assert duplicate.shape == clusters.shape
    assert 0 < duplicate.mean() < 0.05
    kinds = pd.read_csv(folder / "cluster_bc_unitType.tsv", sep="\t")
    metrics = pd.read_parquet(folder / "bombcell/templates._bc_qMetrics.parquet")
    assert metrics["phy_clusterID"].tolist() == kinds["cluster_id"].tolist()
    assert metrics["bc_unitType"].tolist() == kinds["bc_unitType"].tolist()
    assert set(kinds["cluster_id"]) == set(clusters)
    assert set(kinds["bc_unitType"]) <= {"GOOD", "MUA", "NOISE", "NON-SOMA"}


# ---- times -------------------------------------------------------------------------------------


def test_epochs_follow_the_reading_rules(root: Path, truth: list[dict[str, Any]]) -> None:
    for session in truth:
        slots = (0, 2) if "filler_run" in session["oddities"] else (0, 1)
        for phase, slot in zip(("pre", "post"), slots, strict=True):
            if phase == "post" and "rig_clock_run" in session["oddities"]:
                continue
            epochs = session["epochs"][phase]
            table = task(root, session, slot, "passivePeriods.intervalsTable", index_col=0)
            assert list(table.index) == ["start", "stop"]
            assert epochs["spontaneous"]["start"] == table.loc["start", "spontaneousActivity"]
            assert [epochs["rfm"]["start"], epochs["rfm"]["stop"]] == table["RFM"].tolist()
            for column in ("taskReplay", "passiveProtocol"):
                assert table.loc["stop", column] == session["recording_end"]
            if epochs["replay"]["provenance"] == "gabor":
                gabors = task(root, session, slot, "passiveGabor.table")
                assert len(gabors) == 180
                assert set(gabors["position"]) == {35.0, -35.0}
                assert epochs["replay"]["start"] == gabors["start"].iloc[0]
                assert epochs["replay"]["stop"] == gabors["stop"].iloc[-1]
            stims = task(root, session, slot, "passiveStims.table")
            assert stims.isna().to_numpy().any()


def test_times_are_in_order(truth: list[dict[str, Any]]) -> None:
    for session in truth:
        edges = [
            edge
            for phase in ("pre", "post")
            for span in session["epochs_exact"][phase].values()
            for edge in span
        ]
        assert edges == sorted(edges)
        assert edges[5] < session["injection"]["exact"] < edges[6]
        assert edges[-1] < session["recording_end"] < edges[-1] + 65
        assert abs(edges[6] - session["injection"]["exact"] - 1800) < 61


# ---- spikes --------------------------------------------------------------------------------------


def test_spike_files_fit_together(root: Path, truth: list[dict[str, Any]]) -> None:
    for session, insertion, folder in sortings(root, truth):
        times = np.load(folder / "spikes.times.npy")
        clusters = np.load(folder / "spikes.clusters.npy")
        assert times.dtype == np.float64
        assert clusters.dtype == np.int32
        assert (np.diff(times) >= 0).all()
        assert times[0] >= 0
        assert insertion["end"] - 1 < times[-1] <= insertion["end"]
        assert np.allclose(times * 30_000, np.rint(times * 30_000), atol=1e-4)
        for name in ("spikes.amps", "spikes.depths"):
            assert np.load(folder / f"{name}.npy").shape == times.shape == clusters.shape
        assert times.size == insertion["n_spikes"]
        channels = np.load(folder / "clusters.channels.npy")
        silent = set(range(channels.size)) - set(clusters.tolist())
        assert silent
        assert sorted(silent) == insertion["silent_clusters"]
        metrics = pd.read_parquet(folder / "clusters.metrics.pqt")
        ids, counts = np.unique(clusters, return_counts=True)
        assert metrics["cluster_id"].tolist() == ids.tolist()
        assert metrics["spike_count"].tolist() == counts.tolist()
        assert set(metrics["ks2_label"]) <= {"good", "mua"}
        assert metrics["label"].isin([0, 1 / 3, 2 / 3, 1]).all()
        rows = pd.DataFrame(session["units"]).query("pid == @insertion['pid']")
        assert rows["cluster_id"].tolist() == ids.tolist()
        if rows["uuid"].notna().all():
            uuids = pd.read_csv(folder / "clusters.uuids.csv")["uuids"]
            assert len(uuids) == channels.size == insertion["n_clusters"]
            assert rows["uuid"].tolist() == uuids[ids].tolist()


def test_regions_are_real(root: Path, truth: list[dict[str, Any]]) -> None:
    atlas = BrainRegions()
    for session, insertion, folder in sortings(root, truth):
        where = folder.parent if insertion["revision"] else folder
        places = np.load(where / "channels.brainLocationIds_ccf_2017.npy")
        assert places.shape == (384,)
        assert np.load(where / "channels.mlapdv.npy").shape == (384, 3)
        acronyms = atlas.id2acronym(places)
        assert len(acronyms) == 384
        rows = pd.DataFrame(session["units"]).query("pid == @insertion['pid']")
        channels = np.load(folder / "clusters.channels.npy")
        assert rows["region"].tolist() == acronyms[channels[rows["cluster_id"]]].tolist()


def test_drug_changes_the_rates_of_modulated_units_only(
    root: Path, truth: list[dict[str, Any]]
) -> None:
    plain, modulated = [], []
    for session, insertion, folder in sortings(root, truth):
        units = session["units"]
        assert any(units["modulated"]) == (session["condition"] == "lsd")
        assert not any(np.array(units["modulated"]) & np.array(units["drifting"]))
        spans = [session["epochs_exact"][phase]["rfm"] for phase in ("pre", "post")]
        for row, times in per_unit(folder, units, insertion):
            counts = [np.count_nonzero((times >= a) & (times < b)) for a, b in spans]
            if min(counts) < 100 or units["drifting"][row]:
                continue
            change = np.log(counts[1] / counts[0])
            expected = np.log(units["gain"][row])
            (modulated if units["modulated"][row] else plain).append(change - expected)
            if units["modulated"][row]:
                assert np.sign(change) == np.sign(expected)
    assert len(plain) > 40
    assert len(modulated) > 15
    assert np.std(plain) < 0.2
    assert np.std(modulated) < 0.2
    assert abs(np.mean(modulated)) < 0.1


def test_gabors_drive_visual_units(root: Path, truth: list[dict[str, Any]]) -> None:
    evoked: dict[tuple[bool, bool], list[float]] = {(v, c): [] for v in (0, 1) for c in (0, 1)}
    for session, insertion, folder in sortings(root, truth):
        slot = 1 if "no_gabor_table" in session["oddities"] else 0
        gabors = task(root, session, slot, "passiveGabor.table")
        contra = (gabors["position"] == session["contra_position"]).to_numpy()
        edges = gabors["start"].to_numpy()[:, None] + [-0.05, 0.05, 0.15]
        for row, times in per_unit(folder, session["units"], insertion):
            before, after = np.diff(np.searchsorted(times, edges)).T
            visual = session["units"]["visual"][row]
            for side in (False, True):
                evoked[visual, side].append(float((after - before)[contra == side].mean()))
    mean = {key: np.mean(values) for key, values in evoked.items()}
    assert mean[True, True] > 0.3
    assert 0.05 < mean[True, False] < mean[True, True] / 2
    assert abs(mean[False, True]) < 0.05
    assert abs(mean[False, False]) < 0.05


def test_latents_gain_dimensions_under_lsd(
    root: Path, truth: list[dict[str, Any]], tmp_path: Path
) -> None:
    for session in truth:
        after = 12 if session["condition"] == "lsd" else 6
        assert session["latent_dimension"] == {"pre": 6, "post": after}
    many = write_cohort(tmp_path / "many", n_sessions=1, n_units=200)
    (session,) = json.loads((many / "truth.json").read_text())["sessions"]
    values = {}
    for phase, epochs in session["epochs_exact"].items():
        edges = np.arange(epochs["spontaneous"][0], epochs["rfm"][1])
        counts = np.array(
            [
                np.histogram(times, edges)[0]
                for _, insertion, folder in sortings(many, [session])
                for _, times in per_unit(folder, session["units"], insertion)
            ]
        )
        counts = counts[counts.sum(axis=1) > 100]
        values[phase] = np.linalg.eigvalsh(np.corrcoef(counts))[::-1]
    assert values["pre"][5] > 2 * values["pre"][6:12].mean()
    assert values["post"][6:12].mean() > 1.5 * values["pre"][6:12].mean()


def test_further_sessions_are_ordinary_and_distinct() -> None:
    from lsdx.demo.plan import plan_session

    plans = [plan_session(index) for index in range(120)]
    assert len({plan.path for plan in plans}) == 120
    days: dict[str, list[Any]] = {}
    for plan in plans:
        days.setdefault(plan.subject, []).append(plan.day)
    assert all(len(set(each)) == len(each) <= 3 for each in days.values())
    saline = [plan for plan in plans if plan.condition == "saline"]
    assert 0.2 < len(saline) / 120 < 0.35
    assert all(plan.day.year == 2025 for plan in saline)
