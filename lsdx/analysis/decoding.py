"""Decoding of events' labels from the counts of units, within phases and between them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.events import as_events, check_phases, listed_events, other_sessions
from lsdx.analysis.grouping import Field, Population, group_units, map_groups, result_coords
from lsdx.analysis.inputs import require_spikes, with_text
from lsdx.analysis.results import result_attrs
from lsdx.analysis.seeds import seed_of, unit_keys
from lsdx.analysis.trains import Promised, map_trains
from lsdx.arguments import whole_number
from lsdx.clock import TICKS_PER_SECOND, to_seconds, to_ticks
from lsdx.errors import ArgumentError, SelectionError, located
from lsdx.kernels.decoding import Options, decode_group, event_counts

_WORDS = {
    "accuracy": "Balanced accuracy of trials left out",
    "p": "p of the accuracy",
    "null_mean": "Mean accuracy of permuted labels",
    "accuracy_z": "Accuracy, in standard deviations of permuted labels",
    "n_trials": "Trials",
    "n_units": "Units used",
    "curve": "Mean accuracy of so many units",
    "cross_accuracy": "Balanced accuracy of trials of one phase, learned in one phase",
    "weights": "Change of the log odds with one standard deviation of the unit",
    "note": "Why a value is NaN",
}


def decode(
    ds: xr.Dataset,
    *,
    events: xr.Dataset | pd.DataFrame,
    label: str = "side",
    window: tuple[str | float, str | float] = ("0 s", "0.3 s"),
    by: str | Sequence[str] = "session",
    n_folds: int = 5,
    n_permutations: int = 199,
    n_blocks: int | None = None,
    units: Sequence[int] | None = None,
    draws: int = 10,
    min_units: int = 10,
    min_trials: int = 10,
    duplicates: str = "keep",
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Decode a label of events from the counts of units that were recorded together.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_spikes` gives, or a selection of its units.
    events : Dataset or DataFrame
        What `lsdx.open_events` gives, or a selection of it: ``session``, ``start`` (s) and
        ``label`` over ``event``. Each is a trial. Select gabors and contrasts here.
    label : str
        What is decoded: a label of the events of two values or more.
    window : tuple of two str or float
        From where to where after an event spikes are counted; a plain number is seconds.
    by : str or sequence of str
        Labels on ``unit`` that make the groups, of units recorded together.
    n_folds : int
        Contiguous blocks of trials, each tested once by what the others teach.
    n_permutations : int
        Of the test; 0 leaves it out.
    n_blocks : int, optional
        Blocks of neighbouring trials, within which labels are permuted; a multiple of
        ``n_folds``, by default twice as many.
    units : sequence of int, optional
        Numbers of units of the learning curve; 10, 20, 40 and so on by default, none if empty.
    draws : int
        Draws of units of the learning curve.
    min_units, min_trials : int
        Groups of fewer units, and phases of fewer trials of some value, are NaN.
    duplicates : {"keep", "drop"}
        Whether spikes that bombcell calls duplicates are counted.
    rng : Generator or int, optional
        ``rng=int(result.attrs["seed"])`` gives the same draws again.

    Returns
    -------
    Dataset
        Over (session, phase): ``accuracy``, the mean of the shares of each value's trials that
        are decoded right, by chance the attribute ``chance``; ``p``, ``null_mean`` and
        ``accuracy_z`` against permuted labels; ``n_trials``. ``curve`` (session, phase,
        n_units_used), NaN for more units than there are. ``cross_accuracy`` (session, train,
        test): learned in one phase, tested in one, of as many trials in all phases, so that it
        compares along its diagonal and off it. ``weights`` (unit, phase) where the label has two
        values: positive for units that speak for the second one, learned from all trials.
        ``n_units``: those whose counts vary. The attribute ``classes`` lists the values.

        Phases are those of the events; ``"all"`` where they have none. Events of a blank phase
        are left out, as are those whose window was not recorded by all units. ``note`` says why
        a value is NaN. Lazy where the spikes are.

    Raises
    ------
    SelectionError
        As `psth` does for spikes and events; for labels that do not exist, or are blank, or of
        one value; and for groups across sessions.
    ArgumentError
        For an argument out of range.

    Notes
    -----
    Linear discriminants with equal priors. Units are standardised, and their covariance within
    classes is shrunk towards the identity, by as much as Ledoit and Wolf (2004, J. Multivar.
    Anal. 88:365) shrink that of all trials; both from the trials that are learned from.
    Brodersen et al. 2010 (ICPR, 3121) on balanced accuracy.

    ``p = (1 + #{permuted >= observed}) / (n_permutations + 1)``. Permuted within blocks of
    neighbours, labels keep their course through the session. Where rates drift and one value
    comes more often late, ``accuracy`` is above chance without a response, and so is
    ``null_mean``: compare sessions by ``accuracy - null_mean`` or ``accuracy_z``. Drift within a
    block, and labels that follow a rule from trial to trial, are not covered.

    Of 2,000 simulated sessions without a response (15 units, 240 trials; rates that rise or fall
    1.5-fold from the middle to an end; a value of 15 % of the first trials and 85 % of the last):

    ======================================  ========  ==============
    what happens                            accuracy  p <= .05, in %
    ======================================  ========  ==============
    nothing                                 .50       4
    rates drift                             .50       5
    rates and labels drift                  .64       4
    the same, permuted over all trials      .64       96
    ======================================  ========  ==============

    A change of rates alone lowers ``cross_accuracy`` off its diagonal: what is learned is
    carried over as it is, with its means. Weights are of a decoder: a unit may have one without
    a response of its own (Haufe et al. 2014, NeuroImage 87:96).

    Examples
    --------
    >>> import lsdx
    >>> gabors = lsdx.open_events().lsd.select(kind="gabor", contrast=(0.1, None))
    >>> s = lsdx.open_spikes()
    >>> d = s.lsd.decode(events=gabors, n_permutations=19, units=[10], draws=2, rng=0)
    >>> d.accuracy.dims, d.cross_accuracy.dims, d.attrs["classes"]
    (('session', 'phase'), ('session', 'train', 'test'), 'left, right')
    """
    options = _options(
        n_folds, n_blocks, n_permutations, draws, min_units, min_trials, seed_of(rng)
    )
    span = _window(window)
    ds = require_spikes(ds, "decode", duplicates)
    known = {str(d): ds[d].values for d in ds.dims if d in ds.coords}
    events = with_text(as_events(events, ds, "decode"), "decode, events")
    check_phases(events, ds, "decode")
    events, phases = _in_phases(_with_label(events, label), known)
    listed, coords = listed_events(events, [label], known, "decode")
    number = [zlib.crc32(str(s).encode()) for s in ds["session"].values]
    if number and not set(number) & set(listed):
        raise other_sessions(events, ds, "decode")
    classes = coords[label][1]
    if len(classes) < 2:
        found = f"{str(classes[0])!r} alone"
        do = "Select events of both, or name another label."
        raise SelectionError(located(f"decode, label={label!r}", "two values or more", found, do))
    groups = group_units(ds, by, "decode")
    sizes = _sizes(units, max((r.size for r in groups.rows), default=0))
    options = replace(options, n_classes=len(classes), sizes=sizes)
    session = np.array(number, dtype=np.int64)
    last = to_ticks(np.nan_to_num(ds["last_spike"].values, nan=-2.0)) + TICKS_PER_SECOND
    n_most = max(e.start.size for e in listed.values())
    counts = map_trains(
        ds,
        event_counts,
        (session, last),
        ({s: e.start for s, e in listed.items()}, span, n_most),
        Promised((n_most,), np.float32),
        duplicates,
    )
    pop = _population(ds, counts, groups)
    ids = tuple(zlib.crc32(str(f).encode()) for f in phases)
    keys, none = unit_keys(ds), np.zeros(0, dtype=np.int64)
    arguments = []
    for rows in groups.rows:
        mine = listed.get(number[rows[0]])
        of_trial = (none, none) if mine is None else (mine.cell, mine.phase)
        arguments.append((keys[rows], number[rows[0]], *of_trial, ids, options))
    arrays = map_groups(pop, decode_group, arguments, _fields(len(phases), len(sizes)))
    out = _labelled(ds, pop, arrays, phases, options)
    return out.assign_attrs(
        result_attrs(ds),
        label=label,
        classes=", ".join(map(str, classes)),
        chance=1 / len(classes),
        window=str(tuple(t / TICKS_PER_SECOND for t in span)),
        by=", ".join(groups.dims),
        n_folds=options.n_folds,
        n_blocks=options.n_blocks,
        n_permutations=options.n_permutations,
        draws=options.draws,
        duplicates=duplicates,
        seed=str(options.seed),
    )


