"""The oracle is the structure tree that iblatlas ships, walked here by brute force."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path

import iblatlas
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from lsdx import regions
from lsdx.errors import LsdxError, SelectionError

ATLAS = Path(iblatlas.__file__).parent
with (ATLAS / "allen_structure_tree.csv").open(newline="", encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))
NAMES = [row["acronym"] for row in ROWS]
ID = {row["acronym"]: int(row["id"]) for row in ROWS}
BY_ID = {int(row["id"]): row["acronym"] for row in ROWS}
PARENT = {
    row["acronym"]: BY_ID[int(float(row["parent_structure_id"]))]
    for row in ROWS
    if row["parent_structure_id"]
}
# From the top down to the region itself; void has no path but its own id.
PATH = {
    row["acronym"]: [int(part) for part in row["structure_id_path"].split("/") if part]
    or [int(row["id"])]
    for row in ROWS
}

# The lab's groups spelt in full names, so that an acronym that means another region shows.
MEANT = {
    "mPFC": ("Anterior cingulate area", "Infralimbic area", "Prelimbic area"),
    "M1": ("Primary motor area",),
    "M2": ("Secondary motor area",),
    "OFC": ("Orbital area",),
    "OLF": ("Olfactory areas",),
    "SS": ("Somatosensory areas",),
    "RSP": ("Retrosplenial area",),
    "TMP": ("Ectorhinal area", "Temporal association areas"),
    "AUD": ("Auditory areas",),
    "VIS": ("Visual areas", "Posterior parietal association areas"),
    "THss": (
        "Ventral posterolateral nucleus of the thalamus",
        "Ventral posteromedial nucleus of the thalamus",
        "Posterior complex of the thalamus",
    ),
    "THvis": (
        "Dorsal part of the lateral geniculate complex",
        "Ventral part of the lateral geniculate complex",
        "Lateral posterior nucleus of the thalamus",
    ),
    "THcog": (
        "Mediodorsal nucleus of thalamus",
        "Lateral dorsal nucleus of thalamus",
        "Ventral anterior-lateral complex of the thalamus",
        "Ventral medial nucleus of the thalamus",
    ),
    "THhpc": (
        "Nucleus of reuniens",
        "Perireunensis nucleus",
        "Rhomboid nucleus",
        "Anteromedial nucleus",
        "Interanterodorsal nucleus of the thalamus",
        "Interanteromedial nucleus of the thalamus",
    ),
    "THmid": (
        "Paraventricular nucleus of the thalamus",
        "Intermediodorsal nucleus of the thalamus",
        "Xiphoid thalamic nucleus",
    ),
    "THil": (
        "Central lateral nucleus of the thalamus",
        "Central medial nucleus of the thalamus",
        "Paracentral nucleus",
        "Submedial nucleus of the thalamus",
    ),
    "TRN": ("Reticular nucleus of the thalamus",),
    "AMY": (
        "Lateral amygdalar nucleus",
        "Basolateral amygdalar nucleus",
        "Basomedial amygdalar nucleus",
        "Posterior amygdalar nucleus",
        "Striatum-like amygdalar nuclei",
    ),
    "HPC": ("Hippocampal formation",),
    "STR": ("Striatum", "Pallidum"),
    "HYP": ("Hypothalamus",),
    "ZI": ("Zona incerta",),
    "HB": ("Medial habenula", "Lateral habenula"),
    "SEP": ("Lateral septal complex", "Medial septal complex"),
    "BF": ("Diagonal band nucleus", "Substantia innominata"),
    "CLA": ("Claustrum", "Endopiriform nucleus"),
    "fiber": ("fiber tracts",),
    "ventricle": ("ventricular systems",),
    "Isocortex": ("Isocortex",),
    "CTXsp": ("Cortical subplate",),
    "CNU": ("Cerebral nuclei",),
    "TH": ("Thalamus",),
    "MB": ("Midbrain",),
    "HBr": ("Hindbrain",),
    "P": ("Pons",),
    "MY": ("Medulla",),
    "CB": ("Cerebellum",),
    "none": (),
}


def brute_groups() -> dict[str, str]:
    """Of all roots on a region's path, take the one furthest along it."""
    id_of_name = {row["name"]: int(row["id"]) for row in ROWS}
    roots = {id_of_name[name]: group for group, names in MEANT.items() for name in names}
    groups = {}
    for acronym, path in PATH.items():
        group = "none"
        for structure in path:
            group = roots.get(structure, group)
        groups[acronym] = group
    return groups


BRUTE_GROUPS = brute_groups()


def test_acronyms_are_those_of_the_tree_in_its_order():
    assert regions.acronyms() == tuple(NAMES)
    assert len(NAMES) == 1328
    orders = [int(float(row["graph_order"])) for row in ROWS[1:]]
    assert orders == sorted(orders)
    place = {acronym: n for n, acronym in enumerate(regions.acronyms())}
    assert all(place[above] < place[acronym] for acronym, above in PARENT.items())


