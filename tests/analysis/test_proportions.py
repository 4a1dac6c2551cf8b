"""Shares of modulated units: counts, intervals over mice, correction across cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

import lsdx
from lsdx.analysis.proportions import proportions
from lsdx.errors import ArgumentError, SelectionError
from lsdx.kernels.cohort import share_interval


def cohort_of(
    p: np.ndarray, session: list[str], subject: list[str], region: list[str] | None = None
) -> xr.Dataset:
    sign = np.where(np.arange(p.size) % 2, -1.0, 1.0)
    labels = {"session": session, "subject": subject, "region": region or ["r"] * p.size}
    return xr.Dataset(
        {"p": ("unit", p), "statistic": ("unit", sign), "q": ("unit", p * 2)},
        {n: ("unit", v) for n, v in labels.items()},
    )


def test_directions_and_numbers() -> None:
    p = np.array([0.01, 0.01, 0.01, 0.5, 0.5, np.nan])
    ds = cohort_of(p, ["a", "a", "b", "b", "c", "c"], ["m", "m", "m", "m", "n", "n"])
    found = proportions(ds, by="region", rng=0)
    assert found["direction"].values.tolist() == ["up", "down", "modulated", "unmodulated"]
    np.testing.assert_allclose(found["share"].values[0], [2 / 5, 1 / 5, 3 / 5, 2 / 5])
    assert (found["n_units"].item(), found["n_sessions"].item(), found["n_mice"].item()) == (
        5,
        3,
        2,
    )
    assert found["n_units"].dtype == np.int64
    assert (found["share_low"] <= found["share"]).all()
    assert (found["share"] <= found["share_high"]).all()
    with_q = proportions(ds.assign(q=("unit", np.full(6, 0.04))), by="region", of="q", rng=0)
    assert with_q["share"].sel(direction="unmodulated").item() == 0


def test_one_mouse_has_no_interval_and_empty_cells_no_share() -> None:
    p = np.array([0.01, 0.5, 0.5])
    ds = cohort_of(p, ["a", "b", "b"], ["m", "m", "m"], ["x", "x", "y"])
    ds = ds.assign_coords(condition=("unit", ["lsd", "lsd", "saline"]))
    found = proportions(ds, by=["region", "condition"], rng=0)
    assert found["share_low"].isnull().all()
    empty = found.sel(region="y", condition="lsd")
    assert empty["n_units"].item() == 0
    assert empty["share"].isnull().all()


def test_the_interval_holds_mice_apart() -> None:
    """Two mice that differ: the interval spans both, which one of units alone would not."""
    n = 400
    p = np.r_[np.full(n, 0.01), np.full(n, 0.5)]
    ds = cohort_of(p, ["a"] * n + ["b"] * n, ["m"] * n + ["n"] * n)
    unmodulated = proportions(ds, by="region").sel(direction="unmodulated")
    assert unmodulated["share_low"].item() < 0.01
    assert unmodulated["share_high"].item() > 0.99


def test_each_direction_has_the_interval_of_its_own_counts_by_mouse() -> None:
    rng = np.random.default_rng(0)
    n_units = np.array([30, 20, 45, 16])
    mouse = np.repeat(np.arange(4), n_units)
    p = np.where(rng.random(111) < 0.3, 0.01, 0.5)
    ds = cohort_of(p, [f"s{i // 9}" for i in range(111)], [f"m{i}" for i in mouse])
    found = proportions(ds, by="region", level=0.9).isel(region=0)
    up = ds["statistic"].values > 0
    for direction, which in {
        "up": (p < 0.05) & up,
        "down": (p < 0.05) & ~up,
        "modulated": p < 0.05,
        "unmodulated": p > 0.05,
    }.items():
        one = found.sel(direction=direction)
        expected = share_interval(np.bincount(mouse[which], minlength=4), n_units, level=0.9)
        np.testing.assert_allclose((one["share_low"], one["share_high"]), expected)
        assert one["share"].item() == which.sum() / 111
    assert "seed" not in found.attrs  # nothing was drawn


def test_the_interval_covers_the_truth() -> None:
    """Four mice of two sessions of 50 units, shares beta(3, 7) by mouse: 95 % cover .3."""
    rng = np.random.default_rng(1)
    session = [f"s{i}" for i in np.repeat(np.arange(8), 50)]
    subject = [f"m{i}" for i in np.repeat(np.arange(4), 100)]
    covered = []
    for _ in range(200):
        share = np.repeat(rng.beta(3, 7, 4), 100)
        p = np.where(rng.random(400) < share, 0.01, 0.5)
        one = proportions(cohort_of(p, session, subject), by="region").sel(direction="modulated")
        covered.append(one["share_low"].item() <= 0.3 <= one["share_high"].item())
    assert np.mean(covered) >= 0.93


def nulls(n_units: int, n_regions: int, seed: int, *, shared: float) -> xr.Dataset:
    """Blocks without a difference between phases, units of a session sharing their noise."""
    from lsdx.kernels.permutation import assignments, block_test

    rng = np.random.default_rng(seed)
    session = np.repeat(["a", "b", "c", "d"], n_units // 4)
    common = {s: rng.standard_normal(10) for s in "abcd"}
    noise = np.stack([common[s] for s in session])
    values = shared * noise + rng.standard_normal((n_units, 10))
    found = block_test(values, assignments(5, 5)[0])
    region = [f"r{i % n_regions}" for i in range(n_units)]
    ds = cohort_of(found["p"], session.tolist(), session.tolist(), region)
    return ds.assign(
        statistic=("unit", found["statistic"]), null=(("unit", "permutation"), found["null"])
    )


def test_the_largest_share_is_found_by_chance_at_the_level() -> None:
    """Six regions, shared noise: some region's share is above the level in 5 % of cohorts."""
    least = [
        float(
            proportions(
                nulls(120, 6, seed, shared=1.0),
                by="region",
                correction="max_statistic",
                draws=199,
                rng=seed,
            )["p_max"].min()
        )
        for seed in range(150)
    ]
    assert np.mean(np.array(least) <= 0.05) <= 0.11


