"""The lab's own tables: epochs, administrations, trajectories, exclusions."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lsdx.config import Pharmacology
from lsdx.readers.files import broken, numbers, read_csv
from lsdx.readers.records import uuid_of

CORRECT = "Correct the table."
PROJECT = Pharmacology(drug="lsd", control="saline")


@dataclass(frozen=True)
class Administration:
    """One row of the table of administrations.

    ``time`` in s after the start of the first passive run's spontaneous epoch (NaN if blank),
    ``weight`` in g, volumes in uL.
    """

    subject: str
    date: pd.Timestamp
    rec_day: int
    time: float
    weight: float
    stock: float
    saline: float


def read_epochs_table(
    path: Path, phases: Collection[str], epochs: Collection[str]
) -> dict[str, dict[tuple[str, str], tuple[float, float]]]:
    """Read ``epochs.csv`` (eid, phase, epoch, start, stop): (start, stop) in s.

    Returns
    -------
    dict
        eid -> (phase, epoch) -> (start, stop).

    Raises
    ------
    SourceError
        For names that the protocol does not have, a row that stands twice, or times that
        are no numbers with 0 <= start < stop.
    """
    where = str(path)
    labels = ("eid", "phase", "epoch")
    columns = (*labels, "start", "stop")
    table = read_csv(path, where, columns, **_as_text(labels, ("start", "stop")))
    start, stop = numbers(table, "start", where), numbers(table, "stop", where)
    out: dict[str, dict[tuple[str, str], tuple[float, float]]] = {}
    for i, row in enumerate(table.itertuples(index=False)):
        line = f"{where}, row {i + 1}"
        if row.phase not in phases or row.epoch not in epochs:
            names = f"a phase of {', '.join(phases)} and an epoch of {', '.join(epochs)}"
            raise broken(line, names, f"{row.phase}, {row.epoch}", CORRECT)
        if not 0 <= start[i] < stop[i] < np.inf:
            raise broken(line, "0 <= start < stop", f"{start[i]}, {stop[i]}", CORRECT)
        session = out.setdefault(uuid_of(row.eid, line), {})
        key = (str(row.phase), str(row.epoch))
        if key in session:
            again = f"a second row of {row.phase}, {row.epoch}"
            do = (
                "Name them apart, such as rest_1 and rest_2, in the table and in [protocol] epochs."
            )
            raise broken(line, "each epoch of a session once", again, do)
        session[key] = (float(start[i]), float(stop[i]))
    return out


def read_events_table(
    path: Path, phases: Collection[str]
) -> dict[str, tuple[dict[str, str | float], ...]]:
    """Read ``events.csv``: eid, phase, kind, start, stop (s), and any other columns.

    Returns
    -------
    dict
        eid -> its rows: numbers where a whole column is of numbers (NaN: blank), else text.

    Raises
    ------
    SourceError
        For a phase that the protocol does not have, an event without kind, or times that are
        no numbers with 0 <= start <= stop; a blank stop is not known.
    """
    where = str(path)
    labels = ("eid", "phase", "kind")
    table = read_csv(path, where, (*labels, "start", "stop"), dtype=str, keep_default_na=False)
    for name in [c for c in table.columns if c not in labels]:
        column = table[name].str.strip()
        found = pd.to_numeric(column, errors="coerce").astype(np.float64)
        wrong = np.flatnonzero(found.isna() & (column != ""))
        if not wrong.size:
            table[name] = found
        elif name in ("start", "stop"):
            line = f"{where}, row {wrong[0] + 1}, column {name}"
            raise broken(line, "a time in s", repr(column.iloc[wrong[0]]), CORRECT)
    out: dict[str, list[dict[str, str | float]]] = {}
    rows: list[dict[Any, Any]] = table.to_dict("records")
    for i, row in enumerate(rows):
        line = f"{where}, row {i + 1}"
        if row["phase"] not in phases:
            raise broken(line, f"a phase of {', '.join(phases)}", repr(row["phase"]), CORRECT)
        if not row["kind"].strip():
            raise broken(line, "a kind of event", "none", CORRECT)
        if not 0 <= row["start"] < np.inf or not (
            np.isnan(row["stop"]) or row["start"] <= row["stop"] < np.inf
        ):
            raise broken(line, "0 <= start <= stop", f"{row['start']}, {row['stop']}", CORRECT)
        out.setdefault(uuid_of(row.pop("eid"), line), []).append(
            {str(name): value for name, value in row.items()}
        )
    return {eid: tuple(rows) for eid, rows in out.items()}


def read_administrations(path: Path) -> dict[tuple[str, pd.Timestamp], Administration]:
    """Read the table of administrations: subject and day -> row.

    Raises
    ------
    SourceError
        For a date that is not dd.mm.yyyy, a time that is not h:mm:ss, text where a number
        belongs, or two rows of one subject on one day.
    """
    where = str(path)
    columns = ("rec_day", "date", "animal_ID", "weight", "stock_uL", "saline_uL")
    table = read_csv(
        path,
        where,
        (*columns, "administration_time"),
        **_as_text(("animal_ID", "date"), (*columns, "administration_time")),
    )
    values = {c: numbers(table, c, where) for c in ("rec_day", "weight", "stock_uL", "saline_uL")}
    clock = table["administration_time"].astype(object)
    times = clock.where(clock.notna(), "").astype(str).tolist()
    rows: dict[tuple[str, pd.Timestamp], Administration] = {}
    for i in range(len(table)):
        line = f"{where}, row {i + 1}"
        subject, date = str(table["animal_ID"].iloc[i]).strip(), _date(table["date"].iloc[i], line)
        day = values["rec_day"][i]
        if not subject:
            raise broken(line, "an animal_ID", "none", CORRECT)
        if (not np.isnan(day) and day != np.floor(day)) or np.isinf(day):
            raise broken(line, "a whole number in rec_day", day, CORRECT)
        if (subject, date) in rows:
            raise broken(line, "one row a subject and day", f"{subject} twice", CORRECT)
        rows[subject, date] = Administration(
            subject=subject,
            date=date,
            rec_day=-1 if np.isnan(day) else int(day),
            time=_clock(times[i], line),
            weight=float(values["weight"][i]),
            stock=float(values["stock_uL"][i]),
            saline=float(values["saline_uL"][i]),
        )
    return rows


def odd_administrations(
    rows: Collection[Administration], rules: Pharmacology = PROJECT
) -> list[str]:
    """List what `flag_administrations` finds, in words.

    Examples
    --------
    >>> day = pd.Timestamp("2023-01-02")
    >>> odd_administrations([Administration("M1", day, 1, 1200.0, 30.0, 90.0, 10.0)])
    ['M1 2023-01-02: stock + saline is 100 uL, not 200']
    """
    return [
        f"{subject} {date:%Y-%m-%d}: {note}"
        for (subject, date), flags in flag_administrations(rows, rules).items()
        for note in flags.values()
    ]


def flag_administrations(
    rows: Collection[Administration], rules: Pharmacology = PROJECT
) -> dict[tuple[str, pd.Timestamp], dict[str, str]]:
    """Find rows that break the lab's rules: volume in all, stock per body mass, weight steps.

    Parameters
    ----------
    rows : collection of Administration
    rules : Pharmacology
        This project's by default: 200 uL in all, 3 uL/g, weight steps within 15 %.

    Returns
    -------
    dict
        Subject and day -> flag (``volume``, ``stock``, ``weight``, ``weight_step``) -> words.

    Examples
    --------
    >>> day = pd.Timestamp("2023-01-02")
    >>> row = Administration("M1", day, 1, 1200.0, 30.0, 90.0, 10.0)
    >>> flag_administrations([row])["M1", day]
    {'volume': 'stock + saline is 100 uL, not 200'}
    """
    flags: dict[tuple[str, pd.Timestamp], dict[str, str]] = {}
    last: dict[str, float] = {}
    for row in sorted(rows, key=lambda r: (r.subject, r.date)):
        found = flags.setdefault((row.subject, row.date), {})
        total = row.stock + row.saline
        if abs(total - rules.total_volume) > rules.volume_tolerance:
            found["volume"] = f"stock + {rules.control} is {total:g} uL, not {rules.total_volume:g}"
        per_gram = row.stock / row.weight if row.weight > 0 else np.nan
        if abs(per_gram - rules.stock_per_gram) > rules.stock_tolerance:
            found["stock"] = f"stock is {per_gram:.2f} uL/g, not {rules.stock_per_gram:g}"
        if row.weight <= 0:
            found["weight"] = f"weight is {row.weight:g} g"
        if not row.weight > 0:  # blank, too
            continue
        before = last.setdefault(row.subject, row.weight)
        if abs(row.weight / before - 1) > rules.weight_step:
            found["weight_step"] = f"weight {before:g} g before, {row.weight:g} g now"
        last[row.subject] = row.weight
    return {key: found for key, found in flags.items() if found}


def read_trajectories(path: Path) -> dict[str, dict[str, str]]:
    """Read the table of trajectories: eid -> labels, errors as true, false or unknown."""
    where = str(path)
    names = ("trajectory_01", "error_t01", "trajectory_02", "error_t02")
    columns = ("date", "subject", "eid", *names)
    table = read_csv(path, where, columns, dtype=str, keep_default_na=False)
    rows: dict[str, dict[str, str]] = {}
    for i, row in enumerate(table.to_dict("records")):
        line = f"{where}, row {i + 1}"
        eid = uuid_of(row["eid"], line)
        if eid in rows:
            raise broken(line, "each session once", f"{eid} twice", CORRECT)
        rows[eid] = {
            "date": f"{_date(row['date'], line):%Y-%m-%d}",
            **{n: row[n].strip() for n in names[::2]},
            **{n: _flag(row[n]) for n in names[1::2]},
        }
    return rows


def read_exclusions(path: Path) -> Mapping[str, str]:
    """Read ``exclusions.csv`` (id, reason): why a session, insertion or unit is left out."""
    where = str(path)
    table = read_csv(path, where, ("id", "reason"), dtype=str, keep_default_na=False)
    reasons: dict[str, str] = {}
    for i, row in enumerate(table.to_dict("records")):
        line = f"{where}, row {i + 1}"
        if not row["reason"].strip():
            raise broken(line, "a reason", "none", CORRECT)
        key = uuid_of(row["id"], line)
        if key in reasons:
            raise broken(line, "each id once", f"{key} twice", CORRECT)
        reasons[key] = row["reason"].strip()
    return reasons


def _as_text(names: Collection[str], blank: Collection[str]) -> dict[str, Any]:
    """Return options for pandas: columns that are text, where NA is a name; others may be blank."""
    absent = {n: ["", "NA", "NaN", "nan"] for n in blank if n not in names}
    return {"dtype": dict.fromkeys(names, str), "keep_default_na": False, "na_values": absent}


def _date(text: object, where: str) -> pd.Timestamp:
    try:
        return pd.Timestamp(datetime.strptime(str(text).strip(), "%d.%m.%Y"))
    except ValueError:
        raise broken(where, "a date dd.mm.yyyy", repr(text), CORRECT) from None


def _clock(text: str, where: str) -> float:
    if not text.strip():
        return np.nan
    if not re.fullmatch(r"[0-9]+:[0-5]?[0-9]:[0-5]?[0-9]", text.strip()):
        raise broken(where, "a time h:mm:ss", repr(text), CORRECT)
    hours, minutes, seconds = map(int, text.strip().split(":"))
    return float(3600 * hours + 60 * minutes + seconds)


def _flag(text: str) -> str:
    return {"true": "true", "false": "false"}.get(text.strip().lower(), "unknown")
