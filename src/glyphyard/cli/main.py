"""The command line: verbs by name, loaded when asked for, and one clean line for an error."""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from glyphyard.core.errors import ExitCode, GlyphyardError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the last: more than a limit or the file system allows

# verb → module of glyphyard.cli that holds it; a module is imported only when its verb is used, so `plan` stays fast
VERBS = {
    "run": "run",
    "sweep": "sweep",
    "plan": "plan",
    "audit": "audit",
    "synth": "synth",
    "import": "imports",
    "export": "export",
    "engine": "engine",
    "evaluate": "evaluate",
    "predict": "predict",
    "report": "report",
    "suite": "gate",
    "baseline": "gate",
    "models": "registry",
    "promote": "registry",
    "rollback": "registry",
    "push": "registry",
    "sync": "sync",
    "queue": "queue",
    "recipes": "recipes",
    "schema": "recipes",
    "doctor": "doctor",
}


class Verbs(click.Group):
    """A group whose verbs are imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of a model's life."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module that holds the verb."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = getattr(importlib.import_module(f"glyphyard.cli.{VERBS[cmd_name]}"), cmd_name)
        return command


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="glyphyard")
def glyphyard() -> None:
    """One YAML recipe becomes a trained, measured, deployable reader of text in images.

    \b
    Start:   glyphyard plan recipes/florida_crnn.yaml
             glyphyard run recipes/florida_crnn.yaml
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a verb and exit: 0 pass, 1 gate failed, 2 bad input, 3 insufficient data, 4 a step failed."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # of an image that it cannot read we say it ourselves, in one line
    try:
        result: Any = glyphyard.main(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except GlyphyardError as error:
        _stop(str(error), error.exit_code)
    except click.ClickException as error:
        asked = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "glyphyard"
        _stop(f"{' '.join(error.format_message().split()).rstrip('.')}; see `{asked} --help`", ExitCode.BAD_INPUT)
    except (click.Abort, KeyboardInterrupt):
        _stop("interrupted; `glyphyard run --resume RUN` goes on where it stopped", 130)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:
        if error.errno not in (*FULL, errno.EROFS, errno.EACCES):
            _stop_unforeseen(error)
        _stop(f"{error.filename or 'disk'}: {error.strerror}; {_elsewhere(error)}", ExitCode.BAD_INPUT)
    except Exception as error:
        _stop_unforeseen(error)
    sys.exit(result if isinstance(result, int) else ExitCode.OK)


def _elsewhere(error: OSError) -> str:
    return f"{'free some space' if error.errno in FULL else 'make it writable'}, or choose another --store or --out"


def _stop(line: str, code: int) -> NoReturn:
    print(f"glyphyard: {line}", file=sys.stderr, flush=True)
    sys.exit(code)


def _stop_unforeseen(error: Exception) -> NoReturn:
    """Show where our own mistake is; never with Python's status 1, which says that a gate failed."""
    traceback.print_exception(error)
    _stop(f"{type(error).__name__}, which nobody foresaw; please report it with the lines above", ExitCode.STEP_FAILED)


if __name__ == "__main__":
    main()
