"""Brain regions: the Allen ontology, its coarser maps and the lab's groups.

The one home of ``iblatlas``, whose tree and maps come with the package: nothing here
needs the network. Acronyms are case-sensitive (``CM`` is the central medial nucleus of
the thalamus, ``cm`` the cranial nerves).
"""

from __future__ import annotations

import difflib
import functools
import importlib.metadata
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsdx.errors import MissingPackage, SelectionError, SourceError, located

RegionMap: TypeAlias = Literal["beryl", "cosmos", "swanson", "group"]

_NO_GROUP: Final = "none"
_MAPS: Final = get_args(RegionMap)
_SHOWN: Final = 5

#: The coarse groups: the name of each and the Allen acronyms of its roots. A region belongs
#: to the group of its nearest root, looking up from itself (the zona incerta is a group of its
#: own within the hypothalamus). Those after "ventricle" hold what the lab's own groups leave of
#: the large divisions of the brain (the Cosmos regions, the hindbrain as pons and medulla).
#: "none" has what the atlas places in none of them: the whole brain, its outside, divisions
#: that are larger still, the retina, and the grooves of the cortex.
#: Two groups bear the acronym of another region: Allen's HB is the hindbrain (here HBr) and TRN
#: the tegmental reticular nucleus, here they are the habenula and the thalamic reticular nucleus.
GROUPS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "mPFC": ("ACA", "ILA", "PL"),
        "M1": ("MOp",),
        "M2": ("MOs",),
        "OFC": ("ORB",),
        "OLF": ("OLF",),
        "SS": ("SS",),
        "RSP": ("RSP",),
        "TMP": ("ECT", "TEa"),
        "AUD": ("AUD",),
        "VIS": ("VIS", "PTLp"),
        "THss": ("VPL", "VPM", "PO"),
        "THvis": ("LGd", "LGv", "LP"),
        "THcog": ("MD", "LD", "VAL", "VM"),
        "THhpc": ("RE", "PR", "RH", "AM", "IAD", "IAM"),
        "THmid": ("PVT", "IMD", "Xi"),
        "THil": ("CL", "CM", "PCN", "SMT"),
        "TRN": ("RT",),
        "AMY": ("LA", "BLA", "BMA", "PA", "sAMY"),
        "HPC": ("HPF",),
        "STR": ("STR", "PAL"),
        "HYP": ("HY",),
        "ZI": ("ZI",),
        "HB": ("MH", "LH"),
        "SEP": ("LSX", "MSC"),
        "BF": ("NDB", "SI"),
        "CLA": ("CLA", "EP"),
        "fiber": ("fiber tracts",),
        "ventricle": ("VS",),
        "Isocortex": ("Isocortex",),
        "CTXsp": ("CTXsp",),
        "CNU": ("CNU",),
        "TH": ("TH",),
        "MB": ("MB",),
        "HBr": ("HB",),
        "P": ("P",),
        "MY": ("MY",),
        "CB": ("CB",),
        _NO_GROUP: (),
    }
)


@dataclass(frozen=True)
class _Ontology:
    """The tree, resolved into look-up tables keyed by id or acronym."""

    acronyms: tuple[str, ...]
    by_id: Mapping[int, str]
    below: Mapping[str, frozenset[str]]
    maps: Mapping[str, Mapping[str, str]]
    colours: Mapping[str, str]


def acronyms() -> tuple[str, ...]:
    """List every acronym of the Allen ontology.

    Returns
    -------
    tuple of str
        The 1,328 acronyms in the order of the tree, a parent before its children,
        with ``void`` (outside the brain) and ``root`` (the whole of it) first.

    Examples
    --------
    >>> acronyms()[:4]
    ('void', 'root', 'grey', 'CH')
    """
    return _ontology().acronyms


def from_ids(ids: ArrayLike) -> NDArray[np.object_]:
    """Name the regions that Allen ids stand for.

    Parameters
    ----------
    ids : array_like of int, any shape
        Allen structure ids. A negative one is the same region in the other hemisphere.

    Returns
    -------
    ndarray of object, shape of `ids`
        Acronyms; ``""`` for an id that the ontology does not know.

    Raises
    ------
    SelectionError
        If `ids` are not integers.

    See Also
    --------
    unknown_ids : The ids that get ``""``.

    Examples
    --------
    >>> from_ids([382, -382, 0, 123456789]).tolist()
    ['CA1', 'CA1', 'void', '']
    """
    array = _id_array(ids, "from_ids")
    unique, inverse = np.unique(array.ravel(), return_inverse=True)
    by_id = _ontology().by_id
    # Python's abs, because the most negative int64 has no positive twin.
    names = np.array([by_id.get(abs(value), "") for value in unique.tolist()], dtype=object)
    named: NDArray[np.object_] = names[inverse].reshape(array.shape)
    return named


