"""States of populations and of behaviour: hidden Markov models, matched between phases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.alongside import behavior_beside
from lsdx.analysis.grouping import (
    Field,
    Groups,
    Population,
    group_units,
    map_groups,
    population,
    result_coords,
)
from lsdx.analysis.inputs import binned
from lsdx.analysis.results import result_attrs
from lsdx.analysis.seeds import cell_keys, seed_of, unit_keys
from lsdx.arguments import whole_number
from lsdx.clock import to_seconds
from lsdx.errors import ArgumentError, SelectionError, located, missing_package

# units, and what it is
_WORDS = {
    "state": ("1", "State of the bin, -1 where not observed"),
    "occupancy": ("1", "Share of the bins in the state"),
    "dwell_time": ("s", "Mean time in the state"),
    "transition": ("1", "Probability of the next state"),
    "mean": ("1", "Mean of the state in sd"),
    "match_distance": ("1", "Distance from the state it is matched to, in pooled sd"),
    "held_out": ("1", "Held-out log-likelihood per bin of so many states (nat)"),
    "entropy_rate": ("bit", "Entropy of the next state, per bin"),
    "occupancy_entropy": ("bit", "Entropy of the occupancy"),
    "switch_rate": ("Hz", "Changes of state per time"),
    "n_states": ("1", "Number of states"),
    "log_likelihood": ("1", "Log-likelihood per bin (nat)"),
    "converged": ("1", "Whether the fit converged"),
    "note": ("", "Why a value is NaN"),
    "n_units": ("1", "Units used"),
}


def states(
    ds: xr.Dataset,
    *,
    on: str | xr.Dataset = "units",
    by: str | Sequence[str] = "session",
    n_states: int | None = None,
    n_components: int = 10,
    max_states: int = 8,
    starts: int = 10,
    n_folds: int = 5,
    gap: str | float = "5 s",
    min_spikes: float = 30,
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Find states of populations, or of behaviour, with hidden Markov models.

    Each epoch of each phase has a model of its own. States have the same number in all phases
    where their means are alike. Needs hmmlearn: ``pip install 'lsdx[states]'``.

    Parameters
    ----------
    ds : Dataset
        With ``counts`` over (unit, ..., time). Best in bins of about 1 s, since counts in 0.1 s
        are mostly noise: ``lsdx.open_units(bin_width="1 s")`` if they are built, else
        ``ds.coarsen(time=10, boundary="trim").sum()``.
    on : "units" or Dataset
        What states are of: the counts, or the ``behavior`` that `lsdx.open_behavior` gives, in
        the same bins (``.mean()`` where counts have ``.sum()``).
    by : str or sequence of str
        Labels on ``unit`` that make the groups, of units recorded together; ``"session"`` for
        behaviour.
    n_states : int, optional
        By default found for each epoch and phase.
    n_components : int
        Principal components of the counts that the models are of, or as many as there are.
        Features of behaviour are used as they are.
    max_states : int
        Most states that are tried; not used if ``n_states`` is given.
    starts : int
        Random starts of each fit; the likeliest wins.
    n_folds : int
        Blocks of time, each left out once to find the number of states.
    gap : str or float
        Time on each side of a block that is not learned from.
    min_spikes : float
        A unit with fewer spikes in any epoch or phase is silent, and left out of all.
    rng : Generator or int, optional
        Of the starts; ``rng=int(result.attrs["seed"])`` gives them again.

    Returns
    -------
    Dataset
        Over the groups, phase and epoch. States are numbered from 1, in the first phase by
        occupancy; NaN for a state that a phase does not have.

        ``state`` (..., time), int, the most likely states, -1 where not observed; ``occupancy``
        (..., number), shares of the bins; ``dwell_time`` (..., number) in s, means of runs, which
        the ends of an epoch cut; ``transition`` (..., number, to), rows sum to 1; ``switch_rate``
        in Hz; ``occupancy_entropy`` in bit; ``entropy_rate`` of the transitions, in bit per bin;
        ``mean`` (..., number, component or feature) in sd of the scores over all phases;
        ``match_distance`` (..., number) from the mean of the same state in the first phase, in
        pooled sd; ``n_states``; ``log_likelihood`` per bin, of the bins that were fitted;
        ``held_out`` (..., tried), that of bins left out, NaN where not tried;
        ``converged``; ``n_units`` (groups), or ``n_features``.

        ``note`` says why a value is NaN, what was left out, and if a fit did not converge. Lazy
        where the data are.

    Raises
    ------
    ArgumentError
        For an argument out of range; for more states than a tenth of the bins.
    SelectionError
        An ArgumentError, for behaviour in other bins, labels that do not exist, and groups across
        sessions.
    MissingPackage
        Without hmmlearn.

    Notes
    -----
    Counts of an epoch are z-scored and brought to principal components over all its phases
    together, and the scores z-scored again: so a state is the same place in all phases. A model
    has a mean and a variance for each state and score, and transitions between states (Rabiner
    1989, Proc. IEEE 77:257); it starts in any state alike. Two bins of variance 1 are added to
    each state and a tenth of a transition to each pair, so that no state shrinks to a point.

    The number is the smallest whose held-out log-likelihood per bin is within one standard error
    of the best (of their difference, over contiguous blocks of time with a gap; after Breiman et
    al. 1984, Classification and Regression Trees). Numbers stop being tried when two in a row are
    worse than that. It errs to fewer, above all where a block lacks a state. Found
    in 20 simulated series each of 300 bins, 10 scores, states 3 sd apart:

    ===========================  ===============
    states, mean dwell           found
    ---------------------------  ---------------
    1                            1 in 20
    3, 20 bins                   2 to 3, 3 in 19
    3, 5 bins                    3 in 20
    4 (2 sd apart), 10 bins      1 to 4, 4 in 3
    5 (4 sd, 20 scores), 20      1 to 6, 5 in 11
    ===========================  ===============

    States of later phases get the numbers of those of the first phase for the least sum of
    distances between means (Kuhn 1955, Nav. Res. Logist. Q. 2:83); without a partner, the
    following numbers. A match says which is nearest, not that it is the same: look at
    ``match_distance``. Entropies and rates of change grow with the number of states: to compare
    them between phases give all the same, as in ``n_states=3``.

    Of behaviour, features that a session lacks in some phase of an epoch are left out of that
    epoch, and bins where another is missing are not observed; a run of bins ends there.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units().sel(epoch="rfm")
    >>> u = u.coarsen(time=10, boundary="trim").sum()
    >>> s = u.lsd.states(n_states=2, starts=2, rng=0).compute()
    >>> s.state.dims, s.transition.dims
    (('session', 'phase', 'time'), ('session', 'phase', 'number', 'to'))
    """
    from lsdx.kernels.state_cells import Options, states_of_cells
    from lsdx.kernels.states import BINS_PER_STATE

    hmm = _hmm()
    where = "states"
    if n_states is not None:
        n_states = whole_number(n_states, f"{where}, n_states", least=1)
    if (of_units := isinstance(on, str)) and on != "units":
        expected = '"units" or a Dataset of behaviour'
        raise ArgumentError(located(f"{where}, on", expected, repr(on)))
    ds = binned(ds, where)
    width = float(ds.attrs["bin_width"])
    seconds = to_seconds(gap, f"{where}, gap")
    if seconds < 0:
        raise ArgumentError(located(f"{where}, gap", "a time from 0", repr(gap)))
    options = Options(
        n_states,
        whole_number(max_states, f"{where}, max_states", least=1),
        whole_number(n_components, f"{where}, n_components", least=1),
        whole_number(starts, f"{where}, starts", least=1),
        whole_number(n_folds, f"{where}, n_folds", least=2),
        int(np.ceil(seconds / width - 1e-6)),
        not of_units,
        seed_of(rng),
    )
    n_bins = ds.sizes["time"]
    if n_states is not None and n_bins < BINS_PER_STATE * n_states:
        raise ArgumentError(
            located(
                f"{where}, n_states",
                f"at most a tenth of the {n_bins} bins",
                str(n_states),
                "Ask for fewer, or open narrower bins.",
            )
        )
    if of_units:
        pop = population(ds, by, min_spikes, where)
        unit = unit_keys(ds)
        keys = [int(np.bitwise_xor.reduce(unit[r])) for r in pop.groups.rows]
        last = xr.Variable("component", np.arange(1, options.n_components + 1))
    else:
        pop, last = _of_behavior(ds, on, by)
        keys = pd.util.hash_array(pop.groups.coords["session"][1].astype(object)).tolist()
    cells = pop.cells
    sets = np.arange(pop.n_cells)[:, None]
    if "phase" in cells:
        sets = pop.cells_along("phase").T
    ids = [int(i) for i in cell_keys(pop)]
    arguments = [(k, ids, sets, width, hmm, options) for k in keys]
    arrays = map_groups(pop, states_of_cells, arguments, _fields(pop, len(last), options.most))
    more = {
        "state": ("time",),
        "transition": ("number", "to"),
        "mean": ("number", str(last.dims[0])),
        "held_out": ("tried",),
    } | dict.fromkeys(("occupancy", "dwell_time", "match_distance"), ("number",))
    data: dict[str, Any] = {}
    for name, array in arrays.items():
        units, words = _WORDS[name]
        about = {"long_name": words} | ({} if name == "note" else {"units": units})
        if name == "n_units":
            if not of_units:
                name, about = "n_features", about | {"long_name": "Features observed"}
            data[name] = (pop.groups.dims, array, about)
            continue
        tail = more.get(name, ())
        shape = (*pop.groups.shape, *pop.cell_shape, *array.shape[array.ndim - len(tail) :])
        data[name] = ((*pop.groups.dims, *cells, *tail), array.reshape(shape), about)
    numbers = np.arange(1, options.most + 1)
    coords = result_coords(pop) | {d: (d, numbers) for d in ("number", "to", "tried")}
    if "time" in ds.coords:
        coords["time"] = ds["time"].variable
    out = xr.Dataset(data, coords | {last.dims[0]: last})
    return out.assign_attrs(
        result_attrs(ds),
        on="units" if of_units else "behavior",
        by=", ".join(pop.groups.dims),
        starts=options.starts,
        n_folds=options.n_folds,
        gap=seconds,
        seed=str(options.seed),
    )


