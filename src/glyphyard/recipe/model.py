"""Which network reads: one config class a network, told apart by `network`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, ModelWrapValidatorHandler, Tag, model_validator

from glyphyard.core.capacity import Capacity
from glyphyard.recipe.base import Fraction, Strict, swept
from glyphyard.recipe.stage import PLM_LOSSES, READING_LOSSES, LossTerm


class OnPreset(Strict):
    """A part of a recipe whose fields are, unless it states them, those of the preset that its `preset_key` names."""

    preset_key: ClassVar[str]
    presets: ClassVar[dict[str, dict[str, Any]]]

    @model_validator(mode="wrap")
    @classmethod
    def _laid_onto_the_preset(cls, value: Any, make: ModelWrapValidatorHandler[Self]) -> Self:
        name = value.get(cls.preset_key, cls.model_fields[cls.preset_key].default) if isinstance(value, dict) else None
        if not isinstance(name, str):
            return make(value)
        made = make(cls.presets.get(name, {}) | value)
        made.model_fields_set.intersection_update(value)  # what the preset gives is not stated: another one may give it anew
        return made

    def left_to_the_preset(self) -> list[str]:
        """Return the fields that presets give and that this part does not state."""
        return sorted({name for preset in self.presets.values() for name in preset} - self.model_fields_set)


CRNN_TRUNKS: dict[str, dict[str, Any]] = {
    "mobile": {},
    "deep": {"channels": (64, 128, 256, 512), "blocks": (1, 2, 2, 2), "layers": 3, "dropout": 0.3},
}


class CrnnConfig(OnPreset):
    """Convolutions in four stages → one feature column per four pixels of width → BiLSTM → CTC classes."""

    preset_key = "trunk"
    presets = CRNN_TRUNKS

    network: Literal["crnn"] = "crnn"
    trunk: Literal["mobile", "deep"] = Field(
        "mobile",
        description="Inverted residuals for plates, or plain convolutions with batch norm for handwriting; `deep` means"
        " channels [64, 128, 256, 512], blocks [1, 2, 2, 2], 3 layers and dropout 0.3 unless stated.",
    )
    channels: Annotated[tuple[int, int, int, int], Field(strict=False)] = Field(
        (16, 24, 48, 96), description="Channels of the four stages."
    )
    blocks: Annotated[tuple[int, int, int, int], Field(strict=False)] = Field(
        (1, 2, 2, 2), description="Inverted residuals, or convolutions, in each stage."
    )
    expansion: int = Field(4, ge=1, le=8, description="mobile: width of an inverted residual's middle, in times its input.")
    features: int = Field(256, ge=16, le=1024, description="Channels of each time step that the LSTM sees.")
    hidden: int = Field(256, ge=16, le=1024, description="LSTM units in each direction.")
    layers: int = Field(2, ge=1, le=4, description="LSTM layers.")
    dropout: float = Field(0.1, ge=0, lt=1, json_schema_extra=swept(0.0, 0.5))

    @property
    def pixel_steps(self) -> tuple[int, int]:
        """Height and width of an image have to be multiples of these, in pixels."""
        return 16, 4

    def time_steps(self, width: int) -> int:
        """Return how many time steps an image of this width (pixels) gives."""
        return width // 4

    def capacity(self, width: int) -> Capacity:
        """Return which texts an image of this width (pixels) has room for."""
        return Capacity(self.time_steps(width))


PARSEQ_SIZES: dict[str, dict[str, Any]] = {
    "base": {"embed_dim": 384, "depth": 12, "heads": 6, "decoder_heads": 12},
    "tiny": {"embed_dim": 192, "depth": 12, "heads": 3, "decoder_heads": 6},
    "small_cpu": {"embed_dim": 128, "depth": 3, "heads": 4, "decoder_heads": 4, "patch": (8, 8), "stem": "convolutions"},
}


class ParseqConfig(OnPreset):
    """ViT encoder → one two-stream decoder layer over position queries, learnt with permutations (Bautista & Atienza, 2022)."""

    preset_key = "size"
    presets = PARSEQ_SIZES

    network: Literal["parseq"]
    size: Literal["base", "tiny", "small_cpu"] = Field(
        "base", description="What the sizes below are unless stated: `base` and `tiny` as published, `small_cpu` for a laptop."
    )
    embed_dim: int = Field(384, ge=16, le=1024)
    depth: int = Field(12, ge=1, le=24, description="Encoder layers.")
    heads: int = Field(6, ge=1, le=32, description="Attention heads of the encoder.")
    decoder_heads: int = Field(12, ge=1, le=32, description="Attention heads of the decoder.")
    mlp_ratio: float = Field(4.0, ge=1, le=8)
    patch: Annotated[tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]], Field(strict=False)] = Field(
        (4, 8), description="Height and width of a patch in pixels."
    )
    stem: Literal["patches", "convolutions"] = Field(
        "patches",
        description="patches are cut out, as published; convolutions step down to them: they learn to read from far fewer crops.",
    )
    max_length: int = Field(25, ge=1, le=64, description="Characters of the longest text.")
    dropout: Fraction = Field(0.1, description="In the decoder.", json_schema_extra=swept(0.0, 0.3))
    permutations: int = Field(6, ge=2, le=24, multiple_of=2, description="Orders learnt in each step; half mirror the others.")
    decode: Literal["autoregressive", "parallel"] = Field(
        "autoregressive", description="Character after character, or all at once; validated and shipped alike."
    )
    refine: int = Field(1, ge=0, le=3, description="Times that all characters are read again in sight of the others.")
    pretrained: str | None = Field(
        None,
        description="Released weights to start from where there are no others yet: `baudm/parseq-base`, `baudm/parseq-tiny` or a file.",
    )

    @property
    def pixel_steps(self) -> tuple[int, int]:
        """Height and width of an image have to be multiples of these, in pixels."""
        return self.patch

    def capacity(self, width: int) -> Capacity:
        """Return which texts the decoder can write; the width does not matter."""
        return Capacity(self.max_length, blanks=False)


# Weights of PARSeq that its authors released, by hub id; nn/released.py knows where they lie.
RELEASED = ("baudm/parseq-base", "baudm/parseq-tiny")


def network_of(value: Any) -> Any:
    """Return which network a raw or a parsed part of a recipe is about."""
    found = value.get("network", "crnn") if isinstance(value, dict) else getattr(value, "network", None)
    return found if found is None or isinstance(found, str) else repr(found)  # as a word it is told to be none of the networks


ReaderConfig = Annotated[
    Annotated[CrnnConfig, Tag("crnn")] | Annotated[ParseqConfig, Tag("parseq")],
    Discriminator(network_of),
]

RESTORERS_READER: Literal["parseq"] = "parseq"  # the recogniser of a restorer that states none

# What a stage learns by unless it says otherwise, by network: the one place.
MASKRCNN_LOSSES = tuple(LossTerm(term=term) for term in ("classifier", "box", "mask", "objectness", "rpn_box"))
# The weights of ultralytics' default.yaml.
YOLO_LOSSES = (LossTerm(term="box", weight=7.5), LossTerm(term="cls", weight=0.5), LossTerm(term="dfl", weight=1.5))
NETWORK_LOSSES: dict[str, tuple[LossTerm, ...]] = {
    "crnn": READING_LOSSES,
    "parseq": PLM_LOSSES,
    "maskrcnn": MASKRCNN_LOSSES,
    "yolo": YOLO_LOSSES,
}


def state_losses(recipe: Any) -> Any:
    """Write the network's own losses into the stages of a raw recipe that state none."""
    if not isinstance(recipe, dict) or not isinstance(stages := recipe.get("stages"), list):
        return recipe
    model = recipe.get("model", {})
    if network_of(model) == "restorer":  # a stage of pictures says what it learns by; without a word, the recogniser learns
        model = model.get("recogniser", {"network": RESTORERS_READER}) if isinstance(model, dict) else model.recogniser
    losses = NETWORK_LOSSES.get(network_of(model))
    bare = [losses and isinstance(stage, dict) and "losses" not in stage for stage in stages]
    return recipe | {"stages": [stage | {"losses": losses} if b else stage for stage, b in zip(stages, bare, strict=True)]}
