"""Populations: units recorded together, and a function of each group's counts, lazily."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.blas import one_blas_thread
from lsdx.clock import TICKS_PER_SECOND, to_seconds, to_ticks
from lsdx.errors import SelectionError, located
from lsdx.schema.spec import is_text, text

# what every result over sessions carries, where one value holds for the group
_CARRIED = (
    "session",
    "session_label",
    "subject",
    "condition",
    "cohort_year",
    "session_n",
    "insertion",
    "probe",
)
_ID_KEY = "lsdx unit stream"  # of pandas' hash: ids get the same numbers everywhere
_FEW = 10  # spikes, that are too few to tell what was left out
_KEPT_ATTRS = (
    "title",
    "simulated",
    "catalog",
    "bin_width",
    "duplicates",
    "selection",
    "relative_to",
    "width",
)


@dataclass(frozen=True)
class Groups:
    """Units by label: ``rows[i]`` are those of the group at ``place[i]`` of an array ``shape``.

    ``dims`` are the labels that the groups are made by, ``coords`` their values and what else
    is the same for all units of a value.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    place: tuple[int, ...]
    rows: tuple[np.ndarray, ...]
    coords: dict[str, tuple[str, np.ndarray]]


@dataclass(frozen=True)
class Field:
    """One array that a function of a group gives: its shape, what it is where it gives none.

    ``along`` is ``"group"`` for one entry a group, ``"unit"`` for one a unit.
    """

    shape: tuple[int, ...]
    dtype: Any = np.float64
    fill: Any = np.nan
    along: str = "group"


@dataclass(frozen=True)
class Population:
    """Counts (unit, cells..., time), grouped; which units and cells of each group are used.

    A cell is what is compared: an epoch of a phase, a window. ``used[i]`` holds masks over the
    group's units and over the cells; or it is the promise of these.
    """

    counts: xr.DataArray
    cells: tuple[str, ...]
    groups: Groups
    used: tuple[Any, ...]
    lazy: bool

    @property
    def cell_shape(self) -> tuple[int, ...]:
        """Lengths of the cells' dimensions."""
        return tuple(self.counts.sizes[d] for d in self.cells)

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return int(np.prod(self.cell_shape))


def with_text(ds: xr.Dataset, where: str) -> xr.Dataset:
    """Give a dataset whose labels are text in object arrays, ``""`` where unknown.

    Plain xarray and zarr bring labels back as StringDType, bytes or text of fixed length.

    Raises
    ------
    SelectionError
        If units or events have a MultiIndex: its labels are not text.
    """
    stacked = {n: i for n, i in ds.indexes.items() if isinstance(i, pd.MultiIndex)}
    for dim in ("unit", "event"):
        if dim in stacked:
            raise SelectionError(
                located(
                    where,
                    f"one label each along {dim!r}",
                    "a MultiIndex of " + ", ".join(map(str, stacked[dim].names)),
                    f"Undo it: ds.reset_index({dim!r}).",
                )
            )
    coords = {n: c.variable for n, c in ds.coords.items() if n not in stacked}
    labels = {n: v for n, v in coords.items() if is_text(v)}
    made = {n: xr.Variable(v.dims, text(v.values), v.attrs) for n, v in labels.items()}
    return ds.assign_coords(made) if made else ds


