"""Write one value as one file, always with the same bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray


def write_npy(path: Path, array: NDArray[Any]) -> None:
    """Write an array."""
    np.save(path, array)


def write_bytes(path: Path, array: NDArray[Any]) -> None:
    """Write the bare bytes of an array, row by row."""
    path.write_bytes(array.astype("<f8").tobytes())


def write_json(path: Path, value: Any, *, indent: int | None = None) -> None:
    """Write a value as JSON, ended by a line break."""
    text = json.dumps(value, indent=indent, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def write_csv(path: Path, table: pd.DataFrame, *, index: bool = False, sep: str = ",") -> None:
    """Write a table as text."""
    table.to_csv(path, index=index, sep=sep, lineterminator="\n")


def write_parquet(path: Path, table: pd.DataFrame, metadata: dict[str, Any] | None = None) -> None:
    """Write a table as Parquet, with the metadata that ONE reads of its own tables."""
    arrow = pa.Table.from_pandas(table)
    extra = {b"one_metadata": json.dumps(metadata).encode()} if metadata else {}
    pq.write_table(arrow.replace_schema_metadata({**arrow.schema.metadata, **extra}), path)
