"""Spike sorting files: each is read as what it is, or refused by name; none is ever guessed."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lsdx.errors import SourceError
from lsdx.readers.bombcell import read_duplicates
from lsdx.readers.ephys import (
    METRICS,
    Spikes,
    check_sorting,
    read_channels,
    read_clusters,
    read_of_spikes,
    read_spikes,
)

WHERE = "session 0b7c1f6e-0000-3000-8000-000000000001, alf/probe00/iblsorter"
TIMES = np.array([0.0, 0.25, 0.25, 1.5, 2.75, 4.0])
CLUSTERS = np.array([2, 0, 2, 0, 2, 0], dtype=np.int32)
SPIKES = Spikes(np.rint(TIMES * 1e5).astype(np.uint32), CLUSTERS.astype(np.uint16))
UUIDS = [f"0000000{i}-aaaa-3bbb-8ccc-dddddddddddd" for i in range(3)]
TIMES_NAME, CLUSTERS_NAME = "spikes.times.npy", "spikes.clusters.npy"
CHANNELS_NAME, DEPTHS_NAME = "clusters.channels.npy", "clusters.depths.npy"
UUIDS_NAME, METRICS_NAME = "clusters.uuids.csv", "clusters.metrics.pqt"
IDS_NAME, PLACES_NAME = "channels.brainLocationIds_ccf_2017.npy", "channels.mlapdv.npy"
PARQUET_NAME = "bombcell/templates._bc_qMetrics.parquet"
TSV_NAME, OLD_TSV_NAME = "cluster_bc_unitType.tsv", "bombcell/cluster_bc_unitType.tsv"
MASK_NAME, ORDER_NAME = "bombcell/spikes._bc_duplicateSpikes.npy", "spike_clusters.npy"

Sorting = dict[str, Path]


@pytest.fixture
def sorting(tmp_path: Path) -> Sorting:
    """Three clusters on four channels, six spikes; cluster 1 is silent and has no metrics."""
    arrays = {
        TIMES_NAME: TIMES,
        CLUSTERS_NAME: CLUSTERS,
        CHANNELS_NAME: np.array([3, 0, 1]),
        DEPTHS_NAME: np.array([40.0, 20.0, 20.0]),
        IDS_NAME: np.array([382, 382, 997, 0]),
        PLACES_NAME: np.arange(12.0).reshape(4, 3),
    }
    (tmp_path / "bombcell").mkdir()
    for name, array in arrays.items():
        np.save(tmp_path / name, array)
    (tmp_path / UUIDS_NAME).write_text("\n".join(["uuids", *UUIDS]) + "\n")
    metrics = pd.DataFrame({"cluster_id": [2, 0], "firing_rate": [7.5, 3.25], "label": [1.0, 0.0]})
    metrics.assign(ks2_label=["good", "mua"]).to_parquet(tmp_path / METRICS_NAME)
    return {name: tmp_path / name for name in (*arrays, UUIDS_NAME, METRICS_NAME)}


def save(files: Sorting, name: str, array: Any) -> None:
    files.setdefault(name, next(iter(files.values())).parent / name)
    np.save(files[name], array)


def refused(read: Callable[..., object], *args: object) -> str:
    """The message of the error that ``read`` raises, which must name the session's sorting."""
    with pytest.raises(SourceError) as caught:
        read(*args)
    message = str(caught.value)
    assert WHERE in message
    return message


# ---- spikes ---------------------------------------------------------------------------------


def test_spikes_are_read_as_written(sorting: Sorting) -> None:
    spikes = read_spikes(sorting, WHERE)
    assert spikes.ticks.tolist() == [round(t * 100_000) for t in TIMES.tolist()]
    np.testing.assert_array_equal(spikes.clusters, CLUSTERS)
    assert spikes.ticks.dtype == np.uint32
    assert spikes.clusters.dtype == np.uint16


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint16", ">i4", "int64", "uint64"])
def test_cluster_ids_of_every_integer_dtype_are_read(sorting: Sorting, dtype: str) -> None:
    save(sorting, CLUSTERS_NAME, CLUSTERS.astype(dtype))
    np.testing.assert_array_equal(read_spikes(sorting, WHERE).clusters, CLUSTERS)


def test_many_clusters_are_as_good(sorting: Sorting) -> None:
    save(sorting, CLUSTERS_NAME, CLUSTERS + 70_000)
    found = read_spikes(sorting, WHERE).clusters
    assert found.dtype == np.uint32
    np.testing.assert_array_equal(found, CLUSTERS + 70_000)


def test_a_cluster_of_no_bounds_is_refused(sorting: Sorting) -> None:
    save(sorting, CLUSTERS_NAME, np.array([0, 0, 0, 0, 0, 2**40]))
    assert str(2**40) in refused(read_spikes, sorting, WHERE)


