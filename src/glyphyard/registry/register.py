"""A run becomes an MLflow run and, when its verdict is PASS, a version of a registered model; now or later."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from glyphyard.core.errors import BadInput, GlyphyardError, StepFailed
from glyphyard.core.files import write_json
from glyphyard.core.records import Record, Release, Verdict
from glyphyard.core.redact import redact
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.run import RegisterConfig
from glyphyard.registry.content import RunContent
from glyphyard.registry.tracking import Tracking, connected

T = TypeVar("T")
Say = Callable[[str], None]
BATCH = 100  # parameters and tags; MLflow takes 1000 metrics, but a proxy may not take the request
_DONE = "uploaded"  # tag: everything but the version has arrived


@dataclass(frozen=True)
class PushState(Record):
    """`mlflow.json` of a run folder: what MLflow has of it, or why it has nothing and how to push it later."""

    state: str
    tracking_uri: str
    run_id: str | None
    model_name: str
    version: str | None
    reason: str
    command: str


def register(run_dir: Path, recipe: Recipe, verdict: Verdict | None, store: Path, say: Say = print) -> Release:
    """Log the run and register a PASS; never raises for MLflow's sake: the run folder keeps all, `push` sends it later."""
    config, tracking = recipe.registration, Tracking.of(store, recipe.registration.tracking_uri)
    if not config.enabled:
        release = Release(config.model_name, None, None, tracking.shown, None, "registration is off in the recipe")
        return _keep(run_dir, release, "disabled")
    try:
        return _deliver(RunContent.read(run_dir, verdict), config, tracking, say)
    except Exception as error:  # whatever MLflow, the network, the disk or a driver says: a trained model is worth more
        reason = tracking.explain(error)
        message = f"not registered at {tracking.shown}: {reason}; later: {_command(run_dir)}"
        release = Release(config.model_name, None, None, tracking.shown, None, message)
        return _keep(run_dir, release, "pending", reason)


def push(run_dir: Path, say: Say = print, tracking_uri: str | None = None) -> Release:
    """Send a run to MLflow that is not there yet, or what is missing of it; pushing twice makes no second run or version."""
    content = RunContent.read(run_dir)
    config = RegisterConfig.model_validate(content.recipe.get("register", {}))
    uri = tracking_uri or config.tracking_uri
    if uri and "***" in uri:
        problem = "its recipe.json has no credentials for the tracking server"
        raise BadInput(str(run_dir), problem, "give the address with --tracking-uri")
    tracking = Tracking.of(content.folder.parent, uri)
    try:
        release = _deliver(content, config, tracking, say)
    except GlyphyardError:
        raise
    except Exception as error:  # MLflow raises from requests, sqlalchemy and the file system alike
        # No `from error`: its own text may hold the credentials of the URI.
        raise StepFailed(tracking.shown, tracking.explain(error), f"try again later: {_command(run_dir)}") from None
    say(release.message)
    return release


def attach_report(run_dir: Path, recipe: Recipe, store: Path) -> bool:
    """Add report.html to a run that is in MLflow already (it is written after registration); False where that cannot be done."""
    path = Path(run_dir) / "report.html"
    try:
        state = PushState.read(Path(run_dir) / "mlflow.json")
        if state.run_id is None or not path.is_file():
            return False
        # Not by the address in recipe.json: that one has no credentials.
        with connected(Tracking.of(store, recipe.registration.tracking_uri)) as client:
            client.log_artifact(state.run_id, str(path))
    except Exception:  # the report lies in the run folder; a copy in MLflow is a convenience
        return False
    return True


def _deliver(content: RunContent, config: RegisterConfig, tracking: Tracking, say: Say) -> Release:
    if content.passed:
        content.check_lineage()
    if not tracking.exists:
        say(f"MLflow: making the embedded database {tracking.database} (seconds, once)")
    with connected(tracking) as client:
        say(f"MLflow: sending {content.folder.name} to {tracking.shown}")
        run = _find_run(client, _experiment(client, config.experiment, tracking), content)
        if _DONE not in run.data.tags:
            _upload(client, run, content)
        elif (report := content.folder / "report.html").is_file():
            client.log_artifact(run.info.run_id, str(report))
        if not content.passed:
            outcome = content.verdict.outcome if content.verdict else "no verdict"
            message = f"logged, not registered: the gate says {outcome}"
            release = Release(config.model_name, None, None, tracking.shown, run.info.run_id, message)
        else:
            release = _version(client, run, content, config, tracking)
    return _keep(content.folder, release, "pushed")


