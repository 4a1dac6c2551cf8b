"""Correlations by labels of units and by events; nothing depends on chunks or order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from lsdx.analysis.coupling import correlations, population_coupling
from lsdx.errors import ArgumentError, SelectionError

N, BIN = 24, 0.1
AREA = np.array(["a"] * 12 + ["b"] * 12, dtype=object)


def dataset(seed: int = 0, n_bins: int = 1200) -> xr.Dataset:
    """Two sessions, two phases; area a shares a gain, b does not; session s1 was cut short."""
    rng = np.random.default_rng(seed)
    counts = np.empty((2 * N, 2, n_bins), dtype=np.float32)
    for s in range(2):
        for p, rate in enumerate((8.0, 4.0)):
            gain = np.where(AREA[:, None] == "a", rng.gamma(4, 0.25, n_bins // 10).repeat(10), 1)
            counts[s * N : (s + 1) * N, p] = rng.poisson(rate * BIN * gain)
    counts[N:, 1, n_bins // 2 :] = np.nan
    name = np.repeat(np.array(["s0", "s1"], dtype=object), N)
    return xr.Dataset(
        {"counts": (("unit", "phase", "time"), counts)},
        {
            "unit": [f"{s}-{i}" for i, s in enumerate(name)],
            "session": ("unit", name),
            "condition": ("unit", np.repeat(np.array(["lsd", "saline"], dtype=object), N)),
            "area": ("unit", np.tile(AREA, 2)),
            "insertion": ("unit", name),
            "depth": ("unit", np.tile(np.arange(N) * 20.0, 2)),
            "phase": ["pre", "post"],
            "time": (np.arange(n_bins) + 0.5) * BIN,
        },
        {"bin_width": BIN},
    )


@pytest.fixture(scope="module")
def ds() -> xr.Dataset:
    return dataset()


HOW: dict[str, Any] = {"rng": 1, "draws": 2, "n_shifts": 4}


def test_pairs_within_and_across_are_those_of_a_loop(ds: xr.Dataset) -> None:
    how = {"match_rates": False, "n_shifts": 0, "detrend": None}
    out = correlations(ds, within="area", across="area", **how)
    assert out.correlation.dims == ("session", "source", "target", "phase")
    x = ds.counts.values[N:, 1, :600].reshape(N, 60, 10).sum(axis=2)
    r = np.corrcoef(x)
    depth = ds.depth.values[:N]
    for one, mine in (("a", slice(0, 12)), ("b", slice(12, 24))):
        for two, theirs in (("a", slice(0, 12)), ("b", slice(12, 24))):
            apart = np.abs(depth[mine, None] - depth[theirs]) >= 50
            if one == two:
                apart &= ~np.tri(12, dtype=bool)
            at = out.sel(session="s1", source=one, target=two, phase="post")
            assert at.correlation.item() == pytest.approx(r[mine, theirs][apart].mean())
            assert at.n_pairs.item() == apart.sum()
    assert out.condition.values.tolist() == ["lsd", "saline"]
    np.testing.assert_allclose(
        out.correlation, out.correlation.transpose("session", "target", "source", "phase")
    )
    whole = correlations(ds, apart=0, **how).sel(session="s1", phase="post")
    assert whole.correlation.item() == pytest.approx(r[np.triu_indices(N, 1)].mean())
    assert whole.n_pairs.item() == N * (N - 1) / 2


def test_what_is_not_asked_for_is_not_given(ds: xr.Dataset) -> None:
    within = correlations(ds, within="area", **HOW)
    across = correlations(ds, across="area", **HOW)
    both = correlations(ds, within="area", across="area", **HOW)
    for out, diagonal in ((within, True), (across, False)):
        given = (out.source == out.target) == diagonal
        xr.testing.assert_equal(out.correlation, both.correlation.where(given))
        xr.testing.assert_equal((out.note == "not asked for").all(["session", "phase"]), ~given)
    assert (within.correlation.sel(source="a", target="a") > 0.2).all()
    assert abs(within.correlation.sel(source="b", target="b")).max() < 0.05


def test_rates_are_matched_between_phases(ds: xr.Dataset) -> None:
    """a: r = m v / (1 + m v) of v = 1/4, m = 4 spikes in 1 s: .5; .67 at 8."""
    out = correlations(ds, within="area", **HOW).sel(source="a", target="a", session="s0")
    own = correlations(ds, within="area", match_rates=False, **HOW)
    np.testing.assert_allclose(out.correlation, 0.5, atol=0.1)
    assert own.correlation.sel(source="a", target="a", session="s0", phase="pre") > 0.57
    np.testing.assert_allclose(out.rate, 4, rtol=0.1)


@pytest.mark.parametrize("method", [correlations, population_coupling])
def test_draws_and_shifts_belong_to_unit_and_labels(ds: xr.Dataset, method: Any) -> None:
    whole = method(ds, **HOW)
    xr.testing.assert_allclose(method(ds.isel(unit=slice(N, None)), **HOW), last(whole, "s1"))
    turned = method(ds.isel(unit=slice(None, None, -1), phase=[1, 0]), **HOW)
    xr.testing.assert_allclose(turned.reindex_like(whole), whole)
    again = method(ds, **{**HOW, "rng": int(whole.attrs["seed"])})
    xr.testing.assert_identical(again, whole)


def last(result: xr.Dataset, session: str) -> xr.Dataset:
    dim = "unit" if "unit" in result.dims else "session"
    return result.isel({dim: np.flatnonzero(result.session.values == session)})


@pytest.mark.parametrize("method", [correlations, population_coupling])
def test_dask_and_chunks_change_nothing(ds: xr.Dataset, method: Any) -> None:
    whole = method(ds, **HOW)
    for chunks in ({"unit": 7}, {"unit": -1, "phase": 1, "time": 100}):
        lazy = method(ds.chunk(chunks), **HOW)
        assert all(hasattr(v.data, "dask") for v in lazy.data_vars.values())
        xr.testing.assert_identical(lazy.compute(), whole)


def test_nothing_is_computed_until_asked(ds: xr.Dataset) -> None:
    import dask.array as da

    def fail(block: np.ndarray) -> np.ndarray:
        raise RuntimeError("computed")

    data = da.from_array(ds.counts.values, chunks=(N, 1, -1)).map_blocks(fail, dtype=np.float32)
    lazy = ds.assign(counts=(ds.counts.dims, data))
    correlations(lazy, within="area", **HOW)
    out = population_coupling(lazy, **HOW)
    with pytest.raises(RuntimeError, match="computed"):
        out.compute()


def test_units_are_coupled_where_they_share_a_gain(ds: xr.Dataset) -> None:
    out = population_coupling(ds, by=["session", "area"], window="1 s", **HOW)
    assert out.coupling.dims == ("unit", "phase")
    assert (out.coupling.where(out.area == "a").mean("unit") > 0.4).all()
    assert (abs(out.coupling.where(out.area == "b").mean("unit")) < 0.1).all()
    few = population_coupling(ds, min_units=30, **HOW)
    assert set(few.note.values.ravel()) == {"24 units, fewer than min_units=30"}
    silent = ds.assign(counts=ds.counts.where(ds.unit != "s0-3", 0))
    out = population_coupling(silent, **HOW)
    assert (
        out.note.sel(unit="s0-3").values.tolist()
        == ["silent, or not observed in all that is compared"] * 2
    )
    assert out.coupling.sel(unit="s0-3").isnull().all()


def trials(n: int = 115) -> tuple[xr.Dataset, pd.DataFrame]:
    """Return epochs that began at 100 and 1000 s, and events every second of both, of 5 kinds."""
    starts = xr.Dataset(
        {"start": (("session", "phase"), [[100.0, 1000.0], [100.0, np.nan]])},
        {"session": ["s0", "s1"], "phase": ["pre", "post"]},
    )
    onset = np.concatenate([100.0 + np.arange(n), 1000.0 + np.arange(n)])
    table = pd.DataFrame({"start": onset, "contrast": np.tile(np.arange(5), 2 * n // 5)})
    return starts, pd.concat([table.assign(session=s) for s in ("s0", "s1")])


def test_events_are_counted_in_their_bins(ds: xr.Dataset) -> None:
    epochs, events = trials()
    how = {"match_rates": False, "n_shifts": 0, "apart": 0, "window": "0.5 s"}
    shuffled = events.sample(frac=1, random_state=0)
    out = correlations(ds, kind="noise", events=shuffled, epochs=epochs, **how)
    x = ds.counts.values[:N, 1]
    y = np.stack([x[:, 10 * i : 10 * i + 5].sum(axis=1) for i in range(115)], axis=1)
    code = np.tile(np.arange(5), 23)
    residual = y - np.stack([y[:, code == k].mean(axis=1) for k in range(5)], axis=1)[:, code]
    r = np.corrcoef(residual)[np.triu_indices(N, 1)].mean()
    assert out.correlation.sel(session="s0", phase="post").item() == pytest.approx(r)
    assert out.note.sel(session="s1").values.tolist() == ["", "no events"]
    means = [
        np.stack([y[:, np.flatnonzero(code == k)[h::2]].mean(axis=1) for k in range(5)], axis=1)
        for h in (0, 1)
    ]
    joint = np.corrcoef(*means)[:N, N:]
    signal = correlations(ds, kind="signal", events=events, epochs=epochs, **how)
    expected = ((joint + joint.T) / 2)[np.triu_indices(N, 1)].mean()
    assert signal.correlation.sel(session="s0", phase="post").item() == pytest.approx(expected)
    # bins that were left out at the start, the start of epochs by unit
    cut = ds.isel(time=slice(20, None)).assign(
        start=epochs.start.sel(session=ds.session).drop_vars("session")
    )
    mine = correlations(cut, kind="noise", events=events[events.start % 100 >= 2], **how)
    later = correlations(
        ds, kind="noise", events=events[events.start % 100 >= 2], epochs=epochs, **how
    )
    xr.testing.assert_allclose(mine.correlation, later.correlation)
    one = ds.sel(phase="post")
    alone = correlations(one, kind="noise", events=events, epochs=epochs, **how)
    xr.testing.assert_allclose(alone.correlation, out.correlation.sel(phase="post"))


def test_epochs_without_events_are_not_compared(ds: xr.Dataset) -> None:
    epochs, events = trials()
    out = correlations(
        ds, kind="noise", events=events[events.start < 500], epochs=epochs, within="area", **HOW
    )
    assert np.isnan(out.correlation.sel(phase="post")).all()
    rate = out.rate.sel(session="s0", phase="pre", source="b", target="b")
    assert rate.item() == pytest.approx(8, rel=0.1)  # nothing to match it to


def test_shared_noise_and_tuning_are_told_apart() -> None:
    epochs, events = trials()
    rng = np.random.default_rng(5)
    ds = dataset().isel(unit=slice(0, N))
    drive = np.tile([0.0, 1.0, 2.0, 3.0, 4.0], 23)
    mean = np.concatenate([drive, np.zeros(5)]) + 2
    gains = rng.gamma(2, 0.5, (2, 120))
    tuned = ds.area.values == "b"
    level = np.where(tuned[:, None, None], mean, 4 * gains[None])
    counts = rng.poisson(level.repeat(10, axis=-1) / 10)
    ds = ds.assign(counts=(ds.counts.dims, counts.astype(np.float32)))
    how: dict[str, Any] = {"events": events[events.session == "s0"], "epochs": epochs}
    how |= {"within": "area", "apart": 0, "rng": 0, "draws": 1}
    noise = correlations(ds, kind="noise", **how).correlation.sel(session="s0")
    signal = correlations(ds, kind="signal", **how).correlation.sel(session="s0")
    assert (abs(noise.sel(source="b", target="b")) < 0.06).all()
    # r = m v / (1 + m v), v = 1/2, m = 4
    np.testing.assert_allclose(noise.sel(source="a", target="a"), 2 / 3, atol=0.12)
    assert (signal.sel(source="b", target="b") > 0.6).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "both"}, "correlations, kind"),
        ({"kind": "noise"}, "kind='noise' without events"),
        ({"events": trials()[1]}, "kind='total' with events"),
        ({"within": "area", "across": "session"}, "the same label"),
        ({"within": "region"}, "distinct labels on unit"),
        ({"window": 0.25}, "a whole number of bins of 0.1 s"),
        ({"apart": -1}, "correlations, apart"),
        ({"min_units": 1}, "correlations, min_units"),
        ({"n_shifts": -1}, "correlations, n_shifts"),
        ({"draws": 0}, "correlations, draws"),
        ({"detrend": 0.0}, "correlations, detrend"),
        ({"kind": "noise", "events": trials()[1]}, "Pass epochs=lsdx.open_epochs"),
        ({"kind": "noise", "events": trials()[1], "stimulus": "colour"}, "no colour"),
        (
            {"kind": "noise", "events": trials()[1].assign(session="x"), "epochs": trials()[0]},
            "sessions of the units, such as 's0'",
        ),
        (
            {"kind": "noise", "events": trials()[1].assign(provenance="rig_clock")},
            "rig clock",
        ),
    ],
)
def test_wrong_arguments_are_refused(ds: xr.Dataset, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        correlations(ds, **options)


def test_counts_that_are_not_whole_are_not_thinned_and_this_is_said(ds: xr.Dataset) -> None:
    halved = ds.assign(counts=ds.counts * 0.5)
    for method in (correlations, population_coupling):
        assert "rates not matched: counts are not whole" in method(halved, **HOW).note.values
        assert method(halved, match_rates=False).note.isin([""]).any()


def test_sessions_are_not_mixed(ds: xr.Dataset) -> None:
    with pytest.raises(SelectionError, match="Add 'session' to by"):
        population_coupling(ds, by="area")


def test_labels_that_are_blank_are_left_out(ds: xr.Dataset) -> None:
    some = ds.assign_coords(area=ds.area.where(ds.area == "a", ""))
    out = correlations(some, within="area", **HOW)
    assert out.source.values.tolist() == ["a"]
    with pytest.raises(SelectionError, match="blanks alone"):
        correlations(ds.assign_coords(area=("unit", [""] * 2 * N)), within="area")


def test_results_say_what_they_are(ds: xr.Dataset) -> None:
    out = correlations(ds, within="area", **HOW)
    assert all("long_name" in v.attrs for v in out.data_vars.values())
    assert out.rate.attrs["units"] == "Hz"
    assert (out.attrs["counted_in"], out.attrs["detrend"], out.attrs["apart"]) == (1, "half", 50)


@pytest.mark.parametrize("method", [correlations, population_coupling])
def test_a_window_longer_than_the_epoch_is_told(ds: xr.Dataset, method: Any) -> None:
    found = method(ds, window="100000 s")
    value = "correlation" if method is correlations else "coupling"
    assert found[value].isnull().all()
    assert (found.note != "").all()
