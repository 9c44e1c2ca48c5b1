"""Doubtful crops wait for a label: bounded in size and age, whole after a power cut, and a dataset source once exported."""

from __future__ import annotations

import csv
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from handmade import drawn, png
from hypothesis import given, settings
from hypothesis import strategies as st

from glyphyard.cli.main import main as run_main
from glyphyard.core.ctc import Reading
from glyphyard.core.errors import BadInput
from glyphyard.core.pixels import read_image
from glyphyard.data.sources import list_rows
from glyphyard.edge.queue import DAY_S, SANE_S, LabelQueue
from glyphyard.recipe.dataset import PlateTsv

NOW = SANE_S + 1000 * DAY_S


def sure(text: str = "AB1") -> Reading:
    return Reading(text, 0.97, (0.99,) * len(text))


def unsure(text: str = "AB1") -> Reading:
    return Reading(text, 0.4, (0.7,) * len(text))


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (32, 128), dtype=np.uint8)


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_doubt_and_disagreement_are_kept_and_nothing_else(tmp_path: Path) -> None:
    queue = LabelQueue(tmp_path / "queue")
    assert queue.offer(noise(1), sure()) is None
    assert queue.offer(noise(1), sure(), sure()) is None
    assert queue.offer(noise(1), unsure())
    assert queue.offer(noise(2), sure("AB1"), unsure("A81"))
    assert queue.offer(noise(3), sure(), below=0.98)
    first, second, third = queue.items()
    assert (first.reason, first.reads["champion"].confidence) == ("unsure", 0.4)
    assert (second.reason, second.reads["challenger"].text) == ("disagreement", "A81")
    assert second.reads["champion"].character_confidences == [0.99] * 3
    assert third.reason == "unsure"
    assert np.array_equal(read_image(tmp_path / "queue" / first.image), noise(1))


def test_a_crop_is_kept_once_and_as_it_came(tmp_path: Path) -> None:
    queue = LabelQueue(tmp_path)
    jpeg = bytes(cv2.imencode(".jpg", noise(1))[1])
    assert queue.add(jpeg, {"champion": unsure()}, "unsure")
    assert queue.add(jpeg, {"champion": unsure("X")}, "unsure") is None
    assert queue.add(cv2.imencode(".bmp", noise(2))[1].tobytes(), {"champion": unsure()}, "unsure")
    one, two = queue.items()
    assert (tmp_path / one.image).read_bytes() == jpeg
    assert two.image.endswith(".png")


def test_what_one_model_doubted_becomes_a_disagreement_when_another_reads_it_differently(tmp_path: Path) -> None:
    queue = LabelQueue(tmp_path)
    name = queue.offer(noise(1), unsure("AB1"))
    assert queue.offer(noise(1), unsure("AB1"), sure("A81")) == name
    assert queue.offer(noise(1), unsure("AB1"), sure("A87")) is None, "the first that differed is enough"
    assert queue.offer(noise(1), unsure("AB1")) is None
    (item,) = queue.items()
    assert item.reason == "disagreement"
    assert {role: read.text for role, read in item.reads.items()} == {"champion": "AB1", "challenger": "A81"}


@pytest.mark.parametrize("crop", [b"", b"no image", np.zeros((0, 3), np.uint8), np.zeros((4, 4), np.float32)])
def test_what_is_no_image_is_refused(tmp_path: Path, crop: object) -> None:
    with pytest.raises(BadInput):
        LabelQueue(tmp_path).add(crop, {"champion": unsure()}, "unsure")  # type: ignore[arg-type]


@settings(max_examples=20)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(2, 12))
def test_the_size_cap_holds_and_the_oldest_leave_first(
    tmp_path_factory: pytest.TempPathFactory, heights: list[int], kib: int
) -> None:
    folder = tmp_path_factory.mktemp("queue")
    queue, added = LabelQueue(folder, max_mib=kib / 1024), []
    for i, height in enumerate(heights):
        crop = np.random.default_rng(i).integers(0, 256, (height, 64), dtype=np.uint8)
        if name := queue.add(crop, {"champion": unsure()}, "unsure"):
            added.append(name)
        kept = [item.image.rpartition(".")[0] for item in queue.items()]
        assert kept == added[len(added) - len(kept) :]
        assert sum(p.stat().st_size for p in folder.iterdir()) <= kib * 1024


