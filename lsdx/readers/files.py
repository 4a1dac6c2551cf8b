"""Open one file of a recording and say where it was when it cannot be read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import pandas as pd

from lsdx.errors import SourceError, located

MEND = "Fetch the file again, or ask whoever extracted it."


def broken(where: str, expected: str, found: object, do: str = MEND) -> SourceError:
    """Compose the error of a file that is not what it should be."""
    return SourceError(located(where, expected, str(found), do))


def md5_of(path: Path) -> str:
    """Return the MD5 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def read_npy(path: Path, where: str, *, kind: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """Read an ``.npy`` array of a known kind and shape, never a pickled one.

    Where one dimension is expected, ``(n, 1)`` and ``(1, n)`` serve too: Kilosort and older ALF
    files write vectors so.

    Parameters
    ----------
    path : Path
        The file.
    where : str
        Session, collection and file, for errors.
    kind : str
        Allowed ``dtype.kind`` letters: ``"f"``, ``"iu"`` ...
    shape : tuple
        Expected shape, None for any length.

    Returns
    -------
    ndarray

    Raises
    ------
    SourceError
        If the file is truncated, empty, pickled, or of another kind or shape.
    """
    try:
        with path.open("rb") as stream:
            if stream.read(6) != b"\x93NUMPY":
                raise broken(where, "an .npy array", "a file that is none, or an empty one")
            stream.seek(0)
            array: np.ndarray = np.load(stream, allow_pickle=False)
            if stream.read(1):
                raise broken(where, "one array of the shape its header states", "more bytes")
    except (ValueError, EOFError, OSError, MemoryError, SyntaxError, TokenError) as error:
        raise broken(where, "an .npy array", error) from error
    if array.dtype.kind not in kind:
        raise broken(where, f"numbers of kind {kind!r}", f"dtype {array.dtype}")
    if len(shape) == 1 and array.ndim == 2 and 1 in array.shape:
        array = array.reshape(-1)
    if array.ndim != len(shape) or any(
        n is not None and n != m for n, m in zip(shape, array.shape, strict=True)
    ):
        raise broken(where, f"shape {_shape(shape)}", f"{_shape(array.shape)}")
    return array


def read_csv(path: Path, where: str, columns: Sequence[str], **options: Any) -> pd.DataFrame:
    """Read a CSV table that has at least ``columns`` (header blanks are stripped)."""
    try:
        table = pd.read_csv(path, **options)
    except (ValueError, OSError, pd.errors.ParserError) as error:
        raise broken(where, "a CSV table", str(error) or type(error).__name__) from error
    table.columns = table.columns.astype(str).str.strip()
    return _with_columns(table, where, columns)


def read_pqt(path: Path, where: str, columns: Sequence[str]) -> pd.DataFrame:
    """Read a parquet table that has at least ``columns``."""
    try:
        table = pd.read_parquet(path)
    except (ValueError, OSError) as error:  # pyarrow's errors are ValueErrors
        raise broken(where, "a parquet table", str(error) or type(error).__name__) from error
    return _with_columns(table, where, columns)


def read_json(path: Path, where: str) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError) as error:
        raise broken(where, "a JSON object", error) from error
    if not isinstance(value, dict):
        raise broken(where, "a JSON object", type(value).__name__)
    return value


def numbers(table: pd.DataFrame, column: str, where: str) -> np.ndarray:
    """Return a column as float64, blank cells as NaN; text that is no number is an error."""
    try:
        return table[column].to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise broken(f"{where}, column {column}", "numbers", error) from error


def blank_nan(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return text, blank where it is missing."""
    return column.astype(object).where(column.notna(), "").astype(str)


def ids_below(table: pd.DataFrame, column: str, n: int, where: str, do: str = MEND) -> np.ndarray:
    """Return a column of ids in 0..n-1, each once, as int64; others are an error."""
    ids = numbers(table, column, where)
    good = (ids >= 0) & (ids < n) & (ids == np.floor(ids))
    if not good.all():
        raise broken(where, f"cluster ids in 0..{n - 1}", ids[~good][0], do)
    if np.unique(ids).size != ids.size:
        raise broken(where, f"each {column} once", "duplicates", do)
    return ids.astype(np.int64)


def _with_columns(table: pd.DataFrame, where: str, columns: Sequence[str]) -> pd.DataFrame:
    missing = [c for c in columns if c not in table.columns]
    if missing:
        found = ", ".join(map(str, table.columns)) or "no columns"
        raise broken(where, "columns " + ", ".join(columns), found)
    return table


def _shape(shape: Sequence[int | None]) -> str:
    return "(" + ", ".join("n" if n is None else str(n) for n in shape) + ")"
