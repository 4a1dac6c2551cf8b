"""Results over mice in words: the paragraph for the paper."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lsdx.errors import SelectionError, located

_NEEDED = (
    *("estimate", "low", "high", "p", "p_corrected", "effect"),
    *("n_mice", "n_sessions"),
)


def describe(ds: xr.Dataset) -> str:
    """Write the paragraph for the paper: design, numbers, test, estimate, interval, p.

    Parameters
    ----------
    ds : Dataset
        What `compare_conditions`, `paired_contrast`, `dose_response` or `equivalence` gives.

    Returns
    -------
    str
        Of many cells the five of least p.

    Raises
    ------
    SelectionError
        If ``ds`` is no such result.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units().sel(epoch="spontaneous")
    >>> c = u.lsd.rates().lsd.compare_conditions(rng=0)
    >>> c.lsd.describe().split(". ")[0]
    'mean_rate (Hz), post minus pre, lsd minus saline, epoch spontaneous'
    """
    from importlib.metadata import version

    test = str(ds.attrs.get("test", ""))
    missing = [n for n in _NEEDED if n not in ds]
    if not test or missing or not ds["estimate"].size:
        found = "another result"
        if test:
            found = f"one without {', '.join(missing)}" if missing else "one without cells"
        do = "Start from x.lsd.compare_conditions(...)."
        raise SelectionError(located("describe", "a comparison over mice", found, do))
    attrs = ds.attrs
    units = "" if attrs["units"] == "1" else f" ({attrs['units']})"
    between = list(attrs.get("between") or ())
    words = [f"{attrs['measure']}{units}"]
    words += [f"{between[1]} minus {between[0]}"] if len(between) == 2 else []
    if test in ("compare_conditions", "equivalence"):
        words.append(" minus ".join(attrs["conditions"]))
    words += [f"slope over {attrs['over']} within mice"] if test == "dose_response" else []
    chosen = [n for n, c in ds.coords.items() if not c.ndim and n not in ("simulated", "condition")]
    words += [f"{n} {ds[n].item()}" for n in sorted(map(str, chosen))]
    sentences = [", ".join(words), *_design_words(ds), *_test_words(ds)]
    if attrs.get("selection"):
        sentences.append(f"Selection: {attrs['selection']}")
    if test == "dose_response" and len(attrs["conditions"]):
        sentences.append(f"Sessions of {' and '.join(attrs['conditions'])} alone")
    if attrs.get("family"):
        sentences.append(f"p corrected by the largest statistic over {attrs['family']}")
    if test == "equivalence":
        sentences.append(
            f"Equivalence: two one-sided t tests over mice, margin {attrs['margin']:g}{units}"
        )
    sentences += _cells_in_words(ds)
    if attrs.get("note"):
        sentences.append(str(attrs["note"]).rstrip("."))
    if attrs.get("simulated"):
        sentences.append("SIMULATED, not recordings")
    source = f"lsdx {version('lsdx')}, catalog {attrs.get('catalog', 'unknown')}"
    sentences.append(f"Seed {attrs['seed']}; {source}")
    return ". ".join(sentences) + "."


def _design_words(ds: xr.Dataset) -> list[str]:
    attrs = ds.attrs
    told = []
    for word in ("mice", "sessions", "units"):
        name = f"n_{word}"
        if name not in ds:
            continue
        most = ds[name].max([d for d in ds[name].dims if d != "condition"])
        names = most["condition"].values if "condition" in most.dims else [""]
        told.append(
            ", ".join(
                f"{int(n)} {word} {c}".rstrip()
                for n, c in zip(np.atleast_1d(most.values), names, strict=True)
            )
        )
    sentences = ["; ".join(told)]
    if attrs["test"] in ("compare_conditions", "equivalence"):
        n = int(ds["n_informative"].max())
        sentences.append(
            "Mouse means of the two conditions are compared, POOLED over mice and years"
            if attrs["pooled"]
            else f"Conditions are compared within {attrs['strata'].replace(', ', ' x ')}: {n} mice "
            f"had both, in {attrs['n_strata']} strata"
        )
        if attrs.get("n_sessions_unused"):
            sentences.append(
                f"{attrs['n_sessions_unused']} sessions lie where there is one condition only, "
                "and are not used"
            )
    if attrs.get("reduce"):
        sentences.append(f"Units of a session: {attrs['reduce']}")
    return sentences


def _test_words(ds: xr.Dataset) -> list[str]:
    attrs = ds.attrs
    if attrs["test"] == "paired_contrast":
        of = "condition" in ds["n_arrangements"].dims
        rows = [ds.sel(condition=c) for c in ds["condition"].values] if of else [ds]
        return [_signs(row) for row in rows]
    if not np.isfinite(attrs["p_least"]):
        return ["Nothing can be permuted: there is no p"]
    drawn = (
        f"{ds.sizes['arrangement'] - 1} drawn from " if "arrangement" in ds.dims else "drawn from "
    )
    ways = f"{'all' if attrs['exact'] else drawn.rstrip()} {attrs['n_arrangements']} arrangements"
    least = f"p of the design at least {attrs['p_least']:.2g}"
    return [f"Permutation test, {ways}, two-sided, {least}"]


def _signs(row: xr.Dataset) -> str:
    n, least = int(row["n_arrangements"]), float(row["p_least"])
    told = f" {row['condition'].item()}" if "condition" in row.coords else ""
    ways = f"all {n}" if bool(row["exact"]) else f"drawn from {n}"
    return f"Signs flipped over mice{told}, {ways} arrangements, p at least {least:.2g}"


def _cells_in_words(ds: xr.Dataset) -> list[str]:
    names = ["estimate", "low", "high", "p", "p_corrected", "effect"]
    names += ["p_equivalent"] if "p_equivalent" in ds else []
    flat = ds[names].reset_coords(drop=True)
    if not flat["estimate"].dims:
        flat = flat.expand_dims("cell")
    table = flat.to_dataframe()[names]
    table = table.sort_values("p", kind="stable")
    told = []
    for key, row in table.head(5).iterrows():
        cell = " ".join(map(str, key)) if isinstance(key, tuple) else str(key)
        cell = f"{cell}: " if ds["estimate"].dims else ""
        level = f"{100 * float(ds.attrs.get('interval_level', ds.attrs['level'])):g} %"
        if not np.isfinite(row.estimate):
            told.append(f"{cell}no estimate")
            continue
        words = f"{cell}{row.estimate:.3g}, "
        words += (
            f"{level} interval {row.low:.3g} to {row.high:.3g}"
            if np.isfinite(row.low)
            else "no interval"
        )
        words += f", p = {row.p:.3g}" if np.isfinite(row.p) else ", no p"
        if np.isfinite(row.p_corrected) and ds.attrs.get("family"):
            words += f" (corrected {row.p_corrected:.3g})"
        words += f", effect size {row.effect:.2f}" if np.isfinite(row.effect) else ""
        if "p_equivalent" in names:
            p = row.p_equivalent
            words += f", p of equivalence {p:.3g}" if np.isfinite(p) else ", no p of equivalence"
        told.append(words)
    if len(table) > 5:
        told.append(f"{len(table) - 5} cells of larger p are not listed")
    return told
