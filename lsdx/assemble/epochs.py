"""When each epoch of a session was: the timing rules, with provenance and checks.

All times are seconds on the spike clock. The rules:

1. The n-th passive run is the n-th phase, whatever its number.
2. spontaneous and rfm come from the run's intervals table. A spontaneous interval longer
   than 301 s is cut to its first 300 s.
3. replay runs from the first gabor's start to the last gabor's stop; without gabors, from the
   replay's start for 300 s. The replay's tabulated stop runs to the end of the recording and
   is never used.
4. A passive run without a table takes another run's times, shifted by the difference of the
   two rig start times.
5. A row of the table of epochs replaces what the files say. Its times are not checked for order
   and overlap, as those of the files are.
6. Otherwise the times are NaN.

A probe observed an epoch if it recorded all of it: its spikes reach the epoch's stop, and it is not
silent within the epoch for longer than a live probe ever is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from lsdx.assemble.labelled import dataset
from lsdx.assemble.layout import GABORS, INTERVALS
from lsdx.assemble.recording import Recording, Run, rig_seconds
from lsdx.assemble.stored import Joining, Stored, table
from lsdx.clock import TICKS_PER_SECOND, to_ticks
from lsdx.schema import SCHEMAS

EPOCH_LENGTH = 300.0  # s
# in ticks: no time is compared as a float
LONGEST_SPONTANEOUS = 301 * TICKS_PER_SECOND
RECORDING_MARGIN = TICKS_PER_SECOND
# the whole probe is silent longer than a live one ever is: this long, and this many times the
# mean interval between its spikes (of a Poisson train, one interval in 10**13 is longer)
LONGEST_SILENCE = 10 * TICKS_PER_SECOND
SILENT_INTERVALS = 30
# what makes an epoch unobserved for the whole session
SESSION_WIDE = ("order", "overlap")
EPOCH_WIDE = ("bounds", "no_spikes")
# provenances of times that were read on the spike clock
ON_CLOCK = ("alf", "alf_cut", "gabor")


class Span(NamedTuple):
    """One epoch of one run: start and stop in s, how they are known, failed checks."""

    start: float
    stop: float
    provenance: str
    flags: tuple[str, ...] = ()


MISSING = Span(np.nan, np.nan, "missing")


def assemble_epochs(recording: Recording) -> xr.Dataset:
    """Time the epochs of a session and its injection.

    Parameters
    ----------
    recording : Recording
        Its passive runs, the times of the lab's tables that replace theirs, and its spikes.

    Returns
    -------
    Dataset
        One session: ``start``, ``stop``, ``provenance``, ``flags`` by phase and epoch; the
        injection's time; the residuals of the rig clocks. NaN where a time is not known. The
        attribute ``notes`` lists what the build report says.
    """
    runs = recording.passive_runs
    session_flags = ["extra_passive_run"] if len(runs) > len(recording.phases) else []
    runs = runs[: len(recording.phases)]
    spans = [_run_spans(run, runs, recording.epochs) for run in runs]
    spans += [[MISSING] * len(recording.epochs)] * (len(recording.phases) - len(runs))
    table = [
        [
            _overridden(span, recording.overrides.get((phase, epoch)))
            for epoch, span in zip(recording.epochs, row, strict=True)
        ]
        for phase, row in zip(recording.phases, spans, strict=True)
    ]
    start = np.array([[s.start for s in row] for row in table])
    stop = np.array([[s.stop for s in row] for row in table])
    flags = _check(recording, start, stop)
    for i, row in enumerate(table):
        for j, span in enumerate(row):
            flags[i][j] = [*span.flags, *flags[i][j]]
    if any(set(f) & set(SESSION_WIDE) for row in flags for f in row):
        session_flags.append("no_epoch_observed")
    injection = _administration(recording, runs, start, stop)
    epochs = dataset(
        SCHEMAS["epochs"],
        {
            "session": [recording.session.eid],
            "session_label": [recording.session.label],
            "phase": list(recording.phases),
            "epoch": list(recording.epochs),
            "start": start[None],
            "stop": stop[None],
            "provenance": [[[s.provenance for s in row] for row in table]],
            "flags": [[[" ".join(f) for f in row] for row in flags]],
            "administration": [injection.start],
            "administration_provenance": [injection.provenance],
            "administration_flags": [" ".join(injection.flags)],
            "session_flags": [" ".join(session_flags)],
            "rig_residual": [_rig_residuals(runs, recording.epochs)],
        },
    )
    of_runs = [note for run in recording.runs for note in run.notes]
    return epochs.assign_attrs(notes=[*of_runs, *_notes(epochs)])


def observed(epochs: xr.Dataset, probe: str) -> np.ndarray:
    """Return which epochs of a session one probe observed.

    Parameters
    ----------
    epochs : Dataset
        What `assemble_epochs` gave.
    probe : str
        Name of the probe.

    Returns
    -------
    ndarray of bool (n_phases, n_epochs)
        False where times are not known or a check fails: for a probe whose recording does not
        cover the epoch, or is silent in it; for the whole session where order or overlap fails.
    """
    flags = epochs["flags"].values[0]
    fails = {*EPOCH_WIDE, f"past_end:{probe}", f"silent:{probe}"}
    seen = np.isfinite(epochs["start"].values[0]) & np.isfinite(epochs["stop"].values[0])
    for place in np.ndindex(flags.shape):
        names = set(flags[place].split())
        if names & set(SESSION_WIDE):
            return np.zeros_like(seen)
        seen[place] &= not names & fails
    return np.asarray(seen)


def known_residuals(epochs: xr.Dataset) -> np.ndarray:
    """Return the residuals of the rig clocks, in s, where both runs have tables."""
    residuals = epochs["rig_residual"].values
    return np.asarray(residuals[np.isfinite(residuals)])


def uncertainty(epochs: xr.Dataset) -> np.ndarray:
    """Return the 95 % bound of each epoch's times, from the residuals of the rig clocks.

    It is 0 for times that were read on the spike clock. For shifted times it is the 95th
    percentile of abs(residual), over all sessions in which both runs have tables. It is NaN for
    times that were shifted from a run that did not go as planned.
    """
    provenance = epochs["provenance"].values
    residuals = np.abs(known_residuals(epochs))
    bound = float(np.quantile(residuals, 0.95)) if residuals.size else np.nan
    out = np.full(provenance.shape, np.nan)
    out[np.isin(provenance.astype(str), ON_CLOCK)] = 0.0
    flags = epochs["flags"].values.astype(str)
    out[(provenance == "rig_clock") & (np.char.find(flags, "cut_reference") < 0)] = bound
    return out


def _run_spans(run: Run, runs: tuple[Run, ...], epochs: tuple[str, ...]) -> list[Span]:
    if run.intervals is not None:
        return [_own_span(run, run.intervals, epoch) for epoch in epochs]
    if INTERVALS in run.unreadable:
        return [MISSING._replace(flags=("unreadable",))] * len(epochs)
    if not any(r.intervals is not None for r in runs):
        return [MISSING] * len(epochs)
    for reference, intervals, shift in _references(runs, run):
        theirs = [_own_span(reference, intervals, epoch) for epoch in epochs]
        was_cut = any(span.provenance == "alf_cut" for span in theirs)
        return [
            _shifted(span, shift, cut=was_cut and epoch != "spontaneous")
            for epoch, span in zip(epochs, theirs, strict=True)
        ]
    return [MISSING._replace(flags=("no_rig_time",))] * len(epochs)


def _references(
    runs: tuple[Run, ...], run: Run
) -> Iterator[tuple[Run, Mapping[str, tuple[float, float]], float]]:
    """Yield the runs whose times are tabulated, with the rig's seconds from them to ``run``."""
    for reference in runs:
        if reference.intervals is not None:
            shift = rig_seconds(reference.settings, run.settings)
            if np.isfinite(shift):
                yield reference, reference.intervals, shift