def to_ids(acronyms: ArrayLike) -> NDArray[np.int64]:
    """Return the Allen ids of regions.

    Parameters
    ----------
    acronyms : array_like of str, any shape

    Returns
    -------
    ndarray of int64, shape of `acronyms`

    Raises
    ------
    SelectionError
        For an acronym that the ontology does not have.

    Examples
    --------
    >>> to_ids(["CA1", "void"]).tolist()
    [382, 0]
    """
    array = np.asarray(acronyms, dtype=object)
    ids = {name: value for value, name in _ontology().by_id.items()}
    names = array.ravel().tolist()
    if unknown := [name for name in names if name not in ids]:
        raise _unknown_acronyms("to_ids", unknown)
    return np.array([ids[name] for name in names], dtype=np.int64).reshape(array.shape)


def unknown_ids(ids: ArrayLike) -> tuple[int, ...]:
    """Find the ids that the ontology does not know.

    Parameters
    ----------
    ids : array_like of int, any shape
        Allen structure ids, of either sign.

    Returns
    -------
    tuple of int
        Each unknown id once, as it was given (with its sign), in ascending order.

    Raises
    ------
    SelectionError
        If `ids` are not integers.

    Examples
    --------
    >>> unknown_ids([[382, -123456789], [0, -123456789]])
    (-123456789,)
    """
    unique = np.unique(_id_array(ids, "unknown_ids"))
    by_id = _ontology().by_id
    return tuple(value for value in unique.tolist() if abs(value) not in by_id)


def descendants(acronym: str) -> frozenset[str]:
    """Collect a region and all that lies below it in the tree.

    Parameters
    ----------
    acronym : str
        An Allen acronym, case-sensitive.

    Returns
    -------
    frozenset of str
        `acronym` itself, its children, theirs, and so on.

    Raises
    ------
    SelectionError
        If the ontology does not know `acronym`; the message suggests the nearest names.

    Examples
    --------
    >>> sorted(descendants("PL"))
    ['PL', 'PL1', 'PL2', 'PL2/3', 'PL5', 'PL6a', 'PL6b']
    """
    below = _ontology().below
    if acronym not in below:
        raise _unknown_acronyms("descendants", [acronym])
    return below[acronym]


def remap(acronyms: ArrayLike, mapping: RegionMap) -> NDArray[np.object_]:
    """Map regions to a coarser set of regions.

    Parameters
    ----------
    acronyms : array_like of str, any shape
        Allen acronyms, case-sensitive. ``""`` (no region known) stays ``""``. Names of
        groups are no input: ``HB`` is read as Allen's hindbrain, not as the habenula.
    mapping : {"beryl", "cosmos", "swanson", "group"}
        The IBL's maps, or the coarse groups (`GROUPS`).

    Returns
    -------
    ndarray of object, shape of `acronyms`
        Acronyms of the Beryl, Cosmos or Swanson set, or names of groups. What the three
        sets do not cover (fibre tracts, ventricles, and regions larger than their members)
        becomes ``root``; ``void`` stays ``void``. In "group", fibre tracts and ventricles
        have groups of their own, and what has no group is ``none``.

    Raises
    ------
    SelectionError
        If an acronym or `mapping` is unknown; the message names it.

    Notes
    -----
    Maps follow the tree alone, so a region goes where the ontology hangs it:
    ``VISrll`` lies below ``SSp-bfd`` and is somatosensory in Beryl and in the groups.
    ``VISa`` and ``VISrl`` lie below ``PTLp``, which the lab counts to the visual areas.

    Examples
    --------
    >>> remap(["VISp5", "PL6a", "ZI", ""], "beryl").tolist()
    ['VISp', 'PL', 'ZI', '']
    >>> remap(["VISp5", "PL6a", "ZI", ""], "group").tolist()
    ['VIS', 'mPFC', 'ZI', '']
    """
    if mapping not in _MAPS:
        raise SelectionError(
            located(
                "lsdx.regions.remap",
                "a mapping among " + ", ".join(map(repr, _MAPS)),
                repr(mapping),
                "Choose one of them.",
            )
        )
    array = np.asarray(acronyms, dtype=object)
    flat = array.ravel().tolist()
    known = _ontology().maps[mapping]
    unknown = [name for name in flat if not (isinstance(name, str) and (name in known or not name))]
    if unknown:
        raise _unknown_acronyms("remap", unknown)
    table = {name: known.get(name, "") for name in set(flat)}
    return np.fromiter(map(table.__getitem__, flat), dtype=object, count=len(flat)).reshape(
        array.shape
    )


