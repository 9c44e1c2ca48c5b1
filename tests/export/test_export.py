"""Torch → bundle: the graph that devices can run, the same bytes twice, and no bundle at all where anything differs."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from handmade import PIXELS, Row, write_dataset
from torch import Tensor, nn

from glyphyard.core.agreement import difference
from glyphyard.core.alphabet import Alphabet
from glyphyard.core.ctc import greedy_decode
from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.files import sha256_file
from glyphyard.core.records import BundleRecord
from glyphyard.edge import Bundle, Recognizer
from glyphyard.edge.plan import plan_for
from glyphyard.edge.session import OnnxSession
from glyphyard.export import bundle as bundle_module
from glyphyard.export.bundle import export_bundle
from glyphyard.recipe.load import load_recipe
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.targets import TargetConfig
from glyphyard.tasks.base import ExportSpec
from glyphyard.tasks.recognition.task import Recognition

REPOSITORY = Path(__file__).parents[2]


def noisy(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 20), dtype=np.uint8)
    return cv2.resize(coarse, (128, 32), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    loaded = load_recipe(REPOSITORY / "recipes" / "tiny" / "florida_crnn.yaml")
    two_layers = loaded.model.model_copy(update={"layers": 2})
    small = loaded.export.model_copy(update={"max_batch": 9, "golden": 5})
    return loaded.model_copy(update={"model": two_layers, "export": small})


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [Row(f"A{i}", image=noisy(i)) for i in range(20)]
    return write_dataset(tmp_path_factory.mktemp("data") / "set", rows, split="validation", shard_rows=8)


@pytest.fixture(scope="module")
def parts(recipe: Recipe) -> nn.ModuleDict:
    torch.manual_seed(5)
    parts = Recognition(recipe).build()
    with torch.no_grad():  # a network that hesitates would read nothing but blanks
        parts["model"].head.weight.mul_(60)
        parts["model"].head.bias[0] -= 2
        for name, weight in parts["model"].context.named_parameters():
            weight.mul_((12 if "ih_l0" in name else 6) if name.startswith("weight") else 0)
    parts["model"].train()
    for seed in range(8):
        parts["model"](torch.from_numpy(PIXELS.batch([noisy(100 + seed * 8 + i) for i in range(8)])))
    return parts


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stage") / "best.pt"
    path.write_bytes(b"weights")
    return path


@pytest.fixture(scope="module")
def exported(
    recipe: Recipe, parts: nn.ModuleDict, checkpoint: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, BundleRecord]:
    out = tmp_path_factory.mktemp("run") / "bundle"
    said: list[str] = []
    record = export_bundle(recipe, Recognition(recipe), parts, checkpoint, dataset, out, said.append)
    assert said
    return out, record


def test_the_bundle_holds_and_reads_what_torch_reads(
    exported: tuple[Path, BundleRecord], parts: nn.ModuleDict, recipe: Recipe
) -> None:
    folder, record = exported
    crops = [noisy(i) for i in range(30, 110)]
    model = copy.deepcopy(parts["model"]).eval()
    with torch.inference_mode():
        torch_reads = greedy_decode(model(torch.from_numpy(PIXELS.batch(crops))).numpy(), recipe.dataset.the_alphabet())
    readings = Recognizer(folder).read_many(crops, batch_size=6)
    assert [r.text for r in readings] == [r.text for r in torch_reads]
    assert len({r.text for r in readings}) > 5  # it reads something, so the comparison means something
    assert record.strings_compared >= 2 * 9
    assert 0 <= record.max_abs_difference <= recipe.export.tolerance


def test_the_record_names_each_file_by_hash(exported: tuple[Path, BundleRecord], checkpoint: Path) -> None:
    folder, record = exported
    assert record.files == {path.name: sha256_file(path) for path in folder.iterdir()}
    assert set(record.files) == {"bundle.json", "model.onnx", "golden.npz"}
    assert record.checkpoint_sha256 == sha256_file(checkpoint)
    assert Bundle.open(folder).manifest.provenance["checkpoint_sha256"] == record.checkpoint_sha256


def test_the_graph_is_the_one_that_devices_want(exported: tuple[Path, BundleRecord], recipe: Recipe) -> None:
    model = onnx.load(exported[0] / "model.onnx")
    assert [(o.domain, o.version) for o in model.opset_import] == [("", recipe.export.opset)]
    assert model.ir_version <= 10
    batch = [
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_param,
        model.graph.output[0].type.tensor_type.shape.dim[1].dim_param,
    ]
    assert batch == ["batch", "batch"]
    weights = {w.name for w in model.graph.initializer}
    lstms = [node for node in model.graph.node if node.op_type == "LSTM"]
    assert len(lstms) == 2
    assert all(set(node.input[1:4]) <= weights and len(node.input) == 4 for node in lstms)
    # Nothing about shapes is computed at run time.
    assert not {node.op_type for node in model.graph.node} & {
        "Shape",
        "Gather",
        "ConstantOfShape",
        "Slice",
        "BatchNormalization",
        "Dropout",
    }


def test_the_same_weights_give_the_same_bytes(
    exported: tuple[Path, BundleRecord], recipe: Recipe, parts: nn.ModuleDict, checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    again = export_bundle(recipe, Recognition(recipe), parts, checkpoint, dataset, tmp_path / "bundle", lambda line: None)
    assert again.files == exported[1].files


def test_exporting_leaves_the_network_as_it_is(exported: tuple[Path, BundleRecord], parts: nn.ModuleDict) -> None:
    assert parts["model"].training
    assert all(p.requires_grad for p in parts.parameters())


def test_opset_17_works_as_well(recipe: Recipe, parts: nn.ModuleDict, checkpoint: Path, dataset: Path, tmp_path: Path) -> None:
    older = recipe.model_copy(update={"export": recipe.export.model_copy(update={"opset": 17})})
    export_bundle(older, Recognition(older), parts, checkpoint, dataset, tmp_path / "bundle", lambda line: None)
    assert onnx.load(tmp_path / "bundle" / "model.onnx").opset_import[0].version == 17


def test_nothing_of_torch_reaches_the_screen(
    recipe: Recipe,
    parts: nn.ModuleDict,
    checkpoint: Path,
    dataset: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    recwarn: pytest.WarningsRecorder,
) -> None:
    export_bundle(recipe, Recognition(recipe), parts, checkpoint, dataset, tmp_path / "bundle", lambda line: None)
    assert capfd.readouterr() == ("", "")
    assert not list(recwarn)


def test_threads_read_a_recurrent_network_byte_for_byte(exported: tuple[Path, BundleRecord]) -> None:
    recognizer = Recognizer(exported[0])
    dice = np.random.default_rng(8)
    crops = [cv2.resize(noisy(i), (int(dice.integers(40, 300)), int(dice.integers(12, 90)))) for i in range(200)]
    alone = [recognizer.read(crop) for crop in crops]
    with ThreadPoolExecutor(8) as pool:
        at_once = [pool.submit(lambda: [recognizer.read(crop) for crop in crops]) for _ in range(8)]
        assert all(answers.result() == alone for answers in at_once)


class Frozen(nn.Module):
    """Forgets that there is a batch: what a traced reshape does."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images).reshape(32, images.detach().shape[0] if not torch.onnx.is_in_onnx_export() else 2, 37)


