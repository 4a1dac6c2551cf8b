"""Import lsdx; open the stores of a cohort."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import xarray as xr

import lsdx
from benchmarks.timing import Result, compare
from lsdx.build import build
from lsdx.config import Settings
from lsdx.demo import write_cohort
from lsdx.stores import read_catalog


def importing(quick: bool) -> Result:
    """Import lsdx, against xarray alone, which its accessor needs."""

    def run(module: str) -> int:
        return subprocess.run([sys.executable, "-c", f"import {module}"], check=True).returncode

    return compare(
        "import lsdx",
        lambda: run("lsdx"),
        "import xarray",
        lambda: run("xarray"),
        agree=lambda a, b: a == b,
        runs=3 if quick else 7,
    )


def opening(quick: bool) -> Result:
    """Open the units of a cohort, against opening its parts one by one."""
    with tempfile.TemporaryDirectory() as folder:
        stores = Path(folder) / "stores"
        cohort = write_cohort(Path(folder) / "cohort", n_sessions=4 if quick else 12, n_units=40)
        build(Settings(source="cache", cache_dir=cohort, stores=stores), progress=False)
        parts = [e.path for e in read_catalog(stores).parts["counts"].values()]

        def one_by_one() -> int:
            opened = [xr.open_zarr(stores / p, consolidated=False) for p in parts]
            return sum(ds.sizes["unit"] for ds in opened)

        return compare(
            "open a cohort's units, labels loaded",
            lambda: lsdx.open_units(stores).sizes["unit"],
            "open_zarr of each session's counts",
            one_by_one,
            agree=lambda a, b: a == b,
        )
