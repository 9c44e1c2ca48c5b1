"""What every synthetic page promises: the same bytes everywhere, tight boxes around ink, and pages that differ."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glyphyard.data.synth.dice import Dice
from glyphyard.data.synth.pages import KINDS, render_page, writer_of
from glyphyard.data.synth.pages.hand import curve, hand_of, write
from glyphyard.data.synth.pages.ink import Pen, put_ink
from glyphyard.data.synth.pages.letters import PATHS, paths_of
from glyphyard.data.synth.pages.words import GOODS, LABELS, NAMES, PLACES, WORDS

PROBE = """
import hashlib
from glyphyard.data.synth.pages import render_page
pages = [render_page(7, i) for i in (3, 1)]
print(hashlib.sha256(b"".join(p.image_bgr.tobytes() + p.boxes.tobytes() for p in pages)).hexdigest())
"""


def test_another_process_and_another_order_give_the_same_bytes():
    one, three = render_page(7, 1), render_page(7, 3)
    here = hashlib.sha256(b"".join(p.image_bgr.tobytes() + p.boxes.tobytes() for p in (three, one))).hexdigest()
    there = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


@settings(max_examples=8)
@given(seed=st.integers(0, 2**40), index=st.integers(0, 2**40), kind=st.sampled_from(KINDS))
def test_boxes_lie_on_the_page_and_have_their_texts(seed, index, kind):
    page = render_page(seed, index, kind=kind)
    height, width, channels = page.image_bgr.shape
    assert (page.image_bgr.dtype, channels) == (np.uint8, 3)
    assert len(page.boxes) == len(page.texts)
    assert (page.boxes[:, 2:] > page.boxes[:, :2]).all()
    assert (page.boxes >= 0).all()
    assert (page.boxes <= [width, height, width, height]).all()
    assert all(page.texts)
    assert page.meta["writer"] == str(writer_of(seed, index))


def test_boxes_hold_ink_to_their_rims():
    """On a page without trouble each box's outermost pixels are darker than paper, and what is beyond them mostly is not."""
    page = render_page(5, 2, difficulty=0.0, kind="note")
    grey = page.image_bgr.min(2).astype(int)
    paper = np.median(grey)
    assert len(page.boxes) >= 2
    for x1, y1, x2, y2 in page.boxes.round().astype(int):
        inside = grey[y1:y2, x1:x2]
        dark = inside < paper - 40
        rows, columns = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
        assert rows[0] <= 3
        assert len(dark) - rows[-1] <= 4
        assert columns[0] <= 3
        assert dark.shape[1] - columns[-1] <= 4


def test_difficulty_leaves_the_writing_as_it_is():
    easy, hard = render_page(4, 6, difficulty=0.0), render_page(4, 6, difficulty=1.0)
    assert easy.meta == hard.meta | {"lines": easy.meta["lines"]}
    assert set(hard.texts) <= set(easy.texts)


def test_pages_differ():
    assert len({render_page(2, i, kind="note").image_bgr.tobytes() for i in range(4)}) == 4


def test_an_unknown_kind_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"no kind of page 'map'.*letter"):
        render_page(1, 1, kind="map")


def test_the_hand_knows_every_character_that_pages_say():
    said = set("".join([*WORDS, *NAMES, *PLACES, *GOODS, *LABELS, "0123456789.-/:"])) - {" "}
    assert said - set(PATHS) == set()
    assert all(len(path) >= 2 for char in PATHS for path in paths_of(char))


def test_a_line_ends_before_its_limit_and_says_what_it_wrote():
    hand = hand_of(5, 12.0)
    strokes, written = write(hand, "one two three four five six seven eight", 50, 80, Dice.of("x"), 150)
    assert "one two three four five six seven eight".upper().startswith(written.upper())
    assert 0 < len(written) < 30
    assert max(s[:, 0].max() for s in strokes) < 50 + 150 + 5 * 12
    assert write(hand, "", 0, 0, Dice.of("x")) == ([], "")


def test_the_same_writer_writes_alike_and_another_does_not():
    def letter(writer: int) -> np.ndarray:
        return hand_of(writer, 10.0).letters["a"][0]

    assert np.array_equal(letter(1), letter(1))
    assert not np.array_equal(letter(1), letter(2))


def test_ink_off_the_page_is_none():
    page = np.full((50, 50, 3), 255, np.uint8)
    pen = Pen("ball", 2.0, (0, 0, 0), 1.0)
    assert put_ink(page, [np.array([(200, 200), (300, 300)], np.float32)], pen, Dice.of("x")) is None
    assert put_ink(page, [], pen, Dice.of("x")) is None
    assert (page == 255).all()


def test_a_curve_runs_through_its_knots():
    knots = np.array([(0, 0), (1, 2), (3, 1), (4, 4.0)])
    points = curve(knots)
    assert all(np.abs(points - knot).sum(1).min() < 1e-9 for knot in knots)
