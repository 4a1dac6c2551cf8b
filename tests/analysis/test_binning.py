"""Counts from spikes: against the store, and against loops in integer ticks."""

from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lsdx
from lsdx.errors import ArgumentError, ConfigError, SelectionError


@pytest.fixture(scope="module")
def spikes(demo_stores: Path) -> xr.Dataset:
    return lsdx.open_spikes(demo_stores)


@pytest.fixture(scope="module")
def loaded(spikes: xr.Dataset) -> xr.Dataset:
    return spikes.isel(unit=slice(0, None, 9)).load()


def brute(ds: xr.Dataset, unit: int, start: float, stop: float, width: int) -> list[int]:
    """Count in a loop, in ticks."""
    first, size = int(ds.row_start[unit]), int(ds.row_size[unit])
    ticks = [round(t * 1e5) for t in ds.spike_time.values[first : first + size].tolist()]
    begin, end = round(start * 1e5), round(stop * 1e5)
    n = (end - begin + (width > 1)) // width
    counts = [0] * n
    for tick in ticks:
        if begin <= tick < begin + n * width:
            counts[(tick - begin) // width] += 1
    return counts


def test_equals_the_store(demo_stores: Path, spikes: xr.Dataset) -> None:
    store = lsdx.open_counts(demo_stores)
    binned = spikes.lsd.bin("100 ms")
    np.testing.assert_array_equal(binned.counts.values, store.counts.values)
    np.testing.assert_array_equal(binned.n_spikes.values, store.n_spikes.values)
    np.testing.assert_allclose(binned.duration.values, store.duration.values)
    np.testing.assert_allclose(binned.time.values, store.time.values)


def test_one_epoch_equals_its_slice(demo_stores: Path, spikes: xr.Dataset) -> None:
    store = lsdx.open_counts(demo_stores).sel(phase="post", epoch="replay")
    binned = spikes.lsd.bin("100 ms", phase="post", epoch="replay")
    n = binned.sizes["time"]
    np.testing.assert_array_equal(binned.counts.values, store.counts.values[:, :n])
    assert np.isnan(store.counts.values[:, n:]).all()


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    start=st.floats(0, 500),
    length=st.floats(0, 30),
    width=st.sampled_from([1, 7, 100, 1000, 12_345, 100_000]),
)
def test_any_interval_equals_a_loop(
    loaded: xr.Dataset, start: float, length: float, width: int
) -> None:
    length = min(length, width * 2000 / 1e5)
    binned = loaded.lsd.bin(width / 1e5, intervals=[[start, start + length]])
    for unit in range(0, loaded.sizes["unit"], 4):
        expected = brute(loaded, unit, start, start + length, width)
        found = binned.counts.values[unit, 0]
        assert found[~np.isnan(found)].tolist() == expected


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cuts=st.lists(st.integers(0, 400), min_size=2, max_size=6, unique=True),
    width=st.sampled_from([1, 10, 50]),
)
def test_windows_of_whole_bins_partition_the_spikes(
    loaded: xr.Dataset, cuts: list[int], width: int
) -> None:
    edges = np.sort(cuts) * 1.0 + 0.37
    parts = loaded.lsd.bin(width / 100, intervals=np.column_stack([edges[:-1], edges[1:]]))
    whole = loaded.lsd.bin(width / 100, intervals=[[edges[0], edges[-1]]])
    lost = parts.n_spikes.sum("interval", skipna=True) - whole.n_spikes.isel(interval=0)
    np.testing.assert_array_equal(np.nan_to_num(lost.values), 0)


def test_lazy_and_loaded_agree_for_any_chunks(spikes: xr.Dataset) -> None:
    some = spikes.isel(unit=slice(3, 60))
    expected = some.load().lsd.bin("50 ms", epoch="rfm")
    assert not isinstance(expected.counts.data, da.Array)
    for chunks in (1000, 77_777, -1):
        lazy = spikes.isel(unit=slice(3, 60)).chunk(spike=chunks).lsd.bin("50 ms", epoch="rfm")
        assert isinstance(lazy.counts.data, da.Array)
        np.testing.assert_array_equal(lazy.counts.values, expected.counts.values)


