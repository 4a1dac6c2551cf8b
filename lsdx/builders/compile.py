"""Put the sessions' parts together into the flat stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.assemble.epochs import uncertainty
from lsdx.assemble.labelled import dataset
from lsdx.assemble.sessions import Cohort
from lsdx.builders.write import find_store, unit_digest, write_store
from lsdx.clock import bin_centres
from lsdx.errors import RecipeError, SourceError, located
from lsdx.readers.records import SessionRecord
from lsdx.schema import SCHEMAS, Schema
from lsdx.schema.spec import COUNT_DTYPES
from lsdx.store.access import read_store
from lsdx.store.catalog import Entry, digest_of
from lsdx.store.place import Place

_UNIT_LABELS = ("condition", "session_n", "cohort_year", "days_since_lsd")


def stored_sessions(folder: Path, parts: Mapping[str, Entry]) -> tuple[SessionRecord, ...]:
    """Give the records of the sessions that are stored, in the order of the flat stores."""
    records = []
    for eid, entry in parts.items():
        ds = read_store(Place(folder), entry).isel(session=0)
        records.append(
            SessionRecord(
                eid=eid,
                lab=str(ds["lab"].item()),
                subject=str(ds["subject"].item()),
                date=pd.Timestamp(ds["date"].item()),
                number=int(ds["number"].item()),
                start_time=pd.Timestamp(ds["start_time"].values.item()),
            )
        )
    return tuple(sorted(records, key=lambda s: s.order))


def compile_store(
    folder: Path,
    recipe: Mapping[str, Any],
    name: str,
    parts: Mapping[str, Entry],
    order: Sequence[str],
    cohort: Cohort,
    n_units: Mapping[str, int],
) -> tuple[str, Entry] | None:
    """Write the flat store of one recipe, unless it is there; None if no session has any.

    Parameters
    ----------
    folder : Path
    recipe : mapping
        The recipe's description.
    name : str
        The recipe's name.
    parts : mapping
        Entries by session.
    order : sequence of str
        Sessions in the order of the flat stores.
    cohort : Cohort
        What labels that depend on the cohort come from.
    n_units : mapping
        Units stored of each session.

    Returns
    -------
    status : str
        ``"built"`` or ``"reused"``.
    entry : Entry
    """
    chosen = [(eid, parts[eid]) for eid in order if eid in parts]
    if not chosen:
        return None
    odd = [eid for eid, e in chosen if e.attrs["made_by"] != recipe["made_by"]]
    if odd:
        raise RecipeError(
            located(
                f"store {name}",
                "parts made by the recipe as it is now",
                f"{len(odd)} made by an earlier one, such as session {odd[0]}",
                "Build all sessions; --prune takes out those that the source has no more.",
            )
        )
    schema = SCHEMAS[recipe["store"]]
    labels = cohort.labels([eid for eid, _ in chosen])
    digest = digest_of(
        {
            "recipe": dict(recipe),
            "parts": [e.path for _, e in chosen],
            "joined": _joined_inputs(schema, cohort, labels, n_units),
        }
    )
    path = f"flat/{name}-{digest[:20]}/{schema.name}.zarr"
    entry = find_store(folder, path)
    if entry is not None:
        return "reused", entry
    attrs = {"recipe": name, "simulated": max(e.attrs["simulated"] for _, e in chosen)}
    if schema.name == "counts":
        ds = _compile_counts(folder, [e for _, e in chosen])
        first = chosen[0][1].attrs
        attrs |= {k: first[k] for k in ("bin_width", "bin_width_ticks", "duplicates")}
    else:
        tables = [read_store(Place(folder), e) for _, e in chosen]
        if schema.name == "sessions":
            tables = _same_datasets(tables)
        ds = _joined(
            xr.concat(tables, schema.concat, join="outer", fill_value=""),
            schema,
            cohort,
            labels,
            chosen,
            n_units,
        )
    _check_keys(ds, schema)
    if "unit" in ds.dims:
        attrs["unit_digest"] = unit_digest(ds)
    entry, _ = write_store(folder, path, ds, schema, cohort=True, attrs=attrs)
    return "built", entry


def _same_datasets(tables: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """Give sessions of different probes the same names of datasets, each group together.

    Nothing was recorded with a probe that a session does not have.
    """
    names = list(dict.fromkeys(n for t in tables for n in t["dataset"].values))
    groups = list(dict.fromkeys(n.split("/")[0] for n in names))
    names.sort(key=lambda n: groups.index(n.split("/")[0]))
    return [t.reindex(dataset=names, fill_value="raw data missing") for t in tables]


def _joined(
    ds: xr.Dataset,
    schema: Schema,
    cohort: Cohort,
    labels: Mapping[str, list[object]],
    chosen: Sequence[tuple[str, Entry]],
    n_units: Mapping[str, int],
) -> xr.Dataset:
    """Add what depends on the cohort."""
    columns: dict[str, Any] = {str(n): v.values for n, v in ds.variables.items()}
    eids = [eid for eid, _ in chosen]
    if schema.name == "sessions":
        columns |= dict(labels) | {"n_units": [n_units.get(eid, 0) for eid in eids]}
    elif schema.name == "epochs":
        columns["uncertainty"] = uncertainty(ds)
    elif schema.name == "units":
        where = {eid: i for i, eid in enumerate(eids)}
        row = [where[eid] for eid in ds["session"].values]
        columns |= {n: [labels[n][i] for i in row] for n in _UNIT_LABELS}
        columns["exclusion"] = _exclusion(ds, cohort, ("unit", "insertion", "session"))
    elif schema.name == "insertions":
        columns["exclusion"] = _exclusion(ds, cohort, ("insertion", "session"))
    return dataset(schema, columns, cohort=True)


def _exclusion(ds: xr.Dataset, cohort: Cohort, keys: Sequence[str]) -> list[str]:
    """Give the first reason found for each row: its own, its insertion's, its session's."""
    reasons = cohort.exclusions
    ids = zip(*(ds[k].values for k in keys), strict=True)
    return [next((reasons[i] for i in row if i in reasons), "") for row in ids]


def _compile_counts(folder: Path, entries: Sequence[Entry]) -> xr.Dataset:
    """Concatenate counts lazily: equal bins, one dtype, chunks as they will lie on disk."""
    import dask.array as da

    schema = SCHEMAS["counts"]
    highest = max(e.attrs["highest"] for e in entries)
    dtype = next(n for n in COUNT_DTYPES if highest < np.iinfo(n).max)
    length = max(e.sizes["time"] for e in entries)
    width = entries[0].attrs["bin_width_ticks"]
    whole = dict.fromkeys(schema["counts"].dims, -1)
    lazy = [read_store(Place(folder), e, lazy={"counts": whole}, decode=False) for e in entries]
    blocks = [_padded(ds["counts"].data, length, dtype) for ds in lazy]
    counts = da.concatenate(blocks).rechunk({0: schema.chunks["unit"], 1: 1, 2: 1, 3: -1})
    small = {
        n: np.concatenate([ds[n].values for ds in lazy]) for n in ("unit", "n_spikes", "duration")
    }
    return dataset(
        schema,
        {
            **small,
            "phase": lazy[0]["phase"].values,
            "epoch": lazy[0]["epoch"].values,
            "time": bin_centres(length, width),
            "counts": counts,
        },
    )


def _padded(block: Any, length: int, dtype: str) -> Any:
    """Widen a block of raw counts in dtype and bins; what is new is not observed."""
    import dask.array as da

    old, new = np.iinfo(block.dtype).max, np.iinfo(dtype).max
    if block.dtype != dtype:
        block = da.where(block == old, new, block).astype(dtype)
    short = length - block.shape[-1]
    if not short:
        return block
    rest = da.full((*block.shape[:-1], short), new, dtype=dtype)
    return da.concatenate([block, rest], axis=-1)


def _check_keys(ds: xr.Dataset, schema: Schema) -> None:
    """Refuse one id in two sessions, naming both."""
    key = schema.concat
    if key not in ("unit", "insertion") or "session" not in ds.coords:
        return
    ids = pd.Series(ds["session"].values, index=ds[key].values)
    twice = ids[ids.index.duplicated(keep=False)]
    if len(twice):
        raise SourceError(
            located(
                f"{schema.name}, {twice.index[0]}",
                "an id of one session",
                "sessions " + " and ".join(sorted(set(twice.loc[[twice.index[0]]]))),
                "Correct the records or the files of one of them.",
            )
        )


def _joined_inputs(
    schema: Schema,
    cohort: Cohort,
    labels: Mapping[str, list[object]],
    n_units: Mapping[str, int],
) -> dict[str, Any]:
    """Give what a flat store takes from the cohort, as JSON, for its name."""
    used = {"sessions": tuple(labels), "units": _UNIT_LABELS}.get(schema.name, ())
    out: dict[str, Any] = {name: [str(v) for v in labels[name]] for name in used}
    if schema.name in ("units", "insertions"):
        out["exclusions"] = dict(cohort.exclusions)
    if schema.name == "sessions":
        out["n_units"] = dict(n_units)
    return out
