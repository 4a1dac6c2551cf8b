"""Mixed models against published numbers, closed forms of balanced designs, and broken designs."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr

from lsdx.analysis.mixed import mixed_anova, mixed_model
from lsdx.errors import ArgumentError, MissingPackage, SelectionError

# Reaction times (ms) on days 0 to 9 without sleep (Belenky et al. 2003; sleepstudy of lme4)
SLEEPSTUDY = """
308 249.56 258.7047 250.8006 321.4398 356.8519 414.6901 382.2038 290.1486 430.5853 466.3535
309 222.7339 205.2658 202.9778 204.707 207.7161 215.9618 213.6303 217.7272 224.2957 237.3142
310 199.0539 194.3322 234.32 232.8416 229.3074 220.4579 235.4208 255.7511 261.0125 247.5153
330 321.5426 300.4002 283.8565 285.133 285.7973 297.5855 280.2396 318.2613 305.3495 354.0487
331 287.6079 285 301.8206 320.1153 316.2773 293.3187 290.075 334.8177 293.7469 371.5811
332 234.8606 242.8118 272.9613 309.7688 317.4629 309.9976 454.1619 346.8311 330.3003 253.8644
333 283.8424 289.555 276.7693 299.8097 297.171 338.1665 332.0265 348.8399 333.36 362.0428
334 265.4731 276.2012 243.3647 254.6723 279.0244 284.1912 305.5248 331.5229 335.7469 377.299
335 241.6083 273.9472 254.4907 270.8021 251.4519 254.6362 245.4523 235.311 235.7541 237.2466
337 312.3666 313.8058 291.6112 346.1222 365.7324 391.8385 404.2601 416.6923 455.8643 458.9167
349 236.1032 230.3167 238.9256 254.922 250.7103 269.7744 281.5648 308.102 336.2806 351.6451
350 256.2968 243.4543 256.2046 255.5271 268.9165 329.7247 379.4445 362.9184 394.4872 389.0527
351 250.5265 300.0576 269.8939 280.5891 271.8274 304.6336 287.7466 266.5955 321.5418 347.5655
352 221.6771 298.1939 326.8785 346.8555 348.7402 352.8287 354.4266 360.4326 375.6406 388.5417
369 271.9235 268.4369 257.2424 277.6566 314.8222 317.2135 298.1353 348.1229 340.28 366.5131
370 225.264 234.5235 238.9008 240.473 267.5373 344.1937 281.1481 347.5855 365.163 372.2288
371 269.8804 272.4428 277.8989 281.7895 279.1705 284.512 259.2658 304.6306 350.7807 369.4692
372 269.4117 273.474 297.5968 310.6316 287.1726 329.6076 334.4818 343.2199 369.1417 364.1236
"""


def _sleepstudy() -> pd.DataFrame:
    lines = [line.split() for line in SLEEPSTUDY.split("\n") if line]
    return pd.DataFrame(
        {
            "subject": np.repeat([line[0] for line in lines], 10),
            "day": np.tile(np.arange(10), len(lines)),
            "value": np.array([line[1:] for line in lines], dtype=float).ravel(),
        }
    )


def _mice(per_mouse: int = 6, *, n: int = 8, seed: int = 0, sd: float = 1.0) -> pd.DataFrame:
    """Make a balanced cohort: half the mice of each condition, phases inside."""
    rng = np.random.default_rng(seed)
    mouse = np.repeat(np.arange(n), per_mouse)
    return pd.DataFrame(
        {
            "subject": np.array([f"m{i}" for i in mouse], dtype=object),
            "condition": np.where(mouse < n // 2, "lsd", "saline").astype(object),
            "phase": np.tile(np.array(["pre", "post"], dtype=object), len(mouse) // 2),
            "session": np.tile(np.repeat(np.arange(per_mouse // 2), 2), n),
            "value": sd * rng.normal(size=n)[mouse] + rng.normal(size=len(mouse)),
        }
    )


def test_sleepstudy_gives_the_published_numbers() -> None:
    found = mixed_model(_sleepstudy(), "value ~ day", slopes="day")
    np.testing.assert_allclose(found.estimate, [251.405, 10.467], atol=5e-4)
    np.testing.assert_allclose(found.se, [6.825, 1.546], atol=5e-4)
    np.testing.assert_allclose(found.variance, [612.10, 35.07, 654.94], rtol=1e-3)
    assert found.component.values.tolist() == ["subject", "subject:day", "residual"]
    assert found.df.values.tolist() == [17, 17]
    assert found.p.sel(term="day").item() == pytest.approx(3.26e-6, rel=0.01)
    assert found.attrs["converged"] is True
    assert found.attrs["note"] == ""


def test_the_scale_of_a_slope_does_not_matter() -> None:
    seconds = _sleepstudy().assign(day=lambda t: t.day * 86400.0)
    found = mixed_model(seconds, "value ~ day", slopes="day")
    np.testing.assert_allclose(found.estimate, [251.405, 10.467 / 86400], rtol=1e-4)
    np.testing.assert_allclose(found.variance[1] * 86400.0**2, 35.07, rtol=1e-3)


@pytest.mark.parametrize("nested", [None, "session"])
def test_between_mice_it_is_the_t_test_over_their_means(nested: str | None) -> None:
    table = _mice(sd=2.0)
    found = mixed_model(table, "value ~ condition", nested=nested)
    means = table.groupby(["condition", "subject"])["value"].mean()
    t = scipy.stats.ttest_ind(means["saline"], means["lsd"])
    term = found.sel(term="condition[T.saline]")
    interval = t.confidence_interval(0.95)
    np.testing.assert_allclose(
        [term.estimate, term.p, term.low, term.high, term.df],
        [means["saline"].mean() - means["lsd"].mean(), t.pvalue, interval.low, interval.high, 6],
        rtol=1e-3,
    )


def test_within_mice_it_is_the_paired_t_test() -> None:
    table = _mice(2, sd=2.0)
    found = mixed_model(table, "value ~ phase").sel(term="phase[T.pre]")
    wide = table.pivot_table(index="subject", columns="phase", values="value")
    t = scipy.stats.ttest_rel(wide["pre"], wide["post"])
    np.testing.assert_allclose(
        [found.estimate / found.se, found.p, found.df], [t.statistic, t.pvalue, 7], rtol=1e-3
    )


def test_with_random_slopes_it_is_the_t_test_over_mice_of_their_differences() -> None:
    rng = np.random.default_rng(3)
    table = _mice(8, sd=2.0)
    own = np.repeat(rng.normal(size=8) * 2, 8)
    table["value"] += own * (table["phase"] == "pre")
    found = mixed_model(table, "value ~ phase", slopes="phase").sel(term="phase[T.pre]")
    wide = table.pivot_table(index="subject", columns="phase", values="value")
    t = scipy.stats.ttest_rel(wide["pre"], wide["post"])
    np.testing.assert_allclose([found.p, found.df], [t.pvalue, 7], rtol=1e-3)


def test_at_the_boundary_it_is_least_squares_and_says_so() -> None:
    table = _mice()
    noise = table["value"] - table.groupby("subject")["value"].transform("mean")
    table["value"] = 3 + 2 * (table["condition"] == "saline") + noise
    found = mixed_model(table, "value ~ condition")
    np.testing.assert_allclose(found.estimate, [3, 2], rtol=1e-12)
    squares = (noise**2).sum() / (48 - 2)
    np.testing.assert_allclose(found.se, np.sqrt(squares * np.array([1 / 24, 2 / 24])))
    np.testing.assert_allclose(found.variance, [0, squares])
    assert found.df.values.tolist() == [6, 6]
    assert "variance of subject came out as 0" in found.attrs["note"]
    assert "least squares" in found.attrs["note"]


def test_a_zero_variance_of_the_mice_leaves_that_of_the_sessions() -> None:
    table = _mice(12)
    rng = np.random.default_rng(1)
    shift = rng.normal(size=(8, 6)) * 3
    shift -= shift.mean(axis=1, keepdims=True)
    noise = table["value"] - table.groupby(["subject", "session"])["value"].transform("mean")
    table["value"] = np.repeat(shift.ravel(), 2) + noise + 2 * (table["condition"] == "saline")
    found = mixed_model(table, "value ~ condition", nested="session")
    np.testing.assert_allclose(found.estimate, [0, 2], atol=1e-9)
    assert found.variance.sel(component="subject") == 0
    assert found.variance.sel(component="session") > 4
    assert found.attrs["note"].startswith("the variance of subject came out as 0")


def test_slopes_that_differ_in_no_mouse_are_left_out_and_said() -> None:
    table = _mice(8)
    mean = table.groupby(["subject", "phase"])["value"].transform("mean")
    table["value"] += -mean + (table["phase"] == "pre")
    found = mixed_model(table, "value ~ phase", slopes="phase")
    assert found.estimate.sel(term="phase[T.pre]").item() == pytest.approx(1)
    assert "singular" in found.attrs["note"]
    assert found.variance.sel(component="subject:phase") == 0


def test_groups_of_one_value_have_no_variance_of_their_own() -> None:
    table = _mice(sd=2.0).assign(row=np.arange(48))
    table["again"] = table["subject"]
    expected = mixed_model(table, "value ~ condition")
    found = mixed_model(table, "value ~ condition", nested="row")
    np.testing.assert_allclose(found.p, expected.p, rtol=1e-6)
    assert "in each row: no variance of its own" in found.attrs["note"]
    lone = mixed_model(table, "value ~ condition", groups="row")
    t = scipy.stats.ttest_ind(table["value"][24:], table["value"][:24])
    assert lone.p.sel(term="condition[T.saline]").item() == pytest.approx(t.pvalue)
    one = mixed_model(table, "value ~ condition", groups="subject", nested="again")
    np.testing.assert_allclose(one.p, expected.p, rtol=1e-6)


def test_labels_of_a_dataarray_are_columns() -> None:
    table = _mice(2).assign(session=np.repeat([f"s{i}" for i in range(8)], 2))
    wide = table.pivot_table(index="session", columns="phase", values="value")
    first = table.groupby("session").first()
    x = xr.DataArray(
        wide.to_numpy().copy(),
        {
            "session": wide.index.to_numpy(dtype=object),
            "phase": wide.columns.to_numpy(dtype=object),
            "condition": ("session", first["condition"].to_numpy()),
            "subject": ("session", first["subject"].to_numpy().copy()),
        },
        ("session", "phase"),
        name="ngsc",
    )
    expected = mixed_model(table, "value ~ condition * phase")
    for formula in ("value ~ condition * phase", "ngsc ~ condition * phase"):
        xr.testing.assert_allclose(mixed_model(x, formula), expected)
    assert (expected.attrs["n_rows"], expected.attrs["n_groups"]) == (16, 8)
    x[0, 0] = np.nan
    x["subject"][1] = ""
    found = mixed_model(x, "value ~ phase").attrs
    assert (found["n_rows"], found["n_left_out"], found["n_groups"]) == (13, 3, 8 - 1)


def _hits() -> tuple[pd.DataFrame, np.ndarray]:
    hits = np.array([1, 4, 2, 5, 6, 3, 8, 7])
    value = (np.arange(10) < hits[:, None]).ravel()
    return _mice(10).assign(value=value), hits


def test_binomial_gives_logits_with_the_errors_of_mancl_and_derouen() -> None:
    table, hits = _hits()
    found = mixed_model(table, "value ~ condition", family="binomial")
    p = hits.reshape(2, 4).sum(axis=1) / 40
    logit = np.log(p / (1 - p))
    np.testing.assert_allclose(found.estimate, [logit[0], logit[1] - logit[0]], rtol=1e-6)
    # each mouse has a quarter of the leverage of its condition
    corrected = (hits.reshape(2, 4) - 10 * p[:, None]) / (1 - 1 / 4)
    variance = (corrected**2).sum(axis=1) / (40 * p * (1 - p)) ** 2
    np.testing.assert_allclose(found.se, np.sqrt([variance[0], variance.sum()]), rtol=1e-5)
    assert found.df.values.tolist() == [6, 6]
    assert "generalised estimating equations" in found.attrs["note"]


def test_separation_gives_nan_and_says_so() -> None:
    table, _ = _hits()
    table["value"] &= table["condition"] == "lsd"
    found = mixed_model(table, "value ~ condition", family="binomial")
    assert all(found[n].isnull().all() for n in ("estimate", "se", "low", "high", "p"))
    assert "separation" in found.attrs["note"]
    assert found.attrs["converged"] is False


@pytest.mark.parametrize("family", ["gaussian", "binomial"])
def test_few_groups_are_said_and_too_few_give_no_p(family: str) -> None:
    table, _ = _hits()
    table["value"] = table["value"].astype(float)
    few = table[table["subject"].isin(["m0", "m1", "m4"])]
    assert "3 groups, fewer than five" in mixed_model(few, "value ~ 1", family=family).note
    two = table[table["subject"].isin(["m0", "m4"])]
    found = mixed_model(two, "value ~ condition", family=family)
    assert np.isnan(found[["low", "high", "p"]].to_array()).all()
    assert "too few groups for an error" in found.attrs["note"]


def test_values_that_do_not_vary_have_no_error() -> None:
    found = mixed_model(_mice().assign(value=4.0), "value ~ condition")
    np.testing.assert_allclose(found.estimate, [4, 0], atol=1e-12)
    assert found.p.isnull().all()
    assert found.se.isnull().all()
    assert "do not vary" in found.attrs["note"]


@pytest.mark.parametrize(
    ("formula", "options", "error", "match"),
    [
        ("value condition", {}, ArgumentError, "such as 'value ~ condition"),
        ("value ~ (condition", {}, ArgumentError, "such as"),
        ("value ~ drug", {}, SelectionError, "columns of subject.*found drug"),
        ("value ~ np.log(value)", {}, SelectionError, "Transform values before"),
        ("value ~ condition", {"groups": "mouse"}, SelectionError, "'mouse'"),
        ("value ~ condition + year", {}, ArgumentError, "tell different things.*3 of rank 2"),
        ("value ~ phase", {"slopes": "year3"}, ArgumentError, "3 levels of 'year3'"),
        ("value ~ phase", {"family": "poisson"}, ArgumentError, "family"),
        ("value ~ phase", {"level": 95}, ArgumentError, "level"),
        ("value ~ phase", {"family": "binomial"}, ArgumentError, "values from 0 to 1"),
        ("condition ~ phase", {}, ArgumentError, "numbers"),
        (
            "value ~ phase",
            {"family": "binomial", "nested": "session"},
            ArgumentError,
            "neither nested nor slopes",
        ),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    formula: str, options: dict[str, Any], error: type[Exception], match: str
) -> None:
    table = _mice()
    table["year"] = np.where(table["condition"] == "lsd", "2022", "2025")
    table["year3"] = np.tile(["a", "b", "c"], 16)
    with pytest.raises(error, match=match):
        mixed_model(table, formula, **options)


def test_all_nan_is_refused() -> None:
    with pytest.raises(SelectionError, match=r"rows with .*found none"):
        mixed_model(_mice().assign(value=np.nan), "value ~ condition")


def _example() -> pd.DataFrame:
    pingouin = pytest.importorskip("pingouin")
    return pingouin.read_dataset("mixed_anova").rename(columns={"Scores": "value"})


def test_mixed_anova_gives_the_published_numbers() -> None:
    found = mixed_anova(_example(), within="Time", between="Group", subject="Subject")
    np.testing.assert_allclose(found.F, [5.0517, 4.0274, 2.7280], atol=5e-5)
    np.testing.assert_allclose(found.p, [0.028420, 0.020369, 0.069545], atol=1e-6)
    np.testing.assert_allclose(found.effect, [0.080120, 0.064929, 0.044922], atol=1e-6)
    assert found.df1.values.tolist() == [1, 2, 2]
    assert found.df2.values.tolist() == [58, 116, 116]
    assert found.source.values.tolist() == ["Group", "Time", "interaction"]
    # epsilon is just below 1 here
    np.testing.assert_allclose(found.p_sphericity, found.p, atol=2e-4)
    assert (found.p_sphericity[1:] > found.p[1:]).all()


def test_mixed_anova_averages_inside_mice_and_leaves_out_what_lacks_a_phase() -> None:
    table = _mice(6, sd=2.0)
    cells = table.groupby(["subject", "condition", "phase"], as_index=False)["value"].mean()
    found, expected = mixed_anova(table), mixed_anova(cells)
    np.testing.assert_allclose(found.F, expected.F)
    assert found.attrs["note"] == "48 values averaged to 16 cells"
    means = table.groupby(["condition", "subject"])["value"].mean()
    t = scipy.stats.ttest_ind(means["saline"], means["lsd"]).statistic
    np.testing.assert_allclose(found.F.sel(source="condition"), t**2)
    lost = table[~((table["subject"] == "m0") & (table["phase"] == "pre"))]
    left_out = mixed_anova(lost)
    np.testing.assert_allclose(left_out.F, mixed_anova(table[table["subject"] != "m0"]).F)
    assert (left_out.attrs["n_left_out"], left_out.attrs["n_subjects"]) == (1, 7)


def test_mixed_anova_refuses_mice_of_both_conditions_and_lone_levels() -> None:
    table = _mice()
    both = table.assign(condition=np.where(table["session"] == 0, "lsd", table["condition"]))
    with pytest.raises(ArgumentError, match="both in m4, m5, m6, m7"):
        mixed_anova(both)
    with pytest.raises(ArgumentError, match="1 and lsd: 4, saline: 4"):
        mixed_anova(table[table["phase"] == "pre"])
    with pytest.raises(ArgumentError, match="2 and lsd: 4, saline: 1"):
        mixed_anova(table[table["subject"] < "m5"])
    constant = mixed_anova(table.assign(value=1.0))
    assert constant.F.isnull().all()
    assert constant.p.isnull().all()
    assert "all values are the same" in constant.attrs["note"]


@pytest.mark.parametrize(
    ("package", "call"),
    [
        ("statsmodels", lambda table: mixed_model(table, "value ~ condition")),
        ("pingouin", mixed_anova),
    ],
)
def test_without_the_package_the_error_says_what_to_install(
    package: str, call: Callable[[pd.DataFrame], xr.Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == package:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackage, match=r"pip install 'lsdx\[statistics\]'"):
        call(_mice())


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gaussian", "binomial"])
def test_the_level_holds_with_eight_unequal_mice(family: str) -> None:
    rng = np.random.default_rng(0)
    mouse = np.repeat(np.arange(8), [1, 2, 3, 6, 4, 1, 5, 2])
    mouse = mouse.repeat(10) if family == "binomial" else mouse
    table = pd.DataFrame({"subject": mouse, "drug": (mouse > 4).astype(int)})
    p = []
    for _ in range(1000):
        value = rng.normal(size=8)[mouse] * np.sqrt(0.3) + rng.normal(size=len(mouse)) * np.sqrt(
            0.7
        )
        table["value"] = value > 0.5 if family == "binomial" else value
        p.append(mixed_model(table, "value ~ drug", family=family).p.values[1])
    assert np.mean(np.array(p) < 0.05) <= 0.06
