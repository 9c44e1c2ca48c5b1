"""Two promoters on a server without locks: at most one at a time, whoever they are and whenever they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.core.errors import StepFailed
from glyphyard.registry.turn import LEASE_S, TAG, one_at_a_time


class Server:
    """A registered model's tags, and what happens between two requests."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}

    def get_registered_model(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(tags=dict(self.tags))

    def set_registered_model_tag(self, name: str, key: str, value: str) -> None:
        self.tags[key] = value

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        del self.tags[key]


def hold(server: Server, by: str, during: Callable[[float], None] = lambda s: None, now: float = 1000.0) -> None:
    with one_at_a_time(server, "m", by, now=lambda: now, sleep=during):
        assert server.tags[TAG].endswith(by)


def test_a_turn_is_taken_and_given_back() -> None:
    server = Server()
    hold(server, "anna")
    hold(server, "ben")
    assert server.tags == {}


def test_who_comes_second_is_told_who_is_first() -> None:
    server = Server()
    with one_at_a_time(server, "m", "anna", now=lambda: 0.0, sleep=lambda s: None):
        with pytest.raises(StepFailed, match="anna"):
            hold(server, "ben", now=1.0)
        assert server.tags[TAG].endswith("anna")


def test_a_dead_promoter_and_a_clock_far_ahead_lock_nobody_out() -> None:
    for until in (999.0, 1000.0 + 10 * LEASE_S, float("nan")):
        server = Server()
        server.tags[TAG] = f"x {until} ghost"
        hold(server, "ben", now=1000.0)
    server.tags[TAG] = "nonsense"
    hold(server, "ben")


def test_a_failure_gives_the_turn_back() -> None:
    server = Server()
    with pytest.raises(ValueError, match="oops"), one_at_a_time(server, "m", "anna", sleep=lambda s: None):
        raise ValueError("oops")
    assert server.tags == {}


@given(st.integers(0, 2), st.integers(0, 3))
def test_two_who_look_at_the_same_moment_are_not_both_let_in(first: int, second: int) -> None:
    """Another promoter's requests fall between this one's: `first` of them before it writes, `second` while it waits.

    Its third request comes after its own wait, which is longer than anyone takes from looking to writing.
    """
    server, inside = Server(), list[str]()
    other = steps(server, inside)
    look = server.get_registered_model

    def looked(name: str) -> SimpleNamespace:
        found = look(name)
        server.get_registered_model = look  # type: ignore[method-assign]
        for _ in range(first):
            next(other, None)
        return found

    server.get_registered_model = looked  # type: ignore[method-assign]

    def waits(seconds: float) -> None:
        # Who has looked before the wait has written before its end: that is what SETTLE_S is for.
        for _ in range(max(second, 2 - first) if first else second):
            next(other, None)

    try:
        with one_at_a_time(server, "m", "anna", now=lambda: 1000.0, sleep=waits):
            assert not inside
            inside.append("anna")
            for _ in range(4 - first - second):
                next(other, None)
            assert inside == ["anna"]
    except StepFailed:
        assert "anna" not in inside


def steps(server: Server, inside: list[str]) -> Iterator[None]:
    """Be the other promoter, one request at a time: look, write, look again and go in, or give up."""
    if TAG in server.tags:
        return
    yield
    server.tags[TAG] = "y 1300 ben"
    yield
    if server.tags.get(TAG) == "y 1300 ben":
        inside.append("ben")
    yield
