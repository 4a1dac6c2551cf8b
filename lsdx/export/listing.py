"""Tables as text to read: sessions, the histology's to-do list, checks, reconciliation."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import xarray as xr

_MARKS = {"extraction complete": "+", "extraction error": "!", "raw data missing": "."}
_COLOURS = {"+": "32", "!": "31", ".": "90"}
_WHO = {
    "extraction error": "the raw data are there: ask whoever runs the extraction",
    "raw data missing": "no raw data: ask whoever recorded, or uploads",
}


def session_grid(sessions: xr.Dataset, *, colour: bool = False) -> str:
    """Return a grid of sessions and datasets, with a mark for each state, and what is missing.

    Columns are numbered from top to bottom, those of one group (a run, a probe, a camera) stand
    together; a legend under the grid names them.

    Parameters
    ----------
    sessions : Dataset
        As `lsdx.open_sessions` opened it.
    colour : bool
        Whether the marks are coloured, for a terminal.

    Examples
    --------
    >>> import lsdx
    >>> print(session_grid(lsdx.open_sessions()).splitlines()[0])
    SIMULATED: the lsdx demo cohort, not recordings.
    """
    status = sessions["status"].values
    datasets = [str(name) for name in sessions["dataset"].values]
    groups: dict[str, list[int]] = {}
    for i, name in enumerate(datasets):
        groups.setdefault(name.rpartition("/")[0], []).append(i)

    def in_groups(cells: Sequence[str]) -> str:
        return "  " + " ".join("".join(cells[i] for i in column) for column in groups.values())

    def mark(state: str) -> str:
        m = _MARKS[state]
        return f"\x1b[{_COLOURS[m]}m{m}\x1b[0m" if colour else m

    lines = ["SIMULATED: the lsdx demo cohort, not recordings."] if "simulated" in sessions else []
    width = len(str(len(datasets)))
    numbers = [f"{i + 1:>{width}}" for i in range(len(datasets))]
    lines += [in_groups([n[digit] for n in numbers]).rstrip() for digit in range(width)]
    for i in range(sessions.sizes["session"]):
        one = sessions.isel(session=i)
        told = [
            one["subject"].item(),
            f"{one['date'].item()}/{one['number'].item():03d}",
            one["session"].item(),
            one["condition"].item(),
        ]
        flags = one["flags"].item()
        cells = in_groups([mark(state) for state in status[i]])
        lines.append(f"{cells}  {'  '.join(told)}{f'  ({flags})' if flags else ''}")
    for group, columns in groups.items():
        names = [f"{i + 1} {datasets[i].rpartition('/')[2]}" for i in columns]
        lines.append(f"  {group}: {', '.join(names)}" if group else f"  {', '.join(names)}")
    lines.append(f"{mark('extraction complete')} extraction complete")
    for state, who in _WHO.items():
        n = (status == state).sum(axis=0).tolist()
        lacking = [f"{name} {k}" for name, k in zip(datasets, n, strict=True) if k]
        lines.append(f"{mark(state)} {state} ({who}): {', '.join(lacking) or 'none'}")
    return "\n".join(lines)


def alignment_list(found: xr.Dataset, *, verdicts: bool = True) -> str:
    """List the verdicts of each session and phase, and the reason for each that is no pass.

    Without ``verdicts``, what a table of them leaves out.

    Examples
    --------
    >>> import lsdx
    >>> alignment_list(lsdx.check_alignment(n_shifts=99)).rpartition(", ")[2]
    '0 failed'
    """
    lines = ["SIMULATED: the lsdx demo cohort, not recordings."] if "simulated" in found else []
    checks = [str(c) for c in found["check"].values]
    names = [str(eid) for eid in found["session"].values]
    if "session_label" in found.coords:
        labels = found["session_label"].values
        names = [f"{label}  {eid}" for label, eid in zip(labels, names, strict=True)]
    width = max(map(len, names), default=0)
    if verdicts:
        head = [f"{'session':{width}}", f"{'phase':5}", *(f"{c:10}" for c in checks)]
        lines.append("  ".join(head).rstrip())
    for i, name in enumerate(names):
        for phase in found["phase"].values:
            one = found.isel(session=i).sel(phase=phase)
            cells = [f"{v:10}" for v in one["verdict"].values if verdicts]
            lines.append("  ".join([f"{name:{width}}", f"{phase:5}", *cells]).rstrip())
            told = zip(checks, one["note"].values, strict=True)
            lines += [f"    {check}: {why}" for check, why in told if why]
            ms = one["evidence"].sel(check="latency").item()
            if one["verdict"].sel(check="latency") == "pass":  # else its note says it
                lines.append(f"    latency: {ms:.0f} ms")
            told = zip(one["epoch"].values, one["epoch_verdict"].values, strict=True)
            lines.append("    epochs: " + ", ".join(f"{e} {v}" for e, v in told))
    n = {v: int((found["verdict"] == v).sum()) for v in ("pass", "untestable", "fail")}
    lines.append(f"{n['pass']} passed, {n['untestable']} untestable, {n['fail']} failed")
    return "\n".join(lines)


def cameras_list(found: xr.Dataset) -> str:
    """List the verdict of each camera, and the reason for each that is no pass.

    Examples
    --------
    >>> import lsdx
    >>> cameras_list(lsdx.check_cameras()).rpartition(", ")[2]
    '0 failed'
    """
    cameras = [str(c) for c in found["camera"].values]
    lines = []
    for label, verdict, note in zip(
        found["session_label"].values, found["verdict"].values, found["note"].values, strict=True
    ):
        told = zip(cameras, verdict, note, strict=True)
        lines += [f"{label}  {c} camera {v}: {n}" for c, v, n in told if n]
    n = {v: int((found["verdict"] == v).sum()) for v in ("pass", "untestable", "fail")}
    last = f"{n['pass']} passed, {n['untestable']} untestable, {n['fail']} failed"
    return "\n".join([*lines, f"cameras: {last}"])


def histology_list(todo: pd.DataFrame) -> str:
    """List probes under the step that each waits for.

    Examples
    --------
    >>> row = {"session_label": "M1 2023-01-19/001", "session": "a", "probe": "probe00"}
    >>> print(histology_list(pd.DataFrame([row | {"stage": "traced", "next_step": "align"}])))
    align: 1
      M1 2023-01-19/001 a probe00 (traced)
    """
    lines = []
    for step, rows in todo.groupby("next_step", sort=False):
        lines.append(f"{str(step) or 'done'}: {len(rows)}")
        if step:
            lines += [
                f"  {r.session_label} {r.session} {r.probe} ({r.stage})" for r in rows.itertuples()
            ]
    return "\n".join(lines) or "no probes"


def reconciliation_list(found: pd.DataFrame) -> str:
    """Return how many comparisons of each kind came out how, and why.

    Parameters
    ----------
    found : DataFrame
        Of ``lsdx.reconcile.reconcile``.

    Examples
    --------
    >>> row = {"kind": "units", "name": "spikes", "verdict": "same", "reason": ""}
    >>> print(reconciliation_list(pd.DataFrame([row, row])))
    units spikes: 2 same
    """
    lines = []
    for (kind, name), group in found.groupby(["kind", "name"], sort=False):
        counts = group.groupby(["verdict", "reason"], sort=False).size().reset_index(name="n")
        rows = counts[["n", "verdict", "reason"]].itertuples(index=False)
        told = [f"{n} {verdict}" + f" ({why})" * bool(why) for n, verdict, why in rows]
        lines.append(f"{kind} {name}: {'; '.join(told)}")
    return "\n".join(lines) or "nothing to compare"
