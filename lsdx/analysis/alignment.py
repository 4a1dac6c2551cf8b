"""Whether epochs and stimuli are where the spikes say that they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from lsdx import regions
from lsdx.analysis.events import psth
from lsdx.analysis.population import result_attrs, seed_of
from lsdx.analysis.trains import Promised, kept_trains, map_trains
from lsdx.clock import to_ticks
from lsdx.errors import SelectionError, located

CHECKS = ("spikes", "gabors", "response")
VISUAL = ("VIS", "LGd", "LP", "SCs")
_CONTRAST = 0.1
_LEAST_GABORS = 10
_SLACK = 0.05  # s, of a gabor's start against the replay's


def alignment(
    spikes: xr.Dataset,
    events: xr.Dataset | None,
    epochs: xr.Dataset,
    *,
    alpha: float = 0.01,
    n_shifts: int = 999,
    rng: np.random.Generator | int | None = 0,
    on_session: Callable[[str], object] | None = None,
) -> xr.Dataset:
    """Check the epochs and events of each session against its spikes.

    Parameters
    ----------
    spikes : Dataset
        What `lsdx.open_spikes` gives.
    events : Dataset or None
        What `lsdx.open_events` gives; None where nothing was built.
    epochs : Dataset
        What `lsdx.open_epochs` gives, or times of your own in the same form.
    alpha : float
        The response is there for ``p <= alpha``.
    n_shifts : int
        Of its test.
    rng : Generator or int, optional
    on_session : callable, optional
        Called with each session's id before it is checked.

    Returns
    -------
    Dataset
        Over (session, phase, check): ``verdict``, ``"pass"``, ``"fail"`` or ``"untestable"``;
        ``evidence``, of ``spikes`` the least share of the recording's rate that an epoch has, of
        ``gabors`` the share of them within the replay, of ``response`` its p; ``note``, why.
        Computed at once.

    Raises
    ------
    SelectionError
        If ``epochs`` lack start or stop.

    Notes
    -----
    ``spikes`` fails if an epoch lies outside the recording or holds no spike; ``gabors`` if
    less than 99 % start within the replay; ``response`` if the spikes of the visual areas do
    not follow the gabors (`psth`), where there are such units and gabors on the spike clock.
    Where no unit has a region, all units are asked, and no response proves nothing.

    Examples
    --------
    >>> import lsdx
    >>> parts = lsdx.open_spikes(demo_stores), lsdx.open_events(demo_stores)
    >>> found = alignment(*parts, lsdx.open_epochs(demo_stores), n_shifts=99)
    >>> bool((found.verdict == "fail").any())
    False
    """
    missing = {"start", "stop"} - set(epochs.variables)
    if missing or not {"session", "phase", "epoch"} <= set(epochs.dims):
        raise SelectionError(
            located(
                "alignment, epochs",
                "start and stop over session, phase and epoch",
                ", ".join(map(str, epochs.variables)),
                "Start from lsdx.open_epochs().",
            )
        )
    if not 1 / (n_shifts + 1) <= alpha < 1:
        raise SelectionError(
            located(
                "alignment, alpha",
                f"a level that {n_shifts} shifts can reach, from {1 / (n_shifts + 1):.4f}",
                repr(alpha),
                "Ask for more shifts.",
            )
        )
    seed = seed_of(rng)
    ids, phases = epochs["session"].values, epochs["phase"].values
    shape = (len(ids), len(phases), len(CHECKS))
    verdict, note = np.full(shape, "", dtype=object), np.full(shape, "", dtype=object)
    evidence = np.full(shape, np.nan)
    of_unit = spikes["session"].values
    for i, eid in enumerate(ids):
        if on_session is not None:
            on_session(str(eid))
        one = epochs.isel(session=i).compute()
        mine = spikes.isel(unit=np.flatnonzero(of_unit == eid))
        gabors = _gabors(events, str(eid))
        responses = _responses(mine, gabors, n_shifts, seed)
        columns = (_spikes(mine, one), _within(gabors, one), _followed(responses, one, alpha))
        for c, of_phases in enumerate(columns):
            for f, phase in enumerate(phases):
                verdict[i, f, c], evidence[i, f, c], note[i, f, c] = of_phases[str(phase)]
    dims = ("session", "phase", "check")
    kept = {c: v for c, v in epochs.coords.items() if set(v.dims) <= {"session", "phase"}}
    out = xr.Dataset(
        {
            "verdict": (dims, verdict, {"long_name": "pass, fail or untestable"}),
            "evidence": (dims, evidence, {"units": "1", "long_name": "What the verdict is of"}),
            "note": (dims, note, {"long_name": "Why"}),
        },
        {**kept, "check": list(CHECKS)},
    )
    about = {"alpha": alpha, "n_shifts": n_shifts, "seed": str(seed)}
    return out.assign_attrs(result_attrs(epochs) | about)


Verdict = tuple[str, float, str]


def _spikes(mine: xr.Dataset, one: xr.Dataset) -> dict[str, Verdict]:
    """Say of each phase whether each of its epochs lies in the recording and holds spikes."""
    ordered = one.transpose("phase", "epoch", ...)
    start, stop = ordered["start"].values, ordered["stop"].values
    known = np.isfinite(start + stop)
    total = int(mine["row_size"].sum())
    end = float(np.nanmax(mine["last_spike"].values, initial=0.0)) + 1
    inside = known & (start >= 0) & (stop <= end) & (start < stop)
    edges = [to_ticks(np.where(inside, t, 0.0)).reshape(1, -1) for t in (start, stop)]
    each = [np.repeat(t, mine.sizes["unit"], axis=0) for t in edges]
    by_unit = map_trains(mine, _counted, each, (), Promised((start.size,), np.int64))
    n = np.asarray(by_unit).sum(axis=0).reshape(start.shape)
    found: dict[str, Verdict] = {}
    for f, phase in enumerate(map(str, one["phase"].values)):
        if not total or not known[f].any():
            why = "no epoch's times are known" if total else "no spikes"
            found[phase] = ("untestable", np.nan, why)
            continue
        wrong = []
        for e in np.flatnonzero(known[f]):
            what = f"{one['epoch'].values[e]} at {start[f, e]:.0f} to {stop[f, e]:.0f} s"
            if not inside[f, e]:
                wrong.append(f"{what}, recorded 0 to {end:.0f} s")
            elif not n[f, e]:
                wrong.append(f"{what} holds no spike")
        length = np.where(inside[f], stop[f] - start[f], np.inf)
        share = n[f] / length / (total / end)
        found[phase] = ("fail" if wrong else "pass", float(share[known[f]].min()), "; ".join(wrong))
    return found


def _counted(
    ticks: np.ndarray,
    keep: np.ndarray | None,
    row_start: np.ndarray,
    row_size: np.ndarray,
    begin: np.ndarray,
    end: np.ndarray,
) -> np.ndarray:
    from lsdx.kernels.binning import count_in_intervals

    return count_in_intervals(*kept_trains(ticks, keep, row_start, row_size), begin, end)


def _gabors(events: xr.Dataset | None, eid: str) -> xr.Dataset | None:
    if events is None:
        return None
    mine = (events["session"] == eid) & (events["kind"] == "gabor") & np.isfinite(events["start"])
    return events.isel(event=np.flatnonzero(mine.values)).compute()


def _within(gabors: xr.Dataset | None, one: xr.Dataset) -> dict[str, Verdict]:
    """Say of each phase whether its gabors fall into the replay."""
    found: dict[str, Verdict] = {}
    for phase in one["phase"].values:
        name = str(phase)
        start = np.empty(0)
        if gabors is not None:
            start = gabors["start"].values[gabors["phase"].values == phase]
        if not start.size:
            found[name] = ("untestable", np.nan, "no gabors on the spike clock")
            continue
        if "replay" not in one["epoch"].values:
            found[name] = ("untestable", np.nan, "no epoch named replay")
            continue
        replay = one.sel(phase=phase, epoch="replay")
        low, high = float(replay["start"]), float(replay["stop"])
        if not np.isfinite(low + high):
            found[name] = ("untestable", np.nan, "the replay's times are not known")
            continue
        share = float(((low - _SLACK <= start) & (start <= high + _SLACK)).mean())
        where = f"gabors at {start.min():.0f} to {start.max():.0f} s"
        where = "" if share >= 0.99 else f"{where}, replay {low:.0f} to {high:.0f} s"
        found[name] = ("fail" if where else "pass", share, where)
    return found


def _responses(
    mine: xr.Dataset, gabors: xr.Dataset | None, n_shifts: int, seed: int
) -> dict[str, Any]:
    """Give p of the response of each phase that has gabors; or why there is none."""
    if not mine.sizes["unit"] or not int(mine["row_size"].sum()):
        return {"why": "no spikes"}
    if gabors is None or not gabors.sizes["event"]:
        return {"why": "no gabors on the spike clock"}
    region = mine["region"].values if "region" in mine.coords else np.full(mine.sizes["unit"], "")
    named = ~np.isin(region.astype(str), ["", "none", "unknown", "void", "root"])
    visual = np.isin(region, list(set[str]().union(*(regions.descendants(a) for a in VISUAL))))
    if named.any() and not visual.any():
        return {"why": "no unit in a visual area"}
    chosen = mine.isel(unit=np.flatnonzero(visual)) if visual.any() else mine
    strong = gabors.isel(event=np.flatnonzero(gabors["contrast"].values > _CONTRAST))
    few = {
        str(f): int((strong["phase"] == f).sum())
        for f in np.unique(gabors["phase"].values.astype(str))
    }
    enough = [f for f, n in few.items() if n >= _LEAST_GABORS]
    if not enough:
        return {"why": f"fewer than {_LEAST_GABORS} gabors of contrast > {_CONTRAST}"}
    used = strong.isel(event=np.flatnonzero(np.isin(strong["phase"].values.astype(str), enough)))
    found = psth(chosen, events=used, by="phase", pool="session", n_shifts=n_shifts, rng=seed)
    p = found["p"].isel(site=0).compute()
    return {str(f): float(v) for f, v in zip(p["phase"].values, p.values, strict=True)} | {
        "visual": bool(visual.any())
    }


def _followed(responses: dict[str, Any], one: xr.Dataset, alpha: float) -> dict[str, Verdict]:
    """Say of each phase whether spikes follow its gabors."""
    found: dict[str, Verdict] = {}
    for phase in map(str, one["phase"].values):
        p = responses.get(phase, np.nan)
        replay = one.sel(phase=phase)
        on_rig = "provenance" in one and "rig_clock" in replay["provenance"].values.tolist()
        if np.isnan(p):
            why = str(responses.get("why", "too few gabors"))
            if on_rig and why.startswith(("no gabors", "too few")):
                why = "times come from the rig clock"
            found[phase] = ("untestable", np.nan, why)
        elif p <= alpha:
            found[phase] = ("pass", p, "")
        elif responses["visual"]:
            found[phase] = ("fail", p, "the spikes of the visual areas do not follow the gabors")
        else:
            found[phase] = ("untestable", p, "no response, and no region tells whose it would be")
    return found
