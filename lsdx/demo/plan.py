"""Who is recorded when: the subject, day and condition of each session, and its oddities."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from uuid import NAMESPACE_URL, uuid3

# Subject, date, condition, LSD days of the mouse so far, oddities. The oddities steer the writing.
FIRST_SESSIONS = """
LSDX-A 2023-01-19 lsd    1 sorter_differs_by_probe
LSDX-A 2023-06-14 lsd    2 rig_clock_run
LSDX-B 2023-02-22 lsd    1 two_sorters_on_one_probe imec00 no_gabor_table bombcell
LSDX-B 2025-01-20 saline 1 missing_uuids revisions
LSDX-C 2025-02-05 lsd    1 filler_run ends_early
LSDX-D 2025-02-12 saline 0 filler_run missing_probe long_spontaneous
LSDX-C 2025-02-19 lsd    2 no_spikes
""".strip().splitlines()
# What is odd about the cameras of those sessions; `cameras.ODD_CAMERA` says which camera has it.
CAMERAS = (
    "",
    "dlc_only",
    "dropped_frames surplus_times two_trackers",
    "surplus_minutes",
    "no_camera",
    "no_times no_likelihood",
    "short_times",
)
# The further sessions, seven at a time: mouse, date in the first week, and so on.
FURTHER_SESSIONS = """
0 2025-03-03 lsd    1 filler_run
0 2025-03-07 saline 1 filler_run
1 2023-08-22 lsd    1
2 2023-08-21 lsd    1
2 2023-08-25 lsd    2
2 2025-03-05 lsd    3 filler_run
3 2025-03-06 saline 0 filler_run
""".strip().splitlines()


@dataclass(frozen=True)
class Plan:
    """What a session is, before anything is drawn."""

    index: int
    subject: str
    day: date
    condition: str
    rec_day: int
    oddities: tuple[str, ...]

    def __contains__(self, oddity: str) -> bool:
        return oddity in self.oddities

    @property
    def lab(self) -> str:
        """Lab that recorded the session."""
        return "demolab_north" if self.subject in ("LSDX-A", "LSDX-B") else "demolab_south"

    @property
    def number(self) -> int:
        """Number of the session on its day."""
        return 2 if self.index % 7 == 1 else 1

    @property
    def path(self) -> str:
        """Folder of the session in the cache."""
        return f"{self.lab}/Subjects/{self.subject}/{self.day}/{self.number:03d}"

    @property
    def weight(self) -> float:
        """Weight in g, within a few per cent between the days of one mouse."""
        grams = 21.4 + sum(map(ord, self.subject)) * 13 % 80 / 10 + self.index % 5 * 0.2
        return round(grams, 1)

    @property
    def probes(self) -> tuple[str, ...]:
        """Names of the probes."""
        return ("probe00",) if "missing_probe" in self else ("probe00", "probe01")

    def sorter(self, probe: str) -> str:
        """Return the sorter of a probe's sorting that is read."""
        differs = "sorter_differs_by_probe" in self and probe == "probe01"
        return "pykilosort" if differs else "iblsorter"


def plan_session(index: int) -> Plan:
    """Plan one session: the first seven by hand, the rest in a pattern of four mice."""
    week, slot = divmod(index - len(FIRST_SESSIONS), len(FURTHER_SESSIONS))
    row = FIRST_SESSIONS[index] if week < 0 else FURTHER_SESSIONS[slot]
    mouse, day_text, condition, rec_day, *oddities = row.split()
    day = date.fromisoformat(day_text)
    if week >= 0:
        mouse, day = f"LSDX-{5 + 4 * week + int(mouse):02d}", day + timedelta(weeks=week)
    if _last_sunday(day.year, 3) <= day < _last_sunday(day.year, 10):
        oddities.append("summer_time")  # the rig's clock is an hour ahead of UTC
    if "no_spikes" not in oddities:
        oddities.append("silent_cluster")
    if week < 0:
        oddities += CAMERAS[index].split()
    return Plan(index, mouse, day, condition, int(rec_day), tuple(oddities))


def _last_sunday(year: int, month: int) -> date:
    end = date(year, month, 31)
    return end - timedelta(days=(end.weekday() + 1) % 7)


def identifier(name: str) -> str:
    """Return the fixed id of a path: of version 3, since ONE refuses version 5."""
    return str(uuid3(NAMESPACE_URL, f"lsdx-demo/{name}"))
