"""Where recordings come from: one protocol, and what opens each kind of source."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from lsdx.config import Settings
from lsdx.errors import ConfigError, located
from lsdx.readers.records import DatasetRecord, InsertionRecord, SessionRecord


class Source(Protocol):
    """What lsdx asks of any place that holds recordings.

    An implementation is picklable, so that a worker process can fetch.
    """

    @property
    def simulated(self) -> bool:
        """Whether the recordings are simulated."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the build report should say of this source as a whole."""

    def sessions(self) -> tuple[SessionRecord, ...]:
        """List every session, in order of start, then eid."""

    def insertions(self, eid: str) -> tuple[InsertionRecord, ...]:
        """List the probe insertions of a session, in order of probe name."""

    def datasets(self, eid: str) -> tuple[DatasetRecord, ...]:
        """List the datasets of a session, in order of path."""

    def fetch(self, eid: str, dataset: DatasetRecord) -> Path:
        """Give the local path of a dataset whose size and md5 have been checked."""

    def extra_file(self, eid: str, path: str) -> Path | None:
        """Give a file of the session's folder that no record lists, None if absent."""


def open_source(settings: Settings) -> Source:
    """Open the source that the settings name.

    Raises
    ------
    ConfigError
        If no ``cache_dir`` is set.
    """
    from lsdx.sources.cache import CacheSource

    if settings.cache_dir is None:
        raise ConfigError(
            located("cache_dir", "the root of a ONE cache", "none", "Pass --cache-dir PATH.")
        )
    return CacheSource(settings.cache_dir)
