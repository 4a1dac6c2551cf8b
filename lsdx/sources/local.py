"""Files of a ONE cache on this machine, and their records."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lsdx.errors import SourceError, located
from lsdx.readers.files import md5_of
from lsdx.readers.records import (
    DatasetRecord,
    InsertionRecord,
    SessionRecord,
    check_dataset_path,
)

if TYPE_CHECKING:
    from lsdx.sources.download import Download


def session_folder(session: SessionRecord, where: str) -> str:
    """Return a session's folder in a ONE cache, relative to its root."""
    folder = (
        f"{session.lab}/Subjects/{session.subject}/{session.date:%Y-%m-%d}/{session.number:03d}"
    )
    return check_dataset_path(folder, f"{where}, session {session.eid}")


def _same_day(sessions: Iterable[SessionRecord]) -> Iterator[str]:
    """Yield which subjects have several sessions of one day."""
    days: dict[tuple[str, str], list[int]] = {}
    for s in sessions:
        days.setdefault((s.subject, f"{s.date:%Y-%m-%d}"), []).append(s.number)
    for (subject, day), numbers in sorted(days.items()):
        if len(numbers) > 1:
            listed = ", ".join(f"{n:03d}" for n in sorted(numbers))
            yield f"{subject} {day}: {len(numbers)} sessions of one day ({listed})"


class LocalFiles:
    """Records of sessions, insertions and datasets, and files below one root.

    Parameters
    ----------
    root : Path
    sessions, insertions, datasets : mapping
        Records by session id (eid).
    simulated : bool
        Whether the recordings are.
    notes : tuple of str
        What the build report should say of the source.
    stacks : mapping, optional
        Whether each subject's image stacks are published, None where that is not known.
    problems : mapping, optional
        Why each session is left out whose records cannot be used.
    folders : mapping, optional
        Folder of each session below the root; as in a ONE cache by default.
    """

    def __init__(
        self,
        root: Path,
        sessions: Mapping[str, SessionRecord],
        insertions: Mapping[str, tuple[InsertionRecord, ...]],
        datasets: Mapping[str, tuple[DatasetRecord, ...]],
        *,
        simulated: bool,
        notes: tuple[str, ...],
        stacks: Mapping[str, bool | None] | None = None,
        problems: Mapping[str, str] | None = None,
        folders: Mapping[str, str] | None = None,
    ) -> None:
        self.root = root.absolute()  # a worker has another working directory
        self.simulated = simulated
        self.notes = notes
        self.problems = problems or {}
        self._stacks = stacks or {}
        self._sessions = sessions
        self._insertions = insertions
        self._datasets = datasets
        self._folders = folders or {
            eid: session_folder(s, str(root)) for eid, s in sessions.items()
        }
        self._refuse_shared_folders()
        self.notes += tuple(_same_day(sessions.values()))

    def _refuse_shared_folders(self) -> None:
        seen: dict[str, str] = {}
        for eid, folder in self._folders.items():
            if folder in seen:
                raise SourceError(
                    located(
                        f"{self.root}/{folder}",
                        "one session a folder",
                        f"sessions {seen[folder]} and {eid}",
                        "Take the record that is wrong out of sessions.pqt, or number it anew.",
                    )
                )
            seen[folder] = eid

    def unreachable(self) -> str:
        """Say why this process cannot read the recordings; blank if it can."""
        if self.root.is_dir():
            return ""
        do = "Keep it where all workers see it, or in an object store: --cache-dir s3://..."
        return located(str(self.root), "the folder of the recordings", "none", do)

    def of_session(self, eid: str) -> Self:
        """Return the same source with the records of one session alone."""
        cut = copy.copy(self)
        for name in ("_sessions", "_insertions", "_datasets", "_folders"):
            records = getattr(self, name)
            setattr(cut, name, {eid: records[eid]} if eid in records else {})
        return cut

    def release(self, eid: str) -> None:
        """Let go of nothing: the files are no copies."""

    def sessions(self) -> tuple[SessionRecord, ...]:
        """List every session, in order of start, then eid."""
        return tuple(sorted(self._sessions.values(), key=lambda s: s.order))

    def insertions(self, eid: str) -> tuple[InsertionRecord, ...]:
        """List the probe insertions of a session, in order of probe name."""
        return self._insertions.get(eid, ())

    def datasets(self, eid: str) -> tuple[DatasetRecord, ...]:
        """List the datasets of a session, in order of path."""
        return self._datasets.get(eid, ())

    def stacks(self, subject: str) -> bool | None:
        """Whether a subject's image stacks are published; None if that is not known."""
        return self._stacks.get(subject)

    @property
    def file_advice(self) -> str:
        """What to do about a file that is not on this machine."""
        return "Download it with ONE."

    @property
    def insertion_advice(self) -> str:
        """What to do about a probe without an insertion record."""
        return "Add it to insertions.pqt or to the snapshot of records."

    def missing(
        self,
        wanted: Iterable[tuple[str, Sequence[DatasetRecord]]],  # noqa: ARG002  of the protocol
    ) -> list[Download]:
        """List what can be downloaded: nothing."""
        return []

    def download(
        self, wanted: Iterable[tuple[str, Sequence[DatasetRecord]]], *, progress: bool = False
    ) -> None:
        """Fetch nothing: this source has only what is on disk."""

    def folder(self, eid: str) -> Path:
        """Return the folder of a session's files, whether it is there or not."""
        return self.root / self._folders[eid]

    def path(self, eid: str, dataset: DatasetRecord) -> Path:
        """Return the place of a dataset, whether it is there or not."""
        return self.folder(eid) / dataset.path

    def fetch(self, eid: str, dataset: DatasetRecord) -> Path:
        """Return the local path of a dataset whose size and md5 have been checked.

        Raises
        ------
        SourceError
            If the file is not there, or is not the one its record describes.
        """
        path = self.path(eid, dataset)
        where = f"session {eid}, {dataset.path}"
        if not path.is_file():
            raise self._absent(where, path)
        size = path.stat().st_size
        again = "Delete the file and download it again."
        if dataset.size is not None and size != dataset.size:
            raise SourceError(located(where, f"{dataset.size} bytes", f"{size}", again))
        if dataset.md5 is not None:
            md5 = md5_of(path)
            if md5 != dataset.md5.replace("-", "").lower():
                raise SourceError(located(where, f"md5 {dataset.md5}", md5, again))
        return path

    def extra_file(self, eid: str, path: str) -> Path | None:
        """Return a file of the session's folder that no record lists, None if absent."""
        found = self.folder(eid) / check_dataset_path(path, f"session {eid}")
        return found if found.is_file() else None

    def _absent(self, where: str, path: Path) -> SourceError:
        return SourceError(located(where, "a file", f"none at {path}", self.file_advice))
