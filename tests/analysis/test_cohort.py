"""Conclusions over mice: labels, cells, families, degenerate designs, words."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import lsdx
from lsdx.analysis.cohort import (
    compare_conditions,
    dose_response,
    equivalence,
    paired_contrast,
)
from lsdx.analysis.describing import describe
from lsdx.errors import ArgumentError, SelectionError

# three mice with both conditions in 2025: 10 x 4 x 3 arrangements; the others have one
PLAN = [("a", 2025, 2, 3), ("b", 2025, 1, 3), ("c", 2025, 1, 2), ("d", 2022, 3, 0)]
PLAN += [("e", 2026, 0, 4)]


def labels(plan: list[tuple[str, int, int, int]] | None = None) -> pd.DataFrame:
    rows = [
        (f"{m}{y}{c}{k}", m, c, y)
        for m, y, *n in plan or PLAN
        for c, times in zip(("lsd", "saline"), n, strict=True)
        for k in range(times)
    ]
    return pd.DataFrame(rows, columns=["session", "subject", "condition", "cohort_year"])


def sessions(
    seed: int = 0, plan: list[tuple[str, int, int, int]] | None = None, **cells: int
) -> xr.DataArray:
    """Values of sessions, over phases and cells."""
    table = labels(plan)
    shape = (len(table), 2, *cells.values())
    coords = {n: ("session", table[n].to_numpy()) for n in table}
    return xr.DataArray(
        np.random.default_rng(seed).normal(size=shape),
        {**coords, "phase": ["pre", "post"]},
        ("session", "phase", *cells),
        "ngsc",
        {"units": "Hz", "conditions": "lsd, saline"},
    )


def units(seed: int = 0, n: int = 6) -> xr.DataArray:
    """Six units a session, of two groups."""
    rng = np.random.default_rng(seed)
    table = labels().loc[np.repeat(np.arange(len(labels())), n)]
    coords = {c: ("unit", table[c].to_numpy()) for c in table}
    group = np.tile(np.repeat(["x", "y"], n // 2), len(labels()))
    return xr.DataArray(
        rng.normal(size=(len(table), 2)),
        {**coords, "group": ("unit", group), "phase": ["pre", "post"]},
        ("unit", "phase"),
        "rate",
        {"conditions": "lsd, saline"},
    )


def contrast(x: xr.DataArray) -> xr.DataArray:
    return x.sel(phase="post", drop=True) - x.sel(phase="pre", drop=True)


def difference_by_hand(x: xr.DataArray) -> np.ndarray:
    """Of each mouse with both conditions in its year (each has one year here)."""
    table = pd.DataFrame(
        {"v": contrast(x).values, "m": x["subject"].values, "c": x["condition"].values}
    )
    wide = table.groupby(["m", "c"])["v"].mean().unstack()
    return (wide["lsd"] - wide["saline"]).dropna().to_numpy()


def same(a: xr.Dataset, b: xr.Dataset) -> None:
    xr.testing.assert_allclose(a.drop_vars("null"), b.drop_vars("null"))


def test_the_estimate_is_the_mean_over_mice_with_both_conditions() -> None:
    x = sessions()
    found = compare_conditions(x, rng=0)
    d = difference_by_hand(x)
    assert d.size == 3
    np.testing.assert_allclose(found["estimate"], d.mean())
    interval = stats.ttest_1samp(d, 0).confidence_interval()
    np.testing.assert_allclose([found["low"], found["high"]], interval)
    np.testing.assert_allclose(found["per_mouse"].sel(mouse=["a", "b", "c"]), d)
    assert found["per_mouse"].sel(mouse=["d", "e"]).isnull().all()
    np.testing.assert_allclose(found["effect"], d.mean() / d.std(ddof=1) * (1 - 3 / 7))
    without = [np.delete(d, k).mean() for k in range(3)]
    ends = [found["without_one_low"], found["without_one_high"]]
    np.testing.assert_allclose(ends, [min(without), max(without)])
    assert found.attrs["n_arrangements"] == 10 * 4 * 3 == found.sizes["arrangement"]
    assert found["p_least"] == found.attrs["p_least"] == 1 / 120
    null = np.abs(found["null"].values)
    assert found["p"] == (null >= null[0] - 1e-9).mean()
    assert found["p_corrected"] == found["p"] == found["q"]


def test_numbers_stand_beside_the_estimate() -> None:
    x = units().where(lambda v: ~((v["subject"] == "a") & (v["group"] == "y")))
    found = compare_conditions(x, by="group", rng=0)
    wide = found[["n_mice", "n_sessions", "n_units"]].transpose("group", "condition")
    assert found["condition"].values.tolist() == ["lsd", "saline"]
    assert wide["n_mice"].values.tolist() == [[4, 4], [3, 3]]
    assert wide["n_sessions"].values.tolist() == [[7, 12], [5, 9]]
    assert wide["n_units"].values.tolist() == [[21, 36], [15, 27]]
    assert found["n_informative"].values.tolist() == [3, 2]
    assert (found.attrs["n_strata"], found.attrs["n_sessions_unused"]) == (3, 7)


def test_only_what_is_in_strata_of_both_conditions_counts() -> None:
    x = sessions(region=3)
    other = x.where(x["cohort_year"] == 2025, 1e6 * x)
    same(compare_conditions(x, rng=0), compare_conditions(other, rng=0))
    shifted = x + 100 * (x["phase"] == "post") * (x["cohort_year"] > 2022)
    found = compare_conditions(shifted, rng=0)
    np.testing.assert_allclose(found["estimate"], compare_conditions(x, rng=0)["estimate"])
    pooled = compare_conditions(shifted, pooled=True, rng=0)
    assert (pooled["estimate"] < -10).all()  # and this is why it must be asked for


def test_order_chunks_and_copies_of_units_change_nothing() -> None:
    x = units()
    whole = compare_conditions(x, by="group", rng=0)
    order = np.random.default_rng(1).permutation(x.sizes["unit"])
    same(whole, compare_conditions(x[order], by="group", rng=0))
    same(whole, compare_conditions(x.chunk(unit=7), by="group", rng=0))
    assert isinstance(x.chunk(unit=7).data, da.Array)
    twice = compare_conditions(xr.concat([x, x], "unit"), by="group", rng=0)
    same(whole.drop_vars("n_units"), twice.drop_vars("n_units"))
    assert (twice["n_units"] == 2 * whole["n_units"]).all()


def test_the_unit_of_values_changes_only_their_unit() -> None:
    x = sessions(region=2)
    a, b = compare_conditions(x, rng=0), compare_conditions(x * 1000, rng=0)
    for name in ("estimate", "low", "high", "per_mouse", "without_one_low"):
        np.testing.assert_allclose(a[name] * 1000, b[name])
    for name in ("p", "p_corrected", "q", "effect", "effect_low", "effect_high"):
        np.testing.assert_allclose(a[name], b[name])
    flipped = compare_conditions(x, conditions=("saline", "lsd"), rng=0)
    np.testing.assert_allclose(a["estimate"], -flipped["estimate"])
    np.testing.assert_allclose(a["p"], flipped["p"])
    assert a["estimate"].attrs["units"] == "Hz"


def test_contrasts_may_be_taken_before() -> None:
    x = sessions()
    own = contrast(x).assign_attrs(x.attrs)
    same(compare_conditions(x, rng=0), compare_conditions(own, between=None, rng=0))


@pytest.mark.parametrize("reduce", ["mean", "median", "share"])
def test_units_are_reduced_to_sessions(reduce: str) -> None:
    x = units()
    x = (x > 0) if reduce == "share" else x
    found = compare_conditions(x, by="group", reduce=reduce, rng=0)
    flat = contrast(x.astype(float)).to_dataframe("v").reset_index(drop=True)
    how = "median" if reduce == "median" else "mean"
    keys = ["session", "subject", "condition", "cohort_year", "group"]
    by_session = flat.groupby(keys)["v"].agg(how).reset_index()
    wide = by_session.groupby(["group", "subject", "condition"])["v"].mean().unstack()
    d = (wide["lsd"] - wide["saline"]).groupby("group").mean()
    np.testing.assert_allclose(found["estimate"].sel(group=d.index), d)
    assert found.attrs["reduce"] == reduce


def test_by_several_labels_gives_a_cell_each() -> None:
    x = units().assign_coords(layer=("unit", np.tile(["2", "5"], 57)))
    found = compare_conditions(x, by=["group", "layer"], rng=0)
    assert found["estimate"].dims == ("group", "layer")
    one = x[(x["group"] == "y").values & (x["layer"] == "5").values]
    alone = compare_conditions(one, rng=0)
    np.testing.assert_allclose(found["estimate"].sel(group="y", layer="5"), alone["estimate"])
    np.testing.assert_allclose(found["p"].sel(group="y", layer="5"), alone["p"])


def test_a_dataset_is_a_dimension_of_measures() -> None:
    x = sessions(region=2)
    ds = xr.Dataset(
        {"one": x, "two": x**2, "n_units": contrast(x), "name": ("session", ["s"] * 19)}
    )
    found = compare_conditions(ds, rng=0)
    assert found["measure"].values.tolist() == ["one", "two"]  # n_units has no phases
    np.testing.assert_allclose(
        found["estimate"].sel(measure="two"), compare_conditions(x**2, rng=0)["estimate"]
    )


def test_families_are_those_that_are_named() -> None:
    x = sessions(region=4, epoch=3)
    alone = {f: compare_conditions(x, family=f, rng=0) for f in (None, "region", "epoch", "all")}
    np.testing.assert_allclose(alone[None]["p_corrected"], alone[None]["p"])
    for e in range(3):
        one = compare_conditions(x.isel(epoch=e), rng=0)
        for name in ("p_corrected", "q"):
            np.testing.assert_allclose(alone["region"][name].isel(epoch=e), one[name])
    both = compare_conditions(x, family=["epoch", "region"], rng=0)
    np.testing.assert_allclose(both["p_corrected"], alone["all"]["p_corrected"])
    flat = alone["all"]["p"].values.ravel()
    q = stats.false_discovery_control(flat)
    np.testing.assert_allclose(alone["all"]["q"].values.ravel(), q)
    null = alone["all"]["null"].values.reshape(120, -1)
    scaled = np.abs(null) / np.sqrt((null**2).mean(axis=0))
    expected = [(scaled.max(axis=1) >= s - 1e-12).mean() for s in scaled[0]]
    np.testing.assert_allclose(alone["all"]["p_corrected"].values.ravel(), expected)
    with pytest.raises(ArgumentError, match="family"):
        compare_conditions(x, family="probe", rng=0)


def test_many_arrangements_are_drawn_and_the_seed_gives_them_again() -> None:
    x = sessions(region=2)
    found = compare_conditions(x, n_permutations=50, rng=None)
    assert (found.attrs["n_arrangements"], found.attrs["exact"]) == (120, 0)
    assert found.sizes["arrangement"] == 51
    assert found["p_least"] == 1 / 51
    assert (found["p"] >= 1 / 51).all()
    again = compare_conditions(x, n_permutations=50, rng=int(found.attrs["seed"]))
    np.testing.assert_array_equal(found["null"], again["null"])


def test_what_is_drawn_does_not_depend_on_the_order_of_sessions() -> None:
    x = sessions(region=2).assign_coords(dose=("session", np.arange(19.0)))
    moved = x[np.random.default_rng(5).permutation(19)]
    for function in (compare_conditions, dose_response, paired_contrast):
        a, b = (function(v, n_permutations=20, rng=0) for v in (x, moved))
        for name in ("p", "p_corrected"):
            np.testing.assert_allclose(*(v.sortby(list(v.indexes))[name] for v in (a, b)))
    xr.testing.assert_allclose(
        *(compare_conditions(v, n_permutations=20, rng=0) for v in (x, moved))
    )


def test_strata_can_be_chosen_and_the_mouse_is_always_one() -> None:
    plan = [("a", 2022, 2, 0), ("a", 2025, 1, 2), ("b", 2025, 2, 2)]
    x = sessions(plan=plan)
    assert compare_conditions(x, rng=0).attrs["n_arrangements"] == 3 * 6
    whole = compare_conditions(x, strata=(), rng=0)
    assert (whole.attrs["n_arrangements"], whole.attrs["strata"]) == (10 * 6, "subject")
    same(whole, compare_conditions(x, strata=("subject",), rng=0))
    with pytest.raises(SelectionError, match="strata"):
        compare_conditions(x, strata=("cage",), rng=0)


def test_unknown_years_are_no_stratum() -> None:
    x = sessions()
    year = np.where(x["subject"] == "a", np.nan, x["cohort_year"])
    found = compare_conditions(x.assign_coords(cohort_year=("session", year)), rng=0)
    assert (found.attrs["n_arrangements"], found["n_informative"].item()) == (12, 2)


def test_pooled_is_welch_over_mouse_means_and_says_so() -> None:
    x = sessions()
    found = compare_conditions(x, pooled=True, rng=0)
    table = pd.DataFrame(
        {"v": contrast(x).values, "m": x["subject"].values, "c": x["condition"].values}
    )
    wide = table.groupby(["m", "c"])["v"].mean().unstack()
    t = stats.ttest_ind(*(wide[c].dropna() for c in ("lsd", "saline")), equal_var=False)
    np.testing.assert_allclose([found["low"], found["high"]], t.confidence_interval())
    theirs = stats.permutation_test(
        tuple(wide[c].dropna().to_numpy() for c in ("lsd", "saline")),
        lambda a, b, axis: np.abs(a.mean(axis) - b.mean(axis)),
        vectorized=True,
        n_resamples=np.inf,
        alternative="greater",
    )
    assert found["p"].item() == pytest.approx(theirs.pvalue)
    assert found.attrs["pooled"] == 1
    assert "3 mice had both conditions" in found.attrs["note"]
    assert "only one condition in 2022, 2026" in found.attrs["note"]
    assert "POOLED" in describe(found)
    means = wide.stack()
    without = []
    for m in wide.index:
        kept = means.drop(m, level="m").unstack().mean()
        without.append(kept["lsd"] - kept["saline"])
    ends = [found["without_one_low"], found["without_one_high"]]
    np.testing.assert_allclose(ends, [min(without), max(without)])


# degenerate designs


def test_all_nan_gives_nan_and_the_reason() -> None:
    for pooled in (False, True):
        found = compare_conditions(sessions(region=2) * np.nan, pooled=pooled, rng=0)
        for name in ("estimate", "low", "high", "p", "p_corrected", "q", "effect", "p_least"):
            assert found[name].isnull().all(), name
        assert found.attrs["note"] == "no session has a value"
        assert "no estimate" in describe(found)


def test_one_condition_gives_nan_and_the_reason() -> None:
    x = sessions()
    x = x[(x["condition"] == "lsd").values]
    for pooled in (False, True):
        found = compare_conditions(x, pooled=pooled, rng=0)
        assert found[["estimate", "low", "p", "p_least", "effect"]].to_array().isnull().all()
        assert "no session is of saline" in found.attrs["note"]
        assert found["n_mice"].values.tolist() == [4, 0]
    with pytest.raises(SelectionError, match="two conditions"):
        compare_conditions(x.assign_attrs(conditions=""), rng=0)
    with pytest.raises(SelectionError, match="sessions of salin"):
        compare_conditions(x, conditions=("lsd", "salin"), rng=0)


def test_one_mouse_has_a_p_and_no_interval() -> None:
    found = compare_conditions(sessions(plan=PLAN[:1]), rng=0)
    assert found["p"] >= found["p_least"] == 1 / 10
    assert found[["low", "high", "effect", "without_one_low"]].to_array().isnull().all()
    assert "there is no interval" in found.attrs["note"]
    assert "no interval" in describe(found)


def test_one_session_a_mouse_tells_nothing() -> None:
    plan = [(m, 2025, k % 2, 1 - k % 2) for k, m in enumerate("abcdef")]
    found = compare_conditions(sessions(plan=plan), rng=0)
    assert found[["estimate", "low", "p", "p_least"]].to_array().isnull().all()
    assert "no stratum holds sessions of both conditions" in found.attrs["note"]
    assert found.attrs["n_sessions_unused"] == 6
    text = describe(found)
    assert "there is no p" in text
    assert "6 sessions" in text


def test_constant_values_have_p_1_and_no_effect_size() -> None:
    found = compare_conditions(xr.full_like(sessions(region=2), 0.1), rng=0)
    assert (found["p"] == 1).all()
    assert (found["p_corrected"] == 1).all()
    assert found["effect"].isnull().all()


def test_sessions_without_any_value_are_in_no_number() -> None:
    x = sessions(region=2)
    gone = (x["session"] == "a2025saline0").values
    empty, less = x.copy(), x[~gone]
    empty[gone] = np.nan
    found = compare_conditions(empty, rng=0)
    same(found, compare_conditions(less, rng=0))
    assert found.attrs["n_arrangements"] == 6 * 4 * 3
    # in one cell only: the arrangements stay, the p of that cell is its own
    empty = x.copy()
    empty[gone, :, 0] = np.nan
    found = compare_conditions(empty, rng=0)
    assert found.attrs["n_arrangements"] == 120
    np.testing.assert_allclose(
        found["p"].isel(region=1), compare_conditions(x, rng=0)["p"].isel(region=1)
    )
    assert (found["p"] >= found["p_least"]).all()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"reduce": None}, "units of one mouse are alike"),
        ({"reduce": "max"}, "reduce"),
        ({"between": ("pre", "during")}, "phases"),
        ({"between": "pre"}, "two phases"),
        ({"by": "region"}, "labels of units"),
        ({"level": 95}, "level"),
        ({"n_permutations": 0}, "n_permutations"),
        ({"conditions": ("lsd", "lsd")}, "two conditions"),
        ({"strata": "subject"}, "strata"),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict[str, object], match: str) -> None:
    with pytest.raises((ArgumentError, SelectionError), match=match):
        compare_conditions(units(), rng=0, **arguments)  # type: ignore[arg-type]


def test_data_that_are_no_sample_of_mice_are_refused() -> None:
    x = sessions()
    with pytest.raises(SelectionError, match="no sample of mice"):
        compare_conditions(x.mean("session"), rng=0)
    with pytest.raises(SelectionError, match="labels subject"):
        compare_conditions(x.drop_vars("subject"), rng=0)
    with pytest.raises(SelectionError, match="infinity"):
        compare_conditions(x.where(x > 0, np.inf), between=None, rng=0)
    with pytest.raises(SelectionError, match="truth values"):
        compare_conditions(units(), reduce="share", rng=0)
    with pytest.raises(ArgumentError, match="there are no units"):
        compare_conditions(x, by="group", rng=0)


# within a condition, slopes, equivalence


def test_paired_contrast_is_a_test_over_mice_in_each_condition() -> None:
    x = sessions(region=2)
    found = paired_contrast(x, rng=0)
    assert found["condition"].values.tolist() == ["lsd", "saline"]
    for c in ("lsd", "saline"):
        of = contrast(x)[(x["condition"] == c).values]
        means = of.groupby("subject").mean("session").transpose("subject", "region").values
        t = stats.ttest_1samp(means, 0)
        one = found.sel(condition=c)
        np.testing.assert_allclose(one["estimate"], means.mean(axis=0))
        interval = t.confidence_interval()
        np.testing.assert_allclose([one["low"], one["high"]], interval)
        theirs = stats.permutation_test(
            (means,),
            lambda v, axis: v.mean(axis),
            permutation_type="samples",
            n_resamples=np.inf,
            vectorized=True,
        )
        np.testing.assert_allclose(one["p"], theirs.pvalue)
        assert one["p_least"] == 2 / 2**4
        assert (one["p_corrected"] >= one["p"]).all()
    assert "no effect of the drug" in found.attrs["note"]


def test_paired_contrast_counts_mice_with_values() -> None:
    x = sessions().where(lambda v: v["subject"] != "a")
    found = paired_contrast(x, rng=0)
    assert (found["p_least"] == 2 / 2**3).all()
    assert (found["n_mice"] == 3).all()
    nothing = paired_contrast(x * np.nan, rng=0)
    assert nothing[["estimate", "low", "p", "p_least"]].to_array().isnull().all()


def doses(x: xr.DataArray, values: list[float] | np.ndarray) -> xr.DataArray:
    return x.assign_coords(dose=("session", np.asarray(values, dtype=float)))


def test_dose_response_is_the_slope_within_mice() -> None:
    x = sessions(plan=[("a", 2025, 4, 0), ("b", 2025, 3, 0), ("c", 2025, 1, 0)])
    dose = np.array([1.0, 2, 2, 5, 1, 3, 4, 9])
    found = dose_response(doses(x, dose), rng=0)
    dummies = pd.get_dummies(x["subject"].values).to_numpy(float)
    fit = np.linalg.lstsq(np.c_[dose, dummies], contrast(x).values, rcond=None)[0]
    np.testing.assert_allclose(found["estimate"], fit[0])
    assert found.attrs["n_arrangements"] == 12 * 6  # the dose of 2 stands twice
    assert found["p"] >= found["p_least"]
    assert found["low"] < found["estimate"] < found["high"]
    assert found["per_mouse"].sel(mouse="c").isnull()
    exact = doses(x, dose).copy()
    exact[:, 1] = exact[:, 0] + 3 * exact["dose"] + 100 * (exact["subject"] == "b")
    found = dose_response(exact, rng=0)
    np.testing.assert_allclose([found["estimate"], found["low"], found["high"]], 3)
    # no two orders reach the slope of 3: those of the first mouse have no mirror
    assert found["p"] == found["p_least"] == 1 / 72


def test_dose_response_without_doses_that_differ() -> None:
    x = sessions()
    found = dose_response(doses(x, np.full(19, 0.1)), rng=0)
    assert found[["estimate", "low", "p", "p_least"]].to_array().isnull().all()
    assert "no mouse has sessions of different dose" in found.attrs["note"]
    with pytest.raises(SelectionError, match="sessions with dose"):
        dose_response(doses(x, np.full(19, np.nan)), rng=0)
    with pytest.raises(SelectionError, match="number of sessions"):
        dose_response(x, rng=0)
    nothing = dose_response(doses(x * np.nan, np.arange(19)), rng=0)
    assert nothing.attrs["note"] == "no session has a value"


def test_dose_response_leaves_out_unknown_doses_and_other_conditions() -> None:
    x = doses(sessions(), np.arange(19.0))
    x["dose"][3] = np.nan
    kept = x[np.flatnonzero((x["condition"] == "saline") & x["dose"].notnull())]
    same(
        dose_response(x, conditions=["saline"], rng=0),
        dose_response(kept, rng=0),
    )


def test_equivalence_by_hand() -> None:
    x = sessions()
    d = difference_by_hand(x)
    found = equivalence(x, margin=2.0, rng=0)
    above = stats.ttest_1samp(d, -2, alternative="greater").pvalue
    below = stats.ttest_1samp(d, 2, alternative="less").pvalue
    np.testing.assert_allclose(found["p_equivalent"], max(above, below))
    interval = stats.ttest_1samp(d, 0).confidence_interval(0.9)
    np.testing.assert_allclose([found["low"], found["high"]], interval)
    text = describe(found)
    assert "margin 2 (Hz)" in text
    assert f"p of equivalence {max(above, below):.3g}" in text
    assert "90 % interval" in text
    with pytest.raises(ArgumentError, match="margin"):
        equivalence(x, margin=0, rng=0)
    with pytest.raises(ArgumentError, match="pooled"):
        equivalence(x, margin=1, pooled=True, rng=0)


def test_mice_that_are_all_alike_are_not_equivalent_by_that() -> None:
    found = equivalence(xr.zeros_like(sessions()), margin=1.0, rng=0)
    assert found["p_equivalent"].isnull()
    one = equivalence(sessions(plan=PLAN[:1]), margin=1.0, rng=0)
    assert one["p_equivalent"].isnull()


# words


def test_the_paragraph_has_the_numbers() -> None:
    x = sessions(region=2)
    found = compare_conditions(x.assign_attrs(catalog="abc", simulated=1), rng=3)
    text = describe(found)
    assert text == found.lsd.describe()
    for words in (
        "ngsc (Hz), post minus pre, lsd minus saline",
        "4 mice lsd, 4 mice saline; 7 sessions lsd, 12 sessions saline",
        "within subject x cohort_year: 3 mice had both, in 3 strata",
        "7 sessions lie where there is one condition only, and are not used",
        "all 120 arrangements, two-sided, p of the design at least 0.0083",
        "corrected by the largest statistic over region",
        f"Seed 3; lsdx {lsdx.__version__}, catalog abc",
        "SIMULATED",
    ):
        assert words in text, words
    for k in range(2):
        one = found.isel(region=k)
        numbers = (
            f"{one.estimate:.3g}, 95 % interval {one.low:.3g} to {one.high:.3g}, p = {one.p:.3g}"
        )
        assert numbers in text
        assert f"(corrected {one.p_corrected:.3g}), effect size {one.effect:.2f}" in text


def test_the_paragraph_lists_five_cells_and_counts_the_rest() -> None:
    found = compare_conditions(sessions(region=9), family=None, n_permutations=50, rng=0)
    text = describe(found)
    assert text.count("95 % interval") == 5
    assert "4 cells of larger p are not listed" in text
    assert "corrected" not in text
    assert "50 drawn from 120 arrangements" in text
    least = np.sort(found["p"].values)[:5]
    assert all(f"p = {p:.3g}" in text for p in least)


def test_the_paragraph_of_the_others() -> None:
    x = sessions()
    text = describe(paired_contrast(x, rng=0))
    assert "Signs flipped over mice lsd, all 16 arrangements, p at least 0.12" in text
    assert "corrected" not in text
    text = describe(dose_response(doses(x, np.arange(19)), rng=0))
    assert "slope over dose within mice" in text
    with pytest.raises(SelectionError, match="comparison over mice"):
        describe(xr.Dataset({"estimate": 1.0}))


def test_the_accessor_is_the_function() -> None:
    x = sessions()
    same(compare_conditions(x, rng=0), x.lsd.compare_conditions(rng=0))
