"""Conclusions over mice: conditions compared, changes within a condition, slopes, equivalence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.seeds import seed_of
from lsdx.analysis.sessions import SessionValues, session_values
from lsdx.arguments import number_between, whole_number
from lsdx.errors import ArgumentError, SelectionError, located
from lsdx.kernels import arrangements, contrasts
from lsdx.kernels.permutation import benjamini_hochberg

STRATA = ("subject", "cohort_year")
_NO_VALUE = "no session has a value"
_WORDS = {
    "estimate": "Estimate: mean over mice",
    "low": "Lower end of the interval",
    "high": "Upper end of the interval",
    "p": "Two-sided p by permutation",
    "p_corrected": "p corrected for the family, by the largest statistic",
    "q": "False discovery rate, Benjamini-Hochberg",
    "effect": "Standardised effect",
    "effect_low": "Lower end of its interval",
    "effect_high": "Upper end of its interval",
    "without_one_low": "Least estimate when one mouse is left out",
    "without_one_high": "Largest estimate when one mouse is left out",
}


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
    _check(where, n_permutations, level)
    values = session_values(x, where, between=between, by=by, reduce=reduce)
    named = _conditions(x, values, conditions, where)
    values = values.take(np.isin(values.label("condition").astype(str), named)).with_values()
    first = values.label("condition").astype(str) == named[0]
    mouse, mice = _codes(values, ["subject"])
    if not pooled:
        _refuse_unknown_strata(values, strata, where)
    seed = seed_of(rng)
    generator = np.random.default_rng(seed)
    if pooled:
        means, groups = _mouse_means(values, mouse, first)
        owner, of_first = groups[:, 0], groups[:, 1].astype(bool)
        ways = arrangements.conditions_within(
            of_first, np.zeros(len(groups), dtype=int), n_permutations, generator
        )
        found = contrasts.pooled(means, owner, ways.values, level=level)
        effect = contrasts.hedges_g(means, of_first, level=level)
        without = _pooled_without_one(means, owner, of_first)
        n_strata, unused = 1, 0
    else:
        stratum, _ = _codes(values, ["subject", *strata])
        ways = arrangements.conditions_within(first, stratum, n_permutations, generator)
        found = contrasts.stratified(values.values, stratum, mouse, ways.values, level=level)
        effect = contrasts.effect_size(found.per_mouse, level=level)
        without = contrasts.leave_one_out(found.per_mouse)
        mixed = pd.Series(first).groupby(stratum).transform("nunique") == 2
        n_strata = len(set(stratum[mixed]))
        unused = int((~mixed).sum())
    out = _result(values, found, effect, without, ways, family, where)
    for name, numbers in _numbers(values, mouse, first, named).items():
        out[name] = numbers
    informative = np.isfinite(found.per_mouse).sum(axis=0)
    out["n_informative"] = (values.dims, informative.reshape(values.shape), {"units": "1"})
    out["per_mouse"] = (
        ("mouse", *values.dims),
        found.per_mouse.reshape(len(mice), *values.shape),
        values.attrs,
    )
    out = out.assign_coords(mouse=np.asarray(mice, dtype=object))
    note = _note(values, named, informative, ways, pooled)
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
        family=_family_words(family, values),
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
        As in `compare_conditions`.
    between, by, reduce, family, n_permutations, level, rng
        As in `compare_conditions`.

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
    _check(where, n_permutations, level)
    values = session_values(x, where, between=between, by=by, reduce=reduce)
    seed = seed_of(rng)
    condition = values.label("condition").astype(str)
    names = [c for c in dict.fromkeys(condition) if c not in ("", "unknown")]
    every = sorted(set(values.label("subject").astype(str)))
    parts = []
    for name in names:
        of = values.take(condition == name).with_values()
        mouse, mice = _codes(of, ["subject"])
        means, _ = _mouse_means(of, mouse, np.ones(mouse.size, dtype=bool))
        ways = arrangements.signs(len(mice), n_permutations, np.random.default_rng(seed))
        found = contrasts.paired(means, ways.values, level=level)
        effect = contrasts.effect_size(means, level=level)
        out = _result(of, found, effect, contrasts.leave_one_out(means), ways, family, where)
        for key, numbers in _numbers(of, mouse, np.ones(mouse.size, bool), (name,)).items():
            out[key] = numbers.isel(condition=0, drop=True)
        out["n_arrangements"] = ways.count
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
        family=_family_words(family, values),
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
        As in `compare_conditions`.
    between, by, reduce, family, n_permutations, level, rng
        As in `compare_conditions`.
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
    _check(where, n_permutations, level)
    values = session_values(x, where, between=between, by=by, reduce=reduce)
    if over not in values.table or values.table[over].dtype.kind not in "fiu":
        have = ", ".join(str(c) for c in values.table.select_dtypes("number"))
        do = "Assign it: x.assign_coords(dose=sessions.dose.sel(session=x.session))."
        raise SelectionError(located(f"{where}, over", f"a number of sessions: {have}", over, do))
    keep = np.isfinite(values.label(over).astype(float))
    if conditions is not None:
        keep &= np.isin(values.label("condition").astype(str), list(conditions))
    values = values.take(keep)
    if not len(values.table):
        raise SelectionError(located(f"{where}, over", f"sessions with {over}", "none"))
    values = values.with_values()
    mouse, mice = _codes(values, ["subject"])
    seed = seed_of(rng)
    covariate = values.label(over).astype(float)
    ways = arrangements.orders_within(covariate, mouse, n_permutations, np.random.default_rng(seed))
    found = contrasts.slope(values.values, covariate, mouse, ways.values, level=level)
    effect = contrasts.effect_size(found.per_mouse, level=level)
    without = contrasts.leave_one_out(found.per_mouse, found.weight)
    out = _result(values, found, effect, without, ways, family, where)
    every = np.ones(mouse.size, dtype=bool)
    for key, numbers in _numbers(values, mouse, every, ("all",)).items():
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
        between=list(between) if between else "",
        reduce=reduce if values.n_units is not None else "",
        n_arrangements=ways.count,
        exact=int(ways.exact),
        p_least=out["p_least"].item(),
        level=level,
        seed=str(seed),
        measure=values.name,
        units=str(values.attrs.get("units", "1")),
        family=_family_words(family, values),
        note=note,
    )


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
    no difference.

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
    p = contrasts.two_one_sided(flat, margin).reshape(out["estimate"].shape)
    about = {"units": "1", "long_name": f"p that the difference is within {margin:g}"}
    return out.assign(p_equivalent=(out["estimate"].dims, p, about)).assign_attrs(
        test="equivalence", margin=margin
    )


def describe(ds: xr.Dataset) -> str:
    """Write the paragraph for the paper: design, numbers, test, estimate, interval, p.

    Parameters
    ----------
    ds : Dataset
        What `compare_conditions`, `paired_contrast`, `dose_response` or `equivalence` gives.

    Returns
    -------
    str
        Of many cells the five of least p.

    Raises
    ------
    SelectionError
        If ``ds`` is no such result.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units().sel(epoch="spontaneous")
    >>> c = u.lsd.rates().lsd.compare_conditions(rng=0)
    >>> c.lsd.describe().split(". ")[0]
    'mean_rate (Hz), post minus pre, lsd minus saline'
    """
    from importlib.metadata import version

    test = str(ds.attrs.get("test", ""))
    if not test or "estimate" not in ds:
        do = "Start from x.lsd.compare_conditions(...)."
        raise SelectionError(located("describe", "a comparison over mice", "another result", do))
    attrs = ds.attrs
    units = "" if attrs["units"] == "1" else f" ({attrs['units']})"
    between = list(attrs.get("between") or ())
    words = [f"{attrs['measure']}{units}"]
    words += [f"{between[1]} minus {between[0]}"] if len(between) == 2 else []
    if test in ("compare_conditions", "equivalence"):
        words.append(" minus ".join(attrs["conditions"]))
    words += [f"slope over {attrs['over']} within mice"] if test == "dose_response" else []
    sentences = [", ".join(words), *_design_words(ds), _test_words(ds)]
    if attrs.get("family"):
        sentences.append(f"p corrected by the largest statistic over {attrs['family']}")
    if test == "equivalence":
        sentences.append(
            f"Equivalence: two one-sided t tests over mice, margin {attrs['margin']:g}{units}"
        )
    sentences += _cells_in_words(ds)
    if attrs.get("note"):
        sentences.append(str(attrs["note"]).rstrip("."))
    if attrs.get("simulated"):
        sentences.append("SIMULATED, not recordings")
    source = f"lsdx {version('lsdx')}, catalog {attrs.get('catalog', 'unknown')}"
    sentences.append(f"Seed {attrs['seed']}; {source}")
    return ". ".join(sentences) + "."


def _design_words(ds: xr.Dataset) -> list[str]:
    attrs = ds.attrs
    told = []
    for word in ("mice", "sessions", "units"):
        name = f"n_{word}"
        if name not in ds:
            continue
        most = ds[name].max([d for d in ds[name].dims if d != "condition"])
        names = most["condition"].values if "condition" in most.dims else [""]
        told.append(
            ", ".join(
                f"{int(n)} {word} {c}".rstrip()
                for n, c in zip(np.atleast_1d(most.values), names, strict=True)
            )
        )
    sentences = ["; ".join(told)]
    if attrs["test"] in ("compare_conditions", "equivalence"):
        n = int(ds["n_informative"].max())
        sentences.append(
            "Mouse means of the two conditions are compared, POOLED over mice and years"
            if attrs["pooled"]
            else f"Conditions are compared within {attrs['strata'].replace(', ', ' x ')}: {n} mice "
            f"had both, in {attrs['n_strata']} strata"
        )
        if attrs.get("n_sessions_unused"):
            sentences.append(
                f"{attrs['n_sessions_unused']} sessions lie where there is one condition only, "
                "and are not used"
            )
    if attrs.get("reduce"):
        sentences.append(f"Units of a session: {attrs['reduce']}")
    return sentences


def _test_words(ds: xr.Dataset) -> str:
    attrs = ds.attrs
    if attrs["test"] == "paired_contrast":
        return "Signs were flipped over mice"
    if not np.isfinite(attrs["p_least"]):
        return "Nothing can be permuted: there is no p"
    drawn = (
        f"{ds.sizes['arrangement'] - 1} drawn from " if "arrangement" in ds.dims else "drawn from "
    )
    return (
        f"Permutation test, {'all' if attrs['exact'] else drawn.rstrip()} "
        f"{attrs['n_arrangements']} arrangements, two-sided, p at least {attrs['p_least']:.2g}"
    )


def _cells_in_words(ds: xr.Dataset) -> list[str]:
    names = ["estimate", "low", "high", "p", "p_corrected", "effect"]
    names += ["p_equivalent"] if "p_equivalent" in ds else []
    flat = ds[names].reset_coords(drop=True)
    if not flat["estimate"].dims:
        flat = flat.expand_dims("cell")
    table = flat.to_dataframe()[names]
    table = table.sort_values("p", kind="stable")
    told = []
    for key, row in table.head(5).iterrows():
        cell = " ".join(map(str, key)) if isinstance(key, tuple) else str(key)
        cell = f"{cell}: " if ds["estimate"].dims else ""
        level = f"{100 * float(ds.attrs['level']):g} %"
        if not np.isfinite(row.estimate):
            told.append(f"{cell}no estimate")
            continue
        words = f"{cell}{row.estimate:.3g}, "
        words += (
            f"{level} interval {row.low:.3g} to {row.high:.3g}"
            if np.isfinite(row.low)
            else "no interval"
        )
        words += f", p = {row.p:.3g}" if np.isfinite(row.p) else ", no p"
        if np.isfinite(row.p_corrected) and ds.attrs.get("family"):
            words += f" (corrected {row.p_corrected:.3g})"
        words += f", effect size {row.effect:.2f}" if np.isfinite(row.effect) else ""
        if "p_equivalent" in names:
            p = row.p_equivalent
            words += f", p of equivalence {p:.3g}" if np.isfinite(p) else ", no p of equivalence"
        told.append(words)
    if len(table) > 5:
        told.append(f"{len(table) - 5} cells of larger p are not listed")
    return told


def _check(where: str, n_permutations: int, level: float) -> None:
    whole_number(n_permutations, f"{where}, n_permutations", least=1)
    number_between(level, f"{where}, level", 0, 1)


def _conditions(
    x: Any, values: SessionValues, given: Sequence[str] | None, where: str
) -> tuple[str, ...]:
    have = values.label("condition").astype(str)
    known = [c for c in dict.fromkeys(have) if c not in ("", "unknown")]
    if given is None:
        named = [c.strip() for c in str(getattr(x, "attrs", {}).get("conditions", "")).split(",")]
        of_stores = [c for c in named if c in known]
        # where one of the two is missing the result is NaN, and says so
        given = named if len(named) == 2 and of_stores else of_stores or sorted(known)
        known += [c for c in given if c not in known]
    if isinstance(given, str) or len(given) != 2 or given[0] == given[1]:
        do = "Say which: conditions=('lsd', 'saline')."
        found = ", ".join(map(str, given)) or "none"
        raise SelectionError(located(f"{where}, conditions", "two conditions", found, do))
    missing = [c for c in given if c not in known]
    if missing:
        found = ", ".join(known) or "none"
        raise SelectionError(located(f"{where}, conditions", f"sessions of {missing[0]}", found))
    return tuple(map(str, given))


def _codes(values: SessionValues, labels: Sequence[str]) -> tuple[np.ndarray, list[Any]]:
    """Return a number of each session by its labels, and their names; unknown ones are alone."""
    table = values.table[list(dict.fromkeys(labels))]
    keys = [
        f"unknown {i}" if row_is_unknown else "/".join(map(str, row))
        for i, (row, row_is_unknown) in enumerate(
            zip(table.to_numpy(dtype=object), table.isna().any(axis=1), strict=True)
        )
    ]
    code, names = pd.factorize(np.array(keys, dtype=object), sort=True)
    return np.asarray(code), list(names)


def _refuse_unknown_strata(values: SessionValues, strata: Sequence[str], where: str) -> None:
    unknown = [s for s in strata if s not in values.table]
    if isinstance(strata, str) or unknown:
        have = ", ".join(values.table.columns)
        found = repr(strata) if isinstance(strata, str) else unknown[0]
        raise SelectionError(located(f"{where}, strata", f"labels of sessions: {have}", found))


def _mouse_means(
    values: SessionValues, mouse: np.ndarray, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of each mouse in each condition, and which mouse and condition each is."""
    key = pd.MultiIndex.from_arrays([mouse, first.astype(int)])
    table = pd.DataFrame(values.values, index=key).groupby(level=[0, 1], sort=True).mean()
    groups = np.array(table.index.to_list(), dtype=np.int64).reshape(-1, 2)
    return table.to_numpy(), groups


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


