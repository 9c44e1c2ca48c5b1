"""Sweeps as files: what is refused before anything starts, with its place, and what the schema's own ranges give."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.core.errors import BadInput
from glyphyard.recipe.augmentation import AugmentationConfig
from glyphyard.recipe.load import load_recipe, recipe_from_json
from glyphyard.recipe.model import OnPreset
from glyphyard.recipe.sweep import AshaConfig, Dimension, SweepConfig, halvings
from glyphyard.recipe.sweep_laws import SWEEP_LAWS, without_effect
from glyphyard.recipe.sweep_load import auto_space, load_sweep, sweep_from_json
from glyphyard.recipe.sweep_with_base import Sweep, differences, place
from glyphyard.tasks.base import Rows
from glyphyard.tasks.super_resolution.pairs import pair_up

Write = Callable[..., Path]
ROOT = Path(__file__).parents[2]
SHIPPED = sorted(p for p in (ROOT / "recipes").rglob("*.yaml") if "sweeps" in p.parts)
SWEEP = """\
name: search
recipe: little.yaml
space:
  stages.main.lr: {loguniform: [1e-4, 1e-2]}
  model.dropout: {uniform: [0.0, 0.5]}
  stages.main.optimizer.name: {choice: [adamw, sgd]}
  stages.main.optimizer.momentum: {uniform: [0.8, 0.9], when: {stages.main.optimizer.name: sgd}}
