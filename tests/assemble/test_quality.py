"""Quality of the units against loops over their spikes, and rules worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lsdx.assemble.epochs import assemble_epochs
from lsdx.assemble.insertions import assemble_insertions
from lsdx.assemble.layout import Sorting
from lsdx.assemble.quality import assemble_quality
from lsdx.assemble.recording import Probe, Recording
from lsdx.assemble.spikes import assemble_spikes
from lsdx.assemble.units import assemble_units
from lsdx.clock import to_ticks
from lsdx.readers.bombcell import Bombcell
from lsdx.readers.ephys import METRICS, Clusters, Spikes
from lsdx.readers.records import InsertionRecord, SessionRecord
from lsdx.schema import SCHEMAS
from lsdx.schema.quality import BOMBCELL_MEASURES
from lsdx.schema.spec import validate

EID = "7b26ce84-07f9-43d1-957f-bc72aeb730a3"
PIDS = ("00000000-0000-4000-8000-000000000000", "00000000-0000-4000-8000-000000000001")
SESSION = SessionRecord(EID, "cortexlab", "ZFM-06048", pd.Timestamp("2023-07-05"), 1)
# pre has a gap between its epochs, and 5 s that fill no bin of 10 s
SPANS = {("pre", "spontaneous"): (100.0, 135.0), ("pre", "replay"): (150.0, 190.0)}
SPANS |= {("post", "spontaneous"): (300.0, 340.0)}


def probe(number, times, clusters, n, **more):
    order = np.argsort(times, kind="stable")
    blank = np.full(n, "", dtype=object)
    name = f"probe0{number}"
    for key in {"amplitudes", "depths"} & set(more):
        more[key] = np.asarray(more[key], dtype=np.float32)[order]
    return Probe(
        InsertionRecord(PIDS[number], EID, name),
        Sorting(name, f"alf/{name}/ks2", "ks2", "", "", ()),
        Spikes(to_ticks(np.asarray(times)[order]).astype(np.uint32),
               np.asarray(clusters)[order].astype(np.uint16)),
        Clusters(
            np.zeros(n, dtype=np.int64),
            np.arange(n, dtype=float)[::-1] * 20,  # cluster 0 is the shallowest
            blank,
            {m: np.full(n, np.nan) for m in METRICS},
            blank,
            blank,
        ),
        None,
        **more,
    )  # fmt: skip


def assemble(*probes, spans=SPANS, **parameters):
    """Quality by probe and cluster, and its notes."""
    recording = Recording(
        SESSION,
        insertions=tuple(p.insertion for p in probes),
        probes=probes,
        epochs=("spontaneous", "replay"),
        overrides=spans,
    )
    units = assemble_units(recording)
    epochs = assemble_epochs(recording)
    quality = assemble_quality(
        recording,
        units=units,
        spikes=assemble_spikes(recording, units=units),
        epochs=epochs,
        insertions=assemble_insertions(recording, epochs=epochs),
        **parameters,
    )
    validate(quality, SCHEMAS["quality"], cohort=False)
    np.testing.assert_array_equal(quality["unit"], units["unit"])
    rows = zip(units["insertion"].values, units["cluster_id"].values, strict=True)
    by_cluster = {(PIDS.index(p), int(c)): quality.isel(unit=i) for i, (p, c) in enumerate(rows)}
    return by_cluster, quality.attrs["notes"]


def drawn(seed, n=3):
    """Spikes of n clusters over 400 s, the first all the time, with amplitudes and depths."""
    rng = np.random.default_rng(seed)
    times = [rng.uniform(0, 400, size) for size in (4000, *(60,) * (n - 1))]
    clusters = np.repeat(np.arange(n), [t.size for t in times])
    size = clusters.size
    amplitudes = rng.normal(9e-5, 1e-5, size)
    return np.concatenate(times), clusters, amplitudes, rng.uniform(0, 3000, size)


def test_medians_and_presence_are_those_of_loops():
    made = [drawn(seed) for seed in (1, 2)]
    found, notes = assemble(
        *(probe(i, t, c, 3, amplitudes=a, depths=d) for i, (t, c, a, d) in enumerate(made))
    )
    assert notes == []
    for i, (times, clusters, *values) in enumerate(made):
        ticks = to_ticks(times)
        for cluster in range(3):
            unit, mine = found[i, cluster], clusters == cluster
            for phase in ("pre", "post"):
                spans = [s for (p, _), s in SPANS.items() if p == phase]
                first, last = (to_ticks(v) for v in (spans[0][0], spans[-1][1]))
                within = mine & (ticks >= first) & (ticks < last)
                for name, of_spikes in zip(("amplitude", "spike_depth"), values, strict=True):
                    expected = np.median(of_spikes[within].astype(np.float32).astype(float))
                    assert unit[name].sel(phase=phase).item() == pytest.approx(expected, rel=1e-12)
                bins = [
                    bool((mine & (times >= a) & (times < a + 10)).any())
                    for start, stop in spans
                    for a in np.arange(start, stop - 9.9, 10)
                ]
                assert len(bins) == {"pre": 7, "post": 4}[phase]
                assert unit["presence"].sel(phase=phase).item() == pytest.approx(np.mean(bins))
    assert found[0, 0]["amplitude_cutoff"].item() < 0.05
    assert np.isnan(found[0, 1]["amplitude_cutoff"].item())  # 60 spikes


def steady(amplitudes, depths=(0.0, 0.0), *, silent=(), times=None, spans=SPANS, **parameters):
    """Whether a unit that fires each second, with these amplitudes in pre and post, is stable."""
    times = np.arange(0.5, 400) if times is None else times
    times = np.array([t for t in times if not any(a <= t < b for a, b in silent)])
    post = (times >= 200).astype(int)
    found, _ = assemble(
        # a second cluster keeps the probe alive where the first is silent
        probe(
            0,
            np.concatenate([times, np.arange(0.25, 400, 0.5)]),
            np.concatenate([np.zeros(times.size), np.ones(800)]),
            2,
            amplitudes=np.concatenate([np.array(amplitudes)[post], np.full(800, 1e-4)]),
            depths=np.concatenate([np.array(depths)[post], np.full(800, 1e3)]),
        ),
        spans=spans,
        **parameters,
    )
    return found[0, 0]["stable"].item()


@pytest.mark.parametrize(
    ("amplitudes", "depths", "stable"),
    [
        ((1e-4, 1e-4), (0, 0), 1),
        ((1e-4, 1.41e-4), (0, 20), 1),  # the square root of 2 is half an octave
        ((1e-4, 1.42e-4), (0, 0), 0),
        ((1.42e-4, 1e-4), (0, 0), 0),
        ((1e-4, 1e-4), (0, 20.5), 0),
        ((1e-4, 1e-4), (20.5, 0), 0),
        ((np.nan, np.nan), (0, 0), 1),  # what is not known is not against it
        ((np.nan, 1e-4), (0, 0), 1),
        ((np.nan, np.nan), (0, 21), 0),
        ((1e-4, 1e-4), (np.nan, np.nan), 1),
    ],
)
def test_a_unit_is_stable_if_amplitude_and_depth_stay(amplitudes, depths, stable):
    assert steady(amplitudes, depths) == stable


def test_a_unit_is_stable_if_it_is_there_in_both_phases():
    same = (1e-4, 1e-4)
    # one bin of seven, and of four
    assert steady(same, silent=[(100, 110)]) == 0
    assert steady(same, silent=[(310, 320)]) == 0
    assert steady(same, silent=[(100, 110)], least_presence=6 / 7) == 1
    # between the epochs, and in what fills no bin
    assert steady(same, silent=[(130, 150)]) == 1


def test_without_one_phase_it_cannot_be_told_unless_something_is_against_it():
    pre = {key: span for key, span in SPANS.items() if key[0] == "pre"}
    same = (1e-4, 1e-4)
    assert np.isnan(steady(same, spans=pre))
    assert steady(same, spans=pre, silent=[(100, 110)]) == 0


def test_thresholds_are_parameters():
    assert steady((1e-4, 3e-4)) == 0
    assert steady((1e-4, 3e-4), most_octaves=1.6) == 1
    assert steady((1e-4, 1e-4), (0, 30), most_um=30.0) == 1


def test_bombcells_measures_are_those_of_their_cluster():
    measures = {name: np.full(2, np.nan) for name in BOMBCELL_MEASURES}
    measures["nSpikes"] = np.array([np.nan, 7.0])
    seen = Bombcell(measures, np.array([False, True]), "0.94", "0123456789abcdef", ("a", "b"))
    times, clusters = np.arange(0.5, 400), np.arange(400) % 2
    found, notes = assemble(
        probe(0, times, clusters, 2), probe(1, times, clusters, 2, bombcell=seen)
    )
    assert {k: v["nSpikes"].item() for k, v in found.items() if v["nSpikes"].notnull()} == {
        (1, 1): 7.0
    }
    told = {k: (v.bombcell_version.item(), v.bombcell_parameters.item()) for k, v in found.items()}
    assert told.pop((1, 1)) == ("0.94", "0123456789abcdef")
    assert set(told.values()) == {("", "")}
    assert notes == [
        "probe00: no spikes.amps.npy, spikes.depths.npy",
        "probe01: no spikes.amps.npy, spikes.depths.npy",
        "probe01: 2 columns of bombcell's that lsdx does not know (a, b)",
    ]
    for name in ("amplitude", "spike_depth", "amplitude_cutoff"):
        assert np.isnan(found[0, 0][name].values).all()
    assert found[0, 0]["stable"].item() == 1


def test_recorded_amplitudes_that_are_not_on_disk_are_told():
    path = "alf/probe00/ks2/spikes.amps.npy"
    times = np.arange(0.5, 400)
    more = {"depths": np.full(400, 100.0), "absent": (path,)}
    _, notes = assemble(probe(0, times, np.zeros(400), 1, **more))
    assert notes == [f"probe00: recorded but not on disk: {path}"]


def test_a_session_without_units_has_no_quality():
    recording = Recording(SESSION)
    epochs = assemble_epochs(recording)
    none = dict.fromkeys(("units", "spikes", "insertions"))
    assert assemble_quality(recording, epochs=epochs, **none) is None
