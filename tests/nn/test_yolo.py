"""ultralytics behind its door: opened as this rank or not at all, and said where it is missing."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.nn.yolo import build_yolo, find_released, keep_places, open_ultralytics
from glyphyard.recipe.yolo import YoloConfig


def test_without_ultralytics_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    with pytest.raises(BadInput, match=r"not installed.*|.*glyphyard\[detect\]"):
        open_ultralytics()


@pytest.mark.slow
def test_a_copy_of_another_rank_is_refused() -> None:
    open_ultralytics()
    with pytest.raises(StepFailed, match="imported as rank -1, this is rank 1"):
        open_ultralytics(rank=1, world=2)


@pytest.mark.slow
def test_it_neither_phones_nor_installs_nor_writes_home(tmp_path) -> None:
    code = (
        "import os\n"
        "import torch\n"
        "from PIL import Image\n"
        "from glyphyard.nn.yolo import open_ultralytics\n"
        "before = Image.open, torch.save\n"
        "open_ultralytics()\n"
        "assert (Image.open, torch.save) == before\n"
        "from ultralytics.utils import AUTOINSTALL, ONLINE, USER_CONFIG_DIR\n"
        "print(ONLINE, AUTOINSTALL, str(USER_CONFIG_DIR).startswith(os.environ['YOLO_CONFIG_DIR']))"
    )
    home = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=home, cwd=tmp_path)
    assert done.stdout.split() == ["False", "False", "True"], done.stderr
    assert not [p for p in tmp_path.rglob("*") if "ltralytics" in p.name]


def test_weights_are_looked_for_where_the_recipe_says_and_on_the_shelf(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = YoloConfig.model_validate({"network": "yolo", "pretrained": "/nowhere/yolov8n.pt"})
    path, told = find_released(config)
    assert path is None
    assert "random weights: /nowhere/yolov8n.pt is not there" in told
    (tmp_path / "yolov8n.pt").write_bytes(b"")
    monkeypatch.setenv("GLYPHYARD_WEIGHTS", str(tmp_path))
    assert find_released(config)[0] == tmp_path / "yolov8n.pt"


@pytest.mark.slow
def test_boxes_keep_their_places_in_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build_yolo(YoloConfig(network="yolo", imgsz=64), ["line"])
    keep_places(network)
    from ultralytics.utils.loss import v8DetectionLoss

    network.args = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5)
    loss, seen = v8DetectionLoss(network), []
    decode = loss.bbox_decode
    monkeypatch.setattr(
        loss, "bbox_decode", lambda anchors, given: seen.append((anchors.dtype, given.dtype)) or decode(anchors, given)
    )
    boxes = {"batch_idx": torch.zeros(1), "cls": torch.zeros(1, 1), "bboxes": torch.tensor([[0.5, 0.5, 0.3, 0.2]])}
    images = torch.rand(1, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        loss(network.train()(images), boxes | {"img": images})
    assert seen == [(torch.float32, torch.float32)]
