"""Outlines of a batch as torchvision's targets and as truths of average precision; masks are drawn when they are needed.

N images, K characters, P corners, H×W pixels of the canvas.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from glyphyard.core.boxes import Detections
from glyphyard.core.detection_metrics import Truth
from glyphyard.core.masks import THRESHOLD
from glyphyard.data.augment import follow
from glyphyard.data.outlines import box_of
from glyphyard.data.region_masks import polygon_mask

LEAST_PX = 1.0  # a character of which less is left on the canvas is none


def moved(outlines_NKP2: Tensor, origins_N33: np.ndarray | None, height: int, width: int) -> Tensor:
    """Return outlines where augmentation moved them (see augment_traced), cut at the border of the canvas."""
    if origins_N33 is None or not outlines_NKP2.numel():
        return outlines_NKP2
    count, characters, corners, _ = outlines_NKP2.shape
    flat = outlines_NKP2.cpu().numpy().reshape(count, characters * corners, 2)
    placed = np.clip(follow(flat, origins_N33, height, width), 0, [width, height])
    return torch.from_numpy(placed.reshape(outlines_NKP2.shape)).to(outlines_NKP2)


def target_of(labels_K: Tensor, outlines_KP2: Tensor, height: int, width: int) -> dict[str, Tensor]:
    """Return what torchvision's Mask R-CNN learns from: boxes (G,4), labels (G,) and masks (G,H,W) uint8, on their device."""
    numbers, places = labels_K.cpu().numpy(), outlines_KP2.cpu().numpy()
    there = [k for k in range(len(numbers)) if numbers[k] and (np.ptp(places[k], axis=0) >= LEAST_PX).all()]
    boxes = np.array([box_of(places[k]) for k in there], np.float32).reshape(-1, 4)
    masks = np.array([polygon_mask(places[k], height, width) for k in there], np.uint8).reshape(-1, height, width)
    found = {"boxes": torch.from_numpy(boxes), "labels": torch.from_numpy(numbers[there]), "masks": torch.from_numpy(masks)}
    return {name: value.to(labels_K.device) for name, value in found.items()}


def truth_of(target: dict[str, Tensor]) -> Truth:
    """Return a target as what there is to find; classes count from 0."""
    masks = target["masks"].cpu().numpy().astype(bool)
    return Truth(target["boxes"].double().cpu().numpy(), target["labels"].cpu().numpy() - 1, masks)


def detections_of(found: dict[str, Tensor]) -> Detections:
    """Return what the network found on one image; classes count from 0."""
    masks = (found["masks"][:, 0] > THRESHOLD).cpu().numpy()
    boxes, scores = (found[name].double().cpu().numpy() for name in ("boxes", "scores"))
    return Detections(boxes, scores, found["labels"].cpu().numpy() - 1, masks)
