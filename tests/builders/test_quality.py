"""Builds of the store of quality: what of the files becomes what, and what is built again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from iblutil.io import parquet

from lsdx.builders import Report, build
from lsdx.config import Quality, Settings
from lsdx.errors import StoreNotFound
from lsdx.store.openers import open_quality
from tests.builders.test_imperfect import BASE, Lab

ALF, SORTER = "alf/probe00/ks2", "spike_sorters/ks2/probe00"
AMPS = np.full((BASE.size, 1), 1e-4)  # as older files have them


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path / "cache")
    lab.sorting(ALF)
    return lab


def bombcell(lab: Lab, folder: str, n_spikes: float, kind: str) -> None:
    """Write what bombcell says of cluster 1."""
    place = lab.root / "lab/Subjects/M1/2024-03-01/001" / SORTER / folder
    place.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(
        {"phy_clusterID": [1], "nSpikes": [n_spikes], "bc_unitType": [kind], "isNew": [1.0]}
    )
    table.to_parquet(place / "templates._bc_qMetrics.parquet")
    parameters = pd.DataFrame({"minNumSpikes": [300], "folder": [folder]})
    parameters.to_parquet(place / "_bc_parameters._bc_qMetrics.parquet")


def told(report: Report, kind: str) -> tuple[str, str]:
    ((status, reason),) = [
        (x.status, x.reason) for x in report.lines if x.kind == kind and x.session != "all"
    ]
    return status, reason


def test_a_session_without_amplitudes_has_nan_and_a_note(lab: Lab) -> None:
    report = lab.build(names=["quality"])
    assert told(report, "quality") == ("built", "probe00: no spikes.amps.npy, spikes.depths.npy")
    assert not report.failed
    q = open_quality(lab.stores)
    for name in ("amplitude", "spike_depth", "amplitude_cutoff", "nSpikes", "Lratio"):
        assert q[name].isnull().all()
    assert set(q.bombcell_version.values) == set(q.bombcell_parameters.values) == {""}
    assert q.presence.values.tolist() == [[1, 1], [1, 1]]
    assert q.stable.values.tolist() == [1, 1]


def test_what_the_files_say_is_stored_and_changes_rebuild_only_it(lab: Lab) -> None:
    lab.put(f"{ALF}/spikes.amps.npy", AMPS)
    lab.put(f"{ALF}/spikes.depths.npy", np.where(BASE < 50, 100.0, 130.0))
    bombcell(lab, "bombcell", 480, "Good")
    report = lab.build(names=["quality"])
    assert told(report, "quality") == (
        "built",
        "probe00: 1 columns of bombcell's that lsdx does not know (isNew)",
    )
    q = open_quality(lab.stores)
    assert q.cluster_id.values.tolist() == [0, 1]
    assert q.nSpikes.isnull().values.tolist() == [True, False]
    assert q.nSpikes.values[1] == 480
    assert [len(v) for v in q.bombcell_parameters.values] == [0, 16]
    assert q.bombcell.values.tolist() == ["", "GOOD"]
    np.testing.assert_allclose(q.amplitude, 1e-4, rtol=1e-6)
    assert q.spike_depth.values.tolist() == [[100, 130]] * 2
    assert q.stable.values.tolist() == [0, 0]
    lab.put(f"{ALF}/spikes.depths.npy", np.full(BASE.size, 100.0))
    report = lab.build(names=["quality"])
    assert told(report, "quality")[0] == "built"
    kinds = ("sessions", "insertions", "epochs", "units", "spikes")
    assert {told(report, kind)[0] for kind in kinds} == {"reused"}
    assert open_quality(lab.stores).stable.values.tolist() == [1, 1]


def test_two_runs_of_bombcell_are_both_kept(lab: Lab) -> None:
    bombcell(lab, "bombcell", 480, "GOOD")
    bombcell(lab, "bombcell_strict", 470, "MUA")
    lab.build(names=["quality"])
    usual = open_quality(lab.stores)
    lab.settings["quality"] = Quality(folder="bombcell_strict")
    lab.build(names=["quality"])
    strict = open_quality(lab.stores)
    assert (usual.nSpikes.values[1], strict.nSpikes.values[1]) == (480, 470)
    assert (usual.bombcell.values[1], strict.bombcell.values[1]) == ("GOOD", "MUA")
    assert usual.bombcell_parameters.values[1] != strict.bombcell_parameters.values[1]


def test_what_cannot_be_read_is_named_and_the_rest_built(lab: Lab) -> None:
    lab.put(f"{ALF}/spikes.amps.npy", np.where(BASE > 50, np.inf, 1e-4)[:, None])
    lab.put(f"{ALF}/spikes.depths.npy", np.full(BASE.size, 100.0))
    bombcell(lab, "bombcell", 501, "GOOD")  # the cluster has 500
    report = lab.build(names=["quality"])
    reasons = " ".join(x.reason for x in report.lines if x.status == "failed")
    assert "alf/probe00/ks2/spikes.amps.npy: expected finite numbers" in reasons
    assert "bombcell/templates._bc_qMetrics.parquet: expected at most the spikes" in reasons
    q = open_quality(lab.stores)
    assert q.amplitude.isnull().all()
    assert q.nSpikes.isnull().all()
    assert (q.spike_depth == 100).all()
    lab.put(f"{ALF}/spikes.amps.npy", AMPS)
    bombcell(lab, "bombcell", 500, "GOOD")
    assert not lab.build(names=["quality"]).failed
    q = open_quality(lab.stores)
    assert (q.amplitude.notnull().all(), q.nSpikes.values[1]) == (True, 500)


def test_without_the_recipe_its_files_are_not_looked_at(lab: Lab) -> None:
    lab.put(f"{ALF}/spikes.amps.npy", AMPS[:-1])
    bombcell(lab, "bombcell", 501, "GOOD")
    lab.tables(["probe00"])
    settings = Settings(source="cache", cache_dir=lab.root, stores=lab.root.parent / "stores")
    assert not build(settings, ["units"], progress=False).failed
    with pytest.raises(StoreNotFound, match=r"store quality: .*Build it: lsdx build quality"):
        open_quality(settings.stores)


def test_recorded_amplitudes_that_are_not_on_disk_are_told(lab: Lab) -> None:
    lab.put(f"{ALF}/spikes.amps.npy", AMPS)
    lab.put(f"{ALF}/spikes.depths.npy", np.full(BASE.size, 100.0))
    lab.tables(["probe00"])
    table, meta = parquet.load(lab.root / "datasets.pqt")
    gone = table["rel_path"].str.contains("amps")
    parquet.save(lab.root / "datasets.pqt", table.assign(exists=table["exists"] & ~gone), meta)
    report = lab.build(names=["quality"])
    note = "probe00: recorded but not on disk: alf/probe00/ks2/spikes.amps.npy"
    assert told(report, "quality") == ("built", note)
