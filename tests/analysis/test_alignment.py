"""The alignment check: passes on the demo, fails loudly an hour off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import lsdx
from lsdx import regions
from lsdx.analysis.alignment import VISUAL, _latency, _more, alignment
from lsdx.analysis.events import psth
from lsdx.builders import build
from lsdx.cli import main
from lsdx.config import Settings
from lsdx.demo import write_cohort
from lsdx.errors import SelectionError

HOUR = 3600.0


@pytest.fixture(scope="module")
def parts(demo_stores: Path) -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    return (
        lsdx.open_spikes(demo_stores),
        lsdx.open_events(demo_stores),
        lsdx.open_epochs(demo_stores).compute(),
    )


def moved(epochs: xr.Dataset, seconds: float) -> xr.Dataset:
    mine = xr.DataArray(np.arange(epochs.sizes["session"]) == 0, dims="session")
    shift = xr.where(mine, seconds, 0.0)
    return epochs.assign(start=epochs.start + shift, stop=epochs.stop + shift)


def test_the_demo_passes(demo_stores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = lsdx.check_alignment(demo_stores, n_shifts=199)
    assert not (found["verdict"] == "fail").any()
    by_check = (found["verdict"] == "pass").sum(["session", "phase"])
    assert (by_check.drop_sel(check="regions") >= 9).all()  # of regions it has too few units
    rig = found.where(found["note"] == "times come from the rig clock")
    assert (rig["verdict"].isin(["untestable"])).any()
    assert main(["check", "--stores", str(demo_stores)]) == 0
    assert capsys.readouterr().out.strip().endswith("0 failed")


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_epochs_an_hour_off_fail(
    parts: tuple[xr.Dataset, xr.Dataset, xr.Dataset], seconds: float
) -> None:
    spikes, events, epochs = parts
    found = alignment(spikes, events, moved(epochs, seconds), n_shifts=99)
    mine, others = found.isel(session=0), found.isel(session=slice(1, None))
    assert (mine["verdict"].sel(check=["spikes", "gabors"]) == "fail").any("phase").all()
    assert not (others["verdict"] == "fail").any()
    assert "recorded 0 to" in " ".join(mine["note"].values.ravel().tolist())


def test_epochs_and_gabors_off_together_fail(
    parts: tuple[xr.Dataset, xr.Dataset, xr.Dataset],
) -> None:
    """A minute, so that all still lies within the recording: the response alone can tell."""
    spikes, events, epochs = parts
    first = str(epochs["session"].values[0])
    off = events.assign(start=events.start + 60.0 * (events.session == first))
    found = alignment(spikes, off, moved(epochs, 60.0), n_shifts=199).isel(session=0)
    assert (found["verdict"].sel(check="response") == "fail").any()
    assert (found["verdict"].sel(check="gabors") == "pass").all()


@pytest.mark.parametrize("seconds", [-300.0, -60.0, 60.0, 300.0])
@pytest.mark.parametrize("name", ["spontaneous", "rfm"])
def test_one_epoch_alone_off_fails(
    parts: tuple[xr.Dataset, xr.Dataset, xr.Dataset], name: str, seconds: float
) -> None:
    spikes, events, epochs = parts
    one = epochs.isel(session=[0])
    off = xr.where(one.epoch == name, seconds, 0.0)
    wrong = one.assign(start=one.start + off, stop=one.stop + off)
    found = alignment(spikes, events, wrong, n_shifts=99).isel(session=0)
    assert (found["verdict"].sel(check="protocol") == "fail").all()
    assert (found["epoch_verdict"].sel(epoch=name) == "fail").all()
    assert (found["epoch_verdict"].drop_sel(epoch=name) == "pass").all()
    assert name in found["note"].sel(check="protocol").values[0]
    by_hand = wrong.assign(provenance=xr.full_like(one.provenance, "table"))
    told = alignment(spikes, events, by_hand, n_shifts=99).isel(session=0)
    assert (told["verdict"].sel(check="protocol") == "untestable").all()
    assert (told["epoch_verdict"].sel(epoch=name) == "untestable").all()


@pytest.mark.parametrize("seconds", [-0.1, 0.1])
def test_a_tenth_of_a_second_is_seen_in_the_latency(
    parts: tuple[xr.Dataset, xr.Dataset, xr.Dataset], seconds: float
) -> None:
    """The demo's responses lie 50 to 150 ms after the onset, highest in the middle third."""
    spikes, events, epochs = parts
    one = epochs.isel(session=[0])
    right = alignment(spikes, events, one, n_shifts=99).sel(check="latency").isel(session=0)
    assert (right["verdict"] == "pass").all()
    assert ((right["evidence"] > 50) & (right["evidence"] < 85)).all()
    late = alignment(
        spikes,
        events.assign(start=events.start + seconds),
        one.assign(start=one.start + seconds, stop=one.stop + seconds),
        n_shifts=99,
    ).isel(session=0)
    assert (late["verdict"].sel(check="latency") == "fail").all()
    moved_by = late["evidence"].sel(check="latency") - right["evidence"]
    np.testing.assert_allclose(moved_by, -1000 * seconds, atol=3)
    assert (late["epoch_verdict"] == "fail").sel(epoch="replay").all()


