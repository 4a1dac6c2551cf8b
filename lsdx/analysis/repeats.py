"""Events as trials of the counts' epochs: the cell, bin and stimulus of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.events import require_spike_clock
from lsdx.analysis.grouping import Population
from lsdx.analysis.inputs import with_text
from lsdx.errors import SelectionError, located

if TYPE_CHECKING:
    from lsdx.kernels.samples import Trials

_STIMULUS = ("kind", "side", "position", "contrast")


def trials_of_sessions(
    ds: xr.Dataset,
    pop: Population,
    events: Any,
    epochs: xr.Dataset | None,
    stimulus: str | Sequence[str] | None,
    where: str,
) -> list[Trials]:
    """Return the trials of the session of each group.

    Parameters
    ----------
    ds : Dataset
        What `binned` gives.
    pop : Population
    events : Dataset or DataFrame
        ``session``, ``start`` in s on the recording clock, and the labels of ``stimulus``.
    epochs : Dataset, optional
        ``start`` by session and epoch, as `lsdx.open_epochs` has it; by default ``ds`` has it.
    stimulus : str or sequence of str, optional
        Labels that make a stimulus: by default those of kind, side, position and contrast that
        there are.
    where : str
        Who asks, for errors.

    Returns
    -------
    list of Trials
        In order of time.

    Raises
    ------
    SelectionError
        For events without what is needed, or of no session of ``ds``; where the start of the
        epochs is not known.
    """
    from lsdx.kernels.samples import Trials

    table = _table(events, stimulus, where)
    of_unit = pop.counts["session"].values.astype(str)
    sessions = [of_unit[rows[0]] for rows in pop.groups.rows]
    if not set(sessions) & set(table["session"]):
        raise SelectionError(
            located(
                f"{where}, events",
                f"sessions of the units, such as {str(sessions[0])!r}",
                "none of them",
                "Select units and events of the same sessions, written alike.",
            )
        )
    width = float(ds.attrs["bin_width"])
    first = float(ds["time"].values[0]) - width / 2 if "time" in ds.coords else 0.0
    start = _epoch_starts(ds, pop, epochs, sessions, where) + first
    length = pop.counts.sizes["time"]
    found = []
    for eid, begin in zip(sessions, start, strict=True):
        mine = table[table["session"] == eid].sort_values("start", kind="stable")
        # a time on the edge of a bin belongs to the bin that it begins
        at = np.floor((mine["start"].to_numpy()[:, None] - begin) / width + 1e-6)
        event, cell = np.nonzero((at >= 0) & (at < length))
        found.append(
            Trials(cell, at[event, cell].astype(np.int64), mine["stimulus"].to_numpy()[event])
        )
    return found


def _table(events: Any, stimulus: str | Sequence[str] | None, where: str) -> pd.DataFrame:
    """Return ``session``, ``start`` and a number of the ``stimulus`` of each event."""
    if isinstance(events, xr.Dataset):
        events = with_text(events, f"{where}, events")
    have = getattr(events, "variables", getattr(events, "columns", ()))
    names = [stimulus] if isinstance(stimulus, str) else list(stimulus or ())
    if stimulus is None:
        names = [n for n in _STIMULUS if n in have]
    missing = [n for n in ("session", "start", *names) if n not in have]
    if missing:
        raise SelectionError(
            located(
                f"{where}, events",
                "session, start and the labels of stimulus",
                "no " + ", ".join(missing),
                "Start from lsdx.open_events(), or add them.",
            )
        )
    if "provenance" in have:
        require_spike_clock(events["provenance"], where)
    table = pd.DataFrame({n: np.asarray(events[n]) for n in ("session", "start")})
    table["session"] = table["session"].astype(str)
    values = pd.DataFrame({n: np.asarray(events[n]).astype(str) for n in names})
    table["stimulus"] = values.groupby(names).ngroup().to_numpy() if names else 0
    known = np.isfinite(table["start"].to_numpy(float))
    return pd.DataFrame(table[known])


def _epoch_starts(
    ds: xr.Dataset,
    pop: Population,
    epochs: xr.Dataset | None,
    sessions: Sequence[str],
    where: str,
) -> np.ndarray:
    """Return when each cell of the session of each group began: (n_groups, n_cells), in s."""
    given = ds if epochs is None else epochs
    start = given["start"] if "start" in given.variables else None
    along = "unit" if epochs is None else "session"
    if start is None or along not in start.dims:
        raise SelectionError(
            located(
                f"{where}, epochs",
                "the start of each session's epochs on the recording clock",
                f"no start over {along}",
                "Pass epochs=lsdx.open_epochs().",
            )
        )
    start = start.reset_coords(drop=True)
    for dim in set(start.dims) - {along} - set(pop.cells):
        if dim not in ds.coords or ds[dim].ndim:
            expected = f"an epoch's start by {', '.join(pop.cells) or 'session'}"
            raise SelectionError(located(f"{where}, epochs", expected, f"start by {dim} too"))
        start = start.sel({dim: ds[dim].item()})
    start = start.reindex({d: pop.counts[d].values for d in pop.cells if d in start.dims})
    start = start.broadcast_like(pop.counts.isel(unit=0, time=0, drop=True).reset_coords(drop=True))
    start = start.transpose(along, *pop.cells)
    if epochs is None:
        values = np.stack([start.values[rows[0]] for rows in pop.groups.rows])
    else:
        values = start.reindex(session=list(sessions)).values
    return np.asarray(values.reshape(len(sessions), -1), dtype=np.float64)
