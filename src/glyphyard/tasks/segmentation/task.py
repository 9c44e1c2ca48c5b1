"""Finding characters on plates: boxes and masks by Mask R-CNN, and the plate they spell where classes tell them apart."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan

import torch
from torch import Generator, Tensor, nn

from glyphyard.core import detection_sums
from glyphyard.core.boxes import Detections
from glyphyard.core.ctc import Reading
from glyphyard.core.errors import BadInput
from glyphyard.core.plate_reading import read_plate
from glyphyard.core.text_metrics import edit_distance
from glyphyard.data.augment import augment_traced, to_float
from glyphyard.nn.maskrcnn import TERMS, find_weights, load_weights, mask_rcnn
from glyphyard.nn.maskrcnn_graph import OnCanvas
from glyphyard.recipe.maskrcnn import MaskRcnnConfig
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.stage import StageConfig
from glyphyard.tasks.base import Batch, Better, ExportSpec, Rows
from glyphyard.tasks.segmentation.outlined import detections_of, moved, target_of, truth_of

SUMS = ("loss", "images", "read", "exact", "edits", "characters")  # the counts of boxes and then of masks follow
AT_ONCE = 4  # images that are measured together: the masks of a hundred detections each take room
SURE = 0.5  # confidence at which validation reads; a bundle has one of its own
BINARY = "character"  # what the one class is called


class Segmentation:
    """Plates on a canvas → characters with boxes, masks and classes; one part, "model".

    Class numbers are those of `classes` from 1; with `model.classes: binary` there is one, and plates are not read.
    """

    metric_names: Mapping[str, Better] = {
        "loss": "lower",
        "map50": "higher",
        "map": "higher",
        "mask_map50": "higher",
        "mask_map": "higher",
        "f1": "higher",
        "exact_match": "higher",
        "cer": "lower",
    }
    term_names: tuple[str, ...] = tuple(TERMS)
    made_of: Mapping[str, tuple[str, ...]] = {}

    def __init__(self, recipe: Recipe) -> None:
        model = recipe.model
        if not isinstance(model, MaskRcnnConfig):
            raise BadInput(recipe.name, f"task segmentation trains network maskrcnn, found {recipe.model.network}")
        self.recipe, self.model, self.image = recipe, model, recipe.dataset.image
        self.alphabet = recipe.dataset.the_alphabet()
        self.reads = model.classes == "alphabet"
        self.classes = tuple(self.alphabet.characters) if self.reads else (BINARY,)

    def build(self) -> nn.ModuleDict:
        """Return {"model": the network}, torchvision's own: lists of images and targets in, losses or findings out."""
        return nn.ModuleDict({"model": mask_rcnn(self.model, len(self.classes))})

    def warm_start(self, parts: nn.ModuleDict) -> str:
        """Load the released weights that the recipe names where they lie on disk, and say what the network starts from."""
        path, told = find_weights(self.model)
        if path is None:
            return told
        left = load_weights(parts["model"], path)  # type: ignore[arg-type]  # `build` made it
        return f"{told}; {len(left)} tensors stay random" if left else told

    def targets(self, texts: list[str]) -> dict[str, Tensor]:
        """Return nothing: labels and outlines come with the rows."""
        return {}

    def collate(self, rows: Rows, dice: Generator | None) -> Batch:
        """Turn uint8 rows into a float batch; targets are "labels" (N,K), 0 where nobody is, and "outlines" (N,K,P,2) in pixels."""
        if "outlines" not in rows.targets:
            raise BadInput("prepared dataset", "its rows have no outlines", "prepare it for task segmentation")
        labels, outlines = rows.targets["labels"], rows.targets["outlines"]
        if not self.reads:
            labels = labels.clamp(max=1)
        if dice is None:
            images = to_float(rows.images)
        else:
            images, origins = augment_traced(rows.images, self.recipe.augmentation, dice)
            outlines = moved(outlines, origins, self.image.height, self.image.width)
        return Batch(images, rows.texts, rows.ids, {"labels": labels, "outlines": outlines})

    def loss(self, parts: nn.ModuleDict, batch: Batch, stage: StageConfig) -> dict[str, Tensor]:
        """Return classifier, box, mask, objectness and rpn_box."""
        losses = parts["model"](list(batch.images), self._learnt(batch))
        return {ours: losses[theirs] for ours, theirs in TERMS.items()}

    def _learnt(self, batch: Batch) -> list[dict[str, Tensor]]:
        pairs = zip(batch.targets["labels"], batch.targets["outlines"], strict=True)
        return [target_of(labels, outlines, self.image.height, self.image.width) for labels, outlines in pairs]

    def new_sums(self) -> Tensor:
        """Return the sums of no rows, float64 zeros: SUMS, then detection_sums of boxes and of masks."""
        return torch.zeros(len(SUMS) + 2 * detection_sums.size(len(self.classes)), dtype=torch.float64)

    def measure(self, parts: nn.ModuleDict, batch: Batch, stage: StageConfig) -> Tensor:
        """Return the batch's sums: losses as in training, without dice, and what is found."""
        sums = self.new_sums()
        for start in range(0, len(batch.ids), AT_ONCE):
            piece = slice(start, start + AT_ONCE)
            targets = {name: values[piece] for name, values in batch.targets.items()}
            sums += self._measure(
                parts["model"], Batch(batch.images[piece], batch.texts[piece], batch.ids[piece], targets), stage
            )
        return sums

    def _measure(self, network: nn.Module, batch: Batch, stage: StageConfig) -> Tensor:
        targets, images = self._learnt(batch), list(batch.images)
        loss = self._loss(network, images, targets, stage)
        found = [detections_of(one) for one in network(images)]
        own = [loss * len(images), float(len(images)), *self._counted(found, batch.texts)]
        truths = [truth_of(target) for target in targets]
        counts = [detection_sums.count(truths, found, len(self.classes), masks=masks) for masks in (False, True)]
        return torch.cat([torch.tensor(own, dtype=torch.float64), *(torch.from_numpy(c) for c in counts)])

    def _loss(self, network: nn.Module, images: list[Tensor], targets: list[dict[str, Tensor]], stage: StageConfig) -> float:
        """Return the stage's loss of images: torchvision tells it in training mode only, and draws which regions it looks at."""
        weights = {wanted.term: wanted.weight for wanted in stage.losses}
        with torch.random.fork_rng([image.device for image in images[:1] if image.is_cuda]):  # not all that there are
            torch.manual_seed(self.recipe.seed)
            losses = network.train()(images, targets)
        network.eval()
        return sum(float(losses[theirs]) * weights.get(ours, 0.0) for ours, theirs in TERMS.items())

    def _counted(self, found: list[Detections], texts: list[str]) -> list[float]:
        """Return how many plates were read, how many rightly, edits and true characters."""
        if not self.reads:
            return [0.0] * 4
        truths = [self.alphabet.canonical(text) for text in texts]
        read = [read_plate(one, self.classes, SURE).text for one in found]
        edits = [edit_distance(truth, text) for truth, text in zip(truths, read, strict=True)]
        return [float(len(truths)), float(edits.count(0)), float(sum(edits)), float(sum(map(len, truths)))]

    def metrics(self, sums_K: Tensor) -> dict[str, float]:
        """Return loss, average precision of boxes and masks, f1 of boxes; exact_match and cer where classes are characters."""
        sums = dict(zip(SUMS, sums_K.tolist(), strict=False))
        counts = sums_K[len(SUMS) :].numpy().reshape(2, -1)
        boxes, masks = (detection_sums.conclude(part, len(self.classes)) for part in counts)
        return {
            "loss": sums["loss"] / (sums["images"] or nan),
            "map50": boxes["map50"],
            "map": boxes["map"],
            "mask_map50": masks["map50"],
            "mask_map": masks["map"],
            "f1": boxes["f1"],
            "exact_match": sums["exact"] / (sums["read"] or nan),
            "cer": sums["edits"] / (sums["characters"] or nan),
        }

    def remember(self, parts: nn.ModuleDict, sums_K: Tensor, stage: StageConfig) -> None:
        """Do nothing: the network keeps no books."""

    def predict(self, parts: nn.ModuleDict, batch: Batch) -> list[Reading]:
        """Read each plate; with one class, each character reads `?`."""
        with torch.inference_mode():
            found = parts["model"].eval()(list(batch.images))
        classes = self.classes if self.reads else ("?",)
        return [read_plate(detections_of(one), classes, SURE) for one in found]

    def example_batch(self, size: int) -> Batch:
        """Return random images with two characters each, both square."""
        dice = torch.Generator().manual_seed(0)
        height, width = self.image.height, self.image.width
        side = min(height, width) / 3
        square = torch.tensor([[0.0, 0.0], [side, 0.0], [side, side], [0.0, side]])
        places = torch.tensor([[2.0, 2.0], [width / 2, height / 2]])
        outlines = (square + places[:, None]).expand(size, 2, 4, 2).contiguous()
        labels = torch.randint(1, len(self.classes) + 1, (size, 2), generator=dice)
        texts = ["".join(self.alphabet.characters[i - 1] for i in row) for row in labels.tolist()]
        images = torch.rand((size, 3, height, width), generator=dice)
        return Batch(images, texts, torch.arange(size), {"labels": labels, "outlines": outlines})

    def export_spec(self, parts: nn.ModuleDict) -> ExportSpec:
        """Ship the network on one canvas at a time: `canvas` (1,3,H,W) → boxes, labels, scores and masks: see OnCanvas."""
        module = OnCanvas(parts["model"], self.image.height, self.image.width).eval()  # type: ignore[arg-type]
        outputs = ("boxes", "labels", "scores", "masks")
        return ExportSpec(module, (self.example_batch(1).images,), ("canvas",), outputs, dict.fromkeys(outputs, 0))