def test_regions_on_the_wrong_units_fail(tmp_path: Path) -> None:
    """A session of 70 visual units passes; not with labels permuted over all units."""
    cohort = write_cohort(tmp_path / "cohort", n_sessions=1, n_units=200)
    report = build(
        Settings(source="cache", cache_dir=cohort, stores=tmp_path / "stores"), progress=False
    )
    where = Path(report.stores)
    spikes, events = lsdx.open_spikes(where), lsdx.open_events(where)
    epochs = lsdx.open_epochs(where)
    right = alignment(spikes, events, epochs, n_shifts=99)["verdict"]
    assert (right == "pass").all()
    wrongly = 0
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(spikes.sizes["unit"])
        wrong = spikes.assign_coords(region=("unit", spikes["region"].values[order]))
        found = alignment(wrong, events, epochs, n_shifts=99)["verdict"].isel(session=0)
        wrongly += int((found.sel(check="regions") == "fail").any())
    assert wrongly == 5


@pytest.mark.slow
def test_how_many_units_tell(tmp_path: Path) -> None:
    """The figures of the docstring: units drawn from six sessions of 70 visual ones."""
    cohort = write_cohort(tmp_path / "cohort", n_sessions=6, n_units=200)
    stores = tmp_path / "stores"
    build(Settings(source="cache", cache_dir=cohort, stores=stores), progress=False)
    spikes, events = lsdx.open_spikes(stores), lsdx.open_events(stores)
    rng = np.random.default_rng(0)
    silent: dict[int, list[bool]] = {n: [] for n in (1, 2, 5)}
    latency: dict[int, list[float]] = {n: [] for n in (5, 20)}
    alike: dict[int, list[bool]] = {n: [] for n in (10, 15, 20, 30)}
    for eid in np.unique(spikes["session"]):
        mine = spikes.isel(unit=np.flatnonzero(spikes["session"] == eid)).compute()
        strong = (events.session == eid) & (events.kind == "gabor") & (events.contrast > 0.1)
        options: dict[str, Any] = {"events": events.isel(event=strong.values), "by": "phase"}
        options |= {"window": (-0.3, 0.6), "rng": 0}
        areas = set().union(*(regions.descendants(a) for a in VISUAL))
        visual = np.flatnonzero(np.isin(mine["region"], list(areas)))
        others = np.setdiff1d(np.arange(mine.sizes["unit"]), visual)
        for n in (*silent, *latency):
            for _ in range(8):
                some = mine.isel(unit=np.sort(rng.choice(visual, n, replace=False)))
                shifts = 199 if n in silent else 0
                pooled = psth(some, pool="session", n_shifts=shifts, **options).isel(site=0)
                if n in silent:
                    silent[n] += (pooled["p"].values > 0.01).tolist()
                if n in latency:
                    latency[n] += [_latency(r, r["time"].values) for r in pooled["psth"]]
        response = psth(mine, n_shifts=0, **options)["response"].transpose("phase", "unit")
        for n, found in alike.items():
            for _ in range(60 if min(visual.size, others.size) >= n else 0):
                a, b = (
                    np.isin(np.arange(mine.sizes["unit"]), rng.choice(w, n, replace=False))
                    for w in (visual, others)
                )
                found += [_more(r, a, b)[0] > 0.01 for r in response.values]
    for n, share in {1: 0.38, 2: 0.15, 5: 0.01}.items():
        assert np.mean(silent[n]) == pytest.approx(share, abs=0.06), n
    for n, ends in {5: (54, 83), 20: (59, 72)}.items():
        assert np.nanpercentile(latency[n], [2.5, 97.5]) == pytest.approx(ends, abs=5), n
    for n, share in {10: 0.36, 15: 0.11, 20: 0.03, 30: 0.0}.items():
        assert np.mean(alike[n]) == pytest.approx(share, abs=0.05), n


