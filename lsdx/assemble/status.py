"""Which datasets a session should have, and which of them are there."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lsdx.assemble.layout import GABORS, INTERVALS, STIMS, best_sorter, sorter_of
from lsdx.readers.records import DatasetRecord
from lsdx.schema.sessions import CAMERAS

LF_POWER = "_iblqc_ephysSpectralDensityLF.power.npy"


def dataset_status(
    datasets: Sequence[DatasetRecord],
    passive_runs: Sequence[int],
    phases: Sequence[str],
    has_file: dict[str, bool],
    probes: Sequence[str] = (),
) -> dict[str, str]:
    """Return the state of each derived dataset: there, not extracted, or without raw data.

    Parameters
    ----------
    datasets : sequence of DatasetRecord
        All of the session's.
    passive_runs : sequence of int
        Numbers of the passive runs, in order.
    phases : sequence of str
        The protocol's phases.
    has_file : dict
        Whether labels of bombcell's were read, by probe (no record lists them).
    probes : sequence of str
        The session's probes; where none is known, probe00 and probe01.

    Returns
    -------
    dict
        ``group/slot/name`` to one of the three states.
    """
    present = [(d.collection, d.name) for d in datasets if d.present]
    places = set(present)
    status: dict[str, str] = {}

    def tell(key: str, found: bool, raw: bool) -> None:
        state = "extraction error" if raw else "raw data missing"
        status[key] = "extraction complete" if found else state

    for i, phase in enumerate(phases):
        number = passive_runs[i] if i < len(passive_runs) else None
        raw = number is not None
        tell(f"task/{phase}/raw", raw, False)
        for name in (INTERVALS, STIMS, GABORS):
            short = name.removeprefix("_ibl_").rsplit(".", 1)[0]
            tell(f"task/{phase}/{short}", raw and (f"alf/task_{number:02d}", name) in places, raw)
    for probe in probes or ("probe00", "probe01"):
        folder = f"raw_ephys_data/{probe}"
        names = [n for c, n in present if c == folder]
        raw = any(re.search(r"\.imec\d+\.ap\.cbin$", n) for n in names)
        sync = any(re.search(r"\.imec\d+\.sync\.npy$", n) for n in names)
        tell(f"ephys/{probe}/raw_ap", raw, False)
        tell(f"ephys/{probe}/sync", sync, raw)
        tell(f"ephys/{probe}/lf_power", LF_POWER in names, raw)
        by_sorter: dict[str, set[str]] = {}
        for collection, name in places:
            if (sorter := sorter_of(collection, probe)) is not None:
                by_sorter.setdefault(sorter, set()).add(name)
        files = by_sorter.get(best_sorter(by_sorter) or "", set())
        tell(f"ephys/{probe}/spikes", {"spikes.times.npy", "spikes.clusters.npy"} <= files, raw)
        tell(f"ephys/{probe}/uuids", "clusters.uuids.csv" in files, raw)
        tell(f"ephys/{probe}/bombcell", has_file.get(probe, False), raw)
    for camera in CAMERAS:
        raw = ("raw_video_data", f"_iblrig_{camera}Camera.raw.mp4") in places
        tell(f"video/{camera}/raw", raw, False)
        for key, name in (("pose", "lightningPose"), ("dlc", "dlc")):
            tell(f"video/{camera}/{key}", ("alf", f"_ibl_{camera}Camera.{name}.pqt") in places, raw)
    return status
