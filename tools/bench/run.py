"""`make bench`: every speed we promise, measured on this machine, now.

.venv/bin/python tools/bench/run.py            # all but the demo (about 10 minutes)
.venv/bin/python tools/bench/run.py --demo     # as `make bench` does: and the demo, to its verdict (6 minutes more)
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
GLYPHYARD = str(Path(sys.executable).parent / "glyphyard")
PLANS = 5
BENCHES = (
    "bench_ingest.py",
    "bench_synthesis.py",
    "bench_edge.py",
    "bench_scoring.py",
    "bench_training.py",
    "bench_parseq.py",
    "bench_swinir.py",
)


def seconds(*command: str) -> tuple[float, int]:
    """Run a command from the repository's root; return how long it took and how it ended."""
    started = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started, done.returncode


def main() -> None:
    """Run the benches one after another, each in a process of its own."""
    for bench in BENCHES:
        subprocess.run([sys.executable, str(HERE / bench)], cwd=ROOT, check=True)
    plans = [seconds(GLYPHYARD, "plan", "recipes/florida_crnn.yaml")[0] for _ in range(PLANS)]
    print(f"plan: {statistics.median(plans):.2f} s, the median of {PLANS} (wanted: under 1)")
    if "--demo" in sys.argv[1:]:
        with tempfile.TemporaryDirectory(prefix="glyphyard-bench-") as store:
            took, status = seconds(GLYPHYARD, "run", "recipes/florida_crnn.yaml", "--store", store)
        print(f"demo: {took:.0f} s to {'PASS' if status == 0 else f'status {status}'} (wanted: under 360 to PASS)")


if __name__ == "__main__":
    main()