def binned(ds: xr.Dataset, where: str, dims: tuple[str, ...] = ("unit", "time")) -> xr.Dataset:
    """Give a dataset whose counts, bin width, ``n_spikes`` and ``duration`` belong together.

    The one check of all measures of counts; `lsdx.analysis.variability.rates` says what it does.
    Sums are compared where counts are computed: in the task, if they are lazy.

    Parameters
    ----------
    ds : Dataset
    where : str
        Who asks, for errors.
    dims : tuple of str
        Dimensions that counts must have.

    Returns
    -------
    Dataset
        With text labels, ``time`` one chunk, and the attribute ``bin_width`` (s).

    Raises
    ------
    SelectionError
        Without counts over ``dims``; if ``time`` is not evenly spaced or no width is known; if
        ``bin_width`` says otherwise, and ``n_spikes`` and ``duration`` are not there to tell
        bins that were added up from bins that were left out. When counts are computed: if their
        sums are not ``n_spikes``.
    """
    if "counts" not in ds.variables or not set(dims) <= set(ds["counts"].dims):
        raise SelectionError(
            located(
                where,
                "counts over " + " and ".join(dims),
                "dims " + ", ".join(map(str, ds.dims)),
                "Start from lsdx.open_units(), or ds.lsd.bin(...) of spikes.",
            )
        )
    ds = with_text(ds, where)
    counts = ds["counts"].variable
    cells = set(counts.dims) - {"time"}
    width, stops, stated = _bins_of(ds, where)
    n_spikes, duration = (ds.get(n) for n in ("n_spikes", "duration"))
    if n_spikes is not None and set(n_spikes.dims) != cells:
        n_spikes = None
    if duration is not None and not set(duration.dims) <= cells:
        duration = None
    if stated != width and (n_spikes is None or duration is None):
        found = width / TICKS_PER_SECOND
        raise SelectionError(
            located(
                where,
                f"bins of {stated / TICKS_PER_SECOND:g} s along time, as bin_width says",
                f"one every {found:g} s, and no n_spikes and duration to tell why",
                f"If bins were added up, say so: ds.assign_attrs(bin_width={found:g}). If some "
                "were left out, keep them.",
            )
        )
    if counts.chunks is not None:
        counts = counts.chunk({"time": -1})
    if n_spikes is not None or duration is not None:
        nothing = xr.Variable((), np.nan)
        counts = xr.apply_ufunc(
            _checked,
            counts,
            nothing if n_spikes is None else n_spikes.variable,
            nothing if duration is None else duration.variable,
            input_core_dims=[["time"], [], []],
            output_core_dims=[["time"]],
            kwargs={
                "where": where,
                "width": width,
                "stops": stops,
                "restated": stated != width,
                "known": (n_spikes is not None, duration is not None),
            },
            keep_attrs=True,
            dask="parallelized",
            output_dtypes=[_with_nan(counts.dtype)],
        ).transpose(*counts.dims)
    ds = ds.assign(counts=counts).assign_attrs(bin_width=width / TICKS_PER_SECOND)
    if n_spikes is None or duration is None or stated != width or _were_cut(duration, width, stops):
        seen = ds["counts"].notnull().sum("time")
        ds["duration"] = (seen.where(seen > 0) * ds.attrs["bin_width"]).assign_attrs(units="s")
        sums = ds["counts"].sum("time", min_count=1, dtype=np.float64)
        ds["n_spikes"] = sums.assign_attrs(units="1")
    return ds


def _bins_of(ds: xr.Dataset, where: str) -> tuple[int, np.ndarray, int]:
    """Give the width of bins in ticks, where each stops, and the width that bin_width states."""
    stated = ds.attrs.get("bin_width")
    length = ds["counts"].sizes["time"]
    time = ds["time"].values if "time" in ds.coords else None
    if time is None or length < 2:
        if stated is None:
            raise SelectionError(
                located(
                    where,
                    "the attribute bin_width (s), or a time coordinate of two bins or more",
                    "neither",
                    "Set it: ds.assign_attrs(bin_width=...).",
                )
            )
        width = _ticks_of(stated)
        stops = (np.arange(length) + 1) * width
        if time is not None and length and abs(to_ticks(time[0]) * 2 - width) > 2:
            raise SelectionError(
                located(
                    where,
                    "two bins or more, whose distance tells how wide they are",
                    f"one at {time[0]:g} s",
                    "Keep more; or, if bin_width is right, drop the other: ds.drop_vars('time').",
                )
            )
        return width, stops, width
    ticks = time * float(TICKS_PER_SECOND) if time.dtype.kind in "fiu" else np.full(2, np.nan)
    steps = np.diff(ticks)
    mean = steps.mean()
    if not np.isfinite(mean) or mean < 0.5 or np.abs(steps - mean).max() > 1:
        low, high = (f"{v / TICKS_PER_SECOND:g}" for v in (steps.min(), steps.max()))
        raise SelectionError(
            located(
                f"{where}, time",
                "evenly spaced centres of bins, in s and ascending",
                f"steps of {low} to {high} s",
                "Keep a stretch of bins whole: ds.isel(time=slice(first, last)).",
            )
        )
    width = round(mean)
    own = _ticks_of(stated) if stated is not None else width
    return width, np.rint(ticks + width / 2).astype(np.int64), own


