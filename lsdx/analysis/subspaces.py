"""Principal components of populations, and how their subspaces turn between phases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from lsdx.analysis.grouping import Field, Population, map_groups, population, result_coords
from lsdx.analysis.inputs import binned, n_observed_bins, require_whole
from lsdx.analysis.results import result_attrs
from lsdx.analysis.seeds import cell_keys, seed_of, unit_keys
from lsdx.errors import SelectionError, located
from lsdx.schema.spec import text

_PARTS = 4  # of the time of a label
_THIN = 1  # purpose of random numbers
_WORDS = {
    "similarity": "Mean squared cosine of the principal angles",
    "similarity_chance": "The same of random subspaces, k / n_units",
    "similarity_within": "The same of times on one side",
    "similarity_between": "The same of a time on the one side and one on the other",
    "principal_angle": "Principal angle",
    "pc1_angle": "Angle between the first components",
    "quarter": "Length of a quarter of the time",
    "note": "Why a value is NaN",
    "n_units": "Units used",
}


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


@dataclass(frozen=True)
class _Options:
    n_components: int
    scale: str
    min_units: int
    match_rates: bool
    draws: int
    seed: int


def subspaces(
    ds: xr.Dataset,
    *,
    between: str = "phase",
    by: str | Sequence[str] = "session",
    n_components: int = 5,
    scale: str = "zscore",
    match_rates: bool = True,
    min_units: int = 20,
    min_spikes: float = 30,
    draws: int = 5,
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Compare the subspaces of the first principal components, with what time alone would do.

    Subspaces turn without a drug: what units have in common changes over hours, and with
    behavior. A turn between two phases is no drug effect by itself; it is to be compared with
    that between equally distant windows of one phase, and with saline sessions.

    Parameters
    ----------
    ds : Dataset
        With ``counts`` (of spikes, not rates) over (unit, ..., time).
    between : str
        A dimension of two labels, such as ``phase``, whose subspaces are compared; or
        ``"window"``, of ``spikes.lsd.sliding``, for windows before and after 0 by their
        distance in time.
    by : str or sequence of str
        Labels on ``unit`` that make the groups, of units recorded together.
    n_components : int
        Dimensions of the subspaces.
    scale : {"zscore", "center"}
    match_rates : bool
        Whether each draw thins each unit binomially to its lowest rate among what is compared.
    min_units : int
        Groups of fewer used units are NaN.
    min_spikes : float
        A unit with fewer spikes in any that is compared is silent, and left out of all.
    draws : int
        Draws of spikes, whose mean is given.
    rng : Generator or int, optional
        Of the draws; ``rng=int(result.attrs["seed"])`` gives them again.

    Returns
    -------
    Dataset
        Over the groups. Similarity is the mean squared cosine of the principal angles, from 0 to
        1; ``similarity_chance`` that of random subspaces (k / n_units).

        Between two labels, over the other dimensions (epoch) too: ``similarity``,
        ``principal_angle`` (..., component) in degree, ascending, and ``pc1_angle`` in degree.
        To compare with one another, since they are of the same amount of data:
        ``similarity_within`` (..., ``between``, lag) of quarters of the time of one label,
        1 to 3 quarters of ``quarter`` s apart; ``similarity_between`` (...) of quarters of the
        one and of the other label.

        Between windows: ``similarity_within`` (..., side, lag) of windows that are both
        ``"before"`` or both ``"after"`` 0, ``similarity_between`` (..., lag) of one before and
        one after, ``lag`` s from centre to centre; NaN for lags without such a pair. Windows
        that overlap are not compared, nor are those across 0.

        ``note`` says why a value is NaN. Lazy where the counts are.

    Raises
    ------
    SelectionError
        If ``between`` is no dimension of two labels and no window; for labels that do not
        exist, groups across sessions, an argument out of range, or, once computed, counts to
        be thinned that are not whole.

    Notes
    -----
    Windows are the control of time: ``similarity_within.mean("side") - similarity_between`` is
    0 on average at every lag if subspaces drift alike before and after. Quarters of an epoch
    are minutes apart and the phases tens of minutes: with them drift looks like a turn. A state
    that lasts for one phase alone, such as running, looks like a turn in both. Saline sessions
    have such states too: compare with them.

    Within less between, in 200 simulated sessions of 60 units (5 Hz, four latents; windows of
    150 s, six before and twelve after; epochs of 300 s, 22.5 min apart): mean, and share of
    sessions above 0 in %. Drift: loadings lose half of their correlation in 30 min. State: a
    latent of its own after 0. Turn: loadings half replaced at 0.

    =======================  ===========  ===========  ===========  ===========
    what happens             own rates                 matched rates
    -----------------------  ------------------------  ------------------------
    ..                       quarters     windows      quarters     windows
    =======================  ===========  ===========  ===========  ===========
    nothing                   .00   46     .00   52     .00   46     .00   49
    rates from 10 to 2.5 Hz   .02  100    -.01   18     .00   45     .00   50
    drift                     .37  100     .00   49     .37  100     .00   51
    drift, and these rates    .37  100     .00   48     .32  100     .00   43
    state                     .10  100     .16  100     .10  100     .15  100
    turn                      .34  100     .37  100     .34  100     .37  100
    turn and drift            .49  100     .30  100     .48  100     .30  100
    =======================  ===========  ===========  ===========  ===========

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units(demo_stores)
    >>> turn = u.lsd.subspaces(n_components=2, min_units=10, draws=2, rng=0).compute()
    >>> turn.similarity.dims, turn.principal_angle.attrs["units"]
    (('session', 'epoch'), 'degree')
    >>> w = lsdx.open_spikes(demo_stores).lsd.sliding(width="3 min", step="3 min")
    >>> w.lsd.subspaces(between="window", n_components=2, min_units=10, rng=0).lag.values[:3]
    array([180., 360., 540.])
    """
    _check_arguments("subspaces", n_components, scale)
    counted: tuple[tuple[str, Any, int], ...] = (("min_units", min_units, 2), ("draws", draws, 1))
    for name, value, least in counted:
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
            words = f"a whole number of at least {least}"
            raise SelectionError(located(f"subspaces, {name}", words, repr(value), "Correct it."))
    ds = binned(ds, "subspaces")
    pop = population(ds, by, min_spikes, "subspaces")
    options = _Options(n_components, scale, min_units, bool(match_rates), draws, seed_of(rng))
    found = (_of_windows if between == "window" else _of_labels)(ds, pop, between, options)
    return found.assign_attrs(
        result_attrs(ds),
        by=", ".join(pop.groups.dims),
        between=between,
        scale=scale,
        match_rates=int(match_rates),
        draws=draws if match_rates else 0,
        seed=str(options.seed),
    )


