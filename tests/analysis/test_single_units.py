"""Labelled measures of single units equal the kernels on the spikes and counts of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

import lsdx
from lsdx.analysis.complexity import lempel_ziv
from lsdx.analysis.modulation import modulation
from lsdx.analysis.single_units import unit_metrics
from lsdx.errors import ArgumentError, SelectionError
from lsdx.kernels import complexity, variability
from lsdx.kernels import metrics as registry

METRICS = tuple(registry.METRICS)


@pytest.fixture(scope="module")
def units(demo_stores: Path) -> xr.Dataset:
    return lsdx.open_units(demo_stores)


@pytest.fixture(scope="module")
def spikes(demo_stores: Path) -> xr.Dataset:
    return lsdx.open_spikes(demo_stores)


def trains(spikes: xr.Dataset, u: int, phase: str, epoch: str) -> np.ndarray:
    """Ticks of one unit in one epoch, one comparison at a time."""
    first = int(spikes.row_start[u])
    times = spikes.spike_time.values[first : first + int(spikes.row_size[u])]
    ticks = np.rint(times * 1e5).astype(np.int64)
    where = {"phase": phase, "epoch": epoch}
    start, stop = (np.rint(float(spikes[n].sel(where)[u]) * 1e5) for n in ("start", "stop"))
    return ticks[(ticks >= start) & (ticks < stop)]


@pytest.mark.parametrize("name", ["cv", "cv2", "lv", "lvr"])
def test_interval_measures_are_those_of_each_train(spikes: xr.Dataset, name: str) -> None:
    out = getattr(spikes.lsd, name)().compute()
    assert out.dims == ("unit", "phase", "epoch")
    checked = 0
    for u in range(0, spikes.sizes["unit"], 7):
        for phase, epoch in (("pre", "rfm"), ("post", "replay")):
            found = float(out.sel(phase=phase, epoch=epoch)[u])
            if np.isnan(spikes.start.sel(phase=phase, epoch=epoch)[u]):
                assert np.isnan(found)
                continue
            mine = trains(spikes, u, phase, epoch)
            ticks = {"refractoriness": 500} if name == "lvr" else {}  # 5 ms
            np.testing.assert_allclose(found, getattr(variability, name)(mine, **ticks), rtol=1e-12)
            checked += 1
    assert checked > 20


def test_dropped_duplicates_are_not_in_the_intervals(spikes: xr.Dataset) -> None:
    masked = spikes.isel(unit=np.flatnonzero(spikes.has_duplicate_mask.values)).load()
    kept = masked.lsd.cv(epoch="rfm")
    dropped = masked.lsd.cv(epoch="rfm", duplicates="drop")
    assert (kept != dropped).any()
    u = int(np.argmax(masked.row_size.values))
    first = int(masked.row_start[u])
    one = slice(first, first + int(masked.row_size[u]))
    ticks = np.rint(masked.spike_time.values[one][~masked.duplicate.values[one]] * 1e5)
    window = masked.sel(phase="pre", epoch="rfm")
    start, stop = (np.rint(float(window[n][u]) * 1e5) for n in ("start", "stop"))
    expected = variability.cv(ticks[(ticks >= start) & (ticks < stop)])
    np.testing.assert_allclose(dropped.sel(phase="pre")[u], expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["fano_factor", "allan_factor"])
def test_measures_of_windows_are_those_of_each_row(units: xr.Dataset, name: str) -> None:
    out = getattr(units.lsd, name)(window=["100 ms", "1 s", 10]).compute()
    assert out.window.values.tolist() == [0.1, 1.0, 10.0]
    counts = units.counts.sel(phase="pre", epoch="spontaneous").values
    kernel = getattr(variability, name)
    for u in range(0, units.sizes["unit"], 9):
        row = counts[u][np.isfinite(counts[u])]
        for w, n in enumerate((1, 10, 100)):
            found = out.sel(phase="pre", epoch="spontaneous")[u, w]
            if row.sum() == 0:
                assert np.isnan(found)
                continue
            whole = row[: row.size // n * n].reshape(-1, n).sum(axis=1)
            np.testing.assert_allclose(found, kernel(whole), rtol=1e-9)


def test_rates_do_not_depend_on_the_bin_width(units: xr.Dataset, spikes: xr.Dataset) -> None:
    rate = units.lsd.rates()
    np.testing.assert_allclose(rate, units.n_spikes / units.duration)
    assert rate.attrs["units"] == "Hz"
    wide = spikes.lsd.bin("1 s").lsd.rates().compute()
    assert np.nanmax(np.abs(wide - rate)) < 0.2
    assert (np.isnan(wide) == np.isnan(rate)).all()


def poisson(rates: Any, modulation: float, n_bins: int, seed: int) -> xr.Dataset:
    """Counts of one phase whose rates swing alike, in bins of 100 ms."""
    rng = np.random.default_rng(seed)
    swing = 1 + modulation * np.sign(np.sin(2 * np.pi * np.arange(n_bins) / 200))
    counts = rng.poisson(np.asarray(rates)[:, None] * 0.1 * swing)
    return xr.Dataset(
        {"counts": (("unit", "time"), counts.astype(np.float32))},
        {"unit": [f"u{i}" for i in range(len(rates))]},
        {"bin_width": 0.1},
    )


def test_the_complexity_of_independent_bins_is_that_of_shuffled_ones() -> None:
    ds = poisson(np.geomspace(0.5, 20, 40), 0.0, 3000, 0)
    ratio = lempel_ziv(ds, surrogates=50, rng=0).lempel_ziv_ratio
    np.testing.assert_allclose(ratio, 1, atol=0.05)


def test_at_one_rate_equal_modulation_gives_one_ratio() -> None:
    ds = poisson([0.3] * 60 + [30.0] * 60, 0.8, 3000, 1)
    ratio = lempel_ziv(ds, rate=0.3, surrogates=50, rng=0).lempel_ziv_ratio.values
    assert abs(ratio[:60].mean() - ratio[60:].mean()) < 0.03
    as_is = lempel_ziv(ds, rate=1e9, surrogates=50, rng=0).lempel_ziv_ratio.values
    assert as_is[:60].mean() - as_is[60:].mean() > 0.1


def test_complexity_of_one_rate_is_that_of_the_bits(units: xr.Dataset) -> None:
    one = units.sel(phase="pre", epoch="rfm").isel(unit=slice(0, 20)).compute()
    out = lempel_ziv(one, surrogates=3, rng=0)
    for u in range(20):
        row = one.counts.values[u][np.isfinite(one.counts.values[u])]
        if row.size and row.sum():
            np.testing.assert_allclose(
                out.lempel_ziv[u], complexity.lempel_ziv(row > row.mean()), rtol=1e-12
            )
        else:
            assert np.isnan(out.lempel_ziv[u])


def test_metrics_do_not_depend_on_each_other_or_on_chunks(spikes: xr.Dataset) -> None:
    some = spikes.isel(unit=slice(0, 40))
    options: dict[str, Any] = {"epoch": ["rfm"], "window": ["100 ms", "1 s"], "surrogates": 3}
    whole = unit_metrics(some, metrics=METRICS, rng=4, **options).compute()
    for name in METRICS:
        alone = unit_metrics(some, metrics=[name], rng=4, **options).compute()
        xr.testing.assert_identical(alone[name], whole[name])
    loaded = unit_metrics(some.load(), metrics=METRICS, rng=4, **options)
    xr.testing.assert_allclose(loaded, whole)
    assert whole.fano_factor.dims == ("unit", "phase", "epoch", "window")
    assert whole.attrs["bin_width"] == 0.1
    assert {"lempel_ziv", "lempel_ziv_ratio"} <= set(whole)


@pytest.mark.parametrize("seed", range(3))
def test_no_value_depends_on_what_else_is_asked(spikes: xr.Dataset, seed: int) -> None:
    """Units, epochs and metrics in any order, some of them, in any chunks, loaded or lazy."""
    rng = np.random.default_rng(seed)
    some = spikes.isel(unit=np.sort(rng.permutation(spikes.sizes["unit"])[:24]))
    options: dict[str, Any] = {"window": ["100 ms", "1 s"], "surrogates": 2, "rng": 6}
    whole = unit_metrics(some, metrics=METRICS, **options).compute()
    units = rng.permutation(24)[:10]
    epochs, phases = rng.permutation(some.epoch.values), rng.permutation(some.phase.values)
    metrics = rng.permutation(METRICS).tolist()[:4]
    one = some.isel(unit=units)
    one = one.load() if seed else one.chunk(spike=997)
    # complexity is compared with what is selected: all epochs; the others take any
    fewer = {"epoch": epochs[:2].tolist(), "phase": phases[:1].tolist()}
    for chosen, which in (
        (["lempel_ziv", *metrics], {"epoch": epochs.tolist(), "phase": phases.tolist()}),
        ([m for m in METRICS if m != "lempel_ziv"], fewer),
    ):
        mine = unit_metrics(one, metrics=list(dict.fromkeys(chosen)), **which, **options).compute()
        for name in mine.data_vars:
            expected = whole[name].isel(unit=units).sel(which)
            np.testing.assert_array_equal(mine[name], expected, err_msg=str(name))


def test_nothing_is_computed_until_asked(demo_stores: Path) -> None:
    computed = []

    def scheduler(dsk: Any, keys: Any, **kwargs: Any) -> Any:
        computed.append(keys)
        return dask.get(dsk, keys, **kwargs)

    with dask.config.set(scheduler=scheduler):
        spikes, units = lsdx.open_spikes(demo_stores), lsdx.open_units(demo_stores)
        lazy = spikes.lsd.unit_metrics(metrics=METRICS, surrogates=2, rng=0)
        units.lsd.fano_factor()
        units.lsd.lempel_ziv(rng=0)
        assert not computed
        lazy.isel(unit=slice(3)).compute()
        assert len(computed) == 1


def test_where_no_epoch_was_observed_all_is_nan(spikes: xr.Dataset) -> None:
    blank = spikes.assign(start=spikes.start * np.nan).isel(unit=slice(0, 5))
    found = unit_metrics(blank, metrics=METRICS, surrogates=2, rng=0).compute()
    for name in found.data_vars:
        assert found[name].isnull().all()


def test_units_of_few_spikes_and_short_epochs_are_nan() -> None:
    ds = poisson([0.0, 5.0], 0.0, 150, 0)
    assert lempel_ziv(ds, rng=0).lempel_ziv.isnull().all()  # fewer than 200 bins
    fano = ds.lsd.fano_factor(window=["1 s", "10 s"])
    assert np.isnan(fano[0]).all()
    assert np.isnan(ds.lsd.fano_factor(window="20 s")[1, 0])  # one window


# ---- complexity: whose random numbers, and how many --------------------------------------------


def two_epochs(rates: Any, n_bins: int = 600, seed: int = 3) -> xr.Dataset:
    """Counts of two phases and two epochs of their own rates, in bins of 100 ms."""
    counts = np.random.default_rng(seed).poisson(
        0.1 * np.asarray(rates, dtype=float)[..., None], (12, 2, 2, n_bins)
    )
    return xr.Dataset(
        {"counts": (("unit", "phase", "epoch", "time"), counts.astype(np.float32))},
        {"unit": [f"u{i}" for i in range(12)], "phase": ["pre", "post"], "epoch": ["rest", "rfm"]},
        {"bin_width": 0.1},
    )


def test_complexity_does_not_depend_on_order() -> None:
    ds = two_epochs([[4, 7], [9, 12]])
    names = ["lempel_ziv", "lempel_ziv_ratio"]
    whole = lempel_ziv(ds, window=["100 ms", "200 ms"], surrogates=5, rng=1)
    other = lempel_ziv(
        ds.isel(unit=[7, 2], epoch=[1, 0], phase=[1, 0]).transpose(
            "epoch", "unit", "phase", "time"
        ),
        window=["200 ms"],
        surrogates=5,
        rng=1,
    )
    for name in names:
        mine = other[name].transpose("unit", "phase", "epoch", "window")
        np.testing.assert_array_equal(
            mine, whole[name].isel(unit=[7, 2], window=[1]).sel(mine.coords)
        )
    # with a rate the selection does not matter either, by list or by name
    at_rate = lempel_ziv(ds, rate=3.0, surrogates=5, rng=1)
    for chosen in ({"epoch": ["rfm"]}, {"epoch": "rfm"}, {"epoch": "rest", "phase": "post"}):
        some = lempel_ziv(ds.sel(chosen), rate=3.0, surrogates=5, rng=1)
        for name in names:
            np.testing.assert_array_equal(some[name], at_rate[name].sel(chosen))
    # without one it is compared with what is selected: its lowest rate is another
    some = lempel_ziv(ds.sel(epoch="rfm"), surrogates=5, rng=1)
    assert (some.lempel_ziv_ratio != whole.lempel_ziv_ratio.isel(window=0).sel(epoch="rfm")).any()


def test_windows_that_slide_are_keyed_by_where_they_are(spikes: xr.Dataset) -> None:
    some = spikes.isel(unit=slice(0, 5)).load().lsd.sliding(width="5 min", step="5 min")
    with pytest.raises(SelectionError, match="Rename it before"):
        some.lsd.fano_factor(window="1 s")
    some = some.rename(window="centre")
    options: dict[str, Any] = {"rate": 0.4, "window": "1 s", "surrogates": 3, "rng": 1}
    found = some.lsd.lempel_ziv(**options).lempel_ziv
    assert found.notnull().any()
    for chosen in ([4, 2], 3):
        other = some.isel(centre=chosen).lsd.lempel_ziv(**options).lempel_ziv
        np.testing.assert_array_equal(other, found.isel(centre=chosen))
    ratio = some.lsd.lempel_ziv(surrogates=3, window="1 s", rng=1).lempel_ziv_ratio
    back = some.isel(centre=slice(None, None, -1)).lsd.lempel_ziv(surrogates=3, window="1 s", rng=1)
    np.testing.assert_array_equal(back.lempel_ziv_ratio, ratio.isel(centre=slice(None, None, -1)))


def test_complexity_is_that_of_modulation(spikes: xr.Dataset) -> None:
    some = spikes.isel(unit=slice(0, 12)).load()
    options: dict[str, Any] = {"window": "100 ms", "surrogates": 5, "rng": 2}
    m = modulation(some, metric="lempel_ziv", epoch="rfm", **options)["value"].sel(
        metric="lempel_ziv"
    )
    mine = unit_metrics(some, metrics=["lempel_ziv"], epoch="rfm", **options).lempel_ziv_ratio
    assert mine.notnull().any()
    np.testing.assert_allclose(m, mine.isel(window=0).transpose("unit", "phase"), rtol=1e-12)


def test_seeds_move_complexity_little() -> None:
    """Twenty thinnings: their sd over seeds is what is said, and about .01 at 300 windows."""
    ds = two_epochs([[4, 6], [8, 12]], n_bins=3000).isel(unit=slice(5))
    found = [lempel_ziv(ds, window=["100 ms", "1 s"], surrogates=50, rng=seed) for seed in range(8)]
    ratio = np.stack([f.lempel_ziv_ratio.values for f in found])
    spread = np.sqrt((ratio.std(axis=0, ddof=1) ** 2).mean(axis=(0, 1, 2)))
    assert (spread < 0.01).all()
    told = np.sqrt((found[0].lempel_ziv_ratio_sd ** 2).mean(["unit", "phase", "epoch"]))
    np.testing.assert_allclose(spread, told, rtol=0.4)
    # nothing to thin to
    assert (lempel_ziv(ds.sel(phase="pre", epoch="rest"), rng=0).lempel_ziv_ratio_sd == 0).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda s, u: s.lsd.unit_metrics(metrics=["fano"]),
            "different ones of mean_rate, cv, cv2, lv, lvr, fano",
        ),
        (lambda s, u: s.lsd.unit_metrics(metrics=[]), "different ones of mean_rate"),
        (lambda s, u: u.lsd.cv(), r"lsdx\.open_spikes"),
        (lambda s, u: s.lsd.fano_factor(), "counts over unit and time"),
        (lambda s, u: u.lsd.fano_factor(window="150 ms"), "whole numbers of bins of 0.1 s"),
        (lambda s, u: u.lsd.lempel_ziv(surrogates=0), "surrogates"),
        (lambda s, u: s.lsd.rates(), "n_spikes and duration"),
        (lambda s, u: s.lsd.lv(epoch="rest"), "one of spontaneous, rfm, replay"),
    ],
)
def test_what_makes_no_sense_is_refused(
    spikes: xr.Dataset, units: xr.Dataset, call: Any, words: str
) -> None:
    with pytest.raises(ArgumentError, match=words):
        call(spikes, units)


@pytest.mark.parametrize("wanted", [[], ["rfm", "rfm"]])
def test_empty_and_repeated_epochs_are_refused(demo_stores: Path, wanted: list[str]) -> None:
    spikes = lsdx.open_spikes(demo_stores)
    with pytest.raises(ArgumentError, match="cv, epoch: expected one label, or several"):
        spikes.lsd.cv(epoch=wanted)
    with pytest.raises(ArgumentError, match="bin, epoch: expected one label, or several"):
        spikes.lsd.bin("1 s", epoch=wanted)
    with pytest.raises(SelectionError, match="cv, epoch: expected one of spontaneous, rfm, replay"):
        spikes.lsd.cv(epoch="rmf")
