"""Mask R-CNN as one graph for a canvas of one size: what is exported. The numbers are torchvision's own."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import maskrcnn_inference


class OnCanvas(nn.Module):
    """(1,3,H,W) in [0, 1] → boxes (D,4) in its pixels, labels (D,) from 1, scores (D,), masks (D,28,28) in [0, 1] that fill their boxes.

    The last detection is none: a box of one pixel with score 0, for an engine may not know what to do with no box at all.
    Unlike the network's own forward it pastes no masks, which would be a loop over detections in the graph.
    """

    mean: Tensor
    std: Tensor
    back: Tensor

    def __init__(self, network: MaskRCNN, height: int, width: int) -> None:
        super().__init__()
        self.network = network
        with torch.no_grad():  # the network's own transform says how large it wants the canvas
            wanted, _ = network.transform([torch.zeros(3, height, width)])
        self.size = (height, width)
        self.inner: tuple[int, int] = wanted.image_sizes[0]
        self.padded: tuple[int, ...] = tuple(wanted.tensors.shape[-2:])
        transform = network.transform
        self.register_buffer("mean", torch.tensor(transform.image_mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(transform.image_std).view(1, -1, 1, 1), persistent=False)
        (inner_h, inner_w), shrink = self.inner, (height / self.inner[0], width / self.inner[1])
        self.register_buffer("back", torch.tensor([shrink[1], shrink[0]] * 2), persistent=False)
        self.pad = (0, self.padded[1] - inner_w, 0, self.padded[0] - inner_h)

    def forward(self, canvas_1CHW: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return boxes, labels, scores and masks, the surest first."""
        image = (canvas_1CHW - self.mean) / self.std
        if self.inner != self.size:
            image = functional.interpolate(image, size=self.inner, mode="bilinear", align_corners=False)
        image = functional.pad(image, self.pad)
        features = self.network.backbone(image)
        sizes = [self.inner]
        proposals, _ = self.network.rpn(ImageList(image, sizes), features)
        heads = self.network.roi_heads
        logits, moves = heads.box_predictor(heads.box_head(heads.box_roi_pool(features, proposals, sizes)))
        boxes, scores, labels = (found[0] for found in heads.postprocess_detections(logits, moves, proposals, sizes))
        boxes = torch.cat([boxes, boxes.new_tensor([[0.0, 0.0, 1.0, 1.0]])])
        scores = torch.cat([scores, scores.new_zeros(1)])
        labels = torch.cat([labels, labels.new_ones(1)])
        masks = heads.mask_predictor(heads.mask_head(heads.mask_roi_pool(features, [boxes], sizes)))
        return boxes * self.back, labels, scores, maskrcnn_inference(masks, [labels])[0][:, 0]
