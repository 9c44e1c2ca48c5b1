"""What writes character by character is shipped as a fixed graph that reads what torch reads; generators are shipped, too."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from handmade import PIXELS, Row, write_dataset
from torch import nn

from glyphyard.core.alphabet import Alphabet
from glyphyard.core.decoding import ATTENTION, decoder_of
from glyphyard.edge import Bundle, Recognizer
from glyphyard.edge.session import OnnxSession
from glyphyard.export.bundle import export_bundle
from glyphyard.export.onnx_graph import export_onnx, for_inference
from glyphyard.export.onnx_laws import check_graph
from glyphyard.export.parity import check_parity
from glyphyard.nn.swinir import SwinIR
from glyphyard.recipe.load import load_recipe
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.super_resolution import SwinIRConfig
from glyphyard.tasks.base import ExportSpec
from glyphyard.tasks.recognition.task import Recognition

REPOSITORY = Path(__file__).parents[2]


def noisy(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 20), dtype=np.uint8)
    return cv2.resize(coarse, (128, 32), interpolation=cv2.INTER_CUBIC)


def recipe_of(decode: str, refine: int) -> Recipe:
    sizes = ["model.embed_dim=16", "model.depth=1", "model.max_length=5"]
    loaded = load_recipe(REPOSITORY / "recipes/tiny/parseq.yaml", [*sizes, f"model.decode={decode}", f"model.refine={refine}"])
    return loaded.model_copy(update={"export": loaded.export.model_copy(update={"max_batch": 5, "golden": 4})})


def parts_of(recipe: Recipe) -> nn.ModuleDict:
    """Return a network that is sure of what it says, and says texts of several lengths."""
    torch.manual_seed(2)
    parts = Recognition(recipe).build()
    with torch.no_grad():
        model = parts["model"]
        image = (model.encoder.patches[-1], model.encoder.layers[0].attention.projections, model.layer.to_image.projections)
        for part in (*image, model.layer.to_image.mix, model.head, model.tokens):
            part.weight.mul_(30)
        model.queries.mul_(30)
        model.head.bias[0] = 4.0
    return parts.eval()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "set", [Row(f"A{i}", image=noisy(i)) for i in range(12)], "validation")


@pytest.mark.parametrize(("decode", "refine"), [("autoregressive", 1), ("parallel", 0)])
def test_a_bundle_reads_what_torch_reads(decode: str, refine: int, dataset: Path, tmp_path: Path) -> None:
    recipe = recipe_of(decode, refine)
    parts, checkpoint = parts_of(recipe), tmp_path / "best.pt"
    checkpoint.write_bytes(b"weights")
    record = export_bundle(recipe, Recognition(recipe), parts, checkpoint, dataset, tmp_path / "bundle", lambda line: None)
    assert record.max_abs_difference <= recipe.export.tolerance
    assert Bundle.open(tmp_path / "bundle").manifest.decode.method == ATTENTION
    crops = [noisy(i) for i in range(30, 60)]
    with torch.inference_mode():
        expected = decoder_of(ATTENTION)(
            parts["model"](torch.from_numpy(PIXELS.batch(crops))).numpy(), recipe.dataset.the_alphabet()
        )
    readings = Recognizer(tmp_path / "bundle").read_many(crops, batch_size=7)
    assert [r.text for r in readings] == [r.text for r in expected]
    np.testing.assert_allclose([r.confidence for r in readings], [r.confidence for r in expected], atol=1e-4)
    assert len({r.text for r in readings}) > 5
    assert len({len(r.text) for r in readings}) > 1


def test_numbers_after_a_toss_of_a_coin_are_not_compared() -> None:
    alphabet = Alphabet("AB")

    def reader(flips: bool):  # type: ignore[no-untyped-def]
        def run(batch: np.ndarray) -> np.ndarray:
            tied = np.array([-9.0, -1e-6, 0.0]) if flips else np.array([-9.0, 0.0, -1e-6])
            after = np.array([-9.0, 0.0, -9.0]) if flips else np.array([-9.0, -9.0, 0.0])
            logits = np.stack([tied, after])[:, None].repeat(len(batch), 1)
            clear = np.stack([np.array([-9.0, 0.0, -9.0])] * 2)[:, None]
            shown = batch.mean((1, 2, 3)) > 0.6  # white crops are legible, noise is grey
            return np.where(shown[None, :, None], clear, logits).astype(np.float32)

        return run

    crops = [np.full((32, 128), 255, np.uint8)] * 3
    found = check_parity(reader(False), reader(True), crops, PIXELS, alphabet, max_batch=3, tolerance=1e-3, method=ATTENTION)
    assert found.strings_compared == 1 + 2 + 3
    with pytest.raises(Exception, match="differ"):
        check_parity(reader(False), reader(True), crops, PIXELS, alphabet, max_batch=3, tolerance=1e-3)


def test_a_generator_has_an_onnx_form_with_a_dynamic_batch(tmp_path: Path) -> None:
    torch.manual_seed(1)
    config = SwinIRConfig.model_validate(
        {
            "embed_dim": 8,
            "rstb": 1,
            "blocks": 2,
            "heads": 2,
            "window": 4,
            "mlp_ratio": 2.0,
            "features": 8,
            "pyramid": {"layout": "mercosur"},
        }
    )
    model = SwinIR(config, 1, 10, 24)
    nn.init.normal_(model.last.weight, std=0.1)
    nn.init.normal_(model.pyramid.join.weight, std=0.1)
    module = for_inference(model)
    spec = ExportSpec(module, (torch.rand(2, 1, 10, 24),), ("input",), ("output",), {"input": 0, "output": 0})
    graph = export_onnx(spec, 18)
    check_graph(graph, spec, 18)
    session = OnnxSession(graph.SerializeToString(), "generator.onnx")
    onnx.checker.check_model(graph)
    for size in (1, 3, 5):
        images = np.random.default_rng(size).random((size, 1, 10, 24), dtype=np.float32)
        with torch.inference_mode():
            expected = module(torch.from_numpy(images)).numpy()
        np.testing.assert_allclose(session.run(images), expected, atol=1e-4)
