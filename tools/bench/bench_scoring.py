"""Processor seconds to score a million readings on one core: edits, alignment, confusion, all figures, intervals and slices.

.venv/bin/python tools/bench/bench_scoring.py          # wanted: under 30 s
"""

from __future__ import annotations

import random
import sys
import time

from glyphyard.evaluation.measure import Origin, scorecard
from glyphyard.evaluation.pairs import count_pairs
from glyphyard.evaluation.samples import Sample
from glyphyard.evaluation.scoring import score
from glyphyard.recipe.suite import SuiteConfig

LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
WRONG = 0.1
SUITE = SuiteConfig.model_validate(
    {"name": "bench", "thresholds": [{"metric": "cer", "below": 0.05}], "slices": ["length"], "equivalences": ["0O"]}
)


def reading(dice: random.Random) -> tuple[str, str]:
    """Return a plate and what was read: one in ten has a letter confused, missed or invented."""
    truth = "".join(dice.choices(LETTERS, k=dice.randint(5, 8)))
    at, how = dice.randrange(len(truth)), dice.random() / WRONG
    if how >= 1:
        return truth, truth
    middle = dice.choice(LETTERS) if how < 0.6 else "" if how < 0.8 else truth[at] + dice.choice(LETTERS)
    return truth, truth[:at] + middle + truth[at + 1 :]


def main(count: int) -> None:
    """Print how long `count` readings take."""
    dice = random.Random(1)
    pairs = [reading(dice) for _ in range(count)]
    started = time.process_time()
    count_pairs([truth for truth, _ in pairs], [read for _, read in pairs])
    print(f"{count:,} pairs: edits, alignment and confusion in {time.process_time() - started:.1f} s")
    samples = [Sample(i, "", i, "bench", str(i // 3), truth, read, dice.random()) for i, (truth, read) in enumerate(pairs)]
    started = time.process_time()
    scores, raw = score(samples, SUITE.equivalences), score(samples, ())
    card = scorecard(samples, scores, raw, SUITE, Origin("", "", ""), {})
    took = time.process_time() - started
    print(
        f"{count:,} samples: with and without equivalences, intervals and slices in {took:.1f} s (CER {card.figures['cer'].value:.2%})"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
