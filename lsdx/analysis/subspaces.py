"""Principal components of populations, and how their subspaces turn between phases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from lsdx.analysis.population import (
    Field,
    binned,
    map_groups,
    n_observed_bins,
    population,
    result_attrs,
    result_coords,
)
from lsdx.errors import SelectionError, located


def components(
    ds: xr.Dataset,
    *,
    by: str | Sequence[str] = "session",
    n_components: int = 10,
    scale: str = "zscore",
    min_spikes: float = 30,
) -> xr.Dataset:
    """Give the principal components of each population: loadings and scores.

    Parameters
    ----------
    ds : Dataset
        With ``counts`` over (unit, ..., time): of `lsdx.open_units`, ``spikes.lsd.bin`` or
        ``spikes.lsd.sliding``.
    by : str or sequence of str
        Labels on ``unit`` that make the groups, of units recorded together.
    n_components : int
    scale : {"zscore", "center"}
    min_spikes : float
        A unit with fewer spikes in any that is compared is silent, and left out of all.

    Returns
    -------
    Dataset
        For each epoch or window on its own: ``loadings`` (unit, ..., component), orthonormal
        over the units of a group, the largest positive, NaN for units left out, with the
        labels of the units (those of ``by`` as ``unit_session`` and so on);
        ``scores`` (groups..., ..., time, component); ``explained_variance``
        (groups..., ..., component), shares. Lazy where the counts are.

    Raises
    ------
    SelectionError
        For labels that do not exist, groups across sessions, or an argument out of range.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units(demo_stores).sel(phase="pre", epoch="rfm")
    >>> c = u.lsd.components(n_components=3)
    >>> c.loadings.dims, c.scores.dims
    (('unit', 'component'), ('session', 'time', 'component'))
    """
    _check_arguments("components", n_components, scale)
    ds = binned(ds, "components")
    pop = population(ds, by, min_spikes, "components")
    n_bins = pop.counts.sizes["time"]
    fields = {
        "loadings": Field((pop.n_cells, n_components), along="unit"),
        "scores": Field((pop.n_cells, n_bins, n_components)),
        "explained_variance": Field((pop.n_cells, n_components)),
    }
    arguments = [(n_components, scale) for _ in pop.groups.rows]
    arrays = map_groups(pop, _components_of, arguments, fields)
    told = {
        "loadings": ("unit", "Weight of the unit in the component"),
        "scores": ("group", "Scaled activity along the component"),
        "explained_variance": ("group", "Share of variance of the component"),
    }
    data: dict[str, Any] = {}
    for name, (along, words) in told.items():
        lead = ("unit",) if along == "unit" else pop.groups.dims
        last = ("time", "component") if name == "scores" else ("component",)
        array = arrays[name]
        shape = (*array.shape[: len(lead)], *pop.cell_shape, *array.shape[len(lead) + 1 :])
        about = {"units": "1", "long_name": words}
        data[name] = ((*lead, *pop.cells, *last), array.reshape(shape), about)
    coords = result_coords(pop) | {"component": ("component", np.arange(1, n_components + 1))}
    labels = {
        c: v for c, v in ds.coords.items() if v.dims in (("unit",), ("time",)) and c not in coords
    }
    # a label that has become a dimension can no longer be one on unit
    labels |= {f"unit_{d}": ds[d].drop_vars(d) for d in pop.groups.dims}
    out = xr.Dataset(data, coords | labels)
    return out.assign_attrs(result_attrs(ds), by=", ".join(pop.groups.dims), scale=scale)


def subspaces(
    ds: xr.Dataset,
    *,
    between: str = "phase",
    by: str | Sequence[str] = "session",
    n_components: int = 5,
    scale: str = "zscore",
    min_units: int = 20,
    min_spikes: float = 30,
) -> xr.Dataset:
    """Compare the subspaces of the first principal components, with what chance would give.

    Parameters
    ----------
    ds : Dataset
        With ``counts`` over (unit, ..., time).
    between : str
        A dimension of two labels, such as ``phase``, whose subspaces are compared.
    by : str or sequence of str
        Labels on ``unit`` that make the groups, of units recorded together.
    n_components : int
        Dimensions of the subspaces.
    scale : {"zscore", "center"}
    min_units : int
        Groups of fewer used units are NaN.
    min_spikes : float
        A unit with fewer spikes in any that is compared is silent, and left out of all.

    Returns
    -------
    Dataset
        Over the groups and the other dimensions (epoch): ``principal_angle`` (..., component)
        in degree, ascending; ``pc1_angle`` in degree; ``similarity``, the mean squared cosine.
        What to compare it with: ``similarity_chance``, of random subspaces (k / n_units);
        ``similarity_within_halves``, between the two halves of the time of one label, the most
        that such an amount of data can give; and ``similarity_between_halves``, between halves
        of the one and of the other label, which has that same amount of data. ``note`` says
        why a value is NaN. Lazy where the counts are.

    Raises
    ------
    SelectionError
        If ``between`` is no dimension of two labels; for labels that do not exist, groups
        across sessions, or an argument out of range.

    Notes
    -----
    A turn shows as ``similarity_between_halves`` below ``similarity_within_halves``. Firing
    rates change components too: rates are not matched here.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units(demo_stores)
    >>> turn = u.lsd.subspaces(n_components=2, min_units=10).compute()
    >>> turn.similarity.dims, turn.principal_angle.attrs["units"]
    (('session', 'epoch'), 'degree')
    """
    _check_arguments("subspaces", n_components, scale)
    if min_units < 2:
        raise SelectionError(
            located("subspaces, min_units", "at least 2", repr(min_units), "Correct it.")
        )
    ds = binned(ds, "subspaces")
    pop = population(ds, by, min_spikes, "subspaces")
    if between not in pop.cells or pop.counts.sizes[between] != 2:
        sizes = ", ".join(f"{d} ({pop.counts.sizes[d]})" for d in pop.cells)
        raise SelectionError(
            located(
                "subspaces, between",
                "a dimension of two labels, beside unit and time",
                f"{between!r} among {sizes or 'none'}",
                "Name another, or select two labels of it.",
            )
        )
    rest = tuple(d for d in pop.cells if d != between)
    index = np.arange(pop.n_cells).reshape(pop.cell_shape)
    pairs = np.moveaxis(index, pop.cells.index(between), 0).reshape(2, -1).T
    names = (
        "similarity",
        "similarity_chance",
        "similarity_within_halves",
        "similarity_between_halves",
        "pc1_angle",
    )
    fields = {
        "value": Field((len(names), len(pairs))),
        "principal_angle": Field((len(pairs), n_components)),
        "note": Field((len(pairs),), object, "no units"),
        "n_units": Field((), fill=0.0),
    }
    arguments = [(pairs, n_components, scale, min_units) for _ in pop.groups.rows]
    arrays = map_groups(pop, _turn, arguments, fields)
    dims, n = pop.groups.dims, len(pop.groups.dims)
    lengths = tuple(pop.counts.sizes[d] for d in rest)
    words = {
        "similarity": "Mean squared cosine of the principal angles",
        "similarity_chance": "The same of random subspaces, k / n_units",
        "similarity_within_halves": "The same between halves of the time of one label",
        "similarity_between_halves": "The same between halves of the time of two labels",
        "pc1_angle": "Angle between the first components",
    }
    data: dict[str, Any] = {}
    for i, name in enumerate(names):
        array = arrays["value"][(slice(None),) * n + (i,)]
        units = "degree" if name == "pc1_angle" else "1"
        about = {"units": units, "long_name": words[name]}
        data[name] = ((*dims, *rest), array.reshape((*pop.groups.shape, *lengths)), about)
    for name, more, about in (
        ("principal_angle", ("component",), {"units": "degree", "long_name": "Principal angle"}),
        ("note", (), {"long_name": "Why a value is NaN"}),
    ):
        array = arrays[name]
        shape = (*pop.groups.shape, *lengths, *array.shape[n + 1 :])
        data[name] = ((*dims, *rest, *more), array.reshape(shape), about)
    data["n_units"] = (dims, arrays["n_units"], {"units": "1", "long_name": "Units used"})
    coords = {
        c: v
        for c, v in result_coords(pop).items()
        if between not in getattr(v, "dims", ()) and c != between
    }
    coords["component"] = ("component", np.arange(1, n_components + 1))
    return xr.Dataset(data, coords).assign_attrs(
        result_attrs(ds), by=", ".join(dims), between=between, scale=scale
    )


def _check_arguments(where: str, n_components: int, scale: str) -> None:
    if n_components != int(n_components) or n_components < 1:
        found = repr(n_components)
        raise SelectionError(
            located(f"{where}, n_components", "a whole number from 1", found, "Correct it.")
        )
    if scale not in ("zscore", "center"):
        raise SelectionError(
            located(f"{where}, scale", "'zscore' or 'center'", repr(scale), "Correct it.")
        )


def _components_of(
    counts: np.ndarray, units: np.ndarray, cells: np.ndarray, n_components: int, scale: str
) -> dict[str, Any]:
    from lsdx.kernels.dimensionality import principal_components, scaled

    n_units, n_cells, n_bins = counts.shape
    out = {
        "loadings": np.full((n_units, n_cells, n_components), np.nan),
        "scores": np.full((n_cells, n_bins, n_components), np.nan),
        "explained_variance": np.full((n_cells, n_components), np.nan),
    }
    for c in np.flatnonzero(cells):
        x = _observed(counts[units, c])
        if x is None or not x.shape[1]:
            continue
        share, loadings = principal_components(x, n_components=n_components, scale=scale)
        out["explained_variance"][c] = share
        out["loadings"][units, c] = loadings
        out["scores"][c, : x.shape[0]] = scaled(x, scale=scale) @ loadings
    return out


def _turn(
    counts: np.ndarray,
    units: np.ndarray,
    cells: np.ndarray,
    pairs: np.ndarray,
    n_components: int,
    scale: str,
    min_units: int,
) -> dict[str, Any]:
    from lsdx.kernels import dimensionality as kernel

    n = int(units.sum())
    out: dict[str, Any] = {
        "value": np.full((5, len(pairs)), np.nan),
        "principal_angle": np.full((len(pairs), n_components), np.nan),
        "note": np.full(len(pairs), "", dtype=object),
        "n_units": n,
    }

    def basis(x: np.ndarray) -> np.ndarray:
        return kernel.principal_components(x, n_components=n_components, scale=scale)[1]

    def similarity(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> float:
        return float(np.mean([kernel.subspace_similarity(p, q) for p in a for q in b]))

    for i, pair in enumerate(pairs):
        seen = [_observed(counts[units, c]) if cells[c] else None for c in pair]
        both = [x for x in seen if x is not None]
        least = max(n_components + 1, 2)
        if len(both) < 2:
            out["note"][i] = "not observed for all units in both"
        elif n < max(min_units, least):
            needed = f"min_units={min_units}" if n < min_units else f"n_components + 1 = {least}"
            out["note"][i] = f"{n} units, fewer than {needed}"
        elif min(len(x) for x in both) < 2 * least:
            out["note"][i] = f"fewer than {2 * least} bins"
        else:
            length = min(len(x) for x in both)  # equal amounts of data
            both = [x[:length] for x in both]
            whole = [basis(x) for x in both]
            halves = [[basis(x[: length // 2]), basis(x[-(length // 2) :])] for x in both]
            angles = kernel.principal_angles(*whole)
            out["principal_angle"][i] = np.degrees(angles)
            out["value"][:, i] = (
                float(np.mean(np.cos(angles) ** 2)),
                n_components / n,
                np.mean([similarity(h[:1], h[1:]) for h in halves]),
                similarity(*halves),
                np.degrees(kernel.pc1_angle(whole[0][:, 0], whole[1][:, 0])),
            )
    return out


def _observed(counts: np.ndarray) -> np.ndarray | None:
    """Give the bins observed (n_bins, n_units), counted from the start; None if there are gaps."""
    length = n_observed_bins(counts)
    return counts[:, :length].T if length >= 2 else None