def _of_labels(ds: xr.Dataset, pop: Population, between: str, options: _Options) -> xr.Dataset:
    if between not in pop.cells or pop.counts.sizes[between] != 2:
        sizes = ", ".join(f"{d} ({pop.counts.sizes[d]})" for d in pop.cells)
        raise SelectionError(
            located(
                "subspaces, between",
                "a dimension of two labels, beside unit and time, or window",
                f"{between!r} among {sizes or 'none'}",
                "Name another, or select two labels of it.",
            )
        )
    rest = tuple(d for d in pop.cells if d != between)
    index = np.arange(pop.n_cells).reshape(pop.cell_shape)
    pairs = np.moveaxis(index, pop.cells.index(between), 0).reshape(2, -1).T
    n = len(pairs)
    scalar = ("similarity", "similarity_chance", "similarity_between", "pc1_angle", "quarter")
    fields = dict.fromkeys(scalar, Field((n,))) | {
        "similarity_within": Field((n, 2, _PARTS - 1)),
        "principal_angle": Field((n, options.n_components)),
        "note": Field((n,), object, "no units"),
        "n_units": Field((), fill=0.0),
    }
    keys, ids, width = unit_keys(ds), cell_keys(pop), ds.attrs["bin_width"]
    arguments = [(keys[r], ids, pairs, width, options) for r in pop.groups.rows]
    coords = {
        "component": ("component", np.arange(1, options.n_components + 1)),
        "lag": ("lag", np.arange(1, _PARTS), {"long_name": "Quarters apart"}),
    }
    more = {"similarity_within": (between, "lag"), "principal_angle": ("component",)}
    own = pop.counts.coords.get(between)
    if own is not None:
        coords[between] = own.variable
    return _labelled(pop, map_groups(pop, _turn, arguments, fields), rest, more, coords)


