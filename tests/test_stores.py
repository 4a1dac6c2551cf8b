"""What the openers give, on the demo cohort and its truth."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import lsdx
from lsdx.builders.upkeep import verify
from lsdx.errors import ConfigError, SelectionError, StoreCorrupt, StoreNotFound
from lsdx.store.catalog import Entry
from lsdx.store.place import Place
from lsdx.store.ragged import gather_rows, uniform_chunks

PHASES = ("pre", "post")
EPOCHS = ("spontaneous", "rfm", "replay")
LIGHT = ("sessions", "insertions", "epochs", "events")


@pytest.fixture(scope="module")
def truth(demo_cohort: Path) -> dict[str, dict[str, Any]]:
    sessions = json.loads((demo_cohort / "truth.json").read_text())["sessions"]
    return {s["eid"]: s for s in sessions}


@pytest.fixture(scope="module")
def units(demo_stores: Path) -> xr.Dataset:
    return lsdx.open_units(demo_stores)


def no_compute(*_: object, **__: object) -> None:
    raise AssertionError("something was computed")


def with_oddity(truth: dict[str, dict[str, Any]], name: str) -> str:
    (eid,) = (e for e, s in truth.items() if name in s["oddities"])
    return eid


def test_epochs_are_the_true_ones(demo_stores: Path, truth: dict[str, dict[str, Any]]) -> None:
    epochs = lsdx.open_epochs(demo_stores)
    assert set(epochs.session.values) == set(truth)
    for eid, session in truth.items():
        for phase in PHASES:
            for epoch in EPOCHS:
                stated = session["epochs"][phase][epoch]
                here = epochs.sel(session=eid, phase=phase, epoch=epoch)
                assert here.provenance.item() == stated["provenance"]
                # what is read is exact; what is shifted is a float sum
                assert here.start.item() == pytest.approx(stated["start"], abs=1e-6)
                assert here.stop.item() == pytest.approx(stated["stop"], abs=1e-6)


def test_shifted_times_are_as_near_the_truth_as_they_say(
    demo_stores: Path, truth: dict[str, dict[str, Any]]
) -> None:
    eid = with_oddity(truth, "rig_clock_run")
    post = lsdx.open_epochs(demo_stores).sel(session=eid, phase="post")
    exact = [truth[eid]["epochs_exact"]["post"][e][0] for e in EPOCHS]
    error = np.abs(post.start.values - exact)
    # a summer session: an hour off is what the subtraction of an Alyx time would give
    assert (error < 3).all()
    assert (post.uncertainty.values > 0).all()
    assert (post.uncertainty.values < 3).all()


def test_quality_is_of_the_units_and_has_their_labels(
    demo_stores: Path, demo_cohort: Path, truth: dict[str, dict[str, Any]], units: xr.Dataset
) -> None:
    quality = lsdx.open_quality(demo_stores)
    assert quality.unit.values.tolist() == units.unit.values.tolist()
    assert quality.phase.values.tolist() == list(PHASES)
    for name in (*units.coords, "label", "firing_rate"):
        if "unit" in units[name].dims:
            assert quality.coords[name].variable.equals(units[name].variable), name
    eid = with_oddity(truth, "bombcell")
    (path,) = demo_cohort.rglob("bombcell/templates._bc_qMetrics.parquet")
    table = pd.read_parquet(path).set_index("phy_clusterID")
    seen = quality.isel(unit=np.flatnonzero(quality.nSpikes.notnull()))
    assert set(seen.session.values) == {eid}
    assert set(seen.probe.values) == {"probe00"}
    assert set(quality.bombcell_parameters.values) - {""} == {seen.bombcell_parameters.values[0]}
    assert sorted(seen.cluster_id.values) == sorted(table.index)
    for name in table.columns.drop("bc_unitType"):
        np.testing.assert_array_equal(seen[name], table[name].loc[seen.cluster_id.values])
    assert seen.bombcell.values.tolist() == table["bc_unitType"].loc[seen.cluster_id].tolist()


def test_amplitudes_of_the_demo_are_those_that_were_drawn(
    demo_stores: Path, units: xr.Dataset
) -> None:
    quality = lsdx.open_quality(demo_stores)
    known = quality.amplitude.notnull() & (quality.spike_count > 500)
    drawn = quality.amp_median.where(known)  # of the metrics: what the amplitudes are drawn about
    np.testing.assert_allclose(quality.amplitude.where(known) / drawn, known.where(known), atol=0.1)
    assert known.sum() > 100
    # nothing was cut off
    assert quality.amplitude_cutoff.max() < 0.05


def test_injection_is_the_true_one(demo_stores: Path, truth: dict[str, dict[str, Any]]) -> None:
    epochs = lsdx.open_epochs(demo_stores)
    for eid, session in truth.items():
        here, stated = epochs.sel(session=eid), session["injection"]
        assert here.administration_provenance.item() == stated["provenance"]
        expected = np.nan if stated["time"] is None else stated["time"]
        np.testing.assert_allclose(here.administration.item(), expected, atol=1e-6)


def test_conditions_are_the_true_ones(demo_stores: Path, truth: dict[str, dict[str, Any]]) -> None:
    sessions = lsdx.open_sessions(demo_stores)
    for eid, session in truth.items():
        assert sessions.condition.sel(session=eid).item() == session["condition"]
        assert sessions.subject.sel(session=eid).item() == session["subject"]


def test_units_are_the_true_ones(units: xr.Dataset, truth: dict[str, dict[str, Any]]) -> None:
    table = units.lsd.unit_table()
    for eid, session in truth.items():
        mine = table[table.session == eid]
        silent = sum(len(i.get("silent_clusters", ())) for i in session["insertions"])
        assert len(mine) == sum(i.get("n_clusters", 0) for i in session["insertions"])
        assert (mine.spike_count == 0).sum() == silent
        if not len(mine):
            continue
        stated = pd.DataFrame(session["units"]).set_index(["pid", "cluster_id"])
        firing = mine[mine.spike_count > 0].set_index(["insertion", "cluster_id"])
        assert len(firing) == len(stated)
        joined = firing.join(stated.add_suffix("_true").rename_axis(firing.index.names))
        assert (joined.region == joined.region_true).all()
        assert (joined.sorter == joined.sorter_true).all()
        known = joined[joined.uuid_true.notna()]
        assert len(known) + joined.uuid_true.isna().sum() == len(stated)
    uuids = {u for s in truth.values() if s["units"] for u in s["units"]["uuid"] if u}
    assert uuids <= set(table.index)


def test_units_without_an_id_get_one_of_their_sorting(
    units: xr.Dataset, truth: dict[str, dict[str, Any]]
) -> None:
    from uuid import UUID, uuid5

    eid = with_oddity(truth, "missing_uuids")
    insertion = truth[eid]["insertions"][0]
    mine = units.lsd.select(session=eid, probe="probe00").lsd.unit_table()
    for unit, row in mine.iterrows():
        name = f"{insertion['sorter']}/{insertion['revision']}/{row.cluster_id}"
        assert unit == str(uuid5(UUID(insertion["pid"]), name))


def test_unobserved_epochs_are_nan(units: xr.Dataset, truth: dict[str, dict[str, Any]]) -> None:
    eid = with_oddity(truth, "ends_early")
    here = units.lsd.select(session=eid)
    replay = here.sel(phase="post", epoch="replay")
    late = here.probe.values == "probe01"
    assert late.any()
    assert not late.all()
    for name in ("n_spikes", "duration"):
        assert np.isnan(replay[name].values[late]).all()
        assert np.isfinite(replay[name].values[~late]).all()
    counts = replay.counts.values
    assert np.isnan(counts[late]).all()
    assert np.isfinite(counts[~late][:, 0]).all()
    # the trap that the README names: xarray's sum of what was never observed is 0
    assert (replay.counts.sum("time").values[late] == 0).all()
    assert np.isnan(replay.counts.sum("time", min_count=1).values[late]).all()


def test_counts_sum_to_n_spikes_and_regions_to_all(units: xr.Dataset) -> None:
    sums = units.counts.sum("time", min_count=1, dtype=np.float64).values
    np.testing.assert_array_equal(sums, units.n_spikes.values)
    by_region = units.n_spikes.groupby(units.region).sum()
    np.testing.assert_array_equal(by_region.sum("region").values, units.n_spikes.sum("unit").values)


def test_silent_units_are_observed_zeros(units: xr.Dataset) -> None:
    silent = units.isel(unit=units.spike_count.values == 0)
    assert silent.sizes["unit"] > 0
    observed = silent.n_spikes.values[np.isfinite(silent.n_spikes.values)]
    assert observed.size
    assert (observed == 0).all()


def test_flat_order_is_by_session_region_depth(demo_stores: Path, units: xr.Dataset) -> None:
    sessions = lsdx.open_sessions(demo_stores)
    start = dict(zip(sessions.session.values, sessions.start_time.values, strict=True))
    from lsdx import regions

    rank = {a: i for i, a in enumerate(regions.acronyms())}
    table = units.lsd.unit_table()
    keys = [
        (start[s], s, rank[r], d, p, c)
        for s, r, d, p, c in zip(
            table.session, table.region, table.depth, table.insertion, table.cluster_id, strict=True
        )
    ]
    assert keys == sorted(keys)


def test_opening_computes_nothing(demo_stores: Path) -> None:
    with dask.config.set(scheduler=no_compute):
        for noun in LIGHT:
            getattr(lsdx, f"open_{noun}")(demo_stores)
        ds = lsdx.open_units(demo_stores)
        chosen = ds.lsd.select(region="Isocortex", quality="ks2_good", condition="lsd")
        chosen.sel(phase="post", epoch="replay").counts.mean("time")
        spikes = lsdx.open_spikes(demo_stores, units=chosen)
        spikes.lsd.bin("10 ms", epoch="replay")
        lsdx.open_spikes(demo_stores).isel(unit=slice(None, None, 3)).lsd.bin("1 s")
        with pytest.raises(AssertionError, match="computed"):
            ds.counts.mean().compute()


def test_opening_spikes_reads_no_chunk(demo_stores: Path, tmp_path: Path) -> None:
    copy = tmp_path / "stores"
    shutil.copytree(demo_stores, copy)
    shutil.rmtree(copy / "parts" / "spikes")
    spikes = lsdx.open_spikes(copy)
    assert spikes.sizes["spike"] == int(spikes.row_size.sum())
    with pytest.raises(StoreNotFound, match="moved or removed"):
        spikes.spike_time.compute()


def test_no_more_tasks_than_sessions(demo_stores: Path, units: xr.Dataset) -> None:
    some = units.isel(unit=np.random.default_rng(0).permutation(units.sizes["unit"])[:80])
    for chosen in (None, some):
        spikes = lsdx.open_spikes(demo_stores, units=chosen)
        n_sessions = len(set(spikes.session.values))
        graph = spikes.spike_time.__dask_graph__()
        assert 1 < len([k for k in graph if str(k).startswith("read-spike_time")]) <= n_sessions


def test_rows_cut_into_chunks_of_one_length_are_the_rows() -> None:
    rng = np.random.default_rng(3)
    for n_rows in (0, 1, 2, 5, 40):
        sessions = np.array(list("abc"), dtype=object)[rng.integers(3, size=n_rows)]
        parts = {s: Entry(s, 0, {}, {}, {}) for s in "abc"}
        size = rng.integers(0, 4, size=n_rows) * rng.integers(0, 30, size=n_rows)
        start = rng.integers(0, 100, size=n_rows)
        expected = [
            (eid, i)
            for eid, a, n in zip(sessions, start, size, strict=True)
            for i in range(a, a + n)
        ]
        chunks = uniform_chunks(parts, sessions, start, size)
        found = [
            [
                (e.path, i)
                for e, begins, sizes in chunk
                for a, n in zip(begins, sizes, strict=True)
                for i in range(a, a + n)
            ]
            for chunk in chunks
        ]
        assert [spike for chunk in found for spike in chunk] == expected
        assert len({len(chunk) for chunk in found[:-1]}) <= 1
        assert all(found)
        assert len(found) <= len(set(sessions))


def test_spikes_are_those_of_the_files(
    demo_stores: Path, demo_cohort: Path, truth: dict[str, dict[str, Any]]
) -> None:
    spikes = lsdx.open_spikes(demo_stores).load()
    assert spikes.sizes["spike"] == int(lsdx.open_insertions(demo_stores).n_spikes.sum())
    checked = 0
    for session in truth.values():
        for insertion in session["insertions"]:
            mine = np.flatnonzero(spikes.insertion.values == insertion["pid"])
            if not mine.size:
                continue
            folder = demo_cohort / session["path"] / "alf" / insertion["name"] / insertion["sorter"]
            if insertion["revision"]:
                folder /= f"#{insertion['revision']}#"
            ticks = np.rint(np.load(folder / "spikes.times.npy") * 1e5)
            clusters = np.load(folder / "spikes.clusters.npy")
            for unit in mine[::5]:
                row = spikes.isel(unit=unit)
                first, size = int(row.row_start), int(row.row_size)
                found = np.rint(spikes.spike_time.values[first : first + size] * 1e5)
                np.testing.assert_array_equal(found, ticks[clusters == int(row.cluster_id)])
                checked += size
    assert checked > 10_000


def test_spikes_of_chosen_units_in_their_order(demo_stores: Path, units: xr.Dataset) -> None:
    every = lsdx.open_spikes(demo_stores).load()
    rows = np.random.default_rng(5).permutation(units.sizes["unit"])[:40]
    chosen = lsdx.open_spikes(demo_stores, units=units.isel(unit=rows)).load()
    assert chosen.unit.values.tolist() == units.unit.values[rows].tolist()
    for i, row in enumerate(rows):
        mine = slice(int(chosen.row_start[i]), int(chosen.row_start[i] + chosen.row_size[i]))
        all_ = slice(int(every.row_start[row]), int(every.row_start[row] + every.row_size[row]))
        np.testing.assert_array_equal(chosen.spike_time.values[mine], every.spike_time.values[all_])
    assert chosen.sizes["spike"] == int(chosen.row_size.sum())


def test_spikes_by_session(demo_stores: Path) -> None:
    eid = lsdx.open_units(demo_stores).session.values[0]
    spikes = lsdx.open_spikes(demo_stores, session=eid)
    assert set(spikes.session.values) == {eid}
    with pytest.raises(SelectionError, match="no-such"):
        lsdx.open_spikes(demo_stores, session="no-such")


def test_spikes_of_strange_units_are_refused(demo_stores: Path, units: xr.Dataset) -> None:
    strange = units.isel(unit=[0]).assign_coords(unit=["nobody"])
    with pytest.raises(SelectionError, match="nobody"):
        lsdx.open_spikes(demo_stores, units=strange)
    with pytest.raises(SelectionError, match="coordinate 'unit'"):
        lsdx.open_spikes(demo_stores, units=xr.Dataset())


def test_gather_rows_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    array = np.arange(1000)
    size = rng.integers(0, 12, 80)
    start = np.cumsum(size) - size
    for rows in (np.arange(80), rng.permutation(80), rng.choice(80, 30), np.array([], dtype=int)):
        expected = [array[s : s + n] for s, n in zip(start[rows], size[rows], strict=True)]
        expected_flat = np.concatenate(expected) if expected else np.array([], dtype=int)
        np.testing.assert_array_equal(gather_rows(array, start[rows], size[rows]), expected_flat)


def test_everything_simulated_says_so(demo_stores: Path) -> None:
    for name in (*LIGHT, "units", "counts", "spikes"):
        ds = getattr(lsdx, f"open_{name}")(demo_stores)
        assert ds.attrs["simulated"] == 1
        assert "SIMULATED" in repr(ds)


def test_opened_datasets_travel(demo_stores: Path, tmp_path: Path) -> None:
    ds = lsdx.open_units(demo_stores).lsd.select(region="Isocortex", condition="saline")
    again = pickle.loads(pickle.dumps(ds))
    np.testing.assert_array_equal(again.n_spikes.values, ds.n_spikes.values)
    ds.compute().to_zarr(tmp_path / "subset.zarr", consolidated=False, zarr_format=3)
    back = xr.open_zarr(tmp_path / "subset.zarr", consolidated=False)
    np.testing.assert_array_equal(back.counts.values, ds.counts.values)


def test_spikes_of_a_selection_are_kept_by_plain_xarray(
    demo_stores: Path, units: xr.Dataset, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    some = units.isel(unit=np.sort(rng.permutation(units.sizes["unit"])[:60]))
    spikes = lsdx.open_spikes(demo_stores, units=some)
    spikes.to_zarr(tmp_path / "spikes.zarr", consolidated=False, zarr_format=3)
    back = xr.open_zarr(tmp_path / "spikes.zarr", consolidated=False)
    assert back.spike_time.chunks == spikes.spike_time.chunks
    np.testing.assert_array_equal(back.spike_time.values, spikes.spike_time.values)
    # labels are loaded and text as it was: what is tested here are the spikes
    text = {n: c for n, c in spikes.coords.items() if c.dtype == object}
    again = back.assign_coords(text)
    np.testing.assert_array_equal(again.lsd.cv2().values, spikes.lsd.cv2().values)
    xr.testing.assert_equal(again.lsd.bin("1 s").counts, spikes.lsd.bin("1 s").counts)


@pytest.mark.parametrize("noun", [*LIGHT, "units", "counts", "spikes"])
def test_what_is_opened_is_kept_by_plain_xarray(
    demo_stores: Path, tmp_path: Path, noun: str
) -> None:
    ds = getattr(lsdx, f"open_{noun}")(demo_stores)
    ds.to_zarr(tmp_path / "kept.zarr", consolidated=False, zarr_format=3)
    back = xr.open_zarr(tmp_path / "kept.zarr", consolidated=False)
    assert set(back.variables) == set(ds.variables)
    for name, variable in ds.variables.items():
        found, expected = back[name].values, variable.values
        if variable.dtype.kind == "O":
            found = found.astype(object)
        np.testing.assert_array_equal(found, expected)


def test_results_are_tidy(units: xr.Dataset) -> None:
    rate = (units.n_spikes / units.duration).rename("rate")
    table = rate.sel(phase="post", epoch="replay").to_dataframe()
    assert {"rate", "region", "condition", "subject", "session"} <= set(table.columns)
    assert len(table) == units.sizes["unit"]


def test_units_of_measure_are_understood(demo_stores: Path) -> None:
    for name in (*LIGHT, "units", "spikes"):
        ds = getattr(lsdx, f"open_{name}")(demo_stores)
        quantified = ds.lsd.quantify()
        assert quantified.sizes == ds.sizes
    seconds = quantified.start.isel(unit=0, phase=0, epoch=0)
    milliseconds = seconds.pint.to("ms").pint.dequantify()
    assert float(milliseconds) == pytest.approx(1000 * float(ds.start[0, 0, 0]))


@pytest.mark.parametrize("way", ["relative", "~", "$HOME"])
def test_the_folder_is_where_it_was_when_opened(
    demo_stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("HOME", str(demo_stores.parent))
    monkeypatch.chdir(demo_stores.parent)
    stores = demo_stores.name if way == "relative" else f"{way}/{demo_stores.name}"
    units, spikes = lsdx.open_units(stores), lsdx.open_spikes(stores)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    total = int(spikes.row_size.sum())
    assert spikes.spike_time.compute().size == total
    assert float(units.counts.sum()) == float(units.n_spikes.sum())


def test_stores_that_are_gone_are_not_called_damaged(demo_stores: Path, tmp_path: Path) -> None:
    stores = tmp_path / "stores"
    shutil.copytree(demo_stores, stores)
    units, spikes = lsdx.open_units(stores), lsdx.open_spikes(stores)
    for read in (spikes.spike_time, units.counts):
        stores.rename(tmp_path / "elsewhere")
        with pytest.raises(StoreNotFound, match=f"^{stores}.*moved or removed.*where they are now"):
            read.compute()
        (tmp_path / "elsewhere").rename(stores)
        assert read.compute().size == read.size


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("10 ms", "bin_width='10 ms'"),
        (0.01, "bin_width=0.01"),
        (xr.Dataset(), "units=..."),
        (["a"], "found list"),
    ],
)
def test_what_is_no_folder_is_told_where_it_belongs(wrong: Any, words: str) -> None:
    for opened in (lsdx.open_units, lsdx.open_spikes):
        with pytest.raises(ConfigError, match="stores: expected a folder") as caught:
            opened(wrong)
        assert words in str(caught.value)


def test_missing_stores_name_the_command(tmp_path: Path, demo_stores: Path) -> None:
    with pytest.raises(StoreNotFound, match="lsdx build"):
        lsdx.open_units(tmp_path)
    with pytest.raises(StoreNotFound, match=r"built: 0\.1 s"):
        lsdx.open_units(demo_stores, bin_width="10 ms")
    with pytest.raises(StoreNotFound, match="lsdx info"):
        lsdx.open_units(demo_stores, tag="never")


@pytest.fixture
def damaged(demo_stores: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "stores"
    shutil.copytree(demo_stores, copy)
    return copy


def flip(path: Path, bit: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(bytes(raw))


def test_a_flipped_bit_of_a_chunk_is_refused_by_name(damaged: Path) -> None:
    entry = Place(damaged).catalog().flat["counts"]
    chunk = sorted((damaged / entry.path / "counts" / "c").rglob("0"))[0]
    while chunk.is_dir():
        chunk = chunk / "0"
    flip(chunk, 8 * 40)
    ds = lsdx.open_units(damaged)
    with pytest.raises(StoreCorrupt, match=r"counts, chunk 0/0/0/0.*CRC32C"):
        ds.counts.compute()


def test_a_missing_chunk_is_refused_by_name(damaged: Path) -> None:
    eid, entry = next(iter(Place(damaged).catalog().parts["spikes"].items()))
    (damaged / entry.path / "spike_time" / "c" / "0").unlink()
    with pytest.raises(StoreCorrupt, match=f"{eid}.*spike_time, chunk 0"):
        lsdx.open_spikes(damaged, session=eid).spike_time.compute()


@pytest.mark.parametrize("noun", [*LIGHT, "units"])
def test_metadata_are_read_from_the_catalog_and_verified_on_disk(damaged: Path, noun: str) -> None:
    expected = getattr(lsdx, f"open_{noun}")(damaged)
    entry = Place(damaged).catalog().flat[noun]
    path = next(p for p in sorted((damaged / entry.path).rglob("zarr.json")) if p.parent.name != "")
    path.write_bytes(path.read_bytes().replace(b"{", b"{ ", 1))
    xr.testing.assert_identical(getattr(lsdx, f"open_{noun}")(damaged), expected)
    (problem,) = [c.problem for c in verify(damaged) if c.problem]
    assert re.search(r"zarr\.json: expected the metadata built, found another", problem)


def test_stores_of_format_1_open_and_refuse_changed_metadata(damaged: Path) -> None:
    """Their catalogs hold the SHA-256 of each zarr.json, not its text."""
    units, spikes = lsdx.open_units(damaged), lsdx.open_spikes(damaged).spike_time.values

    def earlier(entry: Entry) -> Entry:
        digests = {
            n: hashlib.sha256(t.encode()).hexdigest() if t.startswith("{") else t
            for n, t in entry.metadata.items()
        }
        return replace(entry, metadata=digests)

    now = Place(damaged).catalog()
    parts = {n: {eid: earlier(e) for eid, e in p.items()} for n, p in now.parts.items()}
    flat = {n: earlier(e) for n, e in now.flat.items()}
    then = replace(now, parts=parts, flat=flat, format=1)
    (damaged / "catalog.json").write_text(then.to_json())
    attrs = {"catalog": then.digest[:16]}
    xr.testing.assert_identical(lsdx.open_units(damaged), units.assign_attrs(attrs))
    np.testing.assert_array_equal(lsdx.open_spikes(damaged).spike_time.values, spikes)
    path = damaged / then.flat["units"].path / "region" / "zarr.json"
    path.write_bytes(path.read_bytes().replace(b"{", b"{ ", 1))
    with pytest.raises(StoreCorrupt, match=r"region, zarr\.json: expected the metadata built"):
        lsdx.open_units(damaged)


def test_a_missing_or_foreign_array_is_refused(damaged: Path) -> None:
    folder = damaged / Place(damaged).catalog().flat["units"].path
    shutil.copytree(folder / "region", folder / "region2")
    assert "region2" not in lsdx.open_units(damaged).variables
    (problem,) = [c.problem for c in verify(damaged) if c.problem]
    assert "Remove what is foreign" in problem
    shutil.rmtree(folder / "region2")
    shutil.rmtree(folder / "region")
    with pytest.raises(StoreCorrupt, match="region"):
        lsdx.open_units(damaged)


def test_a_damaged_catalog_is_refused(damaged: Path) -> None:
    path = damaged / "catalog.json"
    whole = path.read_text()
    path.write_text(whole.replace('"bytes": ', '"bytes": 1', 1))
    with pytest.raises(StoreCorrupt, match="digest"):
        lsdx.open_units(damaged)
    path.write_text(whole[: len(whole) // 2])
    with pytest.raises(StoreCorrupt, match="damaged"):
        lsdx.open_units(damaged)
