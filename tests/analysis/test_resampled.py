"""Labelled bootstrap and cluster test: what they return, what they refuse, degenerate designs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from lsdx.analysis.cohort import compare_conditions
from lsdx.analysis.resampled import cluster_test, hierarchical_bootstrap
from lsdx.errors import ArgumentError, SelectionError
from lsdx.kernels.hierarchy import expanded_levels
from lsdx.kernels.hierarchy import hierarchical_bootstrap as kernel

SESSION = np.repeat(["a", "b", "c", "d", "e"], [4, 3, 5, 2, 6])
MOUSE = np.array(list("mmnno"))[np.unique(SESSION, return_inverse=True)[1]]


def units(**labels: Any) -> xr.DataArray:
    rng = np.random.default_rng(0)
    values = rng.normal(5, 1, (2, SESSION.size))
    values[0, SESSION == "c"] = np.nan
    coords = {"session": SESSION, "subject": MOUSE} | labels
    coords = {n: ("unit", v) for n, v in coords.items()}
    attrs = {"units": "Hz", "simulated": 1}
    return xr.DataArray(values, {"phase": ["pre", "post"]} | coords, ["phase", "unit"], "r", attrs)


def design(n_times: int = 20, seed: int = 0) -> xr.DataArray:
    """Return courses of three mice: two LSD and one saline, 1 and 3, 2 and 2: 72 arrangements."""
    rng = np.random.default_rng(seed)
    subject = np.repeat(["m", "n", "o", "p"], [3, 4, 4, 2])
    condition = np.array(["lsd", "saline"])[np.array([0, 0, 1, 0, 1, 1, 1, 0, 0, 1, 1, 0, 0])]
    year = np.where(subject == "p", 2023, 2025)
    labels = {"subject": subject, "condition": condition, "cohort_year": year}
    coords: dict[str, Any] = {n: ("session", v) for n, v in labels.items()}
    coords["time"] = ("time", np.arange(n_times) * 10.0, {"units": "s"})
    return xr.DataArray(rng.normal(size=(13, n_times)), coords, ["session", "time"], "ngsc")


def test_the_bootstrap_is_that_of_the_kernel_with_labels() -> None:
    x = units()
    x = x.assign_coords(unit=[f"u{i:02d}" for i in range(x.sizes["unit"])])
    found = hierarchical_bootstrap(x, n_draws=500, level=0.9, rng=7)
    order = np.lexsort([x.unit.values.astype(str), SESSION, MOUSE])
    codes = [np.unique(v, return_inverse=True)[1][order] for v in (MOUSE, SESSION)]
    expected = kernel(x.values.T[order], codes, 500, rng=7)
    assert found.draws.dims == ("draw", "phase")
    np.testing.assert_allclose(found.draws, expected)
    np.testing.assert_allclose(found.estimate, np.nanmean(x, axis=1))
    ends = np.quantile(expected, expanded_levels(3, 0.9), axis=0)
    np.testing.assert_allclose([found.low, found.high], ends)
    assert found.n_mice.values.tolist() == [3, 3]
    assert found.n_sessions.values.tolist() == [4, 5]
    assert found.n_units.values.tolist() == [15, 20]
    assert found.attrs["seed"] == "7"
    assert found.attrs["units"] == found.estimate.attrs["units"] == "Hz"
    assert found.attrs["simulated"] == 1
    assert "3 mice tell little" in found.attrs["note"]
    again = x.lsd.hierarchical_bootstrap(n_draws=500, level=0.9, rng=7)
    xr.testing.assert_identical(again, found)
    shuffled = x.isel(unit=np.random.default_rng(0).permutation(x.sizes["unit"]))
    xr.testing.assert_identical(
        hierarchical_bootstrap(shuffled, n_draws=500, level=0.9, rng=7), found
    )


def test_medians_datasets_and_values_over_sessions() -> None:
    x = units()
    both = xr.Dataset({"r": x, "s": x + 1}).lsd.hierarchical_bootstrap(
        statistic="median", n_draws=200, rng=0
    )
    assert both.estimate.dims == ("measure", "phase")
    np.testing.assert_allclose(both.estimate.sel(measure="r"), np.nanmedian(x, axis=1))
    np.testing.assert_allclose(both.draws.sel(measure="s") - both.draws.sel(measure="r"), 1)
    flat = x.isel(phase=1, drop=True).groupby("session").mean()
    of = [MOUSE[s == SESSION][0] for s in flat.session.values]
    flat = flat.assign_coords(subject=("session", of))
    found = hierarchical_bootstrap(flat, levels=("subject", "session"), n_draws=200, rng=0)
    assert set(found.data_vars) == {"estimate", "low", "high", "draws", "n_mice", "n_sessions"}
    assert found.n_sessions.item() == 5


@pytest.mark.parametrize("levels", [("unit",), "unit", ("session", "unit"), (), ("session",)])
def test_levels_without_the_mouse_are_refused_with_the_reason(levels: Any) -> None:
    with pytest.raises(ArgumentError, match=r"one mouse are alike.*compare_conditions"):
        hierarchical_bootstrap(units(), levels=levels)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"levels": ("subject",)}, "'unit' last"),
        ({"levels": ("subject", "session")}, "'unit' last"),
        ({"levels": ("subject", "session", "session", "unit")}, "different ones"),
        ({"levels": ("subject", "probe", "unit")}, "the label probe"),
        ({"statistic": "mode"}, "'mean', 'median'"),
        ({"n_draws": 0}, "at least 1"),
        ({"level": 95}, "below 1"),
    ],
)
def test_other_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        hierarchical_bootstrap(units(), **arguments)


def test_degenerate_bootstraps_are_nan_with_a_note() -> None:
    x = units()
    one = hierarchical_bootstrap(x.isel(unit=MOUSE == "m"), n_draws=50, rng=0)
    assert np.isfinite(one.estimate).all()
    assert one.low.isnull().all()
    assert one.high.isnull().all()
    assert "no interval over mice" in one.attrs["note"]
    none = hierarchical_bootstrap(x * np.nan, n_draws=50, rng=0)
    assert none[["estimate", "low", "high", "draws"]].isnull().all().to_array().all()
    assert none.n_mice.values.tolist() == [0, 0]
    same = hierarchical_bootstrap(x.fillna(0) * 0 + 0.1, n_draws=50, rng=0)
    np.testing.assert_allclose([same.low, same.estimate, same.high], 0.1)
    mixed = x.assign_coords(condition=("unit", np.where(MOUSE == "m", "lsd", "saline")))
    noted = hierarchical_bootstrap(mixed, n_draws=50, rng=0).attrs["note"]
    assert "lsd and saline are taken together" in noted
    with pytest.raises(SelectionError, match="infinity"):
        hierarchical_bootstrap(x.where(x < 5, np.inf))
    with pytest.raises(SelectionError, match="session or unit"):
        hierarchical_bootstrap(x.rename(unit="neuron"))


def test_each_time_of_a_cluster_test_is_a_comparison() -> None:
    x = design().expand_dims(group=["A", "B"]).copy()
    x[1] += np.random.default_rng(1).normal(size=x.shape[1:])
    x[1, 3, 5] = np.nan
    found = cluster_test(x.transpose("time", "session", "group"), threshold=1.5, rng=0)
    each = compare_conditions(x, between=None, rng=0)
    for name in ("estimate", "low", "high", "per_mouse", "n_sessions", "n_mice"):
        xr.testing.assert_allclose(found[name], each[name].transpose(*found[name].dims))
    assert found.attrs["n_arrangements"] == each.attrs["n_arrangements"] == 72
    null = each.null.transpose("arrangement", "group", "time").values
    z = null / np.sqrt((null**2).mean(axis=0))
    np.testing.assert_allclose(found.statistic, z[0])
    np.testing.assert_array_equal(found.number > 0, np.abs(z[0]) > 1.5)
    for g in range(2):
        cell = found.isel(group=g)
        masses = np.abs(cell.mass.values)
        assert (np.diff(masses[np.isfinite(masses)]) <= 0).all()
        for k in cell.cluster.values[np.isfinite(masses)]:
            times = cell.time.values[cell.number == k]
            one = cell.sel(cluster=k)
            assert (one.start.item(), one.stop.item()) == (times[0], times[-1])
            np.testing.assert_allclose(one.mass, cell.statistic.sel(time=times).sum())
            reached = found.null.values >= abs(one.mass.item()) * (1 - 1e-9)
            np.testing.assert_allclose(one.p, reached[:, g].mean())
            np.testing.assert_allclose(one.p_corrected, reached.any(axis=1).mean())
            assert one.p >= found.p_least


def test_an_effect_is_found_where_it_is() -> None:
    x = design()
    late = (x.time >= 100) & (x.time < 150) & (x.condition == "lsd")
    found = (x + 8 * late).lsd.cluster_test(rng=0)
    first = found.isel(cluster=0)
    assert first.p.item() == pytest.approx(1 / 72)
    assert (first.start.item(), first.stop.item()) == (100, 140)
    assert found.start.attrs["units"] == "s"
    back = cluster_test(x + 8 * late, conditions=("saline", "lsd"), rng=0)
    np.testing.assert_allclose(back.mass, -found.mass)
    blocks = xr.concat([x + 8 * late] * 3, "epoch")
    np.testing.assert_allclose(cluster_test(blocks, rng=0).p, np.tile(found.p, (3, 1)))


def test_it_does_not_matter_in_how_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    x = xr.concat([design(), design(seed=1)], "epoch")
    whole = cluster_test(x, threshold=1.0, rng=0)
    monkeypatch.setattr("lsdx.analysis.resampled._BLOCK", 1)
    xr.testing.assert_allclose(cluster_test(x, threshold=1.0, rng=0), whole)


def test_contrasts_of_phases_and_units_as_in_a_comparison() -> None:
    x = design()
    two = xr.concat([x * 0, x], "phase").assign_coords(phase=["pre", "post"])
    found = cluster_test(two, between=("pre", "post"), rng=0)
    xr.testing.assert_allclose(found.drop_attrs(), cluster_test(x, rng=0).drop_attrs())
    unit = x.rename(session="unit").isel(unit=np.repeat(np.arange(13), 2))
    labels = {"session": np.repeat(np.arange(13).astype(str), 2), "group": ["A", "B"] * 13}
    unit = unit.assign_coords({n: ("unit", v) for n, v in labels.items()})
    by = cluster_test(unit, by="group", rng=0)
    assert by.estimate.dims == ("group", "time")
    np.testing.assert_allclose(by.estimate.isel(group=1), found.estimate)
    assert by.n_units.sel(condition="lsd", group="A").values.tolist() == [7] * 20


def test_one_condition_is_tested_by_signs_of_mice() -> None:
    rng = np.random.default_rng(0)
    coords = {
        "subject": ("session", list("abcdefgh")),
        "condition": ("session", ["lsd"] * 8),
        "cohort_year": ("session", [2025] * 8),
    }
    x = xr.DataArray(rng.normal(size=(8, 12)), coords, ["session", "window"])
    x[:, 4:8] += 4
    found = cluster_test(x, dim="window", conditions="lsd", rng=0)
    first = found.isel(cluster=0)
    assert found.attrs["n_arrangements"] == 256
    assert first.p.item() == found.p_least.item() == 2 / 256
    assert (first.start.item(), first.stop.item()) == (4, 7)  # no coordinate: places
    assert "no effect of the drug" in found.attrs["note"]
    with pytest.raises(SelectionError, match="one of lsd"):
        cluster_test(x, dim="window", conditions="saline")


@pytest.mark.filterwarnings("error")
def test_degenerate_cluster_tests_have_no_p() -> None:
    x = design()
    apart = x.assign_coords(condition=("session", np.where(x.subject == "m", "lsd", "saline")))
    cases = {
        "nothing can be permuted": apart,
        "no arrangement is anywhere beyond": x * 0 + 0.1,
        "no arrangement": x * np.nan,
        "beyond the threshold": x.isel(session=[0, 2]),  # one mouse, one session each
    }
    for note, case in cases.items():
        found = cluster_test(case, rng=0)
        assert note in found.attrs["note"], note
        assert found.sizes["cluster"] == 0
        assert (found.number == 0).all()
    with pytest.raises(SelectionError, match="two conditions"):
        cluster_test(x.isel(session=x.condition.values == "lsd"))
    with pytest.raises(SelectionError, match="dim"):
        cluster_test(x, dim="window")
    with pytest.raises(ArgumentError, match="above 0"):
        cluster_test(x, threshold=0)
    with pytest.raises(SelectionError, match="strata"):
        cluster_test(x, strata=["mouse"])


@pytest.mark.slow
def test_false_positives_of_the_labelled_test() -> None:
    wrong = 0
    for seed in range(400):
        x = design(seed=seed).rolling(time=4, min_periods=1).mean()
        found = cluster_test(x + (x.cohort_year == 2025), rng=0)
        wrong += bool((found.p <= 0.05).any())
    assert wrong / 400 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
