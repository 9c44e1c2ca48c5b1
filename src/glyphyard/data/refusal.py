"""A source of which too much is bad: told, listed in a file of its own, and refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from glyphyard.core.errors import BadInput
from glyphyard.core.files import fingerprint, write_json, writing
from glyphyard.data.findings import AuditFinding, by_kind, told


class TooManyBad(BadInput):
    """More than `max_bad_fraction` of a source is bad; `report` is the audit.json that lists it, once it was written."""

    report: Path | None = None

    def __init__(self, where: str, problem: str, findings: Sequence[AuditFinding]) -> None:
        super().__init__(where, problem, "mend or remove these, or raise dataset.max_bad_fraction")
        self.findings = findings


@contextmanager
def listing(
    store: Path, say: Callable[[str], None], report: Callable[[], tuple[str, dict[str, Any]]] | None = None
) -> Iterator[None]:
    """Tell what is found where a source is refused, and list all of it in <store>/audits/<name>/audit.json.

    `report` gives the name and what stands in the file; the findings of the refused source alone when absent.
    """
    try:
        yield
    except TooManyBad as refused:
        for line in told([*refused.findings]):
            say(line)
        name, content = report() if report else _of(refused.findings)
        path = store / "audits" / name / "audit.json"
        with writing(path):
            write_json(path, content)
        error = TooManyBad(refused.where, f"{refused.problem}; all are listed in {path}", refused.findings)
        error.report = path
        raise error from None


def _of(findings: Sequence[AuditFinding]) -> tuple[str, dict[str, Any]]:
    content = {"schema_version": 1, "counts": by_kind(findings), "findings": [f.to_json() for f in findings]}
    return fingerprint(content), content
