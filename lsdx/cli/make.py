"""Commands that make stores, and keep them tidy: build, demo, quality, analyse, tag, gc."""

from __future__ import annotations

import argparse
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

from lsdx.cli.output import STDOUT, note, say, show, tell, write_json
from lsdx.cli.parser import (
    SETTINGS,
    add_command,
    add_json,
    add_sessions,
    add_settings,
    path,
    settings_of,
)
from lsdx.config import Settings

_READING = ("source", "cache-dir", "base-url", "project", "task-protocol", "stores")


def add(commands: Any) -> None:
    """Add the commands of this group, in the order of the help."""
    _add_build(commands)
    _add_demo(commands)
    _add_quality(commands)
    _add_analyse(commands)
    _add_tag(commands)
    _add_gc(commands)


def _add_build(commands: Any) -> None:
    build = add_command(
        commands,
        "build",
        _build,
        "build stores, publish them, print a report",
        ["lsdx build", "lsdx build --source cache --cache-dir ~/ONE units counts"],
        stays="What was published stays as it was, and finished parts are used again.",
    )
    add_settings(build, *SETTINGS)
    build.add_argument("--recipes", type=path, help="folder of recipes", metavar="DIR")
    add_sessions(build)
    build.add_argument(
        "--prune", action="store_true", help="take out sessions that the source has no more"
    )
    build.add_argument("--offline", action="store_true", help="do without Alyx")
    build.add_argument("--refresh", action="store_true", help="read Alyx's records again")
    build.add_argument("--dry-run", action="store_true", help="list what would be downloaded")
    build.add_argument(
        "--scheduler", metavar="ADDRESS", help="build on the workers of this Dask scheduler"
    )
    add_json(build)
    build.add_argument("names", nargs="*", metavar="NAME", help="stores to build (default: all)")


def _build(arguments: argparse.Namespace) -> int:
    from lsdx.builders import build
    from lsdx.builders.recipe import load_recipes
    from lsdx.builders.workers import connected

    settings = settings_of(arguments)
    # "--sessions EID NAME", "--json NAME": what names a recipe is neither a session nor a file
    recipes = load_recipes(arguments.recipes)
    names = [*arguments.names, *(s for s in arguments.sessions if s in recipes)]
    sessions = [s for s in arguments.sessions if s not in recipes]
    if str(arguments.json) in recipes:
        names, arguments.json = [str(arguments.json), *names], STDOUT
    if arguments.dry_run:
        return _list_downloads(arguments, settings, names, sessions)
    with connected(arguments.scheduler) if arguments.scheduler else nullcontext() as client:
        if client is not None and not client.nthreads():
            note(f"scheduler {arguments.scheduler}: no workers yet; the build waits for them")
        report = build(
            settings,
            names,
            sessions=sessions,
            recipes=arguments.recipes,
            client=client,
            prune=arguments.prune,
            offline=arguments.offline,
            refresh=arguments.refresh,
            progress=not arguments.quiet,
        )
    write_json(arguments, report.to_dict())
    if not arguments.quiet:
        before = report.simulated * "SIMULATED: the lsdx demo cohort, not recordings."
        rows = report.grid().reset_index(names="session").to_dict("records")
        after = report.to_text(grid=False)
        show(arguments, report.to_text(), rows, before=before, after=after)
    else:
        for line in report.lines:
            if line.status == "failed":
                name = report.names.get(line.session, "")
                note(f"failed: {name} {line.session} {line.kind}: {line.reason}")
    return int(report.failed)


def _list_downloads(
    arguments: argparse.Namespace, settings: Settings, names: list[str], sessions: list[str]
) -> int:
    from lsdx.builders.run import to_download

    files = to_download(
        settings,
        names,
        sessions=sessions,
        recipes=arguments.recipes,
        offline=arguments.offline,
        refresh=arguments.refresh,
        progress=not arguments.quiet,
    )
    rows = [{"file": where, "bytes": size if size >= 0 else None} for where, size in files]
    write_json(arguments, rows)
    for where, size in files:
        told = f"{size / 1e6:10.2f} MB  {where}" if size >= 0 else f"   unknown size  {where}"
        say(arguments, told)
    total = sum(size for _, size in files if size >= 0)
    tell(arguments, f"{len(files)} files to download, {total / 1e6:.1f} MB")
    return 0


def _add_demo(commands: Any) -> None:
    demo = add_command(
        commands,
        "demo",
        _demo,
        "write a simulated cohort as a ONE cache",
        ["lsdx demo demo-cohort", "lsdx demo --sessions 2 --units 50 --seed 1 small-cohort"],
        stays="No cohort was written.",
    )
    demo.add_argument("directory", type=path)
    demo.add_argument("--sessions", type=int, default=7, help="number of sessions")
    demo.add_argument("--units", type=int, default=200, help="units a session")
    demo.add_argument("--seed", type=int, default=0, help="of the random numbers")


def _demo(arguments: argparse.Namespace) -> int:
    from lsdx.demo import write_cohort

    where = write_cohort(
        arguments.directory,
        n_sessions=arguments.sessions,
        n_units=arguments.units,
        seed=arguments.seed,
        progress=not arguments.quiet,
    )
    tell(arguments, f"{where}: {arguments.sessions} simulated sessions; build them with\n")
    tell(arguments, f"  lsdx build --source cache --cache-dir {where}")
    return 0


