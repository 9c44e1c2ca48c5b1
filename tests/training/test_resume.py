"""A training process that is really killed, in the middle of an epoch, ends with the weights of one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from learnable import same_weights

from glyphyard.training.checkpoint import load_state

PROGRAM = """
import sys, time
from pathlib import Path
import torch
from learnable import FromMemory, crops, tiny_recipe, train
from glyphyard.training.learner import Learner

torch.set_num_threads(1)
folder, pause_s = Path(sys.argv[1]), float(sys.argv[2])
step = Learner.step

def slow_step(*args):
    time.sleep(pause_s)
    return step(*args)

Learner.step = slow_step
recipe = tiny_recipe([{"epochs": 3, "ema_decay": 0.9}], model={"dropout": 0.3, "channels": [4, 6, 8, 10], "blocks": [1, 1, 1, 1], "features": 16, "hidden": 16, "layers": 2})
train(folder, recipe, FromMemory(crops(160)), checkpoint_every_s=0.0)
"""


def start(folder: Path, pause_s: float = 0.0) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder), str(pause_s)], env=os.environ | {"PYTHONPATH": paths})


def test_a_killed_run_ends_with_the_weights_of_an_unbroken_one(tmp_path: Path) -> None:
    killed = start(tmp_path / "killed", pause_s=0.05)
    last, deadline = tmp_path / "killed" / "stage" / "last.pt", time.monotonic() + 200
    while time.monotonic() < deadline:
        time.sleep(0.05)
        if last.exists() and load_state(last)["position"]["epoch"] == 1 and load_state(last)["position"]["step"] >= 3:
            break
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    position = load_state(last)["position"]
    assert position["epoch"] == 1
    assert 0 < position["step"] < 20  # in the middle of the second epoch

    assert start(tmp_path / "killed").wait() == 0
    assert start(tmp_path / "whole").wait() == 0
    resumed, whole = (load_state(tmp_path / name / "stage" / "last.pt") for name in ("killed", "whole"))
    assert same_weights(resumed["parts"], whole["parts"])
    assert same_weights(resumed["ema"], whole["ema"])
    rows = [
        [json.loads(line) for line in (tmp_path / name / "stage" / "metrics.jsonl").read_text().splitlines()]
        for name in ("killed", "whole")
    ]
    timeless = [[{k: v for k, v in row.items() if k not in ("seconds", "crops_per_s")} for row in run] for run in rows]
    assert timeless[0] == timeless[1]
    assert [row["epoch"] for row in rows[0]] == [1, 2, 3]
