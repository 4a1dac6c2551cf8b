"""What a comparison rests on: what selections leave, and how else conditions differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.inputs import with_text
from lsdx.analysis.results import result_attrs
from lsdx.analysis.selection import ATTRIBUTE, LABELLED, select
from lsdx.arguments import one_of
from lsdx.errors import SelectionError, located
from lsdx.schema.spec import columns_along, text

_OWN = ("dim", "exclusions")  # arguments of select that are not a step's
_CODES = ("cohort_year",)  # numbers that name something: their mean says nothing
_USUAL = ("cohort_year", "lab", "session_n", "weight", "n_units", "sorter", "sorter_version")
_OF_INSERTIONS = ("sorter", "sorter_version")


def attrition(
    ds: xr.Dataset,
    *,
    steps: Sequence[Mapping[str, Any]] = (),
    by: str | Sequence[str] = "condition",
    sessions: xr.Dataset | None = None,
    measured: xr.DataArray | None = None,
    exclusions: bool = True,
) -> xr.Dataset:
    """Count the units, sessions and mice that are left after each step of a selection.

    Parameters
    ----------
    ds : Dataset
        As it was opened, over ``unit``, ``session``, ``insertion`` or ``event``; nothing may be
        selected from it yet. Its data are not read.
    steps : sequence of dict
        Arguments of `lsdx.analysis.selection.select`, one dict a step. Each selects from what
        the step before left. A dict with several arguments is one step.
    by : str or sequence of str
        Labels to count by, such as ``["condition", "subject"]``.
    sessions : Dataset, optional
        Of ``lsdx.open_sessions()``. It adds a first step, ``"recorded"``, because sessions
        without units have no row in ``ds``.
    measured : DataArray, optional
        A measure of what the steps left, over ``unit`` or ``session``. It adds a last step,
        ``"measured"``: those with a finite value in any cell.
    exclusions : bool
        Whether what the lab excludes is left out before the steps, as ``select`` does.

    Returns
    -------
    Dataset
        Over ``step`` and the labels of ``by``: ``n_sessions``, ``n_mice``, and the number of
        ``ds``'s own rows, such as ``n_units``; int64, 0 where none is left. The attribute
        ``exclusions`` gives the lab's reasons. A mouse with two conditions counts in both.

    Raises
    ------
    SelectionError
        If something was selected from ``ds`` before; for a label or a value that ``ds`` does
        not have; if ``measured`` has rows that the steps did not leave: then these are not the
        steps that led to it.

    Examples
    --------
    >>> import lsdx
    >>> units = lsdx.open_units()
    >>> left = attrition(units, steps=[{"region": "Isocortex"}, {"quality": "ks2_good"}])
    >>> left.step.values.tolist()
    ['all', 'region=Isocortex', 'quality=ks2_good']
    >>> bool((left.n_units.diff("step") <= 0).all())
    True
    """
    one_of(exclusions, "attrition, exclusions", (True, False))
    given: Any = steps
    if not isinstance(given, Sequence) or not all(isinstance(s, Mapping) and s for s in given):
        do = 'Write steps=[{"region": "VISp"}, {"quality": "ks2_good"}].'
        raise SelectionError(located("attrition, steps", "a list of dicts", repr(steps), do))
    dim = _one_dimension(ds, "attrition")
    if ATTRIBUTE in ds.attrs:
        found = f"a selection ({ds.attrs[ATTRIBUTE]})"
        do = "Give what was opened, and name what you selected as steps."
        raise SelectionError(located("attrition", "a Dataset as it was opened", found, do))
    many = [n for n, v in ds.variables.items() if v.dims != (dim,)]
    whole = with_text(ds.drop_vars(many), "attrition")
    names = [by] if isinstance(by, str) else list(by)
    rows = [("all", _rows(whole, dim, names))]
    told = ""
    if exclusions and "exclusion" in whole.variables:
        reason = whole["exclusion"].values
        told = _reasons(whole, dim)
        if told:
            whole = whole.isel({dim: np.flatnonzero(reason == "")})
            rows.append(("not excluded", _rows(whole, dim, names)))
    kept = whole
    for step in steps:
        own = sorted(set(step) & set(_OWN))
        if own:
            expected = "arguments of select, without " + " and ".join(_OWN)
            raise SelectionError(located("attrition, steps", expected, ", ".join(own)))
        arguments: dict[str, Any] = {**step, "exclusions": False, "dim": dim}
        select(whole, **arguments)  # a wrong name is found here: later it may just have gone
        kept = select(kept, **arguments)
        rows.append((_step_name(step), _rows(kept, dim, names)))
    if measured is not None:
        rows.append(("measured", _measured(rows[-1][1], measured, dim)))
    if sessions is not None:
        recorded = _rows(with_text(sessions, "attrition, sessions"), "session", names)
        unknown = set(rows[0][1]["session"]) - set(recorded["session"])
        if unknown:
            found = f"others, such as {min(unknown)}"
            raise SelectionError(located("attrition, sessions", "the sessions of ds", found))
        rows.insert(0, ("recorded", recorded))
    return _counted(rows, dim, names, ds).assign_attrs(
        result_attrs(ds) | ({"exclusions": told} if told else {})
    )


def confounds(
    ds: xr.Dataset,
    *,
    insertions: xr.Dataset | None = None,
    behavior: xr.Dataset | None = None,
    feature: str = "wheel/speed",
    labels: str | Sequence[str] = (),
    conditions: Sequence[str] | None = None,
) -> xr.Dataset:
    """Compare what else differs between conditions: year, order, sorter, units, rates, running.

    Parameters
    ----------
    ds : Dataset
        What is compared: units (``lsdx.open_units()``, selected) or sessions
        (``lsdx.open_sessions()``).
    insertions : Dataset, optional
        Of ``lsdx.open_insertions()``: for the sorter and its version.
    behavior : Dataset, optional
        Of ``lsdx.open_behavior()``: for ``feature`` in the first phase, before the injection.
    feature : str
        Of ``behavior``.
    labels : str or sequence of str
        Further labels or numbers of ``ds``, along its units or sessions.
    conditions : sequence of str, optional
        Those that are compared, the first minus the second; by default in the order of the
        protocol.

    Returns
    -------
    Dataset
        Over ``label`` and ``condition``: ``mean``, ``sd`` (over sessions), ``n_sessions`` and
        ``n_mice`` that have a value; and ``difference`` (label) of the first two conditions.
        The coordinate ``kind`` tells ``"number"`` from ``"share"``: each value of a text label
        or a year is a row of its own, whose mean is its share of sessions, and so is
        ``": none"``, the share of sessions where a number is missing. ``of`` names the label
        that a row belongs to, ``label_units`` the units of its mean. Rows that nothing is known
        of are left out.

    Raises
    ------
    SelectionError
        Without conditions, sessions and subjects; for a label, feature or condition that is not
        there.

    Notes
    -----
    Units and insertions are first averaged within their session, so that each session counts
    once. For numbers the difference is standardised,

        (m1 - m2) / s,    s^2 = ((n1 - 1) s1^2 + (n2 - 1) s2^2) / (n1 + n2 - 2),

    and infinite where sessions differ between conditions and not within them. For shares it is
    the difference of the two shares, from -1 to 1; that of a whole label is the largest of its
    rows, ``abs(c.difference).groupby("of").max()``. It is NaN where a condition has no value.
    A difference describes these sessions. It is no test, and a small one of few sessions does
    not show that conditions are alike. Rates and behaviour are those of the first phase: later
    ones may be what the drug does.

    Examples
    --------
    >>> import lsdx
    >>> c = confounds(lsdx.open_sessions(), insertions=lsdx.open_insertions())
    >>> c.sel(label="cohort_year: 2025")["mean"].values.round(2).tolist()
    [0.4, 1.0]
    >>> float(c.difference.sel(label="cohort_year: 2025").round(2))
    -0.6
    """
    dim = _one_dimension(ds, "confounds")
    if dim not in ("unit", "session"):
        raise SelectionError(located("confounds", "units or sessions", f"the dimension {dim!r}"))
    ds = with_text(ds, "confounds")
    table = _rows(ds, dim, ["condition"])
    who = table.groupby("session", sort=False)[["condition", "subject"]].first()
    present = _in_order("condition", who["condition"], ds)
    chosen = present if conditions is None else list(conditions)
    if isinstance(conditions, str) or not set(chosen) <= set(present):
        expected = "some of " + ", ".join(map(str, present))
        raise SelectionError(located("confounds, conditions", expected, repr(conditions)))
    asked = [labels] if isinstance(labels, str) else list(labels)
    columns = columns_along(ds, dim)
    if dim == "unit":
        columns["n_units"] = table.groupby("session")["session"].transform("size").to_numpy()
    unknown = [n for n in asked if n not in columns]
    if unknown:
        found = ", ".join(map(str, unknown))
        raise SelectionError(located("confounds, labels", f"labels along {dim}", found))
    columns.columns = columns.columns.map(str)
    since = [c for c in map(str, columns) if c.startswith("days_since_") and "_first_" not in c]
    wanted = [n for n in dict.fromkeys([*_USUAL, *since, *asked]) if n in columns]
    sources: dict[str, tuple[pd.Series, pd.Series]]
    sources = {n: (columns[n], table["session"]) for n in wanted}
    units = {n: str(ds[n].attrs.get("units", "1")) for n in wanted if n in ds.variables}
    if insertions is not None:
        probes = columns_along(insertions, "insertion")
        sources |= {n: (probes[n], probes["session"]) for n in _OF_INSERTIONS if n in probes}
    rate = _rate_before(ds, dim, columns)
    if rate is not None:
        sources[rate[0]], units[rate[0]] = (rate[1], table["session"]), "Hz"
    if behavior is not None:
        name, values, unit = _behavior_before(behavior, feature)
        sources[name] = (values, pd.Series(text(behavior["session"].values)))
        units[name] = unit
    found_rows = [
        (label, name, kind, values.reindex(who.index))
        for name, (column, session) in sources.items()
        for label, kind, values in _of_sessions(name, column, session, who.index)
    ]
    out = _by_condition(found_rows, who, chosen)
    measures = [units.get(name, "1") if k == "number" else "1" for _, name, k, _ in found_rows]
    out = out.assign_coords(label_units=("label", text(measures)))
    if "simulated" in ds.coords:
        out = out.assign_coords(simulated=ds["simulated"].reset_coords(drop=True))
    return out.assign_attrs(result_attrs(ds) | {"conditions": ", ".join(chosen)})


def _one_dimension(ds: xr.Dataset, where: str) -> str:
    have = [d for d in LABELLED if d in ds.dims]
    if len(have) != 1:
        found = "dims " + ", ".join(map(str, ds.dims))
        raise SelectionError(located(where, "one dimension of " + ", ".join(LABELLED), found))
    return have[0]


def _rows(ds: xr.Dataset, dim: str, names: Sequence[str]) -> pd.DataFrame:
    """Return session, subject and the chosen labels of each row, without any blank one."""
    table = columns_along(ds, dim)
    if dim == "session":
        table["session"] = table.index
    table.index.name = None
    needed = list(dict.fromkeys(["session", "subject", *names]))
    missing = [n for n in needed if n not in table]
    if missing or not names:
        have = ", ".join(map(str, table))
        found = ("no " + ", ".join(missing) if missing else "none") + f"; there are {have}"
        expected = (
            "labels to count by, beside session and subject"
            if not missing
            else (f"labels along {dim}: " + ", ".join(needed))
        )
        raise SelectionError(located("labels", expected, found))
    if table[needed].isna().any(axis=None):
        bad = [n for n in needed if table[n].isna().any()]
        raise SelectionError(located("labels", f"{', '.join(bad)} on every {dim}", "NaN"))
    return table[needed]


def _in_order(name: str, values: Iterable[Any], ds: xr.Dataset) -> list[Any]:
    """Return the different values in order, conditions in that of the protocol."""
    listed = str(ds.attrs.get("conditions", "")).split(", ") if name == "condition" else []
    different = sorted(set(values))
    return [*(v for v in listed if v in different), *(v for v in different if v not in listed)]


def _reasons(ds: xr.Dataset, dim: str) -> str:
    """Say why the lab excludes what, and how many rows of how many sessions that takes away."""
    table = _rows(ds, dim, ["exclusion"])
    reasons = table[table["exclusion"] != ""].groupby("exclusion")["session"]
    return "; ".join(f"{r}: {len(s)} {dim}s of {s.nunique()} sessions" for r, s in reasons)


def _step_name(step: Mapping[str, Any]) -> str:
    shown = {k: ",".join(map(str, v)) if isinstance(v, list) else v for k, v in step.items()}
    return ", ".join(f"{k}={v}" for k, v in shown.items())


def _measured(left: pd.DataFrame, measured: Any, dim: str) -> pd.DataFrame:
    """Return the rows whose unit or session has a finite value of a measure."""
    along = dim if dim in getattr(measured, "dims", ()) else "session"
    if not isinstance(measured, xr.DataArray) or along not in measured.dims:
        found = f"dims {', '.join(map(str, getattr(measured, 'dims', ())))}"
        expected = f"a DataArray over {dim}" + ("" if dim == "session" else " or session")
        raise SelectionError(located("attrition, measured", expected, found))
    ids = text(measured[along].values)
    own = left.index if along == dim else pd.Index(left["session"])
    strange = np.setdiff1d(ids.astype(str), np.asarray(own).astype(str))
    if strange.size:
        found = f"{strange.size} that they did not leave, such as {strange[0]}"
        do = "Name all steps that led to the measure, or measure again what they leave."
        expected = f"only {along}s that the steps left"
        raise SelectionError(located("attrition, measured", expected, found, do))
    others = [d for d in measured.dims if d != along]
    finite = xr.apply_ufunc(np.isfinite, measured, dask="allowed")
    known = finite.any(others).values
    return left[np.isin(np.asarray(own).astype(str), ids[known].astype(str))]


def _counted(
    rows: Sequence[tuple[str, pd.DataFrame]], dim: str, names: Sequence[str], ds: xr.Dataset
) -> xr.Dataset:
    """Count rows, sessions and mice at each step, by labels."""
    steps = [name for name, _ in rows]
    if len(set(steps)) < len(steps):
        raise SelectionError(located("attrition, steps", "different steps", ", ".join(steps)))
    every = pd.concat([table for _, table in rows])
    coords = {n: _in_order(n, every[n], ds) for n in names}
    shape = tuple(map(len, coords.values()))
    counts: dict[str, list[np.ndarray]] = {}
    for step, table in rows:
        codes = [pd.Index(v).get_indexer(table[n]) for n, v in coords.items()]
        cell = np.ravel_multi_index(codes, shape)
        numbers = table.groupby(cell)[["session", "subject"]].nunique()
        numbers.columns = ["n_sessions", "n_mice"]
        if dim != "session" and step != "recorded":
            numbers.insert(0, f"n_{dim}s", np.unique(cell, return_counts=True)[1])
        filled = numbers.reindex(range(int(np.prod(shape))), fill_value=0)
        for name, column in filled.items():
            counts.setdefault(str(name), []).append(column.to_numpy(np.int64).reshape(shape))
    if "recorded" in steps and dim != "session":
        counts[f"n_{dim}s"].insert(0, counts[f"n_{dim}s"][0])  # sessions without have none
    words = {"n_sessions": "Sessions", "n_mice": "Mice", f"n_{dim}s": f"{dim.title()}s"}
    ordered = [n for n in (f"n_{dim}s", "n_sessions", "n_mice") if n in counts]
    about = {n: {"units": "1", "long_name": f"{words[n]} left"} for n in ordered}
    variables = {n: (("step", *names), np.stack(counts[n]), about[n]) for n in ordered}
    labels = {n: (n, np.array(v, dtype=np.asarray(every[n]).dtype)) for n, v in coords.items()}
    out = xr.Dataset(variables, {"step": text(steps), **labels})
    scalar = "simulated" in ds.coords
    return out.assign_coords(simulated=ds["simulated"].reset_coords(drop=True)) if scalar else out


def _rate_before(ds: xr.Dataset, dim: str, columns: pd.DataFrame) -> tuple[str, pd.Series] | None:
    """Return the rate of each row in the first phase, or that of the whole recording."""
    if {"n_spikes", "duration"} <= set(ds.variables) and dim in ds["n_spikes"].dims:
        one = ds[["n_spikes", "duration"]]
        phase = ""
        if "phase" in one.dims:
            one = one.isel(phase=0)
        if "phase" in one.coords:
            phase = f" ({one['phase'].item()})"
        spikes, seconds = xr.broadcast(one["n_spikes"], one["duration"])
        known = np.isfinite(spikes) & (seconds > 0)
        rest = [d for d in spikes.dims if d != dim]
        total = spikes.where(known).sum(rest, min_count=1)
        rate = (total / seconds.where(known).sum(rest)).compute()
        return f"mean_rate{phase}", pd.Series(rate.values)
    return ("firing_rate", columns["firing_rate"]) if "firing_rate" in columns else None


def _behavior_before(behavior: xr.Dataset, feature: str) -> tuple[str, pd.Series, str]:
    """Return the mean of a feature of each session in the first phase."""
    if "behavior" not in behavior or feature not in behavior.get("feature", xr.DataArray([])):
        known = ", ".join(map(str, behavior["feature"].values)) if "feature" in behavior else "none"
        raise SelectionError(located("confounds, feature", f"one of {known}", repr(feature)))
    one = behavior["behavior"].sel(feature=feature)
    name = feature
    if "phase" in one.dims:
        one = one.isel(phase=0)
        name = f"{feature} ({one['phase'].item()})"
    mean = one.mean([d for d in one.dims if d != "session"], dtype=np.float64).compute()
    unit = str(one["feature_units"].item()) if "feature_units" in one.coords else "1"
    return name, pd.Series(mean.values), unit


def _of_sessions(
    name: str, column: pd.Series, session: pd.Series, wanted: pd.Index
) -> list[tuple[str, str, pd.Series]]:
    """Return label, kind and the values by session of all rows that a label makes."""
    array = np.asarray(column)
    values = pd.Series(array, index=np.asarray(session), dtype=array.dtype)  # text stays object
    values = values[values.index.isin(wanted)]
    if values.dtype == object or name in _CODES:
        different = sorted(set(values))
        shares = ((f"{name}: {'(blank)' if v == '' else v}", values == v) for v in different)
        return [(n, "share", here.groupby(level=0).mean()) for n, here in shares]
    if values.dtype == bool:
        return [(name, "share", values.groupby(level=0).mean())]
    if values.dtype.kind not in "fiu":
        raise SelectionError(located(f"confounds, {name}", "text or numbers", str(values.dtype)))
    mean = values.astype(float).groupby(level=0).mean().reindex(wanted)
    if mean.isna().all():
        return []
    rows = [(name, "number", mean)]
    if mean.isna().any():
        rows.append((f"{name}: none", "share", mean.isna().astype(float)))
    return rows


def _by_condition(
    rows: Sequence[tuple[str, str, str, pd.Series]], who: pd.DataFrame, chosen: Sequence[str]
) -> xr.Dataset:
    """Return mean, sd and numbers of each row by condition, and the difference of the first two."""
    x = np.array([values.to_numpy(float) for *_, values in rows]).reshape(len(rows), len(who))
    share = np.array([kind == "share" for _, _, kind, _ in rows], dtype=bool)
    mean, sd = np.full((2, len(rows), len(chosen)), np.nan)
    n_sessions, n_mice = np.zeros((2, len(rows), len(chosen)), dtype=np.int64)
    for c, condition in enumerate(chosen):
        mine = (who["condition"] == condition).to_numpy()
        known = np.isfinite(x[:, mine])
        n = known.sum(axis=1)
        subjects = pd.get_dummies(who["subject"][mine]).to_numpy(float)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean[:, c] = np.where(known, x[:, mine], 0).sum(axis=1) / n
            squares = np.where(known, (x[:, mine] - mean[:, [c]]) ** 2, 0).sum(axis=1)
            sd[:, c] = np.where(n > 1, np.sqrt(squares / (n - 1)), np.nan)
        n_sessions[:, c], n_mice[:, c] = n, (known.astype(float) @ subjects > 0).sum(axis=1)
    difference = np.full(len(rows), np.nan)
    if len(chosen) > 1:
        raw = mean[:, 0] - mean[:, 1]
        free = n_sessions[:, :2] - 1
        with np.errstate(divide="ignore", invalid="ignore"):
            pooled = np.sqrt(np.nansum(free * sd[:, :2] ** 2, axis=1) / free.sum(axis=1))
            standardised = np.where(raw == 0, 0.0 * pooled, raw / pooled)
        standardised[free.sum(axis=1) < 1] = np.nan
        standardised[(raw == 0) & (pooled == 0)] = 0
        difference = np.where(share, raw, standardised)
    dims = ("label", "condition")
    words = {
        "mean": ("Mean over sessions, or share of them", mean),
        "sd": ("Standard deviation over sessions", sd),
        "n_sessions": ("Sessions with a value", n_sessions),
        "n_mice": ("Mice with a value", n_mice),
    }
    variables: dict[str, Any] = {n: (dims, v, {"long_name": w}) for n, (w, v) in words.items()}
    title = "Difference of the first two conditions: in sd for numbers, of shares for shares"
    variables["difference"] = ("label", difference, {"units": "1", "long_name": title})
    return xr.Dataset(
        variables,
        {
            "label": text([r[0] for r in rows]),
            "of": ("label", text([r[1] for r in rows])),
            "kind": ("label", text([r[2] for r in rows])),
            "condition": text(list(chosen)),
        },
    )
