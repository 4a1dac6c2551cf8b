"""Builds: the same bytes again, only what changed, nothing lost, upkeep."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lsdx
from lsdx.builders import Report, build
from lsdx.builders.lock import building
from lsdx.builders.recipe import Recipe, choose, load_recipes, recipes_folder
from lsdx.builders.upkeep import collect_garbage, keep_tag, tags, verify
from lsdx.config import Pharmacology, Protocol, Settings
from lsdx.demo import write_cohort
from lsdx.errors import ArgumentError, ConfigError, RecipeError, StoreNotFound
from lsdx.schema import SCHEMAS
from lsdx.store.place import Place
from tests.builders.same import hashes

TIMED = {"epochs", "insertions", "counts", "behavior", "quality"}  # what depends on the epochs


@pytest.fixture
def settings(demo_cohort: Path, tmp_path: Path) -> Settings:
    return Settings(source="cache", cache_dir=demo_cohort, stores=tmp_path / "stores")


@pytest.fixture
def built(demo_stores: Path, demo_cohort: Path, tmp_path: Path) -> Settings:
    """A copy of the demo's stores, to do what one likes with."""
    shutil.copytree(demo_stores, tmp_path / "stores")
    return Settings(source="cache", cache_dir=demo_cohort, stores=tmp_path / "stores")


def statuses(report: Report) -> dict[str, set[str]]:
    out: dict[str, set[str]] = {}
    for line in report.lines:
        out.setdefault(line.kind, set()).add(line.status)
    return out


def test_a_rerun_does_nothing(built: Settings) -> None:
    before = hashes(built.stores)
    report = build(built, progress=False)
    assert set().union(*statuses(report).values()) <= {"reused", "skipped"}
    assert hashes(built.stores) == before


def test_what_a_killed_build_left_is_used_and_the_rest_built(
    built: Settings, demo_stores: Path
) -> None:
    catalog = Place(built.stores).catalog()
    (built.stores / "catalog.json").unlink()
    eid, entry = next(iter(catalog.parts["spikes"].items()))
    shutil.rmtree((built.stores / entry.path).parent)
    half = built.stores / "tmp" / ("0" * 32 + ".zarr")
    half.mkdir(parents=True)
    (half / "zarr.json").write_text("{")
    report = build(built, progress=False)
    spikes = {line.session: line.status for line in report.lines if line.kind == "spikes"}
    assert spikes[eid] == "built"
    assert set(spikes.values()) == {"built", "reused", "skipped"}
    assert hashes(built.stores) == hashes(demo_stores)


def test_a_damaged_part_is_found_and_built_anew(built: Settings, demo_stores: Path) -> None:
    entry = next(iter(Place(built.stores).catalog().parts["spikes"].values()))
    chunk = built.stores / entry.path / "spike_time" / "c" / "0"
    raw = bytearray(chunk.read_bytes())
    raw[100] ^= 1
    chunk.write_bytes(bytes(raw))
    assert [c.store for c in verify(built.stores) if c.problem] == [entry.path]
    report = build(built, progress=False)
    assert "built" in statuses(report)["spikes"]
    assert not [c for c in verify(built.stores) if c.problem]
    assert hashes(built.stores) == hashes(demo_stores)


@pytest.mark.parametrize("sizes", [(2, 5), pytest.param((1,) * 7, marks=pytest.mark.slow)])
def test_some_sessions_at_a_time_end_where_all_at_once_do(
    settings: Settings, demo_stores: Path, sizes: tuple[int, ...]
) -> None:
    eids = lsdx.open_sessions(demo_stores).session.values[::-1].tolist()
    assert sum(sizes) == len(eids)
    for size in sizes:
        some, eids = eids[:size], eids[size:]
        assert not build(settings, sessions=some, progress=False).failed
    assert hashes(settings.stores) == hashes(demo_stores)


def test_a_change_of_one_sessions_files_rebuilds_only_it(
    built: Settings, demo_cohort: Path, tmp_path: Path
) -> None:
    cohort = tmp_path / "cohort"
    shutil.copytree(demo_cohort, cohort)
    path = next(cohort.rglob("LSDX-D/**/_ibl_passiveGabor.table.csv"))
    eid = next(
        e
        for e in Place(built.stores).catalog().parts["spikes"]
        if lsdx.open_sessions(built.stores).subject.sel(session=e).item() == "LSDX-D"
    )
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n")
    restate(cohort, path)
    report = build(replace(built, cache_dir=cohort), progress=False)
    assert not report.failed
    changed = {line.session for line in report.lines if line.status == "built"} - {"all"}
    assert changed == {eid}
    kinds = {x.kind for x in report.lines if x.status == "built" and x.session == eid}
    # the gabors decide when replay was; spikes and units do not care
    assert kinds == {*TIMED, "sessions", "events"}


