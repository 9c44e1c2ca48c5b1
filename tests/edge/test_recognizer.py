"""The recogniser reads paths, bytes and arrays alike, from any number of threads, and refuses a bundle that does not hold."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest
from handmade import ALPHABET, PIXELS, drawn, edit_manifest, png, rehash, striped_onnx, write_bundle

import glyphyard
from glyphyard.core.alphabet import Alphabet
from glyphyard.core.ctc import Reading
from glyphyard.core.errors import BadInput
from glyphyard.edge import Bundle, Recognizer
from glyphyard.edge.session import OnnxSession

ROOT = Path(glyphyard.__file__).parent


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundles") / "whole")


@pytest.fixture(scope="module")
def recognizer(bundle: Path) -> Recognizer:
    return Recognizer(bundle)


def test_every_form_of_an_image_reads_the_same(recognizer: Recognizer, tmp_path: Path) -> None:
    grey = drawn("KX42ZQ")
    path = tmp_path / "crop.png"
    path.write_bytes(png(grey))
    bgr = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    bgra = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGRA)
    forms = [
        grey,
        grey[:, :, None],
        bgr,
        bgra,
        path,
        str(path),
        png(grey),
        cv2.resize(grey, (256, 64), interpolation=cv2.INTER_NEAREST),
    ]
    readings = recognizer.read_many(forms)
    assert {reading.text for reading in readings} == {"KX42ZQ"}
    assert len(set(readings[:7])) == 1


def test_a_reading_has_a_confidence_for_the_plate_and_each_character(recognizer: Recognizer) -> None:
    reading = recognizer.read(drawn("AB1"))
    assert len(reading.character_confidences) == 3
    assert reading.confidence == pytest.approx(np.prod(reading.character_confidences))
    assert 0 < reading.confidence <= 1


def test_many_keep_their_order_whatever_the_batch(recognizer: Recognizer) -> None:
    texts = [f"{ALPHABET.characters[i % 36]}{i % 10}X" for i in range(50)]
    for batch_size in (1, 7, 64):
        assert [r.text for r in recognizer.read_many(map(drawn, texts), batch_size)] == texts
    assert recognizer.read_many([]) == []


def test_a_stream_holds_one_batch_at_a_time(recognizer: Recognizer) -> None:
    taken = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield drawn("A1")

    stream = recognizer.stream(endless(), batch_size=4)
    assert [next(stream).text for _ in range(6)] == ["A1"] * 6
    assert taken == 8


@pytest.mark.parametrize(
    "image",
    [
        b"",
        b"not an image",
        np.zeros((0, 5), np.uint8),
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4, 2), np.uint8),
        Path("/nowhere/x.png"),
    ],
    ids=["no bytes", "other bytes", "an empty array", "floats", "two channels", "a missing file"],
)
def test_what_is_no_image_is_refused(recognizer: Recognizer, image: object) -> None:
    with pytest.raises(BadInput):
        recognizer.read(image)  # type: ignore[arg-type]


@pytest.mark.parametrize("image", [None, 3, object()])
def test_what_no_camera_gives_is_named(recognizer: Recognizer, image: object) -> None:
    with pytest.raises(BadInput, match=type(image).__name__):
        recognizer.read(image)  # type: ignore[arg-type]


def test_encoded_bytes_may_lie_in_any_buffer(recognizer: Recognizer) -> None:
    data = cv2.imencode(".png", drawn("AB12CD"))[1].tobytes()
    assert {recognizer.read(kind(data)).text for kind in (bytes, bytearray, memoryview)} == {"AB12CD"}  # type: ignore[operator]


def test_a_batch_of_nothing_is_refused(recognizer: Recognizer) -> None:
    with pytest.raises(BadInput, match="batch_size"):
        recognizer.read_many([drawn("A")], batch_size=0)


def test_golden_strings_that_do_not_hold_refuse_the_bundle(bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    with np.load(copy / "golden.npz") as old:
        arrays = dict(old)
    arrays["texts"] = np.array(["AB12CD", "99XYQ", ""])
    np.savez_compressed(copy / "golden.npz", **arrays)
    rehash(copy)
    with pytest.raises(BadInput, match=r"crop 1.*'99XYZ'.*'99XYQ'"):
        Recognizer(copy)
    assert Recognizer(copy, replay_golden=False).read(drawn("A1")).text == "A1"


def test_a_model_that_reads_otherwise_is_found_by_its_golden_crops(bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    edit_manifest(copy, alphabet=ALPHABET.characters[::-1])
    with pytest.raises(BadInput, match="golden"):
        Recognizer(copy)


def test_an_alphabet_that_is_not_the_models_is_refused(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle")
    (folder / "model.onnx").write_bytes(striped_onnx(classes=11))
    rehash(folder)
    with pytest.raises(BadInput, match="37 classes"):
        Recognizer(folder)
    edit_manifest(folder, alphabet="0123456789")
    with pytest.raises(BadInput, match="logits"):
        Recognizer(folder)


def test_a_model_with_another_input_is_refused(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle")
    (folder / "model.onnx").write_bytes(striped_onnx(input_name="pixels"))
    rehash(folder)
    with pytest.raises(BadInput, match="one float input input"):
        Recognizer(folder)


def test_a_model_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle")
    (folder / "model.onnx").write_bytes(b"no model")
    rehash(folder)
    with pytest.raises(BadInput) as caught:
        Recognizer(folder)
    assert "\n" not in str(caught.value)


def test_a_model_that_loads_and_then_does_not_run_is_refused_in_one_line() -> None:
    session = OnnxSession(striped_onnx(), "model.onnx")
    with pytest.raises(BadInput, match=r"model\.onnx.*cannot run") as caught:
        session.run(np.zeros((1, 1, 16, 128), np.float32))
    assert "\n" not in str(caught.value)


def test_a_provider_that_is_not_there_is_refused(bundle: Path) -> None:
    with pytest.raises(BadInput, match="providers"):
        Recognizer(bundle, providers=["NoSuchExecutionProvider"])


def mixed_crops(count: int) -> list[np.ndarray]:
    dice = np.random.default_rng(3)
    sizes = [(int(dice.integers(8, 90)), int(dice.integers(20, 300)), int(dice.choice([1, 3, 4]))) for _ in range(count)]
    return [dice.integers(0, 256, size, dtype=np.uint8) for size in sizes]


def bits(reading: Reading) -> tuple[str, bytes]:
    return reading.text, np.array([reading.confidence, *reading.character_confidences]).tobytes()


@pytest.mark.slow
def test_eight_threads_read_what_one_reads_byte_for_byte(bundle: Path) -> None:
    recognizer = Recognizer(bundle)
    crops = mixed_crops(2000)
    alone = [bits(recognizer.read(crop)) for crop in crops]
    with ThreadPoolExecutor(8) as pool:
        at_once = [pool.submit(lambda: [bits(recognizer.read(crop)) for crop in crops]) for _ in range(8)]
        assert all(answers.result() == alone for answers in at_once)
    assert len({text for text, _ in alone}) > 100


def test_a_few_threads_at_once_read_what_one_reads(bundle: Path) -> None:
    recognizer = Recognizer(bundle)
    crops = mixed_crops(60)
    alone = [bits(recognizer.read(crop)) for crop in crops]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda crop: bits(recognizer.read(crop)), crops * 4)) == alone * 4


def test_the_order_of_colours_is_told_by_a_flag(recognizer: Recognizer) -> None:
    text = "K7Q"
    grey = drawn(text)
    # A blue and a red that only weigh up to the drawn grey in the right order.
    bgr = np.stack([np.zeros_like(grey), grey, grey], axis=-1)
    rgb, rgba = bgr[:, :, ::-1], cv2.cvtColor(bgr, cv2.COLOR_BGR2RGBA)
    expected = bits(recognizer.read(bgr))
    assert bits(recognizer.read(rgb, rgb=True)) == bits(recognizer.read(rgba, rgb=True)) == expected
    assert bits(recognizer.read(rgb)) != expected
    assert bits(recognizer.read(grey, rgb=True)) == bits(recognizer.read(grey))


def test_a_layout_holds_for_a_call_or_for_all(bundle: Path, recognizer: Recognizer) -> None:
    crop = drawn("AB12CD")
    assert recognizer.read(crop).text == recognizer.read(crop, layout="LLDDLL").text == "AB12CD"
    strict = Recognizer(bundle, layout="LLLDDD|LLDDDD")
    assert strict.read(drawn("AB1234")).text == "AB1234"
    for reading in strict.read_many(map(drawn, ("AB12CD", "99", ""))):
        assert len(reading.text) == 6
        assert reading.text[:2].isalpha()
        assert reading.text[-3:].isdigit()
    assert strict.read(crop, layout="LLDDLL").text == "AB12CD"
    with pytest.raises(BadInput, match="layout"):
        Recognizer(bundle, layout="L-D")


@pytest.mark.parametrize("shape", [(1, 20_000), (20_000, 1, 3), (8000, 5000)], ids=["long", "high", "large"])
def test_what_is_no_crop_is_refused_before_it_costs_anything(recognizer: Recognizer, shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match="crop"):
        recognizer.read(np.broadcast_to(np.uint8(0), shape))


def test_a_batch_is_never_larger_than_the_engine_takes(bundle: Path) -> None:
    class Narrow:
        providers: ClassVar = ["narrow"]
        max_batch = 3

        def __init__(self) -> None:
            self.sizes: list[int] = []
            self.session = OnnxSession.of(Bundle.open(bundle))

        def run(self, batch_NCHW: np.ndarray) -> np.ndarray:
            self.sizes.append(len(batch_NCHW))
            return self.session.run(batch_NCHW)

    narrow = Narrow()
    recognizer = Recognizer(bundle, session=narrow)
    narrow.sizes.clear()
    assert [r.text for r in recognizer.read_many(map(drawn, "ABCDEFG"))] == list("ABCDEFG")
    assert narrow.sizes == [3, 3, 1]
    assert recognizer.providers == ["narrow"]
    with pytest.raises(BadInput, match="session"):
        Recognizer(bundle, ["CPUExecutionProvider"], session=narrow)


def test_memory_is_bounded_whatever_batch_is_asked_for(recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    run = recognizer._session.run
    monkeypatch.setattr(recognizer._session, "run", lambda batch: sizes.append(len(batch)) or run(batch))
    monkeypatch.setattr("glyphyard.edge.recognizer.MAX_BATCH", 4)
    assert [r.text for r in recognizer.read_many(map(drawn, "ABCDEFGHIJ"), batch_size=100_000)] == list("ABCDEFGHIJ")
    assert sizes == [4, 4, 2]


def test_a_bundle_may_be_given_open(bundle: Path) -> None:
    assert Recognizer(Bundle.open(bundle)).providers == ["CPUExecutionProvider"]


def test_a_folded_alphabet_reads_the_character_it_folds_onto(tmp_path: Path) -> None:
    folded = Alphabet(ALPHABET.characters, {"O": "0"})
    assert Recognizer(write_bundle(tmp_path / "b", alphabet=folded)).read(drawn("O0")).text in ("O0", "00", "0")


def test_reading_needs_neither_torch_nor_ray_nor_pandas(bundle: Path) -> None:
    code = (
        "import sys\n"
        "import glyphyard.edge\n"
        "early = [m for m in ('onnxruntime',) if m in sys.modules]\n"
        "from glyphyard.edge import Recognizer\n"
        "Recognizer(sys.argv[1])\n"
        "heavy = ('torch', 'ray', 'mlflow', 'pandas', 'pydantic', 'pyarrow', 'scipy', 'onnx')\n"
        "print(early + [m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(bundle)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert not done.stderr.strip()


def test_without_onnxruntime_the_remedy_is_named(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BadInput, match="pip install"):
        Recognizer(bundle)


@pytest.mark.parametrize(
    "file", sorted([*(ROOT / "core").rglob("*.py"), *(ROOT / "edge").rglob("*.py")]), ids=lambda p: f"{p.parent.name}/{p.name}"
)
def test_the_edge_parses_as_python_3_10_and_uses_no_younger_standard_library(file: Path) -> None:
    tree = ast.parse(file.read_text(), feature_version=(3, 10))
    younger = {"UTC", "StrEnum", "Self", "ExceptionGroup", "tomllib", "assert_never", "override", "batched", "NotRequired"}
    named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    named |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names}
    assert not named & younger


def test_the_seeds_snippet_works_on_the_model_as_written(bundle: Path) -> None:
    ort = pytest.importorskip("onnxruntime")
    sess = ort.InferenceSession(str(bundle / "model.onnx"), providers=["CPUExecutionProvider"])
    crop_bgr = cv2.cvtColor(drawn("HYUL84"), cv2.COLOR_GRAY2BGR)
    gray = cv2.cvtColor(crop_bgr, cv2.COLOR_BGR2GRAY)
    img = cv2.resize(gray, (128, 32)).astype(np.float32) / 255.0
    img = img[np.newaxis, np.newaxis, ...]
    logits = sess.run(None, {"input": img})[0]
    assert logits.shape == (32, 1, 37)
    assert np.array_equal(img, PIXELS.batch([PIXELS.resize(crop_bgr)]))