def _add_quality(commands: Any) -> None:
    quality = add_command(
        commands,
        "quality",
        _quality,
        "run bombcell on the sorters' own output",
        [
            "lsdx quality run --source cache --cache-dir ~/ONE",
            "lsdx quality run --source cache --cache-dir ~/ONE --probes probe00 --name strict",
        ],
        stays="Probes that were finished stay; the next run finishes the rest.",
    )
    quality.add_argument("what", choices=("run",))
    add_settings(quality, *_READING)
    add_sessions(quality)
    quality.add_argument(
        "--probes", nargs="+", default=[], metavar="PROBE", help="only these probes"
    )
    quality.add_argument(
        "--name", default="", help="folder of the results (default: that of the settings, bombcell)"
    )
    quality.add_argument("--offline", action="store_true", help="do without Alyx")
    add_json(quality)


def _quality(arguments: argparse.Namespace) -> int:
    from lsdx.spike_sorting import run_bombcell

    outcomes = run_bombcell(
        settings_of(arguments),
        sessions=arguments.sessions,
        probes=arguments.probes,
        name=arguments.name,
        offline=arguments.offline,
        progress=not arguments.quiet,
    )
    rows = [asdict(o) for o in outcomes]
    write_json(arguments, rows)
    if arguments.quiet:
        outcomes = [o for o in outcomes if o.status == "failed"]
    lines = [
        f"{o.status:<8} {o.label} {o.probe} {o.seconds:6.1f} s  {o.session}  {o.reason}".rstrip()
        for o in outcomes
    ]
    if lines:
        first = ("status", "label", "probe", "seconds", "session", "reason")
        shown = [{n: asdict(o)[n] for n in first} for o in outcomes]
        show(arguments, "\n".join(lines), shown)
    counts = Counter(row["status"] for row in rows)
    statuses = ("built", "found", "skipped", "failed")
    tell(arguments, ", ".join(f"{counts[s]} {s}" for s in statuses))
    if counts["built"]:
        tell(arguments, "read them: lsdx build")
    return int(counts["failed"] > 0)


def _add_analyse(commands: Any) -> None:
    analyse = add_command(
        commands,
        "analyse",
        _analyse,
        "compute the standard results, and keep them beside the stores",
        ["lsdx analyse", "lsdx analyse behavior dimensionality"],
        stays="Results that were finished stay; the next run computes the rest.",
    )
    analyse.add_argument("--tag", help="of a tagged catalog")
    add_json(analyse)
    add_settings(analyse, "stores")
    analyse.add_argument("names", nargs="*", metavar="NAME", help="results (default: all)")


def _analyse(arguments: argparse.Namespace) -> int:
    from lsdx.results import ANALYSES, analyse

    names = list(arguments.names)
    if str(arguments.json) in ANALYSES:  # "--json NAME"
        names, arguments.json = [str(arguments.json), *names], STDOUT
    found = analyse(
        names or None,
        stores=settings_of(arguments).stores,
        tag=arguments.tag,
        progress=not arguments.quiet,
    )
    rows = [asdict(r) for r in found]
    write_json(arguments, rows)
    lines = [f"{r.status:<9} {r.name:<15} {r.seconds:6.1f} s  {r.reason}".rstrip() for r in found]
    if not arguments.quiet:
        show(arguments, "\n".join(lines), rows)
    return int(any(r.status == "skipped" and r.name in names for r in found))


def _add_tag(commands: Any) -> None:
    tag = add_command(
        commands,
        "tag",
        _tag,
        "keep the current catalog under a name; list or remove such names",
        ["lsdx tag paper-2026", "lsdx tag --remove paper-2026"],
    )
    tag.add_argument("name", nargs="?", metavar="NAME", help="the new tag; without it, list tags")
    tag.add_argument(
        "--remove", metavar="NAME", help="forget this tag; its stores stay until the next lsdx gc"
    )
    add_settings(tag, "stores")


def _tag(arguments: argparse.Namespace) -> int:
    from lsdx.builders.upkeep import keep_tag, remove_tag
    from lsdx.errors import ArgumentError, located
    from lsdx.store.place import Place

    if arguments.name and arguments.remove:
        do = "Run the command twice."
        raise ArgumentError(located("tag", "a new tag, or one to remove", "both", do))
    stores = settings_of(arguments).stores
    if arguments.name:
        catalog = keep_tag(stores, arguments.name)
        tell(arguments, f"{arguments.name}: catalog {catalog.digest[:16]}")
    elif arguments.remove:
        remove_tag(stores, arguments.remove)
        tell(arguments, f"{arguments.remove}: removed; its stores stay until lsdx gc")
    else:
        Place(stores).catalog()
        found = Place(stores).tags()
        for name in found:
            say(arguments, f"{name}: catalog {Place(stores).catalog(name).digest[:16]}")
        if not found:
            tell(arguments, "no tags; keep the current catalog under a name: lsdx tag NAME")
    return 0


def _add_gc(commands: Any) -> None:
    gc = add_command(
        commands,
        "gc",
        _gc,
        "remove what no catalog and no tag names",
        ["lsdx gc --dry-run", "lsdx gc --stores ~/lsdx-stores"],
        stays="What a catalog or a tag names is whole.",
    )
    gc.add_argument("--dry-run", action="store_true", help="only list")
    gc.add_argument(
        "--grace",
        type=float,
        default=7.0,
        metavar="DAYS",
        help="at an address, leave what is younger, or was current then (default: 7.0)",
    )
    add_settings(gc, "stores")


def _gc(arguments: argparse.Namespace) -> int:
    from lsdx.builders.upkeep import collect_garbage

    removed = collect_garbage(
        settings_of(arguments).stores, dry_run=arguments.dry_run, grace=arguments.grace
    )
    for name in removed:
        (say if arguments.dry_run else tell)(arguments, name)
    tell(arguments, f"{len(removed)} {'to remove' if arguments.dry_run else 'removed'}")
    return 0
