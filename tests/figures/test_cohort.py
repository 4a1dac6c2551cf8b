"""Pictures of comparisons draw their data, and nothing else."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb

import lsdx
from lsdx.analysis.attrition import attrition, confounds
from lsdx.errors import ConfigError, SelectionError
from lsdx.figures import style
from lsdx.figures.behavior import plot_pupil
from lsdx.figures.cohort import (
    plot_attrition,
    plot_confounds,
    plot_estimate,
    plot_paired,
    plot_regions,
)
from lsdx.figures.dimensionality import plot_pre_post
from lsdx.figures.proportions import plot_forest

# how red, green and blue look without one kind of cone (Machado et al. 2009, severity 1)
WITHOUT = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
    "none": np.eye(3),
}


def lab(colour: str, seen: Any) -> np.ndarray:
    """Return CIE L*a*b* (D65) of a colour as it is seen."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.asarray(seen) @ linear, 0, 1)
    to_xyz = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
    t = to_xyz @ linear / np.array([0.95047, 1.0, 1.08883])
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.fixture
def sessions() -> xr.DataArray:
    """Two sessions of mouse A and one of B with LSD, one of A with saline, one without post."""
    values = [[1.0, 3.0], [3.0, 5.0], [2.0, 2.0], [4.0, 4.5], [9.0, np.nan]]
    coords = {
        "phase": ["pre", "post"],
        "subject": ("session", ["A", "A", "B", "A", "B"]),
        "condition": ("session", ["lsd", "lsd", "lsd", "saline", "lsd"]),
    }
    return xr.DataArray(values, coords, ("session", "phase"), name="rate", attrs={"units": "Hz"})


@pytest.fixture
def compared() -> xr.Dataset:
    estimate = np.array([[0.2, -0.1], [0.4, np.nan]])
    dims = ("group", "epoch")
    cells = {
        "estimate": estimate,
        "low": estimate - 0.1,
        "high": estimate + 0.3,
        "p": np.array([[0.01, 0.5], [0.2, np.nan]]),
        "p_least": np.full((2, 2), 1 / 120),
        "p_corrected": np.array([[0.04, 0.9], [0.06, np.nan]]),
        "without_one_low": estimate - 0.05,
        "without_one_high": estimate + 0.06,
        "n_mice": np.array([[3, 3], [2, 0]]),
        "n_units": np.array([[700, 690], [51, 0]]),
    }
    return xr.Dataset(
        {n: (dims, v) for n, v in cells.items()}
        | {
            "n_sessions": ((*dims, "condition"), np.array([[[5, 9], [5, 9]], [[3, 4], [0, 0]]])),
            "per_mouse": (("mouse", *dims), estimate + np.array([-0.1, 0, 0.1])[:, None, None]),
            "null": (("draw", *dims), np.linspace(-0.3, 0.3, 120)[:, None, None] + 0 * estimate),
        },
        {"group": ["HPF", "VIS"], "epoch": ["rfm", "replay"], "condition": ["lsd", "saline"]},
        {
            "conditions": "lsd, saline",
            "between": "pre, post",
            "n_arrangements": 120,
            "exact": True,
            "level": 0.95,
        },
    )


def line(ax: Axes, label: str) -> Any:
    return next(found for found in ax.lines if found.get_label() == label)


def told(ax: Axes) -> list[str]:
    return [t.get_text() for t in ax.texts]


def test_conditions_differ_for_readers_with_any_colour_vision() -> None:
    for seen in WITHOUT.values():
        for a, b in itertools.combinations(style.CONDITIONS.values(), 2):
            # 2.3 is just noticed; red and green of equal lightness come near 10
            assert np.linalg.norm(lab(a, seen) - lab(b, seen)) > 20


@pytest.fixture
def as_set() -> Iterator[None]:
    """Style as it is set, whatever a test used, before or here."""
    style.use()
    yield
    style.use()


