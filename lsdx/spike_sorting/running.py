"""Run bombcell on the sorter's own output of each probe, beside the recordings."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import portalocker

from lsdx.assemble.layout import find_probes, find_sorting, pinned
from lsdx.config import Settings, is_folder_name
from lsdx.errors import (
    ArgumentError,
    ConfigError,
    LsdxError,
    SelectionError,
    SourceError,
    located,
    missing_package,
)
from lsdx.readers.records import DatasetRecord
from lsdx.remote import RemotePath
from lsdx.sources import open_source
from lsdx.spike_sorting.unpacking import unpack

if TYPE_CHECKING:
    from distributed import Client

ARCHIVE = "_kilosort_raw.output.tar"
MEASURES = "templates._bc_qMetrics.parquet"
RUN = "_lsdx_run.json"
CLUSTERS = "spike_clusters.npy"
# what bombcell reads; Kilosort's ops.npy holds a pickle, and is never touched
NEEDED = (
    "amplitudes.npy",
    "channel_positions.npy",
    CLUSTERS,
    "spike_templates.npy",
    "spike_times.npy",
    "templates.npy",
    "whitening_mat_inv.npy",
)
PCS = ("pc_features.npy", "pc_feature_ind.npy")
RESULTS = (
    MEASURES,
    "_bc_parameters._bc_qMetrics.parquet",
    "spikes._bc_duplicateSpikes.npy",
    "templates._bc_fractionRefractoryPeriodViolationsPerTauR.parquet",
)
LABELS = "cluster_bc_unitType.tsv"
DEFAULTS: Mapping[str, Any] = {"removeDuplicateSpikes": True}
# no pictures, no words, one process
QUIET = {"plotGlobal": False, "plotDetails": False, "savePlots": False, "verbose": False}


@dataclass(frozen=True)
class Outcome:
    """What became of one probe.

    ``status`` is ``built``, ``found`` (there already, with these parameters), ``skipped`` (nothing
    to run on) or ``failed``; ``reason`` says why.
    """

    session: str
    label: str
    probe: str
    status: str
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class _Task:
    """One probe to run on: the folder of its sorter's output, and the archive that holds it."""

    outcome: Outcome
    folder: Path
    archive: Path | None
    fetched: bool
    name: str
    version: int | str
    parameters: Mapping[str, Any]


def run_bombcell(
    settings: Settings,
    *,
    sessions: Iterable[str] = (),
    probes: Iterable[str] = (),
    name: str = "",
    client: Client | None = None,
    offline: bool = False,
    progress: bool = True,
) -> list[Outcome]:
    """Run bombcell for each probe whose sorter's output is there or can be fetched.

    Parameters
    ----------
    settings : Settings
        ``quality.parameters`` are bombcell's own and win over its defaults, of which one is
        changed: ``removeDuplicateSpikes`` is true.
    sessions, probes : iterable of str
        Session ids and probe names; all by default.
    name : str
        Folder of the results beside the sorter's output; ``quality.folder`` by default. Results
        with other parameters go to a folder of another name.
    client : distributed.Client, optional
        Where to run; else local processes, one a probe.
    offline : bool
        Do without Alyx.
    progress : bool
        Whether to show a bar (never where the output is no terminal).

    Returns
    -------
    list of Outcome
        One a probe. What fails stops no other probe. A run that is broken off is finished by the
        next.

    Raises
    ------
    MissingPackage
        Without bombcell: ``pip install 'lsdx[bombcell]'``.
    SelectionError, ArgumentError
        For a session or a probe that the source does not have; a name that is no folder's.
    ConfigError, SourceError
        If the source cannot be read.

    Notes
    -----
    The output is read from the folder ``spike_sorters/<sorter>/<probe>`` or from the archive
    ``_kilosort_raw.output.tar`` in it, of the sorter whose spikes lsdx reads. The archive is
    fetched if the source has it, checked by its md5, unpacked into a folder that is removed at
    the end, and removed too if this run has fetched it. Duplicate spikes are only removed where
    there is ``pc_features.npy``. The results are bombcell's own files without its pictures and
    its pickle, ``spike_clusters.npy`` beside them (the order of its mask of duplicates), and
    ``_lsdx_run.json`` with version and parameters.
    """
    from tqdm import tqdm

    _require_bombcell()
    tasks, outcomes = _plan(settings, list(sessions), list(probes), name, offline, progress)
    bar = tqdm(total=len(tasks), desc="probes", unit="probe", disable=None if progress else True)
    with bar:
        for outcome in _on_client(tasks, client) if client else _on_processes(tasks):
            bar.update()
            outcomes.append(outcome)
    return sorted(outcomes, key=lambda o: (o.label, o.session, o.probe))


def _require_bombcell() -> None:
    from importlib.util import find_spec

    if find_spec("bombcell") is None:  # it is slow to import, and prints
        raise missing_package("lsdx quality run", "bombcell", "bombcell")