def restate(cohort: Path, path: Path) -> None:
    """Let the cache's records state a file's new size and md5."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    table = pq.read_table(cohort / "datasets.pqt")
    frame = table.to_pandas()
    session = "/".join(path.relative_to(cohort).parts[:5])
    inside = path.relative_to(cohort / session).as_posix()
    old = set(frame["hash"][frame["rel_path"] == inside])
    records = json.loads((cohort / "alyx_records.json").read_text())
    for record in records["sessions"]:
        for dataset in record["data_dataset_session_related"]:
            place = f"{dataset['collection']}/{dataset['name']}"
            if (record["subject"], place) == (
                path.relative_to(cohort).parts[2],
                inside,
            ) and dataset["hash"] in old:
                dataset |= {"hash": md5, "file_size": path.stat().st_size}
                rows = frame.index.get_level_values(0) == record["id"]
                rows &= (frame["rel_path"] == inside).to_numpy()
                frame.loc[rows, ["hash", "file_size"]] = [md5, path.stat().st_size]
    (cohort / "alyx_records.json").write_text(json.dumps(records))
    new = pa.Table.from_pandas(frame).replace_schema_metadata(table.schema.metadata)
    pq.write_table(new, cohort / "datasets.pqt")


def test_bombcell_is_told_where_its_labels_were_read(demo_stores: Path) -> None:
    units = lsdx.open_units(demo_stores)
    sessions = lsdx.open_sessions(demo_stores)
    kinds = units.bombcell.to_series().ne("").groupby([units.session.values, units.probe.values])
    read = {place for place, found in kinds.any().items() if found}
    assert len(read) == 1
    for eid in sessions.session.values:
        for probe in ("probe00", "probe01"):
            state = sessions.status.sel(session=eid, dataset=f"ephys/{probe}/bombcell").item()
            assert (state == "extraction complete") == ((eid, probe) in read)


def test_a_lab_table_that_changes_is_joined_without_rebuilding_parts(
    built: Settings, tmp_path: Path
) -> None:
    eid = lsdx.open_units(built.stores).session.values[0]
    table = tmp_path / "exclusions.csv"
    table.write_text(f"id,reason\n{eid},wrong room\n")
    report = build(replace(built, exclusions=table), progress=False)
    assert {x.kind for x in report.lines if x.status == "built"} == {
        "sessions",
        "insertions",
        "units",
    }
    units = lsdx.open_units(built.stores)
    assert set(units.exclusion.values[units.session.values == eid]) == {"wrong room"}
    assert eid not in set(units.lsd.select().session.values)


def test_several_bin_widths_lie_side_by_side(built: Settings, tmp_path: Path) -> None:
    recipes = tmp_path / "recipes"
    shutil.copytree(recipes_folder(), recipes)
    text = (recipes / "counts.py").read_text().replace('"100 ms"', '"1 s"')
    (recipes / "counts_1s.py").write_text(text)
    build(built, ["counts_1s"], recipes=recipes, progress=False)
    coarse, fine = (lsdx.open_counts(built.stores, bin_width=w) for w in ("1 s", "100 ms"))
    tens = fine.counts.values[..., :2900].reshape(*fine.n_spikes.shape, 290, 10).sum(axis=-1)
    np.testing.assert_array_equal(coarse.counts.values[..., :290], tens)
    (recipes / "counts_again.py").write_text(text)
    with pytest.raises(RecipeError, match="one recipe a store, bin width and duplicates"):
        load_recipes(recipes)


def test_counts_without_duplicates_lie_beside_those_with_them(
    built: Settings, tmp_path: Path
) -> None:
    with pytest.raises(StoreNotFound, match=r"duplicates 'drop', found built: 0\.1 s \(keep\)\."):
        lsdx.open_units(built.stores, duplicates="drop")
    recipes = tmp_path / "recipes"
    shutil.copytree(recipes_folder(), recipes)
    text = (recipes / "counts.py").read_text().replace('"keep"', '"drop"')
    (recipes / "counts_dropped.py").write_text(text)
    report = build(built, ["counts_dropped"], recipes=recipes, progress=False)
    kept = lsdx.open_units(built.stores)
    dropped = lsdx.open_units(built.stores, duplicates="drop")
    assert (kept.attrs["duplicates"], dropped.attrs["duplicates"]) == ("keep", "drop")
    masked = kept.has_duplicate_mask.values
    assert 0 < masked.sum() < masked.size
    assert set(kept.insertion.values[masked]) == {
        pid
        for pid, there in lsdx.open_insertions(built.stores).has_duplicate_mask.to_series().items()
        if there
    }
    # each spike of the epochs but the duplicates, found by their times
    spikes = lsdx.open_spikes(built.stores, units=kept.isel(unit=np.flatnonzero(masked)))
    ticks = np.rint(spikes.spike_time.values * 1e5).astype(np.int64)
    duplicate = spikes.duplicate.values
    unit = np.repeat(np.arange(masked.sum()), spikes.row_size.values)
    lost = np.zeros((masked.sum(), *kept.n_spikes.shape[1:]))
    for phase, epoch in np.ndindex(lost.shape[1:]):
        first = np.rint(spikes.start.values[:, phase, epoch] * 1e5)[unit]
        length = np.round(kept.duration.values[masked][:, phase, epoch] * 1e5)[unit]
        inside = (ticks >= first) & (ticks < first + length) & duplicate
        lost[:, phase, epoch] = np.bincount(unit[inside], minlength=masked.sum())
    assert lost.sum() > 0
    fewer = kept.n_spikes.values - dropped.n_spikes.values
    np.testing.assert_array_equal(fewer[masked], lost)
    assert np.nansum(np.abs(fewer[~masked])) == 0
    said = [x.reason for x in report.lines if x.kind == "counts_dropped" and x.session != "all"]
    bare = set(kept.session.values[~masked])
    assert sum("duplicates kept" in reason for reason in said) == len(bare)
    with pytest.raises(ArgumentError, match="one of 'keep', 'drop'"):
        lsdx.open_counts(built.stores, duplicates="no")


def test_needed_and_dependent_stores_come_along() -> None:
    recipes = load_recipes()
    assert [r.name for r in choose(recipes, ["counts"], [])] == [
        "sessions",
        "epochs",
        "insertions",
        "units",
        "spikes",
        "counts",
    ]
    assert [r.name for r in choose(recipes, ["events"], [])] == [
        "sessions",
        "epochs",
        "insertions",
        "events",
    ]
    assert "counts" in [r.name for r in choose(recipes, ["units"], ["counts"])]
    with pytest.raises(RecipeError, match="'count'"):
        choose(recipes, ["count"], [])


def test_a_recipe_file_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="none"):
        load_recipes(tmp_path)
    (tmp_path / "units.py").write_text("x = 1\n")
    with pytest.raises(RecipeError, match=r"units\.py"):
        load_recipes(tmp_path)
    (tmp_path / "units.py").write_text("import no_such_module\n")
    with pytest.raises(RecipeError, match="no_such_module"):
        load_recipes(tmp_path)
    with pytest.raises(RecipeError, match="unitz"):
        Recipe(store="unitz", assemble=lambda r: None, inputs=("ephys",))


def test_needs_are_declared_with_their_inputs() -> None:
    """A part's name covers what its needs depend on, too."""
    recipes = load_recipes()
    by_store = {r.store: r for r in recipes.values()}
    for recipe in recipes.values():
        for need in recipe.needs:
            assert set(by_store[need].inputs) <= set(recipe.inputs), (recipe.name, need)


