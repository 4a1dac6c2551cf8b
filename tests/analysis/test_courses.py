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

import lsdx
from lsdx.analysis.courses import autocorrelation_timescale, changepoint
from lsdx.errors import LsdxError, SelectionError
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


@pytest.mark.parametrize("tau", [0.1, 0.5, 2.0])
def test_exact_decays_are_found(tau: float) -> None:
    lags = np.arange(1, 101) * 0.1
    found, r2 = decay_time(0.2 * np.exp(-lags / tau)[None] + 0.05, lags)
    np.testing.assert_allclose(found, tau, rtol=1e-3)
    np.testing.assert_allclose(r2, 1, atol=1e-4)
    rising, _ = decay_time(1 - np.exp(-lags / tau)[None], lags)
    assert np.isnan(rising).all()


@pytest.mark.parametrize("tau", [0.3, 1.0])
def test_doubly_stochastic_trains_have_the_time_scale_of_their_rate(tau: float) -> None:
    rng = np.random.default_rng(1)
    n = 40
    keep = np.exp(-0.1 / tau)
    noise = rng.standard_normal((n, 3000))
    for i in range(1, 3000):
        noise[:, i] = keep * noise[:, i - 1] + np.sqrt(1 - keep**2) * noise[:, i]
    ds = counts_of(rng.poisson(2.0 * np.exp(0.5 * noise)).astype(np.float32))
    found = autocorrelation_timescale(ds)["timescale"]
    assert float(found.median()) == pytest.approx(tau, rel=0.2)


def test_independent_and_short_counts_have_no_time_scale() -> None:
    flat = autocorrelation_timescale(counts_of(np.ones((2, 3000))))
    assert flat["timescale"].isnull().all()
    short = counts_of(np.random.default_rng(2).poisson(3.0, (2, 400)).astype(float))
    assert autocorrelation_timescale(short)["timescale"].isnull().all()  # 40 s, lags of 5 s
    holes = np.random.default_rng(3).poisson(3.0, (2, 3000)).astype(float)
    holes[0, 100] = np.nan
    assert autocorrelation_timescale(counts_of(holes))["timescale"].isnull()[0]
    with pytest.raises(SelectionError, match="max_lag"):
        autocorrelation_timescale(short, max_lag="10 ms")
    with pytest.raises(SelectionError, match="bin_width"):
        autocorrelation_timescale(short.drop_attrs())


def test_a_step_is_found_where_it_is() -> None:
    rng = np.random.default_rng(4)
    times = [np.sort(np.r_[rng.uniform(0, 1500, 3000), rng.uniform(1500, 3000, 9000)])]
    times += [np.sort(rng.uniform(0, 3000, 6000)), np.empty(0)]
    size = np.array([len(t) for t in times])
    ds = xr.Dataset(
        {
            "spike_time": ("spike", np.concatenate(times)),
            "duplicate": ("spike", np.zeros(size.sum(), dtype=bool)),
            "row_size": ("unit", size),
            "row_start": ("unit", np.cumsum(size) - size),
            "last_spike": ("unit", np.full(3, 3000.0)),
            "administration": ("unit", np.full(3, 1000.0)),
            "has_duplicate_mask": ("unit", np.zeros(3, dtype=bool)),
        },
        {"unit": ["a", "b", "c"], "session": ("unit", ["s"] * 3), "insertion": ("unit", ["i"] * 3)},
    )
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
    assert changepoint(ds, stop="40 min")["note"].values.tolist() == ["not recorded whole"] * 3
    with pytest.raises(SelectionError, match="changepoint, relative_to"):
        changepoint(ds.assign_coords(phase=["pre"], epoch=["x"]), relative_to="post/x")
    with pytest.raises(SelectionError, match="four bins"):
        changepoint(ds, bin_width="15 min")


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