def _options(
    n_folds: Any,
    n_blocks: Any,
    n_permutations: Any,
    draws: Any,
    min_units: Any,
    min_trials: Any,
    seed: int,
) -> Options:
    n_folds = whole_number(n_folds, "decode, n_folds", least=2)
    n_blocks = 2 * n_folds if n_blocks is None else n_blocks
    if whole_number(n_blocks, "decode, n_blocks", least=1) % n_folds:
        raise ArgumentError(
            located("decode, n_blocks", f"a multiple of n_folds={n_folds}", repr(n_blocks))
        )
    return Options(
        n_classes=0,  # of the events
        n_folds=n_folds,
        n_blocks=int(n_blocks),
        n_permutations=whole_number(n_permutations, "decode, n_permutations", least=0),
        sizes=(),
        draws=whole_number(draws, "decode, draws", least=1),
        min_units=whole_number(min_units, "decode, min_units", least=1),
        min_trials=whole_number(min_trials, "decode, min_trials", least=2),
        seed=seed,
    )


def _window(window: Any) -> tuple[int, int]:
    if np.shape(window) != (2,):
        raise ArgumentError(located("decode, window", "a start and a later stop", repr(window)))
    low, high = (int(to_ticks(to_seconds(t, "decode, window"))) for t in window)
    if low >= high:
        raise ArgumentError(located("decode, window", "a start and a later stop", repr(window)))
    return low, high


