"""Attrition and confounds against counts and differences worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import lsdx
from lsdx.analysis.attrition import attrition, confounds
from lsdx.errors import SelectionError

# unit:        0      1      2      3      4      5      6      7
SESSION = ["s1", "s1", "s1", "s2", "s2", "s3", "s4", "s4"]
SUBJECT = {"s1": "A", "s2": "A", "s3": "B", "s4": "C", "s5": "D"}
CONDITION = {"s1": "lsd", "s2": "saline", "s3": "lsd", "s4": "saline", "s5": "lsd"}
REGION = ["VISp", "VISp", "CA1", "VISp", "CA1", "VISp", "CA1", "VISp"]
KS2 = ["good", "mua", "good", "good", "good", "mua", "good", "good"]
YEAR = {"s1": 2023, "s2": 2025, "s3": 2023, "s4": 2025}


def of(table: dict[str, Any]) -> list[Any]:
    return [table[s] for s in SESSION]


@pytest.fixture
def units() -> xr.Dataset:
    n_spikes = np.array([10.0, 20, 30, 40, 50, 60, 70, 80])
    along = {
        "session": SESSION,
        "subject": of(SUBJECT),
        "condition": of(CONDITION),
        "region": REGION,
        "ks2_label": KS2,
        "cohort_year": of(YEAR),
        "exclusion": [""] * 7 + ["light leak"],
    }
    return xr.Dataset(
        {
            "n_spikes": (("unit", "phase"), np.stack([n_spikes, n_spikes * 9], axis=1)),
            "duration": (("unit", "phase"), np.full((8, 2), 10.0)),
        },
        {
            "unit": [f"u{i}" for i in range(8)],
            "phase": ["pre", "post"],
            **{
                n: ("unit", np.array(v, dtype=object if n != "cohort_year" else int))
                for n, v in along.items()
            },
        },
        {"conditions": "lsd, saline"},
    )


@pytest.fixture
def sessions() -> xr.Dataset:
    ids = list(SUBJECT)
    labels = {
        "subject": list(SUBJECT.values()),
        "condition": list(CONDITION.values()),
    }
    coords = {n: ("session", np.array(v, dtype=object)) for n, v in labels.items()}
    return xr.Dataset(coords={"session": ids, **coords}, attrs={"conditions": "lsd, saline"})


STEPS = [{"region": "VIS"}, {"quality": "ks2_good"}]


def test_counts_after_each_step(units: xr.Dataset, sessions: xr.Dataset) -> None:
    left = attrition(units, steps=STEPS, sessions=sessions)
    assert left.step.values.tolist() == [
        "recorded",
        "all",
        "not excluded",
        "region=VIS",
        "quality=ks2_good",
    ]
    assert left.condition.values.tolist() == ["lsd", "saline"]
    assert left.n_units.values.tolist() == [[4, 4], [4, 4], [4, 3], [3, 1], [1, 1]]
    # s5 has no units; s4's unit in VISp is excluded
    assert left.n_sessions.values.tolist() == [[3, 2], [2, 2], [2, 2], [2, 1], [1, 1]]
    assert left.n_mice.values.tolist() == [[3, 2], [2, 2], [2, 2], [2, 1], [1, 1]]
    assert left.attrs["exclusions"] == "light leak: 1 units of 1 sessions"


def test_by_mouse_adds_up_to_by_condition(units: xr.Dataset) -> None:
    each = attrition(units, steps=STEPS, by=["condition", "subject"])
    both = attrition(units, steps=STEPS)
    assert each.n_units.sel(subject="A", condition="saline").values.tolist() == [2, 2, 1, 1]
    for name in ("n_units", "n_sessions", "n_mice"):
        np.testing.assert_array_equal(each[name].sum("subject"), both[name])


def test_one_step_of_two_arguments_and_excluded_ones(units: xr.Dataset) -> None:
    left = attrition(units, steps=[{**STEPS[0], **STEPS[1]}], exclusions=False)
    assert left.step.values.tolist() == ["all", "region=VIS, quality=ks2_good"]
    assert left.n_units.values.tolist() == [[4, 4], [1, 2]]


def test_what_was_measured_is_the_last_step(units: xr.Dataset) -> None:
    kept = units.lsd.select(region="VIS")
    value = xr.DataArray(
        [[1.0, np.nan], [np.nan, np.nan], [2.0, 3.0]],
        {"session": ["s1", "s2", "s3"], "phase": ["pre", "post"]},
        ("session", "phase"),
    )
    left = attrition(units, steps=[STEPS[0]], measured=value)
    assert left.n_units.sel(step="measured").values.tolist() == [3, 0]
    assert left.n_sessions.sel(step="measured").values.tolist() == [2, 0]
    rate = (kept.n_spikes / kept.duration).where(kept.unit != "u3")
    by_unit = attrition(units, steps=[STEPS[0]], measured=rate.isel(phase=0))
    assert by_unit.n_units.sel(step="measured").values.tolist() == [3, 0]


def test_steps_that_did_not_lead_to_the_measure_are_refused(units: xr.Dataset) -> None:
    rate = units.n_spikes / units.duration
    with pytest.raises(SelectionError, match="did not leave, such as u2"):
        attrition(units, steps=[STEPS[0]], measured=rate)
    with pytest.raises(SelectionError, match="over unit or session"):
        attrition(units, measured=xr.DataArray([1.0], dims="mouse"))


def test_what_cannot_be_counted_is_refused(units: xr.Dataset, sessions: xr.Dataset) -> None:
    with pytest.raises(SelectionError, match="as it was opened"):
        attrition(units.lsd.select(region="VIS"))
    with pytest.raises(SelectionError, match="list of dicts"):
        attrition(units, steps={"region": "VIS"})  # type: ignore[arg-type]
    with pytest.raises(SelectionError, match="without dim and exclusions"):
        attrition(units, steps=[{"exclusions": False}])
    with pytest.raises(SelectionError, match="different steps"):
        attrition(units, steps=[STEPS[0], STEPS[0]])
    # a wrong value in a later step is found too
    with pytest.raises(SelectionError, match="goood"):
        attrition(units, steps=[STEPS[0], {"ks2_label": "goood"}])
    with pytest.raises(SelectionError, match="no dose"):
        attrition(units, by="dose")
    with pytest.raises(SelectionError, match="no subject"):
        attrition(units.drop_vars("subject"))
    with pytest.raises(SelectionError, match="such as s4"):
        attrition(units, sessions=sessions.isel(session=[0, 1, 2]))
    with pytest.raises(SelectionError, match="one dimension"):
        attrition(units.isel(unit=0))


def test_nothing_left_is_zero(units: xr.Dataset) -> None:
    left = attrition(units, steps=[{"query": "region == 'VISp' and ks2_label == 'x'"}])
    assert left.n_units.isel(step=-1).values.tolist() == [0, 0]
    assert left.n_mice.isel(step=-1).values.tolist() == [0, 0]


def test_the_last_step_is_what_select_leaves(demo_stores: Path) -> None:
    opened = lsdx.open_units(demo_stores)
    kept = opened.lsd.select(region="Isocortex", quality="ks2_good")
    left = attrition(opened, steps=[{"region": "Isocortex"}, {"quality": "ks2_good"}])
    for condition in ("lsd", "saline"):
        mine = kept.condition.values == condition
        last = left.isel(step=-1).sel(condition=condition)
        assert int(last.n_units) == mine.sum()
        assert int(last.n_sessions) == len(set(kept.session.values[mine]))
        assert int(last.n_mice) == len(set(kept.subject.values[mine]))


def test_sessions_are_counted_as_sessions(sessions: xr.Dataset) -> None:
    left = attrition(sessions, steps=[{"condition": "saline"}])
    assert set(left.data_vars) == {"n_sessions", "n_mice"}
    assert left.n_sessions.values.tolist() == [[3, 2], [0, 2]]


def test_confounds_of_sessions_against_arithmetic(sessions: xr.Dataset) -> None:
    # lsd: s1, s3, s5; saline: s2, s4
    ds = sessions.assign_coords(
        session_n=("session", [1, 2, 2, 4, 3]),
        cohort_year=("session", [2023, 2025, 2025, 2025, 2023]),
        days_since_lsd=("session", [np.nan, 10.0, 4.0, np.nan, 6.0]),
    )
    c = confounds(ds)
    n = c.sel(label="session_n")
    assert n["mean"].values.tolist() == [2.0, 3.0]
    # s^2 = (2 * 1 + 1 * 2) / 3
    assert float(n.difference) == pytest.approx(-1 / np.sqrt(4 / 3))
    year = c.sel(label="cohort_year: 2025")
    np.testing.assert_allclose(year["mean"], [1 / 3, 1])
    assert float(year.difference) == pytest.approx(-2 / 3)
    assert year.kind.item() == "share"
    days = c.sel(label="days_since_lsd")
    assert days["mean"].values.tolist() == [5.0, 10.0]
    assert days.n_sessions.values.tolist() == [2, 1]
    assert days.n_mice.values.tolist() == [2, 1]
    assert float(days.difference) == pytest.approx(-5 / np.sqrt(2))
    none = c.sel(label="days_since_lsd: none")
    np.testing.assert_allclose(none["mean"], [1 / 3, 1 / 2])
    swapped = confounds(ds, conditions=["saline", "lsd"])
    np.testing.assert_allclose(swapped.difference, -c.difference)


def test_units_count_through_their_session(units: xr.Dataset) -> None:
    c = confounds(units)
    assert c.sel(label="n_units")["mean"].values.tolist() == [2.0, 2.0]
    # rates before the injection: s1 2, s3 6; s2 4.5, s4 7.5. After it they are nine times that
    rate = c.sel(label="mean_rate (pre)")
    assert rate["mean"].values.tolist() == [4.0, 6.0]
    np.testing.assert_allclose(rate.sd, [np.sqrt(8), np.sqrt(4.5)])
    assert float(rate.difference) == pytest.approx(-2 / np.sqrt(6.25))
    assert rate.label_units.item() == "Hz"
    region = confounds(units, labels="region").sel(label="region: CA1")
    np.testing.assert_allclose(region["mean"], [1 / 6, 1 / 2])


def test_a_difference_without_spread_is_infinite(sessions: xr.Dataset) -> None:
    ds = sessions.assign_coords(
        session_n=("session", [1, 2, 1, 2, 1]), weight=("session", [20.0] * 5)
    )
    c = confounds(ds)
    assert float(c.difference.sel(label="session_n")) == -np.inf
    assert float(c.difference.sel(label="weight")) == 0


def test_degenerate_confounds_are_nan(sessions: xr.Dataset) -> None:
    ds = sessions.assign_coords(session_n=("session", [1, 2, 3, 4, 5]))
    one_each = confounds(ds.isel(session=[0, 1])).sel(label="session_n")
    assert np.isnan(one_each.difference.item())
    assert np.isnan(one_each.sd).all()
    assert np.isnan(confounds(ds.isel(session=[0, 2])).difference).all()
    unknown = confounds(ds.assign_coords(weight=("session", [np.nan] * 5)))
    assert not any(n.startswith("weight") for n in unknown.label.values)
    no_saline = ds.assign_coords(weight=("session", [20.0, np.nan, 22, np.nan, 24]))
    weight = confounds(no_saline).sel(label="weight")
    assert np.isnan(weight.difference.item())
    assert weight.n_sessions.values.tolist() == [3, 0]
    assert float(confounds(no_saline).difference.sel(label="weight: none")) == -1


def test_sorters_and_running_are_joined_by_session(sessions: xr.Dataset) -> None:
    probes = xr.Dataset(
        coords={
            "insertion": ["a", "b", "c", "d"],
            "session": ("insertion", ["s1", "s1", "s2", "elsewhere"]),
            "sorter": ("insertion", ["old", "new", "new", "other"]),
        }
    )
    speed = np.zeros((2, 1, 2, 3))
    speed[0, 0, 0], speed[1, 0, 0], speed[:, 0, 1] = [1, 2, np.nan], [4, 4, 4], 99
    behavior = xr.Dataset(
        {"behavior": (("session", "feature", "phase", "time"), speed)},
        {
            "session": ["s2", "s1"],
            "feature": ["wheel/speed"],
            "feature_units": ("feature", ["rad/s"]),
            "phase": ["pre", "post"],
        },
    )
    c = confounds(sessions, insertions=probes, behavior=behavior)
    assert c.sel(label="sorter: old")["mean"].values.tolist() == [0.5, 0.0]
    assert c.sel(label="sorter: old").n_sessions.values.tolist() == [1, 1]
    assert "sorter: other" not in c.label.values
    running = c.sel(label="wheel/speed (pre)")
    assert running["mean"].values.tolist() == [4.0, 1.5]
    assert running.label_units.item() == "rad/s"
    with pytest.raises(SelectionError, match="wheel/speed"):
        confounds(sessions, behavior=behavior, feature="whel")


def test_wrong_confounds_are_refused(units: xr.Dataset, sessions: xr.Dataset) -> None:
    with pytest.raises(SelectionError, match="some of lsd, saline"):
        confounds(units, conditions=["lsd", "ketamine"])
    with pytest.raises(SelectionError, match="some of lsd, saline"):
        confounds(units, conditions="lsd")
    with pytest.raises(SelectionError, match="dose"):
        confounds(units, labels="dose")
    with pytest.raises(SelectionError, match="no condition"):
        confounds(sessions.drop_vars("condition"))
    with pytest.raises(SelectionError, match="units or sessions"):
        confounds(xr.Dataset(coords={"event": ["a"]}))


def test_the_demo_confounds_year_with_condition(demo_stores: Path) -> None:
    table = lsdx.open_sessions(demo_stores)
    c = confounds(
        lsdx.open_units(demo_stores),
        insertions=lsdx.open_insertions(demo_stores),
    )
    with_units = table.isel(session=np.flatnonzero(table.n_units.values > 0))
    lsd = with_units.condition.values == "lsd"
    late = with_units.cohort_year.values == 2025
    expected = late[lsd].mean() - late[~lsd].mean()
    assert float(c.difference.sel(label="cohort_year: 2025")) == pytest.approx(expected)
    assert bool(c.simulated)
