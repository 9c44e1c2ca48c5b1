"""Handmade data and bundles for tests: a dataset without `prepare`, and a reader that reads exactly what was drawn.

The drawn "plates" are stripes: column block t (four pixels wide) has the grey of class t, and the reader is a fixed ONNX
graph that turns greys back into classes. So a test decides what is read, to the letter, without training anything.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from glyphyard.core.alphabet import Alphabet
from glyphyard.core.ctc import greedy_decode
from glyphyard.core.files import sha256_bytes, sha256_file, write_json
from glyphyard.core.pixels import PixelContract
from glyphyard.core.records import DatasetManifest, Shard, SplitRecord
from glyphyard.edge.bundle import Golden, pack_golden
from glyphyard.edge.manifest import describe

ALPHABET = Alphabet("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
PIXELS = PixelContract()
GREY_STEP = 6
STEPS, STEP_PX = 32, 4


def drawn(text: str) -> np.ndarray:
    """Return the 32×128 grey image that the striped reader reads as `text` (at most 16 characters)."""
    classes = np.zeros(STEPS, dtype=int)
    classes[: 2 * len(text) : 2] = ALPHABET.encode(text)
    return np.repeat(np.repeat((classes * GREY_STEP).astype(np.uint8), STEP_PX)[None], 32, axis=0)


def png(image: np.ndarray) -> bytes:
    """Return an image as PNG bytes."""
    return bytes(cv2.imencode(".png", image)[1])


def striped_onnx(sharpness: float = 2.0, classes: int = ALPHABET.num_classes, input_name: str = "input") -> bytes:
    """Return the reader's graph: mean grey of each block, compared with each class's grey."""
    from onnx import TensorProto, checker, helper, numpy_helper

    greys = (np.arange(classes, dtype=np.float32) * GREY_STEP / 255).reshape(1, 1, classes)
    constants = {"greys": greys, "scale": np.float32(-sharpness * (255 / GREY_STEP) ** 2), "axes": np.array([2], dtype=np.int64)}
    nodes = [
        helper.make_node("AveragePool", [input_name], ["blocks"], kernel_shape=[32, STEP_PX], strides=[32, STEP_PX]),
        helper.make_node("Squeeze", ["blocks", "axes"], ["row"]),
        helper.make_node("Transpose", ["row"], ["column"], perm=[2, 0, 1]),
        helper.make_node("Sub", ["column", "greys"], ["off"]),
        helper.make_node("Mul", ["off", "off"], ["squared"]),
        helper.make_node("Mul", ["squared", "scale"], ["scores"]),
        helper.make_node("LogSoftmax", ["scores"], ["output"], axis=2),
    ]
    graph = helper.make_graph(
        nodes,
        "striped",
        [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, ["batch", 1, 32, 128])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [STEPS, "batch", classes])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    return bytes(model.SerializeToString())


def write_bundle(
    folder: Path, model: bytes | None = None, alphabet: Alphabet = ALPHABET, texts: Sequence[str] = ("AB12CD", "99XYZ", "")
) -> Path:
    """Write a whole bundle around the striped reader (or another model with the same output) and return its folder."""
    import onnxruntime

    model = model or striped_onnx()
    images = [drawn(text) for text in texts]
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    logits = session.run(None, {session.get_inputs()[0].name: PIXELS.batch(images)})[0]
    golden = Golden(np.stack(images), [reading.text for reading in greedy_decode(logits, alphabet)], logits)
    packed = {"model.onnx": model, "golden.npz": pack_golden(golden)}
    folder.mkdir(parents=True)
    for name, data in packed.items():
        (folder / name).write_bytes(data)
    files = {name: sha256_bytes(data) for name, data in packed.items()}
    write_json(folder / "bundle.json", describe("striped", alphabet, PIXELS, files, {"recipe": "handmade"}).to_json())
    return folder


def edit_manifest(bundle: Path, **changes: Any) -> None:
    """Overwrite keys of a bundle's bundle.json."""
    path = bundle / "bundle.json"
    write_json(path, json.loads(path.read_text()) | changes)


def rehash(bundle: Path) -> None:
    """Make bundle.json name the files as they are now, as a forger would."""
    names = json.loads((bundle / "bundle.json").read_text())["files"]
    edit_manifest(bundle, files={name: sha256_file(bundle / name) for name in names})


@dataclass
class Row:
    """One row of a handmade dataset; `shown` is what the image says (the text when None)."""

    text: str
    shown: str | None = None
    source: str = "hand"
    group: str | None = None
    meta: dict[str, str] = field(default_factory=dict)
    image: np.ndarray | None = None


def write_dataset(folder: Path, rows: Sequence[Row], split: str = "test", shard_rows: int = 4096) -> Path:
    """Write a prepared dataset of one split as the contract describes it and return its folder."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    shards = []
    for number, start in enumerate(range(0, len(rows), shard_rows)):
        columns = [_columns(start + i, row) for i, row in enumerate(rows[start : start + shard_rows])]
        path = folder / f"{split}-{number:05d}.parquet"
        pq.write_table(pa.Table.from_pylist(columns, schema=_schema()), path)
        shards.append(Shard(path.name, len(columns), sha256_file(path)))
    groups = len({row.group or row.text for row in rows})
    content = sha256_bytes("\n".join(f"{row.text}\t{row.shown}" for row in rows).encode())
    records = {split: SplitRecord(len(rows), groups, content, shards)}
    manifest = DatasetManifest("hand0000hand0000", ALPHABET.characters, {}, PIXELS.to_json(), ["hand"], records, 0)
    manifest.write(folder / "manifest.json")
    return folder


def _columns(number: int, row: Row) -> dict[str, Any]:
    image = drawn(row.text if row.shown is None else row.shown) if row.image is None else row.image
    return {
        "id": number,
        "pixels": PIXELS.resize(image).tobytes(),
        "text": row.text,
        "source": row.source,
        "group": row.group or row.text,
        "path": f"crops/{number}.png",
        "line": number + 1,
        "meta": json.dumps(row.meta),
        "encoded": png(image),
    }


def _schema() -> Any:
    import pyarrow as pa

    text = ("text", "source", "group", "path", "meta")
    kinds = {"id": pa.int64(), "line": pa.int32(), "pixels": pa.binary(), "encoded": pa.large_binary()} | dict.fromkeys(
        text, pa.string()
    )
    return pa.schema(list(kinds.items()))
