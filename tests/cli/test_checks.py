"""Commands that check what is there: verify, check, doctor. (`reconcile`: tests/test_reconcile.)"""

from __future__ import annotations

import json
import os
import platform
import shutil
from pathlib import Path
from typing import Any

import pytest

import lsdx
from lsdx.cli import main
from lsdx.store.place import Place

SECRETS = ("Geheim-1", "Geheim-2", "Geheim-3", "Geheim-4", "Geheim-5")


@pytest.fixture
def stores(small_stores: Path, tmp_path: Path) -> Path:
    """Return stores that may be damaged."""
    shutil.copytree(small_stores, tmp_path / "stores")
    return tmp_path / "stores"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder with an empty HOME, and no setting in the environment."""
    for name in [n for n in os.environ if n.startswith("LSDX_")]:
        monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def facts(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> dict[str, Any]:
    assert main(["doctor", *argv, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_damage_is_an_exit_code(stores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flat = stores / Place(stores).catalog().flat["epochs"].path / "start" / "c" / "0" / "0" / "0"
    flat.write_bytes(flat.read_bytes()[:-1])
    argv = ["verify", "--stores", str(stores)]
    assert main(argv) == 1
    out = capsys.readouterr().out
    assert "DAMAGED  flat/epochs-" in out
    assert "start, chunk 0/0/0" in out
    assert out.endswith(" 1 damaged\n")
    # what failed is told to the quiet as well
    assert main([*argv, "-q"]) == 1
    assert out.startswith(capsys.readouterr().out)
    assert main([*argv, "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == len(Place(stores).catalog().entries())
    assert [row["store"] for row in rows if row["problem"]] == [
        Place(stores).catalog().flat["epochs"].path
    ]


def test_a_damaged_part_is_told_with_its_session(
    stores: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    eid, entry = sorted(Place(stores).catalog().parts["units"].items())[0]
    path = stores / entry.path
    path.write_bytes(path.read_bytes()[:-1])
    label = lsdx.open_sessions(stores).session_label.sel(session=eid).item()
    assert main(["verify", "--stores", str(stores)]) == 1
    assert f"DAMAGED  {label}  parts/units/{eid}-" in capsys.readouterr().out


def test_check_is_one_object(demo_stores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--stores", str(demo_stores), "--json", "-q"]) == 0
    found = json.loads(capsys.readouterr().out)
    sessions = set(lsdx.open_sessions(demo_stores).session.values)
    assert {row["session"] for row in found["alignment"]} == sessions
    assert {row["verdict"] for row in found["alignment"]} == {"pass", "untestable"}
    assert all(row["session_label"].startswith("LSDX-") for row in found["alignment"])
    assert {row["camera"] for row in found["cameras"]} == {"left", "right", "body"}
    # nothing failed: the quiet hear nothing
    assert main(["check", "--stores", str(demo_stores), "-q"]) == 0
    assert capsys.readouterr() == ("", "")


def test_the_doctor_without_anything(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = facts(capsys)
    assert found["versions"]["lsdx"] == lsdx.__version__
    assert found["versions"]["Python"] == platform.python_version()
    assert {"numpy", "xarray", "zarr"} <= set(found["versions"])
    assert found["stores"] == {"folder": str(elsewhere / "stores"), "catalog": "none"}
    assert found["login"] == {"environment": False, "ONE": False}
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["memory_bytes"] > 1e8
    assert found["machine"]["free_disk_bytes"] > 0
    assert found["problems"] == []
    assert found["next"][0] == "lsdx build"
    assert {told["from"] for told in found["settings"].values()} == {"default"}
    # nothing is written, neither here nor at home
    assert list(elsewhere.iterdir()) == list(Path.home().iterdir()) == []
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = [x for x in lines if not x.startswith(" ")]
    assert heads == ["versions:", "extras:", "settings:", "stores:", "login:", "machine:", "next:"]
    assert lines[lines.index("next:") + 1] == "  lsdx build"


def test_the_doctor_tells_where_settings_come_from(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (elsewhere / "lsdx.toml").write_text('project = "p"\nstores = "of-the-file"\nsource = "cache"')
    monkeypatch.setenv("LSDX_SOURCE", "alyx")
    found = facts(capsys, "--stores", "mine")
    file = str(elsewhere / "lsdx.toml")
    told = {name: (s["value"], s["from"]) for name, s in found["settings"].items()}
    assert told["project"] == ("p", file)
    assert told["source"] == ("alyx", "the environment")
    assert told["stores"] == ("mine", "the command line")
    assert told["task_protocol"] == ("passiveChoiceWorld", "default")
    assert "set LSDX_ALYX_USER and LSDX_ALYX_PASSWORD, or LSDX_ALYX_TOKEN" in found["next"]
    assert main(["doctor", "--stores", "mine"]) == 0
    assert f"  project              p ({file})\n" in capsys.readouterr().out


def test_the_doctor_looks_at_the_stores(
    stores: Path, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--stores", str(stores)]
    assert main(["tag", "kept", *place, "-q"]) == 0
    catalog = Place(stores).catalog()
    found = facts(capsys, *place)
    assert found["next"][0] == "lsdx verify"
    assert found["stores"] == {
        "folder": str(stores),
        "catalog": catalog.digest[:16],
        "simulated": True,
        "sessions": 1,
        "bytes": sum(e.bytes for e in catalog.entries()),
        "tags": ["kept"],
    }
    shutil.rmtree(stores / catalog.flat["epochs"].path)
    found = facts(capsys, *place, code=1)
    assert "1 that are gone, such as flat/epochs-" in found["problems"][0]
    assert "tag kept" in found["problems"][1]
    assert found["next"][0].startswith("lsdx build")
    (stores / "catalog.json").write_text("{}")
    found = facts(capsys, *place, code=1)
    assert found["stores"]["catalog"] == "damaged"
    assert main(["doctor", *place]) == 1
    assert "problems:\n  1 " in capsys.readouterr().out


def test_the_doctor_tells_wrong_settings(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LSDX_SORCE", "cache")
    found = facts(capsys, "--stores", "mine", code=1)
    assert "Did you mean 'LSDX_SOURCE'?" in found["problems"][0]
    assert found["next"][0].startswith("correct the settings")
    assert found["stores"]["folder"] == str(elsewhere / "mine")


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("options", [[], ["--json"], ["-v"], ["--debug"]])
@pytest.mark.parametrize("mistyped", [False, True])
def test_the_doctor_never_tells_a_login(
    options: list[str],
    terminal: bool,
    mistyped: bool,
    elsewhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    user, password, token, kept, address = SECRETS
    monkeypatch.setenv("LSDX_ALYX_USER", user)
    monkeypatch.setenv("LSDX_ALYX_PASSWORD", password)
    monkeypatch.setenv("LSDX_ALYX_TOKEN" + "S" * mistyped, token)
    monkeypatch.setenv("LSDX_BASE_URL", f"https://me:{address}@alyx.example.org/x")
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    params = Path.home() / ".one"
    params.mkdir()
    (params / ".alyx.example.org").write_text(
        json.dumps({"ALYX_URL": "https://alyx.example.org/x", "ALYX_LOGIN": "a", "ALYX_PWD": kept})
    )
    (params / ".caches").write_text(json.dumps({"CLIENT_MAP": {}}))
    assert main(["doctor", *options]) == int(mistyped)
    said = capsys.readouterr()
    assert "environment" in said.out
    for secret in SECRETS:
        assert secret not in said.out + said.err
    if not mistyped:
        assert "https://alyx.example.org/x" in said.out


@pytest.mark.parametrize(
    ("known", "url", "expected"),
    [
        ({"ALYX_PWD": "x"}, None, True),
        ({"TOKEN": {"me": {"token": "x"}}}, None, True),
        ({"ALYX_PWD": "", "TOKEN": {}}, None, False),
        ({"ALYX_PWD": "x", "ALYX_URL": "https://a.example.org"}, "https://a.example.org/", True),
        ({"ALYX_PWD": "x", "ALYX_URL": "https://a.example.org"}, "https://b.example.org", False),
    ],
)
def test_the_doctor_looks_for_a_login_of_one(
    known: dict[str, object],
    url: str | None,
    expected: bool,
    elsewhere: Path,
) -> None:
    from lsdx.sources.connection import where_logins_are

    (Path.home() / ".one").mkdir()
    (Path.home() / ".one" / ".client").write_text(json.dumps(known))
    (Path.home() / ".one" / ".other").write_text("[]")
    (Path.home() / ".one" / ".broken").write_bytes(b"\xff")
    assert where_logins_are(url, {}) == {"environment": False, "ONE": expected}
    assert where_logins_are(url, {"LSDX_ALYX_TOKEN": "x"})["environment"]
    assert not where_logins_are(url, {"LSDX_ALYX_USER": "x"})["environment"]
