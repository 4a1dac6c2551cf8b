"""Responses to events: histograms of units or of sites around them, and a test."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.inputs import require_spikes, with_text
from lsdx.analysis.results import carried_labels, result_attrs
from lsdx.analysis.seeds import seed_of
from lsdx.analysis.trains import Promised, map_trains
from lsdx.arguments import whole_number
from lsdx.clock import TICKS_PER_SECOND, to_bin_ticks, to_bins, to_ticks
from lsdx.errors import ConfigError, SelectionError, located
from lsdx.kernels.events import Bins, Design, Events, responses


def psth(
    ds: xr.Dataset,
    *,
    events: xr.Dataset | pd.DataFrame | np.ndarray | Sequence[float],
    window: tuple[str | float, str | float] = (-0.4, 1.0),
    bin_width: str | float = "10 ms",
    by: str | Sequence[str] | None = None,
    pool: str | None = None,
    baseline: tuple[str | float, str | float] = (-1.0, 0.0),
    response: tuple[str | float, str | float] = (0.0, 0.3),
    n_shifts: int = 999,
    duplicates: str = "keep",
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Return peri-event histograms of units or of sites, and test whether they respond.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_spikes` gives, or a selection of its units.
    events : Dataset, DataFrame or array_like
        What `lsdx.open_events` gives, or a selection of it: ``session`` and ``start`` (s) over
        ``event``; a table with these columns; or, for units of one session, times in s. All
        count: select gabors, contrasts and phases here, not in ``ds``.
    window : tuple of two str or float
        From where to where around an event; a plain number is seconds.
    bin_width : str or float
        Of which ``window``, ``baseline`` and ``response`` are whole numbers.
    by : str or sequence of str, optional
        Labels of the events, such as ``["side", "contrast"]``; each combination is averaged by
        itself. By default ``"side"``, where the events have it.
    pool : str, optional
        What is added up: a depth such as ``"20 um"``, for bins along each insertion, or a label
        on ``unit``, within each session. By default units stand for themselves.
    baseline : tuple of two str or float
        By whose bins' mean and standard deviation z is scaled: at least two bins.
    response : tuple of two str or float
        Where the response is looked for; without a bin of the baseline.
    n_shifts : int
        Of the test; 0 leaves it out.
    duplicates : {"keep", "drop"}
        Whether spikes that bombcell calls duplicates are counted.
    rng : Generator or int, optional
        The attribute ``seed`` gives the same numbers again.

    Returns
    -------
    Dataset
        Over (unit, ...), or (site, ...) if pooled, lazy where the spikes are: ``psth`` (...,
        time) in Hz, the mean over events, and ``psth_z`` (..., time); ``response``, the largest
        ``|z|`` within ``response``; ``response_rate``, the rate there minus the baseline's (Hz,
        below 0 if suppressed); ``p`` of the two; ``p_corrected``, for all cells of a row;
        ``p_least``, the least p that so many shifts can give, ``1 / (n_shifts + 1)``, or 1
        where no event can be moved; ``n_events``, whole numbers. ``time`` is the bin's
        centre from the event. Sites carry ``depth`` (um, the bin's centre) or their
        label, ``n_units`` and the labels that their units share. NaN without events, and where
        no spike came near one.

    Raises
    ------
    SelectionError
        If ``ds`` holds no spikes, or the events lack what is needed, are of no session of
        ``ds``; if ``ds`` was selected to an epoch, or to phases that not all events are of; for
        events whose ``provenance`` is the rig clock: its error is larger than a response.
    ArgumentError
        If ``n_shifts`` is no whole number.
    ConfigError
        For times that are no whole number of bins, or make more than 10,000 of them; a baseline
        of one bin; a response that overlaps the baseline.

    Notes
    -----
    ``p`` compares ``response``, and ``|response_rate|`` about its mean by chance, with those
    around moved events: the less likely of the two, ranked among the less likely of each draw
    (`combined_p`), so that ``p = (1 + #{as unlikely}) / (n_shifts + 1)``. z is bounded below and
    misses suppression, which the rate sees; the rate misses short peaks, which z sees.
    ``p_corrected`` ranks the least p of all cells. ``p < .01`` needs more than 99 shifts, and
    few spikes or events tie with many: what they can reach lies above ``p_least``. The only event
    of a phase cannot be moved: p is 1 where a cell has no others.

    Events are moved by phase, circularly within the time that they span, and stretched by one to
    three of their intervals over all of it (a quarter at most): the trains keep their own
    course, and regular events do not meet themselves. All units of a session see the same moves.
    The standard deviation is at least that of one spike in the whole baseline.

    Share of units with ``p <= .05``, in %, of 5 Hz (150 of each with a response; without, 2,000, of
    rhythms, trends 500), 170 events, 199 shifts:

    ===============================================  ===============  =================
    unit                                             every 1 to 2 s   every 1.5 s
    ===============================================  ===============  =================
    silent 50 to 250 ms after each event             100              100
    half its rate then                               99               99
    a spike more in 50 to 150 ms, of 10 % of events  18               24
    of 20 %; of 30 %                                 47; 75           47; 78
    a spike more in 50 to 60 ms, of 10 %             90               89
    none: Poisson; bursts; of 8 Hz                   5.8; 6.0; 4.8    5.7; 5.5; 6.1
    none: drift over 20 s; .1 Hz; a trend            5.5; 4.8; 5      5.6; 6.2; 6
    none: a rhythm near 1 / (1.5 s)                  6                6
    none: of 1 / (1.5 s), kept for 5 s; for 20 s     4; 5             7; 14
    ===============================================  ===============  =================

    Of four labels without a response (640 units) some p is ``<= .05`` in 20 %, some
    ``p_corrected`` in 4 %. A unit that keeps the very rhythm of regular events cannot be told
    from one that follows them: vary the intervals.

    Examples
    --------
    >>> import lsdx
    >>> e = lsdx.open_events()
    >>> gabors = e.isel(event=(e.kind == "gabor") & (e.contrast > 0.1))
    >>> s = lsdx.open_spikes()
    >>> r = s.lsd.psth(events=gabors, pool="100 um", n_shifts=9, rng=0)
    >>> r.psth.dims, r.sizes["time"]
    (('site', 'side', 'time'), 140)
    """
    ds = require_spikes(ds, "psth", duplicates)
    seed = seed_of(rng)
    bins = _bins(window, baseline, response, bin_width)
    whole_number(n_shifts, "psth, n_shifts", least=0)
    known = {str(d): ds[d].values for d in ds.dims if d in ds.coords}
    events = with_text(as_events(events, ds, "psth"), "psth, events")
    check_phases(events, ds, "psth")
    if by is None:
        by = ["side"] if "side" in events.variables else []
    mine, coords = listed_events(events, [by] if isinstance(by, str) else list(by), known, "psth")
    cells = tuple(len(c[1]) for c in coords.values())
    # one run a session: sites are made of its units wherever they stand
    ordered, code, sites = ds, np.arange(ds.sizes["unit"]), None
    if pool is not None:
        order = np.argsort(pd.factorize(ds["session"].values)[0], kind="stable")
        ordered = ds.isel(unit=order)
        code, sites = _sites(ordered, pool)
    if ds.sizes["unit"] and not {zlib.crc32(str(s).encode()) for s in ds["session"].values} & set(
        mine
    ):
        raise other_sessions(events, ds, "psth")
    design = Design(mine, bins, int(np.prod(cells)), int(n_shifts), seed)
    shape = (design.n_cells, len(bins.window) * 2 + 4)
    session = np.array([zlib.crc32(str(s).encode()) for s in ordered["session"].values])
    last = to_ticks(np.nan_to_num(ordered["last_spike"].values, nan=-2.0)) + TICKS_PER_SECOND
    if sites is not None:  # a site has the events that all of its insertions recorded
        ends = pd.Series(last[code >= 0]).groupby(code[code >= 0]).min()
        last = np.where(code >= 0, ends.reindex(code).fillna(0).to_numpy(), last).astype(np.int64)
    data = map_trains(
        ordered, responses, (code, session, last), (design,), Promised(shape), duplicates
    )
    dim, labels = "unit", {n: c for n, c in ds.coords.items() if c.dims in ((), ("unit",))}
    if sites is not None:
        data = data[sites.first]
        dim, labels = "site", sites.coords | {n: c for n, c in ds.coords.items() if not c.dims}
        session, last = session[sites.first], last[sites.first]
    runs = list(zip(session, last, strict=True))
    n_events = np.array([design.count(*run) for run in runs]).reshape(-1, *cells)
    data = data.reshape((data.shape[0], *cells, shape[1]))
    dims = (dim, *coords)
    n = len(bins.window)
    variables = {
        "psth": ((*dims, "time"), data[..., :n], {"units": "Hz", "long_name": "Firing rate"}),
        "psth_z": (
            (*dims, "time"),
            data[..., n : 2 * n],
            {"units": "1", "long_name": "Rate, in standard deviations of the baseline"},
        ),
        "response": (dims, data[..., 2 * n], {"units": "1", "long_name": "Largest |z|"}),
        "response_rate": (
            dims,
            data[..., 2 * n + 1],
            {"units": "Hz", "long_name": "Rate of the response minus the baseline's"},
        ),
        "n_events": (
            dims,
            n_events.astype(np.int64),
            {"units": "1", "long_name": "Events"},
        ),
    }
    if n_shifts:
        moved = np.array([design.count_movable(*run) for run in runs]).reshape(-1, *cells)
        least = np.where(moved > 0, 1 / (n_shifts + 1), np.where(n_events > 0, 1.0, np.nan))
        for name, values, words in (
            ("p", data[..., 2 * n + 2], "p of the response"),
            ("p_corrected", data[..., 2 * n + 3], "p of the response, corrected for all cells"),
            ("p_least", least, "Least p that the test can give"),
        ):
            variables[name] = (dims, values, {"units": "1", "long_name": words})
    if sites is not None:
        variables["n_units"] = (
            ("site",),
            sites.n_units,
            {"units": "1", "long_name": "Units of the site"},
        )
    centres = (bins.window + 0.5) * bins.width / TICKS_PER_SECOND
    time = ("time", centres, {"units": "s", "long_name": "Time from the event"})
    out = xr.Dataset(variables, {**labels, **coords, "time": time})
    about = {"seed": str(seed), "n_shifts": int(n_shifts), "duplicates": duplicates}
    about |= {"bin_width": bins.width / TICKS_PER_SECOND, "baseline": str(baseline)}
    about["response"] = str(response)
    return out.assign_attrs(result_attrs(ds) | about)


