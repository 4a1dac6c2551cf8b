"""Time scales and change points: simulated ones are found."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from scipy.optimize import minimize_scalar
from scipy.signal import lfilter
from scipy.stats import chi2, skew

import lsdx
from lsdx.analysis.courses import autocorrelation_timescale, changepoint
from lsdx.errors import ArgumentError, LsdxError, SelectionError
from lsdx.kernels.timescale import autocorrelation, decay_time


def counts_of(values: np.ndarray, width: float = 0.1) -> xr.Dataset:
    return xr.Dataset({"counts": (("unit", "time"), values)}, attrs={"bin_width": width})


def test_autocorrelation_is_that_of_a_loop() -> None:
    x = np.random.default_rng(0).poisson(2.0, (3, 200)).astype(float)
    found = autocorrelation(x, 7)
    for row, got in zip(x, found, strict=True):
        y = row - row.mean()
        expected = [np.mean(y[:-k] * y[k:]) / y.var() for k in range(1, 8)]
        np.testing.assert_allclose(got, expected)
    assert np.isnan(autocorrelation(np.full((1, 50), 3.0), 5)).all()
    with pytest.raises(ValueError, match="lags"):
        autocorrelation(x, 200)


def test_slow_cosines_are_taken_out_as_by_regression() -> None:
    x = np.random.default_rng(1).poisson(2.0, (3, 120)) + 0.1 * np.arange(120)
    phase = np.pi * (np.arange(120) + 0.5) / 120
    slow = np.stack([np.cos(j * phase) for j in range(5)], axis=1)
    for row, got in zip(x, autocorrelation(x, 6, 4), strict=True):
        y = row - slow @ np.linalg.lstsq(slow, row, rcond=None)[0]
        np.testing.assert_allclose(got, [np.mean(y[:-k] * y[k:]) / y.var() for k in range(1, 7)])
    with pytest.raises(ValueError, match="cosines"):
        autocorrelation(x, 6, 120)


@pytest.mark.parametrize("n_slow", [0, 4])
@pytest.mark.parametrize("tau", [1, 5, 20, 60])
def test_exact_decays_are_found(tau: float, n_slow: int) -> None:
    # the mean covariance of a decay and of independent bins, by the whole matrix of an epoch
    i = np.arange(800)
    slow = np.stack([np.cos(j * np.pi * (i + 0.5) / 800) for j in range(n_slow + 1)], axis=1)
    out = np.eye(800) - slow @ np.linalg.pinv(slow)
    seen = out @ (np.exp(-np.abs(i[:, None] - i) / tau) + 2 * np.eye(800)) @ out
    covariance = np.array([np.diag(seen, k).mean() for k in range(51)])
    correlation = (covariance[1:] / covariance[0])[None]
    found, r2 = decay_time(correlation, 800, n_slow)
    np.testing.assert_allclose(found, tau, rtol=2e-3)
    np.testing.assert_allclose(r2, 1, atol=1e-3)
    assert np.isnan(decay_time(-correlation, 800, n_slow)[0]).all()
    assert np.isnan(decay_time(correlation[:, :4], 800, n_slow)[0]).all()


def test_decays_beyond_what_lags_tell_are_marked_so() -> None:
    lags = np.arange(1, 51)
    found, r2 = decay_time(np.exp(-lags / np.array([[0.4], [300.0]])), 20_000)
    assert found.tolist() == [0, np.inf]
    assert np.isnan(r2).all()


def shot_noise(
    rng: np.random.Generator, n: int, tau: float, rate: float, fine: int = 4, width: float = 0.1
) -> np.ndarray:
    """Counts of 3,000 bins whose rates (Hz; sd half the mean) are correlated exp(-lag / tau).

    Rates jump at random times and decay in between: their correlation is exactly exponential.
    They are means over bins of ``fine`` steps.
    """
    step = width / fine
    jumps = rng.poisson(2 / tau * step, (n, 3000 * fine + int(10 * tau / step))).astype(float)
    rates = lfilter([1], [1, -np.exp(-step / tau)], jumps)[:, -3000 * fine :]
    rates *= rate * (1 - np.exp(-step / tau)) * tau / 2 / step
    mean = rates.reshape(n, 3000, fine).mean(axis=2)
    return rng.poisson(mean * width).astype(np.float32)


def gaussian(rng: np.random.Generator, n: int, tau: float) -> np.ndarray:
    """Gaussian rows of 3,000 bins of 0.1 s, sd 1, correlated exp(-lag / tau)."""
    keep = np.exp(-0.1 / tau)
    noise = rng.standard_normal((n, 3000 + int(100 * tau))) * np.sqrt(1 - keep**2)
    return np.asarray(lfilter([1], [1, -keep], noise)[:, -3000:])


def timescales(counts: np.ndarray, width: float = 0.1, **options: Any) -> np.ndarray:
    return autocorrelation_timescale(counts_of(counts, width), **options)["timescale"].values


@pytest.mark.parametrize("tau", [0.3, 1.0, 3.0])
def test_doubly_stochastic_trains_have_the_time_scale_of_their_rate(tau: float) -> None:
    rng = np.random.default_rng(1)
    told = timescales(shot_noise(rng, 250, tau, 10.0))
    assert np.nanmedian(told) == pytest.approx(tau, rel=0.1)
    assert np.isnan(told).mean() < 0.1
    # what is far slower does not move it
    drift = np.linspace(-0.5, 0.5, 3000) + 0.3 * gaussian(rng, 250, 60.0)
    counts = rng.poisson(shot_noise(rng, 250, tau, 20.0) * 0.4 * np.exp(drift))
    assert np.nanmedian(timescales(counts)) == pytest.approx(tau, rel=0.15)


@pytest.mark.parametrize("rate", [0.2, 1.0, 20.0])
def test_constant_rates_have_no_time_scale(rate: float) -> None:
    counts = np.random.default_rng(2).poisson(rate * 0.1, (600, 3000))
    found = autocorrelation_timescale(counts_of(counts.astype(float)))
    assert found["timescale"].notnull().mean() <= 0.05
    chance = (found["note"] == "no decay beyond chance") | (found["note"] == "fewer than 30 spikes")
    assert 0.01 < 1 - chance.mean() < 0.07  # of 5 %, 600 units


@pytest.mark.slow
def test_the_table_of_time_scales() -> None:
    rng = np.random.default_rng(3)
    n = 2000
    for rate in (0.2, 0.5, 1.0, 5.0, 20.0, 100.0):
        assert np.isfinite(timescales(rng.poisson(rate * 0.1, (n, 3000)))).mean() <= 0.05, rate
    for tau in (0.3, 1.0, 3.0):
        lags = 0.1 * np.arange(1, 51)
        shape = np.exp(0.25 * np.exp(-lags / tau)) - 1  # of log-Gaussian rates, sd .5
        best = minimize_scalar(
            lambda t, x=lags, y=shape: -((y @ np.exp(-x / t)) ** 2) / np.exp(-2 * x / t).sum(),
            bounds=(0.1, 5),
            method="bounded",
        ).x
        for rate in (5.0, 20.0):
            told = timescales(shot_noise(rng, n, tau, rate))
            assert np.nanmedian(told) == pytest.approx(tau, rel=0.1), (tau, rate)
            assert np.isnan(told).mean() < 0.06, (tau, rate)
            rates = rate * np.exp(0.5 * gaussian(rng, n, tau) - 0.125)
            told = timescales(rng.poisson(0.1 * rates))
            assert np.nanmedian(told) == pytest.approx(best, rel=0.1), (tau, rate)
            drift = 0.3 * gaussian(rng, n, 60.0)
            told = timescales(rng.poisson(shot_noise(rng, n, tau, 2 * rate) / 2 * np.exp(drift)))
            assert np.nanmedian(told) == pytest.approx(tau, rel=0.15), (tau, rate)


# of the docstring: median in s, and % NaN
SHOT_NOISE = {
    (0.1, 0.5): (0.37, 96),
    (0.1, 1.0): (0.28, 93),
    (0.1, 5.0): (0.14, 44),
    (0.1, 20.0): (0.10, 3),
    (0.3, 0.5): (0.35, 90),
    (0.3, 1.0): (0.32, 75),
    (1.0, 0.5): (0.80, 77),
    (1.0, 1.0): (0.92, 42),
    (3.0, 0.5): (1.64, 75),
    (3.0, 1.0): (2.20, 42),
}
# % with a time scale, by the course of the log rate (sd .3) or a rate that doubles evenly
DRIFT = {60.0: (4, 11, 33), 20.0: (6, 23, 40), None: (3.5, 3.5, 3.5)}


@pytest.mark.slow
def test_the_table_of_few_spikes_and_fast_units_and_of_drift_alone() -> None:
    rng = np.random.default_rng(5)
    for (tau, rate), (median, none) in SHOT_NOISE.items():
        told = timescales(shot_noise(rng, 2000, tau, rate))
        assert 100 * np.isnan(told).mean() == pytest.approx(none, abs=4), (tau, rate)
        # of few that have one, the median is rough
        rel = 0.12 if none < 80 else 0.3
        assert np.nanmedian(told) == pytest.approx(median, rel=rel), (tau, rate)
    for slow, shares in DRIFT.items():
        for rate, share in zip((1.0, 5.0, 20.0), shares, strict=True):
            course = np.tile(np.linspace(2 / 3, 4 / 3, 3000), (2000, 1))
            if slow is not None:
                course = np.exp(0.3 * gaussian(rng, 2000, slow) - 0.045)
            told = timescales(rng.poisson(0.1 * rate * course))
            assert 100 * np.isfinite(told).mean() == pytest.approx(share, abs=3), (slow, rate)


@pytest.mark.slow
@pytest.mark.parametrize(("n_bins", "n_lags"), [(60, 6), (500, 50), (3000, 10), (3000, 50)])
def test_independent_bins_have_a_decay_in_at_most_5_percent(n_bins: int, n_lags: int) -> None:
    rng = np.random.default_rng(12)
    means: list[Any] = [n / n_bins for n in (30, 100, 1000, 10_000)]
    for mean in (*means, rng.gamma(0.2, 2.5, (4000, n_bins))):
        counts = rng.poisson(mean, (4000, n_bins))
        n_slow = n_bins // (5 * n_lags)
        correlation = autocorrelation(counts, n_lags, n_slow)
        tau, _ = decay_time(correlation, n_bins, n_slow, skew(counts, axis=1))
        assert 0.02 < np.isfinite(tau).mean() + np.isinf(tau).mean() <= 0.05 + 2 * 0.0034


def test_fast_units_are_told_in_bins_that_are_narrow_enough() -> None:
    rng = np.random.default_rng(4)
    narrow = timescales(shot_noise(rng, 100, 0.025, 100.0, width=0.01), 0.01, max_lag="500 ms")
    assert np.nanmedian(narrow) == pytest.approx(0.025, rel=0.1)
    found = autocorrelation_timescale(counts_of(shot_noise(rng, 50, 0.025, 100.0, fine=40)))
    assert (found["note"] == "faster than half a bin").mean() > 0.5


def test_a_unit_has_the_same_time_scale_in_any_company() -> None:
    counts = shot_noise(np.random.default_rng(5), 40, 1.0, 5.0)
    counts[3, 2500:] = np.nan  # shorter than others
    ds = counts_of(counts)
    together = autocorrelation_timescale(ds)
    for rows in (slice(0, 1), slice(3, 10), slice(None, None, -1)):
        xr.testing.assert_identical(
            autocorrelation_timescale(ds.isel(unit=rows)), together.isel(unit=rows)
        )
    xr.testing.assert_identical(autocorrelation_timescale(ds.chunk(unit=7)).compute(), together)


def test_a_time_scale_that_is_none_says_why() -> None:
    rng = np.random.default_rng(6)
    counts = rng.poisson(0.5, (6, 3000)).astype(float)
    counts[0] = 1
    counts[1] = rng.permutation(np.arange(3000) < 29)
    counts[2, 100] = np.nan
    counts[3, 499:] = np.nan
    counts[4] = np.nan
    counts[5] += np.arange(3000) % 300 < 150  # 15 s on, 15 s off
    found = autocorrelation_timescale(counts_of(counts))
    assert found["note"].values.tolist() == [
        "no decay beyond chance",
        "fewer than 30 spikes",
        "bins are missing",
        "shorter than ten times max_lag",
        "not observed",
        "slower than twice max_lag",
    ]
    assert found["timescale"].isnull().all()
    assert found["r_squared"].isnull().all()
    few = autocorrelation_timescale(counts_of(counts[:1]), max_lag="400 ms")
    assert few["note"].values.tolist() == ["fewer than five lags"]
    with pytest.raises(ArgumentError, match="max_lag"):
        autocorrelation_timescale(counts_of(counts), max_lag="10 ms")
    with pytest.raises(SelectionError, match="bin_width"):
        autocorrelation_timescale(counts_of(counts).drop_attrs())


def largest_gains(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest standardised steps of rows, squared, and after how many bins they are."""
    n = values.shape[1]
    k = np.arange(2, n - 1)
    sums = values.cumsum(axis=1)
    before = sums[:, k - 1] / k
    after = (sums[:, -1:] - sums[:, k - 1]) / (n - k)
    gain = (after - before) ** 2 * k * (n - k) / n
    return gain.max(axis=1), k[gain.argmax(axis=1)]


