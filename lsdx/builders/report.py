"""The report of a build: what happened to each session and kind, and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import pandas as pd

from lsdx.builders.placing import replace_file
from lsdx.remote import Root

REPORT = "report.json"


@dataclass(frozen=True)
class Line:
    """One session and kind: ``status`` is built, found, reused, skipped or failed.

    ``found``: it was built, and another build had published the same meanwhile.
    """

    session: str
    kind: str
    status: str
    seconds: float
    bytes: int
    reason: str = ""
    trace: str = ""


@dataclass(frozen=True)
class Report:
    """What a build did.

    ``lines`` are one a session and kind, the flat stores under the session ``all``;
    ``names`` are subject and day by session; ``notes`` concern the cohort.
    """

    lines: tuple[Line, ...]
    names: Mapping[str, str]
    notes: tuple[str, ...]
    simulated: bool
    stores: str
    catalog: str

    @property
    def failed(self) -> bool:
        """Whether anything failed."""
        return any(line.status == "failed" for line in self.lines)

    def to_frame(self) -> pd.DataFrame:
        """Return the lines as a table."""
        names = [f.name for f in fields(Line) if f.name != "trace"]
        return pd.DataFrame([asdict(line) for line in self.lines], columns=names)

    def save(self, root: Root) -> None:
        """Save the report as JSON beside the catalog."""
        replace_file(root, REPORT, json.dumps(asdict(self), indent=1))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it, sessions by id and name."""
        lines = [
            {"session_label": self.names.get(line.session, ""), **asdict(line)}
            for line in self.lines
        ]
        for line in lines:
            del line["trace"]
        return {
            "stores": self.stores,
            "catalog": self.catalog,
            "simulated": self.simulated,
            "failed": self.failed,
            "lines": lines,
            "notes": list(self.notes),
        }

    def grid(self) -> pd.DataFrame:
        """Return statuses of sessions by kind, with seconds and MB in all."""
        return _grid([line for line in self.lines if line.session != "all"], self.names)

    def to_text(self, *, grid: bool = True) -> str:
        """Write the report: a row a session (``grid``), then what they lack, then notes."""
        flat = [line for line in self.lines if line.session == "all"]
        rest = [line for line in self.lines if line.session != "all"]
        blocks = []
        if self.simulated and grid:
            blocks.append("SIMULATED: the lsdx demo cohort, not recordings.")
        if rest and grid:
            blocks.append(self.grid().to_string())
        reasons = _reasons(rest, self.names)
        blocks += ["\n".join(["What sessions lack, and what was found:", *reasons])] if rest else []
        if flat:
            rows = [f"  {line.kind}: {line.status}, {line.bytes / 1e6:.1f} MB" for line in flat]
            rows = [
                r + (f" ({line.reason})" if line.reason else "")
                for r, line in zip(rows, flat, strict=True)
            ]
            blocks.append("\n".join(["Flat stores:", *rows]))
        if self.notes:
            blocks.append("\n".join(["Notes:", *(f"  {n}" for n in self.notes)]))
        counts = Counter(line.status for line in self.lines)
        total = ", ".join(f"{counts[s]} {s}" for s in _STATUSES if counts[s])
        blocks.append(f"{self.stores}: {total or 'nothing to do'}; catalog {self.catalog[:16]}")
        return "\n\n".join(blocks)


_STATUSES = ("built", "found", "reused", "skipped", "failed")


def _grid(lines: Iterable[Line], names: Mapping[str, str]) -> pd.DataFrame:
    """Statuses of sessions by kind, with seconds and bytes in all."""
    columns = [f.name for f in fields(Line)]
    frame = pd.DataFrame([asdict(line) for line in lines], columns=columns)
    order = list(dict.fromkeys(frame["kind"]))
    status = frame.groupby(["session", "kind"], sort=False)["status"].agg(
        lambda s: "failed" if "failed" in set(s) else s.iloc[-1]
    )
    table = status.unstack("kind").reindex(columns=order).fillna("")
    table = table.loc[list(dict.fromkeys(frame["session"]))]
    sums = frame.groupby("session", sort=False)[["seconds", "bytes"]].sum()
    table["seconds"] = sums["seconds"].map("{:.1f}".format)
    table["MB"] = (sums["bytes"] / 1e6).map("{:.1f}".format)
    table.columns.name = None
    table.index = pd.Index([f"{names.get(eid, '')}  {eid[:8]}" for eid in table.index])
    return table


def _reasons(lines: Iterable[Line], names: Mapping[str, str]) -> list[str]:
    """One line a reason, under its session; kinds that share a reason together."""
    by_session: dict[str, dict[tuple[str, str], list[str]]] = {}
    for line in lines:
        if line.reason:
            kinds = by_session.setdefault(line.session, {})
            kinds.setdefault((line.status, line.reason), []).append(line.kind)
    rows = []
    for eid, kinds in by_session.items():
        rows.append(f"  {names.get(eid, '')}  {eid}")
        for (status, reason), which in kinds.items():
            state = f" {status}" if status in ("skipped", "failed") else ""
            rows.append(f"    {', '.join(which)}{state}: {reason}")
    return rows