def _shifted(span: Span, shift: float, *, cut: bool) -> Span:
    if span.provenance == "missing":
        return MISSING
    # after an interval that was too long, the reference's own epochs came late
    flags = ("cut_reference",) if cut else ()
    return Span(span.start + shift, span.stop + shift, "rig_clock", flags)


def _span_ticks(start: float, stop: float) -> int:
    if not (np.isfinite(start) and np.isfinite(stop)):
        return 0
    return int(to_ticks(stop) - to_ticks(start))


def _own_span(run: Run, intervals: Mapping[str, tuple[float, float]], epoch: str) -> Span:
    """Time one epoch from the run's own tables."""
    if epoch == "spontaneous":
        start, stop = intervals["spontaneousActivity"]
        if _span_ticks(start, stop) > LONGEST_SPONTANEOUS:
            return Span(start, start + EPOCH_LENGTH, "alf_cut", ("cut",))
        return _known(Span(start, stop, "alf"))
    if epoch == "rfm":
        return _known(Span(*intervals["RFM"], "alf"))
    if epoch == "replay":
        return _known(_replay(run, intervals["taskReplay"][0]))
    return MISSING


def _replay(run: Run, replay_start: float) -> Span:
    if GABORS in run.unreadable:
        return MISSING._replace(flags=("unreadable",))
    gabors = run.gabors
    if gabors is None or np.isnan(gabors.start).all() or np.isnan(gabors.stop).all():
        return Span(replay_start, replay_start + EPOCH_LENGTH, "replay_start+300")
    stop = float(np.nanmax(gabors.stop))
    if np.isnan(gabors.start[0]):
        return Span(replay_start, stop, "gabor", ("first_gabor_blank",))
    return Span(float(gabors.start[0]), stop, "gabor")


