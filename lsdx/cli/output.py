"""What the command prints: text in a pipe, tables on a terminal, JSON and CSV for programs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lsdx.errors import LsdxError

STDOUT = Path("-")
_COLOURS = {
    **dict.fromkeys(("built", "pass", "same", "found", "yes", "sound"), "green"),
    **dict.fromkeys(("failed", "fail", "differs", "damaged", "wrong"), "red"),
    **dict.fromkeys(("skipped", "untestable", "explained", "no"), "yellow"),
    **dict.fromkeys(("reused", "default"), "dim"),
}
_NEVER_IN_SENTENCES = ("pass", "fail", "failed", "differs", "untestable", "explained", "reused")


def for_programs(arguments: argparse.Namespace) -> bool:
    """Return whether standard output is to hold JSON or CSV, and nothing else."""
    return STDOUT in (getattr(arguments, "json", None), getattr(arguments, "csv", None))


def say(arguments: argparse.Namespace, text: str) -> None:
    """Print what was asked for."""
    if not for_programs(arguments):
        sys.stdout.write(text + "\n")


def tell(arguments: argparse.Namespace, text: str) -> None:
    """Print what nobody asked for, unless the command is to be quiet."""
    if not arguments.quiet:
        say(arguments, text)


def note(text: str) -> None:
    """Print beside the results, to standard error."""
    sys.stderr.write(text + "\n")


def show(
    arguments: argparse.Namespace,
    text: str,
    rows: Sequence[Mapping[Any, object]],
    *,
    before: str = "",
    after: str = "",
) -> None:
    """Print a table on a terminal, with what stands before and after it; elsewhere ``text``.

    The table is text too where the terminal is too narrow for its words.
    """
    if not sys.stdout.isatty() or for_programs(arguments):
        say(arguments, text)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    if _width_of(rows) > console.width:
        coloured = Text(text)
        for word in _NEVER_IN_SENTENCES:
            coloured.highlight_regex(rf"(?<![\w-]){word}(?![\w-])", _COLOURS[word])
        console.print(coloured, soft_wrap=True)
        return
    if before:
        say(arguments, before)
    if rows:
        _print_table(console, rows)
    if after:
        say(arguments, after)


def _width_of(rows: Sequence[Mapping[Any, object]]) -> int:
    """Return how many characters a table takes at least, with every word whole."""
    longest: dict[str, int] = {}
    for row in rows:
        for name, value in row.items():
            words = [*name.split(), *str(value).split()]
            longest[name] = max(longest.get(name, 0), *map(len, words))
    return sum(longest.values()) + 3 * len(longest)


def _print_table(console: Any, rows: Sequence[Mapping[Any, object]]) -> None:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE)
    for name in rows[0]:
        number = all(isinstance(row[name], int | float) for row in rows)
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in rows:
        cells = [str(value) for value in row.values()]
        table.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in cells))
    console.print(table)


def write_json(arguments: argparse.Namespace, value: Any) -> None:
    """Write records, or an object, if JSON was asked for; tables become lists of records."""
    if arguments.json is None:
        return
    import json

    _write(arguments.json, json.dumps(value, indent=1, default=_plain, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    """Return what JSON has for a table, a path, a number of NumPy."""
    import json

    if hasattr(value, "to_json"):
        return json.loads(value.to_json(orient="records", date_format="iso", double_precision=15))
    return value.item() if hasattr(value, "item") else str(value)


def write_csv(arguments: argparse.Namespace, table: Any, *, index: bool = False) -> None:
    """Write a table if CSV was asked for."""
    if arguments.csv is not None:
        _write(arguments.csv, table.to_csv(index=index))


def _write(target: Path, text: str) -> None:
    if target == STDOUT:
        sys.stdout.write(text)
    else:
        target.write_text(text, encoding="utf-8")


def session_names(stores: os.PathLike[str], tag: str | None = None) -> dict[str, str]:
    """Return mouse, date and number of each session by its id; none where they cannot be read."""
    from lsdx import open_sessions

    try:
        sessions = open_sessions(stores, tag=tag)
    except LsdxError:
        return {}
    labels = sessions["session_label"].values
    return dict(zip(sessions["session"].values.tolist(), labels.tolist(), strict=True))
