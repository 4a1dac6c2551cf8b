"""Random numbers that belong to a unit and a cell: seeds, keys and streams."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.grouping import Population
from lsdx.errors import ArgumentError, located
from lsdx.schema.spec import text

_ID_KEY = "lsdx unit stream"  # of pandas' hash: ids get the same numbers everywhere
_LABELS = ("phase", "epoch", "centre")  # of cells, also where one is selected


def seed_of(rng: np.random.Generator | int | str | None) -> int:
    """Return the seed of a measure: a whole number is its own, anything else draws one.

    Examples
    --------
    >>> seed_of(7), seed_of("7")
    (7, 7)
    """
    if isinstance(rng, str) and rng.isdigit():  # of the attribute ``seed`` of a result
        rng = int(rng)
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool) and 0 <= rng < 2**63:
        return int(rng)
    if rng is None or isinstance(rng, np.random.Generator):
        return int(np.random.default_rng(rng).integers(2**63))
    expected = "a Generator or a whole number from 0 to 2**63"
    raise ArgumentError(located("rng", expected, repr(rng)))


def unit_keys(ds: xr.Dataset) -> np.ndarray:
    """Return a number of each unit, which follows from its id alone."""
    ids = ds["unit"].values if "unit" in ds.coords else np.arange(ds.sizes["unit"])
    return pd.util.hash_array(text(ids), hash_key=_ID_KEY, categorize=False)


def cell_keys(pop: Population) -> list[int]:
    """Return a number of each cell, which follows from its labels alone, not their order."""
    dims = sorted(pop.cells)
    labels = [
        pop.counts[d].values if d in pop.counts.coords else np.arange(pop.counts.sizes[d])
        for d in pop.cells
    ]
    table = pd.MultiIndex.from_product(labels, names=pop.cells).to_frame() if dims else None
    if table is None:
        return [0]
    names = table[dims].astype(str).agg("|".join, axis=1).to_numpy(dtype=object)
    return pd.util.hash_array(names, hash_key=_ID_KEY, categorize=False).astype(int).tolist()


def cell_streams(counts: xr.DataArray, cells: Sequence[str]) -> list[int]:
    """Return a number of each cell, which follows from its labels alone, as `stream_of` says.

    Labels of ``phase``, ``epoch`` and ``centre`` count where one of them was selected too; those
    of other dimensions only while they are dimensions.
    """
    first = [n for n in _LABELS if n in cells or (n in counts.coords and not counts[n].ndim)]
    names = [*first, *sorted(set(cells) - set(first))]
    labels = {
        n: counts[n].values if n in counts.coords else np.arange(counts.sizes[n]) for n in names
    }
    return [
        stream_of(*(labels[n][place[cells.index(n)]] if n in cells else labels[n] for n in names))
        for place in np.ndindex(*(counts.sizes[d] for d in cells))
    ]


def stream_of(*labels: Any) -> int:
    """Return the number that thinning of a phase and epoch is keyed by.

    Examples
    --------
    >>> stream_of("pre", "rfm") == stream_of("pre/rfm")
    True
    """
    return zlib.crc32("/".join(map(str, labels)).encode())
