"""Errors for users: one line that says where, what was expected, what was found and what to do."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a verb tells the shell; CI depends on these numbers."""

    OK = 0
    GATE_FAILED = 1
    BAD_INPUT = 2
    INSUFFICIENT_DATA = 3
    STEP_FAILED = 4


class GlyphyardError(Exception):
    """A failure a user can act on; the CLI prints it as one line and exits with `exit_code`."""

    exit_code: ExitCode = ExitCode.BAD_INPUT

    def __init__(self, where: str, problem: str, remedy: str = "") -> None:
        self.where, self.problem, self.remedy = where, problem, remedy
        super().__init__(where, problem, remedy)  # all of it in args, so that it survives pickling between workers

    def __str__(self) -> str:
        line = f"{self.where}: {self.problem}"
        return " ".join((f"{line}; {self.remedy}" if self.remedy else line).split())


class BadInput(GlyphyardError):
    """A recipe, a label file, an image, an argument or the machine is not what it has to be (exit 2)."""


class TooManyPixels(BadInput):
    """An image is larger than anything that holds text, and would fill the memory of whoever decodes it."""


class NotWritten(BadInput):
    """A disk did not take what was to be written: it is full, or read-only."""


class StepFailed(GlyphyardError):
    """Training, export or another step broke although its input was good (exit 4)."""

    exit_code = ExitCode.STEP_FAILED
