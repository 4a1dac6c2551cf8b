"""Which files are read of a session: sorter, revision, runs, and what is there."""

from __future__ import annotations

import pytest

from lsdx.assemble.layout import (
    GABORS,
    INTERVALS,
    NEEDED,
    SETTINGS,
    STIMS,
    find_of_quality,
    find_probes,
    find_runs,
    find_sorting,
    passed_over,
    pick_revision,
    pinned,
)
from lsdx.assemble.status import dataset_status
from lsdx.errors import SourceError
from lsdx.readers.records import DatasetRecord

CHANNELS = ("channels.mlapdv.npy", "channels.brainLocationIds_ccf_2017.npy")
OLD, NEW = "2023-01-01", "2024-05-06"


def files(collection, names, *, revision="", **more):
    folder = f"{collection}/#{revision}#" if revision else collection
    return [DatasetRecord(f"{folder}/{name}", **more) for name in names]


def sorting(sorter="pykilosort", names=NEEDED, **more):
    return files(f"alf/probe00/{sorter}", names, **more)


def chosen(datasets, probe="probe00"):
    return find_sorting(datasets, probe, "session")


# Sorters


@pytest.mark.parametrize(
    ("sorters", "first"),
    [
        (["ks2", "pykilosort", "iblsorter"], "iblsorter"),
        (["ks2", "pykilosort"], "pykilosort"),
        (["aardvark", "ks2"], "ks2"),
        (["zebra", "pykilosort", "aardvark"], "pykilosort"),
        (["zebra"], "zebra"),
    ],
)
def test_sorters_have_an_order(sorters, first):
    for order in (sorters, sorters[::-1]):
        found = chosen([d for s in order for d in sorting(s)])
        assert (found.sorter, found.collection) == (first, f"alf/probe00/{first}")
        assert {d.collection for d in found.files} == {f"alf/probe00/{first}"}


@pytest.mark.parametrize("name", ["kilosort2.5", "kilosort-4"])
def test_any_other_folder_with_spike_times_is_a_sorter(name):
    assert chosen(sorting(name)).sorter == name


def test_a_folder_without_spike_times_is_no_sorting():
    better = sorting("iblsorter", ["spikes.clusters.npy", "clusters.channels.npy"])
    assert chosen([*better, *sorting("ks2")]).sorter == "ks2"
    assert chosen(better) is None
    assert chosen([]) is None


def test_spikes_that_are_not_on_disk_are_no_sorting():
    assert chosen(sorting("iblsorter", readable=False) + sorting("ks2")).sorter == "ks2"
    assert chosen(sorting(readable=False)) is None


def test_each_probe_has_its_own_sorting():
    datasets = sorting("ks2") + files("alf/probe01/iblsorter", NEEDED)
    assert chosen(datasets, "probe00").sorter == "ks2"
    assert chosen(datasets, "probe01").sorter == "iblsorter"
    assert chosen(datasets, "probe0") is None


@pytest.mark.parametrize("lacking", NEEDED[1:])
def test_the_best_sorter_is_never_completed_from_another(lacking):
    names = [n for n in NEEDED if n != lacking]
    with pytest.raises(SourceError, match=lacking):
        chosen(sorting("iblsorter", names) + sorting("ks2"))


def test_version_of_the_sorter_is_kept():
    found = chosen(sorting(version="pykilosort_ibl_1.4.1"))
    assert (found.version, found.revision) == ("pykilosort_ibl_1.4.1", "")


# Revisions


def revisions(*pairs):
    return [
        d for r, default in pairs for d in files("alf", ["a.b.npy"], revision=r,
                                                 default_revision=default)
    ]  # fmt: skip


@pytest.mark.parametrize("default", [OLD, NEW, ""])
def test_the_default_revision_is_taken(default):
    datasets = revisions(*((r, r == default) for r in ("", OLD, NEW)))
    picked, note = pick_revision(datasets)
    assert (picked.revision, note) == (default, "")


@pytest.mark.parametrize("default", [True, False])
def test_a_single_revision_is_taken_whatever_its_flag(default):
    picked, note = pick_revision(revisions((OLD, default)))
    assert (picked.revision, note) == (OLD, "")


