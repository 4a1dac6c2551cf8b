"""Paths in an object store: the part of `pathlib.Path` that stores are read and written by.

The one home of ``obstore``. Options and credentials come from the environment, under the names
that obstore gives them (``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT``, ``GOOGLE_SERVICE_ACCOUNT``,
``AZURE_STORAGE_ACCOUNT_NAME``, ...); they are never kept, printed or pickled. A path that is
pickled is its address and the options of the settings, which hold no credentials: a worker opens
it with the worker's own environment.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lsdx.errors import ConfigError, StoreNotFound, located, missing_package

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs", "az", "abfs", "abfss", "https", "http", "memory")
AT_ONCE = 16  # requests
# of the names of options, by scheme
PREFIXES = {
    "s3": "aws_",
    "gs": "google_",
    "az": "azure_",
    "abfs": "azure_",
    "abfss": "azure_",
}
_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
# bounded, so that a server that says nothing is told within minutes
_CLIENT: Any = {"timeout": "60s", "connect_timeout": "10s"}
_ALLOW_HTTP = ("aws_allow_http", "azure_allow_http", "google_allow_http")
_RETRY: Any = {"max_retries": 4, "retry_timeout": timedelta(seconds=90)}


def is_url(value: object) -> bool:
    """Return whether a text is an address rather than a path.

    Examples
    --------
    >>> is_url("s3://lab/cohort"), is_url("stores")
    (True, False)
    """
    return isinstance(value, str) and _URL.match(value) is not None


class PublishedMeanwhile(StoreNotFound):
    """What was to be replaced is another by now."""


# what tells one version of an object from another: an e-tag, with Google a generation besides
Version = Mapping[str, str]


@dataclass(frozen=True)
class RemoteObject:
    """One object: its path, its bytes, when it was written, and what tells this version of it."""

    path: RemotePath
    size: int
    modified: datetime
    version: Version


@dataclass(frozen=True)
class RemotePath:
    """A path below an address such as ``s3://bucket/prefix``.

    Examples
    --------
    >>> path = remote_path("s3://lab/cohort/") / "flat" / "units"
    >>> str(path), path.name, str(path.parent)
    ('s3://lab/cohort/flat/units', 'units', 's3://lab/cohort/flat')
    """

    root: str
    key: str = ""
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.root}/{self.key}" if self.key else self.root

    def __truediv__(self, other: object) -> RemotePath:
        return replace(self, key=str(PurePosixPath(self.key, str(other))))

    def __fspath__(self) -> str:
        """Refuse: what opens files by their path would look for it on this machine."""
        do = "Copy it to a folder, and work on that: lsdx copy ADDRESS FOLDER."
        raise ConfigError(located(str(self), "a folder of this machine", "an address", do))

    @property
    def name(self) -> str:
        """Return the last part."""
        return PurePosixPath(self.key or self.root).name

    @property
    def parent(self) -> RemotePath:
        """Return the path without its last part; the root is its own."""
        above = str(PurePosixPath(self.key).parent)
        return replace(self, key="" if above == "." else above)

    def absolute(self) -> RemotePath:
        """Return the path: an address is absolute."""
        return self

    def read_bytes(self) -> bytes:
        """Return an object whole.

        Raises
        ------
        FileNotFoundError
            If there is none.
        StoreNotFound
            If it may not be read, or nobody answers.
        """
        with _told(self, "read"):
            return bytes(_store(self).get(self.key).bytes())

    def download(self, to: Path) -> None:
        """Write an object to a file of this machine, in one step; errors are those of reading."""
        to.parent.mkdir(parents=True, exist_ok=True)
        part = to.with_name(f"{to.name}.{uuid4().hex}.part")
        try:
            with _told(self, "read"):
                found = _store(self).get(self.key)
                with part.open("wb") as stream:
                    for block in found.stream():
                        stream.write(block)
            part.replace(to)
        finally:
            part.unlink(missing_ok=True)

    def write_bytes(self, data: bytes, *, instead_of: Version | None = None) -> None:
        """Write an object whole; as the commit, only in the place of one that was seen.

        Parameters
        ----------
        data : bytes
        instead_of : mapping, optional
            The `version` of the object that it replaces, empty if there must be none.

        Raises
        ------
        PublishedMeanwhile
            If another stands there.
        StoreNotFound
            If it may not be written, or nobody answers.
        """
        mode: Any = "overwrite"
        if instead_of is not None:
            mode = dict(instead_of) or "create"
        with _told(self, "write"):
            _store(self).put(self.key, data, mode=mode)

    def look(self) -> RemoteObject | None:
        """Return what the store says of this object, None if there is none."""
        try:
            with _told(self, "read"):
                return self._object(_store(self).head(self.key))
        except FileNotFoundError:
            return None

    def version(self) -> Version:
        """Return what tells this version of the object, nothing if there is none."""
        found = self.look()
        return found.version if found else {}

    def unlink(self) -> None:
        """Remove an object; that there is none is no error."""
        with suppress(FileNotFoundError), _told(self, "remove"):
            _store(self).delete(self.key)

    def objects(self) -> list[RemoteObject]:
        """List the objects below, at any depth, in the order of their paths."""
        with _told(self, "list"):
            listed = _store(self).list(f"{self.key}/" if self.key else None)
            found = [self._object(o) for part in listed for o in part]
        return sorted(found, key=lambda o: o.path.key)

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return an object as text."""
        return self.read_bytes().decode(encoding)

    def relative_to(self, other: RemotePath) -> PurePosixPath:
        """Return the way from another path of the same address to this one."""
        return PurePosixPath(self.key).relative_to(other.key)

    def is_file(self) -> bool:
        """Return whether there is such an object."""
        return self.look() is not None

    def is_dir(self) -> bool:
        """Return whether there are objects below."""
        with _told(self, "list"):
            return bool(next(iter(_store(self).list(f"{self.key}/", chunk_size=1)), ()))

    def names(self) -> list[str]:
        """List the names of the objects and prefixes right below."""
        with _told(self, "list"):
            found = _store(self).list_with_delimiter(f"{self.key}/" if self.key else None)
        paths = [*(o["path"] for o in found["objects"]), *found["common_prefixes"]]
        return [PurePosixPath(p).name for p in paths]

    def exists(self) -> bool:
        """Return whether there is such an object, or some below."""
        return self.is_file() or self.is_dir()

    def write_folder(self, local: Path, last: str) -> None:
        """Write the files of a folder below; the one that says that all are there at the end."""
        files = [p for p in sorted(local.rglob("*")) if p.is_file() and p != local / last]

        def put(file: Path) -> None:
            (self / file.relative_to(local).as_posix()).write_bytes(file.read_bytes())

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(put, files))
        put(local / last)

    def read_folder(self, local: Path) -> None:
        """Write all objects below to files of a folder of this machine."""

        def get(found: RemoteObject) -> None:
            found.path.download(local / found.path.relative_to(self))

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(get, self.objects()))

    def zarr_store(self) -> Any:
        """Return all below the address as a Zarr store, read-only: one connection for all of it."""
        from zarr.storage import ObjectStore

        with _told(self, "read"):
            return ObjectStore(_store(self), read_only=True)

    def _object(self, told: Any) -> RemoteObject:
        path = replace(self, key=str(told["path"]))
        version = {name: str(told[name]) for name in ("e_tag", "version") if told.get(name)}
        return RemoteObject(path, told["size"], told["last_modified"], version)


