"""Open stores, lazily and labelled.

Only what the catalog names is read, and each file is checked against its checksum. A damaged file
raises an error that names it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.arguments import one_of
from lsdx.clock import TICKS_PER_SECOND, to_bin_ticks
from lsdx.errors import SelectionError, StoreCorrupt, StoreNotFound, located
from lsdx.schema import SCHEMAS
from lsdx.schema.spec import text
from lsdx.store.access import read_store
from lsdx.store.catalog import Catalog
from lsdx.store.flat import check_version, light, marked, validated
from lsdx.store.place import Place, find_place
from lsdx.store.ragged import lazy_rows, row_starts

DEFAULT_BIN_WIDTH = "100 ms"


def open_sessions(
    stores: str | os.PathLike[str] | None = None, *, tag: str | None = None
) -> xr.Dataset:
    """Open the sessions: one row each, with condition, history, dose, dataset status.

    Parameters
    ----------
    stores : path, optional
        The stores folder; the settings' by default.
    tag : str, optional
        A catalog kept by ``lsdx tag``; the current one by default.

    Returns
    -------
    Dataset
        Dims (session, dataset), loaded. Text is ``""`` and numbers are NaN where unknown.

    Raises
    ------
    StoreNotFound, StoreCorrupt
        If it has not been built, or is damaged.

    Examples
    --------
    >>> import lsdx
    >>> s = lsdx.open_sessions()
    >>> sorted(set(s.condition.values.tolist()))
    ['lsd', 'saline']
    """
    return _open_light(stores, "sessions", tag)


def open_insertions(
    stores: str | os.PathLike[str] | None = None, *, tag: str | None = None
) -> xr.Dataset:
    """Open the probe insertions: hardware, sorting, unit numbers, histology stage.

    Parameters, errors and the NaN rule are those of `open_sessions`.

    Returns
    -------
    Dataset
        Dim (insertion), loaded.

    Examples
    --------
    >>> import lsdx
    >>> lsdx.open_insertions().n_units.dims
    ('insertion',)
    """
    return _open_light(stores, "insertions", tag)


def open_epochs(
    stores: str | os.PathLike[str] | None = None, *, tag: str | None = None
) -> xr.Dataset:
    """Open the epochs: start and stop on the spike clock (s), provenance, failed checks.

    Parameters, errors and the NaN rule are those of `open_sessions`.

    Returns
    -------
    Dataset
        Dims (session, phase, epoch), loaded. To meet units: ``epochs.sel(session=u.session)``.

    Examples
    --------
    >>> import lsdx
    >>> e = lsdx.open_epochs()
    >>> float(e.start.sel(phase="pre", epoch="spontaneous").min()) > 0
    True
    """
    return _open_light(stores, "epochs", tag)


def open_events(
    stores: str | os.PathLike[str] | None = None, *, tag: str | None = None
) -> xr.Dataset:
    """Open the events, one a row: gabors, valve, tone, noise of the replay, and the lab's own.

    Parameters, errors and the NaN rule are those of `open_sessions`.

    Returns
    -------
    Dataset
        Dim (event), loaded; ragged by ``session``. Each other column of the lab's table of
        events is a label: numbers, NaN where blank, or text.

    Examples
    --------
    >>> import lsdx
    >>> e = lsdx.open_events()
    >>> sorted(set(e.kind.values.tolist()))
    ['gabor', 'noise', 'tone', 'valve']
    """
    events = _open_light(stores, "events", tag)
    if not (events["other"] != "").any():
        return events.drop_vars("other")
    others = pd.DataFrame([json.loads(o or "{}") for o in events["other"].values])
    labels: dict[str, Any] = {}
    for name in map(str, others):
        blank, values = others[name].isna(), others[name]
        numbers = all(isinstance(v, int | float) for v in values[~blank])
        labels[name] = values.astype(float) if numbers else text(values.where(~blank, ""))
    given = {f"{n}_given" if n in events.variables else n: v for n, v in labels.items()}
    return events.drop_vars("other").assign_coords({n: ("event", v) for n, v in given.items()})


def open_units(
    stores: str | os.PathLike[str] | None = None,
    *,
    bin_width: str | float | None = None,
    duplicates: str = "keep",
    tag: str | None = None,
) -> xr.Dataset:
    """Open every unit of every session: labels, quality, and spike counts, lazily.

    Parameters
    ----------
    stores : path, optional
        The stores folder; the settings' by default.
    bin_width : str or float, optional
        Such as ``"10 ms"``; one that has been built. Without it 100 ms, or the only one.
    duplicates : {"keep", "drop"}
        Whether spikes that bombcell calls duplicates are counted. Counts without them must have
        been built; where an insertion has no mask (``has_duplicate_mask``) they keep all.
        The lab's own loaders drop duplicates unless told otherwise.
    tag : str, optional
        A catalog kept by ``lsdx tag``; the current one by default.

    Returns
    -------
    Dataset
        Dims (unit, phase, epoch, time). ``counts`` is a dask array of float32, NaN where
        nothing was observed; sum it with ``min_count=1``, or use ``n_spikes`` (float64, NaN
        there too). Labels are loaded; text is ``""`` where unknown.

    Raises
    ------
    StoreNotFound
        If units or such counts have not been built; those that have are named.
    StoreCorrupt
        If a store is damaged, or units and counts are not of one build.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units()
    >>> u.sel(phase="post", epoch="replay").counts.dims
    ('unit', 'time')
    """
    place = find_place(stores)
    catalog = place.catalog(tag)
    units = light(place, catalog, "units")
    counts = _counts(place, catalog, bin_width, duplicates, units)
    ds = xr.Dataset(
        {**counts.data_vars, **units.data_vars}, units.coords.merge(counts.coords).coords
    )
    return marked(ds.assign_attrs(counts.attrs), catalog)


def open_quality(
    stores: str | os.PathLike[str] | None = None, *, tag: str | None = None
) -> xr.Dataset:
    """Open the quality of every unit: bombcell's measures, and how steady it stayed.

    Parameters, errors and the NaN rule are those of `open_sessions`.

    Returns
    -------
    Dataset
        Dims (unit, phase), loaded. Bombcell's measures have its own names. Every label of the
        units, and the quality numbers of their store, are coordinates.

    Examples
    --------
    >>> import lsdx
    >>> q = lsdx.open_quality().lsd.select(quality="stable")
    >>> set(q.stable.values.tolist())
    {1.0}
    >>> lsdx.open_spikes(units=q).sizes["unit"] == q.sizes["unit"]
    True
    """
    place = find_place(stores)
    catalog = place.catalog(tag)
    units = light(place, catalog, "units")
    quality = light(place, catalog, "quality")
    own, theirs = catalog.flat["quality"], catalog.flat["units"]
    if own.attrs["unit_digest"] != theirs.attrs["unit_digest"]:
        raise StoreCorrupt(
            located(
                own.path,
                "the units of the store of units",
                "others",
                "Build again: lsdx build units quality",
            )
        )
    labels = units.set_coords(list(units.data_vars)).coords
    ds = xr.Dataset(quality.data_vars, quality.coords.merge(labels).coords)
    return marked(ds, catalog)


def open_counts(
    stores: str | os.PathLike[str] | None = None,
    *,
    bin_width: str | float | None = None,
    duplicates: str = "keep",
    tag: str | None = None,
) -> xr.Dataset:
    """Open the spike counts and the units' labels, without the quality numbers.

    Parameters, errors and the NaN rule are those of `open_units`.

    Returns
    -------
    Dataset
        Dims (unit, phase, epoch, time): ``counts``, ``n_spikes``, ``duration``.

    Examples
    --------
    >>> import lsdx
    >>> sorted(lsdx.open_counts(bin_width="100 ms").data_vars)
    ['counts', 'duration', 'n_spikes']
    """
    ds = open_units(stores, bin_width=bin_width, duplicates=duplicates, tag=tag)
    return ds[["counts", "n_spikes", "duration"]]


def open_spikes(
    stores: str | os.PathLike[str] | None = None,
    *,
    units: xr.Dataset | xr.DataArray | None = None,
    session: str | Sequence[str] | None = None,
    tag: str | None = None,
) -> xr.Dataset:
    """Open spike times, lazily: all, or those of exactly the given units, in their order.

    Parameters
    ----------
    stores : path, optional
        The stores folder; the settings' by default.
    units : Dataset or DataArray, optional
        Anything with the coordinate ``unit``, such as a selection of `open_units`.
    session : str or sequence of str, optional
        Session ids to keep.
    tag : str, optional
        A catalog kept by ``lsdx tag``; the current one by default.

    Returns
    -------
    Dataset
        A contiguous ragged array (CF conventions, 9.3.3): ``spike_time`` (spike,) in s,
        sorted by unit, then time; ``row_start`` and ``row_size`` (unit,) say which spikes are
        whose, and stay right under ``isel(unit=...)``. ``start``, ``stop`` (s) of each epoch
        per unit, NaN where its probe did not observe it; ``administration`` (s); every label
        of the unit. No spike is read until computed. Chunks are of one length, so that
        ``to_zarr`` takes them.

    Raises
    ------
    StoreNotFound, StoreCorrupt
        If it has not been built, or is damaged.
    SelectionError
        For a unit or a session that is not stored.

    Examples
    --------
    >>> import lsdx
    >>> s = lsdx.open_spikes()
    >>> s.sizes["spike"] == int(s.row_size.sum())
    True
    """
    place = find_place(stores)
    catalog = place.catalog(tag)
    table = light(place, catalog, "units")
    rows = np.arange(table.sizes["unit"])
    if units is not None:
        rows = _rows_of(table, units)
    if session is not None:
        wanted = [session] if isinstance(session, str) else list(session)
        missing = sorted(set(wanted) - set(table["session"].values))
        if missing:
            raise SelectionError(
                located("session", "sessions with units", missing[0], "See lsdx.open_sessions().")
            )
        rows = rows[np.isin(table["session"].values[rows].astype(str), wanted)]
    return _ragged(place, catalog, table, rows)


def _open_light(stores: str | os.PathLike[str] | None, noun: str, tag: str | None) -> xr.Dataset:
    place = find_place(stores)
    catalog = place.catalog(tag)
    return marked(light(place, catalog, noun), catalog)


def _counts(
    place: Place,
    catalog: Catalog,
    bin_width: str | float | None,
    duplicates: str,
    table: xr.Dataset,
) -> xr.Dataset:
    """Open the counts of the units of ``table``, whose ids are not read again."""
    one_of(duplicates, "open_units, duplicates", ("keep", "drop"))
    entries = [
        catalog.flat[name]
        for name, recipe in catalog.recipes.items()
        if recipe["store"] == "counts" and name in catalog.flat
    ]
    built = {e.attrs["bin_width_ticks"]: e for e in entries if e.attrs["duplicates"] == duplicates}
    wanted = to_bin_ticks(DEFAULT_BIN_WIDTH if bin_width is None else bin_width)
    if bin_width is None and wanted not in built and len(built) == 1:
        (wanted,) = built
    if wanted not in built:
        each = sorted((e.attrs["bin_width_ticks"], e.attrs["duplicates"]) for e in entries)
        have = ", ".join(f"{t / TICKS_PER_SECOND:g} s ({d})" for t, d in each) or "none"
        raise StoreNotFound(
            located(
                f"{place}, counts",
                f"bins of {wanted / TICKS_PER_SECOND:g} s, duplicates {duplicates!r}",
                f"built: {have}",
                "Build it from a copy of recipes/counts.py with this bin_width and duplicates, or "
                "bin spikes: lsdx.open_spikes(...).lsd.bin(...)",
            )
        )
    entry = built[wanted]
    units = catalog.flat["units"]
    if entry.attrs["unit_digest"] != units.attrs["unit_digest"]:
        raise StoreCorrupt(
            located(
                entry.path,
                "the units of the store of units",
                "others",
                "Build again: lsdx build units counts",
            )
        )
    check_version("counts", entry)
    # a read is a chunk on disk: a region of every session touches few of them
    chunks = {**SCHEMAS["counts"].chunks, "time": -1}
    ds = read_store(place, entry, lazy={"counts": chunks}, without=("unit",))
    unit = xr.Coordinates(
        {"unit": table.variables["unit"]}, indexes={"unit": table.xindexes["unit"]}
    )
    ds = validated(ds.assign_coords(unit), "counts", entry)
    return ds.assign_attrs(
        bin_width=wanted / TICKS_PER_SECOND, duplicates=entry.attrs["duplicates"]
    )


def _rows_of(table: xr.Dataset, units: object) -> np.ndarray:
    if not isinstance(units, xr.Dataset | xr.DataArray) or "unit" not in units.coords:
        raise SelectionError(
            located(
                "units",
                "a Dataset or DataArray with the coordinate 'unit'",
                type(units).__name__,
                "Pass a selection of lsdx.open_units().",
            )
        )
    index = table.indexes["unit"]
    wanted = np.atleast_1d(units["unit"].values)
    rows = np.asarray(index.get_indexer(pd.Index(wanted)))
    if (rows < 0).any():
        raise SelectionError(
            located(
                "units",
                "units of these stores",
                f"{int((rows < 0).sum())} others, such as {wanted[rows < 0][0]}",
                "Select from the same stores and tag.",
            )
        )
    return rows


def _ragged(place: Place, catalog: Catalog, table: xr.Dataset, rows: np.ndarray) -> xr.Dataset:
    parts = catalog.parts.get("spikes", {})
    chosen = table.isel(unit=rows)
    row_size = chosen["spike_count"].values
    sessions = chosen["session"].values
    for eid in pd.unique(sessions):
        if eid not in parts:
            raise StoreNotFound(
                located(
                    f"{place}, spikes of session {eid}",
                    "a built store",
                    "none in the catalog",
                    "Build it: lsdx build spikes",
                )
            )
        check_version("spikes", parts[eid])
        _same_units(catalog, eid)
    arrays = lazy_rows(place, parts, sessions, row_starts(table)[rows], row_size)
    # by Variable: selecting by DataArray copies every label of it deeply
    epochs = light(place, catalog, "epochs").sel(session=chosen["session"].variable)
    insertions = light(place, catalog, "insertions").sel(insertion=chosen["insertion"].variable)
    observed = insertions["observed"].values
    spikes = SCHEMAS["spikes"]
    ds = xr.Dataset(
        {
            "spike_time": (
                "spike",
                arrays["spike_time"],
                {"units": "s", "long_name": spikes["spike_time"].doc},
            ),
            "duplicate": (
                "spike",
                arrays["duplicate"],
                {"long_name": spikes["duplicate"].doc},
            ),
            "row_size": (
                "unit",
                row_size,
                {"units": "1", "sample_dimension": "spike", "long_name": spikes["row_size"].doc},
            ),
            "row_start": (
                "unit",
                np.cumsum(row_size) - row_size,
                {"units": "1", "long_name": "First spike of the unit along spike."},
            ),
            **{n: epochs[n].variable.where(observed) for n in ("start", "stop")},
            "administration": epochs["administration"].variable,
            "last_spike": insertions["last_spike"].variable,
        },
        coords={
            **chosen.coords,
            "phase": epochs["phase"].variable,
            "epoch": epochs["epoch"].variable,
        },
    )
    ds = ds.assign_attrs(featureType="timeSeries", n_spikes=ds.sizes["spike"])
    return marked(ds, catalog)


def _same_units(catalog: Catalog, eid: str) -> None:
    spikes, units = catalog.parts["spikes"][eid], catalog.parts["units"].get(eid)
    if units is None or spikes.attrs["unit_digest"] != units.attrs["unit_digest"]:
        raise StoreCorrupt(
            located(
                spikes.path,
                f"the units of session {eid}",
                "others",
                "Build again: lsdx build units spikes",
            )
        )
