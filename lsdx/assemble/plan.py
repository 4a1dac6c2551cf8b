"""What one session has, before a file is read: its records and the files chosen from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import pandas as pd

from lsdx.assemble.cameras import CameraFiles
from lsdx.assemble.layout import RunFiles, Sorting
from lsdx.config import Pharmacology, Pose
from lsdx.readers.lab import PROJECT, Administration
from lsdx.readers.records import DatasetRecord, InsertionRecord, SessionRecord


@dataclass(frozen=True)
class LabTables:
    """The lab's tables and the protocol's names, as far as one session needs them.

    ``revision`` is the last one that is read, blank for the records' own choice; ``bombcell`` the
    folder of the results that are.
    """

    phases: tuple[str, ...]
    epochs: tuple[str, ...]
    overrides: Mapping[str, Mapping[tuple[str, str], tuple[float, float]]] = field(
        default_factory=dict
    )
    administrations: Mapping[tuple[str, pd.Timestamp], Administration] = field(default_factory=dict)
    events: Mapping[str, tuple[Mapping[str, str | float], ...]] = field(default_factory=dict)
    revision: str = ""
    bombcell: str = "bombcell"
    rules: Pharmacology = PROJECT
    pose: Pose = field(default_factory=Pose)


@dataclass(frozen=True)
class ProbePlan:
    """One probe to read: its insertion, its sorting, files that no record lists.

    ``of_quality`` are the amplitudes and depths of its spikes and the sites of its channels,
    ``measures`` what tells of bombcell's run, None where no store of quality is asked for;
    ``absent`` are recorded ones that are not on disk.
    """

    insertion: InsertionRecord
    sorting: Sorting
    extra: Mapping[str, Path]
    of_quality: tuple[DatasetRecord, ...] = ()
    measures: Mapping[str, Path] | None = None
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class SessionPlan:
    """What would be read of a session.

    ``problems`` are what cannot be; ``unread`` the probes among it; ``lacking`` says which probes
    have no spikes, and which files look like sorted spikes and are none of those chosen from.
    ``cameras`` and ``wheel`` are empty where no store of behaviour is asked for.
    """

    session: SessionRecord
    insertions: tuple[InsertionRecord, ...]
    datasets: tuple[DatasetRecord, ...]
    probes: tuple[ProbePlan, ...]
    runs: tuple[RunFiles, ...]
    problems: tuple[str, ...]
    unread: frozenset[str]
    stacks: bool | None
    lacking: tuple[str, ...] = ()
    cameras: tuple[CameraFiles, ...] = ()
    wheel: tuple[DatasetRecord, ...] = ()

    @property
    def files(self) -> tuple[DatasetRecord, ...]:
        """Every dataset that would be read."""
        runs = ((r.settings, *r.extracted.values()) for r in self.runs)
        of_probes = chain(*((*p.sorting.files, *p.of_quality) for p in self.probes))
        of_cameras = chain(*(c.files for c in self.cameras))
        return (*of_probes, *chain(*runs), *of_cameras, *self.wheel)

    def without(self, probes: set[str], cameras: set[str]) -> SessionPlan:
        """Leave out probes and cameras that could not be read."""
        rest = tuple(p for p in self.probes if p.insertion.probe not in probes)
        seen = tuple(c for c in self.cameras if c.camera not in cameras)
        return replace(self, probes=rest, cameras=seen, unread=self.unread | probes)