def drifting(seed: int, *, kind: str) -> xr.Dataset:
    """Four mice of 60 units in six regions, without a drug: rates of 5 Hz that drift or not."""
    from scipy.signal import lfilter

    from lsdx.kernels.permutation import assignments, block_test

    rng = np.random.default_rng(seed)
    shape = {"constant": (4, 0), "shared": (4, 1), "private": (4, 60)}[kind]
    keep = np.exp(-2 / 60)  # in steps of 2 s, by 60 s
    steps = rng.standard_normal((*shape, 300)) * np.sqrt(1 - keep**2)
    steps[..., 0] /= np.sqrt(1 - keep**2)
    rate = np.ones((4, 60, 10))
    if kind != "constant":
        slow = lfilter([1], [1, -keep], steps)
        rate *= np.exp(0.5 * slow).reshape(*shape, 10, 30).mean(axis=-1)
    counts = rng.poisson(300 * rate).reshape(240, 10).astype(float)
    found = block_test(counts, assignments(5, 5)[0])
    mouse = [f"m{i}" for i in np.repeat(np.arange(4), 60)]
    ds = cohort_of(found["p"], mouse, mouse, [f"r{i % 6}" for i in range(240)])
    return ds.assign(null=(("unit", "permutation"), found["null"]))


def drift_found(kind: str, n: int) -> tuple[float, float]:
    """Return how often some region falls below .05, and a contrast of two such cohorts does."""
    from lsdx.kernels.permutation import assignments, block_test

    least, contrast = [], []
    ways = assignments(4, 4)[0]
    for seed in range(n):
        cohort, other = drifting(seed, kind=kind), drifting(10_000 + seed, kind=kind)
        found = proportions(cohort, by="region", correction="max_statistic", draws=199, rng=seed)
        least.append(found["p_max"].min().item())
        share = [(d["p"] < 0.05).groupby("subject").mean().values for d in (cohort, other)]
        contrast.append(block_test(np.concatenate(share)[None], ways)["p"].item())
    return float(np.mean(np.array(least) <= 0.05)), float(np.mean(np.array(contrast) <= 0.05))


