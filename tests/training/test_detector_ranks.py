"""Two workers on one detector: every row on one of them, the same weights on both, and over a break."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch.multiprocessing as mp
import two_detectors
from dark_pages import dark_recipe, random_places, write_pages

from glyphyard.core.capacity import Capacity
from glyphyard.data.prepare_pages import prepare_pages


@pytest.mark.slow
def test_two_workers_deal_out_the_rows_and_go_on_after_a_break(tmp_path: Path) -> None:
    sides = {"train": random_places(two_detectors.ROWS, 1), "val": random_places(5, 2), "test": random_places(3, 3)}
    pages = write_pages(tmp_path / "pages", sides)
    dataset = prepare_pages(dark_recipe(pages).dataset, Capacity(300), tmp_path / "store", in_process=True)
    mp.spawn(two_detectors.worker, (tmp_path, pages, dataset), nprocs=two_detectors.WORLD)
