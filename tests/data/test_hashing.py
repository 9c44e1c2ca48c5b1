"""The hash cache: right after every change, cheap without one, never in the way."""

from __future__ import annotations

import os
import time

import pytest

from glyphyard.core.files import sha256_bytes
from glyphyard.data import hashing
from glyphyard.data.hashing import file_hashes


@pytest.fixture
def settled(tmp_path):
    """A file that changed long ago."""
    path = tmp_path / "a.png"
    path.write_bytes(b"one")
    age(path, 60)
    return path


def age(path, seconds):
    then = time.time_ns() - int(seconds * 1e9)
    os.utime(path, ns=(then, then))


def test_an_unchanged_file_is_not_read_again(settled, tmp_path, monkeypatch):
    store = tmp_path / "store"
    assert file_hashes([str(settled)], store, known_only=True) is None
    first = file_hashes([str(settled)], store)
    assert first == {str(settled): sha256_bytes(b"one")}
    monkeypatch.setattr(hashing, "sha256_file", lambda path: pytest.fail("read again"))
    assert file_hashes([str(settled)], store) == first
    assert file_hashes([str(settled)], store, known_only=True) == first


def test_a_changed_file_is_read_again(settled, tmp_path):
    file_hashes([str(settled)], tmp_path)
    settled.write_bytes(b"two")
    assert file_hashes([str(settled)], tmp_path) == {str(settled): sha256_bytes(b"two")}


def test_a_file_that_just_changed_is_not_trusted(settled, tmp_path):
    age(settled, 0)
    file_hashes([str(settled)], tmp_path)
    assert file_hashes([str(settled)], tmp_path, known_only=True) is None


def test_missing_files_have_no_hash_and_a_broken_cache_is_no_error(settled, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / hashing.CACHE).write_text("{ broken")
    assert file_hashes([str(settled), "/nowhere"], tmp_path) == {str(settled): sha256_bytes(b"one"), "/nowhere": ""}
    assert file_hashes(["/nowhere"], tmp_path, known_only=True) == {"/nowhere": ""}