def test_acronyms_are_unique_but_only_with_case():
    assert len(set(regions.acronyms())) == len(regions.acronyms())
    folded = Counter(name.lower() for name in regions.acronyms())
    clashing = {name for name in regions.acronyms() if folded[name.lower()] > 1}
    assert clashing == {"CM", "cm", "IPF", "ipf"}
    assert regions.remap(["CM", "cm", "IPF", "ipf"], "group").tolist() == [
        "THil",
        "fiber",
        "none",
        "none",
    ]


def test_every_id_of_either_sign_is_named():
    ids = np.array(list(BY_ID))
    assert regions.from_ids(ids).tolist() == NAMES
    assert regions.from_ids(-ids).tolist() == NAMES
    assert regions.unknown_ids(np.concatenate([ids, -ids])) == ()


@pytest.mark.parametrize(
    ("structure", "acronym"),
    [(0, "void"), (997, "root"), (-997, "root"), (382, "CA1"), (-1, "TMv"), (999_999_999, "")],
)
def test_one_id(structure, acronym):
    named = regions.from_ids(structure)
    assert named.shape == ()
    assert named.item() == acronym


def test_unknown_ids_are_unique_sorted_and_keep_their_sign():
    ids = [[997, 999_999_999], [-999_999_999, 999_999_999], [0, -997]]
    assert regions.unknown_ids(ids) == (-999_999_999, 999_999_999)
    assert all(type(value) is int for value in regions.unknown_ids(ids))


@pytest.mark.parametrize("empty", [[], np.empty((0, 3), np.int64), np.empty((2, 0))])
def test_no_ids_give_no_regions(empty):
    named = regions.from_ids(empty)
    assert named.shape == np.shape(empty)
    assert named.dtype == object
    assert regions.unknown_ids(empty) == ()


def test_extreme_integers_do_not_wrap_into_regions():
    low = np.iinfo(np.int64).min
    assert regions.unknown_ids(np.array([low])) == (low,)
    # As an int64 this one would be -997, the root of the other hemisphere.
    wrapping = np.array([2**64 - 997], dtype=np.uint64)
    assert regions.from_ids(wrapping).tolist() == [""]
    assert regions.from_ids(np.array([-128, 68], dtype=np.int8)).tolist() == [BY_ID[128], BY_ID[68]]


@pytest.mark.parametrize("ids", [[1.0, np.nan], [True], ["997"], [None, 997]])
@pytest.mark.parametrize("function", [regions.from_ids, regions.unknown_ids])
def test_ids_must_be_integers(ids, function):
    with pytest.raises(SelectionError, match=r"lsdx\.regions\.\w+: expected Allen ids as integers"):
        function(ids)


any_ids = st.one_of(
    st.sampled_from(sorted(BY_ID)),
    st.sampled_from(sorted(-structure for structure in BY_ID)),
    st.integers(-(2**63), 2**63 - 1),
)


@given(
    ids=npst.arrays(
        np.int64,
        npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
        elements=any_ids,
    )
)
def test_from_ids_keeps_shape_and_agrees_with_a_loop(ids):
    named = regions.from_ids(ids)
    assert named.shape == ids.shape
    assert named.dtype == object
    expected = [BY_ID.get(abs(value), "") for value in ids.ravel().tolist()]
    assert named.ravel().tolist() == expected
    missing = {value for value in ids.ravel().tolist() if abs(value) not in BY_ID}
    assert regions.unknown_ids(ids) == tuple(sorted(missing))


def test_descendants_of_every_acronym_by_path():
    for acronym in NAMES:
        own = ID[acronym]
        expected = {other for other, path in PATH.items() if own in path}
        assert regions.descendants(acronym) == expected, acronym


def test_descendants_of_every_acronym_by_parents():
    expected = {acronym: {acronym} for acronym in NAMES}
    for acronym in NAMES:
        above = PARENT.get(acronym)
        while above is not None:
            expected[above].add(acronym)
            above = PARENT.get(above)
    assert {acronym: regions.descendants(acronym) for acronym in NAMES} == expected


@pytest.mark.parametrize(
    ("acronym", "members"),
    [
        ("Isocortex", {"MOs6a", "ACAd6a", "PL6a", "MOs5", "PL6b"}),
        ("STR", {"LSr", "CP", "ACB", "CEAc"}),
        ("fiber tracts", {"fa", "cing"}),
        ("HPF", {"CA1", "DG-mo"}),
        ("VS", {"V3", "chpl"}),
    ],
)
def test_known_descendants(acronym, members):
    assert members <= regions.descendants(acronym)


