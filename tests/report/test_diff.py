"""Two runs in one page: whose pictures they are, and what they show, where a generator enlarges them."""

from __future__ import annotations

from pathlib import Path

from glyphyard.report.crops import SIDES
from glyphyard.report.diff import Comparison, PairedCrop, render_diff


def compared(run_a: Path, run_b: Path) -> str:
    crop = PairedCrop(3, "crops/x.jpg", "ABC123", "ABC123", "ABC12", 0.9, 0.4)
    return render_diff(
        Comparison(run_a, run_b, 60, 0, 0, "", {}, tests=[], slices=[], lost=[crop], won=[], other=[], both_right=59)
    )


def test_both_began_from_the_small_side(restorer_run: Path) -> None:
    page = compared(restorer_run, restorer_run)
    assert f'class="side">{SIDES["low"][0]}' in page
    assert SIDES["low"][1] in page


def test_whose_pictures_are_shown_is_said_where_they_differ(run: Path, restorer_run: Path) -> None:
    page = compared(restorer_run, run)
    assert "The pictures are B" in page
    assert 'class="side"' not in page
    assert "The pictures are B" not in compared(run, run)
