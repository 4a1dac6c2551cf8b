"""Every picture takes Axes and returns them, and refuses what it cannot draw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
import xarray as xr

import lsdx
from lsdx.errors import SelectionError
from lsdx.figures.alignment import plot_alignment
from lsdx.figures.modulation import plot_modulation, plot_rates
from lsdx.figures.proportions import plot_forest
from lsdx.figures.raster import plot_raster
from lsdx.figures.responses import plot_psth


def test_axes_are_taken_and_given_back(
    one: xr.Dataset, tested: xr.Dataset, responses: xr.Dataset
) -> None:
    calls: list[Callable[..., Any]] = [
        lambda ax: plot_raster(one, start=0, stop=10, ax=ax),
        lambda ax: plot_psth(responses.sel(side="left"), ax=ax),
        lambda ax: plot_modulation(tested, ax=ax),
        lambda ax: plot_rates(tested, ax=ax),
        lambda ax: plot_forest(
            tested.lsd.proportions(by="group", rng=0).sel(direction="up"), ax=ax
        ),
    ]
    for call in calls:
        ax = plt.subplots()[1]
        assert call(ax) is ax


def test_what_makes_no_sense_is_refused(
    demo_stores: Path, tested: xr.Dataset, responses: xr.Dataset
) -> None:
    whole = lsdx.open_spikes(demo_stores)
    shares = tested.lsd.proportions(by="group", rng=0)
    both = whole.lsd.modulation(metric=["mean_rate", "lv"], epoch="rfm", rng=0)
    for call, words in (
        (lambda: plot_raster(lsdx.open_units(demo_stores)), "without row_size, row_start, spike_t"),
        (lambda: plot_raster(whole.depth), "without insertion, row_size|without row_size"),
        (lambda: plot_raster(whole.isel(unit=[])), "expected units, found none"),
        (lambda: plot_raster(whole, start=9, stop=9), "start before stop, found 9 s and 9 s"),
        (lambda: plot_raster(whole, start=1e6), "found 1e.06 s and the last spike at"),
        (lambda: plot_psth(responses), "dims site, time"),
        (lambda: plot_psth(tested), "psth_z"),
        (lambda: plot_modulation(both), "dims unit"),
        (lambda: plot_rates(responses), "without index, p, statistic, value"),
        (lambda: plot_modulation(tested.index), "without p, statistic"),
        (lambda: plot_forest(shares), "one direction"),
        (lambda: plot_forest(tested), "without n_mice, "),
        (lambda: plot_forest(shares.share), "without n_mice, "),
        (lambda: plot_alignment(tested), "without evidence, verdict"),
    ):
        with pytest.raises(SelectionError, match=words):
            call()
