"""Locks of a stores folder: builders share it, ``gc`` has it alone, one publishes at a time.

There are none where stores lie at an address: see `lsdx.builders.placing`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import portalocker

from lsdx.errors import RecipeError, located
from lsdx.remote import RemotePath, Root


@contextmanager
def building(folder: Root) -> Iterator[None]:
    """Hold the folder as one of any number of builders; nothing is removed meanwhile."""
    with _locked(folder / "build.lock", portalocker.LockFlags.SHARED, "lsdx gc is running"):
        yield


@contextmanager
def collecting(folder: Root) -> Iterator[None]:
    """Hold the folder alone."""
    with _locked(folder / "build.lock", portalocker.LockFlags.EXCLUSIVE, "a build is running"):
        yield


@contextmanager
def publishing(folder: Root) -> Iterator[None]:
    """Wait for the right to read the catalog, change it, and replace it."""
    with _waited(folder / "publish.lock"):
        yield


@contextmanager
def mending(folder: Root) -> Iterator[None]:
    """Wait for the right to put a sound store in the place of a damaged one."""
    with _waited(folder / "mend.lock"):
        yield


@contextmanager
def _waited(path: Root) -> Iterator[None]:
    if isinstance(path, RemotePath):
        yield
        return
    with path.open("a") as stream:
        portalocker.lock(stream, portalocker.LockFlags.EXCLUSIVE)
        yield


@contextmanager
def _locked(path: Root, kind: portalocker.LockFlags, otherwise: str) -> Iterator[None]:
    if isinstance(path, RemotePath):
        yield
        return
    with path.open("a") as stream:
        try:
            portalocker.lock(stream, kind | portalocker.LockFlags.NON_BLOCKING)
        except portalocker.LockException as error:
            raise RecipeError(
                located(str(path.parent), "the folder free", otherwise, "Try again later.")
            ) from error
        yield
