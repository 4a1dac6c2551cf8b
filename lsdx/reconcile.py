"""Compare the stores with what a lab had before: spikes, times of epochs, results."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.errors import SourceError, located, missing_package
from lsdx.kernels.dimensionality import power_law_slope
from lsdx.schema.spikes import unit_trains
from lsdx.store.openers import (
    open_epochs,
    open_insertions,
    open_spikes,
    open_units,
)

VERDICTS = ("same", "explained", "differs", "old only", "new only")
TICK = 1.1e-5  # s: both may be rounded to ticks of 10 us
NEAR = 1e-4  # s: two spikes this close are one
CLOSE = 1e-3  # relative, of results: ticks move a value a little
HOUR = 3600.0
_PHASES = {"task00": 0, "pre": 0, "task01": 1, "post": 1}
_EDGE = re.compile(r"(task00|task01|pre|post)_(\w+)_(start|stop)")
_POPULATION = {
    "pc1": "pc1",
    "n80": "n_components",
    "powlaw": "power_law_slope",
    "ngsc": "ngsc",
}
_UNIT = re.compile(
    r"(?P<epoch>[a-z]+)_(?P<metric>mean_rate|coefficient_of_variation|fano_factor)"
    r"(_dt(?P<dt>\d+))?_(?P<what>task00|task01|pre|post|MI)"
)


class Row(NamedTuple):
    """One comparison, as `reconcile` explains it."""

    kind: str
    session: str
    id: str
    name: str
    old: float
    new: float
    verdict: str
    reason: str = ""


def reconcile(
    earlier: str | os.PathLike[str],
    stores: str | os.PathLike[str] | None = None,
    *,
    tag: str | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Compare the stores with the files of mouse-lsd that a lab has.

    Parameters
    ----------
    earlier : path
        Folder of the files, or with them below it: ``units.pqt``, ``sessions.pqt``,
        ``spikes.h5``, ``popdim_*.pqt``, ``singleunit_*.pqt``. Those that are there are compared;
        of several results of one kind the one that is last by name.
    stores : path, optional
        The stores folder; the settings' by default.
    tag : str, optional
        A catalog kept by ``lsdx tag``; the current one by default.
    progress : bool
        Show a progress bar, on a terminal only.

    Returns
    -------
    DataFrame
        One row a comparison: ``kind`` (``units``, ``epochs``, ``results``), ``session``, ``id``
        (of the unit or session), ``name`` (what is compared), ``old`` and ``new`` (float64; of
        units, numbers of spikes), ``verdict`` and ``reason``:

        - ``same``: spikes and times to the tick of 10 us, results to 0.1 %;
        - ``explained``: they differ as the reason says they must;
        - ``differs``: they differ, and the reason, if any, is only likely;
        - ``old only``, ``new only``.

        The attribute ``files`` lists what was read.

    Raises
    ------
    SourceError
        If none of the files is there, or one has not the columns that it must.
    MissingPackage
        For ``spikes.h5`` without h5py: ``pip install 'lsdx[hdf5]'``.

    Notes
    -----
    The old results are known to differ so: NGSC is entropy in nats over bits (ln 2 of the right
    value), N80 an index (one less than the number of components), counts lack the last bin.
    Dimensionality is measured again on the units of ``units.pqt`` that are stored, in bins of
    100 ms, neither matched nor detrended, as it was. p of modulation are not compared: the old
    ones come from another test.

    Examples
    --------
    >>> found = reconcile("data", "stores")  # doctest: +SKIP
    >>> found.groupby(["kind", "verdict"]).size()  # doctest: +SKIP
    """
    files = _find(Path(earlier))
    rows: list[Row] = []
    old = _read(files["units.pqt"], ("uuid", "eid", "pid")) if "units.pqt" in files else None
    if "sessions.pqt" in files:
        sessions = _read(files["sessions.pqt"], ("eid",))
        rows += compare_epochs(sessions, open_epochs(stores, tag=tag))
    if "spikes.h5" in files:
        spikes = open_spikes(stores, tag=tag)
        insertions = open_insertions(stores, tag=tag)
        rows += compare_spikes(files["spikes.h5"], old, spikes, insertions, progress=progress)
    known = None if old is None else set(old["uuid"])
    if "popdim" in files:
        table = _read(files["popdim"], ("eid",))
        rows += compare_dimensionality(table, open_units(stores, tag=tag), known)
    if "singleunit" in files:
        table = pd.read_parquet(files["singleunit"])
        rows += compare_units(table, open_spikes(stores, tag=tag))
    found = pd.DataFrame(rows, columns=list(Row._fields))
    found.attrs["files"] = [str(path) for path in files.values()]
    return found


