from __future__ import annotations

import pytest

from glyphyard.core.layout import LAYOUTS, kind_of


@pytest.mark.parametrize(
    ("layout", "held", "refused"),
    [
        ("brazilian", ["ABC1234"], ["ABC1D23", "AB12345", "ABC123", "ABC12345", ""]),
        ("mercosur", ["ABC1D23"], ["ABC1234", "ABC1D2"]),
        ("florida", ["ABC1D2", "12ABC", "GATORS", "7GATORS"], ["ABCD1234", ""]),
        ("none", ["", "ANYTHING AT ALL 123"], []),
    ],
)
def test_a_layout_holds_what_fits_its_places(layout: str, held: list[str], refused: list[str]) -> None:
    assert all(LAYOUTS[layout].holds(text) for text in held)
    assert not any(LAYOUTS[layout].holds(text) for text in refused)


def test_a_text_that_does_not_fit_is_told_with_both_sides_and_the_remedy() -> None:
    problem = LAYOUTS["mercosur"].problem_of("ABC1234")
    assert problem is not None
    assert all(word in problem for word in ("[GY054]", "ABC1234", "mercosur", "LLLDLDD", "layout: none"))
    assert LAYOUTS["mercosur"].problem_of("ABC1D23") is None


def test_kinds() -> None:
    assert [kind_of(c) for c in "A7-"] == ["L", "D", "?"]
