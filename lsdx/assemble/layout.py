"""Which of a session's datasets to read: sorter, revision, task runs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from lsdx.errors import SourceError, located
from lsdx.readers.records import DatasetRecord
from lsdx.schema.sessions import CAMERAS

SORTERS = ("iblsorter", "pykilosort", "ks2")
SORTING_FILES = (
    "spikes.times.npy",
    "spikes.clusters.npy",
    "clusters.channels.npy",
    "clusters.depths.npy",
    "clusters.uuids.csv",
    "clusters.metrics.pqt",
    "channels.mlapdv.npy",
    "channels.brainLocationIds_ccf_2017.npy",
)
NEEDED = SORTING_FILES[:4]
LF_POWER = "_iblqc_ephysSpectralDensityLF.power.npy"
SETTINGS = "_iblrig_taskSettings.raw.json"
INTERVALS = "_ibl_passivePeriods.intervalsTable.csv"
GABORS = "_ibl_passiveGabor.table.csv"
STIMS = "_ibl_passiveStims.table.csv"


@dataclass(frozen=True)
class Sorting:
    """The one sorting of a probe that is read: one sorter, one revision.

    ``note`` says where the records know of a better one that is not on disk.
    """

    probe: str
    collection: str
    sorter: str
    revision: str
    version: str
    files: tuple[DatasetRecord, ...]
    note: str = ""


@dataclass(frozen=True)
class RunFiles:
    """The datasets of one task run: rig settings, and what was extracted from it."""

    number: int
    settings: DatasetRecord
    extracted: dict[str, DatasetRecord]


def pick_revision(datasets: Sequence[DatasetRecord], where: str) -> DatasetRecord:
    """Pick one revision of one dataset: the default one; a single one whatever its flag.

    Examples
    --------
    >>> old = DatasetRecord("alf/#2023-01-01#/a.b.npy", default_revision=False)
    >>> new = DatasetRecord("alf/#2024-01-01#/a.b.npy", default_revision=True)
    >>> pick_revision([old, new], "session").revision
    '2024-01-01'
    """
    if len(datasets) == 1:
        return datasets[0]
    default = [d for d in datasets if d.default_revision]
    if len(default) != 1:
        names = ", ".join(d.revision or "none" for d in datasets)
        raise SourceError(
            located(
                f"{where}/{datasets[0].name}",
                "one default revision",
                f"{len(default)} among {names}",
                "Correct the flags in the records.",
            )
        )
    return default[0]


def find_probes(datasets: Iterable[DatasetRecord]) -> tuple[str, ...]:
    """List the probes that have a folder of sorted spikes or of raw recordings."""
    form = re.compile(r"(?:alf|raw_ephys_data)/(probe\w+)(?:/|$)")
    found = (form.match(d.collection) for d in datasets)
    return tuple(sorted({m.group(1) for m in found if m}))


def find_sorting(datasets: Iterable[DatasetRecord], probe: str, where: str) -> Sorting | None:
    """Choose the sorting of a probe; None where no spikes are on disk.

    iblsorter comes before pykilosort before ks2, then any other folder that holds
    ``spikes.times.npy``; units and spikes come from that folder alone.

    Raises
    ------
    SourceError
        If the folder lacks a file that is needed, or its spikes' revisions differ.
    """
    form = re.compile(rf"alf/{re.escape(probe)}/([^/]+)")
    listed = tuple(datasets)
    by_sorter: dict[str, dict[str, list[DatasetRecord]]] = {}
    recorded: dict[str, set[str]] = {}
    for dataset in listed:
        match = form.fullmatch(dataset.collection)
        if match and dataset.present:
            recorded.setdefault(match.group(1), set()).add(dataset.name)
        if match and dataset.on_disk and dataset.name in SORTING_FILES:
            by_name = by_sorter.setdefault(match.group(1), {})
            by_name.setdefault(dataset.name, []).append(dataset)
    sorter = _best_sorter(by_sorter)
    if sorter is None:
        return None
    collection = f"alf/{probe}/{sorter}"
    place = f"{where}, {collection}"
    names = by_sorter[sorter]
    times = pick_revision(names["spikes.times.npy"], place)
    files = [f for n in sorted(names) if (f := _of_revision(names[n], times.revision, place))]
    missing = [n for n in NEEDED if n not in {f.name for f in files}]
    if missing:
        raise SourceError(
            located(
                place,
                f"{', '.join(NEEDED)} of revision {times.revision or 'none'}",
                "no " + ", ".join(missing),
                "Download them with ONE.",
            )
        )
    note = ""
    if (best := _best_sorter(recorded)) not in (None, sorter):
        note = f"{probe}: {sorter} read; {best} is recorded but not on disk"
    elif not times.default_revision and any(
        d.default_revision and d.present and (d.collection, d.name) == (collection, times.name)
        for d in listed
    ):
        note = f"{probe}: an older revision read; the default one is not on disk"
    return Sorting(probe, collection, sorter, times.revision, times.version, tuple(files), note)


def _best_sorter(by_sorter: Mapping[str, Collection[str]]) -> str | None:
    """Choose among sorters, each with the names of its files, those with spike times."""
    ranked = sorted(
        (s for s, names in by_sorter.items() if "spikes.times.npy" in names),
        key=lambda s: (SORTERS.index(s) if s in SORTERS else len(SORTERS), s),
    )
    return ranked[0] if ranked else None


def _of_revision(
    datasets: Sequence[DatasetRecord], revision: str, where: str
) -> DatasetRecord | None:
    # where the channels lie is settled later than the sorting, under revisions of its own
    if datasets[0].name.startswith("channels."):
        return pick_revision(datasets, where)
    return next((d for d in datasets if d.revision == revision), None)


def find_runs(datasets: Sequence[DatasetRecord], where: str) -> tuple[RunFiles, ...]:
    """List the task runs that have rig settings, in order of their number.

    Those that exist but are not on disk are listed too: to pass over one would be to mistake
    one run for another.

    Raises
    ------
    SourceError
        If one run has settings and another, of which there are traces, has none.
    """
    by_place: dict[tuple[str, str], list[DatasetRecord]] = {}
    for dataset in datasets:
        if dataset.present or dataset.on_disk:
            by_place.setdefault((dataset.collection, dataset.name), []).append(dataset)
    runs = []
    for collection, name in sorted(by_place):
        match = re.fullmatch(r"raw_task_data_(\d+)", collection)
        if match and name == SETTINGS:
            task = f"alf/task_{match.group(1)}"
            runs.append(
                RunFiles(
                    number=int(match.group(1)),
                    settings=pick_revision(by_place[collection, name], where),
                    extracted={
                        n: pick_revision(by_place[task, n], where)
                        for n in (INTERVALS, GABORS, STIMS)
                        if (task, n) in by_place
                    },
                )
            )
    traces = (re.match(r"(?:raw_task_data|alf/task)_(\d+)$", d.collection) for d in datasets)
    silent = {int(m.group(1)) for m in traces if m} - {r.number for r in runs}
    if runs and silent:
        raise SourceError(
            located(
                where,
                f"{SETTINGS} of every run",
                f"none of run {min(silent):02d}",
                "Download it: without it no run can be told from another.",
            )
        )
    return tuple(sorted(runs, key=lambda r: r.number))


def dataset_status(
    datasets: Sequence[DatasetRecord],
    passive_runs: Sequence[int],
    phases: Sequence[str],
    has_file: dict[str, bool],
) -> dict[str, str]:
    """Tell of each derived dataset whether it is there, and if not, whether its raw data are.

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
    for probe in ("probe00", "probe01"):
        folder = f"raw_ephys_data/{probe}"
        names = [n for c, n in present if c == folder]
        raw = any(re.search(r"\.imec\d+\.ap\.cbin$", n) for n in names)
        sync = any(re.search(r"\.imec\d+\.sync\.npy$", n) for n in names)
        tell(f"ephys/{probe}/raw_ap", raw, False)
        tell(f"ephys/{probe}/sync", sync, raw)
        tell(f"ephys/{probe}/lf_power", LF_POWER in names, raw)
        by_sorter: dict[str, set[str]] = {}
        for collection, name in places:
            if match := re.fullmatch(rf"alf/{probe}/([^/]+)", collection):
                by_sorter.setdefault(match.group(1), set()).add(name)
        files = by_sorter.get(_best_sorter(by_sorter) or "", set())
        tell(f"ephys/{probe}/spikes", {"spikes.times.npy", "spikes.clusters.npy"} <= files, raw)
        tell(f"ephys/{probe}/uuids", "clusters.uuids.csv" in files, raw)
        tell(f"ephys/{probe}/bombcell", has_file.get(probe, False), raw)
    for camera in CAMERAS:
        raw = ("raw_video_data", f"_iblrig_{camera}Camera.raw.mp4") in places
        tell(f"video/{camera}/raw", raw, False)
        for key, name in (("pose", "lightningPose"), ("dlc", "dlc")):
            tell(f"video/{camera}/{key}", ("alf", f"_ibl_{camera}Camera.{name}.pqt") in places, raw)
    return status