def test_no_spikes_at_all_are_spikes(sorting: Sorting) -> None:
    save(sorting, TIMES_NAME, TIMES[:0])
    save(sorting, CLUSTERS_NAME, CLUSTERS[:0])
    assert read_spikes(sorting, WHERE).ticks.size == 0


BAD_TIMES = {
    "nan first": [np.nan, 0.25, 0.25, 1.5, 2.75, 4.0],
    "nan in the middle": [0.0, 0.25, np.nan, 1.5, 2.75, 4.0],
    "nan last": [0.0, 0.25, 0.25, 1.5, 2.75, np.nan],
    "all nan": [np.nan] * 6,
    "infinite last": [0.0, 0.25, 0.25, 1.5, 2.75, np.inf],
    "minus infinity first": [-np.inf, 0.25, 0.25, 1.5, 2.75, 4.0],
    "negative": [-0.001, 0.25, 0.25, 1.5, 2.75, 4.0],
    "unsorted": [0.0, 0.25, 1.5, 0.25, 2.75, 4.0],
    "last before first": [0.0, 0.25, 0.25, 1.5, 2.75, -4.0],
    "past the clock's range": [0.0, 0.25, 0.25, 1.5, 2.75, 42_949.68],
}


@pytest.mark.parametrize("times", BAD_TIMES.values(), ids=BAD_TIMES)
def test_bad_times_are_refused(sorting: Sorting, times: list[float]) -> None:
    save(sorting, TIMES_NAME, np.array(times))
    assert f"{WHERE}/{TIMES_NAME}" in refused(read_spikes, sorting, WHERE)


@pytest.mark.parametrize("time", [np.nan, -1.0, np.inf])
def test_a_single_bad_time_is_refused(sorting: Sorting, time: float) -> None:
    save(sorting, TIMES_NAME, np.array([time]))
    save(sorting, CLUSTERS_NAME, CLUSTERS[:1])
    assert TIMES_NAME in refused(read_spikes, sorting, WHERE)


def test_the_message_says_which_spike(sorting: Sorting) -> None:
    save(sorting, TIMES_NAME, np.array(BAD_TIMES["unsorted"]))
    assert "0.25 s at spike 3" in refused(read_spikes, sorting, WHERE)


@pytest.mark.parametrize("n", [0, 5])
@pytest.mark.parametrize("name", [TIMES_NAME, CLUSTERS_NAME])
def test_times_and_clusters_of_different_length_are_refused(
    sorting: Sorting, name: str, n: int
) -> None:
    save(sorting, name, {TIMES_NAME: TIMES, CLUSTERS_NAME: CLUSTERS}[name][:n])
    message = refused(read_spikes, sorting, WHERE)
    assert TIMES_NAME in message
    assert CLUSTERS_NAME in message
    assert f"{n}" in message
    assert "6" in message


def test_negative_cluster_ids_are_refused(sorting: Sorting) -> None:
    save(sorting, CLUSTERS_NAME, np.array([0, 0, -1, 0, 0, 0]))
    message = refused(read_spikes, sorting, WHERE)
    assert f"{WHERE}/{CLUSTERS_NAME}" in message
    assert "-1" in message


@pytest.mark.parametrize("shape", [(-1, 1), (1, -1)])
def test_vectors_of_two_dimensions_are_vectors(sorting: Sorting, shape: tuple[int, int]) -> None:
    flat = read_spikes(sorting, WHERE), read_clusters(sorting, WHERE)
    for name in (TIMES_NAME, CLUSTERS_NAME, CHANNELS_NAME, DEPTHS_NAME, IDS_NAME):
        save(sorting, name, np.load(sorting[name]).reshape(shape))
    spikes, clusters = read_spikes(sorting, WHERE), read_clusters(sorting, WHERE)
    np.testing.assert_array_equal(spikes.ticks, flat[0].ticks)
    np.testing.assert_array_equal(spikes.clusters, flat[0].clusters)
    np.testing.assert_array_equal(clusters.channels, flat[1].channels)
    np.testing.assert_array_equal(clusters.depths, flat[1].depths)
    assert read_channels(sorting, WHERE) is not None


def many(sorting: Sorting, times: np.ndarray) -> np.ndarray:
    """Write these times, cluster i % 2 for the i-th of them."""
    save(sorting, TIMES_NAME, times)
    clusters = np.arange(times.size) % 2
    save(sorting, CLUSTERS_NAME, clusters)
    return clusters


