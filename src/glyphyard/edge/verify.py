"""Everything on this device that can read a bundle, side by side: does it read the golden vectors, and how fast."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from glyphyard.core.errors import GlyphyardError
from glyphyard.core.targets import target_named
from glyphyard.edge.bundle import Bundle
from glyphyard.edge.engine_build import build
from glyphyard.edge.engines import open_engine, provider_precision
from glyphyard.edge.manifest import CPU_MODEL
from glyphyard.edge.plan import TOLERANCES, BuildPlan, plan_for
from glyphyard.edge.replay import replay, time_session
from glyphyard.edge.session import OnnxSession

PROVIDERS = {"CPU": "CPUExecutionProvider", "CUDA": "CUDAExecutionProvider", "TensorRT": "TensorrtExecutionProvider"}
COLUMNS = ("reader", "precision", "golden", "difference", "build s", "p50 ms", "p95 ms", "p99 ms", "crops/s opt", "crops/s max")
WIDEST = 90  # characters of a complaint in the table; --json has all of it


@dataclass(frozen=True)
class Row:
    """One reader: `golden` is "holds" or what went wrong; numbers are None where it did not get that far.

    `needed`: the device is not proved without it; a provider that ONNX Runtime was built with but cannot load is not.
    """

    reader: str
    precision: str
    golden: str
    difference: float | None = None
    build_s: float | None = None
    speed: tuple[dict[str, float], ...] = ()
    needed: bool = True

    @property
    def holds(self) -> bool:
        """Whether it read every golden vector, if it has to."""
        return self.golden == "holds" or not self.needed

    def cells(self) -> tuple[str, ...]:
        """Return the row as text, one cell a column; latencies are at batch 1 or the least that the profile takes."""
        first, best, most = (self.speed[0], self.speed[len(self.speed) // 2], self.speed[-1]) if self.speed else ({}, {}, {})
        numbers = (self.difference, self.build_s, first.get("p50_ms"), first.get("p95_ms"), first.get("p99_ms"))
        texts = ["" if n is None else f"{n:.1e}" if i == 0 else f"{n:.2f}" for i, n in enumerate(numbers)]
        rates = [f"{rate['crops_per_s']:.0f}" if rate else "" for rate in (best, most)]
        shown = self.golden if len(self.golden) <= WIDEST else f"{self.golden[: WIDEST - 1]}…"
        return (self.reader, self.precision, shown, *texts, *rates)


def verify(bundle: Path | Bundle, target: str, cache_dir: Path, say: Callable[[str], None] = print) -> list[Row]:
    """Build the target's engines in fp32 and in the plan's precision, replay and time them beside ONNX Runtime's providers."""
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    plan = plan_for(opened, target)
    target_named(target)
    rows = [row for name, provider in PROVIDERS.items() for row in _with_onnxruntime(opened, plan, name, provider, cache_dir)]
    for precision in sorted({"fp32", plan.precision}):
        say(f"verify: the native engine, {precision}")
        rows.append(_with_engine(opened, target, precision, cache_dir, say))
    return rows


def _with_onnxruntime(bundle: Bundle, plan: BuildPlan, name: str, provider: str, cache_dir: Path) -> Iterator[Row]:
    try:
        import onnxruntime
    except ImportError:
        return  # a device may have TensorRT alone
    if provider not in onnxruntime.get_available_providers():
        return
    precision = provider_precision(plan) if name == "TensorRT" else "fp32"
    reader = f"ONNX Runtime {name}"
    try:
        session = open_engine(bundle, plan.target, (provider,), cache_dir=cache_dir)
        if isinstance(session, OnnxSession) and session.file == CPU_MODEL:
            precision = "int8"
    except GlyphyardError as error:
        yield Row(reader, precision, str(error), needed=name == "CPU")
        return
    try:
        replayed = replay(session, bundle, plan.sizes, TOLERANCES[precision])
        speed = time_session(session, plan.shape, sorted(set(plan.batch)))
        yield Row(reader, precision, "holds", replayed.max_abs_difference, None, tuple(speed))
    except GlyphyardError as error:
        yield Row(reader, precision, str(error))


def _with_engine(bundle: Bundle, target: str, precision: str, cache_dir: Path, say: Callable[[str], None]) -> Row:
    try:
        record = build(bundle, target, cache_dir, say, precision=precision)
    except GlyphyardError as error:
        return Row("TensorRT engine", precision, str(error))
    difference, speed = record.replay["max_abs_difference"], tuple(record.speed)
    return Row(f"TensorRT {record.tensorrt}", precision, "holds", difference, record.build_s, speed)


def table(rows: list[Row]) -> str:
    """Return the rows as one table of plain text."""
    cells = [COLUMNS, *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(COLUMNS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells)
