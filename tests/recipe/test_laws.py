"""Every law is seen to be broken, with its code and both values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import glyphyard.data.imports
from glyphyard.core.errors import BadInput
from glyphyard.recipe.laws import LAWS
from glyphyard.recipe.load import load_recipe

Write = Callable[..., Path]
TWO_STAGES = "stages:\n  - {name: main, epochs: 1}"
RESTORER = [
    "task=super_resolution",
    "model={network: restorer, generator: {scale: 2}}",
    "dataset.low_resolution={scale: 2}",
    "stages=[{name: main, epochs: 1, losses: [{term: l1}], train: [generator], select: loss}]",
]
L1 = "stages.0.losses=[{term: l1}]"
DETECTOR = [
    "task=detection",
    "dataset.sources=[{name: made, kind: synthetic_pages, count: 10}]",
    "stages=[{name: main, epochs: 1, select: map}]",
]
BREACHES = [
    ("GY001", ["augmentation.horizontal_flip=true"], ["horizontal_flip", "recognition"]),
    ("GY002", ["stages=[{name: a, epochs: 1}, {name: a, epochs: 1}]"], ["'a'"]),
    ("GY003", ["stages.0.steps=5"], ["epochs=2", "steps=5"]),
    ("GY004", ["stages.0.sampling={mode: weighted, weights: {other: 1}}"], ["other", "made"]),
    ("GY005", ["dataset.split.test=0"], ["test split", "share 0"]),
    ("GY006", ["runtime.workers=3"], ["batch_size 32", "3 workers"]),
    ("GY007", ["dataset.image.height=40"], ["40x128", "16x4"]),
    ("GY008", ["stages.0.freeze=[model]"], ["model", "freeze"]),
    ("GY009", ["dataset.equivalences=['00']"], ["'00'"]),
    ("GY014", ["dataset.alphabet=ABCC"], ["'ABCC'", "['C']"]),
    ("GY014", ["dataset.alphabet=''"], ["found ''"]),
    ("GY014", ["dataset.equivalences=['0O']", "dataset.alphabet=ABCO"], ["folds onto ['0']"]),
    ("GY010", ["stages.0.init=somewhere"], ["somewhere"]),
    ("GY013", ["register.tracking_uri='https://me:secret@example.org/'"], ["tracking_uri", "MLFLOW_TRACKING_PASSWORD"]),
    ("GY040", ["export.targets=[{name: orin_nx_jp6}]"], ["orin_nx_jp6", "did you mean orin_nx_jp62"]),
    ("GY040", ["export.targets=[{name: thor_jp7}, {name: thor_jp7}]"], ["thor_jp7", "twice"]),
    ("GY041", ["export.targets=[{name: orin_nano_jp62, dla: 0}]"], ["dla 0", "0 accelerators"]),
    ("GY041", ["export.targets=[{name: orin_nx_jp62, dla: 1, precision: fp32}]"], ["dla 1", "fp32"]),
    ("GY042", ["export.targets=[{name: orin_nx_jp62, batch: {min: 4, opt: 2, max: 8}}]"], ["4 ≤ 2 ≤ 8"]),
    ("GY042", ["export.targets=[{name: orin_nx_jp62, batch: {max: 128}}]"], ["128", "max_batch: 64"]),
    ("GY043", ["export.targets=[{name: xavier_nx_jp51}]"], ["opset: 18", "TensorRT 8.5", "up to 17"]),
    ("GY044", ["export.targets=[{name: orin_nx_jp62, dla: 0}]"], ["dla 0", "from 1 to 64"]),
    ("GY050", ["model={network: parseq}", "stages.0.losses=[{term: ctc}]"], ["ctc", "parseq", "plm"]),
    ("GY015", ["runtime={launcher: in_process, workers: 2}"], ["in_process", "workers 2", "launcher ray"]),
    ("GY015", ["runtime={launcher: in_process, gpus_per_worker: 2}"], ["in_process", "gpus_per_worker 2"]),
    (
        "GY015",
        ["runtime={workers: 2, gpus_per_worker: 0.5}", "stages.0.batch_size=8"],
        ["workers 2", "gpus_per_worker 0.5", "whole GPUs"],
    ),
    ("GY051", ["model={network: parseq, heads: 5}"], ["embed_dim 384", "heads 5"]),
    (
        "GY055",
        ["model={network: parseq, size: small_cpu, pretrained: baudm/parseq-base}"],
        ["baudm/parseq-base", "another `size`"],
    ),
    (
        "GY055",
        ["dataset.image.width=96", "model={network: parseq, size: small_cpu, patch: [8, 6]}"],
        ["patch [8, 6]", "powers of two"],
    ),
    ("GY052", ["task=super_resolution", "dataset.image.height=16", "model={generator: {scale: 4}}", L1], ["window 6", "4x32"]),
    ("GY070", ["stages.0.start=resume"], ["start: resume", "init: previous", "last.pt"]),
    ("GY071", ["stages.0.finetune_lr=0.2"], ["0.2", "finetune"]),
    ("GY072", ["model={network: parseq}", "export.ngram=5"], ["ngram 5", "parseq"]),
    ("GY056", ["model={network: restorer}", L1], ["restorer", "recognition", "crnn"]),
    (
        "GY057",
        ["task=super_resolution", "model={network: restorer}", "stages.0={name: a, epochs: 1, losses: [{term: l1}]}"],
        ["super_resolution", "low_resolution"],
    ),
    ("GY058", [*RESTORER, "model.generator.scale=4"], ["model.generator.scale 4", "low_resolution.scale 2"]),
    ("GY061", ["stages.0.train=[generator]"], ["generator", "model"]),
    ("GY062", ["stages.0.select=word_acc"], ["word_acc", "exact_match"]),
    ("GY063", ["stages.0.hard_mining={}"], ["hard_mining", "recognition", "ctc"]),
    (
        "GY050",
        [*RESTORER, "stages.0={name: a, epochs: 1, train: [recogniser], losses: [{term: ctc}]}"],
        ["ctc", "parseq", "plm"],
    ),
    (
        "GY086",
        [*RESTORER, "stages.0={name: a, epochs: 1, train: [generator], losses: [{term: plm}]}"],
        ["generator", "plm", "teach recogniser"],
    ),
    (
        "GY086",
        [*RESTORER, "stages.0={name: a, epochs: 1, train: [recogniser], losses: [{term: l1}]}"],
        ["recogniser", "l1", "teach generator"],
    ),
    (
        "GY086",
        [
            *RESTORER,
            "model.lcofl={form: official}",
            "stages.0={name: a, epochs: 1, train: [recogniser], losses: [{term: lcofl}]}",
        ],
        ["recogniser", "lcofl", "teach generator"],
    ),
    (
        "GY088",
        [*RESTORER, "stages.0={name: a, epochs: 1, train: [recogniser], losses: [{term: plm}], select: psnr}"],
        ["psnr", "plm", "word_acc"],
    ),
    (
        "GY088",
        [
            *RESTORER,
            "stages.0={name: a, epochs: 1, train: [recogniser], losses: [{term: plm}], select: loss, guards: [{metric: ssim, min: 0.1}]}",
        ],
        ["ssim", "plm"],
    ),
    (
        "GY089",
        [*RESTORER, "dataset.image.height=8", "model.generator.window=4", "model.lcofl={ssim_window: 11}"],
        ["ssim_window 11", "8 px", "at most 7"],
    ),
    ("GY087", ["stages.0.validation_draws=3"], ["validation_draws 3", "ctc"]),
    (
        "GY087",
        [
            *RESTORER,
            "stages.0.validation_draws=3",
            "dataset.sources=[{name: two, kind: plate_pairs, labels: l.txt}]",
        ],
        ["validation_draws 3", "plate_pairs", "given"],
    ),
    ("GY064", ["stages.0.init=/nowhere/best.pt"], ["/nowhere/best.pt", "main"]),
    ("GY064", ["model={network: parseq, pretrained: baudm/parseq}"], ["baudm/parseq'", "baudm/parseq-base"]),
    ("GY064", [*RESTORER, "model.recogniser={network: parseq, pretrained: nothere.pt}"], ["nothere.pt", "model.recogniser"]),
    (
        "GY086",
        [*RESTORER, "stages.0={name: a, epochs: 1, train: [generator, recogniser], losses: [{term: l1}]}"],
        ["recogniser", "freeze the recogniser", "teach generator"],
    ),
    ("GY086", [*RESTORER, "stages.0={name: a, epochs: 1, train: [generator], select: loss}"], ["plm", "use losses of what is"]),
    ("GY076", ["dataset.sources=[{name: made, kind: polygon_csv, folder: plates}]"], ["polygon_csv", "recognition"]),
    ("GY073", [*DETECTOR, "stages.0.steps=5", "stages.0.epochs=null"], ["steps 5", "detection"]),
    ("GY074", [*DETECTOR, "augmentation.gamma=0.2"], ["augmentation.gamma", "rotate_deg"]),
    ("GY075", [*DETECTOR, "export.targets=[{name: thor_jp7}]"], ["1 targets", "detection"]),
    ("GY078", [*DETECTOR, "stages.0.guards=[{metric: map, min: 0.1, action: rollback}]"], ["rollback", "detection"]),
    ("GY011", ["dataset.equivalences=['1I']"], ["1I", "little"]),
]


@pytest.mark.parametrize(("code", "overrides", "words"), BREACHES, ids=[b[0] for b in BREACHES])
def test_a_broken_law_prints_its_code_and_both_sides(
    write_recipe: Write, code: str, overrides: list[str], words: list[str]
) -> None:
    with pytest.raises(BadInput) as caught:
        load_recipe(write_recipe(), overrides)
    assert f"[{code}]" in str(caught.value)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(("recogniser", "terms"), [("parseq", ["plm"]), ("crnn", ["ctc", "flat_start"])])
def test_a_stage_of_the_recogniser_learns_as_it_does_unless_told_otherwise(
    write_recipe: Write, recogniser: str, terms: list[str]
) -> None:
    stage = "stages.0={name: a, epochs: 1, train: [recogniser], freeze: [generator], select: loss}"
    recipe = load_recipe(write_recipe(), [*RESTORER, f"model.recogniser={{network: {recogniser}}}", stage])
    assert [term.term for term in recipe.stages[0].losses] == terms


def test_targets_that_can_be_are_taken_as_they_are(write_recipe: Write) -> None:
    overrides = [
        "export.opset=17",
        "export.max_batch=16",
        "export.targets=[{name: xavier_nx_jp51, dla: 1, batch: {min: 4, opt: 4, max: 4}}, {name: x86_trt11, precision: int8}]",
    ]
    xavier, x86 = load_recipe(write_recipe(), overrides).export.targets
    assert (xavier.chosen_precision(), xavier.profile(16)) == ("fp16", (4, 4, 4))
    assert (x86.chosen_precision(), x86.profile(16)) == ("int8", (1, 8, 16))


def test_a_threshold_needs_one_bound(write_recipe: Write) -> None:
    path = write_recipe()
    suite = path.with_name("suite.yaml")
    suite.write_text(suite.read_text().replace("below: 0.05", "below: 0.05, above: 0.01"))
    with pytest.raises(BadInput, match=r"\[GY012\].*below=0.05.*above=0.01"):
        load_recipe(path)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("metric: cer", "metric: map50", r"\[GY030\].*`map50`.*recognition.*it reports cer, exact_match"),
        ("thresholds:", "regression: {tolerance: {psnr: 0.1}}\nthresholds:", r"\[GY030\].*`psnr`"),
        ('["0O"]', '["00"]', r"\[GY031\].*'00'"),
        ('["0O"]', '["0O", "O1"]', r"\[GY031\].*'O'"),
    ],
)
def test_a_suite_that_cannot_judge_is_found_before_the_training(write_recipe: Write, old: str, new: str, problem: str) -> None:
    path = write_recipe()
    suite = path.with_name("suite.yaml")
    assert old in suite.read_text()
    suite.write_text(suite.read_text().replace(old, new))
    with pytest.raises(BadInput, match=problem):
        load_recipe(path)


@pytest.mark.parametrize(
    ("baseline", "problem"),
    [
        (None, "no baseline"),
        ("{}", "no baseline"),
        ('{"scorecard": {"suite": "other"}}', "suite 'other', this recipe of 'little'"),
        ('{"scorecard": {"suite": "little", "equivalences": []}}', r"equivalences \[\], this recipe of \['0O'\]"),
        ('{"scorecard": {"suite": "little", "equivalences": ["0O"], "alphabet": "ABC"}}', "alphabet 'ABC'"),
    ],
)
def test_a_baseline_of_other_terms_is_found_before_the_training(write_recipe: Write, baseline: str | None, problem: str) -> None:
    path = write_recipe()
    if baseline is not None:
        path.with_name("champion.json").write_text(baseline)
    with pytest.raises(BadInput, match=rf"\[GY032\].*{problem}"):
        load_recipe(path, ["evaluate.baseline=" + str(path.with_name("champion.json"))])


def test_every_law_has_a_code_of_its_own_and_a_test() -> None:
    codes = [(law.__doc__ or "").partition(":")[0] for law in LAWS]
    assert len(set(codes)) == len(codes)
    imports = "".join(path.read_text() for path in Path(glyphyard.data.imports.__file__).parent.glob("*.py"))
    assert not [code for code in codes if code in imports]  # an archive's faults are not a recipe's
    assert set(codes) == {code for code, _, _ in BREACHES} | {
        "GY012",
        "GY030",
        "GY031",
        "GY032",
        "GY079",
        "GY080",
        "GY081",
        "GY082",
        "GY085",
    }


def test_a_password_is_refused_without_being_told(write_recipe: Write) -> None:
    with pytest.raises(BadInput) as caught:
        load_recipe(write_recipe("evaluate:", "register:\n  tracking_uri: https://me:secret@example.org/\nevaluate:"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("start", "init"), [("finetune", "previous"), ("finetune", "scratch"), ("resume", "scratch"), ("scratch", "a/best.pt")]
)
def test_a_start_that_contradicts_its_origin_is_refused(write_recipe: Write, start: str, init: str) -> None:
    path = write_recipe()
    (path.parent / "a").mkdir()
    (path.parent / "a" / "best.pt").write_bytes(b"")
    said = str(path.parent / init) if init.endswith(".pt") else init
    with pytest.raises(BadInput, match=rf"\[GY070\].*{start}.*{init}"):
        load_recipe(path, [f"stages.0.start={start}", f"stages.0.init={said}"])


def test_starts_that_agree_with_their_origin_load(write_recipe: Write) -> None:
    path = write_recipe()
    weights = path.parent / "best.pt"
    weights.write_bytes(b"")
    for start, init in (("finetune", weights), ("resume", weights), ("scratch", "previous")):
        recipe = load_recipe(path, [f"stages.0.start={start}", f"stages.0.init={init}"])
        assert recipe.stages[0].start == start
    two = ["stages=[{name: a, epochs: 1}, {name: b, epochs: 1, start: finetune, finetune_lr: 0.2}]"]
    assert load_recipe(write_recipe(), two).stages[1].finetune_lr == 0.2