def compare_spikes(
    path: Path,
    old: pd.DataFrame | None,
    spikes: xr.Dataset,
    insertions: xr.Dataset,
    *,
    progress: bool = False,
) -> list[Row]:
    """Compare the spike times of each unit; see `reconcile`."""
    from tqdm import tqdm

    try:
        import h5py
    except ImportError as error:
        raise missing_package("reconcile", "h5py", "hdf5") from error
    names = ["sorter", "sorter_version"]
    about = insertions[names].reset_coords()[names].to_dataframe()
    version = about["sorter_version"].where(about["sorter_version"] != "", about["sorter"])
    unit = spikes["unit"].values.astype(str)
    session = dict(zip(unit, spikes["session"].values, strict=True))
    insertion = dict(zip(unit, spikes["insertion"].values, strict=True))
    rows = []
    with h5py.File(path) as file:
        stored = {n: d["times"] if isinstance(d, h5py.Group) else d for n, d in file.items()}
        for name, new, _ in tqdm(
            unit_trains(spikes), total=unit.size, unit="unit", disable=None if progress else True
        ):
            where = ("units", session[name], name, "spikes")
            if name not in stored:
                rows.append(Row(*where, np.nan, new.size, "new only"))
                continue
            before = np.asarray(stored.pop(name))
            told = _trains(before, new, version[insertion[name]])
            rows.append(Row(*where, before.size, new.size, *told))
        sizes = {name: data.shape[0] for name, data in stored.items()}
    places = {} if old is None else old.set_index("uuid")[["eid", "pid"]].to_dict("index")
    for name, size in sizes.items():
        place = places.get(name, {"eid": "", "pid": ""})
        reason = "its insertion is not in the stores" if place["pid"] else ""
        if place["pid"] in version:
            reason = f"of another sorting; now {version[place['pid']] or 'none'}"
        rows.append(Row("units", place["eid"], name, "spikes", size, np.nan, "old only", reason))
    return rows


def _trains(old: np.ndarray, new: np.ndarray, sorter: str) -> tuple[str, str]:
    """Return the verdict on one unit's spikes, and the reason."""
    old = np.sort(old[np.isfinite(old)].astype(np.float64))
    if old.size == new.size and (not old.size or np.abs(old - new).max() <= TICK):
        return "same", ""
    later = old[old >= 0]
    if later.size == new.size and (not new.size or np.abs(later - new).max() <= TICK):
        return "explained", f"{old.size - later.size} spikes before 0 s are left out"
    if old.size == new.size:
        lag = float(np.median(new - old))
        if np.abs(new - old - lag).max() <= 2 * TICK:
            return "differs", f"all spikes {lag:+.4f} s: another clock"
    share = _share_found(old, new)
    said = f"{share:.0%} of the old spikes are there"
    if share < 0.5:
        said += f": those of another sorting than {sorter}"
    return "differs", said


def _share_found(old: np.ndarray, new: np.ndarray) -> float:
    if not old.size or not new.size:
        return 0.0
    after = np.clip(np.searchsorted(new, old), 1, max(new.size - 1, 1))
    nearest = np.minimum(
        np.abs(old - new[after - 1]), np.abs(old - new[np.minimum(after, new.size - 1)])
    )
    return float((nearest <= NEAR).mean())


def compare_epochs(old: pd.DataFrame, epochs: xr.Dataset) -> list[Row]:
    """Compare start and stop of each epoch, and the injection; see `reconcile`."""
    rows = []
    phases, known = epochs["phase"].values, set(epochs["epoch"].values)
    matches = {c: m for c in old.columns if (m := _EDGE.fullmatch(str(c))) and m[2] in known}
    for _, was in old.iterrows():
        eid = str(was["eid"])
        if eid not in epochs["session"].values:
            reason = "it is not in the stores"
            rows.append(Row("epochs", eid, eid, "session", np.nan, np.nan, "old only", reason))
            continue
        now = epochs.sel(session=eid)
        found = []
        for column, match in matches.items():
            place = now.sel(phase=phases[_PHASES[match[1]]], epoch=match[2])
            found.append((_number(was[column]), place, match))
        lags = _lags(found)
        for before, place, match in found:
            new = float(place[match[3]])
            name = f"{place['phase'].item()}_{match[2]}_{match[3]}"
            told = _edge(before, new, place, match, lags[match[1]])
            rows.append(Row("epochs", eid, eid, name, before, new, *told))
        if "LSD_admin" in old.columns:
            before, new = _number(was["LSD_admin"]), float(now["administration"])
            told = _injection(before, new, now)
            rows.append(Row("epochs", eid, eid, "administration", before, new, *told))
    return rows