def _ticks_of(bin_width: str | float) -> int:
    """Give a stated bin width in the nearest whole ticks: 1/30 s is a width of counts too."""
    return int(to_ticks(to_seconds(bin_width, "bin_width")))


def _were_cut(duration: xr.DataArray, width: int, stops: np.ndarray) -> bool:
    """Tell whether bins do not reach from 0 to the end of the longest duration."""
    longest = np.nan_to_num(duration.values * float(TICKS_PER_SECOND)).max(initial=0)
    return bool(not stops.size or stops[0] - width > 1 or stops[-1] < longest - 1)


def _with_nan(dtype: np.dtype) -> np.dtype:
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


def _checked(
    counts: np.ndarray,
    n_spikes: np.ndarray,
    duration: np.ndarray,
    *,
    where: str,
    width: int,
    stops: np.ndarray,
    restated: bool,
    known: tuple[bool, bool],
) -> np.ndarray:
    """Compare counts (..., time) with their old sums; NaN past what was observed."""
    counts = np.asarray(counts, dtype=_with_nan(counts.dtype))
    seconds = duration if known[1] else np.zeros(())
    length = np.nan_to_num(np.asarray(seconds) * float(TICKS_PER_SECOND))
    if known[0] and stops.size:
        found = np.sum(counts, axis=-1, where=np.isfinite(counts), dtype=np.float64)
        expected = np.nan_to_num(n_spikes)
        missing = expected - found
        equal = np.isclose(found, expected, rtol=1e-6, atol=1e-6)
        from_zero = stops[0] - width <= 1
        whole = from_zero & (stops[-1] >= length - 1)
        wrong = whole & ~equal
        if restated:
            # adding up may leave out less than a new bin at an epoch's end: few of its spikes
            trimmed = from_zero & (stops[-1] + width > length)
            few = (missing >= 0) & ((missing <= _FEW) | (missing <= expected / 2))
            wrong |= ~whole & ~(trimmed & (equal | few))
        if wrong.any():
            raise SelectionError(_not_the_sums(where, width, restated))
    if known[1]:
        unseen = stops > length[..., None] + 1
        if (unseen & np.isfinite(counts)).any():  # adding up makes 0 of what was not observed
            counts = np.where(unseen, np.array(np.nan, dtype=counts.dtype), counts)
    return counts


def _not_the_sums(where: str, width: int, restated: bool) -> str:
    seconds = width / TICKS_PER_SECOND
    return located(
        f"{where}, counts",
        "those that n_spikes is the sum of",
        f"others, every {seconds:g} s (left out, averaged?)" if restated else "others (changed?)",
        "Do not step over bins. If counts are as you want them, drop the old sums"
        + (" and say how wide bins are" if restated else "")
        + ": ds.drop_vars(['n_spikes', 'duration'])"
        + (".assign_attrs(bin_width=...)." if restated else "."),
    )


