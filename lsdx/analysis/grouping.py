"""Groups of units that were recorded together, and a function of each group's counts, lazily."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.blas import one_blas_thread
from lsdx.analysis.inputs import chosen_labels, labels_on_unit
from lsdx.analysis.results import carried_labels
from lsdx.errors import SelectionError, located


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

    def cells_along(self, dim: str) -> np.ndarray:
        """Return the numbers of the cells (n_labels, n_rest) by their label of one dimension."""
        index = np.arange(self.n_cells).reshape(self.cell_shape)
        along = np.moveaxis(index, self.cells.index(dim), 0)
        return along.reshape(len(along), -1)

    def in_common(
        self, n_units: int | None, min_units: int, n_spikes: Any = None, bins: Any = None
    ) -> Any:
        """Return what `lsdx.kernels.matching.in_common` finds, or the promise of it."""
        from lsdx.kernels.matching import in_common

        arguments = (list(self.used), list(self.groups.rows), n_spikes, bins, n_units, min_units)
        if any(hasattr(a, "dask") for a in (*self.used, n_spikes, bins)):
            from dask.delayed import delayed

            return delayed(in_common, pure=True)(*arguments)
        return in_common(*arguments)


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
    for dim in map(str, ds["counts"].dims):
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
    mine = np.nan_to_num(mine[:, cells])
    # sums that are not whole are of no spikes, and tell nothing of silence
    enough = ((mine >= min_spikes) | (mine != np.rint(mine))).all(axis=1)
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


def result_coords(pop: Population) -> dict[Any, Any]:
    """Return the coordinates of a result over groups and cells: theirs, and what is scalar."""
    kept = set(pop.cells)
    coords = {c: v for c, v in pop.counts.coords.items() if set(v.dims) <= kept and c != "time"}
    return coords | pop.groups.coords


def _as_slice(rows: np.ndarray) -> Any:
    """Return rows as a slice where they follow one another: no copy."""
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
    names, labels = chosen_labels(ds, by, f"{where}, by"), labels_on_unit(ds)
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
