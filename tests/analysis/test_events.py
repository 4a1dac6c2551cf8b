"""Responses to events: histograms by hand, levels of the test, the demo's truth, bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

import lsdx
from lsdx.analysis.events import psth
from lsdx.errors import ArgumentError, ConfigError, SelectionError


def session(times: list[np.ndarray], depth: list[float] | None = None) -> xr.Dataset:
    size = np.array([len(t) for t in times])
    n = len(times)
    whole = np.concatenate([*times, np.empty(0)])
    return xr.Dataset(
        {
            "spike_time": ("spike", whole),
            "duplicate": ("spike", np.zeros(whole.size, dtype=bool)),
            "row_size": ("unit", size),
            "row_start": ("unit", np.cumsum(size) - size),
            "last_spike": ("unit", np.full(n, whole.max(initial=0))),
            "has_duplicate_mask": ("unit", np.zeros(n, dtype=bool)),
        },
        {
            "unit": [f"u{i}" for i in range(n)],
            "session": ("unit", ["s"] * n),
            "insertion": ("unit", ["i"] * n),
            "depth": ("unit", depth or [0.0] * n),
        },
    )


def gabors(start: Any, **labels: Any) -> xr.Dataset:
    start = np.asarray(start, dtype=float)
    columns = {"session": ["s"] * start.size, "side": ["left"] * start.size, **labels}
    return xr.Dataset(
        {"start": ("event", start)}, {n: ("event", np.asarray(v)) for n, v in columns.items()}
    )


def test_spikes_are_counted_where_they_are() -> None:
    ds = session([np.array([9.995, 10.0, 10.0049, 10.01, 19.99, 20.3, 50.0])])
    found = psth(ds, events=gabors([10.0, 20.0]), window=(-0.01, 0.02), n_shifts=0)
    np.testing.assert_allclose(found["time"], [-0.005, 0.005, 0.015])
    np.testing.assert_allclose(found["psth"][0, 0] * 0.01 * 2, [2, 2, 1])
    assert found["n_events"].item() == 2
    # the baseline of 1 s holds 9.995 and 19.99, in its last bin
    counts = np.r_[np.zeros(99), 2.0]
    np.testing.assert_allclose(found["psth_z"][0, 0, 1], (2 - counts.mean()) / counts.std())
    assert "p" not in found


def test_histograms_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    times = [np.sort(rng.uniform(0, 300, n)).round(5) for n in (3000, 50)]
    start = np.sort(rng.uniform(10, 290, 80)).round(5)
    side = rng.choice(["left", "right"], 80)
    found = psth(session(times), events=gabors(start, side=side), n_shifts=0)
    edges = np.arange(-0.4, 1.0001, 0.01)
    for u, train in enumerate(times):
        for name in ("left", "right"):
            lags = (train[:, None] - start[side == name]).ravel()
            expected = np.histogram(np.round(lags, 5) + 1e-9, edges)[0]
            got = found["psth"].sel(side=name)[u] * (side == name).sum() * 0.01
            np.testing.assert_allclose(got, expected)


def test_sites_are_sums_of_their_units() -> None:
    rng = np.random.default_rng(1)
    times = [np.sort(rng.uniform(0, 60, 600)) for _ in range(4)]
    ds = session(times, depth=[5.0, 19.0, 25.0, np.nan])
    events = gabors(np.arange(5, 55, 2.0))
    units = psth(ds, events=events, n_shifts=0)
    sites = psth(ds, events=events, n_shifts=0, pool="20 um")
    np.testing.assert_allclose(sites["depth"], [10, 30])  # one without a depth has no site
    np.testing.assert_array_equal(sites["n_units"], [2, 1])
    np.testing.assert_allclose(sites["psth"][0], units["psth"][:2].sum("unit"))
    np.testing.assert_allclose(sites["psth"][1], units["psth"][2])
    everything = psth(ds, events=events, n_shifts=0, pool="session")
    np.testing.assert_allclose(everything["psth"][0], units["psth"].sum("unit"))
    shuffled = psth(ds.isel(unit=[2, 0, 3, 1]), events=events, n_shifts=0, pool="20 um")
    np.testing.assert_allclose(shuffled.sortby("depth")["psth"], sites["psth"])


def test_the_level_holds_where_a_threshold_of_three_does_not() -> None:
    """Slow fluctuations, no response: 5 % below .05; |z| > 3 somewhere in 30 bins is common."""
    rng = np.random.default_rng(2)
    centres = (np.arange(6000) + 0.5) * 0.05
    noise = rng.standard_normal((300, 6000))
    for i in range(1, 6000):
        noise[:, i] = 0.99 * noise[:, i - 1] + np.sqrt(1 - 0.99**2) * noise[:, i]
    counts = rng.poisson(5 * 0.05 * np.exp(0.7 * noise - 0.25))
    times = [np.sort(np.repeat(centres, c) + rng.uniform(-0.025, 0.025, c.sum())) for c in counts]
    start = 2 + np.cumsum(rng.uniform(1.2, 2.0, 170))
    found = psth(session(times), events=gabors(start), n_shifts=199, rng=0)
    assert abs(float((found["p"] < 0.05).mean()) - 0.05) < 0.03
    assert float((found["response"] > 3).mean()) > 0.1
    assert found["p"].min() >= 1 / 200
    assert (found["p_least"] == 1 / 200).all()


def test_the_demos_visual_units_are_found(demo_stores: Path, demo_cohort: Path) -> None:
    truth = json.loads((demo_cohort / "truth.json").read_text())["sessions"][0]
    mine = lsdx.open_spikes(demo_stores, session=truth["eid"])
    events = lsdx.open_events(demo_stores)
    strong = events.isel(event=((events.kind == "gabor") & (events.contrast > 0.1)).values)
    found = psth(mine, events=strong, n_shifts=199, rng=0).compute()
    least = found["p"].min("side").to_series()
    is_visual = dict(zip(truth["units"]["uuid"], truth["units"]["visual"], strict=True))
    visual = [u for u in least.index if is_visual.get(u)]
    silent = [u for u in least.index if not is_visual.get(u, True) and np.isfinite(least[u])]
    assert len(visual) >= 3
    assert (least[visual] < 0.02).mean() > 0.8
    assert (least[silent] < 0.02).mean() < 0.15
    assert found["side"].values.tolist() == ["left", "right"]


def test_lazy_seeded_and_free_of_other_units(demo_stores: Path) -> None:
    computed = []

    def scheduler(dsk: Any, keys: Any, **kwargs: Any) -> Any:
        computed.append(keys)
        return dask.get(dsk, keys, **kwargs)

    spikes, events = lsdx.open_spikes(demo_stores), lsdx.open_events(demo_stores)
    strong = events.isel(event=((events.kind == "gabor") & (events.contrast > 0.4)).values)
    options: dict[str, Any] = {"events": strong, "by": ["phase", "side"], "n_shifts": 9, "rng": 1}
    with dask.config.set(scheduler=scheduler):
        lazy = spikes.lsd.psth(**options)
        spikes.lsd.psth(pool="20 um", **options)
        assert not computed
        whole = lazy.compute()
    assert whole["phase"].values.tolist() == ["pre", "post"]
    some = psth(spikes.isel(unit=[40, 3]).load(), **options)
    xr.testing.assert_identical(some, whole.isel(unit=[40, 3]))
    # a session without a table of gabors in a phase has none
    assert (whole["n_events"] == 0).any()
    assert whole["p"].where(whole["n_events"] == 0).isnull().all()


def test_an_insertion_has_the_events_that_it_recorded() -> None:
    """A probe that stopped early is the same beside another and alone."""
    rng = np.random.default_rng(5)
    ds = session([np.sort(rng.uniform(0, 300, 3000)), np.sort(rng.uniform(0, 150, 1500))])
    ds = ds.assign(last_spike=("unit", [300.0, 150.0]))
    ds = ds.assign_coords(insertion=("unit", ["a", "b"]))
    events = gabors(np.arange(10, 290, 2.0))
    both = psth(ds, events=events, n_shifts=19, rng=0)
    alone = psth(ds.isel(unit=[1]), events=events, n_shifts=19, rng=0)
    xr.testing.assert_identical(both.isel(unit=[1]), alone)
    assert both["n_events"].values.ravel().tolist() == [140, 71]
    site = psth(ds, events=events, n_shifts=0, pool="session")
    assert site["n_events"].item() == 71


def test_the_least_p_is_reached_and_said() -> None:
    """A response that no shift comes near has the least p; ``p < .01`` needs 100 shifts."""
    rng = np.random.default_rng(6)
    start = np.cumsum(rng.uniform(1.2, 2.0, 100))
    late = np.sort(np.r_[start + 0.1, start + 0.11, rng.uniform(0, 160, 300)])
    ds = session([late, np.empty(0)])
    for n_shifts in (9, 99, 100):
        found = psth(ds, events=gabors(start), n_shifts=n_shifts, rng=0)
        assert found["p"][0].item() == found["p_least"][0].item() == 1 / (n_shifts + 1)
        assert (found["p"][0] < 0.01).item() == (n_shifts == 100)
    two = ds.assign_coords(session=("unit", ["s", "t"]))
    assert psth(two, events=gabors(start), n_shifts=9)["p_least"][1].isnull().all()


def test_the_only_event_of_a_phase_cannot_be_moved() -> None:
    ds = session([np.arange(0, 60, 0.1)])
    events = gabors([10.0, 20, 30], side=["left", "left", "right"], phase=["pre", "pre", "post"])
    found = psth(ds, events=events, n_shifts=9, rng=0)
    assert found["p_least"].sel(side="left").item() == 0.1
    assert found["p_least"].sel(side="right").item() == found["p"].sel(side="right").item() == 1
    assert found.attrs["response"] == "(0.0, 0.3)"
    at_once = psth(ds, events=gabors([10.0, 10.0]), n_shifts=9, rng=0)
    assert at_once["p_least"].item() == at_once["p"].item() == 1


def poisson(
    rng: np.random.Generator, n: int, start: np.ndarray, how: str = "", share: float = 0.4
) -> list[np.ndarray]:
    """Trains of 5 Hz: silent or halved from 50 to 250 ms, or a spike more after some events."""
    stop = start[-1] + 5
    times = [np.sort(rng.uniform(0, stop, rng.poisson(5 * stop))) for _ in range(n)]
    for i, train in enumerate(times):
        since = train - start[np.maximum(np.searchsorted(start, train, side="right") - 1, 0)]
        if how == "silent":
            times[i] = train[(since < 0.05) | (since > 0.25)]
        elif how == "half":
            times[i] = train[(since < 0.05) | (since > 0.25) | (rng.random(train.size) < 0.5)]
        elif how:
            added = start[rng.random(start.size) < share] + 0.05
            width = 0.1 if how == "added" else 0.01
            times[i] = np.sort(np.r_[train, added + rng.uniform(0, width, added.size)])
    return times


@pytest.mark.parametrize("regular", [True, False])
@pytest.mark.parametrize("how", ["silent", "added"])
def test_responses_to_regular_events_and_suppression_are_found(how: str, regular: bool) -> None:
    """Circular shifts of regular events and |z| alone found a third, and 6 % of the silent."""
    rng = np.random.default_rng(7)
    start = 5 + (1.5 * np.arange(170) if regular else np.cumsum(rng.uniform(1.0, 2.0, 170)))
    found = psth(session(poisson(rng, 30, start, how)), events=gabors(start), n_shifts=99, rng=0)
    assert (found["p"] <= 0.05).mean() > 0.9
    assert (np.sign(found["response_rate"]) == (-1 if how == "silent" else 1)).mean() > 0.95


def test_the_change_of_rate_is_that_of_the_counts() -> None:
    ds = session([np.array([9.5, 9.6, 10.1, 10.2, 10.29, 19.7, 20.05, 50.0])])
    found = psth(ds, events=gabors([10.0, 20.0]), n_shifts=0)
    np.testing.assert_allclose(found["response_rate"], 4 / 0.6 - 3 / 2)


@pytest.mark.parametrize("regular", [True, False])
def test_the_level_holds_for_rhythms_and_for_several_labels(regular: bool) -> None:
    """Units of 8 Hz; four labels, of which some p is below .05 in 19 %, corrected in 5 %."""
    rng = np.random.default_rng(8)
    single, corrected = [], []
    for seed in range(8):
        start = 5 + (1.5 * np.arange(170) if regular else np.cumsum(rng.uniform(1.0, 2.0, 170)))
        times = poisson(rng, 40, start)
        phase = rng.uniform(0, 2 * np.pi, 40)
        times = [
            t[rng.random(t.size) < 0.5 + 0.5 * np.cos(2 * np.pi * 8.1 * t + f)]
            for t, f in zip(times, phase, strict=True)
        ]
        events = gabors(start, side=rng.choice(list("abcd"), 170))
        found = psth(session(times), events=events, n_shifts=99, rng=seed)
        assert (found["p_corrected"] >= found["p"]).all()
        single += found["p"].values.ravel().tolist()
        corrected += found["p_corrected"].min("side").values.tolist()
    assert abs(float(np.mean(np.array(single) <= 0.05)) - 0.05) < 0.025
    assert abs(float(np.mean(np.array(corrected) <= 0.05)) - 0.05) < 0.035


# % of units with p <= .05, as the docstring has them: events at random and regular ones
POWER = [
    ("silent", 0.0, (100, 100)),
    ("half", 0.0, (99, 99)),
    ("added", 0.1, (18, 24)),
    ("added", 0.2, (47, 47)),
    ("added", 0.3, (75, 78)),
    ("peak", 0.1, (90, 89)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("how", "share", "found"), POWER)
def test_the_table_of_what_responses_are_found(
    how: str, share: float, found: tuple[int, int]
) -> None:
    rng = np.random.default_rng(12)
    for regular, expected in zip((False, True), found, strict=True):
        p: list[float] = []
        for seed in range(10):
            gaps = np.full(170, 1.5) if regular else rng.uniform(1.0, 2.0, 170)
            start = 5 + np.cumsum(gaps)
            ds = session(poisson(rng, 30, start, how, share))
            p += psth(ds, events=gabors(start), n_shifts=199, rng=seed)["p"].values.ravel().tolist()
        assert 100 * np.mean(np.array(p) <= 0.05) == pytest.approx(expected, abs=8)


@pytest.mark.slow
@pytest.mark.parametrize(("rhythm", "most"), [(0.0, 0.07), (8.1, 0.07), (0.7, 0.08)])
def test_the_level_of_regular_events_holds_over_many_sessions(rhythm: float, most: float) -> None:
    """Rhythms of no relation to 1.5 s, kept for 60 s: 40 sessions of 25 units, 199 shifts."""
    rng = np.random.default_rng(10)
    start = 5 + 1.5 * np.arange(170)
    found = []
    for seed in range(40):
        times = poisson(rng, 25, start)
        for i, t in enumerate(times):
            walk = np.cumsum(rng.standard_normal(2700) * np.sqrt(2 * 0.1 / 60))
            phase = walk[(t / 0.1).astype(int)] + 2 * np.pi * rhythm * t + rng.uniform(0, 2 * np.pi)
            times[i] = t[rng.random(t.size) < 0.5 + 0.5 * np.cos(phase)] if rhythm else t
        found += psth(session(times), events=gabors(start), n_shifts=199, rng=seed)[
            "p"
        ].values.tolist()
    assert 0.03 < np.mean(np.array(found) <= 0.05) < most


def test_all_units_and_any_phases_see_the_same_moves() -> None:
    """A phase alone gives the numbers that it has beside another."""
    rng = np.random.default_rng(9)
    start = np.sort(rng.uniform(5, 290, 100))
    phase = np.where(start < 150, "pre", "post")
    ds = session([np.sort(rng.uniform(0, 300, 900)) for _ in range(3)])
    both = psth(ds, events=gabors(start, phase=phase), by="phase", n_shifts=19, rng=0)
    late = start[phase == "post"]
    alone = psth(
        ds, events=gabors(late, phase=["post"] * late.size), by="phase", n_shifts=19, rng=0
    )
    np.testing.assert_array_equal(both["p"].sel(phase="post"), alone["p"].sel(phase="post"))


def test_silent_units_and_sessions_without_events_are_nan() -> None:
    ds = session([np.empty(0), np.array([100.0]), np.arange(0, 60, 0.1)])
    found = psth(ds, events=gabors([10.0, 20.0]), n_shifts=9, rng=0)
    assert found["p"][:2].isnull().all()
    assert (found["psth"][:2] == 0).all()
    two = ds.assign_coords(session=("unit", ["s", "s", "t"]))
    other = psth(two, events=gabors([10.0]), n_shifts=9, rng=0)
    assert other["psth"][2].isnull().all()
    assert other["n_events"].values.tolist() == [[1], [1], [0]]
    late = psth(ds, events=gabors([10.0, 5000.0]), n_shifts=0)
    assert late["n_events"].values.tolist() == [[1]] * 3  # one was after the recording


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"by": "colour"}, SelectionError, "labels of by"),
        ({"by": ["side", "side"]}, SelectionError, "distinct"),
        ({"pool": "colour"}, SelectionError, "a depth such as '20 um', or a label"),
        ({"pool": "20 s"}, SelectionError, "a depth such as"),
        ({"pool": "-20 um"}, SelectionError, "a depth such as"),
        ({"window": (0.2, -0.1)}, ConfigError, "window"),
        ({"window": (-0.005, 0.1)}, ConfigError, "whole number of bins of 0.01 s"),
        ({"window": 0.1}, ConfigError, "window: expected a start and a later stop"),
        ({"baseline": (-0.01, 0)}, ConfigError, "at least two bins"),
        ({"response": (-0.1, 0.3)}, ConfigError, "response: expected no bin of the baseline"),
        ({"events": gabors([1.0], session=["a/1"])}, SelectionError, "values of session_label"),
        ({"events": gabors([1.0], session=["t"])}, SelectionError, "units and events of the same"),
        (
            {"events": gabors([1.0], phase=["post"])},
            SelectionError,
            "phase pre.*select the events",
        ),
        ({"n_shifts": -1}, ArgumentError, "n_shifts"),
        ({"events": gabors([np.nan])}, SelectionError, "at least one event"),
        ({"events": gabors([1.0], provenance=["rig_clock"])}, SelectionError, "rig clock"),
        ({"events": gabors([1.0], contrast=[np.nan]), "by": "contrast"}, SelectionError, "gabors"),
        ({"events": xr.Dataset()}, SelectionError, "open_events"),
    ],
)
def test_what_makes_no_sense_is_refused(
    options: dict[str, Any], error: type[Exception], words: str
) -> None:
    ds = session([np.arange(0, 60, 0.1)])
    ds = ds.assign_coords(phase="pre", session_label=("unit", ["a/1"]))
    with pytest.raises(error, match=words):
        psth(ds, **{"events": gabors([10.0]), **options})
    with pytest.raises(SelectionError, match="spikes of phase pre, epoch rfm"):
        psth(ds.assign_coords(epoch="rfm"), events=gabors([10.0]))
    words = gabors([10.0]).to_dataframe().assign(start="soon")
    with pytest.raises(SelectionError, match="start in s, as numbers"):
        psth(ds, events=words)
    # of a selected phase, or of none: as good as any
    for phase in ("pre", ["pre"], [""], [np.nan]):
        events = gabors([10.0]).assign_coords(phase=phase if phase == "pre" else ("event", phase))
        assert psth(ds, events=events, n_shifts=0)["n_events"].item() == 1
    scalar = gabors([10.0]).drop_vars("session").assign_coords(session="t")
    with pytest.raises(SelectionError, match="units and events of the same"):
        psth(ds, events=scalar)
    assert psth(ds.isel(unit=[]), events=gabors([10.0]), n_shifts=9).sizes["unit"] == 0


def test_tables_and_times_are_events_too() -> None:
    ds = session([np.array([9.995, 10.0, 10.0049, 10.01, 19.99, 20.3, 50.0])])
    options: Any = {"window": (-0.01, 0.02), "n_shifts": 9, "rng": 0}
    expected = psth(ds, events=gabors([10.0, 20.0]), **options)
    table = gabors([10.0, 20.0]).to_dataframe()
    xr.testing.assert_identical(psth(ds, events=table, **options), expected)
    xr.testing.assert_identical(psth(ds, events=table.set_index("session"), **options), expected)
    alone = psth(ds, events=table.drop(columns="side"), **options)
    assert alone["psth"].dims == ("unit", "time")
    xr.testing.assert_identical(alone, expected.isel(side=0).drop_vars("side"))
    for times in ([10.0, 20.0], np.array([10, 20])):
        xr.testing.assert_identical(psth(ds, events=times, **options), alone)
    two = ds.assign_coords(session=("unit", ["s"])).isel(unit=[0, 0])
    two = two.assign_coords(session=("unit", ["s", "t"]))
    with pytest.raises(SelectionError, match="times alone, and units of 2 sessions"):
        psth(two, events=[10.0], **options)
    for wrong in ([[10.0, 20.0]], "gabor"):
        with pytest.raises(SelectionError, match="DataFrame with the columns session and start"):
            psth(ds, events=wrong, **options)  # type: ignore[arg-type]
    with pytest.raises(SelectionError, match="session, start and distinct labels"):
        psth(ds, events=table.drop(columns="start"), **options)


@pytest.mark.parametrize("name", ["window", "baseline", "response"])
def test_windows_of_very_many_bins_ask_for_a_unit(name: str) -> None:
    with pytest.raises(ConfigError, match=r"70,000 in \(-200, 500\), where plain numbers are sec"):
        psth(session([np.array([1.0])]), events=gabors([1.0]), **{name: (-200, 500)})  # type: ignore[arg-type]
