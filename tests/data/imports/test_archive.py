"""Archives of strangers: what is honest is read, what is hostile is refused by name."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from glyphyard.core.errors import BadInput
from glyphyard.data.imports.archive import Limits, is_archive, members


def everything(name: str) -> bool:
    return True


def tar(path: Path, *files: tuple[str, bytes], link: tuple[str, bytes] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo("link.png")
            info.type, info.linkname = link[1], link[0]
            archive.addfile(info)
    return path


def zipped(path: Path, *files: tuple[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return path


@pytest.mark.parametrize(("write", "name"), [(tar, "a.tgz"), (zipped, "a.zip")])
def test_wanted_members_are_read_in_order(tmp_path, write, name):
    path = write(tmp_path / name, ("x/a.png", b"1" * 5000), ("x/b.txt", b"2"), ("./c.png", b""))
    assert is_archive(path)
    assert [(n, len(d)) for n, d in members(path, lambda n: n.endswith(".png"))] == [("x/a.png", 5000), ("./c.png", 0)]


@pytest.mark.parametrize("name", ["../a.png", "x/../../a.png", "/etc/passwd", "C:\\a.png", "..\\a.png"])
@pytest.mark.parametrize(("write", "archive"), [(tar, "a.tgz"), (zipped, "a.zip")])
def test_names_that_lead_out_are_refused_even_unwanted(tmp_path, name, write, archive):
    path = write(tmp_path / archive, ("good.png", b"1"), (name, b"2"))
    with pytest.raises(BadInput, match="GY092"):
        list(members(path, lambda n: n == "good.png"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    path = tar(tmp_path / "a.tgz", ("good.png", b"1"), link=("/etc/passwd", kind))
    with pytest.raises(BadInput, match="GY093"):
        list(members(path, everything))


def test_a_link_in_a_zip_is_refused(tmp_path):
    with pytest.raises(BadInput, match="GY093"):
        list(members(zipped(tmp_path / "a.zip", ("a", b"/etc/passwd"), mode=0o120777), everything))


@pytest.mark.parametrize(("write", "name"), [(tar, "a.tgz"), (zipped, "a.zip")])
def test_bombs_are_refused_before_they_are_read(tmp_path, write, name):
    path = write(tmp_path / name, ("a.png", bytes(3_000_000)))
    with pytest.raises(BadInput, match="GY090"):
        list(members(path, everything, Limits(ratio=10, ratio_from_bytes=1_000_000)))
    with pytest.raises(BadInput, match="GY090"):
        list(members(path, everything, Limits(member_bytes=1_000_000)))
    with pytest.raises(BadInput, match="GY090"):
        list(members(path, everything, Limits(total_bytes=1_000_000)))
    assert len(list(members(path, everything))) == 1


def test_many_members_are_refused(tmp_path):
    path = tar(tmp_path / "a.tgz", *[(f"{i}.png", b"") for i in range(20)])
    with pytest.raises(BadInput, match="GY090"):
        list(members(path, everything, Limits(members=10)))


@pytest.mark.parametrize("name", ["a.tgz", "a.zip", "a.tar"])
@pytest.mark.parametrize("content", [b"", b"nothing of the sort", b"PK\x03\x04torn", b"\x1f\x8b\x08torn"])
def test_what_is_no_archive_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match="GY091"):
        list(members(tmp_path / name, everything))


def test_a_torn_archive_is_refused(tmp_path):
    path = tar(tmp_path / "a.tgz", ("a.png", bytes(range(256)) * 500))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(BadInput, match="GY091"):
        list(members(path, everything))


def test_an_encrypted_member_is_refused(tmp_path):
    path = zipped(tmp_path / "a.zip", ("a.png", b"1"))
    data = bytearray(path.read_bytes())
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + at] |= 1
    path.write_bytes(bytes(data))
    with pytest.raises(BadInput, match="GY091"):
        list(members(path, everything))
