"""The command line as a user meets it: help everywhere, one line for an error, exit codes that CI can use."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import click
import pytest

from glyphyard.cli.main import VERBS, glyphyard
from glyphyard.cli.main import main as run_main
from glyphyard.core.files import atomic_path
from glyphyard.pipeline.store import new_run
from glyphyard.recipe.load import load_recipe

ROOT = Path(__file__).parents[2]
TINY = str(ROOT / "recipes" / "tiny" / "florida_crnn.yaml")


def main(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        run_main(list(arguments))
    captured = capsys.readouterr()
    return int(stopped.value.code or 0), captured.out, captured.err


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_has_help_with_an_example(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    command = glyphyard.get_command(click.Context(glyphyard), verb)
    assert command is not None
    names = [[verb]] if not isinstance(command, click.Group) else [[verb, name] for name in command.commands]
    for name in names:
        code, out, _ = main(capsys, *name, "--help")
        assert code == 0
        assert f"Example: glyphyard {' '.join(name)}" in " ".join(out.split())


def test_a_mistake_is_one_line_and_exit_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: x\nsede: 3\n")
    code, out, err = main(capsys, "plan", str(recipe))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert f"{recipe}:2:1" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "a.yaml", "--resume", "b"],
        ["run", "--resume", "b", "--set", "seed=2"],
        ["nothing"],
        ["plan", "--no-such-option", "x"],
    ],
)
def test_wrong_usage_is_exit_2(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    code, _, err = main(capsys, *arguments)
    assert code == 2
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "wrong",
    [
        ["--stage", "nope"],
        ["--until", "nope"],
        ["--stage", "main", "--until", "train-other"],
        ["--set", "dataset.alphabet=ABCC"],
        ["--set", "dataset.alphabet=''"],
    ],
)
def test_a_run_that_cannot_be_leaves_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path, wrong: list[str]) -> None:
    code, out, err = main(capsys, "run", TINY, *wrong, "--store", str(tmp_path / "store"))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("error", [RuntimeError("oops"), OSError(5, "Input/output error")])
def test_what_nobody_foresaw_is_no_failed_gate(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(ctx: click.Context) -> None:
        raise error

    monkeypatch.setattr(glyphyard, "invoke", broken)
    code, _, err = main(capsys, "schema")
    assert code == 4
    assert "Traceback" in err


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EFBIG, errno.EROFS])
def test_a_disk_that_takes_no_more_is_one_line_wherever_it_happens(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int
) -> None:
    def broken(ctx: click.Context) -> None:
        with atomic_path(tmp_path / "asked.csv"):
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(glyphyard, "invoke", broken)
    status, _, err = main(capsys, "schema")
    assert (status, err.count("\n")) == (2, 1)
    assert str(tmp_path / "asked.csv") in err
    assert not list(tmp_path.iterdir())


def test_resuming_what_is_not_there_is_exit_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = main(capsys, "run", "--resume", "nothing", "--store", str(tmp_path))
    assert code == 2
    assert "no such run" in err


def test_a_plan_for_a_machine_holds_recipe_and_plan(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = main(capsys, "plan", TINY, "--json", "--store", str(tmp_path))
    value = json.loads(out)
    assert code == 0
    assert value["recipe"]["name"] == value["plan"]["recipe"] == "tiny_florida_crnn"
    assert value["plan"]["steps"][0] == "prepare"
    stage = value["plan"]["stages"][0]
    assert stage["steps"] == stage["epochs"] * stage["steps_per_epoch"]


def test_planning_imports_neither_torch_nor_ray() -> None:
    code = (
        "import sys\nfrom glyphyard.cli.main import main\n"
        f"try:\n    main(['plan', {TINY!r}])\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "print('LOADED', [m for m in ('torch', 'ray', 'mlflow', 'pandas', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip().endswith("LOADED []")


def test_a_run_that_stops_on_the_way_ends_with_its_json_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    few = ["--set", "dataset.sources.synthetic.count=60", "--set", "runtime.launcher=in_process"]
    code, out, _ = main(capsys, "run", TINY, *few, "--until", "prepare", "--store", str(tmp_path), "--json")
    (run,) = tmp_path.glob("tiny_florida_crnn-*")
    assert code == 0
    assert json.loads(out) == {"run": str(run), "outcome": None, "exit_code": 0, "report": None}


def test_a_stage_that_is_not_trained_yet_is_not_exported(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = new_run(load_recipe(ROOT / "recipes" / "tiny" / "lpsr_progressive.yaml"), tmp_path)
    export = ("export", run.name, "--store", str(tmp_path), "--out", str(tmp_path / "out"))
    code, _, err = main(capsys, *export)
    assert (code, err.count("\n")) == (2, 1)
    assert f"--resume {run.name}" in err
    assert "--stage" not in err
    for stage in ("0-pretrain", "1-warmup"):
        (run / "stages" / stage).mkdir(parents=True)
        (run / "stages" / stage / "best.pt").touch()
    code, _, err = main(capsys, *export)
    assert (code, err.count("\n")) == (2, 1)
    assert "--stage pretrain or warmup" in err
    assert "stage lcofl" in main(capsys, *export, "--stage", "lcofl")[2]
    assert not (tmp_path / "out").exists()


def test_a_plan_tells_too_few_crops_before_training(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"crop{i}.jpg\tABC{i:03d}\n" for i in range(57)))
    for i in range(57):
        (tmp_path / f"crop{i}.jpg").write_bytes(b"")
    code, out, _ = main(
        capsys, "plan", str(ROOT / "recipes" / "florida_crnn.yaml"), "--labels", str(labels), "--store", str(tmp_path)
    )
    assert code == 0
    assert "INSUFFICIENT_DATA" in out


def test_an_audit_that_refuses_the_data_still_lists_every_bad_row(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"gone{i}.jpg\tABC{i:03d}\n" for i in range(13)))
    asked = ["audit", TINY, "--labels", str(labels), "--store", str(tmp_path / "store")]
    code, out, err = main(capsys, *asked, "--json")
    assert code == 2
    listed = json.loads(out)
    assert [(f["kind"], f["line"]) for f in listed["findings"]] == [("missing_image", line) for line in range(1, 14)]
    (report,) = (tmp_path / "store").glob("audits/*/audit.json")
    assert json.loads(report.read_text()) == listed
    assert str(report) in err.splitlines()[-1]
    code, out, err = main(capsys, *asked)
    assert (code, err.count("\n")) == (2, 1)
    assert all(f"{labels}:{line}: missing_image" in out for line in range(1, 14))


def test_more_than_the_cluster_has_is_refused_before_anything_is_prepared(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glyphyard.cluster.session.connected", lambda say: nullcontext())
    monkeypatch.setattr("glyphyard.cluster.session.free_resources", lambda: {"CPU": 4.0})
    for asked in ("runtime.cpus_per_worker=4096", "runtime.gpus_per_worker=8"):
        code, _, err = main(capsys, "run", TINY, "--set", asked, "--store", str(tmp_path))
        assert (code, err.count("\n")) == (2, 1)
        assert "against a cluster of" in err
        assert not list(tmp_path.glob("datasets/*"))


def test_a_gpu_that_is_not_there_is_refused_before_anything_is_prepared(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    here = ["--set", "runtime.launcher=in_process", "--set", "runtime.gpus_per_worker=1", "--store", str(tmp_path)]
    code, _, err = main(capsys, "run", TINY, *here)
    assert (code, err.count("\n")) == (2, 1)
    assert "runtime.gpus_per_worker" in err
    assert not list(tmp_path.glob("datasets/*"))
    assert main(capsys, "run", TINY, *here, "--set", "dataset.sources.synthetic.count=60", "--until", "prepare")[0] == 0


@pytest.mark.parametrize(
    ("asked", "alone", "with_a_cluster"),
    [
        (["runtime.cpus_per_worker=4096"], 2, 0),
        (["runtime.gpus_per_worker=8"], 2, 0),
        (["runtime.gpus_per_worker=1", "runtime.launcher=in_process"], 2, 0),
        (["runtime.cpus_per_worker=4096", "runtime.launcher=in_process"], 0, 0),
    ],
)
def test_a_plan_that_asks_for_more_than_this_machine_has_is_exit_2(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: list[str],
    alone: int,
    with_a_cluster: int,
) -> None:
    monkeypatch.setattr("glyphyard.pipeline.plan._gpus", lambda: 0)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    arguments = ["plan", TINY, *(word for value in asked for word in ("--set", value)), "--store", str(tmp_path)]
    assert main(capsys, *arguments)[0] == alone
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert main(capsys, *arguments)[0] == with_a_cluster


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = main(capsys, "schema")
    assert code == 0
    assert json.loads(out)["additionalProperties"] is False


def test_recipes_are_listed_with_what_they_are_for(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = main(capsys, "recipes", str(ROOT / "recipes"), "--json")
    assert code == 0
    assert {"florida_crnn", "us_plates", "tiny_florida_crnn"} <= {entry["name"] for entry in json.loads(out)}


def test_jobs_are_doors_to_the_same_verbs() -> None:
    for job in sorted((ROOT / "jobs").glob("*.py")):
        done = subprocess.run([sys.executable, str(job), "--help"], capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        assert f"glyphyard {job.stem}" in " ".join(done.stdout.split())
