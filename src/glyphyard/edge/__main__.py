"""The engine's verbs for a device that has nothing but this package: `python3 -m glyphyard.edge build BUNDLE --target T`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from glyphyard.core.errors import ExitCode, GlyphyardError
from glyphyard.core.targets import TARGETS
from glyphyard.edge.engine_build import build
from glyphyard.edge.engines import default_cache
from glyphyard.edge.verify import table, verify


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; the status is 0, 2 for a wrong bundle, target or device, 4 where an engine does not hold."""
    parser = argparse.ArgumentParser(prog="python3 -m glyphyard.edge", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, description in (("build", "Build this device's engine of a bundle."), ("verify", "Build, replay and time all.")):
        one = verbs.add_parser(verb, help=description, description=description)
        one.add_argument("bundle", type=Path)
        one.add_argument("--target", required=True, choices=list(TARGETS))
        one.add_argument("--cache", type=Path, default=default_cache(), help="where engines are kept (%(default)s)")
        one.add_argument("--json", action="store_true", help="print one JSON value for a machine")
    verbs.choices["build"].add_argument("--precision", choices=("fp32", "fp16", "int8"), help="another one than the plan's")
    verbs.choices["build"].add_argument("--again", action="store_true", help="build even if there is one")
    given = parser.parse_args(arguments)
    try:
        return _build(given) if given.verb == "build" else _verify(given)
    except GlyphyardError as error:
        print(f"glyphyard: {error}", file=sys.stderr)
        return int(error.exit_code)


def _build(given: argparse.Namespace) -> int:
    record = build(given.bundle, given.target, given.cache, _say, precision=given.precision, again=given.again)
    print(json.dumps(record.to_json(), indent=2) if given.json else given.cache / record.key)
    return int(ExitCode.OK)


def _verify(given: argparse.Namespace) -> int:
    rows = verify(given.bundle, given.target, given.cache, _say)
    lines = [dict(row.__dict__, speed=list(row.speed)) for row in rows]
    print(json.dumps(lines, indent=2) if given.json else table(rows))
    return int(ExitCode.OK if all(row.holds for row in rows) else ExitCode.STEP_FAILED)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
