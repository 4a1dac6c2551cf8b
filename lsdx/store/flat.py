"""What all openers share: flat stores, their versions, the mark of what is simulated."""

from __future__ import annotations

from typing import Any

import xarray as xr

from lsdx.errors import REBUILD, SchemaError, StoreCorrupt, StoreNotFound, located
from lsdx.schema import SCHEMAS, validate
from lsdx.store.access import read_store
from lsdx.store.catalog import Catalog, Entry
from lsdx.store.place import Place

SIMULATED = "lsdx demo cohort: SIMULATED, not recordings"


def _about(catalog: Catalog) -> dict[str, Any]:
    about: dict[str, Any] = {"title": SIMULATED} if catalog.simulated else {}
    return about | {
        "simulated": int(catalog.simulated),
        "catalog": catalog.digest[:16],
        "conditions": ", ".join(catalog.protocol.get("conditions", ())),
    }


def marked(ds: xr.Dataset, catalog: Catalog) -> xr.Dataset:
    """Say what a dataset is; what is simulated says so in every array taken from it."""
    if catalog.simulated:
        ds = ds.assign_coords(simulated=True)
    # the drug is what the first condition is called; the stores on disk have one name for it
    drug = next(iter(catalog.protocol.get("conditions", ())), "lsd")
    history = [str(n) for n in ds.variables if n in ("days_since_lsd", "days_since_first_lsd")]
    ds = ds.rename({n: n.removesuffix("lsd") + drug for n in history if drug != "lsd"})
    return ds.assign_attrs(_about(catalog))


def light(place: Place, catalog: Catalog, noun: str) -> xr.Dataset:
    """Open a flat store that is loaded whole."""
    entry = catalog.flat.get(noun)
    if entry is None:
        found, do = "none in the catalog", f"Build it: lsdx build {noun}"
        if noun in catalog.recipes:  # to build it again would not help
            found = f"that it was built, and that no session has {noun}"
            do = f"See what each lacks: lsdx sessions, or {place}/report.json"
        raise StoreNotFound(located(f"{place}, store {noun}", "a built store", found, do))
    check_version(noun, entry)
    return validated(read_store(place, entry), noun, entry)


def check_version(noun: str, entry: Entry) -> None:
    """Refuse a store that another version of lsdx declared otherwise."""
    version = SCHEMAS[noun].version
    if entry.attrs.get("schema") != version:
        raise StoreNotFound(
            located(
                entry.path,
                f"version {version} of {noun}",
                f"version {entry.attrs.get('schema')}",
                f"Build it again: lsdx build {noun}",
            )
        )


def validated(ds: xr.Dataset, noun: str, entry: Entry) -> xr.Dataset:
    """Return what was read if it is as declared, without attributes."""
    schema = SCHEMAS[noun]
    try:
        validate(ds, schema, cohort=True, values=False, decoded=True)
    except SchemaError as error:
        raise StoreCorrupt(f"{entry.path}: {error}. {REBUILD} {noun}") from error
    return ds.drop_attrs(deep=False)
