"""YOLOv8 as ultralytics builds it (AGPL-3.0, extra `detect`): opened late, offline, and without its own errands.

ultralytics freezes rank and world size when it is imported, installs packages, reports usage and logs to MLflow unless it is
told not to. So nothing here is imported before `open_ultralytics`, and that is called where the ranks are known.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.nn.places import in_float32
from glyphyard.recipe.yolo import YoloConfig

QUIET = {"YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true", "YOLO_VERBOSE": "false", "ULTRALYTICS_SAFE_LOAD": "true"}
FEWEST_FITTING = 0.5  # share of the network that released weights have to fill


def open_ultralytics(rank: int = 0, world: int = 1) -> None:
    """Import ultralytics with its errands turned off and its settings in a folder of this process's own.

    Not installed is a `BadInput`; a copy that was imported before the ranks were known is a `StepFailed`.
    """
    os.environ.update(QUIET)
    if "YOLO_CONFIG_DIR" not in os.environ:
        own = tempfile.mkdtemp(prefix="glyphyard-ultralytics-")
        os.environ["YOLO_CONFIG_DIR"] = own
        atexit.register(shutil.rmtree, own, ignore_errors=True)
    before = Image.open, torch.save
    try:
        import ultralytics.utils
    except ImportError as error:
        remedy = "pip install 'glyphyard[detect]' (ultralytics is AGPL-3.0: see Licences in README.md)"
        raise BadInput("task detection", f"needs ultralytics, which is not installed ({error})", remedy) from error
    finally:  # it replaces both for the whole process; its Image.open answers a broken image by installing a package
        Image.open, torch.save = before
    expected = rank if world > 1 else -1
    if expected != ultralytics.utils.RANK:
        problem = f"ultralytics was imported as rank {ultralytics.utils.RANK}, this is rank {expected}"
        raise StepFailed("training", problem, "start the workers in fresh processes")


def build_yolo(config: YoloConfig, names: Sequence[str]) -> nn.Module:
    """Return a freshly initialised YOLOv8 for classes called `names`, on the CPU, in training mode."""
    open_once()
    from ultralytics.nn.tasks import DetectionModel

    network: nn.Module = DetectionModel(f"yolov8{config.size}.yaml", ch=3, nc=len(names), verbose=False)
    network.names = dict(enumerate(names))  # type: ignore[assignment]  # a plain attribute that ultralytics reads
    return network


def keep_places(network: nn.Module) -> None:
    """Let a network that is to be trained keep places in float32, whatever it computes in.

    The loss makes its anchors and boxes of the kind that the head gives: in bfloat16, at 1280 px, half a cell off.
    """
    network.model[-1].register_forward_hook(_places_in_float32)  # type: ignore[index,union-attr]


def _places_in_float32(head: nn.Module, given: Any, made: Any) -> Any:
    return in_float32(head, given, made) if head.training else made


def open_once() -> None:
    """Open ultralytics if nobody has: its ranks stay those that it was opened with."""
    import sys

    if "ultralytics.utils" not in sys.modules:
        open_ultralytics()


def find_released(config: YoloConfig) -> tuple[Path | None, str]:
    """Return the file of the released weights that the recipe names, None if there is none, and what a person should be told."""
    network = f"yolov8{config.size}"
    if config.pretrained is None:
        return None, f"{network} starts from random weights: the recipe names none"
    named = Path(config.pretrained)
    shelf = os.environ.get("GLYPHYARD_WEIGHTS")
    places = [named, *([Path(shelf) / named.name] if shelf else [])]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        looked = " and ".join(str(place) for place in places)
        return None, f"{network} starts from random weights: {looked} {'is' if len(places) == 1 else 'are'} not there"
    return found, f"{network} starts from {found}"


def load_released(network: nn.Module, path: Path) -> str:
    """Load what fits of released weights into `network` and say how much that was; another size is a `BadInput`.

    The file may be a state dict or ultralytics' own checkpoint, which holds pickled modules: only classes on ultralytics'
    allow-list are made of it, anything else is refused.
    """
    theirs, mine = _read(path), network.state_dict()
    fitting = {name: value for name, value in theirs.items() if name in mine and value.shape == mine[name].shape}
    filled = sum(mine[name].numel() for name in fitting) / sum(value.numel() for value in mine.values())
    if filled < FEWEST_FITTING:
        raise BadInput(str(path), f"fills {filled:.0%} of this network", "state the file's own `model.size`")
    network.load_state_dict(fitting, strict=False)
    return f"{filled:.0%} of the weights taken from {path.name}"


def _read(path: Path) -> dict[str, Any]:
    from ultralytics.nn import tasks

    if not tasks._SafeLoad.SUPPORTED:  # it would then unpickle whatever the file says
        raise StepFailed(str(path), "this torch cannot load a checkpoint by an allow-list", "use the torch of the lock file")
    try:
        loaded, _ = tasks.torch_safe_load(str(path.absolute()), safe_only=True)
    except Exception as error:  # an unpickler that is fed any bytes may raise anything
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise BadInput(
            str(path), f"is not a checkpoint of known classes and was not loaded ({reason})", "use ultralytics' own"
        ) from error
    held = (loaded.get("ema") or loaded.get("model") or loaded) if isinstance(loaded, dict) else loaded
    state = held.float().state_dict() if isinstance(held, nn.Module) else held
    if not isinstance(state, dict) or not all(hasattr(value, "shape") for value in state.values()):
        raise BadInput(str(path), "holds no weights by name", "use ultralytics' own file, or a state dict")
    return state
