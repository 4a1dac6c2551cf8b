"""Whether epochs and stimuli are where the spikes say that they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from lsdx import regions
from lsdx.analysis.events import psth
from lsdx.analysis.results import result_attrs
from lsdx.analysis.seeds import seed_of
from lsdx.analysis.trains import Promised, map_trains
from lsdx.clock import to_ticks
from lsdx.errors import SelectionError, located
from lsdx.kernels.trains import Trains

CHECKS = ("spikes", "protocol", "gabors", "response", "latency", "regions")
VISUAL = ("VIS", "LGd", "LP", "SCs")
_CONTRAST = 0.1
_LEAST_GABORS = 10
_SLACK = 0.05  # s, of a gabor's start against the replay's
# of aligned demo sessions 38 % fail with one visual unit, 15 % with two, 1 % with five
_LEAST_UNITS = 5
# visual units, and others, of which no difference says something: of aligned demo sessions
# 36 % fail with 10 of each, 11 % with 15, 3 % with 20, none with 30
_LEAST_LABELLED = 30
_PLAUSIBLE = (30.0, 100.0)  # ms, of half the response of a mouse's visual areas
# s from an epoch's start to the replay's, as the protocol has it; how far off is still right
_BEFORE_REPLAY = {"spontaneous": 605.0, "rfm": 303.0, "replay": 0.0}
_LENGTH, _TOLERANCE = 300.0, 30.0


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
        ``protocol`` the largest departure (s), of ``gabors`` the share of them within the
        replay, of ``response`` its p, of ``latency`` ms, of ``regions`` p; ``note``, why; and
        ``epoch_verdict`` (session, phase, epoch): whether each epoch is tied to the stimuli that
        spikes follow, the replay by its gabors and the others by their distance from it.
        Computed at once.

    Raises
    ------
    SelectionError
        If ``epochs`` lack start or stop.

    Notes
    -----
    ``spikes`` fails if an epoch lies outside the recording or holds no spike; ``protocol`` if
    spontaneous does not start 605 s before the replay, rfm 303 s, within 30 s, or one does not
    last 300 s within 30 (times given by hand, cut intervals and epochs of other names are not
    asked: an epoch alone off by less than 30 s is not found); ``gabors`` if less than 99 % start
    within the replay; ``response`` if the spikes of the visual areas do not follow the gabors
    (`psth`), where there are at least 5 such units and 10 gabors on the spike clock (of aligned
    demo sessions 38 % would fail with one unit, 15 % with two, 1 % with five);
    ``latency`` if half of that response is not reached 30 to 100 ms after the onset (of five
    demo units 95 % of estimates lie within 54 to 83 ms, of 20 within 59 to 72);
    ``regions`` if visual units do not respond (largest ``|z|``) more than the others of their
    session (one-sided Mann-Whitney, p above ``alpha``), where there are 30 of each: labels on
    the wrong units. Of aligned demo sessions 36 % would fail with 10 of each, 3 % with 20, none
    with 30; with labels permuted all of five do. Units count as independent in it; fewer units can
    pass, and are else untestable. Where no unit has a region, all units are asked, and no
    response proves nothing.

    Examples
    --------
    >>> import lsdx
    >>> parts = lsdx.open_spikes(), lsdx.open_events()
    >>> found = alignment(*parts, lsdx.open_epochs(), n_shifts=99)
    >>> bool((found.verdict == "fail").any())
    False
    """
    missing = {"start", "stop"} - set(epochs.variables)
    if missing or not {"session", "phase", "epoch"} <= set(epochs.dims):
        needed, have = "start and stop over session, phase and epoch", map(str, epochs.variables)
        do = "Start from lsdx.open_epochs()."
        raise SelectionError(located("alignment, epochs", needed, ", ".join(have), do))
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
        followed = _followed(responses, one, alpha)
        columns = (
            _spikes(mine, one),
            {str(f): _kept_distance(one.sel(phase=f)) for f in phases},
            _within(gabors, one),
            followed,
            _timely(responses, followed),
            _placed(responses, followed, alpha),
        )
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
            "epoch_verdict": (
                ("session", "phase", "epoch"),
                _of_epochs(epochs, verdict),
                {"long_name": "Whether the epoch is tied to what spikes follow"},
            ),
        },
        {**kept, "check": list(CHECKS), "epoch": epochs["epoch"].values},
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


