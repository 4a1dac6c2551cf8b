"""Fixtures of all tests and doctests: a small simulated cohort, and its stores."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from lsdx.builders import Report, build
from lsdx.builders.recipe import recipes_folder
from lsdx.config import Settings
from lsdx.demo import write_cohort

# movement brings 120 packages, so it has a session of its own: nox -s movement runs these, which
# are not collected where it is not installed.
collect_ignore = [] if find_spec("movement") else ["tests/movement", "lsdx/open_field/reading.py"]
# bombcell likewise: nox -s bombcell
collect_ignore += [] if find_spec("bombcell") else ["tests/bombcell"]
# SpikeInterface wants an older Zarr: nox -s spikeinterface
collect_ignore += [] if find_spec("spikeinterface") else ["tests/spikeinterface"]

SHARED = Path(__file__).resolve().parent.parent / "shared" / "data"


# files whose tests take longest: they come first, so that no worker is left with one at the end
LONGEST = (
    "tests/builders/test_together.py",
    "tests/builders/test_build.py",
    "tests/sources/test_alyx.py",
    "tests/test_notebooks.py",
    "tests/builders/",
    "tests/analysis/",
    "tests/test_",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first; within a file the order stays."""

    def place(item: pytest.Item) -> int:
        path = item.nodeid.partition("::")[0]
        return next((i for i, name in enumerate(LONGEST) if path.startswith(name)), len(LONGEST))

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def _one_thread_of_blas() -> Iterator[None]:
    """Give each of pytest-xdist's workers one thread of BLAS.

    They share the cores: with a thread for each core they wait for each other.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        with threadpool_limits(1, user_api="blas"):
            yield
    else:
        yield


@pytest.fixture(scope="session")
def demo_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the demo cohort of seven sessions, small."""
    return write_cohort(tmp_path_factory.mktemp("demo") / "cohort", n_units=24)


@pytest.fixture(scope="session")
def demo_report(demo_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Build the demo cohort's stores."""
    stores = tmp_path_factory.mktemp("built") / "stores"
    return build(Settings(source="cache", cache_dir=demo_cohort, stores=stores), progress=False)


@pytest.fixture(scope="session")
def demo_stores(demo_report: Report) -> Path:
    """Return the folder of the demo cohort's stores; read only."""
    return Path(demo_report.stores)


@pytest.fixture(scope="session")
def sample() -> Path:
    """Return the folder of the real sample recordings, which are not part of the project."""
    if not (SHARED / "ibl-sample").is_dir():
        pytest.skip("the real sample recordings are not on this machine")
    return SHARED / "ibl-sample"


@pytest.fixture(scope="module")
def without_behavior(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let builds of a module make no stores of cameras, which take half of their time."""
    folder = tmp_path_factory.mktemp("recipes")
    for path in recipes_folder().glob("*.py"):
        if not path.name.startswith(("pose_", "behavior")):
            shutil.copy(path, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lsdx.builders.recipe.recipes_folder", lambda: folder)
        yield


@pytest.fixture(autouse=True)
def _doctest_stores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the examples that open stores open the demo's: they run as a user pastes them."""
    item = request.node
    opening = re.compile(r"lsdx\.(open_|check_|report|analyse)")
    if isinstance(item, pytest.DoctestItem) and any(
        opening.search(e.source) for e in item.dtest.examples
    ):
        monkeypatch.setenv("LSDX_STORES", str(request.getfixturevalue("demo_stores")))


@pytest.fixture(autouse=True)
def _look_at_doctest_figures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compare what the examples of pictures drew with what they drew before, and close it.

    Small and grey, so that other fonts and versions of matplotlib make no difference.
    """
    yield
    if not isinstance(request.node, pytest.DoctestItem) or "matplotlib.pyplot" not in sys.modules:
        return
    plt = sys.modules["matplotlib.pyplot"]
    try:
        if request.node.name.startswith("lsdx.figures.") and plt.get_fignums():
            from tests.figures.thumbnails import compare_picture

            compare_picture(request.node.name, plt.gcf())
    finally:
        plt.close("all")
