"""Real files are imperfect: what is right in substance is read, and the report says what was done.

Each recording is written by hand, so that it is known which spikes must come out; ONE's own
function writes the tables of the cache.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from iblutil.io import parquet
from one.alf.cache import make_parquet_db

from lsdx.builders import build
from lsdx.builders.report import Report
from lsdx.config import Protocol, Settings, Sources
from lsdx.errors import SourceError
from lsdx.export.tables import session_table
from lsdx.store.openers import (
    open_counts,
    open_epochs,
    open_events,
    open_insertions,
    open_sessions,
    open_spikes,
)

pytestmark = pytest.mark.usefixtures("without_behavior")

FOLDER = "lab/Subjects/M1/2024-03-01/001"
NEW = "#2024-05-06#"
BASE = np.arange(0.05, 100, 0.1)  # 1,000 spikes, each second ten
MOVED = BASE + 0.02
EPOCHS = "phase,epoch,start,stop\npre,spontaneous,10,40\npost,spontaneous,60,90\n"


@dataclass
class Lab:
    """A cache of one session with its probes, and what is built from it."""

    root: Path
    settings: dict[str, Any] = field(default_factory=dict)
    epochs: str = EPOCHS
    events: str = ""

    def put(self, path: str, array: Any, folder: str = FOLDER) -> None:
        place = self.root / folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        np.save(place, array)

    def sorting(
        self,
        collection: str,
        times: np.ndarray = BASE,
        names: Collection[str] = ("times", "clusters", "channels", "depths"),
        suffix: str = "",
    ) -> None:
        """Write a sorting of two clusters that fire in turn; or some of its files."""
        clusters = np.arange(times.size) % 2
        for name, (of, array) in {
            "times": ("spikes", times),
            "clusters": ("spikes", clusters),
            "channels": ("clusters", np.array([0, 1])),
            "depths": ("clusters", np.array([20.0, 40.0])),
        }.items():
            if name in names:
                self.put(f"{collection}/{of}.{name}{suffix}.npy", array)

    def tables(self, probes: Sequence[str], default: Collection[str] | None = None) -> str:
        """Write ONE's tables; ``default``: the paths with a flag, None for no column of flags."""
        if not (self.root / "sessions.pqt").exists():  # it makes up new ids at each call
            make_parquet_db(self.root)
        sessions, meta = parquet.load(self.root / "sessions.pqt")
        if default is not None:
            datasets, _ = parquet.load(self.root / "datasets.pqt")
            datasets["default_revision"] = datasets["rel_path"].isin(default)
            parquet.save(self.root / "datasets.pqt", datasets, meta)
        eid = str(sessions.index[0])
        rows = {
            "id": [str(UUID(int=i + 1)) for i in range(len(probes))],
            "eid": [eid] * len(probes),
            "name": list(probes),
        }
        if probes:  # as the report says how to write it
            pd.DataFrame(rows).set_index("id").to_parquet(self.root / "insertions.pqt")
        return eid

    def build(
        self,
        probes: Sequence[str] = ("probe00",),
        default: Collection[str] | None = None,
        names: Sequence[str] = (),
    ) -> Report:
        self.eid = self.tables(probes, default)
        given = self.root.parent / "epochs.csv"
        head, *rows = self.epochs.splitlines()
        given.write_text("\n".join([f"eid,{head}", *(f"{self.eid},{r}" for r in rows)]))
        self.stores = self.root.parent / "stores"
        if self.events:
            own = self.root.parent / "events.csv"
            head, *rows = self.events.splitlines()
            own.write_text("\n".join([f"eid,{head}", *(f"{self.eid},{r}" for r in rows)]))
            self.settings["events"] = own
        settings = Settings(
            source="cache", cache_dir=self.root, stores=self.stores, epochs=given, **self.settings
        )
        return build(settings, names, progress=False)

    def times(self) -> np.ndarray:
        """Return the spike times that were stored, in s, in order of time."""
        return np.sort(open_spikes(self.stores).spike_time.values)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "cache")


def told(report: Report) -> str:
    return report.to_text()


def equal_times(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, atol=5e-6, rtol=0)


# ---- revisions ------------------------------------------------------------------------------