def _known(span: Span) -> Span:
    if np.isfinite(span.start) and np.isfinite(span.stop):
        return span
    return MISSING._replace(flags=span.flags)


def _overridden(span: Span, times: tuple[float, float] | None) -> Span:
    return span if times is None else Span(*times, "table")


def _check(recording: Recording, start: np.ndarray, stop: np.ndarray) -> list[list[list[str]]]:
    flags: list[list[list[str]]] = [[[] for _ in row] for row in start]
    silences = [silent_stretches(p.spikes.ticks) for p in recording.probes]
    before: tuple[int, int] | None = None
    for i, j in np.ndindex(start.shape):
        if not (np.isfinite(start[i, j]) and np.isfinite(stop[i, j])):
            continue
        first, last = int(to_ticks(start[i, j])), int(to_ticks(stop[i, j]))
        if not 0 <= first < last:
            flags[i][j].append("bounds")
            continue
        if (recording.phases[i], recording.epochs[j]) not in recording.overrides:
            if before is not None and first < before[0]:
                flags[i][j].append("order")
            elif before is not None and first < before[1]:
                flags[i][j].append("overlap")
            latest = before or (first, last)
            before = (max(latest[0], first), max(latest[1], last))
        flags[i][j] += _coverage(recording, silences, first, last)
    return flags


def silent_stretches(ticks: np.ndarray) -> np.ndarray:
    """Find where a whole probe is silent for longer than a live probe ever is.

    Parameters
    ----------
    ticks : ndarray of uint32 (n,)
        Its spikes, sorted.

    Returns
    -------
    ndarray of int64 (k, 2)
        First and last tick of each silence: from the start of the clock to the first spike, and
        between two spikes; longer than 10 s and than 30 times the mean interval.

    Examples
    --------
    >>> ticks = np.append(np.arange(0, 50_000_000, 1000), 450_000_000).astype(np.uint32)
    >>> silent_stretches(ticks).tolist()
    [[49999000, 450000000]]
    """
    if ticks.size < 2:
        return np.empty((0, 2), dtype=np.int64)
    mean = int(ticks[-1]) / ticks.size
    longest = max(LONGEST_SILENCE, SILENT_INTERVALS * mean)
    after = np.flatnonzero(np.diff(ticks) > longest)
    first, last = ticks[after].astype(np.int64), ticks[after + 1].astype(np.int64)
    if ticks[0] > longest:
        first, last = np.append(0, first), np.append(int(ticks[0]), last)
    return np.column_stack([first, last])


def _coverage(
    recording: Recording, silences: Sequence[np.ndarray], first: int, last: int
) -> list[str]:
    flags, spikes = [], False
    for probe, silent in zip(recording.probes, silences, strict=True):
        ticks = probe.spikes.ticks
        if not ticks.size or last > int(ticks[-1]) + RECORDING_MARGIN:
            flags.append(f"past_end:{probe.insertion.probe}")
        shared = np.minimum(silent[:, 1], last) - np.maximum(silent[:, 0], first)
        if (shared > RECORDING_MARGIN).any():
            flags.append(f"silent:{probe.insertion.probe}")
        spikes |= spikes_between(ticks, first, last) > 0
    return [*flags, "no_spikes"] if recording.probes and not spikes else flags


