"""A ONE cache at an address as a source: its tables at once, each file when it is read."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from lsdx.errors import SourceError, StoreNotFound, located
from lsdx.readers.records import DatasetRecord
from lsdx.remote import RemotePath
from lsdx.sources.cache import CacheSource


class RemoteCache(CacheSource):
    """Sessions, insertions and files of a ONE cache in an object store.

    What is fetched lies in a temporary folder of the process that reads it, until its session is
    built. Another process, such as a worker, has a folder of its own.

    Parameters
    ----------
    address : RemotePath
        Laid out as the folder of a `CacheSource`.

    Raises
    ------
    SourceError
        If the tables are missing or unreadable.
    StoreNotFound
        If nobody answers there, or it may not be read.
    """

    def __init__(self, address: RemotePath) -> None:
        self.address = address
        root = _mirror(address)
        for table in address.names():
            if Path(table).suffix:  # else a lab's folder
                (address / table).download(root / table)
        super().__init__(root)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "root"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, root=_mirror(state["address"]))

    def unreachable(self) -> str:
        """Say why this process cannot read the recordings; blank if it can."""
        try:
            there = self.address.is_dir()
        except (StoreNotFound, ImportError) as error:
            return str(error)
        return "" if there else located(str(self.address), "a ONE cache", "nothing there")

    def fetch(self, eid: str, dataset: DatasetRecord) -> Path:
        """Return the local path of a dataset, downloaded, whose size and md5 have been checked."""
        path = self.path(eid, dataset)
        if not path.is_file():
            try:
                self._there(eid, dataset.path).download(path)
            except StoreNotFound as error:
                raise SourceError(str(error)) from error
            except FileNotFoundError:
                pass  # said by what follows
        return super().fetch(eid, dataset)

    def extra_file(self, eid: str, path: str) -> Path | None:
        """Return a file of the session's folder that no record lists, None if absent."""
        found = super().extra_file(eid, path)
        if found is not None:
            return found
        try:
            self._there(eid, path).download(self.folder(eid) / path)
        except StoreNotFound as error:
            raise SourceError(str(error)) from error
        except FileNotFoundError:
            return None
        return super().extra_file(eid, path)

    def release(self, eid: str) -> None:
        """Remove what was fetched of a session."""
        shutil.rmtree(self.folder(eid), ignore_errors=True)

    def _there(self, eid: str, path: str) -> RemotePath:
        return self.address / self._folders[eid] / path


_FOLDERS: dict[RemotePath, tempfile.TemporaryDirectory[str]] = {}


def _mirror(address: RemotePath) -> Path:
    """Return this process's folder for an address; it is removed when the process ends."""
    if address not in _FOLDERS:
        _FOLDERS[address] = tempfile.TemporaryDirectory(prefix="lsdx-cache-")
    return Path(_FOLDERS[address].name)
