"""Plan and read one session: which files, what they hash to, and what they hold."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lsdx import regions
from lsdx.assemble.cameras import TooFewTimes, find_cameras, find_wheel
from lsdx.assemble.layout import (
    GABORS,
    INTERVALS,
    STIMS,
    RunFiles,
    Sorting,
    find_of_quality,
    find_probes,
    find_runs,
    find_sorting,
    not_to_be_had,
    passed_over,
    pinned,
)
from lsdx.assemble.plan import LabTables, ProbePlan, SessionPlan
from lsdx.assemble.recording import Probe, Recording, Run
from lsdx.builders.video import read_camera, read_wheel_of
from lsdx.errors import SourceError, located
from lsdx.readers.bombcell import (
    FOLDER,
    LABEL_FILES,
    MEASURE_FILES,
    places,
    read_duplicates,
    read_measures,
)
from lsdx.readers.ephys import (
    AMPLITUDES,
    DEPTHS,
    SITES,
    check_sorting,
    read_channels,
    read_clusters,
    read_of_spikes,
    read_sites,
    read_spikes,
)
from lsdx.readers.files import md5_of
from lsdx.readers.passive import read_gabors, read_intervals, read_stims, read_task_settings
from lsdx.readers.records import DatasetRecord, SessionRecord
from lsdx.sources import Source

_TABLES = {INTERVALS: read_intervals, GABORS: read_gabors, STIMS: read_stims}


def plan_session(
    source: Source,
    session: SessionRecord,
    revision: str = "",
    inputs: Collection[str] = ("behavior",),
    *,
    folder: str = FOLDER,
) -> SessionPlan:
    """Choose the files of a session, none after a revision if one is given; read none of them.

    Those of cameras and wheel are chosen only if ``inputs`` has ``"behavior"``, amplitudes and
    depths of spikes only if it has ``"quality"``: they are large. ``folder`` is that of bombcell's
    results.
    """
    eid = session.eid
    where = f"session {eid}"
    datasets, insertions = source.datasets(eid), source.insertions(eid)
    if revision:
        datasets = pinned(datasets, revision)
    by_name = {i.probe: i for i in insertions}
    probes, problems, unread = [], [], set()
    sortings: dict[str, Sorting | None] = {}
    for probe in find_probes(datasets, by_name):
        try:
            sorting = find_sorting(datasets, probe, where, source.file_advice)
            sortings[probe] = sorting
            if sorting is None:
                continue
            if probe not in by_name:
                raise SourceError(
                    located(
                        f"{where}, {sorting.collection}",
                        f"an insertion record of {probe}",
                        "none",
                        source.insertion_advice,
                    )
                )
            extra = _results(source, eid, sorting, places(LABEL_FILES, folder))
            planned = ProbePlan(by_name[probe], sorting, extra)
            if "quality" in inputs:
                of_quality, absent = find_of_quality(datasets, sorting)
                measures = _results(source, eid, sorting, places(MEASURE_FILES, folder))
                planned = replace(planned, of_quality=of_quality, measures=measures, absent=absent)
            probes.append(planned)
        except SourceError as error:
            problems.append(str(error))
            unread.add(probe)
    try:
        runs = find_runs(datasets, where, source.file_advice)
    except SourceError as error:
        runs, problems = (), [*problems, str(error)]
    watched = "behavior" in inputs
    return SessionPlan(
        session,
        insertions,
        datasets,
        tuple(probes),
        runs,
        tuple(problems),
        frozenset(unread),
        source.stacks(session.subject),
        tuple(_lacking(datasets, sortings, by_name, source.file_advice)),
        find_cameras(datasets) if watched else (),
        find_wheel(datasets) if watched else (),
    )


def _results(
    source: Source, eid: str, sorting: Sorting, files: Mapping[str, str]
) -> dict[str, Path]:
    """Return where those files are that are beside the sorter's own output."""
    place = f"spike_sorters/{sorting.sorter}/{sorting.probe}"
    found = {name: source.extra_file(eid, f"{place}/{path}") for name, path in files.items()}
    return {name: path for name, path in found.items() if path is not None}


def _lacking(
    datasets: Sequence[DatasetRecord],
    sortings: Mapping[str, Sorting | None],
    named: Collection[str],
    get: str,
) -> Iterator[str]:
    """Say which sorting is not to be had, and which probes have none though another has one."""
    some = any(sortings.values())
    for probe, sorting in sortings.items():
        listed = not_to_be_had(datasets, probe, sorting)
        if listed:
            yield f"{probe}: recorded but not on disk: {', '.join(listed)}. {get}"
        elif some and sorting is None and probe in named:
            yield f"{probe}: no sorted spikes"
    if odd := passed_over(datasets):
        yield f"look like sorted spikes, not read: {', '.join(odd)}"


