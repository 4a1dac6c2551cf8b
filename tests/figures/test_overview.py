"""Pictures of the cohort: what is drawn is what was counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex, to_rgb

import lsdx
from lsdx import regions
from lsdx.analysis import overview as counted
from lsdx.errors import SelectionError, SourceError
from lsdx.figures import overview as drawn
from lsdx.figures import style
from tests.figures.thumbnails import compare_picture


def test_trajectories_have_each_sessions_number(demo_stores: Path) -> None:
    sessions = lsdx.open_sessions(demo_stores)
    grid = counted.trajectory_grid(sessions)
    twice = grid.copy(deep=True)
    twice["n_sessions"][0, 0] = [2, 3]  # a mouse with both conditions along one trajectory
    ax = drawn.plot_trajectories(twice)
    told = sorted(t.get_text() for t in ax.texts if t.get_text().isdigit())
    assert told == sorted(str(int(n)) for n in twice.n_sessions.values.ravel() if n)
    assert ax.get_title(loc="left").endswith(f"n = {int(twice.n_sessions.sum())}")


def test_states_have_a_mark_beside_their_colour(demo_stores: Path) -> None:
    sessions = lsdx.open_sessions(demo_stores)
    ax = drawn.plot_status(sessions)
    told = [t.get_text() for t in ax.texts]
    status = sessions.status.values
    assert told.count("!") == int((status == "extraction error").sum())
    assert told.count("·") == int((status == "raw data missing").sum())


def test_timelines_count_from_the_injection(demo_stores: Path) -> None:
    epochs, sessions = lsdx.open_epochs(demo_stores), lsdx.open_sessions(demo_stores)
    lines = counted.timelines(epochs, sessions)
    own = epochs.sel(session=lines.session.values)
    given = own.administration.values
    known = np.isfinite(given)
    expected = (own.start.transpose("session", "phase", "epoch").values - given[:, None, None]) / 60
    np.testing.assert_allclose(lines.start.values[known], expected[known])
    assert (lines.origin.values == "injection").tolist() == known.tolist()
    ends = own.stop.sel(phase="pre").max("epoch").values
    late = lines.stop.sel(phase="pre").max("epoch").values[~known]
    np.testing.assert_allclose(late, np.where(np.isfinite(ends), 0, np.nan)[~known])
    ax = drawn.plot_timelines(lines)
    hollow = [line for line in ax.lines if to_hex(line.get_markerfacecolor()) == "#ffffff"]
    assert len(hollow) == int((lines.origin == "end of pre").sum())


def test_bars_are_as_long_as_there_are_units(demo_stores: Path) -> None:
    found = counted.units_by_region(lsdx.open_units(demo_stores), quality="ks2_good")
    ax = drawn.plot_units(found, most=3)
    shown = found.isel(group=slice(0, 3)).n_units
    widths = [bar.get_width() for bar in ax.patches]
    expected = shown.transpose("condition", "filter", "group").values.ravel()
    assert widths == expected.tolist()
    rest = found.sizes["group"] - 3
    assert ax.get_title(loc="left") == f"Units by group, {rest} regions with fewer not shown"
    with pytest.raises(SelectionError, match="one or two filters, found 4 filters"):
        drawn.plot_units(counted.units_by_region(lsdx.open_units(demo_stores)))


def test_pairs_and_distributions(demo_stores: Path) -> None:
    units = lsdx.open_units(demo_stores)
    pairs = counted.region_pairs(units)
    figure = drawn.plot_pairs(pairs)
    image = figure.axes[0].collections[0].get_array()
    one = pairs.n_pairs.isel(condition=0).values
    np.testing.assert_array_equal(np.ma.filled(image, np.nan), np.where(one > 0, one, np.nan))
    figure = drawn.plot_distributions(units, ["firing_rate", "label"])
    line = figure.axes[0].lines[0]
    rates = units.firing_rate.values[units.condition.values == "lsd"]
    np.testing.assert_array_equal(np.unique(line.get_xdata()[1:]), np.unique(rates[rates == rates]))
    assert line.get_label() == f"lsd, n = {np.isfinite(rates).sum():,}"


def test_units_without_a_place(demo_stores: Path) -> None:
    units = lsdx.open_units(demo_stores)
    blank = units.assign_coords(region=("unit", np.full(units.sizes["unit"], "", dtype=object)))
    figure = drawn.plot_places(blank)
    assert figure.axes[0].get_title(loc="left").startswith("no unit has a place")


def test_print_has_no_small_text(demo_stores: Path, tmp_path: Path) -> None:
    before = plt.rcParams["font.size"]
    sessions = lsdx.open_sessions(demo_stores)
    with style.printed():
        figures = [
            drawn.plot_status(sessions).figure,
            drawn.plot_trajectories(counted.trajectory_grid(sessions)).figure,
            drawn.plot_timelines(counted.timelines(lsdx.open_epochs(demo_stores), sessions)).figure,
        ]
        for figure in figures:
            figure.savefig(tmp_path / "f.svg")
            texts = figure.findobj(lambda a: hasattr(a, "get_fontsize") and a.get_text())
            assert min(t.get_fontsize() for t in texts) >= 6
            assert "<text" in (tmp_path / "f.svg").read_text()
    assert plt.rcParams["font.size"] == before


def test_outcomes_differ_for_every_reader() -> None:
    """Machado et al. (2009): what a reader without red or green cones sees of two colours."""
    deuteranopia = np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.01182, 0.04294, 0.968881],
        ]
    )
    protanopia = np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    )
    colours = [np.array(to_rgb(c)) for c in style.VERDICTS.values()]
    for seen in (np.eye(3), deuteranopia, protanopia):
        for i in range(3):
            for j in range(i):
                assert np.linalg.norm(seen @ (colours[i] - colours[j])) > 0.2


def test_another_picture_is_found(demo_stores: Path) -> None:
    name = "lsdx.figures.overview.plot_units"
    found = counted.units_by_region(lsdx.open_units(demo_stores), quality="ks2_good")
    compare_picture(name, drawn.plot_units(found).figure)
    turned = found.isel(group=slice(None, None, -1))
    with pytest.raises(AssertionError, match="drawn otherwise than before"):
        compare_picture(name, drawn.plot_units(turned).figure)
    with pytest.raises(AssertionError, match="no picture is kept"):
        compare_picture("lsdx.figures.another", drawn.plot_units(found).figure)


@pytest.fixture
def atlas(tmp_path: Path) -> Iterator[Path]:
    """A volume of 50 um as iblatlas keeps it: CA1 on the left, SS on the right, void around."""
    pytest.importorskip("iblatlas.atlas", exc_type=ImportError)
    from iblatlas.regions import BrainRegions

    names = BrainRegions()
    row = {a: int(np.flatnonzero(names.acronym == a)[0]) for a in ("CA1", "SSp")}
    volume = np.zeros((264, 228, 160), dtype=np.uint16)
    volume[40:240, 20:114, 10:120] = row["CA1"]  # bregma: row 108, column 114.78, 6.64
    volume[40:240, 115:208, 10:120] = row["SSp"]
    np.savez(tmp_path / "annotation_50_lut_v01.npz", volume)
    style.use(atlas=tmp_path)
    yield tmp_path
    style.use()


def test_slices_are_cut_where_the_units_lie(atlas: Path) -> None:
    units = xr.Dataset(
        coords={
            "x": ("unit", [-2e-3, 2e-3, 1e-3, np.nan]),
            "y": ("unit", [-1.5e-3, -1.6e-3, 0.5e-3, 0.0]),
            "z": ("unit", [-2e-3, -2e-3, -1e-3, 0.0]),
            "condition": ("unit", ["lsd", "saline", "lsd", "lsd"]),
        }
    )
    figure = drawn.plot_slices(units)
    shown = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title(loc="left") for ax in shown] == [
        "+0.5 mm, n = 1 units",
        "-1.5 mm, n = 2 units",
    ]
    image = shown[1].images[0]
    left, right, bottom, top = image.get_extent()
    assert (left, right) == pytest.approx((-5.74, 5.61), abs=0.06)
    assert (bottom, top) == pytest.approx((-7.62, 0.33), abs=0.06)
    # the colour under each dot is that of its region: left is left, down is down
    pixels = np.asarray(image.get_array())
    for (x, z), region in (((-2, -2), "CA1"), ((2, -2), "SSp")):
        row = int((top - z) / (top - bottom) * len(pixels))
        column = int((x - left) / (right - left) * pixels.shape[1])
        assert to_hex(pixels[row, column] / 255) == regions.colours([region])[0]
    assert pixels[-1, 0].tolist() == [255, 255, 255]


def test_a_damaged_volume_is_named_and_kept(atlas: Path) -> None:
    file = atlas / "annotation_50_lut_v01.npz"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(SourceError, match="expected a volume"):
        regions.coronal_slices([0.0], file)
    assert file.stat().st_size == 1000
    np.savez(file, np.full((2, 2, 2), 5000))
    with pytest.raises(SourceError, match="of shape"):
        regions.coronal_slices([0.0], file)


def test_without_units_that_have_a_place_no_slice_is_cut(demo_stores: Path) -> None:
    units = lsdx.open_units(demo_stores)
    with pytest.raises(SelectionError, match="units with a place"):
        drawn.plot_slices(units.isel(unit=[]))