def trains(times: list[np.ndarray]) -> xr.Dataset:
    """Spikes of units recorded for 3,000 s, the injection at 1,000 s."""
    size = np.array([len(t) for t in times])
    n = len(times)
    return xr.Dataset(
        {
            "spike_time": ("spike", np.concatenate(times)),
            "duplicate": ("spike", np.zeros(size.sum(), dtype=bool)),
            "row_size": ("unit", size),
            "row_start": ("unit", np.cumsum(size) - size),
            "last_spike": ("unit", np.full(n, 3000.0)),
            "administration": ("unit", np.full(n, 1000.0)),
            "has_duplicate_mask": ("unit", np.zeros(n, dtype=bool)),
        },
        {
            "unit": [f"u{i}" for i in range(n)],
            "session": ("unit", ["s"] * n),
            "insertion": ("unit", ["i"] * n),
        },
    )


def test_a_step_is_found_where_it_is() -> None:
    rng = np.random.default_rng(4)
    times = [np.sort(np.r_[rng.uniform(0, 1500, 3000), rng.uniform(1500, 3000, 9000)])]
    times += [np.sort(rng.uniform(0, 3000, 6000)), np.empty(0)]
    ds = trains(times)
    found = changepoint(ds)
    assert found["time"][0].item() == 500
    np.testing.assert_allclose(found["rate_before"][0], 2, rtol=0.1)
    np.testing.assert_allclose(found["index"][0], 0.5, atol=0.05)
    assert found["gain"][0] > 20 * found["gain"][1]
    assert found["time"][2].isnull()
    # counts are split where the sum of squares of the two parts is least
    counts = np.histogram(times[1], 100 + np.arange(0, 2701, 10))[0]
    y = 2 * np.sqrt(counts + 3 / 8)
    cost = [y[:k].var() * k + y[k:].var() * (len(y) - k) for k in range(2, len(y) - 1)]
    assert found["time"][1].item() == -900 + 10 * (2 + int(np.argmin(cost)))
    np.testing.assert_allclose(found["gain"][1], y.var() * len(y) - min(cost), rtol=1e-6)
    unknown = ds.assign(administration=ds.administration * np.nan)
    for some in (unknown, unknown.chunk()):
        assert changepoint(some)["time"].isnull().all()
        assert changepoint(some)["note"].values.tolist() == ["no administration is known"] * 3
        # any other time will do: the same moment, 1,000 s into the recording
        other = changepoint(some, relative_to="recording", start=100, stop=2800)
        np.testing.assert_array_equal(other["time"] - 1000, found["time"])
    assert found["note"].values.tolist() == ["", "", "no spikes"]
    assert found["gain"][1] < found.attrs["gain_null_95"] < found["gain"][0]
    late = changepoint(ds, start=100, stop=520)  # the change is after 40 of 42 bins
    assert (late["time"][0].item(), late["note"][0].item()) == (500, "at the edge")
    more = changepoint(ds, start=100, stop=530)  # three bins are left
    assert (more["time"][0].item(), more["note"][0].item()) == (500, "")
    assert changepoint(ds, stop="40 min")["note"].values.tolist() == ["not recorded whole"] * 3
    with pytest.raises(SelectionError, match="changepoint, relative_to"):
        changepoint(ds.assign_coords(phase=["pre"], epoch=["x"]), relative_to="post/x")
    with pytest.raises(ArgumentError, match="four bins"):
        changepoint(ds, bin_width="15 min")