def population(
    ds: xr.Dataset, by: str | Sequence[str], min_spikes: float, where: str
) -> Population:
    """Group the counts that `binned` gives, and say which units and cells are used.

    Used are units that were observed in all cells that count and fired at least
    ``min_spikes`` times in each; a cell counts if all units observed anywhere were
    observed in it.

    Raises
    ------
    SelectionError
        If ``ds`` has sessions as a dimension; for what `group_units` refuses.
    """
    if "session" in ds["counts"].dims:
        raise SelectionError(
            located(
                where,
                "session as a label on unit",
                "session as a dimension",
                "Leave it a label: broadcasting units against sessions multiplies them.",
            )
        )
    for dim in ("unit", "time"):
        if not ds["counts"].sizes[dim]:
            raise SelectionError(
                located(where, f"at least one {dim}", "none", "Nothing was selected, or observed.")
            )
    if "unit" in ds.coords and len(set(ds["unit"].values.tolist())) < ds.sizes["unit"]:
        raise SelectionError(
            located(where, "each unit once", "some twice", "Drop them: ds.drop_duplicates('unit').")
        )
    counts = ds["counts"].transpose("unit", ..., "time")
    cells = tuple(str(d) for d in counts.dims[1:-1])
    groups = group_units(ds, by, where)
    flat = ds["n_spikes"].transpose("unit", *cells).data.reshape((counts.sizes["unit"], -1))
    lazy = hasattr(counts.data, "dask")
    if lazy and hasattr(flat, "dask"):
        from dask.delayed import delayed

        whole = delayed(np.asarray)(flat)
        choose = delayed(_used, pure=True)
        used = tuple(choose(whole, rows, min_spikes) for rows in groups.rows)
    else:
        used = tuple(_used(np.asarray(flat), rows, min_spikes) for rows in groups.rows)
    return Population(counts, cells, groups, used, lazy)


def _used(
    n_spikes: np.ndarray, rows: np.ndarray, min_spikes: float
) -> tuple[np.ndarray, np.ndarray]:
    mine = n_spikes[rows]
    seen = np.isfinite(mine)
    somewhere = seen.any(axis=1)
    cells = seen[somewhere].all(axis=0) & somewhere.any()
    enough = (np.nan_to_num(mine[:, cells]) >= min_spikes).all(axis=1)
    return somewhere & enough, cells


def map_groups(
    pop: Population,
    function: Callable[..., dict[str, Any]],
    arguments: Sequence[tuple[Any, ...]],
    fields: Mapping[str, Field],
) -> dict[str, Any]:
    """Call a function of each group's counts, one task a session, and put together what it gives.

    Parameters
    ----------
    pop : Population
    function : callable
        Of (counts (n_units, n_cells, n_bins), used units, used cells, *arguments).
    arguments : sequence of tuple
        Of each group; a part may be a promise.
    fields : mapping
        What the function gives, by name.

    Returns
    -------
    dict
        Arrays by name: (groups..., *shape) or (unit, *shape); dask arrays where the counts are.
    """
    n_units = pop.counts.sizes["unit"]
    data = pop.counts.data
    call: Any = _run_session
    of_unit = pop.counts["session"].values
    session = [str(of_unit[rows[0]]) for rows in pop.groups.rows]
    if pop.lazy:
        import dask.array as da
        from dask.delayed import delayed

        call = delayed(_run_session, pure=True)
    results = []
    for eid in dict.fromkeys(session):
        mine = [i for i, s in enumerate(session) if s == eid]
        rows = np.unique(np.concatenate([pop.groups.rows[i] for i in mine]))
        block = data[_as_slice(rows)]
        local = [np.searchsorted(rows, pop.groups.rows[i]) for i in mine]
        jobs = [(pop.used[i], arguments[i]) for i in mine]
        results.append((mine, call(function, block, local, jobs)))
    where = [(pop.groups.place[i], pop.groups.rows[i]) for mine, _ in results for i in mine]
    parts = [r for _, r in results]
    n_groups = int(np.prod(pop.groups.shape))
    if not pop.lazy:
        gathered = _gather(parts, where, fields, n_groups, n_units)
    else:
        promise = delayed(_gather, pure=True)(parts, where, dict(fields), n_groups, n_units)
        gathered = {
            name: da.from_delayed(
                promise[name],
                (n_units if f.along == "unit" else n_groups, *f.shape),
                np.dtype(f.dtype),
            )
            for name, f in fields.items()
        }
    return {
        name: array
        if fields[name].along == "unit"
        else array.reshape((*pop.groups.shape, *fields[name].shape))
        for name, array in gathered.items()
    }


