"""Selections against masks written out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import lsdx
from lsdx import regions
from lsdx.analysis.selection import select, unit_table
from lsdx.errors import SelectionError


@pytest.fixture(scope="module")
def units(demo_stores: Path) -> xr.Dataset:
    return lsdx.open_units(demo_stores)


def kept(ds: xr.Dataset, mask: np.ndarray) -> list[str]:
    return ds.unit.values[mask].tolist()


def test_stable_and_bombcells_measures_are_selected_on_the_store_of_quality(
    demo_stores: Path, units: xr.Dataset
) -> None:
    quality = lsdx.open_quality(demo_stores)
    chosen = select(quality, quality=["stable", "bombcell_good"], presenceRatio=(0.9, None))
    expected = (quality.stable == 1) & (quality.bombcell == "GOOD") & (quality.presenceRatio >= 0.9)
    assert chosen.unit.values.tolist() == quality.unit.values[expected.values].tolist()
    assert 0 < chosen.sizes["unit"] < (quality.bombcell == "GOOD").sum()
    assert lsdx.open_spikes(demo_stores, units=chosen).unit.values.tolist() == (
        chosen.unit.values.tolist()
    )
    for asked in ({"quality": "stable"}, {"presenceRatio": (0.9, None)}):
        with pytest.raises(SelectionError, match=r"lsdx.open_quality\(\).lsd.select"):
            select(units, **asked)


def test_region_takes_all_below_it(units: xr.Dataset) -> None:
    below = regions.descendants("Isocortex")
    mask = np.array([r in below for r in units.region.values])
    assert 0 < mask.sum() < mask.size
    assert select(units, region="Isocortex").unit.values.tolist() == kept(units, mask)


def test_region_lists_and_negation(units: xr.Dataset) -> None:
    cortex, mos = regions.descendants("Isocortex"), regions.descendants("MOs")
    minus = np.array([r in cortex and r not in mos for r in units.region.values])
    assert select(units, region=["Isocortex", "~MOs"]).unit.values.tolist() == kept(units, minus)
    without = np.array([r not in mos for r in units.region.values])
    assert select(units, region="~MOs").unit.values.tolist() == kept(units, without)


def test_labels_ranges_and_query(units: xr.Dataset) -> None:
    rate, probe = units.firing_rate.values, units.probe.values
    mask = (rate >= 0.5) & (rate <= 2) & (probe == "probe00")
    for chosen in (
        select(units, firing_rate=(0.5, 2), probe="probe00"),
        select(units, firing_rate=slice(0.5, 2), probe=["probe00"]),
        select(units, query="firing_rate >= 0.5 and firing_rate <= 2 and probe == 'probe00'"),
        select(units, firing_rate=(0.5, None)).lsd.select(firing_rate=(None, 2), probe="~probe01"),
    ):
        assert chosen.unit.values.tolist() == kept(units, mask)


def test_nan_matches_no_range(units: xr.Dataset) -> None:
    unknown = np.isnan(units.firing_rate.values)
    assert unknown.any()
    assert select(units, firing_rate=(None, None)).sizes["unit"] == (~unknown).sum()


def test_named_quality(units: xr.Dataset) -> None:
    good = (units.ks2_label.values == "good") & (units.label.values == 1)
    chosen = select(units, quality=["ks2_good", "ibl_pass"])
    assert chosen.unit.values.tolist() == kept(units, good)
    bomb = units.bombcell.values == "GOOD"
    assert select(units, quality="bombcell_good").unit.values.tolist() == kept(units, bomb)


def test_what_was_applied_stands_in_the_attributes(units: xr.Dataset) -> None:
    chosen = select(units, region="VIS", condition="saline")
    steps = chosen.attrs["selection"].split("; ")
    assert steps[0] == f"{units.sizes['unit']} units"
    assert steps[1].startswith("region=VIS: ")
    assert steps[2] == f"condition=saline: {chosen.sizes['unit']}"
    again = select(chosen, probe="probe00")
    assert again.attrs["selection"].startswith(chosen.attrs["selection"])


def test_exclusions_are_honoured_and_counted(units: xr.Dataset) -> None:
    reasons = np.full(units.sizes["unit"], "", dtype=object)
    reasons[:3] = "moved"
    ds = units.assign_coords(exclusion=("unit", reasons))
    chosen = select(ds, region="~VISp")
    assert not set(chosen.unit.values) & set(ds.unit.values[:3])
    assert f"not excluded: {ds.sizes['unit'] - 3}" in chosen.attrs["selection"]
    assert select(ds, exclusions=False).sizes["unit"] == ds.sizes["unit"]


def test_a_known_value_that_no_unit_has_gives_none(units: xr.Dataset) -> None:
    saline = select(units, condition="saline")
    empty = select(saline, condition="lsd")
    assert empty.sizes["unit"] == 0
    assert select(saline, region="MOB").sizes["unit"] == 0
    assert len(unit_table(empty)) == 0
    assert empty.counts.sum().compute() == 0


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"regoin": "VISp"}, "Did you mean 'region'"),
        ({"region": "VISpp"}, "VISp"),
        ({"probe": "probe1"}, r"Did you mean 'probe01' or 'probe00'\?$"),
        ({"condition": "LSD"}, r"Did you mean 'lsd'\?$"),
        ({"condition": "psilocybin"}, "Take one of lsd, saline"),
        ({"region": "MOB"}, "'MOB', which the atlas knows, with none recorded here"),
        ({"phase": "post"}, r"ds.sel\(phase='post'\)"),
        ({"session": "LSDX-A"}, r"select\(subject='LSDX-A'\)"),
        ({"firing_rate": 0.5}, r"firing_rate=\(0.5, None\)"),
        ({"firing_rate": [0.5, 2]}, r"firing_rate=\(0.5, 2\)"),
        ({"label": 0.9}, r"label=\(0.9, None\)"),
        ({"dim": "event"}, "a dimension of ds"),
        ({"firing_rate": (2, 1)}, "range"),
        ({"firing_rate": "high"}, "number"),
        ({"probe": 3}, "text"),
        ({"quality": "good"}, "ks2_good"),
        ({"query": "nothing > 1"}, "nothing"),
        ({"query": "firing_rate"}, "true or false"),
    ],
)
def test_mistakes_are_told(units: xr.Dataset, wanted: dict[str, object], message: str) -> None:
    with pytest.raises(SelectionError, match=message):
        select(units, **wanted)  # type: ignore[arg-type]


def test_quality_that_was_never_measured_is_an_error(units: xr.Dataset) -> None:
    blank = np.full(units.sizes["unit"], "", dtype=object)
    with pytest.raises(SelectionError, match="blank for all"):
        select(units.assign_coords(bombcell=("unit", blank)), quality="bombcell_good")


def test_quality_is_asked_of_the_units_that_are_left(units: xr.Dataset) -> None:
    labelled = units.bombcell.values != ""
    of_labelled = np.isin(units.session.values, units.session.values[labelled])
    assert of_labelled.any()
    assert not of_labelled.all()
    bare = str(units.session.values[~of_labelled][0])
    n = int((units.session.values == bare).sum())
    with pytest.raises(SelectionError, match=f"'bombcell'.*blank for all {n} "):
        select(units, session=bare, quality="bombcell_good")
    # nothing is left to ask it of
    assert select(units, depth=(1e9, None), quality="bombcell_good").sizes["unit"] == 0


def test_a_labelled_dimension_is_required(units: xr.Dataset) -> None:
    with pytest.raises(SelectionError, match="open_units"):
        select(xr.Dataset({"x": ("time", [1.0])}), condition="lsd")
    with pytest.raises(SelectionError, match="open_units"):
        unit_table(xr.Dataset({"x": ("time", [1.0])}))
    several = xr.DataArray(
        np.zeros((2, 3)), {"kind": ("event", ["a", "b", "b"])}, ("session", "event")
    )
    with pytest.raises(SelectionError, match="one dimension of unit, session, event, insertion"):
        several.lsd.select(kind="b")
    assert several.lsd.select(dim="event", kind="b").shape == (2, 2)


def test_a_misspelt_label_is_answered_by_the_near_ones_alone(units: xr.Dataset) -> None:
    with pytest.raises(SelectionError) as error:
        select(units, fireing_rate=(1, 2))
    assert str(error.value) == (
        "select: expected a label along unit, found 'fireing_rate'. Did you mean 'firing_rate'?"
    )


def test_exact_numbers_are_for_what_has_them(units: xr.Dataset) -> None:
    label = units.label.values
    two_thirds = np.isclose(label, 2 / 3)
    assert two_thirds.any()
    assert select(units, label=2 / 3).unit.values.tolist() == kept(units, two_thirds)
    assert select(units, label=[0, 1]).sizes["unit"] == np.isin(label, [0, 1]).sum()
    year = int(units.cohort_year[0])
    assert select(units, cohort_year=year).sizes["unit"] == (units.cohort_year == year).sum()
    # what is gone with an earlier selection is no mistake, on numbers that are codes
    assert select(select(units, label=(None, 0.9)), label=1).sizes["unit"] == 0
    with pytest.raises(SelectionError, match=r"firing_rate=\(0.5, None\)"):
        select(select(units, condition="lsd"), firing_rate=0.5)


def test_events_sessions_insertions_and_results_are_selected_alike(
    units: xr.Dataset, demo_stores: Path
) -> None:
    events = lsdx.open_events(demo_stores)
    mask = ((events.kind == "gabor") & (events.contrast > 0.1)).values
    xr.testing.assert_identical(
        events.lsd.select(kind="gabor", contrast=(0.1, None)).drop_attrs(deep=False),
        events.isel(event=np.flatnonzero(mask)).drop_attrs(deep=False),
    )
    sessions = lsdx.open_sessions(demo_stores)
    lsd = np.flatnonzero(sessions.condition.values == "lsd")
    found = sessions.lsd.select(condition="lsd")
    assert found.session.values.tolist() == sessions.session.values[lsd].tolist()
    assert found.attrs["selection"].startswith(f"{sessions.sizes['session']} sessions; condition")
    insertions = lsdx.open_insertions(demo_stores)
    assert set(insertions.lsd.select(probe="probe00").probe.values) == {"probe00"}
    measured = units.lsd.dimensionality(match_units=None, draws=1, min_units=5, rng=0)
    for what in (measured, measured.ngsc):
        chosen = what.lsd.select(condition="lsd")
        assert set(chosen.condition.values) == {"lsd"}
        assert chosen.sizes["session"] == (measured.condition == "lsd").sum()
    assert measured.ngsc.lsd.select(condition="lsd").chunks is not None
    with pytest.raises(SelectionError, match="quality=ks2_good: expected a label along event"):
        events.lsd.select(quality="ks2_good")
    with pytest.raises(SelectionError, match="region: expected a label along event"):
        events.lsd.select(region="VISp")
    with pytest.raises(SelectionError, match=r"'kinds'\. Did you mean 'kind'"):
        events.lsd.select(kinds="gabor")


def test_unit_table_has_every_label(units: xr.Dataset) -> None:
    table = unit_table(units)
    assert len(table) == units.sizes["unit"]
    assert {"region", "condition", "firing_rate", "spike_count", "session"} <= set(table.columns)


def test_an_empty_list_chooses_nothing(units: xr.Dataset) -> None:
    assert select(units, region=[]).sizes["unit"] == 0
    assert select(units, unit=[]).sizes["unit"] == 0


def test_sets_and_arrays_are_lists(units: xr.Dataset) -> None:
    expected = select(units, region=["VIS", "CP"]).unit.values.tolist()
    for wanted in ({"VIS", "CP"}, ("VIS", "CP"), np.array(["VIS", "CP"], dtype=object)):
        assert select(units, region=wanted).unit.values.tolist() == expected  # type: ignore[arg-type]
    with pytest.raises(SelectionError, match="text"):
        select(units, region=315)  # type: ignore[arg-type]


def test_a_dataset_read_back_selects_alike(units: xr.Dataset, tmp_path: Path) -> None:
    units.compute().to_zarr(tmp_path / "u.zarr", consolidated=False, zarr_format=3)
    back = xr.open_zarr(tmp_path / "u.zarr", consolidated=False)
    wanted = {"region": "VIS", "condition": "lsd", "quality": "ks2_good"}
    assert select(back, **wanted).sizes == select(units, **wanted).sizes  # type: ignore[arg-type]


def test_a_number_that_was_never_measured_is_an_error(units: xr.Dataset) -> None:
    unknown = units.assign(drift=("unit", np.full(units.sizes["unit"], np.nan)))
    with pytest.raises(SelectionError, match="NaN for all"):
        select(unknown, drift=(None, 5))


def test_simulated_units_say_so_in_the_table(units: xr.Dataset) -> None:
    assert unit_table(units).simulated.all()
    rate = units.n_spikes / units.duration
    assert bool(rate.simulated)
    assert rate.rename("rate").to_dataframe().simulated.all()


def test_a_session_is_known_by_both_its_names(units: xr.Dataset, demo_stores: Path) -> None:
    eid, name = str(units.session[0].item()), str(units.session_label[0].item())
    assert name == "LSDX-A 2023-01-19/001"
    by_id, by_name = select(units, session=eid), select(units, session=name)
    assert by_name.unit.values.tolist() == by_id.unit.values.tolist()
    assert name not in select(units, session=f"~{name}").session_label.values
    epochs = lsdx.open_epochs(demo_stores).lsd.select(session=name)
    assert epochs.session.values.tolist() == [eid]
    rates = by_id.lsd.dimensionality(draws=1, min_units=5, rng=0)
    assert rates.session_label.values.tolist() == [name]
