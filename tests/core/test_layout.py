from __future__ import annotations

import pytest

from glyphyard.core.errors import BadInput
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


def test_a_text_that_does_not_fit_names_its_place_and_both_sides() -> None:
    with pytest.raises(BadInput) as caught:
        LAYOUTS["mercosur"].check("ABC1234", "labels.txt:3")
    assert all(word in str(caught.value) for word in ("labels.txt:3", "[GY054]", "ABC1234", "mercosur", "LLLDLDD"))
    LAYOUTS["mercosur"].check("ABC1D23", "labels.txt:4")


def test_kinds() -> None:
    assert [kind_of(c) for c in "A7-"] == ["L", "D", "?"]