def seed_of(rng: np.random.Generator | int | None) -> int:
    """Give the seed of a measure: a whole number is its own, anything else draws one.

    Examples
    --------
    >>> seed_of(7)
    7
    """
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool) and 0 <= rng < 2**63:
        return int(rng)
    if rng is None or isinstance(rng, np.random.Generator):
        return int(np.random.default_rng(rng).integers(2**63))
    raise SelectionError(
        located("rng", "a Generator or a whole number from 0 to 2**63", repr(rng), "Correct it.")
    )


def unit_keys(ds: xr.Dataset) -> np.ndarray:
    """Give each unit a number that follows from its id alone."""
    ids = ds["unit"].values if "unit" in ds.coords else np.arange(ds.sizes["unit"])
    return pd.util.hash_array(text(ids), hash_key=_ID_KEY, categorize=False)


def cell_keys(pop: Population) -> list[int]:
    """Give each cell a number that follows from its labels alone, whatever their order."""
    dims = sorted(pop.cells)
    labels = [
        pop.counts[d].values if d in pop.counts.coords else np.arange(pop.counts.sizes[d])
        for d in pop.cells
    ]
    table = pd.MultiIndex.from_product(labels, names=pop.cells).to_frame() if dims else None
    if table is None:
        return [0]
    names = table[dims].astype(str).agg("|".join, axis=1).to_numpy(dtype=object)
    return pd.util.hash_array(names, hash_key=_ID_KEY, categorize=False).astype(int).tolist()


def result_coords(pop: Population) -> dict[Any, Any]:
    """Give the coordinates of a result over groups and cells: theirs, and what is scalar."""
    kept = set(pop.cells)
    coords = {c: v for c, v in pop.counts.coords.items() if set(v.dims) <= kept and c != "time"}
    return coords | pop.groups.coords


def result_attrs(ds: xr.Dataset) -> dict[str, Any]:
    """Give the attributes that a result keeps: where the counts came from, and which they are."""
    return {k: ds.attrs[k] for k in _KEPT_ATTRS if k in ds.attrs}


def _as_slice(rows: np.ndarray) -> Any:
    """Give rows as a slice where they follow one another: no copy."""
    if rows.size and (np.diff(rows) == 1).all():
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def _run_session(
    function: Callable[..., dict[str, Any]],
    block: np.ndarray,
    local: Sequence[np.ndarray],
    jobs: Sequence[tuple[tuple[np.ndarray, np.ndarray], tuple[Any, ...]]],
) -> list[dict[str, Any]]:
    cells = block.reshape((block.shape[0], -1, block.shape[-1]))
    results = []
    with one_blas_thread():
        for rows, ((units, observed), arguments) in zip(local, jobs, strict=True):
            results.append(function(cells[_as_slice(rows)], units, observed, *arguments))
    return results


def _gather(
    parts: Sequence[Sequence[dict[str, Any]]],
    where: Sequence[tuple[int, np.ndarray]],
    fields: Mapping[str, Field],
    n_groups: int,
    n_units: int,
) -> dict[str, np.ndarray]:
    out = {
        name: np.full((n_units if f.along == "unit" else n_groups, *f.shape), f.fill, dtype=f.dtype)
        for name, f in fields.items()
    }
    results = [r for part in parts for r in part]
    for (place, rows), result in zip(where, results, strict=True):
        for name, f in fields.items():
            out[name][rows if f.along == "unit" else place] = result[name]
    return out


