"""The configuration of Mask R-CNN (He et al., 2017): a backbone with a feature pyramid, and heads for boxes, classes and masks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from glyphyard.core.capacity import Capacity
from glyphyard.recipe.base import Fraction
from glyphyard.recipe.model import OnPreset

MASKRCNN_BACKBONES: dict[str, dict[str, Any]] = {
    "resnet50": {},
    "light": {
        "min_side_px": 256,
        "max_side_px": 768,
        "pyramid": 96,
        "box_hidden": 256,
        "mask_layers": 2,
        "anchors_px": (24, 48, 96, 192),
        "proposals": 300,
        "regions": 128,
    },
}


class MaskRcnnConfig(OnPreset):
    """Image → characters with boxes and masks, by torchvision's Mask R-CNN; losses classifier, box, mask, objectness, rpn_box."""

    preset_key = "backbone"
    presets = MASKRCNN_BACKBONES

    network: Literal["maskrcnn"]
    backbone: Literal["resnet50", "light"] = Field(
        "resnet50",
        description="ResNet-50, or MobileNetV3-Large for CPUs; `light` means sides of 256 to 768 px, pyramid 96, box_hidden 256,"
        " 2 mask layers, anchors from 24 px, 300 proposals and 128 regions unless stated.",
    )
    classes: Literal["binary", "alphabet"] = Field(
        "binary", description="Character or background; or each character of the alphabet."
    )
    min_side_px: int = Field(800, ge=64, le=2048, description="The image's shorter side is brought to this,")
    max_side_px: int = Field(1333, ge=64, le=4096, description="unless the longer side would exceed this.")
    pyramid: int = Field(256, ge=16, le=512, multiple_of=16, description="Channels of the feature pyramid.")
    box_hidden: int = Field(1024, ge=32, le=2048, description="Width of the box head.")
    mask_layers: int = Field(4, ge=1, le=8, description="Convolutions of the mask head.")
    anchors_px: Annotated[tuple[int, ...], Field(strict=False, min_length=4, max_length=5)] = Field(
        (32, 64, 128, 256, 512),
        description="Side of the anchors of each level of the pyramid, after resizing: 5 for resnet50, 4 for light.",
    )
    proposals: int = Field(
        1000, ge=50, le=4000, description="Regions proposed to the heads on an image; twice as many in training,"
    )
    regions: int = Field(512, ge=16, le=1024, description="of which the heads learn from so many, a quarter of them characters.")
    most: int = Field(100, ge=1, le=300, description="Characters found on one image at most.")
    score: Fraction = Field(0.05, description="Less sure ones are not given out at all.")
    nms: Fraction = Field(0.5, description="Overlap with a surer box of its class beyond which a box goes.")
    pretrained: str | None = Field(
        None, description="Weights to start from if they lie on disk: `coco`, `imagenet` or a file; random otherwise, and said."
    )

    @model_validator(mode="after")
    def _fits(self) -> MaskRcnnConfig:
        levels = {"resnet50": 5, "light": 4}[self.backbone]
        if len(self.anchors_px) != levels:
            raise ValueError(f"expected {levels} anchors_px for backbone {self.backbone}, found {list(self.anchors_px)}")
        if self.min_side_px > self.max_side_px:
            raise ValueError(f"expected min_side_px ≤ max_side_px, found {self.min_side_px} and {self.max_side_px}")
        return self

    @property
    def pixel_steps(self) -> tuple[int, int]:
        """Height and width of an image have to be multiples of these, in pixels; images of any size are read."""
        return 1, 1

    def capacity(self, width: int) -> Capacity:
        """Return how many characters can be found; the width does not matter."""
        return Capacity(self.most, blanks=False)

    def foreground(self, alphabet: int) -> int:
        """Return how many classes there are beside the background, for an alphabet of so many characters."""
        return 1 if self.classes == "binary" else alphabet