def test_old_crops_leave_by_a_clock_that_is_set(tmp_path: Path) -> None:
    clock = Clock()
    queue = LabelQueue(tmp_path, max_age_days=30, now=clock)
    queue.offer(noise(1), unsure())
    clock.now += 20 * DAY_S
    queue.offer(noise(2), unsure())
    clock.now += 11 * DAY_S
    queue.offer(noise(3), unsure())
    assert len(queue.items()) == 2


def test_old_crops_leave_where_no_crop_comes_any_more(tmp_path: Path) -> None:
    clock = Clock()
    queue = LabelQueue(tmp_path / "queue", max_age_days=30, now=clock)
    queue.sweep()
    assert not (tmp_path / "queue").exists()
    queue.offer(noise(1), unsure())
    clock.now += 29 * DAY_S
    queue.offer(noise(2), unsure())
    queue.sweep()
    assert len(queue.items()) == 2
    clock.now += 2 * DAY_S
    (kept,) = queue.items()
    assert queue.export(tmp_path / "out") == [kept]
    assert len(list((tmp_path / "out" / "crops").iterdir())) == 1
    queue.sweep()
    assert {p.name for p in (tmp_path / "queue").iterdir()} == {".lock", kept.image, kept.image.replace(".png", ".json")}


def test_a_sweep_waits_for_nobody(tmp_path: Path) -> None:
    clock = Clock()
    queue = LabelQueue(tmp_path, now=clock)
    queue.offer(noise(1), unsure())
    clock.now += 31 * DAY_S
    with queue._locked():  # as a service does that has stopped in the middle
        queue.sweep()
        assert len(list(tmp_path.glob("*.json"))) == 1
    queue.sweep()
    assert not list(tmp_path.glob("*.json"))


def test_a_clock_that_is_not_set_yet_costs_nothing(tmp_path: Path) -> None:
    clock = Clock(12.0)  # 1970: a device without a battery
    queue = LabelQueue(tmp_path, max_age_days=30, now=clock)
    queue.offer(noise(1), unsure())
    queue.offer(noise(2), unsure())
    clock.now = NOW
    queue.offer(noise(3), unsure())
    assert len(queue.items()) == 3
    clock.now = 50.0
    queue.offer(noise(4), unsure())
    clock.now = NOW + 31 * DAY_S
    queue.offer(noise(5), unsure())
    assert [item.image[:12] for item in queue.items()] == ["000000000004", "000000000005"]


@pytest.mark.parametrize("at", range(1, 9))
def test_a_power_cut_leaves_whole_items_only(tmp_path: Path, at: int) -> None:
    queue = LabelQueue(tmp_path)
    queue.offer(noise(1), unsure())
    child = os.fork()
    if child == 0:
        seen = 0

        def dying(real):  # type: ignore[no-untyped-def]
            def wrapped(*args, **kwargs):  # type: ignore[no-untyped-def]
                nonlocal seen
                seen += 1
                if seen == at:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **kwargs)

            return wrapped

        for name in ("open", "fsync", "replace", "rename", "unlink", "chmod", "mkdir"):
            setattr(os, name, dying(getattr(os, name)))
        try:
            queue.offer(noise(2), unsure())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert len(queue.items()) in (1, 2)
    assert queue.items()[0].image.startswith("000000000001")
    queue.offer(noise(3), unsure())
    assert len(queue.items()) in (2, 3)
    left = {p.name.partition(".")[0] for p in tmp_path.iterdir() if p.name != ".lock"}
    assert left == {item.image.partition(".")[0] for item in queue.items()}