objective: {metric: cer, direction: minimize}
budget: {trials: 5}
"""


@pytest.fixture
def write_sweep(write_recipe: Write, tmp_path: Path) -> Write:
    """Return a function that writes the sweep, and its base recipe, with `old` replaced by `new`."""

    def write(old: str = "", new: str = "") -> Path:
        write_recipe()
        assert old in SWEEP, f"{old!r} is not in the sweep"
        path = tmp_path / "sweep.yaml"
        path.write_text(SWEEP.replace(old, new) if old else SWEEP + new)
        return path

    return write


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: "/".join(p.parts[-3:]))
def test_every_shipped_sweep_loads_and_survives_json(path: Path) -> None:
    sweep = load_sweep(path)
    again = sweep_from_json(sweep.to_json(), "sweep.json")
    assert again == sweep
    assert differences(sweep, again) == []


def test_there_is_a_sweep_for_the_main_recipe() -> None:
    assert {load_sweep(p).base.name for p in SHIPPED} >= {"florida_crnn", "tiny_florida_crnn"}


MISTAKES = [
    ("model.dropout", "model.dorpout", 5, ["GY020", "did you mean `model.dropout`?"]),
    ("model.dropout: {uniform: [0.0, 0.5]}", "stages.main.optimizer: {choice: [a, b]}", 5, ["GY020", "keys"]),
    ("stages.main.lr", "stages.other.lr", 4, ["GY020", "`other`", "main"]),
    ("model.dropout: {uniform: [0.0, 0.5]}", "dataset.split.test: {uniform: [0.1, 0.2]}", 5, ["GY021", "dataset.split.test"]),
    ("[0.0, 0.5]", "[0.0, 1.5]", 5, ["GY022", "1.5", "less than 1"]),
    ("{uniform: [0.0, 0.5]}", "{choice: [0.1, high]}", 5, ["GY022", "'high'"]),
    ("when: {stages.main.optimizer.name: sgd}", "when: {model.layers: 2}", 7, ["GY023", "model.layers"]),
    ("when: {stages.main.optimizer.name: sgd}", "when: {stages.main.optimizer.name: adam}", 7, ["GY023", "never 'adam'"]),
    ("model.dropout: {uniform: [0.0, 0.5]}", "stages.0.lr: {uniform: [0.1, 0.2]}", 5, ["GY024", "stages.main.lr"]),
    ("budget: {trials: 5}", "budget: {}", 9, ["GY025", "neither trials nor hours"]),
    ("metric: cer", "metric: wordrate", 8, ["GY026", "wordrate", "cer"]),
    ("budget:", "sampler: grid\nbudget:", 4, ["GY027", "points"]),
    ("budget:", "asha: {grace_epochs: 2}\nbudget:", 9, ["GY028", "grace_epochs 2", "2 epochs"]),
    ("budget:", "storage: postgresql://me:secret@db/x\nbudget:", 9, ["GY029", "GLYPHYARD_STUDY"]),
    (
        "model.dropout: {uniform: [0.0, 0.5]}",
        "augmentation.horizontal_flip: {choice: [false, true]}",
        5,
        ["GY030", "no trial", "True"],
    ),
    ("budget:", "resources: {workers: 3}\nbudget:", 9, ["GY031", "batch_size", "3 workers"]),
    ("budget:", "resources: {workers: 2, gpus_per_worker: 0.5}\nbudget:", 9, ["GY031", "whole GPUs"]),
    ("trials: 5", "trials: 0", 9, ["budget.trials", "greater than or equal to 1", "found 0"]),
    ("trials: 5", "hours: 0", 9, ["budget.hours", "greater than 0"]),
    ("trials: 5", "trails: 5", 9, ["did you mean `trials`?"]),
    ("[0.0, 0.5]", "[0.5, 0.5]", 5, ["low < high"]),
    ("[1e-4, 1e-2]", "[0, 1e-2]", 4, ["positive"]),
    ("{uniform: [0.0, 0.5]}", "{uniform: [0.0, 0.5], int: [0, 1]}", 5, ["exactly one", "uniform, int"]),
    ("[adamw, sgd]", "[sgd, sgd]", 6, ["twice"]),
    ("direction: minimize", "direction: down", 8, ["minimize", "'down'"]),
    ("recipe: little.yaml", "recipe: other.yaml", None, ["other.yaml", "no such file"]),
    ("recipe: little.yaml\n", "", None, ["`recipe` is missing"]),
]


@pytest.mark.parametrize(("old", "new", "line", "words"), MISTAKES, ids=[str(m[3][0]) + m[1][:12] for m in MISTAKES])
def test_a_mistake_names_its_place_and_both_sides(
    write_sweep: Write, old: str, new: str, line: int | None, words: list[str]
) -> None:
    path = write_sweep(old, new)
    with pytest.raises(BadInput) as caught:
        load_sweep(path)
    told = str(caught.value)
    assert line is None or f"{path}:{line}:" in told, told
    assert all(word in told for word in words), told
    assert "\n" not in told
    assert "secret" not in told


def test_every_sweep_law_has_a_code_of_its_own_and_a_test() -> None:
    codes = [(law.__doc__ or "").partition(":")[0] for law in SWEEP_LAWS]
    assert len(set(codes)) == len(codes)
    assert set(codes) == {m[3][0] for m in MISTAKES if str(m[3][0]).startswith("GY")}


def test_a_circle_of_conditions_is_refused(write_sweep: Write) -> None:
    path = write_sweep("{choice: [adamw, sgd]}", "{choice: [adamw, sgd], when: {stages.main.optimizer.momentum: 0.85}}")
    with pytest.raises(BadInput, match=r"GY023.*depend on each other"):
        load_sweep(path)


def test_overrides_reach_the_sweep_and_its_base(write_sweep: Write) -> None:
    sweep = load_sweep(write_sweep(), ["budget.trials=9", "recipe.stages.main.epochs=7"])
    assert sweep.config.budget.trials == 9
    assert sweep.epochs == 7


def test_values_reach_their_fields_and_nothing_else(write_sweep: Write) -> None:
    sweep = load_sweep(write_sweep())
    recipe = recipe_from_json(sweep.with_values({"stages.main.lr": 0.005, "model.dropout": 0.3}, seed=11))
    assert (recipe.stages[0].lr, recipe.model.dropout, recipe.seed) == (0.005, 0.3, 11)
    assert sweep.base.stages[0].lr == 1e-3
    back = recipe_from_json(sweep.with_values({}))
    assert back.fingerprint == sweep.base.fingerprint


# Each field that chooses a preset: a recipe, what it already says of that part, and a field whose size tells two presets apart.
PRESETS = [
    ("lpsr_progressive", [], "model.generator.preset", ["max", "lightweight"], "embed_dim"),
    ("lpsr_us_plates", [], "model.generator.preset", ["max", "lightweight"], "blocks"),  # which states embed_dim and pyramid
    ("lpsr_progressive", [], "model.recogniser.size", ["base", "tiny", "small_cpu"], "embed_dim"),
    ("florida_parseq", [], "model.size", ["base", "tiny", "small_cpu"], "heads"),
    ("lpsr_us_plates", [], "model.recogniser.trunk", ["mobile", "deep"], "channels"),  # which states dropout
    ("handwriting_crnn", ["model.dropout=0.1"], "model.trunk", ["mobile", "deep"], "layers"),  # as the other trunk has it
    ("lpsr_progressive", ["stages.finetune.train=[generator]"], "model.lcofl.form", ["differentiable", "official"], "layout"),
    ("character_maskrcnn", [], "model.backbone", ["resnet50", "light"], "anchors_px"),
]


def sweep_over(space: dict[str, list[Any]], name: str, set_: list[str], folder: Path) -> Sweep:
    recipe = ROOT / "recipes" / f"{name}.yaml"
    metric = {"character_maskrcnn": "map50"}.get(name, "exact_match")
    lines = [f"  {path}: {{choice: {json.dumps(values)}}}\n" for path, values in space.items()]
    head = SWEEP.replace("little.yaml", str(recipe)).replace("cer, direction: minimize", f"{metric}, direction: maximize")
    file = folder / "presets.yaml"
    file.write_text(head[: head.index("  stages")] + "".join(lines) + head[head.index("objective") :])
    return load_sweep(file, [f"recipe.{change}" for change in set_])


@pytest.mark.parametrize(("name", "set_", "path", "presets", "size"), PRESETS, ids=[f"{p[0]}-{p[2]}" for p in PRESETS])
def test_a_trial_of_a_preset_is_built_as_set_builds_it(
    name: str, set_: list[str], path: str, presets: list[str], size: str, tmp_path: Path
) -> None:
    file, part = ROOT / "recipes" / f"{name}.yaml", path.rpartition(".")[0]
    fresh = sweep_over({path: presets}, name, set_, tmp_path)
    for sweep in (fresh, sweep_from_json(json.loads(json.dumps(fresh.to_json())), "sweep.json")):  # as begun, and as resumed
        sizes = set()
        for preset in presets:
            tree = sweep.with_values({path: preset})
            assert tree == load_recipe(file, [*set_, f"{path}={preset}"]).to_json()
            node, key = place(tree, f"{part}.{size}")
            sizes.add(str(node[key]))
        assert len(sizes) == len(presets)


def test_every_field_that_chooses_a_preset_is_tried_above() -> None:
    assert {kind.preset_key for kind in OnPreset.__subclasses__()} == {p[2].rpartition(".")[2] for p in PRESETS}


def test_what_varies_beside_a_preset_is_not_left_to_it(tmp_path: Path) -> None:
    space = {
        "model.generator.pyramid.scales": [[1.0], [1.0, 0.5]],
        "model.generator.preset": ["max", "lightweight"],
        "model.generator.rstb": [2, 3],
    }
    values = {"model.generator.pyramid.scales": [1.0], "model.generator.preset": "lightweight", "model.generator.rstb": 2}
    base = ["model.generator={scale: 4}"]  # all else is the preset's
    for ordered in (values, dict(reversed(values.items()))):
        generator = sweep_over(space, "lpsr_progressive", base, tmp_path).with_values(ordered)["model"]["generator"]
        assert (generator["embed_dim"], generator["rstb"], generator["pyramid"]["scales"]) == (96, 2, [1.0])


def test_values_that_make_no_recipe_are_told_when_one_is_built(tmp_path: Path) -> None:
    space = {"model.backbone": ["resnet50", "light"], "model.min_side_px": [256, 800]}
    sweep = sweep_over(space, "character_maskrcnn", [], tmp_path)
    tree = sweep.with_values({"model.backbone": "light", "model.min_side_px": 800})  # whose longer side is 768 px
    assert tree["runtime"] == sweep.base.to_json()["runtime"]
    with pytest.raises(BadInput, match=r"these values: .*min_side_px.*800 and 768"):
        recipe_from_json(tree, "these values", "")


def test_a_field_that_the_base_begins_to_state_changes_a_sweep_of_its_preset(tmp_path: Path) -> None:
    space = {"model.recogniser.size": ["base", "tiny"]}
    before = sweep_over(space, "lpsr_progressive", [], tmp_path)
    now = sweep_over(space, "lpsr_progressive", ["model.recogniser.depth=12"], tmp_path)  # what `base` gives anyway
    (told,) = differences(before, now)
    assert "model.recogniser.size" in told


def test_the_base_recipe_is_a_point_of_the_space_where_it_lies_inside(write_sweep: Write) -> None:
    assert load_sweep(write_sweep()).base_values() == {
        "stages.main.lr": 1e-3,
        "model.dropout": 0.1,
        "stages.main.optimizer.name": "adamw",
    }
    assert load_sweep(write_sweep("[0.0, 0.5]", "[0.2, 0.5]")).base_values() is None


def test_the_schema_gives_a_space_of_its_own(write_sweep: Write) -> None:
    space_of_file = SWEEP[SWEEP.index("space:") : SWEEP.index("objective:")]
    sweep = load_sweep(write_sweep(space_of_file, "space: auto\n"))
    space = sweep.config.space
    assert space["stages.main.lr"].loguniform == (1e-4, 1e-2)
    assert space["model.dropout"].kind == "uniform"
    assert space["stages.main.batch_size"].choice == (16, 32, 64, 128, 256)
    assert "augmentation.rotate_deg" in space


def test_the_schemas_batch_sizes_divide_over_the_workers() -> None:
    recipe = load_recipe(ROOT / "recipes" / "tiny" / "florida_crnn.yaml")
    assert auto_space(recipe, workers=32)["stages.main.batch_size"]["choice"] == [32, 64, 128, 256]


@pytest.mark.parametrize("name", ["lpsr_us_plates", "handwriting_yolo"])
def test_the_schema_gives_no_field_that_the_task_ignores(name: str) -> None:
    recipe = load_recipe(ROOT / "recipes" / f"{name}.yaml")
    space = auto_space(recipe)
    assert "augmentation.rotate_deg" in space
    assert "augmentation.blur_sigma_px" not in space
    for path in (path for path in space if path.startswith("augmentation.")):  # no trial may be refused for it
        load_recipe(ROOT / "recipes" / f"{name}.yaml", [f"{path}={space[path]['uniform'][1]}"])


@pytest.mark.parametrize("field", ["blur_sigma_px", "noise_std", "downscale"])
def test_a_field_that_super_resolution_ignores_is_refused(field: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=rf"GY021.*augmentation\.{field}.*super_resolution"):
        sweep_over({f"augmentation.{field}": [0.0, 0.4]}, "lpsr_us_plates", [], tmp_path)


def test_what_is_told_to_have_no_effect_on_super_resolution_has_none_and_all_else_has() -> None:
    base = load_recipe(ROOT / "recipes" / "lpsr_us_plates.yaml")
    pictures = torch.randint(0, 256, (4, 32, 96, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    rows = Rows(pictures, ["A"] * 4, torch.arange(4), {})
    off = dict.fromkeys(AugmentationConfig.model_fields, 0.0) | {"horizontal_flip": False}

    def high(**change: float) -> torch.Tensor:
        recipe = base.model_copy(update={"augmentation": AugmentationConfig.model_validate(off | change)})
        return pair_up(rows, recipe, torch.Generator().manual_seed(2)).images

    ignored = [f"augmentation.{name}" for name in set(off) - {"horizontal_flip"} if torch.equal(high(**{name: 0.9}), high())]
    assert sorted(ignored) == sorted(without_effect(base))


def test_what_may_not_change_between_sessions_is_told(write_sweep: Write) -> None:
    before = load_sweep(write_sweep())
    assert differences(before, load_sweep(write_sweep(), ["budget.trials=50", "concurrency=2", "confirm.top_k=1"])) == []
    changed = differences(before, load_sweep(write_sweep("[0.0, 0.5]", "[0.0, 0.4]")))
    assert changed == ["space.model.dropout.uniform was [0.0, 0.5], is [0.0, 0.4]"]
    other_base = differences(before, load_sweep(write_sweep(), ["recipe.stages.main.epochs=3"]))
    assert other_base == ["recipe.stages.0.epochs was 2, is 3"]
    (gone,) = differences(before, load_sweep(write_sweep("  model.dropout: {uniform: [0.0, 0.5]}\n", "")))
    assert gone.startswith("space.model.dropout was ")
    assert gone.endswith("is absent")


def config(space: dict[str, Dimension]) -> SweepConfig:
    return SweepConfig.model_validate(
        {
            "name": "x",
            "recipe": "x.yaml",
            "space": space,
            "objective": {"metric": "cer", "direction": "minimize"},
            "budget": {"trials": 1},
        }
    )


def test_a_grid_visits_conditional_fields_only_where_they_are_varied() -> None:
    space = {
        "b": Dimension(uniform=(0.0, 1.0), points=3, when={"a": "on"}),
        "a": Dimension(choice=("on", "off")),
    }
    assert config(space).grid() == [{"a": "on", "b": 0.0}, {"a": "on", "b": 0.5}, {"a": "on", "b": 1.0}, {"a": "off"}]


@given(
    low=st.integers(-50, 50),
    length=st.integers(1, 60),
    step=st.integers(1, 7),
    points=st.integers(2, 9),
    ratio=st.floats(1.5, 1e4),
)
def test_every_point_of_a_grid_lies_in_its_dimension(low: int, length: int, step: int, points: int, ratio: float) -> None:
    for dimension in (
        Dimension(int_=(low, low + length), step=step),
        Dimension(uniform=(float(low), float(low + length)), points=points),
        Dimension(loguniform=(1e-3, 1e-3 * ratio), points=points),
    ):
        grid = dimension.grid()
        assert grid
        assert grid[0] == dimension.bounds[0]
        first, last = dimension.bounds
        assert all(first - 1e-9 <= v <= last + 1e-9 for v in grid)
        assert len(set(grid)) == len(grid)
        if dimension.kind == "int":
            assert all(dimension.holds(v) for v in grid)


@given(st.integers(1, 300), st.integers(1, 20), st.integers(2, 8))
def test_rungs_lie_before_the_last_epoch_and_grow_by_the_factor(epochs: int, grace: int, factor: int) -> None:
    rungs = halvings(epochs, AshaConfig(grace_epochs=grace, reduction_factor=factor))
    assert all(r < epochs for r in rungs)
    assert rungs == [grace * factor**k for k in range(len(rungs))]
    assert grace * factor ** len(rungs) >= epochs


def test_a_sweep_without_its_base_is_a_type_error_nowhere(write_sweep: Write) -> None:
    with pytest.raises(BadInput, match="recipe"):
        load_sweep(write_sweep("recipe: little.yaml", "recipe: [1]"))


def test_a_sweep_is_rebuilt_only_from_a_sweep() -> None:
    with pytest.raises(BadInput, match=r"sweep\.json"):
        sweep_from_json({"sweep": {"name": 1}}, "sweep.json")


def test_a_recipe_is_no_sweep() -> None:
    with pytest.raises(BadInput, match=r"is a recipe.*glyphyard run"):
        load_sweep(Path(__file__).parents[2] / "recipes" / "florida_crnn.yaml")


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ("{model.generator.scale: {choice: [2, 4]}}", r"\[GY030\] no trial can have 4: \[GY058\]"),
        ("{model.generator.heads: {choice: [2, 3]}}", r"\[GY030\] no trial can have 3: \[GY051\]"),
        ("{model.generator.pyramid.layout: {choice: [brazilian, none]}}", r"\[GY030\] no trial can have 'none': .*audited anew"),
        ("{model.generator.heads: {choice: [2, 3]}, model.generator.embed_dim: {choice: [8, 12]}}", ""),
        ("{model.generator.heads: {choice: [2, 3]}, model.generator.embed_dim: {int: [8, 16], step: 4}}", ""),
    ],
)
def test_a_choice_that_no_trial_can_have_is_refused_and_one_that_some_can_is_not(space: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    recipe = ROOT / "recipes" / "tiny" / "lpsr_progressive.yaml"
    objective = "objective: {metric: word_acc, direction: maximize}\nbudget: {trials: 5}\n"
    path.write_text(f"name: search\nrecipe: {recipe}\nspace: {space}\n{objective}")
    if not told:
        assert load_sweep(path).config.space
        return
    with pytest.raises(BadInput, match=told):
        load_sweep(path)


@pytest.mark.parametrize(
    ("recipe", "stated", "more"),
    [
        (  # what is not varied beside 100 stays the base's own
            "parseq",
            "{model.stem: patches, model.embed_dim: 96, model.heads: 6, model.decoder_heads: 4}",
            "space:\n  model.embed_dim: {choice: [96, 100]}\n  model.heads: {choice: [6, 5]}\n"
            "  model.decoder_heads: {choice: [6, 12], when: {model.embed_dim: 96}}\n",
        ),
        (  # a trial has the sweep's workers, not the recipe's
            "florida_crnn",
            "{runtime.workers: 4, stages.main.batch_size: 16}",
            "space:\n  stages.main.batch_size: {choice: [16, 18]}\nresources: {workers: 1}\n",
        ),
    ],
)
def test_a_choice_that_a_trial_can_have_is_not_refused(recipe: str, stated: str, more: str, tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    head = f"name: search\nrecipe: {ROOT / 'recipes' / 'tiny' / f'{recipe}.yaml'}\nset: {stated}\n"
    path.write_text(f"{head}{more}objective: {{metric: cer, direction: minimize}}\nbudget: {{trials: 2}}\n")
    assert load_sweep(path).config.space