def session_inputs(
    source: Source, plan: SessionPlan, lab: LabTables, unreadable: Sequence[str] = ()
) -> dict[str, Any]:
    """Return what each group of inputs is, as JSON: records, and md5s of files.

    Files that could not be read (``unreadable``) make other inputs: once they are mended,
    what was built without them is not mistaken for the whole.
    """
    eid = plan.session.eid

    def md5(dataset: DatasetRecord) -> list[str]:
        if dataset.md5:
            return [dataset.path, dataset.md5]
        try:
            return [dataset.path, md5_of(source.fetch(eid, dataset))]
        except SourceError:
            return [dataset.path, "unreadable"]

    administration = lab.administrations.get((plan.session.subject, plan.session.date))
    return {
        "record": {
            "session": {k: str(v) for k, v in asdict(plan.session).items()},
            "present": sorted(f"{d.collection}/{d.name}" for d in plan.datasets if d.present),
            "stacks": plan.stacks,
            "probes": [*(i.pid for i in plan.insertions), *find_probes(plan.datasets)],
        },
        "ephys": {
            "session": [eid, plan.session.subject, plan.session.label],
            "insertions": [
                {k: v for k, v in asdict(i).items() if k != "json"} | {"json": dict(i.json)}
                for i in plan.insertions
            ],
            "atlas": regions.version(),
            "unread": sorted(plan.unread),
            "probes": [
                {
                    "pid": p.insertion.pid,
                    "sorting": [p.sorting.sorter, p.sorting.revision, p.sorting.version],
                    "files": [md5(d) for d in p.sorting.files],
                    "extra": {n: md5_of(path) for n, path in sorted(p.extra.items())},
                }
                for p in plan.probes
            ],
        },
        "task": {
            "session": plan.session.label,
            "runs": [
                [r.number, md5(r.settings), [md5(d) for _, d in sorted(r.extracted.items())]]
                for r in plan.runs
            ],
            "unreadable": sorted(unreadable),
            "phases": lab.phases,
            "epochs": lab.epochs,
            "overrides": sorted(
                [*key, *times] for key, times in lab.overrides.get(eid, {}).items()
            ),
            "events": [{k: str(v) for k, v in row.items()} for row in lab.events.get(eid, ())],
            "administration": administration
            and [administration.time, lab.rules.post_interval, lab.rules.post_tolerance],
        },
        "behavior": {
            "session": eid,
            "cameras": [
                [c.camera, c.tracker, c.pose and [c.pose.revision, c.pose.version]]
                + [md5(d) for d in c.files]
                for c in plan.cameras
            ],
            "wheel": [md5(d) for d in plan.wheel],
            "unreadable": sorted(unreadable),
            "phases": lab.phases,
            "rules": asdict(lab.pose),
        },
        "quality": {
            "probes": [
                {
                    "files": [md5(d) for d in p.of_quality],
                    "absent": p.absent,
                    "bombcell": {n: md5_of(path) for n, path in sorted((p.measures or {}).items())},
                }
                for p in plan.probes
            ],
            "unreadable": sorted(unreadable),
        },
    }


@dataclass(frozen=True)
class Reading:
    """A session as read: the plan of what could be read, and what could not, by path.

    ``left_out`` says why cameras were left out that no other reading would bring.
    """

    recording: Recording
    plan: SessionPlan
    problems: tuple[str, ...]
    unreadable: tuple[str, ...]
    left_out: Mapping[str, str]


