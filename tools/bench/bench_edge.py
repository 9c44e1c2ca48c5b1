"""The recogniser on a camera's processor: against a peer's network, over threads, and what is not the network.

    .venv/bin/python tools/bench/bench_edge.py                        # the newest bundle that `make demo` left in runs/
    .venv/bin/python tools/bench/bench_edge.py --bundle runs/…/bundle # yours
    .venv/bin/python tools/bench/bench_edge.py --peer-onnx cct_xs.onnx # and fast-plate-ocr's, exported by its own exporter

What is timed is what a bundle runs on a CPU: its model_pixels.onnx where it has one. How many LSTM units that file can spare, only a
trained network says: without a run of the demo an untrained one is timed with all of them, which is said. All ratios are of
medians, measured in turns; where a virtual machine's host took a core away in a turn of the threads, that turn is measured again, and
how many were is said. What a machine's second core is worth is measured in the same turns, by two processes that share nothing: no
threads can do more.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from stolen import Stolen

from glyphyard.edge import Bundle, Recognizer, reader_pool
from glyphyard.edge.session import OnnxSession

ROOT = Path(__file__).parents[2]
CROPS, CALLS, TURNS, THREADS, THREAD_TURNS = 64, 400, 5, 8, 32
TURN_S = 0.25
CORES = 2
MAY_BE_STOLEN = 0.02  # of the cores' time in a turn that counts
MOST_TURNS = 3 * THREAD_TURNS


def newest_demo() -> Path | None:
    """Return the bundle of the newest run of recipes/florida_crnn.yaml that has one."""
    made = [path.parent for path in (ROOT / "runs").glob("florida_crnn-*/bundle/bundle.json")]
    return max(made, key=lambda folder: folder.parent.name, default=None)


def untrained_bundle(folder: Path) -> Path:
    """Export the main recipe's network as it is before training, golden vectors and all."""
    import torch

    from glyphyard.core.decoding import decoder_of
    from glyphyard.core.files import sha256_bytes, write_json
    from glyphyard.core.pixels import PixelContract
    from glyphyard.edge.bundle import Golden, pack_golden
    from glyphyard.edge.manifest import CPU_MODEL, describe
    from glyphyard.export.bundle import for_inference_parts
    from glyphyard.export.cpu_graph import for_pixels, int8_lstms
    from glyphyard.export.onnx_graph import export_onnx
    from glyphyard.recipe.load import load_recipe
    from glyphyard.tasks.catalogue import task_of

    recipe = load_recipe(ROOT / "recipes" / "florida_crnn.yaml")
    torch.manual_seed(0)
    task = task_of(recipe)
    spec = task.export_spec(for_inference_parts(task.build()))
    model = export_onnx(spec, recipe.export.opset)
    data = model.SerializeToString(deterministic=True)
    image, alphabet = recipe.dataset.image, recipe.dataset.the_alphabet()
    pixels = PixelContract(image.height, image.width, image.channels, image.interpolation)
    crops = [pixels.resize(crop) for crop in plates(4)]
    logits = OnnxSession(data, "model.onnx").run(pixels.batch(crops))
    golden = Golden(np.stack(crops), [r.text for r in decoder_of(spec.decode)(logits, alphabet)], logits)
    packed = {"model.onnx": data, "golden.npz": pack_golden(golden)}
    if recipe.export.cpu != "fp32":  # all units: which can go only a trained network says
        packed[CPU_MODEL] = for_pixels(int8_lstms(model)).SerializeToString(deterministic=True)
    files = {name: sha256_bytes(content) for name, content in packed.items()}
    for name, content in packed.items():
        (folder / name).write_bytes(content)
    write_json(folder / "bundle.json", describe("bench", alphabet, pixels, files, {}, spec.decode).to_json())
    return folder


def plates(count: int) -> list[np.ndarray]:
    """Return noise in colour as large as a detector cuts crops out: 60 to 220 pixels wide."""
    dice = np.random.default_rng(0)
    sizes = [(int(dice.integers(20, 80)), int(dice.integers(60, 220)), 3) for _ in range(count)]
    return [dice.integers(0, 256, size, dtype=np.uint8) for size in sizes]


