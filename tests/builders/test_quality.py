"""Builds of the store of quality: what of the files becomes what, and what is built again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lsdx.builders import Report
from lsdx.config import Quality
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
    lab.put(f"{ALF}/spikes.amps.npy", np.where(BASE > 50, np.inf, 1e-4))
    lab.put(f"{ALF}/spikes.depths.npy", np.where(BASE < 50, 100.0, 130.0))
    lab.put(f"{ALF}/channels.localCoordinates.npy", np.array([[43.0, 20.0], [11.0, 40.0]]))
    bombcell(lab, "bombcell", 501, "GOOD")  # the cluster has 500
    report = lab.build(names=["quality"])
    reasons = " ".join(x.reason for x in report.lines if x.status == "failed")
    assert "alf/probe00/ks2/spikes.amps.npy: expected finite numbers" in reasons
    assert "bombcell/templates._bc_qMetrics.parquet: expected at most the spikes" in reasons
    q = open_quality(lab.stores)
    assert q.amplitude.isnull().all()
    assert q.nSpikes.isnull().all()
    assert q.spike_depth.values.tolist() == [[100, 130]] * 2

    lab.put(f"{ALF}/spikes.amps.npy", AMPS)
    lab.put(f"{ALF}/spikes.depths.npy", np.full(BASE.size, 100.0))
    bombcell(lab, "bombcell", 480, "Good")
    bombcell(lab, "bombcell_strict", 470, "MUA")
    report = lab.build(names=["quality"])
    note = "probe00: 1 columns of bombcell's that lsdx does not know (isNew)"
    assert told(report, "quality") == ("built", note)
    q = open_quality(lab.stores)
    assert q.cluster_id.values.tolist() == [0, 1]
    np.testing.assert_array_equal(q.nSpikes, [np.nan, 480])
    assert [len(v) for v in q.bombcell_parameters.values] == [0, 16]
    assert q.bombcell.values.tolist() == ["", "GOOD"]
    np.testing.assert_allclose(q.amplitude, 1e-4, rtol=1e-6)
    found = [q[name].values.tolist() for name in ("channel", "axial_um", "lateral_um")]
    assert found == [[0, 1], [20, 40], [43, 11]]
    assert q.stable.values.tolist() == [1, 1]

    lab.put(f"{ALF}/spikes.depths.npy", np.where(BASE < 50, 100.0, 130.0))
    report = lab.build(names=["quality"])
    assert told(report, "quality")[0] == "built"
    kinds = ("sessions", "insertions", "epochs", "units", "spikes")
    assert {told(report, kind)[0] for kind in kinds} == {"reused"}
    assert open_quality(lab.stores).stable.values.tolist() == [0, 0]

    # the results of another run beside them
    lab.settings["quality"] = Quality(folder="bombcell_strict")
    lab.build(names=["quality"])
    strict = open_quality(lab.stores)
    assert (strict.nSpikes.values[1], strict.bombcell.values[1]) == (470, "MUA")
    assert strict.bombcell_parameters.values[1] not in ("", q.bombcell_parameters.values[1])


def test_too_few_sites_are_told(lab: Lab) -> None:
    lab.put(f"{ALF}/channels.localCoordinates.npy", np.array([[43.0, 20.0]]))
    report = lab.build(names=["quality"])
    (failed,) = [x.reason for x in report.lines if x.status == "failed"]
    assert "channels.localCoordinates.npy: expected more than 1 channels, found 1" in failed
    assert open_quality(lab.stores).channel.isnull().all()


def test_without_the_recipe_its_files_are_not_looked_at(lab: Lab) -> None:
    lab.put(f"{ALF}/spikes.amps.npy", AMPS[:-1])
    bombcell(lab, "bombcell", 501, "GOOD")
    report = lab.build(names=["units"])
    assert not report.failed
    with pytest.raises(StoreNotFound, match=r"store quality: .*Build it: lsdx build quality"):
        open_quality(lab.stores)
