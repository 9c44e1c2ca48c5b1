"""The characters a reader knows, their class ids, and which of them count as the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

from glyphyard.core.errors import BadInput

BLANK = 0  # CTC blank: class 0; character i of the alphabet is class i + 1.


@dataclass(frozen=True)
class Alphabet:
    """An ordered set of characters; class 0 is the CTC blank and never a character.

    `fold` maps a character to the one it is read as (for plates that do not tell O from 0: {"O": "0"}).
    """

    characters: str
    fold: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        doubled = sorted({c for c in self.characters if self.characters.count(c) > 1})
        if doubled or not self.characters:
            raise BadInput("alphabet", f"expected distinct characters, found {self.characters!r} (twice: {doubled})")
        strangers = sorted(set(self.fold.values()) - set(self.characters))
        if strangers:
            raise BadInput("alphabet fold", f"folds onto {strangers}, which the alphabet does not hold")

    @property
    def num_classes(self) -> int:
        """Number of classes with the blank."""
        return len(self.characters) + 1

    def canonical(self, text: str) -> str:
        """Return `text` with every folded character replaced by the one it is read as."""
        return "".join(self.fold.get(c, c) for c in text)

    def unknown(self, text: str) -> list[str]:
        """Return the characters of `text` the alphabet cannot express, each once, in order."""
        return [c for c in dict.fromkeys(self.canonical(text)) if c not in self.characters]

    def encode(self, text: str) -> list[int]:
        """Return class ids (1-based) of `text` after folding; an unknown character is a `BadInput`, never a blank."""
        if strangers := self.unknown(text):
            raise BadInput(f"label {text!r}", f"characters {strangers} are not in the alphabet {self.characters!r}")
        return [self.characters.index(c) + 1 for c in self.canonical(text)]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of class ids that hold no blank."""
        return "".join(self.characters[i - 1] for i in ids)


def fold_from_groups(groups: Sequence[str]) -> dict[str, str]:
    """Turn equivalence groups into a fold onto each group's first character: ["0O"] → {"O": "0"}."""
    return {c: group[0] for group in groups for c in group[1:]}


def text_policy(equivalences: Sequence[str], case: str) -> dict[str, str]:
    """Return which character counts as which when texts are compared; `case` is "keep" or "ignore"."""
    if case == "keep":
        return fold_from_groups(equivalences)
    fold = fold_from_groups(["".join(dict.fromkeys(map(_upper, group))) for group in equivalences])
    return {c: fold.get(u, u) for c, u in _capitals().items()} | fold


@cache
def _capitals() -> dict[str, str]:
    """Return the capital of every letter that has another one."""
    return {c: _upper(c) for c in map(chr, range(0x10000)) if _upper(c) != c}


def _upper(character: str) -> str:
    upper = character.upper()
    return upper if len(upper) == 1 else character  # ß stays itself: a capital of two letters changes the length


def steps_needed(text: str) -> int:
    """Return the least number of CTC time steps for `text`: its length, plus a blank between equal neighbours."""
    return len(text) + sum(a == b for a, b in pairwise(text))