OF_TIMES = "alf/probe00/pykilosort/spikes.times.npy"
NEW_TIMES = f"alf/probe00/pykilosort/{NEW}/spikes.times.npy"


@pytest.mark.parametrize(
    ("default", "times", "note"),
    [
        ([NEW_TIMES], MOVED, ""),
        ([], MOVED, "no default among revisions none, 2024-05-06"),
        ([OF_TIMES, NEW_TIMES], MOVED, "default revisions none, 2024-05-06"),
        ([OF_TIMES], BASE, ""),
        (None, MOVED, "no default among revisions"),  # as ONE writes its tables
    ],
)
def test_the_files_of_a_revision_lie_over_those_before(
    lab: Lab, default: list[str] | None, times: np.ndarray, note: str
) -> None:
    lab.sorting("alf/probe00/pykilosort")
    lab.sorting(f"alf/probe00/pykilosort/{NEW}", MOVED, ["times"])
    report = lab.build(default=default)
    assert not report.failed
    equal_times(lab.times(), times)
    row = open_insertions(lab.stores).isel(insertion=0)
    revised = times is MOVED
    assert row.sorter_revision.item() == ("2024-05-06" if revised else "")
    others = ("clusters.channels.npy", "clusters.depths.npy", "spikes.clusters.npy")
    expected = "; ".join(f"{n}: none" for n in others) if revised else ""
    assert row.file_revisions.item() == expected
    assert ("units: probe00: spikes.times.npy: " in told(report)) == bool(note)
    assert note in told(report)


def test_a_mixture_that_does_not_fit_names_both_revisions(lab: Lab) -> None:
    lab.sorting("alf/probe00/pykilosort", BASE[:-1])
    lab.sorting(f"alf/probe00/pykilosort/{NEW}", MOVED, ["times"])
    report = lab.build(default=[NEW_TIMES])
    assert report.failed
    assert "(revision 2024-05-06, but " in told(report)
    assert "spikes.clusters.npy: none" in told(report)
    assert "999" in told(report)


def test_a_pinned_revision_reads_what_was_there_then(lab: Lab) -> None:
    lab.sorting("alf/probe00/pykilosort")
    lab.sorting(f"alf/probe00/pykilosort/{NEW}", MOVED, ["times"])
    lab.settings = {"sources": Sources(revision="2024-05-05")}
    assert not lab.build(default=[NEW_TIMES]).failed
    equal_times(lab.times(), BASE)
    lab.settings = {"sources": Sources(revision="2024-05-06")}
    lab.build(default=[OF_TIMES])
    equal_times(lab.times(), MOVED)


# ---- where sortings lie, and what they are called -------------------------------------------


def test_names_with_the_uuid_of_their_dataset_are_read(lab: Lab) -> None:
    lab.sorting("alf/probe00/iblsorter", MOVED, suffix=".0b7c1f6e-0000-4000-8000-000000000001")
    lab.sorting("alf/probe00/ks2")
    assert not lab.build().failed
    assert open_insertions(lab.stores).sorter.item() == "iblsorter"
    equal_times(lab.times(), MOVED)


def test_a_sorting_in_the_folder_of_its_probe_is_read(lab: Lab) -> None:
    lab.sorting("alf/probe00")
    assert not lab.build().failed
    assert open_insertions(lab.stores).n_units.item() == 2
    equal_times(lab.times(), BASE)


def test_probes_are_what_the_insertions_name(lab: Lab) -> None:
    lab.sorting("alf/adn/klusters")
    lab.sorting("alf/probe00a/ks2", MOVED)
    report = lab.build(["adn", "probe00a", "probe09"])
    assert not report.failed
    found = open_insertions(lab.stores)
    assert dict(zip(found.probe.values, found.n_units.values, strict=True)) == {
        "adn": 2,
        "probe00a": 2,
        "probe09": 0,
    }
    assert "read skipped: probe09: no sorted spikes" in told(report)
    sessions = open_sessions(lab.stores)
    status = sessions.status.isel(session=0)
    assert status.sel(dataset="ephys/adn/spikes").item() == "extraction complete"
    assert status.sel(dataset="ephys/probe00a/spikes").item() == "extraction complete"
    assert "ephys/probe00/spikes" not in sessions.dataset
    table = session_table(sessions, open_epochs(lab.stores), found)
    assert table["adn_spikes"].item() == "extraction complete"


