"""Counts smoothed, by trial and as tables: scipy, NumPy and pandas by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter1d
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GroupKFold, cross_val_score

import lsdx
from lsdx.analysis.matrices import design_matrix, smooth
from lsdx.analysis.trials import trials
from lsdx.errors import ArgumentError, SelectionError

BIN = 0.1


def counts_of(n_units: int = 4, n_bins: int = 300, seed: int = 0) -> xr.Dataset:
    """Return two phases and two epochs of one session; the second epoch is 5 s shorter."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(2, (n_units, 2, 2, n_bins)).astype(np.float32)
    counts[:, :, 1, -50:] = np.nan
    return xr.Dataset(
        {"counts": (("unit", "phase", "epoch", "time"), counts, {"units": "1"})},
        {
            "unit": [f"u{i}" for i in range(n_units)],
            "session": ("unit", ["s"] * n_units),
            "phase": ["pre", "post"],
            "epoch": ["spontaneous", "rfm"],
            "time": (np.arange(n_bins) + 0.5) * BIN,
        },
        {"bin_width": BIN},
    )


def starts(**change: float) -> xr.Dataset:
    values = np.array([[[0.0, 30.0], [1000.0, 1030.0]]])
    return xr.Dataset(
        {"start": (("session", "phase", "epoch"), values)},
        {"session": ["s"], "phase": ["pre", "post"], "epoch": ["spontaneous", "rfm"]},
    )


def events_of(start: Any, session: str = "s") -> xr.Dataset:
    start = np.asarray(start, dtype=float)
    return xr.Dataset(
        {
            "start": ("event", start),
            "contrast": ("event", np.arange(start.size) / 10),
        },
        {
            "session": ("event", [session] * start.size),
            "side": ("event", np.where(np.arange(start.size) % 2, "left", "right")),
        },
    )


def behavior_of(ds: xr.Dataset, session: str = "s") -> xr.Dataset:
    rng = np.random.default_rng(5)
    n = ds.sizes["time"]
    values = rng.normal(size=(1, 3, 2, 2, n)).astype(np.float32)
    values[0, 0] = ds.counts.values[:2].sum(axis=0)  # a feature that two units make
    values[0, 1, 0, 0, :10] = np.nan
    values[0, 2] = np.nan
    return xr.Dataset(
        {"behavior": (("session", "feature", "phase", "epoch", "time"), values)},
        {"session": [session], "feature": ["paw", "nose", "wheel"]}
        | {d: ds[d].values for d in ("phase", "epoch", "time")},
        {"bin_width": BIN},
    )


def test_smoothing_is_scipys_and_keeps_sums() -> None:
    ds = counts_of()
    found = smooth(ds, "200 ms")
    assert found.counts.dtype == np.float32
    whole = ds.counts.values[:, :, 0]
    expected = gaussian_filter1d(whole.astype(float), 2, axis=-1)
    inner = slice(8, -8)  # 4 sigma
    np.testing.assert_allclose(found.counts.values[:, :, 0, inner], expected[..., inner], rtol=1e-6)
    spike = ds.assign(counts=xr.zeros_like(ds.counts))
    spike.counts[0, 0, 0, 100] = 7.0
    np.testing.assert_allclose(smooth(spike, 0.2).counts[0, 0, 0].sum(), 7, rtol=1e-6)
    assert found.attrs["smoothing"] == 0.2
    assert found.counts.attrs["units"] == "1"


def test_what_was_not_observed_stays_so_and_does_not_spread() -> None:
    ds = counts_of()
    ds.counts[0, 0, 0, 40:45] = np.nan
    found = smooth(ds, "300 ms").counts
    np.testing.assert_array_equal(found.isnull(), ds.counts.isnull())
    level = ds.assign(counts=ds.counts * 0 + 3.0)
    np.testing.assert_allclose(smooth(level, "300 ms").counts.where(found.notnull(), 3.0), 3.0)
    weights = np.exp(-0.5 * (np.arange(-12, 13) / 3) ** 2)
    row, at = ds.counts.values[0, 0, 0], 46
    near = row[at - 12 : at + 13]
    seen = np.isfinite(near)
    expected = (weights[seen] * near[seen]).sum() / weights[seen].sum()
    np.testing.assert_allclose(found[0, 0, 0, at], expected, rtol=1e-5)
    # epochs are not joined
    other = ds.copy(deep=True)
    other.counts[:, :, 1] = 9.0
    np.testing.assert_array_equal(smooth(other, "300 ms").counts[:, :, 0], found[:, :, 0])