def _lags(found: list[tuple[float, xr.Dataset, re.Match[str]]]) -> dict[str, float]:
    """Return, of each run, by how much all its times differ alike; NaN if they do not."""
    differences: dict[str, list[float]] = {}
    for before, place, match in found:
        differences.setdefault(match[1], []).append(float(place[match[3]]) - before)
    lags = {}
    for run, values in differences.items():
        known = np.array(values)[np.isfinite(values)]
        alike = known.size > 1 and np.ptp(known) <= 2
        lags[run] = float(np.median(known)) if alike else np.nan
    return lags


def _edge(
    old: float, new: float, place: xr.Dataset, match: re.Match[str], lag: float
) -> tuple[str, str]:
    """Return the verdict on one time of an epoch, and the reason."""
    verdict, reason = _both(old, new, 1e-3)
    if verdict == "new only":
        return verdict, _provenance(place, match)
    if verdict != "differs":
        return verdict, reason
    hours = round((new - old) / HOUR)
    if hours and abs(new - old - hours * HOUR) <= 60:
        return "explained", f"{hours:+d} h: summer time"
    filler = str(place["administration_provenance"].values) == "filler_start"
    injected = float(place["administration"])
    if filler and _PHASES[match[1]] == 1 and injected - 60 <= old < float(place["start"]) - 60:
        return "explained", "the old time is of the filler run after the injection"
    if np.isfinite(lag) and abs(lag) > 2:
        return "differs", f"all times of the run {lag:+.1f} s: another clock"
    reason = _provenance(place, match)
    return ("explained" if reason else "differs"), reason


def _provenance(place: xr.Dataset, match: re.Match[str]) -> str:
    return {
        "alf_cut": "cut to its first 300 s" if match[3] == "stop" else "",
        "gabor": "from the first gabor to the last",
        "replay_start+300": "300 s from the start of the replay: no table of gabors",
        "rig_clock": f"by the rig's clocks, +-{float(place['uncertainty']):.1f} s",
        "table": "the lab's table of epochs",
    }.get(str(place["provenance"].values), "")


def _injection(old: float, new: float, now: xr.Dataset) -> tuple[str, str]:
    start = float(now["start"][0, 0])  # of the first epoch of the first phase
    if not np.isnan(old) and abs(new - start - old) <= 1 < abs(new - old):
        return "explained", "counts from the first epoch"
    return _both(old, new, 1e-3)


def _both(old: float, new: float, tolerance: float) -> tuple[str, str]:
    """Return the verdict on two numbers, either of which may be unknown."""
    if np.isnan(old) or np.isnan(new):
        if np.isnan(old) and np.isnan(new):
            return "same", "unknown in both"
        return ("new only" if np.isnan(old) else "old only"), ""
    return ("same" if abs(new - old) <= tolerance else "differs"), ""


def compare_dimensionality(
    old: pd.DataFrame, units: xr.Dataset, known: set[str] | None
) -> list[Row]:
    """Compare dimensionality by session; see `reconcile`."""
    if known is not None:
        units = units.isel(unit=np.isin(units["unit"].values.astype(str), list(known)))
    stored = set(units["session"].values)
    wanted = units.lsd.select(session=[e for e in old["eid"] if e in stored])
    alone: dict[str, Any] = {"match_units": None, "match_rates": False, "detrend": None}
    now = wanted.lsd.dimensionality(by="session", min_spikes=1, include=["spectrum"], **alone)
    now = now.compute()
    spectrum = now["spectrum"].transpose(*now["pc1"].dims, ...)
    now["power_law_slope"] = (
        now["pc1"].dims,
        power_law_slope(spectrum.values, ranks=(1, 100), weights=None),
    )
    names = {f"{p}_{e}_{m}" for p in _PHASES for e in units["epoch"].values for m in _POPULATION}
    rows = []
    for _, was in old.iterrows():
        eid = str(was["eid"])
        for column in sorted(names & set(old.columns)):
            run, epoch, metric = column.split("_", 2)
            phase = units["phase"].values[_PHASES[run]]
            where = ("results", eid, eid, f"{phase}_{epoch}_{metric}")
            before = _number(was[column])
            if eid not in stored:
                rows.append(Row(*where, before, np.nan, "old only", "no units of it are stored"))
                continue
            new = float(now[_POPULATION[metric]].sel(session=eid, phase=phase, epoch=epoch))
            mistake = {
                "n80": (new - 1, "the old N80 is an index, one less than the number"),
                "ngsc": (new * np.log(2), "the old NGSC is in nats over bits: ln 2 of it"),
            }.get(metric)
            rows.append(Row(*where, before, new, *_result(before, new, mistake)))
    return rows


