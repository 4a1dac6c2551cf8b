"""The page in a real browser without a network: no request, no error, nothing cut off."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import lsdx

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--virtual-time-budget=5000",
)
FRAME = """<iframe src="probe.html" width="{width}" height="800" style="border:0"></iframe>
<script>addEventListener('message', e => {{document.body.dataset.told = e.data}})</script>"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


@pytest.fixture(scope="module")
def page(demo_stores: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("browser")
    return lsdx.report(out / "overview", stores=demo_stores, progress=False)


def chromium(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    profile = f"--user-data-dir={folder / 'profile'}"
    command = [str(CHROMIUM), *QUIET, profile, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def told(page: Path, folder: Path, expression: str, width: int = 1280) -> Any:
    """Return what an expression is on the page, which is shown in a frame of this width.

    The least window of Chromium is wider than a phone.
    """
    post = f"parent.postMessage(JSON.stringify({expression}), '*')"
    script = f"<script>addEventListener('load', () => setTimeout(() => {post}, 500))</script>"
    errors = "<script>window.wrong = []; onerror = e => {window.wrong.push(String(e))}</script>"
    text = page.read_text(encoding="utf-8").replace("<head>", f"<head>{errors}")
    (folder / "probe.html").write_text(text.replace("</body>", f"{script}</body>"), "utf-8")
    (folder / "frame.html").write_text(FRAME.format(width=width), "utf-8")
    shown = chromium(folder, "--dump-dom", (folder / "frame.html").as_uri())
    found = re.search(r'data-told="([^"]*)"', shown.stdout)
    assert found, shown.stderr[-500:]
    return json.loads(html.unescape(found[1]))


def test_it_asks_for_nothing_and_no_script_fails(page: Path, tmp_path: Path) -> None:
    entries = "performance.getEntriesByType('resource').map(e => e.name)"
    drawn = "Bokeh.documents.length"
    asked, wrong, documents = told(page, tmp_path, f"[{entries}, window.wrong, {drawn}]")
    assert [name for name in asked if not name.startswith("data:")] == []
    assert wrong == []
    assert documents > 0


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(page: Path, tmp_path: Path, width: int) -> None:
    size = "[document.documentElement.scrollWidth, innerWidth]"
    wide, window = told(page, tmp_path, size, width)
    assert window == width
    assert wide <= window


def test_it_prints(page: Path, tmp_path: Path) -> None:
    target = tmp_path / "page.pdf"
    chromium(tmp_path, f"--print-to-pdf={target}", page.as_uri())
    assert target.read_bytes().startswith(b"%PDF")
    assert target.stat().st_size > 50_000
