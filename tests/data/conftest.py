"""Small data sets for the tests of this room: plates written as PNG, a label file beside them, a cheap renderer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from glyphyard.recipe.dataset import DatasetConfig, PlateTsv, SplitConfig, SyntheticPlates


def picture(text: str, height: int = 40, width: int = 120) -> np.ndarray:
    """A picture of its own for each text: its characters over noise seeded by it."""
    noise = np.random.default_rng(list(text.encode())).integers(90, 200, (height // 8, width // 8, 3), dtype=np.uint8)
    image = cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.putText(image, text, (4, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 0, 0), 2)


@pytest.fixture
def label_file(tmp_path: Path) -> Callable[..., Path]:
    """Write images and their label file; returns the label file. `extra` lines are appended as they are."""

    def write(texts: list[str], extra: bytes = b"", folder: str = "plates", name: str = "labels.txt") -> Path:
        base = tmp_path / folder
        (base / "images").mkdir(parents=True, exist_ok=True)
        for text in texts:
            cv2.imwrite(str(base / "images" / f"{text}.png"), picture(text))
        lines = "".join(f"images/{text}.png\t{text}\n" for text in texts)
        (base / name).write_bytes(lines.encode() + extra)
        return base / name

    return write


@pytest.fixture
def texts() -> list[str]:
    """Forty plate texts."""
    return [f"{chr(65 + i % 26)}{chr(65 + i * 7 % 26)}{100 + i * 13}" for i in range(40)]


def real(labels: Path, **fields: Any) -> PlateTsv:
    """A source of the rows in `labels`."""
    return PlateTsv(**({"kind": "plate_tsv", "name": "real", "labels": labels} | fields))


def drawn(**fields: Any) -> SyntheticPlates:
    """A source of rendered rows."""
    return SyntheticPlates(**({"kind": "synthetic_plates", "name": "drawn", "family": "florida", "count": 60} | fields))


def config(*sources: Any, **fields: Any) -> DatasetConfig:
    """A data set of `sources`; a fifth of the groups is validation, a fifth is test."""
    return DatasetConfig(**({"sources": sources, "split": SplitConfig(validation=0.2, test=0.2)} | fields))


@pytest.fixture
def make() -> SimpleNamespace:
    """The builders of this file, by name."""
    return SimpleNamespace(real=real, drawn=drawn, config=config, picture=picture)


@pytest.fixture
def cheap_plates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a renderer of microseconds in the place of the real one."""
    from glyphyard.data import synth

    def text_of(seed: int, index: int, family: str) -> str:
        return f"S{seed}{index:04d}"

    def render(seed: int, index: int, family: str, text: str | None = None, difficulty: float = 1.0) -> SimpleNamespace:
        text = text_of(seed, index, family)
        return SimpleNamespace(image_bgr=picture(text), text=text, meta={"light": "day" if index % 2 else "night"})

    monkeypatch.setattr(synth, "plate_text", text_of)
    monkeypatch.setattr(synth, "render_plate", render)