def compare_units(old: pd.DataFrame, spikes: xr.Dataset) -> list[Row]:
    """Compare measures of single units; see `reconcile`."""
    old = old.set_index("uuid") if "uuid" in old.columns else old
    matches = {c: m for c in old.columns if (m := _UNIT.fullmatch(str(c)))}
    stored = np.isin(spikes["unit"].values.astype(str), old.index.astype(str))
    spikes = spikes.isel(unit=stored)
    rows: list[Row] = []
    if not spikes.sizes["unit"] or not matches:
        return rows
    phases = spikes["phase"].values
    for column, match in matches.items():
        if match["epoch"] not in spikes["epoch"].values:
            continue
        full, short = _measure(spikes, match["metric"], match["epoch"], match["dt"])
        before = old[column].reindex(spikes["unit"].values).to_numpy(dtype=np.float64)
        if match["what"] == "MI":
            new, other = _index(full.values), _index(short.values)
            name = f"{match['epoch']}_{match['metric']}_MI"
        else:
            at = {"phase": phases[_PHASES[match["what"]]]}
            new, other = full.sel(at).values, short.sel(at).values
            name = f"{at['phase']}_{match['epoch']}_{match['metric']}"
        name += f"_{match['dt']}ms" if match["dt"] else ""
        cause = "the old counts lack the last bin"
        for unit, session, *values in zip(
            spikes["unit"].values, spikes["session"].values, before, new, other, strict=True
        ):
            a, b, c = map(float, values)
            rows.append(Row("results", session, unit, name, a, b, *_result(a, b, (c, cause))))
    return rows


def _measure(
    spikes: xr.Dataset, metric: str, epoch: str, dt: str | None
) -> tuple[xr.DataArray, xr.DataArray]:
    """Return a measure over (unit, phase), and the same without the last bin."""
    if metric == "coefficient_of_variation":
        full = spikes.lsd.cv(epoch=epoch).transpose("unit", "phase").compute()
        return full, full
    width = float(dt or 100) / 1000
    bins = spikes.lsd.bin(width, epoch=epoch).compute()
    pair = []
    for counts in (bins["counts"], bins["counts"].isel(time=slice(None, -1))):
        mean = counts.mean("time")
        variance = counts.var("time", ddof=1)
        value = mean / width if metric == "mean_rate" else variance / mean
        pair.append(value.transpose("unit", "phase"))
    return pair[0], pair[1]


def _index(values: np.ndarray) -> np.ndarray:
    """Return the modulation index of (n, 2) values, second minus first over their sum."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((values[:, 1] - values[:, 0]) / (values[:, 1] + values[:, 0]))


def _result(old: float, new: float, mistake: tuple[float, str] | None) -> tuple[str, str]:
    """Return verdict and reason; ``mistake`` is what a known one makes of the new value."""
    verdict, reason = _both(old, new, _tolerance(new))
    if verdict != "differs":
        return verdict, reason
    if mistake and abs(old - mistake[0]) <= _tolerance(mistake[0]):
        return "explained", mistake[1]
    return verdict, "other units, spikes or times than now"


def _tolerance(value: float) -> float:
    return CLOSE * abs(value) + 1e-9


def _number(value: object) -> float:
    return float(pd.to_numeric(pd.Series([value]), errors="coerce").iloc[0])


def _find(folder: Path) -> dict[str, Path]:
    """Return the files of mouse-lsd in a folder, or in those below it."""
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise SourceError(located(str(folder), "a folder of mouse-lsd's files", found))
    files = dict(_candidates(folder))
    if not files:
        expected = "sessions.pqt, units.pqt, spikes.h5, popdim_*.pqt or singleunit_*.pqt"
        raise SourceError(located(str(folder), expected, "none of them", "Name their folder."))
    return files


def _candidates(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted([*folder.glob("*"), *folder.glob("*/*")], key=lambda p: p.name):
        if path.name in ("sessions.pqt", "units.pqt", "spikes.h5"):
            yield path.name, path
        elif match := re.fullmatch(r"(popdim|singleunit)_.*\.pqt", path.name):
            yield match[1], path


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise SourceError(located(str(path), "a Parquet table", str(error))) from error
    missing = [c for c in columns if c not in table.columns]
    if missing:
        raise SourceError(located(str(path), f"a column {missing[0]}", ", ".join(table.columns)))
    return table
