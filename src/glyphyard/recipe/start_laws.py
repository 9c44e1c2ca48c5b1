"""The laws of how a stage starts, and of what is shipped beside a reader."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from glyphyard.recipe.breach import Breach

if TYPE_CHECKING:
    from glyphyard.recipe.recipe import Recipe


def starts_have_an_origin(recipe: Recipe) -> Iterator[Breach]:
    """GY070: `start` and `init` agree: resume goes on from a file, finetune needs weights, scratch takes none."""
    for i, stage in enumerate(recipe.stages):
        from_file = stage.init.endswith(".pt")
        has_weights = from_file or (stage.init == "previous" and i > 0)
        stated = f"`start: {stage.start}` against `init: {stage.init}`"
        if stage.start == "resume" and not from_file:
            yield Breach(("stages", i, "start"), stated, "name the last.pt of the run to go on from (init: …/last.pt)")
        if stage.start == "finetune" and not has_weights:
            yield Breach(("stages", i, "start"), stated, "name the checkpoint whose weights it starts from (init: …/best.pt)")
        if stage.start == "scratch" and from_file:
            yield Breach(("stages", i, "start"), stated, "leave `init` out, or say `start: finetune`")


def finetune_rates_go_with_finetune(recipe: Recipe) -> Iterator[Breach]:
    """GY071: `finetune_lr` means something with `start: finetune` only."""
    for i, stage in enumerate(recipe.stages):
        if stage.finetune_lr != 1 and stage.start != "finetune":
            problem = f"finetune_lr {stage.finetune_lr:g} against start {stage.start or 'not stated'}"
            yield Breach(("stages", i, "finetune_lr"), problem, "say `start: finetune`, or change `lr`")


def ngrams_need_ctc(recipe: Recipe) -> Iterator[Breach]:
    """GY072: an n-gram is for beam search over CTC, which only crnn is read by."""
    if recipe.export.ngram and recipe.model.network != "crnn":
        problem = f"ngram {recipe.export.ngram} against network {recipe.model.network!r}, which is not read by CTC"
        yield Breach(("export", "ngram"), problem, "leave it out, or use `network: crnn`")


START_LAWS = (starts_have_an_origin, finetune_rates_go_with_finetune, ngrams_need_ctc)
