"""Bombcell's measures: joined on the cluster, or refused by name."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lsdx.errors import SourceError
from lsdx.readers.bombcell import (
    BC_DUPLICATES,
    BC_MEASURES,
    BC_PARAMETERS,
    BC_RUN,
    KS_CLUSTERS,
    LABEL_FILES,
    places,
    read_duplicates,
    read_labels,
    read_measures,
)
from lsdx.readers.ephys import Spikes
from lsdx.schema.quality import BOMBCELL_MEASURES

WHERE = "session 0b7c1f6e-0000-3000-8000-000000000001, alf/probe00/iblsorter"
# clusters 0 and 2 have three spikes each, cluster 1 has none
CLUSTERS = np.array([2, 0, 2, 0, 2, 0], dtype=np.uint16)
SPIKES = Spikes(np.arange(6, dtype=np.uint32) * 1000, CLUSTERS)
TABLE = {
    "phy_clusterID": [2, 0],
    "nSpikes": [3.0, 2.0],
    "presenceRatio": [0.5, None],
    "maxChannels": [7, 1],
    "bc_unitType": ["GOOD", "MUA"],
}


@pytest.fixture(params=["bombcell", "bombcell_strict"])
def files(tmp_path: Path, request: pytest.FixtureRequest) -> dict[str, Path]:
    """A sorter's folder with a small table of measures, in one of two folders."""
    (tmp_path / request.param).mkdir()
    found = {n: tmp_path / p for n, p in places((BC_MEASURES,), request.param).items()}
    pd.DataFrame(TABLE).to_parquet(found[BC_MEASURES])
    return found


def write(files: dict[str, Path], table: dict[str, Any]) -> None:
    pd.DataFrame(table).to_parquet(files[BC_MEASURES])


def beside(files: dict[str, Path], name: str) -> Path:
    files[name] = files[BC_MEASURES].parent / Path(name).name
    return files[name]


def refused(files: dict[str, Path]) -> str:
    """The message of the error, which must name the sorting and the folder that was read."""
    with pytest.raises(SourceError) as caught:
        read_measures(files, SPIKES, 3, WHERE)
    assert f"{WHERE}: {files[BC_MEASURES].parent.name}/" in str(caught.value)
    return str(caught.value)


def test_measures_are_joined_on_the_cluster(files: dict[str, Path]) -> None:
    found = read_measures(files, SPIKES, 3, WHERE)
    assert found is not None
    nan = np.nan
    np.testing.assert_array_equal(found.measures["nSpikes"], [2, nan, 3])
    np.testing.assert_array_equal(found.measures["presenceRatio"], [nan, nan, 0.5])
    np.testing.assert_array_equal(found.measures["maxChannels"], [1, nan, 7])
    assert found.seen.tolist() == [True, False, True]
    assert (found.version, found.parameters, found.unknown) == ("", "", ())
    # an older bombcell does not have the rest
    assert set(found.measures) == set(BOMBCELL_MEASURES)
    assert np.isnan(found.measures["Lratio"]).all()


def test_without_a_table_there_are_no_measures() -> None:
    assert read_measures({}, SPIKES, 3, WHERE) is None


def test_columns_that_are_not_known_are_named(files: dict[str, Path]) -> None:
    write(files, TABLE | {"isGolden": [1.0, 0.0]})
    found = read_measures(files, SPIKES, 3, WHERE)
    assert found is not None
    assert found.unknown == ("isGolden",)


def test_equal_choices_have_equal_digests(files: dict[str, Path]) -> None:
    row = {"b": True, "a": 0.5, "none": None, "c": 3, "words": "x", "nan": np.nan}
    at = {"ephysKilosortPath": "/one/place", "raw_data_file": None}
    pd.DataFrame([row | at]).to_parquet(beside(files, BC_PARAMETERS))
    beside(files, BC_RUN).write_text(json.dumps({"bombcell": "0.94", "parameters": {}}))
    found = read_measures(files, SPIKES, 3, WHERE)
    assert found is not None
    stated = '{"a": 0.5, "b": true, "c": 3, "nan": null, "none": null, "words": "x"}'
    assert found.parameters == hashlib.sha256(stated.encode()).hexdigest()[:16]
    assert found.version == "0.94"
    pd.DataFrame([row | at | {"ephysKilosortPath": "/other"}]).to_parquet(files[BC_PARAMETERS])
    again = read_measures(files, SPIKES, 3, WHERE)
    assert again is not None
    assert again.parameters == found.parameters


