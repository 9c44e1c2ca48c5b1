"""Plate layouts: which place of a plate holds a letter and which a digit."""

from __future__ import annotations

from dataclasses import dataclass

LETTER, DIGIT, ANY = "L", "D", "?"


@dataclass(frozen=True)
class Layout:
    """`slots`: what stands at each place of a usual plate, from left to right (L a letter, D a digit, ? either).

    `patterns`: all texts that are possible, in the same letters; without any, every text is.
    """

    name: str
    slots: str = ""
    patterns: tuple[str, ...] = ()

    def holds(self, text: str) -> bool:
        """Say whether `text` (after normalisation) can stand on such a plate."""
        return not self.patterns or any(_fits(text, pattern) for pattern in self.patterns)

    def problem_of(self, text: str) -> str | None:
        """Say why a text cannot stand on such a plate [GY054], with the patterns and the remedy; None where it can."""
        if self.holds(text):
            return None
        patterns = self.patterns if len(self.patterns) < 3 else (*self.patterns[:1], "…", *self.patterns[-1:])
        slots = f"{' '.join(patterns)}; L letter, D digit, ? either"
        return f"[GY054] text {text!r} against layout {self.name} ({slots}): correct the label, or choose `layout: none`"


def _fits(text: str, pattern: str) -> bool:
    return len(text) == len(pattern) and all(kind in (ANY, kind_of(c)) for c, kind in zip(text, pattern, strict=True))


def kind_of(character: str) -> str:
    """Return L for a letter, D for a digit, ? for anything else."""
    return DIGIT if character.isdigit() else LETTER if character.isalpha() else ANY


# Brazil before 2018 and since (Mercosul). Florida's series mix letters and digits in a dozen ways; a usual plate has six
# characters, one with a message up to seven.
LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("brazilian", "LLLDDDD", ("LLLDDDD",)),
        Layout("mercosur", "LLLDLDD", ("LLLDLDD",)),
        Layout("florida", ANY * 6, tuple(ANY * length for length in range(1, 8))),
        Layout("none"),
    )
}
