"""Files and folders are whole or absent, whatever happens in between."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from little_disk import little_disk

from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.files import (
    atomic_path,
    canonical_json,
    fingerprint,
    make_folder,
    read_json,
    sha256_bytes,
    sha256_file,
    write_json,
    write_text,
    writing,
)
from glyphyard.core.folders import atomic_folder

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)


def half_a_file(target: Path) -> None:
    with atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError):
        half_a_file(tmp_path / "a.txt")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_finished_write_replaces_the_old_file(tmp_path: Path) -> None:
    write_text(tmp_path / "deep" / "a.txt", "old")
    write_text(tmp_path / "deep" / "a.txt", "new")
    assert (tmp_path / "deep" / "a.txt").read_text() == "new"
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.txt"]


def a_file(target: Path) -> None:
    write_text(target, "x" * 1000)


def a_folder(target: Path) -> None:
    with atomic_folder(target) as folder:
        write_text(folder / "x", "x" * 1000)


@pytest.mark.parametrize("write", [a_file, a_folder])
def test_a_full_disk_names_what_was_asked_for_and_leaves_nothing(tmp_path: Path, write: Callable[[Path], None]) -> None:
    target = tmp_path / "asked"
    with little_disk(100), pytest.raises(OSError, match="large") as caught:
        write(target)
    assert target in (Path(caught.value.filename), Path(caught.value.filename).parent)
    assert not list(tmp_path.iterdir())


def test_an_error_without_a_number_keeps_its_words(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"^in its own words$"), atomic_path(tmp_path / "a"):
        raise OSError("in its own words")


def test_of_two_writes_one_within_the_other_the_outer_one_is_told(tmp_path: Path) -> None:
    outer, inner = tmp_path / "outer", tmp_path / ".outer.tmp" / "inner"
    with pytest.raises(BadInput, match="No space left") as caught, writing(outer, "the remedy"), writing(inner):
        raise OSError(28, "No space left on device")
    assert (caught.value.where, caught.value.remedy) == (str(outer), "the remedy")
    with pytest.raises(StepFailed), writing(outer, failure=StepFailed), writing(inner):
        raise OSError(28, "No space left on device")
    with pytest.raises(BadInput, match="of another kind"), writing(outer):
        raise BadInput("x", "of another kind")


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="folder"):
        make_folder(tmp_path / "file" / "under")
    if os.geteuid() != 0:  # root may write anywhere
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(BadInput, match="read-only"):
            make_folder(tmp_path / "locked")


@given(JSON)
def test_json_comes_back(value: object) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=6))
def test_a_fingerprint_does_not_depend_on_the_order_of_keys(value: dict[str, object]) -> None:
    assert fingerprint(dict(reversed(value.items()))) == fingerprint(value)


def test_what_json_cannot_say_is_refused(tmp_path: Path) -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON"):
            write_json(tmp_path / "a.json", {"x": value})
    with pytest.raises(TypeError):
        fingerprint({"x": Path("a")})
    assert not list(tmp_path.iterdir())


def test_a_broken_or_missing_json_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe")
    (tmp_path / "d.json").write_text("[" * 200_000)
    for name in ("a.json", "b.json", "c.json", "d.json"):
        with pytest.raises(BadInput, match=name.replace(".", r"\.")):
            read_json(tmp_path / name)


def test_hashes_of_bytes_and_files_agree(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "a").write_bytes(data)
    assert sha256_file(tmp_path / "a") == sha256_bytes(data)
