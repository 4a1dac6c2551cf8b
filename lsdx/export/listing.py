"""The session table and the histology's to-do list, as text to read."""

from __future__ import annotations

import pandas as pd
import xarray as xr

_MARKS = {"extraction complete": "+", "extraction error": "!", "raw data missing": "."}
_COLOURS = {"+": "32", "!": "31", ".": "90"}
_WHO = {
    "extraction error": "the raw data are there: ask whoever runs the extraction",
    "raw data missing": "no raw data: ask whoever recorded, or uploads",
}


def session_grid(sessions: xr.Dataset, *, colour: bool = False) -> str:
    """Draw a grid of sessions and datasets, a mark a state, and say what is missing.

    Parameters
    ----------
    sessions : Dataset
        As `lsdx.open_sessions` opened it.
    colour : bool
        Whether the marks are coloured, for a terminal.

    Examples
    --------
    >>> import lsdx
    >>> print(session_grid(lsdx.open_sessions(demo_stores)).splitlines()[0])
    SIMULATED: the lsdx demo cohort, not recordings.
    """
    datasets, status = sessions["dataset"].values, sessions["status"].values
    lines = ["SIMULATED: the lsdx demo cohort, not recordings."] if "simulated" in sessions else []
    lines += [" " * 2 + "|" * i + f"+- {name}" for i, name in enumerate(datasets)]
    for i in range(sessions.sizes["session"]):
        one = sessions.isel(session=i)
        marks = [_MARKS[state] for state in status[i]]
        cells = [f"\x1b[{_COLOURS[m]}m{m}\x1b[0m" for m in marks] if colour else marks
        told = [
            one["subject"].item(),
            f"{one['date'].item()}/{one['number'].item():03d}",
            one["session"].item(),
            one["condition"].item(),
        ]
        flags = one["flags"].item()
        lines.append(f"  {''.join(cells)}  {'  '.join(told)}{f'  ({flags})' if flags else ''}")
    lines.append("+ extraction complete")
    for state, who in _WHO.items():
        numbers = zip(datasets, (status == state).sum(axis=0).tolist(), strict=True)
        lacking = ", ".join(f"{name} {n}" for name, n in numbers if n)
        lines.append(f"{_MARKS[state]} {state} ({who}): {lacking or 'none'}")
    return "\n".join(lines)


def alignment_list(found: xr.Dataset) -> str:
    """List the verdicts of each session and phase, and why those that fail or cannot be told.

    Examples
    --------
    >>> import lsdx
    >>> print(alignment_list(lsdx.check_alignment(demo_stores, n_shifts=99)).splitlines()[-1])
    34 passed, 8 untestable, 0 failed
    """
    lines = ["SIMULATED: the lsdx demo cohort, not recordings."] if "simulated" in found else []
    checks = [str(c) for c in found["check"].values]
    head = [f"{'session':36}", f"{'phase':5}", *(f"{c:10}" for c in checks)]
    lines.append("  ".join(head).rstrip())
    for eid in found["session"].values:
        for phase in found["phase"].values:
            one = found.sel(session=eid, phase=phase)
            cells = [f"{v:10}" for v in one["verdict"].values]
            lines.append("  ".join([f"{eid:36}", f"{phase:5}", *cells]).rstrip())
            told = zip(checks, one["note"].values, strict=True)
            lines += [f"    {check}: {why}" for check, why in told if why]
    n = {v: int((found["verdict"] == v).sum()) for v in ("pass", "untestable", "fail")}
    lines.append(f"{n['pass']} passed, {n['untestable']} untestable, {n['fail']} failed")
    return "\n".join(lines)


def histology_list(todo: pd.DataFrame) -> str:
    """List probes under the step that each waits for.

    Examples
    --------
    >>> row = {"subject": "M1", "session": "a", "probe": "probe00", "stage": "traced"}
    >>> print(histology_list(pd.DataFrame([row | {"next_step": "align"}])))
    align: 1
      M1 a probe00 (traced)
    """
    lines = []
    for step, rows in todo.groupby("next_step", sort=False):
        lines.append(f"{str(step) or 'done'}: {len(rows)}")
        if step:
            lines += [f"  {r.subject} {r.session} {r.probe} ({r.stage})" for r in rows.itertuples()]
    return "\n".join(lines) or "no probes"