def cut_outs(images: np.ndarray, count: int) -> list[np.ndarray]:
    """Return golden crops in colour and as large as a detector cuts them out."""
    colour = [image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) for image in images]
    sizes = [crop.shape[1::-1] for crop in plates(count)]
    return [cv2.resize(colour[i % len(colour)], size) for i, size in enumerate(sizes)]


def p50_ms(call: Callable[[], object], calls: int = CALLS) -> float:
    """Return the median time of a call in milliseconds, after some to warm up."""
    for _ in range(20):
        call()
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times)


def parts_ms(bundle: Bundle, crops: list[np.ndarray]) -> dict[str, float]:
    """Return the median milliseconds of one crop: before the network, in it, after it."""
    from glyphyard.core.decoding import decoder_of, step_reader_of

    session, pixels, method, alphabet = OnnxSession.of(bundle), bundle.pixels, bundle.manifest.decode.method, bundle.alphabet
    before, network = (pixels.stack, session.steps) if session.takes_pixels else (pixels.batch, session.run)
    at = iter(range(10**9))

    def after(given: Any) -> object:
        return step_reader_of(method)(*given, alphabet) if session.takes_pixels else decoder_of(method)(given, alphabet)

    batch = before([pixels.resize(crops[0])])
    given = network(batch)
    return {
        "before": p50_ms(lambda: before([pixels.resize(crops[next(at) % len(crops)])])),
        "network": p50_ms(lambda: network(batch)),
        "after": p50_ms(lambda: after(given)),
    }


class ThreadRates(NamedTuple):
    """Crops/s of one thread, of eight of a `reader_pool`, of eight others, of two processes; how many turns count, how many do not."""

    one: float
    many: float
    plain: float
    apart: float
    turns: int
    left_out: int


def crops_per_s(recognizer: Recognizer, crops: list[np.ndarray], threads: ThreadPoolExecutor, count: int) -> float:
    """Read crops for a turn, in threads that share the recogniser, and return how many a second."""
    until = time.perf_counter() + TURN_S

    def read(start: int) -> int:
        done = 0
        while time.perf_counter() < until:
            recognizer.read(crops[(start + done) % len(crops)])
            done += 1
        return done

    with threads:
        started = time.perf_counter()
        return sum(threads.map(read, range(count))) / (time.perf_counter() - started)


_alone: list[Recognizer] = []  # of a process of its own


def open_alone(bundle: Path) -> None:
    """Open a bundle in a process of its own, for `rate_alone`."""
    _alone.append(Recognizer(bundle))


def rate_alone(crops: list[np.ndarray]) -> float:
    """Return the crops/s of this process's own recogniser in one thread."""
    return crops_per_s(_alone[0], crops, ThreadPoolExecutor(1), 1)


def thread_rates(bundle: Bundle, crops: list[np.ndarray]) -> ThreadRates:
    """Measure threads and processes in turns; what a host's other guests spoil is left out, unless they never rest."""
    recognizer, spawn = Recognizer(bundle), multiprocessing.get_context("spawn")
    quiet, spoilt = list[tuple[float, ...]](), list[tuple[float, ...]]()
    with ProcessPoolExecutor(CORES, spawn, open_alone, (bundle.folder,)) as pool:

        def apart() -> float:
            return sum(pool.map(rate_alone, [crops] * CORES))

        def shared(pool_of: Callable[[int], ThreadPoolExecutor], count: int) -> Callable[[], float]:
            return lambda: crops_per_s(recognizer, crops, pool_of(count), count)

        rates = (shared(ThreadPoolExecutor, 1), shared(reader_pool, THREADS), shared(ThreadPoolExecutor, THREADS), apart)
        for rate in rates:
            rate()
        while len(quiet) < THREAD_TURNS and len(quiet) + len(spoilt) < MOST_TURNS:
            stolen, first = Stolen(), (len(quiet) + len(spoilt)) % len(rates)
            found = {at % len(rates): rates[at % len(rates)]() for at in range(first, first + len(rates))}  # each first in turn
            turn = tuple(found[at] for at in range(len(rates)))
            (spoilt if stolen.share(CORES) > MAY_BE_STOLEN else quiet).append(turn)
    turns, left_out = (quiet, len(spoilt)) if len(quiet) >= TURNS else (quiet + spoilt, 0)
    return ThreadRates(*(statistics.fmean(column) for column in zip(*turns, strict=True)), len(turns), left_out)


