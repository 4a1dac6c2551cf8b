"""Unpack what is needed of a sorter's archive, and nothing else."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from lsdx.errors import SourceError, located

MOST_BYTES = 200 * 10**9
MOST_MEMBERS = 100_000
_BLOCK = 1 << 20


def unpack(
    archive: Path,
    folder: Path,
    wanted: Collection[str],
    *,
    most_bytes: int = MOST_BYTES,
    most_members: int = MOST_MEMBERS,
) -> dict[str, Path]:
    """Write the wanted files of a tar archive side by side into a folder.

    Parameters
    ----------
    archive : Path
        A tar archive without compression.
    folder : Path
        An existing folder.
    wanted : collection of str
        Names of files, whatever folder of the archive they are in.
    most_bytes, most_members : int
        Size and number of what an archive may hold.

    Returns
    -------
    dict of Path
        What was written, by name; wanted files that the archive lacks are not in it.

    Raises
    ------
    SourceError
        For what is no tar archive or is cut short; a member with an absolute path or ``..``; a
        link that leads out of the archive, a device or a pipe, whether wanted or not; a wanted
        name that stands twice; more than ``most_bytes``, ``most_members`` or the room on the disk.
        All members are looked at before the first byte is written.
    """
    try:
        with tarfile.open(archive, "r:") as tar:
            chosen = _choose(tar, archive, wanted, most_bytes, most_members)
            needed = sum(m.size for m in chosen.values())
            free = shutil.disk_usage(folder).free
            if needed > free:
                expected = f"{needed} bytes free in {folder}"
                raise SourceError(located(str(archive), expected, str(free), "Make room."))
            for name, member in chosen.items():
                source = tar.extractfile(member)
                if source is None:  # a regular file has one
                    raise SourceError(located(f"{archive}, {member.name}", "a file", "none"))
                with source, (folder / name).open("xb") as target:
                    shutil.copyfileobj(source, target, _BLOCK)
    except (tarfile.TarError, EOFError) as error:
        do = "Delete it and download it again."
        raise SourceError(located(str(archive), "a tar archive", str(error), do)) from error
    return {name: folder / name for name in chosen}


def _choose(
    tar: tarfile.TarFile,
    archive: Path,
    wanted: Collection[str],
    most_bytes: int,
    most_members: int,
) -> dict[str, tarfile.TarInfo]:
    """Return the members that are wanted, if no member of the archive is to be refused."""
    chosen: dict[str, tarfile.TarInfo] = {}
    total = 0
    for number, member in enumerate(tar, 1):
        where = f"{archive}, {member.name}"
        if problem := _problem(member):
            do = "Do not use this archive; ask whoever uploaded it."
            raise SourceError(located(where, "a file inside the archive", problem, do))
        total += member.size
        if total > most_bytes or number > most_members:
            expected = f"at most {most_bytes} bytes in {most_members} files"
            raise SourceError(located(where, expected, f"{total} bytes in {number} so far"))
        name = PurePosixPath(member.name).name
        if not member.isreg() or name not in wanted:
            continue
        if name in chosen:
            found = f"{chosen[name].name} and {member.name}"
            raise SourceError(located(str(archive), f"one {name}", found))
        chosen[name] = member
    return chosen


def _problem(member: tarfile.TarInfo) -> str:
    """Say why a member is refused; blank if it is not."""
    path = PurePosixPath(member.name)
    if path.is_absolute():
        return "an absolute path"
    if ".." in path.parts:
        return "a path with '..'"
    if member.issym() or member.islnk():
        link = PurePosixPath(member.linkname)
        start = path.parent if member.issym() else PurePosixPath()
        depth = 0
        for part in (*start.parts, *link.parts):
            depth += -1 if part == ".." else 1
            if depth < 0:
                return f"a link out of it, to {member.linkname}"
        return f"a link out of it, to {link}" if link.is_absolute() else ""
    if not (member.isreg() or member.isdir()):
        return "a device or a pipe"
    return ""
