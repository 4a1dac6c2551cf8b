"""Rasters draw their spikes, regions and epochs, and nothing else."""

from __future__ import annotations

import itertools

import matplotlib.text
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex

from lsdx import regions
from lsdx.figures.raster import plot_raster


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


def trains(region: list[str], insertion: list[str] | None = None, n: int = 4) -> xr.Dataset:
    """Return units 20 um apart, of n spikes each at 0.25, 1.25, ... s, as open_spikes does."""
    n_units = len(region)
    labels = {"region": region, "insertion": insertion or ["a"] * n_units}
    return xr.Dataset(
        {
            "spike_time": ("spike", np.tile(np.arange(n) + 0.25, n_units)),
            "row_start": ("unit", n * np.arange(n_units)),
            "row_size": ("unit", np.full(n_units, n)),
        },
        {k: ("unit", np.array(v, dtype=object)) for k, v in labels.items()}
        | {"depth": ("unit", 20.0 * np.arange(n_units))},
    )


def test_a_region_has_one_colour_that_of_the_atlas_and_one_name() -> None:
    ax = plot_raster(trains(["CA1", "CA1", "DG-mo", "CA1", "LP", "elsewhere", ""]))
    drawn = [to_hex(c.get_facecolor()[0]) for c in ax.collections]
    assert drawn == ["#7ed04b", "#7ed04b", "#7ed04b", "#ff909f", "#cccccc"]
    edges = [c.get_paths()[0].get_extents().intervaly.tolist() for c in ax.collections]
    assert edges == [[-10, 30], [30, 50], [50, 70], [70, 90], [90, 110]]
    names = {t.get_text(): t for t in ax.texts}
    assert len(ax.texts) == 4
    # by its longest part
    assert {n: t.xy[1] for n, t in names.items()} == {
        "CA1": 10,
        "DG-mo": 40,
        "LP": 80,
        "elsewhere": 100,
    }


@pytest.mark.parametrize("n_panels", [1, 3])
def test_names_of_regions_do_not_overlap(n_panels: int) -> None:
    thin = [r for name in ("VISp1", "VISp2/3", "VISp4", "VISp5", "VISp6a") for r in (name, "CA1")]
    one = [*["LP"] * 150, *thin, "DG-mo", "CA3", "PO", "VPM", "VPL"]
    insertion = [f"p{i}" for i in range(n_panels) for _ in one]
    ax = plot_raster(trains(one * n_panels, insertion))
    ax.figure.canvas.draw()
    panels = ax.child_axes or [ax]
    assert len(panels) == n_panels
    for panel in panels:
        boxes = sorted(
            (b.y0, b.y1) for t in panel.texts for b in [matplotlib.text.Text.get_window_extent(t)]
        )
        assert len(boxes) == 12
        assert all(low >= high for (_, high), (low, _) in itertools.pairwise(boxes))
        inside = panel.get_window_extent()
        assert boxes[0][0] >= inside.y0 - 1
        assert boxes[-1][1] <= inside.y1 + 1


def test_names_that_do_not_fit_are_counted() -> None:
    layers = [name for name in regions.acronyms() if name.startswith("SS")][:60]
    ax = plot_raster(trains(layers))
    *told, rest = [t.get_text() for t in ax.texts]
    assert rest == f"+ {60 - len(told)}"
    assert set(told) < set(layers)


def test_many_spikes_are_drawn_as_a_density() -> None:
    many = trains(["CA1"] * 3, n=200_000)
    many["depth"][2] = np.nan  # left out: 400,000 spikes
    assert len(plot_raster(many).lines) == 1
    many = trains(["CA1"] * 3, n=200_000)
    many["depth"][1] = 9.0  # as near to the first as to be one site
    ax = plot_raster(many, start=0, stop=200_000)
    assert not ax.lines
    image = ax.collections[0]
    cells = np.asarray(image.get_array()).reshape(-1, 500)
    # 400 s a column with 400 spikes of each unit: two units, none, one
    np.testing.assert_allclose(cells, np.repeat([[2.0], [0.0], [1.0]], 500, axis=1))
    corners = image.get_coordinates()
    np.testing.assert_allclose(corners[:, 0, 1], [-10, 10, 30, 50])
    np.testing.assert_allclose(corners[0, [0, -1], 0], [0, 200_000])
    assert image.colorbar.ax.get_ylabel() == "Spikes per s in 20 um"
    part = plot_raster(many, start=100_000)
    assert len(part.lines) == 1
    assert part.lines[0].get_xdata().size == 300_000


def test_an_insertion_is_a_panel() -> None:
    both = trains(["CA1", "LP", "CA1"], ["b", "a", "b"])
    ax = plot_raster(both)
    upper, lower = ax.child_axes
    assert [p.get_title(loc="left") for p in (upper, lower)] == ["b", "a"]
    assert set(upper.lines[0].get_ydata()) == {0.0, 40.0}
    assert set(lower.lines[0].get_ydata()) == {20.0}
    assert upper.get_xlim() == lower.get_xlim() == (0, 3.25)
    assert (upper.get_xlabel(), lower.get_xlabel()) == ("", "Time (s)")
    dense = plot_raster(trains(["CA1", "LP"], ["a", "b"], n=300_000))
    images = [p.collections[0] for p in dense.child_axes]
    assert images[0].get_clim() == images[1].get_clim() == (0, pytest.approx(1.0, abs=0.01))


def test_units_without_depth_are_told() -> None:
    some = trains(["CA1"] * 3)
    some["depth"][1] = np.nan
    ax = plot_raster(some)
    assert set(ax.lines[0].get_ydata()) == {0.0, 40.0}
    assert ax.get_title(loc="left") == "a, 1 units without depth left out"
    ax = plot_raster(some.drop_vars("depth"))
    assert set(ax.lines[0].get_ydata()) == {0.0, 1.0, 2.0}
    assert ax.get_ylabel() == "Unit"
