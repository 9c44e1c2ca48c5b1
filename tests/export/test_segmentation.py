"""A segmentation bundle is what torch finds, or it is not written."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from outlining import bundle, outlining_recipe, prepared, train

from glyphyard.core.boxes import Detections
from glyphyard.core.detection_metrics import Truth
from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.files import read_json
from glyphyard.export import segmentation
from glyphyard.export.onnx_graph import tidy
from glyphyard.export.segmentation import chosen_confidence, export_segmenter


def test_the_bundle_says_what_it_is():
    folder = bundle()
    described = read_json(folder / "bundle.json")
    assert (described["task"], described["runtime"], described["reads"]) == ("segmentation", "onnxruntime", True)
    assert "".join(described["classes"]) == outlining_recipe().dataset.alphabet
    assert described["pixels"] == {"kind": "letterbox", "height": 64, "width": 128, "grey": 114, "enlarge": True}
    assert set(described["files"]) == {"model.onnx", "golden.npz"}
    assert described["provenance"]["dataset_fingerprint"] == prepared().name
    model = onnx.load(folder / "model.onnx")
    assert [o.name for o in model.graph.output] == ["boxes", "labels", "scores", "masks"]
    assert {o.type.tensor_type.shape.dim[0].dim_param for o in model.graph.output} == {"characters"}
    assert model.opset_import[0].version == 18


def test_a_model_that_differs_from_torch_is_not_shipped(tmp_path, monkeypatch):
    recipe = outlining_recipe()
    train(tmp_path, recipe)
    found = segmentation.in_torch

    def other(module, batch):
        some, maps = found(module, batch)
        return Detections(some.boxes, some.scores * 0.9, some.classes), maps

    monkeypatch.setattr(segmentation, "in_torch", other)
    with pytest.raises(StepFailed, match="parity"):
        export_segmenter(recipe, tmp_path / "stage" / "best.pt", prepared(), tmp_path / "bundle", say=lambda line: None)
    assert not (tmp_path / "bundle").exists()


def test_another_canvas_is_refused(tmp_path):
    train(tmp_path)
    recipe = outlining_recipe()
    image = recipe.dataset.image.model_copy(update={"width": 96})
    other = recipe.model_copy(update={"dataset": recipe.dataset.model_copy(update={"image": image})})
    with pytest.raises(BadInput, match="prepared for pixels"):
        export_segmenter(other, tmp_path / "stage" / "best.pt", prepared(), tmp_path / "bundle")


def test_the_confidence_is_where_f1_is_best_over_all_classes():
    box = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]], float)
    truth = Truth(box[:2], np.array([0, 1]))
    found = Detections(box, np.array([0.9, 0.6, 0.3]), np.array([0, 1, 0]))
    assert chosen_confidence([truth], [found], 2) == pytest.approx(0.6)
    swapped = Detections(box, np.array([0.9, 0.6, 0.3]), np.array([1, 0, 0]))  # in the right places, as the wrong characters
    assert chosen_confidence([truth], [swapped], 2) == 0.5


def test_tidying_leaves_what_only_a_branch_uses():
    weight = onnx.numpy_helper.from_array(np.full((2,), 3, np.float32), "onnx::Add_7")
    inner = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "onnx::Add_7"], ["more"], name="add")], "then", [],
        [onnx.helper.make_tensor_value_info("more", 1, [2])],
    )  # fmt: skip
    plain = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["same"], name="same")], "else", [],
        [onnx.helper.make_tensor_value_info("same", 1, [2])],
    )  # fmt: skip
    branch = onnx.helper.make_node("If", ["yes"], ["y"], name="if", then_branch=inner, else_branch=plain)
    graph = onnx.helper.make_graph(
        [branch], "main",
        [onnx.helper.make_tensor_value_info("yes", 9, []), onnx.helper.make_tensor_value_info("x", 1, [2])],
        [onnx.helper.make_tensor_value_info("y", 1, [2])], [weight],
    )  # fmt: skip
    model = tidy(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9))
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for yes, expected in ((True, [4.0, 5.0]), (False, [1.0, 2.0])):
        (found,) = session.run(None, {"yes": np.array(yes), "x": np.array([1, 2], np.float32)})
        assert found.tolist() == expected
