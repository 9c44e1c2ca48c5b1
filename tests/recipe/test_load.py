"""Loading recipes: positions, nearest keys, inheritance, overrides, and what never enters a fingerprint."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glyphyard.core.errors import BadInput
from glyphyard.recipe.load import load_recipe, recipe_from_json

Write = Callable[..., Path]
SHIPPED = sorted((Path(__file__).parents[2] / "recipes").rglob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_every_shipped_recipe_loads_and_survives_json(path: Path) -> None:
    if "sweeps" in path.parts:
        pytest.skip("a search space, not a recipe")
    recipe = load_recipe(path)
    again = recipe_from_json(recipe.to_json())
    assert again == recipe
    assert again.suite == recipe.suite
    assert again.fingerprint == recipe.fingerprint


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda tree: tree | {"colour": "red"}, "colour"),
        (lambda tree: tree | {"seed": "seven"}, "seed.*seven"),
        (lambda tree: tree | {"suite": tree["suite"] | {"min_sample": 3}}, "min_sample.*min_samples"),
        (lambda tree: [tree], "list"),
        (lambda tree: None, "NoneType"),
    ],
)
def test_a_recipe_that_this_version_does_not_know_says_what_is_wrong_with_it(change: Callable[[Any], Any], told: str) -> None:
    with pytest.raises(BadInput, match=f"the-run: .*{told}"):
        recipe_from_json(change(load_recipe(SHIPPED[0]).to_json()), "the-run")


def test_loading_needs_neither_torch_nor_ray() -> None:
    code = (
        "import sys\nfrom glyphyard.recipe.load import load_recipe\n"
        f"[load_recipe(p) for p in {[str(p) for p in SHIPPED if 'sweeps' not in p.parts]!r}]\n"
        "print([m for m in ('torch', 'ray', 'mlflow', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_text_that_is_no_number_is_not_told_to_lose_its_quotes(write_recipe: Write) -> None:
    with pytest.raises(BadInput) as caught:
        load_recipe(write_recipe("seed: 3", "seed: seven"))
    assert "quotes" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("    epochs: 2", "    epoch: 2", 11, ["stages.0.epoch", "did you mean `epochs`?"]),
        ("seed: 3", "sede: 3", 3, ["unknown key `sede`", "`seed`"]),
        ("      count: 10", "      cuont: 10", 8, ["did you mean `count`?"]),
        ("    lr: 1e-3", "    lr: '1e-3'", 12, ["stages.0.lr", "number", "'1e-3'"]),
        ("    lr: 1e-3", "    lr: .nan", 12, ["stages.0.lr", "finite"]),
        ("    epochs: 2", "    epochs: 2.5", 11, ["stages.0.epochs", "2.5"]),
        ("task: recognition", "task: reading", 2, ["task", "recognition", "reading"]),
        ("      kind: synthetic_plates", "      kind: lmdb", 6, ["lmdb", "plate_tsv"]),
        ("    lr: 1e-3", "    lr: 1e-3\n    train: model", 13, ["stages.0.train", "a list", "'model'"]),
        ("    lr: 1e-3", "    lr: 1e-3\n    resume_at: 3", 13, ["unknown key", "resume_at"]),
        ("name: little", "name: Little Plates", 1, ["`name`", "of the form", "'Little Plates'"]),
        ("    - name: made\n      kind: synthetic_plates\n      count: 10\n", "", 5, ["dataset.sources", "a list"]),
        ("\n    - name: made\n      kind: synthetic_plates\n      count: 10\n", " 5\n", 5, ["dataset.sources", "a list", "5"]),
        ("seed: 3", "seed: 3\nexport: 4", 4, ["`export`", "keys and values", "4"]),
        ("seed: 3", 'seed: "7"', 3, ["`seed`", "a whole number", "'7'", "remove the quotes"]),
        ("seed: 3", "seed: 3\nmodel: {network: resnet}", 4, ["`model.network`", "crnn, parseq", "'resnet'"]),
        ("seed: 3", "seed: 3\nmodel: {network: parsec}", 4, ["'parsec'", "did you mean parseq?"]),
        ("seed: 3", "seed: 3\nmodel: [crnn]", 4, ["`model`", "keys and values", "a list"]),
        ("  suite: suite.yaml", "  suite: [1]", 14, ["`evaluate.suite`", "the path of a file", "a list"]),
    ],
)
def test_a_mistake_names_file_line_and_both_sides(write_recipe: Write, old: str, new: str, line: int, words: list[str]) -> None:
    path = write_recipe(old, new)
    with pytest.raises(BadInput) as caught:
        load_recipe(path)
    assert f"{path}:{line}:" in str(caught.value)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_that_stands_twice_is_refused(write_recipe: Write) -> None:
    path = write_recipe("seed: 3", "seed: 3\nseed: 4")
    with pytest.raises(BadInput, match=r"little\.yaml:4:1: the key 'seed' stands here twice"):
        load_recipe(path)


@pytest.mark.parametrize("content", ["", "- a\n- b\n", "a: [1\n", "a: b: c\n", "\t- x"])
def test_what_is_no_recipe_is_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "no.yaml"
    path.write_text(content)
    with pytest.raises(BadInput) as caught:
        load_recipe(path)
    assert "no.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "no.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match=r"no\.yaml"):
        load_recipe(tmp_path / "no.yaml")


def test_a_missing_recipe_suggests_its_neighbour(write_recipe: Write) -> None:
    path = write_recipe()
    with pytest.raises(BadInput, match=r"did you mean .*little\.yaml"):
        load_recipe(path.with_name("litle.yaml"))


def test_a_suite_is_named_by_its_path(write_recipe: Write) -> None:
    with pytest.raises(BadInput, match=r"little\.yaml:\d+:\d+: `evaluate\.suite`: no such file .*us_plates.*by its path"):
        load_recipe(write_recipe("  suite: suite.yaml", "  suite: us_plates"))
    with pytest.raises(BadInput, match=r"`evaluate\.suite`: no such file .*suit\.yaml.*did you mean .*suite\.yaml"):
        load_recipe(write_recipe("  suite: suite.yaml", "  suite: suit.yaml"))


def test_yaml_1_2_numbers_and_words(write_recipe: Write) -> None:
    recipe = load_recipe(write_recipe("    lr: 1e-3", "    lr: 7e-4"))
    assert recipe.stages[0].lr == 7e-4
    assert load_recipe(write_recipe("name: made", "name: no")).dataset.sources[0].name == "no"


def test_extends_merges_keys_and_replaces_lists(write_recipe: Write, tmp_path: Path) -> None:
    write_recipe()
    sub = tmp_path / "sub"
    sub.mkdir()
    child = sub / "child.yaml"
    child.write_text("extends: ../little.yaml\nname: child\ndataset:\n  case: keep\n")
    recipe = load_recipe(child)
    assert (recipe.name, recipe.dataset.case, recipe.seed) == ("child", "keep", 3)
    assert recipe.evaluate.suite == tmp_path / "suite.yaml", "a path belongs to the file that states it"
    child.write_text("extends: ../little.yaml\nmodel: {network: parseq, size: tiny}\n")
    parent = sub / "parent.yaml"
    parent.write_text(child.read_text())
    child.write_text("extends: parent.yaml\nmodel: {network: crnn, hidden: 32}\n")
    assert load_recipe(child).model.hidden == 32, "PARSeq's fields are gone with it"
    child.write_text("extends: ../little.yaml\nsede: 4\n")
    with pytest.raises(BadInput, match=r"child\.yaml:2:1"):
        load_recipe(child)


def test_extends_in_a_circle_is_refused(write_recipe: Write) -> None:
    path = write_recipe("seed: 3", "extends: little.yaml")
    with pytest.raises(BadInput, match="circle"):
        load_recipe(path)


def test_overrides_by_index_and_by_name(write_recipe: Write) -> None:
    recipe = load_recipe(
        write_recipe(), ["stages.0.lr=3e-4", "stages.main.clip_norm=1", "dataset.sources.made.count=7", "runtime.workers=2"]
    )
    assert (recipe.stages[0].lr, recipe.stages[0].clip_norm) == (3e-4, 1)
    assert (recipe.dataset.sources[0].count, recipe.runtime.workers) == (7, 2)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("stages.0.lr", ["KEY=VALUE"]),
        ("stages.3.lr=1", ["`3`", "main"]),
        ("stages.main.lr=fast", ["--set stages.main.lr=fast", "number"]),
        ("stagse.main.lr=1", ["stagse", "stages"]),
        ("seed.x=1", ["seed"]),
        ("stages.main.lr=[1,", ["--set stages.main.lr=[1,", "YAML"]),
        ("name=*x", ["--set name=*x", "YAML"]),
        ("dataset.sources.made.kind=plate_tsw", ["plate_tsw", "plate_tsv"]),
    ],
)
def test_a_wrong_override_names_itself(write_recipe: Write, override: str, words: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        load_recipe(write_recipe(), [override])
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_own_labels_become_the_judge(write_recipe: Write, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    recipe = load_recipe(write_recipe(), labels=[labels])
    made, own = recipe.dataset.sources
    assert made.splits == ("train",)
    assert own.splits == ("train", "validation", "test")
    assert own.kind == "plate_tsv"
    assert own.labels == labels


def test_a_fingerprint_knows_no_place_and_no_machine(write_recipe: Write, tmp_path: Path) -> None:
    here = load_recipe(write_recipe(), labels=[tmp_path / "a" / "labels.txt"])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("little.yaml", "suite.yaml"):
        shutil.copy(tmp_path / name, elsewhere / name)
    there = load_recipe(elsewhere / "little.yaml", ["runtime.workers=2"], labels=[tmp_path / "b" / "labels.txt"])
    assert here.fingerprint == there.fingerprint
    assert here.fingerprint != load_recipe(tmp_path / "little.yaml", ["seed=4"], labels=[tmp_path / "a"]).fingerprint
    (elsewhere / "suite.yaml").write_text((elsewhere / "suite.yaml").read_text().replace("0.85", "0.80"))
    assert load_recipe(elsewhere / "little.yaml").fingerprint != load_recipe(tmp_path / "little.yaml").fingerprint


def test_one_mistake_is_counted_as_one(write_recipe: Write) -> None:
    with pytest.raises(BadInput) as caught:
        load_recipe(write_recipe(), ["stages.main.lr=-1"])
    assert "more mistake" not in str(caught.value)


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is a folder"):
        load_recipe(tmp_path)


def test_a_list_that_is_too_short_says_how_long_it_has_to_be(write_recipe: Write) -> None:
    with pytest.raises(BadInput, match=r"little.yaml:\d+:.*stages.*expected at least 1 entries, found 0"):
        load_recipe(write_recipe("  - name: main\n    epochs: 2\n    lr: 1e-3\n", "  []\n"))


def test_a_sweep_is_no_recipe() -> None:
    with pytest.raises(BadInput, match=r"is a sweep.*glyphyard sweep"):
        load_recipe(next(p for p in SHIPPED if "sweeps" in p.parts))


@pytest.mark.parametrize(
    ("stated", "override"),
    [
        ("stages.0.guards", "[{metric: psn, min: 3}]"),
        ("dataset.sources", "[{kind: synthetic_plates, name: a, family: brasil, count: 3}]"),
    ],
)
def test_what_an_override_replaces_is_not_blamed_on_the_file(write_recipe: Write, stated: str, override: str) -> None:
    guarded = write_recipe("lr: 1e-3\n", "lr: 1e-3\n    guards:\n      - {metric: cer, max: 0.5}\n")
    with pytest.raises(BadInput) as caught:
        load_recipe(guarded, [f"{stated}={override}"])
    assert str(caught.value).startswith(f"--set {stated}=")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model={network: [parseq]}", ["model", "parseq"]),
        ("model={network: {a: 1}}", ["model"]),
        ("task=[super_resolution]", ["task"]),
        ("stages.0.losses=[{term: ctc}, {term: ctc}]", ["ctc", "twice"]),
        ("stages.0.losses=[{term: ctc, weight: 0}]", ["ctc", "weight 0"]),
        ("stages.0.guards=[{metric: cer, min: 12, max: 3}]", ["min 12", "max 3", "cer"]),
    ],
)
def test_what_says_two_things_or_none_is_one_line(write_recipe: Write, override: str, words: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        load_recipe(write_recipe(), [override])
    assert all(word in str(caught.value) for word in words), str(caught.value)
