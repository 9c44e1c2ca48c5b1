"""Checkpoints: whole or absent, free of code (`weights_only`), and refused where they do not belong."""

from __future__ import annotations

import io
import os
import pickle
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from glyphyard.core.errors import BadInput
from glyphyard.core.files import atomic_path, is_pickled, writing
from glyphyard.nn.weight_file import load_tensors

SCHEMA = 1
DELETE_LAST = "delete it: the stage is trained anew"  # what is left to do with a last.pt that cannot be read
State = dict[str, Any]  # tensors, numbers, strings, None, and dicts and lists of them; see `loop.Trainer.state`


def save_state(state: State, target: Path, *more: Path) -> None:
    """Write a checkpoint to `target` and to `more` paths beside it, each whole or not at all; a full disk is a `BadInput`."""
    buffer = io.BytesIO()  # serialised in memory first, so that a failed write is a plain OSError with its reason
    torch.save({"schema": SCHEMA} | state, buffer)
    with writing_state(target):
        with atomic_path(target) as temporary:
            temporary.write_bytes(buffer.getbuffer())
        for other in more:
            _same_file(target, other)


def load_state(path: Path, remedy: str = "use another one") -> State:
    """Read a checkpoint to the CPU; what is missing, cut short, hostile or of another version is a `BadInput`."""
    path = Path(path)
    if not path.is_file():
        raise BadInput(str(path), "there is no such checkpoint", "give the path of a best.pt or last.pt")
    try:
        state = load_tensors(path)
    except pickle.UnpicklingError as error:
        if is_pickled(path):
            raise BadInput(str(path), "holds more than weights and was not loaded", remedy) from error
        raise BadInput(str(path), "is not a checkpoint, or was cut short", remedy) from error
    except Exception as error:  # an unpickler that is fed any bytes may raise anything
        raise BadInput(str(path), f"is not a checkpoint, or was cut short ({type(error).__name__})", remedy) from error
    if not isinstance(state, dict) or state.get("schema") != SCHEMA:
        found = state.get("schema") if isinstance(state, dict) else type(state).__name__
        raise BadInput(
            str(path), f"expected a glyphyard checkpoint of schema {SCHEMA}, found {found}", "train it again with this version"
        )
    return state


def load_parts(path: Path, parts: nn.ModuleDict) -> nn.ModuleDict:
    """Load into `parts` the weights that a checkpoint was validated with; return them."""
    put_weights(parts, validated_weights(path), str(path))
    return parts


def validated_weights(path: Path) -> dict[str, Tensor]:
    """Return the weights that a checkpoint was validated with: the average where there is one."""
    state = load_state(path)
    weights: dict[str, Tensor] = state["parts"] if state["ema"] is None else state["ema"]
    return weights


def put_weights(parts: nn.ModuleDict, weights: dict[str, Tensor], where: str) -> list[str]:
    """Load weights into those parts that `weights` holds, and return which others have some, and keep theirs.

    A part of another shape or with unknown tensors is a `BadInput`.
    """
    held = {name.split(".", 1)[0] for name in weights}
    if not held & set(parts):
        raise BadInput(
            where, f"expected weights of {sorted(parts)}, found {sorted(held)}", "start from a checkpoint of the same recipe"
        )
    for name in sorted(held & set(parts)):
        mine = {key.split(".", 1)[1]: value for key, value in weights.items() if key.startswith(f"{name}.")}
        try:
            parts[name].load_state_dict(mine)
        except RuntimeError as error:
            problem = f"its weights do not fit part `{name}` of this recipe ({' '.join(str(error).split())[:200]})"
            raise BadInput(where, problem, "start from a checkpoint of the same model and alphabet") from error
    return [name for name, part in parts.items() if name not in held and any(True for _ in part.parameters())]


def check_fingerprints(found: dict[str, Any], expected: dict[str, Any], where: str) -> None:
    """Refuse to resume from a state of another recipe, dataset, stage or number of workers."""
    differing = {k: (found.get(k), v) for k, v in expected.items() if found.get(k) != v}
    if differing:
        told = ", ".join(f"{name}: it has {was}, this run {now}" for name, (was, now) in differing.items())
        raise BadInput(
            where, f"this state belongs to another run ({told})", "start a new run, or resume with what it was started with"
        )


def writing_state(target: Path) -> AbstractContextManager[None]:
    """Turn a write that the disk refuses into a `BadInput` that names the file and how to go on."""
    return writing(target, "make room and continue with --resume; the last good checkpoint is whole")


def _same_file(source: Path, target: Path) -> None:
    """Give a file a second name, atomically; files are only ever replaced, so neither name can change the other's bytes."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.link")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:  # a filesystem without hard links
        with atomic_path(target) as copy:
            copy.write_bytes(source.read_bytes())
        return
    temporary.replace(target)
