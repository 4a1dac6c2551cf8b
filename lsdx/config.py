"""Settings: ``lsdx.toml``, then the environment, then the call; validated once, frozen."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import inf
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname
from uuid import UUID

from lsdx.errors import ConfigError, located
from lsdx.remote import PREFIXES, RemotePath, is_url, remote_path

SOURCES = ("demo", "cache", "alyx", "nwb")
TRACKERS = ("dlc", "lightning_pose")
# read where a connection is made, never kept, printed or taken from a file
CREDENTIALS = ("LSDX_ALYX_USER", "LSDX_ALYX_PASSWORD", "LSDX_ALYX_TOKEN")


_VARIABLE = re.compile(r"\$(\w+|\{\w+\})")  # as os.path.expandvars reads it
_FOLDER = re.compile(r"\w[\w.-]*")
_SECRET = re.compile("key|secret|token|password|credential|sas")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class Protocol:
    """Names of the protocol: the labels of ``phase``, ``epoch`` and ``condition``.

    Parameters
    ----------
    phases : tuple of str
        The n-th passive run of a session is the n-th phase.
    epochs : tuple of str
        In their order within a phase. Times of ``spontaneous``, ``rfm`` and ``replay``
        are read from the IBL passive tables; any other name takes its times from the
        table of epochs (the setting ``epochs``).
    conditions : tuple of str
        The first is the one that a row of the table of administrations stands for.

    Examples
    --------
    >>> Protocol().epochs
    ('spontaneous', 'rfm', 'replay')
    """

    phases: tuple[str, ...] = ("pre", "post")
    epochs: tuple[str, ...] = ("spontaneous", "rfm", "replay")
    conditions: tuple[str, ...] = ("lsd", "saline")


@dataclass(frozen=True)
class Sources:
    """What of the sources is read.

    Parameters
    ----------
    revision : str
        Of each dataset the last revision on or before this one, such as ``"2024-01-01"``, whatever
        the records flag as default: to reproduce what was computed then. Blank: the default ones.

    Examples
    --------
    >>> Sources(revision="2024-01-01").revision
    '2024-01-01'
    """

    revision: str = ""


@dataclass(frozen=True)
class Pharmacology:
    """What a lab gives, and what its table of administrations is checked against.

    Parameters
    ----------
    drug, control : str, optional
        Names of the first two conditions. Without them, those of `Protocol.conditions`.
    stock_per_gram, stock_tolerance : float
        Volume of the drug's stock per body mass, and how far a row may be from it, in uL/g.
    total_volume, volume_tolerance : float
        Volume of stock and control together, and how far a row may be from it, in uL.
    weight_step : float
        Largest share by which a body mass may differ from that of the row before.
    post_interval, post_tolerance : float
        Time from the injection to the second phase, and how far it may be from that, in s.

    Examples
    --------
    >>> Pharmacology().stock_per_gram
    3.0
    """

    drug: str | None = None
    control: str | None = None
    stock_per_gram: float = 3.0
    stock_tolerance: float = 0.05
    total_volume: float = 200.0
    volume_tolerance: float = 0.5
    weight_step: float = 0.15
    post_interval: float = 1800.0
    post_tolerance: float = 120.0


@dataclass(frozen=True)
class Pose:
    """What is made of the points that trackers give.

    Parameters
    ----------
    surplus : {"", "last", "first"}
        Which times of frames are meant where there are more than 1 s too many of them. Blank:
        nobody knows, and such a camera has no times.
    likelihood : mapping of str to float
        By tracker (``dlc``, ``lightning_pose``), from 0 to 1: points below it are left out of
        features. Confidences of trackers do not compare. Without one, every point counts.
    ensemble : bool
        Whether the spread of Lightning Pose's ensemble is kept beside its positions.

    Examples
    --------
    >>> dict(Pose().likelihood)
    {'dlc': 0.9}
    """

    surplus: str = ""
    likelihood: Mapping[str, float] = field(default_factory=lambda: {"dlc": 0.9})
    ensemble: bool = False


@dataclass(frozen=True)
class Quality:
    """How bombcell is run, and which of its results are read.

    Parameters
    ----------
    folder : str
        Name of the folder of its results, beside the sorter's output of each probe.
    parameters : mapping
        Parameters of bombcell under its own names, for ``lsdx quality run``.

    Examples
    --------
    >>> Quality().folder
    'bombcell'
    """

    folder: str = "bombcell"
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Figures:
    """How figures look: what `lsdx.figures.style` gives unless it is set.

    Parameters
    ----------
    conditions, epochs : mapping of str to str
        Colours by name, as ``"#RRGGBB"``. Others keep theirs.
    column, page : float
        Width of a figure in one and in two columns of a page, in cm.
    font_size : float
        Of text in print, in pt; the smallest text is half a point smaller.
    atlas : Path, optional
        Folder of the Allen atlas' volumes, for slices of the brain; ONE's own by default. Nothing
        is downloaded.

    Examples
    --------
    >>> Figures(conditions={"psilocybin": "#009E73"}).page
    17.5
    """

    conditions: Mapping[str, str] = field(default_factory=dict)
    epochs: Mapping[str, str] = field(default_factory=dict)
    column: float = 8.5
    page: float = 17.5
    font_size: float = 7.0
    atlas: Path | None = None


@dataclass(frozen=True)
class Settings:
    """All that can be set, in one validated object.

    Parameters
    ----------
    source : {"demo", "cache", "alyx", "nwb"}
        Where recordings come from: the simulated cohort, a local ONE cache, an Alyx database
        from which a ONE cache is filled, or NWB files.
    cache_dir : Path, optional
        Root of the ONE cache, or folder of NWB files. The demo cohort lies under the stores folder
        by default, what comes from Alyx where ONE keeps it.
    base_url : str, optional
        Address of the Alyx database; that of ONE's parameters by default.
    project, task_protocol : str
        Which sessions of the database: those of the project whose protocol contains this.
    stores : Path or RemotePath
        Folder of the built stores, or an address such as ``"s3://bucket/prefix"``.
    epochs, events, administrations, trajectories, exclusions : Path, optional
        The lab's tables (CSV).
    protocol : Protocol
        Names of phases, epochs and conditions.
    sources : Sources
        What of the sources is read.
    administration : Pharmacology
        Names of drug and control, volumes, and the interval to the second phase.
    pose : Pose
        What is made of the points that trackers give.
    quality : Quality
        How bombcell is run, and which of its results are read.
    figures : Figures
        Colours, sizes and fonts of figures.
    nwb : mapping
        What ``lsdx export nwb`` says of animal and file: `lsdx.export.nwb.to_nwb` lists the names.
    storage : mapping of str to str
        Options of object stores, such as ``{"aws_endpoint": "https://s3.lab.org"}``, where the
        environment does not say otherwise. No credentials: those belong in the environment.
    conditions : mapping of str to tuple of str
        Session ids (eids) of each condition that no table tells, such as the controls.
    stock_concentration : str, optional
        Of the drug's stock, such as ``"0.1 mg/mL"``: with it, doses are known in ug/kg.

    Examples
    --------
    >>> load_settings(environ={}, stores="built").stores.name
    'built'
    """

    source: str = "demo"
    cache_dir: Path | RemotePath | None = None
    base_url: str | None = None
    project: str = "psychedelics"
    task_protocol: str = "passiveChoiceWorld"
    stores: Path | RemotePath = Path("stores")
    epochs: Path | None = None
    events: Path | None = None
    administrations: Path | None = None
    trajectories: Path | None = None
    exclusions: Path | None = None
    protocol: Protocol = field(default_factory=Protocol)
    sources: Sources = field(default_factory=Sources)
    administration: Pharmacology = field(default_factory=Pharmacology)
    pose: Pose = field(default_factory=Pose)
    quality: Quality = field(default_factory=Quality)
    figures: Figures = field(default_factory=Figures)
    nwb: Mapping[str, Any] = field(default_factory=dict)
    storage: Mapping[str, str] = field(default_factory=dict)
    conditions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stock_concentration: str | None = None

    def __post_init__(self) -> None:
        """Take paths as text too, refuse what is none, and join the names of conditions."""
        for name in _PATHS:
            value = getattr(self, name)
            if not isinstance(value, str | os.PathLike | None):
                raise _wrong("settings", name, "a path", value)
            if value is not None:
                path = stores_path(value) if name in _PLACES else user_path(value)
                if isinstance(path, RemotePath):
                    path = replace(path, options=tuple(sorted(self.storage.items())))
                object.__setattr__(self, name, path)
        for name in _NAMES:
            value = getattr(self, name)
            if not isinstance(value, str | None):
                raise _wrong("settings", name, "text", value)
        if self.source not in SOURCES:
            raise _wrong("settings", "source", "one of " + ", ".join(SOURCES), self.source)
        object.__setattr__(self, "protocol", _named(self.protocol, self.administration))


_TABLES = ("epochs", "events", "administrations", "trajectories", "exclusions")
_PLACES = ("cache_dir", "stores")  # these may be addresses
_PATHS = (*_PLACES, *_TABLES)
_NAMES = ("base_url", "project", "task_protocol", "stock_concentration")
_SCALARS = ("source", *_NAMES, *_PATHS)


def user_path(path: str | os.PathLike[str]) -> Path:
    """Return a path that a user wrote, with ``~`` and ``$NAME`` replaced as in a shell.

    Raises
    ------
    ConfigError
        For a variable that is not set, or a user that does not exist.

    Examples
    --------
    >>> user_path("~/stores") == Path.home() / "stores"
    True
    """
    text = os.path.expandvars(path)
    unset = _VARIABLE.search(text)
    if unset:
        do = "Set it, or write the path in full."
        raise ConfigError(located(f"path {path}", f"{unset[0]} to be set", "no value", do))
    try:
        return Path(text).expanduser()
    except RuntimeError:
        do = "Write the path in full."
        raise ConfigError(
            located(f"path {path}", "a user of this machine", text.split(os.sep)[0], do)
        ) from None


def stores_path(value: str | os.PathLike[str]) -> Path | RemotePath:
    """Return where stores or a cache lie, from what a user wrote: a path, or an address.

    ``file://`` is a folder of this machine.

    Examples
    --------
    >>> str(stores_path("s3://lab/cohort/")), stores_path("built").name
    ('s3://lab/cohort', 'built')
    """
    if isinstance(value, RemotePath):
        return value
    if not isinstance(value, str) or not is_url(value):
        return user_path(value)
    if value.lower().startswith("file://"):
        return Path(url2pathname(urlsplit(value).path))
    return remote_path(value)


def is_folder_name(name: str) -> bool:
    """Return whether a name is that of a folder, and leads nowhere else.

    Examples
    --------
    >>> is_folder_name("bombcell_2"), is_folder_name("../bombcell")
    (True, False)
    """
    return _FOLDER.fullmatch(name) is not None


def load_settings(
    *,
    file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    **overrides: object,
) -> Settings:
    """Read the settings: file, then environment, then ``overrides``; the last one wins.

    Parameters
    ----------
    file : path, optional
        A TOML file. Without it, ``$LSDX_CONFIG``, else ``lsdx.toml`` in the working
        directory if there is one. Relative paths in it are relative to it; ``~`` and
        ``$NAME`` in any path stand for what they do in a shell.
    environ : mapping, optional
        The environment; ``os.environ`` by default. ``LSDX_STORES`` sets ``stores``, etc.
    **overrides
        Fields of `Settings`; ``None`` means not given.

    Returns
    -------
    Settings

    Raises
    ------
    ConfigError
        For a key that does not exist (the message lists those that do), a value of the
        wrong kind, or a file that cannot be read.

    Examples
    --------
    >>> load_settings(environ={"LSDX_SOURCE": "cache", "LSDX_CACHE_DIR": "ONE"}).source
    'cache'
    """
    environ = os.environ if environ is None else environ
    path, there = _settings_file(file, environ)
    settings = merge_file(Settings(), path) if there else Settings()
    settings = _merge(settings, _from_environment(environ), "the environment", Path())
    given = {k: v for k, v in overrides.items() if v is not None}
    return _checked(_merge(settings, given, "the call", Path()), str(path))


def setting_origins(
    *,
    file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    **overrides: object,
) -> dict[str, str]:
    """Tell where each setting comes from, for the same arguments as those of `load_settings`.

    Returns
    -------
    dict of str to str
        By field of `Settings`: ``default``, the path of the settings file, ``the environment`` or
        ``the call``.

    Raises
    ------
    ConfigError
        For a file that cannot be read.

    Examples
    --------
    >>> origins = setting_origins(environ={"LSDX_SOURCE": "cache"}, stores="built")
    >>> origins["source"], origins["stores"], origins["project"]
    ('the environment', 'the call', 'default')
    """
    environ = os.environ if environ is None else environ
    path, there = _settings_file(file, environ)
    origins = dict.fromkeys((f.name for f in fields(Settings)), "default")
    origins |= dict.fromkeys(_read_toml(path) if there else (), str(path.absolute()))
    origins |= dict.fromkeys(_from_environment(environ), "the environment")
    return origins | {k: "the call" for k, v in overrides.items() if v is not None}


def _settings_file(
    file: str | os.PathLike[str] | None, environ: Mapping[str, str]
) -> tuple[Path, bool]:
    """Return the path of the settings file, and whether it is to be read."""
    named = file or environ.get("LSDX_CONFIG")
    path = user_path(named or "lsdx.toml")
    return path, bool(named) or path.is_file()


def merge_file(settings: Settings, path: Path) -> Settings:
    """Lay the settings of one TOML file over ``settings``.

    Examples
    --------
    >>> merge_file(Settings(), Path("no-such.toml"))
    Traceback (most recent call last):
        ...
    lsdx.errors.ConfigError: no-such.toml: expected a TOML file, found nothing there. ...
    """
    return _merge(settings, _read_toml(path), str(path), path.parent)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except FileNotFoundError:
        raise ConfigError(
            located(str(path), "a TOML file", "nothing there", "Name an existing file.")
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(located(str(path), "a TOML file", str(error))) from error


def _from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    names = {f"LSDX_{key.upper()}": key for key in _SCALARS}
    others = ("LSDX_CONFIG", *CREDENTIALS)
    found = {k: v for k, v in environ.items() if k.startswith("LSDX_") and k not in others}
    for name in found:
        if name not in names:
            raise _unknown("the environment", name, [*names, *others])
    return {names[k]: v for k, v in found.items() if v}


def _merge(settings: Settings, values: Mapping[str, object], where: str, base: Path) -> Settings:
    known = [f.name for f in fields(Settings)]
    changed: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            raise _unknown(where, key, known)
        if key in _PATHS:
            if not isinstance(value, str | os.PathLike):
                raise _wrong(where, key, "a path", value)
            path = stores_path(value) if key in _PLACES else user_path(value)
            changed[key] = path if isinstance(path, RemotePath) else base / path
        elif key in _NAMES:
            if not isinstance(value, str) or not value.strip():
                raise _wrong(where, key, "text", value)
            changed[key] = value
        elif key == "source":
            if value not in SOURCES:
                raise _wrong(where, key, "one of " + ", ".join(SOURCES), value)
            changed[key] = value
        elif key == "protocol":
            changed[key] = value if isinstance(value, Protocol) else _protocol(value, where)
        elif key == "sources":
            changed[key] = value if isinstance(value, Sources) else _sources(value, where)
        elif key == "pose":
            changed[key] = value if isinstance(value, Pose) else _pose(value, where)
        elif key == "quality":
            changed[key] = value if isinstance(value, Quality) else _quality(value, where)
        elif key == "figures":
            given = isinstance(value, Figures)
            changed[key] = value if given else read_figures(value, f"{where} [figures]", base)
        elif key == "nwb":
            if not isinstance(value, Mapping):
                raise _wrong(where, key, "a table", value)
            changed[key] = dict(value)
        elif key == "storage":
            changed[key] = _storage(value, where)
        elif key == "administration":
            given = isinstance(value, Pharmacology)
            changed[key] = value if given else _administration(value, where)
        else:
            changed[key] = _conditions(value, where)
    return replace(settings, **changed)


def _checked(settings: Settings, where: str) -> Settings:
    """Check what only the settings as a whole can tell."""
    names = settings.protocol.conditions
    unknown = set(settings.conditions) - set(names)
    if unknown:
        raise _unknown(f"{where} [conditions]", min(unknown), list(names))
    return settings


def _protocol(value: object, where: str) -> Protocol:
    where = f"{where} [protocol]"
    if not isinstance(value, Mapping):
        raise _wrong(where, "protocol", "a table", value)
    known = [f.name for f in fields(Protocol)]
    names: dict[str, tuple[str, ...]] = {}
    for key, items in value.items():
        if key not in known:
            raise _unknown(where, key, known)
        if (
            not isinstance(items, list | tuple)
            or not items
            or not all(isinstance(i, str) and i.strip() == i and i for i in items)
            or len(set(items)) != len(items)
        ):
            raise _wrong(where, key, "a list of distinct names", items)
        names[key] = tuple(items)
    if "unknown" in names.get("conditions", ()):
        raise _wrong(where, "conditions", "names other than 'unknown'", "unknown")
    return Protocol(**names)


def _sources(value: object, where: str) -> Sources:
    where = f"{where} [sources]"
    if not isinstance(value, Mapping):
        raise _wrong(where, "sources", "a table", value)
    for key, revision in value.items():
        if key != "revision":
            raise _unknown(where, key, ["revision"])
        if not isinstance(revision, str) or not revision.strip():
            raise _wrong(where, key, "the name of a revision, such as '2024-01-01'", revision)
    return Sources(**value)


def _pose(value: object, where: str) -> Pose:
    where = f"{where} [pose]"
    if not isinstance(value, Mapping):
        raise _wrong(where, "pose", "a table", value)
    known = [f.name for f in fields(Pose)]
    for key, item in value.items():
        if key not in known:
            raise _unknown(where, key, known)
        allowed = {"surplus": ("", "last", "first"), "ensemble": (True, False)}
        if key in allowed and not any(type(a) is type(item) and a == item for a in allowed[key]):
            raise _wrong(where, key, "one of " + ", ".join(map(repr, allowed[key])), item)
    likelihood = value.get("likelihood", {})
    if not isinstance(likelihood, Mapping):
        raise _wrong(where, "likelihood", "a table of numbers by tracker", likelihood)
    for tracker, least in likelihood.items():
        if tracker not in TRACKERS:
            raise _unknown(f"{where}, likelihood", tracker, list(TRACKERS))
        if isinstance(least, bool) or not isinstance(least, int | float) or not 0 <= least <= 1:
            raise _wrong(where, f"likelihood.{tracker}", "a number from 0 to 1", least)
    return Pose(**{**value, "likelihood": {**Pose().likelihood, **likelihood}})


def _quality(value: object, where: str) -> Quality:
    where = f"{where} [quality]"
    if not isinstance(value, Mapping):
        raise _wrong(where, "quality", "a table", value)
    known = [f.name for f in fields(Quality)]
    for key, item in value.items():
        if key not in known:
            raise _unknown(where, key, known)
        if key == "folder" and not (isinstance(item, str) and is_folder_name(item)):
            raise _wrong(where, key, "the name of a folder, such as 'bombcell'", item)
        if key == "parameters" and not isinstance(item, Mapping):
            raise _wrong(where, key, "a table of bombcell's parameters", item)
    return Quality(**value)


def _storage(value: object, where: str) -> dict[str, str]:
    where = f"{where} [storage]"
    if not isinstance(value, Mapping):
        raise _wrong(where, "storage", "a table", value)
    prefixes = tuple(sorted(set(PREFIXES.values())))
    options: dict[str, str] = {}
    for key, item in value.items():
        if not key.startswith(prefixes):
            raise _wrong(where, key, "a name that begins with " + ", ".join(prefixes), item)
        if _SECRET.search(key):
            do = f"Set {key.upper()} in the environment, and remove it here."
            raise ConfigError(located(f"{where}, {key}", "no credentials in settings", "one", do))
        if not isinstance(item, str | bool | int) or item == "" or "@" in str(item):
            raise _wrong(where, key, "text without a login, or true or false", "another")
        options[key] = str(item).lower() if isinstance(item, bool) else str(item)
    return options


def read_figures(value: object, where: str, base: Path = Path()) -> Figures:
    """Return how figures look, from a table of names and values; paths are relative to ``base``.

    Examples
    --------
    >>> read_figures({"font_size": 8}, "lsdx.toml [figures]").font_size
    8
    """
    if not isinstance(value, Mapping):
        raise _wrong(where, "figures", "a table", value)
    known = [f.name for f in fields(Figures)]
    changed: dict[str, Any] = dict(value)
    for key, item in value.items():
        if key not in known:
            raise _unknown(where, key, known)
        if key == "atlas":
            if not isinstance(item, str | os.PathLike):
                raise _wrong(where, key, "a path", item)
            changed[key] = base / user_path(item)
        elif key in ("conditions", "epochs"):
            if not isinstance(item, Mapping):
                raise _wrong(where, key, "a table of colours by name", item)
            for name, colour in item.items():
                if not isinstance(colour, str) or not _COLOUR.fullmatch(colour):
                    raise _wrong(where, f"{key}.{name}", "a colour such as '#009E73'", colour)
        elif isinstance(item, bool) or not isinstance(item, int | float) or not 0 < item < inf:
            raise _wrong(where, key, "a number above 0", item)
    return Figures(**changed)


def _administration(value: object, where: str) -> Pharmacology:
    where = f"{where} [administration]"
    if not isinstance(value, Mapping):
        do = "To name the file of administrations, write administrations = ..., with an s."
        raise ConfigError(located(where, "rules, one a line", repr(value), do))
    known = [f.name for f in fields(Pharmacology)]
    for key, item in value.items():
        if key not in known:
            raise _unknown(where, key, known)
        if key in ("drug", "control"):
            if not isinstance(item, str) or not item or item.strip() != item or item == "unknown":
                raise _wrong(where, key, "a name other than 'unknown'", item)
        elif isinstance(item, bool) or not isinstance(item, int | float) or not 0 <= item < inf:
            raise _wrong(where, key, "a number of at least 0", item)
    return Pharmacology(**value)


def _named(protocol: Protocol, administration: Pharmacology) -> Protocol:
    """Name the first conditions after drug and control, unless they are named already."""
    given = protocol.conditions
    default = given == Protocol().conditions
    named = list(given)
    for i, key in enumerate(("drug", "control")):
        name = getattr(administration, key)
        if name is None or given[i : i + 1] == (name,):
            continue
        if not default:
            names = ", ".join(given)
            raise _wrong("[administration]", key, f"condition {i + 1} of {names}", name)
        named[i] = name
    if len(set(named)) < len(named):
        raise _wrong("[administration]", "drug, control", "distinct names", ", ".join(named))
    return replace(protocol, conditions=tuple(named))


def _conditions(value: object, where: str) -> dict[str, tuple[str, ...]]:
    where = f"{where} [conditions]"
    if not isinstance(value, Mapping):
        raise _wrong(where, "conditions", "a table of lists of eids", value)
    lists: dict[str, tuple[str, ...]] = {}
    seen: dict[str, str] = {}
    for name, eids in value.items():
        if not isinstance(eids, list | tuple):
            raise _wrong(where, name, "a list of eids", eids)
        lists[name] = tuple(_eid(eid, where, name) for eid in eids)
        for eid in lists[name]:
            if seen.setdefault(eid, name) != name:
                raise _wrong(where, name, "each session in one list", f"{eid} in {seen[eid]} too")
    return lists


def _eid(value: object, where: str, key: str) -> str:
    try:
        return str(UUID(str(value)))
    except ValueError:
        raise _wrong(where, key, "session ids (UUIDs)", value) from None


def _unknown(where: str, key: str, known: list[str]) -> ConfigError:
    close = difflib.get_close_matches(key, known, n=1)
    advice = f"Did you mean {close[0]!r}?" if close else ""
    return ConfigError(located(where, "one of " + ", ".join(known), repr(key), advice))


def _wrong(where: str, key: str, expected: str, value: object) -> ConfigError:
    return ConfigError(located(f"{where}, {key}", expected, repr(value)))


def fill_from(settings: Settings, path: Path) -> Settings:
    """Fill what ``settings`` leave at its default from a cohort's own settings file.

    A cache may carry an ``lsdx.toml`` that names its lab tables and lists; what the user sets
    wins over it.
    """
    if not path.is_file():
        return settings
    own, default = merge_file(Settings(), path), Settings()
    names = (
        *_TABLES,
        "protocol",
        "sources",
        "administration",
        "pose",
        "quality",
        "conditions",
        "stock_concentration",
    )
    filled = {n: getattr(own, n) for n in names if getattr(settings, n) == getattr(default, n)}
    return _checked(replace(settings, **filled), str(path))
