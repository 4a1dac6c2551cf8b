"""Pictures of shares draw their data, and nothing else."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lsdx.figures.proportions import plot_forest


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
