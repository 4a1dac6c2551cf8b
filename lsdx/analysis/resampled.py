"""Bootstrap over mice, sessions and units; differences of courses, by clusters in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.comparisons import (
    STRATA,
    check_numbers,
    codes_of,
    conditions_of,
    mouse_means,
    numbers_of,
    refuse_unknown_strata,
)
from lsdx.analysis.results import result_attrs
from lsdx.analysis.seeds import seed_of
from lsdx.analysis.sessions import (
    SessionValues,
    finite_numbers,
    one_array,
    refuse_unnamed,
    session_values,
)
from lsdx.arguments import number_between, one_of, some_of, whole_number
from lsdx.errors import ArgumentError, SelectionError, located
from lsdx.kernels import arrangements, contrasts

if TYPE_CHECKING:
    from lsdx.kernels.clusters import Clusters

LEVELS = ("subject", "session", "unit")
_BLOCK = 20_000_000  # numbers: 160 MB
_FEW = 6  # mice


def hierarchical_bootstrap(
    x: xr.DataArray | xr.Dataset,
    *,
    levels: Sequence[str] = LEVELS,
    statistic: str = "mean",
    n_draws: int = 10_000,
    level: float = 0.95,
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Return the interval of a mean or median over mice, by drawing mice, sessions and units.

    Parameters
    ----------
    x : DataArray or Dataset
        Over ``unit`` or ``session``, with the other levels as labels; of a Dataset each variable
        is a measure. Other dimensions are cells. Of one condition: select it first. It is computed.
    levels : sequence of str
        Labels, outermost first: ``"subject"`` is first, the dimension of ``x`` last. For values
        over session: ``("subject", "session")``.
    statistic : {"mean", "median"}
        Of all units of a draw.
    n_draws : int
    level : float
        Of the interval.
    rng : Generator or int, optional
        The attribute ``seed`` gives the same again.

    Returns
    -------
    Dataset
        Over the cells: ``estimate``, ``low`` to ``high``, ``n_mice``, ``n_sessions``, ``n_units``
        (of other levels alike) that have a value; ``draws`` (draw, ...), float64. Cells with the
        same units share their draws, so differences of cells are paired. NaN: ``low`` and ``high``
        of fewer than two mice; all of a cell without values. ``note`` says what is doubtful.

    Raises
    ------
    SelectionError
        For missing dimensions or labels, or infinite values.
    ArgumentError
        If ``levels`` leave out the mouse, or do not end with the dimension of ``x``; for other
        arguments that are out of range.

    Notes
    -----
    Saravanan, Berman & Sober (2020); `lsdx.kernels.hierarchy.hierarchical_bootstrap` says how. As
    published, each unit of a draw counts alike, so that mice count by their units.

    The interval is the expanded percentile (`lsdx.kernels.hierarchy.expanded_levels`). How often
    it holds the truth, and below it the plain percentile (95 % asked; 1,000 simulated cohorts, for
    12 and 30 mice of the last row 600, of one to four sessions a mouse, 60 units a session; the
    rows say what shares of the variance mice and sessions have):

    ==============  ====  ====  ====  ====  ====  ====
    mice, sessions  2     3     4     6     12    30
    ==============  ====  ====  ====  ====  ====  ====
    .1, .05         90    94    96    97    97    96
      percentile    76    85    87    89    94    94
    .3, .1          81    89    94    95    97    95
      percentile    69    81    84    87    93    94
    0, .1           98    99    99.5  99    99    99.5
      percentile    91    94    95    97    98    99
    ==============  ====  ====  ====  ====  ====  ====

    **It tests no conditions.** Where conditions differ between mice or years, a difference of two
    bootstraps is wrong in 33 to 50 % of cohorts without effect
    (`lsdx.kernels.contrasts.stratified`): use `compare_conditions`.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units().sel(epoch="spontaneous", phase="pre")
    >>> rates = u.lsd.rates()
    >>> found = rates.where(rates.condition == "lsd", drop=True).lsd.hierarchical_bootstrap(rng=0)
    >>> found.draws.dims, bool(found.low < found.estimate < found.high)
    (('draw',), True)
    """
    from lsdx.kernels import hierarchy

    where = "hierarchical_bootstrap"
    one_of(statistic, f"{where}, statistic", hierarchy.STATISTICS)
    whole_number(n_draws, f"{where}, n_draws", least=1)
    number_between(level, f"{where}, level", 0, 1)
    array = finite_numbers(one_array(x, where, None), where, ("draw",))
    dim = "unit" if "unit" in array.dims else "session"
    names = _levels(levels, dim, where)
    labels = {str(n): c.values for n, c in array.coords.items() if c.dims == (dim,)}
    missing = [n for n in names[:-1] if n not in labels]
    if missing:
        have = ", ".join(labels) or "no labels"
        do = f"Assign it: x.assign_coords({missing[0]}=({dim!r}, ...))."
        raise SelectionError(located(f"{where}, levels", f"the label {missing[0]}", have, do))
    index = array[dim].values if dim in array.coords else np.arange(array.sizes[dim])
    refuse_unnamed(pd.DataFrame(labels, index=pd.Index(index, name=dim)), where, names[:-1])
    # so that what is drawn is the same in whatever order they come
    order = np.lexsort([index.astype(str), *(labels[n].astype(str) for n in names[-2::-1])])
    array = array.transpose(dim, ...).isel({dim: order})
    labels = {n: v[order] for n, v in labels.items()}
    cells = tuple(str(d) for d in array.dims[1:])
    values = array.values
    codes = [pd.factorize(labels[n].astype(str))[0] for n in names[:-1]]
    seed = seed_of(rng)
    draws = hierarchy.hierarchical_bootstrap(values, codes, n_draws, statistic, rng=seed)
    flat, drawn = values.reshape(len(values), -1), draws.reshape(n_draws, -1)
    known = np.isfinite(flat)
    told = known.any(axis=0)
    estimate, low, high = np.full((3, flat.shape[1]), np.nan)
    of = np.nanmedian if statistic == "median" else np.nanmean
    estimate[told] = of(flat[:, told], axis=0)
    numbers = _groups(known, [*codes, np.arange(len(flat))])
    for n in np.unique(numbers[0][numbers[0] > 1]):
        here = numbers[0] == n
        ends = hierarchy.expanded_levels(int(n), level)
        low[here], high[here] = np.quantile(drawn[:, here], ends, axis=0)
    shape, units = array.shape[1:], {"units": str(array.attrs.get("units", "1"))}
    words = {
        "estimate": f"{statistic.capitalize()} of all {dim}s",
        "low": "Lower end of the interval",
        "high": "Upper end of the interval",
    }
    variables: dict[str, Any] = {
        n: (cells, v.reshape(shape), units | {"long_name": words[n]})
        for n, v in (("estimate", estimate), ("low", low), ("high", high))
    }
    variables["draws"] = (("draw", *cells), draws, units)
    for name, counted in zip(names, numbers, strict=True):
        variables[_number_of(name)] = (cells, counted.reshape(shape), {"units": "1"})
    coords = {str(n): c.variable for n, c in array.coords.items() if set(c.dims) <= set(cells)}
    return xr.Dataset(variables, coords).assign_attrs(
        result_attrs(x),
        levels=", ".join(names),
        statistic=statistic,
        n_draws=n_draws,
        level=level,
        seed=str(seed),
        measure="value" if array.name is None else str(array.name),
        units=units["units"],
        note=_bootstrap_note(labels.get("condition"), numbers[0]),
    )


