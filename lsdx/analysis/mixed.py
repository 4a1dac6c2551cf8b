"""Models with mice as groups: mixed models of any formula, and the mixed analysis of variance."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.results import result_attrs
from lsdx.analysis.tidy import formula_columns, known_rows, tidy
from lsdx.arguments import number_between, one_of
from lsdx.errors import ArgumentError, located, missing_package
from lsdx.schema.spec import text

_FEW = 5  # groups, whose variance can hardly be told
_BOUNDARY = 1e-6  # of the residual variance; statsmodels goes wrong at 1e-10
_WORDS = {
    "estimate": "Estimate of the term",
    "se": "Standard error",
    "df": "Degrees of freedom of t",
    "p": "Two-sided p of no effect",
}


class _Fit(NamedTuple):
    """What a model gives: of each term, and about the fit."""

    terms: list[str]
    estimate: np.ndarray
    se: np.ndarray
    df: np.ndarray
    variances: dict[str, float]
    converged: bool
    notes: list[str]


def mixed_model(
    x: xr.DataArray | pd.DataFrame,
    formula: str,
    *,
    groups: str = "subject",
    nested: str | Sequence[str] | None = None,
    slopes: str | Sequence[str] = (),
    family: str = "gaussian",
    level: float = 0.95,
) -> xr.Dataset:
    """Fit fixed effects by a formula, with mice as groups whose values are alike.

    Parameters
    ----------
    x : DataArray or DataFrame
        Values, one a session (or unit) and phase; each label is a column. The values of a
        DataArray are called ``value``, and by its name too. Rows with NaN, or an unknown label
        (``""``), in a column that is used are left out.
    formula : str
        Such as ``"value ~ condition * phase"``. It knows the columns of ``x`` and the words
        C, Q, I, Treatment, Sum, center and standardize. The first level in the order of the
        alphabet is the reference; ``C(condition, Treatment('saline'))`` takes another.
    groups : str
        Column of the groups that are independent of one another.
    nested : str or sequence of str, optional
        Columns of groups inside these, outermost first, such as ``"session"`` where there are
        several values a session. Each has a variance of its own.
    slopes : str or sequence of str
        Columns whose effect differs between groups: random slopes, correlated with the random
        intercept.
    family : {"gaussian", "binomial"}
        Binomial: values from 0 to 1, such as whether a unit is modulated. Effects are logits of
        the population's mean.
    level : float
        Of the interval, above 0 and below 1.

    Returns
    -------
    Dataset
        Over ``term``, float64: ``estimate``, ``se``, ``low`` to ``high`` and ``p``, with ``df``
        of Student's t. Over ``component``: ``variance`` of each group and ``"residual"``, 0
        where the data show none. Everything but ``estimate`` is NaN where no error can be told,
        and ``estimate`` too where there is none. The attributes ``note``, ``converged`` (bool),
        ``n_groups``, ``n_rows``, ``n_left_out``, ``variances`` (text) and ``formula`` say what
        was fitted: **read the note**.

    Raises
    ------
    SelectionError
        If a column does not exist, or no row is left.
    ArgumentError
        If the formula cannot be read, columns of it tell the same (each year has one condition),
        or options do not go together.
    MissingPackage
        If statsmodels is not installed.

    Notes
    -----
    **Not the test of this design.** If one condition was recorded in other years, a mixed model
    takes what differs between years for the drug, unless the year is in the formula.
    `lsdx.analysis.cohort.compare_conditions` permutes conditions within mouse and year.

    Gaussian: restricted maximum likelihood (statsmodels ``MixedLM``). p and interval are by
    Student's t with between-within degrees of freedom, not by the normal distribution, which
    needs many groups. A term belongs to the outermost level of groups that tells more than 1 %
    of what is left of its column after the other columns (or that has a random slope along it).
    With n groups, m groups around them and k columns of that level, df = n - m - k; at the
    outermost, n - k.

    Where a variance comes out as 0 (below 1e-6 of the residual one), the fit is made again
    without it, and the note says so; without any it is least squares, still with these degrees
    of freedom. statsmodels itself gives wrong effects there (0.0 of all that is constant in a
    group) and calls it converged. Slopes that are singular with the intercept are first made
    independent of it.

    Binomial: generalised estimating equations, exchangeable within groups, with the errors of
    Mancl & DeRouen (2001, Biometrics 57:126) and df = groups - columns. They hold whatever is
    alike inside a group, so ``nested`` and ``slopes`` are refused. Where a term predicts all
    values of some rows (separation), nothing can be estimated: NaN.

    How often p < .05 of a drug without effect, between eight mice unless said, in 1,000
    simulated cohorts (%); ICC .3:

    ==================================================  ========  ========
    layout                                              Gaussian  binomial
    ==================================================  ========  ========
    5 against 3 mice, 1 to 6 sessions each              4.9       3.4
    the same, and 3 mice with both                      2.1       4.1
    4 against 4, 4 sessions of 5 values (300 cohorts)   5.3       --
    both in each mouse, 2 sessions of each              5.9       --
    16 mice, 1 with one condition, 3 with both          4.4       --
    ==================================================  ========  ========

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame({"subject": np.repeat(list("abcdefgh"), 4), "day": [0, 1, 2, 3] * 8})
    >>> table["value"] = table.day + np.repeat(rng.normal(size=8), 4) + rng.normal(size=32)
    >>> found = mixed_model(table, "value ~ day")
    >>> found.df.sel(term="day").item(), found.estimate.sel(term="day").round(1).item()
    (23.0, 1.2)
    """
    number_between(level, "mixed_model, level", 0, 1)
    one_of(family, "mixed_model, family", ("gaussian", "binomial"))
    inner = [nested] if isinstance(nested, str) else list(nested or ())
    along = [slopes] if isinstance(slopes, str) else list(slopes)
    if family == "binomial" and (inner or along):
        expected = "neither nested nor slopes where family='binomial'"
        do = "Leave them out: the errors hold whatever is alike inside a group."
        raise ArgumentError(located("mixed_model", expected, repr([*inner, *along]), do))
    table = tidy(x)
    used = [*dict.fromkeys([*formula_columns(formula, table), groups, *inner, *along])]
    data = known_rows(table, used, "mixed_model")
    statsmodels = _formulas()
    fit = _binomial if family == "binomial" else _gaussian
    with warnings.catch_warnings(record=True):  # the note says what they say
        warnings.simplefilter("always")
        found = fit(statsmodels, data, formula, (groups, inner, along))
    n_groups = data[groups].nunique()
    if n_groups < _FEW:
        found.notes.append(
            f"{n_groups} groups, fewer than five: how much they differ can hardly be told"
        )
    return _labelled(found, level).assign_attrs(
        **(result_attrs(x.to_dataset(name="value")) if isinstance(x, xr.DataArray) else {}),
        note="; ".join(found.notes),
        converged=found.converged,
        n_groups=n_groups,
        n_rows=len(data),
        n_left_out=len(table) - len(data),
        variances=", ".join(f"{k} {v:.6g}" for k, v in found.variances.items()),
        formula=formula,
        groups=groups,
        family=family,
        level=level,
    )


def mixed_anova(
    x: xr.DataArray | pd.DataFrame,
    *,
    within: str = "phase",
    between: str = "condition",
    subject: str = "subject",
) -> xr.Dataset:
    """Test a factor within mice, one between mice and their interaction.

    Parameters
    ----------
    x : DataArray or DataFrame
        Values; each label is a column. The values of a DataFrame are its column ``value``.
        Values of one mouse and level of ``within`` are averaged first.
    within, between, subject : str
        Columns. Each subject has one level of ``between`` only.

    Returns
    -------
    Dataset
        Over ``source`` (``between``, ``within``, ``"interaction"``), float64: ``F`` with ``df1``
        and ``df2``, ``p``, ``p_sphericity`` (corrected by Greenhouse & Geisser where ``within``
        has more than two levels, else ``p``) and ``effect`` (partial eta squared, 0 to 1). NaN
        where values do not vary. The attributes ``n_subjects``, ``n_left_out`` (subjects without
        some level of ``within``) and ``note``.

    Raises
    ------
    ArgumentError
        If a subject has several levels of ``between``, a factor has one level, or a level of
        ``between`` fewer than two subjects.
    SelectionError
        If a column does not exist, or no row is left.
    MissingPackage
        If pingouin is not installed.

    Notes
    -----
    ``pingouin.mixed_anova``. It knows neither years nor mice that had both conditions:
    `lsdx.analysis.cohort` does.

    Examples
    --------
    >>> table = pd.DataFrame({"subject": list("aabbccdd"), "phase": ["pre", "post"] * 4})
    >>> table["condition"] = ["lsd"] * 4 + ["saline"] * 4
    >>> table["value"] = [1, 4, 2, 6, 1, 2, 3, 3]
    >>> mixed_anova(table).F.round(2).values.tolist()
    [0.89, 32.0, 18.0]
    """
    if len({within, between, subject}) < 3:
        expected, found = "three different columns", f"{within}, {between}, {subject}"
        raise ArgumentError(located("mixed_anova", expected, found))
    table = tidy(x)
    data = known_rows(table, ["value", within, between, subject], "mixed_anova")
    several = data.groupby(subject)[between].nunique()
    if (several > 1).any():
        found = "both in " + ", ".join(map(str, several.index[several > 1]))
        do = "Use mixed_model, or lsdx.analysis.cohort."
        expected = f"one level of {between!r} in each {subject}"
        raise ArgumentError(located("mixed_anova, between", expected, found, do))
    cells = data.groupby([subject, between, within])["value"].mean().reset_index()
    levels = cells[within].nunique()
    whole = cells.groupby(subject)[within].transform("nunique") == levels
    kept = cells[whole]
    sizes = kept.groupby(between)[subject].nunique()
    if levels < 2 or len(sizes) < 2 or sizes.min() < 2:
        expected = f"two levels of {within!r}, and of {between!r} with two subjects each"
        found = f"{levels} and " + (", ".join(f"{k}: {n}" for k, n in sizes.items()) or "none")
        raise ArgumentError(located("mixed_anova", expected, found))
    notes = [f"{len(data)} values averaged to {len(cells)} cells"] * (len(data) > len(cells))
    lacking = cells[subject].nunique() - kept[subject].nunique()
    notes += [f"{lacking} subjects left out, without some level of {within}"] * (lacking > 0)
    sources = [between, within, "interaction"]
    out = {n: np.full(3, np.nan) for n in ("F", "df1", "df2", "p", "p_sphericity", "effect")}
    if np.ptp(kept["value"]) > 0:
        _anova(kept, (within, between, subject), out)
    else:
        notes.append("all values are the same")
    words = {
        "F": "Ratio of mean squares",
        "df1": "Degrees of freedom of the source",
        "df2": "Degrees of freedom of its error",
        "p": "p of no effect",
        "p_sphericity": "p by Greenhouse & Geisser",
        "effect": "Partial eta squared",
    }
    variables = {k: ("source", v, {"units": "1", "long_name": words[k]}) for k, v in out.items()}
    return xr.Dataset(variables, {"source": text(sources)}).assign_attrs(
        **(result_attrs(x.to_dataset(name="value")) if isinstance(x, xr.DataArray) else {}),
        note="; ".join(notes),
        n_subjects=int(kept[subject].nunique()),
        n_left_out=int(lacking),
    )


def _anova(kept: pd.DataFrame, names: tuple[str, str, str], out: dict[str, np.ndarray]) -> None:
    """Fill in what pingouin finds."""
    from scipy.special import fdtrc

    try:
        import pingouin
    except ImportError as error:
        raise missing_package("mixed_anova", "pingouin", "statistics") from error
    roles = dict(zip(("within", "between", "subject"), names, strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of 0 / 0 where a factor does nothing
        found = pingouin.mixed_anova(data=kept, dv="value", correction=False, **roles)
    for ours, theirs in (("F", "F"), ("df1", "DF1"), ("df2", "DF2"), ("effect", "np2")):
        out[ours][:] = found[theirs].to_numpy(dtype=np.float64)
    epsilon = float(found["eps"].iloc[1])  # of the factor within, whose errors both share
    eps = np.array([1, epsilon, epsilon])
    out["p"][:] = fdtrc(out["df1"], out["df2"], out["F"])
    out["p_sphericity"][:] = fdtrc(eps * out["df1"], eps * out["df2"], out["F"])


def _formulas() -> Any:
    try:
        import statsmodels.formula.api as formulas
    except ImportError as error:
        raise missing_package("mixed_model", "statsmodels", "statistics") from error
    return formulas


def _least_squares(formulas: Any, data: pd.DataFrame, formula: str) -> Any:
    """Return the model without groups, whose columns tell different things."""
    try:
        model = formulas.ols(formula, data)
    except ValueError as error:  # values that are no numbers become columns
        found = f"those of {formula.partition('~')[0].strip()}"
        raise ArgumentError(located("mixed_model, formula", "numbers as values", found)) from error
    if np.linalg.matrix_rank(model.exog) < model.exog.shape[1]:
        expected = "columns that tell different things"
        found = f"{model.exog.shape[1]} of rank {np.linalg.matrix_rank(model.exog)}"
        do = "Leave out a term: such as a year with one condition only."
        raise ArgumentError(located("mixed_model, formula", expected, found, do))
    return model


def _gaussian(
    formulas: Any, data: pd.DataFrame, formula: str, roles: tuple[str, list[str], list[str]]
) -> _Fit:
    """Fit by restricted maximum likelihood, without the variances that are 0."""
    from lsdx.kernels.linear_models import between_within_df

    groups, inner, along = roles
    model = _least_squares(formulas, data, formula)
    plain = model.fit()
    codes: list[Any] = [pd.factorize(data[groups])[0]]
    for name in inner:  # a session's name may come again in another mouse
        codes.append(data.groupby([codes[-1], data[name].to_numpy()]).ngroup().to_numpy())
    lines = [_numbers(data[n], n) for n in along]
    sizes = [float(line.std()) or 1.0 for line in lines]  # of one size: else one looks 0
    lines = [line / size for line, size in zip(lines, sizes, strict=True)]
    df = between_within_df(
        np.asarray(model.exog), codes, np.column_stack([np.ones(len(data)), *lines])
    )
    terms, estimate = list(model.exog_names), np.asarray(plain.params)
    if plain.ssr <= 1e-20 * float((np.asarray(model.endog) ** 2).sum()):
        note = "values do not vary beyond the terms: no error can be told"
        return _Fit(terms, estimate, estimate * np.nan, df, {}, True, [note])
    data = data.assign(
        **{f"code_{i}": code for i, code in enumerate(codes)},
        **{f"line_{i}": line for i, line in enumerate(lines)},
    )
    names = [groups, *inner, *(f"{groups}:{n}" for n in along)]
    counts = [0, *(int(code.max()) + 1 for code in codes)]
    single = [
        name
        for name, around, n in zip(names, counts, counts[1:], strict=False)
        if n in (around, len(data))
    ]
    found, variances, notes = _without_zeros(formulas, data, formula, names, len(inner), single)
    for name, size in zip(along, sizes, strict=True):
        variances[f"{groups}:{name}"] /= size**2
    if found is None:
        notes.append("no variance is left: least squares, with the groups' degrees of freedom")
        variances["residual"] = float(plain.scale)
        return _Fit(terms, estimate, np.asarray(plain.bse), df, variances, True, notes)
    variances["residual"] = float(found.scale)
    estimate, se = np.array(found.fe_params), np.array(found.bse_fe)
    if not found.converged:
        notes.append("the fit did not converge: its numbers are not to be reported")
    few = [term for term, d in zip(terms, df, strict=True) if d < 1]
    if few:
        notes.append("too few groups for an error of " + ", ".join(few))
    return _Fit(terms, estimate, se, df, variances, bool(found.converged), notes)


def _numbers(column: pd.Series, name: str) -> np.ndarray:
    """Return what a slope is along: numbers, or 0 and 1 of two levels."""
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=np.float64)
    code, levels = pd.factorize(column, sort=True)
    if len(levels) != 2:
        found = f"{len(levels)} levels of {name!r}"
        raise ArgumentError(located("mixed_model, slopes", "numbers or two levels", found))
    return np.asarray(code, dtype=np.float64)


def _without_zeros(
    formulas: Any,
    data: pd.DataFrame,
    formula: str,
    names: Sequence[str],
    n_inner: int,
    single: Sequence[str],
) -> tuple[Any, dict[str, float], list[str]]:
    """Fit again and again, until no variance is 0; the fit is None if none is left."""
    inner = {name: f"0 + C(code_{i + 1})" for i, name in enumerate(names[1 : 1 + n_inner])}
    alone = {name: f"0 + line_{i}" for i, name in enumerate(names[1 + n_inner :])}
    inner = {k: v for k, v in inner.items() if k not in single}
    together, intercept = bool(alone), names[0] not in single
    variances = dict.fromkeys(names, 0.0)
    notes = [f"one value, or all, in each {n}: no variance of its own" for n in single]
    while intercept or inner or alone:
        apart = inner | ({} if together else alone)
        lines = [v.split()[-1] for v in alone.values()] if together else []
        model = formulas.mixedlm(
            formula,
            data,
            groups=data["code_0"].to_numpy(),
            re_formula=" + ".join(["1", *lines]) if intercept else None,
            vc_formula=apart or None,
        )
        # without derivatives, which fail at the boundary
        fit = model.fit(reml=True, method="powell", xtol=1e-7, ftol=1e-12)
        joint = np.asarray(fit.cov_re)
        if together and np.linalg.eigvalsh(joint)[0] < _BOUNDARY * fit.scale:
            together = False
            notes.append("slopes singular with the intercept: fitted as independent of it")
            continue
        values = dict(zip(model.exog_vc.names, np.asarray(fit.vcomp), strict=True))
        if intercept:
            order = [names[0], *(alone if together else ())]
            values |= dict(zip(order, np.diag(joint), strict=True))
        zeros = [n for n, v in values.items() if v < _BOUNDARY * fit.scale]
        if not zeros:
            variances |= {n: float(v) for n, v in values.items()}
            return fit, variances, notes
        # the innermost first: what it took may come back to the others
        last = max(zeros, key=list(names).index)
        notes.append(f"the variance of {last} came out as 0: fitted again without it")
        inner.pop(last, None)
        alone.pop(last, None)
        intercept = intercept and last != names[0]
    return None, variances, notes


def _binomial(
    formulas: Any, data: pd.DataFrame, formula: str, roles: tuple[str, list[str], list[str]]
) -> _Fit:
    """Fit by generalised estimating equations."""
    from statsmodels.genmod.cov_struct import Exchangeable
    from statsmodels.genmod.families import Binomial

    from lsdx.kernels.linear_models import separated

    model = _least_squares(formulas, data, formula)
    terms, exog, y = list(model.exog_names), np.asarray(model.exog), np.asarray(model.endog)
    if y.min() < 0 or y.max() > 1:
        found = f"{y.min():g} to {y.max():g}"
        raise ArgumentError(located("mixed_model, binomial", "values from 0 to 1", found))
    code = pd.factorize(data[roles[0]])[0]
    df = np.full(len(terms), float(code.max() + 1 - len(terms)))
    notes = ["generalised estimating equations: logits of the population's mean"]
    nothing = np.full(len(terms), np.nan)
    model = formulas.gee(formula, code, data, family=Binomial(), cov_struct=Exchangeable())
    if separated(exog, y):
        notes.append("separation: some term predicts values of 0 or 1 without error")
        return _Fit(terms, nothing, nothing, df, {}, False, notes)
    if df[0] < 1:
        notes.append("too few groups for an error")
        return _Fit(terms, nothing, nothing, df, {}, False, notes)
    found = model.fit(cov_type="bias_reduced", maxiter=100)
    if not found.converged:
        notes.append("the fit did not converge: its numbers are not to be reported")
    params, bse = np.asarray(found.params), np.asarray(found.bse)
    return _Fit(terms, params, bse, df, {}, bool(found.converged), notes)


def _labelled(found: _Fit, level: float) -> xr.Dataset:
    """Return a fit as a Dataset, with Student's intervals."""
    from scipy.special import stdtr, stdtrit

    df = np.where((found.df >= 1) & np.isfinite(found.se), found.df, np.nan)
    half = stdtrit(df, (1 + level) / 2) * found.se
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stdtr(df, -np.abs(found.estimate / found.se))
    values = {
        "estimate": found.estimate,
        "se": np.where(np.isfinite(df), found.se, np.nan),
        "df": df,
        "low": found.estimate - half,
        "high": found.estimate + half,
        "p": p,
    }
    words = _WORDS | {
        "low": f"Lower end of the {level:.0%} interval",
        "high": f"Upper end of the {level:.0%} interval",
    }
    variables: dict[str, Any] = {
        k: ("term", np.asarray(v, dtype=np.float64), {"long_name": words[k]})
        for k, v in values.items()
    }
    names = text(list(found.variances))
    share = np.array(list(found.variances.values()), dtype=np.float64)
    variables["variance"] = ("component", share, {"long_name": "Variance, in squares of values"})
    return xr.Dataset(variables, {"term": text(found.terms), "component": names})
