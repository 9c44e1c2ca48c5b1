"""The stroke font and its dies: every character drawn, every die its own."""

from __future__ import annotations

import numpy as np
import pytest

from glyphyard.data.synth import faces, glyphs, strokes


@pytest.mark.parametrize("name", sorted(strokes.PATHS))
def test_every_path_stays_in_its_box_and_is_smooth_where_it_says_so(name: str) -> None:
    for points, _ in strokes.outline(name, 30.0, 50.0, 12.0):
        assert points.ndim == 2
        assert points.shape[1] == 2
        assert len(points) >= 2
        assert points[:, 0].min() >= 0
        assert points[:, 0].max() <= 30 * 1.06
        assert points[:, 1].min() >= 0
        assert points[:, 1].max() <= 50 * 1.07


@pytest.mark.parametrize("group", sorted(glyphs.GROUPS))
def test_every_die_cuts_the_whole_alphabet_into_different_masks(group: str) -> None:
    die = glyphs.die_of(group, 3)
    masks = {char: glyphs.glyph(die, char) for char in strokes.ALPHABET}
    for char, mask in masks.items():
        assert (mask.shape[0], mask.dtype) == (glyphs.MASTER_H, np.uint8), char
        assert mask.max() > 200, char
        assert 2 <= mask.shape[1] <= 1.4 * glyphs.MASTER_H
    same = {("0", "O"), ("1", "I")}
    for a in strokes.ALPHABET:
        for b in strokes.ALPHABET:
            if a < b and (a, b) not in same:
                assert masks[a].shape != masks[b].shape or not np.array_equal(masks[a], masks[b]), (a, b)


def test_no_alphabet_character_lacks_a_plain_path() -> None:
    assert all(char in strokes.PATHS for char in strokes.ALPHABET)


@pytest.mark.parametrize("name", sorted(faces.FACES))
def test_every_typeface_is_installed_with_the_locked_packages(name: str) -> None:
    assert faces.face_path(name).is_file()


def test_a_typeface_from_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(faces.FACES, "gone", (("font_that_is_not_there", "files"), "x.ttf"))
    with pytest.raises(FileNotFoundError, match="font_that_is_not_there"):
        faces.face_path("gone")