@pytest.mark.parametrize("flag", [True, False])
def test_without_one_default_the_newest_is_taken_and_said(flag):
    for order in (("", OLD, NEW), (NEW, "", OLD)):
        picked, note = pick_revision(revisions(*((r, flag) for r in order)))
        assert picked.revision == NEW
        assert f"revisions none, {OLD}, {NEW}; read: {NEW}" in note


def test_nothing_after_the_revision_of_the_whole_is_taken():
    datasets = revisions(("", False), (NEW, True))
    picked, note = pick_revision(datasets, until=OLD)
    assert picked.revision == ""
    assert f"default revisions {NEW}; read: none" in note
    assert pick_revision(revisions((NEW, True)), until=OLD) == (None, "")


def overlaid(flagged):
    """Times, channels and depths revised; clusters in the base alone. ``flagged``: by revision."""
    base = sorting(default_revision="" in flagged)
    newer = [NEEDED[0], *NEEDED[2:]]
    return base + sorting(names=newer, revision=NEW, default_revision=NEW in flagged)


@pytest.mark.parametrize(
    ("flagged", "noted"), [({NEW}, []), (set(), [NEEDED[0]]), ({"", NEW}, [NEEDED[0], *NEEDED[2:]])]
)
def test_a_revision_overlays_the_files_that_it_does_not_hold(flagged, noted):
    found = chosen(overlaid(flagged))
    assert found.revision == NEW
    assert {d.name: d.revision for d in found.files} == {
        n: "" if n == "spikes.clusters.npy" else NEW for n in NEEDED
    }
    assert found.other_revisions == "spikes.clusters.npy: none"
    assert sorted(n.split(": ")[1] for n in found.notes) == sorted(noted)


def test_an_older_default_is_read_with_the_files_of_its_time():
    found = chosen(overlaid({""}))
    assert (found.revision, found.other_revisions, found.notes) == ("", "", ())
    assert {d.revision for d in found.files} == {""}


def test_of_two_whole_revisions_without_flags_the_newer_is_read():
    datasets = [d for r in (NEW, OLD) for d in sorting(revision=r, default_revision=False)]
    assert {d.revision for d in chosen(datasets).files} == {NEW}


def test_a_later_revision_of_the_clusters_alone_is_not_read():
    later = sorting(names=["spikes.clusters.npy"], revision=NEW)
    found = chosen([*sorting(revision=OLD), *later])
    assert {d.revision for d in found.files} == {OLD}
    with pytest.raises(SourceError, match=r"spikes\.clusters\.npy \(later ones only\)"):
        chosen([*sorting(names=[NEEDED[0], *NEEDED[2:]], revision=OLD), *later])


@pytest.mark.parametrize("default", [OLD, NEW])
def test_spikes_and_clusters_are_of_the_default_revision(default):
    names = (*NEEDED, "clusters.metrics.pqt", "clusters.uuids.csv")
    datasets = [
        d
        for r in (OLD, NEW)
        for d in sorting(names=names, revision=r, default_revision=r == default, version=f"v{r}")
    ]
    found = chosen(datasets)
    assert (found.revision, found.version) == (default, f"v{default}")
    assert {d.name for d in found.files} == set(names)
    assert {d.revision for d in found.files} == {default}


def test_metrics_and_ids_that_were_not_revised_are_read():
    names = ["clusters.metrics.pqt", "clusters.uuids.csv"]
    datasets = [*sorting(revision=NEW), *sorting(names=names, revision=OLD)]
    assert {d.name for d in chosen(datasets).files} == {*NEEDED, *names}


def test_of_a_pinned_revision_nothing_later_is_left():
    datasets = overlaid({NEW})
    assert pinned(datasets, "2030-01-01") == tuple(
        sorted((d for d in datasets if d.revision or d.name == NEEDED[1]), key=lambda d: d.path)
    )
    assert {d.revision for d in pinned(datasets, OLD)} == {""}
    assert pinned(sorting(revision=NEW), OLD) == ()


