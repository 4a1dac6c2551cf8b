"""Put the sessions' parts together into the flat stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
import xarray as xr

from lsdx.assemble.cohort import Cohort
from lsdx.assemble.stored import Joining, Part
from lsdx.assemble.stores import STORED
from lsdx.builders.manifest import find_store
from lsdx.builders.write import unit_digest, write_store
from lsdx.errors import RecipeError, SourceError, located
from lsdx.readers.records import SessionRecord
from lsdx.remote import Root
from lsdx.schema import SCHEMAS, Schema
from lsdx.store.access import read_store
from lsdx.store.catalog import Entry, digest_of
from lsdx.store.place import Place


def stored_sessions(root: Root, parts: Mapping[str, Entry]) -> tuple[SessionRecord, ...]:
    """Return the records of the sessions that are stored, in the order of the flat stores."""
    records = []
    for eid, entry in parts.items():
        ds = read_store(Place(root), entry).isel(session=0)
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
    root: Root,
    recipe: Mapping[str, Any],
    name: str,
    entries: Mapping[str, Entry],
    order: Sequence[str],
    cohort: Cohort,
    n_units: Mapping[str, int],
) -> tuple[str, Entry] | None:
    """Write the flat store of one recipe, unless it is there; None if no session has any.

    Parameters
    ----------
    root : Path or RemotePath
    recipe : mapping
        The recipe's description.
    name : str
        The recipe's name.
    entries : mapping
        Of the parts, by session.
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
    chosen = [(eid, entries[eid]) for eid in order if eid in entries]
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
    stored = STORED[recipe["store"]]
    if stored.join is None:
        raise RecipeError(located(f"store {name}", "a store whose parts are joined", "another"))
    schema = SCHEMAS[stored.store]
    eids = tuple(eid for eid, _ in chosen)
    joining = Joining(eids, cohort, cohort.labels(eids), n_units)
    digest = digest_of(
        {
            "recipe": dict(recipe),
            "parts": [e.path for _, e in chosen],
            "joined": stored.of_cohort(joining) if stored.of_cohort else {},
        }
    )
    path = f"flat/{name}-{digest[:20]}/{schema.name}.zarr"
    entry = find_store(root, path)
    if entry is not None:
        return "reused", entry
    attrs = {"recipe": name, "simulated": max(e.attrs["simulated"] for _, e in chosen)}
    attrs |= {k: chosen[0][1].attrs[k] for k in stored.kept}
    parts = [Part(e.attrs, e.sizes, partial(read_store, Place(root), e)) for _, e in chosen]
    ds = stored.join(parts, joining)
    _check_keys(ds, schema)
    if "unit" in ds.dims:
        attrs["unit_digest"] = unit_digest(ds)
    entry, _ = write_store(root, path, ds, schema, cohort=True, attrs=attrs)
    return "built", entry


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
