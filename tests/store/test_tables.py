"""Tables in one file: what is written is read, the same bytes each time, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lsdx.builders.write import write_store
from lsdx.schema import SCHEMAS
from lsdx.store.access import read_store
from lsdx.store.place import Place
from lsdx.store.tables import table_bytes, table_variables

VALUES = st.one_of(
    hnp.arrays(np.float64, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)),
    hnp.arrays(np.int64, hnp.array_shapes(max_dims=2, max_side=4)),
    hnp.arrays(np.uint16, hnp.array_shapes(max_dims=2, max_side=4)),
    hnp.arrays(np.bool_, hnp.array_shapes(max_dims=2, max_side=20)),
    hnp.arrays("M8[us]", hnp.array_shapes(max_dims=2, max_side=4)),
    hnp.arrays(object, hnp.array_shapes(max_dims=2, max_side=4), elements=st.text(max_size=5)),
)


# the first draw reads Unicode's tables, which takes a second on a busy machine
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(VALUES)
def test_every_value_and_shape_comes_back(values: np.ndarray) -> None:
    dims = tuple("abc"[: values.ndim])
    ds = xr.Dataset({"x": xr.Variable(dims, values, {"units": "s"}, fastpath=True)}, attrs={"n": 1})
    data = table_bytes(ds)
    assert data == table_bytes(ds)
    about, found = table_variables(data)
    assert found["x"].dtype == values.dtype
    assert found["x"].shape == values.shape
    # bit by bit: NaN with another payload, -0.0
    if values.dtype != object:
        assert found["x"].tobytes() == values.tobytes()
    else:
        assert found["x"].tolist() == values.tolist()
    assert about["attrs"] == {"n": 1}
    assert about["variables"]["x"]["attrs"] == {"units": "s"}


def test_one_variable_is_read_without_the_others() -> None:
    ds = xr.Dataset({"x": ("a", [1.0]), "y": ("b", ["p", "q"])})
    assert list(table_variables(table_bytes(ds), ("y",))[1]) == ["y"]


@pytest.mark.parametrize("noun", ["sessions", "epochs", "insertions", "events", "units", "counts"])
def test_a_table_decodes_to_what_a_zarr_store_does(
    demo_stores: Path, tmp_path: Path, noun: str
) -> None:
    place = Place(demo_stores)
    entry = next(iter(place.catalog().parts[noun].values()))
    ds = read_store(place, entry, decode=False)
    attrs = {k: v for k, v in entry.attrs.items() if k not in ("lsdx_store", "schema")}
    both = []
    for suffix in (".arrow", ".zarr"):
        path = f"parts/{noun}/x{suffix[1:]}/{noun}{suffix}"
        made, _ = write_store(tmp_path, path, ds, SCHEMAS[noun], cohort=False, attrs=attrs)
        found = read_store(Place(tmp_path), made, decode=False)
        for variable in found.variables.values():
            variable.attrs.pop("_FillValue", None)
        both.append(found)
    xr.testing.assert_identical(*both)
    for name in both[0].variables:
        assert both[0][name].dtype == both[1][name].dtype


def test_a_session_has_few_files(demo_stores: Path) -> None:
    """Inode quotas, and a request each in an object store: 30, and 14 for each camera's pose."""
    parts = Place(demo_stores).catalog().parts
    for eid in parts["sessions"]:
        entries = {name: by[eid] for name, by in parts.items() if eid in by}
        n = {
            name: sum(p.is_file() for p in (demo_stores / e.path).parent.rglob("*"))
            for name, e in entries.items()
        }
        poses = [k for name, k in n.items() if name.startswith("pose_")]
        assert poses
        assert max(poses) <= 14
        assert sum(n.values()) - sum(poses) <= 30
