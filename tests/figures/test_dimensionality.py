"""Pictures of dimensionality draw their data, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import lsdx
from lsdx.errors import SelectionError
from lsdx.figures.dimensionality import (
    plot_pre_post,
    plot_principal_angles,
    plot_scree,
    plot_sliding,
)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def measured(demo_stores: Path) -> xr.Dataset:
    units = lsdx.open_units(demo_stores).isel(unit=slice(0, 60)).compute()
    include = ["spectrum", "parallel_analysis"]
    return units.lsd.dimensionality(include=include, min_units=10, draws=2, rng=0)


def test_a_scree_has_its_spectrum_band_and_fitted_ranks(measured: xr.Dataset) -> None:
    one = measured.isel(session=0).sel(epoch="rfm")
    ax = plot_scree(one)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), one.spectrum.isel(phase=0))
    assert [line.get_label() for line in ax.lines] == ["pre", "post"]
    assert len(ax.collections) == 2  # the bands
    labels = ax.get_legend_handles_labels()[1]
    assert any(label.startswith("fitted, ranks 11-") for label in labels)
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert "simulated" in [t.get_text() for t in ax.texts]


def test_pre_against_post_has_its_points_and_line(measured: xr.Dataset) -> None:
    given = plt.subplots()[1]
    data = measured.ngsc.sel(epoch="rfm")
    ax = plot_pre_post(data, ax=given)
    assert ax is given
    points = np.concatenate([c.get_offsets() for c in ax.collections])
    np.testing.assert_array_equal(points, data.transpose("session", "phase").values)
    x, y = ax.lines[0].get_data()
    np.testing.assert_array_equal(x, y)


def test_a_course_has_its_lines_and_stimuli(demo_stores: Path) -> None:
    windows = lsdx.open_spikes(demo_stores).lsd.sliding(width="5 min", step="5 min")
    out = windows.lsd.dimensionality(min_units=10, draws=1, rng=0).compute()
    ax = plot_sliding(out, measure="ngsc")
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), out.ngsc.isel(session=0))
    np.testing.assert_allclose(ax.lines[0].get_xdata(), out.window / 60)
    (strip,) = ax.child_axes
    heights = [p.get_height() for p in strip.patches]
    expected = out.share.mean("session").transpose("stimulus", "window").fillna(0).values
    np.testing.assert_allclose(heights, expected.ravel())


def test_angles_are_a_heat_map(demo_stores: Path) -> None:
    out = lsdx.open_units(demo_stores).sel(epoch="rfm").lsd.subspaces(n_components=2, min_units=5)
    ax = plot_principal_angles(out.principal_angle.compute())
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array().filled(np.nan), out.principal_angle)
    assert image.get_clim() == (0, 90)


def test_data_of_too_many_dimensions_are_refused(measured: xr.Dataset) -> None:
    with pytest.raises(SelectionError, match="rank and at most 1 more"):
        plot_scree(measured)
    with pytest.raises(SelectionError, match="include="):
        plot_scree(measured.drop_vars("spectrum"))
    with pytest.raises(SelectionError, match="two phases"):
        plot_pre_post(measured.ngsc.isel(phase=[0]))
    with pytest.raises(SelectionError, match="measure"):
        plot_sliding(measured, measure="nsgc")
