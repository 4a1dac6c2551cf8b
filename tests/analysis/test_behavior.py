"""Bouts, quiescence and averages around events, against hand-made animals, loops and the truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import lsdx
from lsdx.errors import ArgumentError, SelectionError

WIDTH = 0.1
FEATURE = "left/paw_near_speed"


def made(values, starts=((10.0,), (100.0,)), feature=FEATURE) -> xr.Dataset:
    """One session; ``values`` (phase, time) of one epoch."""
    values = np.asarray(values, np.float32)[None, None, :, None]
    n = values.shape[-1]
    start = np.array(starts)[None]
    windows = ("session", "phase", "epoch")
    return xr.Dataset(
        {"behavior": (("session", "feature", "phase", "epoch", "time"), values)},
        {
            "session": ["e"],
            "feature": [feature],
            "phase": ["pre", "post"],
            "epoch": ["a"],
            "time": (np.arange(n) + 0.5) * WIDTH,
            "feature_units": ("feature", np.array(["px/s"], object)),
            "frame_width": ("feature", [1280.0]),
            "start": (windows, start),
            "stop": (windows, start + n * WIDTH),
            "session_label": ("session", np.array(["M1 2024-01-01/001"], object)),
        },
        {"bin_width": WIDTH},
    )


def restless(n=400):
    """Rest of median 10 and MAD 1, so that 3 and 1 deviations are 14.448 and 11.483."""
    return np.tile([9.0, 11.0, 9.0, 11.0, 10.0], n // 5)


def test_bouts_begin_high_last_while_above_low_and_are_cut_at_edges() -> None:
    pre, post = restless(), restless()
    post[50:60] = 20
    post[60:65] = 12  # above low: it goes on
    post[100] = 20  # 100 ms: too short
    post[200:210] = 14  # never high
    post[300:305], post[306:310] = 20, 20  # 100 ms apart: one
    post[390:] = 20
    found = made([pre, post]).lsd.bouts(feature=FEATURE)
    np.testing.assert_allclose(found.start, [105, 130, 139])
    np.testing.assert_allclose(found.stop, [106.5, 131, 140])
    np.testing.assert_array_equal(found.cut, [False, False, True])
    np.testing.assert_allclose(found.duration, found.stop - found.start)
    assert set(found.phase.values) == {"post"}
    assert set(found.kind.values) == {"bout"}
    assert found.session_label.values.tolist() == ["M1 2024-01-01/001"] * 3
    busy = made([pre, post]).lsd.quiescence(feature=FEATURE)
    np.testing.assert_allclose(busy.values, [[[1.0], [1 - 3.5 / 40]]])


def test_missing_bins_cut_a_bout_and_are_no_rest() -> None:
    pre, post = restless(), restless()
    post[50:80] = 20
    post[60:70] = np.nan
    found = made([pre, post]).lsd.bouts(feature=FEATURE)
    np.testing.assert_allclose(found.start, [105, 107])
    np.testing.assert_allclose(found.stop, [106, 108])
    assert found.cut.all()
    quiet = made([pre, post]).lsd.quiescence(feature=FEATURE)
    assert quiet.values[0, 1, 0] == pytest.approx(1 - 2 / 39)


def test_what_was_never_observed_has_neither_bouts_nor_quiescence() -> None:
    nothing = np.full(400, np.nan)
    ds = made([restless(), nothing])
    assert ds.lsd.bouts(feature=FEATURE).sizes["event"] == 0
    np.testing.assert_array_equal(ds.lsd.quiescence(feature=FEATURE)[0, :, 0], [1, np.nan])


@pytest.mark.parametrize("alone", [False, True])
def test_one_session_alone_is_what_it_is_among_others(alone: bool) -> None:
    pre, post = restless(), restless()
    post[50:60] = 20
    ds = made([pre, post])
    one = ds.isel(session=0) if alone else ds.isel(session=[0])
    found = one.lsd.bouts(feature=FEATURE)
    np.testing.assert_allclose(found.start, [105])
    assert found.session_label.item() == "M1 2024-01-01/001"
    np.testing.assert_allclose(one.lsd.quiescence(feature=FEATURE).values, [[[1], [1 - 1 / 40]]])


def test_the_demos_bouts_are_the_truths(demo_cohort: Path, demo_stores: Path) -> None:
    truth = json.loads((demo_cohort / "truth.json").read_text())["sessions"]
    b = lsdx.open_behavior(demo_stores).isel(session=[0, 3])
    feature = "left/motion_energy"  # its noise is 1/15 of the step
    found = b.lsd.bouts(feature=feature, high=4, low=3)
    quiet = b.lsd.quiescence(feature=feature, high=4, low=3)
    told = {s["eid"]: s["behavior"]["movement"] for s in truth}
    n = 0
    for eid in b.session.values:
        onset, offset = (np.array(told[eid][k]) for k in ("onset", "offset"))
        for phase in b.phase.values:
            for epoch in b.epoch.values:
                at = {"session": eid, "phase": phase, "epoch": epoch}
                start, stop = (b[k].sel(at).item() for k in ("start", "stop"))
                of = [(found[k] == v).values for k, v in at.items()]
                mine = found.isel(event=np.flatnonzero(np.all(of, axis=0)))
                met = (offset > start + 0.3) & (onset < stop - 0.3)
                low, high = np.maximum(onset[met], start), np.minimum(offset[met], stop)
                assert mine.sizes["event"] == met.sum()
                # bins of 100 ms and frames of 83 ms: right to two bins
                np.testing.assert_allclose(mine.start, low, atol=0.21)
                np.testing.assert_allclose(mine.stop, high, atol=0.21)
                cut = (onset[met] < start) | (offset[met] > stop)
                np.testing.assert_array_equal(mine.cut, cut)
                busy = (high - low).sum() / (stop - start)
                assert quiet.sel(at).item() == pytest.approx(1 - busy, abs=0.03)
                n += met.sum()
    assert n > 100


def test_averages_around_events_equal_a_loop() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 120))
    values[rng.random(values.shape) < 0.2] = np.nan
    ds = made(values)
    times = np.r_[rng.uniform(9, 24, 30), rng.uniform(98, 114, 30), 10.0, 21.999, 10.3, np.nan]
    events = pd.DataFrame({"session": ["e"] * 60 + ["e", "e", "e", "e"], "start": times})
    other = pd.DataFrame({"session": ["f"] * 9, "start": np.full(9, 12.0)})
    found = ds.lsd.triggered(events=pd.concat([events, other]), window=("-1 s", 2.0))
    lags = range(-10, 20)
    np.testing.assert_allclose(found.lag, np.array(lags) / 10, atol=1e-12)
    for k, lag in enumerate(lags):
        seen = []
        for t in times:
            for phase, start in enumerate((10.0, 100.0)):
                if start <= t < start + 12:
                    at = int((t - start + 1e-9) / WIDTH) + lag
                    if 0 <= at < 120 and np.isfinite(values[phase, at]):
                        seen.append(np.float32(values[phase, at]))
        assert found.n.values[0, 0, k] == len(seen)
        assert found.behavior.values[0, 0, k] == pytest.approx(np.mean(seen, dtype=float))


def test_without_events_there_is_no_average() -> None:
    ds = made(np.ones((2, 50)))
    none = pd.DataFrame({"session": [], "start": []})
    found = ds.lsd.triggered(events=none)
    assert np.isnan(found.behavior).all()
    assert (found.n == 0).all()
    lazy = ds.chunk(session=1).lsd.triggered(events=none)
    assert lazy.behavior.chunks
    xr.testing.assert_equal(lazy.compute(), found)


def test_the_wheel_turns_in_the_demos_bouts(demo_cohort: Path, demo_stores: Path) -> None:
    session = json.loads((demo_cohort / "truth.json").read_text())["sessions"][0]
    told = session["behavior"]["movement"]
    b = lsdx.open_behavior(demo_stores).sel(session=[session["eid"]], feature=["wheel/speed"])
    events = pd.DataFrame({"session": session["eid"], "start": told["onset"]})
    mean = b.lsd.triggered(events=events, window=("-1 s", "1 s")).behavior.values[0, 0]
    assert mean[:9].max() < 0.05  # a bout never follows another by less than 2 s
    assert mean[11:].min() > 1  # 2 rad/s times a vigor of 0.5 to 1.5


def test_pixels_become_frame_widths_and_the_rest_stays() -> None:
    ds = made(np.full((2, 50), 640.0))
    wide = ds.lsd.in_frame_widths()
    np.testing.assert_allclose(wide.behavior, 0.5)
    assert wide.feature_units.values.tolist() == ["frame widths/s"]
    turning = ds.assign_coords(feature_units=("feature", np.array(["rad/s"], object)))
    turning = turning.assign_coords(frame_width=("feature", [np.nan]))
    np.testing.assert_array_equal(turning.lsd.in_frame_widths().behavior, ds.behavior)
    unknown = ds.assign_coords(frame_width=("feature", [np.nan]))
    assert np.isnan(unknown.lsd.in_frame_widths().behavior).all()


def test_what_cannot_be_measured_is_refused() -> None:
    ds = made(np.ones((2, 50)))
    events = pd.DataFrame({"session": ["e"], "start": [12.0]})
    for measure, how in (
        ("bouts", {"feature": FEATURE}),
        ("quiescence", {"feature": FEATURE}),
        ("triggered", {"events": events}),
        ("in_frame_widths", {}),
    ):
        with pytest.raises(SelectionError, match="variable behavior"):
            getattr(ds.drop_vars("behavior").lsd, measure)(**how)
        with pytest.raises(SelectionError, match="phase"):
            getattr(ds.isel(phase=1).lsd, measure)(**how)
    for measure in ("bouts", "quiescence"):
        with pytest.raises(SelectionError, match="right/x"):
            getattr(ds.lsd, measure)(feature="right/x")
        with pytest.raises(ArgumentError, match="below high"):
            getattr(ds.lsd, measure)(feature=FEATURE, low=3, high=3)
    with pytest.raises(SelectionError, match="session"):
        ds.lsd.triggered(events=events.drop(columns="session"))
    for window in (("1 s", "-1 s"), ("-1 s", "55 ms"), ("a", "b")):
        with pytest.raises(ArgumentError):
            ds.lsd.triggered(events=events, window=window)
