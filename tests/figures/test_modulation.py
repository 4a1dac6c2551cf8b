"""Pictures of modulation draw their data, and nothing else."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lsdx.figures.modulation import plot_modulation, plot_rates


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