def test_root_has_all_but_void():
    assert regions.descendants("void") == {"void"}
    assert regions.descendants("root") == set(NAMES) - {"void"}


@pytest.mark.parametrize(
    ("acronym", "advice"),
    [
        ("visp", "VISp"),
        ("LG", "LGd"),
        ("Isocortx", "Isocortex"),
        ("IpF", "ipf, IPF"),
        ("mPFC", "coarse group: use its roots, ACA, ILA, PL"),
        ("none", "one of the nearest"),
        ("qqqqqqqqq", r"Look the region up in lsdx\.regions\.acronyms\(\)"),
        ("", r"Look the region up"),
        (None, "as strings"),
    ],
)
def test_unknown_acronym_is_named_with_what_to_use(acronym, advice):
    with pytest.raises(SelectionError, match=advice) as caught:
        regions.descendants(acronym)
    assert f"found {acronym!r}. " in str(caught.value)
    assert isinstance(caught.value, LsdxError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("mapping", "file"),
    [("beryl", "beryl.npy"), ("cosmos", "cosmos.npy"), ("swanson", "swanson_regions.npy")],
)
def test_remap_of_every_acronym_is_the_nearest_member_of_the_set(mapping, file):
    members = {abs(int(structure)) for structure in np.load(ATLAS / file).ravel()}
    expected = []
    for acronym in NAMES:
        nearest = [structure for structure in PATH[acronym] if structure in members]
        alone = "void" if acronym == "void" else "root"
        expected.append(BY_ID[nearest[-1]] if nearest else alone)
    mapped = regions.remap(NAMES, mapping)
    assert mapped.tolist() == expected
    assert regions.remap(mapped, mapping).tolist() == expected


@pytest.mark.parametrize(
    ("acronym", "beryl", "cosmos", "swanson", "group"),
    [
        ("VISp5", "VISp", "Isocortex", "VISp", "VIS"),
        ("MOs6a", "MOs", "Isocortex", "MOs", "M2"),
        ("ACAd6a", "ACAd", "Isocortex", "ACAd", "mPFC"),
        ("PL6b", "PL", "Isocortex", "PL", "mPFC"),
        ("CA1", "CA1", "HPF", "CA1", "HPC"),
        ("DG-mo", "DG", "HPF", "DG", "HPC"),
        ("LSr", "LSr", "CNU", "LSr", "SEP"),
        ("CEAc", "CEA", "CNU", "CEAc", "AMY"),
        ("fa", "root", "root", "root", "fiber"),
        ("V3", "root", "root", "root", "ventricle"),
        ("void", "void", "void", "void", "none"),
        ("root", "root", "root", "root", "none"),
        # Swanson has no member for these, though they are cortex.
        ("FRP1", "FRP", "Isocortex", "root", "Isocortex"),
        ("VISpor5", "VISpor", "Isocortex", "root", "VIS"),
    ],
)
def test_known_remaps(acronym, beryl, cosmos, swanson, group):
    assert regions.remap([acronym], "beryl").item() == beryl
    assert regions.remap([acronym], "cosmos").item() == cosmos
    assert regions.remap([acronym], "swanson").item() == swanson
    assert regions.remap([acronym], "group").item() == group


def test_groups_are_the_labs_and_cannot_be_changed():
    name_of = {row["acronym"]: row["name"] for row in ROWS}
    spelt = {
        group: tuple(name_of[root] for root in roots) for group, roots in regions.GROUPS.items()
    }
    assert spelt == MEANT
    every_root = [root for roots in regions.GROUPS.values() for root in roots]
    assert len(every_root) == len(set(every_root))
    with pytest.raises(TypeError):
        regions.GROUPS["VIS"] = ("VISp",)


def test_every_acronym_has_one_group():
    mapped = regions.remap(NAMES, "group")
    assert dict(zip(NAMES, mapped, strict=True)) == BRUTE_GROUPS
    assert set(mapped) == set(regions.GROUPS)


@pytest.mark.parametrize(
    ("acronym", "group"),
    [
        ("ZI", "ZI"),
        ("A13", "ZI"),
        ("LHA", "HYP"),
        ("NDB", "BF"),
        ("SI", "BF"),
        ("MS", "SEP"),
        ("MSC", "SEP"),
        ("TRS", "STR"),
        ("PALm", "STR"),
        ("sAMY", "AMY"),
        ("BLAa", "AMY"),
        ("COAa", "OLF"),
        ("6b", "CTXsp"),
        ("EPd", "CLA"),
        ("RT", "TRN"),
        ("MH", "HB"),
        ("LGd-sh", "THvis"),
        ("IGL", "TH"),
        ("PF", "TH"),
        ("VISa1", "VIS"),
        ("VISrl5", "VIS"),
        ("PTLp6a", "VIS"),
        ("PTLp", "VIS"),
        ("GU4", "Isocortex"),
        ("VISC", "Isocortex"),
        ("AId5", "Isocortex"),
        ("SCs", "MB"),
        ("PAG", "MB"),
        ("PRNr", "P"),
        ("GRN", "MY"),
        ("CUL4 5", "CB"),
        ("CNU", "CNU"),
        ("VISrll2/3", "SS"),
        ("VISlla5", "AUD"),
        ("VISm1", "RSP"),
        ("grv", "none"),
        # These are acronyms and, for another region, names of groups.
        ("HB", "HBr"),
        ("TRN", "P"),
    ],
)
def test_known_groups(acronym, group):
    assert regions.remap(acronym, "group").item() == group