def test_smoothing_is_lazy_and_free_of_chunks() -> None:
    ds = counts_of()
    whole = smooth(ds, "200 ms")
    for chunks in ({"unit": 1}, {"time": 37}, {"time": 7, "phase": 1}):
        lazy = smooth(ds.chunk(chunks), "200 ms")
        assert hasattr(lazy.counts.data, "dask")
        xr.testing.assert_identical(lazy.compute(), whole)


def test_measures_take_smoothed_counts() -> None:
    ds = counts_of(n_units=12)
    sums = ds.assign(n_spikes=ds.counts.sum("time"), duration=ds.counts.count("time") * BIN)
    found = smooth(sums, "300 ms")
    assert {"n_spikes", "duration"}.isdisjoint(found.variables)
    assert found.lsd.components(n_components=2).explained_variance.notnull().all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sigma": 0}, "smooth, sigma: expected a number above 0"),
        ({"sigma": "-1 s"}, "smooth, sigma"),
        ({"sigma": 1, "truncate": 0}, "smooth, truncate"),
        ({"sigma": "wide"}, "smooth, sigma: expected a duration"),
    ],
)
def test_smoothing_refuses_what_is_no_width(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        smooth(counts_of(), **options)
    with pytest.raises(SelectionError, match="counts over time"):
        smooth(starts(), 1)


def test_trials_of_counts_are_cut_where_their_events_are() -> None:
    ds = counts_of()
    start = [1.0, 1030.25, 29.99, 0.02, 500.0, np.nan, 1054.95]
    found = trials(ds, events=events_of(start), window=("-0.2 s", "0.3 s"), epochs=starts())
    assert found.counts.dims == ("unit", "event", "time")
    np.testing.assert_allclose(found.time, [-0.2, -0.1, 0, 0.1, 0.2])
    np.testing.assert_allclose(found.start, [0.02, 1.0, 29.99, 1030.25, 1054.95])
    np.testing.assert_allclose(found.contrast, [0.3, 0, 0.2, 0.1, 0.6])
    assert found.side.values.tolist() == ["left", "right", "right", "left", "right"]
    assert found.attrs["n_left_out"] == 1  # at 500 s
    padded = np.pad(ds.counts.values, [(0, 0)] * 3 + [(2, 2)], constant_values=np.nan)
    expected = [
        padded[:, p, e, b : b + 5]
        for p, e, b in [(0, 0, 0), (0, 0, 10), (0, 0, 299), (1, 1, 2), (1, 1, 249)]
    ]
    np.testing.assert_array_equal(found.counts, np.stack(expected, axis=1))
    assert found.counts[:, 0, :2].isnull().all()  # before the epoch
    assert found.counts[:, 2, 3:].isnull().all()  # the next epoch is not its own
    # past the end of its epoch, in bins that hold nothing
    late = events_of([*start, 1056.0])
    kept = trials(ds, events=late, window=(-0.2, 0.3), epochs=starts())
    assert kept.counts[:, -1].isnull().all()
    ends = starts().assign(stop=starts().start + np.array([30.0, 25.0]))
    gone = trials(ds, events=late, window=(-0.2, 0.3), epochs=ends)
    xr.testing.assert_identical(gone.counts, found.counts)
    assert gone.attrs["n_left_out"] == 2
    one = ds.sel(phase="post").isel(epoch=[1])
    less = trials(one, events=events_of(start), window=("-0.2 s", "0.3 s"), epochs=starts())
    np.testing.assert_array_equal(less.counts, found.counts[:, 3:])
    held = ds.assign(start=starts().start.sel(session="s", drop=True))
    xr.testing.assert_identical(
        trials(held, events=events_of(start), window=(-0.2, 0.3)).counts, found.counts
    )
    for chunks in ({"time": 50}, {"unit": 1, "phase": 1}):
        lazy = trials(
            ds.chunk(chunks), events=events_of(start), window=(-0.2, 0.3), epochs=starts()
        )
        assert hasattr(lazy.counts.data, "dask")
        xr.testing.assert_identical(lazy.compute(), found)


def test_labels_of_units_and_events_are_both_there() -> None:
    ds = counts_of().assign_coords(
        depth=("unit", [1.0, 2, 3, 4]), place="lab", phase=["pre", "post"]
    )
    events = events_of([1.0, 2.0]).assign(
        depth=("event", [9.0, 9.0]), phase=("event", ["pre", "pre"]), place=("event", ["x", "y"])
    )
    found = trials(ds, events=events, window=(0, 0.2), epochs=starts())
    assert found.depth.dims == ("unit",)
    assert found.place.values.tolist() == ["x", "y"]
    assert found.phase.values.tolist() == ["pre", "pre"]
    assert found.indexes.keys() == {"unit", "time"}
    pd.testing.assert_frame_equal(
        trials(
            ds, events=events.to_dataframe(), window=(0, 0.2), epochs=starts()
        ).counts.to_dataframe(),
        found.counts.to_dataframe(),
    )


def test_trials_of_spikes_are_histograms(demo_stores: Any) -> None:
    spikes = lsdx.open_spikes(demo_stores)
    eid = str(spikes.session[0].item())
    one = spikes.lsd.select(session=eid).isel(unit=slice(5))
    gabors = lsdx.open_events(demo_stores).lsd.select(kind="gabor")
    found = one.lsd.trials(events=gabors, window=(-0.1, 0.2), bin_width="50 ms")
    assert hasattr(found.counts.data, "dask")
    mine = gabors.isel(event=gabors.session == eid)
    np.testing.assert_array_equal(found.start, np.sort(mine.start))
    assert found.session.dims == ("unit",)
    for u in range(5):
        low = int(one.row_start[u])
        train = one.spike_time.values[low : low + int(one.row_size[u])]
        for e in (0, 7, 100):
            lags = np.round(train - found.start.values[e], 5)
            expected = np.histogram(lags + 1e-9, [-0.1, -0.05, 0, 0.05, 0.1, 0.15, 0.2])[0]
            np.testing.assert_array_equal(found.counts[u, e], expected)
    psth = one.lsd.psth(events=mine, window=(-0.1, 0.2), bin_width="50 ms", by="side", n_shifts=0)
    rate = found.counts.groupby("side").mean("event") / 0.05
    np.testing.assert_allclose(rate.transpose("unit", "side", "time"), psth.psth, rtol=1e-5)


def test_trials_of_counts_and_spikes_agree(demo_stores: Any) -> None:
    units, spikes = lsdx.open_units(demo_stores), lsdx.open_spikes(demo_stores)
    eid = str(units.session[0].item())
    epochs = lsdx.open_epochs(demo_stores)
    begin = epochs.start.sel(session=eid, phase="pre", epoch="rfm").item()
    # events at the beginning of bins
    events = events_of(begin + np.array([10.0, 20.5, 33.3]), eid)
    one = units.lsd.select(session=eid)
    of_counts = one.lsd.trials(events=events, window=(-0.3, 0.5), epochs=epochs)
    of_spikes = spikes.lsd.select(session=eid).lsd.trials(
        events=events, window=(-0.3, 0.5), bin_width=0.1
    )
    np.testing.assert_array_equal(of_counts.counts, of_spikes.counts)
    np.testing.assert_allclose(of_counts.time + 0.05, of_spikes.time)


def test_trials_refuse_what_does_not_fit() -> None:
    ds, events = counts_of(), events_of([1.0])
    two = ds.assign_coords(session=("unit", ["s", "s", "t", "t"]))
    with pytest.raises(SelectionError, match=r"units of one session, found 2 sessions. Select one"):
        trials(two, events=events, epochs=starts())
    with pytest.raises(SelectionError, match=r"Give epochs=lsdx.open_epochs"):
        trials(ds, events=events)
    with pytest.raises(SelectionError, match=r"start .s. of each phase and epoch"):
        trials(ds, events=events, epochs=starts().isel(phase=[0]))
    with pytest.raises(SelectionError, match=r"events of session 's', found .'x'.*none of it"):
        trials(ds, events=events_of([1.0], "x"), epochs=starts())
    with pytest.raises(SelectionError, match="no session"):
        trials(ds, events=events.drop_vars("session"), epochs=starts())
    with pytest.raises(ArgumentError, match=r"window: expected a whole number of bins of 0.1 s"):
        trials(ds, events=events, window=(-0.25, 1), epochs=starts())
    with pytest.raises(ArgumentError, match="a start and a later stop"):
        trials(ds, events=events, window=(1, 0), epochs=starts())
    with pytest.raises(ArgumentError, match="that of the counts"):
        trials(ds, events=events, bin_width="20 ms", epochs=starts())


def test_tables_hold_what_was_observed() -> None:
    ds = counts_of()
    d = design_matrix(ds, behavior_of(ds), block="10 s")
    assert d.X.columns.tolist() == ["u0", "u1", "u2", "u3"]
    assert d.y is not None
    assert d.y.columns.tolist() == ["paw", "nose"]  # wheel was never observed
    assert d.n_left_out == 2 * 50 + 10
    assert len(d.X) == len(d.y) == len(d.groups) == 2 * 2 * 300 - 110
    assert list(d.X.index.names) == ["phase", "epoch", "time"]
    assert d.X.index.equals(d.y.index)
    assert d.X.index.equals(d.groups.index)
    row = d.X.loc[("post", "rfm", ds.time.values[20])]
    np.testing.assert_array_equal(row, ds.counts.values[:, 1, 1, 20])
    np.testing.assert_array_equal(d.y["paw"], d.X["u0"] + d.X["u1"])
    # 30 s and 25 s make three blocks each; a block is of one epoch, and contiguous
    assert d.groups.nunique() == 12
    assert d.groups.is_monotonic_increasing
    table = d.groups.reset_index()
    spans = table.groupby("block")["time"].agg(["min", "max"])
    assert (spans["max"] - spans["min"]).max() < 10
    assert (table.groupby("block")[["phase", "epoch"]].nunique() == 1).all().all()


def test_tables_go_into_scikit_learn() -> None:
    ds = counts_of()
    d = design_matrix(ds, behavior_of(ds), features="paw", block="10 s")
    folds: dict[str, Any] = {"groups": d.groups, "cv": GroupKFold(5)}
    np.testing.assert_allclose(cross_val_score(LinearRegression(), d.X, d.y, **folds), 1.0)
    nose = design_matrix(ds, behavior_of(ds), features=["nose"])
    scores = cross_val_score(Ridge(), nose.X, nose.y, groups=nose.groups, cv=GroupKFold(4))
    assert scores.max() < 0.02
    assert nose.groups.nunique() == 4


def test_tables_of_one_epoch_of_counts_alone_and_of_chunks() -> None:
    ds = counts_of()
    one = ds.sel(phase="pre", epoch="rfm")
    d = design_matrix(one, behavior_of(ds), features="paw")
    assert list(d.X.index.names) == ["time"]
    assert d.n_left_out == 50
    pd.testing.assert_series_equal(d.y["paw"], d.X["u0"] + d.X["u1"], check_names=False)  # type: ignore[index]
    alone = design_matrix(one)
    assert alone.y is None
    pd.testing.assert_frame_equal(alone.X, d.X)
    lazy = design_matrix(ds.chunk(time=40), behavior_of(ds).chunk(time=30))
    for mine, other in zip(lazy, design_matrix(ds, behavior_of(ds)), strict=True):
        assert mine.equals(other) if hasattr(mine, "equals") else mine == other
    gone = ds.assign(counts=ds.counts.where(ds.unit != "u2"))
    assert design_matrix(gone).X.columns.tolist() == ["u0", "u1", "u3"]
    swapped = design_matrix(ds.isel(phase=[1, 0]), behavior_of(ds), features="paw")
    np.testing.assert_array_equal(swapped.y["paw"], swapped.X["u0"] + swapped.X["u1"])  # type: ignore[index]


def test_tables_refuse_what_does_not_fit() -> None:
    ds = counts_of()
    b = behavior_of(ds)
    two = ds.assign_coords(session=("unit", ["s", "s", "t", "t"]))
    with pytest.raises(SelectionError, match=r"units of one session, found 2 sessions. Select one"):
        design_matrix(two, b)
    with pytest.raises(SelectionError, match=r"bins of 0.1 s, the counts' own, found bins of 0.2"):
        design_matrix(ds, b.assign_coords(time=b.time * 2))
    with pytest.raises(SelectionError, match=r"bins of 0\.1 s from"):
        design_matrix(ds, b.assign_coords(time=b.time + 0.03))
    with pytest.raises(SelectionError, match="such as 's', found 'x'"):
        design_matrix(ds, behavior_of(ds, "x"))
    with pytest.raises(SelectionError, match="phase of the behavior, of pre, found 'post'"):
        design_matrix(ds, b.sel(phase=["pre"]))
    for wrong in ("ear", ["paw", "paw"], []):
        with pytest.raises(SelectionError, match="feature: expected different ones of paw"):
            design_matrix(ds, b, features=wrong)
    with pytest.raises(SelectionError, match="a bin in which all units and features"):
        design_matrix(ds, b, features=["paw", "wheel"])
    with pytest.raises(SelectionError, match="expected behavior"):
        design_matrix(ds, starts())
    with pytest.raises(ArgumentError, match="block: expected a number above 0"):
        design_matrix(ds, b, block=0)


def test_trials_of_a_selected_epoch_are_those_of_the_whole() -> None:
    ds, events = counts_of(), events_of([5.03, 1005.03, 1035.03])
    whole = trials(ds, events=events, window=(0, 1), epochs=starts())
    one = trials(ds.sel(epoch="rfm"), events=events, window=(0, 1), epochs=starts())
    assert one.attrs["n_left_out"] == 2
    np.testing.assert_array_equal(one.counts.isel(event=0), whole.counts.isel(event=2))


@pytest.mark.parametrize("name", ["phase", "epoch", "session"])
def test_epochs_of_another_selection_are_refused(name: str) -> None:
    ds, epochs = counts_of(), starts()
    if name == "session":
        epochs = epochs.assign_coords(session=["other"]).isel(session=0)
    else:
        ds, epochs = ds.isel({name: 0}), epochs.isel({name: 1})
    with pytest.raises(SelectionError, match="trials, epochs"):
        trials(ds, events=events_of([5.0]), window=(0, 1), epochs=epochs)


def test_starts_written_as_text_are_in_order_of_time() -> None:
    ds, start = counts_of(), [5.03, 20.03, 1005.03]
    told = trials(ds, events=events_of(start), window=(0, 1), epochs=starts())
    text = events_of(start).assign(start=("event", [str(t) for t in start]))
    found = trials(ds, events=text, window=(0, 1), epochs=starts())
    np.testing.assert_array_equal(found.counts, told.counts)
    with pytest.raises(SelectionError, match="times in s"):
        trials(ds, events=text.assign(start=("event", ["a", "b", "c"])), epochs=starts())


def test_a_session_that_is_no_label_on_unit_is_one() -> None:
    ds = counts_of().drop_vars("session").assign_coords(session="s01")
    assert design_matrix(ds).X.shape[1] == ds.sizes["unit"]


def test_a_wide_gaussian_is_the_mean() -> None:
    ds = counts_of().isel(epoch=[0])
    wide = smooth(ds, 1e9).counts
    np.testing.assert_allclose(
        wide, ds.counts.mean("time").expand_dims(time=300, axis=-1), rtol=1e-5
    )
