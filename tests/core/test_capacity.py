"""Which texts a network has room for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from glyphyard.core.alphabet import steps_needed
from glyphyard.core.capacity import Capacity


@given(st.text("AB1", max_size=12))
def test_a_text_fits_exactly_where_it_has_the_places_that_it_needs(text: str) -> None:
    assert Capacity(steps_needed(text)).too_long(text) is None
    assert Capacity(len(text), blanks=False).too_long(text) is None
    assert Capacity(steps_needed(text) - 1).too_long(text) is not None
    assert Capacity(len(text) - 1, blanks=False).too_long(text) is not None


def test_both_figures_and_their_unit_are_said() -> None:
    assert "needs 3 time steps, the model has 2" in str(Capacity(2).too_long("AA"))
    assert "needs 3 characters, the model has 2" in str(Capacity(2, blanks=False).too_long("AAB"))


def test_a_layout_is_asked_about_texts() -> None:
    assert Capacity(32).broken_layout("ANYTHING") is None
    assert "GY054" in str(Capacity(32, layout="brazilian").broken_layout("ABC1D23"))