class Different(Frozen):
    """Computes something else when exported."""

    def forward(self, images: Tensor) -> Tensor:
        values = self.model(images)
        return (values.exp() + 0.01).log().log_softmax(-1) if torch.onnx.is_in_onnx_export() else values


class Swapped(Frozen):
    """Gives the batch's answers in another order when exported: numbers like the right ones, in the wrong places."""

    def forward(self, images: Tensor) -> Tensor:
        values = self.model(images)
        return values.flip(1) if torch.onnx.is_in_onnx_export() else values


class BatchFirst(Frozen):
    """An LSTM that is not time-major inside is none that TensorRT reads; here the output is not, either."""

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images).transpose(0, 1)


class NotFinite(Frozen):
    """Log-probabilities without a floor."""

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images) - torch.inf


class Wrapped(Recognition):
    """Recognition that ships its model inside another module."""

    wrapper: type[Frozen] = Frozen

    def export_spec(self, parts: nn.ModuleDict) -> ExportSpec:
        spec = super().export_spec(parts)
        return ExportSpec(self.wrapper(spec.module).eval(), spec.example, spec.input_names, spec.output_names, spec.batch_axes)


@pytest.mark.parametrize(
    ("wrapper", "word"),
    [(Frozen, "batch"), (Different, "parity"), (Swapped, "parity, batch 2"), (BatchFirst, "batch"), (NotFinite, "finite")],
)
def test_an_unfaithful_export_leaves_nothing(
    wrapper: type[Frozen], word: str, recipe: Recipe, parts: nn.ModuleDict, checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    task = Wrapped(recipe)
    task.wrapper = wrapper
    with pytest.raises(StepFailed, match=word) as caught:
        export_bundle(recipe, task, parts, checkpoint, dataset, tmp_path / "bundle", lambda line: None)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_failed_export_keeps_the_older_bundle(
    recipe: Recipe, parts: nn.ModuleDict, checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    export_bundle(recipe, Recognition(recipe), parts, checkpoint, dataset, out, lambda line: None)
    before = sha256_file(out / "bundle.json")
    task = Wrapped(recipe)
    task.wrapper = Different
    with pytest.raises(StepFailed):
        export_bundle(recipe, task, parts, checkpoint, dataset, out, lambda line: None)
    assert sha256_file(out / "bundle.json") == before
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_bundle_that_does_not_read_its_golden_crops_is_not_published(
    recipe: Recipe, parts: nn.ModuleDict, checkpoint: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        bundle_module,
        "decoder_of",
        lambda method: lambda logits, alphabet: greedy_decode(logits, Alphabet(alphabet.characters[::-1])),
    )
    with pytest.raises(StepFailed, match="does not hold"):
        export_bundle(recipe, Recognition(recipe), parts, checkpoint, dataset, tmp_path / "bundle", lambda line: None)
    assert not list(tmp_path.iterdir())


def test_a_dataset_of_other_pixels_is_refused(
    recipe: Recipe, parts: nn.ModuleDict, checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    image = recipe.dataset.image.model_copy(update={"interpolation": "area"})
    other = recipe.model_copy(update={"dataset": recipe.dataset.model_copy(update={"image": image})})
    with pytest.raises(BadInput, match="pixels"):
        export_bundle(other, Recognition(other), parts, checkpoint, dataset, tmp_path / "bundle", lambda line: None)


def test_a_full_disk_is_one_line_and_leaves_nothing(
    recipe: Recipe, parts: nn.ModuleDict, checkpoint: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BadInput, match="No space left"):
        export_bundle(recipe, Recognition(recipe), parts, checkpoint, dataset, tmp_path / "bundle", lambda line: None)
    assert not list(tmp_path.iterdir())


def test_a_bundle_carries_plans_for_the_devices_that_the_recipe_names(
    recipe: Recipe, checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    calm = Recognition(recipe).build()  # `parts` is made to hesitate, which half precision does not survive
    targets = (TargetConfig(name="orin_nx_jp62"), TargetConfig(name="x86_trt11"))
    planned = recipe.model_copy(update={"export": recipe.export.model_copy(update={"targets": targets})})
    record = export_bundle(planned, Recognition(planned), calm, checkpoint, dataset, tmp_path / "bundle", lambda line: None)
    assert set(record.files) >= {"targets/orin_nx_jp62.json", "targets/x86_trt11.json", "targets/model_fp16.onnx"}
    bundle = Bundle.open(tmp_path / "bundle")
    orin, x86 = plan_for(bundle, "orin_nx_jp62"), plan_for(bundle, "x86_trt11")
    assert (orin.precision, orin.onnx, orin.batch) == ("fp16", "model.onnx", [1, 8, 9])
    assert any("LogSoftmax" in name for name in orin.keep_fp32)
    golden = bundle.golden()
    found = OnnxSession(bundle.read(x86.onnx), x86.onnx).run(PIXELS.batch(list(golden.images)))
    assert 0 < difference(golden.logits, found).max() < 0.02
    no_training = (TargetConfig(name="orin_nx_jp62", precision="int8"),)
    planned = recipe.model_copy(update={"export": recipe.export.model_copy(update={"targets": no_training})})
    with pytest.raises(BadInput, match="train"):
        export_bundle(planned, Recognition(planned), calm, checkpoint, dataset, tmp_path / "int8", lambda line: None)
    assert not (tmp_path / "int8").exists()