def colours(acronyms: ArrayLike) -> NDArray[np.object_]:
    """Return the colours that the Allen atlas draws regions in.

    Parameters
    ----------
    acronyms : array_like of str, any shape
        Allen acronyms, case-sensitive.

    Returns
    -------
    ndarray of object, shape of `acronyms`
        Such as ``"#7ed04b"``; ``""`` for what the ontology does not know. The layers of an
        area share one colour.

    Examples
    --------
    >>> colours(["CA1", "VISp5", ""]).tolist()
    ['#7ed04b', '#08858c', '']
    """
    array = np.asarray(acronyms, dtype=object)
    known = _ontology().colours
    flat = [known.get(name, "") for name in array.ravel().tolist()]
    return np.array(flat, dtype=object).reshape(array.shape)


def atlas_volume(folder: str | os.PathLike[str] | None = None) -> Path | None:
    """Return the file of the Allen atlas' volume of regions, if it is on disk.

    Parameters
    ----------
    folder : path, optional
        Of ``annotation_25_lut_v01.npz`` or ``annotation_50_lut_v01.npz``, which
        ``iblatlas.atlas.AllenAtlas`` makes when it is used for the first time. By default where
        iblatlas keeps them in the cache of ONE. Nothing is downloaded.

    Examples
    --------
    >>> atlas_volume("no-such-folder") is None
    True
    """
    place = _atlas_folder() if folder is None else Path(folder)
    files = [place / f"annotation_{r}_lut_v01.npz" for r in (25, 50)] if place else []
    return next((file for file in files if file.is_file()), None)


def _atlas_folder() -> Path | None:
    """Return where iblatlas keeps volumes, if ONE was ever set up here."""
    import one.params

    if not (one.params.get_params_dir() / ".caches").is_file():
        return None
    return Path(one.params.get_cache_dir()) / "histology" / "ATLAS" / "Needles" / "Allen"


