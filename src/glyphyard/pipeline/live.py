"""What a person sees while a stage trains: a live bar on a terminal, plain lines elsewhere; the files are the source."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

SAID = "said.txt"  # written by training.watch, which brings torch
POLL_S = 0.5
BAR_CHARACTERS = 24
# Metrics in the bar and in an epoch's line: key, name, format; a task has some of them.
SHOWN = (
    ("cer", "CER", ".{}%"),
    ("exact_match", "exact match", ".{}%"),
    ("psnr", "PSNR", ".{}f"),
    ("char_acc", "characters", ".{}%"),
    ("word_acc", "words", ".{}%"),
    ("map50", "mAP@0.5", ".{}%"),
    ("map", "mAP@0.5:0.95", ".{}%"),
    ("mask_map50", "masks mAP@0.5", ".{}%"),
    ("mask_map", "masks mAP@0.5:0.95", ".{}%"),
)


@contextmanager
def followed(stage_dir: Path, console: Console) -> Iterator[None]:
    """Show the stage's progress while the block runs, wherever the workers are: they write, this reads."""
    stop = threading.Event()
    follower = threading.Thread(target=_follow, args=(stage_dir, console, stop), daemon=True)
    follower.start()
    try:
        yield
    finally:
        stop.set()
        follower.join(timeout=5)


def _follow(stage_dir: Path, console: Console, stop: threading.Event) -> None:
    seen = _Seen(_epochs(stage_dir), len(_said(stage_dir)))  # a resumed run does not print its past again
    if not console.is_terminal:
        while not stop.wait(POLL_S):
            seen = _print_new(stage_dir, console, seen)
        _print_new(stage_dir, console, seen)
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while not stop.wait(POLL_S):
            seen = _print_new(stage_dir, live.console, seen)
            live.update(_bar(_progress(stage_dir)))
    _print_new(stage_dir, console, seen)


class _Seen(NamedTuple):
    """Which epochs and how many remarks have been printed."""

    epochs: list[dict[str, Any]]
    said: int


def _print_new(stage_dir: Path, console: Console, seen: _Seen) -> _Seen:
    epochs, said = _epochs(stage_dir), _said(stage_dir)
    for remark in said[seen.said :]:
        console.print(f"  {stage_dir.name}: {remark}", highlight=False, soft_wrap=True, markup=False)
    # Not by their number: a stage may begin anew, and its first epochs are others then.
    known = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(seen.epochs, epochs, strict=False)))
    for line in epochs[known:]:
        console.print(_epoch_line(stage_dir.name, line), highlight=False, soft_wrap=True)
    return _Seen(epochs or seen.epochs, max(seen.said, len(said)))


def _said(stage_dir: Path) -> list[str]:
    try:
        text = (stage_dir / SAID).read_text(encoding="utf-8")
    except OSError:
        return []
    return [line.rstrip("\n") for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _epoch_line(stage: str, line: dict[str, Any]) -> str:
    return (
        f"  {stage} epoch {line.get('epoch')}: loss {_number(line.get('train_loss'), '.4f')}"
        f" · val loss {_number(line.get('val_loss'), '.4f')}"
        f" · {_metrics(line, 2)}"
        f" · {_number(line.get('crops_per_s'), '.0f')} crops/s"
        + (f" · went back {line['went_back']}" if line.get("went_back") else "")
    )


def _bar(progress: dict[str, Any]) -> Table | Text:
    if not progress:
        return Text("  starting the workers …", style="dim")
    done, total = progress.get("step", 0), max(1, progress.get("steps", 1))
    filled = int(BAR_CHARACTERS * done / total)
    row = Table.grid(padding=(0, 1))
    row.add_row(
        f"  epoch {progress.get('epoch')}/{progress.get('epochs')}",
        Text("━" * filled, style="cyan") + Text("━" * (BAR_CHARACTERS - filled), style="bright_black"),
        f"{done}/{total}",
        f"loss {_number(progress.get('loss'), '.3f')}",
        _metrics(progress.get("metrics") or {}, 1),
        f"{_number(progress.get('crops_per_s'), '.0f')} crops/s",
        f"{_duration(progress.get('eta_s'))} left",
    )
    return row


def _metrics(known: dict[str, Any], digits: int) -> str:
    """Say the metrics that a person wants to see, those of them that the task measures and that this validation has."""
    there = [(key, name, form) for key, name, form in SHOWN if key in known]
    told = [f"{name} {_number(known[key], form.format(digits))}" for key, name, form in there if known[key] is not None]
    return " · ".join(told) if told or not there else "not validated"


def _progress(stage_dir: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((stage_dir / "progress.json").read_text()))
    except (OSError, ValueError):  # not there yet
        return {}


def _epochs(stage_dir: Path) -> list[dict[str, Any]]:
    try:
        text = (stage_dir / "metrics.jsonl").read_text()
    except OSError:
        return []
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
