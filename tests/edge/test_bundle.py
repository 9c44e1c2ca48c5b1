"""A bundle opens only if every file is the one its manifest names; each way to break that is refused in one line."""

from __future__ import annotations

import io
import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from handmade import ALPHABET, edit_manifest, rehash, write_bundle

from glyphyard.core.alphabet import Alphabet
from glyphyard.core.errors import BadInput
from glyphyard.edge import Bundle
from glyphyard.edge import bundle as bundle_module
from glyphyard.edge import golden as golden_module
from glyphyard.edge.catalogue import files_of, verify_bundle
from glyphyard.edge.plan import plan_for


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundles") / "whole")


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "bundle"))


def test_a_whole_bundle_opens_and_says_what_it_is(whole: Path) -> None:
    bundle = Bundle.open(whole)
    assert bundle.alphabet == ALPHABET
    assert bundle.pixels.width == 128
    assert bundle.golden().texts == ["AB12CD", "99XYZ", ""]
    assert bundle.read("model.onnx") == (whole / "model.onnx").read_bytes()


def test_files_that_the_manifest_does_not_name_may_lie_beside(copy: Path) -> None:
    (copy / "scorecard.json").write_text("{}")
    bundle = Bundle.open(copy)
    with pytest.raises(BadInput, match=r"scorecard\.json"):
        bundle.read("scorecard.json")


