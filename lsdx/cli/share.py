"""Commands for others, and other places: export, copy."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lsdx.cli.output import session_names, show, tell, write_json
from lsdx.cli.parser import (
    add_command,
    add_json,
    add_sessions,
    add_settings,
    path,
    settings_of,
)
from lsdx.config import Settings

Record = dict[str, Any]


def add(commands: Any) -> None:
    """Add the commands of this group, in the order of the help."""
    export = add_command(
        commands,
        "export",
        _export,
        "write tables for pandas (Parquet), or NWB files",
        ["lsdx export tables tables", "lsdx export nwb nwb-files --stores ~/lsdx-stores"],
        stays="Files that were finished stay, and so do the stores.",
    )
    export.add_argument("what", choices=("tables", "nwb"), help="nwb: one NWB file a session")
    export.add_argument("directory", type=path, help="folder of the files")
    add_sessions(export, "nwb: ")
    export.add_argument(
        "--layout",
        choices=("lsdx", "mouse-lsd"),
        default="lsdx",
        help="mouse-lsd: the files that its loaders read, spikes.h5 with them",
    )
    add_json(export)
    add_settings(export, "stores")
    copy = add_command(
        commands,
        "copy",
        _copy,
        "copy stores to another folder, or to an object store, and back",
        ["lsdx copy stores s3://lab/cohort", "lsdx copy --tag paper-2026 s3://lab/cohort ~/cohort"],
        stays="Stores that were copied whole stay; the next run copies the rest, then the catalog.",
    )
    copy.add_argument(
        "source", metavar="FROM", help="folder or address, such as s3://bucket/prefix"
    )
    copy.add_argument("target", metavar="TO", help="folder or address")
    copy.add_argument("--tag", help="a tagged catalog, which keeps its tag")


def _copy(arguments: argparse.Namespace) -> int:
    from lsdx.builders.copying import copy_stores

    done = copy_stores(
        arguments.source, arguments.target, tag=arguments.tag, progress=not arguments.quiet
    )
    size = f"{done.bytes / 1e6:.1f} MB"
    tell(arguments, f"{done.copied} stores copied ({size}), {done.found} were there")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    progress = not arguments.quiet
    if arguments.what == "nwb":
        files = list(_nwb(settings, arguments.directory, arguments.sessions, progress))
        lines = [
            f"{f['file']}: {f['bytes'] / 1e6:.1f} MB  {f['session_label']}  {f['session']}"
            for f in files
        ]
    elif arguments.layout == "mouse-lsd":
        files = _mouse_lsd(settings, arguments.directory, progress)
        lines = [f"{f['file']}: {f['rows']} rows" for f in files]
    else:
        files = list(_tables(settings, arguments.directory))
        lines = [f"{f['file']}: {f['rows']} rows, {f['columns']} columns" for f in files]
    write_json(arguments, files)
    if lines and not arguments.quiet:
        show(arguments, "\n".join(lines), files)
    return 0


def _tables(settings: Settings, directory: Path) -> Iterator[Record]:
    from lsdx import open_epochs, open_insertions, open_sessions, open_units
    from lsdx.export.tables import histology_table, insertion_table, session_table, unit_table

    stores = settings.stores
    sessions, insertions = open_sessions(stores), open_insertions(stores)
    tables = {
        "sessions": session_table(sessions, open_epochs(stores), insertions),
        "insertions": insertion_table(insertions),
        "units": unit_table(open_units(stores)),
        "histology_status": histology_table(insertions, sessions),
    }
    directory.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        if sessions.attrs["simulated"]:
            table = table.assign(simulated=True)
        file = directory / f"{name}.pqt"
        table.to_parquet(file)
        yield {"file": str(file), "rows": len(table), "columns": table.shape[1]}


def _mouse_lsd(settings: Settings, directory: Path, progress: bool) -> list[Record]:
    from lsdx import (
        open_epochs,
        open_insertions,
        open_quality,
        open_sessions,
        open_spikes,
        open_units,
    )
    from lsdx.errors import StoreNotFound
    from lsdx.export.mouse_lsd import write_mouse_lsd

    stores = settings.stores
    try:
        quality = open_quality(stores)
    except StoreNotFound:  # it has not been built
        quality = None
    written = write_mouse_lsd(
        directory,
        sessions=open_sessions(stores),
        insertions=open_insertions(stores),
        epochs=open_epochs(stores),
        units=open_units(stores),
        spikes=open_spikes(stores),
        quality=quality,
        progress=progress,
    )
    return [{"file": str(directory / name), "rows": rows} for name, rows in written.items()]


def _nwb(
    settings: Settings, directory: Path, chosen: list[str], progress: bool
) -> Iterator[Record]:
    from tqdm import tqdm

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
    names = session_names(settings.stores)
    for eid in chosen:
        if eid not in with_units:
            expected = f"sessions with units: {len(with_units)}"
            found = f"{eid!r}" + f" ({names[eid]}), which has none" * (eid in names)
            do = "lsdx sessions lists them all."
            raise SelectionError(located("export nwb, sessions", expected, found, do))
    off = None if progress else True
    for eid in tqdm(chosen or with_units, desc="NWB", unit="session", disable=off):
        cameras = {
            c: there(lsdx.open_pose, session=eid, camera=c) for c in ("left", "right", "body")
        }
        file = to_nwb(
            lsdx.open_spikes(settings.stores, session=eid),
            directory,
            sessions=sessions,
            units=units,
            events=events,
            behavior=behavior,
            pose={c: p for c, p in cameras.items() if p is not None},
            metadata=settings.nwb,
        )
        size = file.stat().st_size
        yield {"file": str(file), "bytes": size, "session_label": names[eid], "session": eid}
