"""Conclusions over mice: conditions compared, changes within a condition, slopes, equivalence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.comparisons import (
    STRATA,
    check_numbers,
    codes_of,
    conditions_of,
    family_words,
    known_conditions,
    left_out_note,
    mouse_means,
    numbers_of,
    refuse_unknown_strata,
    result_of,
)
from lsdx.analysis.seeds import seed_of
from lsdx.analysis.sessions import SessionValues, session_values
from lsdx.arguments import number_between, some_of
from lsdx.errors import ArgumentError, SelectionError, located
from lsdx.kernels import arrangements, contrasts, effects

_NO_VALUE = "no session has a value"


def compare_conditions(
    x: xr.DataArray | xr.Dataset,
    *,
    between: tuple[str, str] | None = ("pre", "post"),
    conditions: tuple[str, str] | None = None,
    by: str | Sequence[str] | None = None,
    reduce: str = "mean",
    strata: Sequence[str] = STRATA,
    pooled: bool = False,
    family: str | Sequence[str] | None = "all",
    n_permutations: int = 9999,
    level: float = 0.95,
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Compare two conditions over mice: estimate, interval, a p that is valid for the design.

    Parameters
    ----------
    x : DataArray or Dataset
        A measure over ``session``, or over ``unit`` with the label ``session``; with the labels
        ``subject``, ``condition`` and ``cohort_year``. Other dimensions are cells, each of which
        is compared; of a Dataset each variable is a measure. It is computed.
    between : tuple of two str or None
        Phases whose difference, second minus first, is compared. None: the values as they are.
    conditions : tuple of two str, optional
        First minus second; by default the two that the stores name, such as LSD and saline.
    by : str or sequence of str, optional
        Labels of units: a cell each.
    reduce : {"mean", "median", "share"}
        How the units of a session become one value. Units are no sample of mice.
    strata : sequence of str
        Labels of sessions within which conditions are compared and permuted; ``"subject"`` is
        always one of them.
    pooled : bool
        Whether mouse means of the two conditions are compared, whatever else differs between the
        mice and the years. No such test is made unless it is asked for; ``note`` says why it may
        be wrong here.
    family : "all", str, sequence of str or None
        Along which dimensions p is corrected together: all, some, or none.
    n_permutations : int
        All arrangements are counted if there are no more than this; else so many are drawn.
    level : float
        Of the intervals.
    rng : Generator or int, optional
        Draws arrangements; the attribute ``seed`` gives the same again.

    Returns
    -------
    Dataset
        Over the cells: ``estimate``, ``low`` to ``high``, ``p``, ``p_corrected``, ``q``; ``effect``
        with ``effect_low`` to ``effect_high``; ``without_one_low`` to ``without_one_high``;
        ``n_mice``, ``n_sessions``, ``n_units`` (condition, ...) that have a value;
        ``n_informative``, mice with both conditions in a stratum; ``per_mouse`` (mouse, ...);
        ``null`` (arrangement, ...), the observed one first, NaN where an arrangement would change
        how many of a cell's values each condition has; ``p_least``, the least p that the
        design can give (a cell with fewer sessions may give no p as small). NaN, with a ``note``,
        where the design tells nothing. The attribute ``n_sessions_unused`` counts the sessions in
        strata of one condition. Sessions without any value count nowhere.
        ``ds.lsd.describe()`` says it in words.

    Raises
    ------
    SelectionError
        For missing labels, phases or conditions. If only one of the two that the stores name is
        there, nothing is raised: all is NaN, and ``note`` says so.
    ArgumentError
        If an argument is out of range.

    Notes
    -----
    The mouse is what was drawn from a population, then the session; units and sessions of one
    mouse are alike. By default d of a mouse is the mean over its strata (mouse x cohort year) of
    the difference of the two conditions' means; the estimate is the mean over mice, with Student's
    interval; conditions are permuted within strata. So what differs between mice or years cannot
    pass for an effect. What lies in strata of one condition is not used, and its number is told.

    False positives at 5 % on the layout of these recordings are in
    `lsdx.kernels.contrasts.stratified`. ``p_corrected`` is the step-free max statistic from the
    same arrangements. ``effect`` is d_z over the mice (pooled: Hedges' g), corrected for few.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units().sel(epoch="spontaneous")
    >>> c = u.lsd.rates().lsd.compare_conditions(by="group", rng=0)
    >>> c.estimate.dims, c.attrs["note"].split(":")[0]
    (('group',), 'no stratum holds sessions of both conditions')
    """
    where = "compare_conditions"
    check_numbers(where, n_permutations, level)
    values = session_values(x, where, between=between, by=by, reduce=reduce)
    named = conditions_of(x, values, conditions, where)
    left_out = left_out_note(values, named)
    values = values.take(np.isin(values.label("condition").astype(str), named)).with_values()
    first = values.label("condition").astype(str) == named[0]
    mouse, mice = codes_of(values, ["subject"])
    if not pooled:
        refuse_unknown_strata(values, strata, where)
    seed = seed_of(rng)
    generator = np.random.default_rng(seed)
    if pooled:
        means, groups = mouse_means(values, mouse, first)
        owner, of_first = groups[:, 0], groups[:, 1].astype(bool)
        ways = arrangements.conditions_within(
            of_first, np.zeros(len(groups), dtype=int), n_permutations, generator
        )
        found = contrasts.pooled(means, owner, ways.values, level=level)
        effect = effects.hedges_g(means, of_first, level=level)
        without = _pooled_without_one(means, owner, of_first)
        n_strata, unused = 1, 0
    else:
        stratum, _ = codes_of(values, ["subject", *strata])
        ways = arrangements.conditions_within(first, stratum, n_permutations, generator)
        found = contrasts.stratified(values.values, stratum, mouse, ways.values, level=level)
        effect = effects.effect_size(found.per_mouse, level=level)
        without = contrasts.leave_one_out(found.per_mouse)
        mixed = pd.Series(first).groupby(stratum).transform("nunique") == 2
        n_strata = len(set(stratum[mixed]))
        unused = int((~mixed).sum())
    out = result_of(values, found, effect, without, ways, family, where)
    for name, numbers in numbers_of(values, mouse, first, named).items():
        out[name] = numbers
    informative = np.isfinite(found.per_mouse).sum(axis=0)
    out["n_informative"] = (values.dims, informative.reshape(values.shape), {"units": "1"})
    out["per_mouse"] = (
        ("mouse", *values.dims),
        found.per_mouse.reshape(len(mice), *values.shape),
        values.attrs,
    )
    out = out.assign_coords(mouse=np.asarray(mice, dtype=object))
    note = _note(values, named, informative, ways, pooled, left_out)
    return out.assign_attrs(
        values.source,
        test="compare_conditions",
        conditions=list(named),
        between=list(between) if between else "",
        strata="" if pooled else ", ".join(dict.fromkeys(("subject", *strata))),
        pooled=int(pooled),
        n_strata=n_strata,
        n_sessions_unused=unused,
        reduce=reduce if values.n_units is not None else "",
        n_arrangements=ways.count,
        exact=int(ways.exact),
        p_least=out["p_least"].item(),
        level=level,
        seed=str(seed),
        measure=values.name,
        units=str(values.attrs.get("units", "1")),
        family=family_words(family, values),
        note=note,
    )


