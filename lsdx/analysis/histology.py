"""Where two alignments of the same probes put their units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.arguments import one_of
from lsdx.errors import SelectionError, located
from lsdx.schema.spec import text

REGIONS = ("region", "beryl", "cosmos", "swanson", "group")
_NEEDED = ("x", "y", "z", "region", "insertion")


def compare_places(first: xr.Dataset, second: xr.Dataset, *, region: str = "region") -> xr.Dataset:
    """Compare where the same units lie, by two alignments of their probes.

    Parameters
    ----------
    first, second : Dataset
        Of `lsdx.open_units`: of two tags, or of stores built from two revisions of the channels'
        places (``[sources] revision`` in the settings).
    region : {"region", "beryl", "cosmos", "swanson", "group"}
        Which names of regions are compared.

    Returns
    -------
    Dataset
        Over ``insertion``, in the order of ``first``: ``distance`` and ``largest_distance``
        (float64 um, median and largest over its units), ``share_changed`` (float64, units whose
        region is another), ``n_units`` compared and ``n_alone`` (units without a place in one of
        both). NaN without units. ``subject``, ``session`` and ``probe`` are coordinates where
        ``first`` has them.

    Raises
    ------
    SelectionError
        If labels are missing, or there is no common unit.

    Examples
    --------
    >>> import lsdx
    >>> units = lsdx.open_units()
    >>> moved = units.assign_coords(z=units.z - 100e-6)
    >>> float(compare_places(units, moved).distance[0].round(3))
    100.0
    """
    one_of(region, "compare_places, region", REGIONS)
    tables = [_table(ds, n, region) for ds, n in ((first, "first"), (second, "second"))]
    common = tables[0].index.intersection(tables[1].index)
    if not len(common):
        expected, do = "units that both have", "Open two tags of the same stores."
        raise SelectionError(located("compare_places", expected, "none", do))
    a, b = (t.loc[common] for t in tables)
    offset = (b[["x", "y", "z"]] - a[["x", "y", "z"]]).to_numpy(dtype=np.float64)
    distance = np.sqrt((offset**2).sum(axis=1)) * 1e6
    known = np.isfinite(distance)
    places = pd.DataFrame(
        {
            "insertion": a["insertion"].to_numpy(),
            "distance": distance,
            "changed": np.where(known, (a[region] != b[region]).to_numpy(), np.nan),
            "known": known,
        }
    )
    groups = places.groupby("insertion", sort=False)
    names = list(groups.groups)
    order = [n for n in pd.unique(tables[0]["insertion"]) if n in names]
    columns = {
        "distance": (groups["distance"].median(), "um", "Median distance of a unit's two places"),
        "largest_distance": (groups["distance"].max(), "um", "Largest such distance"),
        "share_changed": (groups["changed"].mean(), "1", f"Share of units of another {region}"),
        "n_units": (groups["known"].sum(), "1", "Units with both places"),
        "n_alone": (groups["known"].apply(lambda v: int((~v).sum())), "1", "Units without both"),
    }
    variables = {
        name: ("insertion", values.loc[order].to_numpy(), {"units": units, "long_name": words})
        for name, (values, units, words) in columns.items()
    }
    labels = tables[0].drop_duplicates("insertion").set_index("insertion").loc[order]
    kept = [n for n in ("subject", "session", "probe") if n in labels]
    coords = {n: ("insertion", text(labels[n].to_numpy())) for n in kept}
    return xr.Dataset(variables, {"insertion": text(order), **coords})


def _table(ds: xr.Dataset, which: str, region: str) -> pd.DataFrame:
    missing = [n for n in (*_NEEDED, region) if n not in ds.coords]
    if missing:
        expected = f"units with {', '.join(dict.fromkeys((*_NEEDED, region)))}"
        do = "Pass lsdx.open_units()."
        where = f"compare_places, {which}"
        raise SelectionError(located(where, expected, f"no {', '.join(missing)}", do))
    names = [n for n in (*_NEEDED, region, "subject", "session", "probe") if n in ds.coords]
    columns = {n: ds[n].values for n in names}
    return pd.DataFrame(columns, index=pd.Index(ds["unit"].values.astype(str)))
