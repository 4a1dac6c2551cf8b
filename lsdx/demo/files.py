"""The files of a session: each function returns their records."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lsdx.demo.anatomy import channel_arrays
from lsdx.demo.cameras import Camera, camera_names
from lsdx.demo.formats import write_bytes, write_csv, write_json, write_npy, write_parquet
from lsdx.demo.plan import Plan
from lsdx.demo.records import Record, dataset_record, relative_path, remote_record
from lsdx.demo.spikes import SAMPLE_RATE, Sorting
from lsdx.demo.timeline import GABORS, INTERVALS, Timeline

TRACKER_VERSIONS = {"lightningPose": "iblvideo_3.0.0", "dlc": "iblvideo_2.2.0"}
BOMBCELL_PARAMETERS = {
    "removeDuplicateSpikes": True,
    "extractRaw": False,
    "computeDrift": False,
    "computeDistanceMetrics": False,
    "maxRPVviolations": 0.1,
    "maxPercSpikesMissing": 20,
    "minNumSpikes": 300,
    "minPresenceRatio": 0.7,
}
SORTER_VERSIONS = {"iblsorter": "iblsorter_1.9.1", "pykilosort": "pykilosort_ibl_1.4.1"}


@dataclass(frozen=True)
class Dataset:
    """The record of one dataset, and whether its file is on disk."""

    record: Record
    exists: bool = False


def raw_video(plan: Plan, end: float) -> list[Dataset]:
    """Return the videos of a session, which only the data server has."""
    names = [f"_iblrig_{camera}Camera.raw.mp4" for camera in camera_names(plan)]
    size = int(end * 250_000)
    return [Dataset(remote_record(plan, "raw_video_data", name, size)) for name in names]


def _write(
    root: Path,
    plan: Plan,
    collection: str,
    name: str,
    write: Callable[[Path], None],
    **known: str,
) -> Dataset:
    """Write one file, and return its record with the size and the hash of its bytes."""
    record = dataset_record(plan, collection, name, **known)
    path = root / plan.path / relative_path(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path)
    with path.open("rb") as stream:
        record["hash"] = hashlib.file_digest(stream, "md5").hexdigest()
    record["file_size"] = path.stat().st_size
    return Dataset(record, exists=True)


def write_task(root: Path, plan: Plan, line: Timeline) -> list[Dataset]:
    """Write the rig's settings of each run, and the tables of the passive runs."""
    stamps = [(run.slot, "passiveChoiceWorld", run.rig_start) for run in line.runs]
    if line.filler is not None:
        stamps.append((1, "spontaneous", line.filler))
    key = "SESSION_START_TIME" if plan.day.year >= 2025 else "SESSION_DATETIME"
    datasets = []
    for slot, protocol, stamp in sorted(stamps):
        settings = {
            "PYBPOD_PROTOCOL": f"_iblrig_tasks_{protocol}",
            key: stamp.isoformat(timespec="microseconds"),
            "SUBJECT_NAME": plan.subject,
            "SUBJECT_WEIGHT": plan.weight,
            "SESSION_NUMBER": plan.number,
            "IBLRIG_VERSION": "8.12.7",
            "RIG_NAME": f"{plan.lab}_rig",
        }
        collection = f"raw_task_data_{slot:02d}"
        write = partial(write_json, value=settings, indent=1)
        datasets.append(_write(root, plan, collection, "_iblrig_taskSettings.raw.json", write))
        screen = "_iblrig_stimPositionScreen.raw.csv"
        datasets.append(Dataset(remote_record(plan, collection, screen, 41_000 + slot)))
    for run in line.runs[: 1 if "rig_clock_run" in plan else 2]:
        collection = f"alf/task_{run.slot:02d}"
        for name, table in run.tables.items():
            if name == GABORS and run.phase == "pre" and "no_gabor_table" in plan:
                datasets.append(Dataset(dataset_record(plan, collection, name, data_url=None)))
                continue
            write = partial(write_csv, table=table, index=name == INTERVALS)
            datasets.append(_write(root, plan, collection, name, write))
        write = partial(write_npy, array=run.rfm)
        datasets.append(_write(root, plan, collection, "_ibl_passiveRFM.times.npy", write))
    return datasets


