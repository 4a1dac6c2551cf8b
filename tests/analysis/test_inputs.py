"""Counts, bin width, sums and labels as they come back from plain xarray: right, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import lsdx
from lsdx.errors import SelectionError

MEASURES: dict[str, Callable[[xr.Dataset], Any]] = {
    "rates": lambda ds: ds.lsd.rates(),
    "fano_factor": lambda ds: ds.lsd.fano_factor(window="10 s"),
    "allan_factor": lambda ds: ds.lsd.allan_factor(window="10 s"),
    "lempel_ziv": lambda ds: ds.lsd.lempel_ziv(window="1 s", surrogates=2, rng=0),
    "autocorrelation_timescale": lambda ds: ds.lsd.autocorrelation_timescale(max_lag="10 s"),
    "dimensionality": lambda ds: ds.lsd.dimensionality(min_units=5, draws=2, rng=0),
    "components": lambda ds: ds.lsd.components(n_components=2),
    "subspaces": lambda ds: ds.lsd.subspaces(n_components=2, min_units=5, rng=0),
}


@pytest.fixture(scope="module")
def units(demo_stores: Path) -> xr.Dataset:
    """Two sessions' units."""
    u = lsdx.open_units(demo_stores)
    sessions = list(dict.fromkeys(u.session.values))[:2]
    return u.isel(unit=np.flatnonzero(np.isin(u.session.values, sessions)))


@pytest.fixture(scope="module", params=["numpy", "dask"])
def ds(units: xr.Dataset, request: pytest.FixtureRequest) -> xr.Dataset:
    return units.compute() if request.param == "numpy" else units


def simple(
    counts: np.ndarray, width: float = 0.1, duration: float | None = None, lazy: bool = False
) -> xr.Dataset:
    """Counts (unit, time) with all that belongs to them."""
    n_units, n = counts.shape
    out = xr.Dataset(
        {
            "counts": (("unit", "time"), counts.astype(np.float32)),
            "n_spikes": ("unit", np.nansum(counts, axis=1)),
            "duration": ("unit", np.full(n_units, n * width if duration is None else duration)),
        },
        {
            "unit": [f"u{i}" for i in range(n_units)],
            "session": ("unit", ["s"] * n_units),
            "time": (np.arange(n) + 0.5) * width,
        },
        {"bin_width": width},
    )
    return out.chunk(unit=2) if lazy else out


@pytest.mark.parametrize("name", MEASURES)
def test_bins_that_were_added_up_are_those_of_the_spikes(
    ds: xr.Dataset, demo_stores: Path, name: str
) -> None:
    added = ds.coarsen(time=10, boundary="trim").sum()
    assert added.attrs["bin_width"] == 0.1
    direct = lsdx.open_spikes(demo_stores).sel(unit=ds.unit.values).lsd.bin("1 s")
    found, expected = (MEASURES[name](d).compute() for d in (added, direct))
    if isinstance(found, xr.Dataset):
        names = [n for n, v in found.data_vars.items() if v.dtype.kind == "f"]
        found, expected = found[names], expected[names]
    xr.testing.assert_allclose(found.drop_attrs(), expected.drop_attrs(), rtol=1e-5)
    if isinstance(found, xr.Dataset) and "bin_width" in expected.attrs:
        assert found.attrs["bin_width"] == 1.0


