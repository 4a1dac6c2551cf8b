"""The catalog: what is current, and what its bytes must be."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from lsdx.errors import StoreCorrupt, located

CATALOG = "catalog.json"
RESTORE = (
    "Restore the file, or remove it and build from the same source: finished parts are used again."
)
FORMAT = 2
_READ = (1, FORMAT)
_DIGEST = re.compile(r'\A\{\n "digest": "([0-9a-f]{64})",\n')


@dataclass(frozen=True)
class Entry:
    """One Zarr store of the catalog: where it is, and what its bytes must be.

    ``metadata`` holds each ``zarr.json`` (by its array's name, ``""`` for the group), in format 1
    its SHA-256; of a store of one file its SHA-256. ``sizes`` are lengths by dimension; ``attrs``
    what need not be read from it.
    """

    path: str
    bytes: int
    metadata: Mapping[str, str]
    sizes: Mapping[str, int]
    attrs: Mapping[str, Any]


@dataclass(frozen=True)
class Catalog:
    """What is current: the parts of each session and the flat stores made of them.

    ``simulated`` is of all sessions alike; ``recipes`` tells what each entry was built with;
    ``parts[recipe][eid]`` and ``flat[recipe]`` are entries; ``protocol`` holds the names of
    phases, epochs and conditions.
    """

    simulated: bool = False
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    parts: Mapping[str, Mapping[str, Entry]] = field(default_factory=dict)
    flat: Mapping[str, Entry] = field(default_factory=dict)
    protocol: Mapping[str, Sequence[str]] = field(default_factory=dict)
    format: int = FORMAT

    def to_json(self) -> str:
        """Write the catalog, its own digest first."""
        return self._content().replace("{\n", f'{{\n "digest": "{self.digest}",\n', 1)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the catalog's text without this digest."""
        return hashlib.sha256(self._content().encode()).hexdigest()

    def _content(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True)

    def entries(self) -> list[Entry]:
        """List every store that the catalog names."""
        parts = [e for by_session in self.parts.values() for e in by_session.values()]
        return [*self.flat.values(), *parts]


def digest_of(value: object) -> str:
    """Return the SHA-256 of a JSON value in its canonical form.

    Examples
    --------
    >>> digest_of({"b": 1, "a": 2}) == digest_of({"a": 2, "b": 1})
    True
    """
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def parse_catalog(text: str, where: str) -> Catalog:
    """Read a catalog from its text; ``where`` is named in errors.

    Raises
    ------
    StoreCorrupt
        If it is not what was published.
    """
    stated = _DIGEST.match(text)
    content = "" if stated is None else "{\n" + text[stated.end() :]
    found = hashlib.sha256(content.encode()).hexdigest()
    try:
        if stated is None:
            raise ValueError("no digest")
        if found != stated[1]:
            raise ValueError(f"digest {found}, not {stated[1]}")
        raw = json.loads(content)
    except ValueError as error:
        raise StoreCorrupt(
            located(where, "a whole catalog", f"a damaged one ({error})", RESTORE)
        ) from error
    if raw["format"] not in _READ:
        raise StoreCorrupt(
            located(
                where,
                f"format {FORMAT} or older",
                f"format {raw['format']}",
                "Read it with the lsdx that wrote it, or build into another folder.",
            )
        )
    parts = {r: {e: Entry(**v) for e, v in by.items()} for r, by in raw["parts"].items()}
    flat = {r: Entry(**v) for r, v in raw["flat"].items()}
    catalog = Catalog(**{**raw, "parts": parts, "flat": flat})
    catalog.__dict__["digest"] = stated[1]  # known: not computed again
    return catalog