def test_channels_may_have_a_revision_of_their_own():
    found = chosen(sorting(revision=OLD) + sorting(names=CHANNELS, revision=NEW))
    assert {d.name: d.revision for d in found.files} == dict.fromkeys(NEEDED, OLD) | dict.fromkeys(
        CHANNELS, NEW
    )


def test_channels_have_the_default_among_their_own_revisions():
    # aligned anew after the sorting was published: the old places are no longer the default
    datasets = (
        sorting(revision=OLD)
        + sorting(names=CHANNELS, revision=OLD, default_revision=False)
        + sorting(names=CHANNELS, revision=NEW, default_revision=True)
    )
    places = {d.revision for d in chosen(datasets).files if d.name in CHANNELS}
    assert places == {NEW}


# Probes and runs


def test_probes_are_those_with_sorted_or_raw_data():
    datasets = [
        *files("raw_ephys_data/probe01", ["_spikeglx_ephysData_g0_t0.imec1.ap.meta"]),
        *sorting(),
        *files("alf/task_00", [INTERVALS]),
        *files("raw_ephys_data", ["_spikeglx_ephysData_g0_t0.nidq.meta"]),
    ]
    assert find_probes(datasets) == ("probe00", "probe01")


def test_any_folder_of_sorted_spikes_is_a_probe_and_so_is_what_the_records_name():
    datasets = [*files("alf/adn/klusters", NEEDED), *files("alf/task_00", [INTERVALS])]
    assert find_probes(datasets) == ("adn",)
    assert find_probes(datasets, ["probe00a"]) == ("adn", "probe00a")
    assert chosen(datasets, "adn").collection == "alf/adn/klusters"


def test_spikes_in_the_folder_of_the_probe_itself_are_read_where_no_sorter_has_one():
    found = chosen(files("alf/probe00", NEEDED))
    assert (found.sorter, found.collection) == ("unknown", "alf/probe00")
    assert chosen([*files("alf/probe00", NEEDED), *sorting("zebra")]).sorter == "zebra"


def test_names_that_carry_the_uuid_of_their_dataset_are_known():
    names = [n[:-3] + f"0b7c1f6e-0000-4000-8000-00000000000{i}.npy" for i, n in enumerate(NEEDED)]
    found = chosen([*sorting("iblsorter", names), *sorting("ks2")])
    assert found.sorter == "iblsorter"
    assert {d.name for d in found.files} == set(NEEDED)
    assert {d.path for d in found.files} == {f"alf/probe00/iblsorter/{n}" for n in names}


def test_what_looks_like_sorted_spikes_and_is_not_read_is_named():
    odd = ["alf/probe00/ks2/old/spikes.times.npy", "alf/probe00/ks2/_av_spikes.times.npy"]
    assert passed_over([*sorting(), *map(DatasetRecord, odd)]) == tuple(odd)


def task(number, *names, **more):
    return files(f"raw_task_data_{number}", [SETTINGS], **more) + files(
        f"alf/task_{number}", names, **more
    )


def test_runs_are_in_order_of_their_number():
    datasets = task("10", INTERVALS) + task("02", INTERVALS, GABORS, STIMS) + task("00")
    runs = find_runs(datasets, "session")
    assert [r.number for r in runs] == [0, 2, 10]
    assert [set(r.extracted) for r in runs] == [set(), {INTERVALS, GABORS, STIMS}, {INTERVALS}]
    assert runs[2].settings.path == f"raw_task_data_10/{SETTINGS}"
    assert runs[2].extracted[INTERVALS].path == f"alf/task_10/{INTERVALS}"


def test_a_run_without_rig_settings_is_no_run():
    assert find_runs(files("alf/task_01", [INTERVALS]), "session") == ()
    absent = task("00", INTERVALS, readable=False, present=False)
    assert find_runs(absent, "session") == ()


def test_what_exists_but_is_not_on_disk_is_listed_not_passed_over():
    datasets = task("00", INTERVALS, readable=False) + task("01")
    runs = find_runs(datasets, "session")
    assert [r.number for r in runs] == [0, 1]
    assert set(runs[0].extracted) == {INTERVALS}


