"""Packages whose modules are imported when they are asked for, not before."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

_NONE: Mapping[str, str] = MappingProxyType({})


def lazily(
    package: str, names: Sequence[str], homes: Mapping[str, str] = _NONE
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the functions ``__getattr__`` and ``__dir__`` of a package.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    names : sequence of str
        Its ``__all__``: its modules, and what ``homes`` holds.
    homes : mapping of str to str
        Of names that are no modules of the package, the module each is in, such as
        ``"store.openers"``.

    Returns
    -------
    tuple of two functions
        The first imports what a name stands for, and raises AttributeError for another name. The
        second lists ``names``.

    Examples
    --------
    >>> find, names = lazily("lsdx", ["errors", "Settings"], {"Settings": "config"})
    >>> find("errors").__name__, find("Settings").__name__, names()
    ('lsdx.errors', 'Settings', ['errors', 'Settings'])
    """

    def find(name: str) -> Any:
        if name in homes:
            return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        if name in names:
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find, lambda: list(names)