def test_none_is_left_to_what_the_atlas_does_not_place() -> None:
    group = dict(zip(NAMES, regions.remap(NAMES, "group"), strict=True))
    cosmos = dict(zip(NAMES, regions.remap(NAMES, "cosmos"), strict=True))
    without = {name for name in NAMES if group[name] == "none"}
    assert without == {
        name
        for name in NAMES
        if cosmos[name] in ("root", "void") and group[name] not in ("fiber", "ventricle")
    }
    # too large for a group, or no tissue: grooves of the cortex, and the retina
    larger = {"root", "grey", "CH", "CTX", "CTXpl", "BS", "IB"}
    assert without == {"void", "retina"} | larger | regions.descendants("grv")
    counts = Counter(group.values())
    assert counts["none"] == 31
    # of the 440 acronyms without a group of the lab's, one by one over the tree
    broad = {"Isocortex": 52, "CTXsp": 2, "CNU": 1, "TH": 38, "MB": 76, "HBr": 1, "P": 52, "MY": 79}
    assert {name: counts[name] for name in [*broad, "CB"]} == broad | {"CB": 87}
    assert sum(broad.values()) + 87 + len(regions.descendants("PTLp")) + 31 == 440


@given(
    names=npst.arrays(
        object,
        npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        elements=st.sampled_from(["", *NAMES]),
    ),
    mapping=st.sampled_from(["beryl", "cosmos", "swanson", "group"]),
)
def test_remap_keeps_shape_and_works_one_by_one(names, mapping):
    before = names.copy()
    mapped = regions.remap(names, mapping)
    assert mapped.shape == names.shape
    assert mapped.dtype == object
    assert np.array_equal(before, names)
    one_by_one = [regions.remap(name, mapping).item() for name in names.ravel()]
    assert mapped.ravel().tolist() == one_by_one
    assert np.array_equal(mapped == "", names == "")


@pytest.mark.parametrize("dtype", [object, "U", np.dtypes.StringDType()])
def test_remap_reads_every_kind_of_string_array(dtype):
    names = np.array([["VISp5", ""], ["CA1", "DG-mo"]], dtype=dtype)
    mapped = regions.remap(names, "beryl")
    assert mapped.tolist() == [["VISp", ""], ["CA1", "DG"]]
    assert all(type(name) is str for name in mapped.ravel())


def test_remap_names_the_unknown():
    with pytest.raises(SelectionError, match=r"found 'LG', nan, 'visp'\. For 'LG'.*LGd"):
        regions.remap(np.array(["VISp", "LG", np.nan, "visp", "LG"], dtype=object), "beryl")
    with pytest.raises(SelectionError, match=r"'q4' and 3 more"):
        regions.remap([f"q{n}" for n in range(8)], "group")


@pytest.mark.parametrize("mapping", ["Beryl", "allen", "", None])
def test_remap_names_an_unknown_mapping(mapping):
    with pytest.raises(SelectionError, match=r"'beryl', 'cosmos', 'swanson', 'group'"):
        regions.remap(["VISp"], mapping)


def test_a_root_that_the_ontology_lacks_is_no_silent_none(monkeypatch):
    monkeypatch.setattr(regions, "GROUPS", {"THvis": ("LG", "LP")})
    with pytest.raises(SelectionError, match=r"GROUPS: .*found 'LG'\."):
        regions._ontology.__wrapped__()


def test_version_is_the_installed_one():
    assert regions.version() == iblatlas.__version__


def test_the_ontology_is_read_once_and_results_are_fresh():
    assert regions._ontology() is regions._ontology()
    mapped = regions.remap(["VISp5"], "beryl")
    mapped[:] = "spoilt"
    named = regions.from_ids([997])
    named[:] = "spoilt"
    assert regions.remap(["VISp5"], "beryl").item() == "VISp"
    assert regions.from_ids([997]).item() == "root"


def test_importing_does_not_load_iblatlas():
    code = "import lsdx.regions, sys; assert 'iblatlas' not in sys.modules"
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        cwd=Path(regions.__file__).parents[1],
    )
