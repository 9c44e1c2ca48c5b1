"""Steps: done once, skipped when nothing changed, done again when anything did."""

from __future__ import annotations

from pathlib import Path

import pytest

from glyphyard.pipeline.step import Step, perform


class Counting:
    """A step that writes its input to a file and counts how often it worked."""

    def __init__(self, run: Path) -> None:
        self.run, self.value, self.times = run, "a", 0

    def step(self) -> Step:
        return Step("copy", lambda: {"value": self.value}, lambda: [self.run / "out.txt"], self.work)

    def work(self) -> str:
        self.times += 1
        (self.run / "out.txt").write_text(self.value)
        return f"wrote {self.value}"


def said(lines: list[str]) -> str:
    return " | ".join(lines)


def test_a_finished_step_is_skipped_and_says_so(tmp_path: Path) -> None:
    counting, lines = Counting(tmp_path), []
    first = perform(counting.step(), tmp_path, lines.append)
    second = perform(counting.step(), tmp_path, lines.append)
    assert counting.times == 1
    assert first == second
    assert "skipped" in said(lines)


@pytest.mark.parametrize("change", ["input", "output", "missing output", "broken record"])
def test_whatever_changed_is_done_again(tmp_path: Path, change: str) -> None:
    counting = Counting(tmp_path)
    perform(counting.step(), tmp_path, print)
    if change == "input":
        counting.value = "b"
    elif change == "output":
        (tmp_path / "out.txt").write_text("touched")
    elif change == "missing output":
        (tmp_path / "out.txt").unlink()
    else:
        (tmp_path / "steps" / "copy.json").write_text("{")
    record = perform(counting.step(), tmp_path, print)
    assert counting.times == 2
    assert record.summary == f"wrote {counting.value}"


def test_a_step_that_breaks_leaves_no_record(tmp_path: Path) -> None:
    counting = Counting(tmp_path)
    perform(counting.step(), tmp_path, print)
    counting.value = "b"

    def broken() -> str:
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError):
        perform(Step("copy", lambda: {"value": "b"}, lambda: [tmp_path / "out.txt"], broken), tmp_path, print)
    assert not (tmp_path / "steps" / "copy.json").exists(), "a stale output would be served"
    perform(counting.step(), tmp_path, print)
    assert counting.times == 2