def _sizes(units: Sequence[int] | None, most: int) -> tuple[int, ...]:
    if units is not None:
        listed = list(units) if np.ndim(units) else [units]
        return tuple(whole_number(n, "decode, units", least=1) for n in listed)
    sizes = [10]
    while sizes[-1] * 2 <= most:
        sizes.append(sizes[-1] * 2)
    return tuple(sizes)


def _with_label(events: xr.Dataset, label: str) -> xr.Dataset:
    """Check that each event has the label."""
    where = f"decode, label={label!r}"
    known = [str(n) for n, v in events.variables.items() if v.dims == ("event",)]
    if label not in known:
        raise SelectionError(located(where, "a label of the events", ", ".join(known)))
    values = events[label].values
    blank = pd.isna(values) | (values == "")
    if blank.any():
        found = f"blank for {int(blank.sum())} of {blank.size}"
        do = "Select those that have it, such as gabors."
        raise SelectionError(located(where, "a value of each event", found, do))
    return events


def _in_phases(
    events: xr.Dataset, known: dict[str, np.ndarray]
) -> tuple[xr.Dataset, tuple[str, ...]]:
    """Return the events that belong to phases, and the phases in order."""
    if "phase" not in events.variables:
        return events.assign_coords(phase=("event", ["all"] * events.sizes["event"])), ("all",)
    if not events["phase"].ndim:
        of_all = np.full(events.sizes["event"], events["phase"].item(), dtype=object)
        events = events.drop_vars("phase").assign_coords(phase=("event", of_all))
    values = events["phase"].values
    inside = ~pd.isna(values) & (values != "")
    found = list(dict.fromkeys(values[inside].tolist()))
    order = [str(f) for f in known.get("phase", ()) if f in found]
    phases = (*order, *(f for f in found if f not in order))
    return events.isel(event=inside), phases


def _population(ds: xr.Dataset, counts: Any, groups: Any) -> Population:
    """Return counts of trials as a population: of one cell, and a bin a trial."""
    coords = {n: c.variable for n, c in ds.coords.items() if c.dims in ((), ("unit",))}
    coords = {n: v for n, v in coords.items() if n not in ("phase", "epoch", "time")}
    array = xr.DataArray(counts, dims=("unit", "time"), coords=coords)
    every = tuple((np.ones(rows.size, dtype=bool), np.ones(1, dtype=bool)) for rows in groups.rows)
    return Population(array, (), groups, every, hasattr(counts, "dask"))


def _fields(n_phases: int, n_sizes: int) -> dict[str, Field]:
    scalar = ("accuracy", "p", "null_mean", "accuracy_z")
    return dict.fromkeys(scalar, Field((n_phases,))) | {
        "n_trials": Field((n_phases,), fill=0.0),
        "curve": Field((n_phases, n_sizes)),
        "cross_accuracy": Field((n_phases, n_phases)),
        "weights": Field((n_phases,), along="unit"),
        "n_units": Field((), fill=0.0),
        "note": Field((n_phases,), object, "no units"),
    }


def _labelled(
    ds: xr.Dataset,
    pop: Population,
    arrays: dict[str, Any],
    phases: tuple[str, ...],
    options: Options,
) -> xr.Dataset:
    dims = pop.groups.dims
    more: dict[str, tuple[str, ...]] = {
        "n_units": (),
        "curve": ("phase", "n_units_used"),
        "cross_accuracy": ("train", "test"),
    }
    left_out = set() if options.n_classes == 2 else {"weights"}
    left_out |= set() if options.sizes else {"curve"}
    left_out |= set() if options.n_permutations else {"p", "null_mean", "accuracy_z"}
    data: dict[str, Any] = {}
    for name, words in _WORDS.items():
        if name in left_out:
            continue
        own = ("unit", "phase") if name == "weights" else (*dims, *more.get(name, ("phase",)))
        about = {"long_name": words} | ({} if name == "note" else {"units": "1"})
        data[name] = (own, arrays[name], about)
    names = np.array(phases, dtype=object)
    coords = result_coords(pop) | {d: (d, names) for d in ("phase", "train", "test")}
    if options.sizes:
        about = {"units": "1", "long_name": "Units drawn"}
        coords["n_units_used"] = ("n_units_used", np.array(options.sizes), about)
    if "weights" in data:
        coords |= {
            n: v for n, v in pop.counts.coords.items() if v.dims == ("unit",) and n not in coords
        }
        # a label that has become a dimension can no longer be one on unit
        coords |= {f"unit_{d}": ds[d].drop_vars(d, errors="ignore") for d in dims}
    return xr.Dataset(data, coords)
