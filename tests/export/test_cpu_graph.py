"""The file for CPUs: made where it reads as fp32 does, left out where it does not, and what the recogniser opens on a CPU."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from handmade import ALPHABET, PIXELS, edit_manifest, rehash
from onnx import ModelProto, numpy_helper
from torch import Tensor, nn

from glyphyard.core.agreement import difference
from glyphyard.core.ctc import best_steps, greedy_decode
from glyphyard.core.errors import BadInput
from glyphyard.core.files import sha256_bytes, write_json
from glyphyard.edge import Bundle, Recognizer, open_engine
from glyphyard.edge.bundle import Golden, pack_golden
from glyphyard.edge.manifest import CPU_MODEL, MODEL, describe
from glyphyard.edge.session import CPU_TOLERANCE, OnnxSession
from glyphyard.export.cpu_graph import CpuFile, Crops, cpu_file, for_pixels, int8_lstms, quantised
from glyphyard.export.onnx_graph import export_onnx, for_inference
from glyphyard.export.thin_lstm import stack_of, stand_ins, thin_lstms
from glyphyard.recipe.run import ExportConfig
from glyphyard.tasks.base import ExportSpec

HIDDEN, FEATURES = 16, 32


class Small(nn.Module):
    """Columns of grey → two layers → a head, as the real reader does it; `echo` units of each direction repeat another one."""

    def __init__(self, echo: int = 0, layers: int = 2) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.context = nn.LSTM(FEATURES, HIDDEN, layers, bidirectional=True)
        self.head = nn.Linear(2 * HIDDEN, ALPHABET.num_classes)
        with torch.no_grad():
            for weight in self.context.parameters():
                if echo:  # the last units have the weights of the first: whoever reads both can do with one
                    gates = weight.view(4, HIDDEN, *weight.shape[1:])
                    gates[:, HIDDEN - echo :] = gates[:, :echo]
            self.head.weight.mul_(12)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        columns_TNF = images_NCHW[:, 0, :, ::4].permute(2, 0, 1)
        context_TNF, _ = self.context(columns_TNF)
        scores: Tensor = self.head(context_TNF)
        return scores.log_softmax(-1)


def graph_of(module: nn.Module) -> ModelProto:
    axes = {"input": 0, "output": 1}
    spec = ExportSpec(for_inference(module), (torch.zeros(2, 1, 32, 128),), ("input",), ("output",), axes)
    return export_onnx(spec, 17)


def runner(model: ModelProto) -> Callable[[np.ndarray], np.ndarray]:
    return OnnxSession(model.SerializeToString(), MODEL).run


def boards(count: int, seed: int = 0) -> list[np.ndarray]:
    """Return black and white boards: what is read of them hangs on no single grey."""
    drawn = np.random.default_rng(seed).integers(0, 2, (count, 4, 8), dtype=np.uint8) * 255
    return list(drawn.repeat(8, axis=1).repeat(16, axis=2))


def made(model: ModelProto, config: ExportConfig, crops: Crops | None = None) -> tuple[CpuFile, Golden, list[str]]:
    run, images, said = runner(model), boards(4, seed=9), []
    logits = run(PIXELS.batch(images))
    golden = Golden(np.stack(images), [r.text for r in greedy_decode(logits, ALPHABET)], logits)
    known = crops or Crops(boards(60, seed=1), boards(40, seed=2))

    def decode(logits_TNC: np.ndarray) -> list:
        return greedy_decode(logits_TNC, ALPHABET)

    return cpu_file(model, run, golden, lambda: known, PIXELS, decode, config, said.append), golden, said


@pytest.fixture(scope="module")
def whole() -> ModelProto:
    return graph_of(Small())


@pytest.fixture(scope="module")
def echoing() -> ModelProto:
    return graph_of(Small(echo=4))


@pytest.fixture(scope="module")
def bundle(echoing: ModelProto, tmp_path_factory: pytest.TempPathFactory) -> Path:
    shipped, golden, _ = made(echoing, ExportConfig(cpu_changed=0.2))
    packed = {MODEL: echoing.SerializeToString(), "golden.npz": pack_golden(golden)} | shipped.files
    folder = tmp_path_factory.mktemp("bundles") / "small"
    folder.mkdir()
    for name, data in packed.items():
        (folder / name).write_bytes(data)
    files = {name: sha256_bytes(data) for name, data in packed.items()}
    write_json(folder / "bundle.json", describe("small", ALPHABET, PIXELS, files, {}).to_json())
    return folder


def test_int8_weights_are_as_near_as_seven_bits_allow() -> None:
    weight = np.random.default_rng(0).normal(size=(2, 12, 5)).astype(np.float32)
    weight[0, 3] = 0
    values, scale = quantised(weight, axis=(1,))
    assert (values.dtype, values.shape, scale.shape) == (np.int8, (2, 5, 12), (2, 12))
    assert np.abs(values).max() <= 63  # two products with unsigned bytes fit into 16 bits
    assert (np.abs(values * scale[:, None] - weight.transpose(0, 2, 1)) <= scale[:, None] / 2 + 1e-6).all()


def test_there_is_a_zero_for_every_column_which_older_onnx_runtimes_look_for(whole: ModelProto) -> None:
    converted = int8_lstms(whole)
    constants = {weight.name: numpy_helper.to_array(weight) for weight in converted.graph.initializer}
    found = [node for node in converted.graph.node if node.op_type == "DynamicQuantizeLSTM"]
    assert found
    for node in found:
        for weights, zeros in ((1, 9), (2, 11)):
            values = constants[node.input[weights]]
            assert constants[node.input[zeros]].shape == (values.shape[0], values.shape[2])
            assert not constants[node.input[zeros]].any()


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_the_int8_graph_follows_fp32_at_every_batch(whole: ModelProto, batch: int) -> None:
    images = PIXELS.batch(boards(batch))
    converted = int8_lstms(whole)
    assert {n.op_type for n in converted.graph.node if "LSTM" in n.op_type} == {"DynamicQuantizeLSTM"}
    assert {n.op_type for n in whole.graph.node if "LSTM" in n.op_type} == {"LSTM"}  # the portable one is left as it is
    expected, found = runner(whole)(images), runner(converted)(images)
    assert np.abs(np.exp(expected) - np.exp(found)).mean() < 0.01


@pytest.mark.parametrize("batch", [1, 5])
def test_a_graph_of_pixels_says_what_numpy_would_of_the_other(whole: ModelProto, batch: int) -> None:
    images = boards(batch, seed=6)
    log_probs = runner(whole)(PIXELS.batch(images))
    session = OnnxSession(for_pixels(whole).SerializeToString(), CPU_MODEL)
    ids, best = session.steps(PIXELS.stack(images))
    expected_ids, expected_best = best_steps(log_probs)
    np.testing.assert_array_equal(ids, expected_ids)
    np.testing.assert_allclose(best, expected_best, rtol=1e-4)
    np.testing.assert_allclose(session.run(PIXELS.batch(images)), log_probs, atol=1e-5)
    assert whole.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT  # the portable one is left as it is


def test_units_that_repeat_others_leave_without_a_trace(echoing: ModelProto) -> None:
    batches = [PIXELS.batch(boards(60, seed=1))]
    thin = thin_lstms(echoing, batches, HIDDEN - 4)
    assert thin is not None
    onnx.checker.check_model(thin, full_check=True)
    sizes = [a.i for n in thin.graph.node if n.op_type == "LSTM" for a in n.attribute if a.name == "hidden_size"]
    assert sizes == [HIDDEN - 4] * 2
    images = PIXELS.batch(boards(6, seed=5))
    assert difference(runner(echoing)(images), runner(thin)(images)).max() < 0.05


def test_units_that_nothing_stands_in_for_are_missed(whole: ModelProto) -> None:
    thin = thin_lstms(whole, [PIXELS.batch(boards(60, seed=1))], HIDDEN // 2)
    images = PIXELS.batch(boards(6, seed=5))
    assert thin is not None
    assert difference(runner(whole)(images), runner(thin)(images)).max() > 0.1


def test_the_mix_gives_the_left_out_states_back() -> None:
    dice = np.random.default_rng(0)
    kept = dice.normal(size=(500, 6)) + 3
    states = np.concatenate([kept, kept @ dice.normal(size=(6, 3)) + 1], axis=1)
    mix = stand_ins(states, dice.normal(size=(8, 9)), 6)
    assert len(mix.kept) == 6
    np.testing.assert_allclose(states[:, mix.kept] @ mix.matrix + mix.offset, states, atol=1e-3)


def test_a_graph_that_shows_its_states_is_not_thinned(whole: ModelProto) -> None:
    other = ModelProto()
    other.CopyFrom(whole)
    lstm = next(n for n in other.graph.node if n.op_type == "LSTM")
    other.graph.node.append(onnx.helper.make_node("Identity", [lstm.output[0]], ["states"]))
    assert stack_of(other) is None
    assert thin_lstms(other, [PIXELS.batch(boards(2))], 4) is None


def test_the_fewest_units_that_read_alike_are_shipped(echoing: ModelProto) -> None:
    shipped, _, said = made(echoing, ExportConfig(cpu_changed=0.2))
    assert set(shipped.files) == {CPU_MODEL}
    assert shipped.noted["units"] == 12
    assert shipped.noted["compared"] == 40
    assert len(said) == 1


def test_int8_keeps_all_units(echoing: ModelProto) -> None:
    assert made(echoing, ExportConfig(cpu="int8", cpu_changed=0.2))[0].noted["units"] == HIDDEN


def test_fp32_makes_no_file(echoing: ModelProto) -> None:
    shipped, _, said = made(echoing, ExportConfig(cpu="fp32"))
    assert (shipped, said) == (CpuFile(), [])


def test_a_graph_without_an_lstm_gets_no_file() -> None:
    class Plain(Small):
        def forward(self, images_NCHW: Tensor) -> Tensor:
            return self.head(images_NCHW[:, 0, :, ::4].permute(2, 0, 1)).log_softmax(-1)

    assert made(graph_of(Plain()), ExportConfig())[2] == []


def test_a_file_that_reads_otherwise_is_left_out_and_said(whole: ModelProto) -> None:
    loud = ModelProto()  # scores a hundred times as far apart: every rounding is read
    loud.CopyFrom(whole)
    head = next(n for n in loud.graph.node if n.op_type == "MatMul")
    weight = next(w for w in loud.graph.initializer if w.name == head.input[1])
    weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * 100, weight.name))
    shipped, _, said = made(loud, ExportConfig(cpu_changed=0.0))
    assert shipped == CpuFile()
    assert len(said) == 1
    assert "no file for CPUs" in said[0]


def test_without_crops_to_judge_by_there_is_no_file(echoing: ModelProto) -> None:
    shipped, _, said = made(echoing, ExportConfig(cpu_changed=1.0), Crops(boards(20), []))
    assert shipped == CpuFile()
    assert len(said) == 1


def test_the_cpu_reads_with_its_file_and_others_with_the_portable_one(bundle: Path) -> None:
    assert Recognizer(bundle).file == CPU_MODEL
    assert Recognizer(bundle, portable=True).file == MODEL
    assert OnnxSession.of(Bundle.open(bundle), ("CPUExecutionProvider",)).file == CPU_MODEL
    session = open_engine(bundle)
    assert isinstance(session, OnnxSession)
    assert session.file == CPU_MODEL
    assert Recognizer(bundle, session=session).file == CPU_MODEL


def test_the_graphs_own_steps_read_as_its_log_probabilities_do(bundle: Path) -> None:
    reader, images = Recognizer(bundle), boards(40, seed=4)
    logits = OnnxSession.of(Bundle.open(bundle)).run(PIXELS.batch(images))
    for found, expected in zip(reader.read_many(images), greedy_decode(logits, ALPHABET), strict=True):
        assert found.text == expected.text
        assert found.character_confidences == pytest.approx(expected.character_confidences, rel=1e-4)


def test_a_file_for_cpus_of_another_make_is_refused(bundle: Path, echoing: ModelProto, tmp_path: Path) -> None:
    bad = Path(shutil.copytree(bundle, tmp_path / "bad"))
    (bad / CPU_MODEL).write_bytes(int8_lstms(echoing).SerializeToString())  # takes floats, says no steps
    rehash(bad)
    with pytest.raises(BadInput, match=r"model_pixels\.onnx.*uint8.*export it again"):
        Recognizer(bad)
    silent = for_pixels(echoing)
    del silent.graph.output[1:]
    (bad / CPU_MODEL).write_bytes(silent.SerializeToString())
    rehash(bad)
    with pytest.raises(BadInput, match=r"model_pixels\.onnx.*step_ids.*export it again"):
        Recognizer(bad)
    assert Recognizer(bad, portable=True).file == MODEL


def test_a_reading_does_not_hang_on_its_neighbours(bundle: Path) -> None:
    reader, images = Recognizer(bundle), boards(40, seed=4)
    assert reader.read_many(images, batch_size=16) == [reader.read(image) for image in images]


def test_an_old_bundle_reads_as_before(bundle: Path, tmp_path: Path) -> None:
    old = Path(shutil.copytree(bundle, tmp_path / "old"))
    (old / CPU_MODEL).unlink()
    names = json.loads((old / "bundle.json").read_text())["files"]
    edit_manifest(old, files={name: digest for name, digest in names.items() if name != CPU_MODEL})
    images = boards(5, seed=7)
    assert Recognizer(old).file == MODEL
    assert Recognizer(old).read_many(images) == Recognizer(bundle, portable=True).read_many(images)


def test_a_bundle_with_the_older_file_for_cpus_reads_with_the_portable_one(
    bundle: Path, echoing: ModelProto, tmp_path: Path
) -> None:
    old = Path(shutil.copytree(bundle, tmp_path / "old"))
    (old / CPU_MODEL).unlink()
    floats = int8_lstms(echoing).SerializeToString()
    (old / "model_cpu.onnx").write_bytes(floats)
    names = json.loads((old / "bundle.json").read_text())["files"]
    del names[CPU_MODEL]
    edit_manifest(old, files=names | {"model_cpu.onnx": sha256_bytes(floats)})
    assert Recognizer(old).file == MODEL


def test_bundle_json_has_no_key_that_an_older_reader_would_refuse(bundle: Path) -> None:
    without = describe("small", ALPHABET, PIXELS, {}, {}).to_json()
    assert set(json.loads((bundle / "bundle.json").read_text())) == set(without)


def test_an_altered_file_is_found_by_its_hash(bundle: Path, tmp_path: Path) -> None:
    bad = Path(shutil.copytree(bundle, tmp_path / "bad"))
    with (bad / CPU_MODEL).open("ab") as file:
        file.write(b"\x00")
    with pytest.raises(BadInput, match=r"model_pixels.onnx.*SHA-256"):
        Recognizer(bad)


def test_numbers_too_far_from_the_golden_ones_are_refused(bundle: Path, tmp_path: Path) -> None:
    bad = Path(shutil.copytree(bundle, tmp_path / "bad"))
    model = onnx.load(bad / CPU_MODEL)  # scores twice as far apart: the strings stay, the confidences do not
    head = next(n for n in model.graph.node if n.op_type == "LogSoftmax")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(2), "two"))
    at = list(model.graph.node).index(head)
    model.graph.node.insert(at, onnx.helper.make_node("Mul", [head.input[0], "two"], ["louder"]))
    head.input[0] = "louder"
    (bad / CPU_MODEL).write_bytes(model.SerializeToString())
    rehash(bad)
    with pytest.raises(BadInput, match=rf"at most {CPU_TOLERANCE:g}.*portable=True"):
        Recognizer(bad)
    assert Recognizer(bad, portable=True).file == MODEL
