"""Settings: file, then environment, then call; wrong ones are refused with the right ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from lsdx.config import (
    Pharmacology,
    Pose,
    Protocol,
    Settings,
    Sources,
    fill_from,
    load_settings,
    merge_file,
)
from lsdx.errors import ConfigError

EID = "0b7c1f6e-0000-3000-8000-000000000001"
OTHER = "0b7c1f6e-0000-3000-8000-000000000002"
KEYS = [f.name for f in fields(Settings)]
PATHS = ("cache_dir", "stores", "epochs", "administrations", "trajectories", "exclusions")

Toml = Callable[..., Path]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without settings, and an environment without any of ours."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in [n for n in os.environ if n.startswith("LSDX_")]:
        monkeypatch.delenv(name)
    return folder


@pytest.fixture
def toml(tmp_path: Path) -> Toml:
    def write(text: str, name: str = "lab/lsdx.toml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refused(read: Callable[..., object], *args: object, **options: object) -> str:
    with pytest.raises(ConfigError) as caught:
        read(*args, **options)
    return str(caught.value)


# ---- precedence -----------------------------------------------------------------------------


def test_without_anything_there_are_defaults() -> None:
    assert load_settings() == load_settings(environ={}) == Settings()
    assert Settings().stores == Path("stores")


def test_file_then_environment_then_call(toml: Toml) -> None:
    path = toml('source = "cache"\ncache_dir = "one"\nstores = "a"\nepochs = "e.csv"\n')
    environ = {"LSDX_STORES": "b", "LSDX_EPOCHS": "f.csv"}
    settings = load_settings(file=path, environ=environ, epochs="g.csv")
    assert settings.source == "cache"
    assert settings.cache_dir == path.parent / "one"
    assert settings.stores == Path("b")
    assert settings.epochs == Path("g.csv")


def test_the_environment_is_the_processs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSDX_STORES", "from-environment")
    assert load_settings().stores == Path("from-environment")


@pytest.mark.parametrize("key", ["source", *PATHS])
def test_every_plain_setting_has_a_variable(key: str) -> None:
    settings = load_settings(environ={f"LSDX_{key.upper()}": "cache"})
    assert str(getattr(settings, key)) == "cache"


def test_a_blank_variable_sets_nothing(toml: Toml) -> None:
    path = toml('stores = "a"\n')
    settings = load_settings(file=path, environ={"LSDX_STORES": "", "LSDX_SOURCE": ""})
    assert settings.stores == path.parent / "a"


def test_none_in_the_call_is_not_given(toml: Toml) -> None:
    path = toml('stores = "a"\n')
    assert load_settings(file=path, environ={}, stores=None).stores == path.parent / "a"


def test_the_file_of_the_working_directory_is_read(elsewhere: Path) -> None:
    (elsewhere / "lsdx.toml").write_text('stores = "here"\n')
    assert load_settings(environ={}).stores == Path("here")


def test_a_named_file_is_read_instead(elsewhere: Path, toml: Toml) -> None:
    (elsewhere / "lsdx.toml").write_text('stores = "here"\nsource = "cache"\n')
    first, second = toml('stores = "1"\n', "1.toml"), toml('stores = "2"\n', "2.toml")
    environ = {"LSDX_CONFIG": str(first)}
    assert load_settings(environ=environ) == Settings(stores=first.parent / "1")
    assert load_settings(file=second, environ=environ) == Settings(stores=second.parent / "2")


def test_paths_of_a_file_are_relative_to_it(toml: Toml, tmp_path: Path) -> None:
    path = toml("".join(f'{key} = "x/{key}"\n' for key in PATHS))
    settings = load_settings(file=path, environ={})
    assert {k: getattr(settings, k) for k in PATHS} == {k: tmp_path / "lab/x" / k for k in PATHS}


def test_absolute_paths_and_home_are_kept(toml: Toml, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("LAB", "/lab")
    path = toml('stores = "/data/stores"\ncache_dir = "~/ONE"\nepochs = "${LAB}/e.csv"\n')
    settings = load_settings(file=path, environ={"LSDX_EXCLUSIONS": "$HOME/x.csv"})
    assert settings.stores == Path("/data/stores")
    assert settings.cache_dir == Path("/home/someone/ONE")
    assert settings.epochs == Path("/lab/e.csv")
    assert settings.exclusions == Path("/home/someone/x.csv")
    assert load_settings(environ={}, stores="$LAB/s").stores == Path("/lab/s")
    assert load_settings(environ={}, stores="$HOME/s").stores == Path("/home/someone/s")


@pytest.mark.parametrize("path", ["$NONE_SUCH/x", "${NONE_SUCH}", "~no-such-user/x"])
def test_a_path_that_means_nothing_is_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NONE_SUCH", raising=False)
    assert path.split("/")[0] in refused(load_settings, environ={}, stores=path)


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().stores = Path("other")  # type: ignore[misc]


# ---- what is refused ------------------------------------------------------------------------


def test_a_wrong_key_of_a_file_lists_the_right_ones(toml: Toml) -> None:
    path = toml('store = "a"\n')
    message = refused(load_settings, file=path, environ={})
    assert str(path) in message
    assert "'store'" in message
    assert all(key in message for key in KEYS)
    assert "'stores'" in message.rpartition("Did you mean")[2]


def test_a_wrong_section_lists_the_right_ones(toml: Toml) -> None:
    message = refused(load_settings, file=toml("[protocols]\n"), environ={})
    assert "'protocols'" in message
    assert all(key in message for key in KEYS)


def test_a_wrong_key_of_the_call_lists_the_right_ones() -> None:
    message = refused(load_settings, environ={}, chache_dir="x")
    assert "'chache_dir'" in message
    assert all(key in message for key in KEYS)


@pytest.mark.parametrize("name", ["LSDX_STORE", "LSDX_PROTOCOL", "LSDX_", "LSDX_stores"])
def test_an_unknown_variable_lists_the_right_ones(name: str) -> None:
    message = refused(load_settings, environ={name: "x"})
    assert repr(name) in message
    assert all(f"LSDX_{key.upper()}" in message for key in ("source", *PATHS))
    assert "LSDX_CONFIG" in message


def test_other_variables_are_none_of_ours() -> None:
    assert load_settings(environ={"LSD": "x", "MYLSDX_STORES": "x", "PATH": "x"}) == Settings()


WRONG = {
    "a number for a path": ("stores = 3\n", "stores"),
    "a list for a path": ('epochs = ["a.csv"]\n', "epochs"),
    "a truth value for a path": ("cache_dir = true\n", "cache_dir"),
    "a table for a path": ('[stores]\npath = "a"\n', "stores"),
    "an unknown source": ('source = "server"\n', "source"),
    "a number for a source": ("source = 1\n", "source"),
    "text for the protocol": ('protocol = "passive"\n', "protocol"),
    "text for the phases": ('[protocol]\nphases = "pre"\n', "phases"),
    "no phases": ("[protocol]\nphases = []\n", "phases"),
    "a number for a phase": ("[protocol]\nphases = [1, 2]\n", "phases"),
    "a phase twice": ('[protocol]\nphases = ["pre", "pre"]\n', "phases"),
    "a blank epoch": ('[protocol]\nepochs = [""]\n', "epochs"),
    "an epoch with blanks around": ('[protocol]\nepochs = [" rfm"]\n', "epochs"),
    "the condition unknown": ('[protocol]\nconditions = ["lsd", "unknown"]\n', "conditions"),
    "a list for the conditions": (f'conditions = ["{EID}"]\n', "conditions"),
    "text for a condition": (f'[conditions]\nsaline = "{EID}"\n', "saline"),
    "no session in a condition": ('[conditions]\nsaline = ["ZFM-1"]\n', "saline"),
    "a number in a condition": ("[conditions]\nsaline = [7]\n", "saline"),
    "text for the storage": ('storage = "s3"\n', "storage"),
    "an option of no object store": ('[storage]\nendpoint = "https://s3.lab.org"\n', "endpoint"),
    "a list for an option": ("[storage]\naws_region = []\n", "aws_region"),
}


@pytest.mark.parametrize(("text", "key"), WRONG.values(), ids=WRONG)
def test_a_value_of_the_wrong_kind_is_refused_by_file_and_key(
    toml: Toml, text: str, key: str
) -> None:
    path = toml(text)
    message = refused(load_settings, file=path, environ={})
    assert message.startswith(str(path))
    assert key in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aws_secret_access_key", "hidden"),
        ("azure_storage_sas_token", "hidden"),
        ("google_service_account_key", "hidden"),
        ("aws_endpoint", "https://me:hidden@s3.lab.org"),
    ],
)
def test_credentials_in_a_file_are_refused_and_not_shown(toml: Toml, name: str, value: str) -> None:
    path = toml(f'[storage]\n{name} = "{value}"\n')
    message = refused(load_settings, file=path, environ={})
    assert f"[storage], {name}" in message
    assert "hidden" not in message


def test_an_unknown_source_lists_the_known_ones() -> None:
    message = refused(load_settings, environ={"LSDX_SOURCE": "server"})
    assert "demo" in message
    assert "cache" in message
    assert "'server'" in message


def test_a_wrong_key_of_the_protocol_lists_the_right_ones(toml: Toml) -> None:
    message = refused(load_settings, file=toml('[protocol]\nphase = ["a"]\n'), environ={})
    assert "[protocol]" in message
    assert all(name in message for name in ("phases", "epochs", "conditions"))


@pytest.mark.parametrize("content", [b"stores = \n", b"stores\n", b"\xff\xfe", b"a = 1\na = 2\n"])
def test_a_file_that_is_no_toml_is_refused(toml: Toml, content: bytes) -> None:
    path = toml("")
    path.write_bytes(content)
    assert str(path) in refused(load_settings, file=path, environ={})


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    assert str(missing) in refused(load_settings, file=missing, environ={})
    assert str(missing) in refused(load_settings, environ={"LSDX_CONFIG": str(missing)})
    assert str(tmp_path) in refused(load_settings, file=tmp_path, environ={})


# ---- the protocol and the conditions --------------------------------------------------------


def test_another_labs_protocol_needs_no_fork(toml: Toml) -> None:
    path = toml(
        '[protocol]\nphases = ["before", "after", "recovery"]\nconditions = ["psilocybin", "dmt"]\n'
        f'[conditions]\ndmt = ["{EID}"]\n'
    )
    settings = load_settings(file=path, environ={})
    assert settings.protocol == Protocol(
        phases=("before", "after", "recovery"),
        epochs=("spontaneous", "rfm", "replay"),
        conditions=("psilocybin", "dmt"),
    )
    assert settings.conditions == {"dmt": (EID,)}


def test_another_labs_pharmacology_needs_no_fork(toml: Toml) -> None:
    path = toml(
        '[administration]\ndrug = "psilocybin"\ncontrol = "vehicle"\nstock_per_gram = 4\n'
        "total_volume = 100.0\npost_interval = 900\n"
        f'[conditions]\nvehicle = ["{EID}"]\n'
    )
    settings = load_settings(file=path, environ={})
    assert settings.administration == Pharmacology(
        drug="psilocybin",
        control="vehicle",
        stock_per_gram=4,
        total_volume=100.0,
        post_interval=900,
    )
    assert settings.administration.post_tolerance == 120.0
    # the names are those of the conditions, which need not be given twice
    assert settings.protocol.conditions == ("psilocybin", "vehicle")
    assert settings.conditions == {"vehicle": (EID,)}
    own = toml('[administration]\ncontrol = "water"\n', "cohort/lsdx.toml")
    assert fill_from(Settings(), own).protocol.conditions == ("lsd", "water")
    assert fill_from(settings, own) == settings


def test_the_names_of_drug_and_control_are_those_of_the_conditions(toml: Toml) -> None:
    both = (
        '[protocol]\nconditions = ["dmt", "vehicle", "ketanserin"]\n'
        '[administration]\ndrug = "dmt"\n'
    )
    settings = load_settings(file=toml(both), environ={})
    assert settings.protocol.conditions == ("dmt", "vehicle", "ketanserin")
    message = refused(load_settings, file=toml(both.replace('= "dmt"', '= "lsd"')), environ={})
    assert "[administration], drug" in message
    assert "dmt, vehicle, ketanserin" in message
    assert "distinct" in refused(
        load_settings, file=toml('[administration]\ndrug = "saline"\n'), environ={}
    )


def test_a_file_for_the_rules_of_administration_is_told_its_own_key(toml: Toml) -> None:
    message = refused(load_settings, file=toml('administration = "doses.csv"\n'), environ={})
    assert "'doses.csv'" in message
    assert "administrations = ..." in message


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("stock_per_grams = 3", "stock_per_gram"),
        ('stock_per_gram = "3"', "stock_per_gram"),
        ("total_volume = -1", "total_volume"),
        ("total_volume = nan", "total_volume"),
        ("post_interval = inf", "post_interval"),
        ("post_tolerance = true", "post_tolerance"),
        ('drug = ""', "drug"),
        ("control = 3", "control"),
        ('drug = "unknown"', "drug"),
    ],
)
def test_a_wrong_rule_of_administration_is_refused(toml: Toml, line: str, key: str) -> None:
    message = refused(load_settings, file=toml(f"[administration]\n{line}\n"), environ={})
    assert "[administration]" in message
    assert key in message


def test_eids_of_conditions_have_one_form(toml: Toml) -> None:
    path = toml(f'[conditions]\nsaline = ["{EID.upper()}", "{OTHER.replace("-", "")}"]\n')
    assert load_settings(file=path, environ={}).conditions == {"saline": (EID, OTHER)}


@pytest.mark.parametrize("again", [EID, EID.upper()])
def test_an_eid_in_two_lists_is_refused(toml: Toml, again: str) -> None:
    path = toml(f'[conditions]\nlsd = ["{EID}"]\nsaline = ["{OTHER}", "{again}"]\n')
    message = refused(load_settings, file=path, environ={})
    assert EID in message
    assert "lsd" in message
    assert "saline" in message


@pytest.mark.parametrize("name", ["Saline", "control", "unknown"])
def test_an_unknown_condition_lists_the_known_ones(toml: Toml, name: str) -> None:
    message = refused(load_settings, file=toml(f'[conditions]\n{name} = ["{EID}"]\n'), environ={})
    assert "[conditions]" in message
    assert repr(name) in message
    assert "lsd, saline" in message


def test_the_call_may_name_the_conditions_that_the_file_lists(toml: Toml) -> None:
    """What counts is the protocol that results, not the one that a layer finds."""
    path = toml(f'[conditions]\ncontrol = ["{EID}"]\n')
    protocol = Protocol(conditions=("drug", "control"))
    settings = load_settings(file=path, environ={}, protocol=protocol)
    assert settings.conditions == {"control": (EID,)}


def test_conditions_and_protocol_may_come_from_the_call() -> None:
    settings = load_settings(
        environ={},
        conditions={"control": [EID]},
        protocol=Protocol(conditions=("drug", "control")),
    )
    assert settings.conditions == {"control": (EID,)}
    assert "[conditions]" in refused(load_settings, environ={}, conditions={"control": [EID]})


# ---- a cohort's own settings ----------------------------------------------------------------


def test_a_cohorts_settings_fill_what_is_not_set(toml: Toml) -> None:
    own = toml(
        f'administrations = "doses.csv"\nepochs = "epochs.csv"\n[conditions]\nsaline = ["{EID}"]\n',
        "cohort/lsdx.toml",
    )
    mine = load_settings(environ={}, epochs="mine.csv", source="cache", cache_dir=own.parent)
    filled = fill_from(mine, own)
    assert filled.administrations == own.parent / "doses.csv"
    assert filled.conditions == {"saline": (EID,)}
    assert filled.epochs == Path("mine.csv")
    assert (filled.source, filled.cache_dir) == (mine.source, mine.cache_dir)


def test_a_cohorts_settings_never_say_where_to_read_and_write(toml: Toml) -> None:
    own = toml('stores = "s"\ncache_dir = "c"\nsource = "cache"\n')
    assert fill_from(Settings(), own) == Settings()


def test_without_a_file_nothing_is_filled(tmp_path: Path) -> None:
    assert fill_from(Settings(), tmp_path / "none.toml") == Settings()


def test_a_wrong_key_in_a_cohorts_settings_lists_the_right_ones(toml: Toml) -> None:
    own = toml('administratoins = "doses.csv"\n')
    message = refused(fill_from, Settings(), own)
    assert message.startswith(str(own))
    assert all(key in message for key in KEYS)


def test_conditions_that_the_filled_protocol_lacks_are_refused(toml: Toml) -> None:
    """The user renames the conditions; the cohort's list is by the old names."""
    own = toml(f'[conditions]\nsaline = ["{EID}"]\n')
    mine = load_settings(environ={}, protocol=Protocol(conditions=("drug", "control")))
    assert "'saline'" in refused(fill_from, mine, own)