def test_a_few_spikes_before_the_start_are_left_out_and_counted(sorting: Sorting) -> None:
    times = np.concatenate([[-1.0, -0.5], np.arange(1998) / 10])
    clusters = many(sorting, times)
    spikes = read_spikes(sorting, WHERE)
    assert spikes.n_before_start == 2
    assert spikes.notes == ("2 spikes before 0 s, left out",)
    np.testing.assert_array_equal(spikes.ticks, np.arange(1998) * 10_000)
    np.testing.assert_array_equal(spikes.clusters, clusters[2:])
    # the duplicate mask still knows the two: it is in the order of all spikes
    mask = np.random.default_rng(0).random(2000) < 0.3
    save(sorting, ORDER_NAME, clusters)
    save(sorting, MASK_NAME, mask)
    np.testing.assert_array_equal(read_duplicates(sorting, spikes, WHERE), mask[2:])


@pytest.mark.parametrize("early", [[-1.001], [-0.5, -0.4, -0.3]], ids=["before -1 s", "over 0.1 %"])
def test_more_or_earlier_spikes_before_the_start_are_refused(
    sorting: Sorting, early: list[float]
) -> None:
    many(sorting, np.concatenate([early, np.arange(1997) / 10]))
    assert "at most 0.1 % of them in [-1, 0)" in refused(read_spikes, sorting, WHERE)


def test_times_up_to_a_millisecond_out_of_order_are_put_in_order(sorting: Sorting) -> None:
    times = np.array([0.0, 1.0, 2.001, 2.0, 2.0, 3.0])
    clusters = many(sorting, times)
    spikes = read_spikes(sorting, WHERE)
    assert spikes.n_reordered == 2
    assert spikes.notes == ("2 spikes up to 1 ms out of order, put in order",)
    assert spikes.ticks.tolist() == [0, 100_000, 200_000, 200_000, 200_100, 300_000]
    np.testing.assert_array_equal(spikes.clusters, clusters[[0, 1, 3, 4, 2, 5]])
    save(sorting, ORDER_NAME, clusters)
    save(sorting, MASK_NAME, np.array([0, 0, 1, 0, 0, 0]))
    found = read_duplicates(sorting, spikes, WHERE)
    assert found is not None
    assert found.tolist() == [False, False, False, False, True, False]


def test_times_further_out_of_order_are_refused(sorting: Sorting) -> None:
    many(sorting, np.array([0.0, 1.0, 2.00101, 2.0, 2.0, 3.0]))
    assert "2.0 s at spike 3" in refused(read_spikes, sorting, WHERE)


def test_times_of_half_precision_are_refused(sorting: Sorting) -> None:
    save(sorting, TIMES_NAME, TIMES.astype("float16"))
    assert "float16" in refused(read_spikes, sorting, WHERE)


@pytest.mark.parametrize(
    ("last", "notes"), [(100.0, ()), (4000.0, ("times of float32: up to 122 us off",))]
)
def test_times_of_single_precision_are_noted_with_their_error(
    sorting: Sorting, last: float, notes: tuple[str, ...]
) -> None:
    save(sorting, TIMES_NAME, np.append(TIMES[:-1], last).astype("float32"))
    assert read_spikes(sorting, WHERE).notes == notes


def test_text_tables_are_read_whatever_wrote_them(sorting: Sorting) -> None:
    # byte order mark, Windows line ends, more columns, no newline at the end
    rows = [f"{u},{i}.0" for i, u in enumerate(UUIDS)]
    sorting[UUIDS_NAME].write_bytes("\r\n".join(["\ufeffuuids,more", *rows]).encode())
    metrics = pd.DataFrame({"cluster_id": [2.0, 0.0], "firing_rate": [7.5, 3.25], "more": "x"})
    metrics.to_parquet(sorting[METRICS_NAME])
    clusters = read_clusters(sorting, WHERE)
    assert clusters.uuids.tolist() == UUIDS
    assert clusters.metrics["firing_rate"].tolist()[::2] == [3.25, 7.5]


WRONG_KIND = {
    "times are integers": (TIMES_NAME, np.arange(6)),
    "times are text": (TIMES_NAME, np.array(["0"] * 6)),
    "times are complex": (TIMES_NAME, TIMES.astype(complex)),
    "times are truth values": (TIMES_NAME, np.ones(6, dtype=bool)),
    "times have two columns": (TIMES_NAME, TIMES.reshape(3, 2)),
    "times are one number": (TIMES_NAME, np.float64(1)),
    "times are records": (TIMES_NAME, np.zeros(6, dtype=[("t", float)])),
    "clusters are floats": (CLUSTERS_NAME, CLUSTERS.astype(float)),
    "clusters have two columns": (CLUSTERS_NAME, CLUSTERS.reshape(3, 2)),
}


@pytest.mark.parametrize(("name", "array"), WRONG_KIND.values(), ids=WRONG_KIND)
def test_arrays_of_another_kind_or_shape_are_refused(
    sorting: Sorting, name: str, array: np.ndarray
) -> None:
    save(sorting, name, array)
    assert f"{WHERE}/{name}" in refused(read_spikes, sorting, WHERE)


