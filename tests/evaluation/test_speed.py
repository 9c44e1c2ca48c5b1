"""What a scorecard says of a bundle's speed."""

from __future__ import annotations

import time

import numpy as np
import pytest

from glyphyard.evaluation.speed import latency, one_by_one, percentiles, rates


def test_rates_are_crops_a_second() -> None:
    assert rates(300, 1.5, 64, None) == {"crops_per_s": 200.0, "batch_size": 64.0, "threads": 1.0}


def test_percentiles_of_known_times() -> None:
    assert percentiles([float(value) for value in range(101)]) == {"ms_per_crop_p50": 50.0, "ms_per_crop_p95": 95.0}


def test_latency_calls_to_warm_up_and_then_once_an_image() -> None:
    images, seen = [np.full(1, value) for value in range(5)], []

    def call(image: np.ndarray) -> None:
        time.sleep(0.1 if len(seen) < 2 else 0.002)  # the first calls are slow, as a session's are
        seen.append(int(image[0]))

    found = latency(call, images, warm_up=2)
    assert seen == [0, 1, 0, 1, 2, 3, 4]
    assert 2 <= found["ms_per_crop_p50"] < 100


def test_slow_first_images_do_not_count_one_by_one() -> None:
    found = one_by_one([900.0, 900.0, 10.0, 10.0, 10.0, 900.0], warm_up=2, most=3, threads=2)
    assert found["ms_per_crop_p95"] == 10.0
    assert found["crops_per_s"] == pytest.approx(100.0)
    assert found["threads"] == 2.0


def test_where_there_are_few_images_all_count() -> None:
    assert one_by_one([30.0, 50.0], warm_up=2, most=3, threads=None)["ms_per_crop_p50"] == 40.0
