"""Bouts, quiescence and averages around events, on series whose answers are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from lsdx.analysis.behavior import bouts, in_frame_widths, quiescence, triggered
from lsdx.errors import ArgumentError, SelectionError

WIDTH = 0.1
N = 300
START = np.array([[10.0, 50.0], [100.0, 150.0]])
DIMS = ("session", "feature", "phase", "epoch", "time")
FEATURE = "left/nose_speed"


def still(seed: int = 0) -> xr.Dataset:
    """Two sessions of rest: values from -1 to 1 around 10, whose median is 10 and MAD 0.5."""
    rest = 10 + np.linspace(-1, 1, N)
    rng = np.random.default_rng(seed)
    values = np.stack([rng.permutation(rest) for _ in range(16)]).reshape(2, 2, 2, 2, N)
    return xr.Dataset(
        {"behavior": (DIMS, values.astype(np.float32))},
        {
            "session": ["a", "b"],
            "session_label": ("session", ["A", "B"]),
            "feature": [FEATURE, "body/motion_energy"],
            "feature_units": ("feature", np.array(["px/s", "1"], object)),
            "frame_width": ("feature", [1280.0, 640.0]),
            "phase": ["pre", "post"],
            "epoch": ["spontaneous", "rfm"],
            "time": (np.arange(N) + 0.5) * WIDTH,
            "start": (("session", "phase", "epoch"), np.stack([START, START])),
            "stop": (("session", "phase", "epoch"), np.stack([START, START]) + N * WIDTH),
        },
        {"bin_width": WIDTH},
    )


def moved() -> xr.Dataset:
    """Give session a two bouts in pre/rfm, one of them to the end, and b one in post."""
    ds = still()
    ds.behavior[0, 0, 0, 1, 40:60] = 100
    ds.behavior[0, 0, 0, 1, 290:] = 100
    ds.behavior[1, 0, 1, 0, 5:15] = 100
    ds.behavior[1, 0, 1, 1] = np.nan
    return ds


def test_bouts_come_back_and_cut_ones_are_flagged() -> None:
    found = bouts(moved(), feature=FEATURE)
    assert found.session.values.tolist() == ["a", "a", "b"]
    assert found.session_label.values.tolist() == ["A", "A", "B"]
    assert found.phase.values.tolist() == ["pre", "pre", "post"]
    assert found.epoch.values.tolist() == ["rfm", "rfm", "spontaneous"]
    np.testing.assert_allclose(found.start, [54, 79, 100.5])
    np.testing.assert_allclose(found.stop, [56, 80, 101.5])
    np.testing.assert_allclose(found.duration, [2, 1, 1])
    assert found.cut.values.tolist() == [False, True, False]
    assert set(found.kind.values) == {"bout"}


def test_thresholds_are_of_the_first_phase_alone() -> None:
    ds = still()
    ds.behavior[0, 0, 1] += 1000  # nothing of it is rest
    found = bouts(ds, feature=FEATURE)
    assert found.phase.values.tolist() == ["post", "post"]
    np.testing.assert_allclose(found.duration, N * WIDTH)
    assert found.cut.values.all()


def test_quiescence_is_one_less_busy_by_observed() -> None:
    ds = moved()
    ds.behavior[0, 0, 0, 1, 100:150] = np.nan
    found = quiescence(ds, feature=FEATURE)
    expected = np.ones((2, 2, 2))
    expected[0, 0, 1] = 1 - 3 / 25
    expected[1, 1, 0] = 1 - 1 / 30
    expected[1, 1, 1] = np.nan
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dims == ("session", "phase", "epoch")
    np.testing.assert_allclose(quiescence(ds.chunk(session=1), feature=FEATURE), expected)


def test_no_bouts_and_nothing_observed() -> None:
    ds = still()
    assert bouts(ds, feature=FEATURE).sizes["event"] == 0
    np.testing.assert_array_equal(quiescence(ds, feature=FEATURE), 1)
    ds["behavior"] = ds.behavior * np.nan
    assert bouts(ds, feature=FEATURE).sizes["event"] == 0
    assert np.isnan(quiescence(ds, feature=FEATURE)).all()


@pytest.mark.parametrize("n", [0, 1])
def test_one_session_without_its_dimension(n: int) -> None:
    """A session that was selected, and what bin_behavior gives, have labels without dims."""
    ds = moved()
    whole, one = (bouts(d, feature=FEATURE) for d in (ds.isel(session=[n]), ds.isel(session=n)))
    xr.testing.assert_identical(one, whole)
    np.testing.assert_array_equal(
        quiescence(ds.isel(session=n), feature=FEATURE).squeeze(),
        quiescence(ds, feature=FEATURE)[n],
    )


def test_triggered_equals_a_loop() -> None:
    ds = moved()
    rng = np.random.default_rng(3)
    time = np.r_[rng.uniform(0, 190, 120), 10.0, 50.3, np.nan, 79.95]
    events = pd.DataFrame({"session": rng.choice(["a", "b"], time.size), "start": time})
    found = triggered(ds.chunk(session=1), events=events, window=("-0.5 s", "1 s"))
    assert found.behavior.chunks is not None
    lags = range(-5, 10)
    np.testing.assert_allclose(found.lag, np.arange(-5, 10) * WIDTH)
    for s, eid in enumerate(ds.session.values):
        for f in range(2):
            for k, lag in enumerate(lags):
                seen = []
                for t in events.start[events.session == eid]:
                    for p in range(2):
                        for e in range(2):
                            at = (
                                (round(t * 1e5) - round(START[p, e] * 1e5)) // 10_000
                                if t > 0
                                else -1
                            )
                            if 0 <= at < N and 0 <= at + lag < N:
                                seen.append(float(ds.behavior[s, f, p, e, at + lag]))
                seen = [v for v in seen if not np.isnan(v)]
                assert int(found.n[s, f, k]) == len(seen)
                np.testing.assert_allclose(found.behavior[s, f, k], np.mean(seen), rtol=1e-6)


def test_triggered_without_events_is_unknown() -> None:
    events = pd.DataFrame({"session": ["z"], "start": [20.0]})
    found = triggered(still(), events=events)
    assert np.isnan(found.behavior).all()
    assert (found.n == 0).all()


def test_in_frame_widths() -> None:
    ds = still()
    found = in_frame_widths(ds.chunk(session=1))
    assert found.behavior.chunks is not None
    np.testing.assert_allclose(found.behavior[:, 0], ds.behavior[:, 0] / 1280, rtol=1e-6)
    np.testing.assert_array_equal(found.behavior[:, 1], ds.behavior[:, 1])
    assert found.feature_units.values.tolist() == ["frame widths/s", "1"]
    ds["frame_width"] = ("feature", [np.nan, np.nan])
    found = in_frame_widths(ds)
    assert np.isnan(found.behavior[:, 0]).all()
    np.testing.assert_array_equal(found.behavior[:, 1], ds.behavior[:, 1])


def test_errors_name_what_is_wrong() -> None:
    ds = still()
    with pytest.raises(SelectionError, match="left/nose_speed"):
        bouts(ds, feature="left/ear_speed")
    with pytest.raises(SelectionError, match="behavior"):
        quiescence(xr.Dataset(), feature=FEATURE)
    with pytest.raises(SelectionError, match="phase"):
        bouts(ds.isel(phase=0), feature=FEATURE)
    with pytest.raises(ArgumentError, match="below high"):
        bouts(ds, feature=FEATURE, high=1, low=1)
    with pytest.raises(SelectionError, match="start"):
        triggered(ds, events=pd.DataFrame({"session": ["a"]}))
    events = pd.DataFrame({"session": ["a"], "start": [20.0]})
    with pytest.raises(ArgumentError, match="whole number of bins"):
        triggered(ds, events=events, window=("-0.15 s", "1 s"))
    with pytest.raises(ArgumentError, match="low to high"):
        triggered(ds, events=events, window=("1 s", "-1 s"))
    with pytest.raises(SelectionError, match="behavior"):
        in_frame_widths(xr.Dataset())