def test_one_in_20_constant_rates_has_a_gain_above_that_of_chance() -> None:
    rng = np.random.default_rng(7)
    times = [np.sort(rng.uniform(0, 3000, n)) for n in rng.poisson(9000, 400)]
    found = changepoint(trains(times))
    above = found["gain"] > found.attrs["gain_null_95"]
    assert above.mean() == pytest.approx(0.05, abs=0.033)  # 3 standard errors
    assert (found["note"] == "at the edge").mean() == pytest.approx(0.35, abs=0.075)
    # a single split has the gain of one step: chi-squared of one degree of freedom
    two = changepoint(trains(times[:1]), stop="-10 min", bin_width="75 s")
    assert two.attrs["gain_null_95"] == pytest.approx(chi2.ppf(0.95, 1), rel=1e-9)


@pytest.mark.slow
def test_the_table_of_gains() -> None:
    rng = np.random.default_rng(8)
    stops = {4: "-860 s", 6: "-840 s", 10: "-800 s", 50: "-400 s", 90: "0 s", 270: "30 min"}
    some = trains([np.arange(0, 3000, 1.0)])
    for n, stop in stops.items():
        bound = changepoint(some, stop=stop).attrs["gain_null_95"]
        gain, _ = largest_gains(rng.standard_normal((40_000, n)))
        assert (gain > bound).mean() == pytest.approx(0.048, abs=0.006), n
    for mean, share in ((0.1, 0), (0.3, 0), (1, 0.007), (3, 0.045), (10, 0.05), (30, 0.05)):
        counts = rng.poisson(mean, (20_000, 270))
        gain, split = largest_gains(2 * np.sqrt(counts[counts.any(axis=1)] + 3 / 8))
        assert (gain > bound).mean() == pytest.approx(share, abs=0.008), mean
        edge = np.minimum(split, 270 - split) <= 13
        assert edge.mean() == pytest.approx(0.34, abs=0.03), mean


