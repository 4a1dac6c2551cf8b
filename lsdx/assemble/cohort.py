"""What only the whole cohort and the lab's tables can say of a session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from lsdx.config import Pharmacology
from lsdx.readers.lab import PROJECT, Administration, flag_administrations
from lsdx.readers.records import SessionRecord


@dataclass(frozen=True)
class Cohort:
    """What joins the sessions of a cohort: the full listing, the lab's tables and lists.

    ``sessions`` is every session of the source, stored or not; ``conditions`` maps each
    condition's name to session ids, the first of them being the drug's;
    ``stock_concentration`` is in ug/uL, NaN where it is not known; the administrations are
    checked against ``rules``.
    """

    sessions: tuple[SessionRecord, ...]
    condition_names: tuple[str, ...] = ("lsd", "saline")
    conditions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    administrations: Mapping[tuple[str, pd.Timestamp], Administration] = field(default_factory=dict)
    trajectories: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    exclusions: Mapping[str, str] = field(default_factory=dict)
    stock_concentration: float = np.nan
    rules: Pharmacology = PROJECT

    def condition(self, session: SessionRecord) -> tuple[str, str]:
        """Name a session's condition and where it is known from.

        Examples
        --------
        >>> day = pd.Timestamp("2025-03-04")
        >>> s = SessionRecord("a", "lab", "M1", day, 1)
        >>> Cohort((s,), conditions={"saline": ("a",)}).condition(s)
        ('saline', 'settings')
        >>> Cohort((s,)).condition(s)
        ('unknown', '')
        """
        listed = [c for c in self.condition_names if session.eid in self.conditions.get(c, ())]
        drug = self.condition_names[0]
        given = (session.subject, session.date) in self.administrations
        if given and listed and listed[0] != drug:
            return "unknown", f"conflict: settings say {listed[0]}, administrations say {drug}"
        if given:
            return drug, "administrations"
        return (listed[0], "settings") if listed else ("unknown", "")

    def drug_days(self, subject: str) -> np.ndarray:
        """List the days a subject got the drug: table and list alike, stored or not."""
        drug = self.condition_names[0]
        days = {d for s, d in self.administrations if s == subject}
        days |= {
            s.date
            for s in self.sessions
            if s.subject == subject and s.eid in self.conditions.get(drug, ())
        }
        return np.array(sorted(days), dtype="datetime64[D]")

    def labels(self, eids: Iterable[str]) -> dict[str, list[object]]:
        """Return the cohort's labels of sessions, one list a label, in the order of ``eids``."""
        by_eid = {s.eid: s for s in self.sessions}
        ranks = _session_ranks(self.sessions)
        odd = flag_administrations(self.administrations.values(), self.rules)
        rows = [
            self._row(by_eid[eid], ranks[eid])
            | {"flags": self._flags(by_eid[eid], odd.get((by_eid[eid].subject, by_eid[eid].date)))}
            for eid in eids
        ]
        return {name: [r[name] for r in rows] for name in rows[0]} if rows else {}

    def notes(self) -> list[str]:
        """List what the lab's tables and the records disagree on."""
        found = {(s.subject, s.date) for s in self.sessions}
        notes = [
            f"administrations: {subject} {date:%Y-%m-%d} has no session"
            for subject, date in sorted(self.administrations)
            if (subject, date) not in found
        ]
        for session in self.sessions:
            source = self.condition(session)[1]
            if source.startswith("conflict"):
                notes.append(f"session {session.eid}: condition unknown, {source}")
            if stated := self._misdated(session):
                notes.append(f"trajectories: {session.eid} is dated {stated}, not as its record")
        return notes

    def _flags(self, session: SessionRecord, administration: Iterable[str] | None) -> str:
        """Name what the lab's tables and the records disagree on for one session."""
        flags = list(administration or ())
        if self._misdated(session):
            flags.append("trajectory_date")
        if self.condition(session)[1].startswith("conflict"):
            flags.append("condition")
        return ", ".join(flags)

    def _misdated(self, session: SessionRecord) -> str:
        """Return the day in the table of trajectories, if it is another one; else blank."""
        stated = self.trajectories.get(session.eid, {}).get("date", "")
        return "" if stated == f"{session.date:%Y-%m-%d}" else stated

    def _row(self, session: SessionRecord, rank: int) -> dict[str, object]:
        condition, source = self.condition(session)
        day = np.datetime64(session.date, "D")
        before = self.drug_days(session.subject)
        before = (day - before[before < day]).astype(np.int64)
        given = self.administrations.get((session.subject, session.date))
        weight = given.weight if given else np.nan
        stock = given.stock if given else np.nan
        trajectory = self.trajectories.get(session.eid, {})
        return {
            "condition": condition,
            "condition_source": source,
            "session_n": rank,
            "cohort_year": session.date.year,
            "days_since_lsd": float(before.min()) if before.size else np.nan,
            "days_since_first_lsd": float(before.max()) if before.size else np.nan,
            "rec_day": given.rec_day if given else -1,
            "weight": weight,
            "stock_volume": stock,
            "saline_volume": given.saline if given else np.nan,
            "stock_per_weight": stock / weight if weight > 0 else np.nan,
            "dose": stock * self.stock_concentration / weight * 1e3 if weight > 0 else np.nan,
            "trajectory_01": trajectory.get("trajectory_01", ""),
            "error_t01": trajectory.get("error_t01", "unknown"),
            "trajectory_02": trajectory.get("trajectory_02", ""),
            "error_t02": trajectory.get("error_t02", "unknown"),
            "exclusion": self.exclusions.get(session.eid, ""),
        }


def _session_ranks(sessions: Iterable[SessionRecord]) -> dict[str, int]:
    """Dense rank of each session's start among its subject's, from 1."""
    starts: dict[str, set[tuple[pd.Timestamp, int]]] = {}
    sessions = tuple(sessions)
    for s in sessions:
        starts.setdefault(s.subject, set()).add(s.order[:2])
    ranked = {m: {k: i for i, k in enumerate(sorted(keys), 1)} for m, keys in starts.items()}
    return {s.eid: ranked[s.subject][s.order[:2]] for s in sessions}
