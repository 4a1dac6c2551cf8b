"""What all comparisons over mice share: conditions, groups, families of cells, numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.sessions import SessionValues
from lsdx.arguments import number_between, whole_number
from lsdx.errors import ArgumentError, SelectionError, located
from lsdx.kernels import arrangements, contrasts
from lsdx.kernels.permutation import benjamini_hochberg

STRATA = ("subject", "cohort_year")
CONTROLS = ("control", "placebo", "saline", "vehicle")  # second, if nothing says which is
_WORDS = {
    "estimate": "Estimate: mean over mice",
    "low": "Lower end of the interval",
    "high": "Upper end of the interval",
    "p": "Two-sided p by permutation",
    "p_corrected": "p corrected for the family, by the largest statistic",
    "q": "False discovery rate, Benjamini-Hochberg",
    "effect": "Standardised effect",
    "effect_low": "Lower end of its interval",
    "effect_high": "Upper end of its interval",
    "without_one_low": "Least estimate when one mouse is left out",
    "without_one_high": "Largest estimate when one mouse is left out",
}


def check_numbers(where: str, n_permutations: int, level: float) -> None:
    """Check what all comparisons take."""
    whole_number(n_permutations, f"{where}, n_permutations", least=1)
    number_between(level, f"{where}, level", 0, 1)


def conditions_of(
    x: Any, values: SessionValues, given: Sequence[str] | None, where: str
) -> tuple[str, ...]:
    """Return the two conditions that are compared."""
    known = known_conditions(values)
    if given is None:
        told = getattr(x, "attrs", {}).get("conditions", "")
        named = [c.strip() for c in (told.split(",") if isinstance(told, str) else told)]
        of_stores = [c for c in named if c in known]
        # where one of the two is missing the result is NaN, and says so
        given = named if len(named) == 2 and of_stores else of_stores or _drug_first(known)
        known += [c for c in given if c not in known]
    if isinstance(given, str) or len(given) != 2 or given[0] == given[1]:
        do = "Say which, as text: conditions=('lsd', 'saline')." if len(known) > 1 else ""
        found = ", ".join(map(str, given)) or "none"
        raise SelectionError(located(f"{where}, conditions", "two conditions", found, do))
    missing = [c for c in given if c not in known]
    if missing:
        found = ", ".join(known) or "none"
        raise SelectionError(located(f"{where}, conditions", f"sessions of {missing[0]}", found))
    return tuple(map(str, given))


def known_conditions(values: SessionValues) -> list[str]:
    """Return the conditions that sessions have, in the order in which they come."""
    label = values.table["condition"]
    named = label[label.notna()].astype(str)
    return [c for c in dict.fromkeys(named) if c not in ("", "unknown")]


def _drug_first(known: Sequence[str]) -> list[str]:
    """Put conditions in order: controls last."""
    return sorted(known, key=lambda c: (c.lower() in CONTROLS, c))


def left_out_note(values: SessionValues, named: Sequence[str]) -> str:
    """Say how many sessions are of no condition that is compared; blank if none."""
    label = values.table["condition"]
    other = label[~label.isin(list(named))]
    if other.empty:
        return ""
    names = ", ".join(sorted({"unknown" if pd.isna(c) or c == "" else str(c) for c in other}))
    return f"{len(other)} sessions of other conditions ({names}) are left out"


def codes_of(values: SessionValues, labels: Sequence[str]) -> tuple[np.ndarray, list[Any]]:
    """Return a number of each session by its labels, and their names; unknown ones are alone."""
    table = values.table[list(dict.fromkeys(labels))]
    keys = [
        f"unknown {i}" if row_is_unknown else "\x1f".join(map(str, row))
        for i, (row, row_is_unknown) in enumerate(
            zip(table.to_numpy(dtype=object), table.isna().any(axis=1), strict=True)
        )
    ]
    code, names = pd.factorize(np.array(keys, dtype=object), sort=True)
    return np.asarray(code), list(names)


def refuse_unknown_strata(values: SessionValues, strata: Sequence[str], where: str) -> None:
    """Refuse strata that are no labels of sessions."""
    given: object = strata
    several = isinstance(given, Sequence) and not isinstance(given, str)
    unknown = [s for s in strata if s not in values.table] if several else []
    if not several or unknown:
        have = ", ".join(values.table.columns)
        found = str(unknown[0]) if several else repr(strata)
        raise SelectionError(located(f"{where}, strata", f"labels of sessions: {have}", found))


def mouse_means(
    values: SessionValues, mouse: np.ndarray, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of each mouse in each condition, and which mouse and condition each is."""
    key = pd.MultiIndex.from_arrays([mouse, first.astype(int)])
    table = pd.DataFrame(values.values, index=key).groupby(level=[0, 1], sort=True).mean()
    groups = np.array(table.index.to_list(), dtype=np.int64).reshape(-1, 2)
    return table.to_numpy(), groups


