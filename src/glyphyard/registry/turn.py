"""One promoter at a time on a server, which has neither locks nor compare-and-swap for us: a lease in a tag of the model."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from glyphyard.core.errors import StepFailed

TAG = "promotion.turn"
LEASE_S = 300.0  # a promoter that died lets the next one in after this
SETTLE_S = 0.5  # longer than a promoter takes between looking and writing


@contextmanager
def one_at_a_time(
    client: Any,
    name: str,
    by: str,
    settle_s: float = SETTLE_S,
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Hold the model's turn; `StepFailed` where someone else holds it.

    Write, wait, look: of two who write at once the later one overwrites the earlier, and after the wait both see whose
    turn it is. `promote` also looks at the alias right before and right after it moves it.
    """
    _refuse_if_taken(client, name, now())
    mine = f"{uuid.uuid4().hex} {now() + LEASE_S:.0f} {by}"
    client.set_registered_model_tag(name, TAG, mine)
    try:
        sleep(settle_s)
        if (held := _tag(client, name)) != mine:
            raise StepFailed(name, f"{_who(held)} moves champion at the same time", "try again in a minute")
        yield
    finally:
        with suppress(Exception):  # the lease ends by itself; what was done must not look undone
            if _tag(client, name) == mine:
                client.delete_registered_model_tag(name, TAG)


def _refuse_if_taken(client: Any, name: str, now: float) -> None:
    held = _tag(client, name)
    try:
        until = float(held.split(" ")[1])
    except (IndexError, ValueError):
        return
    if now < until <= now + 2 * LEASE_S:  # one from a clock far ahead would never end
        raise StepFailed(name, f"{_who(held)} is moving champion", f"try again; the turn ends by itself in {until - now:.0f} s")


def _tag(client: Any, name: str) -> str:
    return str(client.get_registered_model(name).tags.get(TAG, ""))


def _who(held: str) -> str:
    return held.split(" ", 2)[2] if held.count(" ") >= 2 else "someone"