def test_amplitudes_are_of_the_sorting_and_no_later_than_its_times():
    of_quality = ("spikes.amps.npy", "spikes.depths.npy")
    datasets = sorting() + sorting(names=of_quality) + sorting("ks2", of_quality, revision=NEW)
    found = chosen(datasets)
    both = [f"alf/probe00/pykilosort/{n}" for n in of_quality]
    assert [d.path for d in find_of_quality(datasets, found)[0]] == both
    later = sorting(names=of_quality[:1], revision=NEW)
    assert [d.path for d in find_of_quality([*datasets, *later], found)[0]] == both
    assert find_of_quality([*sorting(), *later], found) == ((), (later[0].path,))
    assert find_of_quality(sorting(), found) == ((), ())
    gone = sorting(names=of_quality[:1], readable=False)
    assert find_of_quality([*sorting(), *gone], found) == ((), (both[0],))


def test_tables_of_a_run_have_their_default_revision():
    datasets = task("00") + [
        d for r in (OLD, NEW)
        for d in files("alf/task_00", [INTERVALS], revision=r, default_revision=r == OLD)
    ]  # fmt: skip
    assert find_runs(datasets, "session")[0].extracted[INTERVALS].revision == OLD


# What is there


COMPLETE, ERROR, MISSING = "extraction complete", "extraction error", "raw data missing"
RAW = "_spikeglx_ephysData_g0_t0.{}.ap.cbin"
SYNC = "_spikeglx_ephysData_g0_t0.{}.sync.npy"


def status(datasets, *, runs=(0, 1), bombcell=None):
    return dataset_status(datasets, runs, ("pre", "post"), bombcell or {})


def raw(probe="probe00", imec="imec0", **more):
    return files(f"raw_ephys_data/{probe}", [RAW.format(imec)], **more)


DERIVED = [
    ("task/pre/passivePeriods.intervalsTable", "alf/task_00", [INTERVALS]),
    ("task/pre/passiveStims.table", "alf/task_00", [STIMS]),
    ("task/pre/passiveGabor.table", "alf/task_00", [GABORS]),
    ("ephys/probe00/sync", "raw_ephys_data/probe00", [SYNC.format("imec0")]),
    (
        "ephys/probe00/lf_power",
        "raw_ephys_data/probe00",
        ["_iblqc_ephysSpectralDensityLF.power.npy"],
    ),
    ("ephys/probe00/spikes", "alf/probe00/ks2", ["spikes.times.npy", "spikes.clusters.npy"]),
    ("ephys/probe00/uuids", "alf/probe00/ks2", ["clusters.uuids.csv", "spikes.times.npy"]),
]


@pytest.mark.parametrize(("key", "collection", "names"), DERIVED)
def test_three_states_of_a_derived_dataset(key, collection, names):
    found, base = files(collection, names), raw()
    assert status(found + base)[key] == COMPLETE
    assert status(base)[key] == ERROR
    if key.startswith("ephys"):
        assert status(found)[key] == COMPLETE
    assert status([], runs=())[key] == MISSING


@pytest.mark.parametrize(("key", "collection", "names"), DERIVED)
def test_a_dataset_whose_record_has_no_url_is_absent(key, collection, names):
    gone = files(collection, names, present=False)
    assert status(gone + raw())[key] == ERROR


@pytest.mark.parametrize(("key", "collection", "names"), DERIVED)
def test_presence_is_that_of_the_record_not_of_the_disk(key, collection, names):
    remote = files(collection, names, readable=False) + raw(readable=False)
    assert status(remote)[key] == COMPLETE


def test_raw_datasets_are_complete_or_missing():
    out = status(raw(), runs=(0,))
    assert out["ephys/probe00/raw_ap"] == COMPLETE
    assert out["ephys/probe01/raw_ap"] == MISSING
    assert out["task/pre/raw"] == COMPLETE
    assert out["task/post/raw"] == MISSING
    assert out["task/post/passivePeriods.intervalsTable"] == MISSING
    assert status(raw(present=False))["ephys/probe00/raw_ap"] == MISSING


