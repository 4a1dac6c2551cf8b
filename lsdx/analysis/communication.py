"""How the units of one region predict those of another that was recorded with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from lsdx.analysis.grouping import Field, Population, map_groups, population, result_coords
from lsdx.analysis.inputs import binned, chosen_labels
from lsdx.analysis.prediction import gap_bins, group_stream, penalties_of
from lsdx.analysis.results import result_attrs
from lsdx.analysis.seeds import cell_keys, seed_of, unit_keys
from lsdx.arguments import one_of, whole_number
from lsdx.clock import to_seconds
from lsdx.errors import SelectionError, located
from lsdx.kernels.communication import NAMES, Options, communicate, matched_size
from lsdx.kernels.prediction import LEAST_SHIFT

_WORDS = {
    "r2": "Held-out R2 of the target's units, from the source",
    "r2_ceiling": "The same from as many other units of the target",
    "p": "p of R2, by circular shifts",
    "best_rank": "Dimensions that predict",
    "best_rank_ceiling": "Dimensions of the target that predict it",
    "rank_curve": "Held-out R2 by rank",
    "ceiling_curve": "The same from as many other units of the target",
    "n_units": "Units of each part",
    "note": "Why a value is NaN",
}


def communication(
    ds: xr.Dataset,
    *,
    source: str | Sequence[str],
    target: str | Sequence[str],
    label: str = "group",
    n_folds: int = 5,
    gap: str | float = "5 s",
    penalty: float | Sequence[float] | None = None,
    max_rank: int = 20,
    match_units: str | int | None = "min",
    n_shifts: int = 199,
    min_units: int = 5,
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Predict the units of one region from another's, through as few dimensions as it takes.

    Half of the target's units are predicted: from units of the source, and from the other half,
    which tells what could be predicted at all. All parts have as many units.

    Parameters
    ----------
    ds : Dataset
        With ``counts`` over (unit, ..., time): of `lsdx.open_units` or ``spikes.lsd.bin``.
    source, target : str or sequence of str
        Values of the label; several make one population.
    label : str
        A label on ``unit``, such as ``"group"``, ``"beryl"``, ``"region"`` or ``"probe"``.
    n_folds : int
    gap : str or float
        Time between what is tested and what is learned.
    penalty : float or sequence of float, optional
        As of `lsdx.analysis.prediction.predict`.
    max_rank : int
        Last rank of the curves.
    match_units : {"min"}, int or None
        Units of each part: as many as the smallest session has that has ``min_units``, a number,
        or as many as each session has.
    n_shifts : int
        Circular shifts of the target against the source, by at least 30 s; 0 for no test.
    min_units : int
        Sessions with fewer are NaN.
    rng : Generator or int, optional
        Of the choice of units and shifts; ``rng=int(result.attrs["seed"])`` gives them again.

    Returns
    -------
    Dataset
        Over (session, phase, epoch): ``r2``, the mean over the target's units at the rank that
        training bins choose, its ``r2_ceiling``, and ``p``; ``best_rank``, the smallest whose R2
        is within one standard error of the best, 0 where ``p`` is above .05, and
        ``best_rank_ceiling`` by that rule alone, without a test; ``rank_curve`` and
        ``ceiling_curve`` (..., rank). ``note`` says why a value is NaN: regions that were not
        recorded together. Lazy where the counts are.

    Raises
    ------
    ArgumentError
        For an argument out of range.
    SelectionError
        An ArgumentError, for labels and values that do not exist, or source and target that share
        units.

    Notes
    -----
    Semedo et al. 2019, Neuron 102:249. What drives both regions, such as movement, lets one
    predict the other without any connection. Compare phases of one session, with saline.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units().sel(phase=["pre"], epoch=["rfm"])
    >>> c = u.lsd.communication(source="VIS", target="HPC", n_shifts=0, rng=0)
    >>> c.rank_curve.dims
    ('session', 'phase', 'epoch', 'rank')
    """
    ds = binned(ds, "communication")
    pop = population(ds, "session", -np.inf, "communication")
    sides = two_sides(ds, source, target, label, "communication")
    width = float(ds.attrs["bin_width"])
    options = Options(
        penalties=penalties_of(penalty, "communication"),
        n_folds=whole_number(n_folds, "communication, n_folds", least=3),
        gap=gap_bins(gap, width, "communication"),
        n_shifts=whole_number(n_shifts, "communication, n_shifts", least=0),
        least_shift=int(np.ceil(LEAST_SHIFT / width)),
        min_units=whole_number(min_units, "communication, min_units", least=1),
        n_ranks=whole_number(max_rank, "communication, max_rank", least=1) + 1,
        seed=seed_of(rng),
    )
    of_groups = [(sides[0][r], sides[1][r]) for r in pop.groups.rows]
    size = _size(pop, of_groups, match_units, options.min_units)
    keys, ids = unit_keys(ds), cell_keys(pop)
    arguments = [
        (keys[r], group_stream(pop, i), ids, own, size, options)
        for i, (r, own) in enumerate(zip(pop.groups.rows, of_groups, strict=True))
    ]
    n = pop.n_cells
    fields = {name: Field((n,)) for name in NAMES}
    fields |= {name: Field((options.n_ranks, n)) for name in ("rank_curve", "ceiling_curve")}
    fields |= {"note": Field((n,), object, "no units"), "n_units": Field((), fill=0.0)}
    data: dict[str, Any] = {}
    for name, array in map_groups(pop, communicate, arguments, fields).items():
        about = {"long_name": _WORDS[name]} | ({} if name == "note" else {"units": "1"})
        dims = pop.groups.dims
        if name != "n_units":
            ranks = array.shape[1:-1]
            array = array.reshape((*array.shape[:1], *ranks, *pop.cell_shape))
            dims = (*dims, *(("rank",) if ranks else ()), *pop.cells)
        data[name] = (dims, array, about)
    out = xr.Dataset(data, result_coords(pop) | {"rank": ("rank", np.arange(options.n_ranks))})
    named = {k: told_side(v) for k, v in (("source", source), ("target", target))}
    return out.transpose(*pop.groups.dims, *pop.cells, "rank").assign_attrs(
        result_attrs(ds),
        **named,
        label=label,
        n_folds=n_folds,
        gap=to_seconds(gap, "communication, gap"),
        match_units=str(match_units),
        n_shifts=n_shifts,
        seed=str(options.seed),
    )