def test_the_correction_inherits_what_a_test_of_blocks_cannot_tell() -> None:
    assert drift_found("private", 5)[0] == 1
    found = proportions(drifting(0, kind="shared"), by="region", correction="max_statistic", rng=0)
    assert "contrast with saline" in found.attrs["warning"]
    assert "contrast with saline" in found["p_max"].attrs["warning"]
    plain = proportions(drifting(0, kind="shared"), by="region")
    assert "warning" not in plain.attrs  # what modulation says, and nothing more


@pytest.mark.slow
def test_drift_is_found_within_a_condition_and_not_between_two() -> None:
    found = {kind: drift_found(kind, 300) for kind in ("constant", "shared", "private")}
    assert found["constant"][0] <= 0.08
    assert 0.25 < found["shared"][0] < 0.45
    assert found["private"][0] == 1
    assert max(contrast for _, contrast in found.values()) <= 0.08, found


def test_a_region_that_is_modulated_is_found() -> None:
    ds = nulls(120, 6, 0, shared=0.3)
    step = (ds["region"] == "r0").values
    ds["p"] = ds["p"].where(~step, 2 / 252)
    found = proportions(ds, by="region", correction="max_statistic", rng=0)
    assert found["p_max"].sel(region="r0").item() < 0.01
    assert (found["p_max"].sel(region=["r1", "r2", "r3"]) > 0.05).all()


def test_lazy_and_seeded(demo_stores: Path) -> None:
    computed = []

    def scheduler(dsk: Any, keys: Any, **kwargs: Any) -> Any:
        computed.append(keys)
        return dask.get(dsk, keys, **kwargs)

    with dask.config.set(scheduler=scheduler):
        m = lsdx.open_spikes(demo_stores).lsd.modulation(epoch=["rfm"], rng=0, null=True)
        lazy = m.lsd.proportions(by=["group", "condition"], correction="max_statistic", rng=3)
        assert not computed
        found = lazy.compute()
    eager = m.compute().lsd.proportions(
        by=["group", "condition"], correction="max_statistic", rng=3
    )
    xr.testing.assert_identical(found, eager)
    assert found["condition"].values.tolist() == ["lsd", "saline"]
    share = m["share_modulated"].compute()
    whole = m.lsd.proportions(by="condition", rng=0)["share"].sel(direction="unmodulated")
    np.testing.assert_allclose(1 - whole.values, share.values)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"by": "colour"}, "labels on unit, of region, session, subject"),
        ({"by": []}, "distinct labels"),
        ({"of": "z"}, "one of 'p', 'q'"),
        ({"correction": "max_statistic"}, "with null=True"),
        ({"correction": "bonferroni"}, "with null=True"),
        ({"alpha": 0}, "alpha"),
        ({"level": 95}, "level"),
        ({"draws": 0}, "draws"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], words: str) -> None:
    ds = cohort_of(np.array([0.1, 0.2]), ["a", "b"], ["m", "n"])
    with pytest.raises(ArgumentError, match=words):
        proportions(ds, **{"by": "region", **options})


@pytest.mark.parametrize("attrs", [{"method": "isi_shuffle"}, {"method": "block", "settle": 10}])
def test_the_largest_share_wants_blocks_dealt_alike(attrs: dict[str, Any]) -> None:
    ds = nulls(24, 2, 0, shared=0.0).assign_attrs(attrs)
    with pytest.raises(ArgumentError, match="dealt alike"):
        proportions(ds, by="region", correction="max_statistic")


def test_units_without_a_label_are_refused() -> None:
    ds = cohort_of(np.array([0.1, 0.2]), ["a", "b"], ["m", "n"])
    ds = ds.assign_coords(layer=("unit", [5.0, np.nan]))
    with pytest.raises(SelectionError, match="a label on every unit"):
        proportions(ds, by="layer")


def test_other_refusals(demo_stores: Path) -> None:
    with pytest.raises(SelectionError, match=r"spikes\.lsd\.modulation"):
        lsdx.open_units(demo_stores).lsd.proportions()
    ds = cohort_of(np.array([0.1, 0.2]), ["a", "b"], ["m", "n"])
    with pytest.raises(SelectionError, match="session and subject"):
        proportions(ds.drop_vars("subject"), by="region")
