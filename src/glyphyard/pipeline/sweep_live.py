"""What a person sees of a running sweep: a live table on a terminal, a line for each ended trial everywhere."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from glyphyard.pipeline.clock import SEARCH
from glyphyard.pipeline.live import _duration
from glyphyard.pipeline.sweep_trials import Running, SweepTrials, told_values

REFRESH_S = 0.5
MOST_ROWS = 12


@contextmanager
def shown(trials: SweepTrials, console: Console) -> Iterator[None]:
    """Show running trials, the best so far and what is left of the budget while the block runs (on a terminal)."""
    if not console.is_terminal:
        yield
        return
    stop = threading.Event()
    counts = _counts(trials)  # the study's database belongs to the main thread: counted there, once, then by what ends
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        says = trials.say
        trials.say = lambda line: live.console.print(line, highlight=False, soft_wrap=True, markup=False)
        follower = threading.Thread(target=_follow, args=(trials, counts, live, stop), daemon=True)
        follower.start()
        try:
            yield
        finally:
            stop.set()
            follower.join(timeout=5)
            trials.say = says


def _counts(trials: SweepTrials) -> int:
    return sum(t.state != "running" for t in trials.study.table())


def _follow(trials: SweepTrials, before: int, live: Live, stop: threading.Event) -> None:
    while not stop.wait(REFRESH_S):
        live.update(view(trials, before + trials.ended_here))


def view(trials: SweepTrials, ended: int) -> Group:
    """Return the picture of a moment."""
    table = Table(box=None, padding=(0, 1), show_header=True, header_style="dim")
    for name in ("trial", "epoch", trials.config.objective.metric, "for", "values"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    running = list(trials.running.values())
    for one in running[:MOST_ROWS]:
        table.add_row(*_row(one))
    if len(running) > MOST_ROWS:
        table.add_row(f"+{len(running) - MOST_ROWS}", "", "", "", "")
    return Group(Text(headline(trials, ended), style="bold"), table)


def headline(trials: SweepTrials, ended: int) -> str:
    """Return the best so far and what is left of the budget, in one line."""
    config, best = trials.config, trials.best
    parts = [f"  {'search' if trials.searching or trials.numbers else 'confirm'}: {ended} ended, {len(trials.running)} running"]
    parts.append(f"best {config.objective.metric} {best.value:.4f} (t{best.number:04d})" if best else "no best yet")
    if trials.searching and config.budget.trials:
        parts.append(f"{max(0, config.budget.trials - ended - len(trials.running))} of {config.budget.trials} trials left")
    if trials.searching and config.budget.hours:
        parts.append(f"{_duration(max(0.0, config.budget.hours * 3600 - trials.clock.spent_s(SEARCH)))} left")
    return " · ".join(parts)


def _row(one: Running) -> tuple[str, str, str, str, str]:
    progress = _progress(one.folder)
    epoch = f"{progress.get('epoch', one.epoch or '–')}/{progress.get('epochs', '–')}"
    value = "–" if one.value is None else f"{one.value:.4f}"
    return one.name, epoch, value, _duration(time.time() - one.since), told_values(one.values)


def _progress(folder: Path) -> dict[str, Any]:
    stages = sorted((folder / "stages").glob("*/progress.json"), key=lambda p: p.parent.name)
    try:
        return dict(json.loads(stages[-1].read_text())) if stages else {}
    except (OSError, ValueError):  # not there yet
        return {}