def test_the_fano_factor_of_added_bins_is_that_of_each_row(ds: xr.Dataset) -> None:
    found = ds.coarsen(time=10, boundary="trim").sum().lsd.fano_factor(window=["10 s"]).compute()
    counts = ds.counts.values
    for at in np.ndindex(counts.shape[:-1]):
        row = counts[at][np.isfinite(counts[at])]
        whole = row[: row.size // 100 * 100].reshape(-1, 100).sum(axis=1)
        expected = whole.var(ddof=1) / whole.mean() if whole.sum() else np.nan
        np.testing.assert_allclose(found.values[at][0], expected, rtol=1e-5)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("step", [slice(None, None, 2), slice(2, None, 5)])
def test_bins_that_were_stepped_over_are_refused(ds: xr.Dataset, name: str, step: slice) -> None:
    with pytest.raises(SelectionError, match="Do not step over bins"):
        MEASURES[name](ds.isel(time=step)).compute()


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("n", range(299, 305))
@pytest.mark.parametrize("first", range(3))
def test_steps_are_told_from_sums_whatever_the_length(lazy: bool, n: int, first: int) -> None:
    counts = np.random.default_rng(n).poisson(0.5, (4, n))
    whole = simple(counts, lazy=lazy)
    with pytest.raises(SelectionError, match="Do not step over bins"):
        whole.isel(time=slice(first, None, 3)).lsd.rates().compute()
    added = whole.coarsen(time=3, boundary="trim").sum().lsd.rates().compute()
    kept = counts[:, : n // 3 * 3]
    np.testing.assert_allclose(added, kept.sum(axis=1) / (kept.shape[1] * 0.1), rtol=1e-9)


def test_averaged_bins_are_refused(ds: xr.Dataset) -> None:
    with pytest.raises(SelectionError, match="averaged"):
        ds.coarsen(time=10, boundary="trim").mean().lsd.fano_factor(window="10 s").compute()
    with pytest.raises(SelectionError, match="those that n_spikes is the sum of"):
        ds.assign(counts=ds.counts * 2).lsd.fano_factor(window="10 s").compute()


@pytest.mark.parametrize("stretch", [slice(0, 1000), slice(500, 1500), slice(2500, None)])
def test_rates_of_a_stretch_are_those_of_its_bins(ds: xr.Dataset, stretch: slice) -> None:
    found = ds.isel(time=stretch).lsd.rates().compute()
    counts = ds.counts.values[..., stretch]
    for at in np.ndindex(counts.shape[:-1]):
        row = counts[at][np.isfinite(counts[at])]
        expected = float(row.sum()) / (row.size * 0.1) if row.size else np.nan
        np.testing.assert_allclose(found.values[at], expected, rtol=1e-9)


def test_a_stretch_is_measured_as_if_nothing_else_had_been_recorded(ds: xr.Dataset) -> None:
    part = ds.isel(time=slice(0, 1000))
    alone = part.drop_vars(["n_spikes", "duration"])
    for name in ("dimensionality", "fano_factor"):
        xr.testing.assert_identical(*(MEASURES[name](d).compute() for d in (part, alone)))


def test_rates_of_whole_epochs_touch_no_counts(units: xr.Dataset) -> None:
    assert units.lsd.rates().chunks is None


def test_without_sums_another_width_is_refused_until_it_is_said(ds: xr.Dataset) -> None:
    added = ds.coarsen(time=10, boundary="trim").sum()
    for lacking in (["n_spikes"], ["duration"]):
        with pytest.raises(SelectionError, match=r"ds.assign_attrs\(bin_width=1\)"):
            added.drop_vars(lacking).lsd.fano_factor(window="10 s")
    said = added.drop_vars("n_spikes").assign_attrs(bin_width=1.0).lsd.fano_factor(window="10 s")
    xr.testing.assert_allclose(
        said.compute(), added.lsd.fano_factor(window="10 s").compute(), rtol=1e-6
    )


def test_epochs_that_end_early_stay_nan_when_bins_are_added_up() -> None:
    counts = np.random.default_rng(0).poisson(2.0, (2, 400)).astype(float)
    counts[1, 305:] = np.nan
    added = simple(counts).assign(duration=("unit", [40.0, 30.5])).coarsen(time=10).sum()
    assert (added.counts[1, 31:] == 0).all()  # what xarray makes of NaN
    found = added.lsd.fano_factor(window="1 s").values[:, 0]
    for row, value in ((counts[0], found[0]), (counts[1, :300], found[1])):
        whole = row.reshape(-1, 10).sum(axis=1)
        np.testing.assert_allclose(value, whole.var(ddof=1) / whole.mean(), rtol=1e-6)


def test_time_must_be_even_and_one_bin_must_be_the_first() -> None:
    whole = simple(np.random.default_rng(1).poisson(2.0, (2, 400)))
    for uneven in (whole.isel(time=[0, 1, 3]), whole.isel(time=slice(None, None, -1))):
        with pytest.raises(SelectionError, match="evenly spaced"):
            uneven.lsd.rates()
    with pytest.raises(SelectionError, match="one at 20 s"):
        whole.coarsen(time=400).sum().lsd.rates()
    first = whole.isel(time=[0])
    np.testing.assert_allclose(first.lsd.rates(), whole.counts[:, 0] / 0.1)
    np.testing.assert_allclose(whole.drop_attrs().lsd.fano_factor(window="1 s").window, 1)
    np.testing.assert_array_equal(  # widths are even to a tick of 10 us
        whole.assign_coords(time=whole.time + 4e-6 * (np.arange(400) % 2)).lsd.rates(),
        whole.lsd.rates(),
    )


def test_counts_in_chunks_of_time_are_measured_alike(units: xr.Dataset) -> None:
    cut = units.chunk(time=1000).lsd.fano_factor(window="10 s")
    xr.testing.assert_identical(cut.compute(), units.lsd.fano_factor(window="10 s").compute())


def read_back(ds: xr.Dataset, folder: Path) -> xr.Dataset:
    ds.compute().to_zarr(folder / "kept.zarr", zarr_format=3, consolidated=False)
    return xr.open_zarr(folder / "kept.zarr", consolidated=False)


def assert_same(found: Any, expected: Any) -> None:
    """Compare numbers, and labels as text."""
    found, expected = (d.compute().drop_encoding() for d in (found, expected))
    assert set(found.coords) == set(expected.coords)
    for n, v in expected.coords.items():
        assert found[n].values.tolist() == pytest.approx(v.values.tolist(), nan_ok=True) or (
            list(map(str, found[n].values.ravel())) == list(map(str, v.values.ravel()))
        )
    pairs = (
        [(found[n], expected[n]) for n in expected]
        if hasattr(found, "data_vars")
        else [(found, expected)]
    )
    for mine, theirs in pairs:
        assert mine.dims == theirs.dims
        np.testing.assert_array_equal(mine.values, theirs.values)


@pytest.mark.parametrize("name", MEASURES)
def test_what_was_written_and_read_back_is_measured_alike(
    units: xr.Dataset, tmp_path: Path, name: str
) -> None:
    assert_same(MEASURES[name](read_back(units, tmp_path)), MEASURES[name](units))


SPIKE_MEASURES: dict[str, Callable[[xr.Dataset], Any]] = {
    "bin": lambda s: s.lsd.bin("1 s"),
    "sliding": lambda s: s.lsd.sliding(width="5 min", step="5 min"),
    "cv2": lambda s: s.lsd.cv2(),
    "unit_metrics": lambda s: s.lsd.unit_metrics(surrogates=2, rng=0),
    "modulation": lambda s: s.lsd.modulation(epoch="rfm", rng=0),
    "changepoint": lambda s: s.lsd.changepoint(),
}


@pytest.fixture(scope="module")
def spikes(demo_stores: Path, units: xr.Dataset) -> xr.Dataset:
    return lsdx.open_spikes(demo_stores).sel(unit=units.unit.values[::5])


def as_strings(ds: xr.Dataset) -> xr.Dataset:
    """Labels as zarr gives them back: of numpy's StringDType."""
    made = {
        n: (c.dims, c.values.astype(np.dtypes.StringDType()))
        for n, c in ds.coords.items()
        if c.dtype == object
    }
    return ds.assign_coords(made)


@pytest.mark.parametrize("name", SPIKE_MEASURES)
def test_measures_of_spikes_take_text_of_any_dtype(spikes: xr.Dataset, name: str) -> None:
    assert_same(SPIKE_MEASURES[name](as_strings(spikes)), SPIKE_MEASURES[name](spikes))


def test_events_and_results_that_were_read_back_are_measured_alike(
    spikes: xr.Dataset, demo_stores: Path, tmp_path: Path
) -> None:
    events = lsdx.open_events(demo_stores)
    events = events.isel(event=np.flatnonzero(events.kind.values == "gabor"))
    options: Any = {"n_shifts": 9, "rng": 0, "pool": "100 um", "by": ["side", "phase"]}
    found = as_strings(spikes).lsd.psth(events=read_back(events, tmp_path), **options)
    assert_same(found, spikes.lsd.psth(events=events, **options))
    m = spikes.lsd.modulation(epoch=["rfm"], null=True, rng=0)
    (tmp_path / "m").mkdir()
    back = read_back(m, tmp_path / "m")
    options = {"by": "condition", "correction": "max_statistic", "draws": 20, "rng": 0}
    assert_same(back.lsd.proportions(**options), m.lsd.proportions(**options))


def test_labels_that_are_missing_are_unknown(units: xr.Dataset) -> None:
    region = units.region.values.copy()
    region[:30] = np.nan
    blank = np.where([isinstance(r, str) for r in region], region, "")
    by: Any = {"by": ["session", "region"], "min_units": 2, "match_units": None, "draws": 1}
    found, expected = (
        units.assign_coords(region=("unit", r)).lsd.dimensionality(**by, rng=0).compute()
        for r in (region, blank.astype(object))
    )
    xr.testing.assert_identical(found, expected)
    assert "" in found.region.values
    lost = units.assign_coords(session=("unit", region))
    with pytest.raises(SelectionError, match="session of every unit"):
        lost.lsd.dimensionality()


def test_a_multiindex_of_units_is_refused_with_the_way_back(
    units: xr.Dataset, spikes: xr.Dataset
) -> None:
    for measure, ds in ((MEASURES["dimensionality"], units), (SPIKE_MEASURES["bin"], spikes)):
        with pytest.raises(SelectionError, match=r"ds.reset_index\('unit'\)"):
            measure(ds.set_index(unit=["session", "insertion"]))


def test_widths_need_not_be_whole_ticks() -> None:
    counts = np.random.default_rng(2).poisson(1.0, (3, 900))
    rates = simple(counts, width=1 / 30).isel(time=slice(0, 600)).lsd.rates()
    np.testing.assert_allclose(rates, counts[:, :600].sum(axis=1) / 20, rtol=1e-3)