_MOST_BINS = 10_000


@dataclass(frozen=True)
class _Sites:
    """Pooled units: the first unit of each, how many, and labels."""

    first: np.ndarray
    n_units: np.ndarray
    coords: dict[str, Any]


def _bins(window: Any, baseline: Any, response: Any, bin_width: str | float) -> Bins:
    width = to_bin_ticks(bin_width)
    found = []
    for name, span in (("window", window), ("baseline", baseline), ("response", response)):
        two = span if np.shape(span) == (2,) else (0, 0)
        edges = [to_bins(t, width / TICKS_PER_SECOND, f"psth, {name}") for t in two]
        if edges[0] >= edges[1]:
            raise ConfigError(located(f"psth, {name}", "a start and a later stop", repr(span)))
        if edges[1] - edges[0] > _MOST_BINS:
            raise ConfigError(
                located(
                    f"psth, {name}",
                    f"at most {_MOST_BINS:,} bins of {width / TICKS_PER_SECOND:g} s",
                    f"{edges[1] - edges[0]:,.0f} in {span!r}, where plain numbers are seconds",
                    "Write the unit, such as '200 ms', or choose wider bins.",
                )
            )
        found.append(np.arange(*edges))
    _, before, after = found
    if len(before) < 2:
        do = "Lengthen it, or choose a smaller bin_width."
        raise ConfigError(located("psth, baseline", "at least two bins", repr(baseline), do))
    if np.isin(after, before).any():
        do = "Let one begin where the other ends."
        found_both = f"{response!r}, baseline {baseline!r}"
        raise ConfigError(located("psth, response", "no bin of the baseline", found_both, do))
    return Bins(width, TICKS_PER_SECOND, *found)