def _plan(
    settings: Settings,
    sessions: Sequence[str],
    probes: Sequence[str],
    name: str,
    offline: bool,
    progress: bool,
) -> tuple[list[_Task], list[Outcome]]:
    """Return what is to be run, and the probes that need no run or cannot have one."""
    if isinstance(settings.cache_dir, RemotePath):
        do = "bombcell writes beside the recordings: name a folder of this machine."
        raise ConfigError(
            located("quality run, cache_dir", "a folder", str(settings.cache_dir), do)
        )
    source, settings = open_source(settings, offline=offline, progress=progress)
    records = {s.eid: s for s in source.sessions()}
    for eid in sessions:
        if eid not in records:
            expected = f"eids of the source's {len(records)} sessions"
            raise SelectionError(located("quality run, sessions", expected, repr(eid)))
    name = name or settings.quality.folder
    if not is_folder_name(name):
        raise ArgumentError(located("quality run, name", "the name of a folder", repr(name)))
    parameters = {**DEFAULTS, **settings.quality.parameters}
    tasks, outcomes, seen = [], [], set()
    for eid in sessions or records:
        datasets: Sequence[DatasetRecord] = source.datasets(eid)
        if settings.sources.revision:
            datasets = pinned(datasets, settings.sources.revision)
        for probe in find_probes(datasets):
            seen.add(probe)
            if probes and probe not in probes:
                continue
            outcome = Outcome(eid, records[eid].label, probe, "skipped")
            try:
                sorting = find_sorting(datasets, probe, f"session {eid}", source.file_advice)
                if sorting is None:
                    outcomes.append(replace(outcome, reason="no sorted spikes"))
                    continue
                place = f"spike_sorters/{sorting.sorter}/{probe}"
                folder = source.folder(eid) / place
                task = _Task(
                    outcome, folder, None, False, name, _version(sorting.sorter), parameters
                )
                if told := _already(task):
                    outcomes.append(told)
                    continue
                found = _with_archive(source, eid, datasets, place, task, progress)
            except SourceError as error:
                outcomes.append(replace(outcome, status="failed", reason=str(error)))
                continue
            if found is None:
                reason = f"neither {place}/{ARCHIVE} nor its files on disk. {source.file_advice}"
                outcomes.append(replace(outcome, reason=reason))
            else:
                tasks.append(found)
    for probe in probes:
        if probe not in seen:
            known = ", ".join(sorted(seen)) or "none"
            raise SelectionError(located("quality run, probes", f"probes: {known}", repr(probe)))
    return tasks, outcomes


def _version(sorter: str) -> int | str:
    """Return what bombcell is told of the sorter: 4, or nothing for earlier ones."""
    return 4 if re.search(r"(kilosort|ks)_?4", sorter.lower()) else ""


def _already(task: _Task) -> Outcome | None:
    """Say what stands where the results would go; None if nothing does."""
    there = task.folder / task.name
    if not there.exists():
        return None
    run = there / RUN
    if not run.is_file():
        return replace(task.outcome, status="found", reason="not made by lsdx; left as it is")
    try:
        made = json.loads(run.read_text(encoding="utf-8"))["parameters"]
    except (OSError, ValueError, KeyError) as error:
        raise SourceError(located(str(run), "the record of a run", repr(error))) from error
    if made == _as_json(task.parameters):
        return replace(task.outcome, status="found")
    do = "Keep both: lsdx quality run --name ANOTHER."
    raise SourceError(located(str(there), "results of these parameters", "of others", do))


def _with_archive(
    source: Any,
    eid: str,
    datasets: Sequence[DatasetRecord],
    place: str,
    task: _Task,
    progress: bool,
) -> _Task | None:
    """Return the task with the archive or the files on disk; None where there is neither."""
    if all((task.folder / n).is_file() for n in NEEDED):
        return task
    records = [d for d in datasets if d.collection == place and d.name == ARCHIVE and d.present]
    if records:
        wanted = [(eid, records[-1:])]
        fetched = bool(source.missing(wanted))
        if fetched:
            source.download(wanted, progress=progress)
        elif not (source.folder(eid) / records[-1].path).is_file():
            return None
        return replace(task, archive=source.fetch(eid, records[-1]), fetched=fetched)
    archive = source.extra_file(eid, f"{place}/{ARCHIVE}")
    return None if archive is None else replace(task, archive=archive)


def _on_client(tasks: Sequence[_Task], client: Client) -> Iterator[Outcome]:
    from distributed import as_completed

    futures = {client.submit(_run, t, pure=False): t for t in tasks}
    for future in as_completed(futures):
        error = future.exception()
        if error is None:
            yield future.result()
        else:
            yield replace(futures[future].outcome, status="failed", reason=f"worker: {error}")


