"""Everything lsdx raises on purpose, so that one ``except LsdxError`` catches it."""

from __future__ import annotations

REBUILD = "Build it again from the same source: lsdx build"


class LsdxError(Exception):
    """Base of all errors that lsdx raises on purpose."""


class ArgumentError(LsdxError, ValueError):
    """An argument of a function is wrong."""


class ConfigError(ArgumentError):
    """A setting, a settings file, or a time that is given as text is wrong."""


class SourceError(LsdxError):
    """A recording, a record or a lab table is missing, damaged or breaks a rule."""


class SchemaError(LsdxError, ValueError):
    """A Dataset is not what its store declares."""


class RecipeError(LsdxError):
    """A recipe or a build cannot be carried out as asked."""


class StoreNotFound(LsdxError, FileNotFoundError):
    """A store has not been built, or not under this name."""


class StoreCorrupt(LsdxError, OSError):
    """A published store is damaged: its bytes are not those that were verified."""


class SelectionError(ArgumentError):
    """A selection names a label, a region or a value that is not there."""


class MissingPackage(LsdxError, ImportError):
    """An optional package is not installed; the error names the command that installs it."""


def located(where: str, expected: str, found: str, do: str = "") -> str:
    """Compose the message every lsdx error carries; advice is left out where it says nothing more.

    Examples
    --------
    >>> located("lsdx.toml", "a folder for 'stores'", "a file", "Name a folder.")
    "lsdx.toml: expected a folder for 'stores', found a file. Name a folder."
    """
    return f"{where}: expected {expected}, found {found}. {do}".rstrip()


def missing_package(where: str, package: str, extra: str) -> MissingPackage:
    """Make the error of an optional package, which an extra of lsdx brings.

    Examples
    --------
    >>> str(missing_package("quantify", "pint-xarray", "units"))
    "quantify: expected the package pint-xarray, found none. pip install 'lsdx[units]'."
    """
    do = f"pip install 'lsdx[{extra}]'."
    return MissingPackage(located(where, f"the package {package}", "none", do))
