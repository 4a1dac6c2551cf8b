"""Commands for your shell: completion."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from lsdx.cli.parser import add_command, path

SHELLS = ("bash", "zsh", "tcsh")


def add(commands: Any) -> None:
    """Add the commands of this group, in the order of the help."""
    completion = add_command(
        commands,
        "completion",
        _completion,
        "print a script with which your shell completes lsdx's commands and options",
        [
            "lsdx completion bash > ~/.local/share/bash-completion/completions/lsdx",
            "lsdx completion zsh > ~/.zsh/completions/_lsdx",
        ],
    )
    completion.add_argument("shell", choices=SHELLS, help="your shell")


def _completion(arguments: argparse.Namespace) -> int:
    import shtab

    from lsdx.cli import _parser

    parser = _parser()
    for command in parser.commands().values():
        for action in command._actions:
            if action.type is path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    sys.stdout.write(shtab.complete(parser, arguments.shell).rstrip("\n") + "\n")
    return 0