def paired_contrast(
    x: xr.DataArray | xr.Dataset,
    *,
    between: tuple[str, str] = ("pre", "post"),
    by: str | Sequence[str] | None = None,
    reduce: str = "mean",
    family: str | Sequence[str] | None = "all",
    n_permutations: int = 9999,
    level: float = 0.95,
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Test the change between two phases within each condition, over mice.

    Parameters
    ----------
    x : DataArray or Dataset
        A measure over ``session`` or ``unit``, as in `compare_conditions`.
    between : tuple of two str
        Phases whose difference, second minus first, is taken.
    by : str or sequence of str, optional
        Labels of units: a cell each.
    reduce : {"mean", "median", "share"}
        How the units of a session become one value.
    family : "all", str, sequence of str or None
        Along which dimensions p is corrected together.
    n_permutations : int
        All arrangements are counted if there are no more than this; else so many are drawn.
    level : float
        Of the intervals.
    rng : Generator or int, optional
        Draws arrangements.

    Returns
    -------
    Dataset
        As `compare_conditions` gives, with the dimension ``condition`` first; ``per_mouse`` (mouse,
        condition, ...).

    Raises
    ------
    SelectionError, ArgumentError
        As `compare_conditions` does.

    Notes
    -----
    The mean of each mouse over its sessions of the condition; signs flipped over mice: all 2^n
    where they are few, so that five mice give p >= .0625. **A change within one condition is no
    effect of the drug**: time and drift change both. Compare conditions.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units().sel(epoch="spontaneous")
    >>> c = u.lsd.rates().lsd.paired_contrast(rng=0)
    >>> c.n_mice.sel(condition="saline").item(), c.p_least.sel(condition="saline").item()
    (2, 0.5)
    """
    where = "paired_contrast"
    check_numbers(where, n_permutations, level)
    values = session_values(x, where, between=between, by=by, reduce=reduce)
    seed = seed_of(rng)
    condition = values.label("condition").astype(str)
    names = known_conditions(values)
    every = sorted(set(values.label("subject").astype(str)))
    parts = []
    for name in names:
        of = values.take(condition == name).with_values()
        mouse, mice = codes_of(of, ["subject"])
        means, _ = mouse_means(of, mouse, np.ones(mouse.size, dtype=bool))
        ways = arrangements.signs(len(mice), n_permutations, np.random.default_rng(seed))
        found = contrasts.paired(means, ways.values, level=level)
        effect = effects.effect_size(means, level=level)
        out = result_of(of, found, effect, contrasts.leave_one_out(means), ways, family, where)
        for key, numbers in numbers_of(of, mouse, np.ones(mouse.size, bool), (name,)).items():
            out[key] = numbers.isel(condition=0, drop=True)
        out["n_arrangements"] = ways.count
        out["exact"] = ways.exact
        out["per_mouse"] = (("mouse", *of.dims), means.reshape(len(mice), *of.shape))
        out = out.drop_vars("null").assign_coords(mouse=np.asarray(mice, dtype=object))
        parts.append(out.reindex(mouse=every))
    if not parts:
        raise SelectionError(located(where, "a condition", "none that is known"))
    together = xr.concat(
        parts,
        pd.Index(names, name="condition", dtype=object),
        coords="minimal",
        compat="override",
        join="exact",
    )
    return together.assign_attrs(
        values.source,
        test=where,
        between=list(between),
        reduce=reduce if values.n_units is not None else "",
        level=level,
        seed=str(seed),
        measure=values.name,
        units=str(values.attrs.get("units", "1")),
        family=family_words(family, values),
        note="A change within one condition is no effect of the drug: compare conditions.",
    )


def dose_response(
    x: xr.DataArray | xr.Dataset,
    *,
    over: str = "dose",
    between: tuple[str, str] | None = ("pre", "post"),
    conditions: Sequence[str] | None = None,
    by: str | Sequence[str] | None = None,
    reduce: str = "mean",
    family: str | Sequence[str] | None = "all",
    n_permutations: int = 9999,
    level: float = 0.95,
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Return the slope over dose, day or order within mice, with a permutation test.

    Parameters
    ----------
    x : DataArray or Dataset
        A measure over ``session`` or ``unit``, as in `compare_conditions`.
    between : tuple of two str or None
        Phases whose difference, second minus first, is taken.
    by : str or sequence of str, optional
        Labels of units: a cell each.
    reduce : {"mean", "median", "share"}
        How the units of a session become one value.
    family : "all", str, sequence of str or None
        Along which dimensions p is corrected together.
    n_permutations : int
        All arrangements are counted if there are no more than this; else so many are drawn.
    level : float
        Of the intervals.
    rng : Generator or int, optional
        Draws arrangements.
    over : str
        A number of each session: ``"dose"``, ``"days_since_lsd"``, ``"session_n"``.
    conditions : sequence of str, optional
        Whose sessions; all by default.

    Returns
    -------
    Dataset
        As `compare_conditions` gives; ``estimate`` is the slope within mice per unit of ``over``,
        ``per_mouse`` each mouse's own, of which it is a mean by the spread of ``over``; the
        interval is by the jackknife over mice, ``effect`` of the mice's own, weighted alike.

    Raises
    ------
    SelectionError, ArgumentError
        As `compare_conditions` does; without that label.

    Notes
    -----
    Both are centred within mice, so that mice that got more and differ otherwise tell nothing;
    ``over`` is permuted within mice. Sessions whose ``over`` is NaN are left out.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units().sel(epoch="spontaneous")
    >>> u.lsd.rates().lsd.dose_response(over="session_n", rng=0).estimate.dims
    ()
    """
    where = "dose_response"
    check_numbers(where, n_permutations, level)
    values = session_values(x, where, between=between, by=by, reduce=reduce)
    if over not in values.table or values.table[over].dtype.kind not in "fiu":
        have = ", ".join(str(c) for c in values.table.select_dtypes("number"))
        do = "Assign it: x.assign_coords(dose=sessions.dose.sel(session=x.session))."
        raise SelectionError(located(f"{where}, over", f"a number of sessions: {have}", over, do))
    keep = np.isfinite(values.label(over).astype(float))
    if conditions is not None:
        known = known_conditions(values)
        chosen = [conditions] if isinstance(conditions, str) else list(conditions)
        some_of(chosen, f"{where}, conditions", known)
        keep &= np.isin(values.label("condition").astype(str), chosen)
    values = values.take(keep)
    if not len(values.table):
        raise SelectionError(located(f"{where}, over", f"sessions with {over}", "none"))
    values = values.with_values()
    mouse, mice = codes_of(values, ["subject"])
    seed = seed_of(rng)
    covariate = values.label(over).astype(float)
    ways = arrangements.orders_within(covariate, mouse, n_permutations, np.random.default_rng(seed))
    found = contrasts.slope(values.values, covariate, mouse, ways.values, level=level)
    effect = effects.effect_size(found.per_mouse, level=level)
    without = contrasts.leave_one_out(found.per_mouse, found.weight)
    out = result_of(values, found, effect, without, ways, family, where)
    every = np.ones(mouse.size, dtype=bool)
    for key, numbers in numbers_of(values, mouse, every, ("all",)).items():
        out[key] = numbers.isel(condition=0, drop=True)
    informative = np.isfinite(found.per_mouse).sum(axis=0)
    out["n_informative"] = (values.dims, informative.reshape(values.shape), {"units": "1"})
    out["per_mouse"] = (
        ("mouse", *values.dims),
        found.per_mouse.reshape(len(mice), *values.shape),
    )
    note = "" if ways.count > 1 else f"no mouse has sessions of different {over}: there is no p"
    if not np.isfinite(values.values).any():
        note = _NO_VALUE
    return out.assign_coords(mouse=np.asarray(mice, dtype=object)).assign_attrs(
        values.source,
        test=where,
        over=over,
        conditions=[] if conditions is None else chosen,
        between=list(between) if between else "",
        reduce=reduce if values.n_units is not None else "",
        n_arrangements=ways.count,
        exact=int(ways.exact),
        p_least=out["p_least"].item(),
        level=level,
        seed=str(seed),
        measure=values.name,
        units=str(values.attrs.get("units", "1")),
        family=family_words(family, values),
        note=note,
    )


def order_effect(
    x: xr.DataArray | xr.Dataset, *, over: str = "session_n", **comparison: Any
) -> xr.Dataset:
    """Return the slope over the order of a mouse's sessions, or over days, whatever was given.

    Parameters
    ----------
    x : DataArray or Dataset
        As in `compare_conditions`.
    over : str
        ``"session_n"``, or ``"days_since_lsd"``.
    **comparison
        Arguments of `dose_response`.

    Returns
    -------
    Dataset
        As `dose_response` gives.

    Raises
    ------
    SelectionError, ArgumentError
        As `dose_response` does.

    Notes
    -----
    Sessions of one mouse are months apart, and often in different years and conditions: a slope
    over order is none of the drug alone. It says whether order must be thought of.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units().sel(epoch="spontaneous")
    >>> u.lsd.rates().lsd.order_effect(rng=0).attrs["over"]
    'session_n'
    """
    return dose_response(x, over=over, **comparison)


def equivalence(x: xr.DataArray | xr.Dataset, *, margin: float, **comparison: Any) -> xr.Dataset:
    """Test that two conditions differ by less than a margin, by two one-sided tests over mice.

    Parameters
    ----------
    x : DataArray or Dataset
        As in `compare_conditions`.
    margin : float
        The least difference that would matter, in the unit of the values: say why in the paper.
    **comparison
        Arguments of `compare_conditions`, without ``pooled``.

    Returns
    -------
    Dataset
        As `compare_conditions` gives, with ``p_equivalent``: the conditions are equivalent at
        ``1 - level`` where it is below that. ``low`` to ``high`` is the interval that belongs to
        it, of ``2 * level - 1`` (90 % for 95 %). NaN with fewer than two mice that had both.

    Raises
    ------
    SelectionError, ArgumentError
        As `compare_conditions` does; for a margin that is not above 0.

    Notes
    -----
    Schuirmann (1987): t tests of the mice's differences. No difference found is not the same as
    no difference. Of 20,000 simulated cohorts whose true difference is the margin, 4 to 5 % are
    called equivalent (3, 5, 8, 15 mice; on the layout of the recordings too). Where there is no
    difference and the margin is one standard deviation of the mice's differences, 13, 29, 63 and
    96 % are.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units().sel(epoch="spontaneous")
    >>> lsdx.analysis.cohort.equivalence(u.lsd.rates(), margin=1.0).p_equivalent.dims
    ()
    """
    number_between(margin, "equivalence, margin", 0, np.inf)
    if comparison.get("pooled"):
        raise ArgumentError(located("equivalence, pooled", "False", "True"))
    level = number_between(comparison.pop("level", 0.95), "equivalence, level", 0.5, 1)
    out = compare_conditions(x, level=2 * level - 1, **comparison)
    flat = out["per_mouse"].values.reshape(out.sizes["mouse"], -1)
    p = effects.two_one_sided(flat, margin).reshape(out["estimate"].shape)
    about = {"units": "1", "long_name": f"p that the difference is within {margin:g}"}
    return out.assign(p_equivalent=(out["estimate"].dims, p, about)).assign_attrs(
        test="equivalence", margin=margin, level=level, interval_level=2 * level - 1
    )


def _pooled_without_one(
    means: np.ndarray, owner: np.ndarray, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    rows = []
    for m in np.unique(owner):
        kept = owner != m
        if first[kept].any() and (~first[kept]).any():
            rows.append(contrasts.pooled(means[kept], owner[kept], first[kept][None]).estimate)
    if not rows:
        nothing = np.full(means.shape[1], np.nan)
        return nothing, nothing
    filled = np.array(rows)
    known = np.isfinite(filled)
    low = np.where(known, filled, np.inf).min(axis=0)
    high = np.where(known, filled, -np.inf).max(axis=0)
    return np.where(known.any(axis=0), low, np.nan), np.where(known.any(axis=0), high, np.nan)


def _note(
    values: SessionValues,
    named: Sequence[str],
    informative: np.ndarray,
    ways: arrangements.Arrangements,
    pooled: bool,
    left_out: str,
) -> str:
    """Say what the design does not tell."""
    told = [left_out] if left_out else []
    condition = values.label("condition").astype(str)
    if not np.isfinite(values.values).any():
        told.append(_NO_VALUE)
        return "; ".join(told)
    if pooled:
        both = values.table.groupby("subject")["condition"].nunique().gt(1).sum()
        years = values.table.groupby("cohort_year")["condition"].nunique()
        alone = [str(y) for y in years.index[years == 1]]
        if both:
            told.append(f"pooled: {both} mice had both conditions, and are counted in both")
        if alone:
            told.append(f"pooled: only one condition in {', '.join(alone)}, so that years count")
    elif not ways.count > 1:
        told.append(
            "no stratum holds sessions of both conditions: nothing can be permuted, there is no p"
        )
    elif informative.max(initial=0) == 0:
        told.append("no cell has values of both conditions in a stratum")
    elif informative.max(initial=0) == 1:
        told.append("one mouse had both conditions: there is no interval over mice")
    told += [f"no session is of {c}" for c in named if not (condition == c).any()]
    return "; ".join(told)
