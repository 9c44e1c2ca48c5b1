"""Pages with what stands on them and what was found drawn in, the worst first."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from glyphyard.core.boxes import Detections, box_iou
from glyphyard.core.detection_metrics import Truth, match
from glyphyard.core.records import DatasetManifest, Figure, Scorecard
from glyphyard.report.read import RunFiles
from glyphyard.report.wording import rate

PAGES = "pages.parquet"
MOST_WORST, MOST_BEST = 8, 2
WIDTH_PX, QUALITY = 620, 72
RIGHT, MISSED, WRONG = (70, 150, 30), (40, 40, 220), (0, 140, 255)  # BGR
FOUND = 0.5  # overlap from which an object counts as found
SIZES = (("", "all"), ("_small", "small"), ("_medium", "medium"), ("_large", "large"))


def draw_boxes(image: np.ndarray, boxes_N4: np.ndarray, colour: tuple[int, int, int], notes: Sequence[str] = ()) -> np.ndarray:
    """Outline boxes (pixels of the image) in place on a BGR image, each with its note, and return the image."""
    thick = max(round(max(image.shape[:2]) / 500), 2)
    for i, box in enumerate(np.asarray(boxes_N4).reshape(-1, 4).round().astype(int).tolist()):
        cv2.rectangle(image, (box[0], box[1]), (box[2], box[3]), colour, thick)
        if i < len(notes) and notes[i]:
            size = max(image.shape[:2]) / 1600
            cv2.putText(
                image, notes[i], (box[0], max(box[1] - 4, 12)), cv2.FONT_HERSHEY_SIMPLEX, size, colour, thick, cv2.LINE_AA
            )
    return image


def jpeg_uri(image: np.ndarray, width_px: int = WIDTH_PX) -> str:
    """Return a BGR image as a data URI, scaled down to a width; "" where it cannot be encoded."""
    if image.shape[1] > width_px:
        size = (width_px, max(1, round(image.shape[0] * width_px / image.shape[1])))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    good, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}" if good else ""


def pages_of(run: RunFiles) -> dict[str, Any] | None:
    """Return the drawn pages and the figures by size and slice; None where nothing was evaluated."""
    path = run.folder / PAGES
    if run.scorecard is None or not path.is_file():
        return None
    import pyarrow.parquet as pq

    try:
        rows = choose_pages(pq.read_table(path).to_pylist())
        bytes_of = encoded_rows(run.dataset, run.manifest, run.scorecard.split, {row["id"] for row in rows})
        pages = [_page(row, bytes_of.get(row["id"])) for row in rows]
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are ValueErrors: a broken or foreign file
        run.notes.append(f"pages: {PAGES} cannot be read ({str(error).splitlines()[0][:120]})")
        return None
    return {
        "pages": pages,
        "sizes": sizes_of(run.scorecard),
        "slices": slices_of(run.scorecard),
        "confidence": f"{rows[0]['confidence']:.2f}" if rows else "–",
    }


def choose_pages(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the pages with the most mistakes, the worst first, and a few of the best that have something on them."""
    ordered = sorted(rows, key=lambda row: (-(row["missed"] + row["wrong"]), row["path"]))
    worst, rest = ordered[:MOST_WORST], ordered[MOST_WORST:]
    return worst + [row for row in reversed(rest) if row["true_boxes"]][:MOST_BEST]


def encoded_rows(dataset: Path | None, manifest: DatasetManifest | None, split: str, ids: set[int]) -> dict[int, bytes]:
    """Return the image bytes of some rows of a prepared split; nothing where the data set is not there any more."""
    import pyarrow.parquet as pq

    if dataset is None or manifest is None or split not in manifest.splits:
        return {}
    found: dict[int, bytes] = {}
    for shard in manifest.splits[split].shards:
        if (dataset / shard.path).is_file():
            table = pq.read_table(dataset / shard.path, columns=["id", "encoded"], filters=[("id", "in", list(ids))])
            found |= {int(row["id"]): row["encoded"] for row in table.to_pylist() if row["encoded"]}
    return found


def _page(row: Mapping[str, Any], encoded: bytes | None) -> dict[str, Any]:
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR) if encoded else None
    told = f"{len(row['true_boxes'])} regions · {row['missed']} missed · {row['wrong']} wrong"
    drawn = jpeg_uri(draw_page(image, row)) if image is not None else ""
    return {"path": row["path"], "told": told, "image": drawn, "right": row["missed"] + row["wrong"] == 0}


def draw_page(image: np.ndarray, row: Mapping[str, Any]) -> np.ndarray:
    """Draw a page's row of pages.parquet: found regions green, missed ones red, wrong boxes orange, with their scores."""
    sure = np.array(row["scores"], np.float64) >= row["confidence"]
    found = Detections(_boxes(row["boxes"]), np.array(row["scores"], np.float64), np.array(row["classes"], np.int64)).take(sure)
    truth = Truth(_boxes(row["true_boxes"]), np.array(row["true_classes"], np.int64))
    hit = match([truth], [found], None, most=max(len(found), 1)).hit[0]
    order = np.argsort(-found.scores, kind="stable")
    right, wrong = found.take(order[hit]), found.take(order[~hit])
    missed = box_iou(truth.boxes, right.boxes).max(1, initial=0.0) < FOUND
    picture = image.copy()
    draw_boxes(picture, right.boxes, RIGHT)
    draw_boxes(picture, wrong.boxes, WRONG, [f"{score:.2f}" for score in wrong.scores])
    return draw_boxes(picture, truth.boxes[missed], MISSED)


def _boxes(value: Any) -> np.ndarray:
    return np.array(value, np.float64).reshape(-1, 4)


def sizes_of(card: Scorecard) -> list[dict[str, str]]:
    """Return average precision by size, where there are objects of that size."""
    rows = []
    for suffix, name in SIZES:
        at_half, mean = card.figures.get(f"map50{suffix}"), card.figures.get(f"map{suffix}")
        if at_half and at_half.value is not None:
            rows.append({"name": name, "map50": told(at_half), "map": told(mean), "objects": f"{at_half.count:,}"})
    return rows


def slices_of(card: Scorecard) -> list[dict[str, str]]:
    """Return the figures of each slice."""
    rows = []
    for name, figures in card.slices.items():
        cells = {key: told(figures.get(key)) for key in ("map50", "map", "precision", "recall")}
        rows.append({"name": name, **cells, "objects": f"{figures['map50'].count:,}" if "map50" in figures else "–"})
    return rows


def told(figure: Figure | None) -> str:
    """Return a share with its interval."""
    if figure is None or figure.value is None:
        return "–"
    between = f" ({rate(figure.low)} – {rate(figure.high)})" if figure.low is not None else ""
    return rate(figure.value) + between