def spikes_between(ticks: np.ndarray, first: int, last: int) -> int:
    """Count sorted ticks (uint32) in [first, last).

    Examples
    --------
    >>> spikes_between(np.array([1_500_000, 1_550_000], dtype=np.uint32), 1_500_000, 1_550_000)
    1
    """
    # keys of another dtype would have the whole array copied
    ends = np.clip([first, last], 0, np.iinfo(ticks.dtype).max).astype(ticks.dtype)
    begin, end = np.searchsorted(ticks, ends)
    return int(end - begin)


def _administration(
    recording: Recording, runs: tuple[Run, ...], start: np.ndarray, stop: np.ndarray
) -> Span:
    """Time the injection; ``stop`` of the span has no meaning."""
    injection, provenance, flags = _filler_start(recording, runs), "filler_start", []
    if np.isnan(injection) and recording.administration is not None:
        names = recording.epochs
        origin = start[0, names.index("spontaneous") if "spontaneous" in names else 0]
        injection, provenance = origin + recording.administration.time, "table"
        if len(start) > 1 and np.isfinite(injection) and np.isfinite(start[1, 0]):
            interval = _span_ticks(injection, start[1, 0])
            rules = recording.rules
            due, tolerance = to_ticks(rules.post_interval), to_ticks(rules.post_tolerance)
            if abs(interval - due) > tolerance:
                flags.append(f"interval_not_{rules.post_interval:g}_s")
    if np.isnan(injection):
        return MISSING
    if len(start) > 1 and (
        _span_ticks(stop[0, -1], injection) < 0 or _span_ticks(injection, start[1, 0]) < 0
    ):
        flags.append("not_between_runs")
    return Span(float(injection), np.nan, provenance, tuple(flags))


def _filler_start(recording: Recording, runs: tuple[Run, ...]) -> float:
    """Start of the filler run on the spike clock; an upper bound of the injection's time."""
    for filler in recording.runs:
        if filler.filler and runs and filler.number > runs[0].number:
            for _, intervals, shift in _references(runs, filler):
                return float(intervals["spontaneousActivity"][0] + shift)
            break
    return float("nan")


def _rig_residuals(runs: tuple[Run, ...], epochs: tuple[str, ...]) -> list[float]:
    if len(runs) < 2 or runs[0].intervals is None or runs[1].intervals is None:
        return [np.nan] * len(epochs)
    shift = rig_seconds(runs[0].settings, runs[1].settings)
    first, second = (_run_spans(run, runs, epochs) for run in runs[:2])
    if any(span.provenance == "alf_cut" for span in [*first, *second]):
        # the protocol shifted what follows, not the clocks
        return [np.nan] * len(epochs)
    return [a.start + shift - b.start for a, b in zip(first, second, strict=True)]


def _notes(epochs: xr.Dataset) -> list[str]:
    notes = []
    for phase in epochs["phase"].values:
        row = epochs.sel(phase=phase).isel(session=0)
        where = dict(zip(row["epoch"].values, row["provenance"].values, strict=True))
        missing = [e for e, p in where.items() if p == "missing"]
        if len(missing) == len(where):
            notes.append(f"{phase}: no epoch times")
        elif missing:
            notes.append(f"{phase} {', '.join(missing)}: no epoch times")
        if "rig_clock" in where.values():
            notes.append(f"{phase}: times by rig clock")
        if "replay_start+300" in where.values():
            notes.append(f"{phase} replay: no gabor table, 300 s assumed")
        for epoch, flags in zip(row["epoch"].values, row["flags"].values, strict=True):
            if flags:
                notes.append(f"{phase} {epoch}: {flags}")
    if epochs["administration_provenance"].item() == "missing":
        notes.append("no injection time")
    for name in ("administration_flags", "session_flags"):
        flags = epochs[name].values[0]
        if flags:
            notes.append(f"{name.removesuffix('_flags')}: {flags}")
    return notes


def _columns(ds: xr.Dataset, _joining: Joining) -> dict[str, np.ndarray]:
    return {"uncertainty": uncertainty(ds)}


def _clock_notes(epochs: xr.Dataset) -> list[str]:
    """Say how well the rig clocks predict the runs whose times are known."""
    residuals = known_residuals(epochs)
    if not residuals.size:
        return []
    low, high = np.quantile(residuals, [0.025, 0.975])
    note = (
        f"rig clocks: {residuals.size} epochs predicted from the other run, minus their true "
        f"starts: median {np.median(residuals):+.2f} s, 95 % within {low:+.2f} to {high:+.2f} s"
    )
    return [note]


STORED = Stored("epochs", table("epochs", columns=_columns), notes=_clock_notes)