def check_phases(events: xr.Dataset, ds: xr.Dataset, where: str) -> None:
    """Raise if the spikes were selected by phase or epoch, and the events were not."""
    known = {n: np.atleast_1d(ds[n].values).tolist() for n in ("phase", "epoch") if n in ds.coords}
    found = np.atleast_1d(events["phase"].values) if "phase" in events.variables else ()
    others = {f for f in found if not pd.isna(f) and f != ""} - set(known.get("phase", found))
    if others or ("epoch" in known and not ds["epoch"].ndim):
        raise SelectionError(
            located(
                where,
                "spikes of whole recordings",
                "spikes of " + ", ".join(f"{n} {', '.join(map(str, v))}" for n, v in known.items()),
                "Leave the spikes as they were opened, and select the events: by their phase, or "
                "by their start.",
            )
        )


def other_sessions(events: xr.Dataset, ds: xr.Dataset, where: str) -> SelectionError:
    """Return the error of events that are of no session of the units."""
    labels = ds["session_label"].values if "session_label" in ds.coords else ()
    mine, theirs = (np.atleast_1d(d["session"].values)[:1].tolist() for d in (ds, events))
    return SelectionError(
        located(
            f"{where}, events",
            f"sessions of the units, such as {mine}",
            f"{theirs}, and none of these",
            "These are values of session_label: put those of session in their place."
            if set(labels) & set(np.atleast_1d(events["session"].values))
            else "Select units and events of the same sessions, written alike.",
        )
    )


