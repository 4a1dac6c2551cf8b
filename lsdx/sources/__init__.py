"""Where recordings come from: one protocol, and what opens each kind of source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lsdx.config import Settings, fill_from
from lsdx.errors import ConfigError, SourceError, located
from lsdx.readers.records import DatasetRecord, InsertionRecord, SessionRecord
from lsdx.remote import RemotePath

if TYPE_CHECKING:
    from lsdx.sources.download import Download


class Source(Protocol):
    """What any place that holds recordings must offer.

    An implementation is picklable, so that a worker process can fetch.
    """

    @property
    def simulated(self) -> bool:
        """Whether the recordings are simulated."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the build report should say of this source as a whole."""

    @property
    def problems(self) -> Mapping[str, str]:
        """Why each session is left out whose records cannot be used."""

    @property
    def file_advice(self) -> str:
        """What to do about a file that is not on this machine, as a sentence for an error."""

    @property
    def insertion_advice(self) -> str:
        """What to do about a probe without an insertion record, as a sentence for an error."""

    def unreachable(self) -> str:
        """Say why this process, such as a worker's, cannot read the recordings; blank if it can."""

    def of_session(self, eid: str) -> Source:
        """Return the same source with the records of one session alone, to be sent to a worker."""

    def release(self, eid: str) -> None:
        """Let go of what was fetched of a session for its build alone."""

    def sessions(self) -> tuple[SessionRecord, ...]:
        """List every session, in order of start, then eid."""

    def insertions(self, eid: str) -> tuple[InsertionRecord, ...]:
        """List the probe insertions of a session, in order of probe name."""

    def datasets(self, eid: str) -> tuple[DatasetRecord, ...]:
        """List the datasets of a session, in order of path."""

    def missing(self, wanted: Iterable[tuple[str, Sequence[DatasetRecord]]]) -> list[Download]:
        """List those of these datasets, by session, that are not here and can be fetched."""

    def download(
        self, wanted: Iterable[tuple[str, Sequence[DatasetRecord]]], *, progress: bool = False
    ) -> None:
        """Fetch datasets, by session, to this machine, as far as the source has them."""

    def stacks(self, subject: str) -> bool | None:
        """Whether a subject's image stacks are published; None if that is not known."""

    def folder(self, eid: str) -> Path:
        """Return the folder of a session's files on this machine, whether it is there or not."""

    def fetch(self, eid: str, dataset: DatasetRecord) -> Path:
        """Return the local path of a dataset whose size and md5 have been checked."""

    def extra_file(self, eid: str, path: str) -> Path | None:
        """Return a file of the session's folder that no record lists, None if absent."""


def open_source(
    settings: Settings, *, offline: bool = False, refresh: bool = False, progress: bool = False
) -> tuple[Source, Settings]:
    """Open the source that the settings name; a demo cohort that is not there is simulated.

    Parameters
    ----------
    settings : Settings
    offline : bool
        Whether to use the records and files of the cache as they are, without asking Alyx.
    refresh : bool
        Whether to read Alyx's records again, even if there is a snapshot of them.
    progress : bool
        Whether to show progress bars.

    Returns
    -------
    source : Source
    settings : Settings
        Filled from the ``lsdx.toml`` that the cache itself may carry.

    Raises
    ------
    ConfigError
        If no ``cache_dir`` is set.
    SourceError
        If the cache cannot be read, or holds recordings although the source is the demo.
    """
    from lsdx.sources.cache import CacheSource

    given = settings.cache_dir
    if isinstance(given, RemotePath):
        return _open_remote(settings, given)
    if settings.source == "alyx":
        from lsdx.sources.alyx import AlyxSource
        from lsdx.sources.connection import default_root

        root = given or default_root(settings)
        alyx = AlyxSource(root, settings, offline=offline, refresh=refresh, progress=progress)
        return alyx, fill_from(replace(settings, cache_dir=root), root / "lsdx.toml")
    if settings.source == "demo":
        given = given or _beside(settings) / "demo"
        if not (given / "sessions.pqt").is_file():
            from lsdx.demo import write_cohort

            write_cohort(given, progress=progress)
        settings = replace(settings, cache_dir=given)
    if given is None:
        raise ConfigError(
            located(
                "cache_dir",
                "the root of a ONE cache, or NWB files",
                "none",
                "Pass --cache-dir PATH.",
            )
        )
    if settings.source == "nwb":
        from lsdx.sources.nwb import NwbSource

        found = fill_from(settings, given / "lsdx.toml")
        nwb = NwbSource(given, _beside(settings) / "nwb", found, progress=progress)
        return nwb, nwb.settings
    source = CacheSource(given)
    if settings.source == "demo" and not source.simulated:
        raise SourceError(
            located(
                str(given),
                "a simulated cohort (source 'demo')",
                "recordings",
                "Pass --source cache to build from them.",
            )
        )
    return source, fill_from(settings, given / "lsdx.toml")


def _open_remote(settings: Settings, address: RemotePath) -> tuple[Source, Settings]:
    from lsdx.sources.remote_cache import RemoteCache

    if settings.source != "cache":
        do = "Pass --source cache, or name a folder of this machine."
        found = f"{address} with source {settings.source!r}"
        raise ConfigError(located("cache_dir", "a folder", found, do))
    source = RemoteCache(address)
    return source, fill_from(settings, source.root / "lsdx.toml")


def _beside(settings: Settings) -> Path:
    """Return the folder of stores for what is made on this machine, whatever stores' address."""
    return settings.stores if isinstance(settings.stores, Path) else Path("stores")
