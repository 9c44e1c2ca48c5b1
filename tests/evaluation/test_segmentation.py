"""The scorecard of found characters: perfect where all is found and read, less where not, as pycocotools counts it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from outlining import SUITE, bundle, prepared

from glyphyard.core.boxes import Detections
from glyphyard.core.capacity import Capacity
from glyphyard.core.errors import BadInput
from glyphyard.core.plate_reading import read_plate
from glyphyard.core.records import DatasetManifest, Scorecard
from glyphyard.edge.segmenter import Segmenter
from glyphyard.evaluation import segmentation
from glyphyard.evaluation.detection import DetectionTally, score_detections
from glyphyard.evaluation.gate import judge
from glyphyard.evaluation.segmentation import look, measure_segmenter


class Blind(Segmenter):
    """A segmenter that finds nothing: what is looked at with it costs no network."""

    def find(self, image):
        return replace(Detections.none(), masks=np.zeros((0, *image.shape[:2]), bool))


class Knowing(Segmenter):
    """A segmenter that is told what stands on each plate, and forgets the first `lost` characters."""

    lost = 0

    def __init__(self, folder, threads=None):
        super().__init__(folder, replay_golden=False)
        blind, self.answers = Blind(folder, replay_golden=False), {}
        manifest = DatasetManifest.read(prepared() / "manifest.json")
        for seen in look(blind, prepared(), manifest, manifest.splits["test"]):
            truth = seen.truth
            scores = np.linspace(0.99, 0.9, len(truth.boxes))
            self.answers[seen.image.tobytes()] = Detections(truth.boxes, scores, truth.classes, truth.masks)

    def find(self, image):
        found = self.answers[image.tobytes()]
        return found.take(np.arange(self.lost, len(found)))

    def read_found(self, found):
        return read_plate(found, self.classes if self.manifest.reads else "?", 0.5)


@pytest.mark.parametrize("classes", ["alphabet", "binary"])
def test_what_knows_everything_is_perfect(tmp_path, monkeypatch, classes):
    monkeypatch.setattr(segmentation, "Segmenter", Knowing)
    card = measure_segmenter(bundle(classes), prepared(), SUITE, tmp_path, say=lambda line: None)
    for name in ("map", "map50", "mask_map", "mask_map50", "recall", "mask_recall", "f1"):
        assert card.figures[name].value == pytest.approx(1), name
    assert ("exact_match" in card.figures) == (classes == "alphabet")
    assert (tmp_path / "samples.parquet").is_file() == (classes == "alphabet")
    if classes == "alphabet":
        assert (card.figures["exact_match"].value, card.figures["cer"].value) == (1.0, 0.0)
    assert Scorecard.read(tmp_path / "scorecard.json") == card
    assert judge(card, SUITE).outcome in ("PASS", "INSUFFICIENT_DATA")
    drawn = pq.read_table(tmp_path / "drawn.parquet").to_pylist()
    assert {(row["missed"], row["extra"]) for row in drawn} == {(0, 0)}
    assert all(row["true"].startswith(b"\xff\xd8") and row["found"].startswith(b"\xff\xd8") for row in drawn)
    found = pq.read_table(tmp_path / "characters.parquet").to_pylist()
    assert len(found) == card.figures["map"].count
    assert all(len(row["box"]) == 4 and len(row["outline"]) >= 6 for row in found)


def test_a_character_that_is_lost_on_each_plate_costs(tmp_path, monkeypatch):
    monkeypatch.setattr(segmentation, "Segmenter", type("Losing", (Knowing,), {"lost": 1}))
    card = measure_segmenter(bundle(), prepared(), SUITE, tmp_path, say=lambda line: None)
    characters = card.figures["map"].count
    assert card.figures["recall"].value == pytest.approx(1 - card.samples / characters)
    assert card.figures["precision"].value == pytest.approx(1)
    assert card.figures["exact_match"].value == 0
    assert card.figures["cer"].value == pytest.approx(card.samples / characters)
    assert all(row["missed"] == 1 for row in pq.read_table(tmp_path / "drawn.parquet").to_pylist())


def coco(truths, found, names, masks):
    from pycocotools import mask as rle
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def entry(number, image, label, box, mask, **more):
        x1, y1, x2, y2 = map(float, box)
        shape = {"segmentation": rle.encode(np.asfortranarray(mask.astype(np.uint8)))} if masks else {}
        area = float(mask.sum()) if masks else (x2 - x1) * (y2 - y1)
        return {"id": number, "image_id": image, "category_id": int(label), "bbox": [x1, y1, x2 - x1, y2 - y1], "area": area,
                "iscrowd": 0, **shape, **more}  # fmt: skip

    there, seen = COCO(), COCO()
    images = [{"id": i, "height": t.masks.shape[1], "width": t.masks.shape[2]} for i, t in enumerate(truths)]
    for side, listed in ((there, truths), (seen, found)):
        notes = [
            (i, one.classes[k], one.boxes[k], one.masks[k], {"score": float(one.scores[k])} if side is seen else {})
            for i, one in enumerate(listed)
            for k in range(len(one.boxes))
        ]
        side.dataset = {
            "images": images, "categories": [{"id": k} for k in range(len(names))], "info": {},
            "annotations": [entry(n, i, c, b, m, **more) for n, (i, c, b, m, more) in enumerate(notes, 1)],
        }  # fmt: skip
        side.createIndex()
    judge_ = COCOeval(there, seen, "segm" if masks else "bbox")
    judge_.evaluate()
    judge_.accumulate()
    judge_.summarize()
    return judge_.stats[0], judge_.stats[1]


@pytest.mark.parametrize("masks", [False, True])
def test_a_bundles_own_findings_score_as_pycocotools_scores_them(masks, capsys):
    segmenter = Segmenter(bundle("binary"))
    manifest = DatasetManifest.read(prepared() / "manifest.json")
    seen = list(look(segmenter, prepared(), manifest, manifest.splits["test"]))
    dice = np.random.default_rng(0)
    truths, found = [s.truth for s in seen], []
    for s in seen:  # what a network of two steps finds, and the truth a little out of place beside it
        moved = s.truth.boxes + dice.normal(0, 1.5, s.truth.boxes.shape)
        masks_ = np.array([np.roll(m, 1, axis=1) for m in s.truth.masks])
        boxes, classes = np.vstack([s.found.boxes, moved]), np.r_[s.found.classes, s.truth.classes]
        scores = np.r_[s.found.scores, dice.uniform(0.1, 1, len(moved))]
        found.append(Detections(boxes, scores, classes, np.concatenate([s.found.masks, masks_])))
    scores = score_detections(DetectionTally.of(truths, found, len(segmenter.classes), masks), segmenter.classes, repeats=0)
    expected = coco(truths, found, segmenter.classes, masks)
    ours = (scores.figures["map"].value, scores.figures["map50"].value)
    assert ours == pytest.approx(expected, abs=1e-6)
    assert 0 < ours[0] < 1


def test_another_dataset_is_refused(tmp_path):
    from outlining import outlining_recipe

    from glyphyard.data.prepare_outlines import prepare_outlines

    config = outlining_recipe().dataset
    wider = config.model_copy(update={"image": config.image.model_copy(update={"width": 160})})
    other = prepare_outlines(wider, Capacity(100), tmp_path / "store", need=("test",))
    with pytest.raises(BadInput, match="canvas"):
        measure_segmenter(bundle(), other, SUITE, tmp_path, say=lambda line: None)
