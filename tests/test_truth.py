"""The demo's truth, found over mice: what LSD does and saline does not, in numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import lsdx
from lsdx.analysis.cohort import compare_conditions, paired_contrast
from lsdx.builders import build
from lsdx.config import Settings
from lsdx.demo import write_cohort


@pytest.fixture(scope="module")
def modulation(demo_stores: Path) -> xr.Dataset:
    """Test every unit of the demo for a change of its rate after the injection."""
    return lsdx.open_spikes(demo_stores).lsd.modulation(epoch="spontaneous", rng=0).compute()


def _modulated(found: xr.Dataset) -> xr.DataArray:
    """Return whether p is at most .05, NaN where a unit was not tested."""
    modulated = (found.p <= 0.05).where(found.p.notnull()).squeeze(drop=True)
    return modulated.assign_attrs(found.attrs)


def _pupil(stores: Path) -> xr.DataArray:
    behavior = lsdx.open_behavior(stores)
    pupil = behavior.behavior.sel(feature="left/pupil_diameter_percent").mean(["epoch", "time"])
    return pupil.compute().assign_attrs(behavior.attrs)


def test_modulated_units_and_the_pupil(demo_stores: Path, modulation: xr.Dataset) -> None:
    share = compare_conditions(
        _modulated(modulation), between=None, reduce="share", pooled=True, rng=0
    )
    assert 0.15 <= share.estimate <= 0.4  # the truth is .3, of units that can be seen
    assert share.low > 0
    assert share.p == share.p_least
    pupil = _pupil(demo_stores)
    dilated = compare_conditions(pupil, pooled=True, rng=0)
    assert 20 <= dilated.estimate <= 50  # 30 % of the diameter, of a baseline below its mean
    assert dilated.low > 0
    assert dilated.p == dilated.p_least
    alone = paired_contrast(pupil, rng=0).sel(condition="saline")
    assert abs(alone.estimate) < 3
    assert alone.low < 0 < alone.high


def test_units_that_saline_seems_to_modulate_drift(
    demo_cohort: Path, modulation: xr.Dataset
) -> None:
    """Saline modulates none, but 15 % of the units drift; of the others 5 % are found by chance."""
    truth = json.loads((demo_cohort / "truth.json").read_text())["sessions"]
    drifting = {
        uuid: drifts
        for session in truth
        if session["condition"] == "saline"
        for uuid, drifts in zip(session["units"]["uuid"], session["units"]["drifting"], strict=True)
    }
    found = _modulated(modulation).to_series().dropna()
    found = found[found.index.isin(list(drifting))]
    drifts = np.array([drifting[uuid] for uuid in found.index])
    error = 3 * np.sqrt(0.05 * 0.95 / (~drifts).sum())
    assert (~drifts).sum() >= 20
    assert found[~drifts].mean() <= 0.05 + error
    assert found[drifts].mean() > 0.5


@pytest.mark.slow
def test_dimensions_need_more_units(tmp_path: Path) -> None:
    """LSD doubles the latent dimensions: 200 units a session show it."""
    cache = write_cohort(tmp_path / "cohort", n_units=200)
    settings = Settings(source="cache", cache_dir=cache, stores=tmp_path / "stores")
    assert not build(settings, ["counts"], progress=False).failed
    units = lsdx.open_units(settings.stores).sel(epoch="spontaneous")
    found = units.lsd.dimensionality(draws=3, rng=0).compute()
    for name in ("ngsc", "participation_ratio"):
        x = found[name].assign_attrs(found.attrs)
        both = compare_conditions(x, pooled=True, rng=0)
        assert both.low > 0
        assert both.p == both.p_least
        change = (x.sel(phase="post") - x.sel(phase="pre")).values
        lsd = (x.condition == "lsd").values
        assert change[lsd].min() > np.abs(change[~lsd]).max()
