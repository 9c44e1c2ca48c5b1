"""Mask R-CNN is the published one, counted weight by weight; it learns, and starts from weights that lie on disk."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

from glyphyard.core.errors import BadInput
from glyphyard.nn.maskrcnn import TERMS, find_weights, load_weights, mask_rcnn
from glyphyard.recipe.maskrcnn import MaskRcnnConfig

LITTLE = {"min_side_px": 64, "max_side_px": 96, "anchors_px": (8, 16, 32, 64), "pyramid": 32, "box_hidden": 64}


def config(**fields: object) -> MaskRcnnConfig:
    return MaskRcnnConfig.model_validate({"network": "maskrcnn"} | fields)


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_with_the_classes_of_coco_it_has_the_published_number_of_weights():
    published = MaskRCNN_ResNet50_FPN_Weights.COCO_V1.meta["num_params"]
    with torch.device("meta"):
        assert count(mask_rcnn(config(), 90, frozen_norm=True)) == published == 44_401_393
        # GroupNorm learns a scale and a shift of each channel, frozen batch norm does not.
        assert count(mask_rcnn(config(), 90)) == published + 53_120


@pytest.mark.parametrize(
    ("backbone", "classes", "weights"),
    [("resnet50", "binary", RESNET_BINARY := 43_922_395), ("resnet50", "alphabet", RESNET_BINARY + 35 * (5 * 1025 + 257))],
)
def test_the_heads_grow_by_what_a_class_costs(backbone, classes, weights):
    wanted = config(backbone=backbone, classes=classes)
    with torch.device("meta"):
        assert count(mask_rcnn(wanted, wanted.foreground(36), frozen_norm=True)) == weights


def test_the_light_one_is_light():
    with torch.device("meta"):
        assert count(mask_rcnn(config(backbone="light"), 1)) == 3_058_571


def test_it_learns_where_a_square_stands():
    torch.manual_seed(3)
    network = mask_rcnn(config(backbone="light", **LITTLE), 1).train()
    image = torch.full((3, 64, 64), 0.9)
    image[:, 20:40, 24:44] = 0.1
    mask = torch.zeros(1, 64, 64, dtype=torch.uint8)
    mask[0, 20:40, 24:44] = 1
    target = {"boxes": torch.tensor([[24.0, 20, 44, 40]]), "labels": torch.tensor([1]), "masks": mask}
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    first = last = 0.0
    for _ in range(8):
        losses = network([image], [target])
        assert set(losses) == set(TERMS.values())
        loss = sum(losses.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        last = float(loss.detach())
        first = first or last
    assert last < 0.8 * first
    found = network.eval()([image, torch.rand(3, 30, 50)])
    assert found[0]["masks"].shape[1:] == (1, 64, 64)
    assert found[1]["masks"].shape[1:] == (1, 30, 50)


def test_weights_on_disk_are_taken_and_other_heads_stay_random(tmp_path):
    source = mask_rcnn(config(backbone="light", **LITTLE), 36, frozen_norm=True)
    torch.save(source.state_dict(), tmp_path / "all.pth")
    features = {
        f"features.{k.removeprefix('backbone.body.')}": v
        for k, v in source.state_dict().items()
        if k.startswith("backbone.body.")
    }
    torch.save(features, tmp_path / "backbone.pth")
    for name, random in (("all.pth", "roi_heads.box_predictor"), ("backbone.pth", "rpn.")):
        path, said = find_weights(config(backbone="light", pretrained=str(tmp_path / name)))
        assert path is not None
        assert name in said
        network = mask_rcnn(config(backbone="light", **LITTLE), 1, frozen_norm=True)
        left = load_weights(network, path)
        assert any(entry.startswith(random) for entry in left)
        assert not any(entry.startswith("backbone.body.") for entry in left)
        ours, theirs = network.backbone.body["0"][0].weight, source.backbone.body["0"][0].weight
        assert torch.equal(ours, theirs)


def test_weights_that_are_not_there_are_said_or_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    for which in (None, "coco", "imagenet"):
        path, said = find_weights(config(pretrained=which))
        assert path is None
        assert "random" in said
    with pytest.raises(BadInput, match="GY077"):
        find_weights(config(pretrained=str(tmp_path / "gone.pth")))


def test_strange_weights_are_refused(tmp_path):
    network = mask_rcnn(config(backbone="light", **LITTLE), 1)
    (tmp_path / "torn.pth").write_bytes(b"PK nothing")
    torch.save({"a": 1}, tmp_path / "other.pth")
    torch.save({"a": torch.zeros(3)}, tmp_path / "strange.pth")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "pickle.pth")
    for name in ("torn.pth", "other.pth", "strange.pth", "pickle.pth"):
        with pytest.raises(BadInput, match="GY077"):
            load_weights(network, tmp_path / name)


@pytest.mark.parametrize(
    "fields", [{"anchors_px": (8, 16, 32, 64)}, {"backbone": "light", "anchors_px": (8,) * 5}, {"min_side_px": 1400}]
)
def test_a_configuration_that_contradicts_itself_is_refused(fields):
    with pytest.raises(ValidationError):
        config(**fields)
