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
    return units.lsd.dimensionality(include="spectrum", min_units=10, draws=2, rng=0)


def test_a_scree_has_its_spectrum_that_of_unrelated_units_and_fitted_ranks(
    measured: xr.Dataset,
) -> None:
    one = measured.isel(session=0).sel(epoch="rfm")
    ax = plot_scree(one)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), one.spectrum.isel(phase=0))
    named = [line.get_label() for line in ax.lines if not line.get_label().startswith("_")]
    assert named == ["pre", "unrelated units", "post"]
    null = one.spectrum_surrogate.isel(phase=0)
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), null)
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
    expected = data.transpose("session", "phase").values
    np.testing.assert_array_equal(points, expected[np.isfinite(expected).all(axis=1)])
    x, y = ax.lines[0].get_data()
    np.testing.assert_array_equal(x, y)


def test_the_limits_of_pre_against_post_are_of_what_is_drawn() -> None:
    nan = np.nan
    data = xr.DataArray(
        [[1.0, 2.0], [2.0, 1.5], [900.0, nan], [nan, -900.0], [nan, nan]], dims=("session", "phase")
    ).assign_coords(phase=["pre", "post"], condition=("session", ["a", "b", "a", "b", "b"]))
    ax = plot_pre_post(data)
    ax.figure.canvas.draw()
    np.testing.assert_allclose(ax.lines[0].get_xdata(), [0.94, 2.06])
    assert ax.get_xlim() == ax.get_ylim()
    assert [c.get_offsets().tolist() for c in ax.collections] == [[[1, 2]], [[2, 1.5]]]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["a (1)", "b (1)"]
    assert max(map(abs, (*ax.get_xlim(), *ax.get_ylim()))) < 4
    assert not plot_pre_post(data.where(False)).lines


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

    legend = [t.get_text() for t in ax.get_legend().get_texts()]
    assert legend[-3:] == ["spontaneous", "rfm", "replay"]


def course(seconds: list[float]) -> xr.Dataset:
    """Return a course of two measures, with the stimulus of each window."""
    window = np.array(seconds)
    return xr.Dataset(
        {
            "ngsc": ("window", np.linspace(0.2, 0.4, window.size)),
            "participation_ratio": ("window", np.linspace(5, 6, window.size)),
            "share": (("window", "stimulus"), np.ones((window.size, 1))),
        },
        {"window": window, "stimulus": ["rfm"]},
    )


def test_a_course_is_taken_as_one_variable_too() -> None:
    data = course([-300.0, 0.0, 300.0])
    ax = plot_sliding(data.ngsc)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), data.ngsc)
    assert ax.get_ylabel() == "ngsc"
    np.testing.assert_array_equal(plot_sliding(data).lines[0].get_ydata(), data.participation_ratio)
    plot_sliding(data.ngsc.rename(None))
    with pytest.raises(SelectionError, match=r"expected ngsc, found 'ngcs'\. Name one of them"):
        plot_sliding(data.ngsc, measure="ngcs")


@pytest.mark.parametrize("as_array", [False, True])
def test_the_axis_reaches_as_far_as_the_windows(as_array: bool) -> None:
    for seconds in ([-2.0, -1.0, 0.0, 1.0], [3000.0, 3001.0, 3002.0]):
        data = course(seconds)
        ax = plot_sliding(data.ngsc if as_array else data)
        low, high = ax.get_xlim()
        assert (seconds[0] - 1) / 60 <= low <= seconds[0] / 60
        assert seconds[-1] / 60 <= high <= (seconds[-1] + 1) / 60
        assert len(ax.lines) == 1 + (seconds[0] <= 0)  # the line of the injection


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
    with pytest.raises(SelectionError, match="without window"):
        plot_sliding(measured)
    with pytest.raises(
        SelectionError, match="plot_pre_post: expected a DataArray, found a Dataset"
    ):
        plot_pre_post(measured)
    with pytest.raises(SelectionError, match="expected a DataArray, found ndarray"):
        plot_principal_angles(measured.ngsc.values)
    with pytest.raises(SelectionError, match="found ndarray"):
        plot_scree(measured.ngsc.values)