def test_a_file_is_laid_over_settings(toml: Toml) -> None:
    path = toml('epochs = "e.csv"\n')
    settings = merge_file(Settings(stores=Path("kept")), path)
    assert settings == Settings(stores=Path("kept"), epochs=path.parent / "e.csv")


def test_settings_made_by_hand_take_text_and_refuse_what_is_no_path() -> None:
    assert Settings(stores="built", cache_dir="~/ONE").cache_dir == Path("~/ONE").expanduser()
    with pytest.raises(ConfigError, match="cache_dir: expected a path"):
        Settings(cache_dir=3)
    with pytest.raises(ConfigError, match="source: expected one of"):
        Settings(source="aws")


def test_a_revision_can_be_pinned(tmp_path: Path) -> None:
    file = tmp_path / "lsdx.toml"
    file.write_text('[sources]\nrevision = "2024-01-01"\n')
    assert load_settings(file=file, environ={}).sources == Sources(revision="2024-01-01")
    assert load_settings(environ={}).sources.revision == ""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("revision = 2024-01-01", "the name of a revision, such as '2024-01-01'"),
        ('revision = ""', "the name of a revision"),
        ('revsion = "2024-01-01"', "one of revision, found 'revsion'. Did you mean 'revision'"),
    ],
)
def test_a_pinned_revision_is_a_name(tmp_path: Path, line: str, words: str) -> None:
    file = tmp_path / "lsdx.toml"
    file.write_text(f"[sources]\n{line}\n")
    with pytest.raises(ConfigError, match=words):
        load_settings(file=file, environ={})


