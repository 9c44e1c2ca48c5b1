"""Making small plates large so that they can be read: a generator, taught by pictures and by a recogniser."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan

import torch
from torch import Generator, Tensor, nn

from glyphyard.core.alphabet import BLANK
from glyphyard.core.ctc import Reading
from glyphyard.core.errors import BadInput
from glyphyard.core.layout import LAYOUTS
from glyphyard.nn.losses import count_confusions, l1_loss, psnr, ssim, ssim_loss
from glyphyard.nn.swinir import SwinIR
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.restorer import PICTURE_TERMS, RestorerConfig
from glyphyard.recipe.stage import StageConfig
from glyphyard.tasks.base import Batch, Better, ExportSpec, Rows
from glyphyard.tasks.readers import reader_of
from glyphyard.tasks.readers.base import Read, as_shipped
from glyphyard.tasks.readers.lcofl import LCOFL_PARTS, Lcofl
from glyphyard.tasks.readers.scoring import score
from glyphyard.tasks.super_resolution.books import Books
from glyphyard.tasks.super_resolution.pairs import Pairs, pair_up

# The sums of a validation batch; `count_confusions` follows them. Pictures: batches whose pictures were measured.
SUMS = ("loss", "samples", "pictures", "psnr", "ssim", "exact", "same_length", "edits", "characters")
VALIDATION_WINDOW_PX = 11


class Clamped(nn.Module):
    """The generator as it is shipped: (N,C,h,w) → (N,C,H,W), both in [0, 1]."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return the enlarged images."""
        enlarged: Tensor = self.generator(images_NCHW).clamp(0, 1)
        return enlarged


