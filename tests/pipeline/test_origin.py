"""Where a new run starts from, as its recipe says it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from glyphyard.core.errors import BadInput
from glyphyard.pipeline.origin import start_overrides


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with one run of two stages."""
    for stage in ("0-first", "1-second"):
        folder = tmp_path / "store" / "run-1" / "stages" / stage
        folder.mkdir(parents=True)
        for name in ("last.pt", "best.pt"):
            (folder / name).write_bytes(b"")
    (tmp_path / "store" / "run-1" / "recipe.json").write_text("{}")
    return tmp_path / "store"


def test_a_run_gives_the_last_stages_best_or_the_first_ones_last(store: Path) -> None:
    stages = store / "run-1" / "stages"
    tuned = ("stages.0.start=finetune", f"stages.0.init={json.dumps(str(stages / '1-second' / 'best.pt'))}")
    assert start_overrides("finetune", "run-1", store) == tuned
    assert start_overrides(None, "run-1", store) == tuned
    assert start_overrides("resume", "run-1", store) == (
        "stages.0.start=resume",
        f"stages.0.init={json.dumps(str(stages / '0-first' / 'last.pt'))}",
    )


def test_a_file_is_taken_as_it_is_and_scratch_takes_none(store: Path) -> None:
    file = store / "run-1" / "stages" / "0-first" / "best.pt"
    assert start_overrides("finetune", str(file), store)[1] == f"stages.0.init={json.dumps(str(file))}"
    assert start_overrides("scratch", None, store) == ("stages.0.start=scratch", "stages.0.init=scratch")
    assert start_overrides(None, None, store) == ()


@pytest.mark.parametrize(
    ("mode", "origin", "words"),
    [
        ("finetune", None, "--from"),
        ("resume", None, "--from"),
        ("scratch", "run-1", "--from"),
        ("resume", "nowhere", "no such run"),
        ("finetune", "/nowhere/best.pt", "GY064.*no such checkpoint"),
    ],
)
def test_what_cannot_be_started_from_is_said(store: Path, mode: str, origin: str | None, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        start_overrides(mode, origin, store)
