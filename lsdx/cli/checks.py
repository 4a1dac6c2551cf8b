"""Commands that check what is there: verify, check, reconcile, doctor."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from lsdx.cli.output import say, session_names, show, tell, write_csv, write_json
from lsdx.cli.parser import (
    add_command,
    add_csv,
    add_json,
    add_settings,
    path,
    settings_of,
)


def add(commands: Any) -> None:
    """Add the commands of this group, in the order of the help."""
    verify = add_command(
        commands,
        "verify",
        _verify,
        "check every byte of the stores",
        ["lsdx verify", "lsdx verify --tag paper-2026 --json verified.json"],
    )
    verify.add_argument("--tag", help="a tagged catalog")
    add_json(verify)
    add_settings(verify, "stores")
    check = add_command(
        commands,
        "check",
        _check,
        "check that epochs and stimuli are where the spikes are",
        ["lsdx check", "lsdx check --csv check.csv --figure check.png"],
    )
    check.add_argument("--tag", help="a tagged catalog")
    check.add_argument("--figure", type=path, metavar="FILE", help="draw it")
    add_json(check)
    add_csv(check)
    add_settings(check, "stores")
    reconcile = add_command(
        commands,
        "reconcile",
        _reconcile,
        "compare with a lab's earlier files",
        [
            "lsdx reconcile --earlier ~/mouse-lsd/data",
            "lsdx reconcile --earlier ~/mouse-lsd/data --csv differences.csv",
        ],
    )
    reconcile.add_argument(
        "--earlier",
        type=path,
        required=True,
        metavar="DIR",
        help="folder of mouse-lsd's sessions.pqt, units.pqt, spikes.h5, popdim_*, singleunit_*",
    )
    reconcile.add_argument("--tag", help="a tagged catalog")
    reconcile.add_argument("--figure", type=path, metavar="FILE", help="draw it")
    add_json(reconcile)
    add_csv(reconcile)
    add_settings(reconcile, "stores")
    doctor = add_command(
        commands,
        "doctor",
        _doctor,
        "tell versions, settings, stores, login and machine, and what to do next",
        ["lsdx doctor", "lsdx doctor --stores ~/lsdx-stores --json doctor.json"],
    )
    add_json(doctor)
    add_settings(doctor, "stores")


def _verify(arguments: argparse.Namespace) -> int:
    from lsdx.builders.upkeep import verify

    stores = settings_of(arguments).stores
    checks = verify(stores, arguments.tag, progress=not arguments.quiet)
    names = session_names(stores, arguments.tag)
    rows: list[dict[str, Any]] = []
    for found in checks:
        label = next((names[eid] for eid in names if eid in found.store), "")
        rows.append({"session_label": label, **asdict(found)})
    write_json(arguments, rows)
    damaged = [row for row in rows if row["problem"]]
    lines = [
        "  ".join(w for w in ("DAMAGED", r["session_label"], f"{r['store']}: {r['problem']}") if w)
        for r in damaged
    ]
    if damaged:
        show(arguments, "\n".join(lines), damaged)
    size = sum(row["bytes"] for row in rows) / 1e6
    tell(arguments, f"{len(rows)} stores, {size:.1f} MB: {len(damaged) or 'none'} damaged")
    return int(bool(damaged))


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

    stores = settings_of(arguments).stores
    found = check_alignment(stores, tag=arguments.tag, progress=not arguments.quiet)
    table = _alignment_table(found)
    write_csv(arguments, table, index=True)
    if arguments.figure:
        from lsdx.figures.alignment import plot_alignment

        figure: Any = plot_alignment(found).figure
        figure.savefig(arguments.figure, bbox_inches="tight")
    failed = (found["verdict"] == "fail").any(["phase", "check"]).values
    shown = found.isel(session=failed) if arguments.quiet else found
    if shown.sizes["session"]:
        show(
            arguments,
            alignment_list(shown),
            _verdicts(shown),
            after=alignment_list(shown, verdicts=False),
        )
    try:
        cameras = check_cameras(stores, tag=arguments.tag)
    except StoreNotFound:  # no behaviour has been built, or no session has any
        write_json(arguments, {"alignment": table.reset_index(), "cameras": []})
        return int(failed.any())
    frame = cameras[["lag", "lag_p", "lag_of", "verdict", "note"]].to_dataframe()
    write_json(arguments, {"alignment": table.reset_index(), "cameras": frame.reset_index()})
    moved = (cameras["verdict"] == "fail").any("camera").values
    some = cameras.isel(session=moved) if arguments.quiet else cameras
    if some.sizes["session"]:
        say(arguments, cameras_list(some))
    return int(failed.any() or moved.any())


def _verdicts(found: Any) -> list[dict[str, Any]]:
    """Return a row a session and phase, a column a check."""
    labels = found.get("session_label", found["session"]).values
    return [
        {
            "label": str(label),
            "session": str(found["session"].values[i]),
            "phase": str(phase),
            **dict(
                zip(
                    found["check"].values.tolist(),
                    found["verdict"].isel(session=i).sel(phase=phase).values.tolist(),
                    strict=True,
                )
            ),
        }
        for i, label in enumerate(labels)
        for phase in found["phase"].values
    ]


def _reconcile(arguments: argparse.Namespace) -> int:
    from lsdx.export.listing import reconciliation_list
    from lsdx.reconcile import reconcile

    stores = settings_of(arguments).stores
    found = reconcile(arguments.earlier, stores, tag=arguments.tag, progress=not arguments.quiet)
    labels = found["session"].map(session_names(stores, arguments.tag)).fillna("")
    table = found.assign(session_label=labels)
    write_csv(arguments, table)
    write_json(arguments, table)
    if arguments.figure:
        from lsdx.figures.reconcile import plot_reconciliation

        figure: Any = plot_reconciliation(found).figure
        figure.savefig(arguments.figure, bbox_inches="tight")
    differs = found["verdict"] == "differs"
    shown = found[differs] if arguments.quiet else found
    if len(shown) or not arguments.quiet:
        groups = shown.groupby(["kind", "name", "verdict", "reason"], sort=False).size()
        rows = groups.reset_index(name="n").to_dict("records")
        show(arguments, reconciliation_list(shown), rows)
    return int(differs.any())


def _doctor(arguments: argparse.Namespace) -> int:
    from lsdx.cli.doctor import examine, lines_of

    facts = examine(arguments.config, arguments.stores)
    write_json(arguments, facts)
    rows = [dict(zip(("about", "name", "found"), line, strict=True)) for line in lines_of(facts)]
    lines: list[str] = []
    for about in dict.fromkeys(row["about"] for row in rows):
        lines.append(f"{about}:")
        lines += [f"  {r['name']:<20} {r['found']}".rstrip() for r in rows if r["about"] == about]
    show(arguments, "\n".join(lines), rows)
    say(arguments, "next:\n" + "\n".join(f"  {step}" for step in facts["next"]))
    return int(bool(facts["problems"]))
