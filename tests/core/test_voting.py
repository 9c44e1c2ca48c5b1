"""Frames of one plate vote place by place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from glyphyard.core.ctc import Reading
from glyphyard.core.voting import vote


def reading(text: str, *confidences: float) -> Reading:
    product = 1.0
    for c in confidences:
        product *= c
    return Reading(text, product, confidences)


def test_the_surer_character_wins_at_each_place() -> None:
    voted = vote([reading("AB", 0.9, 0.2), reading("AC", 0.8, 0.7), reading("XB", 0.3, 0.3)])
    assert voted.text == "AC"
    assert 0 < voted.confidence < 1


def test_readings_of_another_length_have_no_say_about_characters() -> None:
    voted = vote([reading("ABC", 0.9, 0.9, 0.9), reading("ABC", 0.9, 0.9, 0.9), reading("ZZ", 0.99, 0.99)])
    assert voted.text == "ABC"


def test_no_frame_reads_nothing() -> None:
    assert vote([]).text == ""
    assert vote([reading("")]).text == ""


@given(st.lists(st.tuples(st.text("AB1", max_size=4), st.floats(0.01, 1)), min_size=1, max_size=5), st.randoms())
def test_the_order_of_frames_does_not_matter(frames: list[tuple[str, float]], shuffler: object) -> None:
    readings = [reading(text, *[c] * len(text)) for text, c in frames]
    mixed = readings.copy()
    shuffler.shuffle(mixed)  # type: ignore[attr-defined]
    assert abs(vote(readings).confidence - vote(mixed).confidence) < 1e-9
    assert vote(readings[:1]).text == readings[0].text