def group_units(ds: xr.Dataset, by: str | Sequence[str], where: str) -> Groups:
    """Group the units of one session each by one or several labels.

    Parameters
    ----------
    ds : Dataset
        With the dimension ``unit`` and its labels.
    by : str or sequence of str
        Labels on ``unit``.
    where : str
        Who asks, for errors.

    Returns
    -------
    Groups
        Values in the order in which they come along ``unit``.

    Raises
    ------
    SelectionError
        If a label does not exist, ``session`` is not among them or not known of every unit, or
        a group's units are of several sessions: they were not recorded together, and have no
        covariance.

    Examples
    --------
    >>> ds = xr.Dataset(coords={"session": ("unit", ["a", "a", "b"])})
    >>> [rows.tolist() for rows in group_units(ds, "session", "test").rows]
    [[0, 1], [2]]
    """
    names = [by] if isinstance(by, str) else list(by or ())
    labels = [str(n) for n, v in ds.coords.items() if v.dims == ("unit",) and n != "unit"]
    wrong = [n for n in names if n not in labels]
    if wrong or not names or len(set(names)) < len(names):
        raise SelectionError(
            located(
                f"{where}, by",
                "distinct labels on unit, of " + ", ".join(sorted(labels)),
                repr(by),
                "Correct it.",
            )
        )
    if "session" not in labels:
        raise SelectionError(
            located(
                where,
                "the label session on unit, which tells who was recorded together",
                "none",
                "Keep it, or set it: ds.assign_coords(session=('unit', ...)).",
            )
        )
    table = pd.DataFrame({n: ds[n].values for n in dict.fromkeys([*names, *labels])})
    if table["session"].isna().any() or (table["session"] == "").any():
        raise SelectionError(
            located(where, "session of every unit", "some blank", "Select those that have it.")
        )
    codes, values = [], []
    for name in names:
        code, value = pd.factorize(table[name])
        if (code < 0).any():
            raise SelectionError(
                located(
                    f"{where}, by", f"{name} of every unit", "NaN", "Select those that have it."
                )
            )
        codes.append(code)
        values.append(np.asarray(value))
    shape = tuple(len(v) for v in values)
    flat = np.ravel_multi_index(codes, shape) if len(table) else np.zeros(0, dtype=np.int64)
    order = np.argsort(flat, kind="stable")
    place, first = np.unique(flat[order], return_index=True)
    rows = np.split(order, first[1:]) if place.size else []
    if len(table):
        session = pd.factorize(table["session"])[0]
        mixed = [i for i, r in enumerate(rows) if (session[r] != session[r[0]]).any()]
        if mixed:
            index = np.unravel_index(place[mixed[0]], shape)
            name = ", ".join(str(v[i]) for v, i in zip(values, index, strict=True))
            raise SelectionError(
                located(
                    f"{where}, by={by!r}",
                    "groups of units that were recorded together",
                    f"{name!r} in {len(set(session[rows[mixed[0]]]))} sessions",
                    "Add 'session' to by.",
                )
            )
    coords = {n: (n, v) for n, v in zip(names, values, strict=True)}
    for name, code in zip(names, codes, strict=True):
        for label, shared in carried_labels(table, code).items():
            if label not in coords:
                coords[label] = (name, shared)
    return Groups(tuple(names), shape, tuple(int(p) for p in place), tuple(rows), coords)


def carried_labels(table: pd.DataFrame, code: np.ndarray) -> dict[str, np.ndarray]:
    """Give the labels of recordings that all units of each group share, by group.

    Examples
    --------
    >>> table = pd.DataFrame({"session": ["a", "a", "b"], "probe": ["x", "y", "x"]})
    >>> carried_labels(table, np.array([0, 0, 1]))["session"].tolist()
    ['a', 'b']
    """
    inside = code >= 0
    found = {}
    history = [str(c) for c in table if str(c).startswith("days_since_")]
    for label in (*_CARRIED, *history):
        if label in table and inside.any():
            by_group = table[label][inside].groupby(code[inside])
            if (by_group.nunique(dropna=False) == 1).all():
                found[label] = np.asarray(by_group.first())
    return found