# ---- files that are no arrays ---------------------------------------------------------------

NO_ARRAY: dict[str, Callable[[bytes], bytes]] = {
    "zero bytes": lambda raw: b"",
    "one byte": lambda raw: raw[:1],
    "magic alone": lambda raw: raw[:6],
    "half a header": lambda raw: raw[:60],
    "header alone": lambda raw: raw[:128],
    "last byte missing": lambda raw: raw[:-1],
    "half the data": lambda raw: raw[: 128 + (len(raw) - 128) // 2],
    "text": lambda raw: b"not an array\n",
    "zeros": lambda raw: bytes(len(raw)),
    "an error page": lambda raw: b"<html><body>404 Not Found</body></html>",
    "a broken archive": lambda raw: b"PK\x03\x04" + raw,
}


@pytest.mark.parametrize("name", [TIMES_NAME, CLUSTERS_NAME, CHANNELS_NAME, DEPTHS_NAME])
@pytest.mark.parametrize("damage", NO_ARRAY.values(), ids=NO_ARRAY)
def test_a_damaged_npy_is_refused_by_name(
    sorting: Sorting, name: str, damage: Callable[[bytes], bytes]
) -> None:
    sorting[name].write_bytes(damage(sorting[name].read_bytes()))
    read = read_spikes if name.startswith("spikes") else read_clusters
    assert f"{WHERE}/{name}" in refused(read, sorting, WHERE)


@pytest.mark.parametrize("name", [IDS_NAME, PLACES_NAME])
@pytest.mark.parametrize("damage", NO_ARRAY.values(), ids=NO_ARRAY)
def test_a_damaged_npy_of_channels_is_refused_by_name(
    sorting: Sorting, name: str, damage: Callable[[bytes], bytes]
) -> None:
    sorting[name].write_bytes(damage(sorting[name].read_bytes()))
    assert f"{WHERE}/{name}" in refused(read_channels, sorting, WHERE)


def test_an_archive_of_arrays_is_refused(sorting: Sorting) -> None:
    with sorting[TIMES_NAME].open("wb") as stream:
        np.savez(stream, times=TIMES)
    assert f"{WHERE}/{TIMES_NAME}" in refused(read_spikes, sorting, WHERE)


def outcome(sorting: Sorting) -> str:
    """How many spikes there are, or what our error says; any other error escapes."""
    try:
        return f"{read_spikes(sorting, WHERE).ticks.size} spikes"
    except SourceError as error:
        return str(error)


@pytest.mark.parametrize("byte", b"\x00()'}9 \xff")
def test_no_damage_to_a_header_escapes(sorting: Sorting, byte: int) -> None:
    """Whatever byte of a header is wrong: as many times as spikes, or our error."""
    path = sorting[TIMES_NAME]
    raw = path.read_bytes()
    outcomes = set()
    for place in range(128):
        path.write_bytes(raw[:place] + bytes([byte]) + raw[place + 1 :])
        outcomes.add(outcome(sorting))
    assert all(text == "6 spikes" or text.startswith(WHERE) for text in outcomes)
    assert len(outcomes) > 1


class Bomb:
    """Touches a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("form", ["object array", "bare pickle"])
@pytest.mark.parametrize("name", [TIMES_NAME, CHANNELS_NAME, PLACES_NAME, MASK_NAME])
def test_a_pickle_is_refused_and_never_run(
    sorting: Sorting, tmp_path: Path, name: str, form: str
) -> None:
    trace = tmp_path / "ran"
    sorting.setdefault(name, tmp_path / name)
    save(sorting, ORDER_NAME, CLUSTERS)
    if form == "object array":
        np.save(sorting[name], np.array([Bomb(trace)], dtype=object), allow_pickle=True)
    else:
        sorting[name].write_bytes(pickle.dumps(Bomb(trace)))
    reads = {
        TIMES_NAME: lambda: read_spikes(sorting, WHERE),
        CHANNELS_NAME: lambda: read_clusters(sorting, WHERE),
        PLACES_NAME: lambda: read_channels(sorting, WHERE),
        MASK_NAME: lambda: read_duplicates(sorting, SPIKES, WHERE),
    }
    message = refused(reads[name])
    assert name in message
    assert not trace.exists()
    # the bomb is a real one
    np.load(sorting[name], allow_pickle=True)
    assert trace.exists()


# ---- clusters -------------------------------------------------------------------------------


def test_clusters_are_read_and_joined_on_their_id(sorting: Sorting) -> None:
    clusters = read_clusters(sorting, WHERE)
    np.testing.assert_array_equal(clusters.channels, [3, 0, 1])
    np.testing.assert_array_equal(clusters.depths, [40.0, 20.0, 20.0])
    assert clusters.uuids.tolist() == UUIDS
    # the table lists cluster 2 before cluster 0, and no cluster 1
    np.testing.assert_array_equal(clusters.metrics["firing_rate"], [3.25, np.nan, 7.5])
    np.testing.assert_array_equal(clusters.metrics["label"], [0.0, np.nan, 1.0])
    assert clusters.ks2_label.tolist() == ["mua", "", "good"]
    assert clusters.bombcell.tolist() == ["", "", ""]
    assert set(clusters.metrics) == set(METRICS)
    assert np.isnan(clusters.metrics["drift"]).all()


def test_channels_and_depths_suffice(sorting: Sorting) -> None:
    few = {n: sorting[n] for n in (CHANNELS_NAME, DEPTHS_NAME)}
    clusters = read_clusters(few, WHERE)
    assert clusters.uuids.tolist() == ["", "", ""]
    assert clusters.ks2_label.tolist() == ["", "", ""]
    assert all(np.isnan(values).all() for values in clusters.metrics.values())


@pytest.mark.parametrize("n", [0, 2, 4])
def test_depths_of_another_length_are_refused(sorting: Sorting, n: int) -> None:
    save(sorting, DEPTHS_NAME, np.zeros(n))
    assert f"{WHERE}/{DEPTHS_NAME}" in refused(read_clusters, sorting, WHERE)


def test_a_negative_channel_is_refused_not_wrapped(sorting: Sorting) -> None:
    save(sorting, CHANNELS_NAME, np.array([3, -1, 1]))
    message = refused(read_clusters, sorting, WHERE)
    assert f"{WHERE}/{CHANNELS_NAME}" in message
    assert "-1" in message


@pytest.mark.parametrize("array", [np.array([3.0, 0.0, 1.0]), np.array([[3, 0], [0, 1]])])
def test_channels_that_are_no_indices_are_refused(sorting: Sorting, array: np.ndarray) -> None:
    save(sorting, CHANNELS_NAME, array)
    assert f"{WHERE}/{CHANNELS_NAME}" in refused(read_clusters, sorting, WHERE)


BAD_UUIDS = {
    "one short": UUIDS[:2],
    "one too many": [*UUIDS, "00000009-aaaa-3bbb-8ccc-dddddddddddd"],
    "none": [],
    "twice": [UUIDS[0], UUIDS[1], UUIDS[0]],
    "twice, in another case": [UUIDS[0], UUIDS[1], UUIDS[0].upper()],
    "not one": [UUIDS[0], UUIDS[1], "17"],
    "cut off": [UUIDS[0], UUIDS[1], UUIDS[2][:-1]],
}


@pytest.mark.parametrize("uuids", BAD_UUIDS.values(), ids=BAD_UUIDS)
def test_bad_uuids_are_refused(sorting: Sorting, uuids: list[str]) -> None:
    sorting[UUIDS_NAME].write_text("\n".join(["uuids", *uuids]) + "\n")
    assert f"{WHERE}/{UUIDS_NAME}" in refused(read_clusters, sorting, WHERE)


def test_uuids_are_lower_case_and_blank_where_not_given(sorting: Sorting) -> None:
    sorting[UUIDS_NAME].write_text(f'uuids\n{UUIDS[0].upper()}\n""\n{UUIDS[2]}\n')
    assert read_clusters(sorting, WHERE).uuids.tolist() == [UUIDS[0], "", UUIDS[2]]


@pytest.mark.parametrize("content", ["", "ids\n1\n2\n3\n", "\x00\xff", "uuids,uuids\n"])
def test_a_table_of_uuids_that_is_none_is_refused(sorting: Sorting, content: str) -> None:
    sorting[UUIDS_NAME].write_text(content, encoding="latin-1")
    assert f"{WHERE}/{UUIDS_NAME}" in refused(read_clusters, sorting, WHERE)


BAD_METRICS = {
    "a cluster that does not exist": {"cluster_id": [0, 3]},
    "a negative cluster": {"cluster_id": [0, -1]},
    "half a cluster": {"cluster_id": [0, 1.5]},
    "no cluster": {"cluster_id": [0, np.nan]},
    "a cluster twice": {"cluster_id": [2, 2]},
    "text for a cluster": {"cluster_id": ["0", "two"]},
    "text for a number": {"cluster_id": [0, 2], "firing_rate": ["3.25", "fast"]},
    "no column of clusters": {"cluster": [0, 2]},
}


@pytest.mark.parametrize("table", BAD_METRICS.values(), ids=BAD_METRICS)
def test_bad_metrics_are_refused(sorting: Sorting, table: dict[str, list[Any]]) -> None:
    pd.DataFrame(table).to_parquet(sorting[METRICS_NAME])
    assert f"{WHERE}/{METRICS_NAME}" in refused(read_clusters, sorting, WHERE)


@pytest.mark.parametrize("ids", [[], [1], [2, 1, 0]])
def test_metrics_of_another_length_are_joined_not_placed(sorting: Sorting, ids: list[int]) -> None:
    table = pd.DataFrame({"cluster_id": ids, "firing_rate": [10.0 + i for i in ids]})
    table.astype({"cluster_id": "int64", "firing_rate": "float64"}).to_parquet(
        sorting[METRICS_NAME]
    )
    expected = [10.0 + i if i in ids else np.nan for i in range(3)]
    np.testing.assert_array_equal(read_clusters(sorting, WHERE).metrics["firing_rate"], expected)


def test_metrics_may_have_the_cluster_as_index(sorting: Sorting) -> None:
    table = pd.DataFrame({"cluster_id": [1, 0], "drift": [5.0, 6.0]}).set_index("cluster_id")
    table.to_parquet(sorting[METRICS_NAME])
    np.testing.assert_array_equal(
        read_clusters(sorting, WHERE).metrics["drift"], [6.0, 5.0, np.nan]
    )


def test_a_metric_may_be_blank(sorting: Sorting) -> None:
    table = pd.DataFrame({"cluster_id": [0, 1, 2], "ks2_label": ["good", None, "mua"]})
    table["drift"] = pd.array([1, None, 3], dtype="Int64")
    table.to_parquet(sorting[METRICS_NAME])
    clusters = read_clusters(sorting, WHERE)
    assert clusters.ks2_label.tolist() == ["good", "", "mua"]
    np.testing.assert_array_equal(clusters.metrics["drift"], [1.0, np.nan, 3.0])


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_damaged_table_of_metrics_is_refused(sorting: Sorting, keep: int) -> None:
    raw = sorting[METRICS_NAME].read_bytes()
    sorting[METRICS_NAME].write_bytes(raw[:keep])
    assert f"{WHERE}/{METRICS_NAME}" in refused(read_clusters, sorting, WHERE)


def write_bombcell(sorting: Sorting, name: str, labels: dict[int, str | None] | str) -> None:
    """Write one of bombcell's tables; from text as it is, a tsv's."""
    sorting[name] = sorting[TIMES_NAME].parent / name
    if isinstance(labels, str):
        sorting[name].write_text(labels)
    elif name == PARQUET_NAME:
        table = pd.DataFrame({"phy_clusterID": list(labels), "bc_unitType": labels.values()})
        table.assign(nSpikes=3.0).to_parquet(sorting[name])
    else:
        table = pd.DataFrame({"cluster_id": list(labels), "bc_unitType": labels.values()})
        table.to_csv(sorting[name], sep="\t", index=False)


ONE_PLACE = pytest.mark.parametrize("name", [PARQUET_NAME, TSV_NAME, OLD_TSV_NAME])


@ONE_PLACE
def test_bombcell_labels_are_joined_on_the_cluster(sorting: Sorting, name: str) -> None:
    write_bombcell(sorting, name, {2: "Good", 0: "NON-SOMA"})
    assert read_clusters(sorting, WHERE).bombcell.tolist() == ["NON-SOMA", "", "GOOD"]


@ONE_PLACE
def test_a_blank_bombcell_label_is_blank(sorting: Sorting, name: str) -> None:
    write_bombcell(sorting, name, {2: None, 0: "MUA"})
    assert read_clusters(sorting, WHERE).bombcell.tolist() == ["MUA", "", ""]


def test_bombcell_labels_of_several_tables_must_agree(sorting: Sorting) -> None:
    write_bombcell(sorting, PARQUET_NAME, {0: "GOOD", 1: "MUA"})
    write_bombcell(sorting, TSV_NAME, {0: "GOOD", 1: "MUA"})
    # a label that only another table has is not taken from there
    write_bombcell(sorting, OLD_TSV_NAME, {0: "good", 2: "NOISE"})
    assert read_clusters(sorting, WHERE).bombcell.tolist() == ["GOOD", "MUA", ""]
    write_bombcell(sorting, TSV_NAME, {0: "GOOD", 1: "NOISE"})
    message = refused(read_clusters, sorting, WHERE)
    assert f"{WHERE}: {TSV_NAME}" in message
    assert f"the labels of {PARQUET_NAME}, found cluster 1: NOISE against MUA" in message


def test_a_table_of_bombcell_without_labels_leaves_them_to_the_next(sorting: Sorting) -> None:
    write_bombcell(sorting, TSV_NAME, {0: "GOOD"})
    write_bombcell(sorting, PARQUET_NAME, {0: None, 1: None})
    assert read_clusters(sorting, WHERE).bombcell.tolist() == ["GOOD", "", ""]
    table = pd.DataFrame({"phy_clusterID": [0.0, 1.0, 2.0], "nSpikes": [3.0, 0.0, 3.0]})
    table.to_parquet(sorting[PARQUET_NAME])
    assert read_clusters(sorting, WHERE).bombcell.tolist() == ["GOOD", "", ""]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cluster_id\tunit\n0\tGOOD\n",
        "cluster_id\tbc_unitType\n3\tGOOD\n",
        "cluster_id\tbc_unitType\n-1\tGOOD\n",
        "cluster_id\tbc_unitType\n0\tGOOD\n0\tMUA\n",
        "cluster_id\tbc_unitType\nzero\tGOOD\n",
    ],
)
@pytest.mark.parametrize("name", [TSV_NAME, OLD_TSV_NAME])
def test_a_bad_table_of_bombcell_is_refused(sorting: Sorting, text: str, name: str) -> None:
    write_bombcell(sorting, name, text)
    assert name in refused(read_clusters, sorting, WHERE)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ("no parquet", "a parquet table"),
        ({3: "GOOD"}, "cluster ids in 0..2"),
        ({0.5: "GOOD"}, "cluster ids in 0..2"),
        ({float("nan"): "GOOD", 1.0: "MUA"}, "found nan. Run bombcell again"),
    ],
)
def test_a_bad_parquet_of_bombcell_is_refused(sorting: Sorting, labels: Any, told: str) -> None:
    write_bombcell(sorting, PARQUET_NAME, labels)
    message = refused(read_clusters, sorting, WHERE)
    assert PARQUET_NAME in message
    assert told in message


# ---- channels -------------------------------------------------------------------------------


def test_channels_are_read_as_written(sorting: Sorting) -> None:
    channels = read_channels(sorting, WHERE)
    assert channels is not None
    np.testing.assert_array_equal(channels.atlas_id, [382, 382, 997, 0])
    np.testing.assert_array_equal(channels.mlapdv, np.arange(12.0).reshape(4, 3))


@pytest.mark.parametrize("missing", [IDS_NAME, PLACES_NAME])
def test_channels_without_histology_are_none(sorting: Sorting, missing: str) -> None:
    del sorting[missing]
    assert read_channels(sorting, WHERE) is None


BAD_CHANNELS = {
    "fewer places than channels": (PLACES_NAME, np.zeros((3, 3))),
    "two coordinates": (PLACES_NAME, np.zeros((4, 2))),
    "places in a row": (PLACES_NAME, np.zeros(12)),
    "no id": (IDS_NAME, np.array([382, 382, np.nan, 0])),
    "an infinite id": (IDS_NAME, np.array([382, 382, np.inf, 0])),
    "text": (IDS_NAME, np.array(["CA1"] * 4)),
}


@pytest.mark.parametrize(("name", "array"), BAD_CHANNELS.values(), ids=BAD_CHANNELS)
def test_bad_channels_are_refused(sorting: Sorting, name: str, array: np.ndarray) -> None:
    save(sorting, name, array)
    assert f"{WHERE}/{name}" in refused(read_channels, sorting, WHERE)


# ---- spikes, clusters and channels together -------------------------------------------------


def checked(sorting: Sorting) -> None:
    check_sorting(
        read_spikes(sorting, WHERE),
        read_clusters(sorting, WHERE),
        read_channels(sorting, WHERE),
        WHERE,
    )


def test_a_whole_sorting_passes(sorting: Sorting) -> None:
    checked(sorting)


def test_a_sorting_without_spikes_or_places_passes(sorting: Sorting) -> None:
    save(sorting, TIMES_NAME, TIMES[:0])
    save(sorting, CLUSTERS_NAME, CLUSTERS[:0])
    del sorting[IDS_NAME]
    checked(sorting)


@pytest.mark.parametrize("cluster", [3, 2**31 - 1])
def test_a_cluster_beyond_the_table_is_refused(sorting: Sorting, cluster: int) -> None:
    save(sorting, CLUSTERS_NAME, np.array([0, 0, 0, cluster, 0, 0]))
    message = refused(checked, sorting)
    assert f"{WHERE}/{CLUSTERS_NAME}" in message
    assert str(cluster) in message


@pytest.mark.parametrize("channel", [4, 383])
def test_a_channel_beyond_the_probe_is_refused_not_wrapped(sorting: Sorting, channel: int) -> None:
    save(sorting, CHANNELS_NAME, np.array([3, channel, 1]))
    message = refused(checked, sorting)
    assert f"{WHERE}/{CHANNELS_NAME}" in message
    assert str(channel) in message


# ---- amplitudes and depths of the spikes -----------------------------------------------------

AMPS_NAME, SPIKE_DEPTHS_NAME = "spikes.amps.npy", "spikes.depths.npy"
AMPS = np.array([6.0, 2.0, np.nan, 4.0, 0.0, 8.0]) * 1e-5


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_amplitudes_are_read_as_written(sorting: Sorting, shape: tuple[int, ...]) -> None:
    save(sorting, AMPS_NAME, AMPS.reshape(shape))
    found = read_of_spikes(sorting, AMPS_NAME, SPIKES, WHERE)
    assert found is not None
    np.testing.assert_array_equal(found, AMPS.astype(np.float32))
    assert found.dtype == np.float32


def test_depths_may_be_negative_and_absent(sorting: Sorting) -> None:
    assert read_of_spikes(sorting, SPIKE_DEPTHS_NAME, SPIKES, WHERE) is None
    save(sorting, SPIKE_DEPTHS_NAME, np.array([-20, 0, 20, 40, 3000, 3840]))
    found = read_of_spikes(sorting, SPIKE_DEPTHS_NAME, SPIKES, WHERE)
    assert found is not None
    assert found.tolist() == [-20, 0, 20, 40, 3000, 3840]


def test_amplitudes_follow_spikes_that_were_put_in_order_or_left_out(sorting: Sorting) -> None:
    times = np.concatenate([[-0.5, 0.0006, 0.0], np.linspace(1, 2, 2000)])
    save(sorting, TIMES_NAME, times)
    save(sorting, CLUSTERS_NAME, np.zeros(times.size, dtype=int))
    save(sorting, AMPS_NAME, np.arange(times.size) * 1e-5)
    spikes = read_spikes(sorting, WHERE)
    found = read_of_spikes(sorting, AMPS_NAME, spikes, WHERE)
    assert found is not None
    assert found.size == 2002
    np.testing.assert_allclose(found[:3], [2e-5, 1e-5, 3e-5])


BAD_AMPS = {
    "fewer than spikes": (AMPS[:-1], r"shape (6), found (5)"),
    "more than spikes": (np.append(AMPS, 0), r"shape (6), found (7)"),
    "two columns": (np.zeros((6, 2)), "shape (6)"),
    "infinite": (np.where(np.isnan(AMPS), np.inf, AMPS), "an infinite one"),
    "below 0": (AMPS - 1e-5, "amplitudes from 0 V"),
    "in uV": (AMPS * 1e6, "amplitudes in V"),
    "text": (np.array(["60 uV"] * 6), "numbers of kind"),
    "pickled": (np.array([{}] * 6, dtype=object), "an .npy array"),
}


@pytest.mark.parametrize(("array", "told"), BAD_AMPS.values(), ids=BAD_AMPS)
def test_bad_amplitudes_are_refused(sorting: Sorting, array: np.ndarray, told: str) -> None:
    save(sorting, AMPS_NAME, array)
    message = refused(read_of_spikes, sorting, AMPS_NAME, SPIKES, WHERE)
    assert f"{WHERE}/{AMPS_NAME}" in message
    assert told in message


# ---- bombcell's duplicate spikes ------------------------------------------------------------


def test_duplicates_follow_their_spike_into_another_order(sorting: Sorting) -> None:
    # the k-th spike of a cluster here is the k-th of that cluster there
    save(sorting, ORDER_NAME, np.array([0, 0, 2, 0, 2, 2]))
    save(sorting, MASK_NAME, np.array([0, 1, 1, 0, 0, 1], dtype=np.uint8))
    found = read_duplicates(sorting, SPIKES, WHERE)
    assert found is not None
    assert found.dtype == bool
    # CLUSTERS is 2 0 2 0 2 0: cluster 2 has the mask 1 0 1, cluster 0 has 0 1 0
    assert found.tolist() == [True, False, False, True, True, False]


@pytest.mark.parametrize("missing", [ORDER_NAME, MASK_NAME])
def test_without_bombcell_there_is_no_mask(sorting: Sorting, missing: str) -> None:
    save(sorting, ORDER_NAME, CLUSTERS)
    save(sorting, MASK_NAME, np.zeros(6, dtype=bool))
    del sorting[missing]
    assert read_duplicates(sorting, SPIKES, WHERE) is None


BAD_MASKS = {
    "another length": (CLUSTERS[:-1], np.zeros(5)),
    "other numbers of spikes": (np.array([0, 0, 0, 0, 2, 2]), np.zeros(6)),
    "another cluster": (np.array([0, 0, 0, 1, 1, 1]), np.zeros(6)),
    "order and mask of different length": (CLUSTERS, np.zeros(5)),
    "two columns": (CLUSTERS, np.zeros((3, 2))),
    "text": (CLUSTERS, np.array(["no"] * 6)),
}


@pytest.mark.parametrize(("order", "mask"), BAD_MASKS.values(), ids=BAD_MASKS)
def test_a_mask_of_other_spikes_is_refused(
    sorting: Sorting, order: np.ndarray, mask: np.ndarray
) -> None:
    save(sorting, ORDER_NAME, order)
    save(sorting, MASK_NAME, mask)
    assert MASK_NAME in refused(read_duplicates, sorting, SPIKES, WHERE)
