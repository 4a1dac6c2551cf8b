"""A cohort: built from ALF files, opened, a region and an epoch of it read."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import dask
import numpy as np
import xarray as xr

import lsdx
from benchmarks.timing import Result, compare, measure, timed
from lsdx.builders import build
from lsdx.config import Settings
from lsdx.demo import write_cohort
from lsdx.store.place import Place

PHASE, EPOCH, WIDTH = "post", "spontaneous", 0.1


@dataclass(frozen=True)
class Cohort:
    """A simulated cohort and where its stores go."""

    folder: Path
    n_sessions: int
    n_units: int
    region: str

    @property
    def cache(self) -> Path:
        return self.folder / f"cohort-{self.n_sessions}-{self.n_units}"

    @property
    def stores(self) -> Path:
        return self.folder / f"stores-{self.n_sessions}-{self.n_units}"

    def build(self, stores: Path, sessions: list[str] | None = None) -> None:
        """Simulate the cohort unless it is there; build it into an empty folder."""
        if not self.cache.exists():
            write_cohort(self.cache, n_sessions=self.n_sessions, n_units=self.n_units)
        shutil.rmtree(stores, ignore_errors=True)
        settings = Settings(source="cache", cache_dir=self.cache, stores=stores)
        if build(settings, sessions=sessions or (), progress=False).failed:
            raise RuntimeError(f"{self.cache}: a session failed")


def cohorts(folder: Path, quick: bool) -> tuple[Cohort, Cohort]:
    """Return the cohort of full size and the one of many small sessions."""
    if quick:
        return Cohort(folder, 2, 24, "Isocortex"), Cohort(folder, 3, 4, "Isocortex")
    return Cohort(folder, 40, 2000, "VISp5"), Cohort(folder, 500, 4, "Isocortex")


def building(cohort: Cohort) -> Iterator[Result]:
    """Build a quarter of the sessions, then all."""
    cohort.build(cohort.stores)  # also simulates it
    eids = lsdx.open_sessions(cohort.stores).session.values.tolist()
    few = max(1, len(eids) // 4)
    part = measure(
        f"build {few} sessions",
        partial(cohort.build, cohort.folder / "few", eids[:few]),
        runs=1,
    )
    n_spikes = lsdx.open_spikes(cohort.stores).sizes["spike"]
    whole = measure(
        f"build {len(eids)} sessions, {n_spikes / 1e6:.3g} M spikes, from ALF files",
        partial(cohort.build, cohort.stores),
        runs=1,
    )
    cost = whole.seconds / len(eids) / (part.seconds / few)
    yield Result(
        whole.job,
        whole.seconds,
        whole.limit,
        whole.peak,
        {"cost of a session against that when there are a quarter": f"{cost:.2f} x"},
    )


def one_session(cohort: Cohort) -> Result:
    """Build one session on one thread, against the loop over units that lsdx replaces."""
    session = lsdx.open_sessions(cohort.stores).isel(session=0)
    eid = session.session.item()
    insertions = lsdx.open_insertions(cohort.stores)
    mine = insertions.isel(insertion=insertions.session.values == eid)
    epochs = lsdx.open_epochs(cohort.stores).sel(session=eid)
    start = epochs.start.values.ravel()
    n_bins = np.floor((epochs.stop.values.ravel() - start) / WIDTH + 1e-4).astype(int)
    root = next(cohort.cache.glob(f"*/Subjects/{session.subject.item()}"))
    date = str(session.date.values)[:10]
    stores, path = cohort.folder / "one", cohort.folder / "one.h5"

    def ours() -> np.ndarray:
        with dask.config.set(num_workers=1):
            cohort.build(stores, [eid])
        counts = lsdx.open_units(stores).n_spikes
        return np.asarray(counts.sum("unit").values.ravel())

    def loop() -> np.ndarray:
        import h5py

        totals = np.zeros(start.size)
        with h5py.File(path, "w") as file:
            for row in range(mine.sizes["insertion"]):
                one = mine.isel(insertion=row)
                sorting = next(root.glob(f"{date}/*/alf/{one.probe.item()}/{one.sorter.item()}"))
                folder = next(p.parent for p in sorted(sorting.rglob("spikes.times.npy"))[-1:])
                # half a tick off the ticks, so that no float edge can misplace a spike
                times = np.rint(np.load(folder / "spikes.times.npy") * 1e5) / 1e5 + 2e-6
                clusters = np.load(folder / "spikes.clusters.npy")
                for unit in range(int(clusters.max()) + 1):
                    train = times[clusters == unit]
                    group = file.create_group(f"{one.probe.item()}/{unit}")
                    group.create_dataset("times", data=train)
                    for k, (first, n) in enumerate(zip(start, n_bins, strict=True)):
                        edges = np.rint(first * 1e5) / 1e5 + WIDTH * np.arange(n + 1)
                        counts = np.histogram(train, edges)[0]
                        group.create_dataset(f"counts{k}", data=counts)
                        totals[k] += counts.sum()
        return totals

    result = compare(
        "build one session, files to verified stores, one thread",
        ours,
        {"loop over units into HDF5": loop},
        same=np.array_equal,
    )
    parts = [e for by in Place(stores).catalog().parts.values() for e in by.values()]
    share = sum(e.bytes for e in parts) / path.stat().st_size if path.exists() else np.nan
    return Result(
        f"{result.job} ({share:.0%} of its bytes)",
        result.seconds,
        result.limit,
        result.peak,
        result.others,
    )


def opening(cohort: Cohort) -> Iterator[Result]:
    """Open the cohort, with its labels and without."""
    stores = cohort.stores
    parts = [e.path for e in Place(stores).catalog().parts["spikes"].values()]

    def one_by_one() -> int:
        opened = [xr.open_zarr(stores / p, consolidated=False, chunks=None) for p in parts]
        return sum(ds.sizes["unit"] for ds in opened)

    n_units = lsdx.open_units(stores).sizes["unit"]
    yield compare(
        f"open {cohort.n_sessions} sessions, {n_units} units, labels loaded",
        lambda: lsdx.open_units(stores).sizes["unit"],
        {"open_zarr of each session's spikes, none loaded": one_by_one},
        same=lambda a, b: a == b,
        runs=5,
    )

    def without_labels() -> int:
        catalog = Place(stores).catalog()
        opened = [
            xr.open_zarr(
                Place(stores).open(catalog.flat[name]),
                consolidated=False,
                chunks=None,
                create_default_indexes=False,
            )
            for name in ("units", "counts")
        ]
        return int(opened[0].sizes["unit"])

    yield measure("the same stores, nothing loaded", without_labels, runs=5)


def reading(cohort: Cohort) -> Iterator[Result]:
    """Take the mean count of a region in an epoch of every session."""
    import zarr

    stores = cohort.stores
    units = lsdx.open_units(stores)
    chosen = units.lsd.select(region=cohort.region)
    rows = np.flatnonzero(np.isin(units.unit.values, chosen.unit.values))
    place = units.phase.values.tolist().index(PHASE), units.epoch.values.tolist().index(EPOCH)
    observed = np.isfinite(units.n_spikes.values[rows][:, *place]).sum()
    path = cohort.folder / "region.h5"
    epochs = lsdx.open_epochs(stores).sel(phase=PHASE, epoch=EPOCH)

    def lazily() -> float:
        g = units.lsd.select(region=cohort.region).sel(phase=PHASE, epoch=EPOCH)
        return float(g.counts.mean().compute())

    def with_opening() -> float:
        g = lsdx.open_units(stores).lsd.select(region=cohort.region)
        return float(g.sel(phase=PHASE, epoch=EPOCH).counts.mean().compute())

    def raw() -> float:
        entry = Place(stores).catalog().flat["counts"]
        array = zarr.open_array(Place(stores).open(entry), path="counts", mode="r")
        found = array.oindex[rows, place[0], place[1], :]
        valid = found != np.iinfo(found.dtype).max
        return float(found.sum(where=valid, dtype=np.int64) / valid.sum())

    def write() -> None:
        import h5py

        if path.exists():
            return
        spikes = lsdx.open_spikes(stores, units=chosen)
        times = spikes.spike_time.values + 2e-6
        with h5py.File(path, "w") as file:
            sizes = zip(spikes.row_start.values, spikes.row_size.values, strict=True)
            for i, (a, n) in enumerate(sizes):
                group = file.create_group(f"{chosen.session.values[i]}/{i}")
                group.create_dataset("times", data=times[a : a + n])

    def rows_of_spikes() -> float:
        import h5py

        total = bins = 0
        with h5py.File(path) as file:
            for eid, by_unit in file.items():
                window = epochs.sel(session=eid)
                start, stop = float(window.start), float(window.stop)
                if np.isnan(start):
                    continue
                n = int((stop - start) / WIDTH + 1e-4)
                edges = np.rint(start * 1e5) / 1e5 + WIDTH * np.arange(n + 1)
                for unit in by_unit.values():
                    times = unit["times"][:]
                    total += np.histogram(times[(times >= start) & (times < stop)], edges)[0].sum()
                    bins += n
        return total / bins

    with suppress(ImportError):  # the row then tells so
        write()
    job = f"{cohort.region} ({observed} units) x one epoch x mean"
    ways = {"HDF5, a group a unit": rows_of_spikes}

    def same(a: float, b: float) -> bool:
        return bool(np.isclose(a, b, rtol=1e-5))

    yield compare(f"{job}, raw counts", raw, ways, same=same)
    yield compare(f"{job}, labelled, lazy", lazily, ways, same=same)
    yield compare(f"{job}, opened first", with_opening, ways, same=same)


def many_sessions(cohort: Cohort) -> Iterator[Result]:
    """Build and open many small sessions."""
    seconds, _ = timed(lambda: cohort.build(cohort.stores))
    yield measure(
        f"open {cohort.n_sessions} small sessions",
        lambda: lsdx.open_units(cohort.stores),
        runs=5,
        note=f"simulated and built in {seconds:.3g} s",
    )
