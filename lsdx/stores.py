"""The stores: the catalog that says what is current, and what opens it, lazily and labelled.

Nothing is read that the catalog does not name, and nothing is believed that does not carry
its checksum: a damaged store is refused by name, never read as something else.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.clock import TICKS_PER_SECOND, to_bin_ticks
from lsdx.config import Settings, load_settings, user_path
from lsdx.errors import (
    REBUILD,
    ConfigError,
    SchemaError,
    SelectionError,
    StoreCorrupt,
    StoreNotFound,
    located,
)
from lsdx.schema import SCHEMAS, validate
from lsdx.schema.spec import text
from lsdx.schema.spikes import session_runs

if TYPE_CHECKING:
    from zarr.abc.store import Store

CATALOG = "catalog.json"
FORMAT = 1
CATEGORIES = "categories"
DEFAULT_BIN_WIDTH = "100 ms"
SIMULATED = "lsdx demo cohort: SIMULATED, not recordings"
_CHECKOUT = (".git", "pyproject.toml")  # what the top of one holds
_BUILD_OR_SAY = "Build them: lsdx build; or say where they are: stores=..., or LSDX_STORES."
_DIGEST = re.compile(r'\A\{\n "digest": "([0-9a-f]{64})",\n')


@dataclass(frozen=True)
class Entry:
    """One Zarr store of the catalog: where it is, and what its bytes must be.

    ``metadata`` maps each ``zarr.json`` (by its array's name, ``""`` for the group) to its
    SHA-256; ``sizes`` are lengths by dimension; ``attrs`` what need not be read from it.
    """

    path: str
    bytes: int
    metadata: Mapping[str, str]
    sizes: Mapping[str, int]
    attrs: Mapping[str, Any]


# of a session's spikes: its store, first spike of each row there, number of each row's spikes
Rows = tuple[Entry, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Catalog:
    """What is current: the parts of each session and the flat stores made of them.

    ``simulated`` is of all sessions alike; ``recipes`` tells what each entry was built with;
    ``parts[recipe][eid]`` and ``flat[recipe]`` are entries; ``protocol`` holds the names of
    phases, epochs and conditions.
    """

    simulated: bool = False
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    parts: Mapping[str, Mapping[str, Entry]] = field(default_factory=dict)
    flat: Mapping[str, Entry] = field(default_factory=dict)
    protocol: Mapping[str, Sequence[str]] = field(default_factory=dict)
    format: int = FORMAT

    def to_json(self) -> str:
        """Write the catalog, its own digest first."""
        return self._content().replace("{\n", f'{{\n "digest": "{self.digest}",\n', 1)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the catalog's text without this digest."""
        return hashlib.sha256(self._content().encode()).hexdigest()

    def _content(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True)

    def entries(self) -> list[Entry]:
        """List every store that the catalog names."""
        parts = [e for by_session in self.parts.values() for e in by_session.values()]
        return [*self.flat.values(), *parts]


def digest_of(value: object) -> str:
    """Give the SHA-256 of a JSON value in its canonical form.

    Examples
    --------
    >>> digest_of({"b": 1, "a": 2}) == digest_of({"a": 2, "b": 1})
    True
    """
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def stores_folder(stores: str | os.PathLike[str] | None = None) -> Path:
    """Give the stores folder, absolute: the argument, else the settings'.

    Raises
    ------
    ConfigError
        For what is no path: units, or a bin width, that were meant for another argument.
    """
    value: object = _default_folder() if stores is None else stores
    width = _is_width(value)
    if isinstance(value, os.PathLike) or (
        isinstance(value, str) and (not width or Path(value).is_dir())
    ):
        return user_path(value).absolute()
    found, do = type(value).__name__, "Pass the folder's path."
    if width:
        found, do = repr(value), f"Pass a bin width by its name: bin_width={value!r}."
    elif isinstance(value, xr.Dataset | xr.DataArray):
        do = "Pass units by their name: lsdx.open_spikes(units=...)."
    raise ConfigError(located("stores", "a folder", found, do))


def _default_folder() -> Path:
    """Give the settings' folder of stores, else that of the checkout.

    A notebook runs in its own folder: where no setting names stores and the working directory
    has none, it is about those of the folder above that is a checkout, or that this folder's
    ``lsdx.toml`` names.
    """
    folder, here = load_settings().stores, Path.cwd()
    if folder != Settings().stores or (folder / CATALOG).is_file():
        return folder
    above = (here, *here.parents)
    top = next((p for p in above if any((p / name).exists() for name in _CHECKOUT)), here)
    file = top / "lsdx.toml"
    other = load_settings(file=file).stores if file.is_file() else top / folder
    if (other / CATALOG).is_file():
        return other
    looked = " and ".join(dict.fromkeys((str(here / folder), str(other))))
    raise StoreNotFound(located(looked, "stores", "none", _BUILD_OR_SAY))


def _is_width(value: object) -> bool:
    if not isinstance(value, str | float | int):
        return False
    try:
        to_bin_ticks(value)
    except ConfigError:
        return False
    return True


def read_catalog(folder: Path, tag: str | None = None) -> Catalog:
    """Read the catalog of a stores folder, or the one kept under a tag.

    Raises
    ------
    StoreNotFound
        If nothing has been built there, or there is no such tag.
    StoreCorrupt
        If the catalog is not what was published.
    """
    path = folder / CATALOG if tag is None else tag_path(folder, tag)
    try:
        text = path.read_text(encoding="utf-8")
        stated = _DIGEST.match(text)
        if stated is None:
            raise ValueError("no digest")
        content = "{\n" + text[stated.end() :]
        found = hashlib.sha256(content.encode()).hexdigest()
        if found != stated[1]:
            raise ValueError(f"digest {found}, not {stated[1]}")
        raw = json.loads(content)
    except (FileNotFoundError, NotADirectoryError):
        do = _BUILD_OR_SAY if tag is None else "List tags with: lsdx info"
        raise StoreNotFound(located(str(path.absolute()), "a catalog", "none", do)) from None
    except ValueError as error:
        raise StoreCorrupt(
            located(str(path), "a whole catalog", f"a damaged one ({error})", REBUILD)
        ) from error
    if raw["format"] != FORMAT:
        raise StoreCorrupt(
            located(
                str(path),
                f"format {FORMAT}",
                f"format {raw['format']}",
                "Read it with the lsdx that wrote it, or build into another folder.",
            )
        )
    parts = {r: {e: Entry(**v) for e, v in by.items()} for r, by in raw["parts"].items()}
    flat = {r: Entry(**v) for r, v in raw["flat"].items()}
    catalog = Catalog(**{**raw, "parts": parts, "flat": flat})
    catalog.__dict__["digest"] = stated[1]  # known: not computed again
    return catalog


def tag_path(folder: Path, tag: str) -> Path:
    """Give the file that keeps a catalog under a name."""
    if not tag or not all(c.isalnum() or c in "-_." for c in tag) or tag.startswith("."):
        raise SelectionError(
            located("tag", "letters, digits, '-', '_' and '.'", repr(tag), "Choose another name.")
        )
    return folder / "tags" / f"{tag}.json"


def guarded(folder: Path, entry: Entry) -> Store:
    """Open one store of the catalog behind its checksums, read-only."""
    from lsdx.guard import GuardedStore, gone

    pure = PurePosixPath(entry.path)
    path = folder / pure
    if pure.is_absolute() or ".." in pure.parts:
        raise StoreCorrupt(
            located(f"{folder}/{CATALOG}", "paths in this folder", entry.path, REBUILD)
        )
    if not path.is_dir():
        raise gone(path)
    return GuardedStore.open(path, entry.metadata)


def read_store(
    folder: Path,
    entry: Entry,
    *,
    lazy: Mapping[str, Mapping[Any, Any]] | None = None,
    decode: bool = True,
    without: Sequence[str] = (),
) -> xr.Dataset:
    """Open one store: loaded, labels as object arrays, in the order of its declaration.

    Parameters
    ----------
    folder : Path
    entry : Entry
    lazy : mapping, optional
        Variables to leave as dask arrays, with their chunks by dimension.
    decode : bool
        Whether fill values and scale factors are applied.
    without : sequence of str
        Variables to leave out.
    """
    ds: xr.Dataset = xr.open_zarr(
        guarded(folder, entry),
        chunks=None,
        consolidated=False,
        zarr_format=3,
        mask_and_scale=decode,
        decode_times=xr.coders.CFDatetimeCoder(time_unit="us"),
        decode_timedelta=False,
        create_default_indexes=False,
        drop_variables=list(without),
    )
    declared = [v.name for v in SCHEMAS[entry.attrs["lsdx_store"]].variables]
    names = sorted(ds.variables, key=lambda n: declared.index(n) if n in declared else -1)
    arrays = {
        name: ds.variables[name].chunk(lazy[str(name)])
        if lazy and name in lazy
        else _loaded(ds.variables[name])
        for name in names
    }
    coords = {n: v for n, v in arrays.items() if n in ds.coords}
    data = {n: v for n, v in arrays.items() if n not in ds.coords}
    return xr.Dataset(data, coords, ds.attrs).drop_encoding()


def _loaded(variable: xr.Variable) -> xr.Variable:
    """Load a variable; text becomes an object array, that of categories too."""
    values, attrs = variable.values, dict(variable.attrs)
    if CATEGORIES in attrs:
        values = np.array(attrs.pop(CATEGORIES), dtype=object)[values]
    elif values.dtype.kind == "T":
        values = text(values)
    # fastpath: xarray would look for times in every object array
    return xr.Variable(variable.dims, values, attrs, fastpath=True)


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
    >>> s = lsdx.open_sessions(demo_stores)
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
    >>> lsdx.open_insertions(demo_stores).n_units.dims
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
    >>> e = lsdx.open_epochs(demo_stores)
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
    >>> e = lsdx.open_events(demo_stores)
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
    >>> u = lsdx.open_units(demo_stores)
    >>> u.sel(phase="post", epoch="replay").counts.dims
    ('unit', 'time')
    """
    folder, catalog = _opened(stores, tag)
    units = _light(folder, catalog, "units")
    counts = _counts(folder, catalog, bin_width, duplicates, units)
    ds = xr.Dataset(
        {**counts.data_vars, **units.data_vars}, units.coords.merge(counts.coords).coords
    )
    return _marked(ds.assign_attrs(counts.attrs), catalog)


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
    >>> sorted(lsdx.open_counts(demo_stores, bin_width="100 ms").data_vars)
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
    >>> s = lsdx.open_spikes(demo_stores)
    >>> s.sizes["spike"] == int(s.row_size.sum())
    True
    """
    folder, catalog = _opened(stores, tag)
    table = _light(folder, catalog, "units")
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
    return _ragged(folder, catalog, table, rows)


def _opened(stores: str | os.PathLike[str] | None, tag: str | None) -> tuple[Path, Catalog]:
    folder = stores_folder(stores)
    return folder, read_catalog(folder, tag)


def _about(catalog: Catalog) -> dict[str, Any]:
    about: dict[str, Any] = {"title": SIMULATED} if catalog.simulated else {}
    return about | {
        "simulated": int(catalog.simulated),
        "catalog": catalog.digest[:16],
        "conditions": ", ".join(catalog.protocol.get("conditions", ())),
    }


def _marked(ds: xr.Dataset, catalog: Catalog) -> xr.Dataset:
    """Say what a dataset is; what is simulated says so in every array taken from it."""
    if catalog.simulated:
        ds = ds.assign_coords(simulated=True)
    # the drug is what the first condition is called; the stores on disk have one name for it
    drug = next(iter(catalog.protocol.get("conditions", ())), "lsd")
    history = [str(n) for n in ds.variables if n in ("days_since_lsd", "days_since_first_lsd")]
    ds = ds.rename({n: n.removesuffix("lsd") + drug for n in history if drug != "lsd"})
    return ds.assign_attrs(_about(catalog))


def _open_light(stores: str | os.PathLike[str] | None, noun: str, tag: str | None) -> xr.Dataset:
    folder, catalog = _opened(stores, tag)
    return _marked(_light(folder, catalog, noun), catalog)


def _light(folder: Path, catalog: Catalog, noun: str) -> xr.Dataset:
    entry = catalog.flat.get(noun)
    if entry is None:
        found, do = "none in the catalog", f"Build it: lsdx build {noun}"
        if noun in catalog.recipes:  # to build it again would not help
            found = f"that it was built, and that no session has {noun}"
            do = f"See what each lacks: lsdx sessions, or {folder / 'report.json'}"
        raise StoreNotFound(located(f"{folder}, store {noun}", "a built store", found, do))
    _check_version(noun, entry)
    return _validated(read_store(folder, entry), noun, entry)


def _check_version(noun: str, entry: Entry) -> None:
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


def _validated(ds: xr.Dataset, noun: str, entry: Entry) -> xr.Dataset:
    schema = SCHEMAS[noun]
    try:
        validate(ds, schema, cohort=True, values=False, decoded=True)
    except SchemaError as error:
        raise StoreCorrupt(f"{entry.path}: {error}. {REBUILD} {noun}") from error
    return ds.drop_attrs(deep=False)


def _counts(
    folder: Path,
    catalog: Catalog,
    bin_width: str | float | None,
    duplicates: str,
    table: xr.Dataset,
) -> xr.Dataset:
    """Open the counts of the units of ``table``, whose ids are not read again."""
    if duplicates not in ("keep", "drop"):
        raise SelectionError(
            located("duplicates", "'keep' or 'drop'", repr(duplicates), "Correct it.")
        )
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
                f"{folder}, counts",
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
    _check_version("counts", entry)
    # a read is a chunk on disk: a region of every session touches few of them
    chunks = {**SCHEMAS["counts"].chunks, "time": -1}
    ds = read_store(folder, entry, lazy={"counts": chunks}, without=("unit",))
    unit = xr.Coordinates(
        {"unit": table.variables["unit"]}, indexes={"unit": table.xindexes["unit"]}
    )
    ds = _validated(ds.assign_coords(unit), "counts", entry)
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


def _ragged(folder: Path, catalog: Catalog, table: xr.Dataset, rows: np.ndarray) -> xr.Dataset:
    import dask.array as da

    parts = catalog.parts.get("spikes", {})
    chosen = table.isel(unit=rows)
    row_size = chosen["spike_count"].values
    sessions = chosen["session"].values
    for eid in pd.unique(sessions):
        if eid not in parts:
            raise StoreNotFound(
                located(
                    f"{folder}, spikes of session {eid}",
                    "a built store",
                    "none in the catalog",
                    "Build it: lsdx build spikes",
                )
            )
        _check_version("spikes", parts[eid])
        _same_units(catalog, eid)
    chunks = _uniform_chunks(parts, sessions, _row_starts(table)[rows], row_size)
    arrays = {
        name: da.concatenate(
            [_lazy_rows(folder, name, chunk) for chunk in chunks]
            or [da.zeros(0, dtype=dtype, chunks=1)]
        )
        for name, dtype in (("spike_time", np.float64), ("duplicate", np.bool_))
    }
    # by Variable: selecting by DataArray copies every label of it deeply
    epochs = _light(folder, catalog, "epochs").sel(session=chosen["session"].variable)
    insertions = _light(folder, catalog, "insertions").sel(insertion=chosen["insertion"].variable)
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
    return _marked(ds, catalog)


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


def _row_starts(table: xr.Dataset) -> np.ndarray:
    """First spike of each unit within its own session's store."""
    size = table["spike_count"].values
    start = np.cumsum(size) - size
    for run in session_runs(table["session"].values):
        start[run] -= start[run.start]
    return np.asarray(start)


def _uniform_chunks(
    parts: Mapping[str, Entry], sessions: np.ndarray, row_start: np.ndarray, row_size: np.ndarray
) -> list[list[Rows]]:
    """Cut rows, one after another, into chunks of one length, since Zarr takes no others.

    It is the length of the largest session: there are no more chunks than sessions.
    """
    stop = np.cumsum(row_size)
    first = stop - row_size
    _, code = np.unique(sessions.astype(str), return_inverse=True)
    length = int(np.bincount(code, row_size).max()) if code.size else 0
    chunks = []
    for low in range(0, int(row_size.sum()), length or 1):
        high = low + length
        inside = slice(int(np.searchsorted(stop, low, "right")), int(np.searchsorted(first, high)))
        left_out = np.maximum(low - first[inside], 0)
        begin = row_start[inside] + left_out
        size = np.minimum(stop[inside], high) - first[inside] - left_out
        chunks.append(
            [
                (parts[sessions[inside][run.start]], begin[run], size[run])
                for run in session_runs(sessions[inside])
            ]
        )
    return chunks


def _lazy_rows(folder: Path, name: str, rows: list[Rows]) -> Any:
    import dask.array as da
    from dask.base import tokenize
    from dask.delayed import delayed

    dtype = np.float64 if name == "spike_time" else np.bool_
    token = tokenize(str(folder), name, [(entry.path, *at) for entry, *at in rows])
    block = delayed(_read_rows, pure=True)(folder, name, rows, dask_key_name=f"read-{name}-{token}")
    n_spikes = sum(int(size.sum()) for _, _, size in rows)
    return da.from_delayed(block, shape=(n_spikes,), dtype=dtype)


def _read_rows(folder: Path, name: str, rows: list[Rows]) -> np.ndarray:
    """Read rows of sessions' spikes, in the order given."""
    import zarr

    pieces = []
    for entry, *at in rows:
        array = zarr.open_array(guarded(folder, entry), path=name, mode="r", zarr_format=3)
        pieces.append(gather_rows(array, *at))
    values = np.concatenate(pieces) if len(pieces) > 1 else pieces[0]
    if name != "spike_time":
        return np.asarray(values, dtype=bool)
    return np.asarray(values * (1 / TICKS_PER_SECOND))


def gather_rows(array: Any, row_start: np.ndarray, row_size: np.ndarray) -> np.ndarray:
    """Read rows of a ragged array one after another, each chunk once.

    Parameters
    ----------
    array : zarr array or ndarray (n,)
    row_start, row_size : ndarray of int64 (n_rows,)
        In any order.

    Returns
    -------
    ndarray (row_size.sum(),)

    Examples
    --------
    >>> gather_rows(np.arange(10), np.array([7, 0]), np.array([2, 3])).tolist()
    [7, 8, 0, 1, 2]
    """
    filled = np.flatnonzero(row_size)
    if not filled.size:
        return np.asarray(array[:0])
    row_start, row_size = row_start[filled], row_size[filled]
    row_stop = row_start + row_size
    if (row_start[1:] == row_stop[:-1]).all():
        return np.asarray(array[int(row_start[0]) : int(row_stop[-1])])
    order = np.argsort(row_start, kind="stable")
    gap = getattr(array, "chunks", (1,))[0]
    begins = row_start[order]
    ends = np.maximum.accumulate(row_stop[order])
    first = np.flatnonzero(np.r_[True, begins[1:] > ends[:-1] + gap])
    spans = list(zip(begins[first], ends[np.r_[first[1:] - 1, -1]], strict=True))
    values = np.concatenate([array[int(a) : int(b)] for a, b in spans])
    lengths = np.array([b - a for a, b in spans])
    span = np.searchsorted(begins[first], row_start, side="right") - 1
    shifted = row_start - begins[first][span] + (np.cumsum(lengths) - lengths)[span]
    stops = np.cumsum(row_size)
    return np.asarray(
        values[np.repeat(shifted - (stops - row_size), row_size) + np.arange(stops[-1])]
    )