@pytest.mark.parametrize("imec", ["imec0", "imec00", "imec1", "imec01"])
def test_every_spelling_of_imec_is_raw_data(imec):
    assert status(raw(imec=imec))["ephys/probe00/raw_ap"] == COMPLETE


@pytest.mark.parametrize(
    "name",
    ["_spikeglx_ephysData_g0_t0.imec0.lf.cbin", "_spikeglx_ephysData_g0_t0.imec0.ap.meta",
     "_spikeglx_ephysData_g0_t0.nidq.cbin"],
)  # fmt: skip
def test_other_raw_files_are_not_raw_ap(name):
    out = status(files("raw_ephys_data/probe00", [name]))
    assert out["ephys/probe00/raw_ap"] == MISSING


def test_spikes_need_times_and_clusters():
    out = status(raw() + files("alf/probe00/ks2", ["spikes.times.npy"]))
    assert out["ephys/probe00/spikes"] == ERROR
    assert out["ephys/probe00/uuids"] == ERROR


def test_spikes_are_those_of_the_chosen_sorter():
    # iblsorter holds spikes.times and so is chosen; it has no spikes.clusters
    broken = files("alf/probe00/iblsorter", ["spikes.times.npy"])
    whole = files("alf/probe00/ks2", ["spikes.times.npy", "spikes.clusters.npy"])
    assert status(raw() + broken + whole)["ephys/probe00/spikes"] == ERROR


def test_spikes_of_two_sorters_do_not_make_one_set():
    halves = files("alf/probe00/iblsorter", ["spikes.times.npy"]) + files(
        "alf/probe00/ks2", ["spikes.clusters.npy"]
    )
    assert status(raw() + halves)["ephys/probe00/spikes"] == ERROR


def test_status_belongs_to_its_probe():
    datasets = raw() + raw("probe01", "imec1") + sorting()
    out = status(datasets, bombcell={"probe01": True})
    assert (out["ephys/probe00/spikes"], out["ephys/probe01/spikes"]) == (COMPLETE, ERROR)
    assert (out["ephys/probe00/bombcell"], out["ephys/probe01/bombcell"]) == (ERROR, COMPLETE)
    assert status([])["ephys/probe00/bombcell"] == MISSING


def test_slots_are_the_passive_runs_not_the_first_two():
    datasets = files("alf/task_00", [INTERVALS]) + files("alf/task_10", [INTERVALS])
    out = status(datasets, runs=(3, 10))
    assert out["task/pre/passivePeriods.intervalsTable"] == ERROR
    assert out["task/post/passivePeriods.intervalsTable"] == COMPLETE


def test_a_run_that_left_traces_but_no_settings_stops_them_all():
    # the settings of run 00 were never fetched, and no record says that they exist
    datasets = files("alf/task_00", [INTERVALS]) + task("01", INTERVALS)
    with pytest.raises(SourceError, match="run 00"):
        find_runs(datasets, "session")
    raw = files("raw_task_data_00", ["_iblrig_stimPositionScreen.raw.csv"]) + task("01")
    with pytest.raises(SourceError, match="run 00"):
        find_runs(raw, "session")


VIDEO = "_iblrig_leftCamera.raw.mp4"


@pytest.mark.parametrize(
    ("key", "name"),
    [("pose", "_ibl_leftCamera.lightningPose.pqt"), ("dlc", "_ibl_leftCamera.dlc.pqt")],
)
def test_three_states_of_a_pose(key, name):
    made, video = files("alf", [name]), files("raw_video_data", [VIDEO])
    assert status(made + video)[f"video/left/{key}"] == COMPLETE
    assert status(video)[f"video/left/{key}"] == ERROR
    assert status([])[f"video/left/{key}"] == MISSING
    assert status(video)["video/left/raw"] == COMPLETE
    assert status(video)["video/right/raw"] == MISSING
    # the pose of one camera is not that of another
    assert status(made + video)[f"video/right/{key}"] == MISSING