def as_events(events: Any, ds: xr.Dataset, where: str) -> xr.Dataset:
    """Return events over ``event`` from what else holds them: a table, or times of one session."""
    if isinstance(events, xr.Dataset):
        return events
    if isinstance(events, pd.DataFrame):
        table = events if events.index.name is None else events.reset_index()
        return xr.Dataset({str(n): ("event", table[n].to_numpy()) for n in table.columns})
    try:
        times = np.asarray(events, dtype=np.float64)
    except (TypeError, ValueError):
        times = np.empty((0, 0))
    sessions = set(ds["session"].values)
    if times.ndim != 1 or len(sessions) != 1:
        raise SelectionError(
            located(
                f"{where}, events",
                "a Dataset of lsdx.open_events(), a DataFrame with the columns session and "
                "start, or for units of one session (n,) times in s",
                f"{type(events).__name__} of shape {np.shape(times)}"
                if times.ndim != 1
                else f"times alone, and units of {len(sessions)} sessions",
                "Give one of these.",
            )
        )
    session = np.full(times.size, next(iter(sessions)), dtype=object)
    return xr.Dataset({"start": ("event", times), "session": ("event", session)})


def listed_events(
    events: xr.Dataset, names: Sequence[str], order: Mapping[str, np.ndarray], where: str
) -> tuple[dict[int, Events], dict[str, tuple[str, np.ndarray, Any]]]:
    """Return the events of each session, and the labels of their cells."""
    missing = [n for n in ("session", "start", *names) if n not in events.variables]
    if missing or "event" not in events.dims or len(set(names)) < len(names):
        raise SelectionError(
            located(
                f"{where}, events",
                "session, start and distinct labels of by, over event",
                f"{', '.join(map(str, events.variables))}; by={list(names)!r}",
                "Start from lsdx.open_events(), or add the columns.",
            )
        )
    if "provenance" in events.variables:
        require_spike_clock(events["provenance"], where)
    columns: dict[str, Any] = {n: events[n].values for n in ("session", "start", *names)}
    columns["in_phase"] = events["phase"].values if "phase" in events.variables else ""
    table = pd.DataFrame(columns)
    try:
        table["start"] = pd.to_numeric(table["start"])
    except (TypeError, ValueError) as error:
        raise SelectionError(
            located(f"{where}, events", "start in s, as numbers", str(error), "Convert it.")
        ) from error
    table = table[np.isfinite(table["start"])]
    if table.empty:
        raise SelectionError(
            located(f"{where}, events", "at least one event with a start", "none", "Select others.")
        )
    blank = [n for n in names if table[n].isna().any()]
    if blank:
        raise SelectionError(
            located(
                f"{where}, by",
                f"{blank[0]} of every event",
                "NaN",
                "Select those that have it, such as gabors.",
            )
        )
    coords, cell = {}, np.zeros(len(table), dtype=np.int64)
    for name in names:
        code, values = pd.factorize(table[name], sort=True)
        if name in order and set(values) <= set(order[name]):  # pre before post
            values = np.array([v for v in order[name] if v in set(values)], dtype=object)
            code = pd.Index(values).get_indexer(table[name])
        coords[name] = (name, np.asarray(values), events[name].attrs)
        cell = cell * len(values) + code
    table["cell"] = cell
    table["phase_code"] = [zlib.crc32(str(f).encode()) for f in table["in_phase"]]
    table["ticks"] = to_ticks(table["start"].to_numpy())
    by_session = {
        zlib.crc32(str(eid).encode()): Events(
            *(t[n].to_numpy() for n in ("ticks", "cell", "phase_code"))
        )
        for eid, t in table.sort_values("ticks", kind="stable").groupby("session")
    }
    return by_session, coords


