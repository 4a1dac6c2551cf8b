"""What is no answer of Alyx is told, and a login is never shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from lsdx.demo import write_cohort
from lsdx.errors import SourceError
from lsdx.sources.connection import Alyx, NoLogin
from tests.sources.alyx_server import TOKEN, AlyxServer, serving


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("alyx") / "cohort", n_sessions=1, n_units=4)


@pytest.fixture
def server(cohort: Path) -> Iterator[AlyxServer]:
    with serving(cohort) as state:
        yield state


@pytest.mark.parametrize(
    "answer",
    [
        "text",
        7,
        {"detail": "no list"},
        {"count": "2", "results": []},
        {"count": 1, "results": "x"},
        {"count": 1, "results": {"id": 1}},
        {"count": 1, "results": ["x"]},
        ["x"],
    ],
)
def test_something_else_than_a_list_of_records_is_told(
    server: AlyxServer, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    monkeypatch.setattr(server, "answer", lambda path, query: answer)
    words = "sessions: expected an answer of Alyx, found no list of records. Check base_url"
    with pytest.raises(SourceError, match=words):
        Alyx(server.url, None, None, TOKEN).get_all("sessions")


def test_a_list_without_pages_is_read(server: AlyxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "answer", lambda path, query: [{"id": 1}, {"id": 2}])
    records = Alyx(server.url, None, None, TOKEN).get_all("sessions")
    assert [record["id"] for record in records] == [1, 2]


def test_a_page_of_html_is_told(server: AlyxServer) -> None:
    server.stacks = {"mouse": ["m_RD.tif"]}
    with pytest.raises(SourceError, match=r"an answer of Alyx, found no JSON.*asks you to log in"):
        Alyx(server.url, None, None, TOKEN).get("data/histology/lab/mouse/")


@pytest.mark.parametrize("answer", [{"detail": "hello"}, {"token": None}, ["token"]])
def test_a_login_without_a_token_is_told(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    reply = requests.Response()
    reply.status_code = 200
    monkeypatch.setattr(reply, "json", lambda: answer)
    monkeypatch.setattr("lsdx.sources.connection.requests.post", lambda *a, **k: reply)
    with pytest.raises(NoLogin, match="an answer of Alyx, found no token"):
        Alyx("http://127.0.0.1:9", "me", "secret").get("sessions")


@pytest.mark.parametrize(
    ("url", "token", "words"),
    [
        ("alyx.example.org", "t0k", "found MissingSchema. Correct base_url"),
        ("ftp://alyx.example.org", "t0k", "found InvalidSchema. Correct base_url"),
        ("http://", "t0k", "found InvalidURL. Correct base_url"),
        ("http://127.0.0.1:9", "t0k\nen", "found InvalidHeader. Correct base_url or the token"),
    ],
)
def test_what_cannot_be_sent_is_told_and_the_token_is_not_shown(
    url: str, token: str, words: str
) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        Alyx(url, None, None, token).get("sessions")
    assert "t0k" not in str(caught.value)
