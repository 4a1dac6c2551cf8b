"""Principal components of populations, and how their subspaces turn between phases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from lsdx.analysis.grouping import Field, Population, map_groups, population, result_coords
from lsdx.analysis.inputs import binned
from lsdx.analysis.results import result_attrs
from lsdx.analysis.seeds import cell_keys, seed_of, unit_keys
from lsdx.arguments import one_of, whole_number
from lsdx.errors import SelectionError, located
from lsdx.schema.spec import text

if TYPE_CHECKING:
    from lsdx.kernels.subspaces import Options

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
    """Return the principal components of each population: loadings and scores.

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
    ArgumentError
        For an argument out of range.
    SelectionError
        An ArgumentError, for labels that do not exist, and groups across sessions.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units().sel(phase="pre", epoch="rfm")
    >>> c = u.lsd.components(n_components=3)
    >>> c.loadings.dims, c.scores.dims
    (('unit', 'component'), ('session', 'time', 'component'))
    """
    from lsdx.kernels.subspaces import components_of_cells

    n_components = whole_number(n_components, "components, n_components", least=1)
    one_of(scale, "components, scale", ("zscore", "center"))
    ds = binned(ds, "components")
    pop = population(ds, by, min_spikes, "components")
    n_bins = pop.counts.sizes["time"]
    fields = {
        "loadings": Field((pop.n_cells, n_components), along="unit"),
        "scores": Field((pop.n_cells, n_bins, n_components)),
        "explained_variance": Field((pop.n_cells, n_components)),
    }
    arguments = [(n_components, scale) for _ in pop.groups.rows]
    arrays = map_groups(pop, components_of_cells, arguments, fields)
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
    ArgumentError
        For an argument out of range; when computed, for counts to be thinned that are not whole.
    SelectionError
        An ArgumentError, if ``between`` is no dimension of two labels and no window; for labels
        that do not exist, and groups across sessions.

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
    >>> u = lsdx.open_units()
    >>> turn = u.lsd.subspaces(n_components=2, min_units=10, draws=2, rng=0).compute()
    >>> turn.similarity.dims, turn.principal_angle.attrs["units"]
    (('session', 'epoch'), 'degree')
    >>> w = lsdx.open_spikes().lsd.sliding(width="3 min", step="3 min")
    >>> w.lsd.subspaces(between="window", n_components=2, min_units=10, rng=0).lag.values[:3]
    array([180., 360., 540.])
    """
    from lsdx.kernels.subspaces import Options

    options = Options(
        whole_number(n_components, "subspaces, n_components", least=1),
        one_of(scale, "subspaces, scale", ("zscore", "center")),
        whole_number(min_units, "subspaces, min_units", least=2),
        bool(match_rates),
        whole_number(draws, "subspaces, draws", least=1),
        seed_of(rng),
    )
    ds = binned(ds, "subspaces")
    pop = population(ds, by, min_spikes, "subspaces")
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


def pairs_of_labels(
    pop: Population, between: str, where: str, more: str = ""
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the other dimensions of the cells, and the cells (n_pairs, 2) of two labels.

    Raises
    ------
    SelectionError
        If ``between`` is no dimension of two labels; ``more`` says what else it may be.
    """
    if between not in pop.cells or pop.counts.sizes[between] != 2:
        sizes = ", ".join(f"{d} ({pop.counts.sizes[d]})" for d in pop.cells)
        raise SelectionError(
            located(
                f"{where}, between",
                f"a dimension of two labels, beside unit and time{more}",
                f"{between!r} among {sizes or 'none'}",
                "Name another, or select two labels of it.",
            )
        )
    return tuple(d for d in pop.cells if d != between), pop.cells_along(between).T


def _of_labels(ds: xr.Dataset, pop: Population, between: str, options: Options) -> xr.Dataset:
    from lsdx.kernels.subspaces import N_PARTS, compare_pairs

    rest, pairs = pairs_of_labels(pop, between, "subspaces", ", or window")
    n = len(pairs)
    scalar = ("similarity", "similarity_chance", "similarity_between", "pc1_angle", "quarter")
    fields = dict.fromkeys(scalar, Field((n,))) | {
        "similarity_within": Field((n, 2, N_PARTS - 1)),
        "principal_angle": Field((n, options.n_components)),
        "note": Field((n,), object, "no units"),
        "n_units": Field((), fill=0.0),
    }
    keys, ids, width = unit_keys(ds), cell_keys(pop), ds.attrs["bin_width"]
    arguments = [(keys[r], ids, pairs, width, options) for r in pop.groups.rows]
    coords = {
        "component": ("component", np.arange(1, options.n_components + 1)),
        "lag": ("lag", np.arange(1, N_PARTS), {"long_name": "Quarters apart"}),
    }
    more = {"similarity_within": (between, "lag"), "principal_angle": ("component",)}
    own = pop.counts.coords.get(between)
    if own is not None:
        coords[between] = own.variable
    return _labelled(pop, map_groups(pop, compare_pairs, arguments, fields), rest, more, coords)


def _of_windows(ds: xr.Dataset, pop: Population, between: str, options: Options) -> xr.Dataset:
    from lsdx.kernels.subspaces import compare_windows

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
    return _labelled(pop, map_groups(pop, compare_windows, arguments, fields), (), more, coords)


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
