"""States of simulated sessions: those put in, with the same numbers in both phases."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest
import xarray as xr

from lsdx.analysis.states import states
from lsdx.errors import ArgumentError, MissingPackage, SelectionError
from tests.kernels.test_states import moves, series

pytest.importorskip("hmmlearn")

N_BINS, N_UNITS = 300, 40
P = moves(3, 0.95)


def chain(rng: np.random.Generator, n: int, start: int) -> np.ndarray:
    state = np.full(n, start)
    for t in range(1, n):
        state[t] = rng.choice(3, p=P[state[t - 1]])
    return state


def cohort(n_sessions: int = 2) -> tuple[xr.Dataset, np.ndarray]:
    """Counts whose three states shift the units' rates, and the states (session, phase, time).

    The same states in both phases, which begin in others.
    """
    counts, true = [], []
    for s in range(n_sessions):
        rng = np.random.default_rng([5, s])
        level = rng.lognormal(1.5, 0.5, (N_UNITS, 1))
        shift = rng.normal(0, 0.7, (N_UNITS, 3))
        own = np.stack([chain(rng, N_BINS, start) for start in (0, 2)])
        true.append(own)
        counts.append(np.stack([rng.poisson(level * np.exp(shift[:, p])) for p in own], axis=1))
    name = np.repeat([f"s{i}" for i in range(n_sessions)], N_UNITS).astype(object)
    ds = xr.Dataset(
        {"counts": (("unit", "phase", "time"), np.concatenate(counts).astype(np.float32))},
        {
            "unit": [f"{s}-{i}" for i, s in enumerate(name)],
            "session": ("unit", name),
            "subject": ("unit", name),
            "phase": ["pre", "post"],
            "time": np.arange(N_BINS) + 0.5,
        },
        {"bin_width": 1.0},
    )
    return ds, np.stack(true)


@pytest.fixture(scope="module")
def made() -> tuple[xr.Dataset, np.ndarray]:
    return cohort()


@pytest.fixture(scope="module")
def found(made: tuple[xr.Dataset, np.ndarray]) -> xr.Dataset:
    return states(made[0], max_states=5, starts=5, rng=0)


def test_states_have_the_same_numbers_in_both_phases(
    made: tuple[xr.Dataset, np.ndarray], found: xr.Dataset
) -> None:
    assert (found.n_states == 3).all()
    assert found.converged.all()
    assert (found.note == "").all()
    for own, true in zip(found.state.values, made[1], strict=True):
        name = [np.bincount(own[0][true[0] == i], minlength=4).argmax() for i in range(3)]
        assert sorted(name) == [1, 2, 3]
        assert (own == np.array(name)[true]).mean() > 0.95  # one naming for both phases
    occupancy = found.occupancy.sel(phase="pre", number=[1, 2, 3])
    assert (occupancy.diff("number") <= 0).all()
    assert found.occupancy.sel(number=[4, 5]).isnull().all()
    assert found.match_distance.sel(phase="pre").isnull().all()
    assert (found.match_distance.sel(phase="post", number=[1, 2, 3]) < 2).all()
    assert found.subject.dims == ("session",)
    assert found.n_units.values.tolist() == [N_UNITS] * 2


def test_measures_follow_from_the_sequence(found: xr.Dataset) -> None:
    for at in np.ndindex(2, 2):
        one = found.isel(session=at[0], phase=at[1])
        s = one.state.values
        share = np.array([(s == k).mean() for k in (1, 2, 3)])
        np.testing.assert_allclose(one.occupancy[:3], share)
        assert one.occupancy_entropy.item() == pytest.approx(-(share * np.log2(share)).sum())
        assert one.switch_rate.item() == pytest.approx((s[1:] != s[:-1]).sum() / (N_BINS - 1))
        runs = np.split(s, np.flatnonzero(np.diff(s)) + 1)
        dwell = [np.mean([len(r) for r in runs if r[0] == k]) for k in (1, 2, 3)]
        np.testing.assert_allclose(one.dwell_time[:3], dwell)
        p = one.transition[:3, :3].values
        np.testing.assert_allclose(p.sum(axis=1), 1)
        assert one.transition.isnull().sum() == 25 - 9
        long = np.linalg.matrix_power(p, 2000)[0]
        rate = -(long[:, None] * p * np.log2(p)).sum()
        assert one.entropy_rate.item() == pytest.approx(rate)
    assert found.switch_rate.attrs["units"] == "Hz"
    # over both phases together scores have mean 0
    mean = found["mean"].isel(number=slice(3))
    total = (mean * found.occupancy.isel(number=slice(3))).sum("number").mean("phase")
    np.testing.assert_allclose(total, 0, atol=0.02)


def test_the_same_seed_gives_the_same_however_data_lie(
    made: tuple[xr.Dataset, np.ndarray], found: xr.Dataset
) -> None:
    ds = made[0]
    lazy = states(ds.chunk(unit=7, phase=1), max_states=5, starts=5, rng=0)
    assert hasattr(lazy.state.data, "dask")
    xr.testing.assert_identical(lazy.compute(), found)
    alone = states(ds.isel(unit=ds.session == "s1"), max_states=5, starts=5, rng=0)
    xr.testing.assert_identical(alone.isel(session=0), found.isel(session=1))
    again = states(ds, max_states=5, starts=5, rng=int(found.attrs["seed"]))
    xr.testing.assert_identical(again, found)


def test_one_state_is_found_in_noise() -> None:
    rng = np.random.default_rng(8)
    ds = cohort(1)[0]
    ds["counts"] = ds.counts.copy(data=rng.normal(10, 1, ds.counts.shape))
    found = states(ds, max_states=4, rng=0)
    assert (found.n_states == 1).all()
    assert (found.state == 1).all()
    assert (found.switch_rate == 0).all()
    assert found.transition.sel(number=1, to=1).values.tolist() == [[1.0, 1.0]]


def test_a_phase_with_more_states_has_further_numbers() -> None:
    x, two = series(21, N_BINS, 2, 5, apart=5)
    ds = cohort(1)[0].isel(unit=slice(5))
    mean = x[two == 0].mean(axis=0), x[two == 1].mean(axis=0)
    far = np.array(mean)[two] + np.random.default_rng(1).normal(size=x.shape)
    far[:60] += 8 * np.array([1, -1, 1, -1, 1])  # a state that the first phase lacks
    ds["counts"] = ds.counts.copy(data=20 + np.stack([x.T, far.T], axis=1))
    found = states(ds, max_states=4, starts=4, rng=0).isel(session=0)
    assert found.n_states.values.tolist() == [2, 3]
    pre, post = found.state.values
    assert (post[:60] == 3).mean() > 0.95
    np.testing.assert_array_equal(pre[two == 0][0] == pre, two == 0)
    assert (post[60:] == pre[60:]).mean() > 0.95
    assert found.match_distance.isnull().values.tolist() == [[True] * 4, [False] * 2 + [True] * 2]
    turned = states(ds.isel(phase=[1, 0]), max_states=4, starts=4, rng=0).isel(session=0)
    assert turned.occupancy.sel(phase="pre").notnull().sum() == 2


def test_gaps_silence_and_few_bins_are_told(made: tuple[xr.Dataset, np.ndarray]) -> None:
    ds = made[0]
    short = ds.assign(counts=ds.counts.where((ds.phase == "pre") | (ds.time < 20)))
    found = states(short, n_states=3, starts=2, rng=0)
    assert found.note.values.tolist() == [["", "20 bins, fewer than 10 a state"]] * 2
    assert (found.state.sel(phase="post") == -1).all()
    assert found.occupancy.sel(phase="post").isnull().all()
    few = states(short, max_states=2, starts=2, n_folds=5, gap=5, rng=0)
    words = "20 bins, too few for 5 folds and their gaps"
    assert few.note.sel(phase="post").values.tolist() == [words] * 2
    gone = ds.assign(counts=ds.counts.where(ds.session == "s0"))
    gone["counts"] = gone.counts.where(gone.phase == "pre")
    unseen = states(gone, n_states=2, starts=2, rng=0)
    none = "no bin observed for all units"
    assert unseen.note.values.tolist() == [["", none], [none, none]]
    one = states(ds.isel(unit=[0, 50]), n_states=2, starts=2, rng=0)
    assert (one.note == "1 units, fewer than 2").all()
    silent = states(ds.where(ds.session == "s0", 0 * ds), n_states=2, starts=2, rng=0)
    assert (silent.note.sel(session="s1") == "0 units, fewer than 2").all()
    flat = states(ds.assign(counts=0 * ds.counts + 3), n_states=2, starts=2, rng=0)
    assert (flat.note == "none of the units varies").all()
    still = ds.copy(deep=True)
    still.counts[:10] = 0
    kept = states(still, n_states=2, starts=2, rng=0)
    assert kept.n_units.values.tolist() == [N_UNITS - 10, N_UNITS]
    rest = states(still.isel(unit=slice(10, None)), n_states=2, starts=2, rng=0)
    np.testing.assert_array_equal(kept.n_states, rest.n_states)


def behaviour(made: tuple[xr.Dataset, np.ndarray]) -> xr.Dataset:
    """Five features that follow the states, one never observed, bins missing."""
    rng = np.random.default_rng(9)
    level = rng.normal(0, 3, (3, 5))
    values = level[made[1]] + rng.normal(size=(2, 2, N_BINS, 5))
    values = np.concatenate([values, np.full((2, 2, N_BINS, 1), np.nan)], axis=-1)
    values[0, 0, 100:110, 2] = np.nan
    ds = made[0]
    return xr.Dataset(
        {"behavior": (("session", "phase", "time", "feature"), values)},
        {
            "session": ["s0", "s1"],
            "phase": ds.phase,
            "time": ds.time,
            "feature": ["a", "b", "c", "d", "e", "tongue"],
        },
        {"bin_width": 1.0},
    ).transpose("session", "feature", "phase", "time")


def test_states_of_behaviour(made: tuple[xr.Dataset, np.ndarray]) -> None:
    ds, b = made[0], behaviour(made)
    found = states(ds, on=b.isel(session=[1, 0]), max_states=4, starts=4, rng=0)
    assert found.session.values.tolist() == ["s0", "s1"]
    assert (found.n_states == 3).all()
    assert (found.note == "1 features not observed, left out").all()
    assert found.n_features.values.tolist() == [5, 5]
    assert found["mean"].sel(feature="tongue").isnull().all()
    assert found["mean"].sel(feature="a", number=[1, 2, 3]).notnull().all()
    assert (found.state[0, 0] == -1).values.nonzero()[0].tolist() == list(range(100, 110))
    for own, true in zip(found.state.values, made[1], strict=True):
        name = np.array([np.bincount(own[1][true[1] == i]).argmax() for i in range(3)])
        seen = own > 0
        assert (own == name[true])[seen].mean() > 0.95
    lazy = states(ds.chunk(unit=9), on=b.chunk(feature=2, time=50), max_states=4, starts=4, rng=0)
    assert hasattr(lazy.state.data, "dask")
    xr.testing.assert_identical(lazy.compute(), found)
    lacking = states(ds, on=b.isel(session=[0]), n_states=3, starts=2, rng=0)
    assert (lacking.note.sel(session="s1") == "no bin observed for all features").all()
    # of one phase alone
    pre = states(ds.sel(phase="pre"), on=b, n_states=3, starts=2, rng=0)
    assert pre.state.dims == ("session", "time")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_states": 0}, "n_states: expected a whole number of at least 1"),
        ({"n_states": 31}, "n_states: expected at most a tenth of the 300 bins, found 31"),
        ({"on": "behavior"}, 'on: expected "units" or a Dataset'),
        ({"on": xr.Dataset({"speed": 1})}, "expected behavior"),
        ({"gap": "-1 s"}, "gap: expected a time from 0"),
        ({"n_folds": 1}, "n_folds: expected a whole number of at least 2"),
        ({"starts": 0}, "starts: expected"),
        ({"by": "region"}, "labels on unit"),
    ],
)
def test_wrong_arguments_are_refused(
    made: tuple[xr.Dataset, np.ndarray], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ArgumentError, match=words):
        states(made[0], **options)


def test_behaviour_in_other_bins_is_refused(made: tuple[xr.Dataset, np.ndarray]) -> None:
    ds, b = made[0], behaviour(made)
    wide = b.coarsen(time=2).mean()
    with pytest.raises(SelectionError, match="bins of 1 s, the counts' own, found bins of 2 s"):
        states(ds, on=wide)
    with pytest.raises(SelectionError, match="phase of the behavior, of pre, found 'post'"):
        states(ds, on=b.sel(phase=["pre"]))
    with pytest.raises(SelectionError, match="behavior over phase"):
        states(ds, on=b.isel(phase=0))
    with pytest.raises(SelectionError, match="'session' for behaviour"):
        states(ds, on=b, by=["session", "subject"])


def test_hmmlearn_is_asked_for(
    made: tuple[xr.Dataset, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("hmmlearn"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackage, match=r"hmmlearn.*lsdx\[states\]"):
        states(made[0])
