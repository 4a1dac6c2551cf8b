"""What the pictures are drawn from; every figure is closed after its test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import lsdx


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def one(demo_stores: Path) -> xr.Dataset:
    s = lsdx.open_spikes(demo_stores)
    return s.isel(unit=np.flatnonzero((s.insertion == s.insertion[-1]).values))


@pytest.fixture(scope="module")
def tested(demo_stores: Path) -> xr.Dataset:
    s = lsdx.open_spikes(demo_stores)
    return s.lsd.modulation(epoch="rfm", rng=0, null=True).sel(metric="mean_rate").compute()


@pytest.fixture(scope="module")
def responses(one: xr.Dataset, demo_stores: Path) -> xr.Dataset:
    e = lsdx.open_events(demo_stores)
    gabors = e.isel(event=np.flatnonzero((e.kind == "gabor").values))
    return one.lsd.psth(events=gabors, pool="100 um", n_shifts=0)
