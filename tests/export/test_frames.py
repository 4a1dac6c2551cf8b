"""Results as tables: every cell, every label, and where it comes from."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import lsdx
from lsdx.errors import MissingPackage, SelectionError
from lsdx.export.frames import to_pandas, to_polars


def test_every_cell_is_a_row_with_its_labels(demo_stores: Path) -> None:
    rates = lsdx.open_units(demo_stores)[["n_spikes"]]
    table = to_pandas(rates)
    assert len(table) == rates.sizes["unit"] * 6
    row = table[(table["phase"] == "post") & (table["epoch"] == "rfm")].set_index("unit")
    name = next(iter(rates.data_vars))
    wanted = rates[name].sel(phase="post", epoch="rfm")
    np.testing.assert_array_equal(row[name].loc[wanted.unit.values], wanted.values)
    assert row["region"].tolist() == rates.region.values.tolist()
    assert table.attrs["catalog"] == rates.attrs["catalog"]
    polars = to_polars(rates)
    assert polars.columns == table.columns.tolist()
    assert polars[name].to_numpy() == pytest.approx(table[name].to_numpy(), nan_ok=True)


def test_what_is_no_result_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SelectionError, match="found no dimension"):
        to_pandas(xr.DataArray(1.0))
    with pytest.raises(SelectionError, match="found list"):
        to_pandas([1.0])  # type: ignore[arg-type]
    assert to_pandas(xr.DataArray([1.0], dims="x")).columns.tolist() == ["x", "value"]
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingPackage, match=r"pip install 'lsdx\[polars\]'"):
        to_polars(xr.DataArray([1.0], dims="x"))
