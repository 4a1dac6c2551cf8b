"""An Alyx database as a source: its records by REST, kept as a dated snapshot; files on demand.

The network is not used where the snapshot and the files are on disk. User, password or token
come from the environment or from ONE's own parameters; they go to the servers they are for, and are
kept nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import portalocker

from lsdx.config import Settings
from lsdx.errors import SourceError, located
from lsdx.readers.records import SNAPSHOT, DatasetRecord
from lsdx.sources.connection import connect, data_login
from lsdx.sources.download import MAX_IN_A_ROW, Download, download_all
from lsdx.sources.local import LocalFiles
from lsdx.sources.snapshot import (
    earlier_snapshot,
    kept_snapshot,
    take_snapshot,
    write_snapshot,
)

LOCK = "lsdx-downloads.lock"


class AlyxSource(LocalFiles):
    """Sessions of an Alyx database, whose files come to a ONE cache when they are needed.

    Parameters
    ----------
    root : Path
        Root of the ONE cache.
    settings : Settings
        ``base_url``, ``project`` and ``task_protocol``.
    offline : bool
        Whether to use only what is on disk, without the network.
    refresh : bool
        Whether to read the records again, even if there is a snapshot of them.
    progress : bool
        Whether to show a progress bar.

    Raises
    ------
    ConfigError
        If there are no credentials, or the snapshot is of other settings.
    SourceError
        If the database cannot be reached or refuses, or has no such session.
    """

    def __init__(
        self,
        root: Path,
        settings: Settings,
        *,
        offline: bool = False,
        refresh: bool = False,
        progress: bool = False,
    ) -> None:
        settings = replace(settings, base_url=(settings.base_url or "").rstrip("/") or None)
        self.base_url = settings.base_url
        self.offline = offline
        self.failed: dict[Path, str] = {}
        path = root / SNAPSHOT
        wanted = {"project": settings.project, "task_protocol": settings.task_protocol}
        if refresh or not path.is_file():
            if offline:
                raise SourceError(
                    located(str(path), "a snapshot of records", "none", "Run without --offline.")
                )
            alyx = connect(settings)
            earlier = earlier_snapshot(path, wanted | {"source": alyx.url})
            write_snapshot(path, take_snapshot(alyx, wanted, earlier, progress=progress))
        snapshot, notes, problems = kept_snapshot(path, wanted | {"source": settings.base_url})
        super().__init__(
            root,
            snapshot.sessions,
            snapshot.insertions,
            snapshot.datasets,
            simulated=snapshot.simulated,
            notes=notes,
            stacks=snapshot.stacks,
            problems=problems,
        )
        self._datasets = {
            eid: tuple(replace(d, readable=self._is_readable(eid, d)) for d in datasets)
            for eid, datasets in snapshot.datasets.items()
        }

    @property
    def file_advice(self) -> str:
        """What to do about a file that is not on this machine."""
        if self.offline:
            return "Run without --offline."
        return "The database has no online copy of it: ask whoever uploads, then pass --refresh."

    @property
    def insertion_advice(self) -> str:
        """What to do about a probe without an insertion record."""
        return "Register the insertion in Alyx, then pass --refresh."

    def unreachable(self) -> str:
        """Say why this process cannot keep the files that it downloads; blank if it can."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            do = "Name a folder that every worker can make: --cache-dir DIR."
            return located(str(self.root), "a folder for downloads", str(error), do)
        return ""

    def _is_readable(self, eid: str, dataset: DatasetRecord) -> bool:
        return (dataset.present and not self.offline) or self.path(eid, dataset).is_file()

    def missing(self, wanted: Iterable[tuple[str, Sequence[DatasetRecord]]]) -> list[Download]:
        """List the files of these datasets that are not on disk, or not complete."""
        return [
            Download(f"session {eid}, {d.path}", d.url, self.path(eid, d), d.size, d.md5)
            for eid, datasets in wanted
            for d in datasets
            if d.url and not _is_complete(self.path(eid, d), d.size)
        ]

    def download(
        self, wanted: Iterable[tuple[str, Sequence[DatasetRecord]]], *, progress: bool = False
    ) -> None:
        """Fetch what is not on disk; `fetch` says why a file could not be had."""
        if self.offline:
            return
        wanted = list(wanted)
        if not self.missing(wanted):
            return
        # another build that fills the same cache goes first; what it fetched is then there
        with portalocker.Lock(self.root / LOCK, "a", flags=portalocker.LockFlags.EXCLUSIVE):
            missing = self.missing(wanted)
            self.failed, not_asked = download_all(
                missing, auth=data_login(self.base_url), progress=progress
            )
        if not_asked:
            note = (
                f"the download stopped after {MAX_IN_A_ROW} files in a row that could not be "
                f"had: {not_asked} files were not asked for; what is there is built"
            )
            self.notes = (*self.notes, note)

    def _absent(self, where: str, path: Path) -> SourceError:
        if path in self.failed:
            return SourceError(self.failed[path])
        return super()._absent(where, path)


def _is_complete(path: Path, size: int | None) -> bool:
    return path.is_file() and (size is None or path.stat().st_size == size)
