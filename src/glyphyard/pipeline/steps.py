"""Recipe → dataset → stages → bundle → scorecard → verdict → release → report, each step recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from glyphyard.cluster.environment import set_defaults
from glyphyard.core.errors import BadInput, ExitCode
from glyphyard.core.files import read_json, write_json
from glyphyard.core.records import BundleRecord, DatasetManifest, Scorecard, Verdict
from glyphyard.pipeline.launch import launcher
from glyphyard.pipeline.live import followed
from glyphyard.pipeline.origin import begin, check_files, check_parent, parent_of, weights_of
from glyphyard.pipeline.plan import STEPS, small_splits
from glyphyard.pipeline.run import Run
from glyphyard.pipeline.step import Step, perform
from glyphyard.recipe.recipe import Recipe, without_places
from glyphyard.recipe.stage import StageConfig
from glyphyard.training.job import BEST, CHECKPOINT, LAST, StageJob

TOLD_SHARES = 5  # how often a long preparation says where it is


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    run: Path
    verdict: Verdict
    exit_code: ExitCode


def execute(run: Run, until: str | None = None, only_stage: str | None = None) -> Outcome | None:
    """Do every step that is not done yet, in order; `until` names the last one (None: all of them)."""
    set_defaults()
    with run.resources:
        for step in steps_of(run, until, only_stage):
            perform(step, run.folder, run.say)
            if step.name == until:
                return None
    from glyphyard.evaluation.gate import exit_code

    verdict = Verdict.read(run.folder / "verdict.json")
    return Outcome(run.folder, verdict, exit_code(verdict))


def check_steps(recipe: Recipe, until: str | None, only_stage: str | None) -> None:
    """Raise `BadInput` where a run has no such step or stage."""
    stages = [stage.name for stage in recipe.stages]
    if only_stage is not None and only_stage not in stages:
        raise BadInput(f"--stage {only_stage}", "no such stage", f"the recipe has {', '.join(stages)}")
    names = STEPS.format(stages=", ".join(f"train-{name}" for name in stages if only_stage in (None, name))).split(", ")
    if until is not None and until not in names:
        raise BadInput(f"--until {until}", "no such step", f"this run has {', '.join(names)}")


def steps_of(run: Run, until: str | None = None, only_stage: str | None = None) -> list[Step]:
    """Return the run's steps in order; those after `until` are there, too."""
    check_steps(run.recipe, until, only_stage)
    stages = [i for i, stage in enumerate(run.recipe.stages) if only_stage in (None, stage.name)]
    last = next((n for n, i in enumerate(stages) if until == f"train-{run.recipe.stages[i].name}"), len(stages) - 1)
    trained = [run.recipe.stages[i] for i in stages[: last + 1]] if until != "prepare" else []
    if only_stage is not None:
        _check_reach(run, until, only_stage)
    if trained:
        check_parent(run, stages[0])  # the others' are made on the way
        check_files(run, stages[: last + 1])
    return [
        prepare_step(run, trained),
        *(train_step(run, i) for i in stages),
        export_step(run),
        evaluate_step(run),
        gate_step(run),
        register_step(run),
        report_step(run),
    ]


def _check_reach(run: Run, until: str | None, only_stage: str) -> None:
    """Refuse a step that needs the last stage, where that is not the one to be trained and was not trained before."""
    last = run.recipe.stages[-1].name
    if until == "prepare" or str(until).startswith("train-") or only_stage == last:
        return
    if not (run.stage_dir(len(run.recipe.stages) - 1) / CHECKPOINT).is_file():
        told = f"--until {until}" if until else f"--stage {only_stage}"
        raise BadInput(
            told, f"needs stage {last}, which --stage {only_stage} does not train", f"say --stage {last}, or leave --stage out"
        )


def prepare_step(run: Run, trained: Sequence[StageConfig] = ()) -> Step:
    """Recipe → DatasetManifest; for the stages that are `trained` afterwards there has to be room: workers, and rows to mine."""
    from glyphyard.data.catalogue import preparer_of

    recipe, preparer = run.recipe, preparer_of(run.recipe.task)
    capacity = recipe.model.capacity(recipe.dataset.image.width)

    def work() -> str:
        run.connect()
        if trained and run.launch is None:
            run.check_room()
        folder = preparer.prepare(
            recipe.dataset,
            capacity,
            run.store,
            need=("train", "validation", run.suite.split),
            in_process=recipe.runtime.launcher == "in_process",
            say=run.say,
            progress=_telling(run.say),
        )
        if any(stage.hard_mining for stage in trained):
            from glyphyard.training.ingest import check_mining

            check_mining(recipe, folder, trained)
        write_json(run.folder / "dataset.json", {"folder": f"../{folder.relative_to(run.store)}"})
        manifest = DatasetManifest.read(folder / "manifest.json")
        rows = ", ".join(f"{split} {record.rows}" for split, record in manifest.splits.items())
        line = f"prepare: {rows} rows; {manifest.bad_rows} bad; dataset {manifest.fingerprint}"
        run.say(line)
        for told in small_splits(trained, manifest.splits["train"].rows):
            run.say(f"WARNING {told}")
        return line

    return Step(
        "prepare",
        lambda: {"dataset": preparer.identify(recipe.dataset, capacity, run.store)},
        lambda: [run.folder / "dataset.json"],
        work,
    )


