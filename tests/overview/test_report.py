"""The page: every number is what the library gives, and what is not there is said."""

from __future__ import annotations

import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import lsdx
from lsdx.analysis import overview as counted
from lsdx.analysis.attrition import attrition
from lsdx.analysis.quality import compare_labels
from lsdx.errors import MissingPackage, StoreCorrupt, StoreNotFound
from lsdx.overview.sections import SECTIONS
from lsdx.results import ANALYSES
from tests.builders.test_imperfect import Lab


class Page(HTMLParser):
    """Tables by their id: rows of (text of the first cell, column -> number); ids, alts, links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[tuple[str, dict[str, float]]]] = defaultdict(list)
        self.alts: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self._table, self._in_head = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {k: v or "" for k, v in attrs}
        self.ids += [told["id"]] if "id" in told else []
        if tag == "table" and "data-table" in told:
            self._table = told["data-table"]
        elif tag == "tr" and self._table:
            self.tables[self._table].append(("", {}))
        elif tag == "th" and told.get("scope") == "row":
            self._in_head = True
        elif tag == "td" and "data-value" in told:
            self.tables[self._table][-1][1][told["data-column"]] = float(told["data-value"])
        elif tag == "img":
            self.alts.append(told.get("alt", ""))
        self.links += [told[k] for k in ("href", "src") if k in told]

    def handle_endtag(self, tag: str) -> None:
        self._in_head &= tag != "th"
        self._table = "" if tag == "table" else self._table

    def handle_data(self, data: str) -> None:
        if self._in_head and self._table:
            head, row = self.tables[self._table][-1]
            self.tables[self._table][-1] = (head + data.strip(), row)

    def table(self, name: str) -> dict[str, dict[str, float]]:
        return {head: row for head, row in self.tables[name] if row}


@pytest.fixture(scope="module")
def folder(demo_stores: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lsdx.analyse(stores=demo_stores, progress=False)
    out = tmp_path_factory.mktemp("overview") / "out"
    assert lsdx.report(out, stores=demo_stores, progress=False) == out / "index.html"
    return out


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    return (folder / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_the_cohort_in_numbers(page: Page, demo_stores: Path) -> None:
    found = page.table("totals")
    sessions, units = lsdx.open_sessions(demo_stores), lsdx.open_units(demo_stores)
    condition = sessions.condition.values
    for name in ("lsd", "saline", "all"):
        own = (condition == name) | (name == "all")
        assert found["sessions"][name] == own.sum()
        assert found["mice"][name] == len(set(sessions.subject.values[own]))
        of = (units.condition.values == name) | (name == "all")
        assert found["units"][name] == of.sum()
        assert found["spikes"][name] == units.spike_count.values[of].sum()
        assert found["units, ibl_pass"][name] == (units.label.values[of] == 1).sum()


def test_units_by_region(page: Page, demo_stores: Path) -> None:
    units = lsdx.open_units(demo_stores)
    for by in ("group", "beryl"):
        found = page.table(f"units_by_{by}_table")
        for region, row in found.items():
            of = units[by].values == ("" if region == "place not known" else region)
            for condition in ("lsd", "saline"):
                own = of & (units.condition.values == condition)
                assert row[f"{condition}, all"] == own.sum()
                good = units.ks2_label.values[own] == "good"
                assert row[f"{condition}, ks2_good"] == good.sum()
        assert set(found) == {r or "place not known" for r in units[by].values}


def test_kappa_checks_and_attrition(page: Page, demo_stores: Path) -> None:
    quality, units = lsdx.open_quality(demo_stores), lsdx.open_units(demo_stores)
    labels = compare_labels(quality)
    for pair, row in page.table("kappa").items():
        for name in ("kappa", "agreement", "n_left_out"):
            assert row[name] == float(labels[name].sel(pair=pair))
    checked = lsdx.open_result("alignment", stores=demo_stores)
    for check, row in page.table("checks").items():
        for verdict in ("pass", "untestable", "fail"):
            assert row[verdict] == int((checked.verdict.sel(check=check) == verdict).sum())
    left = attrition(
        units, steps=[{"quality": "ks2_good"}], sessions=lsdx.open_sessions(demo_stores)
    )
    rows = [row for _, row in page.tables["attrition_ks2_good"] if row]
    expected = [
        left.sel(step=step, condition=condition)
        for step in left.step.values
        for condition in left.condition.values
        if int(left.n_sessions.sel(condition=condition).max())
    ]
    for row, cell in zip(rows, expected, strict=True):
        assert row["n_units"] == int(cell.n_units)
        assert row["n_mice"] == int(cell.n_mice)


def test_results_are_those_that_were_computed(page: Page, demo_stores: Path) -> None:
    for name in ("changes", "comparisons"):
        ds = lsdx.open_result(name, stores=demo_stores)
        rows = [row for _, row in page.tables[name] if row]
        for column in ("estimate", "low", "high", "p"):
            np.testing.assert_array_equal([r[column] for r in rows], ds[column].values.ravel())
    dims = lsdx.open_result("dimensionality", stores=demo_stores)
    rows = [row for _, row in page.tables["dimensionality_table"] if row]
    frame = dims[["ngsc"]].to_dataframe().groupby(["condition", "phase", "epoch"], sort=False)
    np.testing.assert_allclose([r["ngsc"] for r in rows], frame["ngsc"].median())


def test_the_page_asks_for_nothing_from_outside(page: Page, text: str, folder: Path) -> None:
    for link in page.links:
        assert link.startswith(("#", "data:image/", "figures/")), link
        if link.startswith("figures/"):
            assert (folder / link).is_file()
    head = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"(?:src|href|url)\s*[=(]\s*[\"']?https?:", head)
    assert len(text) < 5e6
    assert "0 1px" not in text  # no machine's path or font is in it
    assert str(folder) not in text


def test_it_can_be_read_by_everyone(page: Page, text: str) -> None:
    assert page.alts
    assert all(len(alt) > 20 for alt in page.alts)
    assert len(page.ids) == len(set(page.ids))
    assert '<html lang="en">' in text
    assert text.count("<h1") == 1
    assert text.count("<h2") == len(SECTIONS)
    assert text.count('<span class="tag">SIMULATED</span>') == len(SECTIONS)
    for rule in ("prefers-color-scheme: dark", "@media print", "max-width: 480px"):
        assert rule in text
    # on the page, and pictures of it
    assert "Not shown" not in text


def contrast(a: str, b: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(a), light(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def themes() -> Iterator[dict[str, str]]:
    css = (Path(lsdx.__file__).parent / "overview" / "page.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root\s*{(.*?)}", css, flags=re.DOTALL)[:2]
    names = dict(re.findall(r"--([\w-]+):\s*(#\w+)", light))
    full = {k: v if len(v) == 7 else "#" + "".join(2 * c for c in v[1:]) for k, v in names.items()}
    yield full
    yield (
        full
        | dict(re.findall(r"--([\w-]+):\s*(#\w{6})", dark))
        | {
            k: "#" + "".join(2 * c for c in v[1:])
            for k, v in re.findall(r"--([\w-]+):\s*(#\w{3})\b", dark)
        }
    )


@pytest.mark.parametrize("theme", list(themes()), ids=["light", "dark"])
def test_text_stands_out(theme: dict[str, str]) -> None:
    for ink in ("ink", "soft", "link"):
        for paper in ("paper", "stripe"):
            assert contrast(theme[ink], theme[paper]) >= 4.5, (ink, paper)
    assert contrast(theme["mark"], theme["mark-paper"]) >= 4.5


def test_one_session_without_anything_but_spikes(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "cache")
    lab.sorting("alf/probe00/ks2")
    lab.build()
    out = lsdx.report(tmp_path / "out", stores=lab.stores, progress=False)
    text = out.read_text(encoding="utf-8")
    page = Page(text)
    assert page.table("totals")["units"] == {"unknown": 2, "all": 2}
    assert "SIMULATED" not in text
    for told in ("No unit has a place", "lsdx analyse alignment", "Not computed: behavior"):
        assert told in text
    assert str(tmp_path) not in text


def test_results_of_other_stores_are_not_shown(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "cache")
    lab.sorting("alf/probe00/ks2")
    lab.build(names=["units", "counts"])
    with pytest.raises(StoreNotFound, match="lsdx analyse behavior"):
        lsdx.open_result("behavior", stores=lab.stores)
    done = {r.name: r for r in lsdx.analyse(stores=lab.stores, progress=False)}
    assert set(done) == set(ANALYSES)
    assert done["behavior"].status == "skipped"
    assert "lsdx build behavior" in done["behavior"].reason


def test_a_changed_byte_of_a_result_is_found(tmp_path: Path, demo_stores: Path) -> None:
    stores = tmp_path / "stores"
    shutil.copytree(demo_stores, stores, ignore=shutil.ignore_patterns("parts"))
    lsdx.analyse("behavior", stores=stores, progress=False)
    files = (stores / "results" / "behavior.zarr").rglob("*")
    for file in [f for f in files if f.is_file() and f.name != "zarr.json"]:
        whole = file.read_bytes()
        middle = len(whole) // 2
        file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        with pytest.raises(StoreCorrupt, match="Remove it, and compute it again: lsdx analyse"):
            lsdx.open_result("behavior", stores=stores)
        file.write_bytes(whole)
    assert lsdx.open_result("behavior", stores=stores).behavior.size


@pytest.mark.parametrize("package", ["matplotlib", "jinja2", "bokeh"])
def test_without_a_package_it_says_which(
    package: str, demo_stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackage, match=rf"{package}.*pip install 'lsdx\[report\]'"):
        lsdx.report(tmp_path / "out", stores=demo_stores, progress=False)
    assert not (tmp_path / "out").exists()


def test_without_stores_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound):
        lsdx.report(tmp_path / "out", stores=tmp_path / "none", progress=False)
    assert not (tmp_path / "out").exists()


def test_excluded_and_unplaced_units_are_counted_so(demo_stores: Path) -> None:
    units = lsdx.open_units(demo_stores)
    reasons = units.exclusion.values.copy()
    reasons[:7] = "noise"
    region = units.region.values.copy()
    region[:3] = ""
    changed = units.assign_coords(exclusion=("unit", reasons), group=("unit", region))
    found = counted.units_by_region(changed, quality="ks2_good")
    assert int(found.n_units.sel(filter="all").sum()) == units.sizes["unit"] - 7


def test_pairs_of_regions_by_hand() -> None:
    groups = ["VIS", "VIS", "HPC", "VIS", "HPC", "HPC", ""]
    sessions = ["a", "a", "a", "b", "b", "b", "b"]
    coords = {
        "group": ("unit", np.array(groups, dtype=object)),
        "session": ("unit", np.array(sessions, dtype=object)),
        "subject": ("unit", np.array(["m"] * 7, dtype=object)),
        "condition": ("unit", np.array(["lsd"] * 7, dtype=object)),
        "unit": np.arange(7).astype(str).astype(object),
    }
    units = xr.Dataset(coords=coords, attrs={"conditions": "lsd, saline"})
    found = counted.region_pairs(units).n_pairs.sel(condition="lsd")
    # a: 2 VIS and 1 HPC; b: 1 VIS and 2 HPC
    assert float(found.sel(source="VIS", target="HPC")) == (2 * 1 + 1 * 2) / 2
    assert float(found.sel(source="VIS", target="VIS")) == (1 + 0) / 2
    assert float(found.sel(source="HPC", target="HPC")) == (0 + 1) / 2
