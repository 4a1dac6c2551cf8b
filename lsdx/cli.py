"""The ``lsdx`` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lsdx.config import SOURCES, Settings, load_settings, user_path
from lsdx.errors import LsdxError

_SETTINGS = (
    ("source", f"where recordings come from: {', '.join(SOURCES)}"),
    ("cache-dir", "root of the ONE cache, or folder of NWB files"),
    ("base-url", "address of the Alyx database"),
    ("project", "project of its sessions"),
    ("task-protocol", "what their task protocol contains"),
    ("stores", "folder of the stores"),
    ("stock-concentration", "of the drug's stock, such as '0.1 mg/mL': gives doses in ug/kg"),
    ("epochs", "the lab's table of epochs (eid, phase, epoch, start, stop)"),
    ("events", "the lab's table of events (eid, phase, kind, start, stop, any columns)"),
    ("administrations", "the lab's table of administrations"),
    ("trajectories", "the lab's table of trajectories"),
    ("exclusions", "the lab's exclusions (id, reason)"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; give its exit code: 0 done, 1 something failed, 2 wrong usage."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (LsdxError, OSError) as error:
        sys.stderr.write(f"lsdx: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("lsdx: stopped; what was published stays as it was\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lsdx", description="Labelled stores of the IBL psychedelics recordings."
    )
    parser.add_argument("--version", action="version", version=f"lsdx {version('lsdx')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    build = _command(commands, "build", _build, "build stores, publish them, print a report")
    for name, text in _SETTINGS:
        build.add_argument(f"--{name}", help=text, metavar=name.upper().replace("-", "_"))
    build.add_argument("--config", help="settings file (default: lsdx.toml)", metavar="FILE")
    build.add_argument("--recipes", type=user_path, help="folder of recipes", metavar="DIR")
    build.add_argument("--sessions", nargs="+", default=[], metavar="EID", help="only these")
    build.add_argument(
        "--prune", action="store_true", help="take out sessions that the source has no more"
    )
    build.add_argument("--offline", action="store_true", help="do without Alyx")
    build.add_argument("--refresh", action="store_true", help="read Alyx's records again")
    build.add_argument("--dry-run", action="store_true", help="list what would be downloaded")
    build.add_argument("names", nargs="*", metavar="NAME", help="stores to build (default: all)")

    verify = _command(commands, "verify", _verify, "check every byte of the stores")
    verify.add_argument("--tag", help="a tagged catalog")
    gc = _command(commands, "gc", _gc, "remove what no catalog and no tag names")
    gc.add_argument("--dry-run", action="store_true", help="only list")
    info = _command(commands, "info", _info, "tell what is built")
    tag = _command(commands, "tag", _tag, "keep the current catalog under a name")
    tag.add_argument("name")
    sessions = _command(commands, "sessions", _sessions, "tell which datasets each session has")
    histology = _command(commands, "histology", _histology, "list what the histology waits for")
    histology.add_argument("--refresh", action="store_true", help="read Alyx's records again")
    histology.add_argument(
        "--figure", type=user_path, metavar="FILE", help="draw the regions along each probe"
    )
    for command in (sessions, histology):
        command.add_argument("--csv", type=user_path, metavar="FILE", help="write it as CSV")
    sessions.add_argument("--json", type=user_path, metavar="FILE", help="write it as JSON")
    check = _command(
        commands, "check", _check, "check that epochs and stimuli are where the spikes are"
    )
    check.add_argument("--tag", help="a tagged catalog")
    check.add_argument("--csv", type=user_path, metavar="FILE", help="write it as CSV")
    check.add_argument("--figure", type=user_path, metavar="FILE", help="draw it")
    export = _command(commands, "export", _export, "write tables for pandas (Parquet)")
    export.add_argument("what", choices=("tables", "nwb"), help="nwb: one NWB file a session")
    export.add_argument("--sessions", nargs="+", default=[], metavar="EID", help="nwb: only these")
    export.add_argument("directory", type=user_path)
    export.add_argument(
        "--layout",
        choices=("lsdx", "mouse-lsd"),
        default="lsdx",
        help="mouse-lsd: the files that its loaders read, spikes.h5 with them (default: lsdx)",
    )
    quality = _command(commands, "quality", _quality, "run bombcell on the sorters' own output")
    quality.add_argument("what", choices=("run",))
    for name in ("source", "cache-dir", "base-url", "project", "task-protocol"):
        text = dict(_SETTINGS)[name]
        quality.add_argument(f"--{name}", help=text, metavar=name.upper().replace("-", "_"))
    quality.add_argument("--sessions", nargs="+", default=[], metavar="EID", help="only these")
    quality.add_argument("--probes", nargs="+", default=[], metavar="PROBE", help="only these")
    quality.add_argument("--name", default="", help="folder of the results (default: bombcell)")
    quality.add_argument("--offline", action="store_true", help="do without Alyx")
    reconcile = _command(commands, "reconcile", _reconcile, "compare with a lab's earlier files")
    reconcile.add_argument(
        "--earlier",
        type=user_path,
        required=True,
        metavar="DIR",
        help="folder of mouse-lsd's sessions.pqt, units.pqt, spikes.h5, popdim_*, singleunit_*",
    )
    reconcile.add_argument("--tag", help="a tagged catalog")
    reconcile.add_argument("--csv", type=user_path, metavar="FILE", help="write it as CSV")
    reconcile.add_argument("--figure", type=user_path, metavar="FILE", help="draw it")
    with_stores = verify, gc, info, tag, sessions, histology, check, export, quality, reconcile
    for command in with_stores:
        command.add_argument("--stores", help="folder of the stores")
        command.add_argument("--config", help="settings file", metavar="FILE")

    demo = _command(commands, "demo", _demo, "write a simulated cohort as a ONE cache")
    demo.add_argument("directory", type=user_path)
    demo.add_argument("--sessions", type=int, default=7, help="number (default: 7)")
    demo.add_argument("--units", type=int, default=200, help="units a session (default: 200)")
    demo.add_argument("--seed", type=int, default=0)
    _command(commands, "dictionary", _dictionary, "print the data dictionary of the stores")
    return parser


def _command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    return command


def _settings(arguments: argparse.Namespace) -> Settings:
    names = [n.replace("-", "_") for n, _ in _SETTINGS]
    given = {n: getattr(arguments, n, None) for n in names}
    return load_settings(file=arguments.config, **given)


def _build(arguments: argparse.Namespace) -> int:
    from lsdx.builders import build
    from lsdx.builders.recipe import load_recipes
    from lsdx.builders.run import to_download

    settings = _settings(arguments)
    # "--sessions EID NAME": what names a recipe is no session
    recipes = load_recipes(arguments.recipes)
    names = [*arguments.names, *(s for s in arguments.sessions if s in recipes)]
    sessions = [s for s in arguments.sessions if s not in recipes]
    if arguments.dry_run:
        return _list_downloads(
            to_download(
                settings,
                names,
                sessions=sessions,
                recipes=arguments.recipes,
                offline=arguments.offline,
                refresh=arguments.refresh,
            )
        )
    report = build(
        settings,
        names,
        sessions=sessions,
        recipes=arguments.recipes,
        prune=arguments.prune,
        offline=arguments.offline,
        refresh=arguments.refresh,
    )
    _say(report.to_text())
    return int(report.failed)


def _list_downloads(files: Sequence[tuple[str, int]]) -> int:
    for where, size in files:
        _say(f"{size / 1e6:10.2f} MB  {where}" if size >= 0 else f"   unknown size  {where}")
    total = sum(size for _, size in files if size >= 0)
    _say(f"{len(files)} files to download, {total / 1e6:.1f} MB")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from lsdx.builders.upkeep import verify

    checks = verify(_settings(arguments).stores, arguments.tag)
    for check in checks:
        if check.problem:
            _say(f"DAMAGED  {check.store}: {check.problem}")
    bad = sum(bool(c.problem) for c in checks)
    size = sum(c.bytes for c in checks) / 1e6
    _say(f"{len(checks)} stores, {size:.1f} MB: {bad or 'none'} damaged")
    return int(bad > 0)


def _gc(arguments: argparse.Namespace) -> int:
    from lsdx.builders.upkeep import collect_garbage

    removed = collect_garbage(_settings(arguments).stores, dry_run=arguments.dry_run)
    for path in removed:
        _say(path)
    _say(f"{len(removed)} {'to remove' if arguments.dry_run else 'removed'}")
    return 0


def _info(arguments: argparse.Namespace) -> int:
    from lsdx.assemble.stores import STORED
    from lsdx.builders.upkeep import tags
    from lsdx.store.flat import SIMULATED
    from lsdx.store.place import Place

    folder = _settings(arguments).stores
    catalog = Place(folder).catalog()
    _say(f"{folder}: catalog {catalog.digest[:16]}" + f"\n{SIMULATED}" * catalog.simulated)
    for name, recipe in sorted(catalog.recipes.items()):
        by_session = catalog.parts.get(name, {})
        size = sum(e.bytes for e in by_session.values()) / 1e6
        dims = catalog.flat[name].sizes if name in catalog.flat else {}
        alone = "nothing" if STORED[recipe["store"]].join else "one store a session"
        shape = ", ".join(f"{d} {n}" for d, n in dims.items()) or alone
        chosen = ", ".join(f"{k}={v}" for k, v in recipe["parameters"].items())
        line = f"  {name:<12} {len(by_session):>3} sessions {size:>8.1f} MB  {shape}  {chosen}"
        _say(line.rstrip())
    _say("tags: " + (", ".join(tags(folder)) or "none"))
    return 0


def _tag(arguments: argparse.Namespace) -> int:
    from lsdx.builders.upkeep import keep_tag

    catalog = keep_tag(_settings(arguments).stores, arguments.name)
    _say(f"{arguments.name}: catalog {catalog.digest[:16]}")
    return 0


def _sessions(arguments: argparse.Namespace) -> int:
    from lsdx import open_epochs, open_insertions, open_sessions
    from lsdx.export.listing import session_grid
    from lsdx.export.tables import session_table

    stores = _settings(arguments).stores
    sessions = open_sessions(stores)
    table = session_table(sessions, open_epochs(stores), open_insertions(stores))
    if arguments.csv:
        table.to_csv(arguments.csv)
    if arguments.json:
        table.reset_index().to_json(arguments.json, orient="records", date_format="iso", indent=1)
    _say(session_grid(sessions, colour=sys.stdout.isatty()))
    return 0


def _histology(arguments: argparse.Namespace) -> int:
    from lsdx import open_insertions, open_sessions
    from lsdx.builders import build
    from lsdx.export.listing import histology_list
    from lsdx.export.tables import histology_table

    settings = _settings(arguments)
    if arguments.refresh:
        build(settings, ["insertions"], refresh=True)
    stores = settings.stores
    table = histology_table(open_insertions(stores), open_sessions(stores))
    if arguments.csv:
        table.to_csv(arguments.csv, index=False)
    if arguments.figure:
        from lsdx import open_units
        from lsdx.figures.histology import plot_probes

        ax = plot_probes(open_units(stores))
        figure: Any = ax.figure
        figure.set_size_inches(max(6, 0.5 * len(ax.get_xticks())), 5)
        figure.savefig(arguments.figure, bbox_inches="tight", dpi=150)
    _say(histology_list(table))
    return 0


def _alignment_table(found: Any) -> Any:
    """Return a row a check of each session and phase, and a row an epoch."""
    import pandas as pd

    checks = found.drop_dims("epoch").to_dataframe()
    epochs = found[["epoch_verdict"]].to_dataframe().rename(columns={"epoch_verdict": "verdict"})
    epochs.index = epochs.index.set_levels(
        "epoch " + epochs.index.levels[2].astype(str), level=2
    ).set_names("check", level=2)
    return pd.concat([checks, epochs])


def _check(arguments: argparse.Namespace) -> int:
    from lsdx import check_alignment, check_cameras
    from lsdx.errors import StoreNotFound
    from lsdx.export.listing import alignment_list, cameras_list

    found = check_alignment(_settings(arguments).stores, tag=arguments.tag, progress=True)
    if arguments.csv:
        _alignment_table(found).to_csv(arguments.csv)
    if arguments.figure:
        from lsdx.figures.alignment import plot_alignment

        figure: Any = plot_alignment(found).figure
        figure.savefig(arguments.figure, bbox_inches="tight")
    _say(alignment_list(found))
    failed = bool((found["verdict"] == "fail").any())
    try:
        cameras = check_cameras(_settings(arguments).stores, tag=arguments.tag)
    except StoreNotFound:  # no behaviour has been built, or no session has any
        return int(failed)
    _say(cameras_list(cameras))
    return int(failed or bool((cameras["verdict"] == "fail").any()))


def _export(arguments: argparse.Namespace) -> int:
    from lsdx import open_epochs, open_insertions, open_sessions, open_spikes, open_units
    from lsdx.export.tables import histology_table, insertion_table, session_table, unit_table

    settings = _settings(arguments)
    stores = settings.stores
    if arguments.what == "nwb":
        return _export_nwb(settings, arguments.directory, arguments.sessions)
    sessions, insertions = open_sessions(stores), open_insertions(stores)
    epochs, units = open_epochs(stores), open_units(stores)
    if arguments.layout == "mouse-lsd":
        from lsdx import open_quality
        from lsdx.errors import StoreNotFound
        from lsdx.export.mouse_lsd import write_mouse_lsd

        try:
            quality = open_quality(stores)
        except StoreNotFound:  # it has not been built
            quality = None
        written = write_mouse_lsd(
            arguments.directory,
            sessions=sessions,
            insertions=insertions,
            epochs=epochs,
            units=units,
            spikes=open_spikes(stores),
            quality=quality,
            progress=True,
        )
        for name, rows in written.items():
            _say(f"{arguments.directory / name}: {rows} rows")
        return 0
    tables = {
        "sessions": session_table(sessions, epochs, insertions),
        "insertions": insertion_table(insertions),
        "units": unit_table(units),
        "histology_status": histology_table(insertions, sessions),
    }
    arguments.directory.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        if sessions.attrs["simulated"]:
            table = table.assign(simulated=True)
        path: Path = arguments.directory / f"{name}.pqt"
        table.to_parquet(path)
        _say(f"{path}: {len(table)} rows, {table.shape[1]} columns")
    return 0


def _export_nwb(settings: Settings, directory: Path, chosen: Sequence[str]) -> int:
    import lsdx
    from lsdx.errors import SelectionError, StoreNotFound, located
    from lsdx.export.nwb import to_nwb

    def there(open_it: Any, **how: Any) -> Any:
        try:
            return open_it(settings.stores, **how)
        except (StoreNotFound, SelectionError):  # not built, or not of this session
            return None

    sessions, spikes = lsdx.open_sessions(settings.stores), lsdx.open_spikes(settings.stores)
    units = there(lsdx.open_quality) or lsdx.open_units(settings.stores)
    events, behavior = there(lsdx.open_events), there(lsdx.open_behavior)
    with_units = list(dict.fromkeys(spikes["session"].values))
    for eid in chosen or with_units:
        if eid not in with_units:
            expected = f"sessions with units: {len(with_units)}"
            raise SelectionError(located("export nwb, sessions", expected, repr(eid)))
        cameras = {
            c: there(lsdx.open_pose, session=eid, camera=c) for c in ("left", "right", "body")
        }
        path = to_nwb(
            lsdx.open_spikes(settings.stores, session=eid),
            directory,
            sessions=sessions,
            units=units,
            events=events,
            behavior=behavior,
            pose={c: p for c, p in cameras.items() if p is not None},
            metadata=settings.nwb,
        )
        _say(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


def _quality(arguments: argparse.Namespace) -> int:
    from lsdx.spike_sorting import run_bombcell

    outcomes = run_bombcell(
        _settings(arguments),
        sessions=arguments.sessions,
        probes=arguments.probes,
        name=arguments.name,
        offline=arguments.offline,
    )
    for o in outcomes:
        line = f"{o.status:<8} {o.label} {o.probe} {o.seconds:6.1f} s  {o.session}  {o.reason}"
        _say(line.rstrip())
    counts = {s: sum(o.status == s for o in outcomes) for s in ("built", "found", "skipped")}
    failed = sum(o.status == "failed" for o in outcomes)
    _say(", ".join(f"{n} {s}" for s, n in (counts | {"failed": failed}).items()))
    if counts["built"]:
        _say("read them: lsdx build")
    return int(failed > 0)


def _reconcile(arguments: argparse.Namespace) -> int:
    from lsdx.export.listing import reconciliation_list
    from lsdx.reconcile import reconcile

    stores = _settings(arguments).stores
    found = reconcile(arguments.earlier, stores, tag=arguments.tag, progress=True)
    if arguments.csv:
        found.to_csv(arguments.csv, index=False)
    if arguments.figure:
        from lsdx.figures.reconcile import plot_reconciliation

        figure: Any = plot_reconciliation(found).figure
        figure.savefig(arguments.figure, bbox_inches="tight")
    _say(reconciliation_list(found))
    return int((found["verdict"] == "differs").any())


def _demo(arguments: argparse.Namespace) -> int:
    from lsdx.demo import write_cohort

    path = write_cohort(
        arguments.directory,
        n_sessions=arguments.sessions,
        n_units=arguments.units,
        seed=arguments.seed,
        progress=True,
    )
    _say(f"{path}: {arguments.sessions} simulated sessions; build them with\n")
    _say(f"  lsdx build --source cache --cache-dir {path}")
    return 0


def _dictionary(_: argparse.Namespace) -> int:
    from lsdx.schema.dictionary import data_dictionary

    sys.stdout.write(data_dictionary())
    return 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
