"""`prepare` against bad input and a bad machine: one clean line, the right exit code, nothing half-written."""

from __future__ import annotations

import errno
import os
import signal
import struct
import subprocess
import sys
import textwrap
import time
import zlib
from pathlib import Path

import cv2
import pytest

from glyphyard.core.capacity import Capacity
from glyphyard.core.errors import BadInput, ExitCode
from glyphyard.core.folders import LOCK
from glyphyard.data.prepare import prepare
from glyphyard.data.workplace import workplace
from glyphyard.recipe.dataset import PlatePairs


def refused(dataset, store: Path) -> BadInput:
    with pytest.raises(BadInput) as caught:
        prepare(dataset, Capacity(32), store, in_process=True)
    assert "\n" not in str(caught.value)
    left = [p for p in store.rglob("*") if p.is_file() and not {"cache", "audits"} & set(p.parts)] if store.is_dir() else []
    assert not left, "half a data set is left"
    return caught.value


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("huge.png", png_header(10_000, 5_000), "too_many_pixels"),
        ("empty.jpg", b"", "unreadable_image"),
        ("text.jpg", b"this is no image", "unreadable_image"),
        ("torn.jpg", None, "unreadable_image"),
    ],
)
def test_a_hostile_image_is_named_with_its_line(label_file, texts, make, tmp_path, name, data, kind):
    labels = label_file(texts[:6], f"images/{name}\tAA1\n".encode())
    whole = cv2.imencode(".jpg", make.picture("AA1"))[1].tobytes()
    (labels.parent / "images" / name).write_bytes(whole[: len(whole) // 2] if data is None else data)
    error = refused(make.config(make.real(labels)), tmp_path / "store")
    assert str(error).startswith(f"{labels}:7: {kind}: images/{name}")
    assert error.remedy


@pytest.mark.parametrize(
    ("content", "place"),
    [(b"a.jpg\t\xff\n", "labels.txt:1"), (b"images/a.jpg ABC\n", "labels.txt:1"), (b"", "labels.txt"), (None, "labels.txt")],
)
def test_a_hostile_label_file_is_named(tmp_path, make, content, place):
    labels = tmp_path / "labels.txt"
    if content is not None:
        labels.write_bytes(content)
    error = refused(make.config(make.real(labels)), tmp_path / "store")
    assert place in str(error)
    assert error.exit_code == ExitCode.BAD_INPUT


@pytest.mark.parametrize("kind", ["plate_tsv", "plate_pairs"])
def test_a_path_with_a_nul_byte_is_a_bad_row(label_file, texts, make, tmp_path, kind):
    labels = label_file(texts, b"im\0ages/AB1.png\tAB1\n")
    source = make.real(labels)
    if kind == "plate_pairs":
        source = PlatePairs(kind="plate_pairs", name="real", labels=labels, hr_images=labels.parent, lr_images=labels.parent)
    assert f"{labels}:{len(texts) + 1}: missing_image" in str(refused(make.config(source), tmp_path / "store"))


def test_a_store_that_cannot_be_written_is_named(label_file, texts, make, tmp_path):
    (tmp_path / "file").write_text("")
    error = refused(make.config(make.real(label_file(texts))), tmp_path / "file" / "store")
    assert str(tmp_path / "file" / "store") in str(error)


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "place", ["glyphyard.data.chunks.pq.write_table", "glyphyard.data.workplace.os.fsync", "glyphyard.data.prepare.write_json"]
)
def test_a_full_disk_ends_in_one_line_and_leaves_nothing(label_file, texts, make, tmp_path, monkeypatch, place):
    dataset = make.config(make.real(label_file(texts)))
    monkeypatch.setattr(place, full)
    error = refused(dataset, tmp_path / "store")
    assert "No space left" in str(error)
    assert error.remedy
    monkeypatch.undo()
    assert (prepare(dataset, Capacity(32), tmp_path / "store", in_process=True) / "manifest.json").is_file()


def test_an_image_that_changes_meanwhile_is_refused(label_file, texts, make, tmp_path, monkeypatch):
    from glyphyard.data import prepare as module

    labels = label_file(texts)

    def change_then_run(spec: str) -> str:
        cv2.imwrite(str(labels.parent / "images" / f"{texts[0]}.png"), make.picture("other"))
        return run(spec)

    run = module.run_chunk
    monkeypatch.setattr(module, "run_chunk", change_then_run)
    assert "changed" in str(refused(make.config(make.real(labels)), tmp_path / "store"))


KILLED = """
    import sys, time
    from pathlib import Path
    from glyphyard.core.capacity import Capacity
    from glyphyard.data import chunks, prepare
    from glyphyard.recipe.dataset import DatasetConfig, PlateTsv
    chunks.CHUNK_ROWS = 8
    run = prepare.run_chunk
    def slow(spec):
        report = run(spec)
        print("chunk", flush=True)
        time.sleep(60 if sys.argv[3] == "hang" else 0)
        return report
    prepare.run_chunk = slow
    dataset = DatasetConfig(sources=(PlateTsv(kind="plate_tsv", name="real", labels=Path(sys.argv[1])),))
    print(prepare.prepare(dataset, Capacity(32), Path(sys.argv[2]), in_process=True), flush=True)
"""


def start(labels: Path, store: Path, how: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(labels), str(store), how], stdout=subprocess.PIPE, text=True
    )


def test_a_killed_prepare_leaves_no_half_data_set_and_is_swept_away(label_file, texts, make, tmp_path):
    labels, store = label_file(texts), tmp_path / "store"
    process = start(labels, store, "hang")
    assert process.stdout is not None
    assert process.stdout.readline() == "chunk\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = list((store / "datasets").iterdir())
    assert len(left) == 1
    assert left[0].name.startswith(".")
    dataset = make.config(
        make.real(labels), split=make.config(make.drawn()).split.model_copy(update={"validation": 0.1, "test": 0.15})
    )
    folder = prepare(dataset, Capacity(32), store, in_process=True)
    assert left[0].name.startswith(f".{folder.name}.")
    assert list((store / "datasets").iterdir()) == [folder]


@pytest.mark.slow
def test_two_runs_of_one_data_set_do_not_break_each_other(label_file, texts, tmp_path):
    labels, store = label_file(texts), tmp_path / "store"
    both = [start(labels, store, "go") for _ in range(2)]
    answers = [process.communicate(timeout=120)[0].split()[-1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert answers[0] == answers[1]
    assert [str(p) for p in (store / "datasets").iterdir()] == [answers[0]]


def test_a_folder_in_work_is_not_swept_and_a_published_one_not_replaced(tmp_path):
    target = tmp_path / "set"
    with workplace(target) as mine, workplace(target) as other:
        assert mine.exists()
        (other / "manifest.json").write_text("other")
        (mine / "manifest.json").write_text("mine")
    assert (target / "manifest.json").read_text() == "other"
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_what_was_abandoned_before_its_lock_is_swept_when_old(tmp_path):
    old, young = tmp_path / ".set.old.tmp", tmp_path / ".set.young.tmp"
    old.mkdir()
    young.mkdir()
    os.utime(old, (time.time() - 7200,) * 2)
    with workplace(tmp_path / "set") as folder:
        assert (folder.parent / LOCK).exists()
        assert not old.exists()
        assert young.exists()