Root = Path | RemotePath


def remote_path(address: str) -> RemotePath:
    """Return the path of an address.

    Raises
    ------
    ConfigError
        For a scheme that nobody knows, and for a login inside the address.

    Examples
    --------
    >>> remote_path("ftp://lab/cohort")
    Traceback (most recent call last):
        ...
    lsdx.errors.ConfigError: ftp://lab/cohort: expected an address that begins with one of s3, ...
    """
    found = _URL.match(address)
    if found is None or found[1].lower() not in SCHEMES:
        expected = "an address that begins with one of " + ", ".join(SCHEMES)
        scheme = "none" if found is None else found[1]
        raise ConfigError(located(address, expected, scheme))
    if "@" in address or "?" in address:  # not shown: it may hold a secret
        do = "Set them in the environment, such as AWS_ACCESS_KEY_ID."
        raise ConfigError(
            located(f"{found[1]}://...", "an address", "one with a login or a query", do)
        )
    return RemotePath(address.rstrip("/"))


@contextmanager
def _told(path: RemotePath, what: str) -> Iterator[None]:
    """Say in our own words what an object store answered; FileNotFoundError stays one."""
    try:
        from obstore import exceptions
    except ImportError as error:
        raise missing_package(path.root, "obstore", "cloud") from error
    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            do = "Check its name, and AWS_ENDPOINT or AWS_REGION in the environment."
            raise StoreNotFound(located(path.root, "a bucket", "none of that name", do)) from None
        raise FileNotFoundError(str(path)) from None
    except (exceptions.AlreadyExistsError, exceptions.PreconditionError) as error:
        do = "Somebody else published meanwhile: run it again."
        raise PublishedMeanwhile(
            located(str(path), "what was seen before", "another", do)
        ) from error
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise _not_allowed(path, what) from error
    except exceptions.BaseError as error:
        answer = str(error).split("\n")[0][:300]
        if "403 Forbidden" in answer or "401 Unauthorized" in answer:
            raise _not_allowed(path, what) from error
        do = "Check the address, and run it again."
        if what == "list" and path.root.lower().startswith("http"):
            do = "Most web servers list nothing: there, stores can be opened and copied."
        raise StoreNotFound(located(str(path), "an answer", answer, do)) from error


def _not_allowed(path: RemotePath, what: str) -> StoreNotFound:
    do = (
        "Set credentials in the environment, such as AWS_ACCESS_KEY_ID; for a public bucket "
        "AWS_SKIP_SIGNATURE=true."
    )
    return StoreNotFound(located(str(path), f"permission to {what}", "none", do))


def _store(path: RemotePath) -> ObjectStore:
    """Return the one connection to an address, a new one when the environment has changed."""
    prefix = PREFIXES.get(path.root.split("://")[0].lower(), "none")
    options = tuple(o for o in path.options if o[0].startswith(prefix))
    set_there = ((k.lower(), v) for k, v in os.environ.items())
    return _connected(path.root, options, tuple(o for o in set_there if o[0].startswith(prefix)))


@functools.cache
def _connected(
    root: str, options: tuple[tuple[str, str], ...], environment: tuple[tuple[str, str], ...]
) -> ObjectStore:
    from obstore.exceptions import BaseError
    from obstore.store import MemoryStore, from_url

    if root.startswith("memory://"):
        return MemoryStore()  # of this process, under this address
    try:
        # what is given to obstore takes the place of the environment's
        there = dict(environment)
        given: Any = {k: v for k, v in options if k not in there}
        plain = [there.get(k, given.pop(k, "")).lower() in ("true", "1") for k in _ALLOW_HTTP]
        client = _CLIENT | {"allow_http": any(plain) or root.lower().startswith("http:")}
        return from_url(root, config=given, client_options=client, retry_config=_RETRY)
    except (BaseError, ValueError) as error:
        answer = str(error).split("\n")[0][:300]
        do = "Check the environment, and [storage] of the settings."
        raise ConfigError(located(root, "an address and its options", answer, do)) from error