def cluster_test(
    x: xr.DataArray | xr.Dataset,
    *,
    dim: str = "time",
    between: tuple[str, str] | None = None,
    conditions: tuple[str, str] | str | None = None,
    by: str | Sequence[str] | None = None,
    reduce: str = "mean",
    strata: Sequence[str] = STRATA,
    threshold: float = 2.0,
    n_permutations: int = 9999,
    level: float = 0.95,
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Test whether the courses of two conditions differ at any time, over mice.

    Parameters
    ----------
    x : DataArray or Dataset
        As in `compare_conditions`, over ``dim`` too; other dimensions are cells.
    dim : str
        Along which courses go: ``"time"``, or ``"window"`` of sliding windows.
    between, by, reduce, strata, n_permutations, level : object
        As in `compare_conditions`. Sliding windows have no phases, so ``between`` is None.
    rng : Generator or int, optional
    conditions : tuple of two str or str, optional
        First minus second; by default the two that the stores name. Of one condition its course
        is tested against 0, by signs of mice: take the time before off first.
    threshold : float
        Above 0: how far a time is from no difference, in root mean squares of that time over all
        arrangements, to belong to a cluster. It decides which clusters are seen; p holds for any.

    Returns
    -------
    Dataset
        Over cells and ``dim``: ``estimate`` with its pointwise interval ``low`` to ``high``,
        ``statistic`` (root mean squares) and ``number`` of the cluster that each time is in, 0 for
        none; ``n_mice`` and ``n_sessions`` (condition, ...); ``per_mouse`` (mouse, ...).
        Over cells and ``cluster``, the largest first: ``start`` and ``stop``, its first and last
        ``dim``; ``mass``; ``p``, and ``p_corrected`` for all cells of ``x`` together. NaN where a
        cell has fewer clusters. ``null`` (arrangement, ...): the largest mass of each, the
        observed first. ``p_least``, ``note``.

    Raises
    ------
    SelectionError, ArgumentError
        As `compare_conditions` does; if ``x`` is not over ``dim``.

    Notes
    -----
    `compare_conditions` at each time, with the same arrangements at all of them; then clusters by
    mass (`lsdx.kernels.clusters.find_clusters`, Maris & Oostenveld 2007). p tells that the courses
    differ somewhere, **not from when to when**: ``start`` and ``stop`` describe. Times at which an
    arrangement has no value are left out.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> x = np.random.default_rng(0).normal(size=(9, 20))
    >>> x[:, 10:15] += 5.0 * np.array([[1], [1], [0]] * 3)
    >>> course = xr.DataArray(x, {"time": np.arange(20.0)}, ["session", "time"])
    >>> labels = {"subject": list("aaabbbccc"), "condition": ["lsd", "lsd", "saline"] * 3}
    >>> labels["cohort_year"] = np.full(9, 2025)
    >>> course = course.assign_coords({n: ("session", v) for n, v in labels.items()})
    >>> found = course.lsd.cluster_test(rng=0)
    >>> found[["start", "stop", "p"]].isel(cluster=0).to_array().values.round(3).tolist()
    [10.0, 14.0, 0.037]
    """
    from lsdx.kernels.clusters import alike_in_time, find_clusters, standardised

    where = "cluster_test"
    check_numbers(where, n_permutations, level)
    number_between(threshold, f"{where}, threshold", 0, np.inf)
    values = session_values(x, where, between=between, by=by, reduce=reduce)
    values = _along_last(values, dim, where)
    one = isinstance(conditions, str)
    if isinstance(conditions, str):
        named = _one_condition(values, conditions, where)
    else:
        named = conditions_of(x, values, conditions, where)
    values = values.take(np.isin(values.label("condition").astype(str), named)).with_values()
    first = values.label("condition").astype(str) == named[0]
    mouse, mice = codes_of(values, ["subject"])
    seed = seed_of(rng)
    generator = np.random.default_rng(seed)
    if one:
        data, _ = mouse_means(values, mouse, first)
        ways = arrangements.signs(len(mice), n_permutations, generator)
    else:
        refuse_unknown_strata(values, strata, where)
        data = values.values
        stratum, _ = codes_of(values, ["subject", *strata])
        ways = arrangements.conditions_within(first, stratum, n_permutations, generator)
    size = np.abs(np.where(np.isfinite(data), data, 0)).max(axis=0, initial=0)
    found, parts = [], []
    step = max(1, _BLOCK // (len(ways.values) * max(len(mice), 1)))
    for start in range(0, data.shape[1], step):
        some = slice(start, start + step)
        if one:
            made = contrasts.paired(data[:, some], ways.values, level=level)
        else:
            made = contrasts.stratified(data[:, some], stratum, mouse, ways.values, level=level)
        parts.append(standardised(made.null, size[some]))
        found.append((made.estimate, made.low, made.high, made.per_mouse))
    estimate, low, high = (np.concatenate([f[i] for f in found]) for i in range(3))
    per_mouse = np.concatenate([f[3] for f in found], axis=1)
    statistic = np.concatenate(parts, axis=1).reshape(len(ways.values), -1, values.shape[-1])
    n_told = int(np.isfinite(statistic[0]).sum())
    statistic = alike_in_time(statistic)
    lost = n_told - int(np.isfinite(statistic[0]).sum())
    any_value = bool(np.isfinite(values.values).any())
    p_least = ways.p_least if any_value else np.nan
    clusters = find_clusters(statistic, threshold)
    about = {"units": str(values.attrs.get("units", "1"))}
    variables: dict[str, Any] = {
        "estimate": (values.dims, estimate.reshape(values.shape), about),
        "low": (values.dims, low.reshape(values.shape), about),
        "high": (values.dims, high.reshape(values.shape), about),
        "statistic": (values.dims, statistic[0].reshape(values.shape), {"units": "1"}),
        "per_mouse": (("mouse", *values.dims), per_mouse.reshape(-1, *values.shape), about),
        "p_least": ((), p_least, {"units": "1", "long_name": "Least possible p"}),
    }
    out = xr.Dataset(variables, values.coords).merge(_table(values, clusters, dim))
    for name, numbers in numbers_of(values, mouse, first, named).items():
        out[name] = numbers
    return out.assign_coords(mouse=np.asarray(mice, dtype=object)).assign_attrs(
        values.source,
        conditions=list(named),
        between=list(between) if between else "",
        strata="" if one else ", ".join(strata),
        dim=dim,
        threshold=float(threshold),
        reduce=reduce if values.n_units is not None else "",
        n_arrangements=ways.count,
        exact=int(ways.exact),
        p_least=p_least,
        level=level,
        seed=str(seed),
        measure=values.name,
        units=about["units"],
        note=_cluster_note(one, ways, threshold, statistic, lost),
    )


def _levels(levels: Any, dim: str, where: str) -> tuple[str, ...]:
    where = f"{where}, levels"
    names = (levels,) if isinstance(levels, str) else tuple(levels)
    right = LEVELS if dim == "unit" else ("subject", "session")
    do = f"Say levels={right}, or compare conditions over mice: x.lsd.compare_conditions()."
    found = ", ".join(map(repr, names)) or "none"
    if not names or names[0] != "subject":
        why = "'subject' first (units and sessions of one mouse are alike, and no sample of mice)"
        raise ArgumentError(located(where, why, found, do))
    if names[-1] != dim or len(names) < 2:
        why = f"{dim!r} last, over which the values are"
        raise ArgumentError(located(where, why, found, f"Say levels={right}."))
    return some_of(names, where, names)


def _number_of(name: str) -> str:
    return "n_mice" if name == "subject" else f"n_{name}s"


def _groups(known: np.ndarray, codes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return how many groups of each level have a value, by cell."""
    table, told = pd.DataFrame(dict(enumerate(codes))), pd.DataFrame(known)
    return [
        told.groupby(table.groupby(list(range(n + 1))).ngroup().to_numpy()).any().sum().to_numpy()
        for n in range(len(codes))
    ]


def _bootstrap_note(condition: np.ndarray | None, n_mice: np.ndarray) -> str:
    told = []
    have = [] if condition is None else sorted(set(condition.astype(str)))
    if len(have) > 1:
        told.append(f"{' and '.join(have)} are taken together: select one condition first")
    least = int(n_mice.min(initial=2**31))
    if least < 2:
        told.append("one mouse or none: there is no interval over mice")
    elif least < _FEW:
        told.append(f"{least} mice tell little: the interval is too narrow")
    return "; ".join(told)


def _along_last(values: SessionValues, dim: str, where: str) -> SessionValues:
    """Return the values with the dimension ``dim`` last."""
    if dim not in values.dims:
        have = ", ".join(values.dims) or "none but sessions"
        raise SelectionError(located(f"{where}, dim", f"one of the dimensions of x: {have}", dim))
    at = values.dims.index(dim)
    if dim in values.coords and values.coords[dim].dtype.kind in "fiuM":
        steps = np.diff(values.coords[dim].values)
        if not (steps > np.zeros(1, steps.dtype)).all():
            do = f"Sort it: x.sortby({dim!r})."
            raise SelectionError(located(f"{where}, dim", f"{dim} in order", "another order", do))
    moved = np.moveaxis(values.values.reshape(-1, *values.shape), at + 1, -1)
    n_units = values.n_units
    if n_units is not None:
        n_units = np.moveaxis(n_units.reshape(-1, *values.shape), at + 1, -1)
        n_units = n_units.reshape(len(moved), -1)
    return replace(
        values,
        values=moved.reshape(len(moved), -1),
        n_units=n_units,
        dims=(*values.dims[:at], *values.dims[at + 1 :], dim),
        shape=moved.shape[1:],
    )


def _one_condition(values: SessionValues, condition: str, where: str) -> tuple[str, ...]:
    have = sorted(set(values.label("condition").astype(str)))
    if condition not in have:
        expected = f"one of {', '.join(have)}, or two of them"
        raise SelectionError(located(f"{where}, conditions", expected, condition))
    return (condition,)


def _table(values: SessionValues, found: Clusters, dim: str) -> xr.Dataset:
    """Return the clusters of each cell, padded to as many as the one with most has."""
    rest, shape = values.dims[:-1], values.shape[:-1]
    n_cells, n_times = int(np.prod(shape)), values.shape[-1]
    at = np.arange(n_times, dtype=np.float64)
    if dim in values.coords and values.coords[dim].dtype.kind in "fiu":
        at = np.asarray(values.coords[dim].values, dtype=np.float64)
        about = dict(values.coords[dim].attrs)
    else:
        about = {"units": "1", "long_name": f"Place along {dim}"}
    rank = np.arange(found.cell.size) - np.searchsorted(found.cell, found.cell)
    columns = {
        "start": (at[found.start], about),
        "stop": (at[found.stop - 1], about),
        "mass": (found.mass, {"units": "1", "long_name": "Sum of the statistic, with its sign"}),
        "p": (found.p, {"units": "1", "long_name": "p by the largest mass of the cell"}),
        "p_corrected": (found.p_corrected, {"units": "1", "long_name": "The same over all cells"}),
    }
    out = xr.Dataset()
    for name, (column, words) in columns.items():
        padded = np.full((n_cells, int(rank.max(initial=-1)) + 1), np.nan)
        padded[found.cell, rank] = column
        out[name] = ((*rest, "cluster"), padded.reshape(*shape, padded.shape[1]), words)
    out = out.assign_coords(cluster=np.arange(1, out.sizes["cluster"] + 1))
    number = np.zeros((n_cells, n_times), dtype=np.int64)
    for cell, start, stop, place in zip(found.cell, found.start, found.stop, rank, strict=True):
        number[cell, start:stop] = place + 1
    words = {"units": "1", "long_name": "Cluster, 0 for none"}
    out["number"] = (values.dims, number.reshape(values.shape), words)
    largest = found.largest.reshape(-1, *shape)
    words = {"units": "1", "long_name": "Largest mass of each arrangement"}
    out["null"] = (("arrangement", *rest), largest, words)
    return out


def _cluster_note(
    one: bool,
    ways: arrangements.Arrangements,
    threshold: float,
    statistic: np.ndarray,
    lost: int,
) -> str:
    told = []
    if one:
        told.append("A change within one condition is no effect of the drug: compare conditions")
    if not ways.count > 1:
        told.append(
            "no stratum holds sessions of both conditions: nothing can be permuted, there is no p"
        )
    elif not (np.abs(statistic) > threshold).any():
        told.append(f"no arrangement is anywhere beyond the threshold of {threshold:g}")
    if lost:
        told.append(f"{lost} of {statistic[0].size} times are left out: some sessions lack them")
    return "; ".join(told)