BAD_TABLES = {
    "no cluster ids": ({"nSpikes": [3.0]}, "columns phy_clusterID"),
    "an id that is NaN": (
        TABLE | {"phy_clusterID": [2, None]},
        "cluster ids in 0..2, found nan. Run bombcell again on this sorting.",
    ),
    "an id that is no cluster": (TABLE | {"phy_clusterID": [2, 3]}, "found 3"),
    "an id below 0": (TABLE | {"phy_clusterID": [2, -1]}, "found -1"),
    "an id that is no integer": (TABLE | {"phy_clusterID": [2, 0.5]}, "found 0.5"),
    "an id twice": (TABLE | {"phy_clusterID": [2, 2]}, "each phy_clusterID once"),
    "text": (TABLE | {"presenceRatio": ["high", "low"]}, "column presenceRatio"),
    "another sorting": (
        TABLE | {"nSpikes": [3.0, 4.0]},
        "at most the spikes of spikes.clusters.npy, found 4 of cluster 0, 3 here",
    ),
}


@pytest.mark.parametrize(("table", "told"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_bad_tables_of_measures_are_refused(
    files: dict[str, Path], table: dict[str, Any], told: str
) -> None:
    write(files, table)
    assert told in refused(files)


def test_damaged_tables_are_refused(files: dict[str, Path]) -> None:
    beside(files, BC_PARAMETERS).write_bytes(b"no parquet")
    assert "a parquet table" in refused(files)
    pd.DataFrame({"a": [1, 2]}).to_parquet(files[BC_PARAMETERS])
    assert "one row of parameters, found 2 rows" in refused(files)
    del files[BC_PARAMETERS]
    beside(files, BC_RUN).write_text("{")
    assert "a JSON object" in refused(files)
    files[BC_MEASURES].write_bytes(b"")
    assert "a parquet table" in refused(files)


def test_a_label_it_never_had_is_kept(files: dict[str, Path]) -> None:
    write(files, TABLE | {"bc_unitType": ["Axonal", " mua "]})
    assert read_labels(files, WHERE, 3).tolist() == ["MUA", "", "AXONAL"]


def test_the_labels_beside_the_sorters_files_are_of_the_usual_folder_alone() -> None:
    beside = "cluster_bc_unitType.tsv"
    assert places(LABEL_FILES)[beside] == beside
    assert beside not in places(LABEL_FILES, "bombcell_strict")


def test_a_mask_of_another_length_is_refused_by_name(files: dict[str, Path]) -> None:
    np.save(beside(files, BC_DUPLICATES), np.zeros(5))
    files[KS_CLUSTERS] = files[BC_MEASURES].parent.parent / KS_CLUSTERS
    np.save(files[KS_CLUSTERS], CLUSTERS[:, None])  # as Kilosort 2 writes vectors
    with pytest.raises(SourceError) as caught:
        read_duplicates(files, SPIKES, WHERE)
    place = f"{files[BC_MEASURES].parent.name}/spikes._bc_duplicateSpikes.npy"
    told = "a flag for each of the 6 spikes of spike_clusters.npy, found 5. Run bombcell again"
    assert f"{WHERE}: {place}: expected {told}" in str(caught.value)
    np.save(files[BC_DUPLICATES], np.array([[0], [0], [1], [0], [0], [1]]))
    found = read_duplicates(files, SPIKES, WHERE)
    assert found is not None
    assert found.tolist() == [False, False, True, False, False, True]
