"""``ds.lsd``: the functions of lsdx.analysis, with their signatures and docstrings."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import lsdx
from lsdx import accessor
from lsdx.accessor import LsdAccessor, LsdArrayAccessor
from lsdx.analysis.binning import bin_spikes
from lsdx.analysis.selection import select, unit_table

METHODS = [(LsdAccessor, n) for n in LsdAccessor._methods] + [(LsdArrayAccessor, "select")]


@pytest.mark.parametrize(("owner", "name"), METHODS, ids=lambda v: getattr(v, "__name__", v))
def test_methods_have_the_signature_and_the_words_of_their_function(owner: type, name: str) -> None:
    method = getattr(owner, name)
    function = inspect.unwrap(method)
    mine, theirs = (list(inspect.signature(f).parameters.values()) for f in (method, function))
    assert mine[0].name == "self"
    assert mine[1:] == theirs[1:]
    assert (
        inspect.signature(method).return_annotation == inspect.signature(function).return_annotation
    )
    told, whole = inspect.getdoc(method) or "", inspect.getdoc(function) or ""
    assert told.split("\n")[0] == whole.split("\n")[0]
    assert f"\n{theirs[0].name} : " not in told
    for parameter in mine[1:]:
        assert (
            f"{parameter.name} : " in told
            or f"{parameter.name}, " in told
            or (f", {parameter.name} : " in told or f"**{parameter.name}" in told)
        )
    for section in ("Returns", "Examples"):
        assert section in told
    assert method.__name__ == name


def test_every_labelled_measure_is_a_method() -> None:
    functions = {inspect.unwrap(getattr(LsdAccessor, n)) for n in LsdAccessor._methods}
    for module in dir(lsdx.analysis):
        for name, value in vars(getattr(lsdx.analysis, module)).items():
            if inspect.isfunction(value) and value.__module__ == f"lsdx.analysis.{module}":
                first = next(iter(inspect.signature(value).parameters), "")
                # what is of use to other modules alone has no example
                if first == "ds" and "Examples" in (value.__doc__ or ""):
                    assert value in functions, f"{module}.{name}"


def test_a_dataset_offers_what_it_can_do(demo_stores: Path) -> None:
    units, spikes = lsdx.open_units(demo_stores), lsdx.open_spikes(demo_stores)
    sessions, events = lsdx.open_sessions(demo_stores), lsdx.open_events(demo_stores)
    assert {"dimensionality", "rates", "select"} <= set(dir(units.lsd))
    assert not {"cv", "psth", "modulation", "proportions"} & set(dir(units.lsd))
    assert {"cv", "psth", "modulation", "bin"} <= set(dir(spikes.lsd))
    assert not {"dimensionality", "fano_factor"} & set(dir(spikes.lsd))
    assert {n for n in dir(events.lsd) if not n.startswith("_")} == {"quantify", "select"}
    assert {"quantify", "select", "compare_conditions"} <= set(dir(sessions.lsd))
    assert not {"cv", "rates", "bin", "speed", "bouts", "attrition"} & set(dir(sessions.lsd))
    # what is not offered can be called, and says what it needs
    with pytest.raises(lsdx.errors.SelectionError, match="open_spikes"):
        units.lsd.cv()
    assert "select" in dir(units.lsd.rates().lsd)
    assert [n for n in dir(xr.DataArray([1.0]).lsd) if not n.startswith("_")] == []


def test_it_says_what_is_there(demo_stores: Path) -> None:
    units = lsdx.open_units(demo_stores)
    assert f"unit ({units.sizes['unit']:,})" in repr(units.lsd)
    assert "dimensionality" in repr(units.lsd)
    html = units.lsd._repr_html_()
    assert "session_label" in html
    assert "dimensionality" in html


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


def test_nothing_of_analysis_is_imported_before_it_is_used() -> None:
    code = """
import sys, lsdx, xarray
assert not any(m.startswith("lsdx.analysis.") for m in sys.modules)
ds = xarray.Dataset({"n_spikes": 1})
dir(ds.lsd), repr(ds.lsd)
assert not any(m.startswith("lsdx.analysis.") for m in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert accessor.__doc__
