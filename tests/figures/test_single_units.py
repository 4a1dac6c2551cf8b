"""Pictures of single units draw their data, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import lsdx
from lsdx.errors import SelectionError
from lsdx.figures.alignment import plot_alignment
from lsdx.figures.single_units import (
    plot_forest,
    plot_modulation,
    plot_psth,
    plot_raster,
    plot_rates,
)


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


def test_a_raster_has_the_spikes_of_its_units_at_their_depth(one: xr.Dataset) -> None:
    ax = plot_raster(one, start=100.0, stop=160.0)
    x, y = ax.lines[0].get_data()
    expected = {
        (float(t), float(d))
        for a, n, d in zip(one.row_start.values, one.row_size.values, one.depth.values, strict=True)
        for t in one.spike_time.values[a : a + n]
        if 100 <= t <= 160
    }
    assert set(zip(np.asarray(x).tolist(), np.asarray(y).tolist(), strict=True)) == expected
    regions = {t.get_text() for t in ax.texts} - {"simulated"}
    assert regions <= set(one.region.values)
    assert len(regions) > 2
    whole = plot_raster(one)
    assert {"spontaneous", "rfm", "replay", "injection"} == set(
        whole.get_legend_handles_labels()[1]
    )
    assert len(whole.patches) == 6


def test_an_image_of_responses_has_its_depths(responses: xr.Dataset) -> None:
    left = responses.sel(side="left")
    ax = plot_psth(left)
    image = ax.collections[0].get_array().reshape(-1, left.sizes["time"])
    row = np.rint((left.depth.values - left.depth.values.min()) / 100).astype(int)
    np.testing.assert_allclose(image[row], left.psth_z.values)
    assert image.shape[0] == row.max() + 1
    assert ax.get_title() == "side left"


def test_histograms_stack_what_goes_up_down_and_stays(tested: xr.Dataset) -> None:
    ax = plot_modulation(tested)
    up = ((tested.p < 0.05) & (tested.statistic > 0)).sum().item()
    assert sum(p.get_height() for p in ax.containers[0]) == up
    title = ax.get_legend().get_title().get_text()
    assert title.startswith("lsd: ")
    assert "saline: " in title
    bare = plot_modulation(tested.drop_vars("null_index"))
    assert "by chance" not in [t.get_text() for t in bare.get_legend().get_texts()]


def test_rates_are_the_values_of_both_phases(tested: xr.Dataset) -> None:
    ax = plot_rates(tested)
    drawn = np.concatenate([np.column_stack(line.get_data()) for line in ax.lines[:3]])
    values = tested.value.transpose("unit", "phase").values
    expected = values[(values > 0).all(axis=1)]
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(expected, axis=0))


def test_a_forest_tells_what_it_rests_on(tested: xr.Dataset) -> None:
    shares = tested.lsd.proportions(by=["group", "condition"], rng=0).sel(direction="up")
    ax = plot_forest(shares)
    for c, name in enumerate(shares.condition.values):
        points = next(line for line in ax.lines if line.get_label() == name)
        np.testing.assert_allclose(points.get_xdata(), shares.share.values[:, c])
    first = shares.isel(group=0, condition=0)
    told = [t.get_text() for t in ax.texts]
    assert f"{first.n_mice.item()} / {first.n_sessions.item()} / {first.n_units.item()}" in told
    assert len(plot_forest(shares.sel(condition="lsd")).get_yticks()) == shares.sizes["group"]


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
        (lambda: plot_raster(whole), "spikes of one insertion"),
        (lambda: plot_raster(lsdx.open_units(demo_stores)), "no "),
        (lambda: plot_psth(responses), "dims site, time"),
        (lambda: plot_psth(tested), "psth_z"),
        (lambda: plot_modulation(both), "dims unit"),
        (lambda: plot_rates(responses), "index and p"),
        (lambda: plot_forest(shares), "one direction"),
        (lambda: plot_forest(tested), "shares"),
        (lambda: plot_alignment(tested), "verdicts"),
    ):
        with pytest.raises(SelectionError, match=words):
            call()