def test_threads_may_add_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda i: LabelQueue(tmp_path).offer(noise(i), unsure()), range(40)))
    assert len(set(names)) == len(LabelQueue(tmp_path).items()) == 40
    assert len({str(name)[:12] for name in names}) == 40


def test_a_damaged_item_is_left_out(tmp_path: Path) -> None:
    queue = LabelQueue(tmp_path)
    for i in range(4):
        queue.offer(noise(i), unsure())
    items = queue.items()
    (tmp_path / items[0].image).write_bytes(png(noise(9)))
    (tmp_path / items[1].image).unlink()
    (tmp_path / f"{items[2].image[:-4]}.json").write_text('{"image": "../../etc/passwd"}')
    assert queue.items() == items[3:]


def test_an_export_is_a_dataset_source(tmp_path: Path) -> None:
    queue = LabelQueue(tmp_path / "queue")
    for i, text in enumerate(["AB1", "K\tX", "99Z"]):
        queue.offer(drawn(f"A{i}"), unsure(text), unsure("B" + text) if i else None)
    items = queue.export(tmp_path / "empty")
    rows = list_rows(
        PlateTsv(
            kind="plate_tsv", name="home", labels=tmp_path / "empty" / "labels.tsv", metadata=tmp_path / "empty" / "metadata.csv"
        )
    )
    assert [row.text_raw for row in rows] == ["", "", ""]
    assert [row.meta["champion"] for row in rows] == ["AB1", "K X", "99Z"]
    assert rows[1].meta["challenger_confidence"] == "0.4000"
    assert np.array_equal(read_image(Path(str(rows[0].file))), drawn("A0"))
    queue.export(tmp_path / "filled", suggest=True)
    rows = list_rows(PlateTsv(kind="plate_tsv", name="home", labels=tmp_path / "filled" / "labels.tsv"))
    assert [(row.text_raw, row.problem) for row in rows] == [("AB1", ""), ("K X", ""), ("99Z", "")]
    queue.clear(items)
    assert queue.items() == []
    with pytest.raises(BadInput, match="already"):
        queue.export(tmp_path / "filled")
    with pytest.raises(BadInput, match="no crop"):
        queue.export(tmp_path / "new")
    with open(tmp_path / "filled" / "metadata.csv", newline="") as opened:
        assert len(list(csv.reader(opened))) == 4


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stopped:
        run_main(list(arguments))
    return int(stopped.value.code or 0), capsys.readouterr().out


def test_the_verb_lists_exports_and_clears(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = str(tmp_path / "queue"), str(tmp_path / "out")
    assert run(capsys, "queue", "list", folder) == (2, "")  # a name with a typing error is no empty queue
    Path(folder).mkdir()
    assert run(capsys, "queue", "list", folder) == (0, "")
    assert run(capsys, "queue", "export", folder, out)[0] == 2
    LabelQueue(tmp_path / "queue").offer(noise(1), unsure("KX4"))
    code, said = run(capsys, "queue", "list", folder)
    assert code == 0
    assert "KX4" in said
    old = json.loads(next(Path(folder).glob("*.json")).read_text())
    next(Path(folder).glob("*.json")).write_text(json.dumps(old | {"seen_s": old["seen_s"] - 31 * DAY_S}))
    assert run(capsys, "queue", "list", folder) == (0, "")
    assert run(capsys, "queue", "export", folder, out)[0] == 2
    assert "KX4" in run(capsys, "queue", "list", folder, "--max-age-days", "40")[1]
    next(Path(folder).glob("*.json")).write_text(json.dumps(old))
    assert run(capsys, "queue", "export", folder, out, "--suggest", "--clear")[0] == 0
    assert (tmp_path / "out" / "labels.tsv").read_text().endswith("\tKX4\n")
    assert LabelQueue(tmp_path / "queue").items() == []


def test_caps_make_sense() -> None:
    for caps in ({"max_mib": 0}, {"max_age_days": -1}):
        with pytest.raises(BadInput):
            LabelQueue(Path("q"), **caps)  # type: ignore[arg-type]