def test_what_looks_like_sorted_spikes_and_is_not_read_is_told_each_time(lab: Lab) -> None:
    lab.sorting("alf/probe00/ks2")
    lab.put("alf/probe00/ks2/old/spikes.times.npy", BASE)
    for _ in range(2):
        assert "look like sorted spikes, not read: alf/probe00/ks2/old/spikes.times.npy" in told(
            lab.build()
        )


def test_sorting_that_is_recorded_and_not_on_disk_is_told(lab: Lab) -> None:
    lab.sorting("alf/probe00/ks2")
    (lab.root / FOLDER / "alf/probe00/ks2/clusters.uuids.csv").write_text("uuids\n\n\n")
    lab.sorting("alf/probe01/pykilosort", MOVED)
    lab.tables(["probe00", "probe01"])
    table, meta = parquet.load(lab.root / "datasets.pqt")
    gone = table["rel_path"].str.contains("probe01|uuids")
    parquet.save(lab.root / "datasets.pqt", table.assign(exists=table["exists"] & ~gone), meta)
    report = lab.build(["probe00", "probe01"])
    assert not report.failed
    for probe, path in (
        ("probe00", "alf/probe00/ks2/clusters.uuids.csv"),
        ("probe01", "alf/probe01/pykilosort/spikes.times.npy"),
    ):
        assert f"read skipped: {probe}: recorded but not on disk: {path}. Download" in told(report)


def test_without_a_table_of_insertions_the_report_says_how_to_write_one(lab: Lab) -> None:
    lab.sorting("alf/probe00/ks2")
    report = lab.build(probes=[])
    assert "no insertions.pqt" in told(report)
    assert "indexed by id (the pid, a UUID), with the columns eid and name" in told(report)


def test_a_table_of_insertions_says_what_it_lacks(lab: Lab) -> None:
    lab.sorting("alf/probe00/ks2")
    lab.tables([])
    pd.DataFrame({"pid": ["x"], "eid": ["y"]}).to_parquet(lab.root / "insertions.pqt")
    with pytest.raises(SourceError, match=r"found pid, eid\. Add id, name\."):
        lab.build(probes=[])


# ---- the cache's own tables -----------------------------------------------------------------


def test_two_sessions_of_one_day_are_said(lab: Lab) -> None:
    lab.sorting("alf/probe00/ks2")
    lab.put("alf/probe00/ks2/spikes.times.npy", BASE, FOLDER.replace("001", "002"))
    assert "M1 2024-03-01: 2 sessions of one day (001, 002)" in told(lab.build())


def test_two_records_of_one_folder_are_refused(lab: Lab) -> None:
    lab.sorting("alf/probe00/ks2")
    lab.build()
    table, meta = parquet.load(lab.root / "sessions.pqt")
    again = table.rename(index={table.index[0]: str(UUID(int=99))})
    parquet.save(lab.root / "sessions.pqt", pd.concat([again, table]).sort_index(), meta)
    with pytest.raises(SourceError, match=rf"{FOLDER}: expected one session a folder"):
        build(Settings(source="cache", cache_dir=lab.root, stores=lab.stores), progress=False)


def test_a_blank_number_is_refused_by_name(lab: Lab) -> None:
    lab.sorting("alf/probe00/ks2")
    lab.build()
    table, meta = parquet.load(lab.root / "sessions.pqt")
    parquet.save(lab.root / "sessions.pqt", table.assign(number=np.nan), meta)
    with pytest.raises(SourceError, match=r"number: expected the number of the session"):
        build(Settings(source="cache", cache_dir=lab.root, stores=lab.stores), progress=False)


# ---- a lab's own events ---------------------------------------------------------------------


