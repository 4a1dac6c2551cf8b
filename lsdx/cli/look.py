"""Commands that tell what is there: info, overview, sessions, histology, dictionary."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from lsdx.cli.output import say, show, tell, write_csv, write_json
from lsdx.cli.parser import add_command, add_csv, add_json, add_settings, path, settings_of


def add(commands: Any) -> None:
    """Add the commands of this group, in the order of the help."""
    info = add_command(
        commands,
        "info",
        _info,
        "tell what is built",
        ["lsdx info", "lsdx info --stores ~/lsdx-stores --json"],
    )
    add_json(info)
    add_settings(info, "stores")
    overview = add_command(
        commands,
        "overview",
        _overview,
        "write a page that shows the cohort, and its figures",
        ["lsdx overview page", "lsdx overview --stores ~/lsdx-stores --tag paper-2026 page"],
        stays="A page that was there stays as it was.",
    )
    overview.add_argument("directory", type=path, metavar="DIR", help="folder of the page")
    overview.add_argument("--tag", help="of a tagged catalog")
    add_settings(overview, "stores")
    sessions = add_command(
        commands,
        "sessions",
        _sessions,
        "tell which datasets each session has",
        ["lsdx sessions", "lsdx sessions --csv sessions.csv"],
    )
    add_json(sessions)
    add_csv(sessions)
    add_settings(sessions, "stores")
    histology = add_command(
        commands,
        "histology",
        _histology,
        "list what the histology waits for",
        ["lsdx histology", "lsdx histology --figure probes.png --csv -"],
    )
    histology.add_argument("--refresh", action="store_true", help="read Alyx's records again")
    histology.add_argument(
        "--figure", type=path, metavar="FILE", help="draw the regions along each probe"
    )
    add_json(histology)
    add_csv(histology)
    add_settings(histology, "stores")
    add_command(
        commands,
        "dictionary",
        _dictionary,
        "print the data dictionary of the stores",
        ["lsdx dictionary", "lsdx dictionary > dictionary.md"],
    )


def _info(arguments: argparse.Namespace) -> int:
    from lsdx.assemble.stores import STORED
    from lsdx.store.flat import SIMULATED
    from lsdx.store.place import Place

    folder = settings_of(arguments).stores
    catalog = Place(folder).catalog()
    lines, rows, records = [], [], []
    for name, recipe in sorted(catalog.recipes.items()):
        by_session = catalog.parts.get(name, {})
        size = sum(e.bytes for e in by_session.values())
        dims = catalog.flat[name].sizes if name in catalog.flat else {}
        alone = "nothing" if STORED[recipe["store"]].join else "one store a session"
        shape = ", ".join(f"{d} {n}" for d, n in dims.items()) or alone
        chosen = ", ".join(f"{k}={v}" for k, v in recipe["parameters"].items())
        mb = f"{size / 1e6:.1f}"
        line = f"  {name:<12} {len(by_session):>3} sessions {mb:>8} MB  {shape}  {chosen}"
        lines.append(line.rstrip())
        columns = ("store", "sessions", "MB", "holds", "parameters")
        values = (name, len(by_session), float(mb), shape, chosen)
        rows.append(dict(zip(columns, values, strict=True)))
        records.append(
            {
                "name": name,
                "store": recipe["store"],
                "sessions": len(by_session),
                "bytes": size,
                "sizes": dict(dims),
                "parameters": dict(recipe["parameters"]),
            }
        )
    head = f"{folder}: catalog {catalog.digest[:16]}" + f"\n{SIMULATED}" * catalog.simulated
    kept = "tags: " + (", ".join(Place(folder).tags()) or "none")
    show(arguments, "\n".join([head, *lines, kept]), rows, before=head, after=kept)
    about = {
        "folder": str(folder),
        "catalog": catalog.digest,
        "simulated": catalog.simulated,
        "stores": records,
        "tags": Place(folder).tags(),
    }
    write_json(arguments, about)
    return 0


def _overview(arguments: argparse.Namespace) -> int:
    from lsdx.figures import style
    from lsdx.overview import report

    settings = settings_of(arguments)
    style.use(settings.figures)
    page = report(
        arguments.directory,
        stores=settings.stores,
        tag=arguments.tag,
        progress=not arguments.quiet,
    )
    tell(arguments, f"{page}: {page.stat().st_size / 1e6:.1f} MB; open it in a browser")
    return 0


def _sessions(arguments: argparse.Namespace) -> int:
    from lsdx import open_epochs, open_insertions, open_sessions
    from lsdx.export.listing import session_grid
    from lsdx.export.tables import session_table

    stores = settings_of(arguments).stores
    sessions = open_sessions(stores)
    table = session_table(sessions, open_epochs(stores), open_insertions(stores))
    write_csv(arguments, table, index=True)
    write_json(arguments, table.reset_index())
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    say(arguments, session_grid(sessions, colour=colour))
    return 0


def _histology(arguments: argparse.Namespace) -> int:
    from lsdx import open_insertions, open_sessions
    from lsdx.builders import build
    from lsdx.export.listing import histology_list
    from lsdx.export.tables import histology_table

    settings = settings_of(arguments)
    if arguments.refresh:
        build(settings, ["insertions"], refresh=True, progress=not arguments.quiet)
    stores = settings.stores
    table = histology_table(open_insertions(stores), open_sessions(stores))
    write_csv(arguments, table)
    write_json(arguments, table)
    if arguments.figure:
        from lsdx import open_units
        from lsdx.figures.histology import plot_probes

        ax = plot_probes(open_units(stores))
        figure: Any = ax.figure
        figure.set_size_inches(max(6, 0.5 * len(ax.get_xticks())), 5)
        figure.savefig(arguments.figure, bbox_inches="tight", dpi=150)
    columns = ["session_label", "session", "probe", "stage", "next_step"]
    rows = table.loc[table["next_step"] != "", columns].to_dict("records")
    done = f"done: {(table['next_step'] == '').sum()}"
    show(arguments, histology_list(table), rows, after=done)
    return 0


def _dictionary(arguments: argparse.Namespace) -> int:
    from lsdx.schema.dictionary import data_dictionary

    say(arguments, data_dictionary().rstrip("\n"))
    return 0