def _of_windows(ds: xr.Dataset, pop: Population, between: str, options: _Options) -> xr.Dataset:
    centre = ds["window"].values if "window" in ds.coords else np.empty(0, dtype=object)
    if pop.cells != (between,) or centre.dtype.kind not in "fiu":
        raise SelectionError(
            located(
                "subspaces, between='window'",
                "windows with their centres in s, and no other dimension",
                ", ".join(pop.cells) or "none",
                "Start from spikes.lsd.sliding(...).",
            )
        )
    width = float(ds.attrs.get("width", 0.0))
    side = np.where(np.abs(centre) < width / 2 - 1e-6, 0, np.sign(centre)).astype(int)
    apart = np.abs(centre[:, None] - centre)[side != 0][:, side != 0].round(6)
    lags = np.unique(apart[apart >= max(width, 1e-6) - 1e-6])
    fields = {
        "similarity_within": Field((2, lags.size)),
        "similarity_between": Field((lags.size,)),
        "similarity_chance": Field(()),
        "note": Field((), object, "no units"),
        "n_units": Field((), fill=0.0),
    }
    keys, ids = unit_keys(ds), cell_keys(pop)
    arguments = [(keys[r], ids, side, centre, lags, options) for r in pop.groups.rows]
    words = {"units": "s", "long_name": "Distance of the windows, from centre to centre"}
    coords = {"side": ("side", text(("before", "after"))), "lag": ("lag", lags, words)}
    more = {"similarity_within": ("side", "lag"), "similarity_between": ("lag",)}
    return _labelled(pop, map_groups(pop, _drift, arguments, fields), (), more, coords)


def _labelled(
    pop: Population,
    arrays: dict[str, Any],
    rest: tuple[str, ...],
    more: dict[str, tuple[str, ...]],
    coords: dict[Any, Any],
) -> xr.Dataset:
    """Name dimensions: the groups', ``rest``, and those that a variable has besides."""
    dims = pop.groups.dims
    lengths = tuple(pop.counts.sizes[d] for d in rest)
    data: dict[str, Any] = {}
    for name, array in arrays.items():
        units = {"pc1_angle": "degree", "principal_angle": "degree", "quarter": "s"}.get(name, "1")
        about = {"long_name": _WORDS[name]} | ({} if name == "note" else {"units": units})
        if name == "n_units":
            data[name] = (dims, array, about)
            continue
        last = more.get(name, ())
        shape = (*pop.groups.shape, *lengths, *array.shape[array.ndim - len(last) :])
        data[name] = ((*dims, *rest, *last), array.reshape(shape), about)
    left_out = set(pop.cells) - set(rest)
    kept = {
        c: v
        for c, v in result_coords(pop).items()
        if c not in left_out and not left_out & set(getattr(v, "dims", ()))
    }
    return xr.Dataset(data, kept | coords)


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
    keys: np.ndarray,
    ids: Sequence[int],
    pairs: np.ndarray,
    bin_width: float,
    options: _Options,
) -> dict[str, Any]:
    """Compare the two cells of each pair, as wholes and by quarters of their time."""
    from lsdx.kernels import dimensionality as kernel

    n, k, n_pairs = int(units.sum()), options.n_components, len(pairs)
    scalar = ("similarity", "similarity_chance", "similarity_between", "pc1_angle", "quarter")
    out: dict[str, Any] = {name: np.full(n_pairs, np.nan) for name in scalar} | {
        "similarity_within": np.full((n_pairs, 2, _PARTS - 1), np.nan),
        "principal_angle": np.full((n_pairs, k), np.nan),
        "note": np.full(n_pairs, "", dtype=object),
        "n_units": n,
    }
    least = max(k + 1, 2)
    for i, pair in enumerate(pairs):
        seen = [_observed(counts[units, c]) if cells[c] else None for c in pair]
        both = [x for x in seen if x is not None]
        if len(both) < 2:
            out["note"][i] = "not observed for all units in both"
            continue
        length = min(len(x) for x in both)  # equal amounts of data
        out["note"][i] = _too_few(n, options)
        if not out["note"][i] and length < _PARTS * least:
            out["note"][i] = f"fewer than {_PARTS * least} bins"
        if out["note"][i]:
            continue
        part = length // _PARTS
        rows = np.stack([x[:length].T for x in both], axis=1)
        side, place = np.repeat([0, 1], _PARTS), np.tile(np.arange(_PARTS), 2)
        drawn = []
        for thinned in _draws(rows, keys[units], [ids[c] for c in pair], options):
            whole = _bases(thinned, options)
            parts = [
                thinned[:, c, p * part : (p + 1) * part] for c, p in zip(side, place, strict=True)
            ]
            similar = _similarities(_bases(np.stack(parts, axis=1), options))
            angles = kernel.principal_angles(*whole)
            drawn.append(
                {
                    "similarity": np.mean(np.cos(angles) ** 2),
                    "similarity_within": _by_lag(similar, side, place, np.arange(1, _PARTS))[0],
                    "similarity_between": similar[:_PARTS, _PARTS:].mean(),
                    "principal_angle": np.degrees(angles),
                    "pc1_angle": np.degrees(kernel.pc1_angle(whole[0][:, 0], whole[1][:, 0])),
                }
            )
        for name in drawn[0]:
            out[name][i] = np.mean([d[name] for d in drawn], axis=0)
        out["similarity_chance"][i] = k / n
        out["quarter"][i] = part * bin_width
    return out


