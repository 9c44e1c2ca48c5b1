"""The sweep's page: whole, alone, and true to what its folder says, also where little or nothing was trained."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from little_disk import little_disk

from glyphyard.core.errors import BadInput
from glyphyard.core.files import write_json, write_text
from glyphyard.recipe.sweep_load import load_sweep
from glyphyard.report.svg import percent
from glyphyard.report.sweep import sweep_context, write_sweep_report
from glyphyard.report.sweep_charts import TrialLine, curves_chart, history_chart, parallel_chart, slice_chart

SWEEP = Path(__file__).parents[2] / "recipes" / "sweeps" / "florida_crnn.yaml"
TIME = {
    "wall_s": 300.0,
    "training_s": 255.0,
    "training_share": 0.85,
    "slots": 2,
    "slots_busy_share": 0.8,
    "trial_s": 400.0,
    "rest_s": {"starting Ray": 6.0, "between epochs and trials": 39.0},
}


def row(name: str, state: str, value: float | None, curve: list[list[float]], **values: Any) -> dict[str, Any]:
    reason = {"stopped": "ASHA after epoch 1", "failed": "the loss became <NaN>"}.get(state, "")
    return {"name": name, "state": state, "values": values, "value": value, "curve": curve, "reason": reason, "seconds": 12.5}


TRIALS = [
    row("t0000", "complete", 0.31, [[1, 0.9], [2, 0.31]], **{"stages.main.lr": 0.002, "stages.main.optimizer.name": "adamw"}),
    row("t0001", "stopped", None, [[1, 0.95]], **{"stages.main.lr": 0.009, "stages.main.optimizer.name": "sgd"}),
    row("t0002", "complete", 0.12, [[1, 0.5], [2, 0.12]], **{"stages.main.lr": 0.004, "stages.main.optimizer.name": "adamw"}),
    row("t0003", "failed", None, [], **{"stages.main.lr": 0.0099, "stages.main.optimizer.name": "sgd"}),
]


def contender(name: str, scores: list[float], beats: bool = False) -> dict[str, Any]:
    mean = sum(scores) / len(scores) if scores else None
    return {
        "name": name,
        "values": {},
        "seeds": list(range(8, 8 + len(scores))),
        "scores": scores,
        "mean": mean,
        "p_value": 0.01 if beats else None,
        "beats_base": beats,
        "note": "",
    }


def sweep_folder(folder: Path, trials: list[dict[str, Any]], outcome: str, candidates: list[dict[str, Any]]) -> Path:
    write_json(folder / "sweep.json", load_sweep(SWEEP).to_json())
    importances = {"stages.main.lr": 0.75, "stages.main.optimizer.name": 0.25} if trials else {}
    winner = {"run": "florida_crnn-1", "gate": "PASS"} if outcome == "winner" else None
    write_json(folder / "trials.json", {"trials": trials, "importances": importances, "time": TIME, "winner": winner})
    decision = {
        "outcome": outcome,
        "winner": candidates[0]["name"] if winner else None,
        "metric": "cer",
        "direction": "minimize",
        "noise": 0.01,
        "base": contender("base", [0.3, 0.31, 0.32]),
        "candidates": candidates,
        "message": f"what the <sweep> found: {outcome}",
    }
    write_json(folder / "decision.json", decision)
    write_text(folder / "best_recipe.yaml", "register: {tracking_uri: https://me:secret@example.org}\n")
    return folder


@pytest.fixture
def won(tmp_path: Path) -> str:
    """The page of a sweep with a winner."""
    folder = sweep_folder(tmp_path, TRIALS, "winner", [contender("t0002", [0.11, 0.12, 0.13], beats=True)])
    return write_sweep_report(folder).read_text()


def test_the_page_stands_alone(won: str) -> None:
    assert "<script" not in won
    assert not re.search(r"(?:src|href)=\"(?!#|data:)", won)
    assert "default-src 'none'" in won
    for svg in re.findall(r"<svg.*?</svg>", won, re.S):
        ElementTree.fromstring(svg)
    assert "nan" not in "".join(re.findall(r"<svg.*?</svg>", won, re.S)).lower()


def test_everything_that_came_from_outside_is_escaped_and_no_password_is_shown(won: str) -> None:
    assert "the loss became &lt;NaN&gt;" in won
    assert "<sweep>" not in won
    assert "secret" not in won


def test_the_page_has_the_decision_every_trial_and_the_cost(won: str) -> None:
    assert "WINNER" in won
    assert "gate PASS" in won
    assert all(t["name"] in won for t in TRIALS)
    assert "ASHA after epoch 1" in won
    assert "85%" in won
    assert percent(0.12) in won
    assert won.index("t0002</td>") < won.index("t0000</td>") < won.index("t0003</td>"), "the best first, failures last"


def test_every_field_of_the_space_is_drawn_where_it_was_varied(tmp_path: Path) -> None:
    context = sweep_context(sweep_folder(tmp_path, TRIALS, "inside_the_noise", [contender("t0002", [0.3, 0.3])]))
    assert [s["path"] for s in context["slices"]] == ["stages.main.lr", "stages.main.optimizer.name"]
    assert context["confirmed"][1]["verdict"] == "inside the noise"
    assert context["winner"] is None


def test_a_sweep_without_a_single_epoch_has_a_page_too(tmp_path: Path) -> None:
    page = write_sweep_report(sweep_folder(tmp_path, [], "no_candidate", [])).read_text()
    assert "NO CANDIDATE" in page
    assert "No trial has a value" in page


def line(name: str, state: str, values: dict[str, Any], *points: tuple[float, float]) -> TrialLine:
    return TrialLine(name, state, values, points[-1][1] if state == "complete" and points else None, list(points))


def test_charts_draw_one_line_a_trial_and_survive_a_single_one() -> None:
    some = [
        line("t0", "complete", {"a": 0.1, "b": "x"}, (1, 0.9), (2, 0.5)),
        line("t1", "stopped", {"a": 0.2, "b": "y"}, (1, 0.8)),
        line("t2", "failed", {"a": 0.3, "b": "x"}),
        line("t3", "complete", {"a": 0.4}, (1, 0.7), (2, 0.6)),
    ]
    for trials, count in ((some, 3), (some[:1], 1)):
        for chart in (
            history_chart(trials, True, percent, 0.55),
            curves_chart(trials, percent, [1]),
            parallel_chart(trials, ["a", "b"], {"a"}, "cer", True, percent),
            slice_chart(trials, "a", True, percent),
        ):
            tree = ElementTree.fromstring(chart)
            assert len({t.text.partition(":")[0] for t in tree.iter("title") if t.text}) == count
    assert not slice_chart(some, "c", False, percent)
    assert not history_chart([some[2]], True, percent, None)


def test_a_full_disk_is_one_line_and_leaves_no_page(tmp_path: Path) -> None:
    folder = sweep_folder(tmp_path, TRIALS, "inside_the_noise", [contender("t0002", [0.3, 0.3])])
    with little_disk(5_000), pytest.raises(BadInput, match="cannot be written") as caught:
        write_sweep_report(folder)
    assert caught.value.where == str(folder / "report.html")
    assert not list(folder.glob("*report*"))