def _result(
    values: SessionValues,
    found: contrasts.Contrast,
    effect: tuple[np.ndarray, np.ndarray, np.ndarray],
    without: tuple[np.ndarray, np.ndarray],
    ways: arrangements.Arrangements,
    family: Any,
    where: str,
) -> xr.Dataset:
    p = contrasts.permutation_p(found.null)
    corrected, q = np.full(p.shape, np.nan), np.full(p.shape, np.nan)
    for cells in _families(values, family, where):
        corrected[cells] = contrasts.family_p(found.null[:, cells])
        q[cells] = benjamini_hochberg(p[cells])
    numbers = {
        "estimate": found.estimate,
        "low": found.low,
        "high": found.high,
        "p": p,
        "p_corrected": corrected,
        "q": q,
        "effect": effect[0],
        "effect_low": effect[1],
        "effect_high": effect[2],
        "without_one_low": without[0],
        "without_one_high": without[1],
    }
    own = {"estimate", "low", "high", "without_one_low", "without_one_high"}
    units = str(values.attrs.get("units", "1"))
    variables: dict[str, Any] = {
        name: (
            values.dims,
            v.reshape(values.shape),
            {"units": units if name in own else "1", "long_name": _WORDS[name]},
        )
        for name, v in numbers.items()
    }
    null = found.null.reshape(len(ways.values), *values.shape)
    variables["null"] = (("arrangement", *values.dims), null, {"units": units})
    least = ways.p_least if np.isfinite(values.values).any() else np.nan
    variables["p_least"] = ((), least, {"units": "1", "long_name": "Least possible p"})
    return xr.Dataset(variables, values.coords)


