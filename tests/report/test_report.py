"""The report: whole and partial runs, hostile text, no way out of the page, and what the reader of a crop sees."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from little_disk import little_disk
from ruamel.yaml import YAML

from glyphyard.core.errors import BadInput
from glyphyard.core.files import read_json, write_json
from glyphyard.core.records import DatasetManifest
from glyphyard.report import write_report
from glyphyard.report.background import yaml_of
from glyphyard.report.crops import MOST_WRONG, choose_crops, columns_of, data_uri

HOSTILE = """<script>alert(1)</script>"><img src=http://evil/x onerror=alert(2)>{{ 7*7 }}</title></style>"""
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """What a browser would find: tags, addresses and handlers; unbalanced tags are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(text)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._open += [] if tag in VOID else [tag]
        for name, value in attributes:
            self.addresses += [value or ""] if name in ("src", "href", "srcset", "action", "data", "xlink:href") else []
            self.handlers += [name] if name.startswith("on") else []

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def page_of(run: Path) -> Page:
    return Page(write_report(run).read_text(encoding="utf-8"))


def safe(page: Page) -> bool:
    inside = all(a.startswith(("#", "data:image/")) for a in page.addresses)
    return inside and not page.handlers and not {"script", "iframe", "link", "object", "form"} & set(page.tags)


def test_a_whole_run_gives_a_page_that_stands_alone(run: Path) -> None:
    text = write_report(run).read_text(encoding="utf-8")
    page = Page(text)
    assert safe(page)
    assert "default-src 'none'" in text
    assert not re.search(r"url\(|@import", text)
    for wanted in ("PASS", "Training", "Readings", "Confused characters", "Slices", "Confidence", "Data", "Recipe", "reproduce"):
        assert wanted in page.words
    assert "glyphyard run recipes/florida_crnn.yaml --set stages.0.epochs=14" in page.words
    assert page.tags.count("img") > 5
    assert page.tags.count("svg") > 15
    assert len(text) < 1_000_000
    assert "s3cret" not in text, "a credential of the recipe's tracking URI is on the page"
    assert write_report(run).read_text(encoding="utf-8") == text, "the same run gave another page"


def test_hostile_text_stays_text(run: Path) -> None:
    recipe = read_json(run / "recipe.json")
    recipe |= {"name": HOSTILE, "description": HOSTILE}
    write_json(run / "recipe.json", recipe)
    card = read_json(run / "scorecard.json")
    card["slices"][f"state={HOSTILE}"] = card["slices"]["light=day"]
    card["confusion"] += [["<b>", "&", 5], ["\u202e", "<script>", 4]]
    card["suite"] = HOSTILE
    write_json(run / "scorecard.json", card)
    verdict = read_json(run / "verdict.json") | {"message": HOSTILE}
    verdict["findings"][0] |= {"message": HOSTILE, "rule": HOSTILE}
    write_json(run / "verdict.json", verdict)
    audit_path = run.parent / "datasets" / "0123456789abcdef" / "audit.json"
    audit = read_json(audit_path)
    audit["findings"][0] |= {"file": HOSTILE, "detail": HOSTILE, "kind": HOSTILE}
    audit["rows"][HOSTILE] = audit["rows"]["made"]
    audit["statistics"]["characters"][HOSTILE] = 5
    write_json(audit_path, audit)
    rows = pq.read_table(run / "samples.parquet").to_pylist()
    for row in rows:
        row |= {"truth": HOSTILE, "read": HOSTILE[:9], "path": HOSTILE, "exact": False, "edits": 9}
    pq.write_table(pa.Table.from_pylist(rows), run / "samples.parquet")
    write_json(run / "environment.json", {"command": HOSTILE, "processor": HOSTILE, "packages": {HOSTILE: HOSTILE}})
    page = page_of(run)
    assert safe(page)
    assert "alert(1)" in page.words
    assert "{{ 7*7 }}" in page.words


PIECES = [
    "environment.json", "dataset.json", "steps", "stages", "stages/1-mixed/checkpoint.json", "stages/0-synthetic/metrics.jsonl",
    "bundle", "scorecard.json", "samples.parquet", "verdict.json", "../datasets",
]  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_a_missing_piece_is_said(run: Path, piece: str) -> None:
    path = (run / piece).resolve()
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert safe(page_of(run))


@pytest.mark.parametrize("piece", [p for p in PIECES if "." in Path(p).name[1:] and ".." not in p])
@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b'"text"', b"\xff\x00\xfe"])
def test_a_broken_piece_is_said(run: Path, piece: str, content: bytes) -> None:
    (run / piece).write_bytes(content)
    assert safe(page_of(run))


def test_a_run_that_has_just_begun_has_a_page(run: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    begun.mkdir()
    shutil.copy(run / "recipe.json", begun)
    page = page_of(begun)
    assert "NO VERDICT" in page.words
    assert "evaluation: not there yet" in page.words
    with pytest.raises(BadInput, match=r"recipe\.json"):
        write_report(tmp_path)


def test_epochs_that_a_guard_took_back_are_said(run: Path) -> None:
    metrics = next(run.glob("stages/*/metrics.jsonl"))
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    rows[-1]["went_back"] = "to epoch 1: cer 0.9 is above 0.8"
    metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = f"took 1 of {len(rows)} epochs back ({rows[-1]['epoch']}), the last to epoch 1: cer 0.9 is above 0.8"
    assert told in page_of(run).words


def test_numbers_that_are_none_do_not_stop_it(run: Path) -> None:
    card = read_json(run / "scorecard.json")
    nothing = {"value": None, "low": None, "high": None, "count": 0}
    card |= {
        "figures": dict.fromkeys(card["figures"], nothing),
        "calibration": [],
        "reject_curve": [],
        "speed": {},
        "confusion": [],
    }
    card["slices"] = {"light=day": {"cer": nothing, "exact_match": nothing}}
    write_json(run / "scorecard.json", card)
    verdict = read_json(run / "verdict.json")
    verdict["findings"] = [f | {"value": None, "low": None, "high": None} for f in verdict["findings"]]
    write_json(run / "verdict.json", verdict | {"outcome": "INSUFFICIENT_DATA"})
    (run / "stages/0-synthetic/metrics.jsonl").write_text(
        '{"epoch": 1, "train_loss": NaN, "lr": "x"}\n{"epoch": null, "val_cer": 0.5}\n'
    )
    page = page_of(run)
    assert "INSUFFICIENT DATA" in page.words
    assert "No character was confused" in page.words


def test_the_worst_come_first_and_they_are_counted(run: Path, make_run: Callable[..., Path]) -> None:
    run = make_run(run.parent / "big", samples=600)
    dataset = run.parent / "datasets" / "0123456789abcdef"
    crops = choose_crops(
        run / "samples.parquet", dataset, DatasetManifest.read(dataset / "manifest.json"), "test", read_json(run / "recipe.json")
    )
    assert len(crops.wrong) == MOST_WRONG < crops.wrong_in_all
    assert [c.edits for c in crops.wrong] == sorted((c.edits for c in crops.wrong), reverse=True)
    assert all(c.image.startswith("data:image/jpeg;base64,") for c in [*crops.wrong, *crops.right])
    assert all(column.right for c in crops.right for column in c.columns), "0 and O are one in this suite"
    assert len(write_report(run).read_bytes()) < 1_500_000


def test_alignment_shows_gaps_and_equivalent_characters() -> None:
    columns = columns_of("AOC1", "A0X", {"O": "0"})
    assert [(c.true, c.read, c.right) for c in columns][:2] == [("A", "A", True), ("O", "0", True)]
    assert "".join(c.true for c in columns) == "AOC1"
    assert "".join(c.read for c in columns) == "A0X"
    assert columns_of("", "", {}) == []


def test_only_pictures_become_pictures() -> None:
    assert data_uri(None) == data_uri(b"<svg onload=alert(1)>") == ""
    noise = np.random.default_rng(0).integers(0, 255, (900, 1600, 3), dtype=np.uint8)
    large = bytes(cv2.imencode(".png", noise)[1])
    assert data_uri(large).startswith("data:image/png;base64,")
    assert len(data_uri(large)) < 300_000


def test_pixels_stand_in_for_missing_originals(run: Path) -> None:
    shard = run.parent / "datasets" / "0123456789abcdef" / "test-00000.parquet"
    table = pq.read_table(shard)
    empty = pa.array([None] * len(table), pa.binary())
    pq.write_table(table.set_column(table.schema.get_field_index("encoded"), "encoded", empty), shard)
    page = page_of(run)
    assert sum(a.startswith("data:image/png") for a in page.addresses) > 5


def test_the_recipe_is_shown_as_yaml_that_reads_back(run: Path) -> None:
    recipe = read_json(run / "recipe.json") | {
        "odd": {"a": [], "b": {}, "c": [[1, 2], [{"x": None}]], "d": "yes: # no", "e": True}
    }
    assert json.loads(json.dumps(YAML(typ="safe", pure=True).load(yaml_of(recipe)))) == recipe


def test_a_release_is_named(run: Path) -> None:
    release: dict[str, Any] = {
        "model_name": "reader",
        "version": "3",
        "alias": "candidate",
        "tracking_uri": "x",
        "run_id": "r",
        "message": "m",
    }
    write_json(run / "release.json", release)
    assert "version 3" in " ".join(page_of(run).words.split())


def test_a_full_disk_is_one_line_and_keeps_the_older_page(run: Path) -> None:
    before = write_report(run).read_bytes()
    names = sorted(path.name for path in run.iterdir())
    with little_disk(10_000), pytest.raises(BadInput, match="cannot be written") as caught:
        write_report(run)
    assert caught.value.where == str(run / "report.html")
    assert (run / "report.html").read_bytes() == before
    assert sorted(path.name for path in run.iterdir()) == names
