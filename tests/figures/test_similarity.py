"""Pictures of similarity draw their data, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from lsdx.errors import SelectionError
from lsdx.figures.similarity import (
    plot_pc1_angle,
    plot_rdm,
    plot_subspace_curve,
    plot_time_similarity,
)
from lsdx.figures.style import CONDITIONS

CELLS = ["pre/a", "pre/b", "post/a"]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture
def distances() -> xr.Dataset:
    values = np.arange(18.0).reshape(2, 3, 3) / 10
    values = (values + values.swapaxes(1, 2)) / 2
    values[1, 2] = values[1, :, 2] = np.nan
    dims = ("session", "cell", "other")
    return xr.Dataset({"distance": (dims, values)}, {"cell": CELLS, "other": CELLS})


def test_a_matrix_is_the_mean_of_sessions_without_its_diagonal(distances: xr.Dataset) -> None:
    ax = plot_rdm(distances)
    drawn = ax.images[0].get_array().filled(np.nan)
    expected = distances.distance.mean("session").values
    np.testing.assert_allclose(drawn[0, 1:], expected[0, 1:])
    assert np.isnan(np.diag(drawn)).all()
    assert ax.get_title(loc="left") == "n = 1 to 2"
    assert ax.get_xticklabels()[2].get_text() == "post\na"
    assert len(ax.texts) == 6
    one = plot_rdm(distances.isel(session=0))
    assert one.get_title(loc="left") == "n = 1"
    assert one.images[0].get_clim() == (0, pytest.approx(0.6))
    with pytest.raises(SelectionError, match="without correlation"):
        plot_rdm(distances, measure="correlation")
    with pytest.raises(SelectionError, match="at most 1 more"):
        plot_rdm(distances.expand_dims("draw"))
    empty = plot_rdm(distances.where(distances.distance > 9))
    assert empty.get_title(loc="left") == "n = 0"


def test_times_have_borders_between_epochs_and_no_gaps() -> None:
    values = np.random.default_rng(0).uniform(-1, 1, (1, 6, 6))
    values[:, 3] = values[:, :, 3] = np.nan  # not observed
    s = xr.Dataset(
        {"similarity": (("session", "window", "other"), values)},
        {
            "window_phase": ("window", np.repeat(["pre", "post"], 3)),
            "window_epoch": ("window", ["a"] * 6),
        },
        {"time_window": 2.0},
    )
    ax = plot_time_similarity(s)
    kept = [0, 1, 2, 4, 5]
    np.testing.assert_allclose(ax.images[0].get_array(), values[0][np.ix_(kept, kept)])
    assert [line.get_ydata()[0] for line in ax.lines[::2]] == [2.5]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["pre\na", "post\na"]
    assert ax.get_xticks().tolist() == [1.0, 3.5]
    assert ax.get_xlabel().startswith("Windows of 2 s")
    low, high = ax.images[0].get_clim()
    assert low == -high < 0
    with pytest.raises(SelectionError, match="dims other, window"):
        plot_time_similarity(xr.concat([s, s], "session"))
    with pytest.raises(SelectionError, match="without similarity"):
        plot_time_similarity(s.drop_vars("similarity"))


def test_curves_are_means_by_condition() -> None:
    rng = np.random.default_rng(1)
    between = rng.random((3, 4))
    between[2] = np.nan
    c = xr.Dataset(
        {
            "similarity_between": (("session", "component"), between),
            "similarity_within": (("session", "phase", "component"), rng.random((3, 2, 4))),
            "similarity_chance": (("session", "component"), np.full((3, 4), 0.1)),
        },
        {
            "component": [1, 2, 3, 4],
            "condition": ("session", np.array(["lsd", "lsd", "saline"], dtype=object)),
        },
    )
    ax = plot_subspace_curve(c)
    named = {line.get_label(): line for line in ax.lines if line.get_label()[0] != "_"}
    assert list(named) == ["between, lsd, n = 2", "within, lsd, n = 2", "random subspaces"]
    solid = named["between, lsd, n = 2"]
    np.testing.assert_allclose(solid.get_ydata(), between[:2].mean(axis=0))
    assert solid.get_color() == CONDITIONS["lsd"]
    dashed = named["within, lsd, n = 2"].get_ydata()
    np.testing.assert_allclose(dashed, c.similarity_within[:2].mean(["session", "phase"]))
    one = plot_subspace_curve(c.isel(session=0))
    assert one.get_legend().get_texts()[0].get_text() == "between, lsd, n = 1"
    with pytest.raises(SelectionError, match="at most 1 more"):
        plot_subspace_curve(c.expand_dims("epoch"))


def test_angles_are_dots_on_a_quarter_circle() -> None:
    angle = xr.DataArray([0.0, 90.0, 20.0, np.nan], dims="session", name="pc1_angle")
    angle = angle.assign_coords(condition=("session", ["lsd", "lsd", "saline", "saline"]))
    ax = plot_pc1_angle(angle)
    assert (ax.get_thetamin(), ax.get_thetamax()) == (0, 90)
    dots = [c.get_offsets()[:, 0] for c in ax.collections]
    np.testing.assert_allclose(np.concatenate(dots), np.radians([0, 90, 20]))
    assert [line.get_xdata()[0] for line in ax.lines] == pytest.approx(np.radians([45, 20]))
    texts = [t.get_text() for t in ax.get_legend().get_texts()]
    assert texts == ["lsd, n = 2, mean 45°", "saline, n = 1, mean 20°"]
    with pytest.raises(SelectionError, match="polar axes, found rectilinear"):
        plot_pc1_angle(angle, ax=plt.subplots()[1])
    with pytest.raises(SelectionError, match="at most 1 more"):
        plot_pc1_angle(angle.expand_dims(epoch=2))
    bare = plot_pc1_angle(xr.DataArray([30.0], dims="session", name="pc1_angle"))
    assert bare.get_legend().get_texts()[0].get_text() == "n = 1, mean 30°"
