"""The ``lsdx`` command: what it reads, its exit codes, what it says when something goes wrong.

`make`, `look`, `checks`, `share` and `shell` hold the commands under their headings. What a command
needs is imported when it runs, so that its help comes at once.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

from lsdx.cli import checks, look, make, share, shell
from lsdx.cli.output import STDOUT, note
from lsdx.cli.parser import Parser
from lsdx.errors import LsdxError, located

DONE, FAILED, WRONG_USAGE, INTERNAL, STOPPED = 0, 1, 2, 70, 130
_HEADINGS = {"Make": make, "Look": look, "Check": checks, "Share": share, "Shell": shell}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; give its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The words after ``lsdx``; those of this process by default.

    Returns
    -------
    int
        0: done; 1: something failed or differs; 2: wrong usage; 70: a mistake within lsdx; 130:
        stopped.
    """
    given = sys.argv[1:] if argv is None else list(argv)
    arguments = _parse(given)
    if argv is None and not arguments.verbose and not sys.warnoptions:
        warnings.simplefilter("ignore")  # those of a caller are the caller's
    start = time.perf_counter()
    try:
        import_module("lsdx.accessor")  # see lsdx/__init__.py
        return int(arguments.run(arguments))
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (LsdxError, OSError) as error:
        return _complain(arguments, error, *_two_lines(error), FAILED)
    except KeyboardInterrupt as error:
        import shlex

        do = f"Run the same command again: {shlex.join(['lsdx', *given])}"
        return _complain(arguments, error, f"stopped. {arguments.stays}", do, STOPPED)
    except Exception as error:  # noqa: BLE001  the user sees one line of it, not the code
        told = f"internal error: {type(error).__name__}: {' '.join(str(error).split())}"
        do = "Run again with --debug and report it."
        return _complain(arguments, error, told, do, INTERNAL)
    finally:
        if arguments.verbose:
            note(f"{arguments.command}: {time.perf_counter() - start:.1f} s")


def _parse(given: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    arguments = parser.parse_args(given)
    for name in ("quiet", "verbose", "debug"):
        setattr(arguments, name, getattr(arguments, name, False))
    if STDOUT == getattr(arguments, "json", None) == getattr(arguments, "csv", None):
        parser.error("expected JSON or CSV on standard output, found both")
    return arguments


def _parser() -> Parser:
    parser = Parser(prog="lsdx", description="Labelled stores of the IBL psychedelics recordings.")
    parser.add_argument("--version", action="version", version=f"lsdx {version('lsdx')}")
    commands = parser.add_subparsers(
        required=True, dest="command", metavar="COMMAND", parser_class=Parser
    )
    parser.epilog = "lsdx COMMAND --help tells the options of a command, with examples."
    for heading, module in _HEADINGS.items():
        before = set(commands.choices)
        module.add(commands)
        parser.headings[heading] = [name for name in commands.choices if name not in before]
    return parser


def _complain(
    arguments: argparse.Namespace, error: BaseException, told: str, do: str, code: int
) -> int:
    """Print an error in one line, what to do in another; give the exit code."""
    if arguments.debug:
        import traceback

        traceback.print_exception(error)
    note(f"lsdx: {told}" + f"\n{do}" * bool(do))
    return code


def _two_lines(error: BaseException) -> tuple[str, str]:
    """Return what is wrong, and the advice after it.

    Examples
    --------
    >>> _two_lines(LsdxError(located("a.csv", "a table", "v1.2 text", "Name another.")))
    ('a.csv: expected a table, found v1.2 text.', 'Name another.')
    """
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and not isinstance(error, LsdxError) and error.strerror:
        where = str(error.filename or "a file")
        do = "Check that it exists, that you may use it, and that the disk is not full."
        text = located(where, "a file or folder to use", f"{error.strerror.lower()}", do)
    parts = re.fullmatch(r"(.*?, found .*?\.) (\S.*)", text)
    return (parts[1], parts[2]) if parts else (text, "")


__all__ = ["main"]