def peer_run(path: Path) -> Callable[[], object]:
    """Return one call of a peer's ONNX at batch 1, in a session with the same options as ours."""
    import onnxruntime

    session = OnnxSession(path.read_bytes(), str(path))._session
    entry = session.get_inputs()[0]
    shape = [d if isinstance(d, int) else 1 for d in entry.shape]
    kind = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}[entry.type]
    batch = {entry.name: np.full(shape, 128, kind)}
    assert isinstance(session, onnxruntime.InferenceSession)
    return lambda: session.run(None, batch)


def measure(bundle: Path, peer: Path | None, say: Callable[[str], None] = print) -> dict[str, float]:
    """Print and return the ratios."""
    opened, ratios = Bundle.open(bundle), {}
    crops = cut_outs(opened.golden().images, CROPS)
    parts = parts_ms(opened, crops)
    rest = parts["before"] + parts["after"]
    ratios["rest"] = rest / (rest + parts["network"])
    say(
        f"edge: before {parts['before']:.3f} ms + after {parts['after']:.3f} ms ÷ with the network ({parts['network']:.3f} ms) = "
        f"{ratios['rest']:.1%} at batch 1 (wanted: under 15 %)"
    )
    if peer is None:
        say("edge: CRNN ÷ fast-plate-ocr cct_xs_v1: not measured, give --peer-onnx (wanted: at most 0.5)")
    else:
        session, portable = OnnxSession.of(opened), OnnxSession.of(opened, portable=True)
        crop = [opened.pixels.resize(crops[0])]
        batch, pixels = opened.pixels.batch(crop), opened.pixels.stack(crop)
        mine = (lambda: session.steps(pixels)) if session.takes_pixels else (lambda: session.run(batch))
        runs = (mine, lambda: portable.run(batch), peer_run(peer))
        turns = [[p50_ms(run) for run in runs] for _ in range(TURNS)]
        ours, fp32, other = (statistics.median(column) for column in zip(*turns, strict=True))
        ratios["peer"] = ours / other
        say(
            f"edge: CRNN ({session.file}) {ours:.3f} ms ÷ {peer.name} {other:.3f} ms, one thread, batch 1 = {ratios['peer']:.2f} "
            f"(wanted: at most 0.5; model.onnx {fp32:.3f} ms = {fp32 / other:.2f})"
        )
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < CORES:
        say(f"edge: {THREADS} threads ÷ one: not measured, this process has one core (wanted: 1.7 on {CORES})")
        return ratios
    os.sched_setaffinity(0, cores[:CORES])
    rates = thread_rates(opened, crops)
    os.sched_setaffinity(0, cores)
    ratios["threads"], ratios["of_apart"] = rates.many / rates.one, rates.many / rates.apart
    say(
        f"edge: {THREADS} threads {rates.many:.0f} crops/s ÷ one {rates.one:.0f} crops/s on {CORES} cores = {ratios['threads']:.2f} "
        f"(wanted: 1.7; without reader_pool: {rates.plain / rates.one:.2f}; two processes that share nothing: "
        f"{rates.apart / rates.one:.2f}, of which the threads do {ratios['of_apart']:.0%}; {rates.turns} turns, {rates.left_out} more left out in which the host took over "
        f"{MAY_BE_STOLEN:.0%} of the cores)"
    )
    return ratios


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path)
    peer = os.environ.get("GLYPHYARD_PEER_ONNX")
    parser.add_argument("--peer-onnx", type=Path, default=Path(peer) if peer else None, help="or GLYPHYARD_PEER_ONNX")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="glyphyard-bench-") as folder:
        bundle = arguments.bundle or newest_demo()
        print(f"edge: {bundle or 'an untrained network with all its LSTM units, for there is no run of `make demo`'}")
        measure(bundle or untrained_bundle(Path(folder)), arguments.peer_onnx)


if __name__ == "__main__":
    main()
