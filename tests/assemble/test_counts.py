"""Counts against loops over integer ticks; the Datasets they are made from are built by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from lsdx.assemble.counts import assemble_counts
from lsdx.assemble.epochs import assemble_epochs
from lsdx.assemble.insertions import assemble_insertions
from lsdx.assemble.layout import Sorting
from lsdx.assemble.recording import Probe, Recording
from lsdx.assemble.spikes import assemble_spikes
from lsdx.assemble.units import assemble_units
from lsdx.clock import to_ticks
from lsdx.errors import ConfigError, RecipeError
from lsdx.readers.ephys import METRICS, Clusters, Spikes
from lsdx.readers.records import InsertionRecord, SessionRecord
from lsdx.schema import SCHEMAS
from lsdx.schema.spec import validate

EID = "7b26ce84-07f9-43d1-957f-bc72aeb730a3"
PIDS = ("00000000-0000-4000-8000-000000000000", "00000000-0000-4000-8000-000000000001")
SESSION = SessionRecord(EID, "cortexlab", "ZFM-06048", pd.Timestamp("2023-07-05"), 1)
TICK = 1e-5

# the first example compiles
settings.register_profile("counts", deadline=None)
SETTINGS = settings.get_profile("counts")


# Datasets by hand: trains of ticks, and epochs as (start, stop) in ticks or None


def made_of(trains, table, *, observed=None, pids=None, duplicate=None):
    """Units with these trains; ``table`` has a row of epochs for each phase."""
    pids = pids or [PIDS[0]] * len(trains)
    probes = sorted(set(pids))
    shape = (len(table), len(table[0]))
    times = np.array(
        [[(np.nan, np.nan) if span is None else span for span in row] for row in table],
        dtype=float,
    ).reshape(*shape, 2)
    if observed is None:
        observed = np.broadcast_to(np.isfinite(times[..., 0]), (len(probes), *shape))
    ticks = np.array([t for train in trains for t in sorted(train)], dtype=np.uint32)
    return {
        "units": xr.Dataset(
            coords={
                "unit": [f"u{i}" for i in range(len(trains))],
                "insertion": ("unit", np.array(pids, dtype=object)),
            }
        ),
        "spikes": xr.Dataset(
            {
                "spike_time": ("spike", ticks),
                "row_size": ("unit", np.array([len(t) for t in trains], dtype=np.int64)),
                "duplicate": ("spike", np.zeros(ticks.size, bool) if duplicate is None
                              else np.array(duplicate, dtype=bool)),
            }
        ),
        "epochs": xr.Dataset(
            {
                "start": (("session", "phase", "epoch"), times[None, ..., 0] / 1e5),
                "stop": (("session", "phase", "epoch"), times[None, ..., 1] / 1e5),
            },
            coords={
                "phase": [f"p{i}" for i in range(shape[0])],
                "epoch": [f"e{i}" for i in range(shape[1])],
            },
        ),
        "insertions": xr.Dataset(
            {"observed": (("insertion", "phase", "epoch"), np.array(observed, dtype=bool))},
            coords={"insertion": np.array(probes, dtype=object)},
        ),
    }  # fmt: skip


def count(trains, table, width, **more):
    """Counts in bins of ``width`` ticks."""
    return assemble_counts(Recording(SESSION), **made_of(trains, table, **more),
                           bin_width=width * TICK)  # fmt: skip


def whole_bins(length, width):
    """Whole bins in a length of ticks, by hand: one tick short of whole counts as whole."""
    n, rest = divmod(length, width)
    return n + (rest == width - 1)


# How many bins


@pytest.mark.parametrize(
    ("length", "bins"),
    [(29_999_999, 3000), (30_000_000, 3000), (30_000_001, 3000), (29_999_998, 2999),
     (30_005_000, 3000), (30_100_000, 3010)],
)  # fmt: skip
def test_number_of_bins_is_rounded_within_a_tick_else_floored(length, bins):
    out = count([[5]], [[(0, length)]], 10_000)
    assert out.sizes["time"] == bins
    assert out["duration"].item() == pytest.approx(bins * 0.1, rel=1e-12)
    assert out["n_spikes"].item() == 1.0


@pytest.mark.parametrize("start", [0.0, 0.1, 14.999996, 123.456789])
@pytest.mark.parametrize(("width", "bins"), [("100 ms", 3000), ("1 s", 300), ("10 s", 30)])
def test_300_s_give_the_same_bins_for_every_start(start, width, bins):
    made = made_of([[5]], [[(0, 1)]])
    made["epochs"]["start"][:] = start
    made["epochs"]["stop"][:] = start + 300.0
    assert assemble_counts(Recording(SESSION), **made, bin_width=width).sizes["time"] == bins


def test_spikes_past_the_last_whole_bin_are_not_counted():
    # 35 ticks in bins of 10: three bins, 100 to 130
    out = count([[99, 100, 109, 110, 129, 130, 134]], [[(100, 135)]], 10)
    assert out["counts"].values.tolist() == [[[[2, 1, 1]]]]
    assert out["n_spikes"].item() == 4.0
    assert out["duration"].item() == pytest.approx(30 * TICK)


def test_the_last_bin_may_pass_the_stop_by_one_tick():
    # 29 ticks: three bins, the last of which ends one tick past the stop
    out = count([[128, 129, 130]], [[(100, 129)]], 10)
    assert out["counts"].values.tolist() == [[[[0, 0, 2]]]]


def test_bins_of_one_tick_are_as_many_as_ticks():
    out = count([[100, 104, 105]], [[(100, 105)]], 1)
    assert out["counts"].values.tolist() == [[[[1, 0, 0, 0, 1]]]]
    assert out["duration"].item() == pytest.approx(5 * TICK)


@pytest.mark.parametrize("width", ["15 us", "33.3333 us", 0.000125001, "0 ms", -1.0])
def test_bin_width_that_is_not_whole_ticks_is_refused(width):
    with pytest.raises(ConfigError, match="bin_width"):
        assemble_counts(Recording(SESSION), **made_of([[5]], [[(0, 100)]]), bin_width=width)


def test_time_is_the_centre_of_the_bin_from_the_start_of_the_epoch():
    out = count([[]], [[(1000, 101_000)]], 25_000)
    assert out["time"].values.tolist() == [0.125, 0.375, 0.625, 0.875]
    assert out["time"].attrs["units"] == "s"
    assert out.attrs["bin_width"] == 0.25


# What is in a bin


@settings(SETTINGS, max_examples=60)
@given(st.data())
def test_counts_equal_a_loop_over_ticks(data):
    spike = st.integers(0, 2500)
    trains = data.draw(st.lists(st.lists(spike, max_size=30), min_size=1, max_size=3))
    span = st.none() | st.tuples(st.integers(0, 900), st.integers(60, 1500)).map(
        lambda s: (s[0], s[0] + s[1])
    )
    table = [[data.draw(span) for _ in range(2)] for _ in range(2)]
    width = data.draw(st.sampled_from([3, 7, 10, 50]))
    out = count(trains, table, width)
    length = max((whole_bins(s[1] - s[0], width) for row in table for s in row if s), default=0)
    assert out.sizes["time"] == length
    fill = np.iinfo(out["counts"].dtype).max
    for u, p, e in np.ndindex(len(trains), 2, 2):
        row = out["counts"].values[u, p, e]
        span = table[p][e]
        n = whole_bins(span[1] - span[0], width) if span else 0
        begin = span[0] if span else 0
        expected = [
            sum(begin + b * width <= t < begin + (b + 1) * width for t in trains[u])
            for b in range(n)
        ]
        assert row.tolist() == expected + [fill] * (length - n)
        total, duration = out["n_spikes"].values[u, p, e], out["duration"].values[u, p, e]
        if span:
            assert total == sum(expected)
            assert duration == pytest.approx(n * width * TICK)
        else:
            assert np.isnan(total)
            assert np.isnan(duration)


@settings(SETTINGS, max_examples=40)
@given(
    st.lists(st.integers(0, 3000), max_size=60),
    st.integers(0, 500),
    st.integers(3, 40),
    st.lists(st.integers(1, 12), min_size=1, max_size=5),
)
def test_adjoining_epochs_of_whole_bins_partition_the_spikes(train, begin, width, lengths):
    edges = [begin + width * sum(lengths[:i]) for i in range(len(lengths) + 1)]
    parts = count([train], [list(pairwise(edges))], width)
    whole = count([train], [[(edges[0], edges[-1])]], width)
    assert parts["n_spikes"].sum().item() == whole["n_spikes"].item()
    joined = [parts["counts"].values[0, 0, e, :n].tolist() for e, n in enumerate(lengths)]
    assert sum(joined, []) == whole["counts"].values[0, 0, 0].tolist()  # noqa: RUF017


def test_epochs_of_different_length_share_one_time_axis():
    out = count([[0, 1, 100, 125, 126]], [[(0, 20), (100, 150)]], 10)
    assert out["counts"].values.tolist() == [[[[2, 0, 255, 255, 255], [1, 0, 2, 0, 0]]]]
    assert out["n_spikes"].values.tolist() == [[[2.0, 3.0]]]
    assert out["duration"].values.ravel() == pytest.approx([20 * TICK, 50 * TICK])
    assert out["time"].values == pytest.approx(np.array([5, 15, 25, 35, 45]) * TICK)


# Observed or not


def test_unobserved_epochs_are_fill_and_nan_and_an_observed_zero_is_zero():
    out = count([[5], []], [[(0, 20), None]], 10)
    assert out["counts"].dtype == np.uint8
    assert out["counts"].values.tolist() == [
        [[[1, 0], [255, 255]]],
        [[[0, 0], [255, 255]]],
    ]
    np.testing.assert_array_equal(out["n_spikes"], [[[1.0, np.nan]], [[0.0, np.nan]]])
    assert out["n_spikes"].dtype == np.float64
    assert np.isnan(out["duration"].values[:, 0, 1]).all()
    assert out["duration"].values[:, 0, 0] == pytest.approx([20 * TICK] * 2)


def test_an_epoch_with_times_that_fails_a_check_is_unobserved_for_its_probe_alone():
    trains = [[5, 105], [5, 105], [6]]
    out = count(
        trains, [[(0, 20), (100, 120)]], 10, pids=[PIDS[0], PIDS[1], PIDS[0]],
        observed=[[[True, True]], [[True, False]]],
    )  # fmt: skip
    assert out["counts"].values[:, 0].tolist() == [
        [[1, 0], [1, 0]],
        [[1, 0], [255, 255]],
        [[1, 0], [0, 0]],
    ]
    np.testing.assert_array_equal(out["n_spikes"][:, 0], [[1, 1], [1, np.nan], [1, 0]])


def test_no_epoch_observed_gives_no_bins():
    out = count([[5]], [[None, None]], 10)
    assert out.sizes["time"] == 0
    assert np.isnan(out["n_spikes"].values).all()


@pytest.mark.parametrize("lacking", ["units", "spikes", "insertions"])
def test_a_session_without_units_has_no_counts(lacking):
    made = made_of([[5]], [[(0, 20)]])
    made[lacking] = None
    assert assemble_counts(Recording(SESSION), **made, bin_width="100 us") is None


# The dtype of counts


@pytest.mark.parametrize(
    ("highest", "dtype"),
    [(0, "uint8"), (254, "uint8"), (255, "uint16"), (65_534, "uint16"), (65_535, "uint32")],
)
def test_counts_take_the_smallest_dtype_whose_maximum_exceeds_them(highest, dtype):
    out = count([[15] * highest], [[(0, 20), None]], 10)
    assert out["counts"].dtype == dtype
    assert out["counts"].values[0, 0].tolist() == [[0, highest], [np.iinfo(dtype).max] * 2]
    assert out["n_spikes"].values[0, 0, 0] == highest


def test_counts_that_no_dtype_exceeds_are_refused(monkeypatch):
    monkeypatch.setattr("lsdx.assemble.counts.COUNT_DTYPES", ("uint8",))
    with pytest.raises(RecipeError, match="shorter bins"):
        count([[15] * 255], [[(0, 20), None]], 10)


# From a recording to counts


def probe(number, times, clusters, n_clusters, duplicates=None):
    blank = np.full(n_clusters, "", dtype=object)
    name = f"probe0{number}"
    return Probe(
        InsertionRecord(PIDS[number], EID, name),
        Sorting(name, f"alf/{name}/pykilosort", "pykilosort", "", "", ()),
        Spikes(to_ticks(times).astype(np.uint32), np.array(clusters, dtype=np.uint16)),
        Clusters(
            np.zeros(n_clusters, dtype=np.int64),
            np.arange(n_clusters, dtype=float)[::-1] * 20,  # cluster 0 is the shallowest
            blank,
            {m: np.full(n_clusters, np.nan) for m in METRICS},
            blank,
            blank,
        ),
        None,
        None if duplicates is None else np.array(duplicates, dtype=bool),
    )


def record(*probes, **rows):
    return Recording(
        SESSION,
        insertions=tuple(p.insertion for p in probes),
        probes=probes,
        phases=("pre",),
        epochs=tuple(rows),
        overrides={("pre", epoch): span for epoch, span in rows.items()},
    )


def assemble(recording, **parameters):
    units = assemble_units(recording)
    epochs = assemble_epochs(recording)
    made = {
        "units": units,
        "spikes": assemble_spikes(recording, units=units),
        "epochs": epochs,
        "insertions": assemble_insertions(recording, epochs=epochs),
    }
    for name, ds in made.items():
        validate(ds, SCHEMAS[name], cohort=False)
    counts = assemble_counts(recording, **made, **parameters)
    validate(counts, SCHEMAS["counts"], cohort=False)
    np.testing.assert_array_equal(counts["unit"], made["units"]["unit"])
    order = [
        (PIDS.index(p), int(c))
        for p, c in zip(
            made["units"]["insertion"].values, made["units"]["cluster_id"].values, strict=True
        )
    ]
    return {key: counts.isel(unit=i) for i, key in enumerate(order)}


def test_membership_is_told_in_ticks():
    # 14.999996 s is tick 1,500,000, where the epoch starts; 14.999994 s is the tick before;
    # 15.2 s is the stop and 15.199996 s is its tick
    times = [14.999994, 14.999996, 15.0, 15.099994, 15.099996, 15.199994, 15.199996, 15.2, 16.0]
    out = assemble(record(probe(0, times, [0] * 9, 1), only=(15.0, 15.2)), bin_width="100 ms")
    assert out[0, 0]["counts"].values.tolist() == [[[3, 2]]]
    assert out[0, 0]["n_spikes"].item() == 5.0


def test_adjoining_epochs_count_each_spike_once():
    times = [10.0, 14.999994, 14.999996, 15.000004, 15.000006, 20.0]
    spans = {"first": (10.0, 15.000004), "second": (14.999996, 20.0)}
    out = assemble(record(probe(0, times, [0] * 6, 1), **spans), bin_width="1 s")
    assert out[0, 0]["n_spikes"].values.tolist() == [[2.0, 3.0]]


def test_each_probe_has_its_own_spikes_and_its_own_end():
    long = probe(0, [1.0, 1.05, 2.5, 5.5, 8.0], [1, 0, 1, 1, 1], 3)
    short = probe(1, [1.2, 4.95], [0, 0], 1)
    out = assemble(record(long, short, early=(1.0, 3.0), late=(5.0, 7.0)), bin_width="1 s")
    # the short one ends at 4.95 s, 2.05 s before the late epoch's stop
    assert {k: v["counts"].values[0].tolist() for k, v in out.items()} == {
        (0, 0): [[1, 0], [0, 0]],
        (0, 1): [[1, 1], [1, 0]],
        (0, 2): [[0, 0], [0, 0]],
        (1, 0): [[1, 0], [255, 255]],
    }
    assert np.isnan(out[1, 0]["n_spikes"].values[0, 1])
    assert out[0, 2]["n_spikes"].values.tolist() == [[0.0, 0.0]]
    assert out[0, 2]["duration"].values.tolist() == [[2.0, 2.0]]


MARKED = ([1.0, 1.1, 1.2, 1.3, 1.4, 2.5], [1, 0, 1, 0, 1, 1], 2, [0, 1, 1, 0, 0, 0])


def test_duplicates_are_kept_unless_dropped():
    recording = record(probe(0, *MARKED), only=(1.0, 3.0))
    kept = assemble(recording, bin_width="1 s")
    assert kept[0, 0]["counts"].values.tolist() == [[[2, 0]]]
    assert kept[0, 1]["counts"].values.tolist() == [[[3, 1]]]
    assert kept[0, 0].attrs["duplicates"] == "keep"
    dropped = assemble(recording, bin_width="1 s", duplicates="drop")
    assert dropped[0, 0]["counts"].values.tolist() == [[[1, 0]]]
    assert dropped[0, 1]["counts"].values.tolist() == [[[2, 1]]]
    assert dropped[0, 1]["n_spikes"].item() == 3.0
    assert dropped[0, 0].attrs["duplicates"] == "drop"


def test_duplicates_are_those_of_each_probe():
    # the units of the two probes alternate in the store: depths 0 and 20 um of each
    recording = record(
        probe(0, *MARKED),
        probe(1, [1.0, 1.1, 2.0, 2.5], [1, 1, 0, 0], 2, [1, 1, 0, 0]),
        only=(1.0, 3.0),
    )
    out = assemble(recording, bin_width="1 s", duplicates="drop")
    assert {k: v["counts"].values.ravel().tolist() for k, v in out.items()} == {
        (0, 0): [1, 0],
        (0, 1): [2, 1],
        (1, 0): [0, 2],
        (1, 1): [0, 0],
    }


def test_a_probe_without_a_mask_keeps_its_duplicates_and_says_so():
    recording = record(probe(0, *MARKED), probe(1, [1.0, 2.5], [0, 0], 1), only=(1.0, 3.0))
    out = assemble(recording, bin_width="1 s", duplicates="drop")
    assert {k: v["counts"].values.ravel().tolist() for k, v in out.items()} == {
        (0, 0): [1, 0],
        (0, 1): [2, 1],
        (1, 0): [1, 1],
    }
    note = "probe01: duplicates kept, for there is no mask of bombcell's"
    assert out[0, 0].attrs["notes"].count(note) == 1
    out = assemble(recording, bin_width="1 s")
    assert note not in out[0, 0].attrs["notes"]


@pytest.mark.parametrize("word", ["remove", "", "DROP"])
def test_other_words_for_duplicates_are_refused(word):
    with pytest.raises(RecipeError, match="'keep' or 'drop'"):
        assemble(record(probe(0, *MARKED), only=(1.0, 3.0)), bin_width="1 s", duplicates=word)
