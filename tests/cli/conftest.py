"""Small stores, for what is about the command and not about the recordings."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsdx.builders import build
from lsdx.config import Settings
from lsdx.demo import write_cohort


@pytest.fixture(scope="session")
def small_stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the stores of one session of 8 units."""
    folder = tmp_path_factory.mktemp("small")
    cohort = write_cohort(folder / "cohort", n_sessions=1, n_units=8)
    settings = Settings(source="cache", cache_dir=cohort, stores=folder / "stores")
    assert not build(settings, progress=False).failed
    return folder / "stores"
