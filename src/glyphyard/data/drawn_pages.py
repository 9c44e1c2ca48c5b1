"""A drawn page as a file: rendered, encoded, labelled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from glyphyard.core.errors import StepFailed
from glyphyard.data.yolo_folder_writer import FOLDERS, label_lines, put_page
from glyphyard.recipe.dataset import Split

CLASS = "handwriting"
QUALITY = (62, 95)  # of the JPEG; the hardest pages draw from all of it
COLUMNS = ("split", "image", "x1", "y1", "x2", "y2", "text", "writer", "kind")


@dataclass(frozen=True)
class Drawing:
    """What to draw and where to put it: (seed, index, difficulty), the split, the file's name, the class's number."""

    folder: Path
    render: tuple[int, int, float]
    split: Split
    name: str
    label: int = 0


def draw_to_file(drawing: Drawing) -> list[list[str]]:
    """Draw a page and write image and labels; return a row of COLUMNS for each line of handwriting."""
    import cv2

    from glyphyard.data.synth.dice import Dice
    from glyphyard.data.synth.pages import render_page

    seed, index, difficulty = drawing.render
    page = render_page(seed, index, difficulty)
    height, width = page.image_bgr.shape[:2]
    low, high = QUALITY
    quality = high - int((high - low) * difficulty * Dice.of("file", seed, index).random())
    encoded, data = cv2.imencode(".jpg", page.image_bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not encoded:
        raise StepFailed(drawing.name, "cannot encode this image")
    labels = label_lines(page.boxes, [drawing.label] * len(page.boxes), width, height)
    put_page(drawing.folder, drawing.split, drawing.name, data.tobytes(), labels)
    return [
        [FOLDERS[drawing.split], drawing.name, *(f"{v:.1f}" for v in box), text, page.meta["writer"], page.meta["kind"]]
        for box, text in zip(page.boxes, page.texts, strict=True)
    ]


def draw_all(drawings: list[Drawing]) -> list[list[list[str]]]:
    """Draw some pages with one thread; a job of a pool of processes."""
    import cv2

    cv2.setNumThreads(1)
    return [draw_to_file(drawing) for drawing in drawings]
