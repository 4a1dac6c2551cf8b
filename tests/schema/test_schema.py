"""Declarations, their validator, and the dictionary written from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pint
import pytest
import xarray as xr

from lsdx.errors import SchemaError
from lsdx.schema import SCHEMAS, Schema, Variable, validate
from lsdx.schema.dictionary import data_dictionary

TOY = Schema(
    name="toy",
    version=1,
    doc="A toy.",
    concat="row",
    variables=(
        Variable("row", ("row",), "str", "Key.", coord=True, unique=True),
        Variable("kind", ("row",), "str", "Kind.", values=("a", "b")),
        Variable("rate", ("row",), "float64", "Rate.", units="Hz"),
        Variable("rank", ("row",), "int64", "Rank.", units="1", cohort=True),
    ),
)


def toy() -> xr.Dataset:
    return xr.Dataset(
        {
            "kind": ("row", np.array(["a", "b"], dtype=object)),
            "rate": ("row", np.array([1.0, np.nan]), {"units": "Hz"}),
        },
        coords={"row": np.array(["x", "y"], dtype=object)},
    )


def test_a_sound_dataset_passes() -> None:
    assert validate(toy(), TOY, cohort=False).identical(toy())


def test_all_problems_are_told_at_once() -> None:
    ds = toy().drop_vars("kind").assign(other=("row", [1, 2]))
    ds["rate"].attrs["units"] = "s"
    with pytest.raises(SchemaError) as caught:
        validate(ds, TOY, cohort=True)
    text = str(caught.value)
    for problem in ("kind: missing", "rank: missing", "other: not declared", "units 'Hz'"):
        assert problem in text
    assert "4 problems" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": ("row", np.array([1, 2]), {"units": "Hz"})}, "float64"),
        ({"kind": ("row", np.array(["a", "c"], dtype=object))}, "one of"),
        ({"kind": ("row", np.array(["a", None], dtype=object))}, "'' means unknown"),
        ({"kind": ("row", np.array(["a", "b"]))}, "expected str"),
        ({"row": np.array(["x", "x"], dtype=object)}, "distinct"),
        ({"row": np.array(["x", ""], dtype=object)}, "distinct"),
    ],
)
def test_each_problem_is_told(change: dict[str, object], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        validate(toy().assign(change), TOY, cohort=False)  # type: ignore[arg-type]


def test_order_of_dims_counts() -> None:
    schema = SCHEMAS["counts"]
    assert schema["counts"].dims == ("unit", "phase", "epoch", "time")
    ds = xr.Dataset({"counts": (("time", "unit"), np.zeros((2, 3), dtype=np.uint8))})
    with pytest.raises(SchemaError, match="expected dims"):
        validate(ds, schema, cohort=False)


def test_a_quantity_is_refused() -> None:
    import pint_xarray  # noqa: F401

    with pytest.raises(SchemaError, match=r"units|pint"):
        validate(toy().pint.quantify(), TOY, cohort=False)


@pytest.mark.parametrize("name", SCHEMAS)
def test_declarations_are_sound(name: str) -> None:
    schema = SCHEMAS[name]
    names = [v.name for v in schema.variables]
    assert len(set(names)) == len(names)
    assert not [n for n in names if hasattr(xr.Dataset, n)], "no attribute of Dataset"
    registry = pint.UnitRegistry()
    for v in schema.variables:
        assert v.doc.endswith(".")
        if v.dtype in ("float64", "int64", "ticks", "counts"):
            assert v.units, v.name
            registry.Unit("" if v.units == "1" else v.units)
        elif v.dtype != "float32" or v.name == "behavior":  # each feature has units of its own
            assert not v.units, v.name
        else:
            registry.Unit("" if v.units == "1" else v.units)


def test_the_data_dictionary_is_current() -> None:
    path = Path(__file__).parents[2] / "stores" / "README.md"
    assert path.read_text(encoding="utf-8") == data_dictionary(), (
        "lsdx dictionary > stores/README.md"
    )
