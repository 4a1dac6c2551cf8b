"""The real bombcell on a real Kilosort 2 output: its own labels and duplicates come out."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lsdx
from lsdx.config import Settings
from lsdx.sources import open_source
from lsdx.spike_sorting.running import run_bombcell

TOY = Path(__file__).resolve().parents[3] / "shared" / "data" / "kilosort-toy"


@pytest.mark.skipif(not TOY.is_dir(), reason="the Kilosort output is not on this machine")
def test_labels_and_duplicates_of_the_toy(tmp_path: Path) -> None:
    cache = lsdx.demo.write_cohort(tmp_path / "cohort", n_sessions=1, n_units=8)
    settings = Settings(source="cache", cache_dir=cache)
    source, _ = open_source(settings)
    folder = source.folder(source.sessions()[0].eid) / "spike_sorters/iblsorter/probe00"
    shutil.copytree(TOY, folder)
    folder.chmod(0o755)
    clusters = np.load(TOY / "spike_clusters.npy")
    pcs = np.random.default_rng(0).normal(size=(clusters.size, 3, 32)).astype("f4")
    np.save(folder / "pc_features.npy", pcs)
    (outcome, _) = run_bombcell(settings, progress=False)
    assert (outcome.status, outcome.reason) == ("built", "")
    table = pd.read_parquet(folder / "bombcell" / "templates._bc_qMetrics.parquet")
    assert table["bc_unitType"].value_counts().to_dict() == {
        "MUA": 12,
        "GOOD": 1,
        "NOISE": 1,
        "NON-SOMA": 1,
    }
    assert table.shape == (15, 31)
    mask = np.load(folder / "bombcell" / "spikes._bc_duplicateSpikes.npy")
    assert (mask.size, mask.sum()) == (94_565, 337)
    assert not list(folder.rglob("*.pkl"))
