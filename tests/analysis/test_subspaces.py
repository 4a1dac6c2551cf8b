"""How subspaces turn: with time alone, with rates, with a change of the population."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.signal import lfilter

from lsdx.analysis.subspaces import subspaces
from lsdx.errors import ArgumentError
from lsdx.kernels.spectra import principal_components
from lsdx.kernels.subspaces import subspace_similarity

N_BEFORE, N_AFTER, WIDTH, BIN = 6, 12, 150.0, 0.5


def session(
    rng: np.random.Generator,
    *,
    n: int = 60,
    rates: tuple[float, float] = (5.0, 5.0),
    drift: float = 0.0,
    state: float = 0.0,
    turn: float = 0.0,
) -> np.ndarray:
    """Counts (n_units, n_windows, n_bins) of four latents: 900 s before and 1,800 s after 0.

    Loadings are replaced in part ``turn`` at 0, and keep exp(-t / drift) of what they were; a
    fifth latent of size ``state`` after 0.
    """
    n_bins, keep = round(WIDTH / BIN), np.exp(-WIDTH / drift) if drift else 1.0
    loadings, other = rng.normal(size=(2, n, 4))
    own, base = rng.normal(size=n), rng.lognormal(0, 0.4, n)
    out = []
    for w in range(N_BEFORE + N_AFTER):
        loadings = keep * loadings + np.sqrt(1 - keep**2) * rng.normal(size=(n, 4))
        after = w >= N_BEFORE
        now = np.sqrt(1 - turn) * loadings + np.sqrt(turn) * other if after else loadings
        latent = lfilter([1], [1, -np.exp(-BIN)], rng.normal(size=(5, n_bins + 20)))[:, 20:]
        latent *= np.sqrt(1 - np.exp(-2 * BIN))
        x = now @ latent[:4] * 0.25 + (state * np.outer(own, latent[4]) if after else 0)
        out.append(rng.poisson(base[:, None] * rates[after] * np.exp(x) * BIN))
    return np.stack(out, axis=1).astype(np.float32)


def dataset(counts: list[np.ndarray], **coords: Any) -> xr.Dataset:
    """Return sessions' counts (unit, cell, time), the cells' dimension being the coordinate's."""
    ((dim, labels),) = coords.items()
    name = np.repeat([f"s{i}" for i in range(len(counts))], [len(c) for c in counts])
    return xr.Dataset(
        {"counts": (("unit", dim, "time"), np.concatenate(counts))},
        {
            "unit": [f"{s}-{i}" for i, s in enumerate(name)],
            "session": ("unit", name.astype(object)),
            dim: labels,
        },
        {"bin_width": BIN},
    )


def as_windows(counts: list[np.ndarray]) -> xr.Dataset:
    centres = (np.arange(N_BEFORE + N_AFTER) - N_BEFORE + 0.5) * WIDTH
    return dataset(counts, window=centres).assign_attrs(width=WIDTH)


def as_phases(counts: list[np.ndarray]) -> xr.Dataset:
    """Return two epochs of two windows, 22.5 min apart."""
    cut = [
        np.stack([c[:, s].reshape(len(c), -1) for s in (np.s_[3:5], np.s_[12:14])], 1)
        for c in counts
    ]
    return dataset(cut, phase=["pre", "post"])