def test_a_labs_own_events_are_events_with_all_their_columns(lab: Lab) -> None:
    lab.sorting("alf/probe00/ks2")
    lab.events = (
        "phase,kind,start,stop,tone_Hz,contrast,who\n"
        "pre,tone,12,12.5,440,,NA\npre,NA,14,,,0.5,\npost,tone,62,62.5,880,,ann"
    )
    assert not lab.build().failed
    events = open_events(lab.stores)
    assert events.kind.values.tolist() == ["tone", "NA", "tone"]
    assert events.start.values.tolist() == [12.0, 14.0, 62.0]
    np.testing.assert_array_equal(events.stop, [12.5, np.nan, 62.5])
    np.testing.assert_array_equal(events.tone_Hz, [440.0, np.nan, 880.0])
    np.testing.assert_array_equal(events.contrast, [np.nan, 0.5, np.nan])
    assert events.who.values.tolist() == ["NA", "", "ann"]
    assert set(events.provenance.values) == {"table"}
    assert "other" not in events.variables
    spikes = open_spikes(lab.stores)
    response = spikes.lsd.psth(events=events.isel(event=[0]), window=("0 s", "0.5 s"), n_shifts=0)
    assert response.psth.mean("time").sum().compute().item() == pytest.approx(
        10.0
    )  # 5 spikes in .5 s


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("during,tone,12,13", "row 1: expected a phase of pre, post"),
        ("pre,,12,13", "row 1: expected a kind of event"),
        ("pre,tone,13,12", "row 1: expected 0 <= start <= stop"),
        ("pre,tone,,12", "row 1: expected 0 <= start <= stop"),
        ("pre,tone,soon,12", "row 1, column start: expected a time in s, found 'soon'"),
    ],
)
def test_events_that_make_no_sense_are_refused_by_row(lab: Lab, row: str, words: str) -> None:
    lab.sorting("alf/probe00/ks2")
    lab.events = f"phase,kind,start,stop\n{row}"
    with pytest.raises(SourceError, match=words):
        lab.build()


# ---- spikes, and what was recorded ----------------------------------------------------------


def test_what_is_left_out_or_put_in_order_is_counted_and_told(lab: Lab) -> None:
    times = np.concatenate([[-0.5], BASE])
    times[500] = times[501] + 0.0005
    lab.sorting("alf/probe00/ks2", times)
    report = lab.build()
    assert not report.failed
    row = open_insertions(lab.stores).isel(insertion=0)
    assert row.n_spikes_before_start.item() == 1
    assert row.n_spikes_reordered.item() == 1
    assert row.n_spikes.item() == 1000
    assert "probe00: 1 spikes before 0 s, left out" in told(report)
    assert "probe00: 1 spikes up to 1 ms out of order, put in order" in told(report)
    equal_times(lab.times(), np.sort(times)[1:])


def test_one_stray_spike_does_not_bring_a_stopped_probe_to_life(lab: Lab) -> None:
    lab.sorting("alf/probe00/ks2")
    lab.sorting("alf/probe01/ks2", np.append(BASE[BASE < 50], 99.0))
    report = lab.build(["probe00", "probe01"])
    counts = open_counts(lab.stores)
    of_probe = counts.n_spikes.groupby("probe").sum(min_count=1).isel(epoch=0)
    assert of_probe.sel(probe="probe00").values.tolist() == [300.0, 300.0]
    np.testing.assert_array_equal(of_probe.sel(probe="probe01").values, [300.0, np.nan])
    assert "post spontaneous: silent:probe01" in told(report)


@pytest.mark.parametrize(
    "rows",
    [
        ["sleep,all,0,60", "sleep,first,0,30", "wake,all,60,90", "wake,first,60,70"],  # nested
        ["sleep,all,0,60", "sleep,first,50,70", "wake,all,65,90", "wake,first,80,95"],  # overlap
        ["sleep,all,60,90", "sleep,first,60,70", "wake,all,0,50", "wake,first,0,20"],  # wake first
    ],
)
def test_epoch_times_that_are_given_stand(lab: Lab, rows: list[str]) -> None:
    lab.settings = {"protocol": Protocol(("sleep", "wake"), ("all", "first"))}
    lab.epochs = "\n".join(["phase,epoch,start,stop", *rows])
    lab.sorting("alf/probe00/ks2")
    assert not lab.build().failed
    n_spikes = open_counts(lab.stores).n_spikes.sum("unit")
    for row in rows:
        phase, epoch, start, stop = row.split(",")
        inside = ((float(start) <= BASE) & (float(stop) > BASE)).sum()
        assert n_spikes.sel(phase=phase, epoch=epoch).item() == inside