def _telling(say: Callable[[str], None]) -> Callable[[int, int], None]:
    told = 0

    def progress(done: int, total: int) -> None:
        nonlocal told
        if (share := done * TOLD_SHARES // max(1, total)) > told:
            told = share
            say(f"prepare: {done:,} of {total:,} rows")

    return progress


def train_step(run: Run, index: int) -> Step:
    """DatasetManifest (+ the parent's checkpoint) → Checkpoint."""
    stage, stage_dir = run.recipe.stages[index], run.stage_dir(index)

    def inputs() -> dict[str, object]:
        check_parent(run, index)
        recipe = without_places(run.recipe.to_json())
        sliced = {k: recipe[k] for k in ("task", "seed", "dataset", "model", "augmentation")}
        return (
            sliced | {"stage": recipe["stages"][index], "dataset_fingerprint": run.manifest.fingerprint} | weights_of(run, index)
        )

    def work() -> str:
        begin(run, index)
        job = StageJob(run.recipe, index, run.dataset, stage_dir, parent_of(run, index))
        if run.launch is not None:
            record = run.launch(job)
        else:
            run.connect()
            run.check_room()
            run.say(f"train: stage {stage.name}" + (" (resuming)" if (stage_dir / LAST).is_file() else ""))
            with followed(stage_dir, run.console):
                record = launcher(run.recipe)(job)
        record.write(stage_dir / CHECKPOINT)
        best = ", ".join(f"{k} {v:.4f}" for k, v in record.metrics.items() if v is not None)
        line = f"train: stage {stage.name} {record.stopped} after {record.seconds:.0f} s; {record.chosen}: {best}"
        run.say(line)
        return line

    return Step(f"train-{stage.name}", inputs, lambda: [stage_dir / BEST, stage_dir / CHECKPOINT], work)


def export_step(run: Run) -> Step:
    """Checkpoint → Bundle."""
    last = len(run.recipe.stages) - 1

    def work() -> str:
        from glyphyard.export.catalogue import exporter_of

        run.resources.close()  # the cluster's processors are free for what follows
        record = exporter_of(run.recipe.task)(run.recipe, run.stage_dir(last) / BEST, run.dataset, run.bundle, run.say)
        record.write(run.folder / "steps" / "bundle.json")
        line = f"export: opset {record.opset}, {record.strings_compared} readings equal to torch's, difference ≤ {record.max_abs_difference:.1e}"
        run.say(line)
        return line

    def inputs() -> dict[str, object]:
        return {
            "checkpoint": run.checkpoint(last).sha256,
            "export": run.recipe.export.model_dump(mode="json"),
            "dataset": run.manifest.fingerprint,
        }

    return Step("export", inputs, lambda: sorted(p for p in run.bundle.rglob("*") if p.is_file()), work)


def evaluate_step(run: Run) -> Step:
    """Bundle → Scorecard."""

    def work() -> str:
        from glyphyard.evaluation.catalogue import evaluation_of, told
        from glyphyard.evaluation.held_out import manifest_path

        evaluate, how = run.recipe.evaluate, evaluation_of(run.recipe.task)
        card = how.measure(
            run.bundle,
            run.dataset,
            run.suite,
            run.folder,
            batch_size=evaluate.batch_size,
            threads=evaluate.threads,
            say=run.say,
            known=manifest_path(evaluate.suite),
        )
        line = f"evaluate: {told(card, how.headline)} on {card.samples} {card.split} {run.suite.unit}"
        run.say(line)
        return line

    def inputs() -> dict[str, object]:
        bundle = BundleRecord.read(run.folder / "steps" / "bundle.json")
        return {"bundle": bundle.files, "suite": run.suite.model_dump(mode="json"), "dataset": run.manifest.fingerprint}

    def outputs() -> list[Path]:
        from glyphyard.evaluation.catalogue import evaluation_of

        return [run.folder / name for name in evaluation_of(run.recipe.task).outputs]

    return Step("evaluate", inputs, outputs, work)


def gate_step(run: Run) -> Step:
    """Scorecard → Verdict."""

    def work() -> str:
        from glyphyard.evaluation.conclude import conclude

        card, baseline = Scorecard.read(run.folder / "scorecard.json"), run.recipe.evaluate.baseline
        verdict = conclude(card, run.suite, run.folder, str(baseline) if baseline else None)
        for finding in verdict.findings:
            run.say(f"  {finding.outcome}: {finding.message}")
        line = f"gate: {verdict.outcome}"
        run.say(line)
        return line

    def inputs() -> dict[str, object]:
        found = {"scorecard": read_json(run.folder / "scorecard.json"), "suite": run.suite.model_dump(mode="json")}
        if run.recipe.evaluate.baseline:
            found["baseline"] = read_json(run.recipe.evaluate.baseline)
        return found

    return Step("gate", inputs, lambda: [run.folder / name for name in ("verdict.json", "verdict.md", "junit.xml")], work)


def register_step(run: Run) -> Step:
    """Verdict → Release; only a PASS becomes a model version, and a dead server stops nothing."""

    def work() -> str:
        from glyphyard.registry import register

        release = register(run.folder, run.recipe, Verdict.read(run.folder / "verdict.json"), run.store, run.say)
        release.write(run.folder / "release.json")
        line = f"register: {release.message}"
        run.say(line)
        return line

    def inputs() -> dict[str, object]:
        return {"verdict": read_json(run.folder / "verdict.json"), "register": run.recipe.registration.model_dump(mode="json")}

    return Step("register", inputs, lambda: [run.folder / "release.json"], work)


def report_step(run: Run) -> Step:
    """Everything so far, the release too → report.html; MLflow gets a copy."""

    def work() -> str:
        from glyphyard.registry import attach_report
        from glyphyard.report import write_report

        line = f"report: {write_report(run.folder)}"
        attach_report(run.folder, run.recipe, run.store)
        run.say(line)
        return line

    def inputs() -> dict[str, object]:
        return {name: read_json(run.folder / f"{name}.json") for name in ("verdict", "release")}

    return Step("report", inputs, lambda: [run.folder / "report.html"], work)
