"""From values to mice: what may not be compared is refused by name, whatever its dtype or order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from lsdx.analysis.cohort import compare_conditions, dose_response, equivalence, paired_contrast
from lsdx.analysis.describing import describe
from lsdx.analysis.mixed import mixed_anova, mixed_model
from lsdx.analysis.power import power
from lsdx.analysis.resampled import cluster_test, hierarchical_bootstrap
from lsdx.errors import ArgumentError, SelectionError

ALL: list[Callable[..., xr.Dataset]] = [
    compare_conditions,
    paired_contrast,
    power,
    lambda x, **how: dose_response(x, over="session_n", **how),
    lambda x, **how: equivalence(x, margin=1.0, **how),
]


def design(
    n_mice: int = 4,
    of_each: tuple[int, int] = (2, 2),
    seed: int = 0,
    names: Any = ("lsd", "saline"),
) -> xr.DataArray:
    n = n_mice * sum(of_each)
    condition = [c for c, k in zip(names, of_each, strict=True) for _ in range(k)] * n_mice
    labels: dict[str, Any] = {
        "subject": np.repeat([f"m{m}" for m in range(n_mice)], sum(of_each)).astype(object),
        "condition": np.array(condition, dtype=object),
        "cohort_year": np.full(n, 2025),
        "session_n": np.arange(n),
    }
    coords = {"session": [f"s{i:02d}" for i in range(n)], "phase": ["pre", "post"]}
    x = np.random.default_rng(seed).normal(size=(n, 2))
    made = xr.DataArray(x, coords, ["session", "phase"], "measure")
    return made.assign_coords({k: ("session", v) for k, v in labels.items()})


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "f4"])
def test_integers_do_not_wrap_around(dtype: str) -> None:
    whole = (design() * 20 + 60).round()
    wanted = compare_conditions(whole, rng=0)
    found = compare_conditions(whole.astype(dtype), rng=0)
    xr.testing.assert_allclose(
        found[["estimate", "low", "high", "p"]], wanted[["estimate", "low", "high", "p"]]
    )
    low = xr.where(whole.phase == "pre", -100, 100).astype("i1") + whole.astype("i1") * 0
    assert paired_contrast(low.assign_coords(whole.coords), rng=0).estimate.values.tolist() == [
        200,
        200,
    ]


@pytest.mark.parametrize("function", ALL)
def test_what_has_no_name_stands_twice_or_is_no_number_is_refused(function: Any) -> None:
    x = design()
    for nothing in (None, np.nan, ""):
        subject = x.subject.values.copy()
        subject[:3] = nothing
        with pytest.raises(
            SelectionError, match="a subject of each session, found 3 of 16 without"
        ):
            function(x.assign_coords(subject=("session", subject)))
    with pytest.raises(SelectionError, match="expected each session once, found s00 twice"):
        function(xr.concat([x, x], "session"))
    with pytest.raises(SelectionError, match="expected some session, found none"):
        function(x.isel(session=[]))
    with pytest.raises(SelectionError, match="expected numbers, found dtype"):
        function(x.astype("complex128"))
    with pytest.raises(SelectionError, match="infinity"):
        function(x * np.inf)
    with pytest.raises(SelectionError, match="Rename it"):
        function(x.expand_dims(mouse=2))


def test_what_was_refused_can_be_left_out_as_the_error_says() -> None:
    x = design()
    subject = x.subject.values.copy()
    subject[:4] = ["", None, np.nan, ""]
    x = x.assign_coords(subject=("session", subject))
    with pytest.raises(SelectionError) as caught:
        compare_conditions(x)
    advice = str(caught.value).partition("Leave them out: ")[2].removesuffix(".")
    kept = eval(advice, {"x": x})
    assert compare_conditions(kept, rng=0).n_mice.values.tolist() == [3, 3]


def test_phases_may_be_of_any_kind() -> None:
    x = design()
    numbered = x.assign_coords(phase=[0, 1])
    a = compare_conditions(numbered, between=(0, 1), rng=0)
    np.testing.assert_array_equal(a.estimate, compare_conditions(x, rng=0).estimate)
    with pytest.raises(
        SelectionError, match=r"Say which, earlier first: between=\('Pre', 'Post'\)"
    ):
        compare_conditions(x.assign_coords(phase=["Pre", "Post"]))
    for wrong in (5, "pre", ("pre",), ("pre", "pre")):
        with pytest.raises(ArgumentError, match="expected two phases, or None"):
            compare_conditions(x, between=wrong)  # type: ignore[arg-type]


def test_the_least_p_is_that_of_all_arrangements_though_some_are_drawn() -> None:
    x = design(14, (1, 0))
    up = x + xr.where(x.phase == "post", 9.0, 0.0)
    for seed in range(4):
        found = paired_contrast(up, rng=seed)
        assert found.p_least.item() == 2 / 2**14
        assert found.p.item() >= 2 / 2**14
        assert found.p_corrected.item() >= 2 / 2**14


def test_strata_whose_names_can_be_put_together_in_two_ways_are_apart() -> None:
    x = design(2, (2, 2))
    subject = np.where(x.subject == "m0", "A", "A/x").astype(object)
    lab = np.where(x.subject == "m0", "x/y", "y").astype(object)
    x = x.assign_coords(subject=("session", subject), lab=("session", lab))
    assert compare_conditions(x, strata=("lab",), rng=0).attrs["n_arrangements"] == 36


def test_the_order_of_conditions_where_nothing_tells_it() -> None:
    for control in ("Saline", "control", "VEHICLE"):
        found = compare_conditions(design(names=("psilocybin", control)), rng=0)
        assert found.attrs["conditions"] == ["psilocybin", control]
    x = design()
    listed = x.assign_attrs(conditions=["saline", "lsd"])
    assert compare_conditions(listed, rng=0).attrs["conditions"] == ["saline", "lsd"]
    odd = x.condition.values.copy()
    odd[0], odd[5] = "LSD", None
    found = compare_conditions(
        x.assign_coords(condition=("session", odd)).assign_attrs(conditions="lsd, saline"), rng=0
    )
    assert "2 sessions of other conditions (LSD, unknown) are left out" in found.attrs["note"]
    assert found.n_sessions.values.tolist() == [6, 8]


def test_names_that_are_not_there_are_refused() -> None:
    x = design()
    with pytest.raises(ArgumentError, match="dose_response, conditions"):
        dose_response(x, over="session_n", conditions=["LSD"])
    assert dose_response(x, over="session_n", conditions="lsd", rng=0).n_sessions == 8
    for strata in ("subject", ("foo",), None):
        with pytest.raises(SelectionError, match="strata"):
            power(x, strata=strata)  # type: ignore[arg-type]
    with pytest.raises(SelectionError, match="a name that no label has, found 'condition'"):
        mixed_model(x.rename("condition"), "value ~ condition")
    with pytest.raises(ArgumentError, match="three different columns"):
        mixed_anova(x, within="condition", between="condition")


def test_units_belong_to_one_session_of_one_mouse() -> None:
    x = design()
    units = x.isel(session=np.repeat(np.arange(16), 3)).rename(session="unit")
    session = units.unit.values.astype(object)
    units = units.assign_coords(unit=[f"u{i}" for i in range(48)], session=("unit", session))
    found = compare_conditions(units, rng=0)
    np.testing.assert_allclose(found.estimate, compare_conditions(x, rng=0).estimate)
    mixed = units.subject.values.copy()
    mixed[0] = "another"
    with pytest.raises(SelectionError, match="expected one subject of each session"):
        compare_conditions(units.assign_coords(subject=("unit", mixed)))
    with pytest.raises(SelectionError, match="a session of each unit"):
        compare_conditions(units.assign_coords(session=("unit", np.full(48, None))))
    for name in ("session", "condition"):
        with pytest.raises(ArgumentError, match="labels that differ within a session"):
            compare_conditions(units, by=name)
    depth = np.where(np.arange(48) < 5, np.nan, 1.0)
    with pytest.raises(SelectionError, match="a depth of each unit, found 5 units without"):
        compare_conditions(units.assign_coords(depth=("unit", depth)), by="depth")


def courses(**changes: Any) -> xr.DataArray:
    x = design(4, (2, 1), seed=3).isel(phase=0, drop=True)
    time = np.arange(30.0)
    noise = np.random.default_rng(3).normal(size=(12, 30))
    made = xr.DataArray(noise, {"time": time}, ["session", "time"], "course").assign_coords(
        x.coords
    )
    effect = (made.condition == "lsd") & (made.time > 10) & (made.time < 18)
    return (made + xr.where(effect, 4.0, 0.0)).transpose("session", "time").assign_coords(changes)


def test_a_session_without_values_counts_as_if_it_were_not_there() -> None:
    x = courses()
    without = cluster_test(x.where(x.session != "s00"), rng=0)
    dropped = cluster_test(x.isel(session=x.session.values != "s00"), rng=0)
    xr.testing.assert_identical(without, dropped)
    assert without.sizes["cluster"] > 0
    both = xr.concat([x, x.where(x.session != "s00")], "cell").assign_coords(cell=[0, 1])
    found = cluster_test(both, rng=0)
    for name in ("start", "stop", "p"):
        known = dropped[name].values
        np.testing.assert_array_equal(found[name].sel(cell=1).values[: known.size], known)
    assert found.attrs["note"] == ""


def test_times_that_a_session_lacks_are_left_out_and_told() -> None:
    x = courses()
    gone = x.where((x.session != "s00") | (x.time < 20))
    found = cluster_test(gone, rng=0)
    assert found.attrs["note"] == "10 of 30 times are left out: some sessions lack them"
    rest = cluster_test(x.isel(time=slice(0, 20)), rng=0)
    np.testing.assert_array_equal(found.p, rest.p)


def test_what_no_mouse_has_gives_no_least_p() -> None:
    x = courses()
    assert np.isnan(cluster_test(x * np.nan, rng=0).p_least)
    lsd = x.isel(session=x.condition.values == "lsd")
    few = lsd.where(~lsd.subject.isin(["m0"]))
    assert cluster_test(few, conditions="lsd", rng=0).attrs["n_arrangements"] == 2**3
    with pytest.raises(SelectionError, match="expected time in order, found another order"):
        cluster_test(x.isel(time=slice(None, None, -1)))


def test_the_bootstrap_refuses_what_the_others_refuse() -> None:
    x = design().isel(phase=0)
    how: dict[str, Any] = {"levels": ("subject", "session"), "n_draws": 20}
    with pytest.raises(SelectionError, match="each session once"):
        hierarchical_bootstrap(xr.concat([x, x], "session"), **how)
    subject = x.subject.values.copy()
    subject[0] = None
    with pytest.raises(SelectionError, match="a subject of each session"):
        hierarchical_bootstrap(x.assign_coords(subject=("session", subject)), **how)
    a = hierarchical_bootstrap(x, **how, rng=1)
    b = hierarchical_bootstrap(x.isel(session=slice(None, None, -1)), **how, rng=1)
    np.testing.assert_array_equal(a.draws, b.draws)


def test_the_paragraph_tells_selection_cell_and_seed() -> None:
    x = design().expand_dims(group=["A", "B"]).assign_attrs(selection="quality=ks2_good: 10")
    x = x.assign_coords(epoch="rfm")
    found = compare_conditions(x, rng=5)
    text = describe(found.sel(group="A"))
    assert "lsd minus saline, epoch rfm, group A. " in text
    assert "Selection: quality=ks2_good: 10" in text
    again = compare_conditions(x, rng=found.attrs["seed"])
    xr.testing.assert_identical(again, found)
    kept = found[["estimate", "low", "high", "p", "p_least", "p_corrected"]]
    with pytest.raises(SelectionError, match="found one without effect, n_mice, n_sessions"):
        describe(kept)
    paired = describe(paired_contrast(design(5, (1, 1)), rng=0))
    assert "Signs flipped over mice lsd, all 32 arrangements, p at least 0.062" in paired
    alone = dose_response(design(), over="session_n", conditions=["lsd"], rng=0)
    assert "Sessions of lsd alone" in describe(alone)
    margin = equivalence(design(), margin=1.0, rng=0)
    assert (margin.attrs["level"], margin.attrs["interval_level"]) == (0.95, pytest.approx(0.9))
    assert "90 % interval" in describe(margin)