def test_the_folder_itself_may_be_a_link(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(copy)
    assert Bundle.open(tmp_path / "current").folder == copy.resolve()


def flip_a_byte(folder: Path) -> None:
    data = bytearray((folder / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.onnx").write_bytes(bytes(data))


def cut_short(folder: Path) -> None:
    (folder / "golden.npz").write_bytes((folder / "golden.npz").read_bytes()[:-1])


def link_the_model(folder: Path) -> None:
    (folder / "model.onnx").rename(folder.parent / "elsewhere.onnx")
    (folder / "model.onnx").symlink_to(folder.parent / "elsewhere.onnx")


def link_the_manifest(folder: Path) -> None:
    (folder / "bundle.json").rename(folder.parent / "elsewhere.json")
    (folder / "bundle.json").symlink_to(folder.parent / "elsewhere.json")


def name_a_linked_folder(folder: Path) -> None:
    (folder.parent / "out").mkdir()
    (folder.parent / "out" / "plan").write_bytes(b"x")
    (folder / "targets").symlink_to(folder.parent / "out")
    add_file(folder, "targets/plan")


def add_file(folder: Path, name: str) -> None:
    files = json.loads((folder / "bundle.json").read_text())["files"]
    edit_manifest(folder, files=files | {name: "0" * 64})


def drop_key(folder: Path, key: str) -> None:
    value = json.loads((folder / "bundle.json").read_text())
    del value[key]
    (folder / "bundle.json").write_text(json.dumps(value))


BREAKS: dict[str, Callable[[Path], object]] = {
    "a flipped byte": flip_a_byte,
    "a file cut short": cut_short,
    "a missing model": lambda folder: (folder / "model.onnx").unlink(),
    "a missing golden file": lambda folder: (folder / "golden.npz").unlink(),
    "a missing manifest": lambda folder: (folder / "bundle.json").unlink(),
    "a manifest that is not JSON": lambda folder: (folder / "bundle.json").write_text("{"),
    "a manifest that is a list": lambda folder: (folder / "bundle.json").write_text("[]"),
    "a manifest of binary": lambda folder: (folder / "bundle.json").write_bytes(b"\xff\xfe\x00"),
    "a linked model": link_the_model,
    "a linked manifest": link_the_manifest,
    "a file behind a linked folder": name_a_linked_folder,
    "a path out of the folder": lambda folder: add_file(folder, "../secret"),
    "an absolute path": lambda folder: add_file(folder, "/etc/passwd"),
    "a path with a detour": lambda folder: add_file(folder, "a/./b"),
    "an empty name": lambda folder: add_file(folder, ""),
    "a Windows path": lambda folder: add_file(folder, "..\\secret"),
    "a name with a NUL": lambda folder: add_file(folder, "a\0b"),
    "a folder as a file": lambda folder: ((folder / "d").mkdir(), add_file(folder, "d")),
    "a manifest that names no model": lambda folder: edit_manifest(folder, files={}),
    "a newer schema": lambda folder: edit_manifest(folder, schema_version=2),
    "no schema": lambda folder: drop_key(folder, "schema_version"),
    "a schema that is true": lambda folder: edit_manifest(folder, schema_version=True),
    "an unknown key": lambda folder: edit_manifest(folder, surprise=1),
    "a lost key": lambda folder: drop_key(folder, "alphabet"),
    "another task": lambda folder: edit_manifest(folder, task="detection"),
    "another decoder": lambda folder: edit_manifest(folder, decode={"method": "beam"}),
    "another blank": lambda folder: edit_manifest(folder, blank=36),
    "another input size": lambda folder: edit_manifest(
        folder, input={"name": "input", "layout": "NCHW", "shape": [None, 1, 48, 128], "dtype": "float32", "range": [0, 1]}
    ),
    "an alphabet with a character twice": lambda folder: edit_manifest(folder, alphabet="AAB"),
    "an alphabet that is a number": lambda folder: edit_manifest(folder, alphabet=36),
    "a fold onto a stranger": lambda folder: edit_manifest(folder, fold={"O": "ö"}),
    "an unknown interpolation": lambda folder: edit_manifest(
        folder, pixels={"height": 32, "width": 128, "channels": 1, "interpolation": "lanczos"}
    ),
    "a size of zero": lambda folder: edit_manifest(
        folder, pixels={"height": 0, "width": 128, "channels": 1, "interpolation": "linear"}
    ),
    "files as a list": lambda folder: edit_manifest(folder, files=["model.onnx", "golden.npz"]),
    "hashes as numbers": lambda folder: edit_manifest(folder, files={"model.onnx": 1, "golden.npz": 2}),
}


@pytest.mark.parametrize("what", BREAKS)
def test_a_broken_bundle_is_refused_in_one_line_that_names_its_folder(copy: Path, what: str) -> None:
    BREAKS[what](copy)
    with pytest.raises(BadInput) as caught:
        Bundle.open(copy)
    line = str(caught.value)
    assert "\n" not in line
    assert "bundle" in line or "alphabet" in line


def test_a_file_that_changes_after_opening_is_not_used(copy: Path) -> None:
    bundle = Bundle.open(copy)
    flip_a_byte(copy)
    with pytest.raises(BadInput, match="SHA-256"):
        bundle.read("model.onnx")


def test_without_verification_only_the_hashes_are_skipped(copy: Path) -> None:
    flip_a_byte(copy)
    assert Bundle.open(copy, verify=False).read("model.onnx") == (copy / "model.onnx").read_bytes()
    link_the_model(copy)
    with pytest.raises(BadInput, match="link"):
        Bundle.open(copy, verify=False)


def save_golden(folder: Path, **arrays: np.ndarray) -> None:
    with np.load(folder / "golden.npz") as old:
        np.savez_compressed(folder / "golden.npz", **(dict(old) | arrays))
    rehash(folder)


GOLDEN_BREAKS: dict[str, Callable[[Path], object]] = {
    "pickled objects": lambda folder: save_golden(folder, texts=np.array(["A", None, 3], dtype=object)),
    "logits of another alphabet": lambda folder: save_golden(folder, logits=np.zeros((32, 3, 12), np.float32)),
    "images of another size": lambda folder: save_golden(folder, images=np.zeros((3, 16, 64), np.uint8)),
    "images as floats": lambda folder: save_golden(folder, images=np.zeros((3, 32, 128), np.float32)),
    "fewer texts than images": lambda folder: save_golden(folder, texts=np.array(["A"])),
    "no crop at all": lambda folder: save_golden(
        folder, texts=np.array([], dtype="<U1"), images=np.zeros((0, 32, 128), np.uint8)
    ),
    "not an archive": lambda folder: ((folder / "golden.npz").write_bytes(b"PK\x03\x04 nothing"), rehash(folder)),
}


@pytest.mark.parametrize("what", GOLDEN_BREAKS)
def test_a_golden_file_that_does_not_fit_is_refused(copy: Path, what: str) -> None:
    GOLDEN_BREAKS[what](copy)
    with pytest.raises(BadInput, match="golden"):
        Bundle.open(copy).golden()


def test_a_golden_file_that_unpacks_to_gigabytes_is_not_unpacked(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", b"\0" * 2_000_000)
    (copy / "golden.npz").write_bytes(buffer.getvalue())
    rehash(copy)
    monkeypatch.setattr(golden_module, "MAX_GOLDEN_BYTES", 1_000_000)
    with pytest.raises(BadInput, match="unpacks"):
        Bundle.open(copy).golden()


def test_the_same_content_packs_to_the_same_bytes(whole: Path) -> None:
    golden = Bundle.open(whole).golden()
    assert bundle_module.pack_golden(golden) == (whole / "golden.npz").read_bytes()


def test_a_bundle_keeps_its_fold(tmp_path: Path) -> None:
    folded = Alphabet(ALPHABET.characters, {"O": "0"})
    assert Bundle.open(write_bundle(tmp_path / "bundle", alphabet=folded)).alphabet.fold == {"O": "0"}


@pytest.mark.parametrize(
    ("task", "remedy"),
    [("super_resolution", "recogniser/"), ("segmentation", "Segmenter"), ("detection", "Detector"), ("juggling", "")],
)
def test_a_bundle_of_another_task_is_told_by_its_task_whatever_its_keys(copy: Path, task: str, remedy: str) -> None:
    (copy / "bundle.json").write_text(json.dumps({"task": task, "surprise": 1}))
    with pytest.raises(BadInput, match=rf"recognition.*{task}.*{remedy}"):
        Bundle.open(copy)


def test_a_bundle_is_verified_without_a_runtime(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert verify_bundle(copy) == Bundle.open(copy).sha256
    assert files_of(copy) == Bundle.open(copy).manifest.files


@pytest.mark.parametrize("what", BREAKS)
def test_a_broken_bundle_is_not_verified(copy: Path, what: str) -> None:
    BREAKS[what](copy)
    with pytest.raises(BadInput):
        verify_bundle(copy)


def test_an_engine_of_a_super_resolution_bundle_is_of_its_recogniser(restorer_bundle: Path) -> None:
    with pytest.raises(BadInput, match=r"super_resolution.*recogniser/"):
        Bundle.open(restorer_bundle)
    assert plan_for(Bundle.open(restorer_bundle / "recogniser"), "orin_nx_jp62").onnx == "model.onnx"