def excess(counts: list[np.ndarray], match_rates: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return by session how much more alike those of one side are: of quarters, and of windows."""
    how: dict[str, Any] = {"match_rates": match_rates, "rng": 0}
    p = subspaces(as_phases(counts), **how)
    w = subspaces(as_windows(counts), between="window", **how)
    quarters = p.similarity_within.mean(["phase", "lag"]) - p.similarity_between
    windows = (w.similarity_within.mean("side") - w.similarity_between).mean("lag")
    return quarters.values, windows.values


def basis(x: np.ndarray) -> np.ndarray:
    return principal_components(x.T, n_components=3)[1]


@pytest.fixture(scope="module")
def two() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [session(rng, n=30, rates=(5.0, 3.0)), session(rng, n=25)]


def test_quarters_are_compared_by_their_distance(two: list[np.ndarray]) -> None:
    ds = as_phases(two)
    found = subspaces(ds, n_components=3, match_rates=False).sel(session="s0")
    pre, post = (
        [basis(x[:, i : i + 150]) for i in range(0, 600, 150)]
        for x in ds.counts.values[:30].swapaxes(0, 1)
    )
    for lag in (1, 2, 3):
        for phase, parts in (("pre", pre), ("post", post)):
            pairs = [subspace_similarity(parts[i], parts[i + lag]) for i in range(4 - lag)]
            one = found.similarity_within.sel(phase=phase, lag=lag)
            np.testing.assert_allclose(one, np.mean(pairs))
    every = [subspace_similarity(a, b) for a in pre for b in post]
    np.testing.assert_allclose(found.similarity_between, np.mean(every))
    assert found.quarter.item() == 75


def test_windows_are_compared_by_their_distance(two: list[np.ndarray]) -> None:
    ds = as_windows(two)
    found = subspaces(ds, between="window", n_components=3, match_rates=False).sel(session="s1")
    bases = [basis(ds.counts.values[30:, i]) for i in range(18)]
    for steps in (1, 5, 6, 14):
        pairs: dict[str, list[float]] = {"before": [], "after": [], "between": []}
        for i in range(18 - steps):
            kind = "before" if i + steps < 6 else "after" if i >= 6 else "between"
            pairs[kind].append(subspace_similarity(bases[i], bases[i + steps]))
        expected = {k: np.mean(v) if v else np.nan for k, v in pairs.items()}
        at = found.sel(lag=steps * 150.0)
        np.testing.assert_allclose(at.similarity_between, expected["between"])
        for side in ("before", "after"):
            np.testing.assert_allclose(at.similarity_within.sel(side=side), expected[side])
    assert found.similarity_chance.item() == 3 / 25


def test_draws_belong_to_unit_and_labels(two: list[np.ndarray]) -> None:
    for ds, how in ((as_phases(two), {}), (as_windows(two), {"between": "window"})):
        whole = subspaces(ds, n_components=3, rng=1, draws=2, **how)
        one = subspaces(ds.isel(unit=slice(30, None)), n_components=3, rng=1, draws=2, **how)
        xr.testing.assert_allclose(one, whole.sel(session=["s1"]))
        turned = subspaces(
            ds.isel(unit=slice(None, None, -1)), n_components=3, rng=1, draws=2, **how
        )
        xr.testing.assert_allclose(turned.sel(session=whole.session), whole)
        lazy = subspaces(ds.chunk(unit=7), n_components=3, rng=1, draws=2, **how)
        assert hasattr(lazy.similarity_within.data, "dask")
        xr.testing.assert_allclose(lazy.compute(), whole)
        assert whole.attrs["seed"] == "1"


def test_windows_that_overlap_or_are_missing_are_not_compared(two: list[np.ndarray]) -> None:
    ds = as_windows(two)
    every = subspaces(ds.assign_attrs(width=300.0), between="window", n_components=3, rng=0)
    assert every.lag.values.min() == 300
    gone = ds.assign(counts=ds.counts.where(ds.window != ds.window[5]))
    found = subspaces(gone, between="window", n_components=3, match_rates=False)
    kept = subspaces(
        ds.isel(window=ds.window != ds.window[5]),
        between="window",
        n_components=3,
        match_rates=False,
    )
    xr.testing.assert_allclose(found.similarity_within, kept.similarity_within)
    # 75 s later one window lies across 0: it is on neither side
    moved = ds.assign_coords(window=ds.window + 75.0)
    options: dict[str, Any] = {"between": "window", "n_components": 3, "match_rates": False}
    beside = subspaces(moved.isel(window=moved.window != 0), **options)
    xr.testing.assert_allclose(subspaces(moved, **options), beside)
    assert (moved.window == 0).any()
    alone = subspaces(ds.isel(window=slice(6)), between="window", n_components=3, rng=0)
    assert alone.note.values.tolist() == ["no window after 0"] * 2
    assert alone.similarity_between.isnull().all()
    assert alone.similarity_within.sel(side="before").notnull().all()
    few = subspaces(ds, between="window", n_components=3, min_units=28, rng=0)
    assert few.note.values.tolist() == ["", "25 units, fewer than min_units=28"]
    assert few.similarity_within[1].isnull().all()
    unseen = ds.assign(counts=ds.counts.where(ds.session == "s0"))
    unseen = subspaces(unseen, between="window", n_components=3, rng=0)
    assert unseen.note.values.tolist() == ["", "not observed"]


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (as_phases, {"between": "window"}, "windows with their centres in s"),
        (as_windows, {}, "two labels, beside unit and time, or window"),
        (as_phases, {"draws": 0}, "draws: expected a whole number of at least 1"),
        (as_phases, {"min_units": 1}, "min_units: expected a whole number of at least 2"),
    ],
)
def test_wrong_arguments_are_refused(
    two: list[np.ndarray], make: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ArgumentError, match=words):
        subspaces(make(two), **options)


def test_rates_cannot_be_thinned(two: list[np.ndarray]) -> None:
    ds = as_phases(two)
    halved = ds.assign(counts=ds.counts * 0.5)
    with pytest.raises(ArgumentError, match="which can be thinned"):
        subspaces(halved, n_components=3)
    assert subspaces(halved, n_components=3, match_rates=False).similarity.notnull().all()


CASES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "rates": {"rates": (10.0, 2.5)},
    "drift": {"drift": 2600.0},
    "both": {"drift": 2600.0, "rates": (10.0, 2.5)},
    "state": {"state": 0.3},
    "turn": {"turn": 0.5},
    "turn and drift": {"turn": 0.5, "drift": 2600.0},
}


def simulated(case: str, n: int) -> list[np.ndarray]:
    rng = np.random.default_rng([7, list(CASES).index(case)])
    return [session(rng, **CASES[case]) for _ in range(n)]


def test_rates_and_drift_do_not_look_like_a_turn() -> None:
    rates = simulated("rates", 6)
    assert (excess(rates, match_rates=False)[0] > 0).all()  # what rates alone would give
    assert np.abs(excess(rates, match_rates=True)[0].mean()) < 0.01
    quarters, windows = excess(simulated("both", 6), match_rates=True)
    assert quarters.min() > 0.2  # minutes against tens of minutes
    assert np.abs(windows.mean()) < 0.04
    assert excess(simulated("turn and drift", 3), match_rates=True)[1].min() > 0.15


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_table_of_what_turns_subspaces(case: str) -> None:
    counts = simulated(case, 100)
    (own, _), (quarters, windows) = (excess(counts, match_rates=m) for m in (False, True))
    turned = "turn" in case or case == "state"
    above = np.mean(windows > 0)
    if turned:
        assert above > 0.97
        assert np.mean(quarters > 0) > 0.97
        return
    assert 0.33 < above < 0.67, above  # by chance: .5
    assert abs(windows.mean()) < 3 * windows.std() / 10
    if case in ("nothing", "rates"):
        assert 0.33 < np.mean(quarters > 0) < 0.67
    else:
        assert quarters.min() > 0.1
    if case == "rates":
        assert np.mean(own > 0) > 0.9
