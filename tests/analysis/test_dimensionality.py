"""The labelled measure of dimensionality: matching, reasons, laziness, the simulated truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.signal import lfilter
from sklearn.decomposition import PCA
from sklearn.preprocessing import PowerTransformer, StandardScaler

import lsdx
from lsdx.analysis.dimensionality import MEASURES, dimensionality
from lsdx.analysis.prediction import predict
from lsdx.errors import ArgumentError, SelectionError
from lsdx.kernels import correlations, spectra
from lsdx.kernels import dimensionality as kernel

FAST: dict[str, Any] = {"match_units": None, "match_rates": False, "detrend": None, "rng": 0}


def population(
    n_units: int, rates: Any, *, seed: int, n_bins: int = 1500, n_latent: int = 6
) -> Any:
    """Poisson counts (n_units, n_phases, n_bins) of log-linear latents, a rate a phase."""
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(n_units, n_latent)) / np.sqrt(n_latent) * 0.5
    base = rng.lognormal(0, 0.3, n_units)
    out = [
        rng.poisson(r * base[:, None] * np.exp(loadings @ rng.normal(size=(n_latent, n_bins))))
        for r in rates
    ]
    return np.stack(out, axis=1).astype(np.float32)


def dataset(groups: dict[str, Any], **labels: Any) -> xr.Dataset:
    """Counts of sessions by name, with labels as `open_units` has them."""
    counts = np.concatenate(list(groups.values()))
    session = np.repeat(list(groups), [len(g) for g in groups.values()]).astype(object)
    unit = np.array([f"{s}-{i}" for i, s in enumerate(session)], dtype=object)
    coords = {"unit": unit, "session": ("unit", session), "phase": ["pre", "post"]}
    coords |= {name: ("unit", value) for name, value in labels.items()}
    return xr.Dataset(
        {
            "counts": (("unit", "phase", "time"), counts),
            "n_spikes": (("unit", "phase"), counts.sum(axis=-1, dtype=float)),
        },
        coords,
        {"bin_width": 0.1},
    )


@pytest.fixture(scope="module")
def two() -> xr.Dataset:
    """Two sessions of one kind of population, of 40 and 100 units, at one rate and its half."""
    return dataset(
        {
            "small": population(40, (1.0, 1.0), seed=0),
            "large": population(100, (1.0, 0.5), seed=1),
        }
    )


def test_the_single_pass_is_the_kernel_of_each_matrix(two: xr.Dataset) -> None:
    out = dimensionality(two, **FAST)
    for session in ("small", "large"):
        x = two.counts.values[two.session.values == session, 1].T
        spectrum = spectra.explained_variance(x)
        z = StandardScaler().fit_transform(x.astype(float))
        theirs = PCA().fit(z).explained_variance_ratio_
        np.testing.assert_allclose(spectrum, theirs, atol=1e-12)
        one = out.sel(session=session, phase="post")
        assert one.ngsc == kernel.ngsc(spectrum)
        assert one.pc1 == kernel.pc1(spectrum)
        assert one.n_components == kernel.n_components(spectrum)
        assert one.participation_ratio == kernel.participation_ratio(spectrum)
        assert one.power_law_slope == kernel.power_law_slope(spectrum)
        # by the units' own courses where the kernel knows that bins are independent
        unbiased = correlations.participation_ratio_unbiased(x)
        np.testing.assert_allclose(one.participation_ratio_unbiased, unbiased, rtol=0.05)
    assert not [n for n in out if "draw" in str(n) or "matched" in str(n)]
    assert out.n_units.values.tolist() == [40, 100]


def test_matching_takes_out_numbers_of_units_and_rates(two: xr.Dataset) -> None:
    out = dimensionality(two, match_units="min", rng=0)
    assert out.n_units_matched.values.tolist() == [40, 40]
    large = out.sel(session="large")
    # what changed is the rate alone
    before, after = large.participation_ratio_unmatched.values
    assert after / before > 1.1
    before, after = large.participation_ratio.values
    assert abs(after / before - 1) < 0.05
    # and between the sessions the number of units alone
    pre = out.sel(phase="pre")
    assert pre.participation_ratio_unmatched[1] / pre.participation_ratio_unmatched[0] > 1.5
    at_one_rate = dimensionality(two, match_units="min", match_rates=False, rng=0).sel(phase="pre")
    ratio = at_one_rate.participation_ratio[1] / at_one_rate.participation_ratio[0]
    assert abs(float(ratio) - 1) < 0.1
    assert (out.ngsc_draw_sd.sel(session="large") > 0).all()
    assert "40 of 100 units in each draw" in large.note.item(0)
    one = dimensionality(two, match_units="min", draws=1, rng=0)
    assert one.ngsc_draw_sd.isnull().all()  # one draw of many has no spread


def test_without_thinning_draws_are_submatrices_of_one_covariance(two: xr.Dataset) -> None:
    options: dict[str, Any] = {"match_units": "min", "match_rates": False, "include": "draws"}
    out = dimensionality(two, draws=3, rng=5, **options)
    # the small session has no choice: every draw is all its units
    small = out.sel(session="small")
    np.testing.assert_allclose(small.ngsc_draws.std("draw"), 0, atol=1e-15)
    np.testing.assert_allclose(small.ngsc, small.ngsc_unmatched, rtol=1e-12)
    assert (small.ngsc_draw_sd == 0).all()
    large = out.sel(session="large")
    np.testing.assert_allclose(large.ngsc, large.ngsc_draws.mean("draw"))
    np.testing.assert_allclose(large.ngsc_draw_sd, large.ngsc_draws.std("draw", ddof=1))


def test_one_seed_gives_one_result_whatever_the_order_chunks_and_neighbours(
    two: xr.Dataset,
) -> None:
    options: dict[str, Any] = {"match_units": "min", "draws": 3, "rng": 3}
    expected = dimensionality(two, **options)
    unseeded = dimensionality(two, draws=3)
    again = dimensionality(two, draws=3, rng=int(unseeded.attrs["seed"]))
    xr.testing.assert_identical(again, unseeded)
    shuffled = two.isel(unit=np.random.default_rng(0).permutation(140))
    for other in (
        two.chunk(unit=33, phase=1, time=400),
        two.chunk(),
        shuffled,
        shuffled.chunk(unit=7),
        two.sel(phase=["post", "pre"]).transpose("time", "phase", "unit"),
    ):
        found = dimensionality(other, **options).compute()
        found = found.sel(session=expected.session, phase=expected.phase)
        for name in MEASURES:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-10, err_msg=name)
    alone = two.isel(unit=two.session.values == "large")
    mine = dimensionality(alone, match_units=40, draws=3, rng=3)
    np.testing.assert_allclose(mine.ngsc[0], expected.ngsc.sel(session="large"), rtol=1e-12)


def test_scale_and_order_of_units_do_not_matter(two: xr.Dataset) -> None:
    factor = xr.DataArray(np.random.default_rng(0).uniform(1, 5, 140), dims="unit")
    scaled = two.assign(counts=two.counts * factor, n_spikes=two.n_spikes * factor)
    expected, found = dimensionality(two, **FAST), dimensionality(scaled, **FAST)
    for name in MEASURES:
        # chance is of single precision, and weak correlations are near it
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-7)


class Computes:
    """A scheduler that counts how often it is called."""

    def __init__(self) -> None:
        self.n = 0

    def __call__(self, dsk: Any, keys: Any, **kwargs: Any) -> Any:
        self.n += 1
        return dask.get(dsk, keys, **kwargs)


@pytest.mark.parametrize(
    "call",
    [
        lambda ds: ds.lsd.dimensionality(min_units=5, draws=2, rng=0),
        lambda ds: ds.lsd.dimensionality(by=["session", "region"], min_units=5, rng=0),
        lambda ds: ds.lsd.components(n_components=2),
        lambda ds: ds.lsd.subspaces(n_components=2),
    ],
)
def test_nothing_is_computed_until_asked(
    demo_stores: Path, call: Callable[[xr.Dataset], xr.Dataset]
) -> None:
    scheduler = Computes()
    with dask.config.set(scheduler=scheduler):
        units = lsdx.open_units(demo_stores)
        lazy = call(units)
        spikes = lsdx.open_spikes(demo_stores)
        also = spikes.lsd.sliding(width="5 min", step="5 min").lsd.dimensionality(draws=1, rng=0)
        assert scheduler.n == 0
        lazy.compute()
        assert scheduler.n == 1
    assert also.ngsc.chunks is not None


def test_lazy_counts_and_counts_in_memory_agree(demo_stores: Path) -> None:
    units = lsdx.open_units(demo_stores)
    options: dict[str, Any] = {"min_units": 10, "draws": 2, "rng": 0}
    xr.testing.assert_allclose(
        dimensionality(units, **options).compute(), dimensionality(units.compute(), **options)
    )
    windows = lsdx.open_spikes(demo_stores).lsd.sliding(width="5 min", step="5 min")
    xr.testing.assert_allclose(
        dimensionality(windows, **options).compute(), dimensionality(windows.compute(), **options)
    )


def test_a_distributed_client_gives_the_same(demo_stores: Path) -> None:
    from distributed import Client, LocalCluster

    units = lsdx.open_units(demo_stores)
    behavior, one = lsdx.open_behavior(demo_stores), {"epoch": ["rfm"]}
    predicted = predict(units.sel(one), behavior, feature="wheel/speed", n_shifts=3, rng=0)
    lazy = dimensionality(units, min_units=10, draws=2, rng=0).assign(r2=predicted.r2)
    expected = lazy.compute(scheduler="sync")
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster),
    ):
        found = lazy.compute()
    xr.testing.assert_identical(found, expected)


# ---- what cannot be measured ----------------------------------------------------------------


def changed(ds: xr.Dataset, where: dict[str, Any], value: float) -> xr.Dataset:
    counts = ds.counts.copy(deep=True)
    counts.loc[where] = value
    n_spikes = counts.sum("time", min_count=1)
    return ds.assign(counts=counts, n_spikes=n_spikes)


def test_a_missing_epoch_is_nan_with_its_reason(two: xr.Dataset) -> None:
    mine = two.unit.values[two.session.values == "small"]
    out = dimensionality(changed(two, {"unit": mine, "phase": "post"}, np.nan), draws=2, rng=0)
    gone = out.sel(session="small", phase="post")
    assert all(np.isnan(gone[n]) for n in MEASURES)
    assert gone.note.item().startswith("not observed")
    assert np.isfinite(out.ngsc.sel(session="small", phase="pre"))


def test_what_some_units_were_not_observed_in_is_nan_not_a_smaller_population(
    two: xr.Dataset,
) -> None:
    mine = two.unit.values[:10]
    out = dimensionality(changed(two, {"unit": mine, "phase": "post"}, np.nan), draws=2, rng=0)
    note = out.note.sel(session="small", phase="post").item()
    assert note.startswith("observed for 30 of 40 units")
    assert out.n_units.sel(session="small") == 40


def test_silent_units_leave_all_that_is_compared(two: xr.Dataset) -> None:
    mine = two.unit.values[:5]
    options: dict[str, Any] = {"match_units": "min", "draws": 2, "rng": 0}
    out = dimensionality(changed(two, {"unit": mine, "phase": "post"}, 0.0), **options)
    assert out.n_units.values.tolist() == [35, 100]
    assert out.n_units_matched.values.tolist() == [35, 35]
    whole = dimensionality(two.isel(unit=slice(5, None)), **options)
    np.testing.assert_allclose(out.ngsc, whole.ngsc)
    silent = changed(two, {"unit": two.unit.values[:40]}, 0.0)
    note = dimensionality(silent, draws=2, rng=0).note.sel(session="small").values
    assert all(n.startswith("no unit fires enough in all that is compared") for n in note)


def test_small_groups_are_nan_with_their_number(two: xr.Dataset) -> None:
    out = dimensionality(two, min_units=50, draws=2, rng=0)
    assert "40 units, fewer than min_units=50" in out.note.sel(session="small").item(0)
    assert out.ngsc.sel(session="small").isnull().all()
    assert out.n_units_matched.sel(session="large") == 100
    out = dimensionality(two, match_units=60, draws=2, rng=0)
    assert "40 units, fewer than match_units=60: unmatched alone" in out.note.item(0)
    assert out.ngsc.sel(session="small").isnull().all()
    assert out.ngsc_unmatched.sel(session="small").notnull().all()
    out = dimensionality(two, min_units=500, draws=2, rng=0)
    assert out.ngsc.isnull().all()
    assert (out.note != "").all()


def test_bins_that_are_missing_amid_others_are_told(two: xr.Dataset) -> None:
    counts = two.counts.copy(deep=True)
    counts[0, 0, 700] = np.nan
    out = dimensionality(two.assign(counts=counts).drop_vars("n_spikes"), draws=2, rng=0)
    assert "NaN bins among those observed" in out.note.sel(session="small", phase="pre").item()
    assert np.isnan(out.ngsc.sel(session="small", phase="pre"))


def test_what_is_compared_is_cut_to_the_same_number_of_bins(two: xr.Dataset) -> None:
    counts = two.counts.copy(deep=True)
    counts[:40, 1, 900:] = np.nan
    bare = two.drop_vars("n_spikes")
    out = dimensionality(bare.assign(counts=counts), **FAST)
    assert out.n_bins.values.tolist() == [[900, 900], [1500, 1500]]
    cut = "cut from 1500 to 900 bins, as the shortest has"
    assert [cut in n for n in out.note.values[0]] == [True, False]
    expected = kernel.ngsc(spectra.explained_variance(two.counts.values[:40, 0, :900].T))
    assert out.ngsc[0, 0] == expected
    counts[:40, 1, 1:] = np.nan
    out = dimensionality(bare.assign(counts=counts), min_spikes=0.5, **FAST)
    assert "fewer than 2 bins" in out.note[0, 1].item()


def test_slow_fluctuations_make_no_correlation() -> None:
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(60, 2, 1500 + 4000))
    slow = lfilter([1], [1, -np.exp(-1 / 50)], steps)[..., 4000:]  # 5 s; each unit its own
    slow /= slow.std()
    ds = dataset({"a": rng.poisson(3 * np.exp(0.8 * slow)).astype(np.float32)})
    out = dimensionality(ds, draws=2, rng=0)
    naive = correlations.mean_squared_correlation(ds.counts.values[:, 0].T)[0]
    assert naive > 0.01  # units that know nothing of each other
    assert (np.abs(out.mean_squared_correlation_unmatched) < 0.15 * naive).all()
    assert (np.abs(out.mean_squared_correlation) < 0.15 * naive).all()


def test_few_bins_have_no_correlation(two: xr.Dataset) -> None:
    """Of 5 bins less mean and 3 cosines one degree of freedom is left: every r is 1 or -1."""
    for n_bins, given in ((5, False), (23, False), (24, True)):
        out = dimensionality(two.drop_vars("n_spikes").isel(time=slice(n_bins)), min_spikes=0.5)
        values = out[["mean_squared_correlation", "mean_squared_correlation_unmatched"]]
        assert (values.notnull().to_array() == given).all()
        told = "mean_squared_correlation, and its ratio: fewer than 20 bins"
        assert (told in out.note[0, 0].item()) == (not given)


def test_a_combination_without_units_is_nan(two: xr.Dataset) -> None:
    region = np.where(two.session.values == "small", "CA1", "VISp")
    out = dimensionality(
        two.assign_coords(region=("unit", region)), by=["session", "region"], **FAST
    )
    assert out.ngsc.dims == ("session", "region", "phase")
    assert set(out.note.sel(session="small", region="VISp").values) == {"no units"}
    assert out.n_units.values.tolist() == [[40, 0], [0, 100]]


# ---- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"by": "sesion"}, r"by: expected distinct labels on unit, of .*session"),
        ({"by": []}, "by: expected distinct labels"),
        ({"by": ["session", "session"]}, "distinct"),
        ({"by": "subject"}, r"recorded together, found 'M' in 2 sessions. Add 'session' to by"),
        ({"match_units": "max"}, "match_units"),
        ({"match_units": 1}, "match_units"),
        ({"match_units": 2.5}, "match_units"),
        ({"draws": 0}, "draws"),
        ({"min_units": 1}, "min_units"),
        ({"min_spikes": 0}, "min_spikes"),
        ({"scale": "z"}, "scale"),
        ({"scale": lambda x: x[:, :3]}, "scale.*shape"),
        ({"scale": lambda x: x * np.nan}, "scale.*NaN"),
        ({"include": ["spectra"]}, "include: expected different ones of spectrum, draws"),
        ({"include": "shared_variance"}, "labels depth, region and insertion"),
        ({"level": 80}, "level"),
        ({"ranks": (5, 5)}, "ranks"),
        ({"ranks": (0, 5)}, "ranks"),
        ({"by": None}, "by: expected distinct labels"),
        ({"rng": -1}, "rng"),
        ({"rng": "a"}, "rng"),
    ],
)
def test_wrong_arguments_are_refused(two: xr.Dataset, options: Any, words: str) -> None:
    ds = two.assign_coords(subject=("unit", np.full(140, "M", dtype=object)))
    with pytest.raises(ArgumentError, match=words):
        dimensionality(ds, **options)


def test_rates_cannot_be_thinned(two: xr.Dataset) -> None:
    rates = two.assign(counts=two.counts / 0.1 + 0.5).drop_vars("n_spikes")
    with pytest.raises(ArgumentError, match="match_rates=False"):
        dimensionality(rates, rng=0)
    assert dimensionality(rates, match_rates=False, draws=2, rng=0).ngsc.notnull().all()


def test_sums_of_other_counts_and_empty_or_double_units_are_refused(two: xr.Dataset) -> None:
    for ds in (two.isel(time=slice(100)), two.chunk().isel(time=slice(100))):
        with pytest.raises(SelectionError, match=r"n_spikes is the sum of.*drop_vars"):
            dimensionality(ds, **FAST).compute()
    assert dimensionality(two.isel(time=slice(900)).drop_vars("n_spikes"), **FAST).n_units[0] > 0
    with pytest.raises(SelectionError, match="at least one unit"):
        dimensionality(two.isel(unit=slice(0)))
    with pytest.raises(SelectionError, match="at least one time"):
        dimensionality(two.isel(time=slice(0)))
    with pytest.raises(SelectionError, match="each unit once"):
        dimensionality(two.isel(unit=[0, 0, 1]))
    with pytest.raises(SelectionError, match="label session on unit"):
        dimensionality(
            two.assign_coords(region=("unit", ["a"] * 140)).drop_vars("session"), by="region"
        )


def test_data_without_counts_or_with_sessions_as_dimension_are_refused(demo_stores: Path) -> None:
    with pytest.raises(SelectionError, match=r"counts over unit and time.*lsd.bin"):
        lsdx.open_spikes(demo_stores).lsd.dimensionality()
    units = lsdx.open_units(demo_stores).isel(unit=slice(3)).compute()
    wide = units.assign(counts=units.counts * xr.DataArray([1.0, 1.0], dims="session"))
    with pytest.raises(SelectionError, match="session as a label"):
        wide.drop_vars("session").lsd.dimensionality(by="insertion")


# ---- what it carries ------------------------------------------------------------------------


def test_results_carry_the_labels_of_their_sessions(demo_stores: Path) -> None:
    units = lsdx.open_units(demo_stores)
    out = units.lsd.dimensionality(by=["session", "probe"], min_units=5, **FAST).compute()
    sessions = lsdx.open_sessions(demo_stores).sel(session=out.session.values)
    for name in ("subject", "condition", "session_n", "cohort_year", "days_since_lsd"):
        assert out[name].dims == ("session",)
        np.testing.assert_array_equal(out[name].values, sessions[name].values)
    assert bool(out.simulated)
    assert out.attrs["catalog"] == units.attrs["catalog"]
    assert (out.attrs["by"], out.attrs["scale"]) == ("session, probe", "zscore")
    assert out.pc1.attrs["units"] == "1"
    table = out[["ngsc", "pc1"]].to_dataframe()
    assert {"condition", "subject", "ngsc", "pc1"} <= set(table.columns)


def test_other_preprocessing_is_possible_and_recorded(two: xr.Dataset) -> None:
    x = two.counts.values[:40, 0].T
    centred = dimensionality(two, scale="center", **FAST)
    theirs = PCA().fit(x.astype(float)).explained_variance_ratio_
    np.testing.assert_allclose(centred.pc1[0, 0], theirs[0], rtol=1e-12)
    assert "participation_ratio_unbiased" not in centred
    rooted = dimensionality(two, scale=np.sqrt, **FAST)
    theirs = PCA().fit(np.sqrt(x.astype(float))).explained_variance_ratio_
    np.testing.assert_allclose(rooted.pc1[0, 0], theirs[0], rtol=1e-10)
    assert "sqrt" in rooted.attrs["scale"]
    few = two.isel(unit=slice(30), time=slice(300))
    few = few.assign(n_spikes=few.counts.sum("time"))
    powered = dimensionality(few, scale=PowerTransformer(), **FAST)
    y = PowerTransformer().fit_transform(few.counts.values[:, 0].T.astype(float))
    theirs = PCA().fit(y).explained_variance_ratio_
    np.testing.assert_allclose(powered.pc1[0, 0], theirs[0], rtol=1e-8)
    assert powered.attrs["scale"] == "PowerTransformer()"


def test_counts_of_integers_and_of_narrow_or_wide_bins(two: xr.Dataset, demo_stores: Path) -> None:
    whole = two.assign(counts=two.counts.astype(np.uint8))
    xr.testing.assert_allclose(dimensionality(whole, **FAST), dimensionality(two, **FAST))
    spikes = lsdx.open_spikes(demo_stores)
    for width in ("50 ms", "1 s"):
        out = spikes.lsd.bin(width, epoch="rfm").lsd.dimensionality(min_units=10, **FAST).compute()
        assert out.ngsc.notnull().any()
        assert out.attrs["bin_width"] == pd.Timedelta(width).total_seconds()


def test_spectra_and_costly_measures_come_on_request(demo_stores: Path) -> None:
    units = lsdx.open_units(demo_stores).sel(epoch="rfm").isel(unit=slice(0, 50)).compute()
    include = ["spectrum", "parallel_analysis", "shared_variance", "draws"]
    options: dict[str, Any] = {"match_units": "min", "min_units": 10, "draws": 2, "rng": 0}
    out = dimensionality(units, include=include, **options)
    spectrum = out.spectrum.isel(session=0, phase=0)
    n = int(out.n_units_matched[0])
    assert spectrum.notnull().sum() == n
    np.testing.assert_allclose(spectrum.sum(), 1)
    assert out.spectrum_unmatched.notnull().sum("rank")[0, 0] == out.n_units[0]
    assert out.spectrum_surrogate.notnull().sum("rank")[0, 0] == n
    np.testing.assert_allclose(out.spectrum_surrogate[0, 0].sum(), 1)
    assert out.parallel_analysis_draws.notnull().all()
    quick = dimensionality(units, **{**options, "match_units": None, "match_rates": False})
    assert not {"parallel_analysis", "shared_variance", "ngsc_surrogate"} & set(quick)
    known = out.parallel_analysis.isel(session=0)
    assert ((known >= 0) & (known < n)).all()
    assert (np.abs(out.shared_variance.isel(session=0)) < 0.5).all()
    assert out.ngsc_draws.sizes["draw"] == 2


# ---- the simulated truth --------------------------------------------------------------------


def test_the_demo_cohort_gives_back_what_was_simulated(tmp_path: Path) -> None:
    """Dimensions double after LSD and stay after saline; rates alone change nothing else."""
    from lsdx.builders import build
    from lsdx.config import Settings
    from lsdx.demo import write_cohort

    root = write_cohort(tmp_path / "cohort", n_sessions=4, n_units=80)
    truth = json.loads((root / "truth.json").read_text())["sessions"]
    stores = tmp_path / "stores"
    build(
        Settings(source="cache", cache_dir=root, stores=stores),
        ["sessions", "insertions", "epochs", "units", "counts"],
        progress=False,
    )
    units = lsdx.open_units(stores).sel(epoch="spontaneous")
    out = units.lsd.dimensionality(draws=10, rng=0).compute()
    change = out.ngsc.sel(phase="post") - out.ngsc.sel(phase="pre")
    grown = {s["eid"]: s["latent_dimension"]["post"] / s["latent_dimension"]["pre"] for s in truth}
    simulated = [grown[eid] for eid in out.session.values]
    assert simulated == [2.0 if c == "lsd" else 1.0 for c in out.condition.values]
    lsd, saline = (change.values[out.condition.values == c] for c in ("lsd", "saline"))
    assert lsd.size == 3
    assert lsd.min() > 2 * np.abs(saline).max()
    assert lsd.mean() > 4 * np.abs(saline).mean()
    turn = units.lsd.subspaces(rng=0).compute()
    lost = turn.similarity_within.mean(["phase", "lag"]) - turn.similarity_between
    assert lost.values[turn.condition.values == "lsd"].min() > lost.values.min()
    assert lost.values[turn.condition.values == "saline"].max() < 0.1


# ---- components and subspaces ---------------------------------------------------------------


def test_components_are_those_of_each_matrix(two: xr.Dataset) -> None:
    out = two.lsd.components(n_components=3)
    x = two.counts.values[:40, 1].T.astype(float)
    z = StandardScaler().fit_transform(x) * np.sqrt((len(x) - 1) / len(x))
    theirs = PCA(3, svd_solver="full").fit(z)
    mine = out.loadings.values[:40, 1]
    np.testing.assert_allclose(np.abs(np.sum(mine * theirs.components_.T, axis=0)), 1, atol=1e-9)
    np.testing.assert_allclose(out.scores.sel(session="small", phase="post"), z @ mine, atol=1e-9)
    share = out.explained_variance.sel(session="small", phase="post")
    np.testing.assert_allclose(share, theirs.explained_variance_ratio_, rtol=1e-9)
    np.testing.assert_array_equal(out.loadings.unit, two.unit)
    np.testing.assert_array_equal(out.loadings.unit_session, two.session)
    assert out.loadings.dims == ("unit", "phase", "component")
    silent = changed(two, {"unit": two.unit.values[:1]}, 0.0).lsd.components(n_components=3)
    assert silent.loadings[0].isnull().all()
    assert np.isfinite(silent.loadings[1:40]).all()


def test_a_turned_population_is_told_from_one_that_stays() -> None:
    rng = np.random.default_rng(0)
    base, other = rng.normal(size=(2, 80, 3))
    times = rng.normal(size=(4, 3, 2000))
    noise = rng.normal(size=(4, 80, 2000))
    stays = np.stack([base @ times[0], base @ times[1]], 1) + noise[:2].swapaxes(0, 1)
    turns = np.stack([base @ times[2], other @ times[3]], 1) + noise[2:].swapaxes(0, 1)
    ds = dataset({"stays": stays + 10, "turns": turns + 10})
    out = ds.lsd.subspaces(n_components=3, match_rates=False)
    same, turned = out.similarity.values
    assert same > 0.95
    assert turned < 3 * 3 / 80
    np.testing.assert_allclose(out.similarity_chance, 3 / 80)
    assert (out.similarity_within > 0.95).all()
    assert out.similarity_between[0] > 0.95
    assert out.similarity_between[1] < 0.2
    assert (out.principal_angle[0] < 20).all()
    assert out.principal_angle.attrs["units"] == "degree"
    cosine = np.cos(np.radians(out.principal_angle)) ** 2
    np.testing.assert_allclose(cosine.mean("component"), out.similarity)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"between": "epoch"}, r"a dimension of two labels.*'epoch' among phase \(2\)"),
        ({"n_components": 0}, "n_components"),
        ({"scale": "no"}, "scale"),
    ],
)
def test_wrong_subspaces_are_refused(two: xr.Dataset, options: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        two.lsd.subspaces(**options)


def test_subspaces_that_cannot_be_compared_are_nan_with_their_reason(two: xr.Dataset) -> None:
    out = two.lsd.subspaces(min_units=50)
    assert out.note.values.tolist() == ["40 units, fewer than min_units=50", ""]
    assert np.isnan(out.similarity[0])
    mine = two.unit.values[:40]
    out = changed(two, {"unit": mine, "phase": "post"}, np.nan).lsd.subspaces()
    assert out.note.values.tolist() == ["not observed for all units in both", ""]