def _experiment(client: Any, name: str, tracking: Tracking) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=tracking.artifacts))
        except MlflowException:
            found = client.get_experiment_by_name(name)  # another run was faster
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        remedy = "restore it, or name another under register.experiment"
        raise BadInput(tracking.shown, f"the experiment {name!r} is deleted there", remedy)
    return str(found.experiment_id)


def _find_run(client: Any, experiment: str, content: RunContent) -> Any:
    wanted = " and ".join(f"tags.{name} = '{value}'" for name, value in content.identity.items())
    found = client.search_runs([experiment], wanted, max_results=1)
    return found[0] if found else client.create_run(experiment, run_name=content.folder.name, tags=content.identity)


def _upload(client: Any, run: Any, content: RunContent) -> None:
    """Send everything; a second try after a break sends the same values at the same times, which MLflow keeps once."""
    from mlflow.entities import Metric, Param, RunTag

    run_id, start = run.info.run_id, run.info.start_time
    for params in _batches([Param(k, v) for k, v in content.params().items()]):
        client.log_batch(run_id, params=params)
    for metrics in _batches([Metric(p.name, p.value, start + i, p.step) for i, p in enumerate(content.points())]):
        client.log_batch(run_id, metrics=metrics)
    client.log_batch(run_id, tags=[RunTag(k, v) for k, v in content.tags().items()])
    if content.bundle_sha256:
        client.log_artifacts(run_id, str(content.folder / "bundle"), "bundle")
    names = ("scorecard.json", "verdict.json", "dataset.json", "environment.json", "report.html")
    for path in [*(content.folder / name for name in names), content.dataset_audit]:
        if path and path.is_file():
            client.log_artifact(run_id, str(path))
    with tempfile.TemporaryDirectory() as folder:
        if content.dataset_manifest:
            copied = Path(shutil.copy(content.dataset_manifest, Path(folder) / "dataset_manifest.json"))
            client.log_artifact(run_id, str(copied))
        # Not the file itself: its tracking URI may hold a password.
        cleaned = Path(folder) / "recipe.json"
        cleaned.write_text(redact((content.folder / "recipe.json").read_text(encoding="utf-8")), encoding="utf-8")
        client.log_artifact(run_id, str(cleaned))
    client.set_terminated(run_id)
    client.set_tag(run_id, _DONE, "yes")


def _version(client: Any, run: Any, content: RunContent, config: RegisterConfig, tracking: Tracking) -> Release:
    """Create the version unless it is there, and move the alias forward to it (never back)."""
    name, run_id = config.model_name, run.info.run_id
    _ensure_model(client, name)
    found = [v for v in client.search_model_versions(f"name = '{name}'") if v.run_id == run_id]
    if found:
        version = str(found[0].version)
    else:
        source = f"{client.get_run(run_id).info.artifact_uri}/bundle"
        version = str(client.create_model_version(name, source, run_id, tags=content.tags()).version)
    aliases = client.get_registered_model(name).aliases
    if not (found and _DONE in found[0].tags):  # once: whoever has moved the alias since had a reason
        if int(aliases.get(config.alias, 0)) < int(version):
            client.set_registered_model_alias(name, config.alias, version)
            aliases = {**aliases, config.alias: version}
        client.set_model_version_tag(name, version, _DONE, "yes")
    mine = config.alias if str(aliases.get(config.alias)) == version else None
    what = "is there already as" if found else "is now"
    message = f"{content.folder.name} {what} {name} version {version}" + (f", alias {mine}" if mine else "")
    return Release(name, version, mine, tracking.shown, run_id, message)


def _ensure_model(client: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)
    except MlflowException:
        try:
            client.create_registered_model(name)
        except MlflowException:
            client.get_registered_model(name)  # another run was faster; if not, this says what is wrong


def _keep(run_dir: Path, release: Release, state: str, reason: str = "") -> Release:
    run_dir = Path(run_dir)
    command = "" if state == "pushed" else _command(run_dir)
    reason = reason or release.message
    record = PushState(state, release.tracking_uri, release.run_id, release.model_name, release.version, reason, command)
    try:
        write_json(run_dir / "mlflow.json", record.to_json())
        write_json(run_dir / "release.json", release.to_json())
    except (OSError, BadInput):
        pass  # a full disk may be the very reason; the release is returned all the same
    return release


def _command(run_dir: Path) -> str:
    return f"glyphyard push {Path(run_dir)}"


def _batches(items: list[T]) -> Iterator[list[T]]:
    remaining = iter(items)
    while batch := list(islice(remaining, BATCH)):
        yield batch
