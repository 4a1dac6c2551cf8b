"""``ds.lsd`` forwards to the functions, with their signatures."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import lsdx
from lsdx.accessor import LsdAccessor, LsdArrayAccessor
from lsdx.analysis.binning import bin_spikes, sliding
from lsdx.analysis.complexity import lempel_ziv
from lsdx.analysis.counts import allan_factor, fano_factor, rates
from lsdx.analysis.courses import autocorrelation_timescale, changepoint
from lsdx.analysis.dimensionality import dimensionality
from lsdx.analysis.events import psth
from lsdx.analysis.intervals import cv, cv2, lv, lvr
from lsdx.analysis.modulation import modulation
from lsdx.analysis.proportions import proportions
from lsdx.analysis.selection import quantify, select, unit_table
from lsdx.analysis.single_units import unit_metrics
from lsdx.analysis.subspaces import components, subspaces

FORWARDED = {
    "select": select,
    "quantify": quantify,
    "unit_table": unit_table,
    "bin": bin_spikes,
    "sliding": sliding,
    "dimensionality": dimensionality,
    "components": components,
    "subspaces": subspaces,
    "rates": rates,
    "cv": cv,
    "cv2": cv2,
    "lv": lv,
    "lvr": lvr,
    "fano_factor": fano_factor,
    "allan_factor": allan_factor,
    "lempel_ziv": lempel_ziv,
    "unit_metrics": unit_metrics,
    "modulation": modulation,
    "proportions": proportions,
    "psth": psth,
    "autocorrelation_timescale": autocorrelation_timescale,
    "changepoint": changepoint,
}


@pytest.mark.parametrize("name", FORWARDED)
def test_signatures_agree(name: str) -> None:
    method = inspect.signature(getattr(LsdAccessor, name))
    function = inspect.signature(FORWARDED[name])
    mine = [(p.name, p.kind, p.default) for p in list(method.parameters.values())[1:]]
    theirs = [(p.name, p.kind, p.default) for p in list(function.parameters.values())[1:]]
    assert mine == theirs
    assert FORWARDED[name].__name__ in (getattr(LsdAccessor, name).__doc__ or "")


def test_no_method_without_its_function() -> None:
    public = {n for n in vars(LsdAccessor) if not n.startswith("_")}
    assert public == set(FORWARDED)
    assert {n for n in vars(LsdArrayAccessor) if not n.startswith("_")} == {"select"}
    of_array, of_dataset = (
        inspect.signature(c.select).parameters for c in (LsdArrayAccessor, LsdAccessor)
    )
    assert of_array == of_dataset


def test_methods_give_what_the_functions_give(demo_stores: Path) -> None:
    ds = lsdx.open_units(demo_stores)
    xr.testing.assert_identical(
        ds.lsd.select(region="VIS").compute(), select(ds, region="VIS").compute()
    )
    assert ds.lsd.unit_table().equals(unit_table(ds))
    spikes = lsdx.open_spikes(demo_stores)
    np.testing.assert_array_equal(
        spikes.lsd.bin("1 s").counts.values, bin_spikes(spikes, "1 s").counts.values
    )