def write_camera(root: Path, plan: Plan, camera: Camera) -> list[Dataset]:
    """Write what a camera gives: pose, frame times, motion energy, the counter of frames."""
    stem, datasets = f"{camera.name}Camera", []
    for tracker, table in camera.poses.items():
        write = partial(write_parquet, table=table)
        name, version = f"_ibl_{stem}.{tracker}.pqt", TRACKER_VERSIONS[tracker]
        datasets.append(_write(root, plan, "alf", name, write, version=version))
    arrays: dict[str, NDArray[Any]] = {f"{stem}.ROIMotionEnergy": camera.motion_energy}
    if camera.times is not None:
        arrays[f"_ibl_{stem}.times"] = camera.times
    datasets += _write_arrays(root, plan, "alf", arrays)
    if camera.frame_data is not None:
        name = f"_iblrig_{stem}.frameData.bin"
        write = partial(write_bytes, array=camera.frame_data)
        datasets.append(_write(root, plan, "raw_video_data", name, write))
    return datasets


def write_wheel(
    root: Path, plan: Plan, times: NDArray[np.float64], position: NDArray[np.float64]
) -> list[Dataset]:
    """Write the wheel: its times (s) and positions (rad)."""
    arrays = {"_ibl_wheel.timestamps": times, "_ibl_wheel.position": position}
    return _write_arrays(root, plan, "alf", arrays)


def _write_arrays(
    root: Path, plan: Plan, collection: str, arrays: dict[str, NDArray[Any]], **known: str
) -> list[Dataset]:
    return [
        _write(root, plan, collection, f"{name}.npy", partial(write_npy, array=array), **known)
        for name, array in arrays.items()
    ]


def raw_ephys(plan: Plan, probe: str, end: float) -> list[Dataset]:
    """Return the raw files of a probe, which only the data server has."""
    imec = f"imec{probe[-2:]}" if "imec00" in plan else f"imec{int(probe[-2:])}"
    stem = f"_spikeglx_ephysData_g0_t0.{imec}"
    sizes = {
        f"{stem}.ap.cbin": int(end * SAMPLE_RATE * 385 * 0.7),
        f"{stem}.ap.ch": 310_000,
        f"{stem}.ap.meta": 18_900,
        f"{stem}.sync.npy": 152_000,
        "_iblqc_ephysSpectralDensityLF.power.npy": 3_154_048,
    }
    folder = f"raw_ephys_data/{probe}"
    return [Dataset(remote_record(plan, folder, name, size)) for name, size in sizes.items()]


def write_sorting(
    root: Path,
    plan: Plan,
    probe: str,
    sorter: str,
    sorting: Sorting,
    uuids: list[str] | None,
    **known: str,
) -> list[Dataset]:
    """Write one sorting; channels and raw output lie beside the default revision only."""
    collection = f"alf/{probe}/{sorter}"
    fields = {**known, "version": SORTER_VERSIONS[sorter]}
    arrays: dict[str, NDArray[Any]] = {
        "spikes.times": sorting.times,
        "spikes.clusters": sorting.clusters,
        "spikes.amps": sorting.amplitudes,
        "spikes.depths": sorting.depths,
        "clusters.channels": sorting.units.channels,
        "clusters.depths": sorting.cluster_depths,
    }
    datasets = _write_arrays(root, plan, collection, arrays, **fields)
    write = partial(write_parquet, table=sorting.metrics)
    datasets.append(_write(root, plan, collection, "clusters.metrics.pqt", write, **fields))
    if uuids is not None:
        write = partial(write_csv, table=pd.DataFrame({"uuids": uuids}))
        datasets.append(_write(root, plan, collection, "clusters.uuids.csv", write, **fields))
    if known.get("default_revision", "True") == "True":
        datasets += _write_arrays(root, plan, collection, channel_arrays(probe))
        folder, size = f"spike_sorters/{sorter}/{probe}", sorting.clusters.size * 60 + 10_240
        datasets.append(Dataset(remote_record(plan, folder, "_kilosort_raw.output.tar", size)))
    return datasets


def write_bombcell(
    folder: Path,
    clusters: NDArray[np.int32],
    duplicate: NDArray[np.float64],
    measures: pd.DataFrame,
) -> None:
    """Write a Kilosort folder with bombcell's output: local files that ONE does not know."""
    output = folder / "bombcell"
    output.mkdir(parents=True)
    np.save(folder / "spike_clusters.npy", clusters)
    np.save(output / "spikes._bc_duplicateSpikes.npy", duplicate)
    types = measures[["phy_clusterID", "bc_unitType"]]
    types = types.rename(columns={"phy_clusterID": "cluster_id"})
    write_csv(folder / "cluster_bc_unitType.tsv", types, sep="\t")
    write_parquet(output / "templates._bc_qMetrics.parquet", measures)
    parameters = pd.DataFrame(BOMBCELL_PARAMETERS, index=[0])
    write_parquet(output / "_bc_parameters._bc_qMetrics.parquet", parameters)
