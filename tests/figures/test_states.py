"""Pictures of states draw their data, and nothing else."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex

from lsdx.errors import SelectionError
from lsdx.figures.states import _COLOURS, plot_states


@pytest.fixture
def data() -> xr.Dataset:
    sequence = np.array([[1] * 6 + [2] * 2 + [-1] * 2, [3, 1] * 5])
    nan = np.nan
    occupancy = [[0.75, 0.25, nan, nan], [0.5, nan, 0.5, nan]]
    transition = np.full((2, 4, 4), nan)
    transition[0, :2, :2] = [[0.8, 0.2], [0.3, 0.7]]
    transition[1][np.ix_([0, 2], [0, 2])] = [[0.1, 0.9], [0.95, 0.05]]
    number = np.arange(1, 5)
    return xr.Dataset(
        {
            "state": (("phase", "time"), sequence),
            "occupancy": (("phase", "number"), occupancy),
            "transition": (("phase", "number", "to"), transition),
            "held_out": (("phase", "tried"), np.zeros((2, 4))),
        },
        {
            "phase": ["pre", "post"],
            "number": number,
            "to": number,
            "time": np.arange(10) + 0.5,
            "simulated": True,
        },
    )


def test_a_row_a_phase_with_states_shares_and_transitions(data: xr.Dataset) -> None:
    figure = plot_states(data)
    panels = np.array(figure.axes).reshape(2, 3)
    for i, row in enumerate(panels):
        one = data.isel(phase=i)
        image: Any = row[0].get_images()[0]
        assert image.get_extent() == [0, 10, 0, 1]
        drawn = image.get_array()
        np.testing.assert_array_equal(drawn.filled(-1)[0], one.state)
        colours = image.cmap(image.norm(np.array([1, 2, 3])))
        assert [to_hex(c).upper() for c in colours] == list(_COLOURS[:3])
        widths = [bar.get_width() for bar in row[1].patches]
        np.testing.assert_allclose(widths, one.occupancy.fillna(0)[:3])
        assert [to_hex(bar.get_facecolor()).upper() for bar in row[1].patches] == list(_COLOURS[:3])
        shown = row[2].get_images()[0].get_array()
        np.testing.assert_array_equal(np.ma.filled(shown, np.nan), one.transition[:3, :3])
        assert row[0].get_ylabel() == one.phase.item()
    assert [t.get_text() for t in panels[0, 2].texts] == [".80", ".20", ".30", ".70"]
    assert "simulated" in [t.get_text() for t in figure.texts]
    assert min(t.get_size() for ax in figure.axes for t in ax.texts) >= 6


def test_one_phase_is_one_row(data: xr.Dataset) -> None:
    for one in (data.isel(phase=0), data.isel(phase=0).drop_vars(["phase", "simulated", "time"])):
        figure = plot_states(one)
        assert len(figure.axes) == 3
        assert len(figure.axes[1].patches) == 2
        plt.close(figure)


def test_other_data_are_refused(data: xr.Dataset) -> None:
    with pytest.raises(SelectionError, match=r"occupancy, state, transition.*ds\.lsd\.states"):
        plot_states(data.drop_vars("state"))
    with pytest.raises(SelectionError, match="Select one label of the others"):
        plot_states(data.expand_dims(session=["a"]))