def _families(values: SessionValues, family: Any, where: str) -> list[np.ndarray]:
    """Return the cells of each family, as places in their flat order."""
    place = np.arange(int(np.prod(values.shape))).reshape(values.shape)
    if family is None:
        return list(place.reshape(-1, 1))
    if isinstance(family, str) and family == "all":
        return [place.ravel()]
    chosen = [family] if isinstance(family, str) else list(family)
    unknown = [f for f in chosen if f not in values.dims]
    if unknown:
        known = ", ".join(["'all'", "None", *values.dims])
        raise ArgumentError(located(f"{where}, family", f"one of {known}", repr(unknown[0])))
    rest = [i for i, d in enumerate(values.dims) if d not in chosen]
    moved = np.moveaxis(place, rest, range(len(rest)))
    return list(moved.reshape(int(np.prod(moved.shape[: len(rest)])), -1))


def _family_words(family: Any, values: SessionValues) -> str:
    if family is None or not values.dims:
        return ""
    chosen = values.dims if family == "all" else [family] if isinstance(family, str) else family
    return ", ".join(chosen)


def _numbers(
    values: SessionValues, mouse: np.ndarray, first: np.ndarray, names: Sequence[str]
) -> dict[str, xr.DataArray]:
    """Return mice, sessions and units that have a value, by condition and cell."""
    known = np.isfinite(values.values)
    sides = [first] if len(names) == 1 else [first, ~first]
    found: dict[str, list[np.ndarray]] = {"n_mice": [], "n_sessions": []}
    if values.n_units is not None:
        found["n_units"] = []
    for side in sides:
        here = known & side[:, None]
        found["n_sessions"].append(here.sum(axis=0))
        of_mouse = pd.DataFrame(here).groupby(mouse).any().to_numpy()
        found["n_mice"].append(of_mouse.sum(axis=0))
        if values.n_units is not None:
            found["n_units"].append(np.where(here, values.n_units, 0).sum(axis=0))
    dims = ("condition", *values.dims)
    coords = {"condition": np.asarray(names, dtype=object)}
    return {
        name: xr.DataArray(
            np.array(rows).reshape(len(names), *values.shape), coords, dims, attrs={"units": "1"}
        )
        for name, rows in found.items()
    }


def _note(
    values: SessionValues,
    named: Sequence[str],
    informative: np.ndarray,
    ways: arrangements.Arrangements,
    pooled: bool,
) -> str:
    """Say what the design does not tell."""
    told = []
    condition = values.label("condition").astype(str)
    if not np.isfinite(values.values).any():
        return _NO_VALUE
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
    if not all((condition == c).any() for c in named):
        told.append("a condition has no session")
    return "; ".join(told)
