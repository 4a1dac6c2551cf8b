"""How alike the subspaces of two phases are, by the number of components."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from lsdx.analysis.grouping import Field, map_groups, population, result_coords
from lsdx.analysis.inputs import binned
from lsdx.analysis.results import result_attrs
from lsdx.analysis.seeds import cell_keys, seed_of, unit_keys
from lsdx.analysis.subspaces import pairs_of_labels
from lsdx.arguments import one_of, whole_number


def subspace_curve(
    ds: xr.Dataset,
    *,
    between: str = "phase",
    by: str | Sequence[str] = "session",
    max_components: int = 20,
    scale: str = "zscore",
    match_rates: bool = True,
    min_units: int = 20,
    min_spikes: float = 30,
    draws: int = 5,
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Compare the subspaces of the first n principal components of two phases, for each n.

    `subspaces` gives one n, with angles and by distance in time; this shows how much depends on
    the choice of n. What it says of drift and states holds here too.

    Parameters
    ----------
    ds : Dataset
        With ``counts`` (of spikes, not rates) over (unit, ..., time).
    between : str
        A dimension of two labels, such as ``phase``, whose subspaces are compared.
    by : str or sequence of str
        Labels on ``unit`` that make the groups, of units recorded together.
    max_components : int
        The largest n. Smaller groups have values for fewer n than they have units.
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
        Over the groups, the other dimensions (epoch) and ``component`` (n, from 1). Similarity
        is the mean squared cosine of the principal angles, from 0 to 1: ``similarity`` of the
        two labels, and ``similarity_chance`` of random subspaces (n / n_units). To compare with
        one another, since they are of the same amount of data: ``similarity_within`` (...,
        ``between``, component) of quarters of the time of one label, and
        ``similarity_between`` of a quarter of the one and one of the other label, means over
        all pairs. ``note`` (..., without component) says why all values are NaN; ``n_units``.
        Lazy where the counts are.

    Raises
    ------
    ArgumentError
        For an argument out of range; when computed, for counts to be thinned that are not whole.
    SelectionError
        An ArgumentError, if ``between`` is no dimension of two labels; for labels that do not
        exist, and groups across sessions.

    Notes
    -----
    Each point is what ``subspaces(n_components=n)`` gives with the same seed. Points of a curve
    are not independent: the first n components contain the first n - 1.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units().sel(epoch=["rfm"])
    >>> c = u.lsd.subspace_curve(max_components=3, min_units=10, draws=1, rng=0)
    >>> c.similarity.dims, c.similarity_within.dims[-2:]
    (('session', 'epoch', 'component'), ('phase', 'component'))
    """
    from lsdx.kernels.subspace_curve import compare_curves
    from lsdx.kernels.subspaces import Options

    most = whole_number(max_components, "subspace_curve, max_components", least=1)
    options = Options(
        most,
        one_of(scale, "subspace_curve, scale", ("zscore", "center")),
        whole_number(min_units, "subspace_curve, min_units", least=2),
        bool(match_rates),
        whole_number(draws, "subspace_curve, draws", least=1),
        seed_of(rng),
    )
    ds = binned(ds, "subspace_curve")
    pop = population(ds, by, min_spikes, "subspace_curve")
    rest, pairs = pairs_of_labels(pop, between, "subspace_curve")
    n = len(pairs)
    curves = ("similarity", "similarity_between", "similarity_chance")
    fields = dict.fromkeys(curves, Field((n, most))) | {
        "similarity_within": Field((n, 2, most)),
        "note": Field((n,), object, "no units"),
        "n_units": Field((), fill=0.0),
    }
    keys, ids = unit_keys(ds), cell_keys(pop)
    arguments = [(keys[r], ids, pairs, options) for r in pop.groups.rows]
    arrays = map_groups(pop, compare_curves, arguments, fields)
    about = {
        "similarity": "Mean squared cosine of the principal angles",
        "similarity_within": "The same of two quarters of one side",
        "similarity_between": "The same of a quarter of each side",
        "similarity_chance": "The same of random subspaces, n / n_units",
        "note": "Why values are NaN",
        "n_units": "Units used",
    }
    last = dict.fromkeys(curves, ("component",)) | {"similarity_within": (between, "component")}
    lengths = tuple(pop.counts.sizes[d] for d in rest)
    data: dict[str, Any] = {}
    for name, words in about.items():
        told = {"long_name": words} | ({} if name == "note" else {"units": "1"})
        array, more = arrays[name], last.get(name, ())
        dims = pop.groups.dims if name == "n_units" else (*pop.groups.dims, *rest, *more)
        if name != "n_units":
            tail = array.shape[array.ndim - len(more) :]
            array = array.reshape((*pop.groups.shape, *lengths, *tail))
        data[name] = (dims, array, told)
    coords = result_coords(pop) | {"component": ("component", np.arange(1, most + 1))}
    return xr.Dataset(data, coords).assign_attrs(
        result_attrs(ds),
        by=", ".join(pop.groups.dims),
        between=between,
        scale=scale,
        match_rates=int(match_rates),
        draws=draws if match_rates else 0,
        seed=str(options.seed),
    )
