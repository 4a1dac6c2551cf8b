"""How the command is read: shared options, the help, what a mistyped word meant."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from lsdx.cli.output import STDOUT, note
from lsdx.config import (
    SOURCES,
    Settings,
    load_settings,
    setting_origins,
    user_path,
)
from lsdx.errors import ConfigError

SETTINGS = {
    "source": f"where recordings come from: {', '.join(SOURCES)}",
    "cache-dir": "root of the ONE cache, or folder of NWB files",
    "base-url": "address of the Alyx database",
    "project": "project of its sessions",
    "task-protocol": "what their task protocol contains",
    "stores": "folder of the stores",
    "stock-concentration": "of the drug's stock, such as '0.1 mg/mL': gives doses in ug/kg",
    "epochs": "the lab's table of epochs (eid, phase, epoch, start, stop)",
    "events": "the lab's table of events (eid, phase, kind, start, stop, any columns)",
    "administrations": "the lab's table of administrations",
    "trajectories": "the lab's table of trajectories",
    "exclusions": "the lab's exclusions (id, reason)",
}
_NO_DEFAULT = (None, False, "", argparse.SUPPRESS)
_UNTOUCHED = "The stores stay as they were."


class _Help(argparse.RawDescriptionHelpFormatter):
    """Shows the default of each option that has one; examples keep their lines."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        shown = action.option_strings and action.default not in _NO_DEFAULT and action.default != []
        return f"{text} (default: %(default)s)" if shown and "(default:" not in text else text


class Parser(argparse.ArgumentParser):
    """A parser that answers a mistyped word with the nearest one, in two lines, and exit code 2.

    ``headings`` are lists of commands by heading: the help shows them so.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_Help, allow_abbrev=False, **options)
        self.headings: dict[str, list[str]] = {}
        common = self.add_argument_group("of every command")
        for names, text in (
            (("-q", "--quiet"), "print only errors and what you asked for"),
            (("-v", "--verbose"), "tell durations, paths and warnings of libraries too"),
            (("--debug",), "show where in the code an error was raised"),
        ):
            # what stands before the command is not taken back by what stands after it
            common.add_argument(*names, action="store_true", default=argparse.SUPPRESS, help=text)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Refuse what is left over, by the parser that knows which options there are."""
        words = sys.argv[1:] if args is None else list(args)
        for word in words:
            if word == "--" or (self.headings and not word.startswith("-")):
                break
            name = word.partition("=")[0]
            if word.startswith("--") and name not in self._option_string_actions:
                self.error(f"expected one of its options, found {name!r}")
        found, rest = super().parse_known_args(words, namespace)
        if rest:
            self.error(f"expected no further word, found {rest[0]!r}")
        return found, []

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and what was meant, and stop."""
        choice = re.search(r"invalid choice: (['\"]?)(.*?)\1 \(choose from (.*)\)", message)
        if choice:
            expected = choice[3].replace("'", "")
            message = f"expected one of {expected}, found {choice[2]!r}"
        known = [*self._option_string_actions]
        known += [str(c) for a in self._actions for c in a.choices or ()]
        word = message.rpartition("found '")[2].rstrip("'")
        close = difflib.get_close_matches(word, known, n=1)
        advice = (
            f"Did you mean {close[0]}?" if close else f"{self.prog} --help tells what there is."
        )
        where = self.prog.replace(" ", ": ")
        self.exit(2, f"{where}: {message.rstrip('.')}.\n{advice}\n")

    def commands(self) -> dict[str, Parser]:
        """Return the parser of each command, by its name."""
        return {
            name: command
            for action in self._actions
            if isinstance(action, argparse._SubParsersAction)
            for name, command in action.choices.items()
        }

    def format_help(self) -> str:
        """List commands under their headings, else what argparse shows."""
        if not self.headings:
            return super().format_help()
        formatter = self._get_formatter()
        formatter.add_usage(self.usage, self._actions, self._mutually_exclusive_groups)
        formatter.add_text(self.description)
        listed = {
            a.dest: a
            for action in self._actions
            if isinstance(action, argparse._SubParsersAction)
            for a in action._choices_actions
        }
        for heading, names in self.headings.items():
            formatter.start_section(heading)
            formatter.add_arguments([listed[name] for name in names])
            formatter.end_section()
        formatter.start_section("Options")
        formatter.add_arguments([a for a in self._actions if a.option_strings])
        formatter.end_section()
        formatter.add_text(self.epilog)
        return formatter.format_help()


def add_command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], int],
    text: str,
    examples: Sequence[str],
    *,
    stays: str = _UNTOUCHED,
) -> Parser:
    """Add a command: what it runs, a sentence, examples, and what is left when it is stopped."""
    shown = "\n".join(["examples:", *(f"  {example}" for example in examples)])
    command: Parser = commands.add_parser(name, help=text, description=text, epilog=shown)
    command.set_defaults(run=run, stays=stays, config=None)
    return command


def path(text: str) -> Path:
    """Read a path as the settings do; argparse shows what is wrong with it."""
    try:
        return user_path(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_settings(command: Parser, *names: str) -> None:
    """Add settings as options, and the settings file."""
    for name in names:
        default = getattr(Settings(), name.replace("-", "_"))
        text = SETTINGS[name] + (f" (default: {default})" if default else "")
        command.add_argument(f"--{name}", help=text, metavar=name.upper().replace("-", "_"))
    command.add_argument(
        "--config", help="settings file (default: lsdx.toml)", metavar="FILE", default=None
    )


def add_sessions(command: Parser, which: str = "") -> None:
    """Add the choice of sessions."""
    text = f"{which}only these sessions, by their ids"
    command.add_argument("--sessions", nargs="+", default=[], metavar="EID", help=text)


def add_json(command: Parser) -> None:
    """Add JSON, to standard output or a file."""
    command.add_argument(
        "--json",
        nargs="?",
        const=STDOUT,
        type=path,
        metavar="FILE",
        help="write JSON, without FILE to standard output and nothing else there",
    )


def add_csv(command: Parser) -> None:
    """Add CSV, to a file or standard output."""
    text = "write it as CSV; '-' is standard output, and nothing else goes there"
    command.add_argument("--csv", type=path, metavar="FILE", help=text)


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Read the settings: of the command line first."""
    given = {n: getattr(arguments, n, None) for n in (k.replace("-", "_") for k in SETTINGS)}
    settings = load_settings(file=arguments.config, **given)
    if arguments.verbose:
        for name, origin in setting_origins(file=arguments.config, **given).items():
            if origin != "default":
                note(f"{name}: from {origin.replace('the call', 'the command line')}")
        note(f"stores: {settings.stores.absolute()}")
    return settings