def test_the_demos_modulated_units_change_after_the_injection(
    demo_stores: Path, demo_cohort: Path
) -> None:
    truth = json.loads((demo_cohort / "truth.json").read_text())["sessions"]
    found = changepoint(lsdx.open_spikes(demo_stores)).compute().to_dataframe()
    units = [s["units"] for s in truth if s["units"]]
    gain = {u: g for t in units for u, g in zip(t["uuid"], t["gain"], strict=True)}
    strong = {
        u: gain[u]
        for u in found.index[found["rate_before"] > 0.5]
        if abs(np.log(gain.get(u, 1.0))) > 0.6
    }
    mine = found.loc[list(strong)]
    assert len(mine) >= 5
    assert (mine["time"] > 0).mean() >= 0.75
    assert (np.sign(mine["index"]) == [np.sign(np.log(g)) for g in strong.values()]).all()


def test_nothing_is_computed_until_asked(demo_stores: Path) -> None:
    computed = []

    def scheduler(dsk: Any, keys: Any, **kwargs: Any) -> Any:
        computed.append(keys)
        return dask.get(dsk, keys, **kwargs)

    with dask.config.set(scheduler=scheduler):
        lsdx.open_spikes(demo_stores).lsd.changepoint()
        lsdx.open_units(demo_stores).lsd.autocorrelation_timescale()
    assert not computed


def test_without_ruptures_the_error_says_what_to_install(
    demo_stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "ruptures":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(LsdxError, match=r"pip install 'lsdx\[changepoint\]'"):
        changepoint(lsdx.open_spikes(demo_stores))