def test_another_protocol_or_source_is_refused(built: Settings) -> None:
    other = replace(built, protocol=Protocol(phases=("before", "after")))
    with pytest.raises(RecipeError, match="protocol"):
        build(other, progress=False)


def test_another_labs_names_need_no_fork(demo_cohort: Path, tmp_path: Path) -> None:
    protocol = Protocol(phases=("before", "after", "recovery"), conditions=("drug", "saline"))
    stores = tmp_path / "stores"
    settings = Settings(source="cache", cache_dir=demo_cohort, stores=stores, protocol=protocol)
    assert not build(settings, progress=False).failed
    units = lsdx.open_units(stores)
    assert units.phase.values.tolist() == ["before", "after", "recovery"]
    assert np.isnan(units.n_spikes.sel(phase="recovery")).all()
    assert units.lsd.select(condition="drug").sizes["unit"] > 0
    assert "days_since_lsd" not in units.variables
    assert (units.days_since_drug > 0).any()
    assert "days_since_first_drug" in lsdx.open_sessions(stores)


def test_another_labs_pharmacology_needs_no_fork(settings: Settings) -> None:
    rules = Pharmacology(drug="dmt", control="vehicle", total_volume=100, post_interval=600)
    # the demo's controls, which its own settings list under the name of this project
    control = [
        s["eid"]
        for s in json.loads((settings.cache_dir / "truth.json").read_text())["sessions"]
        if s["condition"] == "saline"
    ]
    other = replace(settings, administration=rules, conditions={"vehicle": tuple(control)})
    report = build(other, ["epochs"], progress=False)
    assert not report.failed
    sessions = lsdx.open_sessions(other.stores)
    assert sessions.condition.to_series().value_counts().to_dict() == {"dmt": 5, "vehicle": 2}
    assert sum("stock + vehicle is 200 uL, not 100" in note for note in report.notes) == 5
    flags = lsdx.open_epochs(other.stores).administration_flags.values.tolist()
    # those whose injection the table times, not the filler run
    assert flags.count("interval_not_600_s") == 4
    built = {x.kind for x in build(other, ["epochs"], progress=False).lines if x.status == "built"}
    assert built == set()
    wide = replace(other, administration=replace(rules, post_tolerance=1300.0))
    build(wide, ["epochs"], progress=False)
    assert not any(lsdx.open_epochs(wide.stores).administration_flags.values)