# ---- pose -----------------------------------------------------------------------------------


def test_rules_of_pose_keep_the_other_trackers_threshold(toml: Toml) -> None:
    path = toml(
        '[pose]\nsurplus = "last"\nensemble = true\n[pose.likelihood]\nlightning_pose = 0.5\n'
    )
    found = load_settings(file=path, environ={}).pose
    assert found == Pose("last", {"dlc": 0.9, "lightning_pose": 0.5}, ensemble=True)
    assert load_settings(environ={}).pose == Pose("", {"dlc": 0.9}, ensemble=False)
    none = toml("[pose.likelihood]\ndlc = 0\n")
    assert load_settings(file=none, environ={}).pose.likelihood == {"dlc": 0}


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('surplus = "most"', "one of '', 'last', 'first'"),
        ("surplus = 1", "one of '', 'last', 'first'"),
        ('ensemble = "yes"', "one of True, False"),
        ("ensemble = 1", "one of True, False"),
        ('surpluss = "last"', "surplus"),
        ("likelihood = 0.9", "a table of numbers by tracker"),
        ("likelihood = {sleap = 0.9}", "dlc"),
        ("likelihood = {dlc = 1.1}", "a number from 0 to 1"),
        ("likelihood = {dlc = -0.1}", "a number from 0 to 1"),
        ("likelihood = {dlc = nan}", "a number from 0 to 1"),
        ("likelihood = {dlc = true}", "a number from 0 to 1"),
        ('likelihood = {dlc = "0.9"}', "a number from 0 to 1"),
    ],
)
def test_wrong_rules_of_pose_are_refused(toml: Toml, lines: str, words: str) -> None:
    told = refused(load_settings, file=toml(f"[pose]\n{lines}\n"), environ={})
    assert "[pose]" in told
    assert words in told
