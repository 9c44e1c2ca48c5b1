"""The champion that others are compared with: its scorecard in evals/baselines/NAME.json, its readings in NAME.parquet beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from glyphyard.core.errors import BadInput
from glyphyard.core.files import atomic_path, sha256_file, writing
from glyphyard.core.records import Figure, Record, Scorecard
from glyphyard.evaluation.held_out import HeldOutRow, difference
from glyphyard.evaluation.samples import Sample, load_samples

SCHEMA_VERSION = 1
FOLDER = Path("evals/baselines")


@dataclass(frozen=True)
class Update(Record):
    """Who put which run in the baseline's place, when (ISO, UTC) and why."""

    when: str
    by: str
    why: str
    from_run: str
    bundle_sha256: str
    figures: dict[str, Figure]


@dataclass(frozen=True)
class Baseline(Record):
    """A baseline: `updates` are its history, the newest last; `outcomes` names the Parquet file of its readings.

    None: the task reads no text (detection), and only figures can be compared.
    """

    schema_version: int
    name: str
    scorecard: Scorecard
    outcomes: str | None
    outcomes_sha256: str | None
    updates: list[Update]


@dataclass(frozen=True)
class Outcomes:
    """What one model read in each held-out crop: parallel columns, in an order that any two models of one set share."""

    rows: list[HeldOutRow]
    read: list[str]
    group: np.ndarray
    edits: np.ndarray
    characters: np.ndarray
    exact: np.ndarray
    samples: list[Sample]

    def take(self, index: Sequence[int]) -> Outcomes:
        """Return these rows in this order."""
        at = np.array(index, dtype=np.int64)
        return Outcomes(
            rows=[self.rows[i] for i in index],
            read=[self.read[i] for i in index],
            group=self.group[at],
            edits=self.edits[at],
            characters=self.characters[at],
            exact=self.exact[at],
            samples=[self.samples[i] for i in index] if self.samples else [],
        )


OUTCOME_COLUMNS = ("image_sha256", "path", "truth", "read", "group", "edits", "characters", "exact")


def load_outcomes(path: Path, with_samples: bool = False) -> Outcomes:
    """Read the outcomes of a run's samples.parquet or of a baseline, sorted by image and text; another file is a `BadInput`."""
    try:
        table = pq.read_table(path, columns=list(OUTCOME_COLUMNS)).to_pydict()
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are ValueErrors
        problem = f"expected the readings of a held-out set ({str(error).splitlines()[0][:100]})"
        raise BadInput(str(path), problem, "evaluate the run again") from error
    rows = [HeldOutRow(*row) for row in zip(table["image_sha256"], table["truth"], table["path"], strict=True)]
    outcomes = Outcomes(
        rows,
        table["read"],
        np.array(table["group"], dtype=object),
        np.array(table["edits"], dtype=np.int64),
        np.array(table["characters"], dtype=np.int64),
        np.array(table["exact"], dtype=bool),
        load_samples(path) if with_samples else [],
    )
    return outcomes.take(sorted(range(len(rows)), key=rows.__getitem__))


def baseline_file(name: str, folder: Path = FOLDER) -> Path:
    """Return the file of a baseline that is given by name or by path."""
    return Path(name) if name.endswith(".json") else folder / f"{name}.json"


def reads_text(scorecard: Scorecard) -> bool:
    """Tell whether a scorecard has readings of each sample beside it."""
    return "exact_match" in scorecard.figures


def load_baseline(name: str, folder: Path = FOLDER) -> tuple[Baseline, Outcomes | None]:
    """Read a baseline and its readings; one that is not there, altered, or of another version is a `BadInput`."""
    path = baseline_file(name, folder)
    if not path.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.json")) if path.parent.is_dir() else []
        remedy = f"known: {', '.join(known)}" if known else "make one with `glyphyard baseline update NAME --from RUN --why TEXT`"
        raise BadInput(f"baseline {name}", f"no file {path}", remedy)
    baseline = Baseline.read(path)
    if baseline.schema_version != SCHEMA_VERSION:
        raise BadInput(
            str(path), f"expected schema version {SCHEMA_VERSION}, found {baseline.schema_version}", "update the baseline"
        )
    if baseline.outcomes is None:
        return baseline, None
    readings = path.parent / Path(baseline.outcomes).name
    if not readings.is_file() or sha256_file(readings) != baseline.outcomes_sha256:
        raise BadInput(str(readings), "is not the file that the baseline names (missing or altered)", "restore it from git")
    return baseline, load_outcomes(readings)


def write_baseline(path: Path, scorecard: Scorecard, outcomes: Outcomes | None, updates: list[Update]) -> Baseline:
    """Write NAME.parquet (where there are readings) and then NAME.json."""
    name = digest = None
    with writing(path):
        if outcomes is not None:
            name, digest = _write_outcomes(path, outcomes)
        baseline = Baseline(SCHEMA_VERSION, path.stem, scorecard, name, digest, updates)
        baseline.write(path)
    return baseline


def _write_outcomes(path: Path, outcomes: Outcomes) -> tuple[str, str]:
    readings = path.with_suffix(".parquet")
    table = {
        "image_sha256": [row.image_sha256 for row in outcomes.rows],
        "path": [row.path for row in outcomes.rows],
        "truth": [row.text for row in outcomes.rows],
        "read": outcomes.read,
        "group": outcomes.group.tolist(),
        "edits": outcomes.edits,
        "characters": outcomes.characters,
        "exact": outcomes.exact,
    }
    with atomic_path(readings) as temporary:
        pq.write_table(pa.table(table), temporary, compression="zstd")
    return readings.name, sha256_file(readings)


def refuse_other_terms(baseline: Baseline, before: Outcomes | None, scorecard: Scorecard, after: Outcomes | None) -> None:
    """Raise a `BadInput` where a comparison would mean nothing: another suite, text policy, alphabet or held-out set."""
    old, where = baseline.scorecard, f"baseline {baseline.name}"
    terms = [
        ("suite", old.suite, scorecard.suite),
        ("text policy", _policy(old), _policy(scorecard)),
        ("alphabet", old.alphabet or scorecard.alphabet, scorecard.alphabet or old.alphabet),
    ]
    for what, expected, found in terms:
        if expected != found:
            problem = f"is of another {what}: it has {expected!r}, this scorecard {found!r}"
            raise BadInput(where, problem, "compare with a baseline of the same terms, or update this one")
    if before is not None and after is not None:
        same = same_crops(before, after)
        changed = difference(before.rows, after.rows)
    else:
        same, changed = old.held_out == scorecard.held_out, f"{old.held_out[:16]}… is now {scorecard.held_out[:16]}…"
    if not same:
        problem = f"is of another held-out set: {changed} since it was made"
        raise BadInput(where, problem, "measure on the same set, or update the baseline from a run on the new one")


def same_crops(before: Outcomes, after: Outcomes) -> bool:
    """Tell whether two models read the same images with the same texts."""
    return [(row.image_sha256, row.text) for row in before.rows] == [(row.image_sha256, row.text) for row in after.rows]


def _policy(scorecard: Scorecard) -> str:
    return " ".join([f"case {scorecard.case}", *scorecard.equivalences])