def _departures(run: xr.Dataset) -> dict[str, float]:
    """Return how far each epoch of a run is from where and as long as the protocol has it, in s."""
    names = [str(e) for e in run["epoch"].values]
    if "replay" not in names:
        return {}
    provenance = run["provenance"].values if "provenance" in run else [""] * len(names)
    flags = run["flags"].values if "flags" in run else [""] * len(names)
    if str(provenance[names.index("replay")]) == "table":
        return {}
    replay, found = float(run["start"].sel(epoch="replay")), {}
    for i, name in enumerate(names):
        start, stop = float(run["start"][i]), float(run["stop"][i])
        by_hand = str(provenance[i]) in ("table", "alf_cut") or "cut" in str(flags[i])
        if name in _BEFORE_REPLAY and np.isfinite(start + stop + replay) and not by_hand:
            place = abs(replay - start - _BEFORE_REPLAY[name])
            found[name] = max(place, abs(stop - start - _LENGTH))
    return found if len(found) > 1 else {}


def _kept_distance(run: xr.Dataset) -> Verdict:
    """Say whether the epochs of a run keep the protocol's distances and lengths."""
    off = _departures(run)
    if not off:
        return "untestable", np.nan, "no two epochs whose distance the protocol fixes"
    wrong = [f"{name} is {d:.0f} s off" for name, d in off.items() if d > _TOLERANCE]
    why = f"{', '.join(wrong)} the protocol's place or length" if wrong else ""
    return ("fail" if wrong else "pass"), max(off.values()), why


def _of_epochs(epochs: xr.Dataset, verdict: np.ndarray) -> np.ndarray:
    """Say of each epoch whether what spikes follow ties it: its own gabors, or the replay's."""
    ordered = epochs.transpose("session", "phase", "epoch", ...)
    out = np.full(ordered["start"].shape, "untestable", dtype=object)
    by = {c: verdict[..., i] for i, c in enumerate(CHECKS)}
    names = [str(e) for e in ordered["epoch"].values]
    for i, f in np.ndindex(out.shape[:2]):
        own = [by[c][i, f] for c in ("gabors", "response", "latency")]
        replay = "fail" if "fail" in own else "pass" if own[:2] == ["pass"] * 2 else "untestable"
        off = _departures(ordered.isel(session=i, phase=f))
        for e, name in enumerate(names):
            if name == "replay":
                out[i, f, e] = replay
            elif name in off:
                out[i, f, e] = "fail" if off[name] > _TOLERANCE else replay
    return out