def test_any_order_of_units(spikes: xr.Dataset, demo_stores: Path) -> None:
    rows = np.random.default_rng(2).permutation(spikes.sizes["unit"])[:25]
    expected = spikes.lsd.bin("1 s").isel(unit=rows)
    for chosen in (
        spikes.isel(unit=rows),
        lsdx.open_spikes(demo_stores, units=spikes.unit.isel(unit=rows)),
        lsdx.open_spikes(demo_stores, units=spikes.unit.isel(unit=rows)).isel(unit=slice(None)),
    ):
        binned = chosen.lsd.bin("1 s")
        assert binned.unit.values.tolist() == expected.unit.values.tolist()
        np.testing.assert_array_equal(binned.counts.values, expected.counts.values)


def test_intervals_by_session(spikes: xr.Dataset, demo_stores: Path) -> None:
    epochs = lsdx.open_epochs(demo_stores).sel(phase="pre", epoch="rfm", drop=True)
    binned = spikes.lsd.bin("100 ms", intervals=epochs)
    expected = spikes.lsd.bin("100 ms", phase="pre", epoch="rfm")
    np.testing.assert_array_equal(binned.counts.values, expected.counts.values)


def test_duplicates_are_dropped_on_request(demo_stores: Path) -> None:
    insertions = lsdx.open_insertions(demo_stores)
    pid = insertions.insertion.values[insertions.has_duplicate_mask.values]
    assert pid.size == 1
    spikes = lsdx.open_spikes(
        demo_stores, units=lsdx.open_units(demo_stores).lsd.select(insertion=pid[0])
    ).load()
    assert spikes.duplicate.values.any()
    span = [[0.0, float(spikes.spike_time.max()) + 1]]
    kept = spikes.lsd.bin("1 s", intervals=span).n_spikes.sum()
    dropped = spikes.lsd.bin("1 s", intervals=span, duplicates="drop").n_spikes.sum()
    assert int(kept - dropped) == int(spikes.duplicate.sum())


def test_insertions_without_a_mask_keep_their_duplicates(spikes: xr.Dataset) -> None:
    kept = spikes.lsd.bin("1 s").n_spikes
    dropped = spikes.lsd.bin("1 s", duplicates="drop")
    masked = dropped.has_duplicate_mask.values
    assert 0 < masked.sum() < masked.size
    fewer = (kept - dropped.n_spikes).values
    assert np.nansum(fewer[masked]) > 0
    assert np.nansum(np.abs(fewer[~masked])) == 0


def test_mistakes_are_told(spikes: xr.Dataset, demo_stores: Path) -> None:
    with pytest.raises(SelectionError, match="open_spikes"):
        lsdx.open_units(demo_stores).lsd.bin("1 s")
    with pytest.raises(ConfigError, match="whole number"):
        spikes.lsd.bin("15 us")
    with pytest.raises(ConfigError, match="duration"):
        spikes.lsd.bin("fast")
    with pytest.raises(SelectionError, match="spontaneous"):
        spikes.lsd.bin("1 s", epoch="replya")
    with pytest.raises(ArgumentError, match="shape"):
        spikes.lsd.bin("1 s", intervals=[1.0, 2.0])
    with pytest.raises(SelectionError, match="start <= stop"):
        spikes.lsd.bin("1 s", intervals=[[5.0, 1.0]])
    with pytest.raises(SelectionError, match="along unit"):
        spikes.isel(spike=slice(0, 100)).lsd.bin("1 s")
    with pytest.raises(ArgumentError, match="'keep', 'drop'"):
        spikes.lsd.bin("1 s", duplicates="no")
    bare = spikes.isel(unit=np.flatnonzero(~spikes.has_duplicate_mask.values))
    with pytest.raises(SelectionError, match="mask of some insertion, found none"):
        bare.lsd.bin("1 s", duplicates="drop")