def test_settings_choose_colours_widths_and_fonts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_set: None
) -> None:
    text = '[figures]\ncolumn = 9\nfont_size = 9\natlas = "volumes"\n'
    text += '[figures.conditions]\nsaline = "#009E73"\n[figures.epochs]\nrfm = "#000000"\n'
    (tmp_path / "lsdx.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert style.condition_colours(["saline", "lsd"]) == {"saline": "#009E73", "lsd": "#D55E00"}
    assert style.epoch_colours(["a", "rfm"]) == {"a": "#BBBBBB", "rfm": "#000000"}
    assert style.size("column", 2.54) == (9 / 2.54, 1.0)
    assert style.settings().atlas == Path("volumes")
    with style.printed():
        assert plt.rcParams["font.size"] == 9
    style.use(conditions={"lsd": "#111111"})
    assert style.condition_colours(["saline", "lsd"]) == {"saline": "#009E73", "lsd": "#111111"}
    style.use()
    assert style.condition_colours(["lsd"]) == {"lsd": "#D55E00"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"conditions": {"lsd": "red"}}, "conditions.lsd: expected a colour such as '#009E73'"),
        ({"conditions": "red"}, "a table of colours by name"),
        ({"page": 0}, "page: expected a number above 0"),
        ({"pages": 1}, "Did you mean 'page'?"),
    ],
)
def test_what_is_no_style_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        style.use(**given)
    assert style.settings().page == 17.5


def test_a_condition_keeps_its_colour_in_every_picture(
    sessions: xr.DataArray, as_set: None
) -> None:
    style.use(conditions={"saline": "#123456"})
    forest = xr.Dataset(
        {n: (("region", "condition"), [[0.5]]) for n in ("share", "share_low", "share_high")}
        | {n: (("region", "condition"), [[2]]) for n in ("n_mice", "n_sessions", "n_units")},
        {"region": ["VISp"], "condition": ["saline"]},
    )
    alone = sessions.isel(session=[3])
    pupil = xr.DataArray([[1.0, 2.0]], {"time": [0.0, 60]}, ("session", "time"))
    left = xr.Dataset({"n_units": (("step", "condition"), [[2]])}, {"condition": ["saline"]})
    drawn = [
        line(plot_forest(forest), "saline").get_color(),
        line(plot_paired(alone), "saline (1 mice, 1 sessions)").get_color(),
        plot_pre_post(alone).collections[0].get_facecolor()[0],
        plot_pupil(pupil.assign_coords(condition=("session", ["saline"]))).lines[0].get_color(),
        plot_attrition(left.assign_coords(step=["all"])).patches[0].get_facecolor(),
    ]
    assert {to_hex(c) for c in drawn} == {"#123456"}


def test_other_conditions_get_colours_of_their_own() -> None:
    found = style.condition_colours(["b", "lsd", "a", "b"])
    assert list(found) == ["b", "lsd", "a"]
    assert len({*found.values(), *style.CONDITIONS.values()}) == 5
    many = style.condition_colours([f"c{i:02d}" for i in range(len(style.OTHERS) + 1)])
    assert many["c00"] == many[f"c{len(style.OTHERS):02d}"]


