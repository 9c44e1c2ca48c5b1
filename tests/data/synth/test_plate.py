"""What every synthetic plate promises: the same bytes everywhere, an honest label, a plausible crop."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glyphyard.data.synth import FAMILIES, SyntheticPlate, contact_sheet, plate_text, render_plate

KEYS = [(7, index, family) for family in FAMILIES for index in range(12)]

PROBE = """
import hashlib, json, sys
from glyphyard.data.synth import render_plate
keys = json.loads(sys.argv[1])
plates = {f"{s}/{i}/{f}": render_plate(s, i, f) for s, i, f in reversed(keys)}
print(json.dumps({k: p.text + hashlib.sha256(p.image_bgr.tobytes()).hexdigest() for k, p in plates.items()}))
"""


def digest(plate: SyntheticPlate) -> str:
    return plate.text + hashlib.sha256(plate.image_bgr.tobytes()).hexdigest()


def test_another_process_and_another_order_give_the_same_bytes() -> None:
    here = {f"{seed}/{index}/{family}": digest(render_plate(seed, index, family)) for seed, index, family in KEYS}
    there = subprocess.run([sys.executable, "-c", PROBE, json.dumps(KEYS)], capture_output=True, text=True, check=True)
    assert json.loads(there.stdout) == here


def test_a_plate_does_not_depend_on_what_was_drawn_before() -> None:
    first = digest(render_plate(1, 5, "us"))
    for index in range(40):
        render_plate(2, index, FAMILIES[index % len(FAMILIES)])
    assert digest(render_plate(1, 5, "us")) == first


def test_cached_masks_cannot_be_written_to() -> None:
    from glyphyard.data.synth import glyphs

    with pytest.raises(ValueError, match="read-only"):
        glyphs.glyph(glyphs.die_of("tall", 0), "A")[0, 0] = 1


@pytest.mark.parametrize("family", FAMILIES)
def test_neighbours_differ(family: str) -> None:
    assert len({digest(render_plate(3, index, family)) for index in range(20)}) == 20
    assert digest(render_plate(4, 0, family)) != digest(render_plate(3, 0, family))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**40), index=st.integers(0, 2**40), family=st.sampled_from(FAMILIES))
def test_label_crop_and_facts_keep_their_bounds(seed: int, index: int, family: str) -> None:
    plate = render_plate(seed, index, family)
    assert re.fullmatch(r"[A-Z0-9]{3,8}", plate.text)
    assert plate.text == plate_text(seed, index, family)
    height, width, channels = plate.image_bgr.shape
    assert plate.image_bgr.dtype == np.uint8
    assert channels == 3
    assert 60 <= width <= 320
    assert 20 <= height <= 200
    assert 1.4 < width / height < 4
    assert plate.image_bgr.flags.c_contiguous
    assert plate.image_bgr.flags.writeable
    assert all(isinstance(key, str) and isinstance(value, str) for key, value in plate.meta.items())
    assert plate.meta["light"] in {"day", "night", "ir"}
    assert json.loads(json.dumps(plate.meta)) == plate.meta


@settings(max_examples=40, deadline=None)
@given(
    text=st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=10),
    index=st.integers(0, 1000),
    family=st.sampled_from(FAMILIES),
)
def test_an_explicit_text_is_what_the_plate_says(text: str, index: int, family: str) -> None:
    assert render_plate(0, index, family, text).text == text


@pytest.mark.parametrize("text", ["", "abc", "AB C", "ÄB1", "A" * 11, "AB-1", "١٢٣"])
def test_an_unfit_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="plate text"):
        render_plate(0, 0, "us", text)


def test_an_unknown_family_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no plate family 'france'.*florida"):
        plate_text(0, 0, "france")


def test_a_contact_sheet_holds_every_crop() -> None:
    plates = [render_plate(9, index, "us") for index in range(5)]
    sheet = contact_sheet(plates, columns=2)
    assert sheet.shape[1] == 400
    assert sheet.shape[0] % 3 == 0
    assert sheet.dtype == np.uint8
    assert contact_sheet([], columns=4).shape[1] == 800


def test_difficulty_changes_what_the_camera_does_and_never_the_text() -> None:
    for index in range(6):
        hard, easy = render_plate(4, index, "florida"), render_plate(4, index, "florida", difficulty=0.0)
        assert easy.text == hard.text
        assert (easy.meta["light"], easy.meta["weather"]) == ("day", "clear")
    lights = {render_plate(4, index, "florida").meta["light"] for index in range(60)}
    assert lights == {"day", "night", "ir"}