def test_labels_of_chosen_epochs_are_their_own(spikes: xr.Dataset) -> None:
    whole = spikes.lsd.bin("1 s").n_spikes
    turned = spikes.lsd.bin("1 s", phase=["post", "pre"], epoch=["replay", "rfm"]).n_spikes
    assert turned.phase.values.tolist() == ["post", "pre"]
    assert turned.epoch.values.tolist() == ["replay", "rfm"]
    for phase in ("pre", "post"):
        for epoch in ("replay", "rfm"):
            np.testing.assert_array_equal(
                turned.sel(phase=phase, epoch=epoch).values,
                whole.sel(phase=phase, epoch=epoch).values,
            )


def test_events_count_for_units_of_their_session_alone(
    spikes: xr.Dataset, demo_stores: Path
) -> None:
    events = lsdx.open_events(demo_stores)
    gabors = events.isel(event=np.flatnonzero((events.kind == "gabor").values)[::40])
    binned = spikes.lsd.bin("100 ms", intervals=gabors)
    own = gabors.session.values[None, :] == spikes.session.values[:, None]
    assert own.any(axis=1).any()
    observed = np.isfinite(binned.n_spikes.values)
    assert not observed[~own].any()
    assert observed[own].any()


def test_what_lies_past_the_recording_is_not_observed(spikes: xr.Dataset) -> None:
    last = spikes.last_spike.values
    cut = float(np.sort(np.unique(last))[0]) + 2
    binned = spikes.lsd.bin("1 s", intervals=[[cut - 5, cut], [cut + 20_000, cut + 20_005]])
    np.testing.assert_array_equal(
        np.isnan(binned.n_spikes.values[:, 0]), np.rint(cut * 1e5) > np.rint(last * 1e5) + 1e5
    )
    assert np.isnan(binned.n_spikes.values[:, 0]).any()
    assert np.isnan(binned.n_spikes.values[:, 1]).all()
    assert np.isnan(binned.duration.values[:, 1]).all()


@pytest.mark.parametrize(
    "change",
    [
        lambda ds: ds.isel(spike=slice(1000, None)),
        lambda ds: ds.thin(spike=2),
        lambda ds: ds.isel(spike=slice(None, None, -1)),
        lambda ds: ds.assign(spike_time=ds.spike_time - 1000),
        lambda ds: ds.assign(spike_time=ds.spike_time * 1000),
    ],
    ids=["cut", "thinned", "reversed", "shifted", "scaled"],
)
def test_spikes_that_were_changed_are_refused(loaded: xr.Dataset, change: object) -> None:
    with pytest.raises(SelectionError, match=r"(bin|spike_time): expected"):
        change(loaded).lsd.bin("1 s", intervals=[[0, 100]])  # type: ignore[operator]


def test_no_units_give_no_counts(spikes: xr.Dataset) -> None:
    binned = spikes.isel(unit=slice(0, 0)).lsd.bin("1 s")
    assert binned.sizes["unit"] == 0
    assert binned.counts.load().size == 0


def test_the_graph_of_shuffled_units_is_not_quadratic(demo_stores: Path) -> None:
    import time

    units = lsdx.open_units(demo_stores)
    rows = np.random.default_rng(0).permutation(units.sizes["unit"])
    shuffled = lsdx.open_spikes(demo_stores, units=units.isel(unit=rows))

    def seconds(n: int) -> float:
        start = time.perf_counter()
        shuffled.isel(unit=slice(0, n)).lsd.bin("1 s")
        return time.perf_counter() - start

    seconds(10)
    few, many = (min(seconds(n) for _ in range(3)) for n in (30, 120))
    assert many < 10 * few


def test_starts_and_stops_meet_by_label(loaded: xr.Dataset) -> None:
    start = xr.DataArray([[0.0, 100.0], [200.0, 300.0]], dims=("a", "b"))
    windows = xr.Dataset({"start": start, "stop": (start + 50).transpose("b", "a")})
    binned = loaded.lsd.bin("1 s", intervals=windows)
    assert (binned.duration.values == 50).all()


def test_one_unit_is_asked_for_as_a_list(loaded: xr.Dataset) -> None:
    with pytest.raises(SelectionError, match=r"isel\(unit=\[i\]\)"):
        loaded.isel(unit=0).lsd.bin("1 s")
