"""What a cohort holds: mice and trajectories, units by region, regions recorded together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.results import result_attrs
from lsdx.analysis.selection import select
from lsdx.arguments import one_of, some_of
from lsdx.errors import SelectionError, located
from lsdx.schema.spec import text
from lsdx.schema.units import QUALITY

EVERY = "all"  # the filter that leaves nothing out
MINUTE = 60.0


def conditions_of(ds: xr.Dataset) -> list[str]:
    """Return the conditions of a cohort: those that the stores name, then others that are there.

    Examples
    --------
    >>> ds = xr.Dataset(coords={"condition": ("session", ["saline", "unknown"])})
    >>> conditions_of(ds.assign_attrs(conditions="lsd, saline"))
    ['lsd', 'saline', 'unknown']
    """
    named = [c for c in str(ds.attrs.get("conditions", "")).split(", ") if c]
    found = set(map(str, np.unique(ds["condition"].values.astype(str))))
    return [*named, *sorted(found - set(named))]


def labelled_filters(units: xr.Dataset) -> list[str]:
    """Return the named filters of quality whose label some unit has.

    Examples
    --------
    >>> import lsdx
    >>> labelled_filters(lsdx.open_units())
    ['ks2_good', 'ibl_pass', 'bombcell_good']
    """
    found = []
    for name, (column, _) in QUALITY.items():
        if column in units.variables:
            values = units[column].values
            known = np.isfinite(values) if values.dtype.kind == "f" else values != ""
            found += [name] if known.any() else []
    return found


def trajectory_grid(sessions: xr.Dataset) -> xr.Dataset:
    """Count the sessions of each mouse along each pair of trajectories.

    Parameters
    ----------
    sessions : Dataset
        Of `lsdx.open_sessions`.

    Returns
    -------
    Dataset
        ``n_sessions`` (trajectory, subject, condition), int64. A trajectory is the names of both
        probes' ones, such as ``"T1.1L, T1.2R"``, or ``"not planned"``. Excluded sessions count.

    Examples
    --------
    >>> import lsdx
    >>> grid = trajectory_grid(lsdx.open_sessions())
    >>> int(grid.n_sessions.sum()) == lsdx.open_sessions().sizes["session"]
    True
    """
    one, two = (sessions[f"trajectory_0{i}"].values.astype(str) for i in (1, 2))
    names = np.array([", ".join(filter(None, pair)) for pair in zip(one, two, strict=True)])
    names = np.where(names == "", "not planned", names)
    labels = {
        "trajectory": sorted(set(names) - {"not planned"})
        + ["not planned"] * ("not planned" in names),
        "subject": sorted(set(sessions["subject"].values.astype(str))),
        "condition": conditions_of(sessions),
    }
    own = (names, sessions["subject"].values.astype(str), sessions["condition"].values.astype(str))
    counts = np.zeros(tuple(len(v) for v in labels.values()), dtype=np.int64)
    at = tuple(
        pd.Index(known).get_indexer(values)
        for known, values in zip(labels.values(), own, strict=True)
    )
    np.add.at(counts, at, 1)
    coords = {name: text(values) for name, values in labels.items()}
    about = {"units": "1", "long_name": "Sessions"}
    ds = xr.Dataset({"n_sessions": (tuple(labels), counts, about)}, coords)
    return _told(ds, sessions)


def timelines(epochs: xr.Dataset, sessions: xr.Dataset) -> xr.Dataset:
    """Return when the epochs of each session were, from the injection on.

    Parameters
    ----------
    epochs, sessions : Dataset
        Of `lsdx.open_epochs` and `lsdx.open_sessions`, of the same stores.

    Returns
    -------
    Dataset
        Over ``session`` (in order of subject and session), ``phase`` and ``epoch``: ``start`` and
        ``stop`` in minutes. ``origin`` (session) says from when they count: ``"injection"``, or
        ``"end of pre"`` (the last known stop of the first phase) where the injection's time is
        not known; ``provenance`` how the injection is known. NaN where nothing is known.

    Examples
    --------
    >>> import lsdx
    >>> found = timelines(lsdx.open_epochs(), lsdx.open_sessions())
    >>> sorted(set(found.origin.values) - {""})
    ['end of pre', 'injection']
    """
    labels = sessions[["subject", "condition", "session_n", "session_label"]].reset_coords()
    table = labels.to_dataframe().sort_values(["subject", "session_n"], kind="stable")
    order = [eid for eid in table.index if eid in epochs["session"].values]
    own, table = epochs.sel(session=order), table.loc[order]
    given = own["administration"].values.astype(np.float64)
    ends = own["stop"].isel(phase=0).max("epoch").values
    zero = np.where(np.isfinite(given), given, ends)
    origin = np.select([np.isfinite(given), np.isfinite(ends)], ["injection", "end of pre"], "")
    shifted = {
        name: ((own[name].transpose("session", "phase", "epoch") - zero[:, None, None]) / MINUTE)
        for name in ("start", "stop")
    }
    ds = xr.Dataset(
        {n: v.reset_coords(drop=True).assign_attrs(units="min") for n, v in shifted.items()}
        | {
            "origin": ("session", text(origin)),
            "provenance": ("session", own["administration_provenance"].values),
        },
        {
            n: ("session", table[n].to_numpy(object))
            for n in ("subject", "condition", "session_label")
        }
        | {"session": text(order), "phase": own["phase"].values, "epoch": own["epoch"].values},
    )
    return _told(ds, sessions)


def units_by_region(
    units: xr.Dataset, *, by: str = "group", quality: str | Sequence[str] | None = None
) -> xr.Dataset:
    """Count the units of each region in each condition, all of them and by filters of quality.

    Parameters
    ----------
    units : Dataset
        Of `lsdx.open_units`, or of `lsdx.open_quality` for the filter ``"stable"``.
    by : str
        A label of units: ``"group"``, ``"beryl"``, ``"cosmos"``, ``"region"``.
    quality : str or sequence of str, optional
        Named filters of `lsdx.analysis.selection.select`; by default those whose label some unit
        has.

    Returns
    -------
    Dataset
        ``n_units`` (filter, condition, ``by``), int64, ``n_sessions`` and ``n_mice`` that have such
        units. The first filter, ``"all"``, leaves nothing out. Regions of most units come first;
        ``""`` is a place that is not known. Units that the lab excludes are left out.

    Examples
    --------
    >>> import lsdx
    >>> found = units_by_region(lsdx.open_units(), quality="ks2_good")
    >>> found["filter"].values.tolist()
    ['all', 'ks2_good']
    """
    where = "units_by_region"
    one_of(by, f"{where}, by", ("group", "beryl", "cosmos", "swanson", "region"))
    known = labelled_filters(units)
    names = known if quality is None else list(some_of(quality, f"{where}, quality", QUALITY))
    light = _light(units, where)
    kept = {EVERY: select(light) if light.sizes["unit"] else light}
    kept |= {n: select(light, quality=n) for n in names if light.sizes["unit"]}
    table = {n: _labels(ds, by) for n, ds in kept.items()}
    regions = table[EVERY][by].value_counts(sort=True).index.tolist()
    shown = conditions_of(units)
    counts = np.zeros((3, len(kept), len(shown), len(regions)), dtype=np.int64)
    for i, rows in enumerate(table.values()):
        cell = rows.groupby(["condition", by], sort=False)
        found = [cell.size(), cell["session"].nunique(), cell["subject"].nunique()]
        for j, values in enumerate(found):
            for row in values.reset_index(name="n").itertuples(index=False):
                counts[j, i, shown.index(row[0]), regions.index(row[1])] = row[2]
    dims = ("filter", "condition", by)
    about = {"units": "1"}
    variables = {
        name: (dims, values, about)
        for name, values in zip(("n_units", "n_sessions", "n_mice"), counts, strict=True)
    }
    coords = {"filter": text(list(kept)), "condition": text(shown), by: text(regions)}
    return _told(xr.Dataset(variables, coords), units)


def region_pairs(units: xr.Dataset, *, by: str = "group", quality: str | None = None) -> xr.Dataset:
    """Return how many pairs of units two regions have, recorded together, in a session on average.

    Parameters
    ----------
    units : Dataset
        Of `lsdx.open_units`.
    by : str
        A label of units.
    quality : str, optional
        A named filter; all units by default.

    Returns
    -------
    Dataset
        ``n_pairs`` (condition, source, target), float64: the mean over the condition's sessions
        with units of ``n_source * n_target``; within a region of ``n (n - 1) / 2``. NaN for a
        condition without sessions. ``n_sessions`` (condition). Both probes of a session count
        together. Units without a known place are left out.

    Examples
    --------
    >>> import lsdx
    >>> found = region_pairs(lsdx.open_units())
    >>> bool((found.n_pairs == found.n_pairs.transpose("condition", "target", "source")).any())
    True
    """
    light = _light(units, "region_pairs")
    if light.sizes["unit"]:
        light = select(light, quality=quality) if quality else select(light)
    table = _labels(light, by)
    sessions = table.groupby("session")["condition"].first()
    placed = table[~table[by].isin(["", "none"])]
    counts = placed.groupby(["session", by]).size().unstack(by, fill_value=0)
    counts = counts.reindex(sessions.index, fill_value=0)
    regions = counts.sum().sort_values(ascending=False, kind="stable").index.tolist()
    counts = counts[regions]
    shown = conditions_of(units)
    pairs = np.full((len(shown), len(regions), len(regions)), np.nan)
    n_sessions = np.zeros(len(shown), dtype=np.int64)
    for i, condition in enumerate(shown):
        own = counts[(sessions == condition).to_numpy()].to_numpy(dtype=np.float64)
        n_sessions[i] = len(own)
        if len(own):
            product = own.T @ own
            np.fill_diagonal(product, (own * (own - 1) / 2).sum(axis=0))
            pairs[i] = product / len(own)
    names = text(regions)
    ds = xr.Dataset(
        {
            "n_pairs": (
                ("condition", "source", "target"),
                pairs,
                {"units": "1", "long_name": "Pairs of units a session"},
            ),
            "n_sessions": ("condition", n_sessions, {"units": "1"}),
        },
        {"condition": text(shown), "source": names, "target": names},
    )
    return _told(ds, units)


def totals(
    sessions: xr.Dataset,
    insertions: xr.Dataset | None = None,
    units: xr.Dataset | None = None,
) -> xr.Dataset:
    """Count mice, sessions, probes, units and spikes of each condition, and of all.

    Parameters
    ----------
    sessions : Dataset
        Of `lsdx.open_sessions`.
    insertions, units : Dataset, optional
        Of `lsdx.open_insertions` and `lsdx.open_units`; without them their numbers are not there.

    Returns
    -------
    Dataset
        Over ``condition``, the last of which is ``"all"``, int64: ``n_mice``, ``n_sessions``,
        ``n_excluded``, ``n_sessions_with_units``, ``n_insertions``, ``n_units``, one number a
        filter of quality such as ``n_ks2_good``, and ``n_spikes``. What the lab excludes counts. A
        mouse with two conditions counts in both, once in all.

    Examples
    --------
    >>> import lsdx
    >>> found = totals(lsdx.open_sessions(), units=lsdx.open_units())
    >>> found.n_sessions.sel(condition=["lsd", "saline", "all"]).values.tolist()
    [5, 2, 7]
    """
    shown = conditions_of(sessions)
    table = sessions[["subject", "condition", "n_units", "exclusion"]].reset_coords().to_dataframe()
    columns: dict[str, list[int]] = {}

    def count(name: str, of: pd.Series[Any], values: pd.Series[Any] | None = None) -> None:
        """Count or add up what is of each condition."""
        parts = [of == c for c in shown] + [pd.Series(True, of.index)]
        rows = [int(p.sum() if values is None else values[p].sum()) for p in parts]
        columns[name] = rows

    condition = table["condition"].astype(str)
    mice = [table["subject"][condition == c].nunique() for c in shown]
    columns["n_mice"] = [*map(int, mice), int(table["subject"].nunique())]
    count("n_sessions", condition)
    count("n_excluded", condition[table["exclusion"].astype(str) != ""])
    count("n_sessions_with_units", condition[table["n_units"] > 0])
    if insertions is not None:
        of_probe = pd.Series(insertions["session"].values).map(condition).astype(str)
        count("n_insertions", of_probe)
    if units is not None:
        of_unit = pd.Series(units["condition"].values.astype(str))
        count("n_units", of_unit)
        for name in labelled_filters(units):
            column, value = QUALITY[name]
            count(f"n_{name}", of_unit[units[column].values == value])
        count("n_spikes", of_unit, pd.Series(units["spike_count"].values))
    about = {"units": "1"}
    variables = {n: ("condition", np.array(v, dtype=np.int64), about) for n, v in columns.items()}
    ds = xr.Dataset(variables, {"condition": text([*shown, EVERY])})
    return _told(ds, sessions)


def _light(units: xr.Dataset, where: str) -> xr.Dataset:
    """Return what is known of units, without what has other dimensions too."""
    needed = ("session", "subject", "condition")
    missing = [n for n in needed if n not in units.coords]
    if "unit" not in units.dims or missing:
        found = f"none with {', '.join(missing)}" if missing else "no units"
        raise SelectionError(located(where, "units", found, "Pass lsdx.open_units()."))
    return units.drop_vars([n for n, v in units.variables.items() if v.dims not in ((), ("unit",))])


def _labels(ds: xr.Dataset, by: str) -> pd.DataFrame:
    names = dict.fromkeys(("session", "subject", "condition", by))
    return pd.DataFrame({n: ds[n].values.astype(str) for n in names})


def _told(ds: xr.Dataset, source: xr.Dataset) -> xr.Dataset:
    if "simulated" in source.coords:
        ds = ds.assign_coords(simulated=source["simulated"].variable)
    return ds.assign_attrs(result_attrs(source))
