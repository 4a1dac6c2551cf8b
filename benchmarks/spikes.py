"""One session's spikes: grouping by unit, counting in epochs, writing."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from benchmarks.timing import Result, compare
from lsdx.assemble.labelled import dataset
from lsdx.builders.write import write_store
from lsdx.kernels.binning import count_clusters, count_spikes, group, quantize
from lsdx.kernels.trains import Trains
from lsdx.schema import SCHEMAS
from lsdx.store.access import read_store
from lsdx.store.catalog import Entry
from lsdx.store.place import Place

EPOCHS = np.array([100, 400, 701, 2800, 3100, 3401])
LENGTH, WIDTH = 300, 0.1
N_BINS = 3000


@dataclass(frozen=True)
class Session:
    """Times in s, half a tick off the ticks, so that no float edge can misplace a spike."""

    times: np.ndarray
    clusters: np.ndarray
    n_units: int


def session(quick: bool) -> Session:
    """Make a session: 2,000 units, 15 M spikes in 4,500 s (quick: a hundredth)."""
    rng = np.random.default_rng(0)
    n_units, n_spikes = (20, 150_000) if quick else (2000, 15_000_000)
    times = np.sort(rng.integers(0, 4500 * 100_000, n_spikes)) / 1e5 + 2e-6
    weights = rng.lognormal(0, 1, n_units)
    clusters = rng.choice(n_units, n_spikes, p=weights / weights.sum()).astype(np.int32)
    return Session(times, clusters, n_units)


def grouped(given: Session) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Group as lsdx does: ticks by unit, row_start, row_size."""
    ticks = quantize(given.times, 1e5)
    clusters = given.clusters.astype(np.uint16)
    row_size = count_clusters(clusters, given.n_units)
    row_start = np.cumsum(row_size) - row_size
    out = np.empty(ticks.size, dtype=np.uint32)
    group(ticks, clusters, np.arange(given.n_units), row_start.copy(), out)
    return out, row_start, row_size


def grouping(quick: bool) -> Result:
    """Group spikes by unit: from times and clusters of the files to ticks in rows."""
    given = session(quick)
    times, clusters = given.times, given.clusters

    def masks() -> np.ndarray:
        rows = [times[clusters == unit] for unit in range(given.n_units)]
        return np.rint(np.concatenate(rows) * 1e5)

    def scipy_way() -> np.ndarray:
        from scipy.sparse import csr_array

        shape = (1, given.n_units)
        rows = csr_array((times, clusters, [0, times.size]), shape=shape).tocsc()
        return np.rint(rows.data * 1e5)

    def argsort() -> np.ndarray:
        return np.rint(times[np.argsort(clusters.astype(np.uint16), kind="stable")] * 1e5)

    def pynapple_way() -> np.ndarray:
        import pynapple as nap

        trains = nap.Tsd(t=times, d=clusters).to_tsgroup()
        return np.rint(np.concatenate([trains[u].t for u in trains.keys()]) * 1e5)  # noqa: SIM118

    ways = {
        "mask a unit": masks,
        "stable argsort": argsort,
        "scipy csr to csc": scipy_way,
        "pynapple TsGroup": pynapple_way,
    }
    moved = times.nbytes + clusters.nbytes + 4 * times.size
    return compare(
        f"group {times.size / 1e6:.3g} M spikes by {given.n_units} units",
        lambda: grouped(given)[0],
        ways,
        same=np.array_equal,
        moved=moved,
    )