def coronal_slices(
    y: ArrayLike, file: str | os.PathLike[str]
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Cut the Allen atlas' volume of regions.

    Parameters
    ----------
    y : array_like of float (n,)
        Anterior of bregma, in m; beyond the volume its nearest slice.
    file : path
        What `atlas_volume` found.

    Returns
    -------
    images : ndarray of uint8 (n, height, width, 3)
        Colours of the regions, white outside the brain; the first row is dorsal, the first
        column left.
    extent : ndarray of float64 (4,)
        Left, right, bottom and top edge of an image, in m from bregma.

    Raises
    ------
    SourceError
        For a file that holds something else.
    MissingPackage
        Where iblatlas cannot load what reads volumes (boto3).

    Examples
    --------
    >>> file = atlas_volume("no-such-folder")
    >>> images = coronal_slices([-0.002], file) if file else None
    """
    file = Path(file)
    try:
        from iblatlas.atlas import ALLEN_CCF_LANDMARKS_MLAPDV_UM, BrainAtlas
    except ImportError as error:
        raise MissingPackage(
            located(
                str(file), "boto3, with which iblatlas loads", str(error), "pip install -U boto3"
            )
        ) from error
    from iblatlas.regions import BrainRegions

    names = BrainRegions()
    try:
        with file.open("rb") as stream, np.load(stream) as held:
            label = held["arr_0"]
        if label.ndim != 3 or label.dtype.kind not in "iu" or label.max() >= names.id.size:
            raise ValueError(f"{label.dtype} of shape {label.shape}")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        expected = "a volume (ap, ml, dv) of rows of iblatlas' regions"
        do = "Remove it, and let iblatlas make it again: iblatlas.atlas.AllenAtlas()."
        raise SourceError(located(str(file), expected, str(error), do)) from error
    um = int(file.name.split("_")[1])
    order, step = np.array([1, 0, 2]), um * 1e-6 * np.array([1, -1, -1])
    bregma = ALLEN_CCF_LANDMARKS_MLAPDV_UM["bregma"] / um
    atlas = BrainAtlas(label, label, step, names, bregma, dims2xyz=order, xyz2dims=order)
    rows = [atlas.slice(v, axis=1, volume=label, mode="clip") for v in np.ravel(y)]
    colour = names.rgb.astype(np.uint8)
    colour[0] = 255
    # (ml, dv) each: an image has its rows along the second
    images = colour[np.array(rows, dtype=np.int64).reshape(len(rows), *label.shape[1:])]
    return images.swapaxes(1, 2), np.asarray(atlas.extent(axis=1)) / 1e6


def version() -> str:
    """Return which iblatlas is installed, hence which ontology and maps are in force.

    Returns
    -------
    str
        Its version; builders put it into the digests of what they build.

    Examples
    --------
    >>> version().split(".")[0].isdigit()
    True
    """
    return importlib.metadata.version("iblatlas")


@functools.cache
def _ontology() -> _Ontology:
    # Imported here because it pulls in pandas and reads tables: `import lsdx` stays cheap.
    from iblatlas.regions import BrainRegions

    brain = BrainRegions()
    # The tree is stored twice, the second time mirrored with negative ids and parents.
    one_side = np.flatnonzero(brain.id >= 0)
    names = tuple(str(name) for name in brain.acronym[one_side])
    by_id = dict(zip(brain.id[one_side].tolist(), names, strict=True))
    parent = {
        name: None if np.isnan(above) else by_id[int(above)]
        for name, above in zip(names, brain.parent[one_side], strict=True)
    }
    group_of_root = {root: group for group, roots in GROUPS.items() for root in roots}
    if absent := sorted(group_of_root.keys() - parent.keys()):
        raise SelectionError(
            located(
                "lsdx.regions.GROUPS",
                f"roots among the acronyms of iblatlas {version()}",
                ", ".join(map(repr, absent)),
                "Install an iblatlas that has them, or correct GROUPS.",
            )
        )

    below: dict[str, set[str]] = {name: set() for name in names}
    groups: dict[str, str] = {}
    for name in names:
        lineage = _lineage(name, parent)
        for ancestor in lineage:
            below[ancestor].add(name)
        groups[name] = next(
            (group_of_root[ancestor] for ancestor in lineage if ancestor in group_of_root),
            _NO_GROUP,
        )

    maps = {"group": groups}
    for label in ("Beryl", "Cosmos", "Swanson"):
        targets = brain.acronym[brain.mappings[label][one_side]]
        maps[label.lower()] = {
            name: str(target) for name, target in zip(names, targets, strict=True)
        }
    return _Ontology(
        acronyms=names,
        by_id=by_id,
        below={name: frozenset(members) for name, members in below.items()},
        maps=maps,
        colours={
            name: f"#{r:02x}{g:02x}{b:02x}"
            for name, (r, g, b) in zip(names, brain.rgb[one_side].tolist(), strict=True)
        },
    )


def _lineage(acronym: str, parent: Mapping[str, str | None]) -> list[str]:
    """Walk up the tree: the region, its parent, and on to the top."""
    lineage = [acronym]
    while (above := parent[lineage[-1]]) is not None:
        lineage.append(above)
    return lineage


def _id_array(ids: ArrayLike, function: str) -> NDArray[np.integer[Any]]:
    array = np.asarray(ids)
    if array.size == 0:
        # NumPy makes an empty list one of floats.
        return np.zeros(array.shape, dtype=np.int64)
    if not np.issubdtype(array.dtype, np.integer):
        raise SelectionError(
            located(
                f"lsdx.regions.{function}",
                "Allen ids as integers",
                f"an array of {array.dtype}",
                "Drop or fill what is missing (0 is void), then cast to int64.",
            )
        )
    return array


def _unknown_acronyms(function: str, unknown: list[object]) -> SelectionError:
    distinct = list(dict.fromkeys(map(repr, unknown)))
    first = unknown[0]
    found = ", ".join(distinct[:_SHOWN])
    if len(distinct) > _SHOWN:
        found += f" and {len(distinct) - _SHOWN} more"
    return SelectionError(
        located(
            f"lsdx.regions.{function}",
            "acronyms of the Allen ontology (case-sensitive)",
            found,
            _advice(first),
        )
    )


def _advice(acronym: object) -> str:
    if not isinstance(acronym, str):
        return "Give acronyms as strings, with '' where no region is known."
    if roots := GROUPS.get(acronym):
        return f"{acronym!r} is a coarse group: use its roots, {', '.join(roots)}."
    folded: dict[str, list[str]] = {}
    for name in _ontology().acronyms:
        folded.setdefault(name.lower(), []).append(name)
    near = difflib.get_close_matches(acronym.lower(), folded, n=4)
    if not near:
        return "Look the region up in lsdx.regions.acronyms()."
    names = ", ".join(name for fold in near for name in folded[fold])
    return f"For {acronym!r}, use one of the nearest: {names}."