def test_a_session_gone_from_the_source_is_told_and_kept_until_asked(
    built: Settings, demo_stores: Path, tmp_path: Path
) -> None:
    smaller = write_cohort(tmp_path / "smaller", n_sessions=5, n_units=24)
    keep_tag(built.stores, "before")
    before = hashes(demo_stores)
    report = build(replace(built, cache_dir=smaller), progress=False)
    assert sum("no longer in the source" in n for n in report.notes) == 2
    assert lsdx.open_sessions(built.stores).sizes["session"] == 7

    report = build(replace(built, cache_dir=smaller), prune=True, progress=False)
    assert not any("no longer in the source" in n for n in report.notes)
    assert lsdx.open_sessions(built.stores).sizes["session"] == 5
    # nothing was deleted: a tag has them all
    collect_garbage(built.stores)
    assert lsdx.open_sessions(built.stores, tag="before").sizes["session"] == 7
    stored = {p.relative_to(built.stores).as_posix() for p in built.stores.rglob("*")}
    assert set(before) <= stored


def test_an_older_version_of_a_store_is_refused_and_only_it_rebuilt(
    built: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    spikes = SCHEMAS["spikes"]
    monkeypatch.setitem(SCHEMAS, "spikes", replace(spikes, version=spikes.version + 1))
    lsdx.open_units(built.stores)
    with pytest.raises(StoreNotFound, match=r"version 2 of spikes.*lsdx build spikes"):
        lsdx.open_spikes(built.stores)
    assert statuses(build(built, ["spikes"], progress=False))["spikes"] == {"built", "skipped"}
    assert lsdx.open_spikes(built.stores).sizes["spike"] > 0

    epochs = SCHEMAS["epochs"]
    monkeypatch.setitem(SCHEMAS, "epochs", replace(epochs, version=epochs.version + 1))
    with pytest.raises(StoreNotFound, match=r"version 3 of epochs.*lsdx build epochs"):
        lsdx.open_epochs(built.stores)
    assert any("version" in c.problem for c in verify(built.stores))


def test_verify_finds_nothing_wrong(demo_stores: Path) -> None:
    checks = verify(demo_stores)
    catalog = Place(demo_stores).catalog()
    assert len(checks) == len(catalog.entries())
    assert not [c for c in checks if c.problem]


def test_gc_removes_only_what_nothing_names(built: Settings, tmp_path: Path) -> None:
    keep_tag(built.stores, "paper-1")
    table = tmp_path / "exclusions.csv"
    units = lsdx.open_units(built.stores).unit.values
    foreign = [built.stores / "flat" / "mine.txt", built.stores / "notes.md"]
    for path in foreign:
        path.write_text("not yours")
    old = Place(built.stores).catalog()
    for reason in ("first", "second"):
        table.write_text(f"id,reason\n{units[0]},{reason}\n")
        build(replace(built, exclusions=table), progress=False)
    listed = collect_garbage(built.stores, dry_run=True)
    removed = collect_garbage(built.stores)
    assert listed == removed
    assert removed
    assert all(p.startswith(("flat/", "tmp/")) for p in removed)
    assert all(p.exists() for p in foreign)
    assert not [c for c in verify(built.stores) if c.problem]
    assert not [c for c in verify(built.stores, "paper-1") if c.problem]
    assert Place(built.stores).catalog("paper-1") == old
    assert tags(built.stores) == ["paper-1"]
    assert lsdx.open_units(built.stores, tag="paper-1").lsd.select().sizes["unit"] == units.size
    with pytest.raises(RecipeError, match="new tag"):
        keep_tag(built.stores, "paper-1")
    assert collect_garbage(built.stores) == []


def test_gc_waits_for_builds(built: Settings) -> None:
    with building(built.stores), pytest.raises(RecipeError, match="a build is running"):
        collect_garbage(built.stores)


def test_gc_leaves_a_folder_that_is_not_ours(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound):
        collect_garbage(tmp_path)


def test_the_report_is_saved(demo_report: Report, demo_stores: Path) -> None:
    saved = json.loads((demo_stores / "report.json").read_text())
    assert saved["simulated"] is True
    assert len(saved["lines"]) == len(demo_report.lines)
    text = demo_report.to_text()
    assert text.startswith("SIMULATED")
    assert "past_end:probe01" in text
    assert "no gabor table" in text
    assert "rig clocks: " in text
    assert "LSDX-A 2023" in text
    assert set(demo_report.to_frame()["status"]) == {"built", "skipped"}


def test_a_failed_session_keeps_what_was_published(
    built: Settings, demo_cohort: Path, tmp_path: Path, demo_stores: Path
) -> None:
    cohort = tmp_path / "cohort"
    shutil.copytree(demo_cohort, cohort)
    path = next(cohort.rglob("LSDX-D/**/spikes.times.npy"))
    path.write_bytes(path.read_bytes()[:-8])
    restate(cohort, path)
    report = build(replace(built, cache_dir=cohort), progress=False)
    assert report.failed
    assert any("keeps what was published" in n for n in report.notes)
    assert hashes(built.stores) == hashes(demo_stores)


def test_unread_probes_are_no_zeros(demo_cohort: Path, tmp_path: Path) -> None:
    cohort = tmp_path / "cohort"
    shutil.copytree(demo_cohort, cohort)
    path = next(cohort.rglob("LSDX-D/**/spikes.times.npy"))
    path.write_bytes(b"")
    settings = Settings(source="cache", cache_dir=cohort, stores=tmp_path / "stores")
    report = build(settings, progress=False)
    told = {x.kind: x for x in report.lines if x.status == "failed"}
    assert told["spikes"].reason == "what it is made from could not be read"
    insertions = lsdx.open_insertions(settings.stores)
    mine = insertions.isel(insertion=insertions.subject.values == "LSDX-D")
    assert mine.n_units.values.tolist() == [-1]
    assert mine.n_spikes.values.tolist() == [-1]


def test_sessions_alone_know_their_units(settings: Settings) -> None:
    build(settings, ["sessions"], progress=False)
    sessions = lsdx.open_sessions(settings.stores)
    insertions = lsdx.open_insertions(settings.stores)
    assert int(sessions.n_units.sum()) == int(insertions.n_units.sum()) > 0


def test_a_rerun_says_again_what_sessions_lack(built: Settings, demo_report: Report) -> None:
    again = build(built, progress=False)
    first = {(x.session, x.kind): x.reason for x in demo_report.lines if x.reason}
    assert {(x.session, x.kind): x.reason for x in again.lines if x.reason} == first


def test_ids_that_name_nothing_are_told(built: Settings, tmp_path: Path) -> None:
    table = tmp_path / "exclusions.csv"
    strange = "00000000-0000-4000-8000-000000000000"
    table.write_text(f"id,reason\n{strange},typo\n")
    report = build(replace(built, exclusions=table), progress=False)
    assert f"exclusions: {strange} names nothing" in report.notes


def test_verify_finds_a_lost_manifest(built: Settings) -> None:
    entry = Place(built.stores).catalog().flat["units"]
    ((built.stores / entry.path).parent / "manifest.json").unlink()
    assert [c.store for c in verify(built.stores) if c.problem] == [entry.path]


def copied_recipes(tmp_path: Path) -> Path:
    recipes = tmp_path / "recipes"
    shutil.copytree(recipes_folder(), recipes)
    return recipes


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_what_needs_a_changed_recipe_is_built_anew(built: Settings, tmp_path: Path) -> None:
    recipes = copied_recipes(tmp_path)
    edit(recipes / "epochs.py", "revision=2", "revision=3")
    report = build(built, recipes=recipes, progress=False)
    again = {x.kind for x in report.lines if x.status == "built" and x.session != "all"}
    assert again == TIMED


def test_parts_of_different_choices_never_mix(built: Settings, tmp_path: Path) -> None:
    recipes = copied_recipes(tmp_path)
    edit(recipes / "counts.py", '"100 ms"', '"1 s"')
    before = hashes(built.stores)
    eid = lsdx.open_units(built.stores).session.values[0]
    with pytest.raises(RecipeError, match="Build all sessions"):
        build(built, recipes=recipes, sessions=[eid], progress=False)
    assert hashes(built.stores) == before
    assert not build(built, recipes=recipes, progress=False).failed
    assert lsdx.open_units(built.stores).attrs["bin_width"] == 1.0


def test_a_recipe_that_is_gone_is_no_longer_published(built: Settings, tmp_path: Path) -> None:
    recipes = copied_recipes(tmp_path)
    text = (recipes / "counts.py").read_text().replace('"100 ms"', '"1 s"')
    (recipes / "counts_1s.py").write_text(text)
    build(built, recipes=recipes, progress=False)
    assert lsdx.open_counts(built.stores, bin_width="1 s").sizes["unit"] > 0
    report = build(built, progress=False)
    assert any("counts_1s has no recipe" in n for n in report.notes)
    with pytest.raises(StoreNotFound, match=r"built: 0\.1 s"):
        lsdx.open_counts(built.stores, bin_width="1 s")


def test_counts_of_some_sessions_alone_are_not_published(built: Settings, tmp_path: Path) -> None:
    recipes = copied_recipes(tmp_path)
    text = (recipes / "counts.py").read_text().replace('"100 ms"', '"1 s"')
    (recipes / "counts_1s.py").write_text(text)
    eid = lsdx.open_units(built.stores).session.values[0]
    report = build(built, ["counts_1s"], recipes=recipes, sessions=[eid], progress=False)
    (line,) = (x for x in report.lines if x.session == "all" and x.kind == "counts_1s")
    assert line.status == "failed"
    assert "build them all" in line.reason
    assert lsdx.open_units(built.stores).attrs["bin_width"] == 0.1


def test_a_damaged_store_stays_until_it_can_be_replaced(
    built: Settings, demo_cohort: Path, tmp_path: Path
) -> None:
    cohort = tmp_path / "cohort"
    shutil.copytree(demo_cohort, cohort)
    catalog = Place(built.stores).catalog()
    subject = lsdx.open_sessions(built.stores).subject
    eid = subject.session.values[subject.values == "LSDX-D"][0]
    manifest = (built.stores / catalog.parts["spikes"][eid].path).parent / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"bytes": ', '"bytes": 1', 1))
    for path in cohort.rglob("LSDX-D/**/spikes.times.npy"):
        path.unlink()
    report = build(replace(built, cache_dir=cohort), progress=False)
    assert report.failed
    assert lsdx.open_spikes(built.stores, session=eid).spike_time.compute().size > 0
    assert not build(built, progress=False).failed
    assert not [c for c in verify(built.stores) if c.problem]


def test_a_damaged_catalog_says_what_to_do(built: Settings, demo_stores: Path) -> None:
    path = built.stores / "catalog.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(RecipeError, match="remove it and build"):
        build(built, progress=False)
    path.unlink()
    report = build(built, progress=False)
    assert set().union(*statuses(report).values()) <= {"reused", "skipped"}
    assert hashes(built.stores) == hashes(demo_stores)


def test_a_stock_concentration_is_one_or_refused(built: Settings) -> None:
    build(replace(built, stock_concentration="0.1 mg/mL"), progress=False)
    sessions = lsdx.open_sessions(built.stores)
    assert np.allclose(sessions.dose.dropna("session"), 300)
    assert sessions.dose.attrs["units"] == "ug/kg"
    for wrong in ("0.1", "3 m", "a lot", "(0.1 mg/mL", "1 mg/0/mL", "-1 mg/mL"):
        with pytest.raises(ConfigError, match="stock_concentration"):
            build(replace(built, stock_concentration=wrong), progress=False)
