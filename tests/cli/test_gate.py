"""The gate as CI meets it: files, exit codes, baselines that only move when somebody says why."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest
from handmade import Row, drawn, png, write_bundle, write_dataset

from glyphyard.cli.main import main as run_main
from glyphyard.core.records import Scorecard, Verdict
from glyphyard.evaluation.baseline import Baseline

Cli = Callable[..., tuple[int, str, str]]
FLORIDA = str(Path(__file__).parents[2] / "evals" / "suites" / "florida_plates.yaml")
SUITE = "name: little\nthresholds: [{metric: exact_match, above: 0.85}]\nmin_samples: 50\nbootstrap: 200\n"


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "little.yaml").write_text(SUITE)

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            run_main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(stopped.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundles") / "striped")


def plates(folder: Path, count: int, misread: int = 0) -> Path:
    rows = [Row(f"A{i:03d}", shown=f"B{i:03d}" if i < misread else None) for i in range(count)]
    return write_dataset(folder, rows)


@pytest.mark.parametrize(("count", "misread", "status"), [(120, 2, 0), (120, 40, 1), (40, 0, 3), (60, 7, 3)])
def test_the_exit_status_is_the_verdict(cli: Cli, bundle: Path, tmp_path: Path, count: int, misread: int, status: int) -> None:
    dataset = plates(tmp_path / "set", count, misread)
    code, out, _ = cli("evaluate", bundle, "--suite", "little.yaml", "--dataset", dataset, "--out", "scores")
    assert code == status
    files = {path.name for path in (tmp_path / "scores").iterdir()}
    assert files == {"scorecard.json", "samples.parquet", "verdict.json", "junit.xml", "verdict.md"}
    verdict = Verdict.read(tmp_path / "scores" / "verdict.json")
    assert verdict.outcome == {0: "PASS", 1: "FAIL", 3: "INSUFFICIENT_DATA"}[status]
    assert f"gate: {verdict.outcome}" in out
    suite = ET.parse(tmp_path / "scores" / "junit.xml").getroot()[0]
    assert (suite.get("failures"), suite.get("skipped")) == (str(int(status == 1)), str(int(status == 3)))


def test_the_57_crops_of_the_training_guide_cannot_pass(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    dataset = plates(tmp_path / "set", 57)  # all of them read without an error
    code, out, _ = cli("evaluate", bundle, "--suite", FLORIDA, "--dataset", dataset, "--out", "scores")
    assert code == 3
    assert "gate: INSUFFICIENT_DATA" in out
    assert "about 43 more labelled plates would settle it" in out


def test_label_files_judge_readings_made_elsewhere(cli: Cli, tmp_path: Path) -> None:
    lines, predictions = [], []
    for i in range(60):
        (tmp_path / f"{i}.png").write_bytes(png(drawn(f"A{i:03d}")))
        lines.append(f"{i}.png\tA{i:03d}\n")
        predictions.append(json.dumps({"path": f"{i}.png", "text": f"A{i:03d}"}) + "\n")
    (tmp_path / "labels.txt").write_text("".join(lines))
    (tmp_path / "peer.jsonl").write_text("".join(predictions))
    arguments = ("evaluate", "--predictions", "peer.jsonl", "--suite", "little.yaml", "--labels", "labels.txt", "--out", "scores")
    assert cli(*arguments)[0] == 0
    (tmp_path / "peer.jsonl").write_text("".join(predictions[1:]))
    code, _, err = cli(*arguments)
    assert (code, err.count("\n")) == (2, 1)
    assert "1 of 60 held-out crops have no prediction (0.png)" in err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--suite", "little.yaml"], "give a BUNDLE, or --predictions"),
        (["{bundle}", "--suite", "no_such"], "no file"),
        (["{bundle}"], "no suite to judge by"),
        (["{bundle}", "--suite", "little.yaml"], "no held-out set"),
        (["{bundle}", "--suite", "little.yaml", "--dataset", "."], "manifest.json"),
        (["{bundle}", "--suite", "little.yaml", "--dataset", "{dataset}", "--baseline", "no_such"], "baseline no_such"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_read(
    cli: Cli, bundle: Path, tmp_path: Path, arguments: list[str], problem: str
) -> None:
    dataset = plates(tmp_path / "set", 2)
    code, _, err = cli("evaluate", *(a.format(bundle=bundle, dataset=dataset) for a in arguments), "--out", "scores")
    assert code == 2
    assert problem in err
    assert "Traceback" not in err
    assert not (tmp_path / "scores").exists()


def test_a_baseline_moves_only_with_a_reason(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    dataset = plates(tmp_path / "set", 120, 3)
    evaluate = ("evaluate", bundle, "--suite", "little.yaml", "--dataset", dataset)
    assert cli(*evaluate, "--out", "champion")[0] == 0
    path = tmp_path / "evals" / "baselines" / "best.json"
    assert cli("baseline", "update", "best", "--from", "champion", "--yes")[0] == 2
    code, out, err = cli("baseline", "update", "best", "--from", "champion", "--why", "the first")  # nobody to ask
    assert code == 2
    assert "a new baseline of 120 crops" in out
    assert "--yes" in err
    assert not path.exists()
    assert cli("baseline", "update", "best", "--from", "champion", "--why", "the first", "--by", "anna", "--yes")[0] == 0
    [update] = Baseline.read(path).updates
    assert (update.by, update.why, update.from_run) == ("anna", "the first", "champion")
    assert update.when.endswith("+00:00")
    code, out, _ = cli("baseline", "show", "best")
    assert "the first" in out
    code, out, _ = cli("baseline", "show", "best", "--json")
    assert json.loads(out)["updates"][0]["why"] == "the first"
    code, out, _ = cli(*evaluate, "--baseline", "best", "--out", "again")
    assert code == 0
    assert "exact match not worse than best" in out
    assert "Against the baseline" in (tmp_path / "again" / "verdict.md").read_text()


def test_a_frozen_set_is_listed_beside_its_suite(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    dataset = plates(tmp_path / "set", 60)
    code, out, _ = cli("suite", "freeze", "little.yaml", "--dataset", dataset)
    assert code == 0
    [line] = [line for line in out.splitlines() if line.startswith("held_out: ")]
    (tmp_path / "little.yaml").write_text(SUITE + line + "\n")
    assert len((tmp_path / "little.held_out.tsv").read_text().splitlines()) == 60
    assert cli("evaluate", bundle, "--suite", "little.yaml", "--dataset", dataset, "--out", "same")[0] == 0
    other = plates(tmp_path / "other", 61)
    code, _, err = cli("evaluate", bundle, "--suite", "little.yaml", "--dataset", other, "--out", "no")
    assert (code, err.count("\n")) == (2, 1)
    assert "1 came (crops/60.png)" in err
    code, out, _ = cli("suite", "freeze", "little.yaml", "--dataset", other, "--json")
    said = json.loads(out)
    assert (said["stated"], said["held_out"] == said["stated"]) == (line.removeprefix("held_out: "), False)


def test_two_runs_in_one_page_need_two_runs(cli: Cli) -> None:
    code, _, err = cli("report", "diff", "only-one")
    assert code == 2
    assert "RUN_A RUN_B" in err


@pytest.mark.ray
def test_the_result_does_not_depend_on_the_number_of_workers(cli: Cli, bundle: Path, tmp_path: Path, ray_session: None) -> None:
    dataset = plates(tmp_path / "set", 150, 9)
    cards, readings = [], []
    for workers in ((), ("--workers", "1"), ("--workers", "3")):
        out = tmp_path / f"scores{len(cards)}"
        assert cli("evaluate", bundle, "--suite", "little.yaml", "--dataset", dataset, *workers, "--out", out)[0] == 0
        card = Scorecard.read(out / "scorecard.json").to_json()
        assert card.pop("speed")
        cards.append(card)
        readings.append((out / "samples.parquet").read_bytes())
    assert cards[0] == cards[1] == cards[2]
    assert readings[0] == readings[1] == readings[2]
