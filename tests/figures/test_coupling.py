"""Pictures of coupling draw their data, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from lsdx.errors import SelectionError
from lsdx.figures.coupling import plot_coherence, plot_correlations


def matrix(n: int) -> xr.Dataset:
    r = np.random.default_rng(0).normal(scale=0.1, size=(n, n))
    r = (r + r.T) / 2
    r[0, 0] = np.nan
    names = [f"g{i}" for i in range(n)]
    return xr.Dataset(
        {"correlation": (("source", "target"), r, {"long_name": "Correlation", "units": "1"})},
        {"source": names, "target": names, "simulated": True},
    )


def spectra() -> xr.Dataset:
    rng = np.random.default_rng(1)
    value = rng.uniform(0, 0.5, (4, 2, 20))
    value[3] = np.nan
    return xr.Dataset(
        {"coherence": (("session", "phase", "frequency"), value)},
        {
            "session": list("abcd"),
            "phase": ["pre", "post"],
            "frequency": np.arange(1, 21) / 10,
            "condition": ("session", ["lsd", "saline", "lsd", "saline"]),
        },
        {"source": "M2", "target": "HPC"},
    )


def test_correlations_are_a_matrix_alike_on_both_sides_of_0() -> None:
    data = matrix(4)
    ax = plot_correlations(data)
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array().filled(np.nan), data.correlation)
    low, high = image.get_clim()
    assert high == -low == np.nanmax(np.abs(data.correlation))
    words = [t.get_text() for t in ax.texts]
    assert len(words) == 16  # 15 values, and simulated
    assert f"{data.correlation.values[0, 1]:.3f}".replace("0.", ".", 1) in words
    assert [t.get_text() for t in ax.get_yticklabels()] == ["g0", "g1", "g2", "g3"]
    assert [t.get_text() for t in plot_correlations(matrix(12)).texts] == ["simulated"]
    assert len(plot_correlations(data.correlation.where(False)).texts) == 1


def test_coherence_has_a_line_a_session_and_the_mean() -> None:
    data = spectra()
    ax = plot_coherence(data)
    legend = [t.get_text() for t in ax.get_legend().get_texts()]
    assert legend == [
        "lsd, pre, n = 2",
        "lsd, post, n = 2",
        "saline, pre, n = 1",
        "saline, post, n = 1",
    ]
    mean = {line.get_label(): line for line in ax.lines}["lsd, post, n = 2"]
    expected = data.coherence.sel(phase="post", session=["a", "c"]).mean("session")
    np.testing.assert_allclose(mean.get_ydata(), expected)
    assert mean.get_color() == "#D55E00"
    assert len(ax.lines) == 1 + 4 + 4  # 0, means, sessions of conditions with two
    assert "M2 and HPC" in ax.get_ylabel()


def test_one_session_or_phase_will_do() -> None:
    data = spectra()
    one = plot_coherence(data.sel(session="a", phase="pre"))
    assert [t.get_text() for t in one.get_legend().get_texts()] == ["lsd, pre, n = 1"]
    bare = data.coherence.isel(session=0, phase=0).drop_vars(["session", "phase", "condition"])
    assert [t.get_text() for t in plot_coherence(bare).get_legend().get_texts()] == ["n = 1"]
    assert plot_coherence(data.coherence.where(False)).get_legend() is None


def test_other_data_are_refused() -> None:
    data = spectra()
    with pytest.raises(SelectionError, match="session and phase alone, found epoch"):
        plot_coherence(data.sel(phase="pre").expand_dims("epoch"))
    with pytest.raises(SelectionError, match="without coherence"):
        plot_coherence(data.drop_vars("coherence"))
    with pytest.raises(SelectionError, match="at most 0 more"):
        plot_correlations(matrix(2).expand_dims("session"))
    with pytest.raises(SelectionError, match="within="):
        plot_correlations(matrix(2).drop_vars("correlation"))
