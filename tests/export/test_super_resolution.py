"""A super-resolution bundle from export to device, scorecard and report, with weights that nobody trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from little_disk import little_disk
from restoring import SUITE, prepared, restoring_recipe, untrained

from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.pixels import decode_image
from glyphyard.core.records import BundleRecord, DatasetManifest, Scorecard
from glyphyard.edge.catalogue import open_bundle
from glyphyard.edge.restorer import Restorer
from glyphyard.evaluation.catalogue import evaluation_of, told
from glyphyard.evaluation.conclude import conclude
from glyphyard.evaluation.samples import rows_of
from glyphyard.export.catalogue import exporter_of
from glyphyard.export.form_cost import read_held_out


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BundleRecord]:
    folder = tmp_path_factory.mktemp("restorer")
    recipe = restoring_recipe()
    record = exporter_of(recipe.task)(recipe, untrained(folder), prepared(), folder / "bundle", lambda line: None)
    return folder / "bundle", record


def test_the_bundle_holds_generator_and_recogniser_and_is_what_torch_is(exported: tuple[Path, BundleRecord]) -> None:
    bundle, record = exported
    assert {"bundle.json", "generator.onnx", "golden.npz", "recogniser/bundle.json", "recogniser/model.onnx"} <= set(record.files)
    assert record.max_abs_difference < 1e-3
    described = json.loads((bundle / "bundle.json").read_text())
    assert (described["task"], described["scale"]) == ("super_resolution", 2)
    cost, held_out = described["export_cost"], described["export_held_out"]
    assert {"trained_word_acc", "exported_word_acc", "samples"} == set(cost)
    split = DatasetManifest.read(prepared() / "manifest.json").splits["test"]
    assert held_out["content_sha256"] == split.content_sha256
    assert sum(crops * plates for _, crops, plates in held_out["groups"]) == cost["samples"] == split.rows
    assert sum(plates for *_, plates in held_out["groups"]) == split.groups


def test_confidences_are_fitted_on_what_is_read_which_is_made(
    exported: tuple[Path, BundleRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from glyphyard.export import validation

    recipe, seen, batches = restoring_recipe(), list[np.ndarray](), validation.batches_of
    monkeypatch.setattr(validation, "batches_of", lambda crops, pixels: (seen.extend(crops), batches(crops, pixels))[1])
    exporter_of(recipe.task)(recipe, untrained(tmp_path), prepared(), tmp_path / "bundle", lambda line: None)
    restorer, split = Restorer(exported[0]), DatasetManifest.read(prepared() / "manifest.json").splits["validation"]
    low = rows_of(prepared(), split, columns=("lr_pixels",))
    small = [np.frombuffer(row["lr_pixels"], np.uint8).reshape(8, 24, 3) for row in low]
    made = restorer.restore(small)
    assert len(seen) == len(small)
    assert all(np.abs(a.astype(int) - b.astype(int)).max() <= 1 for a, b in zip(seen, made, strict=True))


def test_other_forms_are_judged_on_what_the_generator_makes(exported: tuple[Path, BundleRecord]) -> None:
    from glyphyard.core.pixels import PixelContract
    from glyphyard.edge.session import OnnxSession
    from glyphyard.export.cpu_graph import known_crops
    from glyphyard.export.super_resolution import _shown

    manifest = DatasetManifest.read(prepared() / "manifest.json")
    low, high = PixelContract(**manifest.low_pixels), PixelContract(**manifest.pixels)  # type: ignore[arg-type]
    session = OnnxSession((exported[0] / "generator.onnx").read_bytes(), "generator.onnx")
    whole, made = (
        known_crops(prepared(), manifest, high, show) for show in (None, _shown(session, low, high, restoring_recipe()))
    )
    for before, after in ((whole.fit, made.fit), (whole.judge, made.judge)):  # training rows have no low side until it is drawn
        assert [image.shape for image in after] == [image.shape for image in before]
        assert all((a != b).any() for a, b in zip(before, after, strict=True))


def test_the_generator_is_held_against_the_recipes_devices(
    exported: tuple[Path, BundleRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    from glyphyard.export import super_resolution
    from glyphyard.export.lint import LintFinding

    export, said = restoring_recipe(export={"targets": [{"name": "orin_nx_jp62"}]}).export, list[str]()
    model = onnx.load(exported[0] / "generator.onnx")
    super_resolution._hold_against_targets(model, export, said.append)
    assert any("generator.onnx" in line for line in said)
    # This graph runs everywhere; one that a device refuses is not shipped.
    monkeypatch.setattr(super_resolution, "lint", lambda *_: [LintFinding("GYX", "error", "no such operator")])
    with pytest.raises(StepFailed, match="orin_nx_jp62"):
        super_resolution._hold_against_targets(model, export, said.append)


def test_of_a_large_held_out_set_evenly_spread_rows_are_taken() -> None:
    manifest = DatasetManifest.read(prepared() / "manifest.json")
    whole, few = (read_held_out(prepared(), manifest, restoring_recipe(), most=most) for most in (4096, 3))
    assert whole.rows == len(whole.texts) == manifest.splits["test"].rows
    assert few.texts == [whole.texts[i] for i in (0, round((whole.rows - 1) / 2), whole.rows - 1)]
    assert few.rows == whole.rows


def test_a_device_enlarges_and_reads_crops_of_any_size(exported: tuple[Path, BundleRecord], tmp_path: Path) -> None:
    restorer = open_bundle(exported[0])
    assert isinstance(restorer, Restorer)
    crop = np.random.default_rng(0).integers(0, 256, (11, 30, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "crop.png"), crop)
    (large,) = restorer.restore([crop])
    assert large.shape == (16, 48, 3)
    assert large.dtype == np.uint8
    assert restorer.enlarge(crop).shape == large.shape
    readings = restorer.read_many([crop, tmp_path / "crop.png", (tmp_path / "crop.png").read_bytes()], batch_size=2)
    assert len({reading.text for reading in readings}) == 1
    assert restorer.replay() == 4


def test_many_crops_are_enlarged_a_batch_at_a_time(exported: tuple[Path, BundleRecord], monkeypatch: pytest.MonkeyPatch) -> None:
    restorer = Restorer(exported[0], replay_golden=False)
    crops = list(np.random.default_rng(1).integers(0, 256, (5, 11, 30, 3), dtype=np.uint8))
    one_by_one = [restorer.restore([crop])[0] for crop in crops]
    batches, run = list[int](), restorer._session.run
    monkeypatch.setattr(restorer._session, "run", lambda batch_NCHW: (batches.append(len(batch_NCHW)), run(batch_NCHW))[1])
    together = restorer.restore(iter(crops), batch_size=2)
    assert batches == [2, 2, 1]
    assert all(np.abs(a.astype(int) - b.astype(int)).max() <= 1 for a, b in zip(together, one_by_one, strict=True))
    assert restorer.restore([]) == []


def test_an_edited_scale_is_refused(exported: tuple[Path, BundleRecord], tmp_path: Path) -> None:
    shutil.copytree(exported[0], copy := tmp_path / "copy")
    described = json.loads((copy / "bundle.json").read_text())
    (copy / "bundle.json").write_text(json.dumps(described | {"scale": 4}))
    with pytest.raises(BadInput, match=r"bundle\.json\.scale: 4 .*8x24 and 16x48"):
        open_bundle(copy)


def test_an_altered_file_is_refused(exported: tuple[Path, BundleRecord], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(exported[0], copy)
    with (copy / "recogniser" / "model.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(BadInput, match=r"model.onnx.*SHA-256"):
        open_bundle(copy)


def test_a_generator_that_differs_from_torch_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from glyphyard.edge.session import OnnxSession
    from glyphyard.export import super_resolution

    class Off(OnnxSession):
        def run(self, batch_NCHW: np.ndarray) -> np.ndarray:
            return super().run(batch_NCHW) + 0.01

    monkeypatch.setattr(super_resolution, "OnnxSession", Off)
    recipe = restoring_recipe()
    with pytest.raises(StepFailed, match=r"generator.*differ by 1.0"):
        super_resolution.export_restorer(recipe, untrained(tmp_path), prepared(), tmp_path / "bundle", lambda line: None)
    assert not (tmp_path / "bundle").exists()


def test_three_views_side_by_side_and_the_gate(exported: tuple[Path, BundleRecord], tmp_path: Path) -> None:
    how = evaluation_of("super_resolution")
    card = how.measure(exported[0], prepared(), SUITE, tmp_path, batch_size=4, threads=1, say=lambda line: None)
    assert Scorecard.read(tmp_path / "scorecard.json") == card
    assert all((tmp_path / name).is_file() for name in how.outputs)
    figures = card.figures
    for view in ("", "bicubic_", "hr_"):
        assert figures[f"{view}word_acc"].count == card.samples
        assert figures[f"{view}voted_word_acc"].count == card.groups
    # Nobody trained the generator: it starts as plain enlargement, nearly as good as bicubic.
    assert abs(figures["psnr"].value - figures["bicubic_psnr"].value) < 3
    assert figures["psnr"].low < figures["psnr"].value < figures["psnr"].high
    assert figures["word_acc_gain"].value == figures["word_acc"].value - figures["bicubic_word_acc"].value
    assert "PSNR" in told(card, how.headline)
    assert conclude(card, SUITE, tmp_path).outcome == "FAIL"  # nothing was learnt


def test_a_full_disk_is_one_line_about_the_folder_that_was_asked_for(exported: tuple[Path, BundleRecord], tmp_path: Path) -> None:
    recipe, checkpoint, out = restoring_recipe(), untrained(tmp_path), tmp_path / "out"
    with little_disk(2_000), pytest.raises(BadInput, match="cannot be written") as caught:
        exporter_of(recipe.task)(recipe, checkpoint, prepared(), out, lambda line: None)
    assert caught.value.where == str(out), "not where the recogniser's bundle lies meanwhile"
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.name]
    how = evaluation_of("super_resolution")
    with little_disk(20_000), pytest.raises(BadInput, match="cannot be written") as caught:
        how.measure(exported[0], prepared(), SUITE, out, batch_size=4, threads=1, say=lambda line: None)
    assert caught.value.where == str(out)
    assert {path.name for path in out.iterdir()} <= {"samples.parquet"}, "what is there is whole"


def test_crops_of_one_resolution_are_low_themselves(exported: tuple[Path, BundleRecord], tmp_path: Path) -> None:
    from glyphyard.core.records import DatasetManifest
    from glyphyard.evaluation.super_resolution import look

    manifest = DatasetManifest.read(prepared() / "manifest.json")
    plain = DatasetManifest(**{**vars(manifest), "low_pixels": None})
    restorer = Restorer(exported[0], replay_golden=False)
    seen = look(restorer, prepared(), plain, manifest.splits["test"], 4)
    assert len(seen) == manifest.splits["test"].rows
    assert all(set(one.readings) == {"bicubic", "made", "as_is"} and not one.likeness for one in seen)
    whole = [decode_image(row["encoded"]) for row in rows_of(prepared(), manifest.splits["test"])]
    for one, crop in zip(seen, whole, strict=True):  # larger than the low side: nothing of it is thrown away
        assert (one.pictures["as_is"] == restorer.pixels.resize(crop)).all()
        assert (one.pictures["as_is"] != one.pictures["bicubic"]).any()
    other = DatasetManifest(**{**vars(manifest), "low_pixels": manifest.pixels})
    with pytest.raises(BadInput, match="its low side is"):
        look(restorer, prepared(), other, manifest.splits["test"], 4)
