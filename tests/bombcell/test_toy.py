"""The real bombcell on a real Kilosort 2 output: its own labels and duplicates come out."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lsdx
from lsdx.config import Settings
from lsdx.spike_sorting.running import run_bombcell
from tests.builders.test_imperfect import Lab

TOY = Path(__file__).resolve().parents[3] / "shared" / "data" / "kilosort-toy"
MUA, GOOD, NOISE, AXON = "MUA", "GOOD", "NOISE", "NON-SOMA"
LABELS = [MUA, NOISE, *[MUA] * 4, GOOD, *[MUA] * 4, AXON, *[MUA] * 3]


@pytest.mark.skipif(not TOY.is_dir(), reason="the Kilosort output is not on this machine")
def test_the_toy_from_the_sorters_files_to_the_stores(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "cache")
    clusters = np.load(TOY / "spike_clusters.npy")
    ids, row = np.unique(clusters, return_inverse=True)
    alf = "alf/probe00/ks2"
    lab.put(f"{alf}/spikes.times.npy", np.load(TOY / "spike_times.npy") / 30_000)
    lab.put(f"{alf}/spikes.clusters.npy", clusters.astype(np.int64))
    for name in ("channels", "depths"):
        lab.put(f"{alf}/clusters.{name}.npy", np.zeros(int(ids.max()) + 1, dtype=np.int64))
    lab.tables(["probe00"])
    folder = lab.root / "lab/Subjects/M1/2024-03-01/001/spike_sorters/ks2/probe00"
    shutil.copytree(TOY, folder)
    folder.chmod(0o755)
    pcs = np.random.default_rng(0).normal(size=(clusters.size, 3, 32)).astype("f4")
    np.save(folder / "pc_features.npy", pcs)

    (outcome,) = run_bombcell(Settings(source="cache", cache_dir=lab.root), progress=False)
    assert (outcome.status, outcome.reason) == ("built", "")
    table = pd.read_parquet(folder / "bombcell" / "templates._bc_qMetrics.parquet")
    assert table.shape == (15, 31)
    assert table["bc_unitType"].tolist() == LABELS
    mask = np.load(folder / "bombcell" / "spikes._bc_duplicateSpikes.npy")
    assert (mask.size, mask.sum()) == (94_565, 337)
    assert not list(folder.rglob("*.pkl"))

    report = lab.build(names=["units", "quality", "counts"])
    assert not report.failed
    quality = lsdx.open_quality(lab.stores)
    joined = dict(zip(quality.cluster_id.values, quality.bombcell.values, strict=True))
    expected = dict(zip(ids.tolist(), LABELS, strict=True))
    assert joined == {i: expected.get(i, "") for i in range(int(ids.max()) + 1)}
    assert int(quality.nSpikes.sum()) == int(table["nSpikes"].sum())
    assert version("bombcell") in quality.bombcell_version.values
    spikes = lsdx.open_spikes(lab.stores).compute()
    assert (spikes.sizes["spike"], int(spikes.duplicate.sum())) == (94_565, 337)
    start, size = spikes.row_start.values, spikes.row_size.values
    found = [
        int(spikes.duplicate.values[a : a + n].sum()) for a, n in zip(start, size, strict=True)
    ]
    wanted = np.bincount(row.ravel(), weights=mask).astype(int)
    at = {int(c): n for c, n in zip(spikes.cluster_id.values, found, strict=True)}
    assert [at[i] for i in ids.tolist()] == wanted.tolist()
    good = lsdx.open_units(lab.stores).lsd.select(quality="bombcell_good")
    assert good.cluster_id.values.tolist() == [ids[LABELS.index(GOOD)]]