def _hmm() -> Any:
    try:
        from hmmlearn.hmm import GaussianHMM
    except ImportError as error:
        raise missing_package("states", "hmmlearn", "states") from error
    return GaussianHMM


def _fields(pop: Population, n_last: int, most: int) -> dict[str, Field]:
    n = pop.n_cells
    scalar = ("entropy_rate", "occupancy_entropy", "switch_rate", "n_states", "log_likelihood")
    by_state = ("occupancy", "dwell_time", "match_distance", "held_out")
    return {
        "state": Field((n, pop.counts.sizes["time"]), np.int16, -1),
        "transition": Field((n, most, most)),
        "mean": Field((n, most, n_last)),
        "converged": Field((n,), bool, False),
        "note": Field((n,), object, "no units"),
        "n_units": Field((), fill=0.0),
        **dict.fromkeys(scalar, Field((n,))),
        **dict.fromkeys(by_state, Field((n, most))),
    }


def _of_behavior(
    ds: xr.Dataset, on: Any, by: str | Sequence[str]
) -> tuple[Population, xr.Variable]:
    """Return behaviour of the sessions of ``ds`` as a population of features, and these."""
    where = "states, on"
    if ([by] if isinstance(by, str) else list(by)) != ["session"]:
        raise SelectionError(located("states, by", "'session' for behaviour", repr(by)))
    groups = group_units(ds, "session", where)
    counts = ds["counts"]
    cells = tuple(str(d) for d in counts.dims if d not in ("unit", "time"))
    sessions = groups.coords["session"][1]
    # a session without behaviour is all NaN
    b = behavior_beside(ds, on, cells, where).reindex(session=[str(s) for s in sessions])
    values = b.data
    if hasattr(values, "dask"):
        values = values.rechunk({1: -1, **dict.fromkeys(range(2, values.ndim), -1)})
    n = b.sizes["feature"]
    features = b["feature"].values if "feature" in b.coords else np.arange(n)
    keep = {c: v for c, v in counts.coords.items() if "unit" not in v.dims}
    stacked = xr.DataArray(
        values.reshape((-1, *values.shape[2:])),
        keep | {"session": ("unit", np.repeat(sessions, n))},
        ("unit", *cells, "time"),
    )
    rows = tuple(np.arange(i * n, (i + 1) * n) for i in range(len(sessions)))
    own_groups = Groups(groups.dims, groups.shape, tuple(range(len(sessions))), rows, groups.coords)
    n_cells = int(np.prod([stacked.sizes[d] for d in cells]))
    used = tuple((np.ones(n, dtype=bool), np.ones(n_cells, dtype=bool)) for _ in rows)
    lazy = hasattr(values, "dask")
    return Population(stacked, cells, own_groups, used, lazy), xr.Variable("feature", features)
