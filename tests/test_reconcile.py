"""What a lab had before against the stores: each planted difference is found, with its reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

import lsdx
from lsdx.cli import main
from lsdx.errors import SourceError
from lsdx.kernels.dimensionality import power_law_slope
from lsdx.reconcile import reconcile


@pytest.fixture(scope="module")
def found(demo_stores: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the comparison with the lab's files, in which differences are planted."""
    folder = tmp_path_factory.mktemp("earlier")
    options = ["--layout", "mouse-lsd", "--stores", str(demo_stores)]
    assert main(["export", "tables", str(folder), *options]) == 0
    units = pd.read_parquet(folder / "units.pqt")
    planted = _plant_spikes(folder, units)
    planted |= _plant_times(folder, demo_stores)
    _plant_results(folder, demo_stores)
    table = reconcile(folder, demo_stores)
    return planted | {"table": table, "folder": folder}


def _plant_spikes(folder: Path, units: pd.DataFrame) -> dict[str, Any]:
    many = units[units["spike_count"] > 50]["uuid"].tolist()
    names = ("early", "late", "other", "gone", "flat")
    planted = dict(zip(names, many[: len(names)], strict=True))
    with h5py.File(folder / "spikes.h5", "r+") as file:
        for name, change in {
            "early": lambda t: np.r_[-0.5, t],
            "late": lambda t: t + 0.25,
            "other": lambda t: np.r_[t[: t.size // 4], np.linspace(4000, 4100, t.size)],
        }.items():
            group = file[planted[name]]
            times = change(group["times"][:])
            del group["times"]
            group["times"] = times
        file.move(planted["gone"], "11111111-2222-3333-4444-555555555555")
        times = file[planted["flat"]]["times"][:]  # the layout before groups
        del file[planted["flat"]]
        file[planted["flat"]] = times
    row = units[units["uuid"] == planted["gone"]]
    was = row.assign(uuid="11111111-2222-3333-4444-555555555555")
    pd.concat([units, was]).to_parquet(folder / "units.pqt")
    return planted


def _plant_times(folder: Path, stores: Path) -> dict[str, Any]:
    sessions = pd.read_parquet(folder / "sessions.pqt")
    epochs = lsdx.open_epochs(stores)
    provenance = epochs.provenance.to_series()
    cut = next(k for k, v in provenance.items() if v == "alf_cut")
    filler = epochs.session.values[epochs.administration_provenance.values == "filler_start"]
    gabor = [
        e
        for e in epochs.session.values
        if provenance[e, "pre", "replay"] == "gabor" and e not in filler and e != cut[0]
    ]
    planted = {"cut": cut, "filler": filler[0], "summer": gabor[0], "gabor": gabor[1]}
    sessions = sessions.set_index("eid")
    sessions.loc[cut[0], f"{cut[1]}_spontaneous_stop"] += 300
    run = [c for c in sessions if c.startswith("post_") and c.endswith(("_start", "_stop"))]
    injected = epochs.administration.sel(session=filler[0]).item()
    late = sessions.loc[filler[0], "post_spontaneous_start"] - injected
    sessions.loc[filler[0], run] -= late
    sessions.loc[gabor[0], run] -= 3600.3
    sessions.loc[gabor[1], "pre_replay_stop"] += 42
    sessions.loc[gabor[1], "pre_rfm_start"] = np.nan
    start = epochs.start.sel(session=gabor[1], phase="pre", epoch="spontaneous").item()
    sessions.loc[gabor[1], "LSD_admin"] -= start
    old = {c: c.replace("pre_", "task00_").replace("post_", "task01_") for c in run}
    sessions.rename(columns=old).reset_index().to_parquet(folder / "sessions.pqt")
    return planted


def _plant_results(folder: Path, stores: Path) -> None:
    units = lsdx.open_units(stores)
    own = {"match_units": None, "match_rates": False, "detrend": None, "min_spikes": 1}
    now = units.lsd.dimensionality(by="session", include=["spectrum"], **own).compute()
    at = {"phase": "pre", "epoch": "replay"}
    spectrum = now.spectrum.sel(at).values
    table = pd.DataFrame(
        {
            "eid": now.session.values,
            "task00_replay_pc1": now.pc1.sel(at).values,
            "task00_replay_n80": now.n_components.sel(at).values - 1,
            "task00_replay_ngsc": now.ngsc.sel(at).values * np.log(2),
            "task00_replay_powlaw": power_law_slope(spectrum, ranks=(1, 100), weights=None) * 1.5,
        }
    )
    table.to_parquet(folder / "popdim_20250101_000000.pqt")
    table.assign(task00_replay_pc1=9.0).to_parquet(folder / "popdim_20240101_000000.pqt")
    spikes = lsdx.open_spikes(stores)
    short = spikes.lsd.bin("1 s", epoch="rfm").compute().counts
    short = short.isel(time=slice(None, -1))
    fano = (short.var("time", ddof=1) / short.mean("time")).transpose("unit", "phase").values
    cv = spikes.lsd.cv(epoch="rfm").compute().transpose("unit", "phase").values
    with np.errstate(invalid="ignore"):
        index = (fano[:, 1] - fano[:, 0]) / fano.sum(axis=1)
    pd.DataFrame(
        {
            "rfm_fano_factor_dt1000_task00": fano[:, 0],
            "rfm_fano_factor_dt1000_MI": index,
            "rfm_fano_factor_dt1000_MIp": 0.5,
            "rfm_coefficient_of_variation_task01": cv[:, 1],
        },
        index=pd.Index(spikes.unit.values, name="uuid"),
    ).to_parquet(folder / "singleunit_20250101_000000.pqt")


def _row(found: dict[str, Any], name: str, identity: str) -> Any:
    table = found["table"]
    (row,) = table[(table["name"] == name) & (table["id"] == identity)].itertuples()
    return row


def test_spikes_are_the_same_or_it_says_why_not(found: dict[str, Any]) -> None:
    units = found["table"][found["table"]["kind"] == "units"]
    verdicts = units["verdict"].value_counts().to_dict()
    n = verdicts.pop("same")
    assert verdicts == {"explained": 1, "differs": 2, "old only": 1, "new only": 1}
    assert n == len(units) - 5
    assert _row(found, "spikes", found["flat"]).verdict == "same"
    early = _row(found, "spikes", found["early"])
    assert (early.verdict, early.reason) == ("explained", "1 spikes before 0 s are left out")
    assert early.old == early.new + 1
    assert _row(found, "spikes", found["late"]).reason == "all spikes -0.2500 s: another clock"
    assert "20% of the old spikes are there" in _row(found, "spikes", found["other"]).reason
    assert _row(found, "spikes", found["gone"]).verdict == "new only"
    gone = _row(found, "spikes", "11111111-2222-3333-4444-555555555555")
    assert gone.reason.startswith("of another sorting; now ")


def test_times_are_the_same_or_it_says_why_not(found: dict[str, Any]) -> None:
    def told(name: str, eid: str) -> tuple[str, str]:
        row = _row(found, name, eid)
        return row.verdict, row.reason

    eid, phase, _ = found["cut"]
    assert told(f"{phase}_spontaneous_stop", eid) == ("explained", "cut to its first 300 s")
    filler = "the old time is of the filler run after the injection"
    assert told("post_spontaneous_start", found["filler"]) == ("explained", filler)
    for epoch in ("spontaneous", "rfm", "replay"):
        summer = ("explained", "+1 h: summer time")
        assert told(f"post_{epoch}_start", found["summer"]) == summer
    gabor = ("explained", "from the first gabor to the last")
    assert told("pre_replay_stop", found["gabor"]) == gabor
    assert told("pre_rfm_start", found["gabor"]) == ("new only", "")
    first = ("explained", "counts from the first epoch")
    assert told("administration", found["gabor"]) == first
    assert told("pre_rfm_stop", found["gabor"]) == ("same", "")


def test_results_differ_as_the_old_mistakes_say(found: dict[str, Any]) -> None:
    results = found["table"][found["table"]["kind"] == "results"]
    known = results[results["reason"] != "unknown in both"]
    verdicts = known.groupby("name")["verdict"].unique().map(list).to_dict()
    assert verdicts["pre_replay_pc1"] == ["same"]
    assert verdicts["pre_replay_n80"] == ["explained"]
    assert verdicts["pre_replay_ngsc"] == ["explained"]
    assert verdicts["pre_replay_powlaw"] == ["differs"]
    assert verdicts["post_rfm_coefficient_of_variation"] == ["same"]
    fano = known[known["name"] == "pre_rfm_fano_factor_1000ms"]
    assert set(fano["verdict"]) <= {"same", "explained"}
    assert (fano["verdict"] == "explained").mean() > 0.5
    assert "rfm_fano_factor_MI_1000ms" in verdicts
    assert not any("MIp" in name for name in verdicts)
    assert "nats over bits" in " ".join(known["reason"])


def test_the_command_prints_draws_and_tells_by_its_exit_code(
    found: dict[str, Any], demo_stores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--csv", str(tmp_path / "r.csv"), "--figure", str(tmp_path / "r.png")]
    options = ["--earlier", str(found["folder"]), "--stores", str(demo_stores), *files]
    assert main(["reconcile", *options]) == 1
    assert "units spikes: " in capsys.readouterr().out
    assert len(pd.read_csv(tmp_path / "r.csv")) == len(found["table"])
    labels = dict(pd.read_csv(tmp_path / "r.csv")[["session", "session_label"]].dropna().values)
    sessions = lsdx.open_sessions(demo_stores)
    known = dict(zip(sessions.session.values, sessions.session_label.values, strict=True))
    assert labels
    assert labels.items() <= known.items()
    assert (tmp_path / "r.png").stat().st_size > 1000
    assert main(["reconcile", *options[:4], "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [r["verdict"] for r in rows] == found["table"]["verdict"].tolist()
    assert main(["reconcile", *options[:4], "--quiet"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert all(line.endswith("differs") or " differs" in line for line in told)
    assert not any(" same" in line for line in told)
    (tmp_path / "alone").mkdir()
    table = pd.read_parquet(found["folder"] / "popdim_20250101_000000.pqt")
    kept = ["eid", "task00_replay_pc1"]
    table[kept].to_parquet(tmp_path / "alone" / "popdim_1.pqt")
    assert main(["reconcile", "--earlier", str(tmp_path / "alone"), *options[2:4]]) == 0


def test_other_folders_are_refused(tmp_path: Path, demo_stores: Path) -> None:
    with pytest.raises(SourceError, match=r"expected sessions\.pqt, units\.pqt"):
        reconcile(tmp_path, demo_stores)
    with pytest.raises(SourceError, match="found nothing"):
        reconcile(tmp_path / "no", demo_stores)
    (tmp_path / "sessions.pqt").write_text("x")
    with pytest.raises(SourceError, match="a Parquet table"):
        reconcile(tmp_path, demo_stores)
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "sessions.pqt")
    with pytest.raises(SourceError, match="expected a column eid"):
        reconcile(tmp_path, demo_stores)