def require_spike_clock(provenance: Any, where: str) -> None:
    """Refuse events whose times are of the rig's clock."""
    if (np.asarray(provenance) == "rig_clock").any():
        raise SelectionError(
            located(
                f"{where}, events",
                "times on the spike clock",
                "some of the rig clock, whose error is larger than a response",
                "Leave them out: events.isel(event=events.provenance != 'rig_clock').",
            )
        )


def _sites(ds: xr.Dataset, pool: str) -> tuple[np.ndarray, _Sites]:
    """Return the number of each unit's site, and the sites."""
    labels = {str(n) for n, v in ds.coords.items() if v.dims == ("unit",)}
    width = None
    if pool not in labels:
        try:
            import pint

            width = float(pint.Quantity(pool).to("um").magnitude)
        except (pint.PintError, ValueError, TypeError, AssertionError):
            width = -1.0
        if not width > 0 or not {"depth", "insertion"} <= labels | set(map(str, ds.data_vars)):
            raise SelectionError(
                located(
                    "psth, pool",
                    "a depth such as '20 um', or a label on unit: " + ", ".join(sorted(labels)),
                    repr(pool),
                )
            )
    if width is None:
        keys = {"session": ds["session"].values, pool: ds[pool].values}
        known = ~pd.isna(ds[pool].values)
    else:
        depth = ds["depth"].values
        known = np.isfinite(depth)
        place = np.where(known, np.floor(depth / width), 0)
        keys = {"insertion": ds["insertion"].values, "depth": (place + 0.5) * width}
    table = pd.DataFrame(keys)
    number = table[known].groupby(list(keys), sort=False).ngroup()
    code = np.full(len(table), -1)
    code[known] = number.to_numpy()
    n = int(code.max(initial=-1)) + 1
    first = np.array([int(np.argmax(code == i)) for i in range(n)], dtype=np.int64)
    attrs = {"depth": {"units": "um", "long_name": "Centre of the depth bin"}}
    own = {k: ("site", table[k].to_numpy()[first], attrs.get(k, {})) for k in keys}
    every = pd.DataFrame({name: ds[name].values for name in labels})
    shared = carried_labels(every, code)
    coords = {k: ("site", v) for k, v in shared.items() if k not in own} | own
    return code, _Sites(first, np.bincount(code[known], minlength=n), coords)
