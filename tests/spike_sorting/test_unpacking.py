"""A sorter's archive: what is needed of it comes out, and a hostile one writes nothing."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from lsdx.errors import SourceError
from lsdx.spike_sorting.unpacking import unpack


def _tar(path: Path, *members: tarfile.TarInfo | tuple[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return path


def _special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_wanted_files_are_written_side_by_side(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    archive = _tar(
        tmp_path / "a.tar",
        _special("./output", tarfile.DIRTYPE),
        ("./output/b.npy", b"bb"),
        ("c.npy", b"ccc"),
        ("./output/ops.npy", b"a pickle"),
        _special("output/latest", tarfile.SYMTYPE, "../c.npy"),
    )
    found = unpack(archive, out, ("b.npy", "c.npy", "d.npy"))
    assert {n: p.read_bytes() for n, p in found.items()} == {"b.npy": b"bb", "c.npy": b"ccc"}
    assert sorted(p.name for p in out.iterdir()) == ["b.npy", "c.npy"]


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (("/etc/evil.npy", b"x"), "an absolute path"),
        (("a/../../evil.npy", b"x"), "a path with '..'"),
        (_special("b.npy", tarfile.SYMTYPE, "/etc/passwd"), "a link out of it"),
        (_special("a/b.npy", tarfile.SYMTYPE, "../../passwd"), "a link out of it"),
        (_special("b.npy", tarfile.LNKTYPE, "../passwd"), "a link out of it"),
        (_special("b.npy", tarfile.CHRTYPE), "a device or a pipe"),
        (_special("b.npy", tarfile.BLKTYPE), "a device or a pipe"),
        (_special("b.npy", tarfile.FIFOTYPE), "a device or a pipe"),
    ],
)
def test_a_hostile_member_is_named_and_nothing_is_written(
    tmp_path: Path, member: tarfile.TarInfo | tuple[str, bytes], message: str
) -> None:
    out = tmp_path / "in" / "out"
    out.mkdir(parents=True)
    archive = _tar(tmp_path / "a.tar", ("good.npy", b"good"), member)
    name = member.name if isinstance(member, tarfile.TarInfo) else member[0]
    with pytest.raises(SourceError) as caught:
        unpack(archive, out, ("good.npy", "b.npy", "evil.npy"))
    assert f"a.tar, {name}: expected a file inside the archive, found {message}" in str(
        caught.value
    )
    assert {p.name for p in tmp_path.rglob("*")} == {"a.tar", "in", "out"}


def test_bombs_are_refused_before_a_byte_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = tarfile.TarInfo("b.npy")
    large.size = 2 * 10**12
    archive = tmp_path / "a.tar"
    archive.write_bytes(large.tobuf() + bytes(1024))
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(SourceError, match="at most 200000000000 bytes"):
        unpack(archive, out, ("b.npy",))
    many = _tar(tmp_path / "many.tar", *((f"{i}", b"") for i in range(12)))
    with pytest.raises(SourceError, match="in 10 files"):
        unpack(many, out, ("b.npy",), most_members=10)
    fits = _tar(tmp_path / "fits.tar", ("b.npy", bytes(100)))
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=99))
    with pytest.raises(SourceError, match="expected 100 bytes free in"):
        unpack(fits, out, ("b.npy",))
    packed = _tar(tmp_path / "a.tar.gz", ("b.npy", bytes(10**6)), mode="w:gz")
    with pytest.raises(SourceError, match="expected a tar archive"):
        unpack(packed, out, ("b.npy",))
    assert not list(out.iterdir())


def test_what_is_cut_short_or_doubled_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    whole = _tar(tmp_path / "a.tar", ("a/b.npy", bytes(4000)), ("c/b.npy", b"x"))
    with pytest.raises(SourceError, match=r"expected one b\.npy, found a/b\.npy and c/b\.npy"):
        unpack(whole, out, ("b.npy",))
    (tmp_path / "cut.tar").write_bytes(whole.read_bytes()[:2000])
    with pytest.raises(SourceError, match="Delete it and download it again"):
        unpack(tmp_path / "cut.tar", out, ("b.npy",))