def _drift(
    counts: np.ndarray,
    units: np.ndarray,
    cells: np.ndarray,
    keys: np.ndarray,
    ids: Sequence[int],
    side: np.ndarray,
    centre: np.ndarray,
    lags: np.ndarray,
    options: _Options,
) -> dict[str, Any]:
    """Compare windows with one another, by their distance in time; side 0 is left out."""
    n = int(units.sum())
    out: dict[str, Any] = {
        "similarity_within": np.full((2, lags.size), np.nan),
        "similarity_between": np.full(lags.size, np.nan),
        "similarity_chance": np.nan,
        "note": _too_few(n, options) if cells.any() else "not observed",
        "n_units": n,
    }
    seen = {c: _observed(counts[units, c]) for c in np.flatnonzero(cells & (side != 0))}
    good = [int(c) for c, x in seen.items() if x is not None and len(x) == counts.shape[2]]
    least = max(options.n_components + 1, 2)
    if not out["note"]:
        if len(good) < 2:
            out["note"] = "fewer than two windows observed, those across 0 aside"
        elif counts.shape[2] < least:
            out["note"] = f"fewer than {least} bins"
    if out["note"]:
        return out
    side = (side[good] > 0).astype(int)
    if side.min() == side.max():
        out["note"] = f"no window {'before' if side.min() else 'after'} 0"
    rows = np.ascontiguousarray(counts[units][:, good])
    drawn = [
        _by_lag(_similarities(_bases(thinned, options)), side, centre[good], lags)
        for thinned in _draws(rows, keys[units], [ids[c] for c in good], options)
    ]
    out["similarity_within"] = np.mean([d[0] for d in drawn], axis=0)
    out["similarity_between"] = np.mean([d[1] for d in drawn], axis=0)
    out["similarity_chance"] = options.n_components / n
    return out


def _too_few(n: int, options: _Options) -> str:
    if n < options.min_units:
        return f"{n} units, fewer than min_units={options.min_units}"
    least = options.n_components + 1
    return f"{n} units, fewer than n_components + 1 = {least}" if n < least else ""


def _draws(
    rows: np.ndarray, keys: np.ndarray, ids: Sequence[int], options: _Options
) -> Iterator[np.ndarray]:
    """Give counts (n_units, n_cells, n_bins), thinned anew in each draw to equal rates."""
    from lsdx.kernels.resampling import equal_rate_share, stream_keys, thin

    keep = equal_rate_share(rows.sum(axis=-1, dtype=np.float64))
    if not options.match_rates or not (keep < 1).any():
        yield rows
        return
    require_whole(rows, "subspaces")
    for d in range(options.draws):
        cells = [
            thin(rows[:, c], keep[:, c], stream_keys(keys, options.seed, _THIN, d, i))
            for c, i in enumerate(ids)
        ]
        yield np.stack(cells, axis=1)


def _bases(rows: np.ndarray, options: _Options) -> np.ndarray:
    """Give the loadings of each cell of (n_units, n_cells, n_bins): (n_cells, n_units, k)."""
    from lsdx.kernels.dimensionality import principal_components

    how: dict[str, Any] = {"n_components": options.n_components, "scale": options.scale}
    return np.stack([principal_components(x.T, **how)[1] for x in np.moveaxis(rows, 1, 0)])


def _similarities(bases: np.ndarray) -> np.ndarray:
    """Give the mean squared cosine of the angles of all pairs of (m, n_units, k): (m, m)."""
    m, n_units, k = bases.shape
    flat = np.moveaxis(bases, 1, 0).reshape(n_units, m * k)
    squares = (flat.T @ flat) ** 2
    return np.asarray(squares.reshape(m, k, m, k).sum(axis=(1, 3)) / k)


def _by_lag(
    similar: np.ndarray, side: np.ndarray, place: np.ndarray, lags: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Average over pairs of one side (2, n_lags), and of both (n_lags,), by their distance."""
    apart = np.abs(place[:, None] - place).round(6)
    kind = np.where(side[:, None] == side, side, 2)
    out = np.full((3, lags.size), np.nan)
    for k in range(3):
        for i, lag in enumerate(lags):
            these = similar[(kind == k) & (apart == lag)]
            if these.size:
                out[k, i] = these.mean()
    return out[:2], out[2]


def _observed(counts: np.ndarray) -> np.ndarray | None:
    """Give the bins observed (n_bins, n_units), counted from the start; None if there are gaps."""
    length = n_observed_bins(counts)
    return counts[:, :length].T if length >= 2 else None
