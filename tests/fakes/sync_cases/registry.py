"""What a registry, the way from it, and whoever owns it can do to a sync agent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from fakes.sync_cases.arrange import (
    ENDLESS,
    after_requests,
    closed_port,
    edited,
    faulty,
    linked,
    listed,
    manifest,
    named,
    on_download,
    remove_link,
    staged,
    to,
)
from fakes.sync_cases.case import BAD, FAILED, FINE, OUT, Case
from fakes.sync_world import World

from glyphyard.edge.sync.state import ATTEMPTS


def registry_cases() -> Iterator[Case]:
    """Yield what a registry can do to an agent."""
    group = "registry"
    yield Case(group, "down", closed_port, OUT)
    yield Case(group, "drops every connection", faulty(drop=True), OUT)
    yield Case(group, "says nothing", faulty(silence_s=2.6), OUT)
    yield Case(group, "sends elsewhere", faulty(redirect="http://127.0.0.1:1/"), OUT)
    for status in (400, 401, 403, 404, 429, 500, 502, 503):
        yield Case(group, f"HTTP {status}", faulty(status=status), OUT)
    for count in range(2, 9):
        fail = lambda world: setattr(world.registry.faults, "status", 500)  # noqa: E731
        yield Case(group, f"HTTP 500 from request {count} on", after_requests(count, fail), (*OUT, *FINE))
    answers = {
        "no JSON": b"<html>Bad gateway</html>",
        "an empty object": b"{}",
        "a list": b"[]",
        "nothing": b"",
        "half an object": b'{"model_version": {"vers',
        "5 MiB": b'{"x": "' + b"y" * (5 << 20) + b'"}',
        "100,000 brackets": ENDLESS,
        "tags that are a number": b'{"model_version": {"version": "2", "tags": 7}}',
        "a version that is a path": b'{"model_version": {"version": "../../etc", "tags": []}}',
    }
    for name, body in answers.items():
        yield Case(group, f"answers {name}", faulty(garbage=body), (*OUT, *BAD))
    yield Case(group, "alias gone", lambda w: w.registry.aliases.clear(), OUT, mend=to(2))
    yield Case(
        group,
        "model gone",
        lambda w: setattr(w.registry, "model", "x"),
        OUT,
        mend=lambda w: setattr(w.registry, "model", "reader"),
    )
    untagged = lambda w: w.registry.versions["2"].tags.pop("bundle_sha256")  # noqa: E731
    yield Case(group, "version without bundle_sha256", untagged, BAD, mend=lambda w: w.publish())
    failing = lambda w: w.registry.versions["2"].tags.update(verdict="FAIL")  # noqa: E731
    yield Case(group, "champion without a PASS", failing, BAD, mend=lambda w: w.publish())
    yield Case(group, "HTTP 500 on a fresh device", faulty(status=500), OUT, (None,), start="empty")


def download_cases() -> Iterator[Case]:
    """Yield what can happen to bytes on their way."""
    group = "download"
    for at in (0, 1, 300, 699, 700, 701, 1200):
        yield Case(group, f"cut at byte {at}", faulty(cut_at=at), OUT)
    yield Case(group, "cut once, gone on with Range", faulty(cut_at=300, cut_times=1), OUT)
    yield Case(group, "cut, a server without Range", lambda w: faulty(cut_at=300, no_range=True)(w), OUT)
    yield Case(
        group,
        "another range than asked for",
        lambda w: (faulty(cut_at=300)(w), setattr(w.registry.faults, "wrong_range", True)),
        OUT,
        polls=2,
    )
    yield Case(group, "too slow", faulty(trickle_s=0.03), OUT, config={"registry": {"timeout_s": 0.1, "slowest_kib_per_s": 1e6}})
    for name in ("bundle.json", "golden.npz", "model.onnx"):
        yield Case(group, f"one byte of {name} flipped once", faulty(flip=name, flip_times=1), BAD)
        yield Case(group, f"{name} is another file", faulty(replace={name: b"other bytes"}), (*OUT, *BAD))
        yield Case(group, f"{name} has more bytes than stated", faulty(longer=name), BAD, after=1)
        flipped = lambda w, name=name: w.registry.faults.__setattr__("flip", name)  # noqa: E731
        yield Case(group, f"one byte of {name} always flipped: quarantine", flipped, BAD, polls=ATTEMPTS, after=1)
    stale = lambda w: [(staged(w) / f".new-{'0' * 32}").write_bytes(b"x" * 50)]  # noqa: E731
    yield Case(group, "a stranger in staging", stale, FINE, (2,))
    yield Case(group, "a wrong part in staging", lambda w: parts(w, lambda data: b"\0" * (len(data) // 2)), FINE, (2,))
    yield Case(group, "a part that is too long", lambda w: parts(w, lambda data: data * 2), FINE, (2,))
    yield Case(group, "a part that is whole and wrong", lambda w: parts(w, lambda data: b"\0" * len(data)), FINE, (2,))
    yield Case(group, "a part that is whole and right", lambda w: parts(w, lambda data: data), FINE, (2,))


def parts(world: World, change: Callable[[bytes], bytes]) -> None:
    """Write partial files of version 2 as an earlier try might have left them."""
    files = world.registry.versions["2"].files
    hashes = json.loads(files["bundle.json"])["files"]
    for name, sha256 in hashes.items():
        (staged(world) / f".new-{sha256[:32]}").write_bytes(change(files[name]))


def hostile_cases() -> Iterator[Case]:
    """Yield what someone who owns the registry may try."""
    group = "hostile artifact"
    for name in (
        "../evil",
        "/etc/evil",
        "a/../../evil",
        "..",
        "a//b",
        "..\\evil",
        "C:evil",
        "%2e%2e/evil",
        "a\nb",
        "x" * 300,
        "\ud800",
    ):
        yield Case(group, f"lists {name[:20]!r}", listed(name), BAD, after=1)
        yield Case(group, f"bundle.json names {name[:20]!r}", named(name), BAD, after=1)
    yield Case(group, "bundle.json names a file that is not there", named("more.bin"), BAD, after=1)
    yield Case(group, "bundle.json names itself", named("bundle.json"), BAD, after=1)
    yield Case(group, "a file of 1 TiB", listed("model.onnx", 1 << 40), FAILED, after=1)
    yield Case(group, "a file of unknown size", listed("model.onnx", -1), BAD, after=1)
    yield Case(group, "1,000 files", lambda w: [listed(f"f{i}")(w) for i in range(1000)], BAD, after=1)
    yield Case(group, "nine folders deep", listed("/".join("abcdefghi")), BAD, after=1)
    yield Case(group, "bundle.json of 9 MiB", listed("bundle.json", 9 << 20), BAD, after=1)
    yield Case(group, "no bundle.json", lambda w: w.registry.versions["2"].files.pop("bundle.json"), BAD, after=1)
    yield Case(group, "a schema of the future", edited(schema_version=99), BAD, after=1)
    yield Case(group, "an unknown key", edited(surprise=1), BAD, after=1)
    yield Case(group, "another task", edited(task="segmentation"), BAD, after=1)
    yield Case(group, "no model among its files", lambda w: w.forge(2, lambda m: m["files"].pop("model.onnx")), BAD, after=1)
    yield Case(group, "bundle.json of 100,000 brackets", manifest(ENDLESS), BAD, after=1)
    half = lambda w: w.registry.versions["2"].tags.update(verdict="\ud800")  # noqa: E731
    yield Case(group, "a verdict of half a character", half, BAD, mend=lambda w: w.publish())
    lost = lambda w: setattr(w.registry, "answer", _changed(w.registry.answer, run_id="\ud800"))  # noqa: E731
    yield Case(group, "a run of half a character", lost, FAILED, mend=lambda w: w.registry.__dict__.pop("answer"))
    elsewhere = lambda w: setattr(w.registry, "answer", _changed(w.registry.answer, source="file:///etc"))  # noqa: E731
    yield Case(group, "its files lie elsewhere", elsewhere, BAD, after=1, mend=lambda w: w.registry.__dict__.pop("answer"))
    yield Case(
        group, "a link in place of staging", linked(lambda w: w.root / "staging"), FAILED, mend=remove_link(Path("staging"))
    )
    yield Case(group, "a link in place of the version's staging", linked(lambda w: w.root / "staging" / w.keys[1]), FINE, (2,))
    yield Case(group, "a link in place of a staged file", linked(lambda w: staged(w) / "model.onnx"), FINE, (2,))
    part = lambda w: staged(w) / f".new-{json.loads(w.registry.versions['2'].files['bundle.json'])['files']['model.onnx'][:32]}"  # noqa: E731
    yield Case(group, "a link in place of a partial file", linked(part), FINE, (2,))
    yield Case(group, "a link in place of the version", linked(lambda w: w.root / "versions" / w.keys[1]), FINE, (2,))
    yield Case(group, "a link in place of the state", linked(lambda w: w.root / ".new-state.json"), FINE, (2,))


def _changed(answer: Callable[..., tuple[int, object]], **fields: str) -> Callable[..., tuple[int, object]]:
    def other(path: str, query: dict[str, str]) -> tuple[int, object]:
        status, value = answer(path, query)
        if isinstance(value, dict) and "model_version" in value:
            value["model_version"].update(fields)
        return status, value

    return other


def alias_cases() -> Iterator[Case]:
    """Yield an alias that moves while a version is installed."""
    group = "alias"
    for count in range(1, 10):
        yield Case(group, f"2 → 3 before request {count}", after_requests(count, to(3)), FINE, (2, 3), 3)
    for count in range(2, 8):
        yield Case(group, f"2 → 1 before request {count}", after_requests(count, to(1)), FINE, (1,), 1)

    def flap(world: World) -> None:
        turn = iter(range(10**6))
        world.registry.before = lambda path, query: (
            path.endswith("alias") and world.registry.point("champion", 2 + next(turn) % 2)
        )

    yield Case(group, "2 → 3 → 2 → 3 … at every look", flap, OUT, mend=to(2))
    there_and_back = on_download(lambda w, n: w.registry.point("champion", 3 if n % 2 else 2))
    yield Case(group, "to 3 and back to 2 with every download", there_and_back, (*OUT, *FINE), (1, 2, 3), mend=to(2))