def test_pairs_are_means_of_each_mouse(sessions: xr.DataArray) -> None:
    ax = plot_paired(sessions)
    drawn = [found.get_ydata().tolist() for found in ax.lines]
    # LSD: A (1 + 3) / 2 and (3 + 5) / 2, B 2 and 2, their mean; then saline
    assert drawn == [[2, 4], [2, 2], [2, 3], [4, 4.5], [4, 4.5]]
    labels = [t.get_text() for t in ax.get_legend().get_texts()]
    assert labels == ["lsd (2 mice, 3 sessions)", "saline (1 mice, 1 sessions)"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["pre", "post"] * 2
    assert ax.get_ylabel() == "rate (Hz)"


def test_the_bar_of_pairs_is_the_interval_of_the_change(sessions: xr.DataArray) -> None:
    change = xr.Dataset(
        {
            "estimate": ("condition", [0.5, 1.0]),
            "low": ("condition", [np.nan, -3.0]),
            "high": ("condition", [np.nan, 5.0]),
        },
        {"condition": ["saline", "lsd"]},
    )
    ax = plot_paired(sessions, contrast=change)
    bars = [found.get_ydata() for found in ax.lines if found.get_marker() == "_"]
    assert [b.tolist() for b in bars] == [[-1, 7]]  # from the mean before, 2
    one = change.sel(condition="lsd")
    assert len([b for b in plot_paired(sessions, contrast=one).lines if b.get_marker() == "_"]) == 1
    with pytest.raises(SelectionError, match="several"):
        plot_paired(sessions, contrast=one.drop_vars("condition"))
    with pytest.raises(SelectionError, match="dims"):
        plot_paired(
            sessions, contrast=change.rename(condition="epoch").expand_dims(condition=["lsd"])
        )


def test_pairs_need_pairs(sessions: xr.DataArray) -> None:
    with pytest.raises(SelectionError, match="no subject"):
        plot_paired(sessions.drop_vars("subject"))
    with pytest.raises(SelectionError, match="1 phases"):
        plot_paired(sessions.isel(phase=[0]))
    with pytest.raises(SelectionError, match="DataArray"):
        plot_paired(sessions.to_dataset())  # type: ignore[arg-type]
    empty = plot_paired(sessions.where(False))
    assert not empty.lines
    assert empty.get_legend() is None


def test_an_estimate_beside_its_null(compared: xr.Dataset) -> None:
    one = compared.sel(group="HPF", epoch="rfm")
    ax = plot_estimate(one)
    mice = next(found for found in ax.lines if len(found.get_ydata()) == 3)
    np.testing.assert_allclose(mice.get_ydata(), [0.1, 0.2, 0.3])
    interval = next(found for found in ax.lines if list(found.get_xdata()) == [1, 1])
    np.testing.assert_allclose(interval.get_ydata(), [0.1, 0.5])
    assert ax.get_title(loc="left") == "p = 0.01 (least possible 0.00833, all 120 arrangements)"
    assert ax.get_ylabel().endswith("lsd minus saline, post minus pre")
    y = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (y.min(), y.max()) == pytest.approx((-0.3, 0.3))


def test_the_half_violin_is_the_histogram_of_the_null(compared: xr.Dataset) -> None:
    one = compared.sel(group="HPF", epoch="rfm")
    one["null"] = ("draw", np.repeat([-1.0, 0.0, 1.0], [10, 40, 70]))
    corners = plot_estimate(one).collections[0].get_paths()[0].vertices
    wide = [corners[np.isclose(corners[:, 1], end), 0].max() - 1.08 for end in (-1, 1)]
    assert wide[0] / wide[1] == pytest.approx(1 / 7)
    one["null"] = ("draw", np.zeros(120))  # one value only
    assert len(plot_estimate(one).collections) == 1


def test_an_estimate_without_null_mice_or_p(compared: xr.Dataset) -> None:
    one = compared.sel(group="VIS", epoch="replay").drop_vars(["null", "per_mouse"])
    ax = plot_estimate(one)
    assert not ax.collections
    assert ax.get_title(loc="left") == "no p"
    single = plot_estimate(one.assign_attrs(n_arrangements=1))
    assert single.get_title(loc="left") == "no p: the design has no other arrangement"
    with pytest.raises(SelectionError, match="dims"):
        plot_estimate(compared)
    with pytest.raises(SelectionError, match="compare_conditions"):
        plot_estimate(compared.drop_vars("low"))


def test_regions_by_epoch(compared: xr.Dataset) -> None:
    ax = plot_regions(compared)
    np.testing.assert_allclose(line(ax, "rfm").get_xdata(), [0.2, 0.4])
    spans = ax.collections[0].get_segments()
    np.testing.assert_allclose([s[:, 0] for s in spans], [[0.1, 0.5], [0.3, 0.7]])
    assert "3 / 5,9 / 700" in told(ax)
    filled = [f for f in ax.lines if f.get_marker() == "o" and f.get_markerfacecolor() != "w"]
    # only the one whose corrected p is below .05
    assert np.concatenate([f.get_xdata() for f in filled]).tolist() == [0.2]
    ticks = np.concatenate([f.get_xdata() for f in ax.lines if f.get_marker() == "|"])
    assert {0.15, 0.26} <= set(ticks.round(6))
    assert [t.get_text() for t in ax.get_yticklabels()] == ["HPF", "VIS"]
    assert "filled: corrected p < 0.05" in ax.get_xlabel()


def test_regions_of_one_epoch_or_too_many(compared: xr.Dataset) -> None:
    ax = plot_regions(compared.sel(epoch="replay"))
    assert ax.get_legend() is None
    np.testing.assert_allclose(ax.collections[0].get_segments()[0][:, 0], [-0.2, 0.2])
    with pytest.raises(SelectionError, match="one or two"):
        plot_regions(compared.sel(epoch="rfm", group="VIS"))
    with pytest.raises(SelectionError, match="one or two"):
        plot_regions(compared[["estimate", "low", "high"]].expand_dims(measure=["a"]))


def test_confounds_are_drawn_where_they_are() -> None:
    data = xr.Dataset(
        {
            "difference": ("label", [0.5, -0.6, -np.inf, 7.0, np.nan]),
            "mean": (("label", "condition"), [[2.0, 1.5], [0.4, 1], [1, 2], [9, 2], [1, np.nan]]),
            "n_sessions": (("label", "condition"), [[5, 4]] * 4 + [[5, 0]]),
        },
        {
            "label": ["weight", "cohort_year: 2025", "session_n", "rate", "none"],
            "kind": ("label", ["number", "share", "number", "number", "number"]),
            "label_units": ("label", ["g", "1", "1", "Hz", "1"]),
            "condition": ["lsd", "saline"],
        },
    )
    ax = plot_confounds(data)
    drawn = {f.get_marker(): (f.get_xdata(), f.get_ydata()) for f in ax.lines}
    assert [v.tolist() for v in drawn["o"]] == [[0.5], [0]]
    assert [v.tolist() for v in drawn["s"]] == [[-0.6], [1]]
    assert drawn["<"][1].tolist() == [2]
    assert drawn[">"][1].tolist() == [3]
    edge = ax.get_xlim()[1]
    assert (drawn["<"][0][0], drawn[">"][0][0]) == pytest.approx((-edge, edge))
    assert {"2 / 1.5 g  (5 / 4)", "40 % / 100 %  (5 / 4)", "1 / -  (5 / 0)"} <= set(told(ax))
    with pytest.raises(SelectionError, match="two conditions"):
        plot_confounds(data.isel(condition=[0]))
    with pytest.raises(SelectionError, match="two conditions"):
        plot_confounds(data.isel(condition=0))


def test_attrition_as_shares_of_the_first_step() -> None:
    n = xr.DataArray(
        [[200, 50], [100, 50], [20, 0]],
        {"step": ["all", "VIS", "good"], "condition": ["lsd", "saline"]},
        ("step", "condition"),
    )
    left = xr.Dataset({"n_units": n, "n_sessions": n // 10})
    ax = plot_attrition(left)
    assert [p.get_width() for p in ax.patches] == [100, 50, 10, 100, 100, 0]
    assert {to_hex(p.get_facecolor()) for p in ax.patches} == {
        style.CONDITIONS[c].lower() for c in ("lsd", "saline")
    }
    assert {"200 / 20", "0 / 0"} <= set(told(ax))
    assert plot_attrition(left, of="n_sessions").get_xlabel() == "Sessions left (% of all)"
    one = plot_attrition(left.sel(condition="saline") * 0)
    assert [p.get_width() for p in one.patches] == [0, 0, 0]
    with pytest.raises(SelectionError, match="n_mice"):
        plot_attrition(left, of="n_mice")
    with pytest.raises(SelectionError, match="add up"):
        plot_attrition(left.expand_dims(subject=["A"]))


def test_the_demo_says_that_it_is_simulated(demo_stores: Path) -> None:
    units = lsdx.open_units(demo_stores)
    left = attrition(
        units, steps=[{"quality": "ks2_good"}], sessions=lsdx.open_sessions(demo_stores)
    )
    both = confounds(units, insertions=lsdx.open_insertions(demo_stores))
    for ax in (plot_attrition(left), plot_confounds(both)):
        assert "simulated" in told(ax)
        ax.figure.canvas.draw()  # type: ignore[union-attr]
    _, ax = plt.subplots()
    assert plot_confounds(both, ax=ax) is ax
