"""Labels of events decoded from spikes: what is found, what is refused, what never changes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

import lsdx
from lsdx.analysis.decoding import decode
from lsdx.errors import ArgumentError, SelectionError
from lsdx.kernels.decoding import cross_validated
from lsdx.kernels.discriminants import weights

N_UNITS, N_TRIALS = 20, 160  # trials a phase


def spikes_of(
    counts: np.ndarray, start: np.ndarray, session: str, rng: np.random.Generator
) -> list[np.ndarray]:
    """Return trains that have so many spikes (n_units, n_events) within .3 s of each event."""
    trains = []
    for row in counts:
        at = np.repeat(start, row)
        trains.append(np.sort(at + rng.uniform(0.001, 0.299, at.size)).round(5))
    return trains


def cohort(trains: list[np.ndarray], sessions: list[str]) -> xr.Dataset:
    size = np.array([len(t) for t in trains])
    whole = np.concatenate(trains)
    labels = {
        "session": sessions,
        "insertion": sessions,
        "region": [f"r{i % 2}" for i in range(len(size))],
        "condition": ["lsd" if s == "a" else "saline" for s in sessions],
        "z": np.arange(len(size), dtype=float),
    }
    return xr.Dataset(
        {
            "spike_time": ("spike", whole),
            "duplicate": ("spike", np.zeros(whole.size, dtype=bool)),
            "row_size": ("unit", size),
            "row_start": ("unit", np.cumsum(size) - size),
            "last_spike": ("unit", np.full(len(size), whole.max())),
            "has_duplicate_mask": ("unit", np.zeros(len(size), dtype=bool)),
        },
        {
            "unit": [f"{s}{i}" for i, s in enumerate(sessions)],
            "phase": ["pre", "post"],
            **{n: ("unit", v) for n, v in labels.items()},
        },
    )


@pytest.fixture(scope="module")
def two() -> tuple[xr.Dataset, xr.Dataset, dict[str, np.ndarray]]:
    """Two sessions: counts of ``a`` tell the side before alone, those of ``b`` never."""
    rng = np.random.default_rng(0)
    start = np.r_[10 + 1.5 * np.arange(N_TRIALS), 2000 + 1.5 * np.arange(N_TRIALS)]
    phase = np.repeat(["pre", "post"], N_TRIALS)
    trains, columns, counts = [], [], {}
    for name in ("a", "b"):
        side = rng.choice(["left", "right"], start.size)
        rate = np.full((N_UNITS, start.size), 3.0)
        if name == "a":
            rate[:5] += 3 * ((side == "right") & (phase == "pre"))
        counts[name] = rng.poisson(rate)
        trains += spikes_of(counts[name], start, name, rng)
        columns.append((start, [name] * start.size, side, phase))
    joined = [np.concatenate(c) for c in zip(*columns, strict=True)]
    names = ("session", "side", "phase")
    events = xr.Dataset(
        {"start": ("event", joined[0])},
        {n: ("event", v) for n, v in zip(names, joined[1:], strict=True)},
    )
    sessions = ["a"] * N_UNITS + ["b"] * N_UNITS
    return cohort(trains, sessions), events, counts


def test_what_tells_the_side_is_found(two: Any) -> None:
    ds, events, counts = two
    found = decode(ds, events=events, rng=0)
    assert found.accuracy.dims == ("session", "phase")
    assert found.phase.values.tolist() == ["pre", "post"]
    assert found.condition.values.tolist() == ["lsd", "saline"]
    assert found.attrs["classes"] == "left, right"
    assert found.attrs["chance"] == 0.5
    code = (events.side.values == "right").astype(int)
    x = counts["a"][:, :N_TRIALS].T.astype(float)
    first = found.sel(session="a", phase="pre")
    assert first.accuracy == cross_validated(x, code[None, :N_TRIALS], 5, 2)[0]
    # of five units the sum is Poisson of 15 and 30: the root's d' is about 2 (30**.5 - 15**.5)
    assert first.accuracy.item() == pytest.approx(norm.cdf(30**0.5 - 15**0.5), abs=0.06)
    assert first.p == 1 / 200
    assert first.accuracy_z > 5
    assert (found.p.values.ravel()[1:] > 0.01).all()
    np.testing.assert_allclose(found.accuracy.values.ravel()[1:], 0.5, atol=0.12)
    np.testing.assert_allclose(found.null_mean, 0.5, atol=0.03)
    assert (found.n_trials == N_TRIALS).all()
    assert (found.n_units == N_UNITS).all()
    mine = found.weights.isel(unit=slice(N_UNITS)).sel(phase="pre")
    np.testing.assert_allclose(mine, weights(x, code[:N_TRIALS]))
    assert mine[:5].min() > mine[5:].max()
    assert found.unit_session.values.tolist() == ds.session.values.tolist()
    assert (found.note == "").all()
    assert all(v.attrs["long_name"] for v in found.data_vars.values())


def test_learned_in_one_phase_it_is_tested_in_the_other(two: Any) -> None:
    ds, events, counts = two
    found = decode(ds, events=events, n_permutations=0, rng=0)
    cross = found.cross_accuracy
    for phase in ("pre", "post"):
        within = found.accuracy.sel(phase=phase)
        np.testing.assert_array_equal(cross.sel(train=phase, test=phase), within)
    np.testing.assert_allclose(cross.sel(session="a", train="pre", test="post"), 0.5, atol=0.1)
    assert "p" not in found
    # where one phase is shorter, as much of the other is used
    short = events.isel(event=~((events.phase == "post") & (events.start > 2120)))
    fewer = decode(ds, events=short, n_permutations=0, rng=0).sel(session="a")
    n = int(((short.phase == "post") & (short.session == "a")).sum())
    code = (events.side.values == "right").astype(int)
    x = counts["a"][:, :n].T.astype(float)
    expected = cross_validated(x, code[None, :n], 5, 2)[0]
    assert fewer.cross_accuracy.sel(train="pre", test="pre") == expected
    assert fewer.n_trials.values.tolist() == [N_TRIALS, n]


def test_the_curve_rises_to_all_units(two: Any) -> None:
    ds, events, _ = two
    found = decode(ds, events=events, units=[1, 5, 20, 30], draws=6, n_permutations=0, rng=3)
    curve = found.curve.sel(session="a", phase="pre")
    assert curve.n_units_used.values.tolist() == [1, 5, 20, 30]
    assert curve[0] < curve[1] < curve[2]
    assert curve[2].item() == pytest.approx(found.accuracy.sel(session="a", phase="pre").item())
    assert np.isnan(curve[3])
    assert decode(ds, events=events, n_permutations=0).n_units_used.values.tolist() == [10, 20]
    assert "curve" not in decode(ds, events=events, n_permutations=0, units=[])


def test_neither_order_nor_chunks_nor_others_change_a_number(two: Any) -> None:
    ds, events, _ = two
    options: dict[str, Any] = {"n_permutations": 19, "rng": 1, "units": [10], "draws": 2}
    whole = decode(ds, events=events, **options)
    order = np.random.default_rng(1).permutation(2 * N_UNITS)
    turned = decode(ds.isel(unit=order), events=events, **options).sel(session=["a", "b"])
    for name in ("accuracy", "p", "curve", "cross_accuracy", "null_mean"):
        xr.testing.assert_allclose(turned[name], whole[name])
    xr.testing.assert_allclose(turned.weights.sel(unit=ds.unit.values), whole.weights)
    alone = decode(ds.isel(unit=slice(N_UNITS, None)), events=events, **options)
    xr.testing.assert_identical(alone.accuracy, whole.accuracy.sel(session=["b"]))
    xr.testing.assert_identical(alone.p, whole.p.sel(session=["b"]))
    shuffled = events.isel(event=np.random.default_rng(2).permutation(events.sizes["event"]))
    xr.testing.assert_allclose(
        decode(ds, events=shuffled, **options).sel(phase=["pre", "post"]), whole
    )
    for size in (1000, 7001):
        lazy = decode(ds.chunk(spike=size), events=events, **options)
        assert all(hasattr(v.data, "dask") for v in lazy.data_vars.values())
        xr.testing.assert_allclose(lazy.compute(), whole)
    assert whole.attrs["seed"] == "1"
    table = events.to_dataframe()
    xr.testing.assert_identical(decode(ds, events=table, **options), whole)


def test_groups_within_sessions(two: Any) -> None:
    ds, events, _ = two
    found = decode(ds, events=events, by=["session", "region"], n_permutations=0, rng=0)
    assert found.accuracy.dims == ("session", "region", "phase")
    assert (found.n_units == N_UNITS // 2).all()
    one = decode(ds.isel(unit=ds.region == "r1"), events=events, n_permutations=0, rng=0)
    np.testing.assert_array_equal(found.accuracy.sel(region="r1"), one.accuracy)
    with pytest.raises(SelectionError, match="Add 'session' to by"):
        decode(ds, events=events, by="region")


def test_more_values_than_two(two: Any) -> None:
    ds, events, counts = two
    third = np.where(np.arange(events.sizes["event"]) % 3 == 0, "up", events.side.values)
    found = decode(ds, events=events.assign_coords(side=("event", third)), n_permutations=9, rng=0)
    assert found.attrs["chance"] == pytest.approx(1 / 3)
    assert "weights" not in found
    assert "unit" not in found.dims
    code = np.unique(third[:N_TRIALS], return_inverse=True)[1]
    expected = cross_validated(counts["a"][:, :N_TRIALS].T.astype(float), code[None], 5, 3)[0]
    assert found.accuracy.sel(session="a", phase="pre") == expected
    np.testing.assert_allclose(found.null_mean, 1 / 3, atol=0.05)
    number = decode(ds, events=events.assign(x=("event", third == "up")), label="x", rng=0)
    assert number.attrs["classes"] == "False, True"


def test_what_cannot_be_decoded_is_nan_with_a_note(two: Any) -> None:
    ds, events, _ = two
    is_post = (events.phase == "post").values
    mine = (events.session == "a").values
    left = (events.side == "left").values
    keep = {
        "no events": ~(mine & is_post),
        "one label alone": ~(mine & is_post & left),
        "trials of a label, fewer than min_trials=5": ~(mine & is_post)
        | (events.start.values < 2007),
        "a label in one fold alone": ~(mine & is_post & left & (events.start.values > 2020)),
    }
    for words, chosen in keep.items():
        few = decode(ds, events=events.isel(event=chosen), n_permutations=9, min_trials=5, rng=0)
        assert few.note.sel(session="a", phase="post").item().endswith(words), words
        assert few.note.sel(session="a", phase="pre") == ""
        for name in ("accuracy", "p", "null_mean", "accuracy_z", "curve"):
            assert few[name].sel(session="a", phase="post").isnull().all()
            assert few[name].sel(session="a", phase="pre").notnull().all()
        assert few.cross_accuracy.sel(session="a").notnull().values.tolist() == [
            [True, False],
            [False, False],
        ]
    none = decode(ds, events=events.isel(event=~mine), n_permutations=9, rng=0)
    assert none.note.sel(session="a").values.tolist() == ["no events"] * 2
    many = decode(ds, events=events, min_units=21, n_permutations=9, rng=0)
    assert (many.note == "20 units, fewer than min_units=21").all()
    assert many.weights.isnull().all()
    nobody = decode(ds.isel(unit=[]), events=events, rng=0)
    assert nobody.accuracy.shape == (0, 2)
    silent = ds.assign(row_size=ds.row_size.where(ds.unit != "a0", 0))
    quiet = decode(silent, events=events, n_permutations=0, rng=0)
    assert quiet.n_units.values.tolist() == [N_UNITS - 1, N_UNITS]
    assert quiet.weights.sel(unit="a0").isnull().all()


def test_trials_that_were_not_recorded_are_left_out(two: Any) -> None:
    ds, events, _ = two
    ended = ds.assign(last_spike=ds.last_spike.where(ds.unit != "a3", 2100.0))
    found = decode(ended, events=events, n_permutations=0, rng=0).n_trials
    n = int((np.round(2000 + 1.5 * np.arange(N_TRIALS) + 0.3, 5) <= 2101).sum())
    assert found.values.tolist() == [[N_TRIALS, n], [N_TRIALS, N_TRIALS]]
    blank = events.assign_coords(phase=events.phase.where(events.start > 100, ""))
    less = decode(ds, events=blank, n_permutations=0, rng=0)
    assert less.phase.values.tolist() == ["pre", "post"]
    assert less.n_trials.sel(phase="pre").values.tolist() == [N_TRIALS - 61] * 2
    every = decode(ds, events=events.drop_vars("phase"), n_permutations=0, rng=0)
    assert every.phase.values.tolist() == ["all"]
    assert (every.n_trials == 2 * N_TRIALS).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_folds": 1}, "n_folds: expected a whole number of at least 2"),
        ({"n_blocks": 7}, "n_blocks: expected a multiple of n_folds=5, found 7"),
        ({"n_permutations": -1}, "n_permutations: expected a whole number"),
        ({"units": [0]}, "units: expected a whole number of at least 1"),
        ({"min_trials": 1}, "min_trials: expected a whole number of at least 2"),
        ({"window": ("1 s", "0 s")}, "window: expected a start and a later stop"),
        (
            {"label": "colour"},
            "label='colour': expected a label of the events, found start, session",
        ),
    ],
)
def test_wrong_arguments_are_refused(two: Any, options: dict[str, Any], words: str) -> None:
    ds, events, _ = two
    with pytest.raises(ArgumentError, match=words):
        decode(ds, events=events, **options)


def test_events_that_do_not_fit_are_refused(two: Any) -> None:
    ds, events, _ = two
    with pytest.raises(SelectionError, match="decode, events: expected sessions of the units"):
        decode(ds, events=events.assign_coords(session=("event", ["x"] * events.sizes["event"])))
    with pytest.raises(SelectionError, match="two values or more, found 'left' alone"):
        decode(ds, events=events.isel(event=events.side == "left"))
    with pytest.raises(SelectionError, match="a value of each event, found blank for"):
        decode(ds, events=events.assign_coords(side=events.side.where(events.start > 100, "")))
    with pytest.raises(SelectionError, match="decode: expected spikes of whole recordings"):
        decode(ds.sel(phase=["pre"]), events=events)
    with pytest.raises(SelectionError, match="decode, events: expected session, start"):
        decode(ds, events=events.drop_vars("session"))
    with pytest.raises(SelectionError, match="decode, events: expected times on the spike clock"):
        decode(
            ds,
            events=events.assign(provenance=("event", ["rig_clock"] * events.sizes["event"])),
        )
    with pytest.raises(SelectionError, match="spike times"):
        decode(ds.drop_vars("spike_time"), events=events)


def test_the_demos_sides_are_decoded(demo_stores: Any) -> None:
    gabors = lsdx.open_events(demo_stores).lsd.select(kind="gabor", contrast=(0.1, None))
    spikes = lsdx.open_spikes(demo_stores)
    found = spikes.lsd.decode(events=gabors, n_permutations=19, units=[], rng=0).compute()
    told = found.accuracy - found.null_mean
    assert told.mean() > 0.03
    assert (found.note.where(found.accuracy.isnull(), "") == found.note).all()
