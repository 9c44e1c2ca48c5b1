"""What the service, the trial, the clock, the disk and the device's own files can do to a sync agent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from fakes.sync_cases.arrange import ENDLESS, clock, faulty, flip, little_space, relink, serving_folder, states, with_engine
from fakes.sync_cases.case import BAD, FAILED, FINE, OUT, SICK, Case

from glyphyard.edge.sync.state import ATTEMPTS


def service_cases() -> Iterator[Case]:
    """Yield what the service and the trial can say."""
    group = "service"
    yield Case(
        group, "loads, then fails its health check: back, quarantine", lambda w: w.service.sick.add(w.keys[1]), SICK, after=1
    )
    yield Case(group, "not retried when it was bad", lambda w: w.service.sick.add(w.keys[1]), ("quarantined",), after=1, polls=3)
    yield Case(group, "sick with every model", lambda w: w.service.sick.add("*"), SICK, mend=lambda w: w.service.sick.clear())
    deaf = lambda w: setattr(w.service, "deaf", True)  # noqa: E731
    yield Case(group, "cannot be told", deaf, SICK, mend=lambda w: setattr(w.service, "deaf", False))
    sick = lambda w: w.service.sick.add("*")  # noqa: E731
    yield Case(group, "sick on a fresh device", sick, SICK, (None,), start="empty", mend=lambda w: w.service.sick.clear())
    yield Case(
        group, "sick for long on a fresh device: nobody is blamed", sick, SICK, (None,), start="empty", polls=ATTEMPTS + 2,
        mend=lambda w: w.service.sick.clear(),
    )  # fmt: skip
    group = "trial"
    yield Case(group, "the new model reads otherwise here: quarantine", lambda w: w.rejects.add(w.keys[1]), BAD, after=1)
    yield Case(group, "no model runs here", lambda w: w.rejects.add("*"), FAILED, mend=lambda w: w.rejects.clear())
    yield Case(
        group, "no model runs here, five polls", lambda w: w.rejects.add("*"), FAILED, polls=5, mend=lambda w: w.rejects.clear()
    )


def device_cases() -> Iterator[Case]:
    """Yield what can happen to the device's own files, clock and disk."""
    group = "clock"
    for name, wall in {"1970": 0.0, "2100": 4.1e9}.items():
        yield Case(group, f"jumps to {name} and back at every look", lambda w, wall=wall: clock(w, wall), FINE, (2,))
        yield Case(group, f"{name}, registry down", lambda w, wall=wall: (faulty(status=500)(w), clock(w, wall))[1], OUT)
    group = "disk"
    yield Case(group, "nearly full", little_space, FAILED)
    group = "state file"
    for name, text in {
        "empty": "",
        "half": '{"model": "rea',
        "a list": "[]",
        "of another model": '{"model": "x", "alias": "champion"}',
        "with an unknown key": '{"model": "reader", "alias": "champion", "zzz": 1}',
        "100,000 brackets": ENDLESS.decode(),
        "a swap to nowhere": '{"model": "reader", "alias": "champion", "swap": {"new": "9-0000000000000000", "old": null}}',
    }.items():
        yield Case(group, name, states(text), FINE, (2,))
    yield Case(group, "gone", lambda w: (w.root / "state.json").unlink(), FINE, (2,))
    group = "what serves"
    yield Case(group, "link gone", relink(None), FINE, (2,))
    yield Case(group, "link gone, registry down", lambda w: (relink(None)(w), faulty(status=500)(w)), OUT)
    yield Case(group, "link to nowhere, registry down", lambda w: (relink("versions/9-0")(w), faulty(status=500)(w)), OUT)
    yield Case(group, "link out of the folder, registry down", lambda w: (relink("/etc")(w), faulty(status=500)(w)), OUT)
    for name in ("model.onnx", "golden.npz", "bundle.json"):
        hurt = lambda w, name=name: flip(serving_folder(w) / name)  # noqa: E731
        yield Case(
            group,
            f"{name} flipped, registry down: the version before",
            lambda w, hurt=hurt: (hurt(w), faulty(status=500)(w)),
            OUT,
            start="two",
        )
        yield Case(group, f"{name} flipped: downloaded again", hurt, FINE, (2,), start="two")
        yield Case(group, f"{name} flipped, the only version", hurt, FINE, (1,), 1, wanted=1)
    gone = lambda w: (serving_folder(w) / "model.onnx").unlink()  # noqa: E731
    yield Case(group, "model.onnx gone", gone, FINE, (2,), start="two")
    yield Case(group, "the whole folder gone", lambda w: shutil.rmtree(serving_folder(w)), FINE, (2,), start="two")
    group = "engine"
    of_serving = lambda w: w.engine_folder(serving_folder(w).name)  # noqa: E731
    for name, hurt in {
        "gone": lambda w: shutil.rmtree(of_serving(w)),
        "all gone": lambda w: shutil.rmtree(w.root / "engines"),
        "flipped": lambda w: flip(of_serving(w) / "engine.plan"),
        "record flipped": lambda w: flip(of_serving(w) / "engine.json"),
        "TensorRT upgraded": lambda w: setattr(w, "tensorrt", "10.7.0"),
    }.items():
        yield Case(group, name, with_engine(hurt), FINE, (1,), 1, wanted=1)
        yield Case(
            group,
            f"{name}, registry down",
            with_engine(lambda w, hurt=hurt: (hurt(w), faulty(status=500)(w))),
            OUT,
            wanted=1,
            after=1,
        )
    group = "what serves"
    old = lambda w: flip(w.root / "versions" / w.keys[0] / "model.onnx")  # noqa: E731
    yield Case(group, "the old version damaged, then wanted", old, FINE, (1,), 1, "two", 1)
