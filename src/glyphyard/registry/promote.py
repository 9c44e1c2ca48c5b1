"""Moving `champion`: forward after a passing verdict, back to `previous`; one at a time, with a trace of who and why."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import Any

from glyphyard.core.errors import BadInput, GlyphyardError, StepFailed
from glyphyard.core.records import Record
from glyphyard.registry.evidence import ModelVersion, check_evidence, compared
from glyphyard.registry.tracking import Tracking, connected
from glyphyard.registry.turn import one_at_a_time

CHAMPION, PREVIOUS = "champion", "previous"
LONGEST_WHY, LONGEST_BY = 1000, 200  # characters: an entry of the trail is one tag, and databases bound those
Say = Callable[[str], None]


@dataclass(frozen=True)
class Promotion(Record):
    """One move of `champion`, as it stands in the audit trail (tags `audit.<time>` of the registered model).

    It is written before the alias moves; without `done` nobody knows whether it did (the registry fell silent just then).
    """

    action: str
    model_name: str
    version: str
    from_version: str | None
    by: str
    when: str
    why: str
    run_id: str | None = None
    from_run_id: str | None = None
    done: bool = True


def promote(model_name: str, version: str, tracking: Tracking, *, by: str, why: str, say: Say = print) -> Promotion:
    """Make `version` (a number or an alias such as `candidate`) the champion.

    Its verdict must be a PASS, in its tags and in the files of its run, about the very bundle that is stored there; `why`
    is part of the audit trail. Two promoters at once: one of them is told so and changes nothing.
    """
    _reasoned(model_name, by, why)
    with _registry(tracking, model_name) as client, _turn(client, tracking, model_name, by):
        aliases = _aliases(client, model_name)
        number = str(aliases.get(str(version), version))
        challenger = _get(client, model_name, number, aliases)
        _passed(challenger)
        check_evidence(client, challenger)
        champion = _get(client, model_name, aliases[CHAMPION], aliases) if CHAMPION in aliases else None
        for line in compared(champion, challenger):
            say(line)
        return _move(client, _promotion("promote", challenger, champion, by, why), say)


def rollback(model_name: str, tracking: Tracking, *, by: str, why: str, say: Say = print) -> Promotion:
    """Make `previous` the champion again; the two change places, so a second rollback undoes the first.

    Its files are held against its verdict as in `promote`: since it was champion, tags and files may have changed.
    """
    _reasoned(model_name, by, why)
    with _registry(tracking, model_name) as client, _turn(client, tracking, model_name, by):
        aliases = _aliases(client, model_name)
        number, previous = aliases.get(CHAMPION), aliases.get(PREVIOUS)
        if previous is None or previous == number:
            remedy = f"promote a version with `glyphyard promote {model_name} VERSION`"
            raise BadInput(model_name, "there is no previous champion to go back to", remedy)
        old = _get(client, model_name, previous, aliases)
        _passed(old)
        check_evidence(client, old)
        champion = _get(client, model_name, number, aliases) if number else None
        return _move(client, _promotion("rollback", old, champion, by, why), say)


def _promotion(action: str, to: ModelVersion, champion: ModelVersion | None, by: str, why: str) -> Promotion:
    left = (champion.version, champion.run_id) if champion else (None, None)
    return Promotion(action, to.model_name, to.version, left[0], by, _now(), why.strip(), to.run_id, left[1])


def _reasoned(model_name: str, by: str, why: str) -> None:
    if not why.strip():
        raise BadInput(model_name, "no reason is given for the audit trail", "say --why '…'")
    for option, text, longest in (("--by", by, LONGEST_BY), ("--why", why, LONGEST_WHY)):
        if len(text) > longest:
            raise BadInput(model_name, f"{option} has {len(text)} characters, the audit trail keeps {longest}", "say it shorter")


def _passed(version: ModelVersion) -> None:
    if (outcome := version.tags.get("verdict")) != "PASS":
        problem = f"its verdict is {outcome or 'missing'}, only a PASS may become champion"
        remedy = "train again, or judge it with `glyphyard evaluate`"
        raise BadInput(f"{version.model_name} version {version.version}", problem, remedy)


@contextmanager
def _turn(client: Any, tracking: Tracking, name: str, by: str) -> Iterator[None]:
    """Hold the model for one promoter: the embedded database is under a file lock already, a server has none."""
    with nullcontext() if tracking.database else one_at_a_time(client, name, by):
        yield


def models(tracking: Tracking, model_name: str | None = None) -> list[ModelVersion]:
    """List all versions, newest first within each model; looking creates nothing."""
    if not tracking.exists:
        return []
    with _registry(tracking) as client:
        found = []
        for model in client.search_registered_models():
            if model_name in (None, model.name):
                # The search leaves each version's aliases empty; those of the model are complete.
                aliases = _aliases(client, model.name)
                versions = client.search_model_versions(f"name = '{model.name}'")
                found += sorted((_entry(v, aliases) for v in versions), key=lambda v: -int(v.version))
        return found


def history(tracking: Tracking, model_name: str) -> list[Promotion]:
    """Return the audit trail of a model, oldest first."""
    with _registry(tracking, model_name) as client:
        tags = client.get_registered_model(model_name).tags
        return [Promotion.from_json(json.loads(v), k) for k, v in sorted(tags.items()) if k.startswith("audit.")]


def _move(client: Any, move: Promotion, say: Say) -> Promotion:
    name = move.model_name
    if move.version == move.from_version:
        say(f"{name} version {move.version} is the champion already")
        return move
    before = _aliases(client, name)
    if before.get(CHAMPION) != move.from_version:  # since it was shown and decided upon
        raise StepFailed(name, "someone else moved champion meanwhile", "look at `glyphyard models` and decide again")
    _write_down(client, replace(move, done=False))  # first: no champion without a trace
    try:
        if move.from_version:  # a break after this line leaves the champion as it was
            client.set_registered_model_alias(name, PREVIOUS, move.from_version)
        client.set_registered_model_alias(name, CHAMPION, move.version)
    except Exception:
        _take_back(client, move, before.get(PREVIOUS))
        raise
    _write_down(client, move)
    record = asdict(move)
    for key in ("action", "by", "when", "why", "from_version", "from_run_id"):
        client.set_model_version_tag(name, move.version, f"promotion.{key}", str(record[key] or ""))
    # A server has no compare-and-swap: whoever wrote last has won, and both must learn it.
    if (now := _aliases(client, name).get(CHAMPION)) != move.version:
        problem = f"champion is version {now}, not {move.version}: someone else moved it at the same time"
        raise StepFailed(name, problem, "look at `glyphyard models`")
    left = f" (was version {move.from_version}, now `{PREVIOUS}`)" if move.from_version else ""
    say(f"{name}: champion is version {move.version}{left}")
    return move


def _write_down(client: Any, move: Promotion) -> None:
    client.set_registered_model_tag(move.model_name, _entry_of(move), json.dumps(asdict(move), ensure_ascii=False))


def _take_back(client: Any, move: Promotion, previous: str | None) -> None:
    """Undo what a move that broke has left; where the champion may have moved after all, its entry stays, not `done`."""
    name = move.model_name
    with suppress(Exception):  # the registry is ill; what broke the move is what is said
        now = _aliases(client, name)
        if now.get(CHAMPION) != move.from_version:
            return
        if previous:
            client.set_registered_model_alias(name, PREVIOUS, previous)
        elif PREVIOUS in now:
            client.delete_registered_model_alias(name, PREVIOUS)
        client.delete_registered_model_tag(name, _entry_of(move))


def _entry_of(move: Promotion) -> str:
    return f"audit.{move.when}"


@contextmanager
def _registry(tracking: Tracking, model_name: str | None = None) -> Iterator[Any]:
    """Yield a client; MLflow's own errors become one clean line without credentials."""
    if not tracking.exists:
        remedy = "run a recipe first, or give --store or --tracking-uri"
        raise BadInput(tracking.shown, "nothing has been registered here yet", remedy)
    try:
        with connected(tracking) as client:
            if model_name is not None and not client.search_registered_models(f"name = '{model_name}'"):
                names = ", ".join(m.name for m in client.search_registered_models()) or "none"
                raise BadInput(f"model {model_name!r}", f"not in the registry at {tracking.shown}", f"it knows: {names}")
            yield client
    except GlyphyardError:
        raise
    except Exception as error:  # requests, sqlalchemy, MLflow; no `from`: the original text may hold credentials
        raise StepFailed(tracking.shown, tracking.explain(error), "try again when that is mended") from None


def _aliases(client: Any, name: str) -> dict[str, str]:
    return {alias: str(version) for alias, version in client.get_registered_model(name).aliases.items()}


def _get(client: Any, name: str, version: str, aliases: dict[str, str]) -> ModelVersion:
    from mlflow.exceptions import MlflowException

    try:
        return _entry(client.get_model_version(name, version), aliases)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        known = sorted((str(v.version) for v in client.search_model_versions(f"name = '{name}'")), key=int)
        raise BadInput(f"{name} version {version!r}", "no such version", f"there are: {', '.join(known) or 'none'}") from None


def _entry(version: Any, aliases: dict[str, str]) -> ModelVersion:
    number = str(version.version)
    created = datetime.fromtimestamp(version.creation_timestamp / 1000, timezone.utc).isoformat(timespec="seconds")
    mine = sorted(alias for alias, at in aliases.items() if at == number)
    return ModelVersion(version.name, number, mine, created, version.run_id, dict(version.tags))


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # no "+": tag names may not hold one