def result_of(
    values: SessionValues,
    found: contrasts.Contrast,
    effect: tuple[np.ndarray, np.ndarray, np.ndarray],
    without: tuple[np.ndarray, np.ndarray],
    ways: arrangements.Arrangements,
    family: Any,
    where: str,
) -> xr.Dataset:
    """Return what every comparison gives, over its cells."""
    # of drawn arrangements fewer may reach the observed one than among all
    p = np.maximum(contrasts.permutation_p(found.null), ways.p_least)
    corrected, q = np.full(p.shape, np.nan), np.full(p.shape, np.nan)
    for cells in _families(values, family, where):
        corrected[cells] = np.maximum(contrasts.family_p(found.null[:, cells]), ways.p_least)
        q[cells] = benjamini_hochberg(p[cells])
    numbers = {
        "estimate": found.estimate,
        "low": found.low,
        "high": found.high,
        "p": p,
        "p_corrected": corrected,
        "q": q,
        "effect": effect[0],
        "effect_low": effect[1],
        "effect_high": effect[2],
        "without_one_low": without[0],
        "without_one_high": without[1],
    }
    own = {"estimate", "low", "high", "without_one_low", "without_one_high"}
    units = str(values.attrs.get("units", "1"))
    variables: dict[str, Any] = {
        name: (
            values.dims,
            v.reshape(values.shape),
            {"units": units if name in own else "1", "long_name": _WORDS[name]},
        )
        for name, v in numbers.items()
    }
    null = found.null.reshape(len(ways.values), *values.shape)
    variables["null"] = (("arrangement", *values.dims), null, {"units": units})
    least = ways.p_least if np.isfinite(values.values).any() else np.nan
    variables["p_least"] = ((), least, {"units": "1", "long_name": "Least possible p"})
    return xr.Dataset(variables, values.coords)


def _families(values: SessionValues, family: Any, where: str) -> list[np.ndarray]:
    """Return the cells of each family, as places in their flat order."""
    place = np.arange(int(np.prod(values.shape))).reshape(values.shape)
    if family is None:
        return list(place.reshape(-1, 1))
    if isinstance(family, str) and family == "all":
        return [place.ravel()]
    chosen = [family] if isinstance(family, str) else list(family)
    unknown = [f for f in chosen if f not in values.dims]
    if unknown:
        known = ", ".join(["'all'", "None", *values.dims])
        raise ArgumentError(located(f"{where}, family", f"one of {known}", repr(unknown[0])))
    rest = [i for i, d in enumerate(values.dims) if d not in chosen]
    moved = np.moveaxis(place, rest, range(len(rest)))
    return list(moved.reshape(int(np.prod(moved.shape[: len(rest)])), -1))


def family_words(family: Any, values: SessionValues) -> str:
    """Return the dimensions along which p is corrected, as text."""
    if family is None or not values.dims:
        return ""
    chosen = values.dims if family == "all" else [family] if isinstance(family, str) else family
    return ", ".join(chosen)


def numbers_of(
    values: SessionValues, mouse: np.ndarray, first: np.ndarray, names: Sequence[str]
) -> dict[str, xr.DataArray]:
    """Return mice, sessions and units that have a value, by condition and cell."""
    known = np.isfinite(values.values)
    sides = [first] if len(names) == 1 else [first, ~first]
    found: dict[str, list[np.ndarray]] = {"n_mice": [], "n_sessions": []}
    if values.n_units is not None:
        found["n_units"] = []
    for side in sides:
        here = known & side[:, None]
        found["n_sessions"].append(here.sum(axis=0))
        of_mouse = pd.DataFrame(here).groupby(mouse).any().to_numpy()
        found["n_mice"].append(of_mouse.sum(axis=0))
        if values.n_units is not None:
            found["n_units"].append(np.where(here, values.n_units, 0).sum(axis=0))
    dims = ("condition", *values.dims)
    coords = {"condition": np.asarray(names, dtype=object)}
    return {
        name: xr.DataArray(
            np.array(rows).reshape(len(names), *values.shape), coords, dims, attrs={"units": "1"}
        )
        for name, rows in found.items()
    }