def counting(quick: bool) -> Result:
    """Count six epochs of 300 s in bins of 100 ms."""
    given = session(quick)
    times, clusters, n_units = given.times, given.clusters, given.n_units
    ticks, row_start, row_size = grouped(given)
    start = np.tile(EPOCHS * 100_000, (n_units, 1))
    bins = np.full(start.shape, N_BINS)
    rows = [ticks[a : a + n] / 1e5 + 2e-6 for a, n in zip(row_start, row_size, strict=True)]

    def edges(epoch: int) -> np.ndarray:
        return epoch + WIDTH * np.arange(N_BINS + 1)

    def ours() -> np.ndarray:
        return count_spikes(
            Trains(ticks, row_start, row_size), start, bins, 10_000, N_BINS, dtype=np.uint8
        )

    def histograms() -> np.ndarray:
        return np.array([[np.histogram(row, edges(e))[0] for e in EPOCHS] for row in rows])

    def within(epoch: int) -> slice:
        return slice(*np.searchsorted(times, [epoch, epoch + LENGTH]))

    def brainbox_way() -> np.ndarray:
        from iblutil.numerical import bincount2D

        out = np.zeros((n_units, EPOCHS.size, N_BINS))
        for k, epoch in enumerate(EPOCHS):
            part = within(epoch)
            found, _, units = bincount2D(
                times[part], clusters[part], WIDTH, 1, xlim=[epoch, epoch + LENGTH - WIDTH / 2]
            )
            out[units.astype(int), k] = found[:, :N_BINS]
        return out

    def xhistogram_way() -> np.ndarray:
        from xhistogram.core import histogram

        units = np.arange(n_units + 1) - 0.5
        return np.stack(
            [histogram(clusters[p], times[p], bins=[units, edges(e)])[0]
             for e in EPOCHS for p in (within(e),)], axis=1,
        )  # fmt: skip

    trains: dict[str, Any] = {}

    def pynapple_way() -> np.ndarray:
        import pynapple as nap

        if "pynapple" not in trains:
            trains["pynapple"] = nap.TsGroup({u: nap.Ts(t=row) for u, row in enumerate(rows)})
        epochs = nap.IntervalSet(start=EPOCHS, end=EPOCHS + LENGTH - 1e-6)
        found = trains["pynapple"].count(WIDTH, epochs).values
        return np.moveaxis(found.reshape(EPOCHS.size, N_BINS, n_units), 2, 0)

    def elephant_way() -> np.ndarray:
        import neo
        import quantities as pq
        from elephant.conversion import BinnedSpikeTrain

        if "elephant" not in trains:
            trains["elephant"] = [neo.SpikeTrain(row, units="s", t_stop=4600) for row in rows]
        return np.stack(
            [
                BinnedSpikeTrain(
                    trains["elephant"],
                    bin_size=WIDTH * pq.s,
                    t_start=float(e) * pq.s,
                    t_stop=float(e + LENGTH) * pq.s,
                ).to_array()
                for e in EPOCHS
            ],
            axis=1,
        )

    ways = {
        "np.histogram a unit and epoch": histograms,
        "brainbox bincount2D": brainbox_way,
        "xhistogram": xhistogram_way,
        "pynapple count": pynapple_way,
        "elephant BinnedSpikeTrain": elephant_way,
    }
    inside = int(sum(within(e).stop - within(e).start for e in EPOCHS))
    return compare(
        f"count {n_units} units in 6 epochs of {N_BINS} bins",
        ours,
        ways,
        same=np.array_equal,
        moved=4 * inside + n_units * EPOCHS.size * N_BINS,
    )


def writing(quick: bool) -> Result:
    """Write one session's spikes: lsdx verifies what it wrote, the others do not."""
    given = session(quick)
    ticks, row_start, row_size = grouped(given)
    seconds = ticks / 1e5
    ds = dataset(
        SCHEMAS["spikes"],
        {
            "unit": [f"unit-{i}" for i in range(given.n_units)],
            "row_size": row_size,
            "spike_time": ticks,
            "duplicate": np.zeros(ticks.size, dtype=bool),
        },
    )
    sizes = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def size(path: Path) -> float:
            files = [p for p in path.rglob("*") if p.is_file()] or [path]
            return sum(p.stat().st_size for p in files) / ticks.size

        def ours() -> Entry:
            shutil.rmtree(folder / "parts", ignore_errors=True)
            entry, _ = write_store(
                folder, "parts/spikes/one/spikes.zarr", ds, SCHEMAS["spikes"], cohort=False,
                attrs={"simulated": 1},
            )  # fmt: skip
            sizes["lsdx"] = size(folder / "parts")
            return entry

        def hdf5() -> np.ndarray:
            import h5py

            path = folder / "units.h5"
            with h5py.File(path, "w") as file:
                for unit, (a, n) in enumerate(zip(row_start, row_size, strict=True)):
                    file.create_group(str(unit)).create_dataset("times", data=seconds[a : a + n])
            sizes["HDF5"] = size(path)
            with h5py.File(path) as file:
                return np.concatenate([file[str(u)]["times"][:] for u in range(given.n_units)])

        def plain() -> np.ndarray:
            path = folder / "plain.zarr"
            array = xr.Dataset({"spike_time": ("spike", seconds)})
            array.to_zarr(path, mode="w", consolidated=False, zarr_format=3)
            sizes["xarray"] = size(path)
            return np.asarray(xr.open_zarr(path, consolidated=False)["spike_time"].values)

        def same(entry: Entry, other: Entry | np.ndarray) -> bool:
            if isinstance(other, Entry):
                return entry.metadata == other.metadata
            stored = read_store(Place(folder), entry, decode=False)["spike_time"].values
            return np.array_equal(stored, np.rint(other * 1e5))

        result = compare(
            f"write and verify {ticks.size / 1e6:.3g} M spikes",
            ours,
            {"HDF5, a group a unit, read back": hdf5, "xarray to_zarr, read back": plain},
            same=same,
            moved=5 * ticks.size * 2,
        )
    told = ", ".join(f"{name} {per:.2g}" for name, per in sizes.items())
    return Result(
        f"{result.job} (bytes a spike: {told})",
        result.seconds,
        result.limit,
        result.peak,
        result.others,
    )
