"""One session's records and files, read and checked: what every assembly starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from lsdx.assemble.cameras import CameraFiles, FrameClock
from lsdx.assemble.layout import Sorting
from lsdx.config import Pharmacology
from lsdx.config import Pose as PoseRules
from lsdx.readers.bombcell import Bombcell
from lsdx.readers.ephys import Channels, Clusters, Spikes
from lsdx.readers.lab import PROJECT, Administration
from lsdx.readers.passive import RIG_FIELDS, Gabors, TaskSettings
from lsdx.readers.records import DatasetRecord, InsertionRecord, SessionRecord
from lsdx.readers.video import Pose, Wheel


@dataclass(frozen=True)
class Probe:
    """One probe that has spikes: its records and its sorting, read.

    ``amplitudes`` (V) and ``depths`` (um) are of each spike, float32, ``sites`` (um across and
    along the probe) of each channel, and ``bombcell`` its measures: None where they are not there,
    or no store of quality is asked for. ``absent`` are recorded files of these that are not on
    disk.
    """

    insertion: InsertionRecord
    sorting: Sorting
    spikes: Spikes
    clusters: Clusters
    channels: Channels | None
    duplicates: np.ndarray | None = None
    amplitudes: np.ndarray | None = None
    depths: np.ndarray | None = None
    sites: np.ndarray | None = None
    bombcell: Bombcell | None = None
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """One task run: what the rig says of it, and its extracted tables (None: not there).

    ``unreadable`` names the tables that are there and could not be read; ``notes`` say which
    revisions were chosen where the records leave a choice.
    """

    number: int
    settings: TaskSettings
    intervals: Mapping[str, tuple[float, float]] | None = None
    gabors: Gabors | None = None
    stims: Mapping[str, np.ndarray] | None = None
    unreadable: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def passive(self) -> bool:
        """Whether it is a run of the passive protocol."""
        return "passive" in self.settings.protocol.lower()

    @property
    def filler(self) -> bool:
        """Whether it is the spontaneous run that fills the time after the injection."""
        return "spontaneous" in self.settings.protocol.lower() and not self.passive


@dataclass(frozen=True)
class Camera:
    """One camera: its files, its pose and motion energy (None: not there), when its frames were.

    ``clock`` is that of the pose, ``energy_clock`` that of the motion energy. ``n_dropped`` are
    the frames missing by the camera's own counter; -1 unknown. ``notes`` say what was left out.
    """

    files: CameraFiles
    pose: Pose | None = None
    clock: FrameClock | None = None
    motion_energy: np.ndarray | None = None
    energy_clock: FrameClock | None = None
    n_dropped: int = -1
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recording:
    """All that is known of one session before anything is computed.

    ``overrides`` are the session's rows of the table of epochs: (phase, epoch) to (start,
    stop) in s; ``events`` its rows of the table of events. ``rules`` say how long after the
    injection the second phase should come. ``unread`` are probes whose sorting could not be
    read. ``stacks`` is whether the subject's image stacks are
    published, None if not known.
    """

    session: SessionRecord
    insertions: tuple[InsertionRecord, ...] = ()
    datasets: tuple[DatasetRecord, ...] = ()
    probes: tuple[Probe, ...] = ()
    runs: tuple[Run, ...] = ()
    phases: tuple[str, ...] = ("pre", "post")
    epochs: tuple[str, ...] = ("spontaneous", "rfm", "replay")
    overrides: Mapping[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    events: tuple[Mapping[str, str | float], ...] = ()
    administration: Administration | None = None
    rules: Pharmacology = PROJECT
    cameras: tuple[Camera, ...] = ()
    wheel: Wheel | None = None
    pose: PoseRules = field(default_factory=PoseRules)
    unread: frozenset[str] = frozenset()
    stacks: bool | None = None

    def without_of_spikes(self) -> Recording:
        """Leave the amplitudes and depths of the spikes out, which take as much room as these."""
        probes = tuple(replace(p, amplitudes=None, depths=None) for p in self.probes)
        return replace(self, probes=probes)

    @property
    def passive_runs(self) -> tuple[Run, ...]:
        """The passive runs, in order of their number."""
        return tuple(r for r in self.runs if r.passive)


def rig_seconds(first: TaskSettings, second: TaskSettings) -> float:
    """Return the seconds from one run's rig start to another's, NaN if not both are known.

    The same field of both is used, ``SESSION_DATETIME`` before ``SESSION_START_TIME``:
    both are of one rig PC, and only their difference means anything. Times with a zone are
    compared as instants; where one has none, both are taken as local times.

    Examples
    --------
    >>> import pandas as pd
    >>> a = TaskSettings("passive", {"SESSION_DATETIME": pd.Timestamp("2023-06-01 10:00")})
    >>> b = TaskSettings("passive", {"SESSION_DATETIME": pd.Timestamp("2023-06-01 10:50")})
    >>> rig_seconds(a, b)
    3000.0
    """
    for name in RIG_FIELDS:
        if name in first.start_times and name in second.start_times:
            times = first.start_times[name], second.start_times[name]
            if any(t.tzinfo is None for t in times):
                times = times[0].tz_localize(None), times[1].tz_localize(None)
            return float((times[1] - times[0]).total_seconds())
    return float("nan")
