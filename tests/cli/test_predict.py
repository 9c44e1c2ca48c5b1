"""`glyphyard predict` as a user meets it: one image to the screen, a folder to files, a bar while it lasts."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import cv2
import pytest
from handmade import drawn, png, write_bundle
from rich.console import Console

from glyphyard.cli import predict as module
from glyphyard.cli.main import main as run_main
from glyphyard.pipeline.predictions import Prediction

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundles") / "striped")


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    (tmp_path / "crops").mkdir()
    for text in ("AB1", "XY9"):
        (tmp_path / "crops" / f"{text}.png").write_bytes(png(drawn(text)))
    (tmp_path / "crops" / "broken.png").write_bytes(b"no image")
    return tmp_path / "crops"


def predict(capsys: Captured, *arguments: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        run_main(["predict", *map(str, arguments)])
    captured = capsys.readouterr()
    return int(stopped.value.code or 0), captured.out, captured.err


def test_of_a_damaged_image_only_our_own_line_is_seen(bundle: Path, tmp_path: Path) -> None:
    whole = bytes(cv2.imencode(".bmp", drawn("AB1"))[1])
    (tmp_path / "half.bmp").write_bytes(whole[: len(whole) // 2])
    command = [sys.executable, "-m", "glyphyard.cli.main", "predict", str(bundle), str(tmp_path / "half.bmp")]
    done = subprocess.run(command, capture_output=True, text=True)  # OpenCV's own lines go around Python's standard error
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert row["error"]
    assert "opencv" not in done.stderr.lower()


def test_one_image_is_a_line_on_the_screen(capsys: Captured, bundle: Path, crops: Path) -> None:
    code, out, _ = predict(capsys, bundle, crops / "AB1.png")
    (row,) = csv.DictReader(io.StringIO(out))
    assert code == 0
    assert (row["text"], row["error"]) == ("AB1", "")
    assert 0 < float(row["confidence"]) <= 1


def test_a_broken_image_among_others_is_a_row_and_not_the_end(capsys: Captured, bundle: Path, crops: Path) -> None:
    code, out, _ = predict(capsys, bundle, crops, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(row["text"], bool(row["error"])) for row in rows] == [("AB1", False), ("XY9", False), ("", True)]


def test_a_folder_goes_to_files_and_the_screen_stays_empty(capsys: Captured, bundle: Path, crops: Path, tmp_path: Path) -> None:
    code, out, err = predict(capsys, bundle, crops, "--out", tmp_path / "out")
    assert (code, out) == (0, "")
    assert "3 images, 1 unreadable" in err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["predictions.csv", "predictions.txt"]


@pytest.mark.parametrize("decode", [[], ["--decode", "beam"]])
def test_what_cannot_be_done_is_one_line(capsys: Captured, bundle: Path, tmp_path: Path, decode: list[str]) -> None:
    code, out, err = predict(capsys, bundle, tmp_path, *decode)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert ("n-gram" if decode else "no image") in err


def test_a_bar_is_drawn_on_a_terminal_and_every_row_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr(module, "console", lambda **options: screen)

    def rows() -> Iterator[Prediction]:
        yield from (Prediction(str(i)) for i in range(500))

    with ExitStack() as stack:
        assert [row.path for row in module._with_bar(stack, rows(), 500)] == [str(i) for i in range(500)]
    assert "500/500" in screen.file.getvalue()  # type: ignore[attr-defined]
