"""The standard analyses, computed once and kept beside the stores as labelled Zarr stores."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from lsdx.arguments import one_of, some_of
from lsdx.errors import LsdxError, StoreCorrupt, StoreNotFound, located
from lsdx.remote import RemotePath
from lsdx.store.place import Place, find_place

FOLDER = "results"
# a changed byte is found when it is read
_CHECKED = {"name": "zstd", "configuration": {"level": 3, "checksum": True}}
FEATURES = ("left/pupil_diameter_percent", "left/motion_energy", "wheel/speed")  # compared
MEASURES = ("ngsc", "pc1", "power_law_slope")  # of dimensionality, too


@dataclass(frozen=True)
class Analysis:
    """One standard analysis: what it computes, with which arguments, from which others.

    ``compute`` takes the stores, the tag, the results that it ``needs`` by name, and the arguments.
    """

    title: str
    compute: Callable[..., xr.Dataset]
    arguments: Mapping[str, Any]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """What became of one analysis: ``computed``, ``found`` as it was, or ``skipped`` and why."""

    name: str
    status: str
    seconds: float = 0.0
    reason: str = ""


def analyse(
    names: str | Iterable[str] | None = None,
    *,
    stores: str | os.PathLike[str] | None = None,
    tag: str | None = None,
    progress: bool = True,
) -> list[Result]:
    """Compute standard analyses of the stores and keep them in their folder ``results``.

    Parameters
    ----------
    names : str or iterable of str, optional
        Of `ANALYSES`: ``"alignment"``, ``"behavior"``, ``"dimensionality"``, ``"modulation"``,
        ``"changes"``, ``"comparisons"``; all by default. What they need is computed too.
    stores : path, optional
        Folder of the stores; that of the settings by default.
    tag : str, optional
        A tagged catalog.
    progress : bool
        Whether to show a bar (never where the output is no terminal).

    Returns
    -------
    list of Result
        One an analysis. What was computed from the same catalog, by the same version, with the
        same arguments is found and left as it is. An analysis whose stores are not built, or whose
        sessions do not serve, is skipped with the reason.

    Raises
    ------
    ArgumentError
        For a name that does not exist.
    StoreNotFound
        Without stores.

    Examples
    --------
    >>> import lsdx
    >>> [r.name for r in lsdx.analyse("behavior", progress=False)]
    ['behavior']
    >>> lsdx.open_result("behavior").behavior.dims
    ('session', 'phase', 'epoch', 'feature')
    """
    import time

    from tqdm import tqdm

    listed = tuple(ANALYSES) if names is None else names
    chosen = list(some_of(listed, "analyse, names", ANALYSES))
    chosen = [n for n in ANALYSES if n in chosen or any(n in ANALYSES[c].needs for c in chosen)]
    place = find_place(stores)
    catalog = place.catalog(tag).digest
    done: list[Result] = []
    for name in (bar := tqdm(chosen, unit="analysis", disable=None if progress else True)):
        bar.set_description(name)
        digest = _digest(name, catalog)
        if _held(_path(place, name, digest)) == digest:
            done.append(Result(name, "found"))
            continue
        began = time.monotonic()
        try:
            found = _computed(name, place, tag)
        except LsdxError as error:
            done.append(Result(name, "skipped", time.monotonic() - began, str(error)))
            continue
        _write(found, place, name, digest)
        done.append(Result(name, "computed", time.monotonic() - began))
    return done


def open_result(
    name: str, *, stores: str | os.PathLike[str] | None = None, tag: str | None = None
) -> xr.Dataset:
    """Open what `analyse` has computed from the stores as they are.

    Parameters
    ----------
    name : str
        Of `ANALYSES`.
    stores : path, optional
        Folder of the stores; that of the settings by default.
    tag : str, optional
        A tagged catalog.

    Returns
    -------
    Dataset
        In memory. Its attributes ``arguments`` (JSON), ``lsdx`` (version) and ``catalog`` say what
        was computed from what.

    Raises
    ------
    StoreNotFound
        If it has not been computed, or from another catalog, by another version, or with other
        arguments than those of now.
    StoreCorrupt
        If it is not what was written.

    Examples
    --------
    >>> open_result("nothing")
    Traceback (most recent call last):
        ...
    lsdx.errors.ArgumentError: open_result, name: expected one of 'alignment', ...
    """
    name = one_of(name, "open_result, name", ANALYSES)
    place = find_place(stores)
    digest = _digest(name, place.catalog(tag).digest)
    path = _path(place, name, digest)
    held = _held(path)
    if held != digest:
        found = "none" if held is None else "one of other stores or of another version"
        where = f"{place}/{FOLDER}/{name}"
        do = f"Compute it: lsdx analyse {name}"
        raise StoreNotFound(located(where, "a result of these stores", found, do))
    with tempfile.TemporaryDirectory(prefix="lsdx-") as near:
        folder = path
        if isinstance(path, RemotePath):
            folder = Path(near)
            path.read_folder(folder)
        try:
            ds = xr.open_zarr(folder, consolidated=False, chunks=None).load()
        except Exception as error:  # of Zarr and its codecs, of many kinds
            do = f"Remove it, and compute it again: lsdx analyse {name}"
            where = f"{place}/{FOLDER}/{path.name}"
            raise StoreCorrupt(
                located(where, "a result as it was written", str(error), do)
            ) from error
    texts = {n: v.astype(object) for n, v in ds.variables.items() if v.dtype.kind == "T"}
    result: xr.Dataset = ds.assign(texts)
    return result


def _digest(name: str, catalog: str) -> str:
    """Say what a result depends on, in 16 digits."""
    analysis = ANALYSES[name]
    told = {
        "name": name,
        "arguments": dict(analysis.arguments),
        "catalog": catalog,
        "lsdx": version("lsdx"),
        "needs": [_digest(n, catalog) for n in analysis.needs],
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _path(place: Place, name: str, digest: str) -> Any:
    """Return where a result lies: at an address, where nothing is renamed, each has its own."""
    own = f"-{digest}" if isinstance(place.path, RemotePath) else ""
    return place.path / FOLDER / f"{name}{own}.zarr"


def _held(path: Any) -> str | None:
    """Return the digest of the result that is there, None without one."""
    try:
        text = (path / "zarr.json").read_text(encoding="utf-8")
        found = json.loads(text)["attributes"]["result"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(found)


def _computed(name: str, place: Place, tag: str | None) -> xr.Dataset:
    analysis = ANALYSES[name]
    needed = {}
    for other in analysis.needs:
        try:
            needed[other] = open_result(other, stores=place.path, tag=tag)
        except StoreNotFound:  # it was skipped
            continue
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of empty cells, which are NaN
        return analysis.compute(place.path, tag, needed, **analysis.arguments).compute()


def _write(found: xr.Dataset, place: Place, name: str, digest: str) -> None:
    """Write a result beside its place and give it its name when it is whole."""
    path = _path(place, name, digest)
    remote = isinstance(path, RemotePath)
    if not remote:
        path.parent.mkdir(exist_ok=True)
    arguments = json.dumps(dict(ANALYSES[name].arguments), sort_keys=True)
    attrs = {k: v.item() if isinstance(v, np.generic) else v for k, v in found.attrs.items()}
    told = {"result": digest, "arguments": arguments, "lsdx": version("lsdx")}
    # Zarr has no settled format for texts of fixed length
    found = found.assign(
        {n: v.astype(object) for n, v in found.variables.items() if v.dtype.kind == "U"}
    )
    with tempfile.TemporaryDirectory(prefix=".", dir=None if remote else path.parent) as made:
        scratch = Path(made) / path.name
        found.drop_encoding().assign_attrs(attrs | told).to_zarr(
            scratch,
            mode="w",
            consolidated=False,
            zarr_format=3,
            encoding={str(n): {"compressors": [_CHECKED]} for n in found.variables},
        )
        if remote:
            path.write_folder(scratch, "zarr.json")
        else:
            shutil.rmtree(path, ignore_errors=True)
            scratch.rename(path)


def _alignment(stores: Any, tag: str | None, _: Any, **arguments: Any) -> xr.Dataset:
    from lsdx.check import check_alignment

    return check_alignment(stores, tag=tag, **arguments)


def _behavior(stores: Any, tag: str | None, _: Any) -> xr.Dataset:
    from lsdx.store.behavior import open_behavior

    ds = open_behavior(stores, tag=tag)
    mean = ds["behavior"].mean("time", keep_attrs=True)
    mean = mean.transpose("session", "phase", "epoch", "feature")
    return mean.to_dataset().assign_attrs(ds.attrs)


def _dimensionality(stores: Any, tag: str | None, _: Any, **arguments: Any) -> xr.Dataset:
    from lsdx.analysis.dimensionality import dimensionality
    from lsdx.store.openers import open_units

    return dimensionality(open_units(stores, tag=tag), **arguments)


def _modulation(stores: Any, tag: str | None, _: Any, **arguments: Any) -> xr.Dataset:
    from lsdx.analysis.modulation import modulation
    from lsdx.store.openers import open_spikes

    return modulation(open_spikes(stores, tag=tag), **arguments)


def _measures(
    stores: Any, tag: str | None, needed: Mapping[str, xr.Dataset]
) -> dict[str, xr.DataArray]:
    """Return what is compared: numbers of sessions or units by phase and epoch."""
    from lsdx.analysis.counts import rates
    from lsdx.store.openers import open_units

    units = open_units(stores, tag=tag)
    found = {"rate": rates(units).assign_attrs(units.attrs)}
    if "dimensionality" in needed:
        own = needed["dimensionality"]
        found |= {name: own[name].assign_attrs(own.attrs) for name in MEASURES}
    if "behavior" in needed:
        own = needed["behavior"]
        for feature in FEATURES:
            if feature in own["feature"].values:
                x = own["behavior"].sel(feature=feature, drop=True).rename("value")
                found[feature] = x.assign_attrs(own.attrs)
    return found


def _over_measures(
    compare: Callable[..., xr.Dataset], measures: Mapping[str, xr.DataArray], **arguments: Any
) -> xr.Dataset:
    """Compare each measure, each of its epochs a cell; without what stands for single mice."""
    tables = []
    for x in measures.values():
        ds = compare(x, **arguments)
        kept = ds.drop_vars([n for n in ds.variables if {"mouse", "arrangement"} & {*ds[n].dims}])
        tables.append(kept.assign(note=str(ds.attrs.get("note", ""))))
    names = xr.DataArray(list(measures), dims="measure", name="measure")
    return xr.concat(
        tables,
        names,
        data_vars="all",
        coords="minimal",
        compat="override",
        combine_attrs="drop_conflicts",
    )


def _comparisons(
    stores: Any, tag: str | None, needed: Mapping[str, xr.Dataset], **arguments: Any
) -> xr.Dataset:
    from lsdx.analysis.cohort import compare_conditions

    return _over_measures(compare_conditions, _measures(stores, tag, needed), **arguments)


def _changes(
    stores: Any, tag: str | None, needed: Mapping[str, xr.Dataset], **arguments: Any
) -> xr.Dataset:
    from lsdx.analysis.cohort import paired_contrast

    return _over_measures(paired_contrast, _measures(stores, tag, needed), **arguments)


#: The standard analyses, in the order in which they are computed.
ANALYSES: dict[str, Analysis] = {
    "alignment": Analysis("Whether epochs and stimuli are where the spikes are", _alignment, {}),
    "behavior": Analysis("Means of behaviour by session and epoch", _behavior, {}),
    "dimensionality": Analysis(
        "Dimensionality of each session's population", _dimensionality, {"by": "session", "rng": 0}
    ),
    "modulation": Analysis(
        "Units whose rate changed from before to after",
        _modulation,
        {"epoch": "spontaneous", "rng": 0},
    ),
    "changes": Analysis(
        "Changes from before to after within each condition, over mice",
        _changes,
        {"rng": 0},
        needs=("behavior", "dimensionality"),
    ),
    "comparisons": Analysis(
        "Differences of the conditions, over mice",
        _comparisons,
        {"rng": 0},
        needs=("behavior", "dimensionality"),
    ),
}
