"""Windows along the recording: where they lie, what they hold, what is not observed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import lsdx
from lsdx.errors import ArgumentError, ConfigError, SelectionError


@pytest.fixture(scope="module")
def spikes(demo_stores: Path) -> xr.Dataset:
    return lsdx.open_spikes(demo_stores)


@pytest.fixture(scope="module")
def windows(spikes: xr.Dataset) -> xr.Dataset:
    return spikes.lsd.sliding(width="5 min", step="2.5 min").compute()


def test_windows_lie_between_start_and_stop(windows: xr.Dataset) -> None:
    assert windows.window_start.values[0] == -18 * 60
    assert windows.window_stop.values[-1] <= 30 * 60
    np.testing.assert_array_equal(np.diff(windows.window), 150)
    np.testing.assert_array_equal(windows.window_stop - windows.window_start, 300)
    np.testing.assert_array_equal(windows.window, windows.window_start + 150)
    assert windows.sizes["time"] == 300


def test_counts_are_those_of_the_spikes_in_the_window(
    spikes: xr.Dataset, windows: xr.Dataset
) -> None:
    times = spikes.spike_time.values
    checked = 0
    for u in range(0, windows.sizes["unit"], 13):
        begin = int(spikes.row_start[u])
        ticks = np.rint(times[begin : begin + int(spikes.row_size[u])] * 1e5)
        for w in range(0, windows.sizes["window"], 3):
            if np.isnan(windows.n_spikes[u, w]):
                continue
            edges = float(spikes.administration[u]) + windows.window_start.values[w]
            first = np.rint(edges * 1e5)
            expected = ((ticks >= first) & (ticks < first + 300e5)).sum()
            assert windows.n_spikes[u, w] == expected
            checked += 1
    assert checked > 40


def test_windows_that_the_injection_falls_into_are_not_observed(windows: xr.Dataset) -> None:
    crossing = (windows.window_start < 0) & (windows.window_stop > 0)
    assert crossing.sum() == 2
    assert windows.n_spikes.isel(window=crossing.values).isnull().all()
    assert windows.n_spikes.isel(window=~crossing.values).notnull().any()


def test_they_are_not_observed_whatever_the_zero(spikes: xr.Dataset) -> None:
    out = spikes.lsd.sliding(
        width="1 min", step="1 min", relative_to="recording", start=0, stop="40 min"
    ).compute()
    injection = spikes.administration.values
    inside = (out.window_start.values < injection[:, None]) & (
        out.window_stop.values > injection[:, None]
    )
    assert inside.sum() > 0
    assert np.isnan(out.n_spikes.values[inside]).all()


def test_a_session_without_its_zero_and_windows_off_the_recording_are_nan(
    spikes: xr.Dataset, windows: xr.Dataset
) -> None:
    unknown = np.isnan(spikes.administration.values)
    assert unknown.any()
    assert np.isnan(windows.n_spikes.values[unknown]).all()
    assert np.isnan(windows.share.values[unknown]).all()
    early = spikes.lsd.sliding(width=60, step=60, start="-2 h", stop="-1 h").compute()
    assert early.n_spikes.isnull().all()
    late = spikes.lsd.sliding(width=60, step=60, start="2 h", stop="3 h").compute()
    assert late.n_spikes.isnull().all()


def test_shares_are_overlaps_with_the_epochs(spikes: xr.Dataset, windows: xr.Dataset) -> None:
    u = int(np.flatnonzero(np.isfinite(spikes.administration.values))[0])
    zero = float(spikes.administration[u])
    np.testing.assert_allclose(windows.share[u].sum("stimulus"), 1)
    for w in (0, 3, 10, 15):
        a, b = zero + windows.window_start.values[w], zero + windows.window_stop.values[w]
        for epoch in spikes.epoch.values:
            start, stop = (spikes[n].sel(epoch=epoch).values[u] for n in ("start", "stop"))
            overlap = sum(max(0.0, min(b, t) - max(a, s)) for s, t in zip(start, stop, strict=True))
            found = windows.share.sel(stimulus=epoch)[u, w]
            np.testing.assert_allclose(found, overlap / 300, atol=1e-9)
    assert windows.stimulus.values.tolist() == ["spontaneous", "rfm", "replay", "none"]


def test_windows_of_an_epoch_are_its_bins(spikes: xr.Dataset) -> None:
    out = spikes.lsd.sliding(
        width="5 min", step="5 min", relative_to="pre/spontaneous", start=0, stop="5 min"
    )
    epoch = spikes.lsd.bin("1 s", phase="pre", epoch="spontaneous")
    np.testing.assert_array_equal(out.counts.isel(window=0).values, epoch.counts.values)


def test_measures_take_windows_and_carry_their_stimuli(windows: xr.Dataset) -> None:
    out = windows.lsd.dimensionality(min_units=10, draws=2, rng=0)
    assert out.ngsc.dims == ("session", "window")
    assert out.share.dims == ("session", "window", "stimulus")
    one = windows.isel(unit=windows.session.values == out.session.values[0])
    np.testing.assert_array_equal(out.share[0], one.share[0])
    crossing = ((windows.window_start < 0) & (windows.window_stop > 0)).values
    assert out.ngsc.isel(window=crossing).isnull().all()
    assert (out.note.isel(window=crossing, session=0) == "not observed").all()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"width": "0.5 s"}, ConfigError, "width: expected a whole number of bins of 1 s"),
        ({"step": "2500 ms"}, ConfigError, "step"),
        ({"step": 0}, ConfigError, "step"),
        ({"width": "2 h"}, ArgumentError, "a window that fits"),
        ({"relative_to": "injection"}, SelectionError, "administration, recording or one of pre/"),
        ({"width": "5 minutes long"}, ConfigError, "width"),
    ],
)
def test_wrong_windows_are_refused(
    spikes: xr.Dataset, options: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        spikes.lsd.sliding(**({"width": "5 min", "step": "5 min"} | options))


def test_counts_cannot_slide(demo_stores: Path) -> None:
    with pytest.raises(SelectionError, match=r"lsdx\.open_spikes"):
        lsdx.open_units(demo_stores).lsd.sliding(width="5 min", step="5 min")


def test_why_windows_are_nan_is_said(spikes: xr.Dataset, windows: xr.Dataset) -> None:
    unknown = np.isnan(spikes.administration.values)
    assert (windows.note[unknown] == "no administration is known").all()
    crossing = ((windows.window_start < 0) & (windows.window_stop > 0)).values
    assert (windows.note[~unknown, crossing] == "the administration falls into it").all()
    assert ((windows.note == "") == windows.n_spikes.notnull()).all()
    late = spikes.lsd.sliding(width=60, step=60, start="2 h", stop="3 h")
    assert (late.note[~unknown] == "not recorded whole").all()
