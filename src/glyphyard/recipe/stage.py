"""How to train: a stage is one run of the loop; a recipe is a list of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from glyphyard.recipe.base import Fraction, Slug, Strict, swept


class OptimizerConfig(Strict):
    """The optimiser and its own settings; the learning rate is the stage's."""

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    weight_decay: float = Field(1e-2, ge=0, le=1, json_schema_extra=swept(1e-4, 0.2, "log"))
    momentum: Fraction = Field(0.9, description="SGD's momentum, Adam's first beta.")
    nesterov: bool = Field(True, description="sgd: Nesterov's momentum; false is the plain one.")


class ScheduleConfig(Strict):
    """How the learning rate moves; warm-up is a share of all steps, `final_factor` the end as a share of the peak."""

    name: Literal["onecycle", "cosine", "step", "plateau", "constant"] = "onecycle"
    warmup: Fraction = 0.1
    final_factor: Fraction = 0.01
    step_epochs: int = Field(10, ge=1, description="step: epochs between drops.")
    factor: Fraction = Field(0.5, description="step and plateau: what a drop multiplies by.")
    patience_epochs: int = Field(3, ge=0, description="plateau: validations without progress before a drop.")


class LossTerm(Strict):
    """One term of the loss and its weight."""

    term: Slug = "ctc"
    weight: float = Field(1.0, ge=0)
    fade: Fraction | None = Field(
        None, description="Share of the stage over which the weight falls to zero; it stays when absent."
    )

    def weight_at(self, done: float) -> float:
        """Return the weight when this share of the stage's steps is done."""
        return self.weight * max(0.0, 1 - done / self.fade) if self.fade else self.weight


# CTC, and a rough alignment to begin with: see nn/losses.py.
READING_LOSSES = (LossTerm(), LossTerm(term="flat_start", fade=0.05))
PLM_LOSSES = (LossTerm(term="plm"),)


class SamplingConfig(Strict):
    """Which rows an epoch sees: every one once (`shuffle`), or drawn by the sources' weights (`weighted`)."""

    mode: Literal["shuffle", "weighted"] = "shuffle"
    weights: dict[str, float] = Field(default_factory=dict, description="weighted: each source's share of a batch, by name.")
    samples_per_epoch: int | None = Field(None, ge=1, description="weighted: rows in an epoch; all rows' count when absent.")


class EarlyStopConfig(Strict):
    """Stop when the selection metric has not improved for `patience_epochs` validations."""

    patience_epochs: int = Field(10, ge=1)
    min_delta: float = Field(0.0, ge=0)


class GuardConfig(Strict):
    """A bound on a validation metric and what to do when it is crossed; `rollback` goes back to the stage's best epoch.

    Where several are crossed, the gravest counts: fail, then stop, then rollback.
    """

    metric: str
    min: float | None = None
    max: float | None = None
    worse_by: float | None = Field(
        None, ge=0, description="Largest loss against the stage's best epoch: {metric: word_acc, worse_by: 0.05}."
    )
    action: Literal["stop", "rollback", "fail"] = "stop"

    @model_validator(mode="after")
    def _can_be_kept(self) -> GuardConfig:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} against max {self.max:g}: every {self.metric} would cross one of them")
        return self


class HardMiningConfig(Strict):
    """Draw training rows by how badly they are read, from easy to hard; they are read once before the first epoch.

    Where low sides are made, a row stays as badly degraded as it was when it was read, with other noise each time.
    """

    difficulty_alpha: float = Field(2.0, ge=0, le=8, description="A row's weight is its difficulty to this power.")
    reweight_interval: int = Field(
        5, ge=1, description="Epochs between two looks at the difficulties, the first of which is before the first epoch."
    )
    rows_per_epoch: int | None = Field(None, ge=1, description="Rows of an epoch; as many as there are when absent.")
    memory: Fraction = Field(0.7, description="Share of a row's known difficulty that stays when it is read again.")
    start_share: Fraction = Field(0.5, description="Share of the rows, easiest first, that the curriculum starts with.")
    full_at: Fraction = Field(0.5, description="Share of the stage after which all rows take part.")
    most_misread: Fraction = Field(
        1.0,
        description="A row of which a larger share of the characters is known to be misread takes no part any more: nothing can"
        " be seen in it. Where that is true of all rows of a source they stay.",
    )


class StageConfig(Strict):
    """One stage: what is trained, for how long, from where."""

    name: Slug = "main"
    epochs: int | None = Field(None, ge=1, le=100_000)
    steps: int | None = Field(None, ge=1, description="In place of epochs.")
    batch_size: int = Field(
        32, ge=1, le=65_536, description="Over all workers together.", json_schema_extra=swept(16, 256, "log")
    )
    lr: float = Field(1e-3, gt=0, le=10, description="Peak learning rate.", json_schema_extra=swept(1e-4, 1e-2, "log"))
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    clip_norm: float = Field(5.0, ge=0, description="Largest gradient norm; 0 is off.")
    ema_decay: float = Field(0.0, ge=0, lt=1, description="Decay of the averaged weights that are validated and kept; 0 is off.")
    precision: Literal["fp32", "bf16", "auto"] = Field("auto", description="auto: bf16 where it was measured to help.")
    train: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = Field(
        ("model",), description="Parts that learn; of a restorer: generator, recogniser."
    )
    freeze: Annotated[tuple[str, ...], Field(strict=False)] = Field((), description="Parts that stay as they are.")
    losses: Annotated[tuple[LossTerm, ...], Field(strict=False, min_length=1)] = Field(
        READING_LOSSES,
        description="The network's own when absent: ctc and flat_start for crnn, plm for parseq (a restorer: its recogniser's).",
    )
    sampling: SamplingConfig = SamplingConfig()
    hard_mining: HardMiningConfig | None = None
    init: str = Field("previous", description="`previous` stage's best, `scratch`, or a checkpoint's path.")
    start: Literal["scratch", "resume", "finetune"] | None = Field(
        None,
        description="What is kept of `init`. scratch: nothing. finetune: the weights. resume: weights, optimiser, schedule and"
        " epochs of another run's last.pt, to train on to `epochs` in all. When absent: finetune where there is something to keep.",
    )
    finetune_lr: float = Field(1.0, gt=0, le=1, description="start finetune: the share of `lr` that is used.")
    validate_every_epochs: int = Field(1, ge=1)
    validation_draws: int = Field(
        1,
        ge=1,
        le=64,
        description="Times that each validation row is judged, with other noise each time: of few plates, one low side each is luck.",
    )
    select: str = Field(
        "cer",
        description="The validation metric that names the best epoch: cer, exact_match, loss, psnr, word_acc … Each task has its own.",
    )
    early_stop: EarlyStopConfig | None = None
    keep_epochs: bool = Field(False, description="Keep the state after each epoch as epoch_001.pt, epoch_002.pt …")
    guards: Annotated[tuple[GuardConfig, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _each_loss_once(self) -> StageConfig:
        terms = [wanted.term for wanted in self.losses]
        if twice := sorted({term for term in terms if terms.count(term) > 1}):
            raise ValueError(f"losses state {', '.join(twice)} twice: state each once, with one weight")
        if not any(wanted.weight for wanted in self.losses):
            raise ValueError(f"losses {terms} all have weight 0: nothing would be learnt")
        return self
