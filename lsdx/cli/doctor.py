"""What `lsdx doctor` finds out. Nothing is written, and no login is shown."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from lsdx.config import Settings, load_settings, setting_origins
from lsdx.errors import LsdxError
from lsdx.remote import RemotePath

_MAIN = ("numpy", "pandas", "xarray", "zarr", "dask", "numba", "scipy", "pyarrow", "ONE-api")
_NOT_FOUND = "not installed"


def examine(file: str | None, stores: str | None) -> dict[str, Any]:
    """Return all facts, what is wrong, and what to do next.

    Parameters
    ----------
    file, stores : str, optional
        ``--config`` and ``--stores`` of the command line.

    Returns
    -------
    dict
        ``versions``, ``extras``, ``settings`` (``value`` and ``from`` by name), ``stores``,
        ``login``, ``machine``; ``problems`` and ``next``: lists of sentences.
    """
    problems: list[str] = []
    try:
        settings = load_settings(file=file, stores=stores)
        origins = setting_origins(file=file, stores=stores)
    except LsdxError as error:
        problems.append(f"settings: {error}")
        settings, origins = Settings(stores=Path(stores or "stores")), {}
    facts: dict[str, Any] = {
        "versions": _versions(),
        "extras": _extras(),
        "settings": {
            f.name: {
                "value": _value(getattr(settings, f.name)),
                "from": origins.get(f.name, "default").replace("the call", "the command line"),
            }
            for f in fields(Settings)
        },
        "stores": _stores(settings.stores),
        "login": _login(settings.base_url),
        "machine": _machine(settings.stores),
    }
    problems += [f"stores: {problem}" for problem in facts["stores"].pop("problems")]
    return facts | {"problems": problems, "next": _next(facts, settings, problems)}


def lines_of(facts: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Return what is shown: a topic, a name and what was found, one a line."""
    for topic in ("versions", "extras"):
        for name, value in facts[topic].items():
            yield topic, name, value
    for name, told in facts["settings"].items():
        value = told["value"]
        text = value if isinstance(value, str) else json.dumps(value)
        text = "not set" if value is None else text
        yield "settings", name, f"{text} ({told['from']})"
    for topic in ("stores", "login", "machine"):
        for name, value in facts[topic].items():
            text = str(value)
            if isinstance(value, bool):
                text = "yes" if value else "no"
            elif isinstance(value, list):
                text = ", ".join(value) or "none"
            elif name.endswith("bytes"):
                name = name.removesuffix("bytes").strip("_") or "size"
                text = f"{value / 1e6:.1f} MB" if value < 1e9 else f"{value / 1e9:.1f} GB"
            yield topic, name.replace("_", " "), text
    for i, problem in enumerate(facts["problems"], 1):
        yield "problems", str(i), problem


def _installed(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return _NOT_FOUND


def _versions() -> dict[str, str]:
    own = {"lsdx": _installed("lsdx"), "Python": platform.python_version()}
    return own | {name: _installed(name) for name in _MAIN}


def _extras() -> dict[str, str]:
    """Return by extra of lsdx whether all it brings is installed."""
    brings: dict[str, list[str]] = {}
    for line in importlib.metadata.requires("lsdx") or ():
        needed = re.match(r"([\w.-]+).*;.*extra == ['\"]([\w.-]+)['\"]", line)
        if needed and needed[1] != "lsdx":
            brings.setdefault(needed[2], []).append(needed[1])
    found = {}
    for extra, names in sorted(brings.items()):
        lacking = [n for n in names if _installed(n) == _NOT_FOUND]
        found[extra] = f"without {', '.join(lacking)}" if lacking else "installed"
    return found


def _value(value: Any) -> Any:
    """Return a setting as JSON has it; an address without a user and password in it."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str) and "://" in value:
        parts = urlsplit(value)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return dict(value) if hasattr(value, "items") else value


def _stores(folder: Path | RemotePath) -> dict[str, Any]:
    """Return what the catalog says, and what of it is not there; bytes are not read."""
    from lsdx.errors import REBUILD, StoreNotFound, located
    from lsdx.store.place import Place

    place = Place(folder)
    problems: list[str] = []
    told: dict[str, Any] = {"folder": str(folder.absolute()), "catalog": "none"}
    try:
        catalog = place.catalog()
    except StoreNotFound:
        return told | {"problems": problems}
    except LsdxError as error:
        return told | {"catalog": "damaged", "problems": [str(error)]}
    kept = place.tags()
    # each would take a round trip: of an address only the catalog is looked at
    for tag in () if isinstance(folder, RemotePath) else (None, *kept):
        try:
            entries = place.catalog(tag).entries()
            lost = [e.path for e in entries if not place.within(e).exists()]
        except LsdxError as error:
            problems.append(str(error))
            continue
        if lost:
            found = f"{len(lost)} that are gone, such as {lost[0]}"
            where = f"{folder}, tag {tag}" if tag else str(folder)
            problems.append(located(where, "all stores", found, REBUILD))
    return told | {
        "catalog": catalog.digest[:16],
        "simulated": catalog.simulated,
        "sessions": len(catalog.parts.get("sessions", {})),
        "bytes": sum(entry.bytes for entry in catalog.entries()),
        "tags": kept,
        "problems": problems,
    }


def _login(base_url: str | None) -> dict[str, bool]:
    from lsdx.sources.connection import where_logins_are

    return where_logins_are(base_url)


def _machine(stores: Path | RemotePath) -> dict[str, Any]:
    folder = Path.cwd() if isinstance(stores, RemotePath) else stores
    there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))  # those that this process may use
    else:
        cores = os.cpu_count() or 1
    return {
        "system": platform.platform(terse=True),
        "cores": cores,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "free_disk_bytes": shutil.disk_usage(there).free,
    }


def _next(facts: dict[str, Any], settings: Settings, problems: list[str]) -> list[str]:
    steps = []
    if any(p.startswith("settings") for p in problems):
        steps.append("correct the settings, then run lsdx doctor again")
    if any(p.startswith("stores") for p in problems):
        steps.append("lsdx build, from the same source: it makes anew what is damaged")
    elif facts["stores"]["catalog"] == "none":
        steps.append("lsdx build")
    else:
        steps.append("lsdx verify")
    if settings.source == "alyx" and not any(facts["login"].values()):
        steps.append("set LSDX_ALYX_USER and LSDX_ALYX_PASSWORD, or LSDX_ALYX_TOKEN")
    if facts["extras"].get("plot", "installed") != "installed":
        steps.append("pip install 'lsdx[plot]'")
    return steps