def test_few_visual_units_cannot_be_asked(
    parts: tuple[xr.Dataset, xr.Dataset, xr.Dataset],
) -> None:
    spikes, events, epochs = parts
    one = epochs.isel(session=[0])
    mine = spikes.isel(unit=np.flatnonzero((spikes.session == one.session.item()).values))
    visual = np.char.startswith(mine["region"].values.astype(str), ("VIS"))
    for n, verdict in ((4, "untestable"), (5, "pass")):
        rest = mine["region"].isin(["VISp1", "VISp2/3", "VISp4", "VISp5", "VISp6a"]) | ~(
            mine["region"].isin(["LP", "LGd-sh", "LGd-co"])
        )
        kept = np.r_[np.flatnonzero(visual)[:n], np.flatnonzero(rest.values & ~visual)]
        found = alignment(mine.isel(unit=np.sort(kept)), events, one, n_shifts=99).isel(session=0)
        assert (found["verdict"].sel(check="response") == verdict).all()
        assert (found["verdict"].sel(check="regions") == "untestable").all()
        assert not (found["verdict"] == "fail").any()


def test_the_command_fails_with_a_wrong_store(
    demo_stores: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    wrong = moved(lsdx.open_epochs(demo_stores).compute(), HOUR)
    monkeypatch.setattr("lsdx.check.open_epochs", lambda *_, **__: wrong)
    table, picture = tmp_path / "check.csv", tmp_path / "check.png"
    command = ["check", "--stores", str(demo_stores), "--csv", str(table), "--figure", str(picture)]
    assert main(command) == 1
    out = capsys.readouterr().out
    assert "fail" in out
    assert "recorded 0 to" in out
    assert "fail" in table.read_text()
    assert picture.stat().st_size > 1000


def test_what_cannot_be_told_is_untestable(
    parts: tuple[xr.Dataset, xr.Dataset, xr.Dataset],
) -> None:
    spikes, events, epochs = parts
    none = alignment(spikes, None, epochs, n_shifts=99)
    assert (none["verdict"].sel(check=["gabors", "response"]) == "untestable").all()
    blank = epochs.assign(start=epochs.start * np.nan)
    assert (
        alignment(spikes, events, blank, n_shifts=99)["verdict"].sel(check="spikes") == "untestable"
    ).all()
    elsewhere = spikes.isel(unit=np.flatnonzero((spikes["group"] == "mPFC").values))
    found = alignment(elsewhere, events, epochs, n_shifts=99)
    assert "no unit in a visual area" in found["note"].values.ravel().tolist()
    assert not (found["verdict"].sel(check="response") == "fail").any()


def test_what_makes_no_sense_is_refused(
    parts: tuple[xr.Dataset, xr.Dataset, xr.Dataset],
) -> None:
    spikes, events, epochs = parts
    with pytest.raises(SelectionError, match="start and stop"):
        alignment(spikes, events, epochs.drop_vars("start"))
    with pytest.raises(SelectionError, match="more shifts"):
        alignment(spikes, events, epochs, n_shifts=9)
