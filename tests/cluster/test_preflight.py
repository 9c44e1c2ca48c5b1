"""Asking for more than there is ends at once, with both sides."""

from __future__ import annotations

import pytest

from glyphyard.cluster.preflight import share_out
from glyphyard.core.errors import BadInput
from glyphyard.recipe.run import RuntimeConfig


@pytest.mark.parametrize(
    ("runtime", "resources", "words"),
    [
        (RuntimeConfig(workers=8), {"CPU": 2.0}, ["8 workers", "2 CPUs"]),
        (RuntimeConfig(workers=2, cpus_per_worker=2), {"CPU": 3.0}, ["2 workers", "3 CPUs", "at most 1"]),
        (RuntimeConfig(workers=1, gpus_per_worker=1), {"CPU": 8.0}, ["1 GPU", "0 GPUs"]),
        (RuntimeConfig(workers=4, gpus_per_worker=0.5), {"CPU": 8.0, "GPU": 1.0}, ["4 workers", "1 GPU"]),
    ],
)
def test_more_than_the_cluster_has_is_refused(runtime: RuntimeConfig, resources: dict[str, float], words: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        share_out(runtime, resources)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_processors_are_shared_out() -> None:
    assert share_out(RuntimeConfig(workers=2), {"CPU": 9.0}).cpus == 4
    assert share_out(RuntimeConfig(workers=1, gpus_per_worker=0.5), {"CPU": 2.0, "GPU": 1.0}).gpus == 0.5