def told_side(value: str | Sequence[str]) -> str:
    """Return the name of a source or target, for attributes."""
    return ", ".join(_listed(value))


def _listed(value: str | Sequence[str]) -> list[str]:
    return list(map(str, value)) if np.ndim(value) else [str(value)]


def two_sides(
    ds: xr.Dataset, source: Any, target: Any, label: str, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return which units are the source's and the target's.

    Raises
    ------
    SelectionError
        For labels and values that do not exist, or units that would be both.
    """
    (name,) = chosen_labels(ds, label, f"{where}, label")
    values = ds[name].values.astype(str)
    known = sorted(set(values.tolist()) - {""})
    for side, names in (("source", _listed(source)), ("target", _listed(target))):
        unknown = [n for n in names if n not in known]
        if unknown or not names:
            expected = f"values of {label}: {', '.join(known[:40])}"
            found = repr(unknown[0]) if unknown else "none"
            raise SelectionError(located(f"{where}, {side}", expected, found))
    first, second = (np.isin(values, _listed(side)) for side in (source, target))
    if (first & second).any():
        found = ", ".join(sorted(set(values[first & second].tolist())))
        raise SelectionError(located(f"{where}, target", "units that are not the source's", found))
    return first, second


def _size(
    pop: Population, sides: list[tuple[np.ndarray, np.ndarray]], match_units: Any, min_units: int
) -> Any:
    """Return the number of units of each part, or the promise of it."""
    if isinstance(match_units, str):
        one_of(match_units, "communication, match_units", ("min", None))
    elif match_units is not None:
        return whole_number(match_units, "communication, match_units", least=1)
    if match_units is None:
        return None
    if any(hasattr(u, "dask") for u in pop.used):
        from dask.delayed import delayed

        return delayed(matched_size, pure=True)(list(pop.used), sides, min_units)
    return matched_size(pop.used, sides, min_units)