def _counted(trains: Trains, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    from lsdx.kernels.binning import count_in_intervals

    return count_in_intervals(trains, begin, end)


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
    """Return p of the response of each phase that has gabors; or why there is none."""
    if not mine.sizes["unit"] or not int(mine["row_size"].sum()):
        return {"why": "no spikes"}
    if gabors is None or not gabors.sizes["event"]:
        return {"why": "no gabors on the spike clock"}
    region = mine["region"].values if "region" in mine.coords else np.full(mine.sizes["unit"], "")
    named = ~np.isin(region.astype(str), ["", "none", "unknown", "void", "root"])
    visual = np.isin(region, list(set[str]().union(*(regions.descendants(a) for a in VISUAL))))
    if named.any() and not visual.any():
        return {"why": "no unit in a visual area"}
    if visual.any() and visual.sum() < _LEAST_UNITS:
        return {"why": f"fewer than {_LEAST_UNITS} units in visual areas ({visual.sum()})"}
    strong = gabors.isel(event=np.flatnonzero(gabors["contrast"].values > _CONTRAST))
    few = {
        str(f): int((strong["phase"] == f).sum())
        for f in np.unique(gabors["phase"].values.astype(str))
    }
    enough = [f for f, n in few.items() if n >= _LEAST_GABORS]
    if not enough:
        return {"why": f"fewer than {_LEAST_GABORS} gabors of contrast > {_CONTRAST}"}
    used = strong.isel(event=np.flatnonzero(np.isin(strong["phase"].values.astype(str), enough)))
    chosen = mine.isel(unit=np.flatnonzero(visual)) if visual.any() else mine
    options: dict[str, Any] = {"events": used, "by": "phase", "window": (-0.3, 0.6), "rng": seed}
    pooled = psth(chosen, pool="session", n_shifts=n_shifts, **options).isel(site=0).compute()
    found: dict[str, Any] = {"visual": bool(visual.any())}
    of_phase = zip(pooled["phase"].values, pooled["p"].values, strict=True)
    found |= {str(f): float(v) for f, v in of_phase}
    if not visual.any():
        return found
    for f in pooled["phase"].values:
        found[f"latency {f}"] = _latency(pooled["psth"].sel(phase=f), pooled["time"].values)
    others = named & ~visual
    if others.any():
        each = psth(mine, n_shifts=0, **options)["response"].transpose("unit", "phase").compute()
        for f in each["phase"].values:
            found[f"regions {f}"] = _more(each.sel(phase=f).values, visual, others)
    return found


def _latency(rate: xr.DataArray, time: np.ndarray) -> float:
    """Return when a pooled histogram first passes half of its peak, in ms; NaN where it is flat."""
    smooth = np.convolve(rate.values, np.ones(3) / 3, mode="same")[1:-1]
    away = np.abs(smooth - np.median(smooth))
    peak = int(np.argmax(away))
    under = np.flatnonzero(away[:peak] < away[peak] / 2)
    if not away[peak] > 0 or not under.size:
        return float("nan")
    i = int(under[-1])
    part = (away[peak] / 2 - away[i]) / (away[i + 1] - away[i])
    return float(1000 * (time[1 + i] + part * (time[2 + i] - time[1 + i])))


def _more(response: np.ndarray, visual: np.ndarray, others: np.ndarray) -> tuple[float, int]:
    """Return p that visual units respond no more than others, and the number of the fewer ones."""
    import scipy.stats

    seen = np.isfinite(response)
    a, b = response[visual & seen], response[others & seen]
    fewer = min(a.size, b.size)
    p = scipy.stats.mannwhitneyu(a, b, alternative="greater").pvalue if fewer else np.nan
    return float(p), fewer


def _timely(responses: dict[str, Any], followed: dict[str, Verdict]) -> dict[str, Verdict]:
    """Say of each phase whether the response comes when the visual areas respond."""
    found: dict[str, Verdict] = {}
    low, high = _PLAUSIBLE
    for phase, (verdict, _, _) in followed.items():
        ms = responses.get(f"latency {phase}", np.nan)
        if verdict != "pass" or np.isnan(ms):
            # the response's own note says why there is none
            found[phase] = ("untestable", np.nan, "")
        elif low <= ms <= high:
            found[phase] = ("pass", ms, "")
        else:
            told = f"half of the response at {ms:.0f} ms, expected {low:.0f} to {high:.0f} ms"
            found[phase] = ("fail", ms, f"{told}: are epochs or gabors early or late?")
    return found


def _placed(
    responses: dict[str, Any], followed: dict[str, Verdict], alpha: float
) -> dict[str, Verdict]:
    """Say of each phase whether visual units respond more than others."""
    found: dict[str, Verdict] = {}
    for phase, (verdict, _, _) in followed.items():
        p, fewer = responses.get(f"regions {phase}", (np.nan, 0))
        if verdict != "pass":
            found[phase] = ("untestable", np.nan, "")
        elif fewer < _LEAST_LABELLED and not p <= alpha:
            least = f"fewer than {_LEAST_LABELLED} units in visual areas, or in others"
            found[phase] = ("untestable", p, f"{least} ({fewer})")
        elif p <= alpha:
            found[phase] = ("pass", p, "")
        else:
            told = "units in visual areas respond no more than others: are the regions right?"
            found[phase] = ("fail", p, told)
    return found


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
