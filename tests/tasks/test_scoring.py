from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glyphyard.core.alphabet import Alphabet
from glyphyard.core.ctc import greedy_decode
from glyphyard.core.text_metrics import count_texts
from glyphyard.tasks.readers.scoring import greedy_ids, score

ALPHABET = Alphabet("0123AB")


def pack(texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    ids = [ALPHABET.encode(t) for t in texts]
    longest = max(map(len, ids), default=0)
    return torch.tensor([i + [0] * (longest - len(i)) for i in ids]).reshape(len(ids), longest), torch.tensor(
        [len(i) for i in ids]
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 6))
def test_tensor_decoding_agrees_with_the_devices(seed: int, steps: int, count: int) -> None:
    logits = torch.randn(steps, count, ALPHABET.num_classes, generator=torch.Generator().manual_seed(seed)) * 3
    logits[..., 0] += 1
    ids, lengths = greedy_ids(logits)
    read = [ALPHABET.decode(row[:length]) for row, length in zip(ids.tolist(), lengths.tolist())]
    assert read == [reading.text for reading in greedy_decode(logits.numpy(), ALPHABET)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.text("0123AB", min_size=1, max_size=6), st.text("0123AB", max_size=8)), min_size=1, max_size=8))
def test_sums_agree_with_the_text_metrics(pairs: list[tuple[str, str]]) -> None:
    counts = count_texts(pairs)
    sums = score(*pack([read for _, read in pairs]), *pack([truth for truth, _ in pairs])).tolist()
    assert sums == [counts.samples, counts.exact, counts.same_length, counts.edits, counts.characters]
