"""Splits: by group, by hash, the same for ever; nothing stands on two sides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.data.sources import Row
from glyphyard.data.split import assign, group_of, unite, yielding
from glyphyard.recipe.dataset import SPLITS, SplitConfig


def row(source="a", path="images/1.jpg", render=None):
    return Row(source, f"{source}.txt", 1, path, "X", file=None if render else path, render=render)


def test_the_side_of_a_group_is_frozen():
    config = SplitConfig(validation=0.1, test=0.15)
    frozen = {"FL0": "train", "FL2": "test", "FL7": "validation", "ABC123": "train", "Q": "test"}
    assert {group: assign(group, config, SPLITS) for group in frozen} == frozen


def test_shares_are_of_groups():
    config = SplitConfig(validation=0.1, test=0.2)
    sides = [assign(f"plate {i}", config, SPLITS) for i in range(5000)]
    assert sides.count("test") / 5000 == pytest.approx(0.2, abs=0.02)
    assert sides.count("validation") / 5000 == pytest.approx(0.1, abs=0.02)


@given(st.text(max_size=12), st.sampled_from([("train",), ("test",), ("train", "validation"), ("validation", "test"), SPLITS]))
def test_a_source_stands_only_where_it_may(group, allowed):
    config = SplitConfig(validation=0.3, test=0.3)
    side = assign(group, config, allowed)
    assert side in allowed
    if assign(group, config, SPLITS) in allowed and "train" in allowed:
        assert side == assign(group, config, SPLITS)


def test_another_salt_is_another_split():
    groups = [str(i) for i in range(200)]
    one, other = ([assign(g, SplitConfig(salt=salt), SPLITS) for g in groups] for salt in ("a", "b"))
    assert one != other


def test_groups_by_text_path_or_camera():
    by = {how: SplitConfig(group_by=how) for how in ("text", "path", r"cam(\d+)")}
    track = row(path="cam12/7.jpg")
    assert group_of(track, "ABC", None, by["text"]) == "ABC"
    assert group_of(track, "ABC", None, by["path"]) == "a:cam12/7.jpg"
    assert group_of(track, "ABC", None, by[r"cam(\d+)"]) == "12"
    assert group_of(track, "ABC", "text", by["path"]) == "ABC"
    assert group_of(row(path="x.jpg"), "ABC", None, by[r"cam(\d+)"]) is None
    assert group_of(row(render=("florida", 1, 2, 1.0)), "ABC", None, by[r"cam(\d+)"]) == "ABC"


def test_groups_that_share_an_image_are_one():
    assert unite(["b", "c", "a", "d"], ["x", "y", "x", ""]) == ["a", "c", "a", "d"]
    assert unite(["a", "b", "b", "c"], ["x", "x", "y", "y"]) == ["a"] * 4


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvwxyz")), max_size=20))
def test_after_uniting_an_image_has_one_group(pairs):
    groups, images = [g for g, _ in pairs], [i for _, i in pairs]
    united = unite(groups, images)
    assert len(set(zip(images, united, strict=True))) == len(set(images))
    assert united == unite(united, images)


def sides_after(rows, texts, groups, splits, images=None, plates=("a", "b", "real", "train", "held", "val")):
    out = yielding(rows, texts, groups, images or [str(i) for i in range(len(rows))], splits, plates)
    return [None if i in out else split for i, split in enumerate(splits)]


def test_a_row_yields_to_its_group_on_a_stronger_side_of_another_source():
    rows = [row("train"), row("held"), row("train"), row("val")]
    after = sides_after(rows, ["P", "P", "Q", "P"], ["P", "P", "Q", "P"], ["train", "test", "train", "validation"])
    assert after == [None, "test", "train", None]


def test_the_same_bytes_never_stand_on_two_sides():
    rows = [row("train", "1.jpg"), row("held", "other.jpg")]
    assert sides_after(rows, ["P", "P"], ["train:1.jpg", "held:other.jpg"], ["train", "test"], ["same", "same"]) == [None, "test"]


def test_rendered_rows_yield_to_real_ones_and_to_held_out_rendered_ones():
    rows = [
        row("real"),
        row("synth", render=("f", 1, 0, 1.0)),
        row("real"),
        row("synth", render=("f", 1, 1, 1.0)),
        *[row("synth", render=("f", 2, i, 1.0)) for i in (0, 1)],
    ]
    after = sides_after(rows, list("AABBCC"), list("AABBCC"), ["test", "train", "train", "test", "train", "test"])
    assert after == ["test", None, "train", None, None, "test"]


def test_a_plate_of_two_tracks_yields_to_the_stronger_side():
    rows = [row("a", f"track{i}_0.jpg") for i in range(4)]
    assert sides_after(rows, list("PPQQ"), list("1234"), ["train", "test", "validation", "test"]) == [None, "test", None, "test"]
    assert sides_after(rows, list("PPQQ"), list("1234"), ["train", "train", "test", "test"]) == ["train", "train", "test", "test"]


def test_two_writers_may_write_one_word_on_two_sides():
    rows = [row("a", f"W{i}_0.jpg") for i in range(2)]
    assert sides_after(rows, ["Ulm", "Ulm"], ["W0", "W1"], ["train", "test"], plates=()) == ["train", "test"]


def test_what_is_left_out_itself_makes_nobody_yield():
    rows = [row("a"), row("a"), row("b")]  # the middle one's track is held out, so its plate is free to train on
    assert sides_after(rows, ["P", "P", "Q"], ["1", "2", "2"], ["train", "validation", "test"]) == ["train", None, "test"]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("PQR"), st.sampled_from(SPLITS), st.booleans()), max_size=25))
def test_no_plate_stands_on_two_sides(listed):
    rows = [row(source, render=("f", 1, i, 1.0) if rendered else None) for i, (source, _, _, rendered) in enumerate(listed)]
    texts = [text for _, text, _, _ in listed]
    after = sides_after(rows, texts, texts, [side for *_, side, _ in listed])
    kept = {(text, side) for text, side in zip(texts, after, strict=True) if side}
    assert len(kept) == len({text for text, _ in kept})
    real_texts = {text for _, text, _, rendered in listed if not rendered}
    assert real_texts <= {text for text, _ in kept}


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("PQR"), st.sampled_from("1234"), st.booleans()), max_size=25),
    st.lists(st.sampled_from(SPLITS), min_size=8, max_size=8),
)
def test_no_plate_and_no_track_stands_on_two_sides_when_tracks_are_not_texts(listed, sides):
    rows = [row(source, render=("f", 1, i, 1.0) if rendered else None) for i, (source, *_, rendered) in enumerate(listed)]
    texts, groups = [text for _, text, _, _ in listed], [group for _, _, group, _ in listed]
    side = dict(zip([(s, g) for s in "ab" for g in "1234"], sides, strict=True))  # a track has one side in each source
    after = sides_after(rows, texts, groups, [side[source, group] for source, _, group, _ in listed])
    real = [(group, s) for group, s, r in zip(groups, after, rows, strict=True) if s and not r.render]
    for kept in ({(text, s) for text, s in zip(texts, after, strict=True) if s}, set(real)):
        assert len(kept) == len({name for name, _ in kept})
