"""What needs all units of a test: q within families, and shares of modulated units by arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.errors import SelectionError, located
from lsdx.kernels.families import family_q, shares_of_arms


def with_families(
    out: xr.Dataset, far: Any, ds: xr.Dataset, family: str | Sequence[str], alpha: float
) -> xr.Dataset:
    """Add q, the least that it can be, and the share of modulated units, to results of a test.

    Parameters
    ----------
    out : Dataset
        With ``p`` and ``p_least`` over (unit, epoch, metric).
    far : array (unit, epoch, metric, n_ways), optional
        Distances from chance.
    ds : Dataset
        Of the units, with their labels.
    family : str or sequence of str
        Labels on unit within which q is worked out.
    alpha : float

    Raises
    ------
    SelectionError
        If a label does not exist.
    """
    labels = sorted(str(n) for n, v in ds.coords.items() if v.dims == ("unit",))
    names = [family] if isinstance(family, str) else list(family)
    if set(names) - set(labels):
        found = repr(family)
        raise SelectionError(
            located("modulation, family", f"labels on unit, of {', '.join(labels)}", found)
        )
    table = pd.DataFrame({n: ds[n].values for n in names})
    families = np.zeros(ds.sizes["unit"], dtype=np.int64)
    if names:
        families[:] = table.groupby(names, dropna=False).ngroup()
    arms, arm = _arms(ds, labels)
    nowhere = np.full(ds.sizes["unit"], "")
    session = ds["session"].values.astype(str) if "session" in labels else nowhere
    p, least = out["p"].data, out["p_least"].data
    of_family: Any = family_q
    of_arms: Any = shares_of_arms
    lazy = hasattr(p, "dask")
    if lazy:
        from dask.delayed import delayed

        of_family, of_arms = delayed(family_q, pure=True), delayed(shares_of_arms, pure=True)
    q = of_family(p, least, far, families, alpha)
    shares = of_arms(p, least, arm, session, alpha)
    if lazy:
        q = [a.rechunk(p.chunks) for a in _arrays(q, 2, p.shape)]
        shares = _arrays(shares, 3, (len(arms), *p.shape[1:]))
    how = "Benjamini-Hochberg" if far is None else "All units' distances in all ways"
    words = f"{how}, within epoch, metric{''.join(', ' + n for n in names)}"
    told = "False discovery rate at which the unit is called"
    out["q"] = (out["p"].dims, q[0], {"units": "1", "long_name": told, "family": words})
    told = "q if all units with p < alpha were as far from chance as can be"
    out["q_least"] = (out["p"].dims, q[1], {"units": "1", "long_name": told})
    about = (
        ("share_modulated", f"Share of tested units with p < {alpha:g}"),
        ("n_tested", "Units tested"),
        ("n_sessions", "Sessions of them"),
    )
    for (name, told), values in zip(about, shares, strict=True):
        out[name] = (("arm", "epoch", "metric"), values, {"units": "1", "long_name": told})
    return out.assign_coords(arm=("arm", arms, {"long_name": "Condition of the sessions"}))


def _arms(ds: xr.Dataset, labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the conditions, those of the protocol first, and the number of each unit's."""
    if "condition" not in labels:
        n_units = ds.sizes["unit"]
        return np.array(["all"], dtype=object)[:n_units], np.zeros(n_units, dtype=np.int64)
    mine = ds["condition"].values.astype(str)
    names = [a for a in str(ds.attrs.get("conditions", "")).split(", ") if a in mine]
    names += sorted(set(mine.tolist()) - set(names))
    return np.array(names, dtype=object), np.array([names.index(a) for a in mine], dtype=np.int64)


def _arrays(promise: Any, n: int, shape: tuple[int, ...]) -> list[Any]:
    """Return the arrays of a promise of several of one shape."""
    import dask.array as da

    return [da.from_delayed(promise[i], shape, np.float64) for i in range(n)]