def _on_processes(tasks: Sequence[_Task]) -> Iterator[Outcome]:
    """Run on local processes, a task at a time in each."""
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    n = min(len(tasks), os.cpu_count() or 1)
    if not n:
        return
    with ProcessPoolExecutor(n, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(_run, t): t for t in tasks}
        for future in as_completed(futures):
            error = future.exception()
            if error is None:
                yield future.result()
            else:
                reason = f"its process ended: {error}"
                yield replace(futures[future].outcome, status="failed", reason=reason)


def _run(task: _Task) -> Outcome:
    """Run one probe; whatever goes wrong is told of this probe."""
    began = time.monotonic()
    task.folder.mkdir(parents=True, exist_ok=True)
    with (task.folder / f".{task.name}.lock").open("a") as stream:
        try:
            portalocker.lock(
                stream, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING
            )
        except portalocker.LockException:
            return replace(task.outcome, status="skipped", reason="another run is at it")
        scratch = task.folder / f".{task.name}.unfinished"
        shutil.rmtree(scratch, ignore_errors=True)  # of a run that was broken off
        try:
            _make(task, scratch)
        except LsdxError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001  of bombcell, which knows no kinds
            reason = f"bombcell: {type(error).__name__}: {error}"
        else:
            reason = ""
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    if task.fetched and task.archive is not None and not reason:
        task.archive.unlink(missing_ok=True)
    status = "failed" if reason else "built"
    return replace(task.outcome, status=status, seconds=time.monotonic() - began, reason=reason)


def _make(task: _Task, scratch: Path) -> None:
    """Make the results in a scratch folder, and give them their name when they are whole."""
    sorted_output, out, done = scratch / "sorted", scratch / "out", scratch / "done"
    for folder in (sorted_output, out, done):
        folder.mkdir(parents=True)
    if task.archive is not None:
        files = unpack(task.archive, sorted_output, (*NEEDED, *PCS))
        where = str(task.archive)
    else:
        there = [n for n in (*NEEDED, *PCS) if (task.folder / n).is_file()]
        files = {n: sorted_output / n for n in there}
        for name, link in files.items():
            link.symlink_to((task.folder / name).resolve())
        where = str(task.folder)
    missing = [n for n in NEEDED if n not in files]
    if missing:
        raise SourceError(located(where, "the sorter's own output", f"no {', '.join(missing)}"))
    parameters = dict(task.parameters)
    if not all(n in files for n in PCS):
        parameters["removeDuplicateSpikes"] = False
    version = _bombcell(sorted_output, out, parameters, task.version)
    for name in RESULTS:
        if (out / name).is_file():
            shutil.copyfile(out / name, done / name)
    if (sorted_output / LABELS).is_file():
        shutil.copyfile(sorted_output / LABELS, done / LABELS)
    if not (done / MEASURES).is_file():
        raise SourceError(located("bombcell", MEASURES, "that it wrote none"))
    _keep_clusters(task.folder / CLUSTERS, files[CLUSTERS])
    about = {
        "bombcell": version,
        "kilosort_version": task.version,
        "parameters": _as_json(task.parameters),
        "duplicates_removed": bool(parameters["removeDuplicateSpikes"]),
    }
    (done / RUN).write_text(json.dumps(about, indent=1, sort_keys=True), encoding="utf-8")
    os.replace(done, task.folder / task.name)


def _bombcell(
    sorted_output: Path, out: Path, parameters: Mapping[str, Any], version: int | str
) -> str:
    """Run bombcell without a word or a picture; return its version."""
    from importlib.metadata import version as version_of

    os.environ["MPLBACKEND"] = "agg"
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        import bombcell

        chosen = bombcell.get_default_parameters(
            kilosort_path=str(sorted_output), kilosort_version=version
        )
        unknown = sorted(set(parameters) - set(chosen))
        if unknown:
            do = "See bombcell's own documentation for their names."
            expected = "parameters of bombcell"
            raise SourceError(located("[quality.parameters]", expected, unknown[0], do))
        chosen.update(QUIET)
        chosen.update(parameters)
        bombcell.run_bombcell(
            ks_dir=str(sorted_output), save_path=str(out), param=chosen, save_figures=False
        )
    return version_of("bombcell")


def _keep_clusters(kept: Path, new: Path) -> None:
    """Keep which cluster each spike is of, beside the results: the order of their mask."""
    clusters = np.load(new, allow_pickle=False)
    if kept.is_file():
        before = np.load(kept, allow_pickle=False)
        if not np.array_equal(before.ravel(), clusters.ravel()):
            do = "Move the older files of this folder away."
            expected = "the clusters of the archive"
            raise SourceError(located(str(kept), expected, "those of another sorting", do))
        return
    unfinished = kept.with_name(f".{kept.name}.unfinished")
    np.save(unfinished.with_suffix(".npy"), clusters)
    os.replace(unfinished.with_suffix(".npy"), kept)


def _as_json(parameters: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(dict(parameters), sort_keys=True, default=str))
