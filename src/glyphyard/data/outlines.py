"""Outlined characters of a prepared row: JSON in the column `outlines`, padded tensors for a network.

N rows, K characters, P corners, in pixels of the canvas that the image was laid onto.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from glyphyard.core.errors import BadInput
from glyphyard.core.letterbox import Placement

if TYPE_CHECKING:
    from torch import Tensor

MOST_CORNERS = 96  # of one outline in a prepared row
STEP_PX = 0.25


def pack(labels: Sequence[str], outlines: Sequence[np.ndarray]) -> str:
    """Return characters with their outlines, (P,2) each, as the column's text."""
    rounded = [[label, np.round(np.asarray(o, np.float64), 2).tolist()] for label, o in zip(labels, outlines, strict=True)]
    return json.dumps(rounded, ensure_ascii=False, separators=(",", ":"))


def unpack(text: str) -> tuple[list[str], list[np.ndarray]]:
    """Return characters and outlines, (P,2) float64 each; anything else than `pack` writes is a `BadInput`."""
    try:
        found = [(str(label), np.array(outline, np.float64).reshape(-1, 2)) for label, outline in json.loads(text)]
    except (ValueError, TypeError) as error:
        raise BadInput("prepared dataset", f"cannot read outlines ({error})", "prepare it again") from error
    return [label for label, _ in found], [outline for _, outline in found]


def thinned(outline_P2: np.ndarray, most: int = MOST_CORNERS) -> np.ndarray:
    """Return the outline with at most `most` corners, moved by as little as that takes (Douglas & Peucker, 1973)."""
    whole = np.asarray(outline_P2, np.float32)
    outline, step = whole, STEP_PX
    while len(outline) > most:
        outline = np.asarray(cv2.approxPolyDP(whole[:, None], step, True)[:, 0], np.float32)
        step *= 1.5
    return outline if len(outline) >= 3 else whole[:most]


def to_canvas(outline_P2: np.ndarray, place: Placement) -> np.ndarray:
    """Take an outline (P,2) from its image to the canvas."""
    return place.to_canvas(np.hstack([outline_P2, outline_P2]))[:, :2]


def to_image(outline_P2: np.ndarray, place: Placement) -> np.ndarray:
    """Take an outline (P,2) from the canvas back to its image."""
    return place.to_image(np.hstack([outline_P2, outline_P2]))[:, :2]


def box_of(outline_P2: np.ndarray) -> np.ndarray:
    """Return the box x1, y1, x2, y2 around an outline."""
    return np.concatenate([outline_P2.min(0), outline_P2.max(0)])


def padded(rows: Sequence[str], classes: Sequence[str], fold: Mapping[str, str]) -> dict[str, Tensor]:
    """Return "labels" (N,K) int64, class numbers from 1 and 0 where nobody is, and "outlines" (N,K,P,2) float32.

    A shorter outline stands again and again at its first corner, which changes nothing of what it encloses.
    """
    import torch  # preparing and planning do without

    number = {character: i for i, character in enumerate(classes, 1)}
    read = [unpack(text) for text in rows]
    most = max((len(labels) for labels, _ in read), default=0)
    corners = max((len(o) for _, outlines in read for o in outlines), default=1)
    numbers = torch.zeros(len(rows), most, dtype=torch.int64)
    places = torch.zeros(len(rows), most, corners, 2)
    for i, (labels, outlines) in enumerate(read):
        for k, (label, outline) in enumerate(zip(labels, outlines, strict=True)):
            numbers[i, k] = number[fold.get(label, label)]
            places[i, k] = torch.from_numpy(outline[0]).float()
            places[i, k, : len(outline)] = torch.from_numpy(outline).float()
    return {"labels": numbers, "outlines": places}
