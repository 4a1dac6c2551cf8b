"""The alignment check: passes on the demo, fails loudly an hour off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import lsdx
from lsdx.analysis.alignment import alignment
from lsdx.cli import main
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
    assert (by_check >= 9).all()
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