def read_recording(source: Source, plan: SessionPlan, lab: LabTables) -> Reading:
    """Read a session's files; what cannot be read is left out and told."""
    probes, problems, failed = [], list(plan.problems), set()
    unreadable: list[str] = []
    for probe in plan.probes:
        try:
            before = len(problems)
            probes.append(_read_probe(source, plan.session.eid, probe, problems))
            unreadable += [f"quality of {probe.insertion.probe}"] * (len(problems) > before)
        except SourceError as error:
            problems.append(str(error))
            failed.add(probe.insertion.probe)
    runs: list[Run] = []
    try:
        runs = [_read_run(source, plan.session.eid, run, problems) for run in plan.runs]
    except SourceError as error:
        # without one run's settings nobody knows which run is which
        problems.append(str(error))
        unreadable.append("task settings")
    eid = plan.session.eid
    cameras, left_out = {}, {}
    for files in plan.cameras:
        try:
            before = len(problems)
            camera = read_camera(source, eid, files, lab.pose, problems)
            cameras[files.camera] = camera
            # once they are mended, what was built without them is not the whole
            unreadable += [f"{files.camera}, besides its pose"] * (len(problems) > before)
        except TooFewTimes as error:
            left_out[files.camera] = str(error)
        except SourceError as error:
            problems.append(str(error))
            unreadable.append(files.camera)
    wheel = read_wheel_of(source, eid, plan.wheel, problems)
    unreadable += ["wheel"] * (wheel is None and bool(plan.wheel))
    recording = Recording(
        session=plan.session,
        insertions=plan.insertions,
        datasets=plan.datasets,
        probes=tuple(probes),
        runs=tuple(runs),
        phases=lab.phases,
        epochs=lab.epochs,
        overrides=lab.overrides.get(eid, {}),
        events=lab.events.get(eid, ()),
        administration=lab.administrations.get((plan.session.subject, plan.session.date)),
        rules=lab.rules,
        cameras=tuple(cameras.values()),
        wheel=wheel,
        pose=lab.pose,
        unread=plan.unread | failed,
        stacks=plan.stacks,
    )
    unreadable += [f"{r.number} {n}" for r in runs for n in r.unreadable]
    blind = {c.camera for c in plan.cameras} - set(cameras)
    rest = plan.without(failed, blind)
    return Reading(recording, rest, tuple(problems), tuple(unreadable), left_out)


def _read_probe(source: Source, eid: str, probe: ProbePlan, problems: list[str]) -> Probe:
    sorting = probe.sorting
    where = f"session {eid}, {sorting.collection}"
    if sorting.other_revisions:
        where += f" (revision {sorting.revision or 'none'}, but {sorting.other_revisions})"
    files = {d.name: source.fetch(eid, d) for d in sorting.files} | dict(probe.extra)
    spikes, clusters = read_spikes(files, where), read_clusters(files, where)
    channels = read_channels(files, where)
    check_sorting(spikes, clusters, channels, where)
    read = Probe(
        insertion=probe.insertion,
        sorting=sorting,
        spikes=spikes,
        clusters=clusters,
        channels=channels,
        duplicates=read_duplicates(files, spikes, where),
        absent=probe.absent,
    )
    return replace(read, **_read_quality(source, eid, probe, files, read, where, problems))


def _read_quality(
    source: Source,
    eid: str,
    probe: ProbePlan,
    files: Mapping[str, Path],
    read: Probe,
    where: str,
    problems: list[str],
) -> dict[str, Any]:
    """Read what only the store of quality takes; what cannot be read is left out and told."""
    quality: dict[str, Any] = {}
    if probe.measures is None:
        return quality
    names = {AMPLITUDES: "amplitudes", DEPTHS: "depths"}
    for dataset in probe.of_quality:
        try:
            path = source.fetch(eid, dataset)
            if dataset.name == SITES:
                quality["sites"] = read_sites(path, read.clusters, where)
                continue
            found = {dataset.name: path}
            values = read_of_spikes(found, dataset.name, read.spikes, where)
            quality[names[dataset.name]] = values
        except SourceError as error:
            problems.append(str(error))
    try:
        n = read.clusters.channels.size
        quality["bombcell"] = read_measures({**files, **probe.measures}, read.spikes, n, where)
    except SourceError as error:
        problems.append(str(error))
    return quality


def _read_run(source: Source, eid: str, run: RunFiles, problems: list[str]) -> Run:
    settings = read_task_settings(
        source.fetch(eid, run.settings), f"session {eid}, {run.settings.path}"
    )
    tables: dict[str, Any] = {}
    unreadable = []
    for name, dataset in run.extracted.items():
        try:
            path = source.fetch(eid, dataset)
            tables[name] = _TABLES[name](path, f"session {eid}, {dataset.path}")
        except SourceError as error:
            problems.append(str(error))
            unreadable.append(name)
    return Run(
        number=run.number,
        settings=settings,
        intervals=tables.get(INTERVALS),
        gabors=tables.get(GABORS),
        stims=tables.get(STIMS),
        unreadable=tuple(unreadable),
        notes=run.notes,
    )
