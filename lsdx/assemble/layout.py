"""Which of a session's datasets to read: sorter, revision, task runs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from lsdx.errors import SourceError, located
from lsdx.readers.ephys import AMPLITUDES, DEPTHS, SITES
from lsdx.readers.records import DatasetRecord

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
OF_QUALITY = (AMPLITUDES, DEPTHS, SITES)
LEAD = SORTING_FILES[0]
UNKNOWN_SORTER = "unknown"  # of files that lie in the probe's own folder
_SORTED = re.compile(r"alf/([^/]+)(?:/([^/]+))?")
SETTINGS = "_iblrig_taskSettings.raw.json"
INTERVALS = "_ibl_passivePeriods.intervalsTable.csv"
GABORS = "_ibl_passiveGabor.table.csv"
STIMS = "_ibl_passiveStims.table.csv"


@dataclass(frozen=True)
class Sorting:
    """The one sorting of a probe that is read: one sorter, files as of one revision.

    ``revision`` is that of the spike times; ``notes`` say what was chosen where the records
    leave a choice, or know of a better sorting that is not on disk.
    """

    probe: str
    collection: str
    sorter: str
    revision: str
    version: str
    files: tuple[DatasetRecord, ...]
    notes: tuple[str, ...] = ()

    @property
    def other_revisions(self) -> str:
        """Files of another revision than the spike times, as text; blank: none."""
        others = [d for d in self.files if d.revision != self.revision]
        return "; ".join(f"{d.name}: {d.revision or 'none'}" for d in others)


@dataclass(frozen=True)
class RunFiles:
    """The datasets of one task run: rig settings, what was extracted from it, choices made."""

    number: int
    settings: DatasetRecord
    extracted: dict[str, DatasetRecord]
    notes: tuple[str, ...] = ()


def pick_revision(
    datasets: Sequence[DatasetRecord], until: str | None = None
) -> tuple[DatasetRecord | None, str]:
    """Pick one revision of one dataset, and say why where the flags do not tell.

    A revision folder holds only the files that changed, so that each file has revisions of its
    own. The default one is taken if exactly one is flagged, else the newest by name.

    Parameters
    ----------
    datasets : sequence of DatasetRecord
        The dataset's revisions.
    until : str, optional
        The revision of the whole that the dataset is part of: nothing after it is taken.

    Returns
    -------
    DatasetRecord or None
        None where all revisions are later than ``until``.
    str
        A note; blank where the flags tell.

    Examples
    --------
    >>> old = DatasetRecord("alf/#2023-01-01#/a.b.npy", default_revision=False)
    >>> new = DatasetRecord("alf/#2024-01-01#/a.b.npy", default_revision=True)
    >>> pick_revision([old, new])[0].revision
    '2024-01-01'
    >>> pick_revision([old, new], until="2023-06-01")[0].revision
    '2023-01-01'
    """
    ordered = sorted(datasets, key=lambda d: (d.revision, d.path))
    known = [d for d in ordered if until is None or d.revision <= until]
    if not known:
        return None, ""
    default = [d for d in ordered if d.default_revision]
    if len(default) == 1 and default[0] in known:
        return default[0], ""
    chosen = known[-1]
    if len(ordered) == 1 or (until is not None and not default):
        return chosen, ""
    named = ", ".join(d.revision or "none" for d in (default or ordered))
    flagged = f"default revisions {named}" if default else f"no default among revisions {named}"
    return chosen, f"{chosen.name}: {flagged}; read: {chosen.revision or 'none'}"


def pinned(datasets: Iterable[DatasetRecord], revision: str) -> tuple[DatasetRecord, ...]:
    """Keep of each dataset the last revision on or before one, whatever the flags say.

    Examples
    --------
    >>> old, new = DatasetRecord("alf/a.b.npy"), DatasetRecord("alf/#2024-01-01#/a.b.npy")
    >>> [d.revision for d in pinned([old, new], "2023-12-31")]
    ['']
    """
    last: dict[tuple[str, str], DatasetRecord] = {}
    for dataset in sorted(datasets, key=lambda d: (d.revision, d.path)):
        if dataset.revision <= revision:
            last[dataset.collection, dataset.name] = dataset
    return tuple(sorted(last.values(), key=lambda d: d.path))


def find_probes(datasets: Iterable[DatasetRecord], named: Collection[str] = ()) -> tuple[str, ...]:
    """List the probes of a session.

    Those are the ones that the insertion records name, and the folders that hold sorted spikes
    (``alf/<probe>/<sorter>``, or ``alf/<probe>`` in older sessions) or, called ``probe...``, raw
    recordings.

    Examples
    --------
    >>> find_probes([DatasetRecord("alf/adn/klusters/spikes.times.npy")])
    ('adn',)
    """
    found = set(named)
    for dataset in datasets:
        raw = re.match(r"(?:alf|raw_ephys_data)/(probe\w+)(?:/|$)", dataset.collection)
        sorted_ = dataset.name == LEAD and _SORTED.fullmatch(dataset.collection)
        found |= {m.group(1) for m in (raw, sorted_) if m}
    return tuple(sorted(found))


def passed_over(datasets: Iterable[DatasetRecord]) -> tuple[str, ...]:
    """List the files that look like sorted spikes, in folders where sortings are not expected.

    Examples
    --------
    >>> passed_over([DatasetRecord("alf/probe00/ks2/old/spikes.times.npy")])
    ('alf/probe00/ks2/old/spikes.times.npy',)
    """
    return tuple(
        d.path
        for d in datasets
        if d.readable
        and "spikes.times" in d.name
        and not (d.name == LEAD and _SORTED.fullmatch(d.collection))
    )


def not_to_be_had(
    datasets: Iterable[DatasetRecord], probe: str, sorting: Sorting | None
) -> tuple[str, ...]:
    """List the files of a probe's sorting that are recorded and cannot be read.

    Parameters
    ----------
    datasets : iterable of DatasetRecord
    probe : str
    sorting : Sorting or None
        The one that is read, whose other files are looked at; None: spike times anywhere.

    Examples
    --------
    >>> not_to_be_had([DatasetRecord("alf/p/ks2/spikes.times.npy", readable=False)], "p", None)
    ('alf/p/ks2/spikes.times.npy',)
    """
    names = {LEAD} if sorting is None else set(SORTING_FILES) - {d.name for d in sorting.files}
    absent = [d for d in datasets if not d.readable and d.name in names]
    if sorting is not None:
        return tuple(d.path for d in absent if d.collection == sorting.collection)
    return tuple(d.path for d in absent if sorter_of(d.collection, probe) is not None)


def find_sorting(
    datasets: Iterable[DatasetRecord], probe: str, where: str, get: str = "Download them."
) -> Sorting | None:
    """Choose the sorting of a probe; None where no spikes are on disk.

    iblsorter comes before pykilosort before ks2, then any other folder that holds
    ``spikes.times.npy``, last the probe's own; units and spikes come from that folder alone. A
    revision is that of ``spikes.times.npy``; each other file is its own default, or its newest,
    that is not later. The places of the channels come from histology, after the sorting, and
    have revisions of their own. ``get`` advises how to get a file that is recorded and not on disk.

    Raises
    ------
    SourceError
        If the folder lacks a file that is needed.
    """
    listed = tuple(datasets)
    by_sorter: dict[str, dict[str, list[DatasetRecord]]] = {}
    recorded: dict[str, set[str]] = {}
    for dataset in listed:
        sorter = sorter_of(dataset.collection, probe)
        if sorter is None:
            continue
        if dataset.present:
            recorded.setdefault(sorter, set()).add(dataset.name)
        if dataset.readable and dataset.name in SORTING_FILES:
            by_sorter.setdefault(sorter, {}).setdefault(dataset.name, []).append(dataset)
    sorter = best_sorter(by_sorter)
    if sorter is None:
        return None
    names = by_sorter[sorter]
    times, note = pick_revision(names[LEAD])
    if times is None:
        return None
    collection = times.collection
    chosen, notes = {LEAD: times}, [note]
    for name in sorted(set(names) - {LEAD}):
        of_channels = name.startswith("channels.")
        picked, note = pick_revision(names[name], None if of_channels else times.revision)
        notes.append(note)
        if picked is not None:
            chosen[name] = picked
    missing = [n for n in NEEDED if n not in chosen]
    if missing:
        raise SourceError(
            located(
                f"{where}, {collection}",
                f"{', '.join(NEEDED)} of revision {times.revision or 'none'} or before",
                "no " + ", ".join(f"{n} (later ones only)" if n in names else n for n in missing),
                get
                if recorded.get(sorter, set()) & set(missing)
                else "Ask whoever sorted the spikes for the whole folder.",
            )
        )
    if (best := best_sorter(recorded)) not in (None, sorter):
        notes.append(f"{sorter} read; {best} is recorded but not on disk")
    elif not times.default_revision and any(
        d.default_revision and d.present and (d.collection, d.name) == (collection, LEAD)
        for d in listed
    ):
        notes.append("an older revision read; the default one is not on disk")
    return Sorting(
        probe,
        collection,
        sorter,
        times.revision,
        times.version,
        tuple(chosen[n] for n in sorted(chosen)),
        tuple(f"{probe}: {n}" for n in notes if n),
    )


def find_of_quality(
    datasets: Iterable[DatasetRecord], sorting: Sorting
) -> tuple[tuple[DatasetRecord, ...], tuple[str, ...]]:
    """Choose what a sorting may be without: amplitudes and depths of spikes, sites of channels.

    Each is its own default revision, or its newest, that of spikes not after the spike times.

    Returns
    -------
    tuple of DatasetRecord
        Those that can be read.
    tuple of str
        Paths of those that are recorded and cannot be read.

    Examples
    --------
    >>> depths = DatasetRecord("alf/p/ks2/spikes.depths.npy")
    >>> sorting = Sorting("p", "alf/p/ks2", "ks2", "", "", ())
    >>> [d.name for d in find_of_quality([depths], sorting)[0]]
    ['spikes.depths.npy']
    """
    chosen, absent = [], []
    listed = [d for d in datasets if sorter_of(d.collection, sorting.probe) == sorting.sorter]
    for name in OF_QUALITY:
        named = [d for d in listed if d.name == name]
        until = None if name == SITES else sorting.revision
        picked, _ = pick_revision([d for d in named if d.readable], until)
        if picked is not None:
            chosen.append(picked)
        else:
            absent += [d.path for d in named]
    return tuple(chosen), tuple(absent)


def sorter_of(collection: str, probe: str) -> str | None:
    """Return the sorter whose folder of a probe this is, None for any other folder."""
    match = _SORTED.fullmatch(collection)
    return match.group(2) or UNKNOWN_SORTER if match and match.group(1) == probe else None


def best_sorter(by_sorter: Mapping[str, Collection[str]]) -> str | None:
    """Return the sorter to read; ``by_sorter`` maps each to the names of its files."""
    ranked = sorted(
        (s for s, names in by_sorter.items() if LEAD in names),
        key=lambda s: (
            SORTERS.index(s) if s in SORTERS else len(SORTERS),
            s == UNKNOWN_SORTER,
            s,
        ),
    )
    return ranked[0] if ranked else None


def find_runs(
    datasets: Sequence[DatasetRecord], where: str, get: str = "Download it."
) -> tuple[RunFiles, ...]:
    """List the task runs that have rig settings, in order of their number.

    Runs that exist but are not on disk are listed too, since the order of all runs decides which
    phase each is.

    Raises
    ------
    SourceError
        If one run has settings and another, of which there are traces, has none.
    """
    by_place: dict[tuple[str, str], list[DatasetRecord]] = {}
    for dataset in datasets:
        if dataset.present or dataset.readable:
            by_place.setdefault((dataset.collection, dataset.name), []).append(dataset)
    runs = []
    for collection, name in sorted(by_place):
        match = re.fullmatch(r"raw_task_data_(\d+)", collection)
        if match and name == SETTINGS:
            task = f"alf/task_{match.group(1)}"
            places = [(collection, name), *((task, n) for n in (INTERVALS, GABORS, STIMS))]
            picked = [pick_revision(by_place[p]) for p in places if p in by_place]
            settings, *extracted = [d for d, _ in picked if d is not None]
            runs.append(
                RunFiles(
                    number=int(match.group(1)),
                    settings=settings,
                    extracted={d.name: d for d in extracted},
                    notes=tuple(f"run {match.group(1)}: {note}" for _, note in picked if note),
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
                f"{get} Without it no run can be told from another.",
            )
        )
    return tuple(sorted(runs, key=lambda r: r.number))