class SuperResolution:
    """Low-resolution crops → high-resolution crops and texts; parts "generator" and "recogniser" learn, "confusion" keeps books.

    A stage that asks for terms of reading alone teaches the recogniser on the high side, and its readings are of that side;
    in every other stage what is read is what the generator made.
    """

    metric_names: Mapping[str, Better] = {
        "loss": "lower",
        "psnr": "higher",
        "ssim": "higher",
        "word_acc": "higher",
        "char_acc": "higher",
    }

    made_of: Mapping[str, tuple[str, ...]] = {"lcofl": tuple(f"lcofl_{part}" for part in LCOFL_PARTS)}

    def __init__(self, recipe: Recipe) -> None:
        model, low, image = recipe.model, recipe.dataset.low_resolution, recipe.dataset.image
        if not isinstance(model, RestorerConfig) or low is None:
            raise BadInput(recipe.name, "task super_resolution needs model.network restorer and dataset.low_resolution")
        self.recipe, self.model, self.image = recipe, model, image
        self.alphabet = recipe.dataset.the_alphabet()
        self.low_size = (image.height // low.scale, image.width // low.scale)
        self.reader = reader_of(model.recogniser, image, self.alphabet)
        self.lcofl = Lcofl(model.lcofl, self.reader)
        self.layout = LAYOUTS[model.generator.pyramid.layout if model.generator.pyramid else "none"]
        self.term_names: tuple[str, ...] = (*self.reader.term_names, *PICTURE_TERMS)

    def build(self) -> nn.ModuleDict:
        """Return {"generator", "recogniser", "confusion"}."""
        generator = SwinIR(self.model.generator, self.image.channels, *self.low_size)
        books = Books(self.alphabet.num_classes, self.model.lcofl)
        return nn.ModuleDict({"generator": generator, "recogniser": self.reader.build(), "confusion": books})

    def warm_start(self, parts: nn.ModuleDict) -> str | None:
        """Load the released weights that the recogniser's config names, and say so; a recogniser that has others is not among `parts`."""
        return self.reader.warm_start(parts["recogniser"]) if "recogniser" in parts else None

    def targets(self, texts: list[str]) -> dict[str, Tensor]:
        """Return "labels" (N, longest) int64 class ids padded with BLANK, and "lengths" (N,); a text that the layout cannot hold is refused."""
        for text in texts:
            if problem := self.layout.problem_of(text):  # the audit leaves such rows out; who calls with others is told here
                raise BadInput(f"label {text!r}", problem)
        encoded = [self.alphabet.encode(text) for text in texts]
        longest = max(map(len, encoded), default=0)
        padded = [ids + [BLANK] * (longest - len(ids)) for ids in encoded]
        return {
            "labels": torch.tensor(padded, dtype=torch.int64).reshape(len(texts), longest),
            "lengths": torch.tensor([len(ids) for ids in encoded], dtype=torch.int64),
        }

    def collate(self, rows: Rows, dice: Generator | None) -> Batch:
        """Turn uint8 rows into `Pairs`."""
        return pair_up(rows, self.recipe, dice)

    def loss(self, parts: nn.ModuleDict, batch: Batch, stage: StageConfig) -> dict[str, Tensor]:
        """Return the recogniser's own terms on the high side, and l1, ssim and lcofl of what the generator makes."""
        assert isinstance(batch, Pairs)
        wanted = {term.term for term in stage.losses}
        terms: dict[str, Tensor] = {}
        if reading := wanted & set(self.reader.term_names):
            terms |= self.reader.losses(parts["recogniser"], batch.images, batch.targets, reading)
        if not wanted & set(PICTURE_TERMS):
            return terms
        made = parts["generator"](batch.low)
        books = parts["confusion"]
        assert isinstance(books, Books)
        terms |= self._pictures(parts, made, batch, wanted, books.weights(), books.psnr_db)
        if stage.hard_mining is not None:
            with torch.no_grad(), as_shipped(parts["recogniser"]):
                read = self.reader.read(parts["recogniser"], made.detach().clamp(0, 1))
            batch.misread = _misread(read, batch.targets)
        return terms

    def _pictures(
        self,
        parts: nn.ModuleDict,
        made: Tensor,
        batch: Pairs,
        wanted: set[str],
        weights_V: Tensor,
        psnr_db: float | None = None,
    ) -> dict[str, Tensor]:
        high, terms = batch.images, dict[str, Tensor]()
        if "l1" in wanted:
            terms["l1"] = l1_loss(made, high)
        if "ssim" in wanted:
            terms["ssim"] = ssim_loss(made, high, self.model.lcofl.ssim_window)
        if "lcofl" in wanted:
            found = self.lcofl(parts["recogniser"], made, high, batch.targets, weights_V, psnr_db)
            terms["lcofl"] = found["lcofl"]
            terms |= {f"lcofl_{part}": found[part] for part in LCOFL_PARTS}
        return terms

    def new_sums(self) -> Tensor:
        """Return the sums of no rows, float64 zeros: SUMS, then a confusion matrix."""
        return torch.zeros(len(SUMS) + self.alphabet.num_classes**2, dtype=torch.float64)

    def measure(self, parts: nn.ModuleDict, batch: Batch, stage: StageConfig) -> Tensor:
        """Return the batch's sums; its loss is that of the stage's terms, without dice."""
        assert isinstance(batch, Pairs)
        # The alignments of a CTC reader's LCOFL need a gradient of their own, which tensors of inference mode never have.
        with torch.inference_mode(False), torch.no_grad():
            batch = Pairs(
                batch.images.clone(), batch.texts, batch.ids, {k: v.clone() for k, v in batch.targets.items()},
                make_low=batch.low.clone if _makes_pictures(stage) else batch.make_low,
            )  # fmt: skip
            return self._measured(parts, batch, stage)

    def _measured(self, parts: nn.ModuleDict, batch: Pairs, stage: StageConfig) -> Tensor:
        weights, count = {term.term: term.weight for term in stage.losses}, len(batch.ids)
        loss = torch.zeros(())
        pictures = [0.0, 0.0, 0.0]
        if set(weights) & set(self.reader.term_names):
            read, loss = self.reader.validate(parts["recogniser"], batch.images, batch.targets)
            loss = loss * weights.get(self.reader.term_names[0], 1.0)  # the term that the reader validates by
        if _makes_pictures(stage):
            made = parts["generator"](batch.low)
            # Whole whatever the PSNR, and all characters alike: with what training makes of the validation before, a picture that
            # got worse would have the lower loss, and two epochs could not be compared.
            terms = self._pictures(
                parts, made, batch, set(weights), made.new_ones(self.alphabet.num_classes, dtype=torch.float32)
            )
            loss = loss + sum(
                (value.float() * weights[name] for name, value in terms.items() if name in weights),
                torch.zeros_like(made[0, 0, 0, 0]),
            )
            shown = made.clamp(0, 1)
            read = self.reader.read(parts["recogniser"], shown)
            window = min(VALIDATION_WINDOW_PX, *((side - 1) // 2 * 2 + 1 for side in shown.shape[-2:]))
            pictures = [count, float(psnr(shown, batch.images).sum()), float(ssim(shown, batch.images, window).sum())]
        labels, lengths = batch.targets["labels"], batch.targets["lengths"]
        counts = score(read.ids_NT, read.lengths_N, labels, lengths)  # samples, exact, same length, edits, characters
        own = torch.tensor([float(loss) * count, count, *pictures, *counts[1:].tolist()], dtype=torch.float64)
        confusion = count_confusions(read.ids_NT, read.lengths_N, labels, lengths, self.alphabet.num_classes)
        return torch.cat([own, confusion.flatten()])

    def metrics(self, sums_K: Tensor) -> dict[str, float]:
        """Return loss, psnr (dB), ssim, word_acc and char_acc (1 - CER, at least 0)."""
        sums = dict(zip(SUMS, sums_K.tolist(), strict=False))
        samples, pictures, characters = (sums[name] or nan for name in ("samples", "pictures", "characters"))
        return {
            "loss": sums["loss"] / samples,
            "psnr": sums["psnr"] / pictures,
            "ssim": sums["ssim"] / pictures,
            "word_acc": sums["exact"] / samples,
            "char_acc": max(0.0, 1 - sums["edits"] / characters) if sums["characters"] else nan,
        }

    def remember(self, parts: nn.ModuleDict, sums_K: Tensor, stage: StageConfig) -> None:
        """Let the character weights follow what a stage's validation confused, and note the PSNR."""
        if _makes_pictures(stage):
            classes = self.alphabet.num_classes
            books = parts["confusion"]
            assert isinstance(books, Books)
            books.take(sums_K[len(SUMS) :].view(classes, classes), self.metrics(sums_K)["psnr"])

    def predict(self, parts: nn.ModuleDict, batch: Batch) -> list[Reading]:
        """Enlarge and read."""
        assert isinstance(batch, Pairs)
        with torch.inference_mode():
            made = parts["generator"](batch.low).clamp(0, 1)
            return self.reader.readings(self.reader.read(parts["recogniser"], made).log_probs_TNK)

    def example_batch(self, size: int) -> Pairs:
        """Return random images in two resolutions with random texts that the layout holds."""
        dice = torch.Generator().manual_seed(0)
        pattern = self.layout.slots or "????"
        texts = [self._text(pattern, dice) for _ in range(size)]
        high = torch.rand((size, self.image.channels, self.image.height, self.image.width), generator=dice)
        low = torch.rand((size, self.image.channels, *self.low_size), generator=dice)
        return Pairs(high, texts, torch.arange(size), self.targets(texts), make_low=lambda: low)

    def _text(self, pattern: str, dice: Generator) -> str:
        fitting = {
            "L": [c for c in self.alphabet.characters if c.isalpha()],
            "D": [c for c in self.alphabet.characters if c.isdigit()],
        }
        pools = [fitting.get(kind, list(self.alphabet.characters)) for kind in pattern]
        return "".join(pool[int(torch.randint(len(pool), (1,), generator=dice))] for pool in pools)

    def export_spec(self, parts: nn.ModuleDict) -> ExportSpec:
        """Ship the generator: `input` (N,C,h,w) → `output` (N,C,H,W); the recogniser is shipped as a reader of its own."""
        example = (self.example_batch(2).low,)
        return ExportSpec(Clamped(parts["generator"]), example, ("input",), ("output",), {"input": 0, "output": 0})


def _makes_pictures(stage: StageConfig) -> bool:
    return any(term.term in PICTURE_TERMS for term in stage.losses)


def _misread(read: Read, targets: Mapping[str, Tensor]) -> Tensor:
    """Return what share of each row's characters was misread, (N,) in [0, 1], on the CPU."""
    found = []
    rows = (tensor.cpu() for tensor in (read.ids_NT, read.lengths_N, targets["labels"], targets["lengths"]))
    for ids, length, label, true_length in zip(*rows, strict=True):
        counts = score(ids[None], length[None], label[None], true_length[None])
        found.append(min(1.0, float(counts[3]) / max(1.0, float(counts[4]))))
    return torch.tensor(found)
