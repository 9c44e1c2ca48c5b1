"""Errors are one line, survive a process border and know their exit code."""

from __future__ import annotations

import pickle

from hypothesis import given
from hypothesis import strategies as st

from glyphyard.core.errors import BadInput, ExitCode, GlyphyardError, StepFailed


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_an_error_is_one_line(where: str, problem: str, remedy: str) -> None:
    assert len(str(BadInput(where, problem, remedy)).splitlines()) <= 1


def test_an_error_says_where_what_and_what_to_do() -> None:
    assert str(BadInput("labels.txt:3", "no tab", "put one in")) == "labels.txt:3: no tab; put one in"
    assert str(StepFailed("train", "diverged\nbadly")) == "train: diverged badly"


def test_an_error_survives_pickling_between_workers() -> None:
    for error in (BadInput("a", "b", "c"), StepFailed("a", "b")):
        again = pickle.loads(pickle.dumps(error))  # noqa: S301  (our own bytes)
        assert type(again) is type(error)
        assert (again.where, again.problem, again.remedy) == (error.where, error.problem, error.remedy)


def test_the_exit_codes_are_the_ones_that_ci_knows() -> None:
    assert (BadInput.exit_code, StepFailed.exit_code) == (ExitCode.BAD_INPUT, ExitCode.STEP_FAILED)
    assert [int(code) for code in ExitCode] == [0, 1, 2, 3, 4]
    assert issubclass(BadInput, GlyphyardError)
