"""Mask R-CNN (He et al., 2017) from torchvision: ResNet-50 with a feature pyramid as published, or MobileNetV3 for CPUs.

Where no trained weights are to be had the norm is GroupNorm: batches of two are too few for batch norm, and frozen batch
norm would normalise nothing. With them it is frozen batch norm, as they were trained (see nn.norms).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_large
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import BackboneWithFPN, resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from glyphyard.core.errors import BadInput
from glyphyard.nn.norms import GroupOrFrozenNorm, freeze_norms
from glyphyard.nn.places import in_float32
from glyphyard.nn.weight_file import load_tensors
from glyphyard.recipe.maskrcnn import MaskRcnnConfig

TERMS = {
    "classifier": "loss_classifier",
    "box": "loss_box_reg",
    "mask": "loss_mask",
    "objectness": "loss_objectness",
    "rpn_box": "loss_rpn_box_reg",
}
"""Our loss terms → torchvision's."""

# What torchvision downloads them as; they are taken from its cache and never fetched.
RELEASED: dict[tuple[str, str], str] = {
    ("resnet50", "coco"): "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
    ("resnet50", "imagenet"): "resnet50-0676ba61.pth",
    ("light", "imagenet"): "mobilenet_v3_large-8738ca79.pth",
}
MOBILE_LEVELS = {"4": "0", "7": "1", "13": "2"}  # blocks of MobileNetV3-Large with strides 8, 16 and 32 → levels
MOBILE_CHANNELS = [40, 80, 160]
POOL = 7  # side of the features that the box head sees of a region
MASK_POOL = 14  # and the mask head
ASPECTS = (0.5, 1.0, 2.0)  # height ÷ width of the anchors


def mask_rcnn(config: MaskRcnnConfig, foreground: int, frozen_norm: bool = False) -> MaskRCNN:
    """Build the network with random weights for `foreground` classes and the background (number 0).

    It takes a list of (3,H,W) float32 images in [0, 1] and resizes them itself; in training mode it also takes their targets
    and returns losses (see TERMS), else boxes, labels, scores and masks (N,1,H,W) of each image.
    """
    norm = FrozenBatchNorm2d if frozen_norm else GroupOrFrozenNorm
    backbone = _resnet(config, norm) if config.backbone == "resnet50" else _mobile(config, norm)
    levels = [str(k) for k in range(len(config.anchors_px) - 1)]  # the last level is a pooled one, for anchors only
    network = MaskRCNN(
        backbone,
        min_size=config.min_side_px,
        max_size=config.max_side_px,
        rpn_anchor_generator=AnchorGenerator(tuple((s,) for s in config.anchors_px), (ASPECTS,) * len(config.anchors_px)),
        box_roi_pool=MultiScaleRoIAlign(levels, POOL, 2),
        box_head=TwoMLPHead(config.pyramid * POOL**2, config.box_hidden),
        box_predictor=FastRCNNPredictor(config.box_hidden, foreground + 1),
        mask_roi_pool=MultiScaleRoIAlign(levels, MASK_POOL, 2),
        mask_head=MaskRCNNHeads(config.pyramid, (config.pyramid,) * config.mask_layers, 1),
        mask_predictor=MaskRCNNPredictor(config.pyramid, config.pyramid, foreground + 1),
        rpn_pre_nms_top_n_train=2 * config.proposals,
        rpn_pre_nms_top_n_test=config.proposals,
        rpn_post_nms_top_n_train=2 * config.proposals,
        rpn_post_nms_top_n_test=config.proposals,
        box_batch_size_per_image=config.regions,
        box_detections_per_img=config.most,
        box_score_thresh=config.score,
        box_nms_thresh=config.nms,
    )
    # Boxes are of the kind of what these give, and in bfloat16 a place right of 256 px is an even number.
    for part in (network.backbone, network.rpn.head, network.roi_heads.box_predictor):
        part.register_forward_hook(in_float32)
    return network


def _resnet(config: MaskRcnnConfig, norm: type[nn.Module] | object) -> nn.Module:
    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, norm_layer=norm, trainable_layers=5)
    if config.pyramid != 256:
        channels = [256, 512, 1024, 2048]
        levels = {f"layer{k + 1}": str(k) for k in range(4)}
        body = nn.Sequential(OrderedDict(backbone.body.items()))
        return BackboneWithFPN(body, levels, channels, config.pyramid, extra_blocks=LastLevelMaxPool())
    return backbone


def _mobile(config: MaskRcnnConfig, norm: type[nn.Module] | object) -> nn.Module:
    features = mobilenet_v3_large(weights=None, norm_layer=norm).features
    return BackboneWithFPN(features, MOBILE_LEVELS, MOBILE_CHANNELS, config.pyramid, extra_blocks=LastLevelMaxPool())


def find_weights(config: MaskRcnnConfig) -> tuple[Path | None, str]:
    """Return the file of the weights that the recipe names, None if there is none, and what a person should be told.

    A file that the recipe names by its path has to be there; released weights are taken from torch's cache if they are.
    """
    which = config.pretrained
    if which is None:
        return None, f"{config.backbone} starts from random weights: the recipe names none"
    if which not in ("coco", "imagenet"):
        if not Path(which).is_file():
            raise BadInput(which, "[GY077] no such file of weights", "correct model.pretrained, or leave it out")
        return Path(which), f"{config.backbone} starts from {which}"
    name = RELEASED.get((config.backbone, which))
    if name is None:
        return None, f"{config.backbone} starts from random weights: there are none of {which} for it"
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        return None, f"{config.backbone} starts from random weights: {path} is not there"
    return path, f"{config.backbone} starts from {which} ({path})"


def load_weights(network: MaskRCNN, path: Path) -> list[str]:
    """Load what fits of a file (a whole Mask R-CNN, or a classifier's backbone) and return the names that stay random.

    Heads for other classes do not fit and stay as they are; a file of which nothing fits the backbone is a `BadInput`.
    """
    try:
        state: Mapping[str, Tensor] = load_tensors(path)
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        raise BadInput(str(path), f"[GY077] cannot read these weights ({type(error).__name__})", "download them again") from error
    except Exception as error:  # pickle.UnpicklingError and what torch makes of it
        raise BadInput(str(path), "[GY077] not a file of plain weights", "give weights saved as a state_dict") from error
    own = network.state_dict()
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise BadInput(str(path), "[GY077] expected weights by name", "give weights saved as a state_dict")
    fitting = {}
    for name, value in state.items():
        for ours in (name, f"backbone.body.{name}", f"backbone.body.{name.removeprefix('features.')}"):
            if ours in own and own[ours].shape == value.shape:
                fitting[ours] = value
                break
    if not any(name.startswith("backbone.body.") for name in fitting):
        raise BadInput(str(path), "[GY077] nothing in this file fits the backbone", "give weights of the same backbone")
    network.load_state_dict(fitting, strict=False)
    if any(name.endswith("running_mean") for name in fitting) and not any(name.endswith("is_frozen") for name in fitting):
        freeze_norms(network)  # a file of our own says itself which norm it was trained with
    return sorted(name for name in set(own) - set(fitting) if not name.endswith("is_frozen"))
