"""Pictures of responses draw their data, and nothing else."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lsdx.figures.responses import plot_psth


def test_an_image_of_responses_has_its_depths(responses: xr.Dataset) -> None:
    left = responses.sel(side="left")
    ax = plot_psth(left)
    image = ax.collections[0].get_array().reshape(-1, left.sizes["time"])
    row = np.rint((left.depth.values - left.depth.values.min()) / 100).astype(int)
    np.testing.assert_allclose(image[row], left.psth_z.values)
    assert image.shape[0] == row.max() + 1
    assert ax.get_title() == "side left"
    other = left.drop_vars("side").assign_coords(contrast=0.1, kind="gabor")
    assert plot_psth(other).get_title() == "contrast 0.1, kind gabor"
